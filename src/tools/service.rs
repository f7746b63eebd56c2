//! What REST and OpenAPI tool servers have in common: one HTTP client, one shape of errors.
//!
//! Data in: requests. Data out: tool results, or host errors with their code. Invariants: every
//! wait is bounded; a refusal of the arguments or of the tool is a result, whatever its form; a
//! failure of the server is not; `message`, `type`, `param` and `code` of an error are kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Map, Value};

use super::ToolHostError;
use super::http::{Body, client, read_body, status_words, words};
use super::mcp::{Endpoint, McpSettings};
use crate::types::secret::{Secret, masked};
use crate::types::{Code, ToolResult};

/// Fields of an error's body that are kept.
const ERROR_FIELDS: [&str; 4] = ["message", "type", "param", "code"];

/// A server that answers requests.
pub(super) struct Service {
    name: String,
    pub(super) client: reqwest::Client,
    start_limit: Duration,
    call_limit: Duration,
    body_limit: usize,
    is_stale: AtomicBool,
    secrets: Vec<Secret>,
}

/// An answer, read whole.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    headers: http::HeaderMap,
    pub(super) text: String,
    pub(super) json: Option<Value>,
}

impl Service {
    pub(super) fn new(settings: &McpSettings, endpoint: &Endpoint) -> Result<Self, ToolHostError> {
        Ok(Self {
            name: settings.name.clone(),
            client: client(&settings.name, endpoint)?,
            start_limit: settings.start_limit,
            call_limit: settings.call_limit,
            body_limit: settings.line_limit_bytes,
            is_stale: AtomicBool::new(false),
            secrets: settings.reach.secrets(),
        })
    }

    /// The next trial is better off with a new client: this one lost its server.
    pub(super) fn is_over(&self) -> bool {
        self.is_stale.load(Ordering::Relaxed)
    }

    pub(super) fn error(&self, code: Code, what: &str, why: &str) -> ToolHostError {
        ToolHostError {
            code,
            message: format!("{}: {what}: {}", self.name, masked(why, &self.secrets)),
        }
    }

    /// Sends one request and reads its answer.
    pub(super) async fn send(
        &self,
        what: &str,
        request: RequestBuilder,
        is_start: bool,
    ) -> Result<Answered, ToolHostError> {
        let limit = if is_start {
            self.start_limit
        } else {
            self.call_limit
        };
        let exchange = async {
            let answer = request.send().await.map_err(|error| {
                self.is_stale.store(true, Ordering::Relaxed);
                self.error(Code::ToolErrorEnv, what, &words(&error))
            })?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            match read_body(answer, self.body_limit).await {
                Body::Whole(bytes) => Ok((status, headers, bytes)),
                Body::Oversized(start) => {
                    let start = String::from_utf8_lossy(&start);
                    let start: String = start.chars().take(120).collect();
                    let why = format!(
                        "the answer is over the limit of {} bytes: {start}…",
                        self.body_limit
                    );
                    Err(self.error(Code::McpProtocolError, what, &why))
                }
                Body::Broken(why) => {
                    self.is_stale.store(true, Ordering::Relaxed);
                    let why = format!("the answer breaks off: {why}");
                    Err(self.error(Code::McpProtocolError, what, &why))
                }
            }
        };
        let (status, headers, bytes) =
            tokio::time::timeout(limit, exchange)
                .await
                .unwrap_or_else(|_| {
                    let why = format!("no answer within {} s", limit.as_secs_f64());
                    Err(self.error(Code::ToolTimeout, what, &why))
                })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answered {
            status,
            headers,
            json: serde_json::from_slice(&bytes).ok(),
            text,
        })
    }

    /// The document of an answer that must be JSON.
    pub(super) fn document(&self, what: &str, answered: Answered) -> Result<Value, ToolHostError> {
        if !answered.status.is_success() {
            let why = status_words(answered.status, &answered.headers, &answered.text);
            return Err(self.error(Code::ToolErrorEnv, what, &why));
        }
        answered.json.ok_or_else(|| {
            let start: String = answered.text.chars().take(200).collect();
            self.error(
                Code::McpProtocolError,
                what,
                &format!("the answer is no JSON: {start}"),
            )
        })
    }

    /// What an answer that is no success amounts to: a refusal of the call, or a failure.
    pub(super) fn refusal(
        &self,
        what: &str,
        answered: &Answered,
    ) -> Result<ToolResult, ToolHostError> {
        let error = answered.json.as_ref().and_then(error_of);
        let is_refusal = match answered.status.as_u16() {
            400 | 405..=407 | 409..=418 | 422 => true,
            // Without a word of the server's own it is the endpoint that is missing.
            404 => error.is_some(),
            // A proxy of MCP servers reports a tool's own error like this.
            500 => answered
                .json
                .as_ref()
                .is_some_and(|body| body["detail"]["message"].is_string()),
            _ => false,
        };
        if is_refusal {
            return Ok(match error {
                Some(error) => error_result(&error),
                None => ToolResult {
                    is_error: true,
                    ..ToolResult::ok(answered.text.clone())
                },
            });
        }
        let mut why = status_words(answered.status, &answered.headers, "");
        match &error {
            Some(error) => why.push_str(&format!(": {}", error_words(error))),
            None => why = status_words(answered.status, &answered.headers, &answered.text),
        }
        let code = match answered.status.as_u16() {
            408 | 504 => Code::ToolTimeout,
            _ => Code::ToolErrorEnv,
        };
        Err(self.error(code, what, &why))
    }
}

/// The error in a body: `error`, `detail`, or the body itself where it has a `message`.
pub(super) fn error_of(body: &Value) -> Option<Value> {
    ["error", "detail"]
        .iter()
        .find_map(|key| body.get(*key).filter(|value| !value.is_null()))
        .or_else(|| body.get("message").map(|_| body))
        .cloned()
}

/// A tool's own error as a result; what the server said of it is kept whole.
pub(super) fn error_result(error: &Value) -> ToolResult {
    ToolResult {
        structured: error.is_object().then(|| error.clone()),
        is_error: true,
        ..ToolResult::ok(error_words(error))
    }
}

/// `message (type: …, param: …, code: …)`.
fn error_words(error: &Value) -> String {
    let Value::Object(map) = error else {
        return match error {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
    };
    let Some(message) = map.get("message").and_then(Value::as_str) else {
        return error.to_string();
    };
    let rest: Vec<String> = ERROR_FIELDS[1..]
        .iter()
        .filter_map(|field| {
            let value = map.get(*field).filter(|value| !value.is_null())?;
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Some(format!("{field}: {text}"))
        })
        .collect();
    if rest.is_empty() {
        message.to_owned()
    } else {
        format!("{message} ({})", rest.join(", "))
    }
}

/// A result of any JSON type: text as it is, anything else as JSON.
pub(super) fn value_result(value: &Value) -> ToolResult {
    let content = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    ToolResult {
        structured: (value.is_object() || value.is_array()).then(|| value.clone()),
        ..ToolResult::ok(content)
    }
}

/// A schema of arguments from what servers write: an object schema, or a list of named parameters.
pub(super) fn parameters_schema(parameters: &Value) -> Option<Value> {
    let Value::Array(list) = parameters else {
        return parameters.is_object().then(|| parameters.clone());
    };
    let mut properties = Map::new();
    let mut required = Vec::new();
    for parameter in list {
        let Value::Object(fields) = parameter else {
            return None;
        };
        let name = fields.get("name")?.as_str()?;
        if fields.get("required") == Some(&Value::Bool(true)) {
            required.push(Value::from(name));
        }
        let mut schema = fields.clone();
        schema.shift_remove("name");
        schema.shift_remove("required");
        properties.insert(name.to_owned(), Value::Object(schema));
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), "object".into());
    schema.insert("properties".to_owned(), properties.into());
    if !required.is_empty() {
        schema.insert("required".to_owned(), required.into());
    }
    Some(schema.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn errors_of_every_form_keep_what_they_say() {
        let full = json!({"error": {"message": "no such city", "type": "invalid_request", "param": "city", "code": 17}});
        let result = error_result(&error_of(&full).unwrap());
        assert_eq!(
            result.content,
            "no such city (type: invalid_request, param: city, code: 17)"
        );
        assert_eq!(result.structured, Some(full["error"].clone()));
        assert!(result.is_error);
        assert_eq!(error_result(&json!("broken")).content, "broken");
        assert_eq!(
            error_of(&json!({"message": "m"})),
            Some(json!({"message": "m"}))
        );
        assert_eq!(error_of(&json!({"error": null, "result": 1})), None);
        let listed = json!({"detail": [{"loc": ["body", "a"], "msg": "required"}]});
        assert!(
            error_result(&error_of(&listed).unwrap())
                .content
                .contains("required")
        );
    }

    #[test]
    fn parameters_may_be_a_list() {
        let list = json!([{"name": "city", "type": "string", "required": true}, {"name": "days", "type": "integer"}]);
        assert_eq!(
            parameters_schema(&list).unwrap(),
            json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]})
        );
        assert_eq!(parameters_schema(&json!("x")), None);
    }
}
