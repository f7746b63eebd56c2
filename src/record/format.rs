//! The stored shapes of a run directory, and their versions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::privacy::PrivacyHeader;
pub use crate::types::Setting;
use crate::types::fingerprint::Fingerprint;
use crate::types::looks::LookPlan;
use crate::types::probe::ProbeSet;
use crate::types::shard::{MergedShard, WholePlan};
use crate::types::suite::Suite;
pub use crate::types::tool_server::{ToolPolicy, ToolServerHeader};
use crate::types::{
    CellKey, ContentHash, EarlyEnd, FallbackRules, ModelFacts, Price, Route, Variant,
};

/// Major and minor version of the run directory. A reader refuses a newer major.
pub const RECORD_VERSION: (u32, u32) = (1, 3);
/// Version of the judging rules; changes whenever a verdict could.
pub const SCORER_VERSION: u32 = 2;
/// Version of the formulas behind summaries; changes whenever a number could.
pub const METRICS_VERSION: u32 = 2;

/// `header.json`: everything a run needs to be understood, resumed and judged again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`RECORD_VERSION`] of the writer.
    pub record_version: (u32, u32),
    /// [`SCORER_VERSION`] of the writer.
    pub scorer_version: u32,
    /// [`METRICS_VERSION`] of the writer.
    pub metrics_version: u32,
    /// Version of the violation codes.
    pub taxonomy_version: u32,
    /// Version of toolbench.
    pub toolbench_version: String,
    /// Git revision of the build, with `-dirty` where it was; empty when unknown.
    pub toolbench_revision: String,
    /// Name of the run: its directory's name.
    pub run: String,
    /// When it was created.
    pub created_at: String,
    /// `run` or `compare`.
    pub command: String,
    /// Hash of everything that decides replies and verdicts; `--resume` needs the same.
    pub plan_hash: ContentHash,
    /// Suites as selected, e.g. `quick`.
    pub selection: Vec<String>,
    /// The cases are a sample of those selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleHeader>,
    /// The resolved suites, only the selected cases.
    pub suites: Vec<Suite>,
    /// Settings in force with their origin.
    pub settings: Vec<Setting>,
    /// Variants by name.
    pub variants: Vec<Variant>,
    /// Models in the order given.
    pub models: Vec<ModelHeader>,
    /// Cells in plan order.
    pub cells: Vec<CellHeader>,
    /// Cells that could not be run, with the reason.
    pub excluded: Vec<ExcludedCell>,
    /// What trying the servers out has shown before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeSet>,
    /// Trials planned.
    pub planned_trials: usize,
    /// Width of `tied`, in points of success rate.
    pub margin_points: f64,
    /// Tool servers that were used instead of the suites' own, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_servers: Vec<ToolServerHeader>,
    /// What could be called on them, and whether it was; absent without such servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_policy: Option<ToolPolicy>,
    /// The run that this one judges again, when it is no run of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescored_from: Option<RescoredFrom>,
    /// When the run looks whether it is decided; absent in a fixed design.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looks: Option<LookPlan>,
    /// What is kept of the content and what is redacted; absent where all is kept as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<PrivacyHeader>,
    /// `i/n` when the run is a shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard: Option<(u32, u32)>,
    /// The plan that a shard is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole: Option<WholePlan>,
    /// The shards that a merged run was made of, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<MergedShard>,
    /// The machine; of a merged run that of its first shard.
    pub fingerprint: Fingerprint,
}

/// Where a rescored record comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RescoredFrom {
    /// The run.
    pub run: String,
    /// Its scorer's version.
    pub scorer_version: u32,
    /// Trials that could not be judged again, because they would have gone another way.
    pub left_out: usize,
}

/// A sample drawn with the run's seed, in proportion over suite and category.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SampleHeader {
    /// Cases drawn.
    pub cases: usize,
    /// Of how many selected.
    pub of: usize,
    /// The seed that decides which.
    pub seed: u64,
}

/// One model of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelHeader {
    /// As the user named it.
    pub name: String,
    /// How the name was resolved, in words.
    pub resolution: String,
    /// SHA-256 of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_sha256: Option<String>,
    /// What the provider said when asked before the run.
    pub facts: ModelFacts,
    /// What its tokens cost, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Legs of a hybrid in the order in which they are asked; empty for any other model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<ModelHeader>,
    /// When a hybrid asks its next leg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackRules>,
}

impl ModelHeader {
    /// The leg of that name; the model itself where it has no legs.
    pub fn leg(&self, name: &str) -> Option<&Self> {
        if self.legs.is_empty() {
            return Some(self);
        }
        self.legs.iter().find(|leg| leg.name == name)
    }
}

/// One planned cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CellHeader {
    /// The key.
    pub key: CellKey,
    /// [`CellKey::id`].
    pub id: String,
    /// Routes, one unless hybrid.
    pub routes: Vec<Route>,
    /// Cases planned.
    pub cases: usize,
    /// Trials planned.
    pub trials: usize,
}

/// A cell, or a whole suite, that could not be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExcludedCell {
    /// Model; empty when the reason concerns all.
    pub model: String,
    /// Dialect, constraint, variant, suite as text, where they matter.
    pub labels: BTreeMap<String, String>,
    /// Cases not run.
    pub cases: usize,
    /// Something failed or is missing, as opposed to a combination that does not exist: makes the
    /// run undecidable.
    #[serde(default)]
    pub failed: bool,
    /// Why.
    pub reason: String,
}

/// One line of `executions.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    /// When it started.
    pub started_at: String,
    /// Process id.
    pub process: u32,
    /// Trials on record at the start.
    pub done: usize,
    /// The machine at that moment.
    pub fingerprint: Fingerprint,
}

/// One line of `endings.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndingLine {
    /// The execution that ended so: its line in `executions.jsonl`, from 0.
    pub execution: usize,
    /// What ended, by what, and why.
    #[serde(flatten)]
    pub end: EarlyEnd,
}

/// One line of `content.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContentLine {
    /// Address of `value`.
    pub hash: ContentHash,
    /// What it is.
    pub kind: String,
    /// The content.
    pub value: serde_json::Value,
}
