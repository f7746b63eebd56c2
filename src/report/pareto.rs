//! The Pareto set in words, shared by terminal and Markdown.
//!
//! Data in: the sets of a summary. Data out: unwrapped lines, few of them. Invariants: what is left out
//! of the lines is counted; a recommendation is never stronger than the set.

use super::text::{DASH, count, megabytes, percents, ratio, short};
use crate::metrics::Summary;
use crate::metrics::compare::Side;
use crate::metrics::pareto::{Dimensions, OpenPair, ParetoRow, ParetoSet, RULE, Standing};
use crate::metrics::ranking::Relation;

/// Heading of the lines.
pub(super) const TITLE: &str = "Pareto set (success, time of a task, memory)";
/// Rows of a kind that are named one by one.
const SHOWN: usize = 6;
/// Open pairs that are named one by one.
const SHOWN_OPEN: usize = 3;

/// Members, rows left out with the reason, ties, and what more cases would decide.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let several = summary.pareto.len() > 1;
    let sets = summary.pareto.iter();
    sets.flat_map(|set| of_set(set, several)).collect()
}

/// The rule, where there is a set.
pub(super) fn footnote(summary: &Summary) -> Option<String> {
    (!summary.pareto.is_empty()).then(|| format!("Pareto set: {RULE}."))
}

fn of_set(set: &ParetoSet, several: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let tier = if several {
        format!("{}: ", set.tier)
    } else {
        String::new()
    };
    lines.push(match set.winner {
        Some(winner) => format!(
            "{tier}recommended: {}: every other row succeeds less often, or is dominated by it",
            name(&set.rows[winner].side)
        ),
        None => format!("{tier}no single row is recommended: choose among those in the set"),
    });
    let members: Vec<&ParetoRow> = set.rows.iter().filter(|row| row.in_set).collect();
    lines.extend(members.iter().take(SHOWN).map(|row| member(row)));
    lines.extend(more(members.len(), SHOWN, "more in the set"));
    let others: Vec<&ParetoRow> = set.rows.iter().filter(|row| !row.in_set).collect();
    lines.extend(others.iter().take(SHOWN).map(|row| left_out(set, row)));
    lines.extend(more(others.len(), SHOWN, "more left out"));
    for group in &set.groups {
        let names: Vec<String> = group
            .rows
            .iter()
            .map(|it| name(&set.rows[*it].side))
            .collect();
        let words = match group.relation {
            Relation::Tied => "tied in every dimension",
            Relation::NotDistinguishable => "no known difference",
        };
        lines.push(format!("{words}: {}", names.join(", ")));
    }
    lines.extend(set.open.iter().take(SHOWN_OPEN).map(|pair| open(set, pair)));
    lines.extend(more(set.open.len(), SHOWN_OPEN, "more not decided"));
    lines
}

fn more(all: usize, shown: usize, what: &str) -> Option<String> {
    (all > shown).then(|| format!("{} {what}", all - shown))
}

/// `smollm2 (json, grammar)`, with the variant where it has a name of its own.
fn name(side: &Side) -> String {
    let mut labels = vec![side.dialect.to_string(), side.constraint.to_string()];
    if side.variant != "default" {
        labels.push(side.variant.clone());
    }
    format!("{} ({})", side.model, labels.join(", "))
}

fn member(row: &ParetoRow) -> String {
    let success = match (row.success, row.success_low, row.success_high) {
        (Some(rate), Some(low), Some(high)) => percents(rate, low, high),
        _ => DASH.to_owned(),
    };
    let memory = match row.peak_memory_bytes {
        None => "memory not measured".to_owned(),
        bytes => format!("{} MB", megabytes(bytes)),
    };
    let time = match row.task_p50_ms {
        None => "time not measured".to_owned(),
        ms => format!("median task {} ms", short(ms)),
    };
    format!(
        "in the set: {}: {success} %, {time}, {memory}",
        name(&row.side)
    )
}

fn left_out(set: &ParetoSet, row: &ParetoRow) -> String {
    let first = row.dominated_by.first();
    let why = first.map_or_else(String::new, |found| {
        format!(
            ": {} is {}",
            name(&set.rows[found.by].side),
            dimensions(&found.dimensions)
        )
    });
    format!("left out: {}{why}", name(&row.side))
}

/// `better in success, tied in time (ratio 0.98), tied in memory`.
fn dimensions(found: &Dimensions) -> String {
    let measured = found.time_ratio.as_ref();
    let time = measured.map_or_else(String::new, |it| {
        let median = ratio(Some(it.median));
        match (it.low, it.high) {
            (Some(_), Some(_)) => {
                format!(" (ratio {median} [{}–{}])", ratio(it.low), ratio(it.high))
            }
            _ => format!(" (ratio {median} over {})", count(it.cases, "case")),
        }
    });
    [
        (found.success, "success", String::new()),
        (found.time, "time", time),
        (found.memory, "memory", String::new()),
    ]
    .into_iter()
    .filter(|(standing, ..)| *standing != Standing::NeitherMeasured)
    .map(|(standing, what, more)| match standing {
        Standing::NotEnoughData => format!("not told apart in {what}{more}"),
        Standing::OneMeasured => format!("not comparable in {what}"),
        known => format!("{} in {what}{more}", known.in_words()),
    })
    .collect::<Vec<_>>()
    .join(", ")
}

fn open(set: &ParetoSet, pair: &OpenPair) -> String {
    let budget = match &pair.decide {
        Some(decide) => {
            let time = decide
                .time_in_words()
                .map_or_else(String::new, |time| format!(", {time} at the measured pace"));
            format!(
                "about {} like these would decide it ({} more{time})",
                count(decide.cases as usize, "case"),
                decide.more_cases
            )
        }
        None => "no number of cases like these would decide it".to_owned(),
    };
    format!(
        "open: {} against {}: {}; {budget}",
        name(&set.rows[pair.two].side),
        name(&set.rows[pair.one].side),
        dimensions(&pair.dimensions)
    )
}
