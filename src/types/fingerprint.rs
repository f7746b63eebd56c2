//! The machine a run was made on, as data; `host` measures it.

use serde::{Deserialize, Serialize};

/// What is known of the machine. Absent means that it could not be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fingerprint {
    /// Hardware tier: the machine's class in one word, part of every cell's key.
    pub tier: String,
    /// Processor as it names itself.
    pub cpu: String,
    /// Instruction sets of the processor that matter for inference.
    pub cpu_features: Vec<String>,
    /// Instruction sets the linked build may use.
    pub build_features: Vec<String>,
    /// Physical cores.
    pub physical_cores: u32,
    /// Logical cores.
    pub logical_cores: u32,
    /// Installed memory, or the container's limit when that is lower.
    pub memory_bytes: u64,
    /// Memory free when the run started.
    pub available_memory_bytes: u64,
    /// Sequential read bandwidth of memory, measured by a short probe over all cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bandwidth_bytes_per_second: Option<f64>,
    /// Noise of that probe: half the range of the middle half of its passes / their median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bandwidth_spread_share: Option<f64>,
    /// Multiply-adds of 32-bit floats, two operations each, measured by a short probe over all cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_flops_per_second: Option<f64>,
    /// Noise of that probe, as of the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_spread_share: Option<f64>,
    /// Graphics processors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<Gpu>,
    /// Operating system and kernel.
    pub os: String,
    /// Load average over one minute when the run started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_average: Option<f64>,
    /// Share of time stolen by the hypervisor while measuring, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steal_share: Option<f64>,
}

/// One graphics processor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// Name.
    pub name: String,
    /// Device memory.
    pub memory_bytes: u64,
    /// Driver version.
    pub driver: String,
    /// Who told of it; absent in records from before there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<GpuSource>,
    /// Bandwidth of its memory by the driver's clock and bus width: a peak, not a measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bandwidth_bytes_per_second: Option<f64>,
    /// How much of the memory programs may keep at work, where that is less than all of it: Metal's
    /// working-set limit on memory that processor and device share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    /// Cores, where the system says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cores: Option<u32>,
}

/// Where what is known of a graphics processor comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpuSource {
    /// NVIDIA's driver.
    Nvml,
    /// macOS, for the processor's own.
    Metal,
    /// The kernel's amdgpu driver.
    Amdgpu,
}
