//! `toolbench sizing`: stored runs of several machines, models measured now, and mistakes.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A stored run of one scripted cell, put on a fixture's machine: its cases are repeated to `cases`, each of
/// 50 + 100 ms times `slowness`.
fn stored(
    context: &Context,
    name: &str,
    machine: &str,
    gpu_layers: u32,
    cases: usize,
    slowness: f64,
) {
    let sample = root().join("fixtures/records/sample");
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    let mut header: Value = serde_json::from_str(&read(&sample.join("header.json"))).unwrap();
    let fixture = root().join(format!("fixtures/hardware/fingerprints/{machine}.json"));
    let fixture: Value = serde_json::from_str(&read(&fixture)).unwrap();
    let tier = fixture["fingerprint"]["tier"].clone();
    header["fingerprint"] = fixture["fingerprint"].clone();
    header["run"] = json!(name);
    header["excluded"] = json!([]);
    header["planned_trials"] = json!(cases);
    header["models"].as_array_mut().unwrap().truncate(1);
    let facts = &mut header["models"][0]["facts"];
    facts["provider"] = json!("engine");
    facts["parameters"] = json!(134_515_008);
    facts["file_bytes"] = json!(98_000_000);
    facts["quantisation"] = json!("Q4_1");
    facts["gpu_layers"] = json!(gpu_layers);
    header["cells"].as_array_mut().unwrap().truncate(1);
    let cell = &mut header["cells"][0];
    cell["key"]["tier"] = tier.clone();
    cell["cases"] = json!(cases);
    cell["trials"] = json!(cases);
    let lines = read(&sample.join("trials.jsonl"));
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    let mut trials = String::new();
    for case in 0..cases {
        let mut trial = first.clone();
        trial["id"] = json!(format!("trial-{case}"));
        trial["case"] = json!(format!("case-{case}"));
        trial["position"] = json!(case);
        trial["cell"]["tier"] = tier.clone();
        trial["cell_id"] = header["cells"][0]["id"].clone();
        trial["time"]["total_ms"] = json!(151.0 * slowness);
        trial["time"]["to_valid_call_ms"] = json!(150.0 * slowness);
        let timing = &mut trial["attempts"][0]["timing"];
        timing["prefill_ms"] = json!(50.0 * slowness);
        timing["decode_ms"] = json!(100.0 * slowness);
        timing["total_ms"] = json!(150.0 * slowness);
        trials.push_str(&format!("{trial}\n"));
    }
    context.write(&format!("reports/{name}/header.json"), &header.to_string());
    context.write(&format!("reports/{name}/trials.jsonl"), &trials);
}

fn json_of(context: &Context, code: i32, arguments: &[&str]) -> Value {
    let mut all = vec!["sizing"];
    all.extend(arguments);
    all.extend(["--format", "json"]);
    serde_json::from_str(&context.expect(code, &all)).unwrap()
}

/// The processor is too slow, the Mac and the card do; the Mac is the smaller one.
#[test]
fn the_smallest_of_several_machines_is_named() {
    let context = Context::new();
    stored(&context, "server", "cpu-4c-16g-avx2", 0, 90, 20.0);
    stored(&context, "mac", "mac-m2-max-32g", 99, 90, 2.0);
    stored(&context, "card", "gpu-rtx-4090-24g", 99, 90, 1.0);
    let runs = ["server", "mac", "card"];
    let wanted = ["--success", "80", "--p95", "1"];
    let page = json_of(&context, 3, &[&runs[..], &wanted].concat());
    // Six bounds of 0.83 % each need 94 cases.
    assert_eq!(
        page["answer"]["verdict"], "not_enough_data",
        "{}",
        page["answer"]
    );
    assert_eq!(page["answer"]["claims"][1]["cases_needed"], 94);
    for (name, machine, layers, slowness) in [
        ("server", "cpu-4c-16g-avx2", 0, 20.0),
        ("mac", "mac-m2-max-32g", 99, 2.0),
        ("card", "gpu-rtx-4090-24g", 99, 1.0),
    ] {
        stored(&context, name, machine, layers, 100, slowness);
    }
    let page = json_of(&context, 0, &[&runs[..], &wanted].concat());
    assert_eq!(page["answer"]["tier"], "m2-max-32g", "{}", page["answer"]);
    let verdicts: Vec<&Value> = page["answer"]["claims"]
        .as_array()
        .unwrap()
        .iter()
        .map(|claim| &claim["verdict"])
        .collect();
    assert_eq!(verdicts, ["misses", "holds", "holds"]);
    let text = context.expect(0, &[&["sizing"], &runs[..], &wanted].concat());
    assert!(
        text.contains("m2-max-32g is the smallest measured tier"),
        "{text}"
    );
    assert!(
        text.contains("Predicted for tiers nobody has run"),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn what_no_measured_tier_does_is_predicted_and_ends_with_1() {
    let context = Context::new();
    stored(&context, "server", "cpu-4c-16g-avx2", 0, 100, 20.0);
    let page = json_of(&context, 1, &["server", "--p95", "1"]);
    assert_eq!(page["answer"]["verdict"], "misses");
    assert_eq!(page["answer"]["tier"], Value::Null);
    let sentence = page["answer"]["sentence"].as_str().unwrap();
    assert!(sentence.contains("no measured tier does"), "{sentence}");
    assert!(sentence.contains("predicted: "), "{sentence}");
    // Only the tiers that were asked for.
    let page = json_of(&context, 1, &["server", "--p95", "1", "--tier", "l4,a10"]);
    let mut tiers: Vec<&str> = page["predictions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["tier"].as_str().unwrap())
        .collect();
    tiers.dedup();
    assert_eq!(tiers, ["l4", "a10"]);
}

#[test]
fn a_users_tiers_are_read_and_their_price_counts() {
    let context = Context::new();
    stored(&context, "server", "cpu-4c-16g-avx2", 0, 100, 1.0);
    context.write(
        "own/tiers.yaml",
        "version: 1\ntiers:\n  - {name: office, title: office server, device: cpu, memory-gib: 16, match: {cores: [4, 4]}, reserve-gib: 2, price: {amount: 8766, lifetime-years: 1, currency: EUR}}\n",
    );
    let page = json_of(&context, 0, &["server", "--data", "own"]);
    let cell = &page["cells"][0];
    assert_eq!(cell["tier"], "office");
    // One EUR an hour, 151 ms a success.
    let cost = cell["machine_cost_per_success"].as_f64().unwrap();
    assert!((cost - 0.151 / 3600.0).abs() < 1e-6, "{cost}");
    context.write(
        "own/tiers.yaml",
        "version: 1\ntiers: [{name: a, device: tpu, memory-gib: 1}]\n",
    );
    let error = context.expect_error(2, &["sizing", "server", "--data", "own"]);
    assert!(
        error.contains("tiers.yaml") && error.contains("tpu"),
        "{error}"
    );
}

#[test]
fn models_are_measured_at_each_load_and_are_on_record() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    let measured = [
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    let flags = ["--load", "1,2", "--demand", "100/h"];
    let page = json_of(&context, 0, &[&measured[..], &flags].concat());
    assert_eq!(context.runs().len(), 2);
    let loads: Vec<&Value> = page["load"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["concurrency"])
        .collect();
    assert_eq!(loads, [1, 2]);
    assert_eq!(page["demands"].as_array().unwrap().len(), 1);
    assert_eq!(page["cells"][0]["success"]["rate"], 1.0);
    // A script has no weights: nothing is carried anywhere.
    assert_eq!(page["predictions"], json!([]));
    // What was asked cannot be judged without a measurement one at a time.
    let asked = ["--load", "2", "--p95", "60"];
    let page = json_of(&context, 3, &[&measured[..], &asked].concat());
    assert_eq!(page["answer"], Value::Null);
    assert!(
        page["notes"][0].as_str().unwrap().contains("add 1"),
        "{}",
        page["notes"]
    );
    let contexts = ["--context", "2048,8192"];
    let page = json_of(&context, 0, &[&measured[..], &contexts].concat());
    let shown: Vec<&Value> = page["contexts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["context_tokens"])
        .collect();
    assert_eq!(shown, [2048, 8192]);
    assert_eq!(context.runs().len(), 5);
    let dry = context.expect(0, &[&["sizing"], &measured[..], &["--dry-run"]].concat());
    assert!(dry.contains("trials") && context.runs().len() == 5, "{dry}");
}

#[test]
fn mistakes_say_what_to_do() {
    let context = Context::new();
    let error = context.expect_error(5, &["sizing"]);
    assert!(
        error.contains("no run of a model on this machine is stored in reports"),
        "{error}"
    );
    assert!(error.contains("toolbench sizing smollm2"), "{error}");
    stored(&context, "server", "cpu-4c-16g-avx2", 0, 10, 1.0);
    stored(&context, "two-a", "cpu-4c-16g-avx2", 0, 10, 1.0);
    stored(&context, "two-b", "cpu-4c-16g-avx2", 0, 10, 1.0);
    for (arguments, words) in [
        (&["two-"][..], &["several runs", "two-a, two-b"][..]),
        (
            &["server", "--tier", "l44"],
            &["unknown tier `l44`", "did you mean `l4`"],
        ),
        (
            &["server", "--tier", "zzz"],
            &["unknown tier `zzz`", "the tiers are"],
        ),
        (
            &["server", "--demand", "many"],
            &["`--demand many` is no demand", "500/h, 20/min, 2/s"],
        ),
        (
            &["server", "--success", "120"],
            &["`--success 120` is no rate", "80%"],
        ),
        (&["server", "--p95", "-1"], &["-1"]),
        (
            &["server", "--load", "1,2"],
            &["`--load` is about models", "toolbench sizing smollm2"],
        ),
        (&["server", "--context", "0"], &["`0` is no context"]),
        (
            &["server", "--format", "jsonl"],
            &["no format `jsonl`", "terminal, json"],
        ),
        (&["server", "--objective", "calls"], &["valid-call"]),
        (&["servr"], &["servr", "no run is stored"]),
    ] {
        let error = context.expect_error(2, &[&["sizing"], arguments].concat());
        for word in words {
            assert!(error.contains(word), "{arguments:?}: {error}");
        }
    }
}
