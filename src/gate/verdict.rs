//! What a gate says, as data: every check with its numbers, its cases and its reason.
//!
//! Data in: nothing. Data out: plain serialisable values; `schemas/gate.schema.json` is made from these
//! types. Invariants: rates and differences are shares, from 0 to 1 and -1 to 1; names end in their
//! unit; what does not exist is `null`, never 0; the outcome follows from the checks alone.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name and version of the shape below.
pub const GATE_SCHEMA: &str = "toolbench.gate/1";

/// What rates and differences of a gate speak of, said once in every verdict.
pub const ESTIMAND: &str = "success on this suite, its cases taken as they are: intervals hold what \
    other trials of the same cases would show, and say nothing of other cases (`report` does)";

/// What a gate says of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// [`GATE_SCHEMA`].
    pub schema: String,
    /// The run.
    pub run: String,
    /// What it was compared with; `null` without a baseline.
    pub baseline: Option<BaselineName>,
    /// Pass, fail or undecided.
    pub outcome: GateOutcome,
    /// How the process ends.
    pub exit_code: u8,
    /// The verdict in one line.
    pub line: String,
    /// What to do next.
    pub next: String,
    /// Everything that was checked, in the order of floors, differences, budgets.
    pub checks: Vec<Check>,
    /// Success of each cell now and then.
    pub cells: Vec<CellVerdict>,
    /// What differs between the sides: the change under test.
    pub changes: Vec<Change>,
    /// Which cases could be compared.
    pub cases: CaseSets,
    /// What became of failures that are known.
    pub known_failures: Vec<KnownResult>,
    /// What should be known and decides nothing.
    pub notes: Vec<String>,
    /// What rates and differences speak of.
    pub estimand: String,
}

/// How a gate ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// Every check passed, or what is undecided only warns.
    Pass,
    /// A check was breached.
    Fail,
    /// Nothing was breached, and something could not be decided.
    Undecided,
}

impl GateOutcome {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Undecided => "undecided",
        }
    }
}

/// What a run was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineName {
    /// Its name, or that of the run.
    pub name: String,
    /// Where it is.
    pub path: String,
    /// It is a baseline's file, not a run.
    pub is_file: bool,
}

/// What was checked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// The record is complete enough to be judged.
    Record,
    /// Success of a cell.
    Success,
    /// Success of a category.
    Category,
    /// Success of single cases.
    Case,
    /// Success against the baseline.
    Regression,
    /// Time against the baseline.
    Slowdown,
    /// A limit on a time.
    Latency,
    /// A limit on an amount.
    Cost,
}

/// What became of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It holds.
    Passed,
    /// It does not.
    Breached,
    /// Too few data to say.
    NotEnoughData,
    /// The sides cannot be compared in this.
    NotComparable,
    /// Endpoint, engine, tool or the run itself failed: nothing can be said.
    Trouble,
}

impl CheckStatus {
    /// Neither passed nor breached.
    pub fn is_undecided(self) -> bool {
        !matches!(self, Self::Passed | Self::Breached)
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Breached => "breached",
            Self::NotEnoughData => "not enough data",
            Self::NotComparable => "not comparable",
            Self::Trouble => "trouble",
        }
    }
}

/// Unit of a check's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// From 0 to 1, or a difference of such.
    Share,
    /// Milliseconds.
    Ms,
    /// Now / then.
    Ratio,
    /// In the currency that the reason names.
    Amount,
    /// Nothing was counted.
    None,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was checked.
    pub kind: CheckKind,
    /// In which cell; `null` for the run.
    pub cell: Option<String>,
    /// The category, case or measure; `null` where the kind says it all.
    pub subject: Option<String>,
    /// What became of it.
    pub status: CheckStatus,
    /// Unit of the numbers.
    pub unit: Unit,
    /// The threshold; of a difference the smallest drop that counts, as a negative number.
    pub required: Option<f64>,
    /// What was found.
    pub observed: Option<f64>,
    /// Lower 95 % limit.
    pub low: Option<f64>,
    /// Upper 95 % limit.
    pub high: Option<f64>,
    /// One sentence.
    pub reason: String,
    /// The cases that it names, worst first.
    pub cases: Vec<CaseNote>,
}

/// A case that changed or fails.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CaseNote {
    /// `SUITE/CASE`.
    pub case: String,
    /// Its share of successes now; `null` where it has no scored trial.
    pub now: Option<f64>,
    /// The same then; `null` without a baseline.
    pub then: Option<f64>,
    /// Codes of its failures now.
    pub codes: Vec<String>,
}

/// Success of one cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellVerdict {
    /// Its label.
    pub cell: String,
    /// Cases that count: with a scored trial, and not known to fail.
    pub cases: usize,
    /// Scored trials in them.
    pub trials: u32,
    /// Mean over cases.
    pub success: Option<f64>,
    /// Lower 95 % limit on this suite.
    pub low: Option<f64>,
    /// Upper 95 % limit on this suite.
    pub high: Option<f64>,
    /// How that was found.
    pub method: SuiteInterval,
    /// Against the baseline; `null` without a cell to compare with.
    pub difference: Option<CellDifference>,
    /// Nothing can be said of the cell, and why; empty where all is well.
    pub trouble: Vec<String>,
}

/// How the interval of a rate on this suite was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuiteInterval {
    /// Nothing to estimate.
    None,
    /// Greedy decoding on routes that repeat themselves: the rate is known.
    Exact,
    /// Wilson over scored trials. Sums of unlike trials spread less than sums of like ones (Hoeffding
    /// 1956, Ann Math Stat 27:713-721), so it is never too narrow for that.
    Wilson,
}

impl SuiteInterval {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::None => "no interval",
            Self::Exact => "exact",
            Self::Wilson => "Wilson over trials",
        }
    }
}

/// A cell against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CellDifference {
    /// The baseline's cell.
    pub baseline_cell: String,
    /// Cases paired.
    pub cases: usize,
    /// Pairs of trials: those with equal index.
    pub pairs: usize,
    /// Scored trials then, in the cases paired.
    pub trials_then: u32,
    /// Scored trials now, in the cases paired.
    pub trials_now: u32,
    /// Not all trials have a partner: all count, and the test is one within each case.
    pub stratified: bool,
    /// Success then in the cases paired: mean over cases of all trials.
    pub then: f64,
    /// Success now in the cases paired: mean over cases of all trials.
    pub now: f64,
    /// Now minus then.
    pub difference: f64,
    /// Lower 95 % limit.
    pub low: f64,
    /// Upper 95 % limit.
    pub high: f64,
    /// Greedy decoding, one tier and engine build: nothing is left to chance.
    pub exact: bool,
    /// Two-sided; `null` where the difference is exact.
    pub p_value: Option<f64>,
    /// After Holm's adjustment over the cells that were tested.
    pub p_holm: Option<f64>,
    /// The smallest drop that would be found in 80 % of runs; `null` where it is exact, or none would.
    pub detectable: Option<f64>,
    /// Cases that succeed less often.
    pub fell: Vec<CaseNote>,
    /// Cases that succeed more often.
    pub rose: Vec<CaseNote>,
}

/// Something that differs between the sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// What kind of thing.
    pub what: ChangeKind,
    /// Which one; empty for the run.
    pub subject: String,
    /// What it was; `null` where it was not there.
    pub then: Option<String>,
    /// What it is; `null` where it is gone.
    pub now: Option<String>,
    /// Which parts of it differ, where that is known.
    pub parts: Vec<String>,
    /// Lines that differ, `-` then and `+` now; empty unless the baseline is a run, whose record holds
    /// them.
    pub diff: Vec<String>,
}

/// What can differ.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// The model's name.
    Model,
    /// Its weights.
    Weights,
    /// Its quantisation.
    Quantisation,
    /// What it calls itself.
    ReportedName,
    /// Its chat template.
    Template,
    /// Build of the engine or server.
    Engine,
    /// Context in force.
    Context,
    /// Version of toolbench.
    Toolbench,
    /// Hardware tier.
    Tier,
    /// How the model is reached.
    Route,
    /// A suite's system prompt.
    SystemPrompt,
    /// A suite's worked examples.
    Examples,
    /// What a mock answers.
    Mock,
    /// A suite's server, or one of the command line.
    Server,
    /// A tool's definition.
    Tool,
    /// Part of a variant.
    Variant,
    /// A setting.
    Setting,
    /// Prompts of cases, as they are sent.
    Prompts,
    /// Grammars of cases.
    Grammars,
    /// Seed of the run.
    Seed,
    /// Where replies come from.
    Replies,
}

impl ChangeKind {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Weights => "weights",
            Self::Quantisation => "quantisation",
            Self::ReportedName => "reported name",
            Self::Template => "chat template",
            Self::Engine => "engine build",
            Self::Context => "context",
            Self::Toolbench => "toolbench",
            Self::Tier => "hardware tier",
            Self::Route => "route",
            Self::SystemPrompt => "system prompt",
            Self::Examples => "worked examples",
            Self::Mock => "mock",
            Self::Server => "tool server",
            Self::Tool => "tool",
            Self::Variant => "variant",
            Self::Setting => "setting",
            Self::Prompts => "prompts",
            Self::Grammars => "grammars",
            Self::Seed => "seed",
            Self::Replies => "replies",
        }
    }

    /// Changes what is asked rather than what answers: `--strict` refuses it.
    pub fn is_of_the_question(self) -> bool {
        matches!(
            self,
            Self::Template
                | Self::SystemPrompt
                | Self::Examples
                | Self::Mock
                | Self::Server
                | Self::Tool
                | Self::Variant
                | Self::Setting
                | Self::Prompts
                | Self::Grammars
                | Self::Context
                | Self::Route
        )
    }
}

/// Which cases could be compared; names are `SUITE/CASE`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CaseSets {
    /// Asked and expected as before.
    pub unchanged: usize,
    /// Asked or expected otherwise: not paired.
    pub changed: Vec<String>,
    /// New.
    pub added: Vec<String>,
    /// Gone.
    pub removed: Vec<String>,
    /// In the baseline, not among the cases that this run was to take.
    pub not_drawn: usize,
    /// In the run, not among the cases that the baseline was to take.
    pub not_in_baseline: usize,
}

/// What became of a known failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KnownStatus {
    /// It fails, as known.
    Fails,
    /// It succeeds in some trials or cells.
    Mixed,
    /// It succeeds in every scored trial: the entry can go.
    Passes,
    /// Its date is over: it counts again.
    Expired,
    /// No such case has a scored trial here.
    NotHere,
}

/// A known failure and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KnownResult {
    /// As the file names it.
    pub case: String,
    /// Why it is accepted.
    pub reason: String,
    /// Last day on which it is.
    pub until: String,
    /// Where it stands.
    pub origin: String,
    /// What became of it.
    pub status: KnownStatus,
}

/// The JSON Schema of [`Verdict`] as it is written (draft 2020-12).
pub fn gate_schema() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12()
        .for_serialize()
        .into_generator()
        .into_root_schema_for::<Verdict>()
        .to_value()
}
