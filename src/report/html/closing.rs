//! What qualifies the answer: the machine, the models on it, notes, the record's own facts.
//!
//! Data in: summary, header, details. Data out: serialisable values for the template. Invariants: all
//! figures are measured unless they say that they are predicted; what was not kept is said.

use serde::Serialize;

use super::super::columns::COLUMNS;
use super::super::text::{DASH, count, duration, megabytes, percent, percent_with_interval};
use super::super::{footnotes, hosts, notes};
use super::Shown;
use super::charts::speed;
use super::tables::{Cell, Head, Plain, RowLabels};
use crate::metrics::{Detail, Summary};
use crate::record::Retain;
use crate::record::format::Header;

/// Why tools of some trials are not counted.
pub(super) fn tools_left_out(detail: &Detail) -> Option<String> {
    let left_out: usize = detail.tools.iter().map(|(_, found)| found.left_out).sum();
    (left_out > 0).then(|| {
        format!(
            "{} left out: what their calls were judged by is not in the record, or was cut or \
             redacted.",
            count(left_out, "scored trial")
        )
    })
}

/// The machine, the models on it, and how fast they were.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sizing {
    machine: Vec<(&'static str, String)>,
    models: Plain,
    speed: Plain,
}

fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

pub(super) fn sizing(summary: &Summary, header: &Header) -> Sizing {
    let machine = &summary.header.machine;
    let mut facts = vec![
        ("tier", machine.tier.clone()),
        ("processor", machine.cpu.clone()),
        (
            "cores",
            format!(
                "{} physical, {} logical",
                machine.physical_cores, machine.logical_cores
            ),
        ),
        ("memory", gigabytes(machine.memory_bytes)),
        (
            "memory bandwidth, measured",
            machine.memory_bandwidth_bytes_per_second.map_or_else(
                || "not measured".to_owned(),
                |bytes| format!("{:.1} GB/s read", bytes / 1e9),
            ),
        ),
        (
            "graphics processors",
            match machine.gpus.as_slice() {
                [] => "none found".to_owned(),
                gpus => gpus.join(", "),
            },
        ),
        ("system", machine.os.clone()),
    ];
    facts.retain(|(_, value)| !value.is_empty());
    let head = |text: &str, right| Head::new(text, right);
    let models = summary.header.models.iter().map(|model| {
        let stored = header.models.iter().find(|it| it.name == model.name);
        let file = stored.and_then(|it| it.facts.file_bytes);
        let predicted = stored.and_then(|it| it.facts.predicted_memory_bytes);
        let bytes = |bytes: Option<u64>| Cell::number(megabytes(bytes), bytes.map(|it| it as f64));
        vec![
            Cell::text(&model.name),
            Cell::text(
                model
                    .quantisation
                    .clone()
                    .unwrap_or_else(|| DASH.to_owned()),
            ),
            Cell::number(
                model.context_tokens.to_string(),
                Some(f64::from(model.context_tokens)),
            ),
            bytes(file),
            Cell::number(duration(model.load_ms), model.load_ms),
            bytes(model.peak_memory_bytes),
            bytes(predicted),
            Cell::text(&model.engine_build),
        ]
    });
    Sizing {
        machine: facts,
        models: Plain {
            title: "Models on this machine",
            heads: vec![
                head("model", false),
                head("quantisation", false),
                head("context tokens", true),
                head("file MB", true),
                head("load", true),
                head("peak memory MB", true),
                head("needed MB (predicted)", true),
                head("engine", false),
            ],
            rows: models.collect(),
        },
        speed: speed_table(summary),
    }
}

fn speed_table(summary: &Summary) -> Plain {
    let labels = RowLabels::of(&summary.totals);
    let mut heads = labels.heads;
    for name in [
        "success %",
        "prefill tok/s [95 %]",
        "decode tok/s [95 %]",
        "first token p50",
        "valid call p50",
        "valid call p95",
        "task p50",
        "task p95",
        "tokens/ success [95 %]",
    ] {
        heads.push(Head::new(name, true));
    }
    let rows = summary
        .totals
        .iter()
        .zip(labels.values)
        .map(|(row, labels)| {
            let (speeds, times, tokens) = (&row.speed, &row.latency, &row.tokens);
            let time = |ms: Option<f64>| Cell::number(duration(ms), ms);
            let mut cells: Vec<Cell> = labels.into_iter().map(Cell::text).collect();
            cells.extend([
                Cell::number(percent_with_interval(&row.success), row.success.rate),
                Cell::number(
                    speed(
                        speeds.prefill_tokens_per_second,
                        speeds.prefill_low_tokens_per_second,
                        speeds.prefill_high_tokens_per_second,
                    ),
                    speeds.prefill_tokens_per_second,
                ),
                Cell::number(
                    speed(
                        speeds.decode_tokens_per_second,
                        speeds.decode_low_tokens_per_second,
                        speeds.decode_high_tokens_per_second,
                    ),
                    speeds.decode_tokens_per_second,
                ),
                time(times.first_token_ms.p50),
                time(times.valid_call_ms.p50),
                time(times.valid_call_ms.p95),
                time(times.task_ms.p50),
                time(times.task_ms.p95),
                Cell::number(
                    speed(
                        tokens.per_success_tokens,
                        tokens.per_success_low_tokens,
                        tokens.per_success_high_tokens,
                    ),
                    tokens.per_success_tokens,
                ),
            ]);
            cells
        });
    Plain {
        title: "Speed and tokens by setting",
        rows: rows.collect(),
        heads,
    }
}

/// Everything that qualifies the figures.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Notes {
    lists: Vec<(&'static str, Vec<String>)>,
    record: Vec<(&'static str, String)>,
    resolutions: Vec<(String, String)>,
    settings: Vec<(String, String, String)>,
    definitions: Vec<(&'static str, &'static str, &'static str)>,
}

pub(super) fn notes(summary: &Summary, shown: &Shown<'_>) -> Notes {
    let header = &summary.header;
    let mut kept: Vec<String> = privacy(shown.header).into_iter().collect();
    if shown.truncated {
        kept.push("the record ends in a half line, which is left out".to_owned());
    }
    let mut lists = vec![
        ("What is kept", kept),
        ("Not run", not_run(summary)),
        ("Excluded trials", notes::excluded_trials(summary)),
        ("Ended early", notes::ended_early(summary)),
        ("Tool servers", hosts::servers(summary)),
        ("Probes", notes::probes(summary)),
        ("Cost", notes::costs(summary)),
        ("Notes", footnotes::footnotes(summary)),
    ];
    lists.retain(|(_, lines)| !lines.is_empty());
    let version = match header.toolbench_revision.as_str() {
        "" => header.toolbench_version.clone(),
        revision => format!("{} ({revision})", header.toolbench_version),
    };
    let found = &shown.header.fingerprint;
    let mut record = vec![
        ("run", header.run.clone()),
        ("created", header.created_at.clone()),
        ("command", header.command.clone()),
        ("suites", header.selection.join(", ")),
        ("toolbench", version),
        (
            "versions",
            format!(
                "record {}, scorer {}, metrics {}, codes {}",
                header.record_version,
                header.scorer_version,
                header.metrics_version,
                header.taxonomy_version
            ),
        ),
        ("plan", header.plan_hash.clone()),
        ("shard", header.shard.clone().unwrap_or_default()),
        ("processor features", found.cpu_features.join(" ")),
        ("build features", found.build_features.join(" ")),
        (
            "load when it began",
            found
                .load_average
                .map_or_else(String::new, |load| format!("{load:.2}")),
        ),
        (
            "steal while measuring",
            found
                .steal_share
                .map_or_else(String::new, |share| format!("{} %", percent(Some(share)))),
        ),
    ];
    record.retain(|(_, value)| !value.is_empty());
    let resolutions = header.models.iter().map(|model| {
        let weights = model.weights_sha256.as_ref();
        let weights = weights.map_or_else(String::new, |sum| format!("; sha256 {sum}"));
        (model.name.clone(), format!("{}{weights}", model.resolution))
    });
    Notes {
        lists,
        record,
        resolutions: resolutions.collect(),
        settings: header
            .settings
            .iter()
            .map(|it| (it.name.clone(), it.value.clone(), it.origin.clone()))
            .collect(),
        definitions: COLUMNS
            .iter()
            .map(|column| (column.name, column.unit, column.definition))
            .collect(),
    }
}

/// What could not be run, suites of one model, setting and reason together.
fn not_run(summary: &Summary) -> Vec<String> {
    let mut groups: Vec<(String, &str, usize, usize)> = Vec::new();
    for excluded in &summary.excluded {
        let labels = excluded.labels.iter().filter(|(name, _)| *name != "suite");
        let labels = labels.map(|(_, value)| value.as_str());
        let named = Some(excluded.model.as_str()).filter(|model| !model.is_empty());
        let labels: Vec<&str> = named.into_iter().chain(labels).collect();
        let (what, reason) = (labels.join(", "), excluded.reason.as_str());
        let suite = usize::from(excluded.labels.contains_key("suite"));
        let same = |group: &&mut (String, &str, usize, usize)| group.0 == what && group.1 == reason;
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.2 += excluded.cases;
                group.3 += suite;
            }
            None => groups.push((what, reason, excluded.cases, suite)),
        }
    }
    let line = |(what, reason, cases, suites): (String, &str, usize, usize)| {
        let suites = match suites {
            0 | 1 => String::new(),
            _ => format!(" in {suites} suites"),
        };
        format!("{what}: {}{suites}: {reason}", count(cases, "case"))
    };
    groups.into_iter().map(line).collect()
}

/// What the page cannot show, because it was not kept.
fn privacy(header: &Header) -> Option<String> {
    let found = header.privacy.as_ref()?;
    let kept = match found.retain {
        Retain::Full => "all content is kept",
        Retain::Calls => {
            "of content only calls with their arguments are kept: no prompt, reply or result"
        }
        Retain::None => {
            "no content is kept: no prompt, reply, call or result, only verdicts, counts and times"
        }
    };
    let redacted = match found.patterns.len() {
        0 => String::new(),
        patterns => format!(
            "; matches of {} are blotted out",
            count(patterns, "pattern")
        ),
    };
    Some(format!("{kept}{redacted}"))
}
