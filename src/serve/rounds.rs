//! Questions of a server to its client, in both protocols: requests of its own in the older one,
//! an answer that requires input in the newer.
//!
//! Data in: the questions in rounds, what the client sent back. Data out: all answers, or what is
//! still to be asked. Invariants: an answer that is missing or has no sensible shape is asked for
//! again; state that travels with the client is signed, and changed state is refused; a client that
//! has not said that it can answer is not asked.

use std::collections::BTreeMap;

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, InputRequest, InputRequests, InputRequiredResult, ProtocolVersion,
    RequestStateCodec, ServerRequest,
};
use rmcp::service::{RequestContext, RoleServer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::script::fill;

/// One request that may need answers.
pub(super) struct Request<'a> {
    /// The tool or prompt: state sealed for one does not open for another.
    pub(super) name: &'a str,
    pub(super) asks: &'a [Map<String, Value>],
    pub(super) seal: bool,
    pub(super) args: &'a Value,
    pub(super) responses: Option<&'a BTreeMap<String, Value>>,
    pub(super) state: Option<&'a str>,
}

/// How far it got.
pub(super) enum Asked {
    /// All answers by name.
    Answered(Map<String, Value>),
    /// To be asked first.
    Required(InputRequiredResult),
    /// The client cannot be asked, for this reason.
    Unable(String),
}

/// What travels between rounds.
#[derive(Default, Serialize, Deserialize)]
struct State {
    name: String,
    round: usize,
    answers: Map<String, Value>,
}

/// The key of this process's signed state.
pub(super) struct Questions {
    codec: RequestStateCodec,
}

impl Questions {
    pub(super) fn new() -> Self {
        // A mock has no secret to keep: the signature finds what a client changed, whoever it is.
        let key = crate::types::ContentHash::of_bytes(b"state of a served mock").0;
        Self {
            codec: RequestStateCodec::new_unchecked(key.into_bytes()),
        }
    }

    /// Asks what is to be asked.
    pub(super) async fn ask(
        &self,
        request: &Request<'_>,
        context: &RequestContext<RoleServer>,
    ) -> Result<Asked, ErrorData> {
        if request.asks.is_empty() {
            return Ok(Asked::Answered(Map::new()));
        }
        let capabilities = context.client_capabilities().unwrap_or_default();
        if is_newer(context) {
            self.require(request, &capabilities)
        } else {
            ask_now(request, &capabilities, context).await
        }
    }

    fn require(
        &self,
        request: &Request<'_>,
        capabilities: &ClientCapabilities,
    ) -> Result<Asked, ErrorData> {
        let mut state = self.opened(request)?;
        if let Some(round) = request.asks.get(state.round)
            && let Some(responses) = request.responses
        {
            let wanted = || {
                round
                    .iter()
                    .filter(|(_, ask)| is_supported(ask, capabilities))
            };
            let answered = |(key, ask): (&String, &Value)| {
                responses.get(key).is_some_and(|answer| fits(ask, answer))
            };
            if wanted().next().is_some() && wanted().all(answered) {
                for (key, _) in wanted() {
                    state.answers.insert(key.clone(), responses[key].clone());
                }
                state.round += 1;
            }
        }
        let Some(round) = request.asks.get(state.round) else {
            return Ok(Asked::Answered(state.answers));
        };
        let mut requests = InputRequests::new();
        let values = json!({"args": request.args, "answers": state.answers});
        for (key, ask) in round {
            if is_supported(ask, capabilities) {
                requests.insert(key.clone(), typed::<InputRequest>(ask, &values)?);
            }
        }
        if requests.is_empty() {
            let first = round.values().next().unwrap_or(&Value::Null);
            return Err(ErrorData::missing_required_client_capability(needed(first)));
        }
        let keeps_state = request.seal || request.asks.len() > 1;
        let sealed = keeps_state
            .then(|| self.codec.seal_json(&state))
            .transpose()
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        Ok(Asked::Required(InputRequiredResult::new(
            Some(requests),
            sealed,
        )))
    }

    fn opened(&self, request: &Request<'_>) -> Result<State, ErrorData> {
        let fresh = || State {
            name: request.name.to_owned(),
            ..State::default()
        };
        let Some(sealed) = request.state else {
            return Ok(fresh());
        };
        let state: State = self.codec.open_json(sealed).map_err(|error| {
            ErrorData::invalid_params(format!("the request state was changed: {error}"), None)
        })?;
        if state.name == request.name {
            Ok(state)
        } else {
            Err(ErrorData::invalid_params(
                "the request state belongs to another request",
                None,
            ))
        }
    }
}

/// The client speaks 2026-07-28 or later.
pub(super) fn is_newer(context: &RequestContext<RoleServer>) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// Asks with requests of the server's own.
async fn ask_now(
    request: &Request<'_>,
    capabilities: &ClientCapabilities,
    context: &RequestContext<RoleServer>,
) -> Result<Asked, ErrorData> {
    let mut answers = Map::new();
    for (key, ask) in request.asks.iter().flatten() {
        let method = ask["method"].as_str().unwrap_or_default();
        if !is_supported(ask, capabilities) {
            return Ok(Asked::Unable(format!(
                "the client does not support {method}"
            )));
        }
        let values = json!({"args": request.args, "answers": answers});
        let question: ServerRequest = typed(ask, &values)?;
        match context.peer.send_request(question).await {
            Ok(answer) => {
                let answer = serde_json::to_value(answer).unwrap_or_default();
                answers.insert(key.clone(), answer);
            }
            Err(error) => return Ok(Asked::Unable(format!("{method} failed: {error}"))),
        }
    }
    Ok(Asked::Answered(answers))
}

fn typed<T: serde::de::DeserializeOwned>(ask: &Value, values: &Value) -> Result<T, ErrorData> {
    let filled = fill(ask, values).map_err(|error| ErrorData::internal_error(error, None))?;
    serde_json::from_value(filled)
        .map_err(|error| ErrorData::internal_error(format!("the script: {error}"), None))
}

/// Whether an answer has the shape that its question asks for.
fn fits(ask: &Value, answer: &Value) -> bool {
    match ask["method"].as_str() {
        Some("elicitation/create") => {
            let is_action = answer["action"]
                .as_str()
                .is_some_and(|action| ["accept", "decline", "cancel"].contains(&action));
            is_action && (answer["action"] != "accept" || answer["content"].is_object())
        }
        Some("sampling/createMessage") => !answer["content"].is_null(),
        Some("roots/list") => answer["roots"].is_array(),
        _ => answer.is_object(),
    }
}

fn is_supported(ask: &Value, capabilities: &ClientCapabilities) -> bool {
    match ask["method"].as_str() {
        Some("elicitation/create") => capabilities.elicitation.is_some(),
        Some("sampling/createMessage") => capabilities.sampling.is_some(),
        Some("roots/list") => capabilities.roots.is_some(),
        _ => true,
    }
}

/// The capability that a question needs.
fn needed(ask: &Value) -> ClientCapabilities {
    let name = match ask["method"].as_str() {
        Some("sampling/createMessage") => "sampling",
        Some("roots/list") => "roots",
        _ => "elicitation",
    };
    serde_json::from_value(json!({name: {}})).unwrap_or_default()
}
