//! Lines read the short way mean what they mean read in full.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::Tape;
use crate::score::bfcl::{Case, Mode, judge, judge_calls};
use crate::score::calls::{Reading, read};
use crate::score::value::Value;

/// Whether the line was read the short way; if so, its verdict is that of the long way.
fn is_short(line: &str, case: &Case) -> bool {
    let mut tape = Tape::default();
    let Some(id) = tape.read(line) else {
        return false;
    };
    let record = read(line, Reading::default()).expect("what is read the short way is JSON");
    assert_eq!(id, record.id);
    let long = judge(case, &record.output);
    let short = judge_calls(case, tape.calls(), |index| tape.call(index));
    assert_eq!(short, long, "{line}");
    true
}

fn case(mode: Mode, details: &Json, alternatives: &Json) -> Case {
    let functions =
        json!([{"name": "f", "parameters": {"properties": {"p": details}, "required": []}}]);
    let answer = json!([{"f": {"p": alternatives}}, {"f": {"p": alternatives}}]);
    Case::new(mode, &Value::from(&functions), &Value::from(&answer))
}

#[test]
fn plain_lines_are_short_and_others_are_not() {
    let case = case(Mode::Simple, &json!({"type": "integer"}), &json!([1]));
    for (line, expected) in [
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":1}}]}"#,
            true,
        ),
        (
            r#" { "id" : "a" , "calls" : [ { "name" : "f" , "arguments" : { "p" : [ 1 , { } ] , "q" : -0.5e3 } } ] } "#,
            true,
        ),
        (r#"{"id":"a","calls":[]}"#, true),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{}},{"name":"g","arguments":{"é":null}}]}"#,
            true,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":1,"p":2}}]}"#,
            false,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":"\n"}}]}"#,
            true,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"\u0070":1}}]}"#,
            false,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":NaN}}]}"#,
            false,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":99999999999999999999}}]}"#,
            false,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":"{}"}]}"#,
            false,
        ),
        (r#"{"id":"a","calls":[{"arguments":{},"name":"f"}]}"#, false),
        (r#"{"id":"a","calls":[],"model":"m"}"#, false),
        (r#"{"calls":[],"id":"a"}"#, false),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":[1,]}}]}"#,
            false,
        ),
        (
            r#"{"id":"a","calls":[{"name":"f","arguments":{"p":01}}]}"#,
            false,
        ),
        (r#"{"id":"a","calls":[]} x"#, false),
        (r#"{"id":"a","calls":[]"#, false),
        ("", false),
    ] {
        assert_eq!(is_short(line, &case), expected, "{line}");
    }
    let deep = |depth: usize| {
        let value = "[".repeat(depth) + &"]".repeat(depth);
        format!(r#"{{"id":"a","calls":[{{"name":"f","arguments":{{"p":{value}}}}}]}}"#)
    };
    assert!(is_short(&deep(900), &case));
    assert!(!is_short(&deep(1000), &case));
}

fn any_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (-3..4_i64).prop_map(Json::from),
        prop::sample::select(vec![0.0, 1.0, -1.0, 2.5]).prop_map(Json::from),
        prop::sample::select(vec!["", "a", "A b", "é", "a\n", "p"]).prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let keys = prop::sample::select(vec!["", "p", "k", "é"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
            prop::collection::vec((keys, inner), 0..3).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn the_short_way_gives_the_verdict_of_the_long_one(
        kind in prop::sample::select(vec!["string", "integer", "float", "boolean", "array", "tuple", "dict", "any"]),
        items in prop::sample::select(vec!["string", "integer", "float", "dict", "array"]),
        alternatives in prop::collection::vec(any_value(), 0..3),
        given in prop::collection::vec(any_value(), 1..3),
        name in prop::sample::select(vec!["f", "f", "f", "g"]),
    ) {
        let details = json!({"type": kind, "items": {"type": items}});
        let calls: Vec<Json> = given.iter().map(|value| json!({"name": name, "arguments": {"p": value}})).collect();
        let line = json!({"id": "a", "calls": calls}).to_string();
        for (mode, _) in Mode::ALL {
            let case = case(mode, &details, &json!(alternatives));
            prop_assert!(is_short(&line, &case));
        }
    }

    #[test]
    fn any_line_is_read_or_left(line in r#"\{"id":"a","calls":\[[\[\]{}:,0-9e."a-z -]{0,40}\]?\}?"#) {
        is_short(&line, &case(Mode::Simple, &json!({"type": "string"}), &json!(["a"])));
    }
}
