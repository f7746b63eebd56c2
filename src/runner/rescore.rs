//! Judges a recorded trial again, by the rules in force now.
//!
//! Data in: a stored trial with its content, the case, and what the cell was. Data out: the trial
//! with new readings and a new verdict, or the place from which it would have gone another way.
//! Invariants: no model is asked; a verdict is given only where everything it rests on was
//! recorded; mocks are played again for the states between rounds, and must answer as recorded.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use serde_json::Value;

use super::cell::{PreparedOffer, wire_names};
use super::correction::CorrectionStyle;
use super::findings;
use super::judging::{Judging, RoundProgress};
use super::trial::{Ended, reread};
use crate::dialect::closed_schema::holds_structure;
use crate::dialect::{Offer, dialect};
use crate::tools::{ToolHost, ToolSession};
use crate::types::suite::Round;
use crate::types::trial::ServedParts;
use crate::types::violation::primary;
use crate::types::{
    AttemptRecord, CallRecord, Case, Code, ContentHash, Decoded, FallbackCause, FallbackRules,
    GenerateReply, ModelFacts, Route, StopReason, Suite, ToolCall, ToolDefinition, ToolResult,
    TrialRecord, TrialRules, Variant, Violation,
};
use crate::validate::ToolSchemas;

/// What a trial's cell was.
pub struct RescoreCell<'a> {
    /// The suite as it is to be judged now.
    pub suite: &'a Suite,
    /// Its mock; `None` for a real server, whose state is not known.
    pub host: Option<&'a Arc<dyn ToolHost>>,
    /// The variant.
    pub variant: &'a Variant,
    /// The run's rules.
    pub rules: &'a TrialRules,
    /// The variant's correction style.
    pub correction: &'a CorrectionStyle,
    /// The routes, and what the model of each said of itself; more than one only in a hybrid.
    pub legs: Vec<(&'a Route, &'a ModelFacts)>,
    /// When a hybrid asks its next leg.
    pub fallback: Option<&'a FallbackRules>,
}

impl<'a> RescoreCell<'a> {
    fn leg(&self, name: &str) -> Result<(&'a Route, &'a ModelFacts), String> {
        let mut legs = self.legs.iter().copied();
        legs.find(|(route, _)| route.leg == name)
            .ok_or_else(|| format!("the cell has no leg `{name}`"))
    }
}

/// What judging again came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Rescored {
    /// A verdict; equal to the old one or not.
    Judged(Box<TrialRecord>),
    /// Under today's rules the trial would have gone on otherwise than it did; why.
    Diverges(String),
}

/// Judges one trial again. `content` is the run's content store.
pub async fn rescore<S: BuildHasher>(
    cell: &RescoreCell<'_>,
    case: &Case,
    trial: &TrialRecord,
    content: &HashMap<ContentHash, Value, S>,
) -> Rescored {
    let lost = |a: &AttemptRecord| a.reply.is_none() && a.passed_over.is_none();
    if trial.attempts.iter().any(lost)
        || trial.calls.iter().any(|call| call.result.is_none())
        || trial.attempts.is_empty()
    {
        // Ended by a failure that no rule of judging touches.
        return Rescored::Judged(Box::new(trial.clone()));
    }
    let mut walk = Walk {
        cell,
        case,
        content,
        trial: trial.clone(),
        judging: Judging::new(case),
        corrections: 0,
    };
    match walk.run().await {
        Ok(ended) => {
            let judging = &walk.judging;
            let (outcome, violations) = ended.outcome(walk.corrections, || judging.judge());
            let call_counts = judging.counts();
            let reread = reread(judging, outcome, &walk.trial.attempts);
            let mut trial = walk.trial;
            trial.outcome = outcome;
            trial.first_attempt_success = outcome == crate::types::Outcome::Passed;
            trial.violations = violations;
            trial.call_counts = call_counts;
            trial.reread = reread;
            trial.case_hash = case.case_hash();
            trial.abstention = case.is_abstention();
            trial.category.clone_from(&case.category);
            trial.difficulty = case.difficulty;
            Rescored::Judged(Box::new(trial))
        }
        Err(why) => Rescored::Diverges(why),
    }
}

struct Walk<'a, S> {
    cell: &'a RescoreCell<'a>,
    case: &'a Case,
    content: &'a HashMap<ContentHash, Value, S>,
    trial: TrialRecord,
    judging: Judging<'a>,
    corrections: u32,
}

/// What a turn came to under today's rules.
enum Decision {
    /// And what the server answered after it had run them all itself.
    Calls(Vec<ToolCall>, Option<String>),
    Answer(String),
    Ended(Ended),
}

impl<S: BuildHasher> Walk<'_, S> {
    async fn run(&mut self) -> Result<Ended, String> {
        let all = self.all_tools()?;
        let first = self
            .cell
            .legs
            .first()
            .copied()
            .ok_or("the cell has no route")?;
        self.judging.offer(&Arc::new(self.offer(all, first)?));
        let mut session = match self.cell.host {
            None => None,
            Some(host) => Some(
                host.open(self.case.state.as_ref())
                    .await
                    .map_err(|error| error.to_string())?,
            ),
        };
        for (index, round) in self.case.all_rounds().into_iter().enumerate() {
            let index = index as u32;
            let turns = self.turns_of(index);
            if turns.is_empty() {
                return Err(format!("round {} was never begun", index + 1));
            }
            if let Some(ended) = self.round(round, index, &turns, &mut session).await? {
                return Ok(ended);
            }
        }
        Ok(Ended::Complete)
    }

    /// One round; `None` when it came to its own end.
    async fn round(
        &mut self,
        round: Round,
        index: u32,
        turns: &[u32],
        session: &mut Option<Box<dyn ToolSession>>,
    ) -> Result<Option<Ended>, String> {
        self.judging.start_round(round);
        let mut ended = None;
        for (position, &turn) in turns.iter().enumerate() {
            let more = position + 1 < turns.len();
            match self.turn(turn)? {
                Decision::Ended(end) => {
                    ended = Some(end);
                    break;
                }
                Decision::Answer(answer) => {
                    self.judging.answered(&answer);
                    self.trial.answer = Some(answer);
                    if more {
                        return Err(format!("turn {} is an answer now", turn + 1));
                    }
                    break;
                }
                Decision::Calls(calls, answer) => {
                    self.replay(turn, &calls, session).await?;
                    if let Some(answer) =
                        answer.filter(|text| !text.trim().is_empty() && self.run_by_server(turn))
                    {
                        self.judging.answered(&answer);
                        self.trial.answer = Some(answer);
                        if more {
                            return Err(format!("turn {} ends with an answer now", turn + 1));
                        }
                        break;
                    }
                    match (self.judging.progress(), more) {
                        (RoundProgress::Loop(violation), _) => {
                            ended = Some(Ended::With(vec![violation]));
                            break;
                        }
                        (RoundProgress::Over, false) | (RoundProgress::GoOn, true) => {}
                        (RoundProgress::Over, true) if self.is_last(index) => break,
                        (RoundProgress::Over, true) => {
                            return Err(format!("the round would end with turn {}", turn + 1));
                        }
                        (RoundProgress::GoOn, false) if turn + 1 >= self.cell.rules.max_turns => {
                            ended = Some(Ended::With(vec![findings::turn_limit(turn + 1)]));
                        }
                        (RoundProgress::GoOn, false) => {
                            return Err(format!("the round would go on after turn {}", turn + 1));
                        }
                    }
                }
            }
        }
        let state = session.as_ref().and_then(|session| session.state());
        self.judging.end_round(state);
        Ok(ended)
    }

    /// The server ran every call of a turn.
    fn run_by_server(&self, turn: u32) -> bool {
        let mut calls = self.trial.calls.iter().filter(|call| call.turn == turn);
        calls.all(|call| call.by_server)
    }

    fn is_last(&self, round: u32) -> bool {
        round as usize + 1 == self.case.all_rounds().len()
    }

    fn turns_of(&self, round: u32) -> Vec<u32> {
        let mut turns: Vec<u32> = self
            .trial
            .attempts
            .iter()
            .filter(|attempt| attempt.round == round)
            .map(|attempt| attempt.turn)
            .collect();
        turns.dedup();
        turns
    }

    /// The attempts of one turn, read again.
    fn turn(&mut self, turn: u32) -> Result<Decision, String> {
        let indices: Vec<usize> = (0..self.trial.attempts.len())
            .filter(|&index| self.trial.attempts[index].turn == turn)
            .collect();
        let last = indices.len().saturating_sub(1);
        for (position, index) in indices.into_iter().enumerate() {
            let Some((decoded, violations)) = self.standing(index)? else {
                continue;
            };
            let reading = findings::steering(self.cell.rules, decoded);
            if violations.is_empty() {
                if position < last {
                    return Err(format!("an attempt of turn {} is valid now", turn + 1));
                }
                return Ok(if reading.calls.is_empty() {
                    Decision::Answer(reading.answer.unwrap_or_default())
                } else {
                    Decision::Calls(reading.calls, reading.thought)
                });
            }
            if !findings::may_correct(self.cell.rules, self.cell.correction, &violations) {
                return Ok(Decision::Ended(Ended::With(violations)));
            }
            if self.corrections >= self.cell.rules.max_corrections {
                return Ok(Decision::Ended(Ended::uncorrected(
                    self.cell.rules,
                    violations,
                )));
            }
            if position == last {
                return Err(format!("turn {} would be corrected now", turn + 1));
            }
            self.corrections += 1;
        }
        Err(format!("turn {} has no attempt", turn + 1))
    }

    /// An attempt read again; `None` where the next leg was asked instead, as it would be now.
    fn standing(&mut self, index: usize) -> Result<Option<(Decoded, Vec<Violation>)>, String> {
        let attempt = &self.trial.attempts[index];
        let (leg, wall_ms, was) = (attempt.leg.clone(), attempt.wall_ms, attempt.passed_over);
        // A prompt that a server cut is known by a probe, not by the reply.
        let cut = primary(&attempt.violations).is_some_and(|v| v.code == Code::PromptTruncated);
        if attempt.reply.is_none() || (was == Some(FallbackCause::Infra) && cut) {
            return Ok(None);
        }
        let is_last = self.cell.legs.last().is_none_or(|(it, _)| it.leg == leg);
        let fallback = self.cell.fallback.filter(|_| !is_last);
        let rules = match fallback {
            Some(fallback) => fallback.limited(self.cell.rules),
            None => self.cell.rules.clone(),
        };
        let (decoded, violations) = self.read_again(index, &rules)?;
        let code = primary(&violations).map(|violation| violation.code);
        let is = fallback.and_then(|rules| rules.cause(code, wall_ms));
        match (was, is) {
            (Some(_), Some(_)) => Ok(None),
            (None, None) => Ok(Some((decoded, violations))),
            (Some(_), None) => Err(format!("the reply of leg `{leg}` would stand now")),
            (None, Some(_)) => Err(format!("leg `{leg}` would be passed over now")),
        }
    }

    /// Reads one stored reply and puts what is found into the record.
    fn read_again(
        &mut self,
        index: usize,
        rules: &TrialRules,
    ) -> Result<(Decoded, Vec<Violation>), String> {
        let attempt = &self.trial.attempts[index];
        let offer = self.offer(self.tools(attempt)?, self.cell.leg(&attempt.leg)?)?;
        let reply = self.reply(attempt)?;
        let dialect = dialect(self.trial.cell.dialect);
        let decoded = findings::read(dialect, &offer, &reply);
        let violations = findings::of_reply(rules, dialect.name(), &offer, &decoded, &reply);
        let valid_calls = findings::valid_calls(rules, &offer, &decoded);
        let attempt = &mut self.trial.attempts[index];
        attempt.strict = decoded.strict.clone();
        attempt.lenient = decoded.lenient.clone();
        attempt.attempted_call = decoded.attempted_call;
        attempt.valid_calls = valid_calls;
        attempt.violations.clone_from(&violations);
        Ok((decoded, violations))
    }

    fn stored(&self, hash: &ContentHash) -> Result<&Value, String> {
        self.content
            .get(hash)
            .ok_or_else(|| format!("content {} is not in the record", hash.short()))
    }

    fn reply(&self, attempt: &AttemptRecord) -> Result<GenerateReply, String> {
        let hash = attempt.reply.as_ref().ok_or("an attempt has no reply")?;
        let text = self.stored(hash)?.as_str().unwrap_or_default().to_owned();
        let parts: ServedParts = match &attempt.served {
            Some(hash) => serde_json::from_value(self.stored(hash)?.clone())
                .map_err(|error| format!("the server's reading cannot be read: {error}"))?,
            None => ServedParts::default(),
        };
        Ok(GenerateReply {
            text,
            calls: parts.calls,
            executed: parts.executed,
            reasoning: parts.reasoning,
            payload: parts.payload,
            stop_reason: attempt.stop_reason.unwrap_or(StopReason::Stop),
            usage: attempt.usage,
            timing: attempt.timing,
            constrained: attempt.grammar.is_some(),
            grammar_error: None,
            token_marks: Vec::new(),
            peak_memory_bytes: attempt.peak_memory_bytes,
        })
    }

    fn tools(&self, attempt: &AttemptRecord) -> Result<Vec<ToolDefinition>, String> {
        serde_json::from_value(self.stored(&attempt.tools)?.clone())
            .map_err(|error| format!("the stored tools cannot be read: {error}"))
    }

    /// Everything that was offered at some time.
    fn all_tools(&self) -> Result<Vec<ToolDefinition>, String> {
        let mut all: Vec<ToolDefinition> = Vec::new();
        for attempt in &self.trial.attempts {
            for tool in self.tools(attempt)? {
                if all.iter().all(|known| known.name != tool.name) {
                    all.push(tool);
                }
            }
        }
        Ok(all)
    }

    fn offer(
        &self,
        tools: Vec<ToolDefinition>,
        (route, facts): (&Route, &ModelFacts),
    ) -> Result<PreparedOffer, String> {
        let schemas = ToolSchemas::compile(&tools).map_err(|error| error.to_string())?;
        let system = self
            .cell
            .variant
            .system
            .clone()
            .or_else(|| self.case.system.clone())
            .or_else(|| self.cell.suite.system.clone());
        let grammar_holds_structure = tools.iter().all(|tool| holds_structure(&tool.input_schema));
        let names = wire_names(route.wire, &tools);
        let on_wire = tools.iter().map(|tool| ToolDefinition {
            name: names.wire(&tool.name).to_owned(),
            ..tool.clone()
        });
        Ok(PreparedOffer {
            grammar_holds_structure,
            offer: Offer {
                system,
                tools: on_wire.collect(),
                examples: Vec::new(),
                tool_choice: self.cell.rules.tool_choice,
                reasoning: self.cell.variant.reasoning,
                route: route.clone(),
                facts: facts.clone(),
                envelope: None,
            },
            schemas,
            names,
            tools,
            constraint: None,
            hash: self.trial.offer_hash.clone(),
        })
    }

    /// Hands the recorded results of a turn to the judge, and plays the mock along.
    async fn replay(
        &mut self,
        turn: u32,
        calls: &[ToolCall],
        session: &mut Option<Box<dyn ToolSession>>,
    ) -> Result<(), String> {
        let recorded: Vec<CallRecord> = self
            .trial
            .calls
            .iter()
            .filter(|call| call.turn == turn)
            .cloned()
            .collect();
        let same = recorded.len() == calls.len()
            && recorded
                .iter()
                .zip(calls)
                .all(|(old, new)| old.call.name == new.name && old.call.arguments == new.arguments);
        if !same {
            return Err(format!("turn {} makes other calls now", turn + 1));
        }
        for record in recorded {
            let hash = record.result.as_ref().ok_or("a call has no result")?;
            let result: ToolResult = serde_json::from_value(self.stored(hash)?.clone())
                .map_err(|error| format!("a stored result cannot be read: {error}"))?;
            if let Some(session) = session.as_mut().filter(|_| !record.by_server) {
                let now = session
                    .call(&record.call)
                    .await
                    .map_err(|error| error.to_string())?;
                if now != result {
                    return Err(format!(
                        "the mock answers `{}` of turn {} otherwise now",
                        record.call.name,
                        turn + 1
                    ));
                }
            }
            self.judging.executed(&record.call, turn, &result);
        }
        Ok(())
    }
}
