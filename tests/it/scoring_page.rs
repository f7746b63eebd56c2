//! The examples of `suites/SCORING.md`, each judged by both sets of rules.

use serde_json::{Value, json};

use crate::support::Context;

const PAGE: &str = include_str!("../../suites/SCORING.md");

/// Fenced lines of JSON.
fn examples() -> Vec<Value> {
    let mut fenced = Vec::new();
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        if line == "```json" {
            let text = lines.next().expect("an example");
            let value =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(lines.next(), Some("```"), "an example is one line: {text}");
            fenced.push(value);
        }
    }
    fenced
}

/// Question, answer (where the category has one) and recorded output of an example.
fn lines_of(id: &str, example: &Value) -> (Value, Option<Value>, Value) {
    let known = [
        "parameters",
        "required",
        "answer",
        "answers",
        "arguments",
        "calls",
        "call",
        "output",
        "category",
        "bfcl",
        "strict",
    ];
    for key in example.as_object().expect("an object").keys() {
        assert!(
            known.contains(&key.as_str()),
            "unknown key `{key}` in {example}"
        );
    }
    let function = json!({"name": "f", "description": "does it", "parameters": {
        "type": "dict", "properties": example["parameters"], "required": example["required"]}});
    let said = json!([[{"role": "user", "content": "do it"}]]);
    let question = json!({"id": id, "question": said, "function": [function]});
    let answers = match (&example["answers"], &example["answer"]) {
        (Value::Array(all), _) => Some(all.clone()),
        (_, answer @ Value::Object(_)) => Some(vec![answer.clone()]),
        _ => None,
    };
    let truth = answers.map(|all| {
        let calls: Vec<Value> = all.into_iter().map(|answer| json!({"f": answer})).collect();
        json!({"id": id, "ground_truth": calls})
    });
    let name = example["call"].as_str().unwrap_or("f");
    let call = |arguments: &Value| json!({"name": name, "arguments": arguments});
    let recorded = match (&example["output"], &example["calls"]) {
        (output @ Value::String(_), _) => json!({"id": id, "output": output}),
        (_, Value::Array(calls)) => {
            json!({"id": id, "calls": calls.iter().map(call).collect::<Vec<_>>()})
        }
        _ => json!({"id": id, "calls": [call(&example["arguments"])]}),
    };
    (question, truth, recorded)
}

#[test]
fn every_example_of_the_page_is_judged_as_it_says() {
    let context = Context::new();
    let examples = examples();
    assert!(examples.len() >= 30, "{} examples", examples.len());
    let mut files: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    let mut calls = String::new();
    for (number, example) in examples.iter().enumerate() {
        let category = example["category"].as_str().unwrap_or("simple_python");
        let id = format!("{category}_{number}");
        let (question, truth, recorded) = lines_of(&id, example);
        let name = format!("BFCL_v4_{category}.json");
        let mut add = |path: String, line: &Value| {
            files
                .entry(path)
                .or_default()
                .push_str(&format!("{line}\n"));
        };
        add(name.clone(), &question);
        if let Some(truth) = truth {
            add(format!("possible_answer/{name}"), &truth);
        }
        calls.push_str(&format!("{recorded}\n"));
    }
    for (name, text) in &files {
        context.write(&format!("data/{name}"), text);
    }
    context.write("calls.jsonl", &calls);
    context.expect(
        0,
        &["import", "bfcl", "--from", "data", "--out", "suite.json"],
    );
    let mut differing = 0;
    let judged = |rules: &str| -> Vec<Value> {
        let text = context.expect(
            0,
            &[
                "score",
                "--suite",
                "suite.json",
                "--calls",
                "calls.jsonl",
                "--rules",
                rules,
            ],
        );
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    };
    let (bfcl, strict) = (judged("bfcl"), judged("strict"));
    for ((example, bfcl), strict) in examples.iter().zip(&bfcl).zip(&strict) {
        for (rules, verdict) in [("bfcl", bfcl), ("strict", strict)] {
            assert_eq!(
                verdict["error_type"], example[rules],
                "--rules {rules}: {example}\n{verdict}"
            );
            assert_eq!(
                verdict["valid"],
                example[rules].is_null(),
                "--rules {rules}: {example}"
            );
        }
        differing += usize::from(example["bfcl"].is_null() != example["strict"].is_null());
    }
    // All but the last example show a difference.
    assert_eq!(differing, examples.len() - 1);
}
