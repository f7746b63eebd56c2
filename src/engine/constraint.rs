//! Holding decoding to a grammar.
//!
//! Data in: Lark grammars, chosen tokens. Data out: which tokens are allowed next, which bytes are
//! forced. Invariants: one parser factory a model; each reply starts from a deep copy of a parser
//! that has seen nothing, so no reply leaves traces in another; every error of the matcher is
//! passed on, none is swallowed.

use llguidance::api::TopLevelGrammar;
use llguidance::{Matcher, ParserFactory};
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv};

use super::choose::Allowed;
use super::recent::Recent;
use crate::types::grammar::MASK_SLICES;

/// Compiled grammars kept; a cell uses one to a few.
const MOST_GRAMMARS: usize = 32;

/// What all grammars of a model share, and the compiled ones.
pub(super) struct Grammars {
    factory: ParserFactory,
    compiled: Recent<String, Matcher>,
}

impl Grammars {
    pub(super) fn new(token_table: &TokEnv) -> Result<Self, String> {
        let slices = MASK_SLICES.map(str::to_owned);
        let mut factory =
            ParserFactory::new(token_table, InferenceCapabilities::default(), &slices)
                .map_err(|error| format!("{error:#}"))?;
        factory.quiet();
        Ok(Self {
            factory,
            compiled: Recent::new(MOST_GRAMMARS, usize::MAX),
        })
    }

    /// A constraint at the start of `grammar`.
    pub(super) fn start(&mut self, grammar: &str) -> Result<Constraint, String> {
        if let Some(matcher) = self.compiled.get(grammar) {
            return Ok(Constraint::new(matcher.deep_clone()));
        }
        let parser = self
            .factory
            .create_parser(TopLevelGrammar::from_lark(grammar.to_owned()))
            .map_err(|error| format!("{error:#}"))?;
        let matcher = Matcher::new(Ok(parser));
        if let Some(error) = matcher.get_error() {
            return Err(error);
        }
        let constraint = Constraint::new(matcher.deep_clone());
        self.compiled.insert(grammar.to_owned(), matcher, 0);
        Ok(constraint)
    }
}

/// One reply's position in its grammar.
pub(super) struct Constraint {
    matcher: Matcher,
    mask: SimpleVob,
}

impl Constraint {
    fn new(matcher: Matcher) -> Self {
        Self {
            matcher,
            mask: SimpleVob::new(),
        }
    }

    /// The tokens allowed next.
    pub(super) fn allowed(&mut self) -> Result<Allowed<'_>, String> {
        self.mask = self
            .matcher
            .compute_mask()
            .map_err(|error| format!("{error:#}"))?;
        Ok(Allowed::Only(self.mask.as_slice()))
    }

    /// Whether the reply may end here.
    pub(super) fn may_end(&mut self) -> Result<bool, String> {
        self.matcher
            .is_accepting()
            .map_err(|error| format!("{error:#}"))
    }

    /// Takes the token if it is allowed, without computing the mask.
    pub(super) fn try_take(&mut self, token: u32) -> Result<bool, String> {
        self.matcher
            .try_consume_tokens(&[token])
            .map(|taken| taken == 1)
            .map_err(|error| format!("{error:#}"))
    }

    /// Takes a token that the mask allowed.
    pub(super) fn take(&mut self, token: u32) -> Result<(), String> {
        self.matcher
            .consume_token(token)
            .map_err(|error| format!("{error:#}"))
    }

    /// The bytes that must come next, whatever the model prefers.
    pub(super) fn forced_bytes(&mut self) -> Result<Vec<u8>, String> {
        if self.matcher.is_stopped() {
            return self.check().map(|()| Vec::new());
        }
        let bytes = self.matcher.compute_ff_bytes();
        self.check().map(|()| bytes)
    }

    /// Takes as many of `tokens` as the grammar allows, from the first.
    pub(super) fn take_allowed(&mut self, tokens: &[u32]) -> Result<usize, String> {
        self.matcher
            .try_consume_tokens(tokens)
            .map_err(|error| format!("{error:#}"))
    }

    /// Nothing can follow: the reply is complete.
    pub(super) fn is_complete(&self) -> Result<bool, String> {
        self.check().map(|()| self.matcher.is_stopped())
    }

    fn check(&self) -> Result<(), String> {
        if let Some(error) = self.matcher.get_error() {
            return Err(error);
        }
        let reason = self.matcher.stop_reason();
        if self.matcher.is_stopped() && !reason.is_ok() {
            return Err(format!("the grammar's parser stopped: {reason}"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use toktrie::ApproximateTokEnv;

    use super::*;

    const CALL: &str = r#"start: "{\"tool\":\"" ("add" | "mul") "\",\"n\":" /[0-9]{1,3}/ "}""#;

    fn grammars() -> Grammars {
        Grammars::new(&ApproximateTokEnv::single_byte_env()).unwrap()
    }

    fn take_text(constraint: &mut Constraint, text: &str) {
        for byte in text.bytes() {
            constraint.take(u32::from(byte)).unwrap();
        }
    }

    #[test]
    fn a_grammar_that_does_not_compile_says_why() {
        let error = grammars().start("start: nothing_here").err().unwrap();
        assert!(error.contains("nothing_here"), "{error}");
    }

    #[test]
    fn forced_bytes_run_up_to_the_first_choice() {
        let mut grammars = grammars();
        let mut constraint = grammars.start(CALL).unwrap();
        assert_eq!(constraint.forced_bytes().unwrap(), b"{\"tool\":\"");
        take_text(&mut constraint, "{\"tool\":\"a");
        assert_eq!(constraint.forced_bytes().unwrap(), b"dd\",\"n\":");
    }

    #[test]
    fn a_copy_starts_fresh() {
        let mut grammars = grammars();
        let mut first = grammars.start(CALL).unwrap();
        take_text(&mut first, "{\"tool\":\"add\",\"n\":12}");
        assert!(first.is_complete().unwrap());
        let mut second = grammars.start(CALL).unwrap();
        assert!(!second.is_complete().unwrap());
        assert_eq!(second.forced_bytes().unwrap(), b"{\"tool\":\"");
    }

    #[test]
    fn trying_a_token_agrees_with_the_mask() {
        let mut grammars = grammars();
        let text = "{\"tool\":\"mul\",\"n\":407}";
        for cut in 0..text.len() {
            let mut constraint = grammars.start(CALL).unwrap();
            take_text(&mut constraint, &text[..cut]);
            let Allowed::Only(words) = constraint.allowed().unwrap() else {
                panic!("a mask is a set");
            };
            let words = words.to_vec();
            for token in 0u32..256 {
                let mut trial = grammars.start(CALL).unwrap();
                take_text(&mut trial, &text[..cut]);
                let masked = words[token as usize / 32] & (1 << (token % 32)) != 0;
                assert_eq!(trial.try_take(token).unwrap(), masked, "{cut}: {token}");
            }
        }
    }

    #[test]
    fn a_token_that_is_not_allowed_is_an_error_that_stays() {
        let mut grammars = grammars();
        let mut constraint = grammars.start(CALL).unwrap();
        assert!(constraint.take(u32::from(b'x')).is_err());
        assert!(constraint.is_complete().is_err());
        assert!(constraint.forced_bytes().is_err());
    }
}
