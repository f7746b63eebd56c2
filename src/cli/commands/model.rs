//! `toolbench model`: list, pull, show, rm.

use std::path::{Path, PathBuf};

use super::{App, CliError, Status, print, print_json};
use crate::cli::args::{ListFormat, ModelCommand};
use crate::cli::flags::SettingFlags;
use crate::cli::store_access::{Store, block_on, pull_error};
use crate::dialect::Template;
use crate::store::PullTarget;
use crate::store::presets::split_address;
use crate::types::{ModelFacts, did_you_mean};
use crate::weights::{self, ContextShape, KvCacheType};

/// Runs a model command.
pub(super) fn model(app: &App, command: ModelCommand) -> Result<Status, CliError> {
    let resolved = app.resolve(&SettingFlags::default())?;
    let store = Store::open(app, &resolved)?;
    match command {
        ModelCommand::List { cached, format } => list(&store, cached, format),
        ModelCommand::Pull {
            names,
            quant,
            alias,
            sha256,
        } => {
            let wish = Wish {
                quant,
                alias,
                sha256,
            };
            block_on(async {
                for name in &names {
                    pull(app, &store, name, &wish).await?;
                }
                Ok(Status::Complete)
            })?
        }
        ModelCommand::Show {
            name,
            context,
            kv_cache_type,
            format,
        } => show(&store, &name, context, kv_cache_type.as_deref(), format),
        ModelCommand::Rm { names } => remove(&store, &names),
    }
}

fn list(store: &Store, cached_only: bool, format: ListFormat) -> Result<Status, CliError> {
    let cached = store.cache.list();
    let entries = if cached_only {
        Vec::new()
    } else {
        store.catalogue.entries()
    };
    if format == ListFormat::Json {
        let presets = if cached_only {
            &[]
        } else {
            store.presets.all()
        };
        print_json(
            &serde_json::json!({"cached": cached, "catalogue": entries, "presets": presets}),
        )?;
        return Ok(Status::Complete);
    }
    let mut out = String::from("On this machine:\n");
    for model in &cached {
        out.push_str(&format!(
            "  {:30} {:>10}  from {}\n",
            model.name,
            bytes(Some(model.bytes)),
            model.source
        ));
    }
    if cached.is_empty() {
        out.push_str("  nothing yet; `toolbench model pull smollm2` fetches 98 MB\n");
    }
    if !entries.is_empty() {
        out.push_str(
            "\nCatalogue (`toolbench model pull NAME`; ? = size and hash not checked by us):\n",
        );
        for entry in &entries {
            let size = match entry.bytes {
                Some(size) => bytes(Some(size)),
                None => "?".to_owned(),
            };
            out.push_str(&format!(
                "  {:30} {:>10}  {:>6} {:8} {:>7} context, {}\n",
                entry.name,
                size,
                entry.parameters,
                entry.quant,
                entry.context_tokens,
                entry.licence
            ));
        }
        out.push_str(
            "\nServers known by name (`toolbench run NAME:MODEL`, or NAME:MODEL@URL for another address):\n",
        );
        for preset in store.presets.all() {
            let address = preset.base_url.as_deref().unwrap_or("@URL is needed");
            let key = preset.key_env.as_deref();
            let key = key.map_or_else(String::new, |name| format!("  key: {name}"));
            out.push_str(&format!("  {:30} {address}{key}\n", preset.name));
        }
    }
    print(&out)?;
    Ok(Status::Complete)
}

/// What the flags of `pull` ask for beside the name.
struct Wish {
    quant: Option<String>,
    alias: Option<String>,
    sha256: Option<String>,
}

async fn pull(app: &App, store: &Store, name: &str, wish: &Wish) -> Result<(), CliError> {
    if let Some(tag) = name.strip_prefix("ollama:") {
        let stop = &app.interrupts().stop;
        let (tag, address) = split_address(tag);
        let base = address.unwrap_or(&store.ollama_base);
        return store.ollama_pull(base, tag, stop).await;
    }
    let target = target(store, name, wish)?;
    let pulled = store.pull(&target, &app.interrupts().stop).await?;
    let verb = if pulled.was_cached {
        "is there already"
    } else {
        "pulled"
    };
    app.ui.say(&format!(
        "{} {verb}: {} ({}, sha256 {}, from {})",
        pulled.model.name,
        pulled.model.path.display(),
        bytes(Some(pulled.model.bytes)),
        pulled.model.sha256.get(..12).unwrap_or("unknown"),
        pulled.model.source
    ));
    Ok(())
}

fn target(store: &Store, name: &str, wish: &Wish) -> Result<PullTarget, CliError> {
    let own_name = || {
        wish.alias.clone().unwrap_or_else(|| {
            let file = name.rsplit('/').next().unwrap_or(name);
            file.trim_end_matches(".gguf").to_owned()
        })
    };
    if name.starts_with("http://") || name.starts_with("https://") {
        return Ok(PullTarget::Url {
            name: own_name(),
            url: name.to_owned(),
            sha256: wish.sha256.clone(),
        });
    }
    if let Some(rest) = name.strip_prefix("hf:") {
        let (repo, quant) = match rest.split_once(':') {
            Some((repo, quant)) => (repo, Some(quant.to_owned())),
            None => (rest, wish.quant.clone()),
        };
        return Ok(PullTarget::Hub {
            repo: repo.to_owned(),
            quant,
        });
    }
    let path = Path::new(name);
    if path
        .extension()
        .is_some_and(|extension| extension == "gguf")
    {
        return Ok(PullTarget::Path {
            name: own_name(),
            path: path.to_path_buf(),
            copy: false,
        });
    }
    let wanted = wish
        .quant
        .as_ref()
        .and_then(|quant| crate::store::catalogue::with_quant(name, quant))
        .unwrap_or_else(|| name.to_owned());
    let entry = store
        .catalogue
        .lookup(&wanted)
        .map_err(|error| pull_error(error.into()))?;
    Ok(PullTarget::Entry(Box::new(entry)))
}

fn show(
    store: &Store,
    name: &str,
    context: u32,
    kv_cache_type: Option<&str>,
    format: ListFormat,
) -> Result<Status, CliError> {
    let path = local_path(store, name)?;
    let header = weights::gguf::read_header(&path)
        .map_err(|error| CliError::usage(error.to_string()).kind("model", Status::Usage))?;
    let kv = match kv_cache_type {
        None => KvCacheType::F16,
        Some(text) => KvCacheType::from_name(text).ok_or_else(|| {
            CliError::usage(format!("unknown cache type `{text}`"))
                .hint("for example f16, q8_0 or q4_0")
        })?,
    };
    let estimate = weights::memory::estimate(
        &header,
        ContextShape {
            context_tokens: context,
            kv_cache_type: kv,
            flash_attention: true,
        },
    );
    let facts = template_facts(&header);
    let template = match (&header.chat_template, Template::probe(&facts)) {
        (None, _) => "none: a base model, text dialects with few-shot examples".to_owned(),
        (Some(_), Ok(template)) => {
            let traits = template.traits();
            format!(
                "{}, {}",
                traits.family,
                if traits.has_tools {
                    "with tools"
                } else {
                    "without tools"
                }
            )
        }
        (Some(_), Err(error)) => format!("cannot be used: {error}"),
    };
    if format == ListFormat::Json {
        print_json(&serde_json::json!({
            "path": path, "header": header, "template": template, "context_tokens": context,
            "memory": estimate, "memory_bytes": estimate.total_bytes(),
        }))?;
        return Ok(Status::Complete);
    }
    let beyond = header
        .context_length_tokens
        .filter(|trained| *trained < context);
    let rows = [
        ("file", path.display().to_string()),
        (
            "name",
            header.name.clone().unwrap_or_else(|| "-".to_owned()),
        ),
        ("architecture", header.architecture.clone()),
        (
            "quantisation",
            header
                .quantisation
                .clone()
                .unwrap_or_else(|| "-".to_owned()),
        ),
        ("parameters", header.parameters.to_string()),
        (
            "trained context",
            header
                .context_length_tokens
                .map_or_else(|| "-".to_owned(), |n| n.to_string()),
        ),
        ("chat template", template),
        (
            "memory",
            format!(
                "{} at a context of {context}, predicted: weights {}, cache {}, buffers {}, tables and reserve {}",
                bytes(Some(estimate.total_bytes())),
                bytes(Some(estimate.weights_bytes)),
                bytes(Some(estimate.kv_cache_bytes)),
                bytes(Some(estimate.compute_bytes)),
                bytes(Some(estimate.reserve_bytes)),
            ),
        ),
    ];
    let mut out = String::new();
    if let Some(trained) = beyond {
        out.push_str(&format!("warning: the model was trained for {trained} tokens, a context of {context} goes beyond\n"));
    }
    for (label, value) in rows {
        out.push_str(&format!("{label:16} {value}\n"));
    }
    print(&out)?;
    Ok(Status::Complete)
}

/// What a template needs to know of the weights, without loading them.
pub(super) fn template_facts(header: &weights::Header) -> ModelFacts {
    ModelFacts {
        chat_template: header.chat_template.clone(),
        bos_token: header.bos_token.clone().unwrap_or_default(),
        eos_token: header.eos_token.clone().unwrap_or_default(),
        ..ModelFacts::default()
    }
}

/// A file by path, or a cached model by name.
pub(super) fn local_path(store: &Store, name: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(name);
    if path
        .extension()
        .is_some_and(|extension| extension == "gguf")
    {
        return Ok(path.to_path_buf());
    }
    let canonical = store
        .catalogue
        .lookup(name)
        .map_or_else(|_| name.to_owned(), |entry| entry.name);
    if let Some(model) = store
        .cache
        .find(name)
        .or_else(|| store.cache.find(&canonical))
    {
        return Ok(model.path);
    }
    let error = CliError::usage(format!("model `{name}` is not on this machine"))
        .kind("model", Status::Usage);
    let names = store.catalogue.names();
    Err(match store.catalogue.lookup(name) {
        Ok(entry) => error.hint(format!("`toolbench model pull {}` fetches it", entry.name)),
        Err(_) => match did_you_mean(name, names.iter().map(String::as_str)) {
            Some(near) => error.hint(near),
            None => error.hint("`toolbench model list` shows which there are"),
        },
    })
}

fn remove(store: &Store, names: &[String]) -> Result<Status, CliError> {
    for name in names {
        let canonical = store
            .catalogue
            .lookup(name)
            .map_or_else(|_| name.clone(), |entry| entry.name);
        let freed = match store.cache.remove(&canonical).map_err(pull_error)? {
            Some(freed) => Some(freed),
            None => store.cache.remove(name).map_err(pull_error)?,
        };
        match freed {
            Some(freed) => print(&format!("removed {name} ({} freed)\n", bytes(Some(freed))))?,
            None => {
                return Err(
                    CliError::usage(format!("model `{name}` is not in the cache"))
                        .hint("`toolbench model list --cached` shows what is"),
                );
            }
        }
    }
    Ok(Status::Complete)
}

/// Bytes for people, in decimal units as disks are sold.
fn bytes(count: Option<u64>) -> String {
    match count {
        None => "-".to_owned(),
        Some(count) if count >= 1_000_000_000 => format!("{:.2} GB", count as f64 / 1e9),
        Some(count) => format!("{:.0} MB", count as f64 / 1e6),
    }
}
