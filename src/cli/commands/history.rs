//! `toolbench history`: success and latency over stored runs, and the cases that changed.
//!
//! Data in: a folder of runs. Data out: a listing. Invariants: runs are only read; what cannot be read
//! or is being written is named and left out.

use std::path::{Path, PathBuf};

use super::{App, CliError, Status, print, print_json, print_with};
use crate::cli::args::HistoryArgs;
use crate::cli::flags::SettingFlags;
use crate::cli::scale_args::HistoryFormat;
use crate::history::{
    Filter, History, LeftOut, Look, history as over_time, markdown, terminal, write_csv,
};
use crate::record::{Outline, State, list_runs, state};
use crate::types::did_you_mean;

/// Points of a cell that the terminal lists.
const POINTS_SHOWN: usize = 12;

/// Prints it.
pub(super) fn history(app: &App, args: &HistoryArgs) -> Result<Status, CliError> {
    let folder = folder(app, args)?;
    let (outlines, unread) = read(&folder);
    if outlines.is_empty() && unread.is_empty() {
        return Err(nothing(
            format!("no runs in {}", folder.display()),
            "`toolbench run MODEL` makes one; another folder: `toolbench history DIR`",
        ));
    }
    let filter = Filter {
        models: args.model.clone(),
        suites: args.suite.clone(),
        last: args.last.map(|last| last as usize),
    };
    check_names(&filter, &outlines)?;
    let mut history = over_time(outlines, &filter);
    history.left_out.splice(0..0, unread);
    if history.runs.is_empty() {
        let reasons: Vec<String> = history
            .left_out
            .iter()
            .map(|left| format!("{}: {}", left.run, left.reason))
            .collect();
        return Err(nothing(
            format!(
                "no run of {} can be shown\n  {}",
                folder.display(),
                reasons.join("\n  ")
            ),
            "`toolbench merge` puts shards together; `toolbench runs list` shows what is there",
        ));
    }
    show(app, args.format, &history)?;
    Ok(Status::Complete)
}

fn show(app: &App, format: HistoryFormat, history: &History) -> Result<(), CliError> {
    match format {
        HistoryFormat::Json => print_json(history),
        HistoryFormat::Csv => print_with(|out| write_csv(history, out)),
        HistoryFormat::Markdown => print(&markdown(history)),
        HistoryFormat::Terminal => {
            let look = Look {
                unicode: shows_unicode(app),
                points: POINTS_SHOWN,
            };
            print(&terminal(history, look))
        }
    }
}

fn folder(app: &App, args: &HistoryArgs) -> Result<PathBuf, CliError> {
    let Some(folder) = &args.folder else {
        let resolved = app.resolve(&SettingFlags::default())?;
        return Ok(PathBuf::from(resolved.text("out").unwrap_or("reports")));
    };
    if folder.is_dir() {
        return Ok(folder.clone());
    }
    Err(
        CliError::usage(format!("{} is no folder", folder.display()))
            .kind("record", Status::Usage)
            .hint("name the folder that holds run directories, such as `reports`"),
    )
}

/// Every run that can be read, in the order of names, several at once.
fn read(folder: &Path) -> (Vec<Outline>, Vec<LeftOut>) {
    let paths = list_runs(folder);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let each = paths.len().div_ceil(threads).max(1);
    let results: Vec<Result<Outline, LeftOut>> = std::thread::scope(|scope| {
        let parts: Vec<_> = paths
            .chunks(each)
            .map(|part| {
                scope.spawn(move || part.iter().map(|path| outline(path)).collect::<Vec<_>>())
            })
            .collect();
        // A part that panics is a fault of ours and is passed on.
        parts
            .into_iter()
            .flat_map(|part| {
                part.join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let (mut outlines, mut unread) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(outline) => outlines.push(outline),
            Err(left) => unread.push(left),
        }
    }
    (outlines, unread)
}

fn outline(path: &Path) -> Result<Outline, LeftOut> {
    let left = |reason: String| LeftOut {
        run: path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        reason,
    };
    if state(path) == State::Running {
        return Err(left("is being written".to_owned()));
    }
    Outline::open(path).map_err(|error| left(format!("cannot be read: {error}")))
}

/// A name that no run has is a mistake, not an empty history.
fn check_names(filter: &Filter, outlines: &[Outline]) -> Result<(), CliError> {
    let keys = || {
        let cells = outlines.iter().flat_map(|run| &run.header.cells);
        cells.map(|cell| &cell.key)
    };
    for (flag, wanted, known) in [
        (
            "--model",
            &filter.models,
            keys().map(|key| key.model.as_str()).collect::<Vec<_>>(),
        ),
        (
            "--suite",
            &filter.suites,
            keys().map(|key| key.suite.as_str()).collect(),
        ),
    ] {
        let mut known = known;
        known.sort_unstable();
        known.dedup();
        for name in wanted {
            if !known.contains(&name.as_str()) {
                let near = did_you_mean(name, known.iter().copied());
                return Err(nothing(
                    format!("`{flag} {name}`: no run has it"),
                    &near.unwrap_or_else(|| format!("there are {}", known.join(", "))),
                ));
            }
        }
    }
    Ok(())
}

fn nothing(message: String, hint: &str) -> CliError {
    CliError::usage(message)
        .kind("nothing_selected", Status::NothingSelected)
        .hint(hint)
}

/// Whether block characters can be shown: unless the locale says that the terminal takes something
/// else than UTF-8.
fn shows_unicode(app: &App) -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| app.env.variable(name));
    locale.is_none_or(|locale| {
        let locale = locale.to_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}
