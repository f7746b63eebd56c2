//! Real tool servers of suites: where they are installed, how they are started.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::context::App;
use super::error::CliError;
use super::exit_code::Status;
use super::store_access::tool_settings;
use crate::config::Resolved;
use crate::tools::mcp::{McpHost, allowed_environment};
use crate::tools::sandbox::with_sandbox_path;
use crate::tools::server::server_for;
use crate::types::Suite;
use crate::types::suite::Server;

/// Where `suite install` puts npm packages.
pub(super) fn folder(app: &App, resolved: &Resolved) -> PathBuf {
    app.cache_folder(resolved).join("servers")
}

/// The suite with its sandbox's path filled in, and its host; or why it cannot run here.
pub(super) fn host(
    app: &App,
    resolved: &Resolved,
    suite: &Suite,
    call_limit: Duration,
) -> Result<(Suite, McpHost), String> {
    let node = tool_settings(app).find("node").ok_or_else(|| {
        format!(
            "Node is not installed, which suite `{}` needs (apt-get install nodejs npm, then `toolbench suite install {}`)",
            suite.suite, suite.suite
        )
    })?;
    let base = PathBuf::from(resolved.text("sandbox").unwrap_or("/tmp/toolbench"));
    let mut settings = server_for(suite, &folder(app, resolved), &node, &base)
        .map_err(|error| error.to_string())?;
    settings.environment =
        allowed_environment(app.env.variables.clone(), &[], &settings.environment);
    settings.call_limit = call_limit;
    let suite = match &settings.sandbox {
        Some(sandbox) => {
            with_sandbox_path(suite, sandbox.path()).map_err(|error| error.to_string())?
        }
        None => suite.clone(),
    };
    Ok((suite, McpHost::new(settings)))
}

/// Installs a suite's package with npm; again at no cost.
pub(super) fn install(
    app: &App,
    resolved: &Resolved,
    suite: &Suite,
    server: &Server,
) -> Result<(), CliError> {
    let folder = folder(app, resolved);
    let tools = tool_settings(app);
    let npm = tools
        .find("npm")
        .filter(|_| tools.find("node").is_some())
        .ok_or_else(|| {
            CliError::usage(format!("suite `{}` needs Node and npm", suite.suite))
                .kind("missing_tool", Status::Undecidable)
                .hint("apt-get install nodejs npm")
        })?;
    let base = PathBuf::from(resolved.text("sandbox").unwrap_or("/tmp/toolbench"));
    if server_for(suite, &folder, &npm, &base).is_ok() {
        app.ui.say(&format!("{} is installed already", server.npm));
        return Ok(());
    }
    app.ui.say(&format!(
        "installing {} into {}",
        server.npm,
        folder.display()
    ));
    let failed = |reason: String| {
        CliError::usage(format!("npm could not install {}: {reason}", server.npm))
            .kind("install", Status::Undecidable)
            .hint("check the network and npm's own settings, then run the same command again")
    };
    std::fs::create_dir_all(&folder).map_err(|error| failed(error.to_string()))?;
    let output = Command::new(npm)
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--save-exact",
            "--prefix",
        ])
        .arg(&folder)
        .arg(&server.npm)
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        let last: Vec<&str> = text.lines().rev().take(3).collect();
        return Err(failed(
            last.into_iter().rev().collect::<Vec<_>>().join("; "),
        ));
    }
    Ok(())
}

/// Names of installed packages.
pub(super) fn installed(app: &App, resolved: &Resolved) -> Vec<String> {
    let manifest = std::fs::read_to_string(folder(app, resolved).join("package.json"));
    let Ok(text) = manifest else {
        return Vec::new();
    };
    serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|manifest| {
            let dependencies = manifest["dependencies"].as_object()?.clone();
            Some(
                dependencies
                    .into_iter()
                    .map(|(name, version)| format!("{name}@{}", version.as_str().unwrap_or("?")))
                    .collect(),
            )
        })
        .unwrap_or_default()
}
