//! Inspect's logs: the `.json` form, and the `.eval` form, a zip archive with one member a sample.
//!
//! Shapes: Inspect's documentation, "Log Files" and reference of `inspect_ai.log` (EvalLog, EvalSample)
//! and `inspect_ai.model` (ChatMessageAssistant, ToolCall), inspect.aisi.org.uk, read on 2026-11-20; the
//! archive's members as its recorder writes them (`header.json`, `samples/ID_epoch_N.json`).
//! Invariants: a sample's calls are those of all assistant messages that the model wrote, in order; a
//! sample that ended with an error is left out; what Inspect's agents hand in through `submit` is the
//! answer and no call.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::shapes::{Call, Output, one_line, words};
use super::{InteropError, Outputs, is_asked_for, keys, without_nan};

/// Bytes that all samples of an archive may have together.
const MOST_BYTES: u64 = 4 << 30;
/// How a long text stands in a sample: by its address among the attachments.
const ATTACHMENT: &str = "attachment://";

#[derive(Debug, Deserialize)]
struct Sample<'a> {
    id: Value,
    #[serde(default, borrow)]
    messages: Option<Vec<Message<'a>>>,
    #[serde(default, borrow)]
    error: Option<&'a RawValue>,
    #[serde(default)]
    attachments: Option<BTreeMap<String, String>>,
    #[serde(default, borrow)]
    output: Option<ModelOutput<'a>>,
}

#[derive(Debug, Deserialize)]
struct ModelOutput<'a> {
    #[serde(default, borrow)]
    choices: Option<Vec<Choice<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(default)]
    role: String,
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    /// `input` for what the dataset gave, `generate` for what the model wrote.
    #[serde(default)]
    source: Option<String>,
    #[serde(default, borrow)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall<'a> {
    function: String,
    #[serde(default, borrow)]
    arguments: Option<&'a RawValue>,
    /// What the model wrote could not be read as arguments.
    #[serde(default)]
    parse_error: Option<String>,
}

/// Whether the bytes are a zip archive.
pub(super) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04")
}

/// Reads a log of the `.json` form.
pub(super) fn read_log(
    top: &BTreeMap<String, &RawValue>,
    writer: Option<&str>,
) -> Result<Outputs, InteropError> {
    let model = top.get("eval").and_then(|eval| model(eval.get()));
    let mut found = begin("Inspect log", model, writer)?;
    let samples = match top.get("samples") {
        Some(raw) => {
            serde_json::from_str::<Option<Vec<&RawValue>>>(raw.get()).map_err(|error| {
                InteropError::Malformed {
                    what: "the log's samples".to_owned(),
                    reason: error.to_string(),
                }
            })?
        }
        None => None,
    };
    for raw in samples.unwrap_or_default() {
        sample(raw.get(), &mut found)?;
    }
    Ok(found)
}

/// Reads a log of the `.eval` form.
pub(super) fn read_archive(bytes: &[u8], writer: Option<&str>) -> Result<Outputs, InteropError> {
    let failed = |reason: String| InteropError::Archive {
        reason: format!(
            "the zip archive cannot be read as an Inspect log: {reason}; `inspect log dump FILE` writes it as JSON"
        ),
    };
    let mut archive =
        zip::ZipArchive::new(Cursor::new(bytes)).map_err(|error| failed(error.to_string()))?;
    let names: Vec<String> = archive
        .file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
        .collect();
    let mut left = MOST_BYTES;
    let mut member = |name: &str| -> Result<Vec<u8>, InteropError> {
        let file = archive
            .by_name(name)
            .map_err(|error| failed(format!("{name}: {error}")))?;
        let mut text = Vec::new();
        file.take(left + 1)
            .read_to_end(&mut text)
            .map_err(|error| failed(format!("{name}: {error}")))?;
        left = left
            .checked_sub(text.len() as u64)
            .ok_or_else(|| failed(format!("it holds more than {MOST_BYTES} bytes")))?;
        Ok(without_nan(&text).unwrap_or(text))
    };
    let head = ["header.json", "_journal/start.json", "start.json"]
        .into_iter()
        .find(|name| names.iter().any(|known| known == name))
        .ok_or_else(|| failed("it has no header.json".to_owned()))?;
    let head = member(head)?;
    let eval = keys(&head).and_then(|fields| model(fields.get("eval")?.get()));
    let mut found = begin("Inspect log (.eval)", eval, writer)?;
    let mut samples: Vec<&String> = names
        .iter()
        .filter(|name| {
            let inside = name.strip_prefix("samples/");
            let sample = inside.and_then(|rest| rest.strip_suffix(".json"));
            sample.is_some_and(|sample| !sample.contains('/'))
        })
        .collect();
    samples.sort();
    if samples.is_empty() && names.iter().any(|name| name.starts_with("samples/")) {
        return Err(failed(
            "its samples are in a form that is not known here".to_owned(),
        ));
    }
    for name in samples {
        let text = member(name)?;
        let text = String::from_utf8(text).map_err(|error| failed(format!("{name}: {error}")))?;
        sample(&text, &mut found)?;
    }
    Ok(found)
}

fn begin(
    format: &str,
    model: Option<String>,
    writer: Option<&str>,
) -> Result<Outputs, InteropError> {
    let names: Vec<&str> = model.as_deref().into_iter().collect();
    if let Some(asked) = writer.filter(|_| !is_asked_for(writer, &names)) {
        return Err(InteropError::UnknownWriter {
            asked: asked.to_owned(),
            writers: model.into_iter().collect(),
        });
    }
    Ok(Outputs {
        format: format.to_owned(),
        writers: model.into_iter().collect(),
        ..Outputs::default()
    })
}

/// `eval.model`.
fn model(eval: &str) -> Option<String> {
    serde_json::from_str(keys(eval.as_bytes())?.get("model")?.get()).ok()
}

fn sample(text: &str, found: &mut Outputs) -> Result<(), InteropError> {
    let sample: Sample<'_> =
        serde_json::from_str(text).map_err(|error| InteropError::Malformed {
            what: "a sample of the log".to_owned(),
            reason: error.to_string(),
        })?;
    let id = match &sample.id {
        Value::String(id) => id.clone(),
        other => other.to_string(),
    };
    let mut leave_out = |reason: &str| {
        *found.left_out.entry(reason.to_owned()).or_default() += 1;
    };
    if sample.error.is_some_and(|error| error.get() != "null") {
        leave_out("the sample ended with an error");
        return Ok(());
    }
    let choices = sample
        .output
        .iter()
        .flat_map(|output| output.choices.iter().flatten());
    let mut written: Vec<&Message<'_>> = sample
        .messages
        .iter()
        .flatten()
        .filter(|message| message.role == "assistant" && message.source.as_deref() != Some("input"))
        .collect();
    if written.is_empty() {
        written = choices.take(1).map(|choice| &choice.message).collect();
    }
    if written.is_empty() {
        leave_out("the sample holds no message of the model");
        return Ok(());
    }
    let attachments = sample.attachments.unwrap_or_default();
    output(&written, &attachments).write(&id, &mut found.lines);
    found.outputs += 1;
    Ok(())
}

fn output(written: &[&Message<'_>], attachments: &BTreeMap<String, String>) -> Output {
    let mut calls = Vec::new();
    let mut last_words = None;
    for message in written {
        let of_message = message.tool_calls.iter().flatten();
        let before = calls.len();
        calls.extend(of_message.map(|call| read_call(call, attachments)));
        last_words = if calls.len() > before {
            None
        } else {
            let text = message.content.and_then(words);
            text.map(|text| resolved(text, attachments))
        };
    }
    let submitted = calls.last().and_then(submission);
    if submitted.is_some() {
        calls.pop();
    }
    let answer = submitted.or(last_words);
    Output {
        text: answer.clone().filter(|_| calls.is_empty()),
        answer,
        calls,
    }
}

fn read_call(call: &ToolCall<'_>, attachments: &BTreeMap<String, String>) -> Call {
    let arguments = match (&call.parse_error, call.arguments) {
        // A text that is no JSON is judged as what it is: arguments that cannot be read.
        (Some(error), _) => {
            serde_json::to_string(&format!("cannot be read: {error}")).unwrap_or_default()
        }
        (None, Some(raw)) if raw.get().contains(ATTACHMENT) => {
            let mut value: Value = serde_json::from_str(raw.get()).unwrap_or_default();
            resolve(&mut value, attachments);
            value.to_string()
        }
        (None, Some(raw)) => one_line(raw),
        (None, None) => "{}".to_owned(),
    };
    Call {
        name: call.function.clone(),
        arguments,
    }
}

/// The answer that an agent of Inspect hands in: `submit(answer="…")`.
fn submission(call: &Call) -> Option<String> {
    let arguments: BTreeMap<String, String> = serde_json::from_str(&call.arguments).ok()?;
    let answer = arguments.get("answer").filter(|_| arguments.len() == 1)?;
    (call.name == "submit").then(|| answer.clone())
}

fn resolved(text: String, attachments: &BTreeMap<String, String>) -> String {
    let found = text
        .strip_prefix(ATTACHMENT)
        .and_then(|address| attachments.get(address));
    found.cloned().unwrap_or(text)
}

fn resolve(value: &mut Value, attachments: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => *text = resolved(std::mem::take(text), attachments),
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, attachments)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|field| resolve(field, attachments)),
        _ => {}
    }
}
