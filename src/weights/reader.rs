//! Bounded reading of a GGUF file: every length is checked against the bytes that are left.
//!
//! Data in: a file. Data out: numbers, texts and [`Value`]s. Invariants: no allocation is larger
//! than the rest of the file, and none larger than [`LONGEST_TEXT_BYTES`]; nothing panics.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::gguf::GgufError;

/// Longest text that is kept; the longest real ones are chat templates of some 100 kB.
pub(super) const LONGEST_TEXT_BYTES: u64 = 16 << 20;
/// Arrays of numbers up to this length are kept (one value a layer); longer ones are skipped.
const LONGEST_KEPT_ARRAY: u64 = 4096;
/// Arrays within arrays deeper than this are refused.
const DEEPEST_ARRAY: u32 = 4;

/// One metadata value, as far as this reader keeps it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    /// A short array of numbers or flags.
    Numbers(Vec<i64>),
    /// An array that was walked over: where its first element starts and how many there are.
    Skipped {
        element_type: u32,
        count: u64,
        offset: u64,
    },
}

/// A GGUF file being read from front to back.
pub(super) struct Reader {
    path: PathBuf,
    source: BufReader<File>,
    position: u64,
    length: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self, GgufError> {
        let failed = |error: std::io::Error| GgufError {
            path: path.to_path_buf(),
            offset: 0,
            reason: format!("cannot be read: {error}"),
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(GgufError {
                path: path.to_path_buf(),
                offset: 0,
                reason: "is not a file".to_owned(),
            });
        }
        Ok(Self {
            path: path.to_path_buf(),
            source: BufReader::with_capacity(256 << 10, file),
            position: 0,
            length: metadata.len(),
        })
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn remaining(&self) -> u64 {
        self.length.saturating_sub(self.position)
    }

    /// An error at the current position.
    pub(super) fn error(&self, reason: impl Into<String>) -> GgufError {
        GgufError {
            path: self.path.clone(),
            offset: self.position,
            reason: reason.into(),
        }
    }

    pub(super) fn bytes<const COUNT: usize>(&mut self) -> Result<[u8; COUNT], GgufError> {
        let mut buffer = [0; COUNT];
        if self.remaining() < COUNT as u64 {
            return Err(self.error("the file ends in the middle of its header; download it again"));
        }
        self.source
            .read_exact(&mut buffer)
            .map_err(|error| self.error(format!("cannot be read: {error}")))?;
        self.position += COUNT as u64;
        Ok(buffer)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        Ok(u32::from_le_bytes(self.bytes()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        Ok(u64::from_le_bytes(self.bytes()?))
    }

    /// A count of things that take at least `least_bytes` each in the rest of the file.
    pub(super) fn count(&mut self, of: &str, least_bytes: u64) -> Result<u64, GgufError> {
        let count = self.u64()?;
        if count > self.remaining() / least_bytes.max(1) {
            return Err(self.error(format!(
                "says it has {count} {of}, more than the rest of the file can hold"
            )));
        }
        Ok(count)
    }

    /// A length-prefixed text; bytes that are not UTF-8 are replaced.
    pub(super) fn text(&mut self) -> Result<String, GgufError> {
        let length = self.count("bytes of text", 1)?;
        if length > LONGEST_TEXT_BYTES {
            return Err(self.error(format!("holds a text of {length} bytes, which is absurd")));
        }
        let mut buffer = vec![0; usize::try_from(length).unwrap_or_default()];
        self.source
            .read_exact(&mut buffer)
            .map_err(|error| self.error(format!("cannot be read: {error}")))?;
        self.position += length;
        Ok(String::from_utf8(buffer)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    pub(super) fn skip(&mut self, count: u64) -> Result<(), GgufError> {
        if count > self.remaining() {
            return Err(self.error("the file ends in the middle of its header; download it again"));
        }
        self.source
            .seek_relative(i64::try_from(count).unwrap_or(i64::MAX))
            .map_err(|error| self.error(format!("cannot be read: {error}")))?;
        self.position += count;
        Ok(())
    }

    pub(super) fn jump(&mut self, offset: u64) -> Result<(), GgufError> {
        self.source
            .seek(SeekFrom::Start(offset))
            .map_err(|error| self.error(format!("cannot be read: {error}")))?;
        self.position = offset;
        Ok(())
    }

    /// One metadata value of the given type.
    pub(super) fn value(&mut self, value_type: u32) -> Result<Value, GgufError> {
        Ok(match value_type {
            8 => Value::Text(self.text()?),
            9 => self.array(0)?,
            scalar => self.scalar(scalar)?,
        })
    }

    fn scalar(&mut self, value_type: u32) -> Result<Value, GgufError> {
        Ok(match value_type {
            0 => Value::Unsigned(u64::from(self.bytes::<1>()?[0])),
            1 => Value::Signed(i64::from(i8::from_le_bytes(self.bytes()?))),
            2 => Value::Unsigned(u64::from(u16::from_le_bytes(self.bytes()?))),
            3 => Value::Signed(i64::from(i16::from_le_bytes(self.bytes()?))),
            4 => Value::Unsigned(u64::from(self.u32()?)),
            5 => Value::Signed(i64::from(i32::from_le_bytes(self.bytes()?))),
            6 => Value::Float(f64::from(f32::from_le_bytes(self.bytes()?))),
            7 => Value::Bool(self.bytes::<1>()?[0] != 0),
            10 => Value::Unsigned(self.u64()?),
            11 => Value::Signed(i64::from_le_bytes(self.bytes()?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes()?)),
            other => return Err(self.error(format!("holds a value of unknown type {other}"))),
        })
    }

    fn array(&mut self, depth: u32) -> Result<Value, GgufError> {
        if depth >= DEEPEST_ARRAY {
            return Err(self.error("nests arrays too deeply"));
        }
        let element_type = self.u32()?;
        let width = match element_type {
            8 => 8,
            9 => 12,
            scalar => scalar_bytes(scalar)
                .ok_or_else(|| self.error(format!("holds an array of unknown type {scalar}")))?,
        };
        let count = self.count("array elements", width)?;
        let offset = self.position;
        match element_type {
            8 => {
                for _ in 0..count {
                    let length = self.count("bytes of text", 1)?;
                    self.skip(length)?;
                }
            }
            9 => {
                for _ in 0..count {
                    self.array(depth + 1)?;
                }
            }
            scalar if count <= LONGEST_KEPT_ARRAY => {
                let mut numbers = Vec::new();
                for _ in 0..count {
                    numbers.push(match self.scalar(scalar)? {
                        Value::Unsigned(number) => i64::try_from(number).unwrap_or(i64::MAX),
                        Value::Signed(number) => number,
                        Value::Bool(flag) => i64::from(flag),
                        Value::Float(number) => number as i64,
                        _ => 0,
                    });
                }
                return Ok(Value::Numbers(numbers));
            }
            _ => self.skip(count * width)?,
        }
        Ok(Value::Skipped {
            element_type,
            count,
            offset,
        })
    }
}

/// Bytes of a scalar metadata value.
fn scalar_bytes(value_type: u32) -> Option<u64> {
    Some(match value_type {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        10..=12 => 8,
        _ => return None,
    })
}
