//! The table of trials: what the totals of the other tables are made of.
//!
//! Data in: an [`Export`]. Data out: one line per trial that counts, in plan order. Invariants: `success`
//! and `scored` are those of the success rate; what was not measured (a replayed time, an unreported
//! count) is empty; what a model, a tool or a suite says is no formula.

use std::io::{self, Write};

use super::{guarded, settings_text};
use crate::report::Export;
use crate::types::{AttemptRecord, Outcome, TrialRecord};

/// The columns, in order.
const COLUMNS: [&str; 56] = [
    "run",
    "cell",
    "trial_id",
    "position",
    "model",
    "dialect",
    "constraint",
    "variant",
    "suite",
    "tier",
    "settings",
    "case",
    "category",
    "difficulty",
    "no_call_case",
    "trial",
    "seed",
    "outcome",
    "code",
    "scored",
    "success",
    "first_attempt_success",
    "corrections",
    "attempts",
    "constraint_effective",
    "calls",
    "expected_calls",
    "made_calls",
    "right_tool_calls",
    "matched_calls",
    "extra_calls",
    "states",
    "states_met",
    "prompt_tokens",
    "cached_tokens",
    "computed_tokens",
    "output_tokens",
    "forced_tokens",
    "reasoning_tokens",
    "task_ms",
    "model_ms",
    "correction_ms",
    "tool_ms",
    "valid_call_ms",
    "first_token_ms",
    "peak_memory_bytes",
    "noisy",
    "replayed",
    "violation_call",
    "violation_tool",
    "violation_pointer",
    "violation_keyword",
    "violation_message",
    "case_hash",
    "offer_hash",
    "started_at",
];

/// Writes the table.
pub(in crate::report) fn trials(export: &Export, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for trial in export.latest() {
        writer.write_record(fields(&export.header().run, trial))?;
    }
    writer.flush()
}

/// What became of a trial, in one word.
pub(in crate::report) fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Recovered { .. } => "recovered",
        Outcome::Failed { .. } => "failed",
        Outcome::Limit { .. } => "limit",
        Outcome::Infra { .. } => "infra",
        Outcome::Void { .. } => "void",
        Outcome::Tool { .. } => "tool",
        Outcome::Harness { .. } => "harness",
    }
}

fn fields(run: &str, trial: &TrialRecord) -> [String; COLUMNS.len()] {
    let cell = &trial.cell;
    let tokens = |count: fn(&AttemptRecord) -> u32| -> String {
        let all = trial
            .attempts
            .iter()
            .map(|attempt| u64::from(count(attempt)));
        all.sum::<u64>().to_string()
    };
    // What is read from a file takes no time that anybody waits for.
    let measured = |ms: Option<f64>| number(ms.filter(|_| !trial.replayed));
    let counts = trial.call_counts;
    let counted =
        |count: fn(&crate::types::trial::CallCounts) -> u32| number(counts.as_ref().map(count));
    let peak = trial.attempts.iter().filter_map(|a| a.peak_memory_bytes);
    let finding = trial.violations.first();
    let of_finding = |text: Option<&String>| text.map_or_else(String::new, |text| guarded(text));
    [
        run.to_owned(),
        trial.cell_id.clone(),
        trial.id.clone(),
        trial.position.to_string(),
        guarded(&cell.model),
        cell.dialect.to_string(),
        cell.constraint.to_string(),
        guarded(&cell.variant),
        guarded(&cell.suite),
        cell.tier.clone(),
        settings_text(&cell.settings),
        guarded(&trial.case),
        guarded(&trial.category),
        trial.difficulty.as_str().to_owned(),
        trial.abstention.to_string(),
        trial.trial.to_string(),
        trial.seed.to_string(),
        outcome_name(trial.outcome).to_owned(),
        trial
            .outcome
            .code()
            .map_or_else(String::new, |code| code.name().to_owned()),
        trial.outcome.is_scored().to_string(),
        trial.outcome.is_success().to_string(),
        trial.first_attempt_success.to_string(),
        trial.corrections.to_string(),
        trial.attempts.len().to_string(),
        trial.constraint_effective.to_string(),
        trial.calls.len().to_string(),
        counted(|found| found.expected),
        counted(|found| found.made),
        counted(|found| found.right_tool),
        counted(|found| found.matched),
        counted(|found| found.extra),
        counted(|found| found.states),
        counted(|found| found.states_met),
        tokens(|attempt| attempt.usage.prompt_tokens),
        tokens(|attempt| attempt.usage.cached_tokens),
        tokens(|attempt| attempt.usage.computed_tokens),
        tokens(|attempt| attempt.usage.output_tokens),
        tokens(|attempt| attempt.usage.forced_tokens),
        tokens(|attempt| attempt.usage.reasoning_tokens),
        measured(Some(trial.time.total_ms)),
        measured(Some(trial.time.model_ms)),
        measured(Some(trial.time.correction_ms)),
        measured(Some(trial.time.tool_ms)),
        measured(trial.time.to_valid_call_ms),
        measured(trial.time.to_first_token_ms),
        number(peak.max()),
        trial.noisy.to_string(),
        trial.replayed.to_string(),
        number(finding.and_then(|found| found.call)),
        of_finding(finding.and_then(|found| found.tool.as_ref())),
        of_finding(finding.and_then(|found| found.pointer.as_ref())),
        of_finding(finding.and_then(|found| found.keyword.as_ref())),
        of_finding(finding.map(|found| &found.message)),
        trial.case_hash.to_string(),
        trial.offer_hash.to_string(),
        trial.started_at.clone(),
    ]
}

/// An empty field where there is no number.
fn number<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
