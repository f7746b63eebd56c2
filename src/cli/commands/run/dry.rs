//! `--dry-run`: what would be run, and what it may take, before anything is sent.
//!
//! Data in: the plan, prices, earlier runs in the same folder. Data out: a listing or JSON. Invariants:
//! every number that is not counted is called an estimate and says how it is made; an amount stands
//! only where a price does, a usual time only where an earlier run of the same cell was measured here.

mod probes;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::json;

use super::super::{App, CliError, Status, print, print_json};
use super::limits::priced;
use super::models::RunModel;
use super::suites::RunSuites;
use crate::config::Settings;
use crate::plan::estimate::METHOD;
use crate::plan::{Estimate, Plan, PlannedTrial, estimate};
use crate::record::{Run, list_runs};
use crate::runner::ModelPrices;
use crate::types::CellKey;
use crate::types::fingerprint::Fingerprint;
use crate::types::price::amount_in_words;

/// Earlier runs that are looked at for times, newest first.
const RUNS_LOOKED_AT: usize = 30;

/// What a dry run is made of.
pub(super) struct DryRun<'a> {
    pub(super) app: &'a App,
    pub(super) settings: &'a Settings,
    pub(super) plan: &'a Plan,
    pub(super) suites: &'a RunSuites,
    pub(super) models: &'a [RunModel],
    pub(super) prices: &'a [ModelPrices],
    pub(super) fingerprint: &'a Fingerprint,
    /// A run goes on: its probes are done.
    pub(super) resumed: bool,
    /// Trials that a resumed run has on record.
    pub(super) done: HashSet<String>,
}

/// One cell's share.
#[derive(Serialize)]
struct Cell {
    model: String,
    dialect: String,
    constraint: String,
    variant: String,
    suite: String,
    trials: usize,
    #[serde(flatten)]
    estimate: Estimate,
    /// Absent without a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Amounts>,
    /// Time of its trials one after another, as an earlier run took; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    typical_ms: Option<f64>,
    worst_ms: f64,
}

#[derive(Clone, Serialize)]
struct Amounts {
    typical: f64,
    worst: f64,
    currency: String,
    document: String,
    date: String,
}

impl DryRun<'_> {
    /// Prints what would be run.
    pub(super) fn show(&self) -> Result<Status, CliError> {
        let work = Work {
            cells: self.cells(),
            probes: probes::of(self),
        };
        if self.settings.format.starts_with("json") {
            print_json(&self.as_json(&work))?;
        } else {
            print(&self.as_text(&work))?;
        }
        self.app.ui.say("nothing was run or recorded (--dry-run)");
        Ok(Status::Complete)
    }

    fn cells(&self) -> Vec<Cell> {
        let paces = self.paces();
        let plan = self.plan;
        let mut cells = Vec::new();
        for (index, cell) in plan.cells.iter().enumerate() {
            let mut total = Estimate::default();
            let mut trials = 0;
            let to_go =
                |trial: &&PlannedTrial| trial.cell == index && !self.done.contains(&trial.id);
            for trial in plan.trials.iter().filter(to_go) {
                total.add(estimate(plan, trial, &self.suites.distractors));
                trials += 1;
            }
            let key = &cell.key;
            let cost = self.cost(cell.model, &total);
            // At the worst every leg of a hybrid is asked each time.
            let each = self
                .prices
                .get(cell.model)
                .map_or(1, ModelPrices::requests_each);
            total.worst = total.worst.times(each);
            let pace = paces.get(&pace_key(key));
            let attempt_ms = plan.rules.attempt_limit_ms as f64;
            cells.push(Cell {
                model: key.model.clone(),
                dialect: key.dialect.to_string(),
                constraint: key.constraint.to_string(),
                variant: key.variant.clone(),
                suite: key.suite.clone(),
                trials,
                estimate: total,
                cost,
                typical_ms: pace.map(|pace| pace * trials as f64),
                worst_ms: total.worst.requests as f64 * attempt_ms,
            });
        }
        cells
    }

    /// The cost of a cell: usually the first leg of a hybrid answers, at the worst all are asked.
    /// Nothing where something that may be asked has no price.
    fn cost(&self, model: usize, estimate: &Estimate) -> Option<Amounts> {
        let (model, prices) = (self.models.get(model)?, self.prices.get(model)?);
        let all = priced(std::slice::from_ref(model), std::slice::from_ref(prices));
        let free = |model: &RunModel| model.hybrid.is_none() && model.sha256.is_some();
        if all
            .iter()
            .any(|(model, price)| price.is_none() && !free(model))
        {
            return None;
        }
        let one = prices.known().next()?;
        if prices.known().any(|price| price.currency != one.currency) {
            return None;
        }
        let usual = all.first().and_then(|(_, price)| *price);
        let load = &estimate.typical;
        Some(Amounts {
            typical: usual.map_or(0.0, |it| it.amount(load.prompt_tokens, load.output_tokens)),
            worst: prices.at_worst(&estimate.worst),
            currency: one.currency.clone(),
            document: one.document.clone(),
            date: one.date.clone(),
        })
    }

    /// How the numbers are made, in words.
    fn method(&self) -> String {
        if self.models.iter().any(|model| model.hybrid.is_some()) {
            format!(
                "{METHOD}; in a hybrid the first leg usually answers, and at the worst every leg is asked each time"
            )
        } else {
            METHOD.to_owned()
        }
    }

    /// Mean time of a trial in the newest earlier run that has one on this tier, by cell.
    fn paces(&self) -> BTreeMap<String, f64> {
        let mut paces: BTreeMap<String, f64> = BTreeMap::new();
        let runs = list_runs(&self.settings.out);
        for path in runs.iter().rev().take(RUNS_LOOKED_AT) {
            let Ok(run) = Run::open(path) else { continue };
            let mut sums: BTreeMap<String, (f64, usize)> = BTreeMap::new();
            let here = run.trials.iter().filter(|trial| {
                trial.cell.tier == self.fingerprint.tier && trial.outcome.is_scored()
            });
            for trial in here {
                let sum = sums.entry(pace_key(&trial.cell)).or_default();
                *sum = (sum.0 + trial.time.total_ms, sum.1 + 1);
            }
            for (key, (sum, trials)) in sums {
                paces.entry(key).or_insert(sum / trials as f64);
            }
        }
        paces
    }

    /// Typical and worst time of all, with as many trials at once as asked for. Probes are sent one
    /// by one; how long they usually take is not known.
    fn times(&self, work: &Work) -> (Option<f64>, f64) {
        let at_once = self.settings.concurrency.max(1) as f64;
        let cells = || work.cells.iter();
        let typical: Option<f64> = cells().map(|cell| cell.typical_ms).sum();
        let worst: f64 = cells().map(|cell| cell.worst_ms).sum();
        let probes = work.probes.estimate.worst.requests * self.plan.rules.attempt_limit_ms;
        (
            typical.map(|sum| sum / at_once),
            worst / at_once + probes as f64,
        )
    }

    fn as_json(&self, work: &Work) -> serde_json::Value {
        let cells = &work.cells;
        let total = work.total();
        let (typical_ms, worst_ms) = self.times(work);
        json!({
            "schema": "toolbench.dry-run/1",
            "trials": cells.iter().map(|cell| cell.trials).sum::<usize>(),
            "done_trials": self.done.len(),
            "at_most": self.plan.looks.is_some(),
            "cells": cells,
            "estimate": {
                "method": self.method(),
                "typical": total.typical,
                "worst": total.worst,
                "cost": work.sums(),
                "typical_ms": typical_ms,
                "worst_ms": worst_ms,
            },
            "probes": work.probes.estimate,
            "not_run": self.suites.skipped.iter().map(|skipped| json!({
                "suite": skipped.suite, "cases": skipped.cases, "reason": skipped.reason,
            })).collect::<Vec<_>>(),
        })
    }

    fn as_text(&self, work: &Work) -> String {
        let (plan, cells) = (self.plan, &work.cells);
        let trials: usize = cells.iter().map(|cell| cell.trials).sum();
        let mut out = format!("{trials} trials in {} cells:\n", plan.cells.len());
        if !self.done.is_empty() {
            let done = self.done.len();
            out = format!("{done} trials are on record; to go: {out}");
        }
        if let Some(plan) = &plan.looks {
            let sizes: Vec<String> = plan
                .looks
                .iter()
                .map(|look| format!("{}×{}", look.cases, look.trials))
                .collect();
            out = format!(
                "at most {out}  stops once decided; looks after cases × trials: {}\n",
                sizes.join(", ")
            );
        }
        for cell in cells {
            out.push_str(&format!(
                "  {} · {} · {} · {} · {}: {}\n",
                cell.model, cell.dialect, cell.constraint, cell.variant, cell.suite, cell.trials
            ));
        }
        for skipped in &self.suites.skipped {
            out.push_str(&format!(
                "  not run: {} ({} cases): {}\n",
                skipped.suite, skipped.cases, skipped.reason
            ));
        }
        out.push_str(&self.estimates(work));
        out
    }

    fn estimates(&self, work: &Work) -> String {
        let total = work.total();
        let mut out =
            "\nEstimates, nothing is sent yet          typical     worst case\n".to_owned();
        let mut line = |name: &str, typical: String, worst: String| {
            out.push_str(&format!("  {name:<30}{typical:>15}{worst:>15}\n"));
        };
        let whole = |number: u64| number.to_string();
        let (typical, worst) = (total.typical, total.worst);
        line("requests", whole(typical.requests), whole(worst.requests));
        line(
            "prompt tokens",
            whole(typical.prompt_tokens),
            whole(worst.prompt_tokens),
        );
        line(
            "output tokens",
            whole(typical.output_tokens),
            whole(worst.output_tokens),
        );
        let (typical_ms, worst_ms) = self.times(work);
        line(
            "time",
            typical_ms.map_or_else(|| "–".to_owned(), time_in_words),
            time_in_words(worst_ms),
        );
        for sum in work.sums() {
            line(
                "cost",
                amount_in_words(sum.typical, &sum.currency),
                amount_in_words(sum.worst, &sum.currency),
            );
        }
        let probes = work.probes.estimate;
        if probes.worst.requests > 0 {
            out.push_str(&format!(
                "  Probes before the first trial are counted: about {} requests and {} tokens, at most {} and {} (`--probes off` leaves them out).\n",
                probes.typical.requests,
                probes.typical.tokens(),
                probes.worst.requests,
                probes.worst.tokens()
            ));
        }
        out.push_str(&format!("  How: {}.\n", self.method()));
        out.push_str(if typical_ms.is_some() {
            "  Time: typical is the mean of an earlier run of each cell on this machine; worst case is --timeout for every request.\n"
        } else {
            "  Time: – for typical, because not every cell was run on this machine before; worst case is --timeout for every request.\n"
        });
        let mut said: Vec<String> = Vec::new();
        for (model, price) in priced(self.models, self.prices) {
            let line = match price {
                Some(price) => format!(
                    "  Price of {}: {} in, {} out for a million tokens, cached prompts at full price ({}, {}).\n",
                    model.name,
                    amount_in_words(price.input_per_million, &price.currency),
                    amount_in_words(price.output_per_million, &price.currency),
                    price.document,
                    price.date
                ),
                None if model.sha256.is_some() => continue,
                None => format!(
                    "  {}: no price is known, so its cost is not in the sum.\n",
                    model.name
                ),
            };
            if !said.contains(&line) {
                said.push(line);
            }
        }
        out.push_str(&said.concat());
        let unlisted: Vec<&str> = self
            .plan
            .suites
            .iter()
            .filter(|suite| suite.server.is_some() && suite.tools.is_empty())
            .map(|suite| suite.suite.as_str())
            .collect();
        if !unlisted.is_empty() {
            out.push_str(&format!(
                "  Not counted: the tools of {}, which only their servers know.\n",
                unlisted.join(", ")
            ));
        }
        out
    }
}

/// What two cells must share to take alike.
fn pace_key(cell: &CellKey) -> String {
    format!(
        "{}\n{}\n{}\n{}\n{}",
        cell.model, cell.dialect, cell.constraint, cell.variant, cell.suite
    )
}

/// One sum for each currency, of what has a price.
#[derive(Serialize)]
struct Sum {
    typical: f64,
    worst: f64,
    currency: String,
}

/// Everything that would be sent.
struct Work {
    cells: Vec<Cell>,
    probes: probes::Probes,
}

impl Work {
    fn total(&self) -> Estimate {
        let mut total = self.probes.estimate;
        for cell in &self.cells {
            total.add(cell.estimate);
        }
        total
    }

    fn sums(&self) -> Vec<Sum> {
        let mut sums: Vec<Sum> = Vec::new();
        let cells = self.cells.iter().filter_map(|cell| cell.cost.as_ref());
        for cost in cells.chain(&self.probes.costs) {
            match sums.iter_mut().find(|sum| sum.currency == cost.currency) {
                Some(sum) => {
                    sum.typical += cost.typical;
                    sum.worst += cost.worst;
                }
                None => sums.push(Sum {
                    typical: cost.typical,
                    worst: cost.worst,
                    currency: cost.currency.clone(),
                }),
            }
        }
        sums
    }
}

fn time_in_words(milliseconds: f64) -> String {
    let seconds = milliseconds / 1000.0;
    if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}
