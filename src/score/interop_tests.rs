//! Shapes of other tools' files; whole files stand in `fixtures/interop` and `tests/it/interop.rs`.

use super::*;

fn lines(found: &Outputs) -> Vec<serde_json::Value> {
    String::from_utf8(found.lines.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn of_output(output: &str) -> serde_json::Value {
    let file = format!(
        r#"{{"version":3,"results":[{{"testCase":{{"metadata":{{"case":"a"}}}},"vars":{{}},"provider":{{"id":"p"}},"response":{{"output":{output}}}}}]}}"#
    );
    lines(&read(file.as_bytes(), None).unwrap().unwrap()).remove(0)
}

#[test]
fn every_form_of_a_call_is_read() {
    for output in [
        r#"[{"id":"1","type":"function","function":{"name":"f.g","arguments":"{\"x\": 1}"}}]"#,
        r#"{"role":"assistant","content":"so:","tool_calls":[{"type":"function","function":{"name":"f.g","arguments":"{\"x\": 1}"}}]}"#,
        r#"{"name":"f.g","arguments":"{\"x\": 1}","type":"function_call","call_id":"c"}"#,
        r#""{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f.g\",\"input\":{\"x\": 1}}""#,
        r#""Let me see.\n\n{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f.g\",\"input\":{\"x\": 1}}""#,
        r#"[{"functionCall":{"name":"f.g","args":{"x": 1}}}]"#,
        "[{\"type\":\"text\",\"text\":\"so\"},\n {\"type\":\"tool_use\",\"name\":\"f.g\",\n\"input\":{\"x\":\n1}}]",
    ] {
        let line = of_output(output);
        assert_eq!(line["id"], "a");
        let call = &line["calls"][0];
        assert_eq!(call["name"], "f.g", "{output}: {line}");
        let arguments = match &call["arguments"] {
            serde_json::Value::String(text) => serde_json::from_str(text).unwrap(),
            other => other.clone(),
        };
        assert_eq!(arguments, serde_json::json!({"x": 1}), "{output}");
    }
}

#[test]
fn what_is_no_call_stays_text() {
    for (output, text) in [
        (r#""Which city?""#, "Which city?"),
        (r#"{"city":"Rome"}"#, r#"{"city":"Rome"}"#),
        (r#"{"role":"assistant","content":"no"}"#, "no"),
        (
            r#""{\"type\":\"text\",\"name\":\"f\"}""#,
            r#"{"type":"text","name":"f"}"#,
        ),
    ] {
        assert_eq!(of_output(output)["output"], text, "{output}");
    }
    assert_eq!(of_output("[]")["calls"], serde_json::json!([]));
}

#[test]
fn numbers_keep_their_spelling() {
    let line =
        r#"[{"type":"tool_use","name":"f","input":{"x":1.0,"y":123456789012345678901234567890}}]"#;
    let file = format!(
        r#"{{"results":{{"version":2,"results":[{{"vars":{{"id":7}},"response":{{"output":{line}}}}}]}}}}"#
    );
    let found = read(file.as_bytes(), None).unwrap().unwrap();
    let text = String::from_utf8(found.lines).unwrap();
    assert!(text.starts_with(r#"{"id":"7","#), "{text}");
    assert!(
        text.contains(r#""x":1.0,"y":123456789012345678901234567890"#),
        "{text}"
    );
}

#[test]
fn what_is_null_is_absent() {
    let file = br#"{"version":3,"results":[{"testCase":null,"description":"a","vars":null,"provider":null,"response":{"output":null}},
        {"testCase":{"description":"b","metadata":null},"response":{"output":"x"}}]}"#;
    let found = read(file, None).unwrap().unwrap();
    assert_eq!(
        (found.outputs, found.left_out.values().sum::<usize>()),
        (1, 1)
    );
    let log = br#"{"status":"success","eval":{"model":"m"},"samples":[{"id":3,"messages":null,"attachments":null,
        "output":{"choices":[{"message":{"role":"assistant","content":"hi","tool_calls":null}}]}},{"id":4,"output":null}]}"#;
    let found = read(log, None).unwrap().unwrap();
    assert_eq!(
        lines(&found),
        [serde_json::json!({"id": "3", "output": "hi"})]
    );
    assert_eq!(found.left_out.values().sum::<usize>(), 1);
    let empty = read(
        br#"{"status":"error","eval":{"model":"m"},"samples":null}"#,
        None,
    );
    assert_eq!(empty.unwrap().unwrap().outputs, 0);
}

#[test]
fn lines_of_outputs_are_nobody_elses() {
    for head in [
        r#"{"id":"a","calls":[]}"#,
        r#"{"id":"a","result":"f()"}"#,
        r#"{"id":"a","results":[],"output":"x"}"#,
        "[f(x=1)]",
        "",
    ] {
        assert!(!may_be_foreign(head.as_bytes()), "{head}");
        let whole = read(head.as_bytes(), None).unwrap();
        assert!(whole.is_none() || head.contains("results"), "{head}");
    }
    assert!(may_be_foreign(b"{\n  \"version\": 3,"));
    assert!(may_be_foreign(b"PK\x03\x04rest"));
    // An indented file that is nobody's is handed back.
    assert_eq!(read(b"{\n \"id\": \"a\"\n}", None), Ok(None));
    assert_eq!(read(b"{\n not json", None), Ok(None));
}

#[test]
fn python_writes_what_json_has_no_word_for() {
    let text = br#"{"a":NaN,"b":[-Infinity,Infinity],"c":"NaN \" NaN"}"#;
    let plain = without_nan(text).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    assert_eq!(
        value,
        serde_json::json!({"a": null, "b": [null, null], "c": "NaN \" NaN"})
    );
    assert_eq!(without_nan(b"{}"), None);
}

#[test]
fn hostile_archives_end_in_an_error() {
    for bytes in [
        &b"PK\x03\x04"[..],
        b"PK\x03\x04\x14\x00\x00\x00\x08\x00 and then nothing of an archive",
    ] {
        assert!(matches!(
            read(bytes, None),
            Err(InteropError::Archive { .. })
        ));
    }
}
