//! How the executed calls of a trial stand to those its case expects, as counts.
//!
//! Data in: what the judge is given, and the expectations of rounds that were never begun. Data
//! out: [`CallCounts`], whose fields say what is counted, and the [`CallPair`]s behind them.
//! Invariants: pure; of several accepted sets the one with the most calls answered for its size
//! counts; `matched` ≤ `right_tool` ≤ `expected`, and `extra` ≤ `made`; pairs and counts agree.

use super::judge::{CallFacts, JudgeInput, JudgedRound};
use super::matching::match_set;
use super::schema::ToolSchemas;
use crate::types::ToolCall;
use crate::types::expectation::{CallExpectation, Expectation, Order};
use crate::types::trial::CallCounts;

/// An expected call and the call that stands in its place; either may be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallPair {
    /// The tool expected; absent where no expectation asks for the call.
    pub expected: Option<String>,
    /// The tool called; absent where no call is left to stand in its place.
    pub called: Option<String>,
    /// The call answers the expected one, arguments included.
    pub right: bool,
}

/// Counts over all rounds.
pub fn counts(input: &JudgeInput<'_>, unbegun: &[&Expectation]) -> CallCounts {
    counts_and_pairs(input, unbegun).0
}

/// The same with the pairs behind them: calls that answer an expected one first, then calls of the
/// same tool, then what is left in the order of both. Calls that a case allows besides are in none.
pub fn counts_and_pairs(
    input: &JudgeInput<'_>,
    unbegun: &[&Expectation],
) -> (CallCounts, Vec<CallPair>) {
    let (mut total, mut pairs) = (CallCounts::default(), Vec::new());
    for round in input.rounds {
        let (counts, found) = of_round(round, input.schemas);
        add(&mut total, &counts);
        pairs.extend(found);
    }
    for expectation in unbegun {
        let first = expectation.accepted_sets().next().unwrap_or(&[]);
        total.expected += first.len() as u32;
        total.states += u32::from(expectation.state.is_some());
        pairs.extend(first.iter().map(|expected| CallPair {
            expected: Some(expected.tool.clone()),
            called: None,
            right: false,
        }));
    }
    (total, pairs)
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

fn of_round(round: &JudgedRound<'_>, schemas: &ToolSchemas) -> (CallCounts, Vec<CallPair>) {
    let expectation = round.expectation;
    let calls: Vec<&ToolCall> = round.calls.iter().map(|executed| &executed.call).collect();
    let facts = CallFacts::new(expectation, round.calls);
    let (mut found, pairs) = if expectation.abstains() {
        let made = (0..calls.len()).filter(|&index| !facts.is_free(index));
        let pairs: Vec<CallPair> = made.map(|index| surplus(calls[index])).collect();
        let made = pairs.len() as u32;
        let counts = CallCounts {
            made,
            extra: made,
            ..CallCounts::default()
        };
        (counts, pairs)
    } else {
        expectation
            .accepted_sets()
            .filter(|set| !set.is_empty())
            .map(|set| of_set(set, expectation, &calls, &facts, schemas))
            .max_by_key(|(counts, _)| 2 * i64::from(counts.matched) - i64::from(counts.expected))
            .unwrap_or_default()
    };
    if let Some(matcher) = &expectation.state {
        found.states = 1;
        found.states_met = u32::from(round.end_state.is_some_and(|state| matcher.matches(state)));
    }
    (found, pairs)
}

/// A call that no expectation asks for.
fn surplus(call: &ToolCall) -> CallPair {
    CallPair {
        expected: None,
        called: Some(call.name.clone()),
        right: false,
    }
}

fn of_set(
    set: &[CallExpectation],
    expectation: &Expectation,
    calls: &[&ToolCall],
    facts: &CallFacts,
    schemas: &ToolSchemas,
) -> (CallCounts, Vec<CallPair>) {
    let excused = |index: usize| facts.is_excused(index);
    let answers = match_set(set, calls, Order::Any, excused, schemas);
    let matched: Vec<usize> = answers.iter().flatten().copied().collect();
    let counts = |index: usize| facts.counts(index) || matched.contains(&index);
    let made: Vec<usize> = (0..calls.len()).filter(|&index| counts(index)).collect();
    // Every call of a right tool answers for one expected call; what is allowed besides is asked
    // for too.
    let rest: Vec<usize> = made
        .iter()
        .copied()
        .filter(|index| !matched.contains(index))
        .collect();
    let rest_calls: Vec<&ToolCall> = rest.iter().map(|&index| calls[index]).collect();
    let allowed = match_set(
        &expectation.allowed,
        &rest_calls,
        Order::Any,
        |_| false,
        schemas,
    );
    let allowed: Vec<usize> = allowed.into_iter().flatten().map(|at| rest[at]).collect();
    let pairs = pairs_of_set(set, &answers, calls, &rest, &allowed);
    let right_tool = pairs
        .iter()
        .filter(|pair| pair.expected.is_some() && pair.expected == pair.called)
        .count();
    let counts = CallCounts {
        expected: set.len() as u32,
        made: made.len() as u32,
        right_tool: right_tool as u32,
        matched: matched.len() as u32,
        extra: made.len().saturating_sub(right_tool + allowed.len()) as u32,
        ..CallCounts::default()
    };
    (counts, pairs)
}

/// Pairs of one accepted set. `rest` are the calls that count and answer nothing. Calls of one tool
/// can stand for any expected call of it, so taking them in order leaves as many pairs of equal
/// tools as any matching could; those that are allowed besides come last.
fn pairs_of_set(
    set: &[CallExpectation],
    answers: &[Option<usize>],
    calls: &[&ToolCall],
    rest: &[usize],
    allowed: &[usize],
) -> Vec<CallPair> {
    let mut left: Vec<usize> = rest.to_vec();
    left.sort_by_key(|index| allowed.contains(index));
    let mut standing: Vec<Option<usize>> = answers.to_vec();
    for (expected, stands) in set.iter().zip(&mut standing) {
        if stands.is_none()
            && let Some(at) = left.iter().position(|&it| calls[it].name == expected.tool)
        {
            *stands = Some(left.remove(at));
        }
    }
    left.retain(|index| !allowed.contains(index));
    for stands in &mut standing {
        if stands.is_none() && !left.is_empty() {
            *stands = Some(left.remove(0));
        }
    }
    let answered = set.iter().zip(answers).zip(&standing);
    let mut pairs: Vec<CallPair> = answered
        .map(|((expected, answer), stands)| CallPair {
            expected: Some(expected.tool.clone()),
            called: stands.map(|index| calls[index].name.clone()),
            right: answer.is_some(),
        })
        .collect();
    pairs.extend(left.into_iter().map(|index| surplus(calls[index])));
    pairs
}
