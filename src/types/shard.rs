//! A shard of a run: what the whole is that it is a part of, and what a merged run was made of.
//!
//! Invariants: shards of one whole hold equal [`WholePlan`]s but for the hash with the tier in it.

use serde::{Deserialize, Serialize};

use super::cell::{CellKey, Constraint, DialectName};
use super::fingerprint::Fingerprint;
use super::hash::ContentHash;

/// The plan that a shard is a part of; stored in its header, so that shards can be put together
/// again without the suites and models they were made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholePlan {
    /// Hash of the plan of the same run without `--shard`, on this tier.
    pub plan_hash: ContentHash,
    /// The same without the hardware tier: equal for all shards of one plan, wherever they ran.
    pub tierless_hash: ContentHash,
    /// Dialects in plan order.
    pub dialects: Vec<DialectName>,
    /// Constraints in plan order.
    pub constraints: Vec<Constraint>,
    /// Suites in plan order.
    pub suites: Vec<WholeSuite>,
}

/// One suite of the whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeSuite {
    /// Its name.
    pub suite: String,
    /// Ids of its selected cases in order.
    pub cases: Vec<String>,
}

impl WholePlan {
    /// Selected cases of all suites.
    pub fn case_count(&self) -> usize {
        self.suites.iter().map(|suite| suite.cases.len()).sum()
    }
}

/// A shard of a merged run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MergedShard {
    /// The run.
    pub run: String,
    /// `i/n`.
    pub shard: (u32, u32),
    /// When it was created.
    pub created_at: String,
    /// Lines of `executions.jsonl` that are its own; they follow one another shard by shard.
    pub executions: usize,
    /// Its machine.
    pub fingerprint: Fingerprint,
}

/// A cell without its tier: where a trial belongs on whatever machine it is run.
pub fn without_tier(key: &CellKey) -> CellKey {
    CellKey {
        tier: String::new(),
        ..key.clone()
    }
}
