//! Runs on disk: events to a run directory, and back.
//!
//! Invariants: a trial exists if and only if its line does; content lines come before the trial
//! that refers to them; a truncated tail still reads.

pub mod format;
