//! The engine protocol: JSON Lines on stdio between toolbench and a process that serves one model.
//! PROTOCOL.md describes it for the authors of backends; a test holds it to what is here.
//!
//! `toolbench engine` speaks it, and so may any other backend. One JSON object a line, no line
//! breaks inside. The parent writes `ToEngine`, the child answers `FromEngine` with the same `id`;
//! several requests may be in flight. The child ends when its standard input ends. Everything the
//! child wants a person to read goes to standard error.

use serde::{Deserialize, Serialize};

use super::facts::ModelFacts;
use super::generate::{GenerateReply, GenerateRequest, ProviderError};

/// Version of the protocol; a child that answers another major version is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Parent to child.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum ToEngine {
    /// Load a model. Answered by `Loaded` or `Error`. Exactly once, first.
    Load {
        /// Request id.
        id: u64,
        /// What to load and how.
        settings: EngineSettings,
    },
    /// Generate one reply. Answered by `Reply` or `Error`.
    Generate {
        /// Request id.
        id: u64,
        /// The request.
        request: Box<GenerateRequest>,
    },
    /// Say whether requests would be answered now. Answered by `Healthy` or `Error`; sent only to a
    /// child that declared it.
    Health {
        /// Request id.
        id: u64,
    },
    /// Stop the named request; it is answered with `stop_reason: cancelled`.
    Cancel {
        /// Id of the `Generate` to stop.
        id: u64,
    },
}

/// Child to parent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum FromEngine {
    /// The model is ready.
    Loaded {
        /// Id of the `Load`.
        id: u64,
        /// [`PROTOCOL_VERSION`] of the child.
        protocol: u32,
        /// What was loaded: the wires and mechanisms among it are what is offered.
        facts: Box<ModelFacts>,
        /// The child answers `Health`.
        #[serde(default)]
        health: bool,
    },
    /// Requests would be answered.
    Healthy {
        /// Id of the `Health`.
        id: u64,
    },
    /// A reply.
    Reply {
        /// Id of the `Generate`.
        id: u64,
        /// The reply.
        reply: Box<GenerateReply>,
    },
    /// The request with this id failed; the child goes on.
    Error {
        /// Id of the request.
        id: u64,
        /// Why.
        error: ProviderError,
    },
}

/// How a model is loaded. What an engine does not know it refuses by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Path of the GGUF file; empty for a backend that was given none.
    pub path: String,
    /// Context window in tokens.
    pub context_tokens: u32,
    /// Threads; 0 lets the engine choose the physical cores.
    #[serde(default)]
    pub threads: u32,
    /// Layers on the GPU; 0 is none, `None` lets the engine put there what fits.
    #[serde(default)]
    pub gpu_layers: Option<u32>,
    /// Flash attention: `None` lets the engine choose.
    #[serde(default)]
    pub flash_attention: Option<bool>,
    /// Type of the key and value cache: `f16`, `f32`, `q8_0`, `q4_0`, `q4_1`, `q5_0`, `q5_1`, `bf16`.
    #[serde(default)]
    pub kv_cache_type: Option<String>,
    /// Load even when the estimate says that memory does not suffice.
    #[serde(default)]
    pub ignore_memory_check: bool,
    /// What to do with text that a grammar leaves no choice about.
    #[serde(default)]
    pub forced_tokens: ForcedTokens,
}

/// What to do with text that a grammar leaves no choice about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForcedTokens {
    /// Spell it with the model's tokenizer and decode it in one batch.
    #[default]
    Batch,
    /// The same tokens, decoded one by one: proves that the batch changes nothing but the speed.
    Single,
    /// Let the model choose among all tokens that spell it. It may then spell it in other tokens
    /// than its tokenizer would, and go on differently from there.
    Chosen,
}
