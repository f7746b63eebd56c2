//! The server's process and the three streams between it and us.
//!
//! Data in: settings. Data out: a duplex stream for rmcp whose every line passes the
//! [`Wire`], and the last words on standard error. Invariants: the whole process group ends when
//! the handle is dropped; the environment is only what the settings say.

use std::collections::VecDeque;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufRead, BufReader};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::lines::{ClientStream, Line, PIPE_BYTES, read_line, tap_answers, tap_requests};
use super::settings::Launch;
use super::wire::Wire;

/// Lines of standard error that are kept.
const STDERR_LINES: usize = 12;
/// Characters kept of each.
const STDERR_CHARACTERS: usize = 300;

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

impl Process {
    /// Starts the server and the taps on its streams.
    pub(super) fn start(
        launch: &Launch,
        line_limit_bytes: usize,
        wire: &Arc<Wire>,
    ) -> std::io::Result<(Self, ClientStream)> {
        let mut child = spawn(launch)?;
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
                line_limit_bytes,
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

    /// The process itself has ended, whoever may still hold its streams.
    pub(super) fn has_ended(&mut self) -> bool {
        #[cfg(unix)]
        let state = self.child.inner_mut().try_wait();
        #[cfg(not(unix))]
        let state = self.child.try_wait();
        matches!(state, Ok(Some(_)))
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

fn command(launch: &Launch) -> Command {
    let mut command = Command::new(&launch.program);
    command
        .args(&launch.arguments)
        .env_clear()
        .envs(&launch.environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    if let Some(directory) = &launch.working_directory {
        command.current_dir(directory);
    }
    command
}

#[cfg(unix)]
fn spawn(launch: &Launch) -> std::io::Result<Child> {
    process_wrap::tokio::CommandWrap::from(command(launch))
        .wrap(process_wrap::tokio::ProcessGroup::leader())
        .spawn()
}

#[cfg(not(unix))]
fn spawn(launch: &Launch) -> std::io::Result<Child> {
    command(launch).spawn()
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
