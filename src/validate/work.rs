//! How much work it is to explain why a value is invalid.
//!
//! Data in: a schema and a value. Data out: about how many subschemas meet a part of the value, each
//! way counted. Invariants: counting itself is bounded; the count is too high rather than too low.
//! Whether a value is valid is found once for each pair; explaining walks every way, and of a schema
//! that branches into itself there are as many as two to the power of the value's depth.

use std::collections::HashMap;

use serde_json::Value;

/// Most pairs of subschema and value looked at.
const MOST_PAIRS: usize = 100_000;
/// Deepest chain of subschemas.
const MOST_DEPTH: u32 = 1_500;

/// The count; `u64::MAX` where it cannot be had.
pub(super) fn ways(schema: &Value, value: &Value) -> u64 {
    let mut counter = Counter {
        root: schema,
        known: HashMap::new(),
        depth: 0,
    };
    counter.of(schema, value)
}

struct Counter<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, *const Value), u64>,
    depth: u32,
}

impl<'a> Counter<'a> {
    fn of(&mut self, schema: &'a Value, value: &Value) -> u64 {
        let Value::Object(keywords) = schema else {
            return 1;
        };
        let key = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        if self.known.len() >= MOST_PAIRS || self.depth >= MOST_DEPTH {
            return u64::MAX;
        }
        // A schema that leads back to itself on the same value adds nothing.
        self.known.insert(key, 1);
        self.depth += 1;
        let mut total: u64 = 1;
        for (keyword, field) in keywords {
            total = total.saturating_add(self.of_keyword(keyword, field, value));
        }
        self.depth -= 1;
        self.known.insert(key, total);
        total
    }

    fn of_keyword(&mut self, keyword: &str, field: &'a Value, value: &Value) -> u64 {
        match (keyword, field, value) {
            ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(reference), _) => {
                // What is not found by its place could be anything, the whole schema at most.
                let target = reference
                    .strip_prefix('#')
                    .and_then(|pointer| self.root.pointer(pointer))
                    .unwrap_or(self.root);
                self.of(target, value)
            }
            ("not" | "if" | "then" | "else", _, _) => self.of(field, value),
            ("allOf" | "anyOf" | "oneOf", Value::Array(branches), _) => {
                self.sum(branches.iter(), &std::iter::once(value))
            }
            ("dependentSchemas" | "dependencies", Value::Object(branches), _) => {
                self.sum(branches.values(), &std::iter::once(value))
            }
            ("properties", Value::Object(properties), Value::Object(map)) => properties
                .iter()
                .filter_map(|(name, property)| Some((property, map.get(name)?)))
                .fold(0, |sum: u64, (property, value)| {
                    sum.saturating_add(self.of(property, value))
                }),
            ("patternProperties", Value::Object(patterns), Value::Object(map)) => {
                self.sum(patterns.values(), &map.values())
            }
            ("additionalProperties" | "unevaluatedProperties", _, Value::Object(map)) => {
                self.sum(std::iter::once(field), &map.values())
            }
            ("propertyNames", _, Value::Object(map)) => map.len() as u64,
            ("items" | "prefixItems", Value::Array(schemas), Value::Array(items)) => schemas
                .iter()
                .zip(items)
                .fold(0, |sum: u64, (schema, item)| {
                    sum.saturating_add(self.of(schema, item))
                }),
            (
                "items" | "additionalItems" | "contains" | "unevaluatedItems",
                _,
                Value::Array(items),
            ) => self.sum(std::iter::once(field), &items.iter()),
            _ => 0,
        }
    }

    fn sum<'v>(
        &mut self,
        schemas: impl Iterator<Item = &'a Value>,
        values: &(impl Iterator<Item = &'v Value> + Clone),
    ) -> u64 {
        schemas
            .flat_map(|schema| values.clone().map(move |value| (schema, value)))
            .fold(0, |sum: u64, (schema, value)| {
                sum.saturating_add(self.of(schema, value))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_schema_that_branches_into_itself_has_very_many_ways() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
        let branch = json!({"properties": {"a": {"$ref": "#"}}});
        let straight = json!({"properties": {"a": {"$ref": "#"}}});
        assert!(ways(&straight, &nested(100)) < 1_000);
        let branching = json!({"anyOf": [branch, branch]});
        assert!(ways(&branching, &nested(40)) > 1 << 40);
        assert!(ways(&json!({"$ref": "#"}), &json!(1)) < 10);
        assert_eq!(ways(&json!(true), &json!(1)), 1);
    }
}
