//! Apple's own processors: their graphics part works on the machine's memory, up to a limit.
//!
//! Data in: words of `sysctl` and `system_profiler`, asked on macOS only. Data out: at most one device.
//! The limit: what `iogpu.wired_limit_mb` sets, else the system's own, which is two thirds of up to
//! 36 GiB and three quarters of more (`recommendedMaxWorkingSetSize` as llama.cpp prints it: 10,922 MiB
//! of 16 GiB, 21,845 of 32, 49,152 of 64, 73,728 of 96). Newer systems allow more on some machines
//! (12,124 MiB of 16 GiB on an M4); the lower figure is taken.

use crate::types::fingerprint::{Gpu, GpuSource};

const GIB: u64 = 1 << 30;
/// Up to here the system keeps a third for itself, beyond a quarter.
const LARGE_BYTES: u64 = 36 * GIB;

/// What the system was asked, as it answered.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    /// `sysctl -n machdep.cpu.brand_string`.
    pub(super) brand: String,
    /// `sysctl -n hw.memsize`.
    pub(super) memory: String,
    /// `sysctl -n iogpu.wired_limit_mb`.
    pub(super) wired_limit: String,
    /// `sysctl -n kern.osproductversion`.
    pub(super) system: String,
    /// `system_profiler SPDisplaysDataType -json`.
    pub(super) displays: String,
}

/// The device of this machine; none but on macOS.
#[cfg(target_os = "macos")]
pub(super) fn list() -> Vec<Gpu> {
    let said = |program: &str, arguments: &[&str]| {
        let output = std::process::Command::new(program).args(arguments).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let answers = Answers {
        brand: said("sysctl", &["-n", "machdep.cpu.brand_string"]),
        memory: said("sysctl", &["-n", "hw.memsize"]),
        wired_limit: said("sysctl", &["-n", "iogpu.wired_limit_mb"]),
        system: said("sysctl", &["-n", "kern.osproductversion"]),
        displays: said("system_profiler", &["SPDisplaysDataType", "-json"]),
    };
    device(&answers).into_iter().collect()
}

/// The device of this machine; none but on macOS.
#[cfg(not(target_os = "macos"))]
pub(super) fn list() -> Vec<Gpu> {
    Vec::new()
}

/// The device that the answers tell of; none on a Mac with another maker's processor.
#[cfg_attr(
    not(any(test, target_os = "macos")),
    expect(dead_code, reason = "asked on macOS")
)]
pub(super) fn device(answers: &Answers) -> Option<Gpu> {
    let name = answers.brand.trim();
    let memory_bytes: u64 = answers.memory.trim().parse().ok()?;
    if !name.starts_with("Apple ") {
        return None;
    }
    let set_mib: u64 = answers.wired_limit.trim().parse().unwrap_or(0);
    let working_set = match set_mib {
        0 => working_set_bytes(memory_bytes),
        set => (set << 20).min(memory_bytes),
    };
    Some(Gpu {
        name: name.to_owned(),
        memory_bytes,
        driver: format!("macOS {}", answers.system.trim()),
        source: Some(GpuSource::Metal),
        memory_bandwidth_bytes_per_second: None,
        working_set_bytes: Some(working_set),
        cores: cores(&answers.displays),
    })
}

/// What the system lets the graphics part keep at work unless told otherwise.
pub(crate) fn working_set_bytes(memory_bytes: u64) -> u64 {
    if memory_bytes <= LARGE_BYTES {
        memory_bytes / 3 * 2
    } else {
        memory_bytes / 4 * 3
    }
}

fn cores(displays: &str) -> Option<u32> {
    let parsed: serde_json::Value = serde_json::from_str(displays).ok()?;
    let devices = parsed["SPDisplaysDataType"].as_array()?;
    let told = devices
        .iter()
        .find_map(|device| device["sppci_cores"].as_str())?;
    told.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn answers(machine: &str) -> Answers {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/hardware/mac")
            .join(machine);
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        Answers {
            brand: read("machdep.cpu.brand_string"),
            memory: read("hw.memsize"),
            wired_limit: read("iogpu.wired_limit_mb"),
            system: read("kern.osproductversion"),
            displays: read("displays.json"),
        }
    }

    #[test]
    fn a_mac_tells_its_processor_and_its_working_set() {
        let found = device(&answers("m2-max-32g")).unwrap();
        assert_eq!(found.name, "Apple M2 Max");
        assert_eq!(found.memory_bytes, 32 * GIB);
        assert_eq!(found.working_set_bytes.unwrap() >> 20, 21_845);
        assert_eq!(
            (found.cores, found.driver.as_str()),
            (Some(38), "macOS 14.5")
        );
        // Its owner has set the limit.
        let found = device(&answers("m4-64g-raised")).unwrap();
        assert_eq!(found.working_set_bytes, Some(57_344 << 20));
        assert_eq!(device(&answers("intel")), None);
        assert_eq!(device(&Answers::default()), None);
    }

    /// `recommendedMaxWorkingSetSize` as llama.cpp's users have posted it.
    #[test]
    fn the_limit_is_the_systems_own() {
        for (gib, mib) in [(16, 10_922), (32, 21_845), (64, 49_152), (96, 73_728)] {
            assert_eq!(working_set_bytes(gib * GIB) >> 20, mib);
        }
    }
}
