//! Dialects: how tools are offered to a model and calls read back. Pure, synchronous, total.
//!
//! Data in: an [`Offer`] (what all turns of a case share) and the messages so far, or a reply.
//! Data out: a prompt with its stop texts, a grammar, or the two readings of the reply.
//! Invariants: knows only `types`; `encode` and `decode` never fail and never panic on any text;
//! decoding is strict, and the lenient reading stands beside it.

use serde::{Deserialize, Serialize};

use crate::types::cell::Reasoning;
use crate::types::suite::Example;
use crate::types::{
    Decoded, DialectName, GenerateReply, Grammar, Message, ModelFacts, Prompt, Route, ToolChoice,
    ToolDefinition,
};

/// What all turns of a case share. Names are wire names.
#[derive(Clone, Debug)]
pub struct Offer {
    /// System prompt of the case.
    pub system: Option<String>,
    /// Tools offered, distractors included.
    pub tools: Vec<ToolDefinition>,
    /// Few-shot examples.
    pub examples: Vec<Example>,
    /// Whether a call may, must or must not be made.
    pub tool_choice: ToolChoice,
    /// Bounded thought.
    pub reasoning: Reasoning,
    /// The cell's route.
    pub route: Route,
    /// What the provider said of the model.
    pub facts: ModelFacts,
}

/// One turn's prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoded {
    /// What to send. `prefix` is the same for every case with the same offer.
    pub prompt: Prompt,
    /// Texts that end the reply.
    pub stop: Vec<String>,
    /// Adjustments the template forced: `system folded into the first user message`, ….
    pub folds: Vec<String>,
}

/// One way of offering tools and reading calls.
pub trait Dialect: Send + Sync {
    /// Its name.
    fn name(&self) -> DialectName;

    /// The prompt for the next turn. `messages` hold no system message and no examples.
    fn encode(&self, offer: &Offer, messages: &[Message]) -> Encoded;

    /// The constraint: what a reply may look like, with the tools' schemas in it.
    fn grammar(&self, offer: &Offer) -> Grammar;

    /// Both readings of a reply.
    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded;
}
