//! Cases that came to fail, came to pass, or cannot make up their mind.
//!
//! Invariants: only runs that were judged by the rules and with the weights of the cell's latest run
//! are looked at, and of each case only those with its latest question and expectation; a run in
//! which no trial of a case counts says nothing of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::points::{CellSeen, Change};
use crate::types::ContentHash;

/// A case that comes out otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CaseChange {
    /// The case.
    pub case: String,
    /// The first run in which it came out so, and has since.
    pub since: String,
    /// The last run in which it did not.
    pub until: String,
    /// Runs since, the first included, that say something of it.
    pub runs: usize,
    /// What else changed between the two; empty where plan and engine are the same, so that the case
    /// may be flaky.
    pub changed: Vec<Change>,
}

/// A case that came out both ways although nothing had changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlakyCase {
    /// The case.
    pub case: String,
    /// Runs of one plan on one engine that had trials of it that count, over all that show it flaky.
    pub runs: usize,
    /// Of these, runs in which all its trials passed.
    pub passed_runs: usize,
    /// Of these, runs in which some passed and some failed.
    pub mixed_runs: usize,
    /// Trials in them.
    pub trials: usize,
    /// Of these, passed.
    pub passed_trials: usize,
}

/// What was found of a cell's cases.
#[derive(Default)]
pub(super) struct Found {
    pub(super) newly_failing: Vec<CaseChange>,
    pub(super) newly_passing: Vec<CaseChange>,
    pub(super) flaky: Vec<FlakyCase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Passed,
    Failed,
    Mixed,
}

/// A case in one run.
struct Moment<'a> {
    seen: &'a CellSeen<'a>,
    case_hash: &'a ContentHash,
    offer_hash: &'a ContentHash,
    trials: usize,
    passed: usize,
}

impl Moment<'_> {
    fn state(&self) -> State {
        if self.passed == self.trials {
            State::Passed
        } else if self.passed == 0 {
            State::Failed
        } else {
            State::Mixed
        }
    }

    fn plan(&self) -> &ContentHash {
        &self.seen.run.header.plan_hash
    }
}

/// The cases of a cell over time.
pub(super) fn cases(seen: &[CellSeen<'_>]) -> Found {
    let mut found = Found::default();
    for (case, moments) in moments(seen) {
        let flaky = flaky(case, &moments);
        if let Some((change, state)) = change(case, &moments, flaky.is_some()) {
            match state {
                State::Failed => found.newly_failing.push(change),
                _ => found.newly_passing.push(change),
            }
        }
        found.flaky.extend(flaky);
    }
    found
}

/// What is known of each case, in the order of time.
fn moments<'a>(seen: &'a [CellSeen<'a>]) -> BTreeMap<&'a str, Vec<Moment<'a>>> {
    let with_trials = || seen.iter().filter(|it| !it.cases.is_empty());
    let Some(last) = with_trials().next_back() else {
        return BTreeMap::new();
    };
    let known_by = |it: &CellSeen<'_>| (it.scorer_version(), it.weights());
    let latest = known_by(last);
    let mut all: BTreeMap<&str, Vec<Moment<'_>>> = BTreeMap::new();
    for own in with_trials().filter(|it| known_by(it) == latest) {
        for (case, trials) in &own.cases {
            let scored = trials.trials.iter().filter(|it| it.outcome.is_scored());
            let (count, passed) = scored.fold((0, 0), |(count, passed), trial| {
                (count + 1, passed + usize::from(trial.outcome.is_success()))
            });
            if count > 0 {
                all.entry(case).or_default().push(Moment {
                    seen: own,
                    case_hash: trials.case_hash,
                    offer_hash: trials.offer_hash,
                    trials: count,
                    passed,
                });
            }
        }
    }
    for moments in all.values_mut() {
        if let Some(latest) = moments.last().map(|it| it.case_hash) {
            moments.retain(|it| it.case_hash == latest);
        }
    }
    all
}

/// Whether runs of one plan on one engine, or trials of one run, differ.
fn flaky(case: &str, moments: &[Moment<'_>]) -> Option<FlakyCase> {
    let mut repeated: BTreeMap<_, Vec<&Moment<'_>>> = BTreeMap::new();
    for moment in moments {
        let same = repeated.entry(moment.seen.conditions()).or_default();
        same.push(moment);
    }
    let varies = |same: &Vec<&Moment<'_>>| {
        let differs =
            |it: &&Moment<'_>| it.state() == State::Mixed || it.state() != same[0].state();
        same.iter().any(differs)
    };
    let varying: Vec<&Moment<'_>> = repeated.into_values().filter(varies).flatten().collect();
    let runs_in = |state| varying.iter().filter(|it| it.state() == state).count();
    (!varying.is_empty()).then(|| FlakyCase {
        case: case.to_owned(),
        runs: varying.len(),
        passed_runs: runs_in(State::Passed),
        mixed_runs: runs_in(State::Mixed),
        trials: varying.iter().map(|it| it.trials).sum(),
        passed_trials: varying.iter().map(|it| it.passed).sum(),
    })
}

/// The last change from one outcome to the other. A flaky case has one only where it came out one way
/// throughout before, and the other way throughout since: a step, not a wobble.
fn change(case: &str, moments: &[Moment<'_>], is_flaky: bool) -> Option<(CaseChange, State)> {
    let last = moments.last()?.state();
    if last == State::Mixed {
        return None;
    }
    let before = moments.iter().rposition(|it| it.state() != last)?;
    let (until, since) = (&moments[before], &moments[before + 1]);
    if until.state() == State::Mixed {
        return None;
    }
    let is_step = moments[..before]
        .iter()
        .all(|it| it.state() == until.state());
    if is_flaky && !is_step {
        return None;
    }
    let mut changed = since.seen.changes_since(until.seen);
    // What is offered may have changed for other cases only.
    if since.offer_hash == until.offer_hash {
        changed.retain(|it| *it != Change::Offer);
        if changed.is_empty() && since.plan() != until.plan() {
            changed.push(Change::Plan);
        }
    }
    Some((
        CaseChange {
            case: case.to_owned(),
            since: since.seen.run.header.run.clone(),
            until: until.seen.run.header.run.clone(),
            runs: moments.len() - before - 1,
            changed,
        },
        last,
    ))
}
