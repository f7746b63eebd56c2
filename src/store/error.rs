//! What can go wrong when weights are fetched, each with the next command to run.
//!
//! Data in: nothing. Data out: messages (lowercase: what, where, why), hints and stable codes.
//! Invariant: [`PullError::is_final`] alone decides whether another source may still be tried.

use std::path::PathBuf;

use crate::store::catalogue::LookupError;

/// Why a model did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The user stopped it.
    #[error("the download was cancelled")]
    Cancelled,
    /// The name is not in the catalogue.
    #[error(transparent)]
    Unknown(#[from] LookupError),
    /// The disk has no room for the file.
    #[error("not enough disk space in {folder}: {needed_bytes} bytes needed, {available_bytes} free", folder = .folder.display())]
    DiskFull {
        /// Where the file was to go.
        folder: PathBuf,
        /// What is still to be written, in bytes.
        needed_bytes: u64,
        /// What is free, in bytes.
        available_bytes: u64,
    },
    /// The file is not the one that was asked for.
    #[error("wrong file from {source_name}: sha256 {actual}, expected {expected}")]
    WrongHash {
        /// Where it came from.
        source_name: String,
        /// Hash asked for.
        expected: String,
        /// Hash of what came.
        actual: String,
    },
    /// The file has another size than asked for.
    #[error("wrong size from {source_name}: {actual_bytes} bytes, expected {expected_bytes}")]
    WrongSize {
        /// Where it came from.
        source_name: String,
        /// Size asked for.
        expected_bytes: u64,
        /// Size of what came.
        actual_bytes: u64,
    },
    /// The file is no GGUF.
    #[error("{source_name} is not a GGUF file: it does not start with `GGUF`")]
    NotGguf {
        /// Where it came from.
        source_name: String,
    },
    /// The body ended early, again and again.
    #[error("the download from {source_name} broke off after {received_bytes} bytes: {reason}")]
    BrokenOff {
        /// Where it came from.
        source_name: String,
        /// What is kept for the next attempt, in bytes.
        received_bytes: u64,
        /// Why.
        reason: String,
    },
    /// The server cannot be reached.
    #[error("cannot reach {host}: {reason}")]
    NoNetwork {
        /// Host name.
        host: String,
        /// Why.
        reason: String,
    },
    /// The server answered with an error.
    #[error("{url} answered {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// HTTP status.
        status: u16,
    },
    /// No such repository, file or package.
    #[error("{what} does not exist")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The repository wants a licence accepted or a token.
    #[error("{repo} is gated: {}", if *.with_token { "the token has no access to it" } else { "it needs a Hugging Face token" })]
    Gated {
        /// `owner/name`.
        repo: String,
        /// Page on which the licence is accepted.
        page: String,
        /// A token was sent.
        with_token: bool,
    },
    /// A repository has no file in that quantisation.
    #[error("{repo} has no GGUF file `{wanted}`; it has: {}", if .known.is_empty() { "none".to_owned() } else { .known.join(", ") })]
    NoSuchFile {
        /// `owner/name`.
        repo: String,
        /// Quantisation or file asked for.
        wanted: String,
        /// GGUF files there.
        known: Vec<String>,
    },
    /// The weights are split over several files.
    #[error("{repo} splits `{file}` over several files, which toolbench does not join")]
    Split {
        /// `owner/name`.
        repo: String,
        /// First file.
        file: String,
    },
    /// A program that is needed is not installed.
    #[error("{tool} is needed for this source and was not found")]
    ToolMissing {
        /// `python3`, `pip` or `npm`.
        tool: &'static str,
    },
    /// A program that was run failed.
    #[error("`{command}` failed ({status}): {said}")]
    ToolFailed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// Last lines it wrote.
        said: String,
    },
    /// A package does not hold what the catalogue says.
    #[error("package {package} has {found} members like `{pattern}`, expected exactly one")]
    PackageContents {
        /// Name and version.
        package: String,
        /// Member path asked for.
        pattern: String,
        /// Members found.
        found: usize,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {path}: {source}", path = .path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Every source failed.
    #[error("no source of {name} worked{}", attempts.iter().fold(String::new(), |text, (source, error)| format!("{text}\n  {source}: {error}")))]
    NoSource {
        /// The model.
        name: String,
        /// Each source with its error, in the order tried.
        attempts: Vec<(String, PullError)>,
    },
}

impl PullError {
    /// A closure for `map_err` on I/O, which tells a full disk from other failures.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| {
            if matches!(
                source.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            ) {
                let folder = path.parent().map_or_else(|| path.clone(), PathBuf::from);
                return Self::DiskFull {
                    folder,
                    needed_bytes: 1,
                    available_bytes: 0,
                };
            }
            Self::Io {
                action,
                path,
                source,
            }
        }
    }

    /// No other source can help: the user stopped, or this machine cannot take the file.
    pub fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Cancelled | Self::DiskFull { .. } | Self::Io { .. } | Self::Unknown(_)
        )
    }

    /// Stable code for `{message, type, param, code}` on stderr.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unknown(_) => "unknown_model",
            Self::DiskFull { .. } => "disk_full",
            Self::WrongHash { .. } => "wrong_hash",
            Self::WrongSize { .. } => "wrong_size",
            Self::NotGguf { .. } => "not_gguf",
            Self::BrokenOff { .. } => "broken_off",
            Self::NoNetwork { .. } => "no_network",
            Self::Status { .. } => "http_status",
            Self::NotFound { .. } => "not_found",
            Self::Gated { .. } => "gated",
            Self::NoSuchFile { .. } => "no_such_file",
            Self::Split { .. } => "split_weights",
            Self::ToolMissing { .. } => "tool_missing",
            Self::ToolFailed { .. } => "tool_failed",
            Self::PackageContents { .. } => "package_contents",
            Self::Io { .. } => "io",
            Self::NoSource { .. } => "no_source",
        }
    }

    /// What to do next, as a sentence with a command where there is one.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Cancelled | Self::BrokenOff { .. } => {
                "run the same command again: it goes on where it stopped".to_owned()
            }
            Self::Unknown(LookupError::UnknownModel { .. }) => {
                "`toolbench model list` shows the catalogue; `hf:owner/repo:quant` names any other GGUF on the Hub".to_owned()
            }
            Self::Unknown(LookupError::UnknownTag { family, known, .. }) => {
                let tag = known.first().map_or("", String::as_str);
                format!("for example `toolbench model pull {family}:{tag}`")
            }
            Self::DiskFull { folder, .. } => format!(
                "free space in {} (`toolbench model list`, `toolbench model rm NAME`) and run it again: what is already here is kept",
                folder.display()
            ),
            Self::WrongHash { .. } | Self::WrongSize { .. } => {
                "the file was removed; run it again, and if it stays wrong the source has changed: pull another source or quantisation".to_owned()
            }
            Self::NotGguf { .. } => {
                "the address may lead to a web page instead of the file; check it in a browser".to_owned()
            }
            Self::NoNetwork { .. } => {
                "check the network or proxy, set HF_ENDPOINT to a mirror, or copy a GGUF here and name its path".to_owned()
            }
            Self::Status { status, .. } if *status == 429 || *status >= 500 => {
                "the server is busy; try again later".to_owned()
            }
            Self::Status { .. } | Self::NotFound { .. } => "check the name for typing errors".to_owned(),
            Self::Gated { page, with_token: true, .. } => {
                format!("accept the licence at {page} with the account the token belongs to")
            }
            Self::Gated { page, with_token: false, .. } => format!(
                "accept the licence at {page}, create a token in your Hugging Face settings, then: HF_TOKEN=… toolbench model pull …"
            ),
            Self::NoSuchFile { repo, .. } => format!("name one of them: hf:{repo}:QUANT"),
            Self::Split { .. } => "choose a smaller quantisation, or join the files with llama-gguf-split and name the path".to_owned(),
            Self::ToolMissing { tool: "npm" } => {
                "install Node.js 18 or later (npm comes with it)".to_owned()
            }
            Self::ToolMissing { tool: "pip" } => "python3 -m ensurepip --user".to_owned(),
            Self::ToolMissing { .. } => "install Python 3.9 or later with pip".to_owned(),
            Self::ToolFailed { command, .. } => format!("run it by hand to see more: {command}"),
            Self::PackageContents { .. } => {
                "the package has changed; update toolbench's catalogue".to_owned()
            }
            Self::Io { .. } => "check that the folder exists and is writable, or set another with --cache".to_owned(),
            Self::NoSource { attempts, .. } => return attempts.iter().find_map(|(_, error)| error.hint()),
        })
    }
}
