//! The self-test of suites: scripted agents play every case through the real loop.
//!
//! Data in: a suite and its host. Data out: [`Report`]: how the oracle and agents without any
//! understanding score, whether every near miss gets its code, how long prompts are, and every
//! problem. Invariants: no model, no network, no clock in any result; equal suites give equal
//! reports; the loop, the mock and the judge are those of a run.

mod agents;
mod likeness;
mod play;
mod report;

pub use agents::oracle_calls;
pub use likeness::{MOST_ALIKE, too_alike};
pub use report::{AgentScore, Limits, Report, check_suite, estimated_tokens};
