//! Events: the seam between the runner and everything that listens.
//!
//! Data in: nothing. Data out: owned, serialisable events, the only way out of the runner.
//! Invariants: a finished trial travels as the same [`TrialRecord`] that is stored; content is
//! sent before the trial that refers to it; sinks may ask to stop and may fail.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::{CellKey, ContentHash, EarlyEnd, GenerateReply, ModelFacts, TrialRecord};

/// One thing that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Trials are about to start.
    RunStarted {
        /// Trials planned, those already on record not counted.
        trials: usize,
        /// Trials already on record.
        done: usize,
    },
    /// A model is being loaded.
    ModelLoading {
        /// Its name.
        model: String,
    },
    /// A model is ready.
    ModelReady {
        /// Its name.
        model: String,
        /// What it says of itself.
        facts: Box<ModelFacts>,
    },
    /// A cell begins.
    CellStarted {
        /// The cell.
        cell: CellKey,
        /// Its trials in this execution.
        trials: usize,
    },
    /// A reply came in (for live displays).
    Attempt {
        /// Case id.
        case: String,
        /// The prompt's last part and the reply, for `-vv`.
        prompt: String,
        /// The reply.
        reply: Box<GenerateReply>,
    },
    /// Content that later lines refer to by hash.
    Content {
        /// Its address.
        hash: ContentHash,
        /// What it is: `prompt`, `reply`, `tools`, `grammar`, `correction`, `result`, `state`.
        kind: String,
        /// The content.
        value: Value,
    },
    /// A trial is finished.
    TrialFinished {
        /// The record line.
        record: Box<TrialRecord>,
    },
    /// A cell is finished.
    CellFinished {
        /// The cell.
        cell: CellKey,
    },
    /// The run or a cell ends with trials left.
    EndedEarly {
        /// What ended, by what, and why.
        end: EarlyEnd,
    },
    /// Something a person should know.
    Notice {
        /// One sentence.
        message: String,
    },
    /// No more trials follow.
    RunFinished {
        /// Ended early on request.
        interrupted: bool,
    },
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop scheduling, as after a first Ctrl-C.
    Stop,
}

/// A listener failed: the record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct SinkError {
    /// What, where, why.
    pub message: String,
    /// The cause.
    #[source]
    pub source: Option<std::io::Error>,
}

/// Whoever listens.
pub trait EventSink {
    /// Takes one event.
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError>;
}

/// Sends each event to every sink in order; the first failure wins, `Stop` of any stops.
pub struct Tee<'a>(pub Vec<&'a mut dyn EventSink>);

impl EventSink for Tee<'_> {
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError> {
        let mut flow = Flow::Continue;
        for sink in &mut self.0 {
            if sink.on_event(event)? == Flow::Stop {
                flow = Flow::Stop;
            }
        }
        Ok(flow)
    }
}
