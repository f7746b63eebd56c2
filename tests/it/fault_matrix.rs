//! Faults of the model's server crossed with faults of the tools' server: each cell ends in its own
//! code, nothing hangs, no trial is lost, no process is left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::faults::{LIMIT_S, Wire, serve, suite};
use crate::support::{Context, json_lines, stderr};

/// Faults of the model's server, and what they end in: nothing where the request recovers.
const SERVER: [(&str, Option<&str>); 7] = [
    ("gzip", None),
    ("rate-limited-once", None),
    ("reset-once", None),
    ("server-error", Some("server_5xx")),
    ("unauthorised", Some("request_rejected")),
    ("malformed-event", Some("server_5xx")),
    ("stalled", Some("network")),
];

/// Faults of the tools' server, and what a good call ends in there.
const HOST: [(&str, &str); 7] = [
    ("none", "passed"),
    ("error", "tool_error_env"),
    ("timeout", "tool_timeout"),
    ("wrong_type", "mcp_protocol_error"),
    ("malformed_frame", "mcp_protocol_error"),
    ("disconnect", "mcp_protocol_error"),
    ("huge", "mcp_protocol_error"),
];

/// The codes of one fault of the tools' server, by fault of the model's server.
fn column(host: &str) -> BTreeMap<String, String> {
    let server = serve(Wire::Tools);
    let context = Context::new();
    let names: Vec<&str> = SERVER.iter().map(|(name, _)| *name).collect();
    context.write("faults.yaml", &suite(&names));
    context.write(
        "toolbench.toml",
        &format!(
            "[models.m]\nsource = \"vllm:m\"\nbase-url = \"{}\"\nretries = 1\n",
            server.base()
        ),
    );
    let program = env!("CARGO_BIN_EXE_toolbench");
    let mut tools_server = format!("{program} mcp serve faults.yaml");
    if host != "none" {
        tools_server.push_str(&format!(" --fault {host}"));
    }
    let limit = LIMIT_S.to_string();
    let started = Instant::now();
    let output = context.run(&[
        "run",
        "m",
        "--suite",
        "faults.yaml",
        "--stdio",
        &tools_server,
        "--allow-tool",
        "get_time",
        "--allow-tool",
        "set_alarm",
        "--dialect",
        "native",
        "--constraint",
        "off",
        "--max-corrections",
        "0",
        "--probes",
        "off",
        "--max-infra",
        "0",
        "--timeout",
        &limit,
        "--tool-timeout",
        "3",
        "-q",
    ]);
    let text = stderr(&output);
    assert!(!text.contains("panicked"), "{host}: {text}");
    assert!(
        started.elapsed() < Duration::from_mins(4),
        "{host}: something hangs"
    );
    assert!(
        !context.runs().is_empty(),
        "{host}: nothing was run: {text}"
    );
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(
        trials.len(),
        SERVER.len(),
        "{host}: no trial is lost\n{text}"
    );
    trials
        .into_iter()
        .map(|trial: Value| {
            let outcome = &trial["outcome"];
            let code = outcome.get("code").unwrap_or(&outcome["kind"]);
            (
                trial["case"].as_str().unwrap().to_owned(),
                code.as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

#[test]
fn faults_of_both_sides_keep_their_own_codes() {
    let handles: Vec<_> = HOST
        .iter()
        .map(|(host, _)| std::thread::spawn(|| column(host)))
        .collect();
    let columns: Vec<BTreeMap<String, String>> = handles
        .into_iter()
        .map(|handle| handle.join().expect("a column"))
        .collect();
    let heads: Vec<&str> = HOST.iter().map(|(host, _)| *host).collect();
    println!("| model's server | {} |", heads.join(" | "));
    println!("|---|{}", "---|".repeat(heads.len()));
    let mut wrong = Vec::new();
    for (name, terminal) in SERVER {
        let cells: Vec<&str> = columns.iter().map(|cells| cells[name].as_str()).collect();
        println!("| {name} | {} |", cells.join(" | "));
        for ((host, own), found) in HOST.iter().zip(cells) {
            let expected = terminal.unwrap_or(own);
            if found != expected {
                wrong.push(format!("{name} × {host}: {found}, not {expected}"));
            }
        }
    }
    println!("{} cells", SERVER.len() * HOST.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
