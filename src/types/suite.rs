//! Suites, cases and mocks as people write them.
//!
//! Data in: YAML or JSON with exactly these keys. Data out: the same as data; `suite` (the module
//! that reads files) checks what types alone cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::Message;
use super::expectation::Expectation;
use super::hash::ContentHash;
use super::host::ElicitationAnswer;
use super::matcher::Matcher;
use super::tool::ToolDefinition;

pub use super::server::{Commit, Package, Registry, Repository, Server};

/// A named set of cases and what they share.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Suite {
    /// Name, as used with `--suite`: lower case, digits, `-`.
    pub suite: String,
    /// One paragraph for people: what it measures.
    pub description: String,
    /// System prompt of every case, unless the case has its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Tools of the mock. A suite on a real server has none: its tools are listed by the server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolDefinition>,
    /// How the mock answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mock: Option<Mock>,
    /// A real MCP server instead of a mock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Server>,
    /// Worked examples for `--few-shot`; never cases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Example>,
    /// The cases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cases: Vec<Case>,
    /// For a pinned set such as `quick`: case ids of other suites, by suite name. Excludes
    /// everything above but `suite` and `description`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub include: BTreeMap<String, Vec<String>>,
    /// What agents without understanding may reach, checked by `suite check`.
    #[serde(skip_serializing_if = "is_default")]
    pub self_test: SelfTest,
    /// Where imported cases come from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Upper limits, as a share of cases from 0 to 1, for scripted agents that understand nothing. One
/// that is absent is the share of cases in which nothing should be called (`no_call`, not
/// `ask_back`) for `empty` and `refuse_all`, and 0.1 for the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SelfTest {
    /// Answers with nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub empty: Option<f64>,
    /// Answers that it cannot help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse_all: Option<f64>,
    /// Calls the first tool with the plainest valid arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_tool: Option<f64>,
    /// Calls a tool drawn by lot with valid arguments drawn by lot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub random_arguments: Option<f64>,
    /// Calls every tool once with the plainest valid arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_everything: Option<f64>,
    /// Longest first prompt of a case, in estimated tokens (`suite check` states how).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt_tokens: Option<u32>,
}

/// Where imported cases come from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// The benchmark: `bfcl`.
    pub kind: String,
    /// Its version, as its files say.
    pub version: String,
    /// Its licence.
    pub licence: String,
    /// What was imported.
    pub categories: Vec<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// Stable id, unique in the suite: lower case, digits, `-`.
    pub id: String,
    /// Category, for `--by category` and selection.
    pub category: String,
    /// `easy`, `medium` or `hard`.
    pub difficulty: Difficulty,
    /// Why the case is there: what it tells apart.
    pub why: String,
    /// Free labels for `--tag`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// System prompt instead of the suite's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Names of the suite's tools offered here; all when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Tools of this case alone. Without `tools` they are all that is offered, with it they stand
    /// after those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub own_tools: Vec<ToolDefinition>,
    /// Merged into the mock's state before the case (RFC 7396).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// What the person answers when a real server asks back in the middle of a call; what none of
    /// these fits is declined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elicitation: Vec<ElicitationAnswer>,
    /// Messages before the first round, such as an earlier call and its result.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Message>,
    /// What the person says (short for a single round).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What is expected (short for a single round).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expectation>,
    /// Several scripted messages, each with its own expectation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rounds: Vec<Round>,
    /// When a round is over.
    pub ends: Ends,
    /// All calls must come in one reply: only where parallel calls are the point.
    pub same_turn: bool,
    /// Wrong behaviours, each with the code that it must be given: `suite check` proves it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
    /// The case as BFCL states it, for `score --rules bfcl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bfcl: Option<BfclCase>,
}

/// What a model might do wrong, and what that is called. Rounds before the last one are played as
/// expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NearMiss {
    /// Calls made, in order, one reply each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<super::tool::ToolCall>,
    /// The final answer; one that says nothing when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The primary code.
    pub code: String,
}

/// A case of the Berkeley Function Calling Leaderboard, in its own terms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BfclCase {
    /// `simple`, `multiple`, `parallel`, `relevance` or `irrelevance`.
    pub mode: String,
    /// The function documents, with BFCL's own types.
    pub functions: Value,
    /// The accepted answers; null where there are none.
    pub answer: Value,
}

/// One scripted user message and what must follow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Round {
    /// What the person says.
    pub user: String,
    /// What is expected.
    pub expect: Expectation,
    /// Names of the tools offered from this round on, when they change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
}

/// When a round is over.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ends {
    /// At the first complete set of calls.
    #[default]
    Calls,
    /// At the final answer.
    Answer,
}

/// How hard a case is meant to be.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Difficulty {
    /// One obvious call.
    #[default]
    Easy,
    /// A choice, a conversion or a rule.
    Medium,
    /// Several of these at once.
    Hard,
}

impl Difficulty {
    /// The word as written in suites.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Easy => "easy",
            Self::Medium => "medium",
            Self::Hard => "hard",
        }
    }
}

/// A worked example: a person's request and the right reaction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Example {
    /// What the person says.
    pub user: String,
    /// A short thought, used by `react`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<String>,
    /// The calls made; none when the right reaction is an answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<super::tool::ToolCall>,
    /// What the tools answered, one per call.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<String>,
    /// The final answer.
    pub answer: String,
}

/// A mock's state and rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Mock {
    /// Initial state.
    pub state: Value,
    /// The first rule whose tool and conditions fit answers the call.
    pub rules: Vec<MockRule>,
    /// The reply to a call that no rule answers; without it such a call is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_all: Option<Value>,
}

/// How one kind of call is answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MockRule {
    /// The tool.
    pub tool: String,
    /// Conditions on arguments; an absent argument fails its condition.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, Matcher>,
    /// A minijinja expression over `args` and `state` that must be true.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Names for templates below, computed in order; `counter('name')` counts up from 1.
    #[serde(rename = "let", skip_serializing_if = "Vec::is_empty")]
    pub bindings: Vec<Binding>,
    /// The reply: a minijinja template for text, or JSON whose strings are templates.
    pub reply: Value,
    /// The reply is a tool error, scripted: scored by how the model recovers.
    pub error: bool,
    /// The tool itself fails, through no fault of the model: the trial is excluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<HostFault>,
    /// JSON Patch on the state; strings (paths too) are templates. A string value of the form
    /// `{{ … | tojson }}` is parsed as JSON.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patch: Vec<Value>,
}

/// How a tool may fail by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostFault {
    /// The tool breaks: `tool_error_env`.
    Broken,
    /// The tool does not answer: `tool_timeout`.
    Timeout,
    /// The server breaks its protocol: `mcp_protocol_error`.
    Protocol,
}

/// A name and the template of its value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Binding {
    /// The name.
    pub name: String,
    /// The template.
    pub value: String,
}

impl Case {
    /// The rounds, also for the short form.
    pub fn all_rounds(&self) -> Vec<Round> {
        if self.rounds.is_empty() {
            vec![Round {
                user: self.user.clone().unwrap_or_default(),
                expect: self.expect.clone().unwrap_or_default(),
                tools: None,
            }]
        } else {
            self.rounds.clone()
        }
    }

    /// Nothing should be called in any round.
    pub fn is_abstention(&self) -> bool {
        self.all_rounds()
            .iter()
            .all(|round| round.expect.abstains())
    }

    /// Hash of what is asked and expected, apart from what is offered.
    pub fn case_hash(&self) -> ContentHash {
        let mut asked = serde_json::json!({
            "history": self.history, "rounds": self.all_rounds(), "state": self.state,
            "ends": self.ends, "same_turn": self.same_turn,
        });
        // Cases that answer no question keep the hash that they had before there were any.
        if !self.elicitation.is_empty() {
            asked["elicitation"] = serde_json::to_value(&self.elicitation).unwrap_or_default();
        }
        ContentHash::of_value(&asked)
    }
}
