//! A real llama-server, set up as exported, gives the recorded call.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::live_llama_server::{program, served, wait_for};
use crate::support::skip;

/// What a page of the server answers.
fn post(url: &str, body: &Value) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let request = reqwest::Client::new().post(url).json(body);
        request.send().await.unwrap().json().await.unwrap()
    })
}

/// Name and arguments of a call in the `json` dialect.
fn call_of(text: &Value) -> Value {
    let text = text.as_str().unwrap_or_else(|| panic!("no text: {text}"));
    let read: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    json!({"name": read["tool"], "arguments": read["arguments"]})
}

/// A real llama-server, started as exported, gives the recorded call for both exported requests.
#[test]
fn a_server_that_is_set_up_so_gives_the_recorded_call() {
    let Some((context, server)) = served() else {
        return;
    };
    let cache = std::path::PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE").unwrap());
    let Some(program) = program(&cache) else {
        skip("llama-server", "scripts/llama-server has not built one");
        return;
    };
    let model = format!("llama-server:@http://127.0.0.1:{}", server.port);
    wait_for(&context, &model);
    context.run(&[
        "run",
        &model,
        "--suite",
        "weather",
        "--limit",
        "4",
        "--dialect",
        "json",
        "--constraint",
        "grammar",
        "--probes",
        "off",
        "-q",
    ]);
    let weights = cache.join("models/qwen2.5-coder@0.5b.gguf");
    context.expect(
        0,
        &[
            "export-setup",
            "--for",
            "llama-server",
            "--weights",
            weights.to_str().unwrap(),
            "--out",
            "setup",
        ],
    );
    let port = server.port;
    drop(server);
    let mut child = Command::new("sh")
        .arg(context.path("setup/start.sh"))
        .env("LLAMA_SERVER", program)
        .env("PORT", port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&context, &model);
    let read = |name: &str| -> Value {
        let text = std::fs::read_to_string(context.path("setup").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let base = format!("http://127.0.0.1:{port}");
    let raw = post(&format!("{base}/completion"), &read("completion.json"));
    let chat = post(
        &format!("{base}/v1/chat/completions"),
        &read("request.json"),
    );
    let _ = child.kill();
    let _ = child.wait();
    let recorded = &read("recorded-reply.json")["calls"][0];
    assert!(recorded["name"].is_string(), "{recorded}");
    assert_eq!(&call_of(&raw["content"]), recorded, "raw text");
    assert_eq!(
        &call_of(&chat["choices"][0]["message"]["content"]),
        recorded,
        "chat"
    );
}
