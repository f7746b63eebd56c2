//! Which routes of a plan are probed, and what the results mean for its cells.
//!
//! Data in: a plan with its routes, and ports. Data out: one [`ProbeSet`] for each model (each leg of
//! a hybrid is one), context, wire and mechanism in use. Invariants: the linked engine and scripts are not probed here, since
//! what they do with a route is held by this project's own tests.

use super::prepare::Prepared;
use super::probe::{Probing, probe};
use super::{Cancel, Ports};
use crate::plan::Plan;
use crate::types::probe::{ProbeName, ProbeSet};
use crate::types::{Mechanism, Route, Wire};

/// Probes each route of served models once; `all` probes every model.
pub async fn probe_cells(
    plan: &Plan,
    prepared: &Prepared,
    routes: &[Option<Vec<Route>>],
    ports: &Ports,
    all: bool,
    cancel: &Cancel,
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
            };
            let set = probe(name, &probing).await;
            sets.push(set);
        }
    }
    sets
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

/// Tokens for each character of a prompt, where the probe could count them.
pub(super) fn tokens_per_character(set: Option<&ProbeSet>) -> Option<f64> {
    set?.result(ProbeName::Truncation)?.value
}
