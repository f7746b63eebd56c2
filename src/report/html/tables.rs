//! Tables of the page: what the other reports print, with sort keys and definitions.
//!
//! Data in: tables of text from `report::tables`. Data out: serialisable tables for the template.

use serde::Serialize;

use super::super::columns::explain_column;
use super::super::tables::{Table, labels};
use crate::metrics::Row;

/// A heading.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Head {
    pub(super) text: String,
    /// Numbers go right and sort as numbers.
    pub(super) right: bool,
    /// The column's definition.
    pub(super) meaning: Option<&'static str>,
}

impl Head {
    pub(super) fn new(text: &str, right: bool) -> Self {
        let text = text.replace("-\n", "").replace('\n', " ");
        let bare = text.split(" [").next().unwrap_or_default();
        let bare = bare.trim_end_matches(" %").split(" p50/p95").next();
        Self {
            meaning: bare.and_then(explain_column),
            right,
            text,
        }
    }
}

/// A cell; `value` is what it sorts by and what a test compares with the summary.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) value: Option<f64>,
}

impl Cell {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            value: None,
        }
    }

    pub(super) fn number(text: impl Into<String>, value: Option<f64>) -> Self {
        Self {
            text: text.into(),
            value,
        }
    }
}

/// A table of text.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Plain {
    pub(super) title: &'static str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Plain {
    pub(super) fn of(table: &Table) -> Self {
        let columns = &table.columns;
        Self {
            title: table.title,
            heads: columns
                .iter()
                .map(|column| Head::new(&column.heading, column.right))
                .collect(),
            rows: table
                .rows
                .iter()
                .map(|row| row.iter().map(|text| Cell::text(text.as_str())).collect())
                .collect(),
        }
    }
}

/// Labels of rows: the headings, and per row their values.
pub(super) struct RowLabels {
    pub(super) heads: Vec<Head>,
    pub(super) values: Vec<Vec<String>>,
}

impl RowLabels {
    pub(super) fn of(rows: &[Row]) -> Self {
        let found = labels(rows);
        Self {
            heads: found
                .iter()
                .map(|(column, _)| Head::new(&column.heading, false))
                .collect(),
            values: rows
                .iter()
                .map(|row| found.iter().map(|(_, value)| value(row)).collect())
                .collect(),
        }
    }
}

/// `#trials?model=…&dialect=…`: where the list shows the trials of a row.
pub(super) fn link(filters: &[(&str, &str)]) -> String {
    let parts: Vec<String> = filters
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    format!("#trials?{}", parts.join("&"))
}

/// The filters that show a row's trials. Labels that all rows share filter nothing.
pub(super) fn link_of_row(row: &Row) -> String {
    link(&filters_of_row(row))
}

pub(super) fn filters_of_row(row: &Row) -> Vec<(&'static str, &str)> {
    let mut filters = vec![
        ("model", row.model.as_str()),
        ("dialect", row.dialect.as_str()),
        ("constraint", row.constraint.as_str()),
        ("variant", row.variant.as_str()),
        ("tier", row.tier.as_str()),
    ];
    let split = [
        ("suite", &row.suite),
        ("category", &row.category),
        ("difficulty", &row.difficulty),
    ];
    filters.extend(
        split
            .iter()
            .filter_map(|(name, value)| Some((*name, value.as_deref()?))),
    );
    filters
}

/// Percent-encoding of everything but letters, digits and `-._~`.
fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}
