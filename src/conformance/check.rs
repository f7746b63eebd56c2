//! One schema: what its validator says and what its grammar takes.
//!
//! Data in: a schema, then values. Data out: two verdicts for each value and, where only the
//! closing of objects keeps the grammar from taking a valid value, that fact. Invariants: a schema
//! that either side refuses gives one reason; the grammar is the one of a tool's argument slot.

use serde_json::Value;

use super::bytes::{ByteGrammar, ByteTable};
use super::write;
use crate::dialect::closed_schema::{Closing, Loosened, Root, Slot, slot};
use crate::types::{Grammar, Node};
use crate::validate::CompiledSchema;

/// The reason where a grammar would be empty.
pub(super) const NOTHING: &str = "no value satisfies the schema, or none that a grammar can write \
    (control characters that need a `\\u` escape are never written)";

/// A schema ready to be measured.
pub struct SchemaCheck {
    /// The validator, or why it refuses the schema.
    pub validator: Result<CompiledSchema, String>,
    /// The grammar, or why it is refused.
    pub grammar: Result<ByteGrammar, String>,
    /// What stands in the grammar's slot, and what it does not hold.
    pub slot: Slot,
    /// The same without closing any object.
    open: Option<(ByteGrammar, Slot)>,
}

/// What is said of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the schema as given holds for it; absent where the schema is refused.
    pub schema_valid: Option<bool>,
    /// Whether the grammar takes it; absent where the grammar is refused.
    pub grammar_accepts: Option<bool>,
    /// A valid value that the grammar refuses only because it closes objects.
    pub closed: bool,
    /// Why there is no verdict of the grammar.
    pub problem: Option<String>,
}

impl SchemaCheck {
    /// Compiles both sides.
    pub fn new(table: &ByteTable, schema: &Value, root: Root) -> Self {
        let validator = CompiledSchema::compile(schema).map_err(|fault| fault.to_string());
        // What cannot be validated is never offered, so no grammar is made of it either.
        let (grammar, closed) = match &validator {
            Ok(_) => {
                let closed = slot(schema, root, Closing::Closed);
                (compile(table, &closed), closed)
            }
            Err(reason) => {
                let nothing = Slot {
                    schema: Value::Bool(false),
                    loosened: Vec::new(),
                };
                (Err(reason.clone()), nothing)
            }
        };
        let open = grammar
            .as_ref()
            .ok()
            .map(|_| slot(schema, root, Closing::Open))
            .filter(|open| open.schema != closed.schema)
            .and_then(|open| Some((compile(table, &open).ok()?, open)));
        Self {
            validator,
            grammar,
            slot: closed,
            open,
        }
    }

    /// Both verdicts on a value.
    pub fn verdict(&self, value: &Value) -> Verdict {
        let schema_valid = self
            .validator
            .as_ref()
            .ok()
            .map(|validator| validator.is_valid(value));
        let taken = self
            .grammar
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|grammar| write::takes(&mut grammar.start(), &self.slot.schema, value));
        let closed = schema_valid == Some(true)
            && taken == Ok(false)
            && self.open.as_ref().is_some_and(|(grammar, open)| {
                write::takes(&mut grammar.start(), &open.schema, value) == Ok(true)
            });
        Verdict {
            schema_valid,
            grammar_accepts: taken.as_ref().ok().copied(),
            closed,
            problem: taken.err(),
        }
    }

    /// What the grammar does not hold of the schema.
    pub fn loosened(&self) -> &[Loosened] {
        &self.slot.loosened
    }
}

fn compile(table: &ByteTable, slot: &Slot) -> Result<ByteGrammar, String> {
    if slot.schema == Value::Bool(false) {
        return Err(NOTHING.to_owned());
    }
    table.compile(&grammar_of(slot))
}

/// Compiles what would stand in a slot.
#[cfg(test)]
pub(super) fn compile_schema(table: &ByteTable, schema: &Value) -> Result<ByteGrammar, String> {
    compile(
        table,
        &Slot {
            schema: schema.clone(),
            loosened: Vec::new(),
        },
    )
}

/// The grammar of one slot alone.
fn grammar_of(slot: &Slot) -> Grammar {
    Grammar {
        rules: [("value".to_owned(), Node::Schema(slot.schema.clone()))].into(),
        root: "value".to_owned(),
    }
}
