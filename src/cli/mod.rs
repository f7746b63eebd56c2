//! The command line: arguments, environment and streams in, exit code out.
//!
//! Invariants: only this module prints and reads the environment; data goes to standard output,
//! everything else to standard error; every error ends here, as text or (with `--format json`) as
//! `{message, type, param, code}`; a broken pipe is a clean end.

mod args;
mod commands;
mod context;
mod env;
mod error;
pub mod exit_code;
mod flags;
mod servers;
mod store_access;
mod ui;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::{Cli, Command};
use context::App;
pub use env::{Env, HEEDED_VARIABLES, OWN_VARIABLES};
use exit_code::Status;
use ui::Ui;

/// The whole command definition, for completions, the manual page and tests.
pub fn command() -> clap::Command {
    let codes: Vec<String> = Status::ALL
        .iter()
        .map(|status| format!("  {:>3}  {}", status.code(), status.meaning()))
        .collect();
    Cli::command().after_long_help(format!(
        "Start with `toolbench doctor`, then `toolbench compare smollm2 qwen2.5-coder:0.5b`.\n\nExit codes:\n{}\n\nEvery setting is also a variable (`--max-tokens` is TOOLBENCH_MAX_TOKENS) and a key of toolbench.toml;\n`toolbench config show` prints each with its origin.",
        codes.join("\n")
    ))
}

/// Runs the process's own arguments.
pub fn main() -> ExitCode {
    let env = Env::capture();
    let matches = match command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return clap_exit(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return clap_exit(&error),
    };
    let json_errors = wants_json(&cli.command);
    let ui = Ui::new(cli.quiet, cli.verbose, &env);
    let result = App::new(env, ui, &cli).and_then(|app| commands::dispatch(&app, cli.command));
    match result {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => {
            let text = if json_errors {
                format!("{}\n", error.to_json())
            } else {
                error.to_text()
            };
            // Nothing is left to do when standard error is gone too.
            let _ = std::io::stderr().write_all(text.as_bytes());
            ExitCode::from(error.status.code())
        }
    }
}

fn clap_exit(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Status::Usage.code()
    } else {
        Status::Complete.code()
    })
}

fn wants_json(command: &Command) -> bool {
    match command {
        Command::Run(run) | Command::Compare(run) => run
            .settings
            .layer
            .values
            .get("format")
            .is_some_and(|format| format.iter().any(|name| name.starts_with("json"))),
        Command::Report(report) => report.format.starts_with("json"),
        _ => false,
    }
}
