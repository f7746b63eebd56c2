//! The measured counts as a table for people.
//!
//! Data in: measured files. Data out: text of at most 100 columns. Invariants: one row a draft and
//! keyword, a total after each draft and at the end.

use std::fmt::Write as _;

use super::suite::{Counts, Measured};

/// The table.
pub fn text(measured: &[Measured]) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{:<34} {:>6} {:>6} {:>7} {:>5} {:>6} {:>6} {:>6} {:>7} {:>6}",
        "keyword",
        "tests",
        "right",
        "refused",
        "wide",
        "narrow",
        "closed",
        "unwrit",
        "walks",
        "wrong"
    );
    let mut total = Counts::default();
    let mut reasons = Counts::default();
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
            row(&mut out, &format!("  {}", file.keyword), &file.counts);
            sum.add(&file.counts);
        }
        row(&mut out, &format!("{draft} in all"), &sum);
        total.add(&sum);
    }
    row(&mut out, "in all", &total);
    reasons.add(&total);
    let _ = writeln!(
        out,
        "\nvalidator: {} tests otherwise than the suite, {} with a schema it refuses\nwalks: {} not valid only by a number that no double holds, {} without an end",
        total.validator_differs,
        total.validator_refused,
        total.walks_inexact,
        total.walks_unfinished
    );
    if !reasons.reasons.is_empty() {
        let _ = writeln!(out, "refused, in tests:");
        let mut sorted: Vec<_> = reasons.reasons.iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        for (reason, count) in sorted {
            let _ = writeln!(out, "{count:>6}  {reason}");
        }
    }
    out
}

fn row(out: &mut String, name: &str, counts: &Counts) {
    let _ = writeln!(
        out,
        "{name:<34} {:>6} {:>6} {:>7} {:>5} {:>6} {:>6} {:>6} {:>7} {:>6}",
        counts.tests,
        counts.right,
        counts.refused,
        counts.too_wide,
        counts.too_narrow,
        counts.closed,
        counts.unwritable,
        counts.walks,
        counts.walks_invalid
    );
}
