//! `toolbench doctor`: what is ready, what is missing, and the command that fixes it.

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::ListFormat;
use crate::cli::flags::SettingFlags;
use crate::cli::servers;
use crate::cli::store_access::{Store, block_on, tool_settings};
use crate::host::doctor::{Check, DoctorInputs, EngineInfo, Status as CheckStatus, checks};
use crate::host::servers::usual_endpoints;
use crate::store::disk::RealDisk;

/// Checks everything and prints a line each.
pub(super) fn doctor(app: &App, format: ListFormat) -> Result<Status, CliError> {
    let found = found(app)?;
    if format == ListFormat::Json {
        print_json(&serde_json::json!({
            "checks": found, "fingerprint": crate::host::fingerprint(),
        }))?;
    } else {
        print(&text(&found))?;
    }
    Ok(Status::Complete)
}

/// All checks.
pub(super) fn found(app: &App) -> Result<Vec<Check>, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    let store = Store::open(app, &resolved)?;
    let engine = engine_info(app);
    let installed = servers::folder(app, &resolved);
    block_on(checks(&DoctorInputs {
        fingerprint: &crate::host::fingerprint(),
        engine: engine.as_ref(),
        cache: &store.cache,
        disk: &RealDisk,
        tools: &tool_settings(app),
        mcp_servers: Some(installed.as_path()),
        mcp_install_command: "toolbench suite install filesystem",
        ollama_base: &store.ollama_base,
        endpoints: &usual_endpoints(),
    }))
}

fn text(found: &[Check]) -> String {
    let width = found
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or_default();
    let mut out = String::new();
    for check in found {
        let mark = match check.status {
            CheckStatus::Ok => "ok     ",
            CheckStatus::Warn => "warning",
            CheckStatus::Missing => "missing",
            CheckStatus::Optional => "-      ",
        };
        out.push_str(&format!(
            "{mark}  {:width$}  {}\n",
            check.name, check.detail
        ));
        if let Some(fix) = &check.fix {
            let word = if check.status == CheckStatus::Optional {
                "to have it"
            } else {
                "fix"
            };
            out.push_str(&format!("{:9}{:width$}  {word}: {fix}\n", "", ""));
        }
    }
    out.push_str(&next(found));
    out
}

/// What to do now: the fix of what no run can do without, else a run.
fn next(found: &[Check]) -> String {
    let missing = found
        .iter()
        .find(|check| check.status == CheckStatus::Missing);
    match missing.and_then(|check| check.fix.as_deref()) {
        Some(fix) => format!("\nnext: {fix}\n"),
        None => "\nready; next: toolbench run MODEL, with a model of the list above\n".to_owned(),
    }
}

#[cfg(feature = "llama")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a build without the engine has none"
)]
fn engine_info(app: &App) -> Option<EngineInfo> {
    let (system, refused) = match crate::engine::system(&app.env.executable) {
        Ok(system) => (system, None),
        Err(reason) => (String::new(), Some(reason)),
    };
    Some(EngineInfo {
        build: crate::engine::version(),
        system,
        refused,
        dispatches_at_run_time: crate::engine::DISPATCHES_AT_RUN_TIME,
        has_gpu_backend: cfg!(any(feature = "cuda", feature = "metal", feature = "vulkan")),
    })
}

#[cfg(not(feature = "llama"))]
fn engine_info(_app: &App) -> Option<EngineInfo> {
    None
}
