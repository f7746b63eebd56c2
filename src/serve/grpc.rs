//! A mock over gRPC: one stream of messages each way (`proto/toolbench_mcp.proto`).
//!
//! Data in: a stream of lines. Data out: a stream of lines. Invariants: the messages are those of
//! stdio, unchanged; the end of the stream is the end of the session.

use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt as _, unfold};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

use super::fault::{Faults, HUGE_BYTES};
use super::handler::Handler;
use super::lines::{Outgoing, serve_lines};
use super::stdio::{LINE_LIMIT_BYTES, WAITING_LINES};
use crate::tools::grpc::Line;
use crate::tools::grpc::mcp_server::{Mcp, McpServer};

/// Serves every connection until `stop` is cancelled.
pub(super) async fn serve(
    listener: TcpListener,
    handler: Handler,
    faults: Arc<Faults>,
    stop: CancellationToken,
) {
    let sessions = Sessions {
        handler,
        faults,
        stop: stop.clone(),
    };
    let service = McpServer::new(sessions)
        .max_decoding_message_size(LINE_LIMIT_BYTES)
        .max_encoding_message_size(2 * HUGE_BYTES);
    let serving = tonic::transport::Server::builder()
        .add_service(service)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::select! {
        _ = serving => {}
        () = stop.cancelled() => {}
    }
}

struct Sessions {
    handler: Handler,
    faults: Arc<Faults>,
    stop: CancellationToken,
}

#[tonic::async_trait]
impl Mcp for Sessions {
    type SessionStream = BoxStream<'static, Result<Line, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<Line>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut incoming = request.into_inner();
        let (line_sender, lines) = mpsc::channel(WAITING_LINES);
        let (sender, outgoing) = mpsc::unbounded_channel();
        let stop = self.stop.child_token();
        tokio::spawn(async move {
            while let Some(Ok(line)) = incoming.next().await {
                if line_sender.send(line.json).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(serve_lines(
            self.handler.clone(),
            Arc::clone(&self.faults),
            lines,
            sender,
            stop,
        ));
        let answers = unfold(Some(outgoing), |outgoing| async {
            let mut outgoing = outgoing?;
            match outgoing.recv().await? {
                Outgoing::Line(json) => Some((Ok(Line { json }), Some(outgoing))),
                Outgoing::Close => {
                    let end = Status::unavailable("the connection ends here, as it was told to");
                    Some((Err(end), None))
                }
            }
        });
        Ok(Response::new(answers.boxed()))
    }
}
