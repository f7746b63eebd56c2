//! The looks of a run that stops once decided.
//!
//! Data in: suites with the selected cases, seed, trials a case. Data out: a [`LookPlan`].
//! Invariants: pure; fixed before the first trial, so that no result shapes when it is looked at.

use super::order::case_order;
use crate::types::Suite;
use crate::types::looks::{CaseName, Look, LookPlan};

/// Looks while cases are drawn; each further trial of all cases is one more.
const CASE_LOOKS: usize = 5;
/// Fewest cases of a look: with fewer, no exact test at 5 % can reject.
const FEWEST_CASES: usize = 6;
/// Chance of a false verdict over all looks together.
const ALPHA: f64 = 0.05;
/// Share of the variance that is taken to lie between cases when further trials are valued. It only
/// shares out the chance of error among looks and is no claim about the data.
const BETWEEN_CASES: f64 = 0.5;

/// First `trials` of every case, in five steps over the order of cases, then one more trial of all
/// cases at a time up to `most_trials`.
pub(super) fn looks(suites: &[Suite], seed: u64, trials: u32, most_trials: u32) -> LookPlan {
    let order: Vec<CaseName> = case_order(suites, seed)
        .into_iter()
        .map(|place| CaseName {
            suite: suites[place.suite].suite.clone(),
            case: suites[place.suite].cases[place.case].id.clone(),
        })
        .collect();
    let cases = order.len();
    let worth = |trials: u32| {
        let trials = f64::from(trials);
        trials / (1.0 + (trials - 1.0) * BETWEEN_CASES)
    };
    let whole = worth(most_trials.max(trials));
    let mut looks: Vec<Look> = Vec::new();
    for step in 1..=CASE_LOOKS {
        let drawn = (cases * step).div_ceil(CASE_LOOKS);
        let enough = drawn >= FEWEST_CASES || step == CASE_LOOKS;
        if enough && looks.last().is_none_or(|last| last.cases < drawn) {
            looks.push(Look {
                cases: drawn,
                trials,
                information: drawn as f64 / cases as f64 * worth(trials) / whole,
            });
        }
    }
    looks.extend((trials + 1..=most_trials).map(|trials| Look {
        cases,
        trials,
        information: worth(trials) / whole,
    }));
    LookPlan {
        order,
        looks,
        alpha: ALPHA,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Case;

    fn suite(cases: usize) -> Vec<Suite> {
        vec![Suite {
            suite: "s".to_owned(),
            cases: (0..cases)
                .map(|index| Case {
                    id: format!("c{index}"),
                    ..Case::default()
                })
                .collect(),
            ..Suite::default()
        }]
    }

    #[test]
    fn cases_come_first_then_trials() {
        let plan = looks(&suite(42), 1, 1, 3);
        let shape: Vec<(usize, u32)> = plan.looks.iter().map(|l| (l.cases, l.trials)).collect();
        assert_eq!(
            shape,
            [(9, 1), (17, 1), (26, 1), (34, 1), (42, 1), (42, 2), (42, 3)]
        );
        let information: Vec<f64> = plan.looks.iter().map(|look| look.information).collect();
        assert!(information.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((information[6] - 1.0).abs() < 1e-12);
        // By hand: one trial is worth 1, three are worth 3 / (1 + 2 · 0.5) = 1.5.
        assert!((information[4] - 1.0 / 1.5).abs() < 1e-12);
        assert_eq!(plan.look_of(0, 0), Some(0));
        assert_eq!(plan.look_of(9, 0), Some(1));
        assert_eq!(plan.look_of(0, 2), Some(6));
        assert_eq!(plan.look_of(0, 3), None);
        assert_eq!(plan.rank_of("s", &plan.order[7].case), Some(7));
    }

    #[test]
    fn few_cases_have_few_looks() {
        let cases = |n| -> Vec<usize> {
            looks(&suite(n), 1, 1, 1)
                .looks
                .iter()
                .map(|look| look.cases)
                .collect()
        };
        assert_eq!(cases(3), [3]);
        assert_eq!(cases(10), [6, 8, 10]);
        assert_eq!(cases(26), [6, 11, 16, 21, 26]);
    }
}
