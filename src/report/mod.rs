//! Reports: a summary in, bytes through the given writer out.
//!
//! Data in: [`Summary`], or an [`Export`] where single trials are shown. Data out: terminal text, JSON,
//! CSV, Markdown, HTML, JUnit XML. Invariants: reports compute nothing that `metrics` does not give; no
//! I/O but the writer's; a missing number is a dash, an empty field or `null`, never 0; no meaning is
//! carried by colour alone.

use std::io::{self, Write};

use crate::metrics::Summary;

mod columns;
mod csv;
mod export;
mod footnotes;
mod format;
mod hosts;
mod html;
mod json;
mod junit;
mod legs;
mod markdown;
mod merged;
mod names;
mod notes;
mod pareto;
mod sizing;
mod tables;
mod terminal;
mod text;

pub use columns::{COLUMNS, ColumnDoc, explain_column};
pub use csv::Table;
pub use export::Export;
pub use format::{Format, Target};
pub use hosts::server_lines;
pub use html::{Shown, write_html};
pub use json::Json;
pub use markdown::Markdown;
pub use sizing::{SizingFormat, write_sizing};
pub use terminal::Terminal;
pub use text::{percent_with_interval, wrap};

/// One output format.
pub trait Reporter {
    /// Writes the whole report. Errors are the writer's.
    fn write(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()>;
}

#[cfg(test)]
mod privacy_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod words_tests;
