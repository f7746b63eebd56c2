//! The table of tools.
//!
//! Data in: an [`Export`]. Data out: one line per cell and tool, with the counts of the HTML report.
//! Invariants: counts of scored trials only; what the record does not keep (offers, expectations) is
//! empty, never 0.

use std::io::{self, Write};

use serde::Deserialize;

use super::guarded;
use crate::metrics::tools::{CellTools, ToolCounts, ToolKey, by_cell};
use crate::report::Export;

/// The columns, in order.
const COLUMNS: [&str; 21] = [
    "cell",
    "model",
    "dialect",
    "constraint",
    "variant",
    "suite",
    "tier",
    "tool",
    "paired_trials",
    "unpaired_trials",
    "offered_trials",
    "expected",
    "called",
    "right_tool_calls",
    "right",
    "executed_calls",
    "failed_calls",
    "call_mean_ms",
    "argument_findings",
    "most_frequent_finding",
    "findings",
];

/// Writes the table.
pub(in crate::report) fn tools(export: &Export, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    let offered = |hash: &_| Vec::deserialize(export.content(hash)?).ok();
    for cell in by_cell(export.header(), &export.latest(), &offered) {
        for (key, counts) in &cell.tools.tools {
            writer.write_record(fields(&cell, key, counts))?;
        }
    }
    writer.flush()
}

fn fields(cell: &CellTools, key: &ToolKey, counts: &ToolCounts) -> [String; COLUMNS.len()] {
    let row = &cell.tools;
    let faults: Vec<(String, usize)> = row
        .faults_of(key)
        .into_iter()
        .map(|(fault, count)| (format!("{} {}", fault.code.name(), fault.pointer), count))
        .collect();
    let findings: Vec<String> = faults
        .iter()
        .map(|(what, count)| format!("{what} {count}"))
        .collect();
    let paired = |count: usize| known(row.trials > 0, count);
    let mean_ms = (counts.timed > 0).then(|| counts.host_ms / counts.timed as f64);
    [
        cell.id.clone(),
        guarded(&cell.cell.model),
        cell.cell.dialect.to_string(),
        cell.cell.constraint.to_string(),
        guarded(&cell.cell.variant),
        guarded(&cell.cell.suite),
        cell.cell.tier.clone(),
        guarded(&key.tool),
        row.trials.to_string(),
        row.left_out.to_string(),
        known(row.unknown_offers == 0, counts.offered),
        paired(counts.expected),
        paired(counts.called),
        paired(counts.right_tool),
        paired(counts.right),
        counts.executed.to_string(),
        counts.failed.to_string(),
        mean_ms.map_or_else(String::new, |ms| ms.to_string()),
        faults
            .iter()
            .map(|(_, count)| count)
            .sum::<usize>()
            .to_string(),
        faults
            .first()
            .map_or_else(String::new, |(what, _)| what.clone()),
        findings.join("; "),
    ]
}

/// Empty where the record does not tell.
fn known(is_known: bool, count: usize) -> String {
    if is_known {
        count.to_string()
    } else {
        String::new()
    }
}
