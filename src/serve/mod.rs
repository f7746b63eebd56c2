//! Mocks as tool servers for others: over standard streams, streamable HTTP, WebSocket and gRPC.
//!
//! Data in: a tool host (any mock) or a script, faults, where to listen. Data out: answers to
//! clients that toolbench did not write, in both protocol versions. Invariants: a mock has one state
//! as long as its server lives; listening is on loopback unless another address is asked for; a
//! client's mistake ends at most its own connection; stopping ends everything.

pub mod fault;
mod grpc;
mod handler;
mod http;
mod lines;
mod rounds;
pub mod script;
mod stdio;
mod websocket;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::fault::Fault;
use self::fault::Faults;
use self::handler::Handler;
use self::http::HttpServer;
pub use self::script::Script;
use crate::tools::{ToolHost, ToolHostError};

/// Connections that are served at once; further ones wait.
const CONNECTIONS: usize = 128;

/// What carries the messages between two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Streamable HTTP.
    Http,
    /// WebSocket.
    WebSocket,
    /// gRPC.
    Grpc,
}

/// A mock that is ready to be served.
pub struct Server {
    handler: Handler,
    faults: Arc<Faults>,
}

impl Server {
    /// Serves a host: its tools, and one session of it for all clients.
    pub async fn of_host(host: &dyn ToolHost, faults: Vec<Fault>) -> Result<Self, ToolHostError> {
        Ok(Self {
            handler: Handler::of_host(host).await?,
            faults: Arc::new(Faults::new(faults)),
        })
    }

    /// Serves a script.
    pub fn of_script(script: Script, faults: Vec<Fault>) -> Result<Self, String> {
        Ok(Self {
            handler: Handler::of_script(script)?,
            faults: Arc::new(Faults::new(faults)),
        })
    }

    /// Serves the one client at this process's standard streams, until it closes them.
    pub async fn stdio(self, stop: CancellationToken) {
        stdio::serve_stdio(self.handler, self.faults, stop).await;
    }

    /// Begins to listen; port 0 chooses a free one.
    pub async fn listen(self, carrier: Carrier, address: SocketAddr) -> std::io::Result<Listening> {
        let listener = TcpListener::bind(address).await?;
        Ok(Listening {
            address: listener.local_addr()?,
            listener,
            carrier,
            server: self,
        })
    }
}

/// A server that listens, and answers once it runs.
pub struct Listening {
    server: Server,
    listener: TcpListener,
    carrier: Carrier,
    address: SocketAddr,
}

impl Listening {
    /// Where clients find it.
    pub fn url(&self) -> String {
        let address = self.address;
        match self.carrier {
            Carrier::Http => format!("http://{address}{}", http::PATH),
            Carrier::WebSocket => format!("ws://{address}"),
            Carrier::Grpc => address.to_string(),
        }
    }

    /// The address with its port.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers clients until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        let Server { handler, faults } = self.server;
        match self.carrier {
            Carrier::Http => {
                let server = HttpServer::new(handler, faults, self.address, stop.clone());
                accept(&self.listener, &stop, |stream, _| {
                    server.clone().serve_connection(stream)
                })
                .await;
            }
            Carrier::WebSocket => {
                accept(&self.listener, &stop, |stream, stop| {
                    websocket::serve_connection(stream, handler.clone(), Arc::clone(&faults), stop)
                })
                .await;
            }
            Carrier::Grpc => grpc::serve(self.listener, handler, faults, stop).await,
        }
    }
}

/// Serves every connection in a task of its own; all of them end with `stop`.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    stop: &CancellationToken,
    serve: impl Fn(TcpStream, CancellationToken) -> F,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let tasks = TaskTracker::new();
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            () = stop.cancelled() => break,
            next = next => next,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file handles, most likely: they come back as connections end.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let served = serve(stream, stop.child_token());
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = served => {}
                () = stopped.cancelled() => {}
            }
            drop(place);
        });
    }
    tasks.close();
    let _ = tokio::time::timeout(std::time::Duration::from_secs(5), tasks.wait()).await;
}
