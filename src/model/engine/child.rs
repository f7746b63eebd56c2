//! One child process and its pipes.
//!
//! Data in: [`ToEngine`] messages. Data out: the answer to each, by id. Invariants: every question
//! is answered once, with a message or with the reason why none can come; the process and all it
//! started end with this value at the latest.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::EngineCommand;
use crate::types::generate::ProviderError;
use crate::types::protocol::{FromEngine, ToEngine};

/// Lines of standard error kept as last words.
const LAST_WORDS_LINES: usize = 20;
/// Characters kept of each.
const LAST_WORDS_CHARACTERS: usize = 400;
/// How long the pipes of a dead process are read on: something it started may hold them open.
const DRAIN: Duration = Duration::from_secs(1);
/// Head of the queue when it is empty; ids start at 1.
const NOBODY: u64 = 0;

#[cfg(unix)]
type Process = Box<dyn process_wrap::tokio::ChildWrapper>;
#[cfg(not(unix))]
type Process = tokio::process::Child;

/// A running child.
pub(super) struct Child {
    pid: Option<u32>,
    shared: Arc<Shared>,
}

/// What the tasks around a process share.
struct Shared {
    state: Mutex<State>,
    /// The id whose turn it is.
    turn: watch::Sender<u64>,
    /// Set to end the process now.
    kill: CancellationToken,
    /// Set when the process has ended and everything is answered.
    ended: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Questions in the order they were asked.
    pending: VecDeque<(u64, oneshot::Sender<FromEngine>)>,
    /// Lines on their way to the process; `None` when its input is closed.
    lines: Option<mpsc::UnboundedSender<String>>,
    last_words: VecDeque<String>,
    /// Why we killed it.
    killed_because: Option<String>,
    /// How it ended.
    obituary: Option<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_turn(&self, state: &State) {
        let head = state.pending.front().map_or(NOBODY, |(id, _)| *id);
        self.turn.send_replace(head);
    }

    fn send(&self, message: &ToEngine) {
        if let (Ok(line), Some(lines)) = (serde_json::to_string(message), &self.state().lines) {
            // A closed channel means that the process is gone; its end answers everything.
            let _ = lines.send(line);
        }
    }

    fn crashed(&self) -> ProviderError {
        ProviderError::Crashed {
            detail: self
                .state()
                .obituary
                .clone()
                .unwrap_or_else(|| "it is shutting down".to_owned()),
        }
    }
}

impl Child {
    /// Starts a process. Must be called within a tokio runtime.
    pub(super) fn start(command: &EngineCommand) -> Result<Self, ProviderError> {
        let mut process = spawn(command).map_err(|error| ProviderError::Crashed {
            detail: format!("`{}` cannot be started: {error}", command.program.display()),
        })?;
        let (Some(input), Some(output), Some(errors)) = take_pipes(&mut process) else {
            return Err(ProviderError::Crashed {
                detail: "its pipes are missing".to_owned(),
            });
        };
        let (lines, outgoing) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                lines: Some(lines),
                ..State::default()
            }),
            turn: watch::Sender::new(NOBODY),
            kill: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let pid = process.id();
        tokio::spawn(write_lines(input, outgoing));
        tokio::spawn(supervise(process, output, errors, Arc::clone(&shared)));
        Ok(Self { pid, shared })
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    pub(super) fn is_alive(&self) -> bool {
        !self.shared.kill.is_cancelled()
            && !self.shared.ended.is_cancelled()
            && self.shared.state().obituary.is_none()
    }

    /// Sends a question; the answer comes to what this returns.
    pub(super) fn ask(&self, id: u64, message: &ToEngine) -> Result<Answer, ProviderError> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.shared.state();
            if state.obituary.is_some() {
                drop(state);
                return Err(self.shared.crashed());
            }
            state.pending.push_back((id, sender));
            self.shared.update_turn(&state);
        }
        self.shared.send(message);
        Ok(Answer {
            id,
            receiver,
            shared: Arc::clone(&self.shared),
            done: false,
        })
    }

    /// Whether the process should be working on this question now.
    pub(super) fn is_turn_of(&self, id: u64) -> bool {
        *self.shared.turn.borrow() == id
    }

    /// Waits until the process should be working on this question.
    pub(super) async fn turn_of(&self, id: u64) {
        // The sender lives as long as `self`, so this does not fail.
        let _ = self
            .shared
            .turn
            .subscribe()
            .wait_for(|turn| *turn == id)
            .await;
    }

    /// Ends the process's input, which asks it to end.
    pub(super) fn close_input(&self) {
        self.shared.state().lines = None;
    }

    /// Waits until the process has ended.
    pub(super) async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Kills the process and what it started.
    pub(super) fn kill(&self, because: &str) {
        self.shared
            .state()
            .killed_because
            .get_or_insert_with(|| because.to_owned());
        self.shared.kill.cancel();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill("it is no longer needed");
    }
}

/// A question on its way. Dropped before it is answered, it cancels the question.
pub(super) struct Answer {
    id: u64,
    receiver: oneshot::Receiver<FromEngine>,
    shared: Arc<Shared>,
    done: bool,
}

impl Answer {
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Waits for the answer; safe to drop and call again.
    pub(super) async fn wait(&mut self) -> Result<FromEngine, ProviderError> {
        let received = (&mut self.receiver).await;
        self.done = true;
        received.map_err(|_closed| self.shared.crashed())
    }

    /// The same, once.
    pub(super) async fn received(mut self) -> Result<FromEngine, ProviderError> {
        self.wait().await
    }

    /// Asks the process to stop working on this question.
    pub(super) fn cancel(&self) {
        self.shared.send(&ToEngine::Cancel { id: self.id });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.done {
            self.cancel();
        }
    }
}

fn prepared(command: &EngineCommand) -> Command {
    let mut prepared = Command::new(&command.program);
    prepared
        .args(&command.arguments)
        .env_clear()
        // The failed assertion is the last word then, not a page of addresses.
        .env("GGML_NO_BACKTRACE", "1")
        .envs(
            command
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    prepared
}

#[cfg(unix)]
fn spawn(command: &EngineCommand) -> std::io::Result<Process> {
    use process_wrap::tokio::{CommandWrap, KillOnDrop, ProcessGroup};
    let mut wrapped = CommandWrap::from(prepared(command));
    wrapped.wrap(KillOnDrop).wrap(ProcessGroup::leader());
    wrapped.spawn()
}

#[cfg(not(unix))]
fn spawn(command: &EngineCommand) -> std::io::Result<Process> {
    prepared(command).spawn()
}

type Pipes = (Option<ChildStdin>, Option<ChildStdout>, Option<ChildStderr>);

#[cfg(unix)]
fn take_pipes(process: &mut Process) -> Pipes {
    (
        process.stdin().take(),
        process.stdout().take(),
        process.stderr().take(),
    )
}

#[cfg(not(unix))]
fn take_pipes(process: &mut Process) -> Pipes {
    (
        process.stdin.take(),
        process.stdout.take(),
        process.stderr.take(),
    )
}

/// Writes lines until there are no more, then closes the pipe.
async fn write_lines(mut input: ChildStdin, mut lines: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = lines.recv().await {
        line.push('\n');
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            // The process reads no more: its end, seen elsewhere, answers everything.
            break;
        }
    }
}

/// Waits for the end of the process, or brings it about, and then answers what is left.
async fn supervise(
    mut process: Process,
    output: ChildStdout,
    errors: ChildStderr,
    shared: Arc<Shared>,
) {
    let mut readers = tokio::task::JoinSet::new();
    readers.spawn(read_answers(output, Arc::clone(&shared)));
    readers.spawn(read_last_words(errors, Arc::clone(&shared)));
    let status = tokio::select! {
        status = process.wait() => status,
        () = shared.kill.cancelled() => {
            // It may have ended on its own a moment ago.
            let _ = process.start_kill();
            process.wait().await
        }
    };
    // Answers written before the end still count.
    let _ = tokio::time::timeout(DRAIN, async {
        while readers.join_next().await.is_some() {}
    })
    .await;
    bury(&shared, &status);
}

fn bury(shared: &Shared, status: &std::io::Result<ExitStatus>) {
    let mut state = shared.state();
    let mut obituary = match status {
        Ok(status) => status.to_string(),
        Err(error) => format!("its end could not be seen: {error}"),
    };
    if let Some(because) = &state.killed_because {
        obituary = format!("{obituary}, killed because {because}");
    }
    if !state.last_words.is_empty() {
        let words: Vec<&str> = state.last_words.iter().map(String::as_str).collect();
        obituary = format!("{obituary}; its last words: {}", words.join(" | "));
    }
    state.obituary = Some(obituary);
    state.lines = None;
    // Dropping the senders tells those who wait.
    state.pending.clear();
    shared.update_turn(&state);
    drop(state);
    shared.ended.cancel();
}

async fn read_answers(output: ChildStdout, shared: Arc<Shared>) {
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<FromEngine>(&line) {
            Ok(message) => deliver(&shared, message),
            Err(error) => {
                let start: String = line.chars().take(80).collect();
                shared
                    .state()
                    .killed_because
                    .get_or_insert_with(|| format!("it broke the protocol: {error} in `{start}`"));
                shared.kill.cancel();
                return;
            }
        }
    }
}

fn deliver(shared: &Shared, message: FromEngine) {
    let id = match &message {
        FromEngine::Loaded { id, .. }
        | FromEngine::Healthy { id }
        | FromEngine::Reply { id, .. }
        | FromEngine::Error { id, .. } => *id,
    };
    let mut state = shared.state();
    let Some(index) = state.pending.iter().position(|(asked, _)| *asked == id) else {
        return;
    };
    if let Some((_, sender)) = state.pending.remove(index) {
        // Nobody waits for a question that was cancelled while queued.
        let _ = sender.send(message);
    }
    shared.update_turn(&state);
}

async fn read_last_words(errors: ChildStderr, shared: Arc<Shared>) {
    let mut lines = BufReader::new(errors).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let mut state = shared.state();
        if state.last_words.len() == LAST_WORDS_LINES {
            state.last_words.pop_front();
        }
        state
            .last_words
            .push_back(line.chars().take(LAST_WORDS_CHARACTERS).collect());
    }
}
