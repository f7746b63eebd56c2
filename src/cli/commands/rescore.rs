//! `toolbench rescore`: a stored run judged again, into a new record.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::report::{ReportOptions, print_run, status_of};
use super::{App, CliError, Status};
use crate::cli::flags::SettingFlags;
use crate::cli::outputs::Outputs;
use crate::cli::report_args::{RescoreArgs, add_list};
use crate::clock::{now_compact, now_rfc3339};
use crate::config::{Layer, Settings, key};
use crate::event::{Event, EventSink};
use crate::record::format::{
    Execution, Header, METRICS_VERSION, RECORD_VERSION, RescoredFrom, SCORER_VERSION,
};
use crate::record::privacy::is_redacted;
use crate::record::{Retain, Run, RunWriter, find_run};
use crate::runner::{
    BUILT_IN_CORRECTIONS, CorrectionStyle, RescoreCell, Rescored, rescore as judge_again,
};
use crate::tools::ToolHost;
use crate::types::violation::TAXONOMY_VERSION;
use crate::types::{Case, ContentHash, Suite, TrialRecord, TrialRules};

/// Changed verdicts named one by one at most.
const SHOWN: usize = 10;

/// Judges a run again.
pub(super) fn rescore(app: &App, args: &RescoreArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&flags(args))?;
    let settings = app.settings(&resolved)?;
    let outputs = Outputs::of(&settings)?;
    let run = Run::open(&find_run(&settings.out, &args.run)?)?;
    check_content(&run)?;
    check_suites(&run, &args.suite)?;
    let suites = suites(app, &resolved, &run.header, &args.suite)?;
    let rules = rules(app, &run.header)?;
    let content: HashMap<ContentHash, Value> = run
        .content()?
        .into_iter()
        .map(|(hash, line)| (hash, line.value))
        .collect();
    let parts = Parts {
        header: &run.header,
        hosts: hosts(&run.header, &suites)?,
        corrections: corrections(&run.header)?,
        suites,
        rules,
        content,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::usage(format!("cannot start the runtime: {error}")))?;
    let (trials, left_out, changed) = runtime.block_on(parts.judge(&run.trials))?;
    let directory = write(&settings.out, &run, &parts, &trials, left_out.len())?;
    app.ui.say(&format!("record: {}", directory.display()));
    say(app, "verdict", "changed", &changed);
    say(
        app,
        "trial",
        "left out: it would have gone another way",
        &left_out,
    );
    let rescored = Run::open(&directory)?;
    let summary = print_run(&rescored, &outputs, &ReportOptions::of(&settings), app)?;
    Ok(if left_out.is_empty() {
        status_of(&rescored.header, &summary)
    } else {
        Status::Undecidable
    })
}

/// Judging again reads the replies again; a run that does not keep them cannot be judged.
fn check_content(run: &Run) -> Result<(), CliError> {
    let retain = run.header.privacy.as_ref().map(|privacy| privacy.retain);
    match retain {
        None | Some(Retain::Full) => Ok(()),
        Some(retain) => Err(CliError::usage(format!(
            "run `{}` was recorded with `--retain {}`: it holds no replies, so nothing can be judged again",
            run.header.run,
            retain.as_str()
        ))
        .kind("record", Status::Usage)
        .hint("`toolbench report` and `run --resume` work on it; to judge again later, run with `--retain full`, with `--redact` where needed")),
    }
}

/// A suite from a file would put back into the new record what was blotted out of the old one.
fn check_suites(run: &Run, named: &[String]) -> Result<(), CliError> {
    let patterns = run.header.privacy.as_ref().map(|it| it.patterns.len());
    if named.is_empty() || patterns.unwrap_or_default() == 0 {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "run `{}` was redacted, and a suite from a file would bring back what was blotted out",
        run.header.run
    ))
    .kind("record", Status::Usage)
    .hint("rescore it without `--suite`, or run the corrected suite again"))
}

fn flags(args: &RescoreArgs) -> SettingFlags {
    let mut flags = SettingFlags::default();
    for (name, value) in [("format", &args.format), ("out", &args.out)] {
        if let Some(value) = value
            && let Err(problem) =
                flags
                    .layer
                    .insert(name, vec![value.clone()], &format!("flag --{name}"))
        {
            flags.problem.get_or_insert(problem);
        }
    }
    add_list(&mut flags, "write", &args.write);
    flags
}

/// One line with a count, then the first few.
fn say(app: &App, what: &str, did: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let plural = if lines.len() == 1 { "" } else { "s" };
    app.ui.say(&format!("{} {what}{plural} {did}", lines.len()));
    for line in lines.iter().take(SHOWN) {
        app.ui.say(&format!("  {line}"));
    }
    if lines.len() > SHOWN {
        app.ui.say(&format!("  and {} more", lines.len() - SHOWN));
    }
}

/// The run's own suites, with those named on the command line in their place.
fn suites(
    app: &App,
    resolved: &crate::config::Resolved,
    header: &Header,
    named: &[String],
) -> Result<Vec<Suite>, CliError> {
    let mut suites = header.suites.clone();
    for name in named {
        for corrected in app.library(resolved).load(name)? {
            let Some(own) = suites
                .iter_mut()
                .find(|suite| suite.suite == corrected.suite)
            else {
                return Err(
                    CliError::usage(format!("the run has no suite `{}`", corrected.suite))
                        .hint(format!("it has {}", header.selection.join(", "))),
                );
            };
            let mut cases = Vec::new();
            for old in &own.cases {
                let Some(new) = corrected.cases.iter().find(|case| case.id == old.id) else {
                    return Err(CliError::usage(format!(
                        "suite `{name}` has no case `{}`, which the run has",
                        old.id
                    ))
                    .hint("keep the ids of cases; a case that is gone cannot be judged again"));
                };
                if !same_question(old, new) {
                    return Err(CliError::usage(format!(
                        "case `{}` of `{name}` asks something else than in the run",
                        old.id
                    ))
                    .hint(
                        "only expectations can be judged again; a changed prompt needs a new run",
                    ));
                }
                cases.push(new.clone());
            }
            *own = Suite { cases, ..corrected };
        }
    }
    Ok(suites)
}

/// Whether a model would have been asked the same.
fn same_question(old: &Case, new: &Case) -> bool {
    let said = |case: &Case| -> Vec<(String, Option<Vec<String>>)> {
        case.all_rounds()
            .into_iter()
            .map(|round| (round.user, round.tools))
            .collect()
    };
    said(old) == said(new)
        && old.history == new.history
        && old.system == new.system
        && old.tools == new.tools
        && old.own_tools == new.own_tools
        && old.state == new.state
}

/// The rules of the run, from the settings it stored.
fn rules(app: &App, header: &Header) -> Result<TrialRules, CliError> {
    let mut layer = Layer::default();
    for setting in &header.settings {
        if key(&setting.name).is_some() && setting.name != "variant" {
            layer.insert(&setting.name, vec![setting.value.clone()], &setting.origin)?;
        }
    }
    let resolved = App::resolve_stored(&SettingFlags {
        layer,
        problem: None,
    })?;
    let settings: Settings = app.settings(&resolved)?;
    Ok(settings.rules)
}

/// The mocks of suites. A run on other servers has none: what those answered is on record.
fn hosts(
    header: &Header,
    suites: &[Suite],
) -> Result<BTreeMap<String, Arc<dyn ToolHost>>, CliError> {
    suites
        .iter()
        .filter(|suite| suite.server.is_none() && header.tool_servers.is_empty())
        .map(|suite| {
            let host: Arc<dyn ToolHost> = Arc::new(super::run::mock(suite)?);
            Ok((suite.suite.clone(), host))
        })
        .collect()
}

fn corrections(header: &Header) -> Result<BTreeMap<String, CorrectionStyle>, CliError> {
    let mut styles = BTreeMap::new();
    for variant in &header.variants {
        let name = &variant.correction;
        let text = match BUILT_IN_CORRECTIONS.iter().find(|(known, _)| known == name) {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(name).map_err(|error| {
                CliError::usage(format!(
                    "cannot read the correction template {name}: {error}"
                ))
                .hint("run the command in the folder in which the run was made")
            })?,
        };
        let style = CorrectionStyle::compile(name, &text)
            .map_err(|error| CliError::usage(error.to_string()))?;
        styles.insert(name.clone(), style);
    }
    Ok(styles)
}

struct Parts<'a> {
    header: &'a Header,
    suites: Vec<Suite>,
    hosts: BTreeMap<String, Arc<dyn ToolHost>>,
    corrections: BTreeMap<String, CorrectionStyle>,
    rules: TrialRules,
    content: HashMap<ContentHash, Value>,
}

impl Parts<'_> {
    /// Trials with new verdicts; those left out and those changed, in words.
    async fn judge(
        &self,
        trials: &[TrialRecord],
    ) -> Result<(Vec<TrialRecord>, Vec<String>, Vec<String>), CliError> {
        let (mut judged, mut left_out, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for trial in trials {
            let name = format!(
                "{} {} {} {}/{}",
                trial.cell.model,
                trial.cell.dialect,
                trial.cell.constraint,
                trial.cell.suite,
                trial.case
            );
            match self.one(trial).await? {
                Rescored::Diverges(why) => left_out.push(format!("{name}: {why}")),
                Rescored::Judged(new) => {
                    let verdict = |trial: &TrialRecord| {
                        trial.outcome.code().map_or("passed", |code| code.name())
                    };
                    if new.outcome != trial.outcome {
                        changed.push(format!("{name}: {} → {}", verdict(trial), verdict(&new)));
                    }
                    judged.push(*new);
                }
            }
        }
        Ok((judged, left_out, changed))
    }

    /// Why a trial of a redacted run cannot be judged again; none where nothing of it was blotted out.
    fn redacted(&self, suite: &Suite, case: &Case, trial: &TrialRecord) -> Option<String> {
        self.header.privacy.as_ref()?;
        let shared = (&suite.system, &suite.tools, &suite.mock);
        if is_redacted(case) || is_redacted(&shared) {
            return Some("its case was redacted".to_owned());
        }
        let hashes = trial.attempts.iter().flat_map(|attempt| {
            let of_attempt = [Some(&attempt.tools), attempt.reply.as_ref()];
            of_attempt.into_iter().flatten()
        });
        let results = trial.calls.iter().filter_map(|call| call.result.as_ref());
        let content = hashes
            .chain(results)
            .any(|hash| self.content.get(hash).is_some_and(is_redacted));
        (content || is_redacted(trial)).then(|| "its content was redacted".to_owned())
    }

    async fn one(&self, trial: &TrialRecord) -> Result<Rescored, CliError> {
        let missing = |what: &str| {
            CliError::usage(format!("the record of trial {} lacks its {what}", trial.id))
                .kind("record", Status::Usage)
        };
        let suite = self
            .suites
            .iter()
            .find(|suite| suite.suite == trial.cell.suite)
            .ok_or_else(|| missing("suite"))?;
        let case = suite
            .cases
            .iter()
            .find(|case| case.id == trial.case)
            .ok_or_else(|| missing("case"))?;
        if let Some(why) = self.redacted(suite, case, trial) {
            return Ok(Rescored::Diverges(why));
        }
        let variant = self
            .header
            .variants
            .iter()
            .find(|variant| variant.name == trial.cell.variant)
            .ok_or_else(|| missing("variant"))?;
        let model = self
            .header
            .models
            .iter()
            .find(|model| model.name == trial.cell.model)
            .ok_or_else(|| missing("model"))?;
        let routes = self
            .header
            .cells
            .iter()
            .find(|cell| cell.id == trial.cell_id)
            .map(|cell| &cell.routes)
            .filter(|routes| !routes.is_empty())
            .ok_or_else(|| missing("route"))?;
        let legs = routes
            .iter()
            .map(|route| Some((route, &model.leg(&route.leg)?.facts)))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| missing("leg"))?;
        let cell = RescoreCell {
            suite,
            host: self.hosts.get(&suite.suite),
            variant,
            rules: &self.rules,
            correction: self
                .corrections
                .get(&variant.correction)
                .ok_or_else(|| missing("correction style"))?,
            legs,
            fallback: model.fallback.as_ref(),
        };
        Ok(judge_again(&cell, case, trial, &self.content).await)
    }
}

/// The new record, in its own directory.
fn write(
    folder: &Path,
    run: &Run,
    parts: &Parts<'_>,
    trials: &[TrialRecord],
    left_out: usize,
) -> Result<std::path::PathBuf, CliError> {
    let base = format!("{}-rescored", now_compact());
    let directory = super::run::free_directory(folder, &base);
    let name = directory
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or(base);
    let header = Header {
        record_version: RECORD_VERSION,
        scorer_version: SCORER_VERSION,
        metrics_version: METRICS_VERSION,
        taxonomy_version: TAXONOMY_VERSION,
        run: name,
        created_at: now_rfc3339(),
        command: "rescore".to_owned(),
        suites: parts.suites.clone(),
        rescored_from: Some(RescoredFrom {
            run: run.header.run.clone(),
            scorer_version: run.header.scorer_version,
            left_out,
        }),
        ..run.header.clone()
    };
    let execution = Execution {
        started_at: now_rfc3339(),
        process: std::process::id(),
        done: 0,
        fingerprint: run.header.fingerprint.clone(),
    };
    let mut writer = RunWriter::create(&directory, &header, &execution)?;
    let mut content: Vec<_> = run.content()?.into_values().collect();
    content.sort_by(|one, two| one.hash.cmp(&two.hash));
    for line in content {
        writer.on_event(&Event::Content {
            hash: line.hash,
            kind: line.kind,
            value: line.value,
        })?;
    }
    for trial in trials {
        writer.on_event(&Event::TrialFinished {
            record: Box::new(trial.clone()),
        })?;
    }
    Ok(directory)
}
