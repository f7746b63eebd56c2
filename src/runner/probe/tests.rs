//! Probes against servers with one fault each.

use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::BoxFuture;
use serde_json::json;

use super::length::PromptCount;
use super::*;
use crate::types::facts::TemplateSource;
use crate::types::{ModelFacts, Prompt, Timing, ToolCall, Usage};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Prompts are cut to so many tokens.
    Truncates(u32),
    IgnoresConstraint,
    IgnoresChoice,
    RefusesChoice,
    StreamsOtherwise,
    MissesCalls,
    Random,
    CountsNothing,
    CountsAllAlike,
    /// Streamed replies come to an end of ours: the time limit.
    StreamsSlowly,
    /// The first long prompts take so many milliseconds, the same again 10.
    Remembers(u32),
    /// Only the very first long prompt takes that long.
    HiccupsOnce(u32),
}

/// A server that answers questions with calls, but for its fault.
struct Server {
    fault: Fault,
    asked: AtomicU32,
    seen: Mutex<std::collections::BTreeSet<String>>,
}

impl Server {
    /// By whether the prompt is long and was there before.
    fn time_ms(&self, user: &str) -> f64 {
        let is_long = user.len() > 6_000;
        let mut seen = self.seen.lock().unwrap();
        let is_new = !seen.contains(user);
        let is_first = seen.is_empty();
        if is_long {
            seen.insert(user.to_owned());
        }
        match self.fault {
            Fault::Remembers(first) if is_long && is_new => f64::from(first),
            Fault::HiccupsOnce(first) if is_long && is_first => f64::from(first),
            _ => 10.0,
        }
    }

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
        if let Fault::Truncates(cap) = self.fault {
            tokens = tokens.min(cap as usize);
        }
        if self.fault == Fault::CountsAllAlike {
            tokens = 50;
        }
        let mut text = String::new();
        let mut calls = Vec::new();
        let wants = match tool_choice {
            ToolChoice::None => false,
            ToolChoice::Required => {
                !matches!(self.fault, Fault::IgnoresChoice | Fault::RefusesChoice)
            }
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
        let stop_reason = match (self.fault, request.stream && !tools.is_empty()) {
            (Fault::StreamsSlowly, true) => {
                calls.clear();
                StopReason::TimeLimit
            }
            _ => StopReason::Stop,
        };
        GenerateReply {
            text,
            calls,
            executed: Vec::new(),
            reasoning: None,
            payload: None,
            stop_reason,
            usage: Usage {
                prompt_tokens: if self.fault == Fault::CountsNothing {
                    0
                } else {
                    u32::try_from(tokens).unwrap()
                },
                ..Usage::default()
            },
            timing: Timing {
                total_ms: self.time_ms(user),
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
        seen: Mutex::default(),
    };
    let model = PreparedModel {
        facts: ModelFacts {
            context_tokens: 4_096,
            refuses: match fault {
                Fault::RefusesChoice => vec!["tool_choice".to_owned()],
                _ => Vec::new(),
            },
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
        taken: Mutex::default(),
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
            Fault::Truncates(2_048),
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

fn verdict(set: &ProbeSet, probe: ProbeName) -> (ProbeVerdict, &str) {
    let result = set.result(probe).unwrap();
    (result.verdict, result.detail.as_str())
}

/// The server counts 20 tokens and one for each 4 characters, and cuts to the cap.
fn answered(characters: usize, cap: u32) -> (Prompt, GenerateReply) {
    let prompt = Prompt::Chat {
        messages: vec![Message::text(Role::User, "x".repeat(characters))],
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
    };
    let mut reply = GenerateReply::of_text(String::new(), StopReason::Stop);
    let tokens = u32::try_from(20 + characters / 4).unwrap();
    reply.usage.prompt_tokens = tokens.min(cap);
    (prompt, reply)
}

#[test]
fn a_cap_is_learnt_wherever_it_lies_and_voids_what_was_cut_to_it() {
    for cap in [60, 150, 400, 1_000, 1_130, 1_300, 2_048, 2_950] {
        let set = probed(Fault::Truncates(cap), Wire::Chat, None);
        let truncation = set.violated(ProbeName::Truncation);
        let truncation = truncation.unwrap_or_else(|| panic!("{cap}: {set:#?}"));
        assert_eq!(truncation.cap, Some(cap), "{truncation:?}");
        let rate = truncation.value.unwrap();
        assert!((rate - 0.25).abs() < 0.06, "{cap}: {rate}");
        let count = PromptCount::of(Some(&set)).unwrap();
        let (prompt, reply) = answered(cap as usize * 4 * 2, cap);
        assert!(count.was_cut(&prompt, &reply), "{cap}: half was cut off");
        let (prompt, reply) = answered(cap as usize * 4 + 200, cap);
        assert!(
            count.was_cut(&prompt, &reply),
            "{cap}: a little was cut off"
        );
        let (prompt, reply) = answered(cap as usize * 2, cap);
        assert!(!count.was_cut(&prompt, &reply), "{cap}: it arrived whole");
    }
    let whole = probed(Fault::None, Wire::Chat, None);
    let count = PromptCount::of(Some(&whole)).unwrap();
    let (prompt, reply) = answered(9_400, 1_300);
    assert!(
        !count.was_cut(&prompt, &reply),
        "nothing is known against it"
    );
}

#[test]
fn one_number_for_every_prompt_is_no_cap() {
    let set = probed(Fault::CountsAllAlike, Wire::Chat, None);
    let (found, detail) = verdict(&set, ProbeName::Truncation);
    assert_eq!(found, ProbeVerdict::Unproven);
    assert!(
        detail.contains("50 tokens for prompts of any length"),
        "{detail}"
    );
    assert_eq!(PromptCount::of(Some(&set)), None);
}

#[test]
fn a_reply_that_our_own_limit_cut_is_compared_with_nothing() {
    let set = probed(Fault::StreamsSlowly, Wire::ChatWithTools, None);
    for probe in [ProbeName::Streaming, ProbeName::Determinism] {
        let (found, detail) = verdict(&set, probe);
        assert_eq!(found, ProbeVerdict::Unproven, "{detail}");
        assert!(detail.contains("our own limit"), "{detail}");
    }
}

#[test]
fn a_cache_is_proven_by_clear_times_alone() {
    for (fault, expected) in [
        (Fault::None, ProbeVerdict::Unproven),
        (Fault::Remembers(40), ProbeVerdict::Unproven),
        (Fault::HiccupsOnce(900), ProbeVerdict::Unproven),
        (Fault::Remembers(900), ProbeVerdict::Proven),
    ] {
        let set = probed(fault, Wire::Chat, None);
        let (found, detail) = verdict(&set, ProbeName::PromptCache);
        assert_eq!(found, expected, "{detail}");
    }
}

#[test]
fn a_choice_that_a_server_has_not_is_not_asked_for() {
    let set = probed(Fault::RefusesChoice, Wire::ChatWithTools, None);
    let (found, detail) = verdict(&set, ProbeName::ToolChoice);
    assert_eq!(found, ProbeVerdict::Unproven);
    assert!(detail.contains("not offered"), "{detail}");
}

/// Whatever a server does, no route sends more than what was reserved for it.
#[test]
fn what_is_sent_is_counted_and_never_more_than_estimated() {
    let faults = [
        Fault::None,
        Fault::Truncates(60),
        Fault::Truncates(400),
        Fault::Truncates(1_000),
        Fault::Truncates(2_048),
        Fault::Remembers(900),
        Fault::CountsNothing,
    ];
    for fault in faults {
        for (wire, mechanism) in [
            (Wire::Chat, None),
            (Wire::Chat, Some(Mechanism::JsonSchema)),
            (Wire::ChatWithTools, Some(Mechanism::StrictTools)),
        ] {
            let set = probed(fault, wire, mechanism);
            let worst = probe_estimate(wire, mechanism.is_some(), 4_096, false).worst;
            let taken = set.taken;
            assert!(taken.requests >= 6, "{taken:?}");
            assert!(taken.requests <= worst.requests, "{taken:?} {worst:?}");
            assert!(
                taken.prompt_tokens <= worst.prompt_tokens,
                "{taken:?} {worst:?}"
            );
            let silent = fault == Fault::CountsNothing;
            assert_eq!(taken.without_tokens > 0, silent, "{taken:?}");
        }
    }
}

#[test]
fn a_cut_reply_is_excused_only_where_it_begins_like_what_was_asked_for() {
    let reply = |text: &str| GenerateReply {
        text: text.to_owned(),
        calls: Vec::new(),
        executed: Vec::new(),
        reasoning: None,
        payload: None,
        stop_reason: StopReason::MaxTokens,
        usage: Usage::default(),
        timing: Timing::default(),
        constrained: false,
        grammar_error: None,
        token_marks: Vec::new(),
        peak_memory_bytes: None,
    };
    let starts = ['{', '<'];
    for text in ["", "  ", "{\"name\": ", "<tool_call>"] {
        assert!(might_begin(&reply(text), &starts), "{text}");
    }
    assert!(!might_begin(&reply("hello.001.002"), &starts));
    let thinks = GenerateReply {
        reasoning: Some("They greet me.".to_owned()),
        ..reply("Well")
    };
    assert!(might_begin(&thinks, &starts));
}
