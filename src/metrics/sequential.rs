//! Runs that stop once decided: how far one is, what its verdicts rest on, what comes next.
//!
//! Data in: header and trial lines. Data out: the look that has been reached, the limits of its
//! p-values and intervals, and whether to go on. Invariants: pure, so `report` finds what `run`
//! decided; a verdict is given at looks that the plan fixed, with the level that is left for them;
//! an unfinished look decides nothing.

use std::cell::RefCell;
use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Family};
use super::rows::Latest;
use super::spending::limits;
use super::verdict::{LEVEL, Verdict};
use super::{SummaryOptions, summarise};
use crate::record::format::{CellHeader, Header};
use crate::types::TrialRecord;
use crate::types::looks::LookPlan;

/// How far a run is that stops once decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sequential {
    /// The look that was reached, from 1.
    pub look: usize,
    /// Looks planned.
    pub looks: usize,
    /// Every trial of that look is on record.
    pub complete: bool,
    /// No comparison of the primary family is open.
    pub decided: bool,
    /// Cases drawn by then.
    pub cases: usize,
    /// Cases that could be drawn.
    pub cases_available: usize,
    /// Trials of each case by then, where decoding samples.
    pub trials: u32,
    /// Trials planned up to that look, all cells.
    pub planned_trials: usize,
    /// Trials that the whole plan would take.
    pub available_trials: usize,
    /// Share of the information, as planned.
    pub information: f64,
    /// Chance of a false verdict over all looks together.
    pub alpha: f64,
    /// Limit of a single p-value at this look; intervals of differences leave as much outside.
    pub limit: f64,
    /// How the chance is spent.
    pub spending: String,
    /// The family that has to be decided; `null` when nothing is compared.
    pub primary: Option<Family>,
}

const SPENDING: &str = "Lan-DeMets, O'Brien-Fleming type; repeated intervals";

/// The look a run has reached. `None` in a fixed design, and before the first trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reached<'a> {
    plan: &'a LookPlan,
    /// Index of the look.
    pub(super) look: usize,
}

impl<'a> Reached<'a> {
    /// The latest look that a trial on record belongs to.
    pub(super) fn of(header: &'a Header, latest: &Latest<'_>) -> Option<Self> {
        let plan = header.looks.as_ref()?;
        let ranks = ranks(plan);
        let look = latest
            .trials
            .iter()
            .filter_map(|trial| {
                let rank = ranks.get(&(trial.cell.suite.as_str(), trial.case.as_str()))?;
                plan.look_of(*rank, trial.trial)
            })
            .max()?;
        Some(Self { plan, look })
    }

    /// Trials that a cell has planned up to this look.
    pub(super) fn planned(&self, cell: &CellHeader) -> usize {
        planned(self.plan, cell, self.look)
    }

    /// The limit of a p-value that has to stand against `parts` - 1 others.
    fn limit(&self, parts: usize) -> f64 {
        let information: Vec<f64> = self
            .plan
            .looks
            .iter()
            .map(|look| look.information)
            .collect();
        limits(self.plan.alpha / parts as f64, &information)[self.look]
    }
}

/// The levels that verdicts are given at. Every comparison asks for the same few, and each takes a
/// recursion over all looks, so they are kept.
pub(super) struct Levels<'a> {
    reached: Option<Reached<'a>>,
    kept: RefCell<HashMap<usize, f64>>,
}

impl<'a> Levels<'a> {
    /// At the look that a run has reached; those of a fixed design without one.
    pub(super) fn at(reached: Option<Reached<'a>>) -> Self {
        Self {
            reached,
            kept: RefCell::default(),
        }
    }

    /// What a p-value may be at most when `parts` hypotheses are left: the level over `parts`.
    pub(super) fn limit(&self, parts: usize) -> f64 {
        let parts = parts.max(1);
        let Some(reached) = &self.reached else {
            return LEVEL / parts as f64;
        };
        let mut kept = self.kept.borrow_mut();
        *kept.entry(parts).or_insert_with(|| reached.limit(parts))
    }
}

fn ranks(plan: &LookPlan) -> HashMap<(&str, &str), usize> {
    let names = plan.order.iter().enumerate();
    names
        .map(|(rank, name)| ((name.suite.as_str(), name.case.as_str()), rank))
        .collect()
}

fn planned(plan: &LookPlan, cell: &CellHeader, look: usize) -> usize {
    let cases = |upto: usize| {
        let drawn = plan.order[..upto].iter();
        drawn.filter(|name| name.suite == cell.key.suite).count()
    };
    // Where decoding is greedy, a cell has no more than the first look's trials.
    let most = cell.trials / cell.cases.max(1);
    let look = plan.looks[look];
    cases(look.cases) * (look.trials as usize).min(most)
}

/// How far the run is, for the summary.
pub(super) fn sequential(
    header: &Header,
    latest: &Latest<'_>,
    comparisons: &[Comparison],
) -> Option<Sequential> {
    let reached = Reached::of(header, latest)?;
    let look = reached.plan.looks[reached.look];
    let complete = is_complete(header, latest, &reached);
    let primary = primary(comparisons);
    let open = comparisons
        .iter()
        .any(|c| Some(c.family) == primary && c.verdict == Verdict::NotEnoughData);
    Some(Sequential {
        look: reached.look + 1,
        looks: reached.plan.looks.len(),
        complete,
        decided: complete && primary.is_some() && !open,
        cases: look.cases,
        cases_available: reached.plan.order.len(),
        trials: look.trials,
        planned_trials: header.cells.iter().map(|cell| reached.planned(cell)).sum(),
        available_trials: header.planned_trials,
        information: look.information,
        alpha: reached.plan.alpha,
        limit: reached.limit(1),
        spending: SPENDING.to_owned(),
        primary,
    })
}

/// Every planned trial up to the look is on record, whatever became of it.
fn is_complete(header: &Header, latest: &Latest<'_>, reached: &Reached<'_>) -> bool {
    let ranks = ranks(reached.plan);
    let mut done: HashMap<&str, usize> = HashMap::new();
    for trial in &latest.trials {
        let rank = ranks.get(&(trial.cell.suite.as_str(), trial.case.as_str()));
        let needed = rank.and_then(|rank| reached.plan.look_of(*rank, trial.trial));
        if needed.is_some_and(|look| look <= reached.look) {
            *done.entry(&trial.cell_id).or_default() += 1;
        }
    }
    header
        .cells
        .iter()
        .all(|cell| done.get(cell.id.as_str()).copied().unwrap_or(0) >= reached.planned(cell))
}

/// What the run is about: models where there are several, else what else is compared.
fn primary(comparisons: &[Comparison]) -> Option<Family> {
    let families = comparisons.iter().map(|comparison| comparison.family);
    families.min_by_key(|family| *family as u8)
}

/// What to do after a look.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Run the trials up to this look, by index.
    Look {
        /// Index of the look.
        look: usize,
        /// Comparisons of the primary family without a verdict, of how many.
        open: (usize, usize),
    },
    /// Every comparison of the primary family has its verdict.
    Decided,
    /// The plan is used up.
    AllRun,
    /// There is nothing to decide.
    NothingToCompare,
}

/// What comes next, from the record alone.
pub fn next(header: &Header, trials: &[TrialRecord]) -> Next {
    let summary = summarise(header, trials, &SummaryOptions::default());
    let Some(found) = &summary.header.sequential else {
        return Next::Look {
            look: 0,
            open: (0, 0),
        };
    };
    let of_primary = || {
        let all = summary.comparisons.iter();
        all.filter(|comparison| Some(comparison.family) == found.primary)
    };
    let all = of_primary().count();
    let open = of_primary().filter(|c| c.verdict == Verdict::NotEnoughData);
    let open = (open.count(), all);
    if !found.complete {
        return Next::Look {
            look: found.look - 1,
            open,
        };
    }
    if found.primary.is_none() {
        return Next::NothingToCompare;
    }
    if found.decided {
        return Next::Decided;
    }
    if found.look == found.looks {
        return Next::AllRun;
    }
    Next::Look {
        look: found.look,
        open,
    }
}

#[cfg(test)]
#[path = "sequential_tests.rs"]
mod tests;
