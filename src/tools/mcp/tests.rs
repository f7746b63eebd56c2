//! Against `fixtures/mcp/faulty_server.py`; skipped where there is no `python3`. Against the real
//! filesystem server when `TOOLBENCH_TEST_MCP` names a folder where it is installed.

#![allow(
    clippy::disallowed_methods,
    reason = "tests of real servers are switched on by a variable"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::tools::server::{Programs, server_for};

/// Ends any test that would hang.
const TEST_LIMIT: Duration = Duration::from_secs(30);

fn run<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { tokio::time::timeout(TEST_LIMIT, test).await.unwrap() });
}

fn python() -> Option<PathBuf> {
    which::which("python3").ok()
}

fn launch(settings: &mut McpSettings) -> &mut Launch {
    let Reach::Process(launch) = &mut settings.reach else {
        panic!("a process");
    };
    launch
}

/// Settings for the faulty server in one mode; `None` where it cannot run.
fn faulty(mode: &str) -> Option<McpSettings> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/mcp/faulty_server.py");
    let arguments = vec![script.to_string_lossy().into_owned(), mode.to_owned()];
    let mut settings = McpSettings::new("faulty", python()?, arguments);
    launch(&mut settings).environment =
        BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
    settings.fault_grace = Duration::from_millis(200);
    settings.line_limit_bytes = 100_000;
    Some(settings)
}

fn look() -> ToolCall {
    ToolCall::new("look", json!({"zebra": "z", "apple": 1}))
}

async fn call_once(settings: McpSettings) -> Result<ToolResult, ToolHostError> {
    let host = McpHost::new(settings);
    let mut session = host.open(None).await?;
    let answer = session.call(&look()).await;
    host.close().await;
    answer
}

fn is_alive(process: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A zombie has ended; it only waits to be reaped.
    !state.is_empty() && !state.contains(") Z ")
}

async fn wait_until_gone(process: u32) {
    while is_alive(process) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[test]
fn faults_are_named_with_the_offending_line() {
    run(async {
        for (mode, code, needles) in [
            (
                "not_json",
                Code::McpProtocolError,
                vec!["not a JSON object", "Traceback"],
            ),
            (
                "wrong_id",
                Code::McpProtocolError,
                vec!["id that was not asked", "999"],
            ),
            (
                "no_result",
                Code::McpProtocolError,
                vec!["neither result nor error", "\"id\""],
            ),
            (
                "no_jsonrpc",
                Code::McpProtocolError,
                vec!["without \"jsonrpc\"", "\"result\""],
            ),
            (
                "both",
                Code::McpProtocolError,
                vec!["both result and error"],
            ),
            (
                "oversized",
                Code::McpProtocolError,
                vec!["over the limit", "xxx"],
            ),
            (
                "closed",
                Code::McpProtocolError,
                vec!["closed its standard output"],
            ),
            (
                "crash",
                Code::McpProtocolError,
                vec![
                    "closed its standard output",
                    "exit status: 7",
                    "assertion failed: x > 0",
                ],
            ),
            (
                "empty_result",
                Code::McpProtocolError,
                vec!["wrong shape", "\"result\":{}"],
            ),
            ("bad_content", Code::McpProtocolError, vec!["wrong shape"]),
            (
                "server_error",
                Code::ToolErrorEnv,
                vec!["-32603", "disk full"],
            ),
            (
                "init_no_result",
                Code::McpProtocolError,
                vec!["start", "neither result nor error"],
            ),
            (
                "bad_version",
                Code::McpProtocolError,
                vec!["version", "2099-01-01"],
            ),
            (
                "bad_list",
                Code::McpProtocolError,
                vec!["wrong shape", "none"],
            ),
            (
                "exit_at_start",
                Code::McpProtocolError,
                vec!["exit status: 3", "cannot find my settings"],
            ),
        ] {
            let Some(settings) = faulty(mode) else { return };
            let error = call_once(settings).await.unwrap_err();
            assert_eq!(error.code, code, "{mode}: {error}");
            for needle in needles {
                assert!(error.message.contains(needle), "{mode}: {needle}: {error}");
            }
        }
    });
}

#[test]
fn harmless_faults_are_noted_and_the_answer_counts() {
    run(async {
        for (mode, words) in [
            ("noise", "not a JSON object"),
            ("banner", "not a JSON object"),
            ("string_id", "id of another type"),
            ("duplicate", "the same request again"),
        ] {
            let Some(settings) = faulty(mode) else { return };
            let host = McpHost::new(settings);
            let mut session = host.open(None).await.unwrap();
            for _ in 0..2 {
                let result = session.call(&look()).await.unwrap();
                assert!(!result.is_error, "{mode}");
            }
            let fault = host.facts().await.unwrap().faults.remove(0);
            assert!(fault.contains(words), "{mode}: {fault}");
            let notes = session.take_notes();
            assert_eq!(notes[0].kind, HostNoteKind::Fault, "{mode}");
            assert!(session.take_notes().is_empty(), "{mode}");
            host.close().await;
        }
    });
}

#[test]
fn answers_of_every_style_are_results() {
    run(async {
        for (mode, content, is_error) in [
            ("is_error", "no such file", true),
            ("unknown_tool", "Unknown tool", true),
            ("structured", r#"{"b":1,"a":2}"#, false),
        ] {
            let Some(settings) = faulty(mode) else { return };
            let result = call_once(settings).await.unwrap();
            assert_eq!(
                (result.content.as_str(), result.is_error),
                (content, is_error),
                "{mode}"
            );
            assert!(!result.scripted_error);
        }
    });
}

#[test]
fn a_hanging_server_is_a_timeout_and_is_replaced() {
    run(async {
        let Some(mut settings) = faulty("hang") else {
            return;
        };
        settings.call_limit = Duration::from_millis(200);
        let host = McpHost::new(settings);
        let mut session = host.open(None).await.unwrap();
        let before = host.facts().await.unwrap().process_id;
        let error = session.call(&look()).await.unwrap_err();
        assert_eq!(error.code, Code::ToolTimeout);
        assert!(error.message.contains("no answer within 0.2 s"), "{error}");
        host.open(None).await.unwrap();
        assert_ne!(host.facts().await.unwrap().process_id, before);
        host.close().await;
    });
}

#[test]
fn starting_is_bounded() {
    run(async {
        for mode in ["mute", "slow_start"] {
            let Some(mut settings) = faulty(mode) else {
                return;
            };
            settings.start_limit = Duration::from_millis(500);
            let error = McpHost::new(settings).list().await.unwrap_err();
            assert_eq!(error.code, Code::ToolTimeout, "{error}");
        }
        let absent = McpSettings::new("absent", "/nowhere/server", Vec::new());
        let error = McpHost::new(absent).list().await.unwrap_err();
        assert_eq!(error.code, Code::ToolErrorEnv);
        assert!(
            error.message.contains("cannot start /nowhere/server"),
            "{error}"
        );
    });
}

#[test]
fn a_server_that_died_is_started_again_once() {
    run(async {
        let Some(mut settings) = faulty("crash_once") else {
            return;
        };
        let folder = tempfile::tempdir().unwrap();
        launch(&mut settings)
            .arguments
            .push(folder.path().join("flag").to_string_lossy().into_owned());
        let host = McpHost::new(settings);
        let mut session = host.open(None).await.unwrap();
        assert_eq!(
            session.call(&look()).await.unwrap_err().code,
            Code::McpProtocolError
        );
        assert_eq!(
            session.call(&look()).await.unwrap_err().code,
            Code::McpProtocolError
        );
        let mut session = host.open(None).await.unwrap();
        assert!(
            session
                .call(&look())
                .await
                .unwrap()
                .content
                .starts_with("look")
        );
        host.close().await;
    });
}

#[test]
fn only_what_is_read_only_or_named_reaches_the_server() {
    run(async {
        let Some(settings) = faulty("ok") else { return };
        let names = |tools: Vec<ToolDefinition>| -> Vec<String> {
            tools.into_iter().map(|tool| tool.name).collect()
        };
        let host = McpHost::new(settings.clone());
        assert_eq!(names(host.list().await.unwrap()), ["look", "environment"]);
        assert_eq!(host.facts().await.unwrap().tools.len(), 4);
        let mut session = host.open(None).await.unwrap();
        for (name, needle) in [
            ("erase", "not allowed"),
            ("plain", "not allowed"),
            ("gone", "no such tool"),
        ] {
            let result = session.call(&ToolCall::new(name, json!({}))).await.unwrap();
            assert!(
                result.is_error && result.content.contains(needle),
                "{}",
                result.content
            );
        }
        host.close().await;

        let mut wider = settings.clone();
        wider.safety.allowed = Allowed::ReadOnlyAnd(vec!["plain".to_owned()]);
        let host = McpHost::new(wider);
        assert_eq!(
            names(host.list().await.unwrap()),
            ["look", "environment", "plain"]
        );
        host.close().await;

        let mut wrong = settings;
        wrong.safety.allowed = Allowed::Only(vec!["lock".to_owned()]);
        let error = McpHost::new(wrong).list().await.unwrap_err();
        assert!(
            error
                .message
                .contains("no tool `lock`; it has look, environment"),
            "{error}"
        );
    });
}

#[test]
fn sessions_share_a_read_only_server_and_nothing_else() {
    run(async {
        let Some(settings) = faulty("ok") else { return };
        let shared = McpHost::new(settings.clone());
        let mut first = shared.open(None).await.unwrap();
        let mut second = shared.open(None).await.unwrap();
        let (one, other) = tokio::join!(async { first.call(&look()).await.unwrap() }, async {
            second.call(&look()).await.unwrap()
        });
        assert_eq!(one.content, other.content);
        shared.close().await;

        let mut erasing = settings;
        erasing.safety.allowed = Allowed::Only(vec!["look".to_owned(), "erase".to_owned()]);
        erasing.safety.allow_destructive = true;
        let own = McpHost::new(erasing);
        let mut first = own.open(None).await.unwrap();
        let before = first.call(&look()).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(100), own.open(None)).await;
        assert!(waiting.is_err(), "a second session has to wait");
        drop(first);
        // Looking changed nothing, so the server goes on.
        let mut second = own.open(None).await.unwrap();
        assert_eq!(second.call(&look()).await.unwrap().content, before.content);
        let erase = ToolCall::new("erase", json!({}));
        assert!(!second.call(&erase).await.unwrap().is_error);
        drop(second);
        let mut third = own.open(None).await.unwrap();
        assert_ne!(third.call(&look()).await.unwrap().content, before.content);
    });
}

#[test]
fn the_list_is_kept_as_the_server_wrote_it() {
    run(async {
        let Some(settings) = faulty("pages") else {
            return;
        };
        let host = McpHost::new(settings);
        let tools = host.facts().await.unwrap().tools;
        assert_eq!(tools.len(), 4);
        assert_eq!(tools[0].raw["execution"], json!({"taskSupport": "none"}));
        let schema = host.list().await.unwrap()[0].input_schema.to_string();
        assert!(schema.find("zebra") < schema.find("apple"), "{schema}");
        assert!(schema.contains("x-kept"), "{schema}");
        host.close().await;
    });
}

#[test]
fn the_environment_is_what_the_settings_say() {
    run(async {
        let Some(mut settings) = faulty("ok") else {
            return;
        };
        launch(&mut settings)
            .environment
            .insert("ONLY".to_owned(), "this".to_owned());
        let host = McpHost::new(settings);
        let mut session = host.open(None).await.unwrap();
        let result = session
            .call(&ToolCall::new("environment", json!({})))
            .await
            .unwrap();
        let seen: BTreeMap<String, String> = serde_json::from_str(&result.content).unwrap();
        assert_eq!(seen["ONLY"], "this");
        assert!(
            !seen.contains_key("CARGO_MANIFEST_DIR") && !seen.contains_key("HOME"),
            "{seen:?}"
        );
        host.close().await;
    });
}

#[test]
fn budgets_bound_calls_and_bytes() {
    run(async {
        let Some(mut settings) = faulty("big") else {
            return;
        };
        settings.safety.bytes_budget = 1501;
        settings.safety.calls_budget = 3;
        let host = McpHost::new(settings);
        let mut session = host.open(None).await.unwrap();
        assert_eq!(session.call(&look()).await.unwrap().content.len(), 1000);
        let cut = session.call(&look()).await.unwrap().content;
        assert!(
            cut.starts_with("ää") && cut.ends_with("[cut off: 1000 bytes in all]"),
            "{cut}"
        );
        let refused = session.call(&look()).await.unwrap();
        assert!(refused.is_error && refused.content.contains("bytes"));
        host.close().await;

        let Some(mut settings) = faulty("ok") else {
            return;
        };
        settings.safety.calls_budget = 1;
        let host = McpHost::new(settings);
        let mut session = host.open(None).await.unwrap();
        assert!(!session.call(&look()).await.unwrap().is_error);
        assert!(
            session
                .call(&look())
                .await
                .unwrap()
                .content
                .contains("budget of calls")
        );
        host.close().await;
    });
}

#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_its_host() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        for is_closed in [true, false] {
            let Some(mut settings) = faulty("child") else {
                return;
            };
            let file = folder.path().join("pid");
            launch(&mut settings)
                .arguments
                .push(file.to_string_lossy().into_owned());
            let host = McpHost::new(settings);
            let mut session = host.open(None).await.unwrap();
            session.call(&look()).await.unwrap();
            let server = host.facts().await.unwrap().process_id.unwrap();
            let grandchild: u32 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
            assert!(is_alive(server) && is_alive(grandchild));
            if is_closed {
                host.close().await;
            }
            drop(session);
            drop(host);
            wait_until_gone(server).await;
            wait_until_gone(grandchild).await;
        }
    });
}

#[test]
fn a_real_server_takes_no_state() {
    run(async {
        let Some(settings) = faulty("ok") else { return };
        let host = McpHost::new(settings);
        assert!(
            host.open(Some(&json!({})))
                .await
                .err()
                .unwrap()
                .message
                .contains("takes no `state`")
        );
    });
}

#[test]
fn the_real_filesystem_server_works() {
    let Ok(installed) = std::env::var("TOOLBENCH_TEST_MCP") else {
        return;
    };
    run(async {
        let base = tempfile::tempdir().unwrap();
        let suite = serde_json::from_value(json!({"suite": "files", "server": {
            "npm": "@modelcontextprotocol/server-filesystem@2026.8.31", "entry": "dist/index.js",
            "arguments": ["{sandbox}"], "allow": ["read_text_file", "list_directory"],
            "files": {"a.txt": "hello", "b/c.txt": "deep"}}}))
        .unwrap();
        let programs = Programs {
            node: which::which("node").ok(),
            ..Programs::default()
        };
        let settings = server_for(&suite, Path::new(&installed), &programs, base.path()).unwrap();
        let host = McpHost::new(settings);
        let tools = host.list().await.unwrap();
        assert_eq!(tools.len(), 2);
        assert!(host.facts().await.unwrap().tools.len() >= 14);
        let mut session = host.open(None).await.unwrap();
        let path = Sandbox::new(base.path(), "files", &BTreeMap::new())
            .unwrap()
            .path()
            .join("a.txt");
        let read = |path: String| ToolCall::new("read_text_file", json!({"path": path}));
        let result = session
            .call(&read(path.to_string_lossy().into_owned()))
            .await
            .unwrap();
        assert_eq!((result.content.as_str(), result.is_error), ("hello", false));
        let result = session.call(&read("b/c.txt".to_owned())).await.unwrap();
        assert_eq!(result.content, "deep");
        for bad in ["/etc/passwd", "none.txt"] {
            assert!(
                session.call(&read(bad.to_owned())).await.unwrap().is_error,
                "{bad}"
            );
        }
        let refused = session
            .call(&ToolCall::new(
                "write_file",
                json!({"path": "x", "content": ""}),
            ))
            .await
            .unwrap();
        assert!(refused.is_error && refused.content.contains("not allowed"));
        assert!(host.facts().await.unwrap().faults.is_empty());
        host.close().await;
    });
}
