//! Models that an Ollama serves, by its own protocol.
//!
//! Data in: chat requests with or without tools, or raw text. Data out: replies read from lines of
//! JSON, whole or streamed, with the server's own counts and times. Invariants: the context is named
//! in every request (`num_ctx`), so that the server's default never cuts a prompt unseen; every
//! sampling setting is named too, since a Modelfile may set others; loading the model is no part of
//! any reply's time; what was loaded here is unloaded here.
//!
//! Shapes: <https://github.com/ollama/ollama/blob/main/docs/api.md> and
//! <https://docs.ollama.com/api-reference/show-model-details> (0.40); written on 2026-11-20 after excerpts of these
//! pages, not recorded from the service.

mod facts;

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::facts::Shown;
use super::Provider;
use super::hosted::{self, Collector, asking, count, small_seed, text};
use super::http::{Answer, Broken, HttpClient, Limits, bad};
use crate::clock::Stopwatch;
use crate::types::endpoint::Endpoint;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, Message, ModelFacts, Prompt, ProviderError,
    StopReason, ToolCall, ToolDefinition,
};

/// How long loading a model may take.
const LOAD_LIMIT: Duration = Duration::from_mins(20);
/// How long the server keeps a model that is not asked for, unless said otherwise: longer than a
/// slow tool, so that no reply pays for loading.
const KEEP_ALIVE: &str = "15m";
/// How long unloading may take.
const UNLOAD_LIMIT_MS: u64 = 5_000;
const NANOSECONDS_PER_MS: f64 = 1e6;

/// What is asked of an Ollama beside the request.
#[derive(Clone, Debug, Default)]
pub struct OllamaOptions {
    /// How long the server keeps the model, in its own words (`5m`, `-1`).
    pub keep_alive: Option<Value>,
    /// `think` of every request; without it models that can think are asked not to, since a bound
    /// on tokens would otherwise cut the thought and nothing else would come.
    pub think: Option<Value>,
    /// The chat template and tokens of the weights, where they can be read on this machine: the
    /// server does not tell them.
    pub weights: Option<WeightsTemplate>,
}

/// What raw text needs to know of the weights.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeightsTemplate {
    /// Jinja chat template.
    pub chat_template: Option<String>,
    /// Begin-of-sequence token.
    pub bos_token: String,
    /// End-of-sequence token.
    pub eos_token: String,
}

/// A model that an Ollama serves.
pub struct OllamaProvider {
    client: HttpClient,
    endpoint: Endpoint,
    options: OllamaOptions,
    loaded: Mutex<Option<Loaded>>,
}

/// A model in the server's memory.
#[derive(Clone)]
struct Loaded {
    facts: ModelFacts,
    think: Option<Value>,
    /// It was not there before.
    ours: bool,
}

impl OllamaProvider {
    /// Takes an endpoint; fails where its headers or certificates cannot be used.
    pub fn new(endpoint: Endpoint, options: OllamaOptions) -> Result<Self, ProviderError> {
        Ok(Self {
            client: HttpClient::new(&endpoint)?,
            endpoint,
            options,
            loaded: Mutex::new(None),
        })
    }

    /// The model, loaded with the context that is asked for.
    async fn loaded(&self) -> Result<Loaded, ProviderError> {
        let mut slot = self.loaded.lock().await;
        if let Some(loaded) = slot.as_ref() {
            return Ok(loaded.clone());
        }
        let version = self.page("/api/version").await?;
        let shown = Shown::of(self.show().await?);
        let before = self.page("/api/ps").await.unwrap_or_default();
        let ours = facts::running(&before, &self.endpoint.model).is_none();
        let watch = Stopwatch::start();
        self.load().await?;
        let load_ms = ours.then(|| watch.elapsed_ms());
        let running = self.page("/api/ps").await.unwrap_or_default();
        let mut facts = shown.facts(&self.endpoint, self.options.weights.as_ref());
        facts.engine_build = format!("ollama {}", text(&version, "version"));
        facts.load_ms = load_ms;
        if let Some(running) = facts::running(&running, &self.endpoint.model) {
            facts.peak_memory_bytes = running["size"].as_u64();
            if let tokens @ 1.. = count(running, "context_length") {
                facts.context_tokens = tokens;
            }
        }
        let loaded = Loaded {
            facts,
            think: self.options.think.clone().or_else(|| shown.no_thinking()),
            ours,
        };
        *slot = Some(loaded.clone());
        Ok(loaded)
    }

    async fn page(&self, path: &str) -> Result<Value, ProviderError> {
        let cancel = CancellationToken::new();
        let answer = self.client.get(path, asking(&cancel)).await?;
        whole(answer).await
    }

    async fn show(&self) -> Result<Value, ProviderError> {
        let cancel = CancellationToken::new();
        let body = json!({"model": self.endpoint.model});
        let answer = self.client.post("/api/show", &body, asking(&cancel)).await;
        whole(answer.map_err(|error| self.explained(error, false))?).await
    }

    /// A request without a prompt loads the model and gives nothing.
    async fn load(&self) -> Result<(), ProviderError> {
        let cancel = CancellationToken::new();
        let body = json!({
            "model": self.endpoint.model,
            "stream": false,
            "keep_alive": self.keep_alive(),
            "options": {"num_ctx": self.endpoint.context_tokens},
        });
        let limits = Limits {
            limit_ms: u64::try_from(LOAD_LIMIT.as_millis()).unwrap_or(u64::MAX),
            cancel: &cancel,
        };
        let answer = self.client.post("/api/generate", &body, limits).await;
        whole(answer.map_err(|error| self.explained(error, false))?).await?;
        Ok(())
    }

    async fn unload(&self) {
        let Some(loaded) = self.loaded.lock().await.take() else {
            return;
        };
        if !loaded.ours {
            return;
        }
        let cancel = CancellationToken::new();
        let body = json!({"model": self.endpoint.model, "keep_alive": 0, "stream": false});
        let limits = Limits {
            limit_ms: UNLOAD_LIMIT_MS,
            cancel: &cancel,
        };
        // A server that is gone keeps nothing in memory.
        if let Ok(answer) = self.client.post("/api/generate", &body, limits).await {
            let _ = whole(answer).await;
        }
    }

    fn keep_alive(&self) -> Value {
        let asked = self.options.keep_alive.clone();
        asked.unwrap_or_else(|| Value::from(KEEP_ALIVE))
    }

    async fn ask(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let loaded = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ProviderError::Cancelled),
            loaded = self.loaded() => loaded?,
        };
        let (path, body) = body(
            &self.endpoint,
            request,
            &self.keep_alive(),
            loaded.think.as_ref(),
        )?;
        let read = |answer| read(answer, request.stream);
        let reply = hosted::ask(&self.client, path, &body, request, cancel, read).await;
        let mut reply =
            reply.map_err(|error| self.explained(error, request.constraint.is_some()))?;
        reply.peak_memory_bytes = loaded.facts.peak_memory_bytes;
        if request.constraint == Some(ConstraintText::StrictTools) {
            reply.constrained = false;
        }
        Ok(reply)
    }

    /// What a person can do about a refusal.
    fn explained(&self, error: ProviderError, constrained: bool) -> ProviderError {
        match error {
            ProviderError::Rejected { detail } if detail.contains("not found") => {
                ProviderError::Rejected {
                    detail: format!("{detail}; `ollama pull {}` fetches it", self.endpoint.model),
                }
            }
            ProviderError::Rejected { detail } | ProviderError::Server { detail }
                if constrained && (detail.contains("format") || detail.contains("grammar")) =>
            {
                ProviderError::GrammarRejected { detail }
            }
            ProviderError::Server { detail } if detail.contains("runner") => {
                ProviderError::Crashed { detail }
            }
            error => error,
        }
    }
}

/// A request as it goes over: its path and body.
fn body(
    endpoint: &Endpoint,
    request: &GenerateRequest,
    keep_alive: &Value,
    think: Option<&Value>,
) -> Result<(&'static str, Value), ProviderError> {
    let mut body = json!({
        "model": endpoint.model,
        "stream": request.stream,
        "keep_alive": keep_alive,
        "options": sampling(endpoint, request),
    });
    match &request.constraint {
        // The server has no way to hold calls to their schemas.
        None | Some(ConstraintText::StrictTools) => {}
        Some(ConstraintText::JsonSchema(schema)) => body["format"] = schema.clone(),
        Some(other) => {
            return Err(ProviderError::GrammarRejected {
                detail: format!(
                    "Ollama takes no {} constraint, only a JSON Schema",
                    other.mechanism().as_str()
                ),
            });
        }
    }
    let path = match &request.prompt {
        Prompt::Text { prefix, rest } => {
            body["prompt"] = Value::from(format!("{prefix}{rest}"));
            body["raw"] = Value::Bool(true);
            "/api/generate"
        }
        Prompt::Chat {
            messages, tools, ..
        } => {
            body["messages"] = messages.iter().map(message).collect();
            if !tools.is_empty() {
                body["tools"] = tools.iter().map(tool).collect();
            }
            if let Some(think) = think {
                body["think"] = think.clone();
            }
            "/api/chat"
        }
    };
    Ok((path, body))
}

fn sampling(endpoint: &Endpoint, request: &GenerateRequest) -> Value {
    let sampling = &request.sampling;
    let mut options = json!({
        "num_ctx": endpoint.context_tokens,
        "num_predict": request.max_tokens,
        "seed": small_seed(request.seed),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repeat_penalty": sampling.repeat_penalty,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
    });
    if !request.stop.is_empty() {
        options["stop"] = json!(request.stop);
    }
    options
}

/// A request as it would go over to a server that is asked nothing else.
pub(super) fn request_body(
    endpoint: &Endpoint,
    request: &GenerateRequest,
) -> Result<(&'static str, Value), ProviderError> {
    body(endpoint, request, &Value::from(KEEP_ALIVE), None)
}

async fn whole(answer: Answer) -> Result<Value, ProviderError> {
    hosted::whole(answer)
        .await
        .map_err(|broken| hosted::failure(broken, hosted::ASK_LIMIT_MS))
}

async fn read(answer: Answer, streamed: bool) -> (Collector, Option<Broken>) {
    let mut collector = Collector::of(&answer);
    let mut payload = json!({"role": "assistant", "content": ""});
    let broken = if streamed {
        stream(answer, &mut collector, &mut payload).await.err()
    } else {
        match hosted::whole(answer).await {
            Ok(line) => take(&line, None, &mut collector, &mut payload).err(),
            Err(broken) => Some(broken),
        }
    };
    collector.payload = Some(payload);
    (collector, broken)
}

fn message(message: &Message) -> Value {
    let mut written = json!({"role": message.role.as_str(), "content": message.content});
    if !message.tool_calls.is_empty() {
        let calls = message
            .tool_calls
            .iter()
            .map(|call| json!({"function": {"name": call.name, "arguments": call.arguments}}));
        written["tool_calls"] = calls.collect();
    }
    if let Some(name) = &message.tool_name {
        written["tool_name"] = Value::from(name.as_str());
    }
    written
}

fn tool(tool: &ToolDefinition) -> Value {
    json!({"type": "function", "function": {
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
    }})
}

async fn stream(
    answer: Answer,
    collector: &mut Collector,
    payload: &mut Value,
) -> Result<(), Broken> {
    let mut lines = answer.lines();
    while let Some(piece) = lines.next().await {
        let piece = piece?;
        let line: Value = serde_json::from_str(&piece.data)
            .map_err(|error| bad(&format!("a line is not JSON: {error}")))?;
        take(&line, Some(piece.at_ms), collector, payload)?;
    }
    Ok(())
}

/// One line of a reply, or the whole of one.
fn take(
    line: &Value,
    at_ms: Option<f64>,
    collector: &mut Collector,
    payload: &mut Value,
) -> Result<(), Broken> {
    if let Some(error) = line.get("error") {
        let detail = error
            .as_str()
            .map_or_else(|| error.to_string(), str::to_owned);
        return Err(Broken::Failed(ProviderError::Server { detail }));
    }
    let said = &line["message"];
    let content = said["content"]
        .as_str()
        .unwrap_or_else(|| text(line, "response"));
    let thinking = said["thinking"]
        .as_str()
        .unwrap_or_else(|| text(line, "thinking"));
    let calls: Vec<ToolCall> = said["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(call)
        .collect();
    let wrote = !content.is_empty() || !thinking.is_empty() || !calls.is_empty();
    if let (Some(at_ms), true) = (at_ms, wrote) {
        collector.wrote(at_ms);
    }
    collector.text.push_str(content);
    collector.reasoning.push_str(thinking);
    payload["content"] = Value::from(collector.text.as_str());
    if !collector.reasoning.is_empty() {
        payload["thinking"] = Value::from(collector.reasoning.as_str());
    }
    if let Some(list) = said["tool_calls"].as_array() {
        match &mut payload["tool_calls"] {
            Value::Array(known) => known.extend(list.iter().cloned()),
            none => *none = Value::Array(list.clone()),
        }
    }
    collector.calls.extend(calls);
    if line["done"] == true {
        finish(line, collector)?;
    }
    Ok(())
}

fn call(told: &Value) -> ToolCall {
    let function = &told["function"];
    let arguments = match &function["arguments"] {
        Value::Null => json!({}),
        Value::String(written) => hosted::arguments_of(written),
        other => other.clone(),
    };
    ToolCall {
        id: told["id"].as_str().map(str::to_owned),
        name: text(function, "name").to_owned(),
        arguments,
    }
}

/// Counts and times of the last line. How much of the prompt came from the server's cache is not
/// told, so nothing is said of what was computed.
fn finish(line: &Value, collector: &mut Collector) -> Result<(), Broken> {
    collector.stop = Some(match text(line, "done_reason") {
        "length" => StopReason::MaxTokens,
        "load" | "unload" => return Err(bad("the server only loaded the model")),
        _ if !collector.calls.is_empty() => StopReason::ToolCalls,
        _ => StopReason::Stop,
    });
    let milliseconds = |key: &str| line[key].as_f64().unwrap_or_default() / NANOSECONDS_PER_MS;
    collector.usage.prompt_tokens = count(line, "prompt_eval_count");
    collector.usage.output_tokens = count(line, "eval_count");
    collector.timing.prefill_ms = milliseconds("prompt_eval_duration");
    collector.timing.decode_ms = milliseconds("eval_duration");
    collector.timing.load_ms = line
        .get("load_duration")
        .map(|_| milliseconds("load_duration"));
    Ok(())
}

impl Provider for OllamaProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async { self.loaded().await.map(|loaded| loaded.facts) })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(self.ask(request, cancel))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async { self.page("/api/version").await.map(|_| ()) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.unload())
    }
}
