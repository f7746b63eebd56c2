//! What every command starts from: environment, configuration files, folders, output.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::args::Cli;
use super::env::{Env, OWN_VARIABLES};
use super::error::CliError;
use super::exit_code::Status;
use super::flags::SettingFlags;
use super::ui::Ui;
use crate::config::{
    ConfigFile, GATE_KEYS, KEYS, Layer, Resolved, Settings, parse_file, resolve, resolve_gate,
};
use crate::runner::Cancel;
use crate::suite::Library;
use crate::types::did_you_mean;

/// Name of the project file.
pub(super) const PROJECT_FILE: &str = "toolbench.toml";

/// The application of one process.
pub(super) struct App {
    pub(super) env: Env,
    pub(super) ui: Ui,
    /// Project file, if there is one.
    pub(super) project: ConfigFile,
    /// The user's own file, if there is one.
    pub(super) user: ConfigFile,
    profile: Option<String>,
    interrupts: OnceLock<Cancel>,
}

impl App {
    pub(super) fn new(env: Env, ui: Ui, cli: &Cli) -> Result<Self, CliError> {
        let named = cli
            .config
            .clone()
            .or_else(|| env.variable("TOOLBENCH_CONFIG").map(PathBuf::from));
        let project = match &named {
            Some(path) => read_config(path, true)?,
            None => read_config(Path::new(PROJECT_FILE), false)?,
        };
        let user = read_config(&env.user_folder().join("config.toml"), false)?;
        let profile = cli
            .profile
            .clone()
            .or_else(|| env.variable("TOOLBENCH_PROFILE").map(str::to_owned));
        Ok(Self {
            env,
            ui,
            project,
            user,
            profile,
            interrupts: OnceLock::new(),
        })
    }

    /// Settings in force for these flags: flag > variable > profile > project > user > built-in.
    pub(super) fn resolve(&self, flags: &SettingFlags) -> Result<Resolved, CliError> {
        if let Some(problem) = &flags.problem {
            return Err(problem.clone().into());
        }
        Ok(resolve(&self.layers(&flags.layer)?))
    }

    /// Settings of the gate in force for these flags.
    pub(super) fn resolve_gate(&self, flags: &Layer) -> Result<Resolved, CliError> {
        Ok(resolve_gate(&self.layers(flags)?))
    }

    fn layers(&self, flags: &Layer) -> Result<Vec<Layer>, CliError> {
        let mut layers = vec![flags.clone(), self.variables()?];
        if let Some(name) = &self.profile {
            layers.push(self.profile_layer(name)?);
        }
        layers.push(self.project.settings.clone());
        layers.push(self.user.settings.clone());
        Ok(layers)
    }

    /// Settings of a resumed run: what it stored and the flags, nothing of today's files and
    /// variables.
    pub(super) fn resolve_stored(flags: &SettingFlags) -> Result<Resolved, CliError> {
        match &flags.problem {
            Some(problem) => Err(problem.clone().into()),
            None => Ok(resolve(std::slice::from_ref(&flags.layer))),
        }
    }

    /// The typed settings.
    pub(super) fn settings(&self, resolved: &Resolved) -> Result<Settings, CliError> {
        let mut variants = self.user.variants.clone();
        variants.extend(self.project.variants.clone());
        Ok(Settings::from_resolved(resolved, &variants)?)
    }

    fn variables(&self) -> Result<Layer, CliError> {
        let mut layer = Layer::default();
        let known: Vec<String> = KEYS
            .iter()
            .chain(GATE_KEYS)
            .map(crate::config::Key::variable)
            .chain(OWN_VARIABLES.iter().map(|(name, _)| (*name).to_owned()))
            .collect();
        // Tests and the installer have variables of their own.
        let others = ["TOOLBENCH_TEST_", "TOOLBENCH_INSTALL_"];
        let ours = |name: &&String| {
            name.starts_with("TOOLBENCH_") && !others.iter().any(|start| name.starts_with(start))
        };
        if let Some(name) = self
            .env
            .variables
            .keys()
            .filter(ours)
            .find(|name| !known.contains(name))
        {
            let near = did_you_mean(name, known.iter().map(String::as_str));
            return Err(CliError::usage(format!("unknown variable `{name}`"))
                .kind("config", Status::Usage)
                .hint(
                    near.unwrap_or_else(|| "`toolbench config show` lists the settings".to_owned()),
                ));
        }
        for key in KEYS.iter().chain(GATE_KEYS) {
            let name = key.variable();
            if let Some(value) = self.env.variable(&name) {
                layer.insert(
                    key.name,
                    vec![value.to_owned()],
                    &format!("environment {name}"),
                )?;
            }
        }
        Ok(layer)
    }

    fn profile_layer(&self, name: &str) -> Result<Layer, CliError> {
        let known = |file: &ConfigFile| file.profiles.get(name).cloned();
        known(&self.project)
            .or_else(|| known(&self.user))
            .ok_or_else(|| {
                let names: Vec<&String> = self
                    .project
                    .profiles
                    .keys()
                    .chain(self.user.profiles.keys())
                    .collect();
                let list = names
                    .iter()
                    .map(|name| format!("`{name}`"))
                    .collect::<Vec<_>>()
                    .join(", ");
                CliError::usage(format!("unknown profile `{name}`")).hint(if names.is_empty() {
                    format!("define it in {PROJECT_FILE}: [profiles.{name}]")
                } else {
                    format!("the profiles are {list}")
                })
            })
    }

    /// The process's one watch on Ctrl-C, started when first asked for: the first stops what is
    /// next, the second gives up what is in flight, the third ends the process. SIGTERM gives up
    /// what is in flight at once, so that tool servers and engines are ended with us.
    pub(super) fn interrupts(&self) -> &Cancel {
        self.interrupts.get_or_init(|| {
            let cancel = Cancel::default();
            let watched = cancel.clone();
            let ui = self.ui.clone();
            // A thread of its own: it must hear while others compute.
            std::thread::spawn(move || watch_interrupts(&watched, &ui));
            cancel
        })
    }

    /// Folder of the user's suites, grammars and catalogue.
    pub(super) fn data_folder(&self, resolved: &Resolved) -> PathBuf {
        resolved
            .text("data")
            .map_or_else(|| self.env.user_folder(), PathBuf::from)
    }

    /// Folder of what can be had again.
    pub(super) fn cache_folder(&self, resolved: &Resolved) -> PathBuf {
        resolved.text("cache").map_or_else(
            || self.env.cache_folder(),
            |path| self.env.directory.join(path),
        )
    }

    /// The suite library of these settings.
    pub(super) fn library(&self, resolved: &Resolved) -> Library {
        Library::new(Some(self.data_folder(resolved).join("suites")))
    }
}

fn watch_interrupts(cancel: &Cancel, ui: &Ui) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
    else {
        return;
    };
    runtime.block_on(async {
        let Ok(mut signals) = Signals::listen() else {
            return;
        };
        if signals.next().await == Asked::ToStop {
            ui.say("stopping after what is in progress (Ctrl-C again to give it up)");
            cancel.stop.cancel();
            signals.next().await;
        }
        cancel.stop.cancel();
        cancel.abort.cancel();
        while signals.next().await != Asked::ToStop {}
        #[expect(clippy::exit, reason = "asked for three times")]
        std::process::exit(i32::from(Status::Interrupted.code()));
    });
}

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Ctrl-C.
    ToStop,
    /// A supervisor's word: there is no time for what is in progress.
    ToEnd,
}

/// Ctrl-C, and where there is such a thing the signal that ends a process. A hang-up stays what it
/// was: `nohup` relies on it.
struct Signals {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn next(&mut self) -> Asked {
        #[cfg(unix)]
        let ended = async {
            self.terminate.recv().await;
        };
        #[cfg(not(unix))]
        let ended = std::future::pending::<()>();
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Asked::ToStop,
            () = ended => Asked::ToEnd,
        }
    }
}

fn read_config(path: &Path, required: bool) -> Result<ConfigFile, CliError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(parse_file(&path.display().to_string(), &text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !required => {
            Ok(ConfigFile::default())
        }
        Err(error) => Err(CliError::usage(format!(
            "cannot read configuration file {}: {error}",
            path.display()
        ))
        .hint("`toolbench init` writes one")),
    }
}

/// Writes data to standard output. A closed pipe is a clean end, anything else is not.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_with(|out| out.write_all(text.as_bytes()))
}

/// Like [`print()`], for what writes itself.
pub(super) fn print_with(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CliError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::usage(format!(
            "cannot write to standard output: {error}"
        ))
        .kind("output", Status::NotWritten)),
        _ => Ok(()),
    }
}

/// Prints a value as indented JSON.
pub(super) fn print_json<T: serde::Serialize>(value: &T) -> Result<(), CliError> {
    print(&json_text(value))
}

/// A value as indented JSON.
pub(super) fn json_text<T: serde::Serialize>(value: &T) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    format!("{text}\n")
}
