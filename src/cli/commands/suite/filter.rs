//! `--category` and `--difficulty`: which cases a listing looks at.

use std::collections::BTreeMap;

use super::super::{CliError, Status};
use crate::cli::args::CaseFilter;
use crate::types::suite::{Case, Difficulty};
use crate::types::{Suite, did_you_mean};

/// The difficulties, easiest first, as they are written.
pub(super) const DIFFICULTIES: [(Difficulty, &str); 3] = [
    (Difficulty::Easy, "easy"),
    (Difficulty::Medium, "medium"),
    (Difficulty::Hard, "hard"),
];

impl CaseFilter {
    /// Whether a case is looked at.
    pub(super) fn keeps(&self, case: &Case) -> bool {
        (self.category.is_empty() || self.category.contains(&case.category))
            && (self.difficulty.is_empty()
                || self.difficulty.iter().any(|name| name == level(case)))
    }

    /// The suites with only the cases that are looked at.
    pub(super) fn apply(&self, suites: &mut Vec<Suite>) {
        for suite in suites.iter_mut() {
            suite.cases.retain(|case| self.keeps(case));
        }
        suites.retain(|suite| !suite.cases.is_empty());
    }

    /// Whether anything is filtered.
    pub(super) fn is_empty(&self) -> bool {
        self.category.is_empty() && self.difficulty.is_empty()
    }

    /// Refuses a category that no case has: a misspelt one would only make a number smaller.
    pub(super) fn check<'a>(
        &self,
        cases: impl Iterator<Item = &'a Case> + Clone,
    ) -> Result<(), CliError> {
        let mut known: Vec<&str> = cases.map(|case| case.category.as_str()).collect();
        known.sort_unstable();
        known.dedup();
        let unknown = self
            .category
            .iter()
            .find(|name| !known.contains(&name.as_str()));
        match unknown {
            None => Ok(()),
            Some(name) => Err(nothing(format!("no case has the category `{name}`")).hint(
                did_you_mean(name, known.iter().copied())
                    .unwrap_or_else(|| format!("the categories are {}", known.join(", "))),
            )),
        }
    }
}

/// The error of a selection that selects nothing.
pub(super) fn nothing(message: impl Into<String>) -> CliError {
    CliError::usage(message).kind("nothing_selected", Status::NothingSelected)
}

/// A case's difficulty as it is written.
pub(super) fn level(case: &Case) -> &'static str {
    let found = DIFFICULTIES
        .iter()
        .find(|(level, _)| *level == case.difficulty);
    found.map_or("", |(_, name)| name)
}

/// Categories with their cases, the largest first.
pub(super) fn categories<'a>(cases: impl Iterator<Item = &'a Case>) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for case in cases {
        *counts.entry(case.category.as_str()).or_default() += 1;
    }
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

/// `simple 8, unit 6`.
pub(super) fn categories_in_words<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let counted: Vec<String> = categories(cases)
        .into_iter()
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    counted.join(", ")
}
