//! Probes: what a server does with a route, tried before any cell is credited to it.
//!
//! Data in: a provider, what it says of itself, and the route of a cell. Data out: a [`ProbeSet`].
//! Invariants: a handful of short requests, none of them a case; every request has the trial's own
//! time limit; a probe that fails to run is `unproven` with the reason and stops no other.

mod questions;
#[cfg(test)]
mod tests;

use tokio_util::sync::CancellationToken;

use super::prepare::PreparedModel;
use crate::dialect::{Dialect, Offer, dialect};
use crate::model::Provider;
use crate::types::cell::Reasoning;
use crate::types::probe::{ProbeName, ProbeResult, ProbeSet, ProbeVerdict};
use crate::types::{
    Code, ConstraintText, Decoded, DialectName, GenerateReply, GenerateRequest, Mechanism, Message,
    Prompt, ProviderError, Role, Route, Sampling, StopReason, ToolChoice, ToolDefinition, Wire,
};
use questions::{FORCED_WORD, colour_tool, filler, greeting, questions, tools};

/// Longest reply of a probe, in tokens.
const REPLY_TOKENS: u32 = 96;
/// Most tokens of the long prompt: enough for the contexts that servers cut to by default.
const MOST_PROMPT_TOKENS: u32 = 6_000;
/// Share of the context that the long prompt fills.
const FILLED: f64 = 0.8;
/// Reported tokens under this share of those expected mean that the prompt was cut.
const WHOLE: f64 = 0.85;
/// Characters of the two prompts that tokens are counted with.
const SHORT_CHARACTERS: usize = 1_500;
const LONGER_CHARACTERS: usize = 4_500;
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
}

/// Tries everything that the route has a use for.
pub async fn probe(name: &str, probing: &Probing<'_>) -> ProbeSet {
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
        self.provider.generate(request, self.cancel).await
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
        let required = match self.ask(tools(), ToolChoice::Required, greeting()).await {
            Ok(asked) => asked,
            Err(error) => return failed(name, &error),
        };
        let unenforced = |detail: String| ProbeResult {
            code: Some(Code::ConstraintUnenforced),
            ..result(name, ProbeVerdict::Violated, detail)
        };
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
        self.obedience(obeyed, &quoted(&reply.text), reply.stop_reason)
    }

    fn obedience(&self, obeyed: bool, seen: &str, stop: StopReason) -> ProbeResult {
        let name = ProbeName::Constraint;
        let mechanism = self.route.mechanism.map_or("none", Mechanism::as_str);
        if obeyed {
            return result(
                name,
                ProbeVerdict::Proven,
                format!("asked for something else, it wrote the only text that {mechanism} allows"),
            );
        }
        if stop == StopReason::MaxTokens {
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
        self.obedience(
            obeyed,
            &quoted(&call.arguments.to_string()),
            reply.stop_reason,
        )
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

    /// Prompts of known length: tokens for each character, then a prompt that nearly fills the
    /// context, twice.
    async fn long_prompts(&self) -> Vec<ProbeResult> {
        match self.counted().await {
            Ok(results) => results,
            Err(error) => vec![
                failed(ProbeName::Truncation, &error),
                failed(ProbeName::PromptCache, &error),
            ],
        }
    }

    async fn counted(&self) -> Result<Vec<ProbeResult>, ProviderError> {
        let short = self.filled(SHORT_CHARACTERS).await?;
        let longer = self.filled(LONGER_CHARACTERS).await?;
        let rate = f64::from(
            longer
                .usage
                .prompt_tokens
                .saturating_sub(short.usage.prompt_tokens),
        ) / (LONGER_CHARACTERS - SHORT_CHARACTERS) as f64;
        if rate <= 0.0 {
            let unproven = result(
                ProbeName::Truncation,
                ProbeVerdict::Unproven,
                "the server does not say how many tokens a prompt has".to_owned(),
            );
            return Ok(vec![unproven]);
        }
        let context = self.model.facts.context_tokens.min(self.context_tokens);
        let tokens = (f64::from(context) * FILLED - f64::from(REPLY_TOKENS)).clamp(
            f64::from(longer.usage.prompt_tokens),
            f64::from(MOST_PROMPT_TOKENS),
        );
        let base = f64::from(short.usage.prompt_tokens) - rate * SHORT_CHARACTERS as f64;
        let characters = ((tokens - base) / rate) as usize;
        let expected = base + rate * characters as f64;
        let first = match self.filled(characters).await {
            Err(ProviderError::ContextOverflow { .. }) => {
                return Ok(vec![ProbeResult {
                    value: Some(rate),
                    ..result(
                        ProbeName::Truncation,
                        ProbeVerdict::Proven,
                        format!("a prompt of about {expected:.0} tokens was refused, not cut"),
                    )
                }]);
            }
            other => other?,
        };
        let reported = f64::from(first.usage.prompt_tokens);
        let detail = format!("{reported:.0} tokens reported of about {expected:.0} expected");
        let truncation = if reported < WHOLE * expected {
            ProbeResult {
                code: Some(Code::PromptTruncated),
                value: Some(rate),
                ..result(
                    ProbeName::Truncation,
                    ProbeVerdict::Violated,
                    format!(
                        "a long prompt was cut without a word: {detail}; set the server's context to at least {}",
                        self.context_tokens
                    ),
                )
            }
        } else {
            ProbeResult {
                value: Some(rate),
                ..result(ProbeName::Truncation, ProbeVerdict::Proven, detail)
            }
        };
        let second = self.filled(characters).await?;
        Ok(vec![truncation, cache_effect(&first, &second)])
    }

    async fn filled(&self, characters: usize) -> Result<GenerateReply, ProviderError> {
        let offer = self.offer(Vec::new(), ToolChoice::None);
        let mut request = self.request(&offer, &filler(characters));
        request.max_tokens = 2;
        self.send(&request).await
    }
}

fn cache_effect(first: &GenerateReply, second: &GenerateReply) -> ProbeResult {
    let name = ProbeName::PromptCache;
    let time = |reply: &GenerateReply| reply.timing.first_token_ms.unwrap_or(reply.timing.total_ms);
    let ratio = time(second) / time(first).max(0.001);
    let cached = second.usage.cached_tokens;
    let detail = format!(
        "the same prompt again: {cached} of {} tokens reported as cached, first token after {:.0} ms instead of {:.0} ms",
        second.usage.prompt_tokens,
        time(second),
        time(first)
    );
    let verdict = if cached > 0 || ratio < 0.5 {
        ProbeVerdict::Proven
    } else {
        ProbeVerdict::Unproven
    };
    ProbeResult {
        value: Some(ratio),
        ..result(name, verdict, detail)
    }
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

/// Characters of a prompt that certainly become tokens: for chats only what the messages say, since
/// a server writes tools in a form of its own.
pub(super) fn certain_characters(prompt: &Prompt) -> usize {
    match prompt {
        Prompt::Text { prefix, rest } => prefix.chars().count() + rest.chars().count(),
        Prompt::Chat { messages, .. } => messages
            .iter()
            .map(|message| message.content.chars().count())
            .sum(),
    }
}

/// Whether a reply's prompt was cut: far fewer tokens are reported than its text can have.
pub(super) fn was_cut(prompt: &Prompt, reply: &GenerateReply, tokens_per_character: f64) -> bool {
    /// Texts differ in tokens for each character; a reported number under this share of what plain
    /// prose would have is no such difference.
    const CERTAIN: f64 = 0.5;
    let expected = certain_characters(prompt) as f64 * tokens_per_character;
    let reported = f64::from(reply.usage.prompt_tokens);
    reported > 0.0 && expected > 200.0 && reported < CERTAIN * expected
}
