//! MCP over gRPC: one bidirectional stream of lines.
//!
//! Data in: an endpoint. Data out: lines for the SDK, every one tapped. Invariants: headers go as
//! metadata; nothing waits for the server's first word before ours is sent, because servers may
//! begin to answer only when they are asked.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Code as Status, Request};

use super::lines::{ClientStream, Frames};
use super::settings::{Endpoint, McpSettings};
use super::wire::{Fault, FaultKind, Wire};
use crate::tools::ToolHostError;
use crate::tools::grpc::Line;
use crate::tools::grpc::mcp_client::McpClient;
use crate::tools::http::{authority, headers, with_authority_hint};
use crate::types::Code;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// Lines on their way to the server.
const LINES_WAITING: usize = 64;

/// Connects; gives what carries the messages.
pub(super) async fn open(
    settings: &McpSettings,
    endpoint: &Endpoint,
    wire: &Arc<Wire>,
) -> Result<(Frames, ClientStream), ToolHostError> {
    let failed = |why: String| ToolHostError {
        code: Code::ToolErrorEnv,
        message: format!("{}: {why}", settings.name),
    };
    let channel = connect(endpoint).await.map_err(failed)?;
    let mut client = McpClient::new(channel)
        .max_decoding_message_size(settings.line_limit_bytes)
        .max_encoding_message_size(usize::MAX);
    let (sender, receiver) = futures::channel::mpsc::channel::<String>(LINES_WAITING);
    let mut request = Request::new(receiver.map(|json| Line { json }));
    *request.metadata_mut() = MetadataMap::from_headers(headers(endpoint).map_err(failed)?);
    let answers = stream::once(async move { client.session(request).await })
        .flat_map(|opened| match opened {
            Ok(answer) => answer.into_inner().boxed(),
            Err(status) => stream::iter([Err(status)]).boxed(),
        })
        .map(|line| line.map(|line| line.json).map_err(|status| fault(&status)));
    Ok(Frames::start(sender, answers, wire))
}

async fn connect(endpoint: &Endpoint) -> Result<Channel, String> {
    let no_address = |error: tonic::transport::Error| format!("no gRPC address: {error}");
    let mut target = Channel::from_shared(endpoint.url.clone())
        .map_err(|error| format!("no gRPC address: {error}"))?
        .connect_timeout(CONNECT_LIMIT)
        .tcp_nodelay(true);
    if endpoint.url.starts_with("https:") {
        let mut tls = ClientTlsConfig::new().with_native_roots();
        if let Some(pem) = authority(endpoint)? {
            tls = tls.ca_certificate(Certificate::from_pem(pem));
        }
        target = target.tls_config(tls).map_err(no_address)?;
    }
    target.connect().await.map_err(|error| {
        let mut text = format!("the server cannot be reached: {error}");
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text.push_str(&format!(": {inner}"));
            cause = inner.source();
        }
        with_authority_hint(text)
    })
}

fn fault(status: &tonic::Status) -> Fault {
    let kind = match status.code() {
        Status::OutOfRange | Status::ResourceExhausted
            if status.message().contains("message length too large") =>
        {
            FaultKind::Oversized
        }
        Status::Unavailable | Status::Cancelled | Status::Unknown => FaultKind::Closed,
        _ => FaultKind::Status,
    };
    let mut text = format!("gRPC {:?}: {}", status.code(), status.message());
    if status.code() == Status::Unauthenticated {
        text.push_str("; give a token with `--bearer-env VARIABLE`");
    }
    Fault::new(kind, &text)
}
