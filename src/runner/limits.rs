//! What a run may take before no further trial is started: time, tokens, requests, money, failures.
//!
//! Data in: limits, what is on record already, each trial before and after it runs. Data out: whether
//! the next trial may start, and what ended the run or the cell. Invariants: a trial is admitted only
//! where its worst case, with those of all trials in flight, fits what is left, so that a limit is
//! never passed by what was estimated at the worst; a reply whose tokens the server did not report
//! counts at its worst; trials in flight are never given up. Nothing here shapes a reply.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::probe::probe_estimate;
use crate::clock::Stopwatch;
use crate::plan::{Load, Plan, PlannedTrial, estimate};
use crate::types::outcome::Counted;
use crate::types::price::amount_in_words;
use crate::types::probe::ProbeSet;
use crate::types::{AttemptRecord, EndedBy, Price, ToolDefinition, TrialRecord};

/// What makes a trial's worst case smaller.
const SMALLER: &str = " (less with fewer --max-turns and --max-corrections)";

/// What a run may take. What is absent is not limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Wall-clock time of one execution.
    pub time_ms: Option<f64>,
    /// Tokens of prompts and replies, all executions together.
    pub tokens: Option<u64>,
    /// Requests to models, all executions together.
    pub requests: Option<u64>,
    /// Money, all executions together, in the currency of `prices`.
    pub budget: Option<f64>,
    /// Failed trials of one execution.
    pub failures: Option<usize>,
    /// Infrastructure failures in a row that end a cell.
    pub infra_in_a_row: Option<usize>,
    /// Prices by the plan's model; a model without one costs nothing that could be counted.
    pub prices: Vec<ModelPrices>,
}

/// What a model of a plan costs, with its legs where it is a hybrid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelPrices {
    /// Its own price; a hybrid has none.
    pub own: Option<Price>,
    /// Legs of a hybrid by name, in order.
    pub legs: Vec<(String, Option<Price>)>,
}

impl ModelPrices {
    /// All that are known.
    pub fn known(&self) -> impl Iterator<Item = &Price> {
        let legs = self.legs.iter().filter_map(|(_, price)| price.as_ref());
        self.own.iter().chain(legs)
    }

    /// How many requests an attempt may take.
    pub fn requests_each(&self) -> u64 {
        self.legs.len().max(1) as u64
    }

    /// The price of what a leg answers.
    pub(super) fn of_leg(&self, leg: &str) -> Option<&Price> {
        if self.legs.is_empty() {
            return self.own.as_ref();
        }
        let mut legs = self.legs.iter();
        legs.find(|(name, _)| name == leg)?.1.as_ref()
    }

    /// What a load costs at the worst: in a hybrid each request goes to every leg.
    pub fn at_worst(&self, load: &Load) -> f64 {
        self.known()
            .map(|price| price.amount(load.prompt_tokens, load.output_tokens))
            .sum()
    }

    /// What the replies of a trial cost; `None` where one that has a price did not report its tokens.
    fn of_trial(&self, record: &TrialRecord) -> Option<f64> {
        let replies = record.attempts.iter().filter(|a| a.reply.is_some());
        replies
            .filter_map(|attempt| Some(self.of_leg(&attempt.leg)?.of_usage(&attempt.usage)))
            .sum()
    }

    /// What one attempt cost; `None` without a price, or where its tokens were not reported.
    pub(super) fn of_attempt(&self, attempt: &AttemptRecord) -> Option<f64> {
        self.of_leg(&attempt.leg)?.of_usage(&attempt.usage)
    }

    /// The currency of its prices; all have one.
    pub(super) fn currency(&self) -> &str {
        self.known()
            .next()
            .map_or("", |price| price.currency.as_str())
    }
}

impl Limits {
    /// Whether what a trial takes has to be known.
    fn count_loads(&self) -> bool {
        self.tokens.is_some() || self.requests.is_some() || self.budget.is_some()
    }
}

/// What a trial, or all together, took or may take.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Taken {
    requests: u64,
    tokens: u64,
    money: f64,
}

impl Taken {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.tokens += other.tokens;
        self.money += other.money;
    }

    fn with(mut self, other: Self) -> Self {
        self.add(other);
        self
    }
}

/// Limits, and what has been taken of them. Lives as long as one execution.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    watch: Stopwatch,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// On record, in this execution or before.
    taken: Taken,
    /// Worst cases of trials in flight, by id.
    reserved: HashMap<String, Taken>,
    longest_trial_ms: f64,
    failures: usize,
    infra_in_a_row: usize,
    run_end: Option<(EndedBy, String)>,
    cell_end: Option<(EndedBy, String)>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Meter {
    /// Starts the clock.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            watch: Stopwatch::start(),
            state: Mutex::default(),
        }
    }

    /// Counts a trial that an earlier execution put on record.
    pub fn recall(&self, plan: &Plan, distractors: &[ToolDefinition], record: &TrialRecord) {
        if let Some(taken) = self.taken_if_counted(plan, distractors, record) {
            self.state().taken.add(taken);
        }
    }

    /// Whether probes may be sent, which take no more than `worst`; otherwise the limit that they
    /// could pass.
    pub(super) fn admits_probes(&self, worst: &Load, price: Option<&Price>) -> Result<(), String> {
        let worst = Taken {
            requests: worst.requests,
            tokens: worst.tokens(),
            money: price.map_or(0.0, |price| {
                price.amount(worst.prompt_tokens, worst.output_tokens)
            }),
        };
        match self.passed_by(&self.state(), worst, "they") {
            Some((_, reason)) => Err(reason),
            None => Ok(()),
        }
    }

    /// Counts probes, those of an earlier execution too; what they did not report counts at its
    /// worst.
    pub fn probed(&self, set: &ProbeSet, price: Option<&Price>) {
        let taken = &set.taken;
        let is_constrained = set.mechanism.is_some();
        let worst = probe_estimate(set.wire, is_constrained, set.context_tokens, false).worst;
        let at_worst = |price: &Price| price.amount(worst.prompt_tokens, worst.output_tokens);
        self.state().taken.add(Taken {
            requests: taken.requests,
            tokens: match taken.without_tokens {
                0 => taken.tokens(),
                _ => worst.tokens(),
            },
            money: price.map_or(0.0, |price| {
                price.of_probes(taken).unwrap_or_else(|| at_worst(price))
            }),
        });
    }

    /// Whether this trial may start; from the first that may not, none may.
    pub(super) fn admits(
        &self,
        plan: &Plan,
        distractors: &[ToolDefinition],
        trial: &PlannedTrial,
    ) -> bool {
        let mut state = self.state();
        if state.run_end.is_some() || state.cell_end.is_some() {
            return false;
        }
        if self.limits.count_loads() {
            let worst = self.worst(plan, distractors, trial);
            if let Some(end) = self.passed_by(&state, worst, "the next trial") {
                state.run_end = Some(end);
                return false;
            }
            state.reserved.insert(trial.id.clone(), worst);
        }
        if let Some(limit_ms) = self.limits.time_ms {
            let elapsed_ms = self.watch.elapsed_ms();
            if elapsed_ms + state.longest_trial_ms > limit_ms {
                state.run_end = Some((
                    EndedBy::Time,
                    format!(
                        "after {:.1} s of --limit-time {}, and trials took up to {:.1} s, the next could pass it",
                        elapsed_ms / 1000.0,
                        limit_ms / 1000.0,
                        state.longest_trial_ms / 1000.0
                    ),
                ));
                return false;
            }
        }
        true
    }

    /// Takes a finished trial into account.
    pub(super) fn finished(
        &self,
        plan: &Plan,
        distractors: &[ToolDefinition],
        record: &TrialRecord,
    ) {
        let taken = self.taken_if_counted(plan, distractors, record);
        let mut state = self.state();
        state.reserved.remove(&record.id);
        state.taken.add(taken.unwrap_or_default());
        state.longest_trial_ms = state.longest_trial_ms.max(record.time.total_ms);
        if record.outcome.counted() == Counted::Failure {
            state.failures += 1;
            let most = self.limits.failures.filter(|most| state.failures >= *most);
            if let Some(most) = most.filter(|_| state.run_end.is_none()) {
                let reason = match most {
                    1 => "a trial has failed (--fail-fast)".to_owned(),
                    _ => format!("{most} trials have failed (--max-fail {most})"),
                };
                state.run_end = Some((EndedBy::MaxFail, reason));
            }
        }
        let of_a_server = record.outcome.is_of_a_server();
        if let Some(code) = record.outcome.code().filter(|_| of_a_server) {
            state.infra_in_a_row += 1;
            let most = self.limits.infra_in_a_row;
            if let Some(most) = most.filter(|most| state.infra_in_a_row >= *most) {
                state.cell_end.get_or_insert_with(|| {
                    let reason = format!(
                        "{most} trials in a row ended with a failure of a server (--max-infra {most}), the last with `{code}`"
                    );
                    (EndedBy::MaxInfra, reason)
                });
            }
        } else {
            state.infra_in_a_row = 0;
        }
    }

    /// Begins a cell: what ended another does not end this one.
    pub(super) fn begin_cell(&self) {
        let mut state = self.state();
        state.cell_end = None;
        state.infra_in_a_row = 0;
    }

    /// What ended the cell that was begun last.
    pub(super) fn cell_end(&self) -> Option<(EndedBy, String)> {
        self.state().cell_end.clone()
    }

    /// What ended the run.
    pub(super) fn run_end(&self) -> Option<(EndedBy, String)> {
        self.state().run_end.clone()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn prices(&self, plan: &Plan, trial: &PlannedTrial) -> Option<&ModelPrices> {
        self.prices_of(plan.cells[trial.cell].model)
    }

    /// What the plan's model costs.
    pub(super) fn prices_of(&self, model: usize) -> Option<&ModelPrices> {
        self.limits.prices.get(model)
    }

    fn worst(&self, plan: &Plan, distractors: &[ToolDefinition], trial: &PlannedTrial) -> Taken {
        let load = estimate(plan, trial, distractors).worst;
        let prices = self.prices(plan, trial);
        let each = prices.map_or(1, ModelPrices::requests_each);
        Taken {
            requests: load.requests * each,
            tokens: load.tokens() * each,
            money: prices.map_or(0.0, |prices| prices.at_worst(&load)),
        }
    }

    fn taken_if_counted(
        &self,
        plan: &Plan,
        distractors: &[ToolDefinition],
        record: &TrialRecord,
    ) -> Option<Taken> {
        if !self.limits.count_loads() {
            return None;
        }
        let planned = plan.trials.iter().find(|trial| trial.id == record.id)?;
        Some(self.taken(plan, distractors, planned, record))
    }

    /// What a finished trial took; what is not known of it counts at its worst.
    fn taken(
        &self,
        plan: &Plan,
        distractors: &[ToolDefinition],
        trial: &PlannedTrial,
        record: &TrialRecord,
    ) -> Taken {
        let replies = || record.attempts.iter().filter(|a| a.reply.is_some());
        let is_reported = replies().all(|attempt| attempt.usage.prompt_tokens > 0);
        let worst = || self.worst(plan, distractors, trial);
        Taken {
            requests: record.attempts.len() as u64,
            tokens: if is_reported {
                replies()
                    .map(|a| u64::from(a.usage.prompt_tokens) + u64::from(a.usage.output_tokens))
                    .sum()
            } else {
                worst().tokens
            },
            money: self.prices(plan, trial).map_or(0.0, |prices| {
                prices.of_trial(record).unwrap_or_else(|| worst().money)
            }),
        }
    }

    /// The limit that something of this size could pass, if any.
    fn passed_by(&self, state: &State, worst: Taken, what: &str) -> Option<(EndedBy, String)> {
        let smaller = if what == "they" { "" } else { SMALLER };
        let reserved = state
            .reserved
            .values()
            .fold(Taken::default(), |sum, trial| sum.with(*trial));
        let (taken, could) = (state.taken, state.taken.with(reserved).with(worst));
        if let Some(limit) = self.limits.requests.filter(|limit| could.requests > *limit) {
            return Some((
                EndedBy::Requests,
                format!(
                    "{} of --limit-requests {limit} are made, and {what} could take {} at the worst{smaller}",
                    taken.requests, worst.requests
                ),
            ));
        }
        if let Some(limit) = self.limits.tokens.filter(|limit| could.tokens > *limit) {
            return Some((
                EndedBy::Tokens,
                format!(
                    "{} of --limit-tokens {limit} are used, and {what} could take {} at the worst{smaller}",
                    taken.tokens, worst.tokens
                ),
            ));
        }
        let limit = self.limits.budget.filter(|limit| could.money > *limit)?;
        let currency = self.currency();
        Some((
            EndedBy::Budget,
            format!(
                "{} of --budget {limit} is spent, and {what} could cost {} at the worst{smaller}",
                amount_in_words(taken.money, currency),
                amount_in_words(worst.money, currency)
            ),
        ))
    }

    fn currency(&self) -> &str {
        let mut prices = self.limits.prices.iter().flat_map(ModelPrices::known);
        prices.next().map_or("", |price| price.currency.as_str())
    }
}
