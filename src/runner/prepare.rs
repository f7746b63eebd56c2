//! Before the first trial: what each model is, what each host offers.

use super::{Cancel, Ports};
use crate::dialect::Template;
use crate::tools::ToolHostError;
use crate::types::probe::ProbeSet;
use crate::types::{Code, ModelFacts, ProviderError, ToolDefinition};
use crate::validate::ToolSchemas;

/// What asking has shown.
pub struct Prepared {
    /// By served index: models × contexts.
    pub models: Vec<Result<PreparedModel, ProviderError>>,
    /// By suite index.
    pub hosts: Vec<Result<PreparedHost, String>>,
    /// What trying served models out has shown; filled in once the routes are known.
    pub probes: Vec<ProbeSet>,
}

/// One model that answered.
#[derive(Clone, Debug)]
pub struct PreparedModel {
    /// What it says of itself.
    pub facts: ModelFacts,
    /// Its chat template has a place for tools.
    pub template_has_tools: bool,
    /// Its chat template cannot be used, and why.
    pub template_problem: Option<String>,
}

/// One host that answered.
#[derive(Clone, Debug)]
pub struct PreparedHost {
    /// The tools it offers.
    pub tools: Vec<ToolDefinition>,
}

/// Asks every provider and host. Models are closed again unless there is only one, so that two
/// large models are never in memory together.
pub async fn prepare(ports: &Ports, cancel: &Cancel) -> Prepared {
    let mut models = Vec::new();
    for provider in &ports.providers {
        let answer = tokio::select! {
            biased;
            () = cancel.stop.cancelled() => Err(ProviderError::Cancelled),
            answer = provider.describe() => answer,
        };
        if ports.providers.len() > 1 {
            provider.close().await;
        }
        models.push(answer.map(probe_template));
    }
    let mut hosts = Vec::new();
    for host in &ports.hosts {
        let listed = tokio::select! {
            biased;
            () = cancel.stop.cancelled() => Err(ToolHostError {
                code: Code::Cancelled,
                message: "interrupted".to_owned(),
            }),
            listed = host.list() => listed,
        };
        let answer = match listed {
            Err(error) => Err(error.message),
            Ok(tools) => match ToolSchemas::compile(&tools) {
                Err(error) => Err(error.to_string()),
                Ok(_) => Ok(PreparedHost { tools }),
            },
        };
        hosts.push(answer);
    }
    Prepared {
        models,
        hosts,
        probes: Vec::new(),
    }
}

fn probe_template(facts: ModelFacts) -> PreparedModel {
    match Template::probe(&facts) {
        Ok(template) => PreparedModel {
            template_has_tools: template.traits().has_tools,
            template_problem: None,
            facts,
        },
        Err(error) => PreparedModel {
            template_has_tools: false,
            template_problem: Some(error.to_string()),
            facts,
        },
    }
}
