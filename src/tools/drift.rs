//! How one list of tools differs from another.
//!
//! Data in: two lists. Data out: one line per difference. Pure. The order of tools counts too: a
//! model reads them in order.

use serde_json::Value;

use crate::types::ToolDefinition;

/// Differences that are shown of one tool.
const SHOWN_PER_TOOL: usize = 8;
/// Characters of a value that are shown.
const SHOWN_CHARACTERS: usize = 60;

/// What became of `expected` in `found`: `- gone`, `+ new`, `~ changed`; empty when nothing did.
pub fn drift(expected: &[ToolDefinition], found: &[ToolDefinition]) -> Vec<String> {
    let of =
        |tools: &[ToolDefinition], name: &str| tools.iter().find(|tool| tool.name == name).cloned();
    let mut lines = Vec::new();
    for old in expected {
        match of(found, &old.name) {
            None => lines.push(format!("- {}", old.name)),
            Some(new) => changes(old, &new, &mut lines),
        }
    }
    for new in found {
        if of(expected, &new.name).is_none() {
            lines.push(format!("+ {}", new.name));
        }
    }
    if lines.is_empty() {
        let names = |tools: &[ToolDefinition]| -> Vec<String> {
            tools.iter().map(|tool| tool.name.clone()).collect()
        };
        if names(expected) != names(found) {
            lines.push(format!("~ order: {}", names(found).join(", ")));
        }
    }
    lines
}

fn changes(old: &ToolDefinition, new: &ToolDefinition, lines: &mut Vec<String>) {
    let mut found = Vec::new();
    if old.description != new.description {
        let (old, new) = (
            Value::from(&*old.description),
            Value::from(&*new.description),
        );
        found.push(format!("description: {} → {}", short(&old), short(&new)));
    }
    compare("", &old.input_schema, &new.input_schema, &mut found);
    let more = found.len().saturating_sub(SHOWN_PER_TOOL);
    found.truncate(SHOWN_PER_TOOL);
    lines.extend(
        found
            .into_iter()
            .map(|what| format!("~ {}: {what}", old.name)),
    );
    if more > 0 {
        lines.push(format!("~ {}: {more} more", old.name));
    }
}

fn compare(pointer: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    if let (Value::Object(before), Value::Object(after)) = (old, new) {
        for (key, value) in before {
            let inside = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            match after.get(key) {
                Some(other) => compare(&inside, value, other, found),
                None => found.push(format!("{inside} is gone (was {})", short(value))),
            }
        }
        for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            found.push(format!("{pointer}/{key} is new: {}", short(value)));
        }
        if found.is_empty() && before.keys().ne(after.keys()) {
            found.push(format!("{pointer}/ has another order of keys"));
        }
    } else if old != new {
        found.push(format!("{pointer}: {} → {}", short(old), short(new)));
    }
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn tool(name: &str, schema: Value) -> ToolDefinition {
        ToolDefinition {
            name: name.to_owned(),
            description: "what it does".to_owned(),
            input_schema: schema,
            annotations: None,
        }
    }

    #[test]
    fn every_kind_of_difference_has_its_line() {
        let old = [
            tool("gone", json!({})),
            tool(
                "changed",
                json!({"properties": {"a": {"type": "string"}, "b": {}}}),
            ),
        ];
        let mut changed = tool(
            "changed",
            json!({"properties": {"a": {"type": "integer"}, "c": {}}, "required": ["a"]}),
        );
        changed.description = "something else".to_owned();
        let new = [changed, tool("new", json!({}))];
        assert_eq!(
            drift(&old, &new),
            [
                "- gone",
                "~ changed: description: \"what it does\" → \"something else\"",
                "~ changed: /properties/a/type: \"string\" → \"integer\"",
                "~ changed: /properties/b is gone (was {})",
                "~ changed: /properties/c is new: {}",
                "~ changed: /required is new: [\"a\"]",
                "+ new",
            ]
        );
        assert_eq!(drift(&old, &old), Vec::<String>::new());
        let turned = [old[1].clone(), old[0].clone()];
        assert_eq!(drift(&old, &turned), ["~ order: changed, gone"]);
        let keys = |text: &str| [tool("t", serde_json::from_str(text).unwrap())];
        assert_eq!(
            drift(&keys(r#"{"a":1,"b":2}"#), &keys(r#"{"b":2,"a":1}"#)),
            ["~ t: / has another order of keys"]
        );
    }
}
