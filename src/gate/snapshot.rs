//! What a run found, as a gate compares it and a baseline stores it.
//!
//! Data in: header and trial lines. Data out: [`Snapshot`]: who was asked what, and one letter for each
//! trial. Invariants: no clock reading, no measurement, no text of prompts or replies (hashes alone);
//! equal for an interrupted and resumed run and one that was not; sorted by name, so that the order of
//! models, suites and cells changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::metrics::latest_trials;
use crate::record::Retain;
use crate::record::format::{Header, ModelHeader, SampleHeader};
use crate::types::{CellKey, ContentHash, Outcome, Suite, TrialRecord};

use super::facts;

/// How cases weigh in a rate: the same for each, whatever its number of trials.
pub const WEIGHTING: &str = "mean over cases";

/// Settings that leave cases out, beside a sample.
const FILTERS: [&str; 4] = ["case", "tag", "limit", "shard"];

/// A run in so far as another can be compared with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// What holds for all of it.
    pub about: About,
    /// Models by name; legs of a hybrid as `MODEL/LEG`.
    pub models: Vec<ModelFact>,
    /// Suites by name.
    pub suites: Vec<SuiteFact>,
    /// Tools by suite and name.
    pub tools: Vec<ToolFact>,
    /// Variants by name.
    pub variants: Vec<VariantFact>,
    /// Tool servers that were named instead of the suites' own.
    pub servers: Vec<ServerFact>,
    /// Cells by label, all suites together: the rows of a report.
    pub cells: Vec<CellFact>,
    /// Cases by name, then cell.
    pub cases: Vec<CaseLine>,
}

/// What holds for a whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Version of the judging rules.
    pub scorer_version: u32,
    /// [`WEIGHTING`].
    pub weighting: String,
    /// Version of toolbench.
    pub toolbench: String,
    /// Names of the suites, sorted: neither the order of flags nor paths make a difference.
    pub selection: Vec<String>,
    /// The cases are a sample of those selected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleHeader>,
    /// Filters that left cases out, `name=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// Seed of the run.
    pub seed: String,
    /// What is kept of the content; hashes of suites and prompts hold for what is kept alone.
    pub retain: String,
    /// Patterns whose matches were blotted out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redactions: usize,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// What a model is, as far as it decides replies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFact {
    /// As the user named it.
    pub model: String,
    /// Beginning of the SHA-256 of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<String>,
    /// The model's own name.
    pub reported_name: String,
    /// Quantisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<String>,
    /// Hash of the chat template; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Build of the engine or server.
    pub engine: String,
    /// Context in force.
    pub context_tokens: u32,
    /// Replies come from a cassette.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// What all cases of a suite share, by hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SuiteFact {
    /// Its name.
    pub suite: String,
    /// System prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// Worked examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<String>,
    /// What the mock answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mock: Option<String>,
    /// The server that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// A tool's definition, by hash.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ToolFact {
    /// `SUITE/TOOL`.
    pub tool: String,
    /// Of name, description and schema.
    pub hash: String,
    /// The same of each part, so that a diff says which changed; empty in files of before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parts: BTreeMap<String, String>,
}

/// What a variant bundles.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VariantFact {
    /// Its name.
    pub variant: String,
    /// Its parts as text; the system prompt by hash.
    pub parts: BTreeMap<String, String>,
}

/// A tool server of the command line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFact {
    /// Short name.
    pub server: String,
    /// Transport and address.
    pub address: String,
    /// Name and version that it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Hash of how its tools differ from the suite's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<String>,
}

/// One row of a report: model × dialect × constraint × variant × tier.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CellFact {
    /// Its name in lines of cases.
    pub cell: String,
    /// Model.
    pub model: String,
    /// Dialect.
    pub dialect: String,
    /// Constraint.
    pub constraint: String,
    /// Variant.
    pub variant: String,
    /// Hardware tier.
    pub tier: String,
    /// Decoding is greedy and every route gives equal replies to equal requests.
    pub deterministic: bool,
    /// How the model is reached, once for each different way.
    pub routes: Vec<String>,
    /// Other settings of the cell.
    pub settings: BTreeMap<String, String>,
}

/// One case in one cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseLine {
    /// `SUITE/CASE`.
    pub case: String,
    /// [`CellFact::cell`].
    pub cell: String,
    /// Its category.
    pub category: String,
    /// Hash of what is asked and expected: equal ones are paired.
    pub asked: String,
    /// Hash of what is offered: tools, system prompt, examples, template, the dialect's text.
    pub offered: String,
    /// Hash of the grammars in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grammar: Option<String>,
    /// One letter for each trial, by its index: P passed, R recovered, F failed, - not scored.
    pub trials: String,
    /// Codes of its failures.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
}

impl CaseLine {
    /// Success of each trial by index; `None` where it was not scored.
    pub fn outcomes(&self) -> impl Iterator<Item = Option<bool>> + '_ {
        self.trials.chars().map(|letter| match letter {
            'P' | 'R' => Some(true),
            'F' => Some(false),
            _ => None,
        })
    }

    /// Successes and scored trials.
    pub fn counts(&self) -> (u32, u32) {
        self.outcomes()
            .flatten()
            .fold((0, 0), |(hits, of), success| {
                (hits + u32::from(success), of + 1)
            })
    }

    /// Successful / scored trials; `None` without a scored one.
    pub fn share(&self) -> Option<f64> {
        let (hits, of) = self.counts();
        (of > 0).then(|| f64::from(hits) / f64::from(of))
    }

    /// A limit on time decided one of its trials: nothing that repeats itself.
    pub fn timed_out(&self) -> bool {
        self.codes.iter().any(|code| code == "trial_timeout")
    }

    /// Name of the suite.
    pub fn suite(&self) -> &str {
        self.case.split_once('/').map_or("", |(suite, _)| suite)
    }
}

impl Snapshot {
    /// Of a run; of several lines with one trial id the last counts.
    pub fn of_run(header: &Header, trials: &[TrialRecord]) -> Self {
        let names = CellNames::of(header);
        Self {
            about: about(header),
            models: models(header),
            suites: facts::suites(header),
            tools: facts::tools(header),
            variants: facts::variants(header),
            servers: facts::servers(header),
            cells: cells(header, &names),
            cases: cases(trials, &names),
        }
    }

    /// The cell of that label.
    pub fn cell(&self, label: &str) -> Option<&CellFact> {
        self.cells.iter().find(|cell| cell.cell == label)
    }

    /// Some of the cases selected were left out: those that are not here need not be gone.
    pub fn is_partial(&self) -> bool {
        self.about.sample.is_some() || !self.about.filters.is_empty()
    }
}

/// Labels of cells: as short as they can be while they tell cells apart.
pub struct CellNames {
    with_tier: bool,
}

impl CellNames {
    /// Of a run; the tier is named only where a run has several.
    pub fn of(header: &Header) -> Self {
        let tiers: BTreeSet<&str> = header
            .cells
            .iter()
            .map(|cell| cell.key.tier.as_str())
            .collect();
        Self {
            with_tier: tiers.len() > 1,
        }
    }

    /// The label of a cell, without its suite.
    pub fn of_key(&self, key: &CellKey) -> String {
        let parts = [
            key.model.as_str(),
            key.dialect.as_str(),
            key.constraint.as_str(),
        ];
        self.label(&parts, &key.variant, &key.tier)
    }

    /// The label of a row of a report.
    pub fn of_row(&self, row: &crate::metrics::Row) -> String {
        let parts = [
            row.model.as_str(),
            row.dialect.as_str(),
            row.constraint.as_str(),
        ];
        self.label(&parts, &row.variant, &row.tier)
    }

    fn label(&self, parts: &[&str], variant: &str, tier: &str) -> String {
        let mut parts = parts.to_vec();
        if variant != "default" {
            parts.push(variant);
        }
        if self.with_tier {
            parts.push(tier);
        }
        parts.join(" · ")
    }
}

/// A hash for people and files: the first 12 digits.
pub(super) fn short<T: Serialize>(value: &T) -> String {
    ContentHash::of_value(value).short().to_owned()
}

fn about(header: &Header) -> About {
    let setting = |name: &str| header.settings.iter().find(|found| found.name == name);
    let filters = FILTERS.iter().filter_map(|name| {
        let found = setting(name)?;
        Some(format!("{name}={}", found.value))
    });
    let privacy = header.privacy.as_ref();
    let mut selection: Vec<String> = header.suites.iter().map(|it| it.suite.clone()).collect();
    selection.sort();
    About {
        scorer_version: header.scorer_version,
        weighting: WEIGHTING.to_owned(),
        toolbench: header.toolbench_version.clone(),
        selection,
        sample: header.sample,
        filters: filters.collect(),
        seed: setting("seed").map_or_else(String::new, |found| found.value.clone()),
        retain: privacy
            .map_or(Retain::Full, |found| found.retain)
            .as_str()
            .to_owned(),
        redactions: privacy.map_or(0, |found| found.patterns.len()),
    }
}

fn models(header: &Header) -> Vec<ModelFact> {
    let mut facts: Vec<ModelFact> = Vec::new();
    for model in &header.models {
        if model.legs.is_empty() {
            facts.push(model_fact(model, model.name.clone()));
        }
        let legs = model.legs.iter();
        facts.extend(legs.map(|leg| model_fact(leg, format!("{}/{}", model.name, leg.name))));
    }
    facts.sort_by(|one, two| one.model.cmp(&two.model));
    facts
}

fn model_fact(model: &ModelHeader, name: String) -> ModelFact {
    let facts = &model.facts;
    let weights = model.weights_sha256.as_ref();
    ModelFact {
        model: name,
        weights: weights.map(|sha256| sha256.get(..12).unwrap_or(sha256).to_owned()),
        reported_name: facts.reported_name.clone(),
        quantisation: facts.quantisation.clone(),
        template: facts.chat_template.as_ref().map(short),
        engine: facts.engine_build.clone(),
        context_tokens: facts.context_tokens,
        replayed: facts.cassette.is_some(),
    }
}

fn cells(header: &Header, names: &CellNames) -> Vec<CellFact> {
    let mut facts: BTreeMap<String, CellFact> = BTreeMap::new();
    for cell in &header.cells {
        let key = &cell.key;
        let label = names.of_key(key);
        let fact = facts.entry(label.clone()).or_insert_with(|| CellFact {
            cell: label,
            model: key.model.clone(),
            dialect: key.dialect.to_string(),
            constraint: key.constraint.to_string(),
            variant: key.variant.clone(),
            tier: key.tier.clone(),
            deterministic: true,
            routes: Vec::new(),
            settings: key.settings.clone(),
        });
        // All suites of a row must repeat themselves.
        fact.deterministic &= is_deterministic(header, key);
        for route in &cell.routes {
            let mechanism = route
                .mechanism
                .map_or("no constraint", crate::types::Mechanism::as_str);
            let text = format!("{}, {mechanism}", route.wire.as_str());
            if !fact.routes.contains(&text) {
                fact.routes.push(text);
            }
        }
    }
    facts.into_values().collect()
}

/// Greedy, and the model (of a hybrid: every leg) repeats itself; what is replayed does too. A live
/// tool server may answer otherwise each time, which a mock does not.
fn is_deterministic(header: &Header, key: &CellKey) -> bool {
    let live = |suite: &Suite| suite.suite == key.suite && suite.server.is_some();
    if !header.tool_servers.is_empty() || header.suites.iter().any(live) {
        return false;
    }
    let greedy = header
        .variants
        .iter()
        .find(|variant| variant.name == key.variant)
        .is_some_and(|variant| variant.sampling.is_greedy());
    let model = header.models.iter().find(|model| model.name == key.model);
    let repeats = |model: &ModelHeader| {
        let cassette = model.facts.cassette.as_ref();
        model.facts.deterministic_when_greedy || cassette.is_some_and(|found| !found.partly_live)
    };
    let all = |model: &ModelHeader| match model.legs.as_slice() {
        [] => repeats(model),
        // Which leg answers may depend on how long one takes.
        legs => legs.iter().all(repeats) && !falls_back_on_time(model),
    };
    greedy && model.is_some_and(all)
}

fn falls_back_on_time(model: &ModelHeader) -> bool {
    let rules = model.fallback.as_ref();
    rules.is_some_and(|rules| rules.budget_ms().is_some())
}

fn cases(trials: &[TrialRecord], names: &CellNames) -> Vec<CaseLine> {
    let mut lines: BTreeMap<(String, String), (CaseLine, BTreeSet<&ContentHash>)> = BTreeMap::new();
    for trial in latest_trials(trials) {
        let case = format!("{}/{}", trial.cell.suite, trial.case);
        let cell = names.of_key(&trial.cell);
        let (line, grammars) = lines
            .entry((case.clone(), cell.clone()))
            .or_insert_with(|| {
                let line = CaseLine {
                    case,
                    cell,
                    category: trial.category.clone(),
                    asked: trial.case_hash.short().to_owned(),
                    offered: trial.offer_hash.short().to_owned(),
                    ..CaseLine::default()
                };
                (line, BTreeSet::new())
            });
        put_letter(&mut line.trials, trial.trial as usize, letter(trial));
        if let Some(code) = trial.outcome.code().filter(|_| trial.outcome.is_scored()) {
            let name = code.name().to_owned();
            if let Err(place) = line.codes.binary_search(&name) {
                line.codes.insert(place, name);
            }
        }
        let attempts = trial.attempts.iter();
        grammars.extend(attempts.filter_map(|attempt| attempt.grammar.as_ref()));
    }
    let lines = lines.into_values().map(|(line, grammars)| CaseLine {
        grammar: (!grammars.is_empty()).then(|| short(&grammars)),
        ..line
    });
    lines.collect()
}

fn letter(trial: &TrialRecord) -> char {
    match trial.outcome {
        Outcome::Passed => 'P',
        Outcome::Recovered { .. } => 'R',
        Outcome::Failed { .. } | Outcome::Limit { .. } => 'F',
        Outcome::Infra { .. }
        | Outcome::Void { .. }
        | Outcome::Tool { .. }
        | Outcome::Harness { .. } => '-',
    }
}

/// Most trials of a case that are told apart: a damaged record must not make a line of gigabytes.
const MOST_TRIALS: usize = 100_000;

fn put_letter(trials: &mut String, index: usize, letter: char) {
    let index = index.min(MOST_TRIALS);
    while trials.len() <= index {
        trials.push('-');
    }
    trials.replace_range(index..=index, letter.encode_utf8(&mut [0; 4]));
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
