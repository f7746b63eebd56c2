//! Tool servers over every transport: real loopback servers, each fault with its own code.

mod http;
mod lifecycle;
mod openapi;
mod policy;
mod rest;
mod run;
mod server;
mod sockets;
mod tls;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use toolbench::tools::connect::{HostSpec, connect};
use toolbench::tools::{ToolHost, ToolHostError};
use toolbench::types::host::HostAddress;
use toolbench::types::{ToolCall, ToolResult};

/// Ends any test that would hang.
const TEST_LIMIT: Duration = Duration::from_mins(1);

/// Runs a test on one thread, within the limit.
fn within_limit<F: Future<Output = ()>>(test: F) {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            tokio::time::timeout(TEST_LIMIT, test)
                .await
                .expect("the test ends in time");
        });
}

/// A server with short limits, so that faults show soon.
fn spec(address: HostAddress) -> HostSpec {
    let mut spec = HostSpec::new(address);
    spec.start_limit = Duration::from_secs(10);
    spec.call_limit = Duration::from_secs(10);
    spec
}

fn host_of(spec: &HostSpec) -> Arc<dyn ToolHost> {
    connect(spec, &BTreeMap::new()).expect("a host")
}

/// One call of `look` on a host of its own.
async fn call_once(spec: &HostSpec) -> Result<ToolResult, ToolHostError> {
    let host = host_of(spec);
    let outcome = async {
        let mut session = host.open(None).await?;
        session.call(&look()).await
    }
    .await;
    host.close().await;
    outcome
}

fn look() -> ToolCall {
    ToolCall::new("look", serde_json::json!({"zebra": "z", "apple": 1}))
}
