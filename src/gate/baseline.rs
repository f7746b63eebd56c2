//! A snapshot as a file that is committed and read in a diff.
//!
//! Data in: a [`Snapshot`], or the text of a file. Data out: the text, or the snapshot. Invariants: one
//! JSON object a line, one line for each case and cell, in the order of names; equal snapshots give
//! equal bytes; what is read and written again is the same; nothing in it was measured by a clock.
//!
//! Times are measurements and change with every run, so they stand in a file of their own
//! ([`Times`], `NAME.latency.jsonl`), written only when asked for and tied to the baseline by its hash.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::snapshot::{
    About, CaseLine, CellFact, CellNames, ModelFact, ServerFact, Snapshot, SuiteFact, ToolFact,
    VariantFact, WEIGHTING,
};
use crate::metrics::latency::nearest_rank;
use crate::metrics::latest_trials;
use crate::record::format::Header;
use crate::types::names::hint_for_unknown_field;
use crate::types::{ContentHash, TrialRecord};

/// Name and version of the file's form.
pub const BASELINE_SCHEMA: &str = "toolbench.baseline/1";
/// Name and version of the form of its times.
pub const LATENCY_SCHEMA: &str = "toolbench.baseline-latency/1";

/// A file is no baseline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// A line is not what it should be.
    #[error("{label}:{line}: {message}")]
    Line {
        /// The file.
        label: String,
        /// Line from 1.
        line: usize,
        /// Why.
        message: String,
    },
    /// Written by a later version, or no such file at all.
    #[error("{label} has the form `{found}`; this toolbench reads `{wanted}`")]
    Form {
        /// The file.
        label: String,
        /// Its form.
        found: String,
        /// What is read.
        wanted: &'static str,
    },
}

/// One line of a baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    Baseline {
        schema: String,
        #[serde(flatten)]
        about: About,
    },
    Model(ModelFact),
    Suite(SuiteFact),
    Tool(ToolFact),
    Variant(VariantFact),
    Server(ServerFact),
    Cell(CellFact),
    Case(CaseLine),
}

/// The file's text.
pub fn to_text(snapshot: &Snapshot) -> String {
    let first = Line::Baseline {
        schema: BASELINE_SCHEMA.to_owned(),
        about: snapshot.about.clone(),
    };
    let mut lines = vec![first];
    lines.extend(snapshot.models.iter().cloned().map(Line::Model));
    lines.extend(snapshot.suites.iter().cloned().map(Line::Suite));
    lines.extend(snapshot.tools.iter().cloned().map(Line::Tool));
    lines.extend(snapshot.variants.iter().cloned().map(Line::Variant));
    lines.extend(snapshot.servers.iter().cloned().map(Line::Server));
    lines.extend(snapshot.cells.iter().cloned().map(Line::Cell));
    lines.extend(snapshot.cases.iter().cloned().map(Line::Case));
    written(&lines)
}

fn written<T: Serialize>(lines: &[T]) -> String {
    let mut text = String::new();
    for line in lines {
        text.push_str(&serde_json::to_string(line).unwrap_or_default());
        text.push('\n');
    }
    text
}

/// Reads a file's text; `label` is its path as shown.
pub fn parse(label: &str, text: &str) -> Result<Snapshot, BaselineError> {
    check_form(label, text, BASELINE_SCHEMA)?;
    let mut snapshot = Snapshot::default();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for (number, line) in numbered(text) {
        let wrong = |message: String| BaselineError::Line {
            label: label.to_owned(),
            line: number,
            message,
        };
        let parsed: Line = serde_json::from_str(line).map_err(|error| {
            let hint = hint_for_unknown_field(&error.to_string());
            wrong(match hint {
                Some(hint) => format!("{error}; {hint}"),
                None => format!("not a line of a baseline: {error}"),
            })
        })?;
        let name = match &parsed {
            Line::Baseline { .. } => "baseline".to_owned(),
            Line::Model(fact) => format!("model {}", fact.model),
            Line::Suite(fact) => format!("suite {}", fact.suite),
            Line::Tool(fact) => format!("tool {}", fact.tool),
            Line::Variant(fact) => format!("variant {}", fact.variant),
            Line::Server(fact) => format!("server {}", fact.server),
            Line::Cell(fact) => format!("cell {}", fact.cell),
            Line::Case(fact) => format!("case {} of {}", fact.case, fact.cell),
        };
        if let Some(before) = places.insert(name.clone(), number) {
            return Err(wrong(format!(
                "{name} stands here again, first in line {before}"
            )));
        }
        match parsed {
            Line::Baseline { about, .. } => snapshot.about = about,
            Line::Model(fact) => snapshot.models.push(fact),
            Line::Suite(fact) => snapshot.suites.push(fact),
            Line::Tool(fact) => snapshot.tools.push(fact),
            Line::Variant(fact) => snapshot.variants.push(fact),
            Line::Server(fact) => snapshot.servers.push(fact),
            Line::Cell(fact) => snapshot.cells.push(fact),
            Line::Case(fact) => {
                check_letters(&fact).map_err(&wrong)?;
                snapshot.cases.push(fact);
            }
        }
    }
    let known: BTreeSet<&str> = snapshot.cells.iter().map(|it| it.cell.as_str()).collect();
    if let Some(lost) = snapshot
        .cases
        .iter()
        .find(|line| !known.contains(line.cell.as_str()))
    {
        let name = format!("case {} of {}", lost.case, lost.cell);
        return Err(BaselineError::Line {
            label: label.to_owned(),
            line: places.get(&name).copied().unwrap_or_default(),
            message: format!("no line describes the cell `{}`", lost.cell),
        });
    }
    Ok(snapshot)
}

fn check_letters(line: &CaseLine) -> Result<(), String> {
    match line.trials.chars().find(|letter| !"PRF-".contains(*letter)) {
        Some(letter) => Err(format!("`{letter}` is no result of a trial (P, R, F or -)")),
        None => Ok(()),
    }
}

/// The first line says what the file is.
fn check_form(label: &str, text: &str, wanted: &'static str) -> Result<(), BaselineError> {
    let first: serde_json::Value = text
        .lines()
        .next()
        .and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default();
    match first["schema"].as_str() {
        Some(found) if found == wanted => Ok(()),
        found => Err(BaselineError::Form {
            label: label.to_owned(),
            found: found.unwrap_or("unknown").to_owned(),
            wanted,
        }),
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// Hash of a baseline, to which its times are tied.
pub fn hash(snapshot: &Snapshot) -> String {
    ContentHash::of_bytes(to_text(snapshot).as_bytes())
        .short()
        .to_owned()
}

/// How long cases took: the measured part of a baseline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Times {
    /// By case and cell: median times of scored trials.
    pub cases: Vec<TimeLine>,
}

/// Times of one case in one cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeLine {
    /// `SUITE/CASE`.
    pub case: String,
    /// The cell.
    pub cell: String,
    /// Median time of its scored trials, those of a busy machine left out.
    pub task_ms: f64,
    /// Median time to its first valid call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_call_ms: Option<f64>,
    /// Mean time of a trial, scored or not: what a time budget is reckoned with.
    pub trial_ms: f64,
}

impl Times {
    /// Of a run; replayed trials have none.
    pub fn of_run(header: &Header, trials: &[TrialRecord]) -> Self {
        let names = CellNames::of(header);
        let mut lists: BTreeMap<(String, String), [Vec<f64>; 3]> = BTreeMap::new();
        for trial in latest_trials(trials) {
            if trial.replayed {
                continue;
            }
            let case = format!("{}/{}", trial.cell.suite, trial.case);
            let [task, call, all] = lists.entry((case, names.of_key(&trial.cell))).or_default();
            all.push(trial.time.total_ms);
            // What a busy machine took says nothing of the model.
            if trial.outcome.is_scored() && !trial.noisy {
                task.push(trial.time.total_ms);
                call.extend(trial.time.to_valid_call_ms);
            }
        }
        let lines = lists.into_iter().filter_map(|((case, cell), lists)| {
            let [task, call, all] = lists;
            Some(TimeLine {
                case,
                cell,
                task_ms: median(task)?,
                valid_call_ms: median(call),
                trial_ms: tenths(all.iter().sum::<f64>() / all.len() as f64),
            })
        });
        Self {
            cases: lines.collect(),
        }
    }

    /// The file's text, for the baseline with this hash.
    pub fn to_text(&self, baseline: &str) -> String {
        let first = serde_json::json!({"schema": LATENCY_SCHEMA, "baseline": baseline});
        format!("{first}\n{}", written(&self.cases))
    }

    /// Reads a file's text, and the hash of the baseline that it belongs to.
    pub fn parse(label: &str, text: &str) -> Result<(Self, String), BaselineError> {
        check_form(label, text, LATENCY_SCHEMA)?;
        let mut times = Self::default();
        let mut baseline = String::new();
        for (number, line) in numbered(text) {
            let wrong = |error: serde_json::Error| BaselineError::Line {
                label: label.to_owned(),
                line: number,
                message: format!("not a line of times: {error}"),
            };
            if number == 1 {
                let first: serde_json::Value = serde_json::from_str(line).map_err(wrong)?;
                first["baseline"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut baseline);
                continue;
            }
            times.cases.push(serde_json::from_str(line).map_err(wrong)?);
        }
        Ok((times, baseline))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    nearest_rank(&values, 50).map(tenths)
}

/// Tenths of a millisecond are more than any clock here can hold.
fn tenths(milliseconds: f64) -> f64 {
    (milliseconds * 10.0).round() / 10.0
}

/// Why a snapshot may not be compared with what this toolbench judges now.
pub fn refusal(baseline: &Snapshot, candidate: &Snapshot) -> Option<String> {
    let (then, now) = (&baseline.about, &candidate.about);
    if then.scorer_version != now.scorer_version {
        return Some(format!(
            "the baseline was judged by scorer version {}, the run by {}",
            then.scorer_version, now.scorer_version
        ));
    }
    (then.weighting != WEIGHTING).then(|| {
        format!(
            "the baseline weighs cases otherwise: `{}`, here `{WEIGHTING}`",
            then.weighting
        )
    })
}

#[cfg(test)]
#[path = "baseline_tests.rs"]
mod tests;
