//! Where a value could have come from: schemas, messages, results.
//!
//! Data in: schemas and texts. Data out: whether a value is found there.
//! Definition of *derivable*, used to tell `hallucinated_value` from `wrong_value`: a string is
//! derivable when, normalised, it is part of a known text or equals a value of the schema, or when
//! it is longer than [`COMPOSED_WORDS`] words (it was composed, not copied); a number when the
//! same number stands in a known text or in the schema; a list or object when all its strings and
//! numbers are; booleans and null always.

use serde_json::Value;

use crate::types::matcher::{equal_by_value, normalise_text};

/// Strings of more words than this count as written by the model, not as values.
const COMPOSED_WORDS: usize = 6;

/// Enums, constants, defaults and examples anywhere in a schema.
pub(super) fn of_schema(schema: &Value) -> Vec<Value> {
    let mut found = Vec::new();
    collect(schema, &mut found);
    found
}

fn collect(schema: &Value, found: &mut Vec<Value>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => {
            for (key, field) in map {
                match (key.as_str(), field) {
                    ("enum" | "examples", Value::Array(values)) => found.extend(values.clone()),
                    ("const" | "default", value) => found.push(value.clone()),
                    _ => {}
                }
                collect(field, found);
            }
        }
        _ => {}
    }
}

/// Texts and values a model has seen.
#[derive(Default)]
pub(super) struct Known {
    /// Normalised, so that it is done once.
    text: String,
    numbers: Vec<f64>,
    values: Vec<Value>,
}

impl Known {
    /// Adds a message or a result.
    pub(super) fn add_text(&mut self, text: &str) {
        self.text.push('\n');
        self.text.push_str(&normalise_text(text));
        self.numbers.extend(numbers_in(text));
    }

    /// Replaces the values that a schema names.
    pub(super) fn set_values(&mut self, values: &[Value]) {
        self.values = values.to_vec();
    }

    /// Whether `value` could have come from here.
    pub(super) fn derives(&self, value: &Value) -> bool {
        if self.values.iter().any(|known| equal_by_value(known, value)) {
            return true;
        }
        match value {
            Value::Null | Value::Bool(_) => true,
            Value::Number(number) => number
                .as_f64()
                .is_some_and(|wanted| self.numbers.iter().any(|known| same_number(*known, wanted))),
            Value::String(text) => self.derives_text(text),
            Value::Array(items) => items.iter().all(|item| self.derives(item)),
            Value::Object(map) => map.values().all(|field| self.derives(field)),
        }
    }

    fn derives_text(&self, text: &str) -> bool {
        let normal = normalise_text(text);
        normal.split(' ').count() > COMPOSED_WORDS
            || self.text.contains(&normal)
            || self
                .values
                .iter()
                .filter_map(Value::as_str)
                .any(|known| normalise_text(known) == normal)
    }
}

fn same_number(left: f64, right: f64) -> bool {
    (left - right).abs() <= f64::EPSILON * left.abs().max(right.abs())
}

/// Numbers as they stand in a text; `1,200` is read both as 1200 and as 1 and 200.
fn numbers_in(text: &str) -> Vec<f64> {
    let mut numbers = Vec::new();
    for token in text.split(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-'))) {
        let token = token.trim_matches(|c: char| matches!(c, '.' | ','));
        let unsigned = token.trim_start_matches('-');
        for candidate in [token.replace(',', ""), unsigned.replace(',', "")] {
            numbers.extend(candidate.parse::<f64>());
        }
        for part in unsigned.split([',', '-', '.']) {
            numbers.extend(part.parse::<f64>());
        }
    }
    numbers
}

/// Words and numbers of a text, for comparing an answer with results.
pub(super) fn tokens(text: &str) -> Vec<String> {
    normalise_text(text)
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | ',' | '-' | '_')))
        .map(|token| {
            token
                .trim_matches(|c: char| !c.is_alphanumeric())
                .to_owned()
        })
        .filter(|token| token.chars().count() >= 4 || token.chars().any(|c| c.is_ascii_digit()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_found_where_they_stand() {
        let mut known = Known::default();
        known
            .add_text("Book  Room “Alder” for 1,200 people at 18:45 on 2026-11-20, it costs 3.50.");
        known.set_values(&[json!("celsius"), json!(4)]);
        for yes in [
            json!("for 1,200 People"),
            json!(1200),
            json!(18),
            json!(45.0),
            json!(3.5),
            json!("2026-11-20"),
            json!("Celsius"),
            json!(4),
            json!(true),
            json!(null),
            json!([1200, "alder"]),
            json!("Dear all, we meet in the big room, bring cake"),
        ] {
            assert!(known.derives(&yes), "{yes}");
        }
        for no in [
            json!("Birch"),
            json!(1201),
            json!({"a": "alder", "b": "oak"}),
            json!(7),
        ] {
            assert!(!known.derives(&no), "{no}");
        }
    }

    #[test]
    fn vocabulary_is_found_at_any_depth() {
        let schema = json!({"properties": {"unit": {"enum": ["c", "f"], "default": "c"},
            "list": {"items": {"const": 3, "examples": ["e"]}}}});
        assert_eq!(
            of_schema(&schema),
            vec![json!("c"), json!("f"), json!("c"), json!(3), json!("e")]
        );
    }

    #[test]
    fn tokens_are_long_words_and_numbers() {
        assert_eq!(tokens("It is 59 °F, cloudy."), vec!["59", "cloudy"]);
    }
}
