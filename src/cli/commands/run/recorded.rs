//! What a run leaves before anything is reported: its record and the settings it was made with.

use std::path::{Path, PathBuf};

use super::super::Status;
use crate::config::Settings;

/// What `run` has done before it reports.
pub(in crate::cli) enum Recorded {
    /// It was only said what would be run.
    Dry(Status),
    /// There is a record.
    Run(Box<Done>),
}

/// What is left of a run that has ended, beside its record.
pub(in crate::cli) struct Done {
    pub(in crate::cli) settings: Settings,
    pub(in crate::cli) directory: PathBuf,
    pub(in crate::cli) interrupted: bool,
}

/// The first of `name`, `name-2`, … that is not there yet.
pub(in crate::cli) fn free_directory(folder: &Path, name: &str) -> PathBuf {
    let mut directory = folder.join(name);
    let mut number = 2;
    while directory.exists() {
        directory = folder.join(format!("{name}-{number}"));
        number += 1;
    }
    directory
}
