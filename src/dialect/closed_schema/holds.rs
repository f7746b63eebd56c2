//! The alternatives of a schema that must hold.
//!
//! Data in: a node. Data out: clauses. Invariants: keywords count by the node's draft; beside
//! `$ref` nothing counts up to draft 7; `unevaluated…` sees what the same schema and what it
//! applies to the same value have looked at.

use jsonschema::Draft;
use serde_json::{Map, Value};

use super::document::NodeId;
use super::expand::Expander;
use super::facts::{
    ArrayFacts, Bound, Clause, Evaluated, Layer, Literal, ObjectFacts, State, Types,
};
use super::formats::is_checked;

/// A schema's keywords, with where they stand.
#[derive(Clone, Copy)]
pub(super) struct Keywords<'a> {
    pub(super) node: NodeId,
    pub(super) draft: Draft,
    pub(super) map: &'a Map<String, Value>,
}

impl<'a> Keywords<'a> {
    /// A keyword's value, if the draft knows the keyword.
    pub(super) fn get(&self, keyword: &str) -> Option<&'a Value> {
        self.map.get(keyword).filter(|_| self.knows(keyword))
    }

    pub(super) fn knows(&self, keyword: &str) -> bool {
        self.draft.is_known_keyword(keyword)
    }

    /// Whether `items` may be a list.
    pub(super) fn has_tuples(&self) -> bool {
        self.draft <= Draft::Draft201909
    }

    pub(super) fn number(&self, keyword: &str) -> Option<f64> {
        self.get(keyword)?.as_f64()
    }

    /// A length or count; drafts allow `2.0`.
    pub(super) fn count(&self, keyword: &str) -> Option<u64> {
        let value = self.get(keyword)?;
        value.as_u64().or_else(|| {
            let double = value.as_f64()?;
            (double >= 0.0 && double.fract() == 0.0).then_some(double as u64)
        })
    }
}

/// Keywords read together; each group once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Type,
    Values,
    Low,
    High,
    Multiple,
    Length,
    Pattern,
    Format,
    Content,
    Items,
    ItemCount,
    Unique,
    Contains,
    Properties,
    Required,
    PropertyCount,
    PropertyNames,
    DependentRequired,
    Dependent,
    AllOf,
    AnyOf,
    OneOf,
    Not,
    If,
    Reference,
}

/// The group of a keyword; `None` for those that say nothing by themselves.
pub(super) fn group_of(keyword: &str) -> Option<Group> {
    Some(match keyword {
        "type" => Group::Type,
        "enum" | "const" => Group::Values,
        "minimum" | "exclusiveMinimum" => Group::Low,
        "maximum" | "exclusiveMaximum" => Group::High,
        "multipleOf" => Group::Multiple,
        "minLength" | "maxLength" => Group::Length,
        "pattern" => Group::Pattern,
        "format" => Group::Format,
        "contentEncoding" | "contentMediaType" => Group::Content,
        "items" | "prefixItems" | "additionalItems" => Group::Items,
        "minItems" | "maxItems" => Group::ItemCount,
        "uniqueItems" => Group::Unique,
        "contains" => Group::Contains,
        "properties" | "patternProperties" | "additionalProperties" => Group::Properties,
        "required" => Group::Required,
        "minProperties" | "maxProperties" => Group::PropertyCount,
        "propertyNames" => Group::PropertyNames,
        "dependentRequired" => Group::DependentRequired,
        "dependentSchemas" | "dependencies" => Group::Dependent,
        "allOf" => Group::AllOf,
        "anyOf" => Group::AnyOf,
        "oneOf" => Group::OneOf,
        "not" => Group::Not,
        "if" => Group::If,
        "$ref" | "$dynamicRef" | "$recursiveRef" => Group::Reference,
        _ => return None,
    })
}

/// The groups of a schema in the order written, with the keyword that names each.
pub(super) fn groups<'a>(keywords: &Keywords<'a>) -> Vec<(Group, &'a str)> {
    let mut found: Vec<(Group, &'a str)> = Vec::new();
    for keyword in keywords.map.keys() {
        if !keywords.knows(keyword) {
            continue;
        }
        let Some(group) = group_of(keyword) else {
            continue;
        };
        let alone = matches!(group, Group::Values | Group::Reference | Group::Dependent);
        if alone || !found.iter().any(|(known, _)| *known == group) {
            found.push((group, keyword));
        }
    }
    found
}

impl<'a> Expander<'a> {
    pub(super) fn keywords(&self, id: NodeId) -> Result<Keywords<'a>, bool> {
        let node = self.document.node(id);
        match node.value {
            Value::Object(map) => Ok(Keywords {
                node: id,
                draft: node.draft,
                map,
            }),
            // Anything else than an object or a boolean is no schema; validation refuses it.
            other => Err(other.as_bool().unwrap_or(true)),
        }
    }

    /// The alternatives of a node that must hold.
    pub(super) fn when_it_holds(&mut self, id: NodeId) -> Vec<Clause> {
        let keywords = match self.keywords(id) {
            Ok(keywords) => keywords,
            Err(true) => return vec![Clause::any()],
            Err(false) => return Vec::new(),
        };
        let only_reference = keywords.draft <= Draft::Draft7 && keywords.map.contains_key("$ref");
        let mut all = vec![Clause::any()];
        for (group, keyword) in groups(&keywords) {
            if only_reference && keyword != "$ref" {
                continue;
            }
            let more = self.group_holds(&keywords, group, keyword);
            let note = self.note(id, keyword);
            all = self.join(all, &more, &note);
            if all.is_empty() {
                return all;
            }
        }
        if only_reference {
            return all;
        }
        self.with_unevaluated(&keywords, all)
    }

    fn group_holds(
        &mut self,
        keywords: &Keywords<'a>,
        group: Group,
        keyword: &'a str,
    ) -> Vec<Clause> {
        let id = keywords.node;
        let Some(value) = keywords.get(keyword) else {
            return vec![Clause::any()];
        };
        let mut clause = Clause::any();
        match group {
            Group::Type => clause = Clause::of(types_of(value)),
            Group::Values => {
                let values = match (keyword, value) {
                    ("enum", Value::Array(values)) => values.clone(),
                    ("enum", _) => return vec![clause],
                    _ => vec![value.clone()],
                };
                clause = Clause::one_of(values);
            }
            Group::Low => clause.number.low = low_bound(keywords),
            Group::High => clause.number.high = high_bound(keywords),
            Group::Multiple => {
                clause.number.multiples = value.as_number().cloned().into_iter().collect();
            }
            Group::Length => {
                clause.string.least = keywords.count("minLength").unwrap_or(0);
                clause.string.most = keywords.count("maxLength");
            }
            Group::Pattern => clause.string.patterns = texts(value),
            Group::Format => {
                clause.string.formats = texts(value);
                clause
                    .string
                    .formats
                    .retain(|format| is_checked(keywords.draft, format));
            }
            Group::Content => {
                // Only drafts 6 and 7 are checked for it.
                if matches!(keywords.draft, Draft::Draft6 | Draft::Draft7) {
                    clause.notes.insert(self.note(id, keyword));
                }
            }
            Group::Items => clause.array = self.items(keywords),
            Group::ItemCount => {
                clause.array.least = keywords.count("minItems").unwrap_or(0);
                clause.array.most = keywords.count("maxItems");
            }
            Group::Unique => {
                if value == &Value::Bool(true) {
                    return self.unique(keywords);
                }
            }
            Group::Contains => return self.contains(keywords, value),
            Group::Properties => clause.object = self.properties(keywords),
            Group::Required => {
                clause.object.required = texts(value);
                clause.object.mentioned = texts(value);
            }
            Group::PropertyCount => {
                clause.object.least = keywords.count("minProperties").unwrap_or(0);
                clause.object.most = keywords.count("maxProperties");
            }
            Group::PropertyNames => {
                let names = self.child(id, "/propertyNames", value);
                clause.object.names = vec![State::of(names)];
                clause.object.speaks = true;
            }
            Group::DependentRequired | Group::Dependent => {
                return self.dependencies(keywords, keyword, value);
            }
            Group::AllOf => {
                let mut all = vec![clause];
                for child in self.children(id, keyword, value) {
                    let more = self.clauses(child);
                    let note = self.note(child.node, "allOf");
                    all = self.join(all, &more, &note);
                }
                return all;
            }
            Group::AnyOf => {
                let branches = self.children(id, keyword, value);
                return self.any_of(&branches);
            }
            Group::OneOf => {
                let branches = self.children(id, keyword, value);
                let note = self.note(id, keyword);
                return self.one_of(&branches, &note);
            }
            Group::Not => {
                let inner = self.child(id, "/not", value);
                let fails = self.clauses(Literal::fails(inner.node));
                return fails
                    .iter()
                    .map(|clause| clause.clone().without_annotations())
                    .collect();
            }
            Group::If => return self.conditional(keywords, value),
            Group::Reference => {
                return match self.reference(keywords, keyword, value) {
                    Some(target) => self.clauses(Literal::holds(target)).to_vec(),
                    None => vec![clause.missing(self.note(id, keyword))],
                };
            }
        }
        vec![clause]
    }

    /// Where a reference leads; `None` where that cannot be said.
    pub(super) fn reference(
        &mut self,
        keywords: &Keywords<'a>,
        keyword: &str,
        value: &Value,
    ) -> Option<NodeId> {
        let reference = value.as_str()?;
        match keyword {
            "$ref" => self.document.target(keywords.node, reference),
            "$dynamicRef" => self.document.dynamic_target(keywords.node, reference),
            _ => self.document.recursive_target(keywords.node),
        }
    }

    fn items(&mut self, keywords: &Keywords<'a>) -> ArrayFacts {
        let id = keywords.node;
        let mut facts = ArrayFacts::default();
        let items = keywords.get("items");
        let (first, rest) = match items {
            Some(Value::Array(_)) if keywords.has_tuples() => (
                items.map(|list| ("items", list)),
                keywords
                    .get("additionalItems")
                    .map(|rest| ("/additionalItems", rest)),
            ),
            _ => (
                keywords
                    .get("prefixItems")
                    .map(|list| ("prefixItems", list)),
                items.map(|rest| ("/items", rest)),
            ),
        };
        if let Some((keyword, list)) = first {
            facts.first = self
                .children(id, keyword, list)
                .into_iter()
                .map(State::of)
                .collect();
            facts.evaluated.items = facts.first.len();
        }
        if let Some((pointer, rest)) = rest {
            facts.rest = State::of(self.child(id, pointer, rest));
            facts.evaluated.all = true;
        }
        facts
    }

    /// Distinct items: of an array of at most one item that says nothing, else it is not held.
    fn unique(&self, keywords: &Keywords<'a>) -> Vec<Clause> {
        let few = keywords.count("maxItems").is_some_and(|most| most <= 1);
        let clause = Clause::any();
        if few {
            return vec![clause];
        }
        vec![clause.noting(self.note(keywords.node, "uniqueItems"))]
    }

    fn contains(&mut self, keywords: &Keywords<'a>, value: &'a Value) -> Vec<Clause> {
        let least = keywords.count("minContains").unwrap_or(1);
        let most = keywords.count("maxContains");
        let inner = self.child(keywords.node, "/contains", value);
        let mut clause = Clause::any();
        clause.array.evaluated.uncertain = keywords.draft >= Draft::Draft202012;
        if most == Some(0) && least == 0 {
            clause.array.rest = State::of(Literal::fails(inner.node));
            return vec![clause];
        }
        if State::of(inner).is_any() || self.clauses(inner).iter().any(Clause::is_any) {
            clause.array.least = least;
            clause.array.most = most;
            return vec![clause];
        }
        if least > 0 && self.clauses(inner).is_empty() {
            return vec![Clause::of(Types::ALL.without(Types::ARRAY))];
        }
        clause.array.least = least;
        if least > 0 || most.is_some() {
            clause = clause.noting(self.note(keywords.node, "contains"));
        }
        vec![clause]
    }

    fn properties(&mut self, keywords: &Keywords<'a>) -> ObjectFacts {
        let id = keywords.node;
        let mut facts = ObjectFacts::default();
        let mut layer = Layer::default();
        if let Some(map) = keywords.get("properties") {
            facts.declares = true;
            for (name, child) in self.named_children(id, "properties", map) {
                layer.names.push((name.to_owned(), State::of(child)));
                facts.evaluated.names.push(name.to_owned());
            }
        }
        if let Some(map) = keywords.get("patternProperties") {
            facts.speaks = true;
            for (pattern, child) in self.named_children(id, "patternProperties", map) {
                layer.patterns.push((pattern.to_owned(), State::of(child)));
                facts.evaluated.patterns.push(pattern.to_owned());
            }
        }
        if let Some(rest) = keywords.get("additionalProperties") {
            facts.speaks = true;
            facts.evaluated.all = true;
            layer.rest = State::of(self.child(id, "/additionalProperties", rest));
        }
        facts.layers.push(layer);
        facts
    }

    fn dependencies(
        &mut self,
        keywords: &Keywords<'a>,
        keyword: &str,
        value: &'a Value,
    ) -> Vec<Clause> {
        let mut all = vec![Clause::any()];
        for (name, field) in value.as_object().into_iter().flatten() {
            let mut absent = Clause::any();
            absent.object.narrow(name, State::never());
            let mut present = Clause::of(Types::OBJECT);
            present.object.require(name);
            let note = self.note(keywords.node, keyword);
            let present = match field {
                Value::Array(_) => {
                    for needed in texts(field) {
                        present.object.require(&needed);
                        present.object.mentioned.push(needed);
                    }
                    vec![present]
                }
                schema => {
                    let pointer = format!("/{keyword}{}", super::document::step(name));
                    let child = self.child(keywords.node, &pointer, schema);
                    let more = self.clauses(child);
                    self.join(vec![present], &more, &note)
                }
            };
            let mut either = vec![absent];
            either.extend(present);
            all = self.join(all, &either, &note);
        }
        all
    }

    fn conditional(&mut self, keywords: &Keywords<'a>, test: &'a Value) -> Vec<Clause> {
        let id = keywords.node;
        let test = self.child(id, "/if", test);
        let branch = |expander: &mut Self, condition: Literal, keyword: &str| {
            let mut clauses = expander.clauses(condition).to_vec();
            if !condition.holds {
                clauses = clauses
                    .into_iter()
                    .map(Clause::without_annotations)
                    .collect();
            }
            let Some(then) = keywords.get(keyword) else {
                return clauses;
            };
            let child = expander.child(id, &format!("/{keyword}"), then);
            let more = expander.clauses(child);
            let note = expander.note(id, keyword);
            expander.join(clauses, &more, &note)
        };
        let mut all = Vec::new();
        let then = branch(self, test, "then");
        Self::union(&mut all, then);
        let otherwise = branch(self, Literal::fails(test.node), "else");
        Self::union(&mut all, otherwise);
        all
    }

    /// `unevaluatedItems` and `unevaluatedProperties` over what the clauses have looked at.
    fn with_unevaluated(&mut self, keywords: &Keywords<'a>, mut all: Vec<Clause>) -> Vec<Clause> {
        if let Some(value) = keywords.get("unevaluatedItems") {
            let rest = State::of(self.child(keywords.node, "/unevaluatedItems", value));
            let note = self.note(keywords.node, "unevaluatedItems");
            for clause in &mut all {
                let evaluated = std::mem::take(&mut clause.array.evaluated);
                if evaluated.uncertain && !evaluated.all {
                    clause.notes.insert(note.clone());
                } else if !evaluated.all {
                    let mut more = Clause::any();
                    more.array.first = vec![State::any(); evaluated.items];
                    more.array.rest = rest.clone();
                    *clause = clause.and(&more);
                }
                clause.array.evaluated.all = true;
            }
        }
        if let Some(value) = keywords.get("unevaluatedProperties") {
            let rest = State::of(self.child(keywords.node, "/unevaluatedProperties", value));
            let note = self.note(keywords.node, "unevaluatedProperties");
            for clause in &mut all {
                let evaluated: Evaluated = clause.object.evaluated.clone();
                if evaluated.uncertain && !evaluated.all {
                    clause.notes.insert(note.clone());
                } else if !evaluated.all {
                    let open = |list: &[String]| {
                        list.iter()
                            .map(|name| (name.clone(), State::any()))
                            .collect()
                    };
                    let mut more = Clause::any();
                    more.object.layers.push(Layer {
                        names: open(&evaluated.names),
                        patterns: open(&evaluated.patterns),
                        rest: rest.clone(),
                    });
                    *clause = clause.and(&more);
                }
                clause.object.evaluated.all = true;
                clause.object.speaks = true;
            }
        }
        all.retain(|clause| !clause.is_empty());
        all
    }
}

/// The types that a `type` keyword names.
pub(super) fn types_of(value: &Value) -> Types {
    texts(value)
        .iter()
        .fold(Types::NONE, |types, name| types.or(Types::named(name)))
}

/// A text, or the texts of a list.
pub(super) fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items
            .iter()
            .filter_map(|item| item.as_str().map(ToOwned::to_owned))
            .collect(),
        _ => Vec::new(),
    }
}

/// The lower bound; draft 4 has a flag beside it, later drafts a bound of its own.
pub(super) fn low_bound(keywords: &Keywords<'_>) -> Option<Bound> {
    bound(keywords, "minimum", "exclusiveMinimum", |one, two| {
        one > two
    })
}

/// The upper bound.
pub(super) fn high_bound(keywords: &Keywords<'_>) -> Option<Bound> {
    bound(keywords, "maximum", "exclusiveMaximum", |one, two| {
        one < two
    })
}

fn bound(
    keywords: &Keywords<'_>,
    inclusive: &str,
    exclusive: &str,
    beyond: fn(f64, f64) -> bool,
) -> Option<Bound> {
    let at = |at, exclusive| Bound { at, exclusive };
    let own = keywords.number(inclusive);
    match keywords.get(exclusive) {
        Some(Value::Bool(flag)) => own.map(|own| at(own, *flag)),
        Some(other) => match (own, other.as_f64()) {
            (Some(own), Some(other)) if beyond(own, other) => Some(at(own, false)),
            (_, Some(other)) => Some(at(other, true)),
            (own, None) => own.map(|own| at(own, false)),
        },
        None => own.map(|own| at(own, false)),
    }
}
