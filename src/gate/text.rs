//! A verdict for people: on the terminal and in pull requests.
//!
//! Data in: a [`Verdict`]. Data out: plain text, or GitHub-flavoured Markdown. Invariants: one sentence
//! for each breach, then the verdict in one line, then the next command; no colour; what is cut is said.

use std::collections::BTreeMap;

use super::changes::{cell_pairs, changes};
use super::line;
use super::snapshot::{CaseLine, Snapshot};
use super::verdict::{CellVerdict, Change, CheckStatus, SuiteInterval, Verdict};
use super::words::{p_value, percent, points, some_of};
use crate::report::wrap;

/// Columns of the terminal.
const WIDTH: usize = 100;
/// Lines of a list on the terminal and in Markdown.
const SHOWN: usize = 20;
/// Names of cases in a line.
const NAMED: usize = 10;
/// Lines of a diff.
const DIFF: usize = 20;

/// A line of a list, and what differs below it.
struct Item {
    text: String,
    diff: Vec<String>,
}

impl From<String> for Item {
    fn from(text: String) -> Self {
        Self {
            text,
            diff: Vec::new(),
        }
    }
}

/// For the terminal.
pub fn terminal(verdict: &Verdict) -> String {
    let mut out = format!("gate: {}", verdict.run);
    if let Some(baseline) = &verdict.baseline {
        out.push_str(&format!(" against {} ({})", baseline.name, baseline.path));
    }
    out.push('\n');
    let table = cells(&verdict.cells);
    out.push_str(&format!("\n{}\n", aligned(&table)));
    for (title, items) in sections(verdict) {
        if !items.is_empty() {
            out.push_str(&format!("\n{title}\n"));
        }
        for item in items {
            out.push_str(&wrap(&format!("- {}", item.text), WIDTH, "  "));
            out.push('\n');
            for line in item.diff {
                out.push_str(&format!("    {line}\n"));
            }
        }
    }
    out.push_str(&format!("\n{}\nnext: {}\n", verdict.line, verdict.next));
    out
}

/// For pull requests and the summary of a job.
pub fn markdown(verdict: &Verdict) -> String {
    let mut out = format!(
        "## toolbench gate: {}\n\n**{}**\n",
        verdict.outcome.in_words(),
        escaped(&verdict.line)
    );
    let table = cells(&verdict.cells);
    if let Some((heading, rows)) = table.split_first() {
        out.push_str(&format!("\n| {} |\n", heading.join(" | ")));
        let rules: Vec<&str> = (0..heading.len())
            .map(|column| if column == 0 { "---" } else { "---:" })
            .collect();
        out.push_str(&format!("| {} |\n", rules.join(" | ")));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
        }
    }
    // What decides first: a pull request is read from the top. What passed is there for those who look.
    let mut sections = sections(verdict);
    sections.reverse();
    let passed = sections.remove(2);
    sections[2..].reverse();
    sections.push(passed);
    for (title, items) in sections {
        if items.is_empty() {
            continue;
        }
        let folded = title == "Passed";
        if folded {
            out.push_str(&format!(
                "\n<details><summary>{title} ({})</summary>\n\n",
                items.len()
            ));
        } else {
            out.push_str(&format!("\n### {title}\n\n"));
        }
        for item in items {
            out.push_str(&format!("- {}\n", escaped(&item.text)));
            if !item.diff.is_empty() {
                // Every line begins with a sign of its own, so none can end the block.
                let lines = item.diff.join("\n  ");
                out.push_str(&format!("\n  ~~~diff\n  {lines}\n  ~~~\n"));
            }
        }
        if folded {
            out.push_str("\n</details>\n");
        }
    }
    out.push_str(&format!("\nNext: {}\n", escaped(&verdict.next)));
    out
}

/// Names may hold what Markdown or HTML reads as markup; back-ticks are ours and stay.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => safe.push(' '),
            '|' | '*' | '<' | '\\' => {
                safe.push('\\');
                safe.push(letter);
            }
            _ => safe.push(letter),
        }
    }
    safe
}

fn sections(verdict: &Verdict) -> Vec<(&'static str, Vec<Item>)> {
    let items = |texts: Vec<String>| texts.into_iter().map(Item::from).collect();
    let reasons = |holds: &dyn Fn(CheckStatus) -> bool| -> Vec<Item> {
        let found = line::with_status(verdict, holds);
        found.map(|check| check.reason.clone().into()).collect()
    };
    let undecided = line::with_status(verdict, CheckStatus::is_undecided)
        .map(|check| format!("{} ({})", check.reason, check.status.in_words()).into());
    let rose = verdict.cells.iter().filter_map(|cell| {
        let rose = &cell.difference.as_ref()?.rose;
        let names: Vec<String> = rose.iter().map(|note| note.case.clone()).collect();
        (!names.is_empty()).then(|| format!("{}: {}", cell.cell, some_of(&names, NAMED)).into())
    });
    let changes: Vec<Item> = verdict.changes.iter().map(change).collect();
    let mut notes = verdict.notes.clone();
    notes.extend(intervals(verdict));
    let known = verdict.known_failures.iter().map(line::known).collect();
    vec![
        (
            "What differs from the baseline: the change under test",
            cut(changes),
        ),
        ("Cases", items(line::case_sets(&verdict.cases, NAMED))),
        ("Known failures", cut(items(known))),
        ("Succeeds more often", rose.collect()),
        ("Notes", items(notes)),
        ("Passed", reasons(&|status| status == CheckStatus::Passed)),
        ("Undecided", undecided.collect()),
        (
            "Breached",
            reasons(&|status| status == CheckStatus::Breached),
        ),
    ]
}

fn change(change: &Change) -> Item {
    let mut diff: Vec<String> = change.diff.iter().take(DIFF).cloned().collect();
    if change.diff.len() > DIFF {
        let more = change.diff.len() - DIFF;
        diff.push(format!("… and {more} more lines (`--format json` has all)"));
    }
    Item {
        text: line::change(change),
        diff,
    }
}

/// What the intervals of the table are.
fn intervals(verdict: &Verdict) -> Vec<String> {
    let mut methods: Vec<SuiteInterval> = verdict.cells.iter().map(|cell| cell.method).collect();
    methods.dedup();
    let of_rates = match methods.as_slice() {
        [] => return Vec::new(),
        [SuiteInterval::Exact] => {
            "Rates are exact: decoding is greedy, and routes repeat themselves.".to_owned()
        }
        methods => {
            let words: Vec<&str> = methods.iter().map(|it| it.in_words()).collect();
            format!("Intervals of rates (95 %): {}.", words.join(", "))
        }
    };
    vec![format!(
        "{of_rates} They speak of this suite; `toolbench report` speaks of cases like these."
    )]
}

fn cut(mut items: Vec<Item>) -> Vec<Item> {
    if items.len() > SHOWN {
        let more = items.len() - SHOWN;
        items.truncate(SHOWN);
        items.push(format!("and {more} more (`--format json` has all)").into());
    }
    items
}

/// Heading and rows.
fn cells(cells: &[CellVerdict]) -> Vec<Vec<String>> {
    let mut rows = vec![
        [
            "cell",
            "cases",
            "trials",
            "success %",
            "before %",
            "points",
            "p",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for cell in cells {
        let success = match (cell.success, cell.low, cell.high) {
            (Some(rate), Some(low), Some(high)) if cell.method == SuiteInterval::Wilson => {
                format!("{} [{}–{}]", percent(rate), percent(low), percent(high))
            }
            (Some(rate), ..) => percent(rate),
            _ => "–".to_owned(),
        };
        let success = if cell.trouble.is_empty() {
            success
        } else {
            format!("{success} (cannot be judged)")
        };
        let found = cell.difference.as_ref();
        let difference = found.map_or_else(
            || "–".to_owned(),
            |it| {
                if it.exact {
                    points(it.difference)
                } else {
                    format!(
                        "{} [{}, {}]",
                        points(it.difference),
                        points(it.low),
                        points(it.high)
                    )
                }
            },
        );
        let p = found.and_then(|it| it.p_holm).map_or_else(
            || {
                let exact = found.is_some_and(|it| it.exact);
                if exact { "exact" } else { "–" }.to_owned()
            },
            p_value,
        );
        rows.push(vec![
            cell.cell.clone(),
            cell.cases.to_string(),
            cell.trials.to_string(),
            success,
            found.map_or_else(|| "–".to_owned(), |it| percent(it.then)),
            difference,
            p,
        ]);
    }
    rows
}

/// The first column to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut lines = Vec::new();
    for row in rows {
        let mut text = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            if column == 0 {
                text.push_str(&format!("{cell:<width$}"));
            } else {
                text.push_str(&format!("  {cell:>width$}"));
            }
        }
        lines.push(text.trim_end().to_owned());
    }
    if let Some(first) = lines.first() {
        let rule = "─".repeat(first.chars().count());
        lines.insert(1, rule);
    }
    lines.join("\n")
}

/// One line of what would change in a baseline.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What it concerns: a case, or what is under test.
    pub what: String,
    /// How.
    pub how: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "  {}: {}", self.what, self.how)
    }
}

/// What `baseline update` would change, in words: facts, cells, cases.
pub fn differences(old: &Snapshot, new: &Snapshot) -> Vec<Difference> {
    let pairs = cell_pairs(old, new);
    let mut found: Vec<Difference> = changes(old, new, &pairs, &[])
        .iter()
        .map(|change| Difference {
            what: "under test".to_owned(),
            how: line::change(change),
        })
        .collect();
    found.extend(selections(old, new));
    let line_of = |side: &Snapshot| -> BTreeMap<(String, String), CaseLine> {
        let lines = side.cases.iter();
        lines
            .map(|it| ((it.case.clone(), it.cell.clone()), it.clone()))
            .collect()
    };
    let (before, after) = (line_of(old), line_of(new));
    let keys: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let how = match (before.get(key), after.get(key)) {
            (None, Some(now)) => format!("new, {}", now.trials),
            (Some(then), None) => format!("gone, was {}", then.trials),
            (Some(then), Some(now)) if then.asked != now.asked => {
                format!("asked otherwise, {} then, {} now", then.trials, now.trials)
            }
            (Some(then), Some(now)) if then.trials != now.trials => {
                let codes = if now.codes.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", now.codes.join(", "))
                };
                format!("{} then, {} now{codes}", then.trials, now.trials)
            }
            (Some(then), Some(now)) if then != now => "the same, offered otherwise".to_owned(),
            _ => continue,
        };
        let (case, cell) = key;
        found.push(Difference {
            what: format!("{case} [{cell}]"),
            how,
        });
    }
    found
}

/// Which cases each side was to take.
fn selections(old: &Snapshot, new: &Snapshot) -> Vec<Difference> {
    let sample = |side: &Snapshot| match &side.about.sample {
        Some(sample) => format!("{} of {} cases", sample.cases, sample.of),
        None => "all cases".to_owned(),
    };
    let listed = |list: &[String]| match list {
        [] => "none".to_owned(),
        list => list.join(", "),
    };
    let (then, now) = (&old.about, &new.about);
    [
        ("suites", listed(&then.selection), listed(&now.selection)),
        ("sample", sample(old), sample(new)),
        ("filters", listed(&then.filters), listed(&now.filters)),
    ]
    .into_iter()
    .filter(|(_, then, now)| then != now)
    .map(|(what, then, now)| Difference {
        what: what.to_owned(),
        how: format!("{then} then, {now} now"),
    })
    .collect()
}
