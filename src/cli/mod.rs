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
mod gate_args;
mod host_args;
mod mcp_args;
mod outputs;
mod prices;
mod recorder;
mod report_args;
mod runs_args;
mod safety_args;
mod scale_args;
mod score_args;
mod servers;
mod setup_args;
mod shard;
mod sizing_args;
mod store_access;
mod ui;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use args::Cli;
use context::App;
pub use env::{Env, HEEDED_VARIABLES, OWN_VARIABLES};
use error::CliError;
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
    report_full_files();
    let env = Env::capture();
    let json_errors = wants_json(&env);
    let parsed = command()
        .try_get_matches_from(&env.arguments)
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) if json_errors && error.use_stderr() => {
            let text = error.to_string();
            let first = text
                .lines()
                .next()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            return fail(&CliError::usage(first), true);
        }
        Err(error) => return clap_exit(&error),
    };
    let ui = Ui::new(cli.quiet, cli.verbose, &env);
    let result = App::new(env, ui, &cli).and_then(|app| commands::dispatch(&app, cli.command));
    match result {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => fail(&error, json_errors),
    }
}

/// A write past a limit on file size is an error like a full disk, not the end of the process.
#[cfg(unix)]
fn report_full_files() {
    // SAFETY: ignoring a signal installs no handler and touches no memory of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

#[cfg(not(unix))]
fn report_full_files() {}

/// Says what went wrong, and ends with its code.
fn fail(error: &CliError, json: bool) -> ExitCode {
    let text = if json {
        format!("{}\n", error.to_json())
    } else {
        error.to_text()
    };
    // Nothing is left to do when standard error is gone too.
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(error.status.code())
}

fn clap_exit(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Status::Usage.code()
    } else {
        Status::Complete.code()
    })
}

/// Errors are JSON where output is: by flag, whatever the command, or by variable. Looked up in the
/// raw arguments, because it must also hold for arguments that do not parse.
fn wants_json(env: &Env) -> bool {
    let is_json = |value: &str| matches!(value, "json" | "jsonl" | "canonical");
    let mut arguments = env
        .arguments
        .iter()
        .map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        if let Some(value) = argument.strip_prefix("--format") {
            return match value.strip_prefix('=') {
                Some(value) => is_json(value),
                None => arguments.next().is_some_and(|value| is_json(&value)),
            };
        }
    }
    env.variable("TOOLBENCH_FORMAT").is_some_and(is_json)
}
