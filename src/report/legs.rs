//! The table of a hybrid's legs, shared by terminal and Markdown.
//!
//! Data in: rows. Data out: a table, a line for each leg, or nothing where no row has legs.
//! Invariants: the row's own labels stand on its first line alone.

use super::tables::{Table, label, labels, number};
use super::text::{DASH, percent, percent_with_interval};
use crate::metrics::Row;
use crate::metrics::legs::LegUse;
use crate::types::price::amount_in_words;

/// What each leg was asked and answered.
pub(super) fn legs(rows: &[Row]) -> Option<Table> {
    let hybrids: Vec<Row> = rows
        .iter()
        .filter(|it| !it.legs.is_empty())
        .cloned()
        .collect();
    if hybrids.is_empty() {
        return None;
    }
    let labels = labels(&hybrids);
    let mut lines = Vec::new();
    for row in &hybrids {
        for (index, leg) in row.legs.iter().enumerate() {
            let own = labels.iter().map(|(_, value)| match index {
                0 => value(row),
                _ => String::new(),
            });
            lines.push(own.chain(cells(leg)).collect());
        }
    }
    let mut columns: Vec<_> = labels.into_iter().map(|(column, _)| column).collect();
    columns.push(label("leg", 1, true));
    columns.extend(
        [
            "turns\n%",
            "ended\n%",
            "leg success %\n[95 % interval]",
            "re-\nquests",
            "passed over\ninf/inv/lat",
            "in+out\ntokens",
            "leg cost",
        ]
        .map(number),
    );
    Some(Table {
        title: "Legs of hybrids",
        columns,
        rows: lines,
    })
}

fn cells(leg: &LegUse) -> [String; 8] {
    let passed = &leg.passed_over;
    let cost = leg.cost.as_ref();
    let reported = leg.prompt_tokens > 0 || leg.output_tokens > 0;
    [
        leg.leg.clone(),
        percent(leg.turns.rate),
        percent(leg.ended.rate),
        percent_with_interval(&leg.success),
        leg.attempts.to_string(),
        format!("{}/{}/{}", passed.infra, passed.invalid, passed.latency),
        if reported {
            format!("{}+{}", leg.prompt_tokens, leg.output_tokens)
        } else {
            DASH.to_owned()
        },
        cost.map_or_else(
            || DASH.to_owned(),
            |cost| amount_in_words(cost.amount, &cost.currency),
        ),
    ]
}
