//! Tables of what was not measured here: predicted, and published by others.

use super::super::tables::{Table, number};
use super::super::text::{DASH, short, whole};
use super::tables::{Part, gib, rate, seconds, text};
use crate::sizing::SizingPage;
use crate::sizing::memory::Fits;
use crate::sizing::predict::Prediction;
use crate::sizing::published::PublishedRow;
use crate::sizing::roofline::Predicted;

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
pub(super) fn predictions(page: &SizingPage, detailed: bool) -> Vec<Part> {
    let mut cells: Vec<&Prediction> = Vec::new();
    for found in &page.predictions {
        if !cells.iter().any(|known| known.is_of_the_same(found)) {
            cells.push(found);
        }
    }
    let others = cells.len().saturating_sub(1);
    let several_weights = |first: &Prediction| {
        let like = |it: &&&Prediction| {
            (&it.cell, it.context_tokens) == (&first.cell, first.context_tokens)
        };
        cells.iter().filter(like).count() > 1
    };
    let doubled: Vec<bool> = cells.iter().map(|first| several_weights(first)).collect();
    let mut shown: Vec<(&Prediction, bool)> = cells.into_iter().zip(doubled).collect();
    if !detailed {
        let is_named = |found: &Prediction| {
            page.answer.as_ref().is_some_and(|answer| {
                answer.cell.as_ref() == Some(&found.cell)
                    && answer.context_tokens == Some(found.context_tokens)
                    && answer.weights_sha256 == found.weights_sha256
            })
        };
        let rank = |found: &Prediction| (is_named(found), found.success.low.unwrap_or(0.0));
        // The first of equals: later ones only win by more.
        let best = shown
            .iter()
            .copied()
            .reduce(|a, b| if rank(b.0) > rank(a.0) { b } else { a });
        shown = best.into_iter().collect();
    }
    shown
        .into_iter()
        .map(|(first, doubled)| {
            let own = page
                .predictions
                .iter()
                .filter(|it| it.is_of_the_same(first));
            let own: Vec<&Prediction> = own.collect();
            let others = if detailed { 0 } else { others };
            prediction(&own, page.objective.in_words(), others, doubled)
        })
        .collect()
}

fn prediction(own: &[&Prediction], time: &str, others: usize, doubled: bool) -> Part {
    let rows = sizes_together(own).into_iter().map(|found| {
        let fits = found.fits.map_or(DASH, Fits::as_str);
        vec![
            found.title.clone(),
            fits.to_owned(),
            gib(found
                .memory_bytes
                .map(|needs| found.usable_bytes - needs.high)),
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
            "Cell: {}{} at context {}; success {} as measured on {}. Memory ({}), speeds and times (of the \
             {time}) are predicted{}{others}.",
            first.cell,
            weights(first, doubled),
            first.context_tokens,
            rate(&first.success),
            first.success_measured_on,
            memory(own),
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

/// Which weights, where a name stands for several.
fn weights(first: &Prediction, doubled: bool) -> String {
    let sha256 = first.weights_sha256.as_ref().filter(|_| doubled);
    sha256.map_or_else(String::new, |sha256| {
        format!(" (weights {})", sha256.chars().take(12).collect::<String>())
    })
}

/// The ranges of memory: one on processors, another on what has memory of its own.
fn memory(own: &[&Prediction]) -> String {
    let mut ranges: Vec<String> = Vec::new();
    for found in own {
        let shown = range(found.memory_bytes, &|bytes| format!("{:.0}", bytes / 1e6));
        if !ranges.contains(&shown) {
            ranges.push(shown);
        }
    }
    format!("{} MB", ranges.join(" or "))
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
        0 => "; the ranges are not validated (notes)",
        some if some < known => "; the ranges of some kinds are not validated (notes)",
        _ => "",
    }
}

/// Sizes of memory of one machine differ in nothing but what fits: the smallest that fits stands for all.
fn sizes_together<'a>(own: &[&'a Prediction]) -> Vec<&'a Prediction> {
    // Only the size that the catalogue puts at the end is no part of the machine's name.
    let family = |found: &Prediction| match found.title.rsplit_once(", ") {
        Some((name, size)) if size.ends_with(" GB") => name.to_owned(),
        _ => found.title.clone(),
    };
    let mut shown: Vec<&Prediction> = Vec::new();
    for found in own {
        match shown
            .iter_mut()
            .find(|known| family(known) == family(found))
        {
            Some(known) if known.fits != Some(Fits::Yes) => *known = found,
            Some(_) => {}
            None => shown.push(found),
        }
    }
    shown
}

/// Those that are only compared with; what calibrates stands in the notes by its documents, and in JSON and CSV.
pub(super) fn published(page: &SizingPage) -> Option<Part> {
    let compared = page.published.iter().filter(|row| !row.calibrates);
    let compared: Vec<&PublishedRow> = compared.collect();
    let rows = compared.iter().map(|row| {
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
    let sources: Vec<String> = compared
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
    (!compared.is_empty()).then(|| Part {
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

/// Models side by side in the table of contexts.
const MOST_MODELS: usize = 5;

pub(super) fn mac_contexts(page: &SizingPage) -> Option<Part> {
    let mut models: Vec<String> = page
        .mac_contexts
        .first()
        .map(|row| row.largest.iter().map(|(name, _)| name.clone()).collect())
        .unwrap_or_default();
    // The one that the answer names first, and no more than a terminal has room for.
    let named = page.answer.as_ref().and_then(|answer| answer.cell.as_ref());
    models.sort_by_key(|model| {
        named.is_none_or(|cell| cell.split(", ").next() != Some(model.as_str()))
    });
    let further = models.len().saturating_sub(MOST_MODELS);
    models.truncate(MOST_MODELS);
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
        under: source.map(|source| {
            let further = match further {
                0 => String::new(),
                1 => " One further model in JSON.".to_owned(),
                many => format!(" {many} further models in JSON."),
            };
            format!("Published: {source}.{further}")
        }),
    })
}
