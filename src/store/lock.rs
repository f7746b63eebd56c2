//! A lock file per model, so that two pulls of one model do not write one file.
//!
//! Data in: a path. Data out: a guard. Invariant: the system drops the lock when the process ends,
//! however it ends; the file itself stays, since removing it would race with another waiter.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::error::PullError;

const POLL: Duration = Duration::from_millis(200);

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "holds the lock while it lives")] File);

impl Lock {
    /// Takes the lock if it is free.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>, PullError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(PullError::io("create", folder))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(PullError::io("create", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(PullError::io("lock", path)(error)),
        }
    }

    /// Takes the lock, waiting for another process; `on_wait` is called once if it has to.
    pub(crate) async fn take(
        path: &Path,
        cancel: &CancellationToken,
        on_wait: impl FnOnce(),
    ) -> Result<Self, PullError> {
        let mut on_wait = Some(on_wait);
        loop {
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if let Some(on_wait) = on_wait.take() {
                on_wait();
            }
            tokio::select! {
                () = cancel.cancelled() => return Err(PullError::Cancelled),
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
