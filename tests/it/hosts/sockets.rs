//! WebSocket and gRPC: the same messages over other wires, with the same faults.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use futures::{SinkExt as _, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use toolbench::tools::connect::HostSpec;
use toolbench::tools::grpc::Line;
use toolbench::tools::grpc::mcp_server::{Mcp, McpServer};
use toolbench::types::host::HostAddress;
use toolbench::types::secret::Secret;
use toolbench::types::{Code, ToolCall};

use super::server::mcp_answer;
use super::{call_once, host_of, look, spec, within_limit};

/// What a server writes in answer to one message; `None` ends the connection.
pub type Answer = fn(&Value) -> Option<Vec<String>>;

#[expect(clippy::unnecessary_wraps, reason = "the form of an answer")]
pub fn faultless(message: &Value) -> Option<Vec<String>> {
    Some(mcp_answer(message).iter().map(Value::to_string).collect())
}

fn faulty(
    message: &Value,
    call: impl FnOnce(&Value) -> Option<Vec<String>>,
) -> Option<Vec<String>> {
    if message["method"] == "tools/call" {
        call(&message["id"])
    } else {
        faultless(message)
    }
}

/// Faults of `tools/call` with their code and a word of the error.
fn faults() -> Vec<(&'static str, Answer, Code, &'static str)> {
    vec![
        (
            "not json",
            |m| faulty(m, |_| Some(vec!["Traceback".to_owned()])),
            Code::McpProtocolError,
            "not a JSON object: Traceback",
        ),
        (
            "wrong id",
            |m| {
                faulty(m, |_| {
                    Some(vec![
                        json!({"jsonrpc": "2.0", "id": 999, "result": {}}).to_string(),
                    ])
                })
            },
            Code::McpProtocolError,
            "id that was not asked",
        ),
        (
            "no result",
            |m| {
                faulty(m, |id| {
                    Some(vec![json!({"jsonrpc": "2.0", "id": id}).to_string()])
                })
            },
            Code::McpProtocolError,
            "neither result nor error",
        ),
        (
            "server error",
            |m| {
                faulty(m, |id| {
                    Some(vec![json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32603, "message": "disk full"}}).to_string()])
                })
            },
            Code::ToolErrorEnv,
            "disk full",
        ),
        (
            "closed",
            |m| faulty(m, |_| None),
            Code::McpProtocolError,
            "closed",
        ),
        (
            "huge",
            |m| {
                faulty(m, |id| {
                    Some(vec![json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "x".repeat(16 << 20)}]}}).to_string()])
                })
            },
            Code::McpProtocolError,
            "over the limit",
        ),
        (
            "silence",
            |m| faulty(m, |_| Some(Vec::new())),
            Code::ToolTimeout,
            "no answer within",
        ),
    ]
}

async fn websocket_server(answer: Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(Message::Text(text))) = socket.next().await {
                    let message = serde_json::from_str(text.as_str()).unwrap_or_default();
                    let Some(lines) = answer(&message) else {
                        return;
                    };
                    for line in lines {
                        let _ = socket.send(Message::text(line)).await;
                    }
                }
            });
        }
    });
    address
}

struct Grpc(Answer);

#[tonic::async_trait]
impl Mcp for Grpc {
    type SessionStream = Pin<Box<dyn Stream<Item = Result<Line, tonic::Status>> + Send>>;

    async fn session(
        &self,
        request: tonic::Request<tonic::Streaming<Line>>,
    ) -> Result<tonic::Response<Self::SessionStream>, tonic::Status> {
        let key = request.metadata().get("x-key");
        if key.is_some_and(|key| key != "k1") {
            return Err(tonic::Status::unauthenticated("wrong key"));
        }
        let answer = self.0;
        let lines = request
            .into_inner()
            .map(move |line| {
                let line = line.map(|line| line.json).unwrap_or_default();
                answer(&serde_json::from_str(&line).unwrap_or_default())
            })
            .take_while(|lines| std::future::ready(lines.is_some()))
            .flat_map(|lines| {
                futures::stream::iter(
                    lines
                        .unwrap_or_default()
                        .into_iter()
                        .map(|json| Ok(Line { json })),
                )
            });
        Ok(tonic::Response::new(Box::pin(lines)))
    }
}

async fn grpc_server(answer: Answer) -> SocketAddr {
    serve_grpc(answer, None).await
}

/// A gRPC server of these answers, once it listens.
pub async fn serve_grpc(
    answer: Answer,
    tls: Option<tonic::transport::ServerTlsConfig>,
) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut builder = tonic::transport::Server::builder();
    if let Some(tls) = tls {
        builder = builder.tls_config(tls).unwrap();
    }
    tokio::spawn(
        builder
            .add_service(McpServer::new(Grpc(answer)).max_encoding_message_size(usize::MAX))
            .serve(address),
    );
    while tokio::net::TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    address
}

fn websocket(address: SocketAddr) -> HostSpec {
    spec(HostAddress::WebSocket {
        url: format!("ws://{address}/mcp"),
    })
}

fn grpc(address: SocketAddr) -> HostSpec {
    spec(HostAddress::Grpc {
        address: format!("http://{address}"),
    })
}

async fn works(spec: &HostSpec) {
    let host = host_of(spec);
    let facts = host.facts().await.unwrap();
    assert_eq!(facts.identity.as_deref(), Some("small 1.0"));
    let mut session = host.open(None).await.unwrap();
    for _ in 0..20 {
        let result = session.call(&look()).await.unwrap();
        assert_eq!(result.content, r#"{"zebra":"z","apple":1}"#);
    }
    host.health().await.unwrap();
    host.close().await;
}

async fn fails(name: &str, mut spec: HostSpec, code: Code, needle: &str) {
    if name == "silence" {
        spec.call_limit = Duration::from_millis(300);
    }
    let error = call_once(&spec).await.expect_err(name);
    assert_eq!(error.code, code, "{name}: {error}");
    assert!(error.message.contains(needle), "{name}: {needle}: {error}");
}

#[test]
fn websocket_works_and_fails_in_its_own_words() {
    within_limit(async {
        works(&websocket(websocket_server(faultless).await)).await;
        for (name, answer, code, needle) in faults() {
            fails(
                name,
                websocket(websocket_server(answer).await),
                code,
                needle,
            )
            .await;
        }
        // Not there, and something else there.
        let nobody = websocket("127.0.0.1:1".parse().unwrap());
        fails("nobody", nobody, Code::ToolErrorEnv, "cannot be reached").await;
        let page = super::server::Server::start(|_| super::server::Reply::text(403, "no"));
        fails("page", websocket(page.address), Code::ToolErrorEnv, "403").await;
    });
}

#[test]
fn grpc_works_and_fails_in_its_own_words() {
    within_limit(async {
        let mut good = grpc(grpc_server(faultless).await);
        works(&good).await;
        good.authentication.known_headers = vec![("X-Key".to_owned(), Secret::new("k1"))];
        works(&good).await;
        good.authentication.known_headers = vec![("X-Key".to_owned(), Secret::new("k2"))];
        fails("key", good, Code::ToolErrorEnv, "--bearer-env").await;
        for (name, answer, code, needle) in faults() {
            fails(name, grpc(grpc_server(answer).await), code, needle).await;
        }
        let nobody = spec(HostAddress::Grpc {
            address: "http://127.0.0.1:1".to_owned(),
        });
        fails("nobody", nobody, Code::ToolErrorEnv, "cannot be reached").await;
    });
}

/// Calls and cancellations in the order in which the server got them.
static ORDER: Mutex<Vec<(String, i64)>> = Mutex::new(Vec::new());

fn noting(message: &Value) -> Option<Vec<String>> {
    let note = match message["method"].as_str() {
        Some("tools/call") => ("call", message["id"].as_i64()),
        Some("notifications/cancelled") => ("cancel", message["params"]["requestId"].as_i64()),
        _ => return faultless(message),
    };
    let line = (note.0.to_owned(), note.1.unwrap_or(-1));
    ORDER.lock().expect("the order").push(line);
    if message["params"]["arguments"]["zebra"] == "hang" {
        return Some(Vec::new());
    }
    faultless(message)
}

#[test]
fn messages_arrive_in_the_order_in_which_they_were_sent() {
    within_limit(async {
        let host = host_of(&websocket(websocket_server(noting).await));
        let mut sessions = Vec::new();
        for _ in 0..40 {
            sessions.push(host.open(None).await.unwrap());
        }
        let (look, hang) = (look(), ToolCall::new("look", json!({"zebra": "hang"})));
        let (look, hang) = (&look, &hang);
        futures::future::join_all(sessions.iter_mut().map(|session| async move {
            for _ in 0..10 {
                session.call(look).await.unwrap();
                // Given up at once: the word that it is must not overtake it.
                let given_up = tokio::time::timeout(Duration::ZERO, session.call(hang)).await;
                assert!(given_up.is_err());
            }
        }))
        .await;
        sessions[0].call(look).await.unwrap();
        host.close().await;
        let order = ORDER.lock().unwrap();
        let calls: Vec<i64> = order
            .iter()
            .filter(|(what, _)| what == "call")
            .map(|(_, id)| *id)
            .collect();
        assert!(calls.len() > 400, "{}", calls.len());
        assert!(calls.is_sorted(), "{calls:?}");
        for (at, (what, id)) in order.iter().enumerate() {
            let call = ("call".to_owned(), *id);
            assert!(what == "call" || order[..at].contains(&call), "{what} {id}");
        }
        assert!(order.iter().any(|(what, _)| what == "cancel"));
    });
}
