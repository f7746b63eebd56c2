//! Tool hosts: where calls go. Mocks answer in process; real servers run as children or elsewhere.
//!
//! Data in: tool calls (own names). Data out: results, and the host's state where it has one.
//! Invariants: knows only `types`; a host's failure carries a code of class `tool`, a tool that
//! answers with an error is a result.

pub mod connect;
pub mod drift;
pub mod grpc;
mod guard;
mod http;
mod joined;
mod link;
pub mod mcp;
pub mod mock;
mod openapi;
mod repository;
mod rest;
pub mod sandbox;
mod sandbox_hold;
pub mod server;
mod service;

use futures::future::BoxFuture;
use serde_json::Value;

use crate::types::host::{ElicitationAnswer, HostNote};
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

    /// All that is known of the server, also tools that are not offered. Contacts the server on
    /// first use.
    fn facts(&self) -> BoxFuture<'_, Result<HostFacts, ToolHostError>> {
        Box::pin(async {
            let tools = self.list().await?.into_iter().map(ListedTool::callable);
            Ok(HostFacts {
                transport: "in process".to_owned(),
                tools: tools.collect(),
                ..HostFacts::default()
            })
        })
    }

    /// Whether the server answers now.
    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        Box::pin(async { self.list().await.map(drop) })
    }

    /// A request beyond tools, such as `resources/read` or `prompts/get`; gives its `result`.
    /// Lists are one page: `nextCursor` is the caller's.
    fn request<'a>(
        &'a self,
        method: &'a str,
        parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>> {
        let _ = parameters;
        Box::pin(async move { Err(ToolHostError::unsupported(self.name(), method)) })
    }
}

/// What is known of a server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostFacts {
    /// Name and version that it gives of itself.
    pub identity: Option<String>,
    /// The transport in one word.
    pub transport: String,
    /// The version of MCP in force.
    pub protocol: Option<String>,
    /// What it tells models about itself.
    pub instructions: Option<String>,
    /// What it says it can do, as it wrote it.
    pub capabilities: Value,
    /// Every tool.
    pub tools: Vec<ListedTool>,
    /// Breaches of the protocol so far, also those that hurt no call.
    pub faults: Vec<String>,
    /// Id of its process, where it is a child.
    pub process_id: Option<u32>,
}

/// A tool of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedTool {
    /// In our terms.
    pub definition: ToolDefinition,
    /// Exactly as the server wrote it.
    pub raw: Value,
    /// Why it may not be called; `None` when it may.
    pub refused: Option<String>,
}

impl ListedTool {
    /// A tool that may be called, known by its definition alone.
    pub fn callable(definition: ToolDefinition) -> Self {
        Self {
            raw: serde_json::to_value(&definition).unwrap_or_default(),
            definition,
            refused: None,
        }
    }
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

    /// What to answer when the server asks back; without it, and where nothing fits, the question
    /// is declined.
    fn answer_elicitations(&mut self, script: &[ElicitationAnswer]) {
        let _ = script;
    }

    /// What happened since it was last asked that is no result: restarts, refusals, and the like.
    fn take_notes(&mut self) -> Vec<HostNote> {
        Vec::new()
    }
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

impl ToolHostError {
    /// The host knows no such request.
    pub(crate) fn unsupported(name: &str, method: &str) -> Self {
        Self {
            code: Code::ToolErrorEnv,
            message: format!("{name}: `{method}` is not supported there"),
        }
    }
}
