//! The machine: what it is, how busy it is, and what is missing on it.
//!
//! Data in: the machine, through `/proc`, `/sys`, sysinfo, NVML and words of macOS; paths and addresses passed in. Data
//! out: a [`Fingerprint`], a verdict on noise per trial, a list of checks. Invariants: what cannot
//! be read is absent and never guessed; nothing but loopback addresses is contacted; nothing here
//! prints.

pub mod bandwidth;
pub mod compute;
pub mod cpu;
pub mod doctor;
pub mod gpu;
pub mod memory;
pub mod noise;
pub mod probed;
pub mod servers;
pub mod tier;

use sysinfo::System;

use crate::types::fingerprint::Fingerprint;

/// Measures the machine; takes 100 to 200 ms, most of it the two probes.
pub fn fingerprint() -> Fingerprint {
    let before = noise::Ticks::now();
    let cpu = cpu::Cpu::read();
    let memory = memory::Memory::read();
    let gpus = gpu::list();
    let bandwidth = bandwidth::measure(cpu.logical_cores, memory.available_bytes);
    let compute = compute::measure(cpu.logical_cores);
    Fingerprint {
        tier: tier::label(&cpu, memory.total_bytes, &gpus),
        cpu: cpu.name,
        cpu_features: cpu.features,
        build_features: cpu::build_features(),
        physical_cores: cpu.physical_cores,
        logical_cores: cpu.logical_cores,
        memory_bytes: memory.total_bytes,
        available_memory_bytes: memory.available_bytes,
        memory_bandwidth_bytes_per_second: bandwidth.map(|found| found.rate),
        memory_bandwidth_spread_share: bandwidth.map(|found| found.spread_share),
        compute_flops_per_second: compute.map(|found| found.rate),
        compute_spread_share: compute.map(|found| found.spread_share),
        gpus,
        os: os(),
        load_average: load_average(),
        steal_share: before.and_then(noise::Ticks::steal_share_since),
    }
}

/// Operating system and kernel, e.g. `Ubuntu 24.04, Linux 6.8.0`.
fn os() -> String {
    let system = System::long_os_version().or_else(|_| System::name());
    let parts = [system, System::kernel_long_version()];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Load over one minute. Windows keeps none, and says 0.
fn load_average() -> Option<f64> {
    if cfg!(windows) {
        return None;
    }
    System::load_average().ok().map(|load| load.one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_of_this_machine_is_complete_and_its_tier_stable() {
        let (one, two) = (fingerprint(), fingerprint());
        // Shown with --nocapture: how this machine reads.
        eprintln!("{}", serde_json::to_string_pretty(&one).unwrap());
        assert_eq!(one.tier, two.tier);
        assert!(one.physical_cores >= 1 && one.physical_cores <= one.logical_cores);
        assert!(one.available_memory_bytes <= one.memory_bytes);
        assert!(!one.os.is_empty() && !one.cpu.is_empty());
        if cfg!(target_os = "linux") {
            assert!(
                one.steal_share
                    .is_some_and(|share| (0.0..=1.0).contains(&share))
            );
            let bandwidth = one.memory_bandwidth_bytes_per_second.unwrap();
            assert!((1e8..1e13).contains(&bandwidth), "{bandwidth}");
        }
        for feature in &one.build_features {
            assert!(
                one.cpu_features.contains(feature),
                "built for {feature}, which is missing"
            );
        }
    }
}
