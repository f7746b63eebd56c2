//! The schema stage: calls against the schemas of the tools offered.
//!
//! Data in: tool definitions, once; then the calls of a reply. Data out: violations with JSON
//! pointer, keyword and schema fragment. Invariants: nothing is fetched from network or disk;
//! schemas without `$schema` are draft 2020-12; formats are checked; patterns run in linear time;
//! schemas over the caps of `limits` are refused when compiled.

use std::collections::BTreeMap;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use super::explain;
use super::formats;
use super::limits;
use super::vocabulary;
use crate::types::{Code, ToolCall, ToolDefinition, Violation};

/// Largest compiled pattern, in bytes of its program.
const PATTERN_SIZE_LIMIT: usize = 1 << 20;
/// Violations reported for one call: more help nobody.
pub(super) const VIOLATIONS_PER_CALL: usize = 16;

/// A tool's schema that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tool `{tool}`: inputSchema{pointer}: {message}")]
pub struct SchemaError {
    /// The tool.
    pub tool: String,
    /// JSON pointer into its schema.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// A schema that cannot be used, without the tool it belongs to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("schema{pointer}: {message}")]
pub struct SchemaFault {
    /// JSON pointer into the schema.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// One schema, compiled under the caps; its root may be of any type.
#[derive(Debug)]
pub struct CompiledSchema {
    schema: Value,
    validator: Validator,
}

impl CompiledSchema {
    /// Compiles a schema of any draft from 4 to 2020-12, or says why it is refused.
    pub fn compile(schema: &Value) -> Result<Self, SchemaFault> {
        limits::check(schema).map_err(|error| SchemaFault {
            pointer: error.pointer,
            message: error.message,
        })?;
        if let Some(name) = schema.get("$schema").and_then(Value::as_str)
            && Draft::from_schema_uri(name) == Draft::Unknown
        {
            return Err(SchemaFault {
                pointer: "/$schema".to_owned(),
                message: format!(
                    "`{name}` is no draft that is known here: they are 4, 6, 7, 2019-09 and 2020-12"
                ),
            });
        }
        let mut options = jsonschema::options()
            .offline()
            .should_validate_formats(true)
            .with_format("date", formats::is_date)
            .with_format("time", formats::is_time)
            .with_format("date-time", formats::is_date_time)
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_SIZE_LIMIT));
        if schema.get("$schema").is_none() {
            options = options.with_draft(Draft::Draft202012);
        }
        let validator = options.build(schema).map_err(|error| SchemaFault {
            pointer: error.instance_path().to_string(),
            message: explain_build_error(&error),
        })?;
        Ok(Self {
            schema: schema.clone(),
            validator,
        })
    }

    /// Whether a value is valid.
    pub fn is_valid(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }

    /// What is wrong with a value; empty exactly when it is valid.
    pub fn violations(&self, value: &Value) -> Vec<Violation> {
        explain::explain(&self.schema, &self.validator, value)
    }
}

/// The compiled schemas of the tools offered.
#[derive(Debug)]
pub struct ToolSchemas {
    tools: BTreeMap<String, ToolSchema>,
    /// Names in the order offered, for messages.
    names: Vec<String>,
}

#[derive(Debug)]
struct ToolSchema {
    schema: CompiledSchema,
    defaults: Map<String, Value>,
    vocabulary: Vec<Value>,
}

impl ToolSchemas {
    /// Compiles every schema. The first that cannot be used is the error.
    pub fn compile(tools: &[ToolDefinition]) -> Result<Self, SchemaError> {
        let mut compiled = BTreeMap::new();
        for tool in tools {
            compiled.insert(tool.name.clone(), compile_tool(tool)?);
        }
        Ok(Self {
            tools: compiled,
            names: tools.iter().map(|tool| tool.name.clone()).collect(),
        })
    }

    /// Checks the calls of one reply: name, then arguments. Empty when all may be executed.
    pub fn check_calls(&self, calls: &[ToolCall]) -> Vec<Violation> {
        calls
            .iter()
            .enumerate()
            .flat_map(|(index, call)| {
                let mut found = self.check_call(call);
                found.truncate(VIOLATIONS_PER_CALL);
                for violation in &mut found {
                    violation.call = Some(index);
                    violation.tool = Some(call.name.clone());
                }
                found
            })
            .collect()
    }

    fn check_call(&self, call: &ToolCall) -> Vec<Violation> {
        let Some(tool) = self.tools.get(&call.name) else {
            return vec![self.unknown_tool(&call.name)];
        };
        if !call.arguments.is_object() {
            return vec![not_an_object(&call.arguments)];
        }
        tool.schema.violations(&call.arguments)
    }

    fn unknown_tool(&self, name: &str) -> Violation {
        let offered = if self.names.is_empty() {
            "no tool is offered".to_owned()
        } else {
            format!("the tools are: {}", self.names.join(", "))
        };
        let close = closest_name(name, &self.names)
            .map(|close| format!(" (did you mean `{close}`?)"))
            .unwrap_or_default();
        Violation::new(
            Code::UnknownTool,
            format!("there is no tool named `{name}`{close}; {offered}"),
        )
    }

    /// Defaults that a tool's schema declares for its top-level arguments.
    pub fn defaults(&self, tool: &str) -> Option<&Map<String, Value>> {
        self.tools.get(tool).map(|tool| &tool.defaults)
    }

    /// The default of one argument.
    pub fn default_of(&self, tool: &str, argument: &str) -> Option<&Value> {
        self.defaults(tool)?.get(argument)
    }

    /// Values that a tool's schema itself names: enums, constants, defaults, examples.
    pub fn vocabulary(&self, tool: &str) -> &[Value] {
        self.tools
            .get(tool)
            .map_or(&[], |tool| tool.vocabulary.as_slice())
    }

    /// Whether the tool is offered.
    pub fn knows(&self, tool: &str) -> bool {
        self.tools.contains_key(tool)
    }
}

fn compile_tool(tool: &ToolDefinition) -> Result<ToolSchema, SchemaError> {
    let schema = &tool.input_schema;
    let compiled = CompiledSchema::compile(schema).map_err(|fault| SchemaError {
        tool: tool.name.clone(),
        pointer: fault.pointer,
        message: fault.message,
    })?;
    Ok(ToolSchema {
        defaults: top_level_defaults(schema),
        vocabulary: vocabulary::of_schema(schema),
        schema: compiled,
    })
}

fn explain_build_error(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind;
    match error.kind() {
        ValidationErrorKind::Referencing(reason) => format!(
            "a `$ref` or `$schema` cannot be resolved: {reason} (only references within the schema are followed)"
        ),
        ValidationErrorKind::Format { format } if format == "regex" => {
            let pattern = error.instance().as_str().unwrap_or_default();
            let why = why_no_pattern(pattern);
            let shown: String = pattern.chars().take(80).collect();
            format!("the pattern `{shown}` cannot be used: {why}")
        }
        _ => error.to_string(),
    }
}

/// Why the linear-time engine takes no such pattern.
fn why_no_pattern(pattern: &str) -> String {
    let translated = jsonschema_regex::to_rust_regex(pattern);
    let Ok(translated) = translated else {
        return "it is no regular expression of ECMA 262".to_owned();
    };
    let built = regex::RegexBuilder::new(&translated)
        .size_limit(PATTERN_SIZE_LIMIT)
        .build();
    match built {
        Err(regex::Error::CompiledTooBig(limit)) => format!(
            "compiled it takes over {limit} bytes; repeat less, or bound the length with `maxLength`"
        ),
        _ => "patterns are read by a linear-time engine, without look-around and back-references"
            .to_owned(),
    }
}

fn top_level_defaults(schema: &Value) -> Map<String, Value> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| {
            let declared = property.get("default").or_else(|| {
                let pointer = property.get("$ref")?.as_str()?.strip_prefix('#')?;
                schema.pointer(pointer)?.get("default")
            })?;
            Some((name.clone(), declared.clone()))
        })
        .collect()
}

fn not_an_object(arguments: &Value) -> Violation {
    let coercible = arguments
        .as_str()
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .is_some_and(|value| value.is_object());
    Violation {
        pointer: Some(String::new()),
        keyword: Some("type".to_owned()),
        schema: Some(serde_json::json!({"type": "object"})),
        coercible,
        ..Violation::new(Code::TypeMismatch, "the arguments are not a JSON object")
    }
}

/// The offered name most like `name`, when it is rather like it. It is a guess from the spelling
/// alone, so it tells nothing of what the case wants.
fn closest_name<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    /// Likeness above which two spellings are taken for one.
    const LIKENESS: f32 = 0.7;
    names
        .iter()
        .map(|known| {
            let likeness = similar::TextDiff::from_chars(
                name.to_lowercase().as_str(),
                known.to_lowercase().as_str(),
            )
            .ratio();
            (likeness, known.as_str())
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, known)| known)
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
