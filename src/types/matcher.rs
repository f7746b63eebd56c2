//! The matcher language that expectations and mocks share.
//!
//! Data in: a JSON value from a suite file. Data out: yes or no on another JSON value.
//! A literal (string, number, boolean, null, list) means equality by value: `1` equals `1.0`,
//! strings are exact, lists are ordered. An object holds exactly one operator, listed in
//! [`Matcher`]. Invariants: matching is pure and total; regular expressions run in linear time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use unicode_normalization::UnicodeNormalization as _;

use super::pattern::example_of_pattern;
use super::words::words_of;

/// One condition on a JSON value. Written as a literal or as an object with one operator key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum Matcher {
    /// Literal, or `equals: VALUE`: equal by value.
    Equals(Value),
    /// `any_of: [M, …]`: one of them.
    AnyOf(Vec<Matcher>),
    /// `all_of: [M, …]`: all of them.
    AllOf(Vec<Matcher>),
    /// `not: M`.
    Not(Box<Matcher>),
    /// `anything: true`: every value.
    Anything,
    /// `text: STRING`: equal after normalising both sides ([`normalise_text`]).
    Text(String),
    /// `words: STRING`: the same words, numbers and signs in the same order ([`super::words::words_of`]).
    Words(String),
    /// `contains: STRING`: the value contains the string, case and white space aside.
    Contains(String),
    /// `regex: PATTERN`: the pattern matches the whole string.
    Regex(String),
    /// `number: {value: N, tolerance: T}`: within T of N.
    Number {
        /// The centre.
        value: f64,
        /// Largest accepted distance.
        tolerance: f64,
    },
    /// `instant: STRING`: the same moment, or the same civil date when no time is given.
    Instant(String),
    /// `schema: JSON SCHEMA`: the value validates.
    Schema(Value),
    /// `subset: {KEY: M, …}`: an object with at least these.
    Subset(BTreeMap<String, Matcher>),
    /// `object: {KEY: M, …}`: an object with exactly these keys.
    Object(BTreeMap<String, Matcher>),
    /// `list: [M, …]`: a list matched item by item.
    List(Vec<Matcher>),
    /// `unordered: [M, …]`: a list matched in any order, one to one.
    Unordered(Vec<Matcher>),
}

/// The operator names, for messages.
pub const OPERATORS: [&str; 16] = [
    "equals",
    "any_of",
    "all_of",
    "not",
    "anything",
    "text",
    "words",
    "contains",
    "regex",
    "number",
    "instant",
    "schema",
    "subset",
    "object",
    "list",
    "unordered",
];

impl Matcher {
    /// Whether `value` meets the condition.
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Equals(expected) => equal_by_value(expected, value),
            Self::AnyOf(options) => options.iter().any(|option| option.matches(value)),
            Self::AllOf(parts) => parts.iter().all(|part| part.matches(value)),
            Self::Not(inner) => !inner.matches(value),
            Self::Anything => true,
            Self::Text(expected) => value
                .as_str()
                .is_some_and(|text| normalise_text(text) == normalise_text(expected)),
            Self::Words(expected) => value
                .as_str()
                .is_some_and(|text| words_of(text) == words_of(expected)),
            Self::Contains(expected) => value
                .as_str()
                .is_some_and(|text| contains_text(text, expected)),
            Self::Regex(pattern) => value
                .as_str()
                .is_some_and(|text| whole_regex(pattern).is_ok_and(|regex| regex.is_match(text))),
            Self::Number {
                value: centre,
                tolerance,
            } => value
                .as_f64()
                .is_some_and(|number| (number - centre).abs() <= *tolerance),
            Self::Instant(expected) => value
                .as_str()
                .is_some_and(|text| same_instant(expected, text)),
            Self::Schema(schema) => jsonschema::options()
                .should_validate_formats(true)
                .build(schema)
                .is_ok_and(|validator| validator.is_valid(value)),
            Self::Subset(fields) => value.as_object().is_some_and(|object| {
                fields.iter().all(|(key, matcher)| {
                    object.get(key).is_some_and(|field| matcher.matches(field))
                })
            }),
            Self::Object(fields) => value.as_object().is_some_and(|object| {
                object.len() == fields.len()
                    && fields.iter().all(|(key, matcher)| {
                        object.get(key).is_some_and(|field| matcher.matches(field))
                    })
            }),
            Self::List(items) => value.as_array().is_some_and(|list| {
                list.len() == items.len()
                    && items
                        .iter()
                        .zip(list)
                        .all(|(matcher, item)| matcher.matches(item))
            }),
            Self::Unordered(items) => value.as_array().is_some_and(|list| {
                list.len() == items.len()
                    && assign(items.len(), list.len(), |row, column| {
                        items[row].matches(&list[column])
                    })
                    .iter()
                    .all(Option::is_some)
            }),
        }
    }

    /// The plainest value that meets the condition, for oracles and examples, where there is one.
    pub fn example(&self) -> Option<Value> {
        match self {
            Self::Equals(value) => Some(value.clone()),
            Self::AnyOf(options) => options.iter().find_map(Self::example),
            Self::AllOf(parts) => self.example_of_all(parts),
            Self::Text(text) | Self::Words(text) | Self::Contains(text) | Self::Instant(text) => {
                Some(Value::String(text.clone()))
            }
            Self::Number { value, .. } => Some(number_value(*value)),
            Self::Subset(fields) | Self::Object(fields) => fields
                .iter()
                .map(|(key, matcher)| Some((key.clone(), matcher.example()?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Value::Object),
            Self::List(items) | Self::Unordered(items) => items
                .iter()
                .map(Self::example)
                .collect::<Option<Vec<_>>>()
                .map(Value::Array),
            Self::Regex(pattern) => example_of_pattern(pattern)
                .map(Value::String)
                .filter(|text| self.matches(text)),
            Self::Not(_) => Some(Value::from("Done.")).filter(|text| self.matches(text)),
            Self::Schema(_) | Self::Anything => None,
        }
    }

    /// Every value that is accepted as it stands: literals, also inside `any_of`.
    pub fn literals(&self) -> Vec<&Value> {
        match self {
            Self::Equals(value) => vec![value],
            Self::AnyOf(options) => options.iter().flat_map(Self::literals).collect(),
            _ => Vec::new(),
        }
    }

    /// One part's example that meets the others too, or all texts in one.
    fn example_of_all(&self, parts: &[Self]) -> Option<Value> {
        let examples: Vec<Value> = parts.iter().filter_map(Self::example).collect();
        let texts: Vec<&str> = examples
            .iter()
            .filter_map(Value::as_str)
            .filter(|text| *text != "Done.")
            .collect();
        let joined = Value::String(texts.join(", "));
        examples
            .iter()
            .chain([&joined])
            .find(|candidate| self.matches(candidate))
            .cloned()
    }
}

fn number_value(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::from(number)
    }
}

/// Equality by value: numbers across int and float, objects without order, lists in order.
pub fn equal_by_value(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_f64() == b.as_f64(),
        },
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal_by_value(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| {
                    b.get(key).is_some_and(|other| equal_by_value(value, other))
                })
        }
        _ => left == right,
    }
}

/// Compatibility-normalised (NFKC), lower case, white space runs as one space, and without
/// white space, quotes and sentence punctuation at either end.
pub fn normalise_text(text: &str) -> String {
    fold_text(text)
        .trim_matches(|c: char| c.is_whitespace() || "\"'`“”‘’.,;:!?".contains(c))
        .to_owned()
}

/// Compatibility-normalised (NFKC), lower case, white space runs as one space.
fn fold_text(text: &str) -> String {
    let folded: String = text.nfkc().collect::<String>().to_lowercase();
    folded.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a text contains another, both folded; punctuation at the ends of what is looked for
/// does not count, unless it is nothing else.
fn contains_text(text: &str, wanted: &str) -> bool {
    let bare = normalise_text(wanted);
    let wanted = if bare.is_empty() {
        fold_text(wanted)
    } else {
        bare
    };
    fold_text(text).contains(&wanted)
}

/// Compiles a pattern so that it must match the whole string, with a bounded program size.
pub fn whole_regex(pattern: &str) -> Result<regex::Regex, regex::Error> {
    regex::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
}

fn same_instant(expected: &str, given: &str) -> bool {
    use jiff::civil::{Date, DateTime};
    if let (Ok(a), Ok(b)) = (
        expected.parse::<jiff::Timestamp>(),
        given.parse::<jiff::Timestamp>(),
    ) {
        return a == b;
    }
    if let (Ok(a), Ok(b)) = (expected.parse::<DateTime>(), given.parse::<DateTime>()) {
        return a == b;
    }
    matches!((expected.parse::<Date>(), given.parse::<Date>()), (Ok(a), Ok(b)) if a == b)
}

/// Maximum bipartite matching (Kuhn's augmenting paths): for each row the column it got.
/// `fits(row, column)` says which pairs may be matched.
pub fn assign(
    rows: usize,
    columns: usize,
    fits: impl Fn(usize, usize) -> bool,
) -> Vec<Option<usize>> {
    fn augment(
        row: usize,
        fits: &[Vec<bool>],
        taken: &mut [Option<usize>],
        seen: &mut [bool],
    ) -> bool {
        for column in 0..taken.len() {
            if fits[row][column] && !seen[column] {
                seen[column] = true;
                let free = match taken[column] {
                    None => true,
                    Some(other) => augment(other, fits, taken, seen),
                };
                if free {
                    taken[column] = Some(row);
                    return true;
                }
            }
        }
        false
    }
    let table: Vec<Vec<bool>> = (0..rows)
        .map(|row| (0..columns).map(|column| fits(row, column)).collect())
        .collect();
    let mut taken = vec![None; columns];
    for row in 0..rows {
        augment(row, &table, &mut taken, &mut vec![false; columns]);
    }
    let mut result = vec![None; rows];
    for (column, row) in taken.iter().enumerate() {
        if let Some(row) = row {
            result[*row] = Some(column);
        }
    }
    result
}

impl TryFrom<Value> for Matcher {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        if let Some(operator) = operator_within(&value) {
            return Err(format!(
                "a plain list is meant literally, and this one holds the operator `{operator}`; write `list: […]` or `unordered: […]` (`equals: […]` if it is meant)"
            ));
        }
        let Value::Object(map) = value else {
            return Ok(Self::Equals(value));
        };
        let mut entries = map.into_iter();
        let (Some((operator, argument)), None) = (entries.next(), entries.next()) else {
            return Err(format!(
                "a matcher object holds exactly one operator of: {} (write `equals: {{…}}` for a literal object)",
                OPERATORS.join(", ")
            ));
        };
        parse_operator(&operator, argument)
    }
}

/// The first operator among the items of a list.
fn operator_within(value: &Value) -> Option<&'static str> {
    value.as_array()?.iter().find_map(sole_operator)
}

/// The operator that a value would be as a matcher.
fn sole_operator(value: &Value) -> Option<&'static str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    OPERATORS.into_iter().find(|known| map.contains_key(*known))
}

fn parse_operator(operator: &str, argument: Value) -> Result<Matcher, String> {
    let many = |argument: Value| -> Result<Vec<Matcher>, String> {
        let Value::Array(items) = argument else {
            return Err(format!("`{operator}` takes a list"));
        };
        items.into_iter().map(Matcher::try_from).collect()
    };
    let fields = |argument: Value| -> Result<BTreeMap<String, Matcher>, String> {
        let Value::Object(map) = argument else {
            return Err(format!("`{operator}` takes an object"));
        };
        map.into_iter()
            .map(|(key, value)| Ok((key, Matcher::try_from(value)?)))
            .collect()
    };
    let string = |argument: Value| -> Result<String, String> {
        match argument {
            Value::String(text) => Ok(text),
            _ => Err(format!("`{operator}` takes a string")),
        }
    };
    Ok(match operator {
        "equals" => Matcher::Equals(argument),
        "any_of" => Matcher::AnyOf(many(argument)?),
        "all_of" => Matcher::AllOf(many(argument)?),
        "not" => Matcher::Not(Box::new(Matcher::try_from(argument)?)),
        "anything" => Matcher::Anything,
        "text" => Matcher::Text(string(argument)?),
        "words" => Matcher::Words(string(argument)?),
        "contains" => Matcher::Contains(string(argument)?),
        "instant" => Matcher::Instant(string(argument)?),
        "regex" => {
            let pattern = string(argument)?;
            whole_regex(&pattern).map_err(|error| format!("`regex` does not compile: {error}"))?;
            Matcher::Regex(pattern)
        }
        "number" => {
            let number = |key: &str| argument.get(key).and_then(Value::as_f64);
            match (number("value"), number("tolerance")) {
                (Some(value), Some(tolerance)) if tolerance >= 0.0 => {
                    Matcher::Number { value, tolerance }
                }
                _ => return Err("`number` takes {value: N, tolerance: T} with T ≥ 0".to_owned()),
            }
        }
        "schema" => {
            jsonschema::options()
                .build(&argument)
                .map_err(|error| format!("`schema` is not a valid JSON Schema: {error}"))?;
            Matcher::Schema(argument)
        }
        "subset" => Matcher::Subset(fields(argument)?),
        "object" => Matcher::Object(fields(argument)?),
        "list" => Matcher::List(many(argument)?),
        "unordered" => Matcher::Unordered(many(argument)?),
        unknown => {
            return Err(format!(
                "unknown matcher `{unknown}`; the operators are {}",
                OPERATORS.join(", ")
            ));
        }
    })
}

impl From<Matcher> for Value {
    fn from(matcher: Matcher) -> Self {
        let one = |key: &str, value: Value| {
            Value::Object(std::iter::once((key.to_owned(), value)).collect())
        };
        let list = |items: Vec<Matcher>| Value::Array(items.into_iter().map(Value::from).collect());
        let fields = |map: BTreeMap<String, Matcher>| {
            Value::Object(
                map.into_iter()
                    .map(|(key, m)| (key, Value::from(m)))
                    .collect(),
            )
        };
        match matcher {
            Matcher::Equals(value) if value.is_object() || operator_within(&value).is_some() => {
                one("equals", value)
            }
            Matcher::Equals(value) => value,
            Matcher::AnyOf(items) => one("any_of", list(items)),
            Matcher::AllOf(items) => one("all_of", list(items)),
            Matcher::Not(inner) => one("not", Value::from(*inner)),
            Matcher::Anything => one("anything", Value::Bool(true)),
            Matcher::Text(text) => one("text", Value::String(text)),
            Matcher::Words(text) => one("words", Value::String(text)),
            Matcher::Contains(text) => one("contains", Value::String(text)),
            Matcher::Regex(text) => one("regex", Value::String(text)),
            Matcher::Instant(text) => one("instant", Value::String(text)),
            Matcher::Number { value, tolerance } => one(
                "number",
                serde_json::json!({"value": value, "tolerance": tolerance}),
            ),
            Matcher::Schema(schema) => one("schema", schema),
            Matcher::Subset(map) => one("subset", fields(map)),
            Matcher::Object(map) => one("object", fields(map)),
            Matcher::List(items) => one("list", list(items)),
            Matcher::Unordered(items) => one("unordered", list(items)),
        }
    }
}

impl schemars::JsonSchema for Matcher {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Matcher".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A literal (equal by value), or an object with exactly one operator.",
            "anyOf": [
                {"type": ["string", "number", "boolean", "null", "array"]},
                {"type": "object", "minProperties": 1, "maxProperties": 1,
                 "propertyNames": {"enum": OPERATORS}}
            ]
        })
    }
}

#[cfg(test)]
#[path = "matcher_tests.rs"]
mod tests;
