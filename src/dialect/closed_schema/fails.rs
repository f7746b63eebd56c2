//! The alternatives of a schema that must not hold.
//!
//! Data in: a node. Data out: clauses whose union holds every value that the schema refuses.
//! Invariants: a schema fails where one of its keywords does; what cannot be said as a clause is
//! widened to all values of the type that the keyword is about, and noted.

use jsonschema::Draft;
use serde_json::Value;

use super::document::NodeId;
use super::expand::Expander;
use super::facts::{Bound, Clause, Literal, State, Types};
use super::formats::is_checked;
use super::holds::{Group, Keywords, groups, high_bound, low_bound, texts, types_of};

impl<'a> Expander<'a> {
    /// The alternatives of a node that must not hold.
    pub(super) fn when_it_fails(&mut self, id: NodeId) -> Vec<Clause> {
        let keywords = match self.keywords(id) {
            Ok(keywords) => keywords,
            Err(true) => return Vec::new(),
            Err(false) => return vec![Clause::any()],
        };
        let only_reference = keywords.draft <= Draft::Draft7 && keywords.map.contains_key("$ref");
        let mut all = Vec::new();
        for (group, keyword) in groups(&keywords) {
            if only_reference && keyword != "$ref" {
                continue;
            }
            let more = self.group_fails(&keywords, group, keyword);
            Self::union(&mut all, more);
        }
        if !only_reference {
            for (keyword, types) in [
                ("unevaluatedItems", Types::ARRAY),
                ("unevaluatedProperties", Types::OBJECT),
            ] {
                if keywords
                    .get(keyword)
                    .is_some_and(|value| value != &Value::Bool(true))
                {
                    let note = self.note(id, &format!("not {keyword}"));
                    Self::union(&mut all, [Clause::of(types).noting(note)]);
                }
            }
        }
        all.into_iter().map(Clause::without_annotations).collect()
    }

    fn group_fails(
        &mut self,
        keywords: &Keywords<'a>,
        group: Group,
        keyword: &'a str,
    ) -> Vec<Clause> {
        let id = keywords.node;
        let Some(value) = keywords.get(keyword) else {
            return Vec::new();
        };
        let widened = |expander: &Self, types: Types| {
            vec![Clause::of(types).noting(expander.note(id, &format!("not {keyword}")))]
        };
        match group {
            Group::Type => vec![Clause::of(Types::ALL.without(types_of(value)))],
            Group::Values => {
                let values = match (keyword, value) {
                    ("enum", Value::Array(values)) => values.clone(),
                    _ => vec![value.clone()],
                };
                vec![all_but(values)]
            }
            Group::Low => low_bound(keywords)
                .map(|low| {
                    let mut clause = Clause::of(Types::NUMBER);
                    clause.number.high = Some(opposite(low));
                    clause
                })
                .into_iter()
                .collect(),
            Group::High => high_bound(keywords)
                .map(|high| {
                    let mut clause = Clause::of(Types::NUMBER);
                    clause.number.low = Some(opposite(high));
                    clause
                })
                .into_iter()
                .collect(),
            Group::Multiple if value.as_f64() == Some(1.0) => vec![Clause::of(Types::FRACTION)],
            Group::Multiple => widened(self, Types::NUMBER),
            Group::Length => {
                let mut all = Vec::new();
                if let Some(least) = keywords.count("minLength").filter(|least| *least > 0) {
                    let mut clause = Clause::of(Types::STRING);
                    clause.string.most = Some(least - 1);
                    all.push(clause);
                }
                if let Some(most) = keywords.count("maxLength") {
                    let mut clause = Clause::of(Types::STRING);
                    clause.string.least = most.saturating_add(1);
                    all.push(clause);
                }
                all
            }
            Group::Format
                if !texts(value)
                    .iter()
                    .any(|name| is_checked(keywords.draft, name)) =>
            {
                Vec::new()
            }
            Group::Pattern | Group::Format | Group::Content => widened(self, Types::STRING),
            Group::Items => self.some_item_fails(keywords),
            Group::ItemCount => {
                let mut all = Vec::new();
                if let Some(least) = keywords.count("minItems").filter(|least| *least > 0) {
                    let mut clause = Clause::of(Types::ARRAY);
                    clause.array.most = Some(least - 1);
                    all.push(clause);
                }
                if let Some(most) = keywords.count("maxItems") {
                    let mut clause = Clause::of(Types::ARRAY);
                    clause.array.least = most.saturating_add(1);
                    all.push(clause);
                }
                all
            }
            Group::Unique if value == &Value::Bool(true) => {
                let mut clauses = widened(self, Types::ARRAY);
                clauses[0].array.least = 2;
                clauses
            }
            Group::Unique => Vec::new(),
            Group::Contains => {
                let inner = self.child(id, "/contains", value);
                let least = keywords.count("minContains").unwrap_or(1);
                let most = keywords.count("maxContains");
                if most.is_none() && least == 1 {
                    let mut clause = Clause::of(Types::ARRAY);
                    clause.array.rest = State::of(Literal::fails(inner.node));
                    return vec![clause];
                }
                widened(self, Types::ARRAY)
            }
            Group::Properties => self.some_property_fails(keywords),
            Group::Required => texts(value)
                .iter()
                .map(|name| {
                    let mut clause = Clause::of(Types::OBJECT);
                    clause.object.narrow(name, State::never());
                    clause
                })
                .collect(),
            Group::PropertyCount => {
                let mut all = Vec::new();
                if let Some(least) = keywords.count("minProperties").filter(|least| *least > 0) {
                    let mut clause = Clause::of(Types::OBJECT);
                    clause.object.most = Some(least - 1);
                    all.push(clause);
                }
                if let Some(most) = keywords.count("maxProperties") {
                    let mut clause = Clause::of(Types::OBJECT);
                    clause.object.least = most.saturating_add(1);
                    all.push(clause);
                }
                all
            }
            Group::PropertyNames => {
                let mut clauses = widened(self, Types::OBJECT);
                clauses[0].object.least = 1;
                clauses
            }
            Group::DependentRequired | Group::Dependent => {
                self.some_dependency_fails(keywords, keyword, value)
            }
            Group::AllOf => {
                let mut all = Vec::new();
                for child in self.children(id, keyword, value) {
                    let more = self.clauses(Literal::fails(child.node));
                    Self::union(&mut all, more.iter().cloned());
                }
                all
            }
            Group::AnyOf => {
                let branches = self.children(id, keyword, value);
                self.none_of(&branches)
            }
            Group::OneOf => {
                let branches = self.children(id, keyword, value);
                let mut all = self.none_of(&branches);
                for (index, one) in branches.iter().enumerate() {
                    for other in &branches[index + 1..] {
                        let (one, other) = (self.clauses(*one), self.clauses(*other));
                        match self.product(&one, &other) {
                            Some(both) => Self::union(&mut all, both),
                            None => Self::union(&mut all, widened(self, Types::ALL)),
                        }
                    }
                }
                all
            }
            Group::Not => {
                let inner = self.child(id, "/not", value);
                self.clauses(inner).to_vec()
            }
            Group::If => self.conditional_fails(keywords, value),
            Group::Reference => match self.reference(keywords, keyword, value) {
                Some(target) => self.clauses(Literal::fails(target)).to_vec(),
                None => widened(self, Types::ALL),
            },
        }
    }

    fn none_of(&mut self, branches: &[Literal]) -> Vec<Clause> {
        let mut all = vec![Clause::any()];
        for branch in branches {
            let fails = self.clauses(Literal::fails(branch.node));
            let note = self.note(branch.node, "not");
            all = self.join(all, &fails, &note);
        }
        all
    }

    fn some_item_fails(&mut self, keywords: &Keywords<'a>) -> Vec<Clause> {
        let id = keywords.node;
        let items = keywords.get("items");
        let tuple = matches!(items, Some(Value::Array(_))) && keywords.has_tuples();
        let (keyword, list) = if tuple {
            ("items", items)
        } else {
            ("prefixItems", keywords.get("prefixItems"))
        };
        let first = list.map_or_else(Vec::new, |list| self.children(id, keyword, list));
        let mut all = Vec::new();
        for (index, child) in first.iter().enumerate() {
            let mut clause = Clause::of(Types::ARRAY);
            clause.array.least = index as u64 + 1;
            clause.array.first = vec![State::any(); index];
            clause
                .array
                .first
                .push(State::of(Literal::fails(child.node)));
            all.push(clause);
        }
        let rest = if tuple {
            keywords.get("additionalItems")
        } else {
            items
        };
        match rest {
            None | Some(Value::Bool(true)) => {}
            Some(rest) => {
                let mut clause = Clause::of(Types::ARRAY);
                clause.array.least = first.len() as u64 + 1;
                if rest != &Value::Bool(false) {
                    clause = clause.noting(self.note(id, "not items"));
                }
                all.push(clause);
            }
        }
        all
    }

    fn some_property_fails(&mut self, keywords: &Keywords<'a>) -> Vec<Clause> {
        let id = keywords.node;
        let mut all = Vec::new();
        if let Some(map) = keywords.get("properties") {
            for (name, child) in self.named_children(id, "properties", map) {
                let mut clause = Clause::of(Types::OBJECT);
                clause.object.require(name);
                clause
                    .object
                    .narrow(name, State::of(Literal::fails(child.node)));
                clause.settle();
                all.push(clause);
            }
        }
        for keyword in ["patternProperties", "additionalProperties"] {
            let fails = match keywords.get(keyword) {
                None | Some(Value::Bool(true)) => false,
                Some(Value::Object(map)) => keyword == "additionalProperties" || !map.is_empty(),
                Some(_) => true,
            };
            if fails {
                let mut clause = Clause::of(Types::OBJECT);
                clause.object.least = 1;
                all.push(clause.noting(self.note(id, &format!("not {keyword}"))));
            }
        }
        all
    }

    fn some_dependency_fails(
        &mut self,
        keywords: &Keywords<'a>,
        keyword: &str,
        value: &'a Value,
    ) -> Vec<Clause> {
        let mut all = Vec::new();
        for (name, field) in value.as_object().into_iter().flatten() {
            let mut present = Clause::of(Types::OBJECT);
            present.object.require(name);
            if let Value::Array(_) = field {
                for needed in texts(field) {
                    let mut clause = present.clone();
                    clause.object.narrow(&needed, State::never());
                    clause.settle();
                    Self::union(&mut all, [clause]);
                }
            } else {
                let pointer = format!("/{keyword}{}", super::document::step(name));
                let child = self.child(keywords.node, &pointer, field);
                let fails = self.clauses(Literal::fails(child.node));
                let note = self.note(child.node, "not");
                let both = self.join(vec![present], &fails, &note);
                Self::union(&mut all, both);
            }
        }
        all
    }

    fn conditional_fails(&mut self, keywords: &Keywords<'a>, test: &'a Value) -> Vec<Clause> {
        let id = keywords.node;
        let test = self.child(id, "/if", test);
        let mut all = Vec::new();
        for (condition, keyword) in [(test, "then"), (Literal::fails(test.node), "else")] {
            let Some(branch) = keywords.get(keyword) else {
                continue;
            };
            let child = self.child(id, &format!("/{keyword}"), branch);
            let condition = self.clauses(condition).to_vec();
            let fails = self.clauses(Literal::fails(child.node));
            let note = self.note(child.node, "not");
            let both = self.join(condition, &fails, &note);
            Self::union(&mut all, both);
        }
        all
    }
}

/// Everything but these values.
fn all_but(values: Vec<Value>) -> Clause {
    let mut clause = Clause::any();
    for value in &values {
        if matches!(value, Value::Null | Value::Bool(_)) {
            clause.types = clause.types.without(Types::of(value));
        }
    }
    clause.excluded = values
        .into_iter()
        .filter(|value| !matches!(value, Value::Null | Value::Bool(_)))
        .collect();
    clause
}

/// The other side of a bound.
fn opposite(bound: Bound) -> Bound {
    Bound {
        at: bound.at,
        exclusive: !bound.exclusive,
    }
}
