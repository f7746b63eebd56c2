//! Tool hosts: where calls go. Mocks answer in process; real MCP servers run as children.
//!
//! Data in: tool calls (own names). Data out: results, and the host's state where it has one.
//! Invariants: knows only `types`; a host's failure carries a code of class `tool`, a tool that
//! answers with an error is a result.

pub mod mcp;
pub mod mock;
mod repository;
pub mod sandbox;
mod sandbox_hold;
pub mod server;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::types::{Code, ToolCall, ToolDefinition, ToolResult};

/// Opens one session per trial (or hands out a shared one, if read-only).
pub trait ToolHost: Send + Sync {
    /// A short name for messages: `mock weather`, `mcp filesystem`.
    fn name(&self) -> &str;

    /// The tools, in the order offered. Contacts the server on first use.
    fn list(&self) -> BoxFuture<'_, Result<Vec<ToolDefinition>, ToolHostError>>;

    /// A session for one trial. `state_patch` is merged into a mock's initial state (RFC 7396).
    fn open<'a>(
        &'a self,
        state_patch: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Box<dyn ToolSession>, ToolHostError>>;

    /// Ends servers. Idempotent.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// One trial's view of a host.
pub trait ToolSession: Send {
    /// Runs one call.
    fn call<'a>(
        &'a mut self,
        call: &'a ToolCall,
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>>;

    /// The state now, for hosts that have one.
    fn state(&self) -> Option<Value>;
}

/// The host failed; nobody else did.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ToolHostError {
    /// `tool_error_env`, `tool_timeout` or `mcp_protocol_error`.
    pub code: Code,
    /// What happened, with the server's last words where there are any.
    pub message: String,
}
