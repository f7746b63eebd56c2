//! Routes of all cells, and the header of a new run.

use std::collections::BTreeMap;
use std::path::Path;

use super::models::RunModel;
use super::suites::{RunSuites, SkippedSuite};
use crate::clock::now_rfc3339;
use crate::config::{Resolved, Settings};
use crate::plan::{Plan, PlannedCell, route};
use crate::record::format::{
    CellHeader, ExcludedCell, Header, METRICS_VERSION, ModelHeader, RECORD_VERSION, SCORER_VERSION,
    ToolPolicy, ToolServerHeader,
};
use crate::runner::{ModelPrices, Prepared, PreparedModel};
use crate::types::fingerprint::Fingerprint;
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{ModelFacts, Price, ProviderError, Route, ToolChoice, Wire, WirePreference};

/// Which cells run, how, and why the others do not.
pub(super) struct Routing {
    /// By cell, a route for each leg; `None` for excluded ones.
    pub(super) routes: Vec<Option<Vec<Route>>>,
    pub(super) excluded: Vec<ExcludedCell>,
}

impl Routing {
    pub(super) fn of(
        plan: &Plan,
        models: &[RunModel],
        preference: WirePreference,
        prepared: &Prepared,
        skipped: &[SkippedSuite],
    ) -> Self {
        let mut routing = Self {
            routes: Vec::new(),
            excluded: Vec::new(),
        };
        for suite in skipped {
            routing.excluded.push(ExcludedCell {
                model: String::new(),
                labels: BTreeMap::from([("suite".to_owned(), suite.suite.clone())]),
                cases: suite.cases,
                failed: true,
                reason: suite.reason.clone(),
            });
        }
        for cell in &plan.cells {
            let names = models[cell.model].leg_names();
            let found = cell_routes(plan, cell, &names, preference, prepared);
            if let Err(reason) = &found {
                // A model that does not fit this machine is a result, not a failure.
                let usable = prepared.usable(cell.served);
                let too_large = matches!(usable, Err(ProviderError::NotEnoughMemory { .. }));
                let failed = !too_large && usable.is_err() || prepared.hosts[cell.suite].is_err();
                routing.exclude(plan, cell, failed, reason);
            }
            routing.routes.push(found.ok());
        }
        routing
    }

    /// One sentence per model and reason, with everything it concerns: the combinations, and of
    /// each in how many suites.
    pub(super) fn notices(&self) -> Vec<String> {
        // Combination, suites, cases.
        type Lines = Vec<(String, usize, usize)>;
        let mut grouped: Vec<(String, Lines)> = Vec::new();
        for excluded in &self.excluded {
            let model = if excluded.model.is_empty() {
                "all models"
            } else {
                &excluded.model
            };
            let mut labels: Vec<&str> = ["dialect", "constraint", "variant"]
                .iter()
                .filter_map(|name| excluded.labels.get(*name).map(String::as_str))
                .collect();
            let suite = excluded.labels.get("suite").map(String::as_str);
            if labels.is_empty() {
                labels.extend(suite);
            }
            let what = labels.join(" · ");
            let why = format!("{model}: {}", excluded.reason);
            let index = grouped
                .iter()
                .position(|(known, _)| *known == why)
                .unwrap_or_else(|| {
                    grouped.push((why, Vec::new()));
                    grouped.len() - 1
                });
            let list = &mut grouped[index].1;
            match list.iter_mut().find(|(known, ..)| *known == what) {
                Some((_, suites, cases)) => {
                    *suites += 1;
                    *cases += excluded.cases;
                }
                None => list.push((what, 1, excluded.cases)),
            }
        }
        grouped
            .into_iter()
            .map(|(why, list)| {
                let parts: Vec<String> = list
                    .into_iter()
                    .map(|(what, suites, cases)| match suites {
                        1 => format!("{what} ({cases} cases)"),
                        _ => format!("{what} ({cases} cases in {suites} suites)"),
                    })
                    .collect();
                format!("not run: {why}: {}", parts.join(", "))
            })
            .collect()
    }

    /// Only the cells that a resumed run was started with.
    pub(super) fn keep_only(&mut self, plan: &Plan, header: &Header) {
        for (route, cell) in self.routes.iter_mut().zip(&plan.cells) {
            if !header.cells.iter().any(|known| known.id == cell.id) {
                *route = None;
            }
        }
    }

    fn exclude(&mut self, plan: &Plan, cell: &PlannedCell, failed: bool, reason: &str) {
        let key = &cell.key;
        let labels = [
            ("dialect", key.dialect.to_string()),
            ("constraint", key.constraint.to_string()),
            ("suite", key.suite.clone()),
            ("variant", key.variant.clone()),
        ];
        self.excluded.push(ExcludedCell {
            model: key.model.clone(),
            labels: labels
                .into_iter()
                .filter(|(name, value)| *name != "variant" || value != "default")
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            cases: plan.suites[cell.suite].cases.len(),
            failed,
            reason: reason.to_owned(),
        });
    }
}

/// A setting of the cell that its model's server is known to refuse.
fn refused_setting(
    plan: &Plan,
    cell: &PlannedCell,
    route: &Route,
    facts: &ModelFacts,
) -> Option<String> {
    let variant = &plan.variants[cell.variant];
    let sampling = &variant.sampling;
    let sampled = !sampling.is_greedy();
    let asked = [
        ("top_p", sampled && sampling.top_p < 1.0),
        ("top_k", sampled && sampling.top_k > 0),
        ("min_p", sampled && sampling.min_p > 0.0),
        (
            "repeat_penalty",
            (sampling.repeat_penalty - 1.0).abs() > f32::EPSILON,
        ),
        (
            "tool_choice",
            route.wire == Wire::ChatWithTools && plan.rules.tool_choice != ToolChoice::Auto,
        ),
    ];
    asked
        .into_iter()
        .find(|(name, asked)| *asked && facts.refuses.iter().any(|refused| refused == name))
        .map(|(name, _)| {
            format!(
                "`{}` does not take `{name}`, which variant `{}` sets",
                facts.provider, variant.name
            )
        })
}

/// A route for each leg; in a hybrid a reason names the leg.
fn cell_routes(
    plan: &Plan,
    cell: &PlannedCell,
    names: &[&str],
    preference: WirePreference,
    prepared: &Prepared,
) -> Result<Vec<Route>, String> {
    let legs = prepared.legs(cell.served);
    let several = legs.len() > 1;
    prepared.hosts[cell.suite].as_ref().map_err(Clone::clone)?;
    let mut routes = Vec::new();
    for (name, leg) in names.iter().zip(legs) {
        let found = leg
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|model| leg_route(plan, cell, preference, model));
        let route = found.map_err(|reason| {
            if several {
                format!("leg `{name}`: {reason}")
            } else {
                reason
            }
        })?;
        routes.push(Route {
            leg: (*name).to_owned(),
            ..route
        });
    }
    Ok(routes)
}

fn leg_route(
    plan: &Plan,
    cell: &PlannedCell,
    preference: WirePreference,
    model: &PreparedModel,
) -> Result<Route, String> {
    let found = route(
        cell.key.dialect,
        cell.key.constraint,
        preference,
        &model.facts,
        model.template_has_tools,
    )
    .map_err(|unsupported| unsupported.to_string());
    // What is wrong with a template is the reason only where a sound one would have made a route.
    let for_its_template = || {
        let with_sound_template = route(
            cell.key.dialect,
            cell.key.constraint,
            preference,
            &model.facts,
            true,
        );
        found.is_err() && model.facts.chat_template.is_some() && with_sound_template.is_ok()
    };
    if let Ok(route) = &found
        && let Some(reason) = refused_setting(plan, cell, route, &model.facts)
    {
        return Err(reason);
    }
    match &model.template_problem {
        Some(problem) if for_its_template() => Err(problem.clone()),
        _ => found,
    }
}

/// What a header is made of.
pub(super) struct HeaderParts<'a> {
    pub(super) directory: &'a Path,
    pub(super) command: &'a str,
    pub(super) settings: &'a Settings,
    pub(super) resolved: &'a Resolved,
    pub(super) plan: &'a Plan,
    pub(super) models: &'a [RunModel],
    pub(super) suites: &'a RunSuites,
    pub(super) prepared: &'a Prepared,
    pub(super) routing: &'a Routing,
    pub(super) tool_servers: Vec<ToolServerHeader>,
    pub(super) tool_policy: Option<&'a ToolPolicy>,
    pub(super) fingerprint: &'a Fingerprint,
    /// By model.
    pub(super) prices: &'a [ModelPrices],
}

/// A model with what was learnt of it, and its legs.
fn model_header(parts: &HeaderParts<'_>, index: usize, model: &RunModel) -> ModelHeader {
    let served = index * parts.plan.contexts.len();
    let prices = parts.prices.get(index).cloned().unwrap_or_default();
    let plain = |model: &RunModel, facts: ModelFacts, price: Option<Price>| ModelHeader {
        name: model.name.clone(),
        resolution: model.resolution.clone(),
        weights_sha256: model.sha256.clone(),
        facts,
        price,
        legs: Vec::new(),
        fallback: None,
    };
    let own = plain(model, parts.prepared.facts(served), prices.own);
    let Some(hybrid) = &model.hybrid else {
        return own;
    };
    let prepared = parts.prepared.legs(served);
    let legs = hybrid.legs.iter().zip(prepared).zip(prices.legs);
    let legs = legs.map(|((leg, prepared), (_, price))| {
        let facts = prepared.as_ref().map(|model| model.facts.clone());
        plain(leg, facts.unwrap_or_default(), price)
    });
    ModelHeader {
        legs: legs.collect(),
        fallback: Some(hybrid.rules.clone()),
        ..own
    }
}

/// The header of a new run.
pub(super) fn header(parts: &HeaderParts<'_>) -> Header {
    let plan = parts.plan;
    let cells: Vec<CellHeader> = plan
        .cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| {
            let routes = parts.routing.routes[index].clone()?;
            Some(CellHeader {
                key: cell.key.clone(),
                id: cell.id.clone(),
                routes,
                cases: plan.suites[cell.suite].cases.len(),
                trials: plan
                    .trials
                    .iter()
                    .filter(|trial| trial.cell == index)
                    .count(),
            })
        })
        .collect();
    Header {
        record_version: RECORD_VERSION,
        scorer_version: SCORER_VERSION,
        metrics_version: METRICS_VERSION,
        taxonomy_version: TAXONOMY_VERSION,
        toolbench_version: env!("CARGO_PKG_VERSION").to_owned(),
        toolbench_revision: env!("BUILD_GIT_REVISION").to_owned(),
        run: parts
            .directory
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default(),
        created_at: now_rfc3339(),
        command: parts.command.to_owned(),
        plan_hash: plan.hash.clone(),
        selection: parts.suites.selection.clone(),
        sample: parts.suites.sample,
        suites: plan.suites.clone(),
        settings: parts.resolved.settings.clone(),
        variants: plan.variants.clone(),
        models: parts
            .models
            .iter()
            .enumerate()
            .map(|(index, model)| model_header(parts, index, model))
            .collect(),
        planned_trials: cells.iter().map(|cell| cell.trials).sum(),
        cells,
        excluded: parts.routing.excluded.clone(),
        probes: parts.prepared.probes.clone(),
        margin_points: parts.settings.margin_points,
        rescored_from: None,
        privacy: None,
        tool_servers: parts.tool_servers.clone(),
        tool_policy: parts.tool_policy.cloned(),
        looks: plan.looks.clone(),
        shard: parts.settings.shard,
        whole: plan.whole.clone(),
        merged_from: Vec::new(),
        fingerprint: parts.fingerprint.clone(),
    }
}
