//! Arguments that travel as headers too (`x-mcp-header`, streamable HTTP since 2026-07-28).
//!
//! Data in: a tool's input schema. Data out: nothing, or why its annotations are unsound, and the
//! tool therefore may not be used there. Invariants: an annotation counts only on a property reached
//! from the root through `properties` alone; names are header names, unlike one another.

use std::collections::BTreeSet;

use serde_json::Value;

const KEY: &str = "x-mcp-header";
/// Keywords whose values are data and no schemas.
const DATA: [&str; 4] = ["default", "const", "enum", "examples"];

/// What is wrong with the annotations of a schema.
pub(super) fn unsound_header(schema: &Value) -> Option<String> {
    let mut seen = BTreeSet::new();
    look(schema, Place::Root, &mut seen)
        .err()
        .map(|reason| format!("its `{KEY}` {reason}"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Property,
    /// Below a combination, a list, a definition: nobody knows which value it would be.
    Elsewhere,
}

fn look(schema: &Value, place: Place, seen: &mut BTreeSet<String>) -> Result<(), String> {
    match schema {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| look(item, Place::Elsewhere, seen)),
        Value::Object(map) => {
            if let Some(header) = map.get(KEY) {
                check(schema, header, place, seen)?;
            }
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("properties", Value::Object(properties)) => {
                        let inside = match place {
                            Place::Elsewhere => Place::Elsewhere,
                            Place::Root | Place::Property => Place::Property,
                        };
                        for property in properties.values() {
                            look(property, inside, seen)?;
                        }
                    }
                    (
                        "$defs" | "definitions" | "dependentSchemas" | "patternProperties",
                        Value::Object(schemas),
                    ) => {
                        for schema in schemas.values() {
                            look(schema, Place::Elsewhere, seen)?;
                        }
                    }
                    (key, value) if !DATA.contains(&key) => look(value, Place::Elsewhere, seen)?,
                    _ => {}
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn check(
    schema: &Value,
    header: &Value,
    place: Place,
    seen: &mut BTreeSet<String>,
) -> Result<(), String> {
    if place != Place::Property {
        return Err("stands where no single argument is".to_owned());
    }
    let name = header
        .as_str()
        .ok_or_else(|| format!("is {header}, no name"))?;
    if http::HeaderName::try_from(name).is_err() {
        return Err(format!("is no name of a header: {header}"));
    }
    if !seen.insert(name.to_ascii_lowercase()) {
        return Err(format!("names {header} twice"));
    }
    match schema["type"].as_str() {
        Some("string" | "integer" | "boolean") => Ok(()),
        _ => Err(format!(
            "{header} is on an argument that is no string, integer or boolean"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sound_annotations_are_let_through() {
        for schema in [
            json!({"type": "object"}),
            json!({"properties": {"a": {"type": "string", "x-mcp-header": "Region"}, "b": {"type": "integer", "x-mcp-header": "Zone"}}}),
            json!({"properties": {"a": {"type": "object", "properties": {"b": {"type": "boolean", "x-mcp-header": "B"}}}}}),
            json!({"properties": {"x-mcp-header": {"type": "string"}}}),
            json!({"properties": {"a": {"default": {"x-mcp-header": ""}}}}),
        ] {
            assert_eq!(unsound_header(&schema), None, "{schema}");
        }
    }

    #[test]
    fn unsound_ones_have_a_reason() {
        let property = |property: Value| json!({"properties": {"a": property}});
        for (schema, needle) in [
            (
                property(json!({"type": "string", "x-mcp-header": ""})),
                "no name of a header",
            ),
            (
                property(json!({"type": "string", "x-mcp-header": "a b"})),
                "no name of a header",
            ),
            (
                property(json!({"type": "string", "x-mcp-header": "a:b"})),
                "no name of a header",
            ),
            (
                property(json!({"type": "string", "x-mcp-header": "é"})),
                "no name of a header",
            ),
            (
                property(json!({"type": "string", "x-mcp-header": 1})),
                "no name",
            ),
            (
                property(json!({"type": "number", "x-mcp-header": "A"})),
                "no string",
            ),
            (
                property(json!({"type": "null", "x-mcp-header": "A"})),
                "no string",
            ),
            (property(json!({"x-mcp-header": "A"})), "no string"),
            (json!({"x-mcp-header": "A"}), "no single argument"),
            (
                json!({"anyOf": [{"properties": {"a": {"type": "string", "x-mcp-header": "A"}}}]}),
                "no single argument",
            ),
            (
                property(json!({"items": {"type": "string", "x-mcp-header": "A"}})),
                "no single argument",
            ),
            (
                json!({"properties": {"a": {"type": "string", "x-mcp-header": "A"}, "b": {"type": "string", "x-mcp-header": "a"}}}),
                "twice",
            ),
        ] {
            let reason = unsound_header(&schema).unwrap_or_default();
            assert!(reason.contains(needle), "{schema}: {reason}");
        }
    }
}
