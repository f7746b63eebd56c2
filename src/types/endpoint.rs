//! A server that is asked for replies, as data.
//!
//! Data in: a preset, the configuration and what variables hold. Data out: everything a provider
//! needs to know of its server. Invariants: a secret never prints and is never stored; nothing here
//! is decided by a model's name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::facts::{Mechanism, Wire};
use super::secret::Secret;

/// Which protocol a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    /// Schemas that it takes in strict mode must stay in the documented subset: closed objects with
    /// every property required, and a root that is no alternative.
    pub strict_subset: bool,
    /// It has llama.cpp's own pages (`/completion`, `/props`, `/health`) beside the protocol's.
    pub llama_pages: bool,
    /// Optional fields of a request that it is known to refuse: left out.
    pub refuses: Vec<String>,
    /// Fields that have another name there, by the name used here.
    pub renames: BTreeMap<String, String>,
    /// Chat template, where the user gives one for raw text.
    pub chat_template: Option<String>,
    /// Context to ask for or to assume, in tokens.
    pub context_tokens: u32,
    /// Another machine: not a loopback address.
    pub remote: bool,
    /// Times a request is repeated after a transport fault.
    pub retries: u32,
}

impl Endpoint {
    /// An endpoint with nothing but an address and a model, on this machine and without a key.
    pub fn new(protocol: Protocol, base_url: &str, model: &str) -> Self {
        Self {
            preset: String::new(),
            protocol,
            base_url: base_url.to_owned(),
            model: model.to_owned(),
            headers: Vec::new(),
            key_variable: None,
            authority: None,
            wires: vec![Wire::Chat, Wire::ChatWithTools],
            mechanisms: Vec::new(),
            schema_field: SchemaField::default(),
            strict_subset: false,
            llama_pages: false,
            refuses: Vec::new(),
            renames: BTreeMap::new(),
            chat_template: None,
            context_tokens: 4096,
            remote: false,
            retries: 4,
        }
    }

    /// It is known to refuse this field.
    pub fn refuses(&self, field: &str) -> bool {
        self.refuses.iter().any(|refused| refused == field)
    }

    /// The name that a field has there.
    pub fn field<'a>(&'a self, name: &'a str) -> &'a str {
        self.renames.get(name).map_or(name, String::as_str)
    }
}
