//! One connection to one running server, whatever it speaks.
//!
//! Data in: calls. Data out: results in one shape, or a host error with its code. Invariants:
//! every wait is bounded; a link that was given up says so and is not used again.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::mcp::Fault;
use super::openapi::OpenApiLink;
use super::rest::RestLink;
use super::{ToolHostError, mcp};
use crate::types::ToolResult;
use crate::types::host::{ElicitationAnswer, HostNote};
use crate::types::secret::masked;

/// What a server says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) identity: Option<String>,
    pub(super) protocol: Option<String>,
    pub(super) instructions: Option<String>,
    pub(super) capabilities: Value,
}

/// MCP over any transport, REST and OpenAPI.
pub(super) trait Link: Send + Sync {
    /// Every tool as the server wrote it, when the link began.
    fn raw_tools(&self) -> &[Value];

    /// Calls a tool; `script` answers what the server asks back meanwhile.
    fn call<'a>(
        &'a self,
        tool: &'a str,
        arguments: &'a Map<String, Value>,
        script: &'a [ElicitationAnswer],
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>>;

    /// A request beyond tools.
    fn request<'a>(
        &'a self,
        method: &'a str,
        parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>>;

    /// Asks for a sign of life.
    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>>;

    /// The server has said, since [`Self::new_list`] was last asked, that its list of tools changed.
    fn has_new_list(&self) -> bool {
        false
    }

    /// The list as it is now.
    fn new_list(&self) -> BoxFuture<'_, Result<Vec<Value>, ToolHostError>>;

    /// The next trial needs a new link: the server ended, or did not answer in time.
    fn is_over(&self) -> bool;

    /// What happened since it was last asked that is no result.
    fn take_notes(&self) -> Vec<HostNote>;

    /// What the server says of itself.
    fn about(&self) -> About;

    /// Breaches of the protocol so far.
    fn faults(&self) -> Vec<Fault>;

    /// Id of the server's process, where it is a child.
    fn process_id(&self) -> BoxFuture<'_, Option<u32>>;

    /// Ends it, the server too where it is a child.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// Starts or reaches the server of some settings.
pub(super) async fn start(settings: &mcp::McpSettings) -> Result<Arc<dyn Link>, ToolHostError> {
    connect(settings).await.map_err(|mut error| {
        // A server that refuses a key may repeat it.
        error.message = masked(&error.message, &settings.reach.secrets()).into_owned();
        error
    })
}

async fn connect(settings: &mcp::McpSettings) -> Result<Arc<dyn Link>, ToolHostError> {
    Ok(match &settings.reach {
        mcp::Reach::Rest(endpoint) => Arc::new(RestLink::start(settings, endpoint).await?),
        mcp::Reach::OpenApi(endpoint) => Arc::new(OpenApiLink::start(settings, endpoint).await?),
        _ => Arc::new(mcp::Connection::start(settings).await?),
    })
}
