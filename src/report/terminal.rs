//! The report for people: quality, speed, paired differences, advice, failures, footnotes.
//!
//! Data in: [`Summary`]. Data out: text of at most `width` columns. Invariants: no colour unless
//! told, and none that carries meaning; nothing asks the terminal anything.

use std::io::{self, Write};

use comfy_table::{
    Cell, CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, TableStyle,
};

use super::tables::{self, Table};
use super::{Reporter, footnotes, hosts, legs, notes, pareto, text};
use crate::metrics::Summary;

/// Plain text tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// Headings in bold.
    pub color: bool,
    /// Columns; 100 unless the terminal is narrower.
    pub width: u16,
    /// Also the table of calls, from attempted to valid (`-v`).
    pub detailed: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        Self {
            color: false,
            width: 100,
            detailed: false,
        }
    }
}

const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

impl Reporter for Terminal {
    fn write(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", self.wrapped(&notes::heading(summary), ""))?;
        if let Some(warning) = hosts::warning(summary) {
            let warning = self.wrapped(&format!("{warning}."), "");
            writeln!(out, "{}", self.strong(&warning))?;
        }
        let rows = &summary.totals;
        self.table(&tables::quality(rows), out)?;
        if self.detailed {
            self.table(&tables::calls(rows), out)?;
            let further = [tables::against_expected(rows), tables::corrections(rows)];
            for table in further.iter().flatten() {
                self.table(table, out)?;
            }
        }
        if let Some(table) = tables::repeats(rows) {
            self.table(&table, out)?;
        }
        self.table(&tables::speed(rows, summary), out)?;
        if let Some(table) = legs::legs(rows) {
            self.table(&table, out)?;
        }
        if let Some(table) = tables::differences(summary) {
            self.table(&table, out)?;
            self.items(&notes::rankings(summary), out)?;
            self.items(&notes::open_questions(summary), out)?;
        }
        self.section(pareto::TITLE, &pareto::lines(summary), out)?;
        writeln!(out)?;
        let advice = self.wrapped(&format!("Advice: {}.", summary.advice), "");
        writeln!(out, "{}", self.strong(&advice))?;
        self.section("Most frequent failures", &notes::top_failures(summary), out)?;
        self.section("Tool servers", &hosts::servers(summary), out)?;
        self.section("Probes", &notes::probes(summary), out)?;
        self.section("Ended early", &notes::ended_early(summary), out)?;
        self.section("Excluded", &notes::exclusions(summary), out)?;
        self.section("Cost", &notes::costs(summary), out)?;
        self.section("Notes", &footnotes::footnotes(summary), out)
    }
}

impl Terminal {
    pub(super) fn strong(self, text: &str) -> String {
        if self.color {
            format!("\u{1b}[1m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn wrapped(self, text: &str, indent: &str) -> String {
        text::wrap(text, usize::from(self.width), indent)
    }

    pub(super) fn section(
        self,
        title: &str,
        items: &[String],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        writeln!(out, "\n{}", self.strong(title))?;
        self.items(items, out)
    }

    pub(super) fn items(self, items: &[String], out: &mut dyn Write) -> io::Result<()> {
        for item in items {
            writeln!(out, "{}", self.wrapped(&format!("- {item}"), "  "))?;
        }
        Ok(())
    }

    pub(super) fn table(self, table: &Table, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "\n{}", self.strong(table.title))?;
        writeln!(out, "{}", self.drawn(table))
    }

    /// Characters left for the first column when all others get what they need.
    fn room_for_names(self, table: &Table) -> usize {
        let others: usize = table
            .columns
            .iter()
            .enumerate()
            .skip(1)
            .map(|(index, column)| {
                let cells = table.rows.iter().map(|row| row[index].as_str());
                let widest = cells
                    .chain(column.heading.lines())
                    .map(|t| t.chars().count())
                    .max();
                widest.unwrap_or(0) + usize::from(column.gap)
            })
            .sum();
        usize::from(self.width).saturating_sub(others).max(8)
    }

    fn drawn(self, table: &Table) -> String {
        let mut drawn = comfy_table::Table::new();
        drawn
            .load_style(STYLE)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_width(self.width)
            .set_header(table.columns.iter().map(|column| heading(&column.heading)));
        let room = self.room_for_names(table);
        for row in &table.rows {
            let mut cells = row.iter();
            let name = cells.next().map(|name| text::break_name(name, room));
            drawn.add_row(name.into_iter().map(Cell::new).chain(cells.map(Cell::new)));
        }
        for (column, drawn) in table.columns.iter().zip(drawn.column_iter_mut()) {
            drawn.set_padding((column.gap, 0));
            if column.right {
                drawn.set_cell_alignment(CellAlignment::Right);
            }
            if !column.wraps {
                drawn.set_constraint(ColumnConstraint::ContentWidth);
            }
        }
        drawn.trim_fmt()
    }
}

/// Headings of one line stand on the line next to the numbers.
fn heading(text: &str) -> Cell {
    if text.contains('\n') {
        Cell::new(text)
    } else {
        Cell::new(format!("\n{text}"))
    }
}
