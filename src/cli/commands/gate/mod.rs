//! `toolbench gate`: a stored run, or one that is made first, against floors and a baseline.
//!
//! Data in: a run or models, settings. Data out: the verdict on standard output, in Actions also as
//! annotations and in the job's summary; the exit code. Invariants: everything that can be wrong with
//! the settings is said before a model is asked; a word that means a run and a model is a mistake.

mod advice;
mod budget;
mod publish;
mod rules;
mod sides;

pub(in crate::cli) use advice::{gate_again, name_flag};
pub(in crate::cli) use rules::rules;
pub(in crate::cli) use sides::{file, folder, latency_file, names, of_file, read};

use std::path::{Path, PathBuf};

use super::merge::{check_unsharded, check_whole};
use super::report::ReportOptions;
use super::run::{Recorded, recorded, selected};
use super::{App, CliError, Status};
use crate::cli::args::RunArgs;
use crate::cli::gate_args::GateArgs;
use crate::cli::store_access::Store;
use crate::clock::now_rfc3339;
use crate::config::{Resolved, Settings};
use crate::gate::baseline::Times;
use crate::gate::known::{self, KnownFailure};
use crate::gate::{Input, Measured, Refusal, Snapshot, Texts, Verdict, judge};
use crate::record::{ReadError, Run, find_run};
use advice::Repeated;
use rules::{GateSettings, Names, check_names};
use sides::Side;

/// Settings that shape no run and may stand beside a stored one.
const OF_REPORTS: [&str; 7] = [
    "out",
    "format",
    "write",
    "cache",
    "by",
    "margin",
    "objective",
];

/// Judges a run, making it first where models are named.
pub(in crate::cli) fn gate(app: &App, args: GateArgs) -> Result<Status, CliError> {
    if let Some(problem) = &args.gate.0.problem {
        return Err(problem.clone().into());
    }
    let gate_values = app.resolve_gate(&args.gate.0.layer)?;
    let asked = rules(&gate_values)?;
    let resolved = app.resolve(&args.settings)?;
    let settings = app.settings(&resolved)?;
    let outputs = publish::outputs(&settings)?;
    let known = known_failures(&asked)?;
    let target = Target::of(app, &args, &resolved, &settings)?;
    let against = sides::find(&settings.out, asked.baseline.as_deref())?;
    let repeated = Repeated::of(&args);
    if against.is_none() {
        // What compares with a baseline is not met by its absence.
        let compares = [
            (asked.rules.max_slowdown.is_some(), "--max-slowdown"),
            (asked.rules.strict, "--strict"),
        ];
        let compares = compares.iter().find(|(is_asked, _)| *is_asked);
        if compares.is_some() || !asked.rules.has_floor() {
            let make = advice::first_baseline(&target, &args, &repeated);
            return Err(nothing_asked(&make, compares.map(|(_, flag)| *flag)));
        }
    }
    let options = report_options(&args, &settings);
    let is_new = matches!(target, Target::Made(_)) && args.resume.is_none();
    let directory = match target {
        Target::Stored(directory) => {
            if asked.time_budget.is_some()
                && gate_values.origin("gate.time-budget").is_some_and(is_flag)
            {
                return Err(CliError::usage(
                    "`--time-budget` bounds a run that is made, and this one is stored",
                )
                .hint("name models instead of a run, or leave it out"));
            }
            directory
        }
        Target::Made(models) => {
            check_unsharded(&resolved)?;
            if is_new {
                check_selected(app, &gate_values, &asked, &resolved, &settings)?;
            }
            let times = against.as_ref().and_then(|side| side.times.as_ref());
            let tier = against.as_ref().map(|side| side.snapshot.cells.as_slice());
            let args = args.into_run(models);
            let directory = match &asked.time_budget {
                Some(budget) if args.resume.is_none() => {
                    let known = times.zip(tier);
                    match budget::apply(app, args, &resolved, &settings, budget, known)? {
                        budget::Fitted::Args(args) => made(app, &args, &repeated)?,
                        budget::Fitted::Made(directory) => Some(directory),
                        budget::Fitted::Interrupted => None,
                    }
                }
                _ => made(app, &args, &repeated)?,
            };
            let Some(directory) = directory else {
                return Ok(Status::Interrupted);
            };
            directory
        }
    };
    let run = Run::open(&directory)?;
    let judged = Judged {
        directory: &directory,
        run: &run,
        is_new,
        out: &settings.out,
        repeated: &repeated,
    };
    let verdict = judged.verdict(app, &gate_values, &asked, against.as_ref(), &known)?;
    publish::publish(app, &verdict, &run, &outputs, &options, asked.annotations)
}

/// How the report of the run is split and measured, as asked on the command line; otherwise as the run
/// says.
fn report_options<'a>(args: &GateArgs, settings: &'a Settings) -> ReportOptions<'a> {
    let given = |name: &str| -> Option<f64> {
        let values = args.settings.layer.values.get(name)?;
        values.last()?.parse().ok()
    };
    ReportOptions {
        margin_points: given("margin"),
        objective_ms: given("objective").map(|seconds| seconds * 1000.0),
        ..ReportOptions::of(settings)
    }
}

/// Floors that name what the suites have not, found before a model is asked.
fn check_selected(
    app: &App,
    gate_values: &Resolved,
    asked: &GateSettings,
    resolved: &Resolved,
    settings: &Settings,
) -> Result<(), CliError> {
    if asked.rules.min_category.is_empty() && asked.rules.min_case.is_empty() {
        return Ok(());
    }
    // Cases that filters leave out are known too: a floor of theirs cannot be checked, and says so.
    let unfiltered = Settings {
        cases: Vec::new(),
        tags: Vec::new(),
        limit: None,
        ..settings.clone()
    };
    let suites = selected(app, resolved, &unfiltered)?;
    check_names(gate_values, &asked.rules, Names::of_suites(&suites))?;
    Ok(())
}

/// Makes the run; nothing where it was interrupted.
fn made(app: &App, args: &RunArgs, repeated: &Repeated) -> Result<Option<PathBuf>, CliError> {
    match recorded(app, args, "gate")? {
        Recorded::Run(done) if !done.interrupted => Ok(Some(done.directory)),
        Recorded::Run(done) => {
            app.ui.say(&format!(
                "interrupted; go on with: {}",
                advice::go_on(&done.directory, repeated)
            ));
            Ok(None)
        }
        Recorded::Dry(_) => Ok(None),
    }
}

fn is_flag(origin: &str) -> bool {
    origin.starts_with("flag")
}

/// What is judged.
enum Target {
    /// A run's directory.
    Stored(PathBuf),
    /// Models to run first; none where a run is gone on with.
    Made(Vec<String>),
}

impl Target {
    fn of(
        app: &App,
        args: &GateArgs,
        resolved: &Resolved,
        settings: &Settings,
    ) -> Result<Self, CliError> {
        if args.resume.is_some() {
            return Ok(Self::Made(args.targets.clone()));
        }
        let shaping: Vec<String> = args
            .settings
            .layer
            .values
            .keys()
            .filter(|name| !OF_REPORTS.contains(&name.as_str()))
            .map(|name| format!("--{name}"))
            .collect();
        let stored = |name: &str| find_run(&settings.out, name);
        let (name, found) = match args.targets.as_slice() {
            [] if shaping.is_empty() => ("latest", stored("latest")),
            [] => {
                return Err(CliError::usage(format!(
                    "`toolbench gate` needs a model for {}",
                    shaping.join(", ")
                ))
                .hint("`toolbench gate MODEL --suite NAME`; `toolbench model list` shows models"));
            }
            [one] => (one.as_str(), stored(one)),
            several => {
                if let Some(run) = several.iter().find(|name| stored(name).is_ok()) {
                    return Err(CliError::usage(format!(
                        "`{run}` is a run, and a gate judges one run alone"
                    ))
                    .hint("name one run, or models only; `--baseline RUN` names what it is compared with"));
                }
                return Ok(Self::Made(several.to_vec()));
            }
        };
        let is_path = name.contains(['/', '\\']);
        let directory = match found {
            Ok(directory) => directory,
            Err(error) if name == "latest" || looks_like_a_run(name) => {
                return Err(not_found(error));
            }
            Err(_) => return Ok(Self::Made(args.targets.clone())),
        };
        if !is_path && is_model(app, resolved, name)? {
            return Err(CliError::usage(format!(
                "`{name}` is a run ({}) and a model",
                directory.display()
            ))
            .hint(format!(
                "name the run by its path, `{}`, or give the model another name",
                directory.display()
            )));
        }
        if !shaping.is_empty() {
            return Err(CliError::usage(format!(
                "{} would shape a run, and `{name}` is a stored one",
                shaping.join(", ")
            ))
            .hint("leave them out, or name a model"));
        }
        Ok(Self::Stored(directory))
    }
}

/// Eight digits, a dash: nobody calls a model so.
fn looks_like_a_run(name: &str) -> bool {
    let last = name.rsplit(['/', '\\']).next().unwrap_or(name);
    let (date, rest) = last.split_at(last.len().min(8));
    date.len() == 8 && date.bytes().all(|it| it.is_ascii_digit()) && rest.starts_with('-')
}

fn not_found(error: ReadError) -> CliError {
    CliError::from(error).hint(
        "make a run first: `toolbench gate MODEL --suite NAME`; `toolbench runs list` shows those that there are",
    )
}

/// A name of the configuration, the cache or the catalogue.
fn is_model(app: &App, resolved: &Resolved, name: &str) -> Result<bool, CliError> {
    if app.project.models.contains_key(name) || app.user.models.contains_key(name) {
        return Ok(true);
    }
    let store = Store::open(app, resolved)?;
    Ok(store.cache.list().iter().any(|model| model.name == name)
        || store.catalogue.lookup(name).is_ok())
}

fn nothing_asked(make: &str, compares: Option<&str>) -> CliError {
    let (message, or) = match compares {
        Some(flag) => (
            format!("`{flag}` compares with a baseline, and there is none"),
            String::new(),
        ),
        None => (
            "there is nothing to judge by: no baseline and no floor".to_owned(),
            "; or give a floor: `--min-success 80`".to_owned(),
        ),
    };
    CliError::usage(message)
        .kind("no_baseline", Status::Usage)
        .hint(format!("make a baseline from a good run: `{make}`{or}"))
}

fn known_failures(asked: &GateSettings) -> Result<Vec<KnownFailure>, CliError> {
    let Some(path) = &asked.known_failures else {
        return Ok(Vec::new());
    };
    let wrong = |message: String, hint: Option<String>| {
        let error = CliError::usage(message).kind("known_failures", Status::Usage);
        error.hint(hint.unwrap_or_else(|| {
            "entries read: [[known]] case = \"SUITE/CASE\", reason = \"…\", until = 2026-12-31"
                .to_owned()
        }))
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| wrong(format!("cannot read {}: {error}", path.display()), None))?;
    known::parse(&path.display().to_string(), &text)
        .map_err(|error| wrong(error.to_string(), error.hint))
}

/// The run that is judged.
struct Judged<'a> {
    directory: &'a Path,
    run: &'a Run,
    /// It was made for this verdict, from suites that were looked at before.
    is_new: bool,
    /// Folder of runs.
    out: &'a Path,
    repeated: &'a Repeated,
}

impl Judged<'_> {
    fn verdict(
        &self,
        app: &App,
        gate_values: &Resolved,
        asked: &GateSettings,
        against: Option<&Side>,
        known: &[KnownFailure],
    ) -> Result<Verdict, CliError> {
        let (directory, run) = (self.directory, self.run);
        check_whole(run)?;
        let same = |side: &Side| {
            let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
            real(&side.path) == real(directory)
        };
        if against.is_some_and(same) {
            return Err(CliError::usage("the run would be compared with itself")
                .hint("name another `--baseline`, or another run"));
        }
        if run.truncated {
            app.ui
                .say("note: the record ends in a half line, which is left out");
        }
        let snapshot = Snapshot::of_run(&run.header, &run.trials);
        if !self.is_new && !snapshot.is_partial() {
            let mut sides = vec![&snapshot];
            sides.extend(against.map(|side| &side.snapshot));
            check_names(gate_values, &asked.rules, Names::of_sides(&sides))?;
        }
        let measured = Measured::of_run(&run.header, &run.trials, &run.ended_early());
        let wants_times = asked.rules.max_slowdown.is_some();
        let times = wants_times.then(|| Times::of_run(&run.header, &run.trials));
        let shown = against.map_or_else(String::new, |side| side.path.display().to_string());
        let replace =
            against.and_then(|side| advice::replace(side, self.out, directory, self.repeated));
        let texts = Texts::of(&run.header);
        let now = now_rfc3339();
        let input = Input {
            run: &run.header.run,
            path: &advice::path(directory),
            candidate: &snapshot,
            measured: &measured,
            times: times.as_ref(),
            baseline: against.map(|side| side.against(&shown, replace.as_deref(), &texts)),
            known,
            today: now.get(..10).unwrap_or(&now),
            rules: &asked.rules,
            repeated: crate::gate::Repeated {
                gate: &self.repeated.gate,
                out: &self.repeated.out,
                servers: &self.repeated.servers,
            },
        };
        judge(&input).map_err(|refusal| refused(&refusal, directory, replace.as_deref()))
    }
}

fn refused(refusal: &Refusal, directory: &Path, replace: Option<&str>) -> CliError {
    let hint = match refusal {
        Refusal::Rules(_) => {
            let save = format!("toolbench baseline save {}", advice::path(directory));
            format!(
                "judge the older one again: `toolbench rescore RUN`, or make a new baseline: `{}`",
                replace.unwrap_or(&save)
            )
        }
        Refusal::Strict(_) => {
            "leave `--strict` out to see them as the change under test, or update the baseline"
                .to_owned()
        }
    };
    CliError::usage(refusal.to_string())
        .kind("not_comparable", Status::Usage)
        .hint(hint)
}
