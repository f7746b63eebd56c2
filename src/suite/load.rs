//! Finding and reading suite files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::check::{Problem, check};
use crate::types::names::hint_for_unknown_field;
use crate::types::{Suite, did_you_mean};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/suites");

/// A suite could not be had.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No file of that name.
    #[error("unknown suite `{name}`")]
    Unknown {
        /// As given.
        name: String,
        /// Hint: near names, or all.
        hint: String,
    },
    /// The file could not be read.
    #[error("cannot read suite file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a suite.
    #[error("{}", render(problems))]
    Invalid {
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
}

fn render(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// Where suites come from: the user's folder first, then the binary.
#[derive(Clone, Debug, Default)]
pub struct Library {
    folder: Option<PathBuf>,
}

impl Library {
    /// A library over a folder that holds `NAME.yaml` files; `None` for the binary's own only.
    pub fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// All names with the place each comes from, in order.
    pub fn names(&self) -> BTreeMap<String, String> {
        let mut names: BTreeMap<String, String> = EMBEDDED
            .files()
            .filter_map(|file| yaml_stem(file.path()))
            .map(|name| (name, "built in".to_owned()))
            .collect();
        if let Some(folder) = &self.folder {
            let entries = std::fs::read_dir(folder);
            for entry in entries.into_iter().flatten().flatten() {
                if let Some(name) = yaml_stem(&entry.path()) {
                    names.insert(name, entry.path().display().to_string());
                }
            }
        }
        names.remove("distractors");
        names
    }

    /// Loads one suite by name or by path (anything that ends in `.yaml`, `.yml` or `.json`), and
    /// resolves a pinned set into the suites it includes.
    pub fn load(&self, name: &str) -> Result<Vec<Suite>, LoadError> {
        let suite = self.read(name)?;
        if suite.include.is_empty() {
            return Ok(vec![suite]);
        }
        let mut resolved = Vec::new();
        for (origin, ids) in &suite.include {
            let mut part = self.read(origin)?;
            let missing: Vec<&String> = ids
                .iter()
                .filter(|id| !part.cases.iter().any(|case| &case.id == *id))
                .collect();
            if let Some(id) = missing.first() {
                return Err(LoadError::Invalid {
                    problems: vec![Problem::new(
                        name,
                        None,
                        format!(
                            "`{name}` includes case `{id}`, which suite `{origin}` does not have"
                        ),
                    )],
                });
            }
            part.cases.retain(|case| ids.contains(&case.id));
            resolved.push(part);
        }
        Ok(resolved)
    }

    /// What a suite says of itself.
    pub fn description(&self, name: &str) -> Result<String, LoadError> {
        Ok(self.read(name)?.description)
    }

    /// The pool of distractor tools.
    pub fn distractors(&self) -> Result<Vec<crate::types::ToolDefinition>, LoadError> {
        Ok(self.read("distractors")?.tools)
    }

    fn read(&self, name: &str) -> Result<Suite, LoadError> {
        let (label, text) = self.text(name)?;
        parse(&label, &text)
    }

    /// Label and text of a suite file.
    fn text(&self, name: &str) -> Result<(String, String), LoadError> {
        let path = Path::new(name);
        let is_path = path.extension().is_some_and(|extension| {
            ["yaml", "yml", "json"]
                .iter()
                .any(|known| extension == *known)
        });
        let candidates = if is_path {
            vec![path.to_path_buf()]
        } else {
            self.folder
                .iter()
                .map(|folder| folder.join(format!("{name}.yaml")))
                .filter(|path| path.exists())
                .collect()
        };
        if let Some(path) = candidates.first() {
            let text = std::fs::read_to_string(path).map_err(|source| LoadError::Read {
                path: path.clone(),
                source,
            })?;
            return Ok((path.display().to_string(), text));
        }
        if let Some(file) = EMBEDDED.get_file(format!("{name}.yaml")) {
            let text = file.contents_utf8().unwrap_or_default().to_owned();
            return Ok((format!("suites/{name}.yaml (built in)"), text));
        }
        let names = self.names();
        let hint = did_you_mean(name, names.keys().map(String::as_str)).unwrap_or_else(|| {
            format!(
                "the suites are {}",
                names.keys().cloned().collect::<Vec<_>>().join(", ")
            )
        });
        Err(LoadError::Unknown {
            name: name.to_owned(),
            hint,
        })
    }
}

fn yaml_stem(path: &Path) -> Option<String> {
    (path.extension()? == "yaml").then(|| path.file_stem()?.to_str().map(str::to_owned))?
}

/// Reads and checks a suite's text; JSON is YAML here.
pub(super) fn parse(label: &str, text: &str) -> Result<Suite, LoadError> {
    let invalid = |problems| LoadError::Invalid { problems };
    let suite: Suite = serde_saphyr::from_str(text).map_err(|error| {
        let location = error
            .location()
            .map(|at| (at.line() as usize, at.column() as usize));
        invalid(vec![Problem::new(
            label,
            location,
            with_hint(first_line(&error.to_string())),
        )])
    })?;
    let problems = check(label, text, &suite);
    if problems.is_empty() {
        Ok(suite)
    } else {
        Err(invalid(problems))
    }
}

fn with_hint(message: String) -> String {
    match hint_for_unknown_field(&message) {
        Some(hint) => format!("{message}; {hint}"),
        None => message,
    }
}

fn first_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("not valid YAML")
        .trim_start_matches("error: ")
        .to_owned()
}
