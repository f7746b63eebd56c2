//! What the probes of a route may take, before any is sent.
//!
//! Data in: the route's wire, whether it is constrained, the context. Data out: requests and tokens,
//! as it usually goes and at the worst. Invariants: pure; counted as [`super::probe`] sends them; the
//! worst is never below what is usual.

use super::REPLY_TOKENS;
use super::length::{FILLED, LONGER_CHARACTERS, MOST_PROMPT_TOKENS, SHORT_CHARACTERS};
use super::questions::questions;
use crate::plan::{Estimate, Load};
use crate::types::Wire;

/// Prompt tokens of a question with two tools.
const USUAL_QUESTION: u64 = 250;
const LARGEST_QUESTION: u64 = 1_000;
const USUAL_REPLY: u64 = 40;
/// Tokens of a prompt of next to nothing: what a template adds.
const USUAL_LEAST: u64 = 40;
const LARGEST_LEAST: u64 = 500;
/// Characters a token.
const USUAL_CHARACTERS: u64 = 4;
const FEWEST_CHARACTERS: u64 = 2;
/// Tokens of the reply to a long prompt.
const LONG_REPLY: u64 = 2;
/// Requests with short and long prompts: three to count with and the long one twice; with the cache,
/// that one and another twice; and where a low cap is looked for, five shorter and one longer.
const USUAL_LONG: u64 = 5;
const MOST_LONG: u64 = 9;
/// Of them with the long prompt itself.
const USUAL_LONGEST: u64 = 2;
const MOST_LONGEST: u64 = 4;

/// What the probes of one route may take; `long_are_known` where another route has shown what
/// becomes of long prompts.
pub fn estimate(
    wire: Wire,
    is_constrained: bool,
    context_tokens: u32,
    long_are_known: bool,
) -> Estimate {
    let mut asked = 3 + u64::from(is_constrained);
    if wire == Wire::ChatWithTools {
        asked += questions().len() as u64 + 2;
    }
    let questions = |prompt: u64, reply: u64| Load {
        requests: asked,
        prompt_tokens: asked * prompt,
        output_tokens: asked * reply,
    };
    let mut estimate = Estimate {
        typical: questions(USUAL_QUESTION, USUAL_REPLY),
        worst: questions(LARGEST_QUESTION, u64::from(REPLY_TOKENS)),
    };
    if !long_are_known {
        let filled = (f64::from(context_tokens) * FILLED) as u64;
        let longest = filled.min(u64::from(MOST_PROMPT_TOKENS));
        let long = |requests: u64, longest_ones: u64, least: u64, characters: u64| {
            let of = |prompt: usize| least + prompt as u64 / characters;
            let counted = least + of(SHORT_CHARACTERS) + of(LONGER_CHARACTERS);
            let longest = longest.max(of(LONGER_CHARACTERS));
            Load {
                requests,
                prompt_tokens: counted + longest_ones * longest,
                output_tokens: requests * LONG_REPLY,
            }
        };
        estimate.add(Estimate {
            typical: long(USUAL_LONG, USUAL_LONGEST, USUAL_LEAST, USUAL_CHARACTERS),
            worst: long(MOST_LONG, MOST_LONGEST, LARGEST_LEAST, FEWEST_CHARACTERS),
        });
    }
    estimate
}
