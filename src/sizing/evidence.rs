//! From records to measured cells: what ran, on what, how well and how fast.
//!
//! Data in: headers and trials of runs, tiers, headers of weights. Data out: [`Cell`]s. Invariants:
//! numbers that the summary has are the summary's; a cell that several runs hold counts once, the
//! newest; replayed trials have no times; nothing is carried from one cell to another here.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matching::{Machine, machine};
use super::work::{Work, concurrency, kv_cache_type, time_ms, work};
use super::{Objective, SizingRun, Wishes};
use crate::metrics::cost::Cost;
use crate::metrics::latency::Quantiles;
use crate::metrics::rates::Rate;
use crate::metrics::{Row, SummaryOptions, summarise};
use crate::record::format::{Header, ModelHeader};
use crate::types::fingerprint::Fingerprint;
use crate::types::outcome::Counted;
use crate::types::tier::{Device, Tier};
use crate::types::{CellKey, Constraint, ContentHash, DialectName, TrialRecord};
use crate::weights::gguf::Header as WeightsHeader;
use crate::weights::memory::{ContextShape, estimate, resident_on_cpu_bytes};

/// Headers of weights that lie on this machine, by their SHA-256.
pub type KnownWeights = BTreeMap<String, WeightsHeader>;

/// One measured cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// The run it was measured in.
    pub run: String,
    /// Model as the user named it.
    pub model: String,
    /// SHA-256 of the weights; success is carried to other machines for equal ones only.
    pub weights_sha256: Option<String>,
    /// Architecture as the weights say it.
    pub architecture: Option<String>,
    /// Quantisation.
    pub quantisation: Option<String>,
    /// Context in tokens.
    pub context_tokens: u32,
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Variant.
    pub variant: String,
    /// Hash of what the variant bundles.
    pub variant_hash: String,
    /// Suites that its cases are of.
    pub suites: Vec<String>,
    /// Hash of what was asked: success of other cases is another matter.
    pub cases_hash: String,
    /// Other settings of the cell.
    pub settings: BTreeMap<String, String>,
    /// Trials at once.
    pub concurrency: usize,
    /// The machine's own label.
    pub machine: String,
    /// Tier of the catalogue that the machine is of.
    pub tier: Option<String>,
    /// What computed.
    pub device: Option<Device>,
    /// Cases with a trial on record.
    pub cases: usize,
    /// Trials on record.
    pub trials: usize,
    /// Trials outside the denominator.
    pub excluded_trials: usize,
    /// Trials measured while the machine was busy with something else.
    pub noisy_trials: usize,
    /// False when no conclusion may be drawn.
    pub decidable: bool,
    /// Passed or recovered: mean over cases.
    pub success: Rate,
    /// First request to the first schema-valid call; of trials with one.
    pub valid_call_ms: Quantiles,
    /// First request to the end of judging; like the summary's without waits for the endpoint.
    pub task_ms: Quantiles,
    /// Success within the limit; `null` without one.
    pub attainment: Option<Rate>,
    /// Successes (within the limit, where there is one) in an hour of running.
    pub goodput_per_hour: Option<f64>,
    /// Generated tokens a second.
    pub decode_tokens_per_second: Option<f64>,
    /// Prompt tokens computed a second.
    pub prefill_tokens_per_second: Option<f64>,
    /// Loading the weights.
    pub load_ms: Option<f64>,
    /// Highest resident memory of the serving process.
    pub peak_memory_bytes: Option<u64>,
    /// The serving process keeps the weights on a card, so that its resident memory says little.
    pub peak_is_without_card: bool,
    /// Memory predicted from the weights' header at this context; on a processor with the pages of the file
    /// that stay beside what is repacked.
    pub predicted_memory_bytes: Option<u64>,
    /// Memory that a model may take there.
    pub usable_bytes: Option<f64>,
    /// What is left of it.
    pub headroom_bytes: Option<f64>,
    /// Prompt and generated tokens of all scored trials / successes.
    pub tokens_per_success: Option<f64>,
    /// What its tokens cost, where they have a price.
    pub cost: Option<Cost>,
    /// What the machine costs for a success, where its tier has a price.
    pub machine_cost_per_success: Option<f64>,
    /// Currency of it.
    pub machine_currency: Option<String>,
    /// What a success takes where the device runs at the limit of its power, in watt-hours.
    pub watt_hours_per_success: Option<f64>,
    /// What predictions are made of.
    #[serde(skip)]
    pub work: Work,
}

/// All cells of all runs; of equal ones the newest, and in words what was left out for it.
pub fn cells(
    runs: &[SizingRun<'_>],
    tiers: &[Tier],
    weights: &KnownWeights,
    wishes: &Wishes,
) -> (Vec<Cell>, Vec<String>) {
    let mut order: Vec<&SizingRun<'_>> = runs.iter().collect();
    order.sort_by(|a, b| a.header.created_at.cmp(&b.header.created_at));
    let mut found: Vec<Cell> = Vec::new();
    let mut notes = Vec::new();
    for run in order {
        for cell in of_run(run, tiers, weights, wishes) {
            let Some(known) = found.iter_mut().find(|known| known.is_same_as(&cell)) else {
                found.push(cell);
                continue;
            };
            notes.push(format!(
                "{} is in several runs; {} is the newest and counts, {} does not",
                known.label(),
                cell.run,
                known.run
            ));
            *known = cell;
        }
    }
    (found, notes)
}

impl Cell {
    /// Equal weights, settings, cases, machine and load.
    fn is_same_as(&self, other: &Self) -> bool {
        let key = |cell: &Self| {
            (
                cell.weights_sha256.clone().unwrap_or(cell.model.clone()),
                (cell.dialect, cell.constraint, cell.variant.clone()),
                (cell.settings.clone(), cell.variant_hash.clone()),
                (
                    cell.context_tokens,
                    cell.concurrency,
                    cell.cases_hash.clone(),
                ),
                (cell.machine.clone(), cell.device),
            )
        };
        key(self) == key(other)
    }

    /// `qwen2.5-coder:0.5b, json, grammar`; the variant where it is not the default.
    pub fn label(&self) -> String {
        let mut words = vec![
            self.model.clone(),
            self.dialect.to_string(),
            self.constraint.to_string(),
        ];
        if self.variant != "default" {
            words.push(self.variant.clone());
        }
        words.join(", ")
    }

    /// The label, and what tells it from others of the same: context, cases, else the run.
    pub fn name_among<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> String {
        let shape = |cell: &Self| {
            (
                cell.context_tokens,
                cell.cases_hash.clone(),
                cell.variant_hash.clone(),
            )
        };
        let own = (shape(self), self.label(), self.place());
        let mut twins = others
            .into_iter()
            .filter(|it| (it.label(), it.place()) == (own.1.clone(), own.2))
            .filter(|it| shape(it) != own.0)
            .peekable();
        if twins.peek().is_none() {
            return self.label();
        }
        let (mut by_context, mut by_cases) = (true, true);
        for twin in twins {
            by_context &= twin.context_tokens != self.context_tokens;
            by_cases &= twin.cases_hash != self.cases_hash;
        }
        if by_context {
            format!("{}, context {}", self.label(), self.context_tokens)
        } else if by_cases {
            format!("{}, {} cases of {}", self.label(), self.cases, self.run)
        } else {
            format!("{}, {}", self.label(), self.run)
        }
    }

    /// The catalogue's name of the machine, or its own.
    pub fn place(&self) -> &str {
        self.tier.as_deref().unwrap_or(&self.machine)
    }
}

fn of_run(
    run: &SizingRun<'_>,
    tiers: &[Tier],
    weights: &KnownWeights,
    wishes: &Wishes,
) -> Vec<Cell> {
    let summary = summarise(run.header, run.trials, &SummaryOptions::default());
    let latest = latest(run.trials);
    summary
        .totals
        .iter()
        .filter_map(|row| {
            let model = run.header.models.iter().find(|it| it.name == row.model)?;
            let own = latest.iter().filter(|trial| is_of(row, &trial.cell));
            let own: Vec<&TrialRecord> = own.copied().collect();
            if own.is_empty() || own.iter().all(|trial| trial.replayed) {
                return None;
            }
            Some(cell(run.header, row, model, &own, tiers, weights, wishes))
        })
        .collect()
}

/// The last line of every trial, in plan order.
fn latest(trials: &[TrialRecord]) -> Vec<&TrialRecord> {
    let mut last: HashMap<&str, &TrialRecord> = HashMap::new();
    for trial in trials {
        last.insert(&trial.id, trial);
    }
    let mut trials: Vec<&TrialRecord> = last.into_values().collect();
    trials.sort_by_key(|trial| (trial.position, &trial.id));
    trials
}

fn is_of(row: &Row, key: &CellKey) -> bool {
    (&key.model, key.dialect, key.constraint) == (&row.model, row.dialect, row.constraint)
        && (&key.variant, &key.tier) == (&row.variant, &row.tier)
        && key.settings == row.settings
}

fn cell(
    header: &Header,
    row: &Row,
    model: &ModelHeader,
    trials: &[&TrialRecord],
    tiers: &[Tier],
    weights: &KnownWeights,
    wishes: &Wishes,
) -> Cell {
    let found = fingerprints(header).find(|found| found.tier == row.tier);
    let place = machine(
        &row.tier,
        found.unwrap_or(&header.fingerprint),
        &model.facts,
        tiers,
        wishes.reserve_gib,
    );
    let context_tokens = context(header, row, model);
    let by_case = by_case(trials);
    let work = work(header, model, &place, &by_case, wishes);
    let known = model.weights_sha256.as_ref().and_then(|it| weights.get(it));
    let predicted = predicted_memory(header, model, context_tokens, known, &place);
    // A merged run knows its models on all machines together, and what a machine took in its rows alone.
    let of_model = model.facts.peak_memory_bytes;
    let of_model = of_model.filter(|_| fingerprints(header).all(|it| it.tier == row.tier));
    let peak = row.peak_memory_bytes.max(of_model);
    let on_card = matches!(place.device, Some(Device::Nvidia | Device::Amd));
    let needs = if on_card {
        predicted
    } else {
        peak.or(predicted)
    };
    let tier = tiers
        .iter()
        .find(|tier| Some(&tier.name) == place.tier.as_ref());
    let successes_per_hour = (work.hours > 0.0).then(|| successes(&by_case) as f64 / work.hours);
    let price = tier.and_then(|tier| tier.price.as_ref());
    Cell {
        run: header.run.clone(),
        model: row.model.clone(),
        weights_sha256: model.weights_sha256.clone(),
        architecture: model.facts.architecture.clone(),
        quantisation: model.facts.quantisation.clone(),
        context_tokens,
        dialect: row.dialect,
        constraint: row.constraint,
        variant: row.variant.clone(),
        variant_hash: trials
            .first()
            .map_or_else(String::new, |it| it.cell.variant_hash.clone()),
        suites: suites(&by_case),
        cases_hash: cases_hash(&by_case),
        settings: row.settings.clone(),
        concurrency: concurrency(header),
        machine: place.label.clone(),
        tier: place.tier.clone(),
        device: place.device,
        cases: row.cases,
        trials: row.trials,
        excluded_trials: row.excluded.trials,
        noisy_trials: row.latency.noisy_trials,
        decidable: row.decidable,
        success: row.success.clone(),
        valid_call_ms: row.latency.valid_call_ms.clone(),
        task_ms: row.latency.task_ms.clone(),
        attainment: wishes
            .p95_ms
            .map(|limit| attainment(&by_case, limit, wishes.objective)),
        goodput_per_hour: (work.hours > 0.0).then(|| work.good as f64 / work.hours),
        decode_tokens_per_second: row.speed.decode_tokens_per_second,
        prefill_tokens_per_second: row.speed.prefill_tokens_per_second,
        load_ms: model.facts.load_ms,
        peak_memory_bytes: peak,
        peak_is_without_card: on_card,
        predicted_memory_bytes: predicted,
        usable_bytes: place.usable_bytes,
        headroom_bytes: place
            .usable_bytes
            .zip(needs)
            .map(|(usable, needs)| usable - needs as f64),
        tokens_per_success: row.tokens.per_success_tokens,
        cost: row.cost.clone(),
        machine_cost_per_success: price
            .zip(successes_per_hour)
            .filter(|(_, hourly)| *hourly > 0.0)
            .map(|(price, hourly)| price.per_hour / hourly),
        machine_currency: price.map(|price| price.currency.clone()),
        watt_hours_per_success: tier
            .and_then(|tier| tier.watts.as_ref())
            .zip(successes_per_hour)
            .filter(|(_, hourly)| *hourly > 0.0)
            .map(|(watts, hourly)| watts.value / hourly),
        work,
    }
}

/// The variant's context; what the provider reported where the variant leaves it open.
fn context(header: &Header, row: &Row, model: &ModelHeader) -> u32 {
    let variant = header.variants.iter().find(|it| it.name == row.variant);
    match variant.map(|variant| variant.context_tokens) {
        Some(tokens) if tokens > 0 => tokens,
        _ => model.facts.context_tokens,
    }
}

pub(super) fn setting<'a>(header: &'a Header, name: &str) -> Option<&'a str> {
    let found = header
        .settings
        .iter()
        .find(|setting| setting.name == name)?;
    Some(&found.value)
}

/// The engine's own estimate where it was made for this context, else one from the weights' header. On a
/// processor with what is repacked, which the engine does not count: it can be had back.
fn predicted_memory(
    header: &Header,
    model: &ModelHeader,
    context_tokens: u32,
    known: Option<&WeightsHeader>,
    place: &Machine,
) -> Option<u64> {
    let told = model.facts.predicted_memory_bytes;
    let on_cpu = place.device == Some(Device::Cpu);
    if model.facts.context_tokens == context_tokens && told.is_some() {
        let twice = known.filter(|_| on_cpu).map_or(0, |weights| {
            weights
                .repacked_bytes
                .saturating_mul(u64::from(weights.split_count))
        });
        return told.map(|told| told.saturating_add(twice));
    }
    let shape = ContextShape {
        context_tokens,
        kv_cache_type: kv_cache_type(header)?,
        flash_attention: setting(header, "flash-attention") != Some("off"),
    };
    known.map(|weights| {
        if on_cpu {
            resident_on_cpu_bytes(weights, shape)
        } else {
            estimate(weights, shape).total_bytes()
        }
    })
}

/// Trials by suite and case, in the order of the plan.
fn by_case<'a>(trials: &[&'a TrialRecord]) -> Vec<Vec<&'a TrialRecord>> {
    let mut places: HashMap<(&str, &str), usize> = HashMap::new();
    let mut cases: Vec<Vec<&TrialRecord>> = Vec::new();
    for trial in trials {
        let place = *places
            .entry((&trial.cell.suite, &trial.case))
            .or_insert_with(|| {
                cases.push(Vec::new());
                cases.len() - 1
            });
        cases[place].push(trial);
    }
    cases
}

/// Machines of a record: a merged run has one for each shard.
pub fn fingerprints(header: &Header) -> impl Iterator<Item = &Fingerprint> {
    let of_shards = header.merged_from.iter().map(|shard| &shard.fingerprint);
    std::iter::once(&header.fingerprint).chain(of_shards)
}

fn suites(cases: &[Vec<&TrialRecord>]) -> Vec<String> {
    let mut suites: Vec<String> = Vec::new();
    for trial in cases.iter().filter_map(|trials| trials.first()) {
        if !suites.contains(&trial.cell.suite) {
            suites.push(trial.cell.suite.clone());
        }
    }
    suites.sort();
    suites
}

fn cases_hash(cases: &[Vec<&TrialRecord>]) -> String {
    let first = cases.iter().filter_map(|trials| trials.first());
    let mut asked: Vec<_> = first
        .map(|it| (&it.cell.suite, &it.case, it.case_hash.to_string()))
        .collect();
    asked.sort();
    ContentHash::of_value(&asked).to_string()
}

fn successes(cases: &[Vec<&TrialRecord>]) -> usize {
    let trials = cases.iter().flatten();
    trials.filter(|trial| trial.outcome.is_success()).count()
}

/// Success within the limit, of all trials that a user would have waited for: errors of server,
/// network and tool are misses. Where the objective is a valid call, a case that needs none has no
/// time and is met by success.
fn attainment(cases: &[Vec<&TrialRecord>], limit_ms: f64, objective: Objective) -> Rate {
    let eligible =
        |trial: &&&TrialRecord| trial.outcome.counted() != Counted::Undecidable && !trial.replayed;
    Rate::of_cases(cases.iter().map(|trials| {
        let own = trials.iter().filter(eligible);
        own.map(|trial| {
            let within = time_ms(trial, objective).is_none_or(|time| time <= limit_ms);
            (u32::from(trial.outcome.is_success() && within), 1)
        })
        .collect()
    }))
}

/// What of two contexts is the same cell otherwise: for tables by context.
pub fn without_context(cell: &Cell) -> ContentHash {
    ContentHash::of_value(&(
        &cell.weights_sha256,
        &cell.model,
        (cell.dialect, cell.constraint),
        (&cell.settings, &cell.cases_hash),
    ))
}
