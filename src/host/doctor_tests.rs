//! The doctor's checks over made-up machines.

use super::*;
use crate::store::disk::RealDisk;
use crate::types::fingerprint::Gpu;

fn machine() -> Fingerprint {
    let features = ["avx2", "avx512f"].map(str::to_owned).to_vec();
    Fingerprint {
        physical_cores: 4,
        logical_cores: 8,
        memory_bytes: 16 << 30,
        available_memory_bytes: 12 << 30,
        cpu_features: features.clone(),
        build_features: features,
        ..Fingerprint::default()
    }
}

fn by_name<'a>(checks: &'a [Check], name: &str) -> &'a Check {
    checks.iter().find(|check| check.name == name).unwrap()
}

async fn run(machine: &Fingerprint, engine: Option<&EngineInfo>, folder: &Path) -> Vec<Check> {
    let tools = ToolSettings {
        search_path: None,
        working_directory: folder.to_owned(),
    };
    let inputs = DoctorInputs {
        fingerprint: machine,
        engine,
        cache: &Cache::new(folder.join("models")),
        disk: &RealDisk,
        tools: &tools,
        mcp_servers: Some(&folder.join("mcp")),
        mcp_install_command: "scripts/mcp.sh",
        ollama_base: "http://127.0.0.1:1",
        endpoints: &[Endpoint {
            base: "http://127.0.0.1:1".to_owned(),
            usual: "x".to_owned(),
        }],
    };
    checks(&inputs).await
}

#[tokio::test]
async fn a_bare_machine_gets_a_command_for_everything_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let mut bare = machine();
    bare.physical_cores = 1;
    bare.available_memory_bytes = 1 << 30;
    bare.build_features = vec!["avx2".to_owned()];
    bare.load_average = Some(9.0);
    bare.gpus = vec![Gpu {
        name: "H200".to_owned(),
        memory_bytes: 140 << 30,
        driver: "1".to_owned(),
        ..Gpu::default()
    }];
    let engine = EngineInfo::default();
    let checks = run(&bare, Some(&engine), folder.path()).await;
    for check in checks
        .iter()
        .filter(|check| !matches!(check.name.as_str(), "engine" | "disk"))
    {
        assert_ne!(check.status, Status::Ok, "{check:?}");
        assert!(check.fix.is_some(), "{check:?}");
    }
    assert!(
        by_name(&checks, "instruction sets")
            .detail
            .contains("avx512f")
    );
    let json = serde_json::to_value(&checks).unwrap();
    assert_eq!(json[1]["status"], "warn");
    assert_eq!(serde_json::from_value::<Vec<Check>>(json).unwrap(), checks);
}

#[tokio::test]
async fn a_ready_machine_is_ok() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("models")).unwrap();
    std::fs::write(folder.path().join("models/mine.gguf"), b"GGUF").unwrap();
    std::fs::create_dir_all(folder.path().join("mcp/node_modules/.bin")).unwrap();
    std::fs::write(
        folder.path().join("mcp/node_modules/.bin/mcp-server-files"),
        b"",
    )
    .unwrap();
    let checks = run(&machine(), None, folder.path()).await;
    for name in [
        "instruction sets",
        "cores",
        "memory",
        "gpus",
        "quiet",
        "models",
        "mcp servers",
    ] {
        assert_eq!(by_name(&checks, name).status, Status::Ok, "{name}");
    }
    assert_eq!(by_name(&checks, "engine").status, Status::Missing);
}

#[tokio::test]
async fn a_build_for_another_processor_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = machine();
    other.build_features.push("amx-int8".to_owned());
    let checks = run(&other, None, folder.path()).await;
    assert_eq!(by_name(&checks, "instruction sets").status, Status::Missing);
}

#[tokio::test]
async fn an_engine_that_cannot_run_here_is_missing_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let engine = EngineInfo {
        refused: Some("no processor backend".to_owned()),
        ..EngineInfo::default()
    };
    let checks = run(&machine(), Some(&engine), folder.path()).await;
    let check = by_name(&checks, "engine");
    assert_eq!(check.status, Status::Missing);
    assert!(check.detail.contains("no processor backend"), "{check:?}");
    assert!(check.fix.is_some());
}

#[tokio::test]
async fn a_build_that_dispatches_is_not_told_to_be_built_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut plain = machine();
    plain.build_features = vec!["sse2".to_owned()];
    plain.cpu_features.push("sse2".to_owned());
    let engine = EngineInfo {
        dispatches_at_run_time: true,
        ..EngineInfo::default()
    };
    let checks = run(&plain, Some(&engine), folder.path()).await;
    assert_eq!(by_name(&checks, "instruction sets").status, Status::Ok);
}

#[test]
fn what_the_engine_says_of_itself_is_shown_in_short() {
    assert_eq!(
        in_short("CPU : SSE3 = 1 | AVX2 = 1 | SVE_CNT = 32 | "),
        "CPU: SSE3 AVX2 SVE_CNT = 32"
    );
}

#[test]
fn versions_are_read() {
    assert_eq!(first_number("v22.1.0"), Some(22));
    assert_eq!(second_number("Python 3.11.7"), Some(11));
    assert_eq!(first_number("none"), None);
}
