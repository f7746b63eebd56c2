//! Measuring the way from schema to grammar on the public JSON Schema test suite.
//!
//! Data in: one file of the suite, parsed. Data out: counts and findings. Invariants: the suite's
//! verdict is the reference, but where our validator says otherwise (formats are checked here, the
//! suite mostly takes them for notes) that is counted apart and the validator is; every test is
//! counted exactly once as accepted, refused, too wide, too narrow, closed or unwritable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::bytes::ByteTable;
use super::check::SchemaCheck;
use super::walk::{Walk, walk};
use crate::dialect::closed_schema::Root;
use crate::validate::CompiledSchema;

/// Findings kept of one file and kind.
const MOST_FINDINGS: usize = 400;

/// The drafts of the suite that tool schemas may be written in: folder and `$schema`.
pub const DRAFTS: [(&str, &str); 5] = [
    ("draft4", "http://json-schema.org/draft-04/schema#"),
    ("draft6", "http://json-schema.org/draft-06/schema#"),
    ("draft7", "http://json-schema.org/draft-07/schema#"),
    (
        "draft2019-09",
        "https://json-schema.org/draft/2019-09/schema",
    ),
    (
        "draft2020-12",
        "https://json-schema.org/draft/2020-12/schema",
    ),
];

/// One group of the suite: a schema and tests.
#[derive(Clone, Debug, Deserialize)]
pub struct Group {
    /// What it is about.
    pub description: String,
    /// The schema.
    pub schema: Value,
    /// Instances with their verdicts.
    pub tests: Vec<Case>,
}

/// One instance of the suite.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// What it shows.
    pub description: String,
    /// The instance.
    pub data: Value,
    /// The suite's verdict.
    pub valid: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Random walks of each grammar.
    pub walks: u32,
    /// Seed of the walks.
    pub seed: u64,
}

/// What was measured of one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Tests in all.
    pub tests: u64,
    /// The schema compiles, and the grammar is right: it takes a valid instance or does not take an
    /// invalid one.
    pub accepted: u64,
    /// Tests whose schema is refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Invalid instances that the grammar takes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_wide: u64,
    /// Valid instances that the grammar does not take.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub too_narrow: u64,
    /// Valid instances with keys that no part of the schema names: closed by design.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub closed: u64,
    /// Valid instances with characters that the grammar never writes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unwritable: u64,
    /// Tests on which our validator says otherwise than the suite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub validator_differs: u64,
    /// Tests whose schema our validator refuses; they are among the refused.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub validator_refused: u64,
    /// Random walks that ended.
    pub walks: u64,
    /// Walks whose text the schema as given calls invalid, or that are no JSON.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub walks_invalid: u64,
    /// Walks that are not valid and have a number that no double holds exactly: readers of JSON
    /// round or refuse it, and no verdict on it means much.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub walks_inexact: u64,
    /// Walks without an end within the bound.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub walks_unfinished: u64,
    /// Refused tests by reason.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused_by: BTreeMap<String, u64>,
    /// Tests that are too wide, by the keywords that the grammar does not hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub wide_by: BTreeMap<String, u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    /// Adds another file's counts.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.tests, other.tests),
            (&mut self.accepted, other.accepted),
            (&mut self.refused, other.refused),
            (&mut self.too_wide, other.too_wide),
            (&mut self.too_narrow, other.too_narrow),
            (&mut self.closed, other.closed),
            (&mut self.unwritable, other.unwritable),
            (&mut self.validator_differs, other.validator_differs),
            (&mut self.validator_refused, other.validator_refused),
            (&mut self.walks, other.walks),
            (&mut self.walks_invalid, other.walks_invalid),
            (&mut self.walks_inexact, other.walks_inexact),
            (&mut self.walks_unfinished, other.walks_unfinished),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [
            (&mut self.refused_by, &other.refused_by),
            (&mut self.wide_by, &other.wide_by),
        ] {
            for (reason, count) in theirs {
                *mine.entry(reason.clone()).or_default() += count;
            }
        }
    }
}

/// One thing that is not as the suite has it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// `too_wide`, `too_narrow`, `closed`, `unwritable`, `refused`, `validator_differs`,
    /// `walk` or `unfinished`.
    pub kind: &'static str,
    /// The group.
    pub group: String,
    /// The test; empty for a walk or a refused schema.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub test: String,
    /// The schema.
    pub schema: Value,
    /// The instance, or the text of a walk.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub instance: Value,
    /// Why it was refused, or what the grammar does not hold.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One file of the suite, measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// Folder of the draft.
    pub draft: String,
    /// Name of the file without its ending: the keyword.
    pub keyword: String,
    /// The counts.
    pub counts: Counts,
    /// What is not as the suite has it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// Measures one file.
pub fn measure(
    table: &ByteTable,
    draft: &str,
    keyword: &str,
    groups: &[Group],
    effort: Effort,
) -> Measured {
    let mut meter = Meter::default();
    for group in groups {
        meter.group(table, draft, group, effort);
    }
    Measured {
        draft: draft.to_owned(),
        keyword: keyword.to_owned(),
        counts: meter.counts,
        findings: meter.findings,
    }
}

/// The group's schema with the `$schema` of its folder, where it does not bring its own.
fn with_draft(schema: &Value, draft: &str) -> Value {
    let mut schema = schema.clone();
    let uri = DRAFTS.iter().find(|(folder, _)| *folder == draft);
    if let (Value::Object(map), Some((_, uri))) = (&mut schema, uri)
        && !map.contains_key("$schema")
    {
        map.insert("$schema".to_owned(), Value::from(*uri));
    }
    schema
}

#[derive(Default)]
struct Meter {
    groups: u32,
    counts: Counts,
    findings: Vec<Finding>,
}

impl Meter {
    fn group(&mut self, table: &ByteTable, draft: &str, group: &Group, effort: Effort) {
        self.groups += 1;
        let schema = with_draft(&group.schema, draft);
        let check = SchemaCheck::new(table, &schema, Root::Value);
        for case in &group.tests {
            self.case(&check, group, case, &schema);
        }
        if let (Ok(grammar), Ok(validator)) = (&check.grammar, &check.validator) {
            for number in 0..effort.walks {
                let own = (u64::from(self.groups) << 32) | u64::from(number);
                let seed = effort
                    .seed
                    .wrapping_add(own.wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let walked = walk(grammar, seed);
                self.walk(&check, validator, group, &schema, walked);
            }
        }
    }

    fn walk(
        &mut self,
        check: &SchemaCheck,
        validator: &CompiledSchema,
        group: &Group,
        schema: &Value,
        walked: Walk,
    ) {
        let (kind, text, reason) = match walked {
            Walk::Text(text) => {
                self.counts.walks += 1;
                let read = serde_json::from_str::<Value>(&text);
                if read.is_ok_and(|value| validator.is_valid(&value)) {
                    return;
                }
                if has_long_number(&text) {
                    self.counts.walks_inexact += 1;
                    return;
                }
                self.counts.walks_invalid += 1;
                ("walk", text, loosened(check))
            }
            Walk::Unfinished(text) => {
                self.counts.walks_unfinished += 1;
                let beginning: String = text.chars().take(80).collect();
                ("unfinished", beginning, String::new())
            }
            Walk::Failed(reason) => {
                self.counts.walks_unfinished += 1;
                ("unfinished", String::new(), reason)
            }
        };
        self.find(Finding {
            kind,
            group: group.description.clone(),
            test: String::new(),
            schema: schema.clone(),
            instance: Value::from(text),
            reason,
        });
    }

    fn case(&mut self, check: &SchemaCheck, group: &Group, case: &Case, schema: &Value) {
        self.counts.tests += 1;
        let verdict = check.verdict(&case.data);
        let differs = verdict
            .schema_valid
            .is_some_and(|valid| valid != case.valid);
        let finding = |kind: &'static str, reason: String| Finding {
            kind,
            group: group.description.clone(),
            test: case.description.clone(),
            schema: schema.clone(),
            instance: case.data.clone(),
            reason,
        };
        if differs {
            self.counts.validator_differs += 1;
            self.find(finding("validator_differs", String::new()));
        }
        if verdict.schema_valid.is_none() {
            self.counts.validator_refused += 1;
        }
        let expected = verdict.schema_valid.unwrap_or(case.valid);
        match verdict.grammar_accepts {
            None => {
                let reason = verdict.problem.unwrap_or_default();
                self.counts.refused += 1;
                *self.counts.refused_by.entry(label(&reason)).or_default() += 1;
                self.find(finding("refused", reason));
            }
            Some(accepts) if accepts == expected => self.counts.accepted += 1,
            Some(true) => {
                self.counts.too_wide += 1;
                let by = keywords(check);
                *self.counts.wide_by.entry(by).or_default() += 1;
                self.find(finding("too_wide", loosened(check)));
            }
            Some(false) if verdict.closed => {
                self.counts.closed += 1;
                self.find(finding("closed", String::new()));
            }
            Some(false) if has_unwritable(&case.data) => {
                self.counts.unwritable += 1;
                self.find(finding("unwritable", String::new()));
            }
            Some(false) => {
                self.counts.too_narrow += 1;
                self.find(finding("too_narrow", String::new()));
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        let same = self
            .findings
            .iter()
            .filter(|found| found.kind == finding.kind);
        if same.count() < MOST_FINDINGS {
            self.findings.push(finding);
        }
    }
}

fn loosened(check: &SchemaCheck) -> String {
    let notes: Vec<String> = check.loosened().iter().map(ToString::to_string).collect();
    notes.join("; ")
}

/// The keywords that are not held, each once.
fn keywords(check: &SchemaCheck) -> String {
    let mut names: Vec<&str> = check
        .loosened()
        .iter()
        .map(|note| note.keyword.as_str())
        .collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "nothing is noted".to_owned();
    }
    names.join(", ")
}

/// Characters that need a `\u` escape: grammars write none.
fn has_unwritable(value: &Value) -> bool {
    let text = |text: &str| {
        text.chars()
            .any(|c| c.is_ascii_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{8}' | '\u{c}'))
    };
    match value {
        Value::String(string) => text(string),
        Value::Array(items) => items.iter().any(has_unwritable),
        Value::Object(map) => map
            .iter()
            .any(|(key, value)| text(key) || has_unwritable(value)),
        _ => false,
    }
}

/// Whether a number in a JSON text has an exponent or more digits than a double.
fn has_long_number(text: &str) -> bool {
    const EXACT_DIGITS: usize = 15;
    let mut outside = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if !quoted => outside.push(c),
            _ => {}
        }
    }
    outside
        .split(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | 'e' | 'E' | '+' | '-'))
        .filter(|token| token.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
        .any(|token| {
            let digits = token.bytes().filter(u8::is_ascii_digit).count();
            digits > EXACT_DIGITS || token.contains(['e', 'E'])
        })
}

/// A reason without what differs from schema to schema, for counting.
fn label(reason: &str) -> String {
    for (needle, label) in [
        (
            "cannot be resolved",
            "the validator refuses: a reference outside of the schema",
        ),
        (
            "linear-time",
            "the validator refuses: a pattern with look-around or back-references",
        ),
        (
            "leads back",
            "the validator refuses: references in a circle",
        ),
        (
            "is no draft",
            "the validator refuses: a `$schema` that is no draft",
        ),
        (
            "no value satisfies",
            "the grammar is empty: nothing is valid",
        ),
        ("Unsatisfiable", "the grammar is empty: nothing is valid"),
    ] {
        if reason.contains(needle) {
            return label.to_owned();
        }
    }
    let first = reason.lines().next().unwrap_or_default();
    first.chars().take(90).collect()
}
