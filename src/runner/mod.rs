//! Runs a plan: the only place where dialects, models, tool hosts and validation meet.
//!
//! Data in: a plan, ports (providers, hosts, correction texts), an event sink, a cancel switch.
//! Data out: events; nothing else leaves.
//! Invariants: knows no record, no report, no command line; one loop for every dialect; trials
//! depend on nothing but their own plan entry, so any order gives equal replies.

mod cell;
mod correction;
mod execute;
mod judging;
mod prepare;
mod recorder;
mod trial;

pub use correction::{BUILT_IN as BUILT_IN_CORRECTIONS, CorrectionError, CorrectionStyle};
pub use execute::{Cancel, RunError, RunTotals, execute};
pub use prepare::{Prepared, PreparedHost, PreparedModel, prepare};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Provider;
use crate::tools::ToolHost;
use crate::types::ToolDefinition;

/// Everything the runner reaches the world through.
pub struct Ports {
    /// Providers by model index of the plan.
    pub providers: Vec<Arc<dyn Provider>>,
    /// Hosts by suite index of the plan.
    pub hosts: Vec<Arc<dyn ToolHost>>,
    /// Tools for `--distractors`.
    pub distractors: Vec<ToolDefinition>,
    /// Correction styles by name.
    pub corrections: BTreeMap<String, CorrectionStyle>,
    /// Trials at once.
    pub concurrency: usize,
    /// Says whether the machine was busy with something else since it was last asked.
    pub noise: Box<dyn Fn() -> bool + Send + Sync>,
}
