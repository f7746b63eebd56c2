//! REST servers that hold tools of their own: `GET /info`, `GET /v1/models` with a context length,
//! `POST /generate`, and chat completions that take tools by name.
//!
//! Data in: chat requests with or without tools, or raw text. Data out: replies whose calls stood in
//! `tool` fences, in `tool_calls`, or in both, where one call told twice counts once. Invariants: a
//! tool that the server knows goes over by its name, and only if the server's definition takes the
//! same arguments as the one offered; one that it does not know goes over as a definition; results
//! of tools that the server has run are kept as such, and never run again.
//!
//! There is no one document for these servers; each shape stands in `fixtures/providers/context/`.

mod tools;

use futures::future::BoxFuture;
use futures::stream::StreamExt as _;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use self::tools::{KnownTools, Message as ServerMessage};
use super::Provider;
use super::hosted::{self, Collector, asking, count, refuse_sampling, small_seed, text};
use super::http::{Answer, Broken, HttpClient, bad};
use crate::types::endpoint::Endpoint;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, Mechanism, Message, ModelFacts, Prompt,
    ProviderError, StopReason, ToolChoice, Wire,
};

const CHAT: &str = "/v1/chat/completions";
const GENERATE: &str = "/generate";
/// Where the context may be told, in the order of trust.
const CONTEXT_KEYS: [&str; 8] = [
    "context_length",
    "max_model_len",
    "context_window",
    "max_context_length",
    "max_total_tokens",
    "max_input_length",
    "n_ctx",
    "max_position_embeddings",
];

/// A model behind such a server.
pub struct ContextProvider {
    client: HttpClient,
    endpoint: Endpoint,
    server: OnceCell<Server>,
}

/// What a server says of itself.
struct Server {
    facts: ModelFacts,
    tools: KnownTools,
}

impl ContextProvider {
    /// Takes an endpoint; fails where its headers or certificates cannot be used.
    pub fn new(endpoint: Endpoint) -> Result<Self, ProviderError> {
        Ok(Self {
            client: HttpClient::new(&endpoint)?,
            endpoint,
            server: OnceCell::new(),
        })
    }

    async fn server(&self) -> Result<&Server, ProviderError> {
        self.server.get_or_try_init(|| self.asked()).await
    }

    /// Asks every page that may tell something; one of the first two must be there.
    async fn asked(&self) -> Result<Server, ProviderError> {
        let info = self.page("/info").await;
        let models = self.page("/v1/models").await;
        let (info, models) = match (info, models) {
            (Err(error), Err(_)) => return Err(error),
            (info, models) => (info.unwrap_or_default(), models.unwrap_or_default()),
        };
        let listed = self.page("/v1/tools").await.unwrap_or_default();
        let entry = self.entry(&models)?;
        let context = [&entry, &info, &info["model"]]
            .iter()
            .find_map(|page| context_of(page))
            .unwrap_or(self.endpoint.context_tokens);
        let chats = self.has_chat().await?;
        let offered = |wire: &Wire| match wire {
            Wire::RawText => true,
            Wire::Chat | Wire::ChatWithTools => chats,
        };
        let endpoint = &self.endpoint;
        let name = [
            &entry["id"],
            &info["model_id"],
            &info["model"],
            &info["name"],
        ]
        .into_iter()
        .find_map(Value::as_str)
        .unwrap_or(&endpoint.model);
        let tools = KnownTools::of(&[&listed, &info]);
        Ok(Server {
            facts: ModelFacts {
                provider: endpoint.preset.clone(),
                reported_name: name.to_owned(),
                context_tokens: context,
                wires: endpoint.wires.iter().copied().filter(offered).collect(),
                mechanisms: endpoint
                    .mechanisms
                    .iter()
                    .copied()
                    .filter(|mechanism| *mechanism == Mechanism::JsonSchema)
                    .collect(),
                engine_build: ["version", "server_version", "build"]
                    .iter()
                    .find_map(|key| info[*key].as_str())
                    .unwrap_or_default()
                    .to_owned(),
                endpoint: Some(endpoint.base_url.clone()),
                remote: endpoint.remote,
                refuses: endpoint.refuses.clone(),
                chat_template: endpoint.chat_template.clone(),
                ..ModelFacts::default()
            },
            tools,
        })
    }

    async fn page(&self, path: &str) -> Result<Value, ProviderError> {
        let cancel = CancellationToken::new();
        let answer = self.client.get(path, asking(&cancel)).await?;
        hosted::whole(answer)
            .await
            .map_err(|broken| hosted::failure(broken, hosted::ASK_LIMIT_MS))
    }

    /// The model's entry; an error where the server has others and not this one.
    fn entry(&self, models: &Value) -> Result<Value, ProviderError> {
        let Some(list) = models["data"].as_array().or_else(|| models.as_array()) else {
            return Ok(Value::Null);
        };
        let named = |entry: &&Value| text(entry, "id") == self.endpoint.model;
        if let Some(found) = list.iter().find(named) {
            return Ok(found.clone());
        }
        match (list.as_slice(), self.endpoint.model.as_str()) {
            ([only], "") => Ok(only.clone()),
            ([], _) => Ok(Value::Null),
            _ => {
                let known: Vec<&str> = list.iter().map(|entry| text(entry, "id")).collect();
                Err(ProviderError::Rejected {
                    detail: format!(
                        "{} has no model `{}`; it has: {}",
                        self.endpoint.base_url,
                        self.endpoint.model,
                        known.join(", ")
                    ),
                })
            }
        }
    }

    /// Whether chat completions are there: a request without messages is wrong, but not unknown.
    async fn has_chat(&self) -> Result<bool, ProviderError> {
        let cancel = CancellationToken::new();
        let body = json!({"model": self.endpoint.model, "messages": [], "max_tokens": 1});
        match self.client.post(CHAT, &body, asking(&cancel)).await {
            Err(ProviderError::Rejected { detail }) => {
                Ok(!(detail.starts_with("404") || detail.starts_with("405")))
            }
            Err(error @ ProviderError::Unauthorised { .. }) => Err(error),
            _ => Ok(true),
        }
    }

    fn chat_body(
        &self,
        request: &GenerateRequest,
        tools: &KnownTools,
    ) -> Result<Value, ProviderError> {
        let Prompt::Chat {
            messages,
            tools: offered,
            tool_choice,
        } = &request.prompt
        else {
            return Err(hosted::no_raw_text("the chat page"));
        };
        refuse_sampling(&self.endpoint, &request.sampling, &[])?;
        let mut body = self.shared_body(request);
        body["messages"] = messages.iter().map(message).collect();
        if !offered.is_empty() {
            body["tools"] = tools.named(offered)?;
            body["tool_choice"] = match tool_choice {
                ToolChoice::Auto => json!("auto"),
                ToolChoice::Required => json!("required"),
                ToolChoice::None => json!("none"),
            };
        }
        match &request.constraint {
            None | Some(ConstraintText::StrictTools) => {}
            Some(ConstraintText::JsonSchema(schema)) => {
                let schema = json!({"name": "reply", "schema": schema, "strict": true});
                body["response_format"] = json!({"type": "json_schema", "json_schema": schema});
            }
            Some(other) => {
                return Err(ProviderError::GrammarRejected {
                    detail: format!("the server takes no {}", other.mechanism().as_str()),
                });
            }
        }
        Ok(body)
    }

    /// What both pages take.
    fn shared_body(&self, request: &GenerateRequest) -> Value {
        let sampling = &request.sampling;
        let mut body = json!({
            "max_tokens": request.max_tokens,
            "temperature": sampling.temperature,
            "seed": small_seed(request.seed),
            "stream": request.stream,
        });
        if !self.endpoint.model.is_empty() {
            body["model"] = json!(self.endpoint.model);
        }
        if !sampling.is_greedy() {
            body["top_p"] = json!(sampling.top_p);
            if sampling.top_k > 0 {
                body["top_k"] = json!(sampling.top_k);
            }
            if sampling.min_p > 0.0 {
                body["min_p"] = json!(sampling.min_p);
            }
        }
        if (sampling.repeat_penalty - 1.0).abs() > 1e-6 {
            body["repetition_penalty"] = json!(sampling.repeat_penalty);
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        for field in &self.endpoint.refuses {
            if let Some(fields) = body.as_object_mut() {
                fields.remove(field);
            }
        }
        body
    }

    async fn ask(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let server = self.server().await?;
        match &request.prompt {
            Prompt::Text { prefix, rest } => {
                let prompt = format!("{prefix}{rest}");
                self.generate_text(&prompt, request, cancel).await
            }
            Prompt::Chat { tools, .. } => {
                let body = self.chat_body(request, &server.tools)?;
                let read = |answer| read_chat(answer, !tools.is_empty());
                hosted::ask(&self.client, CHAT, &body, request, cancel, read)
                    .await
                    .map_err(|error| constraint_refused(error, request))
            }
        }
    }

    /// `POST /generate` takes a `prompt`, or `inputs` with `parameters`: asked in the first form,
    /// and in the second where the server says that it misses `inputs`.
    async fn generate_text(
        &self,
        prompt: &str,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        if request.constraint.is_some() {
            return Err(ProviderError::GrammarRejected {
                detail: "the page for raw text takes no constraint".to_owned(),
            });
        }
        refuse_sampling(&self.endpoint, &request.sampling, &[])?;
        let mut body = self.shared_body(request);
        body["stream"] = Value::Bool(false);
        body["prompt"] = json!(prompt);
        let read = |answer| read_generated(answer, prompt);
        let client = &self.client;
        match hosted::ask(client, GENERATE, &body, request, cancel, read).await {
            Err(ProviderError::Rejected { detail }) if detail.contains("inputs") => {
                let body = with_inputs(prompt, &body);
                hosted::ask(client, GENERATE, &body, request, cancel, read).await
            }
            reply => reply,
        }
    }
}

async fn read_chat(answer: Answer, offered: bool) -> (Collector, Option<Broken>) {
    let mut collector = Collector::of(&answer);
    let mut said = ServerMessage::default();
    let broken = if answer.media_type() == "text/event-stream" {
        stream(answer, &mut collector, &mut said).await.err()
    } else {
        match hosted::whole(answer).await {
            Ok(body) => said.whole(&body, &mut collector).err(),
            Err(broken) => Some(broken),
        }
    };
    said.fill(offered, &mut collector);
    (collector, broken)
}

async fn read_generated(answer: Answer, prompt: &str) -> (Collector, Option<Broken>) {
    let mut collector = Collector::of(&answer);
    let broken = match hosted::whole(answer).await {
        Ok(body) => generated(&body, prompt, &mut collector).err(),
        Err(broken) => Some(broken),
    };
    (collector, broken)
}

fn constraint_refused(error: ProviderError, request: &GenerateRequest) -> ProviderError {
    match error {
        ProviderError::Rejected { detail }
            if request.constraint.is_some()
                && (detail.contains("schema") || detail.contains("response_format")) =>
        {
            ProviderError::GrammarRejected { detail }
        }
        error => error,
    }
}

fn context_of(page: &Value) -> Option<u32> {
    CONTEXT_KEYS
        .iter()
        .map(|key| count(page, key))
        .find(|tokens| *tokens > 0)
}

/// Calls go back as such a server writes them: name and parameters.
fn message(message: &Message) -> Value {
    let mut written = json!({"role": message.role.as_str(), "content": message.content});
    if !message.tool_calls.is_empty() {
        written["tool_calls"] = message
            .tool_calls
            .iter()
            .map(|call| json!({"id": call.id, "name": call.name, "parameters": call.arguments}))
            .collect();
    }
    if let Some(name) = &message.tool_name {
        written["name"] = json!(name);
    }
    if let Some(id) = &message.tool_call_id {
        written["tool_call_id"] = json!(id);
    }
    written
}

fn with_inputs(prompt: &str, body: &Value) -> Value {
    let mut parameters = json!({"details": true, "return_full_text": false});
    for (from, to) in [
        ("max_tokens", "max_new_tokens"),
        ("temperature", "temperature"),
        ("seed", "seed"),
        ("top_p", "top_p"),
        ("top_k", "top_k"),
        ("repetition_penalty", "repetition_penalty"),
        ("stop", "stop"),
    ] {
        if let Some(value) = body.get(from) {
            parameters[to] = value.clone();
        }
    }
    // In this form a temperature of 0 is refused; greedy is said otherwise.
    if body["temperature"].as_f64() == Some(0.0) {
        parameters["do_sample"] = Value::Bool(false);
        if let Some(fields) = parameters.as_object_mut() {
            fields.remove("temperature");
        }
    }
    json!({"inputs": prompt, "parameters": parameters})
}

/// The text of `/generate`, in whichever field it stands.
fn generated(body: &Value, prompt: &str, collector: &mut Collector) -> Result<(), Broken> {
    let first = match body {
        Value::Array(items) => items.first().unwrap_or(&Value::Null),
        other => other,
    };
    let written = ["generated_text", "text", "response", "output", "completion"]
        .iter()
        .find_map(|key| match &first[*key] {
            Value::String(written) => Some(written.as_str()),
            Value::Array(list) => list.first()?.as_str(),
            _ => None,
        })
        .ok_or_else(|| bad("the reply of /generate has no text"))?;
    // Some give the prompt back in front.
    written
        .strip_prefix(prompt)
        .filter(|_| !prompt.is_empty())
        .unwrap_or(written)
        .clone_into(&mut collector.text);
    let details = &first["details"];
    let reason = [details, first]
        .iter()
        .find_map(|page| page["finish_reason"].as_str())
        .unwrap_or("stop");
    collector.stop = Some(stop_reason(reason));
    note_usage(&first["usage"], collector);
    if let tokens @ 1.. = count(details, "generated_tokens") {
        collector.usage.output_tokens = tokens;
    }
    if let Some(list) = details["prefill"]
        .as_array()
        .filter(|list| !list.is_empty())
    {
        collector.usage.prompt_tokens = u32::try_from(list.len()).unwrap_or(u32::MAX);
    }
    Ok(())
}

pub(super) fn note_usage(told: &Value, collector: &mut Collector) {
    if told.is_object() {
        let usage = &mut collector.usage;
        usage.prompt_tokens = count(told, "prompt_tokens");
        usage.output_tokens = count(told, "completion_tokens");
        usage.cached_tokens = count(&told["prompt_tokens_details"], "cached_tokens");
        usage.computed_tokens = usage.prompt_tokens.saturating_sub(usage.cached_tokens);
    }
}

pub(super) fn stop_reason(told: &str) -> StopReason {
    match told {
        "length" | "max_tokens" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopText,
        "tool_calls" | "tool_use" => StopReason::ToolCalls,
        _ => StopReason::Stop,
    }
}

async fn stream(
    answer: Answer,
    collector: &mut Collector,
    said: &mut ServerMessage,
) -> Result<(), Broken> {
    let mut events = answer.events();
    while let Some(piece) = events.next().await {
        let piece = piece?;
        if piece.data.trim() == "[DONE]" {
            return Ok(());
        }
        let body: Value = serde_json::from_str(&piece.data)
            .map_err(|error| bad(&format!("an event is not JSON: {error}")))?;
        said.piece(&body, piece.at_ms, collector)?;
    }
    Ok(())
}

impl Provider for ContextProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async { self.server().await.map(|server| server.facts.clone()) })
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async {
            match self.page("/info").await {
                Err(ProviderError::Rejected { .. }) => self.page("/v1/models").await.map(|_| ()),
                answer => answer.map(|_| ()),
            }
        })
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
