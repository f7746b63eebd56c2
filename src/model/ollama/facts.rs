//! What an Ollama tells of a model.
//!
//! Data in: the answers of `/api/show` and `/api/ps`. Data out: [`ModelFacts`]. Invariants: raw text
//! is offered only where the chat template is known: in the server's answer, or from the weights.

use serde_json::Value;

use super::WeightsTemplate;
use crate::model::hosted::text;
use crate::types::endpoint::Endpoint;
use crate::types::{Mechanism, ModelFacts, Wire};

/// A model as `/api/show` tells it.
pub(super) struct Shown(Value);

impl Shown {
    pub(super) fn of(shown: Value) -> Self {
        Self(shown)
    }

    fn info(&self, key: &str) -> &Value {
        &self.0["model_info"][key]
    }

    fn can(&self, capability: &str) -> Option<bool> {
        let list = self.0["capabilities"].as_array()?;
        Some(list.iter().any(|one| one == capability))
    }

    /// What to ask so that the model does not think first; `None` where it could not anyway, or
    /// cannot help it.
    pub(super) fn no_thinking(&self) -> Option<Value> {
        let off = Value::Bool(false);
        match self.0["thinking"]["values"].as_array() {
            Some(values) => values.contains(&off).then_some(off),
            None => (self.can("thinking") == Some(true)).then_some(off),
        }
    }

    /// The Jinja template: older versions told it among the metadata, newer ones where the server
    /// itself uses it.
    fn template(&self) -> Option<&str> {
        let told = self.info("tokenizer.chat_template").as_str();
        let in_use = text(&self.0, "template_source") == "gguf_chat_template";
        told.or_else(|| self.0["template"].as_str().filter(|_| in_use))
            .filter(|template| !template.is_empty())
    }

    pub(super) fn facts(
        &self,
        endpoint: &Endpoint,
        weights: Option<&WeightsTemplate>,
    ) -> ModelFacts {
        let details = &self.0["details"];
        let architecture = self.info("general.architecture").as_str();
        let trained = architecture
            .and_then(|name| self.info(&format!("{name}.context_length")).as_u64())
            .and_then(|tokens| u32::try_from(tokens).ok());
        let template = self
            .template()
            .map(str::to_owned)
            .or_else(|| endpoint.chat_template.clone())
            .or_else(|| weights.and_then(|weights| weights.chat_template.clone()));
        let tokens = weights.cloned().unwrap_or_default();
        let offered = |wire: &Wire| match wire {
            Wire::RawText => template.is_some(),
            Wire::Chat => true,
            // Where nothing is said, asking will tell.
            Wire::ChatWithTools => self.can("tools").unwrap_or(true),
        };
        ModelFacts {
            provider: endpoint.preset.clone(),
            reported_name: endpoint.model.clone(),
            architecture: architecture.map(str::to_owned),
            quantisation: details["quantization_level"].as_str().map(str::to_owned),
            parameters: self.info("general.parameter_count").as_u64(),
            trained_context_tokens: trained,
            context_tokens: trained.map_or(endpoint.context_tokens, |trained| {
                trained.min(endpoint.context_tokens)
            }),
            wires: endpoint.wires.iter().copied().filter(offered).collect(),
            mechanisms: endpoint
                .mechanisms
                .iter()
                .copied()
                .filter(|mechanism| *mechanism == Mechanism::JsonSchema)
                .collect(),
            chat_template: template,
            bos_token: tokens.bos_token,
            eos_token: tokens.eos_token,
            adds_bos: self.adds_bos(),
            endpoint: Some(endpoint.base_url.clone()),
            refuses: refused(endpoint),
            remote: endpoint.remote,
            ..ModelFacts::default()
        }
    }

    /// As the weights say; otherwise as tokenizers of their kind do.
    fn adds_bos(&self) -> bool {
        let told = self.info("tokenizer.ggml.add_bos_token").as_bool();
        told.unwrap_or_else(|| self.info("tokenizer.ggml.model") == "llama")
    }
}

/// What is not to be asked for: the protocol has no `tool_choice`, whatever a configuration says.
fn refused(endpoint: &Endpoint) -> Vec<String> {
    let own = "tool_choice".to_owned();
    let mut refused = endpoint.refuses.clone();
    if !refused.contains(&own) {
        refused.push(own);
    }
    refused
}

/// The entry of a model in the list of those in memory.
pub(super) fn running<'a>(list: &'a Value, model: &str) -> Option<&'a Value> {
    let called = |entry: &&Value| {
        ["model", "name"].iter().any(|key| {
            let name = text(entry, key);
            name == model || name.strip_suffix(":latest") == Some(model)
        })
    };
    list["models"].as_array()?.iter().find(called)
}
