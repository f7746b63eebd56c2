//! One attempt of a turn: a request, its reply, what is found in it; over the legs of a hybrid until
//! one stands.
//!
//! Data in: the trial so far and what each leg is offered. Data out: a reply that stands, or the end
//! of the trial. Invariants: every request is on record with its leg, also those that were passed
//! over; no model sees anything of a leg that was; the last leg always stands.

use std::borrow::Cow;

use super::cell::PreparedOffer;
use super::conversation::prompt_rest;
use super::findings;
use super::trial::{Ended, Offers, Trial};
use crate::clock::Stopwatch;
use crate::event::Event;
use crate::types::decoded::Reading;
use crate::types::generate::RequestContext;
use crate::types::trial::ServedParts;
use crate::types::violation::primary;
use crate::types::{
    AttemptRecord, Decoded, DialectName, FallbackRules, GenerateReply, GenerateRequest, Message,
    ProviderError, TrialRules, Violation,
};

/// A reply that stands, read and checked.
pub(super) struct Read {
    /// Index of the leg that wrote it.
    pub(super) leg: usize,
    pub(super) decoded: Decoded,
    pub(super) reply: GenerateReply,
    pub(super) violations: Vec<Violation>,
}

/// What asking one leg came to.
enum Asked {
    Stands(Box<Read>),
    PassedOver,
    Ended(Ended),
}

/// Where an attempt belongs.
#[derive(Clone, Copy)]
struct Place<'a> {
    round: u32,
    attempt: u32,
    leg: usize,
    /// When the next leg is asked; `None` for the last.
    fallback: Option<&'a FallbackRules>,
}

impl Trial<'_> {
    /// One attempt: the legs in order until one stands. Only a hybrid has more than one.
    pub(super) async fn attempt(
        &mut self,
        round: u32,
        attempt: u32,
        offers: &Offers,
    ) -> Result<Read, Ended> {
        let context = self.context;
        let mut leg = 0;
        loop {
            let is_last = leg + 1 == context.legs.len();
            let place = Place {
                round,
                attempt,
                leg,
                fallback: context.fallback.filter(|_| !is_last),
            };
            match self.ask(place, &offers[leg]).await {
                Asked::Stands(read) => return Ok(*read),
                Asked::Ended(ended) => return Err(ended),
                Asked::PassedOver => leg += 1,
            }
        }
    }

    /// One request to one leg, and its reply.
    async fn ask(&mut self, place: Place<'_>, offer: &PreparedOffer) -> Asked {
        let context = self.context;
        let leg = &context.legs[place.leg];
        let rules = match place.fallback {
            Some(fallback) => Cow::Owned(fallback.limited(context.rules)),
            None => Cow::Borrowed(context.rules),
        };
        let rules = TrialRules {
            attempt_limit_ms: self.time_left(rules.attempt_limit_ms),
            ..rules.into_owned()
        };
        let (mut request, folds) = self.request(place, offer, rules.attempt_limit_ms);
        let started_ms = self.recorder.elapsed_ms();
        let watch = Stopwatch::start();
        let mut answer = leg.provider.generate(&request, self.abort).await;
        if let Err(ProviderError::GrammarRejected { detail }) = &answer {
            // Falls back to validate-and-correct; the record says so.
            self.constraint_refused[place.leg] = Some(detail.clone());
            request.constraint = None;
            answer = leg.provider.generate(&request, self.abort).await;
        }
        self.requests[place.leg] += 1;
        let mut record = self.attempt_record(place, offer, &request, folds);
        record.wall_ms = watch.elapsed_ms();
        let passed_over = |violations: &[Violation], wall_ms: f64| {
            let code = primary(violations).map(|violation| violation.code);
            place.fallback.and_then(|rules| rules.cause(code, wall_ms))
        };
        let reply = match answer {
            Ok(reply) => reply,
            Err(error) => {
                let violations = vec![findings::of_provider(&error)];
                record.violations.clone_from(&violations);
                record.passed_over = passed_over(&violations, record.wall_ms);
                let goes_on = record.passed_over.is_some();
                self.recorder.attempt(record, started_ms);
                return if goes_on {
                    Asked::PassedOver
                } else {
                    Asked::Ended(Ended::With(violations))
                };
            }
        };
        if request.constraint.is_some() && !reply.constrained {
            self.constraint_refused[place.leg]
                .get_or_insert_with(|| "the provider did not apply the grammar".to_owned());
        }
        let decoded = findings::read(context.dialect, offer, &reply);
        let cut = leg
            .prompt_count
            .is_some_and(|count| count.was_cut(&request.prompt, &reply));
        let violations = if cut {
            vec![findings::prompt_cut(&reply)]
        } else {
            let dialect = context.dialect.name();
            findings::of_reply(&rules, dialect, offer, &decoded, &reply)
        };
        record.passed_over = passed_over(&violations, record.wall_ms);
        self.fill(&mut record, &reply, &decoded);
        record.valid_calls = findings::valid_calls(context.rules, offer, &decoded);
        record.violations.clone_from(&violations);
        self.recorder.events.push(Event::Attempt {
            case: format!("{}/{}", context.suite.suite, self.case.id),
            prompt: prompt_rest(&request),
            reply: Box::new(reply.clone()),
        });
        let goes_on = record.passed_over.is_some();
        self.recorder.attempt(record, started_ms);
        if goes_on {
            return Asked::PassedOver;
        }
        Asked::Stands(Box::new(Read {
            leg: place.leg,
            decoded,
            reply,
            violations,
        }))
    }

    /// The request to a leg, and what its template forced.
    fn request(
        &self,
        place: Place<'_>,
        offer: &PreparedOffer,
        time_limit_ms: u64,
    ) -> (GenerateRequest, Vec<String>) {
        let context = self.context;
        let messages = self.messages_of(place.leg, offer);
        let encoded = context.dialect.encode(&offer.offer, &messages);
        // Counted by leg, so that each is asked as it would be without the others.
        let number = self.requests[place.leg];
        let request = GenerateRequest {
            prompt: encoded.prompt,
            sampling: context.variant.sampling.clone(),
            seed: self.planned.seed.wrapping_add(u64::from(number)),
            max_tokens: context.rules.max_tokens,
            stop: encoded.stop,
            constraint: offer
                .constraint
                .clone()
                .filter(|_| self.constraint_refused[place.leg].is_none()),
            stream: true,
            time_limit_ms,
            context: Some(RequestContext {
                suite: context.suite.suite.clone(),
                case: self.case.id.clone(),
                trial: self.planned.trial,
                round: place.round,
                turn: self.turn,
                attempt: place.attempt,
                request: number,
            }),
        };
        (request, encoded.folds)
    }

    /// The conversation as a leg gets it: names as on its wire; calls that another leg wrote in its
    /// template's own form are left to this one's template.
    fn messages_of(&self, leg: usize, offer: &PreparedOffer) -> Cow<'_, [Message]> {
        let native = self.context.dialect.name() == DialectName::Native;
        let foreign: Vec<usize> = self
            .authors
            .iter()
            .filter(|(_, author)| native && **author != leg)
            .map(|(index, _)| *index)
            .collect();
        if offer.names.is_identity() && foreign.is_empty() {
            return Cow::Borrowed(&self.messages);
        }
        let mut messages = self.messages.clone();
        for index in foreign {
            messages[index].content.clear();
        }
        for message in &mut messages {
            for call in &mut message.tool_calls {
                call.name = offer.names.wire(&call.name).to_owned();
            }
            if let Some(name) = &mut message.tool_name {
                *name = offer.names.wire(name).to_owned();
            }
        }
        Cow::Owned(messages)
    }

    /// The limit of an attempt, less where the trial's own comes first.
    fn time_left(&self, attempt_limit_ms: u64) -> u64 {
        let left = self.context.rules.limits.time_ms.map(|limit| {
            let elapsed = self.recorder.elapsed_ms() as u64;
            limit.saturating_sub(elapsed).max(1)
        });
        left.map_or(attempt_limit_ms, |left| left.min(attempt_limit_ms))
    }

    /// What a reply is stored as.
    fn fill(&mut self, record: &mut AttemptRecord, reply: &GenerateReply, decoded: &Decoded) {
        record.reply = Some(self.recorder.content("reply", &reply.text));
        record.served = ServedParts::of(reply).map(|parts| self.recorder.content("served", &parts));
        record.stop_reason = Some(reply.stop_reason);
        record.usage = reply.usage;
        record.timing = reply.timing;
        if let Some((tokens, milliseconds)) =
            findings::thought(reply, decoded.strict.thought.as_deref())
        {
            record.usage.reasoning_tokens = tokens;
            record.timing.reasoning_ms = Some(milliseconds);
        }
        record.peak_memory_bytes = reply.peak_memory_bytes;
        record.strict = decoded.strict.clone();
        record.lenient = decoded.lenient.clone();
        record.attempted_call = decoded.attempted_call;
    }

    fn attempt_record(
        &mut self,
        place: Place<'_>,
        offer: &PreparedOffer,
        request: &GenerateRequest,
        folds: Vec<String>,
    ) -> AttemptRecord {
        AttemptRecord {
            round: place.round,
            turn: self.turn,
            attempt: place.attempt,
            leg: self.context.legs[place.leg].name.clone(),
            passed_over: None,
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
}
