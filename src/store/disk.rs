//! Disks, as far as a download needs them: free space, and files that can be synced.
//!
//! Data in: paths. Data out: writers. A trait, so that tests can bring a small disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A writer whose bytes can be made to last.
pub trait DurableWrite: Write + Send {
    /// Hands everything written so far to the device.
    fn sync(&mut self) -> io::Result<()>;
}

impl DurableWrite for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Where files are written.
pub trait Disk: Send + Sync {
    /// Free space for this user, in bytes.
    fn available_bytes(&self, folder: &Path) -> io::Result<u64>;

    /// Opens a file for writing, at its end or anew.
    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DurableWrite>>;
}

/// The machine's own disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn available_bytes(&self, folder: &Path) -> io::Result<u64> {
        fs4::available_space(folder)
    }

    fn open(&self, path: &Path, append: bool) -> io::Result<Box<dyn DurableWrite>> {
        let mut options = OpenOptions::new();
        options.create(true);
        if append {
            options.append(true)
        } else {
            options.write(true).truncate(true)
        };
        Ok(Box::new(options.open(path)?))
    }
}
