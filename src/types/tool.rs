//! Tool definitions, calls and results, in MCP's terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is offered to the model: MCP's `Tool`, with key order kept as the server sent it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolDefinition {
    /// The tool's own name; dots allowed.
    pub name: String,
    /// What it does, in the words a model reads.
    #[serde(default)]
    pub description: String,
    /// JSON Schema of the arguments object, as given.
    #[serde(
        rename = "inputSchema",
        alias = "input_schema",
        default = "empty_object_schema"
    )]
    pub input_schema: Value,
    /// MCP annotations, when present (`readOnlyHint`, `destructiveHint`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<ToolAnnotations>,
}

fn empty_object_schema() -> Value {
    serde_json::json!({"type": "object", "properties": {}})
}

/// The hints of MCP's `ToolAnnotations` that decide what may be called by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolAnnotations {
    /// The tool does not change its environment.
    #[serde(
        rename = "readOnlyHint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub read_only_hint: Option<bool>,
    /// The tool may destroy what it touches.
    #[serde(
        rename = "destructiveHint",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub destructive_hint: Option<bool>,
}

/// The JSON Schema of parameters that are listed one by one, as some servers write them:
/// `[{"name", "type", "description", "required", …}]`. Anything that is no such list is given back
/// as it is; a parameter is required only where it says so.
pub fn schema_of_parameters(parameters: &Value) -> Value {
    let Value::Array(items) = parameters else {
        return parameters.clone();
    };
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for item in items {
        let (Some(name), Value::Object(fields)) = (item["name"].as_str(), item) else {
            return parameters.clone();
        };
        let mut schema = match fields.get("schema") {
            Some(Value::Object(schema)) => schema.clone(),
            _ => serde_json::Map::new(),
        };
        for (key, value) in fields {
            match key.as_str() {
                "name" | "schema" | "required" | "optional" => {}
                "type" => {
                    schema.insert(key.clone(), json_type(value));
                }
                _ => {
                    schema.insert(key.clone(), value.clone());
                }
            }
        }
        let optional = fields.get("optional").and_then(Value::as_bool);
        let says_so = fields.get("required").and_then(Value::as_bool);
        if says_so.unwrap_or(optional == Some(false)) {
            required.push(Value::from(name));
        }
        properties.insert(name.to_owned(), Value::Object(schema));
    }
    serde_json::json!({"type": "object", "properties": properties, "required": required})
}

/// The names that JSON Schema has for types that other languages name otherwise.
fn json_type(value: &Value) -> Value {
    let name = match value.as_str() {
        Some("str" | "text") => "string",
        Some("int") => "integer",
        Some("float" | "double") => "number",
        Some("bool") => "boolean",
        Some("list") => "array",
        Some("dict" | "map") => "object",
        _ => return value.clone(),
    };
    Value::from(name)
}

/// One call as a model wrote it and a dialect read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The id the provider or the runner gave it, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The tool's name. After the runner has mapped wire names back, the tool's own name.
    pub name: String,
    /// The arguments; an object when well formed, anything when not (validation says so).
    pub arguments: Value,
}

impl ToolCall {
    /// A call without an id.
    pub fn new(name: impl Into<String>, arguments: Value) -> Self {
        Self {
            id: None,
            name: name.into(),
            arguments,
        }
    }
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// The text that goes back to the model.
    pub content: String,
    /// MCP `structuredContent`, when given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// The tool says that it failed.
    #[serde(default)]
    pub is_error: bool,
    /// A mock's scripted error: scored by how the model recovers, never as the tool's fault.
    #[serde(default)]
    pub scripted_error: bool,
}

impl ToolResult {
    /// A successful result of plain text.
    pub fn ok(content: impl Into<String>) -> Self {
        Self {
            content: content.into(),
            structured: None,
            is_error: false,
            scripted_error: false,
        }
    }
}

/// The name each tool has on the wire, where an API or a template forbids its own.
/// Total both ways: a name that needs no change maps to itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireNames {
    to_wire: BTreeMap<String, String>,
    from_wire: BTreeMap<String, String>,
}

impl WireNames {
    /// Maps every name to itself.
    pub fn identity() -> Self {
        Self::default()
    }

    /// Replaces characters outside `[A-Za-z0-9_-]` by `_`; a collision gets a numeric suffix.
    pub fn restricted<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut map = Self::default();
        for name in names {
            let base: String = name
                .chars()
                .map(|c| {
                    if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
                        c
                    } else {
                        '_'
                    }
                })
                .take(60)
                .collect();
            let mut wire = base.clone();
            let mut suffix = 2;
            while map.from_wire.contains_key(&wire) {
                wire = format!("{base}_{suffix}");
                suffix += 1;
            }
            map.from_wire.insert(wire.clone(), name.to_owned());
            map.to_wire.insert(name.to_owned(), wire);
        }
        map
    }

    /// Every name maps to itself.
    pub fn is_identity(&self) -> bool {
        self.to_wire.iter().all(|(own, wire)| own == wire)
    }

    /// The wire name of a tool.
    pub fn wire<'a>(&'a self, own: &'a str) -> &'a str {
        self.to_wire.get(own).map_or(own, String::as_str)
    }

    /// The tool's own name for what came over the wire.
    pub fn own<'a>(&'a self, wire: &'a str) -> &'a str {
        self.from_wire.get(wire).map_or(wire, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_in_a_list_become_a_schema() {
        let listed = serde_json::json!([
            {"name": "zone", "type": "str", "description": "where", "required": true},
            {"name": "seconds", "type": "boolean", "default": false},
        ]);
        assert_eq!(
            schema_of_parameters(&listed),
            serde_json::json!({"type": "object", "properties": {
                "zone": {"type": "string", "description": "where"},
                "seconds": {"type": "boolean", "default": false},
            }, "required": ["zone"]})
        );
        let object = serde_json::json!({"type": "object"});
        assert_eq!(schema_of_parameters(&object), object);
        let odd = serde_json::json!(["zone"]);
        assert_eq!(schema_of_parameters(&odd), odd);
    }

    #[test]
    fn restricted_names_are_reversible_and_distinct() {
        let names = WireNames::restricted(["a.b", "a_b", "plain"].into_iter());
        assert_eq!(names.wire("a.b"), "a_b");
        assert_eq!(names.wire("a_b"), "a_b_2");
        assert_eq!(names.own(names.wire("a_b")), "a_b");
        assert_eq!(names.own("unknown"), "unknown");
        assert_eq!(names.wire("plain"), "plain");
    }
}
