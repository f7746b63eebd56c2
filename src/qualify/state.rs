//! What is known of stages: which run passed, and what it depended on.
//!
//! Data in: a file, or nothing. Data out: the same after a stage. Invariants: written by rename; a file
//! that cannot be read makes all stages run again and says so; a model's stages are its own.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Name and version of the file.
pub const STATE_SCHEMA: &str = "toolbench.qualify-state/1";

/// Everything that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// [`STATE_SCHEMA`].
    pub schema: String,
    /// Name of the stage file.
    pub qualify: String,
    /// Stages by model and name.
    pub models: BTreeMap<String, BTreeMap<String, Known>>,
}

/// What is known of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// How it came out.
    pub result: Outcome,
    /// Name of its run.
    pub run: String,
    /// When it was judged.
    pub judged_at: String,
    /// What it depended on, each with a hash or a value.
    pub depends: BTreeMap<String, String>,
}

/// How a stage came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It reached its floor.
    Passed,
    /// It did not.
    Missed,
    /// It could not be decided.
    Undecided,
    /// It was interrupted.
    Interrupted,
}

impl State {
    /// Nothing is known.
    pub fn new(qualify: &str) -> Self {
        Self {
            schema: STATE_SCHEMA.to_owned(),
            qualify: qualify.to_owned(),
            models: BTreeMap::new(),
        }
    }

    /// Where it is kept.
    pub fn path(folder: &Path, qualify: &str) -> PathBuf {
        folder.join("qualify").join(format!("{qualify}.json"))
    }

    /// Reads it; a missing file knows nothing. With why a file could not be read, if so.
    pub fn read(path: &Path, qualify: &str) -> (Self, Option<String>) {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return (Self::new(qualify), None);
            }
            Err(error) => return (Self::new(qualify), Some(error.to_string())),
        };
        match serde_json::from_str::<Self>(&text) {
            Ok(state) if state.schema == STATE_SCHEMA => (state, None),
            Ok(state) => {
                let why = format!("it has the form `{}`, not `{STATE_SCHEMA}`", state.schema);
                (Self::new(qualify), Some(why))
            }
            Err(error) => (Self::new(qualify), Some(error.to_string())),
        }
    }

    /// Writes it under a temporary name and renames it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        file.flush()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// What is known of a model's stage.
    pub fn of(&self, model: &str, stage: &str) -> Option<&Known> {
        self.models.get(model)?.get(stage)
    }

    /// Puts down how a stage came out.
    pub fn put(&mut self, model: &str, stage: &str, known: Known) {
        let stages = self.models.entry(model.to_owned()).or_default();
        stages.insert(stage.to_owned(), known);
    }
}

/// Why what is known no longer holds: every dependency that differs.
pub fn reasons(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for (name, value) in now {
        match then.get(name) {
            Some(old) if old == value => {}
            Some(old) if is_short(old) && is_short(value) => {
                found.push(format!("{name}: {old} then, {value} now"));
            }
            Some(_) => found.push(format!("{name} changed")),
            None => found.push(format!("{name} is new")),
        }
    }
    let gone = then.keys().filter(|name| !now.contains_key(*name));
    found.extend(gone.map(|name| format!("{name} is gone")));
    found
}

/// A value that says something to people: no hash.
fn is_short(value: &str) -> bool {
    value.len() <= 40
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn every_difference_is_a_reason() {
        let long = "0123456789012345678901234567890123456789x";
        let then = map(&[("toolbench", "0.1.0"), ("cases", long), ("gone", "1")]);
        let now = map(&[("toolbench", "0.2.0"), ("cases", "other"), ("new", "1")]);
        assert_eq!(
            reasons(&then, &now),
            [
                "cases changed",
                "new is new",
                "toolbench: 0.1.0 then, 0.2.0 now",
                "gone is gone"
            ]
        );
        assert!(reasons(&then, &then).is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_said_and_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = State::path(folder.path(), "a");
        assert_eq!(State::read(&path, "a"), (State::new("a"), None));
        let mut state = State::new("a");
        let known = Known {
            result: Outcome::Passed,
            run: "r".to_owned(),
            judged_at: "t".to_owned(),
            depends: map(&[("x", "1")]),
        };
        state.put("m", "s", known.clone());
        state.write(&path).unwrap();
        let (read, why) = State::read(&path, "a");
        assert_eq!((read.of("m", "s"), why), (Some(&known), None));
        assert_eq!(read.of("m", "t"), None);
        for text in [
            "{",
            "{\"schema\": \"x/9\", \"qualify\": \"a\", \"models\": {}}",
        ] {
            std::fs::write(&path, text).unwrap();
            let (read, why) = State::read(&path, "a");
            assert_eq!(read, State::new("a"));
            assert!(why.is_some(), "{text}");
        }
    }
}
