//! Reports of a run: one format to standard output, others to files.
//!
//! Data in: an [`Export`] and targets. Data out: files. Invariants: every target is known to be usable
//! before a run begins; a file appears whole, by rename, or not at all; all are tried, and the first that
//! failed is the error.

use std::io::{self, Write};
use std::path::Path;

use super::context::App;
use super::error::CliError;
use super::exit_code::Status;
use super::ui::Verbosity;
use crate::config::Settings;
use crate::record::{Content, Run};
use crate::report::{Export, Format, Target, Terminal};

/// What is written of a run, and where to.
#[derive(Clone, Debug)]
pub(super) struct Outputs {
    /// To standard output.
    pub(super) format: Format,
    /// To files.
    pub(super) targets: Vec<Target>,
}

impl Outputs {
    /// Reads `--format` and `--write`, so that a mistake is found before a run begins.
    pub(super) fn of(settings: &Settings) -> Result<Self, CliError> {
        Ok(Self {
            format: settings.format.parse().map_err(CliError::usage)?,
            targets: targets(&settings.write)?,
        })
    }

    /// Some of it is compared byte by byte.
    pub(super) fn are_canonical(&self) -> bool {
        let mut formats = self.targets.iter().map(|target| target.format);
        self.format == Format::Canonical || formats.any(|format| format == Format::Canonical)
    }

    /// Some of it quotes prompts, replies or tools.
    pub(super) fn need_content(&self) -> bool {
        let mut formats = self.targets.iter().map(|target| target.format);
        self.format.needs_content() || formats.any(Format::needs_content)
    }
}

/// Targets as they were written on the command line.
pub(super) fn targets(written: &[String]) -> Result<Vec<Target>, CliError> {
    let mut targets: Vec<Target> = Vec::new();
    for text in written {
        let target: Target = text.parse().map_err(|message: String| {
            CliError::usage(message)
                .hint("for example `--write report.md --write junit=results.xml`")
        })?;
        if target.path.is_dir() {
            return Err(CliError::usage(format!(
                "cannot write a report to {}: it is a folder",
                target.path.display()
            ))
            .hint("name a file in it"));
        }
        if targets.iter().any(|other| other.path == target.path) {
            return Err(CliError::usage(format!(
                "{} is to be written twice",
                target.path.display()
            ))
            .hint("give each report a file of its own"));
        }
        targets.push(target);
    }
    Ok(targets)
}

/// Content of a run where the outputs quote it, else nothing.
pub(super) fn content_for(run: &Run, needed: bool) -> Result<Content, CliError> {
    Ok(if needed {
        run.content()?
    } else {
        Content::new()
    })
}

/// How tables for people look on this standard output.
pub(super) fn terminal(app: &App) -> Terminal {
    Terminal {
        color: app.env.stdout_terminal && app.env.variable("NO_COLOR").is_none(),
        detailed: app.ui.verbosity > Verbosity::Normal,
        ..Terminal::default()
    }
}

/// Writes every target and says which.
pub(super) fn write_targets(
    app: &App,
    export: &Export,
    targets: &[Target],
) -> Result<(), CliError> {
    let plain = Terminal {
        color: false,
        ..terminal(app)
    };
    write_each(app, &export.header().run, targets, |format, out| {
        format.write(export, plain, out)
    })
}

/// The same of whatever `write` makes in a format.
pub(super) fn write_each(
    app: &App,
    run: &str,
    targets: &[Target],
    write: impl Fn(Format, &mut Vec<u8>) -> io::Result<()>,
) -> Result<(), CliError> {
    let mut failed = None;
    for target in targets {
        let mut bytes = Vec::new();
        let written =
            write(target.format, &mut bytes).and_then(|()| write_file(&target.path, &bytes));
        match written {
            Ok(()) => {
                let (format, path) = (target.format.as_str(), target.path.display());
                app.ui.say(&format!("{format}: {path}"));
            }
            Err(error) => {
                let message = format!("cannot write {}: {error}", target.path.display());
                failed.get_or_insert(message);
            }
        }
    }
    match failed {
        None => Ok(()),
        Some(message) => Err(CliError::usage(message)
            .kind("output", Status::NotWritten)
            .hint(format!(
                "the record is complete: `toolbench report {run} --write FILE` writes it again"
            ))),
    }
}

/// A file that appears whole or not at all; a device or a pipe is written to as it is.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|found| !found.is_file()) {
        return std::fs::OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(bytes);
    }
    if let Some(folder) = path.parent().filter(|it| !it.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    // Beside it, so that the rename stays on one file system; by process, so that two do not meet.
    let beside = path.with_added_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written
}
