//! Cassettes before the models of a run: recorded, replayed, or both.

use std::sync::Arc;

use super::super::{App, CliError, Status};
use super::models::RunModel;
use crate::config::Settings;
use crate::model::Provider;
use crate::model::cassette::{Cassette, CassetteMode, CassetteModel, CassetteProvider};
use crate::plan::contexts;
use crate::types::ProviderError;

/// The run's cassette, if it has one.
pub(super) fn open(app: &App, settings: &Settings) -> Result<Option<Arc<Cassette>>, CliError> {
    let Some(file) = &settings.cassette else {
        return Ok(None);
    };
    let mode: CassetteMode = settings
        .cassette_mode
        .parse()
        .map_err(|message: String| CliError::usage(message))?;
    let path = app.env.directory.join(file);
    Cassette::open(&path, &file.display().to_string(), mode)
        .map(Some)
        .map_err(|error| CliError::usage(error.to_string()).kind("cassette", Status::Usage))
}

/// A model whose replies come from the file alone: nobody is asked what its name means.
pub(super) fn replayed(
    cassette: &Arc<Cassette>,
    settings: &Settings,
    name: &str,
) -> Result<RunModel, CliError> {
    let refused =
        |error: ProviderError| CliError::usage(error.to_string()).kind("cassette", Status::Usage);
    let mut providers: Vec<Arc<dyn Provider>> = Vec::new();
    let mut identity = String::new();
    let (mut remote, mut probed) = (false, false);
    for context_tokens in contexts(&settings.variants) {
        let model = cassette
            .recorded_as(name, context_tokens)
            .map_err(refused)?;
        let facts = cassette.facts(&model);
        remote = facts.as_ref().is_some_and(|facts| facts.remote);
        probed = facts.is_some_and(|facts| facts.endpoint.is_some());
        identity.clone_from(&model.identity);
        providers.push(Arc::new(CassetteProvider::new(
            Arc::clone(cassette),
            model,
            None,
        )));
    }
    Ok(RunModel {
        hybrid: None,
        name: name.to_owned(),
        resolution: format!("`{name}` is replayed; recorded was {identity}"),
        identity,
        sha256: None,
        remote,
        probed,
        providers,
    })
}

/// Puts the cassette before a model's providers.
pub(super) fn before(
    cassette: &Arc<Cassette>,
    settings: &Settings,
    mut model: RunModel,
) -> RunModel {
    let providers = contexts(&settings.variants)
        .into_iter()
        .zip(model.providers);
    model.providers = providers
        .map(|(context_tokens, provider)| -> Arc<dyn Provider> {
            let known = CassetteModel {
                name: model.name.clone(),
                identity: model.identity.clone(),
                context_tokens,
            };
            Arc::new(CassetteProvider::new(
                Arc::clone(cassette),
                known,
                Some(provider),
            ))
        })
        .collect();
    model
}
