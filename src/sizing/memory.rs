//! Memory of a cell on a tier, with its range.
//!
//! Data in: a measured cell, the header of its weights, a device. Data out: predicted bytes, whether they fit.
//! Invariants: pure; the upper end is no less than what measured peaks show the formula to miss; what
//! could be had back from the system (pages of the file that were copied into another order) is in the value
//! and not in the lower end.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::Cell;
use super::roofline::Predicted;
use crate::types::tier::Device;
use crate::weights::gguf::Header as WeightsHeader;
use crate::weights::memory::{ContextShape, KvCacheType, estimate, resident_on_cpu_bytes};

/// Least context that is looked for.
const LEAST_CONTEXT: u32 = 512;

/// Whether a cell fits into the memory that a model may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fits {
    /// The upper end of the range does.
    Yes,
    /// The upper end does not, the lower one does.
    Perhaps,
    /// The lower end does not.
    No,
}

impl Fits {
    /// Of so much memory into so much.
    pub fn of(needs: Predicted, usable_bytes: f64) -> Self {
        if needs.high <= usable_bytes {
            Self::Yes
        } else if needs.low <= usable_bytes {
            Self::Perhaps
        } else {
            Self::No
        }
    }

    /// For tables and CSV.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Perhaps => "perhaps",
            Self::No => "no",
        }
    }
}

/// Measured peak / predicted memory, where the peak is of all that the model takes.
pub fn measured_share(cell: &Cell) -> Option<f64> {
    if cell.peak_is_without_card {
        return None;
    }
    let (measured, predicted) = (cell.peak_memory_bytes?, cell.predicted_memory_bytes?);
    (predicted > 0).then(|| measured as f64 / predicted as f64)
}

/// How far above the prediction memory has to be reckoned with: the worst that was measured with the
/// cell's weights, else with any; never below 1.
pub fn factor(cell: &Cell, cells: &[Cell]) -> f64 {
    let worst = |own: &dyn Fn(&Cell) -> bool| {
        let like = cells.iter().filter(|other| own(other));
        like.filter_map(measured_share).reduce(f64::max)
    };
    let same = |other: &Cell| other.weights_sha256 == cell.weights_sha256;
    worst(&same)
        .or_else(|| worst(&|_| true))
        .unwrap_or(1.0)
        .max(1.0)
}

/// Memory of a cell at a context on a kind of device: by the weights' header, else what was predicted or
/// measured at its own context.
pub fn predicted(
    cell: &Cell,
    known: Option<&WeightsHeader>,
    context_tokens: u32,
    device: Option<Device>,
    factor: f64,
) -> Option<Predicted> {
    if let (Some(header), Some(kind)) = (known, cell.work.kv_cache_type) {
        return Some(by_header(
            header,
            shape(context_tokens, kind),
            device,
            factor,
        ));
    }
    let own = cell.predicted_memory_bytes.or(cell.peak_memory_bytes);
    own.filter(|_| context_tokens == cell.context_tokens)
        .map(|bytes| bytes as f64)
        .map(|value| Predicted {
            value,
            low: value,
            high: value * factor,
        })
}

/// The formula's, with the pages of the file that lie beside a processor's own copy.
fn by_header(
    header: &WeightsHeader,
    shape: ContextShape,
    device: Option<Device>,
    factor: f64,
) -> Predicted {
    let needed = estimate(header, shape).total_bytes() as f64;
    let value = match device {
        Some(Device::Cpu) => resident_on_cpu_bytes(header, shape) as f64,
        _ => needed,
    };
    Predicted {
        value,
        low: needed,
        high: value * factor,
    }
}

/// The largest power of two whose upper end fits, up to what the model was trained for.
pub fn largest_context(
    header: &WeightsHeader,
    kind: KvCacheType,
    device: Device,
    factor: f64,
    usable_bytes: f64,
) -> Option<u32> {
    let trained = header.context_length_tokens.unwrap_or(u32::MAX);
    let mut largest = None;
    let mut tokens = LEAST_CONTEXT;
    while tokens <= trained {
        let needs = by_header(header, shape(tokens, kind), Some(device), factor);
        if needs.high > usable_bytes {
            break;
        }
        largest = Some(tokens);
        let Some(next) = tokens.checked_mul(2) else {
            break;
        };
        tokens = next;
    }
    largest
}

/// As the engine holds it by default.
pub fn shape(context_tokens: u32, kv_cache_type: KvCacheType) -> ContextShape {
    ContextShape {
        context_tokens,
        kv_cache_type,
        flash_attention: true,
    }
}
