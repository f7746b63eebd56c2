//! When a round that ends with its calls is over.
//!
//! Data in: the expectation and the calls executed so far. Data out: whether to go on.
//! Invariant: a trial that can still be right is never ended.

use super::judge::ExecutedCall;
use super::matching::match_set;
use super::schema::ToolSchemas;
use crate::types::ToolCall;
use crate::types::expectation::{Expectation, Order};

/// Whether a round that ends with its calls is over: an accepted set is complete, or as many
/// calls were made as the set that they fit best holds, or one was made where none may be.
/// Calls to free tools and calls that a tool refused do not count unless they were expected: the
/// model may still put them right.
pub fn complete(expectation: &Expectation, calls: &[ExecutedCall], schemas: &ToolSchemas) -> bool {
    let is_free = |index: usize| expectation.free.contains(&calls[index].call.name);
    if expectation.abstains() {
        return (0..calls.len()).any(|index| !is_free(index));
    }
    if !expectation.wants_calls() {
        return false;
    }
    if expectation.any_call {
        return !calls.is_empty();
    }
    let all: Vec<&ToolCall> = calls.iter().map(|executed| &executed.call).collect();
    let is_error = |index: usize| calls[index].result.is_error;
    let allowed = match_set(&expectation.allowed, &all, Order::Any, |_| false, schemas);
    let is_besides = |index: usize| is_free(index) || allowed.contains(&Some(index));
    let plain = (0..calls.len())
        .filter(|&index| !is_besides(index) && !is_error(index))
        .count();
    expectation
        .accepted_sets()
        .filter(|set| !set.is_empty())
        .map(|set| {
            let matched = match_set(set, &all, expectation.order, is_error, schemas);
            let hits: Vec<usize> = matched.iter().flatten().copied().collect();
            // An error that answers an expected call counts after all, and so does a free call.
            let extra = hits
                .iter()
                .filter(|&&index| is_besides(index) || is_error(index))
                .count();
            (hits.len(), set.len(), plain + extra)
        })
        .max_by_key(|&(hits, size, _)| (hits == size, hits, std::cmp::Reverse(size)))
        .is_some_and(|(hits, size, counted)| hits == size || counted >= size)
}
