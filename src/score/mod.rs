//! Scoring of recorded outputs, without a model.
//!
//! Data in: suites, and outputs as people record them. Data out: one verdict per output, in order.
//! The parts: `value` and `json` hold what a model wrote without losing how it wrote it; `decode`
//! finds the calls in it; `bfcl` judges by the leaderboard's rules and `strict` by our own; `import`
//! turns the leaderboard's data into a suite; `interop` reads other tools' result files.
//!
//! Invariants: no network, no clock, no printing; a line that cannot be read is a verdict, never
//! the end; outputs are judged one by one, so their order changes nothing.

pub mod bfcl;
pub mod calls;
pub mod cases;
pub mod decode;
mod flat;
mod given;
pub mod import;
pub mod interop;
pub mod json;
pub mod lines;
mod python;
pub mod strict;
pub mod tools;
pub mod value;
pub mod verdict;
