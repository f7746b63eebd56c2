//! Probes: what a server does with a route, tried before any cell is credited to it.
//!
//! Data in: a provider, what it says of itself, and the route of a cell. Data out: a [`ProbeSet`].
//! Invariants: a handful of short requests, none of them a case; every request has the trial's own
//! time limit; a probe that fails to run is `unproven` with the reason and stops no other.

mod estimate;
mod length;
mod questions;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::prepare::PreparedModel;
use crate::dialect::{Dialect, Offer, dialect};
use crate::model::Provider;
use crate::types::cell::Reasoning;
use crate::types::probe::{ProbeLoad, ProbeName, ProbeResult, ProbeSet, ProbeVerdict};
use crate::types::{
    Code, ConstraintText, Decoded, DialectName, GenerateReply, GenerateRequest, Mechanism, Message,
    ProviderError, Role, Route, Sampling, StopReason, ToolChoice, ToolDefinition, Wire,
};
pub use estimate::estimate as probe_estimate;
pub(super) use length::PromptCount;
use questions::{FORCED_WORD, colour_tool, greeting, questions, tools};

/// Longest reply of a probe, in tokens.
const REPLY_TOKENS: u32 = 96;
/// Most characters of a reply that are quoted.
const QUOTED: usize = 120;

/// What is probed.
pub struct Probing<'a> {
    /// Answers.
    pub provider: &'a dyn Provider,
    /// What it says of itself.
    pub model: &'a PreparedModel,
    /// Dialect of the cells.
    pub dialect: DialectName,
    /// Route of the cells.
    pub route: &'a Route,
    /// Context asked for.
    pub context_tokens: u32,
    /// Limit of one request.
    pub limit_ms: u64,
    /// Ends it from outside.
    pub cancel: &'a CancellationToken,
    /// What another route of the same model over the same wire has shown: long prompts need not be
    /// sent again, since they are cut or kept whatever the constraint.
    pub known: Option<&'a ProbeSet>,
    /// What was sent so far.
    pub taken: Mutex<ProbeLoad>,
}

/// Tries everything that the route has a use for.
pub(super) async fn probe(name: &str, probing: &Probing<'_>) -> ProbeSet {
    let mut results = Vec::new();
    if probing.route.wire == Wire::ChatWithTools {
        results.push(probing.parser().await);
        results.push(probing.tool_choice().await);
    }
    if let Some(mechanism) = probing.route.mechanism {
        results.push(probing.constraint(mechanism).await);
    }
    results.extend(probing.same_twice().await);
    let known = probing.known.map(long_prompt_results).unwrap_or_default();
    results.extend(if known.is_empty() {
        probing.long_prompts().await
    } else {
        known
    });
    ProbeSet {
        model: name.to_owned(),
        context_tokens: probing.context_tokens,
        wire: probing.route.wire,
        mechanism: probing.route.mechanism,
        results,
        taken: *probing.taken.lock().unwrap_or_else(PoisonError::into_inner),
    }
}

/// What long prompts have shown on another route; nothing where that could not be told.
fn long_prompt_results(set: &ProbeSet) -> Vec<ProbeResult> {
    let told = set
        .result(ProbeName::Truncation)
        .is_some_and(|result| result.verdict != ProbeVerdict::Unproven);
    set.results
        .iter()
        .filter(|result| {
            told && matches!(result.probe, ProbeName::Truncation | ProbeName::PromptCache)
        })
        .cloned()
        .collect()
}

/// A reply with its readings.
struct Asked {
    reply: GenerateReply,
    decoded: Decoded,
}

impl Probing<'_> {
    /// Another route has shown what becomes of long prompts.
    pub(super) fn knows_long_prompts(&self) -> bool {
        let known = self.known.map(long_prompt_results);
        known.is_some_and(|results| !results.is_empty())
    }

    fn dialect(&self) -> &'static dyn Dialect {
        dialect(self.dialect)
    }

    fn offer(&self, tools: Vec<ToolDefinition>, tool_choice: ToolChoice) -> Offer {
        Offer {
            system: None,
            tools,
            examples: Vec::new(),
            tool_choice,
            reasoning: Reasoning::Off,
            route: self.route.clone(),
            facts: self.model.facts.clone(),
            envelope: None,
        }
    }

    fn request(&self, offer: &Offer, user: &str) -> GenerateRequest {
        let encoded = self
            .dialect()
            .encode(offer, &[Message::text(Role::User, user)]);
        GenerateRequest {
            prompt: encoded.prompt,
            sampling: Sampling::default(),
            seed: 1,
            max_tokens: REPLY_TOKENS,
            stop: encoded.stop,
            constraint: None,
            stream: true,
            time_limit_ms: self.limit_ms,
            context: None,
        }
    }

    async fn send(&self, request: &GenerateRequest) -> Result<GenerateReply, ProviderError> {
        let answer = self.provider.generate(request, self.cancel).await;
        let usage = answer.as_ref().ok().map(|reply| &reply.usage);
        let taken = self.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).count(usage);
        answer
    }

    async fn ask(
        &self,
        tools: Vec<ToolDefinition>,
        choice: ToolChoice,
        user: &str,
    ) -> Result<Asked, ProviderError> {
        let offer = self.offer(tools, choice);
        let reply = self.send(&self.request(&offer, user)).await?;
        let decoded = self.dialect().decode(&offer, &reply);
        Ok(Asked { reply, decoded })
    }

    /// Questions that need a call: does the server hand over what the model wrote?
    async fn parser(&self) -> ProbeResult {
        let name = ProbeName::Parser;
        let (mut read, mut missed, mut none) = (0, Vec::new(), 0);
        for question in questions() {
            let asked = match self.ask(tools(), ToolChoice::Auto, question).await {
                Ok(asked) => asked,
                Err(error) => return failed(name, &error),
            };
            if !asked.reply.calls.is_empty() {
                read += 1;
            } else if has_code(&asked.decoded, Code::CallInContent) {
                missed.push(quoted(&asked.reply.text));
            } else {
                none += 1;
            }
        }
        let all = questions().len();
        if let Some(example) = missed.first() {
            return ProbeResult {
                code: Some(Code::CallInContent),
                ..result(
                    name,
                    ProbeVerdict::Violated,
                    format!(
                        "in {} of {all} replies the text holds a call that the server did not read, such as {example}",
                        missed.len()
                    ),
                )
            };
        }
        if read > 0 {
            return result(
                name,
                ProbeVerdict::Proven,
                format!("{read} of {all} replies hold a call, and the server read each"),
            );
        }
        result(
            name,
            ProbeVerdict::Unproven,
            format!("the model made no call in {none} of {all} replies"),
        )
    }

    /// `required` where no call is due, `none` where one is.
    async fn tool_choice(&self) -> ProbeResult {
        let name = ProbeName::ToolChoice;
        if self
            .model
            .facts
            .refuses
            .iter()
            .any(|it| it == "tool_choice")
        {
            let provider = &self.model.facts.provider;
            return result(
                name,
                ProbeVerdict::Unproven,
                format!("not offered: `{provider}` takes no `tool_choice`"),
            );
        }
        let required = match self.ask(tools(), ToolChoice::Required, greeting()).await {
            Ok(asked) => asked,
            Err(error) => return failed(name, &error),
        };
        let unenforced = |detail: String| ProbeResult {
            code: Some(Code::ConstraintUnenforced),
            ..result(name, ProbeVerdict::Violated, detail)
        };
        let reply = &required.reply;
        if reply.calls.is_empty() && is_cut(reply) && might_begin(reply, &['{', '[', '<', '`']) {
            let seen = quoted(&required.reply.text);
            let detail = format!("the reply to `required` was cut before any call: {seen}");
            return result(name, ProbeVerdict::Unproven, detail);
        }
        if required.reply.calls.is_empty() {
            return unenforced(format!(
                "`required` gave no call but {}",
                quoted(&required.reply.text)
            ));
        }
        match self.ask(tools(), ToolChoice::None, questions()[0]).await {
            Err(error) => failed(name, &error),
            Ok(asked) if !asked.reply.calls.is_empty() => unenforced(format!(
                "`none` gave a call of `{}`",
                asked.reply.calls[0].name
            )),
            Ok(_) => result(
                name,
                ProbeVerdict::Proven,
                "`required` gave a call where none was due, `none` gave none".to_owned(),
            ),
        }
    }

    /// A text that only obedience writes.
    async fn constraint(&self, mechanism: Mechanism) -> ProbeResult {
        let name = ProbeName::Constraint;
        if mechanism == Mechanism::StrictTools {
            return self.strict_tools().await;
        }
        let mut request = self.request(&self.offer(Vec::new(), ToolChoice::None), greeting());
        request.constraint = Some(forced(mechanism));
        let reply = match self.send(&request).await {
            Ok(reply) => reply,
            Err(ProviderError::GrammarRejected { detail }) => {
                return ProbeResult {
                    code: Some(Code::GrammarRejected),
                    ..result(
                        name,
                        ProbeVerdict::Violated,
                        format!("the server refused a small constraint: {detail}"),
                    )
                };
            }
            Err(error) => return failed(name, &error),
        };
        let obeyed = match mechanism {
            Mechanism::JsonSchema => serde_json::from_str::<serde_json::Value>(reply.text.trim())
                .is_ok_and(|value| value["word"] == FORCED_WORD),
            _ => reply.text.trim() == FORCED_WORD,
        };
        self.obedience(obeyed, &quoted(&reply.text), &reply)
    }

    fn obedience(&self, obeyed: bool, seen: &str, reply: &GenerateReply) -> ProbeResult {
        let name = ProbeName::Constraint;
        let mechanism = self.route.mechanism.map_or("none", Mechanism::as_str);
        if obeyed {
            return result(
                name,
                ProbeVerdict::Proven,
                format!("asked for something else, it wrote the only text that {mechanism} allows"),
            );
        }
        let starts = ['{', FORCED_WORD.chars().next().unwrap_or_default()];
        if is_cut(reply) && might_begin(reply, &starts) {
            return result(
                name,
                ProbeVerdict::Unproven,
                format!("the reply to a constraint by {mechanism} was cut: {seen}"),
            );
        }
        ProbeResult {
            code: Some(Code::ConstraintUnenforced),
            ..result(
                name,
                ProbeVerdict::Violated,
                format!("a constraint by {mechanism} was taken and not obeyed: {seen}"),
            )
        }
    }

    /// A tool whose only allowed value is not the one asked for.
    async fn strict_tools(&self) -> ProbeResult {
        let tool = colour_tool();
        let offer = self.offer(vec![tool], ToolChoice::Required);
        let mut request = self.request(&offer, "Set the colour to red.");
        request.constraint = Some(ConstraintText::StrictTools);
        let reply = match self.send(&request).await {
            Ok(reply) => reply,
            Err(error) => return failed(ProbeName::Constraint, &error),
        };
        let Some(call) = reply.calls.first() else {
            return result(
                ProbeName::Constraint,
                ProbeVerdict::Unproven,
                format!("no call was made: {}", quoted(&reply.text)),
            );
        };
        let obeyed = call.arguments["colour"] == FORCED_WORD;
        self.obedience(obeyed, &quoted(&call.arguments.to_string()), &reply)
    }

    /// One request three times: whole, whole, streamed.
    async fn same_twice(&self) -> Vec<ProbeResult> {
        let offer = self.offer(tools(), ToolChoice::Auto);
        let streamed = self.request(&offer, questions()[0]);
        let whole = GenerateRequest {
            stream: false,
            ..streamed.clone()
        };
        let mut replies = Vec::new();
        for request in [&whole, &whole, &streamed] {
            match self.send(request).await {
                Ok(reply) => replies.push(reply),
                Err(error) => {
                    return [ProbeName::Determinism, ProbeName::Streaming]
                        .map(|name| failed(name, &error))
                        .into();
                }
            }
        }
        if let Some(reply) = replies.iter().find(|reply| is_ended_by_us(reply)) {
            let detail = format!(
                "a reply was cut after {} ms by our own limit (--timeout), and is not comparable: {}",
                self.limit_ms,
                quoted(&reply.text)
            );
            return [ProbeName::Determinism, ProbeName::Streaming]
                .map(|name| result(name, ProbeVerdict::Unproven, detail.clone()))
                .into();
        }
        let deterministic = difference(&replies[0], &replies[1]);
        let parity = difference(&replies[1], &replies[2]);
        let determinism = match &deterministic {
            None => result(
                ProbeName::Determinism,
                ProbeVerdict::Proven,
                "the same greedy request gave the same reply twice".to_owned(),
            ),
            Some(what) => result(
                ProbeName::Determinism,
                ProbeVerdict::Violated,
                format!("the same greedy request gave two replies: {what}"),
            ),
        };
        let streaming = match (parity, deterministic) {
            (None, _) => result(
                ProbeName::Streaming,
                ProbeVerdict::Proven,
                "streamed and whole reply are the same".to_owned(),
            ),
            (Some(what), None) => ProbeResult {
                code: Some(Code::StreamMismatch),
                ..result(
                    ProbeName::Streaming,
                    ProbeVerdict::Violated,
                    format!("streamed and whole reply differ: {what}"),
                )
            },
            (Some(what), Some(_)) => result(
                ProbeName::Streaming,
                ProbeVerdict::Unproven,
                format!("they differ ({what}), but so do two whole replies"),
            ),
        };
        vec![determinism, streaming]
    }
}

/// A limit of ours ended the reply, at whatever it had come to by then.
fn is_ended_by_us(reply: &GenerateReply) -> bool {
    matches!(
        reply.stop_reason,
        StopReason::TimeLimit | StopReason::Cancelled
    )
}

/// The reply might have gone on.
fn is_cut(reply: &GenerateReply) -> bool {
    is_ended_by_us(reply) || reply.stop_reason == StopReason::MaxTokens
}

/// Cut as it was, the text might have become what was asked for: there is none yet, thoughts come
/// first, or it begins like it. Where a form is held, nothing else can be written before it.
fn might_begin(reply: &GenerateReply, starts: &[char]) -> bool {
    let text = reply.text.trim_start();
    text.is_empty() || reply.reasoning.is_some() || text.starts_with(starts)
}

/// Where two replies differ in what they say.
fn difference(one: &GenerateReply, other: &GenerateReply) -> Option<String> {
    if one.text.trim() != other.text.trim() {
        return Some(format!(
            "the text is {} and {}",
            quoted(&one.text),
            quoted(&other.text)
        ));
    }
    let calls = |reply: &GenerateReply| -> Vec<(String, serde_json::Value)> {
        reply
            .calls
            .iter()
            .map(|call| (call.name.clone(), call.arguments.clone()))
            .collect()
    };
    if calls(one) != calls(other) {
        return Some(format!(
            "{} calls and {}, or other arguments",
            one.calls.len(),
            other.calls.len()
        ));
    }
    (one.stop_reason != other.stop_reason).then(|| {
        format!(
            "they end for other reasons ({:?}, {:?})",
            one.stop_reason, other.stop_reason
        )
    })
}

fn forced(mechanism: Mechanism) -> ConstraintText {
    match mechanism {
        Mechanism::Llguidance => {
            ConstraintText::Lark(format!("%llguidance {{}}\nstart: \"{FORCED_WORD}\"\n"))
        }
        Mechanism::Gbnf => ConstraintText::Gbnf(format!("root ::= \"{FORCED_WORD}\"\n")),
        Mechanism::JsonSchema => ConstraintText::JsonSchema(serde_json::json!({
            "type": "object",
            "properties": {"word": {"type": "string", "enum": [FORCED_WORD]}},
            "required": ["word"], "additionalProperties": false
        })),
        Mechanism::StrictTools => ConstraintText::StrictTools,
    }
}

fn has_code(decoded: &Decoded, code: Code) -> bool {
    decoded.strict.violations.iter().any(|v| v.code == code)
}

fn result(probe: ProbeName, verdict: ProbeVerdict, detail: String) -> ProbeResult {
    ProbeResult {
        probe,
        verdict,
        code: None,
        detail,
        value: None,
        cap: None,
    }
}

fn failed(probe: ProbeName, error: &ProviderError) -> ProbeResult {
    result(
        probe,
        ProbeVerdict::Unproven,
        format!("the probe could not run: {error}"),
    )
}

fn quoted(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((at, _)) => format!("`{}…`", &line[..at]),
        None => format!("`{line}`"),
    }
}
