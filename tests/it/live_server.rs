//! The real MCP server: suite `filesystem` over stdio, and what happens where it is not installed.

use crate::support::{Context, json_lines, skip, stderr, stdout};

/// A model that lists its folder whatever it is asked.
const LISTS: &str = "name: lists
otherwise: '{\"tool\":\"list_allowed_directories\",\"arguments\":{}}'
";

#[test]
fn calls_reach_the_real_server() {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return;
    };
    let installed = context.run(&["suite", "install", "filesystem"]);
    if installed.status.code() == Some(3) {
        skip("server", &stderr(&installed));
        return;
    }
    assert!(installed.status.success(), "{}", stderr(&installed));
    context.write("model.yaml", LISTS);
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "filesystem",
        "--constraint",
        "off",
        "-q",
    ]);
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert!(trials.len() >= 10, "{}", stderr(&output));
    let calls: Vec<_> = trials
        .iter()
        .flat_map(|trial| {
            trial["calls"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call["is_error"] == false),
        "{calls:?}"
    );
    for trial in &trials {
        assert_ne!(trial["outcome"]["kind"], "tool", "{}", trial["outcome"]);
    }
}

#[test]
fn without_the_server_the_suite_is_skipped_with_its_count() {
    let context = Context::new();
    context.write("model.yaml", LISTS);
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "abstain,filesystem",
        "--limit",
        "2",
        "--constraint",
        "off",
    ]);
    // A named suite that could not run makes the run undecidable; the other suite is on record.
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("filesystem"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("toolbench suite install filesystem"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        json_lines(&context.only_run().join("trials.jsonl")).len(),
        2
    );
}
