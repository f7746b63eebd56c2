//! `toolbench merge`: shards of one run to the record of the whole.
//!
//! Data in: run directories, or folders of them. Data out: one more run directory, and its report.
//! Invariants: the shards stay as they are; nothing is written unless they are all there.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::report::{ReportOptions, print_run, status_of};
use super::{App, CliError, Status};
use crate::cli::args::MergeArgs;
use crate::cli::flags::SettingFlags;
use crate::cli::outputs::Outputs;
use crate::clock::now_compact;
use crate::config::Resolved;
use crate::record::format::ContentLine;
use crate::record::{Run, State, find_run, list_runs, merge as put_together, state, write_whole};
use crate::types::ContentHash;

/// Merges shards.
pub(super) fn merge(app: &App, args: &MergeArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&flags(args))?;
    let settings = app.settings(&resolved)?;
    let outputs = Outputs::of(&settings)?;
    let mut shards = Vec::new();
    for path in paths(&settings.out, &args.runs)? {
        if state(&path) == State::Running {
            return Err(CliError::usage(format!(
                "run `{}` is still being written",
                path.display()
            ))
            .kind("merge", Status::Usage)
            .hint("wait for it to end"));
        }
        shards.push(Run::open(&path)?);
    }
    let mut merged = put_together(&shards)?;
    let base = format!(
        "{}-{}-merged",
        now_compact(),
        merged.header.plan_hash.short().get(..6).unwrap_or("")
    );
    let directory = super::run::free_directory(&settings.out, &base);
    merged.header.run = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or(base);
    write_whole(&directory, &merged, &content(&shards)?)?;
    app.ui.say(&format!(
        "record: {} (of {} shards)",
        directory.display(),
        shards.len()
    ));
    let run = Run::open(&directory)?;
    let summary = print_run(&run, &outputs, &ReportOptions::of(&settings), app)?;
    Ok(status_of(&run.header, &summary))
}

/// Refuses one part where only the whole says anything.
pub(super) fn check_whole(run: &Run) -> Result<(), CliError> {
    match run.header.shard {
        Some((index, count)) if count > 1 => Err(CliError::usage(format!(
            "run `{}` is shard {index}/{count}, and a part says nothing of the whole",
            run.header.run
        ))
        .kind("shard", Status::Usage)
        .hint("put the shards together first: `toolbench merge RUN…`, then name the merged run")),
        _ => Ok(()),
    }
}

/// Refuses to make one part where the whole is to be judged.
pub(super) fn check_unsharded(resolved: &Resolved) -> Result<(), CliError> {
    match resolved.text("shard") {
        None | Some("1/1") => Ok(()),
        Some(shard) => Err(CliError {
            param: resolved.origin("shard").map(str::to_owned),
            ..CliError::usage(format!(
                "`--shard {shard}` makes a part, and a part says nothing of the whole"
            ))
            .kind("shard", Status::Usage)
            .hint("`toolbench run` makes shards, `toolbench merge` puts them together; then name the merged run")
        }),
    }
}

fn flags(args: &MergeArgs) -> SettingFlags {
    let mut flags = SettingFlags::default();
    for (name, value) in [("format", &args.format), ("out", &args.out)] {
        if let Some(value) = value
            && let Err(problem) =
                flags
                    .layer
                    .insert(name, vec![value.clone()], &format!("flag --{name}"))
        {
            flags.problem.get_or_insert(problem);
        }
    }
    flags
}

/// Each run that is named, and each of every folder that holds runs.
fn paths(folder: &Path, names: &[String]) -> Result<Vec<PathBuf>, CliError> {
    let mut found: Vec<PathBuf> = Vec::new();
    for name in names {
        let inside = list_runs(Path::new(name));
        let runs = if inside.is_empty() {
            vec![find_run(folder, name)?]
        } else {
            inside
        };
        for run in runs {
            let same = |known: &PathBuf| same_place(known, &run);
            if !found.iter().any(same) {
                found.push(run);
            }
        }
    }
    Ok(found)
}

/// A run that is named twice is one run.
fn same_place(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// What all shards keep, each content once, in an order of its own.
fn content(shards: &[Run]) -> Result<Vec<ContentLine>, CliError> {
    let mut all: HashMap<ContentHash, ContentLine> = HashMap::new();
    for shard in shards {
        all.extend(shard.content()?);
    }
    let mut lines: Vec<ContentLine> = all.into_values().collect();
    lines.sort_by(|one, two| one.hash.cmp(&two.hash));
    Ok(lines)
}
