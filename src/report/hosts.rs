//! Which tool servers a run had, and what could be called on them.
//!
//! Data in: [`Summary`]. Data out: unwrapped lines. Invariants: a run whose calls were not made says
//! so before any number.

use crate::metrics::Summary;
use crate::types::tool_server::{ToolPolicy, ToolServerHeader};

/// What must be read before the numbers.
pub(super) fn warning(summary: &Summary) -> Option<String> {
    let policy = summary.header.tool_policy.as_ref()?;
    policy.dry_run.then(|| {
        "DRY RUN: no call reached a tool server (`--dry-run-calls`); every call was answered with a \
         word that says so, and the numbers below say nothing of the servers"
            .to_owned()
    })
}

/// One line a server, and one of what could be called.
pub(super) fn servers(summary: &Summary) -> Vec<String> {
    let header = &summary.header;
    server_lines(&header.tool_servers, header.tool_policy.as_ref())
}

/// The same of a record's header.
pub fn server_lines(servers: &[ToolServerHeader], policy: Option<&ToolPolicy>) -> Vec<String> {
    let mut lines: Vec<String> = servers.iter().map(server_line).collect();
    if let Some(policy) = policy {
        let words = policy.in_words();
        if !words.is_empty() {
            lines.push(format!("what could be called: {}", words.join(" ")));
        }
    }
    lines
}

fn server_line(server: &ToolServerHeader) -> String {
    let mut line = format!("{}: {}", server.name, server.address);
    for part in [&server.identity, &server.protocol].into_iter().flatten() {
        line.push_str(&format!(", {part}"));
    }
    if !server.drift.is_empty() {
        line.push_str(&format!(
            "; its tools are not the suite's, accepted: {}",
            server.drift.join(", ")
        ));
    }
    line
}
