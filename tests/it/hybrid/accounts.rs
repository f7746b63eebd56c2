//! Hybrids: numbers that follow from the record, limits, dry runs, resume, and names.

use serde_json::Value;

use super::{A, B, DOWN, HYBRID, prepared, report, run, trials, with_time};
use crate::support::{Context, RIGHT_SCRIPT, json_lines, stderr};

/// One case each: passed over for infrastructure, for an invalid call, right at once.
fn mixed() -> Context {
    let a = with_time("[{fault: network}]")
        .replace("{\"answer\":\"Done.\"}", "{\"answer\":7}")
        .replace("name: right", "name: right\nprompt_tokens: 1000");
    let b = RIGHT_SCRIPT
        .replace(
            "t-alarm: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":7}}', ",
            "t-alarm: [",
        )
        .replace("name: right", "name: right\nprompt_tokens: 1000");
    let context = prepared(&a, &b);
    context.write(
        "toolbench.toml",
        "[prices.\"scripted:a.yaml\"]\ninput = 1.0\noutput = 10.0\n\
         [prices.\"scripted:b.yaml\"]\ninput = 5.0\noutput = 50.0\n",
    );
    context
}

/// The numbers of a leg, from the record alone.
fn by_hand(trials: &[Value], leg: &str, prices: (f64, f64)) -> Value {
    let attempts = |trial: &Value| trial["attempts"].as_array().unwrap().clone();
    let all: Vec<Value> = trials.iter().flat_map(attempts).collect();
    let own: Vec<&Value> = all.iter().filter(|it| it["leg"] == leg).collect();
    let tokens = |name: &str| -> u64 {
        let replies = own.iter().filter(|it| it["reply"].is_string());
        replies.map(|it| it["usage"][name].as_u64().unwrap()).sum()
    };
    let ended = trials
        .iter()
        .filter(|trial| attempts(trial).last().unwrap()["leg"] == leg);
    let ended: Vec<&Value> = ended.collect();
    let passed = ended
        .iter()
        .filter(|trial| trial["outcome"]["kind"] == "passed");
    let cause = |name: &str| own.iter().filter(|it| it["passed_over"] == name).count();
    let (prompt, output) = (tokens("prompt_tokens"), tokens("output_tokens"));
    serde_json::json!({
        "attempts": own.len(),
        "passed_over": {"infra": cause("infra"), "invalid": cause("invalid"), "latency": cause("latency")},
        "answered": own.iter().filter(|it| it["passed_over"].is_null()).count(),
        "ended": ended.len(),
        "success": passed.count(),
        "prompt_tokens": prompt,
        "output_tokens": output,
        "nano": ((prompt as f64 * prices.0 + output as f64 * prices.1) * 1000.0).round(),
    })
}

#[test]
fn the_numbers_of_legs_follow_from_the_record() {
    let context = mixed();
    context.expect(0, &run(HYBRID, &[]));
    let trials = trials(&context);
    let report = report(&context);
    let row = &report["totals"][0];
    let mut sum = 0.0;
    for (index, (name, prices)) in [(A, (1.0, 10.0)), (B, (5.0, 50.0))].into_iter().enumerate() {
        let leg = &row["legs"][index];
        assert_eq!(leg["leg"], name);
        let amount = leg["cost"]["amount"].as_f64().unwrap();
        sum += amount;
        let found = serde_json::json!({
            "attempts": leg["attempts"],
            "passed_over": leg["passed_over"],
            "answered": leg["turns"]["hits"],
            "ended": leg["ended"]["hits"],
            "success": leg["success"]["hits"],
            "prompt_tokens": leg["prompt_tokens"],
            "output_tokens": leg["output_tokens"],
            "nano": (amount * 1e9).round(),
        });
        assert_eq!(found, by_hand(&trials, name, prices));
        assert_eq!(
            (&leg["turns"]["of"], &leg["ended"]["of"]),
            (&4.into(), &3.into())
        );
        assert_eq!(leg["success"]["method"], "wilson");
    }
    // First leg: down in t-time, invalid in the second turn of t-alarm; it ends t-thanks alone.
    assert_eq!(row["legs"][0]["ended"]["hits"], 1);
    assert_eq!(row["legs"][0]["passed_over"]["infra"], 1);
    assert_eq!(row["legs"][0]["passed_over"]["invalid"], 1);
    let whole = row["cost"]["amount"].as_f64().unwrap();
    assert!((whole - sum).abs() < 1e-12, "{whole} {sum}");
    assert_eq!(row["cost"]["requests_without_reply"], 1);
    assert_eq!(report["header"]["models"][0]["legs"][1]["name"], B);
    assert_eq!(
        report["header"]["models"][0]["fallback"],
        "infra, invalid, latency"
    );
    for format in ["terminal", "markdown"] {
        let text = context.expect(0, &["report", "--format", format]);
        assert!(text.contains("Legs of hybrids"), "{text}");
        assert!(text.contains("1/1/0"), "{text}");
        assert!(
            text.lines()
                .all(|line| format == "markdown" || line.chars().count() <= 100),
            "{text}"
        );
    }
    let plain = prepared(RIGHT_SCRIPT, DOWN);
    plain.expect(0, &run(A, &[]));
    assert!(!plain.expect(0, &["report"]).contains("Legs of hybrids"));
}

#[test]
fn a_hybrid_is_judged_again_and_resumed_as_any_other() {
    let whole = mixed();
    whole.expect(0, &run(HYBRID, &[]));
    let reference = whole.expect(0, &["report", "--canonical"]);
    let first = whole.only_run();
    whole.expect(0, &["rescore", "latest"]);
    let runs = whole.runs();
    let again = runs
        .iter()
        .find(|run| run.to_string_lossy().ends_with("-rescored"));
    assert_eq!(
        json_lines(&again.unwrap().join("trials.jsonl")),
        json_lines(&first.join("trials.jsonl"))
    );

    let cut = mixed();
    cut.expect(0, &run(HYBRID, &[]));
    let path = cut.only_run().join("trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let kept = text.lines().next().unwrap();
    std::fs::write(&path, format!("{kept}\n")).unwrap();
    cut.expect(0, &["run", "--resume", "latest", "-q"]);
    assert_eq!(cut.expect(0, &["report", "--canonical"]), reference);

    // Another rule is another plan.
    let context = mixed();
    let prices = std::fs::read_to_string(context.path("toolbench.toml")).unwrap();
    let model = format!("{prices}[models.both]\nsource = \"{HYBRID}\"\n");
    context.write("toolbench.toml", &model);
    context.expect(0, &run("both", &[]));
    context.write("toolbench.toml", &format!("{model}latency-budget = 1\n"));
    let said = context.expect_error(2, &["run", "--resume", "latest"]);
    assert!(said.contains("cannot be resumed"), "{said}");
}

#[test]
fn both_legs_down_is_an_infrastructure_failure_that_resumes() {
    let context = prepared(DOWN, DOWN);
    context.expect(3, &run(HYBRID, &[]));
    for trial in trials(&context) {
        assert_eq!(trial["outcome"]["kind"], "infra");
        assert_eq!(trial["attempts"].as_array().unwrap().len(), 2);
    }
    context.expect(3, &["run", "--resume", "latest", "-q"]);
    assert_eq!(trials(&context).len(), 6, "both lines are kept");
    let legs = report(&context)["totals"][0]["legs"].clone();
    assert_eq!(
        legs[0]["passed_over"]["infra"], 3,
        "superseded trials do not count"
    );
}

#[test]
fn limits_and_dry_runs_count_every_leg() {
    // One trial of tiny may take 8 turns and 2 corrections, each asked of two legs: 20 requests.
    for (limit, made) in [("19", 0), ("20", 1)] {
        let context = mixed();
        context.expect(3, &run(HYBRID, &["--limit-requests", limit]));
        assert_eq!(trials(&context).len(), made, "{limit}");
    }
    let context = mixed();
    let dry = |model: &str| -> Value {
        let arguments = run(model, &["--dry-run", "--format", "json"]);
        let output = context.run(&arguments);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", stderr(&output)))
    };
    let (both, a, b) = (dry(HYBRID), dry(A), dry(B));
    let worst = |dry: &Value, name: &str| dry["estimate"]["worst"][name].as_u64().unwrap();
    for name in ["requests", "prompt_tokens", "output_tokens"] {
        assert_eq!(worst(&both, name), 2 * worst(&a, name), "{name}");
    }
    assert_eq!(both["estimate"]["typical"], a["estimate"]["typical"]);
    let cost = |dry: &Value, which: &str| dry["estimate"]["cost"][0][which].as_f64().unwrap();
    assert!((cost(&both, "typical") - cost(&a, "typical")).abs() < 1e-12);
    assert!((cost(&both, "worst") - cost(&a, "worst") - cost(&b, "worst")).abs() < 1e-12);
    let text = context.expect(0, &run(HYBRID, &["--dry-run"]));
    assert!(text.contains("every leg is asked each time"), "{text}");
    assert!(text.contains("Price of scripted:b.yaml"), "{text}");
    // A budget needs the price of each leg.
    context.write(
        "toolbench.toml",
        "[prices.\"scripted:a.yaml\"]\ninput = 1.0\noutput = 10.0\n",
    );
    let said = context.expect_error(2, &run(HYBRID, &["--budget", "1"]));
    assert!(
        said.contains("no price is known for `scripted:b.yaml`"),
        "{said}"
    );
}

#[test]
fn a_budget_is_never_passed_by_what_the_legs_cost() {
    let context = mixed();
    let worst = {
        let output = context.run(&run(HYBRID, &["--dry-run", "--format", "json"]));
        let dry: Value = serde_json::from_slice(&output.stdout).unwrap();
        dry["estimate"]["cost"][0]["worst"].as_f64().unwrap()
    };
    // What all trials may take at the worst is enough; a budget that no trial fits starts none.
    context.expect(0, &run(HYBRID, &["--budget", &format!("{}", worst * 1.01)]));
    let none = mixed();
    none.expect(3, &run(HYBRID, &["--budget", "0.000001"]));
    assert_eq!(trials(&none).len(), 0);
}

#[test]
fn a_cell_without_a_route_names_the_leg() {
    let template =
        "chat_template: '{% for message in messages %}{{ message.content }}{% endfor %}'\n";
    let context = prepared(RIGHT_SCRIPT, &format!("{template}{RIGHT_SCRIPT}"));
    let said = context.expect_error(3, &run(HYBRID, &["--dialect", "native"]));
    assert!(
        said.contains("leg `scripted:a.yaml`: a base model without a chat template"),
        "{said}"
    );
    let turned = "hybrid:scripted:b.yaml+scripted:a.yaml";
    let said = context.expect_error(3, &run(turned, &["--dialect", "native"]));
    assert!(
        said.contains("leg `scripted:b.yaml`: the model's chat template"),
        "{said}"
    );
}

#[test]
fn names_that_are_no_hybrid_are_refused_with_the_reason() {
    let context = prepared(RIGHT_SCRIPT, RIGHT_SCRIPT);
    let config = "[models.both]\nsource = \"hybrid:scripted:a.yaml+scripted:b.yaml\"\n\
        [models.odd]\nsource = \"scripted:a.yaml\"\nlatency-budget = 2.0\n\
        [models.served]\nsource = \"hybrid:scripted:a.yaml+scripted:b.yaml\"\nretries = 2\n";
    context.write("toolbench.toml", config);
    for (name, words) in [
        ("hybrid:", "names a provider and no model"),
        ("hybrid:scripted:a.yaml", "two or more models"),
        ("hybrid:scripted:a.yaml+", "two or more models"),
        ("hybrid:scripted:a.yaml+scripted:a.yaml", "twice"),
        (
            "hybrid:scripted:a.yaml+scripted:c.yaml",
            "leg `scripted:c.yaml`",
        ),
        ("hybrid:scripted:a.yaml+both", "is a hybrid itself"),
        ("odd", "says when to fall back"),
        ("served", "says how a server is asked"),
    ] {
        let said = context.expect_error(2, &run(name, &[]));
        assert!(said.contains(words), "{name}: {said}");
    }
    let said = context.expect_error(2, &run(HYBRID, &["--quant", "q4_0"]));
    assert!(said.contains("--quant"), "{said}");
}
