//! When a run that stops once decided looks at what it has: fixed in the plan, kept in the header.
//!
//! Invariants: looks grow; the cases of a look are a beginning of the order, so the cases of an
//! earlier look are among those of a later one; information rises to 1 at the last look.

use serde::{Deserialize, Serialize};

/// One case by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CaseName {
    /// The suite's name.
    pub suite: String,
    /// The case's id.
    pub case: String,
}

/// What has been run when a look is taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// Cases, from the beginning of the order.
    pub cases: usize,
    /// Trials of each where decoding samples; one where it is greedy.
    pub trials: u32,
    /// Share of the information that the whole plan would give, as planned.
    pub information: f64,
}

/// The looks of a run, and the order its cases are drawn in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LookPlan {
    /// All cases in the order drawn.
    pub order: Vec<CaseName>,
    /// The looks, first to last.
    pub looks: Vec<Look>,
    /// Chance of a false verdict over all looks together.
    pub alpha: f64,
}

impl LookPlan {
    /// The look that first needs a trial: index of the look, `None` for a trial that none needs.
    pub fn look_of(&self, rank: usize, trial: u32) -> Option<usize> {
        self.looks
            .iter()
            .position(|look| rank < look.cases && trial < look.trials)
    }

    /// Place of a case in the order.
    pub fn rank_of(&self, suite: &str, case: &str) -> Option<usize> {
        self.order
            .iter()
            .position(|name| name.suite == suite && name.case == case)
    }
}
