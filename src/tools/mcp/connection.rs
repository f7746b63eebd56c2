//! One connection to one running server: handshake, list of tools, calls.
//!
//! Data in: settings, calls. Data out: raw answers, or a host error that names the fault and the
//! server's last words. Invariants: every wait is bounded; a fault on the wire is reported as
//! `mcp_protocol_error` with the offending line; a connection that was given up is stale.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rmcp::ServiceExt as _;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientCapabilities, ClientConfig, ClientRequest,
    Implementation, ListToolsRequest, NumberOrString, PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::ClientCacheConfig;
use rmcp::service::{PeerRequestOptions, RoleClient, RunningService, ServiceError};
use serde_json::{Map, Value};

use super::process::{ClientStream, Process};
use super::settings::McpSettings;
use super::wire::{Fault, FaultKind, Wire};
use crate::tools::ToolHostError;
use crate::types::Code;

/// Pages of a list of tools that are followed.
const PAGES: usize = 100;
/// How long a process that closed its output may take to say how it ended.
const EXIT_LIMIT: Duration = Duration::from_millis(300);
/// How long the goodbye may take before the process group is ended.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// A server that has shaken hands.
pub(super) struct Connection {
    name: String,
    service: tokio::sync::Mutex<Option<RunningService<RoleClient, ClientConfig>>>,
    peer: rmcp::service::Peer<RoleClient>,
    process: tokio::sync::Mutex<Process>,
    wire: Arc<Wire>,
    is_stale: AtomicBool,
    call_limit: Duration,
    fault_grace: Duration,
    /// Every tool as the server wrote it.
    pub(super) raw_tools: Vec<Value>,
}

impl Connection {
    /// Starts the server, shakes hands and lists its tools, all within the start limit.
    pub(super) async fn start(settings: &McpSettings) -> Result<Self, ToolHostError> {
        let wire = Arc::new(Wire::default());
        let (mut process, stream) =
            Process::start(settings, &wire).map_err(|error| ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!(
                    "{}: cannot start {}: {error}",
                    settings.name,
                    settings.program.display()
                ),
            })?;
        let started = tokio::time::timeout(
            settings.start_limit,
            Self::shake_hands(settings, &wire, stream),
        )
        .await;
        let failure = match started {
            Ok(Ok((service, raw_tools))) => {
                return Ok(Self {
                    name: settings.name.clone(),
                    peer: service.peer().clone(),
                    service: tokio::sync::Mutex::new(Some(service)),
                    process: tokio::sync::Mutex::new(process),
                    wire,
                    is_stale: AtomicBool::new(false),
                    call_limit: settings.call_limit,
                    fault_grace: settings.fault_grace,
                    raw_tools,
                });
            }
            Ok(Err(failure)) => failure,
            Err(_) => wire.last_lost().map_or(Failure::Late, Failure::Fault),
        };
        let limit = settings.start_limit;
        Err(describe(&settings.name, "start", failure, limit, &mut process).await)
    }

    async fn shake_hands(
        settings: &McpSettings,
        wire: &Arc<Wire>,
        stream: ClientStream,
    ) -> Result<(RunningService<RoleClient, ClientConfig>, Vec<Value>), Failure> {
        let identity = Implementation::new("toolbench", env!("CARGO_PKG_VERSION"));
        let mut info = ClientConfig::new(ClientCapabilities::default(), identity);
        info.protocol_version = ProtocolVersion::LATEST_WITH_INITIALIZE;
        let service = tokio::select! {
            biased;
            fault = wire.failure() => return Err(Failure::Fault(fault)),
            served = info.serve(stream) => served.map_err(|error| Failure::Words(error.to_string()))?,
        };
        service
            .peer()
            .set_response_cache_config(ClientCacheConfig::disabled())
            .await;
        check_version(wire)?;
        let raw_tools = list_tools(service.peer(), wire, settings.start_limit).await?;
        Ok((service, raw_tools))
    }

    /// Calls a tool; the whole raw answer.
    pub(super) async fn call(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Value, ToolHostError> {
        let parameters =
            CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        let request = ClientRequest::CallToolRequest(CallToolRequest::new(parameters));
        let asked = ask(&self.peer, &self.wire, request, self.fault_grace);
        let failure = match tokio::time::timeout(self.call_limit, asked).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => {
                self.is_stale.store(true, Ordering::Relaxed);
                Failure::Late
            }
        };
        Err(self.error(&format!("`{tool}`"), failure).await)
    }

    /// A result that does not have the shape of a tool's result.
    pub(super) async fn bad_result(&self, tool: &str, answer: &Value) -> ToolHostError {
        let fault = Fault::new(FaultKind::BadResult, &answer.to_string());
        self.error(&format!("`{tool}`"), Failure::Fault(fault))
            .await
    }

    /// A JSON-RPC error that says that the server itself failed.
    pub(super) async fn server_error(&self, tool: &str, words: String) -> ToolHostError {
        let mut error = self
            .error(&format!("`{tool}`"), Failure::Words(words))
            .await;
        error.code = Code::ToolErrorEnv;
        error
    }

    async fn error(&self, doing: &str, failure: Failure) -> ToolHostError {
        let mut process = self.process.lock().await;
        describe(&self.name, doing, failure, self.call_limit, &mut process).await
    }

    /// Whether the next trial needs a new server: this one ended, or did not answer in time.
    pub(super) fn is_over(&self) -> bool {
        self.wire.is_closed()
            || self.peer.is_transport_closed()
            || self.is_stale.load(Ordering::Relaxed)
    }

    /// Protocol faults so far, also those that hurt no call.
    pub(super) fn faults(&self) -> Vec<Fault> {
        self.wire.faults()
    }

    /// Name and version that the server gives of itself.
    pub(super) fn identity(&self) -> Option<String> {
        let info = self.peer.peer_info()?;
        let server = info.server_info.as_ref()?;
        Some(format!("{} {}", server.name, server.version))
    }

    /// Id of the server's process.
    pub(super) async fn process_id(&self) -> Option<u32> {
        self.process.lock().await.id()
    }

    /// Says goodbye, then ends the whole process group.
    pub(super) async fn close(&self) {
        let service = self.service.lock().await.take();
        if let Some(mut service) = service {
            let _ = service.close_with_timeout(CLOSE_LIMIT).await;
        }
        let mut process = self.process.lock().await;
        process.exit(CLOSE_LIMIT).await;
        process.kill();
        process.exit(CLOSE_LIMIT).await;
    }
}

/// Why no usable answer came.
enum Failure {
    Fault(Fault),
    Late,
    Words(String),
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::TransportClosed | ServiceError::TransportSend(_) => {
                Self::Fault(Fault::new(FaultKind::Closed, ""))
            }
            other => Self::Words(other.to_string()),
        }
    }
}

async fn describe(
    name: &str,
    doing: &str,
    failure: Failure,
    limit: Duration,
    process: &mut Process,
) -> ToolHostError {
    let (code, mut message) = match failure {
        Failure::Late => (
            Code::ToolTimeout,
            format!(
                "{name}: {doing}: no answer within {} s",
                limit.as_secs_f64()
            ),
        ),
        Failure::Fault(fault) => {
            let mut words = format!("{name}: {doing}: the server {fault}");
            if fault.kind == FaultKind::Closed
                && let Some(status) = process.exit(EXIT_LIMIT).await
            {
                let _ = write!(words, " and ended ({status})");
            }
            (Code::McpProtocolError, words)
        }
        Failure::Words(words) => (Code::McpProtocolError, format!("{name}: {doing}: {words}")),
    };
    message.push_str(&process.last_words());
    ToolHostError { code, message }
}

/// Sends a request through rmcp and takes its answer from the wire.
async fn ask(
    peer: &rmcp::service::Peer<RoleClient>,
    wire: &Wire,
    request: ClientRequest,
    grace: Duration,
) -> Result<Value, Failure> {
    if wire.is_closed() {
        return Err(Failure::Fault(Fault::new(FaultKind::Closed, "")));
    }
    let lost_before = wire.lost_count();
    let handle = peer
        .send_request_with_option(request, PeerRequestOptions::no_options())
        .await?;
    let id = match &handle.id {
        NumberOrString::Number(number) => *number,
        NumberOrString::String(text) => text.parse().unwrap_or(-1),
    };
    let mut pending = Pending {
        wire,
        handle: Some(handle),
        id,
    };
    let answer = wire.response(id, lost_before, grace).await;
    pending.handle = None;
    answer.map_err(Failure::Fault)
}

/// A request in flight; given up when dropped, so that a late answer is no fault and the server
/// hears of it.
struct Pending<'a> {
    wire: &'a Wire,
    handle: Option<rmcp::service::RequestHandle<RoleClient>>,
    id: i64,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else {
            return;
        };
        self.wire.abandon(self.id);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = handle.cancel(Some("time limit".to_owned())).await;
            });
        }
    }
}

fn check_version(wire: &Wire) -> Result<(), Failure> {
    let answer = wire.handshake().unwrap_or_default();
    let spoken = answer["result"]["protocolVersion"]
        .as_str()
        .unwrap_or_default();
    let is_known = ProtocolVersion::KNOWN_VERSIONS
        .iter()
        .any(|known| known.as_str() == spoken);
    if is_known {
        Ok(())
    } else {
        let fault = Fault::new(FaultKind::UnknownVersion, &answer.to_string());
        Err(Failure::Fault(fault))
    }
}

async fn list_tools(
    peer: &rmcp::service::Peer<RoleClient>,
    wire: &Wire,
    grace: Duration,
) -> Result<Vec<Value>, Failure> {
    let mut tools = Vec::new();
    let mut cursor: Option<String> = None;
    for _ in 0..PAGES {
        let page = PaginatedRequestParams::default().with_cursor(cursor);
        let request = ClientRequest::ListToolsRequest(ListToolsRequest::with_param(page));
        let answer = ask(peer, wire, request, grace).await?;
        if let Some(error) = answer.get("error") {
            return Err(Failure::Words(format!("tools/list failed: {error}")));
        }
        let result = &answer["result"];
        let Some(listed) = result["tools"].as_array() else {
            let fault = Fault::new(FaultKind::BadResult, &answer.to_string());
            return Err(Failure::Fault(fault));
        };
        tools.extend(listed.iter().cloned());
        cursor = result["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    Err(Failure::Words(format!(
        "the list of tools is over {PAGES} pages"
    )))
}
