//! What is stored of a trial: the record line, self-contained but for content by hash.
//!
//! Invariants: every number on a screen is a function of these lines and the run's header; the
//! same struct travels in live events and on disk. Fields that read a clock end in `_ms` or `_at`
//! and are left out of the canonical summary.

use serde::{Deserialize, Serialize};

use super::cell::{CellKey, Constraint};
use super::decoded::Reading;
use super::generate::{GenerateReply, ServerResult, StopReason, Timing, Usage};
use super::hash::ContentHash;
use super::host::HostNote;
use super::hybrid::FallbackCause;
use super::outcome::Outcome;
use super::suite::Difficulty;
use super::tool::ToolCall;
use super::violation::{Code, Violation};

/// One finished trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Stable id: hash of cell, case and trial index.
    pub id: String,
    /// Position in the plan: reports order by it, not by completion.
    pub position: usize,
    /// The cell.
    pub cell: CellKey,
    /// [`CellKey::id`].
    pub cell_id: String,
    /// Case id.
    pub case: String,
    /// The case's category.
    pub category: String,
    /// The case's difficulty.
    pub difficulty: Difficulty,
    /// Nothing should be called in this case.
    pub abstention: bool,
    /// Trial index from 0.
    pub trial: u32,
    /// Sampler seed; equal for all models and dialects of this case and trial.
    pub seed: u64,
    /// Hash of what is asked and expected.
    pub case_hash: ContentHash,
    /// Hash of what is offered: tools, system prompt, few-shot, template.
    pub offer_hash: ContentHash,
    /// Constraint asked for.
    pub constraint_asked: Constraint,
    /// Constraint in force: `off` when the grammar was refused.
    pub constraint_effective: Constraint,
    /// Why the grammar was refused, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint_refused: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Right with no correction anywhere in the trial. Differs from the outcome only when recovered.
    pub first_attempt_success: bool,
    /// Findings of the whole trial, primary first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Every attempt in order.
    pub attempts: Vec<AttemptRecord>,
    /// Every call that went to the tool host, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallRecord>,
    /// What the tool host did or met besides results: restarts, refused calls, questions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_notes: Vec<HostNote>,
    /// How the executed calls stood to those expected; absent where the judge did not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_counts: Option<CallCounts>,
    /// Of a trial that ended because the server read no call in a text that holds one: what the
    /// judge says of that call. Absent elsewhere, and where the call alone decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reread: Option<Reread>,
    /// Corrections sent.
    pub corrections: u32,
    /// The final answer, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Hash of the tool host's state at the end, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_state: Option<ContentHash>,
    /// Where time went.
    pub time: TrialTime,
    /// When it began (RFC 3339).
    pub started_at: String,
    /// The machine was busy with something else (load or steal over the limit) meanwhile.
    #[serde(default)]
    pub noisy: bool,
    /// Replies came from a cassette: the times are those of reading a file, and no measurement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// A call that the server did not read, judged as if it had. The outcome stays what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reread {
    /// What is wrong with it first; absent where it is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// What a server gave beside the text of a reply: what it read, and what it read it from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServedParts {
    /// Calls that it read, with the names used on the wire.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// Results of those that it has run itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub executed: Vec<ServerResult>,
    /// Reasoning that it kept apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// What came over the wire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
}

impl ServedParts {
    /// Of a reply; nothing where the text is all there is.
    pub fn of(reply: &GenerateReply) -> Option<Self> {
        let parts = Self {
            calls: reply.calls.clone(),
            executed: reply.executed.clone(),
            reasoning: reply.reasoning.clone(),
            payload: reply.payload.clone(),
        };
        (parts != Self::default()).then_some(parts)
    }
}

/// One reply to one turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptRecord {
    /// Round from 0.
    pub round: u32,
    /// Turn of the trial from 0.
    pub turn: u32,
    /// Attempt of the turn from 1; later ones follow a correction. The legs of a hybrid that are
    /// asked one after another share a number.
    pub attempt: u32,
    /// Which route was asked.
    pub leg: String,
    /// Why the next leg of a hybrid was asked instead; absent where the attempt stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<FallbackCause>,
    /// Prompt as sent, in the content store.
    pub prompt: ContentHash,
    /// Grammar in force, in the content store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<ContentHash>,
    /// Tools offered, in the content store.
    pub tools: ContentHash,
    /// Raw reply, in the content store; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<ContentHash>,
    /// What the server gave beside the text, in the content store: [`ServedParts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<ContentHash>,
    /// Why the reply ended; absent when there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The reading that is the dialect's exact form; tool names mapped back.
    pub strict: Reading,
    /// The reading with repairs.
    pub lenient: Reading,
    /// A call was attempted in any form.
    pub attempted_call: bool,
    /// Calls in the steering reading that name an offered tool and satisfy its schema.
    pub valid_calls: u32,
    /// Findings of this attempt, parse to schema.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Tokens.
    pub usage: Usage,
    /// Times.
    pub timing: Timing,
    /// Time from request to reply as the runner saw it.
    pub wall_ms: f64,
    /// Peak resident memory of the serving process by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
    /// The correction that follows this attempt, in the content store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correction: Option<ContentHash>,
    /// Adjustments a template forced (system folded into user, and the like).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folds: Vec<String>,
}

/// One executed call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Round from 0.
    pub round: u32,
    /// Turn of the trial from 0.
    pub turn: u32,
    /// The call.
    pub call: ToolCall,
    /// Result text, in the content store; absent when the host failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ContentHash>,
    /// The tool said that it failed.
    #[serde(default)]
    pub is_error: bool,
    /// That failure is part of the case.
    #[serde(default)]
    pub scripted_error: bool,
    /// What the execution stage calls it: `tool_error_expected` for a scripted error,
    /// `tool_error_model` for a refusal, the host's own code when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// Time in the tool host.
    pub tool_ms: f64,
    /// The model's server ran it and gave its result: no tool host was asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_server: bool,
}

/// How the executed calls of a trial stood to those its case expects, summed over rounds. Per round
/// the accepted set that explains it best counts; a round that was not begun counts as expected and
/// not made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CallCounts {
    /// Calls expected.
    pub expected: u32,
    /// Calls made, but for those that neither count nor answer an expected one: calls to free tools,
    /// and calls that were put right later.
    pub made: u32,
    /// Expected calls to which a call of the same tool was made (largest matching by tool name).
    pub right_tool: u32,
    /// Expected calls that a made call answers (largest matching, arguments included).
    pub matched: u32,
    /// Of the calls made, those that no expectation asks for: surplus, repeated, or any call where
    /// none should be made.
    pub extra: u32,
    /// Rounds that state an end state.
    pub states: u32,
    /// Of these, rounds whose end state is the one stated.
    pub states_met: u32,
}

/// Where a trial's time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialTime {
    /// First request to the end of judging.
    pub total_ms: f64,
    /// In models, first attempts of turns only.
    pub model_ms: f64,
    /// In models, attempts after a correction.
    pub correction_ms: f64,
    /// In tool hosts.
    pub tool_ms: f64,
    /// First request to the first schema-valid call that stands, corrections and passed-over legs
    /// included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_valid_call_ms: Option<f64>,
    /// First request to the first generated token of a reply that stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_first_token_ms: Option<f64>,
    /// Pauses before a request was sent again, and for its turn at an endpoint that takes fewer at
    /// once: in none of the times above.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: f64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form serde asks for")]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
