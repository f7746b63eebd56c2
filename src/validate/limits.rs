//! Caps on tool schemas, which are hostile input.
//!
//! Data in: a schema. Data out: whether it is small enough to compile and to run.
//! Invariants: work here is bounded by the caps themselves; references are followed only within
//! the schema, and what they lead to is counted as often as it would be walked.

use std::collections::BTreeMap;

use serde_json::Value;

/// Largest schema, as JSON text.
const BYTES: usize = 512 * 1024;
/// Deepest nesting of the schema's text.
const DEPTH: usize = 96;
/// Most values in the schema's text.
const NODES: usize = 50_000;
/// Most values when every reference is replaced by what it names.
const EXPANDED_NODES: u64 = 200_000;
/// Longest chain of references: following them is recursive here and in the compiler.
const REFERENCE_CHAIN: usize = 200;
/// Deepest nesting when references are followed, for the same reason.
const FOLLOWED_DEPTH: usize = 4_000;
/// Most patterns: each may take a megabyte when compiled.
const PATTERNS: usize = 400;
/// Keywords whose subschemas apply to the same value, so that a cycle through them never ends.
const IN_PLACE: [&str; 9] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
];

/// A cap that was passed, with the place in the schema.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LimitError {
    /// JSON pointer into the schema.
    pub(super) pointer: String,
    /// Which cap, in words.
    pub(super) message: String,
}

impl LimitError {
    fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

/// Checks all caps.
pub(super) fn check(schema: &Value) -> Result<(), LimitError> {
    let mut nodes = 0;
    check_text(schema, 0, &mut nodes)?;
    if count_patterns(schema) > PATTERNS {
        return Err(LimitError::new(
            "",
            format!("the schema holds over {PATTERNS} patterns"),
        ));
    }
    if schema.to_string().len() > BYTES {
        return Err(LimitError::new(
            "",
            format!("the schema is over {BYTES} bytes"),
        ));
    }
    let mut walk = Walk {
        root: schema,
        sizes: BTreeMap::new(),
        chain: 0,
        depth: 0,
    };
    if walk.size(schema)? > EXPANDED_NODES {
        return Err(LimitError::new(
            "",
            format!("with its references followed the schema is over {EXPANDED_NODES} values"),
        ));
    }
    walk.check_cycles(schema, &mut Vec::new(), &mut 0)
}

fn check_text(value: &Value, depth: usize, nodes: &mut usize) -> Result<(), LimitError> {
    *nodes += 1;
    if depth > DEPTH {
        return Err(LimitError::new(
            "",
            format!("the schema is over {DEPTH} levels deep"),
        ));
    }
    if *nodes > NODES {
        return Err(LimitError::new(
            "",
            format!("the schema holds over {NODES} values"),
        ));
    }
    match value {
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| check_text(item, depth + 1, nodes)),
        Value::Object(map) => map
            .values()
            .try_for_each(|field| check_text(field, depth + 1, nodes)),
        _ => Ok(()),
    }
}

fn count_patterns(value: &Value) -> usize {
    match value {
        Value::Array(items) => items.iter().map(count_patterns).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, field)| {
                let own = match (key.as_str(), field) {
                    ("pattern", Value::String(_)) => 1,
                    ("patternProperties", Value::Object(patterns)) => patterns.len(),
                    _ => 0,
                };
                own + count_patterns(field)
            })
            .sum(),
        _ => 0,
    }
}

/// Follows references within one schema.
struct Walk<'a> {
    root: &'a Value,
    /// Size of each reference's target; `None` while it is being counted (a cycle counts once).
    sizes: BTreeMap<&'a str, Option<u64>>,
    /// References being followed.
    chain: usize,
    /// Values being looked into.
    depth: usize,
}

impl<'a> Walk<'a> {
    fn size(&mut self, value: &'a Value) -> Result<u64, LimitError> {
        let mut total: u64 = 1;
        self.depth += 1;
        if self.depth > FOLLOWED_DEPTH {
            return Err(LimitError::new(
                "",
                format!(
                    "with its references followed the schema is over {FOLLOWED_DEPTH} levels deep"
                ),
            ));
        }
        match value {
            Value::Array(items) => {
                for item in items {
                    total = total.saturating_add(self.size(item)?);
                }
            }
            Value::Object(map) => {
                for (key, field) in map {
                    total = total.saturating_add(self.size(field)?);
                    if let (true, Some(reference)) = (is_reference(key), field.as_str()) {
                        total = total.saturating_add(self.target_size(reference)?);
                    }
                }
            }
            _ => {}
        }
        self.depth -= 1;
        Ok(total)
    }

    fn target_size(&mut self, reference: &'a str) -> Result<u64, LimitError> {
        if let Some(known) = self.sizes.get(reference) {
            return Ok(known.unwrap_or(1));
        }
        let Some(target) = self.target(reference) else {
            return Ok(1);
        };
        self.sizes.insert(reference, None);
        self.chain += 1;
        if self.chain > REFERENCE_CHAIN {
            return Err(LimitError::new(
                reference.trim_start_matches('#'),
                format!("a chain of over {REFERENCE_CHAIN} references"),
            ));
        }
        let size = self.size(target)?;
        self.chain -= 1;
        self.sizes.insert(reference, Some(size));
        Ok(size)
    }

    /// What a reference within the schema names; others are the compiler's to refuse.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.is_empty() || pointer.starts_with('/') {
            self.root.pointer(pointer)
        } else {
            None
        }
    }

    /// Refuses references that lead back to themselves without going into the value.
    fn check_cycles(
        &self,
        value: &'a Value,
        path: &mut Vec<&'a str>,
        steps: &mut u64,
    ) -> Result<(), LimitError> {
        match value {
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.check_cycles(item, path, steps)),
            Value::Object(map) => {
                self.check_in_place(value, path, steps)?;
                map.iter()
                    .filter(|(key, _)| !IN_PLACE.contains(&key.as_str()))
                    .try_for_each(|(_, field)| self.check_cycles(field, &mut Vec::new(), steps))
            }
            _ => Ok(()),
        }
    }

    fn check_in_place(
        &self,
        value: &'a Value,
        path: &mut Vec<&'a str>,
        steps: &mut u64,
    ) -> Result<(), LimitError> {
        *steps += 1;
        if *steps > EXPANDED_NODES {
            return Err(LimitError::new(
                "",
                "the schema's references are too many to follow",
            ));
        }
        match value {
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.check_in_place(item, path, steps)),
            Value::Object(map) => map
                .iter()
                .filter(|(key, _)| IN_PLACE.contains(&key.as_str()))
                .try_for_each(|(key, field)| match field.as_str() {
                    Some(reference) if is_reference(key) => self.follow(reference, path, steps),
                    _ => self.check_in_place(field, path, steps),
                }),
            _ => Ok(()),
        }
    }

    fn follow(
        &self,
        reference: &'a str,
        path: &mut Vec<&'a str>,
        steps: &mut u64,
    ) -> Result<(), LimitError> {
        if path.contains(&reference) {
            return Err(LimitError::new(
                reference.trim_start_matches('#'),
                format!("the reference `{reference}` leads back to itself"),
            ));
        }
        let Some(target) = self.target(reference) else {
            return Ok(());
        };
        path.push(reference);
        let outcome = self.check_in_place(target, path, steps);
        path.pop();
        outcome
    }
}

fn is_reference(key: &str) -> bool {
    matches!(key, "$ref" | "$dynamicRef" | "$recursiveRef")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ordinary_recursive_schemas_pass() {
        for schema in [
            json!(true),
            json!({"type": "object", "properties": {"child": {"$ref": "#"}}}),
            json!({"$defs": {"node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}},
                   "properties": {"head": {"$ref": "#/$defs/node"}}}),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }

    #[test]
    fn hostile_schemas_are_refused() {
        let mut deep = json!({});
        for _ in 0..120 {
            deep = json!({"items": deep});
        }
        let mut bomb = serde_json::Map::new();
        for level in 0..40 {
            let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
            bomb.insert(format!("a{level}"), json!({"allOf": [next, next]}));
        }
        bomb.insert("a40".to_owned(), json!({"type": "string"}));
        let wide: Vec<_> = (0..60_000).collect();
        let mut chain = serde_json::Map::new();
        for link in 0..300 {
            let next = json!({"$ref": format!("#/$defs/c{}", link + 1)});
            chain.insert(format!("c{link}"), next);
        }
        for (schema, needle) in [
            (deep, "levels deep"),
            (
                json!({"$defs": bomb, "$ref": "#/$defs/a0"}),
                "references followed",
            ),
            (json!({"enum": wide}), "values"),
            (json!({"description": "x".repeat(600_000)}), "bytes"),
            (json!({"$defs": chain, "$ref": "#/$defs/c0"}), "chain"),
            (json!({"$ref": "#"}), "leads back"),
            (
                json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}},
                    "properties": {"x": {"$ref": "#/$defs/a"}}}),
                "leads back",
            ),
        ] {
            let error = check(&schema).unwrap_err();
            assert!(
                error.message.contains(needle),
                "{needle}: {}",
                error.message
            );
        }
    }
}
