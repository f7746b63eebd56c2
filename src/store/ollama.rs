//! A running Ollama, as far as names and weights go: which tags it serves, where they lie, pulling.
//!
//! Data in: a base address, a time limit. Data out: tags, or `None` when nothing answers; a pull's
//! progress. Invariants: a pull that gets no word for `SILENCE_LIMIT` is given up; what has arrived
//! is kept by the Ollama.

use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::error::PullError;
use super::pull::Progress;

/// Longest time without a word while pulling; checking a large file takes a while.
const SILENCE_LIMIT: Duration = Duration::from_mins(5);
/// Longest line of a pull's progress.
const MOST_LINE_BYTES: usize = 1 << 20;

/// Where Ollama listens when nobody says otherwise.
pub const DEFAULT_BASE: &str = "http://127.0.0.1:11434";

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    models: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    #[serde(default)]
    digest: Option<String>,
}

/// The tags that an Ollama serves; `None` when none answers in time.
pub async fn tags(base: &str, limit: Duration) -> Option<Vec<String>> {
    let models = models(base, limit).await?;
    Some(models.into_iter().map(|model| model.name).collect())
}

/// The digest of a tag's manifest: another content is another digest.
pub async fn digest(base: &str, tag: &str, limit: Duration) -> Option<String> {
    let models = models(base, limit).await?;
    models
        .into_iter()
        .find(|model| is_called(&model.name, tag))?
        .digest
}

async fn models(base: &str, limit: Duration) -> Option<Vec<Model>> {
    // Loopback is asked directly: a proxy from the environment has no business there.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(limit)
        .build()
        .ok()?;
    let url = format!("{}/api/tags", base.trim_end_matches('/'));
    let response = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let tags: Tags = response.json().await.ok()?;
    Some(tags.models)
}

/// Lets an Ollama download a tag. Its layers come one after another; the bar shows them together.
pub async fn pull(
    base: &str,
    tag: &str,
    progress: &dyn Progress,
    cancel: &CancellationToken,
) -> Result<(), PullError> {
    let no_network = |reason: String| PullError::NoNetwork {
        host: base.to_owned(),
        reason: format!("{reason}; is Ollama running?"),
    };
    let client = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(SILENCE_LIMIT)
        .build()
        .map_err(|error| no_network(error.to_string()))?;
    let url = format!("{}/api/pull", base.trim_end_matches('/'));
    let body = serde_json::json!({"model": tag, "stream": true});
    let pulling = async {
        let answer = client.post(&url).json(&body).send().await;
        let answer = answer.map_err(|error| no_network(error.to_string()))?;
        if !answer.status().is_success() {
            let status = answer.status().as_u16();
            let words = answer.text().await.unwrap_or_default();
            return Err(refused(tag, status, &words));
        }
        let mut pieces = answer.bytes_stream();
        let mut kept: Vec<u8> = Vec::new();
        let mut layers = Layers::default();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| broken_off(base, layers.done(), &error))?;
            kept.extend_from_slice(&piece);
            while let Some(at) = kept.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = kept.drain(..=at).collect();
                if layers.line(tag, &line, progress)? {
                    return Ok(());
                }
            }
            if kept.len() > MOST_LINE_BYTES {
                return Err(broken_off(base, layers.done(), &"a line has no end"));
            }
        }
        if layers.line(tag, &kept, progress)? {
            return Ok(());
        }
        Err(broken_off(base, layers.done(), &"no word of success"))
    };
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PullError::Cancelled),
        pulled = pulling => pulled,
    }
}

fn broken_off(base: &str, received_bytes: u64, reason: &dyn std::fmt::Display) -> PullError {
    PullError::BrokenOff {
        source_name: format!("the Ollama at {base}"),
        received_bytes,
        reason: reason.to_string(),
    }
}

fn refused(tag: &str, status: u16, words: &str) -> PullError {
    let told: Value = serde_json::from_str(words).unwrap_or_default();
    let words = told["error"].as_str().unwrap_or(words).trim().to_owned();
    if status == 404 || words.contains("does not exist") || words.contains("not found") {
        return PullError::NotFound {
            what: format!("`{tag}` in Ollama's library"),
        };
    }
    PullError::NoNetwork {
        host: "Ollama's library".to_owned(),
        reason: format!("{status}: {words}"),
    }
}

/// What of each layer has arrived.
#[derive(Default)]
struct Layers(std::collections::BTreeMap<String, (u64, u64)>);

impl Layers {
    fn done(&self) -> u64 {
        self.0.values().map(|(done, _)| done).sum()
    }

    /// One line of progress; true when all is there.
    fn line(&mut self, tag: &str, line: &[u8], progress: &dyn Progress) -> Result<bool, PullError> {
        let told: Value = serde_json::from_slice(line).unwrap_or_default();
        if let Some(error) = told["error"].as_str() {
            return Err(refused(tag, 500, error));
        }
        if let (Some(digest), Some(total)) = (told["digest"].as_str(), told["total"].as_u64()) {
            let before = self.done();
            if !self.0.contains_key(digest) {
                let all: u64 = self.0.values().map(|(_, total)| total).sum();
                progress.start(Some(all + total));
                progress.advance(before);
            }
            let done = told["completed"].as_u64().unwrap_or_default();
            let layer = self.0.entry(digest.to_owned()).or_insert((0, total));
            layer.0 = layer.0.max(done);
            progress.advance(self.done() - before);
        }
        Ok(told["status"] == "success")
    }
}

/// Where the weights of a tag lie on this machine, as the server's own Modelfile says; `None` when
/// it does not answer, or keeps them where this process cannot read.
pub async fn blob(base: &str, tag: &str, limit: Duration) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Shown {
        modelfile: String,
    }
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(limit)
        .build()
        .ok()?;
    let url = format!("{}/api/show", base.trim_end_matches('/'));
    let request = client.post(url).json(&serde_json::json!({ "model": tag }));
    let shown: Shown = request
        .send()
        .await
        .ok()?
        .error_for_status()
        .ok()?
        .json()
        .await
        .ok()?;
    let from = shown
        .modelfile
        .lines()
        .find_map(|line| line.strip_prefix("FROM "))?;
    Some(PathBuf::from(from.trim())).filter(|path| path.is_file())
}

/// Whether a tag answers to a name: `phi3.5` names `phi3.5:latest`.
pub fn is_called(tag: &str, name: &str) -> bool {
    tag == name || (!name.contains(':') && tag.strip_suffix(":latest") == Some(name))
}
