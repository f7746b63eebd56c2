//! Pulling: a model's name to weights in the cache, from the first source that works.
//!
//! Data in: what to pull, settings, a disk, a progress listener, a cancellation token. Data out:
//! the cached model and every sentence a user should have read. Invariants: one pull per model at
//! a time; a source that fails is named with its reason before the next is tried; what was
//! received stays for the next attempt.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::cache::{Cache, CachedModel};
use crate::store::catalogue::{Entry, HubFile, Source};
use crate::store::disk::Disk;
use crate::store::error::PullError;
use crate::store::landing::{Expected, Landed};
use crate::store::lock::Lock;
use crate::store::sources::{hub, npm, path, pypi, url};

/// Where the Hugging Face Hub is when nobody says otherwise.
pub const DEFAULT_HUB: &str = "https://huggingface.co";

/// An access token that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Wraps a token; surrounding white space (files end in a line break) is dropped.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(***)")
    }
}

/// The Hub, as the environment describes it. The caller reads `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubSettings {
    /// Base address (`HF_ENDPOINT`).
    pub endpoint: String,
    /// Access token (`HF_TOKEN`, else [`HubSettings::token_file`]).
    pub token: Option<Token>,
    /// Cache of the Hugging Face libraries (`$HF_HUB_CACHE`, else `$HF_HOME/hub`): files in it are
    /// used where they are.
    pub cache: Option<PathBuf>,
}

impl HubSettings {
    /// The public Hub without a token.
    pub fn public() -> Self {
        Self {
            endpoint: DEFAULT_HUB.to_owned(),
            token: None,
            cache: None,
        }
    }

    /// The token that `hf auth login` left in `$HF_HOME`.
    pub fn token_file(home: &std::path::Path) -> Option<Token> {
        std::fs::read_to_string(home.join("token"))
            .ok()
            .as_deref()
            .and_then(Token::new)
    }
}

/// Where programs are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolSettings {
    /// The value of `PATH`.
    pub search_path: Option<OsString>,
    /// The working directory, for relative entries of `PATH`.
    pub working_directory: PathBuf,
}

impl ToolSettings {
    /// The program of a name, as a shell would find it.
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        which::which_in(name, self.search_path.as_ref(), &self.working_directory).ok()
    }
}

/// How to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullSettings {
    /// The Hub.
    pub hub: HubSettings,
    /// Programs.
    pub tools: ToolSettings,
    /// Limit for making a connection.
    pub connect_timeout: Duration,
    /// Limit for silence on an open connection.
    pub stall_timeout: Duration,
    /// Further attempts after a download broke off.
    pub retries: u32,
    /// First pause before a further attempt; it doubles.
    pub retry_pause: Duration,
}

impl PullSettings {
    /// The usual limits: 5 s to connect, 30 s of silence, 4 further attempts from 1 s.
    pub fn new(hub: HubSettings, tools: ToolSettings) -> Self {
        Self {
            hub,
            tools,
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            retries: 4,
            retry_pause: Duration::from_secs(1),
        }
    }
}

/// Who watches a pull. The cli draws with it; tests collect.
pub trait Progress: Send + Sync {
    /// A transfer begins, or begins anew; `total_bytes` where it is known.
    fn start(&self, total_bytes: Option<u64>);
    /// That many bytes more are here, counting those kept from an earlier attempt.
    fn advance(&self, bytes: u64);
    /// A sentence for people.
    fn message(&self, text: &str);
}

/// What to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullTarget {
    /// An entry of the catalogue.
    Entry(Box<Entry>),
    /// A GGUF of any Hub repository: `hf:owner/repo[:quant]`.
    Hub {
        /// `owner/name`.
        repo: String,
        /// Quantisation or file name; the usual ones in turn when absent.
        quant: Option<String>,
    },
    /// A plain URL.
    Url {
        /// Name in the cache.
        name: String,
        /// Where the file is.
        url: String,
        /// SHA-256, where the user knows it.
        sha256: Option<String>,
    },
    /// A file on this machine.
    Path {
        /// Name in the cache.
        name: String,
        /// The file.
        path: PathBuf,
        /// Copy it into the cache instead of pointing to it.
        copy: bool,
    },
}

impl PullTarget {
    /// The name under which the result is cached.
    pub fn name(&self) -> String {
        match self {
            Self::Entry(entry) => entry.name.clone(),
            Self::Hub { repo, quant: None } => format!("hf:{repo}"),
            Self::Hub {
                repo,
                quant: Some(quant),
            } => format!("hf:{repo}:{quant}"),
            Self::Url { name, .. } | Self::Path { name, .. } => name.clone(),
        }
    }
}

/// A pulled model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// The model in the cache.
    pub model: CachedModel,
    /// It was there already.
    pub was_cached: bool,
    /// What the user should have read: fallbacks taken, re-uploads, missing checks.
    pub notes: Vec<String>,
}

/// One pull in progress, as sources see it.
pub(crate) struct Job<'a> {
    pub(crate) name: String,
    pub(crate) destination: PathBuf,
    pub(crate) staging: PathBuf,
    pub(crate) expected: Expected,
    pub(crate) settings: &'a PullSettings,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) progress: &'a dyn Progress,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) http: reqwest::Client,
}

impl Job<'_> {
    /// Refuses to start what cannot fit.
    pub(crate) fn check_space(&self, needed_bytes: u64) -> Result<(), PullError> {
        let folder = self.destination.parent().unwrap_or(&self.destination);
        match self.disk.available_bytes(folder) {
            Ok(available_bytes) if available_bytes < needed_bytes => Err(PullError::DiskFull {
                folder: folder.to_owned(),
                needed_bytes,
                available_bytes,
            }),
            // A system that cannot say how much is free still says when nothing is.
            _ => Ok(()),
        }
    }

    /// A full disk, with what is free and what was still needed filled in.
    fn explain(&self, error: PullError) -> PullError {
        let PullError::DiskFull {
            folder,
            needed_bytes: 1,
            ..
        } = error
        else {
            return error;
        };
        let have = crate::store::landing::part_path(&self.destination)
            .metadata()
            .map_or(0, |metadata| metadata.len());
        PullError::DiskFull {
            needed_bytes: self.expected.bytes.unwrap_or(1).saturating_sub(have).max(1),
            available_bytes: self.disk.available_bytes(&folder).unwrap_or(0),
            folder,
        }
    }
}

/// Pulls models into a cache.
pub struct Puller<'a> {
    /// Where to.
    pub cache: &'a Cache,
    /// How.
    pub settings: &'a PullSettings,
    /// The disk under the cache; [`crate::store::disk::RealDisk`] outside tests.
    pub disk: Arc<dyn Disk>,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// Stops it; what was received is kept.
    pub cancel: &'a CancellationToken,
}

impl Puller<'_> {
    /// Pulls one model, or finds it in the cache.
    pub async fn pull(&self, target: &PullTarget) -> Result<Pulled, PullError> {
        let name = target.name();
        let root = self.cache.root();
        std::fs::create_dir_all(root).map_err(PullError::io("create", root))?;
        let _lock = Lock::take(&self.cache.lock_path(&name), self.cancel, || {
            self.progress.message(&format!(
                "another toolbench is pulling {name}; waiting for it"
            ));
        })
        .await?;
        if let Some(model) = self.cache.find(&name) {
            return Ok(Pulled {
                model,
                was_cached: true,
                notes: Vec::new(),
            });
        }
        let job = self.job(target, name)?;
        let (landed, source, notes) = match target {
            PullTarget::Entry(entry) => self.try_sources(&job, &entry.sources).await?,
            PullTarget::Hub { repo, quant } => {
                let file = HubFile {
                    repo: repo.clone(),
                    file: None,
                    revision: None,
                };
                let landed = hub::fetch(&job, &file, quant.as_deref()).await;
                (
                    landed.map_err(|error| job.explain(error))?,
                    format!("hub {repo}"),
                    Vec::new(),
                )
            }
            PullTarget::Url { url, .. } => {
                let landed = url::fetch(&job, url)
                    .await
                    .map_err(|error| job.explain(error))?;
                (landed, format!("url {url}"), Vec::new())
            }
            PullTarget::Path { path, copy, .. } => {
                let landed = path::fetch(&job, path, *copy).await;
                let source = format!("path {}", path.display());
                (
                    landed.map_err(|error| job.explain(error))?,
                    source,
                    Vec::new(),
                )
            }
        };
        let model = self
            .cache
            .record(&job.name, &landed.path, &source, &landed.sha256)?;
        Ok(Pulled {
            model,
            was_cached: false,
            notes,
        })
    }

    fn job(&self, target: &PullTarget, name: String) -> Result<Job<'_>, PullError> {
        let expected = match target {
            PullTarget::Entry(entry) => Expected {
                sha256: entry.sha256.clone(),
                bytes: entry.bytes,
            },
            PullTarget::Url { sha256, .. } => Expected {
                sha256: sha256.as_deref().map(str::to_lowercase),
                bytes: None,
            },
            _ => Expected::default(),
        };
        Ok(Job {
            destination: self.cache.weights_path(&name),
            staging: self.cache.staging_path(&name),
            name,
            expected,
            settings: self.settings,
            disk: Arc::clone(&self.disk),
            progress: self.progress,
            cancel: self.cancel,
            http: url::client(self.settings)?,
        })
    }

    /// Tries the sources in order, and says each step aside.
    async fn try_sources(
        &self,
        job: &Job<'_>,
        sources: &[Source],
    ) -> Result<(Landed, String, Vec<String>), PullError> {
        let mut attempts: Vec<(String, PullError)> = Vec::new();
        let mut notes = Vec::new();
        for (index, source) in sources.iter().enumerate() {
            let label = label(source);
            match fetch(job, source).await {
                Ok(landed) => {
                    if let Some(note) = note(source) {
                        self.say(
                            &mut notes,
                            format!("{label} is {note}; its sha256 is the one expected"),
                        );
                    }
                    return Ok((landed, label, notes));
                }
                Err(error) if error.is_final() => return Err(job.explain(error)),
                Err(error) => {
                    if let Some(next) = sources.get(index + 1) {
                        let next = self::label(next);
                        self.say(
                            &mut notes,
                            format!("{label}: {error}; falling back to {next}"),
                        );
                    }
                    attempts.push((label, error));
                }
            }
        }
        match attempts.pop() {
            Some((_, only)) if attempts.is_empty() => Err(only),
            Some(last) => {
                attempts.push(last);
                Err(PullError::NoSource {
                    name: job.name.clone(),
                    attempts,
                })
            }
            None => Err(PullError::NoSource {
                name: job.name.clone(),
                attempts,
            }),
        }
    }

    fn say(&self, notes: &mut Vec<String>, sentence: String) {
        self.progress.message(&sentence);
        notes.push(sentence);
    }
}

async fn fetch(job: &Job<'_>, source: &Source) -> Result<Landed, PullError> {
    match source {
        Source::Hub(file) => hub::fetch(job, file, None).await,
        Source::Pypi(packages) => pypi::fetch(job, packages).await,
        Source::Npm(packages) => npm::fetch(job, packages).await,
        Source::Url { url } => url::fetch(job, url).await,
    }
}

/// A source in words.
fn label(source: &Source) -> String {
    match source {
        Source::Hub(hub) => format!("hub {}", hub.repo),
        Source::Pypi(packages) => format!("PyPI {} {}", series(packages), packages.version),
        Source::Npm(packages) => format!("npm {} {}", series(packages), packages.version),
        Source::Url { url } => format!("url {url}"),
    }
}

fn series(packages: &crate::store::catalogue::Packages) -> String {
    let parts = packages.parts();
    match parts.as_slice() {
        [first, .., last] => format!("{} … {}", first.package, last.package),
        _ => packages.package.clone(),
    }
}

fn note(source: &Source) -> Option<&str> {
    match source {
        Source::Pypi(packages) | Source::Npm(packages) => packages.note.as_deref(),
        _ => None,
    }
}

#[cfg(test)]
#[path = "pull_tests.rs"]
mod tests;
