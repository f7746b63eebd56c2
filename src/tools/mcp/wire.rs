//! The raw wire: every line both ways, kept as JSON and checked against JSON-RPC.
//!
//! Data in: lines as the client and the server write them. Data out: the raw answer to each
//! request, or the fault that took its place. Invariants: rmcp sees only valid messages; a fault
//! holds the offending line; a duplicate or late answer is a fault of nobody's call.
//!
//! rmcp's typed client drops what it does not know and turns half of all protocol faults into
//! silence; this is the second observer that names them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;

use crate::types::Code;

/// Characters of an offending line that are kept.
const LINE_CHARACTERS: usize = 300;
/// Faults that are kept.
const FAULTS_KEPT: usize = 32;

/// How a server broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A line that is not a JSON object.
    NotJson,
    /// An answer to no request of ours.
    WrongId,
    /// An answer to a request that was answered before.
    Duplicate,
    /// An id of another type than the request's.
    IdType,
    /// Neither `result` nor `error`.
    NoResult,
    /// No `"jsonrpc": "2.0"`.
    NoJsonrpc,
    /// `result` and `error` at once.
    ResultAndError,
    /// A line over the limit.
    Oversized,
    /// Standard output, or the connection, ended.
    Closed,
    /// Nothing could be sent, or the connection broke.
    Unreachable,
    /// An HTTP or gRPC status that is no success.
    Status,
    /// A reply that is no JSON and no event stream, or an event stream that ends too early.
    NotMcp,
    /// A protocol version that no one knows.
    UnknownVersion,
    /// A result of the wrong shape for its method.
    BadResult,
    /// An operation of an OpenAPI document that is no tool.
    LeftOut,
}

impl FaultKind {
    /// What a call that it ended is called.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Unreachable | Self::Status => Code::ToolErrorEnv,
            _ => Code::McpProtocolError,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotJson => "wrote a line that is not a JSON object",
            Self::WrongId => "answered with an id that was not asked",
            Self::Duplicate => "answered the same request again",
            Self::IdType => "answered with an id of another type",
            Self::NoResult => "answered with neither result nor error",
            Self::NoJsonrpc => "wrote a message without \"jsonrpc\": \"2.0\"",
            Self::ResultAndError => "answered with both result and error",
            Self::Oversized => "wrote a line over the limit",
            Self::Closed => "closed its standard output or connection",
            Self::Unreachable => "cannot be reached",
            Self::Status => "answered with an error status",
            Self::NotMcp => "answered with something that is not MCP",
            Self::UnknownVersion => "speaks a protocol version that is not known",
            Self::LeftOut => "has an operation that is left out",
            Self::BadResult => "answered with a result of the wrong shape",
        }
    }
}

/// A fault with the line that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The offending line, shortened.
    pub line: String,
}

impl Fault {
    pub(in crate::tools) fn new(kind: FaultKind, line: &str) -> Self {
        let line = match line.char_indices().nth(LINE_CHARACTERS) {
            Some((end, _)) => format!("{}…", &line[..end]),
            None => line.to_owned(),
        };
        Self { kind, line }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.kind.words())?;
        if self.line.is_empty() {
            Ok(())
        } else {
            write!(formatter, ": {}", self.line)
        }
    }
}

/// Whether a line goes on to rmcp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forward {
    Yes,
    No,
}

enum Slot {
    Waiting,
    Answered(Result<Value, Fault>),
    /// Answered and fetched, or given up.
    Over,
}

#[derive(Default)]
struct State {
    slots: BTreeMap<i64, (String, Slot)>,
    /// The raw answer to `initialize`.
    handshake: Option<Value>,
    /// Faults that may have eaten an answer, counted; the last one.
    lost: (u64, Option<Fault>),
    /// The first fault that ended a request or the connection.
    failed: Option<Fault>,
    closed: bool,
    faults: Vec<Fault>,
    /// Faults that [`Wire::new_faults`] has handed out.
    faults_told: usize,
    /// Signs of progress so far.
    progress: u64,
    has_new_list: bool,
}

/// Both directions of one connection.
#[derive(Default)]
pub(super) struct Wire {
    state: Mutex<State>,
    changed: Notify,
}

impl Wire {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a line that goes to the server.
    pub(super) fn outgoing(&self, line: &str) {
        let Ok(message) = serde_json::from_str::<Value>(line) else {
            return;
        };
        if let (Some(id), Some(method)) = (message["id"].as_i64(), message["method"].as_str()) {
            let slot = (method.to_owned(), Slot::Waiting);
            self.state().slots.insert(id, slot);
        }
    }

    /// Judges a line of the server.
    pub(super) fn incoming(&self, line: &str) -> Forward {
        let forward = if let Ok(message @ Value::Object(_)) = serde_json::from_str(line) {
            self.message(message, line)
        } else {
            self.lose(Fault::new(FaultKind::NotJson, line));
            Forward::No
        };
        self.changed.notify_waiters();
        forward
    }

    fn message(&self, message: Value, line: &str) -> Forward {
        let is_versioned = message["jsonrpc"] == "2.0";
        if let Some(method) = message.get("method") {
            if !is_versioned {
                self.note(Fault::new(FaultKind::NoJsonrpc, line));
            }
            match method.as_str() {
                Some("notifications/progress") => self.state().progress += 1,
                Some("notifications/tools/list_changed") => self.state().has_new_list = true,
                _ => {}
            }
            return Forward::Yes;
        }
        let broken = match (message.get("result"), message.get("error")) {
            _ if !is_versioned => Some(FaultKind::NoJsonrpc),
            (Some(_), Some(_)) => Some(FaultKind::ResultAndError),
            (None, None) => Some(FaultKind::NoResult),
            _ => None,
        };
        self.answer(message, broken.map(|kind| Fault::new(kind, line)), line)
    }

    fn answer(&self, message: Value, broken: Option<Fault>, line: &str) -> Forward {
        let id = read_id(&message["id"]);
        if message["id"].is_string() && id.is_some() {
            self.note(Fault::new(FaultKind::IdType, line));
        }
        let mut state = self.state();
        let Some((method, slot)) = id.and_then(|id| state.slots.get_mut(&id)) else {
            drop(state);
            self.lose(broken.unwrap_or_else(|| Fault::new(FaultKind::WrongId, line)));
            return Forward::No;
        };
        if !matches!(slot, Slot::Waiting) {
            drop(state);
            self.note(Fault::new(FaultKind::Duplicate, line));
            return Forward::No;
        }
        if let Some(fault) = broken {
            *slot = Slot::Answered(Err(fault.clone()));
            state.failed.get_or_insert_with(|| fault.clone());
            drop(state);
            self.note(fault);
            return Forward::No;
        }
        let is_handshake = method == "initialize";
        *slot = Slot::Answered(Ok(message.clone()));
        if is_handshake {
            state.handshake = Some(message);
        }
        Forward::Yes
    }

    /// A line over the limit was dropped; `start` is its beginning.
    pub(super) fn oversized(&self, start: &str) {
        self.lose(Fault::new(FaultKind::Oversized, start));
        self.changed.notify_waiters();
    }

    /// A request came to nothing: the transport says why.
    pub(super) fn fail(&self, id: Option<i64>, fault: Fault) {
        let mut state = self.state();
        if let Some((_, slot @ Slot::Waiting)) = id.and_then(|id| state.slots.get_mut(&id)) {
            *slot = Slot::Answered(Err(fault.clone()));
            state.failed.get_or_insert_with(|| fault.clone());
        }
        drop(state);
        self.note(fault);
        self.changed.notify_waiters();
    }

    /// A request is still without an answer.
    pub(super) fn is_waiting(&self, id: i64) -> bool {
        matches!(self.state().slots.get(&id), Some((_, Slot::Waiting)))
    }

    /// The connection broke; every request that waits hears why.
    pub(super) fn break_off(&self, fault: Fault) {
        self.state().failed.get_or_insert_with(|| fault.clone());
        self.lose(fault);
        self.close();
    }

    /// The server's output ended.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state
            .failed
            .get_or_insert_with(|| Fault::new(FaultKind::Closed, ""));
        drop(state);
        self.changed.notify_waiters();
    }

    fn lose(&self, fault: Fault) {
        let mut state = self.state();
        state.lost = (state.lost.0 + 1, Some(fault.clone()));
        drop(state);
        self.note(fault);
    }

    fn note(&self, fault: Fault) {
        let mut state = self.state();
        if state.faults.len() < FAULTS_KEPT {
            state.faults.push(fault);
        }
    }

    /// Faults so far, also those that hurt no call.
    pub(super) fn faults(&self) -> Vec<Fault> {
        self.state().faults.clone()
    }

    /// Faults since this was last asked.
    pub(super) fn new_faults(&self) -> Vec<Fault> {
        let mut state = self.state();
        let found = state.faults[state.faults_told..].to_vec();
        state.faults_told = state.faults.len();
        found
    }

    /// Signs of progress so far.
    pub(super) fn progress(&self) -> u64 {
        self.state().progress
    }

    /// The server has said that its list of tools changed.
    pub(super) fn has_new_list(&self) -> bool {
        self.state().has_new_list
    }

    /// The new list has been asked for.
    pub(super) fn forget_new_list(&self) {
        self.state().has_new_list = false;
    }

    /// Lines so far that may have been answers but could not be read as such.
    pub(super) fn lost_count(&self) -> u64 {
        self.state().lost.0
    }

    /// The last such line.
    pub(super) fn last_lost(&self) -> Option<Fault> {
        self.state().lost.1.clone()
    }

    /// The server can no longer answer.
    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// The raw answer to the handshake.
    pub(super) fn handshake(&self) -> Option<Value> {
        self.state().handshake.clone()
    }

    /// Gives up on a request: a late answer to it is no fault.
    pub(super) fn abandon(&self, id: i64) {
        if let Some((_, slot)) = self.state().slots.get_mut(&id) {
            *slot = Slot::Over;
        }
    }

    /// Waits for the first fault that ends a request or the connection.
    pub(super) async fn failure(&self) -> Fault {
        self.wait_for(|state| state.failed.clone()).await
    }

    /// Waits for the answer to a request. A line that may have been the answer and cannot be
    /// read as one (`lost_before` were known when the request was sent) ends the wait after
    /// `grace`.
    pub(super) async fn response(
        &self,
        id: i64,
        lost_before: u64,
        grace: Duration,
    ) -> Result<Value, Fault> {
        let answered = self
            .wait_for(|state| match take(state, id) {
                Some(outcome) => Some(Some(outcome)),
                None if state.lost.0 > lost_before => Some(None),
                None => None,
            })
            .await;
        if let Some(outcome) = answered {
            return outcome;
        }
        match tokio::time::timeout(grace, self.wait_for(|state| take(state, id))).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self
                .last_lost()
                .unwrap_or_else(|| Fault::new(FaultKind::NotJson, ""))),
        }
    }

    async fn wait_for<T>(&self, mut ready: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let outcome = ready(&mut self.state());
            match outcome {
                Some(value) => return value,
                None => changed.await,
            }
        }
    }
}

fn take(state: &mut State, id: i64) -> Option<Result<Value, Fault>> {
    if let Some((_, slot @ Slot::Answered(_))) = state.slots.get_mut(&id)
        && let Slot::Answered(outcome) = std::mem::replace(slot, Slot::Over)
    {
        return Some(outcome);
    }
    // A line that was lost says more than the end that followed it.
    state.closed.then(|| {
        Err(match &state.lost.1 {
            Some(lost) => lost.clone(),
            None => Fault::new(FaultKind::Closed, ""),
        })
    })
}

/// Ids of requests are whole numbers; a string of digits is read as one.
fn read_id(id: &Value) -> Option<i64> {
    match id {
        Value::Number(number) => number.as_i64().or_else(|| {
            let float = number.as_f64()?;
            (float.fract() == 0.0).then_some(float as i64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire() -> Wire {
        let wire = Wire::default();
        wire.outgoing(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
        wire
    }

    #[test]
    fn every_fault_is_told_apart() {
        use FaultKind::*;
        for (line, kind, is_forwarded) in [
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
                None,
                Forward::Yes,
            ),
            (
                r#"{"jsonrpc":"2.0","method":"notifications/x"}"#,
                None,
                Forward::Yes,
            ),
            (
                r#"{"jsonrpc":"2.0","id":"1","result":{}}"#,
                Some(IdType),
                Forward::Yes,
            ),
            ("starting up", Some(NotJson), Forward::No),
            ("[1]", Some(NotJson), Forward::No),
            (
                r#"{"jsonrpc":"2.0","id":9,"result":{}}"#,
                Some(WrongId),
                Forward::No,
            ),
            (
                r#"{"jsonrpc":"2.0","id":null,"error":{}}"#,
                Some(WrongId),
                Forward::No,
            ),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some(NoResult), Forward::No),
            (r#"{"id":1,"result":{}}"#, Some(NoJsonrpc), Forward::No),
            (
                r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
                Some(ResultAndError),
                Forward::No,
            ),
        ] {
            let wire = wire();
            assert_eq!(wire.incoming(line), is_forwarded, "{line}");
            let kinds: Vec<_> = wire.faults().iter().map(|fault| fault.kind).collect();
            assert_eq!(kinds, kind.into_iter().collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn duplicates_and_late_answers_hurt_nobody() {
        let wire = wire();
        let line = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(wire.incoming(line), Forward::Yes);
        assert_eq!(wire.incoming(line), Forward::No);
        assert_eq!(wire.faults()[0].kind, FaultKind::Duplicate);
        assert_eq!(wire.lost_count(), 0);
    }
}
