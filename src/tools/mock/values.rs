//! JSON values to template values and back.
//!
//! Data in: a JSON value or a template's value. Data out: the same value on the other side.
//! Invariants: key order is kept; whole numbers stay whole; what JSON cannot hold becomes `null`.

use minijinja::value::{Value as TemplateValue, ValueKind};
use minijinja::{Error, ErrorKind};
use serde_json::{Map, Number, Value};

/// A JSON value as templates see it.
pub(crate) fn to_template(value: &Value) -> TemplateValue {
    match value {
        Value::Null => TemplateValue::from(()),
        Value::Bool(flag) => TemplateValue::from(*flag),
        Value::Number(number) => number_to_template(number),
        Value::String(text) => TemplateValue::from(text.as_str()),
        Value::Array(items) => {
            TemplateValue::from(items.iter().map(to_template).collect::<Vec<_>>())
        }
        Value::Object(map) => TemplateValue::from_pairs(
            map.iter()
                .map(|(key, field)| (key.as_str(), to_template(field))),
        ),
    }
}

fn number_to_template(number: &Number) -> TemplateValue {
    if let Some(whole) = number.as_i64() {
        TemplateValue::from(whole)
    } else if let Some(whole) = number.as_u64() {
        TemplateValue::from(whole)
    } else {
        TemplateValue::from(number.as_f64().unwrap_or_default())
    }
}

/// A template's value as JSON; undefined is `null`.
pub(super) fn to_json(value: &TemplateValue) -> Result<Value, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number => number_to_json(value),
        ValueKind::Seq | ValueKind::Iterable => Value::Array(
            value
                .try_iter()?
                .checked()
                .map(|item| to_json(&item?))
                .collect::<Result<_, _>>()?,
        ),
        ValueKind::Map => map_to_json(value)?,
        ValueKind::Invalid => {
            return Err(Error::new(ErrorKind::InvalidOperation, value.to_string()));
        }
        _ => Value::String(value.to_string()),
    })
}

fn map_to_json(value: &TemplateValue) -> Result<Value, Error> {
    let mut map = Map::new();
    for key in value.try_iter()?.checked() {
        let key = key?;
        map.insert(key.to_string(), to_json(&value.get_item(&key)?)?);
    }
    Ok(Value::Object(map))
}

fn number_to_json(value: &TemplateValue) -> Value {
    if value.is_integer() {
        if let Some(whole) = value.as_i64() {
            return Value::from(whole);
        }
        if let Ok(whole) = u64::try_from(value.clone()) {
            return Value::from(whole);
        }
    }
    f64::try_from(value.clone()).map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_survive_both_ways_with_their_key_order() {
        let value = json!({
            "z": [1, -2, 2.5, 18_446_744_073_709_551_615_u64], "a": {"n": null, "t": true},
            "text": "<&'\"> ü", "empty": {}, "none": []
        });
        let back = to_json(&to_template(&value)).unwrap();
        assert_eq!(back.to_string(), value.to_string());
    }
}
