//! `toolbench suite install`: the real tool servers that suites need.

use super::super::{App, CliError, Status, print};
use crate::cli::servers;
use crate::config::Resolved;

/// Installs what a suite's server needs.
pub(super) fn install(app: &App, resolved: &Resolved, name: &str) -> Result<Status, CliError> {
    for suite in app.library(resolved).load(name)? {
        match &suite.server {
            Some(server) => servers::install(app, resolved, &suite, server)?,
            None => print(&format!(
                "suite `{}` is answered by its mock: nothing to install\n",
                suite.suite
            ))?,
        }
    }
    Ok(Status::Complete)
}
