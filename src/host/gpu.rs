//! NVIDIA devices, through the driver's own library. A machine without one has none; that is no
//! error.

use nvml_wrapper::Nvml;

use crate::types::fingerprint::Gpu;

/// The devices in the driver's order.
pub fn list() -> Vec<Gpu> {
    let Ok(nvml) = Nvml::init() else {
        return Vec::new();
    };
    let driver = nvml.sys_driver_version().unwrap_or_default();
    (0..nvml.device_count().unwrap_or(0))
        .filter_map(|index| {
            let device = nvml.device_by_index(index).ok()?;
            Some(Gpu {
                name: device.name().ok()?,
                memory_bytes: device.memory_info().ok()?.total,
                driver: driver.clone(),
            })
        })
        .collect()
}
