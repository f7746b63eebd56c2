//! Numbers: header and trial lines in, summary out.
//!
//! Data in: [`Header`] and [`TrialRecord`]s as read from a run directory. Data out: [`Summary`],
//! and the canonical summary without clock readings. Invariants: pure and synchronous; equal input
//! gives equal output, bootstrap included; every rate carries its n, interval and method; the last
//! line of a trial id counts.

mod advice;
pub mod bootstrap;
mod canonical;
pub mod compare;
pub mod corrections;
pub mod cost;
pub mod detail;
pub mod expected;
pub mod floor;
pub mod grammar;
pub mod interval;
pub mod latency;
mod lattice;
pub mod legs;
pub mod objective;
pub mod pareto;
pub mod power;
pub mod ranking;
pub mod rates;
pub mod ratio;
pub mod repeats;
mod rows;
pub mod sensitivity;
pub mod sequential;
pub mod significance;
pub mod spending;
pub mod strata;
pub mod summary;
#[cfg(test)]
pub(crate) mod testing;
pub mod tools;
pub mod trigger;
pub mod verdict;

pub use bootstrap::DRAWS;
pub use canonical::canonical_summary;
pub use compare::{Comparison, Family};
pub use detail::{Detail, detail};
pub use rows::MOST_EXCLUDED;
pub use summary::{Row, SplitBy, Summary, summary_schema};
pub use verdict::Verdict;

use compare::Contender;
use cost::RunCost;
use rows::{Latest, groups, latest, row};
use sequential::{Levels, Reached, Sequential};
use summary::{
    ESTIMAND, EndedEarly, Excluded, Failure, Machine, ModelSummary, RunHeader, SUMMARY_SCHEMA,
    SettingInForce, ShardSummary,
};

use crate::record::Run;
use crate::record::format::{Header, METRICS_VERSION, ModelHeader};
use crate::types::fingerprint::Fingerprint;
use crate::types::shard::MergedShard;
use crate::types::{Code, FallbackRules, TrialRecord};

/// What a summary may be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SummaryOptions {
    /// Splits `totals`.
    pub by: Option<SplitBy>,
    /// Width of `tied` in points; the run's own when absent.
    pub margin_points: Option<f64>,
    /// Limit on the time of a task; the run's own when absent.
    pub objective_ms: Option<f64>,
}

/// Everything reports show of a stored run.
pub fn summarise_run(run: &Run, options: &SummaryOptions) -> Summary {
    let mut summary = summarise(&run.header, &run.trials, options);
    let ended = run.ended_early();
    summary.ended_early = ended.into_iter().map(EndedEarly::from).collect();
    summary
}

/// The same from its parts, without what ended it early. `trials` in file order.
pub fn summarise(header: &Header, trials: &[TrialRecord], options: &SummaryOptions) -> Summary {
    let margin_points = options.margin_points.unwrap_or(header.margin_points);
    let objective_ms = options.objective_ms.or_else(|| own_objective_ms(header));
    let latest = latest(trials);
    let rows_by = |by| -> Vec<Row> {
        groups(header, &latest, by)
            .iter()
            .map(|group| row(group, header, objective_ms))
            .collect()
    };
    let whole_groups = groups(header, &latest, None);
    let whole: Vec<Row> = whole_groups
        .iter()
        .map(|group| row(group, header, objective_ms))
        .collect();
    let contenders: Vec<Contender<'_>> = whole
        .iter()
        .zip(&whole_groups)
        .map(|(row, group)| Contender { row, group })
        .collect();
    let levels = Levels::at(Reached::of(header, &latest));
    let comparisons = compare::comparisons(&contenders, margin_points, &levels);
    let sequential = sequential::sequential(header, &latest, &comparisons);
    let run_header = RunHeader {
        cost: cost::run_cost(header, trials),
        ..run_header(header, &latest, &whole, margin_points, sequential)
    };
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        pareto: pareto::pareto_sets(&contenders, &comparisons, header, &run_header, &levels),
        header: run_header,
        by: options.by,
        cells: rows_by(Some(SplitBy::Suite)),
        comparisons: comparisons.clone(),
        rankings: ranking::rankings(&whole, &comparisons),
        sensitivity: sensitivity::sensitivities(&contenders),
        excluded: excluded(header),
        ended_early: Vec::new(),
        advice: advice::advice(&whole, &comparisons),
        failures: failures(&latest),
        estimand: ESTIMAND.to_owned(),
        totals: match options.by {
            None => whole,
            by => rows_by(by),
        },
    }
}

/// Rows without a split, in plan order, and what the run cost: what needs no comparison of rows.
pub fn rows_of_run(header: &Header, trials: &[TrialRecord]) -> (Vec<Row>, Option<RunCost>) {
    let groups = groups(header, &latest(trials), None);
    let rows = groups.iter().map(|group| row(group, header, None));
    (rows.collect(), cost::run_cost(header, trials))
}

/// The trials that count, in plan order: of several lines of one trial the last.
pub fn latest_trials(trials: &[TrialRecord]) -> Vec<&TrialRecord> {
    latest(trials).trials
}

/// The run's own `--objective`, which is in seconds.
fn own_objective_ms(header: &Header) -> Option<f64> {
    let found = header.settings.iter().find(|s| s.name == "objective")?;
    found
        .value
        .parse::<f64>()
        .ok()
        .map(|seconds| seconds * 1000.0)
}

fn run_header(
    header: &Header,
    latest: &Latest<'_>,
    rows: &[Row],
    margin_points: f64,
    sequential: Option<Sequential>,
) -> RunHeader {
    let (major, minor) = header.record_version;
    let undecidable = rows.iter().filter(|row| !row.decidable).map(|row| {
        let why = row.undecidable.join("; ");
        format!("{} ({}, {}): {why}", row.model, row.dialect, row.constraint)
    });
    RunHeader {
        run: header.run.clone(),
        created_at: header.created_at.clone(),
        command: header.command.clone(),
        toolbench_version: header.toolbench_version.clone(),
        toolbench_revision: header.toolbench_revision.clone(),
        record_version: format!("{major}.{minor}"),
        scorer_version: header.scorer_version,
        metrics_version: METRICS_VERSION,
        taxonomy_version: header.taxonomy_version,
        plan_hash: header.plan_hash.to_string(),
        selection: header.selection.clone(),
        sample: header.sample,
        settings: header
            .settings
            .iter()
            .map(|setting| SettingInForce {
                name: setting.name.clone(),
                value: setting.value.clone(),
                origin: setting.origin.clone(),
            })
            .collect(),
        models: header
            .models
            .iter()
            .map(|model| model_summary(model, latest))
            .collect(),
        probes: header.probes.clone(),
        tool_servers: header.tool_servers.clone(),
        tool_policy: header.tool_policy.clone(),
        machine: machine(&header.fingerprint),
        margin_points,
        shard: header.shard.map(|(index, of)| format!("{index}/{of}")),
        merged_from: shards(header),
        planned_trials: sequential
            .as_ref()
            .map_or(header.planned_trials, |found| found.planned_trials),
        sequential,
        trials: latest.trials.len(),
        superseded_trials: latest.superseded.values().sum(),
        noisy_trials: latest.trials.iter().filter(|trial| trial.noisy).count(),
        cost: None,
        undecidable: undecidable.collect(),
    }
}

fn model_summary(model: &ModelHeader, latest: &Latest<'_>) -> ModelSummary {
    let trials = latest.trials.iter().copied();
    let own: Vec<&TrialRecord> = trials.filter(|it| it.cell.model == model.name).collect();
    let peak = latency::peak_memory_bytes(own.iter().copied());
    let legs = model.legs.iter().map(|leg| {
        let attempts = own.iter().flat_map(|trial| &trial.attempts);
        let attempts = attempts.filter(|attempt| attempt.leg == leg.name);
        let peak = attempts
            .filter_map(|attempt| attempt.peak_memory_bytes)
            .max();
        one_model(leg, peak, Vec::new())
    });
    one_model(model, peak, legs.collect())
}

fn one_model(model: &ModelHeader, peak: Option<u64>, legs: Vec<ModelSummary>) -> ModelSummary {
    ModelSummary {
        name: model.name.clone(),
        resolution: model.resolution.clone(),
        weights_sha256: model.weights_sha256.clone(),
        reported_name: model.facts.reported_name.clone(),
        quantisation: model.facts.quantisation.clone(),
        context_tokens: model.facts.context_tokens,
        engine_build: model.facts.engine_build.clone(),
        load_ms: model.facts.load_ms,
        grammar_setup_ms: model.facts.grammar_setup_ms,
        peak_memory_bytes: peak.max(model.facts.peak_memory_bytes),
        replayed: model
            .facts
            .cassette
            .as_ref()
            .map(crate::types::facts::CassetteFacts::limits),
        legs,
        fallback: model.fallback.as_ref().map(FallbackRules::in_words),
    }
}

fn shards(header: &Header) -> Vec<ShardSummary> {
    let of_shard = |shard: &MergedShard| ShardSummary {
        run: shard.run.clone(),
        shard: format!("{}/{}", shard.shard.0, shard.shard.1),
        created_at: shard.created_at.clone(),
        executions: shard.executions,
        machine: machine(&shard.fingerprint),
    };
    header.merged_from.iter().map(of_shard).collect()
}

fn machine(found: &Fingerprint) -> Machine {
    Machine {
        tier: found.tier.clone(),
        cpu: found.cpu.clone(),
        physical_cores: found.physical_cores,
        logical_cores: found.logical_cores,
        memory_bytes: found.memory_bytes,
        memory_bandwidth_bytes_per_second: found.memory_bandwidth_bytes_per_second,
        gpus: found.gpus.iter().map(|gpu| gpu.name.clone()).collect(),
        os: found.os.clone(),
    }
}

fn excluded(header: &Header) -> Vec<Excluded> {
    header
        .excluded
        .iter()
        .map(|cell| Excluded {
            model: cell.model.clone(),
            labels: cell.labels.clone(),
            cases: cell.cases,
            reason: cell.reason.clone(),
        })
        .collect()
}

fn failures(latest: &Latest<'_>) -> Vec<Failure> {
    let codes = latest
        .trials
        .iter()
        .filter(|trial| trial.outcome.is_scored())
        .filter_map(|trial| trial.outcome.code());
    rows::count_codes(codes)
        .into_iter()
        .filter_map(|count| {
            let code: Code = count.code.parse().ok()?;
            Some(Failure {
                code: count.code,
                trials: count.trials,
                share: count.share,
                meaning: code.meaning().to_owned(),
                help: code.help().to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
