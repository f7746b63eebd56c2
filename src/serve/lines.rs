//! Messages as lines, below the protocol: the place where faults are put in.
//!
//! Data in: lines of a client, from whatever carries them. Data out: lines for it. Invariants: a
//! line that is no message is answered with a parse error and changes nothing; a delayed call holds
//! up no other; the session ends with its input, with its connection, or when it is stopped.

use std::sync::Arc;

use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::service::RoleServer;
use rmcp::transport::Transport;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::fault::{BANNER, Faults, Harm, Instead};
use super::handler::Handler;

/// What goes to a client.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// A line, without its end.
    Line(String),
    /// The connection ends here.
    Close,
}

/// The client is gone.
#[derive(Debug, thiserror::Error)]
#[error("the client is gone")]
pub(super) struct Gone;

/// A call whose time has come, and what it gets instead of its answer.
type Late = (Value, Option<Instead>);

/// Both ends of a line-based connection.
pub(super) struct Lines {
    incoming: mpsc::Receiver<String>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// Calls that were held up.
    late: (mpsc::UnboundedSender<Late>, mpsc::UnboundedReceiver<Late>),
    faults: Arc<Faults>,
}

/// Serves one client until it is gone, or `stop` is cancelled.
pub(super) async fn serve_lines(
    handler: Handler,
    faults: Arc<Faults>,
    incoming: mpsc::Receiver<String>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    stop: CancellationToken,
) {
    if faults.greets() {
        let _ = outgoing.send(Outgoing::Line(BANNER.to_owned()));
    }
    let lines = Lines {
        incoming,
        outgoing,
        late: mpsc::unbounded_channel(),
        faults,
    };
    // A client that leaves before the handshake is no failure of ours.
    if let Ok(running) = rmcp::service::serve_server_with_ct(handler, lines, stop).await {
        let _ = running.waiting().await;
    }
}

/// What becomes of a line.
enum Step {
    Message(Box<ClientJsonRpcMessage>),
    /// Nothing that rmcp is to see.
    Taken,
    End,
}

impl Lines {
    fn send(&self, line: String) {
        let _ = self.outgoing.send(Outgoing::Line(line));
    }

    fn on_line(&self, line: &str) -> Step {
        if line.trim().is_empty() {
            return Step::Taken;
        }
        if self.faults.is_empty() {
            return match serde_json::from_str(line) {
                Ok(message) => Step::Message(Box::new(message)),
                Err(_) => self.on_value(serde_json::from_str(line).ok()),
            };
        }
        let value: Option<Value> = serde_json::from_str(line).ok();
        let harm = value
            .as_ref()
            .and_then(|value| self.faults.on_message(value));
        match (value, harm) {
            (Some(value), Some(harm)) => self.harm(value, harm),
            (value, _) => self.on_value(value),
        }
    }

    fn on_value(&self, value: Option<Value>) -> Step {
        let refused = |code: i64, message: &str, id: Value| {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
                .to_string()
        };
        let Some(value) = value else {
            self.send(refused(-32700, "not JSON", Value::Null));
            return Step::Taken;
        };
        let id = value["id"].clone();
        match serde_json::from_value(value) {
            Ok(message) => Step::Message(Box::new(message)),
            Err(error) => {
                self.send(refused(-32600, &format!("no message: {error}"), id));
                Step::Taken
            }
        }
    }

    fn harm(&self, message: Value, harm: Harm) -> Step {
        if harm.banner {
            self.send(BANNER.to_owned());
        }
        if harm.delay.is_zero() {
            return self.after_delay(message, harm.instead);
        }
        let late = self.late.0.clone();
        tokio::spawn(async move {
            tokio::time::sleep(harm.delay).await;
            let _ = late.send((message, harm.instead));
        });
        Step::Taken
    }

    fn after_delay(&self, message: Value, instead: Option<Instead>) -> Step {
        match instead {
            None => self.on_value(Some(message)),
            Some(Instead::Close) => {
                let _ = self.outgoing.send(Outgoing::Close);
                Step::End
            }
            Some(instead) => {
                if let Some(line) = instead.message(&message["id"]) {
                    self.send(line);
                }
                Step::Taken
            }
        }
    }
}

impl Transport<RoleServer> for Lines {
    type Error = Gone;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), Gone>> + Send + 'static {
        let sent = match serde_json::to_string(&item) {
            Ok(line) => self.outgoing.send(Outgoing::Line(line)).map_err(|_| Gone),
            Err(_) => Err(Gone),
        };
        std::future::ready(sent)
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        loop {
            let step = tokio::select! {
                biased;
                line = self.incoming.recv() => self.on_line(&line?),
                Some((message, instead)) = self.late.1.recv() => self.after_delay(message, instead),
            };
            match step {
                Step::Message(message) => return Some(*message),
                Step::Taken => {}
                Step::End => return None,
            }
        }
    }

    async fn close(&mut self) -> Result<(), Gone> {
        self.incoming.close();
        Ok(())
    }
}
