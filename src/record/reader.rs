//! A run directory back to values.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::files;
use super::format::{ContentLine, EndingLine, Execution, Header, RECORD_VERSION};
use crate::types::{ContentHash, EarlyEnd, TrialRecord};

/// A run could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such run.
    #[error("no run `{name}` in {folder}")]
    NotFound {
        /// As given.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// Several runs begin so.
    #[error("several runs in {folder} begin with `{name}`: {}", candidates.join(", "))]
    Ambiguous {
        /// As given.
        name: String,
        /// Where it was looked for.
        folder: PathBuf,
        /// Their names, oldest first.
        candidates: Vec<String>,
    },
    /// Written by a later version.
    #[error(
        "{path} was written in record format {found:?}; this toolbench reads up to {}.x (use toolbench {writer})",
        RECORD_VERSION.0
    )]
    TooNew {
        /// The header.
        path: PathBuf,
        /// Its version.
        found: (u32, u32),
        /// Version of the toolbench that wrote it.
        writer: String,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A whole line is not what it should be.
    #[error("{path}:{line}: not a record line: {source}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// A run as read.
#[derive(Clone, Debug)]
pub struct Run {
    /// Its directory.
    pub directory: PathBuf,
    /// The header.
    pub header: Header,
    /// Trials in the order written; of several lines with one id the last counts.
    pub trials: Vec<TrialRecord>,
    /// Starts and resumes.
    pub executions: Vec<Execution>,
    /// Where limits ended the run or a cell, in any execution.
    pub endings: Vec<EndingLine>,
    /// A half line was found at the end of a file and left out.
    pub truncated: bool,
}

impl Run {
    /// Reads everything but the content.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let path = directory.join(files::HEADER);
        let text = read_text(&path)?;
        check_version(&path, &text)?;
        let header = serde_json::from_str(&text).map_err(|source| ReadError::Line {
            line: source.line(),
            path,
            source,
        })?;
        let (trials, cut_trials) = read_lines(&directory.join(files::TRIALS))?;
        let (executions, cut_executions) = read_lines(&directory.join(files::EXECUTIONS))?;
        let (endings, cut_endings) = read_lines(&directory.join(files::ENDINGS))?;
        Ok(Self {
            directory: directory.to_path_buf(),
            header,
            trials,
            executions,
            endings,
            truncated: cut_trials || cut_executions || cut_endings,
        })
    }

    /// Content by hash.
    pub fn content(&self) -> Result<HashMap<ContentHash, ContentLine>, ReadError> {
        let (lines, _) = read_lines::<ContentLine>(&self.directory.join(files::CONTENT))?;
        Ok(lines
            .into_iter()
            .map(|line| (line.hash.clone(), line))
            .collect())
    }

    /// What ended the last execution early; what ended an earlier one was gone on from.
    pub fn ended_early(&self) -> Vec<EarlyEnd> {
        let last = self.executions.len().saturating_sub(1);
        self.endings
            .iter()
            .filter(|line| line.execution == last)
            .map(|line| line.end.clone())
            .collect()
    }

    /// Ids of trials that need not run again.
    pub fn finished(&self) -> HashSet<String> {
        let mut last: HashMap<&str, bool> = HashMap::new();
        for trial in &self.trials {
            last.insert(&trial.id, !trial.outcome.is_rerun_on_resume());
        }
        last.into_iter()
            .filter(|(_, finished)| *finished)
            .map(|(id, _)| id.to_owned())
            .collect()
    }
}

/// Refuses the header of a later major version.
pub(super) fn check_version(path: &Path, text: &str) -> Result<(), ReadError> {
    #[derive(Deserialize)]
    struct Written {
        #[serde(default)]
        record_version: Value,
        #[serde(default)]
        toolbench_version: Value,
    }
    let written: Written = serde_json::from_str(text).map_err(|source| ReadError::Line {
        path: path.to_path_buf(),
        line: source.line(),
        source,
    })?;
    let found: (u32, u32) = serde_json::from_value(written.record_version).unwrap_or((0, 0));
    if found.0 > RECORD_VERSION.0 {
        return Err(ReadError::TooNew {
            path: path.to_path_buf(),
            found,
            writer: written.toolbench_version.as_str().unwrap_or("?").to_owned(),
        });
    }
    Ok(())
}

pub(super) fn read_text(path: &Path) -> Result<String, ReadError> {
    fs::read_to_string(path).map_err(|source| ReadError::Io {
        path: path.to_path_buf(),
        source,
    })
}

/// All whole lines, and whether a half one was left out. A missing file has no lines.
pub(super) fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<(Vec<T>, bool), ReadError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => {
            return Err(ReadError::Io {
                path: path.to_path_buf(),
                source,
            });
        }
    };
    let mut values = Vec::new();
    let mut truncated = false;
    for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let whole = line.ends_with(b"\n");
        match serde_json::from_slice(line) {
            Ok(value) if whole => values.push(value),
            _ if !whole => truncated = true,
            Err(source) => {
                return Err(ReadError::Line {
                    path: path.to_path_buf(),
                    line: index + 1,
                    source,
                });
            }
            Ok(_) => {}
        }
    }
    Ok((values, truncated))
}

/// The directory of a run named by path, by name, by a unique beginning, or as `latest`.
pub fn find_run(folder: &Path, name: &str) -> Result<PathBuf, ReadError> {
    let direct = Path::new(name);
    if direct.join(files::HEADER).exists() {
        return Ok(direct.to_path_buf());
    }
    let runs = list_runs(folder);
    let not_found = || ReadError::NotFound {
        name: name.to_owned(),
        folder: folder.to_path_buf(),
    };
    if name == "latest" {
        return runs.last().cloned().ok_or_else(not_found);
    }
    let name_of = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default();
        file.to_string_lossy().into_owned()
    };
    if let Some(exact) = runs.iter().find(|path| name_of(path) == name) {
        return Ok(exact.clone());
    }
    let hits: Vec<&PathBuf> = runs
        .iter()
        .filter(|path| name_of(path).starts_with(name))
        .collect();
    match hits.as_slice() {
        [] => Err(not_found()),
        [hit] => Ok((*hit).clone()),
        several => Err(ReadError::Ambiguous {
            name: name.to_owned(),
            folder: folder.to_path_buf(),
            candidates: several.iter().map(|path| name_of(path)).collect(),
        }),
    }
}

/// Characters of a run's name that say when: `20261120-193542`.
const STAMP: usize = 15;

/// Run directories of a folder, oldest first: by the second in their names, then by when the file system
/// says that their headers were written, because two runs may begin in one second.
pub fn list_runs(folder: &Path) -> Vec<PathBuf> {
    let mut runs: Vec<PathBuf> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.join(files::HEADER).exists())
        .collect();
    runs.sort_by_cached_key(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let stamp: String = name.chars().take(STAMP).collect();
        let header = fs::metadata(path.join(files::HEADER));
        let written = header.and_then(|found| found.modified()).ok();
        (stamp, written, path.clone())
    });
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_name_is_found_beside_a_longer_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["20260101-aa", "20260101-aa-2", "20260102-bb"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            fs::write(folder.path().join(name).join(files::HEADER), "{}").unwrap();
        }
        let find = |name: &str| find_run(folder.path(), name);
        let ends = |path: PathBuf, name: &str| path.file_name().unwrap() == name;
        assert!(ends(find("20260101-aa").unwrap(), "20260101-aa"));
        assert!(ends(find("20260102").unwrap(), "20260102-bb"));
        assert!(ends(find("latest").unwrap(), "20260102-bb"));
        let several = find("20260101").unwrap_err().to_string();
        assert!(
            several.contains("begin with `20260101`: 20260101-aa, 20260101-aa-2"),
            "{several}"
        );
        assert!(matches!(find("x"), Err(ReadError::NotFound { .. })));
    }

    #[test]
    fn of_two_runs_of_one_second_the_later_one_is_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let written = std::time::SystemTime::UNIX_EPOCH;
        for (name, seconds) in [
            ("20260101-101010-bb", 1),
            ("20260101-101010-aa", 2),
            ("20260101-101009-cc", 3),
        ] {
            let run = folder.path().join(name);
            fs::create_dir(&run).unwrap();
            let header = fs::File::create(run.join(files::HEADER)).unwrap();
            let later = written + std::time::Duration::from_secs(seconds);
            header.set_modified(later).unwrap();
        }
        let latest = find_run(folder.path(), "latest").unwrap();
        assert_eq!(latest.file_name().unwrap(), "20260101-101010-aa");
    }
}
