//! Limits on times and amounts, and times against the baseline.
//!
//! Data in: a cell, what was measured. Data out: [`Check`]s. Invariants: limits are compared with the
//! measured quantile or amount, its interval stands beside it; a quantile without a value beyond it is
//! not enough data; a limit passed while the machine was busy with something else is trouble, no
//! breach; an amount that is not known is never taken for 0.
//!
//! Times are compared with a baseline's case by case: the median over cases of now / then, with the
//! distribution-free interval of a median. Only within one tier and engine build: on another machine or
//! build they say nothing of the change under test.

use std::collections::BTreeMap;

use super::baseline::{TimeLine, Times};
use super::judge::{Against, Cell, Input};
use super::measured::CellMeasured;
use super::regression::engines;
use super::rules::{LatencyLimit, Measure, Quantile};
use super::snapshot::CellFact;
use super::verdict::{Check, CheckKind, CheckStatus, Unit};
use super::words::{count, size, time};
use crate::metrics::MOST_EXCLUDED;
use crate::metrics::interval::quantile_ranks;
use crate::metrics::latency::{Quantiles, nearest_rank};
use crate::types::price::amount_in_words;

/// One of the times of a case.
type Time = fn(&TimeLine) -> Option<f64>;

/// Checks of one cell.
pub(super) fn checks(cell: &Cell<'_>, input: &Input<'_>, out: &mut Vec<Check>) {
    let label = &cell.fact.cell;
    let nothing = CellMeasured::default();
    let measured = input.measured.cell(label).unwrap_or(&nothing);
    for limit in &input.rules.latency {
        out.push(latency(label, measured, limit));
    }
    if let Some(most) = input.rules.max_cost_per_success {
        out.push(cost_per_success(label, measured, most));
    }
    if let Some((most, against)) = input.rules.max_slowdown.zip(input.baseline.as_ref()) {
        slowdowns(cell, measured, input, against, most, out);
    }
}

fn empty(kind: CheckKind, label: &str, subject: &str, unit: Unit, required: f64) -> Check {
    Check {
        kind,
        cell: Some(label.to_owned()),
        subject: Some(subject.to_owned()),
        status: CheckStatus::NotEnoughData,
        unit,
        required: Some(required),
        observed: None,
        low: None,
        high: None,
        reason: String::new(),
        cases: Vec::new(),
    }
}

/// More of the trials than may be excluded were measured on a busy machine.
fn is_noisy(measured: &CellMeasured) -> bool {
    measured.noisy_trials as f64 > MOST_EXCLUDED * measured.scored_trials as f64
}

fn busy(measured: &CellMeasured) -> String {
    format!(
        "but {} of {} trials ran while the machine was busy with something else",
        measured.noisy_trials, measured.scored_trials
    )
}

fn latency(label: &str, measured: &CellMeasured, limit: &LatencyLimit) -> Check {
    let quantiles: &Quantiles = match limit.measure {
        Measure::ValidCall => &measured.valid_call_ms,
        Measure::Task => &measured.task_ms,
    };
    let (found, low, high, needed) = match limit.quantile {
        Quantile::P50 => (quantiles.p50, quantiles.p50_low, quantiles.p50_high, 1),
        Quantile::P95 => (quantiles.p95, quantiles.p95_low, quantiles.p95_high, 20),
    };
    let name = format!("{} {}", limit.quantile.in_words(), limit.measure.in_words());
    let mut check = empty(CheckKind::Latency, label, &name, Unit::Ms, limit.limit_ms);
    check.observed = found;
    (check.low, check.high) = (low, high);
    let most = time(limit.limit_ms);
    let Some(found) = found else {
        let values = count(quantiles.n, "value");
        check.reason =
            format!("{label}: {name} needs {needed} values and has {values}; the limit is {most}");
        return check;
    };
    let interval = match (low, high) {
        (Some(low), Some(high)) => format!(" [{}–{}]", time(low), time(high)),
        _ => String::new(),
    };
    let shown = format!("{label}: {name} is {}{interval}", time(found));
    (check.status, check.reason) = if found <= limit.limit_ms {
        (CheckStatus::Passed, format!("{shown}, the limit {most}"))
    } else if is_noisy(measured) {
        let why = format!("{shown}, over the limit of {most}, {}", busy(measured));
        (CheckStatus::Trouble, why)
    } else {
        (
            CheckStatus::Breached,
            format!("{shown}, over the limit of {most}"),
        )
    };
    check
}

fn cost_per_success(label: &str, measured: &CellMeasured, most: f64) -> Check {
    let mut check = empty(
        CheckKind::Cost,
        label,
        "cost of a success",
        Unit::Amount,
        most,
    );
    let Some((amount, currency)) = &measured.cost_per_success else {
        check.reason = format!(
            "{label}: the cost of a success is not known: it needs a price ([prices.\"MODEL\"] in toolbench.toml), \
             replies that report their tokens, and a success"
        );
        return check;
    };
    check.observed = Some(*amount);
    let (shown, limit) = (
        amount_in_words(*amount, currency),
        amount_in_words(most, currency),
    );
    (check.status, check.reason) = if *amount <= most {
        let why = format!("{label}: a success costs {shown}, the limit is {limit}");
        (CheckStatus::Passed, why)
    } else {
        let why = format!("{label}: a success costs {shown}, over the limit of {limit}");
        (CheckStatus::Breached, why)
    };
    check
}

/// The limit on the whole run.
pub(super) fn run_checks(input: &Input<'_>, out: &mut Vec<Check>) {
    let Some(most) = input.rules.max_cost else {
        return;
    };
    let measured = input.measured;
    let mut check = empty(CheckKind::Cost, "", "cost of the run", Unit::Amount, most);
    check.cell = None;
    let unpriced = measured.unpriced.join(", ");
    let Some((amount, currency)) = &measured.cost else {
        check.reason = format!(
            "the cost of the run is not known: no price, or no token count, for {unpriced} ([prices.\"MODEL\"] in toolbench.toml)"
        );
        out.push(check);
        return;
    };
    check.observed = Some(*amount);
    let (shown, limit) = (
        amount_in_words(*amount, currency),
        amount_in_words(most, currency),
    );
    let mut unknown = Vec::new();
    if !unpriced.is_empty() {
        unknown.push(format!("without {unpriced}"));
    }
    if measured.requests_without_reply > 0 {
        let requests = count(measured.requests_without_reply, "request");
        unknown.push(format!("without {requests} that got no reply"));
    }
    let but = if unknown.is_empty() {
        String::new()
    } else {
        format!(" ({})", unknown.join(", "))
    };
    (check.status, check.reason) = if *amount > most {
        let why = format!("the run cost {shown}{but}, over the limit of {limit}");
        (CheckStatus::Breached, why)
    } else if unpriced.is_empty() {
        (
            CheckStatus::Passed,
            format!("the run cost {shown}{but}, the limit is {limit}"),
        )
    } else {
        let why = format!("the run cost at least {shown}{but}, the limit is {limit}");
        (CheckStatus::NotEnoughData, why)
    };
    out.push(check);
}

fn slowdowns(
    cell: &Cell<'_>,
    measured: &CellMeasured,
    input: &Input<'_>,
    against: &Against<'_>,
    most: f64,
    out: &mut Vec<Check>,
) {
    let label = &cell.fact.cell;
    let Some(then) = cell
        .compared
        .as_ref()
        .map(super::regression::Compared::then)
    else {
        return;
    };
    let both: [(Measure, Time); 2] = [
        (Measure::Task, |line| Some(line.task_ms)),
        (Measure::ValidCall, |line| line.valid_call_ms),
    ];
    for (measure, value) in both {
        let mut check = empty(
            CheckKind::Slowdown,
            label,
            measure.in_words(),
            Unit::Ratio,
            1.0 + most,
        );
        let unlike = differing_fields(cell, then, input, against);
        if !unlike.is_empty() {
            check.status = CheckStatus::NotComparable;
            check.reason = format!(
                "{label}: {} cannot be compared: {}",
                measure.in_words(),
                unlike.join("; ")
            );
            out.push(check);
            continue;
        }
        let (Some(before), Some(after)) = (against.times, input.times) else {
            continue;
        };
        let ratios = ratios(cell, then, before, after, value);
        fill_slowdown(&mut check, label, measure, &ratios, most, measured);
        out.push(check);
    }
}

/// What keeps times from being compared.
fn differing_fields(
    cell: &Cell<'_>,
    then: &CellFact,
    input: &Input<'_>,
    against: &Against<'_>,
) -> Vec<String> {
    let mut found = Vec::new();
    if then.tier != cell.fact.tier {
        found.push(format!(
            "hardware tier: {} then, {} now",
            then.tier, cell.fact.tier
        ));
    }
    let before = engines(against.snapshot, then).join(", ");
    let after = engines(input.candidate, cell.fact).join(", ");
    if before != after {
        found.push(format!("engine build: {before} then, {after} now"));
    }
    if against.times.is_none() {
        let why = against.no_times.unwrap_or("the baseline holds no times");
        found.push(why.to_owned());
    }
    found
}

/// Now / then of each case that both sides timed and that is asked alike, ascending.
fn ratios(
    cell: &Cell<'_>,
    then: &CellFact,
    before: &Times,
    after: &Times,
    value: fn(&TimeLine) -> Option<f64>,
) -> Vec<f64> {
    fn of_cell<'a>(times: &'a Times, label: &str) -> BTreeMap<&'a str, &'a TimeLine> {
        let lines = times.cases.iter().filter(|line| line.cell == label);
        lines.map(|line| (line.case.as_str(), line)).collect()
    }
    let (before, after) = (of_cell(before, &then.cell), of_cell(after, &cell.fact.cell));
    let compared = cell.compared.as_ref();
    let unchanged = compared.map_or(&[][..], super::regression::Compared::cases);
    let mut ratios: Vec<f64> = unchanged
        .iter()
        .filter_map(|case| {
            let (then, now) = (value(before.get(case)?)?, value(after.get(case)?)?);
            (then > 0.0).then_some(now / then)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    ratios
}

fn fill_slowdown(
    check: &mut Check,
    label: &str,
    measure: Measure,
    ratios: &[f64],
    most: f64,
    measured: &CellMeasured,
) {
    let name = measure.in_words();
    let Some(median) = nearest_rank(ratios, 50) else {
        check.reason =
            format!("{label}: {name}: no case was timed on both sides while nothing else ran");
        if is_noisy(measured) {
            check.status = CheckStatus::Trouble;
            let why = busy(measured);
            check
                .reason
                .push_str(&format!("; {}", why.trim_start_matches("but ")));
        }
        return;
    };
    let at = |rank: Option<u64>| ratios.get(rank? as usize - 1).copied();
    let (low, high) = quantile_ranks(ratios.len() as u64, 0.5);
    check.observed = Some(median);
    (check.low, check.high) = (at(low), at(high));
    let interval = match (check.low, check.high) {
        (Some(low), Some(high)) => format!(" [{low:.2}–{high:.2}]"),
        _ => String::new(),
    };
    let shown = format!(
        "{label}: {name} is {median:.2}{interval} times the baseline's, median over {}",
        count(ratios.len(), "case")
    );
    let limit = format!("{:.2}", 1.0 + most);
    (check.status, check.reason) = if median < 1.0 + most {
        (CheckStatus::Passed, format!("{shown}; {limit} counts"))
    } else if is_noisy(measured) {
        let why = format!(
            "{shown}, {} % slower or more, {}",
            size(most),
            busy(measured)
        );
        (CheckStatus::Trouble, why)
    } else if check.low.is_some_and(|low| low > 1.0) {
        let why = format!("{shown}, which is {} % slower or more", size(most));
        (CheckStatus::Breached, why)
    } else {
        let why = format!("{shown}, but the interval holds 1 or there are fewer than 6 cases");
        (CheckStatus::NotEnoughData, why)
    };
}
