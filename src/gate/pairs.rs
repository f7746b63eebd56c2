//! Success now against success then, on the cases of this suite.
//!
//! Data in: lines of the same cell on both sides. Data out: an estimate of the difference with interval
//! and p-value. Invariants: pure; a case counts where both sides have a scored trial of it; every case
//! weighs the same; exchanging the sides mirrors the estimate.
//!
//! What is uncertain here. A gate speaks of this suite, so cases are no sample and only trials can come
//! out otherwise. Trials of a case are paired by their index (both sides draw with the same seed), and
//! if nothing has changed, each pair in which the sides differ is as likely to fall either way: the
//! exact sign-flip test over pairs, McNemar's where all cases have as many, needs no more than that,
//! whatever the difficulty of each case. The interval is Newcombe's for paired proportions over the
//! pairs (with Tango's under ten). Its variance is that of pairs drawn at random: the one that trials
//! bring, and the spread of the cases' own differences on top, which a fixed suite does not have. So it
//! errs to the wide side where cases changed by different amounts, and is right where none did.
//!
//! Where a case has trials without a partner (`--trials` differ, or some were lost on one side), all of
//! its trials count: they are exchangeable between the sides if nothing has changed, which is tested
//! exactly within each case (`metrics::strata`). Rates are means over cases of all trials, and the
//! interval is Newcombe's with the limits that each side's number of trials gives.
//!
//! Where decoding is greedy, every route repeats itself, and both sides ran on one tier and engine
//! build, nothing is uncertain: the same command gives the same replies, and the difference is exact.

use crate::metrics::interval::{PairedTable, newcombe_unequal_at, z_of};
use crate::metrics::significance::{mcnemar_exact, sign_flip, sign_flip_drawn, tango_interval};
use crate::metrics::strata::{Stratum, stratified};
use crate::metrics::verdict::LEVEL;

use super::snapshot::CaseLine;

/// Fewest pairs for which Newcombe's interval stands alone, as in comparisons.
const NEWCOMBE_NEEDS: f64 = 10.0;
/// Most units that a share of pairs is counted in for the exact test.
const FINEST: usize = 60;
/// Fewest pairs with which the test can reject at all: 2 · 2⁻⁶ is under 5 %.
pub const FEWEST_PAIRS: f64 = 6.0;

/// One case on both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairedTrials {
    /// Success then and now in trials with equal index that were scored on both sides.
    pairs: Vec<(bool, bool)>,
    /// Successes and scored trials of the baseline.
    then: (u32, u32),
    /// Successes and scored trials of the candidate.
    now: (u32, u32),
}

impl PairedTrials {
    /// All scored trials of both sides; `None` where a side has none.
    pub fn of(baseline: &CaseLine, candidate: &CaseLine) -> Option<Self> {
        let both = baseline.outcomes().zip(candidate.outcomes());
        let pairs = both.filter_map(|(one, two)| one.zip(two)).collect();
        let (then, now) = (baseline.counts(), candidate.counts());
        (then.1 > 0 && now.1 > 0).then_some(Self { pairs, then, now })
    }

    /// Every trial has a partner.
    fn is_complete(&self) -> bool {
        let pairs = self.pairs.len();
        pairs == self.then.1 as usize && pairs == self.now.1 as usize
    }

    /// Pairs that hold as much: the harmonic mean of both numbers of trials.
    fn weight(&self) -> f64 {
        2.0 / (1.0 / f64::from(self.then.1) + 1.0 / f64::from(self.now.1))
    }

    /// Pairs by who succeeds, as shares; where trials have no partner, of all that could be made.
    fn shares(&self) -> PairedTable {
        if !self.is_complete() {
            let (then, now) = (share(self.then), share(self.now));
            return PairedTable {
                both: then * now,
                only_baseline: then * (1.0 - now),
                only_candidate: (1.0 - then) * now,
                neither: (1.0 - then) * (1.0 - now),
            };
        }
        let mut table = PairedTable::default();
        let each = 1.0 / self.pairs.len() as f64;
        for pair in &self.pairs {
            let cell = match pair {
                (true, true) => &mut table.both,
                (true, false) => &mut table.only_baseline,
                (false, true) => &mut table.only_candidate,
                (false, false) => &mut table.neither,
            };
            *cell += each;
        }
        table
    }

    /// For the test within cases.
    fn stratum(&self) -> Stratum {
        if !self.is_complete() {
            return Stratum::Counts {
                then: self.then,
                now: self.now,
            };
        }
        let only = |wanted: (bool, bool)| {
            let found = self.pairs.iter().filter(|pair| **pair == wanted);
            u32::try_from(found.count()).unwrap_or(u32::MAX)
        };
        Stratum::Pairs {
            up: only((false, true)),
            down: only((true, false)),
            of: self.then.1,
        }
    }
}

fn share((hits, of): (u32, u32)) -> f64 {
    f64::from(hits) / f64::from(of)
}

/// The difference between two sides, candidate minus baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Cases paired.
    pub cases: usize,
    /// Pairs of trials in them: those with equal index.
    pub pairs: usize,
    /// Scored trials of the baseline in them.
    pub baseline_trials: u32,
    /// Scored trials of the candidate in them.
    pub candidate_trials: u32,
    /// Trials without a partner are among them: all count, tested within each case.
    pub stratified: bool,
    /// Mean over cases of all trials.
    pub baseline_rate: f64,
    /// Mean over cases of all trials.
    pub candidate_rate: f64,
    /// Candidate minus baseline.
    pub difference: f64,
    /// Lower 95 % limit; the difference itself where it is exact.
    pub low: f64,
    /// Upper 95 % limit.
    pub high: f64,
    /// Two-sided; `None` where the difference is exact.
    pub p_value: Option<f64>,
    /// Pairs that weigh alike and hold as much.
    pub effective_pairs: f64,
    /// Share of pairs in which the sides differ.
    pub discordance: f64,
}

impl Difference {
    /// Of paired cases; `None` without any.
    pub fn of(cases: &[PairedTrials], exact: bool) -> Option<Self> {
        if cases.is_empty() {
            return None;
        }
        let count = cases.len() as f64;
        // Trials that weigh alike and hold as much as those of all cases.
        let effective = |of: &dyn Fn(&PairedTrials) -> f64| {
            let inverse: f64 = cases.iter().map(|case| 1.0 / of(case)).sum();
            count * count / inverse
        };
        let effective_pairs = effective(&PairedTrials::weight);
        let stratified = !cases.iter().all(PairedTrials::is_complete);
        let table = table(cases, effective_pairs / count);
        let (difference, interval) = newcombe_unequal_at(
            &table,
            effective(&|case| f64::from(case.then.1)),
            effective(&|case| f64::from(case.now.1)),
            z_of(LEVEL),
        )?;
        let tango = tango_interval(&table, z_of(LEVEL));
        let interval = match tango {
            Some(tango) if effective_pairs < NEWCOMBE_NEEDS => interval.hull(tango),
            _ => interval,
        };
        let n = table.cases();
        Some(Self {
            cases: cases.len(),
            pairs: cases.iter().map(|case| case.pairs.len()).sum(),
            baseline_trials: cases.iter().map(|case| case.then.1).sum(),
            candidate_trials: cases.iter().map(|case| case.now.1).sum(),
            stratified,
            baseline_rate: (table.both + table.only_baseline) / n,
            candidate_rate: (table.both + table.only_candidate) / n,
            difference,
            low: if exact { difference } else { interval.low },
            high: if exact { difference } else { interval.high },
            p_value: (!exact).then(|| p_value(cases)),
            effective_pairs,
            discordance: (table.only_baseline + table.only_candidate) / n,
        })
    }

    /// Nothing is uncertain about it.
    pub fn is_exact(&self) -> bool {
        self.p_value.is_none()
    }

    /// The smallest drop that would be found in 80 % of runs at `alpha`, by the large-sample power of
    /// McNemar's test (Connor 1987, Biometrics 43:207-211), never less than what so few pairs can
    /// show. A drop is taken to come on top of the pairs that differ already, as where cases break
    /// that always succeeded; where the two overlap it is found more often than stated. `None` where
    /// no drop would be found, and where the difference is exact.
    pub fn detectable(&self, alpha: f64) -> Option<f64> {
        if self.is_exact() {
            return None;
        }
        let (z_level, z_power) = (z_of(alpha), z_of(0.4));
        let n = self.effective_pairs;
        let found = |drop: f64| {
            let apart = (self.discordance + drop).min(1.0);
            let spread = (apart - drop * drop).max(0.0).sqrt();
            // One pair is what the exact test loses to its steps.
            z_level * apart.sqrt() + z_power * spread <= (drop - 1.0 / n) * n.sqrt()
        };
        // What so few pairs can show at all; trials without a partner show more.
        let least = if self.stratified {
            1.0 / n
        } else {
            (1.0 - alpha.log2()).ceil() / n
        };
        if least > 1.0 || !found(1.0) {
            return None;
        }
        let (mut missed, mut enough) = (0.0, 1.0);
        for _ in 0..40 {
            let middle = f64::midpoint(missed, enough);
            if found(middle) {
                enough = middle;
            } else {
                missed = middle;
            }
        }
        Some(enough.max(least))
    }
}

/// Pairs by who succeeds, each case with the same weight.
fn table(cases: &[PairedTrials], case_weight: f64) -> PairedTable {
    let mut table = PairedTable::default();
    for case in cases {
        let shares = case.shares().scaled(case_weight);
        table.both += shares.both;
        table.only_baseline += shares.only_baseline;
        table.only_candidate += shares.only_candidate;
        table.neither += shares.neither;
    }
    table
}

fn p_value(cases: &[PairedTrials]) -> f64 {
    if !cases.iter().all(PairedTrials::is_complete) {
        let strata: Vec<Stratum> = cases.iter().map(PairedTrials::stratum).collect();
        return stratified(&strata);
    }
    let counts: Vec<usize> = cases.iter().map(|case| case.pairs.len()).collect();
    let signs = |case: &PairedTrials| -> Vec<i64> {
        let pairs = case.pairs.iter();
        pairs
            .map(|(then, now)| i64::from(*now) - i64::from(*then))
            .filter(|sign| *sign != 0)
            .collect()
    };
    if counts.iter().all(|count| *count == counts[0]) {
        let all: Vec<i64> = cases.iter().flat_map(signs).collect();
        let up = all.iter().filter(|sign| **sign > 0).count() as u64;
        return mcnemar_exact(up, all.len() as u64 - up);
    }
    if let Some(units) = common_multiple(&counts) {
        let weighted = cases.iter().flat_map(|case| {
            let unit = i64::try_from(units / case.pairs.len()).unwrap_or(1);
            signs(case).into_iter().map(move |sign| sign * unit)
        });
        sign_flip(&weighted.collect::<Vec<i64>>())
    } else {
        let weighted = cases.iter().flat_map(|case| {
            let unit = 1.0 / case.pairs.len() as f64;
            signs(case).into_iter().map(move |sign| sign as f64 * unit)
        });
        sign_flip_drawn(&weighted.collect::<Vec<f64>>())
    }
}

/// The smallest number that all counts divide, up to [`FINEST`].
fn common_multiple(counts: &[usize]) -> Option<usize> {
    (1..=FINEST).find(|units| counts.iter().all(|count| units % count == 0))
}

#[cfg(test)]
#[path = "pairs_tests.rs"]
mod tests;
