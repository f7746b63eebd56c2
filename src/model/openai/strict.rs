//! Schemas in the form that strict mode documents, where that loses nothing.
//!
//! Data in: a tool's schema or that of a whole reply. Data out: a schema whose objects are closed and
//! have every property required, or the reason why there is none; and arguments with what the rewriting
//! added taken out again. Source: OpenAI's guide to structured outputs, "supported schemas", as of 20
//! November 2026. Invariants: an optional argument becomes one that may be null, and a null where the
//! tool's own schema takes none means that it was left out; where both would be possible the schema is
//! refused. Titles, defaults and examples, which hold nothing, are left out.

use serde_json::{Map, Value, json};

/// Keywords that the guide lists.
const TAKEN: [&str; 21] = [
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "anyOf",
    "$ref",
    "$defs",
    "definitions",
    "description",
    "pattern",
    "format",
    "multipleOf",
    "maximum",
    "exclusiveMaximum",
    "minimum",
    "exclusiveMinimum",
    "minItems",
    "maxItems",
];
/// Keywords that hold nothing.
const WORDS: [&str; 7] = [
    "title",
    "default",
    "examples",
    "$comment",
    "$schema",
    "deprecated",
    "$id",
];
/// Deepest nesting read; the guide allows five levels.
const MOST_DEPTH: usize = 10;

/// The arguments of a tool.
pub(super) fn arguments(schema: &Value) -> Result<Value, String> {
    root(schema, true)
}

/// A whole reply: nothing can be taken out of its text again, so nothing may be optional.
pub(super) fn reply_schema(schema: &Value) -> Result<Value, String> {
    root(schema, false)
}

/// Arguments without the nulls that stand for what was left out.
pub(super) fn without_added_nulls(schema: &Value, value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().filter_map(|(name, value)| {
                let Some(own) = schema.pointer("/properties").and_then(|all| all.get(&name)) else {
                    return Some((name, value));
                };
                if value.is_null() && !requires(schema, &name) && !takes_null(own) {
                    return None;
                }
                Some((name, without_added_nulls(own, value)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let own = schema.get("items").unwrap_or(&Value::Null);
            let items = items.into_iter().map(|item| without_added_nulls(own, item));
            Value::Array(items.collect())
        }
        other => other,
    }
}

fn requires(schema: &Value, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|list| list.iter().any(|known| known == name))
}

/// Null is among its values, as far as the schema itself says.
fn takes_null(schema: &Value) -> bool {
    let lists = |key: &str, value: &Value| match schema.get(key) {
        Some(Value::Array(list)) => list.contains(value),
        Some(one) => one == value,
        None => false,
    };
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    lists("type", &json!("null"))
        || lists("enum", &Value::Null)
        || lists("const", &Value::Null)
        || alternatives.is_some_and(|list| list.iter().any(takes_null))
}

fn root(schema: &Value, nullable: bool) -> Result<Value, String> {
    let written = Rewriter { nullable }.schema(schema, "", 0)?;
    if written.get("anyOf").is_some() {
        return Err("its root is a choice of alternatives".to_owned());
    }
    if written.get("type") != Some(&json!("object")) {
        return Err("its root is no object".to_owned());
    }
    Ok(written)
}

struct Rewriter {
    /// Optional properties may become ones that take null.
    nullable: bool,
}

impl Rewriter {
    fn schema(&self, schema: &Value, at: &str, depth: usize) -> Result<Value, String> {
        let place = if at.is_empty() { "the root" } else { at };
        if depth > MOST_DEPTH {
            return Err(format!("{place} is nested too deep"));
        }
        let Value::Object(map) = schema else {
            return Err(format!("{place} says nothing of its type"));
        };
        let mut written = Map::new();
        for (keyword, value) in map {
            let below = format!("{at}/{keyword}");
            let value = match keyword.as_str() {
                word if WORDS.contains(&word) => continue,
                "properties" | "$defs" | "definitions" => self.each(value, &below, depth)?,
                "items" => self.schema(value, &below, depth + 1)?,
                "anyOf" => self.alternatives(value, &below, depth)?,
                taken if TAKEN.contains(&taken) => value.clone(),
                other => return Err(format!("{place} uses `{other}`")),
            };
            written.insert(keyword.clone(), value);
        }
        let names_type = ["type", "enum", "const", "anyOf", "$ref"];
        if !names_type
            .iter()
            .any(|keyword| written.contains_key(*keyword))
        {
            return Err(format!("{place} says nothing of its type"));
        }
        if written.get("type") == Some(&json!("object")) {
            self.close(schema, &mut written, place)?;
        }
        Ok(Value::Object(written))
    }

    fn each(&self, value: &Value, at: &str, depth: usize) -> Result<Value, String> {
        let Value::Object(map) = value else {
            return Err(format!("{at} is no object"));
        };
        let written = map.iter().map(|(name, schema)| {
            let below = format!("{at}/{name}");
            Ok((name.clone(), self.schema(schema, &below, depth + 1)?))
        });
        Ok(Value::Object(written.collect::<Result<_, String>>()?))
    }

    fn alternatives(&self, value: &Value, at: &str, depth: usize) -> Result<Value, String> {
        let Value::Array(list) = value else {
            return Err(format!("{at} is no list"));
        };
        let own = list
            .iter()
            .filter(|schema| schema.get("type") == Some(&json!("object")));
        if self.nullable && own.count() > 1 {
            // Which of them a null stands in cannot be told afterwards.
            return Err(format!("{at} has several kinds of objects"));
        }
        let written = list
            .iter()
            .enumerate()
            .map(|(index, schema)| self.schema(schema, &format!("{at}/{index}"), depth + 1));
        Ok(Value::Array(written.collect::<Result<_, String>>()?))
    }

    fn close(
        &self,
        own: &Value,
        object: &mut Map<String, Value>,
        place: &str,
    ) -> Result<(), String> {
        match object.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(_) => return Err(format!("{place} takes properties of any name")),
        }
        let mut properties = match object.remove("properties") {
            Some(Value::Object(map)) => map,
            _ => Map::new(),
        };
        for (name, property) in &mut properties {
            if requires(own, name) {
                continue;
            }
            if !self.nullable {
                return Err(format!("`{name}` in {place} is optional"));
            }
            let given = own.pointer("/properties").and_then(|all| all.get(name));
            let given = given.unwrap_or(&Value::Null);
            if takes_null(given) || given.get("$ref").is_some() {
                return Err(format!(
                    "`{name}` in {place} is optional and may be null, which would then be one"
                ));
            }
            *property = or_null(property.take());
        }
        object.insert("required".to_owned(), properties.keys().cloned().collect());
        object.insert("properties".to_owned(), Value::Object(properties));
        object.insert("additionalProperties".to_owned(), json!(false));
        Ok(())
    }
}

/// The same, or null.
fn or_null(schema: Value) -> Value {
    match schema {
        Value::Object(mut map)
            if map.get("type").is_some_and(Value::is_string)
                && !map.contains_key("enum")
                && !map.contains_key("const") =>
        {
            let own = map["type"].take();
            map.insert("type".to_owned(), json!([own, "null"]));
            Value::Object(map)
        }
        other => json!({"anyOf": [other, {"type": "null"}]}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_optional_becomes_nullable_and_comes_back_left_out() {
        let schema = json!({
            "type": "object", "title": "T",
            "properties": {
                "zone": {"type": "string", "default": "UTC"},
                "unit": {"enum": ["c", "f"]},
                "deep": {"type": "object", "properties": {"a": {"type": "integer"}}},
                "list": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "number"}}, "required": []}},
            },
            "required": ["deep", "list"],
        });
        let strict = arguments(&schema).unwrap();
        assert_eq!(strict["required"], json!(["zone", "unit", "deep", "list"]));
        assert_eq!(strict["additionalProperties"], json!(false));
        assert_eq!(
            strict["properties"]["zone"],
            json!({"type": ["string", "null"]})
        );
        assert_eq!(
            strict["properties"]["unit"],
            json!({"anyOf": [{"enum": ["c", "f"]}, {"type": "null"}]})
        );
        assert_eq!(strict["properties"]["deep"]["required"], json!(["a"]));
        assert!(strict.get("title").is_none());
        let came = json!({"zone": null, "unit": "c", "deep": {"a": null}, "list": [{"b": null}, {"b": 1}]});
        assert_eq!(
            without_added_nulls(&schema, came),
            json!({"unit": "c", "deep": {}, "list": [{}, {"b": 1}]})
        );
    }

    #[test]
    fn what_would_lose_something_is_refused_with_the_reason() {
        let with = |property: Value| json!({"type": "object", "properties": {"x": property}});
        for (schema, words) in [
            (with(json!({"type": ["string", "null"]})), "may be null"),
            (
                with(json!({"type": "string", "minLength": 2})),
                "uses `minLength`",
            ),
            (with(json!({"oneOf": [{"type": "string"}]})), "uses `oneOf`"),
            (with(json!({})), "nothing of its type"),
            (
                json!({"type": "object", "additionalProperties": true}),
                "any name",
            ),
            (
                json!({"type": "object", "additionalProperties": {"type": "string"}}),
                "any name",
            ),
            (json!({"anyOf": [{"type": "object"}]}), "alternatives"),
            (json!({"type": "string"}), "no object"),
        ] {
            let reason = arguments(&schema).unwrap_err();
            assert!(reason.contains(words), "{schema}: {reason}");
        }
        let optional = with(json!({"type": "string"}));
        assert!(reply_schema(&optional).unwrap_err().contains("is optional"));
        // A null that the tool takes itself is the model's, and stays.
        let own = json!({"type": "object", "properties": {"x": {"type": ["string", "null"]}}, "required": ["x"]});
        assert_eq!(arguments(&own).unwrap()["required"], json!(["x"]));
        assert_eq!(
            without_added_nulls(&own, json!({"x": null})),
            json!({"x": null})
        );
    }

    #[test]
    fn a_hostile_schema_ends() {
        let mut deep = json!({"type": "string"});
        for _ in 0..200 {
            deep = json!({"type": "array", "items": deep});
        }
        let schema = json!({"type": "object", "properties": {"x": deep}, "required": ["x"]});
        assert!(arguments(&schema).unwrap_err().contains("too deep"));
    }
}
