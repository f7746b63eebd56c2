//! Models served by a child process that speaks the engine protocol.
//!
//! Data in: [`GenerateRequest`]s. Data out: [`GenerateReply`]s. Invariants: a child that dies costs
//! the requests it had in flight and no others: each is answered with `Crashed`, and the next call
//! starts and loads a new child; a child that ignores a time limit or a cancellation is killed; the
//! child sees no environment but the names in [`PASSED_ENVIRONMENT`]; nothing here reads the
//! environment itself.

mod child;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::child::{Answer, Child};
use super::Provider;
use crate::types::facts::ModelFacts;
use crate::types::generate::{GenerateReply, GenerateRequest, ProviderError};
use crate::types::protocol::{EngineSettings, FromEngine, PROTOCOL_VERSION, ToEngine};

/// How long past its own limit a child may take before it is killed.
const LIMIT_GRACE: Duration = Duration::from_secs(5);
/// How long a child may take to answer a cancelled request.
const CANCEL_GRACE: Duration = Duration::from_secs(2);
/// How long a child may take to load a model: the largest from a slow disk, and then some.
const LOAD_LIMIT: Duration = Duration::from_mins(20);
/// How long a child may take to say that it is well.
const HEALTH_LIMIT: Duration = Duration::from_secs(10);
/// How long a child may take to end when its input has ended.
const CLOSE_GRACE: Duration = Duration::from_secs(3);

/// Names of variables that a child sees; a trailing `*` stands for any ending.
pub const PASSED_ENVIRONMENT: &[&str] = &[
    "PATH",
    "HOME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "OMP_*",
    "GGML_*",
    "CUDA_*",
];

/// How to start a child: any program that speaks the engine protocol.
#[derive(Clone, Debug)]
pub struct EngineCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl EngineCommand {
    /// A program with arguments. Of `environment`, only [`PASSED_ENVIRONMENT`] goes over.
    pub fn new(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            environment: environment
                .into_iter()
                .filter(|(name, _)| is_passed(name))
                .collect(),
        }
    }

    /// Passes further variables on, by name: what the user of a command says it needs.
    #[must_use]
    pub fn passing(
        mut self,
        names: &[String],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        let wanted = |name: &OsString| names.iter().any(|wanted| name.to_str() == Some(wanted));
        self.environment
            .extend(environment.into_iter().filter(|(name, _)| wanted(name)));
        self
    }

    /// toolbench's own engine: `<program> engine`.
    pub fn own(
        program: impl Into<PathBuf>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Self {
        Self::new(program, ["engine"], environment)
    }
}

fn is_passed(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    PASSED_ENVIRONMENT
        .iter()
        .any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == *pattern,
        })
}

/// A model in a child process.
pub struct EngineProvider {
    command: EngineCommand,
    settings: EngineSettings,
    running: Mutex<Option<Running>>,
    next_id: AtomicU64,
    /// Process id of the current child; 0 is none.
    pid: AtomicU32,
}

#[derive(Clone)]
struct Running {
    child: Arc<Child>,
    facts: ModelFacts,
    /// It answers `Health`.
    health: bool,
}

impl EngineProvider {
    /// A provider that starts its child with the first call.
    pub fn new(command: EngineCommand, settings: EngineSettings) -> Self {
        Self {
            command,
            settings,
            running: Mutex::new(None),
            next_id: AtomicU64::new(1),
            pid: AtomicU32::new(0),
        }
    }

    /// Process id of the child that runs now.
    pub fn pid(&self) -> Option<u32> {
        Some(self.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    fn id(&self) -> u64 {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The child, started and loaded if there is none alive.
    async fn running(&self) -> Result<Running, ProviderError> {
        let mut slot = self.running.lock().await;
        if let Some(running) = slot.as_ref().filter(|running| running.child.is_alive()) {
            return Ok(running.clone());
        }
        if let Some(dying) = slot.take() {
            self.pid.store(0, Ordering::Relaxed);
            dying.child.kill("it is to be replaced");
            // Two models at once might not fit.
            dying.child.ended().await;
        }
        let child = Arc::new(Child::start(&self.command)?);
        self.pid.store(child.pid().unwrap_or(0), Ordering::Relaxed);
        let (facts, health) = self.load(&child).await?;
        let running = Running {
            child,
            facts,
            health,
        };
        *slot = Some(running.clone());
        Ok(running)
    }

    async fn load(&self, child: &Child) -> Result<(ModelFacts, bool), ProviderError> {
        let id = self.id();
        let settings = self.settings.clone();
        let answer = child.ask(id, &ToEngine::Load { id, settings })?;
        let Ok(received) = tokio::time::timeout(LOAD_LIMIT, answer.received()).await else {
            child.kill("it did not load its model in time");
            return Err(ProviderError::Timeout {
                limit_ms: u64::try_from(LOAD_LIMIT.as_millis()).unwrap_or(u64::MAX),
            });
        };
        match received? {
            FromEngine::Loaded {
                protocol,
                mut facts,
                health,
                ..
            } if protocol == PROTOCOL_VERSION => {
                if facts.provider.is_empty() {
                    "command".clone_into(&mut facts.provider);
                }
                Ok((*facts, health))
            }
            FromEngine::Loaded { protocol, .. } => Err(ProviderError::Rejected {
                detail: format!(
                    "the engine speaks protocol {protocol} and toolbench {PROTOCOL_VERSION}"
                ),
            }),
            FromEngine::Error { error, .. } => Err(error),
            FromEngine::Reply { .. } | FromEngine::Healthy { .. } => Err(out_of_turn("load")),
        }
    }

    async fn reply(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let running = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(ProviderError::Cancelled),
            running = self.running() => running?,
        };
        let child = &*running.child;
        let id = self.id();
        let message = ToEngine::Generate {
            id,
            request: Box::new(request.clone()),
        };
        let mut answer = child.ask(id, &message)?;
        let received = tokio::select! {
            biased;
            received = answer.wait() => received,
            () = cancel.cancelled() => cancelled(child, &mut answer).await,
            () = overrun(child, id, request.time_limit_ms) => {
                child.kill("it ignored a time limit");
                Err(ProviderError::Timeout { limit_ms: request.time_limit_ms })
            }
        };
        match received? {
            FromEngine::Reply { reply, .. } => Ok(*reply),
            FromEngine::Error { error, .. } => Err(error),
            FromEngine::Loaded { .. } | FromEngine::Healthy { .. } => Err(out_of_turn("generate")),
        }
    }

    /// Whether the child would answer: it is there, and says so itself where it can.
    async fn well(&self) -> Result<(), ProviderError> {
        let running = self.running().await?;
        if !running.health {
            return Ok(());
        }
        let child = &*running.child;
        let id = self.id();
        let answer = child.ask(id, &ToEngine::Health { id })?;
        let Ok(received) = tokio::time::timeout(HEALTH_LIMIT, answer.received()).await else {
            child.kill("it did not say that it is well");
            return Err(ProviderError::Timeout {
                limit_ms: u64::try_from(HEALTH_LIMIT.as_millis()).unwrap_or(u64::MAX),
            });
        };
        match received? {
            FromEngine::Healthy { .. } => Ok(()),
            FromEngine::Error { error, .. } => Err(error),
            FromEngine::Loaded { .. } | FromEngine::Reply { .. } => Err(out_of_turn("health")),
        }
    }

    async fn end(&self) {
        let Some(running) = self.running.lock().await.take() else {
            return;
        };
        running.child.close_input();
        let ended = running.child.ended();
        if tokio::time::timeout(CLOSE_GRACE, ended).await.is_err() {
            running.child.kill("it did not end with its input");
            running.child.ended().await;
        }
        self.pid.store(0, Ordering::Relaxed);
    }
}

/// Waits until the request has had its turn for longer than its limit and the grace.
async fn overrun(child: &Child, id: u64, limit_ms: u64) {
    // The time in the queue is not the request's: the child answers in order.
    child.turn_of(id).await;
    tokio::time::sleep(Duration::from_millis(limit_ms).saturating_add(LIMIT_GRACE)).await;
}

/// Asks the child to stop a request, and kills it when it does not.
async fn cancelled(child: &Child, answer: &mut Answer) -> Result<FromEngine, ProviderError> {
    answer.cancel();
    if !child.is_turn_of(answer.id()) {
        // Still queued: its answer will come in its turn, to nobody.
        return Err(ProviderError::Cancelled);
    }
    match tokio::time::timeout(CANCEL_GRACE, answer.wait()).await {
        Ok(received) => received,
        Err(_elapsed) => {
            child.kill("it ignored a cancellation");
            Err(ProviderError::Cancelled)
        }
    }
}

fn out_of_turn(request: &str) -> ProviderError {
    ProviderError::Crashed {
        detail: format!("the engine answered `{request}` with something else"),
    }
}

impl Provider for EngineProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async { self.running().await.map(|running| running.facts) })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(self.reply(request, cancel))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(self.well())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_variables_go_over() {
        for (name, passed) in [
            ("PATH", true),
            ("OMP_NUM_THREADS", true),
            ("GGML_NO_BACKTRACE", true),
            ("PATHS", false),
            ("OPENAI_API_KEY", false),
            ("LD_PRELOAD", false),
        ] {
            assert_eq!(is_passed(OsStr::new(name)), passed, "{name}");
        }
    }
}
