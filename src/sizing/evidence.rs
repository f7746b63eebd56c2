//! From records to measured cells: what ran, on what, how well and how fast.
//!
//! Data in: headers and trials of runs, tiers, headers of weights. Data out: [`Cell`]s. Invariants:
//! numbers that the summary has are the summary's; a cell that several runs hold counts once, the
//! newest; replayed trials have no times; nothing is carried from one cell to another here.

use std::collections::{BTreeMap, HashMap};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::matching::{Machine, machine};
use super::{Objective, SizingRun, Wishes};
use crate::clock::epoch_ms;
use crate::metrics::cost::Cost;
use crate::metrics::latency::Quantiles;
use crate::metrics::rates::Rate;
use crate::metrics::{Row, SummaryOptions, summarise};
use crate::record::format::{Header, ModelHeader};
use crate::types::outcome::Counted;
use crate::types::tier::{Device, Tier};
use crate::types::{CellKey, Constraint, ContentHash, DialectName, TrialRecord};
use crate::weights::gguf::Header as WeightsHeader;
use crate::weights::memory::{ContextShape, KvCacheType, estimate};

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
    /// First request to the end of judging.
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
    /// Memory predicted from the weights' header at this context.
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

/// What a cell's trials asked of the machine, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Parameters of the model.
    pub parameters: Option<f64>,
    /// Bytes of the weights.
    pub weights_bytes: Option<f64>,
    /// Type of the key and value cache.
    pub kv_cache_type: Option<KvCacheType>,
    /// Bandwidth and compute of the machine.
    pub bandwidth: Option<f64>,
    /// See `bandwidth`.
    pub compute: Option<f64>,
    /// They may be used to predict others.
    pub peaks_are_trusted: bool,
    /// Successful / scored trials of each case.
    pub success_shares: Vec<f64>,
    /// Times of the objective by case; infinite where a call was due and none came.
    pub times_ms: Vec<Vec<f64>>,
    /// Token counts of each timed trial, by case.
    pub trials: Vec<Vec<TrialWork>>,
    /// Seconds and steps of decoding, masks left out.
    pub decode: Ratio,
    /// Seconds and tokens of computing prompts.
    pub prefill: Ratio,
    /// Mean number of tokens that a generated one looks back on.
    pub depth_tokens: f64,
    /// Successes within the limit, and the hours that running took.
    pub good: usize,
    /// See `good`.
    pub hours: f64,
}

/// A ratio of sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Seconds.
    pub seconds: f64,
    /// What they were spent on.
    pub count: f64,
}

/// What the machine did for a trial's objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrialWork {
    /// Prompt tokens computed.
    pub computed_tokens: f64,
    /// Steps of decoding.
    pub steps: f64,
    /// Everything besides: grammars, tools, judging; taken as it was measured.
    pub other_ms: f64,
    /// The objective was never reached.
    pub never: bool,
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
    /// Equal weights, settings, machine and load.
    fn is_same_as(&self, other: &Self) -> bool {
        let key = |cell: &Self| {
            (
                cell.weights_sha256.clone().unwrap_or(cell.model.clone()),
                (cell.dialect, cell.constraint, cell.variant.clone()),
                cell.settings.clone(),
                (cell.context_tokens, cell.concurrency),
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
    let place = machine(
        &row.tier,
        &header.fingerprint,
        &model.facts,
        tiers,
        wishes.reserve_gib,
    );
    let context_tokens = context(header, row, model);
    let by_case = by_case(trials);
    let work = work(header, model, &place, &by_case, wishes);
    let known = model.weights_sha256.as_ref().and_then(|it| weights.get(it));
    let predicted = predicted_memory(header, model, context_tokens, known, &work);
    let peak = row.peak_memory_bytes.max(model.facts.peak_memory_bytes);
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

fn setting<'a>(header: &'a Header, name: &str) -> Option<&'a str> {
    let found = header
        .settings
        .iter()
        .find(|setting| setting.name == name)?;
    Some(&found.value)
}

fn concurrency(header: &Header) -> usize {
    let told = setting(header, "concurrency").and_then(|value| value.parse().ok());
    told.unwrap_or(1).max(1)
}

fn kv_cache_type(header: &Header) -> Option<KvCacheType> {
    match setting(header, "kv-cache-type") {
        None | Some("") => Some(KvCacheType::F16),
        Some(name) => KvCacheType::from_name(name),
    }
}

/// The engine's own estimate where it was made for this context, else one from the weights' header.
fn predicted_memory(
    header: &Header,
    model: &ModelHeader,
    context_tokens: u32,
    known: Option<&WeightsHeader>,
    work: &Work,
) -> Option<u64> {
    let told = model.facts.predicted_memory_bytes;
    if model.facts.context_tokens == context_tokens && told.is_some() {
        return told;
    }
    let shape = ContextShape {
        context_tokens,
        kv_cache_type: work.kv_cache_type?,
        flash_attention: setting(header, "flash-attention") != Some("off"),
    };
    known.map(|weights| estimate(weights, shape).total_bytes())
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

fn successes(cases: &[Vec<&TrialRecord>]) -> usize {
    let trials = cases.iter().flatten();
    trials.filter(|trial| trial.outcome.is_success()).count()
}

fn work(
    header: &Header,
    model: &ModelHeader,
    place: &Machine,
    cases: &[Vec<&TrialRecord>],
    wishes: &Wishes,
) -> Work {
    let timed = |trial: &&&TrialRecord| trial.outcome.is_scored() && !trial.replayed;
    let objective = wishes.objective;
    let of_cases = |value: &dyn Fn(&TrialRecord) -> Option<f64>| -> Vec<Vec<f64>> {
        let of_case = |trials: &Vec<&TrialRecord>| {
            let own = trials.iter().filter(timed);
            own.filter_map(|trial| value(trial)).collect()
        };
        cases.iter().map(of_case).collect()
    };
    let mut found = Work {
        parameters: model.facts.parameters.map(|count| count as f64),
        weights_bytes: model.facts.file_bytes.map(|bytes| bytes as f64),
        kv_cache_type: kv_cache_type(header),
        bandwidth: place.bandwidth_bytes_per_second,
        compute: place.compute_operations_per_second,
        peaks_are_trusted: place.peaks_are_trusted,
        success_shares: success_shares(cases),
        times_ms: of_cases(&|trial| time_ms(trial, objective)),
        hours: hours(cases, concurrency(header)),
        ..Work::default()
    };
    let limit = wishes.p95_ms.unwrap_or(f64::INFINITY);
    found.good = cases
        .iter()
        .flatten()
        .filter(timed)
        .filter(|trial| {
            let within = time_ms(trial, objective).is_none_or(|time| time <= limit);
            trial.outcome.is_success() && within
        })
        .count();
    let (mut looked_back, mut generated) = (0.0, 0.0);
    // Speeds of a busy machine are not the machine's; where all are of one, there is nothing better.
    let any_quiet = cases
        .iter()
        .flatten()
        .filter(timed)
        .any(|trial| !trial.noisy);
    let clean = |trial: &&&TrialRecord| timed(trial) && !(any_quiet && trial.noisy);
    for trial in cases.iter().flatten().filter(clean) {
        for attempt in &trial.attempts {
            let (usage, timing) = (&attempt.usage, &attempt.timing);
            let steps = steps(attempt);
            if steps > 0.0 && timing.decode_ms > timing.mask_ms {
                found.decode.seconds += (timing.decode_ms - timing.mask_ms) / 1000.0;
                found.decode.count += steps;
                let depth = f64::from(usage.prompt_tokens) + f64::from(usage.output_tokens) / 2.0;
                looked_back += depth * steps;
                generated += steps;
            }
            if usage.computed_tokens > 0 && timing.prefill_ms > 0.0 {
                found.prefill.seconds += timing.prefill_ms / 1000.0;
                found.prefill.count += f64::from(usage.computed_tokens);
            }
        }
    }
    found.depth_tokens = if generated > 0.0 {
        looked_back / generated
    } else {
        0.0
    };
    found.trials = cases
        .iter()
        .map(|trials| {
            let own = trials.iter().filter(timed);
            own.filter_map(|trial| trial_work(trial, objective))
                .collect()
        })
        .collect();
    found
}

/// Successful / scored trials of each case that has any.
fn success_shares(cases: &[Vec<&TrialRecord>]) -> Vec<f64> {
    cases
        .iter()
        .filter_map(|trials| {
            let scored = trials.iter().filter(|trial| trial.outcome.is_scored());
            let (all, good) = scored.fold((0_u32, 0_u32), |(all, good), trial| {
                (all + 1, good + u32::from(trial.outcome.is_success()))
            });
            (all > 0).then(|| f64::from(good) / f64::from(all))
        })
        .collect()
}

/// The time that the objective speaks of. No valid call in a case that needs one lasts for ever; a
/// case that needs none has no such time.
fn time_ms(trial: &TrialRecord, objective: Objective) -> Option<f64> {
    match objective {
        Objective::Task => Some(trial.time.total_ms),
        Objective::ValidCall if trial.abstention => None,
        Objective::ValidCall => Some(trial.time.to_valid_call_ms.unwrap_or(f64::INFINITY)),
    }
}

fn steps(attempt: &crate::types::AttemptRecord) -> f64 {
    let usage = &attempt.usage;
    match usage.decode_steps {
        0 => f64::from(usage.output_tokens.saturating_sub(1)),
        steps => f64::from(steps),
    }
}

/// The work up to the objective, and all that was not reading or generating as it was measured.
fn trial_work(trial: &TrialRecord, objective: Objective) -> Option<TrialWork> {
    let time = time_ms(trial, objective)?;
    let mut found = TrialWork {
        never: time.is_infinite(),
        ..TrialWork::default()
    };
    let mut accounted_ms = 0.0;
    for attempt in &trial.attempts {
        found.computed_tokens += f64::from(attempt.usage.computed_tokens);
        found.steps += steps(attempt);
        let masks = attempt.timing.mask_ms;
        accounted_ms += attempt.timing.prefill_ms + (attempt.timing.decode_ms - masks).max(0.0);
        let reached = objective == Objective::ValidCall && attempt.valid_calls > 0;
        if reached && attempt.passed_over.is_none() {
            break;
        }
    }
    if !found.never {
        found.other_ms = (time - accounted_ms).max(0.0);
    }
    Some(found)
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

/// Hours that running the trials took: for each cell of the record from its first beginning to its last
/// end. A pause between executions does not count: never more than the trials one after another took
/// with a tenth on top, and never less than so many at once can take.
fn hours(cases: &[Vec<&TrialRecord>], at_once: usize) -> f64 {
    let mut spans: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for trial in cases.iter().flatten().filter(|trial| !trial.replayed) {
        let Some(begin) = epoch_ms(&trial.started_at) else {
            continue;
        };
        let end = begin + trial.time.total_ms;
        let span = spans
            .entry(&trial.cell_id)
            .or_insert((f64::INFINITY, f64::NEG_INFINITY, 0.0));
        *span = (
            span.0.min(begin),
            span.1.max(end),
            span.2 + trial.time.total_ms,
        );
    }
    let ms: f64 = spans
        .values()
        .map(|(begin, end, busy)| (end - begin).clamp(busy / at_once as f64, 1.1 * busy))
        .sum();
    ms / 3_600_000.0
}

/// What of two contexts is the same cell otherwise: for tables by context.
pub fn without_context(cell: &Cell) -> ContentHash {
    ContentHash::of_value(&(
        &cell.weights_sha256,
        &cell.model,
        (cell.dialect, cell.constraint),
        &cell.settings,
    ))
}
