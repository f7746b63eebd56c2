//! Runs a plan: the only place where dialects, models, tool hosts and validation meet.
//!
//! Data in: a plan, ports (providers, hosts, correction texts), an event sink, a cancel switch.
//! Data out: events; nothing else leaves.
//! Invariants: knows no record, no report, no command line; one loop for every dialect; trials
//! depend on nothing but their own plan entry, so any order gives equal replies.

mod attempt;
mod cell;
mod conversation;
mod correction;
mod execute;
mod findings;
mod judging;
mod legs;
mod limits;
mod prepare;
mod probe;
mod probing;
mod read_calls;
mod recorder;
mod rescore;
mod trial;

pub use cell::{Offered, constraint_text, offer_over};
pub use correction::{
    BUILT_IN as BUILT_IN_CORRECTIONS, CorrectionError, CorrectionStyle, correction_messages,
};
pub use execute::{Cancel, RunError, RunTotals, execute};
pub use legs::{Hybrid, MAIN_LEG};
pub use limits::{Limits, Meter, ModelPrices};
pub use prepare::{Prepared, PreparedHost, PreparedModel, prepare};
pub use probe::{Probing, probe_estimate};
pub use probing::{over_wire, probe_cells, within_limits};
pub use rescore::{RescoreCell, Rescored, rescore};

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Provider;
use crate::tools::ToolHost;
use crate::types::{DialectName, ToolDefinition};

/// Everything the runner reaches the world through.
pub struct Ports {
    /// Providers by served index of the plan (models × contexts); of a hybrid its first leg.
    pub providers: Vec<Arc<dyn Provider>>,
    /// Hybrids by served index.
    pub hybrids: BTreeMap<usize, Hybrid>,
    /// Hosts by suite index of the plan.
    pub hosts: Vec<Arc<dyn ToolHost>>,
    /// Tools for `--distractors`.
    pub distractors: Vec<ToolDefinition>,
    /// Correction styles by name.
    pub corrections: BTreeMap<String, CorrectionStyle>,
    /// Envelopes from the user's folder instead of the built-in ones.
    pub envelopes: BTreeMap<DialectName, String>,
    /// Trials at once.
    pub concurrency: usize,
    /// What the run may take, and what it has taken.
    pub meter: Meter,
    /// Starts watching the machine; what it gives says whether it was busy with something else.
    pub noise: NoiseWatch,
}

/// Starts one interval of watching and gives its end.
pub type NoiseWatch = Box<dyn Fn() -> Box<dyn FnOnce() -> bool + Send> + Send + Sync>;
