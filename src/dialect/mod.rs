//! Dialects: how tools are offered to a model and calls read back. Pure, synchronous, total.
//!
//! Data in: an [`Offer`] (what all turns of a case share) and the messages so far, or a reply.
//! Data out: a prompt with its stop texts, a grammar, or the two readings of the reply.
//! Invariants: knows only `types`; `encode` and `decode` never fail and never panic on any text;
//! decoding is strict, and the lenient reading stands beside it.

pub mod chat;
pub mod closed_schema;
pub mod envelope;
pub mod fenced;
#[cfg(test)]
mod grammar_tests;
pub mod json;
pub mod lenient;
pub mod native;
pub mod native_form;
pub mod prompt_text;
pub mod python_json;
pub mod react;
pub mod reading;
#[cfg(test)]
mod reading_tests;
pub mod relaxed_json;
pub mod template;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod test_support;
#[cfg(test)]
mod tests;

pub use template::{Template, TemplateError, TemplateTraits};

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// Text of the user's own envelope instead of the built-in one of `grammars/`.
    pub envelope: Option<String>,
}

/// The built-in prompt texts.
const PROMPTS: [&str; 4] = [
    include_str!("prompts/native.txt"),
    include_str!("prompts/react.txt"),
    include_str!("prompts/json.txt"),
    include_str!("prompts/fenced.txt"),
];

/// Hash of everything built in that shapes prompts and grammars: part of every plan.
pub fn forms_hash() -> crate::types::ContentHash {
    let slots = closed_schema::SLOT_VERSION.to_string();
    let forms: Vec<&str> = DialectName::ALL
        .iter()
        .map(|name| envelope::embedded(*name))
        .chain(PROMPTS)
        .chain([slots.as_str()])
        .collect();
    crate::types::ContentHash::of_value(&forms)
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

    /// The constraint as a JSON Schema of the whole reply, for a dialect whose replies are JSON.
    fn reply_schema(&self, _offer: &Offer) -> Option<Value> {
        None
    }

    /// Both readings of a reply.
    fn decode(&self, offer: &Offer, reply: &GenerateReply) -> Decoded;
}

/// The dialect of a name.
pub fn dialect(name: DialectName) -> &'static dyn Dialect {
    match name {
        DialectName::Native => &native::Native,
        DialectName::React => &react::React,
        DialectName::Json => &json::Json,
        DialectName::Fenced => &fenced::Fenced,
    }
}
