//! Runs on disk: events to a run directory, and back.
//!
//! Data in: a [`Header`](format::Header) and events. Data out: `header.json`, `trials.jsonl`,
//! `content.jsonl`, `executions.jsonl`, where a limit ended it `endings.jsonl`, and the same read back
//! as a [`Run`].
//! Invariants: a trial exists if and only if its line does (one write and flush a trial); content
//! lines come before the trial that refers to them; a truncated tail still reads; a failed write
//! leaves no half line behind and ends the run.

mod exported;
pub mod format;
mod housekeeping;
pub mod merge;
pub mod outline;
pub mod privacy;
mod reader;
mod writer;

pub use exported::Exported;
pub use housekeeping::{State, bytes, file_sizes, last_used, remove, state};
pub use merge::{MergeError, Merged, merge};
pub use outline::Outline;
pub use privacy::{Private, Redactor, Retain};
pub use reader::{ReadError, Run, find_run, list_runs};
pub use writer::{RunLock, RunWriter, WriteError, write_whole};

/// Prompts, replies, tools, grammars and results of a run by their addresses.
pub type Content = std::collections::HashMap<crate::types::ContentHash, format::ContentLine>;

/// File names of a run directory.
pub mod files {
    /// The header.
    pub const HEADER: &str = "header.json";
    /// One line per finished trial.
    pub const TRIALS: &str = "trials.jsonl";
    /// Messages, tools, grammars and raw text by hash.
    pub const CONTENT: &str = "content.jsonl";
    /// One line per start or resume.
    pub const EXECUTIONS: &str = "executions.jsonl";
    /// One line per run or cell that a limit ended with trials left.
    pub const ENDINGS: &str = "endings.jsonl";
    /// Held while a process writes.
    pub const LOCK: &str = "lock";
}
