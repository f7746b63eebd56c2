//! JSON as Python's `json.loads` reads it, borrowing what it can.
//!
//! Data in: text. Data out: a [`Value`], or where and why not. Invariants: integers and floats are
//! told apart by how they are written; `NaN`, `Infinity` and `-Infinity` are numbers; of a repeated
//! key the last value counts; nesting deeper than [`DEEPEST`] and integers longer than
//! [`LONGEST_INTEGER`] are refused, as Python refuses them; no input makes it panic.

use std::borrow::Cow;

use num_bigint::BigInt;

use super::value::{Integer, Key, Object, Value};

/// Nesting that is still read. Python gives up within a few levels of this.
pub const DEEPEST: usize = 990;
/// Digits of the longest integer that is still read: Python's own limit.
pub const LONGEST_INTEGER: usize = 4300;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {at}")]
pub struct JsonError {
    /// Offset in bytes.
    pub at: usize,
    /// What is wrong.
    pub reason: &'static str,
    /// Python raises something else than its `JSONDecodeError` here.
    pub beyond_json: bool,
}

/// Reads one value; nothing but white space may stand around it.
pub fn parse(text: &str) -> Result<Value<'_>, JsonError> {
    let mut reader = Reader::new(text);
    reader.skip_space();
    let value = reader.value()?;
    if reader.is_at_end() {
        Ok(value)
    } else {
        Err(reader.fault("more text after the value"))
    }
}

/// A reader within a text. Its parts are for callers that know what must come.
pub(super) struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

/// Marks, in the highest bit of a byte, what ends a string or needs a closer look: quotes,
/// backslashes and control characters. The lowest mark is right; those above it may not be.
#[inline]
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let below = |value: u64, bound: u64| value.wrapping_sub(ONES * bound) & !value & HIGH;
    let quote = word ^ (ONES * 0x22);
    let backslash = word ^ (ONES * 0x5c);
    below(quote, 1) | below(backslash, 1) | below(word, 0x20)
}

/// Bytes of a string that may stand as they are.
#[inline]
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_odd = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    words.len() * 8 + rest.iter().position(is_odd).unwrap_or(rest.len())
}

impl<'a> Reader<'a> {
    /// At the start of a text.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            depth: 0,
        }
    }

    /// Whether nothing but white space is left.
    pub(super) fn is_at_end(&mut self) -> bool {
        self.skip_space();
        self.at == self.bytes.len()
    }

    /// Passes white space and this byte, if it comes next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes a key written without escapes, and its colon; the value comes next.
    #[inline]
    pub(super) fn take_key(&mut self, quoted: &str) -> bool {
        self.skip_space();
        if !self.bytes[self.at..].starts_with(quoted.as_bytes()) {
            return false;
        }
        self.at += quoted.len();
        let found = self.take(b':');
        self.skip_space();
        found
    }

    /// The string that comes next.
    #[inline]
    pub(super) fn take_string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return None;
        }
        self.string().ok()
    }

    /// The string that comes next, when it is one without escapes.
    #[inline]
    pub(super) fn take_plain(&mut self) -> Option<&'a str> {
        match self.take_string() {
            Some(Cow::Borrowed(text)) => Some(text),
            _ => None,
        }
    }

    /// The number or word that comes next.
    #[inline]
    pub(super) fn take_scalar(&mut self) -> Option<Value<'a>> {
        match self.peek()? {
            b'-' | b'0'..=b'9' => self.number().ok(),
            b't' => self.word("true", Value::Bool(true)).ok(),
            b'f' => self.word("false", Value::Bool(false)).ok(),
            b'n' => self.word("null", Value::Null).ok(),
            _ => None,
        }
    }

    fn fault(&self, reason: &'static str) -> JsonError {
        JsonError {
            at: self.at,
            reason,
            beyond_json: false,
        }
    }

    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    pub(super) fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Value<'a>, JsonError> {
        match self.peek() {
            Some(b'"') => self.string().map(Value::Text),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'N') => self.word("NaN", Value::Float(f64::NAN)),
            Some(b'I') => self.word("Infinity", Value::Float(f64::INFINITY)),
            Some(_) => Err(self.fault("a value was expected")),
            None => Err(self.fault("the text ends where a value was expected")),
        }
    }

    fn word(&mut self, word: &'static str, value: Value<'a>) -> Result<Value<'a>, JsonError> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err(self.fault("a value was expected"))
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Value<'a>, JsonError>,
    ) -> Result<Value<'a>, JsonError> {
        if self.depth >= DEEPEST {
            return Err(JsonError {
                beyond_json: true,
                ..self.fault("nested too deeply")
            });
        }
        self.depth += 1;
        self.at += 1; // the opening bracket
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value<'a>, JsonError> {
        let mut items = Vec::new();
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(items));
                }
                _ => return Err(self.fault("`,` or `]` was expected")),
            }
            self.skip_space();
        }
    }

    fn object(&mut self) -> Result<Value<'a>, JsonError> {
        let mut entries = Vec::new();
        self.skip_space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(Object::default()));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.fault("a key in double quotes was expected"));
            }
            let key = self.string()?;
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.fault("`:` was expected"));
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            entries.push((Key::Text(key), value));
            self.skip_space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(Object::from_entries(entries)));
                }
                _ => return Err(self.fault("`,` or `}` was expected")),
            }
            self.skip_space();
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1; // the opening quote
        let start = self.at;
        self.skip_plain();
        match self.peek() {
            Some(b'"') => {
                let plain = &self.text[start..self.at];
                self.at += 1;
                Ok(Cow::Borrowed(plain))
            }
            Some(b'\\') => self.escaped(start).map(Cow::Owned),
            Some(_) => Err(self.fault("a control character in a string")),
            None => Err(self.fault("a string without end")),
        }
    }

    /// Up to what ends a string or needs a closer look.
    #[inline]
    fn skip_plain(&mut self) {
        self.at += plain_length(&self.bytes[self.at..]);
    }

    /// The rest of a string that holds an escape.
    fn escaped(&mut self, start: usize) -> Result<String, JsonError> {
        let mut out = self.text[start..self.at].to_owned();
        loop {
            let plain = self.at;
            self.skip_plain();
            out.push_str(&self.text[plain..self.at]);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    self.at += 1;
                    let escape = self.escape()?;
                    out.push(escape);
                }
                Some(_) => return Err(self.fault("a control character in a string")),
                None => return Err(self.fault("a string without end")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(letter) = self.peek() else {
            return Err(self.fault("a string without end"));
        };
        let plain = match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode_escape();
            }
            _ => return Err(self.fault("an unknown escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        let first = self.four_digits()?;
        if (0xd800..0xdc00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
            let back = self.at;
            self.at += 2;
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(character(code));
            }
            self.at = back;
        }
        Ok(character(first))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(digits) = digits else {
            return Err(self.fault("`\\u` needs four hexadecimal digits"));
        };
        self.at += 4;
        Ok(u32::from_str_radix(digits, 16).unwrap_or_default())
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Value<'a>, JsonError> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => {
                self.digits();
            }
            Some(b'I') if negative => return self.word("Infinity", Value::Float(-f64::INFINITY)),
            _ => return Err(self.fault("a number without digits")),
        }
        let whole_end = self.at;
        if self.peek() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                self.at = whole_end; // the point is then what should not be there
                return Err(self.fault("a number that ends in a point"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            let before = self.at;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if self.digits() == 0 {
                self.at = before;
                return Err(self.fault("an exponent without digits"));
            }
        }
        let written = &self.text[start..self.at];
        if self.at == whole_end {
            if written.len() <= SHORT_INTEGER {
                return Ok(Value::Int(Integer::Small(short_integer(written, negative))));
            }
            integer(written).map(Value::Int).ok_or_else(|| JsonError {
                beyond_json: true,
                ..self.fault("an integer of more than 4300 digits")
            })
        } else {
            Ok(Value::Float(written.parse().unwrap_or(f64::NAN)))
        }
    }
}

/// Characters of an integer that certainly fits a machine word.
const SHORT_INTEGER: usize = 18;

fn short_integer(written: &str, negative: bool) -> i64 {
    let digits = written.bytes().filter(u8::is_ascii_digit);
    let size = digits.fold(0, |number, digit| number * 10 + i64::from(digit - b'0'));
    if negative { -size } else { size }
}

/// Reads decimal digits with an optional sign; `None` when there are too many of them.
pub(super) fn integer(written: &str) -> Option<Integer> {
    if let Ok(small) = written.parse::<i64>() {
        return Some(Integer::Small(small));
    }
    if written.trim_start_matches(['-', '+']).len() > LONGEST_INTEGER {
        return None;
    }
    written.parse::<BigInt>().ok().map(Integer::from_big)
}

/// The character of a code point; a surrogate becomes its stand-in.
pub(super) fn character(code: u32) -> char {
    char::from_u32(code)
        .or_else(|| char::from_u32(code + SURROGATE_SHIFT))
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// From a surrogate to the character that stands for it.
const SURROGATE_SHIFT: u32 = 0x0010_0000;

/// Whether a text holds the stand-in of a lone surrogate, which Python cannot encode.
pub(super) fn has_surrogate(text: &str) -> bool {
    text.chars()
        .any(|c| ('\u{10d800}'..='\u{10dfff}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::super::value::equal;
    use super::*;

    fn same(text: &str, expected: &Value<'_>) {
        let value = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(
            equal(&value, expected) && value.kind() == expected.kind(),
            "{text} gave {value:?}"
        );
    }

    #[test]
    fn numbers_keep_how_they_are_written() {
        same("5", &Value::Int(Integer::Small(5)));
        same("5.0", &Value::Float(5.0));
        same("5e0", &Value::Float(5.0));
        same("-0", &Value::Int(Integer::Small(0)));
        same("-0.0", &Value::Float(0.0));
        same("1e400", &Value::Float(f64::INFINITY));
        same("-Infinity", &Value::Float(f64::NEG_INFINITY));
        assert!(matches!(parse("NaN"), Ok(Value::Float(float)) if float.is_nan()));
        assert!(matches!(
            parse("99999999999999999999"),
            Ok(Value::Int(Integer::Big(_)))
        ));
    }

    #[test]
    fn strings_are_read_with_their_escapes() {
        same(r#""a\n\u00e9\ud83d\ude00""#, &Value::Text("a\né😀".into()));
        let Ok(Value::Text(lone)) = parse(r#""\ud83d\u0041""#) else {
            panic!("a lone surrogate is a string for Python");
        };
        assert!(has_surrogate(&lone) && lone.ends_with('A'));
    }

    #[test]
    fn the_end_of_a_string_is_found_wherever_it_stands() {
        for odd in [b'"', b'\\', 0, 0x1f, b'\n'] {
            for at in 0..40 {
                let mut bytes = vec![b'a'; 40];
                bytes[at] = odd;
                assert_eq!(plain_length(&bytes), at);
                bytes[at] = 0x80 | odd;
                assert_eq!(plain_length(&bytes), 40);
                bytes[at] = odd + 1;
                let expected = if matches!(odd + 1, 0..=0x1f) { at } else { 40 };
                assert_eq!(plain_length(&bytes), expected);
            }
        }
    }

    #[test]
    fn what_python_refuses_is_refused() {
        for text in [
            "",
            " ",
            "01",
            "1.",
            "1.e5",
            "-",
            "+1",
            ".5",
            "1e",
            "[1,]",
            "{\"a\":1,}",
            "{'a':1}",
            "\"\t\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "nul",
            "[1 2]",
            "1 2",
            "\u{feff}1",
            "-NaN",
            "{1:2}",
        ] {
            assert!(parse(text).is_err(), "{text:?} was read");
        }
        let deep = "[".repeat(DEEPEST + 1);
        assert!(parse(&deep).unwrap_err().beyond_json);
        assert!(
            parse(&"9".repeat(LONGEST_INTEGER + 1))
                .unwrap_err()
                .beyond_json
        );
        assert!(parse(&"9".repeat(LONGEST_INTEGER)).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn what_serde_reads_is_read_to_the_same(text in r#"[\[\]{}:,0-9eE.+\-" a-f\\nu]{0,16}"#) {
            let ours = parse(&text);
            if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
                let ours = ours.unwrap_or_else(|error| panic!("{text}: {error}"));
                assert!(equal(&ours, &Value::from(&theirs)), "{text}");
            }
        }
    }
}
