//! Calls as servers of this family write them, whole or in pieces.
//!
//! Data in: the `tool_calls` of messages and deltas. Data out: [`ToolCall`]s. Invariants: arguments that
//! are no JSON object stay the text that came; an id that is missing or not its own is left out, and the
//! runner gives one.

use serde_json::{Map, Value};

use crate::types::ToolCall;

/// A call of which pieces have come.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct CallParts {
    /// Where it stands in the reply, as the server counts.
    pub(super) index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    /// Arguments as text.
    pub(super) text: String,
    /// Arguments as a value, where the server sends one.
    pub(super) value: Option<Value>,
}

/// Adds the pieces of one delta. Servers count (`index`), name (`id`), do both, or neither.
pub(super) fn add(calls: &mut Vec<CallParts>, pieces: &[Value]) {
    for piece in pieces {
        let function = piece.get("function").unwrap_or(piece);
        let text = |key: &str| {
            function
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let id = piece.get("id").and_then(Value::as_str).unwrap_or_default();
        let index = piece.get("index").and_then(Value::as_u64);
        let name = text("name");
        let continues = |call: &CallParts| {
            let same_place = match (index, call.index) {
                (Some(index), Some(known)) => index == known,
                // Without a count only a piece that begins nothing goes on.
                _ => name.is_empty() || name == call.name && !id.is_empty(),
            };
            let same_id = id.is_empty() || call.id.is_empty() || id == call.id;
            same_place && same_id
        };
        let known = calls.iter().rposition(continues);
        let at = known.unwrap_or_else(|| {
            calls.push(CallParts {
                index,
                ..CallParts::default()
            });
            calls.len() - 1
        });
        let call = &mut calls[at];
        if call.id.is_empty() {
            id.clone_into(&mut call.id);
        }
        if call.name.is_empty() {
            name.clone_into(&mut call.name);
        }
        match function
            .get("arguments")
            .or_else(|| function.get("parameters"))
        {
            Some(Value::String(part)) => call.text.push_str(part),
            Some(Value::Null) | None => {}
            Some(value) => call.value = Some(value.clone()),
        }
    }
}

/// The calls that the pieces make.
pub(super) fn finished(parts: &[CallParts]) -> Vec<ToolCall> {
    parts
        .iter()
        .enumerate()
        .map(|(at, part)| {
            let own = !part.id.is_empty() && parts[..at].iter().all(|other| other.id != part.id);
            ToolCall {
                id: own.then(|| part.id.clone()),
                name: part.name.clone(),
                arguments: match &part.value {
                    Some(value) => value.clone(),
                    None => arguments(&part.text),
                },
            }
        })
        .collect()
}

/// Arguments from their text: an object where it is one, the empty one where nothing was written,
/// otherwise the text itself.
pub(super) fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(Value::String(_)) | Err(_) => Value::String(text.to_owned()),
        Ok(value) => value,
    }
}

/// Arguments as the text that goes back to a server.
pub(super) fn arguments_text(arguments: &Value) -> String {
    match arguments {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(deltas: &[Value]) -> Vec<ToolCall> {
        let mut parts = Vec::new();
        for delta in deltas {
            add(&mut parts, std::slice::from_ref(delta));
        }
        finished(&parts)
    }

    fn call(id: Option<&str>, name: &str, arguments: Value) -> ToolCall {
        ToolCall {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            arguments,
        }
    }

    #[test]
    fn pieces_make_calls_however_the_server_counts() {
        let counted = [
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}),
            json!({"index": 1, "id": "b", "function": {"name": "f", "arguments": "{\"y\""}}),
            json!({"index": 0, "function": {"arguments": "{\"x\":1}"}}),
            json!({"index": 1, "function": {"arguments": ":2}"}}),
        ];
        let two = [
            call(Some("a"), "f", json!({"x": 1})),
            call(Some("b"), "f", json!({"y": 2})),
        ];
        assert_eq!(of(&counted), two);
        // Every call at place 0, told apart by its id.
        let all_at_zero = [
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\":1}"}}),
            json!({"index": 0, "id": "b", "function": {"name": "f", "arguments": "{\"y\":2}"}}),
        ];
        assert_eq!(of(&all_at_zero), two);
        // Neither place nor id: a name begins a call.
        let bare = [
            json!({"function": {"name": "f", "arguments": {"x": 1}}}),
            json!({"function": {"name": "f", "arguments": "{\"y\":"}}),
            json!({"function": {"arguments": "2}"}}),
        ];
        assert_eq!(
            of(&bare),
            [
                call(None, "f", json!({"x": 1})),
                call(None, "f", json!({"y": 2}))
            ]
        );
        // The name and the id again in every piece.
        let again = [
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{\"x\""}}),
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": ":1}"}}),
        ];
        assert_eq!(of(&again), [call(Some("a"), "f", json!({"x": 1}))]);
        // One id for two calls names none of them but the first.
        let same = [
            json!({"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}),
            json!({"index": 1, "id": "a", "function": {"name": "g", "arguments": "{}"}}),
        ];
        assert_eq!(of(&same)[1].id, None);
    }

    #[test]
    fn arguments_that_are_no_object_stay_what_they_were() {
        for (text, value) in [
            ("", json!({})),
            ("  ", json!({})),
            ("{\"a\":1}", json!({"a": 1})),
            ("{\"a\":", json!("{\"a\":")),
            ("[1]", json!([1])),
            ("\"{}\"", json!("\"{}\"")),
        ] {
            assert_eq!(arguments(text), value, "{text}");
        }
        assert_eq!(arguments_text(&json!("{\"a\":")), "{\"a\":");
    }
}
