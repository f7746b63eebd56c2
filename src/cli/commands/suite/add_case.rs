//! `toolbench suite add-case`: a recorded trial as a case of a suite file.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{App, CliError, Status, print};
use crate::authoring::insert::append;
use crate::authoring::trial::{NewCase, TrialSource, case_from_trial};
use crate::cli::args::AddCaseArgs;
use crate::cli::flags::SettingFlags;
use crate::config::{Resolved, Settings};
use crate::record::format::ContentLine;
use crate::record::privacy::is_redacted;
use crate::record::{Retain, Run, find_run};
use crate::suite::{Problem, read_text};
use crate::tools::sandbox::PLACEHOLDER;
use crate::types::{ContentHash, Suite, ToolDefinition, ToolResult, TrialRecord, did_you_mean};

/// Trials that are named when a selection fits several.
const NAMED_TRIALS: usize = 8;

/// Adds a case to a suite file.
pub(super) fn add_case(app: &App, args: &AddCaseArgs) -> Result<Status, CliError> {
    let mut flags = SettingFlags::default();
    if let Some(out) = &args.out {
        flags.layer.insert("out", vec![out.clone()], "flag --out")?;
    }
    let resolved = app.resolve(&flags)?;
    let settings = app.settings(&resolved)?;
    let (run, trial) = find_trial(&settings, &args.from)?;
    check_content(&run, &trial)?;
    let path = suite_file(app, &resolved, &args.suite)?;
    let label = path.display().to_string();
    let text = std::fs::read_to_string(&path)
        .map_err(|error| CliError::usage(format!("cannot read suite file {label}: {error}")))?;
    let (target, before) = read_text(&label, &text)?;
    check_target(&target, args.id.as_deref(), &label)?;
    let mut new = make_case(&run, &trial, &target, args.id.as_deref())?;
    let added = added(&text, &mut new).map_err(|reason| {
        CliError::usage(format!("{label}: {reason}"))
            .hint("write `cases:` (and `mock.rules:`) with one item a line, then try again")
    })?;
    let (_, after) = read_text(&label, &added)?;
    replace_file(&path, &added)?;
    report(&label, &new, &before, &after)?;
    Ok(Status::Complete)
}

/// A case is made of what was asked and answered: all of it must be on record as it was.
fn check_content(run: &Run, trial: &TrialRecord) -> Result<(), CliError> {
    let Some(privacy) = &run.header.privacy else {
        return Ok(());
    };
    let suite = run.header.suites.iter();
    let case = suite
        .filter(|suite| suite.suite == trial.cell.suite)
        .flat_map(|suite| &suite.cases)
        .find(|case| case.id == trial.case);
    let why = if privacy.retain != Retain::Full {
        format!("was recorded with `--retain {}`", privacy.retain.as_str())
    } else if is_redacted(trial) || case.is_some_and(is_redacted) {
        "is redacted where this case is concerned".to_owned()
    } else {
        return Ok(());
    };
    Err(CliError::usage(format!(
        "run `{}` {why}: no case can be made of it",
        run.header.run
    ))
    .kind("record", Status::Usage)
    .hint("make the case from a run with `--retain full` and without `--redact`"))
}

/// The run and trial of `RUN:TRIAL`.
fn find_trial(settings: &Settings, from: &str) -> Result<(Run, TrialRecord), CliError> {
    let (name, wanted) = from
        .rsplit_once(':')
        .filter(|(name, wanted)| !name.is_empty() && !wanted.is_empty())
        .ok_or_else(|| {
            CliError::usage(format!("`--from {from}` is not RUN:TRIAL")).hint(
                "name a run and one of its trials by id or case: --from latest:weather-unit-kelvin",
            )
        })?;
    let run = Run::open(&find_run(&settings.out, name)?)?;
    // Of several lines with one id the last counts.
    let mut trials: Vec<&TrialRecord> = Vec::new();
    for trial in run.trials.iter().rev() {
        if !trials.iter().any(|known| known.id == trial.id) {
            trials.push(trial);
        }
    }
    trials.reverse();
    let by = |fits: &dyn Fn(&TrialRecord) -> bool| -> Vec<&TrialRecord> {
        trials.iter().copied().filter(|trial| fits(trial)).collect()
    };
    let found = [
        by(&|trial| trial.id == wanted),
        by(&|trial| trial.case == wanted),
        by(&|trial| trial.id.starts_with(wanted)),
    ]
    .into_iter()
    .find(|found| !found.is_empty())
    .unwrap_or_default();
    match found.as_slice() {
        [trial] => Ok((run.clone(), (*trial).clone())),
        [] => {
            let cases = trials.iter().map(|trial| trial.case.as_str());
            let error =
                CliError::usage(format!("run `{}` has no trial `{wanted}`", run.header.run))
                    .kind("record", Status::Usage);
            Err(error.hint(did_you_mean(wanted, cases).unwrap_or_else(|| {
                format!("`toolbench report {name} --format jsonl` lists its trials")
            })))
        }
        several => Err(CliError::usage(format!(
            "`{wanted}` names {} trials of run `{}`:\n{}",
            several.len(),
            run.header.run,
            trials_in_words(several)
        ))
        .kind("record", Status::Usage)
        .hint(format!(
            "name one by its id: --from {name}:{}",
            several[0].id
        ))),
    }
}

fn trials_in_words(trials: &[&TrialRecord]) -> String {
    let mut lines: Vec<String> = trials
        .iter()
        .take(NAMED_TRIALS)
        .map(|trial| {
            let cell = &trial.cell;
            let code = trial
                .outcome
                .code()
                .map_or("right", crate::types::Code::name);
            format!(
                "  {}  {}, {}, {}, {}, trial {}: {code}",
                trial.id, trial.case, cell.model, cell.dialect, cell.constraint, trial.trial
            )
        })
        .collect();
    if trials.len() > NAMED_TRIALS {
        lines.push(format!("  and {} more", trials.len() - NAMED_TRIALS));
    }
    lines.join("\n")
}

/// A suite file of the user's own.
fn suite_file(app: &App, resolved: &Resolved, name: &str) -> Result<PathBuf, CliError> {
    let library = app.library(resolved);
    library.file(name).ok_or_else(|| {
        let error = CliError::usage(format!("there is no suite file `{name}`"))
            .kind("suite", Status::Usage);
        if library.names().contains_key(name) {
            error.hint("a built-in suite does not change; begin one of your own: `toolbench suite new NAME`")
        } else {
            error.hint("`toolbench suite new NAME` writes one; give its file, such as ./NAME.yaml")
        }
    })
}

fn check_target(target: &Suite, id: Option<&str>, label: &str) -> Result<(), CliError> {
    if !target.include.is_empty() {
        return Err(CliError::usage(format!(
            "{label} is a pinned set: its cases stand in other suites"
        ))
        .hint("add the case to one of those"));
    }
    let Some(id) = id else {
        return Ok(());
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if id.is_empty() || !id.chars().all(is_name) {
        return Err(CliError::usage(format!(
            "`--id {id}`: a case id is lower case letters, digits and `-`"
        )));
    }
    if target.cases.iter().any(|case| case.id == id) {
        return Err(
            CliError::usage(format!("{label} has a case `{id}` already"))
                .hint("give another `--id`, or none"),
        );
    }
    Ok(())
}

fn make_case(
    run: &Run,
    trial: &TrialRecord,
    target: &Suite,
    id: Option<&str>,
) -> Result<NewCase, CliError> {
    let content = run.content()?;
    let offered: Vec<ToolDefinition> = trial
        .attempts
        .first()
        .and_then(|attempt| value_of(&content, &attempt.tools))
        .unwrap_or_default();
    let results: Vec<Option<String>> = trial
        .calls
        .iter()
        .map(|call| {
            let result: ToolResult = value_of(&content, call.result.as_ref()?)?;
            Some(result.content)
        })
        .collect();
    let variant = run
        .header
        .variants
        .iter()
        .find(|variant| variant.name == trial.cell.variant);
    let suites = &run.header.suites;
    let mut suite = suites
        .iter()
        .find(|suite| suite.suite == trial.cell.suite)
        .cloned();
    let mut trial = trial.clone();
    if let (Some(_), Some(sandbox)) = (&target.server, sandbox_of(run, &trial.cell.suite)) {
        trial = with_placeholder(&trial, &sandbox);
        suite = suite.map(|suite| with_placeholder(&suite, &sandbox));
    }
    let source = TrialSource {
        run: &run.header.run,
        trial: &trial,
        suite: suite.as_ref(),
        system: variant.and_then(|variant| variant.system.as_deref()),
        offered: &offered,
        results: &results,
    };
    Ok(case_from_trial(&source, target, id))
}

fn value_of<T: DeserializeOwned>(
    content: &HashMap<ContentHash, ContentLine>,
    hash: &ContentHash,
) -> Option<T> {
    serde_json::from_value(content.get(hash)?.value.clone()).ok()
}

/// The path of the sandbox that a run used for a suite.
fn sandbox_of(run: &Run, suite: &str) -> Option<String> {
    let settings = &run.header.settings;
    let base = settings.iter().find(|setting| setting.name == "sandbox");
    let base = base.map_or("/tmp/toolbench", |setting| setting.value.as_str());
    let path = std::path::absolute(Path::new(base).join("sandbox").join(suite)).ok()?;
    Some(path.to_str()?.to_owned())
}

/// A value in whose texts the sandbox has its placeholder again.
fn with_placeholder<T: Clone + Serialize + DeserializeOwned>(value: &T, sandbox: &str) -> T {
    let quoted = serde_json::Value::from(sandbox).to_string();
    let named = serde_json::to_string(value)
        .ok()
        .map(|text| text.replace(quoted.trim_matches('"'), PLACEHOLDER));
    named
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_else(|| value.clone())
}

/// The file's text with the case in it, and with the rules that it needs.
fn added(text: &str, new: &mut NewCase) -> Result<String, String> {
    let mut text = append(text, &["cases"], &new.case, &new.notes)?;
    for rule in &new.rules {
        let notes = format!("recorded, for case `{}`", new.id);
        match append(&text, &["mock", "rules"], rule, &notes) {
            Ok(with_rule) => text = with_rule,
            Err(reason) => {
                new.warnings.push(format!(
                    "{reason}; add this rule by hand:\n{}",
                    crate::authoring::yaml::item(rule, 2)
                ));
            }
        }
    }
    Ok(text)
}

/// Replaces a file in one step, so that it is never there by half.
fn replace_file(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error: &std::io::Error| {
        CliError::usage(format!("cannot write {}: {error}", path.display()))
            .kind("output", Status::NotWritten)
            .hint("the file is as it was")
    };
    let real = path.canonicalize().map_err(|error| failed(&error))?;
    let folder = real.parent().unwrap_or(Path::new("."));
    let permissions = std::fs::metadata(&real)
        .map_err(|error| failed(&error))?
        .permissions();
    if permissions.readonly() {
        return Err(failed(&std::io::ErrorKind::PermissionDenied.into()));
    }
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.as_file().sync_all())
        .and_then(|()| file.as_file().set_permissions(permissions))
        .map_err(|error| failed(&error))?;
    file.persist(&real).map_err(|error| failed(&error.error))?;
    Ok(())
}

fn report(
    label: &str,
    new: &NewCase,
    before: &[Problem],
    after: &[Problem],
) -> Result<(), CliError> {
    let mut out = format!("added case `{}` to {label}\n", new.id);
    if !new.rules.is_empty() {
        let plural = if new.rules.len() == 1 { "" } else { "s" };
        out.push_str(&format!(
            "its mock got {} rule{plural} from what the calls were answered\n",
            new.rules.len()
        ));
    }
    for warning in &new.warnings {
        out.push_str(&format!("note: {warning}\n"));
    }
    let is_new = |problem: &&Problem| !before.iter().any(|known| known.message == problem.message);
    for problem in after.iter().filter(is_new) {
        out.push_str(&format!("still to do: {problem}\n"));
    }
    out.push_str(&format!(
        "next: review it (tag `review`), then `toolbench suite check {label}`\n"
    ));
    print(&out)
}
