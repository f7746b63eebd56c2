//! Properties over all dialects: grammar, writing and reading agree; prefixes are prefixes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::dialect;
use super::template::Template;
use super::test_support::{
    FIXTURES, Judge, fixture, offer, places, prefix, reply, tool, weather, whole, written,
};
use crate::types::suite::Example;
use crate::types::{Code, DialectName, Message, Role, StopReason, ToolCall, ToolChoice};

use super::Offer;

#[test]
fn the_prefix_is_one_and_the_same_for_all_messages() {
    let templates = FIXTURES
        .iter()
        .map(|(_, source)| Some(*source))
        .chain([None]);
    for template in templates {
        for &name in DialectName::ALL {
            let mut offer = offer(template, ToolChoice::Auto);
            offer.examples = vec![Example {
                user: "Weather in Bern?".to_owned(),
                calls: vec![weather("Bern")],
                results: vec!["{\"t\":3}".to_owned()],
                answer: "3 degrees.".to_owned(),
                ..Example::default()
            }];
            let first = [Message::text(Role::User, "First {{ question }}?")];
            let call = weather("Chur");
            let raw = written(
                name,
                &if name == DialectName::Native && !has_form(&offer) {
                    super::test_support::offer(Some(fixture("hermes")), ToolChoice::Auto)
                } else {
                    offer.clone()
                },
                std::slice::from_ref(&call),
            );
            let longer = [
                Message::text(Role::User, " Second?"),
                Message::assistant_calls(raw, vec![call.clone()]),
                Message::tool_result(&call, "5"),
                Message::text(Role::User, "And now?"),
            ];
            let short = dialect(name).encode(&offer, &first);
            let long = dialect(name).encode(&offer, &longer);
            for encoded in [&short, &long] {
                assert!(
                    !encoded.folds.iter().any(|fold| fold.contains("plain text")),
                    "{name} {:?}\n{template:?}",
                    encoded.folds
                );
            }
            assert!(whole(&short).contains("get_weather"), "{name}");
            assert!(whole(&short).contains("First {{ question }}?"), "{name}");
            for text in ["Second?", "And now?", "Chur", "5"] {
                assert!(
                    whole(&long).contains(text),
                    "{name} {text}\n{}",
                    whole(&long)
                );
            }
            if !prefix(&long).is_empty() {
                assert_eq!(prefix(&short), prefix(&long), "{name}");
            }
            let mistral = template == Some(fixture("mistral"));
            assert!(
                mistral || prefix(&short).contains("Bern"),
                "{name} {}",
                whole(&short)
            );
        }
    }
}

fn has_form(offer: &Offer) -> bool {
    Template::of(&offer.facts).is_ok_and(|template| template.traits().form.is_some())
}

#[test]
fn gemma_gets_the_system_text_in_its_first_user_message() {
    let offer = offer(Some(fixture("gemma2")), ToolChoice::Auto);
    let encoded = dialect(DialectName::Json).encode(&offer, &[Message::text(Role::User, "Hi")]);
    assert_eq!(encoded.folds, ["system folded into the first user message"]);
    let text = whole(&encoded);
    assert!(
        text.starts_with("<s><start_of_turn>user\nYou are careful.\n\nYou can use"),
        "{text}"
    );
    assert!(
        text.ends_with("\n\nHi<end_of_turn>\n<start_of_turn>model\n"),
        "{text}"
    );
}

/// Failures are printed whole; no files are kept beside the sources.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[^\\x00-\\x1f]{0,12}".prop_map(Value::from),
        "\\PC{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn any_call() -> impl Strategy<Value = ToolCall> {
    let arguments = prop::collection::btree_map("[a-z_]{1,8}", any_json(), 0..4);
    ("[a-z][a-z_.]{0,12}", arguments).prop_map(|(name, arguments)| {
        ToolCall::new(name, Value::Object(arguments.into_iter().collect()))
    })
}

proptest! {
    #![proptest_config(config(64))]

    #[test]
    fn what_a_dialect_writes_it_reads(calls in prop::collection::vec(any_call(), 1..4)) {
        for (name, template) in places() {
            let mut offer = offer(template, ToolChoice::Auto);
            offer.tools.extend(calls.iter().map(|call| tool(&call.name, json!({"type": "object"}))));
            let text = written(name, &offer, &calls);
            let decoded = dialect(name).decode(&offer, &reply(&text));
            let looping = super::reading::text_loops(&text);
            prop_assert!(looping || decoded.strict.violations.is_empty(), "{name} {text} {:?}", decoded.strict);
            prop_assert_eq!(&decoded.strict.calls, &calls, "{} {}", name, text);
            prop_assert!(decoded.attempted_call);
        }
    }

    #[test]
    fn decoding_never_panics(
        pieces in prop::collection::vec(prop_oneof![
            "\\PC{0,12}",
            Just("{\"tool\":\"get_weather\",\"arguments\":{\"city\":\"x\"}}".to_owned()),
            Just("<tool_call>".to_owned()), Just("</tool_call>".to_owned()), Just("```tool\n".to_owned()),
            Just("```".to_owned()), Just("\n".to_owned()), Just("Thought:".to_owned()), Just("Action:".to_owned()),
            Just("\nAction Input: {\"city\"".to_owned()), Just("Final Answer:".to_owned()), Just("<think>".to_owned()),
            Just("</think>".to_owned()), Just("[TOOL_CALLS] [".to_owned()), Just("<function=".to_owned()),
            Just("get_weather".to_owned()), Just("\\u12".to_owned()), Just("'".to_owned()), Just("{[".to_owned()),
            Just("\u{201c}é".to_owned()),
        ], 0..10),
        cut in any::<bool>(),
    ) {
        let text = pieces.concat();
        let mut given = reply(&text);
        if cut {
            given.stop_reason = StopReason::MaxTokens;
        }
        for (name, template) in places() {
            let decoded = dialect(name).decode(&offer(template, ToolChoice::Auto), &given);
            let strict = &decoded.strict;
            prop_assert!(strict.repairs.is_empty());
            prop_assert!(
                !strict.violations.is_empty() || strict.answer.is_some() || !strict.calls.is_empty(),
                "{name} {text:?} {strict:?}"
            );
        }
    }

    #[test]
    fn prefixes_are_prefixes(content in "\\PC{0,40}", more in "\\PC{0,20}") {
        for (_, template) in FIXTURES {
            for &name in DialectName::ALL {
                let offer = offer(Some(template), ToolChoice::Auto);
                let messages = [
                    Message::text(Role::User, content.clone()),
                    Message::text(Role::Assistant, more.clone()),
                    Message::text(Role::User, content.clone()),
                ];
                let encoded = dialect(name).encode(&offer, &messages);
                prop_assert!(whole(&encoded).starts_with(&prefix(&encoded)));
            }
        }
    }
}

proptest! {
    #![proptest_config(config(24))]

    #[test]
    fn what_a_grammar_takes_is_in_form_and_fits_the_schema(choices in prop::collection::vec(any::<u8>(), 64)) {
        let judge = Judge::new();
        for (name, template) in places() {
            for choice in [ToolChoice::Auto, ToolChoice::Required] {
                let offer = offer(template, choice);
                let grammar = dialect(name).grammar(&offer);
                let Some(text) = judge.draw(&grammar, &choices, 700) else { continue };
                let decoded = dialect(name).decode(&offer, &reply(&text));
                // Free text may name a tool or repeat itself by chance.
                let loops = decoded.strict.violations.iter().any(|found| found.code == Code::DegenerateLoop);
                let by_chance = loops || (decoded.strict.calls.is_empty() && decoded.attempted_call);
                prop_assert!(by_chance || decoded.strict.violations.is_empty(), "{name} {text:?} {:?}", decoded.strict);
                for call in &decoded.strict.calls {
                    let tool = offer.tools.iter().find(|tool| tool.name == call.name).unwrap();
                    let validator = jsonschema::validator_for(&tool.input_schema).unwrap();
                    prop_assert!(validator.is_valid(&call.arguments), "{name} {text}");
                }
            }
        }
    }
}
