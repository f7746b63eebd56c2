//! Words around the tables: heading, open questions, failures, exclusions, footnotes.
//!
//! Data in: [`Summary`]. Data out: unwrapped lines. Invariants: every dash in a table has a footnote
//! that says why; every rate's method and n are said; nothing is said that the summary does not hold.

use std::collections::BTreeMap;

use super::tables::{compared, within};
use super::text::{count, percent};
use crate::metrics::rates::IntervalMethod;
use crate::metrics::{DRAWS, Row, Summary, Verdict};

/// Settings that shape no number, or stand in the heading and the tables already.
const QUIET_SETTINGS: [&str; 9] = [
    "out",
    "format",
    "by",
    "pull",
    "cache",
    "data",
    "suite",
    "dialect",
    "constraint",
];

/// What was run, where, with what.
pub(super) fn heading(summary: &Summary) -> String {
    let header = &summary.header;
    let machine = &header.machine;
    let sample = header.sample.map_or_else(String::new, |sample| {
        format!(" (sample of {} of {} cases)", sample.cases, sample.of)
    });
    let mut parts = vec![
        format!("{} · {}{sample}", header.run, header.selection.join(", ")),
        format!(
            "{} of {}",
            header.trials,
            count(header.planned_trials, "trial")
        ),
    ];
    if !machine.cpu.is_empty() {
        parts.push(format!("{} ({})", machine.cpu, machine.tier));
    }
    parts.push(format!("toolbench {}", header.toolbench_version));
    parts.extend(header.shard.as_ref().map(|shard| format!("shard {shard}")));
    parts.join(" · ")
}

/// Comparisons without a verdict, with the reason and what would decide them.
pub(super) fn open_questions(summary: &Summary) -> Vec<String> {
    summary
        .comparisons
        .iter()
        .filter(|comparison| comparison.verdict == Verdict::NotEnoughData)
        .map(|comparison| {
            let mut line = format!(
                "{} ({}): {}",
                compared(comparison),
                within(comparison),
                comparison.reason
            );
            if let Some(decide) = &comparison.decide {
                let time = decide
                    .time_in_words()
                    .map_or_else(String::new, |time| format!(", {time} at the measured pace"));
                line = format!(
                    "{line}; about {} cases like these would decide it ({} more{time})",
                    decide.cases, decide.more_cases
                );
            }
            line
        })
        .collect()
}

/// The three most frequent failures with what helps.
pub(super) fn top_failures(summary: &Summary) -> Vec<String> {
    summary
        .failures
        .iter()
        .take(3)
        .map(|failure| {
            format!(
                "{} ({}, {} % of failures): {}; {}",
                failure.code,
                count(failure.trials, "trial"),
                percent(Some(failure.share)),
                failure.meaning,
                failure.help
            )
        })
        .collect()
}

/// What was not run, and trials that do not count.
pub(super) fn exclusions(summary: &Summary) -> Vec<String> {
    let not_run = summary.excluded.iter().map(|excluded| {
        let labels: Vec<&str> = [excluded.model.as_str()]
            .into_iter()
            .filter(|model| !model.is_empty())
            .chain(excluded.labels.values().map(String::as_str))
            .collect();
        format!(
            "{}: not run ({}): {}",
            labels.join(", "),
            count(excluded.cases, "case"),
            excluded.reason
        )
    });
    let trials = summary
        .totals
        .iter()
        .filter(|row| row.excluded.trials > 0)
        .map(|row| {
            let found = &row.excluded;
            let classes: Vec<String> = [
                (found.infra, "infra"),
                (found.serving, "serving"),
                (found.tool, "tool"),
                (found.harness, "harness"),
            ]
            .into_iter()
            .filter(|(trials, _)| *trials > 0)
            .map(|(trials, class)| format!("{trials} {class}"))
            .collect();
            let codes: Vec<&str> = found.codes.iter().map(|c| c.code.as_str()).collect();
            let mut line = format!(
                "{}: {} of {} trials ({}: {})",
                name(row),
                found.trials,
                row.trials,
                classes.join(", "),
                codes.join(", ")
            );
            if found.serving > 0 {
                let deployed = percent(row.as_deployed.rate);
                line = format!("{line}; as deployed, counting them as misses, {deployed} %");
            }
            line
        });
    not_run.chain(trials).collect()
}

/// `model (json, off)`, with the labels that tell rows apart.
fn name(row: &Row) -> String {
    let labels: Vec<String> = [row.dialect.to_string(), row.constraint.to_string()]
        .into_iter()
        .chain(
            [&row.suite, &row.category, &row.difficulty]
                .into_iter()
                .flatten()
                .cloned(),
        )
        .collect();
    format!("{} ({})", row.model, labels.join(", "))
}

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
    notes.extend(dashes(rows));
    notes.extend(rows.iter().flat_map(grammar_notes));
    notes.extend(
        summary
            .header
            .undecidable
            .iter()
            .map(|why| format!("undecidable: {why}")),
    );
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
            let draws = if method.starts_with("bootstrap") {
                format!(", {DRAWS} draws")
            } else {
                String::new()
            };
            if fewest == most {
                format!("{method} (n = {most}{draws})")
            } else {
                format!("{method} (n = {fewest} to {most}{draws})")
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

fn grammar_notes(row: &Row) -> Vec<String> {
    let Some(grammar) = &row.grammar else {
        return Vec::new();
    };
    let mut notes = Vec::new();
    if grammar.effective_trials < grammar.asked_trials {
        notes.push(format!(
            "{}: grammar on {} of {}; the others ran unconstrained and are left out of \
             constraint differences.",
            name(row),
            grammar.effective_trials,
            count(grammar.asked_trials, "trial")
        ));
    }
    if grammar.unparseable_attempts + grammar.schema_invalid_attempts + grammar.cut_attempts > 0 {
        notes.push(format!(
            "{}: of {} under the grammar, {} unreadable, {} against the schema, {} cut by the \
             token limit.",
            name(row),
            count(grammar.attempts, "attempt"),
            grammar.unparseable_attempts,
            grammar.schema_invalid_attempts,
            grammar.cut_attempts
        ));
    }
    notes
}
