//! A tree to text, as Python's `ast.unparse` writes it.
//!
//! Data in: an expression. Data out: its source in Python's own spelling: spaces, brackets and
//! quotes where that puts them. Invariants: total.

use num_traits::Zero as _;

use super::syntax::{Binary, Expr, Logic, Parameter, Unary};
use crate::score::value::{Exotic, Integer, Value};

/// How tightly an expression binds; a looser one inside a tighter place gets brackets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Level(u8);

const NAMED: Level = Level(0);
const TUPLE: Level = Level(1);
const YIELD: Level = Level(2);
const TEST: Level = Level(3);
const OR: Level = Level(4);
const AND: Level = Level(5);
const NOT: Level = Level(6);
const COMPARE: Level = Level(7);
const EXPRESSION: Level = Level(8);
const FACTOR: Level = Level(14);
const POWER: Level = Level(15);
const AWAIT: Level = Level(16);
const ATOM: Level = Level(17);

impl Level {
    fn next(self) -> Self {
        Self((self.0 + 1).min(ATOM.0))
    }
}

/// The text of an expression that stands alone.
pub(super) fn source(expr: &Expr) -> String {
    let mut out = String::new();
    write(&mut out, expr, TEST);
    out
}

fn write(out: &mut String, expr: &Expr, around: Level) {
    match expr {
        Expr::Constant { value, is_unicode } => {
            if *is_unicode {
                out.push('u');
            }
            out.push_str(&repr(value, true));
        }
        Expr::Formatted(raw) => {
            out.push('f');
            out.push_str(&text_repr(raw));
        }
        Expr::Name(name) => out.push_str(name),
        Expr::Attribute(value, name) => {
            write(out, value, ATOM);
            let is_whole = matches!(
                **value,
                Expr::Constant {
                    value: Value::Int(_) | Value::Bool(_),
                    ..
                }
            );
            out.push_str(if is_whole { " ." } else { "." });
            out.push_str(name);
        }
        Expr::Call(call) => {
            write(out, &call.function, ATOM);
            out.push('(');
            let mut between = "";
            for value in &call.positional {
                out.push_str(between);
                write(out, value, TEST);
                between = ", ";
            }
            for (name, value) in &call.keywords {
                out.push_str(between);
                match name {
                    Some(name) => {
                        out.push_str(name);
                        out.push('=');
                    }
                    None => out.push_str("**"),
                }
                write(out, value, TEST);
                between = ", ";
            }
            out.push(')');
        }
        Expr::Subscript(value, slice) => {
            write(out, value, ATOM);
            out.push('[');
            match &**slice {
                Expr::Tuple(items) if !items.is_empty() => items_of(out, items),
                other => write(out, other, TEST),
            }
            out.push(']');
        }
        Expr::Slice(parts) => {
            let [lower, upper, step] = &**parts;
            if let Some(lower) = lower {
                write(out, lower, TEST);
            }
            out.push(':');
            if let Some(upper) = upper {
                write(out, upper, TEST);
            }
            if let Some(step) = step {
                out.push(':');
                write(out, step, TEST);
            }
        }
        Expr::Starred(value) => {
            out.push('*');
            write(out, value, EXPRESSION);
        }
        Expr::List(items) => {
            out.push('[');
            comma_separated(out, items);
            out.push(']');
        }
        Expr::Tuple(items) => bracketed(out, items.is_empty() || around > TUPLE, |out| {
            items_of(out, items);
        }),
        Expr::Set(items) => {
            out.push('{');
            comma_separated(out, items);
            out.push('}');
        }
        Expr::Dict(entries) => {
            out.push('{');
            let mut between = "";
            for (key, value) in entries {
                out.push_str(between);
                if let Some(key) = key {
                    write(out, key, TEST);
                    out.push_str(": ");
                    write(out, value, TEST);
                } else {
                    out.push_str("**");
                    write(out, value, EXPRESSION);
                }
                between = ", ";
            }
            out.push('}');
        }
        Expr::Comprehension(made) => {
            out.push_str(made.brackets.0);
            write(out, &made.element, TEST);
            if let Some(value) = &made.value {
                out.push_str(": ");
                write(out, value, TEST);
            }
            for one in &made.loops {
                out.push_str(if one.is_async { " async for " } else { " for " });
                write(out, &one.target, TUPLE);
                out.push_str(" in ");
                write(out, &one.items, TEST.next());
                for condition in &one.conditions {
                    out.push_str(" if ");
                    write(out, condition, TEST.next());
                }
            }
            out.push_str(made.brackets.1);
        }
        Expr::Unary(unary, operand) => {
            let (sign, level) = match unary {
                Unary::Minus => ("-", FACTOR),
                Unary::Plus => ("+", FACTOR),
                Unary::Invert => ("~", FACTOR),
                Unary::Not => ("not ", NOT),
            };
            bracketed(out, around > level, |out| {
                out.push_str(sign);
                write(out, operand, level);
            });
        }
        Expr::Binary(binary, left, right) => {
            let (sign, level) = operator(*binary);
            let (to_left, to_right) = if level == POWER {
                (level.next(), level)
            } else {
                (level, level.next())
            };
            bracketed(out, around > level, |out| {
                write(out, left, to_left);
                out.push(' ');
                out.push_str(sign);
                out.push(' ');
                write(out, right, to_right);
            });
        }
        Expr::Logic(logic, operands) => {
            let (word, level) = match logic {
                Logic::And => (" and ", AND),
                Logic::Or => (" or ", OR),
            };
            bracketed(out, around > level, |out| {
                let mut inner = level;
                for (index, operand) in operands.iter().enumerate() {
                    if index > 0 {
                        out.push_str(word);
                    }
                    inner = inner.next();
                    write(out, operand, inner);
                }
            });
        }
        Expr::Compare(left, rest) => bracketed(out, around > COMPARE, |out| {
            write(out, left, COMPARE.next());
            for (sign, value) in rest {
                out.push(' ');
                out.push_str(sign);
                out.push(' ');
                write(out, value, COMPARE.next());
            }
        }),
        Expr::Conditional(parts) => bracketed(out, around > TEST, |out| {
            let [then, test, otherwise] = &**parts;
            write(out, then, TEST.next());
            out.push_str(" if ");
            write(out, test, TEST.next());
            out.push_str(" else ");
            write(out, otherwise, TEST);
        }),
        Expr::Lambda(parameters, body) => bracketed(out, around > TEST, |out| {
            out.push_str("lambda");
            for (index, parameter) in parameters.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { ", " });
                write_parameter(out, parameter);
            }
            out.push_str(": ");
            write(out, body, TEST);
        }),
        Expr::Named(name, value) => bracketed(out, around > NAMED, |out| {
            out.push_str(name);
            out.push_str(" := ");
            write(out, value, ATOM);
        }),
        Expr::Await(value) => bracketed(out, around > AWAIT, |out| {
            out.push_str("await ");
            write(out, value, ATOM);
        }),
        Expr::Yield(value) => bracketed(out, around > YIELD, |out| {
            out.push_str("yield");
            if let Some(value) = value {
                out.push(' ');
                write(out, value, ATOM);
            }
        }),
        Expr::YieldFrom(value) => bracketed(out, around > YIELD, |out| {
            out.push_str("yield from ");
            write(out, value, ATOM);
        }),
    }
}

fn bracketed(out: &mut String, needed: bool, write: impl FnOnce(&mut String)) {
    if needed {
        out.push('(');
    }
    write(out);
    if needed {
        out.push(')');
    }
}

fn comma_separated(out: &mut String, items: &[Expr]) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(out, item, TEST);
    }
}

/// Items of a tuple: a single one keeps its comma.
fn items_of(out: &mut String, items: &[Expr]) {
    comma_separated(out, items);
    if items.len() == 1 {
        out.push(',');
    }
}

fn write_parameter(out: &mut String, parameter: &Parameter) {
    out.push_str(parameter.mark);
    out.push_str(&parameter.name);
    if let Some(default) = &parameter.default {
        out.push('=');
        write(out, default, TEST);
    }
}

fn operator(binary: Binary) -> (&'static str, Level) {
    match binary {
        Binary::Or => ("|", EXPRESSION),
        Binary::Xor => ("^", Level(9)),
        Binary::And => ("&", Level(10)),
        Binary::ShiftLeft => ("<<", Level(11)),
        Binary::ShiftRight => (">>", Level(11)),
        Binary::Add => ("+", Level(12)),
        Binary::Subtract => ("-", Level(12)),
        Binary::Multiply => ("*", Level(13)),
        Binary::MatrixMultiply => ("@", Level(13)),
        Binary::Divide => ("/", Level(13)),
        Binary::Modulo => ("%", Level(13)),
        Binary::FloorDivide => ("//", Level(13)),
        Binary::Power => ("**", POWER),
    }
}

/// Python's `repr`; `in_source` writes infinities as a literal that overflows.
pub(super) fn repr(value: &Value<'_>, in_source: bool) -> String {
    let many = |items: &[Value<'_>]| -> Vec<String> {
        items.iter().map(|item| repr(item, in_source)).collect()
    };
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Int(Integer::Small(small)) => small.to_string(),
        Value::Int(Integer::Big(big)) => big.to_string(),
        Value::Float(float) => float_source(*float, in_source),
        Value::Text(text) => text_repr(text),
        Value::List(items) => format!("[{}]", many(items).join(", ")),
        Value::Tuple(items) if items.len() == 1 => format!("({},)", repr(&items[0], in_source)),
        Value::Tuple(items) => format!("({})", many(items).join(", ")),
        Value::Object(object) => {
            let entries: Vec<String> = object
                .iter()
                .map(|(key, value)| {
                    let key = match key {
                        crate::score::value::Key::Text(text) => text_repr(text),
                        crate::score::value::Key::Other(other) => repr(other, in_source),
                    };
                    format!("{key}: {}", repr(value, in_source))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Exotic(exotic) => match &**exotic {
            Exotic::Ellipsis => if in_source { "..." } else { "Ellipsis" }.to_owned(),
            Exotic::Bytes(bytes) => bytes_repr(bytes),
            Exotic::Set(items) if items.is_empty() => "set()".to_owned(),
            Exotic::Set(items) => format!("{{{}}}", many(items).join(", ")),
            Exotic::Complex(real, imaginary) => complex_repr(*real, *imaginary, in_source),
        },
    }
}

fn float_source(float: f64, in_source: bool) -> String {
    let text = float_repr(float);
    if in_source {
        text.replace("inf", "1e309").replace("nan", "(1e309-1e309)")
    } else {
        text
    }
}

/// The shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
fn float_repr(float: f64) -> String {
    if float.is_nan() {
        return "nan".to_owned();
    }
    if float.is_infinite() {
        return if float > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{float:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if float != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    let plain = format!("{float}");
    if plain.contains('.') {
        plain
    } else {
        format!("{plain}.0")
    }
}

fn complex_repr(real: f64, imaginary: f64, in_source: bool) -> String {
    // Parts are written without a trailing `.0`.
    let part = |float: f64| {
        let text = float_source(float, in_source);
        text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
    };
    if real.is_zero() && real.is_sign_positive() {
        return format!("{}j", part(imaginary));
    }
    let sign = if imaginary.is_sign_negative() || imaginary.is_nan() {
        ""
    } else {
        "+"
    };
    format!("({}{sign}{}j)", part(real), part(imaginary))
}

fn quote_for(has_single: bool, has_double: bool) -> char {
    if has_single && !has_double { '"' } else { '\'' }
}

/// Writes a character of ASCII that text and bytes have in one form; says whether it was one.
fn push_plain(out: &mut String, c: char, quote: char) -> bool {
    match c {
        '\\' => out.push_str("\\\\"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        _ if c == quote => {
            out.push('\\');
            out.push(c);
        }
        ' '..='~' => out.push(c),
        _ => return false,
    }
    true
}

fn bytes_repr(bytes: &[u8]) -> String {
    let quote = quote_for(bytes.contains(&b'\''), bytes.contains(&b'"'));
    let mut out = format!("b{quote}");
    for &byte in bytes {
        if !push_plain(&mut out, char::from(byte), quote) {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push(quote);
    out
}

/// A string as Python writes it.
pub(super) fn text_repr(text: &str) -> String {
    let quote = quote_for(text.contains('\''), text.contains('"'));
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        if !push_plain(&mut out, c, quote) {
            push_other(&mut out, c);
        }
    }
    out.push(quote);
    out
}

fn push_other(out: &mut String, c: char) {
    // The stand-in of a lone surrogate is printed as what it stands for.
    let code = match u32::from(c) {
        code @ 0x10_d800..=0x10_dfff => code - 0x10_0000,
        code => code,
    };
    if code == u32::from(c) && is_printable(c) {
        out.push(c);
    } else if code < 0x100 {
        out.push_str(&format!("\\x{code:02x}"));
    } else if code < 0x1_0000 {
        out.push_str(&format!("\\u{code:04x}"));
    } else {
        out.push_str(&format!("\\U{code:08x}"));
    }
}

/// Whether a character is shown as itself. Behind a letter, Rust's own rule leaves combining marks
/// alone and escapes what has no shape, as Python does.
fn is_printable(c: char) -> bool {
    let pair = format!("a{c}");
    pair.escape_debug().count() == 2
}
