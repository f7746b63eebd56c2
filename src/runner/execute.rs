//! Trials in plan order, model by model, with events out.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::cell::{CellContext, CellParts, Leg};
use super::prepare::Prepared;
use super::probing::of_route;
use super::trial::{Finished, run_trial};
use super::{CorrectionStyle, Ports};
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::model::Provider;
use crate::plan::{Plan, PlannedCell, PlannedTrial};
use crate::types::{Code, EarlyEnd, EndedBy, Outcome, ProviderError, Route};

/// The two stages of an interrupt.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    /// No further trial is started; those in flight end.
    pub stop: CancellationToken,
    /// Trials in flight are given up too.
    pub abort: CancellationToken,
}

/// What an execution came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunTotals {
    /// Trials finished in this execution.
    pub trials: usize,
    /// Stopped from outside before the plan was done.
    pub interrupted: bool,
    /// The run or a cell was ended by a limit with trials left.
    pub ended_early: bool,
}

/// The run had to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A listener failed, the record above all.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// A variant names a correction style that was not given.
    #[error("unknown correction style `{0}`")]
    UnknownCorrection(String),
}

#[expect(clippy::implicit_hasher, reason = "there is one caller")]
/// Runs what is not in `finished`. `routes` has one entry per cell, `None` for excluded ones; a
/// route for each leg.
///
/// # Panics
///
/// Where there is not one host for each suite of the plan: cells would be run on tools of others.
pub async fn execute(
    plan: &Plan,
    prepared: &Prepared,
    routes: &[Option<Vec<Route>>],
    ports: &Ports,
    finished: &HashSet<String>,
    sink: &mut dyn EventSink,
    cancel: &Cancel,
) -> Result<RunTotals, RunError> {
    assert_eq!(
        ports.hosts.len(),
        plan.suites.len(),
        "a host for each suite"
    );
    let mut execution = Execution {
        plan,
        prepared,
        routes,
        ports,
        sink,
        cancel,
        totals: RunTotals::default(),
        cancelled: false,
    };
    let pending: Vec<&PlannedTrial> = plan
        .trials
        .iter()
        .filter(|trial| routes[trial.cell].is_some() && !finished.contains(&trial.id))
        .collect();
    let runnable = plan
        .trials
        .iter()
        .filter(|trial| routes[trial.cell].is_some())
        .count();
    execution.emit(&Event::RunStarted {
        trials: pending.len(),
        done: runnable - pending.len(),
    })?;
    for served in 0..ports.providers.len() {
        let of_model: Vec<&PlannedTrial> = pending
            .iter()
            .copied()
            .filter(|trial| plan.cells[trial.cell].served == served)
            .collect();
        if !of_model.is_empty() && !execution.over() {
            execution.model(served, &of_model).await?;
        }
    }
    let left = pending.len() - execution.totals.trials;
    execution.totals.interrupted = (left > 0 && execution.stopping()) || execution.cancelled;
    if let Some((by, reason)) = ports.meter.run_end().filter(|_| left > 0) {
        execution.ended_early(EarlyEnd {
            by,
            cell: None,
            trials_left: left,
            reason,
        })?;
    }
    let interrupted = execution.totals.interrupted;
    execution.emit(&Event::RunFinished { interrupted })?;
    Ok(execution.totals)
}

struct Execution<'a> {
    plan: &'a Plan,
    prepared: &'a Prepared,
    routes: &'a [Option<Vec<Route>>],
    ports: &'a Ports,
    sink: &'a mut dyn EventSink,
    cancel: &'a Cancel,
    totals: RunTotals,
    cancelled: bool,
}

impl<'a> Execution<'a> {
    fn emit(&mut self, event: &Event) -> Result<(), SinkError> {
        if self.sink.on_event(event)? == Flow::Stop {
            self.cancel.stop.cancel();
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.cancel.stop.is_cancelled() || self.cancel.abort.is_cancelled()
    }

    /// No further trial is started, for whatever reason.
    fn over(&self) -> bool {
        self.stopping() || self.ports.meter.run_end().is_some()
    }

    fn ended_early(&mut self, end: EarlyEnd) -> Result<(), SinkError> {
        self.totals.ended_early = true;
        self.emit(&Event::EndedEarly { end })
    }

    /// All pending trials of one model.
    async fn model(&mut self, served: usize, trials: &[&PlannedTrial]) -> Result<(), RunError> {
        let ports: &'a Ports = self.ports;
        let name = self.plan.cells[trials[0].cell].key.model.clone();
        let legs = ports.legs(served);
        let mut result = Ok(());
        if !self.load(&name, served).await? {
            close(&legs).await;
            return Ok(());
        }
        let plan: &'a Plan = self.plan;
        for (index, cell) in plan.cells.iter().enumerate() {
            let of_cell: Vec<&PlannedTrial> = trials
                .iter()
                .copied()
                .filter(|trial| trial.cell == index)
                .collect();
            if !of_cell.is_empty() && !self.over() {
                result = self.cell(index, cell, &of_cell).await;
                if result.is_err() {
                    break;
                }
            }
        }
        close(&legs).await;
        result
    }

    /// Loads a model, every leg of a hybrid; whether its trials can be run.
    async fn load(&mut self, name: &str, served: usize) -> Result<bool, SinkError> {
        let ports: &'a Ports = self.ports;
        let mut ready = 0;
        for (leg, provider) in ports.legs(served) {
            let name = ports.model_of(served, leg, name).to_owned();
            self.emit(&Event::ModelLoading {
                model: name.clone(),
            })?;
            let described = tokio::select! {
                biased;
                () = self.cancel.stop.cancelled() => Err(ProviderError::Cancelled),
                described = provider.describe() => described,
            };
            match described {
                Ok(facts) => {
                    ready += 1;
                    self.emit(&Event::ModelReady {
                        model: name,
                        facts: Box::new(facts),
                    })?;
                }
                Err(error) => {
                    self.emit(&Event::Notice {
                        message: format!("{name} could not be loaded again: {error}"),
                    })?;
                    if !ports.is_passed_over(served, &error) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(ready > 0)
    }

    /// All pending trials of one cell.
    async fn cell(
        &mut self,
        index: usize,
        cell: &'a PlannedCell,
        trials: &[&PlannedTrial],
    ) -> Result<(), RunError> {
        let Some(context) = self.context(index, cell)? else {
            return Ok(());
        };
        if let Some(error) = self.unwell(cell).await {
            self.ended_early(EarlyEnd {
                by: EndedBy::NoAnswer,
                cell: Some(cell.key.clone()),
                trials_left: trials.len(),
                reason: format!("the model does not answer before the first trial ({error})"),
            })?;
            return Ok(());
        }
        self.emit(&Event::CellStarted {
            cell: cell.key.clone(),
            trials: trials.len(),
        })?;
        let cancel = self.cancel.clone();
        let (plan, ports): (&'a Plan, &'a Ports) = (self.plan, self.ports);
        let concurrency = ports.concurrency.max(1);
        let done_before = self.totals.trials;
        ports.meter.begin_cell();
        {
            let context = &context;
            let stop = cancel.stop.clone();
            let may_start = move |trial: &PlannedTrial| {
                !stop.is_cancelled() && ports.meter.admits(plan, &ports.distractors, trial)
            };
            let mut running = stream::iter(trials.iter().copied())
                .take_while(move |trial| std::future::ready(may_start(trial)))
                .map(|trial| run_trial(context, trial, &cancel.abort))
                .buffer_unordered(concurrency);
            while let Some(done) = running.next().await {
                self.trial_done(done)?;
            }
        }
        self.emit(&Event::CellFinished {
            cell: cell.key.clone(),
        })?;
        let left = trials.len() - (self.totals.trials - done_before);
        if let Some((by, reason)) = ports.meter.cell_end().filter(|_| left > 0) {
            self.ended_early(EarlyEnd {
                by,
                cell: Some(cell.key.clone()),
                trials_left: left,
                reason,
            })?;
        }
        Ok(())
    }

    /// Why the cell's model would not answer now; of a hybrid, why none of its legs would, or the
    /// first that is not passed over. An interrupt ends the question.
    async fn unwell(&self, cell: &PlannedCell) -> Option<ProviderError> {
        let mut last = None;
        for (_, provider) in self.ports.legs(cell.served) {
            let error = tokio::select! {
                biased;
                () = self.cancel.stop.cancelled() => return None,
                health = provider.health() => health.err(),
            }?;
            if !self.ports.is_passed_over(cell.served, &error) {
                return Some(error);
            }
            last = Some(error);
        }
        last
    }

    fn trial_done(&mut self, done: Finished) -> Result<(), SinkError> {
        for event in &done.events {
            self.emit(event)?;
        }
        self.totals.trials += 1;
        self.ports
            .meter
            .finished(self.plan, &self.ports.distractors, &done.record);
        self.cancelled |= done.record.outcome
            == Outcome::Harness {
                code: Code::Cancelled,
            };
        self.emit(&Event::TrialFinished {
            record: Box::new(done.record),
        })
    }

    /// The cell's context; `None` when its model or host did not answer (it is excluded then).
    fn context(
        &self,
        index: usize,
        cell: &'a PlannedCell,
    ) -> Result<Option<CellContext<'a>>, RunError> {
        let (plan, prepared, ports): (&'a Plan, &'a Prepared, &'a Ports) =
            (self.plan, self.prepared, self.ports);
        let (Some(routes), Ok(models), Ok(host)) = (
            &self.routes[index],
            prepared.usable(cell.served),
            &prepared.hosts[cell.suite],
        ) else {
            return Ok(None);
        };
        let variant = &plan.variants[cell.variant];
        let providers = ports.legs(cell.served).into_iter();
        let legs = providers.zip(models).zip(routes);
        let legs = legs.map(|(((name, provider), model), route)| {
            let name = ports.model_of(cell.served, name, &cell.key.model);
            let probes = of_route(&prepared.probes, name, variant.context_tokens, route);
            Leg::new(route.clone(), Arc::clone(provider), model.clone(), probes)
        });
        let correction: &CorrectionStyle = ports
            .corrections
            .get(&variant.correction)
            .ok_or_else(|| RunError::UnknownCorrection(variant.correction.clone()))?;
        Ok(Some(CellContext::new(CellParts {
            planned: cell,
            suite: &plan.suites[cell.suite],
            variant,
            rules: &plan.rules,
            legs: legs.collect(),
            fallback: ports.rules(cell.served),
            host: Arc::clone(&ports.hosts[cell.suite]),
            correction: correction.clone(),
            prices: ports.meter.prices_of(cell.model),
            noise: &ports.noise,
            prepared_host: host,
            distractors: &ports.distractors,
            envelope: ports.envelopes.get(&cell.key.dialect),
        })))
    }
}

async fn close(legs: &[(&str, &Arc<dyn Provider>)]) {
    for (_, provider) in legs {
        provider.close().await;
    }
}
