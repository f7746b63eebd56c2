//! Calls that stand in code fences labelled `tool` in the text of a reply.
//!
//! Data in: a text. Data out: the fences with what they hold, and the text around them.
//! Invariants: total; a fence counts from its label to its closing, wherever that stands; a fence
//! that holds no JSON object is given with its text, never dropped.

use serde_json::{Map, Value};

use super::tool::ToolCall;

const OPENER: &str = "```tool";
const CLOSER: &str = "```";
const NAME_KEYS: [&str; 2] = ["tool", "name"];
const ARGUMENT_KEYS: [&str; 3] = ["parameters", "arguments", "args"];

/// The calls of a text and what stands around them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FencedCalls {
    /// In the order written.
    pub calls: Vec<ToolCall>,
    /// The text without the fences that were read, trimmed.
    pub rest: String,
}

/// Reads every fence that names a tool. One whose JSON is broken gives a call whose arguments are
/// the text between the fences, so that validation finds fault with it and nobody else.
pub fn read_tool_fences(text: &str) -> FencedCalls {
    let mut found = FencedCalls::default();
    let mut left = text;
    while let Some(at) = left.find(OPENER) {
        let after = &left[at + OPENER.len()..];
        let body = after.trim_start();
        let labelled = body.starts_with('{') || after.starts_with(['\n', '\r']);
        let (held, end) = held(body);
        let Some(call) = call_of(held).filter(|_| labelled) else {
            found.rest.push_str(&left[..at + OPENER.len()]);
            left = after;
            continue;
        };
        found.rest.push_str(&left[..at]);
        found.calls.push(call);
        left = &body[end..];
    }
    found.rest.push_str(left);
    found.rest = found.rest.trim().to_owned();
    found
}

/// What a fence holds, and where the text goes on after it. The closing may stand on the line of
/// the brace; backticks inside the JSON's strings do not close it.
fn held(body: &str) -> (&str, usize) {
    let mut stream = serde_json::Deserializer::from_str(body).into_iter::<Value>();
    if let Some(Ok(_)) = stream.next() {
        let json_end = stream.byte_offset();
        let rest = &body[json_end..];
        let close = rest.trim_start();
        let skipped = rest.len() - close.len();
        let end = match close.strip_prefix(CLOSER) {
            Some(_) => json_end + skipped + CLOSER.len(),
            None => json_end,
        };
        return (&body[..json_end], end);
    }
    match body.find(CLOSER) {
        Some(at) => (&body[..at], at + CLOSER.len()),
        None => (body, body.len()),
    }
}

fn call_of(held: &str) -> Option<ToolCall> {
    match serde_json::from_str::<Value>(held) {
        Ok(Value::Object(map)) => named_call(&map),
        Ok(_) => None,
        Err(_) => {
            let name = NAME_KEYS.iter().find_map(|key| text_after(held, key))?;
            Some(ToolCall::new(name, Value::from(held.trim())))
        }
    }
}

/// A call from an object that names a tool and its parameters.
pub fn named_call(map: &Map<String, Value>) -> Option<ToolCall> {
    let name = NAME_KEYS.iter().find_map(|key| map.get(*key)?.as_str())?;
    let arguments = ARGUMENT_KEYS
        .iter()
        .find_map(|key| map.get(*key))
        .cloned()
        .unwrap_or_else(|| Value::Object(Map::new()));
    Some(ToolCall::new(name, arguments))
}

/// The string that follows `"key":`.
fn text_after<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let quoted = format!("\"{key}\"");
    let rest = &text[text.find(&quoted)? + quoted.len()..];
    let rest = rest.trim_start().strip_prefix(':')?.trim_start();
    let rest = rest.strip_prefix('"')?;
    rest.split_once('"').map(|(name, _)| name)
}

/// Calls that were told twice count once: those of `first`, then those of `second` that are not
/// among them. Two equal calls in one list are two calls.
pub fn union_of_calls(first: Vec<ToolCall>, second: Vec<ToolCall>) -> Vec<ToolCall> {
    let mut unmatched: Vec<usize> = (0..first.len()).collect();
    let mut all = first;
    for call in second {
        let twin = unmatched.iter().position(|&index| {
            all[index].name == call.name
                && super::matcher::equal_by_value(&all[index].arguments, &call.arguments)
        });
        match twin {
            Some(at) => {
                unmatched.remove(at);
            }
            None => all.push(call),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fence_may_close_on_its_own_line_or_behind_the_brace() {
        let call = ToolCall::new("a", json!({"x": 1}));
        for text in [
            "```tool\n{\"tool\":\"a\",\"parameters\":{\"x\":1}}\n```",
            "```tool\n{\"tool\":\"a\",\"parameters\":{\"x\":1}}```",
            "```tool {\"name\":\"a\",\"arguments\":{\"x\":1}}```",
            "```tool\n{\"tool\":\"a\",\"parameters\":{\"x\":1}}",
        ] {
            let read = read_tool_fences(text);
            assert_eq!(
                (read.calls, read.rest.as_str()),
                (vec![call.clone()], ""),
                "{text}"
            );
        }
    }

    #[test]
    fn what_stands_around_is_kept_and_backticks_in_strings_close_nothing() {
        let text = "Look:\n```tool\n{\"tool\":\"a\",\"parameters\":{\"x\":\"```\"}}\n```\nthen\n```tools\n{}\n```";
        let read = read_tool_fences(text);
        assert_eq!(read.calls, [ToolCall::new("a", json!({"x": "```"}))]);
        assert_eq!(read.rest, "Look:\n\nthen\n```tools\n{}\n```");
    }

    #[test]
    fn broken_json_is_a_call_that_validation_finds_fault_with() {
        let read = read_tool_fences("```tool\n{\"tool\":\"a\",\"parameters\":{x}}\n```");
        assert_eq!(read.calls[0].name, "a");
        assert!(read.calls[0].arguments.is_string());
        assert_eq!(read_tool_fences("```tool\nnothing\n```").calls, []);
    }

    #[test]
    fn a_call_told_twice_counts_once_and_two_equal_ones_twice() {
        let call = |x| ToolCall::new("a", json!({"x": x}));
        let union = |first: &[i32], second: &[i32]| {
            let of = |list: &[i32]| list.iter().map(|x| call(*x)).collect();
            union_of_calls(of(first), of(second)).len()
        };
        assert_eq!(union(&[1], &[1]), 1);
        assert_eq!(union(&[1, 1], &[1]), 2);
        assert_eq!(union(&[1], &[1, 1]), 2);
        assert_eq!(union(&[1], &[2]), 2);
        assert_eq!(union(&[], &[1]), 1);
    }
}
