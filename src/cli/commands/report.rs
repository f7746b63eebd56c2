//! `toolbench report`, and the end of every run: a stored run to tables.

use super::{App, CliError, Status, print, print_json, print_with};
use crate::cli::args::ReportArgs;
use crate::cli::ui::Verbosity;
use crate::metrics::{Summary, SummaryOptions, canonical_summary, summarise_run};
use crate::record::format::Header;
use crate::record::{Private, Redactor, Run, find_run};
use crate::report::{Csv, Json, Markdown, Reporter, Shown, Terminal, write_html};

/// Prints stored runs.
pub(super) fn report(app: &App, args: &ReportArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&args.flags())?;
    let settings = app.settings(&resolved)?;
    let patterns = [args.redact.clone(), settings.redact.clone()].concat();
    let private = super::run::private(args.retain.as_deref().unwrap_or("full"), &patterns)?;
    if args.canonical && (args.retain.is_some() || !args.redact.is_empty()) {
        return Err(
            CliError::usage("`--canonical` compares byte by byte and cannot be redacted")
                .hint("export with `--format jsonl` or `--format json`"),
        );
    }
    if settings.format == "html" && args.runs.len() > 1 {
        return Err(
            CliError::usage("a page shows one run, and several were named").hint(
                "write each to a file of its own: `toolbench report RUN --format html > RUN.html`",
            ),
        );
    }
    let mut status = Status::Complete;
    for name in &args.runs {
        let run = Run::open(&find_run(&settings.out, name)?)?;
        if args.canonical {
            print_json(&canonical_summary(&run.header, &run.trials))?;
            continue;
        }
        let options = ReportOptions {
            margin_points: args.margin,
            objective_ms: args.objective.map(|seconds| seconds * 1000.0),
            private: private.clone(),
        };
        let by = settings.by.as_deref();
        let summary = print_run(&run, &settings.format, by, &options, app)?;
        if status == Status::Complete {
            status = status_of(&run.header, &summary);
        }
    }
    Ok(status)
}

/// What a report may be asked for in place of the run's own.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportOptions {
    /// Width of `tied`.
    pub(super) margin_points: Option<f64>,
    /// Limit on the time of a task.
    pub(super) objective_ms: Option<f64>,
    /// What is left out of what is printed.
    pub(super) private: Private,
}

/// Prints one run and gives its summary.
pub(super) fn print_run(
    run: &Run,
    format: &str,
    by: Option<&str>,
    options: &ReportOptions,
    app: &App,
) -> Result<Summary, CliError> {
    if run.truncated {
        app.ui
            .say("note: the record ends in a half line, which is left out");
    }
    let by = by
        .map(str::parse)
        .transpose()
        .map_err(|message: String| CliError::usage(message))?;
    let mut summary = summarise_run(
        run,
        &SummaryOptions {
            by,
            margin_points: options.margin_points,
            objective_ms: options.objective_ms,
        },
    );
    redact(&mut summary, &options.private.redactor);
    if format == "jsonl" {
        let mut lines = String::new();
        for trial in &run.trials {
            let mut trial = trial.clone();
            options.private.trial(&mut trial);
            lines.push_str(&serde_json::to_string(&trial).unwrap_or_default());
            lines.push('\n');
        }
        print(&lines)?;
    } else if format == "html" {
        print_page(run, &summary, &options.private)?;
    } else if let Some(reporter) = reporter(format, app) {
        print_with(|out| reporter.write(&summary, out))?;
    }
    Ok(summary)
}

/// The page of a run: its summary, and as much of its record as may be shown.
fn print_page(run: &Run, summary: &Summary, private: &Private) -> Result<(), CliError> {
    let mut header = run.header.clone();
    let recorded = header.privacy.take();
    private.in_header(&mut header);
    header.privacy = match (recorded, header.privacy) {
        (Some(recorded), Some(mut now)) => {
            now.retain = now.retain.min(recorded.retain);
            now.patterns.splice(0..0, recorded.patterns);
            Some(now)
        }
        (recorded, now) => recorded.or(now),
    };
    let mut trials = run.trials.clone();
    trials.iter_mut().for_each(|trial| private.trial(trial));
    let mut content = run.content()?;
    content.retain(|_, line| match private.kept(&line.kind, &line.value) {
        Some(value) => {
            line.value = value;
            true
        }
        None => false,
    });
    let shown = Shown {
        header: &header,
        trials: &trials,
        content: &|hash| content.get(hash).map(|line| &line.value),
        truncated: run.truncated,
    };
    print_with(|out| write_html(summary, &shown, out))
}

/// Blots out what a summary holds in words beside names: settings, reasons, resolutions.
fn redact(summary: &mut Summary, redactor: &Redactor) {
    let header = &mut summary.header;
    for setting in &mut header.settings {
        redactor.text(&mut setting.value);
    }
    for model in &mut header.models {
        redactor.text(&mut model.resolution);
        for leg in &mut model.legs {
            redactor.text(&mut leg.resolution);
        }
    }
    for excluded in &mut summary.excluded {
        redactor.text(&mut excluded.reason);
    }
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

fn reporter(format: &str, app: &App) -> Option<Box<dyn Reporter>> {
    Some(match format {
        "terminal" => Box::new(Terminal {
            color: app.env.stdout_terminal && app.env.variable("NO_COLOR").is_none(),
            detailed: app.ui.verbosity > Verbosity::Normal,
            ..Terminal::default()
        }),
        "json" => Box::new(Json),
        "csv" => Box::new(Csv),
        "markdown" => Box::new(Markdown),
        _ => return None,
    })
}
