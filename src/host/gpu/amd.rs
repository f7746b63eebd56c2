//! AMD's devices, by the files of the kernel's `amdgpu` driver; ROCm need not be there.
//!
//! Data in: a folder that stands for `/sys`. Data out: devices in the order of their cards.
//! Invariants: a graphics part of the processor, which sets hardly any memory of its own aside, is no
//! device for models and is left out; a card whose memory is not told is left out too.

use std::path::{Path, PathBuf};

use crate::types::fingerprint::{Gpu, GpuSource};

/// Less memory of its own than any card for models has.
const LEAST_BYTES: u64 = 3 << 30;
/// AMD's number as a maker.
const AMD: &str = "0x1002";

/// The devices below `system`.
pub(super) fn list(system: &Path) -> Vec<Gpu> {
    let Ok(entries) = std::fs::read_dir(system.join("class/drm")) else {
        return Vec::new();
    };
    let mut cards: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            // `card0`, not its connectors `card0-DP-1`.
            let number = name.strip_prefix("card")?.parse().ok()?;
            Some((number, entry.path().join("device")))
        })
        .collect();
    cards.sort();
    let driver = word(&system.join("module/amdgpu/version")).unwrap_or_default();
    cards
        .iter()
        .filter_map(|(_, device)| card(device, &driver))
        .collect()
}

fn card(device: &Path, driver: &str) -> Option<Gpu> {
    if word(&device.join("vendor"))? != AMD {
        return None;
    }
    let memory_bytes: u64 = word(&device.join("mem_info_vram_total"))?.parse().ok()?;
    if memory_bytes < LEAST_BYTES {
        return None;
    }
    let number = word(&device.join("device")).unwrap_or_default();
    let name = word(&device.join("product_name")).filter(|name| !name.is_empty());
    Some(Gpu {
        name: name.unwrap_or_else(|| format!("AMD {number}")),
        memory_bytes,
        driver: driver.to_owned(),
        source: Some(GpuSource::Amdgpu),
        memory_bandwidth_bytes_per_second: None,
        working_set_bytes: None,
        cores: None,
    })
}

fn word(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures/hardware")
            .join(name)
    }

    /// Two cards for models, the graphics part of a processor, another maker's card, connectors.
    #[test]
    fn cards_are_read_from_the_kernels_files() {
        let found = list(&fixture("amd-sys"));
        let shown: Vec<_> = found
            .iter()
            .map(|gpu| (gpu.name.as_str(), gpu.memory_bytes, gpu.driver.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("AMD Radeon RX 7900 XTX", 25_753_026_560, "6.8.5"),
                ("AMD 0x74a1", 206_141_652_992, "6.8.5"),
            ]
        );
        assert!(
            found
                .iter()
                .all(|gpu| gpu.source == Some(GpuSource::Amdgpu))
        );
    }

    #[test]
    fn a_machine_without_any_has_none() {
        assert_eq!(list(&fixture("nowhere")), []);
        assert_eq!(list(&fixture("mac")), []);
    }
}
