//! Interrupted runs: what is on record stays, what is missing is run, nothing else changes.

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr};

fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    context
}

const RUN: [&str; 6] = [
    "run",
    "scripted:model.yaml",
    "--suite",
    "tiny.yaml",
    "--constraint",
    "off",
];

#[test]
fn a_cut_record_resumes_to_the_uninterrupted_summary() {
    let whole = prepared();
    whole.expect(0, &RUN);
    let reference = whole.expect(0, &["report", "--canonical"]);

    let cut = prepared();
    cut.expect(0, &RUN);
    let trials = cut.only_run().join("trials.jsonl");
    let text = std::fs::read_to_string(&trials).unwrap();
    let second = text.match_indices('\n').nth(1).unwrap().0;
    // As SIGKILL in the middle of a write leaves it: one whole line, then a part.
    std::fs::write(&trials, &text[..second - 20]).unwrap();
    let partial = cut.run(&["report"]);
    assert!(
        stderr(&partial).contains("half line"),
        "{}",
        stderr(&partial)
    );

    cut.expect(0, &["run", "--resume", "latest"]);
    assert_eq!(json_lines(&trials).len(), 3);
    assert_eq!(cut.expect(0, &["report", "--canonical"]), reference);
    assert_eq!(
        json_lines(&cut.only_run().join("executions.jsonl")).len(),
        2
    );
}

#[test]
fn infrastructure_failures_are_run_again_and_both_lines_kept() {
    let context = prepared();
    let broken = RIGHT_SCRIPT.replace(
        "t-time: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']",
        "t-time: [{fault: network}]",
    );
    context.write("model.yaml", &broken);
    let first = context.run(&RUN);
    assert_eq!(first.status.code(), Some(3), "{}", stderr(&first));
    // The script is a file of the model: another text is another model, and is refused.
    context.write("model.yaml", RIGHT_SCRIPT);
    let refused = context.expect_error(2, &["run", "--resume", "latest"]);
    assert!(refused.contains("cannot be resumed"), "{refused}");
    context.write("model.yaml", &broken);
    context.run(&["run", "--resume", "latest"]);
    let lines = json_lines(&context.only_run().join("trials.jsonl"));
    let of_time = lines
        .iter()
        .filter(|trial| trial["case"] == "t-time")
        .count();
    assert_eq!((lines.len(), of_time), (4, 2));
}

#[test]
fn another_plan_is_refused_with_the_difference() {
    let context = prepared();
    context.expect(0, &RUN);
    let text = context.expect_error(2, &["run", "--resume", "latest", "--max-corrections", "5"]);
    assert!(text.contains("max-corrections: 2 then, 5 now"), "{text}");
}

#[test]
fn shards_hold_every_trial_once_with_the_same_replies() {
    let replies = |arguments: &[&str]| {
        let context = prepared();
        let mut all = RUN.to_vec();
        all.extend(arguments);
        context.expect(0, &all);
        let mut lines: Vec<String> = json_lines(&context.only_run().join("trials.jsonl"))
            .iter()
            .map(|trial| format!("{} {}", trial["id"], trial["attempts"][0]["reply"]))
            .collect();
        lines.sort();
        lines
    };
    let whole = replies(&[]);
    let mut parts = replies(&["--shard", "1/2"]);
    parts.extend(replies(&["--shard", "2/2"]));
    parts.sort();
    assert_eq!(whole, parts);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_ends_the_run_with_its_own_code_and_loses_no_trial() {
    let context = Context::new();
    context.write(
        "model.yaml",
        "name: answers\notherwise: '{\"answer\":\"no\"}'\n",
    );
    let run = "run scripted:model.yaml --suite weather --constraint off -q";
    let arguments: Vec<&str> = run.split(' ').collect();
    context.expect(0, &arguments);
    let whole = context.expect(0, &["report", "--canonical"]);
    let size = |name: &str| {
        std::fs::metadata(context.only_run().join(name))
            .unwrap()
            .len()
    };
    // A real limit on file size, so that every write past it fails: the header still fits, the
    // content does not.
    let limit = size("header.json") + 8192;
    assert!(size("content.jsonl") > limit + 8192, "{limit}");
    std::fs::remove_dir_all(context.path("reports")).unwrap();
    let binary = env!("CARGO_BIN_EXE_toolbench");
    let command = format!("ulimit -f {}; exec {binary} {run}", limit / 1024);
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .current_dir(context.path(""))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", context.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot write"),
        "{}",
        stderr(&output)
    );
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    // What is there reads, and the run goes on to the same summary.
    let trials = context.only_run().join("trials.jsonl");
    let before = json_lines(&trials).len();
    assert!((1..46).contains(&before), "{before}");
    context.run(&["report"]);
    context.expect(0, &["run", "--resume", "latest", "-q"]);
    assert_eq!(context.expect(0, &["report", "--canonical"]), whole);
}

#[test]
fn a_sample_is_drawn_from_all_suites_and_stays_the_same_on_resume() {
    let context = prepared();
    context.write(
        "model.yaml",
        &format!("{RIGHT_SCRIPT}otherwise: '{{\"answer\":\"No.\"}}'\n"),
    );
    let all = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml,weather",
        "--constraint",
        "off",
        "--sample",
        "9",
        "-q",
    ];
    context.run(&all);
    let directory = context.only_run();
    let cases = |lines: &[serde_json::Value]| {
        let mut found: Vec<String> = lines
            .iter()
            .map(|trial| format!("{} {}", trial["cell"]["suite"], trial["case"]))
            .collect();
        found.sort();
        found
    };
    let first = cases(&json_lines(&directory.join("trials.jsonl")));
    assert_eq!(first.len(), 9);
    let header: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("header.json")).unwrap())
            .unwrap();
    assert_eq!(header["sample"]["cases"], 9);
    assert_eq!(header["planned_trials"], 9);
    let text = std::fs::read_to_string(directory.join("trials.jsonl")).unwrap();
    let half = text.match_indices('\n').nth(4).unwrap().0;
    std::fs::write(directory.join("trials.jsonl"), &text[..=half]).unwrap();
    context.run(&["run", "--resume", "latest", "-q"]);
    assert_eq!(cases(&json_lines(&directory.join("trials.jsonl"))), first);

    let mut other = all.to_vec();
    other.extend(["--seed", "2"]);
    context.run(&other);
    let second = context
        .runs()
        .into_iter()
        .find(|run| *run != directory)
        .unwrap();
    assert_ne!(cases(&json_lines(&second.join("trials.jsonl"))), first);
    let text = context.expect_error(2, &["run", "scripted:model.yaml", "--sample", "0"]);
    assert!(text.contains("`sample` must be at least 1"), "{text}");
}
