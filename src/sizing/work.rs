//! What a cell's trials asked of the machine: tokens, steps, seconds.
//!
//! Data in: the trials of a cell by case, its header, its machine. Data out: [`Work`]. Invariants: replayed
//! trials have no times; speeds come from trials of a quiet machine where there are any; what was neither
//! reading nor generating is kept as it was measured. A person waits for the endpoint to take a request
//! too: the objective's times and the hours count such waits, what is carried to other machines does not.

use std::collections::BTreeMap;

use super::evidence::setting;
use super::matching::Machine;
use super::{Objective, Wishes};
use crate::clock::epoch_ms;
use crate::record::format::{Header, ModelHeader};
use crate::types::{AttemptRecord, TrialRecord};
use crate::weights::memory::KvCacheType;

/// What a cell's trials asked of the machine, and when.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// Parameters of the model.
    pub parameters: Option<f64>,
    /// Bytes of the weights.
    pub weights_bytes: Option<f64>,
    /// Type of the key and value cache.
    pub kv_cache_type: Option<KvCacheType>,
    /// Bandwidth and compute of the machine.
    pub bandwidth: Option<f64>,
    /// See `bandwidth`.
    pub compute: Option<f64>,
    /// They may be used to predict others.
    pub peaks_are_trusted: bool,
    /// Successful / scored trials of each case.
    pub success_shares: Vec<f64>,
    /// Times of the objective by case; infinite where a call was due and none came.
    pub times_ms: Vec<Vec<f64>>,
    /// Token counts of each timed trial, by case.
    pub trials: Vec<Vec<TrialWork>>,
    /// Seconds and steps of decoding, masks left out.
    pub decode: Ratio,
    /// Seconds and tokens of computing prompts.
    pub prefill: Ratio,
    /// Mean number of tokens that a generated one looks back on.
    pub depth_tokens: f64,
    /// Successes within the limit, and the hours that running took.
    pub good: usize,
    /// See `good`.
    pub hours: f64,
    /// Trials that were in flight at once, as a mean over those hours; 0 where there were none.
    pub in_flight: f64,
    /// Waits for the endpoint, of all timed trials.
    pub waited_ms: f64,
}

/// A ratio of sums.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ratio {
    /// Seconds.
    pub seconds: f64,
    /// What they were spent on.
    pub count: f64,
}

/// What the machine did for a trial's objective.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrialWork {
    /// Prompt tokens computed.
    pub computed_tokens: f64,
    /// Steps of decoding.
    pub steps: f64,
    /// Everything besides: grammars, tools, judging; taken as it was measured.
    pub other_ms: f64,
    /// The objective was never reached.
    pub never: bool,
}

/// Sums up a cell.
pub(super) fn work(
    header: &Header,
    model: &ModelHeader,
    place: &Machine,
    cases: &[Vec<&TrialRecord>],
    wishes: &Wishes,
) -> Work {
    let timed = |trial: &&&TrialRecord| trial.outcome.is_scored() && !trial.replayed;
    let objective = wishes.objective;
    let of_cases = |value: &dyn Fn(&TrialRecord) -> Option<f64>| -> Vec<Vec<f64>> {
        let of_case = |trials: &Vec<&TrialRecord>| {
            let own = trials.iter().filter(timed);
            own.filter_map(|trial| value(trial)).collect()
        };
        cases.iter().map(of_case).collect()
    };
    let (hours, in_flight) = hours(cases, concurrency(header));
    let mut found = Work {
        parameters: model.facts.parameters.map(|count| count as f64),
        weights_bytes: model.facts.file_bytes.map(|bytes| bytes as f64),
        kv_cache_type: kv_cache_type(header),
        bandwidth: place.bandwidth_bytes_per_second,
        compute: place.compute_operations_per_second,
        peaks_are_trusted: place.peaks_are_trusted,
        success_shares: success_shares(cases),
        times_ms: of_cases(&|trial| time_ms(trial, objective)),
        hours,
        in_flight,
        waited_ms: cases
            .iter()
            .flatten()
            .filter(timed)
            .map(|trial| trial.time.waited_ms)
            .sum(),
        ..Work::default()
    };
    let limit = wishes.p95_ms.unwrap_or(f64::INFINITY);
    found.good = cases
        .iter()
        .flatten()
        .filter(timed)
        .filter(|trial| {
            let within = time_ms(trial, objective).is_none_or(|time| time <= limit);
            trial.outcome.is_success() && within
        })
        .count();
    let (mut looked_back, mut generated) = (0.0, 0.0);
    // Speeds of a busy machine are not the machine's; where all are of one, there is nothing better.
    let any_quiet = cases
        .iter()
        .flatten()
        .filter(timed)
        .any(|trial| !trial.noisy);
    let clean = |trial: &&&TrialRecord| timed(trial) && !(any_quiet && trial.noisy);
    for trial in cases.iter().flatten().filter(clean) {
        for attempt in &trial.attempts {
            let (usage, timing) = (&attempt.usage, &attempt.timing);
            let steps = steps(attempt);
            if steps > 0.0 && timing.decode_ms > timing.mask_ms {
                found.decode.seconds += (timing.decode_ms - timing.mask_ms) / 1000.0;
                found.decode.count += steps;
                let depth = f64::from(usage.prompt_tokens) + f64::from(usage.output_tokens) / 2.0;
                looked_back += depth * steps;
                generated += steps;
            }
            if usage.computed_tokens > 0 && timing.prefill_ms > 0.0 {
                found.prefill.seconds += timing.prefill_ms / 1000.0;
                found.prefill.count += f64::from(usage.computed_tokens);
            }
        }
    }
    found.depth_tokens = if generated > 0.0 {
        looked_back / generated
    } else {
        0.0
    };
    found.trials = cases
        .iter()
        .map(|trials| {
            let own = trials.iter().filter(timed);
            own.filter_map(|trial| trial_work(trial, objective))
                .collect()
        })
        .collect();
    found
}

/// Successful / scored trials of each case that has any.
fn success_shares(cases: &[Vec<&TrialRecord>]) -> Vec<f64> {
    cases
        .iter()
        .filter_map(|trials| {
            let scored = trials.iter().filter(|trial| trial.outcome.is_scored());
            let (all, good) = scored.fold((0_u32, 0_u32), |(all, good), trial| {
                (all + 1, good + u32::from(trial.outcome.is_success()))
            });
            (all > 0).then(|| f64::from(good) / f64::from(all))
        })
        .collect()
}

/// The time that the objective speaks of, waits for the endpoint included. No valid call in a case that
/// needs one lasts for ever; a case that needs none has no such time.
pub(super) fn time_ms(trial: &TrialRecord, objective: Objective) -> Option<f64> {
    Some(served_ms(trial, objective)? + waited_ms(trial, objective))
}

/// The same from the moment on that the endpoint takes requests at once.
fn served_ms(trial: &TrialRecord, objective: Objective) -> Option<f64> {
    match objective {
        Objective::Task => Some(trial.time.total_ms),
        Objective::ValidCall if trial.abstention => None,
        Objective::ValidCall => Some(trial.time.to_valid_call_ms.unwrap_or(f64::INFINITY)),
    }
}

/// Waits until the objective was reached: those after the valid call delay the task alone.
fn waited_ms(trial: &TrialRecord, objective: Objective) -> f64 {
    let reached = trial.attempts.iter().position(is_valid_call);
    match (objective, reached) {
        (Objective::ValidCall, Some(last)) => {
            let until = &trial.attempts[..=last];
            until.iter().filter_map(|it| it.timing.waited_ms).sum()
        }
        _ => trial.time.waited_ms,
    }
}

/// The call that `to_valid_call_ms` ends with, when it is the first of its trial.
fn is_valid_call(attempt: &AttemptRecord) -> bool {
    attempt.valid_calls > 0 && attempt.passed_over.is_none() && attempt.violations.is_empty()
}

fn steps(attempt: &AttemptRecord) -> f64 {
    let usage = &attempt.usage;
    match usage.decode_steps {
        0 => f64::from(usage.output_tokens.saturating_sub(1)),
        steps => f64::from(steps),
    }
}

/// The work up to the objective, and all that was not reading or generating as it was measured.
fn trial_work(trial: &TrialRecord, objective: Objective) -> Option<TrialWork> {
    let time = served_ms(trial, objective)?;
    let mut found = TrialWork {
        never: time.is_infinite(),
        ..TrialWork::default()
    };
    let mut accounted_ms = 0.0;
    for attempt in &trial.attempts {
        found.computed_tokens += f64::from(attempt.usage.computed_tokens);
        found.steps += steps(attempt);
        let masks = attempt.timing.mask_ms;
        accounted_ms += attempt.timing.prefill_ms + (attempt.timing.decode_ms - masks).max(0.0);
        if objective == Objective::ValidCall && is_valid_call(attempt) {
            break;
        }
    }
    if !found.never {
        found.other_ms = (time - accounted_ms).max(0.0);
    }
    Some(found)
}

/// Hours that running the trials took: for each cell of the record from its first beginning to its last
/// end. A pause between executions does not count: never more than the trials one after another took
/// with a tenth on top, and never less than so many at once can take. With it the mean number that was in
/// flight: each suite is run by itself, and its last trials leave turns empty.
fn hours(cases: &[Vec<&TrialRecord>], at_once: usize) -> (f64, f64) {
    let mut spans: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for trial in cases.iter().flatten().filter(|trial| !trial.replayed) {
        let Some(begin) = epoch_ms(&trial.started_at) else {
            continue;
        };
        let took = trial.time.total_ms + trial.time.waited_ms;
        let end = begin + took;
        let span = spans
            .entry(&trial.cell_id)
            .or_insert((f64::INFINITY, f64::NEG_INFINITY, 0.0));
        *span = (span.0.min(begin), span.1.max(end), span.2 + took);
    }
    let ms: f64 = spans
        .values()
        .map(|(begin, end, busy)| (end - begin).max(busy / at_once as f64).min(1.1 * busy))
        .sum();
    let busy: f64 = spans.values().map(|(_, _, busy)| busy).sum();
    let in_flight = if ms > 0.0 { busy / ms } else { 0.0 };
    (ms / 3_600_000.0, in_flight)
}

/// Trials at once.
pub(super) fn concurrency(header: &Header) -> usize {
    let told = setting(header, "concurrency").and_then(|value| value.parse().ok());
    told.unwrap_or(1).max(1)
}

pub(super) fn kv_cache_type(header: &Header) -> Option<KvCacheType> {
    match setting(header, "kv-cache-type") {
        None | Some("") => Some(KvCacheType::F16),
        Some(name) => KvCacheType::from_name(name),
    }
}
