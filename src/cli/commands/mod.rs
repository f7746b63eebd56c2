//! One file per command: settings in, status out.

mod baseline;
mod config;
mod doctor;
mod explain;
mod export_setup;
mod gate;
mod grammar;
mod history;
mod import;
mod init;
mod mcp;
mod merge;
mod model;
mod qualify;
mod report;
mod rescore;
mod run;
mod runs;
mod score;
mod sizing;
mod suite;

pub(super) use run::mock;

use super::args::Command;
use super::context::{App, print, print_json, print_with};
use super::error::CliError;
use super::exit_code::Status;

/// Runs one command.
pub(super) fn dispatch(app: &App, command: Command) -> Result<Status, CliError> {
    match command {
        Command::Run(args) => run::run(app, &args, "run"),
        Command::Compare(args) => run::run(app, &args, "compare"),
        Command::Gate(args) => gate::gate(app, *args),
        Command::Baseline(command) => baseline::baseline(app, &command),
        Command::Probe(args) => run::probe(app, &args),
        Command::Sizing(args) => sizing::sizing(app, &args),
        Command::Report(args) => report::report(app, &args),
        Command::Runs(command) => runs::runs(app, &command),
        Command::ExportSetup(args) => export_setup::export_setup(app, &args),
        Command::Merge(args) => merge::merge(app, &args),
        Command::History(args) => history::history(app, &args),
        Command::Qualify(args) => qualify::qualify(app, &args),
        Command::Rescore(args) => rescore::rescore(app, &args),
        Command::Score(args) => score::score(app, &args),
        Command::Import(command) => import::import(app, &command),
        Command::Explain { name, format } => explain::explain(name.as_deref(), format),
        Command::Suite(command) => suite::suite(app, command),
        Command::Model(command) => model::model(app, command),
        Command::Grammar(command) => grammar::grammar(app, &command),
        Command::Mcp(command) => mcp::mcp(app, command),
        Command::Init { force } => init::init(app, force),
        Command::Doctor { format } => doctor::doctor(app, format),
        Command::Config(command) => config::config(app, command),
        Command::Completions { shell } => completions(shell),
        Command::Man => man(),
        Command::Engine => engine(app),
        Command::Schema { name } => schema(&name),
    }
}

fn completions(shell: clap_complete::Shell) -> Result<Status, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "toolbench", &mut text);
    print_with(|out| out.write_all(&text))?;
    Ok(Status::Complete)
}

fn man() -> Result<Status, CliError> {
    print_with(|out| clap_mangen::Man::new(super::command()).render(out))?;
    Ok(Status::Complete)
}

/// The child that serves one model; its standard output belongs to the protocol.
#[cfg(feature = "llama")]
fn engine(app: &App) -> Result<Status, CliError> {
    let verbose = app.ui.verbosity > super::ui::Verbosity::Normal;
    crate::engine::serve(&app.env.executable, verbose)
        .map_err(|error| CliError::usage(format!("the engine's streams failed: {error}")))?;
    Ok(Status::Complete)
}

#[cfg(not(feature = "llama"))]
fn engine(_app: &App) -> Result<Status, CliError> {
    Err(no_engine())
}

/// Version of the linked llama.cpp; part of every plan.
#[cfg(feature = "llama")]
pub(super) fn engine_build() -> String {
    crate::engine::version()
}

/// A build without the engine has no version of it.
#[cfg(not(feature = "llama"))]
pub(super) fn engine_build() -> String {
    "none".to_owned()
}

/// The error of a build without llama.cpp.
#[cfg(not(feature = "llama"))]
pub(super) fn no_engine() -> CliError {
    CliError::usage("this toolbench was built without the linked engine (feature `llama`)")
        .hint("build it with `cargo build --release`, or use a `scripted:FILE` model")
}

fn schema(name: &str) -> Result<Status, CliError> {
    let value = match name {
        "suite" => crate::suite::suite_schema(),
        "summary" => crate::metrics::summary_schema(),
        "gate" => crate::gate::gate_schema(),
        "qualify" => crate::qualify::qualify_schema(),
        "sizing" => crate::sizing::sizing_schema(),
        other => {
            return Err(CliError::usage(format!("unknown schema `{other}`"))
                .hint("the schemas are suite, summary, gate, qualify and sizing"));
        }
    };
    print_json(&value)?;
    Ok(Status::Complete)
}
