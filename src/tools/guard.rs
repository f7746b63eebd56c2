//! What may be called on a real server, with what arguments, and how much of it.
//!
//! Data in: the server's tools, the settings, a call. Data out: nothing, or the reason of a
//! refusal. Invariants: safe by default; a refusal never reaches the server.

mod places;

use std::path::Path;

use serde_json::Value;

use self::places::{Bounds, Refusal, is_path_name, network_place, path_outside};
use super::mcp::settings::{Allowed, ArgumentPolicy, Safety};
use crate::types::{ToolCall, ToolDefinition};

/// Nested values that are looked at.
const DEPTH: usize = 64;

/// Why a tool may not be called at all; `None` when it may.
pub(super) fn refused_tool(safety: &Safety, tool: &ToolDefinition) -> Option<String> {
    let named = match &safety.allowed {
        Allowed::ReadOnly => false,
        Allowed::ReadOnlyAnd(also) => also.contains(&tool.name),
        Allowed::Only(these) | Allowed::Among(these) if !these.contains(&tool.name) => {
            return Some("it is not in the list of allowed tools".to_owned());
        }
        Allowed::Only(_) | Allowed::Among(_) => true,
    };
    if is_read_only(tool) {
        return None;
    }
    if !named {
        return Some("it is not read-only and not in the list of allowed tools".to_owned());
    }
    if safety.refuse_unmarked && !is_marked_harmless(tool) {
        return Some(
            "it is not marked harmless, and the suite holds injected instructions".to_owned(),
        );
    }
    (is_destructive(tool) && !safety.allow_destructive).then(|| {
        "it is allowed by name, but may destroy what it touches (`--allow-destructive` lets it)"
            .to_owned()
    })
}

fn is_marked_harmless(tool: &ToolDefinition) -> bool {
    tool.annotations
        .as_ref()
        .and_then(|hints| hints.destructive_hint)
        == Some(false)
}

/// The server says that the tool changes nothing.
pub(super) fn is_read_only(tool: &ToolDefinition) -> bool {
    tool.annotations
        .as_ref()
        .and_then(|hints| hints.read_only_hint)
        == Some(true)
}

/// The server itself says that the tool changes things. Without any hint a tool allowed by name
/// is taken for what the suite uses it as.
pub(super) fn may_write(tool: &ToolDefinition) -> bool {
    tool.annotations.as_ref().is_some_and(|hints| {
        hints.read_only_hint == Some(false)
            || (hints.read_only_hint.is_none() && hints.destructive_hint == Some(true))
    })
}

/// MCP: a tool that is not read-only is destructive unless it says otherwise. One that says
/// nothing of either is not taken for it.
fn is_destructive(tool: &ToolDefinition) -> bool {
    may_write(tool)
        && tool
            .annotations
            .as_ref()
            .is_some_and(|hints| hints.destructive_hint != Some(false))
}

/// Why a call's arguments are refused. `working_directory` is the server's, where it is known.
pub(super) fn refused_arguments(
    policy: &ArgumentPolicy,
    working_directory: Option<&Path>,
    call: &ToolCall,
) -> Option<String> {
    if policy.roots.is_empty() && !policy.no_network {
        return None;
    }
    let check = Check {
        policy,
        bounds: Bounds {
            roots: &policy.roots,
            working_directory,
        },
    };
    check.value("", &call.arguments, DEPTH)
}

struct Check<'a> {
    policy: &'a ArgumentPolicy,
    bounds: Bounds<'a>,
}

impl Check<'_> {
    fn value(&self, name: &str, value: &Value, depth: usize) -> Option<String> {
        if depth == 0 {
            return Some(format!(
                "argument `{name}` is nested too deeply to be checked"
            ));
        }
        match value {
            Value::String(text) => self.text(name, name, text, is_path_name(name)),
            Value::Array(items) => items
                .iter()
                .find_map(|item| self.value(name, item, depth - 1)),
            Value::Object(map) => map.iter().find_map(|(key, value)| {
                // A key is a word like any other; what its parent is called says nothing of it,
                // unless it could be a file's name.
                let is_path = is_path_name(name) && key.contains(['.', '/']);
                self.text(name, "", key, is_path)
                    .or_else(|| self.value(key, value, depth - 1))
            }),
            _ => None,
        }
    }

    /// `shown` is the argument's name for messages, `name` what it says of the text.
    fn text(&self, shown: &str, name: &str, text: &str, is_path: bool) -> Option<String> {
        if self.policy.no_network
            && let Some(place) = network_place(name, text)
        {
            return Some(format!(
                "argument `{shown}` names a place in the network: {}",
                short(place)
            ));
        }
        if self.policy.roots.is_empty() {
            return None;
        }
        let roots: Vec<String> = self
            .policy
            .roots
            .iter()
            .map(|root| root.display().to_string())
            .collect();
        let roots = roots.join(" or ");
        Some(match path_outside(self.bounds, text, is_path)? {
            Refusal::Elsewhere(path) => format!(
                "argument `{shown}` names the path {}, which is not below {roots}",
                short(&path)
            ),
            Refusal::Unknown(path) => format!(
                "argument `{shown}` names the path {}, which is relative to a folder of the server that is not known here; below {roots} it must be absolute",
                short(&path)
            ),
        })
    }
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::tool::ToolAnnotations;
    use serde_json::json;

    fn tool(read_only: Option<bool>, destructive: Option<bool>) -> ToolDefinition {
        ToolDefinition {
            name: "t".to_owned(),
            description: String::new(),
            input_schema: json!({}),
            annotations: Some(ToolAnnotations {
                read_only_hint: read_only,
                destructive_hint: destructive,
            }),
        }
    }

    #[test]
    fn what_may_be_called_follows_annotations_and_names() {
        let mut safety = Safety::default();
        let refused = |safety: &Safety, tool: &ToolDefinition| refused_tool(safety, tool).is_some();
        assert!(!refused(&safety, &tool(Some(true), None)));
        assert!(refused(&safety, &tool(None, None)));
        safety.allowed = Allowed::ReadOnlyAnd(vec!["t".to_owned()]);
        assert!(!refused(&safety, &tool(None, None)));
        assert!(!refused(&safety, &tool(Some(false), Some(false))));
        // Destructive is what a writing tool is unless it says otherwise.
        assert!(refused(&safety, &tool(Some(false), None)));
        assert!(refused(&safety, &tool(None, Some(true))));
        safety.allow_destructive = true;
        assert!(!refused(&safety, &tool(Some(false), Some(true))));
        safety.refuse_unmarked = true;
        assert!(refused(&safety, &tool(None, None)));
        assert!(!refused(&safety, &tool(Some(false), Some(false))));
        safety.allowed = Allowed::Only(vec!["other".to_owned()]);
        assert!(refused(&safety, &tool(Some(true), None)));
    }
}
