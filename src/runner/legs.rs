//! What a served index of the plan is asked through: one leg, or the legs of a hybrid in order.
//!
//! Data in: ports and what was prepared. Data out: legs by name, all in order. Invariants: the first
//! leg stands where every model does, further ones beside it, so a plan knows nothing of legs.

use std::sync::Arc;

use super::findings::of_provider;
use super::{Ports, Prepared, PreparedModel};
use crate::model::Provider;
use crate::types::{FallbackRules, ModelFacts, ProviderError};

/// The name of the only leg of a model that is no hybrid.
pub const MAIN_LEG: &str = "main";

/// A hybrid: what is asked when the first leg is passed over, and when that is.
pub struct Hybrid {
    /// Name of the first leg; its provider stands in [`Ports::providers`].
    pub first: String,
    /// Further legs in order.
    pub further: Vec<(String, Arc<dyn Provider>)>,
    /// When the next leg is asked.
    pub rules: FallbackRules,
}

impl Ports {
    /// Names and providers of a served index, in the order in which they are asked.
    pub fn legs(&self, served: usize) -> Vec<(&str, &Arc<dyn Provider>)> {
        let hybrid = self.hybrids.get(&served);
        let first = hybrid.map_or(MAIN_LEG, |hybrid| hybrid.first.as_str());
        let mut legs = vec![(first, &self.providers[served])];
        for (name, provider) in hybrid.iter().flat_map(|hybrid| &hybrid.further) {
            legs.push((name, provider));
        }
        legs
    }

    /// The name by which a leg is known as a model; `model` itself where it is no hybrid.
    pub(super) fn model_of<'a>(&self, served: usize, leg: &'a str, model: &'a str) -> &'a str {
        if self.hybrids.contains_key(&served) {
            leg
        } else {
            model
        }
    }

    /// When a hybrid asks its next leg; `None` for any other model.
    pub(super) fn rules(&self, served: usize) -> Option<&FallbackRules> {
        self.hybrids.get(&served).map(|hybrid| &hybrid.rules)
    }

    /// A leg that fails so is passed over. Never so for a model that is no hybrid.
    pub(super) fn is_passed_over(&self, served: usize, error: &ProviderError) -> bool {
        let code = of_provider(error).code;
        let rules = self.rules(served);
        rules.is_some_and(|rules| rules.cause(Some(code), 0.0).is_some())
    }

    /// Every provider, those of all legs.
    pub fn all_providers(&self) -> impl Iterator<Item = &Arc<dyn Provider>> {
        let further = self.hybrids.values().flat_map(|hybrid| &hybrid.further);
        self.providers
            .iter()
            .chain(further.map(|(_, provider)| provider))
    }
}

impl Prepared {
    /// What each leg of a served index said, in order.
    pub fn legs(&self, served: usize) -> Vec<&Result<PreparedModel, ProviderError>> {
        let further = self.further.get(&served);
        std::iter::once(&self.models[served])
            .chain(further.into_iter().flatten())
            .collect()
    }

    /// All legs, or the first reason why one cannot be used.
    pub fn usable(&self, served: usize) -> Result<Vec<&PreparedModel>, &ProviderError> {
        let legs = self.legs(served).into_iter();
        legs.map(Result::as_ref).collect()
    }

    /// What a model said of itself; of a hybrid what holds of all its legs.
    pub fn facts(&self, served: usize) -> ModelFacts {
        let facts = |leg: &Result<PreparedModel, ProviderError>| {
            leg.as_ref()
                .map_or_else(|_| ModelFacts::default(), |model| model.facts.clone())
        };
        let legs: Vec<ModelFacts> = self.legs(served).into_iter().map(facts).collect();
        if let [only] = &legs[..] {
            return only.clone();
        }
        let names: Vec<&str> = legs.iter().map(|leg| leg.reported_name.as_str()).collect();
        ModelFacts {
            provider: "hybrid".to_owned(),
            reported_name: names.join(" + "),
            context_tokens: legs.iter().map(|leg| leg.context_tokens).min().unwrap_or(0),
            deterministic_when_greedy: legs.iter().all(|leg| leg.deterministic_when_greedy),
            remote: legs.iter().all(|leg| leg.remote),
            ..ModelFacts::default()
        }
    }
}
