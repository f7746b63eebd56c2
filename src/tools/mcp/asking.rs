//! One request and its raw answer, or why there is none.
//!
//! Data in: a request for the SDK. Data out: the answer as it stood on the wire. Invariants: a
//! request that is given up is taken back; what the wire knows of a failure comes before what the
//! SDK says of it.

use std::time::Duration;

use rmcp::model::{
    ClientRequest, ListToolsRequest, NumberOrString, PaginatedRequestParams, ProtocolVersion,
};
use rmcp::service::{Peer, PeerRequestOptions, RoleClient, ServiceError};
use serde_json::Value;

use super::wire::{Fault, FaultKind, Wire};

/// Pages of a list of tools that are followed.
const PAGES: usize = 100;

/// Why no usable answer came.
pub(super) enum Failure {
    Fault(Fault),
    Late,
    Words(String),
}

impl Failure {
    /// The next trial is better off with a new connection.
    pub(super) fn ends_connection(&self) -> bool {
        match self {
            Self::Late => true,
            Self::Fault(fault) => matches!(
                fault.kind,
                FaultKind::Closed | FaultKind::Unreachable | FaultKind::NotMcp
            ),
            Self::Words(_) => false,
        }
    }
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

/// Sends a request through rmcp and takes its answer from the wire.
pub(super) async fn ask(
    peer: &Peer<RoleClient>,
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
    let answer = tokio::select! {
        biased;
        answer = wire.response(id, lost_before, grace) => answer.map_err(Failure::Fault),
        failure = pending.failure() => {
            // The wire knows more of it, if it knows it.
            match tokio::time::timeout(grace, wire.response(id, lost_before, grace)).await {
                Ok(answer) => answer.map_err(Failure::Fault),
                Err(_) => Err(failure),
            }
        }
    };
    pending.handle = None;
    answer
}

/// A request in flight; given up when dropped, so that a late answer is no fault and the server
/// hears of it.
struct Pending<'a> {
    wire: &'a Wire,
    handle: Option<rmcp::service::RequestHandle<RoleClient>>,
    id: i64,
}

impl Pending<'_> {
    /// Waits for the SDK to give the request up, which it does where it cannot be sent.
    async fn failure(&mut self) -> Failure {
        if let Some(handle) = &mut self.handle
            && let Ok(Err(error)) = (&mut handle.rx).await
        {
            return Failure::from(error);
        }
        // Answered: the wire has it too.
        std::future::pending().await
    }
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

/// A version that no one knows is a fault, though the SDK accepts it.
pub(super) fn check_version(wire: &Wire) -> Result<(), Failure> {
    // Without `initialize` the version goes with each request and is checked by the SDK.
    let Some(answer) = wire.handshake() else {
        return Ok(());
    };
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

/// Every page of `tools/list`, each tool as the server wrote it.
pub(super) async fn list_tools(
    peer: &Peer<RoleClient>,
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
