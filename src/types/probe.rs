//! What trying a server out has shown, before anything is credited to it.
//!
//! Data in: nothing. Data out: plain values, stored in a run's header. Invariants: a probe that could
//! not tell says so; only what was seen is called proven or violated.

use serde::{Deserialize, Serialize};

use super::facts::{Mechanism, Wire};
use super::violation::Code;

/// One thing that is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeName {
    /// A long prompt arrives whole: its reported tokens are those expected of its length.
    Truncation,
    /// The constraint holds: a text that only obedience writes is written.
    Constraint,
    /// `required` gives a call where none is due, `none` gives none.
    ToolChoice,
    /// Streamed and whole reply to one request are the same.
    Streaming,
    /// The server reads the calls that the model writes.
    Parser,
    /// One request, one reply.
    Determinism,
    /// A repeated prompt costs less.
    PromptCache,
}

impl ProbeName {
    /// The name in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Truncation => "truncation",
            Self::Constraint => "constraint",
            Self::ToolChoice => "tool choice",
            Self::Streaming => "streaming",
            Self::Parser => "parser",
            Self::Determinism => "determinism",
            Self::PromptCache => "prompt cache",
        }
    }

    /// What it tells, in one sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Truncation => "a long prompt arrives whole",
            Self::Constraint => "the server holds decoding to the constraint it is given",
            Self::ToolChoice => "`required` and `none` are obeyed",
            Self::Streaming => "streamed and whole replies are the same",
            Self::Parser => "the server reads the calls that the model writes",
            Self::Determinism => "the same request gives the same reply",
            Self::PromptCache => "a repeated prompt is not computed again",
        }
    }
}

/// What a probe has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeVerdict {
    /// Seen to hold.
    Proven,
    /// Could not be told.
    Unproven,
    /// Seen not to hold.
    Violated,
}

impl ProbeVerdict {
    /// The word in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Violated => "violated",
        }
    }
}

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeResult {
    /// What was tried.
    pub probe: ProbeName,
    /// What it has shown.
    pub verdict: ProbeVerdict,
    /// What a violation is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub code: Option<Code>,
    /// In words, with what was seen.
    pub detail: String,
    /// A number that later checks need: tokens for each character of a prompt (`truncation`),
    /// time to the first token of the second request over that of the first (`prompt_cache`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// The probes of one model over one wire with one mechanism.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProbeSet {
    /// Model as the user named it.
    pub model: String,
    /// Context asked for.
    pub context_tokens: u32,
    /// Wire.
    pub wire: Wire,
    /// Mechanism of the constraint; `None` for unconstrained cells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<Mechanism>,
    /// Results, each probe at most once.
    pub results: Vec<ProbeResult>,
}

impl ProbeSet {
    /// The result of a probe.
    pub fn result(&self, probe: ProbeName) -> Option<&ProbeResult> {
        self.results.iter().find(|result| result.probe == probe)
    }

    /// The result of a probe that was violated.
    pub fn violated(&self, probe: ProbeName) -> Option<&ProbeResult> {
        self.result(probe)
            .filter(|result| result.verdict == ProbeVerdict::Violated)
    }
}
