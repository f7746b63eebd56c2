//! What a dialect read in a reply.

use serde::{Deserialize, Serialize};

use super::tool::ToolCall;
use super::violation::Violation;

/// Both readings of one reply. The strict one steers; the lenient one is stored beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// Exactly the dialect's form.
    pub strict: Reading,
    /// With repairs.
    pub lenient: Reading,
    /// The dialect's opener is there, or the lenient reading finds an offered tool's name:
    /// decides `wrong_envelope` against an answer in words.
    pub attempted_call: bool,
}

/// One reading of a reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reading {
    /// Calls in the order written; names as on the wire.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub calls: Vec<ToolCall>,
    /// The final answer, when the reply is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// A thought before the call or answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thought: Option<String>,
    /// Findings of the generation and parse stages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
    /// Repairs made (always empty in the strict reading).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<Repair>,
}

/// A repair of the lenient reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repair {
    /// A code fence around the call was taken off.
    CodeFence,
    /// Prose before or after the call was ignored.
    SurroundingProse,
    /// Trailing commas were dropped.
    TrailingComma,
    /// Single or typographic quotes were read as double quotes.
    Quotes,
    /// Python's `True`, `False`, `None` were read as JSON.
    PythonLiteral,
    /// Other key names were read (`name`/`parameters` for `tool`/`arguments` and the like).
    KeyNames,
    /// Arguments given as a string were read as JSON.
    StringArguments,
    /// Missing closing brackets were added.
    UnclosedBracket,
    /// A call in another dialect's form was read.
    OtherDialect,
}
