//! Values as a Python program would hold them, so that verdicts can follow its equality to the letter.
//!
//! Data in: what [`super::json`] and `python` read. Data out: kinds and equality.
//! Invariants: an integer never turns into a float by being read, and has no upper bound; objects
//! keep the order of their keys and hold each key once; nothing here fails or panics.
//!
//! A lone surrogate, which JSON escapes can spell and Rust strings cannot hold, is kept as a
//! character of the last private plane (`U+10D800` to `U+10DFFF`); no answer holds those.

use std::borrow::Cow;

use num_bigint::BigInt;
use num_traits::{FromPrimitive as _, ToPrimitive as _, Zero as _};

/// A value of a recorded call.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`, `None`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number written without point or exponent.
    Int(Integer),
    /// A number written with point or exponent; may be infinite or not a number.
    Float(f64),
    /// A string.
    Text(Cow<'a, str>),
    /// A list.
    List(Vec<Value<'a>>),
    /// A tuple; only Python syntax has them.
    Tuple(Vec<Value<'a>>),
    /// An object.
    Object(Object<'a>),
    /// What only Python syntax can spell and no answer holds.
    Exotic(Box<Exotic<'a>>),
}

/// Python constants that JSON does not know.
#[derive(Clone, Debug)]
pub enum Exotic<'a> {
    /// `b"…"`.
    Bytes(Vec<u8>),
    /// `1 + 2j`: real and imaginary part.
    Complex(f64, f64),
    /// `{1, 2}`.
    Set(Vec<Value<'a>>),
    /// `...`.
    Ellipsis,
}

/// A whole number of any size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Integer {
    /// Fits a machine word.
    Small(i64),
    /// Does not.
    Big(Box<BigInt>),
}

/// What a value is, as exact as Python's `type()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `NoneType`.
    Null,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `float`.
    Float,
    /// `str`.
    Text,
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `dict`.
    Object,
    /// Anything else.
    Exotic,
}

/// The key of an object: a string, or in Python syntax anything that can be hashed.
#[derive(Clone, Debug)]
pub enum Key<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// Anything else.
    Other(Box<Value<'a>>),
}

/// Keys and values in the order of the first writing of each key.
#[derive(Clone, Debug, Default)]
pub struct Object<'a> {
    entries: Vec<(Key<'a>, Value<'a>)>,
}

/// Entries from which on a repeated key is looked for in a set and not one by one.
const MANY_ENTRIES: usize = 24;

impl Integer {
    /// From any size, in the smaller form where it fits.
    pub fn from_big(big: BigInt) -> Self {
        match big.to_i64() {
            Some(small) => Self::Small(small),
            None => Self::Big(Box::new(big)),
        }
    }

    /// The value as a big integer.
    pub fn to_big(&self) -> BigInt {
        match self {
            Self::Small(small) => BigInt::from(*small),
            Self::Big(big) => big.as_ref().clone(),
        }
    }

    /// The nearest float, as Python's `float()` rounds; `None` where it overflows.
    pub fn to_float(&self) -> Option<f64> {
        match self {
            Self::Small(small) => Some(*small as f64),
            // Reading the digits rounds to nearest, ties to even, as Python does.
            Self::Big(big) => big
                .to_string()
                .parse::<f64>()
                .ok()
                .filter(|float| float.is_finite()),
        }
    }

    /// Exact comparison with a float.
    #[expect(clippy::float_cmp, reason = "Python's equality is exact")]
    fn equals_float(&self, float: f64) -> bool {
        match self {
            Self::Small(small) => {
                const EXACT: i64 = 1 << 53;
                if (-EXACT..=EXACT).contains(small) {
                    *small as f64 == float
                } else {
                    whole(float).is_some_and(|big| big == BigInt::from(*small))
                }
            }
            Self::Big(big) => whole(float).is_some_and(|other| other == **big),
        }
    }
}

/// The integer that a float is, when it is one.
fn whole(float: f64) -> Option<BigInt> {
    if float.is_finite() && float.fract() == 0.0 {
        BigInt::from_f64(float)
    } else {
        None
    }
}

impl Kind {
    /// Python's name of the type.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Float => "float",
            Self::Text => "string",
            Self::List => "list",
            Self::Tuple => "tuple",
            Self::Object => "object",
            Self::Exotic => "a Python constant that JSON does not know",
        }
    }
}

impl<'a> Key<'a> {
    /// The string, when it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Other(_) => None,
        }
    }

    /// The key that a value makes; `None` where Python cannot hash it.
    pub fn from_value(value: Value<'a>) -> Option<Self> {
        match value {
            Value::Text(text) => Some(Self::Text(text)),
            other if other.is_hashable() => Some(Self::Other(Box::new(other))),
            _ => None,
        }
    }

    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(two)) => one == two,
            (Self::Other(one), Self::Other(two)) => equal(one, two),
            _ => false,
        }
    }
}

impl<'a> Object<'a> {
    /// From entries as written: a repeated key keeps its first place and its last value.
    pub fn from_entries(entries: Vec<(Key<'a>, Value<'a>)>) -> Self {
        if entries.len() < 2 {
            return Self { entries };
        }
        if entries.len() > MANY_ENTRIES {
            return Self {
                entries: without_repeats(entries),
            };
        }
        let repeats = (1..entries.len())
            .any(|later| (0..later).any(|earlier| entries[earlier].0.same(&entries[later].0)));
        if !repeats {
            return Self { entries };
        }
        let mut kept: Vec<(Key<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            match kept.iter_mut().find(|(known, _)| known.same(&key)) {
                Some(slot) => slot.1 = value,
                None => kept.push((key, value)),
            }
        }
        Self { entries: kept }
    }

    /// The value of a string key.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        self.entries
            .iter()
            .find(|(key, _)| key.text() == Some(name))
            .map(|(_, value)| value)
    }

    /// Whether a string key is there.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Key<'a>, &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Without keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes the value of a string key out.
    pub fn take(&mut self, name: &str) -> Option<Value<'a>> {
        let at = self
            .entries
            .iter()
            .position(|(key, _)| key.text() == Some(name))?;
        Some(self.entries.swap_remove(at).1)
    }

    /// The same object, borrowing nothing.
    pub fn into_owned(self) -> Object<'static> {
        Object {
            entries: self
                .entries
                .into_iter()
                .map(|(key, value)| (key.into_owned(), value.into_owned()))
                .collect(),
        }
    }

    /// Takes the entries out.
    pub fn into_entries(self) -> Vec<(Key<'a>, Value<'a>)> {
        self.entries
    }
}

/// The same for many keys, where looking at each pair would take too long.
fn without_repeats<'a>(entries: Vec<(Key<'a>, Value<'a>)>) -> Vec<(Key<'a>, Value<'a>)> {
    let mut places: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
    let mut kept: Vec<(Key<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let place = match &key {
            Key::Text(text) => places.get(text.as_ref()).copied(),
            Key::Other(_) => kept.iter().position(|(known, _)| known.same(&key)),
        };
        if let Some(place) = place {
            kept[place].1 = value;
        } else {
            if let Key::Text(text) = &key {
                places.insert(text.clone().into_owned(), kept.len());
            }
            kept.push((key, value));
        }
    }
    kept
}

impl Value<'_> {
    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Null => Kind::Null,
            Self::Bool(_) => Kind::Bool,
            Self::Int(_) => Kind::Int,
            Self::Float(_) => Kind::Float,
            Self::Text(_) => Kind::Text,
            Self::List(_) => Kind::List,
            Self::Tuple(_) => Kind::Tuple,
            Self::Object(_) => Kind::Object,
            Self::Exotic(_) => Kind::Exotic,
        }
    }

    /// Whether it is the empty string.
    pub fn is_empty_text(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    /// Whether Python could use it as a key.
    pub fn is_hashable(&self) -> bool {
        match self {
            Self::List(_) | Self::Object(_) => false,
            Self::Tuple(items) => items.iter().all(Value::is_hashable),
            Self::Exotic(exotic) => !matches!(**exotic, Exotic::Set(_)),
            _ => true,
        }
    }

    /// The same value, borrowing nothing.
    pub fn into_owned(self) -> Value<'static> {
        let all = |items: Vec<Value<'_>>| items.into_iter().map(Value::into_owned).collect();
        match self {
            Self::Null => Value::Null,
            Self::Bool(truth) => Value::Bool(truth),
            Self::Int(integer) => Value::Int(integer),
            Self::Float(float) => Value::Float(float),
            Self::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Self::List(items) => Value::List(all(items)),
            Self::Tuple(items) => Value::Tuple(all(items)),
            Self::Object(object) => Value::Object(object.into_owned()),
            Self::Exotic(exotic) => Value::Exotic(Box::new(match *exotic {
                Exotic::Bytes(bytes) => Exotic::Bytes(bytes),
                Exotic::Complex(real, imaginary) => Exotic::Complex(real, imaginary),
                Exotic::Set(items) => Exotic::Set(all(items)),
                Exotic::Ellipsis => Exotic::Ellipsis,
            })),
        }
    }
}

impl Key<'_> {
    /// The same key, borrowing nothing.
    pub fn into_owned(self) -> Key<'static> {
        match self {
            Self::Text(text) => Key::Text(Cow::Owned(text.into_owned())),
            Self::Other(value) => Key::Other(Box::new(value.into_owned())),
        }
    }
}

impl<'a> From<&'a serde_json::Value> for Value<'a> {
    fn from(value: &'a serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match value {
            Json::Null => Self::Null,
            Json::Bool(truth) => Self::Bool(*truth),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(small), _) => Self::Int(Integer::Small(small)),
                (None, Some(big)) => Self::Int(Integer::from_big(BigInt::from(big))),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Text(Cow::Borrowed(text)),
            Json::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            Json::Object(map) => Self::Object(Object {
                entries: map
                    .iter()
                    .map(|(key, value)| (Key::Text(Cow::Borrowed(key)), Self::from(value)))
                    .collect(),
            }),
        }
    }
}

/// Python's `==`: numbers by value across `bool`, `int`, `float` and `complex`, lists and tuples
/// apart and in order, objects without order, strings exactly.
pub fn equal(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Null, Value::Null) => true,
        (Value::Text(one), Value::Text(two)) => one == two,
        (Value::List(one), Value::List(two)) | (Value::Tuple(one), Value::Tuple(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| equal(one, two))
        }
        (Value::Object(one), Value::Object(two)) => equal_objects(one, two),
        (Value::Exotic(one), Value::Exotic(two)) => equal_exotic(one, two),
        (Value::Exotic(exotic), number) | (number, Value::Exotic(exotic)) => match **exotic {
            Exotic::Complex(real, imaginary) => {
                imaginary == 0.0 && equal_numbers(&Value::Float(real), number)
            }
            _ => false,
        },
        _ => equal_numbers(left, right),
    }
}

fn equal_objects(one: &Object<'_>, two: &Object<'_>) -> bool {
    one.len() == two.len()
        && one.entries.iter().all(|(key, value)| {
            two.entries
                .iter()
                .find(|(other, _)| other.same(key))
                .is_some_and(|(_, other)| equal(value, other))
        })
}

#[expect(clippy::float_cmp, reason = "Python's equality is exact")]
fn equal_exotic(one: &Exotic<'_>, two: &Exotic<'_>) -> bool {
    match (one, two) {
        (Exotic::Bytes(one), Exotic::Bytes(two)) => one == two,
        (Exotic::Complex(one, i), Exotic::Complex(two, j)) => one == two && i == j,
        (Exotic::Ellipsis, Exotic::Ellipsis) => true,
        (Exotic::Set(one), Exotic::Set(two)) => {
            let within = |these: &[Value<'_>], those: &[Value<'_>]| {
                these
                    .iter()
                    .all(|item| those.iter().any(|other| equal(item, other)))
            };
            within(one, two) && within(two, one)
        }
        _ => false,
    }
}

#[expect(clippy::float_cmp, reason = "Python's equality is exact")]
fn equal_numbers(left: &Value<'_>, right: &Value<'_>) -> bool {
    match (left, right) {
        (Value::Bool(one), Value::Bool(two)) => one == two,
        (Value::Int(one), Value::Int(two)) => one == two,
        (Value::Float(one), Value::Float(two)) => one == two,
        (Value::Bool(truth), Value::Int(integer)) | (Value::Int(integer), Value::Bool(truth)) => {
            *integer == Integer::Small(i64::from(*truth))
        }
        (Value::Bool(truth), Value::Float(float)) | (Value::Float(float), Value::Bool(truth)) => {
            f64::from(u8::from(*truth)) == *float
        }
        (Value::Int(integer), Value::Float(float)) | (Value::Float(float), Value::Int(integer)) => {
            integer.equals_float(*float)
        }
        _ => false,
    }
}

/// Whether an integer is zero.
pub fn is_zero(integer: &Integer) -> bool {
    match integer {
        Integer::Small(small) => *small == 0,
        Integer::Big(big) => big.is_zero(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int(text: &str) -> Value<'static> {
        Value::Int(Integer::from_big(text.parse().unwrap()))
    }

    #[test]
    fn numbers_are_equal_by_value_and_exactly() {
        let big = "9007199254740993"; // 2^53 + 1, which no float is
        assert!(equal(&int("1"), &Value::Bool(true)));
        assert!(equal(&int("0"), &Value::Float(-0.0)));
        assert!(!equal(&int(big), &Value::Float(9_007_199_254_740_992.0)));
        assert!(equal(
            &int("9007199254740992"),
            &Value::Float(9_007_199_254_740_992.0)
        ));
        assert!(equal(&int("1000000000000000000000"), &Value::Float(1e21)));
        assert!(!equal(&int("1000000000000000000001"), &Value::Float(1e21)));
        assert!(!equal(&Value::Float(f64::NAN), &Value::Float(f64::NAN)));
        assert!(!equal(&int("1"), &Value::Text("1".into())));
    }

    #[test]
    fn a_repeated_key_keeps_its_first_place_and_its_last_value() {
        for size in [3_usize, 40] {
            let mut entries: Vec<(Key<'_>, Value<'_>)> = (0..size)
                .map(|n| (Key::Text(format!("k{n}").into()), Value::Null))
                .collect();
            entries.push((Key::Text("k0".into()), Value::Bool(true)));
            let object = Object::from_entries(entries);
            assert_eq!(object.len(), size);
            assert_eq!(object.iter().next().unwrap().0.text(), Some("k0"));
            assert!(matches!(object.get("k0"), Some(Value::Bool(true))));
        }
    }

    #[test]
    fn huge_integers_round_to_the_nearest_float_or_overflow() {
        let Value::Int(one) = int("123456789012345678901234567890") else {
            unreachable!()
        };
        assert_eq!(
            one.to_float(),
            Some(123_456_789_012_345_678_901_234_567_890.0)
        );
        let Value::Int(huge) = int(&format!("1{}", "0".repeat(400))) else {
            unreachable!()
        };
        assert_eq!(huge.to_float(), None);
    }
}
