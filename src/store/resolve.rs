//! From what a user typed to what generates.
//!
//! Data in: a name, the configured aliases, the catalogue, the cache, an Ollama address. Data out:
//! a [`Resolution`] and a sentence that is printed and recorded. Order: config alias, a path, `hf:`
//! name, cached GGUF, tag of a running Ollama, catalogue. Invariants: `provider:` splits off only
//! for the known prefixes and the names of presets (Ollama's tags hold colons; a preset that shares
//! its name with a family of the catalogue gives way to a cached model, a tag or an entry of that
//! whole name); Ollama is asked only when all before it failed; nothing is downloaded here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::cache::{Cache, CachedModel};
use crate::store::catalogue::{Catalogue, Entry, LookupError, did_you_mean, suggest};
use crate::store::ollama;
use crate::store::presets::{Presets, bare_address, split_address};

/// Prefixes that name a provider, beside the presets. Anything else before a colon is part of the
/// model's name.
pub const PROVIDERS: [&str; 5] = ["scripted", "ollama", "command", "engine", "hybrid"];

/// Limit for asking Ollama, which is on this machine or not there.
const OLLAMA_LIMIT: Duration = Duration::from_millis(300);

/// What a name means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Weights on this machine.
    GgufFile {
        /// The file.
        path: PathBuf,
        /// How it was found.
        how: Found,
    },
    /// Canned replies from a file.
    Scripted {
        /// The file.
        path: PathBuf,
    },
    /// A tag that Ollama serves.
    Ollama {
        /// The tag.
        tag: String,
        /// Ollama's address.
        base: String,
        /// Who is to run it.
        runs: OllamaRuns,
    },
    /// A model of a server that a preset describes.
    Served {
        /// Name of the preset.
        preset: String,
        /// The model's name there; empty means the only one that it serves.
        model: String,
        /// Address, where the name holds one.
        base_url: Option<String>,
    },
    /// A program that speaks the provider protocol.
    Command {
        /// The command line.
        command: String,
    },
    /// Models that are asked in order until one answers rightly.
    Hybrid {
        /// Their names, each as any model is named.
        legs: Vec<String>,
    },
    /// In the catalogue, not on this machine.
    NeedsPull {
        /// What to pull.
        entry: Box<Entry>,
    },
    /// On the Hub, not on this machine.
    NeedsHub {
        /// `owner/name`.
        repo: String,
        /// Quantisation or file name, where the user gave one.
        quant: Option<String>,
    },
}

/// Who runs a tag of an Ollama.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OllamaRuns {
    /// The Ollama: it was named.
    Ollama,
    /// The engine where it can read the weights, otherwise the Ollama.
    Either,
}

/// How weights were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The user named the file.
    Path,
    /// In the cache.
    Cached(Box<CachedModel>),
}

/// A resolved name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// What the user typed.
    pub name: String,
    /// What it means.
    pub resolution: Resolution,
    /// The same in one sentence, to be printed and recorded.
    pub sentence: String,
}

/// What names are resolved against.
#[derive(Clone, Copy, Debug)]
pub struct ResolveInputs<'a> {
    /// Aliases of the configuration: name → any other name.
    pub aliases: &'a BTreeMap<String, String>,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The cache.
    pub cache: &'a Cache,
    /// Servers known by name.
    pub presets: &'a Presets,
    /// Where an Ollama may run; `None` asks nobody.
    pub ollama_base: Option<&'a str>,
    /// For relative paths.
    pub working_directory: &'a Path,
}

/// A name means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Found nowhere.
    #[error(
        "unknown model `{name}`: no alias, file, cached model, Ollama tag, catalogue entry or server has that name{}",
        did_you_mean(suggestions)
    )]
    Unknown {
        /// What was typed.
        name: String,
        /// Known names that look like it.
        suggestions: Vec<String>,
    },
    /// The family is known, the tag is not.
    #[error(transparent)]
    UnknownTag(LookupError),
    /// A path that leads nowhere.
    #[error("model file {path} does not exist", path = .path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// `hf:` without owner and repository.
    #[error("`{name}` is not of the form hf:owner/repo[:quant]")]
    BadHubName {
        /// What was typed.
        name: String,
    },
    /// `hybrid:` without two different models.
    #[error("`{name}` is no hybrid: {why}")]
    BadHybrid {
        /// What was typed.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A prefix with nothing behind it.
    #[error("`{name}` names a provider and no model")]
    NoModel {
        /// What was typed.
        name: String,
    },
    /// What stands after the `@` is an address without its scheme.
    #[error("`{address}` in `{name}` is an address without http:// or https://")]
    NoScheme {
        /// What was typed.
        name: String,
        /// The address.
        address: String,
    },
    /// `ollama:` was asked for and none answers.
    #[error("no Ollama answers at {base}")]
    NoOllama {
        /// Its address.
        base: String,
    },
    /// Ollama runs and does not have the tag.
    #[error("the Ollama at {base} has no `{tag}`{}", did_you_mean(suggestions))]
    NoOllamaTag {
        /// Its address.
        base: String,
        /// What was asked for.
        tag: String,
        /// Tags that look like it.
        suggestions: Vec<String>,
    },
}

impl ResolveError {
    /// The next command.
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { name, suggestions } => match suggestions.first() {
                // Only the prefix was wrong: a server's model, which nobody pulls.
                Some(near) if near.split_once(':').map(|it| it.1) == name.split_once(':').map(|it| it.1) && near.contains(':') => {
                    format!("toolbench run {near}")
                }
                Some(near) => format!("toolbench model pull {near}"),
                None => "`toolbench model list` shows the catalogue and the servers known by name; a path ending in .gguf or hf:owner/repo:quant names any other model".to_owned(),
            },
            Self::UnknownTag(LookupError::UnknownTag { family, known, .. }) => {
                format!("toolbench model pull {family}:{}", known.first().map_or("TAG", String::as_str))
            }
            Self::UnknownTag(_) => "toolbench model list".to_owned(),
            Self::NoFile { .. } => "`toolbench model list` shows the models on this machine".to_owned(),
            Self::BadHybrid { .. } => "for example hybrid:qwen2.5-coder:0.5b+qwen2.5-coder:1.5b; a model with a + in its name needs an alias in toolbench.toml".to_owned(),
            Self::BadHubName { .. } => "for example hf:Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q4_K_M".to_owned(),
            Self::NoModel { name } => match name.trim_end_matches(':') {
                "scripted" => "for example scripted:fixtures/replies.yaml".to_owned(),
                preset => format!("for example {preset}:MODEL or {preset}:MODEL@http://HOST:PORT"),
            },
            Self::NoOllama { .. } => "start it with `ollama serve`; another address stands in OLLAMA_HOST or after the tag: ollama:TAG@http://HOST:PORT".to_owned(),
            Self::NoOllamaTag { tag, base, .. } => format!("`toolbench model pull ollama:{tag}@{base}`, or the same command with `--pull`"),
            Self::NoScheme { name, address } => {
                let before = name.strip_suffix(address.as_str()).unwrap_or(name);
                format!("write {before}http://{address} (or https://)")
            }
        }
    }
}

/// Resolves a name. Asks Ollama at most once, for at most 300 ms.
pub async fn resolve(name: &str, inputs: &ResolveInputs<'_>) -> Result<Resolved, ResolveError> {
    let (target, prefix) = match inputs.aliases.get(name) {
        Some(target) => (
            target.as_str(),
            format!("`{name}` is configured as `{target}`; "),
        ),
        None => (name, String::new()),
    };
    let (resolution, sentence) = resolve_target(target, inputs).await?;
    let sentence = format!("{prefix}`{target}` {sentence}");
    Ok(Resolved {
        name: name.to_owned(),
        resolution,
        sentence,
    })
}

async fn resolve_target(
    name: &str,
    inputs: &ResolveInputs<'_>,
) -> Result<(Resolution, String), ResolveError> {
    match split_provider(name) {
        (None, _) if let Some(found) = preset(name, inputs).await => found,
        (Some(_), "") => Err(ResolveError::NoModel {
            name: name.to_owned(),
        }),
        (Some("scripted"), path) => scripted(path, inputs),
        (Some("hybrid"), legs) => hybrid(name, legs),
        (Some("ollama"), tag) => named_ollama(tag, inputs).await,
        (Some("command"), command) => Ok((
            Resolution::Command {
                command: command.to_owned(),
            },
            format!("is generated by the command {command}"),
        )),
        // `engine:` means weights that the linked engine runs: everything but Ollama.
        (Some(_), rest) => match on_this_machine(rest, inputs)? {
            Some(found) => Ok(found),
            None => in_catalogue(rest, inputs, &[]),
        },
        (None, name) => {
            if let Some(found) = on_this_machine(name, inputs)? {
                return Ok(found);
            }
            match served_tag(name, inputs, OllamaRuns::Either).await {
                (_, Some(found)) => Ok(found),
                (tags, None) => in_catalogue(name, inputs, &tags),
            }
        }
    }
}

/// `PRESET:MODEL` or `PRESET:MODEL@URL`; `None` where the name is not of that form, or means
/// something on this machine or in the catalogue.
async fn preset(
    name: &str,
    inputs: &ResolveInputs<'_>,
) -> Option<Result<(Resolution, String), ResolveError>> {
    let (head, rest) = name.split_once(':')?;
    let preset = inputs.presets.find(head)?;
    if shares_its_name(head, inputs) && split_address(rest).1.is_none() {
        let here = on_this_machine(name, inputs).is_ok_and(|found| found.is_some());
        if here || inputs.catalogue.lookup(name).is_ok() {
            return None;
        }
        let tags = match inputs.ollama_base {
            Some(base) => ollama::tags(base, OLLAMA_LIMIT).await.unwrap_or_default(),
            None => Vec::new(),
        };
        if tags.iter().any(|tag| ollama::is_called(tag, name)) {
            return None;
        }
    }
    let (model, base_url) = split_address(rest);
    if base_url.is_none()
        && let Some(address) = bare_address(model)
    {
        return Some(Err(ResolveError::NoScheme {
            name: name.to_owned(),
            address: address.to_owned(),
        }));
    }
    if model.is_empty() && !preset.llama_pages {
        return Some(Err(ResolveError::NoModel {
            name: name.to_owned(),
        }));
    }
    let what = if model.is_empty() {
        "the model".to_owned()
    } else {
        format!("the model {model}")
    };
    let sentence = match base_url {
        Some(url) => format!("is {what} of {} at {url}", preset.title),
        None => format!("is {what} of {}", preset.title),
    };
    let resolution = Resolution::Served {
        preset: preset.name.clone(),
        model: model.to_owned(),
        base_url: base_url.map(str::to_owned),
    };
    Some(Ok((resolution, sentence)))
}

/// A family of the catalogue is called like a preset.
fn shares_its_name(head: &str, inputs: &ResolveInputs<'_>) -> bool {
    !matches!(
        inputs.catalogue.lookup(head),
        Err(LookupError::UnknownModel { .. })
    )
}

/// The known provider before a colon, and the rest.
fn split_provider(name: &str) -> (Option<&str>, &str) {
    match name.split_once(':') {
        Some((head, rest)) if PROVIDERS.contains(&head) => (Some(head), rest),
        _ => (None, name),
    }
}

/// `hybrid:A+B[+C]`.
fn hybrid(name: &str, legs: &str) -> Result<(Resolution, String), ResolveError> {
    let legs: Vec<String> = legs.split('+').map(|leg| leg.trim().to_owned()).collect();
    let twice = || {
        let mut seen = legs.iter().enumerate();
        seen.find(|(index, leg)| legs[..*index].contains(leg))
    };
    let why = if legs.iter().any(String::is_empty) || legs.len() < 2 {
        "it takes two or more models with a + between them".to_owned()
    } else if let Some((_, leg)) = twice() {
        format!("it names `{leg}` twice")
    } else {
        let sentence = format!("asks {}", legs.join(", then "));
        return Ok((Resolution::Hybrid { legs }, sentence));
    };
    Err(ResolveError::BadHybrid {
        name: name.to_owned(),
        why,
    })
}

fn scripted(path: &str, inputs: &ResolveInputs<'_>) -> Result<(Resolution, String), ResolveError> {
    let path = inputs.working_directory.join(path);
    if !path.is_file() {
        return Err(ResolveError::NoFile { path });
    }
    let sentence = format!("is scripted by {}", path.display());
    Ok((Resolution::Scripted { path }, sentence))
}

async fn named_ollama(
    tag: &str,
    inputs: &ResolveInputs<'_>,
) -> Result<(Resolution, String), ResolveError> {
    let (tag, address) = split_address(tag);
    if address.is_none()
        && let Some(bare) = bare_address(tag)
    {
        return Err(ResolveError::NoScheme {
            name: format!("ollama:{tag}"),
            address: bare.to_owned(),
        });
    }
    let base = address.or(inputs.ollama_base);
    let base = base.unwrap_or(ollama::DEFAULT_BASE);
    let Some(tags) = ollama::tags(base, OLLAMA_LIMIT).await else {
        return Err(ResolveError::NoOllama {
            base: base.to_owned(),
        });
    };
    match tags.iter().find(|known| ollama::is_called(known, tag)) {
        Some(tag) => Ok(served(tag, base, OllamaRuns::Ollama)),
        None => Err(ResolveError::NoOllamaTag {
            base: base.to_owned(),
            tag: tag.to_owned(),
            suggestions: suggest(tag, tags.iter().map(String::as_str)),
        }),
    }
}

/// The tags of a running Ollama, and the one of this name.
async fn served_tag(
    name: &str,
    inputs: &ResolveInputs<'_>,
    runs: OllamaRuns,
) -> (Vec<String>, Option<(Resolution, String)>) {
    let Some(base) = inputs.ollama_base else {
        return (Vec::new(), None);
    };
    let tags = ollama::tags(base, OLLAMA_LIMIT).await.unwrap_or_default();
    let found = tags.iter().find(|tag| ollama::is_called(tag, name));
    let found = found.map(|tag| served(tag, base, runs));
    (tags, found)
}

fn served(tag: &str, base: &str, runs: OllamaRuns) -> (Resolution, String) {
    let resolution = Resolution::Ollama {
        tag: tag.to_owned(),
        base: base.to_owned(),
        runs,
    };
    (
        resolution,
        format!("is served by the Ollama at {base} as {tag}"),
    )
}

/// A path, an `hf:` name, or a cached model.
fn on_this_machine(
    name: &str,
    inputs: &ResolveInputs<'_>,
) -> Result<Option<(Resolution, String)>, ResolveError> {
    let path = inputs.working_directory.join(name);
    if name.to_lowercase().ends_with(".gguf") && !name.starts_with("hf:") {
        if !path.is_file() {
            return Err(ResolveError::NoFile { path });
        }
        let sentence = format!("is the file {}", path.display());
        return Ok(Some((
            Resolution::GgufFile {
                path,
                how: Found::Path,
            },
            sentence,
        )));
    }
    if let Some(model) = cached(name, inputs) {
        let sentence = format!(
            "is {}, cached at {} (from {})",
            model.name,
            model.path.display(),
            model.source
        );
        let path = model.path.clone();
        return Ok(Some((
            Resolution::GgufFile {
                path,
                how: Found::Cached(Box::new(model)),
            },
            sentence,
        )));
    }
    let Some(hub) = name.strip_prefix("hf:") else {
        return Ok(None);
    };
    let (repo, quant) = hub
        .split_once(':')
        .map_or((hub, None), |(repo, quant)| (repo, Some(quant)));
    if repo.split('/').filter(|part| !part.is_empty()).count() != 2 || quant == Some("") {
        return Err(ResolveError::BadHubName {
            name: name.to_owned(),
        });
    }
    let sentence = format!("is on the Hub at {repo}, not yet on this machine");
    let (repo, quant) = (repo.to_owned(), quant.map(str::to_owned));
    Ok(Some((Resolution::NeedsHub { repo, quant }, sentence)))
}

/// A cached model by its canonical name, or by the name it has in the cache.
fn cached(name: &str, inputs: &ResolveInputs<'_>) -> Option<CachedModel> {
    let entry = inputs.catalogue.lookup(name).ok();
    entry
        .and_then(|entry| inputs.cache.find(&entry.name))
        .or_else(|| inputs.cache.find(name))
}

/// The catalogue's entry, or the error that ends the search.
fn in_catalogue(
    name: &str,
    inputs: &ResolveInputs<'_>,
    ollama_tags: &[String],
) -> Result<(Resolution, String), ResolveError> {
    match inputs.catalogue.lookup(name) {
        Ok(entry) => {
            let sentence = format!(
                "is {} of the catalogue ({}, {}, {}), not yet on this machine",
                entry.name, entry.title, entry.quant, entry.licence
            );
            Ok((
                Resolution::NeedsPull {
                    entry: Box::new(entry),
                },
                sentence,
            ))
        }
        Err(error @ LookupError::UnknownTag { .. }) => Err(ResolveError::UnknownTag(error)),
        Err(LookupError::UnknownModel { .. }) => {
            let mut known = inputs.catalogue.names();
            known.extend(inputs.aliases.keys().cloned());
            known.extend(presets_like(name, inputs));
            known.extend(inputs.cache.list().into_iter().map(|model| model.name));
            known.extend_from_slice(ollama_tags);
            known.sort();
            known.dedup();
            let suggestions = suggest(name, known.iter().map(String::as_str));
            Err(ResolveError::Unknown {
                name: name.to_owned(),
                suggestions,
            })
        }
    }
}

/// `PRESET:MODEL` for each preset, where the name has that form.
fn presets_like(name: &str, inputs: &ResolveInputs<'_>) -> Vec<String> {
    let Some((_, rest)) = name.split_once(':') else {
        return Vec::new();
    };
    let names = inputs.presets.all().iter().map(|preset| &preset.name);
    names.map(|preset| format!("{preset}:{rest}")).collect()
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
