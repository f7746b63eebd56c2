//! Logged calls against tools in every usual shape.

use serde_json::json;

use super::{ToolCheck, ToolTotals, definitions};
use crate::score::calls::Reading;
use crate::score::verdict::Writer;

const SCHEMA: &str = r#"{"type":"object","properties":{"x":{"type":"integer"}},"required":["x"]}"#;

fn checked(lines: &[&str]) -> (Vec<serde_json::Value>, ToolTotals) {
    let tools = definitions(&format!(
        r#"[{{"name":"f","inputSchema":{SCHEMA}}},{{"name":"g"}}]"#
    ))
    .unwrap();
    let check = ToolCheck::new(&tools, Reading::default()).unwrap();
    let (mut writer, mut totals) = (Writer::default(), check.totals());
    for (index, line) in lines.iter().enumerate() {
        check.line(index as u64 + 1, line.as_bytes(), &mut writer, &mut totals);
    }
    let text = String::from_utf8(writer.out).unwrap();
    let verdicts = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (verdicts.collect(), totals)
}

#[test]
fn tools_are_read_in_every_usual_shape() {
    let mcp = format!(r#"{{"tools":[{{"name":"f","description":"d","inputSchema":{SCHEMA}}}]}}"#);
    let reply = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{mcp}}}"#);
    let chat = format!(
        r#"[{{"type":"function","function":{{"name":"f","description":"d","parameters":{SCHEMA}}}}}]"#
    );
    let plain = format!(r#"[{{"name":"f","description":"d","input_schema":{SCHEMA}}}]"#);
    let expected = definitions(&mcp).unwrap();
    assert_eq!(
        expected[0].input_schema,
        serde_json::from_str::<serde_json::Value>(SCHEMA).unwrap()
    );
    for text in [reply, chat, plain] {
        assert_eq!(definitions(&text).unwrap(), expected, "{text}");
    }
    for (text, reason) in [
        ("{", "not JSON"),
        ("{}", "no list of tools"),
        ("[]", "is empty"),
        ("[{}]", "tool 1: it has no `name`"),
        (r#"[{"name":"f"},{"name":"f"}]"#, "`f` is there twice"),
    ] {
        let error = definitions(text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn every_line_and_every_call_counts_once() {
    let (verdicts, totals) = checked(&[
        r#"{"id":"a","calls":[{"name":"f","arguments":{"x":1}}]}"#,
        r#"{"tool_calls":[{"type":"function","function":{"name":"f","arguments":"{\"x\": \"1\"}"}},{"function":{"name":"g","arguments":"{}"}}]}"#,
        r#"{"message":{"role":"assistant","tool_calls":[{"function":{"name":"h","arguments":"{}"}}]}}"#,
        r#"{"name":"f","arguments":{}}"#,
        r#"[{"name":"f","arguments":{"x":2}}]"#,
        r#"{"name":"f","arguments":"{"}"#,
        r#"{"message":{"role":"assistant","content":"hello"}}"#,
        r#"{"output":"[f(x=3)]"}"#,
        " ",
        "not JSON",
    ]);
    let errors: Vec<_> = verdicts
        .iter()
        .map(|verdict| verdict["error_type"].as_str())
        .collect();
    assert_eq!(
        errors,
        [
            None,
            Some("type_mismatch"),
            Some("unknown_tool"),
            Some("missing_required"),
            None,
            Some("malformed_json"),
            None,
            None,
            Some("invalid_line"),
        ]
    );
    assert_eq!(verdicts[8]["valid"], serde_json::Value::Null);
    assert_eq!((totals.invalid_lines, totals.first_invalid), (1, Some(10)));
    assert_eq!(verdicts[0]["id"], "a");
    assert_eq!(verdicts[1]["errors"][0]["param"], "x");
    assert_eq!(
        (totals.outputs, totals.parsed, totals.valid_outputs),
        (8, 7, 4)
    );
    assert_eq!(
        (totals.calls, totals.unknown, totals.schema_valid),
        (7, 1, 4)
    );
    let by_tool: Vec<_> = totals
        .by_tool
        .iter()
        .map(|tool| (tool.name.as_str(), tool.calls, tool.valid))
        .collect();
    assert_eq!(by_tool, [("f", 5, 3), ("g", 1, 1)]);
    assert_eq!(json!(totals.unknown_names), json!({"h": 1}));
    assert_eq!(
        json!(totals.codes),
        json!({"type_mismatch": 1, "unknown_tool": 1, "missing_required": 1, "malformed_json": 1})
    );
}
