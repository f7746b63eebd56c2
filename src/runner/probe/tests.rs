//! Probes against servers with one fault each.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;
use serde_json::json;

use super::*;
use crate::types::facts::TemplateSource;
use crate::types::{ModelFacts, Timing, ToolCall, Usage};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Truncates,
    IgnoresConstraint,
    IgnoresChoice,
    StreamsOtherwise,
    MissesCalls,
    Random,
    CountsNothing,
}

/// A server that answers questions with calls, but for its fault.
struct Server {
    fault: Fault,
    asked: AtomicU32,
}

impl Server {
    fn reply(&self, request: &GenerateRequest) -> GenerateReply {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let Prompt::Chat {
            messages,
            tools,
            tool_choice,
        } = &request.prompt
        else {
            panic!("a chat is asked for");
        };
        let user = &messages.last().unwrap().content;
        let characters: usize = messages.iter().map(|m| m.content.len()).sum();
        let mut tokens = 20 + characters / 4;
        if self.fault == Fault::Truncates {
            tokens = tokens.min(2_048);
        }
        let mut text = String::new();
        let mut calls = Vec::new();
        let wants = match tool_choice {
            ToolChoice::None => false,
            ToolChoice::Required => self.fault != Fault::IgnoresChoice,
            ToolChoice::Auto => !user.contains("hello"),
        };
        if wants && !tools.is_empty() {
            let arguments = match tools[0].name.as_str() {
                "set_colour" => json!({"colour": FORCED_WORD}),
                _ => json!({"city": "Oslo"}),
            };
            if self.fault == Fault::MissesCalls {
                text = json!({"name": tools[0].name, "arguments": arguments}).to_string();
            } else {
                calls.push(ToolCall::new(tools[0].name.clone(), arguments));
            }
        } else {
            text = "hello".to_owned();
        }
        if let Some(ConstraintText::JsonSchema(_)) = &request.constraint
            && self.fault != Fault::IgnoresConstraint
        {
            text = json!({"word": FORCED_WORD}).to_string();
        }
        if self.fault == Fault::Random {
            text = format!("reply {number}");
        }
        if self.fault == Fault::StreamsOtherwise && request.stream {
            calls.clear();
        }
        GenerateReply {
            text,
            calls,
            executed: Vec::new(),
            reasoning: None,
            payload: None,
            stop_reason: StopReason::Stop,
            usage: Usage {
                prompt_tokens: if self.fault == Fault::CountsNothing {
                    0
                } else {
                    u32::try_from(tokens).unwrap()
                },
                ..Usage::default()
            },
            timing: Timing {
                total_ms: 10.0,
                ..Timing::default()
            },
            constrained: request.constraint.is_some(),
            grammar_error: None,
            token_marks: Vec::new(),
            peak_memory_bytes: None,
        }
    }
}

impl Provider for Server {
    fn describe(&self) -> BoxFuture<'_, Result<ModelFacts, ProviderError>> {
        Box::pin(async { Ok(ModelFacts::default()) })
    }

    fn generate<'a>(
        &'a self,
        request: &'a GenerateRequest,
        _cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<GenerateReply, ProviderError>> {
        Box::pin(async { Ok(self.reply(request)) })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}

fn probed(fault: Fault, wire: Wire, mechanism: Option<Mechanism>) -> ProbeSet {
    let server = Server {
        fault,
        asked: AtomicU32::new(0),
    };
    let model = PreparedModel {
        facts: ModelFacts {
            context_tokens: 4_096,
            ..ModelFacts::default()
        },
        template_has_tools: false,
        template_problem: None,
    };
    let route = Route {
        leg: "main".to_owned(),
        wire,
        template: TemplateSource::Server,
        mechanism,
    };
    let dialect = match wire {
        Wire::ChatWithTools => DialectName::Native,
        Wire::Chat | Wire::RawText => DialectName::Json,
    };
    let probing = Probing {
        provider: &server,
        model: &model,
        dialect,
        route: &route,
        context_tokens: 4_096,
        limit_ms: 1_000,
        cancel: &CancellationToken::new(),
        known: None,
    };
    futures::executor::block_on(probe("m", &probing))
}

fn violated(set: &ProbeSet) -> Vec<(ProbeName, Option<Code>)> {
    set.results
        .iter()
        .filter(|result| result.verdict == ProbeVerdict::Violated)
        .map(|result| (result.probe, result.code))
        .collect()
}

#[test]
fn a_good_server_violates_nothing() {
    let tools = probed(
        Fault::None,
        Wire::ChatWithTools,
        Some(Mechanism::StrictTools),
    );
    assert_eq!(violated(&tools), [], "{tools:#?}");
    for name in [
        ProbeName::Parser,
        ProbeName::ToolChoice,
        ProbeName::Constraint,
        ProbeName::Streaming,
        ProbeName::Determinism,
        ProbeName::Truncation,
    ] {
        let verdict = tools.result(name).map(|result| result.verdict);
        assert_eq!(verdict, Some(ProbeVerdict::Proven), "{name:?}");
    }
    let chat = probed(Fault::None, Wire::Chat, Some(Mechanism::JsonSchema));
    assert_eq!(violated(&chat), [], "{chat:#?}");
    assert_eq!(chat.result(ProbeName::Parser), None);
}

#[test]
fn each_fault_is_called_by_its_name() {
    for (fault, wire, mechanism, expected) in [
        (
            Fault::Truncates,
            Wire::Chat,
            None,
            (ProbeName::Truncation, Some(Code::PromptTruncated)),
        ),
        (
            Fault::IgnoresConstraint,
            Wire::Chat,
            Some(Mechanism::JsonSchema),
            (ProbeName::Constraint, Some(Code::ConstraintUnenforced)),
        ),
        (
            Fault::IgnoresChoice,
            Wire::ChatWithTools,
            None,
            (ProbeName::ToolChoice, Some(Code::ConstraintUnenforced)),
        ),
        (
            Fault::StreamsOtherwise,
            Wire::ChatWithTools,
            None,
            (ProbeName::Streaming, Some(Code::StreamMismatch)),
        ),
        (
            Fault::MissesCalls,
            Wire::ChatWithTools,
            None,
            (ProbeName::Parser, Some(Code::CallInContent)),
        ),
        (
            Fault::Random,
            Wire::Chat,
            None,
            (ProbeName::Determinism, None),
        ),
    ] {
        let set = probed(fault, wire, mechanism);
        assert!(violated(&set).contains(&expected), "{expected:?}: {set:#?}");
    }
}

#[test]
fn what_cannot_be_told_is_unproven() {
    let random = probed(Fault::Random, Wire::Chat, None);
    let streaming = random.result(ProbeName::Streaming).unwrap();
    assert_eq!(streaming.verdict, ProbeVerdict::Unproven);
    let silent = probed(Fault::CountsNothing, Wire::Chat, None);
    let truncation = silent.result(ProbeName::Truncation).unwrap();
    assert_eq!(truncation.verdict, ProbeVerdict::Unproven);
}
