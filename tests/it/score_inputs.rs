//! `score` on texts, result files, our own suites and logged calls.

use serde_json::{Value, json};

use crate::score::{calls, imported, lines_of, score};
use crate::support::{Context, stderr};

#[test]
fn texts_and_result_files_are_read() {
    let context = imported();
    let lines = [
        json!({"id": "multiple_0", "output": "[send(to='Ann')]"}),
        json!({"id": "multiple_0", "result": "```\nsend(to=\"ann\")\n```", "input_token_count": 5, "latency": 0.1}),
        json!({"id": "multiple_0", "result": [{"send": "{\"to\": \"Ann\"}"}]}),
        json!({"id": "irrelevance_0", "result": "I cannot."}),
        json!({"id": "multiple_0", "output": "Sure! send(to='Ann')"}),
    ];
    let text = lines_of(&lines);
    let verdicts = score(&context, 0, &text, &[]);
    let errors: Vec<Option<&str>> = verdicts
        .iter()
        .map(|verdict| verdict["error_type"].as_str())
        .collect();
    assert_eq!(
        errors,
        [None, None, None, None, Some("ast_decoder:decoder_failed")]
    );

    let json_text = r#"[{"function": "send", "parameters": {"to": "Ann"}}]"#;
    let verbose = r#"<functions><function name="send"><params><param name="to" value="Ann"/></params></function></functions>"#;
    let concise =
        r#"<functions><function name="send"><param name="to">Ann</param></function></functions>"#;
    for (decode, raw) in [
        ("json", json_text),
        ("xml", verbose),
        ("xml", concise),
        ("verbose_xml", verbose),
        ("concise_xml", concise),
        ("auto", json_text),
        ("auto", concise),
        ("auto", "send(to='Ann')"),
        ("auto", "<TOOLCALL>[send(to='Ann')]</TOOLCALL>"),
    ] {
        let line = format!("{}\n", json!({"id": "multiple_0", "output": raw}));
        let verdicts = score(&context, 0, &line, &["--decode", decode]);
        assert_eq!(verdicts[0]["valid"], true, "{decode}: {raw}");
    }
    let tagged = format!(
        "{}\n",
        json!({"id": "multiple_0", "output": "ok <TOOLCALL>send(to='Ann')</TOOLCALL>"})
    );
    assert_eq!(
        score(&context, 0, &tagged, &["--tool-call-tag"])[0]["valid"],
        true
    );
    assert_eq!(score(&context, 0, &tagged, &[])[0]["valid"], false);
}

#[test]
fn our_own_suites_are_judged_by_our_own_rules() {
    let context = Context::new();
    context.write(
        "tiny.yaml",
        "suite: tiny
description: a test
tools:
  - name: get_time
    inputSchema: {type: object, properties: {zone: {type: string}}, required: [zone]}
mock: {state: {}, rules: [{tool: get_time, reply: noon}]}
cases:
  - {id: t-1, category: simple, why: one call, user: what time is it in UTC?, expect: {calls: [{tool: get_time, arguments: {zone: UTC}}]}}
  - {id: t-2, category: none, why: no call, user: hello, expect: {no_call: true}}
  - {id: t-3, category: ask, why: asks back, user: what time is it?, expect: {ask_back: {contains: zone}}}
  - {id: t-4, category: state, why: state, user: set it, expect: {calls: [{tool: get_time, arguments: {zone: UTC}}], state: {anything: true}}}
  - {id: t-5, category: rounds, why: rounds, rounds: [{user: a, expect: {no_call: true}}, {user: b, expect: {no_call: true}}]}
",
    );
    let lines = [
        (calls("t-1", &[("get_time", json!({"zone": "UTC"}))]), None),
        (calls("t-1", &[("get_time", json!({"zone": "CET"}))]), Some("hallucinated_value")),
        (calls("t-1", &[("get_time", json!({"zone": 1}))]), Some("type_mismatch")),
        (calls("t-1", &[("get_tim", json!({}))]), Some("unknown_tool")),
        (calls("t-1", &[]), Some("missing_call")),
        (calls("t-1", &[("get_time", json!("{"))]), Some("malformed_json")),
        (calls("t-1", &[("get_time", json!(5))]), Some("wrong_envelope")),
        (calls("t-2", &[("get_time", json!({"zone": "UTC"}))]), Some("unwanted_call")),
        ("{\"id\": \"t-2\", \"output\": \"Hello!\"}\n".to_owned(), None),
        ("{\"id\": \"t-3\", \"calls\": [], \"answer\": \"Which time zone?\"}\n".to_owned(), None),
        ("{\"id\": \"t-1\", \"output\": \"I cannot tell.\"}\n".to_owned(), Some("missing_call")),
        ("{\"id\": \"t-1\", \"output\": \"get_time(zone=UTC\"}\n".to_owned(), Some("malformed_json")),
        (calls("t-3", &[]), Some("answer_mismatch")),
        ("{\"id\": \"t-1\", \"calls\": [{\"name\": \"get_time\", \"arguments\": {\"zone\": NaN}}]}\n".to_owned(), Some("malformed_json")),
        (calls("t-4", &[]), Some("needs_a_run")),
        (calls("t-5", &[]), Some("needs_a_run")),
    ];
    let text: String = lines.iter().map(|(line, _)| line.as_str()).collect();
    context.write("calls.jsonl", &text);
    let arguments = ["score", "--suite", "tiny.yaml", "--calls", "calls.jsonl"];
    let out = context.expect(0, &arguments);
    for (line, (input, expected)) in out.lines().zip(&lines) {
        let verdict: Value = serde_json::from_str(line).unwrap();
        assert_eq!(verdict["error_type"].as_str(), *expected, "{input}{line}");
        let valid = if *expected == Some("needs_a_run") {
            Value::Null
        } else {
            expected.is_none().into()
        };
        assert_eq!(verdict["valid"], valid, "{input}");
    }
    assert_eq!(out.lines().count(), lines.len());

    let told = context.expect_error(
        2,
        &[
            "score",
            "--suite",
            "tiny.yaml",
            "--calls",
            "calls.jsonl",
            "--rules",
            "bfcl",
        ],
    );
    assert!(
        told.contains("case `t-1` has no `bfcl` part") && told.contains("toolbench import bfcl"),
        "{told}"
    );
    context.write("calls.jsonl", &calls("t-5", &[]));
    assert!(
        context
            .expect_error(3, &arguments)
            .contains("without a run")
    );
}

#[test]
fn logged_calls_need_tools_only() {
    let context = Context::new();
    context.write(
        "tools.json",
        r#"{"tools": [{"name": "f", "inputSchema": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}}, {"name": "g", "inputSchema": {"type": "object"}}]}"#,
    );
    context.write(
        "log.jsonl",
        "{\"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}}]}\n{\"name\": \"f\", \"arguments\": {\"x\": \"1\"}}\n{\"name\": \"h\", \"arguments\": {}}\n{\"name\": \"f\", \"arguments\": \"{\"}\n",
    );
    let arguments = [
        "score",
        "--tools",
        "tools.json",
        "--calls",
        "log.jsonl",
        "--format",
        "json",
    ];
    let all: Value = serde_json::from_str(&context.expect(0, &arguments)).unwrap();
    let totals = &all["totals"];
    let share = |value: &Value| {
        (
            value["count"].as_u64().unwrap(),
            value["of"].as_u64().unwrap(),
        )
    };
    assert_eq!(share(&totals["parsed"]), (3, 4));
    assert_eq!(share(&totals["unknown_tool"]), (1, 3));
    assert_eq!(share(&totals["schema_valid"]), (1, 2));
    assert_eq!(share(&totals["valid"]), (1, 4));
    assert_eq!(share(&totals["tools"]["f"]["schema_valid"]), (1, 2));
    assert_eq!(totals["tools"]["g"]["schema_valid"]["rate"], Value::Null);
    assert!(totals["parsed"]["low"].as_f64().unwrap() < 0.75);
    assert_eq!(all["verdicts"][1]["errors"][0]["param"], "x");
    context.expect(
        1,
        &[
            "score",
            "--tools",
            "tools.json",
            "--calls",
            "log.jsonl",
            "--fail-under",
            "0.5",
        ],
    );
    let output = context.run(&["score", "--tools", "tools.json", "--calls", "log.jsonl"]);
    let told = stderr(&output);
    assert!(
        told.contains("outputs read") && told.contains("unknown tool `h`: 1 calls"),
        "{told}"
    );
    assert!(told.contains("1 tools were never called"), "{told}");

    context.expect(
        0,
        &[
            "score",
            "--tools",
            "weather",
            "--calls",
            "log.jsonl",
            "--quiet",
        ],
    );
    // A damaged line is no output: it counts in no rate, and the command says where it stands.
    let log = std::fs::read_to_string(context.path("log.jsonl")).unwrap();
    context.write("damaged.jsonl", &format!("{log}\nnothing\n"));
    let mut damaged = arguments;
    damaged[4] = "damaged.jsonl";
    let output = context.run(&damaged);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("1 of 5 lines of damaged.jsonl are nobody's output, the first is line 6"),
        "{told}"
    );
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found["totals"]["parsed"], totals["parsed"]);
    assert_eq!(found["totals"]["invalid_lines"], 1);
    assert_eq!(found["verdicts"][4]["valid"], Value::Null);

    context.write("none.json", "{}");
    let told = context.expect_error(
        2,
        &["score", "--tools", "none.json", "--calls", "log.jsonl"],
    );
    assert!(told.contains("none.json holds no tools"), "{told}");
    context.expect_error(
        2,
        &[
            "score",
            "--tools",
            "tools.json",
            "--suite",
            "weather",
            "--calls",
            "log.jsonl",
        ],
    );
    context.expect_error(2, &["score", "--calls", "log.jsonl"]);
}
