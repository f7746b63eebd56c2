//! `toolbench qualify`: stages with a scripted model, and a real MCP server of our own over stdio.

use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Context, stderr, stdout};

const FILES: [&str; 3] = ["qualify.yaml", "clock.yaml", "right.yaml"];

/// The published example, in a folder of its own.
pub fn example() -> Context {
    let context = Context::new();
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/examples/qualify");
    for name in FILES {
        let text = std::fs::read_to_string(source.join(name)).unwrap();
        context.write(name, &text);
    }
    context
}

/// With `toolbench` on the PATH, as the example's server is started.
pub fn qualify(context: &Context, further: &[&str]) -> Output {
    let mut arguments = vec!["qualify", "qualify.yaml", "-q"];
    arguments.extend(further);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_toolbench"));
    let mut folders = vec![binary.parent().unwrap().to_path_buf()];
    let path = std::env::var_os("PATH").unwrap_or_default();
    folders.extend(std::env::split_paths(&path));
    context
        .command(&arguments)
        .env("PATH", std::env::join_paths(folders).unwrap())
        .output()
        .unwrap()
}

pub fn judged(context: &Context, code: i32, further: &[&str]) -> Value {
    let mut arguments = vec!["--format", "json"];
    arguments.extend(further);
    let output = qualify(context, &arguments);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(found["schema"], "toolbench.qualify/1");
    assert_eq!(found["exit_code"], code);
    found
}

pub fn statuses(found: &Value) -> Vec<&str> {
    let stages = found["stages"].as_array().unwrap();
    stages
        .iter()
        .map(|stage| stage["status"].as_str().unwrap())
        .collect()
}

pub fn reasons(found: &Value, stage: usize) -> String {
    let reasons = found["stages"][stage]["reasons"].as_array().unwrap();
    let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
    reasons.join("; ")
}

/// Replaces a part of a file, which has to be there.
pub fn edit(context: &Context, file: &str, from: &str, to: &str) {
    let path = context.path(file);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// Without the directory of states.
pub fn run_count(context: &Context) -> usize {
    let runs = context.runs();
    runs.iter()
        .filter(|run| run.join("header.json").exists())
        .count()
}

const ALLOWED: &[&str] = &["--allow-production"];

#[test]
fn the_example_passes_once_and_then_stands_until_something_changes() {
    let context = example();
    let dry = judged(&context, 0, &["--dry-run"]);
    assert_eq!(statuses(&dry), ["would_run"; 4]);
    assert_eq!(dry["verdict"], "not_run");
    assert_eq!(run_count(&context), 0);
    assert!(reasons(&dry, 0).contains("not run before"));
    let bounds = dry["stages"][1]["bounds"].to_string();
    assert!(bounds.contains("60 tool calls, 5 a trial"), "{bounds}");
    assert!(bounds.contains("read-only tools and set_alarm"), "{bounds}");

    let found = judged(&context, 0, ALLOWED);
    assert_eq!(statuses(&found), ["passed"; 4], "{found}");
    assert_eq!(found["verdict"], "qualified");
    assert_eq!(run_count(&context), 4);
    // The real server answered: its name is on record, and its tool was called.
    let run = found["stages"][1]["run"].as_str().unwrap();
    let header = std::fs::read_to_string(context.path("reports").join(run).join("header.json"));
    let header: Value = serde_json::from_str(&header.unwrap()).unwrap();
    assert!(
        header["tool_servers"][0]["address"]
            .as_str()
            .unwrap()
            .contains("mcp serve")
    );
    let trials = std::fs::read_to_string(context.path("reports").join(run).join("trials.jsonl"));
    assert!(trials.unwrap().contains("\"name\":\"set_alarm\""));

    for further in [&["--dry-run"][..], ALLOWED, &[]] {
        let again = judged(&context, 0, further);
        assert_eq!(statuses(&again), ["stands"; 4], "{further:?}: {again}");
        assert_eq!(run_count(&context), 4);
    }
    let text = stdout(&qualify(&context, ALLOWED));
    assert!(
        text.contains("4 of 4 stages, 0 run now, 4 standing"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 110),
        "{text}"
    );

    // A case: every stage that holds it.
    edit(
        &context,
        "clock.yaml",
        "Wake me at six.",
        "Wake me up at six.",
    );
    let found = judged(&context, 0, &["--dry-run"]);
    assert_eq!(
        statuses(&found),
        ["would_run", "would_run", "would_run", "stands"]
    );
    assert_eq!(reasons(&found, 0), "cases of suite clock changed");
    edit(
        &context,
        "clock.yaml",
        "Wake me up at six.",
        "Wake me at six.",
    );
    // The model: everything.
    edit(&context, "right.yaml", "name: right", "name: rite");
    let found = judged(&context, 0, &["--dry-run"]);
    assert_eq!(statuses(&found), ["would_run"; 4]);
    assert_eq!(reasons(&found, 2), "model scripted:right.yaml changed");
    edit(&context, "right.yaml", "name: rite", "name: right");
    // The prompt, a setting, what may be called; another model has stages of its own.
    edit(
        &context,
        "clock.yaml",
        "system: You help",
        "system: You kindly help",
    );
    assert_eq!(
        reasons(&judged(&context, 0, &["--dry-run"]), 3),
        "prompt of suite clock changed"
    );
    edit(
        &context,
        "clock.yaml",
        "system: You kindly help",
        "system: You help",
    );
    edit(
        &context,
        "qualify.yaml",
        "  constraint: \"off\"",
        "  constraint: \"off\"\n  max-tokens: 99",
    );
    assert_eq!(
        reasons(&judged(&context, 0, &["--dry-run"]), 0),
        "rules of trials changed"
    );
    edit(&context, "qualify.yaml", "\n  max-tokens: 99", "");
    edit(
        &context,
        "qualify.yaml",
        "allow_tools: [set_alarm]\n    floor: 70",
        "allow_tools: [set_alarm, get_time]\n    floor: 70",
    );
    let found = judged(&context, 0, &["--dry-run"]);
    assert_eq!(
        statuses(&found),
        ["stands", "would_run", "stands", "stands"]
    );
    assert_eq!(reasons(&found, 1), "what may be called changed");
    context.write(
        "other.yaml",
        &std::fs::read_to_string(context.path("right.yaml")).unwrap(),
    );
    let found = judged(
        &context,
        0,
        &["--dry-run", "--model", "scripted:other.yaml"],
    );
    assert_eq!(reasons(&found, 0), "it was not run before");
}

#[test]
fn other_tools_of_a_server_are_another_stage() {
    let context = example();
    let served = std::fs::read_to_string(context.path("clock.yaml")).unwrap();
    context.write("served.yaml", &served);
    edit(
        &context,
        "qualify.yaml",
        "mcp serve clock.yaml",
        "mcp serve served.yaml",
    );
    edit(
        &context,
        "qualify.yaml",
        "allow_tools: [set_alarm]\n    floor: 70",
        "allow_tools: [set_alarm]\n    accept_drift: true\n    floor: 70",
    );
    let _ = judged(&context, 0, ALLOWED);
    edit(
        &context,
        "served.yaml",
        "The time in a zone.",
        "The time of day in a zone.",
    );
    let found = judged(&context, 0, &["--dry-run"]);
    assert_eq!(statuses(&found), ["stands"; 4], "a dry run asks no server");
    // Production does not accept the difference, and says so with its stage.
    let output = qualify(&context, ALLOWED);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    let text = stderr(&output);
    assert!(text.contains("stage `production`: the tools of"), "{text}");
    let state = std::fs::read_to_string(context.path("reports/qualify/clock.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["schema"], "toolbench.qualify-state/1");
    assert_eq!(run_count(&context), 5, "development ran again");
}

#[test]
fn a_missed_floor_stops_and_says_what_to_change() {
    let context = example();
    // Half of the zones come out wrong.
    for zone in ["CET", "EST", "JST", "GMT", "PST", "IST"] {
        edit(
            &context,
            "right.yaml",
            &format!("{{\"zone\":\"{zone}\"}}"),
            "{\"zone\":\"ABC\"}",
        );
    }
    let found = judged(&context, 1, ALLOWED);
    assert_eq!(
        statuses(&found),
        ["missed", "not_reached", "not_reached", "not_reached"]
    );
    assert_eq!(found["verdict"], "not_qualified");
    let stage = &found["stages"][0];
    assert_eq!(stage["judged"]["rows"][0]["status"], "missed");
    assert_eq!(stage["judged"]["rows"][0]["success"]["rate"], 0.5);
    let failing = stage["failing_cases"].as_array().unwrap();
    assert_eq!(failing[0], "clock/ask-cet (hallucinated_value)");
    assert_eq!(failing.len(), 6);
    assert!(
        stage["advice"][0]
            .as_str()
            .unwrap()
            .starts_with("hallucinated_value (6 trials):")
    );
    let next = found["next"].as_str().unwrap();
    assert!(
        next.contains("--suite clock.yaml --constraint off --dialect json --case ask-cet -vv"),
        "{next}"
    );
    assert_eq!(run_count(&context), 1);
    let text = stdout(&qualify(&context, ALLOWED));
    assert!(text.contains("stage simulated misses its floor"), "{text}");
    assert!(text.contains("it missed its floor in"), "{text}");
    // Put right, it goes on from there.
    let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/examples/qualify");
    let right = std::fs::read_to_string(source.join("right.yaml")).unwrap();
    context.write("right.yaml", &right);
    assert_eq!(statuses(&judged(&context, 0, ALLOWED)), ["passed"; 4]);
}

#[test]
fn what_cannot_be_decided_is_no_pass_and_no_miss() {
    let context = example();
    edit(
        &context,
        "qualify.yaml",
        "    suites: [clock.yaml]\n    floor: 70\n  - stage: dev",
        "    suites: [clock.yaml]\n    floor: 90\n  - stage: dev",
    );
    let found = judged(&context, 3, ALLOWED);
    assert_eq!(statuses(&found)[..2], ["undecided", "not_reached"]);
    let reason = found["stages"][0]["judged"]["rows"][0]["reason"]
        .as_str()
        .unwrap();
    assert!(
        reason.contains("over 12 cases: the rate reaches the floor of 90 %"),
        "{reason}"
    );
    assert!(reason.contains("about 35 cases like these"), "{reason}");
    // The rate alone is enough when it is asked for, and the run is judged again rather than made again.
    edit(
        &context,
        "qualify.yaml",
        "    floor: 90\n",
        "    floor: 90\n    point_estimate: true\n",
    );
    let runs = run_count(&context);
    let found = judged(&context, 0, ALLOWED);
    assert_eq!(found["stages"][0]["status"], "passed");
    assert_eq!(run_count(&context), runs + 3);
    // A raised floor is judged from the record too.
    edit(
        &context,
        "qualify.yaml",
        "    floor: 90\n    point_estimate: true\n",
        "    floor: 99\n",
    );
    let found = judged(&context, 3, ALLOWED);
    assert_eq!(
        reasons(&found, 0),
        "passed before, and not by the floor of now"
    );
    assert_eq!(run_count(&context), runs + 3);
}

#[test]
fn infrastructure_trouble_is_undecided() {
    let context = example();
    edit(
        &context,
        "right.yaml",
        "ask-utc: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']",
        "ask-utc: [{fault: network}]",
    );
    let found = judged(&context, 3, ALLOWED);
    assert_eq!(found["stages"][0]["status"], "undecided");
    let trouble = found["stages"][0]["judged"]["trouble"].to_string();
    assert!(
        trouble.contains("1 of 12 trials are excluded, more than 5 %"),
        "{trouble}"
    );
}

#[test]
fn a_budget_ends_a_stage_and_a_larger_one_goes_on() {
    let context = example();
    edit(
        &context,
        "qualify.yaml",
        "    suites: [clock.yaml]\n    floor: 70\n  - stage: dev",
        "    suites: [clock.yaml]\n    floor: 70\n    budget: {requests: 6}\n  - stage: dev",
    );
    let found = judged(&context, 3, ALLOWED);
    assert_eq!(found["stages"][0]["status"], "undecided");
    let trouble = found["stages"][0]["judged"]["trouble"].to_string();
    assert!(
        trouble.contains("trials were not run") && trouble.contains("limit-requests"),
        "{trouble}"
    );
    let run = found["stages"][0]["run"].clone();
    edit(&context, "qualify.yaml", "requests: 6", "requests: 600");
    let found = judged(&context, 0, ALLOWED);
    assert_eq!(
        found["stages"][0]["run"], run,
        "the same run is gone on with"
    );
    assert!(reasons(&found, 0).contains("is gone on with"), "{found}");
    assert_eq!(found["stages"][0]["judged"]["rows"][0]["trials"], 12);
}

#[test]
fn an_interrupted_stage_goes_on_where_it_stopped() {
    let context = example();
    let found = judged(&context, 0, ALLOWED);
    let run = found["stages"][0]["run"].as_str().unwrap().to_owned();
    let trials = context.path("reports").join(&run).join("trials.jsonl");
    let text = std::fs::read_to_string(&trials).unwrap();
    let cut = text.match_indices('\n').nth(3).unwrap().0;
    std::fs::write(&trials, &text[..=cut]).unwrap();
    let path = context.path("reports/qualify/clock.json");
    let mut state: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    state["models"]["scripted:right.yaml"]["simulated"]["result"] = json!("interrupted");
    std::fs::write(&path, state.to_string()).unwrap();
    let found = judged(&context, 0, ALLOWED);
    assert_eq!(statuses(&found), ["passed", "stands", "stands", "stands"]);
    assert_eq!(found["stages"][0]["run"], run);
    assert_eq!(found["stages"][0]["judged"]["rows"][0]["trials"], 12);

    // A record that is gone proves nothing.
    std::fs::remove_dir_all(context.path("reports").join(&run)).unwrap();
    let found = judged(&context, 0, ALLOWED);
    assert!(
        reasons(&found, 0).contains("its run cannot be read"),
        "{found}"
    );
    // Nor does a state file that cannot be read; it is said.
    std::fs::write(&path, "{").unwrap();
    let mut loud = context.command(&["qualify", "qualify.yaml", "--dry-run"]);
    let output = loud.output().unwrap();
    assert!(
        stderr(&output).contains("cannot be read, so no stage stands"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn production_needs_a_yes() {
    let context = example();
    let found = judged(&context, 3, &[]);
    assert_eq!(
        statuses(&found),
        ["passed", "passed", "passed", "undecided"]
    );
    assert!(
        found["stages"][3]["advice"][0]
            .as_str()
            .unwrap()
            .contains("--allow-production")
    );
    assert!(
        found["next"]
            .as_str()
            .unwrap()
            .contains("--allow-production")
    );
    assert_eq!(run_count(&context), 3);
    let found = judged(&context, 0, ALLOWED);
    assert_eq!(statuses(&found), ["stands", "stands", "stands", "passed"]);
}

#[test]
fn from_begins_where_it_is_told_if_what_is_before_stands() {
    let context = example();
    let output = qualify(&context, &["--from", "complex"]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("stage `simulated`: it does not stand"),
        "{text}"
    );
    let text = stderr(&qualify(&context, &["--from", "compelx"]));
    assert!(text.contains("did you mean `complex`?"), "{text}");
    let _ = judged(&context, 0, ALLOWED);
    let found = judged(&context, 0, &["--from", "complex", "--allow-production"]);
    assert_eq!(statuses(&found), ["stands", "stands", "passed", "passed"]);
    assert_eq!(reasons(&found, 2), "asked for with `--from`");
    assert_eq!(run_count(&context), 6);
}
