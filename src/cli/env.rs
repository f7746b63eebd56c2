//! The process as toolbench sees it, read once.
#![expect(
    clippy::disallowed_methods,
    reason = "the only reader of the environment"
)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::PathBuf;

/// Variables of toolbench's own that are no settings (those are `TOOLBENCH_` and the name).
pub const OWN_VARIABLES: &[(&str, &str)] = &[
    (
        "TOOLBENCH_PROFILE",
        "profile of toolbench.toml to use, as `--profile`",
    ),
    (
        "TOOLBENCH_CONFIG",
        "configuration file instead of ./toolbench.toml, as `--config`",
    ),
];

/// Variables of others that toolbench heeds.
pub const HEEDED_VARIABLES: &[(&str, &str)] = &[
    ("NO_COLOR", "no colours on the terminal"),
    (
        "HF_TOKEN",
        "token for gated repositories of the Hugging Face Hub",
    ),
    (
        "GITHUB_ACTIONS",
        "the gate writes annotations where it is `true`",
    ),
    (
        "GITHUB_STEP_SUMMARY",
        "file to which the gate adds its verdict as Markdown",
    ),
    ("HF_HOME", "the Hub's own cache"),
    ("HF_ENDPOINT", "another Hub"),
    ("HF_HUB_CACHE", "the Hub's own cache of files"),
    ("OLLAMA_HOST", "address of a local Ollama"),
    ("XDG_CACHE_HOME", "where caches live"),
    ("XDG_CONFIG_HOME", "where the user's configuration lives"),
    (
        "LC_ALL",
        "with LC_CTYPE and LANG: whether small graphs are drawn in Unicode",
    ),
    ("JOB_COMPLETION_INDEX", "the part, with `--shard auto`"),
    (
        "SLURM_ARRAY_TASK_ID",
        "with _MIN, _MAX, _COUNT, _STEP: the part, with `--shard auto`",
    ),
    (
        "CI_NODE_INDEX",
        "with CI_NODE_TOTAL: the part, with `--shard auto`",
    ),
    (
        "CIRCLE_NODE_INDEX",
        "with CIRCLE_NODE_TOTAL: the part, with `--shard auto`",
    ),
    (
        "BUILDKITE_PARALLEL_JOB",
        "with BUILDKITE_PARALLEL_JOB_COUNT: the part, with `--shard auto`",
    ),
];

/// A snapshot of the process environment.
#[derive(Clone, Debug, Default)]
pub struct Env {
    /// All variables that are valid Unicode.
    pub variables: BTreeMap<String, String>,
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_terminal: bool,
    /// Standard input is a terminal.
    pub stdin_terminal: bool,
    /// Working directory.
    pub directory: PathBuf,
    /// This binary.
    pub executable: PathBuf,
}

impl Env {
    /// Reads the process.
    pub fn capture() -> Self {
        Self {
            variables: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            arguments: std::env::args_os().collect(),
            stdout_terminal: std::io::stdout().is_terminal(),
            stderr_terminal: std::io::stderr().is_terminal(),
            stdin_terminal: std::io::stdin().is_terminal(),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from(".")),
            executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("toolbench")),
        }
    }

    /// A variable that is set and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The user's home.
    pub fn home(&self) -> PathBuf {
        self.variable("HOME")
            .map_or_else(|| PathBuf::from("."), PathBuf::from)
    }

    /// Folder for what can be had again: models, installed tool servers.
    pub fn cache_folder(&self) -> PathBuf {
        self.variable("XDG_CACHE_HOME")
            .map_or_else(|| self.home().join(".cache"), PathBuf::from)
            .join("toolbench")
    }

    /// Folder of the user's own configuration, suites, grammars and catalogue.
    pub fn user_folder(&self) -> PathBuf {
        self.variable("XDG_CONFIG_HOME")
            .map_or_else(|| self.home().join(".config"), PathBuf::from)
            .join("toolbench")
    }
}
