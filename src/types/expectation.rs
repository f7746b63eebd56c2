//! What a case expects of a model: calls, their order, the end state, the answer, or no call.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::matcher::Matcher;
use super::tool::ToolCall;

/// The expectation of one round. All stated parts must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    /// Nothing may be called in this round.
    #[serde(skip_serializing_if = "is_false")]
    pub no_call: bool,
    /// Nothing may be called and the answer must ask for what is missing: it must read as a
    /// request ([`reads_as_request`]) and meet this condition, which names what to ask for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ask_back: Option<Matcher>,
    /// Some call must be made, whichever; nothing more is looked at.
    #[serde(skip_serializing_if = "is_false")]
    pub any_call: bool,
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
    /// Calls that may be made besides, each at most once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<CallExpectation>,
    /// Calls that fail the trial as `unsafe_call`: a tool's name, or a tool with conditions on
    /// arguments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub forbidden: Vec<ForbiddenCall>,
    /// Condition on the final answer's text (needs `ends: answer`, or `no_call`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<Matcher>,
    /// Condition on the mock's state when the round ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Matcher>,
    /// One right way, for `suite check`, where it cannot be made from what is stated above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub solution: Option<Solution>,
}

/// One right way through a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Solution {
    /// The calls in order, one reply each; those of the first accepted set when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<ToolCall>>,
    /// The final answer; one made from the conditions on it when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
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
    /// A name for this call within its set, for `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Names of calls of the same set that must come before this one: a partial order. Calls of
    /// one reply come in the order written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
}

/// A call that must not be made. Written as a tool's name, or as an object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct ForbiddenCall {
    /// The tool.
    pub tool: String,
    /// Conditions on arguments; all must hold, an absent argument fails its condition. Every call
    /// of the tool when empty.
    pub arguments: BTreeMap<String, Matcher>,
}

impl ForbiddenCall {
    /// Whether this is such a call.
    pub fn covers(&self, call: &ToolCall) -> bool {
        self.tool == call.name
            && self.arguments.iter().all(|(name, matcher)| {
                call.arguments
                    .get(name)
                    .is_some_and(|value| matcher.matches(value))
            })
    }
}

impl TryFrom<Value> for ForbiddenCall {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            tool: String,
            #[serde(default)]
            arguments: BTreeMap<String, Matcher>,
        }
        match value {
            Value::String(tool) => Ok(Self {
                tool,
                arguments: BTreeMap::new(),
            }),
            other => serde_json::from_value::<Full>(other)
                .map(|full| Self {
                    tool: full.tool,
                    arguments: full.arguments,
                })
                .map_err(|error| {
                    format!("a forbidden call is a tool's name or {{tool, arguments}}: {error}")
                }),
        }
    }
}

impl From<ForbiddenCall> for Value {
    fn from(forbidden: ForbiddenCall) -> Self {
        if forbidden.arguments.is_empty() {
            return Self::String(forbidden.tool);
        }
        let arguments: serde_json::Map<String, Value> = forbidden
            .arguments
            .into_iter()
            .map(|(name, matcher)| (name, Value::from(matcher)))
            .collect();
        serde_json::json!({"tool": forbidden.tool, "arguments": arguments})
    }
}

impl schemars::JsonSchema for ForbiddenCall {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ForbiddenCall".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let matcher = generator.subschema_for::<Matcher>();
        schemars::json_schema!({
            "description": "A tool's name, or a tool with conditions on its arguments.",
            "anyOf": [
                {"type": "string"},
                {"type": "object", "required": ["tool"], "additionalProperties": false,
                 "properties": {"tool": {"type": "string"},
                                "arguments": {"type": "object", "additionalProperties": matcher}}}
            ]
        })
    }
}

/// Words that make a sentence without a question mark a request, lower case, in the languages
/// that the shipped suites are written in.
const REQUEST_WORDS: &[&str] = &[
    "please",
    "provide",
    "specify",
    "clarify",
    "tell me",
    "let me know",
    "i need",
    "how many",
    "how much",
    "how long",
    "not given",
    "did not say",
    "didn't say",
    "need to know",
    "need more",
    "missing",
    "could you",
    "can you",
    "which",
    "what",
    "bitte",
    "welche",
    "por favor",
    "indica",
    "indíqu",
    "dime",
    "preciso",
    "informe",
    "falta",
    "veuillez",
    "s'il",
    "quel",
    "précis",
    "per favore",
    "proszę",
    "podaj",
    "lütfen",
    "будь ласка",
    "вкажіть",
    "пожалуйста",
    "укажите",
    "tafadhali",
    "请",
    "請",
    "告诉我",
    "ください",
    "教えて",
    "주세요",
    "알려",
    "कृपया",
    "बताइए",
    "बताएं",
    "يرجى",
    "من فضلك",
];

/// Whether a text asks for something: it holds a question mark of any script, or one of a fixed
/// list of request words.
pub fn reads_as_request(text: &str) -> bool {
    let folded = text.to_lowercase();
    text.contains(['?', '？', '؟', '\u{37e}'])
        || REQUEST_WORDS.iter().any(|word| folded.contains(word))
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
        self.any_call
            || !self.calls.is_empty()
            || self.alternatives.iter().any(|set| !set.is_empty())
    }

    /// Nothing may be called, silently or with a question back.
    pub fn abstains(&self) -> bool {
        self.no_call || self.ask_back.is_some()
    }
}
