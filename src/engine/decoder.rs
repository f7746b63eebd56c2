//! The one sequence that is decoded, and its kept prefixes.
//!
//! Data in: tokens. Data out: logits, sequence snapshots. Invariants: a prompt is decoded in chunks
//! with fixed boundaries counted from where it starts; a prefix always goes through its snapshot,
//! just built or kept, so the cache cells hold the same bytes in the same places either way.

use std::sync::atomic::{AtomicBool, Ordering};

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::{LlamaStateSeqFlags, SeqState};

use crate::clock::Stopwatch;
use crate::types::generate::{ProviderError, StopReason};
use crate::weights::memory::BATCH_TOKENS;

/// The only sequence in use.
const SEQUENCE: i32 = 0;

/// What may end a reply from outside.
pub(super) struct Guard<'flag> {
    pub(super) watch: Stopwatch,
    pub(super) limit_ms: u64,
    pub(super) cancelled: &'flag AtomicBool,
}

impl Guard<'_> {
    /// The reason to stop now, if there is one.
    pub(super) fn interruption(&self) -> Option<StopReason> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Some(StopReason::Cancelled);
        }
        let over = self.watch.elapsed().as_millis() >= u128::from(self.limit_ms);
        over.then_some(StopReason::TimeLimit)
    }
}

/// A context with one sequence.
pub(super) struct Decoder<'model> {
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    /// Tokens decoded so far.
    position: usize,
    /// Index in the batch of the token whose logits were asked for.
    logits_at: i32,
}

impl<'model> Decoder<'model> {
    pub(super) fn new(context: LlamaContext<'model>) -> Self {
        Self {
            context,
            batch: LlamaBatch::new(BATCH_TOKENS as usize, 1),
            position: 0,
            logits_at: 0,
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) -> Result<(), ProviderError> {
        self.context
            .clear_kv_cache_seq(None, None, None)
            .map_err(|error| broken(&error))?;
        self.position = 0;
        Ok(())
    }

    /// Decodes tokens after what is there; the logits are those after the last token, when asked
    /// for. Answers with the reason when it was interrupted between chunks.
    pub(super) fn feed(
        &mut self,
        tokens: &[LlamaToken],
        wants_logits: bool,
        guard: &Guard<'_>,
    ) -> Result<Option<StopReason>, ProviderError> {
        let mut left = tokens.len();
        for chunk in tokens.chunks(BATCH_TOKENS as usize) {
            if let Some(reason) = guard.interruption() {
                return Ok(Some(reason));
            }
            left -= chunk.len();
            self.decode_chunk(chunk, wants_logits && left == 0)?;
        }
        Ok(None)
    }

    fn decode_chunk(
        &mut self,
        chunk: &[LlamaToken],
        wants_logits: bool,
    ) -> Result<(), ProviderError> {
        self.batch.clear();
        for (index, token) in chunk.iter().enumerate() {
            let position = i32::try_from(self.position + index).unwrap_or(i32::MAX);
            let is_last = index + 1 == chunk.len();
            self.batch
                .add(*token, position, &[SEQUENCE], wants_logits && is_last)
                .map_err(|error| broken(&error))?;
        }
        self.context
            .decode(&mut self.batch)
            .map_err(|error| broken(&error))?;
        self.position += chunk.len();
        self.logits_at = self.batch.n_tokens() - 1;
        Ok(())
    }

    /// Waits until what was decoded is really computed; for timing.
    pub(super) fn settle(&self) {
        self.context.synchronize();
    }

    /// Logits after the last token fed with `wants_logits`.
    pub(super) fn logits(&self) -> &[f32] {
        self.context.get_logits_ith(self.logits_at)
    }

    /// A copy of the sequence as it stands.
    pub(super) fn snapshot(&self) -> Result<SeqState, ProviderError> {
        self.context
            .state_seq_get(SEQUENCE, LlamaStateSeqFlags::empty())
            .map_err(|error| broken(&error))
    }

    /// Makes the sequence what the snapshot of `tokens` tokens holds.
    pub(super) fn restore(&mut self, state: &SeqState, tokens: usize) -> Result<(), ProviderError> {
        self.clear()?;
        self.context
            .state_seq_set(state, SEQUENCE)
            .map_err(|error| broken(&error))?;
        self.position = tokens;
        Ok(())
    }
}

fn broken(error: &dyn std::fmt::Display) -> ProviderError {
    ProviderError::Crashed {
        detail: format!("llama.cpp failed: {error}"),
    }
}
