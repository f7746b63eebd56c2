//! Calls as model APIs write them: OpenAI's chat completions and responses, Anthropic's messages,
//! Google's parts.
//!
//! Data in: JSON of one of these, or text that holds such blocks line by line. Data out: name and
//! arguments as spelled. Invariants: what is no call is no call, whatever it looks like.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;

/// One call; its arguments as spelled, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    pub(super) arguments: String,
}

impl Serialize for Call {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let arguments: &RawValue =
            serde_json::from_str(&self.arguments).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("arguments", arguments)?;
        map.end()
    }
}

/// What a model wrote: calls, or words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) calls: Vec<Call>,
    /// Text without calls; calls may still be written in it, which `--decode` reads.
    pub(super) text: Option<String>,
    /// The final answer after calls.
    pub(super) answer: Option<String>,
}

impl Output {
    /// Adds the line of this output.
    pub(super) fn write(&self, id: &str, lines: &mut Vec<u8>) {
        let mut line = serde_json::Map::new();
        line.insert("id".to_owned(), id.into());
        let mut text = serde_json::to_string(&line).unwrap_or_default();
        text.pop();
        if let Some(words) = self.text.as_ref().filter(|_| self.calls.is_empty()) {
            text.push_str(",\"output\":");
            text.push_str(&serde_json::to_string(words).unwrap_or_default());
        } else {
            text.push_str(",\"calls\":");
            text.push_str(&serde_json::to_string(&self.calls).unwrap_or_default());
            if let Some(answer) = &self.answer {
                text.push_str(",\"answer\":");
                text.push_str(&serde_json::to_string(answer).unwrap_or_default());
            }
        }
        text.push_str("}\n");
        lines.extend_from_slice(text.as_bytes());
    }
}

/// JSON on one line: a raw line end in JSON stands between tokens only.
pub(super) fn one_line(raw: &RawValue) -> String {
    raw.get().replace(['\n', '\r'], " ")
}

/// A block of any of the forms; what is absent in one is `None`.
#[derive(Debug, Deserialize)]
struct Block<'a> {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(default, borrow)]
    input: Option<&'a RawValue>,
    #[serde(default, borrow)]
    args: Option<&'a RawValue>,
    #[serde(default, borrow)]
    function: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "functionCall", alias = "function_call")]
    function_call: Option<&'a RawValue>,
}

/// The call that a block is, if it is one.
pub(super) fn call(raw: &str) -> Option<Call> {
    if !raw.trim_start().starts_with('{') {
        return None;
    }
    let block: Block<'_> = serde_json::from_str(raw).ok()?;
    // `{"type": "function", "function": {"name", "arguments"}}`, `{"functionCall": {"name", "args"}}`
    if let Some(inner) = block.function.or(block.function_call) {
        return named(inner.get());
    }
    match block.kind.as_deref() {
        // Anthropic's block.
        Some("tool_use") => Some(Call {
            name: block.name?,
            arguments: one_line(block.input?),
        }),
        // An item of OpenAI's responses.
        Some("function_call") => Some(Call {
            name: block.name?,
            arguments: one_line(block.arguments?),
        }),
        _ => None,
    }
}

/// `{"name", "arguments"}` or `{"name", "args"}`. Arguments that are absent are empty.
fn named(raw: &str) -> Option<Call> {
    let block: Block<'_> = serde_json::from_str(raw).ok()?;
    let arguments = block.arguments.or(block.args);
    Some(Call {
        name: block.name?,
        arguments: arguments.map_or_else(|| "{}".to_owned(), one_line),
    })
}

/// What a stored output holds: a list of calls, a message, one call, or text.
pub(super) fn output(raw: &RawValue) -> Output {
    let text = raw.get();
    if let Ok(words) = serde_json::from_str::<String>(text) {
        return of_text(words);
    }
    if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(text) {
        return of_items(&items, text);
    }
    if text.trim() == "null" {
        return Output::default();
    }
    if let Some(call) = call(text) {
        return Output {
            calls: vec![call],
            ..Output::default()
        };
    }
    of_message(text).unwrap_or_else(|| Output {
        text: Some(one_line(raw)),
        ..Output::default()
    })
}

/// Items all of which are calls, or blocks of which some are.
fn of_items(items: &[&RawValue], whole: &str) -> Output {
    let calls: Vec<Call> = items.iter().filter_map(|item| call(item.get())).collect();
    let words: Vec<String> = items.iter().filter_map(|item| block_text(item)).collect();
    let text = if calls.is_empty() && words.is_empty() && !items.is_empty() {
        Some(whole.replace(['\n', '\r'], " "))
    } else {
        Some(words.concat()).filter(|text| !text.is_empty())
    };
    Output {
        calls,
        text,
        answer: None,
    }
}

/// The text of a content block.
pub(super) fn block_text(raw: &RawValue) -> Option<String> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    serde_json::from_str(fields.get("text")?.get()).ok()
}

/// A chat message with `tool_calls`, or with nothing but content.
fn of_message(text: &str) -> Option<Output> {
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let calls = match fields.get("tool_calls") {
        Some(raw) => serde_json::from_str::<Vec<&RawValue>>(raw.get())
            .unwrap_or_default()
            .iter()
            .filter_map(|item| call(item.get()))
            .collect(),
        None => Vec::new(),
    };
    let is_message = fields.contains_key("role") || fields.contains_key("tool_calls");
    is_message.then(|| Output {
        calls,
        text: fields.get("content").and_then(|raw| words(raw)),
        answer: None,
    })
}

/// A message's content as text: a string, or the texts of its blocks.
pub(super) fn words(raw: &RawValue) -> Option<String> {
    if let Ok(text) = serde_json::from_str::<String>(raw.get()) {
        return Some(text);
    }
    let blocks: Vec<&RawValue> = serde_json::from_str(raw.get()).ok()?;
    Some(
        blocks
            .iter()
            .filter_map(|block| block_text(block))
            .collect(),
    )
}

/// Text in which blocks stand on lines of their own, as promptfoo joins them.
fn of_text(text: String) -> Output {
    let calls: Vec<Call> = text.lines().filter_map(call).collect();
    Output {
        calls,
        text: Some(text),
        answer: None,
    }
}
