//! `toolbench mcp tools`: what a server offers.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::super::{App, CliError, Status, print, print_json};
use super::{call_limit, host_failed, with_host};
use crate::cli::args::ListFormat;
use crate::cli::host_args::OpenedHost;
use crate::cli::mcp_args::ToolsArgs;
use crate::cli::safety_args::check_allowed;
use crate::config::Resolved;
use crate::report::wrap;
use crate::tools::{HostFacts, ListedTool};

/// Widest line that is printed.
const WIDTH: usize = 100;

/// Lists the tools of one server.
pub(super) fn tools(app: &App, resolved: &Resolved, args: &ToolsArgs) -> Result<Status, CliError> {
    let safety = args.safety.safety()?;
    let limit = call_limit(app, resolved)?;
    let opened = args.server.open_one(app, resolved, &safety, limit)?;
    let facts = with_host(app, &opened, async {
        let facts = opened.host.facts().await;
        let facts = facts.map_err(|error| host_failed(&opened, &error))?;
        check_allowed(std::slice::from_ref(&opened), &args.safety.allow_tool).await?;
        Ok(facts)
    })?;
    let text = match args.format {
        ListFormat::Json => {
            return print_json(&to_json(&opened, &facts)).map(|()| Status::Complete);
        }
        ListFormat::Terminal => to_text(&opened, &facts, args.schemas),
    };
    print(&opened.without_secrets(&text))?;
    Ok(Status::Complete)
}

fn to_json(opened: &OpenedHost, facts: &HostFacts) -> Value {
    let tools: Vec<Value> = facts
        .tools
        .iter()
        .map(|tool| {
            let mut value = tool.raw.clone();
            if let Some(map) = value.as_object_mut() {
                map.insert("refused".to_owned(), json!(tool.refused));
            }
            value
        })
        .collect();
    let value = json!({
        "server": opened.name, "address": opened.shown, "identity": facts.identity,
        "transport": facts.transport, "protocol": facts.protocol, "capabilities": facts.capabilities,
        "instructions": facts.instructions, "faults": facts.faults, "tools": tools,
    });
    let text = opened.without_secrets(&value.to_string());
    serde_json::from_str(&text).unwrap_or(value)
}

fn to_text(opened: &OpenedHost, facts: &HostFacts, with_schemas: bool) -> String {
    let name = facts.identity.as_ref().unwrap_or(&opened.name);
    let mut head = vec![name.clone(), opened.shown.clone()];
    head.extend(facts.protocol.clone());
    let count = facts.tools.len();
    head.push(format!("{count} tool{}", if count == 1 { "" } else { "s" }));
    let mut out = wrap(&head.join(" · "), WIDTH, "");
    out.push('\n');
    for fault in &facts.faults {
        let _ = writeln!(out, "{}", wrap(&format!("note: {fault}"), WIDTH, "  "));
    }
    for tool in &facts.tools {
        out.push('\n');
        out.push_str(&tool_text(tool, with_schemas));
    }
    let refused = facts.tools.iter().filter(|tool| tool.refused.is_some());
    let refused = refused.count();
    if refused > 0 {
        let _ = write!(
            out,
            "\n{refused} of {count} are refused by default; --allow-tool NAME allows one\n"
        );
    }
    out
}

fn tool_text(tool: &ListedTool, with_schemas: bool) -> String {
    let definition = &tool.definition;
    let marks = hints(&tool.raw);
    let mut out = if marks.is_empty() {
        format!("{}\n", definition.name)
    } else {
        format!("{}  [{}]\n", definition.name, marks.join(", "))
    };
    let mut line = |text: &str| {
        let _ = writeln!(out, "  {}", wrap(text, WIDTH - 2, "      "));
    };
    // Long descriptions are instructions to models; people need the first paragraph.
    let description = definition
        .description
        .split("\n\n")
        .next()
        .unwrap_or_default();
    if !description.trim().is_empty() {
        line(&one_line(description));
    }
    if let Some(reason) = &tool.refused {
        line(&format!("refused: {reason}"));
    }
    if with_schemas {
        for (name, key) in [("arguments", "inputSchema"), ("result", "outputSchema")] {
            if let Some(schema) = tool.raw.get(key) {
                let text = serde_json::to_string_pretty(schema).unwrap_or_default();
                let _ = writeln!(out, "  {name}:");
                for row in text.lines() {
                    let _ = writeln!(out, "    {row}");
                }
            }
        }
        return out;
    }
    for (name, schema) in definition.input_schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let required = definition.input_schema["required"]
            .as_array()
            .is_some_and(|names| names.iter().any(|it| it == name));
        let mut text = format!("{name}: {}", kind(schema));
        if required {
            text.push_str(", required");
        }
        if let Some(description) = schema["description"].as_str() {
            text.push_str(" – ");
            text.push_str(&one_line(description));
        }
        line(&text);
    }
    out
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The hints that a server gives, in words.
fn hints(raw: &Value) -> Vec<&'static str> {
    let hint = |name: &str| raw["annotations"][name].as_bool();
    [
        ("readOnlyHint", "read-only", "writes"),
        ("destructiveHint", "destructive", "not destructive"),
        ("idempotentHint", "idempotent", "not idempotent"),
        ("openWorldHint", "open world", "closed world"),
    ]
    .into_iter()
    .filter_map(|(name, yes, no)| hint(name).map(|given| if given { yes } else { no }))
    .collect()
}

/// A schema in a few words.
fn kind(schema: &Value) -> String {
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return format!("one of {}", values.join(", "));
    }
    match &schema["type"] {
        Value::String(kind) if kind == "array" => match schema["items"]["type"].as_str() {
            Some(item) => format!("array of {item}"),
            None => "array".to_owned(),
        },
        Value::String(kind) => kind.clone(),
        Value::Array(kinds) => kinds
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".to_owned(),
    }
}
