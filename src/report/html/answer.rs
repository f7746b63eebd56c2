//! The answer: what stands at the top, the ranking, paired differences.
//!
//! Data in: summary. Data out: serialisable values for the template. Invariants: all figures are the
//! summary's; rows are numbered in the order of their success rates, which claims no more than the
//! places beside them.

use serde::Serialize;

use super::super::names::Names;
use super::super::text::{DASH, count, duration, percent, percent_with_interval};
use super::super::{legs, notes, tables as texts};
use super::charts::{Interval, with_limits};
use super::tables::{Cell, Head, Plain, RowLabels, link_of_row};
use crate::metrics::compare::REMOTE;
use crate::metrics::rates::Rate;
use crate::metrics::{Row, Summary, Verdict};

/// What stands at the top.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Top {
    run: String,
    headline: String,
    facts: String,
    /// The first clause, and all of it where that is long.
    advice: String,
    whole_advice: Option<String>,
    estimand: String,
    undecidable: Vec<String>,
    tiles: Vec<Tile>,
}

#[derive(Clone, Debug, Serialize)]
struct Tile {
    name: &'static str,
    value: String,
    note: String,
}

/// Longest advice that is shown whole.
const LONGEST_ADVICE: usize = 420;

pub(super) fn head(summary: &Summary) -> Top {
    let header = &summary.header;
    let (advice, whole_advice) = match summary.advice.split_once("; ") {
        Some((first, _)) if summary.advice.chars().count() > LONGEST_ADVICE => {
            (first.to_owned(), Some(summary.advice.clone()))
        }
        _ => (summary.advice.clone(), None),
    };
    Top {
        run: header.run.clone(),
        headline: headline(summary),
        facts: notes::heading(summary),
        advice,
        whole_advice,
        estimand: summary.estimand.clone(),
        undecidable: header.undecidable.clone(),
        tiles: tiles(summary),
    }
}

/// The row with the highest success rate, as a fact and not as a verdict.
fn headline(summary: &Summary) -> String {
    let ordered = order_by_success(&summary.totals);
    let Some(row) = ordered.first().filter(|row| row.success.rate.is_some()) else {
        return match summary.header.trials {
            0 => "No trial is on record".to_owned(),
            _ => "No trial could be scored".to_owned(),
        };
    };
    let equal = ordered.iter().skip(1);
    let equal = equal
        .filter(|other| other.success.rate == row.success.rate)
        .count();
    let shared = match equal {
        0 => String::new(),
        _ => format!("; {} at the same rate", count(equal, "other row")),
    };
    let limits = match (row.success.low, row.success.high) {
        (Some(low), Some(high)) => format!(" [{}–{}]", percent(Some(low)), percent(Some(high))),
        _ => String::new(),
    };
    let rate = format!(
        "{} %{limits} of {}",
        percent(row.success.rate),
        row.success.size_in_words()
    );
    let names = Names::of(summary);
    if ordered.len() == 1 {
        return format!("{} succeeds in {rate}", names.dotted(row));
    }
    format!("Highest success: {}, {rate}{shared}", names.dotted(row))
}

fn tiles(summary: &Summary) -> Vec<Tile> {
    let header = &summary.header;
    let mut tiles = Vec::new();
    let first = order_by_success(&summary.totals).into_iter().next();
    if let Some(row) = first.filter(|row| row.success.rate.is_some()) {
        let task = &row.latency.task_ms;
        tiles.push(Tile {
            name: "Task time of that row, p50",
            value: with_limits(task.p50, task.p50_low, task.p50_high),
            note: format!("p95 {}, n = {}", duration(task.p95), count(task.n, "trial")),
        });
    }
    if !summary.comparisons.is_empty() {
        let decided = decided(summary);
        tiles.push(Tile {
            name: "Pairs told apart, or tied",
            value: format!("{decided} of {}", summary.comparisons.len()),
            note: "paired by case, Holm-adjusted within families".to_owned(),
        });
    }
    if let Some(failure) = summary.failures.first() {
        tiles.push(Tile {
            name: "Most frequent failure",
            value: failure.code.clone(),
            note: format!(
                "{}, {} % of failures",
                count(failure.trials, "trial"),
                percent(Some(failure.share))
            ),
        });
    }
    let scored: usize = summary.totals.iter().map(|row| row.scored_trials).sum();
    let excluded: usize = summary.totals.iter().map(|row| row.excluded.trials).sum();
    tiles.push(Tile {
        name: "Trials",
        value: format!("{} of {}", header.trials, header.planned_trials),
        note: format!("{scored} scored, {excluded} excluded"),
    });
    let machine = &header.machine;
    if !machine.tier.is_empty() {
        tiles.push(Tile {
            name: "Hardware tier",
            value: machine.tier.clone(),
            note: machine.cpu.clone(),
        });
    }
    tiles
}

fn decided(summary: &Summary) -> usize {
    let pairs = summary.comparisons.iter();
    pairs
        .filter(|it| it.verdict != Verdict::NotEnoughData)
        .count()
}

/// Rows in the order of their success rates, those without one last.
pub(super) fn order_by_success(rows: &[Row]) -> Vec<&Row> {
    let mut ordered: Vec<&Row> = rows.iter().collect();
    let rate = |row: &Row| row.success.rate.unwrap_or(-1.0);
    ordered.sort_by(|one, two| rate(two).total_cmp(&rate(one)));
    ordered
}

/// `1–3 of 5`: a model's place among those of its setting; nothing where none are compared.
fn place(summary: &Summary, row: &Row) -> Option<String> {
    if summary.by.is_some() {
        return None;
    }
    let rankings = summary.rankings.iter().filter(|ranking| {
        ranking.dialect == row.dialect
            && ranking.constraint == row.constraint
            && ranking.variant == row.variant
            && ranking.settings == row.settings
            && (ranking.tier == row.tier || row.tier == REMOTE)
    });
    let places: Vec<(&str, String)> = rankings
        .filter_map(|ranking| {
            let found = ranking.models.iter().find(|it| it.model == row.model)?;
            let of = ranking.models.len();
            let place = if found.best_place == found.last_place {
                format!("{} of {of}", found.best_place)
            } else {
                format!("{}–{} of {of}", found.best_place, found.last_place)
            };
            Some((ranking.tier.as_str(), place))
        })
        .collect();
    match &places[..] {
        [] => None,
        [(_, place)] => Some(place.clone()),
        // What another machine serves has a place among the models of each tier.
        several => {
            let named = several
                .iter()
                .map(|(tier, place)| format!("{place} on {tier}"));
            Some(named.collect::<Vec<_>>().join("; "))
        }
    }
}

/// All rows, best first.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Ranking {
    heads: Vec<Head>,
    places: bool,
    tiers: bool,
    rows: Vec<Ranked>,
    orders: Vec<String>,
    more: Vec<Plain>,
}

#[derive(Clone, Debug, Serialize)]
struct Ranked {
    number: usize,
    labels: Vec<String>,
    link: String,
    place: String,
    n: Cell,
    success: Cell,
    bar: Option<Interval>,
    first: Cell,
    recovered: Cell,
    valid: Cell,
    abstained: Cell,
    p50: Cell,
    p95: Cell,
    excluded: Cell,
    undecidable: String,
}

pub(super) fn ranking(summary: &Summary) -> Ranking {
    let rows = &summary.totals;
    let ordered: Vec<Row> = order_by_success(rows).into_iter().cloned().collect();
    let labels = RowLabels::of(&ordered);
    let rate = |found: &Rate| Cell::number(percent(found.rate), found.rate);
    let time = |ms: Option<f64>| Cell::number(duration(ms), ms);
    let ranked = ordered.iter().zip(labels.values).enumerate();
    let mut more = vec![texts::quality(rows), texts::calls(rows)];
    more.extend(texts::against_expected(rows));
    more.extend(texts::corrections(rows));
    more.extend(texts::repeats(rows));
    more.extend(legs::legs(rows));
    Ranking {
        heads: labels.heads,
        places: ordered.iter().any(|row| place(summary, row).is_some()),
        tiers: rows.iter().any(|row| row.tier != rows[0].tier),
        rows: ranked
            .map(|(index, (row, labels))| Ranked {
                number: index + 1,
                labels,
                link: link_of_row(row),
                place: place(summary, row).unwrap_or_else(|| DASH.to_owned()),
                n: Cell::number(row.success.n.to_string(), Some(row.success.n as f64)),
                success: Cell::number(percent_with_interval(&row.success), row.success.rate),
                bar: Interval::of(row),
                first: rate(&row.first_attempt),
                recovered: rate(&row.recovered),
                valid: rate(&row.calls.valid_call),
                abstained: rate(&row.abstention),
                p50: time(row.latency.task_ms.p50),
                p95: time(row.latency.task_ms.p95),
                excluded: Cell::number(
                    row.excluded.trials.to_string(),
                    Some(row.excluded.trials as f64),
                ),
                undecidable: row.undecidable.join("; "),
            })
            .collect(),
        orders: notes::rankings(summary),
        more: more.iter().map(Plain::of).collect(),
    }
}

/// Paired differences, and what would decide the open ones.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Differences {
    table: Option<Plain>,
    decided: usize,
    open: Vec<String>,
}

pub(super) fn differences(summary: &Summary) -> Differences {
    let open = notes::open_questions(summary);
    Differences {
        decided: decided(summary),
        table: texts::differences(summary).as_ref().map(Plain::of),
        open,
    }
}
