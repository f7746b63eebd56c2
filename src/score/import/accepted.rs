//! BFCL's accepted answers to expectations of ours.
//!
//! Data in: the tools made of a case's functions, and its answers. Data out: an expectation that
//! `validate` judges. Invariants: every accepted answer that the schema allows is accepted; `""` among the
//! alternatives only says that an argument may be left out, unless the schema requires it; what the
//! answer says nothing of is free where it must be given, and must be left out elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::schema::{as_declared, fits, type_in};
use crate::score::bfcl::Mode;
use crate::types::expectation::{CallExpectation, Expectation};
use crate::types::matcher::Matcher;
use crate::types::words::words_of;
use crate::types::{ToolCall, ToolDefinition};
use crate::validate::ToolSchemas;

/// The expectation of a case, and what is wrong with the data it was made of.
pub(super) fn expectation(
    mode: Mode,
    tools: &[ToolDefinition],
    answer: &Value,
) -> (Expectation, Vec<String>) {
    let mut expectation = Expectation {
        any_call: mode == Mode::Relevance,
        no_call: mode == Mode::Irrelevance,
        ..Expectation::default()
    };
    let mut faults = Vec::new();
    if expectation.any_call || expectation.no_call {
        return (expectation, faults);
    }
    let calls = answer.as_array().into_iter().flatten();
    for (name, parameters) in calls.filter_map(|call| call.as_object()?.iter().next()) {
        let tool = match mode {
            Mode::Simple => tools.first(),
            _ => tools.iter().find(|tool| tool.name == *name),
        };
        if let Some(tool) = tool {
            let call = call_expectation(tool, parameters, &mut faults);
            expectation.calls.push(call);
        } else {
            faults.push(format!("the answer calls `{name}`, which is not offered"));
        }
    }
    (expectation, faults)
}

fn call_expectation(
    tool: &ToolDefinition,
    answers: &Value,
    faults: &mut Vec<String>,
) -> CallExpectation {
    let empty = Map::new();
    let properties = tool
        .input_schema
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&empty);
    let is_required = |name: &str| {
        tool.input_schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|required| required.iter().any(|one| one == name))
    };
    let mut arguments = BTreeMap::new();
    let mut optional = BTreeMap::new();
    for (name, alternatives) in answers.as_object().into_iter().flatten() {
        let Some(schema) = properties.get(name) else {
            let may_omit = alternatives
                .as_array()
                .is_some_and(|all| all.iter().any(is_empty_text));
            faults.push(if may_omit {
                format!("the answer names parameter `{name}`, which the schema lacks; giving it fails by BFCL's rules, leaving it out passes")
            } else {
                format!("the answer needs parameter `{name}`, which the schema lacks; no output can pass by BFCL's rules")
            });
            continue;
        };
        let all = alternatives.as_array().map_or(&[][..], Vec::as_slice);
        let may_omit = all.iter().any(is_empty_text);
        let required = is_required(name);
        if all.is_empty() {
            faults.push(format!(
                "nothing is accepted for parameter `{name}`; no output can pass by BFCL's rules"
            ));
        }
        let accepted = matcher(schema, all, required);
        let must_be_given = required || !may_omit && !all.is_empty();
        if must_be_given && !can_be_met(tool, name, schema, accepted.as_ref()) {
            faults.push(format!(
                "every value accepted for parameter `{name}` breaks its schema; no output can pass by our rules"
            ));
        }
        match accepted {
            Some(matcher) if must_be_given => {
                arguments.insert(name.clone(), matcher);
            }
            Some(matcher) => {
                optional.insert(name.clone(), matcher);
            }
            None if must_be_given => {
                arguments.insert(name.clone(), Matcher::AnyOf(Vec::new()));
            }
            None => {}
        }
    }
    for name in properties.keys().filter(|name| is_required(name)) {
        if answers.get(name).is_none() {
            faults.push(format!(
                "the schema requires parameter `{name}`, which the answer lacks; no output can pass by BFCL's rules"
            ));
            arguments.insert(name.clone(), Matcher::Anything);
        }
    }
    CallExpectation {
        tool: tool.name.clone(),
        arguments,
        optional,
        id: None,
        after: Vec::new(),
    }
}

fn is_empty_text(value: &Value) -> bool {
    value.as_str() == Some("")
}

/// Whether a value that the schema allows is accepted: an alternative, a value of an enum, or the
/// default, which may also be left out.
fn can_be_met(
    tool: &ToolDefinition,
    name: &str,
    schema: &Value,
    accepted: Option<&Matcher>,
) -> bool {
    let (Some(matcher), Ok(schemas)) = (accepted, ToolSchemas::compile(std::slice::from_ref(tool)))
    else {
        return false;
    };
    if *matcher == Matcher::Anything {
        return true;
    }
    let options = match matcher {
        Matcher::AnyOf(options) => options.as_slice(),
        one => std::slice::from_ref(one),
    };
    let listed = ["/enum", "/anyOf/0/enum", "/anyOf/1/enum"]
        .iter()
        .filter_map(|pointer| schema.pointer(pointer)?.as_array())
        .flatten();
    let candidates = options
        .iter()
        .filter_map(Matcher::example)
        .chain(listed.cloned())
        .chain(schema.get("default").cloned());
    let start = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
    candidates
        .filter(|value| matcher.matches(value))
        .any(|value| {
            let call = ToolCall::new(&tool.name, json!({name: value}));
            // Other arguments are absent here; only what concerns this one counts.
            !schemas.check_calls(&[call]).iter().any(|violation| {
                violation.pointer.as_ref().is_some_and(|pointer| {
                    let rest = pointer.strip_prefix(&start);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                })
            })
        })
}

/// What alternatives come to; `None` when none of them can be given.
fn matcher(schema: &Value, alternatives: &[Value], required: bool) -> Option<Matcher> {
    if alternatives.is_empty() {
        return Some(Matcher::Anything);
    }
    let kind = type_in(schema);
    let null_is_allowed = allows_null(schema);
    let mut matchers: Vec<Matcher> = Vec::new();
    let mut push = |matcher: Matcher| {
        if !matchers.contains(&matcher) {
            matchers.push(matcher);
        }
    };
    for alternative in alternatives.iter().filter(|one| !is_empty_text(one)) {
        let value = as_listed(schema, as_declared(alternative, kind));
        if value.is_null() {
            if null_is_allowed {
                push(Matcher::Equals(value));
            }
        } else if fits(&value, kind) {
            push(top_level(&value));
        } else if stands_beside(schema, &value) {
            push(Matcher::Equals(value));
        }
    }
    // Where it must be given, an empty string may be the only way to say "none".
    let says_none = alternatives.iter().any(is_empty_text);
    if required && says_none && kind.is_none_or(|kind| kind == "string") {
        push(Matcher::Equals(json!("")));
    }
    match matchers.len() {
        0 => None,
        1 => Some(matchers.remove(0)),
        _ => Some(Matcher::AnyOf(matchers)),
    }
}

/// A value with its strings spelled as the schema's enums spell them.
fn as_listed(schema: &Value, value: Value) -> Value {
    match value {
        Value::String(text) => {
            let listed = ["/enum", "/anyOf/0/enum"]
                .iter()
                .find_map(|pointer| schema.pointer(pointer)?.as_array());
            let same = listed.into_iter().flatten().find(|one| {
                one.as_str()
                    .is_some_and(|one| words_of(one) == words_of(&text))
            });
            same.cloned().unwrap_or(Value::String(text))
        }
        Value::Array(items) => match schema.get("items") {
            Some(inner) => items.into_iter().map(|one| as_listed(inner, one)).collect(),
            None => Value::Array(items),
        },
        other => other,
    }
}

fn allows_null(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::Array(types)) => types.iter().any(|one| one == "null"),
        Some(_) => false,
        None => stands_beside(schema, &Value::Null) || schema.get("anyOf").is_none(),
    }
}

/// Whether the schema lists the value beside its declared type.
fn stands_beside(schema: &Value, value: &Value) -> bool {
    schema
        .pointer("/anyOf/1/enum")
        .and_then(Value::as_array)
        .is_some_and(|marks| marks.contains(value))
}

/// One accepted value of an argument.
fn top_level(value: &Value) -> Matcher {
    match value {
        Value::Object(fields) => accepted_object(fields),
        Value::Array(items) if items.iter().any(Value::is_object) => Matcher::List(
            items
                .iter()
                .map(|item| match item {
                    Value::Object(fields) => accepted_object(fields),
                    other => literal(other),
                })
                .collect(),
        ),
        other => literal(other),
    }
}

/// A value to be met as it stands; strings word by word, at any depth.
fn literal(value: &Value) -> Matcher {
    match value {
        // Without words there is nothing to compare but the signs themselves.
        Value::String(text) if words_of(text).is_empty() => Matcher::Equals(value.clone()),
        Value::String(text) => Matcher::Words(text.clone()),
        Value::Array(items) => Matcher::List(items.iter().map(literal).collect()),
        Value::Object(fields) => Matcher::Object(
            fields
                .iter()
                .map(|(key, value)| (key.clone(), literal(value)))
                .collect(),
        ),
        other => Matcher::Equals(other.clone()),
    }
}

/// An object whose every key has its own alternatives; one with `""` among them may be absent.
fn accepted_object(fields: &Map<String, Value>) -> Matcher {
    let mut needed = BTreeMap::new();
    let mut free = BTreeMap::new();
    for (key, alternatives) in fields {
        let all = match alternatives {
            Value::Array(all) => all.as_slice(),
            other => std::slice::from_ref(other),
        };
        let accepted: Vec<Matcher> = all
            .iter()
            .filter(|one| !is_empty_text(one))
            .map(literal)
            .collect();
        let matcher = match <[Matcher; 1]>::try_from(accepted) {
            Ok([one]) => one,
            Err(many) => Matcher::AnyOf(many),
        };
        if all.iter().any(is_empty_text) {
            free.insert(key.clone(), matcher);
        } else {
            needed.insert(key.clone(), matcher);
        }
    }
    if free.is_empty() {
        return Matcher::Object(needed);
    }
    let keys: Vec<&String> = needed.keys().chain(free.keys()).collect();
    let closed = json!({"type": "object", "propertyNames": {"enum": keys}});
    let mut parts = vec![Matcher::Subset(needed), Matcher::Schema(closed)];
    for (key, matcher) in free {
        let holds =
            |matcher: Matcher| Matcher::Subset(std::iter::once((key.clone(), matcher)).collect());
        parts.push(Matcher::AnyOf(vec![
            Matcher::Not(Box::new(holds(Matcher::Anything))),
            holds(matcher),
        ]));
    }
    Matcher::AllOf(parts)
}
