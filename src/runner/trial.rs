//! The one loop: generate, decode, validate, correct, call tools, judge.
//!
//! Data in: a cell's context and a planned trial. Data out: a finished [`TrialRecord`] and the
//! events that go before it. Invariants: never fails (what goes wrong is an outcome); every
//! request and reply is stored; only parse to schema findings are corrected.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::attempt::Read;
use super::cell::{CellContext, PreparedOffer};
use super::conversation::{all_tools, shown};
use super::correction::correction_messages;
use super::findings::{self, Looked};
use super::judging::{Judging, RoundProgress};
use super::read_calls::ReadCalls;
use super::recorder::Recorder;
use crate::clock::{Stopwatch, now_rfc3339};
use crate::event::Event;
use crate::plan::PlannedTrial;
use crate::tools::ToolSession;
use crate::types::trial::{AttemptRecord, CallRecord, Reread};
use crate::types::violation::primary;
use crate::types::{
    Case, Code, Constraint, ContentHash, Message, Outcome, Role, TrialRecord, TrialRules, Violation,
};

/// A finished trial and the events before it.
pub(super) struct Finished {
    pub(super) events: Vec<Event>,
    pub(super) record: TrialRecord,
}

/// Runs one trial to its end.
pub(super) async fn run_trial(
    context: &CellContext<'_>,
    planned: &PlannedTrial,
    abort: &CancellationToken,
) -> Finished {
    let case = &context.suite.cases[planned.case];
    let mut trial = Trial {
        context,
        planned,
        case,
        abort,
        recorder: Recorder::start(),
        messages: case.history.clone(),
        judging: Judging::new(case),
        turn: 0,
        requests: vec![0; context.legs.len()],
        constraint_refused: context
            .legs
            .iter()
            .map(|leg| leg.not_enforced.clone())
            .map(|why| why.filter(|_| context.planned.key.constraint == Constraint::Grammar))
            .collect(),
        authors: BTreeMap::new(),
        offer_hash: ContentHash::of_bytes(b""),
        answer: None,
    };
    // What is our own cost or the server's start (reload after a crash, host, grammar) is over
    // before the clock starts.
    let ready = trial.ready().await;
    let was_busy = (context.noise)();
    let started_at = now_rfc3339();
    trial.recorder.restart_clock();
    let (ended, end_state, host_notes) = match ready {
        Ok(mut session) => {
            session.answer_elicitations(&case.elicitation);
            let (ended, state) = trial.run(session.as_mut()).await;
            let ended = match trial.spent(Looked::AtTheEnd) {
                Some(violation) if matches!(ended, Ended::Complete) => Ended::With(vec![violation]),
                _ => ended,
            };
            (ended, state, session.take_notes())
        }
        Err(ended) => (ended, None, Vec::new()),
    };
    let (outcome, violations) = trial.outcome(ended);
    let constraint_refused = trial.why_refused();
    let time = trial.recorder.finish_time();
    let end_state = end_state.map(|state| trial.recorder.content("state", &state));
    let cell = context.planned;
    let record = TrialRecord {
        id: planned.id.clone(),
        position: planned.position,
        cell: cell.key.clone(),
        cell_id: cell.id.clone(),
        case: case.id.clone(),
        category: case.category.clone(),
        difficulty: case.difficulty,
        abstention: case.is_abstention(),
        trial: planned.trial,
        seed: planned.seed,
        case_hash: case.case_hash(),
        offer_hash: trial.offer_hash,
        constraint_asked: cell.key.constraint,
        constraint_effective: match constraint_refused {
            Some(_) => Constraint::Off,
            None => cell.key.constraint,
        },
        constraint_refused,
        outcome,
        first_attempt_success: outcome == Outcome::Passed,
        violations,
        call_counts: trial.judging.counts(),
        reread: reread(&trial.judging, outcome, &trial.recorder.attempts),
        corrections: trial.recorder.corrections,
        answer: trial.answer,
        end_state,
        time,
        attempts: trial.recorder.attempts,
        calls: trial.recorder.calls,
        started_at,
        noisy: was_busy(),
        replayed: context.is_replayed(),
        host_notes,
    };
    Finished {
        events: trial.recorder.events,
        record,
    }
}

/// What the judge says of a call that the server did not read.
pub(super) fn reread(
    judging: &Judging<'_>,
    outcome: Outcome,
    attempts: &[AttemptRecord],
) -> Option<Reread> {
    let last = attempts.last()?;
    (outcome.code() == Some(Code::CallInContent))
        .then(|| judging.reread(&last.lenient.calls))
        .flatten()
}

/// Why the loop ended before the judge had its say.
pub(super) enum Ended {
    /// All rounds are over.
    Complete,
    /// Findings that end the trial, primary decides.
    With(Vec<Violation>),
    /// Corrections ran out; the findings of the last attempt.
    CorrectionsExhausted(Vec<Violation>),
}

/// What each leg is offered in a round, by leg.
pub(super) type Offers = [Arc<PreparedOffer>];

/// What one turn came to.
enum Turn {
    Calls(ReadCalls),
    Answer(String, String),
    Ended(Ended),
}

pub(super) struct Trial<'a> {
    pub(super) context: &'a CellContext<'a>,
    pub(super) planned: &'a PlannedTrial,
    pub(super) case: &'a Case,
    pub(super) abort: &'a CancellationToken,
    pub(super) recorder: Recorder,
    pub(super) messages: Vec<Message>,
    judging: Judging<'a>,
    pub(super) turn: u32,
    /// Requests made, by leg.
    pub(super) requests: Vec<u32>,
    /// Why the constraint is not asked for, by leg.
    pub(super) constraint_refused: Vec<Option<String>>,
    /// The leg that wrote a message with calls, by the message's index.
    pub(super) authors: BTreeMap<usize, usize>,
    offer_hash: ContentHash,
    answer: Option<String>,
}

impl Trial<'_> {
    /// Everything that is needed before the first request.
    async fn ready(&mut self) -> Result<Box<dyn ToolSession>, Ended> {
        self.load().await?;
        let rounds = self.case.all_rounds();
        let first = rounds.first().and_then(|round| round.tools.clone());
        let first = first.or_else(|| self.case.tools.clone());
        self.offer_hash = match &self.offers(first.as_deref())?[..] {
            [only] => only.hash.clone(),
            legs => {
                let hashes: Vec<&ContentHash> = legs.iter().map(|offer| &offer.hash).collect();
                ContentHash::of_value(&hashes)
            }
        };
        // Legs differ in wire names alone, and the judge sees the tools' own.
        let all = self.offers(all_tools(self.case, &rounds).as_deref())?;
        self.judging.offer(&all[0]);
        let context = self.context;
        tokio::select! {
            biased;
            () = self.abort.cancelled() => Err(cancelled()),
            opened = context.host.open(self.case.state.as_ref()) => opened
                .map_err(|error| Ended::With(vec![Violation::new(error.code, error.message)])),
        }
    }

    /// Free when the model is there; after a crash it loads again here, not in an attempt. A leg
    /// that cannot be loaded is passed over where a failing one is and another one answers.
    async fn load(&self) -> Result<(), Ended> {
        let mut failed = None;
        let mut answers = false;
        for leg in &self.context.legs {
            let Err(error) = leg.provider.describe().await else {
                answers = true;
                continue;
            };
            let violation = findings::of_provider(&error);
            let rules = self.context.fallback;
            let passed_over = rules.and_then(|rules| rules.cause(Some(violation.code), 0.0));
            if passed_over.is_none() {
                return Err(Ended::With(vec![violation]));
            }
            failed.get_or_insert(violation);
        }
        match failed.filter(|_| !answers) {
            Some(violation) => Err(Ended::With(vec![violation])),
            None => Ok(()),
        }
    }

    /// Why the constraint was not in force in a leg that was asked.
    fn why_refused(&self) -> Option<String> {
        let hybrid = self.context.fallback.is_some();
        let legs = self.context.legs.iter().zip(&self.constraint_refused);
        let mut asked = legs
            .zip(&self.requests)
            .enumerate()
            .filter(|(index, (_, requests))| *index == 0 || **requests > 0);
        asked.find_map(|(_, ((leg, refused), _))| match refused {
            Some(why) if hybrid => Some(format!("leg `{}`: {why}", leg.name)),
            other => other.clone(),
        })
    }

    fn offers(&self, tools: Option<&[String]>) -> Result<Vec<Arc<PreparedOffer>>, Ended> {
        self.context
            .offers(self.case, tools)
            .map_err(|message| Ended::With(vec![Violation::new(Code::CaseInvalid, message)]))
    }

    async fn run(&mut self, session: &mut dyn ToolSession) -> (Ended, Option<serde_json::Value>) {
        let mut tools = self.case.tools.clone();
        for (index, round) in self.case.all_rounds().into_iter().enumerate() {
            if round.tools.is_some() {
                tools.clone_from(&round.tools);
            }
            let offers = match self.offers(tools.as_deref()) {
                Ok(offers) => offers,
                Err(ended) => return (ended, session.state()),
            };
            self.messages
                .push(Message::text(Role::User, round.user.clone()));
            self.judging.start_round(round);
            let ended = self.round(index as u32, &offers, session).await;
            self.judging.end_round(session.state());
            if let Some(ended) = ended {
                return (ended, session.state());
            }
        }
        (Ended::Complete, session.state())
    }

    /// One round; `None` when it came to its own end.
    async fn round(
        &mut self,
        round: u32,
        offers: &Offers,
        session: &mut dyn ToolSession,
    ) -> Option<Ended> {
        let first = self.turn;
        loop {
            if self.turn - first >= self.context.rules.max_turns {
                return Some(Ended::With(vec![findings::turn_limit(self.turn - first)]));
            }
            let turn = self.turn_once(round, offers).await;
            self.turn += 1;
            match turn {
                Turn::Ended(ended) => return Some(ended),
                Turn::Answer(answer, raw) => {
                    self.messages.push(Message::text(Role::Assistant, raw));
                    self.judging.answered(&answer);
                    self.answer = Some(answer);
                    return None;
                }
                Turn::Calls(mut read) => {
                    let answer = read.answer.take();
                    if let Some(ended) = self.execute(round, read, session).await {
                        return Some(ended);
                    }
                    if let Some(answer) = answer {
                        self.messages
                            .push(Message::text(Role::Assistant, answer.clone()));
                        self.judging.answered(&answer);
                        self.answer = Some(answer);
                        return None;
                    }
                    match self.judging.progress() {
                        RoundProgress::Over => return None,
                        RoundProgress::Loop(violation) => {
                            return Some(Ended::With(vec![violation]));
                        }
                        RoundProgress::GoOn => {}
                    }
                }
            }
        }
    }

    fn spent(&self, looked: Looked) -> Option<Violation> {
        let CellContext { rules, prices, .. } = self.context;
        findings::spent(rules, *prices, &self.recorder, looked)
    }

    /// One turn: attempts until a valid reply, or the end.
    async fn turn_once(&mut self, round: u32, offers: &Offers) -> Turn {
        let mut attempt = 1;
        loop {
            if let Some(violation) = self.spent(Looked::BeforeRequest) {
                return Turn::Ended(Ended::With(vec![violation]));
            }
            let read = match self.attempt(round, attempt, offers).await {
                Ok(read) => read,
                Err(ended) => return Turn::Ended(ended),
            };
            if read.violations.is_empty() {
                let steering = findings::steering(self.context.rules, read.decoded);
                if steering.calls.is_empty() {
                    return Turn::Answer(steering.answer.unwrap_or_default(), read.reply.text);
                }
                let leg = read.leg;
                return Turn::Calls(ReadCalls {
                    leg,
                    ..ReadCalls::of(steering, read.reply, &offers[leg].names)
                });
            }
            let (rules, style) = (self.context.rules, &self.context.correction);
            if !findings::may_correct(rules, style, &read.violations) {
                return Turn::Ended(Ended::With(read.violations));
            }
            if self.recorder.corrections >= rules.max_corrections {
                return Turn::Ended(Ended::uncorrected(rules, read.violations));
            }
            self.correct(&read, offers);
            attempt += 1;
        }
    }

    fn correct(&mut self, read: &Read, offers: &Offers) {
        let text = self.context.correction.render(&read.violations);
        let hash = self.recorder.content("correction", &text);
        if let Some(last) = self.recorder.attempts.last_mut() {
            last.correction = Some(hash);
        }
        self.recorder.corrections += 1;
        let concerned = primary(&read.violations).and_then(|violation| violation.call);
        let id = format!("call_{}_{}", self.turn, self.recorder.corrections);
        let names = &offers[read.leg].names;
        let messages = correction_messages(&read.reply, names, &id, concerned, &text);
        if !read.reply.calls.is_empty() {
            self.authors.insert(self.messages.len(), read.leg);
        }
        self.messages.extend(messages);
    }

    /// Sends calls to the host and their results back into the conversation.
    async fn execute(
        &mut self,
        round: u32,
        read: ReadCalls,
        session: &mut dyn ToolSession,
    ) -> Option<Ended> {
        let (mut calls, served, raw) = (read.calls, read.served, read.raw);
        for (index, call) in calls.iter_mut().enumerate() {
            call.id
                .get_or_insert_with(|| format!("call_{}_{index}", self.turn));
        }
        self.authors.insert(self.messages.len(), read.leg);
        self.messages
            .push(Message::assistant_calls(raw, calls.clone()));
        for (call, served) in calls.into_iter().zip(served) {
            let watch = Stopwatch::start();
            let abort = self.abort;
            let by_server = served.is_some();
            let result = if let Some(result) = served {
                Ok(result)
            } else {
                tokio::select! {
                    biased;
                    () = abort.cancelled() => return Some(cancelled()),
                    result = session.call(&call) => result,
                }
            };
            let tool_ms = if by_server { 0.0 } else { watch.elapsed_ms() };
            let mut record = CallRecord {
                round,
                turn: self.turn - 1,
                call: call.clone(),
                result: None,
                is_error: false,
                scripted_error: false,
                code: None,
                tool_ms,
                by_server,
            };
            match result {
                Ok(result) => {
                    record.result = Some(self.recorder.content("result", &result));
                    record.is_error = result.is_error;
                    record.scripted_error = result.scripted_error;
                    record.code = match (result.is_error, result.scripted_error) {
                        (_, true) => Some(Code::ToolErrorExpected),
                        (true, false) => Some(Code::ToolErrorModel),
                        (false, false) => None,
                    };
                    self.judging.executed(&call, self.turn - 1, &result);
                    self.messages
                        .push(Message::tool_result(&call, shown(&result.content)));
                    self.recorder.call(record);
                }
                Err(error) => {
                    record.code = Some(error.code);
                    self.recorder.call(record);
                    return Some(Ended::With(vec![Violation {
                        tool: Some(call.name.clone()),
                        ..Violation::new(error.code, error.message)
                    }]));
                }
            }
        }
        None
    }

    /// The outcome: what ended the loop, or what the judge says of a complete trial.
    fn outcome(&self, ended: Ended) -> (Outcome, Vec<Violation>) {
        ended.outcome(self.recorder.corrections, || self.judging.judge())
    }
}

impl Ended {
    /// Invalid, and no correction is left.
    pub(super) fn uncorrected(rules: &TrialRules, violations: Vec<Violation>) -> Self {
        if rules.max_corrections == 0 {
            Self::With(violations)
        } else {
            Self::CorrectionsExhausted(violations)
        }
    }

    /// What it comes to after `corrections`; `judge` is asked only of a complete trial.
    pub(super) fn outcome(
        self,
        corrections: u32,
        judge: impl FnOnce() -> Vec<Violation>,
    ) -> (Outcome, Vec<Violation>) {
        let (violations, exhausted) = match self {
            Self::Complete => (guarded(judge), false),
            Self::With(found) => (found, false),
            Self::CorrectionsExhausted(found) => (found, true),
        };
        let Some(first) = primary(&violations).map(|violation| violation.code) else {
            let outcome = match corrections {
                0 => Outcome::Passed,
                corrections => Outcome::Recovered { corrections },
            };
            return (outcome, Vec::new());
        };
        let outcome = if exhausted {
            Outcome::Limit {
                code: Code::CorrectionsExhausted,
                underlying: Some(first),
            }
        } else {
            Outcome::of_code(first)
        };
        (outcome, violations)
    }
}

/// Runs the judge; should it panic, the trial is ours to answer for and no one else's.
fn guarded(judge: impl FnOnce() -> Vec<Violation>) -> Vec<Violation> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)).unwrap_or_else(|_| {
        vec![Violation::new(
            Code::ScorerError,
            "the judge failed on this trial",
        )]
    })
}

fn cancelled() -> Ended {
    Ended::With(vec![Violation::new(Code::Cancelled, "interrupted")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_that_panics_is_a_scorer_error() {
        let found = guarded(|| panic!("a fault in the judge"));
        assert_eq!(found[0].code, Code::ScorerError);
        assert_eq!(guarded(Vec::new), Vec::new());
    }
}
