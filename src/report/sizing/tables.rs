//! The tables of the page.

use super::super::tables::{Column, Table, label, number};
use super::super::text::{DASH, megabytes, percent, percents, short, whole};
use crate::metrics::latency::Quantiles;
use crate::sizing::answer::Verdict;
use crate::sizing::evidence::Cell;
use crate::sizing::predict::Prediction;
use crate::sizing::roofline::Predicted;
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
    parts.extend(predictions(page, detailed));
    parts.extend(published(page));
    parts.extend(mac_contexts(page));
    parts
}

fn text(heading: &str, gap: u16) -> Column {
    label(heading, gap, true)
}

fn gib(bytes: Option<f64>) -> String {
    bytes.map_or_else(|| DASH.to_owned(), |bytes| format!("{:.1}", bytes / GIB))
}

fn seconds(ms: Option<f64>) -> String {
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
    let rows = answer.claims.iter().map(|claim| {
        vec![
            claim.cell.clone(),
            claim.tier.clone(),
            claim.cases.to_string(),
            percent(claim.success_at_least),
            seconds(claim.p95_at_most_ms),
            match claim.verdict {
                Verdict::Holds => "holds".to_owned(),
                Verdict::Misses => "misses".to_owned(),
                Verdict::NotEnoughData => "not enough data".to_owned(),
            },
            claim
                .cases_needed
                .map_or_else(|| DASH.to_owned(), |cases| cases.to_string()),
        ]
    });
    Some(Table {
        title: "What is shown (both bounds together at 95 %)",
        rows: rows.collect(),
        columns: vec![
            text("measured", 0),
            text("machine", 2),
            number("cases"),
            number("success %\nat least"),
            number("p95 s\nat most"),
            text("verdict", 2),
            number("cases\nneeded"),
        ],
    })
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

fn rate(rate: &crate::metrics::rates::Rate) -> String {
    match (rate.rate, rate.low, rate.high) {
        (Some(value), Some(low), Some(high)) => percents(value, low, high),
        (value, ..) => percent(value),
    }
}

fn success(page: &SizingPage) -> Option<Table> {
    of_cells(
        "Success and time (measured)",
        page,
        vec![
            (number("n"), Box::new(|cell| cell.cases.to_string())),
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
            row.concurrency.to_string(),
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
        title: "By load (measured; times include waiting for a turn)",
        rows: rows.collect(),
        columns: vec![
            text("cell", 0),
            text("machine", 2),
            number("at\nonce"),
            number("n"),
            number("success %\n[95 % interval]"),
            number("p50/p95\ns"),
            number("good\nan hour"),
            number("at its low\nlimit"),
        ],
    })
}

fn range(found: Option<Predicted>, show: &dyn Fn(f64) -> String) -> String {
    found.map_or_else(
        || DASH.to_owned(),
        |it| format!("{} [{}–{}]", show(it.value), show(it.low), show(it.high)),
    )
}

fn speed(value: f64) -> String {
    short(Some(value))
}

/// A table for each cell; without `detailed` for one cell only: the one that the answer names, else the one
/// with the highest lower limit of success.
fn predictions(page: &SizingPage, detailed: bool) -> Vec<Part> {
    let mut cells: Vec<(&str, u32)> = Vec::new();
    for found in &page.predictions {
        let key = (found.cell.as_str(), found.context_tokens);
        if !cells.contains(&key) {
            cells.push(key);
        }
    }
    let others = cells.len().saturating_sub(1);
    if !detailed {
        let low = |key: &(&str, u32)| {
            let own = page
                .predictions
                .iter()
                .find(|it| (it.cell.as_str(), it.context_tokens) == *key);
            own.and_then(|it| it.success.low).unwrap_or(0.0)
        };
        // The first of equals: later ones only win by more.
        let best = cells
            .iter()
            .copied()
            .reduce(|a, b| if low(&b) > low(&a) { b } else { a });
        cells = best.into_iter().collect();
    }
    cells
        .into_iter()
        .map(|(cell, context)| {
            let own = page
                .predictions
                .iter()
                .filter(|it| it.cell == cell && it.context_tokens == context);
            let own: Vec<&Prediction> = own.collect();
            prediction(
                &own,
                page.objective.in_words(),
                if detailed { 0 } else { others },
            )
        })
        .collect()
}

fn prediction(own: &[&Prediction], time: &str, others: usize) -> Part {
    let rows = sizes_together(own).into_iter().map(|found| {
        let fits = match found.fits {
            Some(true) => "yes",
            Some(false) => "no",
            None => DASH,
        };
        vec![
            found.title.clone(),
            fits.to_owned(),
            gib(found.memory_bytes.map(|needs| found.usable_bytes - needs)),
            found
                .largest_context_tokens
                .map_or_else(|| DASH.to_owned(), |tokens| tokens.to_string()),
            range(found.prefill_tokens_per_second, &|value| whole(Some(value))),
            range(found.decode_tokens_per_second, &speed),
            range(found.p95_ms, &|ms| seconds(Some(ms))),
        ]
    });
    let under = own.first().map(|first| {
        let others = match others {
            0 => String::new(),
            1 => "; one further cell with -v, and in JSON and CSV".to_owned(),
            many => format!("; {many} further cells with -v, and in JSON and CSV"),
        };
        format!(
            "Cell: {} at context {}; success {} as measured on {}. Memory, speeds and times (of the \
             {time}) are predicted{}{others}.",
            first.cell,
            first.context_tokens,
            rate(&first.success),
            first.success_measured_on,
            doubts(own),
        )
    });
    Part {
        table: Table {
            title: "Predicted for tiers nobody has run (smallest first)",
            rows: rows.collect(),
            columns: vec![
                text("tier", 0),
                text("fits", 1),
                number("head-\nroom GiB"),
                number("largest\ncontext"),
                number("prefill tok/s\n[range]"),
                number("decode tok/s\n[range]"),
                number("p95 s\n[range]"),
            ],
        },
        under,
    }
}

/// What is to be said of the ranges.
fn doubts(own: &[&Prediction]) -> &'static str {
    let timed = own
        .iter()
        .filter(|it| it.decode_tokens_per_second.is_some());
    let (known, validated) = timed.fold((0, 0), |(known, validated), it| {
        (known + 1, validated + usize::from(it.validated))
    });
    match validated {
        _ if known == 0 => "",
        0 => "; the ranges are not validated for a model of this size (notes)",
        some if some < known => "; the ranges of some kinds are not validated (notes)",
        _ => "",
    }
}

/// Sizes of memory of one machine differ in nothing but what fits: the smallest that fits stands for all.
fn sizes_together<'a>(own: &[&'a Prediction]) -> Vec<&'a Prediction> {
    let family = |found: &Prediction| found.title.split(", ").next().map(str::to_owned);
    let mut shown: Vec<&Prediction> = Vec::new();
    for found in own {
        match shown
            .iter_mut()
            .find(|known| family(known) == family(found))
        {
            Some(known) if known.fits != Some(true) => *known = found,
            Some(_) => {}
            None => shown.push(found),
        }
    }
    shown
}

fn published(page: &SizingPage) -> Option<Part> {
    let rows = page.published.iter().map(|row| {
        vec![
            row.model.clone(),
            row.tier.clone(),
            format!(
                "{}–{}",
                short(Some(row.low_tokens_per_second)),
                short(Some(row.high_tokens_per_second))
            ),
            range(row.predicted, &speed),
            row.error_share.map_or_else(
                || DASH.to_owned(),
                |error| format!("{:+.0} %", error * 100.0),
            ),
            row.share_of_peak_bandwidth.map_or_else(
                || DASH.to_owned(),
                |share| format!("{:.0} %", share * 100.0),
            ),
        ]
    });
    let sources: Vec<String> = page
        .published
        .iter()
        .map(|row| {
            let checked = if row.verified { "" } else { " (unverified)" };
            format!("{}{checked}", row.source)
        })
        .collect();
    let mut sources_once: Vec<String> = Vec::new();
    for source in sources {
        if !sources_once.contains(&source) {
            sources_once.push(source);
        }
    }
    (!page.published.is_empty()).then(|| Part {
        table: Table {
            title: "Published decode speeds beside the predictor (none of it measured here)",
            rows: rows.collect(),
            columns: vec![
                text("model", 0),
                text("machine", 2),
                number("published\ntok/s"),
                number("predicted tok/s\n[range]"),
                number("predictor's\nerror"),
                number("of peak\nbandwidth"),
            ],
        },
        under: Some(format!("Published: {}.", sources_once.join("; "))),
    })
}

fn mac_contexts(page: &SizingPage) -> Option<Part> {
    let models: Vec<String> = page
        .mac_contexts
        .first()
        .map(|row| {
            row.largest
                .iter()
                .map(|(name, _)| name.clone())
                .take(4)
                .collect()
        })
        .unwrap_or_default();
    let rows = page.mac_contexts.iter().map(|row| {
        let mut cells = vec![
            format!("{} GB", row.memory_gib),
            format!("{:.1}", row.usable_gib),
            row.advised_tokens
                .map_or_else(|| DASH.to_owned(), |tokens| tokens.to_string()),
        ];
        cells.extend(models.iter().map(|model| {
            let found = row.largest.iter().find(|(name, _)| name == model);
            found
                .and_then(|(_, tokens)| *tokens)
                .map_or_else(|| DASH.to_owned(), |tokens| tokens.to_string())
        }));
        cells
    });
    let mut columns = vec![
        text("Mac with", 0),
        number("for models\nGiB"),
        number("published\nadvice"),
    ];
    columns.extend(
        models
            .iter()
            .map(|model| number(&format!("predicted:\n{model}"))),
    );
    let source = page
        .mac_contexts
        .iter()
        .map(|row| row.source.clone())
        .find(|it| !it.is_empty());
    (!page.mac_contexts.is_empty()).then(|| Part {
        table: Table {
            title: "Context by memory of a Mac (published advice, and the largest that is predicted to fit)",
            rows: rows.collect(),
            columns,
        },
        under: source.map(|source| format!("Published: {source}.")),
    })
}
