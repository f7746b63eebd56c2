//! Charts of the page as numbers for the template: positions, never new statistics.
//!
//! Data in: summary and details. Data out: serialisable shapes in pixels. Invariants: what a chart
//! says is said in figures beside it too; a row without a value has no mark.

use serde::Serialize;

use super::super::text::{duration, short};
use super::tables::{Cell, Head, RowLabels, filters_of_row, link};
use crate::metrics::detail::Times;
use crate::metrics::latency::Quantiles;
use crate::metrics::{Detail, Row, Summary};
use crate::types::Code;

/// One decimal is enough for a pixel.
pub(super) fn pixel(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A mark on an axis.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) text: String,
}

/// Positive values on a logarithmic axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogScale {
    low: f64,
    high: f64,
    left: f64,
    width: f64,
}

impl LogScale {
    /// Over all values with some room beside them; `None` without a positive one.
    pub(super) fn over(values: impl Iterator<Item = f64>, left: f64, width: f64) -> Option<Self> {
        let positive = values.filter(|value| *value > 0.0 && value.is_finite());
        let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        (high > 0.0).then(|| Self {
            low: low / 1.15,
            high: high * 1.15,
            left,
            width,
        })
    }

    fn share(self, value: f64) -> f64 {
        let at = (value.max(self.low) / self.low).ln() / (self.high / self.low).ln();
        at.clamp(0.0, 1.0)
    }

    pub(super) fn at(self, value: f64) -> f64 {
        pixel(self.left + self.width * self.share(value))
    }

    /// 1, 2 and 5 times powers of ten, or powers alone where those are too many.
    pub(super) fn ticks(self) -> Vec<Tick> {
        let decades = (self.low.log10().floor() as i32)..=(self.high.log10().ceil() as i32);
        let of = |steps: &[f64]| -> Vec<f64> {
            let all = decades.clone();
            all.flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
                .filter(|value| (self.low..=self.high).contains(value))
                .collect()
        };
        let mut values = of(&[1.0, 2.0, 5.0]);
        if values.len() > 8 {
            values = of(&[1.0]);
        }
        let tick = |value: f64| Tick {
            at: self.at(value),
            text: duration(Some(value)),
        };
        values.into_iter().map(tick).collect()
    }
}

/// A time and its 95 % limits, in one unit: `1.2 s [0.9–1.6]`.
pub(super) fn with_limits(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
    let shown = duration(value);
    let (Some(_), Some(low), Some(high)) = (value, low, high) else {
        return shown;
    };
    let (divisor, decimals) = if shown.ends_with(" ms") {
        (1.0, usize::from(low < 9.95))
    } else {
        (1000.0, usize::from(low < 99_950.0))
    };
    format!(
        "{shown} [{:.decimals$}–{:.decimals$}]",
        low / divisor,
        high / divisor
    )
}

/// Where an interval and its value stand on a bar from 0 to 100 %.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Interval {
    low: f64,
    width: f64,
    value: f64,
}

/// Width of such a bar.
const BAR: f64 = 150.0;

impl Interval {
    pub(super) fn of(row: &Row) -> Option<Self> {
        let found = &row.success;
        let (low, high) = (found.low?, found.high?);
        Some(Self {
            low: pixel(4.0 + BAR * low),
            width: pixel(BAR * (high - low)),
            value: pixel(4.0 + BAR * found.rate?),
        })
    }
}

/// From all scored trials to those right in the end, by what first went wrong.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flow {
    scored: usize,
    at_once: usize,
    in_the_end: usize,
    lost: usize,
    corrected: usize,
    /// Width of what was right at once and in the end.
    at_once_width: f64,
    end_width: f64,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Serialize)]
struct Step {
    code: String,
    meaning: &'static str,
    link: String,
    recovered_link: String,
    trials: usize,
    corrected: usize,
    recovered: usize,
    lost: usize,
    /// Where the recovered begin, their width; the lost follow.
    start: f64,
    recovered_width: f64,
    lost_start: f64,
    lost_width: f64,
}

/// Width of the whole.
const FLOW: f64 = 360.0;

/// The steps; `None` without a scored trial. What recovers is stacked on what was right at once, what
/// is lost stands to its right, up to all trials.
pub(super) fn flow(detail: &Detail) -> Option<Flow> {
    let scored = detail.scored_trials;
    if scored == 0 {
        return None;
    }
    let width = |trials: usize| pixel(FLOW * trials as f64 / scored as f64);
    let mut right = detail.right_at_once;
    let mut done = detail.right_at_once
        + detail
            .first_faults
            .iter()
            .map(|it| it.recovered)
            .sum::<usize>();
    let in_the_end = done;
    let steps = detail.first_faults.iter().map(|fault| {
        let name = fault.code.map_or("not on record", Code::name);
        let filter = fault.code.map_or("", Code::name);
        let step = Step {
            code: name.to_owned(),
            meaning: fault.code.map_or("", Code::meaning),
            link: link(&[("first", filter)]),
            recovered_link: link(&[("first", filter), ("outcome", "recovered")]),
            trials: fault.trials,
            corrected: fault.corrected,
            recovered: fault.recovered,
            lost: fault.lost(),
            start: width(right),
            recovered_width: width(fault.recovered),
            lost_start: width(done),
            lost_width: width(fault.lost()),
        };
        right += fault.recovered;
        done += fault.lost();
        step
    });
    let steps: Vec<Step> = steps.collect();
    Some(Flow {
        scored,
        at_once: detail.right_at_once,
        in_the_end,
        lost: scored - in_the_end,
        corrected: detail.first_faults.iter().map(|it| it.corrected).sum(),
        at_once_width: width(detail.right_at_once),
        end_width: width(in_the_end),
        steps,
    })
}

/// Distributions of one time, one line for each row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measure {
    name: &'static str,
    meaning: &'static str,
    heads: Vec<Head>,
    ticks: Vec<Tick>,
    rows: Vec<Strip>,
}

#[derive(Clone, Debug, Serialize)]
struct Strip {
    labels: Vec<String>,
    link: String,
    n: usize,
    p50: Cell,
    p95: Cell,
    max: Cell,
    path: String,
    middle: Option<f64>,
    tail: Option<f64>,
}

/// Left, width and height of a strip, and its classes.
const STRIP: (f64, f64, f64) = (4.0, 392.0, 20.0);
const CLASSES: usize = 56;

/// Task, valid call and first token, as far as anything was measured.
pub(super) fn latency(summary: &Summary, detail: &Detail) -> Vec<Measure> {
    type Pick = (
        &'static str,
        &'static str,
        fn(&Row) -> &Quantiles,
        fn(&Times) -> &[f64],
    );
    let measures: [Pick; 3] = [
        (
            "Task",
            "first request to the end of judging, failures included",
            |row| &row.latency.task_ms,
            |times| &times.task_ms,
        ),
        (
            "Valid call",
            "first request to the first valid call, corrections included; only trials with one",
            |row| &row.latency.valid_call_ms,
            |times| &times.valid_call_ms,
        ),
        (
            "First token",
            "first request to the first generated token",
            |row| &row.latency.first_token_ms,
            |times| &times.first_token_ms,
        ),
    ];
    let found = measures
        .into_iter()
        .filter_map(|(name, meaning, quantiles, values)| {
            let (left, width, _) = STRIP;
            let all = detail
                .times
                .iter()
                .flat_map(|times| values(times).iter().copied());
            let scale = LogScale::over(all, left, width)?;
            let labels = RowLabels::of(&summary.totals);
            let rows = summary.totals.iter().zip(&detail.times).zip(labels.values);
            let rows = rows.map(|((row, times), labels)| {
                let found = quantiles(row);
                Strip {
                    labels,
                    link: link(&filters_of_row(row)),
                    n: found.n,
                    p50: Cell::number(
                        with_limits(found.p50, found.p50_low, found.p50_high),
                        found.p50,
                    ),
                    p95: Cell::number(
                        with_limits(found.p95, found.p95_low, found.p95_high),
                        found.p95,
                    ),
                    max: Cell::number(duration(found.max), found.max),
                    path: histogram(values(times), scale),
                    middle: found.p50.map(|value| scale.at(value)),
                    tail: found.p95.map(|value| scale.at(value)),
                }
            });
            Some(Measure {
                name,
                meaning,
                heads: labels.heads,
                ticks: scale.ticks(),
                rows: rows.collect(),
            })
        });
    found.collect()
}

/// Bars of equal width on the logarithmic axis; the highest fills the strip.
fn histogram(values: &[f64], scale: LogScale) -> String {
    let (left, width, height) = STRIP;
    let mut counts = [0_usize; CLASSES];
    for value in values {
        let class = (scale.share(*value) * CLASSES as f64) as usize;
        counts[class.min(CLASSES - 1)] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or_default().max(1) as f64;
    let step = width / CLASSES as f64;
    let mut path = String::new();
    for (class, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let tall = (height - 1.0) * *count as f64 / most;
        path.push_str(&format!(
            "M{} {}v-{}h{}v{}z",
            pixel(left + step * class as f64),
            pixel(height),
            pixel(tall),
            pixel(step - 0.6),
            pixel(tall)
        ));
    }
    path
}

/// A rate of tokens and its limits.
pub(super) fn speed(value: Option<f64>, low: Option<f64>, high: Option<f64>) -> String {
    let shown = short(value);
    match (low, high) {
        (Some(_), Some(_)) => format!("{shown} [{}–{}]", short(low), short(high)),
        _ => shown,
    }
}
