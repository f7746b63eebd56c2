//! One text that a regular expression matches.
//!
//! Data in: a pattern. Data out: its plainest match, where one is easily found. Invariants: pure;
//! bounded in size; the caller checks the result, since look-arounds are not followed.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Longest text made.
const LONGEST: usize = 4_000;

/// The plainest text that `pattern` matches: first alternatives, fewest repetitions, letters and
/// digits where a class holds them. `None` for a pattern that does not parse or is too long.
pub fn example_of_pattern(pattern: &str) -> Option<String> {
    let hir = regex_syntax::parse(pattern).ok()?;
    let mut text = String::new();
    write(&hir, &mut text)?;
    Some(text)
}

fn write(hir: &Hir, text: &mut String) -> Option<()> {
    if text.len() > LONGEST {
        return None;
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            let plain = ('a'..='z')
                .chain('A'..='Z')
                .chain('0'..='9')
                .find(|wanted| {
                    ranges
                        .iter()
                        .any(|range| range.start() <= *wanted && *wanted <= range.end())
                });
            text.push(plain.or_else(|| ranges.first().map(|range| range.start()))?);
        }
        HirKind::Class(Class::Bytes(class)) => {
            text.push(char::from(class.ranges().first()?.start()));
        }
        HirKind::Repetition(repetition) => {
            // One is plainer than none: `.+` and `.*` both become a letter.
            let most = repetition.max.unwrap_or(1).max(repetition.min);
            for _ in 0..repetition.min.max(1).min(most) {
                write(&repetition.sub, text)?;
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, text))?,
        HirKind::Alternation(branches) => write(branches.first()?, text)?,
    }
    Some(())
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
}
