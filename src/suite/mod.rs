//! Suites from files or from the binary.
//!
//! Data in: names, paths, YAML or JSON text. Data out: [`Suite`]s that hold together, or every
//! problem at once, each with file, line and column.
//! Invariants: a suite that leaves this module has unique case ids, expectations that name only
//! offered tools and declared arguments, and rounds that ask and expect something. Files are
//! looked for in the user's folder before the binary.

mod check;
mod load;
pub mod positions;
pub mod sample;
mod select;
pub mod words;

pub use check::{Problem, UNWRITTEN, check};
pub use load::{Library, LoadError, read_text};
pub use select::{Selection, select};

use schemars::schema_for;

use crate::types::Suite;

/// JSON Schema of a suite file, as published in `schemas/`.
pub fn suite_schema() -> serde_json::Value {
    serde_json::to_value(schema_for!(Suite)).unwrap_or_default()
}
