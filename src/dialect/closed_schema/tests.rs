//! Slots of schemas as people write them, draft by draft, and of schemas that mean harm.

use serde_json::{Value, json};

use super::{Closing, Root, Slot, closed_arguments, holds_structure, slot};

fn closed(schema: &Value) -> Slot {
    slot(schema, Root::Value, Closing::Closed)
}

/// The slot's schema, of a schema that is held exactly.
fn exact(schema: &Value) -> Value {
    let slot = closed(schema);
    assert_eq!(slot.loosened, [], "{schema}");
    slot.schema
}

fn notes(schema: &Value) -> Vec<String> {
    closed(schema)
        .loosened
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn draft(uri: &str, mut schema: Value) -> Value {
    schema["$schema"] = uri.into();
    schema
}

const DRAFT_4: &str = "http://json-schema.org/draft-04/schema#";
const DRAFT_7: &str = "http://json-schema.org/draft-07/schema#";
const DRAFT_2019: &str = "https://json-schema.org/draft/2019-09/schema";

#[test]
fn a_plain_tool_keeps_its_form_without_words_and_closed() {
    let schema = json!({
        "type": "object", "title": "Weather", "description": "words",
        "properties": {
            "zone": {"type": "string", "description": "words", "default": "x"},
            "city": {"type": "string", "minLength": 2},
            "days": {"type": "integer", "minimum": 1, "maximum": 9},
            "unit": {"enum": ["c", "f"]},
            "stops": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
            "free": {"type": "object"},
            "open": {"type": "object", "properties": {"x": {}}, "additionalProperties": true}
        },
        "required": ["city"]
    });
    assert_eq!(
        exact(&schema),
        json!({
            "type": "object",
            "properties": {
                "zone": {"type": "string"},
                "city": {"type": "string", "minLength": 2},
                "days": {"type": "integer", "minimum": 1, "maximum": 9},
                "unit": {"enum": ["c", "f"]},
                "stops": {"type": "array", "items": {
                    "type": "object", "properties": {"b": true}, "additionalProperties": false}},
                "free": {"type": "object"},
                "open": {"type": "object", "properties": {"x": true}}
            },
            "required": ["city"],
            "additionalProperties": false
        })
    );
    let slot = exact(&schema);
    let names: Vec<&String> = slot["properties"].as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["zone", "city", "days", "unit", "stops", "free", "open"]
    );
}

#[test]
fn arguments_are_an_object_even_where_the_schema_says_nothing() {
    let empty = json!({"type": "object", "properties": {}, "additionalProperties": false});
    for schema in [
        json!({}),
        json!({"type": "object"}),
        json!({"type": "object", "properties": {}}),
        json!(true),
        json!(null),
    ] {
        assert_eq!(closed_arguments(&schema), empty, "{schema}");
    }
    for schema in [json!({"type": "string"}), json!(false)] {
        assert_eq!(closed_arguments(&schema), json!(false), "{schema}");
    }
    assert_eq!(
        closed_arguments(&json!({"additionalProperties": {"type": "string"}})),
        json!({"type": "object", "additionalProperties": {"type": "string"}})
    );
    // What is not followed could declare names: nothing is closed then.
    assert_eq!(
        closed_arguments(&json!({"$ref": "https://example.com/other.json"})),
        json!({"type": "object"})
    );
}

#[test]
fn drafts_say_the_same_in_their_own_ways() {
    let bounds = json!({"type": "integer", "minimum": 1, "maximum": 4});
    assert_eq!(
        exact(&draft(
            DRAFT_4,
            json!({"type": "integer", "minimum": 0, "exclusiveMinimum": true, "maximum": 4})
        )),
        bounds
    );
    assert_eq!(
        exact(&draft(
            DRAFT_7,
            json!({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 5})
        )),
        bounds
    );
    let pair = json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "maxItems": 2});
    for schema in [
        draft(
            DRAFT_4,
            json!({"type": "array", "items": [{"type": "string"}, {"type": "null"}], "additionalItems": false}),
        ),
        draft(
            DRAFT_2019,
            json!({"type": "array", "items": [{"type": "string"}, {"type": "null"}], "additionalItems": false}),
        ),
        json!({"type": "array", "prefixItems": [{"type": "string"}, {"type": "null"}], "items": false}),
    ] {
        assert_eq!(exact(&schema), pair, "{schema}");
    }
    // Draft 4 knows no `const`; up to draft 7 nothing counts beside `$ref`.
    assert_eq!(exact(&draft(DRAFT_4, json!({"const": 1}))), json!({}));
    assert_eq!(
        exact(&draft(
            DRAFT_7,
            json!({"definitions": {"s": {"type": "string"}}, "$ref": "#/definitions/s", "maxLength": 1})
        )),
        json!({"type": "string"})
    );
    assert_eq!(
        exact(&json!({"$defs": {"s": {"type": "string"}}, "$ref": "#/$defs/s", "maxLength": 1})),
        json!({"type": "string", "maxLength": 1})
    );
    let either = json!({"anyOf": [
        {"type": "object", "properties": {"b": true}, "additionalProperties": false},
        {"type": "object", "properties": {"a": true, "b": true}, "required": ["a", "b"], "additionalProperties": false}
    ]});
    for (uri, keyword) in [(DRAFT_7, "dependencies"), (DRAFT_2019, "dependentRequired")] {
        let schema =
            json!({"type": "object", keyword: {"a": ["b"]}, "properties": {"a": {}, "b": {}}});
        assert_eq!(exact(&draft(uri, schema)), either, "{keyword}");
    }
    // `nullable` is OpenAPI's: validation does not know it, and so neither does the grammar.
    assert_eq!(
        exact(&json!({"type": "string", "nullable": true})),
        json!({"type": "string"})
    );
}

#[test]
fn combinators_dissolve() {
    assert_eq!(
        exact(
            &json!({"allOf": [{"$ref": "#/$defs/base"}, {"properties": {"b": {"type": "integer"}}, "required": ["b"]}],
            "$defs": {"base": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}}})
        ),
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
            "required": ["a", "b"], "additionalProperties": false})
    );
    // One of several kinds, told apart by a constant: closed each for itself.
    let shapes = json!({"oneOf": [
        {"type": "object", "properties": {"kind": {"const": "circle"}, "radius": {"type": "number"}}, "required": ["kind", "radius"]},
        {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "number"}}, "required": ["kind", "side"]}]});
    assert_eq!(
        exact(&shapes),
        json!({"anyOf": [
            {"type": "object", "properties": {"kind": {"enum": ["circle"]}, "radius": {"type": "number"}}, "required": ["kind", "radius"], "additionalProperties": false},
            {"type": "object", "properties": {"kind": {"enum": ["square"]}, "side": {"type": "number"}}, "required": ["kind", "side"], "additionalProperties": false}]})
    );
    assert_eq!(
        exact(&json!({"anyOf": [{"type": "string"}, {"type": "null"}]})),
        json!({"anyOf": [{"type": "string"}, {"type": "null"}]})
    );
    assert_eq!(
        exact(
            &json!({"type": ["string", "integer"], "not": {"enum": ["a", 3]}, "minimum": 1, "maximum": 4})
        ),
        json!({"anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 2},
            {"type": "integer", "minimum": 4, "maximum": 4},
            {"type": "string", "pattern": "^(?:|[^\\x{61}](?s:.*)|a(?:(?s:.)(?s:.*)))$"}]})
    );
    assert_eq!(
        exact(
            &json!({"properties": {"mode": {"enum": ["on", "off"]}, "level": {"type": "integer"}},
            "type": "object", "required": ["mode"],
            "if": {"properties": {"mode": {"const": "on"}}}, "then": {"required": ["level"]}})
        ),
        json!({"anyOf": [
            {"type": "object", "properties": {"mode": {"enum": ["on"]}, "level": {"type": "integer"}}, "required": ["mode", "level"], "additionalProperties": false},
            {"type": "object", "properties": {"mode": {"enum": ["off"]}, "level": {"type": "integer"}}, "required": ["mode"], "additionalProperties": false}]})
    );
    // A property that must not be there.
    assert_eq!(
        exact(
            &json!({"type": "object", "properties": {"a": {}, "b": {}}, "not": {"required": ["b"]}})
        ),
        json!({"type": "object", "properties": {"a": true}, "additionalProperties": false})
    );
}

#[test]
fn closing_leaves_in_what_any_applying_keyword_names() {
    // Both branches may hold at once, and then both names are spoken for.
    let schema = json!({"type": "object", "anyOf": [
        {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"properties": {"b": {"type": "string"}}, "required": ["b"]}]});
    let alternatives = exact(&schema)["anyOf"].clone();
    assert_eq!(alternatives.as_array().unwrap().len(), 3, "{alternatives}");
    assert_eq!(alternatives[2]["required"], json!(["a", "b"]));
    // A name that is asked for without being declared stays.
    assert_eq!(
        exact(&json!({"type": "object", "properties": {"a": {}}, "required": ["a", "z"]})),
        json!({"type": "object", "properties": {"a": true, "z": true}, "required": ["a", "z"], "additionalProperties": false})
    );
    let open = slot(&schema, Root::Value, Closing::Open).schema;
    assert!(!open.to_string().contains("additionalProperties"), "{open}");
}

#[test]
fn counts_of_properties_become_alternatives() {
    let properties = json!({"a": {}, "b": {}, "c": {}});
    let two = exact(
        &json!({"type": "object", "properties": properties, "minProperties": 2, "maxProperties": 2}),
    );
    assert_eq!(two["anyOf"].as_array().unwrap().len(), 3, "{two}");
    assert_eq!(two["anyOf"][0]["required"], json!(["b", "c"]));
    assert_eq!(
        exact(&json!({"type": "object", "properties": properties, "maxProperties": 0}))["properties"],
        json!({})
    );
    let many: serde_json::Map<String, Value> =
        (0..30).map(|n| (format!("p{n}"), json!({}))).collect();
    assert_eq!(
        notes(&json!({"type": "object", "properties": many, "minProperties": 15})),
        ["`minProperties` at the root"]
    );
}

#[test]
fn recursion_becomes_references_and_ends() {
    let tree = json!({"$ref": "#/$defs/node", "$defs": {"node": {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "children": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
        "required": ["value"]}}});
    let slot = exact(&tree);
    let text = slot.to_string();
    assert!(text.contains("#/$defs/") && text.len() < 600, "{text}");
    // Only an infinite value would satisfy these.
    for schema in [
        json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
        json!({"type": "array", "items": {"$ref": "#"}, "minItems": 1}),
    ] {
        assert_eq!(exact(&schema), json!(false), "{schema}");
    }
    let optional = json!({"type": "object", "properties": {"next": {"$ref": "#"}, "dead": {"$ref": "#/$defs/dead"}},
        "$defs": {"dead": {"type": "object", "properties": {"again": {"$ref": "#/$defs/dead"}}, "required": ["again"]}}});
    assert!(
        !exact(&optional).to_string().contains("again"),
        "{}",
        exact(&optional)
    );
}

#[test]
fn what_is_not_held_is_named_with_its_place() {
    for (schema, wanted) in [
        (
            json!({"properties": {"a": {"uniqueItems": true}}}),
            "`uniqueItems` at /properties/a",
        ),
        (
            json!({"properties": {"a/b": {"contains": {"type": "null"}}}}),
            "`contains` at /properties/a~1b",
        ),
        (json!({"format": "email"}), "`format` at the root"),
        (json!({"pattern": "\\bword\\b"}), "`pattern` at the root"),
        (json!({"not": {"pattern": "a"}}), "`not pattern` at /not"),
        (
            json!({"type": "number", "not": {"type": "integer"}}),
            "`not integer` at the root",
        ),
        (
            json!({"type": "integer", "multipleOf": 999_983}),
            "`multipleOf` at the root",
        ),
        (
            json!({"const": "a\u{0}b", "type": "string"}),
            "`enum` at the root",
        ),
        (json!({"maxLength": 1_000_000}), "`maxLength` at the root"),
        (
            json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
            "`$ref` at the root",
        ),
    ] {
        assert_eq!(notes(&schema), [wanted], "{schema}");
    }
    for schema in [
        json!({"properties": {"a": {"uniqueItems": true, "format": "email"}}}),
        json!({"properties": {"a": {"not": {"pattern": "a"}}}}),
    ] {
        assert!(holds_structure(&schema), "{schema}");
    }
    assert!(!holds_structure(
        &json!({"properties": {"a": {"$ref": "https://example.com/a"}}})
    ));
}

#[test]
fn hostile_schemas_come_to_an_end_and_stay_small() {
    let mut deep = json!({"type": "string"});
    for _ in 0..500 {
        deep = json!({"not": deep});
    }
    let mut items = json!({"type": "string"});
    for _ in 0..500 {
        items = json!({"items": items});
    }
    let doubled: serde_json::Map<String, Value> = (0..60)
        .map(|level| {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            (
                format!("a{level}"),
                json!({"allOf": [next, next], "properties": {"x": next, "y": next}}),
            )
        })
        .collect();
    let choices: Vec<Value> = (0..40)
        .map(|n| json!({"anyOf": [{"required": [format!("a{n}")]}, {"required": [format!("b{n}")]}, {"minProperties": n}]}))
        .collect();
    let exclusive: Vec<Value> = (0..300)
        .map(|n| json!({"minimum": n, "minLength": n}))
        .collect();
    for schema in [
        deep,
        items,
        json!({"$defs": doubled, "$ref": "#/$defs/a0"}),
        json!({"allOf": choices}),
        json!({"oneOf": exclusive}),
        json!({"$ref": "#"}),
        json!({"not": {"$ref": "#"}}),
        json!({"allOf": [{"$ref": "#/anyOf/0"}], "anyOf": [{"$ref": "#/allOf/0"}]}),
        json!({"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "$defs": {"m": {"$dynamicAnchor": "n"}}}),
        json!({"$id": "::not a uri::", "$ref": "%zz#/%"}),
        json!({"type": 3, "properties": 4, "required": "x", "items": null, "enum": 1, "allOf": {}, "pattern": [], "minLength": -1}),
    ] {
        let text = closed(&schema).schema.to_string();
        let given: String = schema.to_string().chars().take(80).collect();
        assert!(text.len() < 400_000, "{} of {given}", text.len());
        let _ = closed_arguments(&schema);
    }
}
