//! A hybrid: several models under one name, asked in order.
//!
//! Data in: a resolved `hybrid:` name and what the configuration says of it. Data out: a run's model
//! with its legs. Invariants: a leg is resolved as it would be alone; what decides when the next leg
//! is asked is part of what the hybrid is known by.

use std::collections::BTreeMap;

use super::super::{CliError, Status};
use super::models::{Making, RunModel, alias, named};
use crate::config::ModelAlias;
use crate::runner::{Hybrid, MAIN_LEG};
use crate::store::resolve::{ResolveInputs, resolve as resolve_name};
use crate::store::{Resolution, Resolved};
use crate::types::FallbackRules;

/// The legs of a hybrid, in order, and when the next is asked.
pub(super) struct HybridModel {
    pub(super) legs: Vec<RunModel>,
    pub(super) rules: FallbackRules,
}

impl RunModel {
    /// Names of the routes of its cells, in order.
    pub(super) fn leg_names(&self) -> Vec<&str> {
        match &self.hybrid {
            Some(hybrid) => hybrid.legs.iter().map(|leg| leg.name.as_str()).collect(),
            None => vec![MAIN_LEG],
        }
    }

    /// What really generates: its legs, or itself.
    pub(super) fn into_legs(self) -> Vec<Self> {
        match self.hybrid {
            Some(hybrid) => hybrid.legs,
            None => vec![self],
        }
    }
}

/// Resolves the legs and puts them together.
pub(super) async fn hybrid(
    making: &Making<'_>,
    inputs: &ResolveInputs<'_>,
    found: Resolved,
    legs: &[String],
) -> Result<RunModel, CliError> {
    let app = making.app;
    let own = alias(app, &found.name);
    if own.is_some_and(ModelAlias::is_of_a_server) {
        return Err(CliError::usage(format!(
            "model `{}` says how a server is asked, and it is a hybrid of several models",
            found.name
        ))
        .kind("model", Status::Usage)
        .hint(
            "say it of each leg: a [models.NAME] of its own, and source = \"hybrid:NAME+OTHER\"",
        ));
    }
    let rules = own.map_or_else(FallbackRules::default, ModelAlias::fallback);
    let mut models: Vec<RunModel> = Vec::new();
    for leg in legs {
        let resolved = resolve_name(leg, inputs).await.map_err(|error| {
            CliError::usage(format!("leg `{leg}` of `{}`: {error}", found.name))
                .kind("model", Status::Usage)
                .hint(error.hint())
        })?;
        if matches!(resolved.resolution, Resolution::Hybrid { .. }) {
            return Err(CliError::usage(format!(
                "leg `{leg}` of `{}` is a hybrid itself",
                found.name
            ))
            .kind("model", Status::Usage)
            .hint("name its legs one by one: hybrid:A+B+C"));
        }
        models.push(named(making, resolved, "leg").await?);
    }
    let identities: Vec<String> = models
        .iter()
        .map(|leg| format!("{} = {}", leg.name, leg.identity))
        .collect();
    let words = rules.in_words();
    Ok(RunModel {
        identity: format!("hybrid on {words}: {}", identities.join("; then ")),
        resolution: format!("{}; the next on {words}", found.sentence),
        name: found.name,
        sha256: None,
        // Where one leg runs here, this machine decides how long things take.
        probed: models.iter().any(|leg| leg.probed),
        remote: models.iter().all(|leg| leg.remote),
        providers: models
            .first()
            .map(|leg| leg.providers.clone())
            .unwrap_or_default(),
        hybrid: Some(HybridModel {
            legs: models,
            rules,
        }),
    })
}

/// What hybrids fall back to, by served index.
pub(super) fn by_served_index(models: &[RunModel]) -> BTreeMap<usize, Hybrid> {
    let mut hybrids = BTreeMap::new();
    let mut served = 0;
    for model in models {
        for context in 0..model.providers.len() {
            if let Some(hybrid) = &model.hybrid
                && let Some((first, further)) = hybrid.legs.split_first()
            {
                let further = further.iter();
                let further = further.map(|leg| (leg.name.clone(), leg.providers[context].clone()));
                let hybrid = Hybrid {
                    first: first.name.clone(),
                    further: further.collect(),
                    rules: hybrid.rules.clone(),
                };
                hybrids.insert(served, hybrid);
            }
            served += 1;
        }
    }
    hybrids
}
