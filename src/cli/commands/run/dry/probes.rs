//! What the probes before the first trial may take.
//!
//! Data in: a dry run. Data out: an estimate, and amounts where prices are known. Invariants: nothing
//! is asked: routes are those that the dialects and constraints usually get, each probed once.

use super::super::limits::priced;
use super::{Amounts, DryRun};
use crate::config::Probes as Wanted;
use crate::plan::Estimate;
use crate::runner::probe_estimate;
use crate::types::{Constraint, DialectName, Wire, WirePreference};

/// What the probes may take and cost.
#[derive(Default)]
pub(super) struct Probes {
    pub(super) estimate: Estimate,
    pub(super) costs: Vec<Amounts>,
}

/// Of all routes of models that are probed.
pub(super) fn of(dry: &DryRun<'_>) -> Probes {
    let mut probes = Probes::default();
    if dry.resumed || dry.settings.probes == Wanted::Off {
        return probes;
    }
    let mut done: Vec<(&str, u32, Wire, bool)> = Vec::new();
    for cell in &dry.plan.cells {
        let (Some(model), Some(prices)) = (dry.models.get(cell.model), dry.prices.get(cell.model))
        else {
            continue;
        };
        let context_tokens = dry.plan.variants[cell.variant].context_tokens;
        let wire = usual_wire(dry.settings.wire, cell.key.dialect);
        let is_constrained = cell.key.constraint == Constraint::Grammar;
        for (one, price) in priced(std::slice::from_ref(model), std::slice::from_ref(prices)) {
            let route = (one.name.as_str(), context_tokens, wire, is_constrained);
            if done.contains(&route) || !(one.probed || dry.settings.probes == Wanted::On) {
                continue;
            }
            let is_known = done
                .iter()
                .any(|it| (it.0, it.1, it.2) == (route.0, route.1, route.2));
            done.push(route);
            let estimate = probe_estimate(wire, is_constrained, context_tokens, is_known);
            probes.estimate.add(estimate);
            probes.costs.extend(price.map(|price| {
                let (typical, worst) = (estimate.typical, estimate.worst);
                Amounts {
                    typical: price.amount(typical.prompt_tokens, typical.output_tokens),
                    worst: price.amount(worst.prompt_tokens, worst.output_tokens),
                    currency: price.currency.clone(),
                    document: price.document.clone(),
                    date: price.date.clone(),
                }
            }));
        }
    }
    probes
}

fn usual_wire(preference: WirePreference, dialect: DialectName) -> Wire {
    match (preference, dialect) {
        (WirePreference::Raw, _) => Wire::RawText,
        (WirePreference::Tools, _) | (WirePreference::Auto, DialectName::Native) => {
            Wire::ChatWithTools
        }
        (WirePreference::Chat | WirePreference::Auto, _) => Wire::Chat,
    }
}
