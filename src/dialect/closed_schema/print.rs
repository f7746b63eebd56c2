//! From clauses to the schema in a grammar's slot.
//!
//! Data in: what a value must satisfy. Data out: a schema in the few keywords that the grammar's
//! engine holds exactly: `type`, `enum`, `anyOf` and one type's own keywords beside each, `$ref` to
//! `$defs` where schemas recur. Invariants: keys stand in the order in which the schema as given
//! mentions them; objects are closed here and nowhere else; equal input, equal output.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::expand::Expander;
use super::facts::{ArrayFacts, Clause, State, Types};
use super::{Closing, Loosened, scalars};

/// Alternatives among which equal ones are looked for.
const MOST_COMPARED: usize = 200;
/// Nesting of values that is printed in place; deeper ones get a name, since readers of JSON have a
/// limit of their own and so has the stack.
const NESTED: u32 = 10;
/// Most states printed.
const MOST_STATES: usize = 20_000;
/// Schemas shorter than this are repeated, longer ones are referred to.
const SHORT: usize = 160;

/// Prints states.
pub(super) struct Printer<'a> {
    pub(super) expander: Expander<'a>,
    pub(super) closing: Closing,
    pub(super) notes: BTreeSet<Loosened>,
    definitions: Map<String, Value>,
    states: HashMap<State, Printed>,
    depth: u32,
    names: u32,
    /// States that are referred to and not yet printed.
    pending: Vec<(State, String)>,
}

enum Printed {
    /// Being printed further up; the name under which it is referred to from within, if it is.
    Open(Option<String>),
    /// Done.
    Done(Value),
}

impl<'a> Printer<'a> {
    pub(super) fn new(schema: &'a Value, closing: Closing) -> Self {
        Self {
            expander: Expander::new(schema),
            closing,
            notes: BTreeSet::new(),
            definitions: Map::new(),
            states: HashMap::new(),
            depth: 0,
            names: 0,
            pending: Vec::new(),
        }
    }

    /// The schemas that were named, and what is not held.
    pub(super) fn into_definitions(mut self) -> (Map<String, Value>, BTreeSet<Loosened>) {
        while let Some((state, name)) = self.pending.pop() {
            let value = self.body(&state);
            self.definitions.insert(name, value);
        }
        (self.definitions, self.notes)
    }

    /// The schema of a state; `false` where nothing satisfies it.
    pub(super) fn value(&mut self, state: &State) -> Value {
        if state.is_any() {
            return Value::Bool(true);
        }
        if state.is_never() {
            return Value::Bool(false);
        }
        self.names += 1;
        let fresh = format!("s{}", self.names);
        match self.states.get_mut(state) {
            Some(Printed::Open(name)) => {
                let name = name.get_or_insert(fresh).clone();
                return reference(&name);
            }
            Some(Printed::Done(value)) => {
                let value = value.clone();
                return self.shared(state, value, &fresh);
            }
            None => {}
        }
        if self.states.len() >= MOST_STATES {
            let literal = state.literals()[0];
            let note = self.expander.note(literal.node, "too deep");
            self.notes.insert(note);
            return Value::Bool(true);
        }
        if self.depth >= NESTED {
            self.pending.push((state.clone(), fresh.clone()));
            let done = reference(&fresh);
            self.states
                .insert(state.clone(), Printed::Done(done.clone()));
            return done;
        }
        self.states.insert(state.clone(), Printed::Open(None));
        let value = self.body(state);
        let done = match self.states.remove(state) {
            Some(Printed::Open(Some(name))) => {
                self.definitions.insert(name.clone(), value);
                reference(&name)
            }
            _ => value,
        };
        self.states
            .insert(state.clone(), Printed::Done(done.clone()));
        done
    }

    fn body(&mut self, state: &State) -> Value {
        self.depth += 1;
        let clauses = self.expander.state_clauses(state);
        let origin = state.literals()[0].node;
        let value = self.union(&clauses, origin);
        self.depth -= 1;
        value
    }

    /// A schema that is met again: referred to from now on, unless it is short.
    fn shared(&mut self, state: &State, value: Value, fresh: &str) -> Value {
        if value.get("$ref").is_some() || value.to_string().len() <= SHORT {
            return value;
        }
        self.definitions.insert(fresh.to_owned(), value);
        let reference = reference(fresh);
        self.states
            .insert(state.clone(), Printed::Done(reference.clone()));
        reference
    }

    /// The schema of alternatives.
    pub(super) fn union(&mut self, clauses: &Rc<Vec<Clause>>, origin: usize) -> Value {
        let mut alternatives: Vec<Value> = Vec::new();
        for clause in clauses.iter() {
            if self.expander.is_hollow(clause) {
                continue;
            }
            if clause.is_any() {
                self.notes.extend(clause.notes.iter().cloned());
                return Value::Bool(true);
            }
            for leaf in self.leaves(clause, origin) {
                add(&mut alternatives, leaf);
            }
        }
        joined(alternatives)
    }

    /// The alternatives of one clause, type by type.
    fn leaves(&mut self, clause: &Clause, origin: usize) -> Vec<Value> {
        let mut all = Vec::new();
        if let Some(values) = &clause.values {
            let admitted: Vec<Value> = values
                .iter()
                .filter(|value| self.expander.facts_admit(clause, value))
                .cloned()
                .collect();
            let mut leaves = scalars::fixed(&admitted);
            if scalars::has_loose_format(&clause.string) && admitted.iter().any(Value::is_string) {
                leaves.not_held.push("format");
            }
            self.take(leaves, origin, &mut all);
        } else {
            let types = clause.types;
            if types.has(Types::NULL) {
                all.push(json!({"type": "null"}));
            }
            match (types.has(Types::TRUE), types.has(Types::FALSE)) {
                (true, true) => all.push(json!({"type": "boolean"})),
                (true, false) => all.push(json!({"enum": [true]})),
                (false, true) => all.push(json!({"enum": [false]})),
                (false, false) => {}
            }
            if types.has(Types::NUMBER) {
                let leaves = scalars::numbers(&clause.number, types, &clause.excluded);
                self.take(leaves, origin, &mut all);
            }
            if types.has(Types::STRING) {
                let leaves = scalars::strings(&clause.string, &clause.excluded);
                self.take(leaves, origin, &mut all);
            }
            let containers = Types::ARRAY.or(Types::OBJECT);
            if types.has(containers) && clause.excluded.iter().any(is_container) {
                let note = self.expander.note(origin, "not enum");
                self.notes.insert(note);
            }
            if types.has(Types::ARRAY) {
                let array = self.array(&clause.array);
                all.extend(array);
            }
            if types.has(Types::OBJECT) {
                let objects = self.objects(&clause.object, origin);
                all.extend(objects);
            }
        }
        if !all.is_empty() {
            self.notes.extend(clause.notes.iter().cloned());
        }
        all
    }

    fn take(&mut self, leaves: scalars::Leaves, origin: usize, all: &mut Vec<Value>) {
        for keyword in leaves.not_held {
            let note = self.expander.note(origin, keyword);
            self.notes.insert(note);
        }
        all.extend(leaves.schemas);
    }

    fn array(&mut self, facts: &ArrayFacts) -> Option<Value> {
        let mut most = facts.most;
        let mut limit = |count: usize| {
            let count = count as u64;
            most = Some(most.map_or(count, |most| most.min(count)));
        };
        let mut first: Vec<Value> = Vec::new();
        for (index, state) in facts.first.iter().enumerate() {
            let item = self.value(state);
            if item == Value::Bool(false) {
                limit(index);
                break;
            }
            first.push(item);
        }
        let rest = self.value(&facts.rest);
        if rest == Value::Bool(false) {
            limit(first.len());
        }
        if most.is_some_and(|most| most < facts.least) {
            return None;
        }
        let kept = most.map_or(first.len(), |most| {
            first.len().min(usize::try_from(most).unwrap_or(usize::MAX))
        });
        first.truncate(kept);
        let mut schema = json!({"type": "array"});
        if !first.is_empty() {
            schema["prefixItems"] = Value::Array(first);
        }
        if rest != Value::Bool(true) && rest != Value::Bool(false) {
            schema["items"] = rest;
        }
        if facts.least > 0 {
            schema["minItems"] = facts.least.into();
        }
        if let Some(most) = most {
            schema["maxItems"] = most.into();
        }
        Some(schema)
    }
}

fn is_container(value: &Value) -> bool {
    value.is_array() || value.is_object()
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

/// Adds an alternative; fixed values gather.
fn add(alternatives: &mut Vec<Value>, leaf: Value) {
    if alternatives.len() < MOST_COMPARED && alternatives.contains(&leaf) {
        return;
    }
    if let Some(Value::Array(more)) = leaf.get("enum") {
        let gathered = alternatives
            .iter_mut()
            .find_map(|known| known.get_mut("enum")?.as_array_mut());
        if let Some(values) = gathered {
            let known: HashSet<String> = values.iter().map(Value::to_string).collect();
            let more = more
                .iter()
                .filter(|value| !known.contains(&value.to_string()));
            values.extend(more.cloned());
            return;
        }
    }
    alternatives.push(leaf);
}

/// One alternative alone, several in a union, none as `false`.
pub(super) fn joined(mut alternatives: Vec<Value>) -> Value {
    const EVERY: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];
    let every = EVERY
        .iter()
        .all(|name| alternatives.contains(&json!({"type": name})));
    match alternatives.len() {
        _ if every => Value::Bool(true),
        0 => Value::Bool(false),
        1 => alternatives.remove(0),
        _ => json!({"anyOf": alternatives}),
    }
}

/// Takes out schemas that no finite value satisfies. Gives whether the root has a value.
pub(super) fn prune(root: &mut Value, definitions: &mut Map<String, Value>) -> bool {
    let mut finite: BTreeMap<String, bool> = definitions
        .keys()
        .map(|name| (name.clone(), false))
        .collect();
    loop {
        let newly: Vec<String> = definitions
            .iter()
            .filter(|(name, schema)| !finite[name.as_str()] && has_value(schema, &finite))
            .map(|(name, _)| name.clone())
            .collect();
        if newly.is_empty() {
            break;
        }
        for name in newly {
            finite.insert(name, true);
        }
    }
    let possible = has_value(root, &finite);
    definitions.retain(|name, _| finite[name.as_str()]);
    for schema in definitions.values_mut().chain([root]) {
        cut(schema, &finite);
    }
    possible
}

fn is_finite(reference: &str, finite: &BTreeMap<String, bool>) -> bool {
    let name = reference.strip_prefix("#/$defs/").unwrap_or_default();
    finite.get(name).copied().unwrap_or(true)
}

fn has_value(schema: &Value, finite: &BTreeMap<String, bool>) -> bool {
    if schema == &Value::Bool(false) {
        return false;
    }
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        return is_finite(reference, finite);
    }
    if let Some(Value::Array(options)) = schema.get("anyOf") {
        return options.iter().any(|option| has_value(option, finite));
    }
    if let (Some(Value::Array(required)), Some(properties)) =
        (schema.get("required"), schema.get("properties"))
    {
        return required
            .iter()
            .filter_map(|name| properties.get(name.as_str()?))
            .all(|property| has_value(property, finite));
    }
    if let Some(least) = schema.get("minItems").and_then(Value::as_u64) {
        let first = schema.get("prefixItems").and_then(Value::as_array);
        let length = first.map_or(0, Vec::len);
        let least = usize::try_from(least).unwrap_or(usize::MAX);
        return first
            .into_iter()
            .flatten()
            .take(least)
            .all(|item| has_value(item, finite))
            && (least <= length
                || schema
                    .get("items")
                    .is_none_or(|rest| has_value(rest, finite)));
    }
    true
}

/// Takes out what has no value, from within.
fn cut(schema: &mut Value, finite: &BTreeMap<String, bool>) {
    let Value::Object(map) = schema else {
        return;
    };
    for (keyword, field) in map.iter_mut() {
        match (keyword.as_str(), field) {
            ("items" | "additionalProperties", field) => cut(field, finite),
            ("properties" | "patternProperties", Value::Object(fields)) => {
                fields.values_mut().for_each(|field| cut(field, finite));
            }
            ("anyOf" | "prefixItems", Value::Array(items)) => {
                for item in items {
                    cut(item, finite);
                }
            }
            _ => {}
        }
    }
    if let Some(Value::Array(options)) = map.get_mut("anyOf") {
        options.retain(|option| option != &Value::Bool(false));
        if options.len() == 1 {
            *schema = options.remove(0);
            return;
        }
    }
    if !has_value(schema, finite) {
        *schema = Value::Bool(false);
        return;
    }
    // What is not there needs no mention where nothing else may stand either.
    if let Value::Object(map) = schema
        && map.get("additionalProperties") == Some(&Value::Bool(false))
        && !map.contains_key("patternProperties")
        && let Some(Value::Object(properties)) = map.get_mut("properties")
    {
        properties.retain(|_, property| property != &Value::Bool(false));
    }
}
