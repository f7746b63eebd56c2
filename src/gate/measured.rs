//! What a gate needs of a run beside its snapshot: what went wrong, times, cost.
//!
//! Data in: header and trial lines. Data out: [`Measured`]. Invariants: numbers are those of a report
//! of the same run; what failed for other reasons than the model is named here, and nowhere counted.

use crate::metrics::latency::Quantiles;
use crate::metrics::rows_of_run;
use crate::record::format::{ExcludedCell, Header};
use crate::types::{EarlyEnd, TrialRecord};

use super::snapshot::CellNames;

/// What was measured, and what stands in the way of a verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// By cell.
    pub cells: Vec<CellMeasured>,
    /// What failed of the run as a whole.
    pub trouble: Vec<String>,
    /// Cells that a combination of model and dialect does not allow: label, reason.
    pub unsupported: Vec<(String, String)>,
    /// Cost of every reply and its currency; `None` without a price.
    pub cost: Option<(f64, String)>,
    /// Models that are not in the amount.
    pub unpriced: Vec<String>,
    /// Requests without a reply, whose cost nobody knows.
    pub requests_without_reply: usize,
}

/// What was measured of one cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellMeasured {
    /// Its label.
    pub cell: String,
    /// Why nothing can be said of it; empty when all is well.
    pub trouble: Vec<String>,
    /// Time to a valid call.
    pub valid_call_ms: Quantiles,
    /// Time of a task.
    pub task_ms: Quantiles,
    /// Scored trials measured while the machine was busy with something else.
    pub noisy_trials: usize,
    /// Scored trials.
    pub scored_trials: usize,
    /// Cost of a success and its currency; `None` without a price or a success.
    pub cost_per_success: Option<(f64, String)>,
}

impl Measured {
    /// Of a run; `ended` is what a limit ended.
    pub fn of_run(header: &Header, trials: &[TrialRecord], ended: &[EarlyEnd]) -> Self {
        let names = CellNames::of(header);
        let (rows, cost) = rows_of_run(header, trials);
        let cells = rows.iter().map(|row| {
            let cost = row.cost.as_ref();
            CellMeasured {
                cell: names.of_row(row),
                trouble: row.undecidable.clone(),
                valid_call_ms: row.latency.valid_call_ms.clone(),
                task_ms: row.latency.task_ms.clone(),
                noisy_trials: row.latency.noisy_trials,
                scored_trials: row.scored_trials,
                cost_per_success: cost
                    .and_then(|cost| Some((cost.per_success?, cost.currency.clone()))),
            }
        });
        let failed = header.excluded.iter().filter(|excluded| excluded.failed);
        let mut trouble: Vec<String> = failed.map(not_run).collect();
        trouble.extend(ended.iter().map(|end| {
            format!(
                "it ended with {} trials left: {}",
                end.trials_left, end.reason
            )
        }));
        let unsupported = header.excluded.iter().filter(|excluded| !excluded.failed);
        Self {
            cells: cells.collect(),
            trouble,
            unsupported: unsupported
                .map(|excluded| (excluded_label(excluded), excluded.reason.clone()))
                .collect(),
            cost: cost
                .as_ref()
                .map(|cost| (cost.amount, cost.currency.clone())),
            unpriced: cost.as_ref().map_or_else(
                || header.models.iter().map(|it| it.name.clone()).collect(),
                |cost| cost.models_left_out.clone(),
            ),
            requests_without_reply: cost.map_or(0, |cost| cost.requests_without_reply),
        }
    }

    /// Of one cell.
    pub fn cell(&self, label: &str) -> Option<&CellMeasured> {
        self.cells.iter().find(|cell| cell.cell == label)
    }

    /// Everything that keeps the run from being judged, in one list.
    pub fn all_trouble(&self) -> Vec<String> {
        let of_cells = self.cells.iter().filter(|cell| !cell.trouble.is_empty());
        let of_cells = of_cells.map(|cell| format!("{}: {}", cell.cell, cell.trouble.join("; ")));
        self.trouble.iter().cloned().chain(of_cells).collect()
    }
}

/// Model, dialect, constraint and variant, as [`CellNames`] writes them.
fn excluded_label(excluded: &ExcludedCell) -> String {
    let label = |name: &str| excluded.labels.get(name).cloned();
    let parts = [
        Some(excluded.model.clone()).filter(|model| !model.is_empty()),
        label("dialect"),
        label("constraint"),
        label("variant"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

fn not_run(excluded: &ExcludedCell) -> String {
    let suite = excluded.labels.get("suite");
    let mut what = excluded_label(excluded);
    if let Some(suite) = suite {
        if !what.is_empty() {
            what.push_str(" · ");
        }
        what.push_str(suite);
    }
    format!("{what} could not be run: {}", excluded.reason)
}
