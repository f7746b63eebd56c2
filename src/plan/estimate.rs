//! How much a trial may take before anything is sent: estimates, and how they are made.
//!
//! Data in: a plan. Data out: requests and tokens of a trial, as it usually goes and at the worst.
//! Invariants: pure; the worst is never below what is usual. Tokens are estimated from characters,
//! because no tokenizer is at hand before a model is.

use serde::Serialize;

use super::build::{Plan, PlannedTrial};
use crate::types::suite::Ends;
use crate::types::{Case, Suite, ToolDefinition};

/// Characters a token, as texts of tools and questions usually have.
const USUAL_CHARACTERS: u64 = 4;
/// Characters a token at the worst.
const FEWEST_CHARACTERS: u64 = 2;
/// A dialect's own instructions and a template's marks, in characters.
const INSTRUCTIONS: u64 = 1_200;
/// A usual reply: one call, or a sentence.
const USUAL_REPLY_TOKENS: u64 = 40;
/// A usual tool result with what frames it.
const USUAL_RESULT_TOKENS: u64 = 60;
/// The longest tool result that enters a prompt, in characters, and what frames it.
const LONGEST_RESULT: u64 = 8_200;

/// How the numbers are made, in the words of `--dry-run`.
pub const METHOD: &str = "typical: 4 characters a token, one request for each expected call and \
    final answer, replies of 40 tokens and results of 60, no corrections; worst case: 2 characters \
    a token, every turn and every correction used, every reply as long as --max-tokens, one tool \
    result for each reply, as long as a mock's rules, state and arguments together, or 8,000 \
    characters from a real server";

/// Requests and tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Requests to the model.
    pub requests: u64,
    /// Tokens of all prompts.
    pub prompt_tokens: u64,
    /// Tokens generated.
    pub output_tokens: u64,
}

impl Load {
    /// Prompt and output together.
    pub fn tokens(&self) -> u64 {
        self.prompt_tokens + self.output_tokens
    }

    /// So many times as much.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        Self {
            requests: self.requests * factor,
            prompt_tokens: self.prompt_tokens * factor,
            output_tokens: self.output_tokens * factor,
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.prompt_tokens += other.prompt_tokens;
        self.output_tokens += other.output_tokens;
    }

    /// So many requests with a first prompt of `first`, each prompt longer than the one before.
    fn of(requests: u64, first: u64, growth: u64, reply: u64) -> Self {
        Self {
            requests,
            prompt_tokens: requests * first + growth * (requests * requests.saturating_sub(1) / 2),
            output_tokens: requests * reply,
        }
    }
}

/// What a trial, or many, may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Estimate {
    /// As it usually goes.
    pub typical: Load,
    /// At the worst.
    pub worst: Load,
}

impl Estimate {
    /// Adds another.
    pub fn add(&mut self, other: Self) {
        self.typical.add(other.typical);
        self.worst.add(other.worst);
    }
}

/// The estimate of one trial. `distractors` is the pool that `--distractors` draws from.
pub fn estimate(plan: &Plan, trial: &PlannedTrial, distractors: &[ToolDefinition]) -> Estimate {
    let cell = &plan.cells[trial.cell];
    let suite = &plan.suites[cell.suite];
    let case = &suite.cases[trial.case];
    let variant = &plan.variants[cell.variant];
    let rules = &plan.rules;
    let rounds = case.all_rounds();
    let mut shared = INSTRUCTIONS + offered(suite, case);
    let system = variant
        .system
        .as_ref()
        .or(case.system.as_ref())
        .or(suite.system.as_ref());
    shared += system.map_or(0, |text| text.len() as u64);
    let examples = suite.examples.iter().take(variant.few_shot as usize);
    shared += examples.map(length).sum::<u64>();
    shared += mean_length(distractors) * u64::from(variant.distractors);
    shared += case.history.iter().map(length).sum::<u64>();
    let asked: u64 = rounds.iter().map(|round| round.user.len() as u64).sum();
    let characters = shared + asked;
    let usual_requests: u64 = rounds
        .iter()
        .map(|round| {
            let calls = round.expect.calls.len() as u64;
            let turns = if case.same_turn { calls.min(1) } else { calls };
            let answers = u64::from(turns == 0 || case.ends == Ends::Answer);
            turns + answers
        })
        .sum();
    let most_tokens = u64::from(rules.max_tokens);
    let usual_reply = USUAL_REPLY_TOKENS.min(most_tokens);
    let most_requests =
        rounds.len() as u64 * u64::from(rules.max_turns) + u64::from(rules.max_corrections);
    Estimate {
        typical: Load::of(
            usual_requests.min(most_requests),
            characters.div_ceil(USUAL_CHARACTERS),
            usual_reply + USUAL_RESULT_TOKENS,
            usual_reply,
        ),
        worst: Load::of(
            most_requests,
            characters.div_ceil(FEWEST_CHARACTERS),
            most_tokens + longest_result(suite, case, most_tokens).div_ceil(FEWEST_CHARACTERS),
            most_tokens,
        ),
    }
}

/// Characters of everything a case may be offered.
fn offered(suite: &Suite, case: &Case) -> u64 {
    let of_suite: u64 = if case.tools.is_none() && !case.own_tools.is_empty() {
        0
    } else {
        suite.tools.iter().map(length).sum()
    };
    of_suite + case.own_tools.iter().map(length).sum::<u64>()
}

/// Characters of the longest tool result: what a mock answers is made of its rule, its state and the
/// arguments; of a real server only the cut is known.
fn longest_result(suite: &Suite, case: &Case, most_tokens: u64) -> u64 {
    let Some(mock) = suite.mock.as_ref().filter(|_| suite.server.is_none()) else {
        return LONGEST_RESULT;
    };
    let rule = mock.rules.iter().map(length).max().unwrap_or_default();
    let state = length(&mock.state) + length(&case.state);
    let arguments = most_tokens * USUAL_CHARACTERS;
    (rule + state + arguments).min(LONGEST_RESULT)
}

fn length<T: Serialize>(value: &T) -> u64 {
    serde_json::to_string(value).map_or(0, |text| text.len() as u64)
}

fn mean_length<T: Serialize>(values: &[T]) -> u64 {
    let all: u64 = values.iter().map(length).sum();
    all.checked_div(values.len() as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: prompts of 100, 130 and 160 tokens, replies of 10.
    #[test]
    fn prompts_grow_with_every_request() {
        let load = Load::of(3, 100, 30, 10);
        assert_eq!((load.prompt_tokens, load.output_tokens), (390, 30));
        assert_eq!(Load::of(0, 100, 30, 10), Load::default());
    }
}
