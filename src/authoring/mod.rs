//! Drafting suites and cases: from the tools of a server, from a recorded trial, from nothing.
//!
//! Data in: tool definitions, recorded results, trials, the text of a suite file. Data out: the
//! text of a suite file. Invariants: pure; what is made satisfies the tools' own schemas; what a
//! person has still to write is marked, and `suite check` refuses it until then; an existing text
//! keeps every byte it has.

pub mod draft;
pub mod example;
pub mod insert;
pub mod recording;
pub mod starter;
mod text;
pub mod trial;
pub mod yaml;
