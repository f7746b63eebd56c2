//! `toolbench qualify`: a model through the stages of a file, up to the first that is not passed.
//!
//! Data in: a stage file, what is known of its stages, the runs behind that. Data out: runs, the state
//! file, a verdict. Invariants: a stage runs only when all before it stand; each is judged from its
//! record, also when it is not run again; the state is written after every stage.

mod stage;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::run::depends::{MODEL, PLAN, SERVER_TOOLS};
use super::run::{Planned, execute_planned};
use super::{App, CliError, Status, print, print_json};
use crate::cli::args::{ListFormat, QualifyArgs, RunArgs};
use crate::cli::flags::SettingFlags;
use crate::cli::ui::Ui;
use crate::clock::now_rfc3339;
use crate::metrics::floor::FloorStatus;
use crate::metrics::{SummaryOptions, summarise_run};
use crate::qualify::state::{Known, Outcome, State, reasons};
use crate::qualify::{
    FileError, Judged, Places, QualifyFile, StageKind, StageLine, StageStatus, judge, parse,
    starter, terminal,
};
use crate::record::{Run, find_run};
use crate::types::did_you_mean;

/// Runs the stages and says what came of them.
pub(super) fn qualify(app: &App, args: &QualifyArgs) -> Result<Status, CliError> {
    if let Some(path) = &args.init {
        return init(app, path, args.model.as_deref());
    }
    let Some(path) = &args.file else {
        return Err(CliError::usage("no stage file is named"));
    };
    let (file, places) = read(path)?;
    let model = args.model.clone().or_else(|| file.model.clone());
    let Some(model) = model else {
        return Err(
            CliError::usage(format!("{} names no model", path.display()))
                .kind("qualify", Status::Usage)
                .hint("add `model: NAME` to it, or give `--model NAME`"),
        );
    };
    let first = first_stage(&file, args.from.as_deref())?;
    let out = out_folder(app, args)?;
    let state_path = State::path(&out, &file.qualify);
    let (state, unread) = State::read(&state_path, &file.qualify);
    if let Some(why) = unread {
        app.ui.say(&format!(
            "note: {} cannot be read, so no stage stands: {why}",
            state_path.display()
        ));
    }
    let mut flow = Flow {
        app,
        args,
        file: &file,
        places: &places,
        model,
        out,
        state,
        state_path,
    };
    flow.validate()?;
    let stages = flow.stages(first)?;
    let found = verdict::qualification(&file, path, &flow.model, stages, args);
    match args.format {
        ListFormat::Json => print_json(&found)?,
        ListFormat::Terminal => print(&terminal(&found))?,
    }
    Ok(verdict::status(&found))
}

fn read(path: &Path) -> Result<(QualifyFile, Places), CliError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        CliError::usage(format!("cannot read {}: {error}", path.display()))
            .kind("qualify", Status::Usage)
            .hint("`toolbench qualify --init FILE` writes a starter")
    })?;
    parse(&path.display().to_string(), &text).map_err(|error: FileError| CliError {
        param: error.problems.first().map(|it| it.place.clone()),
        ..CliError::usage(error.to_string())
            .kind("qualify", Status::Usage)
            .hint("`toolbench qualify --init FILE` writes a commented example")
    })
}

fn init(app: &App, path: &Path, model: Option<&str>) -> Result<Status, CliError> {
    use std::io::Write as _;
    let text = starter(model.unwrap_or("smollm2"));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| {
        let status = if error.kind() == std::io::ErrorKind::AlreadyExists {
            Status::Usage
        } else {
            Status::NotWritten
        };
        CliError::usage(format!("cannot write {}: {error}", path.display()))
            .kind("qualify", status)
            .hint("choose another name, or remove the file first")
    })?;
    app.ui.say(&format!(
        "wrote {}; next: `toolbench qualify {} --dry-run`",
        path.display(),
        path.display()
    ));
    Ok(Status::Complete)
}

/// Where `--from` begins.
fn first_stage(file: &QualifyFile, from: Option<&str>) -> Result<Option<usize>, CliError> {
    let Some(name) = from else { return Ok(None) };
    let names = || file.stages.iter().map(|stage| stage.stage.as_str());
    match names().position(|stage| stage == name) {
        Some(index) => Ok(Some(index)),
        None => Err(CliError {
            param: Some("--from".to_owned()),
            ..CliError::usage(format!("there is no stage `{name}`")).hint(
                did_you_mean(name, names()).unwrap_or_else(|| {
                    format!("the stages are {}", names().collect::<Vec<_>>().join(", "))
                }),
            )
        }),
    }
}

fn out_folder(app: &App, args: &QualifyArgs) -> Result<PathBuf, CliError> {
    let mut flags = SettingFlags::default();
    if let Some(out) = &args.out {
        flags.layer.insert("out", vec![out.clone()], "flag --out")?;
    }
    let resolved = app.resolve(&flags)?;
    Ok(PathBuf::from(resolved.text("out").unwrap_or("reports")))
}

/// A command in progress.
struct Flow<'a> {
    app: &'a App,
    args: &'a QualifyArgs,
    file: &'a QualifyFile,
    places: &'a Places,
    model: String,
    out: PathBuf,
    state: State,
    state_path: PathBuf,
}

/// A stage before it is run.
struct Looked {
    planned: Planned,
    depends: BTreeMap<String, String>,
    bounds: Vec<String>,
    /// Why it has to run; empty where it stands.
    reasons: Vec<String>,
    /// Its earlier run, where nothing has changed since.
    earlier: Option<Earlier>,
}

/// A run of a stage on which it still rests.
struct Earlier {
    run: Run,
    result: Outcome,
}

impl Flow<'_> {
    /// Settings and suites of all stages, before the first is run.
    fn validate(&self) -> Result<(), CliError> {
        for (index, stage) in self.file.stages.iter().enumerate() {
            let args = self.run_args(index)?;
            let resolved = self.app.resolve(&args.settings)?;
            self.app.settings(&resolved)?;
            args.safety.safety()?;
            let library = self.app.library(&resolved);
            for name in &stage.suites {
                library.load(name).map_err(|error| {
                    let error = CliError::from(error);
                    let place = self.places.in_stage(index, &["suites".into()]);
                    CliError {
                        message: format!("stage `{}`: {}\n  {place}", stage.stage, error.message),
                        param: Some(place),
                        ..error
                    }
                })?;
            }
        }
        Ok(())
    }

    fn run_args(&self, index: usize) -> Result<RunArgs, CliError> {
        let mut args = stage::run_args(
            self.file,
            self.places,
            index,
            &self.model,
            self.args.out.as_deref(),
        )?;
        args.dry_run = self.args.dry_run;
        Ok(args)
    }

    /// All stages in order, as far as they come.
    fn stages(&mut self, first: Option<usize>) -> Result<Vec<StageLine>, CliError> {
        let mut lines: Vec<StageLine> = Vec::new();
        let mut open = true;
        for index in 0..self.file.stages.len() {
            if !open {
                lines.push(self.line(index, StageStatus::NotReached));
                continue;
            }
            let line = self.in_stage(index, |flow| flow.one(index, first))?;
            open = matches!(
                line.status,
                StageStatus::Passed | StageStatus::Stands | StageStatus::WouldRun
            );
            lines.push(line);
        }
        Ok(lines)
    }

    /// Errors name the stage.
    fn in_stage<T>(
        &mut self,
        index: usize,
        work: impl FnOnce(&mut Self) -> Result<T, CliError>,
    ) -> Result<T, CliError> {
        work(self).map_err(|error| {
            let stage = &self.file.stages[index].stage;
            let prefix = format!("stage `{stage}`: ");
            if error.message.starts_with(&prefix) {
                return error;
            }
            let hint = match error.kind {
                "tool_drift" => Some(
                    "name tools of the suite in the stage's `allow_tools`, draft the suite again with `toolbench suite new NAME --from-mcp …`, or measure what the server has now: `accept_drift: true`"
                        .to_owned(),
                ),
                _ => error.hint.clone(),
            };
            CliError {
                message: format!("{prefix}{}", error.message),
                hint,
                ..error
            }
        })
    }

    fn line(&self, index: usize, status: StageStatus) -> StageLine {
        let stage = &self.file.stages[index];
        StageLine {
            stage: stage.stage.clone(),
            kind: stage.kind.as_str(),
            floor_percent: stage.floor,
            status,
            reasons: Vec::new(),
            bounds: Vec::new(),
            run: None,
            planned_trials: None,
            judged: None,
            advice: Vec::new(),
            failing_cases: Vec::new(),
        }
    }

    fn one(&mut self, index: usize, first: Option<usize>) -> Result<StageLine, CliError> {
        let stage = &self.file.stages[index];
        let mut looked = self.look(index)?;
        let stands = matches!(&looked.earlier, Some(earlier) if earlier.result == Outcome::Passed);
        if first.is_some_and(|first| index < first) && !stands {
            return Err(CliError::usage(format!(
                "it does not stand, and `--from` leaves it out: {}",
                looked.reasons.join("; ")
            ))
            .kind("qualify", Status::Usage)
            .hint(format!(
                "run it too: `toolbench qualify {}`",
                self.args
                    .file
                    .as_deref()
                    .unwrap_or(Path::new("FILE"))
                    .display()
            )));
        }
        if stands
            && first.is_none_or(|first| index < first)
            && let Some(earlier) = looked.earlier.take()
        {
            return self.rest_on(index, &looked, &earlier.run);
        }
        if stands {
            looked.earlier = None;
            looked.reasons = vec!["asked for with `--from`".to_owned()];
        }
        let line = StageLine {
            reasons: looked.reasons.clone(),
            bounds: looked.bounds.clone(),
            planned_trials: Some(looked.planned.trial_count()),
            ..self.line(index, StageStatus::WouldRun)
        };
        if self.args.dry_run {
            return Ok(line);
        }
        if stage.kind == StageKind::Production && !self.is_allowed(&line) {
            return Ok(StageLine {
                status: StageStatus::Undecided,
                advice: vec![
                    "it touches production and was not allowed to: `--allow-production`, or a yes on a terminal"
                        .to_owned(),
                ],
                ..line
            });
        }
        self.run(index, line, looked)
    }

    fn is_allowed(&self, line: &StageLine) -> bool {
        self.args.allow_production
            || self.app.ui.can_ask()
                && Ui::ask(&format!(
                    "Run {} trials of stage `{}` against production ({})?",
                    line.planned_trials.unwrap_or_default(),
                    line.stage,
                    line.bounds.join(", ")
                ))
    }

    /// Plans a stage and finds out whether what is known of it still holds.
    fn look(&self, index: usize) -> Result<Looked, CliError> {
        let stage = &self.file.stages[index];
        let mut args = self.run_args(index)?;
        let mut planned = Planned::of(self.app, &args, "run")?;
        self.check_kind(index, &planned)?;
        let each = stage::share_of_calls(stage, planned.trial_count(), self.places, index)?;
        if each.is_some() {
            args.safety.max_tool_calls = each;
            planned.reopen(self.app, &args)?;
        }
        let mut depends = planned.depends_on();
        if stage.server.is_some() {
            let touched = stage::may_touch(stage, each);
            depends.insert("what may be called".to_owned(), touched);
        }
        if !self.args.dry_run {
            depends.extend(planned.tools_now(self.app, &args)?);
        }
        let (reasons, earlier) = self.standing(index, &mut depends);
        if let Some(earlier) = &earlier
            && earlier.result != Outcome::Passed
            && !self.args.dry_run
        {
            args.resume = Some(earlier.run.directory.display().to_string());
            planned = Planned::of(self.app, &args, "run")?;
        }
        Ok(Looked {
            bounds: stage::bounds(stage, each),
            planned,
            depends,
            reasons,
            earlier,
        })
    }

    /// What a kind says of servers has to hold of the suites too.
    fn check_kind(&self, index: usize, planned: &Planned) -> Result<(), CliError> {
        let stage = &self.file.stages[index];
        let (real, mocked) = planned.real_and_mocked();
        let wrong = match stage.kind {
            StageKind::Simulated if !real.is_empty() => format!(
                "it is simulated, and its suites bring real servers: {}",
                real.join(", ")
            ),
            StageKind::Development if !mocked.is_empty() => format!(
                "it is for a development server, and only mocks answer for: {}",
                mocked.join(", ")
            ),
            _ => return Ok(()),
        };
        let place = self.places.in_stage(index, &["kind".into()]);
        Err(CliError {
            param: Some(place.clone()),
            ..CliError::usage(format!("stage `{}`: {wrong}\n  {place}", stage.stage))
                .kind("qualify", Status::Usage)
                .hint("name a `server` for it, choose other suites, or another `kind`")
        })
    }

    /// Why the stage has to run, and the run it rests on where nothing has changed.
    fn standing(
        &self,
        index: usize,
        depends: &mut BTreeMap<String, String>,
    ) -> (Vec<String>, Option<Earlier>) {
        let stage = &self.file.stages[index].stage;
        let Some(known) = self.state.of(&self.model, stage) else {
            return (vec!["it was not run before".to_owned()], None);
        };
        if self.args.dry_run {
            as_asked(depends, &known.depends);
        }
        let is_unasked = |name: &str| self.args.dry_run && name.starts_with(SERVER_TOOLS);
        let mut why = reasons(&known.depends, depends, is_unasked);
        let of_plan = format!("{PLAN} changed");
        if why.len() > 1 {
            why.retain(|reason| *reason != of_plan);
        } else if let Some(reason) = why.iter_mut().find(|reason| **reason == of_plan) {
            "something else of the plan changed (settings, order of cases)".clone_into(reason);
        }
        if !why.is_empty() {
            return (why, None);
        }
        let run = match find_run(&self.out, &known.run).and_then(|path| Run::open(&path)) {
            Ok(run) => run,
            Err(error) => return (vec![format!("its run cannot be read: {error}")], None),
        };
        let has_failed = run.header.excluded.iter().any(|cell| cell.failed);
        let reason = match known.result {
            Outcome::Passed => {
                return (
                    Vec::new(),
                    Some(Earlier {
                        run,
                        result: known.result,
                    }),
                );
            }
            Outcome::Missed => {
                return (vec![format!("it missed its floor in {}", known.run)], None);
            }
            Outcome::Undecided | Outcome::Interrupted if has_failed => {
                return (
                    vec![format!("parts of {} could not be run", known.run)],
                    None,
                );
            }
            Outcome::Undecided => format!("{} decided nothing, and is gone on with", known.run),
            Outcome::Interrupted => format!("{} was interrupted, and is gone on with", known.run),
        };
        let result = known.result;
        (vec![reason], Some(Earlier { run, result }))
    }

    /// A stage that is not run again is judged again, by the floor of now.
    fn rest_on(&mut self, index: usize, looked: &Looked, run: &Run) -> Result<StageLine, CliError> {
        let judged = self.judged(index, run);
        let status = match judged.status {
            FloorStatus::Met => StageStatus::Stands,
            FloorStatus::Missed => StageStatus::Missed,
            FloorStatus::Undecided => StageStatus::Undecided,
        };
        let line = self.line(index, status);
        if status != StageStatus::Stands && !self.args.dry_run {
            self.remember(index, judged.status, run, looked.depends.clone())?;
        }
        let reasons = if status == StageStatus::Stands {
            vec!["passed before, and nothing it depends on has changed".to_owned()]
        } else {
            vec!["passed before, and not by the floor of now".to_owned()]
        };
        Ok(verdict::with_findings(
            StageLine {
                reasons,
                planned_trials: Some(looked.planned.trial_count()),
                ..line
            },
            run,
            judged,
        ))
    }

    fn run(
        &mut self,
        index: usize,
        line: StageLine,
        looked: Looked,
    ) -> Result<StageLine, CliError> {
        let stage = &self.file.stages[index];
        self.app.ui.say(&format!(
            "stage {} ({}): {}",
            stage.stage,
            stage.kind.as_str(),
            looked.reasons.join("; ")
        ));
        let Looked {
            planned, depends, ..
        } = looked;
        let done = execute_planned(self.app, planned, "run")?;
        let run = Run::open(&done.directory)?;
        let judged = self.judged(index, &run);
        if done.interrupted {
            self.put(index, Outcome::Interrupted, &run, depends)?;
            return Ok(verdict::with_findings(
                StageLine {
                    status: StageStatus::Interrupted,
                    ..line
                },
                &run,
                judged,
            ));
        }
        self.remember(index, judged.status, &run, depends)?;
        let status = match judged.status {
            FloorStatus::Met => StageStatus::Passed,
            FloorStatus::Missed => StageStatus::Missed,
            FloorStatus::Undecided => StageStatus::Undecided,
        };
        Ok(verdict::with_findings(
            StageLine { status, ..line },
            &run,
            judged,
        ))
    }

    fn judged(&self, index: usize, run: &Run) -> Judged {
        let summary = summarise_run(run, &SummaryOptions::default());
        let failed = run.header.excluded.iter().filter(|cell| cell.failed);
        let failed: Vec<String> = failed
            .map(|cell| {
                let suite = cell.labels.get("suite").map_or("", String::as_str);
                let of = [cell.model.as_str(), suite];
                let of: Vec<&str> = of.into_iter().filter(|name| !name.is_empty()).collect();
                format!("not run: {}: {}", of.join(", "), cell.reason)
            })
            .collect();
        judge(&self.file.stages[index], &summary, &failed)
    }

    fn remember(
        &mut self,
        index: usize,
        status: FloorStatus,
        run: &Run,
        depends: BTreeMap<String, String>,
    ) -> Result<(), CliError> {
        let result = match status {
            FloorStatus::Met => Outcome::Passed,
            FloorStatus::Missed => Outcome::Missed,
            FloorStatus::Undecided => Outcome::Undecided,
        };
        self.put(index, result, run, depends)
    }

    fn put(
        &mut self,
        index: usize,
        result: Outcome,
        run: &Run,
        depends: BTreeMap<String, String>,
    ) -> Result<(), CliError> {
        let known = Known {
            result,
            run: run.header.run.clone(),
            judged_at: now_rfc3339(),
            depends,
        };
        let stage = &self.file.stages[index].stage;
        self.state.put(&self.model, stage, known);
        self.state.write(&self.state_path).map_err(|error| {
            CliError::usage(format!(
                "cannot write {}: {error}",
                self.state_path.display()
            ))
            .kind("qualify", Status::NotWritten)
            .hint("the run itself is on record; free some space, or choose another folder with `--out`")
        })
    }
}

/// In a dry run no server is asked, so what only a server tells is taken as it was.
fn as_asked(now: &mut BTreeMap<String, String>, then: &BTreeMap<String, String>) {
    let mut is_unasked = false;
    for (name, value) in now.iter_mut() {
        let of_model = name
            .strip_prefix(MODEL)
            .is_some_and(|rest| rest.starts_with(' '));
        if let Some(old) = then.get(name).filter(|_| of_model)
            && old != value
            && old.starts_with(value.as_str())
        {
            value.clone_from(old);
            is_unasked = true;
        }
    }
    if is_unasked && let Some(plan) = then.get(PLAN) {
        now.insert(PLAN.to_owned(), plan.clone());
    }
}
