//! The Hugging Face Hub: two calls, a repository's listing and a file's address.
//!
//! Data in: repository, file or quantisation. Data out: a landed file, or one found in the cache of
//! the Hugging Face libraries and used where it is. Invariants: a file whose hash the catalogue
//! does not know is checked against the hash the Hub states; a gated repository says where its
//! licence is accepted.
//!
//! The hf-hub crate is not used: its listing drops the files' SHA-256, its metadata client has no
//! connect timeout, it reads the environment by itself, and it brings 84 crates.

use std::path::{Path, PathBuf};

use reqwest::StatusCode;
use serde::Deserialize;

use crate::store::catalogue::HubFile;
use crate::store::digest::hash_file;
use crate::store::error::PullError;
use crate::store::landing::{Expected, Landed, off_thread};
use crate::store::pull::Job;
use crate::store::sources::url::{self, Download, no_network};

/// Quantisations in the order tried when the user names none: small enough for most machines and
/// good enough to judge a model by.
const USUAL_QUANTS: [&str; 10] = [
    "Q4_K_M", "Q4_K_S", "Q4_0", "Q4_1", "IQ4_XS", "Q5_K_M", "Q6_K", "Q8_0", "F16", "BF16",
];

/// One file of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    path: String,
    bytes: u64,
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct TreeEntry {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    oid: String,
    size: u64,
}

/// Fetches a file. `quant` overrides the catalogue's file.
pub(crate) async fn fetch(
    job: &Job<'_>,
    hub: &HubFile,
    quant: Option<&str>,
) -> Result<Landed, PullError> {
    let revision = hub.revision.as_deref().unwrap_or("main");
    if let Some(file) = &hub.file
        && let Some(landed) = from_library_cache(job, &hub.repo, file).await?
    {
        return Ok(landed);
    }
    let known = hub.file.clone().filter(|_| job.expected.sha256.is_some());
    let (file, expected) = if let Some(file) = known {
        (file, job.expected.clone())
    } else {
        let listing = list(job, &hub.repo, revision).await?;
        let wanted = hub.file.as_deref().or(quant);
        let listed = choose(&hub.repo, &listing, wanted, job.expected.sha256.as_deref())?;
        if let Some(landed) = from_library_cache(job, &hub.repo, &listed.path).await? {
            return Ok(landed);
        }
        (listed.path.clone(), expectation(&job.expected, listed))
    };
    let download = Download {
        url: file_url(&job.settings.hub.endpoint, &hub.repo, revision, &file),
        token: job.settings.hub.token.clone(),
        gate: Some((hub.repo.clone(), repo_page(job, &hub.repo))),
        expected,
    };
    url::download(job, &download).await
}

/// The catalogue's word first, the Hub's where it has none.
fn expectation(known: &Expected, listed: &Listed) -> Expected {
    Expected {
        sha256: known.sha256.clone().or_else(|| listed.sha256.clone()),
        bytes: known.bytes.or(Some(listed.bytes)),
    }
}

fn repo_page(job: &Job<'_>, repo: &str) -> String {
    format!("{}/{repo}", job.settings.hub.endpoint.trim_end_matches('/'))
}

/// Address of a file, each part escaped.
fn file_url(endpoint: &str, repo: &str, revision: &str, file: &str) -> String {
    let plain = format!(
        "{}/{repo}/resolve/{revision}/{file}",
        endpoint.trim_end_matches('/')
    );
    reqwest::Url::parse(&plain).map_or(plain, String::from)
}

/// GGUF files of a repository.
async fn list(job: &Job<'_>, repo: &str, revision: &str) -> Result<Vec<Listed>, PullError> {
    let endpoint = job.settings.hub.endpoint.trim_end_matches('/');
    let url = format!("{endpoint}/api/models/{repo}/tree/{revision}?recursive=true");
    let mut request = job.http.get(&url);
    if let Some(token) = &job.settings.hub.token {
        request = request.bearer_auth(token.reveal());
    }
    let response = tokio::select! {
        () = job.cancel.cancelled() => return Err(PullError::Cancelled),
        response = request.send() => response.map_err(|error| no_network(&url, &error))?,
    };
    match response.status() {
        status if status.is_success() => {}
        // The Hub also answers 401 for names that do not exist, so as not to tell private ones.
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(PullError::Gated {
                repo: repo.to_owned(),
                page: repo_page(job, repo),
                with_token: job.settings.hub.token.is_some(),
            });
        }
        StatusCode::NOT_FOUND => {
            return Err(PullError::NotFound {
                what: format!("{repo} at {revision} on the Hub"),
            });
        }
        status => {
            return Err(PullError::Status {
                url,
                status: status.as_u16(),
            });
        }
    }
    let entries: Vec<TreeEntry> = response
        .json()
        .await
        .map_err(|error| no_network(&url, &error))?;
    Ok(entries.into_iter().filter_map(listed).collect())
}

/// A GGUF with weights; projectors of vision models are none.
fn listed(entry: TreeEntry) -> Option<Listed> {
    let is_gguf = Path::new(&entry.path)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gguf"));
    let is_weights =
        entry.kind == "file" && is_gguf && !entry.path.to_lowercase().contains("mmproj");
    is_weights.then(|| Listed {
        bytes: entry.lfs.as_ref().map_or(entry.size, |lfs| lfs.size),
        sha256: entry.lfs.map(|lfs| lfs.oid),
        path: entry.path,
    })
}

/// The file with the wanted hash, name or quantisation; without a wish, the usual ones in turn.
fn choose<'a>(
    repo: &str,
    files: &'a [Listed],
    wanted: Option<&str>,
    sha256: Option<&str>,
) -> Result<&'a Listed, PullError> {
    let by_hash = || {
        files
            .iter()
            .find(|file| sha256.is_some() && file.sha256.as_deref() == sha256)
    };
    let by_name = |wanted: &str| {
        files
            .iter()
            .find(|file| file.path == wanted || has_quant(&file.path, wanted))
    };
    let found = match (sha256, wanted) {
        (Some(_), _) => by_hash(),
        (None, Some(wanted)) => by_name(wanted),
        (None, None) => USUAL_QUANTS
            .iter()
            .find_map(|quant| by_name(quant))
            .or_else(|| files.first()),
    };
    let Some(file) = found else {
        return Err(PullError::NoSuchFile {
            repo: repo.to_owned(),
            wanted: wanted.or(sha256).unwrap_or("*.gguf").to_owned(),
            known: files.iter().map(|file| file.path.clone()).collect(),
        });
    };
    if file.path.contains("-of-0") {
        return Err(PullError::Split {
            repo: repo.to_owned(),
            file: file.path.clone(),
        });
    }
    Ok(file)
}

/// `…-Q4_K_M.gguf` and `….q4_k_m.gguf` have the quantisation `Q4_K_M`, `…-Q4_K_M_L.gguf` has not.
fn has_quant(path: &str, quant: &str) -> bool {
    let lower = path.to_lowercase();
    let stem = lower.trim_end_matches(".gguf");
    let stem = stem.split("-00001-of-").next().unwrap_or(stem);
    stem.strip_suffix(&quant.to_lowercase())
        .is_some_and(|head| head.is_empty() || head.ends_with(['-', '.', '/']))
}

/// A file that the Hugging Face libraries have fetched already, checked like any other.
async fn from_library_cache(
    job: &Job<'_>,
    repo: &str,
    file: &str,
) -> Result<Option<Landed>, PullError> {
    let Some(path) = job
        .settings
        .hub
        .cache
        .as_deref()
        .and_then(|c| cached_by_library(c, repo, file))
    else {
        return Ok(None);
    };
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    if job.expected.bytes.is_some_and(|expected| expected != bytes) {
        return Ok(None);
    }
    job.progress.message(&format!(
        "found in the Hugging Face cache: {}",
        path.display()
    ));
    let (cancel, read) = (job.cancel.clone(), path.clone());
    let sha256 = off_thread(move || hash_file(&read, &cancel)).await?;
    if job
        .expected
        .sha256
        .as_ref()
        .is_some_and(|expected| *expected != sha256)
    {
        job.progress
            .message("but it is another file; fetching it anew");
        return Ok(None);
    }
    Ok(Some(Landed {
        path,
        sha256,
        bytes,
    }))
}

/// `CACHE/models--owner--name/snapshots/*/FILE`.
fn cached_by_library(cache: &Path, repo: &str, file: &str) -> Option<PathBuf> {
    let snapshots = cache
        .join(format!("models--{}", repo.replace('/', "--")))
        .join("snapshots");
    let mut found: Vec<PathBuf> = std::fs::read_dir(snapshots)
        .ok()?
        .flatten()
        .map(|snapshot| snapshot.path().join(file))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    found.pop()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<Listed> {
        let file = |name: &&str| Listed {
            path: (*name).to_owned(),
            bytes: 1,
            sha256: Some(format!("sha-{name}")),
        };
        names.iter().map(file).collect()
    }

    #[test]
    fn the_file_is_chosen_by_hash_name_quantisation_or_custom() {
        let all = files(&[
            "m-Q8_0.gguf",
            "m-Q4_K_L.gguf",
            "m-Q4_K_M.gguf",
            "m.IQ2_XXS.gguf",
        ]);
        for (wanted, sha256, chosen) in [
            (None, None, "m-Q4_K_M.gguf"),
            (Some("q8_0"), None, "m-Q8_0.gguf"),
            (Some("Q4_K_L"), None, "m-Q4_K_L.gguf"),
            (Some("iq2_xxs"), None, "m.IQ2_XXS.gguf"),
            (Some("m-Q8_0.gguf"), None, "m-Q8_0.gguf"),
            (None, Some("sha-m.IQ2_XXS.gguf"), "m.IQ2_XXS.gguf"),
        ] {
            assert_eq!(choose("o/r", &all, wanted, sha256).unwrap().path, chosen);
        }
        let error = choose("o/r", &all, Some("Q4"), None).unwrap_err();
        assert!(matches!(error, PullError::NoSuchFile { known, .. } if known.len() == 4));
        let split = files(&["m-Q4_K_M-00001-of-00002.gguf"]);
        assert!(matches!(
            choose("o/r", &split, Some("Q4_K_M"), None),
            Err(PullError::Split { .. })
        ));
    }

    #[test]
    fn addresses_are_escaped() {
        assert_eq!(
            file_url("http://hub/", "o/r", "main", "a b/c.gguf"),
            "http://hub/o/r/resolve/main/a%20b/c.gguf"
        );
    }
}
