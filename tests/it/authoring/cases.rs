//! Recorded trials as cases of suite files.

use serde_json::Value;

use super::{json, read, yaml};
use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, skip, stderr};

fn run_tiny(context: &Context, script: &str) {
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", script);
    let run = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
    ];
    context.expect(0, &run);
}

#[test]
fn a_trial_becomes_a_case_and_the_file_keeps_everything_else() {
    let context = Context::new();
    run_tiny(&context, &RIGHT_SCRIPT.replace("\"hour\":7", "\"hour\":8"));
    let commented = TINY_SUITE.replace("cases:\n", "# mine, not to be lost\ncases:   # three\n")
        + "\n# the end\n";
    context.write("tiny.yaml", &commented);
    for case in ["t-time", "t-alarm"] {
        let from = format!("latest:{case}");
        let out = context.expect(
            0,
            &["suite", "add-case", "--from", &from, "--suite", "tiny.yaml"],
        );
        assert!(
            out.contains(&format!("added case `{case}-2` to tiny.yaml")),
            "{out}"
        );
    }
    let text = read(&context, "tiny.yaml");
    let mut rest = text.as_str();
    for line in commented.lines() {
        let at = rest
            .find(line)
            .unwrap_or_else(|| panic!("{line} is lost\n{text}"));
        rest = &rest[at + line.len()..];
    }
    context.expect(0, &["suite", "check", "tiny.yaml"]);
    let suite = yaml(&context, "tiny.yaml");
    let right = &suite["cases"][3];
    assert_eq!(
        right["expect"]["calls"][0]["arguments"],
        serde_json::json!({"zone": "UTC"})
    );
    let why = right["why"].as_str().unwrap();
    let run = context.only_run();
    assert!(
        why.contains(run.file_name().unwrap().to_str().unwrap()),
        "{why}"
    );
    let wrong = &suite["cases"][4];
    assert_eq!(
        wrong["expect"]["calls"][0]["arguments"],
        serde_json::json!({"hour": 7})
    );
    assert_eq!(
        wrong["near_misses"][0]["calls"][0]["arguments"],
        serde_json::json!({"hour": 8})
    );
    // The new cases run, and fail and pass as their origins did.
    context.write(
        "again.yaml",
        "name: again\nreplies:\n  t-time-2: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']\n  t-alarm-2: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":8}}', '{\"answer\":\"Done.\"}']\n",
    );
    let again = [
        "run",
        "scripted:again.yaml",
        "--suite",
        "tiny.yaml",
        "--case",
        "t-*-2",
        "--constraint",
        "off",
        "--format",
        "json",
    ];
    let summary = json(&context.expect(0, &again));
    assert_eq!(
        summary["totals"][0]["success"]["rate"], 0.5,
        "{}",
        summary["totals"][0]["success"]
    );
}

#[test]
fn a_case_for_another_suite_brings_its_tools_and_replies() {
    let context = Context::new();
    run_tiny(&context, RIGHT_SCRIPT);
    context.write(
        "other.yaml",
        "# others\nsuite: other\ntools: [{name: noop}]\nmock:\n  rules:\n    - {tool: noop, reply: ok} # kept\ncases:\n  - {id: o-1, category: c, why: w, user: hi, expect: {no_call: true}}\n",
    );
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    let trial = trials
        .iter()
        .find(|trial| trial["case"] == "t-time")
        .unwrap();
    let run = context.only_run();
    let from = format!("{}:{}", run.display(), &trial["id"].as_str().unwrap()[..8]);
    context.expect(
        0,
        &[
            "suite",
            "add-case",
            "--from",
            &from,
            "--suite",
            "other.yaml",
            "--id",
            "o-time",
        ],
    );
    let text = read(&context, "other.yaml");
    assert!(text.contains("- {tool: noop, reply: ok} # kept\n    # recorded, for case `o-time`\n    - tool: get_time"), "{text}");
    context.expect(0, &["suite", "check", "other.yaml"]);
    context.write(
        "again.yaml",
        "name: again\nreplies:\n  o-time: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']\notherwise: '{\"answer\":\"hi\"}'\n",
    );
    for select in [vec![], vec!["--case", "o-1"]] {
        let run = [
            &[
                "run",
                "scripted:again.yaml",
                "--suite",
                "other.yaml",
                "--constraint",
                "off",
                "--format",
                "json",
            ][..],
            &select[..],
        ]
        .concat();
        let summary = json(&context.expect(0, &run));
        assert_eq!(summary["totals"][0]["success"]["rate"], 1.0);
    }
    let replayed = context
        .runs()
        .into_iter()
        .filter(|other| other != &run)
        .any(|other| {
            let stored = std::fs::read_to_string(other.join("content.jsonl")).unwrap();
            stored.contains("It is noon in UTC.")
        });
    assert!(replayed);
}

#[test]
fn json_suites_take_cases_too() {
    let context = Context::new();
    run_tiny(&context, RIGHT_SCRIPT);
    let suite: Value = serde_saphyr::from_str(TINY_SUITE).unwrap();
    context.write("tiny.json", &serde_json::to_string_pretty(&suite).unwrap());
    context.expect(
        0,
        &[
            "suite",
            "add-case",
            "--from",
            "latest:t-time",
            "--suite",
            "tiny.json",
        ],
    );
    let after = json(&read(&context, "tiny.json"));
    assert_eq!(after["cases"][3]["tags"], serde_json::json!(["review"]));
    context.expect(0, &["suite", "check", "tiny.json"]);
}

#[test]
fn what_cannot_be_added_changes_nothing() {
    let context = Context::new();
    run_tiny(&context, RIGHT_SCRIPT);
    context.write(
        "pinned.yaml",
        "suite: pinned\ninclude: {weather: [weather-air-warsaw]}\n",
    );
    for (from, suite, id, needle) in [
        ("latest", "tiny.yaml", None, "not RUN:TRIAL"),
        ("nothing:t-time", "tiny.yaml", None, "no run `nothing`"),
        ("latest:t-tme", "tiny.yaml", None, "did you mean `t-time`"),
        ("latest:t-time", "absent.yaml", None, "suite new"),
        (
            "latest:t-time",
            "weather",
            None,
            "built-in suite does not change",
        ),
        ("latest:t-time", "pinned.yaml", None, "pinned set"),
        (
            "latest:t-time",
            "tiny.yaml",
            Some("t-alarm"),
            "has a case `t-alarm` already",
        ),
        ("latest:t-time", "tiny.yaml", Some("T 1"), "lower case"),
    ] {
        let mut arguments = vec!["suite", "add-case", "--from", from, "--suite", suite];
        if let Some(id) = id {
            arguments.extend(["--id", id]);
        }
        let text = context.expect_error(2, &arguments);
        assert!(text.contains(needle), "{needle}\n{text}");
        assert_eq!(read(&context, "tiny.yaml"), TINY_SUITE);
    }
    let both = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--dialect",
        "json,react",
        "--constraint",
        "off",
    ];
    let before = context.only_run();
    context.run(&both);
    let run = context
        .runs()
        .into_iter()
        .find(|run| run != &before)
        .unwrap();
    let from = format!("{}:t-time", run.display());
    let text = context.expect_error(
        2,
        &["suite", "add-case", "--from", &from, "--suite", "tiny.yaml"],
    );
    assert!(
        text.contains("names 2 trials") && text.contains("react"),
        "{text}"
    );
}

/// A trial on the real filesystem server, for a copy of its suite.
#[test]
fn a_trial_on_a_real_server_names_its_sandbox_again() {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE names no folder with a real MCP server",
        );
        return;
    };
    context.write(
        "model.yaml",
        "name: m\notherwise: '{\"tool\":\"read_text_file\",\"arguments\":{\"path\":\"README.txt\"}}'\n",
    );
    let run = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "filesystem",
        "--case",
        "fs-read-absolute",
        "--constraint",
        "off",
    ];
    let output = context.run(&run);
    if output.status.code() == Some(3) {
        skip("server", &stderr(&output));
        return;
    }
    let shipped = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("suites/filesystem.yaml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let copy = text.replacen("suite: filesystem", "suite: copied", 1);
    context.write("copied.yaml", &copy);
    let add = [
        "suite",
        "add-case",
        "--from",
        "latest:fs-read-absolute",
        "--suite",
        "copied.yaml",
    ];
    context.expect(0, &add);
    let suite = yaml(&context, "copied.yaml");
    let case = suite["cases"].as_array().unwrap().last().unwrap().clone();
    let user = case["user"].as_str().unwrap();
    assert!(user.contains("{sandbox}/notes/archive"), "{user}");
    assert!(case.get("system").is_none() && case.get("own_tools").is_none());
    assert_eq!(case["near_misses"][0]["code"], "hallucinated_value");
    context.expect(0, &["suite", "check", "copied.yaml"]);
}
