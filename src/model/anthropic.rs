//! Models behind Anthropic's Messages API.
//!
//! Data in: chat requests, with or without tools. Data out: replies read from content blocks, whole
//! or streamed. Invariants: the system text goes apart; results of one turn go in one message;
//! thoughts that the service signed go back unchanged with the calls that followed them; the
//! service has no seed, so nothing is claimed of determinism.
//!
//! Shapes: <https://platform.claude.com/docs/en/api/messages> and
//! <https://platform.claude.com/docs/en/build-with-claude/streaming>; written on 2026-11-20 after excerpts of these
//! pages, not recorded from the service.

use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::Provider;
use super::hosted::{
    self, Collector, Kept, arguments_of, asking, count, no_raw_text, refuse_sampling, split_system,
    text, with_header, with_ids,
};
use super::http::{Answer, Broken, HttpClient, bad};
use crate::types::endpoint::Endpoint;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, Mechanism, Message, ModelFacts, Prompt,
    ProviderError, Role, StopReason, ToolCall, ToolChoice, Usage, Wire,
};

/// Version of the API that is asked for.
const API_VERSION: &str = "2023-06-01";
const PATH: &str = "/v1/messages";

/// A model behind the Messages API.
pub struct AnthropicProvider {
    client: HttpClient,
    endpoint: Endpoint,
    /// Signed thoughts, by the id of the first call after them.
    thoughts: Kept,
    facts: OnceCell<ModelFacts>,
}

impl AnthropicProvider {
    /// Takes an endpoint; fails where its headers or certificates cannot be used.
    pub fn new(endpoint: &Endpoint) -> Result<Self, ProviderError> {
        let endpoint = with_header(endpoint, "anthropic-version", API_VERSION);
        Ok(Self {
            client: HttpClient::new(&endpoint)?,
            endpoint,
            thoughts: Kept::default(),
            facts: OnceCell::new(),
        })
    }

    async fn asked(&self) -> Result<ModelFacts, ProviderError> {
        let cancel = CancellationToken::new();
        let model = &self.endpoint.model;
        let path = format!("/v1/models/{model}");
        let shown = match self.client.get(&path, asking(&cancel)).await {
            Ok(answer) => hosted::whole(answer).await.unwrap_or_default(),
            // Other servers of this API may have no such page; a model that is not there is told.
            Err(ProviderError::Rejected { detail }) if !detail.contains(model.as_str()) => {
                Value::Null
            }
            Err(error) => return Err(error),
        };
        let offered = |wire: &Wire| *wire != Wire::RawText;
        let known = |mechanism: &Mechanism| {
            matches!(mechanism, Mechanism::JsonSchema | Mechanism::StrictTools)
        };
        Ok(ModelFacts {
            provider: self.endpoint.preset.clone(),
            reported_name: shown["id"].as_str().unwrap_or(model).to_owned(),
            context_tokens: match count(&shown, "max_input_tokens") {
                0 => self.endpoint.context_tokens,
                tokens => tokens,
            },
            wires: self
                .endpoint
                .wires
                .iter()
                .copied()
                .filter(offered)
                .collect(),
            mechanisms: self
                .endpoint
                .mechanisms
                .iter()
                .copied()
                .filter(known)
                .collect(),
            engine_build: format!("anthropic {API_VERSION}"),
            endpoint: Some(self.endpoint.base_url.clone()),
            remote: self.endpoint.remote,
            refuses: self.endpoint.refuses.clone(),
            ..ModelFacts::default()
        })
    }

    fn body(&self, request: &GenerateRequest) -> Result<Value, ProviderError> {
        let Prompt::Chat {
            messages,
            tools,
            tool_choice,
        } = &request.prompt
        else {
            return Err(no_raw_text("the Messages API"));
        };
        let sampling = &request.sampling;
        refuse_sampling(&self.endpoint, sampling, &["min_p", "repeat_penalty"])?;
        let messages = with_ids(messages);
        let (system, rest) = split_system(&messages);
        let mut body = json!({
            "model": self.endpoint.model,
            "max_tokens": request.max_tokens,
            "messages": self.messages(&rest),
            "stream": request.stream,
        });
        let mut set = |key: &str, value: Value| {
            if !self.endpoint.refuses(key) {
                body[key] = value;
            }
        };
        set("temperature", json!(sampling.temperature));
        if !sampling.is_greedy() {
            // Newer models take one of the two.
            if sampling.top_p < 1.0 {
                set("top_p", json!(sampling.top_p));
            }
            if sampling.top_k > 0 {
                set("top_k", json!(sampling.top_k));
            }
        }
        if !system.is_empty() {
            set("system", Value::from(system));
        }
        if !request.stop.is_empty() {
            set("stop_sequences", json!(request.stop));
        }
        if !tools.is_empty() {
            let strict = request.constraint == Some(ConstraintText::StrictTools);
            let tools: Vec<Value> = tools
                .iter()
                .map(|tool| {
                    let mut shown = json!({
                        "name": tool.name,
                        "description": tool.description,
                        "input_schema": tool.input_schema,
                    });
                    if strict {
                        shown["strict"] = Value::Bool(true);
                    }
                    shown
                })
                .collect();
            set("tools", Value::Array(tools));
            let choice = match tool_choice {
                ToolChoice::Auto => "auto",
                ToolChoice::Required => "any",
                ToolChoice::None => "none",
            };
            set("tool_choice", json!({"type": choice}));
        }
        match &request.constraint {
            None | Some(ConstraintText::StrictTools) => {}
            Some(ConstraintText::JsonSchema(schema)) => {
                let format = json!({"type": "json_schema", "schema": schema});
                set("output_config", json!({"format": format}));
            }
            Some(other) => {
                return Err(ProviderError::GrammarRejected {
                    detail: format!(
                        "the Messages API takes no {} constraint",
                        other.mechanism().as_str()
                    ),
                });
            }
        }
        Ok(body)
    }

    /// Messages as content blocks; neighbours of one role become one message.
    fn messages(&self, messages: &[&Message]) -> Value {
        let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
        for message in messages {
            let (role, blocks) = match message.role {
                Role::Assistant => ("assistant", self.assistant_blocks(message)),
                Role::Tool => ("user", vec![tool_result(message)]),
                Role::User | Role::System => ("user", text_block(&message.content)),
            };
            match turns.last_mut() {
                Some((last, known)) if *last == role => known.extend(blocks),
                _ => turns.push((role, blocks)),
            }
        }
        turns
            .into_iter()
            .filter(|(_, blocks)| !blocks.is_empty())
            .map(|(role, content)| json!({"role": role, "content": content}))
            .collect()
    }

    fn assistant_blocks(&self, message: &Message) -> Vec<Value> {
        let first = message
            .tool_calls
            .first()
            .and_then(|call| call.id.as_deref());
        let mut blocks = match self.thoughts.of(first) {
            Some(Value::Array(thoughts)) => thoughts,
            _ => Vec::new(),
        };
        blocks.extend(text_block(&message.content));
        blocks.extend(message.tool_calls.iter().map(|call| {
            let input = match &call.arguments {
                Value::Object(_) => call.arguments.clone(),
                // The API takes objects only; what else a model wrote stands inside one.
                other => json!({"value": other}),
            };
            json!({"type": "tool_use", "id": call.id, "name": call.name, "input": input})
        }));
        blocks
    }

    async fn ask(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let body = self.body(request)?;
        let read = |answer| self.read(answer);
        hosted::ask(&self.client, PATH, &body, request, cancel, read)
            .await
            .map_err(|error| explained(error, request))
    }

    async fn read(&self, answer: Answer) -> (Collector, Option<Broken>) {
        let mut collector = Collector::of(&answer);
        let mut blocks = Blocks::default();
        let broken = if answer.media_type() == "text/event-stream" {
            stream(answer, &mut collector, &mut blocks).await.err()
        } else {
            match hosted::whole(answer).await {
                Ok(message) => blocks.whole(&message, &mut collector).err(),
                Err(broken) => Some(broken),
            }
        };
        if let Some((id, thoughts)) = blocks.fill(&mut collector) {
            self.thoughts.keep(&id, thoughts);
        }
        (collector, broken)
    }
}

/// Newer models refuse sampling settings that older ones take.
fn explained(error: ProviderError, request: &GenerateRequest) -> ProviderError {
    let ProviderError::Rejected { detail } = error else {
        return error;
    };
    if request.constraint.is_some() && (detail.contains("schema") || detail.contains("strict")) {
        return ProviderError::GrammarRejected { detail };
    }
    let named = ["temperature", "top_p", "top_k"]
        .into_iter()
        .find(|name| detail.contains(name));
    ProviderError::Rejected {
        detail: match named {
            Some(name) => format!(
                "{detail}; for a model without it, add `{name}` to `refuses` of the model in toolbench.toml"
            ),
            None => detail,
        },
    }
}

fn text_block(content: &str) -> Vec<Value> {
    // An empty block is refused.
    if content.trim().is_empty() {
        return Vec::new();
    }
    vec![json!({"type": "text", "text": content})]
}

fn tool_result(message: &Message) -> Value {
    json!({
        "type": "tool_result",
        "tool_use_id": message.tool_call_id,
        "content": message.content,
    })
}

async fn stream(
    answer: Answer,
    collector: &mut Collector,
    blocks: &mut Blocks,
) -> Result<(), Broken> {
    let mut events = answer.events();
    while let Some(piece) = events.next().await {
        let piece = piece?;
        let event: Value = serde_json::from_str(&piece.data)
            .map_err(|error| bad(&format!("an event is not JSON: {error}")))?;
        if blocks.event(&event, piece.at_ms, collector)? {
            return Ok(());
        }
    }
    collector.stop = None;
    Ok(())
}

/// Content blocks as they come, and what the API says of the message.
#[derive(Default)]
struct Blocks {
    blocks: Vec<Value>,
    /// Arguments of the call in each block, as text.
    inputs: Vec<String>,
}

impl Blocks {
    fn whole(&mut self, message: &Value, collector: &mut Collector) -> Result<(), Broken> {
        let Some(content) = message["content"].as_array() else {
            return Err(bad("the message has no content"));
        };
        self.blocks.clone_from(content);
        self.inputs = vec![String::new(); content.len()];
        note_usage(&message["usage"], &mut collector.usage);
        collector.stop = Some(stop_reason(text(message, "stop_reason")));
        Ok(())
    }

    /// One event; true when it was the last.
    fn event(
        &mut self,
        event: &Value,
        at_ms: f64,
        collector: &mut Collector,
    ) -> Result<bool, Broken> {
        match text(event, "type") {
            "message_start" => note_usage(&event["message"]["usage"], &mut collector.usage),
            "content_block_start" => {
                let index = index_of(event)?;
                if index > self.blocks.len() {
                    return Err(bad("a content block was left out of the stream"));
                }
                self.blocks.truncate(index);
                self.inputs.truncate(index);
                self.blocks.push(event["content_block"].clone());
                self.inputs.push(String::new());
                if text(&event["content_block"], "type") == "tool_use" {
                    collector.wrote(at_ms);
                }
            }
            "content_block_delta" => {
                let index = index_of(event)?;
                let Some(block) = self.blocks.get_mut(index) else {
                    return Err(bad("a piece belongs to no content block"));
                };
                add_delta(block, &mut self.inputs[index], &event["delta"]);
                collector.wrote(at_ms);
            }
            "message_delta" => {
                note_usage(&event["usage"], &mut collector.usage);
                collector.stop = Some(stop_reason(text(&event["delta"], "stop_reason")));
            }
            "message_stop" => return Ok(true),
            "error" => return Err(Broken::Failed(error_of(&event["error"]))),
            // `ping`, `content_block_stop`, and what later versions add.
            _ => {}
        }
        Ok(false)
    }

    /// Puts what the blocks say into the reply; gives the thoughts that must go back, and with
    /// which call.
    fn fill(self, collector: &mut Collector) -> Option<(String, Value)> {
        let mut thoughts = Vec::new();
        let mut first_call = None;
        let mut message = Vec::new();
        for (mut block, input) in self.blocks.into_iter().zip(self.inputs) {
            match text(&block, "type") {
                "text" => collector.text.push_str(text(&block, "text")),
                "thinking" => {
                    collector.reasoning.push_str(text(&block, "thinking"));
                    thoughts.push(block.clone());
                }
                "redacted_thinking" => thoughts.push(block.clone()),
                "tool_use" => {
                    if !input.is_empty() {
                        block["input"] = arguments_of(&input);
                    }
                    let id = text(&block, "id").to_owned();
                    first_call.get_or_insert_with(|| id.clone());
                    collector.calls.push(ToolCall {
                        id: Some(id),
                        name: text(&block, "name").to_owned(),
                        arguments: block["input"].clone(),
                    });
                }
                _ => {}
            }
            message.push(block);
        }
        collector.payload = Some(json!({"content": message}));
        first_call
            .filter(|_| !thoughts.is_empty())
            .map(|id| (id, Value::Array(thoughts)))
    }
}

fn index_of(event: &Value) -> Result<usize, Broken> {
    event["index"]
        .as_u64()
        .and_then(|index| usize::try_from(index).ok())
        .ok_or_else(|| bad("an event has no index"))
}

fn add_delta(block: &mut Value, input: &mut String, delta: &Value) {
    let key = match text(delta, "type") {
        "text_delta" => "text",
        "thinking_delta" => "thinking",
        "signature_delta" => "signature",
        "input_json_delta" => {
            input.push_str(text(delta, "partial_json"));
            return;
        }
        _ => return,
    };
    if let Some(fields) = block.as_object_mut() {
        append(fields, key, text(delta, key));
    }
}

fn append(fields: &mut Map<String, Value>, key: &str, more: &str) {
    match fields.get_mut(key) {
        Some(Value::String(known)) => known.push_str(more),
        _ => {
            fields.insert(key.to_owned(), Value::from(more));
        }
    }
}

/// `input_tokens` leaves out what was written to or read from the cache.
fn note_usage(told: &Value, usage: &mut Usage) {
    if told.get("input_tokens").is_some_and(Value::is_u64) {
        let cached = count(told, "cache_read_input_tokens");
        let computed = count(told, "input_tokens") + count(told, "cache_creation_input_tokens");
        usage.cached_tokens = cached;
        usage.computed_tokens = computed;
        usage.prompt_tokens = cached + computed;
    }
    if told.get("output_tokens").is_some_and(Value::is_u64) {
        usage.output_tokens = count(told, "output_tokens");
    }
    let reasoning = count(&told["output_tokens_details"], "thinking_tokens");
    usage.reasoning_tokens = usage.reasoning_tokens.max(reasoning);
}

fn stop_reason(told: &str) -> StopReason {
    match told {
        "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopText,
        "tool_use" => StopReason::ToolCalls,
        "model_context_window_exceeded" => StopReason::ContextFull,
        // `end_turn`, `refusal` (the model's own), `pause_turn`.
        _ => StopReason::Stop,
    }
}

/// An error that came inside a stream, by its kind.
fn error_of(error: &Value) -> ProviderError {
    let kind = text(error, "type");
    let detail = format!("{kind}: {}", text(error, "message"));
    match kind {
        "rate_limit_error" => ProviderError::RateLimited { detail },
        "authentication_error" | "permission_error" => ProviderError::Unauthorised { detail },
        "invalid_request_error" | "not_found_error" | "request_too_large" => {
            ProviderError::Rejected { detail }
        }
        // `overloaded_error`, `api_error`, `timeout_error`.
        _ => ProviderError::Server { detail },
    }
}

impl Provider for AnthropicProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        // Asked before every trial, told by the service once.
        Box::pin(async { self.facts.get_or_try_init(|| self.asked()).await.cloned() })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async { self.asked().await.map(|_| ()) })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(self.ask(request, cancel))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
