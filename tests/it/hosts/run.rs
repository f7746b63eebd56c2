//! Tool servers in a run: drift, names, safety, crashes, questions, and no orphans.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::server::{PAUSE, Reply, Request, Server, event, mcp_answer, mcp_reply, tools};
use crate::support::{Context, json_lines, stderr, stdout};

/// A suite for the tool `look` of the small servers.
pub(super) const SUITE: &str = "suite: looks
description: looks at things
tools:
  - name: look
    description: Looks.
    inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}
mock: {answer_all: seen}
cases:
  - {id: one, category: simple, why: a call, user: look at a, expect: {calls: [{tool: look, arguments: {zebra: a}}]}}
  - {id: two, category: simple, why: a call, user: look at b, expect: {calls: [{tool: look, arguments: {zebra: b}}]}}
";

pub(super) const SCRIPT: &str = r#"name: looks
replies:
  one: ['{"tool":"look","arguments":{"zebra":"a"}}']
  two: ['{"tool":"look","arguments":{"zebra":"b"}}']
"#;

pub(super) fn context() -> Context {
    let context = Context::new();
    context.write("looks.yaml", SUITE);
    context.write("model.yaml", SCRIPT);
    context
}

/// `run` of the suite with more arguments.
pub(super) fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let base = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "looks.yaml",
        "--constraint",
        "off",
    ];
    [&base[..], more].concat()
}

/// An MCP server that lists `look` alone.
pub(super) fn looking(request: &Request) -> Reply {
    let message = request.json();
    if message["method"] == "tools/list" {
        let only = json!([tools()[0]]);
        return Reply::json(
            200,
            &json!({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": only}}),
        );
    }
    mcp_reply(request)
}

pub(super) fn trials(context: &Context) -> Vec<Value> {
    json_lines(&context.only_run().join("trials.jsonl"))
}

fn header(context: &Context) -> Value {
    let text = std::fs::read_to_string(context.only_run().join("header.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

pub(super) fn kinds(trial: &Value) -> Vec<&str> {
    let notes = trial["host_notes"].as_array();
    notes
        .into_iter()
        .flatten()
        .filter_map(|note| note["kind"].as_str())
        .collect()
}

#[test]
fn a_server_stands_in_for_the_mock_and_is_on_record_without_its_key() {
    let context = context();
    let server = Server::start(looking);
    let url = format!("{}?key=pl4nted-1", server.url("/mcp"));
    let output = context
        .command(&arguments(&[
            "--http",
            &url,
            "--bearer-env",
            "TOOL_KEY",
            "-vv",
        ]))
        .env("TOOL_KEY", "pl4nted-2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let trials = trials(&context);
    assert!(
        trials
            .iter()
            .all(|trial| trial["outcome"]["kind"] == "passed")
    );
    let header = header(&context);
    let line = &header["tool_servers"][0];
    assert_eq!(line["address"], format!("http {}", server.url("/mcp")));
    assert_eq!(line["identity"], "small 1.0");
    assert_eq!(line["protocol"], "2025-11-25");
    assert!(
        server
            .requests()
            .iter()
            .all(|request| request.header("authorization") == Some("Bearer pl4nted-2"))
    );
    for entry in std::fs::read_dir(context.only_run()).unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap_or_default();
        assert!(!text.contains("pl4nted"), "{:?}", entry.path());
    }
    assert!(!stderr(&output).contains("pl4nted"), "{}", stderr(&output));
}

#[test]
fn drift_is_shown_and_refused_unless_accepted() {
    let context = context();
    let server = Server::start(|request| {
        let message = request.json();
        if message["method"] != "tools/list" {
            return mcp_reply(request);
        }
        let mut tool = tools()[0].clone();
        tool["inputSchema"]["properties"]["zebra"]["type"] = "integer".into();
        let mut other = tool.clone();
        other["name"] = "listen".into();
        Reply::json(
            200,
            &json!({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": [tool, other]}}),
        )
    });
    let url = server.url("/mcp");
    let text = context.expect_error(2, &arguments(&["--http", &url]));
    for needle in [
        "are not those of suite `looks`",
        "~ look: /properties/zebra/type: \"string\" → \"integer\"",
        "+ listen",
        "--accept-drift",
    ] {
        assert!(text.contains(needle), "{needle}\n{text}");
    }
    assert!(context.runs().is_empty());
    context.run(&arguments(&["--http", &url, "--accept-drift"]));
    let drift = header(&context)["tool_servers"][0]["drift"].clone();
    assert_eq!(drift[1], "+ listen");
}

#[test]
fn names_that_two_servers_have_get_the_servers_name() {
    let context = context();
    let (first, second) = (Server::start(looking), Server::start(looking));
    let list = json!({"mcpServers": {
        "a": {"url": first.url("/mcp")}, "b": {"type": "http", "url": second.url("/mcp")}}});
    context.write("mcp.json", &list.to_string());
    let named = SUITE.replace("name: look\n", "name: a.look\n").replace(
        "mock:",
        "  - name: b.look
    description: Looks.
    inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}
mock:",
    );
    let named = named
        .replace(
            "{tool: look, arguments: {zebra: a}}",
            "{tool: a.look, arguments: {zebra: a}}",
        )
        .replace(
            "{tool: look, arguments: {zebra: b}}",
            "{tool: b.look, arguments: {zebra: b}}",
        );
    context.write("looks.yaml", &named);
    let script = SCRIPT
        .replace(
            "look\",\"arguments\":{\"zebra\":\"a",
            "a.look\",\"arguments\":{\"zebra\":\"a",
        )
        .replace(
            "look\",\"arguments\":{\"zebra\":\"b",
            "b.look\",\"arguments\":{\"zebra\":\"b",
        );
    context.write("model.yaml", &script);
    context.expect(0, &arguments(&["--mcp-config", "mcp.json#*"]));
    let calls = |server: &Server| -> Vec<String> {
        server
            .requests()
            .iter()
            .map(Request::json)
            .filter(|message| message["method"] == "tools/call")
            .map(|message| message["params"].to_string())
            .collect()
    };
    assert_eq!((calls(&first).len(), calls(&second).len()), (1, 1));
    assert!(
        calls(&second)[0].contains(r#""name":"look""#),
        "{:?}",
        calls(&second)
    );
    let text = context.expect_error(2, &arguments(&["--mcp-config", "mcp.json"]));
    assert!(
        text.contains("'mcp.json#a', --mcp-config 'mcp.json#b'"),
        "{text}"
    );
}

#[test]
fn what_destroys_is_called_only_when_it_was_said_twice() {
    let context = context();
    let server = Server::start(mcp_reply);
    let suite = SUITE.replace(
        "mock:",
        "  - name: erase
    description: Erases.
    inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}
mock:",
    );
    context.write(
        "looks.yaml",
        &suite.replace(
            "{tool: look, arguments: {zebra: b}}",
            "{tool: erase, arguments: {zebra: b}}",
        ),
    );
    context.write(
        "model.yaml",
        &SCRIPT.replace(
            "look\",\"arguments\":{\"zebra\":\"b",
            "erase\",\"arguments\":{\"zebra\":\"b",
        ),
    );
    let url = server.url("/mcp");
    let text = context.expect_error(2, &arguments(&["--http", &url]));
    assert!(
        text.contains("! erase may not be called: it is not read-only"),
        "{text}"
    );
    let text = context.expect_error(2, &arguments(&["--http", &url, "--allow-tool", "erase"]));
    assert!(text.contains("--allow-destructive"), "{text}");
    let both = [
        "--http",
        &url,
        "--allow-tool",
        "erase",
        "--allow-destructive",
    ];
    context.expect(0, &arguments(&both));
    // Nothing of the kind where instructions are injected.
    let injected = std::fs::read_to_string(context.path("looks.yaml")).unwrap();
    context.write(
        "looks.yaml",
        &injected.replace("category: simple", "category: injection"),
    );
    let text = context.expect_error(2, &arguments(&both));
    assert!(text.contains("holds injected instructions"), "{text}");
}

#[test]
fn policies_and_budgets_refuse_calls_and_say_so() {
    let server = Server::start(looking);
    let url = server.url("/mcp");
    let script = SCRIPT.replace("\"zebra\":\"b\"", "\"zebra\":\"/etc/passwd\"");
    for (flags, kind, needle) in [
        (
            vec!["--paths-under", "."],
            "refused",
            "/etc/passwd, which is not below",
        ),
        (vec!["--max-tool-calls", "0"], "refused", "budget of calls"),
        (vec!["--max-tool-time", "0"], "refused", "budget of time"),
        (vec!["--dry-run-calls"], "dry_run", "look {"),
    ] {
        let context = context();
        context.write("model.yaml", &script);
        let before = server.requests().len();
        context.run(&arguments(&[&["--http", &url][..], &flags[..]].concat()));
        let trials = trials(&context);
        assert_eq!(kinds(&trials[1]), [kind], "{flags:?}: {}", trials[1]);
        let detail = trials[1]["host_notes"][0]["detail"].as_str().unwrap();
        assert!(detail.contains(needle), "{detail}");
        let reached = server.requests()[before..]
            .iter()
            .any(|request| request.body.contains("/etc/passwd"));
        assert!(!reached, "{flags:?}");
    }
}

#[test]
fn a_list_that_changes_in_the_middle_of_a_run_ends_it_for_what_follows() {
    for (flags, codes) in [
        (vec![], ["passed", "tool"]),
        (vec!["--accept-drift"], ["passed", "passed"]),
    ] {
        let context = context();
        let calls = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&calls);
        let server = Server::start(move |request| {
            let message = request.json();
            match message["method"].as_str() {
                Some("tools/call") => {
                    seen.fetch_add(1, Ordering::SeqCst);
                    let changed =
                        json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"});
                    let answer = mcp_answer(&message).unwrap();
                    Reply::Events(vec![event(&changed), event(&answer)], Duration::ZERO)
                }
                Some("tools/list") if seen.load(Ordering::SeqCst) > 0 => mcp_reply(request),
                _ => looking(request),
            }
        });
        let url = server.url("/mcp");
        context.run(&arguments(&[&["--http", &url][..], &flags[..]].concat()));
        let trials = trials(&context);
        let kinds_of: Vec<_> = trials
            .iter()
            .map(|trial| trial["outcome"]["kind"].clone())
            .collect();
        assert_eq!(kinds_of, codes, "{flags:?}");
        if flags.is_empty() {
            let message = trials[1]["violations"][0]["message"].as_str().unwrap();
            assert!(
                message.contains("changed its list of tools: + erase"),
                "{message}"
            );
            let shown = stdout(&context.run(&["report", "latest"]));
            let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(
                flat.contains("tool_error_env: ")
                    && flat.contains("changed its list of tools: + erase")
                    && flat.contains("with `--accept-drift` to go on"),
                "{flat}"
            );
        } else {
            assert!(
                kinds(&trials[1]).contains(&"tools_changed"),
                "{}",
                trials[1]
            );
        }
    }
}

#[test]
fn a_newer_server_is_asked_to_tell_of_a_changed_list() {
    let server = "name: changing
tools:
  - {name: look, description: Looks., annotations: {readOnlyHint: true}, inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}}
further_tools:
  - {name: erase, description: Erases., inputSchema: {type: object}}
answers:
  look: {content: [{type: text, text: seen}], changes_tools: true, pause_ms: 300}
";
    let program = env!("CARGO_BIN_EXE_toolbench");
    let command = format!("{program} mcp serve --script server.yaml");
    for protocol in ["2025-11-25", "2026-07-28"] {
        let context = context();
        context.write("server.yaml", server);
        context.run(&arguments(&["--stdio", &command, "--protocol", protocol]));
        let trials = trials(&context);
        assert_eq!(trials[0]["outcome"]["kind"], "passed", "{protocol}");
        assert_eq!(trials[1]["outcome"]["kind"], "tool", "{protocol}");
        let message = trials[1]["violations"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("changed its list of tools: + erase"),
            "{protocol}: {message}"
        );
    }
}

#[test]
fn flags_that_hold_a_key_are_refused_without_repeating_it() {
    let context = context();
    for (flags, needle) in [
        (
            vec!["--header", "X-Key: pl4nted"],
            "holds a value instead of a variable's name",
        ),
        (vec!["--header", "pl4nted"], "is not `Name: $VARIABLE`"),
        (
            vec!["--header", "X-Key: $NOT_SET"],
            "the variable `NOT_SET` is not set",
        ),
        (
            vec!["--bearer-env", "NOT_SET"],
            "the variable `NOT_SET` is not set",
        ),
        (
            vec!["--ca", "absent.pem"],
            "cannot read certificate authority absent.pem",
        ),
        (
            vec!["--protocol", "2024-11-05"],
            "there are 2025-11-25, 2026-07-28 and auto",
        ),
        (
            vec!["--http", "127.0.0.1:1"],
            "no address that begins with http:// or https://",
        ),
    ] {
        let all = arguments(
            &[
                &["--http", "http://127.0.0.1:1/mcp?k=pl4nted"][..],
                &flags[..],
            ]
            .concat(),
        );
        let output = context.run(&all);
        let text = stderr(&output);
        assert!(
            matches!(output.status.code(), Some(2 | 3)),
            "{flags:?} {text}"
        );
        assert!(text.contains(needle), "{needle}\n{text}");
        assert!(!text.contains("pl4nted"), "{text}");
    }
}

#[test]
fn flags_for_addresses_are_refused_where_there_is_none() {
    let context = context();
    for flags in [
        ["--bearer-env", "HOME"],
        ["--header", "X: $HOME"],
        ["--ca", "x.pem"],
    ] {
        let all = arguments(&[&["--stdio", "no-such-program"][..], &flags[..]].concat());
        let text = context.expect_error(2, &all);
        assert!(text.contains("reached at an address"), "{text}");
    }
}

#[test]
fn a_slow_server_has_time_while_it_shows_progress() {
    let context = context();
    let server = Server::start(|request| {
        let message = request.json();
        if message["method"] != "tools/call" {
            return looking(request);
        }
        let token = &message["params"]["_meta"]["progressToken"];
        let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
        let answer = mcp_answer(&message).unwrap();
        let mut events = Vec::new();
        for _ in 0..5 {
            events.extend([event(&progress), PAUSE.to_owned()]);
        }
        events.push(event(&answer));
        Reply::Events(events, Duration::ZERO)
    });
    let url = server.url("/mcp");
    context.expect(0, &arguments(&["--http", &url, "--tool-timeout", "1"]));
}
