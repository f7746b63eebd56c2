//! Model providers: `GenerateRequest` in, `GenerateReply` out.
//!
//! Invariants: knows only `types`; never a dialect, a tool host or a report. A provider's error is
//! never the model's doing; a slow or wrong reply is a reply.

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::types::{GenerateReply, GenerateRequest, ModelFacts, ProviderError};

pub mod anthropic;
pub mod cassette;
pub mod context;
pub mod engine;
pub mod gemini;
mod http;
pub mod ollama;
pub mod scripted;
mod served;

/// Whatever generates. Implementations: the engine child, scripted replies.
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
