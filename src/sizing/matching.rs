//! From a fingerprint to the hardware that computed, and to the tier of the catalogue it is.
//!
//! Data in: a [`Fingerprint`], what the provider said of the model, the tiers. Data out: a [`Machine`].
//! Invariants: the first tier whose rule holds in every point is it, a user's before the built-in ones;
//! a machine with several cards is of no tier, since tiers are of one; a device that nobody has told of
//! is not guessed: a served model on a machine with a card may run on either.

use crate::types::ModelFacts;
use crate::types::fingerprint::{Fingerprint, Gpu, GpuSource};
use crate::types::tier::{Device, GIB, MatchRule, Tier};

/// Memory of a card that its driver and the desktop keep, in GiB, where no tier says it.
const CARD_RESERVE_GIB: f64 = 0.5;
/// Memory of a machine for its system, in GiB, where no tier says it.
const SYSTEM_RESERVE_GIB: f64 = 1.0;

/// Spread of a probe's passes up to which they agree.
const MOST_SPREAD: f64 = 0.25;

/// What computed, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// The fingerprint's own label; names the machine.
    pub label: String,
    /// What computed; `None` where that is not known (a remote server, a served model beside a card).
    pub device: Option<Device>,
    /// Name of the catalogue's tier.
    pub tier: Option<String>,
    /// Bandwidth: the probe's for a CPU, the driver's or the tier's peak else.
    pub bandwidth_bytes_per_second: Option<f64>,
    /// Compute: the probe's for a CPU, the tier's peak else.
    pub compute_operations_per_second: Option<f64>,
    /// The peaks may be used to predict others: a document's, or a probe's of a machine that was not
    /// busy with something else.
    pub peaks_are_trusted: bool,
    /// Memory that a model may take.
    pub usable_bytes: Option<f64>,
}

/// The machine of a model's cells.
pub fn machine(
    label: &str,
    fingerprint: &Fingerprint,
    facts: &ModelFacts,
    tiers: &[Tier],
    reserve_gib: Option<f64>,
) -> Machine {
    let device = device_of(fingerprint, facts);
    on_device(label, fingerprint, device, tiers, reserve_gib)
}

/// A machine by itself: the card where there is one, else the processor.
pub fn bare_machine(
    fingerprint: &Fingerprint,
    tiers: &[Tier],
    reserve_gib: Option<f64>,
) -> Machine {
    let device = fingerprint.gpus.first().map_or(Device::Cpu, kind);
    on_device(
        &fingerprint.tier,
        fingerprint,
        Some(device),
        tiers,
        reserve_gib,
    )
}

fn on_device(
    label: &str,
    fingerprint: &Fingerprint,
    device: Option<Device>,
    tiers: &[Tier],
    reserve_gib: Option<f64>,
) -> Machine {
    let Some(device) = device else {
        return Machine {
            label: label.to_owned(),
            ..Machine::default()
        };
    };
    let tier = tier_of(fingerprint, device, tiers);
    let of_tier = |figure: fn(&Tier) -> Option<f64>| tier.and_then(figure);
    let gpu = fingerprint.gpus.first();
    let (bandwidth, compute) = if device == Device::Cpu {
        (
            fingerprint.memory_bandwidth_bytes_per_second,
            fingerprint.compute_flops_per_second,
        )
    } else {
        let told = gpu.and_then(|gpu| gpu.memory_bandwidth_bytes_per_second);
        let peak = of_tier(|tier| Some(tier.bandwidth_bytes_per_second.as_ref()?.value));
        let compute = of_tier(|tier| Some(tier.compute_operations_per_second.as_ref()?.value));
        (peak.or(told), compute)
    };
    Machine {
        label: label.to_owned(),
        device: Some(device),
        tier: tier.map(|tier| tier.name.clone()),
        bandwidth_bytes_per_second: bandwidth,
        compute_operations_per_second: compute,
        peaks_are_trusted: device != Device::Cpu || was_quiet(fingerprint),
        usable_bytes: Some(usable(fingerprint, device, tier, reserve_gib)),
    }
}

/// A probe tells of the machine only where it had the machine to itself: no more work than processors,
/// and passes that agree.
pub fn was_quiet(fingerprint: &Fingerprint) -> bool {
    let spreads = [
        fingerprint.memory_bandwidth_spread_share,
        fingerprint.compute_spread_share,
    ];
    fingerprint
        .load_average
        .is_none_or(|load| load <= f64::from(fingerprint.logical_cores))
        && spreads
            .into_iter()
            .flatten()
            .all(|share| share <= MOST_SPREAD)
}

/// Memory that a model may take on the machine as it was found, not as its tier has it.
fn usable(
    fingerprint: &Fingerprint,
    device: Device,
    tier: Option<&Tier>,
    reserve_gib: Option<f64>,
) -> f64 {
    let gpu = fingerprint.gpus.first();
    let (memory, usual) = match (device.shares_memory(), gpu) {
        (false, Some(gpu)) => (gpu.memory_bytes, CARD_RESERVE_GIB),
        _ => (fingerprint.memory_bytes, SYSTEM_RESERVE_GIB),
    };
    let own = tier.map_or(usual, |tier| tier.reserve_gib);
    let reserve = reserve_gib
        .filter(|_| device.shares_memory())
        .unwrap_or(own);
    let left = (memory as f64 - reserve * GIB).max(0.0);
    let limit = gpu
        .filter(|_| device == Device::Apple)
        .and_then(|gpu| gpu.working_set_bytes);
    limit.map_or(left, |limit| left.min(limit as f64))
}

/// What computed: a card where the provider says that layers lay on it, the processor where there is
/// no card or no layer went there.
pub fn device_of(fingerprint: &Fingerprint, facts: &ModelFacts) -> Option<Device> {
    if facts.remote || facts.cassette.is_some() {
        return None;
    }
    match (fingerprint.gpus.first(), facts.gpu_layers) {
        (Some(gpu), Some(layers)) if layers > 0 => Some(kind(gpu)),
        (None, _) | (_, Some(_)) => Some(Device::Cpu),
        (Some(_), None) => None,
    }
}

/// Records from before the source was told knew NVIDIA's driver alone.
fn kind(gpu: &Gpu) -> Device {
    match gpu.source {
        Some(GpuSource::Metal) => Device::Apple,
        Some(GpuSource::Amdgpu) => Device::Amd,
        Some(GpuSource::Nvml) | None => Device::Nvidia,
    }
}

/// The tier of the device that computes, by the tiers' own rules.
pub fn tier_of<'a>(
    fingerprint: &Fingerprint,
    device: Device,
    tiers: &'a [Tier],
) -> Option<&'a Tier> {
    let (name, memory) = match fingerprint.gpus.as_slice() {
        _ if device == Device::Cpu => (&fingerprint.cpu, fingerprint.memory_bytes),
        [gpu] => (&gpu.name, gpu.memory_bytes),
        _ => return None,
    };
    let has = words(name);
    tiers.iter().find(|tier| {
        tier.device == device && holds(&tier.rule, &has, fingerprint.physical_cores, memory)
    })
}

fn holds(rule: &MatchRule, has: &[String], cores: u32, memory_bytes: u64) -> bool {
    let has = |word: &String| has.contains(&word.to_lowercase());
    let gib = memory_bytes as f64 / GIB;
    let says_something = *rule != MatchRule::default();
    says_something
        && rule.words.iter().all(has)
        && !rule.without.iter().any(has)
        && (rule.any.is_empty() || rule.any.iter().any(has))
        && rule
            .cores
            .is_none_or(|(least, most)| (least..=most).contains(&cores))
        && rule
            .memory_gib
            .is_none_or(|(least, most)| (least..=most).contains(&gib))
}

/// `NVIDIA GeForce RTX 4070 Ti` → nvidia, geforce, rtx, 4070, ti. A count, as in `64-Core`, is no name.
fn words(name: &str) -> Vec<String> {
    let is_count = |part: &&str| {
        part.strip_suffix("-core")
            .is_some_and(|count| count.chars().all(|c| c.is_ascii_digit()))
    };
    name.to_lowercase()
        .split_whitespace()
        .filter(|part| !is_count(part))
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
