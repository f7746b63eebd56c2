//! The end of a run: its record, read back and printed as `report` would.

use std::path::PathBuf;

use super::super::report::{ReportOptions, print_run, status_of};
use super::super::{App, CliError, Status};
use super::servers;
use crate::config::Settings;
use crate::record::Run;

/// What became of a command that runs.
pub(in crate::cli) enum Recorded {
    /// It only said what it would do.
    Dry(Status),
    /// There is a record.
    Run(Done),
}

/// A record that was just written.
pub(in crate::cli) struct Done {
    pub(in crate::cli) directory: PathBuf,
    pub(in crate::cli) interrupted: bool,
    pub(super) settings: Settings,
}

impl Done {
    /// Reads the record back and prints it.
    pub(super) fn report(&self, app: &App) -> Result<Status, CliError> {
        let run = Run::open(&self.directory)?;
        let by = self.settings.by.as_deref();
        let format = &self.settings.format;
        let summary = print_run(&run, format, by, &ReportOptions::default(), app)?;
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
