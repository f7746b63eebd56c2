//! Stages that are gone on with: their bounds, after a kill, and what production is asked.

use serde_json::Value;

use crate::qualify::{edit, example, judged, reasons, run_count, statuses};
use crate::support::{Context, stderr, stdout};

/// One stage on a real server, which may take so many calls.
fn one_stage(server: &str, calls: u64) -> Context {
    let context = example();
    context.write(
        "qualify.yaml",
        &format!(
            "qualify: clock
model: scripted:right.yaml
settings: {{dialect: json, constraint: \"off\"}}
stages:
  - stage: development
    kind: development
    suites: [clock.yaml]
    server: {{stdio: {server}}}
    allow_tools: [set_alarm]
    floor: 70
    budget: {{seconds: 300, calls: {calls}}}
"
        ),
    );
    context
}

/// After its call, one trial of twelve is lost to the network: too many to decide.
fn break_one_trial(context: &Context) {
    edit(
        context,
        "clock.yaml",
        "[{tool: get_time, arguments: {zone: UTC}}]",
        "[{tool: get_time, arguments: {zone: UTC}}, {tool: get_time, arguments: {zone: CET}}]",
    );
    edit(
        context,
        "right.yaml",
        "ask-utc: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']",
        "ask-utc: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}', {fault: network}]",
    );
}

fn header(context: &Context, run: &str) -> Value {
    let path = context.path("reports").join(run).join("header.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_stage_with_a_share_of_calls_records_it_and_is_gone_on_with() {
    let context = one_stage("toolbench mcp serve clock.yaml", 60);
    break_one_trial(&context);
    let found = judged(&context, 3, &[]);
    let run = found["stages"][0]["run"].as_str().unwrap().to_owned();
    assert_eq!(header(&context, &run)["tool_policy"]["max_tool_calls"], 5);
    let found = judged(&context, 3, &[]);
    assert!(reasons(&found, 0).contains("is gone on with"), "{found}");
    assert_eq!(found["stages"][0]["run"], run.as_str());
    assert_eq!(run_count(&context), 1);
}

#[test]
fn calls_on_record_are_taken_off_the_budget() {
    let context = one_stage("toolbench mcp serve clock.yaml", 12);
    break_one_trial(&context);
    let _ = judged(&context, 3, &[]);
    let output = crate::qualify::qualify(&context, &[]);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("12 of its 12 calls are made in"), "{text}");
    assert!(text.contains("1 trials to come may make 1 each"), "{text}");
    assert!(text.contains("--from development"), "{text}");
    // Asked for by name it is run again, and not gone on with.
    let found = judged(&context, 3, &["--from", "development"]);
    assert_eq!(reasons(&found, 0), "asked for with `--from`");
    assert_eq!(run_count(&context), 2);
}

#[cfg(unix)]
#[test]
fn a_killed_stage_goes_on_where_it_was() {
    let context = one_stage("sh server.sh", 60);
    // The first call that comes while the trap is set kills toolbench.
    context.write(
        "server.sh",
        "while read -r line; do
  case $line in *tools/call*) if [ -e trap ]; then rm trap; kill -9 $PPID; fi ;; esac
  printf '%s\\n' \"$line\"
done | toolbench mcp serve clock.yaml
",
    );
    context.write("trap", "");
    let output = crate::qualify::qualify(&context, &[]);
    assert_eq!(output.status.code(), None, "{}", stderr(&output));
    let state = std::fs::read_to_string(context.path("reports/qualify/clock.json")).unwrap();
    let state: Value = serde_json::from_str(&state).unwrap();
    let known = &state["models"]["scripted:right.yaml"]["development"];
    assert_eq!(known["result"], "interrupted");
    let found = judged(&context, 0, &[]);
    assert_eq!(found["stages"][0]["run"], known["run"]);
    assert!(reasons(&found, 0).contains("was interrupted"), "{found}");
    assert_eq!(run_count(&context), 1);
}

#[cfg(unix)]
#[test]
fn a_production_server_is_not_started_before_a_yes() {
    let context = example();
    context.write(
        "server.sh",
        "echo started >> started.log; exec toolbench mcp serve clock.yaml\n",
    );
    edit(
        &context,
        "qualify.yaml",
        "server: {stdio: toolbench mcp serve clock.yaml}\n    # Its calls",
        "server: {stdio: sh server.sh}\n    # Its calls",
    );
    let started = context.path("started.log");
    let found = judged(&context, 3, &[]);
    assert_eq!(statuses(&found)[3], "undecided");
    assert!(!started.exists());
    let found = judged(&context, 0, &["--allow-production"]);
    assert_eq!(statuses(&found)[3], "passed");
    std::fs::remove_file(&started).expect("it was started");
    // That it stands is said as far as it is known, and its tools are looked at where that is allowed.
    let found = judged(&context, 0, &[]);
    assert_eq!(statuses(&found)[3], "stands");
    assert!(reasons(&found, 3).contains("without asking its server"));
    assert!(!started.exists());
    let found = judged(&context, 0, &["--allow-production"]);
    assert_eq!(statuses(&found)[3], "stands");
    assert!(started.exists());
}

#[test]
fn a_dry_run_gives_no_verdict() {
    let context = example();
    let _ = judged(&context, 0, &["--allow-production"]);
    edit(
        &context,
        "qualify.yaml",
        "    suites: [clock.yaml]\n    floor: 70\n  - stage: dev",
        "    suites: [clock.yaml]\n    floor: 99\n  - stage: dev",
    );
    let found = judged(&context, 0, &["--dry-run"]);
    assert_eq!(found["verdict"], "not_run");
    let line = found["line"].as_str().unwrap();
    assert!(line.contains("simulated would stop it"), "{line}");
}

#[test]
fn the_next_command_can_be_pasted() {
    let context = example();
    std::fs::rename(context.path("qualify.yaml"), context.path("my stages.yaml")).unwrap();
    let output = context.run(&["qualify", "my stages.yaml", "--dry-run", "--out", "a b"]);
    let text = stdout(&output);
    assert!(
        text.contains("`toolbench qualify 'my stages.yaml' --out 'a b'`"),
        "{text}"
    );
}
