//! Tests of recordings: the text reads as a suite, and says what was recorded.

use super::*;

fn call(tool: &str, arguments: &Value, answer: RecordedAnswer) -> RecordedCall {
    RecordedCall {
        tool: tool.to_owned(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
        answer,
    }
}

fn text(text: &str) -> RecordedAnswer {
    RecordedAnswer::Result {
        text: text.to_owned(),
        structured: None,
        is_error: false,
    }
}

fn recording(sessions: Vec<RecordedSession>) -> Recording {
    let tool = json!({"name": "get", "description": "Gets.", "inputSchema": {"type": "object"}});
    Recording {
        name: "taken".to_owned(),
        origin: "the MCP server x 1.0".to_owned(),
        tools: vec![serde_json::from_value(tool).unwrap()],
        sessions,
    }
}

fn session(id: &str, calls: Vec<RecordedCall>) -> RecordedSession {
    RecordedSession {
        id: id.to_owned(),
        calls,
    }
}

fn rules(recording: &Recording) -> Vec<Value> {
    let (suite, _) = crate::suite::read_text("taken.yaml", &recording.text(None)).unwrap();
    let mock = suite.mock.unwrap();
    mock.rules
        .iter()
        .map(|rule| serde_json::to_value(rule).unwrap())
        .collect()
}

#[test]
fn equal_answers_make_one_rule_for_the_very_call() {
    let one = call("get", &json!({"a": 1}), text("x {{ y }}"));
    let rules = rules(&recording(vec![session("all", vec![one.clone(), one])]));
    assert_eq!(rules.len(), 1);
    assert_eq!(rules[0]["if"], "args | length == 1");
    assert_eq!(rules[0]["when"]["a"], 1);
    // Braces of the reply are no template.
    assert!(rules[0]["reply"].as_str().unwrap().starts_with("{{ \""));
}

#[test]
fn answers_that_change_come_in_their_order() {
    let calls = ["one", "one", "two"]
        .map(|word| call("get", &json!({}), text(word)))
        .into();
    let recording = recording(vec![session("all", calls)]);
    let rules = rules(&recording);
    let conditions: Vec<&str> = rules
        .iter()
        .map(|rule| rule["if"].as_str().unwrap())
        .collect();
    assert_eq!(
        conditions,
        [
            "args | length == 0 and state.answered.call_1 == 0",
            "args | length == 0 and state.answered.call_1 == 1",
            "args | length == 0",
        ]
    );
    assert_eq!(rules[1]["patch"][0]["value"], 2);
    let (suite, _) = crate::suite::read_text("taken.yaml", &recording.text(None)).unwrap();
    assert_eq!(suite.mock.unwrap().state["answered"]["call_1"], 0);
}

#[test]
fn cases_that_differ_are_told_apart() {
    let sessions = vec![
        session("a", vec![call("get", &json!({}), text("one"))]),
        session("b", vec![call("get", &json!({}), text("two"))]),
        session("c", vec![call("get", &json!({"x": 1}), text("same"))]),
    ];
    let suite: Suite = serde_json::from_value(json!({"suite": "real", "server": {"npm": "x@1.0.0", "entry": "i.js"},
        "cases": [{"id": "a", "user": "u", "expect": {"no_call": true}}, {"id": "c", "user": "u", "expect": {"no_call": true}}]}))
    .unwrap();
    let written = recording(sessions).text(Some(&suite));
    let (twin, _) = crate::suite::read_text("taken.yaml", &written).unwrap();
    assert_eq!((twin.suite.as_str(), twin.server), ("taken", None));
    assert_eq!(twin.cases[0].state, Some(json!({"recorded": "a"})));
    assert_eq!(twin.cases[1].state, None);
    let mock = twin.mock.unwrap();
    assert_eq!(mock.state, json!({"recorded": ""}));
    assert_eq!(
        mock.rules[1].condition.as_deref(),
        Some("args | length == 0 and state.recorded == \"b\"")
    );
}

#[test]
fn structures_errors_and_faults_are_kept() {
    let structured = json!({"n": 1, "t": "{% x %}"});
    let calls = vec![
        call(
            "get",
            &json!({"a": 1}),
            RecordedAnswer::Result {
                text: structured.to_string(),
                structured: Some(structured),
                is_error: true,
            },
        ),
        call(
            "get",
            &json!({"a": 2}),
            RecordedAnswer::Fault {
                fault: HostFault::Timeout,
                words: "no answer".to_owned(),
            },
        ),
    ];
    let rules = rules(&recording(vec![session("all", calls)]));
    assert_eq!(rules[0]["reply"]["n"], 1);
    assert_eq!(rules[0]["error"], true);
    assert_eq!(rules[1]["fault"], "timeout");
}
