//! How the executed calls of a trial stand to those its case expects, as counts.
//!
//! Data in: what the judge is given, and the expectations of rounds that were never begun. Data
//! out: [`CallCounts`], whose fields say what is counted. Invariants: pure; of several accepted
//! sets the one with the most calls answered for its size counts; `matched` ≤ `right_tool` ≤
//! `expected`, and `extra` ≤ `made`.

use super::judge::{CallFacts, JudgeInput, JudgedRound};
use super::matching::match_set;
use super::schema::ToolSchemas;
use crate::types::ToolCall;
use crate::types::expectation::{CallExpectation, Expectation, Order};
use crate::types::matcher::assign;
use crate::types::trial::CallCounts;

/// Counts over all rounds.
pub fn counts(input: &JudgeInput<'_>, unbegun: &[&Expectation]) -> CallCounts {
    let mut total = CallCounts::default();
    for round in input.rounds {
        add(&mut total, &of_round(round, input.schemas));
    }
    for expectation in unbegun {
        let first = expectation.accepted_sets().next().unwrap_or(&[]);
        total.expected += first.len() as u32;
        total.states += u32::from(expectation.state.is_some());
    }
    total
}

fn add(total: &mut CallCounts, round: &CallCounts) {
    total.expected += round.expected;
    total.made += round.made;
    total.right_tool += round.right_tool;
    total.matched += round.matched;
    total.extra += round.extra;
    total.states += round.states;
    total.states_met += round.states_met;
}

fn of_round(round: &JudgedRound<'_>, schemas: &ToolSchemas) -> CallCounts {
    let expectation = round.expectation;
    let calls: Vec<&ToolCall> = round.calls.iter().map(|executed| &executed.call).collect();
    let facts = CallFacts::new(expectation, round.calls);
    let mut found = if expectation.abstains() {
        let made = (0..calls.len()).filter(|&index| !facts.is_free(index));
        let made = made.count() as u32;
        CallCounts {
            made,
            extra: made,
            ..CallCounts::default()
        }
    } else {
        expectation
            .accepted_sets()
            .filter(|set| !set.is_empty())
            .map(|set| of_set(set, expectation, &calls, &facts, schemas))
            .max_by_key(|counts| 2 * i64::from(counts.matched) - i64::from(counts.expected))
            .unwrap_or_default()
    };
    if let Some(matcher) = &expectation.state {
        found.states = 1;
        found.states_met = u32::from(round.end_state.is_some_and(|state| matcher.matches(state)));
    }
    found
}

fn of_set(
    set: &[CallExpectation],
    expectation: &Expectation,
    calls: &[&ToolCall],
    facts: &CallFacts,
    schemas: &ToolSchemas,
) -> CallCounts {
    let excused = |index: usize| facts.is_excused(index);
    let matched: Vec<usize> = match_set(set, calls, Order::Any, excused, schemas)
        .into_iter()
        .flatten()
        .collect();
    let counts = |index: usize| facts.counts(index) || matched.contains(&index);
    let made: Vec<usize> = (0..calls.len()).filter(|&index| counts(index)).collect();
    let by_tool: Vec<usize> = assign(made.len(), set.len(), |row, column| {
        set[column].tool == calls[made[row]].name
    })
    .into_iter()
    .flatten()
    .collect();
    // Every call of a right tool answers for one expected call; what is allowed besides is asked
    // for too.
    let rest: Vec<&ToolCall> = made
        .iter()
        .filter(|index| !matched.contains(index))
        .map(|&index| calls[index])
        .collect();
    let allowed = match_set(&expectation.allowed, &rest, Order::Any, |_| false, schemas);
    let allowed = allowed.into_iter().flatten().count();
    CallCounts {
        expected: set.len() as u32,
        made: made.len() as u32,
        right_tool: by_tool.len() as u32,
        matched: matched.len() as u32,
        extra: made.len().saturating_sub(by_tool.len() + allowed) as u32,
        ..CallCounts::default()
    }
}
