//! `toolbench baseline`: runs written down as what later ones are compared with.
//!
//! Data in: a run, a name. Data out: small text files in `baselines/` of the folder of runs. Invariants:
//! a run that cannot be judged becomes no baseline; a file that is there is replaced only by `update`,
//! after its difference was shown and agreed to; files land by rename; times of another version are
//! taken away with it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::gate::{file, folder, gate_again, latency_file, name_flag, names, of_file, read};
use super::merge::check_whole;
use super::{App, CliError, Status, print, print_json};
use crate::cli::args::ListFormat;
use crate::cli::flags::SettingFlags;
use crate::cli::gate_args::{BaselineCommand, SaveArgs};
use crate::cli::ui::Ui;
use crate::gate::baseline::{BASELINE_SCHEMA, Times, hash, to_text};
use crate::gate::rates::SuiteRate;
use crate::gate::snapshot::{CaseLine, CellFact};
use crate::gate::text::{Difference, differences};
use crate::gate::verdict::SuiteInterval;
use crate::gate::{DEFAULT_NAME, Measured, Snapshot};
use crate::record::{Run, find_run};
use crate::types::shell_word;

/// Runs one of them.
pub(super) fn baseline(app: &App, command: &BaselineCommand) -> Result<Status, CliError> {
    match command {
        BaselineCommand::Save(args) => save(app, args),
        BaselineCommand::Show { name, out, format } => {
            let out = out_folder(app, out.as_deref())?;
            match name {
                Some(name) => show(&out, name, *format),
                None => list(&out, *format),
            }
        }
        BaselineCommand::Update { save, yes } => update(app, save, *yes),
    }
}

fn out_folder(app: &App, out: Option<&str>) -> Result<PathBuf, CliError> {
    let mut flags = SettingFlags::default();
    if let Some(out) = out {
        flags
            .layer
            .insert("out", vec![out.to_owned()], "flag --out")?;
    }
    let resolved = app.resolve(&flags)?;
    Ok(PathBuf::from(resolved.text("out").unwrap_or("reports")))
}

/// What is to be written, and where.
struct New {
    run: String,
    /// The command that makes such a run again and judges it.
    again: String,
    path: PathBuf,
    snapshot: Snapshot,
    times: Times,
}

impl New {
    fn of(app: &App, args: &SaveArgs) -> Result<Self, CliError> {
        let out = out_folder(app, args.out.as_deref())?;
        let path = file(&out, &args.name)?;
        let directory = find_run(&out, &args.run)?;
        let run = Run::open(&directory)?;
        check_whole(&run)?;
        let measured = Measured::of_run(&run.header, &run.trials, &run.ended_early());
        let trouble = measured.all_trouble();
        if !trouble.is_empty() {
            return Err(CliError::usage(format!(
                "run `{}` cannot be a baseline:\n  {}",
                run.header.run,
                trouble.join("\n  ")
            ))
            .kind("undecidable", Status::Undecidable)
            .hint(format!(
                "go on with it: `toolbench {} --resume {}`",
                run.header.command,
                shell_word(&directory.display().to_string())
            )));
        }
        Ok(Self {
            run: run.header.run.clone(),
            again: gate_again(&run.header),
            path,
            snapshot: Snapshot::of_run(&run.header, &run.trials),
            times: Times::of_run(&run.header, &run.trials),
        })
    }

    /// Writes the file, with its times where they are wanted, without them where not.
    fn write(&self, with_latency: bool) -> Result<Vec<PathBuf>, CliError> {
        let mut written = vec![self.path.clone()];
        land(&self.path, &to_text(&self.snapshot))?;
        let latency = latency_file(&self.path);
        if with_latency {
            land(&latency, &self.times.to_text(&hash(&self.snapshot)))?;
            written.push(latency);
        } else if latency.is_file() {
            std::fs::remove_file(&latency).map_err(|error| not_written(&latency, &error))?;
        }
        Ok(written)
    }
}

fn not_written(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot write {}: {error}", path.display()))
        .kind("output", Status::NotWritten)
        .hint("free some space or choose another folder with `--out DIR`")
}

/// By rename: a reader sees the old file or the new one.
fn land(path: &Path, text: &str) -> Result<(), CliError> {
    let write = || -> std::io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        // A temporary file is the owner's alone; this one is made to be shared.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o644))?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| not_written(path, &error))
}

/// The run, the name and the folder, as they were given.
fn words(args: &SaveArgs) -> String {
    format!(
        "{}{}{}",
        shell_word(&args.run),
        name_flag(&args.name),
        out_flag(args)
    )
}

fn out_flag(args: &SaveArgs) -> String {
    let out = args.out.as_deref();
    out.map_or_else(String::new, |out| format!(" --out {}", shell_word(out)))
}

fn save(app: &App, args: &SaveArgs) -> Result<Status, CliError> {
    let new = New::of(app, args)?;
    if new.path.exists() {
        let same = read(&new.path).is_ok_and(|known| known == new.snapshot);
        if !same {
            return Err(CliError::usage(format!(
                "baseline `{}` is there already and says something else ({})",
                args.name,
                new.path.display()
            ))
            .hint(format!(
                "`toolbench baseline update {}` shows the difference and replaces it, `--name NAME` keeps both",
                words(args)
            )));
        }
    }
    let keep_times = args.with_latency || latency_file(&new.path).is_file();
    let written = new.write(keep_times)?;
    said(app, args, &new, &written, &[])
}

fn update(app: &App, args: &SaveArgs, yes: bool) -> Result<Status, CliError> {
    let new = New::of(app, args)?;
    if !new.path.exists() {
        return Err(
            CliError::usage(format!("there is no baseline `{}` to update", args.name)).hint(
                format!("`toolbench baseline save {}` makes it", words(args)),
            ),
        );
    }
    let old = of_file(&args.name, &new.path)?;
    let found = differences(&old.snapshot, &new.snapshot);
    let keep_times = args.with_latency || latency_file(&new.path).is_file();
    if found.is_empty() && old.snapshot == new.snapshot && !args.with_latency {
        app.ui.say(&format!(
            "baseline `{}` says what run `{}` found already",
            args.name, new.run
        ));
        return said(app, args, &new, &[], &found);
    }
    for difference in &found {
        app.ui.say(&difference.to_string());
    }
    let question = format!("Replace baseline `{}` by run `{}`?", args.name, new.run);
    if !yes && !app.ui.can_ask() {
        return Err(CliError::usage(format!(
            "nothing was written: baseline `{}` would change",
            args.name
        ))
        .hint("add `--yes` to write it, or run the command on a terminal to be asked"));
    }
    if !yes && !Ui::ask(&question) {
        app.ui.say("nothing was written");
        return Ok(Status::Complete);
    }
    let written = new.write(keep_times)?;
    said(app, args, &new, &written, &found)
}

/// What was written, and the next command.
fn said(
    app: &App,
    args: &SaveArgs,
    new: &New,
    written: &[PathBuf],
    differences: &[Difference],
) -> Result<Status, CliError> {
    let snapshot = &new.snapshot;
    if args.format == ListFormat::Json {
        print_json(&json!({
            "schema": "toolbench.baseline-written/1",
            "baseline": args.name,
            "run": new.run,
            "files": written.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "hash": hash(snapshot),
            "cells": snapshot.cells.len(),
            "lines_of_cases": snapshot.cases.len(),
            "differences": differences,
        }))?;
        return Ok(Status::Complete);
    }
    for path in written {
        app.ui.say(&format!("wrote {}", path.display()));
    }
    if !written.is_empty() {
        let against = match args.name.as_str() {
            DEFAULT_NAME => String::new(),
            name => format!(" --baseline {name}"),
        };
        let servers = if snapshot.servers.is_empty() {
            ""
        } else {
            " with the same tool servers"
        };
        app.ui.say(&format!(
            "commit it; next, after a change{servers}: {}{against}{}",
            new.again,
            out_flag(args)
        ));
    }
    Ok(Status::Complete)
}

fn list(out: &Path, format: ListFormat) -> Result<Status, CliError> {
    let mut listed = Vec::new();
    let mut text = String::new();
    for name in names(out) {
        let path = file(out, &name)?;
        match read(&path) {
            Ok(snapshot) => {
                text.push_str(&format!(
                    "{name}  {} cells, {} lines of cases, on {}{}\n",
                    snapshot.cells.len(),
                    snapshot.cases.len(),
                    snapshot.about.selection.join(", "),
                    if latency_file(&path).is_file() {
                        ", with times"
                    } else {
                        ""
                    }
                ));
                listed.push(json!({
                    "baseline": name, "path": path.display().to_string(), "hash": hash(&snapshot),
                    "cells": snapshot.cells.len(), "lines_of_cases": snapshot.cases.len(),
                    "selection": snapshot.about.selection,
                    "with_latency": latency_file(&path).is_file(),
                }));
            }
            Err(error) => {
                text.push_str(&format!("{name}  cannot be read: {}\n", error.message));
                listed.push(json!({
                    "baseline": name, "path": path.display().to_string(), "error": error.message,
                }));
            }
        }
    }
    let place = folder(out);
    if format == ListFormat::Json {
        print_json(&json!({
            "schema": "toolbench.baselines/1",
            "folder": place.display().to_string(), "baselines": listed,
        }))?;
        return Ok(Status::Complete);
    }
    if listed.is_empty() {
        text = format!(
            "no baseline in {}; `toolbench baseline save RUN` makes one\n",
            place.display()
        );
    }
    print(&text)?;
    Ok(Status::Complete)
}

fn show(out: &Path, name: &str, format: ListFormat) -> Result<Status, CliError> {
    let saved = file(out, name).ok().filter(|path| path.is_file());
    let path = match saved {
        Some(path) => path,
        None if Path::new(name).is_file() => PathBuf::from(name),
        None => {
            let near = crate::types::did_you_mean(name, names(out).iter().map(String::as_str));
            return Err(CliError::usage(format!(
                "no baseline `{name}` in {}",
                folder(out).display()
            ))
            .kind("no_baseline", Status::Usage)
            .hint(near.unwrap_or_else(|| {
                "`toolbench baseline show` lists them, `toolbench baseline save RUN` makes one"
                    .to_owned()
            })));
        }
    };
    let snapshot = read(&path)?;
    let cells: Vec<(&CellFact, SuiteRate)> = snapshot
        .cells
        .iter()
        .map(|cell| {
            let lines = snapshot.cases.iter().filter(|it| it.cell == cell.cell);
            (cell, SuiteRate::of(lines, cell.deterministic))
        })
        .collect();
    if format == ListFormat::Json {
        print_json(&json!({
            "schema": BASELINE_SCHEMA,
            "baseline": name, "path": path.display().to_string(), "hash": hash(&snapshot),
            "about": snapshot.about, "models": snapshot.models, "suites": snapshot.suites,
            "tools": snapshot.tools, "variants": snapshot.variants, "servers": snapshot.servers,
            "cells": cells.iter().map(|(cell, rate)| json!({
                "fact": cell, "cases": rate.cases, "trials": rate.trials, "success": rate.rate,
                "low": rate.low, "high": rate.high, "method": rate.method,
            })).collect::<Vec<_>>(),
            "cases": snapshot.cases,
            "with_latency": latency_file(&path).is_file(),
        }))?;
        return Ok(Status::Complete);
    }
    print(&shown(&snapshot, &path, &cells))?;
    Ok(Status::Complete)
}

fn shown(snapshot: &Snapshot, path: &Path, cells: &[(&CellFact, SuiteRate)]) -> String {
    let about = &snapshot.about;
    let mut out = format!("{}\n", path.display());
    let mut line = |name: &str, text: String| {
        if !text.is_empty() {
            out.push_str(&format!("  {name:<10} {text}\n"));
        }
    };
    line("hash", hash(snapshot));
    line("suites", about.selection.join(", "));
    let sample = about.sample.as_ref();
    line(
        "sample",
        sample.map_or_else(String::new, |it| format!("{} of {} cases", it.cases, it.of)),
    );
    line("filters", about.filters.join(", "));
    line(
        "made by",
        format!(
            "toolbench {}, scorer version {}",
            about.toolbench, about.scorer_version
        ),
    );
    for model in &snapshot.models {
        let weights = model.weights.as_deref().unwrap_or("no weights known");
        line(
            "model",
            format!("{} ({weights}, {})", model.model, model.engine),
        );
    }
    for (cell, rate) in cells {
        let share = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |it| format!("{:.1}", it * 100.0))
        };
        let interval = if rate.method == SuiteInterval::Exact {
            "exact".to_owned()
        } else {
            format!("[{}–{}]", share(rate.low), share(rate.high))
        };
        line(
            "cell",
            format!(
                "{}: {} % {interval} of {} cases, {} trials, {}",
                cell.cell,
                share(rate.rate),
                rate.cases,
                rate.trials,
                cell.tier
            ),
        );
    }
    let failing: Vec<&CaseLine> = snapshot
        .cases
        .iter()
        .filter(|it| it.share().is_some_and(|share| share < 1.0))
        .collect();
    line(
        "failing",
        format!(
            "{} of {} lines of cases",
            failing.len(),
            snapshot.cases.len()
        ),
    );
    for case in failing {
        line(
            "",
            format!(
                "{}  {}  {}  {}",
                case.case,
                case.cell,
                case.trials,
                case.codes.join(", ")
            ),
        );
    }
    line(
        "times",
        if latency_file(path).is_file() {
            latency_file(path).display().to_string()
        } else {
            "none (`--with-latency` keeps them)".to_owned()
        },
    );
    out
}
