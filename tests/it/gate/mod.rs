//! `toolbench gate` and `toolbench baseline`, driven as people and CI drive them.

mod advised;
mod against;
mod baselines;
mod budget;
mod floors;
mod known;
mod output;
mod template;
mod trials;
mod trouble;

use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::support::{Context, stderr, stdout};

/// Every check of the gate's own of this kind.
pub fn checks<'a>(verdict: &'a Value, kind: &str) -> Vec<&'a Value> {
    let checks = verdict["checks"].as_array().expect("checks");
    checks
        .iter()
        .filter(|check| check["kind"] == kind)
        .collect()
}

/// `SUITE/CASE` of the notes of a check.
pub fn names(check: &Value) -> Vec<String> {
    let notes = check["cases"].as_array().expect("cases");
    let name = |note: &Value| note["case"].as_str().expect("a name").to_owned();
    notes.iter().map(name).collect()
}

/// Cases that ask for the time in zone Z01, Z02 …, of two categories in turn.
pub fn suite(cases: usize) -> String {
    let mut text = String::from(
        "suite: clock\ndescription: a suite for tests\nsystem: You help with clocks.\ntools:\n  - name: get_time\n    \
         description: The time in a zone.\n    inputSchema:\n      type: object\n      \
         properties: {zone: {type: string}}\n      required: [zone]\nmock:\n  rules:\n    - tool: get_time\n      \
         reply: \"noon\"\ncases:\n",
    );
    for case in 1..=cases {
        let category = if case % 2 == 0 { "even" } else { "odd" };
        text.push_str(&format!(
            "  - {{id: c-{case:02}, category: {category}, why: one call, user: \"time in Z{case:02}?\",\n     \
             expect: {{calls: [{{tool: get_time, arguments: {{zone: Z{case:02}}}}}]}}}}\n"
        ));
    }
    text
}

/// A script for it: `.` right, `x` wrong, `i` a broken connection, one letter a case.
pub fn script(letters: &str) -> String {
    let mut text = String::from("name: scripted\nprompt_tokens: 1000\nreplies:\n");
    for (index, letter) in letters.chars().enumerate() {
        let case = index + 1;
        let reply = match letter {
            '.' => format!("'{{\"tool\":\"get_time\",\"arguments\":{{\"zone\":\"Z{case:02}\"}}}}'"),
            'x' => "'{\"answer\":\"no idea\"}'".to_owned(),
            'i' => "{fault: network}".to_owned(),
            other => panic!("no such letter: {other}"),
        };
        text.push_str(&format!("  c-{case:02}: [{reply}]\n"));
    }
    text
}

/// A folder with the suite `clock.yaml` and the script `model.yaml`.
pub fn prepared(letters: &str) -> Context {
    let context = Context::new();
    context.write("clock.yaml", &suite(letters.len()));
    context.write("model.yaml", &script(letters));
    context
}

const RUN: [&str; 7] = [
    "scripted:model.yaml",
    "--suite",
    "clock.yaml",
    "--constraint",
    "off",
    "-q",
    "--max-infra=0",
];

/// Several trials a case, so that nothing is exact.
pub const SAMPLED: [&str; 4] = ["--temperature", "0.7", "--trials", "5"];

/// Runs the script, and gives the run's directory.
pub fn run(context: &Context, further: &[&str]) -> PathBuf {
    let before = context.runs();
    let mut all = vec!["run"];
    all.extend(RUN);
    all.extend(further);
    let output = context.run(&all);
    let mut new = context.runs();
    new.retain(|path| !before.contains(path) && !path.ends_with("baselines"));
    assert_eq!(new.len(), 1, "{}", stderr(&output));
    new.remove(0)
}

/// Runs the script and judges it.
pub fn gate_model(context: &Context, further: &[&str]) -> Output {
    let mut all = vec!["gate"];
    all.extend(RUN);
    all.extend(further);
    context.run(&all)
}

/// The same, with the verdict as data; the exit code must be the verdict's.
pub fn verdict(context: &Context, code: i32, further: &[&str]) -> Value {
    let mut all = further.to_vec();
    all.extend(["--format", "json"]);
    as_verdict(&gate_model(context, &all), code)
}

/// A verdict on times that are over their limit: a breach, or trouble where the machine was busy with
/// something else meanwhile.
pub fn too_slow(output: &Output, kind: &str) -> Value {
    let text = stdout(output);
    let verdict: Value = serde_json::from_str(&text).expect("a verdict");
    for check in checks(&verdict, kind) {
        let reason = check["reason"].as_str().expect("a reason");
        let busy = reason.contains("while the machine was busy with something else");
        let expected = if busy {
            ("trouble", 3)
        } else {
            ("breached", 1)
        };
        assert_eq!(check["status"], expected.0, "{check}");
        assert_eq!(output.status.code(), Some(expected.1), "{text}");
    }
    verdict
}

/// Judges a stored run.
pub fn judged(context: &Context, code: i32, arguments: &[&str]) -> Value {
    let mut all = vec!["gate"];
    all.extend(arguments);
    all.extend(["--format", "json", "-q"]);
    as_verdict(&context.run(&all), code)
}

fn as_verdict(output: &Output, code: i32) -> Value {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}\n{}",
        stdout(output),
        stderr(output)
    );
    let verdict: Value = serde_json::from_str(&stdout(output)).expect("a verdict");
    assert_eq!(verdict["exit_code"], code, "{verdict}");
    verdict
}

/// Saves the run as `main`.
pub fn save(context: &Context, run: &std::path::Path, further: &[&str]) {
    let path = run.to_str().expect("a path");
    let mut all = vec!["baseline", "save", path, "-q"];
    all.extend(further);
    context.expect(0, &all);
}
