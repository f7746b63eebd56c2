//! BFCL's parameter documents to JSON Schema.
//!
//! Data in: a parameters object with BFCL's own types. Data out: a schema that every accepted answer
//! can meet. Invariants: `float` becomes `number`, `dict` `object`, `tuple` `array`, and `any` says
//! nothing of the type; enums and defaults get the type that they are declared for; a default that
//! the type would refuse (null, or a mark such as `dontcare`) is allowed beside it.

use serde_json::{Map, Value, json};

/// Keywords that mean the same in JSON Schema and are taken over as they are.
const KEPT: [&str; 5] = ["description", "format", "maximum", "minItems", "maxItems"];

/// The schema of a function's arguments.
pub(super) fn parameters(document: &Value) -> Value {
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    add_properties(document, &mut schema);
    Value::Object(schema)
}

fn add_properties(document: &Value, schema: &mut Map<String, Value>) {
    let properties: Map<String, Value> = document
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(name, details)| (name.clone(), parameter(details)))
        .collect();
    let required: Vec<Value> = document
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|name| {
            name.as_str()
                .is_some_and(|name| properties.contains_key(name))
        })
        .cloned()
        .collect();
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
}

/// The JSON Schema type of a BFCL type; `None` where anything goes.
fn json_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "string" => "string",
        "integer" => "integer",
        "float" | "number" => "number",
        "boolean" | "bool" => "boolean",
        "array" | "tuple" | "list" => "array",
        "dict" | "object" => "object",
        _ => return None,
    })
}

fn declared(details: &Value) -> Option<&'static str> {
    details
        .get("type")
        .and_then(Value::as_str)
        .and_then(json_type)
}

/// The schema of one parameter, of elements, or of a nested property.
fn parameter(details: &Value) -> Value {
    let kind = declared(details);
    let mut schema = Map::new();
    for key in KEPT {
        if let Some(value) = details.get(key) {
            schema.insert(key.to_owned(), value.clone());
        }
    }
    let mut plain = Map::new();
    if let Some(kind) = kind {
        plain.insert("type".to_owned(), json!(kind));
    }
    if details.get("properties").is_some() {
        add_properties(details, &mut plain);
    }
    let enumerated: Option<Vec<Value>> = details.get("enum").and_then(Value::as_array).cloned();
    if kind == Some("array") {
        // An enum beside `type: array` lists what elements may be.
        let mut items = details.get("items").cloned().unwrap_or(Value::Null);
        if let (Some(values), Value::Object(items)) = (&enumerated, &mut items)
            && !values.iter().any(Value::is_array)
            && !items.contains_key("enum")
        {
            items.insert("enum".to_owned(), Value::Array(values.clone()));
        }
        if items.is_object() {
            plain.insert("items".to_owned(), parameter(&items));
        }
    }
    let default = details.get("default").map(|value| as_declared(value, kind));
    let mut beside: Vec<Value> = Vec::new();
    if let (Some(values), false) = (&enumerated, kind == Some("array")) {
        let typed: Vec<Value> = values
            .iter()
            .map(|value| as_declared(value, kind))
            .collect();
        let (fitting, other): (Vec<Value>, Vec<Value>) =
            typed.into_iter().partition(|value| fits(value, kind));
        plain.insert("enum".to_owned(), Value::Array(fitting));
        beside.extend(other);
    }
    if let Some(default) = &default
        && !fits(default, kind)
        && is_mark(default)
        && !beside.contains(default)
    {
        beside.push(default.clone());
    }
    if let Some(default) = default
        && (fits(&default, kind) || beside.contains(&default))
    {
        schema.insert("default".to_owned(), default);
    }
    merge(schema, plain, &beside)
}

/// A default may stand beside the declared type when it is null or a word that means "not given".
fn is_mark(value: &Value) -> bool {
    value.is_null() || value.is_string()
}

/// The declared schema, and beside it values of another type that are allowed all the same.
fn merge(mut schema: Map<String, Value>, plain: Map<String, Value>, beside: &[Value]) -> Value {
    let is_typed = plain.contains_key("type");
    if beside.is_empty() || !is_typed {
        schema.extend(plain);
    } else if beside.iter().all(Value::is_null) && !plain.contains_key("enum") {
        schema.extend(plain);
        schema["type"] = json!([schema["type"], "null"]);
    } else {
        schema.insert("anyOf".to_owned(), json!([plain, {"enum": beside}]));
    }
    Value::Object(schema)
}

/// Whether a value has the declared type.
pub(super) fn fits(value: &Value, kind: Option<&str>) -> bool {
    match kind {
        None => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(_) => false,
    }
}

/// A value written as text, or a number written for a text, in the type it is declared for; as it
/// is where that is not possible.
pub(super) fn as_declared(value: &Value, kind: Option<&str>) -> Value {
    if fits(value, kind) {
        return value.clone();
    }
    match (kind, value) {
        (Some("string"), Value::Bool(true)) => json!("True"),
        (Some("string"), Value::Bool(false)) => json!("False"),
        (Some("string"), Value::Number(number)) => json!(number.to_string()),
        (Some(_), Value::String(text)) => {
            let read = match text.trim() {
                "None" | "null" => Some(Value::Null),
                "True" => Some(Value::Bool(true)),
                "False" => Some(Value::Bool(false)),
                other => serde_json::from_str::<Value>(other).ok(),
            };
            match read {
                Some(read) if read.is_null() || fits(&read, kind) => read,
                _ => value.clone(),
            }
        }
        _ => value.clone(),
    }
}

/// The type of a parameter in a schema that [`parameters`] made.
pub(super) fn type_in(schema: &Value) -> Option<&str> {
    let typed = match schema.pointer("/anyOf/0/type") {
        Some(inner) => inner,
        None => schema.get("type")?,
    };
    match typed {
        Value::String(name) => Some(name),
        Value::Array(names) => names.first().and_then(Value::as_str),
        _ => None,
    }
}

/// What the leaderboard's rules look at: names, types and what is required.
pub(super) fn in_brief(function: &Value) -> Value {
    let mut brief = Map::new();
    if let Some(name) = function.get("name") {
        brief.insert("name".to_owned(), name.clone());
    }
    if let Some(Value::Object(parameters)) = function.get("parameters") {
        let mut kept = Map::new();
        if let Some(Value::Object(properties)) = parameters.get("properties") {
            let types: Map<String, Value> = properties
                .iter()
                .map(|(name, details)| (name.clone(), type_in_brief(details)))
                .collect();
            kept.insert("properties".to_owned(), Value::Object(types));
        }
        if let Some(required) = parameters.get("required") {
            kept.insert("required".to_owned(), required.clone());
        }
        brief.insert("parameters".to_owned(), Value::Object(kept));
    }
    Value::Object(brief)
}

fn type_in_brief(details: &Value) -> Value {
    let mut brief = Map::new();
    if let Some(kind) = details.get("type") {
        brief.insert("type".to_owned(), kind.clone());
    }
    if let Some(items) = details.get("items") {
        brief.insert("items".to_owned(), type_in_brief(items));
    }
    Value::Object(brief)
}
