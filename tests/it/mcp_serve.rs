//! `toolbench mcp serve`: both protocols over standard streams and HTTP, every fault, and clients that
//! toolbench did not write.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp_support::{Served, call, post, post_call, serve_tiny};
use crate::support::{Context, TINY_SUITE, skip, stderr};

#[test]
fn both_protocols_are_spoken_over_standard_streams() {
    let context = Context::new();
    let mut served = serve_tiny(&context, &[]);
    let hello = served.initialize();
    assert_eq!(hello["result"]["protocolVersion"], "2025-11-25");
    let listed = served.ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 2);
    // The order of keys is part of what a model sees.
    assert_eq!(
        tools[0]["inputSchema"].to_string(),
        r#"{"type":"object","properties":{"zone":{"type":"string"},"seconds":{"type":"boolean","default":false}},"required":["zone"],"additionalProperties":false}"#
    );
    let time = served.ask(&call(2, "get_time", &json!({"zone": "UTC"})));
    assert_eq!(time["result"]["content"][0]["text"], "It is noon in UTC.");
    assert!(time["result"].get("resultType").is_none());
    assert_eq!(served.close(), Some(0));

    let mut served = serve_tiny(&context, &[]);
    let mut newer = call(1, "set_alarm", &json!({"hour": 7}));
    newer["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let alarm = served.ask(&newer);
    assert_eq!(alarm["result"]["structuredContent"], json!({"set": 7}));
    assert_eq!(alarm["result"]["resultType"], "complete");
}

#[test]
fn what_is_no_message_is_told_and_hurts_nothing() {
    let context = Context::new();
    let mut served = serve_tiny(&context, &[]);
    served.initialize();
    served.send("this is not JSON");
    let refused: Value = serde_json::from_str(&served.line().unwrap()).unwrap();
    assert_eq!(refused["error"]["code"], -32700);
    let unknown = served.ask(&json!({"jsonrpc": "2.0", "id": 3, "method": "no/such"}));
    assert_eq!(unknown["error"]["code"], -32601);
    let absent = served.ask(&call(4, "no_tool", &json!({})));
    assert!(absent.to_string().contains("no such tool"), "{absent}");
    let time = served.ask(&call(5, "get_time", &json!({"zone": "UTC"})));
    assert_eq!(time["id"], 5);
}

#[test]
fn one_state_lives_as_long_as_the_server() {
    let context = Context::new();
    let mut suite = TINY_SUITE.replace(
        "reply: {set: \"{{ args.hour | tojson }}\"}",
        "reply: \"{{ state.alarms | length }} before\"",
    );
    suite = suite.replace("suite: tiny", "suite: counted");
    context.write("counted.yaml", &suite);
    let served = Served::start(&context, &["mcp", "serve", "counted.yaml", "--http", "0"]);
    let url = served.address();
    for before in 0..3 {
        let answer = post_call(&url, "set_alarm", &json!({"hour": 7})).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let expected = format!("{before} before");
        assert!(answer.body.contains(&expected), "{}", answer.body);
    }
}

#[test]
fn a_page_in_a_browser_does_not_reach_it() {
    let context = Context::new();
    let served = serve_tiny(&context, &["--http", "127.0.0.1:0"]);
    let url = served.address();
    let body = call(1, "get_time", &json!({"zone": "UTC"})).to_string();
    for header in [("Host", "evil.example"), ("Origin", "http://evil.example")] {
        let answer = post(&url, &[header], &body).unwrap();
        assert_eq!(answer.status, 403, "{header:?}: {}", answer.body);
    }
    let elsewhere = url.replace("/mcp", "/other");
    assert_eq!(post(&elsewhere, &[], &body).unwrap().status, 404);
}

#[test]
fn every_fault_over_standard_streams() {
    let context = Context::new();
    let ask = call(1, "get_time", &json!({"zone": "UTC"})).to_string();
    let hurt = |fault: &str| {
        let mut served = serve_tiny(&context, &["--fault", fault]);
        served.initialize();
        served.send(&ask);
        served
    };
    let read = |line: Option<String>| -> Value { serde_json::from_str(&line.unwrap()).unwrap() };

    let started = Instant::now();
    let late = read(hurt("delay=300ms").line());
    assert_eq!(late["result"]["content"][0]["text"], "It is noon in UTC.");
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(read(hurt("error").line())["error"]["code"], -32603);
    let wrong = read(hurt("wrong_type").line());
    assert!(wrong["result"]["content"].is_string());
    assert!(serde_json::from_str::<Value>(&hurt("malformed_frame").line().unwrap()).is_err());
    let huge = read(hurt("huge").line());
    let text = huge["result"]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text.len(), 16 << 20);
    let limited = read(hurt("rate_limit").line());
    assert_eq!(limited["error"]["data"]["retry_after_ms"], 1000);

    let mut silent = hurt("timeout");
    assert!(silent.is_silent(Duration::from_millis(500)));
    // Others are answered meanwhile.
    let listed = silent.ask(&json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"}));
    assert_eq!(listed["id"], 9);

    let mut gone = hurt("disconnect");
    assert_eq!(gone.line(), None);

    let mut greeting = serve_tiny(&context, &["--fault", "banner"]);
    greeting.send("");
    let banner = greeting.line().unwrap();
    assert!(serde_json::from_str::<Value>(&banner).is_err(), "{banner}");
    assert_eq!(greeting.initialize()["id"], 0);
}

#[test]
fn every_fault_over_http() {
    let context = Context::new();
    let hurt = |fault: &str| {
        let served = serve_tiny(&context, &["--http", "0", "--fault", fault]);
        let answer = post_call(&served.address(), "get_time", &json!({"zone": "UTC"}));
        (served, answer)
    };
    let body = |fault: &str| hurt(fault).1.unwrap().body;
    let read = |fault: &str| -> Value { serde_json::from_str(&body(fault)).unwrap() };

    let started = Instant::now();
    assert!(body("delay=300ms").contains("It is noon in UTC."));
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert_eq!(read("error")["error"]["code"], -32603);
    assert!(read("wrong_type")["result"]["content"].is_string());
    assert!(serde_json::from_str::<Value>(&body("malformed_frame")).is_err());
    assert!(body("huge").len() > 16 << 20);
    assert!(body("banner").starts_with("Tool server 1.0"));
    let limited = hurt("rate_limit").1.unwrap();
    assert_eq!(limited.status, 429);
    assert!(
        limited.headers.contains("retry-after: 1"),
        "{}",
        limited.headers
    );
    assert!(hurt("disconnect").1.is_none());
}

#[test]
fn faults_come_from_a_file_and_hit_the_calls_selected() {
    let context = Context::new();
    context.write(
        "faults.yaml",
        "- error,tool=get_time,call=2\n- rate_limit,tool=set_alarm\n",
    );
    let mut served = serve_tiny(&context, &["--faults", "faults.yaml"]);
    served.initialize();
    let mut codes = Vec::new();
    for (id, tool, arguments) in [
        (1, "get_time", json!({"zone": "UTC"})),
        (2, "get_time", json!({"zone": "UTC"})),
        (3, "get_time", json!({"zone": "UTC"})),
        (4, "set_alarm", json!({"hour": 7})),
    ] {
        codes.push(served.ask(&call(id, tool, &arguments))["error"]["code"].as_i64());
    }
    assert_eq!(codes, [None, Some(-32603), None, Some(-32029)]);
}

#[test]
fn mistakes_are_told_before_anything_is_served() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("faults.yaml", "- eror\n");
    for (flags, needle) in [
        (
            &["tiny.yaml", "--fault", "eror"][..],
            "did you mean `error`",
        ),
        (
            &["tiny.yaml", "--faults", "faults.yaml"],
            "faults.yaml: `eror`",
        ),
        (
            &["tiny.yaml", "--faults", "none.yaml"],
            "cannot read none.yaml",
        ),
        (&["tiny.yaml", "--http", "here"], "is no address"),
        (
            &["tiny.yaml", "--http", "0", "--ws", "0"],
            "cannot be used with",
        ),
        (&["wether"], "unknown suite `wether`"),
        (&["quick"], "is a pinned set"),
        (&["filesystem"], "toolbench mcp record --suite filesystem"),
        (&[], "required"),
    ] {
        let mut arguments = vec!["mcp", "serve"];
        arguments.extend(flags);
        let error = context.expect_error(2, &arguments);
        assert!(error.contains(needle), "{flags:?}: {error}");
    }
}

#[test]
fn live_python_sdk_speaks_with_the_mock() {
    let python = std::env::var_os("TOOLBENCH_TEST_CACHE")
        .map(|cache| std::path::PathBuf::from(cache).join("mcp-sdk/bin/python"))
        .filter(|python| python.is_file());
    let Some(python) = python else {
        skip(
            "sdk",
            "TOOLBENCH_TEST_CACHE holds no mcp-sdk (scripts/conformance installs it)",
        );
        return;
    };
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mcp/sdk_client.py");
    let calls = json!([["get_time", {"zone": "UTC"}], ["set_alarm", {"hour": 7}], ["no_tool", {}]]);
    let http = serve_tiny(&context, &["--http", "0"]);
    let url = http.address();
    let program = env!("CARGO_BIN_EXE_toolbench");
    let stdio = [program, "--quiet", "mcp", "serve", "tiny.yaml"];
    for (kind, target) in [("stdio", &stdio[..]), ("http", &[url.as_str()][..])] {
        for (mode, protocol) in [("legacy", "2025-11-25"), ("auto", "2026-07-28")] {
            let output = std::process::Command::new(&python)
                .arg(script)
                .args([kind, mode])
                .args(target)
                .args(["--", &calls.to_string()])
                .current_dir(context.path(""))
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{kind} {mode}: {}",
                stderr(&output)
            );
            let said: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(said["protocol"], protocol);
            assert_eq!(said["tools"][1][0], "set_alarm");
            assert_eq!(said["results"][0]["text"][0], "It is noon in UTC.");
            assert_eq!(said["results"][1]["structured"], json!({"set": 7}));
            assert_eq!(said["results"][2]["is_error"], true);
        }
    }
}
