//! Runs over time: success and latency of each cell from run to run, and the cases that changed.
//!
//! Data in: outlines of stored runs. Data out: a [`History`] and its texts. Invariants: pure; runs stand
//! in the order of time; rates and quantiles are those that `report` gives; what was judged by other
//! rules, with other weights or on other cases stands in a series of its own, and nothing is said
//! across series; a case is called flaky only where neither plan nor engine had changed.

mod cases;
mod csv;
mod points;
mod text;

pub use cases::{CaseChange, FlakyCase};
pub use csv::write_csv;
pub use points::{Change, Point, Series};
pub use text::{Look, markdown, terminal};

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;

use crate::record::Outline;
use crate::types::CellKey;
use points::Seen;

/// Name and version of the JSON.
pub const HISTORY_SCHEMA: &str = "toolbench.history/1";

/// Everything a history shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct History {
    /// [`HISTORY_SCHEMA`].
    pub schema: &'static str,
    /// Runs in the order of time.
    pub runs: Vec<RunLine>,
    /// Cells in the order in which they were first run.
    pub cells: Vec<CellHistory>,
    /// Runs that are not part of it, with the reason.
    pub left_out: Vec<LeftOut>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunLine {
    /// Its name.
    pub run: String,
    /// When its first trial began.
    pub started_at: String,
    /// Version of toolbench.
    pub toolbench_version: String,
    /// Version of the judging rules.
    pub scorer_version: u32,
    /// Hash of its plan.
    pub plan_hash: String,
}

/// A run that is not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its name.
    pub run: String,
    /// Why.
    pub reason: String,
}

/// One cell over time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CellHistory {
    /// Model as named.
    pub model: String,
    /// Dialect.
    pub dialect: String,
    /// Constraint.
    pub constraint: String,
    /// Variant.
    pub variant: String,
    /// Suite.
    pub suite: String,
    /// Hardware tier.
    pub tier: String,
    /// Other settings that tell it from cells of equal names; empty where there are none.
    pub settings: BTreeMap<String, String>,
    /// What is comparable, in order of first appearance.
    pub series: Vec<Series>,
    /// One for each run that has the cell, in the order of time.
    pub points: Vec<Point>,
    /// Cases that failed last and passed before.
    pub newly_failing: Vec<CaseChange>,
    /// Cases that passed last and failed before.
    pub newly_passing: Vec<CaseChange>,
    /// Cases that came out both ways with nothing changed.
    pub flaky: Vec<FlakyCase>,
}

/// Which runs and cells are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Models; all where empty.
    pub models: Vec<String>,
    /// Suites; all where empty.
    pub suites: Vec<String>,
    /// Latest runs.
    pub last: Option<usize>,
}

impl Filter {
    fn takes(&self, key: &CellKey) -> bool {
        let among = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        among(&self.models, &key.model) && among(&self.suites, &key.suite)
    }
}

/// The history of these runs.
pub fn history(outlines: Vec<Outline>, filter: &Filter) -> History {
    let (mut runs, left_out) = those_that_count(outlines);
    runs.retain(|run| run.header.cells.iter().any(|cell| filter.takes(&cell.key)));
    runs.sort_by(|one, two| {
        (one.started_at(), &one.header.run).cmp(&(two.started_at(), &two.header.run))
    });
    if let Some(last) = filter.last {
        runs.drain(..runs.len().saturating_sub(last));
    }
    let mut keys: Vec<&CellKey> = Vec::new();
    let mut known: HashSet<&CellKey> = HashSet::new();
    for cell in runs.iter().flat_map(|run| &run.header.cells) {
        if filter.takes(&cell.key) && known.insert(&cell.key) {
            keys.push(&cell.key);
        }
    }
    let seen = Seen::of(&runs);
    History {
        schema: HISTORY_SCHEMA,
        cells: keys.iter().map(|key| cell(key, &keys, &seen)).collect(),
        runs: runs.iter().map(line).collect(),
        left_out,
    }
}

fn line(run: &Outline) -> RunLine {
    RunLine {
        run: run.header.run.clone(),
        started_at: run.started_at().to_owned(),
        toolbench_version: run.header.toolbench_version.clone(),
        scorer_version: run.header.scorer_version,
        plan_hash: run.header.plan_hash.to_string(),
    }
}

fn cell(key: &CellKey, all: &[&CellKey], seen: &Seen<'_>) -> CellHistory {
    let of_cell = seen.of_cell(key);
    let found = cases::cases(of_cell);
    let (series, points) = points::points(of_cell);
    CellHistory {
        model: key.model.clone(),
        dialect: key.dialect.to_string(),
        constraint: key.constraint.to_string(),
        variant: key.variant.clone(),
        suite: key.suite.clone(),
        tier: key.tier.clone(),
        settings: telling_settings(key, all),
        series,
        points,
        newly_failing: found.newly_failing,
        newly_passing: found.newly_passing,
        flaky: found.flaky,
    }
}

/// Settings in which a cell differs from others of the same names.
fn telling_settings(key: &CellKey, all: &[&CellKey]) -> BTreeMap<String, String> {
    let names = |key: &CellKey| {
        let labels = (key.dialect, key.constraint, key.variant.clone());
        (
            key.model.clone(),
            labels,
            key.suite.clone(),
            key.tier.clone(),
        )
    };
    let mut telling = BTreeMap::new();
    let others = || {
        let others = all.iter().filter(|other| **other != key);
        others.filter(|other| names(other) == names(key))
    };
    for (name, value) in &key.settings {
        if others().any(|other| other.settings.get(name) != Some(value)) {
            telling.insert(name.clone(), value.clone());
        }
    }
    if others().any(|other| other.variant_hash != key.variant_hash) {
        telling.insert("variant".to_owned(), key.variant_hash.clone());
    }
    telling
}

/// Of a run and what was made of it, one: shards stand for themselves only within their merged run,
/// and what was judged again stands in the place of the judgement before.
fn those_that_count(outlines: Vec<Outline>) -> (Vec<Outline>, Vec<LeftOut>) {
    let merged: HashMap<String, String> = outlines
        .iter()
        .flat_map(|run| {
            let shards = run.header.merged_from.iter();
            shards.map(|shard| (shard.run.clone(), run.header.run.clone()))
        })
        .collect();
    // The latest judgement of each run that was judged again.
    let mut judged: HashMap<String, (u32, String, String)> = HashMap::new();
    for run in &outlines {
        let Some(from) = &run.header.rescored_from else {
            continue;
        };
        let header = &run.header;
        let own = (
            header.scorer_version,
            header.created_at.clone(),
            header.run.clone(),
        );
        let known = judged
            .entry(from.run.clone())
            .or_insert_with(|| own.clone());
        if own > *known {
            *known = own;
        }
    }
    let mut left_out = Vec::new();
    let counts = |run: &Outline| -> Result<(), String> {
        let header = &run.header;
        if let Some((index, count)) = header.shard {
            return Err(match merged.get(&header.run) {
                Some(whole) => format!("shard {index}/{count}, part of {whole}"),
                None => format!("shard {index}/{count}, not merged: `toolbench merge`"),
            });
        }
        let origin = header.rescored_from.as_ref().map(|from| &from.run);
        let later = judged
            .get(&header.run)
            .or_else(|| judged.get(origin?))
            .filter(|(.., latest)| *latest != header.run);
        match later {
            Some((.., latest)) => Err(format!("judged again as {latest}")),
            None => Ok(()),
        }
    };
    let mut kept = Vec::new();
    for run in outlines {
        match counts(&run) {
            Ok(()) => kept.push(run),
            Err(reason) => left_out.push(LeftOut {
                run: run.header.run,
                reason,
            }),
        }
    }
    (kept, left_out)
}

#[cfg(test)]
mod tests;
