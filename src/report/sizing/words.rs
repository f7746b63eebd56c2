//! The sentences of the page.

use crate::sizing::SizingPage;

/// What the page is of.
pub(super) fn heading(page: &SizingPage) -> String {
    let machines: Vec<String> = page
        .machines
        .iter()
        .map(|machine| match &machine.tier {
            Some(tier) => format!("{} ({tier})", machine.label),
            None => machine.label.clone(),
        })
        .collect();
    let runs = match page.runs.as_slice() {
        [one] => one.clone(),
        several => format!("{} runs", several.len()),
    };
    format!("Sizing · {runs} · {}", machines.join(", "))
}

/// The answer, why, and what next; nothing where nothing was asked.
pub(super) fn answer(page: &SizingPage) -> Vec<String> {
    let Some(answer) = &page.answer else {
        return Vec::new();
    };
    let reasons: Vec<String> = answer
        .claims
        .iter()
        .filter(|claim| !claim.reasons.is_empty())
        .take(4)
        .map(|claim| {
            format!(
                "{} on {}: {}",
                claim.cell,
                claim.tier,
                claim.reasons.join(", ")
            )
        })
        .collect();
    let mut lines = vec![format!("Answer: {}.", answer.sentence)];
    if answer.tier.is_none() && !reasons.is_empty() {
        lines.push(format!("Why: {}.", reasons.join("; ")));
    }
    lines.push(format!("Next: {}.", answer.next));
    lines
}

/// Claims of others.
pub(super) fn claims(page: &SizingPage) -> Vec<String> {
    page.claims
        .iter()
        .map(|row| {
            let claim = &row.claim;
            let measured = if row.measured.is_empty() {
                "nothing of the like was measured here".to_owned()
            } else {
                format!("measured here: {}", row.measured.join("; "))
            };
            let checked = if claim.verified { "" } else { ", unverified" };
            format!(
                "{}: {} ({}, {}{checked}); {measured}",
                claim.what, claim.figure, claim.document, claim.date
            )
        })
        .collect()
}

/// Machines for the demand.
pub(super) fn demands(page: &SizingPage) -> Vec<String> {
    page.demands
        .iter()
        .map(|row| {
            let at_low = match row.machines_at_low {
                Some(more) if more != row.machines => {
                    format!(" ({more} at the lower limit of its success)")
                }
                _ => String::new(),
            };
            let wanted = amount(row.per_hour);
            if row.remote {
                let times = match row.machines {
                    1 => "no more than".to_owned(),
                    several => format!("{several} times"),
                };
                return format!(
                    "{wanted} an hour with {}: {times} what this endpoint gave to one client with {} at \
                     once{at_low}",
                    row.cell, row.concurrency
                );
            }
            let machines = if row.machines == 1 {
                "machine"
            } else {
                "machines"
            };
            format!(
                "{wanted} an hour with {}: {} {machines} like {} with {} at once{at_low}",
                row.cell, row.machines, row.tier, row.concurrency
            )
        })
        .collect()
}

/// `500`, `0.4`, `0.04`: never 0 of what is more.
fn amount(value: f64) -> String {
    if value >= 100.0 {
        return format!("{value:.0}");
    }
    let text = format!("{value:.2}");
    match text.trim_end_matches('0').trim_end_matches('.') {
        "0" => format!("{value:.1e}"),
        short => short.to_owned(),
    }
}

/// Notes of the page, and how bounds are meant.
pub(super) fn notes(page: &SizingPage) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(answer) = &page.answer {
        notes.push(format!(
            "lies in: success by Clopper and Pearson over cases, p95 by ranks; each end is wrong in at most \
             {:.2} % of data sets, and any verdict of the page (holds or misses) in at most 5 %",
            answer.level * 100.0
        ));
    }
    notes.push(
        "intervals in brackets of measured rates are at 95 %; of predictions they are the range of the \
         predictor's error, without the chance of which cases were drawn"
            .to_owned(),
    );
    notes.extend(page.notes.iter().cloned());
    notes
}
