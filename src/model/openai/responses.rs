//! OpenAI's `POST /responses`.
//!
//! Data in: requests. Data out: the body, and the parts of a reply, whole or from its events.
//! Invariants: nothing is stored there (`store: false`); the whole reply at the end of a stream is what
//! counts, and pieces that say something else are a mismatch, not a reply.

use serde_json::{Value, json};

use super::body::{Body, Ids, function, whole_schema};
use super::calls::{self, CallParts};
use super::gathered::{Gathered, error_of, tokens};
use crate::model::http::Broken;
use crate::types::endpoint::Endpoint;
use crate::types::{
    ConstraintText, GenerateRequest, Message, Prompt, ProviderError, Role, StopReason,
};

/// The body.
pub(super) fn body(
    endpoint: &Endpoint,
    model: &str,
    request: &GenerateRequest,
) -> Result<Value, ProviderError> {
    let Prompt::Chat {
        messages,
        tools,
        tool_choice,
    } = &request.prompt
    else {
        return Err(ProviderError::Rejected {
            detail: "raw text does not go to this page".to_owned(),
        });
    };
    let mut body = Body::new(endpoint, model);
    body.put("input", Value::Array(items(messages)));
    body.put("store", json!(false));
    body.sampling(request, "max_output_tokens");
    body.stream(request, false);
    if !tools.is_empty() {
        let held = request.constraint == Some(ConstraintText::StrictTools);
        let offered = tools.iter().map(|tool| {
            let mut offered = function(tool, held)?;
            offered["type"] = json!("function");
            // Strict is this page's own default.
            offered["strict"] = json!(held);
            Ok(offered)
        });
        let offered: Vec<Value> = offered.collect::<Result<_, ProviderError>>()?;
        body.put("tools", Value::Array(offered));
        body.put("tool_choice", json!(tool_choice.as_str()));
        if !held {
            body.put("parallel_tool_calls", json!(true));
        }
    }
    match &request.constraint {
        None | Some(ConstraintText::StrictTools) => {}
        Some(ConstraintText::JsonSchema(schema)) => {
            let schema = whole_schema(endpoint, schema)?;
            let format =
                json!({"type": "json_schema", "name": "reply", "schema": schema, "strict": true});
            body.put("text", json!({"format": format}));
        }
        Some(ConstraintText::Gbnf(_) | ConstraintText::Lark(_)) => {
            return Err(super::body::refused(
                "this page takes no grammar".to_owned(),
            ));
        }
    }
    Ok(body.done())
}

fn items(messages: &[Message]) -> Vec<Value> {
    let mut ids = Ids::new();
    let mut items = Vec::new();
    for message in messages {
        match message.role {
            Role::Tool => items.push(json!({
                "type": "function_call_output",
                "call_id": ids.answered(message), "output": message.content,
            })),
            Role::Assistant if !message.tool_calls.is_empty() => {
                if !message.content.is_empty() {
                    items.push(json!({"role": "assistant", "content": message.content}));
                }
                for (id, call) in ids.calls(message) {
                    let arguments = calls::arguments_text(&call.arguments);
                    items.push(json!({
                        "type": "function_call",
                        "call_id": id, "name": call.name, "arguments": arguments,
                    }));
                }
            }
            role => items.push(json!({"role": role.as_str(), "content": message.content})),
        }
    }
    items
}

/// A whole reply.
pub(super) fn read_whole(value: &Value, gathered: &mut Gathered) -> Result<(), String> {
    let output = value
        .get("output")
        .and_then(Value::as_array)
        .ok_or("the reply has no output")?;
    for item in output {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        match kind {
            "message" => gathered.text.push_str(&texts(item, "content")),
            "reasoning" => gathered.reasoning.push_str(&texts(item, "summary")),
            "function_call" => gathered.calls.push(call(item)),
            _ => {}
        }
    }
    let reason = value
        .pointer("/incomplete_details/reason")
        .and_then(Value::as_str);
    gathered.stop = Some(match (reason, gathered.calls.is_empty()) {
        (Some("max_output_tokens"), _) => StopReason::MaxTokens,
        (_, false) => StopReason::ToolCalls,
        (_, true) => StopReason::Stop,
    });
    let count = |pointer: &str| tokens(value.pointer(pointer));
    let usage = &mut gathered.usage;
    usage.prompt_tokens = count("/usage/input_tokens");
    usage.cached_tokens =
        count("/usage/input_tokens_details/cached_tokens").min(usage.prompt_tokens);
    usage.computed_tokens = usage.prompt_tokens - usage.cached_tokens;
    usage.output_tokens = count("/usage/output_tokens");
    usage.reasoning_tokens = count("/usage/output_tokens_details/reasoning_tokens");
    Ok(())
}

fn texts(item: &Value, key: &str) -> String {
    let parts = item.get(key).and_then(Value::as_array);
    let parts = parts.map(Vec::as_slice).unwrap_or_default();
    let texts = parts.iter().filter_map(|part| {
        let refusal = part.get("refusal");
        part.get("text").or(refusal)?.as_str()
    });
    texts.collect()
}

fn call(item: &Value) -> CallParts {
    let text = |key: &str| {
        let value = item.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    CallParts {
        index: None,
        id: text("call_id"),
        name: text("name"),
        text: text("arguments"),
        value: item
            .get("arguments")
            .filter(|value| value.is_object())
            .cloned(),
    }
}

/// One event of a stream.
pub(super) fn read_event(
    value: &Value,
    gathered: &mut Gathered,
    at_ms: f64,
) -> Result<Result<(), String>, Broken> {
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let delta = value
        .get("delta")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match kind {
        "response.output_text.delta" => gathered.add_text(delta, Some(at_ms)),
        "response.function_call_arguments.delta" => gathered.mark(at_ms),
        "response.reasoning_summary_text.delta" => gathered.mark_thought(at_ms),
        "response.completed" | "response.incomplete" => {
            let Some(whole) = value.get("response") else {
                return Ok(Err("the last event holds no response".to_owned()));
            };
            let streamed = std::mem::take(&mut gathered.text);
            if let Err(shape) = read_whole(whole, gathered) {
                return Ok(Err(shape));
            }
            if streamed != gathered.text && !streamed.is_empty() {
                return Err(Broken::Failed(ProviderError::StreamMismatch {
                    detail: format!(
                        "the pieces have {} bytes of text, the whole reply has {}",
                        streamed.len(),
                        gathered.text.len()
                    ),
                }));
            }
        }
        "response.failed" => {
            let whole = value.get("response").unwrap_or(value);
            let error = error_of(whole).unwrap_or(ProviderError::Server {
                detail: "the response failed without further words".to_owned(),
            });
            return Err(Broken::Failed(error));
        }
        "error" => {
            let words =
                json!({"error": {"message": value.get("message"), "code": value.get("code")}});
            if let Some(error) = error_of(&words) {
                return Err(Broken::Failed(error));
            }
        }
        _ => {}
    }
    Ok(Ok(()))
}
