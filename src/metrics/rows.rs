//! From trials to rows: the latest line of each trial, grouped by cell or by label.
//!
//! Data in: header and trial lines in file order. Data out: [`Row`]s in plan order. Invariants: a
//! trial id counts once, its last line; planned cells without any trial still have a row.

use std::collections::{BTreeMap, HashMap};

use super::corrections::corrections;
use super::cost::cost;
use super::expected::expected_calls;
use super::grammar::grammar;
use super::latency::{self, peak_memory_bytes};
use super::legs::legs;
use super::objective::objective;
use super::power::detectable_change;
use super::rates::{self, success};
use super::repeats::repeats;
use super::sequential::Reached;
use super::summary::{CodeCount, Exclusions, Row, SplitBy};
use super::trigger::{abstention, trigger};
use crate::record::format::{CellHeader, Header};
use crate::types::outcome::Outcome;
use crate::types::{CellKey, Code, Constraint, DialectName, Mechanism, TrialRecord};

/// Trials that count, in plan order, and how many earlier lines each one replaces.
pub(super) struct Latest<'a> {
    pub(super) trials: Vec<&'a TrialRecord>,
    pub(super) superseded: HashMap<&'a str, usize>,
}

/// The last line of every trial id.
pub(super) fn latest(trials: &[TrialRecord]) -> Latest<'_> {
    let mut last: HashMap<&str, &TrialRecord> = HashMap::new();
    let mut superseded: HashMap<&str, usize> = HashMap::new();
    for trial in trials {
        if last.insert(&trial.id, trial).is_some() {
            *superseded.entry(&trial.id).or_default() += 1;
        }
    }
    let mut trials: Vec<&TrialRecord> = last.into_values().collect();
    trials.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
    Latest { trials, superseded }
}

/// What trials of one row have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct GroupKey {
    model: String,
    dialect: DialectName,
    constraint: Constraint,
    variant: String,
    tier: String,
    settings: BTreeMap<String, String>,
    suite: Option<String>,
    category: Option<String>,
    difficulty: Option<&'static str>,
}

impl GroupKey {
    fn of_cell(cell: &CellKey, with_suite: bool) -> Self {
        Self {
            model: cell.model.clone(),
            dialect: cell.dialect,
            constraint: cell.constraint,
            variant: cell.variant.clone(),
            tier: cell.tier.clone(),
            settings: cell.settings.clone(),
            suite: with_suite.then(|| cell.suite.clone()),
            category: None,
            difficulty: None,
        }
    }

    fn of_trial(trial: &TrialRecord, by: Option<SplitBy>) -> Self {
        let mut key = Self::of_cell(&trial.cell, by == Some(SplitBy::Suite));
        match by {
            Some(SplitBy::Category) => key.category = Some(trial.category.clone()),
            Some(SplitBy::Difficulty) => key.difficulty = Some(trial.difficulty.as_str()),
            Some(SplitBy::Suite) | None => {}
        }
        key
    }
}

/// One row's trials.
pub(super) struct Group<'a> {
    pub(super) key: GroupKey,
    /// By suite and case, in plan order.
    pub(super) cases: Vec<Vec<&'a TrialRecord>>,
    /// `None` when the plan does not say (rows split by category or difficulty).
    planned_trials: Option<usize>,
    superseded: usize,
}

/// Groups by label; `by = Some(Suite)` gives one group per cell.
pub(super) fn groups<'a>(
    header: &Header,
    latest: &Latest<'a>,
    by: Option<SplitBy>,
) -> Vec<Group<'a>> {
    let reached = Reached::of(header, latest);
    let planned_of = |cell: &CellHeader| match &reached {
        Some(reached) => reached.planned(cell),
        None => cell.trials,
    };
    let from_plan = matches!(by, None | Some(SplitBy::Suite));
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut places: HashMap<GroupKey, usize> = HashMap::new();
    let mut place = |groups: &mut Vec<Group<'a>>, key: GroupKey| {
        *places.entry(key.clone()).or_insert_with(|| {
            groups.push(Group {
                key,
                cases: Vec::new(),
                planned_trials: from_plan.then_some(0),
                superseded: 0,
            });
            groups.len() - 1
        })
    };
    for cell in header.cells.iter().filter(|_| from_plan) {
        let key = GroupKey::of_cell(&cell.key, by == Some(SplitBy::Suite));
        let index = place(&mut groups, key);
        if let Some(planned) = &mut groups[index].planned_trials {
            *planned += planned_of(cell);
        }
    }
    let mut case_places: HashMap<(usize, &str, &str), usize> = HashMap::new();
    for trial in &latest.trials {
        let index = place(&mut groups, GroupKey::of_trial(trial, by));
        let group = &mut groups[index];
        group.superseded += latest.superseded.get(trial.id.as_str()).unwrap_or(&0);
        let case = *case_places
            .entry((index, &trial.cell.suite, &trial.case))
            .or_insert_with(|| {
                group.cases.push(Vec::new());
                group.cases.len() - 1
            });
        group.cases[case].push(trial);
    }
    groups
}

/// Most trials that may be excluded before a row is incomplete, as a share.
pub const MOST_EXCLUDED: f64 = 0.05;

/// The row of a group.
pub(super) fn row(group: &Group<'_>, header: &Header, objective_ms: Option<f64>) -> Row {
    let (key, cases) = (&group.key, &group.cases[..]);
    let trials = cases.iter().map(Vec::len).sum::<usize>();
    let scored_trials = latency::scored(cases).count();
    let excluded = exclusions(cases, trials);
    let undecidable = objections(group, trials, scored_trials, &excluded);
    let success = success(cases);
    Row {
        model: key.model.clone(),
        dialect: key.dialect,
        constraint: key.constraint,
        variant: key.variant.clone(),
        suite: key.suite.clone(),
        tier: key.tier.clone(),
        category: key.category.clone(),
        difficulty: key.difficulty.map(str::to_owned),
        settings: key.settings.clone(),
        cases: cases.len(),
        trials,
        scored_trials,
        planned_trials: group.planned_trials,
        superseded_trials: group.superseded,
        detectable: detectable_change(&success),
        success,
        first_attempt: rates::first_attempt(cases),
        recovered: rates::recovered(cases),
        as_deployed: rates::as_deployed(cases),
        as_written: rates::as_written(cases),
        calls: rates::calls(cases, |trial| steers_leniently(header, trial)),
        against_expected: expected_calls(cases),
        abstention: abstention(cases),
        trigger: trigger(cases),
        decidable: undecidable.is_empty(),
        undecidable,
        excluded,
        grammar: grammar(cases, mechanism(header, key)),
        repeats: repeats(cases),
        corrections: corrections(cases),
        objective: objective_ms.map(|task_ms| objective(cases, task_ms)),
        latency: latency::latency(cases),
        speed: latency::speed(cases),
        tokens: latency::tokens(cases),
        cost: cost(cases, header, &key.model),
        legs: legs(cases, header, &key.model),
        peak_memory_bytes: peak_memory_bytes(cases.iter().flatten().copied()),
        failures: failures(cases),
    }
}

/// The mechanism by which the cells of a row are held to their grammar, when they share one.
fn mechanism(header: &Header, key: &GroupKey) -> Option<Mechanism> {
    let of_row = header.cells.iter().filter(|cell| {
        let mut own = GroupKey::of_cell(&cell.key, key.suite.is_some());
        own.category.clone_from(&key.category);
        own.difficulty = key.difficulty;
        own == *key
    });
    let mut found = of_row
        .flat_map(|cell| &cell.routes)
        .map(|route| route.mechanism);
    let first = found.next()?;
    found.all(|other| other == first).then_some(first)?
}

/// The cell's own setting, else the run's.
fn steers_leniently(header: &Header, trial: &TrialRecord) -> bool {
    let of_run = || {
        let found = header.settings.iter().find(|s| s.name == "leniency");
        found.map(|setting| &setting.value)
    };
    let value = trial.cell.settings.get("leniency").or_else(of_run);
    value.is_some_and(|value| value == "lenient")
}

fn exclusions(cases: &rates::Cases<'_>, trials: usize) -> Exclusions {
    let mut found = Exclusions::default();
    for trial in cases.iter().flatten() {
        let class = match trial.outcome {
            Outcome::Infra { .. } => &mut found.infra,
            Outcome::Void { .. } => &mut found.serving,
            Outcome::Tool { .. } => &mut found.tool,
            Outcome::Harness { .. } => &mut found.harness,
            Outcome::Passed
            | Outcome::Recovered { .. }
            | Outcome::Failed { .. }
            | Outcome::Limit { .. } => continue,
        };
        *class += 1;
    }
    found.trials = found.infra + found.serving + found.tool + found.harness;
    found.share = (trials > 0).then(|| found.trials as f64 / trials as f64);
    found.codes = excluded_codes(cases);
    found
}

/// Codes of the trials that do not count, each with what was said the first time.
pub(super) fn excluded_codes(cases: &rates::Cases<'_>) -> Vec<CodeCount> {
    let mut codes = Vec::new();
    let mut first: BTreeMap<&str, String> = BTreeMap::new();
    for trial in cases.iter().flatten().filter(|it| !it.outcome.is_scored()) {
        codes.extend(trial.outcome.code());
        if let Some(code) = trial.outcome.code()
            && let Some(found) = trial.violations.iter().find(|found| found.code == code)
        {
            let shown = || shortened(&found.message);
            first.entry(code.name()).or_insert_with(shown);
        }
    }
    let mut counts = count_codes(codes);
    for counted in &mut counts {
        counted.message = first.remove(counted.code.as_str());
    }
    counts
}

/// One line of a message: what went wrong stands at its beginning, what helps at its end.
fn shortened(message: &str) -> String {
    const BEGINNING: usize = 160;
    const END: usize = 120;
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= BEGINNING + END {
        return line;
    }
    let text = |part: &[char]| part.iter().collect::<String>();
    format!(
        "{} … {}",
        text(&letters[..BEGINNING]),
        text(&letters[letters.len() - END..])
    )
}

fn failures(cases: &rates::Cases<'_>) -> Vec<CodeCount> {
    count_codes(latency::scored(cases).filter_map(|trial| trial.outcome.code()))
}

/// Most frequent first, then in stage order.
pub(super) fn count_codes(codes: impl IntoIterator<Item = Code>) -> Vec<CodeCount> {
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    for code in codes {
        *counts.entry(code).or_default() += 1;
    }
    let all: usize = counts.values().sum();
    let mut list: Vec<CodeCount> = counts
        .into_iter()
        .map(|(code, trials)| CodeCount {
            code: code.name().to_owned(),
            trials,
            share: trials as f64 / all as f64,
            message: None,
        })
        .collect();
    list.sort_by_key(|count| std::cmp::Reverse(count.trials));
    list
}

fn objections(
    group: &Group<'_>,
    trials: usize,
    scored_trials: usize,
    excluded: &Exclusions,
) -> Vec<String> {
    let mut found = Vec::new();
    let missing = group
        .planned_trials
        .map_or(0, |planned| planned.saturating_sub(trials));
    if missing > 0 {
        let planned = trials + missing;
        found.push(format!(
            "{missing} of {planned} planned trials have no result"
        ));
    }
    if excluded.harness > 0 {
        let count = excluded.harness;
        found.push(format!(
            "{count} of {trials} trials were cancelled or not judged"
        ));
    }
    let others = excluded.trials - excluded.harness;
    if trials > 0 && others as f64 > MOST_EXCLUDED * trials as f64 {
        found.push(format!(
            "{others} of {trials} trials are excluded, more than 5 %"
        ));
    }
    if trials > 0 && scored_trials == 0 {
        found.push("no trial could be scored".to_owned());
    }
    found
}
