//! Texts to tokens and back.
//!
//! Data in: prompt texts, forced bytes, tokens. Data out: tokens, bytes. Invariants: the
//! begin-of-sequence token is there once when the model wants it; a prefix is cut only where
//! tokenising in two parts equals tokenising the whole; forced bytes come back as tokens that spell
//! exactly these bytes, or not at all.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::vocab::LlamaVocab;
use toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};

/// First byte of a special token's entry in the token table, so that no text can spell it.
const SPECIAL_MARKER: u8 = TokTrie::SPECIAL_TOKEN_MARKER;
/// Put before bytes that stand inside a text, for tokenizers that add a space at the start.
const ANCHOR: &[u8] = b"\n";

/// A tokenised prompt.
pub(super) struct PromptTokens {
    /// All tokens.
    pub(super) tokens: Vec<LlamaToken>,
    /// How many of them belong to the shared prefix; 0 when it cannot be cut off.
    pub(super) shared: usize,
}

/// The model's vocabulary.
pub(super) struct Vocabulary<'model> {
    inner: LlamaVocab<'model>,
    /// The begin-of-sequence token that prompts get, with its text.
    added_bos: Option<(LlamaToken, String)>,
}

impl<'model> Vocabulary<'model> {
    pub(super) fn new(model: &'model LlamaModel) -> Self {
        let inner = model.vocab();
        let bos = inner.bos();
        let added_bos = (inner.should_add_bos() && bos.0 >= 0).then(|| {
            let text = special_text(&inner, bos);
            (bos, text)
        });
        Self { inner, added_bos }
    }

    pub(super) fn adds_bos(&self) -> bool {
        self.added_bos.is_some()
    }

    pub(super) fn bos_text(&self) -> String {
        special_text(&self.inner, self.inner.bos())
    }

    pub(super) fn eos_text(&self) -> String {
        special_text(&self.inner, self.inner.eos())
    }

    /// A token that can be decoded to warm the model up.
    pub(super) fn any_token(&self) -> LlamaToken {
        LlamaToken(self.inner.bos().0.max(0))
    }

    pub(super) fn ends_generation(&self, token: LlamaToken) -> bool {
        self.inner.is_eog(token)
    }

    /// Adds a token's bytes to `bytes`, special tokens as their text.
    pub(super) fn push_piece(&self, token: LlamaToken, bytes: &mut Vec<u8>) {
        self.inner.token_to_piece_into(token, bytes, true, None);
    }

    /// Tokenises a prompt and finds where its shared prefix ends.
    pub(super) fn prompt(&self, prefix: &str, rest: &str) -> PromptTokens {
        let tokens = self.text_tokens(&format!("{prefix}{rest}"));
        let mut shared = 0;
        if !prefix.is_empty() {
            let alone = self.text_tokens(prefix);
            // The last token must be computed with the rest: a snapshot keeps no logits.
            if alone.len() < tokens.len() && tokens.starts_with(&alone) {
                shared = alone.len();
            }
        }
        PromptTokens { tokens, shared }
    }

    fn text_tokens(&self, text: &str) -> Vec<LlamaToken> {
        let mut tokens = Vec::with_capacity(text.len() / 3 + 8);
        if let Some((bos, bos_text)) = &self.added_bos
            && (bos_text.is_empty() || !text.starts_with(bos_text.as_str()))
        {
            tokens.push(*bos);
        }
        self.inner
            .tokenize_into(text.as_bytes(), &mut tokens, false, true);
        tokens
    }

    /// Tokens that spell exactly `bytes` inside a text; `None` where the tokenizer cannot.
    pub(super) fn inner_tokens(&self, bytes: &[u8]) -> Option<Vec<LlamaToken>> {
        let whole_characters = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let bytes = &bytes[..whole_characters];
        if bytes.is_empty() {
            return None;
        }
        let plain = self.inner.tokenize(bytes, false, false);
        if self.spells(&plain, bytes) {
            return Some(plain);
        }
        let anchored = self.inner.tokenize(&[ANCHOR, bytes].concat(), false, false);
        let mut spelled = Vec::new();
        let first = anchored.iter().position(|token| {
            self.inner
                .token_to_piece_into(*token, &mut spelled, false, None);
            spelled.ends_with(ANCHOR)
        })?;
        let inner = anchored[first + 1..].to_vec();
        self.spells(&inner, bytes).then_some(inner)
    }

    fn spells(&self, tokens: &[LlamaToken], bytes: &[u8]) -> bool {
        let mut spelled = Vec::with_capacity(bytes.len());
        for token in tokens {
            self.inner
                .token_to_piece_into(*token, &mut spelled, false, None);
        }
        spelled == bytes
    }

    /// The token table that grammars work on. Slow (tens to hundreds of milliseconds).
    pub(super) fn token_table(&self) -> TokEnv {
        let words: Vec<Vec<u8>> = self.inner.tokens().map(|token| self.word(token)).collect();
        let ends: Vec<u32> = self
            .inner
            .tokens()
            .filter(|token| self.inner.is_eog(*token))
            .map(|token| token.0.cast_unsigned())
            .collect();
        let end_of_turn = self.inner.eot();
        let main_end = if end_of_turn.0 >= 0 {
            end_of_turn
        } else {
            self.inner.eos()
        };
        let main_end = if main_end.0 >= 0 {
            main_end.0.cast_unsigned()
        } else {
            ends.first().copied().unwrap_or(0)
        };
        let info = TokRxInfo::new(self.inner.n_tokens().cast_unsigned(), main_end);
        let mut all_ends = vec![main_end];
        all_ends.extend(ends.into_iter().filter(|token| *token != main_end));
        // All of them: a model may end its turn with any, and a masked one would make it run on.
        let trie = TokTrie::from(&info, &words).with_eos_tokens(&all_ends);
        std::sync::Arc::new(ApproximateTokEnv::new(trie))
    }

    fn word(&self, token: LlamaToken) -> Vec<u8> {
        let bytes = self.inner.token_to_piece(token, false, None);
        if !bytes.is_empty() {
            return bytes;
        }
        let special = self.inner.token_to_piece(token, true, None);
        if special.is_empty() {
            return special;
        }
        [&[SPECIAL_MARKER][..], &special].concat()
    }
}

fn special_text(vocabulary: &LlamaVocab<'_>, token: LlamaToken) -> String {
    if token.0 < 0 {
        return String::new();
    }
    vocabulary
        .text(token)
        .map(|text| text.to_string_lossy().into_owned())
        .unwrap_or_default()
}
