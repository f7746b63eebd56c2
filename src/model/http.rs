//! What all providers over HTTP share: sending, repeating, reading whole or piece by piece, and
//! calling each failure by its name.
//!
//! Data in: an [`Endpoint`] and JSON bodies. Data out: JSON or the pieces of a stream, each with the
//! time since the request was sent. Invariants: every wait is bounded by the request's limit and
//! ends with a cancellation; a reply has at most [`MOST_BYTES`]; only faults of transport are
//! repeated, and how often is told; no header's value is ever part of a message.

use std::sync::Arc;
use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::stream::{BoxStream, StreamExt as _};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::backoff::{Fault, refusal, words_of};
use super::throttle::{Permit, Throttle};
use crate::clock::Stopwatch;
use crate::types::ProviderError;
use crate::types::endpoint::Endpoint;

/// Most bytes of one reply.
const MOST_BYTES: usize = 16 << 20;
/// Redirects followed, all to the same server.
const MOST_REDIRECTS: usize = 5;
/// How long a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// A client of one endpoint.
pub(super) struct HttpClient {
    client: Client,
    base_url: String,
    key_variable: Option<String>,
    retries: u32,
    throttle: Arc<Throttle>,
}

/// What a request may take.
#[derive(Clone, Copy)]
pub(super) struct Limits<'a> {
    /// From sending to the end of the reply.
    pub(super) limit_ms: u64,
    /// Ends it from outside.
    pub(super) cancel: &'a CancellationToken,
}

/// What trying again has cost so far.
#[derive(Default)]
struct Spent {
    retries: u32,
    waited: Duration,
}

/// An answer whose head has come.
pub(super) struct Answer {
    response: Response,
    watch: Stopwatch,
    limit_ms: u64,
    cancel: CancellationToken,
    /// Held until the reply has been read.
    permit: Permit,
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
            let mut value = HeaderValue::try_from(value.reveal())
                .map_err(|_| rejected(format!("the value of header `{name}` cannot be sent")))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let mut builder = Client::builder()
            .user_agent(concat!("toolbench/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_LIMIT)
            .redirect(Policy::custom(within_origin))
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
            throttle: Arc::default(),
        })
    }

    /// Sends a JSON body.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        limits: Limits<'_>,
    ) -> Result<Answer, ProviderError> {
        self.send(
            Method::POST,
            path,
            Some(body),
            limits,
            &mut Spent::default(),
        )
        .await
    }

    /// Sends a JSON body and reads the reply; one that breaks off within the limit is asked for
    /// again, like a request that broke. `read` gets the repetitions of both kinds in its answer.
    pub(super) async fn ask<T, F>(
        &self,
        path: &str,
        body: &Value,
        limits: Limits<'_>,
        read: impl Fn(Answer) -> F,
    ) -> Result<T, Broken>
    where
        F: Future<Output = Result<T, Broken>>,
    {
        let mut spent = Spent::default();
        loop {
            let sending = self.send(Method::POST, path, Some(body), limits, &mut spent);
            let answer = sending.await.map_err(Broken::Failed)?;
            let watch = answer.watch;
            let broken = match read(answer).await {
                Err(Broken::Failed(
                    error @ (ProviderError::Network { .. } | ProviderError::Server { .. }),
                )) if watch.elapsed_ms() < limits.limit_ms as f64 => error,
                other => return other,
            };
            let fault = Fault {
                error: broken,
                after: None,
                transient: true,
            };
            self.wait(fault, limits, &mut spent)
                .await
                .map_err(Broken::Failed)?;
        }
    }

    /// Waits before another try, or gives the fault back where none is due.
    async fn wait(
        &self,
        fault: Fault,
        limits: Limits<'_>,
        spent: &mut Spent,
    ) -> Result<(), ProviderError> {
        let pause = fault.pause(spent.retries);
        let Some(pause) = pause.filter(|_| spent.retries < self.retries) else {
            return Err(fault.error);
        };
        tokio::select! {
            biased;
            () = limits.cancel.cancelled() => return Err(ProviderError::Cancelled),
            () = tokio::time::sleep(pause) => {}
        }
        spent.waited += pause;
        spent.retries += 1;
        Ok(())
    }

    /// Asks for a page.
    pub(super) async fn get(
        &self,
        path: &str,
        limits: Limits<'_>,
    ) -> Result<Answer, ProviderError> {
        self.send(Method::GET, path, None, limits, &mut Spent::default())
            .await
    }

    /// Sends until the head of a good answer comes, a fault is not one of transport, or nothing
    /// more may be tried. The limit counts for each sending by itself; pauses are apart.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits<'_>,
        spent: &mut Spent,
    ) -> Result<Answer, ProviderError> {
        loop {
            let queued = Stopwatch::start();
            let permit = tokio::select! {
                biased;
                () = limits.cancel.cancelled() => return Err(ProviderError::Cancelled),
                permit = self.throttle.permit() => permit,
            };
            spent.waited += queued.elapsed();
            match self.send_once(&method, path, body, limits, permit).await {
                Ok(mut answer) => {
                    let waited_ms = spent.waited.as_secs_f64() * 1000.0;
                    answer.retries = spent.retries;
                    answer.waited_ms = (spent.retries > 0 || waited_ms >= 1.0).then_some(waited_ms);
                    return Ok(answer);
                }
                Err(fault) => self.wait(fault, limits, spent).await?,
            }
        }
    }

    async fn send_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        limits: Limits<'_>,
        permit: Permit,
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
                permit.refused();
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
            permit,
            retries: 0,
            waited_ms: None,
        };
        if answer.response.status().is_success() {
            answer.permit.answered();
            return Ok(answer);
        }
        if matches!(
            answer.response.status(),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            answer.permit.refused();
        }
        Err(self.refused(answer).await)
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
        let headers = answer.response.headers().clone();
        let words = answer.text().await.unwrap_or_default();
        refusal(status, &headers, &words, self.key_variable.as_deref())
    }
}

impl Answer {
    /// Milliseconds since the request was sent.
    pub(super) fn elapsed_ms(&self) -> f64 {
        self.watch.elapsed_ms()
    }

    /// Running since the request was sent.
    pub(super) fn watch(&self) -> Stopwatch {
        self.watch
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
            permit: Permit,
            bytes: usize,
            last_ms: f64,
            ended: bool,
        }
        let state = State {
            watch: self.watch,
            limit_ms: self.limit_ms,
            cancel: self.cancel,
            permit: self.permit,
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
                    Err(_elapsed) => {
                        let broken = out_of_time(state.limit_ms, state.bytes, state.last_ms);
                        if broken != Broken::TimeLimit {
                            state.permit.refused();
                        }
                        Err(broken)
                    }
                    Ok(None) => return None,
                    Ok(Some(Ok(bytes))) => Ok(bytes),
                    Ok(Some(Err(error))) if cannot_be_unpacked(&error) => {
                        Err(bad(&format!("the body cannot be unpacked ({})", root_cause(&error))))
                    }
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

/// Follows only where the same server answers: headers hold keys.
fn within_origin(attempt: Attempt<'_>) -> Action {
    let origin = attempt.previous().first().map(reqwest::Url::origin);
    if origin != Some(attempt.url().origin()) {
        attempt.stop()
    } else if attempt.previous().len() > MOST_REDIRECTS {
        attempt.error("too many redirects")
    } else {
        attempt.follow()
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

/// A reply that broke off: asked for again, like one whose connection broke.
pub(super) fn broken_off(detail: &str) -> Broken {
    Broken::Failed(ProviderError::Server {
        detail: detail.to_owned(),
    })
}

/// The bytes came and are not what their encoding says. A connection that broke while they were
/// unpacked is not meant: then the cause is one of HTTP's own.
fn cannot_be_unpacked(error: &reqwest::Error) -> bool {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = source(cause) {
        cause = source;
        if cause.is::<hyper::Error>() {
            return false;
        }
    }
    let kind = cause.downcast_ref().map(std::io::Error::kind);
    error.is_decode()
        && matches!(
            kind,
            Some(
                std::io::ErrorKind::InvalidData
                    | std::io::ErrorKind::InvalidInput
                    | std::io::ErrorKind::UnexpectedEof
            )
        )
}

/// What is behind an error; an I/O error hides the one that it was made of.
fn source<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a (dyn std::error::Error + 'static)> {
    match error
        .downcast_ref::<std::io::Error>()
        .map(std::io::Error::get_ref)
    {
        Some(Some(inner)) => Some(inner),
        _ => error.source(),
    }
}

fn innermost(error: &reqwest::Error) -> &(dyn std::error::Error + 'static) {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = source(cause) {
        cause = source;
    }
    cause
}

/// The innermost cause: what a person can act on.
fn root_cause(error: &reqwest::Error) -> String {
    innermost(error).to_string()
}
