//! Installing the package of a suite's server: with npm, or with pip into an environment of its
//! own. Both keep to the machine's own settings (registry, proxy, certificates).

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::context::App;
use super::super::error::CliError;
use super::super::exit_code::Status;
use super::super::store_access::tool_settings;
use super::folder;
use crate::config::Resolved;
use crate::store::ToolSettings;
use crate::tools::server::{installed_entry, python_environment, python_of};
use crate::types::Suite;
use crate::types::server::{Package, Registry, Server};

/// Installs the package of a suite's server; again at no cost.
pub(in crate::cli) fn install(
    app: &App,
    resolved: &Resolved,
    suite: &Suite,
    server: &Server,
) -> Result<(), CliError> {
    let name = &suite.suite;
    let invalid = |problem: String| {
        CliError::usage(format!("suite `{name}`: {problem}")).kind("suite", Status::Usage)
    };
    let package = server.package().map_err(invalid)?;
    if let Some((_, problem)) = server.problems().into_iter().next() {
        return Err(invalid(problem));
    }
    let folder = folder(app, resolved);
    if installed_entry(name, server, package, &folder).is_ok() {
        app.ui.say(&format!("{package} is installed already"));
        return Ok(());
    }
    let job = Job {
        suite: name,
        package,
        folder: &folder,
        tools: tool_settings(app),
    };
    app.ui
        .say(&format!("installing {package} into {}", folder.display()));
    match package.registry {
        Registry::Npm => job.with_npm()?,
        Registry::Pip => job.with_pip()?,
    }
    installed_entry(name, server, package, &folder)
        .map(drop)
        .map_err(|_| {
            job.failed(&format!(
                "it installed without an error, and there is no `{}` in it",
                server.entry
            ))
        })
}

/// One package on its way.
struct Job<'a> {
    suite: &'a str,
    package: Package<'a>,
    folder: &'a Path,
    tools: ToolSettings,
}

impl Job<'_> {
    fn with_npm(&self) -> Result<(), CliError> {
        let npm = self
            .tools
            .find("npm")
            .filter(|_| self.tools.find("node").is_some())
            .ok_or_else(|| self.missing("Node and npm", "apt-get install nodejs npm"))?;
        std::fs::create_dir_all(self.folder).map_err(|error| self.failed(&error.to_string()))?;
        let mut command = Command::new(npm);
        command
            .args([
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--save-exact",
                "--prefix",
            ])
            .arg(self.folder)
            .arg(self.package.to_string());
        run(&mut command).map_err(|words| self.failed(&words))
    }

    fn with_pip(&self) -> Result<(), CliError> {
        let python = self.python()?;
        let environment = python_environment(self.folder, self.package.name);
        if let Some(parent) = environment.parent() {
            std::fs::create_dir_all(parent).map_err(|error| self.failed(&error.to_string()))?;
        }
        // What an earlier attempt or another version left is in the way.
        let mut make = Command::new(python);
        make.args(["-m", "venv", "--clear"]).arg(&environment);
        run(&mut make).map_err(|words| {
            if words.contains("ensurepip") || words.contains("No module named venv") {
                self.missing(
                    "Python's own `venv` with pip",
                    "apt-get install python3-venv",
                )
            } else {
                self.failed(&format!("no virtual environment: {words}"))
            }
        })?;
        let mut install = Command::new(python_of(&environment));
        install
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .arg(format!("{}=={}", self.package.name, self.package.version));
        run(&mut install).map_err(|words| {
            // Half an environment would pass for a whole one in lists.
            let _ = std::fs::remove_dir_all(&environment);
            self.failed(&words)
        })
    }

    fn python(&self) -> Result<PathBuf, CliError> {
        ["python3", "python"]
            .iter()
            .find_map(|name| self.tools.find(name))
            .ok_or_else(|| {
                self.missing(
                    "Python 3 with venv and pip",
                    "apt-get install python3 python3-venv python3-pip",
                )
            })
    }

    fn missing(&self, what: &str, command: &str) -> CliError {
        CliError::usage(format!("suite `{}` needs {what}", self.suite))
            .kind("missing_tool", Status::Undecidable)
            .hint(format!(
                "{command}, then `toolbench suite install {}`",
                self.suite
            ))
    }

    fn failed(&self, reason: &str) -> CliError {
        let tool = match self.package.registry {
            Registry::Npm => "npm",
            Registry::Pip => "pip",
        };
        CliError::usage(format!(
            "{tool} could not install {}: {reason}",
            self.package
        ))
        .kind("install", Status::Undecidable)
        .hint(format!(
            "check the network and {tool}'s own settings (`{tool} config list`), then run the same command again"
        ))
    }
}

/// Runs a command to its end; its last words when it fails.
fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    // Python's venv says why it failed on its standard output.
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let lines: Vec<&str> = text
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let last = lines[lines.len().saturating_sub(6)..].join("; ");
    Err(if last.is_empty() {
        output.status.to_string()
    } else {
        last
    })
}
