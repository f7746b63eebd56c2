//! Arguments for schemas of every kind, and an end for hostile ones.

use super::*;

fn tool(schema: Value) -> ToolDefinition {
    ToolDefinition {
        name: "do_it".to_owned(),
        description: String::new(),
        input_schema: schema,
        annotations: None,
    }
}

fn made(schema: Value) -> Examples {
    let tool = tool(schema);
    let made =
        examples(&tool, None).unwrap_or_else(|reason| panic!("{reason}: {}", tool.input_schema));
    let schemas = ToolSchemas::compile(std::slice::from_ref(&tool)).unwrap();
    let check = |map: &Map<String, Value>| {
        schemas.check_calls(&[ToolCall::new("do_it", Value::Object(map.clone()))])
    };
    assert_eq!(check(&made.required), vec![], "{}", tool.input_schema);
    if let Some((name, map)) = &made.with_optional {
        assert_eq!(check(map), vec![], "{}", tool.input_schema);
        assert!(map.contains_key(name) && !made.required.contains_key(name));
    }
    made
}

/// One required argument `v` of this schema.
fn one(schema: &Value) -> Value {
    let whole = json!({"type": "object", "properties": {"v": schema}, "required": ["v"], "additionalProperties": false});
    made(whole).required["v"].clone()
}

#[test]
fn every_kind_of_value_is_made() {
    for (schema, value) in [
        (json!({"type": "string"}), json!("example v")),
        (
            json!({"type": "string", "description": "a city such as Porto"}),
            json!("Porto"),
        ),
        (json!({"type": "string", "enum": ["b", "a"]}), json!("b")),
        (json!({"type": "integer", "enum": ["b", 7]}), json!(7)),
        (json!({"const": {"a": 1}}), json!({"a": 1})),
        (
            json!({"type": "string", "format": "date"}),
            json!("2026-03-11"),
        ),
        (
            json!({"type": "string", "pattern": "^[A-Z]{2}\\d{3}$"}),
            json!("AA000"),
        ),
        (json!({"type": "string", "maxLength": 4}), json!("exam")),
        (json!({"type": "string", "examples": ["x y"]}), json!("x y")),
        (json!({"type": "integer"}), json!(3)),
        (
            json!({"type": "integer", "minimum": 10, "maximum": 11}),
            json!(11),
        ),
        (
            json!({"type": "integer", "multipleOf": 7, "minimum": 15}),
            json!(21),
        ),
        (json!({"type": "integer", "maximum": -5}), json!(-5)),
        (
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}),
            json!(0.25),
        ),
        (json!({"type": "boolean"}), json!(true)),
        (json!({"type": "null"}), json!(null)),
        (json!({"type": ["null", "integer"]}), json!(3)),
        (
            json!({"type": "array", "items": {"type": "integer"}, "minItems": 2, "uniqueItems": true}),
            json!([3, 4]),
        ),
        (
            json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "minItems": 2}),
            json!([3, false]),
        ),
        (json!({"type": "array", "maxItems": 0}), json!([])),
        (
            json!({"anyOf": [{"type": "null"}, {"type": "boolean"}]}),
            json!(true),
        ),
        (
            json!({"oneOf": [{"type": "integer", "minimum": 0}, {"type": "integer", "maximum": 2}]}),
            json!(3),
        ),
        (
            json!({"allOf": [{"type": "integer", "minimum": 4}, {"maximum": 6}]}),
            json!(5),
        ),
        (json!({"type": "object"}), json!({})),
        (
            json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}),
            json!({"a": 3}),
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "required": ["k"]}),
            json!({"k": 3}),
        ),
        (json!({"not": {"const": "example v"}}), json!(3)),
        (json!({}), json!("example v")),
    ] {
        assert_eq!(one(&schema), value, "{schema}");
    }
}

#[test]
fn long_texts_lists_and_objects_meet_their_bounds() {
    let text = one(&json!({"type": "string", "minLength": 40, "maxLength": 45}));
    assert!((40..=45).contains(&text.as_str().unwrap().len()), "{text}");
    let text = one(&json!({"type": "string", "pattern": "^[a-z]*$", "minLength": 12}));
    assert_eq!(text.as_str().unwrap().len(), 12);
    let object = json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}, "c": {}}, "minProperties": 2});
    assert_eq!(one(&object).as_object().unwrap().len(), 2);
    let linked = json!({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a"], "dependentRequired": {"a": ["b"]}});
    assert_eq!(one(&linked), json!({"a": 3, "b": 3}));
    let conditional = json!({"type": "object", "properties": {"kind": {"enum": ["x", "y"]}, "n": {"type": "integer"}}, "required": ["kind"],
        "if": {"properties": {"kind": {"const": "x"}}}, "then": {"required": ["n"]}});
    assert_eq!(one(&conditional), json!({"kind": "x", "n": 3}));
}

#[test]
fn references_are_followed_and_recursion_ends() {
    let schema = json!({"type": "object", "properties": {"node": {"$ref": "#/$defs/node"}}, "required": ["node"],
        "$defs": {"node": {"type": "object", "properties": {"name": {"type": "string"}, "next": {"$ref": "#/$defs/node"}}, "required": ["name"]}}});
    assert_eq!(
        made(schema).required["node"],
        json!({"name": "example name"})
    );
    let endless = tool(
        json!({"type": "object", "properties": {"node": {"$ref": "#/$defs/node"}}, "required": ["node"],
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}}}),
    );
    assert!(examples(&endless, None).is_err());
    let whole = json!({"$ref": "#/$defs/all", "$defs": {"all": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}});
    assert_eq!(made(whole).required, *json!({"a": 3}).as_object().unwrap());
}

#[test]
fn impossible_and_broken_schemas_give_a_reason() {
    for schema in [
        json!({"type": "object", "properties": {"v": false}, "required": ["v"]}),
        json!({"type": "array"}),
        json!({"type": "object", "properties": {"v": {"type": "strng"}}}),
        json!({"type": "object", "properties": {"v": {"type": "string", "pattern": "(?=a)b"}}, "required": ["v"]}),
        json!(false),
    ] {
        assert!(examples(&tool(schema.clone()), None).is_err(), "{schema}");
    }
}

#[test]
fn an_optional_argument_differs_from_its_default() {
    let schema = json!({"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "unit": {"enum": ["c", "f"], "default": "c"}, "days": {"type": "integer"}}});
    let found = made(schema);
    let (name, map) = found.with_optional.unwrap();
    assert_eq!((name.as_str(), &map["unit"]), ("unit", &json!("f")));
    let only_default = json!({"type": "object", "properties": {"a": {"const": 1, "default": 1}, "b": {"type": "boolean", "default": true}}});
    let (name, map) = made(only_default).with_optional.unwrap();
    assert_eq!((name.as_str(), &map["b"]), ("b", &json!(false)));
    assert_eq!(made(json!({"type": "object"})).with_optional, None);
}

#[test]
fn what_a_person_may_forget_is_a_free_text() {
    let schema = json!({"type": "object", "required": ["unit", "n", "city"], "properties": {
        "unit": {"type": "string", "enum": ["c", "f"]}, "n": {"type": "integer"}, "city": {"type": "string"}}});
    assert_eq!(made(schema).left_out.as_deref(), Some("city"));
    let schema = json!({"type": "object", "required": ["v", "n"], "properties": {"v": {"const": 1}, "n": {"type": "integer"}}});
    assert_eq!(made(schema).left_out.as_deref(), Some("n"));
    assert_eq!(
        made(json!({"type": "object", "properties": {"a": {}}})).left_out,
        None
    );
}

#[test]
fn given_arguments_stand_and_are_checked() {
    let tool = tool(
        json!({"type": "object", "required": ["city"], "properties": {
        "city": {"type": "string"}, "days": {"type": "integer"}}}),
    );
    let given = |value: Value| examples(&tool, value.as_object());
    let found = given(json!({"city": "Porto"})).unwrap();
    assert_eq!(found.required["city"], "Porto");
    assert_eq!(found.with_optional.unwrap().1["city"], "Porto");
    assert_eq!(found.left_out.as_deref(), Some("city"));
    assert_eq!(
        given(json!({"city": "Porto", "days": 2}))
            .unwrap()
            .with_optional,
        None
    );
    assert!(given(json!({"city": 5})).unwrap_err().contains("city"));
}

#[test]
fn hostile_schemas_end_soon() {
    let mut nested = json!({"type": "integer"});
    for _ in 0..6 {
        nested = json!({"type": "array", "minItems": 1_000_000, "items": nested});
    }
    let mut branches = json!({"type": "integer", "minimum": 5, "maximum": 4});
    for _ in 0..10 {
        branches = json!({"anyOf": [branches, branches]});
    }
    for schema in [
        nested,
        branches,
        json!({"type": "string", "minLength": 1_000_000_000_000_u64}),
        json!({"type": "string", "minLength": 1_000_000_000_000_u64, "maxLength": 2_000_000_000_000_u64}),
        json!({"type": "integer", "multipleOf": 1e300, "minimum": 1e301}),
        json!({"enum": []}),
        json!({"type": "object", "minProperties": 1_000_000_000_000_u64}),
    ] {
        let whole = json!({"type": "object", "properties": {"v": schema}, "required": ["v"]});
        // Made or refused: either is right, for ever is not.
        let _ = examples(&tool(whole), None);
    }
}

/// Every schema of every shipped suite: real ones, written by others.
#[test]
fn every_shipped_tool_gets_arguments() {
    let library = crate::suite::Library::default();
    let mut count = 0;
    for name in library.names().into_keys() {
        for suite in library.load(&name).unwrap() {
            for tool in &suite.tools {
                examples(tool, None)
                    .unwrap_or_else(|reason| panic!("{name}: {}: {reason}", tool.name));
                count += 1;
            }
        }
    }
    assert!(count > 10, "{count}");
}
