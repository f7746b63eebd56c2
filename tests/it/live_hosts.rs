//! The real server `everything` over stdio, streamable HTTP and the old HTTP+SSE.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Context, json_lines, skip, stderr};

/// Echoes whatever it is asked, so that some cases pass and others fail.
const ECHOES: &str = "name: echoes
otherwise: '{\"tool\":\"echo\",\"arguments\":{\"message\":\"good evening\"}}'
";

/// A server that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `everything` in one of its modes; its port.
fn start(index: &PathBuf, mode: &str) -> (Running, u16) {
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let child = Command::new("node")
        .arg(index)
        .arg(mode)
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("node starts");
    let running = Running(child);
    let mut left = 600;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(left > 0, "the server does not listen");
        left -= 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    (running, port)
}

fn installed() -> Option<(Context, PathBuf)> {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return None;
    };
    let output = context.run(&["suite", "install", "everything"]);
    if !output.status.success() {
        skip("server", &stderr(&output));
        return None;
    }
    let cache = PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE")?);
    let index = "servers/node_modules/@modelcontextprotocol/server-everything/dist/index.js";
    context.write("model.yaml", ECHOES);
    Some((context, cache.join(index)))
}

#[test]
fn everything_gives_the_same_verdicts_over_stdio_and_http() {
    let Some((context, index)) = installed() else {
        return;
    };
    let (_server, port) = start(&index, "streamableHttp");
    let url = format!("http://127.0.0.1:{port}/mcp");
    let verdicts = |out: &str, more: &[&str]| -> Vec<Value> {
        let base = [
            "run",
            "scripted:model.yaml",
            "--suite",
            "everything",
            "--constraint",
            "off",
            "-q",
            "--out",
            out,
        ];
        let output = context.run(&[&base[..], more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let run = std::fs::read_dir(context.path(out))
            .expect("a record")
            .flatten()
            .next()
            .expect("a run");
        json_lines(&run.path().join("trials.jsonl"))
            .into_iter()
            .map(|trial| {
                let results = trial["calls"].as_array().cloned().unwrap_or_default();
                let results: Vec<Value> = results
                    .into_iter()
                    .map(|call| call["result"].clone())
                    .collect();
                serde_json::json!([
                    trial["case"],
                    trial["outcome"],
                    trial["offer_hash"],
                    results
                ])
            })
            .collect()
    };
    let (stdio, http) = (verdicts("stdio", &[]), verdicts("http", &["--http", &url]));
    assert!(stdio.len() >= 10);
    assert_eq!(stdio, http);
}

#[test]
fn the_old_transport_of_everything_is_named() {
    let Some((context, index)) = installed() else {
        return;
    };
    let (_server, port) = start(&index, "sse");
    let url = format!("http://127.0.0.1:{port}/sse");
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "everything",
        "--constraint",
        "off",
        "--http",
        &url,
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("speaks only HTTP+SSE"), "{text}");
}

#[test]
fn everything_lends_its_resources_and_prompts() {
    let Some((_context, index)) = installed() else {
        return;
    };
    let (_server, port) = start(&index, "streamableHttp");
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let address = toolbench::types::host::HostAddress::Http {
                url: format!("http://127.0.0.1:{port}/mcp"),
            };
            let spec = toolbench::tools::connect::HostSpec::new(address);
            let host =
                toolbench::tools::connect::connect(&spec, &std::collections::BTreeMap::new())
                    .expect("a host");
            let facts = host.facts().await.expect("facts");
            assert!(facts.tools.len() >= 13, "{}", facts.tools.len());
            let resources = host
                .request("resources/list", Value::Null)
                .await
                .expect("resources");
            let first = resources["resources"][0]["uri"].clone();
            let read = host
                .request("resources/read", serde_json::json!({"uri": first}))
                .await
                .expect("a resource");
            assert!(read["contents"][0]["uri"].is_string(), "{read}");
            let prompts = host
                .request("prompts/list", Value::Null)
                .await
                .expect("prompts");
            let name = prompts["prompts"][0]["name"].clone();
            let prompt = host
                .request("prompts/get", serde_json::json!({"name": name}))
                .await
                .expect("a prompt");
            assert!(prompt["messages"].is_array(), "{prompt}");
            host.health().await.expect("a sign of life");
            host.close().await;
        });
}
