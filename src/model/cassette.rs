//! Replies kept in a file: recorded from any provider, and played again without it.
//!
//! Data in: requests. Data out: replies, from the file or from the provider behind it. Invariants: a
//! reply is found by everything that could shape it, and by which attempt it answers; a key that
//! stands for two requests, or for two replies, is refused; faults of transport are never recorded;
//! nothing that was recorded is lost: each reply is appended at once, and the file is sorted when it
//! is closed; a replayed reply has no times.

mod file;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

pub use self::file::{CASSETTE_VERSION, CassetteError, CassetteModel};
use self::file::{Entry, Line, Outcome, Shape, Stored};
use super::Provider;
use crate::types::facts::CassetteFacts;
use crate::types::{GenerateReply, GenerateRequest, ModelFacts, ProviderError, Timing};

/// What a cassette does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CassetteMode {
    /// Asks the provider and keeps what it says.
    Record,
    /// Answers from the file only.
    Replay,
    /// Answers from the file, and asks where it has nothing.
    #[default]
    Auto,
}

impl CassetteMode {
    /// Every value, in the order shown.
    pub const ALL: [Self; 3] = [Self::Record, Self::Replay, Self::Auto];

    /// The name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Replay => "replay",
            Self::Auto => "auto",
        }
    }
}

impl std::str::FromStr for CassetteMode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not one of record, replay, auto"))
    }
}

/// A file of replies, shared by the models of a run.
pub struct Cassette {
    name: String,
    mode: CassetteMode,
    state: Mutex<State>,
}

struct State {
    stored: Stored,
    /// Keys recorded by this process: a second reply to one of them must be the same.
    fresh: HashSet<String>,
    /// How often each request without a context was asked: probes ask the same again on purpose.
    asked: HashMap<String, u32>,
}

impl Cassette {
    /// Opens a file; only one that is to be replayed must be there. `name` is shown in its place.
    pub fn open(path: &Path, name: &str, mode: CassetteMode) -> Result<Arc<Self>, CassetteError> {
        let mut stored = Stored::open(path, mode == CassetteMode::Replay)?;
        if mode == CassetteMode::Record {
            stored.clear();
        }
        Ok(Arc::new(Self {
            name: name.to_owned(),
            mode,
            state: Mutex::new(State {
                stored,
                fresh: HashSet::new(),
                asked: HashMap::new(),
            }),
        }))
    }

    /// What it does.
    pub fn mode(&self) -> CassetteMode {
        self.mode
    }

    /// What a model said of itself when it was recorded.
    pub fn facts(&self, model: &CassetteModel) -> Option<ModelFacts> {
        self.state().stored.facts(model).cloned()
    }

    /// The model recorded under a name for a context; refused where there are two.
    pub fn recorded_as(
        &self,
        name: &str,
        context_tokens: u32,
    ) -> Result<CassetteModel, ProviderError> {
        let state = self.state();
        let found: Vec<&CassetteModel> = state
            .stored
            .models()
            .filter(|model| model.name == name && model.context_tokens == context_tokens)
            .collect();
        match found.as_slice() {
            [only] => Ok((*only).clone()),
            [] => {
                let known: Vec<String> = state.stored.models().map(ToString::to_string).collect();
                Err(self.rejected(&format!(
                    "it holds nothing of `{name}` with a context of {context_tokens}; recorded were: \
                     {}; record it anew with `--cassette-mode record`",
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )))
            }
            _ => Err(self.rejected(&format!(
                "it holds two different models called `{name}`; record it anew with \
                 `--cassette-mode record`"
            ))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How facts are marked in a run that replays.
    fn mark(&self) -> Option<CassetteFacts> {
        (self.mode != CassetteMode::Record).then(|| CassetteFacts {
            file: self.name.clone(),
            partly_live: self.mode == CassetteMode::Auto,
        })
    }

    fn rejected(&self, detail: &str) -> ProviderError {
        ProviderError::Rejected {
            detail: format!("cassette {}: {detail}", self.name),
        }
    }
}

/// A provider with a cassette before it.
pub struct CassetteProvider {
    cassette: Arc<Cassette>,
    /// What the model is known by; replies recorded from another are never given.
    model: CassetteModel,
    inner: Option<Arc<dyn Provider>>,
}

impl CassetteProvider {
    /// `inner` may be missing where nothing is to be asked.
    pub fn new(
        cassette: Arc<Cassette>,
        model: CassetteModel,
        inner: Option<Arc<dyn Provider>>,
    ) -> Self {
        Self {
            cassette,
            model,
            inner,
        }
    }

    fn inner(&self) -> Result<&Arc<dyn Provider>, ProviderError> {
        self.inner
            .as_ref()
            .ok_or_else(|| self.cassette.rejected("there is nobody to ask"))
    }

    async fn facts(&self) -> Result<ModelFacts, ProviderError> {
        let known = match self.cassette.mode {
            CassetteMode::Record => None,
            CassetteMode::Replay | CassetteMode::Auto => self.cassette.facts(&self.model),
        };
        let mut facts = match known {
            Some(facts) => facts,
            None if self.cassette.mode == CassetteMode::Replay => {
                return Err(self.cassette.rejected(&self.stale()));
            }
            None if self.is_another() => return Err(self.cassette.rejected(&self.stale())),
            None => {
                let facts = self.inner()?.describe().await?;
                self.keep_facts(without_measurements(facts.clone()))?;
                facts
            }
        };
        facts.cassette = self.cassette.mark();
        Ok(facts)
    }

    fn keep_facts(&self, facts: ModelFacts) -> Result<(), ProviderError> {
        let mut state = self.cassette.state();
        if state.stored.facts(&self.model) == Some(&facts) {
            return Ok(());
        }
        let line = Line::Model {
            model: self.model.clone(),
            facts: Box::new(facts),
        };
        state.stored.add(line).map_err(|error| not_written(&error))
    }

    /// Why there are no facts of this model.
    fn stale(&self) -> String {
        let state = self.cassette.state();
        let known: Vec<String> = state.stored.models().map(ToString::to_string).collect();
        format!(
            "it was recorded from another model: {}, not {}; record it anew with \
             `--cassette-mode record`",
            known.join(", "),
            self.model
        )
    }

    /// The file has another model of the same name: replies of both would stand side by side.
    fn is_another(&self) -> bool {
        let state = self.cassette.state();
        let mut models = state.stored.models();
        models.any(|known| {
            known.name == self.model.name
                && known.context_tokens == self.model.context_tokens
                && *known != self.model
        })
    }

    async fn answer(
        &self,
        request: &GenerateRequest,
        cancel: &CancellationToken,
    ) -> Result<GenerateReply, ProviderError> {
        let shape = {
            let mut state = self.cassette.state();
            let repeat = if request.context.is_some() {
                0
            } else {
                let bare = Shape::of(&self.model, request, 0).key();
                let asked = state.asked.entry(bare).or_default();
                *asked += 1;
                *asked - 1
            };
            Shape::of(&self.model, request, repeat)
        };
        if self.cassette.mode != CassetteMode::Record
            && let Some(found) = self.recorded(&shape)?
        {
            return found;
        }
        if self.cassette.mode == CassetteMode::Replay {
            return Err(self.cassette.rejected(&self.missing(&shape)));
        }
        let answer = self.inner()?.generate(request, cancel).await;
        self.record(shape, &answer)?;
        answer
    }

    /// The recorded reply, without times; an error where the key stands for another request.
    fn recorded(
        &self,
        shape: &Shape,
    ) -> Result<Option<Result<GenerateReply, ProviderError>>, ProviderError> {
        let state = self.cassette.state();
        let Some(entry) = state.stored.entry(&shape.key()) else {
            return Ok(None);
        };
        if entry.shape != *shape {
            return Err(self.cassette.rejected(&format!(
                "key {} stands for another request; the file was changed by hand",
                shape.key()
            )));
        }
        Ok(Some(match &entry.outcome {
            Outcome::Reply(reply) => Ok(untimed((**reply).clone())),
            Outcome::Error(error) => Err(error.clone()),
        }))
    }

    /// What is missing, and what has changed against the recorded request of the same attempt.
    fn missing(&self, shape: &Shape) -> String {
        let state = self.cassette.state();
        let changed = state
            .stored
            .of_attempt(shape)
            .map(|entry| entry.shape.changed(shape));
        let why = match changed {
            Some(parts) => format!("since it was recorded, changed: {}", parts.join(", ")),
            None => "this attempt was not recorded".to_owned(),
        };
        format!(
            "no reply for {}: {why}; record anew with `--cassette-mode record`, or add what is \
             missing with `--cassette-mode auto`",
            shape.attempt_name()
        )
    }

    fn record(
        &self,
        shape: Shape,
        answer: &Result<GenerateReply, ProviderError>,
    ) -> Result<(), ProviderError> {
        let outcome = match answer {
            Ok(reply) => Outcome::Reply(Box::new(untimed(reply.clone()))),
            Err(error) if belongs_to_request(error) => Outcome::Error(error.clone()),
            Err(_) => return Ok(()),
        };
        let key = shape.key();
        let mut state = self.cassette.state();
        if state.fresh.contains(&key)
            && let Some(known) = state.stored.entry(&key)
        {
            if known.outcome.says_the_same(&outcome) {
                return Ok(());
            }
            return Err(self.cassette.rejected(&format!(
                "{} was answered twice and differently; one key cannot hold both",
                shape.attempt_name()
            )));
        }
        state.fresh.insert(key.clone());
        let entry = Entry {
            key,
            shape,
            outcome,
        };
        state
            .stored
            .add(Line::Reply(Box::new(entry)))
            .map_err(|error| not_written(&error))
    }
}

/// Failures that the same request would meet again: part of what is recorded.
fn belongs_to_request(error: &ProviderError) -> bool {
    matches!(
        error,
        ProviderError::GrammarRejected { .. } | ProviderError::ContextOverflow { .. }
    )
}

fn not_written(error: &CassetteError) -> ProviderError {
    ProviderError::Rejected {
        detail: error.to_string(),
    }
}

/// A reply without what a repetition would measure otherwise.
fn untimed(reply: GenerateReply) -> GenerateReply {
    GenerateReply {
        timing: Timing::default(),
        token_marks: Vec::new(),
        peak_memory_bytes: None,
        ..reply
    }
}

/// Facts as they are the same on every machine and at every time.
fn without_measurements(facts: ModelFacts) -> ModelFacts {
    ModelFacts {
        load_ms: None,
        grammar_setup_ms: None,
        predicted_memory_bytes: None,
        peak_memory_bytes: None,
        ..facts
    }
}

impl Provider for CassetteProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(self.facts())
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(self.answer(request, cancel))
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ProviderError>> {
        Box::pin(async {
            match (&self.inner, self.cassette.mode) {
                (Some(inner), CassetteMode::Record) => inner.health().await,
                // What the file lacks is asked for when it turns out to be lacking.
                _ => Ok(()),
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(inner) = &self.inner {
                inner.close().await;
            }
            // Everything is in the file already; this only puts it in order.
            let _ = self.cassette.state().stored.sort();
        })
    }
}
