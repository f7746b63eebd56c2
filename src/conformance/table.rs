//! The measured counts as a table for people.
//!
//! Data in: measured files. Data out: text of at most 100 columns. Invariants: one row a draft and
//! keyword, a total after each draft and at the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::suite::{Counts, Finding, Measured};

/// Examples printed of each kind.
const EXAMPLES: usize = 3;
/// Widest line.
const WIDTH: usize = 100;

/// The table.
pub fn text(measured: &[Measured]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<34}{:>6}{:>9}{:>8}{:>5}{:>7}{:>7}{:>7}{:>7}{:>6}",
        "keyword",
        "tests",
        "accepted",
        "refused",
        "wide",
        "narrow",
        "closed",
        "differ",
        "walks",
        "wrong"
    );
    let mut total = Counts::default();
    let mut drafts: Vec<&str> = Vec::new();
    for file in measured {
        if !drafts.contains(&file.draft.as_str()) {
            drafts.push(&file.draft);
        }
    }
    for draft in drafts {
        let mut sum = Counts::default();
        let _ = writeln!(out, "{draft}");
        for file in measured.iter().filter(|file| file.draft == draft) {
            let keyword = file.keyword.replace("optional/", "opt/");
            row(&mut out, &format!("  {keyword}"), &file.counts);
            sum.add(&file.counts);
        }
        row(&mut out, &format!("{draft} in all"), &sum);
        total.add(&sum);
    }
    row(&mut out, "in all", &total);
    explain(&mut out, &total);
    reasons(&mut out, "refused tests, by reason:", &total.refused_by);
    reasons(
        &mut out,
        "too wide, by what the grammar does not hold (validation does):",
        &total.wide_by,
    );
    examples(
        &mut out,
        "too narrow, first examples:",
        "too_narrow",
        measured,
    );
    examples(
        &mut out,
        "walks that are not valid, first examples:",
        "walk",
        measured,
    );
    out
}

fn row(out: &mut String, name: &str, counts: &Counts) {
    let _ = writeln!(
        out,
        "{name:<34}{:>6}{:>9}{:>8}{:>5}{:>7}{:>7}{:>7}{:>7}{:>6}",
        counts.tests,
        counts.accepted,
        counts.refused,
        counts.too_wide,
        counts.too_narrow,
        counts.closed + counts.unwritable,
        counts.validator_differs,
        counts.walks,
        counts.walks_invalid
    );
}

fn explain(out: &mut String, total: &Counts) {
    let _ = writeln!(
        out,
        "\nclosed: valid and not taken by design: {} with keys that no keyword names, {} with control\n\
         characters. differ: our validator says otherwise than the suite; {} more have a schema it refuses.\n\
         walks: random texts of the grammars; wrong ones are not valid. Not counted as wrong: {} with a\n\
         number that no double holds, {} without an end.",
        total.closed,
        total.unwritable,
        total.validator_refused,
        total.walks_inexact,
        total.walks_unfinished
    );
}

fn reasons(out: &mut String, title: &str, counts: &BTreeMap<String, u64>) {
    if counts.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (reason, count) in sorted {
        let _ = writeln!(out, "{count:>6}  {}", cut(reason, WIDTH - 8));
    }
}

fn examples(out: &mut String, title: &str, kind: &str, measured: &[Measured]) {
    let found: Vec<&Finding> = measured
        .iter()
        .flat_map(|file| &file.findings)
        .filter(|finding| finding.kind == kind)
        .take(EXAMPLES)
        .collect();
    if found.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{title}");
    for finding in found {
        let instance = finding
            .instance
            .as_str()
            .filter(|_| kind == "walk")
            .map_or_else(|| finding.instance.to_string(), ToOwned::to_owned);
        let schema = finding.schema.to_string();
        let _ = writeln!(out, "  {}", cut(&instance, WIDTH - 2));
        let _ = writeln!(out, "    of {}", cut(&schema, WIDTH - 7));
        if !finding.reason.is_empty() {
            let _ = writeln!(out, "    not held: {}", cut(&finding.reason, WIDTH - 14));
        }
    }
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}…")
}
