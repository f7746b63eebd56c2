//! Real tool servers of suites: where they are installed, how they are started, how suites are
//! proven on them.

mod install;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::context::App;
use super::error::CliError;
use super::exit_code::Status;
use super::store_access::{block_on, tool_settings};
use crate::config::Resolved;
use crate::selftest::{Report, check_suite};
use crate::suite::check;
use crate::tools::ToolHost;
use crate::tools::mcp::{McpHost, Reach, allowed_environment};
use crate::tools::sandbox::with_sandbox_path;
use crate::tools::server::{Programs, installed_python_packages, server_for};
use crate::types::Suite;

pub(super) use self::install::install;

/// How long one call may take in `suite check`.
const CHECK_CALL_LIMIT: Duration = Duration::from_secs(30);

/// Where `suite install` puts packages: npm's in `node_modules`, each of PyPI in an environment
/// of its own below `python`.
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
    let tools = tool_settings(app);
    let programs = Programs {
        node: tools.find("node"),
        git: tools.find("git"),
    };
    let base = PathBuf::from(resolved.text("sandbox").unwrap_or("/tmp/toolbench"));
    let mut settings = server_for(suite, &folder(app, resolved), &programs, &base)
        .map_err(|error| error.to_string())?;
    if let Reach::Process(launch) = &mut settings.reach {
        launch.environment =
            allowed_environment(app.env.variables.clone(), &[], &launch.environment);
    }
    settings.call_limit = call_limit;
    let suite = match &settings.sandbox {
        Some(sandbox) => {
            with_sandbox_path(suite, sandbox.path()).map_err(|error| error.to_string())?
        }
        None => suite.clone(),
    };
    Ok((suite, McpHost::new(settings)))
}

/// What `suite check` can say of a suite on a real server.
pub(super) enum Proven {
    /// Its server cannot run on this machine as it is; the text names the command that changes it.
    NotHere(String),
    /// It was played on its server.
    Played(Report),
}

/// Plays a suite's self-test on its real server. The tools are known only from the running server,
/// so names of arguments are checked here and not when the file is read.
pub(super) fn prove(app: &App, resolved: &Resolved, suite: &Suite) -> Result<Proven, CliError> {
    let (mut filled, host) = match host(app, resolved, suite, CHECK_CALL_LIMIT) {
        Ok(ready) => ready,
        Err(reason) => return Ok(Proven::NotHere(reason)),
    };
    let host: Arc<dyn ToolHost> = Arc::new(host);
    let stop = app.interrupts().stop.clone();
    let name = suite.suite.clone();
    let (cases, own) = (suite.cases.len(), app.ui.clone());
    let progress = |what: &str| own.say(&format!("{name}: {what}, {cases} cases on its server"));
    own.say(&format!("{name}: starting its server"));
    let played = block_on(async {
        let work = async {
            let report = check_suite(&filled, &host, &progress).await;
            (report, host.list().await)
        };
        let done = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            done = work => Some(done),
        };
        // Its processes end whichever way this ends.
        host.close().await;
        done
    })?;
    let (mut report, tools) = played.ok_or_else(|| {
        CliError::usage(format!("interrupted while suite `{name}` was played"))
            .kind("interrupted", Status::Interrupted)
    })?;
    if let Ok(tools) = tools {
        filled.tools = tools;
    }
    let problems = check(&filled.suite, "", &filled);
    report
        .problems
        .extend(problems.into_iter().map(|found| found.message));
    Ok(Proven::Played(report))
}

/// Names and versions of installed packages.
pub(super) fn installed(app: &App, resolved: &Resolved) -> Vec<String> {
    let folder = folder(app, resolved);
    let mut found = installed_node_packages(&folder).unwrap_or_default();
    let python = installed_python_packages(&folder);
    found.extend(
        python
            .into_iter()
            .map(|(name, version)| format!("{name}@{version}")),
    );
    found
}

fn installed_node_packages(folder: &Path) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(folder.join("package.json")).ok()?;
    let manifest: serde_json::Value = serde_json::from_str(&text).ok()?;
    let dependencies = manifest["dependencies"].as_object()?;
    Some(
        dependencies
            .iter()
            .map(|(name, version)| format!("{name}@{}", version.as_str().unwrap_or("?")))
            .collect(),
    )
}
