//! What values must satisfy, which types they may have, and when they are equal.
//!
//! Data in: numbers of schemas, values. Data out: sets of both. Invariants: a state is sorted and
//! holds nothing that is trivially so; a contradiction is one and the same state.

use std::collections::BTreeSet;

use serde_json::{Number, Value};

use super::document::{NodeId, TRUE_NODE};

/// A schema that a value must, or must not, satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Literal {
    /// The schema.
    pub(super) node: NodeId,
    /// Whether it must hold.
    pub(super) holds: bool,
}

impl Literal {
    pub(super) fn holds(node: NodeId) -> Self {
        Self { node, holds: true }
    }

    pub(super) fn fails(node: NodeId) -> Self {
        Self { node, holds: false }
    }
}

/// All that a value must satisfy; sorted, without what is trivially so.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(super) struct State(Vec<Literal>);

impl State {
    pub(super) fn any() -> Self {
        Self::default()
    }

    pub(super) fn never() -> Self {
        Self(vec![Literal::fails(TRUE_NODE)])
    }

    pub(super) fn of(literal: Literal) -> Self {
        Self::any().and(&Self(vec![literal]))
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        let mut all: BTreeSet<Literal> = self.0.iter().chain(&other.0).copied().collect();
        all.remove(&Literal::holds(TRUE_NODE));
        let contradicts = |literal: &Literal| {
            *literal == Literal::fails(TRUE_NODE)
                || all.contains(&Literal {
                    holds: !literal.holds,
                    ..*literal
                })
        };
        if all.iter().any(contradicts) {
            return Self::never();
        }
        Self(all.into_iter().collect())
    }

    /// The beginning of another state.
    pub(super) fn from_sorted(literals: &[Literal]) -> Self {
        Self(literals.to_vec())
    }

    pub(super) fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn is_never(&self) -> bool {
        self.0.first() == Some(&Literal::fails(TRUE_NODE))
    }

    pub(super) fn literals(&self) -> &[Literal] {
        &self.0
    }
}

/// A set of types. Booleans and numbers are split in two, so that a negation stays a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Types(u8);

impl Types {
    pub(super) const NONE: Self = Self(0);
    pub(super) const NULL: Self = Self(1);
    pub(super) const TRUE: Self = Self(2);
    pub(super) const FALSE: Self = Self(4);
    pub(super) const BOOLEAN: Self = Self(2 | 4);
    /// Numbers without fraction.
    pub(super) const INTEGER: Self = Self(8);
    /// Numbers with a fraction.
    pub(super) const FRACTION: Self = Self(16);
    pub(super) const NUMBER: Self = Self(8 | 16);
    pub(super) const STRING: Self = Self(32);
    pub(super) const ARRAY: Self = Self(64);
    pub(super) const OBJECT: Self = Self(128);
    pub(super) const ALL: Self = Self(255);

    pub(super) fn named(name: &str) -> Self {
        match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "integer" => Self::INTEGER,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "array" => Self::ARRAY,
            "object" => Self::OBJECT,
            _ => Self::NONE,
        }
    }

    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(true) => Self::TRUE,
            Value::Bool(false) => Self::FALSE,
            Value::Number(number) if is_integer(number) => Self::INTEGER,
            Value::Number(_) => Self::FRACTION,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_none(self) -> bool {
        self.0 == 0
    }
}

/// Whether a number has no fraction.
pub(super) fn is_integer(number: &Number) -> bool {
    number.is_i64()
        || number.is_u64()
        || number
            .as_f64()
            .is_some_and(|double| double.fract() == 0.0 && double.is_finite())
}

/// Equality of doubles that were read, not computed; both zeros are one.
pub(super) fn equal(one: f64, other: f64) -> bool {
    one.partial_cmp(&other) == Some(std::cmp::Ordering::Equal)
}

/// Equality of JSON Schema: numbers by value, whatever their spelling.
pub(super) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || (left.is_f64() || right.is_f64()) && left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| same(value, other)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_forget_what_is_trivial_and_see_contradictions() {
        let state = State::of(Literal::holds(3));
        assert!(State::of(Literal::holds(TRUE_NODE)).is_any());
        assert_eq!(state.and(&state), state);
        assert!(state.and(&State::of(Literal::fails(3))).is_never());
        assert!(state.and(&State::never()).is_never());
    }
}
