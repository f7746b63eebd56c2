//! The lenient reading: calls in any known form, with the repairs it took.
//!
//! Data in: a reply's text, the dialect asked for and the offered names. Data out: a [`Reading`].
//! Invariants: never panics; never steers unless `--leniency` says so; a JSON object counts as a
//! call only when its name is offered or it uses the dialects' own keys.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::native_form::{Layout, NativeForm};
use super::reading::Reader;
use super::relaxed_json;
use crate::types::{DialectName, Reading, Repair, ToolCall};

/// Keys read as the tool's name, the dialects' own first.
const NAME_KEYS: [&str; 6] = [
    "tool",
    "name",
    "function",
    "action",
    "tool_name",
    "function_name",
];
/// Keys read as the arguments, the dialects' own first.
const ARGUMENT_KEYS: [&str; 6] = [
    "arguments",
    "parameters",
    "args",
    "input",
    "params",
    "action_input",
];
/// Keys whose value is a call or a list of calls.
const WRAPPER_KEYS: [&str; 5] = [
    "tool_calls",
    "tool_call",
    "calls",
    "function_call",
    "function",
];
/// Keys read as the final answer.
const ANSWER_KEYS: [&str; 2] = ["answer", "final_answer"];
/// Keys that say nothing about a call.
const SILENT_KEYS: [&str; 3] = ["id", "type", "thought"];
/// Tags of native forms that models use whatever they were asked for.
const KNOWN_OPENERS: [&str; 4] = [
    "<tool_call>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<function_call>",
];
/// Their closing tags.
const KNOWN_CLOSERS: [&str; 3] = ["</tool_call>", "</function_call>", "</function>"];

/// What was found in a text.
#[derive(Default)]
struct Found {
    calls: Vec<ToolCall>,
    answer: Option<String>,
    thought: Option<String>,
    repairs: BTreeSet<Repair>,
    /// Byte spans that belong to what was found; anything else is prose.
    spans: Vec<(usize, usize)>,
}

/// The lenient reading of a text. Without calls its answer is only what is marked as one; the
/// caller decides about plain text.
pub(super) fn read(reader: &Reader<'_>, text: &str) -> Reading {
    let mut found = read_react(reader, text);
    if found.calls.is_empty() && found.answer.is_none() {
        found = read_json(reader, text);
    }
    if found.calls.is_empty() && found.answer.is_none() {
        return Reading::default();
    }
    if has_prose(reader, text, &found.spans) {
        found.repairs.insert(Repair::SurroundingProse);
    }
    for call in &mut found.calls {
        if let Some(parsed) = parsed_arguments(&call.arguments) {
            call.arguments = parsed;
            found.repairs.insert(Repair::StringArguments);
        }
    }
    Reading {
        // A call beats an answer written beside it: the answer could not know the result.
        answer: found.answer.filter(|_| found.calls.is_empty()),
        calls: found.calls,
        thought: found.thought,
        violations: Vec::new(),
        repairs: found.repairs.into_iter().collect(),
    }
}

/// Arguments given as a string that holds a JSON object.
pub(super) fn parsed_arguments(arguments: &Value) -> Option<Value> {
    let Value::String(text) = arguments else {
        return None;
    };
    let read = relaxed_json::parse(text, 0)?;
    let rest = text.get(read.end..)?.trim();
    (read.value.is_object() && rest.is_empty()).then_some(read.value)
}

/// An offered tool's name stands where a call would have it: `"name"` after a name key,
/// `Action: name`, `<function=name`, or `name(`.
pub(super) fn names_in_call_position(text: &str, names: &[&str]) -> bool {
    names.iter().filter(|name| !name.is_empty()).any(|name| {
        text.match_indices(name).any(|(at, _)| {
            let before = text[..at].trim_end_matches([' ', '"', '\'', '`', '*', '\u{201c}']);
            let after = &text[at + name.len()..];
            let whole_word =
                !text[..at].ends_with(is_name_char) && !after.starts_with(is_name_char);
            whole_word
                && (after.starts_with('(')
                    || before.ends_with("Action:")
                    || before.ends_with("<function=")
                    || before.strip_suffix(':').is_some_and(|before| {
                        NAME_KEYS.iter().any(|key| ends_with_key(before, key))
                    }))
        })
    })
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The text ends with this key in quotes.
fn ends_with_key(text: &str, key: &str) -> bool {
    let text = text.trim_end();
    ['"', '\'', '\u{201d}'].iter().any(|quote| {
        text.strip_suffix(*quote)
            .is_some_and(|text| text.ends_with(key))
    })
}

/// `Action:` and `Final Answer:` lines.
fn read_react(reader: &Reader<'_>, text: &str) -> Found {
    let mut found = Found::default();
    let mut at = 0;
    while let Some(line) = next_line(text, at) {
        let (start, end) = line;
        at = end + 1;
        let label = label_of(&text[start..end]);
        match label {
            Some(("Thought", rest)) => {
                found.thought.get_or_insert_with(|| rest.trim().to_owned());
                found.spans.push((start, end));
            }
            Some(("Action", rest)) => {
                if let Some((call, repairs, call_end)) = react_call(reader, text, rest, end) {
                    found.spans.push((start, call_end));
                    found.calls.push(call);
                    found.repairs.extend(repairs);
                    at = next_line_start(text, call_end);
                }
            }
            Some(("Final Answer", rest)) => {
                let answer_at = end - rest.len();
                found.answer = Some(text[answer_at..].trim().to_owned());
                found.spans.push((start, text.len()));
                break;
            }
            _ => {}
        }
    }
    let any = !found.calls.is_empty() || found.answer.is_some();
    if any && reader.dialect != DialectName::React {
        found.repairs.insert(Repair::OtherDialect);
    }
    found
}

fn next_line(text: &str, at: usize) -> Option<(usize, usize)> {
    let rest = text.get(at..).filter(|rest| !rest.is_empty())?;
    Some((at, at + rest.find('\n').unwrap_or(rest.len())))
}

fn next_line_start(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |offset| at + offset + 1)
}

/// A label of the react form at the start of a line, emphasis allowed, and what follows it.
fn label_of(line: &str) -> Option<(&'static str, &str)> {
    let bare = line
        .trim_start()
        .trim_start_matches(['*', '#'])
        .trim_start();
    [
        "Thought",
        "Action Input",
        "Action",
        "Final Answer",
        "Observation",
    ]
    .iter()
    .find_map(|label| {
        let rest = bare
            .strip_prefix(label)?
            .trim_start_matches('*')
            .trim_start();
        Some((*label, rest.strip_prefix(':')?.trim_start_matches('*')))
    })
}

/// The call of an `Action:` line: its input stands on a following line.
fn react_call(
    reader: &Reader<'_>,
    text: &str,
    name: &str,
    line_end: usize,
) -> Option<(ToolCall, BTreeSet<Repair>, usize)> {
    let mut repairs = BTreeSet::new();
    let bare = name.trim().trim_end_matches("()");
    let name = bare.trim_matches(['`', '"', '\'', '*', '[', ']']);
    if name.len() != bare.len() {
        repairs.insert(Repair::Quotes);
    }
    let offered = reader.offer.tools.iter().any(|tool| tool.name == name);
    if name.is_empty() || (!offered && name.contains(char::is_whitespace)) {
        return None;
    }
    let rest = text.get(line_end..)?;
    let gap = rest.len() - rest.trim_start().len();
    let input_line = rest.trim_start();
    let line = input_line.lines().next().unwrap_or_default();
    let Some(("Action Input", after)) = label_of(line) else {
        // A tool without arguments is often called without an input line.
        repairs.insert(Repair::KeyNames);
        let call = ToolCall::new(name, Value::Object(Map::new()));
        return offered.then_some((call, repairs, line_end));
    };
    let input_at = line_end + gap + line.len() - after.len();
    let fence = text[input_at..].trim_start();
    let json_at = match fence.strip_prefix("```") {
        Some(inner) => {
            repairs.insert(Repair::CodeFence);
            text.len() - inner.trim_start_matches(char::is_alphabetic).len()
        }
        None => input_at,
    };
    if let Some(read) = relaxed_json::parse(text, json_at) {
        repairs.extend(read.repairs);
        let end = after_fence(text, read.end);
        return Some((ToolCall::new(name, read.value), repairs, end));
    }
    let call = ToolCall::new(name, Value::String(after.trim().to_owned()));
    Some((call, repairs, line_end + gap + line.len()))
}

fn after_fence(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    let trimmed = rest.trim_start();
    if trimmed.starts_with("```") {
        text.len() - trimmed.len() + 3
    } else {
        end
    }
}

/// JSON objects anywhere, bare, fenced or tagged, and `<function=name>{…}` tags.
fn read_json(reader: &Reader<'_>, text: &str) -> Found {
    let mut found = Found::default();
    let mut at = 0;
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find(['{', '[', '<'])) {
        at += offset;
        let end = if text[at..].starts_with('<') {
            read_function_tag(reader, text, at, &mut found)
        } else {
            read_value(reader, text, at, &mut found)
        };
        at = end.unwrap_or(at + 1);
    }
    found
}

fn read_function_tag(
    reader: &Reader<'_>,
    text: &str,
    at: usize,
    found: &mut Found,
) -> Option<usize> {
    let rest = text[at..].strip_prefix("<function=")?;
    let (name, after) = rest.split_once('>')?;
    let json_at = text.len() - after.len();
    let read = relaxed_json::parse(text, json_at).filter(|read| read.value.is_object())?;
    let tagged = reader
        .form
        .is_some_and(|form| form.layout == Layout::Tagged);
    if !(tagged && reader.dialect == DialectName::Native) {
        found.repairs.insert(Repair::OtherDialect);
    }
    found.repairs.extend(read.repairs);
    found.calls.push(ToolCall::new(name.trim(), read.value));
    let end = after_closer(text, read.end, reader.form);
    found.spans.push((at, end));
    Some(end)
}

fn after_closer(text: &str, end: usize, form: Option<&NativeForm>) -> usize {
    let trimmed = text[end..].trim_start();
    let own = form
        .map(|form| form.closer.trim())
        .filter(|closer| !closer.is_empty());
    let closer = own
        .into_iter()
        .chain(KNOWN_CLOSERS)
        .find(|closer| trimmed.starts_with(closer));
    closer.map_or(end, |closer| text.len() - trimmed.len() + closer.len())
}

/// A JSON value that is a call, a list of calls or an answer.
fn read_value(reader: &Reader<'_>, text: &str, at: usize, found: &mut Found) -> Option<usize> {
    let read = relaxed_json::parse(text, at)?;
    let surroundings = Surroundings::of(reader, text, at, read.end);
    let mut repairs = read.repairs;
    let mut calls = Vec::new();
    let form = surroundings.form;
    collect_calls(reader, form, &read.value, 0, &mut calls, &mut repairs);
    if calls.is_empty() {
        let answer = ANSWER_KEYS
            .iter()
            .find_map(|key| read.value.get(key).and_then(Value::as_str))?;
        found.answer.get_or_insert_with(|| answer.to_owned());
    }
    if found.thought.is_none() {
        found.thought = read
            .value
            .get("thought")
            .and_then(Value::as_str)
            .map(ToOwned::to_owned);
    }
    if form != reader.dialect {
        repairs.insert(Repair::OtherDialect);
    }
    if surroundings.other_fence {
        repairs.insert(Repair::CodeFence);
    }
    found.calls.extend(calls);
    found.repairs.extend(repairs);
    found.spans.push(surroundings.span);
    Some(read.end.max(at + 1))
}

/// What a JSON value stands in.
struct Surroundings {
    form: DialectName,
    other_fence: bool,
    span: (usize, usize),
}

impl Surroundings {
    fn of(reader: &Reader<'_>, text: &str, start: usize, end: usize) -> Self {
        let before = text[..start].trim_end();
        let label_at = before
            .trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_')
            .len();
        let (unlabelled, label) = before.split_at(label_at);
        if unlabelled.ends_with("```") {
            let own_fence = label == "tool";
            // The fence is wrong, the form within it may still be the one asked for.
            let form = match (own_fence, reader.dialect) {
                (true, _) | (false, DialectName::Fenced) => DialectName::Fenced,
                (false, _) => DialectName::Json,
            };
            return Self {
                form,
                other_fence: !own_fence,
                span: (unlabelled.len() - 3, after_fence(text, end)),
            };
        }
        let own = reader.form.map(|form| form.text_opener.as_str());
        let own = own.filter(|opener| !matches!(*opener, "{" | "["));
        let opener = own
            .into_iter()
            .chain(KNOWN_OPENERS)
            .find(|opener| before.ends_with(opener));
        if let Some(opener) = opener {
            return Self {
                form: DialectName::Native,
                other_fence: false,
                span: (
                    before.len() - opener.len(),
                    after_closer(text, end, reader.form),
                ),
            };
        }
        let bare_native =
            reader.dialect == DialectName::Native && reader.form.is_some_and(NativeForm::is_bare);
        Self {
            form: if bare_native {
                DialectName::Native
            } else {
                DialectName::Json
            },
            other_fence: false,
            span: (start, end),
        }
    }
}

/// Calls in a value: an object, a list, or either behind a wrapper key.
fn collect_calls(
    reader: &Reader<'_>,
    form: DialectName,
    value: &Value,
    depth: usize,
    calls: &mut Vec<ToolCall>,
    repairs: &mut BTreeSet<Repair>,
) {
    match value {
        Value::Array(items) if depth < 3 => {
            for item in items {
                collect_calls(reader, form, item, depth + 1, calls, repairs);
            }
        }
        Value::Object(map) => {
            if let Some((call, own_keys)) = object_call(reader, form, map) {
                if !own_keys {
                    repairs.insert(Repair::KeyNames);
                }
                calls.push(call);
            } else if depth < 3 {
                let wrapped = WRAPPER_KEYS.iter().filter_map(|key| map.get(*key));
                for inner in wrapped {
                    let before = calls.len();
                    collect_calls(reader, form, inner, depth + 1, calls, repairs);
                    if calls.len() > before {
                        repairs.insert(Repair::KeyNames);
                    }
                }
            }
        }
        _ => {}
    }
}

/// The call in an object, and whether it has the keys of the form it stands in.
fn object_call(
    reader: &Reader<'_>,
    form: DialectName,
    map: &Map<String, Value>,
) -> Option<(ToolCall, bool)> {
    let (own_name, own_arguments) = own_keys(reader, form);
    let name_key = NAME_KEYS
        .iter()
        .find(|key| map.get(**key).is_some_and(Value::is_string))
        .copied()?;
    let name = map.get(name_key)?.as_str()?.trim();
    let arguments_key = ARGUMENT_KEYS
        .iter()
        .find(|key| map.contains_key(**key))
        .copied();
    let offered = reader.offer.tools.iter().any(|tool| tool.name == name);
    let own = name_key == own_name && arguments_key == Some(own_arguments);
    if !offered && !own && name_key != "tool" {
        return None;
    }
    let known =
        |key: &str| key == name_key || Some(key) == arguments_key || SILENT_KEYS.contains(&key);
    let arguments = match arguments_key {
        Some(key) => map.get(key)?.clone(),
        // Arguments written beside the name instead of under a key of their own.
        None => Value::Object(
            map.iter()
                .filter(|(key, _)| !known(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        ),
    };
    let exact = own && map.keys().all(|key| known(key));
    Some((ToolCall::new(name, arguments), exact))
}

/// Keys of a form; native ones from the template.
fn own_keys<'a>(reader: &Reader<'a>, form: DialectName) -> (&'a str, &'a str) {
    match (form, reader.form.map(|form| &form.layout)) {
        (
            DialectName::Native,
            Some(Layout::Object {
                name_key,
                arguments_key,
                ..
            }),
        ) => (name_key, arguments_key),
        (DialectName::Native, _) => ("name", "arguments"),
        _ => ("tool", "arguments"),
    }
}

/// Text outside the spans. Where a dialect has room for text before a call, that is no prose.
fn has_prose(reader: &Reader<'_>, text: &str, spans: &[(usize, usize)]) -> bool {
    let mut at = if reader.text_is_answer {
        spans.iter().map(|(start, _)| *start).min().unwrap_or(0)
    } else {
        0
    };
    for (start, end) in spans {
        if at < *start && !is_filler(&text[at..*start]) {
            return true;
        }
        at = at.max(*end);
    }
    text.get(at..).is_some_and(|rest| !is_filler(rest))
}

/// Separators between calls are no prose.
fn is_filler(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_whitespace() || matches!(c, ';' | ','))
}
