//! From a validator's errors to violations.
//!
//! Data in: a schema, its validator and the arguments. Data out: violations with code, pointer,
//! keyword and the fragment of the schema that a correction may quote. Invariants: empty exactly
//! when the arguments are valid; of a union the branch that comes closest is explained.

use jsonschema::error::ValidationErrorKind as Kind;
use jsonschema::{ValidationError, Validator};
use serde_json::{Value, json};

use super::schema::VIOLATIONS_PER_CALL;
use super::work::ways;
use crate::types::{Code, Violation};

/// Largest subschema that is quoted whole.
const FRAGMENT_BYTES: usize = 600;
/// Most ways through the schema that are walked to explain a value.
const MOST_WAYS: u64 = 50_000;
/// Longest message.
const MESSAGE_CHARACTERS: usize = 300;

/// Explains why `arguments` are invalid.
pub(super) fn explain(schema: &Value, validator: &Validator, arguments: &Value) -> Vec<Violation> {
    if validator.is_valid(arguments) {
        return Vec::new();
    }
    if ways(schema, arguments) > MOST_WAYS {
        return vec![unexplained()];
    }
    let mut found = Vec::new();
    for error in validator.iter_errors(arguments) {
        describe(schema, &error, &mut found);
    }
    let mut distinct: Vec<Violation> = Vec::new();
    for mut violation in found {
        if distinct.len() >= VIOLATIONS_PER_CALL {
            break;
        }
        let is_new = !distinct
            .iter()
            .any(|known| known.code == violation.code && known.pointer == violation.pointer);
        if is_new {
            violation.coercible = violation.code == Code::TypeMismatch
                && is_coercible(validator, arguments, violation.pointer.as_deref());
            distinct.push(violation);
        }
    }
    distinct
}

/// Where explaining would take too long: invalid, and no more.
fn unexplained() -> Violation {
    Violation {
        pointer: Some(String::new()),
        message: "the arguments do not satisfy the schema, which branches too much to say where"
            .to_owned(),
        ..Violation::new(Code::ConstraintViolation, "")
    }
}

fn describe(schema: &Value, error: &ValidationError<'_>, found: &mut Vec<Violation>) {
    match error.kind() {
        Kind::Required { property } => found.push(missing(schema, error, property)),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            found.extend(unexpected.iter().map(|name| surplus(schema, error, name)));
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            describe_union(schema, error, context, found);
        }
        kind => found.push(plain(schema, error, code_of(kind))),
    }
}

fn code_of(kind: &Kind) -> Code {
    match kind {
        Kind::Type { .. } => Code::TypeMismatch,
        Kind::Enum { .. } | Kind::Constant { .. } => Code::EnumViolation,
        Kind::FalseSchema => Code::UnexpectedParam,
        _ => Code::ConstraintViolation,
    }
}

fn plain(schema: &Value, error: &ValidationError<'_>, code: Code) -> Violation {
    let pointer = error.instance_path().to_string();
    let place = place_of(&pointer);
    Violation {
        schema: fragment(schema, error),
        keyword: Some(error.kind().keyword().to_owned()),
        message: shorten(&format!("{place}: {error}")),
        pointer: Some(pointer),
        ..Violation::new(code, "")
    }
}

fn missing(schema: &Value, error: &ValidationError<'_>, property: &Value) -> Violation {
    let name = property.as_str().unwrap_or_default();
    let pointer = child_pointer(error, name);
    let fragment = parent(schema, error)
        .and_then(|parent| parent.get("properties")?.get(name))
        .filter(|own| own.to_string().len() <= FRAGMENT_BYTES)
        .map_or_else(|| json!({"required": [name]}), Clone::clone);
    Violation {
        message: format!("the required argument `{}` is absent", dotted(&pointer)),
        pointer: Some(pointer),
        keyword: Some("required".to_owned()),
        schema: Some(fragment),
        ..Violation::new(Code::MissingRequired, "")
    }
}

fn surplus(schema: &Value, error: &ValidationError<'_>, name: &str) -> Violation {
    let pointer = child_pointer(error, name);
    let known: Vec<&str> = parent(schema, error)
        .and_then(|parent| parent.get("properties")?.as_object())
        .into_iter()
        .flat_map(|properties| properties.keys().map(String::as_str))
        .collect();
    let known = if known.is_empty() {
        "none is known here".to_owned()
    } else {
        format!("known here: {}", known.join(", "))
    };
    let keyword = error.kind().keyword().to_owned();
    Violation {
        message: shorten(&format!(
            "the argument `{}` is not known; {known}",
            dotted(&pointer)
        )),
        pointer: Some(pointer),
        schema: Some(json!({keyword.as_str(): false})),
        keyword: Some(keyword),
        ..Violation::new(Code::UnexpectedParam, "")
    }
}

/// A union fails with the errors of each branch. When no branch takes this type of value, or the
/// branches only list values, the union itself is what is broken; else the closest branch is.
fn describe_union(
    schema: &Value,
    error: &ValidationError<'_>,
    branches: &[Vec<ValidationError<'static>>],
    found: &mut Vec<Violation>,
) {
    let own = error.instance_path().to_string();
    let own_code = |branch: &[ValidationError<'_>]| {
        branch
            .iter()
            .filter(|inner| inner.instance_path().to_string() == own)
            .map(|inner| code_of(inner.kind()))
            .find(|code| matches!(code, Code::TypeMismatch | Code::EnumViolation))
    };
    let codes: Vec<Option<Code>> = branches.iter().map(|branch| own_code(branch)).collect();
    let closest = branches
        .iter()
        .zip(&codes)
        .filter(|(_, code)| code.is_none())
        .min_by_key(|(branch, _)| (discriminators(branch), branch.len()));
    match closest {
        Some((branch, _)) if !branch.is_empty() => {
            for inner in branch {
                describe(schema, inner, found);
            }
        }
        _ if codes.contains(&Some(Code::EnumViolation)) => {
            found.push(plain(schema, error, Code::EnumViolation));
        }
        _ if codes.contains(&Some(Code::TypeMismatch)) => {
            found.push(plain(schema, error, Code::TypeMismatch));
        }
        _ => found.push(plain(schema, error, Code::ConstraintViolation)),
    }
}

/// A wrong constant usually means that another branch was meant.
fn discriminators(branch: &[ValidationError<'_>]) -> usize {
    branch
        .iter()
        .filter(|inner| code_of(inner.kind()) == Code::EnumViolation)
        .count()
}

/// The subschema whose keyword failed.
fn parent<'a>(schema: &'a Value, error: &ValidationError<'_>) -> Option<&'a Value> {
    let path = error.schema_path().to_string();
    let (parent, _) = path.rsplit_once('/')?;
    schema.pointer(parent)
}

fn fragment(schema: &Value, error: &ValidationError<'_>) -> Option<Value> {
    let parent = parent(schema, error)?;
    if parent.to_string().len() <= FRAGMENT_BYTES {
        return Some(parent.clone());
    }
    let keyword = error.kind().keyword();
    let value = parent.get(keyword)?;
    (value.to_string().len() <= FRAGMENT_BYTES).then(|| json!({keyword: value}))
}

fn child_pointer(error: &ValidationError<'_>, name: &str) -> String {
    let escaped = name.replace('~', "~0").replace('/', "~1");
    format!("{}/{escaped}", error.instance_path())
}

fn place_of(pointer: &str) -> String {
    if pointer.is_empty() {
        "the arguments".to_owned()
    } else {
        format!("argument `{}`", dotted(pointer))
    }
}

/// `/items/0/name` as `items.0.name`, for people.
fn dotted(pointer: &str) -> String {
    pointer
        .trim_start_matches('/')
        .replace('/', ".")
        .replace("~1", "/")
        .replace("~0", "~")
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Whether the value would pass if only its type were converted, by trying it.
fn is_coercible(validator: &Validator, arguments: &Value, pointer: Option<&str>) -> bool {
    let Some(pointer) = pointer else {
        return false;
    };
    let Some(converted) = arguments.pointer(pointer).and_then(convert) else {
        return false;
    };
    let mut changed = arguments.clone();
    match changed.pointer_mut(pointer) {
        Some(slot) => *slot = converted,
        None => return false,
    }
    let inside = format!("{pointer}/");
    !validator.iter_errors(&changed).any(|error| {
        let path = error.instance_path().to_string();
        path == pointer || path.starts_with(&inside)
    })
}

fn convert(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) => serde_json::from_str::<Value>(text.trim())
            .ok()
            .filter(|read| !read.is_string()),
        Value::Number(_) | Value::Bool(_) => Some(Value::String(value.to_string())),
        _ => None,
    }
}
