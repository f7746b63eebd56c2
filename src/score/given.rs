//! What the leaderboard's rules ask of a value in an output, however it is held.
//!
//! Data in: a value of [`super::value`], or a token of [`super::flat`]. Data out: the same answers.
//! Invariants: both ways of holding an output give the same verdict (a property test holds this).

use super::decode::Call;
use super::value::{Integer, Kind, Object, Value, equal};

/// A value where a float is declared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Promotion {
    /// It is no whole number and stays what it is.
    Stays,
    /// A whole number becomes the nearest float.
    Float(f64),
    /// A whole number too large for a float.
    Overflows,
}

/// A value of an output.
pub(super) trait Given<'v>: Copy {
    /// What it is.
    fn kind(self) -> Kind;
    /// The string, when it is one.
    fn text(self) -> Option<&'v str>;
    /// What becomes of it where a float is declared.
    fn promoted(self) -> Promotion;
    /// Elements of a list or tuple; none of anything else.
    fn items(self) -> impl ExactSizeIterator<Item = Self>;
    /// Keys and values of an object; none of anything else. A key may be no string.
    fn entries(self) -> impl Iterator<Item = (Option<&'v str>, Self)>;
    /// Python's `==` with a value of the case.
    fn equals(self, other: &Value<'_>) -> bool;

    /// Whether it is an object with this key.
    fn has(self, name: &str) -> bool {
        self.entries().any(|(key, _)| key == Some(name))
    }
}

/// A call of an output.
pub(super) trait GivenCall<'v>: Copy {
    /// Its arguments' values.
    type Value: Given<'v>;
    /// What is called; `None` where that is no string.
    fn name(self) -> Option<&'v str>;
    /// Its arguments in order.
    fn arguments(self) -> impl Iterator<Item = (Option<&'v str>, Self::Value)>;
}

impl<'v> Given<'v> for &'v Value<'_> {
    fn kind(self) -> Kind {
        Value::kind(self)
    }

    fn text(self) -> Option<&'v str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    fn promoted(self) -> Promotion {
        match self {
            Value::Int(integer) => {
                Integer::to_float(integer).map_or(Promotion::Overflows, Promotion::Float)
            }
            _ => Promotion::Stays,
        }
    }

    fn items(self) -> impl ExactSizeIterator<Item = Self> {
        match self {
            Value::List(items) | Value::Tuple(items) => items.iter(),
            _ => [].iter(),
        }
    }

    fn entries(self) -> impl Iterator<Item = (Option<&'v str>, Self)> {
        let object = match self {
            Value::Object(object) => Some(object),
            _ => None,
        };
        let entries = object.into_iter().flat_map(Object::iter);
        entries.map(|(key, value)| (key.text(), value))
    }

    fn equals(self, other: &Value<'_>) -> bool {
        equal(self, other)
    }
}

impl<'v, 'a> GivenCall<'v> for &'v Call<'a> {
    type Value = &'v Value<'a>;

    fn name(self) -> Option<&'v str> {
        self.name.text()
    }

    fn arguments(self) -> impl Iterator<Item = (Option<&'v str>, Self::Value)> {
        self.arguments
            .iter()
            .map(|(key, value)| (key.text(), value))
    }
}
