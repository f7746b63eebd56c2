//! `toolbench import`: other people's benchmarks as suites of ours.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{App, CliError, Status};
use crate::cli::score_args::{ImportBfcl, ImportCommand, ImportNames};
use crate::score::import::{
    Category, ImportError, Names, category_names, import as read, question_file, select, suite,
    to_json,
};
use crate::types::did_you_mean;

const WHERE: &str = "the folder is `bfcl_eval/data` of the Python package `bfcl-eval`; the folder above it does too";

/// Runs an import.
pub(super) fn import(app: &App, command: &ImportCommand) -> Result<Status, CliError> {
    match command {
        ImportCommand::Bfcl(args) => bfcl(app, args),
    }
}

fn bfcl(app: &App, args: &ImportBfcl) -> Result<Status, CliError> {
    let folder = data_folder(&args.from)?;
    let selection = select(&args.category).map_err(|unknown| {
        CliError::usage(format!("unknown category `{unknown}`")).hint(
            did_you_mean(&unknown, category_names()).unwrap_or_else(|| {
                format!(
                    "the names are {}",
                    category_names().collect::<Vec<_>>().join(", ")
                )
            }),
        )
    })?;
    let names = match args.names {
        ImportNames::Dotted => Names::Dotted,
        ImportNames::Underscored => Names::Underscored,
    };
    let (mut cases, mut imported) = (Vec::new(), Vec::new());
    for category in &selection.chosen {
        let Some((questions, answers)) = texts(&folder, *category, !args.category.is_empty())?
        else {
            app.ui.say(&format!(
                "note: {} is not there, so category {} is left out",
                question_file(category.name),
                category.name
            ));
            continue;
        };
        let found = read(category.name, &questions, answers.as_deref(), names)?;
        for warning in &found.warnings {
            app.ui.say(&format!("warning: {warning}"));
        }
        imported.push(category.name.to_owned());
        cases.extend(found.cases);
    }
    for (name, reason) in &selection.refused {
        app.ui.say(&format!("not imported: {name}: {reason}"));
    }
    if cases.is_empty() {
        return Err(
            CliError::usage("nothing was imported: no category with cases is left")
                .kind("nothing_selected", Status::NothingSelected)
                .hint("without `--category` everything that can be imported is"),
        );
    }
    let count = cases.len();
    let text = to_json(&suite(&imported, cases)).map_err(|error| {
        CliError::usage(format!("the suite cannot be written as JSON: {error}"))
    })?;
    super::score::write_whole(&args.out, text.as_bytes())?;
    app.ui.say(&format!(
        "wrote {}: {count} cases of {} categories",
        args.out.display(),
        imported.len()
    ));
    Ok(Status::Complete)
}

/// The folder of the data: the one named, or the usual place below it.
fn data_folder(named: &Path) -> Result<PathBuf, CliError> {
    let candidates = [
        named.to_path_buf(),
        named.join("data"),
        named.join("bfcl_eval").join("data"),
    ];
    let holds_data = |folder: &PathBuf| {
        std::fs::read_dir(folder).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                let name = entry.file_name();
                let name = name.to_string_lossy();
                name.starts_with("BFCL_v") && name.ends_with(".json")
            })
        })
    };
    candidates.into_iter().find(holds_data).ok_or_else(|| {
        CliError::usage(format!(
            "no data of the leaderboard (BFCL_v4_*.json) in {}",
            named.display()
        ))
        .hint(WHERE)
    })
}

/// Questions and answers of a category; `None` when it is not there and was not asked for by name.
fn texts(
    folder: &Path,
    category: Category,
    is_asked_for: bool,
) -> Result<Option<(String, Option<String>)>, CliError> {
    let name = question_file(category.name);
    let read = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| (error.kind(), unreadable(path, &error)))
    };
    let questions = match read(&folder.join(&name)) {
        Ok(text) => text,
        Err((ErrorKind::NotFound, _)) if !is_asked_for => return Ok(None),
        Err((_, error)) => return Err(error),
    };
    if !category.has_answers {
        return Ok(Some((questions, None)));
    }
    let answers = read(&folder.join("possible_answer").join(&name)).map_err(|(_, error)| error)?;
    Ok(Some((questions, Some(answers))))
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::usage(format!("cannot read {}: {error}", path.display())).hint(WHERE)
}

impl From<ImportError> for CliError {
    fn from(error: ImportError) -> Self {
        Self::usage(error.to_string()).hint("version v4 of the data is read (bfcl-eval 2026.3.23)")
    }
}
