//! Tables whose cells are coloured by their value: success by category, failures by row.
//!
//! Data in: summary and details. Data out: serialisable values for the template. Invariants: every
//! cell says its figure in words too and leads to its trials; a cell without a trial is empty.

use std::collections::BTreeMap;

use serde::Serialize;

use super::super::names::Names;
use super::super::text::{count, percent, percent_with_interval, whole};
use super::tables::{Cell, filters_of_row, link};
use crate::metrics::rates::{IntervalMethod, Rate};
use crate::metrics::{Detail, Row, Summary};
use crate::types::CellKey;

/// Headings of columns that are rows elsewhere: models, dialects and constraints above one another.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Columns {
    models: Vec<Span>,
    dialects: Vec<Span>,
    leaves: Vec<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Span {
    text: String,
    span: usize,
}

impl Columns {
    fn of<'a>(labels: impl Iterator<Item = (&'a str, &'a str, String)>) -> Self {
        let mut columns = Self::default();
        for (model, dialect, leaf) in labels {
            let same_model = widen(&mut columns.models, model, true);
            widen(&mut columns.dialects, dialect, same_model);
            columns.leaves.push(leaf);
        }
        columns
    }
}

/// Widens the last span where it is of the same text; says whether it was.
fn widen(spans: &mut Vec<Span>, text: &str, may: bool) -> bool {
    if let Some(last) = spans.last_mut().filter(|last| may && last.text == text) {
        last.span += 1;
        true
    } else {
        spans.push(Span {
            text: text.to_owned(),
            span: 1,
        });
        false
    }
}

/// A table whose cells are coloured by their value.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Heat {
    columns: Columns,
    rows: Vec<HeatRow>,
}

#[derive(Clone, Debug, Serialize)]
struct HeatRow {
    name: String,
    link: String,
    n: String,
    cells: Vec<HeatCell>,
}

#[derive(Clone, Debug, Default, Serialize)]
struct HeatCell {
    /// `0` to `10`; `x` without a value.
    class: String,
    text: String,
    title: String,
    link: String,
    value: Option<f64>,
}

/// A cell's labels but for its suite.
type Setting<'a> = (
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a str,
    &'a BTreeMap<String, String>,
);

fn setting(cell: &CellKey) -> Setting<'_> {
    (
        &cell.model,
        cell.dialect.as_str(),
        cell.constraint.as_str(),
        &cell.variant,
        &cell.tier,
        &cell.settings,
    )
}

/// Success by category.
pub(super) fn heat(summary: &Summary, detail: &Detail) -> Option<Heat> {
    let found = &detail.categories;
    let mut settings: Vec<Setting<'_>> = Vec::new();
    let mut categories: Vec<&str> = Vec::new();
    for one in found {
        if !settings.contains(&setting(&one.cell)) {
            settings.push(setting(&one.cell));
        }
        if !categories.contains(&one.category.as_str()) {
            categories.push(&one.category);
        }
    }
    if found.is_empty() {
        return None;
    }
    categories.sort_unstable();
    let of_rows = summary.totals.iter();
    let varied = of_rows
        .clone()
        .any(|row| row.variant != summary.totals[0].variant);
    let tiers = of_rows
        .clone()
        .any(|row| row.tier != summary.totals[0].tier);
    let leaf = |(_, _, constraint, variant, tier, _): &Setting<'_>| {
        let mut parts = vec![*constraint];
        parts.extend(varied.then_some(*variant));
        parts.extend(tiers.then_some(*tier));
        parts.join(" ")
    };
    let rows = categories.iter().map(|category| {
        let own: Vec<_> = found
            .iter()
            .filter(|it| it.category == **category)
            .collect();
        let cases: Vec<usize> = own.iter().map(|it| scored_cases(&it.success)).collect();
        let (fewest, most) = (cases.iter().min(), cases.iter().max());
        let cells = settings.iter().map(|wanted| {
            let Some(one) = own.iter().find(|it| setting(&it.cell) == *wanted) else {
                return HeatCell {
                    class: "x".to_owned(),
                    ..HeatCell::default()
                };
            };
            let (model, dialect, constraint, variant, tier, _) = wanted;
            HeatCell {
                class: one.success.rate.map_or_else(|| "x".to_owned(), shade),
                text: whole(one.success.rate.map(|rate| rate * 100.0)),
                title: format!(
                    "{category}: {model} · {dialect} · {constraint}: {} %, {}, {} of {} trials",
                    percent_with_interval(&one.success),
                    one.success.size_in_words(),
                    one.success.hits,
                    one.success.of
                ),
                link: link(&[
                    ("model", model),
                    ("dialect", dialect),
                    ("constraint", constraint),
                    ("variant", variant),
                    ("tier", tier),
                    ("category", category),
                ]),
                value: one.success.rate,
            }
        });
        HeatRow {
            name: (*category).to_owned(),
            link: link(&[("category", category)]),
            n: match (fewest, most) {
                (Some(fewest), Some(most)) if fewest != most => format!("{fewest}–{most}"),
                (_, most) => most.copied().unwrap_or_default().to_string(),
            },
            cells: cells.collect(),
        }
    });
    Some(Heat {
        rows: rows.collect(),
        columns: Columns::of(settings.iter().map(|it| (it.0, it.1, leaf(it)))),
    })
}

/// Cases with a scored trial.
fn scored_cases(success: &Rate) -> usize {
    match success.method {
        IntervalMethod::WilsonOneCase => 1,
        _ => success.n as usize,
    }
}

/// Eleven shades from 0 to 1.
fn shade(share: f64) -> String {
    ((share * 10.0).round() as usize).min(10).to_string()
}

/// Codes of failed trials, and how they spread over rows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failures {
    codes: Vec<FailureRow>,
    columns: Columns,
    failed: usize,
}

#[derive(Clone, Debug, Serialize)]
struct FailureRow {
    code: String,
    link: String,
    trials: usize,
    share: Cell,
    meaning: String,
    help: String,
    cells: Vec<HeatCell>,
}

pub(super) fn failures(summary: &Summary) -> Option<Failures> {
    let rows = &summary.totals;
    let names = Names::of(summary);
    let codes = summary.failures.iter().map(|failure| {
        let cells = rows.iter().map(|row| {
            let found = row.failures.iter().find(|it| it.code == failure.code);
            let Some(found) = found else {
                return HeatCell {
                    class: "x".to_owned(),
                    ..HeatCell::default()
                };
            };
            let mut filters = filters_of_row(row);
            filters.extend([("code", failure.code.as_str()), ("outcome", "wrong")]);
            HeatCell {
                class: shade(found.share),
                text: found.trials.to_string(),
                title: format!(
                    "{}: {} of {}, {} % of its failures",
                    names.dotted(row),
                    failure.code,
                    count(found.trials, "trial"),
                    percent(Some(found.share))
                ),
                link: link(&filters),
                value: Some(found.trials as f64),
            }
        });
        FailureRow {
            code: failure.code.clone(),
            link: link(&[("code", &failure.code), ("outcome", "wrong")]),
            trials: failure.trials,
            share: Cell::number(percent(Some(failure.share)), Some(failure.share)),
            meaning: failure.meaning.clone(),
            help: failure.help.clone(),
            cells: cells.collect(),
        }
    });
    let leaf = |row: &Row| {
        let mut parts = vec![row.constraint.as_str()];
        if row.variant != "default" {
            parts.push(&row.variant);
        }
        parts.extend(names.tier(&row.tier));
        let split = [&row.suite, &row.category, &row.difficulty];
        parts.extend(split.into_iter().flatten().map(String::as_str));
        parts.join(" ")
    };
    let columns = rows
        .iter()
        .map(|row| (&*row.model, row.dialect.as_str(), leaf(row)));
    (!summary.failures.is_empty()).then(|| Failures {
        codes: codes.collect(),
        columns: Columns::of(columns),
        failed: summary.failures.iter().map(|it| it.trials).sum(),
    })
}
