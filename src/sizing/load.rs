//! Load: what comes of several trials at once, and how many machines a demand needs.
//!
//! Data in: measured cells, a demand. Data out: rows by concurrency, machines. Invariants: times include
//! waiting for a turn; so many trials are in flight as long as any are left, so nothing here speaks of
//! peaks above the mean; a machine is counted by what it was measured to do, never by a prediction.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Wishes;
use super::evidence::Cell;

/// A cell with so many trials at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRow {
    /// The cell.
    pub cell: String,
    /// Its machine.
    pub tier: String,
    /// Trials at once.
    pub concurrency: usize,
    /// Cases.
    pub cases: usize,
    /// Success.
    pub success: Option<f64>,
    /// Lower 95 % limit.
    pub success_low: Option<f64>,
    /// Upper 95 % limit.
    pub success_high: Option<f64>,
    /// Median of the task's time, waiting included.
    pub p50_ms: Option<f64>,
    /// Its 95 % quantile; from 20 values.
    pub p95_ms: Option<f64>,
    /// Successes (within the limit, where there is one) in an hour.
    pub goodput_per_hour: Option<f64>,
    /// The same at the lower limit of the rate.
    pub goodput_low_per_hour: Option<f64>,
    /// The 95 % quantile lies within the limit, as it was seen; `null` without a limit or quantile.
    pub within_limit: Option<bool>,
}

/// Machines for a demand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Demand {
    /// Successes wanted in an hour.
    pub per_hour: f64,
    /// The cell.
    pub cell: String,
    /// The machine that is counted.
    pub tier: String,
    /// Trials at once on each.
    pub concurrency: usize,
    /// Machines, at the goodput that was measured.
    pub machines: u64,
    /// Machines, at the lower limit of it; `null` where that is 0.
    pub machines_at_low: Option<u64>,
}

/// Rows of cells that were measured at several loads, or at any but one at a time.
pub fn rows(cells: &[Cell], wishes: &Wishes) -> Vec<LoadRow> {
    let loads = |cell: &Cell| {
        let own = cells.iter().filter(|other| is_family(cell, other));
        own.count() > 1 || cell.concurrency > 1
    };
    let mut rows: Vec<LoadRow> = cells
        .iter()
        .filter(|cell| loads(cell))
        .map(|cell| row(cell, wishes))
        .collect();
    // By cell in the order of measuring, then by load.
    let place = |row: &LoadRow| {
        let is_it =
            |cell: &Cell| (cell.label(), cell.place()) == (row.cell.clone(), row.tier.as_str());
        cells.iter().position(is_it)
    };
    rows.sort_by_key(|row| (place(row), row.concurrency));
    rows
}

/// The same cell at another load.
fn is_family(one: &Cell, other: &Cell) -> bool {
    one.label() == other.label()
        && one.settings == other.settings
        && one.context_tokens == other.context_tokens
        && one.machine == other.machine
        && one.weights_sha256 == other.weights_sha256
}

fn row(cell: &Cell, wishes: &Wishes) -> LoadRow {
    let rate = cell.attainment.as_ref().unwrap_or(&cell.success);
    let low_share = match (rate.rate, rate.low) {
        (Some(rate), Some(low)) if rate > 0.0 => Some(low / rate),
        _ => None,
    };
    let times = match wishes.objective {
        super::Objective::Task => &cell.task_ms,
        super::Objective::ValidCall => &cell.valid_call_ms,
    };
    LoadRow {
        cell: cell.label(),
        tier: cell.place().to_owned(),
        concurrency: cell.concurrency,
        cases: cell.cases,
        success: cell.success.rate,
        success_low: cell.success.low,
        success_high: cell.success.high,
        p50_ms: times.p50,
        p95_ms: times.p95,
        goodput_per_hour: cell.goodput_per_hour,
        goodput_low_per_hour: cell
            .goodput_per_hour
            .zip(low_share)
            .map(|(hourly, share)| hourly * share),
        within_limit: wishes
            .p95_ms
            .zip(times.p95)
            .map(|(limit, p95)| p95 <= limit),
    }
}

/// For each cell and machine, at the load that gives most: within the limit where one is.
pub fn demands(cells: &[Cell], wishes: &Wishes) -> Vec<Demand> {
    let Some(per_hour) = wishes.demand_per_hour else {
        return Vec::new();
    };
    let mut best: Vec<(&Cell, LoadRow)> = Vec::new();
    for cell in cells {
        let own = row(cell, wishes);
        let usable = own.goodput_per_hour.is_some_and(|hourly| hourly > 0.0)
            && own.within_limit != Some(false);
        if !usable {
            continue;
        }
        match best.iter_mut().find(|(known, _)| is_family(known, cell)) {
            Some((_, known)) if known.goodput_per_hour < own.goodput_per_hour => *known = own,
            Some(_) => {}
            None => best.push((cell, own)),
        }
    }
    best.into_iter()
        .filter_map(|(_, row)| {
            let machines = |hourly: f64| (per_hour / hourly).ceil() as u64;
            Some(Demand {
                per_hour,
                cell: row.cell,
                tier: row.tier,
                concurrency: row.concurrency,
                machines: machines(row.goodput_per_hour?),
                machines_at_low: row
                    .goodput_low_per_hour
                    .filter(|hourly| *hourly > 0.0)
                    .map(machines),
            })
        })
        .collect()
}
