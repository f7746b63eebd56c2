//! The one loop: generate, decode, validate, correct, call tools, judge.
//!
//! Data in: a cell's context and a planned trial. Data out: a finished [`TrialRecord`] and the
//! events that go before it. Invariants: never fails (what goes wrong is an outcome); every
//! request and reply is stored; only parse to schema findings are corrected.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::cell::{CellContext, PreparedOffer};
use super::conversation::{all_tools, on_wire, prompt_rest, shown};
use super::correction::correction_messages;
use super::findings;
use super::judging::{Judging, RoundProgress};
use super::probe::was_cut;
use super::read_calls::ReadCalls;
use super::recorder::Recorder;
use crate::clock::{Stopwatch, now_rfc3339};
use crate::event::Event;
use crate::plan::PlannedTrial;
use crate::tools::ToolSession;
use crate::types::decoded::Reading;
use crate::types::generate::RequestContext;
use crate::types::trial::{CallRecord, ServedParts};
use crate::types::violation::primary;
use crate::types::{
    AttemptRecord, Case, Code, Constraint, ContentHash, Decoded, GenerateReply, GenerateRequest,
    Message, Outcome, ProviderError, Role, TrialRecord, TrialRules, Violation, WireNames,
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
        requests: 0,
        constraint_refused: context
            .not_enforced
            .clone()
            .filter(|_| context.planned.key.constraint == Constraint::Grammar),
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
            (ended, state, session.take_notes())
        }
        Err(ended) => (ended, None, Vec::new()),
    };
    let (outcome, violations) = trial.outcome(ended);
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
        constraint_effective: match trial.constraint_refused {
            Some(_) => Constraint::Off,
            None => cell.key.constraint,
        },
        constraint_refused: trial.constraint_refused,
        outcome,
        first_attempt_success: outcome == Outcome::Passed,
        violations,
        call_counts: trial.judging.counts(),
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

/// Why the loop ended before the judge had its say.
pub(super) enum Ended {
    /// All rounds are over.
    Complete,
    /// Findings that end the trial, primary decides.
    With(Vec<Violation>),
    /// Corrections ran out; the findings of the last attempt.
    CorrectionsExhausted(Vec<Violation>),
}

/// What one turn came to.
enum Turn {
    Calls(ReadCalls),
    Answer(String, String),
    Ended(Ended),
}

struct Trial<'a> {
    context: &'a CellContext<'a>,
    planned: &'a PlannedTrial,
    case: &'a Case,
    abort: &'a CancellationToken,
    recorder: Recorder,
    messages: Vec<Message>,
    judging: Judging<'a>,
    turn: u32,
    requests: u32,
    constraint_refused: Option<String>,
    offer_hash: ContentHash,
    answer: Option<String>,
}

impl Trial<'_> {
    /// Everything that is needed before the first request.
    async fn ready(&mut self) -> Result<Box<dyn ToolSession>, Ended> {
        // Free when the model is there; after a crash it loads again here, not in an attempt.
        if let Err(error) = self.context.provider.describe().await {
            return Err(Ended::With(vec![findings::of_provider(&error)]));
        }
        let rounds = self.case.all_rounds();
        let first = rounds.first().and_then(|round| round.tools.clone());
        let first = first.or_else(|| self.case.tools.clone());
        let offer = self.offer(first.as_deref())?;
        self.offer_hash = offer.hash.clone();
        let all = self.offer(all_tools(self.case, &rounds).as_deref())?;
        self.judging.offer(&all);
        let context = self.context;
        tokio::select! {
            biased;
            () = self.abort.cancelled() => Err(cancelled()),
            opened = context.host.open(self.case.state.as_ref()) => opened
                .map_err(|error| Ended::With(vec![Violation::new(error.code, error.message)])),
        }
    }

    fn offer(&self, tools: Option<&[String]>) -> Result<Arc<PreparedOffer>, Ended> {
        self.context
            .offer(self.case, tools)
            .map_err(|message| Ended::With(vec![Violation::new(Code::CaseInvalid, message)]))
    }

    async fn run(&mut self, session: &mut dyn ToolSession) -> (Ended, Option<serde_json::Value>) {
        let mut tools = self.case.tools.clone();
        for (index, round) in self.case.all_rounds().into_iter().enumerate() {
            if round.tools.is_some() {
                tools.clone_from(&round.tools);
            }
            let offer = match self.offer(tools.as_deref()) {
                Ok(offer) => offer,
                Err(ended) => return (ended, session.state()),
            };
            self.messages
                .push(Message::text(Role::User, round.user.clone()));
            self.judging.start_round(round);
            let ended = self.round(index as u32, &offer, session).await;
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
        offer: &PreparedOffer,
        session: &mut dyn ToolSession,
    ) -> Option<Ended> {
        let first = self.turn;
        loop {
            if self.turn - first >= self.context.rules.max_turns {
                return Some(Ended::With(vec![findings::turn_limit(self.turn - first)]));
            }
            let turn = self.turn_once(round, offer).await;
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

    /// One turn: attempts until a valid reply, or the end.
    async fn turn_once(&mut self, round: u32, offer: &PreparedOffer) -> Turn {
        let mut attempt = 1;
        loop {
            let (decoded, reply, violations) = match self.attempt(round, attempt, offer).await {
                Ok(read) => read,
                Err(ended) => return Turn::Ended(ended),
            };
            let steering = findings::steering(self.context.rules, decoded);
            if violations.is_empty() {
                if steering.calls.is_empty() {
                    return Turn::Answer(steering.answer.unwrap_or_default(), reply.text);
                }
                return Turn::Calls(ReadCalls::of(steering, reply, &offer.names));
            }
            if !findings::may_correct(self.context.rules, &self.context.correction, &violations) {
                return Turn::Ended(Ended::With(violations));
            }
            if self.recorder.corrections >= self.context.rules.max_corrections {
                return Turn::Ended(Ended::uncorrected(self.context.rules, violations));
            }
            self.correct(&reply, &offer.names, &violations);
            attempt += 1;
        }
    }

    fn correct(&mut self, reply: &GenerateReply, names: &WireNames, violations: &[Violation]) {
        let text = self.context.correction.render(violations);
        let hash = self.recorder.content("correction", &text);
        if let Some(last) = self.recorder.attempts.last_mut() {
            last.correction = Some(hash);
        }
        self.recorder.corrections += 1;
        let concerned = primary(violations).and_then(|violation| violation.call);
        let id = format!("call_{}_{}", self.turn, self.recorder.corrections);
        self.messages
            .extend(correction_messages(reply, names, &id, concerned, &text));
    }

    /// One request and its reply, read and checked.
    async fn attempt(
        &mut self,
        round: u32,
        attempt: u32,
        offer: &PreparedOffer,
    ) -> Result<(Decoded, GenerateReply, Vec<Violation>), Ended> {
        let messages = on_wire(&self.messages, &offer.names);
        let encoded = self.context.dialect.encode(&offer.offer, &messages);
        let mut request = GenerateRequest {
            prompt: encoded.prompt,
            sampling: self.context.variant.sampling.clone(),
            seed: self.planned.seed.wrapping_add(u64::from(self.requests)),
            max_tokens: self.context.rules.max_tokens,
            stop: encoded.stop,
            constraint: offer
                .constraint
                .clone()
                .filter(|_| self.constraint_refused.is_none()),
            stream: true,
            time_limit_ms: self.context.rules.attempt_limit_ms,
            context: Some(RequestContext {
                suite: self.context.suite.suite.clone(),
                case: self.case.id.clone(),
                trial: self.planned.trial,
                round,
                turn: self.turn,
                attempt,
                request: self.requests,
            }),
        };
        let started_ms = self.recorder.elapsed_ms();
        let watch = Stopwatch::start();
        let mut answer = self.context.provider.generate(&request, self.abort).await;
        if let Err(ProviderError::GrammarRejected { detail }) = &answer {
            // Falls back to validate-and-correct; the record says so.
            self.constraint_refused = Some(detail.clone());
            request.constraint = None;
            answer = self.context.provider.generate(&request, self.abort).await;
        }
        self.requests += 1;
        let mut record = self.attempt_record(round, attempt, offer, &request, encoded.folds);
        record.wall_ms = watch.elapsed_ms();
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => {
                let violation = findings::of_provider(&error);
                record.violations = vec![violation.clone()];
                self.recorder.attempt(record, started_ms);
                return Err(Ended::With(vec![violation]));
            }
        };
        if request.constraint.is_some() && !reply.constrained {
            self.constraint_refused
                .get_or_insert_with(|| "the provider did not apply the grammar".to_owned());
        }
        let decoded = findings::read(self.context.dialect, offer, &reply);
        let cut = self
            .context
            .tokens_per_character
            .is_some_and(|rate| was_cut(&request.prompt, &reply, rate));
        let violations = if cut {
            vec![findings::prompt_cut(&reply)]
        } else {
            findings::of_reply(
                self.context.rules,
                self.context.dialect.name(),
                offer,
                &decoded,
                &reply,
            )
        };
        record.reply = Some(self.recorder.content("reply", &reply.text));
        record.served =
            ServedParts::of(&reply).map(|parts| self.recorder.content("served", &parts));
        record.stop_reason = Some(reply.stop_reason);
        record.usage = reply.usage;
        record.timing = reply.timing;
        if let Some((tokens, milliseconds)) =
            findings::thought(&reply, decoded.strict.thought.as_deref())
        {
            record.usage.reasoning_tokens = tokens;
            record.timing.reasoning_ms = Some(milliseconds);
        }
        record.peak_memory_bytes = reply.peak_memory_bytes;
        record.strict = decoded.strict.clone();
        record.lenient = decoded.lenient.clone();
        record.attempted_call = decoded.attempted_call;
        record.valid_calls = findings::valid_calls(self.context.rules, offer, &decoded);
        record.violations.clone_from(&violations);
        self.recorder.events.push(Event::Attempt {
            case: format!("{}/{}", self.context.suite.suite, self.case.id),
            prompt: prompt_rest(&request),
            reply: Box::new(reply.clone()),
        });
        self.recorder.attempt(record, started_ms);
        Ok((decoded, reply, violations))
    }

    fn attempt_record(
        &mut self,
        round: u32,
        attempt: u32,
        offer: &PreparedOffer,
        request: &GenerateRequest,
        folds: Vec<String>,
    ) -> AttemptRecord {
        AttemptRecord {
            round,
            turn: self.turn,
            attempt,
            leg: self.context.route.leg.clone(),
            prompt: self.recorder.content("prompt", &request.prompt.as_stored()),
            grammar: request
                .constraint
                .as_ref()
                .map(|constraint| self.recorder.content("grammar", &constraint.as_stored())),
            tools: self.recorder.content("tools", &offer.tools),
            reply: None,
            served: None,
            stop_reason: None,
            strict: Reading::default(),
            lenient: Reading::default(),
            attempted_call: false,
            valid_calls: 0,
            violations: Vec::new(),
            usage: crate::types::Usage::default(),
            timing: crate::types::Timing::default(),
            wall_ms: 0.0,
            peak_memory_bytes: None,
            correction: None,
            folds,
        }
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
