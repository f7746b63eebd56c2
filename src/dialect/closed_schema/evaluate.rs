//! Whether a value satisfies clauses.
//!
//! Data in: a value, clauses or a state. Data out: yes or no. Invariants: "no" is certain; "yes"
//! may be too much where clauses are wider than their schema, as their notes say.

use serde_json::{Number, Value};

use super::expand::Expander;
use super::facts::{ArrayFacts, Clause, NumberFacts, ObjectFacts, State, StringFacts, Types, same};
use super::formats;

impl Expander<'_> {
    /// Whether the value satisfies the state.
    pub(super) fn admits(&mut self, state: &State, value: &Value) -> bool {
        if state.is_any() {
            return true;
        }
        let clauses = self.state_clauses(state);
        clauses
            .iter()
            .any(|clause| self.clause_admits(clause, value))
    }

    /// Whether the value satisfies the clause.
    pub(super) fn clause_admits(&mut self, clause: &Clause, value: &Value) -> bool {
        let listed = clause
            .values
            .as_ref()
            .is_none_or(|values| values.iter().any(|known| same(known, value)));
        listed && self.facts_admit(clause, value)
    }

    /// Whether the value satisfies the clause, apart from the values that this lists.
    pub(super) fn facts_admit(&mut self, clause: &Clause, value: &Value) -> bool {
        if !clause.types.has(Types::of(value)) {
            return false;
        }
        if clause.excluded.iter().any(|known| same(known, value)) {
            return false;
        }
        match value {
            Value::Number(number) => number_admits(&clause.number, number),
            Value::String(text) => self.string_admits(&clause.string, text),
            Value::Array(items) => self.array_admits(&clause.array, items),
            Value::Object(map) => self.object_admits(&clause.object, map),
            Value::Null | Value::Bool(_) => true,
        }
    }

    fn string_admits(&mut self, facts: &StringFacts, text: &str) -> bool {
        let length = text.chars().count() as u64;
        length >= facts.least
            && facts.most.is_none_or(|most| length <= most)
            && facts
                .patterns
                .iter()
                .chain(&format_patterns(facts))
                .all(|pattern| self.patterns.matches(pattern, text) != Some(false))
    }

    fn array_admits(&mut self, facts: &ArrayFacts, items: &[Value]) -> bool {
        let length = items.len() as u64;
        length >= facts.least
            && facts.most.is_none_or(|most| length <= most)
            && items
                .iter()
                .enumerate()
                .all(|(index, item)| self.admits(&facts.at(index).clone(), item))
    }

    fn object_admits(&mut self, facts: &ObjectFacts, map: &serde_json::Map<String, Value>) -> bool {
        let length = map.len() as u64;
        if length < facts.least || facts.most.is_some_and(|most| length > most) {
            return false;
        }
        if !facts.required.iter().all(|name| map.contains_key(name)) {
            return false;
        }
        for (name, value) in map {
            let state = self.property_state(facts, name);
            if !self.admits(&state, value) || !self.name_admits(facts, name) {
                return false;
            }
        }
        true
    }

    /// Whether a name satisfies what all names must.
    pub(super) fn name_admits(&mut self, facts: &ObjectFacts, name: &str) -> bool {
        let name = Value::from(name);
        facts.names.iter().all(|state| self.admits(state, &name))
    }

    /// What the value of a property must satisfy.
    pub(super) fn property_state(&mut self, facts: &ObjectFacts, name: &str) -> State {
        let mut all = State::any();
        for layer in &facts.layers {
            let mut met = false;
            for (known, state) in &layer.names {
                if known == name {
                    all = all.and(state);
                    met = true;
                }
            }
            for (pattern, state) in &layer.patterns {
                match self.patterns.matches(pattern, name) {
                    Some(true) => {
                        all = all.and(state);
                        met = true;
                    }
                    Some(false) => {}
                    // Nothing is said where it is not known which schema applies.
                    None => met = true,
                }
            }
            if !met {
                all = all.and(&layer.rest);
            }
        }
        all
    }
}

/// Patterns that the formats ask for.
fn format_patterns(facts: &StringFacts) -> Vec<String> {
    let patterns = facts
        .formats
        .iter()
        .filter_map(|format| formats::pattern_of(format).pattern);
    patterns.map(ToOwned::to_owned).collect()
}

fn number_admits(facts: &NumberFacts, number: &Number) -> bool {
    let Some(at) = number.as_f64() else {
        return true;
    };
    facts.spans(at)
        && facts
            .multiples
            .iter()
            .all(|divisor| is_multiple(number, divisor))
}

/// Whether a number is a multiple of another, as decimals.
pub(super) fn is_multiple(number: &Number, divisor: &Number) -> bool {
    if let (Some(number), Some(divisor)) = (number.as_i64(), divisor.as_i64()) {
        return divisor != 0 && number % divisor == 0;
    }
    match (number.as_f64(), divisor.as_f64()) {
        (Some(number), Some(divisor)) if divisor != 0.0 => {
            let ratio = number / divisor;
            !ratio.is_finite() || (ratio - ratio.round()).abs() < 1e-9
        }
        _ => true,
    }
}
