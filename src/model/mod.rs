//! Model providers: `GenerateRequest` in, `GenerateReply` out.
//!
//! Invariants: knows only `types`; never a dialect, a tool host or a report. A provider's error is
//! never the model's doing; a slow or wrong reply is a reply.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::types::endpoint::{Endpoint, Protocol};
use crate::types::{GenerateReply, GenerateRequest, ModelFacts, ProviderError};

pub mod anthropic;
mod backoff;
pub mod cassette;
pub mod context;
mod discreet;
pub mod engine;
pub mod gemini;
mod hosted;
mod http;
pub mod ollama;
mod openai;
pub mod scripted;
mod throttle;

/// The provider that speaks an endpoint's protocol.
pub fn served(endpoint: Endpoint) -> Result<Arc<dyn Provider>, ProviderError> {
    let known = endpoint.clone();
    let provider: Arc<dyn Provider> = match endpoint.protocol {
        Protocol::ChatCompletions | Protocol::Responses => {
            Arc::new(openai::OpenAiProvider::new(endpoint)?)
        }
        Protocol::Ollama => return served_ollama(endpoint, ollama::OllamaOptions::default()),
        Protocol::Anthropic => Arc::new(anthropic::AnthropicProvider::new(&endpoint)?),
        Protocol::Gemini => Arc::new(gemini::GeminiProvider::new(endpoint)?),
        Protocol::Context => Arc::new(context::ContextProvider::new(endpoint)?),
    };
    Ok(discreet::discreet(provider, &known))
}

/// An Ollama with its own options.
pub fn served_ollama(
    endpoint: Endpoint,
    options: ollama::OllamaOptions,
) -> Result<Arc<dyn Provider>, ProviderError> {
    let known = endpoint.clone();
    let provider = Arc::new(ollama::OllamaProvider::new(endpoint, options)?);
    Ok(discreet::discreet(provider, &known))
}

/// A request as the provider of an endpoint would send it: the path below its address, and the body.
/// `facts` are what is known of the model, for raw text. `None` for protocols whose requests are not
/// written apart from sending them.
pub fn request_body(
    endpoint: &Endpoint,
    facts: Option<&ModelFacts>,
    request: &GenerateRequest,
) -> Option<Result<(&'static str, serde_json::Value), ProviderError>> {
    match endpoint.protocol {
        Protocol::ChatCompletions | Protocol::Responses => {
            Some(openai::request_body(endpoint, facts, request))
        }
        Protocol::Ollama => Some(ollama::request_body(endpoint, request)),
        Protocol::Anthropic | Protocol::Gemini | Protocol::Context => None,
    }
}

/// Whatever generates. Implementations: the engine child, servers, scripted replies.
pub trait Provider: Send + Sync {
    /// Loads or contacts the model and says what it is. Called once, before any request.
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>>;

    /// Answers one request. A reply that ran into its time limit is a reply.
    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>>;

    /// Whether it would answer now; asked before each cell. Cheap.
    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async { self.describe().await.map(|_| ()) })
    }

    /// Ends what `describe` started. Idempotent.
    fn close(&self) -> BoxFuture<'_, ()>;
}
