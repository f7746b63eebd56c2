//! Ratios of sums over cases, such as tokens per success or tokens per second, with intervals.
//!
//! Data in: per case a sum above and a sum below. Data out: the ratio and 95 % limits. Invariants:
//! pure; limits are positive and hold the ratio; there are none with fewer than two cases, because
//! one case says nothing of others.
//!
//! Limits: the ratio estimator's variance from the residuals of the cases (Cochran 1977, Sampling
//! Techniques, section 6.4), on the logarithm of the ratio, with Student's t for one case less than
//! there are. Times and tokens are skewed to the right, which the logarithm takes into account.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::rates::Cases;
use crate::types::TrialRecord;

/// A ratio and its limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Sum above / sum below.
    pub value: f64,
    /// Lower 95 % limit.
    pub low: Option<f64>,
    /// Upper 95 % limit.
    pub high: Option<f64>,
}

/// The ratio of sums of (above, below) pairs, one per case. `None` where nothing stands below.
pub fn ratio(cases: &[(f64, f64)]) -> Option<Ratio> {
    let above: f64 = cases.iter().map(|(above, _)| above).sum();
    let below: f64 = cases.iter().map(|(_, below)| below).sum();
    if below <= 0.0 {
        return None;
    }
    let value = above / below;
    let n = cases.len() as f64;
    let without = Ratio {
        value,
        low: None,
        high: None,
    };
    let Ok(student) = StudentsT::new(0.0, 1.0, n - 1.0) else {
        return Some(without);
    };
    if value <= 0.0 {
        return Some(without);
    }
    let residuals = cases.iter().map(|(above, below)| above - value * below);
    let squares: f64 = residuals.map(|residual| residual * residual).sum();
    let error = (n / (n - 1.0) * squares).sqrt() / below / value;
    let reach = (student.inverse_cdf(0.975) * error).exp();
    Some(Ratio {
        value,
        low: Some(value / reach),
        high: Some(value * reach),
    })
}

/// The same over the scored trials of cases; cases without any do not count.
pub(super) fn of_cases(
    cases: &Cases<'_>,
    pair: impl Fn(&TrialRecord) -> (f64, f64),
) -> Option<Ratio> {
    let sums: Vec<(f64, f64)> = cases
        .iter()
        .filter_map(|trials| {
            let scored = trials.iter().filter(|trial| trial.outcome.is_scored());
            scored
                .map(|trial| pair(trial))
                .reduce(|(above, below), (more, further)| (above + more, below + further))
        })
        .collect();
    ratio(&sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula in numpy 2.4.6 with scipy 1.17.1's `t.ppf`.
    #[test]
    fn limits_agree_with_python() {
        let found = ratio(&[
            (120.0, 1.0),
            (80.0, 0.0),
            (200.0, 1.0),
            (95.0, 1.0),
            (60.0, 1.0),
        ]);
        let found = found.unwrap();
        assert!((found.value - 138.75).abs() < 1e-12);
        assert!((found.low.unwrap() - PYTHON.0).abs() < 1e-6, "{found:?}");
        assert!((found.high.unwrap() - PYTHON.1).abs() < 1e-6, "{found:?}");
    }
    const PYTHON: (f64, f64) = (64.682_767_231_556, 297.630_471_360_045);

    #[test]
    fn one_case_has_no_limits_and_nothing_below_no_ratio() {
        let single = ratio(&[(10.0, 2.0)]).unwrap();
        assert_eq!((single.value, single.low, single.high), (5.0, None, None));
        assert_eq!(ratio(&[(10.0, 0.0)]), None);
        assert_eq!(ratio(&[]), None);
        assert_eq!(ratio(&[(0.0, 1.0), (0.0, 2.0)]).unwrap().low, None);
        let equal = ratio(&[(10.0, 2.0), (5.0, 1.0)]).unwrap();
        assert_eq!((equal.low, equal.high), (Some(5.0), Some(5.0)));
    }
}
