//! A tool's argument schema as a grammar slot: any draft in, few exact keywords out, objects closed.
//!
//! Data in: a schema as the tool's author wrote it, draft 4 to 2020-12. Data out: a schema for the
//! grammar's engine, and what it does not hold of the first. Invariants: pure and total on any
//! JSON, hostile schemas included; but for closing, the slot takes every value that is valid (where
//! the engine can write its characters); where it takes more, the keyword is named. Validation uses
//! the schema as given.
//!
//! The way: each schema that must (or must not) hold becomes a union of clauses (`holds`, `fails`),
//! conjunctions of facts by type (`facts`); what a property or an item must satisfy is the set of
//! all schemas that apply to it. So `allOf`, `$ref` with siblings, `if`, `not`, `oneOf`,
//! `dependent…` and `unevaluated…` dissolve, and what is printed (`print`, `objects`, `scalars`) has
//! `anyOf` at most.
//!
//! Closing: an object that declares properties and says nothing of further ones gets none but those
//! that a keyword which applies to it names: as `unevaluatedProperties: false` would have it.

mod document;
mod evaluate;
mod expand;
mod facts;
mod fails;
mod formats;
mod holds;
mod objects;
mod pattern;
mod print;
mod scalars;
mod state;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use serde_json::{Value, json};

use document::ROOT_NODE;
use facts::{Clause, Literal, State, Types};
use print::Printer;

/// Counted up when the same schema gives another slot: part of every plan by way of
/// [`super::forms_hash`].
pub const SLOT_VERSION: u32 = 2;

/// How the root is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// A tool's arguments: always an object, without keys where none are declared.
    Arguments,
    /// Any value.
    Value,
}

/// Whether objects are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// As constrained decoding has it.
    Closed,
    /// Not at all, for telling apart what closing alone refuses.
    Open,
}

/// What stands in a grammar's slot for a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// The schema that the grammar's engine compiles; `false` where nothing is valid.
    pub schema: Value,
    /// What it does not hold of the schema as given.
    pub loosened: Vec<Loosened>,
}

/// A part of a schema that the grammar does not hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Loosened {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// The keyword; `not` before it where it stands in a negation.
    pub keyword: String,
}

impl Loosened {
    /// Whether what is not held only bounds values. Where it is more than that, a reply under the
    /// grammar may lack a required name, have one too many or a value of a wrong type.
    pub fn is_bound(&self) -> bool {
        self.keyword.starts_with("not ")
            || matches!(
                self.keyword.as_str(),
                "minimum"
                    | "multipleOf"
                    | "minLength"
                    | "maxLength"
                    | "pattern"
                    | "format"
                    | "contentEncoding"
                    | "contentMediaType"
                    | "uniqueItems"
                    | "contains"
                    | "unevaluatedItems"
                    | "minProperties"
                    | "oneOf"
            )
    }
}

impl std::fmt::Display for Loosened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.pointer.is_empty() {
            write!(f, "`{}` at the root", self.keyword)
        } else {
            write!(f, "`{}` at {}", self.keyword, self.pointer)
        }
    }
}

/// The schema of a tool's arguments for a grammar.
pub fn closed_arguments(schema: &Value) -> Value {
    slot(schema, Root::Arguments, Closing::Closed).schema
}

/// Whether a grammar holds names, types and fixed values of a tool's arguments, bounds aside.
pub fn holds_structure(schema: &Value) -> bool {
    slot(schema, Root::Arguments, Closing::Closed)
        .loosened
        .iter()
        .all(Loosened::is_bound)
}

/// The slot of a schema.
pub fn slot(schema: &Value, root: Root, closing: Closing) -> Slot {
    let mut printer = Printer::new(schema, closing);
    let state = State::of(Literal::holds(ROOT_NODE));
    let mut value = match root {
        Root::Value => printer.value(&state),
        Root::Arguments => {
            let clauses = arguments(&mut printer, &state);
            printer.union(&Rc::new(clauses), ROOT_NODE)
        }
    };
    let (mut definitions, notes) = printer.into_definitions();
    if !print::prune(&mut value, &mut definitions) {
        value = Value::Bool(false);
    }
    if value == Value::Bool(true) {
        value = json!({});
    }
    if !definitions.is_empty()
        && let Value::Object(map) = &mut value
    {
        map.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Slot {
        schema: value,
        loosened: notes.into_iter().collect(),
    }
}

/// The root's clauses as arguments: objects only, and closed where nothing is declared, unless
/// something that could declare is not held.
fn arguments(printer: &mut Printer<'_>, state: &State) -> Vec<Clause> {
    let object = Clause::of(Types::OBJECT);
    printer
        .expander
        .state_clauses(state)
        .iter()
        .map(|clause| {
            let mut clause = clause.and(&object);
            clause.object.declares |= clause.notes.is_empty();
            clause
        })
        .filter(|clause| !clause.is_empty())
        .collect()
}
