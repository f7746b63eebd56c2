//! The mock host: rules, templates, patches, mistakes.

use serde_json::{Value, json};

use super::*;
use crate::types::suite::MockRule;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn tool(name: &str) -> ToolDefinition {
    serde_json::from_value(json!({"name": name})).unwrap()
}

fn host(mock: Value) -> Result<MockHost, MockError> {
    MockHost::new(
        "shop",
        vec![tool("find"), tool("buy"), tool("quiet")],
        serde_json::from_value(mock).unwrap(),
    )
}

fn shop() -> MockHost {
    host(json!({
        "state": {"items": {"a/b": {"price": 2.5, "left": 1}}, "orders": []},
        "rules": [
            {"tool": "find", "when": {"id": {"regex": "[a-z/]+"}}, "if": "args.id in state.items",
             "reply": {"id": "{{ args.id }}", "item": "{{ state.items[args.id] | tojson }}", "note": "it's <{{ args.note | default('plain') }}>"}},
            {"tool": "find", "reply": "no item {{ args.id }}", "error": true},
            {"tool": "buy", "if": "state.items[args.id].left > 0",
             "let": [{"name": "order", "value": "o-{{ counter('order') }}"},
                     {"name": "line", "value": "{{ {'id': order, 'item': args.id} | tojson }}"}],
             "reply": "ordered {{ line.id }}",
             "patch": [
                {"op": "add", "path": "/orders/-", "value": "{{ line | tojson }}"},
                {"op": "replace", "path": "/items/{{ args.id }}/left", "value": "{{ (state.items[args.id].left - 1) | tojson }}"}]},
            {"tool": "buy", "if": "args.break", "reply": "x", "patch": [
                {"op": "add", "path": "/orders/-", "value": 1}, {"op": "remove", "path": "/nowhere"}]}
        ]
    }))
    .unwrap()
}

fn call(session: &mut Box<dyn ToolSession>, name: &str, arguments: Value) -> ToolResult {
    block_on(session.call(&ToolCall::new(name, arguments))).unwrap()
}

#[test]
fn replies_are_json_or_text_and_nothing_is_escaped() {
    let host = shop();
    let mut session = block_on(host.open(None)).unwrap();
    let found = call(&mut session, "find", json!({"id": "a/b"}));
    assert_eq!(
        found.content,
        r#"{"id":"a/b","item":{"price":2.5,"left":1},"note":"it's <plain>"}"#
    );
    assert_eq!(found.structured.unwrap()["item"]["price"], 2.5);
    let scripted = call(&mut session, "find", json!({"id": "Zzz"}));
    assert_eq!(scripted.content, "no item Zzz");
    assert!(scripted.is_error && scripted.scripted_error);
}

#[test]
fn patches_change_the_own_state_only() {
    let host = shop();
    let mut first = block_on(host.open(None)).unwrap();
    let mut second =
        block_on(host.open(Some(&json!({"items": {"a/b": {"left": 5}, "c": null}})))).unwrap();
    assert_eq!(
        call(&mut first, "buy", json!({"id": "a/b"})).content,
        "ordered o-1"
    );
    assert_eq!(
        first.state().unwrap(),
        json!({"items": {"a/b": {"price": 2.5, "left": 0}}, "orders": [{"id": "o-1", "item": "a/b"}]})
    );
    call(&mut second, "buy", json!({"id": "a/b"}));
    assert_eq!(
        call(&mut second, "buy", json!({"id": "a/b"})).content,
        "ordered o-2"
    );
    assert_eq!(second.state().unwrap()["items"]["a/b"]["left"], 3);
}

#[test]
fn calls_that_nothing_answers_are_the_models_mistake() {
    let host = shop();
    let mut session = block_on(host.open(None)).unwrap();
    for (name, arguments) in [
        ("buy", json!({"id": "none"})),
        ("quiet", json!({})),
        ("unheard_of", json!({})),
        ("find", json!("text")),
    ] {
        let result = call(&mut session, name, arguments);
        assert!(result.is_error && !result.scripted_error, "{name}");
        assert!(
            result.content.starts_with("no such") || result.content.starts_with("invalid request"),
            "{}",
            result.content
        );
    }
}

#[test]
fn a_failing_patch_changes_nothing_and_names_its_rule() {
    let host = shop();
    let mut session = block_on(host.open(None)).unwrap();
    let broken = ToolCall::new("buy", json!({"id": "none", "break": true}));
    let error = block_on(session.call(&broken)).unwrap_err();
    assert_eq!(error.code, Code::ToolErrorEnv);
    assert!(
        error
            .message
            .contains("mock shop: mock.rules[3] (tool `buy`).patch"),
        "{error}"
    );
    assert_eq!(session.state().unwrap()["orders"], json!([]));
}

#[test]
fn work_is_bounded() {
    let host = host(json!({"state": null, "rules": [{"tool": "find",
        "reply": "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}"}]}))
    .unwrap();
    let mut session = block_on(host.open(None)).unwrap();
    let endless = ToolCall::new("find", json!({}));
    let error = block_on(session.call(&endless)).unwrap_err();
    assert!(
        error.message.contains("mock.rules[0] (tool `find`).reply"),
        "{error}"
    );
}

#[test]
fn mistakes_are_found_before_the_first_call_with_their_place() {
    let rule = |rule: Value| {
        let mut whole = json!({"tool": "find", "reply": ""});
        json_patch::merge(&mut whole, &rule);
        json!({"state": {}, "rules": [whole]})
    };
    for (mock, place, needle) in [
        (
            rule(json!({"tool": "fnd"})),
            "mock.rules[0] (tool `fnd`)",
            "the tools are find, buy",
        ),
        (
            rule(json!({"reply": {"a": ["{{ args.id "]}})),
            ".reply.a[0]",
            "syntax error",
        ),
        (
            rule(json!({"reply": "{{ argument.id }}"})),
            ".reply",
            "unknown name `argument`",
        ),
        (rule(json!({"if": "args.id =="})), ".if", "syntax error"),
        (rule(json!({"if": "arg.id"})), ".if", "unknown name `arg`"),
        (
            rule(json!({"let": [{"name": "state", "value": ""}]})),
            ".let.state",
            "taken",
        ),
        (
            rule(json!({"patch": [{"op": "put", "path": "/a"}]})),
            ".patch[0]",
            "`op` is one of",
        ),
        (
            rule(json!({"patch": [{"op": "add", "path": "/a"}]})),
            ".patch[0]",
            "needs `value`",
        ),
        (
            rule(json!({"patch": [{"op": "remove", "path": "a"}]})),
            ".patch[0]",
            "JSON pointer",
        ),
        (
            rule(json!({"patch": [{"op": "remove", "path": "/a", "vaule": 1}]})),
            ".patch[0]",
            "takes no `vaule`",
        ),
        (
            rule(json!({"patch": [{"op": "add", "path": "/a/{{ nme }}", "value": 1}]})),
            ".patch[0].path",
            "unknown name `nme`",
        ),
    ] {
        let error = host(mock).err().unwrap();
        assert!(error.location.contains(place), "{error}");
        assert!(error.message.contains(needle), "{error}");
    }
}

#[test]
fn equal_sessions_give_equal_replies() {
    let host = shop();
    let run = || {
        let mut session = block_on(host.open(None)).unwrap();
        let texts: Vec<String> = [json!({"id": "a/b"}), json!({"id": "q"})]
            .into_iter()
            .map(|arguments| call(&mut session, "buy", arguments).content)
            .collect();
        (texts, session.state())
    };
    assert_eq!(run(), run());
}

#[test]
fn an_empty_rule_answers_with_an_empty_text() {
    let mock = Mock {
        state: Value::Null,
        rules: vec![MockRule {
            tool: "quiet".to_owned(),
            reply: json!(""),
            ..MockRule::default()
        }],
        ..Mock::default()
    };
    let host = MockHost::new("s", vec![tool("quiet")], mock).unwrap();
    let mut session = block_on(host.open(None)).unwrap();
    assert_eq!(call(&mut session, "quiet", json!({})), ToolResult::ok(""));
}
