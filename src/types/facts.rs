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
    /// Address of the server, without credentials; absent where no server is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Another machine generates: its tier is `remote`, and times include the network.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub remote: bool,
    /// Replies come from a file, recorded before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cassette: Option<CassetteFacts>,
    /// Settings of sampling and tool choice that the provider is known to refuse.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refuses: Vec<String>,
}

/// Where replies come from when they come from a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CassetteFacts {
    /// The file, as the user named it.
    pub file: String,
    /// Some replies may be the model's: what the file lacked was asked for.
    #[serde(default)]
    pub partly_live: bool,
}

impl CassetteFacts {
    /// What a run from it can show and what it cannot, for reports.
    pub fn limits(&self) -> String {
        let replies = if self.partly_live {
            "replies from a cassette, where it has them"
        } else {
            "replies from a cassette"
        };
        format!(
            "{replies} ({}): shows changes of prompts, templates, grammars, tools and scoring; not \
             of the model, its server or its speed, so no times are given",
            self.file
        )
    }
}

/// What goes over to the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wire {
    /// Raw text to continue; the template is applied here.
    #[serde(alias = "raw")]
    RawText,
    /// Messages; the server applies the template.
    Chat,
    /// Messages and tools; the server also reads the calls.
    #[serde(alias = "tools")]
    ChatWithTools,
}

impl Wire {
    /// The name in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawText => "raw text",
            Self::Chat => "chat",
            Self::ChatWithTools => "chat with tools",
        }
    }
}

/// What holds decoding to a grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// llguidance, which reads Lark.
    Llguidance,
    /// llama.cpp's own grammars.
    Gbnf,
    /// A JSON Schema of the whole reply: only for a dialect whose replies are JSON.
    JsonSchema,
    /// The server holds arguments to the schemas of the tools that it is given.
    StrictTools,
}

impl Mechanism {
    /// The name in records and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Llguidance => "llguidance",
            Self::Gbnf => "gbnf",
            Self::JsonSchema => "json_schema",
            Self::StrictTools => "strict_tools",
        }
    }
}

/// Which wire a run prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WirePreference {
    /// Chat with tools for `native`, raw text for the text dialects, chat where there is no raw
    /// text.
    #[default]
    Auto,
    /// Raw text: the template is applied here.
    Raw,
    /// Chat: the server applies the template; tools are described in the text.
    Chat,
    /// Chat with tools: the server shows the tools and reads the calls.
    Tools,
}

impl WirePreference {
    /// Every value, in the order shown.
    pub const ALL: [Self; 4] = [Self::Auto, Self::Raw, Self::Chat, Self::Tools];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Raw => "raw",
            Self::Chat => "chat",
            Self::Tools => "tools",
        }
    }
}

impl std::str::FromStr for WirePreference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|value| value.as_str() == text)
            .ok_or_else(|| {
                let names: Vec<&str> = Self::ALL.iter().map(|value| value.as_str()).collect();
                format!("`{text}` is not one of {}", names.join(", "))
            })
    }
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
