//! Finding and reading suite files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::check::{Problem, check};
use super::positions::{Positions, Step};
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

    /// Like [`Self::load`], also when prompts are still to be written.
    pub fn load_draft(&self, name: &str) -> Result<Vec<Suite>, LoadError> {
        let (label, text) = self.text(name)?;
        let (suite, problems) = read_text(&label, &text)?;
        if suite.include.is_empty() && problems.iter().all(|problem| problem.unwritten) {
            return Ok(vec![suite]);
        }
        self.load(name)
    }

    /// A suite as written: a pinned set with its `include`.
    pub fn written(&self, name: &str) -> Result<Suite, LoadError> {
        self.read(name)
    }

    /// The user's own file of that name or path; `None` when it is the binary's or nobody's.
    pub fn file(&self, name: &str) -> Option<PathBuf> {
        candidates(self.folder.as_deref(), name)
            .into_iter()
            .find(|path| path.exists())
    }

    /// `file:line:column` of a mistake that was found after loading, from what its message names:
    /// `mock.rules[3]….reply`, a case, an example, an agent.
    pub fn place_of(&self, name: &str, message: &str) -> Option<String> {
        let (label, text) = self.text(name).ok()?;
        let positions = Positions::of(&text);
        let quoted = |what: &str| message.split_once(what)?.1.split('`').next();
        let (line, column) = if let Some(path) = path_in(message) {
            positions.at(&path)
        } else if let Some(case) = quoted(": case `") {
            let tool = message
                .split_once("`: inputSchema")
                .and_then(|(before, _)| before.rsplit('`').next());
            positions.find(&[case, tool.unwrap_or_default()])
        } else if let Some(example) = quoted(": example `") {
            positions.find(&["examples:", example])
        } else if quoted(": the agent `").is_some() {
            positions
                .find(&["self_test:"])
                .or_else(|| positions.find(&["cases:"]))
        } else {
            None
        }?;
        Some(format!("{label}:{line}:{column}"))
    }

    /// A message with the place below it, where that is known.
    pub fn with_place(&self, name: &str, message: &str) -> String {
        match self.place_of(name, message) {
            Some(place) => format!("{message}\n  {place}"),
            None => message.to_owned(),
        }
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
        let candidates = candidates(self.folder.as_deref(), name);
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

/// Files that a name may mean: itself when it is a path, else one in the user's folder if it exists.
fn candidates(folder: Option<&Path>, name: &str) -> Vec<PathBuf> {
    let path = Path::new(name);
    let is_path = path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|known| extension == *known)
    });
    if is_path {
        vec![path.to_path_buf()]
    } else {
        folder
            .iter()
            .map(|folder| folder.join(format!("{name}.yaml")))
            .filter(|path| path.exists())
            .collect()
    }
}

/// The path that a message of the mock names: ``mock.rules[3] (tool `x`).reply[0]``.
fn path_in(message: &str) -> Option<Vec<Step>> {
    let start = message.find("mock.rules[")?;
    let mut path = Vec::new();
    let mut rest = &message[start..];
    loop {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
        if end > 0 {
            path.push(rest[..end].into());
        }
        rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('[') {
            let (index, after) = after.split_once(']')?;
            path.push(index.parse::<usize>().ok()?.into());
            rest = after;
        }
        if let Some(after) = rest.strip_prefix(" (") {
            rest = after.split_once(')')?.1;
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.starts_with('[') => {}
            None => return Some(path),
        }
    }
}

fn yaml_stem(path: &Path) -> Option<String> {
    (path.extension()? == "yaml").then(|| path.file_stem()?.to_str().map(str::to_owned))?
}

/// Reads and checks a suite's text; JSON is YAML here.
pub(super) fn parse(label: &str, text: &str) -> Result<Suite, LoadError> {
    let (suite, problems) = read_text(label, text)?;
    if problems.is_empty() {
        Ok(suite)
    } else {
        Err(LoadError::Invalid { problems })
    }
}

/// Reads a suite's text and lists what is wrong or unwritten in it; an error when it is no suite
/// at all. `label` names it in messages.
pub fn read_text(label: &str, text: &str) -> Result<(Suite, Vec<Problem>), LoadError> {
    // JSON is read as such first: imported suites are long, and its reader is a hundred times faster.
    let quick = Path::new(label)
        .extension()
        .is_some_and(|extension| extension == "json")
        .then(|| serde_json::from_str::<Suite>(text).ok())
        .flatten();
    let suite = quick.map_or_else(|| serde_saphyr::from_str::<Suite>(text), Ok);
    let suite = suite.map_err(|error| {
        let location = error
            .location()
            .map(|at| (at.line() as usize, at.column() as usize));
        let message = with_hint(without_place(&first_line(&error.to_string())));
        LoadError::Invalid {
            problems: vec![Problem::new(label, location, message)],
        }
    })?;
    let problems = check(label, text, &suite);
    Ok((suite, problems))
}

/// The reader writes the place before the message; here it stands below, with the file.
fn without_place(message: &str) -> String {
    let rest = message
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
        .filter(|(place, _)| {
            place
                .chars()
                .all(|c| c.is_ascii_digit() || " column".contains(c))
        });
    without_picture(rest.map_or(message, |(_, rest)| rest))
}

/// A pattern that does not compile comes with a picture of it, in escaped lines; the words behind
/// it are enough.
fn without_picture(message: &str) -> String {
    let picture = message.split_once(" regex parse error:");
    match picture.and_then(|(before, after)| Some((before, after.rsplit_once("error: ")?.1))) {
        Some((before, words)) => format!("{before} {}", words.trim()),
        None => message.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_from_messages_of_the_mock() {
        let steps = |message: &str| path_in(message);
        for name in ["x", "x(y", "x.y[2]"] {
            let message =
                format!("suite `a`: mock.rules[3] (tool `{name}`).reply.items[0]: unknown name");
            let path = ["mock".into(), "rules".into(), 3.into(), "reply".into()];
            let path = path.into_iter().chain(["items".into(), 0.into()]);
            assert_eq!(steps(&message), Some(path.collect()), "{name}");
        }
        assert_eq!(
            steps("mock.rules[0] (tool `x`): there is no such tool"),
            Some(vec!["mock".into(), "rules".into(), 0.into()])
        );
        assert_eq!(steps("nothing here"), None);
    }
}
