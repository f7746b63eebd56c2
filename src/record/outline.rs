//! A run's outline: what became of each trial and how long it took, without what was said in it.
//!
//! Data in: a run directory. Data out: an [`Outline`]. Invariants: the same lines count as in
//! [`Run`](super::Run); fields that are not asked for are skipped unread, which makes hundreds of runs
//! quick to read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::files;
use super::format::{CellHeader, RescoredFrom};
use super::reader::{ReadError, check_version, read_lines, read_text};
use crate::types::{ContentHash, Outcome, TrialTime};

/// A run without its content.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Its directory.
    pub directory: PathBuf,
    /// Of its header.
    pub header: OutlineHeader,
    /// Trials that count: the last line of each id, in plan order.
    pub trials: Vec<OutlineTrial>,
}

/// What identifies a run and its cells.
#[derive(Clone, Debug, Deserialize)]
pub struct OutlineHeader {
    /// Version of the judging rules.
    pub scorer_version: u32,
    /// Version of toolbench.
    pub toolbench_version: String,
    /// Name of the run.
    pub run: String,
    /// When it was created.
    pub created_at: String,
    /// Hash of everything that decides replies and verdicts.
    pub plan_hash: ContentHash,
    /// Models.
    pub models: Vec<OutlineModel>,
    /// Cells in plan order.
    pub cells: Vec<CellHeader>,
    /// The run stops once decided, so not all that is planned has to be there.
    #[serde(default)]
    pub looks: Option<serde::de::IgnoredAny>,
    /// The run that this one judges again.
    #[serde(default)]
    pub rescored_from: Option<RescoredFrom>,
    /// `i/n` of a shard.
    #[serde(default)]
    pub shard: Option<(u32, u32)>,
    /// Shards that a merged run was made of.
    #[serde(default)]
    pub merged_from: Vec<OutlineShard>,
}

/// A shard of a merged run.
#[derive(Clone, Debug, Deserialize)]
pub struct OutlineShard {
    /// The run.
    pub run: String,
}

/// What a model is known by.
#[derive(Clone, Debug, Deserialize)]
pub struct OutlineModel {
    /// As the user named it.
    pub name: String,
    /// SHA-256 of the weights.
    #[serde(default)]
    pub weights_sha256: Option<String>,
    /// Of what the provider said.
    pub facts: OutlineFacts,
    /// Legs of a hybrid.
    #[serde(default)]
    pub legs: Vec<OutlineModel>,
}

/// Of what a provider said.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct OutlineFacts {
    /// The model's own name.
    pub reported_name: String,
    /// Build of the engine or server.
    pub engine_build: String,
}

/// What became of a trial.
#[derive(Clone, Debug, Deserialize)]
pub struct OutlineTrial {
    /// Stable id.
    pub id: String,
    /// Position in the plan.
    pub position: usize,
    /// Its cell.
    pub cell_id: String,
    /// Its case.
    pub case: String,
    /// Hash of what is asked and expected.
    pub case_hash: ContentHash,
    /// Hash of what is offered.
    pub offer_hash: ContentHash,
    /// What became of it.
    pub outcome: Outcome,
    /// Where time went.
    pub time: TrialTime,
    /// When it began.
    pub started_at: String,
    /// The machine was busy meanwhile.
    #[serde(default)]
    pub noisy: bool,
    /// Replies came from a cassette.
    #[serde(default)]
    pub replayed: bool,
}

impl Outline {
    /// Reads it.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let path = directory.join(files::HEADER);
        let text = read_text(&path)?;
        check_version(&path, &text)?;
        let header = serde_json::from_str(&text).map_err(|source| ReadError::Line {
            line: source.line(),
            path,
            source,
        })?;
        let (lines, _) = read_lines::<OutlineTrial>(&directory.join(files::TRIALS))?;
        let mut last: HashMap<String, OutlineTrial> = HashMap::new();
        for trial in lines {
            last.insert(trial.id.clone(), trial);
        }
        let mut trials: Vec<OutlineTrial> = last.into_values().collect();
        trials.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
        Ok(Self {
            directory: directory.to_path_buf(),
            header,
            trials,
        })
    }

    /// When its first trial began; when it was created where it has none. A run that was merged or
    /// judged again keeps its place in time.
    pub fn started_at(&self) -> &str {
        let starts = self.trials.iter().map(|trial| trial.started_at.as_str());
        starts.min().unwrap_or(&self.header.created_at)
    }
}
