//! What a run is compared with: a saved baseline, a file, another run.
//!
//! Data in: a name, the folder of runs. Data out: the snapshot with its times and what stands in its
//! way. Invariants: a name that means two things is a mistake; the folder of baselines is `baselines`
//! in the folder of runs.

use std::path::{Path, PathBuf};

use super::super::{CliError, Status};
use super::advice::same_folder;
use crate::gate::baseline::{self, BaselineError, Times};
use crate::gate::{Against, DEFAULT_NAME, Measured, Snapshot, Texts};
use crate::record::{Run, find_run};
use crate::types::did_you_mean;

/// Ending of a baseline's file.
const ENDING: &str = ".jsonl";
/// Ending of the file of its times.
const LATENCY_ENDING: &str = ".latency.jsonl";

/// A side to compare with.
pub(in crate::cli) struct Side {
    pub(in crate::cli) name: String,
    pub(in crate::cli) path: PathBuf,
    pub(in crate::cli) is_file: bool,
    pub(in crate::cli) snapshot: Snapshot,
    pub(in crate::cli) times: Option<Times>,
    no_times: Option<String>,
    trouble: Vec<String>,
    /// What a run is made of; a baseline's file keeps hashes alone.
    texts: Option<Texts>,
}

impl Side {
    /// As the gate takes it; `shown` is its path as text, `texts` are those of the run.
    pub(super) fn against<'a>(
        &'a self,
        shown: &'a str,
        replace: Option<&'a str>,
        texts: &'a Texts,
    ) -> Against<'a> {
        Against {
            name: &self.name,
            path: shown,
            is_file: self.is_file,
            snapshot: &self.snapshot,
            times: self.times.as_ref(),
            no_times: self.no_times.as_deref(),
            trouble: &self.trouble,
            replace,
            texts: self.texts.as_ref().map(|own| (own, texts)),
        }
    }
}

/// Folder of baselines.
pub(in crate::cli) fn folder(out: &Path) -> PathBuf {
    out.join("baselines")
}

/// The file of a baseline; refuses names that are none.
pub(in crate::cli) fn file(out: &Path, name: &str) -> Result<PathBuf, CliError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    let good = !name.is_empty()
        && name.chars().all(plain)
        && !name.starts_with('.')
        && !name.ends_with(".latency")
        && name != "none";
    if !good {
        return Err(
            CliError::usage(format!("`{name}` is no name of a baseline"))
                .hint("letters, digits, `-`, `_` and `.`, such as `main`"),
        );
    }
    Ok(folder(out).join(format!("{name}{ENDING}")))
}

/// The file of a baseline's times.
pub(in crate::cli) fn latency_file(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    PathBuf::from(format!(
        "{}{LATENCY_ENDING}",
        text.strip_suffix(ENDING).unwrap_or(&text)
    ))
}

/// Names of the baselines that there are.
pub(in crate::cli) fn names(out: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder(out))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !name.ends_with(LATENCY_ENDING))
        .filter_map(|name| name.strip_suffix(ENDING).map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// What the setting names; without it the baseline `main` where there is one.
pub(super) fn find(out: &Path, name: Option<&str>) -> Result<Option<Side>, CliError> {
    match name {
        None => {
            let path = file(out, DEFAULT_NAME)?;
            if path.is_file() {
                of_file(DEFAULT_NAME, &path).map(Some)
            } else {
                Ok(None)
            }
        }
        Some("none") => Ok(None),
        Some(name) => named(out, name).map(Some),
    }
}

fn named(out: &Path, name: &str) -> Result<Side, CliError> {
    let direct = Path::new(name);
    let saved = file(out, name).ok().filter(|path| path.is_file());
    let given = direct.is_file().then(|| direct.to_path_buf());
    let run = find_run(out, name).ok();
    let mut meant = Vec::new();
    meant.extend(
        saved
            .as_ref()
            .map(|path| format!("the baseline {}", path.display())),
    );
    meant.extend(
        given
            .as_ref()
            .map(|path| format!("the file {}", path.display())),
    );
    meant.extend(
        run.as_ref()
            .map(|path| format!("the run {}", path.display())),
    );
    if meant.len() > 1 {
        return Err(
            CliError::usage(format!("`{name}` may be {}", meant.join(" or ")))
                .hint("name it by its path"),
        );
    }
    if let Some(path) = saved {
        return of_file(name, &path);
    }
    if let Some(path) = given {
        // One of the baselines has a name, by whatever path it was given.
        let stem = path.file_stem().and_then(|it| it.to_str());
        let named = stem.filter(|_| same_folder(&path, &folder(out)));
        return of_file(named.unwrap_or(name), &path);
    }
    match run {
        Some(directory) => of_run(&directory),
        None => Err(missing(out, name)),
    }
}

/// No such baseline: how to make one.
fn missing(out: &Path, name: &str) -> CliError {
    let known = names(out);
    let make = if file(out, name).is_ok() {
        format!("make it from a good run: `toolbench baseline save RUN --name {name}`")
    } else {
        "make one from a good run: `toolbench baseline save RUN`".to_owned()
    };
    let near = did_you_mean(name, known.iter().map(String::as_str));
    CliError::usage(format!(
        "no baseline `{name}`: no file, no baseline in {}, no run of that name",
        folder(out).display()
    ))
    .kind("no_baseline", Status::Usage)
    .hint(near.map_or_else(|| make.clone(), |near| format!("{near} Or {make}")))
}

/// A baseline's file with its times.
pub(in crate::cli) fn of_file(name: &str, path: &Path) -> Result<Side, CliError> {
    let snapshot = read(path)?;
    let latency = latency_file(path);
    let (times, no_times) = if latency.is_file() {
        let text = text_of(&latency)?;
        let (times, of) = Times::parse(&latency.display().to_string(), &text)?;
        if of == baseline::hash(&snapshot) {
            (Some(times), None)
        } else {
            (
                None,
                Some("the baseline's times belong to another version of it"),
            )
        }
    } else {
        (
            None,
            Some("the baseline holds no times (`toolbench baseline save --with-latency`)"),
        )
    };
    Ok(Side {
        name: name.to_owned(),
        path: path.to_path_buf(),
        is_file: true,
        snapshot,
        times,
        no_times: no_times.map(str::to_owned),
        trouble: Vec::new(),
        texts: None,
    })
}

fn of_run(directory: &Path) -> Result<Side, CliError> {
    let run = Run::open(directory)?;
    let measured = Measured::of_run(&run.header, &run.trials, &run.ended_early());
    Ok(Side {
        name: run.header.run.clone(),
        path: directory.to_path_buf(),
        is_file: false,
        snapshot: Snapshot::of_run(&run.header, &run.trials),
        times: Some(Times::of_run(&run.header, &run.trials)),
        no_times: None,
        trouble: measured.all_trouble(),
        texts: Some(Texts::of(&run.header)),
    })
}

fn text_of(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {}: {error}", path.display()))
            .kind("baseline", Status::Usage)
    })
}

/// Reads a baseline's file.
pub(in crate::cli) fn read(path: &Path) -> Result<Snapshot, CliError> {
    Ok(baseline::parse(
        &path.display().to_string(),
        &text_of(path)?,
    )?)
}

impl From<BaselineError> for CliError {
    fn from(error: BaselineError) -> Self {
        Self::usage(error.to_string())
            .kind("baseline", Status::Usage)
            .hint("a baseline is written by `toolbench baseline save RUN`")
    }
}
