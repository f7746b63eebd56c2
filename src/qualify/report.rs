//! What a qualification says, as JSON and for the terminal.

use std::fmt::Write as _;

use serde::Serialize;

use super::judge::{Judged, RowVerdict};
use crate::metrics::floor::FloorStatus;
use crate::report::{percent_with_interval, wrap};

/// Name and version of the JSON.
pub const QUALIFY_SCHEMA: &str = "toolbench.qualify/1";

const WIDTH: usize = 100;

/// Everything that is said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Qualification {
    /// [`QUALIFY_SCHEMA`].
    pub schema: &'static str,
    /// Name of the stage file.
    pub qualify: String,
    /// The file.
    pub file: String,
    /// The model.
    pub model: String,
    /// `qualified`, `not_qualified`, `undecided`, `interrupted`, or in a dry run `not_run`.
    pub verdict: &'static str,
    /// Stages in order.
    pub stages: Vec<StageLine>,
    /// The verdict in one line.
    pub line: String,
    /// What to do next.
    pub next: String,
    /// How the process ends.
    pub exit_code: u8,
}

/// One stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageLine {
    /// Its name.
    pub stage: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its floor in percent.
    pub floor_percent: f64,
    /// What became of it.
    pub status: StageStatus,
    /// Why it was, or would be, run, or stands.
    pub reasons: Vec<String>,
    /// What it may take and touch, in words.
    pub bounds: Vec<String>,
    /// Its run.
    pub run: Option<String>,
    /// Trials planned; absent where the stage was not looked at.
    pub planned_trials: Option<usize>,
    /// Its verdict.
    pub judged: Option<Judged>,
    /// What to change, where it was not passed.
    pub advice: Vec<String>,
    /// Cases that failed, each with its code.
    pub failing_cases: Vec<String>,
}

/// What became of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StageStatus {
    /// Run, and its floor reached.
    Passed,
    /// Passed before, and nothing it depends on has changed.
    Stands,
    /// Run, and its floor missed.
    Missed,
    /// Run, or stopped before, and nothing can be concluded.
    Undecided,
    /// Interrupted.
    Interrupted,
    /// A stage before it was not passed.
    NotReached,
    /// A dry run: it would run.
    WouldRun,
}

impl StageStatus {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Stands => "stands",
            Self::Missed => "missed",
            Self::Undecided => "undecided",
            Self::Interrupted => "interrupted",
            Self::NotReached => "not reached",
            Self::WouldRun => "would run",
        }
    }
}

/// For the terminal, in at most 100 columns.
pub fn terminal(found: &Qualification) -> String {
    let mut out = format!("{} · {}\n\n", found.qualify, found.model);
    let width = found.stages.iter().map(|it| it.stage.chars().count());
    let width = width.max().unwrap_or(5).clamp(5, 24);
    let _ = writeln!(
        out,
        "{:<width$}  {:<11}  {:>7}  {:>20}  {:>6}  {:<11}  run",
        "stage", "kind", "floor %", "success % [95 %]", "n", "verdict"
    );
    for stage in &found.stages {
        let rows: &[RowVerdict] = stage.judged.as_ref().map_or(&[], |judged| &judged.rows);
        let first = rows.first();
        let name: String = stage.stage.chars().take(24).collect();
        let _ = writeln!(
            out,
            "{name:<width$}  {:<11}  {:>7}  {:>20}  {:>6}  {:<11}  {}",
            stage.kind,
            stage.floor_percent,
            first.map_or_else(|| "–".to_owned(), percent),
            first.map_or_else(|| "–".to_owned(), size),
            stage.status.in_words(),
            stage.run.as_deref().unwrap_or("–")
        );
        for row in rows.iter().skip(1) {
            let _ = writeln!(
                out,
                "{:<width$}  {:<11}  {:>7}  {:>20}  {:>6}  {}",
                "",
                "",
                "",
                percent(row),
                size(row),
                row.name
            );
        }
    }
    for stage in &found.stages {
        out.push_str(&details(stage));
    }
    let _ = write!(
        out,
        "\n{}\n{}\n",
        wrap(&found.line, WIDTH, "  "),
        wrap(&format!("next: {}", found.next), WIDTH, "  ")
    );
    out
}

fn details(stage: &StageLine) -> String {
    let mut lines: Vec<String> = Vec::new();
    // That it stands says it all.
    if !stage.reasons.is_empty() && stage.status != StageStatus::Stands {
        lines.push(stage.reasons.join("; "));
    }
    if stage.status == StageStatus::WouldRun && !stage.bounds.is_empty() {
        lines.push(format!("bounds: {}", stage.bounds.join(", ")));
    }
    if let Some(judged) = &stage.judged {
        let several = judged.rows.len() > 1;
        let shown = judged.rows.iter().filter(|row| {
            several || row.status != FloorStatus::Met || stage.status == StageStatus::Undecided
        });
        lines.extend(shown.map(|row| {
            if several {
                format!("{}: {}", row.name, row.reason)
            } else {
                row.reason.clone()
            }
        }));
        lines.extend(judged.trouble.iter().cloned());
    }
    if !stage.failing_cases.is_empty() {
        lines.push(format!("failing: {}", stage.failing_cases.join(", ")));
    }
    lines.extend(stage.advice.iter().cloned());
    if lines.is_empty() {
        return String::new();
    }
    let mut out = format!("\n{}\n", stage.stage);
    for line in lines {
        let _ = writeln!(out, "{}", wrap(&format!("- {line}"), WIDTH, "  "));
    }
    out
}

/// Cases × trials of each.
fn size(row: &RowVerdict) -> String {
    let each = row.trials as f64 / row.cases.max(1) as f64;
    if (each - each.round()).abs() < 1e-9 {
        format!("{}×{each:.0}", row.cases)
    } else {
        format!("{}×{each:.1}", row.cases)
    }
}

fn percent(row: &RowVerdict) -> String {
    percent_with_interval(&row.success)
}
