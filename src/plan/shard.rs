//! One part of a plan: every n-th case, with all its cells.
//!
//! Data in: the whole plan, `i/n`. Data out: the part's plan, which knows the whole. Invariants: the
//! parts of one whole hold each of its cases once; ids, seeds and positions are those of the whole, so
//! that parts put together are the whole.

use std::collections::HashMap;

use super::build::{Plan, PlanError, PlanInput, assembled};
use crate::types::Suite;
use crate::types::shard::{WholePlan, WholeSuite};

/// The plan of one shard of `whole`.
pub(super) fn part_of(
    input: &PlanInput,
    whole: &Plan,
    (index, count): (u32, u32),
) -> Result<Plan, PlanError> {
    let suites = every_nth_case(&input.suites, index, count);
    if suites.is_empty() {
        return Err(PlanError::EmptyShard {
            index,
            count,
            cases: input.suites.iter().map(|suite| suite.cases.len()).sum(),
        });
    }
    let mut part = assembled(input, suites)?;
    let positions: HashMap<&str, usize> = whole
        .trials
        .iter()
        .map(|trial| (trial.id.as_str(), trial.position))
        .collect();
    for trial in &mut part.trials {
        if let Some(position) = positions.get(trial.id.as_str()) {
            trial.position = *position;
        }
    }
    let tierless = PlanInput {
        tier: String::new(),
        ..input.clone()
    };
    part.whole = Some(WholePlan {
        plan_hash: whole.hash.clone(),
        tierless_hash: assembled(&tierless, input.suites.clone())?.hash,
        dialects: input.dialects.clone(),
        constraints: input.constraints.clone(),
        suites: whole.suites.iter().map(named).collect(),
    });
    Ok(part)
}

fn named(suite: &Suite) -> WholeSuite {
    WholeSuite {
        suite: suite.suite.clone(),
        cases: suite.cases.iter().map(|case| case.id.clone()).collect(),
    }
}

/// Counted over all suites, so that small suites do not all go to the first shards.
fn every_nth_case(suites: &[Suite], index: u32, count: u32) -> Vec<Suite> {
    let mut position = 0_u32;
    suites
        .iter()
        .map(|suite| {
            let mut part = suite.clone();
            part.cases.retain(|_| {
                let mine = position % count == index - 1;
                position += 1;
                mine
            });
            part
        })
        .filter(|suite| !suite.cases.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::build::build;
    use super::super::build::tests::input;
    use super::*;

    #[test]
    fn parts_hold_every_trial_once_where_the_whole_has_it() {
        let whole = build(&input()).unwrap();
        let mut seen = Vec::new();
        for index in 1..=2 {
            let part = build(&PlanInput {
                shard: Some((index, 2)),
                ..input()
            })
            .unwrap();
            let of_whole = part.whole.unwrap();
            assert_eq!(of_whole.plan_hash, whole.hash);
            assert_ne!(part.hash, whole.hash);
            assert_eq!(of_whole.case_count(), 3);
            seen.extend(part.trials.into_iter().map(|t| (t.position, t.id, t.seed)));
        }
        seen.sort();
        let all: Vec<_> = whole
            .trials
            .into_iter()
            .map(|t| (t.position, t.id, t.seed))
            .collect();
        assert_eq!(seen, all);
    }

    #[test]
    fn the_tier_is_in_one_hash_and_not_in_the_other() {
        let on = |tier: &str| {
            let input = PlanInput {
                shard: Some((1, 2)),
                tier: tier.to_owned(),
                ..input()
            };
            build(&input).unwrap().whole.unwrap()
        };
        assert_ne!(on("a").plan_hash, on("b").plan_hash);
        assert_eq!(on("a").tierless_hash, on("b").tierless_hash);
    }

    #[test]
    fn a_shard_without_a_case_says_how_many_there_are() {
        let error = build(&PlanInput {
            shard: Some((4, 4)),
            ..input()
        });
        assert_eq!(
            error,
            Err(PlanError::EmptyShard {
                index: 4,
                count: 4,
                cases: 3
            })
        );
    }
}
