//! One connection to one running server: handshake, list of tools, calls.
//!
//! Data in: settings, calls. Data out: raw answers, or a host error that names the fault and the
//! server's last words. Invariants: every wait is bounded; a fault on the wire is reported as
//! `mcp_protocol_error` with the offending line; a connection that was given up is stale.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use rmcp::ClientServiceExt as _;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, CustomRequest, ProtocolVersion,
};
use rmcp::service::{ClientCacheConfig, ClientLifecycleMode, Peer, RoleClient, RunningService};
use serde_json::{Map, Value};

use super::asking::{Failure, ask, check_version, list_tools};
use super::client::{Client, Questions};
use super::http::HttpTransport;
use super::lines::{ClientStream, Frames};
use super::listening::Listening;
use super::process::Process;
use super::result::{Answer, Outputs, read_answer};
use super::settings::{McpSettings, Reach};
use super::wire::{Fault, FaultKind, Wire};
use super::{grpc, http, websocket};
use crate::tools::ToolHostError;
use crate::tools::link::{About, Link};
use crate::types::host::{ElicitationAnswer, HostNote, HostNoteKind, Protocol};
use crate::types::secret::{Secret, masked};
use crate::types::{Code, ToolResult};

/// Rounds in which a server may ask for input before it gives a result.
const INPUT_ROUNDS: usize = 10;
/// A call that shows progress may take so many times the limit of one that does not.
const PROGRESS_LIMITS: usize = 10;
/// How long a process that closed its output may take to say how it ended.
const EXIT_LIMIT: Duration = Duration::from_millis(300);
/// How long the goodbye may take before the process group is ended.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);

/// What carries the messages, kept until the end.
enum Carrier {
    Process(Box<Process>),
    Frames(#[expect(dead_code, reason = "kept for its end")] Frames),
    /// The SDK's own transport holds everything.
    Http,
}

impl Carrier {
    /// What the other side said last, for messages.
    fn last_words(&self) -> String {
        match self {
            Self::Process(process) => process.last_words(),
            Self::Frames(_) | Self::Http => String::new(),
        }
    }

    /// How the process ended, if it ends within `limit`.
    async fn exit(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        match self {
            Self::Process(process) => process.exit(limit).await,
            Self::Frames(_) | Self::Http => None,
        }
    }
}

/// A server that has shaken hands.
pub(in crate::tools) struct Connection {
    name: String,
    service: tokio::sync::Mutex<Option<RunningService<RoleClient, Client>>>,
    peer: Peer<RoleClient>,
    carrier: tokio::sync::Mutex<Carrier>,
    wire: Arc<Wire>,
    questions: Questions,
    /// Held by a call whose case answers questions: a question does not say which call it is of.
    asking: tokio::sync::Mutex<()>,
    is_stale: AtomicBool,
    call_limit: Duration,
    fault_grace: Duration,
    outputs: Outputs,
    notes: Mutex<Vec<HostNote>>,
    /// Every tool as the server wrote it.
    raw_tools: Vec<Value>,
    listening: Mutex<Option<Listening>>,
    secrets: Vec<Secret>,
}

impl Connection {
    /// Starts or reaches the server, shakes hands and lists its tools, all within the start limit.
    pub(in crate::tools) async fn start(settings: &McpSettings) -> Result<Self, ToolHostError> {
        let wire = Arc::new(Wire::default());
        let deadline = tokio::time::sleep(settings.start_limit);
        tokio::pin!(deadline);
        let opened = tokio::select! {
            opened = open(settings, &wire) => opened,
            () = &mut deadline => Err(ToolHostError {
                code: Code::ToolTimeout,
                message: format!("{}: no connection within {} s", settings.name, settings.start_limit.as_secs_f64()),
            }),
        };
        let (mut carrier, stream) = opened?;
        let questions = Questions::default();
        let shaken = tokio::select! {
            shaken = Self::shake_hands(settings, &wire, stream, &questions) => shaken,
            () = &mut deadline => Err(wire.last_lost().map_or(Failure::Late, Failure::Fault)),
        };
        let failure = match shaken {
            Ok((service, raw_tools)) => {
                let (listening, notes) = listen(service.peer(), settings.fault_grace).await;
                return Ok(Self {
                    name: settings.name.clone(),
                    peer: service.peer().clone(),
                    service: tokio::sync::Mutex::new(Some(service)),
                    carrier: tokio::sync::Mutex::new(carrier),
                    wire,
                    questions,
                    asking: tokio::sync::Mutex::default(),
                    is_stale: AtomicBool::new(false),
                    call_limit: settings.call_limit,
                    fault_grace: settings.fault_grace,
                    outputs: Outputs::of(&raw_tools),
                    notes: Mutex::new(notes),
                    raw_tools,
                    listening: Mutex::new(listening),
                    secrets: settings.reach.secrets(),
                });
            }
            Err(failure) => failure,
        };
        let limit = settings.start_limit;
        Err(describe(&settings.name, "start", failure, limit, &mut carrier).await)
    }

    async fn shake_hands(
        settings: &McpSettings,
        wire: &Arc<Wire>,
        stream: Stream,
        questions: &Questions,
    ) -> Result<(RunningService<RoleClient, Client>, Vec<Value>), Failure> {
        let client = Client::new(questions.clone(), ProtocolVersion::LATEST_WITH_INITIALIZE);
        let lifecycle = lifecycle(settings.protocol);
        let serve = async {
            match stream {
                Stream::Lines(lines) => client.serve_with_lifecycle(lines, lifecycle).await,
                Stream::Http(http) => client.serve_with_lifecycle(*http, lifecycle).await,
            }
        };
        let service = tokio::select! {
            biased;
            fault = wire.failure() => return Err(Failure::Fault(fault)),
            served = serve => served.map_err(|error| Failure::Words(error.to_string()))?,
        };
        service
            .peer()
            .set_response_cache_config(ClientCacheConfig::disabled())
            .await;
        check_version(wire)?;
        let raw_tools = list_tools(service.peer(), wire, settings.start_limit).await?;
        Ok((service, raw_tools))
    }

    /// Sends a request and waits for its raw answer, as long as there are signs of progress.
    async fn ask_in_time(
        &self,
        doing: &str,
        request: ClientRequest,
    ) -> Result<Value, ToolHostError> {
        let asked = ask(&self.peer, &self.wire, request, self.fault_grace);
        tokio::pin!(asked);
        let mut seen = self.wire.progress();
        let mut failure = Failure::Late;
        let watched = async {
            tokio::select! {
                answered = &mut asked => answered,
                never = self.watch_process() => never,
            }
        };
        tokio::pin!(watched);
        for _ in 0..PROGRESS_LIMITS {
            match tokio::time::timeout(self.call_limit, &mut watched).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(found)) => {
                    failure = found;
                    break;
                }
                Err(_) if self.wire.progress() > seen => seen = self.wire.progress(),
                Err(_) => break,
            }
        }
        if failure.ends_connection() {
            self.is_stale.store(true, Ordering::Relaxed);
        }
        Err(self.error(doing, failure).await)
    }

    /// Closes the wire when the server's process ends while another one that it has started still
    /// holds its output; the request then hears of it. Never comes to an end by itself.
    async fn watch_process(&self) -> Result<Value, Failure> {
        loop {
            tokio::time::sleep(EXIT_LIMIT).await;
            if let Carrier::Process(process) = &mut *self.carrier.lock().await
                && process.has_ended()
                && !self.wire.is_closed()
            {
                // What it wrote last has been read by now: it ended a while ago.
                self.wire.close();
            }
        }
    }

    /// Calls a tool and drives the rounds in which the server asks for more first.
    async fn call_raw(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Value, ToolHostError> {
        let doing = format!("`{tool}`");
        let mut parameters =
            CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments.clone());
        for _ in 0..INPUT_ROUNDS {
            let request = ClientRequest::CallToolRequest(CallToolRequest::new(parameters.clone()));
            let answer = self.ask_in_time(&doing, request).await?;
            let result = &answer["result"];
            if result["resultType"] != "input_required" {
                return Ok(answer);
            }
            let responses = result["inputRequests"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(key, asked)| Some((key.clone(), self.input(asked)?)))
                .collect::<Option<_>>();
            let Some(responses) = responses else {
                let words = format!(
                    "it asks for what was not offered: {}",
                    result["inputRequests"]
                );
                return Err(self.error(&doing, Failure::Words(words)).await);
            };
            parameters.input_responses = Some(responses);
            parameters.request_state = result["requestState"].as_str().map(str::to_owned);
        }
        let words = format!("it asked for more input {INPUT_ROUNDS} times in a row");
        Err(self.error(&doing, Failure::Words(words)).await)
    }

    /// What we give a server that asks for input; `None` for what we never offered.
    fn input(&self, asked: &Value) -> Option<Value> {
        (asked["method"] == "elicitation/create").then(|| {
            let message = asked["params"]["message"].as_str().unwrap_or_default();
            self.questions
                .answer_json(message, &asked["params"]["requestedSchema"])
        })
    }

    async fn call_tool(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
        script: &[ElicitationAnswer],
    ) -> Result<ToolResult, ToolHostError> {
        let held = match script {
            [] => None,
            _ => Some(self.asking.lock().await),
        };
        if held.is_some() {
            self.questions.set_script(script);
        }
        let answer = self.call_raw(tool, arguments).await;
        if held.is_some() {
            self.questions.set_script(&[]);
        }
        let answer = answer?;
        match read_answer(&answer) {
            Answer::Result(result) => {
                self.check_structure(tool, &result);
                Ok(result)
            }
            Answer::ServerError(words) => {
                let mut error = self
                    .error(&format!("`{tool}`"), Failure::Words(words))
                    .await;
                error.code = Code::ToolErrorEnv;
                Err(error)
            }
            Answer::BadShape => {
                let fault = Fault::new(FaultKind::BadResult, &answer.to_string());
                Err(self
                    .error(&format!("`{tool}`"), Failure::Fault(fault))
                    .await)
            }
        }
    }

    /// A structured result that the tool's own schema refuses is noted; it hurts no call.
    fn check_structure(&self, tool: &str, result: &ToolResult) {
        if let Some(detail) = self.outputs.problem(tool, result) {
            self.note(HostNoteKind::BadStructure, detail);
        }
    }

    fn note(&self, kind: HostNoteKind, detail: String) {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(HostNote { kind, detail });
    }

    async fn error(&self, doing: &str, failure: Failure) -> ToolHostError {
        let mut carrier = self.carrier.lock().await;
        let mut error = describe(&self.name, doing, failure, self.call_limit, &mut carrier).await;
        error.message = masked(&error.message, &self.secrets).into_owned();
        error
    }
}

impl Link for Connection {
    fn raw_tools(&self) -> &[Value] {
        &self.raw_tools
    }

    fn call<'a>(
        &'a self,
        tool: &'a str,
        arguments: &'a Map<String, Value>,
        script: &'a [ElicitationAnswer],
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        self.call_tool(tool, arguments, script).boxed()
    }

    fn request<'a>(
        &'a self,
        method: &'a str,
        parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>> {
        async move {
            let parameters = (!parameters.is_null()).then_some(parameters);
            let request =
                ClientRequest::CustomRequest(CustomRequest::new(method.to_owned(), parameters));
            let mut answer = self.ask_in_time(method, request).await?;
            if let Some(error) = answer.get("error") {
                return Err(ToolHostError {
                    code: Code::ToolErrorEnv,
                    message: format!("{}: {method}: {error}", self.name),
                });
            }
            Ok(answer["result"].take())
        }
        .boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        async {
            // The stateless version has no ping; its list is as good a sign of life.
            let method = match self.about().protocol.as_deref() {
                Some("2026-07-28") => "tools/list",
                _ => "ping",
            };
            self.request(method, Value::Null).await.map(drop)
        }
        .boxed()
    }

    fn has_new_list(&self) -> bool {
        self.wire.has_new_list()
    }

    fn new_list(&self) -> BoxFuture<'_, Result<Vec<Value>, ToolHostError>> {
        async {
            let listed = tokio::time::timeout(
                self.call_limit,
                list_tools(&self.peer, &self.wire, self.fault_grace),
            );
            match listed.await {
                Ok(Ok(tools)) => {
                    let before: Vec<&Value> = self.raw_tools.iter().collect();
                    if before == tools.iter().collect::<Vec<_>>() {
                        // Said without need: the list is what it was.
                        self.wire.forget_new_list();
                    }
                    Ok(tools)
                }
                Ok(Err(failure)) => Err(self.error("tools/list", failure).await),
                Err(_) => Err(self.error("tools/list", Failure::Late).await),
            }
        }
        .boxed()
    }

    fn is_over(&self) -> bool {
        self.wire.is_closed()
            || self.peer.is_transport_closed()
            || self.is_stale.load(Ordering::Relaxed)
    }

    fn take_notes(&self) -> Vec<HostNote> {
        let mut notes = {
            let mut held = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *held)
        };
        notes.extend(self.questions.take_notes());
        let faults = self.wire.new_faults().into_iter();
        notes.extend(faults.map(|fault| HostNote {
            kind: HostNoteKind::Fault,
            detail: masked(&format!("the server {fault}"), &self.secrets).into_owned(),
        }));
        notes
    }

    fn about(&self) -> About {
        let Some(info) = self.peer.peer_info() else {
            return About::default();
        };
        let server = info.server_info.as_ref();
        About {
            identity: server.map(|server| format!("{} {}", server.name, server.version)),
            protocol: Some(info.protocol_version.as_str().to_owned()),
            instructions: info.instructions.clone(),
            capabilities: serde_json::to_value(&info.capabilities).unwrap_or_default(),
        }
    }

    fn faults(&self) -> Vec<Fault> {
        self.wire.faults()
    }

    fn process_id(&self) -> BoxFuture<'_, Option<u32>> {
        async {
            match &*self.carrier.lock().await {
                Carrier::Process(process) => process.id(),
                Carrier::Frames(_) | Carrier::Http => None,
            }
        }
        .boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        async {
            drop(
                self.listening
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take(),
            );
            let service = self.service.lock().await.take();
            if let Some(mut service) = service {
                let _ = service.close_with_timeout(CLOSE_LIMIT).await;
            }
            let mut carrier = self.carrier.lock().await;
            if let Carrier::Process(process) = &mut *carrier {
                process.exit(CLOSE_LIMIT).await;
                process.kill();
                process.exit(CLOSE_LIMIT).await;
            }
        }
        .boxed()
    }
}

/// Asks for word of a changed list of tools; what came of it, where that is worth a note.
async fn listen(peer: &Peer<RoleClient>, limit: Duration) -> (Option<Listening>, Vec<HostNote>) {
    match Listening::start(peer, limit).await {
        Ok(listening) => (listening, Vec::new()),
        Err(reason) => {
            let detail = format!(
                "the server says that its list of tools may change and refuses to tell: {reason}"
            );
            let kind = HostNoteKind::Fault;
            (None, vec![HostNote { kind, detail }])
        }
    }
}

/// What rmcp speaks through.
enum Stream {
    Lines(ClientStream),
    Http(Box<HttpTransport>),
}

/// Starts the server or reaches it.
async fn open(
    settings: &McpSettings,
    wire: &Arc<Wire>,
) -> Result<(Carrier, Stream), ToolHostError> {
    match &settings.reach {
        Reach::Process(launch) => {
            let started = Process::start(launch, settings.line_limit_bytes, wire);
            let (process, lines) = started.map_err(|error| ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!(
                    "{}: cannot start {}: {error}",
                    settings.name,
                    launch.program.display()
                ),
            })?;
            Ok((Carrier::Process(Box::new(process)), Stream::Lines(lines)))
        }
        Reach::Http(endpoint) => {
            let http = http::transport(settings, endpoint, wire)?;
            Ok((Carrier::Http, Stream::Http(Box::new(http))))
        }
        Reach::WebSocket(endpoint) => {
            let (frames, lines) = websocket::open(settings, endpoint, wire).await?;
            Ok((Carrier::Frames(frames), Stream::Lines(lines)))
        }
        Reach::Grpc(endpoint) => {
            let (frames, lines) = grpc::open(settings, endpoint, wire).await?;
            Ok((Carrier::Frames(frames), Stream::Lines(lines)))
        }
        other @ (Reach::Rest(_) | Reach::OpenApi(_)) => Err(ToolHostError::unsupported(
            &settings.name,
            other.transport(),
        )),
    }
}

fn lifecycle(protocol: Protocol) -> ClientLifecycleMode {
    let stateless = vec![ProtocolVersion::V_2026_07_28];
    match protocol {
        Protocol::V2025_11_25 => ClientLifecycleMode::Initialize,
        Protocol::V2026_07_28 => ClientLifecycleMode::Discover {
            preferred_versions: stateless,
        },
        Protocol::Auto => ClientLifecycleMode::Auto {
            preferred_versions: stateless,
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        },
    }
}

/// The error of a failure, with the server's last words.
async fn describe(
    name: &str,
    doing: &str,
    failure: Failure,
    limit: Duration,
    carrier: &mut Carrier,
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
                && let Some(status) = carrier.exit(EXIT_LIMIT).await
            {
                let _ = write!(words, " and ended ({status})");
            }
            (fault.kind.code(), words)
        }
        Failure::Words(words) => (Code::McpProtocolError, format!("{name}: {doing}: {words}")),
    };
    message.push_str(&carrier.last_words());
    ToolHostError { code, message }
}
