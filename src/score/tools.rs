//! Recorded calls against tools alone, without expected answers: for the calls an application logs.
//!
//! Data in: tool definitions in any of the usual shapes, and lines of recorded outputs. Data out:
//! per line what is wrong, and counts: outputs that could be read, calls of unknown tools, calls
//! whose arguments the tool's schema allows. Invariants: every line counts once, every call once;
//! nothing is said about whether a call was the right one.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::calls::{Reading, output_of};
use super::decode::{self, Decoded};
use super::json;
use super::lines::reason_of;
use super::strict::{parameter_of, tool_calls};
use super::value::{Object, Value};
use super::verdict::{INVALID_LINE, Verdict, Writer};
use crate::types::{Code, Suite, ToolDefinition, Violation};
use crate::validate::{SchemaError, ToolSchemas};

/// What a set of recorded outputs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolTotals {
    /// Outputs read; lines that are nobody's output are not among them.
    pub outputs: u64,
    /// Lines that are no object and no list of JSON: the log is damaged, no output is wrong.
    pub invalid_lines: u64,
    /// The first of them.
    pub first_invalid: Option<u64>,
    /// Of these, how many could be read as calls (or as none).
    pub parsed: u64,
    /// Outputs in which every call is valid.
    pub valid_outputs: u64,
    /// Calls found.
    pub calls: u64,
    /// Of these, calls of a tool that is not defined.
    pub unknown: u64,
    /// Of the calls of defined tools, those whose arguments are valid.
    pub schema_valid: u64,
    /// Per defined tool, in the order of the definitions.
    pub by_tool: Vec<ToolCount>,
    /// Names called that no tool has.
    pub unknown_names: BTreeMap<String, u64>,
    /// Codes of everything that was wrong.
    pub codes: BTreeMap<&'static str, u64>,
}

/// One tool's share.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolCount {
    /// The tool.
    pub name: String,
    /// Calls of it.
    pub calls: u64,
    /// Of these, valid ones.
    pub valid: u64,
}

/// Checks lines against tools.
#[derive(Debug)]
pub struct ToolCheck {
    schemas: ToolSchemas,
    names: Vec<String>,
    reading: Reading,
}

impl ToolCheck {
    /// For these tools.
    pub fn new(tools: &[ToolDefinition], reading: Reading) -> Result<Self, SchemaError> {
        Ok(Self {
            schemas: ToolSchemas::compile(tools)?,
            names: tools.iter().map(|tool| tool.name.clone()).collect(),
            reading,
        })
    }

    /// Totals of nothing yet.
    pub fn totals(&self) -> ToolTotals {
        let by_tool = self.names.iter().map(|name| ToolCount {
            name: name.clone(),
            ..ToolCount::default()
        });
        ToolTotals {
            by_tool: by_tool.collect(),
            ..ToolTotals::default()
        }
    }

    /// Judges one line; a blank one is nothing.
    pub fn line(&self, line: u64, bytes: &[u8], writer: &mut Writer, totals: &mut ToolTotals) {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let (id, output) = match self.read(bytes) {
            Ok(read) => read,
            Err(reason) => {
                totals.invalid_lines += 1;
                totals.first_invalid.get_or_insert(line);
                writer.begin(&Verdict {
                    line,
                    id: None,
                    category: None,
                    valid: None,
                    error_type: Some(INVALID_LINE),
                });
                writer.error(None, None, &reason);
                writer.end();
                return;
            }
        };
        totals.outputs += 1;
        let found = self.violations(&output, totals);
        let is_read = !found
            .iter()
            .any(|violation| matches!(violation.code, Code::MalformedJson | Code::WrongEnvelope));
        totals.parsed += u64::from(is_read);
        totals.valid_outputs += u64::from(found.is_empty());
        for violation in &found {
            *totals.codes.entry(violation.code.name()).or_default() += 1;
        }
        let primary = crate::types::violation::primary(&found);
        writer.begin(&Verdict {
            line,
            id: id.as_deref(),
            category: None,
            valid: Some(found.is_empty()),
            error_type: primary.map(|violation| violation.code.name()),
        });
        for violation in &found {
            let param = violation.pointer.as_deref().and_then(parameter_of);
            let message = format!("{}: {}", violation.code, violation.message);
            writer.error(violation.call, param.as_deref(), &message);
        }
        writer.end();
    }

    fn read<'a>(
        &self,
        bytes: &'a [u8],
    ) -> Result<(Option<Cow<'a, str>>, Decoded<'a>), Cow<'static, str>> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8")?;
        let value = json::parse(text).map_err(|error| format!("the line is not JSON: {error}"))?;
        match value {
            Value::Object(mut object) => {
                let id = match object.take("id") {
                    Some(Value::Text(id)) => Some(id),
                    _ => None,
                };
                Ok((id, self.output(object)))
            }
            list @ Value::List(_) => Ok((None, decode::recorded(list))),
            _ => Err("the line is neither an object nor a list".into()),
        }
    }

    /// A logged line is an output of a known shape, a chat message with `tool_calls`, or one call.
    fn output<'a>(&self, mut object: Object<'a>) -> Decoded<'a> {
        let has_output = ["calls", "output", "result"]
            .iter()
            .any(|key| object.has(key));
        if has_output {
            return output_of(&mut object, self.reading).0;
        }
        if let Some(Value::Object(mut message)) = object.take("message") {
            return match message.take("tool_calls") {
                Some(calls) => decode::recorded(calls),
                None => Decoded::Calls(Vec::new()),
            };
        }
        match object.take("tool_calls") {
            Some(Value::Null) => Decoded::Calls(Vec::new()),
            Some(calls) => decode::recorded(calls),
            None => decode::recorded(Value::List(vec![Value::Object(object)])),
        }
    }

    fn violations(&self, output: &Decoded<'_>, totals: &mut ToolTotals) -> Vec<Violation> {
        let calls = match output {
            Decoded::Calls(calls) => match tool_calls(calls) {
                Ok(calls) => calls,
                Err(reason) => return vec![Violation::new(Code::MalformedJson, reason)],
            },
            Decoded::Failed(_) => {
                let reason = reason_of(output).to_owned();
                return vec![Violation::new(Code::MalformedJson, reason)];
            }
            Decoded::Malformed(reason) => {
                return vec![Violation::new(Code::WrongEnvelope, reason.clone())];
            }
        };
        let found = self.schemas.check_calls(&calls);
        for (index, call) in calls.iter().enumerate() {
            totals.calls += 1;
            let is_valid = !found.iter().any(|violation| violation.call == Some(index));
            let mut by_tool = totals.by_tool.iter_mut();
            if let Some(count) = by_tool.find(|count| count.name == call.name) {
                count.calls += 1;
                count.valid += u64::from(is_valid);
                totals.schema_valid += u64::from(is_valid);
            } else {
                totals.unknown += 1;
                *totals.unknown_names.entry(call.name.clone()).or_default() += 1;
            }
        }
        found
    }
}

/// Tools of a file: what an MCP server lists (alone, or as the whole reply), what a chat-completion
/// API is given, or a plain list of either.
pub fn definitions(text: &str) -> Result<Vec<ToolDefinition>, String> {
    let value: Json =
        serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
    let listed = value
        .pointer("/result/tools")
        .or_else(|| value.get("tools"))
        .unwrap_or(&value);
    let Json::Array(items) = listed else {
        return Err("it holds no list of tools".to_owned());
    };
    if items.is_empty() {
        return Err("its list of tools is empty".to_owned());
    }
    let mut tools: Vec<ToolDefinition> = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let tool = definition(item).map_err(|reason| format!("tool {}: {reason}", index + 1))?;
        if tools.iter().any(|known| known.name == tool.name) {
            return Err(format!("tool `{}` is there twice", tool.name));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn definition(item: &Json) -> Result<ToolDefinition, String> {
    let item = item
        .get("function")
        .filter(|inner| inner.is_object())
        .unwrap_or(item);
    let name = item
        .get("name")
        .and_then(Json::as_str)
        .ok_or("it has no `name`")?;
    let schema = ["inputSchema", "input_schema", "parameters"]
        .iter()
        .find_map(|key| item.get(key));
    let description = item.get("description").and_then(Json::as_str);
    Ok(ToolDefinition {
        name: name.to_owned(),
        description: description.unwrap_or_default().to_owned(),
        input_schema: schema
            .cloned()
            .unwrap_or_else(|| serde_json::json!({"type": "object"})),
        annotations: None,
    })
}

/// All tools of suites; of several with one name the first.
pub fn of_suites(suites: &[Suite]) -> Vec<ToolDefinition> {
    let mut tools: Vec<ToolDefinition> = Vec::new();
    let mut known = std::collections::BTreeSet::new();
    for suite in suites {
        let own = suite.cases.iter().flat_map(|case| &case.own_tools);
        for tool in suite.tools.iter().chain(own) {
            if known.insert(tool.name.clone()) {
                tools.push(tool.clone());
            }
        }
    }
    tools
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
