//! The model store as the command line uses it: settings from the environment, progress on screen.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::context::App;
use super::error::CliError;
use super::exit_code::Status;
use super::ui::Ui;
use crate::config::Resolved;
use crate::store::disk::RealDisk;
use crate::store::presets::PresetError;
use crate::store::pull::DEFAULT_HUB;
use crate::store::{
    Cache, Catalogue, HubSettings, Presets, Progress, PullError, PullSettings, PullTarget, Pulled,
    Puller, Token, ToolSettings,
};

/// Cache, catalogue and pull settings of one process.
pub(super) struct Store {
    pub(super) cache: Cache,
    pub(super) catalogue: Catalogue,
    pub(super) presets: Presets,
    pub(super) ollama_base: String,
    settings: PullSettings,
    ui: Ui,
}

impl Store {
    pub(super) fn open(app: &App, resolved: &Resolved) -> Result<Self, CliError> {
        let folder = app.data_folder(resolved);
        let presets = Presets::with_user_file(&folder.join("providers.yaml"))
            .map_err(|error| preset_error(&error))?;
        let data = folder.join("catalogue");
        let catalogue = if data.is_dir() {
            Catalogue::with_user_folder(&data)
        } else {
            Catalogue::built_in()
        }
        .map_err(|error| CliError::usage(error.to_string()).kind("catalogue", Status::Usage))?;
        Ok(Self {
            cache: Cache::new(app.cache_folder(resolved).join("models")),
            catalogue,
            presets,
            ollama_base: ollama_base(app),
            settings: PullSettings::new(hub_settings(app), tool_settings(app)),
            ui: app.ui.clone(),
        })
    }

    /// Downloads one model, with a bar; Ctrl-C keeps what has arrived.
    pub(super) async fn pull(
        &self,
        target: &PullTarget,
        cancel: &CancellationToken,
    ) -> Result<Pulled, CliError> {
        let bar = PullBar {
            bar: self.ui.download_bar(&target.name()),
            ui: self.ui.clone(),
        };
        let puller = Puller {
            cache: &self.cache,
            settings: &self.settings,
            disk: Arc::new(RealDisk),
            progress: &bar,
            cancel,
        };
        let result = puller.pull(target).await;
        bar.bar.finish_and_clear();
        // Its notes have been said as they came.
        result.map_err(pull_error)
    }
}

impl Store {
    /// Lets an Ollama download a tag, with a bar; what has arrived is kept by it.
    pub(super) async fn ollama_pull(
        &self,
        base: &str,
        tag: &str,
        cancel: &CancellationToken,
    ) -> Result<(), CliError> {
        let bar = PullBar {
            bar: self.ui.download_bar(tag),
            ui: self.ui.clone(),
        };
        let result = crate::store::ollama::pull(base, tag, &bar, cancel).await;
        bar.bar.finish_and_clear();
        result.map_err(pull_error)?;
        self.ui
            .say(&format!("the Ollama at {base} has pulled {tag}"));
        Ok(())
    }
}

/// A wrong preset, address, key or header.
pub(super) fn preset_error(error: &PresetError) -> CliError {
    CliError::usage(error.to_string())
        .kind("model", Status::Usage)
        .hint(error.hint.clone())
}

/// A pull's error with its hint and exit code.
#[expect(clippy::needless_pass_by_value, reason = "the form `map_err` takes")]
pub(super) fn pull_error(error: PullError) -> CliError {
    let status = match &error {
        PullError::Cancelled => Status::Interrupted,
        PullError::DiskFull { .. } => Status::NotWritten,
        _ => Status::Usage,
    };
    let hint = error.hint();
    let cli = CliError::usage(error.to_string()).kind(error.code(), status);
    match hint {
        Some(hint) => cli.hint(hint),
        None => cli,
    }
}

struct PullBar {
    bar: ProgressBar,
    ui: Ui,
}

impl Progress for PullBar {
    fn start(&self, total_bytes: Option<u64>) {
        self.bar.reset();
        if let Some(total) = total_bytes {
            self.bar.set_length(total);
        }
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn message(&self, text: &str) {
        self.bar.suspend(|| self.ui.say(&format!("note: {text}")));
    }
}

fn hub_settings(app: &App) -> HubSettings {
    let home = app
        .env
        .variable("HF_HOME")
        .map_or_else(|| app.env.home().join(".cache/huggingface"), PathBuf::from);
    let cache = app
        .env
        .variable("HF_HUB_CACHE")
        .map_or_else(|| home.join("hub"), PathBuf::from);
    HubSettings {
        endpoint: app
            .env
            .variable("HF_ENDPOINT")
            .unwrap_or(DEFAULT_HUB)
            .to_owned(),
        token: app
            .env
            .variable("HF_TOKEN")
            .and_then(Token::new)
            .or_else(|| HubSettings::token_file(&home)),
        cache: Some(cache),
    }
}

pub(super) fn tool_settings(app: &App) -> ToolSettings {
    ToolSettings {
        search_path: app.env.variable("PATH").map(Into::into),
        working_directory: app.env.directory.clone(),
    }
}

fn ollama_base(app: &App) -> String {
    let host = app.env.variable("OLLAMA_HOST").unwrap_or("127.0.0.1:11434");
    let host = host.replace("0.0.0.0", "127.0.0.1");
    if host.contains("://") {
        host
    } else {
        format!("http://{host}")
    }
}

/// Runs a future of a command that is not a run.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    Ok(runtime.block_on(future))
}

/// Like [`block_on`], and does not wait for what still reads in the background: a read of standard
/// input ends with the process alone.
pub(super) fn block_on_and_leave<T>(future: impl Future<Output = T>) -> Result<T, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

/// How long a local server is given to answer.
pub(super) const LOCAL_LIMIT: Duration = Duration::from_millis(500);
