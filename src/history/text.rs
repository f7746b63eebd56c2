//! A history for people: on the terminal, and as Markdown.
//!
//! Invariants: at most 100 columns on the terminal; graphs say nothing that the numbers beside them do
//! not; where Unicode cannot be shown, success is drawn in tenths from 0 to 9.

use std::fmt::Write as _;

use super::points::in_words;
use super::{CaseChange, CellHistory, FlakyCase, History, Point};
use crate::metrics::latency::Quantiles;
use crate::report::{percent_with_interval, wrap};

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Block characters can be shown.
    pub unicode: bool,
    /// Latest points of a cell that are listed; all are drawn and counted.
    pub points: usize,
}

const WIDTH: usize = 100;
/// Points that a graph draws at most.
const DRAWN: usize = 40;
/// Cases that a line names at most.
const NAMED: usize = 8;
/// Longest name of a run that is shown whole in a table.
const RUN_WIDTH: usize = 30;
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// For the terminal.
pub fn terminal(history: &History, look: Look) -> String {
    let mut out = format!("{}\n", heading(history));
    for cell in &history.cells {
        let _ = writeln!(out, "\n{}", wrap(&title(cell), WIDTH, "  "));
        out.push_str(&graphs(cell, look));
        out.push_str(&table(cell, look));
        for line in lines_below(cell) {
            let _ = writeln!(out, "{}", wrap(&format!("- {line}"), WIDTH, "  "));
        }
    }
    if !history.left_out.is_empty() {
        out.push_str("\nLeft out\n");
        for left in &history.left_out {
            let line = format!("- {}: {}", left.run, left.reason);
            let _ = writeln!(out, "{}", wrap(&line, WIDTH, "  "));
        }
    }
    out.push_str("\nNotes\n");
    for note in notes(history) {
        let _ = writeln!(out, "{}", wrap(&format!("- {note}"), WIDTH, "  "));
    }
    out
}

/// For pull requests and pages.
pub fn markdown(history: &History) -> String {
    let mut out = format!("## History\n\n{}\n", heading(history));
    for cell in &history.cells {
        let _ = write!(
            out,
            "\n### {}\n\n| series | run | n | success % [95 % interval] | task p50/p95 s | valid call p50/p95 ms | excluded | changed |\n|---|---|---|---|---|---|---|---|\n",
            cell_text(&title(cell))
        );
        for point in &cell.points {
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {}{} | {} | {} | {} |",
                point.series,
                cell_text(&point.run),
                size(point),
                percent_with_interval(&point.success),
                seconds(&point.task_ms),
                if point.noisy_trials > 0 { "\\*" } else { "" },
                milliseconds(&point.valid_call_ms),
                point.excluded_trials,
                cell_text(&remarks(point).join("; "))
            );
        }
        let below = lines_below(cell);
        if !below.is_empty() {
            out.push('\n');
        }
        for line in below {
            let _ = writeln!(out, "- {line}");
        }
    }
    if !history.left_out.is_empty() {
        out.push_str("\n### Left out\n\n");
        for left in &history.left_out {
            let _ = writeln!(out, "- {}: {}", left.run, left.reason);
        }
    }
    out.push('\n');
    for note in notes(history) {
        let _ = writeln!(out, "- {note}");
    }
    out
}

/// A bar would end a column.
fn cell_text(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn heading(history: &History) -> String {
    let day = |stamp: &str| stamp.split('T').next().unwrap_or(stamp).to_owned();
    let span = match (history.runs.first(), history.runs.last()) {
        (Some(first), Some(last)) => {
            let (from, to) = (day(&first.started_at), day(&last.started_at));
            if from == to {
                format!(", {from}")
            } else {
                format!(", {from} to {to}")
            }
        }
        _ => String::new(),
    };
    format!(
        "{}{span} · {}",
        counted(history.runs.len(), "run"),
        counted(history.cells.len(), "cell")
    )
}

fn counted(number: usize, what: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {what}{ending}")
}

fn title(cell: &CellHistory) -> String {
    let mut parts = vec![
        cell.model.clone(),
        format!("{}, {}", cell.dialect, cell.constraint),
    ];
    if cell.variant != "default" {
        parts.push(cell.variant.clone());
    }
    parts.extend([cell.suite.clone(), cell.tier.clone()]);
    if !cell.settings.is_empty() {
        let settings: Vec<String> = cell
            .settings
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        parts.push(settings.join(", "));
    }
    parts.join(" · ")
}

/// Success from 0 to 100 %, and the median time against the longest; a gap where the series changes.
fn graphs(cell: &CellHistory, look: Look) -> String {
    let skipped = cell.points.len().saturating_sub(DRAWN);
    let drawn = &cell.points[skipped..];
    if drawn.len() < 3 {
        return String::new();
    }
    let success: Vec<Option<f64>> = drawn.iter().map(|it| it.success.rate).collect();
    let medians = drawn.iter().filter_map(|it| it.task_ms.p50);
    let longest = medians.fold(0.0_f64, f64::max);
    let times: Vec<Option<f64>> = drawn
        .iter()
        .map(|it| Some(it.task_ms.p50? / longest).filter(|share| share.is_finite()))
        .collect();
    let series: Vec<&str> = drawn.iter().map(|it| it.series.as_str()).collect();
    if success.iter().all(Option::is_none) {
        return String::new();
    }
    let mut out = format!("  success    {}\n", graph(&success, &series, look));
    if times.iter().any(Option::is_some) {
        let _ = writeln!(
            out,
            "  task p50   {}  (highest {} s)",
            graph(&times, &series, look),
            short(longest / 1000.0)
        );
    }
    out
}

fn graph(shares: &[Option<f64>], series: &[&str], look: Look) -> String {
    let mut out = String::new();
    for (index, share) in shares.iter().enumerate() {
        if index > 0 && series[index] != series[index - 1] {
            out.push(if look.unicode { '│' } else { '|' });
        }
        out.push(match share {
            None => ' ',
            Some(share) if look.unicode => BLOCKS[(share * 7.0).round().clamp(0.0, 7.0) as usize],
            Some(share) => {
                let tenth = (share * 9.0).round().clamp(0.0, 9.0) as u32;
                char::from_digit(tenth, 10).unwrap_or(' ')
            }
        });
    }
    out
}

fn table(cell: &CellHistory, look: Look) -> String {
    let skipped = cell.points.len().saturating_sub(look.points);
    let several = cell.series.len() > 1;
    let points = &cell.points[skipped..];
    let width = points
        .iter()
        .map(|it| it.run.chars().count().min(RUN_WIDTH));
    let width = width.max().unwrap_or(3).max(3);
    let mark = |series: &str| {
        if several {
            format!("{series:<3}")
        } else {
            String::new()
        }
    };
    let mut out = format!(
        "  {}{:<width$} {:>7} {:>20} {:>13} {:>14} {:>5}\n",
        mark(""),
        "run",
        "n",
        "success % [95 %]",
        "task s p50/95",
        "call ms p50/95",
        "excl."
    );
    if skipped > 0 {
        let _ = writeln!(out, "  … {} earlier", counted(skipped, "run"));
    }
    for point in points {
        let run: String = point.run.chars().take(RUN_WIDTH).collect();
        let _ = writeln!(
            out,
            "  {}{run:<width$} {:>7} {:>20} {:>13} {:>14} {:>5}{}",
            mark(&point.series),
            size(point),
            percent_with_interval(&point.success),
            seconds(&point.task_ms),
            milliseconds(&point.valid_call_ms),
            point.excluded_trials,
            if point.noisy_trials > 0 { "*" } else { "" }
        );
        for remark in remarks(point) {
            let line = format!("      {remark}");
            let _ = writeln!(out, "{}", wrap_indented(&line));
        }
    }
    out
}

/// The indentation is not lost when the line is broken.
fn wrap_indented(line: &str) -> String {
    let indent = "      ";
    let broken = wrap(line.trim_start(), WIDTH - indent.len(), indent);
    format!("{indent}{broken}")
}

/// Cases × trials of each.
fn size(point: &Point) -> String {
    let each = point.trials as f64 / point.cases.max(1) as f64;
    if (each - each.round()).abs() < 1e-9 {
        format!("{}×{each:.0}", point.cases)
    } else {
        format!("{}×{each:.1}", point.cases)
    }
}

/// What stands below a point.
fn remarks(point: &Point) -> Vec<String> {
    let mut found = Vec::new();
    if !point.changes.is_empty() {
        found.push(format!("changed: {}", in_words(&point.changes)));
    }
    if let Some(missing) = point.missing_trials.filter(|missing| *missing > 0) {
        found.push(format!("{} without a result", counted(missing, "trial")));
    }
    if point.replayed {
        found.push("replayed from a cassette: no times".to_owned());
    }
    found
}

/// Series, then cases.
fn lines_below(cell: &CellHistory) -> Vec<String> {
    let mut lines: Vec<String> = cell
        .series
        .iter()
        .filter(|series| !series.differs.is_empty())
        .map(|series| {
            format!(
                "series {} is not comparable with the one before: {}",
                series.name,
                in_words(&series.differs)
            )
        })
        .collect();
    lines.extend(change_lines("newly failing", &cell.newly_failing));
    lines.extend(change_lines("newly passing", &cell.newly_passing));
    if !cell.flaky.is_empty() {
        let shown: Vec<String> = cell.flaky.iter().take(NAMED).map(flaky_words).collect();
        lines.push(format!(
            "flaky ({}): {}{}",
            cell.flaky.len(),
            shown.join(", "),
            and_more(cell.flaky.len())
        ));
    }
    lines
}

fn and_more(count: usize) -> String {
    match count.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more (`--format json`)"),
    }
}

fn flaky_words(case: &FlakyCase) -> String {
    if case.trials > case.runs {
        format!(
            "{} ({} of {} trials in {} passed)",
            case.case,
            case.passed_trials,
            case.trials,
            counted(case.runs, "run")
        )
    } else {
        format!(
            "{} ({} of {} runs passed)",
            case.case, case.passed_runs, case.runs
        )
    }
}

/// Cases that changed in the same run for the same reasons together.
fn change_lines(what: &str, changes: &[CaseChange]) -> Vec<String> {
    let mut groups: Vec<(&CaseChange, Vec<&str>)> = Vec::new();
    for change in changes {
        let same = |(first, _): &&mut (&CaseChange, Vec<&str>)| {
            (&first.since, &first.until, &first.changed)
                == (&change.since, &change.until, &change.changed)
        };
        match groups.iter_mut().find(same) {
            Some((_, cases)) => cases.push(&change.case),
            None => groups.push((change, vec![&change.case])),
        }
    }
    groups
        .into_iter()
        .map(|(change, cases)| {
            let why = if change.changed.is_empty() {
                "with an unchanged plan, so it may be chance".to_owned()
            } else {
                format!("changed there: {}", in_words(&change.changed))
            };
            let shown: Vec<&str> = cases.iter().copied().take(NAMED).collect();
            format!(
                "{what} since {} ({why}): {}{}",
                change.since,
                shown.join(", "),
                and_more(cases.len())
            )
        })
        .collect()
}

fn notes(history: &History) -> Vec<String> {
    let mut notes = vec![
        "n: cases × trials a case. Success is the mean over cases with its 95 % interval, as in `toolbench report`; two intervals that overlap are no verdict: `toolbench gate` gives one.".to_owned(),
        "flaky: the outcome differs between runs of one plan on one engine, or between trials of one run.".to_owned(),
    ];
    let mut points = history.cells.iter().flat_map(|cell| &cell.points);
    if points.any(|point| point.noisy_trials > 0) {
        notes.push(
            "*: some trials were measured while the machine was busy, so times are less sure."
                .to_owned(),
        );
    }
    if history.cells.iter().any(|cell| cell.series.len() > 1) {
        notes.push(
            "Each series holds runs with equal cases, weights and judging rules; only those are compared."
                .to_owned(),
        );
    }
    notes
}

fn short(value: f64) -> String {
    if value < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

fn pair(quantiles: &Quantiles, show: impl Fn(f64) -> String) -> String {
    let show = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), &show);
    format!("{}/{}", show(quantiles.p50), show(quantiles.p95))
}

fn seconds(quantiles: &Quantiles) -> String {
    pair(quantiles, |ms| short(ms / 1000.0))
}

fn milliseconds(quantiles: &Quantiles) -> String {
    pair(quantiles, |ms| format!("{ms:.0}"))
}
