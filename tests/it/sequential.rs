//! `--until-decided`: what is run, when it stops, and that a resumed run comes to the same.

use serde_json::Value;

use crate::support::{Context, json_lines, stderr};

/// Two categories, 40 cases, each asking for one call with its own number.
fn suite() -> String {
    let mut text = "suite: many
description: a suite for tests of sequential runs
tools:
  - name: pick
    description: Picks a number.
    inputSchema: {type: object, properties: {number: {type: integer}}, required: [number]}
mock:
  state: {}
  rules: [{tool: pick, reply: ok}]
cases:
"
    .to_owned();
    for number in 0..40 {
        let category = if number % 4 == 0 { "rare" } else { "common" };
        text.push_str(&format!(
            "  - {{id: c-{number}, category: {category}, why: a number, user: pick {number}, \
             expect: {{calls: [{{tool: pick, arguments: {{number: {number}}}}}]}}}}\n"
        ));
    }
    text
}

/// Right where `right` says so.
fn script(name: &str, right: impl Fn(usize) -> bool) -> String {
    let mut text = format!("name: {name}\nreplies:\n");
    for number in 0..40 {
        let picked = if right(number) { number } else { number + 100 };
        text.push_str(&format!(
            "  c-{number}: ['{{\"tool\":\"pick\",\"arguments\":{{\"number\":{picked}}}}}']\n"
        ));
    }
    text
}

fn context(one: impl Fn(usize) -> bool, two: impl Fn(usize) -> bool) -> Context {
    let context = Context::new();
    context.write("many.yaml", &suite());
    context.write("one.yaml", &script("one", one));
    context.write("two.yaml", &script("two", two));
    context
}

const COMPARE: [&str; 7] = [
    "compare",
    "scripted:one.yaml",
    "scripted:two.yaml",
    "--suite",
    "many.yaml",
    "--constraint",
    "off",
];

fn compare(extra: &[&'static str]) -> Vec<&'static str> {
    COMPARE.iter().chain(extra).copied().collect()
}

fn summary(context: &Context) -> Value {
    let text = context.run(&["report", "--format", "json"]).stdout;
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn a_clear_difference_takes_a_part_of_the_cases() {
    let context = context(|_| false, |_| true);
    let output = context.run(&compare(&["--until-decided"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("look 1 of 5 (8 of 40 cases): 1 of 1 comparisons open"),
        "{said}"
    );
    assert!(
        said.contains("look 2 of 5 (16 of 40 cases): decided"),
        "{said}"
    );
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 32, "16 cases on two sides");
    let rare = trials
        .iter()
        .filter(|trial| trial["category"] == "rare")
        .count();
    assert_eq!(rare, 8, "a quarter of the cases, as in the suite");
    let summary = summary(&context);
    let found = &summary["header"]["sequential"];
    assert_eq!(
        (&found["look"], &found["decided"]),
        (&2.into(), &true.into())
    );
    assert_eq!(found["available_trials"], 80);
    assert_eq!(summary["comparisons"][0]["verdict"], "better");
    let confidence = summary["comparisons"][0]["confidence"].as_f64().unwrap();
    assert!(confidence > 0.998, "little is spent at 40 %: {confidence}");
    let shown = context.expect(0, &["report"]);
    assert!(shown.contains("look 2 of 5"), "{shown}");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
}

#[test]
fn without_a_difference_everything_is_run() {
    let context = context(|number| number % 2 == 0, |number| number % 2 == 0);
    let output = context.run(&compare(&["--until-decided"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 80);
    assert_eq!(
        summary(&context)["comparisons"][0]["verdict"],
        "not_enough_data"
    );
    assert!(
        stderr(&output).contains("all is run"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn trials_follow_the_cases_where_decoding_samples() {
    let context = context(|number| number % 2 == 0, |number| number % 2 == 0);
    let extra = [
        "--until-decided",
        "--temperature",
        "0.7",
        "--max-trials",
        "3",
        "-q",
    ];
    context.run(&compare(&extra));
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 240, "40 cases × 3 trials × 2 models");
    let found = &summary(&context)["header"]["sequential"];
    assert_eq!((&found["look"], &found["trials"]), (&7.into(), &3.into()));
}

#[test]
fn a_resumed_run_comes_to_the_same() {
    let scripts = || context(|number| number % 5 == 0, |number| number % 5 != 1);
    let whole = scripts();
    whole.expect(0, &compare(&["--until-decided", "-q"]));
    let reference = whole.expect(0, &["report", "--canonical"]);
    let all = json_lines(&whole.only_run().join("trials.jsonl")).len();
    assert!((32..80).contains(&all), "{all}");

    for kept in [5, 16, 21] {
        let cut = scripts();
        cut.expect(0, &compare(&["--until-decided", "-q"]));
        let trials = cut.only_run().join("trials.jsonl");
        let text = std::fs::read_to_string(&trials).unwrap();
        let lines: Vec<&str> = text.lines().take(kept).collect();
        std::fs::write(&trials, format!("{}\n", lines.join("\n"))).unwrap();
        cut.expect(0, &["compare", "--resume", "latest", "-q"]);
        assert_eq!(json_lines(&trials).len(), all, "{kept}");
        assert_eq!(
            cut.expect(0, &["report", "--canonical"]),
            reference,
            "{kept}"
        );
    }
    whole.expect(0, &["compare", "--resume", "latest", "-q"]);
    assert_eq!(
        json_lines(&whole.only_run().join("trials.jsonl")).len(),
        all
    );
}

#[test]
fn what_cannot_be_decided_is_refused() {
    let context = context(|_| true, |_| true);
    let single = "run scripted:one.yaml --suite many.yaml --constraint off --until-decided";
    let text = context.expect_error(2, &single.split(' ').collect::<Vec<_>>());
    assert!(text.contains("there is only one"), "{text}");
    let text = context.expect_error(2, &compare(&["--until-decided", "--shard", "1/2"]));
    assert!(text.contains("a shard cannot see"), "{text}");
    let shown = context.expect(0, &compare(&["--until-decided", "--dry-run"]));
    assert!(shown.contains("at most 80 trials"), "{shown}");
}

#[test]
fn models_that_are_not_told_apart_stand_together() {
    let context = context(|_| false, |number| number % 2 == 0);
    context.write("three.yaml", &script("three", |number| number % 2 == 1));
    let arguments = "compare scripted:one.yaml scripted:two.yaml scripted:three.yaml \
                     --suite many.yaml --constraint off --objective 60 -v";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    let shown = context.expect(0, &arguments);
    let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        flat.contains(
            "order with json, off: 1.–2. scripted:two.yaml, 1.–2. scripted:three.yaml, \
             3. scripted:one.yaml (scripted:two.yaml, scripted:three.yaml: not distinguishable)"
        ),
        "{shown}"
    );
    assert!(
        flat.contains("would be found in fewer than 80 % of runs"),
        "{shown}"
    );
    assert!(flat.contains("of trials succeed within 60 s"), "{shown}");
    assert!(
        shown.lines().all(|line| line.chars().count() <= 100),
        "{shown}"
    );
    let summary = summary(&context);
    let group = &summary["rankings"][0]["groups"][0];
    assert_eq!(group["relation"], "not_distinguishable");
    let detectable = &summary["comparisons"][2]["detectable"];
    assert_eq!(detectable["power"], 0.8);
    assert!(
        detectable["difference"].as_f64().unwrap() > 0.2,
        "{detectable}"
    );
    let stricter = context.run(&["report", "--objective", "0", "--format", "json"]);
    let stricter: Value = serde_json::from_slice(&stricter.stdout).unwrap();
    assert_eq!(
        stricter["totals"][1]["objective"]["attainment"]["rate"],
        0.0
    );
    let csv = context.expect(0, &["report", "--format", "csv"]);
    let fields: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert!(fields.windows(2).all(|pair| pair[0] == pair[1]), "{csv}");
}
