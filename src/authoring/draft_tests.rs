//! Drafts that read as sound suites, whatever a server says.

use super::*;
use crate::suite::{read_text, suite_schema};
use crate::tools::ToolHost as _;
use crate::tools::mock::MockHost;
use crate::types::{Suite, ToolCall};

fn tool(name: &str, schema: Value) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        description: format!("What {name} does: this & that #1"),
        input_schema: schema,
        annotations: None,
    }
}

fn recorded(text: &str) -> Reply {
    Reply::Recorded {
        text: text.to_owned(),
        is_error: false,
    }
}

fn draft_of(tools: Vec<DraftTool>) -> Draft {
    Draft {
        name: "drafted".to_owned(),
        origin: "the MCP server `x`".to_owned(),
        tools,
        prompt_tokens: None,
        left_out: vec![("odd\ntool".to_owned(), "its schema is broken".to_owned())],
    }
}

/// Weather with an optional argument, a tool without any, one that was refused.
fn sample() -> Draft {
    let mut weather = DraftTool::plan(
        tool(
            "get.weather",
            json!({"type": "object", "required": ["city"], "properties": {
                "city": {"type": "string", "description": "such as Porto"}, "unit": {"enum": ["c", "f"], "default": "c"}}}),
        ),
        None,
    );
    let calls = weather.calls.as_mut().unwrap();
    calls[0].reply = recorded("12 °C {{ args.city }} {% if %}\n\n  \"x\" \\ \u{1b}\n");
    calls[1].reply = Reply::Recorded {
        text: "no such city".to_owned(),
        is_error: true,
    };
    let mut list = DraftTool::plan(tool("listAll", json!({"type": "object"})), None);
    list.calls.as_mut().unwrap()[0].reply = recorded("{\"a\": 1}");
    let mut write = DraftTool::plan(
        tool(
            "write",
            json!({"type": "object", "required": ["spec"], "properties": {"spec": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}}),
        ),
        None,
    );
    write.calls.as_mut().unwrap()[0].reply =
        Reply::NotCalled("it is not marked read-only".to_owned());
    let odd = DraftTool::plan(
        tool(
            "???",
            json!({"type": "object", "required": ["v"], "properties": {"v": false}}),
        ),
        None,
    );
    draft_of(vec![weather, list, write, odd])
}

fn read(text: &str) -> (Suite, Vec<crate::suite::Problem>) {
    read_text("drafted.yaml", text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_draft_is_a_suite_that_lacks_only_its_prompts() {
    let text = sample().text();
    assert!(text.starts_with(EDITOR_LINE));
    let (suite, problems) = read(&text);
    assert!(
        problems.iter().all(|problem| problem.unwritten),
        "{problems:?}"
    );
    assert_eq!(problems.len(), suite.cases.len());
    let ids: Vec<&str> = suite.cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "get-weather-call",
            "get-weather-with-unit",
            "get-weather-without-city",
            "get-weather-no-call",
            "list-all-call",
            "list-all-no-call",
            "write-call",
            "write-without-spec",
            "write-no-call",
            "tool-no-call",
        ]
    );
    let schema = suite_schema();
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    let errors: Vec<String> = jsonschema::validator_for(&schema)
        .unwrap()
        .iter_errors(&value)
        .map(|error| error.to_string())
        .collect();
    assert_eq!(errors, Vec::<String>::new());
    let written = text.replace(UNWRITTEN, "Please");
    assert_eq!(read(&written).1, vec![]);
}

#[test]
fn every_drafted_call_is_answered_as_recorded() {
    let (suite, _) = read(&sample().text());
    let host = MockHost::new("drafted", suite.tools.clone(), suite.mock.clone().unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = |name: &str, arguments: Value| {
        runtime.block_on(async {
            let mut session = host.open(None).await.unwrap();
            session.call(&ToolCall::new(name, arguments)).await.unwrap()
        })
    };
    let plain = answer("get.weather", json!({"city": "Porto"}));
    assert_eq!(
        plain.content,
        "12 °C {{ args.city }} {% if %}\n\n  \"x\" \\ \u{1b}\n"
    );
    assert!(!plain.is_error);
    let refused = answer("get.weather", json!({"city": "Porto", "unit": "f"}));
    assert_eq!(
        (refused.content.as_str(), refused.scripted_error),
        ("no such city", true)
    );
    assert!(answer("get.weather", json!({"city": "Rome"})).is_error);
    assert_eq!(answer("listAll", json!({})).content, "{\"a\": 1}");
    let placeholder = answer("write", json!({"spec": {"n": 9}}));
    assert!(
        placeholder
            .content
            .contains("no answer of write was recorded")
    );
}

#[test]
fn expectations_hold_objects_as_literals() {
    let (suite, _) = read(&sample().text());
    let case = suite
        .cases
        .iter()
        .find(|case| case.id == "write-call")
        .unwrap();
    let call = &case.all_rounds()[0].expect.calls[0];
    assert_eq!(call.arguments["spec"], Matcher::Equals(json!({"n": 3})));
    let back = suite
        .cases
        .iter()
        .find(|case| case.id == "get-weather-without-city");
    let expect = back.unwrap().all_rounds()[0].expect.clone();
    assert!(expect.ask_back.unwrap().matches(&json!("For which city?")));
}

#[test]
fn literals_are_never_read_as_operators() {
    for value in [
        json!([{"text": "a"}]),
        json!({"regex": "a"}),
        json!([["x"], {"a": 1}]),
        json!("text"),
        json!([]),
    ] {
        let back = Matcher::try_from(literal(&value)).unwrap();
        assert_eq!(back, Matcher::Equals(value));
    }
}

#[test]
fn a_question_names_what_is_missing() {
    for (argument, question, other) in [
        ("city", "For which city?", "For which date?"),
        ("repo_path", "What is the path?", "Why?"),
        ("id", "Which id is it?", "Did you mean Madrid?"),
    ] {
        let matcher = Matcher::try_from(asking_for(argument)).unwrap();
        assert!(matcher.matches(&json!(question)), "{question}");
        assert!(!matcher.matches(&json!(other)), "{other}");
    }
}

#[test]
fn a_draft_says_what_was_not_recorded() {
    let text = sample().text();
    for needle in [
        "placeholder, write what `write` answers: it is not marked read-only",
        "recorded: an error, since the arguments are made up",
        "Left out: tool `odd",
        "no call is drafted: no arguments could be made",
        "self_test: {first_tool: 0.2, call_everything: 0.2}",
    ] {
        assert!(text.contains(needle), "{needle}\n{text}");
    }
}

#[test]
fn long_replies_are_cut_and_say_so() {
    let mut list = DraftTool::plan(tool("list", json!({"type": "object"})), None);
    list.calls.as_mut().unwrap()[0].reply = recorded(&"ä".repeat(9_000));
    let text = draft_of(vec![list]).text();
    assert!(text.contains("cut after 8000 of 9000 characters"));
    let (suite, _) = read(&text);
    let reply = &suite.mock.unwrap().rules[0].reply;
    assert_eq!(reply.as_str().unwrap().chars().count(), 8_000);
}

#[test]
fn hostile_names_and_texts_stay_data() {
    let mut tools = Vec::new();
    for name in [
        "a: b # c",
        "- x",
        "*alias",
        "\u{202e}rtl",
        "{{ x }}",
        "né",
        "n\"é",
    ] {
        let mut definition = tool(
            name,
            json!({"type": "object", "required": ["{{ k }}: #"], "properties": {"{{ k }}: #": {"type": "string", "default": "- &x"}}}),
        );
        definition.description = "line\r\n---\n...\n\t- {% raw %}".to_owned();
        let mut planned = DraftTool::plan(definition, None);
        planned.calls.as_mut().unwrap()[0].reply = recorded("---\n{% endraw %}{# x");
        tools.push(planned);
    }
    let draft = draft_of(tools);
    let (suite, problems) = read(&draft.text());
    assert!(
        problems.iter().all(|problem| problem.unwritten),
        "{problems:?}"
    );
    for (read, written) in suite.tools.iter().zip(&draft.tools) {
        assert_eq!(read, &written.definition);
    }
    MockHost::new("drafted", suite.tools.clone(), suite.mock.clone().unwrap()).unwrap();
}
