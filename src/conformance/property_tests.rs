//! Random schemas, random instances, random walks: validator and grammar must agree.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::walk::{Walk, walk};
use super::{ByteTable, SchemaCheck};
use crate::dialect::closed_schema::{Closing, Root, slot};

const NAMES: [&str; 4] = ["a", "b", "ab", "c"];

thread_local! {
    static TABLE: ByteTable = ByteTable::new().unwrap();
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES.as_slice()).prop_map(ToOwned::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (-4_i64..12).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.5, -0.25, 2.75, 10.5, 0.2]).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "ab", "b", "abc", "é\"\n", "x1"]).prop_map(Value::from),
    ]
}

fn instance() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn object(pairs: Vec<(&'static str, Value)>) -> Value {
    Value::Object(
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

fn bound() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3_i64..8).prop_map(Value::from),
        prop::sample::select(vec![0.25, -0.5, 1.5, 2.75, 0.205]).prop_map(Value::from)
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    let types = prop::sample::select(vec![
        "null", "boolean", "integer", "number", "string", "array", "object",
    ]);
    prop_oneof![
        2 => any::<bool>().prop_map(Value::from),
        4 => types.clone().prop_map(|name| json!({"type": name})),
        1 => prop::collection::vec(types, 1..4).prop_map(|mut names| {
            names.sort_unstable();
            names.dedup();
            json!({"type": names})
        }),
        2 => scalar().prop_map(|value| json!({"const": value})),
        2 => prop::collection::vec(instance(), 1..4).prop_map(|values| json!({"enum": values})),
        3 => (prop::sample::select(vec!["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]), bound())
            .prop_map(|(keyword, at)| object(vec![(keyword, at)])),
        1 => (bound(), bound()).prop_map(|(low, high)| json!({"type": "number", "minimum": low, "exclusiveMaximum": high})),
        1 => prop::sample::select(vec![1.0, 2.0, 3.0, 0.5, 0.25, 1.5])
            .prop_map(|divisor| json!({"multipleOf": divisor})),
        2 => (0_u32..3, 0_u32..4).prop_map(|(least, more)| json!({"minLength": least, "maxLength": least + more})),
        2 => prop::sample::select(vec!["^a", "b$", "^a*$", "a|b", "^(a|x)[0-9]?$", "^.$"])
            .prop_map(|pattern| json!({"pattern": pattern})),
        1 => prop::sample::select(vec!["date", "ipv4", "email", "uuid"])
            .prop_map(|format| json!({"format": format})),
        1 => prop::sample::select(vec!["#/$defs/one", "#/$defs/two"])
            .prop_map(|reference| json!({"$ref": reference})),
        1 => prop::collection::vec(name(), 1..3).prop_map(|names| json!({"required": distinct(names)})),
        1 => (0_u32..3, 0_u32..3).prop_map(|(least, more)| json!({"minItems": least, "maxItems": least + more})),
        1 => (0_u32..3, 0_u32..3)
            .prop_map(|(least, more)| json!({"minProperties": least, "maxProperties": least + more})),
        1 => Just(json!({"uniqueItems": true})),
        1 => (name(), name()).prop_map(|(one, other)| json!({"dependentRequired": {one: [other]}})),
    ]
}

fn distinct(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

fn named(inner: impl Strategy<Value = Value> + Clone) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec((name(), inner), 0..4).prop_map(|fields| fields.into_iter().collect())
}

fn schema() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 24, 4, |inner| {
        let some = prop::collection::vec(inner.clone(), 1..4);
        let few = prop::collection::vec(inner.clone(), 1..3);
        prop_oneof![
            6 => (named(inner.clone()), prop::option::of(inner.clone()), prop::collection::vec(name(), 0..3))
                .prop_map(|(properties, further, required)| {
                    let mut schema = json!({"type": "object", "properties": properties, "required": distinct(required)});
                    if let Some(further) = further {
                        schema["additionalProperties"] = further;
                    }
                    schema
                }),
            2 => (named(inner.clone()), inner.clone(), prop::sample::select(vec!["^a", "b$", "^c"]))
                .prop_map(|(properties, schema, pattern)| {
                    json!({"properties": properties, "patternProperties": {pattern: schema}, "additionalProperties": false})
                }),
            1 => (prop::sample::select(vec!["^a", "b$"]), inner.clone()).prop_map(|(pattern, further)| {
                json!({"propertyNames": {"pattern": pattern}, "additionalProperties": further})
            }),
            2 => (few.clone(), inner.clone()).prop_map(|(first, rest)| json!({"prefixItems": first, "items": rest})),
            2 => inner.clone().prop_map(|items| json!({"type": "array", "items": items})),
            1 => inner.clone().prop_map(|items| json!({"contains": items})),
            3 => some.clone().prop_map(|all| json!({"allOf": all})),
            3 => some.clone().prop_map(|any| json!({"anyOf": any})),
            2 => some.prop_map(|one| json!({"oneOf": one})),
            2 => inner.clone().prop_map(|not| json!({"not": not})),
            2 => few.prop_map(|mut parts| {
                let mut schema = json!({"if": parts.remove(0)});
                if let Some(then) = parts.pop() {
                    schema["then"] = then;
                }
                schema
            }),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(test, then, otherwise)| json!({"if": test, "then": then, "else": otherwise})),
            1 => (name(), inner.clone()).prop_map(|(name, schema)| json!({"dependentSchemas": {name: schema}})),
            1 => (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(part, further, closed)| {
                let further = if closed { json!(false) } else { further };
                json!({"allOf": [part], "unevaluatedProperties": further})
            }),
            1 => (inner.clone(), inner.clone()).prop_map(|(one, other)| {
                json!({"anyOf": [one, other], "unevaluatedProperties": false, "unevaluatedItems": false})
            }),
            // Several keywords beside each other.
            3 => (inner.clone(), inner).prop_map(|(one, other)| match (one, other) {
                (Value::Object(mut one), Value::Object(other)) => {
                    one.extend(other);
                    Value::Object(one)
                }
                (one, _) => one,
            }),
        ]
    })
}

fn document() -> impl Strategy<Value = Value> {
    (schema(), schema(), schema()).prop_map(|(root, one, two)| {
        let mut root = match root {
            Value::Object(map) => map,
            other => Map::from_iter([("allOf".to_owned(), json!([other]))]),
        };
        root.insert("$defs".to_owned(), json!({"one": one, "two": two}));
        Value::Object(root)
    })
}

/// Keywords with values that may be of any kind.
fn junk() -> impl Strategy<Value = Value> {
    const KEYWORDS: [&str; 34] = [
        "$ref",
        "$dynamicRef",
        "$recursiveRef",
        "$anchor",
        "$dynamicAnchor",
        "$id",
        "id",
        "$schema",
        "type",
        "enum",
        "const",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "properties",
        "patternProperties",
        "additionalProperties",
        "required",
        "propertyNames",
        "dependencies",
        "dependentSchemas",
        "items",
        "prefixItems",
        "contains",
        "minItems",
        "minimum",
        "multipleOf",
        "pattern",
        "format",
        "unevaluatedProperties",
    ];
    let word = prop::sample::select(vec![
        "#",
        "#/allOf/0",
        "#a",
        "a",
        "http://x/y",
        "object",
        "string",
        "^a$",
        "[",
        "date",
        "",
        "http://json-schema.org/draft-07/schema#",
        "#/%zz",
        "::",
        "(a|b)*a(a|b){12}",
    ]);
    let leaf = prop_oneof![
        scalar(),
        word.prop_map(Value::from),
        prop::sample::select(vec![-1.0, 1e300, 1e-300, 0.1, 9e18, -9.3e18, 0.0])
            .prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        let key = prop::sample::select(KEYWORDS.as_slice());
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            4 => prop::collection::vec((key, inner), 0..5).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn validator_and_grammar_agree_but_for_what_is_named(
        schema in document(),
        instances in prop::collection::vec(instance(), 12),
        seed in any::<u64>(),
    ) {
        TABLE.with(|table| {
            let check = SchemaCheck::new(table, &schema, Root::Value);
            let Ok(validator) = &check.validator else {
                return Ok(());
            };
            let exact = check.loosened().is_empty();
            if let Err(reason) = &check.grammar {
                // Refused is right where nothing is valid, or nothing is with objects closed.
                let open = slot(&schema, Root::Value, Closing::Open);
                let nothing = open.schema == json!(false) || reason.contains("no value");
                prop_assert!(nothing || !reason.contains("panic"), "{reason}");
                if open.schema == json!(false) {
                    for instance in &instances {
                        prop_assert!(!validator.is_valid(instance), "{instance} is valid, the grammar is empty: {schema}");
                    }
                }
                return Ok(());
            }
            for instance in &instances {
                let verdict = check.verdict(instance);
                prop_assert_eq!(&verdict.problem, &None);
                let valid = verdict.schema_valid == Some(true);
                let taken = verdict.grammar_accepts == Some(true);
                prop_assert!(
                    taken || !valid || verdict.closed,
                    "too narrow: {instance}\nof {schema}\nin {}", check.slot.schema
                );
                prop_assert!(
                    valid || !taken || !exact,
                    "too wide: {instance}\nof {schema}\nin {}", check.slot.schema
                );
            }
            if let Ok(grammar) = &check.grammar {
                for number in 0..4 {
                    match walk(grammar, seed.wrapping_add(number)) {
                        Walk::Text(text) => {
                            let Ok(value) = serde_json::from_str::<Value>(&text) else {
                                prop_assert!(text.contains(['e', 'E']), "no JSON: {text}\nof {schema}");
                                continue;
                            };
                            // Beyond what a double holds exactly, the validator itself errs.
                            let digits = text.bytes().filter(u8::is_ascii_digit).count();
                            prop_assert!(
                                !exact || digits > 12 || validator.is_valid(&value),
                                "walk {text}\nof {schema}\nin {}", check.slot.schema
                            );
                        }
                        Walk::Unfinished(_) => {}
                        Walk::Failed(reason) => prop_assert!(false, "{reason}: {schema}"),
                    }
                }
            }
            Ok(())
        })?;
    }

    #[test]
    fn no_json_as_a_schema_makes_it_panic(schema in junk(), instance in instance()) {
        let _ = slot(&schema, Root::Arguments, Closing::Closed);
        TABLE.with(|table| {
            let closed = slot(&schema, Root::Value, Closing::Closed).schema;
            let reason = super::check::compile_schema(table, &closed).err().unwrap_or_default();
            prop_assert!(!reason.contains("panic"), "{reason}: {closed}");
            let check = SchemaCheck::new(table, &schema, Root::Value);
            let verdict = check.verdict(&instance);
            let taken = verdict.grammar_accepts == Some(true);
            prop_assert!(
                verdict.schema_valid != Some(true) || taken || verdict.closed || check.grammar.is_err(),
                "too narrow: {instance} of {schema}\nin {closed}"
            );
            Ok(())
        })?;
    }

    #[test]
    fn bounded_numbers_are_taken_as_they_are_written(
        low in prop::option::of((-3000_i64..3000, 0_u32..4, any::<bool>())),
        high in prop::option::of((-3000_i64..3000, 0_u32..4, any::<bool>())),
        numbers in prop::collection::vec((-4000_i64..4000, 0_u32..4), 40),
        whole in any::<bool>(),
    ) {
        let decimal = |value: i64, places: u32| -> f64 { format!("{value}e-{places}").parse().unwrap() };
        let mut schema = json!({"type": if whole { "integer" } else { "number" }});
        if let Some((value, places, exclusive)) = low {
            schema[if exclusive { "exclusiveMinimum" } else { "minimum" }] = decimal(value, places).into();
        }
        if let Some((value, places, exclusive)) = high {
            schema[if exclusive { "exclusiveMaximum" } else { "maximum" }] = decimal(value, places).into();
        }
        TABLE.with(|table| {
            let check = SchemaCheck::new(table, &schema, Root::Value);
            let (Ok(validator), Ok(grammar)) = (&check.validator, &check.grammar) else {
                return Ok(());
            };
            prop_assert!(check.loosened().is_empty());
            for (value, places) in numbers {
                let number = decimal(value, places);
                let text = format!("{number}");
                let valid = validator.is_valid(&json!(number));
                prop_assert_eq!(grammar.accepts(&text), Ok(valid), "{} of {}\n{}", text, schema, check.slot.schema);
            }
            Ok(())
        })?;
    }
}
