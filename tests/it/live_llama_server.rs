//! A stock llama-server: what the probes find by themselves, and the same weights over other routes.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Context, skip};

const MODEL: &str = "qwen2.5-coder:0.5b";

/// A server that ends with the test.
pub struct Running {
    child: Child,
    pub port: u16,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `scripts/llama-server` has built, where it has.
pub fn program(cache: &std::path::Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(cache.join("llama-server")).ok()?;
    versions
        .filter_map(|version| Some(version.ok()?.path().join("bin/llama-server")))
        .find(|path| path.is_file())
}

pub fn served() -> Option<(Context, Running)> {
    let Some(context) = Context::live() else {
        skip("llama-server", "TOOLBENCH_TEST_CACHE is not set");
        return None;
    };
    let cache = PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE")?);
    let weights = cache.join("models/qwen2.5-coder@0.5b.gguf");
    let Some(program) = program(&cache) else {
        skip("llama-server", "scripts/llama-server has not built one");
        return None;
    };
    if !context.has_model(MODEL) || !weights.is_file() {
        skip("models", MODEL);
        return None;
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port();
    let child = Command::new(program)
        .arg("-m")
        .arg(&weights)
        .args(["--jinja", "--host", "127.0.0.1", "-c", "4096", "-np", "1"])
        .args(["--port", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("llama-server starts");
    Some((context, Running { child, port }))
}

/// The server answers; it loads its model first.
pub fn wait_for(context: &Context, model: &str) {
    for _ in 0..120 {
        let output = context.run(&[
            "run",
            model,
            "--suite",
            "weather",
            "--limit",
            "1",
            "--dry-run",
        ]);
        let listening =
            std::net::TcpStream::connect(model.rsplit("//").next().expect("an address"));
        if listening.is_ok() && output.status.success() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    // Listening comes before the weights are there; a request is refused until then.
    for _ in 0..120 {
        let output = context.run(&[
            "run",
            model,
            "--suite",
            "weather",
            "--limit",
            "1",
            "--probes",
            "off",
            "--max-tokens",
            "8",
            "--out",
            "warm",
        ]);
        if output.status.code() == Some(0) {
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("llama-server does not answer");
}

fn verdict<'a>(probes: &'a Value, wire: &str, probe: &str) -> &'a Value {
    probes["probes"]
        .as_array()
        .expect("probes")
        .iter()
        .filter(|set| set["wire"] == wire)
        .flat_map(|set| set["results"].as_array().expect("results"))
        .find(|result| result["probe"] == probe)
        .unwrap_or_else(|| panic!("no probe {probe} over {wire}: {probes:#}"))
}

#[test]
fn probes_find_what_the_stock_parser_misses() {
    let Some((context, server)) = served() else {
        return;
    };
    let model = format!("llama-server:@http://127.0.0.1:{}", server.port);
    wait_for(&context, &model);
    let text = context.expect(
        0,
        &[
            "probe",
            &model,
            "--dialect",
            "native,json",
            "--constraint",
            "off,grammar",
            "--format",
            "json",
        ],
    );
    let probes: Value = serde_json::from_str(&text).expect("JSON");
    let parser = verdict(&probes, "chat_with_tools", "parser");
    assert_eq!(parser["verdict"], "violated", "{parser:#}");
    assert_eq!(parser["code"], "call_in_content");
    let choice = verdict(&probes, "chat_with_tools", "tool_choice");
    assert_eq!(choice["verdict"], "violated", "{choice:#}");
    assert_eq!(choice["code"], "constraint_unenforced");
    for set in probes["probes"].as_array().expect("probes") {
        if set["mechanism"] == "gbnf" {
            let held = verdict(&probes, "raw_text", "truncation");
            assert_eq!(held["verdict"], "proven", "{held:#}");
        }
    }
    let constraint = verdict(&probes, "raw_text", "constraint");
    assert_eq!(constraint["verdict"], "proven", "{constraint:#}");

    // The same weights, asked by another route, pass cases; as deployed, the first route passes none.
    let text = context.expect(
        3,
        &[
            "compare",
            &model,
            MODEL,
            "--suite",
            "weather",
            "--limit",
            "4",
            "--dialect",
            "native,json",
            "--constraint",
            "off",
            "--max-corrections",
            "0",
            "--format",
            "json",
            "--out",
            "routes",
        ],
    );
    let summary: Value = serde_json::from_str(&text).expect("JSON");
    let rows = summary["totals"].as_array().expect("totals");
    let row = |name: &str, dialect: &str| {
        rows.iter()
            .find(|row| row["model"] == name && row["dialect"] == dialect)
            .unwrap_or_else(|| panic!("no row {name} {dialect}"))
    };
    assert_eq!(row(&model, "native")["as_deployed"]["hits"], 0);
    let written = &row(&model, "native")["as_written"]["hits"];
    assert!(written.as_u64().is_some_and(|hits| hits > 0), "{written}");
    let raw = &row(&model, "json")["success"]["hits"];
    assert!(raw.as_u64().is_some_and(|hits| hits > 0), "{raw}");
    assert_eq!(raw, &row(MODEL, "json")["success"]["hits"]);
}
