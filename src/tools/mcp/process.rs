//! The server's process and the three streams between it and us.
//!
//! Data in: settings. Data out: a duplex stream for rmcp whose every line passes the
//! [`Wire`], and the last words on standard error. Invariants: the whole process group ends when
//! the handle is dropped; the environment is only what the settings say.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, DuplexStream,
};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::settings::McpSettings;
use super::wire::{Forward, Wire};

/// Lines of standard error that are kept.
const STDERR_LINES: usize = 12;
/// Characters kept of each.
const STDERR_CHARACTERS: usize = 300;
/// Buffer between the taps and rmcp.
const PIPE_BYTES: usize = 64 << 10;

#[cfg(unix)]
type Child = Box<dyn process_wrap::tokio::ChildWrapper>;
#[cfg(not(unix))]
type Child = tokio::process::Child;

/// A running server. Dropping it ends the process and all its children.
pub(super) struct Process {
    child: Child,
    taps: Vec<JoinHandle<()>>,
    stderr: LastLines,
}

/// What rmcp reads and writes.
pub(super) type ClientStream = (DuplexStream, DuplexStream);

impl Process {
    /// Starts the server and the taps on its streams.
    pub(super) fn start(
        settings: &McpSettings,
        wire: &Arc<Wire>,
    ) -> std::io::Result<(Self, ClientStream)> {
        let mut child = spawn(settings)?;
        let (stdin, stdout, stderr) = take_streams(&mut child)?;
        let (client_write, from_client) = tokio::io::duplex(PIPE_BYTES);
        let (to_client, client_read) = tokio::io::duplex(PIPE_BYTES);
        let last_lines = LastLines::default();
        let taps = vec![
            tokio::spawn(tap_requests(from_client, stdin, Arc::clone(wire))),
            tokio::spawn(tap_answers(
                BufReader::new(stdout),
                to_client,
                Arc::clone(wire),
                settings.line_limit_bytes,
            )),
            tokio::spawn(keep_last_lines(BufReader::new(stderr), last_lines.clone())),
        ];
        let process = Self {
            child,
            taps,
            stderr: last_lines,
        };
        Ok((process, (client_read, client_write)))
    }

    /// The last words on standard error, for messages: empty, or `; its standard error ends: …`.
    pub(super) fn last_words(&self) -> String {
        self.stderr.words()
    }

    /// How the process ended, if it ends within `limit`.
    pub(super) async fn exit(&mut self, limit: Duration) -> Option<std::process::ExitStatus> {
        #[cfg(unix)]
        let ended = self.child.inner_mut().wait();
        #[cfg(not(unix))]
        let ended = self.child.wait();
        tokio::time::timeout(limit, ended).await.ok()?.ok()
    }

    /// The process id.
    pub(super) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Ends the whole process group.
    pub(super) fn kill(&mut self) {
        // An error means that nothing is left to end.
        let _ = self.child.start_kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        for tap in &self.taps {
            tap.abort();
        }
    }
}

fn command(settings: &McpSettings) -> Command {
    let mut command = Command::new(&settings.program);
    command
        .args(&settings.arguments)
        .env_clear()
        .envs(&settings.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(directory) = &settings.working_directory {
        command.current_dir(directory);
    }
    command
}

#[cfg(unix)]
fn spawn(settings: &McpSettings) -> std::io::Result<Child> {
    process_wrap::tokio::CommandWrap::from(command(settings))
        .wrap(process_wrap::tokio::ProcessGroup::leader())
        .spawn()
}

#[cfg(not(unix))]
fn spawn(settings: &McpSettings) -> std::io::Result<Child> {
    command(settings).spawn()
}

type Streams = (
    tokio::process::ChildStdin,
    tokio::process::ChildStdout,
    tokio::process::ChildStderr,
);

fn take_streams(child: &mut Child) -> std::io::Result<Streams> {
    #[cfg(unix)]
    let taken = (
        child.stdin().take(),
        child.stdout().take(),
        child.stderr().take(),
    );
    #[cfg(not(unix))]
    let taken = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    match taken {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok((stdin, stdout, stderr)),
        _ => Err(std::io::Error::other("a stream of the process is missing")),
    }
}

async fn tap_requests(
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

async fn tap_answers(
    mut from_server: impl AsyncBufRead + Unpin,
    mut to_client: DuplexStream,
    wire: Arc<Wire>,
    limit: usize,
) {
    loop {
        match read_line(&mut from_server, limit).await {
            Line::Whole(line) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim();
                if text.is_empty() || wire.incoming(text) == Forward::No {
                    continue;
                }
                let _ = to_client.write_all(text.as_bytes()).await;
                let _ = to_client.write_all(b"\n").await;
            }
            Line::Oversized(start) => wire.oversized(&String::from_utf8_lossy(&start)),
            Line::End => break,
        }
    }
    wire.close();
}

enum Line {
    Whole(Vec<u8>),
    Oversized(Vec<u8>),
    End,
}

/// Reads up to a line break, never keeping more than `limit` bytes. What stands before the end
/// of the stream without a line break is a line too.
async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), limit: usize) -> Line {
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

#[derive(Clone, Default)]
struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    fn push(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == STDERR_LINES {
            lines.pop_front();
        }
        lines.push_back(line.chars().take(STDERR_CHARACTERS).collect());
    }

    fn words(&self) -> String {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.is_empty() {
            return String::new();
        }
        let joined: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("; its standard error ends: {}", joined.join(" | "))
    }
}

async fn keep_last_lines(mut stderr: impl AsyncBufRead + Unpin, lines: LastLines) {
    loop {
        match read_line(&mut stderr, 64 << 10).await {
            Line::Whole(line) | Line::Oversized(line) => {
                let text = String::from_utf8_lossy(&line);
                if !text.trim().is_empty() {
                    lines.push(text.trim());
                }
            }
            Line::End => return,
        }
    }
}
