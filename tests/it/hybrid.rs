//! Hybrids: when the next leg is asked, what is recorded, and what is counted.

use serde_json::Value;

use crate::endpoint_server::right;
use crate::support::endpoint_server::{EndpointServer, Request, Step};
use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr};

const HYBRID: &str = "hybrid:scripted:a.yaml+scripted:b.yaml";
const A: &str = "scripted:a.yaml";
const B: &str = "scripted:b.yaml";
/// Every request ends with a failure.
const DOWN: &str = "name: down\notherwise: {fault: network}\n";

/// [`RIGHT_SCRIPT`] with other lines for `t-time`.
fn with_time(lines: &str) -> String {
    RIGHT_SCRIPT.replace(
        "['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']",
        lines,
    )
}

fn zone(value: &str) -> String {
    format!("'{{\"tool\":\"get_time\",\"arguments\":{{\"zone\":{value}}}}}'")
}

fn prepared(a: &str, b: &str) -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("a.yaml", a);
    context.write("b.yaml", b);
    context
}

fn run<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "run",
        model,
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    all.extend(more);
    all
}

fn trials(context: &Context) -> Vec<Value> {
    json_lines(&context.only_run().join("trials.jsonl"))
}

fn trial(context: &Context, case: &str) -> Value {
    let mut trials = trials(context).into_iter();
    trials
        .find(|trial| trial["case"] == case)
        .expect("the case")
}

/// Leg and cause of every attempt of a case.
fn attempts(context: &Context, case: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let trial = trial(context, case);
    let attempts = trial["attempts"].as_array().expect("attempts");
    attempts
        .iter()
        .map(|attempt| (text(&attempt["leg"]), text(&attempt["passed_over"])))
        .collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(leg, cause): &(&str, &str)| ((*leg).to_owned(), (*cause).to_owned());
    list.iter().map(owned).collect()
}

fn report(context: &Context) -> Value {
    let output = context.run(&["report", "--format", "json"]);
    serde_json::from_slice(&output.stdout).expect("a summary")
}

#[test]
fn infrastructure_that_fails_is_passed_over() {
    for (fault, code) in [
        ("network", "network"),
        ("server_error", "server_5xx"),
        ("rate_limited", "rate_limited"),
        ("unanswered", "request_timeout"),
        ("crash", "oom_or_crash"),
        ("overflow", "prompt_truncated"),
    ] {
        let down = DOWN.replace("network", fault);
        let context = prepared(&down, RIGHT_SCRIPT);
        context.expect(0, &run(HYBRID, &[]));
        let turn = [(A, "infra"), (B, "")];
        assert_eq!(attempts(&context, "t-time"), pairs(&turn), "{fault}");
        // Both turns of the conversation begin with the first leg again.
        let both = [turn, turn].concat();
        assert_eq!(attempts(&context, "t-alarm"), pairs(&both), "{fault}");
        for trial in trials(&context) {
            assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
            assert_eq!(trial["attempts"][0]["violations"][0]["code"], code);
            assert_eq!(trial["attempts"][0].get("reply"), None);
        }
    }
}

#[test]
fn an_invalid_call_is_passed_over_without_a_correction_and_unseen() {
    let context = prepared(&with_time(&format!("[{}]", zone("7"))), RIGHT_SCRIPT);
    context.expect(0, &run(HYBRID, &[]));
    assert_eq!(
        attempts(&context, "t-time"),
        pairs(&[(A, "invalid"), (B, "")])
    );
    let trial = trial(&context, "t-time");
    assert_eq!(trial["outcome"]["kind"], "passed");
    assert_eq!(
        (&trial["corrections"], &trial["first_attempt_success"]),
        (&0.into(), &true.into())
    );
    let (first, second) = (&trial["attempts"][0], &trial["attempts"][1]);
    assert_eq!(first["violations"][0]["code"], "type_mismatch");
    assert!(first["reply"].is_string() && first["usage"]["output_tokens"].as_u64() > Some(0));
    assert_eq!(
        (&first["attempt"], &second["attempt"]),
        (&1.into(), &1.into())
    );
    assert_eq!(
        first["prompt"], second["prompt"],
        "the second leg is asked the same"
    );
    let calls = trial["calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1, "only the valid call is executed");
    // The time to a valid call holds the leg that wrote none.
    let time = trial["time"]["to_valid_call_ms"].as_f64().unwrap();
    assert!(time >= first["wall_ms"].as_f64().unwrap() + second["wall_ms"].as_f64().unwrap());
}

#[test]
fn slowness_is_passed_over() {
    let slow = with_time("[{fault: time_limit}]");
    let context = prepared(&slow, RIGHT_SCRIPT);
    context.expect(0, &run(HYBRID, &[]));
    assert_eq!(
        attempts(&context, "t-time"),
        pairs(&[(A, "latency"), (B, "")])
    );
    let first = &trial(&context, "t-time")["attempts"][0];
    assert_eq!(first["violations"][0]["code"], "trial_timeout");
    // The last leg's slowness is a result.
    let context = prepared(&slow, &slow);
    context.run(&run(HYBRID, &[]));
    let outcome = &trial(&context, "t-time")["outcome"];
    assert_eq!(
        (&outcome["kind"], &outcome["code"]),
        (&"limit".into(), &"trial_timeout".into())
    );
}

/// The questions of [`TINY_SUITE`] take three seconds here; everything else none.
fn slow(request: &Request) -> crate::support::endpoint_server::Reply {
    let mut reply = right(request);
    let asked = request.body["messages"].to_string();
    if ["what time", "wake me", "thanks!"]
        .iter()
        .any(|text| asked.contains(text))
    {
        reply.steps.insert(0, Step::WaitMs(3_000));
    }
    reply
}

#[test]
fn a_latency_budget_ends_the_wait_and_each_served_leg_is_probed() {
    let (first, second) = (EndpointServer::start(slow), EndpointServer::start(right));
    let context = prepared("", "");
    let leg = |name: &str, server: &EndpointServer| {
        format!(
            "[models.{name}]\nsource = \"openai-compatible:qwen-7b\"\nbase-url = \"{}\"\nretries = 0\n",
            server.base()
        )
    };
    let both = "[models.both]\nsource = \"hybrid:slow+quick\"\nlatency-budget = 0.3\n";
    context.write(
        "toolbench.toml",
        &format!("{}{}{both}", leg("slow", &first), leg("quick", &second)),
    );
    context.expect(0, &run("both", &["--dialect", "native"]));
    for trial in trials(&context) {
        assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
        for attempt in trial["attempts"].as_array().unwrap() {
            if attempt["leg"] == "slow" {
                assert_eq!(attempt["passed_over"], "latency", "{attempt}");
                assert!(attempt["wall_ms"].as_f64().unwrap() < 2_500.0, "{attempt}");
            }
        }
        let time = trial["time"]["total_ms"].as_f64().unwrap();
        assert!(time > 300.0, "{time}");
    }
    let header = std::fs::read_to_string(context.only_run().join("header.json")).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    let probed: Vec<&str> = header["probes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|set| set["model"].as_str())
        .collect();
    assert_eq!(probed, ["slow", "quick"]);
    let legs = header["models"][0]["legs"].as_array().unwrap();
    let endpoints: Vec<&Value> = legs.iter().map(|leg| &leg["facts"]["endpoint"]).collect();
    assert_ne!(endpoints[0], endpoints[1]);
    assert_eq!(header["models"][0]["fallback"]["latency_budget_ms"], 300);
    assert_eq!(
        report(&context)["totals"][0]["legs"][0]["passed_over"]["latency"],
        4
    );
}

#[test]
fn a_first_leg_that_is_right_is_the_only_one_asked() {
    let context = prepared(RIGHT_SCRIPT, DOWN);
    context.expect(0, &run(HYBRID, &[]));
    for trial in trials(&context) {
        for attempt in trial["attempts"].as_array().unwrap() {
            assert_eq!(attempt["leg"], A);
            assert_eq!(attempt.get("passed_over"), None);
        }
    }
    let legs = report(&context)["totals"][0]["legs"].clone();
    assert_eq!(
        (&legs[0]["attempts"], &legs[1]["attempts"]),
        (&4.into(), &0.into())
    );
    assert_eq!(
        legs[1]["success"]["rate"],
        Value::Null,
        "nothing ended there"
    );
    // A wrong value is valid: it is the trial that fails, and no leg is passed over.
    let context = prepared(&with_time(&format!("[{}]", zone("\"CET\""))), RIGHT_SCRIPT);
    context.run(&run(HYBRID, &[]));
    assert_eq!(attempts(&context, "t-time"), pairs(&[(A, "")]));
    assert_eq!(trial(&context, "t-time")["outcome"]["kind"], "failed");
}

#[test]
fn when_the_last_leg_is_invalid_too_a_correction_follows() {
    let a = with_time(&format!("[{}, {}]", zone("7"), zone("9")));
    let b = with_time(&format!("[{}, {}]", zone("8"), zone("\"UTC\"")));
    let context = prepared(&a, &b);
    context.expect(0, &run(HYBRID, &[]));
    assert_eq!(
        attempts(&context, "t-time"),
        pairs(&[(A, "invalid"), (B, ""), (A, "invalid"), (B, "")])
    );
    let trial = trial(&context, "t-time");
    assert_eq!(trial["outcome"]["kind"], "recovered");
    assert_eq!(trial["corrections"], 1);
    let numbers: Vec<&Value> = trial["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| &attempt["attempt"])
        .collect();
    assert_eq!(numbers, [1, 1, 2, 2]);
    assert_eq!(trial["attempts"][0].get("correction"), None);
    assert!(trial["attempts"][1]["correction"].is_string());
    // After the correction both legs see the last leg's reply, and nothing of the first one's.
    let content = json_lines(&context.only_run().join("content.jsonl"));
    let prompt = |attempt: usize| {
        let hash = &trial["attempts"][attempt]["prompt"];
        let line = content.iter().find(|line| line["hash"] == *hash).unwrap();
        line["value"].as_str().unwrap().to_owned()
    };
    for attempt in [2, 3] {
        let text = prompt(attempt);
        assert!(
            text.contains("\"zone\":8") && !text.contains("\"zone\":7"),
            "{text}"
        );
    }
    let corrections = &report(&context)["totals"][0]["corrections"];
    assert_eq!(corrections["corrected_trials"], 1);
    // Replies that stand: 2 + 2 + 1 in four turns.
    assert_eq!(corrections["attempts_per_turn"], 1.25);
}

#[test]
fn only_the_causes_asked_for_count() {
    let config = "[models.both]\nsource = \"hybrid:scripted:a.yaml+scripted:b.yaml\"\n\
        fallback-on = [\"infra\"]\n";
    let a = with_time(&format!("[{}, {}]", zone("7"), zone("\"UTC\"")));
    let context = prepared(&a, RIGHT_SCRIPT);
    context.write("toolbench.toml", config);
    context.expect(0, &run("both", &[]));
    assert_eq!(attempts(&context, "t-time"), pairs(&[(A, ""), (A, "")]));
    assert_eq!(trial(&context, "t-time")["outcome"]["kind"], "recovered");
    let context = prepared(DOWN, RIGHT_SCRIPT);
    context.write("toolbench.toml", &config.replace("infra", "invalid"));
    context.run(&run("both", &[]));
    let trial = trial(&context, "t-time");
    assert_eq!(trial["outcome"]["kind"], "infra", "{trial}");
    assert_eq!(trial["attempts"].as_array().unwrap().len(), 1);
}

#[test]
fn our_own_faults_ask_no_other_leg() {
    let context = prepared(&DOWN.replace("network", "rejected"), RIGHT_SCRIPT);
    context.run(&run(HYBRID, &[]));
    let trial = trial(&context, "t-time");
    assert_eq!(trial["outcome"]["kind"], "harness", "{trial}");
    assert_eq!(trial["attempts"].as_array().unwrap().len(), 1);
}

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
    assert_eq!(cost(&both, "typical"), cost(&a, "typical"));
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
    // The worst of all three is more than one may take, and less than nothing is not enough.
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
        said.contains("leg `scripted:a.yaml`: the weights hold no chat template"),
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

#[test]
fn three_legs_are_asked_in_order_under_a_grammar_too() {
    let context = prepared(DOWN, &with_time(&format!("[{}]", zone("7"))));
    context.write("c.yaml", RIGHT_SCRIPT);
    let name = "hybrid:scripted:a.yaml+scripted:b.yaml+scripted:c.yaml";
    context.expect(
        0,
        &[
            "run",
            name,
            "--suite",
            "tiny.yaml",
            "-q",
            "--constraint",
            "off,grammar",
        ],
    );
    for trial in trials(&context)
        .iter()
        .filter(|trial| trial["case"] == "t-time")
    {
        let causes: Vec<&Value> = trial["attempts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|attempt| &attempt["passed_over"])
            .collect();
        // Under a grammar a wrong type is the server's fault: it did not hold the grammar.
        let second = if trial["cell"]["constraint"] == "grammar" {
            "infra"
        } else {
            "invalid"
        };
        assert_eq!(
            causes,
            [&Value::from("infra"), &Value::from(second), &Value::Null]
        );
    }
}
