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
    failure: Option<io::Error>,
    /// The beginning of a line whose end was not read yet.
    rest: Vec<u8>,
    /// Room of an earlier block.
    spare: Vec<u8>,
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
            failure: None,
            rest: Vec::new(),
            spare: Vec::new(),
            is_at_end: false,
            is_at_start: true,
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
