//! `toolbench probe`: what a model's server does with a request, without a suite.
//!
//! Data in: model names and the settings of a run. Data out: one line for each probe of each route,
//! and the routes that the model has not.

use serde::Serialize;

use super::super::{App, CliError, Status, print, print_json};
use super::models;
use crate::cli::args::RunArgs;
use crate::config::{Resolved, Settings};
use crate::plan::{contexts, route};
use crate::runner::{Ports, Prepared, Probing, over_wire, prepare, probe as probe_route};
use crate::types::probe::{ProbeSet, ProbeVerdict};
use crate::types::{Constraint, DialectName, Mechanism, Wire};

/// What is printed as JSON.
#[derive(Serialize)]
struct Probed {
    schema: &'static str,
    probes: Vec<ProbeSet>,
    unsupported: Vec<Unsupported>,
}

/// A route that a model has not.
#[derive(Serialize)]
struct Unsupported {
    model: String,
    dialect: DialectName,
    constraint: Constraint,
    reason: String,
}

/// Probes every route of the models.
pub(in crate::cli) fn probe(app: &App, args: &RunArgs) -> Result<Status, CliError> {
    if args.models.is_empty() {
        return Err(CliError::usage("no model is named").hint("toolbench probe MODEL"));
    }
    let resolved = app.resolve(&args.settings)?;
    let settings = app.settings(&resolved)?;
    let resolved_models: Vec<_> = models::resolve(app, &resolved, &settings, &args.models, false)?
        .into_iter()
        .flat_map(models::RunModel::into_legs)
        .collect();
    let ports = super::ports(
        &settings,
        &resolved_models,
        &super::RunSuites::none(),
        super::suites::corrections(&settings)?,
        std::collections::BTreeMap::new(),
        crate::runner::Limits::default(),
    );
    let names: Vec<&str> = resolved_models
        .iter()
        .flat_map(|model| model.providers.iter().map(|_| model.name.as_str()))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    let probed = runtime.block_on(async {
        let prepared = prepare(&ports, app.interrupts()).await;
        let probed = all_routes(app, &resolved, &settings, &names, &ports, &prepared).await;
        super::close(&ports).await;
        probed
    })?;
    if settings.format == "json" {
        print_json(&probed)?;
    } else {
        print(&as_text(&probed))?;
    }
    Ok(Status::Complete)
}

async fn all_routes(
    app: &App,
    resolved: &Resolved,
    settings: &Settings,
    names: &[&str],
    ports: &Ports,
    prepared: &Prepared,
) -> Result<Probed, CliError> {
    let mut probed = Probed {
        schema: "toolbench.probes/1",
        probes: Vec::new(),
        unsupported: Vec::new(),
    };
    let contexts = contexts(&settings.variants);
    for (served, (name, model)) in names.iter().zip(&prepared.models).enumerate() {
        let model = model.as_ref().map_err(|error| {
            CliError::usage(format!("model `{name}` cannot be used: {error}"))
                .kind("model", Status::Usage)
        })?;
        let mut done: Vec<(Wire, Option<Mechanism>)> = Vec::new();
        for dialect in dialects(resolved, settings) {
            for &constraint in &settings.constraints {
                let found = route(
                    dialect,
                    constraint,
                    settings.wire,
                    &model.facts,
                    model.template_has_tools,
                );
                let route = match found {
                    Ok(route) => route,
                    Err(reason) => {
                        probed.unsupported.push(Unsupported {
                            model: (*name).to_owned(),
                            dialect,
                            constraint,
                            reason: reason.to_string(),
                        });
                        continue;
                    }
                };
                if done.contains(&(route.wire, route.mechanism)) {
                    continue;
                }
                done.push((route.wire, route.mechanism));
                let context_tokens = contexts[served % contexts.len()];
                let probing = Probing {
                    provider: ports.providers[served].as_ref(),
                    model,
                    dialect,
                    route: &route,
                    context_tokens,
                    limit_ms: settings.rules.attempt_limit_ms,
                    cancel: &app.interrupts().stop,
                    known: over_wire(&probed.probes, name, context_tokens, route.wire),
                };
                let set = probe_route(name, &probing).await;
                probed.probes.push(set);
            }
        }
    }
    Ok(probed)
}

/// The dialects asked for; without any, both ways in which servers are used.
fn dialects(resolved: &Resolved, settings: &Settings) -> Vec<DialectName> {
    if resolved.origin("dialect") == Some("built-in") {
        vec![DialectName::Native, DialectName::Json]
    } else {
        settings.dialects.clone()
    }
}

fn as_text(probed: &Probed) -> String {
    let mut out = String::new();
    for set in &probed.probes {
        let constraint = set
            .mechanism
            .map_or_else(|| "unconstrained".to_owned(), |one| one.as_str().to_owned());
        out.push_str(&format!(
            "{} · {} · {constraint}\n",
            set.model,
            set.wire.as_str()
        ));
        for result in &set.results {
            let mark = match result.verdict {
                ProbeVerdict::Violated => "✗",
                ProbeVerdict::Proven => "✓",
                ProbeVerdict::Unproven => "?",
            };
            let code = result
                .code
                .map_or_else(String::new, |code| format!(" [{code}]"));
            out.push_str(&format!(
                "  {mark} {:<13} {:<9}{code} {}\n",
                result.probe.as_str(),
                result.verdict.as_str(),
                result.detail
            ));
        }
    }
    for one in &probed.unsupported {
        out.push_str(&format!(
            "{} · {} · {}: not available: {}\n",
            one.model, one.dialect, one.constraint, one.reason
        ));
    }
    out
}
