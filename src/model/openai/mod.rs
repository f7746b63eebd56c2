//! Servers of the chat-completions family, and OpenAI's responses.
//!
//! Data in: an [`Endpoint`] and requests. Data out: replies with what the server said of tokens, times
//! and calls. Invariants: what a server does not say is not made up; arguments that are no JSON stay the
//! text they were; a reply that breaks off is never taken for a whole one; a constraint that cannot be
//! written in the server's own form is refused with the reason and not sent in part.

mod body;
mod calls;
mod completion;
mod facts;
mod gathered;
mod responses;
mod strict;

#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Provider;
use super::http::{Answer, Broken, HttpClient, Limits, bad, broken_off};
use crate::types::endpoint::{Endpoint, Protocol};
use crate::types::names::similar_names;
use crate::types::{
    ConstraintText, GenerateReply, GenerateRequest, ModelFacts, Prompt, ProviderError,
};
use gathered::Gathered;

/// Limit of a question that needs no model.
const QUICK_MS: u64 = 10_000;

/// One model of one server.
pub(super) struct OpenAiProvider {
    endpoint: Endpoint,
    client: HttpClient,
    /// Path of the protocol's pages below the client's address; empty where the address holds it.
    api: &'static str,
    described: Mutex<Option<Described>>,
}

/// What the server said of itself.
#[derive(Clone)]
struct Described {
    facts: ModelFacts,
    /// The model's name as the server lists it, to be sent.
    model: String,
    /// All names it lists.
    listed: Vec<String>,
}

/// How a reply of one page is read.
#[derive(Clone, Copy)]
enum Page {
    Chat,
    Completions,
    LlamaCompletion,
    Responses,
}

impl OpenAiProvider {
    pub(super) fn new(endpoint: Endpoint) -> Result<Self, ProviderError> {
        // llama.cpp's own pages stand beside `/v1`, not below it.
        let root = endpoint
            .base_url
            .strip_suffix("/v1")
            .filter(|_| endpoint.llama_pages);
        let (client, api) = match root {
            Some(root) => {
                let at_root = Endpoint {
                    base_url: root.to_owned(),
                    ..endpoint.clone()
                };
                (HttpClient::new(&at_root)?, "/v1")
            }
            None => (HttpClient::new(&endpoint)?, ""),
        };
        Ok(Self {
            endpoint,
            client,
            api,
            described: Mutex::new(None),
        })
    }

    fn known(&self) -> Option<Described> {
        let described = self.described.lock();
        described.unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn describe_once(&self) -> Result<ModelFacts, ProviderError> {
        if let Some(known) = self.known() {
            return Ok(known.facts);
        }
        let described = facts::describe(self).await?;
        let facts = described.facts.clone();
        *self
            .described
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(described);
        Ok(facts)
    }

    async fn generate_once(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let known = self.known();
        let model = known
            .as_ref()
            .map_or(self.endpoint.model.as_str(), |known| known.model.as_str());
        let facts = known.as_ref().map(|known| &known.facts);
        let (page, path, body) = written(&self.endpoint, model, facts, request)?;
        // llama.cpp's own page stands beside `/v1`.
        let path = match page {
            Page::LlamaCompletion => path.to_owned(),
            _ => format!("{}{path}", self.api),
        };
        let limits = Limits {
            limit_ms: request.time_limit_ms,
            cancel,
        };
        let streamed = body.get("stream") == Some(&json!(true));
        let read = |answer: Answer| read(page, streamed, answer);
        match self.client.ask(&path, &body, limits, read).await {
            Ok(gathered) => Ok(gathered.reply(request, self.endpoint.refuses("stop"))),
            Err(Broken::Cancelled) => Err(ProviderError::Cancelled),
            // Nothing of the reply had come by then.
            Err(Broken::TimeLimit) => Err(ProviderError::Unanswered {
                limit_ms: request.time_limit_ms,
            }),
            Err(Broken::Failed(error)) => Err(self.explained(error, request, known.as_ref())),
        }
    }

    /// A refusal in the terms of what was asked: of the constraint, or of the model's name.
    fn explained(
        &self,
        error: ProviderError,
        request: &GenerateRequest,
        known: Option<&Described>,
    ) -> ProviderError {
        let ProviderError::Rejected { detail } = error else {
            return error;
        };
        let words = detail.to_lowercase();
        let about = |names: &[&str]| names.iter().any(|name| words.contains(name));
        let constraint: &[&str] = match &request.constraint {
            None => &[],
            Some(ConstraintText::Gbnf(_) | ConstraintText::Lark(_)) => &["grammar"],
            Some(ConstraintText::JsonSchema(_)) => &[
                "schema",
                "grammar",
                "response_format",
                "guided",
                "structured",
            ],
            Some(ConstraintText::StrictTools) => &["schema", "strict"],
        };
        if about(constraint) {
            return ProviderError::GrammarRejected { detail };
        }
        if takes_no_tools(&words) {
            return ProviderError::Rejected {
                detail: format!(
                    "{detail}; start the server so that it takes tools, or describe them in the \
                     text: `--dialect json`"
                ),
            };
        }
        if detail.starts_with("404") && about(&["model", "not found", "no further words"]) {
            let listed = known
                .map(|known| known.listed.as_slice())
                .unwrap_or_default();
            return unknown_model(&self.endpoint, listed, Some(&detail));
        }
        ProviderError::Rejected { detail }
    }
}

/// The page that a request goes to, its path, and the body.
fn written(
    endpoint: &Endpoint,
    model: &str,
    facts: Option<&ModelFacts>,
    request: &GenerateRequest,
) -> Result<(Page, &'static str, Value), ProviderError> {
    Ok(match (&request.prompt, endpoint.protocol) {
        (Prompt::Text { .. }, _) if endpoint.llama_pages => (
            Page::LlamaCompletion,
            "/completion",
            completion::llama_body(endpoint, model, request, facts)?,
        ),
        (Prompt::Text { .. }, _) => (
            Page::Completions,
            "/completions",
            completion::body(endpoint, model, request)?,
        ),
        (Prompt::Chat { .. }, Protocol::Responses) => (
            Page::Responses,
            "/responses",
            responses::body(endpoint, model, request)?,
        ),
        (Prompt::Chat { .. }, _) => (
            Page::Chat,
            "/chat/completions",
            body::chat(endpoint, model, request)?,
        ),
    })
}

/// A request as it would go over: the path below the endpoint's address, and the body.
pub(super) fn request_body(
    endpoint: &Endpoint,
    facts: Option<&ModelFacts>,
    request: &GenerateRequest,
) -> Result<(&'static str, Value), ProviderError> {
    let (_, path, body) = written(endpoint, &endpoint.model, facts, request)?;
    Ok((path, body))
}

impl Provider for OpenAiProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(self.describe_once())
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(self.generate_once(request, cancel))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(facts::health(self))
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        // Nothing of ours runs there.
        Box::pin(async {})
    }
}

/// The server, as it was started or with this model, takes no tools, in the words of those that say so.
fn takes_no_tools(words: &str) -> bool {
    [
        "does not support tools",
        "requires --jinja",
        "--enable-auto-tool-choice",
        "tools is not supported",
        "tool use is not supported",
    ]
    .iter()
    .any(|said| words.contains(said))
}

/// The model's name is none of the server's.
fn unknown_model(endpoint: &Endpoint, listed: &[String], words: Option<&str>) -> ProviderError {
    let model = &endpoint.model;
    let near = similar_names(model, listed.iter().map(String::as_str));
    let shown = |names: &[String]| {
        let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        quoted.join(", ")
    };
    let offer = match (near.is_empty(), listed.len()) {
        (false, _) => format!("did you mean {}?", shown(&near)),
        (true, 0) => "pull or load it there first".to_owned(),
        (true, count) => {
            let more = if count > 8 { ", …" } else { "" };
            format!("it serves {}{more}", shown(&listed[..count.min(8)]))
        }
    };
    let said = words.map_or_else(String::new, |words| format!(" ({words})"));
    ProviderError::Rejected {
        detail: format!(
            "the server at {} has no model `{model}`{said}; {offer}",
            endpoint.base_url
        ),
    }
}

/// A reply, whole or piece by piece. At the limit what has come is the reply, cut.
async fn read(page: Page, streamed: bool, answer: Answer) -> Result<Gathered, Broken> {
    let media_type = answer.media_type();
    let mut gathered = Gathered::after(answer.retries, answer.waited_ms);
    let whole = match media_type.as_str() {
        "text/event-stream" => false,
        "" => !streamed,
        _ => true,
    };
    if whole {
        let watch = answer.watch();
        let (value, _) = answer.json().await?;
        read_whole(page, &value, &mut gathered)?;
        gathered.total_ms = watch.elapsed_ms();
        return Ok(gathered);
    }
    read_stream(page, answer, &mut gathered).await?;
    Ok(gathered)
}

fn read_whole(page: Page, value: &Value, gathered: &mut Gathered) -> Result<(), Broken> {
    if let Some(error) = gathered::error_of(value) {
        return Err(Broken::Failed(error));
    }
    match page {
        Page::Chat => gathered.chat_whole(value),
        Page::Completions => gathered.completion(value, None),
        Page::LlamaCompletion => gathered.llama_completion(value, None),
        Page::Responses => responses::read_whole(value, gathered),
    }
    .map_err(|shape| {
        bad(&format!(
            "{shape}: {}",
            super::backoff::words_of(&value.to_string())
        ))
    })
}

async fn read_stream(page: Page, answer: Answer, gathered: &mut Gathered) -> Result<(), Broken> {
    use futures::StreamExt as _;

    let mut pieces = answer.events();
    let (mut last_ms, mut is_marked) = (0.0, false);
    while let Some(piece) = pieces.next().await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(Broken::TimeLimit) if gathered.has_begun() => {
                gathered.stop = Some(crate::types::StopReason::TimeLimit);
                gathered.total_ms = last_ms;
                return Ok(());
            }
            Err(broken) => return Err(broken),
        };
        last_ms = piece.at_ms;
        if piece.data.trim() == "[DONE]" {
            is_marked = true;
            break;
        }
        let value: Value = serde_json::from_str(&piece.data).map_err(|error| {
            bad(&format!(
                "an event of the stream is not JSON: {error}; {}",
                super::backoff::words_of(&piece.data)
            ))
        })?;
        if let Some(error) = gathered::error_of(&value) {
            return Err(Broken::Failed(error));
        }
        let at = Some(piece.at_ms);
        match page {
            Page::Chat => gathered.chat_piece(&value, piece.at_ms),
            Page::Completions => gathered.completion(&value, at),
            Page::LlamaCompletion => gathered.llama_completion(&value, at),
            Page::Responses => responses::read_event(&value, gathered, piece.at_ms)?,
        }
        .map_err(|shape| {
            bad(&format!(
                "{shape}: {}",
                super::backoff::words_of(&piece.data)
            ))
        })?;
    }
    gathered.total_ms = last_ms;
    match (gathered.stop, is_marked) {
        (Some(_), _) => Ok(()),
        // All has come, and asking again would give the same.
        (None, true) => Err(bad("the stream says no reason for its end")),
        (None, false) => Err(broken_off("the stream ended before the reply did")),
    }
}
