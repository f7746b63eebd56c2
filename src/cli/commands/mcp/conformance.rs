//! `toolbench mcp conformance-client URL`: what the official conformance suite starts as the client.
//!
//! The suite names the scenario, its context and the protocol's version in the environment. The
//! client does the same in all of them: it connects, lists the tools, calls each with the arguments
//! of the context or with made-up ones (a tool that asks for the schema of another gets it as listed),
//! and reads a resource and a prompt where there are any.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::super::{App, CliError, Status};
use super::{host_failed, with_host};
use crate::authoring::example::examples;
use crate::cli::host_args::OpenedHost;
use crate::tools::HostFacts;
use crate::tools::connect::{HostSpec, connect};
use crate::tools::mcp::{Allowed, Safety};
use crate::types::ToolCall;
use crate::types::host::{ElicitationAction, ElicitationAnswer, HostAddress, Protocol};

/// Longest wait for an answer: the suite itself gives a scenario 30 s.
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// The suite's tool that is sent the schema of another one as it came.
const SCHEMA_ECHO: &str = "json_schema_echo";

/// Plays the client of one scenario.
pub(super) fn conformance(app: &App, url: &str) -> Result<Status, CliError> {
    let protocol = match app.env.variable("MCP_CONFORMANCE_PROTOCOL_VERSION") {
        None => Protocol::default(),
        Some(version) => version.parse().map_err(CliError::usage)?,
    };
    let context: Value = app
        .env
        .variable("MCP_CONFORMANCE_CONTEXT")
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let looking = open(app, url, protocol, Allowed::ReadOnly)?;
    let facts = with_host(app, &looking, async {
        let facts = looking.host.facts().await;
        facts.map_err(|error| host_failed(&looking, &error))
    })?;
    // Its tools say nothing of themselves: all of them are allowed by name.
    let names = facts.tools.iter().map(|tool| tool.definition.name.clone());
    let opened = open(app, url, protocol, Allowed::Only(names.collect()))?;
    with_host(app, &opened, play(&opened, &context))?;
    Ok(Status::Complete)
}

fn open(
    app: &App,
    url: &str,
    protocol: Protocol,
    allowed: Allowed,
) -> Result<OpenedHost, CliError> {
    let mut spec = HostSpec::new(HostAddress::Http {
        url: url.to_owned(),
    });
    spec.protocol = protocol;
    spec.call_limit = CALL_LIMIT;
    spec.start_limit = CALL_LIMIT;
    spec.safety = Safety {
        allowed,
        allow_destructive: true,
        accept_drift: true,
        ..Safety::default()
    };
    let host =
        connect(&spec, &app.env.variables).map_err(|error| CliError::usage(error.to_string()))?;
    Ok(OpenedHost {
        name: spec.name,
        shown: url.to_owned(),
        host,
        secrets: Vec::new(),
        is_mock: false,
    })
}

async fn play(opened: &OpenedHost, context: &Value) -> Result<(), CliError> {
    let failed = |error: &_| host_failed(opened, error);
    let facts = opened.host.facts().await.map_err(|error| failed(&error))?;
    let mut session = opened
        .host
        .open(None)
        .await
        .map_err(|error| failed(&error))?;
    session.answer_elicitations(&[ElicitationAnswer {
        asks: None,
        action: ElicitationAction::Accept,
        content: None,
    }]);
    for call in calls(&facts, context) {
        session.call(&call).await.map_err(|error| failed(&error))?;
    }
    for (capability, list, key, read) in [
        ("resources", "resources/list", "uri", "resources/read"),
        ("prompts", "prompts/list", "name", "prompts/get"),
    ] {
        if facts.capabilities.get(capability).is_none() {
            continue;
        }
        let listed = opened.host.request(list, json!({})).await;
        let listed = listed.map_err(|error| failed(&error))?;
        if let Some(named) = listed[capability][0].get(key) {
            let read = opened.host.request(read, json!({key: named})).await;
            read.map_err(|error| failed(&error))?;
        }
    }
    Ok(())
}

/// The calls of the context, else one of each tool.
fn calls(facts: &HostFacts, context: &Value) -> Vec<ToolCall> {
    if let Some(wanted) = context["toolCalls"].as_array() {
        return wanted
            .iter()
            .filter_map(|call| {
                let arguments = call.get("arguments").cloned().unwrap_or_else(|| json!({}));
                Some(ToolCall::new(call["name"].as_str()?, arguments))
            })
            .collect();
    }
    facts
        .tools
        .iter()
        .filter(|tool| tool.refused.is_none())
        .map(|tool| {
            let made = examples(&tool.definition, None);
            let mut arguments = made.map_or_else(|_| Map::new(), |made| made.required);
            if tool.definition.name == SCHEMA_ECHO
                && let Some(other) = facts.tools.iter().find(|other| other.raw != tool.raw)
            {
                arguments.insert("schema".to_owned(), other.raw["inputSchema"].clone());
            }
            ToolCall::new(&tool.definition.name, Value::Object(arguments))
        })
        .collect()
}
