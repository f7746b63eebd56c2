//! The real tool server of a suite, as people write it.
//!
//! Data in: the `server` part of a suite file. Data out: which package to run, how, and in what
//! sandbox. Invariants: everything is data; nothing here names a command to run besides the
//! package itself, and no variable that would make another program run.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::{Deserialize, Serialize};

/// A real MCP server over stdio, run in a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The npm package that `suite install` installs, `name@version`, run with Node. Either this
    /// or `pip`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub npm: Option<String>,
    /// The PyPI package that `suite install` installs into a virtual environment of its own,
    /// `name@version`. Either this or `npm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pip: Option<String>,
    /// What to run: for `npm` a file relative to the package's folder, for `pip` a module
    /// (`python -m ENTRY`).
    pub entry: String,
    /// Arguments; `{sandbox}` is the sandbox's path.
    pub arguments: Vec<String>,
    /// Variables of the server's otherwise almost empty environment; `{sandbox}` as above. Names
    /// that make interpreters or linkers load code are refused.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Tools offered and callable; everything else is hidden and refused.
    pub allow: Vec<String>,
    /// Files of the sandbox: relative path to content.
    pub files: BTreeMap<String, String>,
    /// The server may change the files of the sandbox. They are laid out anew for every trial when
    /// an allowed tool writes.
    #[serde(skip_serializing_if = "is_false")]
    pub writable: bool,
    /// Git repositories of the sandbox: relative path of the folder to its history. Authors and
    /// dates are fixed, so that hashes are the same everywhere.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub git: BTreeMap<String, Repository>,
}

/// A git repository as data, replayed with the local `git`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Repository {
    /// The commits in the order in which they are made.
    pub commits: Vec<Commit>,
    /// The branch that is checked out in the end; `main` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<String>,
    /// Changes that are staged and not committed: relative path to content, `null` for a removed
    /// file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub staged: BTreeMap<String, Option<String>>,
    /// Changes that are not staged, new files among them: relative path to content, `null` for a
    /// removed file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unstaged: BTreeMap<String, Option<String>>,
}

/// One commit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Commit {
    /// The message.
    pub message: String,
    /// Author and committer, `Name <address>`; a fixed one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// When, as RFC 3339; a fixed start and one day more for each commit when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// The branch that it is made on; that of the commit before when absent, first `main`. A new
    /// branch begins at the commit before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Changed files: relative path to content, `null` for a removed file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, Option<String>>,
    /// A tag that is put on it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// npm, run with Node.
    Npm,
    /// PyPI, run with Python.
    Pip,
}

/// A package with its pinned version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Package<'a> {
    /// Where it comes from.
    pub registry: Registry,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
}

impl std::fmt::Display for Package<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}@{}", self.name, self.version)
    }
}

/// Beginnings of variable names that decide what code a program loads or runs.
const LOADING_PREFIXES: [&str; 8] = [
    "LD_", "DYLD_", "NODE_", "NPM_", "PYTHON", "GIT_", "BASH_", "SSL_",
];
/// Such names, and those that the server inherits or that are fixed.
const RESERVED_VARIABLES: [&str; 20] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "COMSPEC",
    "PATHEXT",
    "APPDATA",
    "USERPROFILE",
    "ENV",
    "SHELL",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "OPENSSL_CONF",
];

impl Server {
    /// The package to run, or what is wrong with how it is named.
    pub fn package(&self) -> Result<Package<'_>, String> {
        let (registry, written) = match (&self.npm, &self.pip) {
            (Some(npm), None) => (Registry::Npm, npm),
            (None, Some(pip)) => (Registry::Pip, pip),
            (Some(_), Some(_)) => {
                return Err("the server names both `npm` and `pip`; name one package".to_owned());
            }
            (None, None) => {
                return Err(
                    "the server names no package; write `npm: name@version` or `pip: name@version`"
                        .to_owned(),
                );
            }
        };
        let unfit = || {
            Err(format!(
                "server package `{written}` is not `name@version` with a full version, such as `mcp-server-time@2026.10.19`"
            ))
        };
        let Some(at) = written.rfind('@').filter(|at| *at > 0) else {
            return unfit();
        };
        let (name, version) = (&written[..at], &written[at + 1..]);
        if is_package_name(registry, name) && is_version(version) {
            Ok(Package {
                registry,
                name,
                version,
            })
        } else {
            unfit()
        }
    }

    /// The package as written, for lists: whatever stands there.
    pub fn package_text(&self) -> &str {
        self.npm.as_deref().or(self.pip.as_deref()).unwrap_or("?")
    }

    /// Everything that is wrong with it, each with the text to look for in the file after `server:`,
    /// empty for the whole.
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut report = |anchor: &str, message: String| found.push((anchor.to_owned(), message));
        match self.package() {
            Err(message) => report("", message),
            Ok(package) => {
                if !is_entry(package.registry, &self.entry) {
                    report(
                        "entry:",
                        match package.registry {
                            Registry::Npm => format!(
                                "server entry `{}` must be a file inside the package, such as `dist/index.js`",
                                self.entry
                            ),
                            Registry::Pip => format!(
                                "server entry `{}` must be a module, such as `mcp_server_time`",
                                self.entry
                            ),
                        },
                    );
                }
            }
        }
        for name in self.environment.keys() {
            if !is_settable(name) {
                report(
                    name,
                    format!(
                        "server variable `{name}` may not be set by a suite: it decides what runs, or is fixed"
                    ),
                );
            }
        }
        for path in self.files.keys() {
            if let Some(reason) = path_problem(path) {
                report(path, format!("sandbox file `{path}` {reason}"));
            }
            let inside = |folder: &&String| Path::new(path).starts_with(folder.as_str());
            if let Some(folder) = self.git.keys().find(inside) {
                report(
                    path,
                    format!(
                        "sandbox file `{path}` lies in repository `{folder}`; write it under `git`, as part of a commit or as `unstaged`"
                    ),
                );
            }
        }
        for (folder, repository) in &self.git {
            if let Some(reason) = path_problem(folder) {
                report(folder, format!("repository `{folder}` {reason}"));
            }
            for (anchor, message) in repository.problems() {
                report(&anchor, format!("repository `{folder}`: {message}"));
            }
        }
        found
    }
}

impl Repository {
    fn problems(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut report = |anchor: &str, message: String| found.push((anchor.to_owned(), message));
        if self.commits.is_empty() {
            report("git:", "it has no commits".to_owned());
        }
        let changed = self
            .commits
            .iter()
            .map(|commit| &commit.files)
            .chain([&self.staged, &self.unstaged]);
        for path in changed.flat_map(BTreeMap::keys) {
            if let Some(reason) = path_problem(path) {
                report(path, format!("file `{path}` {reason}"));
            }
        }
        let mut branches = vec!["main"];
        for commit in &self.commits {
            if commit.message.trim().is_empty() {
                report("commits:", "a commit has no message".to_owned());
            }
            if let Some(branch) = &commit.branch {
                branches.push(branch);
            }
            for name in [&commit.branch, &commit.tag].into_iter().flatten() {
                if !is_reference(name) {
                    report(name, format!("`{name}` is no name of a branch or tag"));
                }
            }
            if let Some(author) = &commit.author
                && split_author(author).is_none()
            {
                report(author, format!("author `{author}` is not `Name <address>`"));
            }
            if let Some(date) = &commit.date
                && date.parse::<jiff::Timestamp>().is_err()
            {
                report(
                    date,
                    format!("date `{date}` is not RFC 3339, such as 2026-03-02T09:00:00Z"),
                );
            }
        }
        if let Some(branch) = &self.checkout
            && !branches.contains(&branch.as_str())
        {
            report(
                branch,
                format!(
                    "branch `{branch}` is to be checked out, and no commit is on it; there are {}",
                    branches.join(", ")
                ),
            );
        }
        found
    }
}

/// Name and address of `Name <address>`.
pub fn split_author(author: &str) -> Option<(&str, &str)> {
    let (name, rest) = author.split_once(" <")?;
    let address = rest.strip_suffix('>')?;
    let is_plain = |text: &str| {
        !text.trim().is_empty() && !text.contains(['<', '>']) && !text.contains(char::is_control)
    };
    (is_plain(name) && is_plain(address)).then_some((name, address))
}

/// Why a path cannot be one of a sandbox.
pub fn path_problem(path: &str) -> Option<&'static str> {
    let inside = !path.is_empty()
        && Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
    if !inside {
        return Some("must be relative and stay inside the sandbox");
    }
    if path.contains(char::is_control) || path.contains(['"', '\\']) {
        return Some("holds a quote, a backslash or a control character");
    }
    // Settings and hooks of a repository can run commands.
    let touches_git = path.split('/').any(|part| {
        part.trim()
            .trim_end_matches('.')
            .eq_ignore_ascii_case(".git")
    });
    touches_git.then_some("must not lie inside `.git`; write the history under `git:`")
}

fn is_package_name(registry: Registry, name: &str) -> bool {
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    match (registry, name.strip_prefix('@')) {
        (Registry::Npm, Some(scoped)) => scoped
            .split_once('/')
            .is_some_and(|(scope, name)| is_part(scope) && is_part(name)),
        (_, None) => is_part(name),
        (Registry::Pip, Some(_)) => false,
    }
}

fn is_version(version: &str) -> bool {
    version.starts_with(|c: char| c.is_ascii_digit())
        && version
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ".+-".contains(c))
}

fn is_entry(registry: Registry, entry: &str) -> bool {
    match registry {
        Registry::Npm => path_problem(entry).is_none(),
        Registry::Pip => entry.split('.').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        }),
    }
}

fn is_settable(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED_VARIABLES.contains(&upper.as_str())
        && !LOADING_PREFIXES
            .iter()
            .any(|prefix| upper.starts_with(prefix))
}

/// A plain branch or tag name: stricter than git.
fn is_reference(name: &str) -> bool {
    name.split('/').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
            && !part.contains("..")
            && !part.ends_with(['.', '-'])
            && !Path::new(part)
                .extension()
                .is_some_and(|extension| extension.eq_ignore_ascii_case("lock"))
    })
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(value: serde_json::Value) -> Server {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_package_is_named_once_with_its_version() {
        let npm = server(serde_json::json!({"npm": "@scope/name@1.2.3-rc.1"}));
        let package = npm.package().unwrap();
        assert_eq!(
            (package.registry, package.name, package.version),
            (Registry::Npm, "@scope/name", "1.2.3-rc.1")
        );
        let pip = server(serde_json::json!({"pip": "mcp-server-time@2026.10.19"}));
        assert_eq!(pip.package().unwrap().registry, Registry::Pip);
        assert_eq!(
            pip.package().unwrap().to_string(),
            "mcp-server-time@2026.10.19"
        );
        for (value, needle) in [
            (serde_json::json!({}), "names no package"),
            (serde_json::json!({"npm": "a@1", "pip": "a@1"}), "both"),
            (serde_json::json!({"npm": "@scope/name"}), "full version"),
            (serde_json::json!({"npm": "name@latest"}), "full version"),
            (
                serde_json::json!({"npm": "--prefix=/x@1"}),
                "not `name@version`",
            ),
            (serde_json::json!({"npm": "../x@1"}), "not `name@version`"),
            (serde_json::json!({"pip": "@a/b@1"}), "not `name@version`"),
            (
                serde_json::json!({"pip": "name==1@1"}),
                "not `name@version`",
            ),
        ] {
            let error = server(value).package().unwrap_err();
            assert!(error.contains(needle), "{error}");
        }
    }

    #[test]
    fn nothing_in_a_server_runs_other_code() {
        let sound = serde_json::json!({"pip": "a@1", "entry": "a.b", "allow": ["t"],
            "environment": {"MEMORY_FILE_PATH": "{sandbox}/m"}, "files": {"notes/.gitkeep": ""},
            "git": {"shop": {"commits": [{"message": "one", "files": {"a/b": "x"}, "tag": "v1.0"},
                {"message": "two", "branch": "team/oven", "author": "Ada L <ada@example.org>", "date": "2026-03-02T09:00:00Z"}],
                "checkout": "team/oven", "unstaged": {"a/b": null}}}});
        assert_eq!(server(sound.clone()).problems(), vec![]);
        for (pointer, value, needle) in [
            ("/entry", serde_json::json!("a; b"), "must be a module"),
            (
                "/environment",
                serde_json::json!({"NODE_OPTIONS": "--require x"}),
                "may not be set",
            ),
            (
                "/environment",
                serde_json::json!({"ld_preload": "x"}),
                "may not be set",
            ),
            (
                "/files",
                serde_json::json!({"../a": ""}),
                "stay inside the sandbox",
            ),
            (
                "/files",
                serde_json::json!({"shop/.GIT/config": ""}),
                "inside `.git`",
            ),
            (
                "/files",
                serde_json::json!({"shop/new.txt": ""}),
                "lies in repository `shop`",
            ),
            ("/git/shop/commits", serde_json::json!([]), "no commits"),
            (
                "/git/shop/commits/0/files",
                serde_json::json!({"a\nb": ""}),
                "control character",
            ),
            (
                "/git/shop/commits/0/tag",
                serde_json::json!("a b"),
                "no name of a branch",
            ),
            (
                "/git/shop/commits/1/branch",
                serde_json::json!("-x"),
                "no name of a branch",
            ),
            (
                "/git/shop/commits/1/author",
                serde_json::json!("Ada\n <a>"),
                "is not `Name <address>`",
            ),
            (
                "/git/shop/commits/1/date",
                serde_json::json!("yesterday"),
                "RFC 3339",
            ),
            (
                "/git/shop/checkout",
                serde_json::json!("other"),
                "no commit is on it",
            ),
        ] {
            let mut changed = sound.clone();
            *changed.pointer_mut(pointer).unwrap() = value;
            let problems = server(changed).problems();
            assert!(
                problems.iter().any(|(_, message)| message.contains(needle)),
                "{pointer}: {problems:?}"
            );
        }
    }
}
