//! Rules of a mock, compiled.
//!
//! Data in: the rules of a suite file. Data out: the first rule that fits a call, its reply and its
//! change of the state. Invariants: rules are tried in the order written; nothing is left to find
//! at run time but the values themselves.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Value as TemplateValue;
use serde_json::{Map, Value};

use super::MockError;
use super::template::{Node, Templates};
use crate::types::matcher::Matcher;
use crate::types::suite::{HostFault, Mock, MockRule};

/// One compiled rule.
#[derive(Debug)]
pub(super) struct Rule {
    /// `rules[3] (tool `x`)`, for messages.
    pub(super) location: String,
    tool: String,
    when: BTreeMap<String, Matcher>,
    condition: Option<String>,
    /// `let` names with their nodes, in order.
    pub(super) bindings: Vec<(String, Node)>,
    /// The reply.
    pub(super) reply: Node,
    /// A scripted tool error.
    pub(super) error: bool,
    /// The tool fails by itself.
    pub(super) fault: Option<HostFault>,
    /// JSON Patch operations.
    pub(super) patch: Vec<Node>,
}

/// Compiles every rule; the first mistake is reported with its place.
pub(super) fn compile(
    templates: &mut Templates,
    tools: &[String],
    mock: &Mock,
) -> Result<Vec<Rule>, MockError> {
    mock.rules
        .iter()
        .enumerate()
        .map(|(index, rule)| compile_rule(templates, tools, index, rule))
        .collect()
}

fn compile_rule(
    templates: &mut Templates,
    tools: &[String],
    index: usize,
    rule: &MockRule,
) -> Result<Rule, MockError> {
    let location = format!("mock.rules[{index}] (tool `{}`)", rule.tool);
    if !tools.contains(&rule.tool) {
        return Err(MockError::new(
            &location,
            format!("there is no such tool; the tools are {}", tools.join(", ")),
        ));
    }
    if let Some(condition) = &rule.condition {
        templates.check_condition(&format!("{location}.if"), condition)?;
    }
    let mut names = BTreeSet::new();
    let mut bindings = Vec::new();
    for binding in &rule.bindings {
        let place = format!("{location}.let.{}", binding.name);
        check_binding_name(&place, &binding.name)?;
        let node = templates.node(&place, &Value::String(binding.value.clone()), &names)?;
        bindings.push((binding.name.clone(), node));
        names.insert(binding.name.clone());
    }
    let reply = templates.node(&format!("{location}.reply"), &rule.reply, &names)?;
    let patch = rule
        .patch
        .iter()
        .enumerate()
        .map(|(step, operation)| {
            compile_operation(
                templates,
                &format!("{location}.patch[{step}]"),
                operation,
                &names,
            )
        })
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        location,
        tool: rule.tool.clone(),
        when: rule.when.clone(),
        condition: rule.condition.clone(),
        bindings,
        reply,
        error: rule.error,
        fault: rule.fault,
        patch,
    })
}

fn check_binding_name(place: &str, name: &str) -> Result<(), MockError> {
    let mut characters = name.chars();
    let is_name = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name {
        return Err(MockError::new(
            place,
            "a `let` name is letters, digits and `_`",
        ));
    }
    if ["args", "state", "counter"].contains(&name) {
        return Err(MockError::new(
            place,
            "this name is taken by the mock itself",
        ));
    }
    Ok(())
}

fn compile_operation(
    templates: &mut Templates,
    location: &str,
    operation: &Value,
    names: &BTreeSet<String>,
) -> Result<Node, MockError> {
    let Value::Object(fields) = operation else {
        return Err(MockError::new(location, "a patch operation is an object"));
    };
    check_operation(location, fields)?;
    fields
        .iter()
        .map(|(key, value)| {
            let place = format!("{location}.{key}");
            let node = match (key.as_str(), value) {
                ("path" | "from", Value::String(pointer)) => {
                    templates.pointer(&place, pointer, names)?
                }
                _ => templates.node(&place, value, names)?,
            };
            Ok((key.clone(), node))
        })
        .collect::<Result<_, _>>()
        .map(Node::Object)
}

/// The shape of an operation, as RFC 6902 has it.
fn check_operation(location: &str, fields: &Map<String, Value>) -> Result<(), MockError> {
    let name = fields.get("op").and_then(Value::as_str).unwrap_or_default();
    let needed: &[&str] = match name {
        "add" | "replace" | "test" => &["op", "path", "value"],
        "remove" => &["op", "path"],
        "move" | "copy" => &["op", "path", "from"],
        _ => {
            return Err(MockError::new(
                location,
                "`op` is one of add, remove, replace, move, copy, test",
            ));
        }
    };
    if let Some(missing) = needed.iter().find(|key| !fields.contains_key(**key)) {
        return Err(MockError::new(
            location,
            format!("`{name}` needs `{missing}`"),
        ));
    }
    if let Some(extra) = fields.keys().find(|key| !needed.contains(&key.as_str())) {
        return Err(MockError::new(
            location,
            format!("`{name}` takes no `{extra}`"),
        ));
    }
    for key in ["path", "from"] {
        match fields.get(key) {
            None => {}
            Some(Value::String(pointer))
                if pointer.is_empty() || pointer.starts_with(['/', '{']) => {}
            Some(other) => {
                return Err(MockError::new(
                    location,
                    format!("`{key}` is a JSON pointer such as `/items/3`, not {other}"),
                ));
            }
        }
    }
    Ok(())
}

impl Rule {
    /// Whether the rule answers this call.
    pub(super) fn fits(
        &self,
        templates: &Templates,
        tool: &str,
        arguments: &Map<String, Value>,
        context: &TemplateValue,
    ) -> Result<bool, MockError> {
        let matches = self.tool == tool
            && self.when.iter().all(|(name, matcher)| {
                arguments
                    .get(name)
                    .is_some_and(|value| matcher.matches(value))
            });
        match &self.condition {
            Some(condition) if matches => templates.holds(condition, context).map_err(|error| {
                MockError::new(&format!("{}.if", self.location), error.to_string())
            }),
            _ => Ok(matches),
        }
    }
}
