//! What the engine asks the machine: free memory, own peak, cores, instruction sets.
//!
//! Data in: the operating system. Data out: plain numbers; `None` where the system does not say.
//! Invariant: measured each time it is asked for, never kept.

use sysinfo::System;

/// Memory that can be had without swapping, in bytes: the system's, or the control group's limit
/// where that is tighter.
pub(super) fn available_memory_bytes() -> Option<u64> {
    let mut system = System::new().ok()?;
    system.refresh_memory();
    let free = system.available_memory();
    Some(match system.cgroup_limits() {
        Some(limits) => free.min(limits.free_memory),
        None => free,
    })
}

/// Peak resident memory of this process so far, in bytes.
#[cfg(target_os = "linux")]
pub(super) fn peak_memory_bytes() -> Option<u64> {
    // Not `getrusage`: its maximum survives `exec` and would be the parent's.
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Peak resident memory of this process so far, in bytes.
#[cfg(all(unix, not(target_os = "linux")))]
pub(super) fn peak_memory_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is a valid place for one `rusage`, which the call fills when it answers 0.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    let maximum = u64::try_from(usage.ru_maxrss).ok()?;
    // Bytes on Apple systems, kibibytes on the others.
    Some(if cfg!(target_vendor = "apple") {
        maximum
    } else {
        maximum * 1024
    })
}

/// Peak resident memory of this process so far, in bytes.
#[cfg(not(unix))]
pub(super) fn peak_memory_bytes() -> Option<u64> {
    None
}

/// Threads for decoding: physical cores, but no more than this process may use.
pub(super) fn default_threads() -> u32 {
    let usable = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let physical = System::physical_core_count().unwrap_or(usable);
    u32::try_from(physical.min(usable).max(1)).unwrap_or(1)
}

/// Says that this CPU cannot run this build.
pub(super) fn refusal(lacking: &[&str]) -> String {
    format!(
        "this build needs {}, which this CPU does not have; the release archives run on every CPU of \
         their kind",
        lacking.join(", ")
    )
}

/// The instruction sets that this build needs and this CPU lacks; empty when it can run. A build
/// that chooses its backend when it starts needs none.
///
/// `is_x86_feature_detected!` answers from the build's own target when that has the feature, so
/// the CPU is asked directly.
#[cfg(target_arch = "x86_64")]
pub(super) fn missing_instruction_sets() -> Vec<&'static str> {
    use std::arch::x86_64::__cpuid_count;
    let leaf_1 = __cpuid_count(1, 0);
    let leaf_7_ebx = if __cpuid_count(0, 0).eax >= 7 {
        __cpuid_count(7, 0).ebx
    } else {
        0
    };
    if cfg!(feature = "dispatch") {
        return Vec::new();
    }
    // ggml is built for AVX2 at least; the rest only where this build was told so.
    let needs = [
        ("AVX2", true, leaf_7_ebx & (1 << 5) != 0),
        ("FMA", true, leaf_1.ecx & (1 << 12) != 0),
        ("F16C", true, leaf_1.ecx & (1 << 29) != 0),
        (
            "AVX-512F",
            cfg!(target_feature = "avx512f"),
            leaf_7_ebx & (1 << 16) != 0,
        ),
        (
            "AVX-512BW",
            cfg!(target_feature = "avx512bw"),
            leaf_7_ebx & (1 << 30) != 0,
        ),
    ];
    needs
        .into_iter()
        .filter(|(_, needed, present)| *needed && !present)
        .map(|(name, _, _)| name)
        .collect()
}

/// The instruction sets that this build needs and this CPU lacks; empty when it can run.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn missing_instruction_sets() -> Vec<&'static str> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_answers() {
        assert!(default_threads() >= 1);
        assert!(missing_instruction_sets().is_empty());
        #[cfg(target_os = "linux")]
        {
            assert!(peak_memory_bytes().unwrap() > 1 << 20);
            assert!(available_memory_bytes().unwrap() > 1 << 20);
        }
    }
}
