//! `toolbench suite`: one file per command.

mod add_case;
mod check;
mod drafting;
mod filter;
mod install;
mod list;
mod new;
mod show;

use super::{App, CliError, Status};
use crate::cli::args::SuiteCommand;
use crate::cli::flags::SettingFlags;

/// Runs a suite command.
pub(super) fn suite(app: &App, command: SuiteCommand) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    match command {
        SuiteCommand::List { filter, format } => list::list(app, &resolved, &filter, format),
        SuiteCommand::Show {
            name,
            cases,
            filter,
            format,
        } => show::show(app, &resolved, &name, &cases, &filter, format),
        SuiteCommand::New(args) => new::new(app, &resolved, &args),
        SuiteCommand::AddCase(args) => add_case::add_case(app, &args),
        SuiteCommand::Check { names, all, format } => {
            check::check(app, &resolved, names, all, format)
        }
        SuiteCommand::Import(command) => super::import::import(app, &command),
        SuiteCommand::Install { name } => install::install(app, &resolved, &name),
    }
}
