//! Patterns of strings and of names.
//!
//! Data in: patterns as JSON Schema writes them (ECMA 262). Data out: the same in the syntax of the
//! grammar's engine, matches, complements. Invariants: translation is the validator's own; what
//! the engine cannot run is told apart before it is tried.

use std::collections::{BTreeMap, HashMap};

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Most states that the bounded repetitions of a pattern may unfold to.
const MOST_STATES: u64 = 20_000;
/// Longest excluded texts taken together.
const MOST_EXCLUDED: usize = 2_000;
/// Largest compiled pattern.
const SIZE_LIMIT: usize = 1 << 20;

/// Compiled patterns.
#[derive(Default)]
pub(super) struct Patterns {
    compiled: HashMap<String, Option<regex::Regex>>,
}

impl Patterns {
    /// Whether a pattern is found in a text; `None` for one that does not compile.
    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Option<bool> {
        if !self.compiled.contains_key(pattern) {
            let regex = jsonschema_regex::to_rust_regex(pattern)
                .ok()
                .and_then(|rust| {
                    regex::RegexBuilder::new(&rust)
                        .size_limit(SIZE_LIMIT)
                        .build()
                        .ok()
                });
            self.compiled.insert(pattern.to_owned(), regex);
        }
        let regex = self.compiled.get(pattern)?.as_ref()?;
        Some(regex.is_match(text))
    }
}

/// The pattern for the grammar's engine; `None` where that cannot run it.
pub(super) fn for_grammar(pattern: &str) -> Option<String> {
    let rust = jsonschema_regex::to_rust_regex(pattern).ok()?.into_owned();
    let hir = regex_syntax::parse(&rust).ok()?;
    let fits = has_anchors_at_ends_only(&hir, true, true) && states(&hir) <= MOST_STATES;
    fits.then_some(rust)
}

/// Whether a pattern matches any text without control characters that need a `\u` escape: the
/// engine writes none of those, and would find no way on.
pub(super) fn is_writable(pattern: &str) -> bool {
    regex_syntax::parse(pattern).is_ok_and(|hir| has_writable(&hir))
}

fn has_writable(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.iter().all(|byte| is_written(u32::from(*byte))),
        HirKind::Class(Class::Unicode(class)) => class
            .iter()
            .any(|range| (u32::from(range.start())..=u32::from(range.end())).any(is_written)),
        HirKind::Class(Class::Bytes(class)) => class
            .iter()
            .any(|range| (range.start()..=range.end()).any(|byte| is_written(u32::from(byte)))),
        HirKind::Repetition(repetition) => repetition.min == 0 || has_writable(&repetition.sub),
        HirKind::Capture(capture) => has_writable(&capture.sub),
        HirKind::Concat(parts) => parts.iter().all(has_writable),
        HirKind::Alternation(parts) => parts.iter().any(has_writable),
    }
}

fn is_written(c: u32) -> bool {
    c >= 0x20 && c != 0x7f || matches!(c, 0x8 | 0x9 | 0xa | 0xc | 0xd)
}

/// The engine knows `^` at the start and `$` at the end, of the whole or of an alternative.
fn has_anchors_at_ends_only(hir: &Hir, at_start: bool, at_end: bool) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) => true,
        HirKind::Look(Look::Start) => at_start,
        HirKind::Look(Look::End) => at_end,
        HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => has_anchors_at_ends_only(&repetition.sub, false, false),
        HirKind::Capture(capture) => has_anchors_at_ends_only(&capture.sub, at_start, at_end),
        HirKind::Alternation(parts) => parts
            .iter()
            .all(|part| has_anchors_at_ends_only(part, at_start, at_end)),
        HirKind::Concat(parts) => {
            let last = parts.len() - 1;
            parts.iter().enumerate().all(|(index, part)| {
                has_anchors_at_ends_only(part, at_start && index == 0, at_end && index == last)
            })
        }
    }
}

/// About how many states a pattern has.
fn states(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            let times = u64::from(repetition.max.unwrap_or(repetition.min).max(1));
            states(&repetition.sub).saturating_mul(times)
        }
        HirKind::Capture(capture) => states(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(states).fold(0, u64::saturating_add)
        }
        HirKind::Literal(literal) => literal.0.len() as u64,
        _ => 1,
    }
}

/// Whether no name can match both patterns, where that is plain: both begin with fixed texts, and
/// none of one is a beginning of one of the other.
pub(super) fn are_disjoint(one: &str, other: &str) -> bool {
    let (Some(one), Some(other)) = (beginnings(one), beginnings(other)) else {
        return false;
    };
    one.iter().all(|mine| {
        other
            .iter()
            .all(|theirs| !mine.starts_with(theirs) && !theirs.starts_with(mine))
    })
}

/// The texts that everything matching the pattern begins with one of.
fn beginnings(pattern: &str) -> Option<Vec<Vec<u8>>> {
    let rust = jsonschema_regex::to_rust_regex(pattern).ok()?;
    let hir = regex_syntax::parse(&rust).ok()?;
    let anchored = hir.properties().look_set_prefix().contains(Look::Start);
    if !anchored {
        return None;
    }
    let mut extractor = regex_syntax::hir::literal::Extractor::new();
    extractor.limit_class(256);
    let found = extractor.extract(&hir);
    let literals = found.literals()?;
    Some(
        literals
            .iter()
            .map(|literal| literal.as_bytes().to_vec())
            .collect(),
    )
}

/// A pattern of every text but these; `None` for too many.
pub(super) fn all_but(texts: &[String]) -> Option<String> {
    if texts.iter().map(String::len).sum::<usize>() > MOST_EXCLUDED {
        return None;
    }
    let mut root = Branch::default();
    for text in texts {
        let end = text
            .chars()
            .fold(&mut root, |branch, c| branch.children.entry(c).or_default());
        end.is_text = true;
    }
    Some(format!("^(?:{})$", root.others()))
}

#[derive(Default)]
struct Branch {
    is_text: bool,
    children: BTreeMap<char, Branch>,
}

impl Branch {
    /// A pattern of all that may follow here without the whole being one of the texts.
    fn others(&self) -> String {
        let mut ways = Vec::new();
        if !self.is_text {
            ways.push(String::new());
        }
        if self.children.is_empty() {
            ways.push("(?s:.)(?s:.*)".to_owned());
        } else {
            let taken: String = self.children.keys().map(|c| class_char(*c)).collect();
            ways.push(format!("[^{taken}](?s:.*)"));
            for (c, branch) in &self.children {
                ways.push(format!(
                    "{}(?:{})",
                    regex::escape(&c.to_string()),
                    branch.others()
                ));
            }
        }
        ways.join("|")
    }
}

fn class_char(c: char) -> String {
    format!("\\x{{{:x}}}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_leaves_out_exactly_the_texts() {
        let texts = ["", "a", "ab", "abc", "b]c", "é"].map(ToOwned::to_owned);
        for count in 0..=texts.len() {
            let excluded = &texts[..count];
            let regex = regex::Regex::new(&all_but(excluded).unwrap()).unwrap();
            for text in [
                "", "a", "ab", "abc", "abcd", "b", "b]", "b]c", "é", "éa", "x\ny", "^",
            ] {
                let left_out = excluded.iter().any(|other| other == text);
                assert_eq!(regex.is_match(text), !left_out, "{excluded:?} {text:?}");
            }
        }
    }

    #[test]
    fn only_what_the_engine_runs_is_passed_on() {
        for pattern in [
            "^a+$",
            "a",
            "^(a|b)$",
            "^a|b$",
            "(^a|b)c$",
            r"^\d{3}$",
            r"\p{Letter}+",
        ] {
            assert!(for_grammar(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            r"\bword\b",
            "a^b",
            "(?=a)b",
            "(a)\\1",
            "^((a{100}){100}){100}$",
            "[",
        ] {
            assert!(for_grammar(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn patterns_of_what_is_never_written_are_known() {
        for (pattern, writable) in [
            (r"^\x03$", false),
            (r"^(\x00|a)$", true),
            (r"^\x00*$", true),
            (r"^[\x00-\x07]{2}$", false),
            (r"^\s$", true),
            (r"^a\x7f", false),
        ] {
            assert_eq!(is_writable(pattern), writable, "{pattern}");
        }
    }

    #[test]
    fn names_cannot_match_patterns_with_other_beginnings() {
        assert!(are_disjoint("^x-", "^[a-w]"));
        assert!(!are_disjoint("^x", "^x-"));
        assert!(!are_disjoint("x", "^y"));
        assert!(!are_disjoint("^.*a", "^b"));
    }
}
