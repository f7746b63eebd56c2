//! Arguments made from a tool's schema, by someone who understands nothing of it.
//!
//! Data in: a schema and a source of choices. Data out: a value that its common keywords allow.
//! Invariants: pure; bounded in depth; the caller validates the result, since combinations of
//! keywords can ask for more than is looked at here.

use serde_json::{Map, Value, json};

use crate::types::pattern::example_of_pattern;

/// Deepest value made.
const DEEPEST: usize = 12;

/// Which of several possibilities to take.
pub trait Choose {
    /// One of `0..bound`; `bound` is at least 1.
    fn choose(&mut self, bound: usize) -> usize;
}

/// Always the first: required arguments only, smallest values.
pub struct Plainest;

impl Choose for Plainest {
    fn choose(&mut self, _bound: usize) -> usize {
        0
    }
}

/// By lot, with a seed (SplitMix64).
pub struct ByLot(pub u64);

impl Choose for ByLot {
    fn choose(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^= word >> 31;
        ((u128::from(word) * bound as u128) >> 64) as usize
    }
}

/// A value for `schema`, or `None` where none is easily made.
pub fn sample(schema: &Value, choose: &mut dyn Choose) -> Option<Value> {
    Sampler {
        root: schema,
        choose,
    }
    .value(schema, 0)
}

struct Sampler<'a> {
    root: &'a Value,
    choose: &'a mut dyn Choose,
}

const WORDS: [&str; 6] = ["example", "alpha", "north", "Oslo", "42", "blue note"];

impl Sampler<'_> {
    fn value(&mut self, schema: &Value, depth: usize) -> Option<Value> {
        if depth > DEEPEST {
            return None;
        }
        let map = match schema {
            Value::Bool(true) => return Some(json!("example")),
            Value::Object(map) => map,
            _ => return None,
        };
        if let Some(value) = map.get("const") {
            return Some(value.clone());
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            let at = self.choose.choose(values.len().max(1));
            return values.get(at).cloned();
        }
        if let Some(merged) = self.merged(map) {
            return self.value(&Value::Object(merged), depth + 1);
        }
        match self.kind(map) {
            "object" => self.object(map, depth),
            "array" => self.array(map, depth),
            "integer" => Some(self.number(map, true)),
            "number" => Some(self.number(map, false)),
            "boolean" => Some(Value::Bool(self.choose.choose(2) == 0)),
            "null" => Some(Value::Null),
            _ => self.text(map),
        }
    }

    /// The schema with one branch of `anyOf` or `oneOf`, all of `allOf`, or its `$ref` folded in.
    fn merged(&mut self, map: &Map<String, Value>) -> Option<Map<String, Value>> {
        let mut base = map.clone();
        let mut parts = Vec::new();
        if let Some(Value::String(reference)) = base.remove("$ref") {
            let pointer = reference.strip_prefix('#')?;
            parts.push(self.root.pointer(pointer)?.clone());
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(Value::Array(branches)) = base.remove(key) {
                let at = self.choose.choose(branches.len().max(1));
                parts.push(branches.get(at)?.clone());
            }
        }
        if let Some(Value::Array(all)) = base.remove("allOf") {
            parts.extend(all);
        }
        if parts.is_empty() {
            return None;
        }
        for part in parts {
            fold(&mut base, part.as_object()?);
        }
        Some(base)
    }

    fn kind<'a>(&mut self, map: &'a Map<String, Value>) -> &'a str {
        match map.get("type") {
            Some(Value::String(kind)) => kind,
            Some(Value::Array(kinds)) => {
                let named: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                let at = self.choose.choose(named.len().max(1));
                named.get(at).copied().unwrap_or("null")
            }
            _ if map.contains_key("properties") => "object",
            _ if map.contains_key("items") => "array",
            _ => "string",
        }
    }

    fn object(&mut self, map: &Map<String, Value>, depth: usize) -> Option<Value> {
        let required: Vec<&str> = map
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let empty = Map::new();
        let properties = map
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&empty);
        let mut made = Map::new();
        for (name, schema) in properties {
            if required.contains(&name.as_str()) {
                made.insert(name.clone(), self.value(schema, depth + 1)?);
            } else if self.choose.choose(3) == 2
                && let Some(value) = self.value(schema, depth + 1)
            {
                made.insert(name.clone(), value);
            }
        }
        let further = map
            .get("additionalProperties")
            .unwrap_or(&Value::Bool(true));
        for name in required {
            if !made.contains_key(name) {
                made.insert(name.to_owned(), self.value(further, depth + 1)?);
            }
        }
        let least = map
            .get("minProperties")
            .and_then(Value::as_u64)
            .unwrap_or(0) as usize;
        for index in 0..least.saturating_sub(made.len()).min(20) {
            made.insert(format!("key_{index}"), self.value(further, depth + 1)?);
        }
        Some(Value::Object(made))
    }

    fn array(&mut self, map: &Map<String, Value>, depth: usize) -> Option<Value> {
        let least = map.get("minItems").and_then(Value::as_u64).unwrap_or(0) as usize;
        let most = map
            .get("maxItems")
            .and_then(Value::as_u64)
            .map_or(least + 3, |most| most as usize);
        let wanted = (least.max(1).min(most) + self.choose.choose(2)).min(most);
        let first = map
            .get("prefixItems")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let rest = map.get("items").cloned().unwrap_or(Value::Bool(true));
        let unique = map.get("uniqueItems") == Some(&Value::Bool(true));
        let listed = rest.get("enum").and_then(Value::as_array).map(Vec::len);
        let wanted = match listed {
            Some(values) if unique => wanted.min(values),
            _ => wanted,
        };
        let mut items: Vec<Value> = Vec::new();
        for index in 0..wanted.max(least) {
            let schema = first.get(index).unwrap_or(&rest);
            let mut value = self.value(schema, depth + 1)?;
            if unique && items.contains(&value) {
                value = self.another(schema, &items, index, depth)?;
            }
            items.push(value);
        }
        Some(Value::Array(items))
    }

    /// A value that is not among `items`: the enum's next, or the index itself in some form.
    fn another(
        &mut self,
        schema: &Value,
        items: &[Value],
        index: usize,
        depth: usize,
    ) -> Option<Value> {
        let listed = schema.get("enum").and_then(Value::as_array);
        if let Some(values) = listed {
            return values.iter().find(|value| !items.contains(value)).cloned();
        }
        match self.value(schema, depth + 1)? {
            Value::String(text) => Some(Value::from(format!("{text}{index}"))),
            Value::Number(number) => {
                let step = number.as_i64()?.checked_add(i64::try_from(index).ok()?)?;
                Some(Value::from(step))
            }
            other => Some(other),
        }
    }

    fn number(&mut self, map: &Map<String, Value>, whole: bool) -> Value {
        let bound = |key: &str| map.get(key).and_then(Value::as_f64);
        let step = if whole { 1.0 } else { 0.5 };
        let low = match (bound("minimum"), bound("exclusiveMinimum")) {
            (Some(low), _) => Some(low),
            (None, Some(low)) => Some(low + step),
            (None, None) => None,
        };
        let high = match (bound("maximum"), bound("exclusiveMaximum")) {
            (Some(high), _) => Some(high),
            (None, Some(high)) => Some(high - step),
            (None, None) => None,
        };
        let start = match (low, high) {
            (Some(low), _) => low,
            (None, Some(high)) => high.min(1.0),
            (None, None) => 1.0,
        };
        let room = high.map_or(100.0, |high| (high - start).max(0.0)).min(1e6);
        let drawn = start + self.choose.choose(room as usize + 1) as f64;
        let value = match bound("multipleOf") {
            Some(multiple) if multiple > 0.0 => (drawn / multiple).ceil() * multiple,
            _ => drawn,
        };
        if whole || value.fract() == 0.0 {
            Value::from(value.ceil() as i64)
        } else {
            Value::from(value)
        }
    }

    fn text(&mut self, map: &Map<String, Value>) -> Option<Value> {
        if let Some(pattern) = map.get("pattern").and_then(Value::as_str) {
            return example_of_pattern(pattern).map(Value::from);
        }
        let formatted = map
            .get("format")
            .and_then(Value::as_str)
            .and_then(of_format);
        if let Some(text) = formatted {
            return Some(Value::from(text));
        }
        let mut text = WORDS[self.choose.choose(WORDS.len())].to_owned();
        let least = map.get("minLength").and_then(Value::as_u64).unwrap_or(0) as usize;
        while text.chars().count() < least.min(10_000) {
            text.push('a');
        }
        let most = map
            .get("maxLength")
            .and_then(Value::as_u64)
            .map_or(usize::MAX, |most| most as usize);
        Some(Value::from(text.chars().take(most).collect::<String>()))
    }
}

/// Adds what `part` says; lists of required names and properties are united.
fn fold(base: &mut Map<String, Value>, part: &Map<String, Value>) {
    for (key, value) in part {
        match (base.get_mut(key), value) {
            (Some(Value::Object(known)), Value::Object(more)) if key == "properties" => {
                for (name, schema) in more {
                    known.entry(name.clone()).or_insert_with(|| schema.clone());
                }
            }
            (Some(Value::Array(known)), Value::Array(more)) if key == "required" => {
                known.extend(more.iter().cloned());
            }
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

fn of_format(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "2026-01-31",
        "date-time" => "2026-01-31T09:30:00Z",
        "time" => "09:30:00Z",
        "duration" => "PT1H",
        "email" | "idn-email" => "someone@example.org",
        "hostname" | "idn-hostname" => "example.org",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "iri" => "https://example.org/a",
        "uri-reference" | "iri-reference" | "json-pointer" => "/a",
        "uuid" => "5b6f2c1e-8d3a-4c57-9a10-2f4b7c9d1e02",
        "regex" => "a+",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_validate() {
        for schema in [
            json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 4},
                "b": {"enum": ["x", "y"]}, "c": {"type": "string", "format": "date-time"}}, "required": ["a", "b", "c"],
                "additionalProperties": false}),
            json!({"type": "array", "items": {"type": "string", "pattern": "^[a-z]{3}$"}, "minItems": 2}),
            json!({"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": true}),
            json!({"anyOf": [{"type": "null"}, {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.25}]}),
            json!({"$defs": {"p": {"type": "object", "properties": {"q": {"const": 7}}, "required": ["q"]}},
                "type": "object", "properties": {"p": {"$ref": "#/$defs/p"}}, "required": ["p"]}),
            json!({"allOf": [{"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string", "minLength": 9}}, "required": ["b"]}], "type": "object"}),
            json!({"type": ["string", "null"], "maxLength": 3}),
            json!({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2}),
        ] {
            let validator = jsonschema::options()
                .should_validate_formats(true)
                .build(&schema)
                .unwrap();
            let plain = sample(&schema, &mut Plainest).unwrap();
            assert!(validator.is_valid(&plain), "{schema}: {plain}");
            for seed in 0..50 {
                let drawn = sample(&schema, &mut ByLot(seed)).unwrap();
                assert!(validator.is_valid(&drawn), "{schema}: {drawn}");
            }
        }
    }

    #[test]
    fn endless_schemas_end() {
        let schema =
            json!({"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]});
        assert_eq!(sample(&schema, &mut Plainest), None);
        assert_eq!(sample(&json!({"$ref": "#"}), &mut Plainest), None);
    }
}
