//! Arguments made from a tool's schema alone.
//!
//! Data in: a tool. Data out: arguments that its schema accepts: what is required, and the same
//! with one optional argument. Invariants: deterministic; whatever comes out was validated against
//! the whole schema; a schema that this cannot satisfy gives a reason, never a wrong example.

use std::cell::Cell;

use serde_json::{Map, Value, json};

use super::text::{from_description, from_format, from_name};
use crate::types::pattern::examples_of_pattern;
use crate::types::{ToolCall, ToolDefinition};
use crate::validate::ToolSchemas;

/// Deepest schema that is followed.
const DEPTH: usize = 24;
/// Other values tried where the plainest one does not fit.
const VARIANTS: usize = 4;
/// Longest text or list that is made to meet a lower bound.
const LONGEST: u64 = 4_096;
/// Most values made for one schema, tried ones included: schemas are hostile input.
const STEPS: usize = 5_000;

/// Made arguments.
#[derive(Clone, Debug, PartialEq)]
pub struct Examples {
    /// Only what is required.
    pub required: Map<String, Value>,
    /// An optional argument's name, and the required ones with it.
    pub with_optional: Option<(String, Map<String, Value>)>,
    /// The required argument that a person could most likely forget to say.
    pub left_out: Option<String>,
}

/// Makes arguments for a tool, or goes on from `given` ones; the reason when it cannot.
pub fn examples(
    tool: &ToolDefinition,
    given: Option<&Map<String, Value>>,
) -> Result<Examples, String> {
    let schemas =
        ToolSchemas::compile(std::slice::from_ref(tool)).map_err(|error| error.to_string())?;
    let wrong_with = |arguments: &Map<String, Value>| {
        let call = ToolCall::new(&tool.name, Value::Object(arguments.clone()));
        let found = schemas.check_calls(&[call]);
        found.into_iter().next().map(|violation| violation.message)
    };
    let maker = Maker {
        root: &tool.input_schema,
        steps: Cell::new(STEPS),
    };
    let top = maker.resolve(&tool.input_schema, 0);
    let required = match given {
        Some(given) => match wrong_with(given) {
            Some(wrong) => return Err(wrong),
            None => given.clone(),
        },
        None => (0..VARIANTS)
            .filter_map(|variant| match maker.value(&top, &tool.name, variant, 0) {
                Some(Value::Object(map)) => Some(map),
                _ => None,
            })
            .find(|map| wrong_with(map).is_none())
            .ok_or_else(|| "no arguments could be made that its schema accepts".to_owned())?,
    };
    let with_optional = maker.with_optional(&top, &required, |map| wrong_with(map).is_none());
    Ok(Examples {
        left_out: maker.left_out(&top, &required),
        with_optional,
        required,
    })
}

struct Maker<'a> {
    /// The whole schema, for references.
    root: &'a Value,
    /// Values that may still be made.
    steps: Cell<usize>,
}

impl Maker<'_> {
    /// A value for a schema; the `variant`-th of several different ones where there are.
    fn value(&self, schema: &Value, name: &str, variant: usize, depth: usize) -> Option<Value> {
        let left = self.steps.get();
        if depth > DEPTH || left == 0 {
            return None;
        }
        self.steps.set(left - 1);
        let map = match schema {
            Value::Bool(true) => return Some(json!(from_name(name, variant))),
            Value::Object(map) => map,
            _ => return None,
        };
        if map.contains_key("$ref") || map.contains_key("allOf") {
            return self.value(&self.resolve(schema, depth), name, variant, depth + 1);
        }
        if let Some(value) = map.get("const") {
            return Some(value.clone());
        }
        if let Some(values) = map.get("enum").and_then(Value::as_array) {
            let fits: Vec<&Value> = values
                .iter()
                .filter(|value| !value.is_null() || values.len() == 1)
                .filter(|value| self.accepts(schema, value))
                .collect();
            return fits.get(variant % fits.len().max(1)).map(|v| (*v).clone());
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = map.get(key).and_then(Value::as_array) {
                return self.any_branch(map, key, branches, name, variant, depth);
            }
        }
        self.candidates(map, name, variant, depth)
            .into_iter()
            .find(|candidate| self.accepts(schema, candidate))
    }

    /// References replaced by what they name and `allOf` folded in, at this level.
    fn resolve(&self, schema: &Value, depth: usize) -> Value {
        let Value::Object(map) = schema else {
            return schema.clone();
        };
        if depth > DEPTH {
            return schema.clone();
        }
        let mut merged = map.clone();
        if let Some(target) = merged.remove("$ref").as_ref().and_then(Value::as_str)
            && let Some(found) = self.target(target)
        {
            merge(&mut merged, &self.resolve(found, depth + 1));
        }
        if let Some(Value::Array(parts)) = merged.remove("allOf") {
            for part in parts {
                merge(&mut merged, &self.resolve(&part, depth + 1));
            }
        }
        Value::Object(merged)
    }

    fn target(&self, reference: &str) -> Option<&Value> {
        let pointer = reference.strip_prefix('#')?;
        if pointer.is_empty() || pointer.starts_with('/') {
            self.root.pointer(pointer)
        } else {
            None
        }
    }

    /// The first branch of an `anyOf` or `oneOf`, joined with what stands beside it, that gives a
    /// value for the whole; branches that are only `null` come last.
    fn any_branch(
        &self,
        map: &Map<String, Value>,
        key: &str,
        branches: &[Value],
        name: &str,
        variant: usize,
        depth: usize,
    ) -> Option<Value> {
        let mut rest = map.clone();
        rest.remove(key);
        let is_null = |branch: &&Value| branch.get("type") == Some(&json!("null"));
        let ordered = branches
            .iter()
            .filter(|branch| !is_null(branch))
            .chain(branches.iter().filter(is_null));
        ordered
            .filter_map(|branch| {
                let mut joined = rest.clone();
                merge(&mut joined, &self.resolve(branch, depth));
                self.value(&Value::Object(joined), name, variant, depth + 1)
            })
            .find(|value| self.accepts(&Value::Object(map.clone()), value))
    }

    /// Whether a part of the schema accepts a value, with the whole's definitions at hand.
    fn accepts(&self, schema: &Value, value: &Value) -> bool {
        let mut whole = json!({"type": "object", "properties": {"value": schema}});
        for key in ["$defs", "definitions", "$schema"] {
            if let Some(shared) = self.root.get(key) {
                whole[key] = shared.clone();
            }
        }
        let tool = ToolDefinition {
            name: "part".to_owned(),
            description: String::new(),
            input_schema: whole,
            annotations: None,
        };
        match ToolSchemas::compile(std::slice::from_ref(&tool)) {
            Ok(schemas) => schemas
                .check_calls(&[ToolCall::new("part", json!({"value": value}))])
                .is_empty(),
            // A reference that only the whole resolves: the whole has the last word anyway.
            Err(_) => true,
        }
    }

    /// Values to try for a schema without choice, the best first.
    fn candidates(
        &self,
        map: &Map<String, Value>,
        name: &str,
        variant: usize,
        depth: usize,
    ) -> Vec<Value> {
        let mut found: Vec<Value> = Vec::new();
        let stated = map.get("examples").and_then(Value::as_array);
        found.extend(stated.and_then(|values| values.get(variant)).cloned());
        for kind in types_of(map) {
            match kind {
                "string" => found.extend(texts(map, name, variant)),
                "integer" | "number" => found.extend(numbers(map, kind, variant)),
                "boolean" => found.push(json!(variant.is_multiple_of(2))),
                "array" => found.extend(self.list(map, name, variant, depth)),
                "object" => found.extend(self.objects(map, name, variant, depth)),
                _ => found.push(Value::Null),
            }
        }
        found.extend(map.get("default").cloned());
        found
    }

    fn list(
        &self,
        map: &Map<String, Value>,
        name: &str,
        variant: usize,
        depth: usize,
    ) -> Option<Value> {
        let bound = |key: &str| map.get(key).and_then(Value::as_u64);
        let least = bound("minItems").unwrap_or(0).max(1);
        let length = least
            .min(bound("maxItems").unwrap_or(u64::MAX))
            .min(LONGEST);
        let first = match map.get("prefixItems").or_else(|| map.get("items")) {
            Some(Value::Array(first)) => first.as_slice(),
            _ => &[],
        };
        let any = Value::Bool(true);
        let rest = map
            .get("items")
            .filter(|items| !items.is_array())
            .or_else(|| map.get("contains"))
            .unwrap_or(&any);
        if rest == &Value::Bool(false) && first.is_empty() {
            return Some(json!([]));
        }
        let one = name.strip_suffix('s').unwrap_or(name);
        (0..length as usize)
            .map(|index| {
                let schema = first.get(index).unwrap_or(rest);
                self.value(schema, one, variant + index, depth + 1)
            })
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    }

    /// The required properties, then with what a condition asks for, then all.
    fn objects(
        &self,
        map: &Map<String, Value>,
        name: &str,
        variant: usize,
        depth: usize,
    ) -> Vec<Value> {
        let mut found = Vec::new();
        found.extend(self.object(map, &required_names(map), variant, depth));
        for key in ["then", "else"] {
            if let Some(branch) = map.get(key) {
                let mut joined = map.clone();
                for done in ["if", "then", "else"] {
                    joined.remove(done);
                }
                if key == "then"
                    && let Some(condition) = map.get("if")
                {
                    merge(&mut joined, condition);
                }
                merge(&mut joined, &self.resolve(branch, depth));
                found.extend(self.value(&Value::Object(joined), name, variant, depth + 1));
            }
        }
        let all: Vec<String> = properties_of(map).map(|(key, _)| key.clone()).collect();
        let least = map.get("minProperties").and_then(Value::as_u64);
        for count in least
            .into_iter()
            .map(|least| least as usize)
            .chain([all.len()])
        {
            let mut names = required_names(map);
            let more = all.iter().filter(|name| !names.contains(name)).cloned();
            let more: Vec<String> = more.take(count.saturating_sub(names.len())).collect();
            names.extend(more);
            found.extend(self.object(map, &names, variant, depth));
        }
        found
    }

    fn object(
        &self,
        map: &Map<String, Value>,
        names: &[String],
        variant: usize,
        depth: usize,
    ) -> Option<Value> {
        let any = Value::Bool(true);
        let properties = map.get("properties").and_then(Value::as_object);
        names
            .iter()
            .map(|name| {
                let schema = properties
                    .and_then(|properties| properties.get(name))
                    .or_else(|| map.get("additionalProperties"))
                    .unwrap_or(&any);
                Some((name.clone(), self.value(schema, name, variant, depth + 1)?))
            })
            .collect::<Option<Map<_, _>>>()
            .map(Value::Object)
    }

    /// The required arguments with the first optional one that can be told from its default.
    fn with_optional(
        &self,
        top: &Value,
        required: &Map<String, Value>,
        accepted: impl Fn(&Map<String, Value>) -> bool,
    ) -> Option<(String, Map<String, Value>)> {
        let optional =
            properties_of(top.as_object()?).filter(|(name, _)| !required.contains_key(*name));
        for (name, schema) in optional {
            let resolved = self.resolve(schema, 0);
            for variant in 0..VARIANTS {
                let Some(value) = self.value(schema, name, variant, 1) else {
                    continue;
                };
                let mut with = required.clone();
                with.insert(name.clone(), value.clone());
                if resolved.get("default") != Some(&value) && !value.is_null() && accepted(&with) {
                    return Some((name.clone(), with));
                }
            }
        }
        None
    }

    /// The required argument to leave unsaid: a free text before anything else, never a constant.
    fn left_out(&self, top: &Value, required: &Map<String, Value>) -> Option<String> {
        let properties = top.get("properties").and_then(Value::as_object);
        let schema_of = |name: &String| {
            let schema = properties.and_then(|properties| properties.get(name));
            self.resolve(schema.unwrap_or(&Value::Bool(true)), 0)
        };
        let names: Vec<String> = required_names(top.as_object()?)
            .into_iter()
            .filter(|name| required.contains_key(name))
            .filter(|name| schema_of(name).get("const").is_none())
            .collect();
        let is_free =
            |name: &&String| required[*name].is_string() && schema_of(name).get("enum").is_none();
        names
            .iter()
            .find(is_free)
            .or_else(|| names.first())
            .cloned()
    }
}

fn required_names(map: &Map<String, Value>) -> Vec<String> {
    let strings = |value: Option<&Value>| -> Vec<String> {
        let items = value.and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut names = strings(map.get("required"));
    // What some of them bring with them; the list grows while it is walked.
    let mut at = 0;
    while at < names.len() {
        for key in ["dependentRequired", "dependencies"] {
            let more = strings(map.get(key).and_then(|with| with.get(&names[at])));
            for name in more {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        at += 1;
    }
    names
}

fn properties_of(map: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    map.get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

/// The types a schema allows, `null` last; guessed from its keywords where it names none.
fn types_of(map: &Map<String, Value>) -> Vec<&str> {
    let mut types: Vec<&str> = match map.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ => {
            let has = |keys: &[&str]| keys.iter().any(|key| map.contains_key(*key));
            if has(&[
                "properties",
                "required",
                "additionalProperties",
                "minProperties",
            ]) {
                vec!["object"]
            } else if has(&["items", "prefixItems", "minItems", "contains"]) {
                vec!["array"]
            } else if has(&[
                "minimum",
                "maximum",
                "exclusiveMinimum",
                "exclusiveMaximum",
                "multipleOf",
            ]) {
                vec!["number"]
            } else {
                vec!["string", "integer", "object"]
            }
        }
    };
    types.sort_by_key(|kind| *kind == "null");
    types
}

/// Texts to try: from pattern and format, then from the description, then from the name; each
/// made long or short enough.
fn texts(map: &Map<String, Value>, name: &str, variant: usize) -> Vec<Value> {
    let word = |key: &str| map.get(key).and_then(Value::as_str);
    let bound = |key: &str| map.get(key).and_then(Value::as_u64);
    let mut found: Vec<String> = Vec::new();
    if variant == 0 {
        found.extend(word("description").and_then(from_description));
    }
    found.extend(word("format").and_then(|format| from_format(format, variant)));
    let least = bound("minLength").unwrap_or(0);
    if let Some(pattern) = word("pattern") {
        found.extend(examples_of_pattern(
            pattern,
            least.min(LONGEST) as usize,
            variant,
        ));
    }
    let mut plain = from_name(name, variant);
    while (plain.chars().count() as u64) < least.min(LONGEST) {
        plain.push_str(" example");
    }
    if let Some(most) = bound("maxLength") {
        let cut: String = plain.chars().take(most as usize).collect();
        cut.trim_end().clone_into(&mut plain);
        while (plain.chars().count() as u64) < least.min(most).min(LONGEST) {
            plain.push('x');
        }
    }
    found.push(plain);
    found.into_iter().map(Value::from).collect()
}

/// Numbers to try, small and round ones first.
fn numbers(map: &Map<String, Value>, kind: &str, variant: usize) -> Vec<Value> {
    let bound = |key: &str| map.get(key).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|low| low + 1.0));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|high| high - 1.0));
    let shift = variant as f64;
    let mut found: Vec<f64> = Vec::new();
    if let Some(step) = bound("multipleOf").filter(|step| *step > 0.0) {
        let first = low.map_or(1.0, |low| (low / step).ceil());
        found.extend([(first + shift) * step, first * step]);
    }
    found.push(3.0 + shift);
    if kind == "number" {
        found.push(2.5 + shift);
    }
    found.extend(low.map(|low| low + 1.0 + shift));
    found.extend(low);
    found.extend(high.map(|high| high - shift));
    found.extend(high);
    if let (Some(low), Some(high)) = (bound("exclusiveMinimum"), bound("exclusiveMaximum")) {
        found.push(f64::midpoint(low, high));
    }
    found.extend(low.zip(high).map(|(low, high)| f64::midpoint(low, high)));
    found.extend([1.0, 0.0, -1.0]);
    found
        .into_iter()
        .map(|number| {
            if number.fract() == 0.0 && number.abs() < 9e15 {
                Value::from(number as i64)
            } else {
                Value::from(number)
            }
        })
        .collect()
}

/// Folds one schema into another: properties and required names are joined, bounds narrowed, and
/// of other keywords the first stands.
fn merge(into: &mut Map<String, Value>, from: &Value) {
    let Value::Object(from) = from else {
        return;
    };
    for (key, value) in from {
        let Some(known) = into.get_mut(key) else {
            into.insert(key.clone(), value.clone());
            continue;
        };
        match (key.as_str(), known, value) {
            ("properties", Value::Object(known), Value::Object(more)) => {
                for (name, schema) in more {
                    match known.get_mut(name) {
                        Some(Value::Object(known)) => merge(known, schema),
                        Some(_) => {}
                        None => {
                            known.insert(name.clone(), schema.clone());
                        }
                    }
                }
            }
            ("required", Value::Array(known), Value::Array(more)) => {
                for name in more {
                    if !known.contains(name) {
                        known.push(name.clone());
                    }
                }
            }
            ("enum", Value::Array(known), Value::Array(more)) => {
                known.retain(|value| more.contains(value));
            }
            ("minimum" | "exclusiveMinimum" | "minLength" | "minItems", known, value)
                if value.as_f64() > known.as_f64() =>
            {
                *known = value.clone();
            }
            ("maximum" | "exclusiveMaximum" | "maxLength" | "maxItems", known, value)
                if value.as_f64() < known.as_f64() =>
            {
                *known = value.clone();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "example_tests.rs"]
mod tests;
