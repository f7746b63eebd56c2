//! JSON between `serde_json` and chat templates, printed as Python's `json.dumps` prints it.
//!
//! Data in: a JSON value for a template's context, or a template value for `tojson`.
//! Data out: the template value, or JSON text with `ensure_ascii=False` and key order kept.
//! Invariants: the text is byte-equal to what transformers' `tojson` filter gives.

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{Error, ErrorKind, Value};

/// A JSON value as a template sees it.
pub fn to_template_value(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => number_value(number),
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => {
            Value::from(items.iter().map(to_template_value).collect::<Vec<_>>())
        }
        serde_json::Value::Object(map) => Value::from_pairs(
            map.iter()
                .map(|(key, value)| (key.as_str(), to_template_value(value))),
        ),
    }
}

fn number_value(number: &serde_json::Number) -> Value {
    if let Some(integer) = number.as_i64() {
        Value::from(integer)
    } else if let Some(integer) = number.as_u64() {
        Value::from(integer)
    } else {
        Value::from(number.as_f64().unwrap_or_default())
    }
}

/// The `tojson` filter: `json.dumps(value, ensure_ascii=False, indent=…, separators=…, sort_keys=…)`.
#[allow(clippy::needless_pass_by_value)] // the signature of a filter
pub fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let indent = indent
        .filter(|indent| !indent.is_none() && !indent.is_undefined())
        .map(usize::try_from)
        .transpose()?;
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let sort_keys = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let _ = options.get::<Option<bool>>("ensure_ascii")?;
    options.assert_all_used()?;
    let (item, key) = match separators.as_deref() {
        Some([item, key]) => (item.clone(), key.clone()),
        _ if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        _ => (", ".to_owned(), ": ".to_owned()),
    };
    let printer = Printer {
        indent,
        item,
        key,
        sort_keys,
    };
    let mut out = String::new();
    printer.print(value, 0, &mut out)?;
    Ok(Value::from(out))
}

/// A JSON value as `json.dumps(value, ensure_ascii=False)` writes it.
pub fn python_text(value: &serde_json::Value) -> String {
    let printer = Printer {
        indent: None,
        item: ", ".to_owned(),
        key: ": ".to_owned(),
        sort_keys: false,
    };
    let mut out = String::new();
    match printer.print(&to_template_value(value), 0, &mut out) {
        Ok(()) => out,
        Err(_) => value.to_string(),
    }
}

struct Printer {
    indent: Option<usize>,
    item: String,
    key: String,
    sort_keys: bool,
}

impl Printer {
    fn print(&self, value: &Value, level: usize, out: &mut String) -> Result<(), Error> {
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number if value.is_integer() => out.push_str(&value.to_string()),
            ValueKind::Number => out.push_str(&python_float(f64::try_from(value.clone())?)),
            ValueKind::String => out.push_str(&json_string(value.as_str().unwrap_or_default())),
            ValueKind::Map => self.print_map(value, level, out)?,
            ValueKind::Seq | ValueKind::Iterable => {
                let items: Vec<Value> = value.try_iter()?.collect();
                self.print_items(&items, level, out, |printer, item, out| {
                    printer.print(item, level + 1, out)
                })?;
            }
            other => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("object of type {other} is not JSON serializable"),
                ));
            }
        }
        Ok(())
    }

    fn print_map(&self, value: &Value, level: usize, out: &mut String) -> Result<(), Error> {
        let mut keys: Vec<Value> = value.try_iter()?.collect();
        if self.sort_keys {
            keys.sort();
        }
        if keys.is_empty() {
            out.push_str("{}");
            return Ok(());
        }
        out.push('{');
        for (index, key) in keys.iter().enumerate() {
            self.start_item(index, level, out);
            out.push_str(&json_string(&key.to_string()));
            out.push_str(&self.key);
            self.print(&value.get_item(key)?, level + 1, out)?;
        }
        self.line(level, out);
        out.push('}');
        Ok(())
    }

    fn print_items(
        &self,
        items: &[Value],
        level: usize,
        out: &mut String,
        print: impl Fn(&Self, &Value, &mut String) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if items.is_empty() {
            out.push_str("[]");
            return Ok(());
        }
        out.push('[');
        for (index, item) in items.iter().enumerate() {
            self.start_item(index, level, out);
            print(self, item, out)?;
        }
        self.line(level, out);
        out.push(']');
        Ok(())
    }

    fn start_item(&self, index: usize, level: usize, out: &mut String) {
        if index > 0 {
            out.push_str(&self.item);
        }
        self.line(level + 1, out);
    }

    fn line(&self, level: usize, out: &mut String) {
        if let Some(indent) = self.indent {
            out.push('\n');
            out.push_str(&" ".repeat(indent * level));
        }
    }
}

/// A JSON string as Python writes it with `ensure_ascii=False`; serde_json escapes the same set.
pub fn json_string(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// `repr(float)`: shortest digits, exponent form below 1e-4 and from 1e16.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or_default();
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let text = format!("{number}");
    if text.contains('.') {
        text
    } else {
        format!("{text}.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_python_prints_them() {
        for (number, text) in [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (123_456.75, "123456.75"),
            (-0.0, "-0.0"),
            (1e-4, "0.0001"),
        ] {
            assert_eq!(python_float(number), text);
        }
    }
}
