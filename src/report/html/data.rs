//! The data of the page: an index of all trials, and blocks with what stands in them.
//!
//! Data in: summary, record, details. Data out: base64 of gzip of JSON, which the browser unpacks
//! itself. Invariants: base64 holds nothing that could end a script element; each content is there
//! once; addresses are numbers, so that no hash of what is not kept is given away; -1 is content that
//! the record does not hold. What holds numbers of any size, such as arguments, travels as text, because
//! a browser would round them. A block is unpacked only when one of its trials is looked at.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Shown;
use crate::metrics::detail::first_fault;
use crate::metrics::{Detail, Summary, latest_trials};
use crate::types::{Code, ContentHash, Outcome, TrialRecord};

/// JSON of a block before it is packed; large enough to pack well, small enough to open at once.
const BLOCK_BYTES: usize = 400_000;

/// Packed data, in the order in which the page needs it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Packed {
    /// The summary as `--format json` prints it, packed.
    summary: String,
    /// What the list, the filters and the tools need.
    index: String,
    /// What cases ask and expect.
    cases: String,
    /// Trials and content.
    blocks: Vec<String>,
}

pub(super) fn pack<'a>(
    summary: &Summary,
    shown: &'a Shown<'a>,
    detail: &Detail,
) -> io::Result<Packed> {
    let trials = latest_trials(shown.trials);
    let mut blocks = Blocks::new(shown);
    let mut index = Index::default();
    for trial in &trials {
        let block = blocks.add(trial)?;
        index.add(trial, block);
    }
    let blocks = blocks.finish()?;
    let index = json!({
        "run": shown.header.run,
        "names": index.names(),
        "trials": index.columns,
        "starts": blocks.starts,
        "codes": codes(),
        "tools": tools(detail),
        "retain": shown.header.privacy.as_ref().map(|found| found.retain.as_str()),
    });
    Ok(Packed {
        summary: packed(summary)?,
        index: packed(&index)?,
        cases: packed(&cases(shown))?,
        blocks: blocks.packed,
    })
}

fn packed<T: Serialize>(value: &T) -> io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    serde_json::to_writer(&mut gzip, value)?;
    gzip.flush()?;
    Ok(STANDARD.encode(gzip.finish()?))
}

/// Numbers for names, in the order of their first use.
#[derive(Clone, Debug, Default)]
struct Names {
    list: Vec<String>,
    known: HashMap<String, usize>,
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(&number) = self.known.get(name) {
            return number;
        }
        self.list.push(name.to_owned());
        self.known.insert(name.to_owned(), self.list.len() - 1);
        self.list.len() - 1
    }
}

/// Labels of a trial that are numbers in the index.
const LABELS: [&str; 12] = [
    "model",
    "dialect",
    "constraint",
    "variant",
    "tier",
    "suite",
    "case",
    "category",
    "difficulty",
    "outcome",
    "code",
    "first",
];

/// One column for each thing that the list shows or filters.
#[derive(Clone, Debug, Default)]
struct Index {
    labels: [Names; LABELS.len()],
    tools: Names,
    columns: Columns,
}

#[derive(Clone, Debug, Default, Serialize)]
struct Columns {
    id: Vec<String>,
    label: [Vec<usize>; LABELS.len()],
    tools: Vec<Vec<usize>>,
    trial: Vec<u32>,
    corrections: Vec<u32>,
    replies: Vec<usize>,
    /// `null` where the time is no measurement.
    task_ms: Vec<Option<f64>>,
    noisy: Vec<u8>,
    block: Vec<usize>,
}

impl Index {
    fn add(&mut self, trial: &TrialRecord, block: usize) {
        let cell = &trial.cell;
        let code = trial.outcome.code().map_or("", Code::name);
        let values = [
            &*cell.model,
            cell.dialect.as_str(),
            cell.constraint.as_str(),
            &*cell.variant,
            &*cell.tier,
            &*cell.suite,
            &*trial.case,
            &*trial.category,
            difficulty(trial),
            kind(trial.outcome),
            code,
            first_fault(trial).map_or("", Code::name),
        ];
        let columns = &mut self.columns;
        for ((names, column), value) in self.labels.iter_mut().zip(&mut columns.label).zip(values) {
            column.push(names.number(value));
        }
        let named: BTreeSet<&str> = called(trial).collect();
        let tools = named.into_iter().map(|tool| self.tools.number(tool));
        columns.tools.push(tools.collect());
        columns.id.push(trial.id.clone());
        columns.trial.push(trial.trial);
        columns.corrections.push(trial.corrections);
        columns.replies.push(trial.attempts.len());
        let measured = (!trial.replayed).then_some(trial.time.total_ms);
        columns.task_ms.push(measured);
        columns.noisy.push(u8::from(trial.noisy));
        columns.block.push(block);
    }

    fn names(&self) -> Map<String, Value> {
        let labels = LABELS.iter().zip(&self.labels);
        labels
            .map(|(label, names)| ((*label).to_owned(), json!(names.list)))
            .chain([("tool".to_owned(), json!(self.tools.list))])
            .collect()
    }
}

fn difficulty(trial: &TrialRecord) -> &'static str {
    use crate::types::suite::Difficulty;
    match trial.difficulty {
        Difficulty::Easy => "easy",
        Difficulty::Medium => "medium",
        Difficulty::Hard => "hard",
    }
}

/// The outcome in one word, as the record names it.
fn kind(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Recovered { .. } => "recovered",
        Outcome::Failed { .. } => "failed",
        Outcome::Limit { .. } => "limit",
        Outcome::Infra { .. } => "infra",
        Outcome::Void { .. } => "void",
        Outcome::Tool { .. } => "tool",
        Outcome::Harness { .. } => "harness",
    }
}

/// Tools that a trial called, or that a reply names as called in either reading.
fn called(trial: &TrialRecord) -> impl Iterator<Item = &str> {
    let read = trial.attempts.iter().flat_map(|attempt| {
        let readings = [&attempt.strict, &attempt.lenient];
        readings.into_iter().flat_map(|reading| &reading.calls)
    });
    let made = trial.calls.iter().map(|record| &record.call);
    made.chain(read).map(|call| call.name.as_str())
}

/// Keys of a trial's JSON whose values are addresses of content.
const ADDRESSES: [&str; 8] = [
    "prompt",
    "grammar",
    "tools",
    "reply",
    "served",
    "correction",
    "result",
    "end_state",
];

/// Trials with the content that they are the first to refer to.
struct Blocks<'a> {
    shown: &'a Shown<'a>,
    /// Earlier lines of trials that ran again, by id.
    earlier: HashMap<&'a str, Vec<&'a TrialRecord>>,
    /// Numbers for addresses: -1 where nothing is kept.
    numbers: HashMap<String, Value>,
    trials: Vec<Value>,
    content: Vec<Value>,
    bytes: usize,
    found: Finished,
}

#[derive(Default)]
struct Finished {
    packed: Vec<String>,
    /// The number of the first content of each block.
    starts: Vec<usize>,
}

impl<'a> Blocks<'a> {
    fn new(shown: &'a Shown<'a>) -> Self {
        let mut lines: HashMap<&str, Vec<&TrialRecord>> = HashMap::new();
        for trial in shown.trials {
            lines.entry(&trial.id).or_default().push(trial);
        }
        for lines in lines.values_mut() {
            lines.pop();
        }
        Self {
            shown,
            earlier: lines,
            numbers: HashMap::new(),
            trials: Vec::new(),
            content: Vec::new(),
            bytes: 0,
            found: Finished {
                packed: Vec::new(),
                starts: vec![0],
            },
        }
    }

    /// Adds a trial and gives the number of its block.
    fn add(&mut self, trial: &'a TrialRecord) -> io::Result<usize> {
        let mut value = self.trial(trial)?;
        let earlier = self.earlier.remove(trial.id.as_str()).unwrap_or_default();
        if !earlier.is_empty() {
            let lines: Vec<Value> = earlier
                .into_iter()
                .map(|line| self.trial(line))
                .collect::<io::Result<_>>()?;
            value["earlier"] = Value::Array(lines);
        }
        self.bytes += value.to_string().len();
        self.trials.push(value);
        let block = self.found.packed.len();
        if self.bytes > BLOCK_BYTES {
            self.close()?;
        }
        Ok(block)
    }

    fn trial(&mut self, trial: &TrialRecord) -> io::Result<Value> {
        let mut value = serde_json::to_value(trial)?;
        self.readdress(&mut value);
        for list in ["attempts", "calls"] {
            for item in value[list].as_array_mut().into_iter().flatten() {
                self.readdress(item);
            }
        }
        as_text(&mut value, &["seed", "arguments", "schema"]);
        Ok(value)
    }

    /// Puts numbers in the place of addresses.
    fn readdress(&mut self, value: &mut Value) {
        let Some(fields) = value.as_object_mut() else {
            return;
        };
        for key in ADDRESSES {
            if let Some(Value::String(address)) = fields.get(key) {
                let number = self.number(address, key);
                fields.insert(key.to_owned(), number);
            }
        }
    }

    fn number(&mut self, address: &str, key: &str) -> Value {
        if let Some(number) = self.numbers.get(address) {
            return number.clone();
        }
        let kept = (self.shown.content)(&ContentHash(address.to_owned()));
        let number = match kept {
            None => json!(-1),
            Some(value) => {
                let before = self.found.starts.last().copied().unwrap_or_default();
                let messages = (key == "prompt").then(|| messages(value)).flatten();
                let value = messages.unwrap_or_else(|| content_as_text(value));
                self.bytes += value.to_string().len();
                self.content.push(value);
                json!(before + self.content.len() - 1)
            }
        };
        self.numbers.insert(address.to_owned(), number.clone());
        number
    }

    fn close(&mut self) -> io::Result<()> {
        let block = json!({"trials": std::mem::take(&mut self.trials), "content": self.content});
        self.found.packed.push(packed(&block)?);
        let before = self.found.starts.last().copied().unwrap_or_default();
        self.found.starts.push(before + self.content.len());
        self.content.clear();
        self.bytes = 0;
        Ok(())
    }

    fn finish(mut self) -> io::Result<Finished> {
        if !self.trials.is_empty() {
            self.close()?;
        }
        Ok(self.found)
    }
}

/// What stands under any of these keys, however deep, as text.
fn as_text(value: &mut Value, keys: &[&str]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| as_text(item, keys)),
        Value::Object(fields) => {
            for (key, field) in fields {
                if keys.contains(&key.as_str()) {
                    *field = Value::String(pretty(field));
                } else {
                    as_text(field, keys);
                }
            }
        }
        _ => {}
    }
}

fn pretty(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

/// The messages of a prompt for a server that applies the template itself; it is stored as JSON.
fn messages(value: &Value) -> Option<Value> {
    let mut prompt: Value = serde_json::from_str(value.as_str()?).ok()?;
    prompt.get("messages")?.as_array()?;
    as_text(&mut prompt, &["arguments", "inputSchema"]);
    Some(prompt)
}

/// Prompts, replies and grammars are text as they are; of a tool's result the text counts.
fn content_as_text(value: &Value) -> Value {
    let result = value.get("content").filter(|text| text.is_string());
    Value::String(pretty(result.unwrap_or(value)))
}

/// What each code means and what helps.
fn codes() -> Map<String, Value> {
    let all = Code::ALL.iter();
    all.map(|code| (code.name().to_owned(), json!([code.meaning(), code.help()])))
        .collect()
}

/// What cases ask and expect, by suite and case.
fn cases(shown: &Shown<'_>) -> Value {
    let suites = shown.header.suites.iter().map(|suite| {
        let cases = suite.cases.iter().map(|case| {
            let mut value = serde_json::to_value(case).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                // Large, and no part of what was asked.
                for key in ["own_tools", "near_misses", "bfcl", "state"] {
                    fields.remove(key);
                }
            }
            as_text(&mut value, &["expect", "arguments"]);
            (case.id.clone(), value)
        });
        (suite.suite.clone(), Value::Object(cases.collect()))
    });
    Value::Object(suites.collect())
}

/// Tools by row, as lists of numbers and names; what pairing alone tells is `null` where nothing was
/// paired.
fn tools(detail: &Detail) -> Value {
    let rows = detail.tools.iter().map(|(cell, found)| {
        let tools = found.tools.iter().map(|(key, counts)| {
            let is_paired = found.paired_suites.contains(&key.suite);
            let paired = |count: usize| is_paired.then_some(count);
            json!([
                key.suite,
                key.tool,
                counts.offered,
                counts.executed,
                paired(counts.expected),
                paired(counts.called),
                paired(counts.right_tool),
                paired(counts.right)
            ])
        });
        let faults = found.faults.iter().map(|(fault, count)| {
            let key = &fault.key;
            json!([key.suite, key.tool, fault.pointer, fault.code.name(), count])
        });
        let confusions = found
            .confusions
            .iter()
            .map(|(pair, count)| json!([pair.suite, pair.expected, pair.called, count]));
        json!({
            "model": cell.model,
            "dialect": cell.dialect,
            "constraint": cell.constraint,
            "variant": cell.variant,
            "tier": cell.tier,
            "trials": found.trials,
            "left_out": found.left_out,
            "tools": tools.collect::<Vec<_>>(),
            "faults": faults.collect::<Vec<_>>(),
            "confusions": confusions.collect::<Vec<_>>(),
        })
    });
    rows.collect()
}
