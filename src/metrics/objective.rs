//! Success within a time limit: attainment and goodput.
//!
//! Data in: trials by case, the limit. Data out: a rate and a flow. Invariants: every trial that a
//! user would have waited for is eligible, so errors of server, network and tool are misses; what
//! was cancelled or failed by our own fault is not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::{Cases, Rate, trial_rate};
use crate::types::TrialRecord;
use crate::types::outcome::Counted;

/// What comes of a limit on the time of a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Objective {
    /// The limit.
    pub task_ms: f64,
    /// Trials that succeed within it / trials that were not cancelled: mean over cases. Errors of
    /// server, network and tool are misses.
    pub attainment: Rate,
    /// Such trials in an hour of task time, one at a time; `null` without any time.
    pub goodput_per_hour: Option<f64>,
}

/// See [`Objective`].
pub(super) fn objective(cases: &Cases<'_>, task_ms: f64) -> Objective {
    let eligible =
        |trial: &TrialRecord| trial.outcome.counted() != Counted::Undecidable && !trial.replayed;
    let attained =
        |trial: &TrialRecord| trial.outcome.is_success() && trial.time.total_ms <= task_ms;
    let trials = || cases.iter().flatten().filter(|trial| eligible(trial));
    let total_ms: f64 = trials().map(|trial| trial.time.total_ms).sum();
    let good = trials().filter(|trial| attained(trial)).count();
    Objective {
        task_ms,
        attainment: trial_rate(cases, |trial| eligible(trial).then(|| attained(trial))),
        goodput_per_hour: (total_ms > 0.0).then(|| good as f64 * 3_600_000.0 / total_ms),
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    #[test]
    fn slow_successes_and_errors_are_misses() {
        let mut run = Run::new();
        run.cell(&key("m", Constraint::Off), "PPFVIH");
        for (trial, ms) in run
            .trials
            .iter_mut()
            .zip([100.0, 900.0, 100.0, 50.0, 50.0, 1e6])
        {
            trial.time.total_ms = ms;
        }
        let with = SummaryOptions {
            objective_ms: Some(500.0),
            ..SummaryOptions::default()
        };
        let summary = summarise(&run.header, &run.trials, &with);
        let found = summary.totals[0].objective.as_ref().unwrap();
        assert_eq!((found.attainment.hits, found.attainment.of), (1, 5));
        // One good trial in 1.2 seconds.
        assert!((found.goodput_per_hour.unwrap() - 3000.0).abs() < 1e-9);
        let without = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(without.totals[0].objective, None);
    }
}
