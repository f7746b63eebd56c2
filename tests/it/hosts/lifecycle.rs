//! Servers that are children: crashes, questions in the middle of a call, and no orphans.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;

use super::run::{SUITE, arguments, context, kinds, trials};
use crate::support::Context;

/// An MCP server over stdio that starts a child of its own, writes both process ids down, asks
/// back in the middle of a call, and does as its first argument says.
const STDIO_SERVER: &str = r#"
import json, os, subprocess, sys
mode, pids = sys.argv[1], sys.argv[2]
child = subprocess.Popen(["sleep", "600"])
with open(pids, "a") as file:
    file.write(f"{os.getpid()}\n{child.pid}\n")
def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
tool = {"name": "look", "description": "Looks.", "annotations": {"readOnlyHint": True},
        "inputSchema": {"type": "object", "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}}}}
waiting = None
for line in sys.stdin:
    message = json.loads(line)
    method, id = message.get("method"), message.get("id")
    if method == "initialize":
        send({"jsonrpc": "2.0", "id": id, "result": {"protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}}, "serverInfo": {"name": "own", "version": "1"}}})
    elif method == "tools/list":
        send({"jsonrpc": "2.0", "id": id, "result": {"tools": [tool]}})
    elif method == "tools/call":
        if mode == "hang":
            open(pids + ".called", "w").close()
            continue
        if mode == "crash" and message["params"]["arguments"]["zebra"] == "a":
            os._exit(7)
        if mode == "ask":
            waiting = id
            send({"jsonrpc": "2.0", "id": "q1", "method": "elicitation/create", "params": {"message": "Which colour?",
                "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}}}})
            continue
        send({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "seen"}]}})
    elif id == "q1" and waiting is not None:
        send({"jsonrpc": "2.0", "id": waiting, "result": {"content": [{"type": "text", "text": json.dumps(message.get("result"))}]}})
"#;

pub(super) fn stdio(context: &Context, mode: &str) -> Option<String> {
    which::which("python3").ok()?;
    let script = context.write("server.py", STDIO_SERVER);
    Some(format!(
        "python3 {} {mode} {}",
        script.display(),
        context.path("pids").display()
    ))
}

fn is_alive(process: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// Every process that the server wrote down ends within a few seconds.
fn all_end(pids: &Path) {
    let text = std::fs::read_to_string(pids).unwrap();
    assert!(text.lines().count() >= 2, "{text}");
    for process in text.lines() {
        let mut left = 500;
        while is_alive(process) {
            assert!(left > 0, "process {process} lives on");
            left -= 1;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_crash_costs_one_trial_and_the_next_is_marked() {
    let context = context();
    let Some(command) = stdio(&context, "crash") else {
        return;
    };
    context.run(&arguments(&["--stdio", &command]));
    let trials = trials(&context);
    assert_eq!(
        trials[0]["outcome"],
        json!({"kind": "tool", "code": "mcp_protocol_error"})
    );
    let message = trials[0]["violations"][0]["message"].as_str().unwrap();
    assert!(message.contains("exit status: 7"), "{message}");
    assert_eq!(trials[1]["outcome"]["kind"], "passed");
    assert_eq!(kinds(&trials[1]), ["restarted"]);
    all_end(&context.path("pids"));
}

#[test]
fn questions_are_answered_by_the_case_or_declined() {
    let context = context();
    let Some(command) = stdio(&context, "ask") else {
        return;
    };
    let answered = SUITE.replace(
        "user: look at a,",
        "user: look at a, elicitation: [{asks: colour, action: accept, content: {colour: red}}],",
    );
    context.write("looks.yaml", &answered);
    context.expect(0, &arguments(&["--stdio", &command]));
    let trials = trials(&context);
    for (trial, what) in trials.iter().zip(["accepted by the case", "declined"]) {
        assert_eq!(kinds(trial), ["elicitation"], "{trial}");
        let detail = trial["host_notes"][0]["detail"].as_str().unwrap();
        assert!(
            detail.contains(what) && detail.contains("Which colour?"),
            "{detail}"
        );
    }
    let stored = std::fs::read_to_string(context.only_run().join("content.jsonl")).unwrap();
    assert!(stored.contains(r#"\"colour\": \"red\""#), "{stored}");
}

#[cfg(target_os = "linux")]
#[test]
fn no_signal_leaves_an_orphan() {
    for signals in [&["-INT", "-INT"][..], &["-TERM"]] {
        let context = context();
        let Some(command) = stdio(&context, "hang") else {
            return;
        };
        let mut child = context
            .command(&arguments(&["--stdio", &command]))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Until the first trial hangs in its call.
        let pids = context.path("pids");
        let mut left = 1200;
        while !context.path("pids.called").exists() {
            assert!(left > 0, "the run does not start");
            left -= 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        for signal in signals {
            let process = child.id().to_string();
            let sent = std::process::Command::new("kill")
                .args([signal, &*process])
                .status();
            assert!(sent.unwrap().success());
            std::thread::sleep(Duration::from_millis(300));
        }
        let mut left = 1000;
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if left == 0 {
                let _ = child.kill();
                panic!("{signals:?}: it does not end");
            }
            left -= 1;
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(130), "{signals:?}");
        all_end(&pids);
        // The record reads, and says what was given up.
        let trials = trials(&context);
        assert_eq!(trials[0]["outcome"]["code"], "cancelled", "{signals:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn suite_check_ends_its_server_and_says_what_it_does() {
    use std::os::unix::fs::PermissionsExt as _;
    for signal in ["-INT", "-TERM"] {
        let context = context();
        let Some(command) = stdio(&context, "hang") else {
            return;
        };
        // An installed package whose interpreter starts the test's own server.
        let environment = ".cache/toolbench/servers/python/own";
        context.write(
            &format!("{environment}/lib/python3/site-packages/own-1.0.dist-info/METADATA"),
            "",
        );
        let script = format!("#!/bin/sh\nexec {command}\n");
        let python = context.write(&format!("{environment}/bin/python"), &script);
        std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (head, cases) = SUITE.split_once("tools:").unwrap();
        let (_, cases) = cases.split_once("cases:").unwrap();
        context.write(
            "own.yaml",
            &format!("{head}server: {{pip: own@1.0, entry: own, allow: [look]}}\ncases:{cases}"),
        );
        let child = context
            .command(&["suite", "check", "own.yaml"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = 1200;
        while !context.path("pids.called").exists() {
            assert!(left > 0, "the check does not start");
            left -= 1;
            std::thread::sleep(Duration::from_millis(50));
        }
        let sent = std::process::Command::new("kill")
            .args([signal, &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        let text = crate::support::stderr(&output);
        assert_eq!(output.status.code(), Some(130), "{signal}: {text}");
        assert!(text.contains("looks: starting its server"), "{text}");
        assert!(text.contains("looks: agent "), "{text}");
        all_end(&context.path("pids"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_panic_leaves_no_orphan() {
    let context = context();
    let Some(command) = stdio(&context, "ok") else {
        return;
    };
    let mut words = command.split(' ').map(str::to_owned);
    let spec = super::spec(toolbench::types::host::HostAddress::Stdio {
        command: words.next().unwrap(),
        arguments: words.collect(),
        environment: std::env::vars()
            .filter(|(name, _)| name == "PATH")
            .map(|(name, value)| (name, toolbench::types::secret::Secret::new(value)))
            .collect(),
        working_directory: None,
    });
    let panicked = std::panic::catch_unwind(|| {
        super::within_limit(async {
            let host = super::host_of(&spec);
            let mut session = host.open(None).await.unwrap();
            session.call(&super::look()).await.unwrap();
            panic!("on purpose");
        });
    });
    assert!(panicked.is_err());
    all_end(&context.path("pids"));
}
