//! How the grammar was used in a constrained row: whether it compiled, what it cost, whether it held.
//!
//! Data in: trials by case, and how the row's cells reach their model. Data out: counts, a rate and
//! times. Invariants: `proven` needs both a mechanism that masks every token and no reply that
//! broke the grammar.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency::Quantiles;
use super::rates::{Cases, Rate, trial_rate};
use crate::types::{AttemptRecord, Code, Constraint, Mechanism, Stage, TrialRecord};

/// Whether decoding was really held to the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Enforcement {
    /// Every token was masked by the grammar, and no complete reply broke it.
    Proven,
    /// No reply broke it, but nothing shows that it was in force; or there is no reply.
    Unproven,
    /// A complete reply broke it.
    Violated,
}

impl Enforcement {
    /// As in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Violated => "violated",
        }
    }
}

/// How the grammar was used in a constrained row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GrammarUse {
    /// Trials that asked for it.
    pub asked_trials: usize,
    /// Of these, trials in which it was in force.
    pub effective_trials: usize,
    /// Trials in which it compiled and was in force / trials that asked for it and got a reply:
    /// mean over cases.
    pub compiled: Rate,
    /// Building the grammar's parser, one value for each attempt under it.
    pub compile_ms: Quantiles,
    /// Whether decoding was really held to it.
    pub enforcement: Enforcement,
    /// Attempts under the grammar that have a reply.
    pub attempts: usize,
    /// Of these, not readable in the dialect's form (parse stage). Should be 0.
    pub unparseable_attempts: usize,
    /// Of these, with a call that names no offered tool or breaks its schema. Should be near 0.
    pub schema_invalid_attempts: usize,
    /// Of these, ended by the token limit before the grammar was complete.
    pub cut_attempts: usize,
}

/// See [`GrammarUse`]; `None` when no trial asked for a grammar.
pub(super) fn grammar(cases: &Cases<'_>, mechanism: Option<Mechanism>) -> Option<GrammarUse> {
    let all: Vec<&TrialRecord> = cases.iter().flatten().copied().collect();
    let asked: Vec<&TrialRecord> = all.into_iter().filter(|trial| asks(trial)).collect();
    if asked.is_empty() {
        return None;
    }
    let effective: Vec<&TrialRecord> = asked.iter().copied().filter(|t| in_force(t)).collect();
    let attempts: Vec<&AttemptRecord> = effective
        .iter()
        .flat_map(|trial| &trial.attempts)
        .filter(|attempt| attempt.reply.is_some())
        .collect();
    let with = |found: &dyn Fn(Code) -> bool| {
        attempts
            .iter()
            .filter(|attempt| attempt.violations.iter().any(|v| found(v.code)))
            .count()
    };
    let broken = with(&|code| code == Code::ConstraintUnenforced) > 0;
    let masked = matches!(mechanism, Some(Mechanism::Llguidance));
    let compile_ms = |trials: &Vec<&TrialRecord>| -> Vec<f64> {
        let effective = trials.iter().filter(|trial| asks(trial) && in_force(trial));
        let attempts = effective.flat_map(|trial| &trial.attempts);
        let answered = attempts.filter(|attempt| attempt.reply.is_some());
        answered.map(|attempt| attempt.timing.grammar_ms).collect()
    };
    Some(GrammarUse {
        asked_trials: asked.len(),
        effective_trials: effective.len(),
        compiled: trial_rate(cases, |trial| {
            let answered = trial.attempts.iter().any(|attempt| attempt.reply.is_some());
            (asks(trial) && (answered || refused(trial))).then(|| in_force(trial))
        }),
        compile_ms: Quantiles::of(cases.iter().map(compile_ms).collect()),
        enforcement: match (broken, masked && !attempts.is_empty()) {
            (true, _) => Enforcement::Violated,
            (false, true) => Enforcement::Proven,
            (false, false) => Enforcement::Unproven,
        },
        attempts: attempts.len(),
        unparseable_attempts: with(&|code| code.stage() == Stage::Parse),
        schema_invalid_attempts: with(&|code| {
            code.stage() == Stage::Schema || code == Code::UnknownTool
        }),
        cut_attempts: with(&|code| code == Code::MaxTokensCut),
    })
}

fn asks(trial: &TrialRecord) -> bool {
    trial.constraint_asked == Constraint::Grammar
}

fn in_force(trial: &TrialRecord) -> bool {
    trial.constraint_effective == Constraint::Grammar
}

fn refused(trial: &TrialRecord) -> bool {
    trial.constraint_refused.is_some()
}
