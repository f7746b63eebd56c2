//! `toolbench mcp call`: one call by hand.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::super::{App, CliError, Status, print, print_json};
use super::{call_limit, host_failed, with_host};
use crate::cli::args::ListFormat;
use crate::cli::host_args::OpenedHost;
use crate::cli::mcp_args::CallArgs;
use crate::clock::Stopwatch;
use crate::config::Resolved;
use crate::tools::mcp::Allowed;
use crate::tools::{HostFacts, ListedTool};
use crate::types::host::{HostNote, HostNoteKind};
use crate::types::{ToolCall, ToolDefinition, ToolResult, did_you_mean};
use crate::validate::ToolSchemas;

/// Makes one call and prints what came back.
pub(super) fn call(app: &App, resolved: &Resolved, args: &CallArgs) -> Result<Status, CliError> {
    let arguments = read_arguments(&args.arguments)?;
    let mut safety = args.safety.safety()?;
    // A tool that is named to be called is allowed by name.
    safety.allowed = Allowed::ReadOnlyAnd(vec![args.tool.clone()]);
    let limit = call_limit(app, resolved)?;
    let opened = args.server.open_one(app, resolved, &safety, limit)?;
    let called = with_host(app, &opened, make_call(&opened, args, arguments))?;
    for note in &called.notes {
        app.ui
            .say(&format!("note: {}", opened.without_secrets(&note.detail)));
    }
    let result = &called.result;
    match args.format {
        ListFormat::Json => {
            let value = json!({
                "tool": args.tool, "content": result.content, "structured": result.structured,
                "is_error": result.is_error, "call_ms": called.call_ms,
            });
            let text = opened.without_secrets(&value.to_string());
            print_json(&serde_json::from_str::<Value>(&text).unwrap_or(value))?;
        }
        ListFormat::Terminal => {
            print(&format!("{}\n", opened.without_secrets(&result.content)))?;
            if result.is_error {
                app.ui.say("the tool answered that it failed");
            }
        }
    }
    Ok(if result.is_error {
        Status::Breached
    } else {
        Status::Complete
    })
}

struct Called {
    result: ToolResult,
    notes: Vec<HostNote>,
    call_ms: f64,
}

async fn make_call(
    opened: &OpenedHost,
    args: &CallArgs,
    arguments: Map<String, Value>,
) -> Result<Called, CliError> {
    let failed = |error: &_| host_failed(opened, error);
    let facts = opened.host.facts().await.map_err(|error| failed(&error))?;
    let tool = find(&facts, &args.tool)?;
    if let Some(reason) = &tool.refused {
        return Err(CliError::usage(format!(
            "`{}` is refused: {reason}",
            args.tool
        )));
    }
    let call = ToolCall::new(&args.tool, Value::Object(arguments));
    if !args.no_validate {
        check(&tool.definition, &call)?;
    }
    let mut session = opened
        .host
        .open(None)
        .await
        .map_err(|error| failed(&error))?;
    let watch = Stopwatch::start();
    let result = session.call(&call).await.map_err(|error| failed(&error))?;
    let call_ms = watch.elapsed_ms();
    let notes = session.take_notes();
    if let Some(note) = notes.iter().find(|note| note.kind == HostNoteKind::Refused) {
        let reason = opened.without_secrets(&note.detail);
        return Err(CliError::usage(format!("{reason}; nothing was sent"))
            .kind("refused", Status::Usage)
            .hint("`--paths-under`, `--no-network` and `--max-tool-…` say what may be sent"));
    }
    Ok(Called {
        result,
        notes,
        call_ms,
    })
}

/// The tool of a name, or what it may have been meant to be.
pub(super) fn find<'a>(facts: &'a HostFacts, name: &str) -> Result<&'a ListedTool, CliError> {
    let names = || facts.tools.iter().map(|tool| tool.definition.name.as_str());
    facts
        .tools
        .iter()
        .find(|tool| tool.definition.name == name)
        .ok_or_else(|| {
            let hint = did_you_mean(name, names()).unwrap_or_else(|| {
                if facts.tools.is_empty() {
                    return "it lists no tool at all".to_owned();
                }
                format!("it has {}", names().collect::<Vec<_>>().join(", "))
            });
            CliError::usage(format!("the server has no tool `{name}`")).hint(hint)
        })
}

/// Arguments against the tool's schema.
pub(super) fn check(tool: &ToolDefinition, call: &ToolCall) -> Result<(), CliError> {
    let schemas = ToolSchemas::compile(std::slice::from_ref(tool)).map_err(|error| {
        CliError::usage(error.to_string())
            .hint("`--no-validate` sends the call without a look at the schema")
    })?;
    let found = schemas.check_calls(std::slice::from_ref(call));
    if found.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = found
        .iter()
        .map(|violation| format!("  {}: {}", violation.code.name(), violation.message))
        .collect();
    Err(CliError::usage(format!(
        "the arguments are not what `{}` takes; nothing was sent\n{}",
        tool.name,
        lines.join("\n")
    ))
    .hint(
        "`toolbench mcp tools --schemas` shows the schema; `--no-validate` sends them as they are",
    ))
}

/// A JSON object, or `@FILE` with one.
pub(super) fn read_arguments(text: &str) -> Result<Map<String, Value>, CliError> {
    let (text, place) = match text.strip_prefix('@') {
        Some(path) => {
            let read = std::fs::read_to_string(Path::new(path))
                .map_err(|error| CliError::usage(format!("cannot read {path}: {error}")))?;
            (read, path.to_owned())
        }
        None => (text.to_owned(), "`--arguments`".to_owned()),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(
            CliError::usage(format!("{place}: the arguments are not a JSON object"))
                .hint("write them as an object: --arguments '{\"city\": \"Berlin\"}'"),
        ),
        Err(error) => Err(CliError::usage(format!("{place}: not JSON: {error}"))
            .hint("quote them for the shell: --arguments '{\"city\": \"Berlin\"}'")),
    }
}
