//! Graphics processors: NVIDIA's by the driver's library, AMD's by files of the kernel, Apple's by what
//! macOS says of the machine. A machine without any has none; that is no error.
//!
//! Data in: the driver's library, files below a folder, words of a program. Data out: [`Gpu`]s.
//! Invariant: nothing is guessed from a name; what is not told is absent.

mod amd;
mod apple;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;

use crate::types::fingerprint::{Gpu, GpuSource};

/// The devices: in the driver's order, NVIDIA's first.
pub fn list() -> Vec<Gpu> {
    let mut found = nvidia();
    found.extend(amd::list(std::path::Path::new("/sys")));
    found.extend(apple::list());
    found
}

fn nvidia() -> Vec<Gpu> {
    let Ok(nvml) = Nvml::init() else {
        return Vec::new();
    };
    let driver = nvml.sys_driver_version().unwrap_or_default();
    (0..nvml.device_count().unwrap_or(0))
        .filter_map(|index| {
            let device = nvml.device_by_index(index).ok()?;
            let clock = device.max_clock_info(Clock::Memory).ok();
            let bus = device.memory_bus_width().ok();
            Some(Gpu {
                name: device.name().ok()?,
                memory_bytes: device.memory_info().ok()?.total,
                driver: driver.clone(),
                source: Some(GpuSource::Nvml),
                memory_bandwidth_bytes_per_second: clock
                    .zip(bus)
                    .and_then(|(clock, bus)| double_rate(clock, bus)),
                working_set_bytes: None,
                cores: None,
            })
        })
        .collect()
}

/// Bandwidth by the driver's memory clock in MHz, at which two transfers are counted, and the bus in
/// bits: 1,593 MHz and 5,120 bits are the 2,039 GB/s of an A100, 10,501 MHz and 384 bits the 1,008 of
/// an RTX 4090. `None` where the driver tells nothing.
fn double_rate(clock_mhz: u32, bus_bits: u32) -> Option<f64> {
    (clock_mhz > 0 && bus_bits > 0).then(|| 2e6 * f64::from(clock_mhz) * f64::from(bus_bits) / 8.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bandwidth_follows_from_clock_and_bus() {
        for (clock, bus, gigabytes) in [(1593, 5120, 2039.0), (10_501, 384, 1008.1)] {
            let found = double_rate(clock, bus).unwrap() / 1e9;
            assert!((found - gigabytes).abs() < 0.1, "{found}");
        }
        assert_eq!(double_rate(0, 384), None);
    }
}
