//! Failures that are known and accepted until a date.
//!
//! Data in: the text of a TOML file. Data out: [`KnownFailure`]s, each with its place. Invariants: pure;
//! every entry names a case, a reason and a date; one that has expired accepts nothing. A known case is
//! left out of floors and differences whether it fails or not: leaving it out only when it fails would
//! make every rate look better than it is.
//!
//! ```toml
//! [[known]]
//! case = "weather/weather-unit-kelvin"     # or the case's id alone
//! reason = "converts to Celsius, issue 12"
//! until = 2026-12-31
//! constraint = "off"                       # optional, as are model, dialect and variant
//! ```

use std::collections::BTreeSet;

use serde::Deserialize;
use toml::{Spanned, Value};

use super::snapshot::CellFact;
use crate::types::names::hint_for_unknown_field;

/// One accepted failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownFailure {
    /// `SUITE/CASE`, or the case's id.
    pub case: String,
    /// Why it is accepted.
    pub reason: String,
    /// Last day on which it is, `2026-12-31`.
    pub until: String,
    /// Only of this model.
    pub model: Option<String>,
    /// Only in this dialect.
    pub dialect: Option<String>,
    /// Only with this constraint.
    pub constraint: Option<String>,
    /// Only with this variant.
    pub variant: Option<String>,
    /// `file:line:column`.
    pub origin: String,
}

/// The file is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {message}")]
pub struct KnownError {
    /// Where.
    pub origin: String,
    /// What.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl KnownFailure {
    /// The last day is over.
    pub fn has_expired(&self, today: &str) -> bool {
        // Both are ISO dates, whose order is that of their text.
        self.until.as_str() < today
    }

    /// Whether it speaks of this case (`SUITE/CASE`) in this cell.
    pub fn covers(&self, case: &str, cell: &CellFact) -> bool {
        let fits = |wanted: &Option<String>, found: &str| {
            wanted.as_deref().is_none_or(|wanted| wanted == found)
        };
        self.names(case)
            && fits(&self.model, &cell.model)
            && fits(&self.dialect, &cell.dialect)
            && fits(&self.constraint, &cell.constraint)
            && fits(&self.variant, &cell.variant)
    }

    /// Whether it names this case.
    pub fn names(&self, case: &str) -> bool {
        let id = case.split_once('/').map_or(case, |(_, id)| id);
        self.case == case || self.case == id
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    known: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: Option<String>,
    reason: Option<String>,
    until: Option<Value>,
    model: Option<String>,
    dialect: Option<String>,
    constraint: Option<String>,
    variant: Option<String>,
}

/// Reads a file's text; `label` is its path as shown.
pub fn parse(label: &str, text: &str) -> Result<Vec<KnownFailure>, KnownError> {
    let file: File = toml::from_str(text).map_err(|error| KnownError {
        origin: match error.span() {
            Some(span) => position(label, text, span.start),
            None => label.to_owned(),
        },
        message: error.message().to_owned(),
        hint: hint_for_unknown_field(error.message()),
    })?;
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for entry in file.known {
        let origin = position(label, text, entry.span().start);
        let wrong = |message: String, hint: &str| KnownError {
            origin: origin.clone(),
            message,
            hint: Some(hint.to_owned()),
        };
        let entry = entry.into_inner();
        let said = |value: Option<String>, name: &str, hint: &str| {
            value
                .filter(|text| !text.trim().is_empty())
                .ok_or_else(|| wrong(format!("a known failure without `{name}`"), hint))
        };
        let case = said(entry.case, "case", "case = \"SUITE/CASE\"")?;
        let reason = said(entry.reason, "reason", "say why it is accepted")?;
        let until = said(
            entry.until.as_ref().map(date_text),
            "until",
            "until = 2026-12-31: after that day it counts again",
        )?;
        if !is_date(&until) {
            return Err(wrong(
                format!("`{until}` is no date"),
                "write it as 2026-12-31",
            ));
        }
        let known = KnownFailure {
            case,
            reason,
            until,
            model: entry.model,
            dialect: entry.dialect,
            constraint: entry.constraint,
            variant: entry.variant,
            origin: origin.clone(),
        };
        let key = (
            known.case.clone(),
            known.model.clone(),
            known.dialect.clone(),
            known.constraint.clone(),
            known.variant.clone(),
        );
        if !seen.insert(key) {
            return Err(wrong(
                format!("`{}` is named twice", known.case),
                "leave one of them out",
            ));
        }
        found.push(known);
    }
    Ok(found)
}

fn date_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `YYYY-MM-DD`, a day that there is.
fn is_date(text: &str) -> bool {
    let form = text.len() == 10
        && text.bytes().enumerate().all(|(place, letter)| match place {
            4 | 7 => letter == b'-',
            _ => letter.is_ascii_digit(),
        });
    let part = |range: std::ops::Range<usize>| text.get(range).and_then(|it| it.parse().ok());
    let (Some(year), Some(month), Some(day)) = (part(0..4), part(5..7), part(8..10)) else {
        return false;
    };
    let year: u32 = year;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        1..=12 => 31,
        _ => 0,
    };
    form && (1..=days).contains(&day)
}

fn position(label: &str, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{label}:{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "\n[[known]]\ncase = \"s/a\"\nreason = \"because\"\nuntil = 2026-12-31\n";

    #[test]
    fn entries_are_read_with_their_place() {
        let found = parse("k.toml", ENTRY).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].until.as_str(), found[0].reason.as_str()),
            ("2026-12-31", "because")
        );
        assert!(found[0].origin.starts_with("k.toml:"), "{found:?}");
        assert!(!found[0].has_expired("2026-12-31"));
        assert!(found[0].has_expired("2027-01-01"));
        let cell = CellFact {
            model: "m".to_owned(),
            constraint: "off".to_owned(),
            ..CellFact::default()
        };
        assert!(found[0].covers("s/a", &cell) && !found[0].covers("t/a", &cell));
        let by_id = parse("k.toml", &ENTRY.replace("s/a", "a")).unwrap();
        assert!(by_id[0].covers("s/a", &cell) && by_id[0].covers("t/a", &cell));
        let narrow = parse("k.toml", &format!("{ENTRY}constraint = \"grammar\"\n")).unwrap();
        assert!(!narrow[0].covers("s/a", &cell));
        assert_eq!(parse("k.toml", "").unwrap(), Vec::new());
    }

    #[test]
    fn mistakes_say_where() {
        for (text, words) in [
            (ENTRY.replace("case = \"s/a\"\n", ""), "without `case`"),
            (ENTRY.replace("because", " "), "without `reason`"),
            (ENTRY.replace("until = 2026-12-31\n", ""), "without `until`"),
            (ENTRY.replace("2026-12-31", "\"2026-02-30\""), "no date"),
            (ENTRY.replace("2026-12-31", "\"31.12.2026\""), "no date"),
            (ENTRY.replace("reason", "reasn"), "reasn"),
            (format!("{ENTRY}{ENTRY}"), "named twice"),
            ("known = 3".to_owned(), "k.toml:1"),
        ] {
            let error = parse("k.toml", &text).unwrap_err();
            assert!(error.to_string().contains(words), "{text}: {error}");
            assert!(error.origin.starts_with("k.toml:"), "{error:?}");
        }
        let error = parse("k.toml", &ENTRY.replace("reason", "reasn")).unwrap_err();
        assert_eq!(error.hint.as_deref(), Some("did you mean `reason`?"));
    }

    #[test]
    fn days_that_there_are() {
        for (text, is) in [
            ("2028-02-29", true),
            ("2026-02-29", false),
            ("2100-02-29", false),
            ("2000-02-29", true),
            ("2026-04-31", false),
            ("2026-13-01", false),
            ("2026-00-01", false),
            ("2026-01-00", false),
            ("+026-01-01", false),
            ("2026-1-001", false),
        ] {
            assert_eq!(is_date(text), is, "{text}");
        }
    }
}
