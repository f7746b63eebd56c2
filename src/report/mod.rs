//! Reports: a summary in, bytes through the given writer out.
//!
//! Data in: [`Summary`]. Data out: terminal text, JSON, CSV, Markdown. Invariants: reports compute
//! nothing that is not in the summary; no I/O but the writer's; a missing number is a dash, an empty
//! field or `null`, never 0; no meaning is carried by colour alone.

use std::io::{self, Write};

use crate::metrics::Summary;

mod columns;
mod csv;
mod json;
mod legs;
mod markdown;
mod notes;
mod sizing;
mod tables;
mod terminal;
mod text;

pub use columns::{COLUMNS, ColumnDoc, explain_column};
pub use csv::Csv;
pub use json::Json;
pub use markdown::Markdown;
pub use sizing::{SizingFormat, write_sizing};
pub use terminal::Terminal;
pub use text::wrap;

/// One output format.
pub trait Reporter {
    /// Writes the whole report. Errors are the writer's.
    fn write(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()>;
}

#[cfg(test)]
mod tests;
