//! `--stdio`, `--http`, …: which tool servers a command speaks to, and what may be called there.
//!
//! Data in: flags, and the lists of clients and editors. Data out: hosts that are not started yet,
//! with the values that must reach no screen and no file. Invariants: a key is given by the name of
//! its variable, never by itself.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::commands::mock;
use super::context::App;
use super::error::CliError;
use crate::config::Resolved;
use crate::tools::ToolHost;
use crate::tools::connect::{ConnectError, HostSpec, check, connect, join, unique_name};
use crate::tools::mcp::listed::{Listed, ListedServer, Placeholders, read_list};
use crate::tools::mcp::{Allowed, Safety};
use crate::types::did_you_mean;
use crate::types::host::{Authentication, HostAddress, Protocol};

/// Which tool servers.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct HostArgs {
    /// Command that starts an MCP server on standard input and output
    #[arg(long, value_name = "COMMAND", help_heading = "Tool server")]
    pub(super) stdio: Vec<String>,
    /// MCP server over streamable HTTP
    #[arg(long, value_name = "URL", help_heading = "Tool server")]
    pub(super) http: Vec<String>,
    /// MCP server over WebSocket
    #[arg(long, value_name = "URL", help_heading = "Tool server")]
    pub(super) ws: Vec<String>,
    /// MCP server over gRPC (proto/toolbench_mcp.proto)
    #[arg(long, value_name = "HOST:PORT", help_heading = "Tool server")]
    pub(super) grpc: Vec<String>,
    /// REST tool server: GET /v1/tools, POST /v1/tools/execute
    #[arg(long, value_name = "URL", help_heading = "Tool server")]
    pub(super) rest: Vec<String>,
    /// OpenAPI document whose operations are the tools
    #[arg(long, value_name = "FILE|URL", help_heading = "Tool server")]
    pub(super) openapi: Vec<String>,
    /// A suite whose mock is taken for the server
    #[arg(long, value_name = "SUITE|FILE", help_heading = "Tool server")]
    pub(super) mock: Vec<String>,
    /// List of servers of a desktop client or editor (`mcpServers`); `FILE#NAME` where it has several
    #[arg(long, value_name = "FILE[#NAME]", help_heading = "Tool server")]
    pub(super) mcp_config: Vec<String>,
    /// Header of every request, its value from a variable: 'X-Api-Key: $MY_KEY'
    #[arg(long, value_name = "NAME: $VARIABLE", help_heading = "Tool server")]
    pub(super) header: Vec<String>,
    /// Variable that holds the token for `Authorization: Bearer …`
    #[arg(long, value_name = "VARIABLE", help_heading = "Tool server")]
    pub(super) bearer_env: Option<String>,
    /// Certificate authority to trust besides the system's (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Tool server")]
    pub(super) ca: Option<PathBuf>,
    /// Version of MCP: 2025-11-25, 2026-07-28, or auto
    #[arg(long, value_name = "VERSION", help_heading = "Tool server")]
    pub(super) protocol: Option<Protocol>,
}

/// A host of the command line.
pub(super) struct OpenedHost {
    /// Short name.
    pub(super) name: String,
    /// Its transport and address without anything secret, for records.
    pub(super) shown: String,
    /// The host; nothing is contacted yet.
    pub(super) host: Arc<dyn ToolHost>,
    /// Values that must reach no screen and no file, the longest first.
    pub(super) secrets: Vec<String>,
    /// It is a mock: calling it changes nothing.
    pub(super) is_mock: bool,
}

impl OpenedHost {
    /// A text without the server's secrets.
    pub(super) fn without_secrets(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// Addresses of one flag, what they become, the schemes they may have, and the flag.
type Given<'a> = (
    &'a [String],
    fn(String) -> HostAddress,
    &'a [&'a str],
    &'a str,
);

/// What follows from all flags for every server.
struct Common<'a> {
    app: &'a App,
    resolved: &'a Resolved,
    safety: &'a Safety,
    call_limit: Duration,
    /// Names of the servers so far.
    taken: RefCell<Vec<String>>,
}

impl Common<'_> {
    /// Two servers of one name are told apart by a number.
    fn own_name(&self, name: &str) -> String {
        let mut taken = self.taken.borrow_mut();
        let own = unique_name(name, &taken);
        taken.push(own.clone());
        own
    }
}

impl HostArgs {
    /// Some server is named.
    pub(super) fn is_given(&self) -> bool {
        self.count() > 0
    }

    fn count(&self) -> usize {
        [
            &self.stdio,
            &self.http,
            &self.ws,
            &self.grpc,
            &self.rest,
            &self.openapi,
            &self.mock,
            &self.mcp_config,
        ]
        .iter()
        .map(|given| given.len())
        .sum()
    }

    /// The only server that is named.
    pub(super) fn open_one(
        &self,
        app: &App,
        resolved: &Resolved,
        safety: &Safety,
        call_limit: Duration,
    ) -> Result<OpenedHost, CliError> {
        let mut hosts = self.open(app, resolved, safety, call_limit)?;
        match hosts.len() {
            1 => Ok(hosts.remove(0)),
            0 => Err(CliError::usage("no tool server is named").hint(
                "name one: --stdio COMMAND, --http URL, --ws URL, --grpc HOST:PORT, --rest URL, --openapi FILE, --mock SUITE or --mcp-config FILE",
            )),
            count => Err(CliError::usage(format!(
                "{count} tool servers are named, and this command takes one; `--{}` cannot be used with the others",
                if self.stdio.is_empty() { "mock" } else { "stdio" }
            ))
            .hint("`run` and `compare` take several")),
        }
    }

    /// Every server that is named, in the order of the flags above.
    pub(super) fn open(
        &self,
        app: &App,
        resolved: &Resolved,
        safety: &Safety,
        call_limit: Duration,
    ) -> Result<Vec<OpenedHost>, CliError> {
        self.check_address_flags()?;
        let common = Common {
            app,
            resolved,
            safety,
            call_limit,
            taken: RefCell::default(),
        };
        let mut hosts = Vec::new();
        for command in &self.stdio {
            hosts.push(self.reach(&common, command_line(command)?)?);
        }
        let urls: [Given<'_>; 3] = [
            (
                &self.http,
                |url| HostAddress::Http { url },
                &["http", "https"],
                "--http",
            ),
            (
                &self.ws,
                |url| HostAddress::WebSocket { url },
                &["ws", "wss"],
                "--ws",
            ),
            (
                &self.rest,
                |url| HostAddress::Rest { url },
                &["http", "https"],
                "--rest",
            ),
        ];
        for (given, address, schemes, flag) in urls {
            for url in given {
                check_scheme(flag, url, schemes)?;
                hosts.push(self.reach(&common, address(url.clone()))?);
            }
        }
        for address in &self.grpc {
            let address = if address.contains("://") {
                check_scheme("--grpc", address, &["http", "https"])?;
                address.clone()
            } else {
                format!("http://{address}")
            };
            check_port(&address)?;
            hosts.push(self.reach(&common, HostAddress::Grpc { address })?);
        }
        for source in &self.openapi {
            let source = source.clone();
            hosts.push(self.reach(&common, HostAddress::OpenApi { source })?);
        }
        for name in &self.mock {
            hosts.push(suite_mock(&common, name)?);
        }
        for list in &self.mcp_config {
            for (name, server) in listed_servers(app, list)? {
                hosts.push(self.listed(&common, &name, &server)?);
            }
        }
        Ok(hosts)
    }

    /// Flags that mean nothing to the servers that are named would be lost without a word.
    fn check_address_flags(&self) -> Result<(), CliError> {
        let has_address = self.count() > self.stdio.len() + self.mock.len();
        let given = [
            ("--header", !self.header.is_empty()),
            ("--bearer-env", self.bearer_env.is_some()),
            ("--ca", self.ca.is_some()),
        ];
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) if !has_address => Err(CliError::usage(format!(
                "`{flag}` is for servers that are reached at an address, and none is named"
            ))
            .hint("name one with --http, --ws, --grpc, --rest or --openapi; a program gets its keys from `env` of a `--mcp-config` list")),
            _ => Ok(()),
        }
    }

    /// All servers as one host, each tool under its own name where two have it.
    pub(super) fn join(hosts: &[OpenedHost]) -> Option<Arc<dyn ToolHost>> {
        join(
            hosts
                .iter()
                .map(|opened| (opened.name.clone(), Arc::clone(&opened.host)))
                .collect(),
        )
    }

    fn reach(&self, common: &Common<'_>, address: HostAddress) -> Result<OpenedHost, CliError> {
        let is_program = matches!(address, HostAddress::Stdio { .. });
        let mut spec = self.spec(common, address, None);
        if !is_program {
            spec.authentication = self.authentication()?;
        }
        connected(common.app, &spec)
    }

    fn listed(
        &self,
        common: &Common<'_>,
        name: &str,
        server: &ListedServer,
    ) -> Result<OpenedHost, CliError> {
        let mut spec = self.spec(common, server.address.clone(), Some(name));
        if !matches!(server.address, HostAddress::Stdio { .. }) {
            spec.authentication = self.authentication()?;
            spec.authentication
                .known_headers
                .clone_from(&server.headers);
        }
        let mut opened = connected(common.app, &spec)?;
        opened.secrets.extend(server.secrets());
        // The longest first: one may be part of another.
        opened
            .secrets
            .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        Ok(opened)
    }

    fn spec(&self, common: &Common<'_>, address: HostAddress, name: Option<&str>) -> HostSpec {
        let mut spec = HostSpec::new(address);
        spec.name = common.own_name(name.unwrap_or(&spec.name));
        spec.certificate_authority.clone_from(&self.ca);
        spec.protocol = self.protocol.unwrap_or_default();
        spec.safety = common.safety.clone();
        if let Allowed::ReadOnlyAnd(tools) = &mut spec.safety.allowed {
            // As the tool is called where two servers have it.
            let prefix = format!("{}.", spec.name);
            let own = tools.iter().filter_map(|tool| tool.strip_prefix(&prefix));
            let own: Vec<String> = own.map(str::to_owned).collect();
            tools.extend(own);
        }
        spec.call_limit = common.call_limit;
        spec
    }

    fn authentication(&self) -> Result<Authentication, CliError> {
        let headers = self
            .header
            .iter()
            .map(|header| read_header(header))
            .collect::<Result<_, _>>()?;
        Ok(Authentication {
            bearer_variable: self.bearer_env.clone(),
            headers,
            known_headers: Vec::new(),
        })
    }
}

fn connected(app: &App, spec: &HostSpec) -> Result<OpenedHost, CliError> {
    let variables = &app.env.variables;
    let wrong = |error: ConnectError| {
        let hint = match &error {
            ConnectError::Setting { .. } => {
                "name a file that is there, and a variable whose value can be sent in a header"
            }
            _ => "set the variable to the key, then run the same command again",
        };
        CliError::usage(error.to_string()).hint(hint)
    };
    check(spec, variables).map_err(wrong)?;
    let host = connect(spec, variables).map_err(wrong)?;
    let sent = spec.authentication.resolve(variables).unwrap_or_default();
    let keys = spec.address.keys();
    let mut secrets: Vec<String> = sent
        .iter()
        .map(|(_, value)| value.reveal())
        .map(|value| value.strip_prefix("Bearer ").unwrap_or(value).to_owned())
        .filter(|value| !value.is_empty())
        // A word of one or two letters would blot out every other word.
        .chain(
            keys.iter()
                .map(|key| key.reveal().to_owned())
                .filter(|key| key.len() > 2),
        )
        .collect();
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(OpenedHost {
        name: spec.name.clone(),
        shown: format!("{} {}", spec.address.transport(), spec.address.shown()),
        host,
        secrets,
        is_mock: false,
    })
}

fn suite_mock(common: &Common<'_>, name: &str) -> Result<OpenedHost, CliError> {
    let suites = common.app.library(common.resolved).load_draft(name)?;
    match suites.as_slice() {
        [suite] if suite.server.is_none() => Ok(OpenedHost {
            name: common.own_name(&suite.suite),
            shown: format!("mock {}", suite.suite),
            host: Arc::new(mock(suite)?),
            secrets: Vec::new(),
            is_mock: true,
        }),
        _ => Err(
            CliError::usage(format!("suite `{name}` has no mock of its own"))
                .hint("name a suite with `tools` and `mock`; `toolbench suite list` shows them"),
        ),
    }
}

/// Splits a command as a shell would, without running one.
fn command_line(command: &str) -> Result<HostAddress, CliError> {
    let mut words = shlex::split(command)
        .ok_or_else(|| {
            CliError::usage(format!("`--stdio {command}`: a quote is not closed"))
                .hint("quote the whole command once: --stdio \"node server.js 'a folder'\"")
        })?
        .into_iter();
    let command = words.next().ok_or_else(|| {
        CliError::usage("`--stdio` names no command")
            .hint("give the command that starts the server: --stdio \"node server.js DIR\"")
    })?;
    Ok(HostAddress::Stdio {
        command,
        arguments: words.collect(),
        environment: std::collections::BTreeMap::new(),
        working_directory: None,
    })
}

fn check_scheme(flag: &str, url: &str, schemes: &[&str]) -> Result<(), CliError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| schemes.contains(&scheme)) {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "`{flag} {}` is no address that begins with {}://",
        crate::types::host::without_secrets(url),
        schemes.join(":// or ")
    ))
    .hint(format!(
        "write it in full: {flag} {}://127.0.0.1:3001/mcp",
        schemes[0]
    )))
}

/// gRPC has no usual port.
fn check_port(address: &str) -> Result<(), CliError> {
    let shown = crate::types::host::without_secrets(address);
    let place = shown.split_once("://").map_or(&*shown, |(_, place)| place);
    let place = place.trim_end_matches('/');
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if has_port || address.starts_with("https://") {
        return Ok(());
    }
    Err(CliError::usage(format!("`--grpc {place}` names no port"))
        .hint("write host and port: --grpc 127.0.0.1:50051"))
}

/// `Name: $VARIABLE`.
fn read_header(header: &str) -> Result<(String, String), CliError> {
    let form = "write the header's name, a colon and the variable that holds its value, in single quotes: --header 'X-Api-Key: $MY_KEY'";
    let (name, value) = header
        .split_once(':')
        .map(|(name, value)| (name.trim(), value.trim()))
        .filter(|(name, _)| http::HeaderName::try_from(*name).is_ok())
        // What was given may be a key: it is not repeated.
        .ok_or_else(|| CliError::usage("`--header` is not `Name: $VARIABLE`").hint(form))?;
    if !value.contains('$') {
        return Err(CliError::usage(format!(
            "`--header {name}: …` holds a value instead of a variable's name"
        ))
        .hint(form));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// The servers of a client's list that `FILE`, `FILE#NAME` or `FILE#*` names.
fn listed_servers(app: &App, given: &str) -> Result<Vec<(String, ListedServer)>, CliError> {
    let (path, wanted) = match given.rsplit_once('#') {
        Some((path, name)) if !Path::new(given).is_file() => (path, Some(name)),
        _ => (given, None),
    };
    let listed = read_file(app, path)?;
    let enabled = || {
        listed.iter().filter(|(_, server)| {
            !server
                .as_ref()
                .is_ok_and(|server: &ListedServer| server.is_disabled)
        })
    };
    let names = || listed.iter().map(|(name, _)| name.as_str());
    let chosen: Vec<&(String, Result<ListedServer, String>)> = match wanted {
        Some("*") => enabled().collect(),
        Some(wanted) => vec![
            listed
                .iter()
                .find(|(name, _)| name == wanted)
                .ok_or_else(|| {
                    CliError::usage(format!("{path} lists no server `{wanted}`")).hint(
                        did_you_mean(wanted, names()).unwrap_or_else(|| {
                            format!("it lists {}", names().collect::<Vec<_>>().join(", "))
                        }),
                    )
                })?,
        ],
        None => {
            let all: Vec<_> = enabled().collect();
            if all.len() > 1 {
                let each: Vec<String> = all
                    .iter()
                    .map(|(name, _)| format!("--mcp-config '{path}#{name}'"))
                    .collect();
                return Err(CliError::usage(format!("{path} lists several servers"))
                    .hint(format!("name one: {}", each.join(", "))));
            }
            all
        }
    };
    if chosen.is_empty() {
        return Err(CliError::usage(format!(
            "{path} lists no server that is switched on"
        )));
    }
    chosen
        .into_iter()
        .map(|(name, server)| match server {
            Ok(server) => Ok((name.clone(), server.clone())),
            Err(reason) => Err(CliError::usage(format!(
                "server `{name}` of {path} cannot be used: {reason}"
            ))),
        })
        .collect()
}

fn read_file(app: &App, path: &str) -> Result<Listed, CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {path}: {error}"))
            .hint("name the file in which your client or editor lists its `mcpServers`")
    })?;
    let placeholders = Placeholders {
        variables: app.env.variables.clone(),
        directory: app.env.directory.to_string_lossy().into_owned(),
    };
    read_list(&text, &placeholders).map_err(|reason| CliError::usage(format!("{path}: {reason}")))
}
