//! Footnotes: definitions in short, methods, the reason of every dash.
//!
//! Data in: [`Summary`]. Data out: unwrapped lines. Invariants: every dash in a table has a footnote
//! that says why; every rate's method and n are said.

use std::collections::BTreeMap;

use super::names::Names;
use super::notes::{noticeable, undecidable_cells, variation};
use super::text::count;
use crate::metrics::rates::IntervalMethod;
use crate::metrics::sequential::Sequential;
use crate::metrics::{Row, Summary};

/// Settings that shape no number, or stand in the heading and the tables already.
const QUIET_SETTINGS: [&str; 10] = [
    "out",
    "format",
    "write",
    "by",
    "pull",
    "cache",
    "data",
    "suite",
    "dialect",
    "constraint",
];

/// Definitions in short, methods, and the reason of every dash.
pub(super) fn footnotes(summary: &Summary) -> Vec<String> {
    let rows = &summary.totals;
    let mut notes = vec![
        "n: cases × trials a case. Rates are means over cases, excluded trials left out. \
         `toolbench explain COLUMN` defines each."
            .to_owned(),
        methods(rows),
        "abst.: no-call cases rightly left without a call; call F1: whether to call at all. \
         m/t/c: share of task time in model, tools, corrections."
            .to_owned(),
    ];
    notes.extend(super::pareto::footnote(summary));
    notes.extend(dashes(rows));
    let names = Names::of(summary);
    notes.extend(rows.iter().flat_map(|row| grammar_notes(row, names)));
    notes.extend(
        summary
            .header
            .undecidable
            .iter()
            .map(|why| format!("undecidable: {why}")),
    );
    notes.extend(undecidable_cells(summary));
    notes.extend(summary.header.sequential.iter().map(stopping));
    notes.extend(variation(summary));
    if summary.comparisons.is_empty() {
        notes.extend(rows.iter().filter_map(|row| noticeable(row, names)));
    }
    notes.extend(
        summary
            .header
            .models
            .iter()
            .filter_map(|model| Some(format!("{}: {}.", model.name, model.replayed.as_ref()?))),
    );
    notes.extend(super::merged::origin(summary));
    let header = &summary.header;
    if header.superseded_trials > 0 {
        let trials = count(header.superseded_trials, "earlier result");
        notes.push(format!(
            "{trials} replaced by a later run of the same trial."
        ));
    }
    let own: Vec<String> = header
        .settings
        .iter()
        .filter(|setting| {
            setting.origin != "built-in" && !QUIET_SETTINGS.contains(&setting.name.as_str())
        })
        .map(|setting| format!("{} {}", setting.name, setting.value))
        .collect();
    if !own.is_empty() {
        notes.push(format!("Settings other than built-in: {}.", own.join(", ")));
    }
    if header.noisy_trials > 0 {
        let trials = count(header.noisy_trials, "trial");
        notes.push(format!(
            "{trials} measured while the machine was busy: times are less sure, and time limits count against the model."
        ));
    }
    notes
}

/// How far a run has come that stops once decided, and what that does to its verdicts.
fn stopping(found: &Sequential) -> String {
    let outcome = match (found.complete, found.decided) {
        (false, _) => "unfinished; `--resume` goes on",
        (true, true) => "decided",
        (true, false) if found.look == found.looks => "all is run, not all is decided",
        (true, false) => "not decided; `--resume` goes on",
    };
    let trials = if found.trials > 1 {
        format!(" × up to {} trials", found.trials)
    } else {
        String::new()
    };
    format!(
        "look {} of {}, {} of {} cases{trials}: {outcome}. Verdicts may come at any look: their          p-values are held to {:.4} and their intervals to {:.2} % here, so that all looks together          are wrong in {:.0} % of runs at most ({}).",
        found.look,
        found.looks,
        found.cases,
        found.cases_available,
        found.limit,
        100.0 * (1.0 - found.limit),
        100.0 * found.alpha,
        found.spending
    )
}

/// Which rows have which kind of interval.
fn methods(rows: &[Row]) -> String {
    let mut by_method: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for rate in rows.iter().map(|row| &row.success) {
        if rate.method != IntervalMethod::None {
            let sizes = by_method
                .entry(rate.method.in_words())
                .or_insert((rate.n, rate.n));
            *sizes = (sizes.0.min(rate.n), sizes.1.max(rate.n));
        }
    }
    if by_method.is_empty() {
        return "95 % intervals: none, for want of a scored trial.".to_owned();
    }
    let methods: Vec<String> = by_method
        .into_iter()
        .map(|(method, (fewest, most))| {
            if fewest == most {
                format!("{method} (n = {most})")
            } else {
                format!("{method} (n = {fewest} to {most})")
            }
        })
        .collect();
    format!("95 % intervals: {}.", methods.join("; "))
}

fn dashes(rows: &[Row]) -> Vec<String> {
    let scored = || rows.iter().filter(|row| row.scored_trials > 0);
    let times = |row: &Row| {
        let found = &row.latency;
        [
            found.first_token_ms.clone(),
            found.valid_call_ms.clone(),
            found.task_ms.clone(),
        ]
    };
    let reasons = [
        (
            rows.iter().any(|row| row.scored_trials == 0),
            "–: no scored trial.",
        ),
        (
            scored().any(|row| times(row).iter().any(|t| t.n > 0 && t.p95.is_none())),
            "– for p95: fewer than 20 values, so no tail.",
        ),
        (
            scored().any(|row| times(row).iter().any(|t| t.n == 0)),
            "–/– for a time: no trial got that far, or the server does not report it.",
        ),
        (
            scored().any(|row| row.abstention.rate.is_none()),
            "– for abst.: no case here should be left without a call.",
        ),
        (
            scored().any(|row| row.trigger.f1.is_none()),
            "– for call F1: no case here needs a call, or none was attempted.",
        ),
        (
            scored().any(|row| row.calls.valid_call.rate.is_none()),
            "– for valid call: no call was attempted.",
        ),
        (
            scored().any(|row| row.calls.schema_valid.rate.is_none()),
            "– for schema valid: no call named an offered tool.",
        ),
        (
            scored().any(|row| row.speed.decode_tokens_per_second.is_none()),
            "– for decode: no reply of two or more timed tokens.",
        ),
        (
            scored().any(|row| row.tokens.per_success_tokens.is_none()),
            "– for tokens/success: no success.",
        ),
        (
            scored().any(|row| row.peak_memory_bytes.is_none()),
            "– for memory: the provider does not report it.",
        ),
    ];
    reasons
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, reason)| reason.to_owned())
        .collect()
}

fn grammar_notes(row: &Row, names: Names) -> Vec<String> {
    let Some(grammar) = &row.grammar else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if grammar.effective_trials < grammar.asked_trials {
        notes.push(format!(
            "{}: grammar on {} of {}; the others ran unconstrained and are left out of \
             constraint differences.",
            names.row(row),
            grammar.effective_trials,
            count(grammar.asked_trials, "trial")
        ));
    }
    if grammar.unparseable_attempts + grammar.schema_invalid_attempts + grammar.cut_attempts > 0 {
        notes.push(format!(
            "{}: of {} under the grammar, {} unreadable, {} against the schema, {} cut by the \
             token limit.",
            names.row(row),
            count(grammar.attempts, "attempt"),
            grammar.unparseable_attempts,
            grammar.schema_invalid_attempts,
            grammar.cut_attempts
        ));
    }
    notes
}
