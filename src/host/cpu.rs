//! The processor: name, cores, and the instruction sets that matter for inference.
//!
//! Invariant: `features` holds only what the processor and the operating system both offer.

use sysinfo::{CpuRefreshKind, RefreshKind, System};

/// What is known of the processor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// As it names itself.
    pub name: String,
    /// Instruction sets, weakest first.
    pub features: Vec<String>,
    /// Cores this process may use; threads of one core count once.
    pub physical_cores: u32,
    /// Hardware threads this process may use.
    pub logical_cores: u32,
}

impl Cpu {
    /// Reads it.
    pub fn read() -> Self {
        // Respects affinity and the container's quota, unlike the count of processors.
        let logical = std::thread::available_parallelism().map_or(1, usize::from);
        let physical = System::physical_core_count()
            .unwrap_or(logical)
            .clamp(1, logical);
        Self {
            name: name(),
            features: features(),
            physical_cores: u32::try_from(physical).unwrap_or(1),
            logical_cores: u32::try_from(logical).unwrap_or(1),
        }
    }

    /// The widest instruction set, in the words of tier labels.
    pub fn widest(&self) -> &'static str {
        let has = |name: &str| self.features.iter().any(|feature| feature == name);
        match () {
            () if has("amx-int8") => "amx",
            () if has("avx512f") && has("avx512bw") => "avx512",
            () if has("avx2") => "avx2",
            () if has("avx") => "avx",
            () if has("sse4.2") => "sse42",
            () if has("sve") => "sve",
            () if has("i8mm") => "i8mm",
            () if has("neon") => "neon",
            () => "scalar",
        }
    }
}

fn name() -> String {
    let kind = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let brand = System::new_with_specifics(kind).ok().and_then(|system| {
        system
            .cpus()
            .first()
            .map(|cpu| cpu.brand().trim().to_owned())
    });
    match brand {
        Some(brand) if !brand.is_empty() => brand,
        _ => System::cpu_arch(),
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
fn features() -> Vec<String> {
    macro_rules! detected {
        ($($name:tt),+) => { [$(($name, std::arch::is_x86_feature_detected!($name))),+] };
    }
    let known = detected!(
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "f16c",
        "fma",
        "avx2",
        "bmi2",
        "avx512f",
        "avx512dq",
        "avx512bw",
        "avx512vl",
        "avx512vbmi",
        "avx512vnni",
        "avx512bf16",
        "avx512fp16",
        "avxvnni"
    );
    let mut features: Vec<String> = known
        .iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| (*name).to_owned())
        .collect();
    // The standard library cannot ask for these yet; Linux lists them.
    let listed = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    for (flag, name) in [
        ("amx_tile", "amx-tile"),
        ("amx_int8", "amx-int8"),
        ("amx_bf16", "amx-bf16"),
    ] {
        if listed.split_whitespace().any(|word| word == flag) {
            features.push(name.to_owned());
        }
    }
    features
}

#[cfg(target_arch = "aarch64")]
fn features() -> Vec<String> {
    macro_rules! detected {
        ($($name:tt),+) => { [$(($name, std::arch::is_aarch64_feature_detected!($name))),+] };
    }
    let known = detected!("neon", "fp16", "dotprod", "i8mm", "bf16", "sve", "sve2");
    known
        .iter()
        .filter(|(_, present)| *present)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "x86", target_arch = "aarch64")))]
fn features() -> Vec<String> {
    Vec::new()
}

/// Instruction sets this build may use without asking, and with it ggml, which is built alike.
pub fn build_features() -> Vec<String> {
    macro_rules! built {
        ($($name:tt),+) => { [$(($name, cfg!(target_feature = $name))),+] };
    }
    let known = built!(
        "sse3",
        "ssse3",
        "sse4.1",
        "sse4.2",
        "popcnt",
        "avx",
        "f16c",
        "fma",
        "avx2",
        "bmi2",
        "avx512f",
        "avx512dq",
        "avx512bw",
        "avx512vl",
        "avx512vbmi",
        "avx512vnni",
        "avx512bf16",
        "avx512fp16",
        "avxvnni",
        "neon",
        "fp16",
        "dotprod",
        "i8mm",
        "bf16",
        "sve",
        "sve2"
    );
    known
        .iter()
        .filter(|(_, built)| *built)
        .map(|(name, _)| (*name).to_owned())
        .collect()
}
