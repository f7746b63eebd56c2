//! Model names to providers: resolved, downloaded where needed, known by a hash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::super::{App, CliError, Status};
use super::hybrid::{HybridModel, hybrid};
use super::{backends, replies, served};
use crate::cli::store_access::{LOCAL_LIMIT, Store, block_on, pull_error};
use crate::config::{ModelAlias, Resolved, Settings};
use crate::model::Provider;
use crate::model::cassette::{Cassette, CassetteMode};
use crate::model::scripted::ScriptedProvider;
use crate::plan::contexts;
use crate::store::resolve::{OllamaRuns, ResolveError};
use crate::store::resolve::{ResolveInputs, resolve as resolve_name};
use crate::store::{PullTarget, Resolution, ollama};
use crate::types::ContentHash;

/// One model of a run.
pub(super) struct RunModel {
    /// As named.
    pub(super) name: String,
    /// How it was resolved, in words.
    pub(super) resolution: String,
    /// What it is known by: part of the plan.
    pub(super) identity: String,
    /// SHA-256 of the weights.
    pub(super) sha256: Option<String>,
    /// Another machine serves it.
    pub(super) remote: bool,
    /// It is tried out before the first trial, unless said otherwise.
    pub(super) probed: bool,
    /// Serve it, one for each context of the variants; of a hybrid its first leg.
    pub(super) providers: Vec<Arc<dyn Provider>>,
    /// Its legs, where it is a hybrid.
    pub(super) hybrid: Option<HybridModel>,
}

/// What every model of a run is made with.
pub(super) struct Making<'a> {
    pub(super) app: &'a App,
    pub(super) settings: &'a Settings,
    pub(super) store: &'a Store,
    /// Stands before each provider, where replies are recorded.
    pub(super) cassette: Option<&'a Arc<Cassette>>,
    pub(super) dry_run: bool,
}

/// Resolves every name in order; prints how.
pub(super) fn resolve(
    app: &App,
    resolved: &Resolved,
    settings: &Settings,
    names: &[String],
    dry_run: bool,
) -> Result<Vec<RunModel>, CliError> {
    let store = Store::open(app, resolved)?;
    let aliases: BTreeMap<String, String> = aliases(app)
        .map(|(name, alias)| (name.clone(), alias.source.clone()))
        .collect();
    let cassette = replies::open(app, settings)?;
    block_on(async {
        let mut models = Vec::new();
        for name in names {
            if let Some(cassette) = &cassette
                && cassette.mode() == CassetteMode::Replay
            {
                let model = replies::replayed(cassette, settings, name)?;
                app.ui.say(&format!("model {}", model.resolution));
                models.push(model);
                continue;
            }
            let inputs = ResolveInputs {
                aliases: &aliases,
                catalogue: &store.catalogue,
                cache: &store.cache,
                presets: &store.presets,
                ollama_base: Some(&store.ollama_base),
                working_directory: &app.env.directory,
            };
            let mut found = resolve_name(name, &inputs).await;
            if let Err(ResolveError::NoOllamaTag { base, tag, .. }) = &found
                && wanted(app, settings, name, dry_run)
            {
                store.ollama_pull(base, tag, &app.interrupts().stop).await?;
                found = resolve_name(name, &inputs).await;
            }
            let found = found.map_err(|error| {
                CliError::usage(error.to_string())
                    .kind("model", Status::Usage)
                    .hint(error.hint())
            })?;
            let making = Making {
                app,
                settings,
                store: &store,
                cassette: cassette.as_ref(),
                dry_run,
            };
            let legs = match &found.resolution {
                Resolution::Hybrid { legs } => Some(legs.clone()),
                _ => None,
            };
            models.push(if let Some(legs) = legs {
                app.ui.say(&format!("model {}", found.sentence));
                hybrid(&making, &inputs, found, &legs).await?
            } else {
                named(&making, found, "model").await?
            });
        }
        Ok(models)
    })?
}

/// Each model in each quantisation, a model of its own; as named where none is asked for.
pub(super) fn in_quants(
    app: &App,
    names: &[String],
    quants: &[String],
) -> Result<Vec<String>, CliError> {
    if quants.is_empty() {
        return Ok(names.to_vec());
    }
    let mut all = Vec::new();
    for name in names {
        for quant in quants {
            let own = alias(app, name).is_some();
            let full = crate::store::catalogue::with_quant(name, quant).filter(|_| !own);
            all.push(full.ok_or_else(|| {
                CliError::usage(format!("`--quant {quant}`: `{name}` is one file or one served model"))
                    .kind("model", Status::Usage)
                    .hint("`--quant` goes with models of the catalogue and `hf:owner/repo`; name other models one by one")
            })?);
        }
    }
    Ok(all)
}

/// Models under names of one's own; the project's win.
pub(super) fn aliases(app: &App) -> impl Iterator<Item = (&String, &ModelAlias)> {
    app.user.models.iter().chain(&app.project.models)
}

/// One model that is no hybrid, and the line that says what it is: who runs it, and where it was
/// found. That is known once it is made; what cannot be made is named as it was found.
pub(super) async fn named(
    making: &Making<'_>,
    found: crate::store::Resolved,
    what: &str,
) -> Result<RunModel, CliError> {
    let ui = &making.app.ui;
    let sentence = found.sentence.clone();
    let made = model(making, found).await;
    let said = made.as_ref().map_or(&sentence, |model| &model.resolution);
    ui.say(&format!("{what} {said}"));
    made
}

/// One model that is no hybrid, with the cassette before it where there is one.
pub(super) async fn model(
    making: &Making<'_>,
    found: crate::store::Resolved,
) -> Result<RunModel, CliError> {
    let model = unrecorded(making, found).await?;
    Ok(match making.cassette {
        Some(cassette) => replies::before(cassette, making.settings, model),
        None => model,
    })
}

async fn unrecorded(
    making: &Making<'_>,
    found: crate::store::Resolved,
) -> Result<RunModel, CliError> {
    let Making {
        app,
        settings,
        store,
        dry_run,
        ..
    } = *making;
    if alias(app, &found.name).is_some_and(ModelAlias::is_of_a_hybrid) {
        return Err(CliError::usage(format!(
            "model `{}` says when to fall back, and its source is one model: {}",
            found.name, found.sentence
        ))
        .kind("model", Status::Usage)
        .hint("name what to fall back to: source = \"hybrid:MODEL+OTHER\""));
    }
    let served = matches!(
        found.resolution,
        Resolution::Served { .. } | Resolution::Ollama { .. } | Resolution::Command { .. }
    );
    if !served && alias(app, &found.name).is_some_and(ModelAlias::is_of_a_server) {
        return Err(CliError::usage(format!(
            "model `{}` says how a server is asked, and its source is none: {}",
            found.name, found.sentence
        ))
        .kind("model", Status::Usage)
        .hint("leave it at `source`, or name a server: source = \"PRESET:MODEL\""));
    }
    match found.resolution {
        Resolution::Served {
            preset,
            model,
            base_url,
        } => {
            let named = served::Named {
                name: found.name,
                sentence: found.sentence,
                preset,
                model,
                base_url,
            };
            served::model(app, settings, store, named, dry_run).await
        }
        Resolution::Scripted { path } => scripted(settings, found.name, found.sentence, &path),
        Resolution::GgufFile { path, .. } => {
            local(app, settings, store, found.name, found.sentence, &path)
        }
        Resolution::Ollama { tag, base, runs } => {
            let configured = alias(app, &found.name).is_some_and(ModelAlias::is_of_a_server);
            let path = match runs {
                // The engine only where it is linked in, can read the file, and nothing is said
                // that only a server can heed.
                OllamaRuns::Either if cfg!(feature = "llama") && !configured => {
                    let blob = ollama::blob(&base, &tag, LOCAL_LIMIT).await;
                    blob.filter(|path| crate::weights::gguf::read_header(path).is_ok())
                }
                OllamaRuns::Either | OllamaRuns::Ollama => None,
            };
            if let Some(path) = path {
                let sentence = format!("{}; its weights are used in place", found.sentence);
                return local(app, settings, store, found.name, sentence, &path);
            }
            let tag = backends::Tag {
                name: found.name,
                sentence: found.sentence,
                as_served: &tag,
                base: &base,
            };
            backends::ollama_model(app, settings, store, tag).await
        }
        Resolution::NeedsPull { entry } => {
            let target = PullTarget::Entry(entry);
            pulled(
                app,
                settings,
                store,
                found.name,
                found.sentence,
                &target,
                dry_run,
            )
            .await
        }
        Resolution::NeedsHub { repo, quant } => {
            let target = PullTarget::Hub { repo, quant };
            pulled(
                app,
                settings,
                store,
                found.name,
                found.sentence,
                &target,
                dry_run,
            )
            .await
        }
        Resolution::Hybrid { .. } => Err(CliError::usage(format!(
            "`{}` is a hybrid, which cannot stand here",
            found.name
        ))
        .kind("model", Status::Usage)),
        Resolution::Command { command } => {
            backends::command_model(app, settings, found.name, found.sentence, &command)
        }
    }
}

/// What the configuration says of a name; the project's file wins.
pub(super) fn alias<'a>(app: &'a App, name: &str) -> Option<&'a ModelAlias> {
    let known = app.project.models.get(name);
    known.or_else(|| app.user.models.get(name))
}

/// Whether a download is wanted: said by `--pull`, or answered when asked.
fn wanted(app: &App, settings: &Settings, name: &str, dry_run: bool) -> bool {
    let ask = || crate::cli::ui::Ui::ask(&format!("`{name}` is not on this machine. Download it?"));
    !dry_run && (settings.pull || app.ui.can_ask() && ask())
}

/// Asks before downloading, unless `--pull` says so.
async fn pulled(
    app: &App,
    settings: &Settings,
    store: &Store,
    name: String,
    sentence: String,
    target: &PullTarget,
    dry_run: bool,
) -> Result<RunModel, CliError> {
    if !wanted(app, settings, &name, dry_run) {
        return Err(
            CliError::usage(format!("model `{name}` is not on this machine"))
                .kind("model", Status::Usage)
                .hint(format!(
                    "`toolbench model pull {name}`, or the same command with `--pull`"
                )),
        );
    }
    let pulled = store.pull(target, &app.interrupts().stop).await?;
    let sentence = format!("{sentence}; downloaded from {}", pulled.model.source);
    local(app, settings, store, name, sentence, &pulled.model.path)
}

fn scripted(
    settings: &Settings,
    name: String,
    resolution: String,
    path: &Path,
) -> Result<RunModel, CliError> {
    let text = std::fs::read(path).map_err(|error| {
        CliError::usage(format!("cannot read script {}: {error}", path.display()))
    })?;
    let provider = ScriptedProvider::open(path)
        .map_err(|error| CliError::usage(error.to_string()).kind("model", Status::Usage))?;
    let provider: Arc<dyn Provider> = Arc::new(provider);
    Ok(RunModel {
        name,
        resolution,
        identity: ContentHash::of_bytes(&text).0,
        sha256: None,
        remote: false,
        probed: false,
        hybrid: None,
        providers: contexts(&settings.variants)
            .iter()
            .map(|_| Arc::clone(&provider))
            .collect(),
    })
}

fn local(
    app: &App,
    settings: &Settings,
    store: &Store,
    name: String,
    resolution: String,
    path: &Path,
) -> Result<RunModel, CliError> {
    crate::weights::gguf::read_header(path).map_err(|error| {
        CliError::usage(format!("model `{name}` cannot be read: {error}"))
            .kind("model", Status::Usage)
            .hint("pull it again: `toolbench model rm NAME`, then `toolbench model pull NAME`")
    })?;
    let sha256 = store
        .cache
        .weights_sha256(path, &app.interrupts().stop)
        .map_err(pull_error)?;
    Ok(RunModel {
        providers: engines(app, settings, path)?,
        name,
        resolution,
        identity: sha256.clone(),
        sha256: Some(sha256),
        remote: false,
        probed: false,
        hybrid: None,
    })
}

/// An engine child for each context that the variants ask for.
#[cfg(feature = "llama")]
#[expect(
    clippy::unnecessary_wraps,
    reason = "a build without the engine refuses"
)]
fn engines(
    app: &App,
    settings: &Settings,
    path: &Path,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    use crate::model::engine::{EngineCommand, EngineProvider};
    use crate::types::protocol::{EngineSettings, ForcedTokens};

    let provider = |context_tokens| -> Arc<dyn Provider> {
        let variables = app.env.variables.iter();
        Arc::new(EngineProvider::new(
            EngineCommand::own(
                &app.env.executable,
                variables.map(|(name, value)| (name.into(), value.into())),
            ),
            EngineSettings {
                path: path.display().to_string(),
                context_tokens,
                threads: settings.threads,
                gpu_layers: settings.gpu_layers,
                flash_attention: settings.flash_attention,
                kv_cache_type: settings.kv_cache_type.clone(),
                ignore_memory_check: settings.ignore_memory_check,
                forced_tokens: ForcedTokens::Batch,
            },
        ))
    };
    Ok(contexts(&settings.variants)
        .into_iter()
        .map(provider)
        .collect())
}

#[cfg(not(feature = "llama"))]
fn engines(
    _app: &App,
    _settings: &Settings,
    _path: &Path,
) -> Result<Vec<Arc<dyn Provider>>, CliError> {
    Err(super::super::no_engine())
}
