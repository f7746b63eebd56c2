//! `toolbench qualify`: a model through the stages of a file, up to the first that is not passed.
//!
//! Data in: a stage file, what is known of its stages, the runs behind that. Data out: runs, the state
//! file, a verdict. Invariants: a stage runs only when all before it stand; each is judged from its
//! record, also when it is not run again; the state is written after every stage.

mod look;
mod stage;
mod verdict;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::run::{Planned, execute_planned};
use super::{App, CliError, Status, print, print_json};
use crate::cli::args::{ListFormat, QualifyArgs, RunArgs};
use crate::cli::flags::SettingFlags;
use crate::cli::ui::Ui;
use crate::clock::now_rfc3339;
use crate::metrics::floor::FloorStatus;
use crate::metrics::{SummaryOptions, summarise_run};
use crate::qualify::state::{Known, Outcome, State};
use crate::qualify::{
    FileError, Judged, Places, QualifyFile, StageKind, StageLine, StageStatus, judge, parse,
    starter, terminal,
};
use crate::record::Run;
use crate::types::{did_you_mean, shell_word};
use look::Looked;

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
        shown(path)
    ));
    Ok(Status::Complete)
}

/// A path as a word of a command.
fn shown(path: &Path) -> String {
    shell_word(&path.display().to_string())
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
        let is_fresh = first.is_some_and(|first| index >= first);
        let mut looked = self.look(index, is_fresh, self.may_ask(index))?;
        let stands = matches!(&looked.earlier, Some(earlier) if earlier.result == Outcome::Passed);
        if first.is_some_and(|first| index < first) && !stands {
            return Err(CliError::usage(format!(
                "it does not stand, and `--from` leaves it out: {}",
                looked.reasons.join("; ")
            ))
            .kind("qualify", Status::Usage)
            .hint(format!(
                "run it too: `toolbench qualify {}`",
                shown(self.args.file.as_deref().unwrap_or(Path::new("FILE")))
            )));
        }
        if stands && let Some(earlier) = looked.earlier.take() {
            return self.rest_on(index, &looked, &earlier.run);
        }
        let line = self.would_run(index, &looked);
        if self.args.dry_run {
            return Ok(line);
        }
        if stage.kind == StageKind::Production && !self.args.allow_production {
            if !self.is_agreed(&line) {
                return Ok(StageLine {
                    status: StageStatus::Undecided,
                    advice: vec![
                        "it touches production and was not allowed to: `--allow-production`, or a yes on a terminal"
                            .to_owned(),
                    ],
                    ..line
                });
            }
            // Only now may its server be asked for its tools.
            looked = self.look(index, is_fresh, true)?;
        }
        let line = self.would_run(index, &looked);
        self.run(index, line, looked)
    }

    /// Whether the stage's server may be asked for its tools; that of production after a yes only.
    fn may_ask(&self, index: usize) -> bool {
        let is_production = self.file.stages[index].kind == StageKind::Production;
        !self.args.dry_run && (!is_production || self.args.allow_production)
    }

    fn would_run(&self, index: usize, looked: &Looked) -> StageLine {
        StageLine {
            reasons: looked.reasons.clone(),
            bounds: looked.bounds.clone(),
            planned_trials: Some(looked.planned.trial_count()),
            ..self.line(index, StageStatus::WouldRun)
        }
    }

    fn is_agreed(&self, line: &StageLine) -> bool {
        self.app.ui.can_ask()
            && Ui::ask(&format!(
                "Run {} trials of stage `{}` against production ({})?",
                line.planned_trials.unwrap_or_default(),
                line.stage,
                line.bounds.join(", ")
            ))
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
            self.remember(
                index,
                judged.status,
                &run.header.run,
                looked.depends.clone(),
            )?;
        }
        let reasons = if status == StageStatus::Stands {
            let mut reason = "passed before, and nothing it depends on has changed".to_owned();
            if self.file.stages[index].kind == StageKind::Production && !self.may_ask(index) {
                reason.push_str(", as far as is known without asking its server");
            }
            vec![reason]
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
        let app = self.app;
        // From here on there is something to go on with, also after a kill.
        let mut begun = |directory: &Path| {
            let run = directory.file_name().unwrap_or_default().to_string_lossy();
            self.put(index, Outcome::Interrupted, &run, depends.clone())
        };
        let done = execute_planned(app, planned, "run", &mut begun)?;
        let run = Run::open(&done.directory)?;
        let judged = self.judged(index, &run);
        if done.interrupted {
            return Ok(verdict::with_findings(
                StageLine {
                    status: StageStatus::Interrupted,
                    ..line
                },
                &run,
                judged,
            ));
        }
        self.remember(index, judged.status, &run.header.run, depends)?;
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
        run: &str,
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
        run: &str,
        depends: BTreeMap<String, String>,
    ) -> Result<(), CliError> {
        let known = Known {
            result,
            run: run.to_owned(),
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
