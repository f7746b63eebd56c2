//! The summary of a run: the published JSON, and what every report prints.
//!
//! Data in: nothing. Data out: plain serialisable values; `schemas/summary.schema.json` is made
//! from these types. Invariants: rates are fractions from 0 to 1, differences fractions from -1 to
//! 1; names end in their unit; a number that does not exist is `null`, never 0.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::Comparison;
use super::corrections::Corrections;
use super::cost::{Cost, RunCost};
use super::expected::ExpectedCalls;
use super::grammar::GrammarUse;
use super::latency::{Latency, Speed, Tokens};
use super::legs::LegUse;
use super::objective::Objective;
use super::pareto::ParetoSet;
use super::power::DetectableChange;
use super::ranking::Ranking;
use super::rates::{CallRates, Rate};
use super::repeats::Repeats;
use super::sensitivity::Sensitivity;
use super::sequential::Sequential;
use super::trigger::Trigger;
use crate::record::format::{SampleHeader, ToolPolicy, ToolServerHeader};
use crate::types::probe::ProbeSet;
use crate::types::{Constraint, DialectName, EarlyEnd, EndedBy};

/// Name and version of the shape below.
pub const SUMMARY_SCHEMA: &str = "toolbench.summary/1";

/// What a difference or an interval speaks of, said once in every summary.
pub const ESTIMAND: &str = "success on cases like these: the cases are taken as a sample of such \
    cases, so intervals hold for the next case of this kind, not only for these";

/// Everything a report shows of one run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// [`SUMMARY_SCHEMA`].
    pub schema: String,
    /// The run.
    pub header: RunHeader,
    /// What `totals` is split by, if it is.
    pub by: Option<SplitBy>,
    /// One row per cell, in plan order.
    pub cells: Vec<Row>,
    /// One row per model × dialect × constraint × variant (× split), in plan order.
    pub totals: Vec<Row>,
    /// Paired differences between totals.
    pub comparisons: Vec<Comparison>,
    /// Models in order, with those together that are not told apart.
    pub rankings: Vec<Ranking>,
    /// Which rows are worth having when success, time and memory all matter; one for each hardware
    /// tier with several rows.
    #[serde(default)]
    pub pareto: Vec<ParetoSet>,
    /// How much success depends on the variant; empty with one variant.
    pub sensitivity: Vec<Sensitivity>,
    /// What could not be run, with the reason.
    pub excluded: Vec<Excluded>,
    /// What a limit ended with trials left: the run, or cells of it.
    pub ended_early: Vec<EndedEarly>,
    /// One sentence that follows from verdicts and rates, never stronger than they are.
    pub advice: String,
    /// The most frequent codes of failed trials over the whole run, most frequent first.
    pub failures: Vec<Failure>,
    /// What rates and differences speak of.
    pub estimand: String,
}

/// What a row of `totals` is split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SplitBy {
    /// One row per suite.
    Suite,
    /// One row per category of cases.
    Category,
    /// One row per difficulty of cases.
    Difficulty,
}

impl SplitBy {
    /// Every value, in the order shown.
    pub const ALL: &'static [Self] = &[Self::Suite, Self::Category, Self::Difficulty];

    /// The name as written after `--by`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suite => "suite",
            Self::Category => "category",
            Self::Difficulty => "difficulty",
        }
    }
}

impl std::str::FromStr for SplitBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .iter()
            .copied()
            .find(|value| value.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not one of suite, category, difficulty"))
    }
}

/// What identifies the run and the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunHeader {
    /// Name of the run.
    pub run: String,
    /// When it was created (RFC 3339).
    pub created_at: String,
    /// Command that made it.
    pub command: String,
    /// Version of toolbench that ran it.
    pub toolbench_version: String,
    /// Git revision of that build; empty when unknown.
    pub toolbench_revision: String,
    /// Version of the record, `major.minor`.
    pub record_version: String,
    /// Version of the judging rules.
    pub scorer_version: u32,
    /// Version of the formulas that made this summary.
    pub metrics_version: u32,
    /// Version of the violation codes.
    pub taxonomy_version: u32,
    /// Hash of everything that decides replies and verdicts.
    pub plan_hash: String,
    /// Suites as selected.
    pub selection: Vec<String>,
    /// The cases are a sample of those selected.
    pub sample: Option<SampleHeader>,
    /// Settings in force with their origin.
    pub settings: Vec<SettingInForce>,
    /// Models in the order given.
    pub models: Vec<ModelSummary>,
    /// What trying served models out has shown before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probes: Vec<ProbeSet>,
    /// Tool servers that were used instead of the suites' own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_servers: Vec<ToolServerHeader>,
    /// What could be called on them, and whether it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_policy: Option<ToolPolicy>,
    /// The machine.
    pub machine: Machine,
    /// Width of `tied`, in points of success rate.
    pub margin_points: f64,
    /// `i/n` when the run is a shard.
    pub shard: Option<String>,
    /// The shards that a merged run was made of, each with its machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_from: Vec<ShardSummary>,
    /// Trials planned; in a run that stops once decided, those up to the look it has reached.
    pub planned_trials: usize,
    /// How far a run is that stops once decided; `null` in a fixed design.
    pub sequential: Option<Sequential>,
    /// Trials on record, superseded ones not counted.
    pub trials: usize,
    /// Earlier lines of trials that a resume ran again; they count nowhere.
    pub superseded_trials: usize,
    /// Trials measured while the machine was busy with something else.
    pub noisy_trials: usize,
    /// What the run cost; `null` where no price or no token count is known.
    pub cost: Option<RunCost>,
    /// Why no conclusion may be drawn from parts of the run; empty when all is well.
    pub undecidable: Vec<String>,
}

/// A shard of a merged run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardSummary {
    /// The run.
    pub run: String,
    /// `i/n`.
    pub shard: String,
    /// When it was created (RFC 3339).
    pub created_at: String,
    /// Starts and resumes that it took.
    pub executions: usize,
    /// Its machine.
    pub machine: Machine,
}

/// One setting and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettingInForce {
    /// Name, as the long flag without dashes.
    pub name: String,
    /// Value as text.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
}

/// One model of the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelSummary {
    /// As the user named it.
    pub name: String,
    /// How the name was resolved.
    pub resolution: String,
    /// SHA-256 of the weights.
    pub weights_sha256: Option<String>,
    /// The model's own name.
    pub reported_name: String,
    /// Quantisation.
    pub quantisation: Option<String>,
    /// Context in force.
    pub context_tokens: u32,
    /// Build of the engine or server.
    pub engine_build: String,
    /// Loading the weights.
    pub load_ms: Option<f64>,
    /// Building what all grammars share.
    pub grammar_setup_ms: Option<f64>,
    /// Highest resident memory of the process that served this model, over the whole run.
    pub peak_memory_bytes: Option<u64>,
    /// Legs of a hybrid, in the order in which they are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<ModelSummary>,
    /// When a hybrid asks its next leg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<String>,
    /// Where replies come from a cassette: what that can show and what it cannot.
    pub replayed: Option<String>,
}

/// The machine the run was made on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Hardware tier.
    pub tier: String,
    /// Processor.
    pub cpu: String,
    /// Physical cores.
    pub physical_cores: u32,
    /// Logical cores.
    pub logical_cores: u32,
    /// Installed memory.
    pub memory_bytes: u64,
    /// Measured read bandwidth of memory.
    pub memory_bandwidth_bytes_per_second: Option<f64>,
    /// Names of graphics processors.
    pub gpus: Vec<String>,
    /// Operating system.
    pub os: String,
}

/// One row: a cell, or cells taken together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Model as the user named it.
    pub model: String,
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Name of the variant.
    pub variant: String,
    /// Suite; `null` when the row holds several.
    pub suite: Option<String>,
    /// Hardware tier.
    pub tier: String,
    /// Category, when split by it.
    pub category: Option<String>,
    /// Difficulty, when split by it.
    pub difficulty: Option<String>,
    /// Other settings of the cell.
    pub settings: BTreeMap<String, String>,
    /// Cases with at least one trial on record.
    pub cases: usize,
    /// Trials on record, superseded ones not counted.
    pub trials: usize,
    /// Trials in the denominator of the success rate.
    pub scored_trials: usize,
    /// Trials planned; `null` for a row split by category or difficulty.
    pub planned_trials: Option<usize>,
    /// Earlier lines of trials that a resume ran again; they count nowhere.
    pub superseded_trials: usize,
    /// Passed or recovered: mean over cases of successful / scored trials.
    pub success: Rate,
    /// The smallest change of this rate that as many cases would find again.
    pub detectable: Option<DetectableChange>,
    /// Right without any correction: mean over cases.
    pub first_attempt: Rate,
    /// Right only after corrections: mean over cases. `success = first_attempt + recovered`.
    pub recovered: Rate,
    /// Success with trials that the serving side spoiled counted as misses.
    pub as_deployed: Rate,
    /// Success where calls that the server did not read (`call_in_content`) are judged as their texts
    /// have them; absent where there are none that could be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_written: Option<Rate>,
    /// Calls: from attempted to valid.
    pub calls: CallRates,
    /// Executed calls against those the cases ask for.
    pub against_expected: ExpectedCalls,
    /// No-call cases in which rightly nothing was called.
    pub abstention: Rate,
    /// To call or not to call; read together with `abstention`.
    pub trigger: Trigger,
    /// Trials outside the denominator.
    pub excluded: Exclusions,
    /// False when no conclusion may be drawn from the row.
    pub decidable: bool,
    /// Why not; empty when decidable.
    pub undecidable: Vec<String>,
    /// How the grammar was used; `null` for unconstrained rows.
    pub grammar: Option<GrammarUse>,
    /// Repetition: pass@k, pass^k, flaky cases; `null` with one trial a case.
    pub repeats: Option<Repeats>,
    /// Corrections and what they cost.
    pub corrections: Corrections,
    /// Success within a limit on the time of a task; `null` without a limit (`--objective`).
    pub objective: Option<Objective>,
    /// Times of scored trials.
    pub latency: Latency,
    /// Speed of the model alone.
    pub speed: Speed,
    /// Tokens of scored trials.
    pub tokens: Tokens,
    /// What the trials cost; `null` where no price or no token count is known.
    pub cost: Option<Cost>,
    /// What each leg of a hybrid did; absent for any other model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegUse>,
    /// Highest resident memory of the serving process up to the last trial of this row.
    pub peak_memory_bytes: Option<u64>,
    /// Codes of failed trials, most frequent first.
    pub failures: Vec<CodeCount>,
}

/// Trials outside the denominator, by whose doing it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exclusions {
    /// All of them.
    pub trials: usize,
    /// `trials` / trials on record; `null` without any.
    pub share: Option<f64>,
    /// Endpoint refused, reset, broke.
    pub infra: usize,
    /// The serving side spoiled the trial (outcome `void`).
    pub serving: usize,
    /// The tool host failed.
    pub tool: usize,
    /// Our own fault, invalid case, cancelled: makes the row undecidable.
    pub harness: usize,
    /// Their codes, most frequent first.
    pub codes: Vec<CodeCount>,
}

/// How often a code ended a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CodeCount {
    /// The code.
    pub code: String,
    /// Trials it ended.
    pub trials: usize,
    /// Of the failed (or excluded) trials of the row.
    pub share: f64,
    /// What was said the first time, of trials that do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A frequent failure with what it means and what helps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The code.
    pub code: String,
    /// Failed trials that it ended.
    pub trials: usize,
    /// Of all failed trials of the run.
    pub share: f64,
    /// What it means.
    pub meaning: String,
    /// What to try.
    pub help: String,
}

/// A cell or suite that could not be run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excluded {
    /// Model; empty when the reason concerns all.
    pub model: String,
    /// Dialect, constraint, variant, suite as text, where they matter.
    pub labels: BTreeMap<String, String>,
    /// Cases not run.
    pub cases: usize,
    /// Why.
    pub reason: String,
}

/// A run or a cell that a limit ended before all its trials were run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndedEarly {
    /// What ended it.
    pub by: EndedBy,
    /// Model, dialect, constraint, variant, suite of the cell; empty for the run.
    pub labels: BTreeMap<String, String>,
    /// Trials that were not run.
    pub trials_left: usize,
    /// Why, in one sentence.
    pub reason: String,
}

impl From<EarlyEnd> for EndedEarly {
    fn from(end: EarlyEnd) -> Self {
        let labels = end.cell.map_or_else(BTreeMap::new, |cell| {
            [
                ("model", cell.model),
                ("dialect", cell.dialect.to_string()),
                ("constraint", cell.constraint.to_string()),
                ("variant", cell.variant),
                ("suite", cell.suite),
            ]
            .into_iter()
            .filter(|(name, value)| *name != "variant" || value != "default")
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
        });
        Self {
            by: end.by,
            labels,
            trials_left: end.trials_left,
            reason: end.reason,
        }
    }
}

/// The JSON Schema of [`Summary`] as it is written (draft 2020-12).
pub fn summary_schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Summary>()
        .to_value()
}
