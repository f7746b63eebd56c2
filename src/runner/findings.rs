//! What is wrong with one attempt, from transport to schema.
//!
//! Data in: a reply with its two readings, or a provider's failure. Data out: violations, which the
//! trial loop corrects, ends on, or finds empty. Invariants: pure; the steering reading alone counts.

use super::cell::PreparedOffer;
use super::correction::CorrectionStyle;
use super::limits::ModelPrices;
use super::recorder::Recorder;
use crate::dialect::Dialect;
use crate::types::decoded::Reading;
use crate::types::price::amount_in_words;
use crate::types::violation::{Stage, primary};
use crate::types::{
    Code, Decoded, DialectName, GenerateReply, Leniency, ProviderError, StopReason, ToolChoice,
    TrialRules, Violation,
};

/// Both readings with tool names mapped back to the tools' own.
pub(super) fn read(dialect: &dyn Dialect, offer: &PreparedOffer, reply: &GenerateReply) -> Decoded {
    let mut decoded = dialect.decode(&offer.offer, reply);
    for call in decoded
        .strict
        .calls
        .iter_mut()
        .chain(&mut decoded.lenient.calls)
    {
        call.name = offer.names.own(&call.name).to_owned();
    }
    decoded
}

/// The reading that steers.
pub(super) fn steering(rules: &TrialRules, decoded: Decoded) -> Reading {
    match rules.leniency {
        Leniency::Strict => decoded.strict,
        Leniency::Lenient => decoded.lenient,
    }
}

/// Only the primary finding's code decides whether a correction may help.
pub(super) fn may_correct(
    rules: &TrialRules,
    correction: &CorrectionStyle,
    violations: &[Violation],
) -> bool {
    primary(violations).is_some_and(|violation| match violation.code {
        Code::MissingCall => {
            rules.tool_choice == ToolChoice::Required && correction.answers_missing_call()
        }
        code => code.correctable(),
    })
}

/// The server reports fewer tokens than the prompt has.
pub(super) fn prompt_cut(reply: &GenerateReply) -> Violation {
    Violation::new(
        Code::PromptTruncated,
        format!(
            "the server reports {} tokens of a longer prompt: it was cut",
            reply.usage.prompt_tokens
        ),
    )
}

/// When a trial's own limits are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Looked {
    /// Before a request: what is used up leaves nothing for it.
    BeforeRequest,
    /// Of a complete trial: what is used up to the last bit was enough.
    AtTheEnd,
}

/// What a whole trial may take is taken.
pub(super) fn spent(
    rules: &TrialRules,
    prices: Option<&ModelPrices>,
    recorder: &Recorder,
    looked: Looked,
) -> Option<Violation> {
    let limits = &rules.limits;
    let is_over = |taken: f64, limit: f64| match looked {
        Looked::BeforeRequest => taken >= limit,
        Looked::AtTheEnd => taken > limit,
    };
    let elapsed_ms = recorder.elapsed_ms();
    if let Some(limit_ms) = limits
        .time_ms
        .filter(|limit| is_over(elapsed_ms, *limit as f64))
    {
        let message = format!("the trial was not complete after {limit_ms} ms");
        return Some(Violation::new(Code::TrialTimeout, message));
    }
    let attempts = &recorder.attempts;
    let requests = attempts.len() as f64;
    if let Some(limit) = limits
        .requests
        .filter(|limit| is_over(requests, *limit as f64))
    {
        let message = format!("no end after {limit} requests");
        return Some(Violation::new(Code::TurnLimit, message));
    }
    let tokens: u64 = attempts
        .iter()
        .map(|attempt| {
            u64::from(attempt.usage.prompt_tokens) + u64::from(attempt.usage.output_tokens)
        })
        .sum();
    if let Some(limit) = limits
        .tokens
        .filter(|limit| is_over(tokens as f64, *limit as f64))
    {
        let message = format!("{tokens} tokens are taken, and {limit} are allowed");
        return Some(Violation::new(Code::TurnLimit, message));
    }
    let (limit, prices) = (limits.cost?, prices?);
    let cost: f64 = attempts
        .iter()
        .filter_map(|attempt| prices.of_attempt(attempt))
        .sum();
    is_over(cost, limit).then(|| {
        let currency = prices.currency();
        let spent = amount_in_words(cost, currency);
        let allowed = amount_in_words(limit, currency);
        let message = format!("{spent} is spent, and {allowed} is allowed");
        Violation::new(Code::TurnLimit, message)
    })
}

/// The trial ran out of turns.
pub(super) fn turn_limit(turns: u32) -> Violation {
    Violation::new(Code::TurnLimit, format!("no end after {turns} turns"))
}

/// Calls of the steering reading that name an offered tool and satisfy its schema.
pub(super) fn valid_calls(rules: &TrialRules, offer: &PreparedOffer, decoded: &Decoded) -> u32 {
    let reading = match rules.leniency {
        Leniency::Strict => &decoded.strict,
        Leniency::Lenient => &decoded.lenient,
    };
    let invalid: std::collections::BTreeSet<usize> = offer
        .schemas
        .check_calls(&reading.calls)
        .iter()
        .filter_map(|violation| violation.call)
        .collect();
    (reading.calls.len() - invalid.len()) as u32
}

/// Findings from generation to schema, for the steering reading.
pub(super) fn of_reply(
    rules: &TrialRules,
    dialect: DialectName,
    offer: &PreparedOffer,
    decoded: &Decoded,
    reply: &GenerateReply,
) -> Vec<Violation> {
    match reply.stop_reason {
        StopReason::TimeLimit => {
            return vec![Violation::new(
                Code::TrialTimeout,
                format!(
                    "the reply was not complete after {} ms",
                    rules.attempt_limit_ms
                ),
            )];
        }
        StopReason::Cancelled => {
            return vec![Violation::new(
                Code::Cancelled,
                "interrupted while generating",
            )];
        }
        _ => {}
    }
    if let Some(error) = &reply.grammar_error {
        return vec![Violation::new(
            Code::ConstraintUnenforced,
            format!("the grammar's matcher stopped: {error}"),
        )];
    }
    let reading = match rules.leniency {
        Leniency::Strict => &decoded.strict,
        Leniency::Lenient => &decoded.lenient,
    };
    let mut found = reading.violations.clone();
    found.extend(offer.schemas.check_calls(&reading.calls));
    let complete = matches!(
        reply.stop_reason,
        StopReason::Stop | StopReason::StopText | StopReason::ToolCalls
    );
    if reply.constrained
        && complete
        && let Some(broken) = found
            .iter()
            .find(|v| grammar_excludes(v.code, dialect, offer.grammar_holds_structure))
    {
        // A complete reply under a grammar cannot have these: the grammar is at fault.
        return vec![Violation::new(
            Code::ConstraintUnenforced,
            format!("the reply breaks its grammar: {}", broken.message),
        )];
    }
    let wants_call = rules.tool_choice == ToolChoice::Required;
    if found.is_empty() && wants_call && reading.calls.is_empty() {
        found.push(Violation::new(
            Code::MissingCall,
            "a call is required and the reply makes none",
        ));
    }
    found
}

/// What no complete reply under a dialect's grammar can have. Bounds, formats and patterns are not
/// among them: a grammar may be unable to hold them, and then they are the model's to keep. The same
/// goes for names and types where a schema is more than its grammar can hold.
fn grammar_excludes(code: Code, dialect: DialectName, holds_structure: bool) -> bool {
    // Where free text is in form, a call written as text satisfies the grammar: the model's slip.
    let free_text = matches!(dialect, DialectName::Native | DialectName::Fenced);
    if code == Code::WrongEnvelope && free_text {
        return false;
    }
    let of_structure = matches!(
        code,
        Code::MissingRequired | Code::UnexpectedParam | Code::TypeMismatch | Code::EnumViolation
    );
    code.stage() == Stage::Parse || code == Code::UnknownTool || (of_structure && holds_structure)
}

/// What a provider's failure is called.
pub(super) fn of_provider(error: &ProviderError) -> Violation {
    let code = match error {
        ProviderError::Crashed { .. }
        | ProviderError::NotEnoughMemory { .. }
        | ProviderError::Load { .. } => Code::OomOrCrash,
        ProviderError::GrammarRejected { .. } => Code::GrammarRejected,
        ProviderError::ContextOverflow { .. } | ProviderError::PromptTooLong { .. } => {
            Code::PromptTruncated
        }
        ProviderError::Rejected { .. }
        | ProviderError::Unauthorised { .. }
        | ProviderError::NoScript { .. } => Code::RequestRejected,
        ProviderError::Network { .. } => Code::Network,
        ProviderError::Timeout { .. } => Code::TrialTimeout,
        ProviderError::Unanswered { .. } => Code::RequestTimeout,
        ProviderError::RateLimited { .. } => Code::RateLimited,
        ProviderError::Server { .. } | ProviderError::BadReply { .. } => Code::Server5xx,
        ProviderError::StreamMismatch { .. } => Code::StreamMismatch,
        ProviderError::Cancelled => Code::Cancelled,
    };
    Violation::new(code, error.to_string())
}

/// Tokens and milliseconds of the thought of a reply, where it has one and the server says when
/// each token came.
pub(super) fn thought(reply: &GenerateReply, thought: Option<&str>) -> Option<(u32, f64)> {
    let thought = thought.filter(|_| !reply.token_marks.is_empty())?;
    // In a JSON envelope the thought stands escaped.
    let escaped = serde_json::Value::from(thought).to_string();
    let written = [thought, escaped.trim_matches('"')]
        .into_iter()
        .find_map(|form| reply.text.find(form).map(|at| (at, at + form.len())));
    let (start, end) = written?;
    let inside = |mark: &&(u32, f32)| (mark.0 as usize) > start;
    let first = reply.token_marks.iter().position(|mark| inside(&mark))?;
    let last = reply
        .token_marks
        .iter()
        .position(|mark| mark.0 as usize >= end)?;
    let before = first.checked_sub(1).map_or_else(
        || reply.timing.first_token_ms.unwrap_or_default(),
        |index| f64::from(reply.token_marks[index].1),
    );
    let tokens = u32::try_from(last + 1 - first).ok()?;
    Some((tokens, f64::from(reply.token_marks[last].1) - before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Timing, Usage};

    #[test]
    fn a_thought_is_measured_by_the_tokens_that_wrote_it() {
        let reply = GenerateReply {
            text: "{\"thought\":\"look up\",\"answer\":\"x\"}".to_owned(),
            calls: Vec::new(),
            executed: Vec::new(),
            reasoning: None,
            payload: None,
            stop_reason: StopReason::Stop,
            usage: Usage::default(),
            timing: Timing::default(),
            constrained: false,
            grammar_error: None,
            // `{"thought":"` | `look` | ` up` | the rest
            token_marks: vec![(12, 10.0), (16, 20.0), (19, 35.0), (35, 50.0)],
            peak_memory_bytes: None,
        };
        assert_eq!(thought(&reply, Some("look up")), Some((2, 25.0)));
        assert_eq!(thought(&reply, Some("elsewhere")), None);
        assert_eq!(thought(&reply, None), None);
    }
}
