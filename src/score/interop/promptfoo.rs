//! promptfoo's result files: `promptfoo eval --output results.json` (versions 2 and 3 of its summary),
//! and `results.jsonl`, one result a line.
//!
//! Shapes: promptfoo's documentation, "Output Formats" (promptfoo.dev/docs/configuration/outputs) and
//! "Reference" (EvaluateSummary, EvaluateResult), both read on 2026-11-20; outputs with tool calls as
//! its providers for OpenAI and Anthropic give them (source of the same day).
//! Invariants: a result without an output is left out, because its provider failed.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{InteropError, Outputs, is_asked_for, keys, shapes};

/// One result.
#[derive(Debug, Deserialize)]
struct Row<'a> {
    #[serde(default, rename = "testCase")]
    test: Option<Test>,
    #[serde(default)]
    vars: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    provider: Value,
    #[serde(default, borrow)]
    response: Option<Response<'a>>,
}

#[derive(Debug, Default, Deserialize)]
struct Test {
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    metadata: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Response<'a> {
    #[serde(default, borrow)]
    output: Option<&'a RawValue>,
}

impl Row<'_> {
    /// The case: `case` or `id` of the test's metadata or variables, else its description.
    fn case(&self) -> Option<String> {
        let named = |fields: Option<&BTreeMap<String, Value>>| {
            let found = ["case", "id"].iter().find_map(|key| fields?.get(*key));
            match found {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            }
        };
        let test = self.test.as_ref();
        named(test.and_then(|test| test.metadata.as_ref()))
            .or_else(|| named(self.vars.as_ref()))
            .or_else(|| test.and_then(|test| test.description.clone()))
            .or_else(|| self.description.clone())
    }

    /// Id and label of the provider.
    fn provider(&self) -> Vec<&str> {
        match &self.provider {
            Value::String(name) => vec![name],
            Value::Object(fields) => ["id", "label"]
                .iter()
                .filter_map(|key| fields.get(*key)?.as_str())
                .filter(|name| !name.is_empty())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Reads the whole file; `results` is its field of that name. `None` where it is not promptfoo's.
pub(super) fn read(
    top: &BTreeMap<String, &RawValue>,
    results: &RawValue,
    writer: Option<&str>,
) -> Result<Option<Outputs>, InteropError> {
    // `{"results": {"version", "results": […]}}`, or the inner object alone.
    let inner = keys(results.get().as_bytes());
    let fields = inner.as_ref().unwrap_or(top);
    let Some(rows) = fields.get("results") else {
        return Ok(None);
    };
    let Ok(rows) = serde_json::from_str::<Vec<&RawValue>>(rows.get()) else {
        return Ok(None);
    };
    let version = fields
        .get("version")
        .map_or_else(String::new, |version| format!(" (version {version})"));
    let rows = rows.iter().map(|row| row.get());
    collect(rows, format!("promptfoo results{version}"), writer).map(Some)
}

/// Reads one result a line; `None` where the first is none.
pub(super) fn read_lines(
    text: &[u8],
    writer: Option<&str>,
) -> Result<Option<Outputs>, InteropError> {
    let Ok(text) = std::str::from_utf8(text) else {
        return Ok(None);
    };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let is_result = |line: &str| {
        keys(line.as_bytes()).is_some_and(|keys| {
            keys.contains_key("testCase")
                || keys.contains_key("response") && keys.contains_key("vars")
        })
    };
    if !lines.clone().next().is_some_and(is_result) {
        return Ok(None);
    }
    collect(
        &mut lines,
        "promptfoo results, one a line".to_owned(),
        writer,
    )
    .map(Some)
}

fn collect<'a>(
    rows: impl Iterator<Item = &'a str>,
    format: String,
    writer: Option<&str>,
) -> Result<Outputs, InteropError> {
    let mut found = Outputs {
        format,
        ..Outputs::default()
    };
    let (mut nameless, mut results) = (0, 0);
    let (mut writers, mut all) = (BTreeSet::new(), BTreeSet::new());
    for (index, text) in rows.enumerate() {
        let row: Row<'_> = serde_json::from_str(text).map_err(|error| InteropError::Malformed {
            what: format!("promptfoo result {}", index + 1),
            reason: error.to_string(),
        })?;
        results += 1;
        let names = row.provider();
        all.extend(names.first().map(|name| (*name).to_owned()));
        if !is_asked_for(writer, &names) {
            continue;
        }
        writers.extend(names.first().map(|name| (*name).to_owned()));
        let Some(case) = row.case() else {
            nameless += 1;
            continue;
        };
        let output = row.response.as_ref().and_then(|response| response.output);
        let Some(output) = output else {
            *found
                .left_out
                .entry("the provider gave no output".to_owned())
                .or_default() += 1;
            continue;
        };
        shapes::output(output).write(&case, &mut found.lines);
        found.outputs += 1;
    }
    if nameless > 0 {
        return Err(InteropError::Nameless { nameless, results });
    }
    if let Some(asked) = writer.filter(|_| writers.is_empty() && results > 0) {
        return Err(InteropError::UnknownWriter {
            asked: asked.to_owned(),
            writers: all.into_iter().collect(),
        });
    }
    found.writers = writers.into_iter().collect();
    Ok(found)
}
