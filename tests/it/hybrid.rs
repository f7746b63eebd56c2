//! Hybrids: when the next leg is asked, and what is recorded.

mod accounts;

use serde_json::Value;

use crate::endpoint_server::right;
use crate::support::endpoint_server::{EndpointServer, Request, Step};
use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines};

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
    let stored = json_lines(&context.only_run().join("content.jsonl"));
    let prompt = |attempt: usize| {
        let hash = &trial["attempts"][attempt]["prompt"];
        let line = stored.iter().find(|line| line["hash"] == *hash).unwrap();
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
