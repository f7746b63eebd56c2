//! How a real MCP server is started and bounded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::tools::sandbox::Sandbox;

/// Variables a server may inherit by default: what programs need to start at all, nothing that
/// could be a secret.
pub const INHERITED_VARIABLES: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "SYSTEMROOT",
    "COMSPEC",
    "PATHEXT",
    "APPDATA",
    "USERPROFILE",
];

/// Which tools may be offered and called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// Those that the server marks read-only (`readOnlyHint`).
    ReadOnly,
    /// Those that the server marks read-only, and these.
    ReadOnlyAnd(Vec<String>),
    /// Exactly these; a name that the server does not have is an error.
    Only(Vec<String>),
}

/// A server over stdio.
#[derive(Clone, Debug)]
pub struct McpSettings {
    /// Short name for messages.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub working_directory: Option<PathBuf>,
    /// Its whole environment; nothing else is inherited. See [`allowed_environment`].
    pub environment: BTreeMap<String, String>,
    /// What may be called.
    pub allowed: Allowed,
    /// Folder that is built before the server starts.
    pub sandbox: Option<Sandbox>,
    /// From spawning to a listed set of tools.
    pub start_limit: Duration,
    /// One call.
    pub call_limit: Duration,
    /// How long a call goes on waiting after a line that broke the protocol and may have been
    /// its answer.
    pub fault_grace: Duration,
    /// Calls one session may make; later ones are refused.
    pub calls_budget: u64,
    /// Bytes of results one session may get; the rest is cut off.
    pub bytes_budget: usize,
    /// Longest line that is read.
    pub line_limit_bytes: usize,
}

impl McpSettings {
    /// Settings with the default limits: read-only tools, 30 s to start and per call, 200 calls
    /// and 4 MiB of results a session.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        arguments: Vec<String>,
    ) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            arguments,
            working_directory: None,
            environment: BTreeMap::new(),
            allowed: Allowed::ReadOnly,
            sandbox: None,
            start_limit: Duration::from_secs(30),
            call_limit: Duration::from_secs(30),
            fault_grace: Duration::from_secs(2),
            calls_budget: 200,
            bytes_budget: 4 << 20,
            line_limit_bytes: 8 << 20,
        }
    }
}

/// The part of an environment that a server may see: [`INHERITED_VARIABLES`], the names in
/// `also`, and `extra` over both.
pub fn allowed_environment(
    environment: impl IntoIterator<Item = (String, String)>,
    also: &[String],
    extra: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut allowed: BTreeMap<String, String> = environment
        .into_iter()
        .filter(|(name, _)| {
            INHERITED_VARIABLES
                .iter()
                .any(|known| known.eq_ignore_ascii_case(name))
                || also.contains(name)
        })
        .collect();
    allowed.extend(extra.clone());
    allowed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_allowed_variables_pass() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment = [
            pair("PATH", "/bin"),
            pair("OPENAI_API_KEY", "k"),
            pair("DB", "d"),
            pair("TZ", "UTC"),
        ];
        let extra = BTreeMap::from([pair("TZ", "CET")]);
        assert_eq!(
            allowed_environment(environment, &["DB".to_owned()], &extra),
            BTreeMap::from([pair("PATH", "/bin"), pair("DB", "d"), pair("TZ", "CET")])
        );
    }
}
