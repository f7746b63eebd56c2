//! How a real tool server is reached and bounded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::tools::sandbox::Sandbox;
use crate::types::host::Protocol;
use crate::types::secret::Secret;

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
    /// Of these, whatever the server has.
    Among(Vec<String>),
    /// Exactly these; a name that the server does not have is an error.
    Only(Vec<String>),
}

/// How a server is reached.
#[derive(Clone, Debug)]
pub enum Reach {
    /// MCP on a child's standard input and output.
    Process(Launch),
    /// MCP over streamable HTTP.
    Http(Endpoint),
    /// MCP over WebSocket.
    WebSocket(Endpoint),
    /// MCP over gRPC.
    Grpc(Endpoint),
    /// A REST tool server.
    Rest(Endpoint),
    /// An OpenAPI tool server; the document is a file or an address.
    OpenApi(Endpoint),
}

impl Reach {
    /// The transport in one word.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Process(_) => "stdio",
            Self::Http(_) => "http",
            Self::WebSocket(_) => "ws",
            Self::Grpc(_) => "grpc",
            Self::Rest(_) => "rest",
            Self::OpenApi(_) => "openapi",
        }
    }
}

impl Reach {
    /// Values that are sent with every request and must not come back in words.
    pub(in crate::tools) fn secrets(&self) -> Vec<Secret> {
        match self {
            Self::Process(_) => Vec::new(),
            Self::Http(endpoint)
            | Self::WebSocket(endpoint)
            | Self::Grpc(endpoint)
            | Self::Rest(endpoint)
            | Self::OpenApi(endpoint) => {
                let values = endpoint.headers.iter();
                values.map(|(_, value)| value.clone()).collect()
            }
        }
    }
}

/// A program to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its working directory.
    pub working_directory: Option<PathBuf>,
    /// Its whole environment; nothing else is inherited. See [`allowed_environment`].
    pub environment: BTreeMap<String, String>,
}

/// An address and what is sent along with every request.
#[derive(Clone, Debug, Default)]
pub struct Endpoint {
    /// The address.
    pub url: String,
    /// Headers (gRPC: metadata).
    pub headers: Vec<(String, Secret)>,
    /// PEM file of a certificate authority to trust besides those of the system.
    pub certificate_authority: Option<PathBuf>,
}

/// What may be called, with what arguments, and how much of it.
#[derive(Clone, Debug)]
pub struct Safety {
    /// Which tools.
    pub allowed: Allowed,
    /// Tools that are allowed by name may be destructive.
    pub allow_destructive: bool,
    /// A tool that says nothing of what it changes counts as destructive.
    pub refuse_unmarked: bool,
    /// What arguments may say.
    pub arguments: ArgumentPolicy,
    /// Calls are written down and answered with a word that says so; none reaches the server.
    pub dry_run: bool,
    /// Calls one session may make; later ones are refused.
    pub calls_budget: u64,
    /// Bytes of results one session may get; the rest is cut off.
    pub bytes_budget: usize,
    /// Time one session may spend in calls; later ones are refused.
    pub time_budget: Option<Duration>,
    /// A list of tools other than the first one goes on instead of ending the trial.
    pub accept_drift: bool,
}

/// What arguments may say, whatever their schema allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgumentPolicy {
    /// Paths must lie below one of these; any path may be named when empty.
    pub roots: Vec<PathBuf>,
    /// No argument may be a network address.
    pub no_network: bool,
}

impl Default for Safety {
    /// Read-only tools, 200 calls and 4 MiB of results a session.
    fn default() -> Self {
        Self {
            allowed: Allowed::ReadOnly,
            allow_destructive: false,
            refuse_unmarked: false,
            arguments: ArgumentPolicy::default(),
            dry_run: false,
            calls_budget: 200,
            bytes_budget: 4 << 20,
            time_budget: None,
            accept_drift: false,
        }
    }
}

/// A real tool server.
#[derive(Clone, Debug)]
pub struct McpSettings {
    /// Short name for messages.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// The version of MCP that is asked for.
    pub protocol: Protocol,
    /// What may be called.
    pub safety: Safety,
    /// Folder that is built before the server starts.
    pub sandbox: Option<Sandbox>,
    /// From spawning or connecting to a listed set of tools.
    pub start_limit: Duration,
    /// One call, from the last sign of progress on.
    pub call_limit: Duration,
    /// How long a call goes on waiting after a line that broke the protocol and may have been
    /// its answer.
    pub fault_grace: Duration,
    /// Longest message that is read.
    pub line_limit_bytes: usize,
}

impl McpSettings {
    /// A server that is started as a child, with the default limits.
    pub fn new(
        name: impl Into<String>,
        program: impl Into<PathBuf>,
        arguments: Vec<String>,
    ) -> Self {
        Self::reached(
            name,
            Reach::Process(Launch {
                program: program.into(),
                arguments,
                working_directory: None,
                environment: BTreeMap::new(),
            }),
        )
    }

    /// Settings with the default limits: read-only tools, 30 s to start and per call.
    pub fn reached(name: impl Into<String>, reach: Reach) -> Self {
        Self {
            name: name.into(),
            reach,
            protocol: Protocol::default(),
            safety: Safety::default(),
            sandbox: None,
            start_limit: Duration::from_secs(30),
            call_limit: Duration::from_secs(30),
            fault_grace: Duration::from_secs(2),
            line_limit_bytes: 8 << 20,
        }
    }

    /// The program to start, where there is one.
    pub fn launch(&self) -> Option<&Launch> {
        match &self.reach {
            Reach::Process(launch) => Some(launch),
            _ => None,
        }
    }

    /// Where relative paths of a server begin, as far as that is known: a program inherits the
    /// working directory of this process.
    pub fn working_directory(&self) -> Option<PathBuf> {
        let launch = self.launch()?;
        let folder = launch.working_directory.clone().unwrap_or_default();
        std::path::absolute(PathBuf::from(".").join(folder)).ok()
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
