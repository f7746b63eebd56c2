//! Real MCP servers over stdio.
//!
//! Data in: settings, then calls. Data out: results, normalised over the styles of servers.
//! Invariants: safe by default (only tools that are read-only by annotation or allowed by name
//! reach the server); calls, bytes and time are bounded; no process outlives its host; a faulty
//! server gives an error that shows the offending line, never silence. One current-thread runtime
//! keeps messages in order.
//!
//! A server all of whose callable tools are read-only is shared by all sessions and restarted once
//! when it has ended. Otherwise every session gets its own server and a fresh sandbox, one at a
//! time; the one after a session that called nothing but read-only tools takes over that server.

mod connection;
pub mod listed;
mod process;
mod result;
pub mod settings;
mod wire;

use std::fmt::Write as _;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

use self::connection::Connection;
use self::result::{Answer, read_answer, read_tool, refusal};
pub use self::settings::{Allowed, McpSettings, allowed_environment};
pub use self::wire::{Fault, FaultKind};
use super::sandbox::{Sandbox, SandboxError};
use super::sandbox_hold::HeldSandbox;
use super::{ToolHost, ToolHostError, ToolSession};
use crate::types::{Code, ToolCall, ToolDefinition, ToolResult};

/// A real MCP server.
pub struct McpHost {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    settings: McpSettings,
    state: Mutex<State>,
    /// The sandbox, from the first server's start on.
    sandbox: Mutex<Option<HeldSandbox>>,
    /// Held by the one session of a server that is not read-only.
    exclusive: Arc<Mutex<()>>,
}

#[derive(Default)]
struct State {
    connection: Option<Arc<Connection>>,
    tools: Option<Arc<Tools>>,
}

/// The server's tools and which of them may be called.
#[derive(Debug)]
struct Tools {
    raw: Vec<Value>,
    all: Vec<ToolDefinition>,
    callable: Vec<String>,
    is_read_only: bool,
}

impl Tools {
    fn read(settings: &McpSettings, raw: &[Value]) -> Result<Self, ToolHostError> {
        let all: Vec<ToolDefinition> = raw.iter().filter_map(read_tool).collect();
        let names = || all.iter().map(|tool| tool.name.as_str());
        if let Allowed::Only(wanted) = &settings.allowed
            && let Some(absent) = wanted
                .iter()
                .find(|wanted| !names().any(|name| name == *wanted))
        {
            return Err(ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!(
                    "{}: the server has no tool `{absent}`; it has {}",
                    settings.name,
                    names().collect::<Vec<_>>().join(", ")
                ),
            });
        }
        let callable: Vec<&ToolDefinition> = all
            .iter()
            .filter(|tool| match &settings.allowed {
                Allowed::ReadOnly => is_read_only(tool),
                Allowed::ReadOnlyAnd(also) => is_read_only(tool) || also.contains(&tool.name),
                Allowed::Only(these) => these.contains(&tool.name),
            })
            .collect();
        Ok(Self {
            raw: raw.to_vec(),
            is_read_only: !callable.iter().any(|tool| may_write(tool)),
            callable: callable.iter().map(|tool| tool.name.clone()).collect(),
            all,
        })
    }

    fn only_reads(&self, name: &str) -> bool {
        self.all
            .iter()
            .any(|tool| tool.name == name && is_read_only(tool))
    }

    fn offered(&self) -> Vec<ToolDefinition> {
        self.all
            .iter()
            .filter(|tool| self.callable.contains(&tool.name))
            .cloned()
            .collect()
    }
}

fn is_read_only(tool: &ToolDefinition) -> bool {
    tool.annotations
        .as_ref()
        .and_then(|hints| hints.read_only_hint)
        == Some(true)
}

/// The server itself says that the tool changes things. Without any hint a tool allowed by name
/// is taken for what the suite uses it as.
fn may_write(tool: &ToolDefinition) -> bool {
    tool.annotations.as_ref().is_some_and(|hints| {
        hints.read_only_hint == Some(false)
            || (hints.read_only_hint.is_none() && hints.destructive_hint == Some(true))
    })
}

impl McpHost {
    /// A host for the server that `settings` describe. Nothing is started yet.
    pub fn new(settings: McpSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                name: format!("mcp {}", settings.name),
                settings,
                state: Mutex::default(),
                sandbox: Mutex::default(),
                exclusive: Arc::default(),
            }),
        }
    }

    /// Every tool of the server, and whether it may be called.
    pub async fn all_tools(&self) -> Result<Vec<(ToolDefinition, bool)>, ToolHostError> {
        let tools = self.inner.tools().await?;
        let callable = |tool: &ToolDefinition| tools.callable.contains(&tool.name);
        Ok(tools
            .all
            .iter()
            .map(|tool| (tool.clone(), callable(tool)))
            .collect())
    }

    /// Name and version that the server gives of itself.
    pub async fn identity(&self) -> Option<String> {
        self.inner.tools().await.ok()?;
        let connection = self.inner.state.lock().await.connection.clone()?;
        connection.identity()
    }

    /// Every tool exactly as the server wrote it.
    pub async fn raw_tools(&self) -> Result<Vec<Value>, ToolHostError> {
        Ok(self.inner.tools().await?.raw.clone())
    }

    /// Protocol faults of the running server, also those that hurt no call.
    pub async fn faults(&self) -> Vec<Fault> {
        let state = self.inner.state.lock().await;
        state
            .connection
            .as_ref()
            .map(|connection| connection.faults())
            .unwrap_or_default()
    }

    /// Id of the shared server's process, while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        let connection = self.inner.state.lock().await.connection.clone()?;
        connection.process_id().await
    }
}

impl Inner {
    /// The running server; started when there is none, restarted once when it has ended.
    async fn connect(&self, state: &mut State) -> Result<Arc<Connection>, ToolHostError> {
        if let Some(connection) = &state.connection
            && !connection.is_over()
        {
            return Ok(Arc::clone(connection));
        }
        state.connection = None;
        let connection = Arc::new(self.start().await?);
        if state.tools.is_none() {
            let tools = Tools::read(&self.settings, &connection.raw_tools)?;
            state.tools = Some(Arc::new(tools));
        }
        state.connection = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn start(&self) -> Result<Connection, ToolHostError> {
        if let Some(sandbox) = &self.settings.sandbox {
            self.lay_out(sandbox).await.map_err(|error| ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!("{}: {error}", self.name),
            })?;
        }
        Connection::start(&self.settings).await
    }

    async fn lay_out(&self, sandbox: &Sandbox) -> Result<(), SandboxError> {
        let mut held = self.sandbox.lock().await;
        if let Some(held) = &*held {
            return held.renew();
        }
        *held = Some(HeldSandbox::take(sandbox).await?);
        Ok(())
    }

    async fn tools(&self) -> Result<Arc<Tools>, ToolHostError> {
        let mut state = self.state.lock().await;
        if state.tools.is_none() {
            self.connect(&mut state).await?;
        }
        match &state.tools {
            Some(tools) => Ok(Arc::clone(tools)),
            None => Err(ToolHostError {
                code: Code::McpProtocolError,
                message: format!("{}: no tools are listed", self.name),
            }),
        }
    }

    /// A connection for one session, and the guard that keeps others out where that is needed.
    async fn open(
        &self,
        tools: &Tools,
    ) -> Result<(Arc<Connection>, Option<OwnedMutexGuard<()>>), ToolHostError> {
        if tools.is_read_only {
            let mut state = self.state.lock().await;
            return Ok((self.connect(&mut state).await?, None));
        }
        let guard = Arc::clone(&self.exclusive).lock_owned().await;
        // One that only listed its tools, or that nobody changed anything on.
        let unchanged = self.state.lock().await.connection.take();
        if let Some(connection) = unchanged {
            if !connection.is_over() {
                return Ok((connection, Some(guard)));
            }
            connection.close().await;
        }
        Ok((Arc::new(self.start().await?), Some(guard)))
    }
}

impl ToolHost for McpHost {
    fn name(&self) -> &str {
        &self.inner.name
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ToolDefinition>, ToolHostError>> {
        async { Ok(self.inner.tools().await?.offered()) }.boxed()
    }

    fn open<'a>(
        &'a self,
        state_patch: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Box<dyn ToolSession>, ToolHostError>> {
        async move {
            if state_patch.is_some() {
                return Err(ToolHostError {
                    code: Code::ToolErrorEnv,
                    message: format!("{}: a real server takes no `state`", self.inner.name),
                });
            }
            let tools = self.inner.tools().await?;
            let (connection, guard) = self.inner.open(&tools).await?;
            let session: Box<dyn ToolSession> = Box::new(McpSession {
                inner: Arc::clone(&self.inner),
                connection,
                is_unchanged: true,
                tools,
                calls_left: self.inner.settings.calls_budget,
                bytes_left: self.inner.settings.bytes_budget,
                guard,
            });
            Ok(session)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let connection = self.inner.state.lock().await.connection.take();
            if let Some(connection) = connection {
                connection.close().await;
            }
        }
        .boxed()
    }
}

struct McpSession {
    inner: Arc<Inner>,
    connection: Arc<Connection>,
    /// Nothing but read-only tools was called, and each call came to its end.
    is_unchanged: bool,
    tools: Arc<Tools>,
    calls_left: u64,
    bytes_left: usize,
    /// Dropped after the connection, so that the next server starts when this one has ended.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for McpSession {
    fn drop(&mut self) {
        let is_own = self.guard.is_some();
        if is_own && self.is_unchanged && !self.connection.is_over()
            // Held by nobody but a host that is closing, which wants no server back.
            && let Ok(mut state) = self.inner.state.try_lock()
        {
            state.connection = Some(Arc::clone(&self.connection));
        }
    }
}

impl ToolSession for McpSession {
    fn call<'a>(
        &'a mut self,
        call: &'a ToolCall,
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        async move {
            if let Some(refused) = self.refuse(call) {
                return Ok(refused);
            }
            let Value::Object(arguments) = &call.arguments else {
                return Ok(refusal("invalid request: the arguments are not an object"));
            };
            self.calls_left -= 1;
            // A call that is given up half-way leaves nobody knows what.
            let stays_unchanged = self.is_unchanged && self.tools.only_reads(&call.name);
            self.is_unchanged = false;
            let answer = self.connection.call(&call.name, arguments).await?;
            self.is_unchanged = stays_unchanged;
            match read_answer(&answer) {
                Answer::Result(result) => Ok(self.within_budget(result)),
                Answer::ServerError(words) => {
                    Err(self.connection.server_error(&call.name, words).await)
                }
                Answer::BadShape => Err(self.connection.bad_result(&call.name, &answer).await),
            }
        }
        .boxed()
    }

    fn state(&self) -> Option<Value> {
        None
    }
}

impl McpSession {
    /// Calls that never reach the server.
    fn refuse(&self, call: &ToolCall) -> Option<ToolResult> {
        if !self.tools.callable.contains(&call.name) {
            let exists = self.tools.all.iter().any(|tool| tool.name == call.name);
            let reason = if exists {
                format!(
                    "{} is not allowed here: it is not read-only and not in the list of allowed tools",
                    call.name
                )
            } else {
                format!("no such tool: {}", call.name)
            };
            return Some(refusal(&reason));
        }
        if self.calls_left == 0 {
            return Some(refusal("refused: the budget of calls is used up"));
        }
        if self.bytes_left == 0 {
            return Some(refusal("refused: the budget of result bytes is used up"));
        }
        None
    }

    fn within_budget(&mut self, mut result: ToolResult) -> ToolResult {
        let total = result.content.len();
        if total > self.bytes_left {
            let mut end = self.bytes_left;
            while !result.content.is_char_boundary(end) {
                end -= 1;
            }
            result.content.truncate(end);
            let _ = write!(result.content, "\n[cut off: {total} bytes in all]");
            result.structured = None;
        }
        self.bytes_left = self.bytes_left.saturating_sub(total);
        result
    }
}

#[cfg(test)]
mod tests;
