//! Bounds that hold whatever the distribution: a rate's by the binomial, a quantile's by ranks.
//!
//! Data in: counts or values by case, a level. Data out: one-sided bounds, each wrong in at most that
//! share of data sets. Invariants: pure; a bound that so few cases cannot give is `None`, and the
//! number that could is told instead.
//!
//! The rate: Clopper and Pearson 1934 (Biometrika 26:404-413). Unlike Wilson's interval, which the
//! tables show, it holds its level for every rate, also near 1, where a claim of success is made.
//! The quantile: the order statistic whose rank the binomial gives (Conover 1999, Practical
//! Nonparametric Statistics, section 3.2); no value is interpolated and no shape assumed. Several
//! trials of a case count as one where ranks and counts are found: they are alike.

use statrs::distribution::{Beta, Binomial, ContinuousCDF, DiscreteCDF};

/// Most cases that are looked through for the number that would do.
const MOST_CASES: u64 = 20_000;

/// The largest rate that so many successes show to be exceeded: wrong in at most `level` of data
/// sets. `None` without cases.
pub fn rate_lower(successes: u64, cases: u64, level: f64) -> Option<f64> {
    if cases == 0 || successes > cases {
        return None;
    }
    if successes == 0 {
        return Some(0.0);
    }
    let beta = Beta::new(successes as f64, (cases - successes + 1) as f64).ok()?;
    Some(beta.inverse_cdf(level))
}

/// The smallest rate that so many successes show not to be reached.
pub fn rate_upper(successes: u64, cases: u64, level: f64) -> Option<f64> {
    let failures = cases.checked_sub(successes)?;
    rate_lower(failures, cases, level).map(|low| 1.0 - low)
}

/// Rank from 1 of the value that is no less than the `share` quantile but in `level` of data sets.
pub fn upper_rank(cases: u64, share: f64, level: f64) -> Option<u64> {
    let below = Binomial::new(share, cases).ok()?;
    // The value of a rank lies below the quantile when at least as many values do.
    (1..=cases).find(|rank| 1.0 - below.cdf(rank - 1) <= level)
}

/// Rank from 1 of the value that is no more than the quantile but in `level` of data sets.
pub fn lower_rank(cases: u64, share: f64, level: f64) -> Option<u64> {
    let below = Binomial::new(share, cases).ok()?;
    (1..=cases).rev().find(|rank| below.cdf(rank - 1) <= level)
}

/// Bounds of a quantile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuantileBounds {
    /// It is no less, at the level.
    pub low: Option<f64>,
    /// It is no more, at the level; infinite where too many cases never got there.
    pub high: Option<f64>,
}

/// Bounds of the `share` quantile of values by case, each at `level`. With several values a case the
/// ranks among cases are carried over to all values, outwards.
pub fn quantile_bounds(cases: &[Vec<f64>], share: f64, level: f64) -> QuantileBounds {
    let units = cases.iter().filter(|values| !values.is_empty()).count() as u64;
    let mut values: Vec<f64> = cases.iter().flatten().copied().collect();
    values.sort_by(f64::total_cmp);
    let all = values.len() as u64;
    let at = |rank: u64| {
        values
            .get(usize::try_from(rank).ok()?.checked_sub(1)?)
            .copied()
    };
    let low = lower_rank(units, share, level).map(|rank| (rank * all / units).max(1));
    let high = upper_rank(units, share, level).map(|rank| (rank * all).div_ceil(units));
    QuantileBounds {
        low: low.and_then(at),
        high: high.and_then(at),
    }
}

/// Cases from which a quantile has an upper bound at all: all of so many lie within it.
pub fn least_cases_for_quantile(share: f64, level: f64) -> u64 {
    (level.ln() / share.ln()).ceil() as u64
}

/// Cases that would show a rate of more than `wanted`, were the rate `seen`; `None` where none would.
pub fn cases_to_show_rate(seen: f64, wanted: f64, level: f64) -> Option<u64> {
    if seen <= wanted {
        return None;
    }
    first(|cases| {
        let successes = (seen * cases as f64).floor() as u64;
        rate_lower(successes, cases, level).is_some_and(|low| low >= wanted)
    })
}

/// Cases that would show the `share` quantile to lie within a limit, were `within` the share of
/// values that do; `None` where none would.
pub fn cases_to_show_quantile(within: f64, share: f64, level: f64) -> Option<u64> {
    if within <= share {
        return None;
    }
    first(|cases| {
        let inside = (within * cases as f64).floor() as u64;
        upper_rank(cases, share, level).is_some_and(|rank| rank <= inside)
    })
}

/// The first number for which something holds, to within a hundredth from 200 on.
fn first(holds: impl Fn(u64) -> bool) -> Option<u64> {
    let mut cases = 1;
    while cases <= MOST_CASES {
        if holds(cases) {
            return Some(cases);
        }
        cases += (cases / 100).max(1);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.beta.ppf(level, k, n - k + 1)`, scipy 1.16.
    #[test]
    fn rates_against_scipy() {
        for (k, n, level, expected) in [
            (45, 50, 0.025, 0.781_864_633_565_797_7),
            (72, 72, 0.025, 0.950_055_916_294_145_3),
            (24, 26, 0.0125, 0.722_226_489_514_373_8),
            (1, 30, 0.025, 0.000_843_570_926_630_478_8),
        ] {
            let found = rate_lower(k, n, level).unwrap();
            assert!((found - expected).abs() < 1e-6, "{k}/{n}: {found}");
        }
        for (k, n, level, expected) in [
            (45, 50, 0.025, 0.966_724_906_410_977_5),
            (0, 20, 0.025, 0.168_433_470_983_085_3),
            (7, 26, 0.0125, 0.505_655_214_719_887_2),
        ] {
            let found = rate_upper(k, n, level).unwrap();
            assert!((found - expected).abs() < 1e-6, "{k}/{n}: {found}");
        }
        assert_eq!(rate_lower(0, 10, 0.025), Some(0.0));
        assert_eq!(rate_upper(10, 10, 0.025), Some(1.0));
        assert_eq!(rate_lower(0, 0, 0.025), None);
    }

    /// By `scipy.stats.binom.cdf`: the last rank whose value is too low, the first that is high enough,
    /// with a chance of at most the level.
    #[test]
    fn ranks_against_scipy() {
        for (n, level, low, high) in [
            (71, 0.025, Some(63), None),
            (72, 0.025, Some(64), Some(72)),
            (100, 0.025, Some(90), Some(100)),
            (200, 0.025, Some(184), Some(197)),
            (100, 0.006_25, Some(89), Some(100)),
            (58, 0.05, Some(52), None),
            (59, 0.05, Some(53), Some(59)),
        ] {
            assert_eq!(lower_rank(n, 0.95, level), low, "{n}");
            assert_eq!(upper_rank(n, 0.95, level), high, "{n}");
        }
        for (level, least) in [
            (0.05, 59),
            (0.025, 72),
            (0.0125, 86),
            (0.006_25, 99),
            (0.0025, 117),
        ] {
            assert_eq!(least_cases_for_quantile(0.95, level), least);
            assert!(upper_rank(least, 0.95, level).is_some());
            assert!(upper_rank(least - 1, 0.95, level).is_none());
        }
    }

    #[test]
    fn trials_of_a_case_add_no_cases() {
        let single: Vec<Vec<f64>> = (1..=72).map(|value| vec![f64::from(value)]).collect();
        let repeated: Vec<Vec<f64>> = (1..=72).map(|value| vec![f64::from(value); 5]).collect();
        let bounds = QuantileBounds {
            low: Some(64.0),
            high: Some(72.0),
        };
        assert_eq!(quantile_bounds(&single, 0.95, 0.025), bounds);
        assert_eq!(quantile_bounds(&repeated, 0.95, 0.025), bounds);
        assert_eq!(quantile_bounds(&single[..71], 0.95, 0.025).high, None);
        assert_eq!(quantile_bounds(&[], 0.95, 0.025), QuantileBounds::default());
    }

    #[test]
    fn what_would_be_needed_is_enough_and_hardly_more() {
        let cases = cases_to_show_rate(0.9, 0.8, 0.025).unwrap();
        let shown = |n: u64| rate_lower((0.9 * n as f64) as u64, n, 0.025).unwrap() >= 0.8;
        assert!(shown(cases) && !shown(cases * 9 / 10), "{cases}");
        assert_eq!(cases_to_show_rate(0.8, 0.8, 0.025), None);
        assert_eq!(cases_to_show_quantile(1.0, 0.95, 0.025), Some(72));
        assert_eq!(cases_to_show_quantile(0.94, 0.95, 0.025), None);
        assert!(cases_to_show_quantile(0.97, 0.95, 0.025).unwrap() > 300);
    }
}
