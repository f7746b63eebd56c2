//! What a run says of its tool servers, and what it must not say.

use serde_json::{Value, json};

use super::lifecycle::stdio;
use super::run::{SCRIPT, SUITE, arguments, context, looking, trials};
use super::server::{Reply, Server, mcp_reply};
use crate::mcp_support::Served;
use crate::support::{Context, stderr, stdout};

/// Every file of the only run that holds a text.
fn holding(context: &Context, text: &str) -> Vec<String> {
    let files = std::fs::read_dir(context.only_run()).unwrap().flatten();
    files
        .filter(|file| {
            let stored = std::fs::read_to_string(file.path()).unwrap_or_default();
            stored.contains(text)
        })
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect()
}

fn header(context: &Context) -> Value {
    let text = std::fs::read_to_string(context.only_run().join("header.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A model that calls with what nobody should keep.
fn planted() -> Context {
    let context = context();
    let script = SCRIPT.replace("\"zebra\":\"b\"", "\"zebra\":\"pl4nted\"");
    context.write("model.yaml", &script);
    context
}

#[test]
fn notes_of_a_host_are_kept_as_privately_as_calls() {
    let server = Server::start(looking);
    let url = server.url("/mcp");
    let run = |more: &[&str]| {
        let context = planted();
        context.run(&arguments(
            &[&["--http", &url, "--dry-run-calls"][..], more].concat(),
        ));
        context
    };
    let redacted = run(&["--redact", "pl4nted"]);
    assert_eq!(holding(&redacted, "pl4nted"), Vec::<String>::new());
    let note = |trial: &Value| trial["host_notes"][0].clone();
    let detail = note(&trials(&redacted)[1])["detail"].clone();
    assert!(
        detail.as_str().unwrap().contains("[redacted:1]"),
        "{detail}"
    );
    let stripped = run(&["--retain", "none"]);
    assert_eq!(holding(&stripped, "pl4nted"), Vec::<String>::new());
    assert_eq!(note(&trials(&stripped)[1])["kind"], "dry_run");
    let calls = run(&["--retain", "calls"]);
    let detail = note(&trials(&calls)[1])["detail"].clone();
    assert!(detail.as_str().unwrap().contains("pl4nted"), "{detail}");

    // An export of a run that kept everything.
    let whole = run(&[]);
    for more in [["--redact", "pl4nted"], ["--retain", "none"]] {
        let base = ["report", "latest", "--format", "jsonl"];
        let output = whole.run(&[&base[..], &more[..]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(stdout(&output).contains("dry_run"));
        assert!(!stdout(&output).contains("pl4nted"), "{more:?}");
    }
}

#[test]
fn keys_on_a_command_line_reach_no_record() {
    let context = context();
    let Some(command) = stdio(&context, "ok") else {
        return;
    };
    let command =
        format!("{command} --api-key=pl4nted1 --token pl4nted2 postgres://u:pl4nted3@h/db");
    let given = ["--stdio", &command, "--redact", "server.py"];
    context.expect(0, &arguments(&given));
    assert_eq!(holding(&context, "pl4nted"), Vec::<String>::new());
    assert_eq!(holding(&context, "server.py"), Vec::<String>::new());
    let address = header(&context)["tool_servers"][0]["address"].clone();
    let address = address.as_str().unwrap();
    assert!(
        address.ends_with("--api-key=*** --token *** postgres://***@h/db"),
        "{address}"
    );
    // What is recorded is what a resume compares.
    let resume = |more: &[&str]| {
        let base = ["run", "--resume", "latest"];
        context.run(&[&base[..], more].concat())
    };
    let output = resume(&given);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let other = format!("{command} more");
    let output = resume(&["--stdio", &other, "--redact", "server.py"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(!stderr(&output).contains("pl4nted"), "{}", stderr(&output));
}

#[test]
fn a_dry_run_of_calls_says_so_before_its_numbers() {
    let context = context();
    let server = Server::start(looking);
    let url = server.url("/mcp");
    let given = [
        "--http",
        &url,
        "--dry-run-calls",
        "--max-tool-calls",
        "7",
        "--no-network",
    ];
    let shown = context.expect(0, &arguments(&given));
    let warning = shown
        .find("DRY RUN: no call reached a tool server")
        .unwrap();
    assert!(warning < shown.find("Quality").unwrap(), "{shown}");
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        &*format!("http {url}, small 1.0, 2025-11-25"),
        "what could be called: --dry-run-calls --no-network --max-tool-calls 7",
    ] {
        assert!(flat.contains(part), "{part}\n{flat}");
    }
    let markdown = context.expect(0, &["report", "latest", "--format", "markdown"]);
    assert!(markdown.contains("**DRY RUN"), "{markdown}");
    let json: Value =
        serde_json::from_str(&context.expect(0, &["report", "latest", "--format", "json"]))
            .unwrap();
    assert_eq!(json["header"]["tool_policy"]["dry_run"], true);
    assert_eq!(json["header"]["tool_servers"][0]["identity"], "small 1.0");
    let shown = context.expect(0, &["runs", "show", "latest"]);
    assert!(shown.contains("--dry-run-calls"), "{shown}");
    // Under another policy it is another run.
    let resume = |more: &[&str]| {
        let base = ["run", "--resume", "latest"];
        context.expect_error(2, &[&base[..], more].concat())
    };
    let text = resume(&["--http", &url, "--max-tool-calls", "7", "--no-network"]);
    assert!(
        text.contains("what may be called: --dry-run-calls then, none now"),
        "{text}"
    );
    // Another address is said to be that and nothing else.
    let other = Server::start(looking);
    let url = other.url("/mcp");
    let text = resume(&["--http", &url, "--dry-run-calls"]);
    assert!(text.contains("tool servers: http "), "{text}");
    assert!(!text.contains("models:"), "{text}");
}

#[test]
fn an_exclusion_says_what_the_server_said_and_what_helps() {
    let context = context();
    let server = Server::start(|request| {
        let message = request.json();
        if message["method"] == "tools/call" {
            return Reply::text(503, "out of order until noon");
        }
        looking(request)
    });
    let output = context.run(&arguments(&["--http", &server.url("/mcp")]));
    let shown = stdout(&output);
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    let excluded = flat.split("Excluded").last().unwrap();
    assert!(
        excluded.contains("tool_error_env") && excluded.contains("out of order until noon"),
        "{flat}"
    );
}

#[test]
fn servers_of_one_name_are_told_apart() {
    let context = context();
    if which::which("python3").is_err() {
        return;
    }
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/mcp/faulty_server.py");
    let command = format!("python3 {server} ok");
    let two = ["--stdio", &command, "--stdio", &command];
    let run = |more: &[&str]| {
        let all = arguments(&[&two[..], more].concat());
        context.expect_error(2, &all)
    };
    let text = run(&[]);
    for name in ["faulty_server.plain", "faulty_server-2.plain"] {
        assert!(text.contains(&format!("+ {name}")), "{name}\n{text}");
    }
    assert!(!text.contains("+ plain"), "{text}");
    let text = run(&["--allow-tool", "plaim"]);
    assert!(
        text.contains("no server has a tool of that name") && text.contains("plain"),
        "{text}"
    );
    // The name that the model sees allows the tool of that server alone.
    let suite = SUITE.replace(
        "mock:",
        "  - name: plain
    description: Tool plain
    inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}
  - name: faulty_server.plain
    description: Tool plain
    inputSchema: {type: object, properties: {zebra: {type: string}, apple: {type: integer}}}
mock:",
    );
    context.write("looks.yaml", &suite);
    let text = run(&["--allow-tool", "faulty_server-2.plain"]);
    assert!(
        text.contains("! faulty_server.plain may not be called"),
        "{text}"
    );
    assert!(!text.contains("! plain may"), "{text}");
    let text = run(&[]);
    assert!(
        text.contains("faulty_server.plain may not be called"),
        "{text}"
    );
    let text = run(&["--allow-tool", "faulty_server.plain"]);
    assert!(!text.contains("! faulty_server.plain may"), "{text}");
}

#[test]
fn cases_with_a_state_are_refused_before_a_real_server_is_called() {
    let context = context();
    let server = Server::start(looking);
    let suite = SUITE.replace(
        "expect: {calls: [{tool: look, arguments: {zebra: b}}]}",
        "expect: {state: {subset: {seen: b}}}",
    );
    let suite = suite.replace(
        "mock: {answer_all: seen}",
        "mock: {state: {seen: b}, answer_all: seen}",
    );
    context.write("looks.yaml", &suite);
    let url = server.url("/mcp");
    let text = context.expect_error(2, &arguments(&["--http", &url]));
    assert!(
        text.contains("1 of its cases set or expect a `state`, which only a mock has: two"),
        "{text}"
    );
    assert!(
        text.contains("`--case`") && server.requests().is_empty(),
        "{text}"
    );
    context.expect(0, &arguments(&["--http", &url, "--case", "one"]));
    context.run(&arguments(&["--mock", "looks.yaml"]));
    assert_eq!(context.runs().len(), 2);
}

#[test]
fn what_is_given_wrongly_is_a_mistake_of_the_command_line() {
    let context = context();
    context.write(
        "mcp.json",
        "{\"mcpServers\": {\"a\": {\"command\": 3,}, /* of VS Code */}}",
    );
    let http = ["--http", "http://127.0.0.1:1/mcp"];
    let long = |more: &[&'static str]| [&http[..], more].concat();
    for (flags, needle) in [
        (vec!["--openapi", "nofile.yaml"], "cannot read nofile.yaml"),
        (long(&["--ca", "nofile.pem"]), "nofile.pem"),
        (vec!["--grpc", "notaport"], "names no port"),
        (vec!["--mcp-config", "mcp.json"], "`command` is no text"),
        (
            long(&["--header", "X-Key: $BROKEN"]),
            "a character that no header may",
        ),
    ] {
        for command in ["run", "tools"] {
            let all = match command {
                "run" => arguments(&flags),
                _ => [&["mcp", "tools"][..], &flags[..]].concat(),
            };
            let output = context
                .command(&all)
                .env("BROKEN", "a\nb")
                .output()
                .unwrap();
            let text = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{flags:?} {text}");
            assert!(text.contains(needle), "{needle}\n{text}");
            assert!(!text.contains("by hand"), "{text}");
        }
    }
}

#[test]
fn a_call_that_is_refused_here_is_not_said_to_have_failed_there() {
    let context = context();
    let server = Server::start(looking);
    let url = server.url("/mcp");
    let call = ["mcp", "call", "--http", &url, "look", "--arguments"];
    let text = context.expect_error(
        2,
        &[
            &call[..],
            &["{\"zebra\": \"/etc/passwd\"}", "--paths-under", "."],
        ]
        .concat(),
    );
    assert!(text.contains("nothing was sent"), "{text}");
    assert!(!text.contains("the tool answered"), "{text}");
    let text = context.expect_error(2, &[&call[..], &["{}", "--max-tool-calls", "0"]].concat());
    assert!(text.contains("budget of calls"), "{text}");
}

#[test]
fn a_fault_of_a_tool_that_is_not_there_is_refused() {
    let context = context();
    let serve = ["mcp", "serve", "looks.yaml", "--fault"];
    let text = context.expect_error(2, &[&serve[..], &["error,tool=lok"]].concat());
    assert!(
        text.contains("has no such tool") && text.contains("look"),
        "{text}"
    );
}

#[test]
fn a_banner_over_http_is_shown_with_its_line() {
    let context = context();
    let serve = [
        "mcp",
        "serve",
        "looks.yaml",
        "--http",
        "0",
        "--fault",
        "banner",
    ];
    let served = Served::start(&context, &serve);
    let url = served.address();
    let text = context.expect_error(3, &["mcp", "call", "--http", &url, "look"]);
    assert!(
        text.contains("invalid line: Tool server 1.0 starting up"),
        "{text}"
    );
}

#[test]
fn hints_fit_what_was_said() {
    let context = context();
    let server = Server::start(mcp_reply);
    let url = server.url("/mcp");
    let record = [
        "mcp", "record", "--out", "r.yaml", "--http", &url, "--call", "erase={}",
    ];
    let text = context.expect_error(2, &record);
    assert!(text.contains("add `--allow-destructive`"), "{text}");
    assert!(!text.contains("`--allow-tool erase` allows it"), "{text}");
    let empty = Server::start(|request| {
        let message = request.json();
        if message["method"] != "tools/list" {
            return mcp_reply(request);
        }
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": []}});
        Reply::json(200, &answer)
    });
    let text = context.expect_error(2, &["mcp", "call", "--http", &empty.url("/mcp"), "look"]);
    assert!(text.contains("it lists no tool at all"), "{text}");
    let closed = Server::start(|_| Reply::text(401, "no"));
    let call = ["mcp", "call", "--http", &closed.url("/mcp"), "look"];
    let text = context.expect_error(3, &call);
    assert!(text.contains("check the one that was given"), "{text}");
}
