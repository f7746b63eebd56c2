//! A constraint as structure: an envelope with slots for tool schemas.
//!
//! Data in: nodes built by a dialect from `grammars/` and the offered tools.
//! Data out: Lark text for llguidance. GBNF and JSON Schema printers for servers can be added
//! beside `to_lark` because nothing here is text yet.
//! Invariants: printing is total and stable; equal grammars print equally.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Named rules; decoding starts at `start`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grammar {
    /// Rules by name: `[a-z_][a-z0-9_]*`.
    pub rules: BTreeMap<String, Node>,
    /// Name of the root rule.
    pub root: String,
}

/// One piece of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Node {
    /// Exactly this text.
    Literal(String),
    /// Text that matches this regular expression (llguidance's syntax, no look-around).
    Pattern(String),
    /// A JSON value that this schema accepts, compact.
    Schema(Value),
    /// Another rule.
    Rule(String),
    /// One after the other.
    Sequence(Vec<Node>),
    /// One of them.
    Choice(Vec<Node>),
    /// The node, or nothing.
    Optional(Box<Node>),
    /// The node `min` to `max` times.
    Repeat {
        /// What repeats.
        node: Box<Node>,
        /// At least.
        min: u32,
        /// At most; `None` is without limit.
        max: Option<u32>,
    },
}

impl Grammar {
    /// The grammar in llguidance's Lark dialect, whitespace compact in every JSON slot.
    pub fn to_lark(&self) -> String {
        let mut out = format!("%llguidance {{}}\nstart: {}\n", self.root);
        for (name, node) in &self.rules {
            out.push_str(name);
            out.push_str(": ");
            print_node(node, &mut out, false);
            out.push('\n');
        }
        out
    }
}

fn print_node(node: &Node, out: &mut String, nested: bool) {
    match node {
        Node::Literal(text) => out.push_str(&lark_string(text)),
        Node::Pattern(pattern) => {
            out.push('/');
            out.push_str(&pattern.replace('/', "\\/"));
            out.push('/');
        }
        Node::Schema(schema) => {
            out.push_str("%json ");
            out.push_str(&compact_schema(schema).to_string());
        }
        Node::Rule(name) => out.push_str(name),
        Node::Sequence(items) => print_joined(items, " ", out, nested),
        Node::Choice(items) => print_joined(items, " | ", out, true),
        Node::Optional(item) => {
            out.push('(');
            print_node(item, out, false);
            out.push_str(")?");
        }
        Node::Repeat { node, min, max } => {
            out.push('(');
            print_node(node, out, false);
            out.push(')');
            match max {
                Some(max) => out.push_str(&format!("{{{min},{max}}}")),
                None => out.push_str(&format!("{{{min},}}")),
            }
        }
    }
}

fn print_joined(items: &[Node], separator: &str, out: &mut String, parentheses: bool) {
    let wrap = parentheses && items.len() > 1;
    if wrap {
        out.push('(');
    }
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(separator);
        }
        print_node(item, out, true);
    }
    if wrap {
        out.push(')');
    }
}

/// A Lark string literal: JSON's escapes are valid in it.
fn lark_string(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The schema with llguidance's whitespace options set to compact.
fn compact_schema(schema: &Value) -> Value {
    let mut schema = match schema {
        Value::Object(map) => Value::Object(map.clone()),
        other => serde_json::json!({ "allOf": [other] }),
    };
    if let Value::Object(map) = &mut schema {
        map.insert(
            "x-guidance".to_owned(),
            serde_json::json!({"whitespace_flexible": false, "item_separator": ",", "key_separator": ":"}),
        );
    }
    schema
}
