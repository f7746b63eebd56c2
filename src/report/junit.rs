//! Test results for continuous integration: one suite per cell, one test case per case.
//!
//! Data in: an [`Export`]. Data out: JUnit XML. Invariants: only what a model did wrong is a `failure`;
//! excluded trials are an `error`, what was not run is `skipped`, each with its reason; a case with a
//! success and a failure has passed with a `flakyFailure` for each failed trial (the bounds of a gate are
//! not judged here); every character is one that XML 1.0 allows.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{
    FlakyOrRerun, NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite,
};

use super::Export;
use super::csv::outcome_name;
use super::names::Names;
use super::text::percent_with_interval;
use crate::metrics::Row;
use crate::record::format::ExcludedCell;
use crate::types::{CellKey, Code, Outcome, TrialRecord, Violation};

/// Most characters of a reply that are shown.
const MOST_REPLY: usize = 4000;

/// Writes the report.
pub(super) fn write(export: &Export, out: &mut dyn Write) -> io::Result<()> {
    report(export)
        .serialize(out)
        .map_err(|error| io::Error::other(error.to_string()))
}

fn report(export: &Export) -> Report {
    let header = export.header();
    let mut report = Report::new(xml(&format!("toolbench {}", header.run)));
    report.timestamp = header.created_at.parse().ok();
    let cells = cells(export);
    let known = known_cases(export);
    let mut total = Duration::ZERO;
    for (key, id, trials) in &cells {
        let suite = suite(export, key, id, trials, &known);
        total += suite.time.unwrap_or_default();
        report.add_test_suite(suite);
    }
    for excluded in &header.excluded {
        report.add_test_suite(not_run(excluded));
    }
    report.set_time(total);
    report
}

/// A cell with its trials that count.
type CellTrials<'a> = (&'a CellKey, &'a str, Vec<&'a TrialRecord>);

/// Planned cells in order, then cells that only trials know.
fn cells(export: &Export) -> Vec<CellTrials<'_>> {
    let planned = export.header().cells.iter();
    let mut cells: Vec<CellTrials<'_>> = planned
        .map(|cell| (&cell.key, cell.id.as_str(), Vec::new()))
        .collect();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (index, (_, id, _)) in cells.iter().enumerate() {
        places.insert(id, index);
    }
    for trial in export.latest() {
        let place = *places.entry(&trial.cell_id).or_insert_with(|| {
            cells.push((&trial.cell, &trial.cell_id, Vec::new()));
            cells.len() - 1
        });
        cells[place].2.push(trial);
    }
    cells
}

/// Ids of the cases of each suite, in order.
fn known_cases(export: &Export) -> HashMap<&str, Vec<&str>> {
    let suites = export.header().suites.iter();
    suites
        .map(|suite| {
            let ids = suite.cases.iter().map(|case| case.id.as_str());
            (suite.suite.as_str(), ids.collect())
        })
        .collect()
}

fn suite(
    export: &Export,
    key: &CellKey,
    id: &str,
    trials: &[&TrialRecord],
    known: &HashMap<&str, Vec<&str>>,
) -> TestSuite {
    let name = Names::of(export.summary()).cell(key);
    let mut suite = TestSuite::new(xml(&name));
    for (property, value) in properties(export, key, id) {
        suite.add_property((property, xml(&value).as_str()));
    }
    let mut order: Vec<&str> = known.get(key.suite.as_str()).cloned().unwrap_or_default();
    let mut seen: HashSet<&str> = order.iter().copied().collect();
    order.extend(
        trials
            .iter()
            .map(|trial| trial.case.as_str())
            .filter(|case| seen.insert(case)),
    );
    let mut by_case: HashMap<&str, Vec<&TrialRecord>> = HashMap::new();
    for trial in trials {
        by_case.entry(&trial.case).or_default().push(trial);
    }
    let mut total = Duration::ZERO;
    for case in order {
        let trials = by_case.get(case).map_or(&[][..], Vec::as_slice);
        let test = test_case(export, &name, case, trials);
        total += test.time.unwrap_or_default();
        suite.add_test_case(test);
    }
    suite.timestamp = trials
        .iter()
        .map(|trial| trial.started_at.as_str())
        .min()
        .and_then(|first| first.parse().ok());
    suite.set_time(total);
    suite
}

fn properties(export: &Export, key: &CellKey, id: &str) -> Vec<(&'static str, String)> {
    let header = export.header();
    let mut found = vec![
        ("run", header.run.clone()),
        ("cell", id.to_owned()),
        ("model", key.model.clone()),
        ("dialect", key.dialect.to_string()),
        ("constraint", key.constraint.to_string()),
        ("variant", key.variant.clone()),
        ("suite", key.suite.clone()),
        ("tier", key.tier.clone()),
        ("plan_hash", header.plan_hash.to_string()),
        ("scorer_version", header.scorer_version.to_string()),
        ("toolbench_version", header.toolbench_version.clone()),
    ];
    let model = header.models.iter().find(|model| model.name == key.model);
    if let Some(hash) = model.and_then(|model| model.weights_sha256.clone()) {
        found.push(("weights_sha256", hash));
    }
    let is_of_cell = |row: &&Row| {
        row.model == key.model
            && row.dialect == key.dialect
            && row.constraint == key.constraint
            && row.variant == key.variant
            && row.tier == key.tier
            && row.suite.as_ref() == Some(&key.suite)
            && row.settings == key.settings
    };
    if let Some(row) = export.summary().cells.iter().find(is_of_cell) {
        found.push(("success_percent", percent_with_interval(&row.success)));
        found.push(("scored_trials", row.scored_trials.to_string()));
        found.push(("excluded_trials", row.excluded.trials.to_string()));
        found.push(("decidable", row.decidable.to_string()));
    }
    found
}

fn test_case(export: &Export, suite: &str, case: &str, trials: &[&TrialRecord]) -> TestCase {
    let status = status(trials);
    let failed = trials.iter().find(|trial| is_failure(trial));
    let mut test = TestCase::new(xml(case), status);
    test.set_classname(xml(suite));
    let Some(first) = trials.first() else {
        return test;
    };
    // A reply that is read from a file takes no time that anybody waits for.
    let timed = trials.iter().filter(|trial| !trial.replayed);
    let milliseconds: f64 = timed.map(|trial| trial.time.total_ms).sum();
    test.set_time(duration(milliseconds));
    let successes = trials.iter().filter(|it| it.outcome.is_success()).count();
    let scored = trials.iter().filter(|it| it.outcome.is_scored()).count();
    let corrections: u32 = trials.iter().map(|trial| trial.corrections).sum();
    for (name, value) in [
        ("category", first.category.clone()),
        ("difficulty", first.difficulty.as_str().to_owned()),
        ("trials", trials.len().to_string()),
        ("scored_trials", scored.to_string()),
        ("successful_trials", successes.to_string()),
        ("corrections", corrections.to_string()),
        ("trial_id", first.id.clone()),
    ] {
        test.add_property((name, xml(&value).as_str()));
    }
    let excluded: Vec<String> = trials
        .iter()
        .filter(|trial| !trial.outcome.is_scored())
        .map(|trial| excluded_line(trial))
        .collect();
    if scored > 0 && !excluded.is_empty() {
        test.set_system_err(xml(&excluded.join("\n")));
    }
    if let Some(reply) = failed.and_then(|trial| last_reply(export, trial)) {
        test.set_system_out(xml(&reply));
    }
    test
}

fn is_failure(trial: &TrialRecord) -> bool {
    trial.outcome.is_scored() && !trial.outcome.is_success()
}

/// What became of a case over all its trials.
fn status(trials: &[&TrialRecord]) -> TestCaseStatus {
    let failed: Vec<&TrialRecord> = trials.iter().copied().filter(|it| is_failure(it)).collect();
    if trials.iter().any(|trial| trial.outcome.is_success()) {
        let mut status = TestCaseStatus::success();
        status.add_reruns(failed.iter().map(|trial| rerun(trial, trials.len())));
        return status;
    }
    if let Some((first, others)) = failed.split_first() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status
            .set_message(xml(&one_line(&message(first))))
            .set_type(code_name(first))
            .set_description(xml(&description(first, trials.len())))
            .set_rerun_kind(FlakyOrRerun::Rerun);
        status.add_reruns(others.iter().map(|trial| rerun(trial, trials.len())));
        return status;
    }
    let Some(first) = trials.first() else {
        return skipped("no result on record: `--resume` runs what is left");
    };
    if first.outcome.code() == Some(Code::Cancelled) {
        return skipped(&excluded_line(first));
    }
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let lines: Vec<String> = trials.iter().map(|trial| excluded_line(trial)).collect();
    status
        .set_message(xml(&one_line(&excluded_line(first))))
        .set_type(code_name(first))
        .set_description(xml(&lines.join("\n")));
    status
}

fn skipped(reason: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(xml(&one_line(reason)));
    status
}

fn rerun(trial: &TrialRecord, of: usize) -> TestRerun {
    let mut rerun = TestRerun::new(NonSuccessKind::Failure);
    rerun
        .set_message(xml(&one_line(&message(trial))))
        .set_type(code_name(trial))
        .set_description(xml(&description(trial, of)));
    rerun.timestamp = trial.started_at.parse().ok();
    if !trial.replayed {
        rerun.set_time(duration(trial.time.total_ms));
    }
    rerun
}

fn code_name(trial: &TrialRecord) -> &'static str {
    trial.outcome.code().map_or("", Code::name)
}

/// `wrong_value at /city of get_weather: "Oslo" is not what was asked for`.
fn message(trial: &TrialRecord) -> String {
    let code = code_name(trial);
    match primary(trial) {
        Some(found) => finding(found),
        None => code.to_owned(),
    }
}

/// The finding that gives the trial its code, else the first.
fn primary(trial: &TrialRecord) -> Option<&Violation> {
    let code = trial.outcome.code();
    let of_code = |found: &&Violation| Some(found.code) == code;
    let found = trial.violations.iter().find(of_code);
    found.or(trial.violations.first())
}

fn finding(found: &Violation) -> String {
    let mut text = found.code.name().to_owned();
    if let Some(pointer) = found.pointer.as_ref().filter(|it| !it.is_empty()) {
        text.push_str(&format!(" at {pointer}"));
    }
    if let Some(tool) = &found.tool {
        text.push_str(&format!(" of {tool}"));
    }
    format!("{text}: {}", found.message)
}

/// Every finding, what the primary one means and what helps.
fn description(trial: &TrialRecord, of: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let corrections = match trial.corrections {
        0 => String::new(),
        1 => ", 1 correction sent".to_owned(),
        several => format!(", {several} corrections sent"),
    };
    lines.push(format!(
        "trial {} of {of} ({}), {}{corrections}",
        trial.trial + 1,
        trial.id,
        outcome_name(trial.outcome)
    ));
    if let Outcome::Limit { code, .. } = trial.outcome {
        lines.push(format!("{code}: {}", code.meaning()));
    }
    lines.extend(trial.violations.iter().map(finding));
    if let Some(code) = trial.outcome.code() {
        lines.push(format!("{code}: {}; {}", code.meaning(), code.help()));
    }
    lines.join("\n")
}

/// Why a trial does not count.
fn excluded_line(trial: &TrialRecord) -> String {
    let code = code_name(trial);
    let why = primary(trial).map_or_else(
        || trial.outcome.code().map_or("", Code::meaning).to_owned(),
        |found| found.message.clone(),
    );
    format!(
        "trial {} is excluded ({}): {code}: {why}",
        trial.trial + 1,
        outcome_name(trial.outcome)
    )
}

/// The raw text of the last reply, where it is on record.
fn last_reply(export: &Export, trial: &TrialRecord) -> Option<String> {
    let mut attempts = trial.attempts.iter().rev();
    let text = attempts
        .find_map(|attempt| export.reply(attempt))
        .filter(|text| !text.is_empty())?;
    let shown: String = text.chars().take(MOST_REPLY).collect();
    let left = text.chars().count() - shown.chars().count();
    Some(if left > 0 {
        format!("{shown}… ({left} characters more)")
    } else {
        shown
    })
}

/// A cell, or a suite, that could not be run: one test in its place.
fn not_run(excluded: &ExcludedCell) -> TestSuite {
    let labels: Vec<&str> = [excluded.model.as_str()]
        .into_iter()
        .chain(excluded.labels.values().map(String::as_str))
        .filter(|label| !label.is_empty())
        .collect();
    let name = labels.join(" · ");
    let mut suite = TestSuite::new(xml(&name));
    let reason = format!("{} cases not run: {}", excluded.cases, excluded.reason);
    let status = if excluded.failed {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status
            .set_message(xml(&one_line(&reason)))
            .set_type("not_run");
        status
    } else {
        skipped(&reason)
    };
    let mut test = TestCase::new("not run", status);
    test.set_classname(xml(&name));
    suite.add_test_case(test);
    suite
}

fn duration(milliseconds: f64) -> Duration {
    Duration::try_from_secs_f64(milliseconds / 1000.0).unwrap_or_default()
}

/// Attributes keep no line ends.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Characters that XML 1.0 does not allow, and those that would be taken for terminal codes, by their
/// numbers: nothing of a reply is lost unseen.
fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' => safe.push('\n'),
            '\t' => safe.push_str("\\t"),
            '\r' => safe.push_str("\\r"),
            '\u{fffe}' | '\u{ffff}' => safe.extend(letter.escape_unicode()),
            letter if letter.is_control() => safe.extend(letter.escape_unicode()),
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
#[path = "junit_tests.rs"]
mod tests;
