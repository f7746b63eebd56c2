//! From both sides and the rules to a verdict.
//!
//! Data in: [`Input`]. Data out: a [`Verdict`], or why the sides may not be compared. Invariants: a breach
//! comes before trouble, trouble before want of data; a cell in trouble is checked for nothing else.

use std::collections::BTreeMap;

use super::baseline::{Times, refusal};
use super::changes::{CellPair, case_sets, cell_pairs, changes, unchanged_lines};
use super::known::KnownFailure;
use super::line::{self, Advice, Repeated};
use super::measured::Measured;
use super::rates::SuiteRate;
use super::regression::{Compared, compare, settle};
use super::rules::Rules;
use super::snapshot::{CaseLine, CellFact, Snapshot};
use super::texts::Texts;
use super::verdict::{
    BaselineName, CaseSets, CellVerdict, Change, Check, CheckKind, CheckStatus, ESTIMAND,
    GATE_SCHEMA, GateOutcome, KnownResult, KnownStatus, Unit, Verdict,
};
use super::words::{count, some_of};
use super::{budgets, floors};

/// Names shown of a list in a sentence.
const NAMED: usize = 8;

/// Everything a verdict is made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// How commands name it.
    pub path: &'a str,
    /// What it found.
    pub candidate: &'a Snapshot,
    /// What was measured of it.
    pub measured: &'a Measured,
    /// How long its cases took; looked at only with [`Rules::max_slowdown`].
    pub times: Option<&'a Times>,
    /// What it is compared with.
    pub baseline: Option<Against<'a>>,
    /// Failures that are known.
    pub known: &'a [KnownFailure],
    /// The day of the verdict, `2026-11-20`: failures are known until a day.
    pub today: &'a str,
    /// What is asked.
    pub rules: &'a Rules,
    /// What the commands that are advised repeat of this one.
    pub repeated: Repeated<'a>,
}

/// What a run is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub path: &'a str,
    /// It is a baseline's file, not a run.
    pub is_file: bool,
    /// What it found.
    pub snapshot: &'a Snapshot,
    /// How long its cases took, where that was kept.
    pub times: Option<&'a Times>,
    /// Why it has no times, where that is known.
    pub no_times: Option<&'a str>,
    /// What keeps it from being compared with; empty for a file, which is written only without.
    pub trouble: &'a [String],
    /// The command that puts this run in its place; `None` where there is none.
    pub replace: Option<&'a str>,
    /// What both sides are made of, its own first, where both records hold it.
    pub texts: Option<(&'a Texts, &'a Texts)>,
}

/// The sides may not be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Verdicts or rates mean something else.
    #[error("{0}")]
    Rules(String),
    /// The question was changed, and that was to be refused.
    #[error("the questions differ, and `--strict` is given:\n  {}", .0.join("\n  "))]
    Strict(Vec<String>),
}

/// Which failures are known today.
pub(super) struct Known<'a> {
    entries: &'a [KnownFailure],
    today: &'a str,
}

impl Known<'_> {
    /// The case is left out of this cell.
    pub(super) fn excuses(&self, case: &str, cell: &CellFact) -> bool {
        self.entries
            .iter()
            .any(|entry| !entry.has_expired(self.today) && entry.covers(case, cell))
    }
}

/// One cell of the run, ready to be checked.
pub(super) struct Cell<'a> {
    pub(super) fact: &'a CellFact,
    /// Lines that count: known failures are left out.
    pub(super) lines: Vec<&'a CaseLine>,
    /// Cases that are left out as known failures.
    pub(super) excused: Vec<&'a str>,
    pub(super) rate: SuiteRate,
    pub(super) trouble: Vec<String>,
    pub(super) compared: Option<Compared<'a>>,
}

/// Judges.
pub fn judge(input: &Input<'_>) -> Result<Verdict, Refusal> {
    let known = Known {
        entries: input.known,
        today: input.today,
    };
    let mut sides = input
        .baseline
        .as_ref()
        .map(|against| Sides::of(against, input.candidate))
        .transpose()?;
    let texts = input.baseline.as_ref().and_then(|it| it.texts);
    if let (Some(sides), Some((then, now))) = (&mut sides, texts) {
        super::texts::show(&mut sides.changes, then, now);
    }
    if let Some(sides) = &sides
        && input.rules.strict
    {
        sides.refuse_other_questions()?;
    }
    let mut cells = cells(input, &known, sides.as_ref());
    let detectable = settle(&mut cells);
    let mut checks = record_checks(input, &cells, sides.as_ref());
    for cell in cells.iter().filter(|cell| cell.trouble.is_empty()) {
        floors::checks(cell, input.rules, &mut checks);
        checks.extend(
            cell.compared
                .as_ref()
                .map(|found| found.check(cell, input.rules)),
        );
        budgets::checks(cell, input, &mut checks);
    }
    budgets::run_checks(input, &mut checks);
    checks.sort_by_key(|check| check.kind);
    let known_failures = known_results(input, &known);
    let notes = notes(input, sides.as_ref(), &checks, &cells, &detectable);
    let (outcome, exit_code) = outcome(&checks, input.rules);
    let cell_verdicts = cells.iter().map(Cell::verdict).collect();
    let (changes, cases) = sides.map_or_else(Default::default, |it| (it.changes, it.cases));
    let mut verdict = Verdict {
        schema: GATE_SCHEMA.to_owned(),
        run: input.run.to_owned(),
        baseline: input.baseline.map(|against| BaselineName {
            name: against.name.to_owned(),
            path: against.path.to_owned(),
            is_file: against.is_file,
        }),
        outcome,
        exit_code,
        line: String::new(),
        next: String::new(),
        checks,
        cells: cell_verdicts,
        changes,
        cases,
        known_failures,
        notes,
        estimand: ESTIMAND.to_owned(),
    };
    verdict.line = line::line(&verdict);
    verdict.next = line::next(
        &verdict,
        &Advice {
            path: input.path,
            repeated: input.repeated,
            replace: input.baseline.and_then(|against| against.replace),
            run_in_trouble: !input.measured.all_trouble().is_empty(),
            baseline_in_trouble: input
                .baseline
                .is_some_and(|against| !against.trouble.is_empty()),
        },
    );
    Ok(verdict)
}

/// Both sides set against one another.
struct Sides<'a> {
    pairs: Vec<CellPair<'a>>,
    baseline: &'a Snapshot,
    candidate: &'a Snapshot,
    changes: Vec<Change>,
    cases: CaseSets,
}

impl<'a> Sides<'a> {
    fn of(against: &Against<'a>, candidate: &'a Snapshot) -> Result<Self, Refusal> {
        let baseline = against.snapshot;
        if let Some(reason) = refusal(baseline, candidate) {
            return Err(Refusal::Rules(reason));
        }
        let pairs = cell_pairs(baseline, candidate);
        let unchanged: Vec<_> = pairs
            .iter()
            .flat_map(|pair| unchanged_lines(baseline, candidate, pair))
            .collect();
        Ok(Self {
            changes: changes(baseline, candidate, &pairs, &unchanged),
            cases: case_sets(baseline, candidate),
            pairs,
            baseline,
            candidate,
        })
    }

    fn refuse_other_questions(&self) -> Result<(), Refusal> {
        let mut found: Vec<String> = self
            .changes
            .iter()
            .filter(|change| change.what.is_of_the_question())
            .map(line::change)
            .collect();
        let sets = [
            ("changed", &self.cases.changed),
            ("added", &self.cases.added),
            ("removed", &self.cases.removed),
        ];
        for (what, names) in sets {
            if !names.is_empty() {
                let cases = count(names.len(), "case");
                found.push(format!("{cases} {what}: {}", some_of(names, NAMED)));
            }
        }
        if found.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Strict(found))
        }
    }

    fn pair_of(&self, cell: &CellFact) -> Option<&CellPair<'a>> {
        self.pairs.iter().find(|pair| pair.now.cell == cell.cell)
    }
}

fn cells<'a>(input: &Input<'a>, known: &Known<'_>, sides: Option<&Sides<'a>>) -> Vec<Cell<'a>> {
    let mut by_cell: BTreeMap<&str, Vec<&CaseLine>> = BTreeMap::new();
    for line in &input.candidate.cases {
        by_cell.entry(&line.cell).or_default().push(line);
    }
    let candidate = input.candidate;
    candidate
        .cells
        .iter()
        .map(|fact| {
            let all = by_cell.remove(fact.cell.as_str()).unwrap_or_default();
            let (excused, lines): (Vec<&CaseLine>, Vec<&CaseLine>) = all
                .into_iter()
                .partition(|line| known.excuses(&line.case, fact));
            let measured = input.measured.cell(&fact.cell);
            let compared = sides.and_then(|sides| {
                let pair = sides.pair_of(fact)?;
                let unchanged = unchanged_lines(sides.baseline, sides.candidate, pair);
                let all = unchanged.len();
                let counted: Vec<_> = unchanged
                    .into_iter()
                    .filter(|(_, now)| !known.excuses(&now.case, fact))
                    .collect();
                let left_out = all - counted.len();
                Some(compare(pair, &counted, left_out, sides.baseline, candidate))
            });
            Cell {
                fact,
                rate: SuiteRate::of(lines.iter().copied(), fact.deterministic),
                lines,
                excused: excused.into_iter().map(|it| it.case.as_str()).collect(),
                trouble: measured.map_or_else(Vec::new, |it| it.trouble.clone()),
                compared,
            }
        })
        .collect()
}

impl Cell<'_> {
    fn verdict(&self) -> CellVerdict {
        CellVerdict {
            cell: self.fact.cell.clone(),
            cases: self.rate.cases,
            trials: self.rate.trials,
            success: self.rate.rate,
            low: self.rate.low,
            high: self.rate.high,
            method: self.rate.method,
            difference: self.compared.as_ref().and_then(Compared::difference),
            trouble: self.trouble.clone(),
        }
    }
}

/// What keeps anything from being said, one check each.
fn record_checks(input: &Input<'_>, cells: &[Cell<'_>], sides: Option<&Sides<'_>>) -> Vec<Check> {
    let trouble = |cell: Option<&str>, reason: String| Check {
        kind: CheckKind::Record,
        cell: cell.map(str::to_owned),
        subject: None,
        status: CheckStatus::Trouble,
        unit: Unit::None,
        required: None,
        observed: None,
        low: None,
        high: None,
        reason,
        cases: Vec::new(),
    };
    let of_run = input.measured.trouble.iter();
    let mut checks: Vec<Check> = of_run.map(|why| trouble(None, why.clone())).collect();
    for cell in cells.iter().filter(|cell| !cell.trouble.is_empty()) {
        let why = cell.trouble.join("; ");
        let label = &cell.fact.cell;
        checks.push(trouble(
            Some(label),
            format!("{label} cannot be judged: {why}"),
        ));
    }
    let Some((against, sides)) = input.baseline.as_ref().zip(sides) else {
        return checks;
    };
    checks.extend(
        against
            .trouble
            .iter()
            .map(|why| trouble(None, format!("the baseline cannot be compared with: {why}"))),
    );
    for then in &against.snapshot.cells {
        if sides.pairs.iter().any(|pair| pair.then.cell == then.cell) {
            continue;
        }
        let why = input
            .measured
            .unsupported
            .iter()
            .find(|(label, _)| *label == then.cell);
        if let Some((_, why)) = why {
            let label = &then.cell;
            let reason = format!("{label} of the baseline can no longer be run: {why}");
            checks.push(trouble(Some(label), reason));
        }
    }
    if sides.pairs.is_empty() {
        let labels = |side: &Snapshot| -> String {
            let names: Vec<String> = side.cells.iter().map(|it| it.cell.clone()).collect();
            some_of(&names, NAMED)
        };
        checks.push(trouble(
            None,
            format!(
                "nothing can be compared: the baseline has {}, the run {}",
                labels(against.snapshot),
                labels(input.candidate)
            ),
        ));
    }
    checks
}

/// Fail before trouble before want of data.
fn outcome(checks: &[Check], rules: &Rules) -> (GateOutcome, u8) {
    let any = |holds: &dyn Fn(CheckStatus) -> bool| checks.iter().any(|it| holds(it.status));
    if any(&|status| status == CheckStatus::Breached) {
        (GateOutcome::Fail, 1)
    } else if any(&|status| status == CheckStatus::Trouble) {
        // What failed for other reasons than the model is never a pass, whatever is asked.
        (GateOutcome::Undecided, 3)
    } else if checks.is_empty() {
        // Nothing that was checked is nothing that passed, whatever is asked.
        (GateOutcome::Undecided, 3)
    } else if any(&CheckStatus::is_undecided) && !rules.warn_undecided {
        (GateOutcome::Undecided, 3)
    } else {
        (GateOutcome::Pass, 0)
    }
}

fn known_results(input: &Input<'_>, known: &Known<'_>) -> Vec<KnownResult> {
    let of_entry = |entry: &KnownFailure| {
        let (mut hits, mut of) = (0, 0);
        for line in &input.candidate.cases {
            let cell = input.candidate.cell(&line.cell);
            if cell.is_some_and(|cell| entry.covers(&line.case, cell)) {
                let (more_hits, more) = line.counts();
                hits += more_hits;
                of += more;
            }
        }
        let status = if entry.has_expired(known.today) {
            KnownStatus::Expired
        } else if of == 0 {
            KnownStatus::NotHere
        } else if hits == of {
            KnownStatus::Passes
        } else if hits == 0 {
            KnownStatus::Fails
        } else {
            KnownStatus::Mixed
        };
        KnownResult {
            case: entry.case.clone(),
            reason: entry.reason.clone(),
            until: entry.until.clone(),
            origin: entry.origin.clone(),
            status,
        }
    };
    input.known.iter().map(of_entry).collect()
}

fn notes(
    input: &Input<'_>,
    sides: Option<&Sides<'_>>,
    checks: &[Check],
    cells: &[Cell<'_>],
    detectable: &[String],
) -> Vec<String> {
    let of_cell = |cell: &Cell<'_>| cell.compared.as_ref().map(|found| found.notes(cell));
    let mut notes: Vec<String> = cells.iter().filter_map(of_cell).flatten().collect();
    notes.extend(detectable.iter().cloned());
    let Some(sides) = sides else {
        notes.push(
            "no baseline: nothing is said of regressions; `toolbench baseline save` makes one"
                .to_owned(),
        );
        return notes;
    };
    let paired = |cell: &CellFact| sides.pair_of(cell).is_some();
    let new: Vec<String> = input
        .candidate
        .cells
        .iter()
        .filter(|cell| !paired(cell))
        .map(|cell| cell.cell.clone())
        .collect();
    if !new.is_empty() {
        notes.push(format!("not in the baseline: {}", some_of(&new, NAMED)));
    }
    let said = |label: &str| checks.iter().any(|it| it.cell.as_deref() == Some(label));
    let gone: Vec<String> = sides
        .baseline
        .cells
        .iter()
        .filter(|then| sides.pairs.iter().all(|pair| pair.then.cell != then.cell))
        .filter(|then| !said(&then.cell))
        .map(|then| then.cell.clone())
        .collect();
    if !gone.is_empty() {
        notes.push(format!(
            "in the baseline, not in this run: {}",
            some_of(&gone, NAMED)
        ));
    }
    let unlike = sides.baseline.about.retain != sides.candidate.about.retain
        || sides.baseline.about.redactions != sides.candidate.about.redactions;
    if unlike {
        notes.push(
            "the sides keep their content otherwise (`--retain`, `--redact`): changes of suites and tools are not shown"
                .to_owned(),
        );
    }
    notes
}
