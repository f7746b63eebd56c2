//! What is kept of a run's content, and what is blotted out before it is kept.
//!
//! Data in: events, trials, headers as they came to be. Data out: the same, with less in them.
//! Invariants: judging is over when this begins, so no verdict depends on it; outcomes, codes, counts,
//! tokens, times and hashes always stay; content is addressed by the hash of what is kept, so that
//! nothing can be guessed from the hash of what is not; names of models, suites, tools and cases are
//! no content and stay.

use std::collections::HashMap;
use std::str::FromStr;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::format::{Header, ToolPolicy, ToolServerHeader};
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::types::host::{HostNote, HostNoteKind};
use crate::types::suite::{Case, Suite};
use crate::types::{ContentHash, Reading, Stage, TrialRecord, Violation};

/// What is kept of prompts, replies, calls and results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retain {
    /// Nothing: verdicts, counts, times and hashes only.
    None,
    /// Calls with their arguments, and what is wrong with them.
    Calls,
    /// Everything.
    #[default]
    Full,
}

impl Retain {
    /// Every value, as written after `--retain`.
    pub const NAMES: [&'static str; 3] = ["full", "calls", "none"];

    /// The name as written after `--retain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Calls => "calls",
            Self::None => "none",
        }
    }
}

impl FromStr for Retain {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "full" => Ok(Self::Full),
            "calls" => Ok(Self::Calls),
            "none" => Ok(Self::None),
            _ => Err(format!("`{text}` is not one of full, calls, none")),
        }
    }
}

/// What a header says of it: patterns by their hashes alone, because a pattern may be the secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivacyHeader {
    /// What is kept.
    pub retain: Retain,
    /// Hash of every pattern, in the order given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<ContentHash>,
}

/// Patterns whose matches are blotted out.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    patterns: Vec<Regex>,
}

/// How every mark begins.
const MARK: &str = "[redacted:";

impl Redactor {
    /// Compiles patterns. The error names the pattern by its number, never by its text.
    pub fn new(patterns: &[String]) -> Result<Self, String> {
        let compiled = patterns.iter().enumerate().map(|(index, text)| {
            let number = index + 1;
            let found = Regex::new(text).map_err(|error| {
                let kind = match error {
                    regex::Error::CompiledTooBig(_) => "is too large",
                    _ => "is no regular expression",
                };
                format!("redaction pattern {number} {kind}")
            })?;
            if found.is_match("") {
                return Err(format!(
                    "redaction pattern {number} matches the empty text, and so everywhere"
                ));
            }
            Ok(found)
        });
        Ok(Self {
            patterns: compiled.collect::<Result<_, String>>()?,
        })
    }

    /// How many patterns there are.
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Nothing is redacted.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Hash of every pattern.
    pub fn hashes(&self) -> Vec<ContentHash> {
        self.patterns
            .iter()
            .map(|pattern| ContentHash::of_bytes(pattern.as_str().as_bytes()))
            .collect()
    }

    /// A text with every match replaced by a mark that names the pattern's number.
    pub fn text(&self, text: &mut String) {
        for (index, pattern) in self.patterns.iter().enumerate() {
            if pattern.is_match(text) {
                let mark = format!("{MARK}{}]", index + 1);
                *text = pattern
                    .replace_all(text, regex::NoExpand(&mark))
                    .into_owned();
            }
        }
    }

    fn optional(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.text(text);
        }
    }

    /// Every string in a value, keys included, but for what names things: `keep` says which keys'
    /// values stay as they are.
    fn value(&self, value: &mut Value, keep: &[&str]) {
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item, keep)),
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                for (mut key, mut field) in old {
                    if !(keep.contains(&key.as_str()) && is_name(&field)) {
                        let is_content = CONTENT.contains(&key.as_str());
                        self.value(&mut field, if is_content { &[] } else { keep });
                    }
                    self.text(&mut key);
                    fields.insert(key, field);
                }
            }
            Value::Number(_) => self.number(value),
            Value::Null | Value::Bool(_) => {}
        }
    }

    /// A number that matches (an account, say) becomes a mark.
    fn number(&self, value: &mut Value) {
        let mut text = value.to_string();
        let before = text.clone();
        self.text(&mut text);
        if text != before {
            *value = Value::String(text);
        }
    }

    fn violation(&self, violation: &mut Violation) {
        self.text(&mut violation.message);
        self.optional(&mut violation.tool);
        self.optional(&mut violation.pointer);
        if let Some(schema) = &mut violation.schema {
            self.value(schema, &[]);
        }
    }

    fn reading(&self, reading: &mut Reading) {
        for call in &mut reading.calls {
            self.value(&mut call.arguments, &[]);
            self.text(&mut call.name);
        }
        self.optional(&mut reading.answer);
        self.optional(&mut reading.thought);
        reading
            .violations
            .iter_mut()
            .for_each(|v| self.violation(v));
    }

    fn trial(&self, trial: &mut TrialRecord) {
        trial.violations.iter_mut().for_each(|v| self.violation(v));
        self.optional(&mut trial.answer);
        self.optional(&mut trial.constraint_refused);
        for attempt in &mut trial.attempts {
            self.reading(&mut attempt.strict);
            self.reading(&mut attempt.lenient);
            attempt
                .violations
                .iter_mut()
                .for_each(|v| self.violation(v));
        }
        for call in &mut trial.calls {
            self.value(&mut call.call.arguments, &[]);
        }
        for note in &mut trial.host_notes {
            self.text(&mut note.detail);
        }
    }
}

/// Whether something of a stored value was redacted.
pub fn is_redacted<T: Serialize>(value: &T) -> bool {
    serde_json::to_string(value).is_ok_and(|text| text.contains(MARK))
}

/// Retention and redaction of one run, or of one export.
#[derive(Clone, Debug, Default)]
pub struct Private {
    /// What is kept.
    pub retain: Retain,
    /// What is blotted out of it.
    pub redactor: Redactor,
}

/// Keys of suites and tools whose values name things or choose among fixed words; a value that is more
/// than a word or a list of words is no name.
const NAMES: [&str; 9] = [
    "suite",
    "id",
    "name",
    "tool",
    "tools",
    "category",
    "tags",
    "difficulty",
    "code",
];

/// Keys below which everything is content, whatever it is called there.
const CONTENT: [&str; 13] = [
    "state",
    "arguments",
    "reply",
    "answer_all",
    "patch",
    "when",
    "answer",
    "ask_back",
    "inputSchema",
    "input_schema",
    "bfcl",
    "server",
    "source",
];

/// A string, or a list of strings.
fn is_name(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        _ => false,
    }
}

impl Private {
    /// Everything is kept as it is.
    pub fn keeps_all(&self) -> bool {
        self.retain == Retain::Full && self.redactor.is_empty()
    }

    /// What a header says of it.
    pub fn header(&self) -> Option<PrivacyHeader> {
        (!self.keeps_all()).then(|| PrivacyHeader {
            retain: self.retain,
            patterns: self.redactor.hashes(),
        })
    }

    /// A trial as it is kept.
    pub fn trial(&self, trial: &mut TrialRecord) {
        if self.keeps_all() {
            return;
        }
        self.redactor.trial(trial);
        if self.retain != Retain::Full {
            strip_trial(trial, self.retain);
        }
    }

    /// A content value as it is kept, with its address; `None` where only the address stays.
    pub(super) fn content(&self, kind: &str, mut value: Value) -> (ContentHash, Option<Value>) {
        // Prompts of the chat wire and results are JSON in a string or a value; both hold words.
        let keep: &[&str] = if kind == "tools" { &NAMES } else { &[] };
        self.redactor.value(&mut value, keep);
        let hash = ContentHash::of_value(&value);
        (hash, (self.retain == Retain::Full).then_some(value))
    }

    /// A header as it is kept: redacted, and without the words of the suites where content is not
    /// kept.
    pub fn in_header(&self, header: &mut Header) {
        if self.keeps_all() {
            return;
        }
        for setting in &mut header.settings {
            if setting.name == "redact" && !self.redactor.is_empty() {
                let number = self.redactor.len();
                setting.value = format!("{number} pattern{}", if number == 1 { "" } else { "s" });
            }
            self.redactor.text(&mut setting.value);
        }
        for excluded in &mut header.excluded {
            self.redactor.text(&mut excluded.reason);
        }
        for server in &mut header.tool_servers {
            self.tool_server(server);
        }
        if let Some(policy) = &mut header.tool_policy {
            self.tool_policy(policy);
        }
        for result in header.probes.iter_mut().flat_map(|set| &mut set.results) {
            self.redactor.text(&mut result.detail);
        }
        for model in &mut header.models {
            self.redactor.text(&mut model.resolution);
            if let Some(cassette) = &mut model.facts.cassette {
                self.redactor.text(&mut cassette.file);
            }
            for leg in &mut model.legs {
                self.redactor.text(&mut leg.resolution);
            }
        }
        for variant in &mut header.variants {
            self.redactor.optional(&mut variant.system);
            if self.retain != Retain::Full {
                variant.system = None;
            }
        }
        for suite in &mut header.suites {
            *suite = if self.retain == Retain::Full {
                self.redacted_suite(suite)
            } else {
                bare_suite(suite)
            };
        }
        header.privacy = self.header();
    }

    /// A tool server as the header keeps it: its address, and what it said of itself.
    pub fn tool_server(&self, server: &mut ToolServerHeader) {
        self.redactor.text(&mut server.name);
        self.redactor.text(&mut server.address);
        self.redactor.optional(&mut server.identity);
        server
            .drift
            .iter_mut()
            .for_each(|line| self.redactor.text(line));
    }

    /// What may be called, as the header keeps it.
    pub fn tool_policy(&self, policy: &mut ToolPolicy) {
        policy
            .paths_under
            .iter_mut()
            .for_each(|path| self.redactor.text(path));
    }

    /// The suite with its words redacted; bare where a pattern broke its form.
    fn redacted_suite(&self, suite: &Suite) -> Suite {
        let read = |suite: &Suite| {
            let mut value = serde_json::to_value(suite).ok()?;
            self.redactor.value(&mut value, &NAMES);
            serde_json::from_value(value).ok()
        };
        read(suite).unwrap_or_else(|| bare_suite(suite))
    }
}

/// A suite's names alone.
fn bare_suite(suite: &Suite) -> Suite {
    Suite {
        suite: suite.suite.clone(),
        cases: suite
            .cases
            .iter()
            .map(|case| Case {
                id: case.id.clone(),
                category: case.category.clone(),
                difficulty: case.difficulty,
                tags: case.tags.clone(),
                ..Case::default()
            })
            .collect(),
        ..Suite::default()
    }
}

fn strip_trial(trial: &mut TrialRecord, retain: Retain) {
    // An answer was given or not; that is counted, what it says is content.
    if let Some(answer) = &mut trial.answer {
        answer.clear();
    }
    trial
        .violations
        .iter_mut()
        .for_each(|v| strip_violation(v, retain));
    for attempt in &mut trial.attempts {
        strip_reading(&mut attempt.strict, retain);
        strip_reading(&mut attempt.lenient, retain);
        attempt
            .violations
            .iter_mut()
            .for_each(|v| strip_violation(v, retain));
    }
    if retain == Retain::None {
        for call in &mut trial.calls {
            call.call.arguments = Value::Object(serde_json::Map::new());
        }
    }
    trial
        .host_notes
        .iter_mut()
        .for_each(|note| strip_note(note, retain));
}

/// Of a note its kind stays; what quotes a call stays with the calls, what quotes the server does not.
fn strip_note(note: &mut HostNote, retain: Retain) {
    let of_calls = matches!(note.kind, HostNoteKind::Refused | HostNoteKind::DryRun);
    if !(retain == Retain::Calls && of_calls) {
        note.detail.clear();
    }
}

fn strip_reading(reading: &mut Reading, retain: Retain) {
    if let Some(answer) = &mut reading.answer {
        answer.clear();
    }
    if let Some(thought) = &mut reading.thought {
        thought.clear();
    }
    if retain == Retain::None {
        for call in &mut reading.calls {
            call.arguments = Value::Object(serde_json::Map::new());
        }
    }
    reading
        .violations
        .iter_mut()
        .for_each(|v| strip_violation(v, retain));
}

/// Messages quote arguments, answers and results; what quotes a call stays with the calls.
fn strip_violation(violation: &mut Violation, retain: Retain) {
    let of_calls = matches!(
        violation.code.stage(),
        Stage::Selection | Stage::Schema | Stage::Value | Stage::Plurality
    );
    if retain == Retain::Calls && of_calls {
        return;
    }
    violation.code.meaning().clone_into(&mut violation.message);
    violation.pointer = None;
    violation.schema = None;
}

/// Hands events on as they may be kept.
pub struct PrivateSink<'a> {
    private: &'a Private,
    next: &'a mut dyn EventSink,
    /// Addresses of what came, and of what was kept instead.
    addresses: HashMap<ContentHash, ContentHash>,
}

impl<'a> PrivateSink<'a> {
    /// Everything that is sent to `next` goes through `private` first.
    pub fn new(private: &'a Private, next: &'a mut dyn EventSink) -> Self {
        Self {
            private,
            next,
            addresses: HashMap::new(),
        }
    }

    fn trial(&self, record: &TrialRecord) -> TrialRecord {
        let mut record = record.clone();
        self.private.trial(&mut record);
        readdress(&mut record, &self.addresses);
        record
    }
}

/// Addresses of what is kept in place of those of what came.
pub(super) fn readdress(record: &mut TrialRecord, addresses: &HashMap<ContentHash, ContentHash>) {
    let kept = |hash: &mut ContentHash| {
        if let Some(kept) = addresses.get(hash) {
            *hash = kept.clone();
        }
    };
    for attempt in &mut record.attempts {
        kept(&mut attempt.prompt);
        kept(&mut attempt.tools);
        let optional = [
            &mut attempt.grammar,
            &mut attempt.reply,
            &mut attempt.served,
            &mut attempt.correction,
        ];
        optional.into_iter().flatten().for_each(kept);
    }
    for call in &mut record.calls {
        call.result.iter_mut().for_each(kept);
    }
    record.end_state.iter_mut().for_each(kept);
}

impl EventSink for PrivateSink<'_> {
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError> {
        if self.private.keeps_all() {
            return self.next.on_event(event);
        }
        let redactor = &self.private.redactor;
        let kept = match event {
            Event::Content { hash, kind, value } => {
                let (address, value) = self.private.content(kind, value.clone());
                self.addresses.insert(hash.clone(), address.clone());
                let Some(value) = value else {
                    return Ok(Flow::Continue);
                };
                Event::Content {
                    hash: address,
                    kind: kind.clone(),
                    value,
                }
            }
            Event::TrialFinished { record } => Event::TrialFinished {
                record: Box::new(self.trial(record)),
            },
            Event::Attempt {
                case,
                prompt,
                reply,
            } => {
                let (mut prompt, mut reply) = (prompt.clone(), reply.clone());
                redactor.text(&mut prompt);
                redactor.text(&mut reply.text);
                for call in &mut reply.calls {
                    redactor.value(&mut call.arguments, &[]);
                }
                Event::Attempt {
                    case: case.clone(),
                    prompt,
                    reply,
                }
            }
            Event::Notice { message } => {
                let mut message = message.clone();
                redactor.text(&mut message);
                Event::Notice { message }
            }
            other => other.clone(),
        };
        self.next.on_event(&kept)
    }
}

#[cfg(test)]
#[path = "privacy_tests.rs"]
mod tests;
