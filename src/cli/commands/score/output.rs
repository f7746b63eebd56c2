//! Where verdicts go, and in which form.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::super::print_with;
use super::{CliError, ScoreArgs, ScoreFormat, Status};

/// Verdict lines in the form asked for.
pub(super) struct Form {
    format: ScoreFormat,
    is_first: bool,
}

impl Form {
    pub(super) fn begin(
        format: ScoreFormat,
        head: &Value,
        out: &mut dyn Write,
    ) -> io::Result<Self> {
        if format == ScoreFormat::Json {
            let head = head.to_string();
            let open = head.strip_suffix('}').unwrap_or(&head);
            write!(out, "{open},\"verdicts\":[")?;
        }
        Ok(Self {
            format,
            is_first: true,
        })
    }

    pub(super) fn lines(&mut self, lines: &[u8], out: &mut dyn Write) -> io::Result<()> {
        if self.format == ScoreFormat::Jsonl {
            return out.write_all(lines);
        }
        for line in lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            if self.format == ScoreFormat::Text {
                let value: Value = serde_json::from_slice(line).unwrap_or_default();
                out.write_all(as_text(&value).as_bytes())?;
                continue;
            }
            out.write_all(if self.is_first { b"\n" } else { b",\n" })?;
            out.write_all(line)?;
            self.is_first = false;
        }
        Ok(())
    }

    pub(super) fn end(self, totals: impl FnOnce() -> Value, out: &mut dyn Write) -> io::Result<()> {
        if self.format == ScoreFormat::Json {
            writeln!(out, "\n],\"totals\":{}}}", totals())?;
        }
        Ok(())
    }
}

fn as_text(verdict: &Value) -> String {
    let id = verdict["id"].as_str().unwrap_or("-");
    let word = match verdict["valid"].as_bool() {
        Some(true) => "valid",
        Some(false) => "invalid",
        None => "not judged",
    };
    let line = verdict["line"].as_u64().unwrap_or_default();
    let mut text = format!("{line:>6}  {word:10}  {id}");
    if let Some(error) = verdict["error_type"].as_str() {
        text.push_str(&format!("  {error}"));
    }
    text.push('\n');
    for error in verdict["errors"].as_array().into_iter().flatten() {
        let call = error["call"]
            .as_u64()
            .map(|call| format!("call {}: ", call + 1))
            .unwrap_or_default();
        let message = error["message"].as_str().unwrap_or_default();
        text.push_str(&format!("        {call}{message}\n"));
    }
    text
}

/// Runs `write` on standard output, or on the file asked for.
pub(super) fn write_verdicts(
    args: &ScoreArgs,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    match &args.out {
        None => print_with(write),
        Some(path) => write_file(path, write),
    }
}

/// Writes a file that appears only when it is whole.
fn write_file(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|file| {
        let mut out = io::BufWriter::new(file);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        readable_by_all(file.as_file())?;
        file.persist(path).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| {
        CliError::usage(format!("cannot write {}: {error}", path.display()))
            .kind("output", Status::NotWritten)
            .hint("free some space or choose another file with `--out FILE`")
    })
}

/// A temporary file is its owner's alone; what it becomes is an ordinary file.
#[cfg(unix)]
fn readable_by_all(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Writes a whole file at once.
pub(in crate::cli) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    write_file(path, |out| out.write_all(bytes))
}
