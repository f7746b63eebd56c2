//! Writing a value the way a grammar wants it.
//!
//! Data in: a value, the closed schema its grammar is made of, a cursor. Data out: whether the
//! grammar takes the value in some spelling. Invariants: keys come in the order in which the closed
//! schema lists them (of a union, each branch's order is tried), further keys in the value's own
//! order; a number may be spelled as an integer, as it was given, without exponent or with zeros
//! behind its fraction; the work is bounded.

use std::rc::Rc;

use serde_json::{Map, Value};

use super::bytes::ByteCursor;

/// Most pieces written before a value is given up.
const MOST_STEPS: u32 = 2_000_000;
/// Most zeros put behind a fraction.
const MOST_ZEROS: usize = 6;
/// Most branches of unions looked at for one object.
const MOST_BRANCHES: usize = 64;
/// Most references followed for one value.
const MOST_REFERENCES: usize = 32;

/// What is still to be written, first piece first.
#[derive(Clone, Default)]
struct Rest<'a>(Option<Rc<Piece<'a>>>);

struct Piece<'a> {
    what: What<'a>,
    next: Rest<'a>,
}

#[derive(Clone)]
enum What<'a> {
    Text(String),
    Value(&'a Value, Branches<'a>),
}

/// The alternatives of the closed schema that may apply at a place.
type Branches<'a> = Rc<Vec<&'a Value>>;

impl<'a> Rest<'a> {
    fn before(&self, what: What<'a>) -> Self {
        Self(Some(Rc::new(Piece {
            what,
            next: self.clone(),
        })))
    }
}

impl Drop for Rest<'_> {
    /// Long lists are taken apart in a loop: one call each would overflow the stack.
    fn drop(&mut self) {
        let mut next = self.0.take();
        while let Some(piece) = next {
            match Rc::try_unwrap(piece) {
                Ok(mut piece) => next = piece.next.0.take(),
                Err(_) => break,
            }
        }
    }
}

/// Whether the grammar at `cursor` takes `value` and may end after it. `closed` is the schema in
/// the grammar's slot.
pub(super) fn takes(
    cursor: &mut ByteCursor,
    closed: &Value,
    value: &Value,
) -> Result<bool, String> {
    let mut writer = Writer {
        cursor,
        root: closed,
        fed: 0,
    };
    let branches = writer.branches(&[closed]);
    let whole = Rest::default().before(What::Value(value, branches));
    writer.write(whole)
}

/// A place where several ways were open: what had been written, and the ways not yet tried, the
/// next one last.
struct Fork<'a> {
    fed: usize,
    ways: Vec<Rest<'a>>,
}

struct Writer<'a, 'c> {
    cursor: &'c mut ByteCursor,
    root: &'a Value,
    /// Bytes written.
    fed: usize,
}

impl<'a> Writer<'a, '_> {
    fn write(&mut self, whole: Rest<'a>) -> Result<bool, String> {
        let mut forks: Vec<Fork<'a>> = Vec::new();
        let mut current = whole;
        for _ in 0..MOST_STEPS {
            let advanced = match current.0.clone() {
                None if self.cursor.may_end()? => return Ok(true),
                None => None,
                Some(piece) => match &piece.what {
                    What::Text(text) => self.text(text)?.then(|| piece.next.clone()),
                    What::Value(value, branches) => {
                        let mut ways = self.ways(value, branches, &piece.next);
                        ways.reverse();
                        let first = ways.pop();
                        forks.push(Fork {
                            fed: self.fed,
                            ways,
                        });
                        first
                    }
                },
            };
            current = match advanced {
                Some(rest) => rest,
                None => match self.back(&mut forks)? {
                    Some(rest) => rest,
                    None => return Ok(false),
                },
            };
        }
        Err("gave up: too many ways to write the value".to_owned())
    }

    /// Writes a text, or nothing of it.
    fn text(&mut self, text: &str) -> Result<bool, String> {
        let taken = self.cursor.feed(text.as_bytes())?;
        if taken == text.len() {
            self.fed += taken;
            return Ok(true);
        }
        if taken > 0 {
            self.cursor.undo(taken)?;
        }
        Ok(false)
    }

    /// Goes back to the last fork with a way left.
    fn back(&mut self, forks: &mut Vec<Fork<'a>>) -> Result<Option<Rest<'a>>, String> {
        while let Some(fork) = forks.last_mut() {
            if let Some(way) = fork.ways.pop() {
                let back = self.fed - fork.fed;
                if back > 0 {
                    self.cursor.undo(back)?;
                }
                self.fed = fork.fed;
                return Ok(Some(way));
            }
            forks.pop();
        }
        Ok(None)
    }

    /// The ways to write a value, each with what comes after it.
    fn ways(&self, value: &'a Value, branches: &Branches<'a>, next: &Rest<'a>) -> Vec<Rest<'a>> {
        let mut ways = Vec::new();
        if value.is_array() || value.is_object() {
            // A fixed value comes in the spelling of the schema.
            let fixed = branches
                .iter()
                .filter_map(|branch| branch.get("enum")?.as_array())
                .flatten()
                .filter(|known| is_same(known, value));
            ways.extend(fixed.map(|known| next.before(What::Text(known.to_string()))));
        }
        match value {
            Value::Array(items) => {
                let mut rest = next.before(What::Text("]".to_owned()));
                for (index, item) in items.iter().enumerate().rev() {
                    rest = rest.before(What::Value(item, self.item_branches(branches, index)));
                    if index > 0 {
                        rest = rest.before(What::Text(",".to_owned()));
                    }
                }
                ways.push(rest.before(What::Text("[".to_owned())));
            }
            Value::Object(map) => {
                for order in Self::key_orders(branches, map) {
                    let mut rest = next.before(What::Text("}".to_owned()));
                    for (index, key) in order.iter().enumerate().rev() {
                        let inner = self.property_branches(branches, key);
                        rest = rest.before(What::Value(&map[key.as_str()], inner));
                        let comma = if index == 0 { "" } else { "," };
                        let name = Value::from(key.as_str());
                        rest = rest.before(What::Text(format!("{comma}{name}:")));
                    }
                    ways.push(rest.before(What::Text("{".to_owned())));
                }
            }
            scalar => {
                for spelling in spellings(scalar) {
                    ways.push(next.before(What::Text(spelling)));
                }
            }
        }
        ways
    }

    /// Unions taken apart and references followed.
    fn branches(&self, schemas: &[&'a Value]) -> Branches<'a> {
        let mut found: Vec<&'a Value> = Vec::new();
        let mut open: Vec<&'a Value> = schemas.iter().rev().copied().collect();
        let mut references = 0;
        while let Some(schema) = open.pop() {
            if found.len() >= MOST_BRANCHES {
                break;
            }
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                references += 1;
                let target = reference
                    .strip_prefix('#')
                    .and_then(|pointer| self.root.pointer(pointer));
                open.extend(target.filter(|_| references <= MOST_REFERENCES));
                continue;
            }
            let unions = ["anyOf", "oneOf", "allOf"]
                .iter()
                .filter_map(|keyword| schema.get(keyword)?.as_array());
            for options in unions {
                open.extend(options.iter().rev());
            }
            found.push(schema);
        }
        Rc::new(found)
    }

    fn item_branches(&self, branches: &Branches<'a>, index: usize) -> Branches<'a> {
        let inner: Vec<&'a Value> = branches
            .iter()
            .filter_map(|branch| {
                let prefix = branch.get("prefixItems").and_then(|items| items.get(index));
                prefix.or_else(|| branch.get("items"))
            })
            .collect();
        self.branches(&inner)
    }

    fn property_branches(&self, branches: &Branches<'a>, key: &str) -> Branches<'a> {
        let mut inner: Vec<&'a Value> = Vec::new();
        for branch in branches.iter() {
            let named = branch.get("properties").and_then(|names| names.get(key));
            let patterns = branch.get("patternProperties").and_then(Value::as_object);
            if let Some(schema) = named {
                inner.push(schema);
            } else {
                inner.extend(patterns.into_iter().flat_map(Map::values));
                inner.extend(branch.get("additionalProperties"));
            }
        }
        self.branches(&inner)
    }

    /// The orders in which the keys of an object may have to come, without repetition.
    fn key_orders(branches: &Branches<'a>, map: &Map<String, Value>) -> Vec<Vec<String>> {
        let mut orders: Vec<Vec<String>> = Vec::new();
        for branch in branches.iter() {
            let properties = branch.get("properties").and_then(Value::as_object);
            let required = branch.get("required").and_then(Value::as_array);
            let mut order: Vec<String> = Vec::new();
            let listed = properties.into_iter().flat_map(Map::keys).cloned().chain(
                required
                    .into_iter()
                    .flatten()
                    .filter_map(|name| name.as_str().map(ToOwned::to_owned)),
            );
            for name in listed.chain(map.keys().cloned()) {
                if map.contains_key(&name) && !order.contains(&name) {
                    order.push(name);
                }
            }
            if !orders.contains(&order) {
                orders.push(order);
            }
        }
        let own: Vec<String> = map.keys().cloned().collect();
        if !orders.contains(&own) {
            orders.push(own);
        }
        orders
    }
}

/// Equal by value, whatever the spelling of numbers and the order of keys.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|(left, right)| is_same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(key, value)| right.get(key).is_some_and(|other| is_same(value, other)))
        }
        _ => left == right,
    }
}

/// The ways one scalar can be written.
fn spellings(value: &Value) -> Vec<String> {
    /// Integers up to here are exact in a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let own = value.to_string();
    let mut all = Vec::new();
    if let Value::Number(number) = value
        && !number.is_i64()
        && !number.is_u64()
        && let Some(double) = number.as_f64()
    {
        if double.fract() == 0.0 && double.abs() <= EXACT {
            all.push(format!("{}", double as i64));
        }
        all.push(own);
        let plain = format!("{double}");
        // Multiples of 0.25 have two digits behind the point: 0.50.
        for zeros in 0..=MOST_ZEROS {
            if zeros == 0 || plain.contains('.') {
                all.push(format!("{plain}{}", "0".repeat(zeros)));
            }
        }
    } else {
        all.push(own);
    }
    all.dedup();
    all
}
