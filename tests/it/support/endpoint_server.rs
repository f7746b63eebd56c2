//! A scripted HTTP server on a free loopback port: what each request gets, byte by byte and pause by
//! pause. Bounded in time, ended by its own handle, and usable by unit tests as well.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest life of one connection.
const LIFE: Duration = Duration::from_mins(1);

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    /// With its query.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Null where there is none or it is no JSON.
    pub body: Value,
    /// How many came before it.
    pub number: usize,
}

/// What is sent, in order.
#[derive(Clone, Debug)]
pub enum Step {
    Bytes(Vec<u8>),
    WaitMs(u64),
    /// Ends the connection with a reset instead of an orderly end.
    Reset,
}

/// All that one request gets; then the connection ends.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub steps: Vec<Step>,
}

impl Reply {
    /// Exactly these bytes, head included.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            steps: vec![Step::Bytes(bytes.into())],
        }
    }

    /// A whole reply.
    pub fn whole(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = head(status, headers, Some(body.len()));
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::json_with(status, &[], body)
    }

    pub fn json_with(status: u16, headers: &[(&str, &str)], body: &Value) -> Self {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        Self::whole(status, &all, body.to_string().as_bytes())
    }

    /// The head of a stream of server-sent events; its end is the end of the connection.
    pub fn events() -> Self {
        Self::raw(head(200, &[("content-type", "text/event-stream")], None))
    }

    /// A stream of these events and its end mark.
    pub fn stream(events: &[Value]) -> Self {
        let mut reply = Self::events();
        for event in events {
            reply = reply.event(&event.to_string());
        }
        reply.event("[DONE]")
    }

    /// One event.
    pub fn event(self, data: &str) -> Self {
        self.bytes(format!("data: {data}\n\n").as_bytes())
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.steps.push(Step::Bytes(bytes.to_vec()));
        self
    }

    pub fn wait_ms(mut self, milliseconds: u64) -> Self {
        self.steps.push(Step::WaitMs(milliseconds));
        self
    }

    pub fn reset(mut self) -> Self {
        self.steps.push(Step::Reset);
        self
    }
}

/// The head of a reply.
pub fn head(status: u16, headers: &[(&str, &str)], length: Option<usize>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n");
    if let Some(length) = length {
        text.push_str(&format!("content-length: {length}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into_bytes()
}

/// The running server.
pub struct EndpointServer {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl EndpointServer {
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, handler)
    }

    /// On a listener of the caller's, so that a server can come back at its address.
    pub fn on(
        listener: TcpListener,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let server = Self {
            address: listener.local_addr().expect("an address"),
            stop: Arc::default(),
            seen: Arc::default(),
        };
        let handler = Arc::new(handler);
        let (stop, seen) = (Arc::clone(&server.stop), Arc::clone(&server.seen));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (handler, seen) = (Arc::clone(&handler), Arc::clone(&seen));
                let stop = Arc::clone(&stop);
                std::thread::spawn(move || {
                    let _ = answer(stream, handler.as_ref(), &seen, &stop);
                });
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far, in order.
    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().expect("the list").clone()
    }

    /// Requests of a path.
    pub fn to(&self, path: &str) -> Vec<Request> {
        let mut requests = self.requests();
        requests.retain(|request| request.path == path);
        requests
    }
}

impl Drop for EndpointServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(200));
    }
}

fn answer(
    mut stream: TcpStream,
    handler: &dyn Fn(&Request) -> Reply,
    seen: &Mutex<Vec<Request>>,
    stop: &AtomicBool,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    stream.set_write_timeout(Some(Duration::from_secs(10)))?;
    stream.set_nodelay(true)?;
    let (mut request, unread) = read_request(&mut stream)?;
    let reply = {
        let mut seen = seen.lock().expect("the list");
        request.number = seen.len();
        seen.push(request.clone());
        drop(seen);
        handler(&request)
    };
    let resets = reply.steps.iter().any(|step| matches!(step, Step::Reset));
    if unread && !resets {
        stream.read_exact(&mut [0])?;
    }
    let started = Instant::now();
    for step in reply.steps {
        match step {
            Step::Bytes(bytes) => stream.write_all(&bytes)?,
            Step::WaitMs(milliseconds) => {
                let until = Instant::now() + Duration::from_millis(milliseconds);
                while Instant::now() < until
                    && started.elapsed() < LIFE
                    && !stop.load(Ordering::SeqCst)
                {
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            // A byte of the request is still unread: closing now resets the connection.
            Step::Reset => return Ok(()),
        }
    }
    stream.shutdown(Shutdown::Write)?;
    // Waits for the other side, so that nothing unread turns this end into a reset.
    let _ = stream.read(&mut [0; 64]);
    Ok(())
}

/// The request but for the last byte of its body; `true` when there is one.
fn read_request(stream: &mut TcpStream) -> std::io::Result<(Request, bool)> {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") && text.len() < 1 << 16 {
        stream.read_exact(&mut byte)?;
        text.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let path = first.nth(1).unwrap_or_default().to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or_default();
    let mut body = vec![0; length.saturating_sub(1)];
    stream.read_exact(&mut body)?;
    if length > 0 {
        // What is left unread closes the JSON object.
        body.push(b'}');
    }
    let request = Request {
        path,
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        number: 0,
    };
    Ok((request, length > 0))
}
