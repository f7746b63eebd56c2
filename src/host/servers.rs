//! Model servers on this machine: who answers on the usual loopback ports.
//!
//! Data in: endpoints. Data out: those that answer, with the models they name. Invariants: loopback
//! only, all at once, each within its limit.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::store::ollama;

/// Limit for one endpoint: it is on this machine, or not there.
pub const LIMIT: Duration = Duration::from_millis(300);

/// Ports and what usually listens there.
const USUAL_PORTS: [(u16, &str); 8] = [
    (8080, "llama-server"),
    (8081, "llama-server"),
    (8000, "vLLM"),
    (30000, "SGLang"),
    (1234, "LM Studio"),
    (11434, "Ollama"),
    (4000, "LiteLLM"),
    (5000, "text-generation-webui"),
];

/// Where a server may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address without path, e.g. `http://127.0.0.1:8080`.
    pub base: String,
    /// What usually listens there.
    pub usual: String,
}

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Where.
    pub endpoint: Endpoint,
    /// The models it names.
    pub models: Vec<String>,
}

#[derive(Deserialize)]
struct ModelList {
    data: Vec<ModelName>,
}

#[derive(Deserialize)]
struct ModelName {
    id: String,
}

/// The usual ports of this machine.
pub fn usual_endpoints() -> Vec<Endpoint> {
    let endpoint = |(port, usual): (u16, &str)| Endpoint {
        base: format!("http://127.0.0.1:{port}"),
        usual: usual.to_owned(),
    };
    USUAL_PORTS.map(endpoint).into()
}

/// Those that answer `/v1/models` as OpenAI-compatible servers do, in the order asked.
pub async fn openai_compatible(endpoints: &[Endpoint], limit: Duration) -> Vec<Server> {
    let Ok(client) = reqwest::Client::builder().no_proxy().timeout(limit).build() else {
        return Vec::new();
    };
    let asked = endpoints.iter().map(|endpoint| ask(&client, endpoint));
    futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect()
}

async fn ask(client: &reqwest::Client, endpoint: &Endpoint) -> Option<Server> {
    let url = format!("{}/v1/models", endpoint.base);
    let response = client.get(url).send().await.ok()?;
    // A server that wants a key answers 401 and is there all the same.
    if response.status() == reqwest::StatusCode::UNAUTHORIZED {
        return Some(Server {
            endpoint: endpoint.clone(),
            models: Vec::new(),
        });
    }
    let list: ModelList = response.error_for_status().ok()?.json().await.ok()?;
    let models = list.data.into_iter().map(|model| model.id).collect();
    Some(Server {
        endpoint: endpoint.clone(),
        models,
    })
}

/// The tags of an Ollama, if one answers.
pub async fn ollama_tags(base: &str, limit: Duration) -> Option<Vec<String>> {
    ollama::tags(base, limit).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::test_server::{Answer, Server as TestServer};

    #[tokio::test]
    async fn only_those_that_answer_like_a_model_server_count() {
        let good = TestServer::start(|_| Answer::ok(br#"{"data":[{"id":"m"}]}"#));
        let keyed = TestServer::start(|_| Answer::status(401));
        let other = TestServer::start(|_| Answer::ok(b"<html>"));
        let slow = TestServer::start(|_| {
            std::thread::sleep(Duration::from_secs(3));
            Answer::ok(br#"{"data":[]}"#)
        });
        let bases = [
            &good.base,
            &keyed.base,
            &other.base,
            &slow.base,
            &"http://127.0.0.1:1".to_owned(),
        ];
        let endpoints: Vec<Endpoint> = bases
            .into_iter()
            .map(|base| Endpoint {
                base: base.clone(),
                usual: "x".to_owned(),
            })
            .collect();
        let watch = crate::clock::Stopwatch::start();
        let found = openai_compatible(&endpoints, LIMIT).await;
        assert!(watch.elapsed_ms() < 2000.0);
        let found: Vec<_> = found.iter().map(|server| server.models.join(",")).collect();
        assert_eq!(found, ["m", ""]);
    }
}
