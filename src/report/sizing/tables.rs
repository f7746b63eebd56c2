//! The tables of the page.

use std::collections::BTreeSet;

use super::super::tables::{Column, Table, label, number};
use super::super::text::{DASH, megabytes, percent, percents, short, whole};
use super::foreign;
use crate::metrics::latency::Quantiles;
use crate::sizing::answer::Verdict;
use crate::sizing::evidence::Cell;
use crate::sizing::{MachineRow, SizingPage};
use crate::types::tier::GIB;

/// A table and a line under it.
pub(super) struct Part {
    pub(super) table: Table,
    pub(super) under: Option<String>,
}

/// A column and its text for a cell.
type Value<'a> = (Column, Box<dyn Fn(&Cell) -> String + 'a>);

/// All tables that have something to say; with `detailed`, predictions of every cell.
pub(super) fn all(page: &SizingPage, detailed: bool) -> Vec<Part> {
    let plain = |table: Option<Table>| table.map(|table| Part { table, under: None });
    let mut parts: Vec<Part> = [
        plain(claims(page)),
        plain(machines(page)),
        plain(models(page)),
        plain(success(page)),
        plain(value(page)),
        plain(contexts(page)),
        plain(load(page)),
    ]
    .into_iter()
    .flatten()
    .collect();
    parts.extend(foreign::predictions(page, detailed));
    parts.extend(foreign::published(page));
    parts.extend(foreign::mac_contexts(page));
    parts
}

pub(super) fn text(heading: &str, gap: u16) -> Column {
    label(heading, gap, true)
}

pub(super) fn gib(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| DASH.to_owned(), |bytes| format!("{:.1}", bytes / GIB))
}

pub(super) fn seconds(ms: Option<f64>) -> String {
    ms.map_or_else(
        || DASH.to_owned(),
        |ms| match ms / 1000.0 {
            seconds if seconds < 9.95 => format!("{seconds:.1}"),
            seconds => format!("{seconds:.0}"),
        },
    )
}

/// What is shown of each cell.
fn claims(page: &SizingPage) -> Option<Table> {
    let answer = page.answer.as_ref()?;
    // A bound is shown where it was asked for; one that nobody has is no column.
    let success = answer.claims.iter().any(|it| it.success_at_least.is_some());
    let time = page.limit_ms.is_some();
    let rows = answer.claims.iter().map(|claim| {
        let mut row = vec![
            claim.cell.clone(),
            claim.tier.clone(),
            claim.cases.to_string(),
        ];
        if success {
            let (low, high) = (claim.success_at_least, claim.success_at_most);
            row.push(format!("{} to {}", percent(low), percent(high)));
        }
        if time {
            let (low, high) = (claim.p95_at_least_ms, claim.p95_at_most_ms);
            row.push(format!("{} to {}", seconds(low), seconds(high)));
        }
        row.push(verdict(claim.verdict).to_owned());
        let needed = claim.cases_needed.map(|cases| cases.to_string());
        row.push(needed.unwrap_or_else(|| DASH.to_owned()));
        row
    });
    let mut columns = vec![text("measured", 0), text("machine", 2), number("cases")];
    if success {
        columns.push(number("success %\nlies in"));
    }
    if time {
        columns.push(number("p95 s\nlies in"));
    }
    columns.extend([text("verdict", 2), number("cases\nneeded")]);
    Some(Table {
        title: "What is shown (all verdicts together at 95 %)",
        rows: rows.collect(),
        columns,
    })
}

pub(super) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Holds => "holds",
        Verdict::Misses => "misses",
        Verdict::NotEnoughData => "not enough data",
    }
}

fn machines(page: &SizingPage) -> Option<Table> {
    let rate = |value: Option<f64>, spread: Option<f64>| {
        let Some(value) = value else {
            return DASH.to_owned();
        };
        let spread = spread.map_or_else(String::new, |share| format!(" ±{:.0} %", share * 100.0));
        format!("{}{spread}", short(Some(value / 1e9)))
    };
    let name = |row: &MachineRow| match row.gpus.as_slice() {
        [] => row.cpu.clone(),
        [one] => one.clone(),
        [first, ..] => format!("{} × {first}", row.gpus.len()),
    };
    let rows = page.machines.iter().map(|row| {
        vec![
            row.label.clone(),
            row.tier.clone().unwrap_or_else(|| DASH.to_owned()),
            name(row),
            row.physical_cores.to_string(),
            gib(Some(row.memory_bytes as f64)),
            gib(row.usable_bytes),
            rate(row.bandwidth_bytes_per_second, row.bandwidth_spread_share),
            rate(row.compute_flops_per_second, row.compute_spread_share),
        ]
    });
    (!page.machines.is_empty()).then(|| Table {
        title: "Machines (measured)",
        rows: rows.collect(),
        columns: vec![
            text("machine", 0),
            text("tier", 2),
            text("processor", 2),
            number("cores"),
            number("memory\nGiB"),
            number("for models\nGiB"),
            number("bandwidth\nGB/s"),
            number("compute\nGFLOP/s"),
        ],
    })
}

/// One row for each model, machine and context: of its cells the unconstrained one where there is one,
/// since masks are no part of the model's speed.
fn models(page: &SizingPage) -> Option<Table> {
    let mut shown: Vec<&Cell> = Vec::new();
    for cell in page.cells.iter().filter(|cell| cell.concurrency == 1) {
        let same = |other: &&mut &Cell| {
            other.model == cell.model
                && other.machine == cell.machine
                && other.context_tokens == cell.context_tokens
        };
        match shown.iter_mut().find(same) {
            Some(known) if known.constraint > cell.constraint => *known = cell,
            Some(_) => {}
            None => shown.push(cell),
        }
    }
    let peak = |cell: &Cell| {
        let same = |other: &&Cell| {
            other.model == cell.model
                && other.machine == cell.machine
                && other.context_tokens == cell.context_tokens
                && other.concurrency == 1
        };
        let own = page.cells.iter().filter(same);
        own.filter_map(|cell| cell.peak_memory_bytes).max()
    };
    let rows = shown.iter().map(|cell| {
        vec![
            cell.model.clone(),
            cell.quantisation.clone().unwrap_or_else(|| DASH.to_owned()),
            cell.place().to_owned(),
            cell.context_tokens.to_string(),
            seconds(cell.load_ms),
            short(cell.prefill_tokens_per_second),
            short(cell.decode_tokens_per_second),
            megabytes(peak(cell)),
            megabytes(cell.predicted_memory_bytes),
            gib(cell.headroom_bytes),
        ]
    });
    (!shown.is_empty()).then(|| Table {
        title: "Speed and memory (measured; one at a time)",
        rows: rows.collect(),
        columns: vec![
            text("model", 0),
            text("quant", 2),
            text("machine", 1),
            number("context"),
            number("load\ns"),
            number("prefill\ntok/s"),
            number("decode\ntok/s"),
            number("peak\nMB"),
            number("predicted\nMB"),
            number("headroom\nGiB"),
        ],
    })
}

/// Labels of a cell: machine and context only where they vary.
fn labels(page: &SizingPage) -> Vec<Value<'static>> {
    let mut found: Vec<Value<'static>> = vec![
        (text("model", 0), Box::new(|cell| cell.model.clone())),
        (
            label("dialect", 2, false),
            Box::new(|cell| cell.dialect.to_string()),
        ),
        (
            label("con-\nstraint", 1, false),
            Box::new(|cell| cell.constraint.to_string()),
        ),
    ];
    let mut add = |heading: &str, value: Box<dyn Fn(&Cell) -> String>| {
        let mut values = page.cells.iter().map(&value);
        let first = values.next();
        if values.any(|other| Some(other) != first) {
            found.push((text(heading, 1), value));
        }
    };
    add("variant", Box::new(|cell| cell.variant.clone()));
    add("machine", Box::new(|cell| cell.place().to_owned()));
    add("context", Box::new(|cell| cell.context_tokens.to_string()));
    add("suites", Box::new(|cell| cell.suites.join(", ")));
    // What nothing else tells apart was measured in different runs.
    let mut alone = page.cells.iter().filter(|cell| cell.concurrency == 1);
    let mut seen = BTreeSet::new();
    let is_unique = |cell: &Cell| {
        let (place, suites) = (cell.place().to_owned(), cell.suites.clone());
        seen.insert((cell.label(), place, cell.context_tokens, suites))
    };
    if !alone.all(is_unique) {
        add("run", Box::new(|cell| cell.run.clone()));
    }
    found
}

fn of_cells(title: &'static str, page: &SizingPage, values: Vec<Value<'_>>) -> Option<Table> {
    let labels = labels(page);
    let cells: Vec<&Cell> = page
        .cells
        .iter()
        .filter(|cell| cell.concurrency == 1)
        .collect();
    let rows = cells.iter().map(|cell| {
        let own = labels.iter().map(|(_, value)| value(cell));
        own.chain(values.iter().map(|(_, value)| value(cell)))
            .collect()
    });
    let rows: Vec<Vec<String>> = rows.collect();
    (!rows.is_empty()).then(|| Table {
        title,
        rows,
        columns: labels
            .into_iter()
            .map(|(column, _)| column)
            .chain(values.into_iter().map(|(column, _)| column))
            .collect(),
    })
}

fn pair(quantiles: &Quantiles, show: fn(Option<f64>) -> String) -> String {
    format!("{}/{}", show(quantiles.p50), show(quantiles.p95))
}

pub(super) fn rate(rate: &crate::metrics::rates::Rate) -> String {
    match (rate.rate, rate.low, rate.high) {
        (Some(value), Some(low), Some(high)) => percents(value, low, high),
        (value, ..) => percent(value),
    }
}

/// What the rate is over; what is outside of it stands beside.
fn scored(cell: &Cell) -> String {
    match cell.excluded_trials {
        0 => cell.success.n.to_string(),
        excluded => format!("{} (−{excluded})", cell.success.n),
    }
}

fn success(page: &SizingPage) -> Option<Table> {
    of_cells(
        "Success and time (measured)",
        page,
        vec![
            (number("n"), Box::new(scored)),
            (
                number("success %\n[95 % interval]"),
                Box::new(|cell| rate(&cell.success)),
            ),
            (
                number("valid call\np50/p95 ms"),
                Box::new(|cell| pair(&cell.valid_call_ms, whole)),
            ),
            (
                number("whole task\np50/p95 s"),
                Box::new(|cell| pair(&cell.task_ms, seconds)),
            ),
        ],
    )
}

fn value(page: &SizingPage) -> Option<Table> {
    let mut values: Vec<Value<'_>> = Vec::new();
    if page.cells.iter().any(|cell| cell.attainment.is_some()) {
        values.push((
            number("within limit %\n[95 % interval]"),
            Box::new(|cell| {
                cell.attainment
                    .as_ref()
                    .map_or_else(|| DASH.to_owned(), rate)
            }),
        ));
    }
    values.push((
        number("successes\nan hour"),
        Box::new(|cell| whole(cell.goodput_per_hour)),
    ));
    values.push((
        number("tokens/\nsuccess"),
        Box::new(|cell| whole(cell.tokens_per_success)),
    ));
    if page.cells.iter().any(|cell| cell.cost.is_some()) {
        values.push((
            number("token cost/\nsuccess"),
            Box::new(|cell| {
                let cost = cell.cost.as_ref();
                let amount = cost.and_then(|cost| Some((cost.per_success?, &cost.currency)));
                amount.map_or_else(
                    || DASH.to_owned(),
                    |(amount, currency)| format!("{amount:.5} {currency}"),
                )
            }),
        ));
    }
    if page
        .cells
        .iter()
        .any(|cell| cell.machine_cost_per_success.is_some())
    {
        values.push((
            number("machine cost/\nsuccess"),
            Box::new(|cell| {
                let amount = cell.machine_cost_per_success;
                amount.zip(cell.machine_currency.as_ref()).map_or_else(
                    || DASH.to_owned(),
                    |(amount, currency)| format!("{amount:.5} {currency}"),
                )
            }),
        ));
    }
    if page
        .cells
        .iter()
        .any(|cell| cell.watt_hours_per_success.is_some())
    {
        values.push((
            number("Wh/success\nat the limit"),
            Box::new(|cell| {
                let found = cell.watt_hours_per_success;
                found.map_or_else(|| DASH.to_owned(), |hours| format!("{hours:.4}"))
            }),
        ));
    }
    of_cells(
        "What a machine delivers (measured; one at a time)",
        page,
        values,
    )
}

fn contexts(page: &SizingPage) -> Option<Table> {
    let rows = page.contexts.iter().map(|row| {
        vec![
            row.cell.clone(),
            row.quantisation.clone().unwrap_or_else(|| DASH.to_owned()),
            row.context_tokens.to_string(),
            row.tier.clone(),
            if row.cases > 0 {
                row.cases.to_string()
            } else {
                "not run".to_owned()
            },
            match (row.success, row.success_low, row.success_high) {
                (Some(value), Some(low), Some(high)) => percents(value, low, high),
                (value, ..) => percent(value),
            },
            megabytes(row.peak_memory_bytes),
            whole(row.predicted_memory_bytes.map(|bytes| bytes / 1e6)),
            gib(row.headroom_bytes),
        ]
    });
    (!page.contexts.is_empty()).then(|| Table {
        title: "By context and quantisation (success and peak measured)",
        rows: rows.collect(),
        columns: vec![
            text("cell", 0),
            text("quant", 1),
            number("context"),
            text("machine", 1),
            number("n"),
            number("success %\n[95 % interval]"),
            number("peak\nMB"),
            number("predicted\nMB"),
            number("headroom\nGiB"),
        ],
    })
}

fn load(page: &SizingPage) -> Option<Table> {
    let rows = page.load.iter().map(|row| {
        vec![
            row.cell.clone(),
            row.tier.clone(),
            row.in_flight.map_or_else(
                || row.concurrency.to_string(),
                |found| format!("{}/{found:.1}", row.concurrency),
            ),
            row.cases.to_string(),
            match (row.success, row.success_low, row.success_high) {
                (Some(value), Some(low), Some(high)) => percents(value, low, high),
                (value, ..) => percent(value),
            },
            format!("{}/{}", seconds(row.p50_ms), seconds(row.p95_ms)),
            whole(row.goodput_per_hour),
            whole(row.goodput_low_per_hour),
        ]
    });
    (!page.load.is_empty()).then(|| Table {
        title: "By load (measured; times include waiting for a turn and for the endpoint)",
        rows: rows.collect(),
        columns: vec![
            text("cell", 0),
            text("machine", 2),
            number("at once/\nin flight"),
            number("n"),
            number("success %\n[95 % interval]"),
            number("p50/p95\ns"),
            number("good\nan hour"),
            number("at its low\nlimit"),
        ],
    })
}
