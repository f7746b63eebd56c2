//! Hardware tiers and published measurements as data: what a class of machine has, and what others
//! have measured on one.
//!
//! Data in: nothing; `store` reads them from the catalogue and a user's file. Data out: plain values.
//! Invariants: a figure carries its document and date, and says whether anybody here has looked it
//! up; an amount that nobody knows is absent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What computes.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor's cores, on the machine's memory.
    Cpu,
    /// The graphics part of Apple's processors, on the machine's memory.
    Apple,
    /// An NVIDIA card, on memory of its own.
    Nvidia,
    /// An AMD card, on memory of its own.
    Amd,
}

impl Device {
    /// For sentences.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "CPU",
            Self::Apple => "Apple",
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
        }
    }

    /// The system and other programs need memory of the same kind.
    pub fn shares_memory(self) -> bool {
        matches!(self, Self::Cpu | Self::Apple)
    }
}

/// A number with the place where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// The number, in the unit that the field's name says.
    pub value: f64,
    /// Where it stands.
    pub document: String,
    /// When it was looked up or computed.
    pub date: String,
    /// It was looked up in that document or a copy of it; otherwise it is taken on trust.
    pub verified: bool,
}

/// A class of machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tier {
    /// Name, as `--tier` takes it.
    pub name: String,
    /// What it is.
    pub title: String,
    /// What computes.
    pub device: Device,
    /// Memory of the device, or of the machine where the device has none of its own, in GiB.
    pub memory_gib: f64,
    /// Most of it that a model may take, where the system sets a limit: Metal's working set.
    pub working_set_gib: Option<f64>,
    /// What is set aside for the system and other programs unless `--reserve` says otherwise, in GiB.
    pub reserve_gib: f64,
    /// Peak bandwidth of that memory.
    pub bandwidth_bytes_per_second: Option<Figure>,
    /// Peak of multiply-adds, two operations each, in the precision that prompts are read in.
    pub compute_operations_per_second: Option<Figure>,
    /// The precision of that figure: `int8`, `fp16` or `fp32`, always dense.
    pub compute_precision: Option<String>,
    /// Power at the limit.
    pub watts: Option<Figure>,
    /// What it costs to buy, or by the hour; the currency stands beside.
    pub price: Option<TierPrice>,
    /// How a fingerprint is known to be of this tier.
    #[serde(skip)]
    pub rule: MatchRule,
}

/// What a machine costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TierPrice {
    /// Amount for an hour: as rented, or the price spread over its lifetime.
    pub per_hour: f64,
    /// Its currency.
    pub currency: String,
    /// How the hour's amount comes about, with document and date.
    pub basis: String,
}

impl Tier {
    /// Memory that a model may take, with another reserve than the tier's own where one is given. A
    /// reserve that is given holds for memory shared with other programs; a card's own memory keeps
    /// the tier's.
    pub fn usable_bytes(&self, reserve_gib: Option<f64>) -> f64 {
        let reserve = match reserve_gib {
            Some(given) if self.device.shares_memory() => given,
            _ => self.reserve_gib,
        };
        let left = (self.memory_gib - reserve).max(0.0);
        self.working_set_gib.map_or(left, |limit| left.min(limit)) * GIB
    }
}

/// Bytes of a GiB.
pub const GIB: f64 = (1_u64 << 30) as f64;

/// How a fingerprint is matched: everything that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MatchRule {
    /// Words that the name of the device (of the processor, for a CPU) must have.
    pub words: Vec<String>,
    /// Words that it must not have.
    pub without: Vec<String>,
    /// Of these words it must have one.
    pub any: Vec<String>,
    /// Least and most physical cores.
    pub cores: Option<(u32, u32)>,
    /// Least and most memory of the device or machine in GiB, both included.
    pub memory_gib: Option<(f64, f64)>,
}

/// What others have measured, and what they advise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Weights that the speeds are of.
    pub models: Vec<PublishedModel>,
    /// Tokens a second.
    pub speeds: Vec<PublishedSpeed>,
    /// Other figures, for reading beside one's own.
    pub claims: Vec<PublishedClaim>,
    /// Context by memory.
    pub contexts: Vec<PublishedContext>,
}

/// Weights of a published speed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PublishedModel {
    /// Name.
    pub name: String,
    /// For tables.
    pub title: String,
    /// Parameters.
    pub parameters: f64,
    /// Bytes of the weights.
    pub bytes: f64,
    /// Where both stand.
    pub source: String,
}

/// A published speed.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedSpeed {
    /// Name of its [`PublishedModel`].
    pub model: String,
    /// Name of its tier.
    pub tier: String,
    /// Generated tokens a second, from and to.
    pub decode: Option<(f64, f64)>,
    /// Prompt tokens a second, from and to.
    pub prefill: Option<(f64, f64)>,
    /// Operations per second of that very machine, where the tier stands for several.
    pub compute_operations_per_second: Option<f64>,
    /// The predictor is fitted to it; otherwise it is only compared with it.
    pub calibrates: bool,
    /// Where it stands.
    pub document: String,
    /// When it was looked up.
    pub date: String,
    /// Whether it was looked up there.
    pub verified: bool,
}

/// A published figure that no prediction is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedClaim {
    /// What is said to have been measured.
    pub what: String,
    /// The figure in words, with its unit.
    pub figure: String,
    /// Architecture by which one's own measurements of the like are found; empty for none.
    pub beside: String,
    /// Where it stands.
    pub document: String,
    /// When it was written down.
    pub date: String,
    /// Whether it was looked up there.
    pub verified: bool,
}

/// A context that is advised for so much memory.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedContext {
    /// From so much memory for the model, in GiB.
    pub from_gib: f64,
    /// Context in tokens.
    pub context_tokens: u32,
    /// Where it stands.
    pub document: String,
    /// When it was looked up.
    pub date: String,
    /// Whether it was looked up there.
    pub verified: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(device: Device, memory_gib: f64, working_set_gib: Option<f64>) -> Tier {
        Tier {
            name: "t".to_owned(),
            title: "t".to_owned(),
            device,
            memory_gib,
            working_set_gib,
            reserve_gib: 4.0,
            bandwidth_bytes_per_second: None,
            compute_operations_per_second: None,
            compute_precision: None,
            watts: None,
            price: None,
            rule: MatchRule::default(),
        }
    }

    #[test]
    fn what_a_model_may_take_is_bound_by_reserve_and_working_set() {
        let mac = tier(Device::Apple, 32.0, Some(21.3));
        // The reserve leaves 28; Metal allows less.
        assert!((mac.usable_bytes(None) / GIB - 21.3).abs() < 1e-9);
        assert!((mac.usable_bytes(Some(16.0)) / GIB - 16.0).abs() < 1e-9);
        let card = tier(Device::Nvidia, 24.0, None);
        assert!((card.usable_bytes(None) / GIB - 20.0).abs() < 1e-9);
        // What other programs need of the machine's memory is not taken from the card's.
        assert!((card.usable_bytes(Some(16.0)) / GIB - 20.0).abs() < 1e-9);
        assert!(tier(Device::Cpu, 2.0, None).usable_bytes(None).abs() < 1e-9);
    }
}
