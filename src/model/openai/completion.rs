//! Raw text: `POST /completions` of the family, and llama.cpp's own `POST /completion`.
//!
//! Invariants: the prompt goes over as it is, but for a begin-of-sequence token that the server adds
//! itself; a constraint goes into the field that the page documents.

use serde_json::{Value, json};

use super::body::{Body, refused, whole_schema};
use crate::types::endpoint::Endpoint;
use crate::types::{ConstraintText, GenerateRequest, ModelFacts, Prompt, ProviderError};

fn text(request: &GenerateRequest) -> Result<String, ProviderError> {
    match &request.prompt {
        Prompt::Text { prefix, rest } => Ok(format!("{prefix}{rest}")),
        Prompt::Chat { .. } => Err(ProviderError::Rejected {
            detail: "messages do not go to a page for raw text".to_owned(),
        }),
    }
}

/// `POST /completions`.
pub(super) fn body(
    endpoint: &Endpoint,
    model: &str,
    request: &GenerateRequest,
) -> Result<Value, ProviderError> {
    let mut body = Body::new(endpoint, model);
    body.put("prompt", json!(text(request)?));
    body.sampling(request, "max_tokens");
    body.stream(request, true);
    body.constraint(request)?;
    Ok(body.done())
}

/// llama.cpp's `POST /completion`.
pub(super) fn llama_body(
    endpoint: &Endpoint,
    model: &str,
    request: &GenerateRequest,
    known: Option<&ModelFacts>,
) -> Result<Value, ProviderError> {
    let whole = text(request)?;
    // The server adds the token itself: twice would be another prompt.
    let prompt = match known {
        Some(facts) if facts.adds_bos && !facts.bos_token.is_empty() => whole
            .strip_prefix(facts.bos_token.as_str())
            .unwrap_or(&whole),
        _ => &whole,
    };
    let mut body = Body::new(endpoint, model);
    body.put("prompt", json!(prompt));
    body.sampling(request, "n_predict");
    body.stream(request, false);
    body.put("cache_prompt", json!(true));
    match &request.constraint {
        None => {}
        Some(ConstraintText::Gbnf(text)) => body.put("grammar", json!(text)),
        Some(ConstraintText::JsonSchema(schema)) => {
            body.put("json_schema", whole_schema(endpoint, schema)?);
        }
        Some(ConstraintText::Lark(_) | ConstraintText::StrictTools) => {
            return Err(refused(
                "llama.cpp's page for raw text takes a GBNF grammar or a JSON Schema".to_owned(),
            ));
        }
    }
    Ok(body.done())
}
