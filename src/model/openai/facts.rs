//! What a server of the family says of itself.
//!
//! Data in: `GET /models`, and of llama.cpp `/props`, `/tokenize` and `/health`. Data out: facts of the
//! model. Invariants: a page that is not there says nothing and is no fault; a model that a server does
//! not list is refused with the near names; raw text is offered only where the chat template is known,
//! or where nothing else is.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Described, OpenAiProvider, QUICK_MS, unknown_model};
use crate::model::http::{Broken, Limits};
use crate::types::{ModelFacts, ProviderError, Wire};

/// Asks.
pub(super) async fn describe(provider: &OpenAiProvider) -> Result<Described, ProviderError> {
    let endpoint = &provider.endpoint;
    let models = page(provider, &format!("{}/models", provider.api)).await?;
    let listed = models.as_ref().map(names).unwrap_or_default();
    let own = models
        .as_ref()
        .and_then(|models| entry(models, &endpoint.model));
    let model = chosen(provider, &listed)?;
    let own = own.or_else(|| models.as_ref().and_then(|models| entry(models, &model)));
    let mut facts = ModelFacts {
        provider: endpoint.preset.clone(),
        reported_name: own
            .and_then(|own| own.get("id")?.as_str())
            .unwrap_or(&model)
            .to_owned(),
        context_tokens: endpoint.context_tokens,
        chat_template: endpoint.chat_template.clone(),
        mechanisms: endpoint.mechanisms.clone(),
        endpoint: Some(endpoint.base_url.clone()),
        remote: endpoint.remote,
        refuses: endpoint.refuses.clone(),
        ..ModelFacts::default()
    };
    if let Some(own) = own {
        let number = |pointer: &str| own.pointer(pointer).and_then(Value::as_u64);
        let context = number("/max_model_len").or_else(|| number("/context_length"));
        if let Some(context) = context.and_then(|context| u32::try_from(context).ok()) {
            facts.context_tokens = context;
        }
        facts.trained_context_tokens =
            number("/meta/n_ctx_train").and_then(|tokens| u32::try_from(tokens).ok());
        facts.parameters = number("/meta/n_params");
        facts.file_bytes = number("/meta/size");
    }
    if endpoint.llama_pages {
        llama_pages(provider, &mut facts).await?;
    }
    let template = facts.chat_template.is_some();
    facts.wires = endpoint
        .wires
        .iter()
        .copied()
        .filter(|wire| *wire != Wire::RawText || template || endpoint.wires.len() == 1)
        .collect();
    Ok(Described {
        facts,
        model,
        listed,
    })
}

/// Whether it would answer now, and still serves what it served.
pub(super) async fn health(provider: &OpenAiProvider) -> Result<(), ProviderError> {
    if provider.endpoint.llama_pages {
        page(provider, "/health").await?;
    }
    let models = page(provider, &format!("{}/models", provider.api)).await?;
    let Some(known) = provider.known() else {
        return Ok(());
    };
    let listed = models.as_ref().map(names).unwrap_or_default();
    if !listed.is_empty() && !known.listed.is_empty() && !names_it(&listed, &known.model) {
        return Err(ProviderError::Rejected {
            detail: format!(
                "the server at {} no longer serves `{}`; it serves `{}` now",
                provider.endpoint.base_url,
                known.model,
                listed.join("`, `")
            ),
        });
    }
    Ok(())
}

/// A page's JSON; `None` where the server has no such page.
async fn page(provider: &OpenAiProvider, path: &str) -> Result<Option<Value>, ProviderError> {
    let cancel = CancellationToken::new();
    let limits = Limits {
        limit_ms: QUICK_MS,
        cancel: &cancel,
    };
    let answer = match provider.client.get(path, limits).await {
        Ok(answer) => answer,
        Err(ProviderError::Rejected { detail })
            if ["404", "405", "501"]
                .iter()
                .any(|status| detail.starts_with(status)) =>
        {
            return Ok(None);
        }
        Err(ProviderError::Server { detail }) if detail.starts_with("501") => return Ok(None),
        Err(error) => return Err(error),
    };
    match answer.json().await {
        Ok((value, _)) => Ok(Some(value)),
        Err(Broken::Failed(error)) => Err(error),
        Err(Broken::Cancelled) => Err(ProviderError::Cancelled),
        Err(Broken::TimeLimit) => Err(ProviderError::Unanswered { limit_ms: QUICK_MS }),
    }
}

/// The names that a server lists.
fn names(models: &Value) -> Vec<String> {
    let list = models.get("data").or_else(|| models.get("models"));
    let list = list.and_then(Value::as_array).or_else(|| models.as_array());
    let list = list.map(Vec::as_slice).unwrap_or_default();
    list.iter()
        .filter_map(|model| model.get("id").or_else(|| model.get("name"))?.as_str())
        .map(str::to_owned)
        .collect()
}

fn entry<'a>(models: &'a Value, model: &str) -> Option<&'a Value> {
    let list = models.get("data")?.as_array()?;
    let called = |entry: &&Value| entry.get("id").and_then(Value::as_str) == Some(model);
    let only = match list.as_slice() {
        [only] if model.is_empty() => Some(only),
        _ => None,
    };
    list.iter().find(called).or(only)
}

/// A listed name is meant by this one: itself, the same with `:latest`, or with a suffix that routes
/// (`model:free`, `model:provider`).
fn names_it(listed: &[String], model: &str) -> bool {
    let base = model.split_once(':').map_or(model, |(base, _)| base);
    listed
        .iter()
        .any(|name| name == model || name == base || name.strip_suffix(":latest") == Some(model))
}

/// The name to send. llama.cpp serves one model whatever it is called.
fn chosen(provider: &OpenAiProvider, listed: &[String]) -> Result<String, ProviderError> {
    let endpoint = &provider.endpoint;
    let model = &endpoint.model;
    match listed {
        _ if listed.is_empty() || names_it(listed, model) => Ok(model.clone()),
        [only] if endpoint.llama_pages => Ok(only.clone()),
        _ => Err(unknown_model(endpoint, listed, None)),
    }
}

/// llama.cpp's own pages: context, template, special tokens, build.
async fn llama_pages(
    provider: &OpenAiProvider,
    facts: &mut ModelFacts,
) -> Result<(), ProviderError> {
    let Some(props) = page(provider, "/props").await? else {
        return Ok(());
    };
    let text = |key: &str| {
        let value = props.get(key).and_then(Value::as_str);
        value.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let context = props.pointer("/default_generation_settings/n_ctx");
    let context = context
        .or_else(|| props.get("n_ctx"))
        .and_then(Value::as_u64);
    if let Some(context) = context.and_then(|context| u32::try_from(context).ok()) {
        facts.context_tokens = context;
    }
    if facts.chat_template.is_none() {
        facts.chat_template = text("chat_template");
    }
    facts.bos_token = text("bos_token").unwrap_or_default();
    facts.eos_token = text("eos_token").unwrap_or_default();
    facts.engine_build = text("build_info").unwrap_or_default();
    facts.adds_bos = adds_bos(provider).await?;
    Ok(())
}

/// The server puts a begin-of-sequence token before every prompt: an empty one is not empty then.
async fn adds_bos(provider: &OpenAiProvider) -> Result<bool, ProviderError> {
    let cancel = CancellationToken::new();
    let limits = Limits {
        limit_ms: QUICK_MS,
        cancel: &cancel,
    };
    let body = json!({"content": "", "add_special": true});
    let answer = match provider.client.post("/tokenize", &body, limits).await {
        Ok(answer) => answer,
        Err(ProviderError::Rejected { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let tokens = answer.json().await.ok();
    Ok(tokens.is_some_and(|(value, _)| {
        let list = value.get("tokens").and_then(Value::as_array);
        list.is_some_and(|list| !list.is_empty())
    }))
}
