//! The recorded outputs, block by block.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use super::CliError;

/// Bytes that are read before they are judged.
const BLOCK: usize = 2 << 20;

/// Blocks of whole lines.
pub(super) struct Input {
    source: Box<dyn Read>,
    name: String,
    buffer: Vec<u8>,
    failure: Option<io::Error>,
    /// Bytes of the buffer that were handed out.
    given: usize,
    is_at_end: bool,
    is_at_start: bool,
}

impl Input {
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
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
            buffer: Vec::new(),
            failure: None,
            given: 0,
            is_at_end: false,
            is_at_start: true,
        })
    }

    /// The next block; nothing at the end, or when reading fails ([`Self::failure`]). Empty lines at
    /// the very end are no lines.
    pub(super) fn next_block(&mut self) -> Option<&[u8]> {
        self.buffer.drain(..self.given);
        self.given = 0;
        let end = loop {
            let is_full = self.buffer.len() >= BLOCK;
            if is_full && let Some(at) = self.buffer.iter().rposition(|byte| *byte == b'\n') {
                break at + 1;
            }
            if self.is_at_end {
                let kept = self.buffer.trim_ascii_end().len();
                self.buffer.truncate(kept);
                break kept;
            }
            match (&mut self.source)
                .take(BLOCK as u64)
                .read_to_end(&mut self.buffer)
            {
                Ok(read) => self.is_at_end = read < BLOCK,
                Err(error) => {
                    self.is_at_end = true;
                    self.failure = Some(error);
                    return None;
                }
            }
        };
        if std::mem::take(&mut self.is_at_start) && self.buffer.starts_with(b"\xef\xbb\xbf") {
            // A byte order mark is no part of the first line.
            self.buffer[..3].fill(b' ');
        }
        self.given = end;
        (end > 0).then(|| &self.buffer[..end])
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
