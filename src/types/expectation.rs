//! What a case expects of a model: calls, their order, the end state, the answer, or no call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::matcher::Matcher;

/// The expectation of one round. All stated parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Nothing may be called in this round.
    #[serde(skip_serializing_if = "is_false")]
    pub no_call: bool,
    /// Calls that must be made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<CallExpectation>,
    /// Whether their order matters.
    #[serde(skip_serializing_if = "is_default_order")]
    pub order: Order,
    /// Other complete call sets that are accepted instead of `calls`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Vec<CallExpectation>>,
    /// Tools that may be called besides, any number of times, without any effect on the verdict.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub free: Vec<String>,
    /// Tools whose call fails the trial as `unsafe_call`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<String>,
    /// Condition on the final answer's text (needs `ends: answer`, or `no_call`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Matcher>,
    /// Condition on the mock's state when the round ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Matcher>,
}

/// One expected call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CallExpectation {
    /// The tool's own name.
    pub tool: String,
    /// Arguments that must be given. One whose accepted value equals the default that the tool's
    /// schema declares may also be omitted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub arguments: BTreeMap<String, Matcher>,
    /// Arguments that may be given, and what they must then be. An argument named nowhere is
    /// accepted only at its declared default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub optional: BTreeMap<String, Matcher>,
}

/// Whether calls must come in the order stated.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Any order.
    #[default]
    Any,
    /// The order stated.
    Strict,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_default_order(value: &Order) -> bool {
    *value == Order::Any
}

impl Expectation {
    /// `calls` and the alternatives: every complete call set that is accepted.
    pub fn accepted_sets(&self) -> impl Iterator<Item = &[CallExpectation]> {
        std::iter::once(self.calls.as_slice())
            .filter(|set| !set.is_empty() || self.alternatives.is_empty())
            .chain(self.alternatives.iter().map(Vec::as_slice))
    }

    /// Whether any accepted set asks for a call.
    pub fn wants_calls(&self) -> bool {
        !self.calls.is_empty() || self.alternatives.iter().any(|set| !set.is_empty())
    }
}
