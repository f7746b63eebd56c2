//! What hardware: from records of runs, fingerprints and tiers to a page a buyer can use.
//!
//! ```text
//! runs ─► evidence: measured cells ─┬─► answer: bounds, the smallest tier that holds
//!          matching: machine, tier  ├─► load: by concurrency, machines for a demand
//! tiers, published ─► roofline: fit ┴─► predict (memory, order): tiers nobody has run; published: beside
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
pub mod memory;
mod notes;
pub mod order;
pub mod predict;
pub mod published;
pub mod roofline;
pub mod work;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::format::Header;
use crate::types::TrialRecord;
use crate::types::fingerprint::Fingerprint;
use crate::types::tier::{Published, Tier};
use answer::Answer;
use evidence::{Cell, KnownWeights, fingerprints};
use load::{Demand, LoadRow};
use predict::Prediction;
use published::{ClaimRow, MacContext, PublishedRow};
use roofline::Fit;

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
    /// Published speeds: those that the predictor is fitted to, with its error when their machine is left
    /// out, and those that it is only compared with.
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
    /// What is left of what a model may take: by the measurement, else by the upper end of the prediction.
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
    let points = predict::points(&cells, weights, tiers, published);
    let fits = roofline::fits(&points);
    let wanted = |tier: &&Tier| wishes.tiers.is_empty() || wishes.tiers.contains(&tier.name);
    let carriers = predict::carriers(&cells);
    // Only what is asked for is put in order: a price of each of these is enough.
    let to_predict = order::by_size(tiers.iter().filter(wanted));
    let predictions: Vec<Prediction> = to_predict
        .iter()
        .flat_map(|tier| {
            let on_tier = carriers.iter().filter_map(|cell| {
                predict::predict(cell, tier, &cells, &fits, weights, wishes.reserve_gib)
            });
            on_tier.collect::<Vec<_>>()
        })
        .collect();
    let answer = answer::answer(&cells, &predictions, tiers, wishes);
    let load = load::rows(&cells, wishes);
    let (demands, no_machine) = load::demands(&cells, wishes);
    notes.splice(0..0, notes::unanswered(answer.as_ref(), wishes));
    notes.extend(no_machine);
    notes.extend(load::thin_rows(&load));
    notes.extend(notes::prices(&to_predict, &cells, tiers));
    notes.extend(notes::busy_probes(runs));
    notes.extend(notes::remarks(&cells, &fits, published, wishes));
    SizingPage {
        schema: SIZING_SCHEMA.to_owned(),
        runs: runs.iter().map(|run| run.header.run.clone()).collect(),
        objective: wishes.objective,
        limit_ms: wishes.p95_ms,
        answer,
        machines: machines(runs, &cells, tiers, wishes),
        contexts: contexts(&cells, weights, wishes),
        load,
        demands,
        published: published::speeds(published, tiers, &points, &fits),
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
    for found in runs.iter().flat_map(|run| fingerprints(run.header)) {
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
            let above = memory::factor(cell, cells);
            let predicted = memory::predicted(cell, header, *context, cell.device, above);
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
                predicted_memory_bytes: predicted.map(|needs| needs.value),
                headroom_bytes: cell
                    .usable_bytes
                    .zip(predicted)
                    .map(|(all, needs)| all - needs.high),
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

/// The JSON Schema of [`SizingPage`] as it is written (draft 2020-12).
pub fn sizing_schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<SizingPage>()
        .to_value()
}

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod predict_tests;
#[cfg(test)]
#[path = "sizing_tests.rs"]
pub(crate) mod tests;
