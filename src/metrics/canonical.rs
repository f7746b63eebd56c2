//! The canonical summary: what a run found, without when or how fast.
//!
//! Data in: header and trial lines. Data out: JSON in plan order. Invariants: no clock reading, no
//! memory, no speed, no free text that could hold one; equal for an interrupted and resumed run and
//! an uninterrupted one; two runs with equal canonical summaries found the same.

use serde_json::{Value, json};

use super::rows::latest;
use crate::record::format::{Header, ModelHeader};
use crate::types::{AttemptRecord, CallRecord, ContentHash, TrialRecord, Violation};

/// Plan, then trials; the last line of each trial id.
pub fn canonical_summary(header: &Header, trials: &[TrialRecord]) -> Value {
    let trials = latest(trials).trials;
    json!({
        "schema": "toolbench.canonical/1",
        "scorer_version": header.scorer_version,
        "taxonomy_version": header.taxonomy_version,
        "plan_hash": header.plan_hash,
        "selection": header.selection,
        "sample": header.sample,
        "models": header.models.iter().map(canonical_model).collect::<Vec<_>>(),
        "cells": header.cells.iter().map(|cell| json!({
            "id": cell.id,
            "key": cell.key,
            "routes": cell.routes,
            "cases": cell.cases,
            "planned_trials": cell.trials,
            "trials": trials.iter().filter(|trial| trial.cell_id == cell.id).count(),
            "successes": trials.iter()
                .filter(|trial| trial.cell_id == cell.id && trial.outcome.is_success())
                .count(),
        })).collect::<Vec<_>>(),
        "excluded": header.excluded,
        "trials": trials.iter().map(|trial| canonical_trial(trial)).collect::<Vec<_>>(),
    })
}

fn canonical_model(model: &ModelHeader) -> Value {
    let mut value = json!({
        "name": model.name,
        "weights_sha256": model.weights_sha256,
        "engine_build": model.facts.engine_build,
    });
    if !model.legs.is_empty() {
        value["legs"] = model.legs.iter().map(canonical_model).collect();
        value["fallback"] = json!(model.fallback);
    }
    value
}

fn canonical_trial(trial: &TrialRecord) -> Value {
    json!({
        "id": trial.id,
        "position": trial.position,
        "cell_id": trial.cell_id,
        "suite": trial.cell.suite,
        "case": trial.case,
        "trial": trial.trial,
        "seed": trial.seed,
        "case_hash": trial.case_hash,
        "offer_hash": trial.offer_hash,
        "constraint_effective": trial.constraint_effective,
        "outcome": trial.outcome,
        "first_attempt_success": trial.first_attempt_success,
        "violations": violations(&trial.violations),
        "corrections": trial.corrections,
        "answer": trial.answer.as_ref().map(|text| ContentHash::of_bytes(text.as_bytes())),
        "end_state": trial.end_state,
        "attempts": trial.attempts.iter().map(canonical_attempt).collect::<Vec<_>>(),
        "calls": trial.calls.iter().map(canonical_call).collect::<Vec<_>>(),
    })
}

/// Tokens taken from a kept prefix are left out: how often a prefix was already there depends on
/// where a run was interrupted.
fn canonical_attempt(attempt: &AttemptRecord) -> Value {
    let mut value = json!({
        "round": attempt.round,
        "turn": attempt.turn,
        "attempt": attempt.attempt,
        "leg": attempt.leg,
        "prompt": attempt.prompt,
        "grammar": attempt.grammar,
        "tools": attempt.tools,
        "reply": attempt.reply,
        "stop_reason": attempt.stop_reason,
        "attempted_call": attempt.attempted_call,
        "valid_calls": attempt.valid_calls,
        "violations": violations(&attempt.violations),
        "correction": attempt.correction,
        "folds": attempt.folds,
        "prompt_tokens": attempt.usage.prompt_tokens,
        "output_tokens": attempt.usage.output_tokens,
        "forced_tokens": attempt.usage.forced_tokens,
        "reasoning_tokens": attempt.usage.reasoning_tokens,
    });
    if let Some(cause) = attempt.passed_over {
        value["passed_over"] = json!(cause);
    }
    value
}

fn canonical_call(call: &CallRecord) -> Value {
    json!({
        "round": call.round,
        "turn": call.turn,
        "call": ContentHash::of_value(&call.call),
        "tool": call.call.name,
        "result": call.result,
        "is_error": call.is_error,
        "scripted_error": call.scripted_error,
    })
}

/// Without messages, which may quote times.
fn violations(violations: &[Violation]) -> Vec<Value> {
    violations
        .iter()
        .map(|violation| {
            json!({
                "code": violation.code.name(),
                "call": violation.call,
                "tool": violation.tool,
                "pointer": violation.pointer,
                "keyword": violation.keyword,
            })
        })
        .collect()
}
