//! Which rows are worth having when success, time and memory all matter.
//!
//! Data in: rows without split with their trials, their comparisons, the header. Data out: a
//! [`ParetoSet`] for each hardware tier: the rows that no other row dominates, who dominates the others,
//! who cannot be told apart, and what more cases would decide.
//!
//! Invariants. A row is left out only where another one is not worse in any dimension and better in at
//! least one, and that holds beyond chance: in success by the verdict of the pair (better, or tied; the
//! pairs that `comparisons` does not hold are a family of their own for Holm's adjustment); in time by
//! the 95 % interval, Bonferroni over the pairs, of the median over cases of the ratio of both rows' times
//! of a task (better below 1, tied within ±10 %); in memory by the peaks (tied within 5 %). What the data
//! cannot tell is never taken for a tie. A dimension that neither row has is left out; one that a single
//! row has can be compared with nothing, so neither dominates the other.

mod field;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Contender, Side, is_on, tiers_of};
use super::ranking::Relation;
use super::sequential::Levels;
use super::summary::RunHeader;
use super::verdict::{Decide, Verdict};
use crate::record::format::Header;
use field::{Field, memory};

/// Two times are tied when their ratio lies within this much of 1.
pub const TIME_MARGIN: f64 = 0.1;
/// Two peaks of memory are tied when their ratio lies within this much of 1.
pub const MEMORY_MARGIN: f64 = 0.05;

/// The rule in one sentence, for reports.
pub const RULE: &str = "a row is left out only where another is better in at least one of success, time \
    of a task and memory, and no worse in any, beyond chance: success by the verdict of the pair, time by \
    the interval of the median ratio case by case (tied within 10 %), memory by the peaks (tied within \
    5 %); what the data cannot tell leaves no row out";

/// Rows of one tier, remote ones among them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParetoSet {
    /// Hardware tier.
    pub tier: String,
    /// When a row is left out.
    pub rule: String,
    /// Decidable rows in plan order; other fields name them by index.
    pub rows: Vec<ParetoRow>,
    /// The one row that succeeds more often than every other, or dominates it, if there is one.
    pub winner: Option<usize>,
    /// The largest sets of two or more rows of the set without a known difference in any dimension.
    pub groups: Vec<ParetoGroup>,
    /// Pairs within the set of which one might dominate the other, those that the fewest minutes
    /// would decide first.
    pub open: Vec<OpenPair>,
    /// Rows that no conclusion can be drawn from.
    pub undecidable: Vec<UndecidableRow>,
}

/// A row with its three dimensions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ParetoRow {
    /// Which row of `totals` without split it is.
    #[serde(flatten)]
    pub side: Side,
    /// Success rate.
    pub success: Option<f64>,
    /// Lower 95 % limit.
    pub success_low: Option<f64>,
    /// Upper 95 % limit.
    pub success_high: Option<f64>,
    /// Median time of a task.
    pub task_p50_ms: Option<f64>,
    /// Peak memory of the process that serves it on this machine; of a hybrid the sum of its legs;
    /// `null` where another machine serves it, or the server does not report it.
    pub peak_memory_bytes: Option<u64>,
    /// No other row dominates it.
    pub in_set: bool,
    /// The rows that do.
    pub dominated_by: Vec<Dominance>,
}

/// How a row is dominated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dominance {
    /// Index of the row that dominates.
    pub by: usize,
    /// What it is against the dominated one.
    pub dimensions: Dimensions,
}

/// What one row is against another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dimensions {
    /// In success.
    pub success: Standing,
    /// In time of a task.
    pub time: Standing,
    /// In memory.
    pub memory: Standing,
    /// Its time / the other's, case by case.
    pub time_ratio: Option<TimeRatio>,
}

impl Dimensions {
    fn all(&self) -> [Standing; 3] {
        [self.success, self.time, self.memory]
    }

    fn dominates(&self) -> bool {
        let no_worse = |one: &Standing| {
            matches!(
                one,
                Standing::Better | Standing::Tied | Standing::NeitherMeasured
            )
        };
        self.all().iter().all(no_worse) && self.all().contains(&Standing::Better)
    }

    /// More data could make it dominate: nothing speaks against it, and something is not decided.
    fn might_dominate(&self) -> bool {
        let against = |one: &Standing| matches!(one, Standing::Worse | Standing::OneMeasured);
        !self.all().iter().any(against) && self.all().contains(&Standing::NotEnoughData)
    }

    fn differs(&self) -> bool {
        let known = |one: &Standing| matches!(one, Standing::Better | Standing::Worse);
        self.all().iter().any(known)
    }

    fn is_tied(&self) -> bool {
        let same = |one: &Standing| matches!(one, Standing::Tied | Standing::NeitherMeasured);
        self.all().iter().all(same)
    }

    fn mirrored(&self) -> Self {
        Self {
            success: self.success.mirrored(),
            time: self.time.mirrored(),
            memory: self.memory.mirrored(),
            time_ratio: self.time_ratio.as_ref().map(TimeRatio::mirrored),
        }
    }
}

/// What one row is against another in one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Succeeds more often, is faster, needs less.
    Better,
    /// The opposite.
    Worse,
    /// Any difference is smaller than the margin.
    Tied,
    /// None of these can be said.
    NotEnoughData,
    /// One of them is not measured.
    OneMeasured,
    /// Neither is measured: the dimension does not count.
    NeitherMeasured,
}

impl Standing {
    fn mirrored(self) -> Self {
        match self {
            Self::Better => Self::Worse,
            Self::Worse => Self::Better,
            same => same,
        }
    }

    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Worse => "worse",
            Self::Tied => "tied",
            Self::NotEnoughData => "not enough data",
            Self::OneMeasured => "measured on one side only",
            Self::NeitherMeasured => "not measured",
        }
    }
}

impl From<Verdict> for Standing {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Better => Self::Better,
            Verdict::Worse => Self::Worse,
            Verdict::Tied => Self::Tied,
            Verdict::NotEnoughData => Self::NotEnoughData,
        }
    }
}

/// One row's time of a task over another's: the median over cases of the ratio of means over trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimeRatio {
    /// Cases that both have timed.
    pub cases: usize,
    /// The median.
    pub median: f64,
    /// Lower limit, distribution-free; `null` with too few cases.
    pub low: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
    /// Confidence of the limits, Bonferroni over the pairs of the tier.
    pub confidence: f64,
}

impl TimeRatio {
    fn mirrored(&self) -> Self {
        let over = |value: f64| 1.0 / value;
        Self {
            cases: self.cases,
            median: over(self.median),
            low: self.high.map(over),
            high: self.low.map(over),
            confidence: self.confidence,
        }
    }

    fn standing(&self) -> Standing {
        match (self.low, self.high) {
            (Some(low), Some(high)) => standing_of(low, high),
            _ => Standing::NotEnoughData,
        }
    }
}

fn standing_of(low: f64, high: f64) -> Standing {
    let margin = 1.0 + TIME_MARGIN;
    if low > 1.0 / margin && high < margin {
        Standing::Tied
    } else if high < 1.0 {
        Standing::Better
    } else if low > 1.0 {
        Standing::Worse
    } else {
        Standing::NotEnoughData
    }
}

/// Rows without a known difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ParetoGroup {
    /// Their indices.
    pub rows: Vec<usize>,
    /// Whether every two of them are tied in every dimension, or the data do not suffice.
    pub relation: Relation,
}

/// A pair within the set of which one might dominate the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OpenPair {
    /// Index of one row.
    pub one: usize,
    /// Index of the other.
    pub two: usize,
    /// What `two` is against `one`.
    pub dimensions: Dimensions,
    /// Cases without a scored trial on one side or on both; too many of them allow no verdict.
    #[serde(default)]
    pub dropped_cases: usize,
    /// What would decide it; `null` where no number of cases would, by what is seen now.
    pub decide: Option<Decide>,
}

/// A row from which nothing follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UndecidableRow {
    /// The row.
    #[serde(flatten)]
    pub side: Side,
    /// Why.
    pub reason: String,
}

/// See [`ParetoSet`]. Nothing for a tier with fewer than two decidable rows.
pub(super) fn pareto_sets(
    contenders: &[Contender<'_>],
    comparisons: &[Comparison],
    header: &Header,
    run: &RunHeader,
    levels: &Levels<'_>,
) -> Vec<ParetoSet> {
    let of_tier = |tier: &str| -> Vec<&Contender<'_>> {
        let here = contenders.iter().filter(|it| is_on(it.row, tier));
        here.collect()
    };
    tiers_of(contenders.iter().map(|it| it.row))
        .into_iter()
        .filter_map(|tier| {
            let (rows, others): (Vec<&Contender<'_>>, Vec<&Contender<'_>>) = of_tier(tier)
                .into_iter()
                .partition(|it| it.row.decidable && it.row.success.rate.is_some());
            let undecidable = others.iter().map(|it| UndecidableRow {
                side: it.side(),
                reason: it.row.undecidable.join("; "),
            });
            (rows.len() > 1).then(|| {
                let field = Field {
                    memory: rows
                        .iter()
                        .map(|it| memory(it, contenders, header, run))
                        .collect(),
                    margin_points: run.margin_points,
                    rows,
                };
                ParetoSet {
                    undecidable: undecidable.collect(),
                    ..field.set(tier, comparisons, levels)
                }
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "pareto_tests.rs"]
mod tests;
