//! Judging a trial: all executed calls, answers and end states against the case.
//!
//! Data in: per round the expectation and what happened. Data out: violations of the decision,
//! selection, value, plurality, execution and outcome stages, none when the trial is right.
//!
//! Definitions, so that every verdict can be decided by hand:
//! - A call to a *free* tool may answer an expected call and never counts against a trial. An
//!   *allowed* call may be made once besides the expected ones, with the arguments stated.
//! - A call is *excused* when its result is an error and either the case scripted that error or
//!   a later call of the same tool succeeded: it was put right, so it is neither surplus nor
//!   counted towards the end of a round. It may still answer an expected call.
//! - A round without `calls`, `alternatives`, `no_call` and `ask_back` is judged by answer and
//!   state alone; `any_call` asks for one call of any kind.
//! - `ask_back`: every call is `unwanted_call`; an answer that does not read as a request, or does
//!   not name what is missing, is `answer_mismatch`.
//! - Of several accepted sets the one that leaves the fewest findings explains the round; on a
//!   tie the one with more matched calls, then the first.
//! - An unmatched expected call is explained by the closest unmatched executed call: same tool
//!   first (`missing_optional`, `wrong_value`, `hallucinated_value`), then any (`wrong_tool`),
//!   else `too_few_calls`, or `missing_call` when no call at all was made.
//! - What remains is `duplicate_call` when an equal call came before, else `too_many_calls`; a
//!   forbidden call is `unsafe_call` and nothing else, save under `no_call`.
//! - `degenerate_loop`: [`LOOP_LENGTH`] equal calls in a row (free tools and calls that the case
//!   asks for left out) of which at least one is not excused.
//! - `ignored_result`: the answer fails its matcher, some call succeeded, and no number or word of
//!   four letters or more that only the results hold stands in the answer; else `answer_mismatch`.

use serde_json::Value;

use super::ending::outcome;
use super::matching::{Mismatch, first_out_of_turn, match_set, mismatches, same_call};
use super::schema::ToolSchemas;
use super::vocabulary::Known;
use crate::types::expectation::{CallExpectation, Expectation, Order};
use crate::types::suite::Ends;
use crate::types::{Code, ToolCall, ToolResult, Violation};

/// Equal calls in a row that make a loop.
pub const LOOP_LENGTH: usize = 3;

/// One call that went to the tool host, and what came back.
#[derive(Clone, Debug, PartialEq)]
pub struct ExecutedCall {
    /// Turn of the trial from 0; calls of one reply share it.
    pub turn: u32,
    /// The call, valid by its schema; own tool name.
    pub call: ToolCall,
    /// The tool's answer.
    pub result: ToolResult,
}

/// One round as it went.
#[derive(Clone, Copy, Debug)]
pub struct JudgedRound<'a> {
    /// What was expected.
    pub expectation: &'a Expectation,
    /// The scripted user message.
    pub user: &'a str,
    /// Executed calls in order.
    pub calls: &'a [ExecutedCall],
    /// The final answer of the round, when one was given.
    pub answer: Option<&'a str>,
    /// The host's state when the round ended, where it has one.
    pub end_state: Option<&'a Value>,
}

/// A whole trial. Only rounds that were begun.
#[derive(Clone, Copy, Debug)]
pub struct JudgeInput<'a> {
    /// The rounds in order.
    pub rounds: &'a [JudgedRound<'a>],
    /// Schemas of all tools offered in the trial.
    pub schemas: &'a ToolSchemas,
    /// When rounds end.
    pub ends: Ends,
    /// All calls of a round must come in one turn.
    pub same_turn: bool,
    /// System prompt and history: texts a value may come from, besides user messages and results.
    pub known_texts: &'a [&'a str],
}

/// Judges a trial. Call indices of violations count executed calls over all rounds.
pub fn judge(input: &JudgeInput<'_>) -> Vec<Violation> {
    let mut known = Known::default();
    for text in input.known_texts {
        known.add_text(text);
    }
    let mut found = Vec::new();
    let mut offset = 0;
    for round in input.rounds {
        known.add_text(round.user);
        found.extend(RoundJudge::new(input, round, offset).judge(&mut known));
        offset += round.calls.len();
        if let Some(answer) = round.answer {
            known.add_text(answer);
        }
    }
    found
}

/// What is known of each executed call of a round before any matching.
pub(super) struct CallFacts {
    free: Vec<bool>,
    excused: Vec<bool>,
}

impl CallFacts {
    pub(super) fn new(expectation: &Expectation, calls: &[ExecutedCall]) -> Self {
        let put_right = |index: usize| {
            calls[index + 1..]
                .iter()
                .any(|later| later.call.name == calls[index].call.name && !later.result.is_error)
        };
        Self {
            free: calls
                .iter()
                .map(|executed| expectation.free.contains(&executed.call.name))
                .collect(),
            excused: calls
                .iter()
                .enumerate()
                .map(|(index, executed)| {
                    executed.result.is_error && (executed.result.scripted_error || put_right(index))
                })
                .collect(),
        }
    }

    pub(super) fn is_free(&self, index: usize) -> bool {
        self.free[index]
    }

    pub(super) fn is_excused(&self, index: usize) -> bool {
        self.excused[index]
    }

    /// Neither free nor excused.
    pub(super) fn counts(&self, index: usize) -> bool {
        !self.free[index] && !self.excused[index]
    }
}

struct RoundJudge<'a> {
    input: &'a JudgeInput<'a>,
    round: &'a JudgedRound<'a>,
    calls: Vec<&'a ToolCall>,
    facts: CallFacts,
    /// Executed calls of earlier rounds.
    offset: usize,
}

impl<'a> RoundJudge<'a> {
    fn new(input: &'a JudgeInput<'a>, round: &'a JudgedRound<'a>, offset: usize) -> Self {
        Self {
            input,
            round,
            calls: round.calls.iter().map(|executed| &executed.call).collect(),
            facts: CallFacts::new(round.expectation, round.calls),
            offset,
        }
    }

    /// Judges the round; `known` grows by the round's results.
    fn judge(&self, known: &mut Known) -> Vec<Violation> {
        let derivable = self.derivable(known);
        let mut found = Vec::new();
        let expectation = self.round.expectation;
        let matched = if expectation.abstains() {
            found.extend(self.unwanted_calls());
            Vec::new()
        } else if expectation.any_call && self.calls.is_empty() {
            found.push(Violation::new(
                Code::MissingCall,
                "no call was made where one is needed",
            ));
            Vec::new()
        } else if self.states_calls() {
            let (matched, violations) = self.best_set(&derivable);
            found.extend(violations);
            matched
        } else {
            (0..self.calls.len()).collect()
        };
        found.extend(self.tool_errors(&matched));
        found.extend(self.repetition(&matched));
        found.extend(self.unsafe_calls());
        found.extend(outcome(self.round, self.input.ends));
        found
    }

    fn states_calls(&self) -> bool {
        let expectation = self.round.expectation;
        !expectation.calls.is_empty() || !expectation.alternatives.is_empty()
    }

    /// Per call the top-level arguments that could have come from what was seen before it; the
    /// results of one turn are seen in the next.
    fn derivable(&self, known: &mut Known) -> Vec<Vec<String>> {
        let mut unseen: Vec<&ExecutedCall> = Vec::new();
        let mut derivable = Vec::new();
        for executed in self.round.calls {
            if unseen
                .first()
                .is_some_and(|first| first.turn != executed.turn)
            {
                for earlier in unseen.drain(..) {
                    known.add_text(&earlier.result.content);
                }
            }
            unseen.push(executed);
            known.set_values(self.input.schemas.vocabulary(&executed.call.name));
            let arguments = executed.call.arguments.as_object().into_iter().flatten();
            derivable.push(
                arguments
                    .filter(|(_, value)| known.derives(value))
                    .map(|(name, _)| name.clone())
                    .collect(),
            );
        }
        for executed in unseen {
            known.add_text(&executed.result.content);
        }
        derivable
    }

    fn violation(&self, code: Code, call: usize, message: impl Into<String>) -> Violation {
        Violation {
            call: Some(self.offset + call),
            tool: Some(self.calls[call].name.clone()),
            ..Violation::new(code, message)
        }
    }

    fn unwanted_calls(&self) -> Vec<Violation> {
        (0..self.calls.len())
            .filter(|&index| !self.facts.free[index])
            .map(|index| {
                let name = &self.calls[index].name;
                let message = format!("`{name}` was called where nothing should be called");
                self.violation(Code::UnwantedCall, index, message)
            })
            .collect()
    }

    /// The accepted set that explains the calls best: the calls it matches, and its findings.
    fn best_set(&self, derivable: &[Vec<String>]) -> (Vec<usize>, Vec<Violation>) {
        let mut best: Option<(Vec<usize>, Vec<Violation>)> = None;
        for set in self.round.expectation.accepted_sets() {
            let candidate = self.judge_set(set, derivable);
            let is_better = best.as_ref().is_none_or(|(matched, violations)| {
                (candidate.1.len(), std::cmp::Reverse(candidate.0.len()))
                    < (violations.len(), std::cmp::Reverse(matched.len()))
            });
            if is_better {
                best = Some(candidate);
            }
        }
        best.unwrap_or_default()
    }

    fn judge_set(
        &self,
        set: &'a [CallExpectation],
        derivable: &[Vec<String>],
    ) -> (Vec<usize>, Vec<Violation>) {
        let schemas = self.input.schemas;
        let excused_last = |index: usize| self.facts.excused[index];
        let any_order = match_set(set, &self.calls, Order::Any, excused_last, schemas);
        let matched: Vec<usize> = any_order.iter().flatten().copied().collect();
        let missing: Vec<&CallExpectation> = set
            .iter()
            .zip(&any_order)
            .filter(|(_, hit)| hit.is_none())
            .map(|(expected, _)| expected)
            .collect();
        let left = (0..self.calls.len())
            .filter(|index| !matched.contains(index) && !self.facts.free[*index]);
        // A call that repeats a matched one is a duplicate; it says nothing of what is missing.
        let repeats = |index: usize| {
            matched
                .iter()
                .any(|&hit| hit < index && same_call(self.calls[hit], self.calls[index], schemas))
        };
        let (repeated, mut left): (Vec<usize>, Vec<usize>) =
            left.partition(|&index| repeats(index));
        let mut found = self.explain_missing(&missing, &mut left, derivable);
        left.extend(repeated);
        left.sort_unstable();
        self.take_allowed(&mut left);
        found.extend(self.surplus(&left));
        if missing.is_empty() {
            found.extend(self.check_order(set));
            found.extend(self.check_same_turn(&matched));
        }
        (matched, found)
    }

    /// Explains each unmatched expected call by the closest call in `left`, which it uses up.
    fn explain_missing(
        &self,
        missing: &[&CallExpectation],
        left: &mut Vec<usize>,
        derivable: &[Vec<String>],
    ) -> Vec<Violation> {
        if !missing.is_empty() && self.calls.is_empty() {
            let tools: Vec<&str> = missing
                .iter()
                .map(|expected| expected.tool.as_str())
                .collect();
            return vec![Violation::new(
                Code::MissingCall,
                format!("no call was made; expected: {}", tools.join(", ")),
            )];
        }
        let mut found = Vec::new();
        let mut unexplained = Vec::new();
        for expected in missing {
            match self.closest(expected, left) {
                Some((index, reasons)) => {
                    left.retain(|other| *other != index);
                    found.extend(self.value_findings(index, &reasons, &derivable[index]));
                }
                None => unexplained.push(*expected),
            }
        }
        for expected in unexplained {
            found.push(self.explain_by_other_tool(expected, left));
        }
        found
    }

    /// The call of the same tool with the fewest mismatches; those not excused first.
    fn closest(
        &self,
        expected: &CallExpectation,
        left: &[usize],
    ) -> Option<(usize, Vec<Mismatch>)> {
        left.iter()
            .filter(|&&index| self.calls[index].name == expected.tool)
            .map(|&index| {
                let reasons = mismatches(expected, self.calls[index], self.input.schemas);
                (index, reasons)
            })
            .min_by_key(|(index, reasons)| (self.facts.excused[*index], reasons.len(), *index))
    }

    fn value_findings(
        &self,
        index: usize,
        reasons: &[Mismatch],
        derivable: &[String],
    ) -> Vec<Violation> {
        reasons
            .iter()
            .map(|reason| {
                let (code, name, message) = match reason {
                    Mismatch::Absent(name) => (
                        Code::MissingOptional,
                        name,
                        format!("argument `{name}` was left out"),
                    ),
                    Mismatch::Unasked(name) => (
                        Code::WrongValue,
                        name,
                        format!("argument `{name}` was not asked for"),
                    ),
                    Mismatch::Refused(name) if derivable.contains(name) => (
                        Code::WrongValue,
                        name,
                        format!("argument `{name}` is not what was asked for"),
                    ),
                    Mismatch::Refused(name) => (
                        Code::HallucinatedValue,
                        name,
                        format!("the value of `{name}` appears nowhere in what the model saw"),
                    ),
                };
                Violation {
                    pointer: Some(pointer_to(name)),
                    ..self.violation(code, index, message)
                }
            })
            .collect()
    }

    fn explain_by_other_tool(
        &self,
        expected: &CallExpectation,
        left: &mut Vec<usize>,
    ) -> Violation {
        let candidate = left
            .iter()
            .copied()
            .min_by_key(|&index| (self.facts.excused[index], index));
        if let Some(index) = candidate {
            left.retain(|other| *other != index);
            let message = format!(
                "`{}` was called where `{}` was expected",
                self.calls[index].name, expected.tool
            );
            return self.violation(Code::WrongTool, index, message);
        }
        Violation {
            tool: Some(expected.tool.clone()),
            ..Violation::new(
                Code::TooFewCalls,
                format!("an expected call to `{}` was not made", expected.tool),
            )
        }
    }

    /// Takes out of `left` what the case allows besides, each allowed call once.
    fn take_allowed(&self, left: &mut Vec<usize>) {
        let allowed = &self.round.expectation.allowed;
        let rest: Vec<&ToolCall> = left.iter().map(|&index| self.calls[index]).collect();
        let taken = match_set(allowed, &rest, Order::Any, |_| false, self.input.schemas);
        let taken: Vec<usize> = taken.into_iter().flatten().map(|at| left[at]).collect();
        left.retain(|index| !taken.contains(index));
    }

    fn surplus(&self, left: &[usize]) -> Vec<Violation> {
        left.iter()
            .filter(|&&index| self.facts.counts(index) && !self.is_forbidden(index))
            .map(|&index| {
                let name = &self.calls[index].name;
                let repeats = (0..index)
                    .any(|earlier| !self.facts.excused[earlier] && self.same(earlier, index));
                if repeats {
                    let message = format!("the same call to `{name}` was made again");
                    self.violation(Code::DuplicateCall, index, message)
                } else {
                    let message = format!("the call to `{name}` was not needed");
                    self.violation(Code::TooManyCalls, index, message)
                }
            })
            .collect()
    }

    fn check_order(&self, set: &[CallExpectation]) -> Option<Violation> {
        let misplaced = match self.round.expectation.order {
            Order::Strict => {
                let in_order = match_set(
                    set,
                    &self.calls,
                    Order::Strict,
                    |_| false,
                    self.input.schemas,
                );
                in_order.iter().position(Option::is_none)?
            }
            Order::Any => first_out_of_turn(set, &self.calls, self.input.schemas)?,
        };
        let tool = set[misplaced].tool.clone();
        Some(Violation {
            message: format!("the call to `{tool}` does not come at its place"),
            tool: Some(tool),
            ..Violation::new(Code::WrongOrder, "")
        })
    }

    fn check_same_turn(&self, matched: &[usize]) -> Option<Violation> {
        if !self.input.same_turn {
            return None;
        }
        let mut turns: Vec<u32> = matched
            .iter()
            .map(|&index| self.round.calls[index].turn)
            .collect();
        turns.sort_unstable();
        turns.dedup();
        (turns.len() > 1).then(|| {
            Violation::new(
                Code::TooFewCalls,
                format!(
                    "the calls were to come in one reply, they came in {}",
                    turns.len()
                ),
            )
        })
    }

    /// Refusals of valid arguments that nothing put right and the case does not ask for.
    fn tool_errors(&self, matched: &[usize]) -> Vec<Violation> {
        if self.round.expectation.abstains() {
            return Vec::new();
        }
        (0..self.calls.len())
            .filter(|index| {
                let result = &self.round.calls[*index].result;
                result.is_error
                    && !self.facts.excused[*index]
                    && !self.facts.free[*index]
                    && (!matched.contains(index) || !self.states_calls())
            })
            .map(|index| {
                let text: String = self.round.calls[index]
                    .result
                    .content
                    .chars()
                    .take(200)
                    .collect();
                let message = format!("`{}` refused the call: {text}", self.calls[index].name);
                self.violation(Code::ToolErrorModel, index, message)
            })
            .collect()
    }

    fn repetition(&self, matched: &[usize]) -> Option<Violation> {
        let states_calls = self.states_calls();
        let judged: Vec<usize> = (0..self.calls.len())
            .filter(|index| !self.facts.free[*index])
            .filter(|index| !(states_calls && matched.contains(index)))
            .collect();
        let found = judged.windows(LOOP_LENGTH).find(|window| {
            let in_a_row = window.windows(2).all(|pair| self.same(pair[0], pair[1]));
            in_a_row && window.iter().any(|&index| !self.facts.excused[index])
        })?;
        let first = found[0];
        let message = format!(
            "the same call to `{}` was made {LOOP_LENGTH} times in a row",
            self.calls[first].name
        );
        Some(self.violation(Code::DegenerateLoop, first, message))
    }

    fn unsafe_calls(&self) -> Vec<Violation> {
        (0..self.calls.len())
            .filter(|&index| self.is_forbidden(index))
            .map(|index| {
                let message = format!("`{}` must not be called here", self.calls[index].name);
                self.violation(Code::UnsafeCall, index, message)
            })
            .collect()
    }

    fn is_forbidden(&self, index: usize) -> bool {
        let forbidden = &self.round.expectation.forbidden;
        forbidden.iter().any(|call| call.covers(self.calls[index]))
    }

    fn same(&self, left: usize, right: usize) -> bool {
        same_call(self.calls[left], self.calls[right], self.input.schemas)
    }
}

fn pointer_to(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "expectation_tests.rs"]
mod expectation_tests;
