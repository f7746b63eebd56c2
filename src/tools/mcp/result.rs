//! Raw MCP answers as tool results.
//!
//! Data in: the raw answer to `tools/call`. Data out: one shape for all servers. Invariants: bad
//! arguments and unknown tools are results with `is_error`, whichever of the two styles the server
//! uses; a server's own failure is not a result.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::types::{ToolDefinition, ToolResult, tool::ToolAnnotations};

/// JSON-RPC codes by which servers say that the request was wrong: invalid request, unknown
/// method (some use it for unknown tools), invalid parameters.
const REQUEST_ERRORS: [i64; 3] = [-32600, -32601, -32602];

/// Longest output schema that is compiled.
const OUTPUT_SCHEMA_BYTES: usize = 256 << 10;

/// What a raw answer amounts to.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    /// The tool answered, well or with an error.
    Result(ToolResult),
    /// The server failed.
    ServerError(String),
    /// Not the shape of a tool's result.
    BadShape,
}

/// Reads the answer to `tools/call`.
pub(super) fn read_answer(answer: &Value) -> Answer {
    if let Some(error) = answer.get("error") {
        return read_error(error);
    }
    let result = &answer["result"];
    let structured = result
        .get("structuredContent")
        .filter(|value| !value.is_null());
    let is_error = match result.get("isError") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(flag)) => *flag,
        Some(_) => return Answer::BadShape,
    };
    let blocks = match (result.get("content"), structured) {
        (Some(Value::Array(blocks)), _) => blocks.as_slice(),
        (None, Some(_)) => &[],
        _ => return Answer::BadShape,
    };
    let Some(texts) = blocks.iter().map(block_text).collect::<Option<Vec<_>>>() else {
        return Answer::BadShape;
    };
    let content = match (texts.is_empty(), structured) {
        (true, Some(value)) => value.to_string(),
        _ => texts.join("\n"),
    };
    Answer::Result(ToolResult {
        content,
        structured: structured.cloned(),
        is_error,
        scripted_error: false,
    })
}

fn read_error(error: &Value) -> Answer {
    let (Some(code), Some(message)) = (error["code"].as_i64(), error["message"].as_str()) else {
        return Answer::BadShape;
    };
    if REQUEST_ERRORS.contains(&code) {
        return Answer::Result(refusal(message));
    }
    Answer::ServerError(format!("the server answered with error {code}: {message}"))
}

/// A result that refuses a call.
pub(in crate::tools) fn refusal(text: &str) -> ToolResult {
    ToolResult {
        is_error: true,
        ..ToolResult::ok(text)
    }
}

/// The text of a content block; a short mark for what has none.
fn block_text(block: &Value) -> Option<String> {
    let kind = block["type"].as_str()?;
    Some(match kind {
        "text" => block["text"].as_str()?.to_owned(),
        "resource" => match block["resource"]["text"].as_str() {
            Some(text) => text.to_owned(),
            None => format!("[resource {}]", word(&block["resource"]["uri"])),
        },
        "resource_link" => format!("[resource {}]", word(&block["uri"])),
        other => format!("[{other} {}]", word(&block["mimeType"])),
    })
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or("of unknown kind")
}

/// What tools say of their structured results.
#[derive(Default)]
pub(super) struct Outputs(BTreeMap<String, jsonschema::Validator>);

impl Outputs {
    /// The output schemas of a raw list. One that is too big or does not compile is left out: it
    /// says nothing about the results.
    pub(super) fn of(raw_tools: &[Value]) -> Self {
        let compile = |schema: &Value| {
            if schema.to_string().len() > OUTPUT_SCHEMA_BYTES {
                return None;
            }
            // A schema is the server's text; the validator's own mistakes must not be ours.
            std::panic::catch_unwind(|| jsonschema::validator_for(schema).ok())
                .ok()
                .flatten()
        };
        let with_schema = raw_tools.iter().filter_map(|tool| {
            let schema = tool.get("outputSchema").filter(|value| value.is_object())?;
            Some((tool["name"].as_str()?.to_owned(), compile(schema)?))
        });
        Self(with_schema.collect())
    }

    /// What is wrong with a result of this tool, if it has a schema for it.
    pub(super) fn problem(&self, tool: &str, result: &ToolResult) -> Option<String> {
        let validator = self.0.get(tool).filter(|_| !result.is_error)?;
        let Some(structured) = &result.structured else {
            return Some(format!(
                "`{tool}` has an output schema and gave no structured result"
            ));
        };
        let error = validator.validate(structured).err()?;
        Some(format!(
            "`{tool}`: the structured result breaks its own schema at {}: {error}",
            error.instance_path()
        ))
    }
}

/// A tool as the server wrote it, in our terms. `None` when it has no name or schema.
pub(in crate::tools) fn read_tool(raw: &Value) -> Option<ToolDefinition> {
    let annotations = raw.get("annotations").filter(|value| value.is_object());
    Some(ToolDefinition {
        name: raw["name"]
            .as_str()
            .filter(|name| !name.is_empty())?
            .to_owned(),
        description: raw["description"].as_str().unwrap_or_default().to_owned(),
        input_schema: raw
            .get("inputSchema")
            .filter(|schema| schema.is_object())?
            .clone(),
        annotations: annotations.map(|hints| ToolAnnotations {
            read_only_hint: hints["readOnlyHint"].as_bool(),
            destructive_hint: hints["destructiveHint"].as_bool(),
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(value: &Value) -> Answer {
        read_answer(&json!({"jsonrpc": "2.0", "id": 1, "result": value}))
    }

    #[test]
    fn results_of_every_style_become_one() {
        let ok = |content: &str| Answer::Result(ToolResult::ok(content));
        let text = |text: &str| json!({"type": "text", "text": text});
        assert_eq!(
            result(&json!({"content": [text("a"), text("b")]})),
            ok("a\nb")
        );
        assert_eq!(result(&json!({"content": []})), ok(""));
        assert_eq!(
            result(
                &json!({"content": [{"type": "image", "mimeType": "image/png", "data": "…"}, {"type": "resource", "resource": {"uri": "u", "text": "t"}}]})
            ),
            ok("[image image/png]\nt")
        );
        assert_eq!(
            result(&json!({"content": [text("no")], "isError": true})),
            Answer::Result(refusal("no"))
        );
        let structured = json!({"b": 1, "a": 2});
        assert_eq!(
            result(&json!({"structuredContent": structured})),
            Answer::Result(ToolResult {
                structured: Some(structured),
                ..ToolResult::ok(r#"{"b":1,"a":2}"#)
            })
        );
        let error = |code: i64| {
            read_answer(&json!({"error": {"code": code, "message": "Unknown tool: x"}}))
        };
        assert_eq!(error(-32602), Answer::Result(refusal("Unknown tool: x")));
        assert!(
            matches!(error(-32603), Answer::ServerError(words) if words.contains("Unknown tool: x"))
        );
    }

    #[test]
    fn other_shapes_are_told() {
        for value in [
            json!({}),
            json!(null),
            json!({"content": "text"}),
            json!({"content": [{"text": "x"}]}),
            json!({"content": [], "isError": "no"}),
        ] {
            assert_eq!(result(&value), Answer::BadShape, "{value}");
        }
        assert_eq!(read_answer(&json!({"error": "text"})), Answer::BadShape);
    }

    #[test]
    fn tools_keep_their_schema_as_written() {
        let raw = json!({"name": "t", "inputSchema": {"type": "object", "properties": {"z": {}, "a": {}}}, "execution": {}, "annotations": {"title": "T", "readOnlyHint": true}});
        let tool = read_tool(&raw).unwrap();
        assert_eq!(
            tool.input_schema.to_string(),
            raw["inputSchema"].to_string()
        );
        assert_eq!(tool.annotations.unwrap().read_only_hint, Some(true));
        assert!(read_tool(&json!({"name": "t"})).is_none());
    }
}
