//! The doctor: what is ready on this machine, what is missing, and the command that fixes it.
//!
//! Data in: the fingerprint, what the engine says of itself, folders, programs, addresses. Data
//! out: a list of checks, always the same ones in the same order, serialisable. Invariants: asking
//! changes nothing; every check that is not `ok` has a fix or says that none is needed.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::host::servers::{self, Endpoint};
use crate::store::cache::Cache;
use crate::store::disk::Disk;
use crate::store::pull::ToolSettings;
use crate::types::fingerprint::Fingerprint;

const GIB: f64 = (1_u64 << 30) as f64;
/// A small model with its context.
const LITTLE_MEMORY_BYTES: u64 = 2 << 30;
/// One middle-sized model.
const LITTLE_DISK_BYTES: u64 = 5 << 30;
/// Limit for asking a program for its version.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
const OLDEST_NODE: u32 = 18;
const OLDEST_PYTHON: u32 = 9;
/// Instruction sets that ggml has kernels for; without them in the build it is slower.
const USEFUL: [&str; 12] = [
    "avx",
    "f16c",
    "fma",
    "avx2",
    "avx512f",
    "avx512bw",
    "avx512vnni",
    "avx512bf16",
    "avxvnni",
    "dotprod",
    "i8mm",
    "sve",
];

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Ready.
    Ok,
    /// Works, not well.
    Warn,
    /// Not there; what needs it cannot run.
    Missing,
    /// Not there, and only needed for what its line names.
    Optional,
}

/// One line of the doctor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Stable name.
    pub name: String,
    /// How it ended.
    pub status: Status,
    /// What was found, in words.
    pub detail: String,
    /// The command that fixes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// What the linked engine says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Build, in its own words.
    pub build: String,
    /// Instruction sets and devices, in its own words.
    pub system: String,
    /// Why it cannot run on this machine.
    pub refused: Option<String>,
    /// It chooses instruction sets at run time, whatever it was built for.
    pub dispatches_at_run_time: bool,
    /// It was built with a GPU backend.
    pub has_gpu_backend: bool,
}

/// What the doctor looks at.
pub struct DoctorInputs<'a> {
    /// The machine.
    pub fingerprint: &'a Fingerprint,
    /// The linked engine; `None` when built without.
    pub engine: Option<&'a EngineInfo>,
    /// The model cache.
    pub cache: &'a Cache,
    /// The disk under it.
    pub disk: &'a dyn Disk,
    /// Where programs are looked for.
    pub tools: &'a ToolSettings,
    /// Folder into which MCP servers were installed (`node_modules` or a Python environment).
    pub mcp_servers: Option<&'a Path>,
    /// The command that installs them.
    pub mcp_install_command: &'a str,
    /// Where Ollama may run.
    pub ollama_base: &'a str,
    /// Where OpenAI-compatible servers may run; [`servers::usual_endpoints`].
    pub endpoints: &'a [Endpoint],
}

/// Runs all checks; under a second when nothing hangs.
pub async fn checks(inputs: &DoctorInputs<'_>) -> Vec<Check> {
    let (ollama, openai, node, npm, python, pip) = tokio::join!(
        ollama(inputs),
        openai_servers(inputs),
        node(inputs.tools),
        npm(inputs.tools),
        python(inputs.tools),
        pip(inputs.tools),
    );
    vec![
        engine(inputs.engine),
        instruction_sets(inputs.fingerprint, inputs.engine),
        cores(inputs.fingerprint),
        memory(inputs.fingerprint),
        gpus(inputs.fingerprint, inputs.engine),
        quiet(inputs.fingerprint),
        models(inputs.cache),
        disk_space(inputs.disk, inputs.cache),
        ollama,
        openai,
        node,
        npm,
        python,
        pip,
        mcp_servers(inputs.mcp_servers, inputs.mcp_install_command),
    ]
}

fn check(name: &str, status: Status, detail: impl Into<String>) -> Check {
    Check {
        name: name.to_owned(),
        status,
        detail: detail.into(),
        fix: None,
    }
}

impl Check {
    fn fixed_by(self, command: impl Into<String>) -> Self {
        Self {
            fix: Some(command.into()),
            ..self
        }
    }
}

fn engine(engine: Option<&EngineInfo>) -> Check {
    match engine {
        Some(EngineInfo {
            build,
            refused: Some(reason),
            ..
        }) => check(
            "engine",
            Status::Missing,
            format!("llama.cpp {build} cannot run here: {reason}"),
        )
        .fixed_by("install a release archive, or build on this machine: cargo build --release"),
        Some(engine) => check(
            "engine",
            Status::Ok,
            format!("llama.cpp {} · {}", engine.build, in_short(&engine.system)),
        ),
        None => check(
            "engine",
            Status::Missing,
            "built without llama.cpp: scripted models and servers only",
        )
        .fixed_by("install a release archive, or build with the engine: cargo build --release"),
    }
}

/// llama.cpp's `CPU : SSE3 = 1 | AVX = 1 | REPACK = 1 | ` without what is the same of each.
fn in_short(system: &str) -> String {
    let parts = system.split('|').map(str::trim);
    let shown: Vec<&str> = parts
        .filter(|part| !part.is_empty())
        .map(|part| part.strip_suffix(" = 1").unwrap_or(part))
        .collect();
    shown.join(" ").replace(" : ", ": ")
}

fn instruction_sets(machine: &Fingerprint, engine: Option<&EngineInfo>) -> Check {
    const NAME: &str = "instruction sets";
    let lacking: Vec<&str> = machine
        .build_features
        .iter()
        .filter(|feature| !machine.cpu_features.contains(feature))
        .map(String::as_str)
        .collect();
    if !lacking.is_empty() {
        let detail = format!(
            "built for {}, which this processor lacks",
            lacking.join(", ")
        );
        return check(NAME, Status::Missing, detail).fixed_by(
            "install a release archive, or build on this machine: cargo build --release",
        );
    }
    let unused: Vec<&str> = machine
        .cpu_features
        .iter()
        .filter(|feature| USEFUL.contains(&feature.as_str()))
        .filter(|feature| !machine.build_features.contains(feature))
        .map(String::as_str)
        .collect();
    if unused.is_empty() || engine.is_some_and(|engine| engine.dispatches_at_run_time) {
        let used: Vec<&str> = machine
            .cpu_features
            .iter()
            .map(String::as_str)
            .filter(|f| USEFUL.contains(f))
            .collect();
        return check(NAME, Status::Ok, format!("uses {}", used.join(", ")));
    }
    check(
        NAME,
        Status::Warn,
        format!("does not use {}; prefill is slower", unused.join(", ")),
    )
    .fixed_by("RUSTFLAGS=\"-C target-cpu=native\" cargo build --release")
}

fn cores(machine: &Fingerprint) -> Check {
    let detail = format!(
        "{} physical, {} logical ({})",
        machine.physical_cores, machine.logical_cores, machine.cpu
    );
    if machine.physical_cores < 2 {
        return check(
            "cores",
            Status::Warn,
            format!("{detail}; timings will include everything else that runs"),
        )
        .fixed_by("give the machine or container at least 2 cores");
    }
    check("cores", Status::Ok, detail)
}

fn memory(machine: &Fingerprint) -> Check {
    let bandwidth = machine
        .memory_bandwidth_bytes_per_second
        .map_or(String::new(), |rate| format!(", {:.0} GB/s", rate / 1e9));
    let detail = format!(
        "{:.1} GiB, {:.1} GiB free{bandwidth}",
        machine.memory_bytes as f64 / GIB,
        machine.available_memory_bytes as f64 / GIB
    );
    if machine.available_memory_bytes < LITTLE_MEMORY_BYTES {
        return check(
            "memory",
            Status::Warn,
            format!("{detail}; only the smallest models fit"),
        )
        .fixed_by("close other programs, or choose a small model: toolbench model pull smollm2");
    }
    check("memory", Status::Ok, detail)
}

fn gpus(machine: &Fingerprint, engine: Option<&EngineInfo>) -> Check {
    let Some(first) = machine.gpus.first() else {
        return check(
            "gpus",
            Status::Ok,
            "none found; models run on the processor",
        );
    };
    let names: Vec<String> = machine
        .gpus
        .iter()
        .map(|gpu| format!("{} ({:.0} GiB)", gpu.name, gpu.memory_bytes as f64 / GIB))
        .collect();
    let detail = format!("{}, driver {}", names.join(", "), first.driver);
    if engine.is_some_and(|engine| !engine.has_gpu_backend) {
        return check(
            "gpus",
            Status::Warn,
            format!("{detail}; this build does not use it"),
        )
        .fixed_by("cargo build --release --features cuda (or vulkan), with its toolkit installed");
    }
    check("gpus", Status::Ok, detail)
}

/// Whether timings can be trusted right now.
fn quiet(machine: &Fingerprint) -> Check {
    let load = machine.load_average.unwrap_or(0.0);
    let steal = machine.steal_share.unwrap_or(0.0);
    let detail = format!(
        "load {load:.2}, {:.0} % stolen by the hypervisor",
        steal * 100.0
    );
    if load > f64::from(machine.logical_cores) / 2.0 || steal > 0.05 {
        return check(
            "quiet",
            Status::Warn,
            format!("{detail}; timings will be marked noisy"),
        )
        .fixed_by("stop other work on this machine: top");
    }
    check("quiet", Status::Ok, detail)
}

fn models(cache: &Cache) -> Check {
    let models = cache.list();
    if models.is_empty() {
        return check(
            "models",
            Status::Missing,
            format!("none in {}", cache.root().display()),
        )
        .fixed_by("toolbench model pull smollm2");
    }
    let bytes: u64 = models.iter().map(|model| model.bytes).sum();
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    let size = bytes as f64 / GIB;
    check(
        "models",
        Status::Ok,
        format!("{} ({size:.1} GiB): {}", models.len(), names.join(", ")),
    )
}

fn disk_space(disk: &dyn Disk, cache: &Cache) -> Check {
    // The cache may not exist yet; what counts is the file system it will be on.
    let folder = cache.root().ancestors().find(|folder| folder.exists());
    let free = folder.and_then(|folder| disk.available_bytes(folder).ok());
    let place = cache.root().display();
    match free {
        Some(free) if free < LITTLE_DISK_BYTES => {
            let detail = format!("{:.1} GiB free for {place}", free as f64 / GIB);
            check("disk", Status::Warn, detail).fixed_by("toolbench model rm NAME")
        }
        Some(free) => check(
            "disk",
            Status::Ok,
            format!("{:.0} GiB free for {place}", free as f64 / GIB),
        ),
        None => check(
            "disk",
            Status::Warn,
            format!("free space for {place} cannot be read"),
        )
        .fixed_by(format!("df -h {place}")),
    }
}

async fn ollama(inputs: &DoctorInputs<'_>) -> Check {
    let base = inputs.ollama_base;
    match servers::ollama_tags(base, servers::LIMIT).await {
        Some(tags) if tags.is_empty() => check(
            "ollama",
            Status::Warn,
            format!("answers at {base}, without models"),
        )
        .fixed_by("ollama pull qwen2.5:0.5b"),
        Some(tags) => check("ollama", Status::Ok, format!("{base}: {}", tags.join(", "))),
        None => {
            let how = if inputs.tools.find("ollama").is_some() {
                "installed, not running"
            } else {
                "not installed"
            };
            check(
                "ollama",
                Status::Optional,
                format!("{how}; only needed to measure models it serves"),
            )
            .fixed_by(if inputs.tools.find("ollama").is_some() {
                "ollama serve"
            } else {
                "install Ollama as its own site describes, then: ollama serve"
            })
        }
    }
}

async fn openai_servers(inputs: &DoctorInputs<'_>) -> Check {
    const NAME: &str = "openai-compatible servers";
    let found = servers::openai_compatible(inputs.endpoints, servers::LIMIT).await;
    if found.is_empty() {
        let ports: Vec<&str> = inputs
            .endpoints
            .iter()
            .filter_map(|endpoint| endpoint.base.rsplit(':').next())
            .collect();
        let detail = format!(
            "none on ports {}; only needed to measure them",
            ports.join(", ")
        );
        return check(NAME, Status::Optional, detail)
            .fixed_by("llama-server -m MODEL.gguf --port 8080");
    }
    let shown: Vec<String> = found
        .iter()
        .map(|server| format!("{} ({})", server.endpoint.base, server.models.join(", ")))
        .collect();
    check(NAME, Status::Ok, shown.join(" · "))
}

async fn node(tools: &ToolSettings) -> Check {
    let fix = "install Node.js 18 or later: https://nodejs.org/en/download";
    match asked(tools, "node", &["--version"]).await {
        Asked::Version(version) if first_number(&version) >= Some(OLDEST_NODE) => {
            check("node", Status::Ok, version)
        }
        Asked::Version(version) => check(
            "node",
            Status::Warn,
            format!("{version}; MCP servers need 18 or later"),
        )
        .fixed_by(fix),
        Asked::Silent => silent("node"),
        Asked::Missing => check(
            "node",
            Status::Optional,
            "only needed for MCP servers written for it",
        )
        .fixed_by(fix),
    }
}

async fn npm(tools: &ToolSettings) -> Check {
    match asked(tools, "npm", &["--version"]).await {
        Asked::Version(version) => check("npm", Status::Ok, version),
        Asked::Silent => silent("npm"),
        Asked::Missing => check(
            "npm",
            Status::Optional,
            "needed to install MCP servers and to pull some models",
        )
        .fixed_by("install Node.js 18 or later: https://nodejs.org/en/download"),
    }
}

async fn python(tools: &ToolSettings) -> Check {
    let fix = "install Python 3.9 or later: https://www.python.org/downloads/";
    match asked(tools, "python3", &["--version"]).await {
        Asked::Version(version) if second_number(&version) >= Some(OLDEST_PYTHON) => {
            check("python", Status::Ok, version)
        }
        Asked::Version(version) => {
            check("python", Status::Warn, format!("{version} is old")).fixed_by(fix)
        }
        Asked::Silent => silent("python"),
        Asked::Missing => {
            check("python", Status::Optional, "needed to pull some models").fixed_by(fix)
        }
    }
}

async fn pip(tools: &ToolSettings) -> Check {
    match asked(tools, "python3", &["-m", "pip", "--version"]).await {
        Asked::Version(version) => {
            let short = version
                .split(" from ")
                .next()
                .unwrap_or(&version)
                .to_owned();
            check("pip", Status::Ok, short)
        }
        Asked::Silent => silent("pip"),
        Asked::Missing => check("pip", Status::Optional, "needed to pull some models")
            .fixed_by("python3 -m ensurepip --user"),
    }
}

/// What a program said of its version.
enum Asked {
    Version(String),
    /// It is there and did not answer in time.
    Silent,
    Missing,
}

async fn asked(tools: &ToolSettings, program: &str, arguments: &[&str]) -> Asked {
    let Some(path) = tools.find(program) else {
        return Asked::Missing;
    };
    let mut command = tokio::process::Command::new(path);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    match tokio::time::timeout(VERSION_LIMIT, command.output()).await {
        Err(_) => Asked::Silent,
        Ok(Ok(output)) if output.status.success() && !output.stdout.trim_ascii().is_empty() => {
            Asked::Version(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        }
        Ok(_) => Asked::Missing,
    }
}

fn silent(name: &str) -> Check {
    let seconds = VERSION_LIMIT.as_secs();
    check(
        name,
        Status::Warn,
        format!("is there, and did not say its version within {seconds} seconds"),
    )
    .fixed_by("stop other work on this machine, then: toolbench doctor")
}

/// 22 of `v22.1.0`.
fn first_number(version: &str) -> Option<u32> {
    numbers(version).next()
}

/// 11 of `Python 3.11.7`.
fn second_number(version: &str) -> Option<u32> {
    numbers(version).nth(1)
}

fn numbers(version: &str) -> impl Iterator<Item = u32> {
    version
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
}

fn mcp_servers(folder: Option<&Path>, install: &str) -> Check {
    const NAME: &str = "mcp servers";
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        return check(
            NAME,
            Status::Optional,
            "no folder with MCP servers; mock tools need none",
        )
        .fixed_by(install);
    };
    let mut found: Vec<String> = ["node_modules/.bin", "bin", "python"]
        .iter()
        .filter_map(|bin| std::fs::read_dir(folder.join(bin)).ok())
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("mcp"))
        .collect();
    found.sort();
    if found.is_empty() {
        return check(
            NAME,
            Status::Optional,
            format!("none in {}", folder.display()),
        )
        .fixed_by(install);
    }
    check(
        NAME,
        Status::Ok,
        format!(
            "{} in {}: {}",
            found.len(),
            folder.display(),
            found.join(", ")
        ),
    )
}

#[cfg(test)]
#[path = "doctor_tests.rs"]
mod tests;
