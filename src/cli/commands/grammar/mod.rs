//! `toolbench grammar`: show a dialect's grammar; check one schema's grammar on instances; measure
//! the way from schema to grammar; time grammars on a real model.

mod check;
mod conformance;

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::GrammarCommand;
use crate::cli::flags::SettingFlags;
use crate::dialect::{Offer, Template, dialect};
use crate::types::facts::TemplateSource;
use crate::types::{DialectName, Mechanism, ModelFacts, Route, Wire};

/// Runs a grammar command.
pub(super) fn grammar(app: &App, command: &GrammarCommand) -> Result<Status, CliError> {
    match command {
        GrammarCommand::Show { .. } => show(app, command),
        GrammarCommand::Check(args) => check::check(app, args),
        GrammarCommand::Conformance(args) => conformance::conformance(app, args),
        GrammarCommand::Bench { model, repeats } => bench(app, model, *repeats),
    }
}

fn show(app: &App, command: &GrammarCommand) -> Result<Status, CliError> {
    let GrammarCommand::Show {
        suite,
        dialect: name,
        tool_choice,
        reasoning,
        model,
        format,
    } = command
    else {
        return Ok(Status::Complete);
    };
    let resolved = app.resolve(&SettingFlags::default())?;
    let name: DialectName = name
        .parse()
        .map_err(|message: String| CliError::usage(message))?;
    let facts = match model {
        Some(model) => facts_of(app, &resolved, model)?,
        None => ModelFacts::default(),
    };
    if name == DialectName::Native {
        let has_tools = Template::probe(&facts).is_ok_and(|template| template.traits().has_tools);
        if !has_tools {
            return Err(CliError::usage(
                "the form of `native` comes from a chat template with tools",
            )
            .hint("name a model that has one: `--model qwen2.5-coder:0.5b`"));
        }
    }
    let suites = app.library(&resolved).load(suite)?;
    let Some(suite) = suites.first().filter(|suite| !suite.tools.is_empty()) else {
        return Err(CliError::usage(format!(
            "suite `{suite}` has no tools of its own to show"
        )));
    };
    let offer = Offer {
        system: suite.system.clone(),
        tools: suite.tools.clone(),
        examples: Vec::new(),
        tool_choice: tool_choice
            .parse()
            .map_err(|message: String| CliError::usage(message))?,
        reasoning: reasoning
            .parse()
            .map_err(|message: String| CliError::usage(message))?,
        route: Route {
            leg: "main".to_owned(),
            wire: Wire::RawText,
            template: TemplateSource::Weights,
            mechanism: Some(Mechanism::Llguidance),
        },
        facts,
        envelope: None,
    };
    let grammar = dialect(name).grammar(&offer);
    match format.as_str() {
        "lark" => print(&grammar.to_lark())?,
        "json" => print_json(&grammar)?,
        other => {
            return Err(CliError::usage(format!(
                "`{other}` is not one of lark, json"
            )));
        }
    }
    Ok(Status::Complete)
}

/// What the weights say of the template; the model is not loaded.
fn facts_of(
    app: &App,
    resolved: &crate::config::Resolved,
    model: &str,
) -> Result<ModelFacts, CliError> {
    let path = super::model::local_path(
        &crate::cli::store_access::Store::open(app, resolved)?,
        model,
    )?;
    let header = crate::weights::gguf::read_header(&path)
        .map_err(|error| CliError::usage(error.to_string()).kind("model", Status::Usage))?;
    Ok(super::model::template_facts(&header))
}

#[cfg(feature = "llama")]
fn bench(app: &App, model: &str, repeats: u32) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    let store = crate::cli::store_access::Store::open(app, &resolved)?;
    let path = super::model::local_path(&store, model)?;
    super::print_with(|out| {
        crate::engine::sampling_bench::run(&app.env.executable, &path, repeats, out)
    })?;
    Ok(Status::Complete)
}

#[cfg(not(feature = "llama"))]
fn bench(_app: &App, _model: &str, _repeats: u32) -> Result<Status, CliError> {
    Err(super::no_engine())
}
