//! Cells and trials from models, suites and settings.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::looks::looks;
use super::shard::part_of;
use crate::types::hash::trial_seed;
use crate::types::looks::LookPlan;
use crate::types::shard::WholePlan;
use crate::types::{CellKey, Constraint, ContentHash, DialectName, Suite, TrialRules, Variant};

/// Tier of models that another machine serves.
const REMOTE_TIER: &str = "remote";

/// Everything a plan is made of. `model_identity` is what the weights or the server are known by,
/// so that a changed file is a changed plan.
#[derive(Clone, Debug)]
pub struct PlanInput {
    /// Models in the order given: name and identity.
    pub models: Vec<(String, String)>,
    /// Dialects.
    pub dialects: Vec<DialectName>,
    /// Constraints.
    pub constraints: Vec<Constraint>,
    /// Variants.
    pub variants: Vec<Variant>,
    /// Suites with the selected cases.
    pub suites: Vec<Suite>,
    /// Trials per case.
    pub trials: u32,
    /// Stop once decided, with at most this many trials per case where decoding samples.
    pub until_decided: Option<u32>,
    /// Seed of the run.
    pub seed: u64,
    /// Rules of every trial.
    pub rules: TrialRules,
    /// Hardware tier.
    pub tier: String,
    /// Models that another machine serves: their tier is `remote`.
    pub remote: BTreeSet<String>,
    /// `i/n`, from 1.
    pub shard: Option<(u32, u32)>,
    /// Engine settings that shape speed or replies; part of every cell's key.
    pub engine: BTreeMap<String, String>,
    /// Further identities that shape replies: engine build, distractor pool, correction texts.
    pub identities: BTreeMap<String, String>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedCell {
    /// The key.
    pub key: CellKey,
    /// [`CellKey::id`].
    pub id: String,
    /// Index of the model.
    pub model: usize,
    /// Index among models × contexts: what is loaded for it ([`Plan::contexts`]).
    pub served: usize,
    /// Index of the variant.
    pub variant: usize,
    /// Index of the suite.
    pub suite: usize,
}

/// One trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTrial {
    /// Stable id: hash of cell, case and trial index.
    pub id: String,
    /// Position in the plan.
    pub position: usize,
    /// Index of the cell.
    pub cell: usize,
    /// Index of the case in its suite.
    pub case: usize,
    /// Trial index from 0.
    pub trial: u32,
    /// Sampler seed.
    pub seed: u64,
}

/// What is to be run, in order: model by model, cell by cell, case by case.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Hash of everything that decides replies and verdicts.
    pub hash: ContentHash,
    /// Cells in order.
    pub cells: Vec<PlannedCell>,
    /// Trials in order.
    pub trials: Vec<PlannedTrial>,
    /// Suites with the selected cases, this shard's only.
    pub suites: Vec<Suite>,
    /// Variants.
    pub variants: Vec<Variant>,
    /// Distinct contexts of the variants, in order: each model is served once for each.
    pub contexts: Vec<u32>,
    /// Rules of every trial.
    pub rules: TrialRules,
    /// When to look whether the run is decided; the trials above are then the most it may take.
    pub looks: Option<LookPlan>,
    /// What this is a part of, when it is a shard.
    pub whole: Option<WholePlan>,
}

/// The settings contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Repeating a greedy trial gives the same reply.
    #[error(
        "{trials} trials at temperature 0 would repeat one reply {trials} times (variant `{variant}`)"
    )]
    GreedyRepeats {
        /// As asked.
        trials: u32,
        /// The variant that is greedy.
        variant: String,
    },
    /// Nothing to run.
    #[error("no case is selected")]
    NothingSelected,
    /// More shards than cases.
    #[error("shard {index}/{count} gets no case: {cases} are selected")]
    EmptyShard {
        /// The shard.
        index: u32,
        /// Of how many.
        count: u32,
        /// Cases selected.
        cases: usize,
    },
}

/// Makes the plan.
pub fn build(input: &PlanInput) -> Result<Plan, PlanError> {
    if let Some(greedy) = input
        .variants
        .iter()
        .find(|variant| input.trials > 1 && variant.sampling.is_greedy())
    {
        return Err(PlanError::GreedyRepeats {
            trials: input.trials,
            variant: greedy.name.clone(),
        });
    }
    let whole = assembled(input, input.suites.clone())?;
    match input.shard {
        Some(shard) => part_of(input, &whole, shard),
        None => Ok(whole),
    }
}

/// The plan of these suites.
pub(super) fn assembled(input: &PlanInput, suites: Vec<Suite>) -> Result<Plan, PlanError> {
    let contexts = contexts(&input.variants);
    let cells = cells(input, &suites, &contexts);
    let trials = trials(input, &suites, &cells);
    if trials.is_empty() {
        return Err(PlanError::NothingSelected);
    }
    let most_trials = (0..input.variants.len())
        .map(|variant| input.trials_of(variant))
        .max();
    let looks = input.until_decided.map(|_| {
        let most_trials = most_trials.unwrap_or(input.trials);
        looks(&suites, input.seed, input.trials, most_trials)
    });
    let hash = ContentHash::of_value(&serde_json::json!({
        "models": input.models, "variants": input.variants, "suites": suites,
        "rules": input.rules, "seed": input.seed, "trials": input.trials, "looks": looks,
        "identities": input.identities,
        "cells": cells.iter().map(|cell| &cell.key).collect::<Vec<_>>(),
    }));
    Ok(Plan {
        hash,
        cells,
        trials,
        suites,
        variants: input.variants.clone(),
        contexts,
        rules: input.rules.clone(),
        looks,
        whole: None,
    })
}

impl PlanInput {
    /// Most trials of a case with this variant.
    fn trials_of(&self, variant: usize) -> u32 {
        match self.until_decided {
            Some(most) if !self.variants[variant].sampling.is_greedy() => most.max(self.trials),
            _ => self.trials,
        }
    }
}

impl Plan {
    /// The plan with only the trials that a look needs; all of them without looks.
    #[must_use]
    pub fn up_to_look(&self, look: usize) -> Self {
        let mut part = self.clone();
        if let Some(looks) = &self.looks {
            part.trials.retain(|trial| {
                let suite = &self.suites[self.cells[trial.cell].suite];
                looks
                    .rank_of(&suite.suite, &suite.cases[trial.case].id)
                    .and_then(|rank| looks.look_of(rank, trial.trial))
                    .is_some_and(|needed| needed <= look)
            });
        }
        part
    }
}

/// Distinct contexts in the order of the variants.
pub fn contexts(variants: &[Variant]) -> Vec<u32> {
    let mut contexts: Vec<u32> = Vec::new();
    for variant in variants {
        if !contexts.contains(&variant.context_tokens) {
            contexts.push(variant.context_tokens);
        }
    }
    contexts
}

fn cells(input: &PlanInput, suites: &[Suite], contexts: &[u32]) -> Vec<PlannedCell> {
    let mut cells = Vec::new();
    for (model, (name, _)) in input.models.iter().enumerate() {
        for (suite, suite_value) in suites.iter().enumerate() {
            for &dialect in &input.dialects {
                for &constraint in &input.constraints {
                    for (variant, variant_value) in input.variants.iter().enumerate() {
                        let key = CellKey {
                            model: name.clone(),
                            dialect,
                            constraint,
                            variant: variant_value.name.clone(),
                            variant_hash: ContentHash::of_value(variant_value).short().to_owned(),
                            suite: suite_value.suite.clone(),
                            tier: if input.remote.contains(name) {
                                REMOTE_TIER.to_owned()
                            } else {
                                input.tier.clone()
                            },
                            settings: cell_settings(input),
                        };
                        cells.push(PlannedCell {
                            id: key.id(),
                            key,
                            model,
                            served: model * contexts.len()
                                + contexts
                                    .iter()
                                    .position(|tokens| *tokens == variant_value.context_tokens)
                                    .unwrap_or_default(),
                            variant,
                            suite,
                        });
                    }
                }
            }
        }
    }
    cells
}

/// What else shapes a cell's replies: two runs that differ in it never share a cell.
fn cell_settings(input: &PlanInput) -> BTreeMap<String, String> {
    let rules = &input.rules;
    let mut settings: BTreeMap<String, String> = [
        ("tool_choice", rules.tool_choice.to_string()),
        ("max_corrections", rules.max_corrections.to_string()),
        ("max_turns", rules.max_turns.to_string()),
        ("max_tokens", rules.max_tokens.to_string()),
        ("timeout_ms", rules.attempt_limit_ms.to_string()),
        ("leniency", rules.leniency.to_string()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let limits = [
        ("trial_time_ms", rules.limits.time_ms),
        ("trial_tokens", rules.limits.tokens),
        ("trial_requests", rules.limits.requests),
    ];
    for (name, limit) in limits {
        settings.extend(limit.map(|limit| (name.to_owned(), limit.to_string())));
    }
    let cost = rules.limits.cost;
    settings.extend(cost.map(|cost| ("trial_cost".to_owned(), cost.to_string())));
    settings.extend(input.engine.clone());
    settings
}

fn trials(input: &PlanInput, suites: &[Suite], cells: &[PlannedCell]) -> Vec<PlannedTrial> {
    let mut trials = Vec::new();
    for (cell_index, cell) in cells.iter().enumerate() {
        let suite = &suites[cell.suite];
        for (case_index, case) in suite.cases.iter().enumerate() {
            for trial in 0..input.trials_of(cell.variant) {
                let id = ContentHash::of_value(&(&cell.id, &case.id, trial)).0[..16].to_owned();
                trials.push(PlannedTrial {
                    id,
                    position: trials.len(),
                    cell: cell_index,
                    case: case_index,
                    trial,
                    seed: trial_seed(input.seed, &suite.suite, &case.id, trial),
                });
            }
        }
    }
    trials
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::types::{Case, Leniency, ToolChoice};

    pub(in crate::plan) fn input() -> PlanInput {
        let case = |id: &str| Case {
            id: id.to_owned(),
            ..Case::default()
        };
        PlanInput {
            models: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
            dialects: vec![DialectName::Json, DialectName::React],
            constraints: vec![Constraint::Off],
            variants: vec![Variant::default()],
            suites: vec![Suite {
                suite: "s".into(),
                cases: vec![case("x"), case("y"), case("z")],
                ..Suite::default()
            }],
            trials: 1,
            until_decided: None,
            seed: 1,
            rules: TrialRules {
                limits: crate::types::settings::TrialLimits::default(),
                tool_choice: ToolChoice::Auto,
                max_corrections: 2,
                max_turns: 8,
                max_tokens: 256,
                attempt_limit_ms: 60_000,
                leniency: Leniency::Strict,
            },
            tier: "t".into(),
            remote: BTreeSet::new(),
            shard: None,
            engine: BTreeMap::new(),
            identities: BTreeMap::new(),
        }
    }

    #[test]
    fn ids_and_seeds_ignore_the_order_of_inputs() {
        let forward = build(&input()).unwrap();
        let mut reversed = input();
        reversed.models.reverse();
        reversed.dialects.reverse();
        reversed.suites[0].cases.reverse();
        let reversed = build(&reversed).unwrap();
        let ids = |plan: &Plan| {
            let mut ids: Vec<_> = plan.trials.iter().map(|t| (t.id.clone(), t.seed)).collect();
            ids.sort();
            ids
        };
        assert_eq!(ids(&forward), ids(&reversed));
        assert_eq!(forward.trials.len(), 12);
    }

    #[test]
    fn greedy_repeats_are_refused() {
        let repeated = PlanInput {
            trials: 3,
            ..input()
        };
        assert!(matches!(
            build(&repeated),
            Err(PlanError::GreedyRepeats { trials: 3, .. })
        ));
    }

    #[test]
    fn looks_add_cases_then_trials_of_what_samples() {
        let mut input = input();
        let mut warm = Variant {
            name: "warm".into(),
            ..Variant::default()
        };
        warm.sampling.temperature = 0.7;
        input.variants.push(warm);
        input.until_decided = Some(3);
        let plan = build(&input).unwrap();
        // 2 models × 2 dialects × 3 cases × (1 greedy + 3 sampled trials).
        assert_eq!(plan.trials.len(), 48);
        let sizes: Vec<usize> = (0..plan.looks.as_ref().unwrap().looks.len())
            .map(|look| plan.up_to_look(look).trials.len())
            .collect();
        assert_eq!(sizes, [24, 36, 48]);
        let fixed = PlanInput {
            until_decided: None,
            ..input
        };
        assert_ne!(build(&fixed).unwrap().hash, plan.hash);
    }

    #[test]
    fn a_changed_case_changes_the_hash() {
        let mut changed = input();
        changed.suites[0].cases[0].user = Some("else".into());
        assert_ne!(build(&input()).unwrap().hash, build(&changed).unwrap().hash);
    }
}
