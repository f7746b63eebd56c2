//! Long prompts: how many tokens a server reports, whether it cuts, what it keeps for the next time.
//!
//! Data in: prompts of known length and what is reported of them. Data out: the probes of truncation
//! and of the prompt cache, and what tells in a trial that its prompt was cut. Invariants: tokens for
//! each character are learnt from prompts that were not cut; noise is never called a cache.

use super::questions::filler;
use super::{Probing, REPLY_TOKENS, failed, result};
use crate::types::probe::{ProbeName, ProbeResult, ProbeSet, ProbeVerdict};
use crate::types::{
    Code, GenerateReply, Prompt, ProviderError, StopReason, ToolChoice, ToolDefinition,
};

/// Most tokens of the long prompt: enough for the contexts that servers cut to by default.
pub(super) const MOST_PROMPT_TOKENS: u32 = 6_000;
/// Share of the context that the long prompt fills.
pub(super) const FILLED: f64 = 0.8;
/// Characters of the prompts that tokens are counted with, beside one without any prose.
pub(super) const SHORT_CHARACTERS: usize = 1_500;
pub(super) const LONGER_CHARACTERS: usize = 4_500;
/// Fewest characters that a cap is looked for below.
const FEWEST_CHARACTERS: usize = 40;
/// Reported tokens under this share of those expected mean that a probe's prompt was cut: its prose
/// repeats one sentence, whose tokens for each character do not vary.
const WHOLE: f64 = 0.95;
/// The same for any text, where the server is known to cut.
const WHOLE_OF_ANY_TEXT: f64 = 0.85;
/// The same where nothing is known against the server: texts differ in tokens for each character.
const CERTAIN: f64 = 0.5;
/// Names, schemas and other scripts have up to so many times the tokens of prose.
const DENSEST: f64 = 2.0;
/// Numbers of tokens that differ by so few are the same cap: a cut may fall between two pieces.
const FEW: u32 = 4;
/// Time that a repeated prompt must save to be told from noise, in milliseconds.
const CLEAR_MS: f64 = 50.0;
/// Start of the second prompt that a cache is tried with.
const OTHER_START: usize = 60;

/// What is known of how a server counts prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::runner) struct PromptCount {
    tokens_per_character: f64,
    /// The server was seen to cut.
    cuts: bool,
    /// To this many tokens.
    cap: Option<u32>,
}

impl PromptCount {
    /// As the probes of a route have shown, where they could count.
    pub(in crate::runner) fn of(set: Option<&ProbeSet>) -> Option<Self> {
        let result = set?.result(ProbeName::Truncation)?;
        Some(Self {
            tokens_per_character: result.value?,
            cuts: result.verdict == ProbeVerdict::Violated,
            cap: result.cap,
        })
    }

    /// Whether a reply's prompt was cut: as many tokens are reported as the server cuts to while
    /// more can be expected, or far fewer than the text has.
    pub(in crate::runner) fn was_cut(&self, prompt: &Prompt, reply: &GenerateReply) -> bool {
        let reported = reply.usage.prompt_tokens;
        if reported == 0 {
            return false;
        }
        let tokens = |characters: usize| characters as f64 * self.tokens_per_character;
        let written = tokens(certain_characters(prompt));
        if let Some(cap) = self.cap
            && reported.abs_diff(cap) <= FEW
        {
            let possible = DENSEST * (written + tokens(tool_characters(prompt)));
            return possible > f64::from(cap);
        }
        if self.cuts {
            return f64::from(reported) < WHOLE_OF_ANY_TEXT * written;
        }
        written > 200.0 && f64::from(reported) < CERTAIN * written
    }
}

/// Characters of a prompt that certainly become tokens: for chats only what the messages say, since
/// a server writes tools in a form of its own.
fn certain_characters(prompt: &Prompt) -> usize {
    match prompt {
        Prompt::Text { prefix, rest } => prefix.chars().count() + rest.chars().count(),
        Prompt::Chat { messages, .. } => messages
            .iter()
            .map(|message| message.content.chars().count())
            .sum(),
    }
}

/// Characters of the tools that a server writes into the prompt, about.
fn tool_characters(prompt: &Prompt) -> usize {
    let of_tool = |tool: &ToolDefinition| {
        let schema = tool.input_schema.to_string();
        tool.name.len() + tool.description.len() + schema.len()
    };
    match prompt {
        Prompt::Text { .. } => 0,
        Prompt::Chat { tools, .. } => tools.iter().map(of_tool).sum(),
    }
}

/// Tokens of prompts that were not cut, by their characters.
#[derive(Clone, Copy)]
struct Rate {
    /// Of the prompt without prose.
    least: u32,
    each: f64,
}

impl Rate {
    fn between(least: u32, characters: usize, tokens: u32) -> Self {
        Self {
            least,
            each: f64::from(tokens.saturating_sub(least)) / characters as f64,
        }
    }

    fn expected(self, characters: usize) -> f64 {
        f64::from(self.least) + self.each * characters as f64
    }

    fn characters(self, tokens: f64) -> usize {
        ((tokens - f64::from(self.least)) / self.each).max(0.0) as usize
    }

    fn is_cut(self, characters: usize, reported: u32) -> bool {
        f64::from(reported) + f64::from(FEW) < WHOLE * self.expected(characters)
    }
}

impl Probing<'_> {
    /// Prompts of known length: tokens for each character, then a prompt that nearly fills the
    /// context, twice.
    pub(super) async fn long_prompts(&self) -> Vec<ProbeResult> {
        match self.counted().await {
            Ok(results) => results,
            Err(error) => vec![
                failed(ProbeName::Truncation, &error),
                failed(ProbeName::PromptCache, &error),
            ],
        }
    }

    async fn counted(&self) -> Result<Vec<ProbeResult>, ProviderError> {
        let least = self.tokens(0).await?;
        let short = self.tokens(SHORT_CHARACTERS).await?;
        let (Some(least), Some(short)) = (least, short) else {
            return Ok(vec![refused(SHORT_CHARACTERS, None)]);
        };
        let rate = Rate::between(least, SHORT_CHARACTERS, short);
        let Some(longer) = self.tokens(LONGER_CHARACTERS).await? else {
            return Ok(vec![refused(LONGER_CHARACTERS, Some(rate))]);
        };
        if longer <= least + FEW {
            return Ok(vec![uncounted(longer)]);
        }
        if short + FEW >= longer || rate.is_cut(LONGER_CHARACTERS, longer) {
            let rate = self.rate_below(longer, least, short).await?;
            return self.cut(rate, LONGER_CHARACTERS, longer).await;
        }
        let context = self.model.facts.context_tokens.min(self.context_tokens);
        let tokens = (f64::from(context) * FILLED - f64::from(REPLY_TOKENS))
            .min(f64::from(MOST_PROMPT_TOKENS))
            .max(f64::from(longer));
        let characters = rate.characters(tokens);
        let first = match self.filled(characters, 0).await {
            Err(error) if is_refusal(&error) => return Ok(vec![refused(characters, Some(rate))]),
            other => other?,
        };
        let reported = first.usage.prompt_tokens;
        if rate.is_cut(characters, reported) {
            return self.cut(rate, characters, reported).await;
        }
        let truncation = ProbeResult {
            value: Some(rate.each),
            ..result(
                ProbeName::Truncation,
                ProbeVerdict::Proven,
                counts(reported, rate.expected(characters)),
            )
        };
        Ok(vec![truncation, self.cache(characters, &first).await?])
    }

    /// Tokens for each character of prompts shorter than those that are cut to `cap`.
    async fn rate_below(&self, cap: u32, least: u32, short: u32) -> Result<Rate, ProviderError> {
        let (mut characters, mut tokens) = (SHORT_CHARACTERS, short);
        while tokens + FEW >= cap && characters / 2 >= FEWEST_CHARACTERS {
            characters /= 2;
            tokens = self.tokens(characters).await?.unwrap_or(tokens);
        }
        Ok(Rate::between(least, characters, tokens))
    }

    /// A prompt was cut. To which number shows one of another length: what is reported of it is the
    /// same.
    async fn cut(
        &self,
        rate: Rate,
        characters: usize,
        reported: u32,
    ) -> Result<Vec<ProbeResult>, ProviderError> {
        let expected = rate.expected(characters);
        let other = self.tokens(characters + characters / 10).await?;
        let cap = other
            .filter(|other| other.abs_diff(reported) <= FEW)
            .map(|other| other.max(reported));
        let truncation = ProbeResult {
            code: Some(Code::PromptTruncated),
            value: Some(rate.each),
            cap,
            ..result(
                ProbeName::Truncation,
                ProbeVerdict::Violated,
                format!(
                    "a long prompt was cut without a word: {}; set the server's context to at least {}",
                    counts(reported, expected),
                    self.context_tokens
                ),
            )
        };
        let cache = result(
            ProbeName::PromptCache,
            ProbeVerdict::Unproven,
            "long prompts are cut".to_owned(),
        );
        Ok(vec![truncation, cache])
    }

    /// A prompt again; where that is much faster, another one twice, since one slow reply proves
    /// nothing.
    async fn cache(
        &self,
        characters: usize,
        first: &GenerateReply,
    ) -> Result<ProbeResult, ProviderError> {
        let second = self.filled(characters, 0).await?;
        let is_told = second.usage.cached_tokens > 0;
        let mut verdict = ProbeVerdict::Unproven;
        if is_told {
            verdict = ProbeVerdict::Proven;
        } else if is_faster(first, &second) {
            let other = self.filled(characters, OTHER_START).await?;
            let again = self.filled(characters, OTHER_START).await?;
            if is_faster(&other, &again) {
                verdict = ProbeVerdict::Proven;
            }
        }
        let detail = format!(
            "the same prompt again: {} of {} tokens reported as cached, first token after {:.0} ms instead of {:.0} ms",
            second.usage.cached_tokens,
            second.usage.prompt_tokens,
            first_token_ms(&second),
            first_token_ms(first)
        );
        Ok(ProbeResult {
            value: Some(first_token_ms(&second) / first_token_ms(first))
                .filter(|ratio| ratio.is_finite()),
            ..result(ProbeName::PromptCache, verdict, detail)
        })
    }

    /// Reported tokens of a prompt of so many characters; `None` where it is refused as too long.
    async fn tokens(&self, characters: usize) -> Result<Option<u32>, ProviderError> {
        match self.filled(characters, 0).await {
            Ok(reply) => Ok(Some(reply.usage.prompt_tokens)),
            Err(error) if is_refusal(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn filled(
        &self,
        characters: usize,
        start: usize,
    ) -> Result<GenerateReply, ProviderError> {
        let offer = self.offer(Vec::new(), ToolChoice::None);
        let mut request = self.request(&offer, &filler(characters, start));
        request.max_tokens = 2;
        let reply = self.send(&request).await?;
        if reply.stop_reason == StopReason::TimeLimit {
            // The numbers come with the end, which did not.
            let limit_ms = self.limit_ms;
            return Err(ProviderError::Unanswered { limit_ms });
        }
        Ok(reply)
    }
}

fn is_refusal(error: &ProviderError) -> bool {
    matches!(
        error,
        ProviderError::ContextOverflow { .. } | ProviderError::PromptTooLong { .. }
    )
}

fn counts(reported: u32, expected: f64) -> String {
    format!("{reported} tokens reported of about {expected:.0} expected")
}

fn refused(characters: usize, rate: Option<Rate>) -> ProbeResult {
    let length = match rate {
        Some(rate) => format!("about {:.0} tokens", rate.expected(characters)),
        None => format!("{characters} characters"),
    };
    ProbeResult {
        value: rate.map(|rate| rate.each),
        ..result(
            ProbeName::Truncation,
            ProbeVerdict::Proven,
            format!("a prompt of {length} was refused, not cut"),
        )
    }
}

fn uncounted(reported: u32) -> ProbeResult {
    let detail = match reported {
        0 => "the server does not say how many tokens a prompt has".to_owned(),
        _ => format!("the server reports {reported} tokens for prompts of any length"),
    };
    result(ProbeName::Truncation, ProbeVerdict::Unproven, detail)
}

fn first_token_ms(reply: &GenerateReply) -> f64 {
    let timing = &reply.timing;
    timing.first_token_ms.unwrap_or(timing.total_ms)
}

fn is_faster(first: &GenerateReply, second: &GenerateReply) -> bool {
    let (first, second) = (first_token_ms(first), first_token_ms(second));
    second < 0.5 * first && first - second >= CLEAR_MS
}
