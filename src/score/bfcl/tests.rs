//! Every error identifier on small cases of our own, and what must hold of any case.

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::{Case, ErrorType, Mode, judge};
use crate::score::calls::{Reading, read};
use crate::score::value::Value;

#[expect(clippy::needless_pass_by_value, reason = "reads better in tables")]
fn function(name: &str, properties: Json, required: &[&str]) -> Json {
    json!({"name": name, "parameters": {"type": "dict", "properties": properties, "required": required}})
}

/// The error of an output given as the calls of a line.
fn error_of(mode: Mode, functions: &Json, answer: &Json, calls: &Json) -> Option<&'static str> {
    let case = Case::new(mode, &Value::from(functions), &Value::from(answer));
    let line = json!({"id": "x", "calls": calls}).to_string();
    let record = read(&line, Reading::default()).unwrap();
    let verdict = judge(&case, &record.output);
    assert_eq!(verdict.error.is_some(), verdict.findings().next().is_some());
    for finding in verdict.findings() {
        let mut message = String::new();
        finding.describe("why", &mut message);
        assert!(!message.is_empty());
    }
    verdict.error.map(ErrorType::name)
}

/// The error for one argument `p` of a declared type with these alternatives.
#[expect(clippy::needless_pass_by_value, reason = "reads better in tables")]
fn error_for(details: &Json, alternatives: &Json, given: Json) -> Option<&'static str> {
    let functions = json!([function("f", json!({"p": details}), &[])]);
    let answer = json!([{"f": {"p": alternatives}}]);
    let calls = json!([{"name": "f", "arguments": {"p": given}}]);
    error_of(Mode::Simple, &functions, &answer, &calls)
}

#[test]
fn one_call_is_checked_in_order() {
    let functions = json!([function(
        "math.gcd",
        json!({"a": {"type": "integer"}, "b": {"type": "integer"}, "c": {"type": "string"}, "d": {"type": "string"}}),
        &["a", "b"]
    )]);
    let answer = json!([{"math.gcd": {"a": [1], "b": [2], "c": ["x"]}}]);
    let call = |name: &str, arguments: Json| json!([{"name": name, "arguments": arguments}]);
    let right = json!({"a": 1, "b": 2, "c": "X"});
    for (calls, expected) in [
        (call("math.gcd", right.clone()), None),
        (json!([]), Some("simple_function_checker:wrong_count")),
        (
            call("math_gcd", right.clone()),
            Some("simple_function_checker:wrong_func_name"),
        ),
        (
            call("math.gcd", json!({"a": 1, "z": 1})),
            Some("simple_function_checker:missing_required"),
        ),
        (
            call("math.gcd", json!({"a": 1, "b": 2, "c": "x", "d": "y"})),
            Some("simple_function_checker:unexpected_param"),
        ),
        (
            call("math.gcd", json!({"a": "1", "b": 2, "z": 1})),
            Some("type_error:simple"),
        ),
        (
            call("math.gcd", json!({"a": 1, "b": 3})),
            Some("value_error:others"),
        ),
        (
            call("math.gcd", json!({"a": 1, "b": 2})),
            Some("simple_function_checker:missing_optional"),
        ),
        (
            call("math.gcd", json!("{")),
            Some("ast_decoder:decoder_failed"),
        ),
        (
            call("math.gcd", json!([1])),
            Some("ast_decoder:decoder_wrong_output_format"),
        ),
    ] {
        assert_eq!(
            error_of(Mode::Simple, &functions, &answer, &calls),
            expected,
            "{calls}"
        );
    }
}

#[test]
fn values_of_every_type() {
    let (string, integer, float) = (
        json!({"type": "string"}),
        json!({"type": "integer"}),
        json!({"type": "float"}),
    );
    let floats = json!({"type": "array", "items": {"type": "float"}});
    let strings = json!({"type": "tuple", "items": {"type": "string"}});
    let dict = json!({"type": "dict"});
    let dicts = json!({"type": "array", "items": {"type": "dict"}});
    let (boolean, any) = (json!({"type": "boolean"}), json!({"type": "any"}));
    let (unknown, bare) = (json!({"type": "number"}), json!({"type": "array"}));
    let one = json!([{"k": ["v w", ""], "l": [1]}]);
    let table: Vec<(&Json, Json, Json, Option<&str>)> = vec![
        (&string, json!(["New York"]), json!("new-york"), None),
        (
            &string,
            json!(["New York"]),
            json!("new\tyork"),
            Some("value_error:string"),
        ),
        (&string, json!(["a", ""]), json!(" - "), None),
        (&integer, json!([5]), json!(5.0), Some("type_error:simple")),
        (&integer, json!([1]), json!(true), Some("type_error:simple")),
        (&integer, json!([5.0]), json!(5.0), None),
        (&integer, json!(["", "dontcare"]), json!("dontcare"), None),
        (
            &integer,
            json!(["", "dontcare"]),
            json!("Dontcare"),
            Some("value_error:others"),
        ),
        (&float, json!([5.0]), json!(5), None),
        (&float, json!([5]), json!(5), None),
        (&float, json!([5, 5.0]), json!(5.0), None),
        (&boolean, json!([true]), json!(1), Some("type_error:simple")),
        (&any, json!(["a"]), json!("A."), None),
        (&string, json!([null]), json!(null), None),
        (
            &string,
            json!(["a"]),
            json!(null),
            Some("type_error:simple"),
        ),
        (
            &floats,
            json!([[1.0, 2.0]]),
            json!([1, 2]),
            Some("type_error:nested"),
        ),
        (&floats, json!([[1.0, 2.0], ""]), json!([1, 2]), None),
        (
            &floats,
            json!([[1.0]]),
            json!([2.0]),
            Some("value_error:list/tuple"),
        ),
        (&floats, json!([]), json!([]), Some("type_error:simple")),
        (&floats, json!([[1.0], ""]), json!([]), None),
        (&strings, json!([["A b"]]), json!(["a-B"]), None),
        (&strings, json!([["x"], "ab"]), json!(["a", "b"]), None),
        (&dict, one.clone(), json!({"k": "V.W", "l": true}), None),
        (&dict, one.clone(), json!({"l": 1.0}), None),
        (
            &dict,
            one.clone(),
            json!({"k": "v w"}),
            Some("value_error:dict_key"),
        ),
        (
            &dict,
            one.clone(),
            json!({"l": 1, "m": 1}),
            Some("value_error:dict_key"),
        ),
        (
            &dict,
            one.clone(),
            json!({"k": "x", "l": 1}),
            Some("value_error:dict_value"),
        ),
        (&dict, json!([""]), json!({}), Some("dict_checker:unclear")),
        (&dicts, json!([one]), json!([{"l": 1}]), None),
        (&dicts, json!([one, ""]), json!([]), None),
        (
            &dicts,
            json!([one]),
            json!([{"l": 1}, {"l": 1}]),
            Some("value_error:list_dict_count"),
        ),
        (
            &dicts,
            json!([one]),
            json!([{"l": 2}]),
            Some("value_error:dict_value"),
        ),
        (&dicts, json!([one, ""]), json!([5]), Some("checker_raised")),
        (
            &dicts,
            json!([["", {"k": ["v"]}], [""]]),
            json!([{}]),
            Some("dict_checker:unclear"),
        ),
        (&unknown, json!([1]), json!(1), Some("checker_raised")),
        (&bare, json!([[1]]), json!([1]), Some("checker_raised")),
    ];
    for (details, alternatives, given, expected) in table {
        assert_eq!(
            error_for(details, &alternatives, given.clone()),
            expected,
            "{details} {alternatives} {given}"
        );
    }
}

#[test]
fn one_of_several_functions_is_checked_by_the_answers_name() {
    let functions = json!([
        function("f", json!({"p": {"type": "integer"}}), &["p"]),
        function("g", json!({"p": {"type": "integer"}}), &["p"]),
    ]);
    let answer = json!([{"g": {"p": [1]}}]);
    let call = |name: &str| json!([{"name": name, "arguments": {"p": 1}}]);
    let judged = |calls: &Json| error_of(Mode::Multiple, &functions, &answer, calls);
    assert_eq!(judged(&call("g")), None);
    assert_eq!(
        judged(&call("f")),
        Some("simple_function_checker:wrong_func_name")
    );
    assert_eq!(
        judged(&json!([])),
        Some("multiple_function_checker:wrong_count")
    );
}

#[test]
fn several_calls_are_matched_greedily() {
    let functions = json!([function("f", json!({"p": {"type": "integer"}}), &["p"])]);
    let answer = json!([{"f": {"p": [1, 2]}}, {"f": {"p": [1]}}]);
    let calls = |values: &[i64]| -> Json {
        values
            .iter()
            .map(|p| json!({"name": "f", "arguments": {"p": p}}))
            .collect()
    };
    let judged = |calls: &Json| error_of(Mode::Parallel, &functions, &answer, calls);
    assert_eq!(judged(&calls(&[2, 1])), None);
    // The first answer takes the first call that fits, and the second is left with 2.
    let greedy = Some("parallel_function_checker_no_order:cannot_find_match");
    assert_eq!(judged(&calls(&[1, 2])), greedy);
    assert_eq!(judged(&calls(&[3, 1])), greedy);
    assert_eq!(
        judged(&calls(&[1])),
        Some("parallel_function_checker_no_order:wrong_count")
    );
}

#[test]
fn relevance_only_asks_whether_anything_was_called() {
    let nothing = Json::Null;
    let call = json!([{"name": "whatever", "arguments": {}}]);
    let judged = |mode, calls: &Json| error_of(mode, &nothing, &nothing, calls);
    assert_eq!(
        judged(Mode::Irrelevance, &call),
        Some("irrelevance_error:decoder_success")
    );
    assert_eq!(judged(Mode::Relevance, &call), None);
    for none in [
        json!([]),
        json!([{}]),
        json!(5),
        json!([{"name": "f", "arguments": "{"}]),
    ] {
        assert_eq!(judged(Mode::Irrelevance, &none), None, "{none}");
        assert_eq!(
            judged(Mode::Relevance, &none),
            Some("relevance_error:decoder_failed"),
            "{none}"
        );
    }
}

#[test]
fn a_case_that_cannot_be_compared_raises_where_the_original_does() {
    let answer = json!([{"f": {}}]);
    let calls = json!([{"name": "f", "arguments": {}}]);
    for functions in [
        json!([]),
        json!([{"name": "f"}]),
        json!([{"name": "f", "parameters": {"properties": {}}}]),
    ] {
        let judged = error_of(Mode::Simple, &functions, &answer, &calls);
        assert_eq!(judged, Some("checker_raised"), "{functions}");
    }
}

#[test]
fn names_are_all_different_and_modes_follow_categories() {
    let names: std::collections::BTreeSet<&str> =
        ErrorType::ALL.iter().map(|error| error.name()).collect();
    assert_eq!(names.len(), ErrorType::ALL.len());
    for (place, error) in ErrorType::ALL.into_iter().enumerate() {
        assert_eq!(place, error as usize);
    }
    for (category, mode) in [
        ("simple_python", Mode::Simple),
        ("live_multiple", Mode::Multiple),
        ("parallel_multiple", Mode::Parallel),
        ("live_irrelevance", Mode::Irrelevance),
        ("live_relevance", Mode::Relevance),
    ] {
        assert_eq!(Mode::of_category(category), mode);
        assert_eq!(Mode::named(mode.name()), Some(mode));
    }
}

/// A declared type with a value of it.
fn typed() -> impl Strategy<Value = (Json, Json)> {
    prop_oneof![
        "[A-Za-z ,.'é-]{1,8}".prop_map(|text| (json!({"type": "string"}), json!(text))),
        any::<i64>().prop_map(|number| (json!({"type": "integer"}), json!(number))),
        (-1e9..1e9_f64).prop_map(|number| (json!({"type": "float"}), json!(number))),
        any::<bool>().prop_map(|truth| (json!({"type": "boolean"}), json!(truth))),
        prop::collection::vec("[a-zA-Z -]{1,4}", 0..3).prop_map(|items| (
            json!({"type": "array", "items": {"type": "string"}}),
            json!(items)
        )),
    ]
}

/// A function with answers for all its parameters: (functions, answer, arguments).
fn answered(name: &'static str) -> impl Strategy<Value = (Json, Json, Json)> {
    prop::collection::btree_map("[a-z]{1,3}", typed(), 1..5).prop_map(move |parameters| {
        let names: Vec<&str> = parameters.keys().map(String::as_str).collect();
        let properties: Json = parameters
            .iter()
            .map(|(key, (details, _))| (key.clone(), details.clone()))
            .collect();
        let answers: Json = parameters
            .iter()
            .map(|(key, (_, value))| (key.clone(), json!([value])))
            .collect();
        let arguments: Json = parameters
            .iter()
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect();
        (
            function(name, properties, &names),
            json!({name: answers}),
            json!({"name": name, "arguments": arguments}),
        )
    })
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        prop::sample::select(vec![
            "", "f", "name", "p", "string", "array", "dict", "float"
        ])
        .prop_map(Json::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let keys = prop::sample::select(vec![
            "",
            "f",
            "p",
            "name",
            "arguments",
            "parameters",
            "properties",
            "required",
            "type",
            "items",
            "k",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((keys, inner), 0..4).prop_map(|entries| entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_built_from_the_alternatives_passes((functions, answer, call) in answered("f")) {
        let judged = error_of(Mode::Simple, &json!([functions]), &json!([answer]), &json!([call]));
        prop_assert_eq!(judged, None);
    }

    #[test]
    fn dropping_any_required_parameter_is_missing_required((functions, answer, call) in answered("f"), at in any::<prop::sample::Index>()) {
        let mut call = call;
        let arguments = call["arguments"].as_object_mut().unwrap();
        let name = arguments.keys().nth(at.index(arguments.len())).unwrap().clone();
        arguments.shift_remove(&name);
        let judged = error_of(Mode::Simple, &json!([functions]), &json!([answer]), &json!([call]));
        prop_assert_eq!(judged, Some("simple_function_checker:missing_required"));
    }

    #[test]
    fn the_order_of_distinct_calls_says_nothing(one in answered("f"), two in answered("g"), three in answered("h")) {
        let functions = json!([one.0, two.0, three.0]);
        let answer = json!([one.1, two.1, three.1]);
        for calls in [json!([one.2, two.2, three.2]), json!([three.2, one.2, two.2]), json!([three.2, two.2, one.2])] {
            prop_assert_eq!(error_of(Mode::Parallel, &functions, &answer, &calls), None);
        }
    }

    #[test]
    fn no_case_and_no_output_makes_it_panic(functions in any_json(), answer in any_json(), calls in any_json()) {
        for (mode, _) in Mode::ALL {
            error_of(mode, &functions, &answer, &calls);
            error_of(mode, &json!([{"name": "f", "parameters": {"properties": {"p": functions}, "required": []}}]),
                &json!([{"f": {"p": answer}}]), &json!([{"name": "f", "arguments": {"p": calls}}]));
        }
    }
}
