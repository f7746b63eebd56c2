//! A served model whose server may repeat what it was sent.
//!
//! Data in: requests. Data out: what the provider behind it gives. Invariants: no error holds a key or
//! the value of a header, whatever the server says.

use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use tokio_util::sync::CancellationToken;

use super::Provider;
use crate::types::endpoint::Endpoint;
use crate::types::secret::{Secret, masked};
use crate::types::{GenerateReply, GenerateRequest, ModelFacts, ProviderError};

struct Discreet {
    inner: Arc<dyn Provider>,
    secrets: Vec<Secret>,
}

/// Puts it before a provider whose endpoint is sent secrets.
pub(super) fn discreet(inner: Arc<dyn Provider>, endpoint: &Endpoint) -> Arc<dyn Provider> {
    let secrets: Vec<Secret> = endpoint
        .headers
        .iter()
        .map(|(_, value)| value.clone())
        .collect();
    if secrets.is_empty() {
        return inner;
    }
    Arc::new(Discreet { inner, secrets })
}

impl Discreet {
    fn told(&self, error: ProviderError) -> ProviderError {
        error.map_detail(|detail| masked(&detail, &self.secrets).into_owned())
    }
}

impl Provider for Discreet {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        async {
            self.inner
                .describe()
                .await
                .map_err(|error| self.told(error))
        }
        .boxed()
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        async move {
            let reply = self.inner.generate(request, cancel).await;
            reply.map_err(|error| self.told(error))
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        async { self.inner.health().await.map_err(|error| self.told(error)) }.boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}
