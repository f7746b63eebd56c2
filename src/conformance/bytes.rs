//! llguidance over single bytes: the one place outside the engine that runs grammars.
//!
//! Data in: a grammar, then bytes. Data out: whether they are taken, which may come next, whether
//! the text may end. Invariants: each cursor starts fresh; an error of the parser is passed on,
//! and so is a panic of its compiler.

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, InferenceCapabilities};
use llguidance::{Matcher, ParserFactory, panic_utils};

use crate::types::Grammar;
use crate::types::grammar::MASK_SLICES;

/// Longest reason.
const MOST_REASON: usize = 300;

/// A token table with one token for each byte, and an end.
pub struct ByteTable {
    factory: ParserFactory,
}

impl ByteTable {
    /// The table. Fails only where llguidance cannot start at all.
    pub fn new() -> Result<Self, String> {
        let slices = MASK_SLICES.map(ToOwned::to_owned);
        let mut factory = ParserFactory::new(
            &ApproximateTokEnv::single_byte_env(),
            InferenceCapabilities::default(),
            &slices,
        )
        .map_err(|error| format!("{error:#}"))?;
        factory.quiet();
        factory.limits_mut().verbose_errors = false;
        Ok(Self { factory })
    }

    /// Compiles a grammar, or says why it is refused.
    pub fn compile(&self, grammar: &Grammar) -> Result<ByteGrammar, String> {
        let lark = grammar.to_lark();
        let parser = panic_utils::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.factory.create_parser(TopLevelGrammar::from_lark(lark))
        }))
        .map_err(|error| brief(&format!("{error:#}")))?;
        let matcher = Matcher::new(Ok(parser));
        match matcher.get_error() {
            Some(error) => Err(brief(&error)),
            None => Ok(ByteGrammar { matcher }),
        }
    }
}

/// The reason alone, without the grammar's text behind it and the place before it.
fn brief(error: &str) -> String {
    let first = error.lines().next().unwrap_or_default();
    let place = "failed to compile JSON schema: ";
    let reason = first.split_once(place).map_or(first, |(_, reason)| reason);
    reason.chars().take(MOST_REASON).collect()
}

/// A compiled grammar.
pub struct ByteGrammar {
    matcher: Matcher,
}

impl ByteGrammar {
    /// A reader that has seen nothing.
    pub fn start(&self) -> ByteCursor {
        ByteCursor {
            matcher: self.matcher.deep_clone(),
        }
    }

    /// Whether the grammar takes exactly this text.
    pub fn accepts(&self, text: &str) -> Result<bool, String> {
        let mut cursor = self.start();
        Ok(cursor.feed(text.as_bytes())? == text.len() && cursor.may_end()?)
    }
}

/// A position in a grammar.
pub struct ByteCursor {
    matcher: Matcher,
}

impl ByteCursor {
    /// Reads as many of the bytes as the grammar allows, and says how many.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, String> {
        let tokens: Vec<u32> = bytes.iter().map(|byte| u32::from(*byte)).collect();
        self.matcher
            .try_consume_tokens(&tokens)
            .map_err(|error| brief(&format!("{error:#}")))
    }

    /// Takes the last bytes back.
    pub fn undo(&mut self, bytes: usize) -> Result<(), String> {
        self.matcher
            .rollback(bytes)
            .map_err(|error| format!("{error:#}"))
    }

    /// The bytes that may come next, in order.
    pub fn allowed(&mut self) -> Result<Vec<u8>, String> {
        if self.matcher.is_stopped() {
            return Ok(Vec::new());
        }
        let mask = self
            .matcher
            .compute_mask()
            .map_err(|error| brief(&format!("{error:#}")))?;
        Ok((0..=u8::MAX)
            .filter(|byte| mask.is_allowed(u32::from(*byte)))
            .collect())
    }

    /// Whether the text may end here.
    pub fn may_end(&mut self) -> Result<bool, String> {
        self.matcher
            .is_accepting()
            .map_err(|error| format!("{error:#}"))
    }
}
