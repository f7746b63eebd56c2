//! Settings as they are stored and as the runner takes them.

use serde::{Deserialize, Serialize};

use super::cell::{Leniency, ToolChoice};

/// One setting in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Setting {
    /// Name, as the long flag without dashes.
    pub name: String,
    /// Value as text.
    pub value: String,
    /// Where it comes from: `flag`, `environment NAME`, `profile NAME`, a file's path, `built-in`.
    pub origin: String,
}

/// What holds for every trial of a run, beside the cell's own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrialRules {
    /// Whether a call may, must or must not be made.
    pub tool_choice: ToolChoice,
    /// Corrections allowed in a trial.
    pub max_corrections: u32,
    /// Turns allowed in a round: a long conversation is no long loop.
    pub max_turns: u32,
    /// Tokens allowed in a reply.
    pub max_tokens: u32,
    /// Wall-clock limit of an attempt.
    pub attempt_limit_ms: u64,
    /// Which reading steers.
    pub leniency: Leniency,
    /// What a whole trial may take.
    #[serde(default, skip_serializing_if = "TrialLimits::is_none")]
    pub limits: TrialLimits,
}

/// What a whole trial may take, over all its rounds, turns and corrections. Reaching one is a result,
/// as slowness is: the trial has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrialLimits {
    /// Wall clock in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// Tokens of prompts and replies together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Requests to the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Money, in the currency of the model's price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
}

impl TrialLimits {
    /// Nothing is limited.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}
