//! Texts that dialects share: instructions, the tool listing, few-shot turns.
//!
//! Data in: an offer and the embedded texts of `prompts/`. Data out: system text and messages.
//! Invariants: the same offer gives the same text; tools are listed in the order offered.

use serde_json::Value;

use super::Offer;
use crate::types::cell::Reasoning;
use crate::types::suite::Example;
use crate::types::{Message, Role, ToolCall, ToolChoice, ToolDefinition};

/// Keywords of a root schema that tell a model nothing about its arguments.
const SILENT_KEYWORDS: [&str; 4] = ["$schema", "$id", "title", "additionalProperties"];

/// How a dialect writes what few-shot turns and histories hold.
pub(super) trait Writer {
    /// Calls of one reply, with a thought where the dialect has room for one.
    fn calls(&self, thought: Option<&str>, calls: &[ToolCall]) -> String;
    /// A final answer.
    fn answer(&self, thought: Option<&str>, answer: &str) -> String;
    /// Results of calls as one user message: tool name and content each.
    fn results(&self, results: &[(String, String)]) -> String;
}

/// The part of a prompt text between `== name ==` and the next such line.
pub(super) fn section<'a>(text: &'a str, name: &str) -> &'a str {
    let head = format!("== {name} ==\n");
    let Some(start) = text.find(&head).map(|at| at + head.len()) else {
        return "";
    };
    let rest = &text[start..];
    let end = if rest.starts_with("== ") {
        0
    } else {
        rest.find("\n== ").map_or(rest.len(), |at| at + 1)
    };
    rest[..end].trim_end()
}

/// System prompt of the case, tool listing and instructions.
pub(super) fn system_text(offer: &Offer, prompt: &str, form: &str) -> String {
    let mut parts = Vec::new();
    if let Some(system) = offer.system.as_deref().filter(|text| !text.is_empty()) {
        parts.push(system.trim_end().to_owned());
    }
    if !offer.tools.is_empty() {
        let tools = section(prompt, "tools").replace("{form}", form);
        parts.push(tools.replace("{tools}", &tool_listing(&offer.tools)));
    }
    parts.push(instructions(offer, prompt));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// What to reply, for the offer's tool choice.
pub(super) fn instructions(offer: &Offer, prompt: &str) -> String {
    let choice = if offer.tools.is_empty() {
        ToolChoice::None
    } else {
        offer.tool_choice
    };
    let text = section(prompt, choice.as_str());
    // Without tools there is nothing that must not be used.
    let text = if offer.tools.is_empty() {
        text.split_once(". ").map_or("", |(_, rest)| rest)
    } else {
        text
    };
    let thought = match offer.reasoning {
        Reasoning::Off => "",
        Reasoning::Tokens(_) => section(prompt, "thought"),
    };
    match (text.is_empty(), thought.is_empty()) {
        (_, true) => text.to_owned(),
        (true, false) => thought.to_owned(),
        (false, false) => format!("{text}\n{thought}"),
    }
}

/// Name, description and schema of each tool, compact.
pub fn tool_listing(tools: &[ToolDefinition]) -> String {
    let entries: Vec<String> = tools
        .iter()
        .map(|tool| {
            let description = tool.description.trim().replace('\n', " ");
            let separator = if description.is_empty() { "" } else { ": " };
            format!(
                "- {}{separator}{description}\n  arguments: {}",
                tool.name,
                shown_schema(&tool.input_schema)
            )
        })
        .collect();
    entries.join("\n")
}

fn shown_schema(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(keyword, _)| !SILENT_KEYWORDS.contains(&keyword.as_str()))
                .map(|(keyword, value)| (keyword.clone(), value.clone()))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// Few-shot examples as turns in the dialect's own form. Turns that the tool choice forbids are
/// left out: an answer under `required`, a call under `none`.
pub(super) fn example_turns(offer: &Offer, writer: &dyn Writer) -> Vec<Message> {
    offer
        .examples
        .iter()
        .flat_map(|example| one_example(offer.tool_choice, example, writer))
        .collect()
}

fn one_example(choice: ToolChoice, example: &Example, writer: &dyn Writer) -> Vec<Message> {
    let calls = choice != ToolChoice::None && !example.calls.is_empty();
    let answer = choice != ToolChoice::Required && !example.answer.is_empty();
    if !calls && !answer {
        return Vec::new();
    }
    let thought = example.thought.as_deref();
    let mut turns = vec![Message::text(Role::User, &example.user)];
    if calls {
        let text = writer.calls(thought, &example.calls);
        turns.push(Message::text(Role::Assistant, text));
        let results: Vec<_> = example
            .calls
            .iter()
            .zip(&example.results)
            .map(|(call, result)| (call.name.clone(), result.clone()))
            .collect();
        if !results.is_empty() {
            turns.push(Message::text(Role::User, writer.results(&results)));
        }
    }
    if answer {
        let thought = if calls { None } else { thought };
        let text = writer.answer(thought, &example.answer);
        turns.push(Message::text(Role::Assistant, text));
    }
    turns
}

/// A case's messages in the dialect's own form: calls of a written history are written anew,
/// replies of this run are replayed as they came, results in a row become one user message.
pub(super) fn written_messages(messages: &[Message], writer: &dyn Writer) -> Vec<Message> {
    let mut out = Vec::with_capacity(messages.len());
    let mut results: Vec<(String, String)> = Vec::new();
    for message in messages {
        if message.role == Role::Tool {
            let name = message.tool_name.clone().unwrap_or_default();
            results.push((name, message.content.clone()));
            continue;
        }
        flush_results(&mut results, writer, &mut out);
        let unwritten = message.content.is_empty() && !message.tool_calls.is_empty();
        let content = if unwritten {
            writer.calls(None, &message.tool_calls)
        } else {
            message.content.clone()
        };
        out.push(Message::text(message.role, content));
    }
    flush_results(&mut results, writer, &mut out);
    out
}

fn flush_results(results: &mut Vec<(String, String)>, writer: &dyn Writer, out: &mut Vec<Message>) {
    if !results.is_empty() {
        out.push(Message::text(Role::User, writer.results(results)));
        results.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_cut_at_the_next_head() {
        let text = "== a ==\none\ntwo\n\n== b ==\n== c ==\nthree\n";
        assert_eq!(section(text, "a"), "one\ntwo");
        assert_eq!(section(text, "b"), "");
        assert_eq!(section(text, "c"), "three");
        assert_eq!(section(text, "d"), "");
    }
}
