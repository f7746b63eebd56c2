//! The five models' engine for real: both default models through `quick`, the record's promises
//! on real replies, a killed child. Needs `TOOLBENCH_TEST_CACHE` with pulled models, as
//! `scripts/test` sets it; each test says so when it skips.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::support::{Context, json_lines, skip, stderr, stdout};

/// The context when the cache holds the model; otherwise a word on standard error.
fn with(models: &[&str]) -> Option<Context> {
    if !cfg!(feature = "llama") {
        eprintln!("skipped: built without the engine");
        return None;
    }
    let Some(context) = Context::live() else {
        skip(
            "models",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return None;
    };
    for model in models {
        if !context.has_model(model) {
            skip("models", &format!("{model} is not in the cache"));
            return None;
        }
    }
    Some(context)
}

/// Replies by trial and attempt, as stored.
fn replies(run: &Path) -> BTreeMap<String, Vec<Value>> {
    json_lines(&run.join("trials.jsonl"))
        .into_iter()
        .map(|trial| {
            let replies = trial["attempts"]
                .as_array()
                .unwrap()
                .iter()
                .map(|attempt| attempt["reply"].clone())
                .collect();
            (trial["id"].as_str().unwrap().to_owned(), replies)
        })
        .collect()
}

#[test]
fn both_default_models_run_through_quick() {
    let Some(context) = with(&["smollm2:135m", "qwen2.5-coder:0.5b"]) else {
        return;
    };
    let text = context.expect(
        0,
        &[
            "compare",
            "smollm2",
            "qwen2.5-coder:0.5b",
            "--format",
            "json",
            "-q",
        ],
    );
    let summary: Value = serde_json::from_str(&text).unwrap();
    let totals = summary["totals"].as_array().unwrap();
    assert_eq!(totals.len(), 4, "two models, constraint off and grammar");
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 4 * 26);
    let mut prompt_tokens = 0;
    for trial in &trials {
        let grammar = trial["constraint_effective"] == "grammar";
        for attempt in trial["attempts"].as_array().unwrap() {
            prompt_tokens += attempt["usage"]["computed_tokens"].as_u64().unwrap();
            let cut = attempt["stop_reason"] != "stop" && attempt["stop_reason"] != "stop_text";
            for violation in attempt["violations"].as_array().into_iter().flatten() {
                let code = violation["code"].as_str().unwrap();
                let form = [
                    "malformed_json",
                    "wrong_envelope",
                    "unknown_tool",
                    "missing_required",
                    "unexpected_param",
                    "type_mismatch",
                    "enum_violation",
                ];
                assert!(
                    !grammar || cut || !form.contains(&code),
                    "under a grammar {} has {violation}",
                    trial["case"]
                );
            }
        }
    }
    // The token budget of `quick` in place of a time limit: prompts computed, all four cells.
    assert!(
        prompt_tokens < 100_000,
        "{prompt_tokens} prompt tokens were computed"
    );
    // The tables follow from the record: an independent script agrees.
    context.write("summary.json", &text);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/recompute.py");
    let checked = std::process::Command::new("python3")
        .arg(script)
        .arg(context.only_run())
        .arg("--summary")
        .arg(context.path("summary.json"))
        .output()
        .expect("python3");
    assert!(
        checked.status.success(),
        "{}{}",
        stdout(&checked),
        stderr(&checked)
    );
}

const SMALL: [&str; 9] = [
    "run",
    "smollm2",
    "--suite",
    "weather",
    "--limit",
    "5",
    "--constraint",
    "off,grammar",
    "-q",
];

#[test]
fn the_same_command_twice_gives_the_same_replies() {
    let Some(context) = with(&["smollm2:135m"]) else {
        return;
    };
    context.run(&SMALL);
    context.run(&SMALL);
    let runs = context.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(replies(&runs[0]), replies(&runs[1]));
    let canonical =
        |run: &Path| stdout(&context.run(&["report", run.to_str().unwrap(), "--canonical"]));
    assert_eq!(canonical(&runs[0]), canonical(&runs[1]));
}

#[test]
fn forward_reversed_and_sharded_orders_give_equal_replies() {
    let Some(context) = with(&["smollm2:135m"]) else {
        return;
    };
    // The same suite twice: five cases forward, and the same five from the last to the first.
    let shown = context.expect(0, &["suite", "show", "weather", "--format", "json"]);
    let mut suite: Value = serde_json::from_str(&shown).unwrap();
    let mut suite = suite[0].take();
    let cases = suite["cases"].as_array_mut().unwrap();
    cases.truncate(5);
    context.write("forward/weather.json", &suite.to_string());
    suite["cases"].as_array_mut().unwrap().reverse();
    context.write("reversed/weather.json", &suite.to_string());
    let run = |folder: &str, suite: &str, constraint: &str, shard: Option<&str>| {
        let suite = format!("{suite}/weather.json");
        let mut arguments = vec![
            "run",
            "smollm2",
            "--suite",
            &suite,
            "--constraint",
            constraint,
            "-q",
            "--out",
            folder,
        ];
        if let Some(shard) = shard {
            arguments.extend(["--shard", shard]);
        }
        let output = context.run(&arguments);
        let run = std::fs::read_dir(context.path(folder))
            .unwrap_or_else(|_| panic!("{}", stderr(&output)))
            .flatten()
            .next()
            .unwrap();
        replies(&run.path())
    };
    let forward = run("a", "forward", "off,grammar", None);
    assert_eq!(forward.len(), 10);
    assert_eq!(forward, run("b", "reversed", "grammar,off", None));
    let mut sharded = run("c", "forward", "off,grammar", Some("1/2"));
    sharded.extend(run("d", "forward", "off,grammar", Some("2/2")));
    assert_eq!(forward, sharded);
}

/// The acceptance comparison: two models, two dialects, free and held, eight rows.
#[test]
fn two_dialects_with_and_without_grammar_make_eight_rows() {
    let Some(context) = with(&["smollm2:135m", "qwen2.5-coder:0.5b"]) else {
        return;
    };
    let output = context.run(&[
        "compare",
        "smollm2",
        "qwen2.5-coder:0.5b",
        "--suite",
        "quick",
        "--tag",
        "easy",
        "--dialect",
        "react,json",
        "--constraint",
        "off,grammar",
        "--max-corrections",
        "1",
        "--format",
        "json",
        "-q",
    ]);
    let summary: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        summary["totals"].as_array().unwrap().len(),
        8,
        "{}",
        stderr(&output)
    );
    for row in summary["totals"].as_array().unwrap() {
        if row["constraint"] == "grammar" {
            assert_eq!(
                row["excluded"]["trials"], 0,
                "a grammar was broken or refused: {row}"
            );
        }
    }
}

#[cfg(unix)]
#[test]
fn a_killed_run_resumes_to_the_same_summary() {
    let Some(context) = with(&["smollm2:135m"]) else {
        return;
    };
    context.run(&SMALL);
    let whole = stdout(&context.run(&["report", "--canonical"]));
    std::fs::remove_dir_all(context.path("reports")).unwrap();
    let mut child = context.command(&SMALL).spawn().unwrap();
    // Killed by its own handle once a few trials are on record; bounded in time.
    for _ in 0..600 {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let lines = context.runs().first().map_or(0, |run| {
            std::fs::read_to_string(run.join("trials.jsonl"))
                .unwrap_or_default()
                .lines()
                .count()
        });
        if lines >= 3 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = json_lines(&context.only_run().join("trials.jsonl")).len();
    assert!(before < 10, "the kill came too late: {before} trials");
    context.run(&["run", "--resume", "latest", "-q"]);
    assert_eq!(stdout(&context.run(&["report", "--canonical"])), whole);
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_engine_costs_one_trial() {
    let Some(context) = with(&["smollm2:135m"]) else {
        return;
    };
    let mut child = context.command(&SMALL).spawn().unwrap();
    let mut killed = false;
    // Until the run is over: a busy machine may take long for the first two trials.
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let lines = context.runs().first().map_or(0, |run| {
            std::fs::read_to_string(run.join("trials.jsonl"))
                .unwrap_or_default()
                .lines()
                .count()
        });
        if lines >= 2
            && let Some(engine) = child_of(child.id())
        {
            let status = std::process::Command::new("kill")
                .args(["-9", &engine.to_string()])
                .status();
            killed = status.is_ok_and(|status| status.success());
            break;
        }
    }
    child.wait().unwrap();
    assert!(killed, "no engine child was found");
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 10, "the run completes");
    let crashed = trials
        .iter()
        .filter(|trial| trial["outcome"]["code"] == "oom_or_crash")
        .count();
    assert_eq!(crashed, 1);
}

/// The one child process of a process.
#[cfg(target_os = "linux")]
fn child_of(parent: u32) -> Option<u32> {
    let list = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    list.split_whitespace().next()?.parse().ok()
}

#[test]
fn a_truncated_file_is_refused_before_loading() {
    let Some(context) = with(&["smollm2:135m"]) else {
        return;
    };
    let list: Value = serde_json::from_str(
        &context.expect(0, &["model", "list", "--cached", "--format", "json"]),
    )
    .unwrap();
    let path = list["cached"]
        .as_array()
        .unwrap()
        .iter()
        .find(|model| model["name"].as_str().unwrap().starts_with("smollm2"))
        .unwrap()["path"]
        .as_str()
        .unwrap()
        .to_owned();
    let bytes = std::fs::read(path).unwrap();
    std::fs::write(context.path("cut.gguf"), &bytes[..bytes.len() / 2]).unwrap();
    let text = context.expect_error(2, &["run", "./cut.gguf", "--suite", "weather"]);
    assert!(text.contains("cut.gguf"), "{text}");
}

#[test]
fn native_uses_the_templates_own_form() {
    let Some(context) = with(&["qwen2.5-coder:0.5b"]) else {
        return;
    };
    let output = context.run(&[
        "run",
        "qwen2.5-coder:0.5b",
        "--suite",
        "weather",
        "--limit",
        "4",
        "--dialect",
        "native",
        "--constraint",
        "grammar",
        "--tool-choice",
        "required",
        "-q",
    ]);
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 4, "{}", stderr(&output));
    let calls = trials
        .iter()
        .flat_map(|trial| trial["attempts"].as_array().unwrap().clone())
        .filter(|attempt| {
            attempt["strict"]["calls"]
                .as_array()
                .is_some_and(|calls| !calls.is_empty())
        })
        .count();
    assert!(calls >= 3, "{calls} calls in the template's form");
}
