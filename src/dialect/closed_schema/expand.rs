//! From schemas to alternatives: every keyword becomes a choice of clauses.
//!
//! Data in: a document. Data out: for a schema that must or must not hold, clauses whose union it
//! is. Invariants: the union is never narrower than the schema; where it is wider, its clauses say
//! which keyword is not held; work is bounded, and what goes beyond is left out and noted.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use serde_json::Value;

use super::Loosened;
use super::document::{Document, NodeId, step};
use super::facts::{Clause, Literal, State, Types};
use super::pattern::Patterns;

/// Most alternatives that a conjunction may come to.
const MOST_CLAUSES: usize = 128;
/// From so many alternatives on, those are looked for that nothing satisfies.
const MANY_CLAUSES: usize = 8;
/// Most clauses joined for one schema in all.
const MOST_WORK: u64 = 40_000;
/// Most schemas looked at in all.
const MOST_VISITS: u64 = 100_000;
/// Most branches of `oneOf` that are compared pair by pair.
const MOST_COMPARED: usize = 24;
/// Most branches of `anyOf` of which several at once are considered.
const MOST_TOGETHER: usize = 4;
/// Deepest nesting of values that is looked into to find a contradiction.
const MOST_DEPTH: u32 = 4;
/// Deepest chain of schemas that apply to one value.
const MOST_CHAIN: u32 = 32;

/// Turns schemas into clauses, and remembers them.
pub(super) struct Expander<'a> {
    pub(super) document: Document<'a>,
    pub(super) patterns: Patterns,
    literals: HashMap<Literal, Rc<Vec<Clause>>>,
    states: HashMap<State, Rc<Vec<Clause>>>,
    open: HashSet<Literal>,
    work: u64,
    depth: u32,
    chain: u32,
    /// How often a circle was cut.
    cuts: u64,
    visits: u64,
}

impl<'a> Expander<'a> {
    pub(super) fn new(schema: &'a Value) -> Self {
        Self {
            document: Document::new(schema),
            patterns: Patterns::default(),
            literals: HashMap::new(),
            states: HashMap::new(),
            open: HashSet::new(),
            work: 0,
            depth: 0,
            chain: 0,
            cuts: 0,
            visits: 0,
        }
    }

    /// The note that a keyword of a node is not held.
    pub(super) fn note(&self, node: NodeId, keyword: &str) -> Loosened {
        Loosened {
            pointer: self.document.node(node).pointer.to_string(),
            keyword: keyword.to_owned(),
        }
    }

    /// The alternatives of one schema.
    pub(super) fn clauses(&mut self, literal: Literal) -> Rc<Vec<Clause>> {
        if let Some(known) = self.literals.get(&literal) {
            return Rc::clone(known);
        }
        self.visits += 1;
        if self.chain >= MOST_CHAIN || self.visits > MOST_VISITS {
            let note = self.note(literal.node, "too deep");
            return Rc::new(vec![Clause::any().missing(note)]);
        }
        // A schema that leads back to itself on the same value asserts nothing more by that.
        if !self.open.insert(literal) {
            self.cuts += 1;
            let any = Clause::any();
            if literal.holds {
                return Rc::new(vec![any]);
            }
            let note = self.note(literal.node, "not $ref");
            return Rc::new(vec![any.missing(note)]);
        }
        self.chain += 1;
        let cuts = self.cuts;
        let found = if literal.holds {
            self.when_it_holds(literal.node)
        } else {
            self.when_it_fails(literal.node)
        };
        self.chain -= 1;
        self.open.remove(&literal);
        let found = Rc::new(found);
        // What was cut short within a circle holds for this way of reaching it only.
        if self.open.is_empty() || self.cuts == cuts {
            self.literals.insert(literal, Rc::clone(&found));
        }
        found
    }

    /// The alternatives of all that a value must satisfy.
    pub(super) fn state_clauses(&mut self, state: &State) -> Rc<Vec<Clause>> {
        if let Some(known) = self.states.get(state) {
            return Rc::clone(known);
        }
        // States grow by one schema after another: what is known of a part is used.
        let literals = state.literals();
        let part = |length: usize| State::from_sorted(&literals[..length]);
        let known = (0..literals.len())
            .rev()
            .find(|length| *length == 0 || self.states.contains_key(&part(*length)))
            .unwrap_or(0);
        let mut all = match self.states.get(&part(known)) {
            Some(clauses) => clauses.to_vec(),
            None => vec![Clause::any()],
        };
        for (index, literal) in literals.iter().enumerate().skip(known) {
            let more = self.clauses(*literal);
            let note = self.note(literal.node, "allOf");
            all = self.join(all, &more, &note);
            self.states.insert(part(index + 1), Rc::new(all.clone()));
        }
        Rc::new(all)
    }

    /// Both together; where that comes to too much, the left side alone, noted.
    pub(super) fn join(
        &mut self,
        left: Vec<Clause>,
        right: &[Clause],
        note: &Loosened,
    ) -> Vec<Clause> {
        if let [one] = right
            && one.is_any()
            && one.notes.is_empty()
        {
            return left;
        }
        match self.product(&left, right) {
            Some(both) => both,
            None => left
                .into_iter()
                .map(|clause| clause.missing(note.clone()))
                .collect(),
        }
    }

    /// Every pair joined, without the empty ones; `None` when that is too much.
    pub(super) fn product(&mut self, left: &[Clause], right: &[Clause]) -> Option<Vec<Clause>> {
        let mut both: Vec<Clause> = Vec::new();
        let most = MOST_CLAUSES.max(left.len()).max(right.len());
        let many = left.len().saturating_mul(right.len()) > MANY_CLAUSES;
        for one in left {
            for other in right {
                if one.is_apart_from(other) {
                    continue;
                }
                self.work += 1;
                if self.work > MOST_WORK {
                    return None;
                }
                let mut joined = one.and(other);
                if many {
                    self.reduce(&mut joined);
                }
                if !joined.is_empty() && !both.contains(&joined) {
                    both.push(joined);
                }
                if both.len() > most {
                    return None;
                }
            }
        }
        Some(both)
    }

    /// One or the other.
    pub(super) fn union(all: &mut Vec<Clause>, more: impl IntoIterator<Item = Clause>) {
        for clause in more {
            if clause.is_empty() {
                continue;
            }
            // Plain values gather in one clause.
            let plain = Clause::is_plain;
            if plain(&clause)
                && let Some(last) = all.last_mut()
                && plain(last)
            {
                let mut values = last.values.take().unwrap_or_default();
                values.extend(clause.values.unwrap_or_default());
                *last = Clause::one_of(values);
            } else if all.len() > MOST_CLAUSES || !all.contains(&clause) {
                all.push(clause);
            }
        }
    }

    /// The alternatives of `anyOf`. Several branches may hold at once, and then all their
    /// properties are spoken for: alternatives for that are added where it makes a difference.
    pub(super) fn any_of(&mut self, branches: &[Literal]) -> Vec<Clause> {
        let each: Vec<Rc<Vec<Clause>>> = branches.iter().map(|one| self.clauses(*one)).collect();
        let mut all = Vec::new();
        for clauses in &each {
            Self::union(&mut all, clauses.iter().cloned());
        }
        let evaluates = |clause: &Clause| {
            clause.object.evaluated != super::facts::Evaluated::default()
                || clause.array.evaluated != super::facts::Evaluated::default()
        };
        if !all.iter().any(evaluates) || each.len() < 2 {
            return all;
        }
        if each.len() > MOST_TOGETHER {
            for clause in &mut all {
                clause.object.evaluated.uncertain = true;
                clause.array.evaluated.uncertain = true;
            }
            return all;
        }
        for chosen in 1_u32..(1 << each.len()) {
            if chosen.count_ones() < 2 {
                continue;
            }
            let members: Vec<&Rc<Vec<Clause>>> = (0..each.len())
                .filter(|index| chosen & (1 << index) != 0)
                .map(|index| &each[index])
                .collect();
            let mut together = Some(members[0].to_vec());
            for member in &members[1..] {
                together = together.and_then(|left| self.product(&left, member));
            }
            let singles: Vec<&Clause> = members.iter().flat_map(|member| member.iter()).collect();
            let Some(together) = together else {
                for clause in &mut all {
                    clause.object.evaluated.uncertain = true;
                    clause.array.evaluated.uncertain = true;
                }
                continue;
            };
            for clause in together {
                let adds = !singles.iter().any(|single| {
                    single.object.evaluated == clause.object.evaluated
                        && single.array.evaluated == clause.array.evaluated
                });
                if adds && !self.is_hollow(&clause) {
                    Self::union(&mut all, [clause]);
                }
            }
        }
        all
    }

    /// The alternatives of `oneOf`: a branch, and none of the others, unless they exclude each
    /// other anyway.
    pub(super) fn one_of(&mut self, branches: &[Literal], note: &Loosened) -> Vec<Clause> {
        let each: Vec<Rc<Vec<Clause>>> = branches.iter().map(|one| self.clauses(*one)).collect();
        let mut all = Vec::new();
        let told_apart = self.are_told_apart(&each);
        if told_apart || each.len() > MOST_COMPARED {
            for own in &each {
                let held = own.iter().cloned();
                if told_apart {
                    Self::union(&mut all, held);
                } else {
                    Self::union(&mut all, held.map(|clause| clause.noting(note.clone())));
                }
            }
            return all;
        }
        for (index, own) in each.iter().enumerate() {
            let mut alone = own.to_vec();
            for (other, theirs) in each.iter().enumerate() {
                if index == other || self.are_apart(&alone, theirs) {
                    continue;
                }
                let fails = self.clauses(Literal {
                    holds: !branches[other].holds,
                    ..branches[other]
                });
                alone = self.join(alone, &fails, note);
            }
            Self::union(&mut all, alone);
        }
        all
    }

    /// Whether the branches are fixed values, none twice, or objects that all require a property
    /// with fixed values, none in two branches.
    fn are_told_apart(&mut self, each: &[Rc<Vec<Clause>>]) -> bool {
        let clauses: Vec<(usize, &Clause)> = each
            .iter()
            .enumerate()
            .flat_map(|(index, clauses)| clauses.iter().map(move |clause| (index, clause)))
            .collect();
        let Some((_, first)) = clauses.first() else {
            return true;
        };
        let mut seen: HashMap<String, usize> = HashMap::new();
        let mut is_new = |branch: usize, values: &[Value]| {
            values
                .iter()
                .all(|value| *seen.entry(canonical(value)).or_insert(branch) == branch)
        };
        if clauses.iter().all(|(branch, clause)| {
            clause
                .values
                .as_ref()
                .is_some_and(|values| is_new(*branch, values))
        }) {
            return true;
        }
        for name in first.object.required.clone() {
            let mut seen: HashMap<String, usize> = HashMap::new();
            let fixed = clauses.iter().all(|(branch, clause)| {
                if clause.types != Types::OBJECT || !clause.object.required.contains(&name) {
                    return false;
                }
                let state = self.property_state(&clause.object, &name);
                if state.is_any() {
                    return false;
                }
                self.state_clauses(&state).iter().all(|inner| {
                    inner.values.as_ref().is_some_and(|values| {
                        values.iter().all(|value| {
                            *seen.entry(canonical(value)).or_insert(*branch) == *branch
                        })
                    })
                })
            });
            if fixed {
                return true;
            }
        }
        false
    }

    /// Whether no value satisfies both sides.
    fn are_apart(&mut self, left: &[Clause], right: &[Clause]) -> bool {
        let together = left
            .iter()
            .all(|one| right.iter().all(|other| one.is_apart_from(other)));
        together
            || self
                .product(left, right)
                .is_some_and(|both| both.iter().all(|clause| self.is_hollow(clause)))
    }

    /// Whether nothing satisfies the clause, looking into the values of what it requires.
    pub(super) fn is_hollow(&mut self, clause: &Clause) -> bool {
        if clause.is_empty() {
            return true;
        }
        let containers = Types::ARRAY.or(Types::OBJECT);
        if clause.values.is_some() || !clause.types.without(containers).is_none() {
            return false;
        }
        self.hollow_types(clause) == clause.types
    }

    /// Takes away the types of which nothing satisfies the clause.
    fn reduce(&mut self, clause: &mut Clause) {
        if clause.values.is_none() {
            let hollow = self.hollow_types(clause);
            clause.drop_types(hollow);
        }
    }

    fn hollow_types(&mut self, clause: &Clause) -> Types {
        let mut hollow = Types::NONE;
        if self.depth >= MOST_DEPTH {
            return hollow;
        }
        self.depth += 1;
        if clause.types.has(Types::OBJECT) {
            for name in &clause.object.required {
                let state = self.property_state(&clause.object, name);
                if self.is_impossible(&state) {
                    hollow = hollow.or(Types::OBJECT);
                    break;
                }
            }
        }
        if clause.types.has(Types::ARRAY) {
            let least = usize::try_from(clause.array.least).unwrap_or(usize::MAX);
            for index in 0..least.min(clause.array.first.len() + 1) {
                let state = clause.array.at(index).clone();
                if self.is_impossible(&state) {
                    hollow = hollow.or(Types::ARRAY);
                    break;
                }
            }
        }
        self.depth -= 1;
        hollow
    }

    /// Whether nothing satisfies the state.
    pub(super) fn is_impossible(&mut self, state: &State) -> bool {
        if state.is_any() {
            return false;
        }
        let clauses = self.state_clauses(state);
        clauses.iter().all(|clause| self.is_hollow(clause))
    }

    /// The child of a node that stands at a field, as a literal that holds.
    pub(super) fn child(&mut self, node: NodeId, pointer: &str, value: &'a Value) -> Literal {
        Literal::holds(self.document.child(node, pointer, value))
    }

    /// The children of a node that stand in a list.
    pub(super) fn children(
        &mut self,
        node: NodeId,
        keyword: &str,
        list: &'a Value,
    ) -> Vec<Literal> {
        let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.child(node, &format!("/{keyword}/{index}"), item))
            .collect()
    }

    /// The children of a node that stand in a map.
    pub(super) fn named_children(
        &mut self,
        node: NodeId,
        keyword: &str,
        map: &'a Value,
    ) -> Vec<(&'a str, Literal)> {
        map.as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| {
                let child = self.child(node, &format!("/{keyword}{}", step(name)), value);
                (name.as_str(), child)
            })
            .collect()
    }
}

/// A text that is equal for equal values.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => number
            .as_f64()
            .filter(|_| number.is_f64() || number.as_i64().is_some_and(|own| own.abs() < 1 << 53))
            .map_or_else(|| number.to_string(), |double| format!("{double}")),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(map) => {
            let mut fields: Vec<String> = map
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(","))
        }
        other => other.to_string(),
    }
}
