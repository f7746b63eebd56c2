//! What a run asks with, by hash: suites, tools, variants, tool servers.
//!
//! Data in: the header of a run. Data out: facts of a snapshot, sorted by name. Invariant: no text of
//! prompts or schemas, hashes alone.

use std::collections::BTreeMap;

use serde_json::json;

use super::snapshot::{ServerFact, SuiteFact, ToolFact, VariantFact, short};
use crate::record::format::Header;
use crate::types::{ToolDefinition, Variant};

pub(super) fn suites(header: &Header) -> Vec<SuiteFact> {
    let mut facts: Vec<SuiteFact> = header
        .suites
        .iter()
        .map(|suite| SuiteFact {
            suite: suite.suite.clone(),
            system: suite.system.as_ref().map(short),
            examples: (!suite.examples.is_empty()).then(|| short(&suite.examples)),
            mock: suite.mock.as_ref().map(short),
            server: suite.server.as_ref().map(short),
        })
        .collect();
    facts.sort_by(|one, two| one.suite.cmp(&two.suite));
    facts
}

pub(super) fn tools(header: &Header) -> Vec<ToolFact> {
    let mut facts: Vec<ToolFact> = header
        .suites
        .iter()
        .flat_map(|suite| {
            suite.tools.iter().map(|tool| ToolFact {
                tool: format!("{}/{}", suite.suite, tool.name),
                hash: short(tool),
                parts: tool_parts(tool),
            })
        })
        .collect();
    facts.sort_by(|one, two| one.tool.cmp(&two.tool));
    facts
}

/// Description, annotations, each argument of the schema, and what else the schema says.
fn tool_parts(tool: &ToolDefinition) -> BTreeMap<String, String> {
    let mut schema = tool.input_schema.clone();
    let arguments = schema
        .as_object_mut()
        .and_then(|it| it.get_mut("properties"))
        .map(serde_json::Value::take);
    let arguments = arguments.as_ref().and_then(serde_json::Value::as_object);
    let mut parts: BTreeMap<String, String> = arguments
        .into_iter()
        .flatten()
        .map(|(name, value)| (format!("argument {name}"), short(value)))
        .collect();
    parts.insert("description".to_owned(), short(&tool.description));
    parts.insert("inputSchema".to_owned(), short(&schema));
    if let Some(annotations) = &tool.annotations {
        parts.insert("annotations".to_owned(), short(annotations));
    }
    parts
}

pub(super) fn variants(header: &Header) -> Vec<VariantFact> {
    let mut facts: Vec<VariantFact> = header
        .variants
        .iter()
        .map(|variant| VariantFact {
            variant: variant.name.clone(),
            parts: variant_parts(variant),
        })
        .collect();
    facts.sort_by(|one, two| one.variant.cmp(&two.variant));
    facts
}

fn variant_parts(variant: &Variant) -> BTreeMap<String, String> {
    let value = json!({
        "few_shot": variant.few_shot, "correction": variant.correction,
        "context_tokens": variant.context_tokens, "distractors": variant.distractors,
        "reasoning": variant.reasoning.to_string(),
        "temperature": variant.sampling.temperature.to_string(),
        "top_p": variant.sampling.top_p.to_string(), "top_k": variant.sampling.top_k,
        "min_p": variant.sampling.min_p.to_string(),
        "repeat_penalty": variant.sampling.repeat_penalty.to_string(),
        "system": variant.system.as_ref().map_or_else(|| "the suite's".to_owned(), short),
    });
    let parts = value.as_object().into_iter().flatten();
    parts
        .map(|(name, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        })
        .collect()
}

pub(super) fn servers(header: &Header) -> Vec<ServerFact> {
    header
        .tool_servers
        .iter()
        .map(|server| ServerFact {
            server: server.name.clone(),
            address: server.address.clone(),
            identity: server.identity.clone(),
            drift: (!server.drift.is_empty()).then(|| short(&server.drift)),
        })
        .collect()
}
