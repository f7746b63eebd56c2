//! Models behind the Gemini API.
//!
//! Data in: chat requests, with or without tools. Data out: replies read from the parts of the first
//! candidate, whole or streamed. Invariants: arguments come as objects; signatures of thoughts go
//! back with the calls they came with; a reply that the service's filter ended is nobody's answer,
//! a call that the model wrote wrongly is the model's.
//!
//! Shapes: <https://ai.google.dev/api/generate-content> and
//! <https://ai.google.dev/gemini-api/docs/function-calling>; written on 2026-11-20 after excerpts of these
//! pages, not recorded from the service.

use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::Provider;
use super::hosted::{
    self, Collector, Kept, asking, count, no_raw_text, refuse_sampling, small_seed, split_system,
    text, with_ids,
};
use super::http::{Answer, Broken, HttpClient, bad};
use crate::types::endpoint::Endpoint;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, Mechanism, Message, ModelFacts, Prompt,
    ProviderError, Role, StopReason, ToolCall, ToolChoice, ToolDefinition, Wire,
};

/// What the service documents for calls that it did not make itself, as in worked examples.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// A model behind the Gemini API.
pub struct GeminiProvider {
    client: HttpClient,
    endpoint: Endpoint,
    /// What the service wants back with a call: its own id for it and the signature of the thought
    /// it came from. By the id that goes into the record.
    kept: Kept,
    facts: OnceCell<ModelFacts>,
}

impl GeminiProvider {
    /// Takes an endpoint; fails where its headers or certificates cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ProviderError> {
        Ok(Self {
            client: HttpClient::new(&endpoint)?,
            endpoint,
            kept: Kept::default(),
            facts: OnceCell::new(),
        })
    }

    fn path(&self, method: &str) -> String {
        let model = self.endpoint.model.trim_start_matches("models/");
        format!("/v1beta/models/{model}{method}")
    }

    async fn asked(&self) -> Result<ModelFacts, ProviderError> {
        let cancel = CancellationToken::new();
        let answer = self
            .client
            .get(&self.path(""), asking(&cancel))
            .await
            .map_err(|error| self.explained(error, false))?;
        let shown = hosted::whole(answer)
            .await
            .map_err(|broken| hosted::failure(broken, hosted::ASK_LIMIT_MS))?;
        let offered = |wire: &Wire| *wire != Wire::RawText;
        let known = |mechanism: &Mechanism| {
            matches!(mechanism, Mechanism::JsonSchema | Mechanism::StrictTools)
        };
        let endpoint = &self.endpoint;
        Ok(ModelFacts {
            provider: endpoint.preset.clone(),
            reported_name: shown["name"].as_str().unwrap_or(&endpoint.model).to_owned(),
            context_tokens: match count(&shown, "inputTokenLimit") {
                0 => endpoint.context_tokens,
                tokens => tokens,
            },
            wires: endpoint.wires.iter().copied().filter(offered).collect(),
            mechanisms: endpoint.mechanisms.iter().copied().filter(known).collect(),
            engine_build: format!("gemini v1beta {}", text(&shown, "version")),
            endpoint: Some(endpoint.base_url.clone()),
            remote: endpoint.remote,
            refuses: endpoint.refuses.clone(),
            ..ModelFacts::default()
        })
    }

    fn body(&self, request: &GenerateRequest, sign_all: bool) -> Result<Value, ProviderError> {
        let Prompt::Chat {
            messages,
            tools,
            tool_choice,
        } = &request.prompt
        else {
            return Err(no_raw_text("the Gemini API"));
        };
        let messages = with_ids(messages);
        let (system, rest) = split_system(&messages);
        let mut body = json!({
            "contents": self.contents(&rest, sign_all),
            "generationConfig": self.generation(request)?,
        });
        if !system.is_empty() {
            body["systemInstruction"] = json!({"parts": [{"text": system}]});
        }
        if !tools.is_empty() {
            let strict = request.constraint == Some(ConstraintText::StrictTools);
            let mode = match (tool_choice, strict) {
                (ToolChoice::None, _) => "NONE",
                (ToolChoice::Required, _) => "ANY",
                (ToolChoice::Auto, true) => "VALIDATED",
                (ToolChoice::Auto, false) => "AUTO",
            };
            let declared: Vec<Value> = tools.iter().map(declaration).collect();
            body["tools"] = json!([{"functionDeclarations": declared}]);
            body["toolConfig"] = json!({"functionCallingConfig": {"mode": mode}});
        }
        Ok(body)
    }

    fn generation(&self, request: &GenerateRequest) -> Result<Value, ProviderError> {
        let sampling = &request.sampling;
        refuse_sampling(&self.endpoint, sampling, &["min_p", "repeat_penalty"])?;
        let mut config = json!({});
        let mut set = |key: &str, value: Value| {
            if !self.endpoint.refuses(key) {
                config[key] = value;
            }
        };
        set("maxOutputTokens", json!(request.max_tokens));
        set("temperature", json!(sampling.temperature));
        set("seed", json!(small_seed(request.seed)));
        if !sampling.is_greedy() {
            set("topP", json!(sampling.top_p));
            if sampling.top_k > 0 {
                set("topK", json!(sampling.top_k));
            }
        }
        if !request.stop.is_empty() {
            set("stopSequences", json!(request.stop));
        }
        match &request.constraint {
            None | Some(ConstraintText::StrictTools) => {}
            Some(ConstraintText::JsonSchema(schema)) => {
                set("responseMimeType", json!("application/json"));
                set("responseJsonSchema", schema.clone());
            }
            Some(other) => {
                return Err(ProviderError::GrammarRejected {
                    detail: format!(
                        "the Gemini API takes no {} constraint",
                        other.mechanism().as_str()
                    ),
                });
            }
        }
        Ok(config)
    }

    /// Messages as contents; neighbours of one role become one content.
    fn contents(&self, messages: &[&Message], sign_all: bool) -> Value {
        let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
        for message in messages {
            let (role, parts) = match message.role {
                Role::Assistant => ("model", self.model_parts(message, sign_all)),
                Role::Tool => ("user", vec![self.response_part(message)]),
                Role::User | Role::System => ("user", text_part(&message.content)),
            };
            match turns.last_mut() {
                Some((last, known)) if *last == role => known.extend(parts),
                _ => turns.push((role, parts)),
            }
        }
        turns
            .into_iter()
            .filter(|(_, parts)| !parts.is_empty())
            .map(|(role, parts)| json!({"role": role, "parts": parts}))
            .collect()
    }

    fn model_parts(&self, message: &Message, sign_all: bool) -> Vec<Value> {
        let mut parts = text_part(&message.content);
        for (index, call) in message.tool_calls.iter().enumerate() {
            let args = match &call.arguments {
                Value::Object(_) => call.arguments.clone(),
                other => json!({"value": other}),
            };
            let mut part = json!({"functionCall": {"name": call.name, "args": args}});
            let kept = self.kept.of(call.id.as_deref()).unwrap_or_default();
            if kept["id"].is_string() {
                part["functionCall"]["id"] = kept["id"].clone();
            }
            // Of calls made at once, the first carries the signature.
            if kept["signature"].is_string() {
                part["thoughtSignature"] = kept["signature"].clone();
            } else if sign_all && index == 0 {
                part["thoughtSignature"] = Value::from(UNSIGNED);
            }
            parts.push(part);
        }
        parts
    }

    fn response_part(&self, message: &Message) -> Value {
        let mut part = json!({"functionResponse": {
            "name": message.tool_name,
            "response": {"result": message.content},
        }});
        let kept = self.kept.of(message.tool_call_id.as_deref());
        if let Some(Value::String(id)) = kept.map(|kept| kept["id"].clone()) {
            part["functionResponse"]["id"] = Value::from(id);
        }
        part
    }

    async fn ask(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let path = self.path(if request.stream {
            ":streamGenerateContent?alt=sse"
        } else {
            ":generateContent"
        });
        let read = |answer| self.read(answer);
        let body = self.body(request, false)?;
        let reply = hosted::ask(&self.client, &path, &body, request, cancel, read).await;
        let reply = match reply {
            // Written calls (worked examples, a history) have no signature to send.
            Err(ProviderError::Rejected { detail }) if asks_for_signature(&detail) => {
                let body = self.body(request, true)?;
                hosted::ask(&self.client, &path, &body, request, cancel, read).await
            }
            reply => reply,
        };
        reply.map_err(|error| self.explained(error, request.constraint.is_some()))
    }

    async fn read(&self, answer: Answer) -> (Collector, Option<Broken>) {
        let mut collector = Collector::of(&answer);
        let mut parts = Parts::default();
        let broken = if answer.media_type() == "text/event-stream" {
            stream(answer, &mut collector, &mut parts).await.err()
        } else {
            match hosted::whole(answer).await {
                Ok(body) => parts.add(&body, None, &mut collector).err(),
                Err(broken) => Some(broken),
            }
        };
        self.fill(&parts, &mut collector);
        (collector, broken)
    }

    fn fill(&self, parts: &Parts, collector: &mut Collector) {
        for (part, id) in parts.list.iter().zip(&parts.ids) {
            if let Some(call) = part.get("functionCall") {
                let kept = json!({"id": call["id"], "signature": part["thoughtSignature"]});
                self.kept.keep(id, kept);
                collector.calls.push(ToolCall {
                    id: Some(id.clone()),
                    name: text(call, "name").to_owned(),
                    arguments: call.get("args").cloned().unwrap_or_else(|| json!({})),
                });
            } else if part["thought"] == true {
                collector.reasoning.push_str(text(part, "text"));
            } else {
                collector.text.push_str(text(part, "text"));
            }
        }
        if !collector.calls.is_empty() && collector.stop == Some(StopReason::Stop) {
            collector.stop = Some(StopReason::ToolCalls);
        }
        collector.payload = Some(json!({"parts": parts.list}));
    }

    /// The service tells a wrong key as a bad request, and a schema it cannot take likewise.
    fn explained(&self, error: ProviderError, constrained: bool) -> ProviderError {
        let ProviderError::Rejected { detail } = error else {
            return error;
        };
        if detail.contains("API key") {
            let hint = match &self.endpoint.key_variable {
                Some(name) => format!("put the key into the variable {name}"),
                None => {
                    "name the variable that holds the key: `key-env` of the model in toolbench.toml"
                        .to_owned()
                }
            };
            return ProviderError::Unauthorised {
                detail: format!("{detail}; {hint}"),
            };
        }
        if constrained && detail.to_lowercase().contains("schema") {
            return ProviderError::GrammarRejected { detail };
        }
        ProviderError::Rejected { detail }
    }
}

fn asks_for_signature(detail: &str) -> bool {
    detail.contains("thought_signature") || detail.contains("thoughtSignature")
}

fn declaration(tool: &ToolDefinition) -> Value {
    json!({
        "name": tool.name,
        "description": tool.description,
        "parametersJsonSchema": tool.input_schema,
    })
}

fn text_part(content: &str) -> Vec<Value> {
    if content.is_empty() {
        return Vec::new();
    }
    vec![json!({"text": content})]
}

async fn stream(
    answer: Answer,
    collector: &mut Collector,
    parts: &mut Parts,
) -> Result<(), Broken> {
    let mut events = answer.events();
    while let Some(piece) = events.next().await {
        let piece = piece?;
        let body: Value = serde_json::from_str(&piece.data)
            .map_err(|error| bad(&format!("an event is not JSON: {error}")))?;
        parts.add(&body, Some(piece.at_ms), collector)?;
    }
    Ok(())
}

/// Parts of the first candidate, joined where they go on one another.
#[derive(Default)]
struct Parts {
    list: Vec<Value>,
    /// An id for each; of calls, the one that goes into the record.
    ids: Vec<String>,
    calls: usize,
}

impl Parts {
    fn add(
        &mut self,
        body: &Value,
        at_ms: Option<f64>,
        collector: &mut Collector,
    ) -> Result<(), Broken> {
        if let Some(error) = body.get("error") {
            let detail = format!("{} {}", text(error, "status"), text(error, "message"));
            return Err(Broken::Failed(match text(error, "status") {
                "RESOURCE_EXHAUSTED" => ProviderError::RateLimited { detail },
                "INVALID_ARGUMENT" | "NOT_FOUND" => ProviderError::Rejected { detail },
                _ => ProviderError::Server { detail },
            }));
        }
        if let Some(told) = body.get("usageMetadata") {
            let usage = &mut collector.usage;
            usage.prompt_tokens =
                count(told, "promptTokenCount") + count(told, "toolUsePromptTokenCount");
            usage.cached_tokens = count(told, "cachedContentTokenCount");
            usage.computed_tokens = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
            usage.reasoning_tokens = count(told, "thoughtsTokenCount");
            usage.output_tokens = count(told, "candidatesTokenCount") + usage.reasoning_tokens;
        }
        if let Some(reason) = body["promptFeedback"]["blockReason"].as_str() {
            return Err(blocked("the prompt", reason));
        }
        let Some(candidate) = body["candidates"].get(0) else {
            // A piece may hold nothing but usage; a whole reply may not.
            return match at_ms {
                Some(_) => Ok(()),
                None => Err(bad("the reply has no candidate")),
            };
        };
        for part in candidate["content"]["parts"]
            .as_array()
            .into_iter()
            .flatten()
        {
            self.part(part);
            if let Some(at_ms) =
                at_ms.filter(|_| part.get("functionCall").is_some() || part.get("text").is_some())
            {
                collector.wrote(at_ms);
            }
        }
        if let Some(reason) = candidate["finishReason"].as_str() {
            collector.stop = Some(self.finished(reason, candidate)?);
        }
        Ok(())
    }

    fn part(&mut self, part: &Value) {
        if let Some(call) = part.get("functionCall") {
            let told = text(call, "id");
            let id = if told.is_empty() {
                // The same request gets the same ids, whatever came before it.
                let source = json!([part, self.calls]);
                format!(
                    "call_{}",
                    crate::types::ContentHash::of_value(&source).short()
                )
            } else {
                told.to_owned()
            };
            self.calls += 1;
            self.list.push(part.clone());
            self.ids.push(id);
            return;
        }
        let goes_on = self.list.last_mut().filter(|last| {
            last.get("text").is_some()
                && last.get("thought") == part.get("thought")
                && part.get("text").is_some()
        });
        if let Some(last) = goes_on {
            let joined = format!("{}{}", text(last, "text"), text(part, "text"));
            last["text"] = Value::from(joined);
        } else {
            self.list.push(part.clone());
            self.ids.push(String::new());
        }
    }

    fn finished(&mut self, reason: &str, candidate: &Value) -> Result<StopReason, Broken> {
        match reason {
            "STOP" | "FINISH_REASON_UNSPECIFIED" => Ok(StopReason::Stop),
            "MAX_TOKENS" => Ok(StopReason::MaxTokens),
            // The model wrote a call that is none: what it wrote stands in the message.
            "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "TOO_MANY_TOOL_CALLS" => {
                let message = text(candidate, "finishMessage");
                let told = if message.is_empty() { reason } else { message };
                self.part(&json!({"text": told}));
                Ok(StopReason::Stop)
            }
            "MISSING_THOUGHT_SIGNATURE" | "MALFORMED_RESPONSE" => {
                Err(bad(&format!("the service ended the reply: {reason}")))
            }
            other => Err(blocked("the reply", other)),
        }
    }
}

fn blocked(what: &str, reason: &str) -> Broken {
    Broken::Failed(ProviderError::Rejected {
        detail: format!("the service's filter stopped {what}: {reason}"),
    })
}

impl Provider for GeminiProvider {
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
