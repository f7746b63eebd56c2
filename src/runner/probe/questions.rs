//! What probes say to a model.
//!
//! Data in: nothing. Data out: fixed texts and tools. Invariants: short, plain, none of them a case
//! of a suite.

use serde_json::json;

use crate::types::ToolDefinition;

/// A word that no model writes by itself.
pub(super) const FORCED_WORD: &str = "zq-4817-xk";

/// A question that needs no tool.
pub(super) fn greeting() -> &'static str {
    "Reply with the single word hello. Do not use any tool."
}

/// Questions that need one call each.
pub(super) fn questions() -> [&'static str; 3] {
    [
        "What is the weather in Oslo right now? Use the tool.",
        "Add 17 and 25 with the tool.",
        "Look up the weather in Lima.",
    ]
}

/// The tools for them.
pub(super) fn tools() -> Vec<ToolDefinition> {
    vec![
        tool(
            "get_weather",
            "Current weather of a city.",
            &json!({"city": {"type": "string", "description": "Name of the city"}}),
            &["city"],
        ),
        tool(
            "add_numbers",
            "Adds two numbers.",
            &json!({"a": {"type": "number"}, "b": {"type": "number"}}),
            &["a", "b"],
        ),
    ]
}

/// A tool whose only allowed value is a word that no one asks for.
pub(super) fn colour_tool() -> ToolDefinition {
    tool(
        "set_colour",
        "Sets the colour of the lamp.",
        &json!({"colour": {"type": "string", "enum": [FORCED_WORD]}}),
        &["colour"],
    )
}

fn tool(
    name: &str,
    description: &str,
    properties: &serde_json::Value,
    required: &[&str],
) -> ToolDefinition {
    ToolDefinition {
        name: name.to_owned(),
        description: description.to_owned(),
        input_schema: json!({
            "type": "object", "properties": properties,
            "required": required, "additionalProperties": false
        }),
        annotations: None,
    }
}

/// Plain prose of so many characters, and a question behind it. Prompts of another length or start
/// have nothing in common that a server could have kept from the one before.
pub(super) fn filler(characters: usize, start: usize) -> String {
    const SENTENCE: &str = "The ferry leaves the harbour in the morning and comes back before dark, \
                            and on the way the crew counts the birds that follow it. ";
    let start = (start + characters) % SENTENCE.len();
    let prose = SENTENCE.chars().cycle().skip(start);
    let mut text: String = prose.take(characters).collect();
    text.push_str("\n\nReply with the single word hello.");
    text
}
