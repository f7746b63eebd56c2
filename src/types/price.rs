//! What tokens cost.
//!
//! Data in: token counts. Data out: an amount, or nothing. Invariants: an amount exists only where
//! the tokens were reported and the price covers them; nothing is ever priced at 0 for want of a
//! fact; every price says in which document, of which date, it stands.

use serde::{Deserialize, Serialize};

use super::generate::Usage;
use super::probe::ProbeLoad;

/// Tokens of a stated price.
const MILLION: f64 = 1_000_000.0;

/// The price of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Price {
    /// Currency of the amounts, such as `USD`.
    pub currency: String,
    /// A million prompt tokens.
    pub input_per_million: f64,
    /// A million prompt tokens that the server took from its cache; the full price without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_per_million: Option<f64>,
    /// A million generated tokens, thoughts included.
    pub output_per_million: f64,
    /// Longest prompt that the price holds for; longer ones cost something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_prompt_tokens: Option<u32>,
    /// Where it stands.
    pub document: String,
    /// The day on which it stood there.
    pub date: String,
}

impl Price {
    /// What so many tokens cost at the full price.
    pub fn amount(&self, prompt_tokens: u64, output_tokens: u64) -> f64 {
        (prompt_tokens as f64 * self.input_per_million
            + output_tokens as f64 * self.output_per_million)
            / MILLION
    }

    /// What one reply cost; `None` where the server did not report its tokens (no prompt has
    /// none), or the prompt is longer than the price holds for.
    pub fn of_usage(&self, usage: &Usage) -> Option<f64> {
        let covered = self
            .most_prompt_tokens
            .is_none_or(|most| usage.prompt_tokens <= most);
        (usage.prompt_tokens > 0 && covered).then(|| {
            self.with_cached(
                u64::from(usage.prompt_tokens),
                u64::from(usage.cached_tokens.min(usage.prompt_tokens)),
                u64::from(usage.output_tokens),
            )
        })
    }

    /// What probes cost; `None` where a reply did not report its tokens. Their prompts are far
    /// shorter than those that have another price.
    pub fn of_probes(&self, taken: &ProbeLoad) -> Option<f64> {
        (taken.without_tokens == 0).then(|| {
            self.with_cached(
                taken.prompt_tokens,
                taken.cached_tokens,
                taken.output_tokens,
            )
        })
    }

    fn with_cached(&self, prompt_tokens: u64, cached_tokens: u64, output_tokens: u64) -> f64 {
        let cached_price = self.cached_input_per_million;
        self.amount(
            prompt_tokens - cached_tokens.min(prompt_tokens),
            output_tokens,
        ) + cached_tokens as f64 * cached_price.unwrap_or(self.input_per_million) / MILLION
    }
}

/// An amount as people read it: two digits from 10 on, else four significant ones.
pub fn amount_in_words(amount: f64, currency: &str) -> String {
    let digits = if amount >= 10.0 || amount == 0.0 {
        2
    } else {
        let leading = amount.log10().floor() as i32;
        usize::try_from(3 - leading).unwrap_or(2).min(9)
    };
    format!("{amount:.digits$} {currency}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price() -> Price {
        Price {
            currency: "USD".to_owned(),
            input_per_million: 2.0,
            cached_input_per_million: Some(0.5),
            output_per_million: 8.0,
            most_prompt_tokens: Some(10_000),
            document: "a test".to_owned(),
            date: "2026-11-20".to_owned(),
        }
    }

    /// By hand: 600 · 2 + 400 · 0.5 + 100 · 8 = 2,200 millionths.
    #[test]
    fn cached_tokens_have_their_own_price() {
        let usage = Usage {
            prompt_tokens: 1_000,
            cached_tokens: 400,
            output_tokens: 100,
            ..Usage::default()
        };
        assert!((price().of_usage(&usage).unwrap() - 0.0022).abs() < 1e-12);
        let plain = Price {
            cached_input_per_million: None,
            ..price()
        };
        assert!((plain.of_usage(&usage).unwrap() - 0.0028).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_known_has_no_amount() {
        assert_eq!(price().of_usage(&Usage::default()), None, "not reported");
        let long = Usage {
            prompt_tokens: 10_001,
            ..Usage::default()
        };
        assert_eq!(price().of_usage(&long), None, "another price holds there");
    }

    #[test]
    fn amounts_keep_four_digits() {
        for (amount, words) in [
            (12.345, "12.35 USD"),
            (1.5, "1.500 USD"),
            (0.000_123_46, "0.0001235 USD"),
            (0.0, "0.00 USD"),
        ] {
            assert_eq!(amount_in_words(amount, "USD"), words);
        }
    }
}
