//! A running Ollama, as far as names go: which tags it serves.
//!
//! Data in: a base address, a time limit. Data out: tags, or `None` when nothing answers.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

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
}

/// The tags that an Ollama serves; `None` when none answers in time.
pub async fn tags(base: &str, limit: Duration) -> Option<Vec<String>> {
    // Loopback is asked directly: a proxy from the environment has no business there.
    let client = reqwest::Client::builder()
        .no_proxy()
        .timeout(limit)
        .build()
        .ok()?;
    let url = format!("{}/api/tags", base.trim_end_matches('/'));
    let response = client.get(url).send().await.ok()?.error_for_status().ok()?;
    let tags: Tags = response.json().await.ok()?;
    Some(tags.models.into_iter().map(|model| model.name).collect())
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
