//! What a gate asks of a run.
//!
//! Data in: nothing. Data out: plain values, shares from 0 to 1 and milliseconds; the command line turns
//! percent, points and seconds into them. Invariant: what is absent is not asked.

/// Everything that a gate asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Least success of every cell.
    pub min_success: Option<f64>,
    /// Least success of categories.
    pub min_category: Vec<Floor>,
    /// Least share of a case's trials that succeed.
    pub min_case: Vec<Floor>,
    /// Floors ask for the rate alone, not for the lower limit of its interval.
    pub point_estimate: bool,
    /// Limits on times.
    pub latency: Vec<LatencyLimit>,
    /// Most that the run may cost.
    pub max_cost: Option<f64>,
    /// Most that a success may cost.
    pub max_cost_per_success: Option<f64>,
    /// Smallest drop that counts as a regression.
    pub min_effect: f64,
    /// Most that times may grow against the baseline: 0.2 is a fifth.
    pub max_slowdown: Option<f64>,
    /// What is undecided for want of data warns instead of failing.
    pub warn_undecided: bool,
    /// A question that was changed is refused.
    pub strict: bool,
}

impl Rules {
    /// Whether anything is asked that needs no baseline.
    pub fn has_floor(&self) -> bool {
        self.min_success.is_some()
            || !self.min_category.is_empty()
            || !self.min_case.is_empty()
            || !self.latency.is_empty()
            || self.max_cost.is_some()
            || self.max_cost_per_success.is_some()
    }
}

/// A floor for one name, or for all that have none of their own.
#[derive(Clone, Debug, PartialEq)]
pub struct Floor {
    /// The category or case; all when absent.
    pub name: Option<String>,
    /// Least share.
    pub share: f64,
}

impl Floor {
    /// The floor for a name: its own, else that of all.
    pub fn of(floors: &[Self], is_own: impl Fn(&str) -> bool) -> Option<&Self> {
        let own = floors
            .iter()
            .find(|floor| floor.name.as_deref().is_some_and(&is_own));
        own.or_else(|| floors.iter().find(|floor| floor.name.is_none()))
    }
}

/// Which time is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// First request to the first schema-valid call.
    ValidCall,
    /// First request to the end of judging.
    Task,
}

impl Measure {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::ValidCall => "time to a valid call",
            Self::Task => "time of a task",
        }
    }
}

/// Which quantile is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantile {
    /// The median.
    P50,
    /// The 95th percentile.
    P95,
}

impl Quantile {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::P50 => "p50",
            Self::P95 => "p95",
        }
    }
}

/// A limit on a quantile of a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyLimit {
    /// Of which time.
    pub measure: Measure,
    /// Which quantile.
    pub quantile: Quantile,
    /// The limit.
    pub limit_ms: f64,
}
