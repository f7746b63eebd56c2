//! The recorded outputs, block by block.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use serde_json::{Value, json};

use super::CliError;
use crate::score::interop::{self, InteropError, Outputs};

/// Bytes that are read before they are judged.
const BLOCK: usize = 2 << 20;

/// Blocks of whole lines.
pub(super) struct Input {
    source: Box<dyn Read>,
    name: String,
    failure: Option<io::Error>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// Room of an earlier block.
    spare: Vec<u8>,
    is_at_end: bool,
    is_at_start: bool,
    /// What another tool's file held; its outputs are the lines then.
    foreign: Option<Outputs>,
}

impl Input {
    /// Opens the file; the form is recognised by what it holds. `writer` asks for the outputs of one
    /// provider or model of another tool's file.
    pub(super) fn open(path: &Path, writer: Option<&str>) -> Result<Self, CliError> {
        let mut input = Self::open_lines(path)?;
        let mut head = Vec::new();
        let cannot_read =
            |error: io::Error| CliError::usage(format!("cannot read {}: {error}", path.display()));
        (&mut input.source)
            .take(interop::HEAD as u64)
            .read_to_end(&mut head)
            .map_err(cannot_read)?;
        if interop::may_be_foreign(&head) {
            input.source.read_to_end(&mut head).map_err(cannot_read)?;
            if let Some(mut found) =
                interop::read(&head, writer).map_err(|error| foreign_error(path, &error))?
            {
                head = std::mem::take(&mut found.lines);
                input.foreign = Some(found);
            }
        }
        if writer.is_some() && input.foreign.is_none() {
            return Err(CliError::usage(format!(
                "`--provider` chooses among the outputs of a promptfoo or Inspect file, and {} is neither",
                path.display()
            ))
            .hint("leave it out"));
        }
        let rest = std::mem::replace(&mut input.source, Box::new(io::empty()));
        input.source = Box::new(Cursor::new(head).chain(rest));
        Ok(input)
    }

    /// What was read of another tool's file, in words; `None` for lines of outputs.
    pub(super) fn foreign_in_words(&self) -> Option<String> {
        let found = self.foreign.as_ref()?;
        let mut words = format!("read {}: {} outputs", found.format, found.outputs);
        if !found.writers.is_empty() {
            words.push_str(&format!(" of {}", found.writers.join(", ")));
        }
        for (reason, count) in &found.left_out {
            words.push_str(&format!("; {count} left out: {reason}"));
        }
        if found.writers.len() > 1 {
            words.push_str("; the totals take them together, `--provider NAME` takes one");
        }
        Some(words)
    }

    /// The same for programs.
    pub(super) fn foreign_json(&self) -> Option<Value> {
        let found = self.foreign.as_ref()?;
        Some(json!({
            "format": found.format,
            "outputs": found.outputs,
            "providers": found.writers,
            "left_out": found.left_out,
        }))
    }

    fn open_lines(path: &Path) -> Result<Self, CliError> {
        let source: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(|error| {
                CliError::usage(format!("cannot read {}: {error}", path.display()))
                    .hint("recorded outputs are one JSON object per line, such as {\"id\": \"case-1\", \"calls\": [{\"name\": \"get_time\", \"arguments\": {}}]}")
            })?)
        };
        Ok(Self {
            source,
            name: path.display().to_string(),
            failure: None,
            rest: Vec::new(),
            spare: Vec::new(),
            is_at_end: false,
            is_at_start: true,
            foreign: None,
        })
    }

    /// The next block; empty at the end, or when reading fails ([`Self::failure`]). Empty lines at
    /// the very end are no lines.
    pub(super) fn next_block(&mut self) -> Vec<u8> {
        let mut block = std::mem::take(&mut self.spare);
        block.clear();
        block.append(&mut self.rest);
        while !self.is_at_end {
            let searched = block.len();
            block.reserve(BLOCK);
            match (&mut self.source)
                .take(BLOCK as u64)
                .read_to_end(&mut block)
            {
                Ok(read) => self.is_at_end = read < BLOCK,
                Err(error) => {
                    self.is_at_end = true;
                    self.failure = Some(error);
                    return Vec::new();
                }
            }
            let line_end = memchr::memrchr(b'\n', &block[searched..]);
            if let (Some(at), false) = (line_end, self.is_at_end) {
                let end = searched + at + 1;
                self.rest.extend_from_slice(&block[end..]);
                block.truncate(end);
                break;
            }
        }
        if self.is_at_end && self.rest.is_empty() {
            block.truncate(block.trim_ascii_end().len());
        }
        if std::mem::take(&mut self.is_at_start) && block.starts_with(b"\xef\xbb\xbf") {
            // A byte order mark is no part of the first line.
            block[..3].fill(b' ');
        }
        block
    }

    /// Takes a block back whose room the next one may have.
    pub(super) fn reuse(&mut self, block: Vec<u8>) {
        self.spare = block;
    }

    /// Ends with the error of a read that failed.
    pub(super) fn finish(self) -> Result<(), CliError> {
        match self.failure {
            None => Ok(()),
            Some(error) => Err(
                CliError::usage(format!("cannot read {}: {error}", self.name))
                    .hint("the verdicts written so far are of the lines before"),
            ),
        }
    }
}

fn foreign_error(path: &Path, error: &InteropError) -> CliError {
    let hint = match error {
        InteropError::Nameless { .. } => {
            "give each test `metadata: {case: ID}` with the id of the suite's case, or let its description be that id"
        }
        InteropError::UnknownWriter { .. } => "name one of these, or leave `--provider` out",
        InteropError::Archive { .. } => "`--calls` takes `.eval` and `.json` logs of Inspect",
        InteropError::Malformed { .. } => "write the file again with the tool it comes from",
    };
    CliError::usage(format!("{}: {error}", path.display())).hint(hint)
}
