//! Arguments of `toolbench mcp …`. Nothing is resolved here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::args::ListFormat;
use super::host_args::HostArgs;
use super::safety_args::SafetyArgs;

/// Commands on tool servers.
#[derive(Debug, Subcommand)]
pub(super) enum McpCommand {
    /// List a server's tools: arguments, hints, and whether they may be called
    #[command(
        after_help = "Examples:\n  toolbench mcp tools --stdio \"npx -y @modelcontextprotocol/server-everything\"\n  toolbench mcp tools --http http://127.0.0.1:3001/mcp --format json\n  toolbench mcp tools --mock weather"
    )]
    Tools(ToolsArgs),
    /// Call one tool; the arguments are checked against its schema first
    #[command(
        after_help = "Naming a tool allows it; one that may destroy things needs --allow-destructive too.\nExit code 1: the tool answered that it failed. 3: the server failed.\n\nExamples:\n  toolbench mcp call get_current_weather --mock weather --arguments '{\"city\": \"Berlin\"}'\n  toolbench mcp call echo --http http://127.0.0.1:3001/mcp --arguments @arguments.json --format json"
    )]
    Call(CallArgs),
    /// Measure the time of a call there and back, on one transport or on all
    #[command(
        after_help = "Times are nearest-rank quantiles of raw values; p90 is shown from 10 calls, p99 from 100.\nThe targets are for the bundled mock, p50: 0.1 ms in process, 2 ms on this machine, 5 ms over gRPC.\n\nExamples:\n  toolbench mcp bench --all\n  toolbench mcp bench --stdio \"node server.js\" echo --arguments '{\"message\": \"hi\"}' --calls 2000"
    )]
    Bench(BenchArgs),
    /// Record what a real server answers as a mock that answers the same
    #[command(
        after_help = "Without --call, --calls and --suite each tool that may be called is called with made-up arguments.\nThe mock is played against the recording before the file is written.\n\nExamples:\n  toolbench mcp record --out taken.yaml --stdio \"node server.js\" --call 'echo={\"message\": \"hi\"}'\n  toolbench mcp record --out taken.yaml --http http://127.0.0.1:3001/mcp --calls calls.jsonl\n  toolbench mcp record --out files-offline.yaml --suite filesystem"
    )]
    Record(RecordArgs),
    /// The client that the official conformance suite drives
    #[command(hide = true)]
    ConformanceClient {
        /// The suite's server
        url: String,
    },
    /// Serve a suite's mock to any client, with faults if they are asked for
    #[command(
        after_help = "The mock speaks 2025-11-25 and 2026-07-28. Its state lives as long as the server, for all clients.\n\nFaults: delay=500ms, error, timeout, wrong_type, malformed_frame, banner, disconnect, huge (16 MB),\nrate_limit; each may go on with tool=NAME, call=N (the Nth call), rate=P,seed=S (a share of the calls).\n\nExamples:\n  toolbench mcp serve weather\n  toolbench mcp serve weather --http 127.0.0.1:8080\n  toolbench mcp serve --mock recorded.yaml --http 0 --fault delay=200ms --fault error,tool=get_time,call=3"
    )]
    Serve(ServeArgs),
}

/// Arguments of `mcp serve`.
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Suite whose mock is served: a name of `toolbench suite list`, or a file
    #[arg(value_name = "SUITE", required_unless_present_any = ["mock", "script"], conflicts_with_all = ["mock", "script"])]
    pub(super) suite: Option<String>,
    /// File with `tools` and `mock`: a suite, or what `toolbench mcp record` wrote
    #[arg(long, value_name = "FILE", conflicts_with = "script")]
    pub(super) mock: Option<String>,
    /// File with a whole server as data, for tests of clients (see fixtures/conformance/server.yaml)
    #[arg(long, value_name = "FILE", hide = true)]
    pub(super) script: Option<PathBuf>,
    /// Where to listen, instead of standard input and output.
    #[command(flatten)]
    pub(super) listen: ListenArgs,
    /// A fault, and the calls that it hits; may be repeated
    #[arg(long, value_name = "KIND[,KEY=VALUE…]")]
    pub(super) fault: Vec<String>,
    /// File with a list of such faults, in YAML or JSON
    #[arg(long, value_name = "FILE")]
    pub(super) faults: Option<PathBuf>,
}

/// Where a server listens.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub(super) struct ListenArgs {
    /// Streamable HTTP at this address, or at this port of 127.0.0.1 (0 chooses one)
    #[arg(long, value_name = "ADDRESS")]
    pub(super) http: Option<String>,
    /// WebSocket (experimental)
    #[arg(long, value_name = "ADDRESS")]
    pub(super) ws: Option<String>,
    /// gRPC: one stream of messages (experimental)
    #[arg(long, value_name = "ADDRESS")]
    pub(super) grpc: Option<String>,
}

/// Arguments of `mcp tools`.
#[derive(Debug, Args)]
pub(super) struct ToolsArgs {
    /// Which server.
    #[command(flatten)]
    pub(super) server: HostArgs,
    /// What may be called there.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// Print each tool's schema whole
    #[arg(long)]
    pub(super) schemas: bool,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}

/// Arguments of `mcp call`.
#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// The tool
    #[arg(value_name = "TOOL")]
    pub(super) tool: String,
    /// Its arguments: a JSON object, or `@FILE` with one
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub(super) arguments: String,
    /// Send arguments that the tool's schema does not allow
    #[arg(long)]
    pub(super) no_validate: bool,
    /// Which server.
    #[command(flatten)]
    pub(super) server: HostArgs,
    /// What may be called there.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}

/// Arguments of `mcp bench`.
#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    /// The tool; the first one that may be called without it
    #[arg(value_name = "TOOL")]
    pub(super) tool: Option<String>,
    /// Its arguments: a JSON object, or `@FILE` with one; made from its schema without it
    #[arg(long, value_name = "JSON")]
    pub(super) arguments: Option<String>,
    /// Calls that are measured
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) calls: u32,
    /// Calls before those, to warm up
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    pub(super) warm_up: u32,
    /// A mock over every transport, one after another: the bundled one, or that of --mock
    #[arg(long)]
    pub(super) all: bool,
    /// Which server.
    #[command(flatten)]
    pub(super) server: HostArgs,
    /// What may be called there.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
    /// Output format
    #[arg(long, value_enum, default_value = "terminal")]
    pub(super) format: ListFormat,
}

/// Arguments of `mcp record`.
#[derive(Debug, Args)]
pub(super) struct RecordArgs {
    /// File to write; its name is the suite's
    #[arg(long, value_name = "FILE")]
    pub(super) out: PathBuf,
    /// Overwrite it
    #[arg(long)]
    pub(super) force: bool,
    /// A call to make: a tool's name, `=`, and its arguments as JSON; may be repeated
    #[arg(long, value_name = "TOOL={…}")]
    pub(super) call: Vec<String>,
    /// File with one call a line: {"name": …, "arguments": {…}}
    #[arg(long, value_name = "FILE")]
    pub(super) calls: Option<PathBuf>,
    /// A suite on a real server: its cases' right calls are made, and its cases kept
    #[arg(long, value_name = "SUITE", conflicts_with_all = ["call", "calls"])]
    pub(super) suite: Option<String>,
    /// Which server.
    #[command(flatten)]
    pub(super) server: HostArgs,
    /// What may be called there.
    #[command(flatten)]
    pub(super) safety: SafetyArgs,
}
