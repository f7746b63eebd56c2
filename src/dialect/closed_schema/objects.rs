//! Objects as the grammar's engine takes them.
//!
//! Data in: facts on an object. Data out: its alternatives. Invariants: names stand in the order in
//! which they are mentioned; an object that declares properties and says nothing of further ones is
//! closed, which leaves in every name that some keyword evaluates or asks for; bounds on the number
//! of properties, which the engine holds for required names only, become alternatives.

use serde_json::{Map, Value, json};

use super::Closing;
use super::facts::{ObjectFacts, State};
use super::pattern;
use super::print::{Printer, joined};

/// Most alternatives that bounds on the number of properties become.
const MOST_SUBSETS: usize = 64;

/// Most optional properties in a fixed order: the engine's parser keeps all that may come next in
/// one row, and has a limit for it.
const MOST_OPTIONAL: usize = 250;
/// Longest names of the others, taken together.
const MOST_NAMES: usize = 10_000;

/// One named property.
struct Property {
    name: String,
    schema: Value,
    required: bool,
}

/// What further properties may be.
struct Further {
    patterns: Vec<(String, Value)>,
    rest: Value,
}

impl Further {
    fn is_none(&self) -> bool {
        self.rest == Value::Bool(false) && self.patterns.is_empty()
    }
}

impl Printer<'_> {
    /// The alternatives of an object.
    pub(super) fn objects(&mut self, facts: &ObjectFacts, origin: usize) -> Vec<Value> {
        let further = self.further(facts, origin);
        let named = names(facts);
        let closed = self.closing == Closing::Closed
            && facts.declares
            && !facts.speaks
            && facts.least <= named.len() as u64;
        let further = if closed {
            Further {
                patterns: Vec::new(),
                rest: Value::Bool(false),
            }
        } else {
            further
        };
        let mut properties = Vec::new();
        for name in named {
            let required = facts.required.contains(&name);
            let known = facts.evaluated.names.contains(&name) || facts.mentioned.contains(&name);
            let may_be = (!closed || known) && self.expander.name_admits(facts, &name);
            let schema = if may_be {
                let state = self.expander.property_state(facts, &name);
                self.value(&state)
            } else {
                Value::Bool(false)
            };
            let absent = schema == Value::Bool(false);
            if absent && required {
                return Vec::new();
            }
            if !absent || !further.is_none() {
                properties.push(Property {
                    name,
                    schema,
                    required,
                });
            }
        }
        let further = self.with_surplus(&mut properties, further, origin);
        self.counted(facts, &properties, &further, origin)
    }

    /// Moves optional properties that are too many for the engine to what may stand beside: in any
    /// order, each with a value that any of them may have.
    fn with_surplus(
        &mut self,
        properties: &mut Vec<Property>,
        mut further: Further,
        origin: usize,
    ) -> Further {
        let mut optional = 0;
        let surplus: Vec<Property> = properties
            .extract_if(.., |one| {
                optional += usize::from(!one.required);
                !one.required && optional > MOST_OPTIONAL
            })
            .collect();
        if surplus.is_empty() {
            return further;
        }
        let note = self.expander.note(origin, "properties");
        self.notes.insert(note);
        let names: Vec<String> = surplus.iter().map(|one| regex::escape(&one.name)).collect();
        let mut options: Vec<Value> = Vec::new();
        for one in surplus {
            if !options.contains(&one.schema) {
                options.push(one.schema);
            }
        }
        options.push(further.rest.clone());
        options.extend(further.patterns.iter().map(|(_, schema)| schema.clone()));
        options.retain(|option| option != &Value::Bool(false));
        let union = if options.contains(&Value::Bool(true)) {
            Value::Bool(true)
        } else {
            joined(options)
        };
        let pattern = names.join("|");
        if further.is_none() && pattern.len() <= MOST_NAMES {
            further.patterns.push((format!("^(?:{pattern})$"), union));
        } else {
            further.patterns.clear();
            further.rest = union;
        }
        further
    }

    /// What may stand beside the named properties.
    fn further(&mut self, facts: &ObjectFacts, origin: usize) -> Further {
        let mut rest_state = facts
            .layers
            .iter()
            .fold(State::any(), |all, layer| all.and(&layer.rest));
        let mut names: Vec<String> = Vec::new();
        for layer in &facts.layers {
            for (pattern, _) in &layer.patterns {
                if !names.contains(pattern) {
                    names.push(pattern.clone());
                }
            }
        }
        let mut patterns: Vec<(String, Value)> = Vec::new();
        for pattern in &names {
            let mut state = State::any();
            for layer in &facts.layers {
                let own = layer.patterns.iter().find(|(known, _)| known == pattern);
                state = state.and(own.map_or(&layer.rest, |(_, state)| state));
            }
            let schema = self.value(&state);
            patterns.push((pattern.clone(), schema));
        }
        // Where everything else is allowed, a pattern that allows everything says nothing.
        if rest_state.is_any() {
            patterns.retain(|(_, schema)| schema != &Value::Bool(true));
            names.retain(|name| patterns.iter().any(|(pattern, _)| pattern == name));
        }
        let overlap = patterns.iter().enumerate().any(|(index, (one, _))| {
            patterns[index + 1..]
                .iter()
                .any(|(other, _)| !pattern::are_disjoint(one, other))
        });
        let unusable = patterns
            .iter()
            .any(|(pattern, _)| pattern::for_grammar(pattern).is_none());
        if overlap || unusable {
            // Every name may then have what any of them allows.
            let note = self.expander.note(origin, "patternProperties");
            self.notes.insert(note);
            let mut options: Vec<Value> = Vec::new();
            for schema in patterns.drain(..).map(|(_, schema)| schema) {
                if schema == Value::Bool(true) {
                    options = vec![schema];
                    break;
                }
                if schema != Value::Bool(false) && !options.contains(&schema) {
                    options.push(schema);
                }
            }
            let union = if options.first() == Some(&Value::Bool(true)) {
                Value::Bool(true)
            } else {
                joined(options)
            };
            if unusable {
                let rest = self.value(&rest_state);
                let both = match (union, rest) {
                    (Value::Bool(false), rest) => rest,
                    (union, Value::Bool(false)) => union,
                    (union, rest) if union == rest => rest,
                    (Value::Bool(true), _) | (_, Value::Bool(true)) => Value::Bool(true),
                    (union, rest) => json!({"anyOf": [union, rest]}),
                };
                return Further {
                    patterns: Vec::new(),
                    rest: both,
                };
            }
            let whole = names
                .iter()
                .map(|pattern| format!("(?:{pattern})"))
                .collect::<Vec<_>>()
                .join("|");
            patterns.push((whole, union));
        }
        for (pattern, _) in &mut patterns {
            if let Some(usable) = pattern::for_grammar(pattern) {
                *pattern = usable;
            }
        }
        if !facts.names.is_empty() && !rest_state.is_never() {
            match self.name_pattern(facts) {
                Some(pattern) if patterns.is_empty() => {
                    let schema = self.value(&rest_state);
                    patterns.push((pattern, schema));
                    rest_state = State::never();
                }
                Some(_) => {
                    let note = self.expander.note(origin, "propertyNames");
                    self.notes.insert(note);
                }
                None => rest_state = State::never(),
            }
        }
        let rest = self.value(&rest_state);
        Further { patterns, rest }
    }

    /// A pattern for names that need one; `None` where no further name fits.
    fn name_pattern(&mut self, facts: &ObjectFacts) -> Option<String> {
        let all = facts
            .names
            .iter()
            .fold(State::any(), |all, state| all.and(state));
        let clauses = self.expander.state_clauses(&all);
        let mut ways: Vec<String> = Vec::new();
        for clause in clauses.iter() {
            if !clause.types.has(super::facts::Types::STRING) {
                continue;
            }
            if let Some(values) = &clause.values {
                for value in values {
                    if let Some(text) = value.as_str()
                        && self.expander.clause_admits(clause, value)
                    {
                        ways.push(format!("^(?:{})$", regex::escape(text)));
                    }
                }
                continue;
            }
            let facts = &clause.string;
            let usable: Vec<String> = facts
                .patterns
                .iter()
                .filter_map(|pattern| pattern::for_grammar(pattern))
                .collect();
            let bounded = facts.least > 0 || facts.most.is_some();
            let parts = usable.len() + usize::from(bounded);
            let exact = usable.len() == facts.patterns.len()
                && facts.formats.is_empty()
                && clause.excluded.is_empty()
                && parts <= 1;
            if !exact {
                let node = all.literals()[0].node;
                let missed = self.expander.note(node, "propertyNames");
                self.notes.insert(missed);
            }
            let most = facts.most.map_or_else(String::new, |most| most.to_string());
            ways.push(match usable.first() {
                Some(pattern) => pattern.clone(),
                None if bounded => format!("^(?s:.{{{},{most}}})$", facts.least),
                None => String::new(),
            });
        }
        match ways.len() {
            0 => None,
            1 => Some(ways.remove(0)),
            _ => Some(
                ways.iter()
                    .map(|way| format!("(?:{way})"))
                    .collect::<Vec<_>>()
                    .join("|"),
            ),
        }
    }

    /// The object with its bounds on the number of properties.
    fn counted(
        &mut self,
        facts: &ObjectFacts,
        properties: &[Property],
        further: &Further,
        origin: usize,
    ) -> Vec<Value> {
        let required = properties.iter().filter(|one| one.required).count() as u64;
        let optional: Vec<usize> = (0..properties.len())
            .filter(|index| {
                !properties[*index].required && properties[*index].schema != Value::Bool(false)
            })
            .collect();
        let count = optional.len() as u64;
        let least = facts.least.saturating_sub(required);
        let most = facts.most.map(|most| most.saturating_sub(required));
        if facts.most.is_some_and(|most| most < required) {
            return Vec::new();
        }
        let unbounded = least == 0 && most.is_none_or(|most| most >= count && further.is_none());
        if unbounded {
            return vec![object(properties, further, None)];
        }
        if further.is_none() && least > count {
            return Vec::new();
        }
        if !further.is_none() && least > 1 {
            // Two free names may be the same one, which counts once.
            let note = self.expander.note(origin, "minProperties");
            self.notes.insert(note);
        }
        if optional.is_empty() && !further.is_none() {
            return vec![object(properties, further, Some((facts.least, facts.most)))];
        }
        let subsets = if further.is_none() {
            closed_subsets(&optional, least, most)
        } else {
            exact_subsets(&optional, most)
        };
        let Some(subsets) = subsets else {
            let note = self.expander.note(origin, "minProperties");
            self.notes.insert(note);
            return vec![object(properties, further, None)];
        };
        subsets
            .iter()
            .filter_map(|subset| {
                let chosen: Vec<Property> = properties
                    .iter()
                    .enumerate()
                    .filter_map(|(index, one)| subset.property(index, one, further))
                    .collect();
                let bounds = (!further.is_none()).then_some((facts.least, facts.most));
                let own = chosen.iter().filter(|one| one.required).count() as u64;
                let fits = bounds.is_none_or(|(_, most)| most.is_none_or(|most| own <= most));
                fits.then(|| object(&chosen, further, bounds))
            })
            .collect()
    }
}

/// Which optional properties must be there and which may be; the others must not.
struct Subset {
    must: Vec<usize>,
    may: Vec<usize>,
}

impl Subset {
    fn property(&self, index: usize, one: &Property, further: &Further) -> Option<Property> {
        let must = one.required || self.must.contains(&index);
        let stays = must || self.may.contains(&index);
        if !stays && further.is_none() {
            return None;
        }
        Some(Property {
            name: one.name.clone(),
            schema: if stays {
                one.schema.clone()
            } else {
                Value::Bool(false)
            },
            required: must,
        })
    }
}

/// Where nothing else may stand in the object: at least and at most so many of them.
fn closed_subsets(optional: &[usize], least: u64, most: Option<u64>) -> Option<Vec<Subset>> {
    let most = usize::try_from(most.unwrap_or(u64::MAX))
        .unwrap_or(usize::MAX)
        .min(optional.len());
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    let mut all = Vec::new();
    for may in choices(optional, most)? {
        for must in choices(&may, least)? {
            all.push(Subset {
                must,
                may: may.clone(),
            });
            if all.len() > MOST_SUBSETS {
                return None;
            }
        }
    }
    Some(all)
}

/// Where further properties count too: exactly these.
fn exact_subsets(optional: &[usize], most: Option<u64>) -> Option<Vec<Subset>> {
    let mut all = Vec::new();
    for length in 0..=optional.len() {
        if most.is_some_and(|most| length as u64 > most) {
            break;
        }
        for must in choices(optional, length)? {
            all.push(Subset {
                must,
                may: Vec::new(),
            });
            if all.len() > MOST_SUBSETS {
                return None;
            }
        }
    }
    Some(all)
}

/// All choices of so many; `None` for too many.
fn choices(from: &[usize], count: usize) -> Option<Vec<Vec<usize>>> {
    if count > from.len() {
        return Some(Vec::new());
    }
    let mut all = vec![Vec::new()];
    for (index, item) in from.iter().enumerate() {
        let left = from.len() - index;
        let mut next: Vec<Vec<usize>> = Vec::new();
        for chosen in all {
            let missing = count - chosen.len();
            if missing < left {
                next.push(chosen.clone());
            }
            if missing > 0 {
                let mut more = chosen;
                more.push(*item);
                next.push(more);
            }
        }
        all = next;
        if all.len() > MOST_SUBSETS * 2 {
            return None;
        }
    }
    Some(all)
}

/// Names in the order in which they are mentioned.
fn names(facts: &ObjectFacts) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let named = facts
        .layers
        .iter()
        .flat_map(|layer| layer.names.iter().map(|(name, _)| name));
    for name in named.chain(&facts.required).chain(&facts.mentioned) {
        if !all.contains(name) {
            all.push(name.clone());
        }
    }
    all
}

fn object(properties: &[Property], further: &Further, bounds: Option<(u64, Option<u64>)>) -> Value {
    let mut schema = Map::from_iter([("type".to_owned(), Value::from("object"))]);
    let named: Map<String, Value> = properties
        .iter()
        .map(|one| (one.name.clone(), one.schema.clone()))
        .collect();
    let required: Vec<Value> = properties
        .iter()
        .filter(|one| one.required)
        .map(|one| Value::from(one.name.as_str()))
        .collect();
    let closed = further.rest == Value::Bool(false);
    if !named.is_empty() || closed {
        schema.insert("properties".to_owned(), Value::Object(named));
    }
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    if !further.patterns.is_empty() {
        let patterns: Map<String, Value> = further.patterns.iter().cloned().collect();
        schema.insert("patternProperties".to_owned(), Value::Object(patterns));
    }
    if further.rest != Value::Bool(true) {
        schema.insert("additionalProperties".to_owned(), further.rest.clone());
    }
    if let Some((least, most)) = bounds {
        if least > 0 {
            schema.insert("minProperties".to_owned(), least.into());
        }
        if let Some(most) = most {
            schema.insert("maxProperties".to_owned(), most.into());
        }
    }
    Value::Object(schema)
}
