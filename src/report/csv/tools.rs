//! The table of tools.
//!
//! Data in: an [`Export`]. Data out: one line per cell and tool. Invariants: counts of scored trials only;
//! what the record does not keep (offers, expectations) is empty.

use std::collections::BTreeSet;
use std::io::{self, Write};

use serde_json::Value;

use crate::metrics::tool_use::{ToolUse, tool_use};
use crate::report::Export;
use crate::types::TrialRecord;

/// The columns, in order.
const COLUMNS: [&str; 22] = [
    "cell",
    "model",
    "dialect",
    "constraint",
    "variant",
    "suite",
    "tier",
    "tool",
    "offered_trials",
    "expected_trials",
    "expected_called_trials",
    "expected_successful_trials",
    "called_trials",
    "called_successful_trials",
    "calls",
    "failed_calls",
    "call_mean_ms",
    "read_calls",
    "valid_calls",
    "argument_findings",
    "most_frequent_finding",
    "findings",
];

/// Writes the table.
pub(in crate::report) fn tools(export: &Export, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    let trials = export.latest();
    let offered = |trial: &TrialRecord| offered(export, trial);
    for found in tool_use(export.header(), &trials, &offered) {
        writer.write_record(&fields(&trials, &found))?;
    }
    writer.flush()
}

/// Names of the tools that a trial was offered in any attempt.
fn offered(export: &Export, trial: &TrialRecord) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for attempt in &trial.attempts {
        let Value::Array(tools) = export.content(&attempt.tools)? else {
            return None;
        };
        let own = tools.iter().filter_map(|tool| tool["name"].as_str());
        names.extend(own.map(str::to_owned));
    }
    Some(names)
}

fn fields(trials: &[&TrialRecord], found: &ToolUse) -> [String; COLUMNS.len()] {
    let cell = trials.iter().find(|trial| trial.cell_id == found.cell);
    let label = |value: fn(&TrialRecord) -> String| cell.map_or_else(String::new, |it| value(it));
    let findings: Vec<String> = found
        .arguments
        .iter()
        .map(|one| format!("{} {} {}", one.code, one.pointer, one.count))
        .collect();
    let first = found.arguments.first();
    [
        found.cell.clone(),
        label(|trial| trial.cell.model.clone()),
        label(|trial| trial.cell.dialect.to_string()),
        label(|trial| trial.cell.constraint.to_string()),
        label(|trial| trial.cell.variant.clone()),
        label(|trial| trial.cell.suite.clone()),
        label(|trial| trial.cell.tier.clone()),
        found.tool.clone(),
        number(found.offered_trials),
        number(found.expected_trials),
        number(found.expected_called_trials),
        number(found.expected_successful_trials),
        found.called_trials.to_string(),
        found.called_successful_trials.to_string(),
        found.calls.to_string(),
        found.failed_calls.to_string(),
        number(found.mean_ms),
        found.read_calls.to_string(),
        found.valid_calls.to_string(),
        found
            .arguments
            .iter()
            .map(|one| one.count)
            .sum::<usize>()
            .to_string(),
        first.map_or_else(String::new, |one| format!("{} {}", one.code, one.pointer)),
        findings.join("; "),
    ]
}

/// An empty field where there is no number.
fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
