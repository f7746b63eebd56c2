//! One plain sentence that follows from verdicts and rates.
//!
//! Data in: rows without split and comparisons. Data out: the sentence. Invariants: never stronger
//! than the verdict it rests on; costs are named as measured, not judged.

use super::compare::{Comparison, Family, Side};
use super::summary::Row;
use super::verdict::Verdict;
use crate::types::{Class, Code};

/// The sentence.
pub(super) fn advice(rows: &[Row], comparisons: &[Comparison]) -> String {
    let decidable = rows
        .iter()
        .filter(|row| row.decidable && row.success.rate.is_some());
    let Some(leader) = decidable.reduce(|best, row| {
        if row.success.rate > best.success.rate {
            row
        } else {
            best
        }
    }) else {
        return nothing_to_say(rows);
    };
    let mut clauses: Vec<String> = model_clauses(leader, rows, comparisons);
    clauses.extend(constraint_clause(leader, rows, comparisons));
    clauses.extend(setting_clauses(leader, comparisons));
    if clauses.is_empty() {
        clauses.push(rate_clause(leader));
    }
    format!("{}{}", on_tier(leader, rows), clauses.join("; "))
}

/// Where the same cell was run on several tiers, which of them is spoken of.
fn on_tier(row: &Row, rows: &[Row]) -> String {
    let what = |row: &Row| {
        let names = (row.model.clone(), row.variant.clone());
        (names, row.dialect, row.constraint, row.settings.clone())
    };
    let is_twin = |other: &Row| other.tier != row.tier && what(other) == what(row);
    if rows.iter().any(is_twin) {
        format!("on {}: ", row.tier)
    } else {
        String::new()
    }
}

fn nothing_to_say(rows: &[Row]) -> String {
    match rows.iter().find(|row| !row.decidable) {
        Some(row) => format!(
            "no conclusion can be drawn: {}{}: {}; {}",
            on_tier(row, rows),
            name(row),
            row.undecidable.join(", "),
            next_step(row)
        ),
        None => "no trial is on record".to_owned(),
    }
}

/// What would change an undecidable row: what its most frequent excluding code says.
fn next_step(row: &Row) -> String {
    let code = row
        .excluded
        .codes
        .first()
        .and_then(|found| found.code.parse::<Code>().ok());
    match code {
        Some(code) if !matches!(code.class(), Class::Infra | Class::Harness) => {
            format!("{}, and run again", code.help())
        }
        _ => "`--resume` the run".to_owned(),
    }
}

fn name(row: &Row) -> String {
    if row.variant == "default" {
        format!("{} ({}, {})", row.model, row.dialect, row.constraint)
    } else {
        format!(
            "{} ({}, {}, {})",
            row.model, row.dialect, row.constraint, row.variant
        )
    }
}

fn rate_clause(row: &Row) -> String {
    let percent = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), in_percent);
    format!(
        "{} succeeds on {} % of cases like these [{}, {}]",
        name(row),
        percent(row.success.rate),
        percent(row.success.low),
        percent(row.success.high)
    )
}

fn in_percent(share: f64) -> String {
    format!("{:.1}", share * 100.0)
}

/// What the leading row's model is worth against each other model, in the leader's own setting.
fn model_clauses(leader: &Row, rows: &[Row], comparisons: &[Comparison]) -> Vec<String> {
    let views: Vec<View<'_>> = comparisons
        .iter()
        .filter(|comparison| comparison.family == Family::Model)
        .filter_map(|comparison| View::from(leader, comparison))
        .collect();
    let with = format!("with {}, {}", leader.dialect, leader.constraint);
    let mut clauses: Vec<String> = Vec::new();
    let better: Vec<&View<'_>> = views
        .iter()
        .filter(|view| view.verdict == Verdict::Better)
        .collect();
    if !better.is_empty() {
        let others: Vec<String> = better
            .iter()
            .map(|view| format!("{} ({})", view.other.model, view.gain()))
            .collect();
        let lead = if better.len() == views.len() {
            format!("use {}: {with} it", leader.model)
        } else {
            format!("{with}, {}", leader.model)
        };
        clauses.push(format!("{lead} succeeds more often than {}", join(&others)));
    }
    for view in &views {
        match view.verdict {
            Verdict::Better => {}
            Verdict::Worse => clauses.push(format!(
                "{} succeeds less often than {} ({})",
                leader.model,
                view.other.model,
                view.gain()
            )),
            Verdict::Tied => clauses.push(format!(
                "{with}, {} and {} are tied within ±{} points{}",
                leader.model,
                view.other.model,
                view.comparison.margin_points,
                speeds(leader, find(rows, view.other))
            )),
            Verdict::NotEnoughData => clauses.push(format!(
                "not enough data to tell {} from {} {with}: {}",
                leader.model,
                view.other.model,
                view.open_question()
            )),
        }
    }
    clauses
}

/// Whether the grammar helps the leading row's model in its dialect and variant.
fn constraint_clause(leader: &Row, rows: &[Row], comparisons: &[Comparison]) -> Option<String> {
    let comparison = comparisons.iter().find(|comparison| {
        let candidate = &comparison.candidate;
        comparison.family == Family::Constraint
            && candidate.model == leader.model
            && candidate.dialect == leader.dialect
            && candidate.variant == leader.variant
            && candidate.tier == leader.tier
            && candidate.settings == leader.settings
    })?;
    let view = View {
        comparison,
        other: &comparison.baseline,
        verdict: comparison.verdict,
        sign: 1.0,
    };
    let constrained = find(rows, &comparison.candidate);
    let cost = constrained.map_or_else(String::new, |row| {
        speeds(row, find(rows, &comparison.baseline))
    });
    let model = &leader.model;
    Some(match comparison.verdict {
        Verdict::Better => format!(
            "`--constraint grammar` helps {model} ({}){cost}",
            view.gain()
        ),
        Verdict::Worse => format!(
            "`--constraint grammar` makes {model} worse ({}){cost}",
            view.gain()
        ),
        Verdict::Tied => format!(
            "grammar or not, {model} is tied within ±{} points{cost}",
            comparison.margin_points
        ),
        Verdict::NotEnoughData => format!(
            "not enough data to tell whether grammar helps {model}: {}",
            view.open_question()
        ),
    })
}

/// What the leading row's variant and dialect are worth against the others it was compared with.
fn setting_clauses(leader: &Row, comparisons: &[Comparison]) -> Vec<String> {
    let of_leader =
        |comparison: &&Comparison| matches!(comparison.family, Family::Variant | Family::Dialect);
    comparisons
        .iter()
        .filter(of_leader)
        .filter_map(|comparison| View::from(leader, comparison))
        .map(|view| {
            let (own, other) = match view.comparison.family {
                Family::Variant => (
                    format!("variant {}", leader.variant),
                    format!("variant {}", view.other.variant),
                ),
                _ => (leader.dialect.to_string(), view.other.dialect.to_string()),
            };
            let model = &leader.model;
            match view.verdict {
                Verdict::Better => {
                    format!(
                        "for {model}, {own} succeeds more often than {other} ({})",
                        view.gain()
                    )
                }
                Verdict::Worse => {
                    format!(
                        "for {model}, {own} succeeds less often than {other} ({})",
                        view.gain()
                    )
                }
                Verdict::Tied => format!(
                    "for {model}, {own} and {other} are tied within ±{} points",
                    view.comparison.margin_points
                ),
                Verdict::NotEnoughData => format!(
                    "not enough data to tell {own} from {other} for {model}: {}",
                    view.open_question()
                ),
            }
        })
        .collect()
}

/// A comparison as seen from one side.
struct View<'a> {
    comparison: &'a Comparison,
    other: &'a Side,
    verdict: Verdict,
    sign: f64,
}

impl<'a> View<'a> {
    /// `None` when the row is on neither side.
    fn from(row: &Row, comparison: &'a Comparison) -> Option<Self> {
        if comparison.candidate.is_of(row) {
            return Some(Self {
                comparison,
                other: &comparison.baseline,
                verdict: comparison.verdict,
                sign: 1.0,
            });
        }
        comparison.baseline.is_of(row).then(|| Self {
            comparison,
            other: &comparison.candidate,
            verdict: comparison.verdict.mirrored(),
            sign: -1.0,
        })
    }

    /// `+12.0 points [3.1, 20.9]`.
    fn gain(&self) -> String {
        let found = self.comparison;
        let (Some(difference), Some(low), Some(high)) = (found.difference, found.low, found.high)
        else {
            return "no case in common".to_owned();
        };
        let points = |share: f64| share * 100.0 * self.sign;
        let (low, high) = if self.sign > 0.0 {
            (low, high)
        } else {
            (high, low)
        };
        format!(
            "{:+.1} points [{:+.1}, {:+.1}]",
            points(difference) + 0.0,
            points(low) + 0.0,
            points(high) + 0.0
        )
    }

    fn open_question(&self) -> String {
        let found = self.comparison;
        let Some(decide) = &found.decide else {
            return format!("{}; {}", self.gain(), found.reason);
        };
        let minutes = decide.time_in_words().map_or_else(String::new, |time| {
            format!(", {time} more at the measured pace")
        });
        format!(
            "{} over {} cases, and about {} cases like these would decide it{minutes}",
            self.gain(),
            found.cases,
            decide.cases
        )
    }
}

fn find<'a>(rows: &'a [Row], side: &Side) -> Option<&'a Row> {
    rows.iter().find(|row| side.is_of(row))
}

/// `, median task 812 against 1540 ms`.
fn speeds(row: &Row, other: Option<&Row>) -> String {
    let median = |row: &Row| row.latency.task_ms.p50;
    match median(row).zip(other.and_then(median)) {
        Some((own, theirs)) => format!(", median task {own:.0} against {theirs:.0} ms"),
        None => String::new(),
    }
}

fn join(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
