//! The summary as published JSON.
//!
//! Data in: [`Summary`]. Data out: indented JSON that satisfies `schemas/summary.schema.json`.

use std::io::{self, Write};

use super::Reporter;
use crate::metrics::Summary;

/// Indented JSON with a final newline.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

impl Reporter for Json {
    fn write(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, summary)?;
        writeln!(out)
    }
}
