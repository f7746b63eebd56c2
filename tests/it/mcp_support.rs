//! A served mock, spoken to in raw lines and raw HTTP: no client of ours in between.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Context, TINY_SUITE};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A `toolbench mcp serve` that ends with this value.
pub struct Served {
    pub child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    notes: Receiver<String>,
}

/// Serves the tiny suite of tests.
pub fn serve_tiny(context: &Context, flags: &[&str]) -> Served {
    context.write("tiny.yaml", TINY_SUITE);
    let mut arguments = vec!["mcp", "serve", "tiny.yaml"];
    arguments.extend(flags);
    Served::start(context, &arguments)
}

fn lines_of(stream: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Served {
    pub fn start(context: &Context, arguments: &[&str]) -> Self {
        let mut child = context
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("toolbench starts");
        Self {
            input: child.stdin.take(),
            lines: lines_of(child.stdout.take().expect("standard output")),
            notes: lines_of(child.stderr.take().expect("standard error")),
            child,
        }
    }

    pub fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("standard input is open");
        writeln!(input, "{line}").expect("a line is written");
    }

    /// The next line; `None` when the output has ended.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}"),
        }
    }

    /// Whether nothing is written for a while.
    pub fn is_silent(&mut self, time: Duration) -> bool {
        matches!(
            self.lines.recv_timeout(time),
            Err(RecvTimeoutError::Timeout)
        )
    }

    pub fn ask(&mut self, message: &Value) -> Value {
        self.send(&message.to_string());
        let line = self.line().expect("an answer");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    }

    /// The handshake of 2025-11-25.
    pub fn initialize(&mut self) -> Value {
        let answer = self.ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}}));
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string());
        answer
    }

    /// Where it listens, from standard error.
    pub fn address(&self) -> String {
        let note = self.notes.recv_timeout(PATIENCE).expect("an address");
        let (_, address) = note.rsplit_once(" at ").expect("an address");
        address.to_owned()
    }

    /// Closes standard input; the exit code.
    pub fn close(&mut self) -> Option<i32> {
        self.input = None;
        for _ in 0..PATIENCE.as_millis() / 20 {
            if let Some(status) = self.child.try_wait().expect("a status") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the server does not end with its input");
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A call of a tool of the tiny suite.
pub fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// An HTTP answer: status, headers in lower case, body.
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

/// One POST on a connection of its own; `None` when the connection ends without an answer.
pub fn post(url: &str, headers: &[(&str, &str)], body: &str) -> Option<Answer> {
    let rest = url.strip_prefix("http://").expect("an address");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    let own_host = headers.iter().any(|(name, _)| *name == "Host");
    let mut request = format!(
        "POST /{path} HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: {}\r\n",
        body.len()
    );
    if !own_host {
        request.push_str(&format!("Host: {host}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{request}\r\n{body}").as_bytes())
        .expect("a request");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (first, headers) = head.split_once("\r\n").unwrap_or((head, ""));
    Some(Answer {
        status: first.split(' ').nth(1)?.parse().ok()?,
        headers: headers.to_lowercase(),
        body: body.to_owned(),
    })
}

/// A call by the stateless protocol: one request, no handshake.
pub fn post_call(url: &str, tool: &str, arguments: &Value) -> Option<Answer> {
    let mut message = call(7, tool, arguments);
    message["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let headers = [
        ("MCP-Protocol-Version", "2026-07-28"),
        ("Mcp-Method", "tools/call"),
        ("Mcp-Name", tool),
    ];
    post(url, &headers, &message.to_string())
}
