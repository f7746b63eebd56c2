//! `toolbench mcp tools | call | bench | record`: against mocks in process, and against our own served
//! mock over every transport, whole and faulty.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::mcp_support::{Served, call, serve_tiny};
use crate::support::{Context, TINY_SUITE, skip, stderr, stdout};

fn with_tiny() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context
}

/// This program serving the tiny suite, as `--stdio` takes it.
fn served_over_stdio(flags: &str) -> String {
    let program = env!("CARGO_BIN_EXE_toolbench");
    format!("'{program}' --quiet mcp serve tiny.yaml {flags}")
}

#[test]
fn tools_are_listed_with_schemas_and_hints() {
    let context = with_tiny();
    let shown = context.expect(0, &["mcp", "tools", "--mock", "weather"]);
    for needle in [
        "5 tools",
        "get_current_weather  [read-only, not destructive]",
        "  city: string, required",
    ] {
        assert!(shown.contains(needle), "{shown}");
    }
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
    let whole = context.expect(0, &["mcp", "tools", "--mock", "tiny.yaml", "--schemas"]);
    assert!(whole.contains("\"additionalProperties\": false"), "{whole}");

    let stdio = served_over_stdio("");
    let json = context.expect(0, &["mcp", "tools", "--stdio", &stdio, "--format", "json"]);
    let listed: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(listed["transport"], "stdio");
    assert_eq!(listed["protocol"], "2025-11-25");
    assert_eq!(listed["tools"][1]["name"], "set_alarm");
    assert_eq!(
        listed["tools"][1]["inputSchema"]["properties"]["hour"]["maximum"],
        23
    );
    let refused = listed["tools"][1]["refused"].as_str().unwrap();
    assert!(refused.contains("not read-only"), "{refused}");
}

#[test]
fn a_call_is_checked_before_it_is_sent() {
    let context = with_tiny();
    let base = [
        "mcp",
        "call",
        "get_time",
        "--mock",
        "tiny.yaml",
        "--arguments",
    ];
    let made = |arguments: &str| {
        let mut all = base.to_vec();
        all.push(arguments);
        context.run(&all)
    };
    let right = made("{\"zone\": \"UTC\"}");
    assert_eq!(right.status.code(), Some(0));
    assert_eq!(stdout(&right), "It is noon in UTC.\n");
    context.write("arguments.json", "{\"zone\": \"CET\"}");
    assert_eq!(stdout(&made("@arguments.json")), "It is noon in CET.\n");
    for (arguments, needle) in [
        ("{}", "missing_required"),
        ("{\"zone\": 1}", "type_mismatch"),
        ("{\"zone\": \"UTC\", \"x\": 1}", "unexpected_param"),
        ("[]", "not a JSON object"),
        ("{zone}", "not JSON"),
        ("@none.json", "cannot read none.json"),
    ] {
        let wrong = made(arguments);
        assert_eq!(wrong.status.code(), Some(2), "{arguments}");
        assert!(
            stderr(&wrong).contains(needle),
            "{arguments}: {}",
            stderr(&wrong)
        );
    }
    let error = context.expect_error(2, &["mcp", "call", "get_tim", "--mock", "tiny.yaml"]);
    assert!(error.contains("did you mean `get_time`"), "{error}");
    let error = context.expect_error(2, &["mcp", "call", "get_time"]);
    assert!(error.contains("no tool server is named"), "{error}");

    // A tool that says no is no failure of the server.
    let sent = [
        "mcp",
        "call",
        "set_alarm",
        "--mock",
        "tiny.yaml",
        "--no-validate",
        "--arguments",
        "[]",
    ];
    let refused = context.run(&sent);
    assert_eq!(refused.status.code(), Some(2));
    let odd = [
        "mcp",
        "call",
        "get_time",
        "--mock",
        "tiny.yaml",
        "--no-validate",
        "--format",
        "json",
    ];
    let answered: Value = serde_json::from_str(&stdout(&context.run(&odd))).unwrap();
    assert!(answered["content"].is_string() && answered["is_error"].is_boolean());
}

#[test]
fn every_transport_gives_the_same_answer() {
    let context = with_tiny();
    let arguments = "{\"hour\": 7}";
    let mut answers = vec![context.expect(
        0,
        &[
            "mcp",
            "call",
            "set_alarm",
            "--mock",
            "tiny.yaml",
            "--arguments",
            arguments,
        ],
    )];
    let stdio = served_over_stdio("");
    for protocol in ["2025-11-25", "2026-07-28"] {
        let over_stdio = [
            "mcp",
            "call",
            "set_alarm",
            "--stdio",
            &stdio,
            "--protocol",
            protocol,
            "--arguments",
            arguments,
        ];
        answers.push(context.expect(0, &over_stdio));
        for flag in ["--http", "--ws", "--grpc"] {
            let served = serve_tiny(&context, &[flag, "0"]);
            let address = served.address();
            let over = [
                "mcp",
                "call",
                "set_alarm",
                flag,
                &address,
                "--protocol",
                protocol,
                "--arguments",
                arguments,
            ];
            answers.push(context.expect(0, &over));
        }
    }
    assert_eq!(answers.len(), 9);
    assert!(
        answers.iter().all(|answer| answer == "{\"set\":7}\n"),
        "{answers:?}"
    );
}

/// What a client of ours makes of each fault: one of these must stand in the message. None: the call
/// succeeds all the same.
const FAULTS: [(&str, &[&str]); 9] = [
    ("delay=100ms", &[]),
    ("error", &["error -32603"]),
    ("timeout", &["no answer within 3 s"]),
    ("wrong_type", &["a result of the wrong shape"]),
    ("malformed_frame", &["a line that is not a JSON object"]),
    ("banner", &[]),
    (
        "disconnect",
        &[
            "closed its standard output or connection",
            "cannot be reached",
        ],
    ),
    ("huge", &["a line over the limit"]),
    ("rate_limit", &["error -32029", "HTTP 429"]),
];

#[test]
fn every_fault_over_every_transport_ends_in_time() {
    let context = with_tiny();
    println!(
        "{:<16} {:<6} {:>5} {:>8}  message",
        "fault", "over", "code", "ms"
    );
    for (fault, words) in FAULTS {
        for over in ["stdio", "--http", "--ws", "--grpc"] {
            let (served, flag, address) = if over == "stdio" {
                (
                    None,
                    "--stdio",
                    served_over_stdio(&format!("--fault {fault}")),
                )
            } else {
                let served = serve_tiny(&context, &[over, "0", "--fault", fault]);
                let address = served.address();
                (Some(served), over, address)
            };
            let started = Instant::now();
            let arguments = [
                "mcp",
                "call",
                "get_time",
                flag,
                &address,
                "--arguments",
                "{\"zone\": \"UTC\"}",
            ];
            let mut command = context.command(&arguments);
            let output = command.env("TOOLBENCH_TOOL_TIMEOUT", "3").output().unwrap();
            let elapsed = started.elapsed();
            drop(served);
            let error = stderr(&output);
            let message = error.lines().find(|line| line.starts_with("error:"));
            println!(
                "{fault:<16} {:<6} {:>5} {:>8}  {}",
                over.trim_start_matches('-'),
                output.status.code().unwrap_or(-1),
                elapsed.as_millis(),
                message
                    .unwrap_or_default()
                    .chars()
                    .take(120)
                    .collect::<String>()
            );
            assert!(elapsed < Duration::from_mins(5), "{fault} over {over}");
            assert!(!error.contains("panicked"), "{error}");
            // Before an HTTP body a banner is part of it: an event stream may allow that or not.
            let may_differ = fault == "banner" && over == "--http";
            if words.is_empty() && !may_differ {
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{fault} over {over}: {error}"
                );
            }
            if !words.is_empty() {
                assert_eq!(
                    output.status.code(),
                    Some(3),
                    "{fault} over {over}: {error}"
                );
                let is_named = words.iter().any(|words| error.contains(words));
                assert!(is_named, "{fault} over {over}: {error}");
            }
        }
    }
}

#[test]
fn round_trips_are_measured_and_tails_only_where_they_exist() {
    let context = with_tiny();
    let stdio = served_over_stdio("");
    let measure = |calls: &str| -> Value {
        let text = context.expect(
            0,
            &[
                "mcp",
                "bench",
                "get_time",
                "--stdio",
                &stdio,
                "--calls",
                calls,
                "--warm-up",
                "5",
                "--format",
                "json",
            ],
        );
        serde_json::from_str(&text).unwrap()
    };
    let few = measure("20");
    let row = &few["transports"][0];
    assert_eq!(row["n"], 20);
    assert!(row["p90_ms"].is_f64() && row["p99_ms"].is_null());
    let many = measure("100");
    let row = &many["transports"][0];
    let at = |key: &str| row[key].as_f64().unwrap();
    assert!(0.0 < at("p50_ms") && at("p50_ms") <= at("p90_ms"));
    assert!(at("p90_ms") <= at("p99_ms") && at("p99_ms") <= at("max_ms"));
    assert!(row["target_ms"].is_null());
    assert_eq!(row["errors"], 0);
    let error = context.expect_error(
        2,
        &["mcp", "bench", "--all", "--http", "http://127.0.0.1:9/mcp"],
    );
    assert!(error.contains("over every transport"), "{error}");
}

#[test]
fn the_mock_is_measured_over_every_transport() {
    let context = with_tiny();
    let flags = [
        "mcp",
        "bench",
        "--all",
        "--mock",
        "tiny.yaml",
        "--calls",
        "30",
        "--warm-up",
        "3",
    ];
    let mut json = flags.to_vec();
    json.extend(["--format", "json"]);
    let measured: Value = serde_json::from_str(&context.expect(0, &json)).unwrap();
    let rows = measured["transports"].as_array().unwrap();
    let names: Vec<_> = rows
        .iter()
        .map(|row| {
            let target = row["target_ms"].as_f64().unwrap();
            (
                row["transport"].as_str().unwrap(),
                row["protocol"].as_str(),
                target,
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("in process", None, 0.1),
            ("stdio", Some("2025-11-25"), 2.0),
            ("http", Some("2025-11-25"), 2.0),
            ("http", Some("2026-07-28"), 2.0),
            ("ws", Some("2025-11-25"), 2.0),
            ("grpc", Some("2025-11-25"), 5.0),
        ]
    );
    let table = context.expect(0, &flags);
    assert!(
        table.contains("target p50") && table.contains("30 calls"),
        "{table}"
    );
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
}

#[test]
fn a_recorded_server_answers_as_it_did() {
    let context = Context::new();
    let counted = TINY_SUITE.replace(
        "reply: {set: \"{{ args.hour | tojson }}\"}",
        "reply: \"{{ state.alarms | length }} before {{ '{{' }}\"",
    );
    context.write("tiny.yaml", &counted);
    context.write(
        "calls.jsonl",
        "{\"name\": \"set_alarm\", \"arguments\": {\"hour\": 7}}\n{\"name\": \"set_alarm\", \"arguments\": {\"hour\": 7}}\n\n{\"name\": \"get_time\", \"arguments\": {\"zone\": \"UTC\"}}\n",
    );
    let stdio = served_over_stdio("");
    let record = [
        "mcp",
        "record",
        "--out",
        "taken.yaml",
        "--stdio",
        &stdio,
        "--allow-tool",
        "set_alarm,get_time",
        "--calls",
        "calls.jsonl",
    ];
    let said = context.expect(0, &record);
    assert!(said.contains("recorded 3 calls"), "{said}");
    let error = context.expect_error(2, &record);
    assert!(error.contains("is not overwritten"), "{error}");

    let mut served = Served::start(&context, &["mcp", "serve", "--mock", "taken.yaml"]);
    served.initialize();
    let mut text = |tool: &str, arguments: Value| {
        let answer = served.ask(&call(1, tool, &arguments));
        let result = &answer["result"];
        (
            result["content"][0]["text"].as_str().unwrap().to_owned(),
            result["isError"] == true,
        )
    };
    // In the recorded order, the last answer from then on, and nothing for what was not recorded.
    assert_eq!(
        text("set_alarm", json!({"hour": 7})),
        ("0 before {{".to_owned(), false)
    );
    assert_eq!(
        text("set_alarm", json!({"hour": 7})),
        ("1 before {{".to_owned(), false)
    );
    assert_eq!(
        text("set_alarm", json!({"hour": 7})),
        ("1 before {{".to_owned(), false)
    );
    assert_eq!(
        text("get_time", json!({"zone": "UTC"})).0,
        "It is noon in UTC."
    );
    assert!(text("get_time", json!({"zone": "UTC", "seconds": true})).1);
    assert!(text("get_time", json!({"zone": "CET"})).1);
}

#[test]
fn what_cannot_be_recorded_is_told() {
    let context = with_tiny();
    let stdio = served_over_stdio("");
    let record = |flags: &[&str]| {
        let mut all = vec!["mcp", "record", "--out", "taken.yaml"];
        all.extend(flags);
        let output = context.run(&all);
        assert!(!context.path("taken.yaml").exists());
        (output.status.code(), stderr(&output))
    };
    for (flags, code, needle) in [
        (&["--stdio", stdio.as_str()][..], 5, "no call to record"),
        (
            &["--stdio", &stdio, "--call", "get_time={}"],
            2,
            "missing_required",
        ),
        (
            &["--stdio", &stdio, "--call", "get_tim={}"],
            2,
            "did you mean `get_time`",
        ),
        (
            &["--stdio", &stdio, "--call", "get_time"],
            2,
            "there is no `=`",
        ),
        (&["--suite", "weather"], 2, "runs on a mock already"),
        (&["--suite", "time"], 3, "toolbench suite install time"),
        (&[], 2, "no tool server is named"),
        (&["--stdio", "no-such-program"], 3, "cannot start"),
    ] {
        let (status, error) = record(flags);
        assert_eq!(status, Some(code), "{flags:?}: {error}");
        assert!(error.contains(needle), "{flags:?}: {error}");
    }
    let error = context.expect_error(
        2,
        &[
            "mcp",
            "record",
            "--out",
            "Taken.json",
            "--mock",
            "tiny.yaml",
        ],
    );
    assert!(error.contains("no name of a suite file"), "{error}");
}

#[test]
fn live_a_suite_on_a_real_server_gets_an_offline_twin() {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return;
    };
    let record = [
        "mcp",
        "record",
        "--suite",
        "filesystem",
        "--out",
        "files.yaml",
    ];
    let output = context.run(&record);
    if output.status.code() == Some(3) {
        skip("server", &stderr(&output));
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    // No server any more, and the oracle still passes every case.
    let twin = std::fs::read_to_string(context.path("files.yaml")).unwrap();
    assert!(twin.contains("\nmock:") && !twin.contains("\nserver:"));
    let proven = context.expect(0, &["suite", "check", "files.yaml"]);
    assert!(proven.contains("oracle 20/20"), "{proven}");
}
