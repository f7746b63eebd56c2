//! One request to a model and its reply, with usage and timings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::cell::ToolChoice;
use super::conversation::Message;
use super::facts::Mechanism;
use super::tool::{ToolCall, ToolDefinition};

/// What the model continues.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "wire", rename_all = "snake_case")]
pub enum Prompt {
    /// Raw text. `prefix + rest` is the whole; `prefix` is what all trials of a cell share
    /// (system, tools, few-shot) and may be decoded once and kept.
    Text {
        /// The shared part; may be empty.
        prefix: String,
        /// What follows it.
        rest: String,
    },
    /// Messages, rendered by the server; `tools` is empty unless the wire is chat with tools.
    Chat {
        /// The conversation.
        messages: Vec<Message>,
        /// Offered tools.
        tools: Vec<ToolDefinition>,
        /// Whether a call may, must or must not be made; without effect where no tools are offered.
        #[serde(default)]
        tool_choice: ToolChoice,
    },
}

impl Prompt {
    /// The whole text of a raw prompt; the JSON of a chat one. What is stored by hash.
    pub fn as_stored(&self) -> String {
        match self {
            Self::Text { prefix, rest } => format!("{prefix}{rest}"),
            Self::Chat { .. } => serde_json::to_string(self).unwrap_or_default(),
        }
    }
}

/// How the next token is chosen. Temperature 0 is greedy: the rest is then without effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sampling {
    /// 0 means greedy.
    pub temperature: f32,
    /// Nucleus mass; 1 is off.
    pub top_p: f32,
    /// Candidates kept; 0 is off.
    pub top_k: u32,
    /// Smallest probability relative to the best; 0 is off.
    pub min_p: f32,
    /// Penalty on recently used tokens; 1 is off. Applies to greedy decoding too.
    pub repeat_penalty: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            repeat_penalty: 1.0,
        }
    }
}

impl Sampling {
    /// Greedy decoding: one trial is all there is.
    pub fn is_greedy(&self) -> bool {
        self.temperature <= 0.0
    }
}

/// A constraint in the form that its mechanism reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConstraintText {
    /// Lark, for llguidance.
    Lark(String),
    /// llama.cpp's grammar form.
    Gbnf(String),
    /// JSON Schema of the whole reply.
    JsonSchema(Value),
    /// Nothing to send besides the tools themselves, marked as strict.
    StrictTools,
}

impl ConstraintText {
    /// The mechanism that reads it.
    pub fn mechanism(&self) -> Mechanism {
        match self {
            Self::Lark(_) => Mechanism::Llguidance,
            Self::Gbnf(_) => Mechanism::Gbnf,
            Self::JsonSchema(_) => Mechanism::JsonSchema,
            Self::StrictTools => Mechanism::StrictTools,
        }
    }

    /// The text that is stored by hash.
    pub fn as_stored(&self) -> String {
        match self {
            Self::Lark(text) | Self::Gbnf(text) => text.clone(),
            Self::JsonSchema(schema) => schema.to_string(),
            Self::StrictTools => "strict tools".to_owned(),
        }
    }
}

/// One attempt's request. Everything that shapes the reply is in here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateRequest {
    /// What to continue.
    pub prompt: Prompt,
    /// How to choose tokens.
    pub sampling: Sampling,
    /// Seed of the sampler; unused when greedy.
    pub seed: u64,
    /// Most tokens to generate.
    pub max_tokens: u32,
    /// Texts that end the reply; they are not part of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// What decoding is held to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<ConstraintText>,
    /// The reply comes piece by piece, where the provider can do that. Never changes what is said;
    /// a probe compares both.
    #[serde(default = "yes")]
    pub stream: bool,
    /// Wall-clock limit of this attempt in milliseconds.
    pub time_limit_ms: u64,
    /// The JSON instance the attempt belongs to, for `scripted` providers and live displays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<RequestContext>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

fn yes() -> bool {
    true
}

/// Which attempt a request is, for scripted providers and cassettes; shapes no real reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestContext {
    /// Suite name.
    pub suite: String,
    /// Case id.
    pub case: String,
    /// Trial index from 0.
    pub trial: u32,
    /// Round from 0, turn from 0 and attempt from 1.
    pub round: u32,
    /// Turn in the trial, from 0.
    pub turn: u32,
    /// Attempt in the turn, from 1.
    pub attempt: u32,
    /// Requests made before in this trial.
    pub request: u32,
}

/// Why a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// End-of-turn token, or the grammar was complete.
    Stop,
    /// One of the stop texts.
    StopText,
    /// The token limit.
    MaxTokens,
    /// The attempt's time limit: a model outcome, slowness is a result.
    TimeLimit,
    /// The context window was full.
    ContextFull,
    /// The server stopped to report tool calls.
    ToolCalls,
    /// Cancelled from outside.
    Cancelled,
}

/// Tokens of one attempt. `prompt = cached + computed`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Tokens of the whole prompt.
    pub prompt_tokens: u32,
    /// Of these, taken from a kept prefix.
    pub cached_tokens: u32,
    /// Of these, computed for this attempt.
    pub computed_tokens: u32,
    /// Tokens generated, forced ones included.
    pub output_tokens: u32,
    /// Of these, forced by the grammar and decoded in a batch.
    pub forced_tokens: u32,
    /// Of these, spent in a bounded thought.
    pub reasoning_tokens: u32,
    /// Steps of the decoder after prefill.
    pub decode_steps: u32,
}

/// Times of one attempt in milliseconds, measured where the work happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// Computing the prompt (without the kept prefix).
    pub prefill_ms: f64,
    /// Request accepted to first generated token, sampling included.
    pub first_token_ms: Option<f64>,
    /// First token to last.
    pub decode_ms: f64,
    /// Computing and applying grammar masks (part of `decode_ms`).
    pub mask_ms: f64,
    /// Building the grammar's parser.
    pub grammar_ms: f64,
    /// Writing the bounded thought (part of `decode_ms`); absent where there is none or the server
    /// does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning_ms: Option<f64>,
    /// Restoring the kept prefix.
    pub restore_ms: f64,
    /// Requests repeated after a transport fault, before the one that was answered.
    #[serde(skip_serializing_if = "is_zero")]
    pub retries: u32,
    /// Waiting between them; not part of `total_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<f64>,
    /// Loading the model for this request, where the server says so; not part of `total_ms`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_ms: Option<f64>,
    /// The request as a whole.
    pub total_ms: f64,
}

impl Timing {
    /// Generated tokens after the first per second of decoding; `None` under two tokens.
    pub fn decode_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        (usage.output_tokens >= 2 && self.decode_ms > 0.0)
            .then(|| f64::from(usage.output_tokens - 1) * 1000.0 / self.decode_ms)
    }
}

/// The result of a call that the server has run itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerResult {
    /// Which of the reply's calls, from 0.
    pub call: usize,
    /// The text of the result.
    pub content: String,
    /// The server says that the tool failed.
    #[serde(default)]
    pub is_error: bool,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GenerateReply {
    /// The raw text, as generated.
    pub text: String,
    /// Calls the server itself parsed (chat with tools only).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// What came of those among `calls` that the server has run itself: they are not run again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executed: Vec<ServerResult>,
    /// Reasoning that the server gave apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// What came over the wire, where that is more than `text`: kept so that the server's reading
    /// can be checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Tokens.
    pub usage: Usage,
    /// Times.
    pub timing: Timing,
    /// The constraint that was really in force; `false` when a grammar was asked for and dropped.
    pub constrained: bool,
    /// Matcher error met while decoding under a grammar; the text ends where it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar_error: Option<String>,
    /// For each token where the text ended with it (bytes) and when (milliseconds since the request
    /// was taken up): what a bounded thought is measured by. Empty where the server does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_marks: Vec<(u32, f32)>,
    /// Peak resident memory of the serving process so far, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl GenerateReply {
    /// A reply of nothing but text; the rest is to be filled in where it is known.
    pub fn of_text(text: impl Into<String>, stop_reason: StopReason) -> Self {
        Self {
            text: text.into(),
            calls: Vec::new(),
            executed: Vec::new(),
            reasoning: None,
            payload: None,
            stop_reason,
            usage: Usage::default(),
            timing: Timing::default(),
            constrained: false,
            grammar_error: None,
            token_marks: Vec::new(),
            peak_memory_bytes: None,
        }
    }
}

/// Why a provider could not answer. None of these is the model's doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ProviderError {
    /// The engine or server process died.
    #[error("the model's process ended unexpectedly: {detail}")]
    Crashed {
        /// Signal, exit status and last words.
        detail: String,
    },
    /// Not enough memory, decided before loading.
    #[error("{detail}")]
    NotEnoughMemory {
        /// Need, free, and the remedies.
        detail: String,
    },
    /// The weights cannot be loaded.
    #[error("cannot load the model: {detail}")]
    Load {
        /// What is wrong with the file.
        detail: String,
    },
    /// The grammar does not compile.
    #[error("the grammar was refused: {detail}")]
    GrammarRejected {
        /// The compiler's words.
        detail: String,
    },
    /// The prompt does not fit the context; found before decoding.
    #[error("the prompt has {prompt_tokens} tokens and does not fit a context of {context_tokens}")]
    ContextOverflow {
        /// Tokens of the prompt.
        prompt_tokens: u32,
        /// The context window.
        context_tokens: u32,
    },
    /// The same, where the endpoint says so in words.
    #[error("the prompt does not fit the context: {detail}")]
    PromptTooLong {
        /// The endpoint's words.
        detail: String,
    },
    /// Our own request was not accepted.
    #[error("the request was rejected: {detail}")]
    Rejected {
        /// Why.
        detail: String,
    },
    /// No key, a wrong one, or one that may not do this.
    #[error("not authorised: {detail}")]
    Unauthorised {
        /// The endpoint's words, and how to pass a key.
        detail: String,
    },
    /// The endpoint answered with something that is not its documented reply: a wrong content
    /// type, JSON of another shape.
    #[error("unreadable reply: {detail}")]
    BadReply {
        /// What was met, and where.
        detail: String,
    },
    /// The endpoint is out of reach or broke the connection.
    #[error("network: {detail}")]
    Network {
        /// What happened.
        detail: String,
    },
    /// No answer within the limit and none to be had.
    #[error("no answer within {limit_ms} ms")]
    Timeout {
        /// The limit.
        limit_ms: u64,
    },
    /// The endpoint took the request and never sent anything, or never took it.
    #[error("the endpoint sent nothing within {limit_ms} ms")]
    Unanswered {
        /// The limit.
        limit_ms: u64,
    },
    /// Too many requests.
    #[error("rate limited: {detail}")]
    RateLimited {
        /// The endpoint's words, and when to come back.
        detail: String,
    },
    /// The endpoint failed.
    #[error("server error: {detail}")]
    Server {
        /// Status and the endpoint's words.
        detail: String,
    },
    /// The streamed and the whole reply to one request disagree.
    #[error("streamed and whole reply disagree: {detail}")]
    StreamMismatch {
        /// Where.
        detail: String,
    },
    /// Cancelled from outside.
    #[error("cancelled")]
    Cancelled,
    /// A scripted provider has no line for this attempt.
    #[error("the script has no reply for {detail}")]
    NoScript {
        /// Which attempt.
        detail: String,
    },
}

impl ProviderError {
    /// The same error with other words.
    #[must_use]
    pub fn map_detail(mut self, words: impl FnOnce(String) -> String) -> Self {
        match &mut self {
            Self::Crashed { detail }
            | Self::NotEnoughMemory { detail }
            | Self::Load { detail }
            | Self::GrammarRejected { detail }
            | Self::PromptTooLong { detail }
            | Self::Rejected { detail }
            | Self::Unauthorised { detail }
            | Self::BadReply { detail }
            | Self::Network { detail }
            | Self::RateLimited { detail }
            | Self::Server { detail }
            | Self::StreamMismatch { detail }
            | Self::NoScript { detail } => *detail = words(std::mem::take(detail)),
            Self::ContextOverflow { .. }
            | Self::Timeout { .. }
            | Self::Unanswered { .. }
            | Self::Cancelled => {}
        }
        self
    }
}
