//! Landing: bytes arrive in `NAME.gguf.part`, and only a checked file gets its final name.
//!
//! Data in: chunks in order, what is expected. Data out: a file under its final name, its hash.
//! Invariants: the part is synced before it is renamed, in the same folder; a part with the wrong
//! hash is removed, a part that is merely short is kept for the next attempt.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use crate::store::disk::{Disk, DurableWrite};
use crate::store::error::PullError;
use crate::types::hash::to_hex;

const MAGIC: &[u8; 4] = b"GGUF";
const CHUNK_BYTES: usize = 1 << 20;

/// What the finished file must be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    /// SHA-256, where it is known.
    pub(crate) sha256: Option<String>,
    /// Size, where it is known.
    pub(crate) bytes: Option<u64>,
}

/// A finished file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Landed {
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
}

/// A file that is being written.
pub(crate) struct Landing {
    writer: Box<dyn DurableWrite>,
    part: PathBuf,
    destination: PathBuf,
    hasher: Sha256,
    start: Vec<u8>,
    bytes: u64,
}

/// The name under which an unfinished file is kept.
pub(crate) fn part_path(destination: &Path) -> PathBuf {
    let mut name = destination.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

impl Landing {
    /// Starts from nothing.
    pub(crate) fn fresh(disk: &Arc<dyn Disk>, destination: &Path) -> Result<Self, PullError> {
        let part = part_path(destination);
        let writer = disk
            .open(&part, false)
            .map_err(PullError::io("create", &part))?;
        Ok(Self {
            writer,
            part,
            destination: destination.to_owned(),
            hasher: Sha256::new(),
            start: Vec::new(),
            bytes: 0,
        })
    }

    /// Goes on after the bytes that are already there, which are read once for the hash.
    pub(crate) fn resume(
        disk: &Arc<dyn Disk>,
        destination: &Path,
        cancel: &CancellationToken,
    ) -> Result<Self, PullError> {
        let part = part_path(destination);
        let mut landing = Self {
            writer: disk
                .open(&part, true)
                .map_err(PullError::io("open", &part))?,
            part: part.clone(),
            destination: destination.to_owned(),
            hasher: Sha256::new(),
            start: Vec::new(),
            bytes: 0,
        };
        let file = File::open(&part).map_err(PullError::io("read", &part))?;
        read_chunks(file, &part, cancel, |chunk| {
            landing.account(chunk);
            Ok(())
        })?;
        Ok(landing)
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, chunk: &[u8]) -> Result<(), PullError> {
        self.writer
            .write_all(chunk)
            .map_err(PullError::io("write", &self.part))?;
        self.account(chunk);
        Ok(())
    }

    fn account(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        let missing = MAGIC
            .len()
            .saturating_sub(self.start.len())
            .min(chunk.len());
        self.start.extend_from_slice(&chunk[..missing]);
        self.bytes += chunk.len() as u64;
    }

    /// Takes all bytes of a file. Blocks; call it off the runtime's thread.
    pub(crate) fn append_file(
        &mut self,
        path: &Path,
        cancel: &CancellationToken,
    ) -> Result<(), PullError> {
        let file = File::open(path).map_err(PullError::io("read", path))?;
        read_chunks(file, path, cancel, |chunk| self.write(chunk))
    }

    /// Checks the file and gives it its final name.
    pub(crate) fn finish(
        mut self,
        source_name: &str,
        expected: &Expected,
    ) -> Result<Landed, PullError> {
        let sha256 = to_hex(&std::mem::take(&mut self.hasher).finalize());
        if let Err(error) = self.check(source_name, &sha256, expected) {
            drop(self.writer);
            remove(&self.part);
            return Err(error);
        }
        self.writer
            .flush()
            .map_err(PullError::io("write", &self.part))?;
        self.writer
            .sync()
            .map_err(PullError::io("write", &self.part))?;
        drop(self.writer);
        std::fs::rename(&self.part, &self.destination)
            .map_err(PullError::io("rename to", &self.destination))?;
        sync_folder(&self.destination);
        Ok(Landed {
            path: self.destination,
            sha256,
            bytes: self.bytes,
        })
    }

    fn check(&self, source_name: &str, sha256: &str, expected: &Expected) -> Result<(), PullError> {
        let source_name = || source_name.to_owned();
        if let Some(wanted) = &expected.sha256
            && wanted != sha256
        {
            return Err(PullError::WrongHash {
                source_name: source_name(),
                expected: wanted.clone(),
                actual: sha256.to_owned(),
            });
        }
        if let Some(wanted) = expected.bytes
            && wanted != self.bytes
        {
            return Err(PullError::WrongSize {
                source_name: source_name(),
                expected_bytes: wanted,
                actual_bytes: self.bytes,
            });
        }
        if self.start != MAGIC {
            return Err(PullError::NotGguf {
                source_name: source_name(),
            });
        }
        Ok(())
    }
}

/// Removes a file; that it is gone already is no error, and a file that stays does no harm.
pub(crate) fn remove(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// Makes a rename last. Not every system can open a folder, hence without an error.
fn sync_folder(path: &Path) {
    if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(folder)
    {
        let _ = folder.sync_all();
    }
}

/// Reads to the end in chunks, and stops when cancelled.
pub(crate) fn read_chunks(
    mut reader: impl Read,
    path: &Path,
    cancel: &CancellationToken,
    mut take: impl FnMut(&[u8]) -> Result<(), PullError>,
) -> Result<(), PullError> {
    let mut buffer = vec![0_u8; CHUNK_BYTES];
    loop {
        if cancel.is_cancelled() {
            return Err(PullError::Cancelled);
        }
        let count = reader
            .read(&mut buffer)
            .map_err(PullError::io("read", path))?;
        if count == 0 {
            return Ok(());
        }
        take(&buffer[..count])?;
    }
}

/// Runs blocking work on a plain thread.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    // A panic or shutdown of the pool is our own fault or the program's end; both read as a stop.
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(PullError::Cancelled))
}
