//! REST tool servers: `GET /v1/tools` lists, `POST /v1/tools/execute` calls.
//!
//! Data in: `{tool, parameters}`. Data out: `{result, error}` as tool results. Invariants: a 400, a
//! 404 with an error, and a non-null `error` are the tool's answer; 5xx, 401 and 429 are failures of
//! the server; an answer of another shape breaks the protocol and is shown.

use futures::future::{BoxFuture, FutureExt as _};
use serde_json::{Map, Value, json};

use super::ToolHostError;
use super::link::{About, Link};
use super::mcp::{Endpoint, Fault, McpSettings};
use super::service::{Service, error_result, parameters_schema, value_result};
use crate::types::host::{ElicitationAnswer, HostNote};
use crate::types::{Code, ToolResult};

/// A REST tool server.
pub(super) struct RestLink {
    service: Service,
    base: String,
    tools: Vec<Value>,
}

impl RestLink {
    pub(super) async fn start(
        settings: &McpSettings,
        endpoint: &Endpoint,
    ) -> Result<Self, ToolHostError> {
        let mut link = Self {
            service: Service::new(settings, endpoint)?,
            base: base_of(&endpoint.url),
            tools: Vec::new(),
        };
        link.tools = link.list(true).await?;
        Ok(link)
    }

    async fn list(&self, is_start: bool) -> Result<Vec<Value>, ToolHostError> {
        let what = "GET /v1/tools";
        let request = self.service.client.get(format!("{}/v1/tools", self.base));
        let answered = self.service.send(what, request, is_start).await?;
        let document = self.service.document(what, answered)?;
        let listed = document
            .as_array()
            .or_else(|| document["tools"].as_array())
            .or_else(|| document["data"].as_array())
            .ok_or_else(|| {
                let start: String = document.to_string().chars().take(200).collect();
                let why = format!("no list of tools, neither `tools` nor a list: {start}");
                self.service.error(Code::McpProtocolError, what, &why)
            })?;
        Ok(listed.iter().map(as_mcp).collect())
    }

    async fn execute(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<ToolResult, ToolHostError> {
        let what = format!("`{tool}`");
        let request = self
            .service
            .client
            .post(format!("{}/v1/tools/execute", self.base))
            .json(&json!({"tool": tool, "parameters": arguments}));
        let answered = self.service.send(&what, request, false).await?;
        if !answered.status.is_success() {
            return self.service.refusal(&what, &answered);
        }
        let Some(Value::Object(body)) = &answered.json else {
            let start: String = answered.text.chars().take(200).collect();
            let why = format!("the answer is no JSON object: {start}");
            return Err(self.service.error(Code::McpProtocolError, &what, &why));
        };
        match (body.get("error"), body.get("result")) {
            (Some(error), _) if !error.is_null() => Ok(error_result(error)),
            (_, Some(result)) => Ok(value_result(result)),
            _ => {
                let start: String = answered.text.chars().take(200).collect();
                let why = format!("the answer has neither `result` nor `error`: {start}");
                Err(self.service.error(Code::McpProtocolError, &what, &why))
            }
        }
    }
}

/// The address without a `/` or `/v1` at its end.
fn base_of(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let url = url.trim_end_matches('/');
    url.strip_suffix("/v1/tools")
        .or_else(|| url.strip_suffix("/v1"))
        .unwrap_or(url)
        .to_owned()
}

/// A tool in MCP's terms, from any of the usual ones.
fn as_mcp(raw: &Value) -> Value {
    let inner = raw.get("function").unwrap_or(raw);
    let mut tool = Map::new();
    for key in ["name", "description", "annotations"] {
        if let Some(value) = inner.get(key) {
            tool.insert(key.to_owned(), value.clone());
        }
    }
    let schema = ["inputSchema", "input_schema", "parameters"]
        .iter()
        .find_map(|key| parameters_schema(inner.get(*key)?))
        .unwrap_or_else(|| json!({"type": "object", "properties": {}}));
    tool.insert("inputSchema".to_owned(), schema);
    tool.into()
}

impl Link for RestLink {
    fn raw_tools(&self) -> &[Value] {
        &self.tools
    }

    fn call<'a>(
        &'a self,
        tool: &'a str,
        arguments: &'a Map<String, Value>,
        _script: &'a [ElicitationAnswer],
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        self.execute(tool, arguments).boxed()
    }

    fn request<'a>(
        &'a self,
        method: &'a str,
        _parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>> {
        async move { Err(ToolHostError::unsupported(&self.base, method)) }.boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        async { self.list(false).await.map(drop) }.boxed()
    }

    fn new_list(&self) -> BoxFuture<'_, Result<Vec<Value>, ToolHostError>> {
        self.list(false).boxed()
    }

    fn is_over(&self) -> bool {
        self.service.is_over()
    }

    fn take_notes(&self) -> Vec<HostNote> {
        Vec::new()
    }

    fn about(&self) -> About {
        About::default()
    }

    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }

    fn process_id(&self) -> BoxFuture<'_, Option<u32>> {
        std::future::ready(None).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_end_anywhere() {
        for url in [
            "http://a",
            "http://a/",
            "http://a/v1",
            "http://a/v1/tools?x=1",
        ] {
            assert_eq!(base_of(url), "http://a", "{url}");
        }
        assert_eq!(base_of("http://a/x/"), "http://a/x");
    }

    #[test]
    fn tools_of_every_form_become_one() {
        let schema = json!({"type": "object", "properties": {"z": {}, "a": {}}});
        for raw in [
            json!({"name": "t", "description": "d", "parameters": schema}),
            json!({"name": "t", "description": "d", "inputSchema": schema}),
            json!({"type": "function", "function": {"name": "t", "description": "d", "parameters": schema}}),
        ] {
            let tool = as_mcp(&raw);
            assert_eq!(tool["inputSchema"].to_string(), schema.to_string());
            assert_eq!(tool["name"], "t");
        }
    }
}
