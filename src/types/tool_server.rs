//! What a record says of the tool servers of a run, and of what could be called on them.
//!
//! Data in: nothing. Data out: plain serialisable values. Invariants: nothing here may be a key.

use serde::{Deserialize, Serialize};

/// A tool server of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolServerHeader {
    /// Short name, and what stands before the name of a tool that two servers have.
    pub name: String,
    /// Transport and address, without anything that may be a key.
    pub address: String,
    /// Name and version that it gave of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// The version of MCP that was spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// How its tools differed from a suite's, accepted with `--accept-drift`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
}

/// What could be called on a run's tool servers, with what arguments, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ToolPolicy {
    /// Calls were written down and answered with a word that says so; none reached a server.
    #[serde(default)]
    pub dry_run: bool,
    /// Tools that could be called though they are not marked read-only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow_tool: Vec<String>,
    /// These could be destructive.
    #[serde(default)]
    pub allow_destructive: bool,
    /// Folders below which paths in arguments had to lie.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths_under: Vec<String>,
    /// No argument could name a place in the network.
    #[serde(default)]
    pub no_network: bool,
    /// Calls a trial could make on a server.
    pub max_tool_calls: u64,
    /// Bytes of results a trial could get of a server.
    pub max_tool_bytes: u64,
    /// Time a trial could spend in a server's calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tool_time_ms: Option<u64>,
    /// Tools other than the suite's were accepted.
    #[serde(default)]
    pub accept_drift: bool,
}

impl ToolPolicy {
    /// What is in force, as its flags say it; nothing for what is as by default.
    pub fn in_words(&self) -> Vec<String> {
        let usual = Self::usual();
        let mut words = Vec::new();
        let mut flag = |is_set: bool, text: String| {
            if is_set {
                words.push(text);
            }
        };
        flag(self.dry_run, "--dry-run-calls".to_owned());
        let tools = self.allow_tool.join(",");
        flag(!tools.is_empty(), format!("--allow-tool {tools}"));
        flag(self.allow_destructive, "--allow-destructive".to_owned());
        for folder in &self.paths_under {
            flag(true, format!("--paths-under {folder}"));
        }
        flag(self.no_network, "--no-network".to_owned());
        flag(
            self.max_tool_calls != usual.max_tool_calls,
            format!("--max-tool-calls {}", self.max_tool_calls),
        );
        flag(
            self.max_tool_bytes != usual.max_tool_bytes,
            format!("--max-tool-bytes {}", self.max_tool_bytes),
        );
        if let Some(time) = self.max_tool_time_ms {
            let seconds = std::time::Duration::from_millis(time).as_secs_f64();
            flag(true, format!("--max-tool-time {seconds}"));
        }
        flag(self.accept_drift, "--accept-drift".to_owned());
        words
    }

    /// What holds where no flag says otherwise.
    pub fn usual() -> Self {
        Self {
            max_tool_calls: 200,
            max_tool_bytes: 4 << 20,
            ..Self::default()
        }
    }
}
