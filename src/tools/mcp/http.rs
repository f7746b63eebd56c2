//! Streamable HTTP: the transport of the SDK over a client of our own, every message tapped.
//!
//! Data in: messages of the SDK. Data out: what the server answers, to the [`Wire`] first and to
//! the SDK only where it is valid. Invariants: one pool of connections for all calls; every answer
//! that is not MCP ends the request that it belongs to, with its status, its beginning, or the
//! cause; no more than the limit of a message is kept in memory.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _};
use http::{HeaderName, HeaderValue, StatusCode};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpClientTransport,
    StreamableHttpClientTransportConfig, StreamableHttpError, StreamableHttpPostResponse,
};
use serde_json::{Value, json};
use sse_stream::{Sse, SseStream};

use super::settings::{Endpoint, McpSettings};
use super::wire::{Fault, FaultKind, Forward, Wire};
use crate::tools::ToolHostError;
use crate::tools::http::{Body, client, read_body, status_words, words};

const SESSION: &str = "mcp-session-id";
const EVENT_STREAM: &str = "text/event-stream";
const JSON: &str = "application/json";
/// How long a server of the old transport may take to say so.
const OLD_TRANSPORT_LIMIT: Duration = Duration::from_secs(3);
/// Bytes of an error's body that are read.
const ERROR_BYTES: usize = 64 << 10;
/// Calls in flight at once.
const CONCURRENT_REQUESTS: usize = 64;

/// The SDK's transport over our client.
pub(super) type HttpTransport = StreamableHttpClientTransport<HttpTap>;

/// A transport to an endpoint; nothing is sent yet.
pub(super) fn transport(
    settings: &McpSettings,
    endpoint: &Endpoint,
    wire: &Arc<Wire>,
) -> Result<HttpTransport, ToolHostError> {
    let tap = HttpTap {
        client: client(&settings.name, endpoint)?,
        wire: Arc::clone(wire),
        limit: settings.line_limit_bytes,
    };
    let config = StreamableHttpClientTransportConfig::with_uri(endpoint.url.as_str())
        .max_concurrent_requests(CONCURRENT_REQUESTS);
    Ok(StreamableHttpClientTransport::with_client(tap, config))
}

/// A pooled client whose messages all pass the wire.
#[derive(Clone)]
pub(super) struct HttpTap {
    client: reqwest::Client,
    wire: Arc<Wire>,
    limit: usize,
}

/// What ended a request, as the SDK carries it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct HttpFault(Fault);

type Answer<T> = Result<T, StreamableHttpError<HttpFault>>;
type Events = BoxStream<'static, Result<Sse, SseError>>;

/// The message that is sent, as far as it decides what its answer means.
#[derive(Clone, Copy)]
struct Sent {
    /// Id of a request; nothing else is answered.
    id: Option<i64>,
    is_handshake: bool,
    is_discovery: bool,
}

impl Sent {
    fn of(message: &Value) -> Self {
        let method = message["method"].as_str();
        Self {
            id: method.and_then(|_| message["id"].as_i64()),
            is_handshake: method == Some("initialize"),
            is_discovery: method == Some("server/discover"),
        }
    }
}

impl HttpTap {
    fn fail<T>(&self, sent: Sent, kind: FaultKind, text: &str) -> Answer<T> {
        let fault = Fault::new(kind, text);
        self.wire.fail(sent.id, fault.clone());
        Err(StreamableHttpError::Client(HttpFault(fault)))
    }

    async fn post(
        &self,
        uri: &str,
        message: &ClientJsonRpcMessage,
        session: Option<&str>,
        headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<StreamableHttpPostResponse> {
        let body = serde_json::to_value(message)?;
        let sent = Sent::of(&body);
        let text = body.to_string();
        self.wire.outgoing(&text);
        let builder = self
            .client
            .post(uri)
            .header(ACCEPT, format!("{JSON}, {EVENT_STREAM}"))
            .header(CONTENT_TYPE, JSON)
            .body(text);
        let answer = match with_headers(builder, session, headers).send().await {
            Ok(answer) => answer,
            Err(error) => return self.fail(sent, FaultKind::Unreachable, &words(&error)),
        };
        let status = answer.status();
        if status == StatusCode::NOT_FOUND && session.is_some() {
            // The SDK shakes hands again and repeats the request.
            return Err(StreamableHttpError::SessionExpired);
        }
        if !status.is_success() {
            return self.refused(uri, sent, answer).await;
        }
        let new_session = answer
            .headers()
            .get(SESSION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if sent.id.is_none() {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        let kind = content_type(&answer);
        if kind.starts_with(EVENT_STREAM) {
            let events = self.events(answer, sent.id);
            return Ok(StreamableHttpPostResponse::Sse(events, new_session));
        }
        if !kind.starts_with(JSON) {
            let text = format!(
                "a body of type `{kind}` (HTTP {status}): {}",
                start_of(answer).await
            );
            return self.fail(sent, FaultKind::NotMcp, &text);
        }
        self.json(sent, answer, new_session).await
    }

    /// A body that is one JSON message.
    async fn json(
        &self,
        sent: Sent,
        answer: Response,
        session: Option<String>,
    ) -> Answer<StreamableHttpPostResponse> {
        let bytes = match read_body(answer, self.limit).await {
            Body::Whole(bytes) => bytes,
            Body::Oversized(start) => {
                let text = String::from_utf8_lossy(&start).into_owned();
                return self.fail(sent, FaultKind::Oversized, &text);
            }
            Body::Broken(why) => {
                let text = format!("a body that breaks off: {why}");
                return self.fail(sent, FaultKind::NotMcp, &text);
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        let lost_before = self.wire.lost_count();
        let forward = self.wire.incoming(text.trim());
        if sent.id.is_some_and(|id| self.wire.is_waiting(id)) {
            // Whatever it was, it was the only answer that this request gets.
            let fault = lost_since(&self.wire, lost_before)
                .unwrap_or_else(|| Fault::new(FaultKind::NotMcp, &text));
            self.wire.fail(sent.id, fault);
        }
        if forward == Forward::No {
            let fault = Fault::new(FaultKind::NotMcp, &text);
            return Err(StreamableHttpError::Client(HttpFault(fault)));
        }
        let message: ServerJsonRpcMessage = serde_json::from_str(&text)?;
        Ok(StreamableHttpPostResponse::Json(message, session))
    }

    /// A status that is no success.
    async fn refused(
        &self,
        uri: &str,
        sent: Sent,
        answer: Response,
    ) -> Answer<StreamableHttpPostResponse> {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = match read_body(answer, ERROR_BYTES).await {
            Body::Whole(bytes) | Body::Oversized(bytes) => {
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Body::Broken(_) => String::new(),
        };
        let is_refusal = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let rpc_error = serde_json::from_str::<Value>(&body)
            .ok()
            .filter(|body| body["jsonrpc"] == "2.0" && body["error"].is_object());
        if sent.is_discovery && status.is_client_error() && !is_refusal {
            // An older server: the SDK falls back where it may.
            let error = rpc_error.map_or_else(
                || json!({"code": -32600, "message": status_words(status, &headers, &body)}),
                |body| body["error"].clone(),
            );
            let text = json!({"jsonrpc": "2.0", "id": sent.id, "error": error}).to_string();
            self.wire.incoming(&text);
            let message: ServerJsonRpcMessage = serde_json::from_str(&text)?;
            return Ok(StreamableHttpPostResponse::Json(message, None));
        }
        if let Some(error) = rpc_error
            && !is_refusal
            && error["id"].as_i64() == sent.id
            && sent.id.is_some()
            && self.wire.incoming(&body) == Forward::Yes
        {
            let message: ServerJsonRpcMessage = serde_json::from_value(error)?;
            return Ok(StreamableHttpPostResponse::Json(message, None));
        }
        if sent.is_handshake && status.is_client_error() && !is_refusal && self.is_old(uri).await {
            return self.fail(
                sent,
                FaultKind::Status,
                "it speaks only HTTP+SSE, the transport of 2024-11-05 that streamable HTTP replaced, and which is not supported; name its streamable HTTP endpoint (often /mcp instead of /sse), or start it over stdio",
            );
        }
        let text = status_words(status, &headers, &body);
        self.fail(sent, FaultKind::Status, &text)
    }

    /// The server sends the `endpoint` event of the old transport to whoever listens.
    async fn is_old(&self, uri: &str) -> bool {
        let listen = async {
            let request = self.client.get(uri).header(ACCEPT, EVENT_STREAM);
            let answer = request.send().await.ok()?;
            if !answer.status().is_success() || !content_type(&answer).starts_with(EVENT_STREAM) {
                return None;
            }
            let mut events = SseStream::from_bytes_stream(bounded(answer, ERROR_BYTES));
            let first = events.next().await?.ok()?;
            Some(first.event.as_deref() == Some("endpoint"))
        };
        let heard = tokio::time::timeout(OLD_TRANSPORT_LIMIT, listen).await;
        heard.ok().flatten() == Some(true)
    }

    /// The events of a stream; what is no valid message goes to the wire alone. With `id`, the
    /// stream is the answer to that request.
    fn events(&self, answer: Response, id: Option<i64>) -> Events {
        let wire = Arc::clone(&self.wire);
        let lost_before = wire.lost_count();
        let can_resume = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&can_resume);
        // What came last, for the words of a stream that breaks off there.
        let last = Arc::new(Mutex::new(Vec::new()));
        let read = Arc::clone(&last);
        let bytes = bounded(answer, self.limit).inspect(move |chunk| {
            if let Ok(chunk) = chunk {
                let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
                read.clone_from(chunk.get_ref());
            }
        });
        let tapped = SseStream::from_bytes_stream(bytes.boxed()).filter_map(move |event| {
            let line = || odd_line(&last.lock().unwrap_or_else(PoisonError::into_inner));
            let kept = tap(&wire, id, &seen, event, line);
            std::future::ready(kept)
        });
        let wire = Arc::clone(&self.wire);
        let end = futures::stream::once(async move {
            if let Some(id) = id
                && wire.is_waiting(id)
                && !can_resume.load(Ordering::Relaxed)
            {
                let text = "an event stream that ended before the answer";
                let fault = lost_since(&wire, lost_before)
                    .unwrap_or_else(|| Fault::new(FaultKind::NotMcp, text));
                wire.fail(Some(id), fault);
            }
        })
        .filter_map(|()| std::future::ready(None));
        tapped.chain(end).boxed()
    }
}

/// A request with its session and what the SDK sends along.
fn with_headers(
    mut builder: RequestBuilder,
    session: Option<&str>,
    headers: HashMap<HeaderName, HeaderValue>,
) -> RequestBuilder {
    if let Some(session) = session {
        builder = builder.header(SESSION, session);
    }
    headers.into_iter().fold(builder, |builder, (name, value)| {
        builder.header(name, value)
    })
}

/// The last line that may have been an answer and could not be read as one, since there were
/// `before` of them.
fn lost_since(wire: &Wire, before: u64) -> Option<Fault> {
    wire.last_lost().filter(|_| wire.lost_count() > before)
}

/// The first line of some bytes that no event stream may have.
fn odd_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let is_odd = |line: &&str| {
        let fields = ["data", "event", "id", "retry", ""];
        let name = line.split(':').next().unwrap_or_default();
        !fields.contains(&name)
    };
    let odd = text.lines().find(is_odd)?;
    Some(odd.chars().take(200).collect())
}

/// One event on its way to the SDK.
fn tap(
    wire: &Wire,
    id: Option<i64>,
    can_resume: &AtomicBool,
    event: Result<Sse, SseError>,
    odd_line: impl FnOnce() -> Option<String>,
) -> Option<Result<Sse, SseError>> {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            let line = odd_line().map_or_else(String::new, |line| format!(": {line}"));
            let text = format!("an event stream that breaks off: {error}{line}");
            let oversized = text.contains(OVERSIZED);
            let kind = if oversized {
                FaultKind::Oversized
            } else {
                FaultKind::NotMcp
            };
            if id.is_some() && (oversized || !can_resume.load(Ordering::Relaxed)) {
                wire.fail(id, Fault::new(kind, &text));
            }
            return Some(Err(error));
        }
    };
    if event.id.is_some() {
        can_resume.store(true, Ordering::Relaxed);
    }
    let data = event.data.as_deref().unwrap_or_default().trim();
    // Without data it tells how to resume.
    if data.is_empty() || wire.incoming(data) == Forward::Yes {
        return Some(Ok(event));
    }
    None
}

/// What an event over the limit is called inside the stream's error.
const OVERSIZED: &str = "an event is over the limit";

/// The bytes of a body; an event longer than `limit` ends it with an error.
fn bounded(
    answer: Response,
    limit: usize,
) -> BoxStream<'static, Result<Cursor<Vec<u8>>, std::io::Error>> {
    let mut since_break = 0;
    answer
        .bytes_stream()
        .map(move |chunk| {
            let chunk = chunk.map_err(|error| std::io::Error::other(words(&error)))?;
            let last_break = chunk
                .windows(2)
                .rposition(|pair| pair == b"\n\n" || pair == b"\r\r")
                .or_else(|| chunk.windows(4).rposition(|part| part == b"\r\n\r\n"));
            since_break = match last_break {
                Some(at) => chunk.len() - at,
                None => since_break + chunk.len(),
            };
            if since_break > limit {
                return Err(std::io::Error::other(OVERSIZED));
            }
            Ok(Cursor::new(chunk.to_vec()))
        })
        .boxed()
}

fn content_type(answer: &Response) -> String {
    answer
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("none")
        .to_ascii_lowercase()
}

async fn start_of(answer: Response) -> String {
    match read_body(answer, ERROR_BYTES).await {
        Body::Whole(bytes) | Body::Oversized(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Body::Broken(why) => why,
    }
}

impl StreamableHttpClient for HttpTap {
    type Error = HttpFault;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<StreamableHttpPostResponse> {
        self.post(&uri, &message, session_id.as_deref(), custom_headers)
            .await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<()> {
        let builder = self.client.delete(uri.as_ref());
        // A server need not have it: the session then ends by itself.
        let _ = with_headers(builder, Some(&session_id), custom_headers)
            .send()
            .await;
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Answer<Events> {
        let mut builder = self.client.get(uri.as_ref()).header(ACCEPT, EVENT_STREAM);
        if let Some(last) = last_event_id {
            builder = builder.header("last-event-id", last);
        }
        let sent = with_headers(builder, session_id.as_deref(), custom_headers)
            .send()
            .await;
        let answer = sent.map_err(|error| {
            let fault = Fault::new(FaultKind::Unreachable, &words(&error));
            StreamableHttpError::Client(HttpFault(fault))
        })?;
        let is_stream = content_type(&answer).starts_with(EVENT_STREAM);
        if !answer.status().is_success() || !is_stream {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        Ok(self.events(answer, None))
    }
}
