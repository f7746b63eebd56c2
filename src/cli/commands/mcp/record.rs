//! `toolbench mcp record`: what a real server answers, as a mock that answers the same.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::super::{App, CliError, Status, print, run};
use super::call::{check, find, read_arguments};
use super::{call_limit, host_failed, with_host};
use crate::authoring::example::examples;
use crate::authoring::recording::{RecordedAnswer, RecordedCall, RecordedSession, Recording};
use crate::cli::host_args::OpenedHost;
use crate::cli::mcp_args::RecordArgs;
use crate::cli::recorder::Recorder;
use crate::cli::safety_args::check_allowed;
use crate::cli::servers;
use crate::cli::store_access::block_on;
use crate::config::Resolved;
use crate::selftest::oracle_calls;
use crate::suite::read_text;
use crate::tools::mcp::Allowed;
use crate::tools::{HostFacts, ToolHost as _, ToolHostError};
use crate::types::suite::HostFault;
use crate::types::{Code, Suite, ToolCall};

/// Calls on one fresh state.
struct Planned {
    id: String,
    calls: Vec<ToolCall>,
}

/// Makes the calls, writes the mock, and plays it against the recording.
pub(super) fn record(
    app: &App,
    resolved: &Resolved,
    args: &RecordArgs,
) -> Result<Status, CliError> {
    let name = suite_name(args)?;
    let (opened, suite) = open(app, resolved, args)?;
    let work = drive(app, args, &name, &opened, suite.as_ref());
    let recorded = with_host(app, &opened, work)?;
    let text = recorded.text(suite.as_ref());
    let shown = args.out.display().to_string();
    let replayed = replay(&shown, &text, &recorded)?;
    write(&args.out, &text, args.force)?;
    let faults = recorded
        .sessions
        .iter()
        .flat_map(|session| &session.calls)
        .filter(|call| matches!(call.answer, RecordedAnswer::Fault { .. }))
        .count();
    if faults > 0 {
        app.ui.say(&format!(
            "note: the server failed in {faults} of the calls, and the mock will too"
        ));
    }
    print(&format!(
        "wrote {shown}: recorded {replayed} call{}, and the mock answers {} the same\nnext: {}\n",
        if replayed == 1 { "" } else { "s" },
        if replayed == 1 { "it" } else { "each" },
        if suite.is_some() {
            format!("`toolbench suite check {shown}`")
        } else {
            format!("`toolbench mcp serve --mock {shown}`")
        }
    ))?;
    Ok(Status::Complete)
}

/// The file's name without its ending.
fn suite_name(args: &RecordArgs) -> Result<String, CliError> {
    let path = &args.out;
    let is_yaml = path
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml");
    let stem = path.file_stem().map(|stem| stem.to_string_lossy());
    let is_name = |name: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        !name.is_empty() && name.chars().all(fits)
    };
    match stem {
        Some(stem) if is_yaml && is_name(&stem) => Ok(stem.into_owned()),
        _ => Err(CliError::usage(format!(
            "`--out {}` is no name of a suite file",
            path.display()
        ))
        .hint("lower case letters, digits and `-`, then .yaml: --out recorded.yaml")),
    }
}

/// The server, and the suite whose cases are played.
fn open(
    app: &App,
    resolved: &Resolved,
    args: &RecordArgs,
) -> Result<(OpenedHost, Option<Suite>), CliError> {
    let limit = call_limit(app, resolved)?;
    let Some(name) = &args.suite else {
        let mut safety = args.safety.safety()?;
        let named = args.call.iter().filter_map(|call| call.split_once('='));
        let mut allowed: Vec<String> = named.map(|(tool, _)| tool.to_owned()).collect();
        allowed.extend(args.safety.allow_tool.iter().cloned());
        // A tool that is named to be called is allowed by name.
        safety.allowed = Allowed::ReadOnlyAnd(allowed);
        return Ok((args.server.open_one(app, resolved, &safety, limit)?, None));
    };
    if args.server.is_given() {
        return Err(
            CliError::usage("`--suite` brings its own server, and another one is named")
                .hint("leave one of the two out"),
        );
    }
    let suites = app.library(resolved).load(name)?;
    let [suite] = suites.as_slice() else {
        return Err(CliError::usage(format!("suite `{name}` is a pinned set"))
            .hint("name one of its suites; `toolbench suite list` shows them"));
    };
    if suite.server.is_none() {
        return Err(
            CliError::usage(format!("suite `{name}` runs on a mock already"))
                .hint("`toolbench suite list` shows which suites run on real servers"),
        );
    }
    let (suite, host) = servers::host(app, resolved, suite, limit)
        .map_err(|reason| CliError::usage(reason).kind("undecidable", Status::Undecidable))?;
    let opened = OpenedHost {
        name: suite.suite.clone(),
        shown: format!("suite {}", suite.suite),
        host: Arc::new(host),
        secrets: Vec::new(),
        is_mock: false,
    };
    Ok((opened, Some(suite)))
}

async fn drive(
    app: &App,
    args: &RecordArgs,
    name: &str,
    opened: &OpenedHost,
    suite: Option<&Suite>,
) -> Result<Recording, CliError> {
    let facts = opened
        .host
        .facts()
        .await
        .map_err(|error| host_failed(opened, &error))?;
    check_allowed(std::slice::from_ref(opened), &args.safety.allow_tool).await?;
    let planned = match suite {
        Some(suite) => of_suite(suite, &facts)?,
        None => vec![given(app, args, &facts)?],
    };
    let mut recorder = Recorder::new(opened);
    let mut sessions = Vec::new();
    for plan in planned {
        recorder.begin_anew();
        let mut calls = Vec::new();
        for call in plan.calls {
            app.ui.say(&format!("calling {}", call.name));
            let answer = answer_of(recorder.call(&call).await);
            calls.push(RecordedCall {
                tool: call.name,
                arguments: match call.arguments {
                    Value::Object(map) => map,
                    _ => Map::new(),
                },
                answer,
            });
        }
        sessions.push(RecordedSession { id: plan.id, calls });
    }
    let identity = facts
        .identity
        .clone()
        .unwrap_or_else(|| opened.name.clone());
    let offered = facts.tools.iter().filter(|tool| tool.refused.is_none());
    Ok(Recording {
        name: name.to_owned(),
        origin: format!("the server `{identity}`"),
        tools: offered.map(|tool| tool.definition.clone()).collect(),
        sessions,
    })
}

/// The calls of the oracle, case by case.
fn of_suite(suite: &Suite, facts: &HostFacts) -> Result<Vec<Planned>, CliError> {
    let offered: Vec<_> = facts
        .tools
        .iter()
        .filter(|tool| tool.refused.is_none())
        .map(|tool| tool.definition.clone())
        .collect();
    suite
        .cases
        .iter()
        .map(|case| {
            let calls = oracle_calls(case, &offered)
                .map_err(|reason| CliError::usage(format!("case `{}`: {reason}", case.id)))?;
            Ok(Planned {
                id: case.id.clone(),
                calls,
            })
        })
        .collect()
}

/// The calls of the command line; made-up ones of every tool that may be called otherwise.
fn given(app: &App, args: &RecordArgs, facts: &HostFacts) -> Result<Planned, CliError> {
    let mut calls = Vec::new();
    for text in &args.call {
        let (tool, arguments) = text.split_once('=').ok_or_else(|| {
            CliError::usage(format!("`--call {text}`: there is no `=`")).hint(
                "write a tool's name, `=` and its arguments: --call 'get_time={\"zone\": \"UTC\"}'",
            )
        })?;
        calls.push(ToolCall::new(
            tool,
            Value::Object(read_arguments(arguments)?),
        ));
    }
    if let Some(path) = &args.calls {
        calls.extend(read_calls(path)?);
    }
    for call in &calls {
        let tool = find(facts, &call.name)?;
        if let Some(reason) = &tool.refused {
            return Err(
                CliError::usage(format!("`{}` is refused: {reason}", call.name)).hint(
                    if reason.contains("--allow-destructive") {
                        "add `--allow-destructive` where the server may lose what it has".to_owned()
                    } else {
                        format!("`--allow-tool {}` allows it", call.name)
                    },
                ),
            );
        }
        check(&tool.definition, call)?;
    }
    if args.call.is_empty() && args.calls.is_none() {
        for tool in &facts.tools {
            let name = &tool.definition.name;
            match (&tool.refused, examples(&tool.definition, None)) {
                (Some(reason), _) => app.ui.say(&format!("not called: {name}: {reason}")),
                (None, Err(reason)) => app.ui.say(&format!("not called: {name}: {reason}")),
                (None, Ok(made)) => {
                    calls.push(ToolCall::new(name, Value::Object(made.required)));
                }
            }
        }
    }
    if calls.is_empty() {
        return Err(CliError::usage("there is no call to record")
            .kind("nothing_selected", Status::NothingSelected)
            .hint("allow a tool with --allow-tool NAME, or give calls with --call TOOL={…}"));
    }
    Ok(Planned {
        id: "all".to_owned(),
        calls,
    })
}

/// One call a line: `{"name": …, "arguments": {…}}`.
fn read_calls(path: &Path) -> Result<Vec<ToolCall>, CliError> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {shown}: {error}")))?;
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let wrong = |reason: String| {
                CliError::usage(format!("{shown}:{}: {reason}", index + 1)).hint(
                    "write one call a line: {\"name\": \"get_time\", \"arguments\": {\"zone\": \"UTC\"}}",
                )
            };
            let value: Value =
                serde_json::from_str(line).map_err(|error| wrong(format!("not JSON: {error}")))?;
            let name = value["name"]
                .as_str()
                .ok_or_else(|| wrong("the call has no `name`".to_owned()))?;
            match value.get("arguments") {
                None => Ok(ToolCall::new(name, Value::Object(Map::new()))),
                Some(arguments @ Value::Object(_)) => Ok(ToolCall::new(name, arguments.clone())),
                Some(_) => Err(wrong("`arguments` is no object".to_owned())),
            }
        })
        .collect()
}

fn answer_of(answer: Result<crate::types::ToolResult, ToolHostError>) -> RecordedAnswer {
    match answer {
        Ok(result) => RecordedAnswer::Result {
            text: result.content,
            structured: result.structured,
            is_error: result.is_error,
        },
        Err(error) => RecordedAnswer::Fault {
            fault: match error.code {
                Code::ToolTimeout => HostFault::Timeout,
                Code::McpProtocolError => HostFault::Protocol,
                _ => HostFault::Broken,
            },
            words: error.message,
        },
    }
}

/// Plays the mock with the recorded calls; the number of calls, each answered as recorded.
fn replay(shown: &str, text: &str, recorded: &Recording) -> Result<usize, CliError> {
    let wrong = |reason: String| {
        CliError::usage(format!("the recording is not a sound mock: {reason}"))
            .hint("nothing was written; report it with the tool's schema")
    };
    let (suite, problems) = read_text(shown, text)?;
    if let Some(problem) = problems.iter().find(|problem| !problem.unwritten) {
        return Err(wrong(problem.message.clone()));
    }
    let host = run::mock(&suite)?;
    block_on(async {
        let mut played = 0;
        for session in &recorded.sessions {
            let case = suite.cases.iter().find(|case| case.id == session.id);
            let state = case.and_then(|case| case.state.as_ref());
            let mut open = host
                .open(state)
                .await
                .map_err(|error| wrong(error.message))?;
            for call in &session.calls {
                let arguments = Value::Object(call.arguments.clone());
                let answer = open.call(&ToolCall::new(&call.tool, arguments)).await;
                if !is_same(&call.answer, &answer_of(answer)) {
                    return Err(wrong(format!("it answers `{}` otherwise", call.tool)));
                }
                played += 1;
            }
        }
        Ok(played)
    })?
}

/// Structure is kept only where the text is the same JSON, and a fault's words are the mock's own.
fn is_same(recorded: &RecordedAnswer, played: &RecordedAnswer) -> bool {
    match (recorded, played) {
        (
            RecordedAnswer::Result { text, is_error, .. },
            RecordedAnswer::Result {
                text: played_text,
                is_error: played_error,
                ..
            },
        ) => text == played_text && is_error == played_error,
        (
            RecordedAnswer::Fault { fault, .. },
            RecordedAnswer::Fault {
                fault: played_fault,
                ..
            },
        ) => fault == played_fault,
        _ => false,
    }
}

fn write(path: &Path, text: &str, force: bool) -> Result<(), CliError> {
    let shown = path.display();
    if path.exists() && !force {
        return Err(
            CliError::usage(format!("{shown} is there already and is not overwritten"))
                .hint("choose another name, or overwrite it with --force"),
        );
    }
    std::fs::write(path, text).map_err(|error| {
        CliError::usage(format!("cannot write {shown}: {error}"))
            .kind("output", Status::NotWritten)
            .hint("choose another folder with --out")
    })
}
