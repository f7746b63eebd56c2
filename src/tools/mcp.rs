//! Real tool servers, over any transport.
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

mod asking;
mod client;
mod connection;
mod grpc;
mod headers;
mod http;
mod lines;
pub mod listed;
mod listening;
mod process;
mod result;
pub mod settings;
mod websocket;
mod wire;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use serde_json::Value;
use tokio::sync::{Mutex, OwnedMutexGuard};

pub(in crate::tools) use self::connection::Connection;
use self::headers::unsound_header;
pub(in crate::tools) use self::result::{read_tool, refusal};
pub use self::settings::{
    Allowed, ArgumentPolicy, Endpoint, Launch, McpSettings, Reach, Safety, allowed_environment,
};
pub use self::wire::{Fault, FaultKind};
use super::drift::drift;
use super::guard::{is_read_only, may_write, refused_arguments, refused_tool};
use super::link::{About, Link, start};
use super::sandbox::{Sandbox, SandboxError};
use super::sandbox_hold::HeldSandbox;
use super::{HostFacts, ListedTool, ToolHost, ToolHostError, ToolSession};
use crate::clock::Stopwatch;
use crate::types::host::{ElicitationAnswer, HostNote, HostNoteKind, Protocol};
use crate::types::{Code, ToolCall, ToolDefinition, ToolResult};

/// A real tool server.
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
    link: Option<Arc<dyn Link>>,
    tools: Option<Arc<Tools>>,
}

/// The server's tools and which of them may be called.
struct Tools {
    all: Vec<ListedTool>,
    is_read_only: bool,
    about: About,
}

impl Tools {
    fn read(settings: &McpSettings, link: &dyn Link) -> Result<Self, ToolHostError> {
        let all: Vec<ListedTool> = link
            .raw_tools()
            .iter()
            .filter_map(|raw| {
                let definition = read_tool(raw)?;
                let refused = refused_tool(&settings.safety, &definition).or_else(|| {
                    let has_headers = matches!(settings.reach, Reach::Http(_))
                        && settings.protocol != Protocol::V2025_11_25;
                    has_headers
                        .then(|| unsound_header(&definition.input_schema))
                        .flatten()
                });
                Some(ListedTool {
                    refused,
                    raw: raw.clone(),
                    definition,
                })
            })
            .collect();
        let names = || all.iter().map(|tool| tool.definition.name.as_str());
        if let Allowed::Only(wanted) = &settings.safety.allowed
            && let Some(absent) = wanted
                .iter()
                .find(|wanted| !names().any(|name| name == *wanted))
        {
            return Err(ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!(
                    "{}: the server has no tool `{absent}`; it has {}",
                    settings.name,
                    if all.is_empty() {
                        "none".to_owned()
                    } else {
                        names().collect::<Vec<_>>().join(", ")
                    }
                ),
            });
        }
        let mut callable = all.iter().filter(|tool| tool.refused.is_none());
        Ok(Self {
            is_read_only: !callable.any(|tool| may_write(&tool.definition)),
            about: link.about(),
            all,
        })
    }

    fn find(&self, name: &str) -> Option<&ListedTool> {
        self.all.iter().find(|tool| tool.definition.name == name)
    }

    fn only_reads(&self, name: &str) -> bool {
        self.find(name)
            .is_some_and(|tool| is_read_only(&tool.definition))
    }

    fn offered(&self) -> Vec<ToolDefinition> {
        self.all
            .iter()
            .filter(|tool| tool.refused.is_none())
            .map(|tool| tool.definition.clone())
            .collect()
    }

    /// How a later list of the same server differs.
    fn changes(&self, later: &[Value]) -> Vec<String> {
        let first: Vec<ToolDefinition> = self
            .all
            .iter()
            .map(|tool| tool.definition.clone())
            .collect();
        let later: Vec<ToolDefinition> = later.iter().filter_map(read_tool).collect();
        drift(&first, &later)
    }
}

impl McpHost {
    /// A host for the server that `settings` describe. Nothing is started yet.
    pub fn new(settings: McpSettings) -> Self {
        let kind = match settings.reach {
            Reach::Rest(_) => "rest",
            Reach::OpenApi(_) => "openapi",
            _ => "mcp",
        };
        Self {
            inner: Arc::new(Inner {
                name: format!("{kind} {}", settings.name),
                settings,
                state: Mutex::default(),
                sandbox: Mutex::default(),
                exclusive: Arc::default(),
            }),
        }
    }
}

/// A link for one session and what goes with it.
struct Opened {
    link: Arc<dyn Link>,
    /// Keeps other sessions out where that is needed.
    guard: Option<OwnedMutexGuard<()>>,
    notes: Vec<HostNote>,
}

impl Inner {
    /// The running server; started when there is none, restarted once when it has ended.
    async fn connect(
        &self,
        state: &mut State,
        notes: &mut Vec<HostNote>,
    ) -> Result<Arc<dyn Link>, ToolHostError> {
        if let Some(link) = &state.link {
            if !link.is_over() {
                return Ok(Arc::clone(link));
            }
            // What it had to say last belongs to nobody's trial any more.
            notes.push(restarted());
        }
        let ended = state.link.take();
        if let Some(ended) = ended {
            ended.close().await;
        }
        let link = self.start().await?;
        if state.tools.is_none() {
            let tools = Tools::read(&self.settings, link.as_ref())?;
            state.tools = Some(Arc::new(tools));
        }
        state.link = Some(Arc::clone(&link));
        Ok(link)
    }

    async fn start(&self) -> Result<Arc<dyn Link>, ToolHostError> {
        if let Some(sandbox) = &self.settings.sandbox {
            self.lay_out(sandbox).await.map_err(|error| ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!("{}: {error}", self.name),
            })?;
        }
        start(&self.settings).await
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
            self.connect(&mut state, &mut Vec::new()).await?;
        }
        match &state.tools {
            Some(tools) => Ok(Arc::clone(tools)),
            None => Err(ToolHostError {
                code: Code::McpProtocolError,
                message: format!("{}: no tools are listed", self.name),
            }),
        }
    }

    /// A link for one session.
    async fn open(&self, tools: &Tools) -> Result<Opened, ToolHostError> {
        let mut notes = Vec::new();
        if tools.is_read_only {
            let mut state = self.state.lock().await;
            let link = self.connect(&mut state, &mut notes).await?;
            drop(state);
            self.check_list(tools, link.as_ref(), &mut notes).await?;
            return Ok(Opened {
                link,
                guard: None,
                notes,
            });
        }
        let guard = Arc::clone(&self.exclusive).lock_owned().await;
        // One that only listed its tools, or that nobody changed anything on.
        let unchanged = self.state.lock().await.link.take();
        let link = match unchanged {
            Some(link) if !link.is_over() => link,
            ended => {
                if let Some(ended) = ended {
                    notes.push(restarted());
                    ended.close().await;
                }
                self.start().await?
            }
        };
        self.check_list(tools, link.as_ref(), &mut notes).await?;
        Ok(Opened {
            link,
            guard: Some(guard),
            notes,
        })
    }

    /// Prompts are made from the first list; a server that has another one by now cannot be
    /// measured with them.
    async fn check_list(
        &self,
        tools: &Tools,
        link: &dyn Link,
        notes: &mut Vec<HostNote>,
    ) -> Result<(), ToolHostError> {
        let changes = if link.has_new_list() {
            tools.changes(&link.new_list().await?)
        } else {
            tools.changes(link.raw_tools())
        };
        if changes.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "the server changed its list of tools: {}",
            changes.join("; ")
        );
        if self.settings.safety.accept_drift {
            notes.push(note(HostNoteKind::ToolsChanged, detail));
            return Ok(());
        }
        Err(ToolHostError {
            code: Code::ToolErrorEnv,
            message: format!(
                "{}: {detail}; run again to measure the new list, or with `--accept-drift` to go on",
                self.name
            ),
        })
    }
}

fn note(kind: HostNoteKind, detail: impl Into<String>) -> HostNote {
    HostNote {
        kind,
        detail: detail.into(),
    }
}

fn restarted() -> HostNote {
    note(
        HostNoteKind::Restarted,
        "the server had ended, or was given up, and was started or connected to again",
    )
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
            let opened = self.inner.open(&tools).await?;
            let session: Box<dyn ToolSession> = Box::new(McpSession {
                inner: Arc::clone(&self.inner),
                link: opened.link,
                is_unchanged: true,
                tools,
                calls_left: self.inner.settings.safety.calls_budget,
                bytes_left: self.inner.settings.safety.bytes_budget,
                time_left: self.inner.settings.safety.time_budget,
                script: Vec::new(),
                notes: opened.notes,
                guard: opened.guard,
            });
            Ok(session)
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            let link = self.inner.state.lock().await.link.take();
            if let Some(link) = link {
                link.close().await;
            }
        }
        .boxed()
    }

    fn facts(&self) -> BoxFuture<'_, Result<HostFacts, ToolHostError>> {
        async {
            let tools = self.inner.tools().await?;
            let link = self.inner.state.lock().await.link.clone();
            let process_id = match &link {
                Some(link) => link.process_id().await,
                None => None,
            };
            let faults = link.map(|link| link.faults()).unwrap_or_default();
            Ok(HostFacts {
                identity: tools.about.identity.clone(),
                transport: self.inner.settings.reach.transport().to_owned(),
                protocol: tools.about.protocol.clone(),
                instructions: tools.about.instructions.clone(),
                capabilities: tools.about.capabilities.clone(),
                tools: tools.all.clone(),
                faults: faults.iter().map(ToString::to_string).collect(),
                process_id,
            })
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        async {
            let mut state = self.inner.state.lock().await;
            let link = self.inner.connect(&mut state, &mut Vec::new()).await?;
            drop(state);
            link.health().await
        }
        .boxed()
    }

    fn request<'a>(
        &'a self,
        method: &'a str,
        parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>> {
        async move {
            let mut state = self.inner.state.lock().await;
            let link = self.inner.connect(&mut state, &mut Vec::new()).await?;
            drop(state);
            link.request(method, parameters).await
        }
        .boxed()
    }
}

struct McpSession {
    inner: Arc<Inner>,
    link: Arc<dyn Link>,
    /// Nothing but read-only tools was called, and each call came to its end.
    is_unchanged: bool,
    tools: Arc<Tools>,
    calls_left: u64,
    bytes_left: usize,
    time_left: Option<Duration>,
    script: Vec<ElicitationAnswer>,
    notes: Vec<HostNote>,
    /// Dropped after the link, so that the next server starts when this one has ended.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Drop for McpSession {
    fn drop(&mut self) {
        let is_own = self.guard.is_some();
        if is_own && self.is_unchanged && !self.link.is_over()
            // Held by nobody but a host that is closing, which wants no server back.
            && let Ok(mut state) = self.inner.state.try_lock()
        {
            state.link = Some(Arc::clone(&self.link));
        }
    }
}

impl ToolSession for McpSession {
    fn call<'a>(
        &'a mut self,
        call: &'a ToolCall,
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        async move {
            if let Some(reason) = self.refuse(call) {
                let detail = format!("{}: {reason}", call.name);
                self.notes.push(note(HostNoteKind::Refused, detail));
                return Ok(refusal(&reason));
            }
            let Value::Object(arguments) = &call.arguments else {
                return Ok(refusal("invalid request: the arguments are not an object"));
            };
            self.calls_left -= 1;
            if self.inner.settings.safety.dry_run {
                let shown = format!("{} {}", call.name, call.arguments);
                self.notes.push(note(HostNoteKind::DryRun, &shown));
                return Ok(ToolResult::ok(format!("[dry run, not called] {shown}")));
            }
            // A call that is given up half-way leaves nobody knows what.
            let stays_unchanged = self.is_unchanged && self.tools.only_reads(&call.name);
            self.is_unchanged = false;
            let watch = Stopwatch::start();
            let answer = self.link.call(&call.name, arguments, &self.script).await;
            if let Some(left) = &mut self.time_left {
                *left = left.saturating_sub(watch.elapsed());
            }
            let result = answer?;
            self.is_unchanged = stays_unchanged;
            Ok(self.within_budget(result))
        }
        .boxed()
    }

    fn state(&self) -> Option<Value> {
        None
    }

    fn answer_elicitations(&mut self, script: &[ElicitationAnswer]) {
        self.script = script.to_vec();
    }

    fn take_notes(&mut self) -> Vec<HostNote> {
        let mut notes = std::mem::take(&mut self.notes);
        notes.extend(self.link.take_notes());
        notes
    }
}

impl McpSession {
    /// Why a call does not reach the server.
    fn refuse(&self, call: &ToolCall) -> Option<String> {
        match self.tools.find(&call.name) {
            None => return Some(format!("no such tool: {}", call.name)),
            Some(tool) => {
                if let Some(reason) = &tool.refused {
                    return Some(format!("{} is not allowed here: {reason}", call.name));
                }
            }
        }
        let safety = &self.inner.settings.safety;
        if self.calls_left == 0 {
            return Some("refused: the budget of calls is used up".to_owned());
        }
        if self.bytes_left == 0 {
            return Some("refused: the budget of result bytes is used up".to_owned());
        }
        if self.time_left == Some(Duration::ZERO) {
            return Some("refused: the budget of time is used up".to_owned());
        }
        let folder = self.inner.settings.working_directory();
        refused_arguments(&safety.arguments, folder.as_deref(), call)
            .map(|reason| format!("refused: {reason}"))
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
