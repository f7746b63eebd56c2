//! The CI gate: a run, floors and a baseline in, pass, fail or undecided out.
//!
//! Data in: header and trial lines of a run, a [`Snapshot`] to compare with, [`Rules`]. Data out: a
//! [`Verdict`] as data, and the same as text, Markdown and annotations. Invariants: pure; equal input
//! gives equal output; trouble of endpoint, engine or tool is never a breach and never a pass; every
//! breach has one reason; a case is compared with itself only, asked and expected as before.
//!
//! What a gate speaks of. `compare` takes cases as a sample and speaks of cases like these; a gate
//! speaks of this suite, whose cases are what they are. Only trials can come out otherwise, so more of
//! them narrow its intervals without end, and where decoding repeats itself there is nothing left to
//! chance: rates and differences are exact. `rates` and `pairs` say which interval follows from that.
//!
//! When a drop is a regression. The exact test over trials is two-sided at 5 %, after Holm's
//! adjustment over all cells: if nothing changed, at most 2.5 % of runs fail, whatever the number of
//! cells. A drop also has to be as large as `--min-effect`. One that is, without the test, is not enough
//! data; a smaller one passes, and the verdict says which drop would have been found.
//! `tests/it/gate_simulation` measures both.
//!
//! Floors need no test: a rate under its floor is a breach. With the interval (the default) the lower
//! limit has to reach the floor too; where only that is missing, the verdict is not enough data.

pub mod annotations;
pub mod baseline;
mod budgets;
pub mod changes;
mod facts;
mod floors;
mod judge;
pub mod known;
mod line;
pub mod measured;
pub mod pairs;
pub mod rates;
mod regression;
pub mod rules;
pub mod snapshot;
pub mod text;
pub mod texts;
pub mod verdict;
mod words;

pub use judge::{Against, Input, Refusal, judge};
pub use known::KnownFailure;
pub use line::{DEFAULT_NAME, Repeated};
pub use measured::Measured;
pub use rules::Rules;
pub use snapshot::Snapshot;
pub use texts::Texts;
pub use verdict::{GateOutcome, Verdict, gate_schema};
