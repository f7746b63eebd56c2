//! The file of a cassette: one JSON text a line, sorted.
//!
//! Data in and out: a head with the version, models with their facts, requests with their replies.
//! Invariants: equal content is an equal file, whatever the order of recording; another version is
//! refused; a torn last line, as a kill leaves it, is left out; no header and no key of a service
//! comes here, since requests and replies hold none.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::types::generate::RequestContext;
use crate::types::{
    ContentHash, GenerateReply, GenerateRequest, ModelFacts, ProviderError, Sampling,
};

/// Version of the file.
pub const CASSETTE_VERSION: u32 = 1;

/// A cassette that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CassetteError {
    /// Nothing is there to be replayed.
    #[error("cassette {path} is not there; record it with `--cassette-mode record`", path = .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("cassette {path}: {source}", path = .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is of another version.
    #[error("cassette {path} is of version {found}, and this toolbench reads {CASSETTE_VERSION}; record it anew with `--cassette-mode record`", path = .path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// A line cannot be read, or contradicts another.
    #[error("cassette {path}, line {line}: {why}", path = .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// A model as a cassette knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CassetteModel {
    /// As the user named it.
    pub name: String,
    /// What it is known by: weights, address, program.
    pub identity: String,
    /// Context that was asked for.
    pub context_tokens: u32,
}

impl std::fmt::Display for CassetteModel {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}, context {})",
            self.name, self.identity, self.context_tokens
        )
    }
}

/// Everything that shapes a reply, long texts by their hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    model: CassetteModel,
    prompt: ContentHash,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    constraint: Option<ContentHash>,
    sampling: Sampling,
    seed: u64,
    max_tokens: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    stop: Vec<String>,
    stream: bool,
    time_limit_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<RequestContext>,
    /// Which of several equal requests that belong to no attempt.
    #[serde(default, skip_serializing_if = "is_zero")]
    repeat: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The order of keys counts: it is part of a prompt.
fn hash<T: Serialize>(value: &T) -> ContentHash {
    ContentHash::of_bytes(&serde_json::to_vec(value).unwrap_or_default())
}

impl Shape {
    pub(super) fn of(model: &CassetteModel, request: &GenerateRequest, repeat: u32) -> Self {
        Self {
            model: model.clone(),
            prompt: hash(&request.prompt),
            constraint: request.constraint.as_ref().map(hash),
            sampling: request.sampling.clone(),
            seed: request.seed,
            max_tokens: request.max_tokens,
            stop: request.stop.clone(),
            stream: request.stream,
            time_limit_ms: request.time_limit_ms,
            attempt: request.context.clone(),
            repeat,
        }
    }

    pub(super) fn key(&self) -> String {
        ContentHash::of_value(self).0
    }

    /// The names of what differs.
    pub(super) fn changed(&self, other: &Self) -> Vec<&'static str> {
        [
            (
                "prompt (or template, tools, system prompt)",
                self.prompt != other.prompt,
            ),
            ("constraint", self.constraint != other.constraint),
            ("sampling", self.sampling != other.sampling),
            ("seed", self.seed != other.seed),
            ("max-tokens", self.max_tokens != other.max_tokens),
            ("stop texts", self.stop != other.stop),
            ("streaming", self.stream != other.stream),
            ("timeout", self.time_limit_ms != other.time_limit_ms),
        ]
        .into_iter()
        .filter_map(|(name, differs)| differs.then_some(name))
        .collect()
    }

    pub(super) fn attempt_name(&self) -> String {
        match &self.attempt {
            Some(attempt) => format!(
                "{}/{}, trial {}, request {}",
                attempt.suite,
                attempt.case,
                attempt.trial,
                attempt.request + 1
            ),
            None => format!("a request of no case ({})", self.prompt.short()),
        }
    }
}

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Reply(Box<GenerateReply>),
    Error(ProviderError),
}

impl Outcome {
    /// The same but for times and memory.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Reply(one), Self::Reply(two)) => {
                (
                    &one.text,
                    &one.calls,
                    &one.executed,
                    &one.reasoning,
                    one.stop_reason,
                ) == (
                    &two.text,
                    &two.calls,
                    &two.executed,
                    &two.reasoning,
                    two.stop_reason,
                )
            }
            (one, two) => one == two,
        }
    }
}

/// One request and what it came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) shape: Shape,
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Line {
    Head {
        version: u32,
    },
    Model {
        model: CassetteModel,
        facts: Box<ModelFacts>,
    },
    Reply(Box<Entry>),
}

/// A cassette in memory, and its file.
pub(super) struct Stored {
    path: PathBuf,
    models: BTreeMap<CassetteModel, ModelFacts>,
    entries: BTreeMap<String, Entry>,
    /// What was appended and not yet sorted in.
    unsorted: bool,
    /// The file has a head.
    begun: bool,
}

impl Stored {
    pub(super) fn open(path: &Path, must_exist: bool) -> Result<Self, CassetteError> {
        let mut stored = Self {
            path: path.to_path_buf(),
            models: BTreeMap::new(),
            entries: BTreeMap::new(),
            unsorted: false,
            begun: false,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                if must_exist {
                    let path = stored.path;
                    return Err(CassetteError::Missing { path });
                }
                return Ok(stored);
            }
            Err(source) => return Err(stored.io(source)),
        };
        stored.read(&text)?;
        Ok(stored)
    }

    fn io(&self, source: std::io::Error) -> CassetteError {
        CassetteError::Io {
            path: self.path.clone(),
            source,
        }
    }

    fn read(&mut self, text: &str) -> Result<(), CassetteError> {
        let whole = text.ends_with('\n');
        let lines: Vec<&str> = text.lines().collect();
        for (index, text) in lines.iter().enumerate() {
            let line = match serde_json::from_str::<Line>(text) {
                Ok(line) => line,
                Err(_) if index + 1 == lines.len() && !whole => {
                    // A kill came in between; the file is put in order with the next close.
                    self.unsorted = true;
                    break;
                }
                Err(error) => return Err(self.fault(index, error.to_string())),
            };
            match line {
                Line::Head { version } if version == CASSETTE_VERSION => self.begun = true,
                Line::Head { version } => {
                    return Err(CassetteError::Version {
                        path: self.path.clone(),
                        found: version,
                    });
                }
                _ if !self.begun => {
                    return Err(self.fault(index, "the file has no head of a cassette".to_owned()));
                }
                line => self.take(line).map_err(|why| self.fault(index, why))?,
            }
        }
        Ok(())
    }

    fn fault(&self, index: usize, why: String) -> CassetteError {
        CassetteError::Line {
            path: self.path.clone(),
            line: index + 1,
            why,
        }
    }

    /// Takes a line that was read; two that contradict one another are refused.
    fn take(&mut self, line: Line) -> Result<(), String> {
        match line {
            Line::Head { .. } => {}
            Line::Model { model, facts } => {
                self.models.insert(model, *facts);
            }
            Line::Reply(entry) => {
                if entry.key != entry.shape.key() {
                    return Err(format!("key {} is not that of its request", entry.key));
                }
                if let Some(known) = self.entries.get(&entry.key)
                    && !known.outcome.says_the_same(&entry.outcome)
                {
                    return Err(format!(
                        "key {} collides: another line has another reply to it",
                        entry.key
                    ));
                }
                self.entries.insert(entry.key.clone(), *entry);
            }
        }
        Ok(())
    }

    /// Forgets what there is: the file is begun anew with the first line.
    pub(super) fn clear(&mut self) {
        self.models.clear();
        self.entries.clear();
        self.begun = false;
        self.unsorted = true;
    }

    pub(super) fn models(&self) -> impl Iterator<Item = &CassetteModel> {
        self.models.keys()
    }

    pub(super) fn facts(&self, model: &CassetteModel) -> Option<&ModelFacts> {
        self.models.get(model)
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The entry of the same attempt of the same model, whatever was sent.
    pub(super) fn of_attempt(&self, shape: &Shape) -> Option<&Entry> {
        shape.attempt.as_ref()?;
        self.entries
            .values()
            .find(|entry| entry.shape.attempt == shape.attempt && entry.shape.model == shape.model)
    }

    /// Adds a line, in memory and at the end of the file.
    pub(super) fn add(&mut self, line: Line) -> Result<(), CassetteError> {
        let mut text = String::new();
        if !self.begun {
            text.push_str(&written(&Line::Head {
                version: CASSETTE_VERSION,
            }));
        }
        text.push_str(&written(&line));
        let mut options = std::fs::OpenOptions::new();
        options.create(true);
        if self.begun {
            options.append(true);
        } else {
            options.write(true).truncate(true);
        }
        options
            .open(&self.path)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|source| self.io(source))?;
        self.begun = true;
        self.unsorted = true;
        match line {
            Line::Head { .. } => {}
            Line::Model { model, facts } => {
                self.models.insert(model, *facts);
            }
            Line::Reply(entry) => {
                self.entries.insert(entry.key.clone(), *entry);
            }
        }
        Ok(())
    }

    /// Writes the file anew, sorted, where something was added; replaces it in one step.
    pub(super) fn sort(&mut self) -> Result<(), CassetteError> {
        if !self.unsorted || !self.begun {
            return Ok(());
        }
        let mut text = written(&Line::Head {
            version: CASSETTE_VERSION,
        });
        for (model, facts) in &self.models {
            text.push_str(&written(&Line::Model {
                model: model.clone(),
                facts: Box::new(facts.clone()),
            }));
        }
        let mut entries: Vec<&Entry> = self.entries.values().collect();
        entries.sort_by_key(|entry| entry.place());
        for entry in entries {
            text.push_str(&written(&Line::Reply(Box::new(entry.clone()))));
        }
        let folder = self
            .path
            .parent()
            .filter(|path| !path.as_os_str().is_empty());
        let result = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))
            .and_then(|mut file| file.write_all(text.as_bytes()).map(|()| file))
            .and_then(|file| file.persist(&self.path).map_err(|error| error.error));
        result.map_err(|source| self.io(source))?;
        self.unsorted = false;
        Ok(())
    }
}

impl Entry {
    /// Where it stands: by model, case, trial and request, so that a reader finds it and a changed
    /// prompt changes its line and no other's place.
    fn place(&self) -> impl Ord + use<> {
        let attempt = self.shape.attempt.clone();
        let place = attempt.map(|it| (it.suite, it.case, it.trial, it.request, it.attempt));
        (
            self.shape.model.clone(),
            place,
            self.shape.repeat,
            self.key.clone(),
        )
    }
}

fn written(line: &Line) -> String {
    // Keys stay as they are: the order of a call's arguments is part of the next prompt.
    let mut text = serde_json::to_string(line).unwrap_or_default();
    text.push('\n');
    text
}
