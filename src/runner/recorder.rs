//! Collects what a trial produces: content by hash, attempts, calls, times.

use serde::Serialize;
use serde_json::Value;

use crate::clock::Stopwatch;
use crate::event::Event;
use crate::types::{AttemptRecord, CallRecord, ContentHash, TrialTime};

/// A trial's collected events and records. Content events come before the trial that needs them.
pub(super) struct Recorder {
    pub(super) events: Vec<Event>,
    pub(super) attempts: Vec<AttemptRecord>,
    pub(super) calls: Vec<CallRecord>,
    pub(super) corrections: u32,
    pub(super) time: TrialTime,
    watch: Stopwatch,
}

impl Recorder {
    pub(super) fn start() -> Self {
        Self {
            events: Vec::new(),
            attempts: Vec::new(),
            calls: Vec::new(),
            corrections: 0,
            time: TrialTime::default(),
            watch: Stopwatch::start(),
        }
    }

    /// Starts the trial's clock: what came before is preparation.
    pub(super) fn restart_clock(&mut self) {
        self.watch = Stopwatch::start();
    }

    /// Stores content and gives its address.
    pub(super) fn content<T: Serialize>(&mut self, kind: &str, value: &T) -> ContentHash {
        let value = serde_json::to_value(value).unwrap_or(Value::Null);
        let hash = ContentHash::of_value(&value);
        self.events.push(Event::Content {
            hash: hash.clone(),
            kind: kind.to_owned(),
            value,
        });
        hash
    }

    /// Milliseconds since the trial began, without those spent waiting for an endpoint to take a
    /// request: they are not the model's.
    pub(super) fn elapsed_ms(&self) -> f64 {
        (self.watch.elapsed_ms() - self.time.waited_ms).max(0.0)
    }

    /// Adds an attempt and its times. `started_ms` is when its request went out.
    pub(super) fn attempt(&mut self, attempt: AttemptRecord, started_ms: f64) {
        let waited_ms = attempt.timing.waited_ms.unwrap_or_default();
        self.time.waited_ms += waited_ms;
        let in_model_ms = (attempt.wall_ms - waited_ms).max(0.0);
        if attempt.attempt == 1 {
            self.time.model_ms += in_model_ms;
        } else {
            self.time.correction_ms += in_model_ms;
        }
        // Nothing of a leg that was passed over reaches who waits; only its time passes.
        let stands = attempt.passed_over.is_none();
        if let (None, Some(first)) = (self.time.to_first_token_ms, attempt.timing.first_token_ms)
            && stands
        {
            self.time.to_first_token_ms = Some(started_ms + first);
        }
        if self.time.to_valid_call_ms.is_none()
            && stands
            && attempt.valid_calls > 0
            && attempt.violations.is_empty()
        {
            self.time.to_valid_call_ms = Some(self.elapsed_ms());
        }
        self.attempts.push(attempt);
    }

    /// Adds an executed call.
    pub(super) fn call(&mut self, call: CallRecord) {
        self.time.tool_ms += call.tool_ms;
        self.calls.push(call);
    }

    /// The times, closed.
    pub(super) fn finish_time(&mut self) -> TrialTime {
        self.time.total_ms = self.elapsed_ms();
        self.time
    }
}
