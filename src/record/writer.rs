//! Events to a run directory.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::files;
use super::format::{ContentLine, EndingLine, Execution, Header};
use super::merge::Merged;
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::types::{ContentHash, EarlyEnd};

/// The run directory could not be made, locked or written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Something is there already.
    #[error("the run directory {path} exists already")]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// Another process writes to it.
    #[error("the run {path} is being written by another process")]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// An operation failed.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    let path = path.to_path_buf();
    move |source| WriteError::Io {
        doing,
        path,
        source,
    }
}

/// A file that only ever grows by whole lines. Generic so that tests can inject a full disk.
pub(super) struct LineFile<F> {
    file: F,
    length: u64,
}

/// What a line file needs of its storage.
pub(super) trait Storage: Write {
    /// Cuts the file back to `length` bytes after a failed write.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Storage for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        self.seek(SeekFrom::Start(length)).map(|_| ())
    }
}

impl<F: Storage> LineFile<F> {
    /// One write and one flush; on failure the file is cut back to the last whole line.
    fn append<T: Serialize>(&mut self, value: &T) -> io::Result<()> {
        let mut line = serde_json::to_vec(value)?;
        line.push(b'\n');
        let written = self.file.write_all(&line).and_then(|()| self.file.flush());
        if let Err(error) = written {
            // Best effort: a reader drops a half line anyway.
            let _ = self.file.cut(self.length);
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

/// The lock of a run directory, held.
pub struct RunLock(File);

/// Writes a run. Holds the directory's lock until dropped.
pub struct RunWriter {
    directory: PathBuf,
    trials: LineFile<File>,
    content: LineFile<File>,
    known: HashSet<ContentHash>,
    /// Line of this execution, from 0.
    execution: usize,
    _lock: File,
}

impl RunWriter {
    /// Makes the directory and writes the header (by rename) and the first execution line.
    pub fn create(
        directory: &Path,
        header: &Header,
        execution: &Execution,
    ) -> Result<Self, WriteError> {
        if directory.join(files::HEADER).exists() {
            return Err(WriteError::Exists {
                path: directory.to_path_buf(),
            });
        }
        fs::create_dir_all(directory).map_err(io_error("create the run directory", directory))?;
        let lock = take_lock(directory)?;
        write_by_rename(&directory.join(files::HEADER), header)?;
        Self::open(directory, lock, execution, HashSet::new())
    }

    /// Takes a run's lock, so that what is then read cannot change before it is resumed.
    pub fn lock(directory: &Path) -> Result<RunLock, WriteError> {
        take_lock(directory).map(RunLock)
    }

    /// Goes on with a run; a half line left by a crash is cut off first.
    pub fn resume(
        directory: &Path,
        lock: RunLock,
        execution: &Execution,
        known: HashSet<ContentHash>,
    ) -> Result<Self, WriteError> {
        let lock = lock.0;
        Self::open(directory, lock, execution, known)
    }

    fn open(
        directory: &Path,
        lock: File,
        execution: &Execution,
        known: HashSet<ContentHash>,
    ) -> Result<Self, WriteError> {
        let path = directory.join(files::EXECUTIONS);
        let mut executions = open_lines(&path)?;
        let before = fs::read(&path).map_err(io_error("read", &path))?;
        executions
            .append(execution)
            .map_err(io_error("write", &path))?;
        Ok(Self {
            execution: memchr::memchr_iter(b'\n', &before).count(),
            trials: open_lines(&directory.join(files::TRIALS))?,
            content: open_lines(&directory.join(files::CONTENT))?,
            directory: directory.to_path_buf(),
            known,
            _lock: lock,
        })
    }

    /// Rare, and absent from most runs: opened when needed.
    fn ending(&self, end: &EarlyEnd) -> io::Result<()> {
        let line = EndingLine {
            execution: self.execution,
            end: end.clone(),
        };
        open_lines(&self.directory.join(files::ENDINGS))
            .map_err(io::Error::other)?
            .append(&line)
    }

    /// Where the run is written.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl EventSink for RunWriter {
    fn on_event(&mut self, event: &Event) -> Result<Flow, SinkError> {
        let (file, written) = match event {
            Event::Content { hash, kind, value } => {
                if !self.known.insert(hash.clone()) {
                    return Ok(Flow::Continue);
                }
                let line = ContentLine {
                    hash: hash.clone(),
                    kind: kind.clone(),
                    value: value.clone(),
                };
                (files::CONTENT, self.content.append(&line))
            }
            Event::TrialFinished { record } => (files::TRIALS, self.trials.append(record)),
            Event::EndedEarly { end } => (files::ENDINGS, self.ending(end)),
            _ => return Ok(Flow::Continue),
        };
        written.map_err(|source| SinkError {
            message: format!(
                "cannot write {}: {source}",
                self.directory.join(file).display()
            ),
            source: Some(source),
        })?;
        Ok(Flow::Continue)
    }
}

/// Writes a record that is complete from the start: beside its place, then renamed, so that a full
/// disk leaves nothing that looks like a run. `content` comes in the order it is to be kept.
pub fn write_whole(
    directory: &Path,
    whole: &Merged,
    content: &[ContentLine],
) -> Result<(), WriteError> {
    if directory.exists() {
        return Err(WriteError::Exists {
            path: directory.to_path_buf(),
        });
    }
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    let beside = directory.with_file_name(format!(".{name}.part"));
    let written = fill_whole(&beside, whole, content)
        .and_then(|()| fs::rename(&beside, directory).map_err(io_error("create", directory)));
    if written.is_err() {
        // Best effort: what is left has a name that says what it is.
        let _ = fs::remove_dir_all(&beside);
    }
    written
}

fn fill_whole(folder: &Path, whole: &Merged, content: &[ContentLine]) -> Result<(), WriteError> {
    fs::create_dir_all(folder).map_err(io_error("create the folder", folder))?;
    write_lines(&folder.join(files::TRIALS), &whole.trials)?;
    write_lines(&folder.join(files::CONTENT), content)?;
    write_lines(&folder.join(files::EXECUTIONS), &whole.executions)?;
    if !whole.endings.is_empty() {
        write_lines(&folder.join(files::ENDINGS), &whole.endings)?;
    }
    write_by_rename(&folder.join(files::HEADER), &whole.header)
}

fn write_lines<T: Serialize>(path: &Path, values: &[T]) -> Result<(), WriteError> {
    let write = || -> io::Result<()> {
        let mut out = io::BufWriter::new(File::create(path)?);
        for value in values {
            serde_json::to_writer(&mut out, value)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    };
    write().map_err(io_error("write", path))
}

fn take_lock(directory: &Path) -> Result<File, WriteError> {
    let path = directory.join(files::LOCK);
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(WriteError::Locked {
            path: directory.to_path_buf(),
        }),
        Err(fs::TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
    }
}

/// Opens for appending and cuts off a half line at the end.
fn open_lines(path: &Path) -> Result<LineFile<File>, WriteError> {
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(io_error("open", path))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)
        .map_err(io_error("read", path))?;
    let length = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1) as u64;
    file.cut(length).map_err(io_error("truncate", path))?;
    Ok(LineFile { file, length })
}

/// Writes JSON under a temporary name and renames it, so that an older file survives a failure.
fn write_by_rename<T: Serialize>(path: &Path, value: &T) -> Result<(), WriteError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io_error("write in", folder))?;
    serde_json::to_writer_pretty(&mut file, value)
        .map_err(io::Error::from)
        .and_then(|()| file.write_all(b"\n"))
        .and_then(|()| file.flush())
        .map_err(io_error("write", path))?;
    file.persist(path)
        .map_err(|error| io_error("write", path)(error.error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Storage that is full after a number of bytes, as a disk is: it takes part of a write.
    struct FullDisk {
        bytes: Vec<u8>,
        room: usize,
    }

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let free = self.room.saturating_sub(self.bytes.len());
            if free == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let taken = free.min(bytes.len());
            self.bytes.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Storage for FullDisk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.bytes.truncate(length as usize);
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_no_whole_line_and_leaves_no_half_one() {
        let mut lines = LineFile {
            file: FullDisk {
                bytes: Vec::new(),
                room: 25,
            },
            length: 0,
        };
        lines.append(&"0123456789").unwrap();
        let error = lines.append(&"0123456789abcdef").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(lines.file.bytes, b"\"0123456789\"\n");
    }

    #[test]
    fn opening_cuts_a_half_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.jsonl");
        fs::write(&path, "{\"a\":1}\n{\"a\":").unwrap();
        let mut lines = open_lines(&path).unwrap();
        lines.append(&serde_json::json!({"a": 2})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"a\":2}\n");
    }
}
