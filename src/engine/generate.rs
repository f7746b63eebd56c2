//! One request in, one reply out.
//!
//! Data in: [`GenerateRequest`]. Data out: [`GenerateReply`]. Invariants: the reply is a function
//! of the request alone, whatever was asked before; nothing but the snapshots of prefixes and the
//! compiled grammars outlives a request; what a grammar forces is decoded in one batch and reads
//! the same as without forcing.

use std::sync::atomic::AtomicBool;

use llama_cpp_2::SeqState;
use llama_cpp_2::token::LlamaToken;

use super::choose::{Allowed, Chooser, Rule, best};
use super::constraint::{Constraint, Grammars};
use super::decoder::{Decoder, Guard};
use super::host;
use super::output::Output;
use super::recent::Recent;
use super::vocabulary::{PromptTokens, Vocabulary};
use crate::clock::Stopwatch;
use crate::types::generate::{
    ConstraintText, GenerateReply, GenerateRequest, Prompt, ProviderError, StopReason, Timing,
    Usage,
};
use crate::types::protocol::ForcedTokens;

/// Prefixes kept; a run rarely alternates between more cells.
const MOST_PREFIXES: usize = 4;
/// Bytes of all kept prefixes; the newest is kept whatever its size.
const MOST_PREFIX_BYTES: usize = 512 << 20;

/// Everything that answers requests for one loaded model.
pub(super) struct Generator<'model> {
    vocabulary: Vocabulary<'model>,
    decoder: Decoder<'model>,
    grammars: Grammars,
    prefixes: Recent<Vec<LlamaToken>, SeqState>,
    chooser: Chooser,
    context_tokens: usize,
    forced_tokens: ForcedTokens,
}

/// One reply while it grows.
struct Draft {
    watch: Stopwatch,
    output: Output,
    usage: Usage,
    timing: Timing,
    /// Prompt and reply, for the repeat penalty.
    tokens: Vec<u32>,
    last_token_ms: f64,
    max_tokens: u32,
    grammar_error: Option<String>,
    piece: Vec<u8>,
    marks: Vec<(u32, f32)>,
}

/// How tokens are chosen in one reply.
struct Choice<'hook> {
    rule: Rule,
    constraint: Option<Constraint>,
    /// Chooses instead of the rule; for measuring other samplers in this same loop.
    instead: Option<&'hook mut Instead<'hook>>,
}

/// Logits in, a token out.
pub(super) type Instead<'hook> = dyn FnMut(&[f32]) -> Option<u32> + 'hook;

/// What the model does next.
enum Next {
    Token(LlamaToken),
    End,
}

impl<'model> Generator<'model> {
    pub(super) fn new(
        vocabulary: Vocabulary<'model>,
        decoder: Decoder<'model>,
        grammars: Grammars,
        context_tokens: u32,
        forced_tokens: ForcedTokens,
    ) -> Self {
        Self {
            vocabulary,
            decoder,
            grammars,
            prefixes: Recent::new(MOST_PREFIXES, MOST_PREFIX_BYTES),
            chooser: Chooser::default(),
            context_tokens: context_tokens as usize,
            forced_tokens,
        }
    }

    /// Changes what is done with text that a grammar forces.
    pub(super) fn set_forced_tokens(&mut self, how: ForcedTokens) {
        self.forced_tokens = how;
    }

    /// Answers one request.
    pub(super) fn reply(
        &mut self,
        request: &GenerateRequest,
        cancelled: &AtomicBool,
    ) -> Result<GenerateReply, ProviderError> {
        self.reply_with(request, cancelled, None)
    }

    /// Answers one request, choosing tokens with `instead` when given.
    pub(super) fn reply_with<'hook>(
        &mut self,
        request: &GenerateRequest,
        cancelled: &AtomicBool,
        instead: Option<&'hook mut Instead<'hook>>,
    ) -> Result<GenerateReply, ProviderError> {
        let watch = Stopwatch::start();
        let guard = Guard {
            watch,
            limit_ms: request.time_limit_ms,
            cancelled,
        };
        let prompt = self.tokenise(request)?;
        let mut draft = Draft::new(request, &prompt, watch);
        let constraint = match &request.constraint {
            Some(ConstraintText::Lark(grammar)) => Some(self.start_grammar(grammar, &mut draft)?),
            Some(other) => {
                return Err(ProviderError::GrammarRejected {
                    detail: format!(
                        "the engine reads lark and not {}",
                        other.mechanism().as_str()
                    ),
                });
            }
            None => None,
        };
        let mut choice = Choice {
            rule: Rule::new(&request.sampling, request.seed),
            constraint,
            instead,
        };
        let stop_reason = match self.prefill(&prompt, &mut draft, &guard)? {
            Some(interrupted) => interrupted,
            None => self.decode(&mut draft, &mut choice, &guard)?,
        };
        Ok(draft.finish(stop_reason, choice.constraint.is_some()))
    }

    fn tokenise(&self, request: &GenerateRequest) -> Result<PromptTokens, ProviderError> {
        let Prompt::Text { prefix, rest } = &request.prompt else {
            return Err(ProviderError::Rejected {
                detail: "the engine continues raw text; render the messages first".to_owned(),
            });
        };
        let prompt = self.vocabulary.prompt(prefix, rest);
        if prompt.tokens.is_empty() {
            return Err(ProviderError::Rejected {
                detail: "the prompt is empty".to_owned(),
            });
        }
        if prompt.tokens.len() + 1 > self.context_tokens {
            return Err(ProviderError::ContextOverflow {
                prompt_tokens: u32::try_from(prompt.tokens.len()).unwrap_or(u32::MAX),
                context_tokens: u32::try_from(self.context_tokens).unwrap_or(u32::MAX),
            });
        }
        Ok(prompt)
    }

    fn start_grammar(
        &mut self,
        grammar: &str,
        draft: &mut Draft,
    ) -> Result<Constraint, ProviderError> {
        let watch = Stopwatch::start();
        let constraint = self
            .grammars
            .start(grammar)
            .map_err(|detail| ProviderError::GrammarRejected { detail })?;
        draft.timing.grammar_ms = watch.elapsed_ms();
        Ok(constraint)
    }

    /// Puts the prompt into the context, the shared prefix by its snapshot.
    fn prefill(
        &mut self,
        prompt: &PromptTokens,
        draft: &mut Draft,
        guard: &Guard<'_>,
    ) -> Result<Option<StopReason>, ProviderError> {
        let (shared, rest) = prompt.tokens.split_at(prompt.shared);
        let watch = Stopwatch::start();
        if shared.is_empty() {
            self.decoder.clear()?;
        } else if let Some(reason) = self.restore_prefix(shared, draft, guard)? {
            return Ok(Some(reason));
        }
        let interrupted = self.decoder.feed(rest, true, guard)?;
        self.decoder.settle();
        draft.timing.prefill_ms = watch.elapsed_ms() - draft.timing.restore_ms;
        Ok(interrupted)
    }

    /// Makes the context hold exactly the prefix, building its snapshot when there is none.
    fn restore_prefix(
        &mut self,
        shared: &[LlamaToken],
        draft: &mut Draft,
        guard: &Guard<'_>,
    ) -> Result<Option<StopReason>, ProviderError> {
        let kept = if self.prefixes.get(shared).is_some() {
            draft.usage.cached_tokens = u32::try_from(shared.len()).unwrap_or(u32::MAX);
            draft.usage.computed_tokens -= draft.usage.cached_tokens;
            true
        } else {
            self.decoder.clear()?;
            if let Some(reason) = self.decoder.feed(shared, false, guard)? {
                return Ok(Some(reason));
            }
            self.decoder.settle();
            let state = self.decoder.snapshot()?;
            let bytes = state.byte_len();
            self.prefixes.insert(shared.to_vec(), state, bytes);
            false
        };
        let watch = Stopwatch::start();
        if let Some(state) = self.prefixes.get(shared) {
            self.decoder.restore(state, shared.len())?;
        }
        if kept {
            draft.timing.restore_ms = watch.elapsed_ms();
        }
        Ok(None)
    }

    /// Generates until something ends the reply.
    fn decode(
        &mut self,
        draft: &mut Draft,
        choice: &mut Choice<'_>,
        guard: &Guard<'_>,
    ) -> Result<StopReason, ProviderError> {
        // Chosen or forced, but not yet decoded.
        let mut pending: Vec<LlamaToken> = Vec::new();
        if draft.max_tokens == 0 {
            return Ok(StopReason::MaxTokens);
        }
        loop {
            match self.force(draft, choice, &mut pending) {
                Ok(None) => {}
                Ok(Some(reason)) => return Ok(reason),
                Err(error) => return Ok(draft.fail(error)),
            }
            if !pending.is_empty() {
                if let Some(reason) = self.feed(&pending, draft, guard)? {
                    return Ok(reason);
                }
                pending.clear();
            } else if let Some(reason) = guard.interruption() {
                return Ok(reason);
            }
            match self.step(draft, choice, &mut pending) {
                Ok(None) => {}
                Ok(Some(reason)) => return Ok(reason),
                Err(error) => return Ok(draft.fail(error)),
            }
        }
    }

    /// Decodes chosen and forced tokens.
    fn feed(
        &mut self,
        pending: &[LlamaToken],
        draft: &mut Draft,
        guard: &Guard<'_>,
    ) -> Result<Option<StopReason>, ProviderError> {
        let at_once = match self.forced_tokens {
            ForcedTokens::Single => 1,
            ForcedTokens::Batch | ForcedTokens::Chosen => pending.len(),
        };
        for tokens in pending.chunks(at_once) {
            if let Some(reason) = self.decoder.feed(tokens, true, guard)? {
                return Ok(Some(reason));
            }
            draft.usage.decode_steps += 1;
        }
        Ok(None)
    }

    /// Chooses one token and adds it to the reply.
    fn step(
        &mut self,
        draft: &mut Draft,
        choice: &mut Choice<'_>,
        pending: &mut Vec<LlamaToken>,
    ) -> Result<Option<StopReason>, String> {
        match self.next(draft, choice)? {
            Next::End => Ok(Some(StopReason::Stop)),
            Next::Token(token) => {
                pending.push(token);
                let stopped = draft.add(&self.vocabulary, token);
                self.ended(draft, stopped, choice.constraint.as_ref())
            }
        }
    }

    /// Adds the tokens that the grammar forces, all but the last: that one may yet be part of a
    /// longer token.
    fn force(
        &self,
        draft: &mut Draft,
        choice: &mut Choice<'_>,
        pending: &mut Vec<LlamaToken>,
    ) -> Result<Option<StopReason>, String> {
        let Some(constraint) = &mut choice.constraint else {
            return Ok(None);
        };
        if self.forced_tokens == ForcedTokens::Chosen {
            return Ok(None);
        }
        let watch = Stopwatch::start();
        let bytes = constraint.forced_bytes()?;
        let mut tokens = match bytes.len() {
            0 | 1 => Vec::new(),
            _ => self.vocabulary.inner_tokens(&bytes).unwrap_or_default(),
        };
        tokens.pop();
        let mut ids: Vec<u32> = tokens.iter().map(|token| token.0.cast_unsigned()).collect();
        let room = (draft.max_tokens - draft.usage.output_tokens) as usize;
        let room = room.min(self.context_tokens.saturating_sub(draft.total_tokens()));
        ids.truncate(room);
        let taken = if ids.is_empty() {
            0
        } else {
            constraint.take_allowed(&ids)?
        };
        draft.timing.mask_ms += watch.elapsed_ms();
        for token in &tokens[..taken] {
            draft.usage.forced_tokens += 1;
            let stopped = draft.add(&self.vocabulary, *token);
            pending.push(*token);
            if stopped {
                return Ok(Some(StopReason::StopText));
            }
        }
        if taken == 0 {
            return Ok(None);
        }
        self.ended(draft, false, Some(constraint))
    }

    /// Chooses the next token and tells the grammar.
    fn next(&mut self, draft: &mut Draft, choice: &mut Choice<'_>) -> Result<Next, String> {
        let logits = self.decoder.logits();
        let rule = &mut choice.rule;
        let Some(constraint) = &mut choice.constraint else {
            let token = match &mut choice.instead {
                Some(instead) => instead(logits),
                None => self
                    .chooser
                    .choose(logits, Allowed::Everything, &draft.tokens, rule),
            };
            return Ok(self
                .vocabulary
                .next(token.ok_or("the model gave no logits")?));
        };
        // Mostly the model's own choice is allowed; asking for that one token is far cheaper
        // than computing the mask, and the best of all is also the best of the allowed.
        if rule.is_plain_greedy()
            && let Some(token) = best(logits, Allowed::Everything)
        {
            let watch = Stopwatch::start();
            let next = self.vocabulary.next(token);
            let taken = match next {
                Next::End => constraint.may_end()?,
                Next::Token(_) => constraint.try_take(token)?,
            };
            draft.timing.mask_ms += watch.elapsed_ms();
            if taken {
                return Ok(next);
            }
        }
        let watch = Stopwatch::start();
        let allowed = constraint.allowed()?;
        let token = self
            .chooser
            .choose(logits, allowed, &draft.tokens, rule)
            .ok_or("the grammar allows no token here")?;
        let next = self.vocabulary.next(token);
        if let Next::Token(_) = next {
            constraint.take(token)?;
        }
        draft.timing.mask_ms += watch.elapsed_ms();
        Ok(next)
    }

    /// Whether the reply is over after the last token.
    fn ended(
        &self,
        draft: &Draft,
        stopped: bool,
        constraint: Option<&Constraint>,
    ) -> Result<Option<StopReason>, String> {
        if stopped {
            return Ok(Some(StopReason::StopText));
        }
        if let Some(constraint) = constraint
            && constraint.is_complete()?
        {
            return Ok(Some(StopReason::Stop));
        }
        if draft.usage.output_tokens >= draft.max_tokens {
            return Ok(Some(StopReason::MaxTokens));
        }
        let full = draft.total_tokens() >= self.context_tokens;
        Ok(full.then_some(StopReason::ContextFull))
    }
}

impl Vocabulary<'_> {
    fn next(&self, token: u32) -> Next {
        let token = LlamaToken(token.cast_signed());
        if self.ends_generation(token) {
            Next::End
        } else {
            Next::Token(token)
        }
    }
}

impl Draft {
    fn new(request: &GenerateRequest, prompt: &PromptTokens, watch: Stopwatch) -> Self {
        let prompt_tokens = u32::try_from(prompt.tokens.len()).unwrap_or(u32::MAX);
        Self {
            watch,
            output: Output::new(&request.stop),
            usage: Usage {
                prompt_tokens,
                computed_tokens: prompt_tokens,
                ..Usage::default()
            },
            timing: Timing::default(),
            tokens: prompt
                .tokens
                .iter()
                .map(|token| token.0.cast_unsigned())
                .collect(),
            last_token_ms: 0.0,
            max_tokens: request.max_tokens,
            grammar_error: None,
            piece: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Tokens of prompt and reply.
    fn total_tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Adds a token to the reply; `true` when a stop text is complete.
    fn add(&mut self, vocabulary: &Vocabulary<'_>, token: LlamaToken) -> bool {
        self.usage.output_tokens += 1;
        self.tokens.push(token.0.cast_unsigned());
        self.last_token_ms = self.watch.elapsed_ms();
        self.timing.first_token_ms.get_or_insert(self.last_token_ms);
        self.piece.clear();
        vocabulary.push_piece(token, &mut self.piece);
        let stopped = self.output.push(&self.piece);
        let end = u32::try_from(self.output.len()).unwrap_or(u32::MAX);
        self.marks.push((end, self.last_token_ms as f32));
        stopped
    }

    /// Notes the matcher's error, which ends the reply.
    fn fail(&mut self, error: String) -> StopReason {
        self.grammar_error = Some(error);
        StopReason::Stop
    }

    fn finish(mut self, stop_reason: StopReason, constrained: bool) -> GenerateReply {
        if let Some(first) = self.timing.first_token_ms {
            self.timing.decode_ms = self.last_token_ms - first;
        }
        self.timing.total_ms = self.watch.elapsed_ms();
        GenerateReply {
            text: self.output.into_text(),
            calls: Vec::new(),
            executed: Vec::new(),
            reasoning: None,
            payload: None,
            stop_reason,
            usage: self.usage,
            timing: self.timing,
            constrained,
            grammar_error: self.grammar_error,
            token_marks: self.marks,
            peak_memory_bytes: host::peak_memory_bytes(),
        }
    }
}
