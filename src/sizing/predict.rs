//! Tiers that nobody has run: what a measured cell would need there, and how fast it would be.
//!
//! Data in: measured cells, fits of the roofline, tiers. Data out: [`Prediction`]s. Invariants: success is
//! the measured one of equal weights and is never predicted; memory and time are predicted, from the
//! tokens that the cell's own trials read and wrote; a tier of a kind that nobody has measured gets
//! memory only; what was measured on a tier is not predicted there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Cell, KnownWeights};
use super::memory::{self, Fits, shape};
use super::published::{compute_of, machine_name};
use super::roofline::{
    Fit, PROBE_SHARE_OF_PEAK, Phase, Point, Predicted, compute_seconds, read_seconds,
};
use super::work::{Ratio, TrialWork};
use crate::metrics::latency::nearest_rank;
use crate::metrics::rates::Rate;
use crate::types::tier::{Device, Figure, Published, Tier};
use crate::weights::memory::estimate;

/// Times that a tail needs.
const LEAST_FOR_TAIL: usize = 20;

/// A measured cell on a tier where it was not measured. Every number but `success` is predicted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Prediction {
    /// The cell.
    pub cell: String,
    /// Its model.
    pub model: String,
    /// Name of the tier.
    pub tier: String,
    /// What it is.
    pub title: String,
    /// Context in tokens.
    pub context_tokens: u32,
    /// SHA-256 of its weights.
    pub weights_sha256: Option<String>,
    /// Its other settings.
    pub settings: BTreeMap<String, String>,
    /// Hash of what was asked of it.
    pub cases_hash: String,
    /// Memory that the cell would take; on a processor from what is needed (low) to what is resident, and up
    /// by what peaks were measured above the formula.
    pub memory_bytes: Option<Predicted>,
    /// Memory that a model may take there.
    pub usable_bytes: f64,
    /// It fits.
    pub fits: Option<Fits>,
    /// Largest context, in powers of two, that fits and that the model was trained for.
    pub largest_context_tokens: Option<u32>,
    /// Prompt tokens a second.
    pub prefill_tokens_per_second: Option<Predicted>,
    /// Generated tokens a second.
    pub decode_tokens_per_second: Option<Predicted>,
    /// Median time of the objective.
    pub p50_ms: Option<Predicted>,
    /// Its 95 % quantile; from 20 timed trials.
    pub p95_ms: Option<Predicted>,
    /// Success as it was measured with the same weights.
    pub success: Rate,
    /// Where.
    pub success_measured_on: String,
    /// The ranges of speeds come from leaving machines out; false where no speed is predicted.
    pub validated: bool,
    /// Why there is no time.
    pub no_time: Option<String>,
}

impl Prediction {
    /// It is of this very cell: of equal name, weights, context and settings.
    pub fn is_of(&self, cell: &Cell) -> bool {
        self.cell == cell.label()
            && self.weights_sha256 == cell.weights_sha256
            && self.context_tokens == cell.context_tokens
            && self.settings == cell.settings
            && self.cases_hash == cell.cases_hash
    }

    /// It is of the same cell as another.
    pub fn is_of_the_same(&self, other: &Self) -> bool {
        self.cell == other.cell
            && self.weights_sha256 == other.weights_sha256
            && self.context_tokens == other.context_tokens
            && self.settings == other.settings
            && self.cases_hash == other.cases_hash
    }
}

/// Every measured speed, and the published ones that calibrate.
pub fn points(
    cells: &[Cell],
    weights: &KnownWeights,
    tiers: &[Tier],
    published: &Published,
) -> Vec<Point> {
    let mut found: Vec<Point> = cells
        .iter()
        .flat_map(|cell| measured(cell, weights))
        .collect();
    for speed in published.speeds.iter().filter(|speed| speed.calibrates) {
        let tier = tiers.iter().find(|tier| tier.name == speed.tier);
        let model = published.models.iter().find(|it| it.name == speed.model);
        let (Some(tier), Some(model)) = (tier, model) else {
            continue;
        };
        let middle = |(low, high): (f64, f64)| f64::midpoint(low, high);
        let bandwidth = tier.bandwidth_bytes_per_second.as_ref();
        if let (Some(rate), Some(bandwidth)) = (speed.decode, bandwidth) {
            found.push(Point {
                machine: machine_name(tier),
                device: tier.device,
                phase: Phase::Decode,
                at_peak_seconds: read_seconds(model.bytes, bandwidth.value),
                measured_seconds: 1.0 / middle(rate),
                size: model.bytes,
            });
        }
        if let (Some(rate), Some(compute)) = (speed.prefill, compute_of(speed, tier)) {
            found.push(Point {
                machine: machine_name(tier),
                device: tier.device,
                phase: Phase::Prefill,
                at_peak_seconds: compute_seconds(model.parameters, compute),
                measured_seconds: 1.0 / middle(rate),
                size: model.parameters,
            });
        }
    }
    found
}

/// The two speeds of a cell; none where trials disturbed one another.
fn measured(cell: &Cell, weights: &KnownWeights) -> Vec<Point> {
    let work = &cell.work;
    let mut found = Vec::new();
    let usable = cell.concurrency == 1 && work.peaks_are_trusted;
    let Some(device) = cell.device.filter(|_| usable) else {
        return found;
    };
    let mut add = |phase, at_peak_seconds, size, ratio: Ratio| {
        if ratio.count > 0.0 {
            found.push(Point {
                machine: cell.machine.clone(),
                device,
                phase,
                at_peak_seconds,
                measured_seconds: ratio.seconds / ratio.count,
                size,
            });
        }
    };
    if let (Some(bytes), Some(bandwidth)) = (bytes_a_token(cell, weights), work.bandwidth) {
        add(
            Phase::Decode,
            read_seconds(bytes, bandwidth),
            bytes,
            work.decode,
        );
    }
    if let (Some(parameters), Some(compute)) = (work.parameters, work.compute) {
        let at_peak = compute_seconds(parameters, compute);
        add(Phase::Prefill, at_peak, parameters, work.prefill);
    }
    found
}

/// Weights, and the keys and values of the tokens looked back on where the weights' header is known.
fn bytes_a_token(cell: &Cell, weights: &KnownWeights) -> Option<f64> {
    let known = cell.weights_sha256.as_ref().and_then(|it| weights.get(it));
    let cache = known.zip(cell.work.kv_cache_type).map(|(header, kind)| {
        let shape = shape(cell.work.depth_tokens as u32, kind);
        estimate(header, shape).kv_cache_bytes as f64
    });
    Some(cell.work.weights_bytes? + cache.unwrap_or(0.0))
}

/// Cells worth carrying to other machines: of equal ones on several machines the one with most cases.
pub fn carriers(cells: &[Cell]) -> Vec<&Cell> {
    let mut found: Vec<&Cell> = Vec::new();
    let can =
        |cell: &&Cell| cell.concurrency == 1 && cell.weights_sha256.is_some() && cell.decidable;
    for cell in cells.iter().filter(can) {
        let key = |cell: &Cell| {
            (
                super::evidence::without_context(cell),
                cell.context_tokens,
                cell.variant.clone(),
            )
        };
        match found.iter_mut().find(|known| key(known) == key(cell)) {
            Some(known) if known.cases < cell.cases => *known = cell,
            Some(_) => {}
            None => found.push(cell),
        }
    }
    found
}

/// A cell on a tier; `None` where the tier has measured it.
pub fn predict(
    cell: &Cell,
    tier: &Tier,
    cells: &[Cell],
    fits: &[Fit],
    weights: &KnownWeights,
    reserve_gib: Option<f64>,
) -> Option<Prediction> {
    let measured_there = cells.iter().any(|other| {
        other.tier.as_ref() == Some(&tier.name)
            && other.weights_sha256 == cell.weights_sha256
            && other.label() == cell.label()
            && other.context_tokens == cell.context_tokens
            && other.settings == cell.settings
    });
    if measured_there {
        return None;
    }
    let known = cell.weights_sha256.as_ref().and_then(|it| weights.get(it));
    let usable_bytes = tier.usable_bytes(reserve_gib);
    let factor = memory::factor(cell, cells);
    let device = Some(tier.device);
    let memory_bytes = memory::predicted(cell, known, cell.context_tokens, device, factor);
    let decode = Speed::of_decode(cell, tier, fits, weights);
    let prefill = Speed::of_prefill(cell, tier, fits);
    let (times, no_time) = match (&decode, &prefill) {
        (Ok(decode), Ok(prefill)) => (Some(times(cell, decode, prefill)), None),
        (Err(why), _) | (_, Err(why)) => (None, Some(why.clone())),
    };
    let both = [decode.as_ref().ok(), prefill.as_ref().ok()];
    Some(Prediction {
        cell: cell.label(),
        model: cell.model.clone(),
        tier: tier.name.clone(),
        title: tier.title.clone(),
        context_tokens: cell.context_tokens,
        weights_sha256: cell.weights_sha256.clone(),
        settings: cell.settings.clone(),
        cases_hash: cell.cases_hash.clone(),
        memory_bytes,
        usable_bytes,
        fits: memory_bytes.map(|needs| Fits::of(needs, usable_bytes)),
        largest_context_tokens: known
            .zip(cell.work.kv_cache_type)
            .and_then(|(header, kind)| {
                memory::largest_context(header, kind, tier.device, factor, usable_bytes)
            }),
        validated: both.iter().flatten().next().is_some()
            && both.iter().flatten().all(|speed| speed.is_validated()),
        prefill_tokens_per_second: prefill.ok().map(|speed| speed.tokens_per_second()),
        decode_tokens_per_second: decode.ok().map(|speed| speed.tokens_per_second()),
        p50_ms: times.as_ref().and_then(|times| times.quantile(50)),
        p95_ms: times
            .as_ref()
            .filter(|times| times.middle.len() >= LEAST_FOR_TAIL)
            .and_then(|times| times.quantile(95)),
        success: cell.success.clone(),
        success_measured_on: cell.place().to_owned(),
        no_time,
    })
}

/// A fit of a tier's kind with what it is applied to.
struct Speed<'a> {
    fit: &'a Fit,
    at_peak_seconds: f64,
    size: f64,
}

impl<'a> Speed<'a> {
    fn of_decode(
        cell: &Cell,
        tier: &Tier,
        fits: &'a [Fit],
        weights: &KnownWeights,
    ) -> Result<Self, String> {
        let bandwidth = peak(tier, tier.bandwidth_bytes_per_second.as_ref(), "bandwidth")?;
        let bytes = bytes_a_token(cell, weights);
        let bytes = bytes.ok_or("the size of the weights is not on record")?;
        Ok(Self {
            fit: fit(fits, tier, Phase::Decode)?,
            at_peak_seconds: read_seconds(bytes, bandwidth),
            size: bytes,
        })
    }

    fn of_prefill(cell: &Cell, tier: &Tier, fits: &'a [Fit]) -> Result<Self, String> {
        let compute = peak(tier, tier.compute_operations_per_second.as_ref(), "compute")?;
        let parameters = cell.work.parameters;
        let parameters = parameters.ok_or("the number of parameters is not on record")?;
        Ok(Self {
            fit: fit(fits, tier, Phase::Prefill)?,
            at_peak_seconds: compute_seconds(parameters, compute),
            size: parameters,
        })
    }

    fn tokens_per_second(&self) -> Predicted {
        self.fit.tokens_per_second(self.at_peak_seconds, self.size)
    }

    fn is_validated(&self) -> bool {
        self.fit.is_validated_for(self.size)
    }

    /// Seconds a token: as predicted (0), at the quick (-1) or the slow (1) end of the range.
    fn seconds(&self, end: i32) -> f64 {
        self.fit.seconds(self.at_peak_seconds) * self.fit.factor_for(self.size).powi(end)
    }
}

fn fit<'a>(fits: &'a [Fit], tier: &Tier, phase: Phase) -> Result<&'a Fit, String> {
    let found = fits
        .iter()
        .find(|fit| fit.device == tier.device && fit.phase == phase);
    found.ok_or_else(|| {
        let what = match phase {
            Phase::Decode => "generating",
            Phase::Prefill => "reading prompts",
        };
        format!(
            "no speed of {what} on a machine of its kind ({}) is known",
            tier.device.as_str()
        )
    })
}

fn peak(tier: &Tier, figure: Option<&Figure>, what: &str) -> Result<f64, String> {
    let share = if tier.device == Device::Cpu {
        PROBE_SHARE_OF_PEAK
    } else {
        1.0
    };
    let figure = figure.ok_or_else(|| format!("the tier does not say its {what}"))?;
    Ok(figure.value * share)
}

/// What the cell's trials would take: reading and generating as predicted, the rest as measured.
fn times(cell: &Cell, decode: &Speed<'_>, prefill: &Speed<'_>) -> Times {
    let sorted = |end: i32| {
        let (decode, prefill) = (decode.seconds(end), prefill.seconds(end));
        let time = |trial: &TrialWork| {
            if trial.never {
                return f64::INFINITY;
            }
            trial.other_ms + 1000.0 * (trial.computed_tokens * prefill + trial.steps * decode)
        };
        let mut times: Vec<f64> = cell.work.trials.iter().flatten().map(time).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    Times {
        low: sorted(-1),
        middle: sorted(0),
        high: sorted(1),
    }
}

struct Times {
    low: Vec<f64>,
    middle: Vec<f64>,
    high: Vec<f64>,
}

impl Times {
    fn quantile(&self, percent: usize) -> Option<Predicted> {
        let found = Predicted {
            value: nearest_rank(&self.middle, percent)?,
            low: nearest_rank(&self.low, percent)?,
            high: nearest_rank(&self.high, percent)?,
        };
        // For ever is no number of milliseconds.
        found.high.is_finite().then_some(found)
    }
}
