//! Values as YAML that people go on editing.
//!
//! Data in: JSON values. Data out: lines of YAML, indented. Invariants: reading the text gives the
//! value again; small lists and objects stand on one line, texts of several lines as a block.

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::Value;
use serde_saphyr::{FlowMap, FlowSeq};

/// Longest value that is written on one line.
const ONE_LINE: usize = 76;

/// `- …` at an indentation, with a line end.
pub fn item(value: &Value, indent: usize) -> String {
    write(&Listed(value), indent)
}

/// `key: …` at an indentation, with a line end.
pub fn entry(key: &str, value: &Value, indent: usize) -> String {
    write(&Keyed(key, value), indent)
}

/// A comment at an indentation; one line for each of the text's.
pub fn comment(text: &str, indent: usize) -> String {
    text.lines()
        .map(|line| {
            let shown: String = line
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            format!("{:indent$}# {}", "", shown.trim_end())
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

fn write(value: &impl Serialize, indent: usize) -> String {
    let options = serde_saphyr::ser_options! {
        // No folding: a long line stays one.
        folded_wrap_chars: 1 << 20,
        compact_list_indent: false,
    };
    let mut text = String::new();
    // Writing into a string cannot fail, and JSON values have no shape that YAML lacks.
    let _ = serde_saphyr::to_fmt_writer_with_options(&mut text, value, options);
    let mut out = String::new();
    for line in text.lines() {
        if !line.is_empty() {
            out.push_str(&" ".repeat(indent));
            out.push_str(line);
        }
        out.push('\n');
    }
    out
}

struct Listed<'a>(&'a Value);
struct Keyed<'a>(&'a str, &'a Value);
struct Styled<'a>(&'a Value);
struct Plain<'a>(&'a Value);

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(1))?;
        match self.0 {
            // A listed object opens its own lines, however small it is.
            Value::Object(map) if !map.is_empty() => list.serialize_element(&Open(map))?,
            other => list.serialize_element(&Styled(other))?,
        }
        list.end()
    }
}

struct Open<'a>(&'a serde_json::Map<String, Value>);

impl Serialize for Open<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            entries.serialize_entry(key, &Styled(value))?;
        }
        entries.end()
    }
}

impl Serialize for Keyed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entries = serializer.serialize_map(Some(1))?;
        entries.serialize_entry(self.0, &Styled(self.1))?;
        entries.end()
    }
}

impl Serialize for Styled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Array(_) if fits(self.0) => FlowSeq(Plain(self.0)).serialize(serializer),
            Value::Object(_) if fits(self.0) => FlowMap(Plain(self.0)).serialize(serializer),
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(&Styled(item))?;
                }
                list.end()
            }
            Value::Object(map) => Open(map).serialize(serializer),
            scalar => scalar.serialize(serializer),
        }
    }
}

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

fn fits(value: &Value) -> bool {
    !has_lines(value) && value.to_string().chars().count() <= ONE_LINE
}

fn has_lines(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\n'),
        Value::Array(items) => items.iter().any(has_lines),
        Value::Object(map) => map.values().any(has_lines),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn small_things_stand_on_one_line_and_texts_as_blocks() {
        let value = json!({"name": "get_time", "description": "The time.\nIn a zone: yes # no",
            "inputSchema": {"type": "object", "properties": {"zone": {"type": "string", "description": "A zone such as UTC"}},
                "required": ["zone"], "additionalProperties": false}, "yes": "no", "list": [["y".repeat(80)], {"a": "x".repeat(80)}]});
        let expected = format!(
            "  - name: get_time
    description: |-
      The time.
      In a zone: yes # no
    inputSchema:
      type: object
      properties: {{zone: {{type: string, description: A zone such as UTC}}}}
      required: [zone]
      additionalProperties: false
    \"yes\": \"no\"
    list:
      - - {}
      - a: {}
",
            "y".repeat(80),
            "x".repeat(80)
        );
        assert_eq!(item(&value, 2), expected);
        assert_eq!(item(&json!({"a": 1}), 0), "- a: 1\n");
        assert_eq!(entry("rules", &json!([]), 2), "  rules: []\n");
        assert_eq!(
            comment("one\ntwo\u{1b}[1m\n\n", 2),
            "  # one\n  # two [1m\n  #\n"
        );
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            any::<String>(),
            "[ -~\n\t]{0,40}",
            "(yes|no|null|~|0x1f|1_000|12:30|2026-01-02|\\.inf|-|- a|a: b|a #b|\\|\n  x\n\n)",
            "( \n){0,3}[a-z \n]{0,120}\n{0,3}",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec(("[a-z$_ :#-]{1,12}", inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in values(), indent in 0..6_usize) {
            let listed = item(&value, indent);
            let back: Vec<Value> = serde_saphyr::from_str(&listed)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{listed}")))?;
            prop_assert_eq!(back[0].to_string(), value.to_string(), "{}", listed);
            let whole = format!("before: 1\n{}after: 2\n", entry("key", &value, 0));
            let back: Value = serde_saphyr::from_str(&whole)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{whole}")))?;
            prop_assert_eq!(back["key"].to_string(), value.to_string(), "{}", whole);
            prop_assert_eq!(&back["after"], &json!(2));
        }
    }
}
