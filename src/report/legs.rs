//! The table of a hybrid's legs, shared by terminal and Markdown.
//!
//! Data in: rows. Data out: a table, for each hybrid its own line and one for each leg, or nothing
//! where no row has legs. Invariants: labels stand on the hybrid's line, numbers on those of its legs.

use super::tables::{Table, labels, number};
use super::text::{DASH, percent, percent_with_interval};
use crate::metrics::Row;
use crate::metrics::legs::LegUse;
use crate::types::price::amount_in_words;

/// Headings of the numbers.
const HEADINGS: [&str; 7] = [
    "turns\n%",
    "ended\n%",
    "leg success %\n[95 % interval]",
    "re-\nquests",
    "passed over\ninf/inv/lat",
    "tokens",
    "leg cost",
];

/// What each leg was asked and answered.
pub(super) fn legs(rows: &[Row]) -> Option<Table> {
    let hybrids = rows.iter().filter(|row| !row.legs.is_empty());
    let hybrids: Vec<Row> = hybrids.cloned().collect();
    if hybrids.is_empty() {
        return None;
    }
    let labels = labels(&hybrids);
    let mut lines: Vec<Vec<String>> = Vec::new();
    for row in &hybrids {
        let own = labels.iter().map(|(_, value)| value(row));
        lines.push(own.chain(HEADINGS.map(|_| String::new())).collect());
        for leg in &row.legs {
            let mut line = vec![format!("· {}", leg.leg)];
            line.resize(labels.len(), String::new());
            line.extend(cells(leg));
            lines.push(line);
        }
    }
    let columns = labels.into_iter().map(|(column, _)| column);
    Some(Table {
        title: "Legs of hybrids",
        columns: columns.chain(HEADINGS.map(number)).collect(),
        rows: lines,
    })
}

fn cells(leg: &LegUse) -> [String; 7] {
    let passed = &leg.passed_over;
    let tokens = leg.prompt_tokens + leg.output_tokens;
    [
        percent(leg.turns.rate),
        percent(leg.ended.rate),
        percent_with_interval(&leg.success),
        leg.attempts.to_string(),
        format!("{}/{}/{}", passed.infra, passed.invalid, passed.latency),
        // A prompt without tokens is one whose tokens nobody reported.
        if leg.prompt_tokens > 0 {
            tokens.to_string()
        } else {
            DASH.to_owned()
        },
        leg.cost.as_ref().map_or_else(
            || DASH.to_owned(),
            |cost| amount_in_words(cost.amount, &cost.currency),
        ),
    ]
}
