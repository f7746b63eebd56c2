//! MCP over WebSocket: one message per text frame.
//!
//! Data in: an endpoint. Data out: lines for the SDK, every one tapped. Invariants: headers go with
//! the handshake; a frame over the limit ends the connection with that fault.

use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};

use super::lines::{ClientStream, Frames};
use super::settings::{Endpoint, McpSettings};
use super::wire::{Fault, FaultKind, Wire};
use crate::tools::ToolHostError;
use crate::tools::http::{authority, headers, status_words, with_authority_hint};
use crate::types::Code;

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
    let mut request = endpoint
        .url
        .as_str()
        .into_client_request()
        .map_err(|error| failed(format!("no WebSocket address: {error}")))?;
    request
        .headers_mut()
        .extend(headers(endpoint).map_err(failed)?);
    let mut config = WebSocketConfig::default();
    config.max_message_size = Some(settings.line_limit_bytes);
    config.max_frame_size = Some(settings.line_limit_bytes);
    let connector = if endpoint.url.starts_with("wss:") {
        Some(Connector::Rustls(Arc::new(tls(endpoint).map_err(failed)?)))
    } else {
        None
    };
    let (socket, _) = connect_async_tls_with_config(request, Some(config), true, connector)
        .await
        .map_err(|error| failed(refusal_words(&error)))?;
    let (sink, stream) = socket.split();
    let sink = sink.with(|line: String| std::future::ready(Ok::<_, Error>(Message::text(line))));
    let stream = stream.filter_map(|frame| std::future::ready(read_frame(frame)));
    Ok(Frames::start(sink, stream, wire))
}

fn read_frame(frame: Result<Message, Error>) -> Option<Result<String, Fault>> {
    match frame {
        Ok(Message::Text(text)) => Some(Ok(text.as_str().to_owned())),
        // Some servers send JSON as bytes; anything else shows as what it is.
        Ok(Message::Binary(bytes)) => Some(Ok(String::from_utf8_lossy(&bytes).into_owned())),
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_))
        | Err(Error::ConnectionClosed | Error::AlreadyClosed) => None,
        Err(error) => {
            let kind = match &error {
                Error::Capacity(_) => FaultKind::Oversized,
                Error::Io(_)
                | Error::Tls(_)
                | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => FaultKind::Closed,
                _ => FaultKind::NotMcp,
            };
            Some(Err(Fault::new(kind, &error.to_string())))
        }
    }
}

fn refusal_words(error: &Error) -> String {
    match error {
        Error::Http(answer) => {
            let body = answer.body().as_deref().unwrap_or_default();
            format!(
                "the server refused the WebSocket: {}",
                status_words(
                    answer.status(),
                    answer.headers(),
                    &String::from_utf8_lossy(body)
                )
            )
        }
        other => with_authority_hint(format!("the server cannot be reached: {other}")),
    }
}

/// The system's authorities and the endpoint's own.
fn tls(endpoint: &Endpoint) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(pem) = authority(endpoint)? {
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            certificate
                .map_err(|error| error.to_string())
                .and_then(|found| roots.add(found).map_err(|error| error.to_string()))
                .map_err(|error| format!("the certificate authority cannot be read: {error}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("no TLS: {error}"))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
