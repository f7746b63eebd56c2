//! `toolbench grammar conformance`: the public JSON Schema test suite, measured.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::super::{App, CliError, Status, print, print_json};
use crate::cli::args::{ConformanceArgs, ConformanceFormat};
use crate::conformance::suite::{Counts, DRAFTS, Effort, Group, Measured, measure};
use crate::conformance::{ByteTable, table};
use crate::types::names::did_you_mean;

/// One file of the suite.
struct SuiteFile {
    draft: &'static str,
    keyword: String,
    path: PathBuf,
}

/// Runs the command.
pub(super) fn conformance(app: &App, args: &ConformanceArgs) -> Result<Status, CliError> {
    let files = select(args)?;
    let table = ByteTable::new().map_err(CliError::usage)?;
    let effort = Effort {
        walks: args.walks,
        seed: args.seed,
    };
    let mut measured: Vec<Measured> = Vec::new();
    for file in &files {
        let groups = read(&file.path)?;
        measured.push(measure(&table, file.draft, &file.keyword, &groups, effort));
    }
    app.ui
        .say(&format!("{} files of the suite measured", files.len()));
    match args.format {
        ConformanceFormat::Text => print(&table::text(&measured))?,
        ConformanceFormat::Json => print_json(&measured)?,
        ConformanceFormat::Counts => print_json(&by_draft(&measured))?,
    }
    Ok(Status::Complete)
}

fn by_draft(measured: &[Measured]) -> BTreeMap<&str, BTreeMap<&str, &Counts>> {
    let mut out: BTreeMap<&str, BTreeMap<&str, &Counts>> = BTreeMap::new();
    for file in measured {
        out.entry(&file.draft)
            .or_default()
            .insert(&file.keyword, &file.counts);
    }
    out
}

fn select(args: &ConformanceArgs) -> Result<Vec<SuiteFile>, CliError> {
    for draft in &args.draft {
        if !DRAFTS.iter().any(|(known, _)| known == draft) {
            let names = DRAFTS.map(|(known, _)| known);
            let near = did_you_mean(draft, names);
            return Err(CliError::usage(format!("unknown draft `{draft}`"))
                .hint(near.unwrap_or_else(|| format!("the drafts are {}", names.join(", ")))));
        }
    }
    let root = ["tests", "json/tests", "."]
        .map(|inside| args.suite.join(inside))
        .into_iter()
        .find(|folder| folder.join(DRAFTS[4].0).is_dir())
        .ok_or_else(|| {
            CliError::usage(format!(
                "{} holds no JSON Schema test suite (no folder tests/{})",
                args.suite.display(),
                DRAFTS[4].0
            ))
            .hint("`pip download --no-deps --no-binary :all: jsonschema==4.26.0`, unpack it, and name its folder `json`")
        })?;
    let mut files = Vec::new();
    for (draft, _) in DRAFTS {
        if !args.draft.is_empty() && !args.draft.iter().any(|name| name == draft) {
            continue;
        }
        let folder = root.join(draft);
        list(&folder, draft, "", args.required_only, &mut files)?;
    }
    if !args.keyword.is_empty() {
        let known: Vec<String> = files.iter().map(|file| file.keyword.clone()).collect();
        files.retain(|file| args.keyword.contains(&file.keyword));
        if let Some(unknown) = args.keyword.iter().find(|name| !known.contains(name)) {
            let near = did_you_mean(unknown, known.iter().map(String::as_str));
            return Err(
                CliError::usage(format!("the suite has no file `{unknown}`")).hint(
                    near.unwrap_or_else(|| "a keyword is a file's name without `.json`".to_owned()),
                ),
            );
        }
    }
    Ok(files)
}

fn list(
    folder: &Path,
    draft: &'static str,
    prefix: &str,
    required_only: bool,
    files: &mut Vec<SuiteFile>,
) -> Result<(), CliError> {
    let unreadable = |error: std::io::Error| {
        CliError::usage(format!("cannot read {}: {error}", folder.display()))
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .map_err(unreadable)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    // Files before folders, each by name.
    paths.sort_by_key(|path| (path.is_dir(), path.clone()));
    for path in paths {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("{prefix}{stem}");
        if path.is_dir() {
            if !required_only {
                list(&path, draft, &format!("{name}/"), required_only, files)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "json") {
            files.push(SuiteFile {
                draft,
                keyword: name,
                path,
            });
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Group>, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| {
        CliError::usage(format!(
            "{}: not a file of the suite: {error}",
            path.display()
        ))
    })
}
