//! Trials in plan order, model by model, with events out.

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};
use tokio_util::sync::CancellationToken;

use super::cell::{CellContext, CellParts};
use super::prepare::Prepared;
use super::trial::{Finished, run_trial};
use super::{CorrectionStyle, Ports};
use crate::event::{Event, EventSink, Flow, SinkError};
use crate::plan::{Plan, PlannedCell, PlannedTrial};
use crate::types::{Code, Outcome, ProviderError, Route};

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
    /// Stopped before the plan was done.
    pub interrupted: bool,
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
/// Runs what is not in `finished`. `routes` has one entry per cell, `None` for excluded ones.
pub async fn execute(
    plan: &Plan,
    prepared: &Prepared,
    routes: &[Option<Route>],
    ports: &Ports,
    finished: &HashSet<String>,
    sink: &mut dyn EventSink,
    cancel: &Cancel,
) -> Result<RunTotals, RunError> {
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
        if !of_model.is_empty() && !execution.stopping() {
            execution.model(served, &of_model).await?;
        }
    }
    let short = execution.totals.trials < pending.len() && execution.stopping();
    execution.totals.interrupted = short || execution.cancelled;
    let interrupted = execution.totals.interrupted;
    execution.emit(&Event::RunFinished { interrupted })?;
    Ok(execution.totals)
}

struct Execution<'a> {
    plan: &'a Plan,
    prepared: &'a Prepared,
    routes: &'a [Option<Route>],
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

    /// All pending trials of one model.
    async fn model(&mut self, served: usize, trials: &[&PlannedTrial]) -> Result<(), RunError> {
        let provider = Arc::clone(&self.ports.providers[served]);
        let name = self.plan.cells[trials[0].cell].key.model.clone();
        self.emit(&Event::ModelLoading {
            model: name.clone(),
        })?;
        let described = tokio::select! {
            biased;
            () = self.cancel.stop.cancelled() => Err(ProviderError::Cancelled),
            described = provider.describe() => described,
        };
        match described {
            Ok(facts) => self.emit(&Event::ModelReady {
                model: name,
                facts: Box::new(facts),
            })?,
            Err(error) => {
                provider.close().await;
                self.emit(&Event::Notice {
                    message: format!("{name} could not be loaded again: {error}"),
                })?;
                return Ok(());
            }
        }
        let mut result = Ok(());
        let plan: &'a Plan = self.plan;
        for (index, cell) in plan.cells.iter().enumerate() {
            let of_cell: Vec<&PlannedTrial> = trials
                .iter()
                .copied()
                .filter(|trial| trial.cell == index)
                .collect();
            if !of_cell.is_empty() && !self.stopping() {
                result = self.cell(index, cell, &of_cell).await;
                if result.is_err() {
                    break;
                }
            }
        }
        provider.close().await;
        result
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
            let key = &cell.key;
            let message = format!(
                "{} · {} · {} · {}: the model does not answer before the first trial ({error}); \
                 its {} trials are left for `--resume`",
                key.model,
                key.dialect,
                key.constraint,
                key.suite,
                trials.len(),
            );
            self.emit(&Event::Notice { message })?;
            return Ok(());
        }
        self.emit(&Event::CellStarted {
            cell: cell.key.clone(),
            trials: trials.len(),
        })?;
        let cancel = self.cancel.clone();
        let concurrency = self.ports.concurrency.max(1);
        {
            let context = &context;
            let stop = cancel.stop.clone();
            let mut running = stream::iter(trials.iter().copied())
                .take_while(move |_| std::future::ready(!stop.is_cancelled()))
                .map(|trial| run_trial(context, trial, &cancel.abort))
                .buffer_unordered(concurrency);
            while let Some(done) = running.next().await {
                self.trial_done(done)?;
            }
        }
        self.emit(&Event::CellFinished {
            cell: cell.key.clone(),
        })?;
        Ok(())
    }

    /// Why the cell's model would not answer now. An interrupt ends the question.
    async fn unwell(&self, cell: &PlannedCell) -> Option<ProviderError> {
        let provider = &self.ports.providers[cell.served];
        tokio::select! {
            biased;
            () = self.cancel.stop.cancelled() => None,
            health = provider.health() => health.err(),
        }
    }

    fn trial_done(&mut self, done: Finished) -> Result<(), SinkError> {
        for event in &done.events {
            self.emit(event)?;
        }
        self.totals.trials += 1;
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
        let (Some(route), Ok(model), Ok(host)) = (
            &self.routes[index],
            &prepared.models[cell.served],
            &prepared.hosts[cell.suite],
        ) else {
            return Ok(None);
        };
        let variant = &plan.variants[cell.variant];
        let correction: &CorrectionStyle = ports
            .corrections
            .get(&variant.correction)
            .ok_or_else(|| RunError::UnknownCorrection(variant.correction.clone()))?;
        Ok(Some(CellContext::new(CellParts {
            planned: cell,
            suite: &plan.suites[cell.suite],
            variant,
            rules: &plan.rules,
            route: route.clone(),
            provider: Arc::clone(&ports.providers[cell.served]),
            host: Arc::clone(&ports.hosts[cell.suite]),
            correction: correction.clone(),
            noise: &ports.noise,
            model: model.clone(),
            prepared_host: host,
            distractors: &ports.distractors,
            envelope: ports.envelopes.get(&cell.key.dialect),
        })))
    }
}
