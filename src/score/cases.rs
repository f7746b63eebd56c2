//! The cases that outputs are judged against, by id.
//!
//! Data in: suites. Data out: prepared cases with their categories. Invariants: ids are unique;
//! categories keep the order of their first case.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxBuildHasher;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::bfcl;
use super::json;
use super::value::Value;
use crate::types::Suite;

/// Why a suite cannot be used with these rules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// No case is stated in the leaderboard's terms.
    #[error(
        "suite `{suite}` is not an imported one: case `{case}` has no `bfcl` part, which `--rules bfcl` judges by"
    )]
    NotImported {
        /// The suite.
        suite: String,
        /// The first such case.
        case: String,
    },
    /// A mode that does not exist.
    #[error(
        "case `{case}` has the unknown mode `{mode}`; the modes are simple, multiple, parallel, relevance and irrelevance"
    )]
    UnknownMode {
        /// The case.
        case: String,
        /// As stated.
        mode: String,
    },
    /// The same id twice.
    #[error("case `{case}` is there twice")]
    Twice {
        /// The id.
        case: String,
    },
}

/// Cases by id, each with its category's place.
#[derive(Clone, Debug)]
pub struct Cases<C> {
    by_id: HashMap<String, usize, FxBuildHasher>,
    entries: Vec<(usize, C)>,
    /// Names of the categories.
    pub categories: Vec<String>,
}

impl<C> Default for Cases<C> {
    fn default() -> Self {
        Self {
            by_id: HashMap::default(),
            entries: Vec::new(),
            categories: Vec::new(),
        }
    }
}

impl<C> Cases<C> {
    /// Adds a case.
    pub fn insert(&mut self, id: &str, category: &str, case: C) -> Result<(), CaseError> {
        // Cases of one category mostly stand together, so the search starts at the end.
        let place = self.categories.iter().rposition(|known| known == category);
        let place = place.unwrap_or_else(|| {
            self.categories.push(category.to_owned());
            self.categories.len() - 1
        });
        if self
            .by_id
            .insert(id.to_owned(), self.entries.len())
            .is_some()
        {
            return Err(CaseError::Twice {
                case: id.to_owned(),
            });
        }
        self.entries.push((place, case));
        Ok(())
    }

    /// The case of that id and its category's place.
    pub fn get(&self, id: &str) -> Option<(usize, &C)> {
        let (category, case) = &self.entries[*self.by_id.get(id)?];
        Some((*category, case))
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.by_id.keys().map(String::as_str)
    }
}

/// A case of the leaderboard, prepared when an output of it is first met: scoring a few outputs
/// should not wait for thousands of cases.
#[derive(Debug)]
pub struct LazyCase {
    /// What the suite states, until it is prepared.
    stated: Stated,
    prepared: OnceLock<bfcl::Case>,
}

#[derive(Debug)]
struct Stated {
    mode: bfcl::Mode,
    functions: Part,
    answer: Part,
}

/// A value as the suite has it.
#[derive(Debug)]
enum Part {
    /// Where it stands in the file's text.
    Text(Arc<String>, std::ops::Range<usize>),
    Value(serde_json::Value),
}

impl Part {
    fn with<T>(&self, use_it: impl FnOnce(&Value<'_>) -> T) -> T {
        match self {
            // It was read as JSON before, so it is.
            Self::Text(text, range) => {
                use_it(&json::parse(&text[range.clone()]).unwrap_or(Value::Null))
            }
            Self::Value(value) => use_it(&Value::from(value)),
        }
    }
}

impl LazyCase {
    fn new(mode: bfcl::Mode, functions: Part, answer: Part) -> Self {
        Self {
            stated: Stated {
                mode,
                functions,
                answer,
            },
            prepared: OnceLock::new(),
        }
    }

    /// The prepared case.
    pub fn get(&self) -> &bfcl::Case {
        self.prepared.get_or_init(|| {
            let stated = &self.stated;
            stated.functions.with(|functions| {
                let answer = &stated.answer;
                answer.with(|answer| bfcl::Case::new(stated.mode, functions, answer))
            })
        })
    }
}

/// What `--rules bfcl` needs of a suite file, and nothing else of it.
#[derive(Deserialize)]
struct SuiteInBrief<'a> {
    #[serde(borrow)]
    cases: Vec<CaseInBrief<'a>>,
}

#[derive(Deserialize)]
struct CaseInBrief<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow)]
    bfcl: BfclInBrief<'a>,
}

#[derive(Deserialize)]
struct BfclInBrief<'a> {
    #[serde(borrow)]
    mode: Cow<'a, str>,
    #[serde(borrow)]
    functions: &'a RawValue,
    #[serde(borrow)]
    answer: &'a RawValue,
}

impl Cases<LazyCase> {
    /// Reads an imported suite's JSON without looking at what the rules do not need. `None` for
    /// anything unusual; the full reader then says what is wrong.
    pub fn in_brief(text: String) -> Option<Self> {
        let whole = Arc::new(text);
        let suite: SuiteInBrief<'_> = serde_json::from_str(&whole).ok()?;
        let part = |raw: &RawValue| {
            let start = raw.get().as_ptr() as usize - whole.as_ptr() as usize;
            Part::Text(Arc::clone(&whole), start..start + raw.get().len())
        };
        let mut cases = Self::default();
        for case in suite.cases {
            let mode = bfcl::Mode::named(&case.bfcl.mode)?;
            let lazy = LazyCase::new(mode, part(case.bfcl.functions), part(case.bfcl.answer));
            cases.insert(&case.id, &case.category, lazy).ok()?;
        }
        Some(cases)
    }

    /// From suites that were read in full.
    pub fn of_suites(suites: &[Suite]) -> Result<Self, CaseError> {
        let mut cases = Self::default();
        for suite in suites {
            for case in &suite.cases {
                let Some(stated) = &case.bfcl else {
                    return Err(CaseError::NotImported {
                        suite: suite.suite.clone(),
                        case: case.id.clone(),
                    });
                };
                let Some(mode) = bfcl::Mode::named(&stated.mode) else {
                    return Err(CaseError::UnknownMode {
                        case: case.id.clone(),
                        mode: stated.mode.clone(),
                    });
                };
                let functions = Part::Value(stated.functions.clone());
                let answer = Part::Value(stated.answer.clone());
                let lazy = LazyCase::new(mode, functions, answer);
                cases.insert(&case.id, &case.category, lazy)?;
            }
        }
        Ok(cases)
    }
}
