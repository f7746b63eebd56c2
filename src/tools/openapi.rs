//! OpenAPI tool servers: each operation of the document is a tool.
//!
//! Data in: arguments. Data out: the body of the answer as a tool result. Invariants: the document
//! is the only thing that is fetched besides calls; calls go to the server that it names, or to
//! where it came from.

mod document;

use futures::future::{BoxFuture, FutureExt as _};
use reqwest::{Method, RequestBuilder, Url};
use serde_json::{Map, Value};

use self::document::{BodyForm, Document, Operation, Place};
use super::ToolHostError;
use super::link::{About, Link};
use super::mcp::{Endpoint, Fault, FaultKind, McpSettings};
use super::service::{Service, value_result};
use crate::types::host::{ElicitationAnswer, HostNote};
use crate::types::{Code, ToolResult};

/// Longest document that is read from a file.
const DOCUMENT_BYTES: u64 = 16 << 20;

/// A server with its document.
pub(super) struct OpenApiLink {
    service: Service,
    source: String,
    base: Url,
    document: Document,
    tools: Vec<Value>,
}

impl OpenApiLink {
    pub(super) async fn start(
        settings: &McpSettings,
        endpoint: &Endpoint,
    ) -> Result<Self, ToolHostError> {
        let service = Service::new(settings, endpoint)?;
        let source = endpoint.url.clone();
        let document = read_document(&service, &source, true).await?;
        let base = base_of(&source, document.server.as_deref())
            .map_err(|why| service.error(Code::ToolErrorEnv, "the document", &why))?;
        Ok(Self {
            tools: tools_of(&document),
            service,
            source,
            base,
            document,
        })
    }

    fn operation(&self, tool: &str) -> Option<&Operation> {
        self.document
            .operations
            .iter()
            .find(|operation| operation.tool["name"] == tool)
    }

    async fn call_operation(
        &self,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<ToolResult, ToolHostError> {
        let what = format!("`{tool}`");
        let Some(operation) = self.operation(tool) else {
            return Ok(super::mcp::refusal(&format!("no such tool: {tool}")));
        };
        let request = match self.request_of(operation, arguments) {
            Ok(request) => request,
            Err(why) => return Ok(super::mcp::refusal(&format!("invalid request: {why}"))),
        };
        let answered = self.service.send(&what, request, false).await?;
        if !answered.status.is_success() {
            return self.service.refusal(&what, &answered);
        }
        Ok(match &answered.json {
            Some(value) => value_result(value),
            None => ToolResult::ok(answered.text),
        })
    }

    /// The request that makes a call; the error is the caller's mistake.
    fn request_of(
        &self,
        operation: &Operation,
        arguments: &Map<String, Value>,
    ) -> Result<RequestBuilder, String> {
        let mut rest = arguments.clone();
        let mut url = self.base.clone();
        let mut headers = Vec::new();
        let mut in_path = Vec::new();
        for parameter in &operation.parameters {
            let Some(value) = rest.shift_remove(&parameter.name) else {
                if parameter.place == Place::Path {
                    return Err(format!("`{}` is missing", parameter.name));
                }
                continue;
            };
            match parameter.place {
                Place::Path => in_path.push((parameter.name.as_str(), plain(&value))),
                Place::Query => {
                    let values = match &value {
                        Value::Array(items) => items.iter().map(plain).collect(),
                        other => vec![plain(other)],
                    };
                    for value in values {
                        url.query_pairs_mut().append_pair(&parameter.name, &value);
                    }
                }
                Place::Header => headers.push((parameter.name.clone(), plain(&value))),
            }
        }
        set_path(&mut url, &operation.path, &in_path)?;
        let method = Method::from_bytes(operation.method.to_uppercase().as_bytes())
            .map_err(|error| error.to_string())?;
        let mut request = self.service.client.request(method, url);
        for (name, value) in headers {
            let name = http::HeaderName::try_from(name.as_str())
                .map_err(|_| format!("`{name}` is no name of a header"))?;
            let value = http::HeaderValue::try_from(value)
                .map_err(|_| format!("`{name}` holds a character that no header may"))?;
            request = request.header(name, value);
        }
        Ok(match operation.body {
            BodyForm::None => request,
            BodyForm::Rest => request.json(&rest),
            BodyForm::Whole => match rest.shift_remove("body") {
                Some(body) => request.json(&body),
                None => request,
            },
        })
    }
}

/// A value as it stands in an address or a header.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Puts a path with its values behind the base. A value stays one segment whatever it holds.
fn set_path(url: &mut Url, path: &str, values: &[(&str, String)]) -> Result<(), String> {
    let mut segments = url
        .path_segments_mut()
        .map_err(|()| "the server's address takes no path".to_owned())?;
    segments.pop_if_empty();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let mut part = part.to_owned();
        for (name, value) in values {
            part = part.replace(&format!("{{{name}}}"), value);
        }
        if part.is_empty() || part == "." || part == ".." {
            return Err(format!("`{part}` cannot stand in the path {path}"));
        }
        segments.push(&part);
    }
    if path.ends_with('/') && path.len() > 1 {
        segments.push("");
    }
    Ok(())
}

async fn read_document(
    service: &Service,
    source: &str,
    is_start: bool,
) -> Result<Document, ToolHostError> {
    let what = "the document";
    let value = if source.contains("://") {
        let request = service.client.get(source);
        let answered = service.send(what, request, is_start).await?;
        match (&answered.json, answered.status.is_success()) {
            (None, true) => parse(&answered.text)
                .map_err(|why| service.error(Code::McpProtocolError, what, &why))?,
            _ => service.document(what, answered)?,
        }
    } else {
        read_file(source).map_err(|why| service.error(Code::ToolErrorEnv, what, &why))?
    };
    document::read(&value).map_err(|why| service.error(Code::ToolErrorEnv, what, &why))
}

fn read_file(path: &str) -> Result<Value, String> {
    let size = std::fs::metadata(path)
        .map_err(|error| format!("cannot read {path}: {error}"))?
        .len();
    if size > DOCUMENT_BYTES {
        return Err(format!("{path} is over {DOCUMENT_BYTES} bytes"));
    }
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))?;
    parse(&text).map_err(|why| format!("{path}: {why}"))
}

/// JSON, or YAML, which most documents are written in.
fn parse(text: &str) -> Result<Value, String> {
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(value);
    }
    serde_saphyr::from_str(text).map_err(|error| format!("neither JSON nor YAML: {error}"))
}

/// Where calls go: the document's server, read from where the document is.
fn base_of(source: &str, server: Option<&str>) -> Result<Url, String> {
    let own = source
        .contains("://")
        .then(|| Url::parse(source))
        .transpose()
        .map_err(|error| format!("no address: {error}"))?;
    let base = match (own, server) {
        (Some(own), Some(server)) => own.join(server),
        // Without a server it is the root of where the document is.
        (Some(own), None) => own.join("/"),
        (None, Some(server)) => Url::parse(server),
        (None, None) => return Err("it names no server (`servers`)".to_owned()),
    };
    let mut base = base.map_err(|error| {
        format!(
            "its server `{}` is no full address: {error}",
            server.unwrap_or_default()
        )
    })?;
    if !["http", "https"].contains(&base.scheme()) {
        return Err(format!("its server is not reached by HTTP: {base}"));
    }
    base.set_query(None);
    Ok(base)
}

fn tools_of(document: &Document) -> Vec<Value> {
    document
        .operations
        .iter()
        .map(|operation| operation.tool.clone())
        .collect()
}

impl Link for OpenApiLink {
    fn raw_tools(&self) -> &[Value] {
        &self.tools
    }

    fn call<'a>(
        &'a self,
        tool: &'a str,
        arguments: &'a Map<String, Value>,
        _script: &'a [ElicitationAnswer],
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        self.call_operation(tool, arguments).boxed()
    }

    fn request<'a>(
        &'a self,
        method: &'a str,
        _parameters: Value,
    ) -> BoxFuture<'a, Result<Value, ToolHostError>> {
        async move { Err(ToolHostError::unsupported(&self.document.title, method)) }.boxed()
    }

    fn health(&self) -> BoxFuture<'_, Result<(), ToolHostError>> {
        async {
            read_document(&self.service, &self.source, false)
                .await
                .map(drop)
        }
        .boxed()
    }

    fn new_list(&self) -> BoxFuture<'_, Result<Vec<Value>, ToolHostError>> {
        async {
            let document = read_document(&self.service, &self.source, false).await?;
            Ok(tools_of(&document))
        }
        .boxed()
    }

    fn is_over(&self) -> bool {
        self.service.is_over()
    }

    fn take_notes(&self) -> Vec<HostNote> {
        Vec::new()
    }

    fn about(&self) -> About {
        let words = format!("{} {}", self.document.title, self.document.version);
        About {
            identity: Some(words.trim().to_owned()).filter(|words| !words.is_empty()),
            ..About::default()
        }
    }

    /// Operations that are left out.
    fn faults(&self) -> Vec<Fault> {
        self.document
            .left_out
            .iter()
            .map(|why| Fault::new(FaultKind::LeftOut, why))
            .collect()
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
    fn calls_go_where_the_document_says() {
        for (source, server, expected) in [
            ("http://a/openapi.json", None, "http://a/"),
            ("http://a/x/openapi.json", Some("/api"), "http://a/api"),
            (
                "http://a/x/openapi.json",
                Some("http://b/v2"),
                "http://b/v2",
            ),
            ("shop.yaml", Some("https://b/v2"), "https://b/v2"),
        ] {
            assert_eq!(base_of(source, server).unwrap().as_str(), expected);
        }
        assert!(
            base_of("shop.yaml", None)
                .unwrap_err()
                .contains("`servers`")
        );
        assert!(
            base_of("shop.yaml", Some("/api"))
                .unwrap_err()
                .contains("/api")
        );
        assert!(base_of("shop.yaml", Some("file:///etc")).is_err());
    }

    #[test]
    fn values_stay_in_their_segment() {
        let path = |value: &str| {
            let mut url = Url::parse("http://a/api").unwrap();
            set_path(&mut url, "/orders/{id}/items", &[("id", value.to_owned())])
                .map(|()| url.to_string())
        };
        assert_eq!(path("7").unwrap(), "http://a/api/orders/7/items");
        assert_eq!(
            path("a/../b?c").unwrap(),
            "http://a/api/orders/a%2F..%2Fb%3Fc/items"
        );
        assert!(path("..").is_err() && path("").is_err());
    }
}
