//! What ends a run or a cell before all its trials were run, and what goes on from there.

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr, stdout};

/// Nothing reported of prompts; replies that are all wrong for `weather`.
const WRONG: &str = "name: wrong\notherwise: '{\"answer\":\"no\"}'\n";
/// Every request ends with a network failure.
const DOWN: &str = "name: down\notherwise: {fault: network}\n";

fn prepared(script: &str) -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", script);
    context
}

fn run<'a>(further: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", "scripted:model.yaml", "--constraint", "off"];
    all.extend(further);
    all
}

fn trials(context: &Context) -> Vec<Value> {
    json_lines(&context.only_run().join("trials.jsonl"))
}

fn report(context: &Context) -> Value {
    let output = context.run(&["report", "--format", "json"]);
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn endings(context: &Context) -> Vec<Value> {
    json_lines(&context.only_run().join("endings.jsonl"))
}

#[test]
fn fail_fast_and_max_fail_end_the_run_undecided_and_resumable() {
    for (flags, failed) in [
        (&["--fail-fast"][..], 1),
        (&["--max-fail", "1"][..], 1),
        (&["--max-fail", "4"][..], 4),
    ] {
        let context = prepared(WRONG);
        let mut arguments = run(&["--suite", "weather", "-q"]);
        arguments.extend(flags);
        context.expect(3, &arguments);
        let count = |trials: &[Value]| {
            let failed = trials
                .iter()
                .filter(|trial| trial["outcome"]["kind"] == "failed");
            failed.count()
        };
        let before = trials(&context);
        assert_eq!(count(&before), failed, "{flags:?}");
        assert_eq!(endings(&context)[0]["by"], "max_fail");
        let report = report(&context);
        assert_eq!(report["ended_early"][0]["by"], "max_fail");
        assert_eq!(report["ended_early"][0]["trials_left"], 46 - before.len());
        let text = context.expect(3, &["report"]);
        assert!(text.contains("Ended early"), "{text}");
        // Going on counts anew; without the limit the rest is run and nothing ends it.
        context.run(&["run", "--resume", "latest", "--max-fail", "1", "-q"]);
        assert_eq!(count(&trials(&context)), failed + 1, "{flags:?}");
    }
}

#[test]
fn a_resumed_run_without_the_limit_equals_one_that_never_had_it() {
    let whole = prepared(WRONG);
    whole.run(&run(&["--suite", "weather", "-q"]));
    let reference = whole.run(&["report", "--canonical"]);
    let cut = prepared(WRONG);
    cut.expect(3, &run(&["--suite", "weather", "-q", "--max-fail", "3"]));
    cut.run(&["run", "--resume", "latest", "--max-fail", "0", "-q"]);
    let resumed = cut.run(&["report", "--canonical"]);
    assert_eq!(stdout(&resumed), stdout(&reference));
    // What ended the first execution is over.
    assert_eq!(report(&cut)["ended_early"], Value::Array(Vec::new()));
}

#[test]
fn infrastructure_failures_in_a_row_end_a_cell_and_not_the_run() {
    let context = prepared(DOWN);
    context.write(
        "right.yaml",
        &format!("{RIGHT_SCRIPT}otherwise: '{{\"answer\":\"No.\"}}'\n"),
    );
    let output = context.run(&run(&[
        "scripted:right.yaml",
        "--suite",
        "weather,tiny.yaml",
        "--max-infra",
        "4",
    ]));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let trials = trials(&context);
    let of = |model: &str, suite: &str| {
        let own = trials.iter().filter(|trial| {
            trial["cell"]["model"] == format!("scripted:{model}") && trial["cell"]["suite"] == suite
        });
        own.count()
    };
    assert_eq!(
        (of("model.yaml", "weather"), of("model.yaml", "tiny")),
        (4, 3)
    );
    assert_eq!(of("right.yaml", "tiny"), 3, "another model's cells are run");
    let ended = report(&context)["ended_early"].clone();
    assert_eq!(ended.as_array().unwrap().len(), 1, "{ended}");
    assert_eq!(ended[0]["by"], "max_infra");
    assert_eq!(ended[0]["trials_left"], 42);
    assert_eq!(ended[0]["labels"]["suite"], "weather");
    let reason = ended[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("4 trials in a row") && reason.contains("`network`"),
        "{reason}"
    );
    assert!(
        stderr(&output).contains("ends with 42 trials left"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn other_outcomes_between_begin_the_count_again() {
    let script =
        "name: flaky\nreplies:\n  t-alarm: ['{\"answer\":\"no\"}']\notherwise: {fault: network}\n";
    let context = prepared(script);
    context.run(&run(&["--suite", "tiny.yaml", "--max-infra", "2", "-q"]));
    assert_eq!(trials(&context).len(), 3);
    let none = prepared(DOWN);
    none.run(&run(&["--suite", "weather", "--max-infra", "0", "-q"]));
    assert_eq!(trials(&none).len(), 46, "0 runs all");
    let built_in = prepared(DOWN);
    built_in.run(&run(&["--suite", "weather", "-q"]));
    assert_eq!(trials(&built_in).len(), 10, "10 in a row without the flag");
}

#[test]
fn requests_and_tokens_are_never_passed() {
    // One trial of tiny may take 8 turns and 2 corrections: 10 requests.
    let context = prepared(&RIGHT_SCRIPT.replace("name: right", "name: right\nprompt_tokens: 500"));
    context.expect(
        3,
        &run(&["--suite", "tiny.yaml", "--limit-requests", "10", "-q"]),
    );
    let requests = |context: &Context| -> usize {
        let all = trials(context);
        all.iter()
            .map(|trial| trial["attempts"].as_array().unwrap().len())
            .sum()
    };
    assert_eq!((trials(&context).len(), requests(&context)), (1, 1));
    assert_eq!(endings(&context)[0]["by"], "requests");
    // What is on record counts on: 1 + 10 fit into 11, 3 + 10 do not.
    context.expect(
        3,
        &["run", "--resume", "latest", "--limit-requests", "11", "-q"],
    );
    assert_eq!((trials(&context).len(), requests(&context)), (2, 3));
    context.expect(
        0,
        &["run", "--resume", "latest", "--limit-requests", "13", "-q"],
    );
    assert_eq!(trials(&context).len(), 3);

    let none = prepared(RIGHT_SCRIPT);
    let said = none.run(&run(&["--suite", "tiny.yaml", "--limit-tokens", "5"]));
    assert_eq!(said.status.code(), Some(3), "{}", stderr(&said));
    assert_eq!(trials(&none).len(), 0, "not even the first fits");
    assert!(
        stderr(&said).contains("--limit-tokens 5"),
        "{}",
        stderr(&said)
    );
    none.expect(
        0,
        &[
            "run",
            "--resume",
            "latest",
            "--limit-tokens",
            "10000000",
            "-q",
        ],
    );
}

#[test]
fn time_ends_a_run_too() {
    let context = prepared(WRONG);
    let output = context.run(&run(&["--suite", "weather", "--limit-time", "0.0001"]));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("--limit-time"),
        "{}",
        stderr(&output)
    );
    assert_eq!(endings(&context)[0]["by"], "time");
    assert!(trials(&context).len() < 46);
    let all = prepared(RIGHT_SCRIPT);
    all.expect(
        0,
        &run(&["--suite", "tiny.yaml", "--limit-time", "600", "-q"]),
    );
}

#[test]
fn limits_hold_with_several_trials_at_once_and_with_looks() {
    let context = prepared(&RIGHT_SCRIPT.replace("name: right", "name: right\nprompt_tokens: 500"));
    let arguments = run(&[
        "--suite",
        "tiny.yaml",
        "--limit-requests",
        "20",
        "--concurrency",
        "3",
        "-q",
    ]);
    context.expect(3, &arguments);
    // Two trials of at most 10 fit at once; the third must wait, and then could pass the limit.
    assert!(trials(&context).len() <= 2);
    let looks = prepared(WRONG);
    looks.write(
        "other.yaml",
        "name: other\notherwise: '{\"answer\":\"yes\"}'\n",
    );
    let arguments = run(&[
        "scripted:other.yaml",
        "--suite",
        "weather",
        "--until-decided",
        "--max-fail",
        "3",
        "-q",
    ]);
    looks.expect(3, &arguments);
    assert_eq!(report(&looks)["ended_early"][0]["by"], "max_fail");
}

#[test]
fn limits_of_nothing_are_refused() {
    let context = prepared(RIGHT_SCRIPT);
    for name in [
        "limit-time",
        "limit-tokens",
        "limit-requests",
        "budget",
        "trial-time",
        "trial-tokens",
        "trial-requests",
        "trial-cost",
    ] {
        let flag = format!("--{name}");
        let text = context.expect_error(2, &run(&["--suite", "tiny.yaml", &flag, "0"]));
        assert!(
            text.contains(&format!("`{name}` must be more than 0")),
            "{text}"
        );
    }
}

#[test]
fn a_trial_that_took_more_than_it_may_has_failed_though_it_is_right() {
    let script = format!("{RIGHT_SCRIPT}prompt_tokens: 100\n");
    for (flags, outcome) in [
        (["--trial-tokens", "50"], "limit"),
        (["--trial-tokens", "100000"], "passed"),
        (["--trial-cost", "0.00005"], "limit"),
    ] {
        let context = prepared(&script);
        context.write(
            "toolbench.toml",
            "[prices.\"scripted:model.yaml\"]\ninput = 1.0\noutput = 10.0\n",
        );
        let mut arguments = run(&["--suite", "tiny.yaml", "--case", "t-time", "-q"]);
        arguments.extend(flags);
        context.run(&arguments);
        let trial = &trials(&context)[0];
        assert_eq!(trial["outcome"]["kind"], outcome, "{flags:?} {trial:#}");
    }
}

#[test]
fn a_trial_that_takes_too_much_has_failed() {
    // A correction is a second request; the trial may make one.
    let script = "name: stubborn\nprompt_tokens: 100\notherwise: '{\"tool\":\"get_tme\",\"arguments\":{}}'\n";
    for (flags, code) in [
        (["--trial-requests", "1"], "turn_limit"),
        (["--trial-tokens", "50"], "turn_limit"),
        (["--trial-cost", "0.00005"], "turn_limit"),
        (["--trial-time", "0.000001"], "trial_timeout"),
    ] {
        let context = prepared(script);
        context.write(
            "toolbench.toml",
            "[prices.\"scripted:model.yaml\"]\ninput = 1.0\noutput = 10.0\n",
        );
        let mut arguments = run(&["--suite", "tiny.yaml", "--max-corrections", "3", "-q"]);
        arguments.extend(flags);
        context.run(&arguments);
        for trial in trials(&context) {
            assert_eq!(trial["outcome"]["kind"], "limit", "{flags:?} {trial:#}");
            assert_eq!(trial["outcome"]["code"], code, "{flags:?}");
            assert!(trial["attempts"].as_array().unwrap().len() <= 1);
        }
    }
}
