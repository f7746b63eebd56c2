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
            let machines = if row.machines == 1 {
                "machine"
            } else {
                "machines"
            };
            format!(
                "{:.0} an hour with {}: {} {machines} like {} with {} at once{at_low}",
                row.per_hour, row.cell, row.machines, row.tier, row.concurrency
            )
        })
        .collect()
}

/// Notes of the page, and how bounds are meant.
pub(super) fn notes(page: &SizingPage) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(answer) = &page.answer {
        notes.push(format!(
            "at least, at most: success by Clopper and Pearson over cases, p95 by ranks; each is wrong in \
             at most {:.2} % of data sets, all of the page together in 5 %",
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
