//! A mock over WebSocket: one message per text frame.
//!
//! Data in: a TCP connection. Data out: frames. Invariants: the messages are those of stdio,
//! unchanged; the end of the connection is the end of the session.

use std::sync::Arc;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::handler::Handler;
use super::lines::{Outgoing, serve_lines};
use super::stdio::{LINE_LIMIT_BYTES, WAITING_LINES};

/// The subprotocol that clients of the protocol may ask for.
const SUBPROTOCOL: &str = "mcp";
const SUBPROTOCOL_HEADER: &str = "sec-websocket-protocol";

/// Serves one connection.
pub(super) async fn serve_connection(
    stream: TcpStream,
    handler: Handler,
    faults: Arc<Faults>,
    stop: CancellationToken,
) {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LINE_LIMIT_BYTES))
        .max_frame_size(Some(LINE_LIMIT_BYTES));
    let accepted =
        tokio_tungstenite::accept_hdr_async_with_config(stream, choose_subprotocol, Some(config));
    let Ok(socket) = accepted.await else {
        return;
    };
    let (mut frames_out, mut frames_in) = socket.split();
    let (line_sender, lines) = mpsc::channel(WAITING_LINES);
    let (sender, mut outgoing) = mpsc::unbounded_channel();
    let reading = async move {
        while let Some(Ok(frame)) = frames_in.next().await {
            if let Message::Text(text) = frame
                && line_sender.send(text.as_str().to_owned()).await.is_err()
            {
                return;
            }
        }
    };
    let writing = async move {
        while let Some(Outgoing::Line(line)) = outgoing.recv().await {
            if frames_out.send(Message::text(line)).await.is_err() {
                return;
            }
        }
    };
    let served = serve_lines(handler, faults, lines, sender, stop);
    tokio::pin!(reading, writing, served);
    let mut is_read = false;
    loop {
        tokio::select! {
            () = &mut writing => return,
            () = &mut reading, if !is_read => is_read = true,
            () = &mut served => break,
        }
    }
    // What was answered is written before the end.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), writing).await;
}

#[expect(
    clippy::unnecessary_wraps,
    clippy::result_large_err,
    reason = "the signature that the handshake asks for"
)]
fn choose_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let offers = request.headers().get_all(SUBPROTOCOL_HEADER);
    let is_offered = offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if is_offered {
        let name = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SUBPROTOCOL_HEADER, name);
    }
    Ok(response)
}
