//! `toolbench report`, and the end of every run: a stored run to tables.

use super::{App, CliError, Status, print_with};
use crate::cli::outputs::{Outputs, content_for, terminal, write_targets};
use crate::cli::report_args::ReportArgs;
use crate::config::Settings;
use crate::metrics::{Summary, SummaryOptions};
use crate::record::format::Header;
use crate::record::{Private, Run, find_run};
use crate::report::{Export, Format};

/// Prints stored runs.
pub(super) fn report(app: &App, args: &ReportArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&args.flags())?;
    let settings = app.settings(&resolved)?;
    let mut outputs = Outputs::of(&settings)?;
    if args.canonical {
        outputs.format = Format::Canonical;
    }
    let patterns = [args.redact.clone(), settings.redact.clone()].concat();
    let private = super::run::private(args.retain.as_deref().unwrap_or("full"), &patterns)?;
    if outputs.are_canonical() && (args.retain.is_some() || !args.redact.is_empty()) {
        return Err(CliError::usage(
            "a canonical summary compares byte by byte and cannot be redacted",
        )
        .hint("export with `--format jsonl` or `--format json`"));
    }
    if args.runs.len() > 1 && !outputs.targets.is_empty() {
        return Err(
            CliError::usage("`--write` takes one run, or a file would hold only the last")
                .hint("name one run, or write each to a file of its own"),
        );
    }
    if outputs.format == Format::Html && args.runs.len() > 1 {
        return Err(
            CliError::usage("a page shows one run, and several were named")
                .hint("write each to a file of its own: `toolbench report RUN --write RUN.html`"),
        );
    }
    let mut status = Status::Complete;
    for name in &args.runs {
        let run = Run::open(&find_run(&settings.out, name)?)?;
        let options = ReportOptions {
            margin_points: args.margin,
            objective_ms: args.objective.map(|seconds| seconds * 1000.0),
            private: private.clone(),
            ..ReportOptions::of(&settings)
        };
        let summary = print_run(&run, &outputs, &options, app)?;
        if status == Status::Complete {
            status = status_of(&run.header, &summary);
        }
    }
    Ok(status)
}

/// What a report may be asked for in place of the run's own.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportOptions<'a> {
    /// How rows are split.
    pub(super) by: Option<&'a str>,
    /// Width of `tied`.
    pub(super) margin_points: Option<f64>,
    /// Limit on the time of a task.
    pub(super) objective_ms: Option<f64>,
    /// What is left out of what is printed.
    pub(super) private: Private,
}

impl<'a> ReportOptions<'a> {
    /// The run's own, with the rows split as asked.
    pub(super) fn of(settings: &'a Settings) -> Self {
        Self {
            by: settings.by.as_deref(),
            ..Self::default()
        }
    }
}

/// A stored run as reports see it.
pub(super) fn export_of(
    run: &Run,
    with_content: bool,
    options: &ReportOptions<'_>,
) -> Result<Export, CliError> {
    let by = options.by.map(str::parse).transpose();
    let by = by.map_err(|message: String| CliError::usage(message))?;
    let asked = SummaryOptions {
        by,
        margin_points: options.margin_points,
        objective_ms: options.objective_ms,
    };
    // Addresses of what is filtered are those of what is left, which takes the content to know.
    let content = content_for(run, with_content || !options.private.keeps_all())?;
    Ok(Export::of(run, content, &asked, &options.private))
}

/// Prints one run, writes its files, and gives its summary.
pub(super) fn print_run(
    run: &Run,
    outputs: &Outputs,
    options: &ReportOptions<'_>,
    app: &App,
) -> Result<Summary, CliError> {
    if run.truncated {
        app.ui
            .say("note: the record ends in a half line, which is left out");
    }
    let export = export_of(run, outputs.need_content(), options)?;
    print_with(|out| outputs.format.write(&export, terminal(app), out))?;
    write_targets(app, &export, &outputs.targets)?;
    Ok(export.summary().clone())
}

/// The exit status a complete run ends with.
pub(super) fn status_of(header: &Header, summary: &Summary) -> Status {
    let undecidable = summary.totals.iter().any(|row| !row.decidable)
        || summary.cells.iter().any(|row| !row.decidable)
        || header.excluded.iter().any(|excluded| excluded.failed)
        || !summary.header.undecidable.is_empty()
        || !summary.ended_early.is_empty();
    if undecidable {
        Status::Undecidable
    } else {
        Status::Complete
    }
}
