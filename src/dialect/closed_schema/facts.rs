//! What one alternative of a schema says of each type of value.
//!
//! Data in: facts read off keywords. Data out: their conjunction. Invariants: a clause is a
//! conjunction; facts on a type say nothing of values of other types; a conjunction is never
//! narrower than both sides together, and what it leaves out is noted.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Number, Value};

use super::Loosened;

pub(super) use super::state::{Literal, State, Types, equal, is_integer, same};

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Bound {
    /// Where.
    pub(super) at: f64,
    /// Without the end itself.
    pub(super) exclusive: bool,
}

impl Bound {
    /// As a lower end.
    pub(super) fn is_below(self, at: f64) -> bool {
        at > self.at || (!self.exclusive && at >= self.at)
    }

    /// As an upper end.
    pub(super) fn is_above(self, at: f64) -> bool {
        at < self.at || (!self.exclusive && at <= self.at)
    }
}

/// What is said of numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumberFacts {
    pub(super) low: Option<Bound>,
    pub(super) high: Option<Bound>,
    pub(super) multiples: Vec<Number>,
}

impl NumberFacts {
    fn and(&mut self, other: &Self) {
        self.low = tighter(self.low, other.low, |one, two| one > two);
        self.high = tighter(self.high, other.high, |one, two| one < two);
        for divisor in &other.multiples {
            if !self.multiples.contains(divisor) {
                self.multiples.push(divisor.clone());
            }
        }
    }

    /// No number fits.
    pub(super) fn is_empty(&self) -> bool {
        match (self.low, self.high) {
            (Some(low), Some(high)) => !low.is_below(high.at) || !high.is_above(low.at),
            _ => false,
        }
    }

    /// Whether a number lies between the ends.
    pub(super) fn spans(&self, at: f64) -> bool {
        self.low.is_none_or(|low| low.is_below(at))
            && self.high.is_none_or(|high| high.is_above(at))
    }
}

fn tighter(one: Option<Bound>, two: Option<Bound>, beyond: fn(f64, f64) -> bool) -> Option<Bound> {
    match (one, two) {
        (Some(one), Some(two)) if equal(one.at, two.at) => Some(Bound {
            at: one.at,
            exclusive: one.exclusive || two.exclusive,
        }),
        (Some(one), Some(two)) => Some(if beyond(one.at, two.at) { one } else { two }),
        (one, two) => one.or(two),
    }
}

/// What is said of strings.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StringFacts {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
    pub(super) patterns: Vec<String>,
    pub(super) formats: Vec<String>,
}

impl StringFacts {
    fn and(&mut self, other: &Self) {
        self.least = self.least.max(other.least);
        self.most = least_of(self.most, other.most);
        extend_new(&mut self.patterns, &other.patterns);
        extend_new(&mut self.formats, &other.formats);
    }
}

fn least_of(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

fn extend_new(list: &mut Vec<String>, more: &[String]) {
    if list.is_empty() {
        list.extend_from_slice(more);
        return;
    }
    let known: HashSet<String> = list.iter().cloned().collect();
    list.extend(more.iter().filter(|item| !known.contains(*item)).cloned());
}

/// Which items or properties the keywords of one schema, and of what it applies to the same
/// value, have looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Evaluated {
    /// Names of properties.
    pub(super) names: Vec<String>,
    /// Patterns of names of properties.
    pub(super) patterns: Vec<String>,
    /// The first items of an array.
    pub(super) items: usize,
    /// Everything.
    pub(super) all: bool,
    /// It depends on more than the alternative chosen.
    pub(super) uncertain: bool,
}

impl Evaluated {
    fn and(&mut self, other: &Self) {
        extend_new(&mut self.names, &other.names);
        extend_new(&mut self.patterns, &other.patterns);
        self.items = self.items.max(other.items);
        self.all |= other.all;
        self.uncertain |= other.uncertain;
    }
}

/// What is said of arrays.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ArrayFacts {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
    pub(super) first: Vec<State>,
    pub(super) rest: State,
    pub(super) evaluated: Evaluated,
}

impl ArrayFacts {
    fn and(&mut self, other: &Self) {
        self.least = self.least.max(other.least);
        self.most = least_of(self.most, other.most);
        let length = self.first.len().max(other.first.len());
        self.first = (0..length)
            .map(|index| self.at(index).and(other.at(index)))
            .collect();
        self.rest = self.rest.and(&other.rest);
        self.evaluated.and(&other.evaluated);
    }

    pub(super) fn at(&self, index: usize) -> &State {
        self.first.get(index).unwrap_or(&self.rest)
    }
}

/// One conjunct on the properties of an object: `properties`, `patternProperties` and
/// `additionalProperties` of one schema.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Layer {
    pub(super) names: Vec<(String, State)>,
    pub(super) patterns: Vec<(String, State)>,
    pub(super) rest: State,
}

/// What is said of objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ObjectFacts {
    pub(super) layers: Vec<Layer>,
    pub(super) required: Vec<String>,
    pub(super) least: u64,
    pub(super) most: Option<u64>,
    /// What every name must satisfy.
    pub(super) names: Vec<State>,
    pub(super) evaluated: Evaluated,
    /// `properties` is there.
    pub(super) declares: bool,
    /// Further properties are spoken of.
    pub(super) speaks: bool,
    /// Names that some keyword asks for; closing leaves them in.
    pub(super) mentioned: Vec<String>,
}

impl ObjectFacts {
    fn and(&mut self, other: &Self) {
        for layer in &other.layers {
            if !self.layers.contains(layer) {
                self.layers.push(layer.clone());
            }
        }
        extend_new(&mut self.required, &other.required);
        extend_new(&mut self.mentioned, &other.mentioned);
        self.least = self.least.max(other.least);
        self.most = least_of(self.most, other.most);
        for state in &other.names {
            if !self.names.contains(state) {
                self.names.push(state.clone());
            }
        }
        self.evaluated.and(&other.evaluated);
        self.declares |= other.declares;
        self.speaks |= other.speaks;
    }

    pub(super) fn require(&mut self, name: &str) {
        if !self.required.iter().any(|known| known == name) {
            self.required.push(name.to_owned());
        }
    }

    /// Adds what one property must satisfy.
    pub(super) fn narrow(&mut self, name: &str, state: State) {
        self.layers.push(Layer {
            names: vec![(name.to_owned(), state)],
            ..Layer::default()
        });
    }
}

/// One alternative: a conjunction of facts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clause {
    pub(super) types: Types,
    pub(super) number: NumberFacts,
    pub(super) string: StringFacts,
    pub(super) array: ArrayFacts,
    pub(super) object: ObjectFacts,
    /// One of these values.
    pub(super) values: Option<Vec<Value>>,
    /// None of these values.
    pub(super) excluded: Vec<Value>,
    /// What is not held.
    pub(super) notes: BTreeSet<Loosened>,
}

impl Clause {
    /// Everything.
    pub(super) fn any() -> Self {
        Self::of(Types::ALL)
    }

    /// Everything of these types.
    pub(super) fn of(types: Types) -> Self {
        Self {
            types,
            number: NumberFacts::default(),
            string: StringFacts::default(),
            array: ArrayFacts::default(),
            object: ObjectFacts::default(),
            values: None,
            excluded: Vec::new(),
            notes: BTreeSet::new(),
        }
    }

    /// One of these values.
    pub(super) fn one_of(values: Vec<Value>) -> Self {
        let types = values
            .iter()
            .fold(Types::NONE, |types, value| types.or(Types::of(value)));
        Self {
            values: Some(values),
            ..Self::of(types)
        }
    }

    /// Both together.
    pub(super) fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.types = both.types.and(other.types);
        both.number.and(&other.number);
        both.string.and(&other.string);
        both.array.and(&other.array);
        both.object.and(&other.object);
        both.values = match (both.values, &other.values) {
            (Some(mut mine), Some(theirs)) => {
                mine.retain(|value| theirs.iter().any(|other| same(value, other)));
                Some(mine)
            }
            (mine, theirs) => mine.or_else(|| theirs.clone()),
        };
        for value in &other.excluded {
            if !both.excluded.iter().any(|known| same(known, value)) {
                both.excluded.push(value.clone());
            }
        }
        both.notes.extend(other.notes.iter().cloned());
        both.settle();
        both
    }

    /// Drops types whose facts contradict themselves, and values of other types.
    pub(super) fn settle(&mut self) {
        if self.number.is_empty() {
            self.types = self.types.without(Types::NUMBER);
        }
        if self
            .string
            .most
            .is_some_and(|most| most < self.string.least)
        {
            self.types = self.types.without(Types::STRING);
        }
        let least = usize::try_from(self.array.least).unwrap_or(usize::MAX);
        let blocked =
            (0..least.min(self.array.first.len() + 1)).any(|index| self.array.at(index).is_never());
        if self.array.most.is_some_and(|most| most < self.array.least) || blocked {
            self.types = self.types.without(Types::ARRAY);
        }
        let required = self.object.required.len() as u64;
        let too_many = self
            .object
            .most
            .is_some_and(|most| most < self.object.least.max(required));
        let absent = self.object.layers.iter().any(|layer| {
            layer
                .names
                .iter()
                .any(|(name, state)| state.is_never() && self.object.required.contains(name))
        });
        if too_many || absent {
            self.types = self.types.without(Types::OBJECT);
        }
        if let Some(values) = &mut self.values {
            let (types, excluded) = (self.types, &self.excluded);
            values.retain(|value| {
                types.has(Types::of(value)) && !excluded.iter().any(|other| same(value, other))
            });
            self.types = values
                .iter()
                .fold(Types::NONE, |types, value| types.or(Types::of(value)));
        }
        self.forget();
    }

    /// Takes types away.
    pub(super) fn drop_types(&mut self, types: Types) {
        self.types = self.types.without(types);
        self.forget();
    }

    /// Forgets the facts of types that it does not have, so that equal clauses are equal.
    fn forget(&mut self) {
        if !self.types.has(Types::NUMBER) {
            self.number = NumberFacts::default();
        }
        if !self.types.has(Types::STRING) {
            self.string = StringFacts::default();
        }
        if !self.types.has(Types::ARRAY) {
            self.array = ArrayFacts::default();
        }
        if !self.types.has(Types::OBJECT) {
            self.object = ObjectFacts::default();
        }
        let types = self.types;
        self.excluded.retain(|value| types.has(Types::of(value)));
    }

    /// Nothing satisfies it, as far as that is seen without looking into values.
    pub(super) fn is_empty(&self) -> bool {
        self.types.is_none() || self.values.as_ref().is_some_and(Vec::is_empty)
    }

    /// Whether nothing can satisfy both, seen without joining them.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        if !self.types.has(other.types) {
            return true;
        }
        match (&self.values, &other.values) {
            (Some(mine), Some(theirs)) => !mine
                .iter()
                .any(|value| theirs.iter().any(|other| same(value, other))),
            _ => false,
        }
    }

    /// It lists values and says nothing else.
    pub(super) fn is_plain(&self) -> bool {
        self.values.is_some()
            && self.excluded.is_empty()
            && self.notes.is_empty()
            && self.number == NumberFacts::default()
            && self.string == StringFacts::default()
            && self.array == ArrayFacts::default()
            && self.object == ObjectFacts::default()
    }

    /// Everything satisfies it.
    pub(super) fn is_any(&self) -> bool {
        *self
            == Self {
                notes: self.notes.clone(),
                ..Self::any()
            }
    }

    /// Forgets what only counts where the schema holds: a negated schema evaluates nothing.
    pub(super) fn without_annotations(mut self) -> Self {
        self.array.evaluated = Evaluated::default();
        self.object.evaluated = Evaluated::default();
        self.object.mentioned.clear();
        self.object.declares = false;
        self.object.speaks = false;
        self
    }

    /// Notes that a keyword is not held.
    pub(super) fn noting(mut self, note: Loosened) -> Self {
        self.notes.insert(note);
        self
    }

    /// Notes that a subschema is left out, which could have spoken of properties and items.
    pub(super) fn missing(mut self, note: Loosened) -> Self {
        self.object.evaluated.uncertain = true;
        self.array.evaluated.uncertain = true;
        self.object.speaks = true;
        self.noting(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conjunctions_drop_types_that_cannot_be() {
        let mut low = Clause::any();
        low.number.low = Some(Bound {
            at: 3.0,
            exclusive: true,
        });
        let mut high = Clause::any();
        high.number.high = Some(Bound {
            at: 3.0,
            exclusive: false,
        });
        let both = low.and(&high);
        assert!(!both.types.has(Types::NUMBER) && both.types.has(Types::STRING));
        let values = Clause::one_of(vec![json!(1), json!("a")]);
        assert_eq!(values.and(&both).values, Some(vec![json!("a")]));
        assert!(values.and(&Clause::of(Types::OBJECT)).is_empty());
        assert!(same(&json!({"a": [1.0]}), &json!({"a": [1]})));
    }
}
