//! The end of a round against the case: state, answer, question back.
//!
//! Data in: a round as it went. Data out: violations of the outcome stage. Invariants: as the
//! judge's, whose header defines each code.

use serde_json::Value;

use super::judge::JudgedRound;
use super::vocabulary::tokens;
use crate::types::expectation::reads_as_request;
use crate::types::suite::Ends;
use crate::types::{Code, Violation};

/// What is wrong with a round's end.
pub(super) fn outcome(round: &JudgedRound<'_>, ends: Ends) -> Vec<Violation> {
    let expectation = round.expectation;
    let mut found = Vec::new();
    found.extend(question_back(round));
    if let Some(matcher) = &expectation.state {
        match round.end_state {
            None => found.push(Violation::new(
                Code::CaseInvalid,
                "the case expects a state, the tool host has none",
            )),
            Some(state) if !matcher.matches(state) => found.push(Violation::new(
                Code::StateMismatch,
                "the end state is not the one asked for",
            )),
            Some(_) => {}
        }
    }
    if let Some(matcher) = &expectation.answer {
        match round.answer {
            Some(answer) if matcher.matches(&Value::String(answer.to_owned())) => {}
            Some(answer) => found.push(wrong_answer(round, answer)),
            None if ends == Ends::Answer => found.push(Violation::new(
                Code::AnswerMismatch,
                "no final answer was given",
            )),
            None => {}
        }
    }
    found
}

fn question_back(round: &JudgedRound<'_>) -> Option<Violation> {
    let matcher = round.expectation.ask_back.as_ref()?;
    let answer = round.answer.unwrap_or_default();
    let free = &round.expectation.free;
    let called = round
        .calls
        .iter()
        .any(|executed| !free.contains(&executed.call.name));
    let message = if called {
        return None; // The call says it all.
    } else if !reads_as_request(answer) {
        "the answer asks for nothing, and something is missing"
    } else if !matcher.matches(&Value::String(answer.to_owned())) {
        "the answer asks, but not for what is missing"
    } else {
        return None;
    };
    Some(Violation::new(Code::AnswerMismatch, message))
}

fn wrong_answer(round: &JudgedRound<'_>, answer: &str) -> Violation {
    let asked = tokens(round.user);
    let facts: Vec<String> = round
        .calls
        .iter()
        .filter(|executed| !executed.result.is_error)
        .flat_map(|executed| tokens(&executed.result.content))
        .filter(|token| !asked.contains(token))
        .collect();
    let said = tokens(answer);
    if !facts.is_empty() && !facts.iter().any(|fact| said.contains(fact)) {
        Violation::new(
            Code::IgnoredResult,
            "the final answer holds nothing of what the tools returned",
        )
    } else {
        Violation::new(
            Code::AnswerMismatch,
            "the final answer does not say what it must",
        )
    }
}
