//! The page about hardware, for people and for programs.
//!
//! Data in: a [`SizingPage`]. Data out: terminal text of at most 100 columns, Markdown, CSV, JSON. Invariants:
//! nothing is computed that is not in the page; whatever is predicted or published stands in a table that
//! says so in its title; a missing number is a dash.

mod csv;
mod foreign;
mod tables;
mod words;

use std::io::{self, Write};

use super::markdown::{escaped, section, write_table};
use super::terminal::Terminal;
use crate::sizing::SizingPage;

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizingFormat {
    /// For people; detailed shows the predictions of every cell.
    Terminal(Terminal),
    /// GitHub-flavoured Markdown, everything.
    Markdown,
    /// One line for each measured cell, prediction and published figure.
    Csv,
    /// `schemas/sizing.schema.json`.
    Json,
}

/// Writes the page. Errors are the writer's.
pub fn write_sizing(
    page: &SizingPage,
    format: SizingFormat,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        SizingFormat::Terminal(terminal) => write_terminal(page, terminal, out),
        SizingFormat::Markdown => write_markdown(page, out),
        SizingFormat::Csv => csv::write(page, out),
        SizingFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, page)?;
            writeln!(out)
        }
    }
}

fn write_terminal(page: &SizingPage, terminal: Terminal, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", terminal.wrapped(&words::heading(page), ""))?;
    for line in words::answer(page) {
        let line = terminal.wrapped(&line, "");
        writeln!(out, "\n{}", terminal.strong(&line))?;
    }
    for part in tables::all(page, terminal.detailed) {
        terminal.table(&part.table, out)?;
        if let Some(line) = &part.under {
            writeln!(out, "{}", terminal.wrapped(line, "  "))?;
        }
    }
    terminal.section(
        "Published, beside what was measured",
        &words::claims(page),
        out,
    )?;
    terminal.section("Machines for the demand", &words::demands(page), out)?;
    terminal.section("Notes", &words::notes(page), out)
}

fn write_markdown(page: &SizingPage, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "# {}", escaped(&words::heading(page)))?;
    for line in words::answer(page) {
        writeln!(out, "\n**{}**", escaped(&line))?;
    }
    for part in tables::all(page, true) {
        write_table(&part.table, out)?;
        if let Some(line) = &part.under {
            writeln!(out, "\n{}", escaped(line))?;
        }
    }
    section(
        "Published, beside what was measured",
        &words::claims(page),
        out,
    )?;
    section("Machines for the demand", &words::demands(page), out)?;
    section("Notes", &words::notes(page), out)
}

#[cfg(test)]
#[path = "../sizing_tests.rs"]
mod tests;
