//! The taxonomy: for every code a trial that gets it and a near miss that does not, by the whole
//! command with a scripted model.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use toolbench::types::Code;

use crate::support::{Context, json_lines, stderr};

fn fixtures() -> Value {
    let text = include_str!("../../fixtures/codes.yaml");
    serde_saphyr::from_str(text).expect("fixtures/codes.yaml")
}

/// The two trials of an entry: the hit and the near miss.
fn play(all: &Value, entry: &Value) -> (Value, Value) {
    let case = |id: &str, key: &str| {
        let mut case = entry.get(key).unwrap_or(&entry["case"]).clone();
        case["id"] = json!(id);
        case["category"] = json!("codes");
        case["why"] = json!("taxonomy");
        case
    };
    let suite = json!({
        "suite": "codes", "description": "taxonomy", "system": all["system"],
        "tools": all["tools"], "mock": all["mock"],
        "cases": [case("hit", "case"), case("miss", "other_case")],
    });
    let script = json!({"name": "codes", "replies": {"hit": entry["hit"], "miss": entry["miss"]}});
    let context = Context::new();
    context.write("codes.json", &suite.to_string());
    context.write("model.yaml", &script.to_string());
    let flags: Vec<&str> = entry["flags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let constraint: &[&str] = if flags.contains(&"--constraint") {
        &[]
    } else {
        &["--constraint", "off"]
    };
    let corrections: &[&str] = if flags.contains(&"--max-corrections") {
        &[]
    } else {
        &["--max-corrections", "0"]
    };
    let mut arguments = vec!["run", "scripted:model.yaml", "--suite", "codes.json", "-q"];
    arguments.extend(flags);
    arguments.extend(constraint);
    arguments.extend(corrections);
    let output = context.run(&arguments);
    let run = context.runs().pop().unwrap_or_else(|| {
        panic!("{}: no run: {}", entry["code"], stderr(&output));
    });
    let lines = json_lines(&run.join("trials.jsonl"));
    let find = |id: &str| {
        lines
            .iter()
            .find(|trial| trial["case"] == id)
            .cloned()
            .unwrap_or_else(|| panic!("{}: no trial `{id}`", entry["code"]))
    };
    (find("hit"), find("miss"))
}

fn verdict(trial: &Value) -> &str {
    let outcome = &trial["outcome"];
    outcome["code"]
        .as_str()
        .or(outcome["kind"].as_str())
        .unwrap_or("none")
}

#[test]
fn every_code_has_a_fixture_that_gets_it_and_a_near_miss_that_does_not() {
    let all = fixtures();
    let mut wrong = Vec::new();
    for entry in all["codes"].as_array().expect("codes") {
        let code = entry["code"].as_str().expect("a code");
        let (hit, miss) = play(&all, entry);
        let noted = |trial: &Value| {
            trial["calls"]
                .as_array()
                .is_some_and(|calls| calls.iter().any(|call| call["code"] == code))
        };
        if entry["on_call"] == true {
            if !noted(&hit) || noted(&miss) {
                wrong.push(format!(
                    "{code}: noted {} and {}",
                    noted(&hit),
                    noted(&miss)
                ));
            }
        } else if verdict(&hit) != code {
            wrong.push(format!(
                "{code}: the hit is {}: {}",
                verdict(&hit),
                hit["violations"]
            ));
        }
        let found = entry["found"].as_str().expect("found");
        if verdict(&miss) != found {
            wrong.push(format!(
                "{code}: the near miss is {} instead of {found}: {}",
                verdict(&miss),
                miss["violations"]
            ));
        }
        assert_ne!(found, code);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_code_is_forgotten() {
    let all = fixtures();
    let played = all["codes"].as_array().expect("codes").iter();
    let mut known: BTreeSet<String> = played
        .filter_map(|entry| entry["code"].as_str().map(str::to_owned))
        .collect();
    for (code, place) in all["elsewhere"].as_object().expect("elsewhere") {
        let file = place["file"].as_str().expect("a file");
        let source = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(&source).expect("a source");
        let name = place["test"].as_str().expect("a test");
        assert!(
            source.contains(&format!("fn {name}(")),
            "{file} has no test {name}"
        );
        assert!(known.insert(code.clone()), "{code} is there twice");
    }
    let every: BTreeSet<String> = Code::ALL
        .iter()
        .map(|code| code.name().to_owned())
        .collect();
    assert_eq!(known, every);
}
