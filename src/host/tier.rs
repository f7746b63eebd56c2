//! Tier labels: the machine's class in one word, equal on every run of one machine.
//!
//! Rule. Without a GPU: `cpu-<cores>c-<memory>g-<instructions>`, e.g. `cpu-2c-24g-avx512`: physical
//! cores this process may use; memory rounded up to a size that is sold, since the kernel keeps a
//! little for itself; the widest instruction set. With GPUs: `gpu-[<n>x-]<name>-<memory>g`, e.g.
//! `gpu-h200-140g`: the first device's name without maker and series, the memory it reports rounded to
//! GiB. Macs with Apple's own processor: `mac-<processor>-<memory>g`, e.g. `mac-m2-max-32g`.

use crate::host::cpu::Cpu;
use crate::types::fingerprint::{Gpu, GpuSource};

const GIB: u64 = 1 << 30;
/// Sizes that are sold, in GiB; beyond them multiples of 64.
const SIZES: [u64; 18] = [
    1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 24, 28, 32, 36, 40, 48,
];
/// Words of a device's name that say nothing of its class.
const EMPTY_WORDS: [&str; 10] = [
    "nvidia", "geforce", "tesla", "quadro", "graphics", "device", "gpu", "laptop", "apple", "amd",
];

/// The label.
pub fn label(cpu: &Cpu, memory_bytes: u64, gpus: &[Gpu]) -> String {
    let Some(first) = gpus.first() else {
        let memory = memory_size(memory_bytes);
        return format!("cpu-{}c-{memory}g-{}", cpu.physical_cores, cpu.widest());
    };
    if first.source == Some(GpuSource::Metal) {
        let memory = memory_size(first.memory_bytes);
        return format!("mac-{}-{memory}g", gpu_name(&first.name));
    }
    let count = if gpus.len() > 1 {
        format!("{}x-", gpus.len())
    } else {
        String::new()
    };
    let memory = gpu_memory_size(first.memory_bytes);
    format!("gpu-{count}{}-{memory}g", gpu_name(&first.name))
}

/// Installed memory in GiB: the next size at or above what the system sees.
fn memory_size(bytes: u64) -> u64 {
    let gib = bytes.div_ceil(GIB).max(1);
    SIZES
        .into_iter()
        .find(|size| *size >= gib)
        .unwrap_or_else(|| {
            if gib <= 56 {
                56
            } else {
                gib.next_multiple_of(32)
            }
        })
}

/// Device memory in GiB, rounded: drivers keep a little back.
fn gpu_memory_size(bytes: u64) -> u64 {
    let gib = bytes as f64 / GIB as f64;
    gib.round() as u64
}

/// `NVIDIA GeForce RTX 4090` → `rtx-4090`; a memory size in the name is left out.
fn gpu_name(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| {
            let is_size = word
                .strip_suffix("gb")
                .is_some_and(|n| n.parse::<u32>().is_ok());
            !word.is_empty() && !is_size && !EMPTY_WORDS.contains(word)
        });
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(name: &str, gib: f64) -> Gpu {
        let memory_bytes = (gib * GIB as f64) as u64;
        Gpu {
            name: name.to_owned(),
            memory_bytes,
            ..Gpu::default()
        }
    }

    fn cpu(features: &[&str]) -> Cpu {
        let features = features
            .iter()
            .map(|feature| (*feature).to_owned())
            .collect();
        Cpu {
            name: "x".to_owned(),
            features,
            physical_cores: 2,
            logical_cores: 4,
        }
    }

    #[test]
    fn labels_follow_the_rule() {
        let wide = cpu(&["avx2", "avx512f", "avx512bw"]);
        assert_eq!(label(&wide, 24_700_000_000, &[]), "cpu-2c-24g-avx512");
        assert_eq!(
            label(&cpu(&["avx2"]), 16_500_000_000, &[]),
            "cpu-2c-16g-avx2"
        );
        assert_eq!(label(&cpu(&["neon"]), 8 * GIB, &[]), "cpu-2c-8g-neon");
        for (name, gib, expected) in [
            ("NVIDIA H200", 139.8, "gpu-h200-140g"),
            ("NVIDIA GeForce RTX 4090", 23.99, "gpu-rtx-4090-24g"),
            ("NVIDIA A100-SXM4-80GB", 79.3, "gpu-a100-sxm4-79g"),
        ] {
            assert_eq!(label(&wide, GIB, &[gpu(name, gib)]), expected);
        }
        let mac = Gpu {
            source: Some(GpuSource::Metal),
            ..gpu("Apple M2 Max", 32.0)
        };
        assert_eq!(label(&wide, GIB, &[mac]), "mac-m2-max-32g");
        assert_eq!(
            label(&wide, GIB, &[gpu("L4", 22.5), gpu("L4", 22.5)]),
            "gpu-2x-l4-23g"
        );
    }

    #[test]
    fn memory_rounds_up_to_what_is_sold() {
        for (gib, size) in [
            (0.4, 1),
            (7.7, 8),
            (15.6, 16),
            (23.4, 24),
            (62.7, 64),
            (125.8, 128),
            (251.7, 256),
            (503.0, 512),
        ] {
            assert_eq!(memory_size((gib * GIB as f64) as u64), size, "{gib}");
        }
    }
}
