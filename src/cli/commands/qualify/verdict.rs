//! From stages to the verdict, and to what to change.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use super::super::Status;
use super::stage::{setting_flags, shell_list};
use crate::cli::args::QualifyArgs;
use crate::metrics::floor::FloorStatus;
use crate::qualify::{Judged, QUALIFY_SCHEMA, Qualification, QualifyFile, StageLine, StageStatus};
use crate::record::Run;
use crate::types::{Code, TrialRecord, shell_word};

/// Failing cases that are named at most.
const CASES: usize = 8;
/// Codes that are explained at most.
const CODES: usize = 3;

/// With run, verdict, and where it was not passed what failed and what helps.
pub(super) fn with_findings(line: StageLine, run: &Run, judged: Judged) -> StageLine {
    let failed = failed_trials(run);
    let is_passed = judged.status == FloorStatus::Met;
    StageLine {
        run: Some(run.header.run.clone()),
        failing_cases: if is_passed {
            Vec::new()
        } else {
            failing_cases(&failed)
        },
        advice: if is_passed {
            line.advice
        } else {
            advice(&failed)
        },
        judged: Some(judged),
        ..line
    }
}

/// Scored trials without success, the last line of each, in plan order.
fn failed_trials(run: &Run) -> Vec<&TrialRecord> {
    let mut seen = HashSet::new();
    let mut latest: Vec<&TrialRecord> = run
        .trials
        .iter()
        .rev()
        .filter(|trial| seen.insert(trial.id.as_str()))
        .filter(|trial| trial.outcome.is_scored() && !trial.outcome.is_success())
        .collect();
    latest.sort_by_key(|trial| trial.position);
    latest
}

fn failing_cases(failed: &[&TrialRecord]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for trial in failed {
        let code = trial.outcome.code().map_or("", Code::name);
        let name = format!("{}/{} ({code})", trial.cell.suite, trial.case);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let more = names.len().saturating_sub(CASES);
    names.truncate(CASES);
    if more > 0 {
        names.push(format!("and {more} more"));
    }
    names
}

/// What the most frequent codes mean and what helps against them.
fn advice(failed: &[&TrialRecord]) -> Vec<String> {
    let mut counts: BTreeMap<Code, usize> = BTreeMap::new();
    for code in failed.iter().filter_map(|trial| trial.outcome.code()) {
        *counts.entry(code).or_default() += 1;
    }
    let mut codes: Vec<(Code, usize)> = counts.into_iter().collect();
    codes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    codes
        .into_iter()
        .take(CODES)
        .map(|(code, count)| {
            let plural = if count == 1 { "" } else { "s" };
            format!(
                "{code} ({count} trial{plural}): {}; {}",
                code.meaning(),
                code.help()
            )
        })
        .collect()
}

/// Everything that is said.
pub(super) fn qualification(
    file: &QualifyFile,
    path: &Path,
    model: &str,
    stages: Vec<StageLine>,
    args: &QualifyArgs,
) -> Qualification {
    let path = path.display().to_string();
    let count = |status| stages.iter().filter(|it| it.status == status).count();
    let all = stages.len();
    let stopped = stages.iter().find(|stage| {
        !matches!(
            stage.status,
            StageStatus::Passed | StageStatus::Stands | StageStatus::WouldRun
        )
    });
    let again = again(&path, args);
    let (verdict, status, line, next) = match stopped {
        // A dry run judges nothing: what it did not look at may have changed.
        stopped if args.dry_run => {
            let mut line = format!(
                "nothing was run (--dry-run): {} of {all} stages would, {} stand",
                count(StageStatus::WouldRun),
                count(StageStatus::Stands)
            );
            if let Some(stage) = stopped {
                line.push_str(&format!(
                    "; {} would stop it, as far as is known: {}",
                    stage.stage,
                    stage.status.in_words()
                ));
            }
            ("not_run", Status::Complete, line, format!("`{again}`"))
        }
        Some(stage) => stopped_at(file, stage, model, &again),
        None => (
            "qualified",
            Status::Complete,
            format!(
                "{model} is qualified: {all} of {all} stages, {} run now, {} standing",
                count(StageStatus::Passed),
                count(StageStatus::Stands)
            ),
            format!("after a change of model, prompt, tools or suites: `{again}`"),
        ),
    };
    Qualification {
        schema: QUALIFY_SCHEMA,
        qualify: file.qualify.clone(),
        file: path,
        model: model.to_owned(),
        verdict,
        stages,
        line,
        next,
        exit_code: status.code(),
    }
}

/// The command that goes on.
fn again(path: &str, args: &QualifyArgs) -> String {
    let mut command = format!("toolbench qualify {}", shell_word(path));
    for (flag, value) in [("--model", &args.model), ("--out", &args.out)] {
        if let Some(value) = value {
            command.push_str(&format!(" {flag} {}", shell_word(value)));
        }
    }
    command
}

fn stopped_at(
    file: &QualifyFile,
    stage: &StageLine,
    model: &str,
    again: &str,
) -> (&'static str, Status, String, String) {
    let name = &stage.stage;
    let run = stage.run.as_deref().unwrap_or("latest");
    match stage.status {
        StageStatus::Missed => {
            let asked = file.stages.iter().find(|it| it.stage == *name);
            let said = asked.filter(|it| it.server.is_none()).map(|it| {
                let case = stage.failing_cases.first().map_or("", |first| {
                    let case = first.split(' ').next().unwrap_or(first);
                    case.rsplit('/').next().unwrap_or(case)
                });
                format!(
                    "`toolbench run {} --suite {}{} --case {} -vv` what was said",
                    shell_word(model),
                    shell_list(&it.suites),
                    setting_flags(file, it),
                    shell_word(case)
                )
            });
            let said = said.unwrap_or_else(|| {
                format!("`toolbench report {run} --format jsonl` every call and finding")
            });
            (
                "not_qualified",
                Status::Breached,
                format!("{model} is not qualified: stage {name} misses its floor"),
                format!(
                    "`toolbench report {run} --by category` shows where, {said}; then `{again}`"
                ),
            )
        }
        StageStatus::Interrupted => (
            "interrupted",
            Status::Interrupted,
            format!("interrupted in stage {name}"),
            format!("`{again}` goes on where it stopped"),
        ),
        _ if stage.run.is_none() => (
            "undecided",
            Status::Undecidable,
            format!("undecided: stage {name} was not run"),
            format!("`{again} --allow-production`"),
        ),
        _ => (
            "undecided",
            Status::Undecidable,
            format!("undecided: stage {name} is neither passed nor missed"),
            format!(
                "give it more cases, a larger budget or `point_estimate: true`, or mend what kept trials from counting (`toolbench report {run}`); then `{again}`"
            ),
        ),
    }
}

/// How the process ends.
pub(super) fn status(found: &Qualification) -> Status {
    Status::ALL
        .into_iter()
        .find(|status| status.code() == found.exit_code)
        .unwrap_or(Status::Undecidable)
}
