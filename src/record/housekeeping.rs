//! What a run directory takes, whether it is in use, and its removal.
//!
//! Data in: a run directory. Data out: bytes, its state, when it was last used. Invariants: a run that
//! another process writes is never removed: its lock is held while it goes; nothing outside the
//! directory is touched, and a link is not followed.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use super::files;
use super::reader::Run;
use super::writer::{RunWriter, WriteError};

/// Whether a process works on a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A process writes to it.
    Running,
    /// Nobody does.
    Idle,
}

/// Whether a process writes to the run now. Looks only: a run without a lock file stays without.
pub fn state(directory: &Path) -> State {
    let Ok(lock) = File::open(directory.join(files::LOCK)) else {
        return State::Idle;
    };
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => State::Running,
        _ => State::Idle,
    }
}

/// Name and bytes of every file of a run, by name.
pub fn file_sizes(directory: &Path) -> Vec<(String, u64)> {
    let mut sizes: Vec<(String, u64)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if metadata.is_dir() {
                return Some((format!("{name}/"), bytes(&entry.path())));
            }
            Some((name, metadata.len()))
        })
        .collect();
    sizes.sort();
    sizes
}

/// Bytes of all files below a folder; links count as themselves.
pub fn bytes(folder: &Path) -> u64 {
    file_sizes(folder).iter().map(|(_, bytes)| bytes).sum()
}

/// The latest moment that the record names (RFC 3339): its creation, a start, or a trial's.
pub fn last_used(run: &Run) -> &str {
    let starts = run.executions.iter().map(|one| one.started_at.as_str());
    let trials = run.trials.iter().map(|trial| trial.started_at.as_str());
    // Stamps of one form and zone: their order as text is that of time.
    starts
        .chain(trials)
        .chain([run.header.created_at.as_str()])
        .max()
        .unwrap_or_default()
}

/// Removes a run and gives the bytes it took. Its lock is held until the directory is gone.
pub fn remove(directory: &Path) -> Result<u64, WriteError> {
    let failed = |source: io::Error| WriteError::Io {
        doing: "remove",
        path: directory.to_path_buf(),
        source,
    };
    if fs::symlink_metadata(directory)
        .map_err(failed)?
        .is_symlink()
    {
        return Err(failed(io::Error::other("it is a link")));
    }
    let _lock = RunWriter::lock(directory)?;
    let bytes = bytes(directory);
    fs::remove_dir_all(directory).map_err(failed)?;
    Ok(bytes)
}
