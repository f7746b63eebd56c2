//! toolbench measures how reliably language models call tools.
//!
//! ```text
//! cli ─► config, suite ─► plan ─► runner { prepare · dialect · model · tools · validate }
//!     ─► event ─► record ─► metrics ─► report
//! ```
//! Imports point only down this ladder; `tests/it/tidy.rs` holds it.

pub mod clock;
pub mod config;
pub mod dialect;
pub mod event;
pub mod model;
pub mod plan;
pub mod record;
pub mod suite;
pub mod tools;
pub mod types;
