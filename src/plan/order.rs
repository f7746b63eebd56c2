//! The order in which cases are drawn: for `--sample`, and for runs that stop once decided.
//!
//! Data in: suites with the selected cases, the run's seed. Data out: every case once. Invariants:
//! pure; the order in which suites and cases are given changes nothing; every beginning of the
//! order holds each suite in proportion, up to one case, and so do the cases drawn of a suite with
//! its categories; within a category the order is a shuffle that the seed decides.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::types::Suite;
use crate::types::hash::trial_seed;

/// Which case: indices into the suites given and their cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CasePlace {
    /// Index of the suite.
    pub suite: usize,
    /// Index of the case in it.
    pub case: usize,
}

/// All cases in the order in which they are drawn.
///
/// Twice the same step: the categories of a suite are spread evenly over the suite, then the
/// suites evenly over the whole. In each step the case of rank r of n stands at (r + u)/n of a
/// circle, with u drawn once a stratum, so that no stratum is always first.
pub fn case_order(suites: &[Suite], seed: u64) -> Vec<CasePlace> {
    let mut by_suite = BTreeMap::new();
    for (suite, value) in suites.iter().enumerate() {
        let mut by_category: BTreeMap<&str, Vec<Drawn<'_>>> = BTreeMap::new();
        for (case, found) in value.cases.iter().enumerate() {
            let shuffled = trial_seed(seed, &value.suite, &found.id, ORDER);
            let place = CasePlace { suite, case };
            by_category
                .entry(&found.category)
                .or_default()
                .push((shuffled, &found.id, place));
        }
        for cases in by_category.values_mut() {
            cases.sort_unstable();
        }
        let start = |category: &&str| as_share(trial_seed(seed, &value.suite, category, STRATUM));
        let turn = as_share(trial_seed(seed, &value.suite, "", TURN));
        by_suite.insert(value.suite.as_str(), spread(by_category, turn, start));
    }
    let turn = as_share(trial_seed(seed, "", "", TURN));
    let start = |suite: &&str| as_share(trial_seed(seed, suite, "", STRATUM));
    spread(by_suite, turn, start)
        .into_iter()
        .map(|(_, _, place)| place)
        .collect()
}

type Drawn<'a> = (u64, &'a str, CasePlace);

/// Strata, each in its own order, spread evenly over a circle that is cut open at `turn`, so that
/// no rank is more likely than another to stand at the beginning.
fn spread<K: Ord>(
    strata: BTreeMap<K, Vec<Drawn<'_>>>,
    turn: f64,
    start: impl Fn(&K) -> f64,
) -> Vec<Drawn<'_>> {
    let mut placed = Vec::new();
    for (name, cases) in strata {
        let (start, size) = (start(&name), cases.len() as f64);
        for (rank, case) in cases.into_iter().enumerate() {
            let position = ((rank as f64 + start) / size + turn).fract();
            placed.push((position, case));
        }
    }
    placed.sort_unstable_by(|one, two| one.0.total_cmp(&two.0).then(one.1.cmp(&two.1)));
    placed.into_iter().map(|(_, case)| case).collect()
}

/// Trial numbers that no trial has, so that the order shares no random number with a trial.
const ORDER: u32 = u32::MAX;
const STRATUM: u32 = u32::MAX - 1;
const TURN: u32 = u32::MAX - 2;

/// From 0 up to, but without, 1.
fn as_share(random: u64) -> f64 {
    (random >> 11) as f64 / (1_u64 << 53) as f64
}

/// The suites with only the first `size` cases of [`case_order`]; cases keep the order of their
/// files, suites without a case are left out.
pub fn sample(suites: Vec<Suite>, size: usize, seed: u64) -> Vec<Suite> {
    let mut drawn = case_order(&suites, seed);
    drawn.truncate(size);
    drawn.sort_unstable();
    let mut kept = Vec::new();
    for (index, mut suite) in suites.into_iter().enumerate() {
        let mut position = 0;
        suite.cases.retain(|_| {
            let place = CasePlace {
                suite: index,
                case: position,
            };
            position += 1;
            drawn.binary_search(&place).is_ok()
        });
        if !suite.cases.is_empty() {
            kept.push(suite);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::types::Case;

    fn suite(name: &str, categories: &[(&str, usize)]) -> Suite {
        let mut cases = Vec::new();
        for (category, count) in categories {
            cases.extend((0..*count).map(|index| Case {
                id: format!("{category}-{index}"),
                category: (*category).to_owned(),
                ..Case::default()
            }));
        }
        Suite {
            suite: name.to_owned(),
            cases,
            ..Suite::default()
        }
    }

    fn names(suites: &[Suite], order: &[CasePlace]) -> Vec<(String, String)> {
        let name = |place: &CasePlace| {
            let suite = &suites[place.suite];
            (suite.suite.clone(), suite.cases[place.case].id.clone())
        };
        order.iter().map(name).collect()
    }

    fn two() -> Vec<Suite> {
        vec![
            suite("a", &[("x", 30), ("y", 10)]),
            suite("b", &[("x", 20), ("z", 1)]),
        ]
    }

    proptest! {
        #[test]
        fn every_beginning_is_in_proportion(seed in any::<u64>(), size in 1_usize..=61) {
            let suites = two();
            let order = case_order(&suites, seed);
            let mut seen: BTreeMap<(usize, String), f64> = BTreeMap::new();
            let of_first = order[..size].iter().filter(|place| place.suite == 0).count() as f64;
            prop_assert!((of_first - size as f64 * 40.0 / 61.0).abs() <= 1.0 + 1e-9);
            for place in &order[..size] {
                let category = suites[place.suite].cases[place.case].category.clone();
                *seen.entry((place.suite, category)).or_default() += 1.0;
            }
            for (suite, category, of) in [(0, "x", 30.0), (0, "y", 10.0), (1, "x", 20.0), (1, "z", 1.0)] {
                let found = seen.get(&(suite, category.to_owned())).copied().unwrap_or(0.0);
                let fair = size as f64 * of / 61.0;
                // Each of the two steps is within a case or so.
                prop_assert!((found - fair).abs() <= 2.5, "{suite} {category}: {found} of {fair}");
            }
        }

        #[test]
        fn every_case_is_drawn_once_in_whatever_order_they_are_given(seed in any::<u64>()) {
            let suites = two();
            let mut reversed = two();
            reversed.reverse();
            for suite in &mut reversed {
                suite.cases.reverse();
            }
            let order = names(&suites, &case_order(&suites, seed));
            prop_assert_eq!(&order, &names(&reversed, &case_order(&reversed, seed)));
            let mut sorted = order.clone();
            sorted.sort();
            sorted.dedup();
            prop_assert_eq!(sorted.len(), 61);
        }
    }

    #[test]
    fn the_seed_decides_and_every_case_is_as_likely_to_come_first() {
        let suites = two();
        assert_ne!(case_order(&suites, 1), case_order(&suites, 2));
        // The only case of its stratum among 61 is in a sample of 10 about 10/61 of the time.
        let draws = 4000;
        let hits = (0..draws)
            .filter(|seed| {
                let kept = sample(two(), 10, *seed);
                let of_z = |suite: &Suite| suite.cases.iter().any(|case| case.category == "z");
                kept.iter().any(of_z)
            })
            .count();
        let share = hits as f64 / draws as f64;
        assert!((share - 10.0 / 61.0).abs() < 0.025, "{share}");
    }

    #[test]
    fn a_smaller_sample_is_part_of_a_larger_one() {
        let ids = |size| -> Vec<(String, String)> {
            sample(two(), size, 7)
                .iter()
                .flat_map(|suite| {
                    let name = suite.suite.clone();
                    suite
                        .cases
                        .iter()
                        .map(move |c| (name.clone(), c.id.clone()))
                })
                .collect()
        };
        let (small, large) = (ids(12), ids(40));
        assert_eq!((small.len(), large.len()), (12, 40));
        assert!(small.iter().all(|name| large.contains(name)));
        assert_eq!(ids(1000).len(), 61, "more than there are is all there are");
    }
}
