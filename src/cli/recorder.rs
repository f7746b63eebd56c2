//! Calls on a server whose answers are kept: for drafted suites and recorded mocks.
//!
//! Data in: calls. Data out: results without the server's secrets. Invariants: calls share one
//! session until it fails or a new one is asked for.

use serde_json::Value;

use super::host_args::OpenedHost;
use crate::tools::{ToolHostError, ToolSession};
use crate::types::{ToolCall, ToolResult};

/// One host and the session on it.
pub(super) struct Recorder<'a> {
    opened: &'a OpenedHost,
    session: Option<Box<dyn ToolSession>>,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(opened: &'a OpenedHost) -> Self {
        Self {
            opened,
            session: None,
        }
    }

    /// The next call gets a session of its own, and with it the server's first state.
    pub(super) fn begin_anew(&mut self) {
        self.session = None;
    }

    /// Makes a call.
    pub(super) async fn call(&mut self, call: &ToolCall) -> Result<ToolResult, ToolHostError> {
        match self.try_call(call).await {
            Ok(mut result) => {
                result.content = self.opened.without_secrets(&result.content);
                result.structured = result.structured.map(|value| self.hidden(&value));
                Ok(result)
            }
            Err(mut error) => {
                // The next call gets a new session, and with it a new server if need be.
                self.session = None;
                error.message = self.opened.without_secrets(&error.message);
                Err(error)
            }
        }
    }

    async fn try_call(&mut self, call: &ToolCall) -> Result<ToolResult, ToolHostError> {
        let session = match self.session.take() {
            Some(session) => session,
            None => self.opened.host.open(None).await?,
        };
        self.session.insert(session).call(call).await
    }

    fn hidden(&self, value: &Value) -> Value {
        let text = self.opened.without_secrets(&value.to_string());
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }
}
