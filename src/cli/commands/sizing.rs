//! `toolbench sizing`: stored runs, or models measured now, to a page about hardware.
//!
//! Data in: runs, models, tiers, wishes. Data out: the page; records of what was measured. Invariants: what
//! is measured goes through `run` and is on record like any run; the page is made of records alone.

use std::path::{Path, PathBuf};

use super::run::{Recorded, recorded};
use super::{App, CliError, Status, print_with};
use crate::cli::args::RunArgs;
use crate::cli::flags::SettingFlags;
use crate::cli::sizing_args::SizingArgs;
use crate::cli::store_access::Store;
use crate::cli::ui::Verbosity;
use crate::config::{Resolved, Settings};
use crate::record::{ReadError, Run, find_run, list_runs};
use crate::report::{SizingFormat, Terminal, write_sizing};
use crate::sizing::answer::Verdict;
use crate::sizing::evidence::{KnownWeights, fingerprints};
use crate::sizing::{Inputs, Objective, SizingRun, Wishes, page};
use crate::store::tiers::{TierError, published, tiers_with_user_file};
use crate::types::did_you_mean;
use crate::types::tier::Tier;
use crate::weights::gguf::read_header;

/// Measures what is to be measured, and prints the page.
pub(super) fn sizing(app: &App, args: &SizingArgs) -> Result<Status, CliError> {
    let resolved = app.resolve(&args.settings.0)?;
    let settings = app.settings(&resolved)?;
    let format = format_of(app, &settings)?;
    let tiers = tiers(app, &resolved)?;
    check_tiers(&args.tier, &tiers)?;
    let wishes = wishes(args)?;
    let (mut folders, models) = sorted(args, &settings)?;
    if args.names.is_empty() {
        folders = of_this_machine(&settings.out);
        require_runs(&folders, &settings)?;
    }
    if models.is_empty() && (!args.load.is_empty() || args.dry_run) {
        let flag = if args.dry_run { "--dry-run" } else { "--load" };
        return Err(CliError::usage(format!(
            "`{flag}` is about models to measure, and none is named"
        ))
        .hint("for example `toolbench sizing smollm2 --load 1,2,4`"));
    }
    let mut interrupted = false;
    if !models.is_empty() {
        match measure(app, args, &models)? {
            Measured::Dry(status) => return Ok(status),
            Measured::Runs(measured, stopped) => {
                folders.extend(measured);
                interrupted = stopped;
            }
        }
    }
    let runs: Vec<Run> = folders
        .iter()
        .map(|folder| Run::open(folder))
        .collect::<Result<_, _>>()?;
    let weights = known_weights(app, &resolved, &runs)?;
    let published = published().map_err(tier_error)?;
    let parts: Vec<SizingRun<'_>> = runs
        .iter()
        .map(|run| SizingRun {
            header: &run.header,
            trials: &run.trials,
        })
        .collect();
    let page = page(&Inputs {
        runs: &parts,
        tiers: &tiers,
        published: &published,
        weights: &weights,
        wishes: &wishes,
    });
    print_with(|out| write_sizing(&page, format, out))?;
    if interrupted {
        app.ui
            .say("interrupted; go on with: toolbench run --resume latest");
        return Ok(Status::Interrupted);
    }
    // Something was asked for, and nothing can be said of it: that is no success.
    let asked = wishes.success.is_some() || wishes.p95_ms.is_some();
    Ok(match page.answer.map(|answer| answer.verdict) {
        None if !asked && page.cells.iter().all(|cell| cell.decidable) => Status::Complete,
        Some(Verdict::Holds) => Status::Complete,
        Some(Verdict::Misses) => Status::Breached,
        None | Some(Verdict::NotEnoughData) => Status::Undecidable,
    })
}

fn format_of(app: &App, settings: &Settings) -> Result<SizingFormat, CliError> {
    Ok(match settings.format.as_str() {
        "terminal" => SizingFormat::Terminal(Terminal {
            color: app.env.stdout_terminal && app.env.variable("NO_COLOR").is_none(),
            detailed: app.ui.verbosity > Verbosity::Normal,
            ..Terminal::default()
        }),
        "json" => SizingFormat::Json,
        "markdown" => SizingFormat::Markdown,
        "csv" => SizingFormat::Csv,
        other => {
            return Err(CliError::usage(format!("`sizing` has no format `{other}`"))
                .hint("terminal, json, csv or markdown"));
        }
    })
}

fn tiers(app: &App, resolved: &Resolved) -> Result<Vec<Tier>, CliError> {
    let file = app.data_folder(resolved).join("tiers.yaml");
    tiers_with_user_file(&file).map_err(tier_error)
}

#[expect(clippy::needless_pass_by_value, reason = "the form `map_err` takes")]
fn tier_error(error: TierError) -> CliError {
    CliError::usage(error.to_string())
        .kind("config", Status::Usage)
        .hint("compare it with the built-in catalogue/tiers.yaml")
}

fn check_tiers(wanted: &[String], tiers: &[Tier]) -> Result<(), CliError> {
    let known = |name: &&String| tiers.iter().any(|tier| tier.name == **name);
    let Some(name) = wanted.iter().find(|name| !known(name)) else {
        return Ok(());
    };
    let names = tiers.iter().map(|tier| tier.name.as_str());
    let near = did_you_mean(name, names.clone());
    let list = || names.clone().collect::<Vec<_>>().join(", ");
    Err(CliError::usage(format!("unknown tier `{name}`"))
        .kind("config", Status::Usage)
        .hint(near.unwrap_or_else(|| {
            format!(
                "the tiers are {}; a tiers.yaml of your own adds to them",
                list()
            )
        })))
}

fn wishes(args: &SizingArgs) -> Result<Wishes, CliError> {
    for (name, value) in [("--p95", args.p95), ("--reserve", args.reserve)] {
        if let Some(value) = value.filter(|value| !value.is_finite() || *value < 0.0) {
            return Err(CliError::usage(format!(
                "`{name} {value}`: a number from 0 is wanted"
            )));
        }
    }
    if let Some(zero) = args
        .context
        .iter()
        .chain(&args.load)
        .find(|value| **value == 0)
    {
        return Err(CliError::usage(format!(
            "`{zero}` is no context and no number of trials at once: both are from 1"
        )));
    }
    Ok(Wishes {
        objective: match args.objective.as_str() {
            "valid-call" => Objective::ValidCall,
            _ => Objective::Task,
        },
        success: args.success.as_deref().map(share).transpose()?,
        p95_ms: args.p95.map(|seconds| seconds * 1000.0),
        reserve_gib: args.reserve,
        contexts: args.context.clone(),
        tiers: args.tier.clone(),
        demand_per_hour: args.demand.as_deref().map(per_hour).transpose()?,
    })
}

/// `80`, `80%` and `0.8` are the same; 1 is 100 %.
fn share(text: &str) -> Result<f64, CliError> {
    let wrong = || {
        CliError::usage(format!("`--success {text}` is no rate"))
            .hint("a percentage such as 80 or 80%, or a share such as 0.8")
    };
    let (number, is_percent) = match text.strip_suffix('%') {
        Some(number) => (number.trim(), true),
        None => (text, false),
    };
    let value: f64 = number.parse().map_err(|_| wrong())?;
    let share = if is_percent || value > 1.0 {
        value / 100.0
    } else {
        value
    };
    if share > 0.0 && share <= 1.0 {
        Ok(share)
    } else {
        Err(wrong())
    }
}

/// `500/h`, `20/min`, `2/s`; without a unit an hour is meant.
fn per_hour(text: &str) -> Result<f64, CliError> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "h"));
    let times = match unit.trim() {
        "h" | "hour" => Some(1.0),
        "min" | "m" | "minute" => Some(60.0),
        "s" | "second" => Some(3600.0),
        _ => None,
    };
    let number: Option<f64> = number.trim().parse().ok();
    match (number, times) {
        (Some(number), Some(times)) if number.is_finite() && number > 0.0 => Ok(number * times),
        _ => Err(CliError::usage(format!("`--demand {text}` is no demand"))
            .hint("successes in an hour, minute or second: 500/h, 20/min, 2/s")),
    }
}

/// Names of stored runs, as their folders, and what is left: models. What several runs begin with is no model.
fn sorted(args: &SizingArgs, settings: &Settings) -> Result<(Vec<PathBuf>, Vec<String>), CliError> {
    let mut folders = Vec::new();
    let mut models = Vec::new();
    for name in &args.names {
        match find_run(&settings.out, name) {
            Ok(folder) => folders.push(folder),
            Err(ReadError::NotFound { .. }) => models.push(name.clone()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((folders, models))
}

/// Stored runs of this machine whose replies came from weights or a server, not from a script.
fn of_this_machine(out: &Path) -> Vec<PathBuf> {
    let tier = crate::host::fingerprint().tier;
    let is_own = |folder: &PathBuf| {
        Run::open(folder).is_ok_and(|run| {
            let header = &run.header;
            fingerprints(header).any(|found| found.tier == tier)
                && header.rescored_from.is_none()
                && header
                    .models
                    .iter()
                    .any(|model| model.facts.provider != "scripted")
        })
    };
    list_runs(out).into_iter().filter(is_own).collect()
}

fn require_runs(folders: &[PathBuf], settings: &Settings) -> Result<(), CliError> {
    if !folders.is_empty() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "no run of a model on this machine is stored in {}",
        settings.out.display()
    ))
    .kind("selection", Status::NothingSelected)
    .hint(
        "measure models: `toolbench sizing smollm2 qwen2.5-coder:0.5b`; or name runs: `toolbench sizing \
         RUN…` (`toolbench runs list` shows them)",
    ))
}

/// What came of measuring.
enum Measured {
    /// It was only said what would be run.
    Dry(Status),
    /// Folders of the records, and whether it was interrupted.
    Runs(Vec<PathBuf>, bool),
}

/// Each context one at a time (at the first load), then the first context at the other loads: a run each.
fn measure(app: &App, args: &SizingArgs, models: &[String]) -> Result<Measured, CliError> {
    let contexts: Vec<Option<u32>> = match args.context.as_slice() {
        [] => vec![None],
        several => several.iter().copied().map(Some).collect(),
    };
    let loads: Vec<u32> = match args.load.as_slice() {
        [] => vec![1],
        several => several.to_vec(),
    };
    let mut plan: Vec<(Option<u32>, u32)> = contexts.iter().map(|it| (*it, loads[0])).collect();
    plan.extend(loads[1..].iter().map(|load| (contexts[0], *load)));
    let mut folders = Vec::new();
    let mut dry = Status::Complete;
    let several = plan.len();
    for (index, (context, load)) in plan.into_iter().enumerate() {
        if several > 1 {
            let context = context.map_or_else(String::new, |it| format!(" · context {it}"));
            let number = index + 1;
            app.ui.say(&format!(
                "measuring {number} of {several}{context} · {load} at once"
            ));
        }
        let run = RunArgs {
            models: models.to_vec(),
            resume: None,
            dry_run: args.dry_run,
            hosts: args.hosts.clone(),
            safety: args.safety.clone(),
            settings: with(&args.settings.0, context, load)?,
        };
        match recorded(app, &run, "sizing").map_err(|error| or_a_run(error, args))? {
            Recorded::Dry(status) => dry = status,
            Recorded::Run(done) => {
                folders.push(done.directory);
                if done.interrupted {
                    return Ok(Measured::Runs(folders, true));
                }
            }
        }
    }
    Ok(if args.dry_run {
        Measured::Dry(dry)
    } else {
        Measured::Runs(folders, false)
    })
}

/// The settings of one measurement.
fn with(flags: &SettingFlags, context: Option<u32>, load: u32) -> Result<SettingFlags, CliError> {
    let mut flags = flags.clone();
    let mut set = |name: &str, value: u32, origin: &str| {
        flags.layer.insert(name, vec![value.to_string()], origin)
    };
    if let Some(context) = context {
        set("context", context, "flag --context")?;
    }
    set("concurrency", load, "flag --load")?;
    Ok(flags)
}

/// What is no model may have been meant as a run.
fn or_a_run(mut error: CliError, args: &SizingArgs) -> CliError {
    if error.kind == "model" {
        let names = args.names.join("`, `");
        let hint = error.hint.take().unwrap_or_default();
        error.hint = Some(format!(
            "{hint}{}no run is stored as `{names}` either (`toolbench runs list`)",
            if hint.is_empty() { "" } else { "; " }
        ));
    }
    error
}

/// Headers of the weights of these runs, where they lie in the cache.
fn known_weights(app: &App, resolved: &Resolved, runs: &[Run]) -> Result<KnownWeights, CliError> {
    let wanted = |sha256: &str| {
        let models = runs.iter().flat_map(|run| &run.header.models);
        let mut hashes = models.filter_map(|model| model.weights_sha256.as_deref());
        !sha256.is_empty() && hashes.any(|known| known == sha256)
    };
    let store = Store::open(app, resolved)?;
    let cached = store.cache.list().into_iter();
    Ok(cached
        .filter(|model| wanted(&model.sha256))
        .filter_map(|model| Some((model.sha256.clone(), read_header(&model.path).ok()?)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_in_three_forms() {
        for text in ["80", "80%", "0.8", "80 %"] {
            assert!((share(text).unwrap() - 0.8).abs() < 1e-12, "{text}");
        }
        assert!((share("1").unwrap() - 1.0).abs() < 1e-12);
        for text in ["", "x", "0", "-5", "120", "nan"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn demands_are_read_by_their_unit() {
        for (text, hourly) in [
            ("500/h", 500.0),
            ("20/min", 1200.0),
            ("2/s", 7200.0),
            ("7", 7.0),
        ] {
            assert!((per_hour(text).unwrap() - hourly).abs() < 1e-9, "{text}");
        }
        for text in ["", "x/h", "5/week", "0/h", "-1", "inf"] {
            assert!(per_hour(text).is_err(), "{text}");
        }
    }
}
