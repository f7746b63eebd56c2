//! A mock over streamable HTTP, at `/mcp`.
//!
//! Data in: a TCP connection. Data out: answers as rmcp makes them, or the fault in their place.
//! Invariants: on a loopback address only loopback hosts and origins are answered, so that no page
//! in a browser reaches the mock; bodies are bounded; every session ends with the server.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::fault::{BANNER, Faults, Harm, Instead, RETRY_AFTER_SECONDS};
use super::handler::Handler;

/// Where the protocol is spoken.
pub(super) const PATH: &str = "/mcp";
/// Longest body of a request.
const BODY_LIMIT_BYTES: usize = 4 << 20;

type Body = BoxBody<Bytes, Infallible>;

/// The connection is to end without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection ends here, as it was told to")]
struct Dropped;

/// All connections of one HTTP server.
#[derive(Clone)]
pub(super) struct HttpServer {
    service: StreamableHttpService<Handler, LocalSessionManager>,
    faults: Arc<Faults>,
}

impl HttpServer {
    pub(super) fn new(
        handler: Handler,
        faults: Arc<Faults>,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        let config = StreamableHttpServerConfig::default().with_cancellation_token(stop);
        let config = if address.ip().is_loopback() {
            let origins = ["localhost", "127.0.0.1", "[::1]"]
                .iter()
                .flat_map(|host| [format!("http://{host}:*"), format!("https://{host}:*")]);
            config.with_allowed_origins(origins)
        } else {
            config.disable_allowed_hosts()
        };
        let service = StreamableHttpService::new(
            move || Ok(handler.clone()),
            Arc::new(LocalSessionManager::default()),
            config,
        );
        Self { service, faults }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve_connection(self, stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let answer = service_fn(move |request| self.clone().answer(request));
        let _ = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), answer)
            .await;
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        if request.uri().path() != PATH {
            let words = format!("nothing is here; the protocol is spoken at {PATH}\n");
            return Ok(plain(StatusCode::NOT_FOUND, words));
        }
        if self.faults.is_empty() || request.method() != Method::POST {
            return Ok(self.service.handle(request).await);
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_LIMIT_BYTES).collect().await else {
            return Ok(plain(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is too long\n".to_owned(),
            ));
        };
        let body = body.to_bytes();
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut harm = self.faults.on_message(&message).unwrap_or_default();
        // There is no line before all others here: what would greet comes before every answer.
        harm.banner |= self.faults.greets() && message["method"] == "tools/call";
        tokio::time::sleep(harm.delay).await;
        if let Some(instead) = harm.instead {
            return hurt(instead, &message["id"]).await;
        }
        let request = Request::from_parts(head, Full::new(body));
        let response = self.service.handle(request).await;
        with_banner(response, harm).await
    }
}

async fn hurt(instead: Instead, id: &Value) -> Result<Response<Body>, Dropped> {
    match instead {
        Instead::Close => Err(Dropped),
        Instead::Nothing => std::future::pending().await,
        Instead::RateLimit => {
            let mut response = plain(
                StatusCode::TOO_MANY_REQUESTS,
                "too many requests, as it was told to say\n".to_owned(),
            );
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            Ok(response)
        }
        other => {
            let text = other.message(id).unwrap_or_default();
            Ok(with_type(StatusCode::OK, "application/json", text))
        }
    }
}

/// An answer with a line of text before it, where one is wanted.
async fn with_banner(response: Response<Body>, harm: Harm) -> Result<Response<Body>, Dropped> {
    if !harm.banner {
        return Ok(response);
    }
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|_| Dropped)?.to_bytes();
    let mut whole = format!("{BANNER}\n").into_bytes();
    whole.extend_from_slice(&body);
    Ok(Response::from_parts(head, Full::from(whole).boxed()))
}

fn plain(status: StatusCode, words: String) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", words)
}

fn with_type(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Full::from(text).boxed());
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
