//! A server that is asked for replies, as data.
//!
//! Data in: a preset, the configuration and what variables hold. Data out: everything a provider
//! needs to know of its server. Invariants: a secret never prints and is never stored; nothing here
//! is decided by a model's name.

use std::fmt;

use serde::Deserialize;

use super::facts::{Mechanism, Wire};

/// A key or the value of a header: masked wherever it could be printed, and not serialisable.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Which protocol a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// `POST /chat/completions` and, for raw text, `POST /completions`.
    ChatCompletions,
    /// `POST /responses`.
    Responses,
    /// Ollama's own: `/api/chat`, `/api/generate`.
    Ollama,
    /// `POST /v1/messages`.
    Anthropic,
    /// `POST /v1beta/models/…:generateContent`.
    Gemini,
    /// `GET /info`, `POST /generate`, `GET /v1/models`.
    Context,
}

/// How a server of the chat-completions family takes a JSON Schema of the whole reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SchemaField {
    /// `response_format: {type: json_schema, json_schema: {schema, strict}}`.
    #[default]
    ResponseFormat,
    /// `guided_json` beside the other fields.
    GuidedJson,
    /// `structured_outputs: {json: …}`.
    StructuredOutputs,
    /// `json_schema` beside the other fields.
    JsonSchema,
}

/// A server and how it is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Name of the preset, as records show it: `openai`, `vllm`, ….
    pub preset: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Address up to and without the protocol's own paths; no credentials in it.
    pub base_url: String,
    /// The model's name there.
    pub model: String,
    /// Headers, the key's among them.
    pub headers: Vec<(String, Secret)>,
    /// Where the key comes from or could come from: the name of a variable, for messages.
    pub key_variable: Option<String>,
    /// Certificates to trust beside the system's, PEM.
    pub authority: Option<Vec<u8>>,
    /// Wires that it offers.
    pub wires: Vec<Wire>,
    /// How it can constrain.
    pub mechanisms: Vec<Mechanism>,
    /// How it takes a JSON Schema.
    pub schema_field: SchemaField,
    /// Optional fields of a request that it is known to refuse: left out.
    pub refuses: Vec<String>,
    /// Context to ask for or to assume, in tokens.
    pub context_tokens: u32,
    /// Another machine: not a loopback address.
    pub remote: bool,
    /// Times a request is repeated after a transport fault.
    pub retries: u32,
}
