//! A history as CSV: one line for each cell of each run.

use std::io::Write;

use super::points::in_words;
use super::{CellHistory, History, Point};

const COLUMNS: [&str; 28] = [
    "run",
    "started_at",
    "model",
    "dialect",
    "constraint",
    "variant",
    "suite",
    "tier",
    "settings",
    "series",
    "cases",
    "trials",
    "scored_trials",
    "excluded_trials",
    "missing_trials",
    "success_rate",
    "success_low",
    "success_high",
    "success_n",
    "success_method",
    "task_p50_ms",
    "task_p95_ms",
    "valid_call_p50_ms",
    "valid_call_p95_ms",
    "noisy_trials",
    "changes",
    "toolbench_version",
    "engine_build",
];

/// Writes it; a number that does not exist is an empty field.
pub fn write_csv(history: &History, out: &mut dyn Write) -> std::io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for cell in &history.cells {
        for point in &cell.points {
            writer.write_record(line(cell, point))?;
        }
    }
    writer.flush()
}

fn line(cell: &CellHistory, point: &Point) -> [String; 28] {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    let settings: Vec<String> = cell
        .settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    [
        point.run.clone(),
        point.started_at.clone(),
        cell.model.clone(),
        cell.dialect.clone(),
        cell.constraint.clone(),
        cell.variant.clone(),
        cell.suite.clone(),
        cell.tier.clone(),
        settings.join(" "),
        point.series.clone(),
        point.cases.to_string(),
        point.trials.to_string(),
        point.scored_trials.to_string(),
        point.excluded_trials.to_string(),
        point
            .missing_trials
            .map_or_else(String::new, |missing| missing.to_string()),
        number(point.success.rate),
        number(point.success.low),
        number(point.success.high),
        point.success.n.to_string(),
        point.success.method.as_str().to_owned(),
        number(point.task_ms.p50),
        number(point.task_ms.p95),
        number(point.valid_call_ms.p50),
        number(point.valid_call_ms.p95),
        point.noisy_trials.to_string(),
        in_words(&point.changes),
        point.toolbench_version.clone(),
        point.engine_build.clone(),
    ]
}
