//! A model on a server: preset and configuration to an endpoint, the endpoint to providers and to
//! what the model is known by in the plan.

use super::super::{App, CliError, Status};
use super::models::{RunModel, alias};
use crate::cli::store_access::{Store, preset_error};
use crate::config::{ModelAlias, Settings};
use crate::model;
use crate::plan::contexts;
use crate::store::EndpointWishes;
use crate::types::endpoint::Endpoint;
use crate::types::{ModelFacts, ProviderError};

/// A resolved name of a served model.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) sentence: String,
    pub(super) preset: String,
    pub(super) model: String,
    pub(super) base_url: Option<String>,
}

/// Asks the server once what it serves, so that a plan names it, and makes a provider for each
/// context of the variants.
pub(super) async fn model(
    app: &App,
    settings: &Settings,
    store: &Store,
    named: Named,
    dry_run: bool,
) -> Result<RunModel, CliError> {
    let mut wishes = match alias(app, &named.name) {
        Some(alias) => wishes(app, &named.name, alias)?,
        None => EndpointWishes::default(),
    };
    if named.base_url.is_some() {
        wishes.base_url.clone_from(&named.base_url);
    }
    let endpoints = contexts(&settings.variants)
        .into_iter()
        .map(|context_tokens| endpoint(app, store, &named, &wishes, context_tokens))
        .collect::<Result<Vec<_>, _>>()?;
    let Some(first) = endpoints.first().cloned() else {
        return Err(CliError::usage("no variant names a context"));
    };
    let remote = first.remote;
    let where_at = format!("{} ({})", first.base_url, first.preset);
    // A dry run sends nothing.
    let (identity, said) = if dry_run {
        (identity(&first, None), format!("; {where_at} is not asked"))
    } else {
        match describe(first.clone()).await {
            Ok(facts) => (
                identity(&first, Some(&facts)),
                format!("; {where_at} reports `{}`", facts.reported_name),
            ),
            Err(error) => return Err(unusable(store, &named, &error)),
        }
    };
    let providers = endpoints
        .into_iter()
        .map(model::served)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(store, &named, &error))?;
    Ok(RunModel {
        resolution: format!("{}{said}", named.sentence),
        name: named.name,
        identity,
        sha256: None,
        remote,
        probed: true,
        providers,
        hybrid: None,
    })
}

/// The first word of a server: asked by a client of its own, which lives as long as this question.
async fn describe(mut endpoint: Endpoint) -> Result<ModelFacts, ProviderError> {
    // Who waits for the first word wants to hear soon that nobody answers.
    endpoint.retries = endpoint.retries.min(1);
    let provider = model::served(endpoint)?;
    let facts = provider.describe().await;
    provider.close().await;
    facts
}

fn unusable(store: &Store, named: &Named, error: &ProviderError) -> CliError {
    let start = store.presets.find(&named.preset);
    let start = start.and_then(|preset| preset.start.as_deref());
    let hint = match (error, start) {
        (ProviderError::Network { .. }, Some(start)) => format!("start it: `{start}`"),
        (ProviderError::Network { .. } | ProviderError::Unanswered { .. }, None) => {
            "check the address and the network; NAME:MODEL@URL names another one".to_owned()
        }
        (ProviderError::Unauthorised { .. }, _) => {
            "export the variable, or name another with `key-env` in toolbench.toml".to_owned()
        }
        _ => {
            "`toolbench model list` shows the servers known by name and their addresses".to_owned()
        }
    };
    CliError::usage(format!("model `{}` cannot be used: {error}", named.name))
        .kind("model", Status::Usage)
        .hint(hint)
}

fn endpoint(
    app: &App,
    store: &Store,
    named: &Named,
    wishes: &EndpointWishes,
    context_tokens: u32,
) -> Result<Endpoint, CliError> {
    let preset = store.presets.find(&named.preset).ok_or_else(|| {
        CliError::usage(format!("there is no preset `{}`", named.preset))
            .kind("model", Status::Usage)
    })?;
    preset
        .endpoint(&named.model, wishes, context_tokens, &app.env.variables)
        .map_err(|error| preset_error(&error))
}

/// What the configuration changes, with the files that it names.
pub(super) fn wishes(
    app: &App,
    name: &str,
    alias: &ModelAlias,
) -> Result<EndpointWishes, CliError> {
    let read = |file: &std::path::Path, what: &str| {
        let path = app.env.directory.join(file);
        std::fs::read(&path).map_err(|error| {
            CliError::usage(format!(
                "model `{name}`: cannot read its {what} {}: {error}",
                path.display()
            ))
            .kind("model", Status::Usage)
        })
    };
    let template = alias.chat_template.as_deref();
    let template = template
        .map(|file| read(file, "chat template"))
        .transpose()?;
    Ok(EndpointWishes {
        base_url: alias.base_url.clone(),
        key_env: alias.key_env.clone(),
        headers: alias.headers.clone(),
        wires: alias.chosen_wires(),
        mechanisms: alias.mechanisms.clone(),
        schema_field: alias.schema_field,
        refuses: alias.refuses.clone(),
        renames: alias.renames.clone(),
        context_tokens: alias.context,
        retries: alias.retries,
        authority: alias
            .ca
            .as_deref()
            .map(|file| read(file, "certificates"))
            .transpose()?,
        chat_template: template.map(|text| String::from_utf8_lossy(&text).into_owned()),
    })
}

/// What a served model is known by: where it is, what it is called, how it is asked, and what the
/// server said of it. Never a key.
fn identity(endpoint: &Endpoint, facts: Option<&ModelFacts>) -> String {
    let mut parts = vec![
        format!(
            "{}:{}@{}",
            endpoint.preset, endpoint.model, endpoint.base_url
        ),
        format!("{:?} {:?}", endpoint.protocol, endpoint.schema_field),
    ];
    let lists = (
        &endpoint.refuses,
        &endpoint.renames,
        &endpoint.chat_template,
    );
    parts.push(
        crate::types::ContentHash::of_value(&lists)
            .short()
            .to_owned(),
    );
    if let Some(facts) = facts {
        parts.push(format!(
            "reports {} {} {} {:?} {:?}",
            facts.reported_name,
            facts.engine_build,
            facts.context_tokens,
            facts.wires,
            facts.mechanisms
        ));
        let template = facts.chat_template.as_deref().unwrap_or_default();
        parts.push(crate::types::ContentHash::of_bytes(template.as_bytes()).0);
    }
    parts.join("; ")
}
