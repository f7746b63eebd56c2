//! Lines and frames between a server and rmcp, every one of which passes the [`Wire`].
//!
//! Data in: bytes or text frames of a server. Data out: a duplex stream for rmcp. Invariants: no
//! more than the limit of a line is kept in memory; requests go out in the order rmcp wrote them.

use std::sync::Arc;

use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
};
use tokio::task::JoinHandle;

use super::wire::{Fault, Forward, Wire};

/// Buffer between the taps and rmcp.
pub(super) const PIPE_BYTES: usize = 64 << 10;

/// What rmcp reads and writes.
pub(super) type ClientStream = (DuplexStream, DuplexStream);

/// A transport whose messages are text frames.
pub(super) struct Frames {
    tasks: Vec<JoinHandle<()>>,
}

impl Frames {
    /// Carries messages between `sink` and `stream` and rmcp. What the stream says of its end is a
    /// fault, or nothing when it ended as it should.
    pub(super) fn start(
        sink: impl Sink<String> + Send + 'static,
        stream: impl Stream<Item = Result<String, Fault>> + Send + 'static,
        wire: &Arc<Wire>,
    ) -> (Self, ClientStream) {
        let (client_write, from_client) = tokio::io::duplex(PIPE_BYTES);
        let (to_client, client_read) = tokio::io::duplex(PIPE_BYTES);
        let tasks = vec![
            tokio::spawn(send_frames(from_client, sink, Arc::clone(wire))),
            tokio::spawn(receive_frames(stream, to_client, Arc::clone(wire))),
        ];
        (Self { tasks }, (client_read, client_write))
    }
}

impl Drop for Frames {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn send_frames(from_client: DuplexStream, sink: impl Sink<String>, wire: Arc<Wire>) {
    let mut lines = BufReader::new(from_client).lines();
    let mut sink = std::pin::pin!(sink);
    while let Ok(Some(line)) = lines.next_line().await {
        wire.outgoing(&line);
        // A broken connection shows on the other stream, where the answer is missing.
        if sink.send(line).await.is_err() {
            return;
        }
    }
    let _ = sink.close().await;
}

async fn receive_frames(
    stream: impl Stream<Item = Result<String, Fault>>,
    mut to_client: DuplexStream,
    wire: Arc<Wire>,
) {
    let mut stream = std::pin::pin!(stream);
    while let Some(frame) = stream.next().await {
        match frame {
            Ok(text) => {
                // A frame may hold several lines only if its sender breaks the rules; each counts.
                for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                    forward(line, &mut to_client, &wire).await;
                }
            }
            Err(fault) => {
                wire.break_off(fault);
                return;
            }
        }
    }
    wire.close();
}

async fn forward(line: &str, to_client: &mut DuplexStream, wire: &Wire) {
    if wire.incoming(line) == Forward::Yes {
        let _ = to_client.write_all(line.as_bytes()).await;
        let _ = to_client.write_all(b"\n").await;
    }
}

/// Carries requests to a server's standard input.
pub(super) async fn tap_requests(
    from_client: DuplexStream,
    mut to_server: impl AsyncWrite + Unpin,
    wire: Arc<Wire>,
) {
    let mut lines = BufReader::new(from_client);
    let mut line = Vec::new();
    loop {
        line.clear();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        wire.outgoing(&String::from_utf8_lossy(&line));
        // A closed pipe shows on the other stream, where the answer is missing.
        if to_server.write_all(&line).await.is_err() || to_server.flush().await.is_err() {
            return;
        }
    }
}

/// Carries a server's standard output to rmcp.
pub(super) async fn tap_answers(
    mut from_server: impl AsyncBufRead + Unpin,
    mut to_client: DuplexStream,
    wire: Arc<Wire>,
    limit: usize,
) {
    loop {
        match read_line(&mut from_server, limit).await {
            Line::Whole(line) => {
                let text = String::from_utf8_lossy(&line);
                if !text.trim().is_empty() {
                    forward(text.trim(), &mut to_client, &wire).await;
                }
            }
            Line::Oversized(start) => wire.oversized(&String::from_utf8_lossy(&start)),
            Line::End => break,
        }
    }
    wire.close();
}

/// What was read up to a line break.
pub(super) enum Line {
    Whole(Vec<u8>),
    Oversized(Vec<u8>),
    End,
}

/// Reads up to a line break, never keeping more than `limit` bytes. What stands before the end
/// of the stream without a line break is a line too.
pub(super) async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> Line {
    let mut line = Vec::new();
    let mut is_oversized = false;
    loop {
        let available = match reader.fill_buf().await {
            Ok(bytes) if !bytes.is_empty() => bytes,
            _ if line.is_empty() => return Line::End,
            _ => break,
        };
        let end = available.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(available.len());
        let room = limit.saturating_sub(line.len()).min(taken);
        line.extend_from_slice(&available[..room]);
        is_oversized |= room < taken;
        let used = end.map_or(taken, |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            break;
        }
    }
    if is_oversized {
        line.truncate(1024);
        Line::Oversized(line)
    } else {
        Line::Whole(line)
    }
}
