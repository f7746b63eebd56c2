//! One point for each run of a cell, and which of them are comparable.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::metrics::latency::Quantiles;
use crate::metrics::rates::Rate;
use crate::record::Outline;
use crate::record::outline::{OutlineModel, OutlineTrial};
use crate::types::{CellKey, ContentHash};

/// What stands together: equal rules, weights and cases.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// `a`, `b`, …
    pub name: String,
    /// Version of the judging rules.
    pub scorer_version: u32,
    /// Weights, of a hybrid those of its legs; empty where they are not known.
    pub weights_sha256: Vec<String>,
    /// Cases.
    pub cases: usize,
    /// How it differs from the series that appeared before it; empty for the first.
    pub differs: Vec<Change>,
}

/// One run of a cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// The run.
    pub run: String,
    /// When its first trial began.
    pub started_at: String,
    /// Which series it belongs to.
    pub series: String,
    /// What changed since the point before it in its series; empty for the first.
    pub changes: Vec<Change>,
    /// Cases with at least one trial on record.
    pub cases: usize,
    /// Trials on record.
    pub trials: usize,
    /// Trials in the denominator.
    pub scored_trials: usize,
    /// Trials on record that do not count.
    pub excluded_trials: usize,
    /// Planned trials without a result; `null` in a run that stops once decided.
    pub missing_trials: Option<usize>,
    /// Passed or recovered.
    pub success: Rate,
    /// Time of a task.
    pub task_ms: Quantiles,
    /// Time to a valid call.
    pub valid_call_ms: Quantiles,
    /// Trials measured while the machine was busy.
    pub noisy_trials: usize,
    /// Replies came from a cassette, so there are no times.
    pub replayed: bool,
    /// Hash of the run's plan.
    pub plan_hash: String,
    /// Version of toolbench.
    pub toolbench_version: String,
    /// Build of the engine or server.
    pub engine_build: String,
}

/// What differs between two runs of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Change {
    /// Judging rules.
    Scorer {
        /// Then.
        then: u32,
        /// Now.
        now: u32,
    },
    /// The model's weights.
    Weights,
    /// The cases: what is asked or expected.
    Cases {
        /// New ones.
        added: usize,
        /// Other questions or expectations under the same id.
        changed: usize,
        /// Gone ones.
        removed: usize,
    },
    /// What is offered: system prompt, tools, few-shot examples, template.
    Offer,
    /// Engine or server.
    Engine {
        /// Then.
        then: String,
        /// Now.
        now: String,
    },
    /// What the model calls itself.
    ReportedName {
        /// Then.
        then: String,
        /// Now.
        now: String,
    },
    /// Toolbench.
    Toolbench {
        /// Then.
        then: String,
        /// Now.
        now: String,
    },
    /// Something else of the plan: seed, sampling rules, a script, other models or suites in the run.
    Plan,
}

impl Change {
    /// In a few words.
    pub fn in_words(&self) -> String {
        match self {
            Self::Scorer { then, now } => format!("scorer {then} → {now}"),
            Self::Weights => "weights".to_owned(),
            Self::Cases {
                added,
                changed,
                removed,
            } => {
                let parts: Vec<String> =
                    [(added, "added"), (changed, "changed"), (removed, "removed")]
                        .into_iter()
                        .filter(|(count, _)| **count > 0)
                        .map(|(count, what)| format!("{count} {what}"))
                        .collect();
                format!("cases ({})", parts.join(", "))
            }
            Self::Offer => "prompt, tools or template".to_owned(),
            Self::Engine { then, now } => format!("engine {then} → {now}"),
            Self::ReportedName { then, now } => format!("model calls itself {then} → {now}"),
            Self::Toolbench { then, now } => format!("toolbench {then} → {now}"),
            Self::Plan => {
                "something else of the plan (seed, script, other models or suites)".to_owned()
            }
        }
    }
}

/// Several in a few words.
pub(super) fn in_words(changes: &[Change]) -> String {
    let words: Vec<String> = changes.iter().map(Change::in_words).collect();
    words.join(", ")
}

/// One case of a cell in one run.
pub(super) struct CaseSeen<'a> {
    pub(super) case_hash: &'a ContentHash,
    pub(super) offer_hash: &'a ContentHash,
    pub(super) trials: Vec<&'a OutlineTrial>,
}

/// A cell in one run.
pub(super) struct CellSeen<'a> {
    pub(super) run: &'a Outline,
    pub(super) model: Option<&'a OutlineModel>,
    /// In plan order.
    pub(super) cases: Vec<(&'a str, CaseSeen<'a>)>,
    planned_trials: usize,
}

/// All cells of all runs.
pub(super) struct Seen<'a> {
    cells: HashMap<&'a CellKey, Vec<CellSeen<'a>>>,
}

impl<'a> Seen<'a> {
    /// Sorts the trials of runs, which come in the order of time, by cell and case.
    pub(super) fn of(runs: &'a [Outline]) -> Self {
        let mut cells: HashMap<&CellKey, Vec<CellSeen<'_>>> = HashMap::new();
        for run in runs {
            let mut by_cell: HashMap<&str, Vec<(&str, CaseSeen<'_>)>> = HashMap::new();
            let mut places: HashMap<(&str, &str), usize> = HashMap::new();
            for trial in &run.trials {
                let cases = by_cell.entry(&trial.cell_id).or_default();
                let place = *places
                    .entry((&trial.cell_id, &trial.case))
                    .or_insert_with(|| {
                        let seen = CaseSeen {
                            case_hash: &trial.case_hash,
                            offer_hash: &trial.offer_hash,
                            trials: Vec::new(),
                        };
                        cases.push((&trial.case, seen));
                        cases.len() - 1
                    });
                cases[place].1.trials.push(trial);
            }
            for cell in &run.header.cells {
                cells.entry(&cell.key).or_default().push(CellSeen {
                    run,
                    model: run
                        .header
                        .models
                        .iter()
                        .find(|it| it.name == cell.key.model),
                    cases: by_cell.remove(cell.id.as_str()).unwrap_or_default(),
                    planned_trials: cell.trials,
                });
            }
        }
        Self { cells }
    }

    /// A cell over time.
    pub(super) fn of_cell(&self, key: &CellKey) -> &[CellSeen<'a>] {
        self.cells.get(key).map(Vec::as_slice).unwrap_or_default()
    }
}

impl CellSeen<'_> {
    pub(super) fn scorer_version(&self) -> u32 {
        self.run.header.scorer_version
    }

    /// Weights of the model and its legs.
    pub(super) fn weights(&self) -> Vec<String> {
        let Some(model) = self.model else {
            return Vec::new();
        };
        let all = std::iter::once(model).chain(&model.legs);
        all.filter_map(|it| it.weights_sha256.clone()).collect()
    }

    fn engine_build(&self) -> String {
        let Some(model) = self.model else {
            return String::new();
        };
        let own = std::iter::once(model).filter(|_| model.legs.is_empty());
        let builds: Vec<&str> = own
            .chain(&model.legs)
            .map(|it| it.facts.engine_build.as_str())
            .collect();
        builds.join(" + ")
    }

    fn reported_name(&self) -> &str {
        self.model.map_or("", |it| &it.facts.reported_name)
    }

    /// Runs of equal conditions are repetitions of one another: plan, engine or server, what the model
    /// calls itself, toolbench.
    pub(super) fn conditions(&self) -> (&ContentHash, String, &str, &str) {
        let header = &self.run.header;
        (
            &header.plan_hash,
            self.engine_build(),
            self.reported_name(),
            &header.toolbench_version,
        )
    }

    fn hashes(&self) -> BTreeMap<&str, &ContentHash> {
        let cases = self.cases.iter();
        cases.map(|(case, seen)| (*case, seen.case_hash)).collect()
    }

    /// Points of equal keys are comparable.
    fn series_key(&self) -> SeriesKey<'_> {
        (self.scorer_version(), self.weights(), self.hashes())
    }

    /// What differs that makes another series.
    fn breaks_since(&self, then: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        if then.scorer_version() != self.scorer_version() {
            found.push(Change::Scorer {
                then: then.scorer_version(),
                now: self.scorer_version(),
            });
        }
        if then.weights() != self.weights() {
            found.push(Change::Weights);
        }
        let (before, now) = (then.hashes(), self.hashes());
        if before != now {
            let is_new = |case: &&&str| !before.contains_key(**case);
            let is_other = |(case, hash): &(&&str, &&ContentHash)| {
                before.get(**case).is_some_and(|old| old != *hash)
            };
            found.push(Change::Cases {
                added: now.keys().filter(is_new).count(),
                changed: now.iter().filter(is_other).count(),
                removed: before
                    .keys()
                    .filter(|case| !now.contains_key(**case))
                    .count(),
            });
        }
        found
    }

    /// What differs between comparable runs.
    pub(super) fn changes_since(&self, then: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        let mut differ = |then: &str, now: &str, change: fn(String, String) -> Change| {
            if then != now {
                found.push(change(then.to_owned(), now.to_owned()));
            }
        };
        differ(&then.engine_build(), &self.engine_build(), |then, now| {
            Change::Engine { then, now }
        });
        differ(then.reported_name(), self.reported_name(), |then, now| {
            Change::ReportedName { then, now }
        });
        differ(
            &then.run.header.toolbench_version,
            &self.run.header.toolbench_version,
            |then, now| Change::Toolbench { then, now },
        );
        let before: HashMap<&str, &ContentHash> = then
            .cases
            .iter()
            .map(|(case, seen)| (*case, seen.offer_hash))
            .collect();
        let is_other = |(case, seen): &(&str, CaseSeen<'_>)| {
            before.get(case).is_some_and(|old| *old != seen.offer_hash)
        };
        if self.cases.iter().any(is_other) {
            found.insert(0, Change::Offer);
        }
        if found.is_empty() && then.run.header.plan_hash != self.run.header.plan_hash {
            found.push(Change::Plan);
        }
        found
    }
}

type SeriesKey<'a> = (u32, Vec<String>, BTreeMap<&'a str, &'a ContentHash>);

/// `a` to `z`, then `a2` and so on.
fn series_name(index: usize) -> String {
    let letter = char::from(b'a' + (index % 26) as u8);
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

/// Series and points of a cell.
pub(super) fn points(seen: &[CellSeen<'_>]) -> (Vec<Series>, Vec<Point>) {
    let mut series: Vec<Series> = Vec::new();
    let mut names: HashMap<SeriesKey<'_>, usize> = HashMap::new();
    // The latest point of each series, and the first of the one that appeared last.
    let mut latest: Vec<&CellSeen<'_>> = Vec::new();
    let mut newest: Option<&CellSeen<'_>> = None;
    let mut points = Vec::new();
    for own in seen.iter().filter(|seen| !seen.cases.is_empty()) {
        let place = *names.entry(own.series_key()).or_insert_with(|| {
            series.push(Series {
                name: series_name(series.len()),
                scorer_version: own.scorer_version(),
                weights_sha256: own.weights(),
                cases: own.cases.len(),
                differs: newest
                    .map(|then| own.breaks_since(then))
                    .unwrap_or_default(),
            });
            newest = Some(own);
            series.len() - 1
        });
        let changes = latest.get(place).map(|then| own.changes_since(then));
        match latest.get_mut(place) {
            Some(known) => *known = own,
            None => latest.push(own),
        }
        points.push(point(own, &series[place].name, changes.unwrap_or_default()));
    }
    (series, points)
}

fn point(seen: &CellSeen<'_>, series: &str, changes: Vec<Change>) -> Point {
    let scored = |trial: &&&OutlineTrial| trial.outcome.is_scored();
    let trials = || seen.cases.iter().flat_map(|(_, case)| &case.trials);
    let quantiles = |value: &dyn Fn(&OutlineTrial) -> Option<f64>| {
        let of_case = |(_, case): &(&str, CaseSeen<'_>)| -> Vec<f64> {
            let timed = case.trials.iter().filter(scored).filter(|it| !it.replayed);
            timed.filter_map(|trial| value(trial)).collect()
        };
        Quantiles::of(seen.cases.iter().map(of_case).collect())
    };
    let count = trials().count();
    let scored_trials = trials().filter(scored).count();
    Point {
        run: seen.run.header.run.clone(),
        started_at: seen.run.started_at().to_owned(),
        series: series.to_owned(),
        changes,
        cases: seen.cases.len(),
        trials: count,
        scored_trials,
        excluded_trials: count - scored_trials,
        missing_trials: seen
            .run
            .header
            .looks
            .is_none()
            .then(|| seen.planned_trials.saturating_sub(count)),
        success: Rate::of_cases(seen.cases.iter().map(|(_, case)| {
            let scored = case.trials.iter().filter(scored);
            scored
                .map(|trial| (u32::from(trial.outcome.is_success()), 1))
                .collect()
        })),
        task_ms: quantiles(&|trial| Some(trial.time.total_ms)),
        valid_call_ms: quantiles(&|trial| trial.time.to_valid_call_ms),
        noisy_trials: trials().filter(scored).filter(|trial| trial.noisy).count(),
        replayed: trials().any(|trial| trial.replayed),
        plan_hash: seen.run.header.plan_hash.to_string(),
        toolbench_version: seen.run.header.toolbench_version.clone(),
        engine_build: seen.engine_build(),
    }
}
