//! HTTP downloads that can be resumed.
//!
//! Data in: a URL, what is expected. Data out: a landed file. Invariants: bytes are appended only
//! when the server confirms the range and the file is still the same (a strong `ETag`, or a known
//! hash); a resumed file that turns out wrong is fetched once more from the start.

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use crate::store::digest::write_json;
use crate::store::error::PullError;
use crate::store::landing::{Expected, Landed, Landing, off_thread, part_path, remove};
use crate::store::pull::{Job, PullSettings, Token};

/// What to download.
pub(crate) struct Download {
    /// Where the file is.
    pub(crate) url: String,
    /// Sent as a bearer token to that host, never to one it redirects to.
    pub(crate) token: Option<Token>,
    /// `owner/name` and page, where 401 and 403 mean a gated repository.
    pub(crate) gate: Option<(String, String)>,
    /// What the file must be.
    pub(crate) expected: Expected,
}

/// What is remembered of an unfinished download.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PartState {
    url: String,
    etag: Option<String>,
}

/// How one attempt ended, if not well.
enum Failure {
    /// No further attempt can help.
    Final(PullError),
    /// The connection or the server failed; what arrived is kept.
    Transient(PullError),
    /// What is kept cannot be continued.
    StartOver(PullError),
}

impl From<PullError> for Failure {
    fn from(error: PullError) -> Self {
        Self::Final(error)
    }
}

/// The client of all downloads.
pub(crate) fn client(settings: &PullSettings) -> Result<reqwest::Client, PullError> {
    reqwest::Client::builder()
        .user_agent(concat!("toolbench/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(settings.connect_timeout)
        .read_timeout(settings.stall_timeout)
        .build()
        .map_err(|error| PullError::NoNetwork {
            host: "any host".to_owned(),
            reason: root_cause(&error),
        })
}

/// Downloads a plain URL.
pub(crate) async fn fetch(job: &Job<'_>, url: &str) -> Result<Landed, PullError> {
    let download = Download {
        url: url.to_owned(),
        token: None,
        gate: None,
        expected: job.expected.clone(),
    };
    self::download(job, &download).await
}

/// Downloads, and goes on after interruptions.
pub(crate) async fn download(job: &Job<'_>, download: &Download) -> Result<Landed, PullError> {
    let mut retries = 0;
    let mut started_over = false;
    loop {
        let error = match attempt(job, download).await {
            Ok(landed) => return Ok(landed),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::StartOver(error)) => {
                forget(&job.destination);
                if started_over {
                    return Err(error);
                }
                started_over = true;
                job.progress.message(&format!("{error}; starting over"));
                continue;
            }
            Err(Failure::Transient(error)) => error,
        };
        if retries == job.settings.retries {
            return Err(error);
        }
        let pause = job.settings.retry_pause * 2_u32.pow(retries);
        retries += 1;
        job.progress.message(&format!("{error}; trying again"));
        tokio::select! {
            () = job.cancel.cancelled() => return Err(PullError::Cancelled),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn attempt(job: &Job<'_>, download: &Download) -> Result<Landed, Failure> {
    let part = part_path(&job.destination);
    let state = read_state(&job.destination);
    let kept = part.metadata().map_or(0, |metadata| metadata.len());
    let is_same =
        state.url == download.url && (state.etag.is_some() || download.expected.sha256.is_some());
    let offset = if is_same { kept } else { 0 };
    if offset > 0 && Some(offset) == download.expected.bytes {
        let landing = resume(job).await?;
        job.progress.start(Some(offset));
        job.progress.advance(offset);
        return finish(landing, download, offset).await;
    }
    if let Some(bytes) = download.expected.bytes {
        job.check_space(bytes.saturating_sub(offset))?;
    }
    let response = request(job, download, &state, offset).await?;
    let continues = response.status() == StatusCode::PARTIAL_CONTENT;
    let offset = if continues { offset } else { 0 };
    let total = total_bytes(&response, offset);
    check_answer(download, &state, &response, offset, total)?;
    if let (None, Some(total)) = (download.expected.bytes, total) {
        job.check_space(total.saturating_sub(offset))?;
    }
    let new_state = PartState {
        url: download.url.clone(),
        etag: strong_etag(response.headers()),
    };
    write_json(&state_path(&job.destination), &new_state)?;
    let landing = if continues {
        resume(job).await?
    } else {
        Landing::fresh(&job.disk, &job.destination)?
    };
    job.progress.start(total.or(download.expected.bytes));
    job.progress.advance(landing.bytes());
    let landing = receive(job, download, response, landing, total).await?;
    finish(landing, download, offset).await
}

/// Sends the request and sorts the answers that carry no file.
async fn request(
    job: &Job<'_>,
    download: &Download,
    state: &PartState,
    offset: u64,
) -> Result<Response, Failure> {
    // A compressed body would make ranges and sizes speak of other bytes than the file's.
    let mut request = job
        .http
        .get(&download.url)
        .header(ACCEPT_ENCODING, "identity");
    if let Some(token) = &download.token {
        request = request.bearer_auth(token.reveal());
    }
    if offset > 0 {
        request = request.header(RANGE, format!("bytes={offset}-"));
        if let Some(etag) = &state.etag {
            request = request.header(IF_RANGE, etag);
        }
    }
    let response = tokio::select! {
        () = job.cancel.cancelled() => return Err(PullError::Cancelled.into()),
        response = request.send() => response,
    };
    let response = response.map_err(|error| {
        let error = no_network(&download.url, &error);
        // A host that never answered is left at once; one that broke off may come back.
        if offset == 0 {
            Failure::Final(error)
        } else {
            Failure::Transient(error)
        }
    })?;
    let status = response.status();
    let refused = || PullError::Status {
        url: download.url.clone(),
        status: status.as_u16(),
    };
    match status {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(response),
        StatusCode::RANGE_NOT_SATISFIABLE => Err(Failure::StartOver(refused())),
        StatusCode::TOO_MANY_REQUESTS => Err(Failure::Transient(refused())),
        _ if status.is_server_error() => Err(Failure::Transient(refused())),
        _ => Err(Failure::Final(refusal(download, status))),
    }
}

/// What a 4xx answer means.
fn refusal(download: &Download, status: StatusCode) -> PullError {
    match (status, &download.gate) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some((repo, page))) => {
            PullError::Gated {
                repo: repo.clone(),
                page: page.clone(),
                with_token: download.token.is_some(),
            }
        }
        (StatusCode::NOT_FOUND, _) => PullError::NotFound {
            what: download.url.clone(),
        },
        _ => PullError::Status {
            url: download.url.clone(),
            status: status.as_u16(),
        },
    }
}

/// The answer must continue the same file, and be as long as the file should be.
fn check_answer(
    download: &Download,
    state: &PartState,
    response: &Response,
    offset: u64,
    total: Option<u64>,
) -> Result<(), Failure> {
    let wrong_size = |actual_bytes| PullError::WrongSize {
        source_name: download.url.clone(),
        expected_bytes: download.expected.bytes.unwrap_or_default(),
        actual_bytes,
    };
    if let (Some(total), Some(expected)) = (total, download.expected.bytes)
        && total != expected
    {
        return Err(Failure::Final(wrong_size(total)));
    }
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(());
    }
    let etag = strong_etag(response.headers());
    let changed = state.etag.is_some() && etag.is_some() && state.etag != etag;
    if changed || range_start(response.headers()) != Some(offset) {
        return Err(Failure::StartOver(PullError::BrokenOff {
            source_name: download.url.clone(),
            received_bytes: offset,
            reason: "the server's file has changed or it sent another range".to_owned(),
        }));
    }
    Ok(())
}

/// Takes the body in.
async fn receive(
    job: &Job<'_>,
    download: &Download,
    response: Response,
    mut landing: Landing,
    total: Option<u64>,
) -> Result<Landing, Failure> {
    let broken = |received_bytes, reason| {
        Failure::Transient(PullError::BrokenOff {
            source_name: download.url.clone(),
            received_bytes,
            reason,
        })
    };
    let mut body = response.bytes_stream();
    loop {
        let chunk = tokio::select! {
            () = job.cancel.cancelled() => return Err(PullError::Cancelled.into()),
            chunk = body.next() => chunk,
        };
        match chunk {
            Some(Ok(chunk)) => {
                landing.write(&chunk)?;
                job.progress.advance(chunk.len() as u64);
            }
            Some(Err(error)) => return Err(broken(landing.bytes(), root_cause(&error))),
            None => break,
        }
    }
    match total {
        Some(total) if landing.bytes() < total => {
            Err(broken(landing.bytes(), "the body was too short".to_owned()))
        }
        _ => Ok(landing),
    }
}

async fn resume(job: &Job<'_>) -> Result<Landing, PullError> {
    let (disk, destination) = (std::sync::Arc::clone(&job.disk), job.destination.clone());
    let cancel = job.cancel.clone();
    off_thread(move || Landing::resume(&disk, &destination, &cancel)).await
}

/// Checks and renames. A resumed file that is wrong may be two versions in one.
async fn finish(landing: Landing, download: &Download, offset: u64) -> Result<Landed, Failure> {
    let (source_name, expected) = (download.url.clone(), download.expected.clone());
    let landed = off_thread(move || {
        let landed = landing.finish(&source_name, &expected)?;
        remove(&state_path(&landed.path));
        Ok(landed)
    });
    landed.await.map_err(|error| match error {
        PullError::WrongHash { .. } | PullError::WrongSize { .. } | PullError::NotGguf { .. }
            if offset > 0 =>
        {
            Failure::StartOver(error)
        }
        other => Failure::Final(other),
    })
}

fn state_path(destination: &Path) -> PathBuf {
    let mut name = part_path(destination).into_os_string();
    name.push(".state");
    PathBuf::from(name)
}

fn read_state(destination: &Path) -> PartState {
    let text = std::fs::read_to_string(state_path(destination)).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Drops what is kept of a download.
fn forget(destination: &Path) {
    remove(&part_path(destination));
    remove(&state_path(destination));
}

/// An `ETag` that promises equal bytes; weak ones promise less.
fn strong_etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(ETAG)?.to_str().ok()?;
    (!etag.starts_with("W/")).then(|| etag.to_owned())
}

/// Start of `Content-Range: bytes START-END/TOTAL`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range
        .strip_prefix("bytes ")?
        .split('-')
        .next()?
        .parse()
        .ok()
}

/// Size of the whole file, from the range or the length.
fn total_bytes(response: &Response, offset: u64) -> Option<u64> {
    let range = response
        .headers()
        .get(CONTENT_RANGE)
        .and_then(|range| range.to_str().ok());
    range
        .and_then(|range| range.rsplit('/').next()?.parse().ok())
        .or_else(|| response.content_length().map(|length| length + offset))
}

/// A transport failure, named by host.
pub(crate) fn no_network(url: &str, error: &reqwest::Error) -> PullError {
    PullError::NoNetwork {
        host: host_of(url),
        reason: root_cause(error),
    }
}

/// Host of a URL, or the URL itself.
pub(crate) fn host_of(url: &str) -> String {
    let parsed = reqwest::Url::parse(url).ok();
    parsed
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_else(|| url.to_owned())
}

/// The innermost reason of an error: what the system said.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
