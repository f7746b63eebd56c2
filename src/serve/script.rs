//! A tool server as data, for tests of clients: what mocks of suites cannot say.
//!
//! Data in: a YAML file with tools as the protocol has them, and for each what it answers: content
//! of every kind, log messages, progress, questions back to the client; resources and prompts.
//! Data out: the same as values, with templates filled in. Invariants: deterministic; a template
//! that does not render is an error with its text, never an empty answer.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::tools::mock::values::to_template;

/// A server as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// The server's name.
    pub name: String,
    /// Tools as in `tools/list`.
    pub tools: Vec<Value>,
    /// Tools that come and go, with each call of a tool that says `changes_tools`.
    pub further_tools: Vec<Value>,
    /// What each tool answers, by name.
    pub answers: BTreeMap<String, Answer>,
    /// Resources as in `resources/list`, each with its `text` or `blob`.
    pub resources: Vec<Value>,
    /// Templates as in `resources/templates/list`, each with its `text`.
    pub templates: Vec<Value>,
    /// Prompts as in `prompts/list`, each with its `messages`, and `asks` where it has questions.
    pub prompts: Vec<Prompt>,
}

/// What a tool does and answers.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// Messages sent to the client's log before the answer, at level `info`.
    pub log: Vec<String>,
    /// Progress sent before the answer, out of 100.
    pub progress: Vec<f64>,
    /// Time between two of these, and after a change of the list of tools.
    pub pause_ms: u64,
    /// Questions to the client, in rounds: by name, each with `method` and `params`.
    pub asks: Vec<Map<String, Value>>,
    /// The state between rounds travels with the client, signed.
    pub seal: bool,
    /// Content blocks; `args` are the call's arguments, `answers` the client's to the questions.
    pub content: Vec<Value>,
    /// Structured content.
    pub structured: Option<Value>,
    /// The tool says that it failed.
    pub error: bool,
    /// The list of tools changes: `further_tools` come, or go again.
    pub changes_tools: bool,
}

/// A prompt and its messages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompt {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Its arguments as in `prompts/list`.
    pub arguments: Vec<Value>,
    /// Questions to the client, as for tools.
    pub asks: Vec<Map<String, Value>>,
    /// The messages; `args` are the arguments, `answers` the client's.
    pub messages: Vec<Value>,
}

impl Script {
    /// Reads a script; the message says where it is wrong.
    pub fn read(text: &str) -> Result<Self, String> {
        let script: Self = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let names: Vec<&str> = script
            .tools
            .iter()
            .chain(&script.further_tools)
            .filter_map(|tool| tool["name"].as_str())
            .collect();
        match script
            .answers
            .keys()
            .find(|name| !names.contains(&name.as_str()))
        {
            Some(name) => Err(format!("`answers` names `{name}`, which is no tool there")),
            None => Ok(script),
        }
    }

    /// The contents of the resource at an address.
    pub(super) fn resource(&self, uri: &str) -> Option<Result<Value, String>> {
        if let Some(found) = self.resources.iter().find(|entry| entry["uri"] == uri) {
            return Some(Ok(contents(found, uri)));
        }
        self.templates.iter().find_map(|entry| {
            let values = matched(entry["uriTemplate"].as_str()?, uri)?;
            Some(fill(&contents(entry, uri), &Value::Object(values)))
        })
    }
}

/// One entry of `contents` in the answer to `resources/read`.
fn contents(entry: &Value, uri: &str) -> Value {
    let mut out = Map::new();
    out.insert("uri".to_owned(), uri.into());
    for key in ["mimeType", "text", "blob"] {
        if let Some(value) = entry.get(key) {
            out.insert(key.to_owned(), value.clone());
        }
    }
    Value::Object(out)
}

/// An entry of a list without what is not listed.
pub(super) fn listed(entry: &Value) -> Value {
    let mut out = entry.clone();
    if let Some(map) = out.as_object_mut() {
        map.remove("text");
        map.remove("blob");
    }
    out
}

/// The values of `{name}` parts, each up to the next fixed part.
fn matched(template: &str, uri: &str) -> Option<Map<String, Value>> {
    let mut values = Map::new();
    let mut rest = uri;
    let mut pieces = template.split('{');
    rest = rest.strip_prefix(pieces.next()?)?;
    for piece in pieces {
        let (name, fixed) = piece.split_once('}')?;
        let end = match fixed {
            "" => rest.len(),
            fixed => rest.find(fixed)?,
        };
        values.insert(name.to_owned(), rest[..end].into());
        rest = &rest[end + fixed.len()..];
    }
    rest.is_empty().then_some(values)
}

/// Fills in every text of a value.
pub(super) fn fill(value: &Value, context: &Value) -> Result<Value, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    fill_with(&environment, value, context)
}

fn fill_with(
    environment: &Environment<'_>,
    value: &Value,
    context: &Value,
) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) if text.contains("{{") || text.contains("{%") => environment
            .render_str(text, to_template(context))
            .map_err(|error| format!("`{text}`: {error}"))?
            .into(),
        Value::Array(items) => items
            .iter()
            .map(|item| fill_with(environment, item, context))
            .collect::<Result<_, _>>()?,
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| Ok((key.clone(), fill_with(environment, item, context)?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_of_addresses_are_matched() {
        let template = "test://template/{id}/data";
        let values = matched(template, "test://template/123/data").unwrap();
        assert_eq!(values["id"], "123");
        assert!(matched(template, "test://template/123/other").is_none());
        assert!(matched(template, "test://else").is_none());
        assert!(matched("a://{x}/{y}", "a://1/2").is_some());
    }

    #[test]
    fn texts_are_filled_in_and_mistakes_told() {
        let context = json!({"args": {"name": "Ada"}});
        assert_eq!(
            fill(&json!([{"text": "Hello, {{ args.name }}!"}, 3]), &context).unwrap(),
            json!([{"text": "Hello, Ada!"}, 3])
        );
        assert!(fill(&json!("{{ args.other.more }}"), &context).is_err());
    }

    #[test]
    fn a_script_answers_only_for_its_own_tools() {
        let wrong = "tools: [{name: a, inputSchema: {}}]\nanswers: {b: {content: []}}";
        let message = Script::read(wrong).unwrap_err();
        assert!(message.contains("`b`, which is no tool"), "{message}");
        assert!(Script::read("tool: []").is_err());
    }
}
