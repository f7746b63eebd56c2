//! What hardware: from records of runs, fingerprints and tiers to a page a buyer can use.
//!
//! ```text
//! runs ─► evidence: measured cells ─┬─► answer: bounds, the smallest tier that holds
//!          matching: machine, tier  ├─► load: by concurrency, machines for a demand
//! tiers, published ─► roofline: fit ┴─► predict: tiers nobody has run; published: beside
//! ```
//! Data in: headers and trials, [`Tier`]s, [`Published`] figures, headers of weights, [`Wishes`]. Data out:
//! a [`SizingPage`]. Invariants: pure, no clock; success is carried only from measured cells of equal
//! weights (SHA-256); memory and time may be predicted, and everything predicted is called so and has a
//! range; a number that does not exist is `null`, never 0.

pub mod answer;
pub mod bounds;
pub mod evidence;
pub mod load;
pub mod matching;
pub mod predict;
pub mod published;
pub mod roofline;
pub mod work;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::format::Header;
use crate::types::TrialRecord;
use crate::types::fingerprint::Fingerprint;
use crate::types::tier::{Device, Published, Tier};
use answer::Answer;
use evidence::{Cell, KnownWeights};
use load::{Demand, LoadRow};
use predict::Prediction;
use published::{ClaimRow, MacContext, PublishedRow};
use roofline::{Fit, LEAST_MACHINES};

/// Name and version of the page's JSON.
pub const SIZING_SCHEMA: &str = "toolbench.sizing/1";

/// A run as it was read.
#[derive(Clone, Copy, Debug)]
pub struct SizingRun<'a> {
    /// Its header.
    pub header: &'a Header,
    /// Its trials in file order.
    pub trials: &'a [TrialRecord],
}

/// Which time is meant by p95.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// First request to the end of the task.
    #[default]
    Task,
    /// First request to the first schema-valid call.
    ValidCall,
}

/// What is wanted, and what is to be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Which time counts.
    pub objective: Objective,
    /// Success of at least this share.
    pub success: Option<f64>,
    /// 95 % of times within this.
    pub p95_ms: Option<f64>,
    /// Memory for other programs, in GiB, instead of the tiers' own.
    pub reserve_gib: Option<f64>,
    /// Contexts to show memory for, measured or not.
    pub contexts: Vec<u32>,
    /// Tiers to predict for; empty for all.
    pub tiers: Vec<String>,
    /// Successes an hour that machines are wanted for.
    pub demand_per_hour: Option<f64>,
}

/// Everything a page is made of.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Runs, in any order.
    pub runs: &'a [SizingRun<'a>],
    /// Tiers, a user's before the built-in ones.
    pub tiers: &'a [Tier],
    /// What others have measured.
    pub published: &'a Published,
    /// Headers of weights that lie on this machine.
    pub weights: &'a KnownWeights,
    /// What is wanted.
    pub wishes: &'a Wishes,
}

/// The page: what `--format json` prints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SizingPage {
    /// [`SIZING_SCHEMA`].
    pub schema: String,
    /// Runs that count.
    pub runs: Vec<String>,
    /// Which time limits and predictions speak of.
    pub objective: Objective,
    /// The limit on 95 % of times.
    pub limit_ms: Option<f64>,
    /// The answer to `--success` and `--p95`.
    pub answer: Option<Answer>,
    /// Machines that were measured.
    pub machines: Vec<MachineRow>,
    /// Measured cells.
    pub cells: Vec<Cell>,
    /// Success and memory by context and quantisation.
    pub contexts: Vec<ContextRow>,
    /// By concurrency; empty where only one load was measured.
    pub load: Vec<LoadRow>,
    /// Machines for `--demand`.
    pub demands: Vec<Demand>,
    /// What predictions are made with.
    pub fits: Vec<Fit>,
    /// Tiers that nobody has run, smallest first.
    pub predictions: Vec<Prediction>,
    /// Published speeds that the predictor is compared with.
    pub published: Vec<PublishedRow>,
    /// Other published figures.
    pub claims: Vec<ClaimRow>,
    /// Context by memory of a Mac.
    pub mac_contexts: Vec<MacContext>,
    /// What was left out, and what numbers mean.
    pub notes: Vec<String>,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MachineRow {
    /// Its own label.
    pub label: String,
    /// Tier of the catalogue.
    pub tier: Option<String>,
    /// What that is.
    pub title: Option<String>,
    /// Processor.
    pub cpu: String,
    /// Physical cores.
    pub physical_cores: u32,
    /// Installed memory.
    pub memory_bytes: u64,
    /// Memory that a model may take.
    pub usable_bytes: Option<f64>,
    /// Graphics processors.
    pub gpus: Vec<String>,
    /// Bandwidth of memory by the probe.
    pub bandwidth_bytes_per_second: Option<f64>,
    /// Noise of the probe.
    pub bandwidth_spread_share: Option<f64>,
    /// Multiply-adds of 32-bit floats by the probe.
    pub compute_flops_per_second: Option<f64>,
    /// Noise of the probe.
    pub compute_spread_share: Option<f64>,
}

/// Success and memory of a model at a context.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContextRow {
    /// The cell, or the model where the context was not run.
    pub cell: String,
    /// Quantisation.
    pub quantisation: Option<String>,
    /// Context in tokens.
    pub context_tokens: u32,
    /// Its machine.
    pub tier: String,
    /// Cases; 0 where it was not run.
    pub cases: usize,
    /// Success; `null` where it was not run.
    pub success: Option<f64>,
    /// Lower 95 % limit.
    pub success_low: Option<f64>,
    /// Upper 95 % limit.
    pub success_high: Option<f64>,
    /// Highest resident memory as measured.
    pub peak_memory_bytes: Option<u64>,
    /// Memory as predicted.
    pub predicted_memory_bytes: Option<f64>,
    /// What is left of what a model may take: by the measurement, else by the prediction.
    pub headroom_bytes: Option<f64>,
}

/// The page of runs.
pub fn page(inputs: &Inputs<'_>) -> SizingPage {
    let Inputs {
        runs,
        tiers,
        published,
        weights,
        wishes,
    } = *inputs;
    let (cells, mut notes) = evidence::cells(runs, tiers, weights, wishes);
    let fits = predict::all_fits(&cells, weights, tiers, published);
    let wanted = |tier: &&Tier| wishes.tiers.is_empty() || wishes.tiers.contains(&tier.name);
    let carriers = predict::carriers(&cells);
    let predictions: Vec<Prediction> = answer::by_size(tiers)
        .into_iter()
        .filter(wanted)
        .flat_map(|tier| {
            let on_tier = carriers.iter().filter_map(|cell| {
                predict::predict(cell, tier, &cells, &fits, weights, wishes.reserve_gib)
            });
            on_tier.collect::<Vec<_>>()
        })
        .collect();
    notes.extend(busy_probes(runs));
    notes.extend(remarks(&cells, &fits, wishes));
    SizingPage {
        schema: SIZING_SCHEMA.to_owned(),
        runs: runs.iter().map(|run| run.header.run.clone()).collect(),
        objective: wishes.objective,
        limit_ms: wishes.p95_ms,
        answer: answer::answer(&cells, &predictions, tiers, wishes),
        machines: machines(runs, &cells, tiers, wishes),
        contexts: contexts(&cells, weights, wishes),
        load: load::rows(&cells, wishes),
        demands: load::demands(&cells, wishes),
        published: published::speeds(published, tiers, &fits),
        claims: published::claims(published, &cells),
        mac_contexts: published::mac_contexts(
            published,
            tiers,
            &cells,
            weights,
            wishes.reserve_gib,
        ),
        fits,
        predictions,
        cells,
        notes,
    }
}

fn machines(
    runs: &[SizingRun<'_>],
    cells: &[Cell],
    tiers: &[Tier],
    wishes: &Wishes,
) -> Vec<MachineRow> {
    let mut rows: Vec<MachineRow> = Vec::new();
    for run in runs {
        let found = &run.header.fingerprint;
        if rows.iter().any(|row| row.label == found.tier) {
            continue;
        }
        let own = cells.iter().find(|cell| cell.machine == found.tier);
        rows.push(machine_row(found, own, tiers, wishes));
    }
    rows
}

/// A machine that nothing was run on, or the one of a cell.
pub fn machine_row(
    found: &Fingerprint,
    cell: Option<&Cell>,
    tiers: &[Tier],
    wishes: &Wishes,
) -> MachineRow {
    let bare = matching::bare_machine(found, tiers, wishes.reserve_gib);
    let tier = match cell {
        Some(cell) => cell.tier.clone(),
        None => bare.tier.clone(),
    };
    let title = tiers
        .iter()
        .find(|known| Some(&known.name) == tier.as_ref());
    MachineRow {
        label: found.tier.clone(),
        title: title.map(|tier| tier.title.clone()),
        tier,
        cpu: found.cpu.clone(),
        physical_cores: found.physical_cores,
        memory_bytes: found.memory_bytes,
        usable_bytes: cell.map_or(bare.usable_bytes, |cell| cell.usable_bytes),
        gpus: found.gpus.iter().map(|gpu| gpu.name.clone()).collect(),
        bandwidth_bytes_per_second: found.memory_bandwidth_bytes_per_second,
        bandwidth_spread_share: found.memory_bandwidth_spread_share,
        compute_flops_per_second: found.compute_flops_per_second,
        compute_spread_share: found.compute_spread_share,
    }
}

/// By context and quantisation: measured cells, and contexts that were asked for and not run.
fn contexts(cells: &[Cell], weights: &KnownWeights, wishes: &Wishes) -> Vec<ContextRow> {
    let varied = |value: &dyn Fn(&Cell) -> String| {
        let mut values: Vec<String> = cells.iter().map(value).collect();
        values.sort();
        values.dedup();
        values.len() > 1
    };
    let several = varied(&|cell| cell.context_tokens.to_string()) || several_quants(cells);
    if wishes.contexts.is_empty() && !several {
        return Vec::new();
    }
    let mut rows: Vec<ContextRow> = Vec::new();
    for cell in cells.iter().filter(|cell| cell.concurrency == 1) {
        rows.push(ContextRow {
            cell: cell.label(),
            quantisation: cell.quantisation.clone(),
            context_tokens: cell.context_tokens,
            tier: cell.place().to_owned(),
            cases: cell.cases,
            success: cell.success.rate,
            success_low: cell.success.low,
            success_high: cell.success.high,
            peak_memory_bytes: cell.peak_memory_bytes,
            predicted_memory_bytes: cell.predicted_memory_bytes.map(|bytes| bytes as f64),
            headroom_bytes: cell.headroom_bytes,
        });
    }
    for cell in cells.iter().filter(|cell| cell.concurrency == 1) {
        for context in &wishes.contexts {
            let known = |row: &ContextRow| {
                row.context_tokens == *context
                    && row.tier == cell.place()
                    && row.cell.split(", ").next() == Some(cell.model.as_str())
            };
            if rows.iter().any(known) {
                continue;
            }
            let header = cell.weights_sha256.as_ref().and_then(|it| weights.get(it));
            let predicted = predict::memory_bytes(cell, header, *context);
            rows.push(ContextRow {
                cell: cell.model.clone(),
                quantisation: cell.quantisation.clone(),
                context_tokens: *context,
                tier: cell.place().to_owned(),
                cases: 0,
                success: None,
                success_low: None,
                success_high: None,
                peak_memory_bytes: None,
                predicted_memory_bytes: predicted,
                headroom_bytes: cell
                    .usable_bytes
                    .zip(predicted)
                    .map(|(all, needs)| all - needs),
            });
        }
    }
    let model = |row: &ContextRow| row.cell.split(", ").next().map(str::to_owned);
    let mut models: Vec<Option<String>> = Vec::new();
    for row in &rows {
        if !models.contains(&model(row)) {
            models.push(model(row));
        }
    }
    rows.sort_by_key(|row| {
        let place = models.iter().position(|known| *known == model(row));
        (place, row.context_tokens, row.cell.clone())
    });
    rows
}

/// One model, by its architecture and size, in several quantisations.
fn several_quants(cells: &[Cell]) -> bool {
    let model = |cell: &Cell| {
        (
            cell.architecture.clone(),
            cell.work.parameters.map(f64::to_bits),
        )
    };
    cells.iter().any(|one| {
        let is_other =
            |other: &&Cell| model(one) == model(other) && one.quantisation != other.quantisation;
        one.work.parameters.is_some() && cells.iter().any(|other| is_other(&other))
    })
}

/// Probes that are shown and not used.
fn busy_probes(runs: &[SizingRun<'_>]) -> Vec<String> {
    let busy = runs.iter().filter(|run| {
        let found = &run.header.fingerprint;
        found.gpus.is_empty() && !matching::was_quiet(found)
    });
    busy.map(|run| {
        let found = &run.header.fingerprint;
        let load = found.load_average.map_or_else(String::new, |load| {
            format!(" (load {load:.1} on {})", count(found.logical_cores as usize, "processor"))
        });
        format!(
            "{}: {} was busy with something else when it was probed{load}, so its bandwidth and compute are \
             not used to predict other machines",
            run.header.run, found.tier
        )
    })
    .collect()
}

fn remarks(cells: &[Cell], fits: &[Fit], wishes: &Wishes) -> Vec<String> {
    let mut notes = Vec::new();
    for fit in fits {
        let what = match fit.phase {
            roofline::Phase::Decode => "generating",
            roofline::Phase::Prefill => "reading prompts",
        };
        let overhead = if fit.overhead_assumed {
            "overhead not told apart, taken as 0".to_owned()
        } else {
            format!("{:.2} ms a token on top", fit.overhead_ms)
        };
        let range = if fit.validated {
            format!(
                "off by a factor of {:.2} at worst when a machine is left out; not validated for weights \
                 of less than half or more than twice the sizes it was fitted to ({})",
                fit.error_factor,
                sizes(fit)
            )
        } else {
            format!(
                "not validated (fewer than {LEAST_MACHINES} machines), so within a factor of {:.1} at best",
                fit.error_factor
            )
        };
        notes.push(format!(
            "predicted, {} {what}: {:.2} times the time at the peak, {overhead}; {} of {}; {range}",
            fit.device.as_str(),
            fit.slope,
            count(fit.points, "speed"),
            count(fit.machines.len(), "machine"),
        ));
    }
    if cells.iter().any(|cell| cell.concurrency > 1) {
        notes.push(
            "load: so many trials are in flight as long as any are left; times include waiting for a turn. \
             The linked engine decodes one request at a time, so more at once makes it wait, not faster"
                .to_owned(),
        );
    }
    if cells.iter().any(|cell| cell.peak_is_without_card) {
        notes.push(
            "memory on a card is not part of the measured peak; headroom is by the prediction"
                .to_owned(),
        );
    }
    let noisy: usize = cells.iter().map(|cell| cell.noisy_trials).sum();
    if noisy > 0 {
        notes.push(format!(
            "{} ran while the machine was busy with something else: their times are too long, and \
             the predictor leaves them out where there are quiet ones",
            count(noisy, "trial")
        ));
    }
    if cells.iter().any(|cell| cell.device == Some(Device::Cpu)) {
        notes.push(
            "bandwidth and compute of machines are probed for 40 ms each over all cores: a plain read of \
             a buffer larger than the cache, and 32-bit multiply-adds on a block inside it; ± is half the \
             range of the middle half of the passes"
                .to_owned(),
        );
    }
    if let Some(reserve) = wishes.reserve_gib {
        notes.push(format!("{reserve} GiB are set aside for other programs"));
    }
    notes.push(
        "headroom and memory in GiB, peaks in MB of 1,000,000 bytes; success is carried to other tiers \
         for equal weights (SHA-256) only"
            .to_owned(),
    );
    notes
}

fn sizes(fit: &Fit) -> String {
    let (low, high) = (fit.least_size / 1e9, fit.most_size / 1e9);
    match fit.phase {
        roofline::Phase::Decode => format!("{low:.1} to {high:.1} GB"),
        roofline::Phase::Prefill => format!("{low:.1} to {high:.1} billion parameters"),
    }
}

fn count(number: usize, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {singular}{plural}")
}

/// The JSON Schema of [`SizingPage`] as it is written (draft 2020-12).
pub fn sizing_schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<SizingPage>()
        .to_value()
}

#[cfg(test)]
mod predict_tests;
#[cfg(test)]
#[path = "sizing_tests.rs"]
pub(crate) mod tests;
