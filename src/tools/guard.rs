//! What may be called on a real server, with what arguments, and how much of it.
//!
//! Data in: the server's tools, the settings, a call. Data out: nothing, or the reason of a
//! refusal. Invariants: safe by default; a refusal never reaches the server.

use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::mcp::settings::{Allowed, ArgumentPolicy, Safety};
use crate::types::{ToolCall, ToolDefinition};

/// Words in an argument's name that say that its value is a path.
const PATH_WORDS: [&str; 6] = ["path", "file", "dir", "directory", "folder", "root"];
/// Words in an argument's name that say that its value is a place in the network.
const NETWORK_WORDS: [&str; 8] = [
    "url", "uri", "host", "hostname", "domain", "endpoint", "address", "website",
];
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

/// Why a call's arguments are refused.
pub(super) fn refused_arguments(policy: &ArgumentPolicy, call: &ToolCall) -> Option<String> {
    if policy.roots.is_empty() && !policy.no_network {
        return None;
    }
    refused_value(policy, "", &call.arguments, DEPTH)
}

fn refused_value(
    policy: &ArgumentPolicy,
    name: &str,
    value: &Value,
    depth: usize,
) -> Option<String> {
    if depth == 0 {
        return Some(format!(
            "argument `{name}` is nested too deeply to be checked"
        ));
    }
    match value {
        Value::String(text) => refused_text(policy, name, text),
        Value::Array(items) => items
            .iter()
            .find_map(|item| refused_value(policy, name, item, depth - 1)),
        Value::Object(map) => map
            .iter()
            .find_map(|(name, value)| refused_value(policy, name, value, depth - 1)),
        _ => None,
    }
}

fn refused_text(policy: &ArgumentPolicy, name: &str, text: &str) -> Option<String> {
    let local = text.strip_prefix("file://");
    if policy.no_network && local.is_none() && is_network(name, text) {
        return Some(format!(
            "argument `{name}` names a place in the network: {}",
            short(text)
        ));
    }
    if policy.roots.is_empty() {
        return None;
    }
    let path = local.unwrap_or(text);
    let is_path = local.is_some() || looks_like_path(text) || has_word(name, &PATH_WORDS);
    if !is_path || policy.roots.iter().any(|root| lies_below(path, root)) {
        return None;
    }
    let roots: Vec<String> = policy
        .roots
        .iter()
        .map(|root| root.display().to_string())
        .collect();
    Some(format!(
        "argument `{name}` names the path {}, which is not below {}",
        short(path),
        roots.join(" or ")
    ))
}

fn short(text: &str) -> String {
    text.chars().take(120).collect()
}

/// The words of a name: `baseUrl`, `base_url` and `base-url` have `base` and `url`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            spaced.push(' ');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| words.contains(&word) || words.contains(&word.trim_end_matches('s')))
}

fn is_network(name: &str, text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let has_scheme = lower.match_indices("://").any(|(at, _)| {
        let scheme = lower[..at]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c))
            .next()
            .unwrap_or_default();
        !scheme.is_empty() && scheme != "file"
    });
    let is_remote_copy = lower
        .split_once(':')
        .is_some_and(|(user_host, _)| user_host.contains('@') && !user_host.contains(' '));
    has_scheme
        || lower.starts_with("www.")
        || lower.starts_with("//")
        || lower.starts_with("mailto:")
        || is_remote_copy
        || lower.parse::<std::net::IpAddr>().is_ok()
        || lower.parse::<std::net::SocketAddr>().is_ok()
        || (!lower.is_empty() && has_word(name, &NETWORK_WORDS))
}

fn looks_like_path(text: &str) -> bool {
    let drive = text.as_bytes().get(1) == Some(&b':')
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
        && matches!(text.as_bytes().get(2), Some(b'/' | b'\\'));
    text.starts_with(['/', '~', '\\']) || drive || text.split(['/', '\\']).any(|part| part == "..")
}

/// A path lies below a root when it does so as written, and where it exists also with its links
/// followed. A relative one is read from the root.
fn lies_below(path: &str, root: &Path) -> bool {
    if path.starts_with('~') || path.contains('\\') || path.contains('\0') {
        return false;
    }
    let Some(joined) = normal(&root.join(path)) else {
        return false;
    };
    let Some(root) = normal(root) else {
        return false;
    };
    if !joined.starts_with(&root) {
        return false;
    }
    match (existing_part(&joined), std::fs::canonicalize(&root)) {
        (Some(real), Ok(real_root)) => real.starts_with(&real_root) || real_root.starts_with(&real),
        // A root that is not here is the server's own; only the text can be judged.
        _ => true,
    }
}

/// The longest part of a path that is there, with links followed.
fn existing_part(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find_map(|part| std::fs::canonicalize(part).ok())
}

/// Without `.` and `..`; `None` when it climbs above its beginning.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            other => out.push(other),
        }
    }
    Some(out)
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

    #[test]
    fn paths_stay_below_their_root() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("work");
        std::fs::create_dir_all(root.join("inside")).unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/etc", root.join("out")).unwrap();
        let policy = ArgumentPolicy {
            roots: vec![root.clone()],
            no_network: false,
        };
        let refused =
            |arguments: Value| refused_arguments(&policy, &ToolCall::new("t", arguments)).is_some();
        let inside = root.join("inside/new.txt").to_string_lossy().into_owned();
        assert!(!refused(json!({"path": inside})));
        assert!(!refused(json!({"path": "inside/a", "text": "either/or"})));
        assert!(!refused(json!({"path": root.to_string_lossy()})));
        for bad in [
            "/etc/passwd",
            "../x",
            "inside/../../x",
            "~/.ssh",
            "file:///etc/x",
            "C:\\x",
        ] {
            assert!(refused(json!({"anything": [{"deep": bad}]})), "{bad}");
        }
        #[cfg(unix)]
        assert!(refused(json!({"path": "out/passwd"})));
    }

    #[test]
    fn places_in_the_network_are_refused() {
        let policy = ArgumentPolicy {
            roots: Vec::new(),
            no_network: true,
        };
        let refused =
            |arguments: Value| refused_arguments(&policy, &ToolCall::new("t", arguments)).is_some();
        for bad in [
            json!({"q": "see https://example.org"}),
            json!({"baseUrl": "example.org"}),
            json!({"to": "git@example.org:x.git"}),
            json!({"to": "10.0.0.1:80"}),
            json!({"a": {"urls": ["example.org"]}}),
        ] {
            assert!(refused(bad.clone()), "{bad}");
        }
        for fine in [
            json!({"q": "ratio 3:1"}),
            json!({"path": "file:///tmp/x"}),
            json!({"n": 3, "city": "Berlin"}),
        ] {
            assert!(!refused(fine.clone()), "{fine}");
        }
    }
}
