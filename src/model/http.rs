//! What all providers over HTTP share: sending, repeating, reading whole or piece by piece, and
//! calling each failure by its name.
//!
//! Data in: an [`Endpoint`] and JSON bodies. Data out: JSON or the pieces of a stream, each with the
//! time since the request was sent. Invariants: every wait is bounded by the request's limit and
//! ends with a cancellation; a reply has at most [`MOST_BYTES`]; only faults of transport are
//! repeated, and how often is told; no header's value is ever part of a message.

use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::stream::{BoxStream, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::clock::Stopwatch;
use crate::types::ProviderError;
use crate::types::endpoint::Endpoint;

/// Most bytes of one reply.
const MOST_BYTES: usize = 16 << 20;
/// Most characters of a server's words in a message.
const MOST_WORDS: usize = 400;
/// First pause before a repetition; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause, also where the server asks for a longer one: the request fails then.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client of one endpoint.
pub(super) struct HttpClient {
    client: Client,
    base_url: String,
    key_variable: Option<String>,
    retries: u32,
}

/// What a request may take.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    /// From sending to the end of the reply.
    pub(super) limit_ms: u64,
    /// Ends it from outside.
    pub(super) cancel: &'a CancellationToken,
}

/// An answer whose head has come.
pub(super) struct Answer {
    response: Response,
    watch: Stopwatch,
    limit_ms: u64,
    cancel: CancellationToken,
    /// Repetitions before this one.
    pub(super) retries: u32,
    /// Waiting between them.
    pub(super) waited_ms: Option<f64>,
}

/// A piece of a stream and when it came, in milliseconds since the request was sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    /// The event's name, empty where there is none.
    pub(super) event: String,
    /// Its data.
    pub(super) data: String,
    /// When.
    pub(super) at_ms: f64,
}

/// Why a stream ended before its own end.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Broken {
    /// The limit passed while pieces were still coming: slowness is a result.
    #[error("the limit passed")]
    TimeLimit,
    /// Cancelled from outside.
    #[error("cancelled")]
    Cancelled,
    /// The connection or the form broke.
    #[error(transparent)]
    Failed(ProviderError),
}

impl HttpClient {
    /// A pooled client; fails on headers or certificates that cannot be used.
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, ProviderError> {
        let rejected = |detail: String| ProviderError::Rejected { detail };
        let mut headers = HeaderMap::new();
        for (name, value) in &endpoint.headers {
            let name = HeaderName::try_from(name.as_str())
                .map_err(|_| rejected(format!("`{name}` is no name of a header")))?;
            let mut value = HeaderValue::try_from(value.expose())
                .map_err(|_| rejected(format!("the value of header `{name}` cannot be sent")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("toolbench/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .default_headers(headers);
        if !endpoint.remote {
            builder = builder.no_proxy();
        }
        if let Some(pem) = &endpoint.authority {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|error| rejected(format!("the certificates cannot be read: {error}")))?;
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| rejected(format!("no client for this endpoint: {error}")))?,
            base_url: endpoint.base_url.trim_end_matches('/').to_owned(),
            key_variable: endpoint.key_variable.clone(),
            retries: endpoint.retries,
        })
    }

    /// Sends a JSON body.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        limits: Limits<'_>,
    ) -> Result<Answer, ProviderError> {
        self.send(Method::POST, path, Some(body), limits).await
    }

    /// Asks for a page.
    pub(super) async fn get(
        &self,
        path: &str,
        limits: Limits<'_>,
    ) -> Result<Answer, ProviderError> {
        self.send(Method::GET, path, None, limits).await
    }

    /// Sends until the head of a good answer comes, a fault is not one of transport, or nothing
    /// more may be tried. The limit counts for each sending by itself; pauses are apart.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits<'_>,
    ) -> Result<Answer, ProviderError> {
        let mut waited = Duration::ZERO;
        let mut retries = 0;
        loop {
            let fault = match self.send_once(&method, path, body, limits).await {
                Ok(mut answer) => {
                    answer.retries = retries;
                    answer.waited_ms = (retries > 0).then_some(waited.as_secs_f64() * 1000.0);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            let Some(pause) = pause(&fault, retries).filter(|_| retries < self.retries) else {
                return Err(fault.error);
            };
            tokio::select! {
                biased;
                () = limits.cancel.cancelled() => return Err(ProviderError::Cancelled),
                () = tokio::time::sleep(pause) => {}
            }
            waited += pause;
            retries += 1;
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits<'_>,
    ) -> Result<Answer, Fault> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.base_url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let watch = Stopwatch::start();
        let sent = tokio::select! {
            biased;
            () = limits.cancel.cancelled() => return Err(Fault::last(ProviderError::Cancelled)),
            sent = tokio::time::timeout(Duration::from_millis(limits.limit_ms), request.send()) => sent,
        };
        let response = match sent {
            Err(_elapsed) => {
                return Err(Fault::last(ProviderError::Unanswered {
                    limit_ms: limits.limit_ms,
                }));
            }
            Ok(Err(error)) => return Err(self.unsent(&error)),
            Ok(Ok(response)) => response,
        };
        let answer = Answer {
            response,
            watch,
            limit_ms: limits.limit_ms,
            cancel: limits.cancel.clone(),
            retries: 0,
            waited_ms: None,
        };
        if answer.response.status().is_success() {
            Ok(answer)
        } else {
            Err(self.refused(answer).await)
        }
    }

    fn unsent(&self, error: &reqwest::Error) -> Fault {
        let host = &self.base_url;
        let cause = root_cause(error);
        let detail = if error.is_connect() {
            format!("nothing answers at {host} ({cause}); is the server running?")
        } else {
            format!("the connection to {host} broke ({cause})")
        };
        Fault {
            error: ProviderError::Network { detail },
            after: None,
            transient: !error.is_builder() && !error.is_redirect(),
        }
    }

    /// The failure that a status means.
    async fn refused(&self, answer: Answer) -> Fault {
        let status = answer.response.status();
        let after = retry_after(answer.response.headers());
        let words = answer.text().await.unwrap_or_default();
        let detail = format!("{status}: {}", words_of(&words));
        let error = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ProviderError::Unauthorised {
                detail: format!("{detail}; {}", self.how_to_pass_a_key()),
            },
            StatusCode::TOO_MANY_REQUESTS => ProviderError::RateLimited {
                detail: match after {
                    Some(after) => format!("{detail}; come back in {} s", after.as_secs()),
                    None => detail,
                },
            },
            StatusCode::REQUEST_TIMEOUT => ProviderError::Server { detail },
            status if status.is_server_error() => ProviderError::Server { detail },
            _ => ProviderError::Rejected { detail },
        };
        let transient = matches!(
            error,
            ProviderError::RateLimited { .. } | ProviderError::Server { .. }
        );
        Fault {
            transient: transient && status != StatusCode::NOT_IMPLEMENTED,
            error,
            after,
        }
    }

    fn how_to_pass_a_key(&self) -> String {
        match &self.key_variable {
            Some(name) => format!("put the key into the variable {name}"),
            None => {
                "name the variable that holds the key: `key-env` of the model in toolbench.toml"
                    .to_owned()
            }
        }
    }
}

/// One failed sending.
struct Fault {
    error: ProviderError,
    /// When the server says to come back.
    after: Option<Duration>,
    /// Another try may help.
    transient: bool,
}

impl Fault {
    fn last(error: ProviderError) -> Self {
        Self {
            error,
            after: None,
            transient: false,
        }
    }
}

/// How long to wait before another try; `None` where none is due. Full jitter, so that requests
/// that failed together do not come back together.
fn pause(fault: &Fault, retries: u32) -> Option<Duration> {
    if !fault.transient {
        return None;
    }
    if let Some(after) = fault.after {
        return (after <= LONGEST_PAUSE).then(|| after.mul_f64(1.0 + 0.1 * fastrand::f64()));
    }
    let most = FIRST_PAUSE
        .saturating_mul(1 << retries.min(10))
        .min(LONGEST_PAUSE);
    Some(most.mul_f64(0.5 + 0.5 * fastrand::f64()))
}

/// `Retry-After` in seconds; a date counts as not said, since clocks differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    (0.0..86_400.0)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds))
}

impl Answer {
    /// Milliseconds since the request was sent.
    pub(super) fn elapsed_ms(&self) -> f64 {
        self.watch.elapsed_ms()
    }

    /// The media type without parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let value = self.response.headers().get(CONTENT_TYPE);
        value
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase())
            .unwrap_or_default()
    }

    /// The whole body as text.
    pub(super) async fn text(self) -> Result<String, Broken> {
        let mut bytes = Vec::new();
        let mut body = self.pieces();
        while let Some(piece) = body.next().await {
            bytes.extend_from_slice(&piece?);
        }
        String::from_utf8(bytes).map_err(|_| bad("the body is not UTF-8"))
    }

    /// The whole body as JSON.
    pub(super) async fn json(self) -> Result<(Value, String), Broken> {
        let media_type = self.media_type();
        let text = self.text().await?;
        match serde_json::from_str(&text) {
            Ok(value) => Ok((value, text)),
            Err(error) if media_type.ends_with("json") => Err(bad(&format!(
                "the body is not JSON: {error}; {}",
                words_of(&text)
            ))),
            Err(_) => Err(bad(&format!(
                "the content type is `{media_type}` and not JSON: {}",
                words_of(&text)
            ))),
        }
    }

    /// Server-sent events, to the end of the body.
    pub(super) fn events(self) -> BoxStream<'static, Result<Piece, Broken>> {
        let watch = self.watch;
        self.pieces()
            .eventsource()
            .map(move |event| match event {
                Ok(event) => Ok(Piece {
                    event: event.event,
                    data: event.data,
                    at_ms: watch.elapsed_ms(),
                }),
                Err(eventsource_stream::EventStreamError::Transport(broken)) => Err(broken),
                Err(other) => Err(bad(&format!("the stream of events is malformed: {other}"))),
            })
            .boxed()
    }

    /// One JSON text a line, to the end of the body.
    pub(super) fn lines(self) -> BoxStream<'static, Result<Piece, Broken>> {
        let watch = self.watch;
        let state = (self.pieces(), Vec::new(), false);
        futures::stream::unfold(state, |(mut body, mut kept, ended)| async move {
            if ended {
                return None;
            }
            loop {
                if let Some(at) = kept.iter().position(|byte| *byte == b'\n') {
                    let rest = kept.split_off(at + 1);
                    let line = std::mem::replace(&mut kept, rest);
                    if line.iter().all(u8::is_ascii_whitespace) {
                        continue;
                    }
                    return Some((line_text(&line), (body, kept, false)));
                }
                match body.next().await {
                    Some(Ok(bytes)) => kept.extend_from_slice(&bytes),
                    Some(Err(broken)) => return Some((Err(broken), (body, Vec::new(), true))),
                    None if kept.iter().all(u8::is_ascii_whitespace) => return None,
                    None => {
                        let last = line_text(&kept);
                        return Some((last, (body, Vec::new(), true)));
                    }
                }
            }
        })
        .map(move |piece| {
            piece.map(|data| Piece {
                event: String::new(),
                data,
                at_ms: watch.elapsed_ms(),
            })
        })
        .boxed()
    }

    /// The body piece by piece; ends with an error at the limit, on cancellation, when the
    /// connection breaks and when there is too much.
    fn pieces(self) -> BoxStream<'static, Result<Vec<u8>, Broken>> {
        struct State {
            body: BoxStream<'static, reqwest::Result<Vec<u8>>>,
            watch: Stopwatch,
            limit_ms: u64,
            cancel: CancellationToken,
            bytes: usize,
            last_ms: f64,
            ended: bool,
        }
        let state = State {
            watch: self.watch,
            limit_ms: self.limit_ms,
            cancel: self.cancel,
            bytes: 0,
            last_ms: 0.0,
            ended: false,
            body: self
                .response
                .bytes_stream()
                .map(|piece| piece.map(|bytes| bytes.to_vec()))
                .boxed(),
        };
        futures::stream::unfold(state, |mut state| async move {
            if state.ended {
                return None;
            }
            let left = state.limit_ms as f64 - state.watch.elapsed_ms();
            let left = Duration::from_secs_f64(left.max(0.0) / 1000.0);
            let next = tokio::select! {
                biased;
                () = state.cancel.cancelled() => Err(Broken::Cancelled),
                next = tokio::time::timeout(left, state.body.next()) => match next {
                    Err(_elapsed) => Err(out_of_time(state.limit_ms, state.bytes, state.last_ms)),
                    Ok(None) => return None,
                    Ok(Some(Ok(bytes))) => Ok(bytes),
                    Ok(Some(Err(error))) => Err(Broken::Failed(ProviderError::Network {
                        detail: format!(
                            "the reply broke off after {} bytes ({})",
                            state.bytes,
                            root_cause(&error)
                        ),
                    })),
                },
            };
            let next = next.and_then(|bytes| {
                state.bytes += bytes.len();
                if state.bytes > MOST_BYTES {
                    return Err(bad(&format!("the reply has more than {MOST_BYTES} bytes")));
                }
                state.last_ms = state.watch.elapsed_ms();
                Ok(bytes)
            });
            state.ended = next.is_err();
            Some((next, state))
        })
        .boxed()
    }
}

/// What the end of the limit means: slow while pieces came, unanswered or stalled while none did.
fn out_of_time(limit_ms: u64, bytes: usize, last_ms: f64) -> Broken {
    let silent_ms = limit_ms as f64 - last_ms;
    if bytes == 0 {
        Broken::Failed(ProviderError::Unanswered { limit_ms })
    } else if silent_ms > limit_ms as f64 / 2.0 {
        Broken::Failed(ProviderError::Network {
            detail: format!("the reply stalled: nothing for {silent_ms:.0} ms after {bytes} bytes"),
        })
    } else {
        Broken::TimeLimit
    }
}

fn line_text(bytes: &[u8]) -> Result<String, Broken> {
    let text = std::str::from_utf8(bytes).map_err(|_| bad("a line is not UTF-8"))?;
    Ok(text.trim().to_owned())
}

/// A reply that is not what its protocol documents.
pub(super) fn bad(detail: &str) -> Broken {
    Broken::Failed(ProviderError::BadReply {
        detail: detail.to_owned(),
    })
}

/// The beginning of a server's own words, on one line; a JSON error's message where there is one.
fn words_of(body: &str) -> String {
    let message = serde_json::from_str::<Value>(body).ok().and_then(|value| {
        ["/error/message", "/error", "/message", "/detail"]
            .iter()
            .find_map(|pointer| value.pointer(pointer)?.as_str().map(str::to_owned))
    });
    let text = message.unwrap_or_else(|| body.to_owned());
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_WORDS) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None if line.is_empty() => "no further words".to_owned(),
        None => line,
    }
}

/// The innermost cause: what a person can act on.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
