//! Arguments of `toolbench mcp …`. Nothing is resolved here.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Commands on tool servers.
#[derive(Debug, Subcommand)]
pub(super) enum McpCommand {
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
