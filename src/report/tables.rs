//! The tables of a report as text cells, shared by terminal and Markdown.
//!
//! Data in: [`Summary`]. Data out: titled tables of text. Invariants: model, dialect and constraint
//! are always shown, other labels only where they vary; numbers are right-aligned, units stand in
//! headings; narrow enough for 100 columns with model names of up to 18 characters.

use super::names::Names;
use super::text::{self, DASH, percent, percent_with_interval, points, whole};
use crate::metrics::compare::{Comparison, Family, REMOTE, Side};
use crate::metrics::latency::Quantiles;
use crate::metrics::{Row, Summary};

/// One column of a table.
pub(super) struct Column {
    /// Heading; `\n` where the terminal may break it.
    pub(super) heading: String,
    /// Numbers go right.
    pub(super) right: bool,
    /// Spaces before it on the terminal.
    pub(super) gap: u16,
    /// May be broken into lines when space is short.
    pub(super) wraps: bool,
}

/// One table.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<String>>,
}

pub(super) fn label(heading: &str, gap: u16, wraps: bool) -> Column {
    Column {
        heading: heading.to_owned(),
        right: false,
        gap,
        wraps,
    }
}

pub(super) fn number(heading: &str) -> Column {
    Column {
        heading: heading.to_owned(),
        right: true,
        gap: 1,
        wraps: false,
    }
}

/// A label column and its value in a row.
pub(super) type Label = (Column, Box<dyn Fn(&Row) -> String>);

/// Columns that say which row it is.
pub(super) fn labels(rows: &[Row]) -> Vec<Label> {
    let mut labels: Vec<Label> = vec![
        (label("model", 0, true), Box::new(|row| row.model.clone())),
        (
            label("dialect", 2, false),
            Box::new(|row| row.dialect.to_string()),
        ),
        (
            label("con-\nstraint", 1, false),
            Box::new(|row| row.constraint.to_string()),
        ),
    ];
    let mut add_if_varied = |heading: String, value: Box<dyn Fn(&Row) -> String>| {
        let varies = rows
            .windows(2)
            .any(|pair| value(&pair[0]) != value(&pair[1]));
        if varies {
            labels.push((label(&heading, 1, true), value));
        }
    };
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| DASH.to_owned());
    add_if_varied("variant".to_owned(), Box::new(|row| row.variant.clone()));
    add_if_varied("tier".to_owned(), Box::new(|row| row.tier.clone()));
    add_if_varied("suite".to_owned(), Box::new(move |row| or_dash(&row.suite)));
    add_if_varied(
        "category".to_owned(),
        Box::new(move |row| or_dash(&row.category)),
    );
    add_if_varied(
        "diffi-\nculty".to_owned(),
        Box::new(move |row| or_dash(&row.difficulty)),
    );
    let mut settings: Vec<String> = rows
        .iter()
        .flat_map(|r| r.settings.keys().cloned())
        .collect();
    settings.sort_unstable();
    settings.dedup();
    for name in settings {
        let heading = name.clone();
        add_if_varied(
            heading,
            Box::new(move |row| row.settings.get(&name).cloned().unwrap_or_default()),
        );
    }
    labels
}

/// A value column: heading and its text in a row.
type Value<'a> = (Column, Box<dyn Fn(&Row) -> String + 'a>);

fn table(title: &'static str, rows: &[Row], values: Vec<Value<'_>>) -> Table {
    let labels = labels(rows);
    let cells = rows
        .iter()
        .map(|row| {
            let own = labels.iter().map(|(_, value)| value(row));
            own.chain(values.iter().map(|(_, value)| value(row)))
                .collect()
        })
        .collect();
    Table {
        title,
        rows: cells,
        columns: labels
            .into_iter()
            .map(|(column, _)| column)
            .chain(values.into_iter().map(|(column, _)| column))
            .collect(),
    }
}

/// How often it works.
pub(super) fn quality(rows: &[Row]) -> Table {
    let mut success = number("success %\n[95 % interval]");
    success.gap = 2;
    table(
        "Quality (% of cases)",
        rows,
        vec![
            (number("n"), Box::new(sample_size)),
            (success, Box::new(|row| percent_with_interval(&row.success))),
            (
                number("first\ntry"),
                Box::new(|row| percent(row.first_attempt.rate)),
            ),
            (
                number("recov-\nered"),
                Box::new(|row| percent(row.recovered.rate)),
            ),
            (
                number("valid\ncall"),
                Box::new(|row| percent(row.calls.valid_call.rate)),
            ),
            (
                number("schema\nvalid"),
                Box::new(|row| percent(row.calls.schema_valid.rate)),
            ),
            (number("abst./\ncall F1"), Box::new(abstention_and_trigger)),
            (
                number("excl."),
                Box::new(|row| row.excluded.trials.to_string()),
            ),
        ],
    )
}

/// `24×1`; `24 (47)` when cases have unequal numbers of trials.
fn sample_size(row: &Row) -> String {
    if row.cases > 0 && row.trials.is_multiple_of(row.cases) {
        format!("{}×{}", row.cases, row.trials / row.cases)
    } else {
        format!("{} ({})", row.cases, row.trials)
    }
}

fn abstention_and_trigger(row: &Row) -> String {
    let whole_percent = |share: Option<f64>| whole(share.map(|share| share * 100.0));
    format!(
        "{}/{}",
        whole_percent(row.abstention.rate),
        whole_percent(row.trigger.f1)
    )
}

/// From attempted to valid calls.
pub(super) fn calls(rows: &[Row]) -> Table {
    table(
        "Calls (% of cases, first attempts)",
        rows,
        vec![
            (
                number("parsed"),
                Box::new(|row| percent(row.calls.parsed.rate)),
            ),
            (
                number("lenient"),
                Box::new(|row| percent(row.calls.parsed_leniently.rate)),
            ),
            (
                number("offered\ntool"),
                Box::new(|row| percent(row.calls.offered_tool.rate)),
            ),
            (
                number("schema\nvalid"),
                Box::new(|row| percent(row.calls.schema_valid.rate)),
            ),
            (
                number("valid\ncall"),
                Box::new(|row| percent(row.calls.valid_call.rate)),
            ),
            (
                number("abst."),
                Box::new(|row| percent(row.abstention.rate)),
            ),
            (
                number("trigger\nprec."),
                Box::new(|row| percent(row.trigger.precision)),
            ),
            (
                number("trigger\nrecall"),
                Box::new(|row| percent(row.trigger.recall)),
            ),
            (number("call\nF1"), Box::new(|row| percent(row.trigger.f1))),
        ],
    )
}

/// Executed calls against those asked for; `None` when no trial on record was counted.
pub(super) fn against_expected(rows: &[Row]) -> Option<Table> {
    let counted = |row: &Row| {
        let found = &row.against_expected;
        [
            &found.tool_selection,
            &found.call_set_f1,
            &found.extra_calls,
        ]
        .iter()
        .any(|rate| rate.n > 0)
    };
    rows.iter().any(counted).then(|| {
        table(
            "Calls against what was asked (% of cases)",
            rows,
            vec![
                (
                    number("right\ntool"),
                    Box::new(|row| percent(row.against_expected.tool_selection.rate)),
                ),
                (
                    number("right\narguments"),
                    Box::new(|row| percent(row.against_expected.arguments.rate)),
                ),
                (
                    number("call set F1\n[95 % interval]"),
                    Box::new(|row| percent_with_interval(&row.against_expected.call_set_f1)),
                ),
                (
                    number("end\nstate"),
                    Box::new(|row| percent(row.against_expected.end_state.rate)),
                ),
                (
                    number("extra\ncalls"),
                    Box::new(|row| percent(row.against_expected.extra_calls.rate)),
                ),
            ],
        )
    })
}

/// What corrections achieve and cost; `None` when none was sent.
pub(super) fn corrections(rows: &[Row]) -> Option<Table> {
    let sent = |row: &Row| row.corrections.corrected_trials > 0;
    rows.iter().any(sent).then(|| {
        let within = |row: &Row| {
            let rates = row.corrections.within.iter();
            let shown: Vec<String> = rates.map(|found| percent(found.success.rate)).collect();
            shown.join(" / ")
        };
        table(
            "Corrections (% of cases)",
            rows,
            vec![
                (number("right after at\nmost 0 / 1 / …"), Box::new(within)),
                (
                    number("corrected\ntrials"),
                    Box::new(|row| row.corrections.corrected_trials.to_string()),
                ),
                (
                    number("recovery\n[95 % interval]"),
                    Box::new(|row| percent_with_interval(&row.corrections.recovery)),
                ),
                (
                    number("ex-\nhausted"),
                    Box::new(|row| percent(row.corrections.exhausted.rate)),
                ),
                (
                    number("replies/\nturn"),
                    Box::new(|row| text::ratio(row.corrections.attempts_per_turn)),
                ),
                (
                    number("extra\nms"),
                    Box::new(|row| whole(row.corrections.overhead_ms)),
                ),
                (
                    number("extra\ntokens"),
                    Box::new(|row| whole(row.corrections.overhead_tokens)),
                ),
            ],
        )
    })
}

/// Repetition; `None` with one trial a case everywhere.
pub(super) fn repeats(rows: &[Row]) -> Option<Table> {
    rows.iter().any(|row| row.repeats.is_some()).then(|| {
        let of = |row: &Row, share: fn(&crate::metrics::repeats::Repeats) -> f64| {
            percent(row.repeats.as_ref().map(share))
        };
        let count = |value: Option<String>| value.unwrap_or_else(|| DASH.to_owned());
        table(
            "Repetition (% of cases)",
            rows,
            vec![
                (
                    number("k"),
                    Box::new(move |row| count(row.repeats.as_ref().map(|r| r.k.to_string()))),
                ),
                (
                    number("pass@k"),
                    Box::new(move |row| of(row, |r| r.pass_at_k)),
                ),
                (
                    number("pass^k\n[95 % interval]"),
                    Box::new(|row| {
                        row.repeats.as_ref().map_or_else(
                            || DASH.to_owned(),
                            |r| text::percents(r.pass_hat_k, r.pass_hat_k_low, r.pass_hat_k_high),
                        )
                    }),
                ),
                (
                    number("gap"),
                    Box::new(move |row| of(row, |r| r.reliability_gap)),
                ),
                (
                    number("flaky\ncases"),
                    Box::new(move |row| {
                        count(row.repeats.as_ref().map(|r| r.flaky_cases.to_string()))
                    }),
                ),
            ],
        )
    })
}

/// Peak memory of what served a row on its machine, which is that of the model over the whole run; of a
/// run on several machines what its rows on this one reached.
pub(super) fn peak_memory_bytes(summary: &Summary, row: &Row) -> Option<u64> {
    let mut sets = summary.pareto.iter().flat_map(|set| &set.rows);
    if let Some(found) = sets.find(|it| it.side.is_of(row)) {
        return found.peak_memory_bytes;
    }
    let here = |other: &&Row| other.model == row.model && other.tier == row.tier;
    let of_model = || {
        summary
            .cells
            .iter()
            .filter(|other| other.model == row.model)
    };
    if of_model().any(|other| other.tier != row.tier) {
        let peaks = of_model()
            .filter(here)
            .filter_map(|it| it.peak_memory_bytes);
        return peaks.max();
    }
    let known = summary.header.models.iter().find(|it| it.name == row.model);
    known.map_or(row.peak_memory_bytes, |it| it.peak_memory_bytes)
}

/// How fast it is and what it costs.
pub(super) fn speed(rows: &[Row], summary: &Summary) -> Table {
    let first = TimeColumn::new("first token", rows, |row| &row.latency.first_token_ms);
    let call = TimeColumn::new("valid call", rows, |row| &row.latency.valid_call_ms);
    let task = TimeColumn::new("task", rows, |row| &row.latency.task_ms);
    let memory = |row: &Row| text::megabytes(peak_memory_bytes(summary, row));
    table(
        "Speed and cost",
        rows,
        vec![
            first.value(),
            call.value(),
            task.value(),
            (number("m/t/c\n%"), Box::new(time_split)),
            (
                number("decode\ntok/s"),
                Box::new(|row| text::short(row.speed.decode_tokens_per_second)),
            ),
            (
                number("tokens/\nsuccess"),
                Box::new(|row| whole(row.tokens.per_success_tokens)),
            ),
            (number("memory\nMB"), Box::new(memory)),
        ],
    )
}

/// Two quantiles of a time, all rows in one unit.
struct TimeColumn {
    heading: String,
    divisor: f64,
    quantiles: fn(&Row) -> &Quantiles,
}

impl TimeColumn {
    fn new(name: &str, rows: &[Row], quantiles: fn(&Row) -> &Quantiles) -> Self {
        let longest = rows
            .iter()
            .filter_map(|row| quantiles(row).p95.or(quantiles(row).p50))
            .fold(0.0, f64::max);
        let (unit, divisor) = if longest >= 10_000.0 {
            ("s", 1000.0)
        } else {
            ("ms", 1.0)
        };
        Self {
            heading: format!("{name}\np50/p95 {unit}"),
            divisor,
            quantiles,
        }
    }

    fn value<'a>(self) -> Value<'a> {
        let column = number(&self.heading);
        let cell = move |row: &Row| {
            let found = (self.quantiles)(row);
            let shown = |value: Option<f64>| {
                let value = value.map(|ms| ms / self.divisor);
                if self.divisor > 1.0 {
                    text::short(value)
                } else {
                    whole(value)
                }
            };
            format!("{}/{}", shown(found.p50), shown(found.p95))
        };
        (column, Box::new(cell))
    }
}

/// `97/1/2`.
fn time_split(row: &Row) -> String {
    let times = &row.latency;
    let Some(task) = times.task_mean_ms.filter(|ms| *ms > 0.0) else {
        return DASH.to_owned();
    };
    let share = |part: Option<f64>| whole(part.map(|ms| 100.0 * ms / task));
    format!(
        "{}/{}/{}",
        share(times.model_mean_ms),
        share(times.tool_mean_ms),
        share(times.correction_mean_ms)
    )
}

/// Paired differences; `None` when nothing is compared.
pub(super) fn differences(summary: &Summary) -> Option<Table> {
    if summary.comparisons.is_empty() {
        return None;
    }
    let names = Names::of(summary);
    let rows = summary.comparisons.iter().map(|comparison| {
        vec![
            compared(comparison),
            within(comparison, names),
            comparison.cases.to_string(),
            difference(comparison),
            text::p_value(comparison.p_holm),
            comparison.verdict.in_words().to_owned(),
        ]
    });
    let confidence = summary.comparisons.iter().map(|found| found.confidence);
    let fixed = confidence.clone().all(|level| (level - 0.95).abs() < 1e-12);
    let heading = if fixed {
        "difference points\n[95 % interval]".to_owned()
    } else {
        let highest = confidence.fold(0.0, f64::max);
        format!("difference points\n[{:.1} % interval]", 100.0 * highest)
    };
    let mut interval = number(&heading);
    interval.gap = 2;
    Some(Table {
        title: "Paired differences in success (first named minus second)",
        rows: rows.collect(),
        columns: vec![
            label("compared", 0, true),
            label("within", 2, true),
            number("cases"),
            interval,
            number("p\n(Holm)"),
            label("verdict\non the first", 2, false),
        ],
    })
}

/// `grammar − off`.
pub(super) fn compared(comparison: &Comparison) -> String {
    let name = |side: &Side| match comparison.family {
        Family::Model => side.model.clone(),
        Family::Constraint => side.constraint.to_string(),
        Family::Variant => side.variant.clone(),
        Family::Dialect => side.dialect.to_string(),
    };
    format!(
        "{} − {}",
        name(&comparison.candidate),
        name(&comparison.baseline)
    )
}

/// What both sides share.
pub(super) fn within(comparison: &Comparison, names: Names) -> String {
    let side = &comparison.candidate;
    let shared = match comparison.family {
        Family::Model => format!("{}, {}", side.dialect, side.constraint),
        Family::Constraint => format!("{}, {}", side.model, side.dialect),
        Family::Variant => format!("{}, {}, {}", side.model, side.dialect, side.constraint),
        Family::Dialect => format!("{}, {}", side.model, side.constraint),
    };
    // A model of another machine is compared with those of each tier: the other side says which.
    let tiers = [&side.tier, &comparison.baseline.tier];
    let tier = tiers.into_iter().find(|tier| *tier != REMOTE);
    match names.tier(tier.unwrap_or(&side.tier)) {
        Some(tier) => format!("{shared}, {tier}"),
        None => shared,
    }
}

fn difference(comparison: &Comparison) -> String {
    match (comparison.difference, comparison.low, comparison.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} [{}, {}]", points(value), points(low), points(high))
        }
        _ => DASH.to_owned(),
    }
}
