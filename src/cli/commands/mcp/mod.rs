//! `toolbench mcp`: tool servers, without a model.

mod bench;
mod call;
mod conformance;
mod record;
mod serve;
mod tools;

use std::time::Duration;

use super::{App, CliError, Status};
use crate::cli::flags::SettingFlags;
use crate::cli::host_args::OpenedHost;
use crate::cli::mcp_args::McpCommand;
use crate::cli::store_access::block_on;
use crate::config::Resolved;
use crate::tools::ToolHostError;

/// Runs one of the commands.
pub(super) fn mcp(app: &App, command: McpCommand) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    match command {
        McpCommand::Tools(args) => tools::tools(app, &resolved, &args),
        McpCommand::Call(args) => call::call(app, &resolved, &args),
        McpCommand::Bench(args) => bench::bench(app, &resolved, &args),
        McpCommand::Serve(args) => serve::serve(app, &resolved, &args),
        McpCommand::Record(args) => record::record(app, &resolved, &args),
        McpCommand::ConformanceClient { url } => conformance::conformance(app, &url),
    }
}

/// How long one call may take.
fn call_limit(app: &App, resolved: &Resolved) -> Result<Duration, CliError> {
    Ok(Duration::from_millis(app.settings(resolved)?.tool_limit_ms))
}

/// The server failed: what it said, and what to try.
fn host_failed(opened: &OpenedHost, error: &ToolHostError) -> CliError {
    CliError::usage(opened.without_secrets(&error.message))
        .kind("tool_server", Status::Undecidable)
        .hint("`toolbench explain` describes the failure; start the server by hand to see what it says")
}

/// Runs a command's work on a host until it is done or Ctrl-C comes; the host's server ends either
/// way.
fn with_host<T>(
    app: &App,
    opened: &OpenedHost,
    work: impl Future<Output = Result<T, CliError>>,
) -> Result<T, CliError> {
    let stop = app.interrupts().stop.clone();
    block_on(async {
        let done = tokio::select! {
            biased;
            () = stop.cancelled() => Err(CliError::usage("interrupted")
                .kind("interrupted", Status::Interrupted)),
            done = work => done,
        };
        opened.host.close().await;
        done
    })?
}
