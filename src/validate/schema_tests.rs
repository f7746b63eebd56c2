//! Schema stage: codes, pointers, hostile schemas.

use serde_json::{Value, json};

use super::*;

fn tools(schema: &Value) -> Vec<ToolDefinition> {
    vec![serde_json::from_value(json!({"name": "get_weather", "inputSchema": schema})).unwrap()]
}

fn check(schema: &Value, arguments: Value) -> Vec<Violation> {
    ToolSchemas::compile(&tools(schema))
        .unwrap()
        .check_calls(&[ToolCall::new("get_weather", arguments)])
}

type Brief<'a> = (Code, &'a str, &'a str);

/// Code, pointer and keyword of every violation.
fn brief(found: &[Violation]) -> Vec<Brief<'_>> {
    found
        .iter()
        .map(|violation| {
            (
                violation.code,
                violation.pointer.as_deref().unwrap_or("-"),
                violation.keyword.as_deref().unwrap_or("-"),
            )
        })
        .collect()
}

fn weather() -> Value {
    json!({
        "type": "object",
        "properties": {
            "city": {"type": "string", "minLength": 2},
            "days": {"type": "integer", "minimum": 1, "default": 3},
            "unit": {"enum": ["c", "f"]},
            "kind": {"const": "now"},
            "on": {"type": "string", "format": "date"},
            "code": {"type": "string", "pattern": "^[A-Z]{3}$"},
            "flag": {"type": "boolean"},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"a/b": {"type": "number"}}, "required": ["a/b"]}}
        },
        "required": ["city"],
        "additionalProperties": false
    })
}

#[test]
fn every_schema_code_has_a_call_that_makes_it_and_one_that_does_not() {
    let rows: Vec<(Value, Vec<Brief<'_>>)> = vec![
        (
            json!({"city": "Oslo", "days": 2.0, "unit": "f", "on": "2026-02-28", "code": "ABC"}),
            vec![],
        ),
        (
            json!({"days": 2}),
            vec![(Code::MissingRequired, "/city", "required")],
        ),
        (
            json!({"city": "Oslo", "town": 1}),
            vec![(Code::UnexpectedParam, "/town", "additionalProperties")],
        ),
        (
            json!({"city": 5}),
            vec![(Code::TypeMismatch, "/city", "type")],
        ),
        (
            json!({"city": "Oslo", "days": 2.5}),
            vec![(Code::TypeMismatch, "/days", "type")],
        ),
        (
            json!({"city": "Oslo", "unit": "k"}),
            vec![(Code::EnumViolation, "/unit", "enum")],
        ),
        (
            json!({"city": "Oslo", "kind": "then"}),
            vec![(Code::EnumViolation, "/kind", "const")],
        ),
        (
            json!({"city": "O"}),
            vec![(Code::ConstraintViolation, "/city", "minLength")],
        ),
        (
            json!({"city": "Oslo", "days": 0}),
            vec![(Code::ConstraintViolation, "/days", "minimum")],
        ),
        (
            json!({"city": "Oslo", "on": "2026-02-30"}),
            vec![(Code::ConstraintViolation, "/on", "format")],
        ),
        (
            json!({"city": "Oslo", "code": "abc"}),
            vec![(Code::ConstraintViolation, "/code", "pattern")],
        ),
        (
            json!({"city": "Oslo", "stops": [{"a/b": 1}, {}]}),
            vec![(Code::MissingRequired, "/stops/1/a~1b", "required")],
        ),
        (
            json!({"city": "Oslo", "stops": [{"a/b": "x"}]}),
            vec![(Code::TypeMismatch, "/stops/0/a~1b", "type")],
        ),
        (json!([1]), vec![(Code::TypeMismatch, "", "type")]),
        (json!(null), vec![(Code::TypeMismatch, "", "type")]),
    ];
    for (arguments, expected) in rows {
        let found = check(&weather(), arguments.clone());
        assert_eq!(brief(&found), expected, "{arguments}");
        for violation in &found {
            assert!(
                violation.schema.is_some() && !violation.message.is_empty(),
                "{violation:?}"
            );
            assert_eq!(
                (violation.call, violation.tool.as_deref()),
                (Some(0), Some("get_weather"))
            );
        }
    }
}

#[test]
fn coercible_values_are_marked() {
    for (arguments, coercible) in [
        (json!({"city": "Oslo", "days": "10"}), true),
        (json!({"city": "Oslo", "days": "0"}), false),
        (json!({"city": "Oslo", "days": "ten"}), false),
        (json!({"city": "Oslo", "flag": "true"}), true),
        (json!({"city": "Oslo", "flag": "yes"}), false),
        (json!({"city": 12}), true),
        (json!({"city": null}), false),
        (json!({"city": "Oslo", "stops": "[{\"a/b\": 1}]"}), true),
        (json!("{\"city\": \"Oslo\"}"), true),
        (json!("Oslo"), false),
    ] {
        let found = check(&weather(), arguments.clone());
        assert_eq!(found[0].code, Code::TypeMismatch);
        assert_eq!(found[0].coercible, coercible, "{arguments}");
    }
}

#[test]
fn a_correction_can_quote_the_fragment_that_was_broken() {
    let fragment = |arguments| check(&weather(), arguments)[0].schema.clone().unwrap();
    assert_eq!(
        fragment(json!({"city": "Oslo", "days": "x"})),
        weather()["properties"]["days"]
    );
    assert_eq!(fragment(json!({})), weather()["properties"]["city"]);
    assert_eq!(
        fragment(json!({"city": "Oslo", "x": 1})),
        json!({"additionalProperties": false})
    );
    let message = &check(&weather(), json!({"city": "Oslo", "x": 1}))[0].message;
    assert!(message.contains("known here: city, days"), "{message}");
}

#[test]
fn of_a_union_the_closest_branch_is_explained() {
    let schema = json!({"properties": {
        "when": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "level": {"oneOf": [{"const": "low"}, {"const": "high"}]},
        "shape": {"oneOf": [
            {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}}, "required": ["kind", "radius"]},
            {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number"}}, "required": ["kind", "side"]}]}
    }});
    for (arguments, expected) in [
        (json!({"when": "x"}), (Code::TypeMismatch, "/when", "anyOf")),
        (
            json!({"level": "mid"}),
            (Code::EnumViolation, "/level", "oneOf"),
        ),
        (
            json!({"shape": {"kind": "square", "side": "2"}}),
            (Code::TypeMismatch, "/shape/side", "type"),
        ),
        (
            json!({"shape": {"kind": "circle"}}),
            (Code::MissingRequired, "/shape/radius", "required"),
        ),
        (json!({"shape": 3}), (Code::TypeMismatch, "/shape", "oneOf")),
    ] {
        assert_eq!(
            brief(&check(&schema, arguments.clone())),
            vec![expected],
            "{arguments}"
        );
    }
    assert!(check(&schema, json!({"when": "7"}))[0].coercible);
}

#[test]
fn references_within_the_schema_work_and_keep_their_fragment() {
    let schema = json!({"$defs": {"city": {"type": "string", "enum": ["Oslo", "Rome"]}},
        "properties": {"city": {"$ref": "#/$defs/city"}}, "unevaluatedProperties": false});
    let found = check(&schema, json!({"city": "Bonn"}));
    assert_eq!(brief(&found), vec![(Code::EnumViolation, "/city", "enum")]);
    assert_eq!(found[0].schema, Some(schema["$defs"]["city"].clone()));
    assert_eq!(
        brief(&check(&schema, json!({"x": 1}))),
        vec![(Code::UnexpectedParam, "/x", "unevaluatedProperties")]
    );
}

#[test]
fn drafts_differ_where_they_should() {
    // `items` as a list is a tuple in draft-07 and an error in 2020-12.
    let tuple = json!({"$schema": "http://json-schema.org/draft-07/schema#",
        "properties": {"pair": {"type": "array", "items": [{"type": "string"}, {"type": "number"}]}}});
    assert_eq!(
        brief(&check(&tuple, json!({"pair": ["a", "b"]}))),
        vec![(Code::TypeMismatch, "/pair/1", "type")]
    );
    let modern = json!({"properties": {"pair": {"prefixItems": [{"type": "string"}]}}});
    assert_eq!(
        brief(&check(&modern, json!({"pair": [1]}))),
        vec![(Code::TypeMismatch, "/pair/0", "type")]
    );
}

#[test]
fn unknown_tools_are_named_with_what_is_offered() {
    let schemas = ToolSchemas::compile(&tools(&json!({"type": "object"}))).unwrap();
    let found = schemas.check_calls(&[
        ToolCall::new("get_weather", json!({})),
        ToolCall::new("getWeather", json!({})),
        ToolCall::new("fly", json!({})),
    ]);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].code, found[0].call), (Code::UnknownTool, Some(1)));
    assert!(
        found[0].message.contains("did you mean `get_weather`"),
        "{}",
        found[0].message
    );
    assert!(
        !found[1].message.contains("did you mean"),
        "{}",
        found[1].message
    );
    assert!(
        found[1].message.contains("the tools are: get_weather"),
        "{}",
        found[1].message
    );
}

#[test]
fn schemas_that_cannot_be_used_are_refused_with_their_place() {
    for (schema, needle) in [
        (json!({"properties": {"a": {"type": "strin"}}}), "strin"),
        (
            json!({"properties": {"a": {"$ref": "https://example.com/a.json"}}}),
            "cannot be resolved",
        ),
        (
            json!({"properties": {"a": {"$ref": "file:///etc/passwd"}}}),
            "cannot be resolved",
        ),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/none"}}}),
            "cannot be resolved",
        ),
        (
            json!({"properties": {"a": {"pattern": "(a)\\1"}}}),
            "linear-time",
        ),
        (
            json!({"properties": {"a": {"$ref": "#/properties/a"}}}),
            "leads back",
        ),
        (json!(7), ""),
    ] {
        let error = ToolSchemas::compile(&tools(&schema)).unwrap_err();
        assert_eq!(error.tool, "get_weather");
        assert!(error.message.contains(needle), "{schema}: {error}");
    }
}

#[test]
fn patterns_cannot_stall_the_check() {
    let schema = json!({"properties": {"a": {"pattern": "^(a+)+$"}}});
    let found = check(&schema, json!({"a": format!("{}!", "a".repeat(50_000))}));
    assert_eq!(found[0].code, Code::ConstraintViolation);
    assert!(found[0].message.chars().count() <= 301);
}

#[test]
fn defaults_and_vocabulary_come_from_the_schema() {
    let schemas = ToolSchemas::compile(&tools(&weather())).unwrap();
    assert_eq!(schemas.default_of("get_weather", "days"), Some(&json!(3)));
    assert_eq!(schemas.default_of("get_weather", "city"), None);
    assert_eq!(schemas.defaults("fly"), None);
    assert!(schemas.vocabulary("get_weather").contains(&json!("f")));
    assert!(schemas.knows("get_weather") && !schemas.knows("fly"));
}

#[test]
fn explaining_a_deep_value_of_a_branching_schema_comes_to_an_end() {
    let nested = |levels: usize| (0..levels).fold(json!({}), |inner, _| json!({"a": inner}));
    let branch = |name: &str| json!({"properties": {"a": {"$ref": "#"}}, "required": [name]});
    for schema in [
        json!({"anyOf": [branch("y"), branch("z")]}),
        json!({"oneOf": [branch("y"), branch("z")]}),
        json!({"allOf": [branch("y"), branch("z")]}),
        json!({"anyOf": [branch("a"), branch("a")]}),
        json!({"oneOf": [branch("a"), branch("a")]}),
    ] {
        for levels in [12, 60, 100] {
            let found = check(&schema, nested(levels));
            assert!(
                !found.is_empty() && found.len() <= VIOLATIONS_PER_CALL,
                "{schema}"
            );
        }
    }
}
