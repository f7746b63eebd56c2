//! Tools by name, definitions in the server's form, results that find their calls.

use super::*;

fn zone(schema: &Value) -> ToolDefinition {
    serde_json::from_value(json!({"name": "get_time", "inputSchema": schema})).unwrap()
}

#[test]
fn known_tools_go_by_name_and_others_in_the_servers_form() {
    let page = json!({"tools": [{"name": "get_time", "parameters": [
        {"name": "zone", "type": "string", "required": true}]}]});
    let known = KnownTools::of(&[&page]);
    let own = zone(
        &json!({"type": "object", "properties": {"zone": {"type": "string"}},
        "required": ["zone"], "additionalProperties": false}),
    );
    let other = ToolDefinition {
        name: "set_alarm".to_owned(),
        ..own.clone()
    };
    assert_eq!(
        known.named(&[own, other]).unwrap(),
        json!(["get_time", {"name": "set_alarm", "description": "", "parameters": [
            {"name": "zone", "type": "string", "required": true}]}])
    );
    let named_only = KnownTools::of(&[&json!(["get_time"])]);
    assert_eq!(
        named_only.named(&[zone(&json!({}))]).unwrap(),
        json!(["get_time"])
    );
}

#[test]
fn a_tool_of_the_same_name_with_other_parameters_is_refused() {
    let page = json!({"data": [{"name": "get_time", "parameters": {"type": "object",
        "properties": {"place": {"type": "string"}}}}]});
    let refused = KnownTools::of(&[&page])
        .named(&[zone(&json!({"properties": {"zone": {"type": "string"}}}))])
        .unwrap_err();
    assert!(
        refused.to_string().contains("other parameters"),
        "{refused}"
    );
}

#[test]
fn results_find_their_calls_by_id_then_by_name() {
    let call = |id: &str| ToolCall {
        id: Some(id.to_owned()),
        ..ToolCall::new("a", json!({}))
    };
    let results = vec![
        (
            Some("2".to_owned()),
            "a".to_owned(),
            json!({"result": "two"}),
        ),
        (None, "a".to_owned(), json!({"error": "no"})),
        (None, "b".to_owned(), json!({"result": "nobody's"})),
    ];
    let found = executed(&[call("1"), call("2")], results);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].content.as_str(), found[0].is_error), ("no", true));
    assert_eq!(
        (found[1].content.as_str(), found[1].is_error),
        ("two", false)
    );
}
