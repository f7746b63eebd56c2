//! `toolbench probe`: what a model's server does with a request, without a suite.
//!
//! Data in: model names and the settings of a run. Data out: one line for each probe of each route,
//! and the routes that the model has not.

use std::sync::Mutex;

use serde::Serialize;

use super::super::{App, CliError, Status, print, print_json};
use super::models;
use crate::cli::args::RunArgs;
use crate::config::{Resolved, Settings};
use crate::plan::{contexts, route};
use crate::runner::{Ports, Prepared, Probing, over_wire, prepare, within_limits};
use crate::types::probe::{ProbeLoad, ProbeSet, ProbeVerdict};
use crate::types::{Constraint, DialectName, Mechanism, Price, Wire};

/// What is printed as JSON.
#[derive(Serialize)]
struct Probed {
    schema: &'static str,
    probes: Vec<ProbeSet>,
    unsupported: Vec<Unsupported>,
    /// Why some were not sent: they could pass a limit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
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
    let prices = super::limits::prices(app, &resolved, &resolved_models, None)?;
    let limits = super::limits::limits(&settings, &resolved_models, prices.clone())?;
    let ports = super::ports(
        &settings,
        &resolved_models,
        &super::RunSuites::none(),
        super::suites::corrections(&settings)?,
        std::collections::BTreeMap::new(),
        limits,
    );
    let names: Vec<(&str, Option<&Price>)> = resolved_models
        .iter()
        .zip(&prices)
        .flat_map(|(model, prices)| {
            let providers = model.providers.iter();
            providers.map(|_| (model.name.as_str(), prices.own.as_ref()))
        })
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
    status(&probed)
}

/// Whether anything was shown at all.
fn status(probed: &Probed) -> Result<Status, CliError> {
    let mut taken = ProbeLoad::default();
    for set in &probed.probes {
        taken.add(set.taken);
    }
    let nothing = |words: String| CliError::usage(words).kind("undecidable", Status::Undecidable);
    if let Some(reason) = probed.left_out.first() {
        return Err(nothing(format!("nothing more is known: {reason}")));
    }
    if taken.requests > 0 && taken.without_reply == taken.requests {
        let mut results = probed.probes.iter().flat_map(|set| &set.results);
        let why = results.next().map_or("", |result| &result.detail);
        let requests = taken.requests;
        return Err(nothing(format!(
            "nothing is known of the server: none of {requests} requests was answered ({why})"
        ))
        .hint(
            "`toolbench doctor` says what is missing on this machine; a server has its own log",
        ));
    }
    Ok(Status::Complete)
}

async fn all_routes(
    app: &App,
    resolved: &Resolved,
    settings: &Settings,
    names: &[(&str, Option<&Price>)],
    ports: &Ports,
    prepared: &Prepared,
) -> Result<Probed, CliError> {
    let mut probed = Probed {
        schema: "toolbench.probes/1",
        probes: Vec::new(),
        unsupported: Vec::new(),
        left_out: Vec::new(),
    };
    let contexts = contexts(&settings.variants);
    for (served, ((name, price), model)) in names.iter().zip(&prepared.models).enumerate() {
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
                    taken: Mutex::default(),
                };
                match within_limits(name, &probing, &ports.meter, *price).await {
                    Ok(set) => probed.probes.push(set),
                    Err(reason) => probed.left_out.push(reason),
                }
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
        out.push_str(&format!("  took {}\n", set.taken.in_words()));
    }
    for reason in &probed.left_out {
        out.push_str(&format!("{reason}\n"));
    }
    for one in &probed.unsupported {
        out.push_str(&format!(
            "{} · {} · {}: not available: {}\n",
            one.model, one.dialect, one.constraint, one.reason
        ));
    }
    out
}
