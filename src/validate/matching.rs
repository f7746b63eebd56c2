//! Executed calls against accepted call sets.
//!
//! Data in: one accepted set and the executed calls. Data out: which executed call answers which
//! expected one, and why two do not fit. Invariants: a largest matching is found, not a greedy
//! one; declared defaults equal omission both ways, for required and optional arguments.

use serde_json::Value;

use super::schema::ToolSchemas;
use crate::types::ToolCall;
use crate::types::expectation::{CallExpectation, Order};
use crate::types::matcher::{assign, equal_by_value};

/// Why one argument of a call is not accepted.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mismatch {
    /// Wanted and absent, and its default is not accepted either.
    Absent(String),
    /// Given and not accepted.
    Refused(String),
    /// Given, named nowhere in the expectation, and not the declared default.
    Unasked(String),
}

/// Every argument of `call` that `expected` does not accept; the tools must be the same.
pub(super) fn mismatches(
    expected: &CallExpectation,
    call: &ToolCall,
    schemas: &ToolSchemas,
) -> Vec<Mismatch> {
    let default_of = |name: &str| schemas.default_of(&expected.tool, name);
    let given = |name: &str| call.arguments.get(name);
    let mut found = Vec::new();
    for (name, matcher) in &expected.arguments {
        match given(name) {
            Some(value) if !matcher.matches(value) => found.push(Mismatch::Refused(name.clone())),
            Some(_) => {}
            None if default_of(name).is_some_and(|value| matcher.matches(value)) => {}
            None => found.push(Mismatch::Absent(name.clone())),
        }
    }
    for (name, value) in call.arguments.as_object().into_iter().flatten() {
        if expected.arguments.contains_key(name) {
            continue;
        }
        let is_default = default_of(name).is_some_and(|default| equal_by_value(default, value));
        match expected.optional.get(name) {
            _ if is_default => {}
            Some(matcher) if matcher.matches(value) => {}
            Some(_) => found.push(Mismatch::Refused(name.clone())),
            None => found.push(Mismatch::Unasked(name.clone())),
        }
    }
    found
}

/// Whether `call` is what `expected` asks for.
pub(super) fn fits(expected: &CallExpectation, call: &ToolCall, schemas: &ToolSchemas) -> bool {
    expected.tool == call.name && mismatches(expected, call, schemas).is_empty()
}

/// For each expected call the executed one that answers it: as many as can be. Under
/// [`Order::Any`] calls that `rank` puts first are used first: Kuhn's algorithm never lets go of
/// a row once matched, so going through the calls in order of rank prefers the early ones.
pub(super) fn match_set(
    set: &[CallExpectation],
    calls: &[&ToolCall],
    order: Order,
    rank: impl Fn(usize) -> bool,
    schemas: &ToolSchemas,
) -> Vec<Option<usize>> {
    if order == Order::Strict {
        return assign_in_order(set.len(), calls.len(), |row, column| {
            fits(&set[row], calls[column], schemas)
        });
    }
    let mut ranked: Vec<usize> = (0..calls.len()).collect();
    ranked.sort_by_key(|&index| (rank(index), index));
    let by_call = assign(ranked.len(), set.len(), |row, column| {
        fits(&set[column], calls[ranked[row]], schemas)
    });
    let mut by_expected = vec![None; set.len()];
    for (row, column) in by_call.into_iter().enumerate() {
        if let Some(column) = column {
            by_expected[column] = Some(ranked[row]);
        }
    }
    by_expected
}

/// The first expected call that cannot stand where it does: no complete assignment of calls keeps
/// every `after`. `None` when one does, or when nothing is said of the order.
pub(super) fn first_out_of_turn(
    set: &[CallExpectation],
    calls: &[&ToolCall],
    schemas: &ToolSchemas,
) -> Option<usize> {
    if set.iter().all(|expected| expected.after.is_empty()) {
        return None;
    }
    let candidates: Vec<Vec<usize>> = set
        .iter()
        .map(|expected| {
            (0..calls.len())
                .filter(|&call| fits(expected, calls[call], schemas))
                .collect()
        })
        .collect();
    let mut search = PartialOrder {
        set,
        candidates: &candidates,
        chosen: vec![None; set.len()],
        furthest: 0,
        steps: 0,
    };
    if search.place(0) {
        None
    } else {
        Some(search.furthest)
    }
}

/// Steps after which a search gives up and calls the order wrong: far beyond any written case.
const ORDER_STEPS: usize = 100_000;

/// Backtracking over the calls that fit each expected one.
struct PartialOrder<'a> {
    set: &'a [CallExpectation],
    candidates: &'a [Vec<usize>],
    chosen: Vec<Option<usize>>,
    /// The expected call beyond which no attempt came.
    furthest: usize,
    steps: usize,
}

impl PartialOrder<'_> {
    fn place(&mut self, row: usize) -> bool {
        if row == self.set.len() {
            return true;
        }
        self.furthest = self.furthest.max(row);
        for &call in &self.candidates[row] {
            self.steps += 1;
            if self.steps > ORDER_STEPS {
                return false;
            }
            if self.chosen.contains(&Some(call)) || !self.keeps_order(row, call) {
                continue;
            }
            self.chosen[row] = Some(call);
            if self.place(row + 1) {
                return true;
            }
            self.chosen[row] = None;
        }
        false
    }

    /// Whether `call` for `row` stands right to everything placed so far.
    fn keeps_order(&self, row: usize, call: usize) -> bool {
        let comes_after = |later: &CallExpectation, earlier: &CallExpectation| {
            earlier
                .id
                .as_ref()
                .is_some_and(|id| later.after.contains(id))
        };
        (0..row).all(|other| {
            let Some(placed) = self.chosen[other] else {
                return true;
            };
            (!comes_after(&self.set[row], &self.set[other]) || placed < call)
                && (!comes_after(&self.set[other], &self.set[row]) || call < placed)
        })
    }
}

/// Largest matching whose columns rise with its rows (longest common subsequence).
fn assign_in_order(
    rows: usize,
    columns: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    let table: Vec<Vec<bool>> = (0..rows)
        .map(|row| (0..columns).map(|column| fits(row, column)).collect())
        .collect();
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let skip = best[row + 1][column].max(best[row][column + 1]);
            let take = if table[row][column] {
                1 + best[row + 1][column + 1]
            } else {
                0
            };
            best[row][column] = skip.max(take);
        }
    }
    let mut result = vec![None; rows];
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if table[row][column] && best[row][column] == 1 + best[row + 1][column + 1] {
            result[row] = Some(column);
            row += 1;
            column += 1;
        } else if best[row + 1][column] >= best[row][column + 1] {
            row += 1;
        } else {
            column += 1;
        }
    }
    result
}

/// Whether two calls ask for the same: same tool, same arguments with defaults filled in.
pub(super) fn same_call(left: &ToolCall, right: &ToolCall, schemas: &ToolSchemas) -> bool {
    if left.name != right.name {
        return false;
    }
    let (Value::Object(a), Value::Object(b)) = (&left.arguments, &right.arguments) else {
        return equal_by_value(&left.arguments, &right.arguments);
    };
    let default_of = |name: &String| schemas.default_of(&left.name, name);
    let covered = |one: &serde_json::Map<String, Value>, other: &serde_json::Map<String, Value>| {
        one.iter().all(|(name, value)| {
            other
                .get(name)
                .or_else(|| default_of(name))
                .is_some_and(|twin| equal_by_value(value, twin))
        })
    };
    covered(a, b) && covered(b, a)
}
