//! Success on this suite, with the interval that a fixed suite has.
//!
//! Data in: lines of one cell. Data out: a rate. Invariants: pure; every case weighs the same; lines
//! without a scored trial do not count.
//!
//! Which interval. The cases are the suite, not a sample of anything, so only trials can come out
//! otherwise. Where decoding is greedy and the route repeats itself they cannot: the rate is exact.
//! Elsewhere the number of successes is a sum of trials that succeed with different chances; such a sum
//! spreads less than one of trials that all succeed with the mean chance (Hoeffding 1956, Ann Math Stat
//! 27:713-721), so Wilson's interval over trials is, if anything, too wide. The interval of a report is
//! another: it takes cases as a sample and speaks of cases like these.

use super::snapshot::CaseLine;
use super::verdict::SuiteInterval;
use crate::metrics::interval::wilson;

/// Success on the cases given.
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteRate {
    /// Cases with a scored trial.
    pub cases: usize,
    /// Scored trials in them.
    pub trials: u32,
    /// Mean over cases; `None` without any.
    pub rate: Option<f64>,
    /// Lower 95 % limit.
    pub low: Option<f64>,
    /// Upper 95 % limit.
    pub high: Option<f64>,
    /// How they were found.
    pub method: SuiteInterval,
}

impl SuiteRate {
    /// Of lines of one cell; `exact` where decoding and routes leave nothing to chance.
    pub fn of<'a>(lines: impl IntoIterator<Item = &'a CaseLine>, exact: bool) -> Self {
        let lines: Vec<&CaseLine> = lines.into_iter().collect();
        // A case that a limit on time decided may come out otherwise, and its rate with it.
        let exact = exact && !lines.iter().any(|line| line.timed_out());
        let counts: Vec<(u32, u32)> = lines
            .into_iter()
            .map(CaseLine::counts)
            .filter(|(_, of)| *of > 0)
            .collect();
        let count = counts.len() as f64;
        let trials = counts.iter().map(|(_, of)| of).sum();
        let shares = counts
            .iter()
            .map(|(hits, of)| f64::from(*hits) / f64::from(*of));
        let rate = (!counts.is_empty()).then(|| shares.sum::<f64>() / count);
        // Trials that weigh alike and hold as much as these: all of them where cases have as many.
        let inverse: f64 = counts.iter().map(|(_, of)| 1.0 / f64::from(*of)).sum();
        let effective = count * count / inverse;
        let interval = rate.and_then(|rate| wilson(rate * effective, effective));
        let (low, high, method) = match (rate, interval) {
            (Some(rate), _) if exact => (Some(rate), Some(rate), SuiteInterval::Exact),
            (_, Some(found)) => (Some(found.low), Some(found.high), SuiteInterval::Wilson),
            _ => (None, None, SuiteInterval::None),
        };
        Self {
            cases: counts.len(),
            trials,
            rate,
            low,
            high,
            method,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(trials: &str) -> CaseLine {
        CaseLine {
            trials: trials.to_owned(),
            ..CaseLine::default()
        }
    }

    /// `statsmodels.stats.proportion.proportion_confint(25, 30, method="wilson")`: five cases of
    /// six trials, 25 successes.
    #[test]
    fn wilson_over_trials_of_equal_cases() {
        let lines = [
            line("PPPPPP"),
            line("PPPPPR"),
            line("PPPPFF"),
            line("PPPPPF"),
            line("PPFPFP"),
        ];
        let found = SuiteRate::of(&lines, false);
        assert_eq!((found.cases, found.trials), (5, 30));
        assert!((found.rate.unwrap() - 25.0 / 30.0).abs() < 1e-12);
        assert!((found.low.unwrap() - 0.664_356_494_936).abs() < 1e-9);
        assert!((found.high.unwrap() - 0.926_634_576_282).abs() < 1e-9);
        assert_eq!(found.method, SuiteInterval::Wilson);
    }

    #[test]
    fn what_repeats_itself_is_exact_and_what_is_missing_is_nothing() {
        let lines = [line("P"), line("F"), line("-")];
        let found = SuiteRate::of(&lines, true);
        assert_eq!((found.cases, found.trials), (2, 2));
        assert_eq!((found.rate, found.low), (Some(0.5), Some(0.5)));
        assert_eq!(found.method, SuiteInterval::Exact);
        let none = SuiteRate::of(&[line("--")], false);
        assert_eq!((none.rate, none.low, none.cases), (None, None, 0));
        assert_eq!(none.method, SuiteInterval::None);
    }

    #[test]
    fn a_limit_on_time_leaves_nothing_exact() {
        let late = CaseLine {
            codes: vec!["trial_timeout".to_owned()],
            ..line("F")
        };
        let found = SuiteRate::of(&[line("P"), late], true);
        assert_eq!(found.method, SuiteInterval::Wilson);
        assert!(found.low.unwrap() < 0.5, "{found:?}");
    }

    /// A case counts once, whatever its number of trials: (1 + 0) / 2, not 1 / 5.
    #[test]
    fn cases_weigh_alike() {
        let found = SuiteRate::of(&[line("P"), line("FFFF")], false);
        assert!((found.rate.unwrap() - 0.5).abs() < 1e-12);
        // n = 4 / (1 + 1/4) = 3.2 trials.
        let by_hand = wilson(1.6, 3.2).unwrap();
        assert!((found.low.unwrap() - by_hand.low).abs() < 1e-12);
    }
}
