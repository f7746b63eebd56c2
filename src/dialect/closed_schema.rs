//! A tool's argument schema as a grammar slot: objects closed where that is sound.
//!
//! Data in: a schema as the tool's author wrote it. Data out: the same schema in which objects
//! that say nothing of further properties have none.
//! Invariants: only `additionalProperties: false` is ever added, and never where a combinator
//! (`allOf`, `anyOf`, `oneOf`, `not`, `if`, `$ref`) could count on further properties. Validation
//! uses the schema as given.

use serde_json::{Map, Value, json};

/// Keywords beside which an object is not closed, and below which nothing is.
const COMBINATORS: [&str; 9] = [
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "dependentSchemas",
];

/// The schema of a tool's arguments, closed. Arguments are always an object.
pub fn closed_arguments(schema: &Value) -> Value {
    let Value::Object(map) = schema else {
        return json!({"type": "object", "properties": {}, "additionalProperties": false});
    };
    let mut root = close_map(map, &text_has_all_of(schema));
    let open = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
    ]
    .iter()
    .chain(&COMBINATORS)
    .any(|keyword| root.contains_key(*keyword));
    if !open {
        root.entry("type").or_insert_with(|| json!("object"));
        root.insert("additionalProperties".to_owned(), json!(false));
    }
    Value::Object(root)
}

/// Whether the document holds an `allOf`: a definition could then be part of one.
fn text_has_all_of(schema: &Value) -> Shared {
    Shared {
        definitions_closed: !schema.to_string().contains("\"allOf\""),
    }
}

struct Shared {
    definitions_closed: bool,
}

fn close(schema: &Value, shared: &Shared) -> Value {
    match schema {
        Value::Object(map) => Value::Object(close_map(map, shared)),
        other => other.clone(),
    }
}

fn close_map(map: &Map<String, Value>, shared: &Shared) -> Map<String, Value> {
    let mut out = Map::new();
    for (keyword, value) in map {
        let closed = match keyword.as_str() {
            "properties" => close_each(value, shared),
            "$defs" | "definitions" if shared.definitions_closed => close_each(value, shared),
            "items" | "additionalProperties" => close(value, shared),
            "prefixItems" => match value {
                Value::Array(items) => items.iter().map(|item| close(item, shared)).collect(),
                other => other.clone(),
            },
            _ => value.clone(),
        };
        out.insert(keyword.clone(), closed);
    }
    let says_nothing = [
        "additionalProperties",
        "unevaluatedProperties",
        "patternProperties",
    ]
    .iter()
    .chain(&COMBINATORS)
    .all(|keyword| !out.contains_key(*keyword));
    // Without `properties` the object is a free map: closing it would leave only `{}`.
    if says_nothing && out.contains_key("properties") {
        out.insert("additionalProperties".to_owned(), json!(false));
    }
    out
}

fn close_each(value: &Value, shared: &Shared) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(name, schema)| (name.clone(), close(schema, shared)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_closed_recursively_but_not_in_combinators() {
        let schema = json!({
            "type": "object",
            "properties": {
                "place": {"type": "object", "properties": {"city": {"type": "string"}}},
                "free": {"type": "object"},
                "open": {"type": "object", "properties": {}, "additionalProperties": true},
                "either": {"anyOf": [{"type": "object", "properties": {"a": {}}}]},
                "list": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}}
            }
        });
        let closed = closed_arguments(&schema);
        assert_eq!(closed["additionalProperties"], json!(false));
        assert_eq!(
            closed["properties"]["place"]["additionalProperties"],
            json!(false)
        );
        assert_eq!(
            closed["properties"]["free"].get("additionalProperties"),
            None
        );
        assert_eq!(
            closed["properties"]["open"]["additionalProperties"],
            json!(true)
        );
        assert_eq!(
            closed["properties"]["either"],
            schema["properties"]["either"]
        );
        assert_eq!(
            closed["properties"]["list"]["items"]["additionalProperties"],
            json!(false)
        );
    }

    #[test]
    fn a_tool_without_arguments_takes_none() {
        assert_eq!(
            closed_arguments(&json!({"type": "object"}))["additionalProperties"],
            json!(false)
        );
        assert_eq!(
            closed_arguments(&json!(null))["additionalProperties"],
            json!(false)
        );
    }
}
