//! `--allow-tool`, `--paths-under`, …: what may be called on tool servers.
//!
//! Data in: flags, and later what the servers list. Data out: the hosts' settings, the header's words
//! for them. Invariants: a tool that is allowed and that no server has is a mistake, never silence.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::error::CliError;
use super::host_args::OpenedHost;
use crate::record::format::ToolPolicy;
use crate::tools::mcp::{Allowed, ArgumentPolicy, Safety};
use crate::types::did_you_mean;

/// What may be called on a real server.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct SafetyArgs {
    /// Tools that may be called though they are not marked read-only
    #[arg(
        long,
        value_name = "TOOL",
        value_delimiter = ',',
        help_heading = "Tool server"
    )]
    pub(super) allow_tool: Vec<String>,
    /// The tools of --allow-tool may be destructive
    #[arg(long, help_heading = "Tool server")]
    pub(super) allow_destructive: bool,
    /// Paths in arguments must lie below this folder; may be repeated
    #[arg(long, value_name = "DIR", help_heading = "Tool server")]
    pub(super) paths_under: Vec<PathBuf>,
    /// Refuse calls whose arguments name a place in the network
    #[arg(long, help_heading = "Tool server")]
    pub(super) no_network: bool,
    /// Calls a trial may make on the server [default: 200]
    #[arg(long, value_name = "N", help_heading = "Tool server")]
    pub(super) max_tool_calls: Option<u64>,
    /// Bytes of results a trial may get; the rest is cut off [default: 4194304]
    #[arg(long, value_name = "BYTES", help_heading = "Tool server")]
    pub(super) max_tool_bytes: Option<usize>,
    /// Seconds a trial may spend in the server's calls
    #[arg(long, value_name = "SECONDS", help_heading = "Tool server")]
    pub(super) max_tool_time: Option<f64>,
    /// Write calls down instead of making them
    #[arg(long, help_heading = "Tool server")]
    pub(super) dry_run_calls: bool,
    /// Go on though the server's tools are not those of the suite
    #[arg(long, help_heading = "Tool server")]
    pub(super) accept_drift: bool,
}

impl SafetyArgs {
    /// As the hosts take it.
    pub(super) fn safety(&self) -> Result<Safety, CliError> {
        let mut safety = Safety {
            allow_destructive: self.allow_destructive,
            arguments: ArgumentPolicy {
                roots: self.paths_under.clone(),
                no_network: self.no_network,
            },
            dry_run: self.dry_run_calls,
            accept_drift: self.accept_drift,
            ..Safety::default()
        };
        for root in &mut safety.arguments.roots {
            *root = std::path::absolute(&*root).map_err(|error| {
                CliError::usage(format!("`--paths-under {}`: {error}", root.display()))
            })?;
        }
        if !self.allow_tool.is_empty() {
            safety.allowed = Allowed::ReadOnlyAnd(self.allow_tool.clone());
        }
        if let Some(calls) = self.max_tool_calls {
            safety.calls_budget = calls;
        }
        if let Some(bytes) = self.max_tool_bytes {
            safety.bytes_budget = bytes;
        }
        if let Some(seconds) = self.max_tool_time {
            let time = Duration::try_from_secs_f64(seconds).map_err(|_| {
                CliError::usage(format!("`--max-tool-time {seconds}` is no time in seconds"))
            })?;
            safety.time_budget = Some(time);
        }
        Ok(safety)
    }

    /// As a run's header keeps it.
    pub(super) fn policy(&self) -> Result<ToolPolicy, CliError> {
        let safety = self.safety()?;
        Ok(ToolPolicy {
            dry_run: safety.dry_run,
            allow_tool: self.allow_tool.clone(),
            allow_destructive: safety.allow_destructive,
            paths_under: safety
                .arguments
                .roots
                .iter()
                .map(|root| root.display().to_string())
                .collect(),
            no_network: safety.arguments.no_network,
            max_tool_calls: safety.calls_budget,
            max_tool_bytes: safety.bytes_budget as u64,
            max_tool_time_ms: safety
                .time_budget
                .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
            accept_drift: safety.accept_drift,
        })
    }
}

/// Refuses a tool of `--allow-tool` that none of these servers has. One that cannot be reached is
/// not waited for: it has its own message.
pub(super) async fn check_allowed(
    opened: &[OpenedHost],
    allowed: &[String],
) -> Result<(), CliError> {
    let mut names: Vec<String> = Vec::new();
    for host in opened {
        let Ok(facts) = host.host.facts().await else {
            return Ok(());
        };
        for tool in &facts.tools {
            let tool = &tool.definition.name;
            names.extend([tool.clone(), format!("{}.{tool}", host.name)]);
        }
    }
    let Some(absent) = allowed.iter().find(|name| !names.contains(name)) else {
        return Ok(());
    };
    let mut bare: Vec<&str> = names.iter().step_by(2).map(String::as_str).collect();
    bare.sort_unstable();
    bare.dedup();
    let hint = did_you_mean(absent, names.iter().map(String::as_str)).unwrap_or_else(|| {
        if bare.is_empty() {
            "no tool is listed there".to_owned()
        } else {
            format!("there are {}", bare.join(", "))
        }
    });
    Err(CliError::usage(format!(
        "`--allow-tool {absent}`: no server has a tool of that name"
    ))
    .hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flag_is_the_usual_policy() {
        let policy = SafetyArgs::default().policy().unwrap();
        assert_eq!(policy, ToolPolicy::usual());
        assert!(policy.in_words().is_empty());
    }
}
