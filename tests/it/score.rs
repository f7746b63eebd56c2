//! `score` and `import` from the command line, on small data of the leaderboard's shape that is ours.

use serde_json::{Value, json};

use crate::support::{Context, stderr, stdout};

#[expect(clippy::needless_pass_by_value, reason = "reads better in the table")]
fn function(name: &str, properties: Value, required: &[&str]) -> Value {
    json!({"name": name, "description": "does it",
        "parameters": {"type": "dict", "properties": properties, "required": required}})
}

/// Values as lines of JSON.
pub fn lines_of(values: &[Value]) -> String {
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.join("\n") + "\n"
}

/// A data folder with one case or two in each of five categories.
pub fn with_data() -> Context {
    let context = Context::new();
    let said = json!([[{"role": "user", "content": "do it"}]]);
    let convert = function(
        "unit.convert",
        json!({"value": {"type": "integer"}, "unit": {"type": "string"}, "tags": {"type": "array", "items": {"type": "float"}},
            "point": {"type": "dict"}, "rows": {"type": "array", "items": {"type": "dict"}}, "odd": {"type": "number"}}),
        &["value"],
    );
    let send = function("send", json!({"to": {"type": "string"}}), &["to"]);
    let answer = json!({"value": [5], "unit": ["km", ""], "tags": [[1.0], ""], "point": [{"x": [1]}, ""],
        "rows": [[{"x": [1]}], ""], "odd": [1, ""]});
    let wide = json!({"value": [5], "unit": ["km"], "tags": [[1.0]], "point": ["", ""], "rows": [[{"x": [1]}]]});
    let case =
        |id: &str, functions: &[&Value]| json!({"id": id, "question": said, "function": functions});
    let truth = |id: &str, calls: Value| json!({"id": id, "ground_truth": calls});
    for (category, cases, truths) in [
        (
            "simple_python",
            vec![
                case("simple_python_0", &[&convert]),
                case("simple_python_1", &[&convert]),
            ],
            vec![
                truth("simple_python_0", json!([{"unit.convert": answer}])),
                truth("simple_python_1", json!([{"unit.convert": wide}])),
            ],
        ),
        (
            "multiple",
            vec![case("multiple_0", &[&convert, &send])],
            vec![truth("multiple_0", json!([{"send": {"to": ["Ann"]}}]))],
        ),
        (
            "parallel",
            vec![case("parallel_0", &[&send])],
            vec![truth(
                "parallel_0",
                json!([{"send": {"to": ["Ann"]}}, {"send": {"to": ["Bob"]}}]),
            )],
        ),
        ("irrelevance", vec![case("irrelevance_0", &[&send])], vec![]),
        (
            "live_relevance",
            vec![case("live_relevance_0-0-0", &[&send])],
            vec![],
        ),
    ] {
        let name = format!("BFCL_v4_{category}.json");
        context.write(&format!("pkg/data/{name}"), &lines_of(&cases));
        if !truths.is_empty() {
            context.write(
                &format!("pkg/data/possible_answer/{name}"),
                &lines_of(&truths),
            );
        }
    }
    context
}

pub fn imported() -> Context {
    let context = with_data();
    context.expect(
        0,
        &[
            "import",
            "bfcl",
            "--from",
            "pkg/data",
            "--out",
            "suite.json",
        ],
    );
    context
}

pub fn score(context: &Context, code: i32, calls: &str, more: &[&str]) -> Vec<Value> {
    context.write("calls.jsonl", calls);
    let mut arguments = vec![
        "score",
        "--suite",
        "suite.json",
        "--calls",
        "calls.jsonl",
        "--rules",
        "bfcl",
    ];
    arguments.extend(more);
    let text = context.expect(code, &arguments);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub fn calls(id: &str, made: &[(&str, Value)]) -> String {
    let made: Vec<Value> = made
        .iter()
        .map(|(name, arguments)| json!({"name": name, "arguments": arguments}))
        .collect();
    format!("{}\n", json!({"id": id, "calls": made}))
}

#[test]
fn every_error_identifier_comes_out_of_the_command() {
    let context = imported();
    let one = |arguments: Value| calls("simple_python_0", &[("unit.convert", arguments)]);
    let table = [
        (one(json!({"value": 5})), None),
        (
            one(json!({"value": 5, "unit": "K.M", "tags": [], "rows": []})),
            None,
        ),
        (
            calls("simple_python_0", &[]),
            Some("simple_function_checker:wrong_count"),
        ),
        (
            calls("simple_python_0", &[("unit_convert", json!({}))]),
            Some("simple_function_checker:wrong_func_name"),
        ),
        (
            one(json!({})),
            Some("simple_function_checker:missing_required"),
        ),
        (
            one(json!({"value": 5, "x": 1})),
            Some("simple_function_checker:unexpected_param"),
        ),
        (
            calls("simple_python_1", &[("unit.convert", json!({"value": 5}))]),
            Some("simple_function_checker:missing_optional"),
        ),
        (one(json!({"value": "5"})), Some("type_error:simple")),
        (
            calls(
                "simple_python_1",
                &[("unit.convert", json!({"value": 5, "tags": [1]}))],
            ),
            Some("type_error:nested"),
        ),
        (one(json!({"value": 6})), Some("value_error:others")),
        (
            one(json!({"value": 5, "unit": "mile"})),
            Some("value_error:string"),
        ),
        (
            one(json!({"value": 5, "tags": [2.0]})),
            Some("value_error:list/tuple"),
        ),
        (
            one(json!({"value": 5, "point": {}})),
            Some("value_error:dict_key"),
        ),
        (
            one(json!({"value": 5, "point": {"x": 2}})),
            Some("value_error:dict_value"),
        ),
        (
            calls(
                "simple_python_1",
                &[("unit.convert", json!({"value": 5, "point": {}}))],
            ),
            Some("dict_checker:unclear"),
        ),
        (
            one(json!({"value": 5, "rows": [{}, {}]})),
            Some("value_error:list_dict_count"),
        ),
        (one(json!({"value": 5, "odd": 1})), Some("checker_raised")),
        (
            calls("multiple_0", &[]),
            Some("multiple_function_checker:wrong_count"),
        ),
        (calls("multiple_0", &[("send", json!({"to": "ann"}))]), None),
        (
            calls(
                "parallel_0",
                &[
                    ("send", json!({"to": "Bob"})),
                    ("send", json!({"to": "Ann"})),
                ],
            ),
            None,
        ),
        (
            calls("parallel_0", &[("send", json!({"to": "Bob"}))]),
            Some("parallel_function_checker_no_order:wrong_count"),
        ),
        (
            calls(
                "parallel_0",
                &[
                    ("send", json!({"to": "Bob"})),
                    ("send", json!({"to": "Eve"})),
                ],
            ),
            Some("parallel_function_checker_no_order:cannot_find_match"),
        ),
        (calls("irrelevance_0", &[]), None),
        (
            calls("irrelevance_0", &[("x", json!({}))]),
            Some("irrelevance_error:decoder_success"),
        ),
        (
            calls("live_relevance_0-0-0", &[]),
            Some("relevance_error:decoder_failed"),
        ),
        (one(json!("{")), Some("ast_decoder:decoder_failed")),
        (
            one(json!([])),
            Some("ast_decoder:decoder_wrong_output_format"),
        ),
    ];
    let text: String = table.iter().map(|(line, _)| line.as_str()).collect();
    let verdicts = score(&context, 0, &text, &[]);
    assert_eq!(verdicts.len(), table.len());
    for (number, (verdict, (line, expected))) in verdicts.iter().zip(&table).enumerate() {
        assert_eq!(verdict["error_type"].as_str(), *expected, "{line}");
        assert_eq!(verdict["valid"], expected.is_none(), "{line}");
        assert_eq!(verdict["line"], number + 1);
        let recorded: Value = serde_json::from_str(line).unwrap();
        assert_eq!(verdict["id"], recorded["id"]);
        let category = recorded["id"].as_str().unwrap().rsplit_once('_').unwrap().0;
        assert_eq!(verdict["category"], category);
        assert_eq!(
            verdict["errors"].as_array().unwrap().is_empty(),
            expected.is_none()
        );
    }
    assert_eq!(
        verdicts[4].to_string(),
        r#"{"line":5,"id":"simple_python_0","category":"simple_python","valid":false,"error_type":"simple_function_checker:missing_required","errors":[{"call":0,"param":"value","message":"required parameter `value` is absent"}]}"#
    );
}

#[test]
fn bad_lines_are_verdicts_and_never_the_end() {
    let context = imported();
    let good = calls("multiple_0", &[("send", json!({"to": "Ann"}))]);
    let text = format!(
        "{good}{{\n\n[]\n{good}{{\"id\": \"multiple_9\", \"calls\": []}}\n{{\"id\": 5}}\n{good}\n\n"
    );
    context.write("calls.jsonl", &text);
    let arguments = [
        "score",
        "--suite",
        "suite.json",
        "--calls",
        "calls.jsonl",
        "--rules",
        "bfcl",
    ];
    let output = context.run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let errors: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["error_type"].clone())
        .collect();
    let bad = || json!("invalid_line");
    let (null, unknown) = (Value::Null, json!("unknown_case"));
    assert_eq!(
        errors,
        [
            null.clone(),
            bad(),
            bad(),
            bad(),
            null.clone(),
            unknown,
            bad(),
            null
        ]
    );
    let told = stderr(&output);
    assert!(
        told.contains(
            "1 of 8 outputs name cases that the suite does not have, the first `multiple_9`"
        ),
        "{told}"
    );
    assert!(told.contains("did you mean `multiple_0`"), "{told}");

    context.write("calls.jsonl", &format!("{good}x\n"));
    let told = context.expect_error(2, &arguments);
    assert!(
        told.contains("1 of 2 lines of calls.jsonl are nobody's output, the first is line 2"),
        "{told}"
    );

    std::fs::write(
        context.path("calls.jsonl"),
        b"\xef\xbb\xbf{\"id\":\"multiple_0\",\"calls\":[]}\r\n\xff\n",
    )
    .unwrap();
    let output = context.run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(stdout(&output).lines().count(), 2);
    assert!(stdout(&output).contains("multiple_function_checker:wrong_count"));
    assert!(stdout(&output).contains("not UTF-8"));

    context.write("calls.jsonl", "\n\n");
    assert!(
        context
            .expect_error(5, &arguments)
            .contains("holds no outputs")
    );
    assert!(
        context
            .expect_error(2, &["score", "--suite", "suite.json", "--calls", "absent"])
            .contains("cannot read absent")
    );
}

#[test]
fn floors_formats_and_files() {
    let context = imported();
    let text = calls("multiple_0", &[("send", json!({"to": "Ann"}))]) + &calls("multiple_0", &[]);
    for (rate, code) in [("0.5", 0), ("0.51", 1), ("0", 0), ("1", 1)] {
        score(&context, code, &text, &["--fail-under", rate]);
    }
    let wrong = [
        "score",
        "--suite",
        "suite.json",
        "--calls",
        "calls.jsonl",
        "--fail-under",
        "90",
    ];
    assert!(context.expect_error(2, &wrong).contains("between 0 and 1"));

    let all = context.expect(
        0,
        &[
            "score",
            "--suite",
            "suite.json",
            "--calls",
            "calls.jsonl",
            "--rules",
            "bfcl",
            "--format",
            "json",
        ],
    );
    let all: Value = serde_json::from_str(&all).unwrap();
    assert_eq!(
        (all["rules"].as_str(), all["suite"].as_str()),
        (Some("bfcl"), Some("suite.json"))
    );
    assert_eq!(all["verdicts"].as_array().unwrap().len(), 2);
    let totals = &all["totals"];
    assert_eq!(
        (
            totals["lines"].as_u64(),
            totals["all"]["valid"]["rate"].as_f64()
        ),
        (Some(2), Some(0.5))
    );
    assert_eq!(totals["categories"]["multiple"]["judged"], 2);
    assert_eq!(
        totals["all"]["errors"]["multiple_function_checker:wrong_count"],
        1
    );
    let (low, high) = (
        &totals["all"]["valid"]["low"],
        &totals["all"]["valid"]["high"],
    );
    // Wilson's interval for 1 of 2.
    assert!(
        (low.as_f64().unwrap() - 0.0945).abs() < 5e-4
            && (high.as_f64().unwrap() - 0.9055).abs() < 5e-4
    );

    let plain = context.expect(
        0,
        &[
            "score",
            "--suite",
            "suite.json",
            "--calls",
            "calls.jsonl",
            "--rules",
            "bfcl",
            "--format",
            "text",
        ],
    );
    assert!(plain.contains("     1  valid       multiple_0\n     2  invalid     multiple_0  multiple_function_checker:wrong_count\n"), "{plain}");

    let none = context.expect(
        0,
        &[
            "score",
            "--suite",
            "suite.json",
            "--calls",
            "calls.jsonl",
            "--rules",
            "bfcl",
            "--out",
            "verdicts.jsonl",
        ],
    );
    assert_eq!(none, "");
    let written = std::fs::read_to_string(context.path("verdicts.jsonl")).unwrap();
    assert_eq!(written.lines().count(), 2);
    let nowhere = [
        "score",
        "--suite",
        "suite.json",
        "--calls",
        "calls.jsonl",
        "--out",
        "no/such/folder/x",
    ];
    assert!(
        context
            .expect_error(4, &nowhere)
            .contains("cannot write no/such/folder/x")
    );

    let output = context.run(&[
        "score",
        "--suite",
        "suite.json",
        "--calls",
        "calls.jsonl",
        "--rules",
        "bfcl",
    ]);
    let told = stderr(&output);
    assert!(
        told.contains("multiple               1 of 2         50.0 %  [9.5, 90.5]"),
        "{told}"
    );
    assert!(
        told.contains("errors: multiple_function_checker:wrong_count 1"),
        "{told}"
    );
}
