//! From a suite's `server` to the settings of its host.
//!
//! Data in: a suite, where set-up installed its packages, the programs to run them, and a base
//! directory for the sandbox. Data out: settings, or what is missing and what to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mcp::{Allowed, Launch, McpSettings, Reach};
use super::repository::fixed_variables;
use super::sandbox::{PLACEHOLDER, Sandbox, SandboxError};
use crate::types::Suite;
use crate::types::server::{Package, Registry, Server};

/// Programs of this machine that servers need.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// Runs npm packages.
    pub node: Option<PathBuf>,
    /// Makes the repositories of sandboxes.
    pub git: Option<PathBuf>,
}

/// Why a suite's server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerMissing {
    /// The suite names no server.
    #[error("suite `{suite}` has no `server`")]
    NoServer {
        /// The suite.
        suite: String,
    },
    /// The suite names its server wrongly.
    #[error("suite `{suite}`: {problem}")]
    Invalid {
        /// The suite.
        suite: String,
        /// What is wrong.
        problem: String,
    },
    /// A program of the machine is missing.
    #[error(
        "suite `{suite}` needs {what}; run `{command}`, then `toolbench suite install {suite}`"
    )]
    NoProgram {
        /// The suite.
        suite: String,
        /// The program.
        what: &'static str,
        /// What installs it.
        command: &'static str,
    },
    /// The package is not there.
    #[error("suite `{suite}` needs the MCP server {package}, and {} is not there; run `toolbench suite install {suite}`", entry.display())]
    NotInstalled {
        /// The suite.
        suite: String,
        /// The package, with its version.
        package: String,
        /// The file that was looked for.
        entry: PathBuf,
    },
    /// Another version is installed.
    #[error(
        "suite `{suite}` needs the MCP server {package}, installed is version {found}; run `toolbench suite install {suite}`"
    )]
    OtherVersion {
        /// The suite.
        suite: String,
        /// The package, with its version.
        package: String,
        /// The version found.
        found: String,
    },
    /// The sandbox cannot be made.
    #[error("suite `{suite}`: {source}")]
    Sandbox {
        /// The suite.
        suite: String,
        /// Why.
        source: SandboxError,
    },
}

/// Settings of the host for a suite's server, its sandbox at `<sandbox_base>/sandbox/<suite>`, and
/// exactly the tools that the suite allows (those marked read-only when it names none). An npm
/// package runs as `node <installed>/node_modules/<name>/<entry> …`, one of PyPI as
/// `<its environment>/bin/python -I -m <entry> …`: isolated, or files of the sandbox, which is the
/// working directory, could stand in for Python's own modules.
pub fn server_for(
    suite: &Suite,
    installed: &Path,
    programs: &Programs,
    sandbox_base: &Path,
) -> Result<McpSettings, ServerMissing> {
    let name = || suite.suite.clone();
    let Some(server) = &suite.server else {
        return Err(ServerMissing::NoServer { suite: name() });
    };
    if let Some((_, problem)) = server.problems().into_iter().next() {
        return Err(ServerMissing::Invalid {
            suite: name(),
            problem,
        });
    }
    let package = server.package().map_err(|problem| ServerMissing::Invalid {
        suite: name(),
        problem,
    })?;
    let entry = installed_entry(&suite.suite, server, package, installed)?;
    let (program, mut arguments) = match package.registry {
        Registry::Npm => {
            let node = programs.node.clone().ok_or(ServerMissing::NoProgram {
                suite: name(),
                what: "Node",
                command: "apt-get install nodejs npm",
            })?;
            (node, vec![entry.to_string_lossy().into_owned()])
        }
        Registry::Pip => {
            let run = ["-I", "-m", &server.entry].map(str::to_owned);
            (entry, run.into())
        }
    };
    let sandbox = sandbox(suite, server, programs, sandbox_base)?;
    let path = sandbox.path().to_string_lossy().into_owned();
    let filled = |text: &String| text.replace(PLACEHOLDER, &path);
    arguments.extend(server.arguments.iter().map(filled));
    let mut environment = fixed_environment();
    if !server.git.is_empty() {
        environment.extend(fixed_variables(&server.git));
        // Libraries that read settings by themselves look for them at home.
        environment.insert("HOME".to_owned(), path.clone());
    }
    let own = server.environment.iter();
    environment.extend(own.map(|(name, value)| (name.clone(), filled(value))));
    let mut settings = McpSettings::reached(
        &suite.suite,
        Reach::Process(Launch {
            program,
            arguments,
            working_directory: Some(sandbox.path().to_owned()),
            environment,
        }),
    );
    settings.sandbox = Some(sandbox);
    // What it changes is its own sandbox, which is built anew.
    settings.safety.allow_destructive = true;
    if !server.allow.is_empty() {
        settings.safety.allowed = Allowed::Only(server.allow.clone());
    }
    Ok(settings)
}

/// The virtual environment of a PyPI package.
pub fn python_environment(installed: &Path, package: &str) -> PathBuf {
    installed.join("python").join(package)
}

/// The interpreter of a virtual environment.
pub fn python_of(environment: &Path) -> PathBuf {
    environment.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    })
}

/// Language and time zone, so that replies do not differ from machine to machine.
fn fixed_environment() -> BTreeMap<String, String> {
    [("LANG", "C.UTF-8"), ("TZ", "UTC")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn sandbox(
    suite: &Suite,
    server: &Server,
    programs: &Programs,
    base: &Path,
) -> Result<Sandbox, ServerMissing> {
    let failed = |source| ServerMissing::Sandbox {
        suite: suite.suite.clone(),
        source,
    };
    let sandbox = Sandbox::new(base, &suite.suite, &server.files)
        .map_err(failed)?
        .writable(server.writable);
    if server.git.is_empty() {
        return Ok(sandbox);
    }
    let git = programs.git.as_ref().ok_or(ServerMissing::NoProgram {
        suite: suite.suite.clone(),
        what: "git",
        command: "apt-get install git",
    })?;
    sandbox.with_repositories(git, &server.git).map_err(failed)
}

/// What must be there to run a server's package, of the version asked for: the entry of an npm
/// package, the interpreter of a Python one.
pub fn installed_entry(
    suite: &str,
    server: &Server,
    package: Package<'_>,
    installed: &Path,
) -> Result<PathBuf, ServerMissing> {
    let (entry, found) = match package.registry {
        Registry::Npm => {
            let folder = installed.join("node_modules").join(package.name);
            let version = installed_node_version(&folder);
            (folder.join(&server.entry), version)
        }
        Registry::Pip => {
            let environment = python_environment(installed, package.name);
            let version = installed_python_version(&environment, package.name);
            (python_of(&environment), version)
        }
    };
    let (suite, text) = (suite.to_owned(), package.to_string());
    match found {
        Some(found) if entry.is_file() && found == package.version => Ok(entry),
        Some(found) if entry.is_file() => Err(ServerMissing::OtherVersion {
            suite,
            package: text,
            found,
        }),
        _ => Err(ServerMissing::NotInstalled {
            suite,
            package: text,
            entry,
        }),
    }
}

/// The version that a Node package says it has.
fn installed_node_version(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    manifest["version"].as_str().map(str::to_owned)
}

/// The version of a package in a virtual environment, from the name of its metadata folder
/// (`name-version.dist-info`).
fn installed_python_version(environment: &Path, package: &str) -> Option<String> {
    let libraries = if cfg!(windows) { "Lib" } else { "lib" };
    let libraries = environment.join(libraries);
    let mut folders = vec![libraries.join("site-packages")];
    if let Ok(entries) = std::fs::read_dir(&libraries) {
        folders.extend(
            entries
                .flatten()
                .map(|entry| entry.path().join("site-packages")),
        );
    }
    folders
        .iter()
        .filter_map(|folder| std::fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .find_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let (found, version) = name.strip_suffix(".dist-info")?.rsplit_once('-')?;
            (python_name(found) == python_name(package)).then(|| version.to_owned())
        })
}

/// Every Python package that has a virtual environment of its own, with its version.
pub fn installed_python_packages(installed: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(installed.join("python"));
    let mut found: Vec<(String, String)> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let version = installed_python_version(&entry.path(), &name)?;
            Some((name, version))
        })
        .collect();
    found.sort();
    found
}

/// Python's rule for package names that mean the same: case and separators do not count.
fn python_name(name: &str) -> String {
    let lower = name.to_lowercase().replace(['.', '-'], "_");
    lower
        .split('_')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite(server: &serde_json::Value) -> Suite {
        serde_json::from_value(serde_json::json!({"suite": "fs", "server": server})).unwrap()
    }

    fn programs() -> Programs {
        Programs {
            node: Some("/bin/node".into()),
            git: Some("/bin/git".into()),
        }
    }

    #[test]
    fn an_installed_npm_server_becomes_settings() {
        let suite = suite(&serde_json::json!({
            "npm": "@scope/server@1.2.0", "entry": "dist/index.js", "arguments": ["{sandbox}/x"],
            "environment": {"STORE": "{sandbox}/m"}, "allow": ["read"], "files": {"x/a": "text"}}));
        let base = tempfile::tempdir().unwrap();
        let package = base.path().join("node_modules/@scope/server");
        std::fs::create_dir_all(package.join("dist")).unwrap();
        let find = || server_for(&suite, base.path(), &programs(), base.path());
        let missing = find().unwrap_err().to_string();
        assert!(
            missing.contains("dist/index.js is not there")
                && missing.contains("toolbench suite install fs"),
            "{missing}"
        );
        std::fs::write(package.join("dist/index.js"), "").unwrap();
        std::fs::write(package.join("package.json"), r#"{"version": "1.1.0"}"#).unwrap();
        assert!(
            find()
                .unwrap_err()
                .to_string()
                .contains("installed is version 1.1.0")
        );
        std::fs::write(package.join("package.json"), r#"{"version": "1.2.0"}"#).unwrap();
        let settings = find().unwrap();
        let sandbox = base.path().join("sandbox/fs");
        assert_eq!(
            settings.launch().unwrap().arguments[0],
            package.join("dist/index.js").to_string_lossy()
        );
        assert_eq!(
            settings.launch().unwrap().arguments[1],
            sandbox.join("x").to_string_lossy()
        );
        let store = sandbox.join("m").to_string_lossy().into_owned();
        assert_eq!(
            settings.launch().unwrap().environment.get("STORE"),
            Some(&store)
        );
        assert!(!settings.launch().unwrap().environment.contains_key("HOME"));
        assert_eq!(
            settings.launch().unwrap().working_directory.clone(),
            Some(sandbox)
        );
        assert_eq!(
            settings.safety.allowed,
            Allowed::Only(vec!["read".to_owned()])
        );
        let without = server_for(&suite, base.path(), &Programs::default(), base.path());
        let message = without.unwrap_err().to_string();
        assert!(
            message.contains("needs Node; run `apt-get install nodejs npm`"),
            "{message}"
        );
    }

    #[test]
    fn an_installed_python_server_becomes_settings() {
        let suite = suite(&serde_json::json!({
            "pip": "mcp-server-git@2026.10.19", "entry": "mcp_server_git", "arguments": ["--repository", "{sandbox}/shop"],
            "allow": ["git_log"], "git": {"shop": {"commits": [{"message": "Start", "date": "2026-03-02T09:00:00Z"}]}}}));
        let base = tempfile::tempdir().unwrap();
        let environment = base.path().join("python/mcp-server-git");
        let find = |programs: &Programs| server_for(&suite, base.path(), programs, base.path());
        let missing = find(&programs()).unwrap_err().to_string();
        assert!(
            missing.contains("python/mcp-server-git/bin/python is not there"),
            "{missing}"
        );
        std::fs::create_dir_all(environment.join("bin")).unwrap();
        std::fs::write(python_of(&environment), "").unwrap();
        let libraries = environment.join("lib/python3.11/site-packages");
        std::fs::create_dir_all(libraries.join("gitpython-3.1.50.dist-info")).unwrap();
        // The interpreter alone is not enough.
        assert!(matches!(
            find(&programs()),
            Err(ServerMissing::NotInstalled { .. })
        ));
        let older = libraries.join("MCP_Server.Git-2026.1.2.dist-info");
        std::fs::create_dir_all(&older).unwrap();
        let other = find(&programs()).unwrap_err().to_string();
        assert!(other.contains("installed is version 2026.1.2"), "{other}");
        std::fs::rename(older, libraries.join("mcp_server_git-2026.10.19.dist-info")).unwrap();
        let settings = find(&programs()).unwrap();
        assert_eq!(settings.launch().unwrap().program, python_of(&environment));
        let sandbox = base.path().join("sandbox/fs");
        assert_eq!(
            settings.launch().unwrap().arguments,
            [
                "-I",
                "-m",
                "mcp_server_git",
                "--repository",
                &sandbox.join("shop").to_string_lossy()
            ]
        );
        // The user's own git settings stay out of it.
        let home = sandbox.to_string_lossy().into_owned();
        assert_eq!(
            settings.launch().unwrap().environment.get("HOME"),
            Some(&home)
        );
        assert_eq!(
            settings.launch().unwrap().environment["GIT_AUTHOR_DATE"],
            "1772445600 +0000"
        );
        let message = find(&Programs::default()).unwrap_err().to_string();
        assert!(
            message.contains("needs git; run `apt-get install git`"),
            "{message}"
        );
    }

    #[test]
    fn a_wrongly_named_server_is_told() {
        let base = tempfile::tempdir().unwrap();
        let both = suite(&serde_json::json!({"npm": "a@1", "pip": "b@1", "entry": "x"}));
        let message = server_for(&both, base.path(), &programs(), base.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains("both `npm` and `pip`"), "{message}");
    }
}
