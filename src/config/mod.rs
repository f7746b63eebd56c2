//! Settings from flags, variables, profiles and files, each with its origin.
//!
//! Data in: layers of raw values (flags, `TOOLBENCH_*`, profile, `toolbench.toml`, user file).
//! Data out: [`Settings`] for a run and the list of values with where each comes from.
//! Invariants: one table ([`keys::KEYS`]) names every setting: flags, variables, file keys, help
//! and `config show` all follow from it. Precedence: flag > variable > profile > project file >
//! user file > built-in. Nothing here reads the environment.

mod file;
mod gate_keys;
mod keys;
mod layers;
mod settings;

pub use file::{ConfigFile, ModelAlias, PriceRow, parse_file};
pub use gate_keys::{GATE_KEYS, GATE_PREFIX, short_name};
pub use keys::{KEYS, Key, Kind, key};
pub use layers::{Layer, Resolved, resolve, resolve_gate};
pub use settings::{Probes, RunLimits, Settings, auto_shard};

/// A setting or a configuration file is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", origin.as_ref().map(|origin| format!("\n  {origin}")).unwrap_or_default())]
pub struct ConfigError {
    /// What is wrong.
    pub message: String,
    /// Where: `file:line:column`, or the variable or flag.
    pub origin: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}
