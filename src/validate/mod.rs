//! Validation: calls against their tools' schemas, and trials against their cases.
//!
//! Data in: tool definitions, calls as read, expectations. Data out: violations.
//! Invariants: pure and synchronous; knows only `types`; never panics on any schema or call;
//! a message of a correctable violation never holds the expected value.

pub mod complete;
mod counts;
mod ending;
mod explain;
mod formats;
pub mod judge;
mod limits;
mod matching;
pub mod schema;
mod vocabulary;
mod work;

pub use complete::complete;
pub use counts::{CallPair, counts, counts_and_pairs};
pub use judge::{ExecutedCall, JudgeInput, JudgedRound, LOOP_LENGTH, judge};
pub use schema::{CompiledSchema, SchemaError, SchemaFault, ToolSchemas};
