//! Where a verdict goes: standard output, files, annotations, the summary of a job.
//!
//! Data in: a verdict and its run. Data out: text, and the exit code. Invariants: terminal, JSON and
//! Markdown are the verdict's, every other format is the report of the run that was judged; what can be
//! wrong with formats and files is said before a model is asked.

use std::io::Write as _;

use super::super::report::{ReportOptions, export_of};
use super::super::{App, CliError, Status, print};
use crate::cli::context::json_text;
use crate::cli::outputs::{Outputs, terminal, write_each};
use crate::config::Settings;
use crate::gate::annotations::annotations;
use crate::gate::{Verdict, text};
use crate::record::Run;
use crate::report::{Format, Terminal};

/// Reads `--format` and `--write`.
pub(super) fn outputs(settings: &Settings) -> Result<Outputs, CliError> {
    let outputs = Outputs::of(settings)?;
    if !is_of_verdict(outputs.format) {
        return Err(CliError::usage(format!(
            "a verdict cannot be written as `{}`",
            settings.format
        ))
        .hint("`gate` prints terminal, json or markdown; `--write FILE` writes the run's report in the others"));
    }
    Ok(outputs)
}

/// The formats of a verdict; the others are of its run.
fn is_of_verdict(format: Format) -> bool {
    matches!(format, Format::Terminal | Format::Json | Format::Markdown)
}

fn in_format(verdict: &Verdict, format: Format) -> String {
    match format {
        Format::Json => json_text(verdict),
        Format::Markdown => text::markdown(verdict),
        _ => text::terminal(verdict),
    }
}

/// Writes the verdict everywhere it is wanted; the exit code last.
pub(super) fn publish(
    app: &App,
    verdict: &Verdict,
    run: &Run,
    outputs: &Outputs,
    options: &ReportOptions<'_>,
    wants_annotations: Option<bool>,
) -> Result<Status, CliError> {
    print(&in_format(verdict, outputs.format))?;
    let in_actions = app.env.variable("GITHUB_ACTIONS") == Some("true");
    if wants_annotations.unwrap_or(in_actions) {
        for line in annotations(verdict) {
            app.ui.command(&line);
        }
    }
    if let Some(path) = app.env.variable("GITHUB_STEP_SUMMARY") {
        append(path, &text::markdown(verdict))?;
    }
    write_files(app, verdict, run, outputs, options)?;
    Ok(match verdict.exit_code {
        0 => Status::Complete,
        1 => Status::Breached,
        _ => Status::Undecidable,
    })
}

fn append(path: &str, markdown: &str) -> Result<(), CliError> {
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    file.and_then(|mut file| file.write_all(format!("{markdown}\n").as_bytes()))
        .map_err(|error| {
            CliError::usage(format!(
                "cannot write the summary of the job to {path}: {error}"
            ))
            .kind("output", Status::NotWritten)
        })
}

fn write_files(
    app: &App,
    verdict: &Verdict,
    run: &Run,
    outputs: &Outputs,
    options: &ReportOptions<'_>,
) -> Result<(), CliError> {
    let formats = || outputs.targets.iter().map(|target| target.format);
    let export = if formats().all(is_of_verdict) {
        None
    } else {
        let with_content = formats().any(Format::needs_content);
        Some(export_of(run, with_content, options)?)
    };
    let plain = Terminal {
        color: false,
        ..terminal(app)
    };
    write_each(
        app,
        &run.header.run,
        &outputs.targets,
        |format, out| match export.as_ref().filter(|_| !is_of_verdict(format)) {
            Some(export) => format.write(export, plain, out),
            None => out.write_all(in_format(verdict, format).as_bytes()),
        },
    )
}
