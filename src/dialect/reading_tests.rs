//! Tables of replies: what each reading says of them.

use super::dialect;
use super::test_support::{fixture, offer, reply, weather};
use crate::types::{Code, DialectName, Message, Prompt, Repair, Role, StopReason, ToolChoice};

struct Case {
    dialect: DialectName,
    text: &'static str,
    calls: usize,
    repairs: &'static [Repair],
    strict: Option<Code>,
}

#[test]
fn each_repair_is_recorded_and_the_strict_reading_says_what_is_wrong() {
    use DialectName::{Fenced, Json, Native, React};
    use Repair::*;
    let wrong = Some(Code::WrongEnvelope);
    let malformed = Some(Code::MalformedJson);
    let case = |dialect, text, calls, repairs, strict| Case {
        dialect,
        text,
        calls,
        repairs,
        strict,
    };
    for case in [
        case(
            Json,
            r#"{"tool":"get_weather","arguments":{"city":"A"}}"#,
            1,
            &[],
            None,
        ),
        case(
            Json,
            "```json\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}\n```",
            1,
            &[CodeFence],
            wrong,
        ),
        case(
            Json,
            "Sure! {\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}",
            1,
            &[SurroundingProse],
            wrong,
        ),
        case(
            Json,
            "{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}} ok?",
            1,
            &[SurroundingProse],
            wrong,
        ),
        case(
            Json,
            r#"{"tool":"get_weather","arguments":{"city":"A",}}"#,
            1,
            &[TrailingComma],
            malformed,
        ),
        case(
            Json,
            r"{'tool':'get_weather','arguments':{'city':'A'}}",
            1,
            &[Quotes],
            malformed,
        ),
        case(
            Json,
            "{\u{201c}tool\u{201d}:\u{201c}get_weather\u{201d},\u{201c}arguments\u{201d}:{\u{201c}city\u{201d}:\u{201c}A\u{201d}}}",
            1,
            &[Quotes],
            malformed,
        ),
        case(
            Json,
            r#"{"tool":"get_weather","arguments":{"city":None}}"#,
            1,
            &[PythonLiteral],
            malformed,
        ),
        case(
            Json,
            r#"{"name":"get_weather","parameters":{"city":"A"}}"#,
            1,
            &[KeyNames],
            wrong,
        ),
        case(
            Json,
            r#"{"function":{"name":"get_weather","arguments":{"city":"A"}}}"#,
            1,
            &[KeyNames],
            wrong,
        ),
        case(
            Json,
            r#"{"tool":"get_weather","city":"A"}"#,
            1,
            &[KeyNames],
            wrong,
        ),
        case(
            Json,
            r#"{"tool":"get_weather","arguments":"{\"city\":\"A\"}"}"#,
            1,
            &[StringArguments],
            None,
        ),
        case(
            Json,
            r#"{"tool":"get_weather","arguments":{"city":"A"}"#,
            1,
            &[UnclosedBracket],
            malformed,
        ),
        case(
            Json,
            "Action: get_weather\nAction Input: {\"city\":\"A\"}",
            1,
            &[OtherDialect],
            wrong,
        ),
        case(
            Json,
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\"}}\n</tool_call>",
            1,
            &[OtherDialect],
            wrong,
        ),
        case(
            Json,
            "<function=get_weather>{\"city\":\"A\"}</function>",
            1,
            &[OtherDialect],
            wrong,
        ),
        case(
            Json,
            r#"[{"tool":"get_weather","arguments":{}},{"tool":"list.files","arguments":{}}]"#,
            2,
            &[],
            None,
        ),
        case(
            Fenced,
            "Let me look.\n```tool\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}\n```",
            1,
            &[],
            None,
        ),
        case(
            Fenced,
            "```tool\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}```",
            1,
            &[CodeFence],
            wrong,
        ),
        case(
            Fenced,
            "```json\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}\n```",
            1,
            &[CodeFence],
            wrong,
        ),
        case(
            Fenced,
            "{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}",
            1,
            &[OtherDialect],
            wrong,
        ),
        case(
            Fenced,
            "```tool\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}\n```\nDone.",
            1,
            &[SurroundingProse],
            wrong,
        ),
        case(
            React,
            "Thought: x\nAction: get_weather\nAction Input: {\"city\":\"A\"}",
            1,
            &[],
            None,
        ),
        case(
            React,
            "Action: `get_weather`\nAction Input: {\"city\":\"A\"}",
            1,
            &[Quotes],
            None,
        ),
        case(
            React,
            "Action: get_weather\nAction Input: {\"city\":\"A\",}",
            1,
            &[TrailingComma],
            malformed,
        ),
        case(
            React,
            "Thought: x\n{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}",
            1,
            &[SurroundingProse, OtherDialect],
            wrong,
        ),
        case(
            React,
            "Action: get_weather\nAction Input: {}\nFinal Answer: 3",
            1,
            &[],
            wrong,
        ),
        case(
            Native,
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\"}}\n</tool_call>",
            1,
            &[],
            None,
        ),
        case(
            Native,
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\"}}",
            1,
            &[],
            wrong,
        ),
        case(
            Native,
            "```json\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\"}}\n```",
            1,
            &[CodeFence, KeyNames, OtherDialect],
            wrong,
        ),
        case(
            Native,
            "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\",}}\n</tool_call>",
            1,
            &[TrailingComma],
            malformed,
        ),
    ] {
        let offer = offer(Some(fixture("hermes")), ToolChoice::Auto);
        let decoded = dialect(case.dialect).decode(&offer, &reply(case.text));
        let codes: Vec<Code> = decoded
            .strict
            .violations
            .iter()
            .map(|found| found.code)
            .collect();
        assert_eq!(
            codes.first().copied(),
            case.strict,
            "{} {}",
            case.dialect,
            case.text
        );
        assert!(decoded.attempted_call, "{} {}", case.dialect, case.text);
        assert_eq!(
            decoded.lenient.calls.len(),
            case.calls,
            "{} {}",
            case.dialect,
            case.text
        );
        assert!(decoded.strict.repairs.is_empty());
        let mut expected = case.repairs.to_vec();
        expected.sort();
        if case.strict.is_some() || case.repairs == [StringArguments] {
            assert_eq!(
                decoded.lenient.repairs, expected,
                "{} {}",
                case.dialect, case.text
            );
        }
    }
}

#[test]
fn answers_and_failures_of_generation() {
    use DialectName::{Fenced, Json, React};
    let offer = offer(Some(fixture("hermes")), ToolChoice::Auto);
    let decode = |name, text: &str, stop| {
        let mut reply = reply(text);
        reply.stop_reason = stop;
        dialect(name).decode(&offer, &reply)
    };
    let codes = |decoded: &crate::types::Decoded| -> Vec<Code> {
        decoded
            .strict
            .violations
            .iter()
            .map(|found| found.code)
            .collect()
    };
    let stop = StopReason::Stop;
    for &name in DialectName::ALL {
        let decoded = decode(name, "It is warm.", stop);
        assert_eq!(
            decoded.strict.answer.as_deref(),
            Some("It is warm."),
            "{name}"
        );
        assert!(
            decoded.strict.violations.is_empty() && !decoded.attempted_call,
            "{name}"
        );
    }
    for (name, text) in [
        (Json, "{\"reply\":\"It is warm.\"}"),
        (Json, "Sure: {\"answer\":\"It is warm.\"}"),
        (React, "Thought: it is warm."),
    ] {
        let decoded = decode(name, text, stop);
        assert_eq!(codes(&decoded), [Code::WrongEnvelope], "{name}: {text}");
        assert!(!decoded.attempted_call, "{name}: {text}");
    }
    for &name in DialectName::ALL {
        assert_eq!(codes(&decode(name, " \n", stop)), [Code::EmptyOutput]);
        let inside = "<think>{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"A\"}}</think>";
        assert_eq!(
            codes(&decode(name, inside, stop)),
            [Code::ReasoningOnly],
            "{name}"
        );
        assert_eq!(
            codes(&decode(name, "<think>I", StopReason::MaxTokens)),
            [Code::MaxTokensCut]
        );
        let looping = "I will call the tool now. ".repeat(20);
        assert_eq!(
            codes(&decode(name, &looping, StopReason::MaxTokens))[0],
            Code::DegenerateLoop
        );
        let named = decode(name, "I would use get_weather(city=\"A\").", stop);
        assert_eq!(codes(&named), [Code::WrongEnvelope], "{name}");
        assert!(named.attempted_call, "{name}");
    }
    let cut = decode(
        Json,
        "{\"tool\":\"get_weather\",\"argu",
        StopReason::MaxTokens,
    );
    assert_eq!(codes(&cut), [Code::MaxTokensCut, Code::MalformedJson]);
    assert!(cut.attempted_call);
    let cut = decode(Fenced, "It is", StopReason::MaxTokens);
    assert_eq!(codes(&cut), [Code::MaxTokensCut]);
    let unknown = decode(Json, "{\"tool\":\"nothing\",\"arguments\":{}}", stop);
    assert_eq!(unknown.strict.calls[0].name, "nothing");
    let both = decode(
        React,
        "Thought: a\nFinal Answer: b\nAction: get_weather",
        stop,
    );
    assert_eq!(codes(&both), [Code::WrongEnvelope]);
    let answer = decode(Json, "{\"answer\":\"call get_weather(x)\"}", stop);
    assert!(answer.strict.violations.is_empty() && !answer.attempted_call);
}

#[test]
fn served_calls_are_read_and_unread_ones_are_the_servers_fault() {
    let mut offer = offer(Some(fixture("hermes")), ToolChoice::Auto);
    offer.route.wire = crate::types::Wire::ChatWithTools;
    let native = dialect(DialectName::Native);
    let mut served = reply("");
    served.calls = vec![weather("A")];
    assert_eq!(native.decode(&offer, &served).strict.calls, served.calls);
    let unread = reply(
        "<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"A\"}}</tool_call>",
    );
    let decoded = native.decode(&offer, &unread);
    assert_eq!(decoded.strict.violations[0].code, Code::CallInContent);
    let encoded = native.encode(&offer, &[Message::text(Role::User, "Hi")]);
    match encoded.prompt {
        Prompt::Chat {
            messages, tools, ..
        } => assert_eq!((messages.len(), tools.len()), (2, 2)),
        Prompt::Text { .. } => panic!("a chat prompt was wanted"),
    }
}

#[test]
fn arguments_that_a_server_could_not_read_are_the_models_slip() {
    let mut offer = offer(Some(fixture("hermes")), ToolChoice::Auto);
    offer.route.wire = crate::types::Wire::ChatWithTools;
    let native = dialect(DialectName::Native);
    let mut served = reply("");
    let text = "{\"city\": \"A\",}";
    served.calls = vec![
        weather("B"),
        crate::types::ToolCall::new("get_weather", serde_json::Value::from(text)),
    ];
    let decoded = native.decode(&offer, &served);
    let found = &decoded.strict.violations[0];
    assert_eq!((found.code, found.call), (Code::MalformedJson, Some(1)));
    assert!(decoded.strict.calls.is_empty() && decoded.attempted_call);
    // The repaired reading stands beside it.
    assert_eq!(decoded.lenient.calls[1], weather("A"));
    assert!(decoded.lenient.violations.is_empty());
    // What the token limit cut is called so; what no repair can read stays a fault in both.
    served.calls[1].arguments = serde_json::Value::from("nothing of the kind");
    assert_eq!(
        native.decode(&offer, &served).lenient.violations[0].code,
        Code::MalformedJson
    );
    served.stop_reason = StopReason::MaxTokens;
    assert_eq!(
        native.decode(&offer, &served).strict.violations[0].code,
        Code::MaxTokensCut
    );
}
