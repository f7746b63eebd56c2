//! Trees to calls and values.
//!
//! Data in: text. Data out: calls as BFCL's reader takes them from Python syntax, or the value of a
//! literal as `ast.literal_eval` takes it. Invariants: the reader's slips are kept: positional
//! arguments are dropped, any sign before a number negates it, a bare name is its own text.

use super::PythonError;
use super::arithmetic::{change, evaluate};
use super::parser::parse;
use super::source::source;
use super::syntax::{Binary, Call, Expr, Unary};
use crate::score::json::has_surrogate;
use crate::score::value::{Exotic, Key, Object, Value};

type Read = Result<Value<'static>, PythonError>;

fn refused<T>(reason: &'static str) -> Result<T, PythonError> {
    Err(PythonError::new(reason))
}

/// Reads a list, tuple or set of calls, or a single call: names with their keyword arguments.
pub(in crate::score) fn calls(text: &str) -> Result<Vec<(String, Object<'static>)>, PythonError> {
    if has_surrogate(text) {
        return refused("a lone surrogate");
    }
    let cleaned = strip(text).trim_matches('\'');
    match parse(cleaned)? {
        Expr::Call(call) => Ok(vec![named(&call)?]),
        Expr::List(items) | Expr::Tuple(items) | Expr::Set(items) => items
            .iter()
            .map(|item| match item {
                Expr::Call(call) => named(call),
                _ => refused("something that is no call stands among the calls"),
            })
            .collect(),
        _ => refused("neither a call nor a list of calls"),
    }
}

/// Python's `str.strip()`.
pub(in crate::score) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The dotted name and the keyword arguments.
fn named(call: &Call) -> Result<(String, Object<'static>), PythonError> {
    let mut parts = Vec::new();
    let mut function = &call.function;
    while let Expr::Attribute(inner, name) = function {
        parts.push(name.as_str());
        function = inner;
    }
    if let Expr::Name(name) = function {
        parts.push(name);
    }
    parts.reverse();
    let arguments = call
        .keywords
        .iter()
        .map(|(name, value)| {
            let key = match name {
                Some(name) => Key::Text(name.clone().into()),
                None => Key::Other(Box::new(Value::Null)),
            };
            Ok((key, argument(value)?))
        })
        .collect::<Result<Vec<_>, PythonError>>()?;
    Ok((parts.join("."), Object::from_entries(arguments)))
}

fn argument(expr: &Expr) -> Read {
    match expr {
        Expr::Constant { value, .. } => Ok(match value {
            Value::Exotic(exotic) if matches!(**exotic, Exotic::Ellipsis) => {
                Value::Text("...".into())
            }
            other => other.clone(),
        }),
        // Whatever the sign, what follows is negated; only constants have a value there.
        Expr::Unary(_, operand) => match &**operand {
            Expr::Constant { value, .. } => change(Unary::Minus, value),
            _ => refused("a sign before something that is no constant"),
        },
        Expr::List(items) => Ok(Value::List(arguments(items)?)),
        Expr::Tuple(items) => Ok(Value::Tuple(arguments(items)?)),
        Expr::Dict(entries) => object(entries, argument),
        Expr::Binary(..) => evaluate(expr),
        Expr::Name(name) => Ok(Value::Text(name.clone().into())),
        Expr::Call(call) if call.keywords.is_empty() => Ok(Value::Text(source(expr).into())),
        Expr::Call(call) => {
            let (name, arguments) = named(call)?;
            let entry = (Key::Text(name.into()), Value::Object(arguments));
            Ok(Value::Object(Object::from_entries(vec![entry])))
        }
        Expr::Subscript(value, slice) => Ok(Value::Text(
            format!("{}[{}]", source(value), source(slice)).into(),
        )),
        _ => refused("an argument of a kind that cannot be read"),
    }
}

fn arguments(items: &[Expr]) -> Result<Vec<Value<'static>>, PythonError> {
    items.iter().map(argument).collect()
}

/// An object whose keys and values `read` reads.
fn object(
    entries: &[(Option<Expr>, Expr)],
    read: fn(&Expr) -> Result<Value<'static>, PythonError>,
) -> Result<Value<'static>, PythonError> {
    let entries = entries
        .iter()
        .map(|(key, value)| {
            let Some(key) = key else {
                return refused("`**` in an object");
            };
            entry(read(key)?, read(value)?)
        })
        .collect::<Result<Vec<_>, PythonError>>()?;
    Ok(Value::Object(Object::from_entries(entries)))
}

fn entry(
    key: Value<'static>,
    value: Value<'static>,
) -> Result<(Key<'static>, Value<'static>), PythonError> {
    match Key::from_value(key) {
        Some(key) => Ok((key, value)),
        None => refused("a list or an object as a key"),
    }
}

/// Reads a literal.
pub(in crate::score) fn literal(text: &str) -> Read {
    if has_surrogate(text) {
        return refused("a lone surrogate");
    }
    constant(&parse(text.trim_start_matches([' ', '\t']))?)
}

fn constant(expr: &Expr) -> Read {
    let many = |items: &[Expr]| items.iter().map(constant).collect::<Result<Vec<_>, _>>();
    match expr {
        Expr::Constant { value, .. } => Ok(value.clone()),
        Expr::List(items) => Ok(Value::List(many(items)?)),
        Expr::Tuple(items) => Ok(Value::Tuple(many(items)?)),
        Expr::Set(items) => {
            let items = many(items)?;
            if items.iter().all(Value::is_hashable) {
                Ok(Value::Exotic(Box::new(Exotic::Set(items))))
            } else {
                refused("a list or an object in a set")
            }
        }
        Expr::Dict(entries) => object(entries, constant),
        Expr::Call(call) => {
            let is_empty_set = matches!(&call.function, Expr::Name(name) if name == "set")
                && call.positional.is_empty()
                && call.keywords.is_empty();
            if is_empty_set {
                Ok(Value::Exotic(Box::new(Exotic::Set(Vec::new()))))
            } else {
                refused("a call in a literal")
            }
        }
        Expr::Unary(..) => signed(expr),
        Expr::Binary(Binary::Add | Binary::Subtract, left, right) => {
            let is_plain = matches!(signed(left)?, Value::Int(_) | Value::Float(_));
            let is_imaginary = matches!(
                &**right,
                Expr::Constant { value: Value::Exotic(exotic), .. }
                    if matches!(**exotic, Exotic::Complex(..))
            );
            if is_plain && is_imaginary {
                evaluate(expr)
            } else {
                refused("an operator in a literal")
            }
        }
        _ => refused("something that is no literal"),
    }
}

/// A number with at most one sign.
fn signed(expr: &Expr) -> Read {
    let (sign, operand) = match expr {
        Expr::Unary(sign @ (Unary::Minus | Unary::Plus), operand) => (Some(*sign), &**operand),
        other => (None, other),
    };
    let Expr::Constant { value, .. } = operand else {
        return refused("something that is no literal");
    };
    let is_number = match value {
        Value::Int(_) | Value::Float(_) => true,
        Value::Exotic(exotic) => matches!(**exotic, Exotic::Complex(..)),
        _ => false,
    };
    match (is_number, sign) {
        (true, Some(sign)) => change(sign, value),
        (true, None) => Ok(value.clone()),
        _ => refused("a sign before something that is no number"),
    }
}
