//! The end of a run, or of one of its cells, before all its trials were run.

use serde::{Deserialize, Serialize};

use super::cell::CellKey;

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndedBy {
    /// Too many failures of endpoint or tool server in a row (`--max-infra`): ends a cell.
    MaxInfra,
    /// The model did not answer before the first trial: ends a cell before it begins.
    NoAnswer,
    /// Enough trials have failed (`--fail-fast`, `--max-fail`): ends the run.
    MaxFail,
    /// `--limit-time`.
    Time,
    /// `--limit-tokens`.
    Tokens,
    /// `--limit-requests`.
    Requests,
    /// `--budget`.
    Budget,
}

/// A run or a cell that was ended early. What is missing runs with `--resume`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyEnd {
    /// What ended it.
    pub by: EndedBy,
    /// The cell; the whole run without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<CellKey>,
    /// Trials that were not run.
    pub trials_left: usize,
    /// Why, in one sentence.
    pub reason: String,
}
