//! Load: what comes of several trials at once, and how many machines a demand needs.
//!
//! Data in: measured cells, a demand. Data out: rows by concurrency, machines. Invariants: times include
//! waiting for a turn and for the endpoint; a row says how many trials were in flight as a mean, which is
//! less than was asked for where suites are small, since each is run by itself: such a row counts for no
//! demand; a machine is counted by what it was measured to do, never by a prediction, and not for a cell that
//! is seen to miss what is wanted.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Wishes;
use super::answer::{percent, seconds};
use super::evidence::Cell;
use crate::metrics::latency::nearest_rank;

/// Trials in flight / trials at once from which a row is of that load.
const LEAST_IN_FLIGHT: f64 = 0.8;
/// Values that a tail needs, and the share of times that a limit is for.
const LEAST_FOR_TAIL: usize = 20;
const TAIL: f64 = 0.95;
/// Machine of a cell that a server elsewhere answered.
const REMOTE: &str = "remote";

/// A cell with so many trials at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadRow {
    /// The cell.
    pub cell: String,
    /// Its machine.
    pub tier: String,
    /// Trials at once, as asked for.
    pub concurrency: usize,
    /// Trials that were in flight, as a mean.
    pub in_flight: Option<f64>,
    /// Cases.
    pub cases: usize,
    /// Success.
    pub success: Option<f64>,
    /// Lower 95 % limit.
    pub success_low: Option<f64>,
    /// Upper 95 % limit.
    pub success_high: Option<f64>,
    /// Median of the objective's time, waiting included; `null` where it is for ever.
    pub p50_ms: Option<f64>,
    /// Its 95 % quantile; from 20 values, `null` where it is for ever.
    pub p95_ms: Option<f64>,
    /// Successes (within the limit, where there is one) in an hour.
    pub goodput_per_hour: Option<f64>,
    /// The same at the lower limit of the rate.
    pub goodput_low_per_hour: Option<f64>,
    /// 95 % of times lie within the limit, as it was seen; what never got there does not. `null` without a
    /// limit or times.
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
    /// It is an endpoint elsewhere, and what was measured is what it gave to one client.
    pub remote: bool,
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
        .map(|cell| row(cell, cells, wishes))
        .collect();
    // By cell in the order of measuring, then by load.
    let place = |row: &LoadRow| {
        let is_it = |cell: &Cell| {
            (cell.name_among(cells), cell.place()) == (row.cell.clone(), row.tier.as_str())
        };
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
        && one.cases_hash == other.cases_hash
        && one.variant_hash == other.variant_hash
        && one.machine == other.machine
        && one.weights_sha256 == other.weights_sha256
}

fn row(cell: &Cell, cells: &[Cell], wishes: &Wishes) -> LoadRow {
    let rate = cell.attainment.as_ref().unwrap_or(&cell.success);
    let low_share = match (rate.rate, rate.low) {
        (Some(rate), Some(low)) if rate > 0.0 => Some(low / rate),
        _ => None,
    };
    let mut times: Vec<f64> = cell.work.times_ms.iter().flatten().copied().collect();
    times.sort_by(f64::total_cmp);
    let quantile = |percent| nearest_rank(&times, percent).filter(|ms| ms.is_finite());
    let within = |limit: f64| {
        let inside = times.iter().filter(|ms| **ms <= limit).count();
        (!times.is_empty()).then_some(inside as f64 >= TAIL * times.len() as f64)
    };
    LoadRow {
        cell: cell.name_among(cells),
        tier: cell.place().to_owned(),
        concurrency: cell.concurrency,
        in_flight: (cell.work.in_flight > 0.0).then_some(cell.work.in_flight),
        cases: cell.cases,
        success: cell.success.rate,
        success_low: cell.success.low,
        success_high: cell.success.high,
        p50_ms: quantile(50),
        p95_ms: quantile(95).filter(|_| times.len() >= LEAST_FOR_TAIL),
        goodput_per_hour: cell.goodput_per_hour,
        goodput_low_per_hour: cell
            .goodput_per_hour
            .zip(low_share)
            .map(|(hourly, share)| hourly * share),
        within_limit: wishes.p95_ms.and_then(within),
    }
}

/// Fewer were in flight than asked for, so that it says little of that load.
fn is_thin(row: &LoadRow) -> bool {
    let wanted = LEAST_IN_FLIGHT * row.concurrency as f64;
    row.in_flight.is_some_and(|found| found < wanted)
}

/// Why a row serves no demand.
fn unfit(row: &LoadRow, wishes: &Wishes) -> Option<String> {
    if let (Some(wanted), Some(high)) = (wishes.success, row.success_high)
        && high < wanted
    {
        return Some(format!(
            "its success is at most {} (upper 95 % limit)",
            percent(high)
        ));
    }
    if let (Some(limit), Some(false)) = (wishes.p95_ms, row.within_limit) {
        return Some(format!(
            "fewer than 95 % of its times lie within {}",
            seconds(limit)
        ));
    }
    if is_thin(row) {
        let found = row.in_flight.unwrap_or_default();
        return Some(format!("only {found:.1} were in flight"));
    }
    match row.goodput_per_hour {
        Some(hourly) if hourly > 0.0 => None,
        Some(_) => Some("nothing succeeded within the limits".to_owned()),
        None => Some("its hours are not known".to_owned()),
    }
}

/// Rows that say little of their load.
pub fn thin_rows(rows: &[LoadRow]) -> Option<String> {
    let thin: Vec<String> = rows
        .iter()
        .filter(|row| is_thin(row))
        .map(|row| {
            format!(
                "{} on {} at {}: {:.1}",
                row.cell,
                row.tier,
                row.concurrency,
                row.in_flight.unwrap_or_default()
            )
        })
        .collect();
    (!thin.is_empty()).then(|| {
        format!(
            "load: fewer trials were in flight than asked for ({}), since each suite is run by itself and its \
             last trials leave turns empty; take one suite with more cases. These rows count for no demand",
            thin.join("; ")
        )
    })
}

/// For each cell and machine, at the load that gives most: within what is wanted. Where nothing is, why.
pub fn demands(cells: &[Cell], wishes: &Wishes) -> (Vec<Demand>, Option<String>) {
    let Some(per_hour) = wishes.demand_per_hour else {
        return (Vec::new(), None);
    };
    let mut best: Vec<(&Cell, LoadRow)> = Vec::new();
    let mut reasons = Vec::new();
    for cell in cells {
        let own = row(cell, cells, wishes);
        if let Some(why) = unfit(&own, wishes) {
            let (label, place) = (&own.cell, &own.tier);
            reasons.push(format!("{label} on {place} at {}: {why}", own.concurrency));
            continue;
        }
        match best.iter_mut().find(|(known, _)| is_family(known, cell)) {
            Some((_, known)) if known.goodput_per_hour < own.goodput_per_hour => *known = own,
            Some(_) => {}
            None => best.push((cell, own)),
        }
    }
    let found: Vec<Demand> = best
        .into_iter()
        .filter_map(|(cell, row)| demand(cell, row, per_hour))
        .collect();
    let none = found.is_empty().then(|| {
        format!(
            "demand: no machine can be counted ({})",
            if reasons.is_empty() {
                "nothing was measured".to_owned()
            } else {
                reasons.join("; ")
            }
        )
    });
    (found, none)
}

fn demand(cell: &Cell, row: LoadRow, per_hour: f64) -> Option<Demand> {
    let machines = |hourly: f64| (per_hour / hourly).ceil() as u64;
    let at_low = row.goodput_low_per_hour.filter(|hourly| *hourly > 0.0);
    Some(Demand {
        per_hour,
        remote: cell.machine == REMOTE,
        concurrency: row.concurrency,
        machines: machines(row.goodput_per_hour?),
        machines_at_low: at_low.map(machines),
        cell: row.cell,
        tier: row.tier,
    })
}
