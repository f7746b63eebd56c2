//! What others have published, beside what the predictor makes of it and what was measured here.
//!
//! Data in: published rows, tiers, fits, cells. Data out: rows for the page. Invariants: a published figure
//! is shown as it stands with its document; the predictor's error is its prediction over the middle of the
//! published range; a row that calibrates is predicted by a fit without its machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{Cell, KnownWeights};
use super::memory::{factor, largest_context};
use super::roofline::{
    Fit, PROBE_SHARE_OF_PEAK, Phase, Point, Predicted, compute_seconds, fits, read_seconds,
};
use crate::types::DialectName;
use crate::types::tier::{Device, Published, PublishedClaim, PublishedModel, PublishedSpeed, Tier};

/// A published speed with the predictor's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedRow {
    /// Weights.
    pub model: String,
    /// Machine.
    pub tier: String,
    /// Generating, or reading the prompt.
    pub phase: Phase,
    /// The predictor is fitted to it; what stands beside is then what it says when it is fitted without this
    /// machine.
    pub calibrates: bool,
    /// Tokens a second, from.
    pub low_tokens_per_second: f64,
    /// To.
    pub high_tokens_per_second: f64,
    /// What the predictor says.
    pub predicted: Option<Predicted>,
    /// Predicted / middle of the published − 1.
    pub error_share: Option<f64>,
    /// The published range and the predicted one have values in common.
    pub overlaps: Option<bool>,
    /// What reading the weights so often would need of the memory's peak bandwidth: above 1 it cannot
    /// have been one reply at a time from weights of this size. Of generating alone.
    pub share_of_peak_bandwidth: Option<f64>,
    /// Document, date.
    pub source: String,
    /// Whether it was looked up there.
    pub verified: bool,
}

/// A published claim with what was measured here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimRow {
    /// The claim.
    #[serde(flatten)]
    pub claim: PublishedClaim,
    /// Success of models of that architecture in `react`, measured: cell, rate and limits in words.
    pub measured: Vec<String>,
}

/// Context for a class of Macs by memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MacContext {
    /// Memory of the machine.
    pub memory_gib: f64,
    /// What a model may take of it.
    pub usable_gib: f64,
    /// Context that the document advises for so much.
    pub advised_tokens: Option<u32>,
    /// Largest context of each model whose weights lie here, by the memory estimate: predicted.
    pub largest: Vec<(String, Option<u32>)>,
    /// Document and date of the advice.
    pub source: String,
}

/// How a published machine is called among those that fits are made of.
pub fn machine_name(tier: &Tier) -> String {
    format!("{}{PUBLISHED_MARK}", tier.name)
}

/// Ends the name of a machine whose speeds are published ones.
pub const PUBLISHED_MARK: &str = " (published)";

/// Operations per second of the very machine, else of its tier.
pub fn compute_of(speed: &PublishedSpeed, tier: &Tier) -> Option<f64> {
    let of_tier = tier.compute_operations_per_second.as_ref();
    let own = speed.compute_operations_per_second;
    own.or(of_tier.map(|figure| figure.value))
}

/// All published speeds: those that calibrate beside a fit without their machine.
pub fn speeds(
    published: &Published,
    tiers: &[Tier],
    points: &[Point],
    fitted: &[Fit],
) -> Vec<PublishedRow> {
    let mut rows = Vec::new();
    for speed in &published.speeds {
        let tier = tiers.iter().find(|tier| tier.name == speed.tier);
        let model = published.models.iter().find(|it| it.name == speed.model);
        let (Some(tier), Some(model)) = (tier, model) else {
            continue;
        };
        let without;
        let fitted = if speed.calibrates {
            let own = machine_name(tier);
            let others = points.iter().filter(|point| point.machine != own);
            without = fits(&others.cloned().collect::<Vec<Point>>());
            &without
        } else {
            fitted
        };
        rows.extend(row(speed, tier, model, Phase::Decode, fitted));
        rows.extend(row(speed, tier, model, Phase::Prefill, fitted));
    }
    rows
}

fn row(
    speed: &PublishedSpeed,
    tier: &Tier,
    model: &PublishedModel,
    phase: Phase,
    fitted: &[Fit],
) -> Option<PublishedRow> {
    let share = if tier.device == Device::Cpu {
        PROBE_SHARE_OF_PEAK
    } else {
        1.0
    };
    let peak = tier.bandwidth_bytes_per_second.as_ref();
    let ((low, high), size, at_peak) = match phase {
        Phase::Decode => (
            speed.decode?,
            model.bytes,
            peak.map(|peak| read_seconds(model.bytes, peak.value * share)),
        ),
        Phase::Prefill => (
            speed.prefill?,
            model.parameters,
            compute_of(speed, tier).map(|peak| compute_seconds(model.parameters, peak * share)),
        ),
    };
    let fit = fitted
        .iter()
        .find(|fit| fit.device == tier.device && fit.phase == phase);
    let predicted = fit
        .zip(at_peak)
        .map(|(fit, at_peak)| fit.tokens_per_second(at_peak, size));
    let middle = f64::midpoint(low, high);
    Some(PublishedRow {
        model: model.title.clone(),
        tier: tier.title.clone(),
        phase,
        calibrates: speed.calibrates,
        low_tokens_per_second: low,
        high_tokens_per_second: high,
        predicted,
        error_share: predicted.map(|found| found.value / middle - 1.0),
        overlaps: predicted.map(|found| found.low <= high && low <= found.high),
        share_of_peak_bandwidth: peak
            .filter(|_| phase == Phase::Decode)
            .map(|peak| middle * model.bytes / peak.value),
        source: format!("{}, {}", speed.document, speed.date),
        verified: speed.verified,
    })
}

/// Claims, beside measured success of the architecture they name.
pub fn claims(published: &Published, cells: &[Cell]) -> Vec<ClaimRow> {
    published
        .claims
        .iter()
        .map(|claim| {
            let is_like = |cell: &&Cell| {
                let architecture = cell.architecture.as_deref().unwrap_or_default();
                !claim.beside.is_empty()
                    && architecture.starts_with(&claim.beside)
                    && cell.dialect == DialectName::React
            };
            let like = cells.iter().filter(is_like);
            ClaimRow {
                claim: claim.clone(),
                measured: like
                    .filter_map(|cell| {
                        let percent = |share: f64| share * 100.0;
                        let (rate, low, high) =
                            (cell.success.rate?, cell.success.low?, cell.success.high?);
                        Some(format!(
                            "{}: {:.1} % [{:.1}–{:.1}]",
                            cell.label(),
                            percent(rate),
                            percent(low),
                            percent(high)
                        ))
                    })
                    .collect(),
            }
        })
        .collect()
}

/// Contexts by memory of a Mac.
pub fn mac_contexts(
    published: &Published,
    tiers: &[Tier],
    cells: &[Cell],
    weights: &KnownWeights,
    reserve_gib: Option<f64>,
) -> Vec<MacContext> {
    let mut classes: Vec<&Tier> = Vec::new();
    for tier in tiers.iter().filter(|tier| tier.device == Device::Apple) {
        if classes
            .iter()
            .all(|known| (known.memory_gib - tier.memory_gib).abs() > 0.1)
        {
            classes.push(tier);
        }
    }
    classes.sort_by(|a, b| a.memory_gib.total_cmp(&b.memory_gib));
    classes
        .into_iter()
        .map(|tier| {
            let usable = tier.usable_bytes(reserve_gib);
            let usable_gib = usable / crate::types::tier::GIB;
            let advised = published
                .contexts
                .iter()
                .filter(|context| context.from_gib <= usable_gib)
                .max_by(|a, b| a.from_gib.total_cmp(&b.from_gib));
            let mut largest: Vec<(String, Option<u32>)> = Vec::new();
            for cell in cells {
                let known = cell.weights_sha256.as_ref().and_then(|it| weights.get(it));
                let (Some(header), Some(kind)) = (known, cell.work.kv_cache_type) else {
                    continue;
                };
                if largest.iter().all(|(name, _)| *name != cell.model) {
                    let above = factor(cell, cells);
                    let found = largest_context(header, kind, tier.device, above, usable);
                    largest.push((cell.model.clone(), found));
                }
            }
            MacContext {
                memory_gib: tier.memory_gib,
                usable_gib,
                advised_tokens: advised.map(|context| context.context_tokens),
                largest,
                source: advised
                    .map_or_else(String::new, |it| format!("{}, {}", it.document, it.date)),
            }
        })
        .collect()
}
