//! From an address to a host.
//!
//! Data in: where a server is, what is sent along, what may be called, and the variables of the
//! process. Data out: a host that is not started yet. Invariants: nothing is contacted here; a
//! variable that is named and not set is an error that names it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::ToolHost;
use super::http::{authority, headers};
use super::joined::JoinedHost;
pub use super::joined::unique_name;
use super::mcp::settings::{Endpoint, Launch, McpSettings, Reach, Safety};
use super::mcp::{McpHost, allowed_environment};
use crate::types::host::{Authentication, HostAddress, MissingVariable, Protocol};

/// A server and everything that decides how it is used.
#[derive(Clone, Debug)]
pub struct HostSpec {
    /// Short name for messages, and before the names of tools that several servers have.
    pub name: String,
    /// Where it is.
    pub address: HostAddress,
    /// What is sent along with every request.
    pub authentication: Authentication,
    /// PEM file of a certificate authority to trust besides those of the system.
    pub certificate_authority: Option<PathBuf>,
    /// The version of MCP.
    pub protocol: Protocol,
    /// What may be called.
    pub safety: Safety,
    /// From starting or connecting to a list of tools.
    pub start_limit: Duration,
    /// One call, from the last sign of progress on.
    pub call_limit: Duration,
}

impl HostSpec {
    /// A server with every default: read-only tools, no headers, 30 s to start and per call.
    pub fn new(address: HostAddress) -> Self {
        Self {
            name: address.short_name(),
            address,
            authentication: Authentication::default(),
            certificate_authority: None,
            protocol: Protocol::default(),
            safety: Safety::default(),
            start_limit: Duration::from_secs(30),
            call_limit: Duration::from_secs(30),
        }
    }
}

/// Why there is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// A variable is missing.
    #[error("{name}: {missing}")]
    Variable {
        /// The server.
        name: String,
        /// Which.
        missing: MissingVariable,
    },
    /// What was given cannot be used.
    #[error("{name}: {reason}")]
    Setting {
        /// The server.
        name: String,
        /// Why.
        reason: String,
    },
    /// A suite's mock is made from the suite, by whoever reads suites.
    #[error("{0}: a mock is made from its suite")]
    Mock(String),
}

/// What is wrong with what was given, found without contacting anything: a file that is not there, a
/// header that cannot be sent.
pub fn check(spec: &HostSpec, variables: &BTreeMap<String, String>) -> Result<(), ConnectError> {
    let wrong = |reason: String| ConnectError::Setting {
        name: spec.name.clone(),
        reason,
    };
    if let HostAddress::OpenApi { source } = &spec.address
        && !source.contains("://")
        && let Err(error) = std::fs::metadata(source)
    {
        return Err(wrong(format!("cannot read {source}: {error}")));
    }
    let endpoint = Endpoint {
        url: String::new(),
        headers: spec.authentication.resolve(variables).unwrap_or_default(),
        certificate_authority: spec.certificate_authority.clone(),
    };
    headers(&endpoint).map_err(wrong)?;
    authority(&endpoint).map_err(wrong)?;
    Ok(())
}

/// The host of a server; nothing is contacted yet.
pub fn connect(
    spec: &HostSpec,
    variables: &BTreeMap<String, String>,
) -> Result<Arc<dyn ToolHost>, ConnectError> {
    let headers =
        spec.authentication
            .resolve(variables)
            .map_err(|missing| ConnectError::Variable {
                name: spec.name.clone(),
                missing,
            })?;
    let endpoint = |url: &String| Endpoint {
        url: url.clone(),
        headers: headers.clone(),
        certificate_authority: spec.certificate_authority.clone(),
    };
    let reach = match &spec.address {
        HostAddress::Stdio {
            command,
            arguments,
            environment,
            working_directory,
        } => {
            let own = environment
                .iter()
                .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
                .collect();
            Reach::Process(Launch {
                program: PathBuf::from(command),
                arguments: arguments.clone(),
                working_directory: working_directory.clone(),
                environment: allowed_environment(variables.clone(), &[], &own),
            })
        }
        HostAddress::Http { url } => Reach::Http(endpoint(url)),
        HostAddress::WebSocket { url } => Reach::WebSocket(endpoint(url)),
        HostAddress::Grpc { address } => Reach::Grpc(endpoint(address)),
        HostAddress::Rest { url } => Reach::Rest(endpoint(url)),
        HostAddress::OpenApi { source } => Reach::OpenApi(endpoint(source)),
        HostAddress::Mock { .. } => return Err(ConnectError::Mock(spec.name.clone())),
    };
    let mut settings = McpSettings::reached(&spec.name, reach);
    settings.protocol = spec.protocol;
    settings.safety = spec.safety.clone();
    settings.start_limit = spec.start_limit;
    settings.call_limit = spec.call_limit;
    Ok(Arc::new(McpHost::new(settings)))
}

/// Several servers as one host, each with the name that goes before the names that two of them
/// have; one alone stays as it is.
pub fn join(mut hosts: Vec<(String, Arc<dyn ToolHost>)>) -> Option<Arc<dyn ToolHost>> {
    if hosts.len() <= 1 {
        return hosts.pop().map(|(_, host)| host);
    }
    Some(Arc::new(JoinedHost::new(hosts)))
}
