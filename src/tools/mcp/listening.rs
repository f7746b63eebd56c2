//! Word of a changed list of tools, where a client has to ask for it.
//!
//! Data in: a server that has shaken hands. Data out: notifications on the wire, whose tap counts
//! them. Invariants: asked for only where the protocol wants it and the server says that its list may
//! change; a server that then refuses is none the worse for calls; it ends with the connection.

use std::time::Duration;

use rmcp::model::{ProtocolVersion, SubscriptionFilter};
use rmcp::service::{Peer, RoleClient};
use tokio::task::JoinHandle;

/// A subscription that lives as long as this value.
pub(super) struct Listening(JoinHandle<()>);

impl Listening {
    /// Subscribes where that is needed. `Ok(None)`: it is not.
    ///
    /// # Errors
    ///
    /// Why the server did not take it, in words; or nothing was heard within `limit`.
    pub(super) async fn start(
        peer: &Peer<RoleClient>,
        limit: Duration,
    ) -> Result<Option<Self>, String> {
        let is_wanted = peer.peer_info().is_some_and(|info| {
            let tools = info.capabilities.tools.as_ref();
            // Before this version a server sends the notification without being asked.
            info.protocol_version == ProtocolVersion::V_2026_07_28
                && tools.and_then(|tools| tools.list_changed) == Some(true)
        });
        if !is_wanted {
            return Ok(None);
        }
        let filter = SubscriptionFilter::builder().tools_list_changed().build();
        let mut subscription = match tokio::time::timeout(limit, peer.listen(filter)).await {
            Ok(Ok(subscription)) => subscription,
            Ok(Err(error)) => return Err(error.to_string()),
            Err(_) => return Err(format!("no answer within {} s", limit.as_secs_f64())),
        };
        // The tap has seen what comes here; it is taken so that the SDK's buffer never fills.
        let task =
            tokio::spawn(async move { while let Ok(Some(_)) = subscription.next().await {} });
        Ok(Some(Self(task)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.abort();
    }
}
