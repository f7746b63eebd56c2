//! A verdict in one line, the next command, and single findings in words.
//!
//! Data in: a [`Verdict`] or parts of it. Data out: sentences. Invariant: what is said follows from the
//! parts alone.

use std::collections::BTreeMap;

use super::verdict::{
    CaseSets, Change, Check, CheckKind, CheckStatus, GateOutcome, KnownResult, KnownStatus, Verdict,
};
use super::words::{count, some_of};
use crate::types::shell_word;

/// Parts of a tool that are named.
const PARTS: usize = 8;

/// The one line: outcome, run, baseline, how many checks.
pub(super) fn line(verdict: &Verdict) -> String {
    let against = verdict
        .baseline
        .as_ref()
        .map_or_else(String::new, |it| format!(" against {}", it.name));
    let of = |holds: &dyn Fn(CheckStatus) -> bool| {
        let found = verdict.checks.iter().filter(|it| holds(it.status));
        found.count()
    };
    let passed = of(&|status| status == CheckStatus::Passed);
    let breached = of(&|status| status == CheckStatus::Breached);
    let undecided = of(&CheckStatus::is_undecided);
    let mut parts = Vec::new();
    if breached > 0 {
        parts.push(format!("{} breached", count(breached, "check")));
    }
    if undecided > 0 {
        parts.push(format!("{} undecided", count(undecided, "check")));
    }
    parts.push(format!("{} passed", count(passed, "check")));
    format!(
        "{}: {}{against}: {}",
        verdict.outcome.in_words(),
        verdict.run,
        parts.join(", ")
    )
}

/// What the commands that are advised repeat of the one given, each with a blank before it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeated<'a> {
    /// Flags of the gate, for the same run judged again.
    pub gate: &'a str,
    /// The folder of runs, for baselines.
    pub out: &'a str,
    /// Tool servers and what may be called there, for a run that is gone on with.
    pub servers: &'a str,
}

/// What the next command depends on beside the verdict.
pub(super) struct Advice<'a> {
    /// How commands name the run.
    pub(super) path: &'a str,
    pub(super) repeated: Repeated<'a>,
    /// The command that puts the run in place of the baseline.
    pub(super) replace: Option<&'a str>,
    /// Trials of the run were lost, or it ended early: it can be gone on with.
    pub(super) run_in_trouble: bool,
    /// The same of the run that it is compared with.
    pub(super) baseline_in_trouble: bool,
}

/// What to do next.
pub(super) fn next(verdict: &Verdict, advice: &Advice<'_>) -> String {
    let has = |status| verdict.checks.iter().any(|it| it.status == status);
    let Advice { path, repeated, .. } = advice;
    let Repeated { gate, out, servers } = repeated;
    let save = format!("toolbench baseline save {path}{out}");
    let warn = format!("toolbench gate {path}{gate} --on-undecided warn");
    match verdict.outcome {
        GateOutcome::Fail => {
            let explain = worst_code(verdict).map_or_else(
                || format!("toolbench report {path} --by category"),
                |code| format!("toolbench explain {code}"),
            );
            match advice.replace.filter(|_| is_regression(verdict)) {
                Some(replace) => format!("{explain}; if the change is meant: {replace}"),
                None => explain,
            }
        }
        GateOutcome::Undecided if has(CheckStatus::Trouble) => {
            let of_baseline = verdict.baseline.as_ref();
            match of_baseline.filter(|_| advice.baseline_in_trouble) {
                // Only what was lost in the run itself can be asked again.
                _ if advice.run_in_trouble => {
                    format!("toolbench gate --resume {path}{servers}{gate}")
                }
                Some(baseline) => format!("toolbench report {}", shell_word(&baseline.path)),
                None => format!(
                    "if the change is meant: {}",
                    advice.replace.unwrap_or(save.as_str())
                ),
            }
        }
        GateOutcome::Undecided if has(CheckStatus::NotEnoughData) => {
            format!(
                "more trials decide it (`--trials N --temperature T`, on both sides); to let it pass: {warn}"
            )
        }
        GateOutcome::Undecided if verdict.checks.is_empty() => {
            format!("nothing was checked: toolbench gate {path}{gate} --min-success 80")
        }
        GateOutcome::Undecided => warn,
        GateOutcome::Pass => match (&verdict.baseline, advice.replace) {
            (None, _) => save,
            (Some(_), Some(replace)) if has_risen(verdict) => {
                format!("keep what is better now: {replace}")
            }
            _ => format!("toolbench report {path}"),
        },
    }
}

/// The baseline's name where none is given.
pub const DEFAULT_NAME: &str = "main";

fn is_regression(verdict: &Verdict) -> bool {
    let mut breached = verdict
        .checks
        .iter()
        .filter(|it| it.status == CheckStatus::Breached);
    breached.any(|it| matches!(it.kind, CheckKind::Regression | CheckKind::Slowdown))
}

fn has_risen(verdict: &Verdict) -> bool {
    let differences = verdict.cells.iter().filter_map(|it| it.difference.as_ref());
    differences.into_iter().any(|it| !it.rose.is_empty())
}

/// The code that most of the named cases fail with.
fn worst_code(verdict: &Verdict) -> Option<&str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let breached = verdict
        .checks
        .iter()
        .filter(|it| it.status == CheckStatus::Breached);
    for code in breached.flat_map(|it| &it.cases).flat_map(|it| &it.codes) {
        *counts.entry(code).or_default() += 1;
    }
    let most = counts.values().max().copied()?;
    counts
        .into_iter()
        .find(|(_, count)| *count == most)
        .map(|(code, _)| code)
}

/// `weights of smollm2: b179c9523d0e then, 0a1b2c3d4e5f now`.
pub(super) fn change(change: &Change) -> String {
    let what = change.what.in_words();
    let name = if change.subject.is_empty() {
        what.to_owned()
    } else {
        format!("{what} {}", change.subject)
    };
    let parts = if change.parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", some_of(&change.parts, PARTS))
    };
    match (&change.then, &change.now) {
        (Some(then), Some(now)) => format!("{name}: {then} then, {now} now{parts}"),
        (Some(then), None) => format!("{name}: gone ({then} then)"),
        (None, Some(now)) if now == "changed" => format!("{name}: changed"),
        (None, Some(now)) => format!("{name}: new ({now})"),
        (None, None) => name,
    }
}

/// What became of the cases; empty where all were compared.
pub(super) fn case_sets(sets: &CaseSets, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (what, names) in [
        ("changed, not compared", &sets.changed),
        ("added", &sets.added),
        ("removed", &sets.removed),
    ] {
        if !names.is_empty() {
            let cases = count(names.len(), "case");
            lines.push(format!("{cases} {what}: {}", some_of(names, most)));
        }
    }
    if sets.not_drawn > 0 {
        lines.push(format!(
            "{} of the baseline not among those selected for this run",
            count(sets.not_drawn, "case")
        ));
    }
    if sets.not_in_baseline > 0 {
        lines.push(format!(
            "{} not among those selected for the baseline",
            count(sets.not_in_baseline, "case")
        ));
    }
    lines
}

/// A known failure and what became of it.
pub(super) fn known(result: &KnownResult) -> String {
    let KnownResult {
        case,
        reason,
        until,
        origin,
        status,
    } = result;
    match status {
        KnownStatus::Fails => format!("{case} fails as known until {until}: {reason}"),
        KnownStatus::Mixed => {
            format!("{case} is known until {until} and succeeds at times: {reason}")
        }
        KnownStatus::Passes => {
            format!("{case} passes now: its entry can go ({origin}): {reason}")
        }
        KnownStatus::Expired => {
            format!("{case} counts again: it was known until {until} ({origin}): {reason}")
        }
        KnownStatus::NotHere => format!("{case} has no scored trial in this run ({origin})"),
    }
}

/// Checks of one kind of status, breached ones first in their own list.
pub(super) fn with_status<'a>(
    verdict: &'a Verdict,
    holds: impl Fn(CheckStatus) -> bool + 'a,
) -> impl Iterator<Item = &'a Check> {
    verdict.checks.iter().filter(move |it| holds(it.status))
}
