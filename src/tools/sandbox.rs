//! The folder a real server works in.
//!
//! Data in: a base directory, a suite's name, files and repositories. Data out: a folder with
//! exactly these, at a path that does not change from run to run (it enters prompts). Invariants:
//! nothing outside the folder is touched; paths that would leave it are refused; files are
//! read-only unless the suite says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::repository;
use crate::types::Suite;
use crate::types::server::{Repository, path_problem};

/// How the sandbox's path is written in a suite.
pub const PLACEHOLDER: &str = "{sandbox}";

/// A sandbox's place and content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sandbox {
    path: PathBuf,
    files: BTreeMap<String, String>,
    is_writable: bool,
    repositories: BTreeMap<String, Repository>,
    git: PathBuf,
}

/// A sandbox that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A file's path is absolute, empty, climbs out, or lies where only git writes.
    #[error("sandbox file `{path}` {reason}")]
    Path {
        /// The path as written.
        path: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The suite's name is no folder name.
    #[error("suite name `{0}` is no folder name")]
    Name(String),
    /// A repository could not be made.
    #[error("sandbox {}: {reason}", path.display())]
    Repository {
        /// Where.
        path: PathBuf,
        /// What git says.
        reason: String,
    },
    /// Another process works in it.
    #[error(
        "sandbox {} is in use by another toolbench; wait until that ends, or set TOOLBENCH_SANDBOX to another folder",
        path.display()
    )]
    InUse {
        /// Where.
        path: PathBuf,
    },
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
    /// The sandbox of a suite, at `<base>/sandbox/<suite>`, with read-only files. Nothing is
    /// written yet. `base` should be absolute: a relative one is taken from the working directory.
    pub fn new(
        base: &Path,
        suite: &str,
        files: &BTreeMap<String, String>,
    ) -> Result<Self, SandboxError> {
        if path_problem(suite).is_some() || Path::new(suite).components().count() != 1 {
            return Err(SandboxError::Name(suite.to_owned()));
        }
        check_paths(files.keys())?;
        let path = base.join("sandbox").join(suite);
        let path =
            std::path::absolute(&path).map_err(|source| SandboxError::Io { path, source })?;
        Ok(Self {
            path,
            files: files.clone(),
            ..Self::default()
        })
    }

    /// The same with files that may be changed.
    #[must_use]
    pub fn writable(self, is_writable: bool) -> Self {
        Self {
            is_writable,
            ..self
        }
    }

    /// The same with repositories, made by this `git`.
    pub fn with_repositories(
        self,
        git: &Path,
        repositories: &BTreeMap<String, Repository>,
    ) -> Result<Self, SandboxError> {
        check_paths(repositories.keys())?;
        for repository in repositories.values() {
            let commits = repository.commits.iter().map(|commit| &commit.files);
            let changed = commits.chain([&repository.staged, &repository.unstaged]);
            check_paths(changed.flat_map(BTreeMap::keys))?;
        }
        Ok(Self {
            git: git.to_owned(),
            repositories: repositories.clone(),
            ..self
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether what is in it may change while a server runs.
    pub(super) fn may_change(&self) -> bool {
        self.is_writable || !self.repositories.is_empty()
    }

    /// Writes every file anew and removes whatever else is there.
    pub fn build(&self) -> Result<(), SandboxError> {
        if fs::symlink_metadata(&self.path).is_ok() {
            empty(&self.path).map_err(|error| failed(&self.path, error))?;
        }
        fs::create_dir_all(&self.path).map_err(|error| failed(&self.path, error))?;
        for (name, content) in &self.files {
            let file = self.path.join(name);
            write_file(&file, content, self.is_writable).map_err(|error| failed(&file, error))?;
        }
        for (name, repository) in &self.repositories {
            let path = self.path.join(name);
            repository::build(&self.git, &path, repository)
                .map_err(|reason| SandboxError::Repository { path, reason })?;
        }
        Ok(())
    }

    /// Whether the folder holds exactly the files, each with its content, and no other folder.
    pub(super) fn is_as_built(&self) -> bool {
        let mut wanted: BTreeMap<PathBuf, Option<String>> = BTreeMap::new();
        for (name, content) in &self.files {
            let path = Path::new(name);
            wanted.insert(path.to_owned(), Some(content.clone()));
            for folder in path.ancestors().skip(1) {
                wanted.insert(folder.to_owned(), None);
            }
        }
        wanted.remove(Path::new(""));
        let mut found = BTreeMap::new();
        read_all(&self.path, &self.path, &mut found).is_ok() && found == wanted
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> SandboxError {
    SandboxError::Io {
        path: path.to_owned(),
        source,
    }
}

fn check_paths<'a>(paths: impl Iterator<Item = &'a String>) -> Result<(), SandboxError> {
    for path in paths {
        if let Some(reason) = path_problem(path) {
            return Err(SandboxError::Path {
                path: path.clone(),
                reason,
            });
        }
    }
    Ok(())
}

/// What is below `folder`, by its path below `root`: the text of files, nothing of folders. A link
/// is an error, as is a file that is no text.
fn read_all(
    root: &Path,
    folder: &Path,
    found: &mut BTreeMap<PathBuf, Option<String>>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = fs::symlink_metadata(&path)?;
        if kind.is_symlink() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let inside = path.strip_prefix(root).unwrap_or(&path).to_owned();
        if kind.is_dir() {
            found.insert(inside, None);
            read_all(root, &path, found)?;
        } else {
            found.insert(inside, Some(fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn write_file(file: &Path, content: &str, is_writable: bool) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)?;
    if is_writable {
        return Ok(());
    }
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
        assert!(!sandbox.is_as_built());
        sandbox.build().unwrap();
        assert!(sandbox.is_as_built());
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
    fn writable_files_and_repositories_are_laid_out() {
        let base = tempfile::tempdir().unwrap();
        let repositories = serde_json::from_value(serde_json::json!({"shop": {"commits": [
            {"message": "Start", "files": {"list.txt": "one"}}]}}))
        .unwrap();
        let git = which::which("git").unwrap();
        let sandbox = Sandbox::new(base.path(), "mixed", &files(&[("a.txt", "one")]))
            .unwrap()
            .writable(true)
            .with_repositories(&git, &repositories)
            .unwrap();
        sandbox.build().unwrap();
        let file = sandbox.path().join("a.txt");
        assert!(!fs::metadata(&file).unwrap().permissions().readonly());
        fs::write(&file, "changed").unwrap();
        fs::write(sandbox.path().join("shop/list.txt"), "changed").unwrap();
        // Objects of git are read-only files; the next trial starts anew all the same.
        sandbox.build().unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert_eq!(
            fs::read_to_string(sandbox.path().join("shop/list.txt")).unwrap(),
            "one"
        );
        assert!(sandbox.path().join("shop/.git/HEAD").is_file());
    }

    #[test]
    fn nothing_leaves_the_folder() {
        let base = Path::new("/nowhere");
        for name in ["../a", "/etc/passwd", "a/../../b", "", ".git"] {
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
            "server": {"npm": "x@1", "entry": "i.js", "arguments": ["{sandbox}"], "environment": {"AT": "{sandbox}/m"}},
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
