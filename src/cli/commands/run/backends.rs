//! Models that an Ollama serves by its own protocol, and programs that speak the engine protocol.

use std::path::Path;
use std::sync::Arc;

use super::super::{App, CliError, Status};
use super::models::{RunModel, alias};
use super::served::wishes;
use crate::cli::store_access::{LOCAL_LIMIT, Store, preset_error};
use crate::config::{ModelAlias, Settings};
use crate::model::Provider;
use crate::model::engine::{EngineCommand, EngineProvider};
use crate::model::ollama::{OllamaOptions, WeightsTemplate};
use crate::model::served_ollama;
use crate::plan::contexts;
use crate::store::{EndpointWishes, ollama};
use crate::types::ContentHash;
use crate::types::protocol::{EngineSettings, ForcedTokens};

/// Largest file among a command's arguments that is part of what the command is known by.
const MOST_PROGRAM_BYTES: u64 = 64 << 20;

/// A tag of an Ollama.
pub(super) struct Tag<'a> {
    pub(super) name: String,
    pub(super) sentence: String,
    pub(super) as_served: &'a str,
    pub(super) base: &'a str,
}

/// A model that an Ollama runs.
pub(super) async fn ollama_model(
    app: &App,
    settings: &Settings,
    store: &Store,
    tag: Tag<'_>,
) -> Result<RunModel, CliError> {
    let configured = alias(app, &tag.name);
    let mut wishes = match configured {
        Some(alias) => wishes(app, &tag.name, alias)?,
        None => EndpointWishes::default(),
    };
    if let Some(other) = wishes.base_url.replace(tag.base.to_owned()) {
        return Err(CliError::usage(format!(
            "model `{}` has a `base-url`, and the tags of an Ollama are looked up before it is read",
            tag.name
        ))
        .kind("model", Status::Usage)
        .hint(format!(
            "say it with the tag: source = \"ollama:{}@{other}\"",
            tag.as_served
        )));
    }
    let preset = store.presets.find("ollama").ok_or_else(|| {
        CliError::usage("there is no preset `ollama`").kind("model", Status::Usage)
    })?;
    let blob = ollama::blob(tag.base, tag.as_served, LOCAL_LIMIT).await;
    let options = OllamaOptions {
        keep_alive: configured.and_then(|alias| alias.keep_alive.as_deref().map(keep_alive)),
        think: configured.and_then(|alias| alias.think.as_deref().map(think)),
        weights: blob.as_deref().and_then(template_of),
    };
    let digest = ollama::digest(tag.base, tag.as_served, LOCAL_LIMIT).await;
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    let mut remote = false;
    for context_tokens in contexts(&settings.variants) {
        let endpoint = preset
            .endpoint(tag.as_served, &wishes, context_tokens, &app.env.variables)
            .map_err(|error| preset_error(&error))?;
        remote = endpoint.remote;
        let provider = served_ollama(endpoint, options.clone()).map_err(|error| {
            CliError::usage(format!("model `{}` cannot be used: {error}", tag.name))
                .kind("model", Status::Usage)
        })?;
        providers.push(provider);
    }
    let asked = (
        &options.keep_alive,
        &options.think,
        &wishes.chat_template,
        &wishes.wires,
    );
    Ok(RunModel {
        hybrid: None,
        identity: format!(
            "ollama:{}@{}; {}; {}",
            tag.as_served,
            tag.base,
            digest.as_deref().unwrap_or("no digest told"),
            ContentHash::of_value(&asked).short()
        ),
        resolution: tag.sentence,
        name: tag.name,
        sha256: None,
        remote,
        probed: true,
        providers,
    })
}

/// A number of seconds, or a duration in the server's own words.
fn keep_alive(text: &str) -> serde_json::Value {
    text.parse::<i64>()
        .map_or_else(|_| text.into(), serde_json::Value::from)
}

fn think(text: &str) -> serde_json::Value {
    match text {
        "on" | "true" => true.into(),
        "off" | "false" => false.into(),
        level => level.into(),
    }
}

/// The template of weights that can be read here.
fn template_of(path: &Path) -> Option<WeightsTemplate> {
    let header = crate::weights::gguf::read_header(path).ok()?;
    Some(WeightsTemplate {
        chat_template: header.chat_template,
        bos_token: header.bos_token.unwrap_or_default(),
        eos_token: header.eos_token.unwrap_or_default(),
    })
}

/// A program that speaks the engine protocol.
pub(super) fn command_model(
    app: &App,
    settings: &Settings,
    name: String,
    sentence: String,
    command: &str,
) -> Result<RunModel, CliError> {
    let wrong = |message: String| {
        CliError::usage(message)
            .kind("model", Status::Usage)
            .hint("for example `command:python3 examples/backend.py`; PROTOCOL.md says what it must speak")
    };
    let words = shlex::split(command)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| wrong(format!("the command of model `{name}` has an open quote")))?;
    let configured = alias(app, &name);
    let passed = configured.map(|alias| alias.pass_env.clone());
    let passed = passed.unwrap_or_default();
    if let Some(missing) = passed
        .iter()
        .find(|name| app.env.variable(name.as_str()).is_none())
    {
        return Err(wrong(format!(
            "the variable {missing}, which `pass-env` of model `{name}` names, is not set"
        )));
    }
    let weights = configured.and_then(|alias: &ModelAlias| alias.weights.as_ref());
    let weights = weights.map(|path| app.env.directory.join(path).display().to_string());
    let variables = || {
        let all = app.env.variables.iter();
        all.map(|(name, value)| (name.into(), value.into()))
    };
    let start =
        EngineCommand::new(&words[0], &words[1..], variables()).passing(&passed, variables());
    let provider = |context_tokens| -> Arc<dyn Provider> {
        Arc::new(EngineProvider::new(
            start.clone(),
            EngineSettings {
                path: weights.clone().unwrap_or_default(),
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
    Ok(RunModel {
        hybrid: None,
        identity: program_identity(app, &words, weights.as_deref()),
        name,
        resolution: sentence,
        sha256: None,
        remote: false,
        probed: true,
        providers: contexts(&settings.variants)
            .into_iter()
            .map(provider)
            .collect(),
    })
}

/// The command line and the content of the files that it names: another script is another model.
fn program_identity(app: &App, words: &[String], weights: Option<&str>) -> String {
    let files = words.iter().map(String::as_str).filter_map(|word| {
        let path = app.env.directory.join(word);
        let bytes = path
            .metadata()
            .ok()
            .filter(std::fs::Metadata::is_file)?
            .len();
        let content = (bytes <= MOST_PROGRAM_BYTES).then(|| std::fs::read(&path).ok())??;
        Some(ContentHash::of_bytes(&content).short().to_owned())
    });
    let mut parts = vec![format!("command:{}", words.join(" "))];
    parts.extend(files);
    // Weights are large: their size and name tell most changes.
    if let Some(path) = weights {
        let bytes = Path::new(path)
            .metadata()
            .map_or(0, |metadata| metadata.len());
        parts.push(format!("{path} ({bytes} bytes)"));
    }
    parts.join("; ")
}
