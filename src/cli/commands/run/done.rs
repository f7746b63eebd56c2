//! The end of a run: its record, read back and printed as `report` would.

use std::path::{Path, PathBuf};

use super::super::report::{ReportOptions, print_run, status_of};
use super::super::{App, CliError, Status};
use super::servers;
use crate::cli::outputs::Outputs;
use crate::config::Settings;
use crate::record::Run;

/// What became of a command that runs.
pub(in crate::cli) enum Recorded {
    /// It only said what it would do.
    Dry(Status),
    /// There is a record.
    Run(Box<Done>),
}

/// A record that was just written.
pub(in crate::cli) struct Done {
    pub(in crate::cli) directory: PathBuf,
    pub(in crate::cli) interrupted: bool,
    pub(super) settings: Settings,
    pub(super) outputs: Outputs,
}

impl Done {
    /// Reads the record back and prints it.
    pub(super) fn report(&self, app: &App) -> Result<Status, CliError> {
        let run = Run::open(&self.directory)?;
        let options = ReportOptions::of(&self.settings);
        let summary = print_run(&run, &self.outputs, &options, app)?;
        servers::say_refusals(app, &run);
        if self.interrupted {
            app.ui.say(&format!(
                "interrupted; go on with: toolbench {} --resume {}",
                run.header.command,
                self.directory.display()
            ));
            return Ok(Status::Interrupted);
        }
        if !summary.ended_early.is_empty() {
            app.ui.say(&format!(
                "ended early; go on with: toolbench {} --resume {}",
                run.header.command,
                self.directory.display()
            ));
        }
        Ok(status_of(&run.header, &summary))
    }
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
