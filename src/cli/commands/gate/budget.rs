//! `--time-budget`: how many cases fit, by what cases took before.
//!
//! Data in: the run's settings, times of the baseline or of earlier runs on this tier. Data out: the
//! same settings with a sample size. Invariants: the cases are the beginning of the one stratified
//! order, so they pair with a baseline over all of them; what is not known is tried out first, in a
//! record of its own; a sample is in the header, with the budget as its origin.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::run::{Recorded, recorded, selected};
use super::super::{App, CliError};
use crate::cli::args::RunArgs;
use crate::clock::Stopwatch;
use crate::config::{Resolved, Settings};
use crate::gate::Snapshot;
use crate::gate::baseline::Times;
use crate::gate::snapshot::CellFact;
use crate::plan::case_order;
use crate::record::{Run, list_runs};

/// Part of the budget that trials may take: the rest is for loading models and for cases that turn
/// out slower.
const FOR_TRIALS: f64 = 0.9;
/// Cases that are tried out where nothing is known.
const TRIED: usize = 4;
/// Earlier runs that are looked at for times, newest first.
const RUNS_LOOKED_AT: usize = 30;

/// What became of the settings.
pub(super) enum Fitted {
    /// They name as many cases as fit.
    Args(Box<RunArgs>),
    /// What was tried out is all that fits.
    Made(PathBuf),
    /// Ctrl-C.
    Interrupted,
}

/// Times of trials, by cell and case.
#[derive(Default)]
struct Paces {
    by_case: BTreeMap<(String, String), f64>,
    mean: BTreeMap<String, f64>,
}

impl Paces {
    /// Adds cells of which nothing is known yet.
    fn add(&mut self, times: &Times, cells: &[CellFact], tier: &str) {
        for cell in cells {
            let here = cell.tier == tier || cell.tier == "remote";
            if !here || self.mean.contains_key(&cell.cell) {
                continue;
            }
            let lines: Vec<_> = times
                .cases
                .iter()
                .filter(|it| it.cell == cell.cell)
                .collect();
            if lines.is_empty() {
                continue;
            }
            let sum: f64 = lines.iter().map(|line| line.trial_ms).sum();
            self.mean
                .insert(cell.cell.clone(), sum / lines.len() as f64);
            for line in lines {
                let key = (cell.cell.clone(), line.case.clone());
                self.by_case.insert(key, line.trial_ms);
            }
        }
    }

    /// One trial of a case in every cell; `None` where a cell is not known.
    fn case_ms(&self, case: &str, cells: &[String]) -> Option<f64> {
        cells
            .iter()
            .map(|cell| {
                let own = self.by_case.get(&(cell.clone(), case.to_owned()));
                own.or_else(|| self.mean.get(cell)).copied()
            })
            .sum()
    }
}

/// Fits the run into the budget.
pub(super) fn apply(
    app: &App,
    mut args: RunArgs,
    resolved: &Resolved,
    settings: &Settings,
    budget: &(f64, String),
    known: Option<(&Times, &[CellFact])>,
) -> Result<Fitted, CliError> {
    let (limit_ms, text) = budget;
    if settings.sample.is_some() || settings.until_decided {
        return Err(CliError::usage(
            "`--time-budget` decides how many cases are run, and so does `--sample` or `--until-decided`",
        )
        .hint("leave one of them out"));
    }
    let watch = Stopwatch::start();
    let suites = selected(app, resolved, settings)?;
    let cases: Vec<String> = case_order(&suites, settings.seed)
        .into_iter()
        .map(|place| {
            let suite = &suites[place.suite];
            format!("{}/{}", suite.suite, suite.cases[place.case].id)
        })
        .collect();
    let mut cells = cells(&args.models, settings);
    let tier = crate::host::fingerprint().tier;
    let mut paces = Paces::default();
    if let Some((times, of)) = known {
        paces.add(times, of, &tier);
    }
    earlier(&mut paces, settings, &tier, &cells);
    let mut tried = None;
    let is_known = cells.iter().all(|cell| paces.mean.contains_key(cell));
    if !is_known && cases.len() > TRIED {
        app.ui.say(&format!(
            "time budget {text}: nothing tells how long a case takes here; trying {TRIED} of {} first",
            cases.len()
        ));
        draw(&mut args, TRIED, text)?;
        match recorded(app, &args, "gate")? {
            Recorded::Dry(_) => {}
            Recorded::Run(done) if done.interrupted => return Ok(Fitted::Interrupted),
            Recorded::Run(done) => {
                let run = Run::open(&done.directory)?;
                let snapshot = Snapshot::of_run(&run.header, &run.trials);
                let times = Times::of_run(&run.header, &run.trials);
                paces.add(&times, &snapshot.cells, &tier);
                // As they are called there: a quantisation, say, is part of a model's name.
                cells = snapshot.cells.into_iter().map(|it| it.cell).collect();
                tried = Some(done.directory);
            }
        }
    }
    let at_once = settings.concurrency.max(1) as f64;
    let left_ms = (limit_ms - watch.elapsed_ms()) * FOR_TRIALS * at_once;
    let fitting = fitting(&paces, &cases, &cells, settings.trials, left_ms);
    let least = if tried.is_some() { TRIED } else { 1 };
    match fitting {
        Some(size) if size >= cases.len() => {
            args.settings.layer.values.remove("sample");
            args.settings.layer.origins.remove("sample");
        }
        // With what was tried out, nothing more fits.
        Some(size) if size <= least => match tried {
            Some(directory) => return Ok(Fitted::Made(directory)),
            None if size == 0 => {
                return Err(CliError::usage(format!(
                    "not one case fits into the time budget of {text}"
                ))
                .hint("give it more time"));
            }
            None => draw(&mut args, size, text)?,
        },
        Some(size) => {
            app.ui.say(&format!(
                "time budget {text}: {size} of {} cases, drawn in proportion",
                cases.len()
            ));
            draw(&mut args, size, text)?;
        }
        // A cell that could not be tried out is named by the run itself.
        None => app.ui.say(&format!(
            "time budget {text}: nothing tells how long a case takes here; running all {}",
            cases.len()
        )),
    }
    Ok(Fitted::Args(Box::new(args)))
}

/// Asks for a sample, the budget as its origin.
fn draw(args: &mut RunArgs, size: usize, text: &str) -> Result<(), CliError> {
    let origin = format!("time budget {text}");
    args.settings
        .layer
        .insert("sample", vec![size.to_string()], &origin)?;
    Ok(())
}

/// How many cases of the order fit; `None` where the time of a cell is not known.
fn fitting(
    paces: &Paces,
    cases: &[String],
    cells: &[String],
    trials: u32,
    left_ms: f64,
) -> Option<usize> {
    let mut spent = 0.0;
    for (size, case) in cases.iter().enumerate() {
        spent += paces.case_ms(case, cells)? * f64::from(trials);
        if spent > left_ms {
            return Some(size);
        }
    }
    Some(cases.len())
}

/// Labels of the cells that will be run, as snapshots write them.
fn cells(models: &[String], settings: &Settings) -> Vec<String> {
    let mut cells = Vec::new();
    for model in models {
        for dialect in &settings.dialects {
            for constraint in &settings.constraints {
                for variant in &settings.variants {
                    let mut parts =
                        vec![model.clone(), dialect.to_string(), constraint.to_string()];
                    if variant.name != "default" {
                        parts.push(variant.name.clone());
                    }
                    cells.push(parts.join(" · "));
                }
            }
        }
    }
    cells
}

/// What earlier runs tell of these cells, the newest first.
fn earlier(paces: &mut Paces, settings: &Settings, tier: &str, cells: &[String]) {
    for path in list_runs(&settings.out).iter().rev().take(RUNS_LOOKED_AT) {
        if cells.iter().all(|cell| paces.mean.contains_key(cell)) {
            return;
        }
        let Ok(run) = Run::open(path) else { continue };
        let snapshot = Snapshot::of_run(&run.header, &run.trials);
        let times = Times::of_run(&run.header, &run.trials);
        paces.add(&times, &snapshot.cells, tier);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::baseline::TimeLine;

    fn line(case: &str, cell: &str, trial_ms: f64) -> TimeLine {
        TimeLine {
            case: case.to_owned(),
            cell: cell.to_owned(),
            trial_ms,
            ..TimeLine::default()
        }
    }

    fn cell(name: &str, tier: &str) -> CellFact {
        CellFact {
            cell: name.to_owned(),
            tier: tier.to_owned(),
            ..CellFact::default()
        }
    }

    /// By hand: cases take 10 + 100, 30 + 100 and (mean of 10 and 30) 20 + 100 ms a trial.
    #[test]
    fn as_many_cases_as_fit() {
        let times = Times {
            cases: vec![
                line("s/a", "x", 10.0),
                line("s/b", "x", 30.0),
                line("s/a", "y", 100.0),
            ],
        };
        let mut paces = Paces::default();
        paces.add(&times, &[cell("x", "here"), cell("y", "remote")], "here");
        let cases = ["s/a", "s/b", "s/c"].map(str::to_owned);
        let cells = ["x", "y"].map(str::to_owned);
        for (left, size) in [(109.0, 0), (110.0, 1), (239.0, 1), (240.0, 2), (360.0, 3)] {
            assert_eq!(
                fitting(&paces, &cases, &cells, 1, left),
                Some(size),
                "{left}"
            );
        }
        assert_eq!(fitting(&paces, &cases, &cells, 2, 240.0), Some(1));
        let further = ["x", "z"].map(str::to_owned);
        assert_eq!(fitting(&paces, &cases, &further, 1, 1e9), None);
    }

    #[test]
    fn other_tiers_tell_nothing() {
        let times = Times {
            cases: vec![line("s/a", "x", 10.0)],
        };
        let mut paces = Paces::default();
        paces.add(&times, &[cell("x", "elsewhere")], "here");
        assert!(paces.mean.is_empty());
    }
}
