//! Calls written as XML.
//!
//! Data in: text that holds `<functions>…</functions>`. Data out: calls. Invariants: values are
//! converted by their stated type as Python's `int`, `float` and `literal_eval` would; what those
//! refuse fails the whole output.

use std::borrow::Cow;

use roxmltree::{Document, Node};

use super::{Call, Decoded};
use crate::score::json::{has_surrogate, integer};
use crate::score::python::{literal, strip};
use crate::score::value::{Key, Object, Value};

type Failure = Cow<'static, str>;

/// Reads the calls; `verbose` names the form, or it is seen from the parameters.
pub(super) fn calls(text: &str, verbose: Option<bool>) -> Decoded<'static> {
    match read(text, verbose) {
        Ok(calls) => Decoded::Calls(calls),
        Err(reason) => Decoded::Failed(reason),
    }
}

fn read(text: &str, verbose: Option<bool>) -> Result<Vec<Call<'static>>, Failure> {
    const OPEN: &str = "<functions>";
    const CLOSE: &str = "</functions>";
    let missing = || Failure::from("there is no <functions>…</functions>");
    let start = text.find(OPEN).ok_or_else(missing)?;
    let body = &text[start..];
    let end = body.find(CLOSE).ok_or_else(missing)? + CLOSE.len();
    let body = &body[..end];
    if has_surrogate(body) {
        return Err("a lone surrogate".into());
    }
    let document = Document::parse(body).map_err(|error| format!("no XML: {error}"))?;
    if document
        .descendants()
        .any(|node| has_bare_colon(node, body))
    {
        return Err("a name that begins with a colon".into());
    }
    let functions: Vec<Node<'_, '_>> = named(document.root_element(), "function").collect();
    let verbose = verbose.unwrap_or_else(|| functions.iter().any(|node| looks_verbose(*node)));
    functions
        .into_iter()
        .map(|function| {
            let name = function
                .attribute("name")
                .ok_or("a function without a name")?;
            let arguments = if verbose {
                verbose_arguments(function)?
            } else {
                concise_arguments(function)?
            };
            Ok(Call {
                name: Key::Text(name.to_owned().into()),
                arguments,
            })
        })
        .collect()
}

/// Python's reader, unlike ours, refuses an empty prefix.
fn has_bare_colon(node: Node<'_, '_>, text: &str) -> bool {
    let starts = |at: usize| text[at..].starts_with(':');
    let range = node.range();
    let close = text[range.clone()]
        .rfind("</")
        .map(|at| range.start + at + 2);
    node.is_element() && (starts(range.start + 1) || close.is_some_and(starts))
        || node.attributes().any(|one| starts(one.range_qname().start))
}

fn named<'d>(node: Node<'d, 'd>, name: &'static str) -> impl Iterator<Item = Node<'d, 'd>> {
    node.children().filter(move |child| {
        child.is_element()
            && child.tag_name().namespace().is_none()
            && child.tag_name().name() == name
    })
}

fn looks_verbose(function: Node<'_, '_>) -> bool {
    named_any(function, "params")
        || function
            .children()
            .any(|child| child.tag_name().name() == "param" && child.has_attribute("value"))
}

fn named_any(node: Node<'_, '_>, name: &str) -> bool {
    node.children().any(|child| child.tag_name().name() == name)
}

fn verbose_arguments(function: Node<'_, '_>) -> Result<Object<'static>, Failure> {
    let container = function
        .children()
        .find(|child| {
            child.is_element()
                && child.tag_name().namespace().is_none()
                && child.tag_name().name() == "params"
        })
        .unwrap_or(function);
    let mut entries = Vec::new();
    for parameter in container.children().filter(is_parameter) {
        let key = match parameter.attribute("name") {
            Some(name) => Key::Text(name.to_owned().into()),
            None => Key::Other(Box::new(Value::Null)),
        };
        let raw = parameter.attribute("value").unwrap_or_default();
        entries.push((key, convert(raw, parameter.attribute("type"))?));
    }
    Ok(Object::from_entries(entries))
}

fn concise_arguments(function: Node<'_, '_>) -> Result<Object<'static>, Failure> {
    let mut entries = Vec::new();
    for parameter in function.children().filter(is_parameter) {
        let name = parameter
            .attribute("name")
            .ok_or("a parameter without a name")?;
        let text = leading_text(parameter);
        let value = convert(strip(&text), parameter.attribute("type"))?;
        entries.push((Key::Text(name.to_owned().into()), value));
    }
    Ok(Object::from_entries(entries))
}

fn is_parameter(node: &Node<'_, '_>) -> bool {
    node.is_element() && node.tag_name().namespace().is_none() && node.tag_name().name() == "param"
}

/// Text up to the first element inside; comments do not end it.
fn leading_text(node: Node<'_, '_>) -> String {
    node.children()
        .take_while(|child| !child.is_element())
        .filter(Node::is_text)
        .filter_map(|child| child.text())
        .collect()
}

fn convert(raw: &str, kind: Option<&str>) -> Result<Value<'static>, Failure> {
    Ok(match kind.unwrap_or("string") {
        "integer" => whole(raw).ok_or("a value that is no integer")?,
        "float" => Value::Float(float(raw).ok_or("a value that is no number")?),
        "boolean" => Value::Bool(raw.to_lowercase() == "true"),
        "null" => Value::Null,
        "array" | "tuple" | "object" | "dict" => {
            literal(raw).map_err(|error| format!("a value that is no Python literal: {error}"))?
        }
        _ => Value::Text(raw.to_owned().into()),
    })
}

/// Digits without the underscores that may stand between them; `None` where one stands elsewhere.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    let placed = (0..bytes.len())
        .filter(|&at| bytes[at] == b'_')
        .all(|at| digit(at.checked_sub(1)) && digit(Some(at + 1)));
    placed.then(|| text.replace('_', "").into())
}

/// The zeros of all scripts that have decimal digits; the other nine follow each.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

/// Python reads the decimal digits of every script.
fn with_plain_digits(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return text.into();
    }
    let plain = |c: char| {
        let code = u32::from(c);
        let at = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
        char::from_digit(code - ZEROS[at], 10)
    };
    text.chars()
        .map(|c| plain(c).unwrap_or(c))
        .collect::<String>()
        .into()
}

/// Python's `int()`.
fn whole(raw: &str) -> Option<Value<'static>> {
    let plain = with_plain_digits(strip(raw));
    let text = without_underscores(&plain)?;
    let digits = text.strip_prefix(['+', '-']).unwrap_or(&text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    integer(&text).map(Value::Int)
}

/// Python's `float()`.
fn float(raw: &str) -> Option<f64> {
    let plain = with_plain_digits(strip(raw));
    without_underscores(&plain)?.parse().ok()
}
