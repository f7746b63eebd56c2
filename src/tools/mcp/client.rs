//! What we are to a server: what it may ask of us, and how we answer.
//!
//! Data in: the server's questions. Data out: answers from the case's script, else a refusal, and
//! a note of each. Invariants: nothing is offered that is not answered (no sampling, no roots); a
//! question never waits for a person.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::ClientHandler;
use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ElicitRequestParams, ElicitResult,
    ElicitationAction as Action, ElicitationCapability, FormElicitationCapability, Implementation,
    ProtocolVersion,
};
use rmcp::service::{RequestContext, RoleClient};
use serde_json::{Value, json};

use crate::types::host::{ElicitationAction, ElicitationAnswer, HostNote, HostNoteKind};

/// Questions of one server and what they are answered with.
#[derive(Clone, Default)]
pub(super) struct Questions(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    script: Vec<ElicitationAnswer>,
    notes: Vec<HostNote>,
}

impl Questions {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to answer from now on.
    pub(super) fn set_script(&self, script: &[ElicitationAnswer]) {
        self.state().script = script.to_vec();
    }

    /// Questions since this was last asked.
    pub(super) fn take_notes(&self) -> Vec<HostNote> {
        std::mem::take(&mut self.state().notes)
    }

    /// The answer to one question: the first that fits, else no.
    pub(super) fn answer(&self, question: &str) -> ElicitationAnswer {
        let mut state = self.state();
        let lower = question.to_lowercase();
        let fitting = state.script.iter().find(|answer| {
            let asks = answer.asks.as_ref();
            asks.is_none_or(|asks| lower.contains(&asks.to_lowercase()))
        });
        let found = fitting.cloned();
        let given = if found.is_some() {
            "by the case"
        } else {
            "because no answer of the case fits"
        };
        let answer = found.unwrap_or_default();
        let what = match answer.action {
            ElicitationAction::Accept => "accepted",
            ElicitationAction::Decline => "declined",
            ElicitationAction::Cancel => "cancelled",
        };
        state.notes.push(HostNote {
            kind: HostNoteKind::Elicitation,
            detail: format!("the server asked \u{201c}{question}\u{201d}: {what} {given}"),
        });
        answer
    }

    /// The answer as MCP writes it; `schema` is that of the form. A form that is accepted without
    /// anything filled in keeps its defaults.
    pub(super) fn answer_json(&self, question: &str, schema: &Value) -> Value {
        let answer = self.answer(question);
        match (answer.action, answer.content) {
            (ElicitationAction::Accept, content) => {
                json!({"action": "accept", "content": content.unwrap_or_else(|| defaults(schema))})
            }
            (ElicitationAction::Decline, _) => json!({"action": "decline"}),
            (ElicitationAction::Cancel, _) => json!({"action": "cancel"}),
        }
    }
}

/// What a form holds before anybody fills it in.
fn defaults(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    properties
        .filter_map(|(name, property)| Some((name.clone(), property.get("default")?.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The client's side of the protocol.
pub(super) struct Client {
    questions: Questions,
    version: ProtocolVersion,
}

impl Client {
    pub(super) fn new(questions: Questions, version: ProtocolVersion) -> Self {
        Self { questions, version }
    }
}

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        let form = ElicitationCapability::new().with_form(FormElicitationCapability::new());
        capabilities.elicitation = Some(form);
        let identity = Implementation::new("toolbench", env!("CARGO_PKG_VERSION"));
        let mut info = ClientConfig::new(capabilities, identity);
        info.protocol_version = self.version.clone();
        info
    }

    async fn create_elicitation(
        &self,
        request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let request = serde_json::to_value(&request).unwrap_or_default();
        let message = request["message"].as_str().unwrap_or_default();
        let answer = self.questions.answer(message);
        Ok(match answer.action {
            ElicitationAction::Accept => ElicitResult::new(Action::Accept).with_content(
                answer
                    .content
                    .unwrap_or_else(|| defaults(&request["requestedSchema"])),
            ),
            ElicitationAction::Decline => ElicitResult::new(Action::Decline),
            ElicitationAction::Cancel => ElicitResult::new(Action::Cancel),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_answered_by_the_script_or_declined() {
        let questions = Questions::default();
        assert_eq!(
            questions.answer_json("Your name?", &Value::Null),
            json!({"action": "decline"})
        );
        questions.set_script(&[
            ElicitationAnswer {
                asks: Some("name".to_owned()),
                action: ElicitationAction::Accept,
                content: Some(json!({"name": "Ada"})),
            },
            ElicitationAnswer {
                asks: Some("sure".to_owned()),
                action: ElicitationAction::Cancel,
                content: None,
            },
        ]);
        assert_eq!(
            questions.answer_json("Your NAME?", &Value::Null),
            json!({"action": "accept", "content": {"name": "Ada"}})
        );
        assert_eq!(
            questions.answer_json("Sure?", &Value::Null),
            json!({"action": "cancel"})
        );
        assert_eq!(
            questions.answer_json("Other?", &Value::Null),
            json!({"action": "decline"})
        );
        let notes = questions.take_notes();
        assert_eq!(notes.len(), 4);
        assert!(
            notes[1].detail.contains("accepted by the case"),
            "{notes:?}"
        );
        assert_eq!(questions.take_notes(), Vec::new());
    }
}
