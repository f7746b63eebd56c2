//! A small HTTP/1.1 server whose every answer the test decides, byte by byte if it likes.
//!
//! Keeps connections alive and counts them; ends when it is dropped.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// An event that is none: the server waits for 300 ms instead.
pub const PAUSE: &str = "pause";

/// An answer.
pub enum Reply {
    /// A status, headers besides the length, and a body.
    Whole(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Exactly these bytes, then the end of the connection.
    Raw(Vec<u8>),
    /// The head of an event stream, these events, then its end (after the pause).
    Events(Vec<String>, Duration),
    /// Nothing, until the server ends.
    Hang,
}

impl Reply {
    pub fn json(status: u16, body: &Value) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self::Whole(status, vec![kind], body.to_string().into_bytes())
    }

    pub fn text(status: u16, body: &str) -> Self {
        let kind = ("content-type", "text/plain".to_owned());
        Self::Whole(status, vec![kind], body.as_bytes().to_vec())
    }

    pub fn empty(status: u16) -> Self {
        Self::Whole(status, Vec::new(), Vec::new())
    }
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server.
pub struct Server {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen(None, handler)
    }

    /// A server that speaks TLS.
    pub fn start_tls(
        tls: Arc<rustls::ServerConfig>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen(Some(tls), handler)
    }

    fn listen(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            connections: Arc::default(),
            requests: Arc::default(),
            is_over: Arc::default(),
        };
        let handler: Arc<Handler> = Arc::new(handler);
        let (connections, requests, is_over) = (
            Arc::clone(&server.connections),
            Arc::clone(&server.requests),
            Arc::clone(&server.is_over),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { return };
                connections.fetch_add(1, Ordering::SeqCst);
                let (handler, requests, is_over) = (
                    Arc::clone(&handler),
                    Arc::clone(&requests),
                    Arc::clone(&is_over),
                );
                let tls = tls.clone();
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(Duration::from_mins(1)));
                    match tls {
                        None => serve(stream, &*handler, &requests, &is_over),
                        Some(tls) => {
                            let Ok(session) = rustls::ServerConnection::new(tls) else {
                                return;
                            };
                            let stream = rustls::StreamOwned::new(session, stream);
                            serve(stream, &*handler, &requests, &is_over);
                        }
                    }
                });
            }
        });
        server
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("requests").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(
    stream: impl Read + Write,
    handler: &Handler,
    requests: &Mutex<Vec<Request>>,
    over: &AtomicBool,
) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read_request(&mut reader) {
        requests.lock().expect("requests").push(request.clone());
        let reply = handler(&request);
        let writer = reader.get_mut();
        let written = match reply {
            Reply::Whole(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n", body.len());
                for (name, value) in headers {
                    head.push_str(&format!("{name}: {value}\r\n"));
                }
                head.push_str("\r\n");
                writer
                    .write_all(head.as_bytes())
                    .and_then(|()| writer.write_all(&body))
            }
            Reply::Raw(bytes) => {
                let _ = writer.write_all(&bytes);
                return;
            }
            Reply::Events(events, pause) => {
                let head = "HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let _ = writer.write_all(head.as_bytes());
                for event in events {
                    if event == PAUSE {
                        wait(Duration::from_millis(300), over);
                        continue;
                    }
                    let _ = writer.write_all(event.as_bytes());
                    let _ = writer.flush();
                }
                wait(pause, over);
                return;
            }
            Reply::Hang => {
                wait(Duration::from_mins(1), over);
                return;
            }
        };
        if written.is_err() {
            return;
        }
    }
}

fn wait(limit: Duration, over: &AtomicBool) {
    let step = Duration::from_millis(20);
    let mut left = limit;
    while !left.is_zero() && !over.load(Ordering::SeqCst) {
        std::thread::sleep(step.min(left));
        left = left.saturating_sub(step);
    }
}

fn read_request(reader: &mut BufReader<impl Read>) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Two tools: `look` only reads, `erase` destroys.
pub fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"zebra": {"type": "string"}, "apple": {"type": "integer"}}});
    json!([
        {"name": "look", "description": "Looks.", "inputSchema": schema, "annotations": {"readOnlyHint": true}},
        {"name": "erase", "description": "Erases.", "inputSchema": schema, "annotations": {"readOnlyHint": false, "destructiveHint": true}},
    ])
}

/// What a faultless MCP server answers to a message; `None` for a notification.
pub fn mcp_answer(message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let result = match message["method"].as_str()? {
        "initialize" => json!({
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {"listChanged": true}},
            "serverInfo": {"name": "small", "version": "1.0"}}),
        "tools/list" => json!({"tools": tools()}),
        "tools/call" => {
            json!({"content": [{"type": "text", "text": message["params"]["arguments"].to_string()}]})
        }
        "ping" => json!({}),
        method => {
            return Some(
                json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": format!("no {method}")}}),
            );
        }
    };
    Some(json!({"jsonrpc": "2.0", "id": id, "result": result}))
}

/// A faultless MCP server over streamable HTTP, with JSON bodies and no session.
pub fn mcp_reply(request: &Request) -> Reply {
    match request.method.as_str() {
        "POST" => match mcp_answer(&request.json()) {
            Some(answer) => Reply::json(200, &answer),
            None => Reply::empty(202),
        },
        _ => Reply::empty(405),
    }
}

/// An event of a stream.
pub fn event(data: &Value) -> String {
    format!("event: message\ndata: {data}\n\n")
}
