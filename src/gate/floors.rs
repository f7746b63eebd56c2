//! Floors on success: of a cell, of categories, of single cases.
//!
//! Data in: a cell and the rules. Data out: [`Check`]s. Invariants: a rate under its floor is a breach;
//! one above it whose lower limit is not is not enough data, unless the rate alone is asked for; a
//! case is held to its observed share, because the interval of a handful of trials holds nearly
//! everything.

use std::collections::{BTreeMap, BTreeSet};

use super::judge::Cell;
use super::rates::SuiteRate;
use super::rules::{Floor, Rules};
use super::snapshot::CaseLine;
use super::verdict::{CaseNote, Check, CheckKind, CheckStatus, SuiteInterval, Unit};
use super::words::{cases, count, percent, size};
use crate::metrics::floor::{FloorStatus, SAME, floor_status};

/// Cases named in a reason.
const NAMED: usize = 10;

/// All floors of one cell.
pub(super) fn checks(cell: &Cell<'_>, rules: &Rules, out: &mut Vec<Check>) {
    let label = &cell.fact.cell;
    if let Some(floor) = rules.min_success {
        let what = Rated {
            kind: CheckKind::Success,
            label,
            subject: None,
            lines: &cell.lines,
        };
        out.push(what.check(&cell.rate, floor, rules.point_estimate));
    }
    if !rules.min_category.is_empty() {
        let mut categories: BTreeMap<&str, Vec<&CaseLine>> = BTreeMap::new();
        for line in &cell.lines {
            categories.entry(&line.category).or_default().push(line);
        }
        for (category, lines) in categories {
            let Some(floor) = Floor::of(&rules.min_category, |name| name == category) else {
                continue;
            };
            let rate = SuiteRate::of(lines.iter().copied(), cell.fact.deterministic);
            let what = Rated {
                kind: CheckKind::Category,
                label,
                subject: Some(category),
                lines: &lines,
            };
            out.push(what.check(&rate, floor.share, rules.point_estimate));
        }
        // A floor that nothing was held to is no floor that was met.
        let seen: BTreeSet<&str> = cell.lines.iter().map(|it| it.category.as_str()).collect();
        for floor in &rules.min_category {
            let Some(name) = floor.name.as_deref().filter(|name| !seen.contains(name)) else {
                continue;
            };
            let what = Rated {
                kind: CheckKind::Category,
                label,
                subject: Some(name),
                lines: &[],
            };
            let rate = SuiteRate::of([], cell.fact.deterministic);
            out.push(what.check(&rate, floor.share, rules.point_estimate));
        }
    }
    case_check(cell, rules, out);
    absent_cases(cell, rules, out);
}

/// Something with a rate and a floor.
struct Rated<'a> {
    kind: CheckKind,
    label: &'a str,
    subject: Option<&'a str>,
    lines: &'a [&'a CaseLine],
}

impl Rated<'_> {
    fn check(&self, found: &SuiteRate, floor: f64, point_estimate: bool) -> Check {
        let name = match self.subject {
            Some(category) => format!("{}, category {category}", self.label),
            None => self.label.to_owned(),
        };
        let failing = failing(self.lines);
        let (status, reason) = match (found.rate, found.low) {
            (Some(rate), Some(low)) => {
                let (status, relation) = relation(rate, low, floor, point_estimate);
                let interval = match found.method {
                    SuiteInterval::Exact => "exact".to_owned(),
                    _ => format!("{}–{}", percent(low), percent(found.high.unwrap_or(rate))),
                };
                let named = if status == CheckStatus::Passed || failing.is_empty() {
                    String::new()
                } else {
                    format!("; failing: {}", cases(&failing, NAMED))
                };
                let on = count(found.cases, "case");
                let why = format!(
                    "{name}: success of {} % ({interval}, {on}) {}{named}",
                    percent(rate),
                    relation.replace("FLOOR", &format!("the floor of {} %", size(floor)))
                );
                (status, why)
            }
            _ => (
                CheckStatus::NotEnoughData,
                format!(
                    "{name}: no case counts, so the floor of {} % cannot be checked",
                    size(floor)
                ),
            ),
        };
        Check {
            kind: self.kind,
            cell: Some(self.label.to_owned()),
            subject: self.subject.map(str::to_owned),
            status,
            unit: Unit::Share,
            required: Some(floor),
            observed: found.rate,
            low: found.low,
            high: found.high,
            reason,
            cases: failing,
        }
    }
}

fn relation(rate: f64, low: f64, floor: f64, point_estimate: bool) -> (CheckStatus, &'static str) {
    match floor_status(Some(rate), Some(low), floor, point_estimate) {
        FloorStatus::Missed => (CheckStatus::Breached, "is under FLOOR"),
        FloorStatus::Met => (CheckStatus::Passed, "meets FLOOR"),
        FloorStatus::Undecided => (
            CheckStatus::NotEnoughData,
            "meets FLOOR, the lower limit of its interval does not",
        ),
    }
}

/// Cases that do not always succeed, worst first.
fn failing(lines: &[&CaseLine]) -> Vec<CaseNote> {
    let mut notes: Vec<CaseNote> = lines
        .iter()
        .filter(|line| line.share().is_some_and(|share| share < 1.0))
        .map(|line| note(line))
        .collect();
    sort(&mut notes);
    notes
}

fn note(line: &CaseLine) -> CaseNote {
    CaseNote {
        case: line.case.clone(),
        now: line.share(),
        then: None,
        codes: line.codes.clone(),
    }
}

fn sort(notes: &mut [CaseNote]) {
    notes.sort_by(|one, two| {
        let share = |it: &CaseNote| it.now.unwrap_or(0.0);
        share(one)
            .total_cmp(&share(two))
            .then_with(|| one.case.cmp(&two.case))
    });
}

/// One check for all cases of a cell: each is named that is under its floor.
fn case_check(cell: &Cell<'_>, rules: &Rules, out: &mut Vec<Check>) {
    if rules.min_case.is_empty() {
        return;
    }
    let for_all = rules.min_case.iter().any(|floor| floor.name.is_none());
    let mut under = Vec::new();
    let (mut checked, mut highest) = (0, None::<f64>);
    for line in &cell.lines {
        let id = line.case.split_once('/').map_or("", |(_, id)| id);
        let floor = Floor::of(&rules.min_case, |name| name == line.case || name == id);
        let Some((floor, share)) = floor.zip(line.share()) else {
            continue;
        };
        checked += 1;
        highest = Some(highest.map_or(floor.share, |known| known.max(floor.share)));
        if share < floor.share - SAME {
            under.push(note(line));
        }
    }
    if checked == 0 && !for_all {
        // Each of the names has a check of its own.
        return;
    }
    sort(&mut under);
    let label = &cell.fact.cell;
    let floor = match rules.min_case.as_slice() {
        [one] => format!("the floor of {} %", size(one.share)),
        _ => "their floors".to_owned(),
    };
    let (status, reason) = if checked == 0 {
        let why = format!("{label}: no case counts that has a floor");
        (CheckStatus::NotEnoughData, why)
    } else if under.is_empty() {
        let all = count(checked, "case");
        let why = format!("{label}: none of {all} is under {floor}");
        (CheckStatus::Passed, why)
    } else {
        let why = format!(
            "{label}: {} of {checked} under {floor}: {}",
            under.len(),
            cases(&under, NAMED)
        );
        (CheckStatus::Breached, why)
    };
    out.push(Check {
        kind: CheckKind::Case,
        cell: Some(label.clone()),
        subject: None,
        status,
        unit: Unit::Share,
        required: highest,
        observed: under.first().and_then(|it| it.now),
        low: None,
        high: None,
        reason,
        cases: under,
    });
}

/// Cases with a floor of their own that this run has not, one check each; those that are known to fail
/// are held to nothing.
fn absent_cases(cell: &Cell<'_>, rules: &Rules, out: &mut Vec<Check>) {
    let label = &cell.fact.cell;
    for floor in &rules.min_case {
        let Some(name) = floor.name.as_deref() else {
            continue;
        };
        let is_named = |case: &str| {
            let id = case.split_once('/').map_or("", |(_, id)| id);
            name == case || name == id
        };
        let counted = cell
            .lines
            .iter()
            .any(|it| is_named(&it.case) && it.share().is_some());
        if counted || cell.excused.iter().any(|case| is_named(case)) {
            continue;
        }
        out.push(Check {
            kind: CheckKind::Case,
            cell: Some(label.clone()),
            subject: Some(name.to_owned()),
            status: CheckStatus::NotEnoughData,
            unit: Unit::Share,
            required: Some(floor.share),
            observed: None,
            low: None,
            high: None,
            reason: format!(
                "{label}, case {name}: no trial counts, so the floor of {} % cannot be checked",
                size(floor.share)
            ),
            cases: Vec::new(),
        });
    }
}
