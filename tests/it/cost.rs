//! Prices, budgets, dry runs.

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr, stdout};

const PRICES: &str = "[prices.\"scripted:model.yaml\"]\ninput = 1.0\noutput = 10.0\ndocument = \"a test\"\ndate = \"2026-11-20\"\n";

fn prepared(prompt_tokens: u32, config: &str) -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let head = format!("name: right\nprompt_tokens: {prompt_tokens}");
    context.write("model.yaml", &RIGHT_SCRIPT.replace("name: right", &head));
    context.write("toolbench.toml", config);
    context
}

fn run<'a>(further: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "run",
        "scripted:model.yaml",
        "--constraint",
        "off",
        "--suite",
        "tiny.yaml",
    ];
    all.extend(further);
    all
}

fn json(context: &Context, arguments: &[&str]) -> Value {
    let output = context.run(arguments);
    serde_json::from_str(&stdout(&output))
        .unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)))
}

/// Four replies to prompts of 1,000 tokens at 1 a million, their words at 10 a million; three
/// successes.
#[test]
fn cost_stands_in_every_form_of_the_report_and_once_per_success() {
    let context = prepared(1000, PRICES);
    context.expect(0, &run(&["-q"]));
    let lines = json_lines(&context.only_run().join("trials.jsonl"));
    let outputs: u64 = lines
        .iter()
        .flat_map(|trial| trial["attempts"].as_array().unwrap())
        .map(|attempt| attempt["usage"]["output_tokens"].as_u64().unwrap())
        .sum();
    let expected = (4.0 * 1000.0 + 10.0 * outputs as f64) / 1e6;
    let report = json(&context, &["report", "--format", "json"]);
    let amount = report["header"]["cost"]["amount"].as_f64().unwrap();
    assert!((amount - expected).abs() < 1e-12, "{amount} {expected}");
    let each = report["totals"][0]["cost"]["per_success"].as_f64().unwrap();
    assert!((each - expected / 3.0).abs() < 1e-12);
    assert_eq!(
        report["header"]["cost"]["prices"][0]["price"]["document"],
        "a test"
    );
    let text = context.expect(0, &["report"]);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "Cost",
        "the run: 0.00",
        "for each success",
        "(a test, 2026-11-20)",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let csv = context.expect(0, &["report", "--format", "csv"]);
    assert!(
        csv.lines().next().unwrap().contains("cost_per_success"),
        "{csv}"
    );
    context.expect(0, &["explain", "cost_per_success"]);
}

#[test]
fn without_a_price_or_tokens_there_is_no_cost_and_no_zero() {
    for (tokens, config) in [(1000, ""), (0, PRICES)] {
        let context = prepared(tokens, config);
        context.expect(0, &run(&["-q"]));
        let report = json(&context, &["report", "--format", "json"]);
        assert_eq!(report["header"]["cost"], Value::Null, "{tokens}");
        assert_eq!(report["totals"][0]["cost"], Value::Null, "{tokens}");
        let text = context.expect(0, &["report"]);
        assert!(!text.contains("\nCost\n"), "{text}");
    }
}

#[test]
fn the_price_of_the_day_stays_with_the_record() {
    let context = prepared(1000, PRICES);
    context.expect(0, &run(&["-q"]));
    let before = json(&context, &["report", "--format", "json"])["header"]["cost"].clone();
    context.write("toolbench.toml", &PRICES.replace("1.0", "5.0"));
    let after = json(&context, &["report", "--format", "json"])["header"]["cost"].clone();
    assert_eq!(before, after);
}

#[test]
fn a_dry_run_sends_nothing_and_says_how_it_estimates() {
    let context = prepared(1000, PRICES);
    let text = context.expect(0, &run(&["--dry-run"]));
    for words in [
        "3 trials in 1 cells",
        "Estimates, nothing is sent yet",
        "requests",
        "prompt tokens",
        "worst case",
        "cost",
        "characters a token",
        "not every cell was run on this machine",
        "(a test, 2026-11-20)",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert_eq!(context.runs().len(), 0);
    let dry = json(&context, &run(&["--dry-run", "--format", "json"]));
    let estimate = &dry["estimate"];
    // One call, one call and an answer, one answer; at the worst 8 turns and 2 corrections each.
    assert_eq!(estimate["typical"]["requests"], 4);
    assert_eq!(estimate["worst"]["requests"], 30);
    assert_eq!(estimate["typical_ms"], Value::Null);
    assert_eq!(estimate["worst_ms"].as_f64(), Some(30.0 * 60_000.0));
    let load = &estimate["worst"];
    let expected = (load["prompt_tokens"].as_f64().unwrap()
        + 10.0 * load["output_tokens"].as_f64().unwrap())
        / 1e6;
    let worst = estimate["cost"][0]["worst"].as_f64().unwrap();
    assert!((worst - expected).abs() < 1e-9);
    // After a run, its pace is known.
    context.expect(0, &run(&["-q"]));
    let dry = json(&context, &run(&["--dry-run", "--format", "json"]));
    assert!(dry["estimate"]["typical_ms"].as_f64().is_some(), "{dry}");
    // Without a price there is no amount.
    let free = prepared(1000, "");
    let dry = json(&free, &run(&["--dry-run", "--format", "json"]));
    assert_eq!(dry["estimate"]["cost"], Value::Array(Vec::new()));
    assert!(
        free.expect(0, &run(&["--dry-run"]))
            .contains("no price is known")
    );
}

#[test]
fn the_estimate_bounds_what_is_measured() {
    let context = prepared(0, "");
    let dry = json(&context, &run(&["--dry-run", "--format", "json"]));
    context.expect(0, &run(&["-q"]));
    let lines = json_lines(&context.only_run().join("trials.jsonl"));
    let requests: usize = lines
        .iter()
        .map(|trial| trial["attempts"].as_array().unwrap().len())
        .sum();
    assert_eq!(dry["estimate"]["typical"]["requests"], requests);
}

#[test]
fn a_budget_is_never_passed_and_the_run_goes_on_with_more() {
    let context = prepared(20_000, PRICES);
    let dry = json(&context, &run(&["--dry-run", "--format", "json"]));
    let worst = dry["estimate"]["cost"][0]["worst"].as_f64().unwrap();
    // Room for the worst of one trial and a little, not of two.
    let budget = format!("{:.6}", worst / 3.0 * 1.05);
    let output = context.run(&run(&["--budget", &budget]));
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(said.contains(&format!("--budget {budget}")), "{said}");
    assert!(
        said.contains("ended early; go on with: toolbench run --resume"),
        "{said}"
    );
    let report = json(&context, &["report", "--format", "json"]);
    assert_eq!(report["ended_early"][0]["by"], "budget");
    if let Some(spent) = report["header"]["cost"]["amount"].as_f64() {
        assert!(spent <= budget.parse().unwrap());
    }
    let done = json_lines(&context.only_run().join("trials.jsonl")).len();
    assert!((1..3).contains(&done), "{done}");
    let more = format!("{:.6}", worst * 2.0);
    context.expect(0, &["run", "--resume", "latest", "--budget", &more, "-q"]);
    assert_eq!(
        json_lines(&context.only_run().join("trials.jsonl")).len(),
        3
    );
}

#[test]
fn replies_without_tokens_count_at_their_worst() {
    let context = prepared(0, PRICES);
    let dry = json(&context, &run(&["--dry-run", "--format", "json"]));
    let worst = dry["estimate"]["cost"][0]["worst"].as_f64().unwrap();
    let budget = format!("{:.6}", worst / 3.0 * 1.5);
    context.expect(3, &run(&["--budget", &budget, "-q"]));
    let done = json_lines(&context.only_run().join("trials.jsonl")).len();
    assert_eq!(
        done, 1,
        "the first may have cost its worst, so the second could pass"
    );
}

#[test]
fn a_budget_without_prices_is_refused_before_anything_is_sent() {
    let context = prepared(1000, "");
    let text = context.expect_error(2, &run(&["--budget", "1"]));
    assert!(
        text.contains("no price is known for `scripted:model.yaml`"),
        "{text}"
    );
    assert!(text.contains("[prices.\"scripted:model.yaml\"]"), "{text}");
    assert_eq!(context.runs().len(), 0);
    let config = format!(
        "{PRICES}[prices.\"scripted:other.yaml\"]\ninput = 1\noutput = 2\ncurrency = \"EUR\"\n"
    );
    let two = prepared(1000, &config);
    two.write("other.yaml", RIGHT_SCRIPT);
    let text = two.expect_error(2, &run(&["scripted:other.yaml", "--budget", "1"]));
    assert!(text.contains("EUR and USD"), "{text}");
    let wrong = prepared(1000, &PRICES.replace("1.0", "-1.0"));
    assert!(
        wrong
            .expect_error(2, &run(&[]))
            .contains("is not a number from 0")
    );
}

#[test]
fn prices_come_by_alias_and_from_a_folder_of_ones_own() {
    let config = "data = \"own\"\n[models.mine]\nsource = \"scripted:model.yaml\"\n";
    let context = prepared(1000, config);
    context.write(
        "own/catalogue/prices.yaml",
        "version: 1\ncurrency: USD\ndocuments: {d: {document: my contract, date: '2026-01-01'}}\nprices:\n  - {model: 'scripted:model.yaml', input: 1, output: 10, source: d}\n",
    );
    let arguments = [
        "run",
        "mine",
        "--constraint",
        "off",
        "--suite",
        "tiny.yaml",
        "-q",
    ];
    let output = context.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = json(&context, &["report", "--format", "json"]);
    assert_eq!(
        report["header"]["cost"]["prices"][0]["price"]["document"],
        "my contract"
    );
}
