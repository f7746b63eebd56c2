//! A scripted model: canned replies from a file, for tests, demonstrations and dry runs of suites.
//!
//! Data in: a YAML or JSON script. Data out: the reply written for suite, case, turn and attempt.
//! Invariants: no clock, no randomness; a missing line is an error that names the attempt, never
//! an invented reply.

use std::collections::BTreeMap;
use std::path::Path;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::Provider;
use crate::types::generate::RequestContext;
use crate::types::{
    GenerateReply, GenerateRequest, Mechanism, ModelFacts, ProviderError, StopReason, Timing,
    Usage, Wire,
};

/// What a script file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Name the model reports.
    pub name: String,
    /// Chat template, for tests of template routes.
    pub chat_template: Option<String>,
    /// Tokens that every prompt is said to have; without it none are reported.
    pub prompt_tokens: u32,
    /// Replies by `suite/case` or `case`; each a list, one per request in the trial's order.
    pub replies: BTreeMap<String, Vec<Line>>,
    /// Reply where nothing else is written.
    pub otherwise: Option<Line>,
    /// The model does not fit into memory, in these words.
    pub does_not_fit: Option<String>,
}

/// One canned reply: text, or something that goes wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// The reply.
    Text(String),
    /// A failure in place of a reply.
    Fault {
        /// Which.
        fault: Fault,
    },
}

/// What can go wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The process dies.
    Crash,
    /// The connection breaks.
    Network,
    /// The attempt's time limit passes.
    TimeLimit,
    /// The token limit comes first.
    MaxTokens,
    /// The grammar is refused.
    GrammarRejected,
    /// The endpoint says that there are too many requests.
    RateLimited,
    /// The endpoint fails.
    ServerError,
    /// The endpoint never answers.
    Unanswered,
    /// Our own request is refused.
    Rejected,
    /// The prompt does not fit.
    Overflow,
    /// Streamed and whole reply differ.
    StreamMismatch,
    /// The run is interrupted.
    Cancelled,
}

impl Fault {
    /// The provider's error, for those that leave no reply.
    fn error(self) -> Option<ProviderError> {
        let detail = "as scripted".to_owned();
        Some(match self {
            Self::Crash => ProviderError::Crashed { detail },
            Self::Network => ProviderError::Network { detail },
            Self::RateLimited => ProviderError::RateLimited { detail },
            Self::ServerError => ProviderError::Server { detail },
            Self::Unanswered => ProviderError::Unanswered { limit_ms: 0 },
            Self::Rejected => ProviderError::Rejected { detail },
            Self::StreamMismatch => ProviderError::StreamMismatch { detail },
            Self::Cancelled => ProviderError::Cancelled,
            Self::Overflow => ProviderError::ContextOverflow {
                prompt_tokens: 2,
                context_tokens: 1,
            },
            Self::TimeLimit | Self::MaxTokens | Self::GrammarRejected => return None,
        })
    }
}

/// A provider over a [`Script`].
pub struct ScriptedProvider {
    script: Script,
}

impl ScriptedProvider {
    /// Takes a script as data.
    pub fn new(script: Script) -> Self {
        Self { script }
    }

    /// Reads a script file.
    pub fn open(path: &Path) -> Result<Self, ProviderError> {
        let fail = |detail: String| ProviderError::Load { detail };
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(format!("cannot read script {}: {error}", path.display())))?;
        let script = serde_saphyr::from_str(&text)
            .map_err(|error| fail(format!("script {}: {error}", path.display())))?;
        Ok(Self::new(script))
    }

    fn line(&self, context: &RequestContext) -> Result<&Line, ProviderError> {
        let qualified = format!("{}/{}", context.suite, context.case);
        let lines = self
            .script
            .replies
            .get(&qualified)
            .or_else(|| self.script.replies.get(&context.case));
        lines
            .and_then(|lines| lines.get(context.request as usize))
            .or(self.script.otherwise.as_ref())
            .ok_or_else(|| ProviderError::NoScript {
                detail: format!("request {} of {qualified}", context.request + 1),
            })
    }
}

impl Provider for ScriptedProvider {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async {
            if let Some(words) = &self.script.does_not_fit {
                return Err(ProviderError::NotEnoughMemory {
                    detail: words.clone(),
                });
            }
            Ok(ModelFacts {
                provider: "scripted".to_owned(),
                reported_name: self.script.name.clone(),
                context_tokens: 1 << 20,
                chat_template: self.script.chat_template.clone(),
                wires: vec![Wire::RawText],
                mechanisms: vec![Mechanism::Llguidance],
                deterministic_when_greedy: true,
                engine_build: "scripted".to_owned(),
                ..ModelFacts::default()
            })
        })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(async move {
            let context = request
                .context
                .as_ref()
                .ok_or_else(|| ProviderError::NoScript {
                    detail: "a request without context".to_owned(),
                })?;
            let (text, stop_reason) = match self.line(context)? {
                Line::Text(text) => (text.clone(), StopReason::Stop),
                Line::Fault { fault } => match fault {
                    Fault::TimeLimit => (String::new(), StopReason::TimeLimit),
                    Fault::MaxTokens => ("{".to_owned(), StopReason::MaxTokens),
                    Fault::GrammarRejected if request.constraint.is_some() => {
                        return Err(ProviderError::GrammarRejected {
                            detail: "as scripted".to_owned(),
                        });
                    }
                    other => match other.error() {
                        Some(error) => return Err(error),
                        None => ("as scripted".to_owned(), StopReason::Stop),
                    },
                },
            };
            let output_tokens = u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
            Ok(GenerateReply {
                text,
                calls: Vec::new(),
                executed: Vec::new(),
                reasoning: None,
                payload: None,
                stop_reason,
                usage: Usage {
                    prompt_tokens: self.script.prompt_tokens,
                    computed_tokens: self.script.prompt_tokens,
                    output_tokens,
                    ..Usage::default()
                },
                timing: Timing::default(),
                constrained: request.constraint.is_some(),
                grammar_error: None,
                token_marks: Vec::new(),
                peak_memory_bytes: None,
            })
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
