//! Tools of a context server: what it knows, and the calls and results in its replies.
//!
//! Data in: its lists of tools and its messages. Data out: tools for a request, calls and results
//! for a reply. Invariants: a call told in two places counts once; a result is matched to its call by
//! id, or by name in order; nothing of a message is dropped: what is read out of the text stays in
//! the payload.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{note_usage, stop_reason};
use crate::model::hosted::{Collector, arguments_of, text};
use crate::model::http::{Broken, bad};
use crate::types::fence::{named_call, read_tool_fences, union_of_calls};
use crate::types::tool::schema_of_parameters;
use crate::types::{ProviderError, ServerResult, StopReason, ToolCall, ToolDefinition};

/// The server's own tools.
#[derive(Default)]
pub(super) struct KnownTools {
    /// By name; `None` where only the name is told.
    schemas: BTreeMap<String, Option<Value>>,
    /// It writes parameters as a list.
    in_lists: bool,
}

impl KnownTools {
    /// From pages that may hold `tools`, `data`, or be such a list.
    pub(super) fn of(pages: &[&Value]) -> Self {
        let mut known = Self::default();
        for page in pages {
            let list = [&page["tools"], &page["data"], *page]
                .into_iter()
                .find_map(Value::as_array);
            for entry in list.into_iter().flatten() {
                known.add(entry);
            }
        }
        known
    }

    fn add(&mut self, entry: &Value) {
        if let Some(name) = entry.as_str() {
            self.schemas.entry(name.to_owned()).or_insert(None);
            return;
        }
        let inner = if entry["function"].is_object() {
            &entry["function"]
        } else {
            entry
        };
        let Some(name) = inner["name"].as_str() else {
            return;
        };
        let parameters = ["parameters", "inputSchema", "input_schema"]
            .iter()
            .find_map(|key| inner.get(*key));
        self.in_lists |= parameters.is_some_and(Value::is_array);
        self.schemas
            .insert(name.to_owned(), parameters.map(schema_of_parameters));
    }

    /// The offered tools as a request names them.
    pub(super) fn named(&self, offered: &[ToolDefinition]) -> Result<Value, ProviderError> {
        let mut tools = Vec::with_capacity(offered.len());
        for tool in offered {
            match self.schemas.get(&tool.name) {
                Some(known) => {
                    if let Some(schema) = known {
                        agree(tool, schema)?;
                    }
                    tools.push(json!(tool.name));
                }
                None => tools.push(self.definition(tool)),
            }
        }
        Ok(Value::Array(tools))
    }

    /// A definition in the form of the server's own, or of everybody's.
    fn definition(&self, tool: &ToolDefinition) -> Value {
        if self.in_lists {
            return json!({
                "name": tool.name,
                "description": tool.description,
                "parameters": parameter_list(&tool.input_schema),
            });
        }
        json!({"type": "function", "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.input_schema,
        }})
    }
}

/// The server shows the model its own definition: if that takes other arguments, the model would be
/// judged by a schema that it never saw.
fn agree(tool: &ToolDefinition, known: &Value) -> Result<(), ProviderError> {
    let shape = |schema: &Value| {
        let names: BTreeMap<String, Value> = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.clone(), property["type"].clone()))
            .collect();
        let mut required: Vec<String> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect();
        required.sort();
        (names, required)
    };
    if shape(&tool.input_schema) == shape(known) {
        return Ok(());
    }
    Err(ProviderError::Rejected {
        detail: format!(
            "the server's own `{}` takes other parameters than the suite's: {known}",
            tool.name
        ),
    })
}

fn parameter_list(schema: &Value) -> Value {
    let required = |name: &str| {
        let list = schema["required"].as_array();
        list.is_some_and(|list| list.iter().any(|one| one == name))
    };
    schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| {
            let mut fields = Map::new();
            fields.insert("name".to_owned(), json!(name));
            fields.extend(property.as_object().cloned().unwrap_or_default());
            fields.insert("required".to_owned(), json!(required(name)));
            Value::Object(fields)
        })
        .collect()
}

/// A message of the server as it comes.
#[derive(Default)]
pub(super) struct Message {
    content: String,
    reasoning: String,
    calls: Vec<Value>,
    results: Vec<Value>,
}

impl Message {
    /// The whole of a completion.
    pub(super) fn whole(&mut self, body: &Value, collector: &mut Collector) -> Result<(), Broken> {
        refused(body)?;
        let choice = &body["choices"][0];
        let message = match &choice["message"] {
            Value::Object(_) => &choice["message"],
            // Some give the message itself.
            _ => body,
        };
        let told = ["content", "tool_calls"]
            .iter()
            .any(|key| message.get(*key).is_some());
        if !told {
            return Err(bad("the completion has no message"));
        }
        self.add(message);
        self.add_results(body);
        let reason = choice["finish_reason"].as_str().unwrap_or("stop");
        collector.stop = Some(stop_reason(reason));
        note_usage(&body["usage"], collector);
        Ok(())
    }

    /// A piece of a stream.
    pub(super) fn piece(
        &mut self,
        body: &Value,
        at_ms: f64,
        collector: &mut Collector,
    ) -> Result<(), Broken> {
        refused(body)?;
        let choice = &body["choices"][0];
        let before = (self.content.len(), self.reasoning.len(), self.calls.len());
        self.add(&choice["delta"]);
        self.add_results(body);
        if before != (self.content.len(), self.reasoning.len(), self.calls.len()) {
            collector.wrote(at_ms);
        }
        if let Some(reason) = choice["finish_reason"].as_str() {
            collector.stop = Some(stop_reason(reason));
        }
        note_usage(&body["usage"], collector);
        Ok(())
    }

    fn add(&mut self, message: &Value) {
        self.content.push_str(text(message, "content"));
        for key in ["reasoning_content", "reasoning", "thinking"] {
            self.reasoning.push_str(text(message, key));
        }
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            self.add_call(call);
        }
        self.add_results(message);
    }

    fn add_results(&mut self, holder: &Value) {
        if let Some(list) = holder["tool_results"].as_array() {
            self.results.extend(list.iter().cloned());
        }
    }

    /// A call, or the next piece of the one with the same index.
    fn add_call(&mut self, call: &Value) {
        let known = self
            .calls
            .iter_mut()
            .find(|known| call["index"].is_u64() && known["index"] == call["index"]);
        let (Some(known), Some(more)) = (known, call["function"]["arguments"].as_str()) else {
            self.calls.push(call.clone());
            return;
        };
        let written = format!("{}{more}", text(&known["function"], "arguments"));
        known["function"]["arguments"] = Value::from(written);
    }

    /// Puts what was said into the reply. Where tools were offered to the server, fences are its way
    /// of telling calls; otherwise they are the text of a dialect, and left to it.
    pub(super) fn fill(self, offered: bool, collector: &mut Collector) {
        let mut results: Vec<(Option<String>, String, Value)> = Vec::new();
        let mut told = Vec::new();
        for value in &self.calls {
            let Some(call) = call_of(value) else { continue };
            if has_result(value) {
                results.push((call.id.clone(), call.name.clone(), value.clone()));
            }
            told.push(call);
        }
        for value in &self.results {
            let name = ["name", "tool"].iter().find_map(|key| value[*key].as_str());
            let id = ["tool_call_id", "id", "call_id"]
                .iter()
                .find_map(|key| value[*key].as_str());
            results.push((
                id.map(str::to_owned),
                name.unwrap_or_default().to_owned(),
                value.clone(),
            ));
        }
        if offered {
            let fenced = read_tool_fences(&self.content);
            told = union_of_calls(told, fenced.calls);
            collector.text = fenced.rest;
        } else {
            collector.text.clone_from(&self.content);
        }
        // A result whose call is told nowhere else tells it.
        for (id, name, value) in &results {
            let known = told
                .iter()
                .any(|call| id.is_some() && call.id == *id || call.name == *name);
            if !known && !name.is_empty() {
                told.extend(value.as_object().and_then(named_call));
            }
        }
        collector.executed = executed(&told, results);
        collector.reasoning.clone_from(&self.reasoning);
        if !told.is_empty() && collector.stop == Some(StopReason::Stop) {
            collector.stop = Some(StopReason::ToolCalls);
        }
        collector.calls = told;
        let mut payload = json!({"content": self.content});
        for (key, list) in [("tool_calls", self.calls), ("tool_results", self.results)] {
            if !list.is_empty() {
                payload[key] = Value::Array(list);
            }
        }
        collector.payload = Some(payload);
    }
}

fn refused(body: &Value) -> Result<(), Broken> {
    match &body["error"] {
        Value::Null => Ok(()),
        error => {
            let words = error["message"].as_str().or_else(|| error.as_str());
            let detail = words.map_or_else(|| error.to_string(), str::to_owned);
            Err(Broken::Failed(ProviderError::Server { detail }))
        }
    }
}

/// A call in either form: name and parameters, or a function with its arguments as text.
fn call_of(value: &Value) -> Option<ToolCall> {
    let id = value["id"].as_str().map(str::to_owned);
    let inner = match &value["function"] {
        Value::Object(function) => function,
        _ => value.as_object()?,
    };
    let mut call = named_call(inner)?;
    if let Value::String(written) = &call.arguments {
        call.arguments = arguments_of(written);
    }
    call.id = id;
    Some(call)
}

fn has_result(value: &Value) -> bool {
    ["result", "output", "error"]
        .iter()
        .any(|key| value.get(*key).is_some_and(|value| !value.is_null()))
}

/// What the server ran: each result with the call it belongs to.
fn executed(
    calls: &[ToolCall],
    results: Vec<(Option<String>, String, Value)>,
) -> Vec<ServerResult> {
    let mut open: Vec<usize> = (0..calls.len()).collect();
    let mut executed = Vec::new();
    for (id, name, value) in results {
        let by_id = open
            .iter()
            .position(|&at| id.is_some() && calls[at].id == id);
        let at = by_id.or_else(|| open.iter().position(|&at| calls[at].name == name));
        let Some(at) = at else { continue };
        let call = open.remove(at);
        let failed = value.get("error").filter(|error| !error.is_null());
        let told = failed.or_else(|| {
            ["result", "output", "content"]
                .iter()
                .find_map(|key| value.get(*key))
        });
        executed.push(ServerResult {
            call,
            content: match told {
                Some(Value::String(content)) => content.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            },
            is_error: failed.is_some() || value["is_error"] == true,
        });
    }
    executed.sort_by_key(|result| result.call);
    executed
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
