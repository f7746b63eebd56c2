//! `--time-budget`: a stratified, recorded subset that pairs with a baseline over all cases.

use serde_json::Value;

use super::*;

/// Every trial of the baseline took so long.
fn set_pace(context: &Context, ms: f64) {
    let path = context.path("reports/baselines/main.latency.jsonl");
    let mut lines = Vec::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        if value["case"].is_string() {
            value["trial_ms"] = ms.into();
        }
        lines.push(value.to_string());
    }
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn as_many_cases_as_fit_are_drawn_and_compared_with_the_whole() {
    let context = prepared(&".".repeat(20));
    let first = run(&context, &[]);
    save(&context, &first, &["--with-latency"]);
    // A minute each: nine of twenty would fit into ten, a tenth being kept for loading, if no time
    // had passed before the first trial.
    set_pace(&context, 60_000.0);
    context.write("model.yaml", &script(&"x".repeat(20)));
    let found = verdict(&context, 1, &["--time-budget", "10m"]);
    assert_eq!(
        found["cells"][0]["cases"], 8,
        "what came before the first trial counts too"
    );
    assert_eq!(found["cells"][0]["difference"]["cases"], 8);
    assert_eq!(found["cases"]["not_drawn"], 12);
    assert_eq!(found["cases"]["removed"], Value::Array(Vec::new()));
    let directory = context.path(&format!("reports/{}", found["run"].as_str().unwrap()));
    let header: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("header.json")).unwrap())
            .unwrap();
    assert_eq!(header["sample"]["cases"], 8);
    assert_eq!(header["sample"]["of"], 20);
    assert_eq!(header["command"], "gate");
    let setting = header["settings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["name"] == "sample")
        .unwrap();
    assert_eq!(setting["origin"], "time budget 10m");
    let lines = crate::support::json_lines(&directory.join("trials.jsonl"));
    let even = lines
        .iter()
        .filter(|trial| trial["category"] == "even")
        .count();
    assert!(
        (3..=5).contains(&even),
        "{even} of 8 in a category of half the cases"
    );
    // The same cases as `--sample 8` takes.
    let sampled = run(&context, &["--sample", "8"]);
    let cases = |lines: &[Value]| -> Vec<String> {
        lines
            .iter()
            .map(|trial| trial["case"].as_str().unwrap().to_owned())
            .collect()
    };
    let of_sample = crate::support::json_lines(&sampled.join("trials.jsonl"));
    assert_eq!(cases(&lines), cases(&of_sample));
}

#[test]
fn a_budget_for_all_takes_all_and_one_for_none_is_a_mistake() {
    let context = prepared(&".".repeat(6));
    let first = run(&context, &[]);
    save(&context, &first, &["--with-latency"]);
    let all = verdict(&context, 0, &["--time-budget", "1h"]);
    assert_eq!(all["cells"][0]["cases"], 6);
    set_pace(&context, 60_000.0);
    let output = gate_model(&context, &["--time-budget", "30s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("not one case fits"),
        "{}",
        stderr(&output)
    );
    let output = gate_model(&context, &["--time-budget", "30s", "--sample", "3"]);
    assert!(
        stderr(&output).contains("leave one of them out"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn what_nobody_knows_is_tried_out_first() {
    let context = prepared(&".".repeat(10));
    let found = verdict(&context, 0, &["--time-budget", "10m", "--min-success", "1"]);
    assert_eq!(found["cells"][0]["cases"], 10);
    let runs = context.runs();
    assert_eq!(runs.len(), 2, "the trial of four, and the run");
    let trials = |run: &PathBuf| crate::support::json_lines(&run.join("trials.jsonl")).len();
    let mut sizes: Vec<usize> = runs.iter().map(trials).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [4, 10]);
    // Now it is known.
    verdict(&context, 0, &["--time-budget", "10m", "--min-success", "1"]);
    assert_eq!(context.runs().len(), 3);
}
