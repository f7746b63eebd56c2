//! `toolbench mcp bench`: the time of a call there and back.

mod children;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

use self::children::Child;
use super::super::{App, CliError, Status, print, print_json};
use super::call::{check, find, read_arguments};
use super::{call_limit, host_failed, with_host};
use crate::authoring::example::examples;
use crate::cli::args::ListFormat;
use crate::cli::host_args::{HostArgs, OpenedHost};
use crate::cli::mcp_args::BenchArgs;
use crate::clock::Stopwatch;
use crate::config::Resolved;
use crate::metrics::latency::Quantiles;
use crate::tools::HostFacts;
use crate::tools::mcp::{Allowed, Safety};
use crate::types::host::Protocol;
use crate::types::{ToolCall, did_you_mean};

/// The mock that `--all` measures.
const BUNDLED: &str = "weather";

/// One line of the table.
struct Row {
    transport: String,
    protocol: Option<String>,
    start_ms: f64,
    times: Quantiles,
    /// Answers in which the tool said that it failed.
    errors: u32,
    /// What the median of the bundled mock should stay below.
    target_ms: Option<f64>,
}

/// What is called.
struct Subject {
    name: String,
    call: ToolCall,
}

/// Measures one server, or the bundled mock over every transport.
pub(super) fn bench(app: &App, resolved: &Resolved, args: &BenchArgs) -> Result<Status, CliError> {
    let given = args.arguments.as_deref().map(read_arguments).transpose()?;
    let (subject, rows) = if args.all {
        all(app, resolved, args, given.as_ref())?
    } else {
        let opened = open(app, resolved, args, &args.server)?;
        let (subject, row) = with_host(app, &opened, measure(args, &opened, given.as_ref(), None))?;
        (subject, vec![row])
    };
    match args.format {
        ListFormat::Json => print_json(&to_json(args, &subject, &rows))?,
        ListFormat::Terminal => print(&to_text(args, &subject, &rows))?,
    }
    Ok(Status::Complete)
}

fn open(
    app: &App,
    resolved: &Resolved,
    args: &BenchArgs,
    server: &HostArgs,
) -> Result<OpenedHost, CliError> {
    let mut safety = Safety {
        calls_budget: u64::MAX,
        bytes_budget: usize::MAX,
        ..args.safety.safety()?
    };
    if let Some(tool) = &args.tool {
        // A tool that is named to be called is allowed by name.
        safety.allowed = Allowed::ReadOnlyAnd(vec![tool.clone()]);
    }
    let limit = call_limit(app, resolved)?;
    server.open_one(app, resolved, &safety, limit)
}

/// The mock in process, then over each transport, served by a child of this program.
fn all(
    app: &App,
    resolved: &Resolved,
    args: &BenchArgs,
    given: Option<&Map<String, Value>>,
) -> Result<(Subject, Vec<Row>), CliError> {
    let mock = match args.server.mock.as_slice() {
        [] => BUNDLED.to_owned(),
        [one] => one.clone(),
        _ => {
            return Err(CliError::usage(
                "`--all` measures one mock, and several are named",
            ));
        }
    };
    let others = HostArgs {
        mock: Vec::new(),
        ..args.server.clone()
    };
    if others.is_given() {
        return Err(CliError::usage(
            "`--all` measures a mock over every transport, and a server is named",
        )
        .hint("leave `--all` out to measure the server, or name a mock: --all --mock weather"));
    }
    let direct = HostArgs {
        mock: vec![mock.clone()],
        ..others.clone()
    };
    let opened = open(app, resolved, args, &direct)?;
    let (subject, row) = with_host(app, &opened, measure(args, &opened, given, Some(0.1)))?;
    let mut rows = vec![Row {
        transport: "in process".to_owned(),
        ..row
    }];
    // The tool is called by name, and is therefore allowed on servers that say nothing of it.
    let named = BenchArgs {
        tool: Some(subject.call.name.clone()),
        arguments: None,
        calls: args.calls,
        warm_up: args.warm_up,
        all: false,
        server: HostArgs::default(),
        safety: args.safety.clone(),
        format: args.format,
    };
    let arguments = subject.call.arguments.as_object().cloned();
    for (flag, target_ms, protocol) in [
        ("stdio", 2.0, None),
        ("--http", 2.0, Some(Protocol::V2025_11_25)),
        ("--http", 2.0, Some(Protocol::V2026_07_28)),
        ("--ws", 2.0, None),
        ("--grpc", 5.0, None),
    ] {
        let child = Child::start(app, &mock, flag)?;
        let server = HostArgs {
            protocol: protocol.or(others.protocol),
            ..child.server()
        };
        let opened = open(app, resolved, &named, &server)?;
        let work = measure(&named, &opened, arguments.as_ref(), Some(target_ms));
        let (_, row) = with_host(app, &opened, work)?;
        rows.push(row);
    }
    Ok((subject, rows))
}

async fn measure(
    args: &BenchArgs,
    opened: &OpenedHost,
    given: Option<&Map<String, Value>>,
    target_ms: Option<f64>,
) -> Result<(Subject, Row), CliError> {
    let failed = |error: &_| host_failed(opened, error);
    let watch = Stopwatch::start();
    let facts = opened.host.facts().await.map_err(|error| failed(&error))?;
    let call = subject(args, &facts, given)?;
    let mut session = opened
        .host
        .open(None)
        .await
        .map_err(|error| failed(&error))?;
    let start_ms = watch.elapsed_ms();
    let mut errors = 0;
    let mut times = Vec::with_capacity(args.calls as usize);
    for number in 0..args.warm_up + args.calls {
        let watch = Stopwatch::start();
        let answer = session.call(&call).await.map_err(|error| failed(&error))?;
        let time = watch.elapsed_ms();
        if number < args.warm_up {
            continue;
        }
        times.push(time);
        errors += u32::from(answer.is_error);
        // In process nothing waits: the runtime gets a chance to hear Ctrl-C.
        if number % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let row = Row {
        transport: facts.transport.clone(),
        protocol: facts.protocol.clone(),
        start_ms,
        times: Quantiles::of(vec![times]),
        errors,
        target_ms,
    };
    let name = facts
        .identity
        .clone()
        .unwrap_or_else(|| opened.name.clone());
    Ok((Subject { name, call }, row))
}

/// The call that is measured.
fn subject(
    args: &BenchArgs,
    facts: &HostFacts,
    given: Option<&Map<String, Value>>,
) -> Result<ToolCall, CliError> {
    let tool = match &args.tool {
        Some(name) => find(facts, name)?,
        None => facts
            .tools
            .iter()
            .find(|tool| tool.refused.is_none())
            .ok_or_else(|| {
                let names: Vec<&str> = facts
                    .tools
                    .iter()
                    .map(|tool| tool.definition.name.as_str())
                    .collect();
                let near = did_you_mean("", names.iter().copied());
                CliError::usage("no tool of the server is marked read-only, and none is named")
                    .hint(near.unwrap_or_else(|| {
                        format!(
                            "name one that may be called again and again: {}",
                            names.join(", ")
                        )
                    }))
            })?,
    };
    if let Some(reason) = &tool.refused {
        return Err(CliError::usage(format!(
            "`{}` is refused: {reason}",
            tool.definition.name
        )));
    }
    let arguments = match given {
        Some(given) => given.clone(),
        None => {
            examples(&tool.definition, None)
                .map_err(|reason| {
                    CliError::usage(format!("`{}`: {reason}", tool.definition.name))
                        .hint("give the arguments: --arguments '{…}'")
                })?
                .required
        }
    };
    let call = ToolCall::new(&tool.definition.name, Value::Object(arguments));
    check(&tool.definition, &call)?;
    Ok(call)
}

fn to_json(args: &BenchArgs, subject: &Subject, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "transport": row.transport, "protocol": row.protocol, "n": row.times.n,
                "p50_ms": row.times.p50, "p90_ms": row.times.p90, "p99_ms": row.times.p99,
                "max_ms": row.times.max, "start_ms": row.start_ms, "errors": row.errors,
                "target_ms": row.target_ms,
                "target_met": row.target_ms.and_then(|target| Some(row.times.p50? <= target)),
            })
        })
        .collect();
    json!({
        "server": subject.name, "tool": subject.call.name, "arguments": subject.call.arguments,
        "calls": args.calls, "warm_up": args.warm_up, "transports": rows,
    })
}

fn to_text(args: &BenchArgs, subject: &Subject, rows: &[Row]) -> String {
    let mut out = format!(
        "{}, {} {}\n{} calls one after another, after {} to warm up; milliseconds there and back\n\n",
        subject.name, subject.call.name, subject.call.arguments, args.calls, args.warm_up
    );
    let has_targets = rows.iter().any(|row| row.target_ms.is_some());
    let _ = write!(
        out,
        "{:<11}{:<12}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "transport", "protocol", "n", "p50", "p90", "p99", "max", "start"
    );
    out.push_str(if has_targets { "  target p50\n" } else { "\n" });
    for row in rows {
        let _ = write!(
            out,
            "{:<11}{:<12}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9.0}",
            row.transport,
            row.protocol.as_deref().unwrap_or("–"),
            row.times.n,
            shown(row.times.p50),
            shown(row.times.p90),
            shown(row.times.p99),
            shown(row.times.max),
            row.start_ms
        );
        if let (Some(target), Some(p50)) = (row.target_ms, row.times.p50) {
            let word = if p50 <= target { "met" } else { "missed" };
            let _ = write!(out, "  {target} {word}");
        }
        out.push('\n');
    }
    let errors: u32 = rows.iter().map(|row| row.errors).sum();
    if errors > 0 {
        let _ = writeln!(
            out,
            "\nnote: in {errors} answers the tool said that it failed; --arguments gives better ones"
        );
    }
    if has_targets {
        out.push_str("\nThe targets are for this mock and a quiet machine; other servers have their own speed.\n");
    }
    out
}

fn shown(time: Option<f64>) -> String {
    match time {
        None => "–".to_owned(),
        Some(ms) if ms < 10.0 => format!("{ms:.3}"),
        Some(ms) => format!("{ms:.1}"),
    }
}

/// How long a child is given to say where it listens.
const CHILD_LIMIT: Duration = Duration::from_secs(20);
