//! A mock on this process's standard streams.
//!
//! Data in: lines on standard input. Data out: lines on standard output. Invariants: nothing but
//! messages is written there (and what faults ask for); the end of input ends the server.

use std::sync::Arc;

use futures::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LinesCodec};
use tokio_util::sync::CancellationToken;

use super::fault::Faults;
use super::handler::Handler;
use super::lines::{Outgoing, serve_lines};

/// Longest line that is read.
pub(super) const LINE_LIMIT_BYTES: usize = 16 << 20;
/// Lines of a client that may wait.
pub(super) const WAITING_LINES: usize = 256;

/// Serves the client at the other end of the standard streams.
pub(super) async fn serve_stdio(handler: Handler, faults: Arc<Faults>, stop: CancellationToken) {
    let (input, output) = rmcp::transport::stdio_pipes();
    serve_streams(handler, faults, input, output, stop).await;
}

/// Serves the client at the other end of two byte streams.
pub(super) async fn serve_streams(
    handler: Handler,
    faults: Arc<Faults>,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) {
    let (line_sender, lines) = mpsc::channel(WAITING_LINES);
    let (sender, outgoing) = mpsc::unbounded_channel();
    let reading = tokio::spawn(read_lines(input, line_sender));
    let writing = tokio::spawn(write_lines(output, outgoing));
    let served = serve_lines(handler, faults, lines, sender, stop.clone());
    tokio::select! {
        () = served => {}
        () = stop.cancelled() => {}
    }
    reading.abort();
    // What was answered is written before the end.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), writing).await;
}

async fn read_lines(input: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut framed = FramedRead::new(input, LinesCodec::new_with_max_length(LINE_LIMIT_BYTES));
    while let Some(read) = framed.next().await {
        let line = match read {
            Ok(line) => line,
            // Answered as what it is: no JSON.
            Err(tokio_util::codec::LinesCodecError::MaxLineLengthExceeded) => "…".to_owned(),
            Err(_) => return,
        };
        if lines.send(line).await.is_err() {
            return;
        }
    }
}

async fn write_lines(
    mut output: impl AsyncWrite + Unpin,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) {
    while let Some(Outgoing::Line(mut line)) = outgoing.recv().await {
        line.push('\n');
        if output.write_all(line.as_bytes()).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}
