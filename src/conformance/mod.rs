//! What a grammar holds of a schema, measured without a model.
//!
//! Data in: schemas with instances, among them the folder of the public JSON Schema test suite as
//! values. Data out: verdicts of validator and grammar side by side, counts, a table.
//! Invariants: the grammar is made by the very functions that constrained decoding of a tool's
//! arguments uses, and compiled by the same library over 256 single-byte tokens; no I/O; the same
//! seed gives the same walks.

pub mod bytes;
pub mod check;
pub mod suite;
pub mod table;
pub mod walk;
mod write;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod shipped_tests;

pub use bytes::{ByteGrammar, ByteTable};
pub use check::{SchemaCheck, Verdict};
