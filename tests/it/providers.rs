//! What the tests of providers share: a server on loopback that answers as told, requests, endpoints.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use toolbench::model::Provider;
use toolbench::types::endpoint::{Endpoint, Protocol};
use toolbench::types::secret::Secret;
use toolbench::types::{
    GenerateReply, GenerateRequest, Mechanism, Message, Prompt, ProviderError, Role, Sampling,
    ToolCall, ToolChoice, ToolDefinition, Wire,
};

/// A request as the server saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// What the server answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    media_type: &'static str,
    pieces: Vec<String>,
    whole: bool,
}

impl Answer {
    pub fn json(body: &Value) -> Self {
        Self::status(200, body)
    }

    pub fn status(status: u16, body: &Value) -> Self {
        Self {
            status,
            media_type: "application/json",
            pieces: vec![body.to_string()],
            whole: true,
        }
    }

    /// Server-sent events: each `event: NAME` where it has a type, and its data.
    pub fn events(events: &[Value]) -> Self {
        let piece = |event: &Value| match event["type"].as_str() {
            Some(name) => format!("event: {name}\ndata: {event}\n\n"),
            None => format!("data: {event}\n\n"),
        };
        Self {
            status: 200,
            media_type: "text/event-stream; charset=utf-8",
            pieces: events.iter().map(piece).collect(),
            whole: true,
        }
    }

    pub fn lines(lines: &[Value]) -> Self {
        Self {
            status: 200,
            media_type: "application/x-ndjson",
            pieces: lines.iter().map(|line| format!("{line}\n")).collect(),
            whole: true,
        }
    }

    /// The connection breaks after what there is.
    pub fn cut(mut self) -> Self {
        self.whole = false;
        self
    }
}

/// A server that ends with this value.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let (kept, ending) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self {
            url,
            seen,
            stop,
            thread: Some(thread),
        }
    }

    /// Requests of a path, in order.
    pub fn seen(&self, path: &str) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .filter(|one| one.path == path)
            .cloned()
            .collect()
    }

    /// The last request of a path.
    pub fn last(&self, path: &str) -> Seen {
        self.seen(path)
            .pop()
            .unwrap_or_else(|| panic!("nobody asked {path}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Seen>>, answer: &dyn Fn(&Seen) -> Answer) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
    let Some(request) = read_request(&mut stream) else {
        return;
    };
    seen.lock().unwrap().push(request.clone());
    let answer = answer(&request);
    let head = format!(
        "HTTP/1.1 {} Told\r\ncontent-type: {}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        answer.status, answer.media_type
    );
    let _ = stream.write_all(head.as_bytes());
    for piece in &answer.pieces {
        let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
        let _ = stream.write_all(chunk.as_bytes());
        let _ = stream.flush();
    }
    if answer.whole {
        let _ = stream.write_all(b"0\r\n\r\n");
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut buffer = [0_u8; 4096];
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        match stream.read(&mut buffer).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
    Some(Seen {
        path,
        headers,
        body: serde_json::from_slice(&bytes[head_end..]).unwrap_or_default(),
    })
}

/// A file of `fixtures/providers/`; its shapes name their document and date.
pub fn fixture(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/providers")
        .join(name);
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let fixture: Value = serde_json::from_str(&text).unwrap();
    for key in ["document", "date"] {
        assert!(fixture[key].is_string(), "{name} names no {key}");
    }
    fixture
}

/// The list at a key of a fixture.
pub fn list<'a>(fixture: &'a Value, key: &str) -> &'a [Value] {
    fixture[key]
        .as_array()
        .unwrap_or_else(|| panic!("no list {key}"))
}

pub fn endpoint(protocol: Protocol, url: &str, model: &str) -> Endpoint {
    Endpoint {
        preset: "test".to_owned(),
        headers: vec![("x-api-key".to_owned(), Secret::new("planted-key"))],
        key_variable: Some("TEST_KEY".to_owned()),
        wires: vec![Wire::RawText, Wire::Chat, Wire::ChatWithTools],
        mechanisms: vec![Mechanism::JsonSchema, Mechanism::StrictTools],
        retries: 1,
        ..Endpoint::new(protocol, url, model)
    }
}

pub fn weather_tool() -> ToolDefinition {
    serde_json::from_value(json!({
        "name": "get_weather",
        "description": "The weather in a city.",
        "inputSchema": {"type": "object", "properties": {"city": {"type": "string"}},
            "required": ["city"], "additionalProperties": false},
    }))
    .unwrap()
}

/// A second turn: the person asked, the model called, the tool answered.
pub fn conversation() -> Vec<Message> {
    let call = ToolCall {
        id: Some("call_1".to_owned()),
        ..ToolCall::new("get_weather", json!({"city": "Oslo"}))
    };
    vec![
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "Weather in Oslo?"),
        Message::assistant_calls("", vec![call.clone()]),
        Message::tool_result(&call, "rain"),
    ]
}

pub fn chat(messages: Vec<Message>, tools: Vec<ToolDefinition>) -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Chat {
            messages,
            tools,
            tool_choice: ToolChoice::Auto,
        },
        sampling: Sampling::default(),
        seed: (1 << 40) + 7,
        max_tokens: 64,
        stop: vec!["STOP".to_owned()],
        constraint: None,
        stream: true,
        time_limit_ms: 5_000,
        context: None,
    }
}

/// One question without tools.
pub fn question() -> GenerateRequest {
    chat(
        vec![Message::text(Role::User, "Weather in Oslo?")],
        Vec::new(),
    )
}

/// One question with a tool.
pub fn question_with_tool() -> GenerateRequest {
    chat(
        vec![Message::text(Role::User, "Weather in Oslo?")],
        vec![weather_tool()],
    )
}

pub fn whole(request: GenerateRequest) -> GenerateRequest {
    GenerateRequest {
        stream: false,
        ..request
    }
}

pub async fn ask(
    provider: &dyn Provider,
    request: &GenerateRequest,
) -> Result<GenerateReply, ProviderError> {
    provider.generate(request, &CancellationToken::new()).await
}

/// What two replies must share whatever came in which pieces.
pub fn said(reply: &GenerateReply) -> (String, Vec<(String, Value)>, Option<String>) {
    let calls = reply.calls.iter();
    (
        reply.text.clone(),
        calls
            .map(|call| (call.name.clone(), call.arguments.clone()))
            .collect(),
        reply.reasoning.clone(),
    )
}
