//! One cell against its baseline: difference, test, reason.
//!
//! Data in: paired lines. Data out: a [`Check`] and a [`CellDifference`]. Invariants: a drop is a
//! regression only where it is at least the smallest that counts and the exact test rejects after
//! Holm's adjustment over the cells that were tested (or nothing is left to chance); a drop of that
//! size without it is not enough data; cases that lost their trials on one side drop out, and too many
//! of them leave nothing to say.

use super::changes::CellPair;
use super::judge::Cell;
use super::pairs::{Difference, FEWEST_PAIRS, PairedTrials};
use super::rules::Rules;
use super::snapshot::{CaseLine, CellFact, Snapshot};
use super::verdict::{CaseNote, CellDifference, Check, CheckKind, CheckStatus, Unit};
use super::words::{cases, count, p_in_words, percent, points, size};
use crate::metrics::compare::MOST_DROPPED;
use crate::metrics::significance::{holm, mcnemar_exact};
use crate::metrics::verdict::LEVEL;

/// Cases named in a reason.
const NAMED: usize = 10;
/// Differences of rates that are rounding.
const SAME: f64 = 1e-9;

/// A cell and its baseline, compared.
pub(super) struct Compared<'a> {
    then: &'a CellFact,
    /// Cases that are asked and expected alike, and not known to fail.
    cases: Vec<&'a str>,
    difference: Option<Difference>,
    /// After Holm's adjustment, and how many were adjusted.
    p_holm: Option<(f64, usize)>,
    fell: Vec<CaseNote>,
    rose: Vec<CaseNote>,
    /// Why the pairs allow no verdict.
    objection: Option<Objection>,
}

/// What stands in the way of a comparison.
struct Objection {
    status: CheckStatus,
    why: String,
}

/// Compares lines that are asked and expected alike; `known` more of them are known failures.
pub(super) fn compare<'a>(
    pair: &CellPair<'a>,
    lines: &[(&'a CaseLine, &'a CaseLine)],
    known: usize,
    baseline: &Snapshot,
    candidate: &Snapshot,
) -> Compared<'a> {
    let all = lines.len();
    let (mut without_then, mut without_now, mut dropped) = (0_u64, 0_u64, 0_usize);
    let mut paired = Vec::new();
    let (mut fell, mut rose) = (Vec::new(), Vec::new());
    for (then, now) in lines {
        let Some(trials) = PairedTrials::of(then, now) else {
            let (no_then, no_now) = (then.share().is_none(), now.share().is_none());
            dropped += 1;
            without_then += u64::from(no_then && !no_now);
            without_now += u64::from(no_now && !no_then);
            continue;
        };
        paired.push(trials);
        let (before, after) = (then.share(), now.share());
        let list = match (before, after) {
            (Some(before), Some(after)) if after < before - SAME => &mut fell,
            (Some(before), Some(after)) if after > before + SAME => &mut rose,
            _ => continue,
        };
        list.push(CaseNote {
            case: now.case.clone(),
            now: after,
            then: before,
            codes: now.codes.clone(),
        });
    }
    let by_size = |one: &CaseNote, two: &CaseNote| {
        let moved = |it: &CaseNote| (it.now.unwrap_or(0.0) - it.then.unwrap_or(0.0)).abs();
        moved(two)
            .total_cmp(&moved(one))
            .then_with(|| one.case.cmp(&two.case))
    };
    fell.sort_by(by_size);
    rose.sort_by(by_size);
    let exact = is_exact(pair, lines, baseline, candidate);
    let trouble = if all == 0 && known > 0 {
        None
    } else if all == 0 {
        Some("no case is asked and expected as in the baseline".to_owned())
    } else if paired.is_empty() {
        Some("no case has a scored trial on both sides".to_owned())
    } else if dropped as f64 > MOST_DROPPED * all as f64 {
        Some(format!(
            "{dropped} of {all} cases have no scored trial on one side, which is more than 5 %"
        ))
    } else if mcnemar_exact(without_then, without_now) < LEVEL {
        Some(format!(
            "the sides lost clearly unequal numbers of cases ({without_then} and {without_now} of {all})"
        ))
    } else {
        None
    };
    let trouble = trouble.map(|why| Objection {
        status: CheckStatus::Trouble,
        why,
    });
    // What is known to fail is nobody's trouble; but nothing that was checked is no pass either.
    let objection = trouble.or_else(|| {
        (all == 0).then(|| Objection {
            status: CheckStatus::NotEnoughData,
            why: "every unchanged case is a known failure".to_owned(),
        })
    });
    Compared {
        then: pair.then,
        cases: lines.iter().map(|(_, now)| now.case.as_str()).collect(),
        difference: Difference::of(&paired, exact),
        p_holm: None,
        fell,
        rose,
        objection,
    }
}

/// Nothing is left to chance: both sides decode greedily on routes that repeat themselves, on one tier
/// and engine build, and no limit on time decided a case.
fn is_exact(
    pair: &CellPair<'_>,
    lines: &[(&CaseLine, &CaseLine)],
    baseline: &Snapshot,
    candidate: &Snapshot,
) -> bool {
    pair.now.deterministic
        && pair.then.deterministic
        && pair.now.tier == pair.then.tier
        && engines(baseline, pair.then) == engines(candidate, pair.now)
        && !lines
            .iter()
            .any(|(then, now)| then.timed_out() || now.timed_out())
}

/// Builds of the engines behind a cell: the model's, or those of its legs in order.
pub(super) fn engines<'a>(side: &'a Snapshot, cell: &CellFact) -> Vec<&'a str> {
    let legs = format!("{}/", cell.model);
    side.models
        .iter()
        .filter(|model| model.model == cell.model || model.model.starts_with(&legs))
        .map(|model| model.engine.as_str())
        .collect()
}

/// Adjusts the p-values of all cells that were tested, and says what each could have found.
pub(super) fn settle(cells: &mut [Cell<'_>]) -> Vec<String> {
    let tested = |cell: &Cell<'_>| -> Option<f64> {
        let compared = cell.compared.as_ref()?;
        let usable = compared.objection.is_none() && cell.trouble.is_empty();
        compared.difference.as_ref().filter(|_| usable)?.p_value
    };
    let p_values: Vec<f64> = cells.iter().filter_map(tested).collect();
    let adjusted = holm(&p_values);
    let family = adjusted.len();
    let mut adjusted = adjusted.into_iter();
    let mut notes = Vec::new();
    for cell in cells.iter_mut() {
        if tested(cell).is_none() {
            continue;
        }
        let (label, compared) = (&cell.fact.cell, cell.compared.as_mut());
        let Some(compared) = compared else { continue };
        compared.p_holm = adjusted.next().map(|p| (p, family));
        let found = compared.difference.as_ref();
        let detectable = found.and_then(|it| it.detectable(LEVEL / family as f64));
        notes.push(match detectable {
            Some(drop) => format!(
                "{label}: a drop of {} points would be found in 80 % of runs",
                size(drop)
            ),
            None => format!("{label}: no drop would be found in 80 % of runs with so few trials"),
        });
    }
    notes
}

impl<'a> Compared<'a> {
    /// The baseline's cell.
    pub(super) fn then(&self) -> &'a CellFact {
        self.then
    }

    /// Names of the cases that are asked and expected alike.
    pub(super) fn cases(&self) -> &[&'a str] {
        &self.cases
    }

    /// As data; `None` where nothing could be paired.
    pub(super) fn difference(&self) -> Option<CellDifference> {
        let found = self.difference.as_ref()?;
        let family = self.p_holm.map_or(1, |(_, family)| family);
        Some(CellDifference {
            baseline_cell: self.then.cell.clone(),
            cases: found.cases,
            pairs: found.pairs,
            trials_then: found.baseline_trials,
            trials_now: found.candidate_trials,
            stratified: found.stratified,
            then: found.baseline_rate,
            now: found.candidate_rate,
            difference: found.difference,
            low: found.low,
            high: found.high,
            exact: found.is_exact(),
            p_value: found.p_value,
            p_holm: self.p_holm.map(|(p, _)| p),
            detectable: found.detectable(LEVEL / family as f64),
            fell: self.fell.clone(),
            rose: self.rose.clone(),
        })
    }

    /// What should be known of the difference: which cases and which trials it is over.
    pub(super) fn notes(&self, cell: &Cell<'_>) -> Vec<String> {
        let Some(found) = &self.difference else {
            return Vec::new();
        };
        let label = &cell.fact.cell;
        let mut notes = Vec::new();
        let moved = cell
            .rate
            .rate
            .is_some_and(|rate| (rate - found.candidate_rate).abs() > SAME);
        if moved || cell.rate.cases != found.cases {
            notes.push(format!(
                "{label}: before and points are over the {}: {} % then, {} % now",
                count(found.cases, "unchanged case"),
                percent(found.baseline_rate),
                percent(found.candidate_rate)
            ));
        }
        if found.stratified {
            notes.push(format!(
                "{label}: not all trials have a partner ({} then, {} now): all count, each case tested by itself",
                found.baseline_trials, found.candidate_trials
            ));
        }
        notes
    }

    /// The check of one cell.
    pub(super) fn check(&self, cell: &Cell<'_>, rules: &Rules) -> Check {
        let (status, reason) = self.status(&cell.fact.cell, rules);
        let found = self.difference.as_ref();
        Check {
            kind: CheckKind::Regression,
            cell: Some(cell.fact.cell.clone()),
            subject: None,
            status,
            unit: Unit::Share,
            required: Some(-rules.min_effect),
            observed: found.map(|it| it.difference),
            low: found.map(|it| it.low),
            high: found.map(|it| it.high),
            reason,
            cases: self.fell.clone(),
        }
    }

    fn status(&self, label: &str, rules: &Rules) -> (CheckStatus, String) {
        let Some(found) = self
            .difference
            .as_ref()
            .filter(|_| self.objection.is_none())
        else {
            let (status, why) = self
                .objection
                .as_ref()
                .map_or((CheckStatus::Trouble, "nothing was paired"), |objection| {
                    (objection.status, objection.why.as_str())
                });
            return (status, format!("{label} cannot be compared: {why}"));
        };
        let drop = -found.difference;
        let moved = self.moved(label, found);
        let counts = drop > SAME && drop >= rules.min_effect - SAME;
        let failing = if self.fell.is_empty() {
            String::new()
        } else {
            format!("; worse: {}", cases(&self.fell, NAMED))
        };
        // Fewer pairs than that reject nothing; trials without a partner may.
        let rejects = self.p_holm.is_some_and(|(p, _)| p <= LEVEL);
        if !found.is_exact() && !rejects && found.effective_pairs < FEWEST_PAIRS - SAME {
            let why = format!(
                "{moved}: with fewer than {FEWEST_PAIRS} pairs of trials no test can tell a drop from chance{failing}"
            );
            return (CheckStatus::NotEnoughData, why);
        }
        if !counts {
            let why = if drop > SAME {
                format!(
                    "{moved}, less than the {} points that count{failing}",
                    size(rules.min_effect)
                )
            } else {
                format!("{moved}{failing}")
            };
            return (CheckStatus::Passed, why);
        }
        match self.p_holm {
            Some((p, family)) if p > LEVEL => {
                let adjusted = if family > 1 {
                    format!(" after Holm's adjustment for {family} cells")
                } else {
                    String::new()
                };
                let why = format!(
                    "{moved}: a drop that counts, and too few trials to tell it from chance ({}{adjusted}); \
                     more trials decide it{failing}",
                    p_in_words(p)
                );
                (CheckStatus::NotEnoughData, why)
            }
            _ => (CheckStatus::Breached, format!("{moved}{failing}")),
        }
    }

    /// By how much success moved, and how sure that is.
    fn moved(&self, label: &str, found: &Difference) -> String {
        let (then, now) = (percent(found.baseline_rate), percent(found.candidate_rate));
        let on = count(found.cases, "unchanged case");
        let by = size(found.difference.abs());
        let sure = match self.p_holm {
            None => format!("exact, {on}"),
            Some((p, _)) => format!(
                "{} to {} points, {}, {on}",
                points(found.low),
                points(found.high),
                p_in_words(p)
            ),
        };
        if found.difference.abs() <= SAME {
            format!("{label}: success stayed at {now} % ({sure})")
        } else {
            let way = if found.difference < 0.0 {
                "fell"
            } else {
                "rose"
            };
            format!("{label}: success {way} by {by} points, from {then} % to {now} % ({sure})")
        }
    }
}
