//! Keeps what the judge needs while a trial goes on, and asks it.

use std::sync::Arc;

use serde_json::Value;

use super::cell::PreparedOffer;
use crate::types::suite::{Ends, Round};
use crate::types::trial::{CallCounts, Reread};
use crate::types::violation::primary;
use crate::types::{Case, Code, ToolCall, ToolResult, Violation};
use crate::validate::{
    ExecutedCall, JudgeInput, JudgedRound, LOOP_LENGTH, complete, counts, judge,
};

/// Whether a round goes on after its calls were executed.
pub(super) enum RoundProgress {
    /// All calls that the round can use are made.
    Over,
    /// The same call again and again.
    Loop(Violation),
    /// Not yet.
    GoOn,
}

/// One round as it goes.
struct LiveRound {
    round: Round,
    calls: Vec<ExecutedCall>,
    answer: Option<String>,
    end_state: Option<Value>,
}

impl LiveRound {
    fn judged(&self) -> JudgedRound<'_> {
        JudgedRound {
            expectation: &self.round.expect,
            user: &self.round.user,
            calls: &self.calls,
            answer: self.answer.as_deref(),
            end_state: self.end_state.as_ref(),
        }
    }
}

/// A trial as the judge will see it.
pub(super) struct Judging<'a> {
    case: &'a Case,
    rounds: Vec<LiveRound>,
    offer: Option<Arc<PreparedOffer>>,
    known_texts: Vec<String>,
}

impl<'a> Judging<'a> {
    pub(super) fn new(case: &'a Case) -> Self {
        let known_texts = case
            .history
            .iter()
            .flat_map(|message| {
                std::iter::once(message.content.clone()).chain(
                    message
                        .tool_calls
                        .iter()
                        .map(|call| call.arguments.to_string()),
                )
            })
            .collect();
        Self {
            case,
            rounds: Vec::new(),
            offer: None,
            known_texts,
        }
    }

    /// Everything that is offered at some time in the trial.
    pub(super) fn offer(&mut self, offer: &Arc<PreparedOffer>) {
        self.known_texts.extend(offer.offer.system.clone());
        self.offer = Some(Arc::clone(offer));
    }

    pub(super) fn start_round(&mut self, round: Round) {
        self.rounds.push(LiveRound {
            round,
            calls: Vec::new(),
            answer: None,
            end_state: None,
        });
    }

    pub(super) fn executed(&mut self, call: &ToolCall, turn: u32, result: &ToolResult) {
        if let Some(round) = self.rounds.last_mut() {
            round.calls.push(ExecutedCall {
                turn,
                call: call.clone(),
                result: result.clone(),
            });
        }
    }

    pub(super) fn answered(&mut self, answer: &str) {
        if let Some(round) = self.rounds.last_mut() {
            round.answer = Some(answer.to_owned());
        }
    }

    pub(super) fn end_round(&mut self, state: Option<Value>) {
        if let Some(round) = self.rounds.last_mut() {
            round.end_state = state;
        }
    }

    /// Whether the round goes on.
    pub(super) fn progress(&self) -> RoundProgress {
        let (Some(live), Some(offer)) = (self.rounds.last(), &self.offer) else {
            return RoundProgress::Over;
        };
        let expectation = &live.round.expect;
        let ends_here = self.case.ends == Ends::Calls || expectation.abstains();
        if ends_here && complete(expectation, &live.calls, &offer.schemas) {
            return RoundProgress::Over;
        }
        // Not before twice the length that the judge calls a loop: a case may ask for repeats.
        let length = 2 * LOOP_LENGTH;
        if live.calls.len() >= length {
            let tail = &live.calls[live.calls.len() - length..];
            if tail
                .iter()
                .all(|executed| same(&executed.call, &tail[0].call))
            {
                return RoundProgress::Loop(Violation {
                    tool: Some(tail[0].call.name.clone()),
                    ..Violation::new(
                        Code::DegenerateLoop,
                        format!("the same call was made {length} times in a row"),
                    )
                });
            }
        }
        RoundProgress::GoOn
    }

    /// The verdict over all rounds.
    pub(super) fn judge(&self) -> Vec<Violation> {
        self.with_input(judge).unwrap_or_default()
    }

    /// What the judge would say of calls that no server read. Only of a case that one reply can
    /// decide by its calls alone: one round that ends with its calls and asks for no state, nothing
    /// executed before, and nothing left to do where nothing is wrong.
    pub(super) fn reread(&self, calls: &[ToolCall]) -> Option<Reread> {
        let ([live], Some(offer)) = (&self.rounds[..], &self.offer) else {
            return None;
        };
        let expectation = &live.round.expect;
        let is_decided_by_calls = self.case.ends == Ends::Calls
            && self.case.all_rounds().len() == 1
            && expectation.state.is_none()
            && expectation.answer.is_none();
        if !is_decided_by_calls || !live.calls.is_empty() || calls.is_empty() {
            return None;
        }
        let mut found = offer.schemas.check_calls(calls);
        if found.is_empty() {
            let result = ToolResult::ok("");
            let executed: Vec<ExecutedCall> = calls
                .iter()
                .map(|call| ExecutedCall {
                    turn: 0,
                    call: call.clone(),
                    result: result.clone(),
                })
                .collect();
            let judged = JudgedRound {
                calls: &executed,
                ..live.judged()
            };
            found = self.with_rounds(&[judged], judge)?;
            // More calls could have followed.
            if found.iter().all(|found| found.code == Code::TooFewCalls)
                && !complete(expectation, &executed, &offer.schemas)
            {
                return None;
            }
        }
        let code = primary(&found).map(|violation| violation.code);
        Some(Reread { code })
    }

    /// How the calls so far stand to those the whole case expects.
    pub(super) fn counts(&self) -> Option<CallCounts> {
        let all = self.case.all_rounds();
        let unbegun: Vec<_> = all
            .iter()
            .skip(self.rounds.len())
            .map(|round| &round.expect)
            .collect();
        self.with_input(|input| counts(input, &unbegun))
    }

    /// Gives what the judge is asked with; `None` before anything was offered.
    fn with_input<T>(&self, ask: impl FnOnce(&JudgeInput<'_>) -> T) -> Option<T> {
        let rounds: Vec<JudgedRound<'_>> = self.rounds.iter().map(LiveRound::judged).collect();
        self.with_rounds(&rounds, ask)
    }

    fn with_rounds<T>(
        &self,
        rounds: &[JudgedRound<'_>],
        ask: impl FnOnce(&JudgeInput<'_>) -> T,
    ) -> Option<T> {
        let offer = self.offer.as_ref()?;
        let known_texts: Vec<&str> = self.known_texts.iter().map(String::as_str).collect();
        Some(ask(&JudgeInput {
            rounds,
            schemas: &offer.schemas,
            ends: self.case.ends,
            same_turn: self.case.same_turn,
            known_texts: &known_texts,
        }))
    }
}

fn same(left: &ToolCall, right: &ToolCall) -> bool {
    left.name == right.name
        && crate::types::matcher::equal_by_value(&left.arguments, &right.arguments)
}
