//! The folder a real server works in.
//!
//! Data in: a base directory, a suite's name and files. Data out: a folder with exactly these
//! files, at a path that does not change from run to run (it enters prompts). Invariants: nothing
//! outside the folder is touched; paths that would leave it are refused; files are read-only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use crate::types::Suite;

/// How the sandbox's path is written in a suite.
pub const PLACEHOLDER: &str = "{sandbox}";

/// A sandbox's place and content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    path: PathBuf,
    files: BTreeMap<String, String>,
}

/// A sandbox that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file's path is absolute, empty or climbs out.
    #[error("sandbox file `{0}`: the path must be relative and stay inside the sandbox")]
    Outside(String),
    /// The suite's name is no folder name.
    #[error("suite name `{0}` is no folder name")]
    Name(String),
    /// The file system refused.
    #[error("sandbox {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Sandbox {
    /// The sandbox of a suite, at `<base>/sandbox/<suite>`. Nothing is written yet. `base` should
    /// be absolute: a relative one is taken from the working directory.
    pub fn new(
        base: &Path,
        suite: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<Self, SandboxError> {
        if !is_inside(suite) || Path::new(suite).components().count() != 1 {
            return Err(SandboxError::Name(suite.to_owned()));
        }
        if let Some(outside) = files.keys().find(|file| !is_inside(file)) {
            return Err(SandboxError::Outside(outside.clone()));
        }
        let path = base.join("sandbox").join(suite);
        let path =
            std::path::absolute(&path).map_err(|source| SandboxError::Io { path, source })?;
        Ok(Self {
            path,
            files: files.clone(),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes every file anew and removes whatever else is there.
    pub fn build(&self) -> Result<(), SandboxError> {
        let failed = |path: &Path, source: io::Error| SandboxError::Io {
            path: path.to_owned(),
            source,
        };
        if fs::symlink_metadata(&self.path).is_ok() {
            empty(&self.path).map_err(|error| failed(&self.path, error))?;
        }
        fs::create_dir_all(&self.path).map_err(|error| failed(&self.path, error))?;
        for (name, content) in &self.files {
            let file = self.path.join(name);
            write_file(&file, content).map_err(|error| failed(&file, error))?;
        }
        Ok(())
    }
}

fn is_inside(name: &str) -> bool {
    !name.is_empty()
        && Path::new(name)
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

fn write_file(file: &Path, content: &str) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)?;
    let mut permissions = fs::metadata(file)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(file, permissions)
}

/// Empties a folder; links are removed, never followed.
fn empty(path: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(path)?.is_dir() {
        return fs::remove_file(path);
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if fs::symlink_metadata(&entry)?.is_dir() {
            empty(&entry)?;
            fs::remove_dir(&entry)?;
        } else {
            remove_read_only(&entry)?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn remove_read_only(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}

/// Windows removes no read-only file.
#[cfg(not(unix))]
fn remove_read_only(path: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(path)?.permissions();
    #[expect(clippy::permissions_set_readonly_false, reason = "not on Unix")]
    permissions.set_readonly(false);
    fs::set_permissions(path, permissions)?;
    fs::remove_file(path)
}

/// The suite with [`PLACEHOLDER`] replaced by the sandbox's path in every text: messages,
/// expectations, examples, arguments of the server.
pub fn with_sandbox_path(suite: &Suite, sandbox: &Path) -> Result<Suite, serde_json::Error> {
    let mut value = serde_json::to_value(suite)?;
    substitute(&mut value, &sandbox.to_string_lossy());
    serde_json::from_value(value)
}

fn substitute(value: &mut Value, path: &str) {
    match value {
        Value::String(text) if text.contains(PLACEHOLDER) => {
            *text = text.replace(PLACEHOLDER, path);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, path)),
        Value::Object(map) => map.values_mut().for_each(|field| substitute(field, path)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn the_folder_holds_exactly_the_files() {
        let base = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(
            base.path(),
            "fs",
            &files(&[("a.txt", "one"), ("b/c.txt", "two")]),
        )
        .unwrap();
        assert_eq!(sandbox.path(), base.path().join("sandbox/fs"));
        sandbox.build().unwrap();
        let outside = base.path().join("outside.txt");
        fs::write(&outside, "kept").unwrap();
        fs::create_dir_all(sandbox.path().join("extra/deep")).unwrap();
        fs::write(sandbox.path().join("extra/deep/file"), "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(base.path(), sandbox.path().join("link")).unwrap();
        sandbox.build().unwrap();
        assert_eq!(
            fs::read_to_string(sandbox.path().join("b/c.txt")).unwrap(),
            "two"
        );
        assert!(
            fs::metadata(sandbox.path().join("a.txt"))
                .unwrap()
                .permissions()
                .readonly()
        );
        assert_eq!(fs::read_dir(sandbox.path()).unwrap().count(), 2);
        assert_eq!(fs::read_to_string(outside).unwrap(), "kept");
    }

    #[test]
    fn nothing_leaves_the_folder() {
        let base = Path::new("/nowhere");
        for name in ["../a", "/etc/passwd", "a/../../b", ""] {
            assert!(
                Sandbox::new(base, "fs", &files(&[(name, "")])).is_err(),
                "{name}"
            );
            assert!(Sandbox::new(base, name, &files(&[])).is_err(), "{name}");
        }
    }

    #[test]
    fn the_path_enters_every_text() {
        let suite: Suite = serde_json::from_value(serde_json::json!({
            "suite": "fs",
            "server": {"npm": "x@1", "entry": "i.js", "arguments": ["{sandbox}"], "allow": [], "files": {}},
            "cases": [{"id": "a", "user": "read {sandbox}/a", "expect": {"calls": [
                {"tool": "read", "arguments": {"path": {"any_of": ["{sandbox}/a", "a"]}}}]}}]
        }))
        .unwrap();
        let resolved = with_sandbox_path(&suite, Path::new("/tmp/s")).unwrap();
        let text = serde_json::to_string(&resolved).unwrap();
        assert!(!text.contains(PLACEHOLDER));
        assert_eq!(resolved.cases[0].user.as_deref(), Some("read /tmp/s/a"));
    }
}
