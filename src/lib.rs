//! toolbench measures how reliably language models call tools.
//!
//! ```text
//! cli ─► config, suite ─► plan ─► runner { prepare · dialect · model · tools · validate }
//!     ─► event ─► record ─► metrics ─► report | gate
//! ```
//! Imports point only down this ladder; `tests/it/tidy.rs` holds it.

pub mod authoring;
pub mod cli;
pub mod clock;
pub mod config;
pub mod conformance;
pub mod dialect;
#[cfg(feature = "llama")]
pub mod engine;
pub mod event;
pub mod gate;
pub mod history;
pub mod host;
pub mod metrics;
pub mod model;
pub mod plan;
pub mod qualify;
pub mod record;
pub mod report;
pub mod runner;
pub mod score;
pub mod selftest;
pub mod serve;
pub mod setup;
pub mod sizing;
pub mod store;
pub mod suite;
pub mod tools;
pub mod types;
pub mod validate;
pub mod weights;
