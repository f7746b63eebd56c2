//! Texts that a regular expression matches.
//!
//! Data in: a pattern. Data out: its plainest match, or several, where they are easily found.
//! Invariants: pure; bounded in size; the caller checks the result, since look-arounds are not
//! followed.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text made.
const LONGEST: usize = 4_000;

/// The plainest text that `pattern` matches: first alternatives, fewest repetitions, letters and
/// digits where a class holds them. `None` for a pattern that does not parse or is too long.
pub fn example_of_pattern(pattern: &str) -> Option<String> {
    match_of(&regex_syntax::parse(pattern).ok()?, 1, 0)
}

/// Texts of at least `least` characters that `pattern` matches, the shortest first; another
/// `variant` takes other alternatives and characters where there are any.
pub fn examples_of_pattern(pattern: &str, least: usize, variant: usize) -> Vec<String> {
    let Ok(hir) = regex_syntax::parse(pattern) else {
        return Vec::new();
    };
    let mut found: Vec<String> = Vec::new();
    for repeats in [1, 3, 8, least] {
        let text = match_of(&hir, u32::try_from(repeats).unwrap_or(u32::MAX), variant);
        found.extend(text.filter(|text| text.chars().count() >= least));
    }
    found.dedup();
    found
}

/// A match in which what may be repeated at will stands `repeats` times.
fn match_of(hir: &Hir, repeats: u32, variant: usize) -> Option<String> {
    let mut text = String::new();
    let writer = Writer { repeats, variant };
    writer.write(hir, &mut text)?;
    Some(text)
}

struct Writer {
    repeats: u32,
    variant: usize,
}

impl Writer {
    fn write(&self, hir: &Hir, text: &mut String) -> Option<()> {
        if text.len() > LONGEST {
            return None;
        }
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
            HirKind::Class(class) => text.push(self.character(class)?),
            HirKind::Repetition(repetition) => {
                // One is plainer than none: `.+` and `.*` both become a letter.
                let most = repetition.max.unwrap_or(u32::MAX).max(repetition.min);
                for _ in 0..repetition.min.max(self.repeats).min(most) {
                    self.write(&repetition.sub, text)?;
                }
            }
            HirKind::Capture(capture) => self.write(&capture.sub, text)?,
            HirKind::Concat(parts) => parts.iter().try_for_each(|part| self.write(part, text))?,
            HirKind::Alternation(branches) => {
                self.write(branches.get(self.variant % branches.len().max(1))?, text)?;
            }
        }
        Some(())
    }

    /// A character of a class: a plain one where it holds any.
    fn character(&self, class: &Class) -> Option<char> {
        let ranges: Vec<(char, char)> = match class {
            Class::Unicode(class) => class
                .iter()
                .map(|range| (range.start(), range.end()))
                .collect(),
            Class::Bytes(class) => class
                .iter()
                .map(|range| (char::from(range.start()), char::from(range.end())))
                .collect(),
        };
        let plain: Vec<char> = ('a'..='z')
            .chain('A'..='Z')
            .chain('0'..='9')
            .filter(|c| ranges.iter().any(|(low, high)| low <= c && c <= high))
            .collect();
        plain
            .get(self.variant % plain.len().max(1))
            .copied()
            .or_else(|| ranges.first().map(|(low, _)| *low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_match_their_patterns() {
        for pattern in [
            "[a-z]+-\\d{4}",
            "(?i)berlin|paris",
            "^job-[0-9]+$",
            "\\+?[0-9 ]{7,12}",
            "(ab|cd){2}e?",
            "[^a-z0-9]x",
            "",
            ".*",
        ] {
            let text = example_of_pattern(pattern).unwrap();
            let whole = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            assert!(whole.is_match(&text), "{pattern}: {text:?}");
        }
        assert_eq!(example_of_pattern("("), None);
        assert_eq!(example_of_pattern("(((a{60}){60}){60}){60}"), None);
    }

    #[test]
    fn several_texts_are_long_enough_and_match() {
        for (pattern, least) in [
            ("^[a-z]{3}-\\d+$", 0),
            ("^(job|task)_[A-Z]{2,4}$", 0),
            ("^\\S+@\\S+\\.\\w+$", 0),
            ("^a*$", 10),
            ("^#[0-9a-fA-F]{6}$", 0),
            ("^[^\\x00-\\x7f]+$", 5),
        ] {
            let regex = regex::Regex::new(pattern).unwrap();
            for variant in 0..3 {
                let found = examples_of_pattern(pattern, least, variant);
                let fits = |text: &String| regex.is_match(text) && text.chars().count() >= least;
                assert!(found.iter().any(fits), "{pattern}: {found:?}");
            }
        }
        assert!(examples_of_pattern("(?=x)", 0, 0).is_empty());
        assert!(examples_of_pattern("^(a{1000}){1000}$", 0, 0).is_empty());
    }
}
