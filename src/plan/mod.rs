//! What is to be run: cells, cases and trials in a fixed order with stable ids and seeds.
//!
//! Data in: resolved settings, models and suites. Data out: a [`Plan`], and a [`Route`](crate::types::Route) for each
//! cell once a provider has said what its model is.
//! Invariants: pure; ids and seeds do not depend on the order of inputs; equal plans hash equally;
//! shards split by case, all cells of a case together; samples are drawn in one stratified order.

mod build;
pub mod estimate;
mod looks;
mod order;
mod route;
mod shard;

pub use build::{Plan, PlanError, PlanInput, PlannedCell, PlannedTrial, build, contexts};
pub use estimate::{Estimate, Load, estimate};
pub use order::{CasePlace, case_order, sample};
pub use route::{Unsupported, route};
