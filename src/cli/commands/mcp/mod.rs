//! `toolbench mcp`: tool servers, without a model.

mod serve;

use super::{App, CliError, Status};
use crate::cli::flags::SettingFlags;
use crate::cli::mcp_args::McpCommand;

/// Runs one of the commands.
pub(super) fn mcp(app: &App, command: McpCommand) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    match command {
        McpCommand::Serve(args) => serve::serve(app, &resolved, &args),
    }
}
