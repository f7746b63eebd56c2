//! What trying a server out has shown, before anything is credited to it.
//!
//! Data in: nothing. Data out: plain values, stored in a run's header. Invariants: a probe that could
//! not tell says so; only what was seen is called proven or violated.

use serde::{Deserialize, Serialize};

use super::facts::{Mechanism, Wire};
use super::generate::Usage;
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
    /// Tokens that the server cuts prompts to (`truncation`): the number that it reports for longer
    /// and longer ones. Absent where it cuts none, or to no fixed number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<u32>,
}

/// What probes took.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
pub struct ProbeLoad {
    /// Requests, each counted once however often it was repeated for a fault on the way.
    pub requests: u64,
    /// Requests without a reply: what they took is not known and not in the tokens.
    pub without_reply: u64,
    /// Replies that did not report their tokens.
    pub without_tokens: u64,
    /// Tokens of all prompts, as reported.
    pub prompt_tokens: u64,
    /// Of them from the server's cache.
    pub cached_tokens: u64,
    /// Tokens generated, as reported.
    pub output_tokens: u64,
}

impl ProbeLoad {
    /// Counts a request and its reply, where there was one.
    pub fn count(&mut self, usage: Option<&Usage>) {
        self.requests += 1;
        let Some(usage) = usage else {
            self.without_reply += 1;
            return;
        };
        self.without_tokens += u64::from(usage.prompt_tokens == 0);
        self.prompt_tokens += u64::from(usage.prompt_tokens);
        self.cached_tokens += u64::from(usage.cached_tokens.min(usage.prompt_tokens));
        self.output_tokens += u64::from(usage.output_tokens);
    }

    /// Prompt and output together.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens
    }

    /// Requests and tokens.
    pub fn in_words(&self) -> String {
        let unknown = match self.without_reply + self.without_tokens {
            0 => String::new(),
            requests => format!("; {requests} requests told no tokens"),
        };
        format!(
            "{} requests, {} tokens{unknown}",
            self.requests,
            self.tokens()
        )
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.without_reply += other.without_reply;
        self.without_tokens += other.without_tokens;
        self.prompt_tokens += other.prompt_tokens;
        self.cached_tokens += other.cached_tokens;
        self.output_tokens += other.output_tokens;
    }
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
    /// What they took; nothing in records that did not count it.
    #[serde(default)]
    pub taken: ProbeLoad,
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
