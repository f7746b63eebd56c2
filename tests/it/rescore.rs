//! Judging a stored run again.

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr};

/// A run of the tiny suite in which `t-time` asks for CET, with the given case text for it.
fn run(context: &Context, script: &str) {
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", script);
    context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "-q",
        "--max-corrections",
        "1",
        "--constraint",
        "off",
    ]);
}

fn wrong_zone() -> String {
    RIGHT_SCRIPT
        .replace("\"zone\\\":\\\"UTC", "\"zone\\\":\\\"CET")
        .replace(
            "{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}",
            "{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"CET\"}}",
        )
}

fn rescored(context: &Context) -> std::path::PathBuf {
    context
        .runs()
        .into_iter()
        .find(|run| run.to_string_lossy().ends_with("-rescored"))
        .expect("a rescored run")
}

#[test]
fn the_same_rules_give_the_same_verdicts() {
    let context = Context::new();
    // One reply is corrected, one is wrong: every kind of turn is walked again.
    let script = wrong_zone().replace(
        "t-alarm: ['",
        "t-alarm: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":\"7\"}}', '",
    );
    run(&context, &script);
    let first = context.only_run();
    context.expect(0, &["rescore", "latest"]);
    let old = json_lines(&first.join("trials.jsonl"));
    let new = json_lines(&rescored(&context).join("trials.jsonl"));
    assert_eq!(old, new);
    let kinds: Vec<&Value> = old.iter().map(|trial| &trial["outcome"]["kind"]).collect();
    assert!(kinds.contains(&&Value::from("recovered")) && kinds.contains(&&Value::from("failed")));
    let header: Value = serde_json::from_str(
        &std::fs::read_to_string(rescored(&context).join("header.json")).unwrap(),
    )
    .unwrap();
    assert_eq!(header["rescored_from"]["left_out"], 0);
    assert_eq!(
        header["rescored_from"]["scorer_version"],
        header["scorer_version"]
    );
}

#[test]
fn a_corrected_expectation_changes_the_verdict_and_says_so() {
    let context = Context::new();
    run(&context, &wrong_zone());
    context.write(
        "tiny.yaml",
        &TINY_SUITE.replace("{zone: UTC}", "{zone: {any_of: [UTC, CET]}}"),
    );
    let output = context.run(&["rescore", "latest", "--suite", "tiny.yaml"]);
    let said = stderr(&output);
    assert!(said.contains("1 verdict changed"), "{said}");
    assert!(
        said.contains("tiny/t-time: hallucinated_value → passed"),
        "{said}"
    );
    let trials = json_lines(&rescored(&context).join("trials.jsonl"));
    assert!(
        trials
            .iter()
            .all(|trial| trial["outcome"]["kind"] == "passed")
    );
}

#[test]
fn what_would_have_gone_on_otherwise_is_left_out() {
    let context = Context::new();
    run(&context, RIGHT_SCRIPT);
    // Two calls are wanted now: the recorded trial stopped after one.
    let two = TINY_SUITE.replace(
        "{tool: get_time, arguments: {zone: UTC}}",
        "{tool: get_time, arguments: {zone: UTC}}, {tool: get_time, arguments: {zone: CET}}",
    );
    context.write("tiny.yaml", &two);
    let said = context.expect_error(3, &["rescore", "latest", "--suite", "tiny.yaml"]);
    assert!(said.contains("1 trial left out"), "{said}");
    assert!(
        said.contains("the round would go on after turn 1"),
        "{said}"
    );
}

#[test]
fn a_changed_question_is_refused() {
    let context = Context::new();
    run(&context, RIGHT_SCRIPT);
    context.write(
        "tiny.yaml",
        &TINY_SUITE.replace("what time is it", "tell me the time"),
    );
    let said = context.expect_error(2, &["rescore", "latest", "--suite", "tiny.yaml"]);
    assert!(said.contains("asks something else"), "{said}");
}
