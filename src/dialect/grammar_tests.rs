//! Every dialect's grammar under llguidance, byte by byte.

use serde_json::json;

use super::dialect;
use super::native_form::NativeForm;
use super::test_support::{Judge, form, offer, places, reply, tool, weather, written};
use crate::types::cell::Reasoning;
use crate::types::{DialectName, ToolCall, ToolChoice};

#[test]
fn grammars_compile_and_take_exactly_the_form() {
    let judge = Judge::new();
    for (name, template) in places() {
        for &choice in ToolChoice::ALL {
            for reasoning in [Reasoning::Off, Reasoning::Tokens(32)] {
                let mut offer = offer(template, choice);
                offer.reasoning = reasoning;
                let grammar = dialect(name).grammar(&offer);
                let thought = if name == DialectName::React {
                    "Thought: now\n"
                } else {
                    ""
                };
                let call = format!("{thought}{}", written(name, &offer, &[weather("Zürich")]));
                let empty = ToolCall::new("list.files", json!({}));
                let empty = format!("{thought}{}", written(name, &offer, &[empty]));
                for text in [&call, &empty] {
                    let taken = judge.accepts(&grammar, text);
                    assert_eq!(
                        taken.is_ok(),
                        choice != ToolChoice::None,
                        "{name} {choice} {taken:?}"
                    );
                }
                let answer = match name {
                    DialectName::Json => "{\"answer\":\"It is \\\"warm\\\".\"}".to_owned(),
                    DialectName::React => "Thought: now\nFinal Answer: It is warm.".to_owned(),
                    DialectName::Native | DialectName::Fenced => "It is warm.\nVery.".to_owned(),
                };
                let taken = judge.accepts(&grammar, &answer);
                assert_eq!(
                    taken.is_ok(),
                    choice != ToolChoice::Required,
                    "{name} {choice} {taken:?}"
                );
                for wrong in [
                    call.replace("get_weather", "get_whether"),
                    call.replace("city", "town"),
                    format!("{call} and"),
                    format!("{answer}{call}"),
                    String::new(),
                ] {
                    // With reasoning on, text before a call is the thought.
                    if reasoning != Reasoning::Off && wrong.starts_with("It is warm") {
                        continue;
                    }
                    assert!(
                        judge.accepts(&grammar, &wrong).is_err(),
                        "{name} {choice} {wrong}"
                    );
                }
            }
        }
    }
}

#[test]
fn grammars_take_several_calls_and_a_thought() {
    let judge = Judge::new();
    for (name, template) in places() {
        let mut offer = offer(template, ToolChoice::Auto);
        offer.reasoning = Reasoning::Tokens(16);
        let grammar = dialect(name).grammar(&offer);
        let calls = [weather("A"), weather("B")];
        let text = written(name, &offer, &calls);
        let text = if name == DialectName::React {
            format!("Thought: both\n{text}")
        } else {
            text
        };
        let single = name == DialectName::Native && form(&offer).gap.is_none();
        assert_eq!(
            judge.accepts(&grammar, &text).is_ok(),
            !single,
            "{name} {text}"
        );
        assert_eq!(
            dialect(name).decode(&offer, &reply(&text)).strict.calls,
            calls,
            "{name} {text}"
        );
        let with_thought = match name {
            DialectName::Json => {
                "{\"thought\":\"hm\",\"tool\":\"list.files\",\"arguments\":{}}".to_owned()
            }
            DialectName::React => "Thought: hm\nAction: list.files\nAction Input: {}".to_owned(),
            DialectName::Native if form(&offer).is_bare() => continue,
            DialectName::Native | DialectName::Fenced => format!(
                "hm\n{}",
                written(name, &offer, &[ToolCall::new("list.files", json!({}))])
            ),
        };
        judge.accepts(&grammar, &with_thought).unwrap();
        let strict = dialect(name).decode(&offer, &reply(&with_thought)).strict;
        assert_eq!(strict.thought.as_deref(), Some("hm"), "{name}");
        assert_eq!(strict.violations, [], "{name}");
        assert!(
            judge
                .accepts(&grammar, &with_thought.replace("hm", &"x".repeat(200)))
                .is_err(),
            "{name}"
        );
    }
}

#[test]
fn schemas_with_what_llguidance_does_not_know_still_compile() {
    let judge = Judge::new();
    let mut offer = offer(None, ToolChoice::Required);
    offer.tools = vec![tool(
        "odd \"name\" / \\ ${name}",
        json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "type": "object",
            "properties": {
                "a": {"type": "array", "items": {"$ref": "#/$defs/item"}, "uniqueItems": true},
                "b": {"type": "string", "format": "unknown-format", "pattern": "^[a-z/]+$"},
                "c": {"anyOf": [{"type": "object", "properties": {"x": {"type": "integer"}}}, {"type": "null"}]},
                "d": {"type": "number", "not": {"const": 3}}
            },
            "$defs": {"item": {"type": "object", "properties": {"n": {"type": "integer"}}}}
        }),
    )];
    for name in [DialectName::Json, DialectName::Fenced] {
        let grammar = dialect(name).grammar(&offer);
        let call = ToolCall::new(
            offer.tools[0].name.clone(),
            json!({"a": [{"n": 1}], "b": "x/y", "c": null}),
        );
        let text = written(name, &offer, &[call]);
        judge.accepts(&grammar, &text).unwrap();
        assert!(
            judge
                .accepts(&grammar, &text.replace("{\"n\":1}", "{\"n\":1,\"m\":2}"))
                .is_err()
        );
        // Each branch of a union is closed as well.
        assert!(
            judge
                .accepts(
                    &grammar,
                    &text.replace("\"c\":null", "\"c\":{\"x\":1,\"y\":2}"),
                )
                .is_err()
        );
        judge
            .accepts(&grammar, &text.replace("\"c\":null", "\"c\":{\"x\":1}"))
            .unwrap();
    }
}

#[test]
fn envelopes_can_be_replaced_and_say_what_is_wrong() {
    let offer = offer(None, ToolChoice::Required);
    let judge = Judge::new();
    let own = "roots: { auto: r, required: r, none: r }\nlimits: { answer_chars: 5, thought_chars: 5, calls: 1 }\n\
               rules:\n  r: { each_tool: { sequence: [{ literal: 'CALL ${name} ' }, { slot: arguments }] } }\n";
    let grammar = super::envelope::grammar_from(own, &offer, None).unwrap();
    judge.accepts(&grammar, "CALL list.files {}").unwrap();
    for (text, wanted) in [
        ("roots: 3", "not an envelope"),
        (
            &own.replace("slot: arguments", "rule: missing"),
            "rule `missing` is not defined",
        ),
        (&own.replace("slot:", "slit:"), "slit"),
    ] {
        let error = super::envelope::grammar_from(text, &offer, None)
            .unwrap_err()
            .to_string();
        assert!(error.contains(wanted), "{error}");
    }
    for &name in DialectName::ALL {
        let form = NativeForm::default();
        super::envelope::grammar_from(super::envelope::embedded(name), &offer, Some(&form))
            .unwrap();
    }
}
