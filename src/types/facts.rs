//! What a provider says of a model, and the route a cell takes to it.

use serde::{Deserialize, Serialize};

/// What `Provider::describe` answers: measured or read from the weights, never guessed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelFacts {
    /// Provider that serves it: `engine`, `scripted`, …
    pub provider: String,
    /// The model's own name as the weights or the server report it.
    pub reported_name: String,
    /// Architecture (`llama`, `qwen2`, `gemma3`, …).
    pub architecture: Option<String>,
    /// Quantisation as the file names it.
    pub quantisation: Option<String>,
    /// Number of parameters.
    pub parameters: Option<u64>,
    /// Bytes of the weights file.
    pub file_bytes: Option<u64>,
    /// Context the model was trained for.
    pub trained_context_tokens: Option<u32>,
    /// Context in force.
    pub context_tokens: u32,
    /// Jinja chat template of the weights.
    pub chat_template: Option<String>,
    /// Text of the begin-of-sequence token, for templates.
    pub bos_token: String,
    /// Text of the end-of-sequence token, for templates.
    pub eos_token: String,
    /// The tokenizer adds the begin-of-sequence token itself.
    pub adds_bos: bool,
    /// Wires the provider offers.
    pub wires: Vec<Wire>,
    /// How it can hold decoding to a grammar; empty when it cannot.
    pub mechanisms: Vec<Mechanism>,
    /// Same request, same reply, proven for greedy decoding.
    pub deterministic_when_greedy: bool,
    /// Build of the engine or server.
    pub engine_build: String,
    /// Instruction sets and devices the engine uses, in its own words.
    pub engine_system: String,
    /// Loading the weights, in milliseconds.
    pub load_ms: Option<f64>,
    /// Building what all grammars share (token table, parser factory), in milliseconds.
    pub grammar_setup_ms: Option<f64>,
    /// Memory predicted before loading.
    pub predicted_memory_bytes: Option<u64>,
    /// Peak resident memory after loading.
    pub peak_memory_bytes: Option<u64>,
    /// Threads in use.
    pub threads: Option<u32>,
    /// Layers on the GPU.
    pub gpu_layers: Option<u32>,
}

/// What goes over to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Raw text to continue; the template is applied here.
    RawText,
    /// Messages; the server applies the template.
    Chat,
    /// Messages and tools; the server also reads the calls.
    ChatWithTools,
}

/// What holds decoding to a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// llguidance in the linked engine.
    Llguidance,
}

/// How one cell reaches one model. Explicit, recorded, never decided by a model's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Name of the leg, `main` unless the cell is a hybrid.
    pub leg: String,
    /// What goes over.
    pub wire: Wire,
    /// Where the chat template comes from.
    pub template: TemplateSource,
    /// Mechanism of the constraint; `None` for unconstrained cells.
    pub mechanism: Option<Mechanism>,
}

/// Where the prompt's form comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemplateSource {
    /// The chat template stored in the weights.
    Weights,
    /// None: a base model gets plain text with few-shot examples.
    PlainText,
    /// The server's own.
    Server,
}
