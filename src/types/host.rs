//! Where a tool host is, and how it is reached.
//!
//! Data in: what people write on the command line or in a client's list. Data out: the same as
//! data. Invariants: a key is named by its variable or held in a [`Secret`], which prints as `***`;
//! [`HostAddress::shown`] holds nothing that follows a `?` or stands before an `@`, and no value of an
//! option that looks like a key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::command_line::without_keys;
use super::secret::Secret;

/// Where a tool host is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAddress {
    /// A program that speaks MCP on its standard input and output.
    Stdio {
        /// The program.
        command: String,
        /// Its arguments.
        arguments: Vec<String>,
        /// Variables of its own, over those that every server may inherit.
        environment: BTreeMap<String, Secret>,
        /// Its working directory.
        working_directory: Option<PathBuf>,
    },
    /// MCP over streamable HTTP.
    Http {
        /// The endpoint, such as `http://127.0.0.1:3001/mcp`.
        url: String,
    },
    /// MCP messages as WebSocket text frames.
    WebSocket {
        /// `ws://` or `wss://`.
        url: String,
    },
    /// MCP messages as lines of one gRPC stream (`proto/toolbench_mcp.proto`).
    Grpc {
        /// `http://HOST:PORT` or `https://HOST:PORT`.
        address: String,
    },
    /// `GET /v1/tools` and `POST /v1/tools/execute`.
    Rest {
        /// What stands before `/v1`.
        url: String,
    },
    /// Operations of an OpenAPI document.
    OpenApi {
        /// A file or the document's address.
        source: String,
    },
    /// A suite whose mock answers in process.
    Mock {
        /// Its name or file.
        file: String,
    },
}

impl HostAddress {
    /// The transport in one word, as messages and tables call it.
    pub fn transport(&self) -> &'static str {
        match self {
            Self::Stdio { .. } => "stdio",
            Self::Http { .. } => "http",
            Self::WebSocket { .. } => "ws",
            Self::Grpc { .. } => "grpc",
            Self::Rest { .. } => "rest",
            Self::OpenApi { .. } => "openapi",
            Self::Mock { .. } => "mock",
        }
    }

    /// The address without what may hold a key, for messages and records.
    pub fn shown(&self) -> String {
        match self {
            Self::Stdio { .. } => self.command_words().0.join(" "),
            Self::Http { url }
            | Self::WebSocket { url }
            | Self::Grpc { address: url }
            | Self::Rest { url }
            | Self::OpenApi { source: url } => without_secrets(url),
            Self::Mock { file } => file.clone(),
        }
    }

    /// Keys that stand on a program's command line.
    pub fn keys(&self) -> Vec<Secret> {
        self.command_words()
            .1
            .into_iter()
            .map(Secret::new)
            .collect()
    }

    /// The words of a program's command without its keys, and the keys.
    fn command_words(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::Stdio {
                command, arguments, ..
            } => without_keys(
                std::iter::once(command.as_str()).chain(arguments.iter().map(String::as_str)),
            ),
            _ => (Vec::new(), Vec::new()),
        }
    }

    /// A short name for a server that has been given none: the program, or the host of its address.
    pub fn short_name(&self) -> String {
        match self {
            Self::Stdio { command, .. } => {
                program_name(command, self.command_words().0.get(1..).unwrap_or_default())
            }
            Self::Mock { file } => file_stem(file),
            Self::OpenApi { source } if !source.contains("://") => file_stem(source),
            other => host_of(&other.shown()).to_owned(),
        }
    }
}

/// Programs that run another one, named by their arguments.
const RUNNERS: [&str; 10] = [
    "node", "npx", "python", "python3", "uv", "uvx", "bun", "bunx", "deno", "docker",
];

fn program_name(command: &str, arguments: &[String]) -> String {
    let program = file_stem(command);
    if !RUNNERS.contains(&program.as_str()) {
        return program;
    }
    // `dist/index.js` of a package says less than the package's folder.
    let is_word =
        |word: &&String| !word.starts_with('-') && *word != "run" && !word.contains("***");
    let Some(target) = arguments.iter().find(is_word) else {
        return program;
    };
    let generic = ["index", "main", "dist", "build", "src", "server", "bin"];
    Path::new(target)
        .components()
        .rev()
        .map(|part| file_stem(&part.as_os_str().to_string_lossy()))
        .find(|part| !part.is_empty() && !generic.contains(&part.as_str()))
        .unwrap_or(program)
}

fn file_stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(
        || path.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
}

fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// An address without user, password and query.
pub fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or(host);
    format!("{scheme}://{host}{path}")
}

/// What is sent with every request to a host: headers, their values known by variable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authentication {
    /// Variable whose value is sent as `Authorization: Bearer …`.
    pub bearer_variable: Option<String>,
    /// Headers by name. In a value `$NAME` and `${NAME}` stand for variables.
    pub headers: Vec<(String, String)>,
    /// Headers whose values are known already, from a client's own list.
    pub known_headers: Vec<(String, Secret)>,
}

impl Authentication {
    /// The headers to send, with the values of `variables`; the name of the variable that is
    /// missing or empty otherwise.
    pub fn resolve(
        &self,
        variables: &BTreeMap<String, String>,
    ) -> Result<Vec<(String, Secret)>, MissingVariable> {
        let value = |name: &str| match variables.get(name).filter(|value| !value.is_empty()) {
            Some(value) => Ok(value.clone()),
            None => Err(MissingVariable(name.to_owned())),
        };
        let mut headers = self.known_headers.clone();
        if let Some(variable) = &self.bearer_variable {
            let bearer = format!("Bearer {}", value(variable)?);
            headers.push(("Authorization".to_owned(), Secret::new(bearer)));
        }
        for (name, template) in &self.headers {
            let filled = fill(template, &value)?;
            headers.push((name.clone(), Secret::new(filled)));
        }
        Ok(headers)
    }
}

/// A variable that is named and not set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the variable `{0}` is not set")]
pub struct MissingVariable(pub String);

/// Puts variables into a header's value.
fn fill(
    template: &str,
    value: &impl Fn(&str) -> Result<String, MissingVariable>,
) -> Result<String, MissingVariable> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, behind) = match after
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
        {
            Some(braced) => braced,
            None => after.split_at(
                after
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap_or(after.len()),
            ),
        };
        if name.is_empty() {
            out.push('$');
        } else {
            out.push_str(&value(name)?);
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// The version of MCP that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// 2025-11-25, with `initialize`.
    #[default]
    V2025_11_25,
    /// 2026-07-28, stateless, with `server/discover`.
    V2026_07_28,
    /// 2026-07-28 where the server speaks it, else 2025-11-25. A server that answers nothing to
    /// `server/discover` costs ten seconds.
    Auto,
}

impl Protocol {
    /// Names, as `--protocol` takes them.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("2025-11-25", Self::V2025_11_25),
        ("2026-07-28", Self::V2026_07_28),
        ("auto", Self::Auto),
    ];
}

impl std::str::FromStr for Protocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::NAMES
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, protocol)| *protocol)
            .ok_or_else(|| {
                format!(
                    "`{text}` is no protocol version; there are 2025-11-25, 2026-07-28 and auto"
                )
            })
    }
}

/// What a case answers when a server asks back in the middle of a call (MCP's elicitation).
#[derive(
    Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields, default)]
pub struct ElicitationAnswer {
    /// Text that the question must contain, without regard to case; any question when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<String>,
    /// What the person does.
    pub action: ElicitationAction,
    /// What the person fills in, when they accept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<serde_json::Value>,
}

/// What a person does with a question.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ElicitationAction {
    /// Fills it in.
    Accept,
    /// Says no.
    #[default]
    Decline,
    /// Closes it without an answer.
    Cancel,
}

/// Something a host did or met that is no result: kept with the trial.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostNote {
    /// What it is.
    pub kind: HostNoteKind,
    /// One sentence.
    pub detail: String,
}

/// Kinds of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostNoteKind {
    /// The server had ended and was started or connected to again.
    Restarted,
    /// A call was refused and did not reach the server.
    Refused,
    /// A call was written down instead of made.
    DryRun,
    /// The server asked back, and this was answered.
    Elicitation,
    /// The server changed its list of tools.
    ToolsChanged,
    /// A breach of the protocol that hurt no call.
    Fault,
    /// A structured result that its own schema does not allow.
    BadStructure,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_key_is_not_shown() {
        let http = |url: &str| HostAddress::Http {
            url: url.to_owned(),
        };
        assert_eq!(
            http("https://user:word@example.org:8443/mcp?key=k#x").shown(),
            "https://example.org:8443/mcp"
        );
        assert_eq!(http("https://example.org/mcp").short_name(), "example.org");
        assert_eq!(format!("{:?}", Secret::new("k1")), "***");
    }

    #[test]
    fn servers_have_short_names() {
        for (command, expected) in [
            ("/usr/bin/my-server --x", "my-server"),
            ("npx -y @scope/server-files .", "server-files"),
            (
                "node a/node_modules/@s/server-x/dist/index.js stdio",
                "server-x",
            ),
            ("python3 -m mcp_server_time", "mcp_server_time"),
            ("node", "node"),
            ("python3 --token xyz789 lc.py", "lc"),
        ] {
            let mut words = command.split(' ').map(str::to_owned);
            let address = HostAddress::Stdio {
                command: words.next().unwrap_or_default(),
                arguments: words.collect(),
                environment: BTreeMap::new(),
                working_directory: None,
            };
            assert_eq!(address.short_name(), expected, "{command}");
        }
    }

    #[test]
    fn headers_take_their_values_from_variables() {
        let variables = BTreeMap::from([("KEY".to_owned(), "k1".to_owned())]);
        let authentication = Authentication {
            bearer_variable: Some("KEY".to_owned()),
            headers: vec![
                ("X-Api-Key".to_owned(), "$KEY".to_owned()),
                ("X-Both".to_owned(), "a ${KEY}-$".to_owned()),
            ],
            known_headers: Vec::new(),
        };
        let resolved = authentication.resolve(&variables).unwrap();
        let shown: Vec<_> = resolved
            .iter()
            .map(|(name, value)| (name.as_str(), value.reveal()))
            .collect();
        assert_eq!(
            shown,
            [
                ("Authorization", "Bearer k1"),
                ("X-Api-Key", "k1"),
                ("X-Both", "a k1-$")
            ]
        );
        let missing = authentication.resolve(&BTreeMap::new()).unwrap_err();
        assert_eq!(missing.to_string(), "the variable `KEY` is not set");
    }
}
