//! Which routes of a plan are probed, and what the results mean for its cells.
//!
//! Data in: a plan with its routes, and ports. Data out: one [`ProbeSet`] for each model (each leg of
//! a hybrid is one), context, wire and mechanism in use. Invariants: the linked engine and scripts are
//! not probed here, since what they do with a route is held by this project's own tests; probes count
//! against the limits of the run, and what could pass one is left out.

use std::sync::Mutex;

use super::prepare::Prepared;
use super::probe::{Probing, probe, probe_estimate};
use super::{Cancel, Meter, Ports};
use crate::plan::Plan;
use crate::types::probe::{ProbeName, ProbeSet};
use crate::types::{Mechanism, Price, Route, Wire};

/// Probes each route of served models once; `all` probes every model. `left_out` hears of routes whose
/// probes could pass a limit.
pub async fn probe_cells(
    plan: &Plan,
    prepared: &Prepared,
    routes: &[Option<Vec<Route>>],
    ports: &Ports,
    all: bool,
    cancel: &Cancel,
    left_out: &dyn Fn(&str),
) -> Vec<ProbeSet> {
    let mut done: Vec<(&str, u32, Wire, Option<Mechanism>)> = Vec::new();
    let mut sets = Vec::new();
    for (cell, routes) in plan.cells.iter().zip(routes) {
        let (Some(routes), Ok(models)) = (routes, prepared.usable(cell.served)) else {
            continue;
        };
        let context_tokens = plan.variants[cell.variant].context_tokens;
        let legs = ports.legs(cell.served).into_iter();
        for (((leg, provider), model), route) in legs.zip(models).zip(routes) {
            let name = ports.model_of(cell.served, leg, &cell.key.model);
            let key = (name, context_tokens, route.wire, route.mechanism);
            let served = model.facts.endpoint.is_some() || model.facts.provider == "command";
            if done.contains(&key) || !(served || all) || cancel.stop.is_cancelled() {
                continue;
            }
            done.push(key);
            let probing = Probing {
                provider: provider.as_ref(),
                model,
                dialect: cell.key.dialect,
                route,
                context_tokens,
                limit_ms: plan.rules.attempt_limit_ms,
                cancel: &cancel.stop,
                known: over_wire(&sets, name, context_tokens, route.wire),
                taken: Mutex::default(),
            };
            let prices = ports.meter.prices_of(cell.model);
            let price = prices.and_then(|prices| prices.of_leg(leg));
            match within_limits(name, &probing, &ports.meter, price).await {
                Ok(set) => sets.push(set),
                Err(reason) => left_out(&reason),
            }
        }
    }
    sets
}

/// Probes a route where that cannot pass a limit, and counts what it took; otherwise the reason.
pub async fn within_limits(
    name: &str,
    probing: &Probing<'_>,
    meter: &Meter,
    price: Option<&Price>,
) -> Result<ProbeSet, String> {
    let route = probing.route;
    let worst = probe_estimate(
        route.wire,
        route.mechanism.is_some(),
        probing.context_tokens,
        probing.knows_long_prompts(),
    )
    .worst;
    meter.admits_probes(&worst, price).map_err(|reason| {
        format!(
            "{name} over {}: the probes are left out: {reason}",
            route.wire.as_str()
        )
    })?;
    let set = probe(name, probing).await;
    meter.probed(&set, price);
    Ok(set)
}

/// The probes of a model over a wire, whatever the constraint.
pub fn over_wire<'a>(
    sets: &'a [ProbeSet],
    model: &str,
    context_tokens: u32,
    wire: Wire,
) -> Option<&'a ProbeSet> {
    sets.iter()
        .find(|set| set.model == model && set.context_tokens == context_tokens && set.wire == wire)
}

/// The probes of a cell's route.
pub(super) fn of_route<'a>(
    sets: &'a [ProbeSet],
    model: &str,
    context_tokens: u32,
    route: &Route,
) -> Option<&'a ProbeSet> {
    sets.iter().find(|set| {
        set.model == model
            && set.context_tokens == context_tokens
            && set.wire == route.wire
            && set.mechanism == route.mechanism
    })
}

/// Why a constraint is not credited, where a probe has shown that it does not hold.
pub(super) fn not_enforced(set: Option<&ProbeSet>) -> Option<String> {
    let result = set?.violated(ProbeName::Constraint)?;
    Some(format!("the probe: {}", result.detail))
}
