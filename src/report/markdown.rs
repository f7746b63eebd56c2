//! The report for pull requests and wikis: the terminal's tables in Markdown.
//!
//! Data in: [`Summary`]. Data out: GitHub-flavoured Markdown. Invariants: cells are escaped.

use std::io::{self, Write};

use super::tables::{self, Table};
use super::{Reporter, footnotes, hosts, legs, notes, pareto};
use crate::metrics::Summary;

/// GitHub-flavoured Markdown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Markdown;

impl Reporter for Markdown {
    fn write(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "# {}\n", escaped(&notes::heading(summary)))?;
        writeln!(out, "**{}.**", escaped(&summary.advice))?;
        if let Some(warning) = hosts::warning(summary) {
            writeln!(out, "\n**{}.**", escaped(&warning))?;
        }
        let rows = &summary.totals;
        let mut tables = vec![tables::quality(rows), tables::calls(rows)];
        tables.extend(tables::against_expected(rows));
        tables.extend(tables::corrections(rows));
        tables.extend(tables::repeats(rows));
        tables.push(tables::speed(rows, summary));
        tables.extend(legs::legs(rows));
        tables.extend(tables::differences(summary));
        for table in &tables {
            write_table(table, out)?;
        }
        section("Order", &notes::rankings(summary), out)?;
        section("Not enough data", &notes::open_questions(summary), out)?;
        section(pareto::TITLE, &pareto::lines(summary), out)?;
        section("Most frequent failures", &notes::top_failures(summary), out)?;
        section("Tool servers", &hosts::servers(summary), out)?;
        section("Probes", &notes::probes(summary), out)?;
        section("Ended early", &notes::ended_early(summary), out)?;
        section("Excluded", &notes::exclusions(summary), out)?;
        section("Cost", &notes::costs(summary), out)?;
        section("Notes", &footnotes::footnotes(summary), out)
    }
}

pub(super) fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "\n## {}\n", table.title)?;
    let headings: Vec<String> = table
        .columns
        .iter()
        .map(|column| escaped(&column.heading.replace("-\n", "").replace('\n', " ")))
        .collect();
    writeln!(out, "| {} |", headings.join(" | "))?;
    let rules: Vec<&str> = table
        .columns
        .iter()
        .map(|column| if column.right { "---:" } else { "---" })
        .collect();
    writeln!(out, "| {} |", rules.join(" | "))?;
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    Ok(())
}

pub(super) fn section(title: &str, items: &[String], out: &mut dyn Write) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {title}\n")?;
    for item in items {
        writeln!(out, "- {}", escaped(item))?;
    }
    Ok(())
}

/// Names may hold what Markdown reads as markup; back-ticks are ours and stay.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => safe.push(' '),
            '|' | '*' | '<' | '\\' => {
                safe.push('\\');
                safe.push(letter);
            }
            _ => safe.push(letter),
        }
    }
    safe
}
