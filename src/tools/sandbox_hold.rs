//! Who may use a sandbox: its path is the same for every run, and two runs must not disturb one
//! another.
//!
//! Data in: a sandbox. Data out: a held one, laid out. Invariants: a sandbox that may change has
//! one user; one that does not may have many, and is laid out while it has one. The lock ends with
//! the process.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::time::Duration;

use super::sandbox::{Sandbox, SandboxError, failed};

/// Between two looks at a lock, and how many looks: another process may be laying out the files.
const WAIT: Duration = Duration::from_millis(50);
const LOOKS: u32 = 40;

/// A sandbox in use by this process.
#[derive(Debug)]
pub(super) struct HeldSandbox {
    sandbox: Sandbox,
    /// Locked as long as it is open.
    _lock: File,
    is_only_user: bool,
}

impl HeldSandbox {
    /// Takes the sandbox and lays it out.
    pub(super) async fn take(sandbox: &Sandbox) -> Result<Self, SandboxError> {
        Self::take_within(sandbox, LOOKS).await
    }

    async fn take_within(sandbox: &Sandbox, looks: u32) -> Result<Self, SandboxError> {
        let path = lock_path(sandbox);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| failed(&path, error))?;
        let held = |is_only_user: bool, lock: File| Self {
            sandbox: sandbox.clone(),
            _lock: lock,
            is_only_user,
        };
        for _ in 0..looks {
            if !sandbox.may_change() && got(lock.try_lock_shared(), &path)? {
                if sandbox.is_as_built() {
                    return Ok(held(false, lock));
                }
                lock.unlock().map_err(|error| failed(&path, error))?;
            }
            if got(lock.try_lock(), &path)? {
                sandbox.build()?;
                if sandbox.may_change() {
                    return Ok(held(true, lock));
                }
                // Others may read it from now on, and we do so in the next look.
                lock.unlock().map_err(|error| failed(&path, error))?;
                continue;
            }
            tokio::time::sleep(WAIT).await;
        }
        Err(SandboxError::InUse {
            path: sandbox.path().to_owned(),
        })
    }

    /// As it was at the start, for the next server.
    pub(super) fn renew(&self) -> Result<(), SandboxError> {
        if self.is_only_user || !self.sandbox.is_as_built() {
            self.sandbox.build()?;
        }
        Ok(())
    }
}

/// Beside the sandbox, so that it is not part of it.
fn lock_path(sandbox: &Sandbox) -> PathBuf {
    let mut name = sandbox.path().as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

fn got(tried: Result<(), TryLockError>, path: &std::path::Path) -> Result<bool, SandboxError> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(failed(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sandbox(base: &std::path::Path, content: &str) -> Sandbox {
        let files = BTreeMap::from([("a.txt".to_owned(), content.to_owned())]);
        Sandbox::new(base, "fs", &files).unwrap()
    }

    fn take(sandbox: &Sandbox) -> Result<HeldSandbox, SandboxError> {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(HeldSandbox::take_within(sandbox, 2))
    }

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let base = tempfile::tempdir().unwrap();
        let read_only = sandbox(base.path(), "one");
        let first = take(&read_only).unwrap();
        let second = take(&read_only).unwrap();
        let writable = read_only.clone().writable(true);
        let other = sandbox(base.path(), "two");
        for refused in [&writable, &other] {
            let error = take(refused).unwrap_err();
            assert!(matches!(error, SandboxError::InUse { .. }), "{error}");
        }
        drop((first, second));
        let alone = take(&writable).unwrap();
        assert!(take(&read_only).is_err());
        let file = writable.path().join("a.txt");
        fs::write(&file, "changed").unwrap();
        alone.renew().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        drop(alone);
        let last = take(&other).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
        last.renew().unwrap();
    }
}
