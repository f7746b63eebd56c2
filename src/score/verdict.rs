//! Verdicts as lines of JSON, and what they add up to.
//!
//! Data in: verdicts one by one. Data out: bytes, and counts per category. Invariants: one line per
//! input line, with the keys `line`, `id`, `category`, `valid`, `error_type`, `errors` in this order;
//! `valid` is null where nothing was judged.

use std::collections::BTreeMap;

/// One verdict before it is written.
#[derive(Clone, Copy, Debug)]
pub struct Verdict<'a> {
    /// Line of the input, from 1.
    pub line: u64,
    /// The id as given.
    pub id: Option<&'a str>,
    /// The case's category.
    pub category: Option<&'a str>,
    /// The verdict; `None` where there is none.
    pub valid: Option<bool>,
    /// Why it is not valid: a name of letters, digits, `:`, `/` and `_`.
    pub error_type: Option<&'static str>,
}

/// The error type of a line that is nobody's output.
pub const INVALID_LINE: &str = "invalid_line";
/// The error type of an id that the suite does not have.
pub const UNKNOWN_CASE: &str = "unknown_case";
/// The error type of a case that recorded calls alone cannot decide.
pub const NEEDS_A_RUN: &str = "needs_a_run";

/// Writes lines.
#[derive(Debug, Default)]
pub struct Writer {
    /// Everything written so far.
    pub out: Vec<u8>,
    errors: usize,
}

impl Writer {
    /// Begins a line; errors may follow, then [`Self::end`].
    pub fn begin(&mut self, verdict: &Verdict<'_>) {
        let out = &mut self.out;
        out.extend_from_slice(b"{\"line\":");
        push_number(out, verdict.line);
        out.extend_from_slice(b",\"id\":");
        push_text_or_null(out, verdict.id);
        push_head(out, verdict.category, verdict.valid, verdict.error_type);
        self.errors = 0;
    }

    /// Begins a line whose end of the head was prepared by [`head`].
    pub fn begin_with(&mut self, line: u64, id: &str, head: &[u8]) {
        let out = &mut self.out;
        out.extend_from_slice(b"{\"line\":");
        push_number(out, line);
        out.extend_from_slice(b",\"id\":");
        push_text(out, id);
        out.extend_from_slice(head);
        self.errors = 0;
    }

    /// One thing that is wrong.
    pub fn error(&mut self, call: Option<usize>, param: Option<&str>, message: &str) {
        let out = &mut self.out;
        if self.errors > 0 {
            out.push(b',');
        }
        self.errors += 1;
        out.extend_from_slice(b"{\"call\":");
        match call {
            Some(call) => push_number(out, call as u64),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"param\":");
        push_text_or_null(out, param);
        out.extend_from_slice(b",\"message\":");
        push_text(out, message);
        out.push(b'}');
    }

    /// Ends the line.
    pub fn end(&mut self) {
        self.out.extend_from_slice(b"]}\n");
    }
}

/// What stands between the id and the errors of a judged line.
pub fn head(category: &str, error_type: Option<&'static str>) -> Vec<u8> {
    let mut out = Vec::new();
    push_head(
        &mut out,
        Some(category),
        Some(error_type.is_none()),
        error_type,
    );
    out
}

fn push_head(
    out: &mut Vec<u8>,
    category: Option<&str>,
    valid: Option<bool>,
    error_type: Option<&'static str>,
) {
    out.extend_from_slice(b",\"category\":");
    push_text_or_null(out, category);
    out.extend_from_slice(match valid {
        Some(true) => b",\"valid\":true,\"error_type\":",
        Some(false) => b",\"valid\":false,\"error_type\":",
        None => b",\"valid\":null,\"error_type\":",
    });
    match error_type {
        Some(name) => {
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\",\"errors\":[");
        }
        None => out.extend_from_slice(b"null,\"errors\":["),
    }
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut left = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (left % 10) as u8;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn push_text_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_text(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.is_ascii() && super::json::plain_length(text.as_bytes()) == text.len() {
        out.extend_from_slice(text.as_bytes());
    } else {
        push_escaped(out, text);
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            // Signs that some readers take for the end of a line.
            '\u{0}'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            // What stands for a lone surrogate is written as that surrogate again.
            '\u{10d800}'..='\u{10dfff}' => {
                let code = u32::from(c) - 0x10_0000;
                out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
            }
            plain => {
                let mut buffer = [0_u8; 4];
                out.extend_from_slice(plain.encode_utf8(&mut buffer).as_bytes());
            }
        }
    }
}

/// What became of the lines of one category.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Lines judged.
    pub judged: u64,
    /// Of these, valid.
    pub valid: u64,
    /// Of the others, how many of each error type.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Count {
    /// Counts one verdict.
    pub fn add(&mut self, error_type: Option<&'static str>) {
        self.judged += 1;
        match error_type {
            None => self.valid += 1,
            Some(name) => *self.errors.entry(name).or_default() += 1,
        }
    }

    fn merge(&mut self, other: Self) {
        self.judged += other.judged;
        self.valid += other.valid;
        for (name, count) in other.errors {
            *self.errors.entry(name).or_default() += count;
        }
    }
}

/// What all lines add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Per category, in the order of the suite.
    pub categories: Vec<Count>,
    /// Lines read.
    pub lines: u64,
    /// Lines that are nobody's output.
    pub invalid_lines: u64,
    /// Lines whose id the suite does not have.
    pub unknown_cases: u64,
    /// Lines of cases that recorded calls alone cannot decide.
    pub undecided: u64,
    /// The first of each kind of bad line, for the message.
    pub first_invalid: Option<u64>,
    /// The first unknown id and its line.
    pub first_unknown: Option<(u64, String)>,
}

impl Totals {
    /// For so many categories.
    pub fn new(categories: usize) -> Self {
        Self {
            categories: vec![Count::default(); categories],
            ..Self::default()
        }
    }

    /// Adds what another part of the input came to.
    pub fn merge(&mut self, other: Self) {
        for (mine, theirs) in self.categories.iter_mut().zip(other.categories) {
            mine.merge(theirs);
        }
        self.lines += other.lines;
        self.invalid_lines += other.invalid_lines;
        self.unknown_cases += other.unknown_cases;
        self.undecided += other.undecided;
        self.first_invalid = first(self.first_invalid, other.first_invalid);
        self.first_unknown = first(self.first_unknown.take(), other.first_unknown);
    }

    /// Everything judged, over all categories.
    pub fn overall(&self) -> Count {
        let mut all = Count::default();
        for count in &self.categories {
            all.merge(count.clone());
        }
        all
    }
}

/// The smaller of two that may be absent.
fn first<T: Ord>(one: Option<T>, two: Option<T>) -> Option<T> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_json_whatever_they_hold() {
        let mut writer = Writer::default();
        writer.begin(&Verdict {
            line: 10,
            id: Some("a\"\\\n\u{1}é\u{10d83d}"),
            category: None,
            valid: Some(false),
            error_type: Some("x:y"),
        });
        writer.error(Some(0), Some("p"), "one");
        writer.error(None, None, "two");
        writer.end();
        let text = String::from_utf8(writer.out).unwrap();
        assert_eq!(
            text,
            "{\"line\":10,\"id\":\"a\\\"\\\\\\n\\u0001é\\ud83d\",\"category\":null,\"valid\":false,\"error_type\":\"x:y\",\"errors\":[{\"call\":0,\"param\":\"p\",\"message\":\"one\"},{\"call\":null,\"param\":null,\"message\":\"two\"}]}\n"
        );
    }

    #[test]
    fn parts_add_up() {
        let mut all = Totals::new(2);
        let mut part = Totals::new(2);
        part.categories[1].add(None);
        part.categories[1].add(Some("a"));
        all.merge(part.clone());
        all.merge(part);
        assert_eq!(all.overall().judged, 4);
        assert_eq!(all.overall().errors["a"], 2);
    }
}
