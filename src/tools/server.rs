//! From a suite's `server` to the settings of its host.
//!
//! Data in: a suite, where set-up installed its packages, the `node` to run them, and a base
//! directory for the sandbox. Data out: settings, or what is missing and what to run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::mcp::{Allowed, McpSettings};
use super::sandbox::{PLACEHOLDER, Sandbox, SandboxError};
use crate::types::Suite;
use crate::types::suite::Server;

/// Why a suite's server cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerMissing {
    /// The suite names no server.
    #[error("suite `{suite}` has no `server`")]
    NoServer {
        /// The suite.
        suite: String,
    },
    /// The package is not there.
    #[error("suite `{suite}` needs the MCP server {npm}, and {} is not there; run `toolbench suite install {suite}`", entry.display())]
    NotInstalled {
        /// The suite.
        suite: String,
        /// The package, with its version.
        npm: String,
        /// The file that was looked for.
        entry: PathBuf,
    },
    /// Another version is installed.
    #[error(
        "suite `{suite}` needs the MCP server {npm}, installed is version {found}; run `toolbench suite install {suite}`"
    )]
    OtherVersion {
        /// The suite.
        suite: String,
        /// The package, with its version.
        npm: String,
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

/// Settings of the host for a suite's server: `node <installed>/node_modules/<name>/<entry> …`,
/// its sandbox at `<sandbox_base>/sandbox/<suite>`, and exactly the tools that the suite allows
/// (those marked read-only when it names none).
pub fn server_for(
    suite: &Suite,
    installed: &Path,
    node: &Path,
    sandbox_base: &Path,
) -> Result<McpSettings, ServerMissing> {
    let Some(server) = &suite.server else {
        return Err(ServerMissing::NoServer {
            suite: suite.suite.clone(),
        });
    };
    let entry = installed_entry(&suite.suite, server, installed)?;
    let sandbox = Sandbox::new(sandbox_base, &suite.suite, &server.files).map_err(|source| {
        ServerMissing::Sandbox {
            suite: suite.suite.clone(),
            source,
        }
    })?;
    let path = sandbox.path().to_string_lossy().into_owned();
    let arguments = std::iter::once(entry.to_string_lossy().into_owned())
        .chain(
            server
                .arguments
                .iter()
                .map(|argument| argument.replace(PLACEHOLDER, &path)),
        )
        .collect();
    let mut settings = McpSettings::new(&suite.suite, node, arguments);
    settings.working_directory = Some(sandbox.path().to_owned());
    settings.environment = fixed_environment();
    settings.sandbox = Some(sandbox);
    if !server.allow.is_empty() {
        settings.allowed = Allowed::Only(server.allow.clone());
    }
    Ok(settings)
}

/// Language and time zone, so that replies do not differ from machine to machine.
fn fixed_environment() -> BTreeMap<String, String> {
    [("LANG", "C.UTF-8"), ("TZ", "UTC")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// Splits `@scope/name@1.2.3` into name and version.
fn split_package(npm: &str) -> (&str, Option<&str>) {
    match npm.rfind('@') {
        Some(at) if at > 0 => (&npm[..at], Some(&npm[at + 1..])),
        _ => (npm, None),
    }
}

fn installed_entry(
    suite: &str,
    server: &Server,
    installed: &Path,
) -> Result<PathBuf, ServerMissing> {
    let (name, version) = split_package(&server.npm);
    let package = installed.join("node_modules").join(name);
    let entry = package.join(&server.entry);
    if !entry.is_file() {
        return Err(ServerMissing::NotInstalled {
            suite: suite.to_owned(),
            npm: server.npm.clone(),
            entry,
        });
    }
    let found = std::fs::read_to_string(package.join("package.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok())
        .and_then(|manifest| manifest["version"].as_str().map(str::to_owned));
    match (version, found) {
        (Some(wanted), Some(found)) if found != wanted => Err(ServerMissing::OtherVersion {
            suite: suite.to_owned(),
            npm: server.npm.clone(),
            found,
        }),
        _ => Ok(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> Suite {
        serde_json::from_value(serde_json::json!({"suite": "fs", "server": {
            "npm": "@scope/server@1.2.0", "entry": "dist/index.js", "arguments": ["{sandbox}/x"],
            "allow": ["read"], "files": {"x/a": "text"}}}))
        .unwrap()
    }

    #[test]
    fn an_installed_server_becomes_settings() {
        let base = tempfile::tempdir().unwrap();
        let package = base.path().join("node_modules/@scope/server");
        std::fs::create_dir_all(package.join("dist")).unwrap();
        let find = || server_for(&suite(), base.path(), Path::new("/bin/node"), base.path());
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
            settings.arguments[0],
            package.join("dist/index.js").to_string_lossy()
        );
        assert_eq!(settings.arguments[1], sandbox.join("x").to_string_lossy());
        assert_eq!(settings.working_directory, Some(sandbox));
        assert_eq!(settings.allowed, Allowed::Only(vec!["read".to_owned()]));
    }

    #[test]
    fn packages_split_at_the_last_at_sign() {
        assert_eq!(split_package("@a/b@1.0.0"), ("@a/b", Some("1.0.0")));
        assert_eq!(split_package("@a/b"), ("@a/b", None));
        assert_eq!(split_package("b@2"), ("b", Some("2")));
    }
}
