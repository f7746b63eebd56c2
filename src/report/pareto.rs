//! The Pareto set in words, shared by terminal and Markdown.
//!
//! Data in: the sets of a summary. Data out: unwrapped lines, few of them. Invariants: what is left out
//! of the lines is counted, and the best stand first; a recommendation is never stronger than the set.

use super::names::Names;
use super::text::{DASH, count, duration, megabytes, percents, ratio};
use crate::metrics::Summary;
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
    let names = Names::of(summary);
    sets.flat_map(|set| of_set(set, several, names)).collect()
}

/// The rule, where there is a set.
pub(super) fn footnote(summary: &Summary) -> Option<String> {
    (!summary.pareto.is_empty()).then(|| format!("Pareto set: {RULE}."))
}

fn of_set(set: &ParetoSet, several: bool, names: Names) -> Vec<String> {
    let mut lines = Vec::new();
    let tier = if several {
        format!("{}: ", set.tier)
    } else {
        String::new()
    };
    lines.push(match set.winner {
        Some(winner) => format!(
            "{tier}recommended: {}: every other row succeeds less often, or is dominated by it",
            names.side(&set.rows[winner].side)
        ),
        None => format!("{tier}no single row is recommended: choose among those in the set"),
    });
    let (members, others): (Vec<&ParetoRow>, Vec<&ParetoRow>) =
        best_first(set).into_iter().partition(|row| row.in_set);
    lines.extend(members.iter().take(SHOWN).map(|row| member(row, names)));
    lines.extend(more(members.len(), SHOWN, "more in the set"));
    let left_out = |row: &&ParetoRow| left_out(set, row, names);
    lines.extend(others.iter().take(SHOWN).map(left_out));
    lines.extend(more(others.len(), SHOWN, "more left out"));
    for group in &set.groups {
        let names: Vec<String> = group
            .rows
            .iter()
            .map(|it| names.side(&set.rows[*it].side))
            .collect();
        let words = match group.relation {
            Relation::Tied => "tied in every dimension",
            Relation::NotDistinguishable => "no known difference",
        };
        lines.push(format!("{words}: {}", names.join(", ")));
    }
    let open = |pair| open(set, pair, names);
    lines.extend(set.open.iter().take(SHOWN_OPEN).map(open));
    lines.extend(more(set.open.len(), SHOWN_OPEN, "more not decided"));
    lines
}

/// Rows of a set by success, the highest first.
fn best_first(set: &ParetoSet) -> Vec<&ParetoRow> {
    let mut rows: Vec<&ParetoRow> = set.rows.iter().collect();
    let rate = |row: &ParetoRow| row.success.unwrap_or(-1.0);
    rows.sort_by(|one, two| rate(two).total_cmp(&rate(one)));
    rows
}

fn more(all: usize, shown: usize, what: &str) -> Option<String> {
    (all > shown).then(|| format!("{} {what}", all - shown))
}

fn member(row: &ParetoRow, names: Names) -> String {
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
        ms => format!("median task {}", duration(ms)),
    };
    format!(
        "in the set: {}: {success} %, {time}, {memory}",
        names.side(&row.side)
    )
}

fn left_out(set: &ParetoSet, row: &ParetoRow, names: Names) -> String {
    let first = row.dominated_by.first();
    let why = first.map_or_else(String::new, |found| {
        format!(
            ": {} is {}",
            names.side(&set.rows[found.by].side),
            dimensions(&found.dimensions)
        )
    });
    format!("left out: {}{why}", names.side(&row.side))
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

fn open(set: &ParetoSet, pair: &OpenPair, names: Names) -> String {
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
        None if pair.dropped_cases > 0 => {
            let have = if pair.dropped_cases == 1 {
                "has"
            } else {
                "have"
            };
            format!(
                "{} {have} no scored trial on one side: `--resume` runs what is missing",
                count(pair.dropped_cases, "case")
            )
        }
        None => "no number of cases like these would decide it".to_owned(),
    };
    format!(
        "open: {} against {}: {}; {budget}",
        names.side(&set.rows[pair.two].side),
        names.side(&set.rows[pair.one].side),
        dimensions(&pair.dimensions)
    )
}
