//! Bootstrap over cases, then trials, with a fixed seed: equal input, equal interval.
//!
//! Data in: per case the (hits, of) pairs of its trials. Data out: percentile intervals at 95 %.
//! Invariants: pure; no case and no pair is empty; exchanging sides mirrors a paired interval.

use super::interval::Interval;

/// Draws per interval.
pub const DRAWS: usize = 4000;
const SEED: u64 = 0x0070_6f6f_6c62_6368;

/// `SplitMix64` (Steele, Lea, Flood 2014): small, fast, the same everywhere.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// Below `bound`; the bias of the multiply-shift is under 2⁻⁴⁰ for any bound met here.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next_u64()) * bound as u128) >> 64) as usize
    }
}

/// One trial's part of a share: hits of how many.
pub type Hits = (u32, u32);

/// 95 % percentile interval of the mean over cases of each case's share.
pub fn mean_of_shares(cases: &[Vec<Hits>]) -> Interval {
    let mut random = Random::new(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let total: f64 = (0..cases.len())
                .map(|_| resampled_share(&cases[random.below(cases.len())], &mut random))
                .sum();
            total / cases.len() as f64
        })
        .collect();
    percentile_interval(&mut means)
}

/// 95 % percentile interval of the mean over cases of candidate share minus baseline share; both
/// sides of a case are drawn together, their trials apart.
pub fn mean_of_differences(cases: &[(Vec<Hits>, Vec<Hits>)]) -> Interval {
    let mut random = Random::new(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let total: f64 = (0..cases.len())
                .map(|_| {
                    let (one, two) = &cases[random.below(cases.len())];
                    resampled_share(one, &mut random) - resampled_share(two, &mut random)
                })
                .sum();
            total / cases.len() as f64
        })
        .collect();
    percentile_interval(&mut means)
}

fn resampled_share(trials: &[Hits], random: &mut Random) -> f64 {
    if let [(hits, of)] = trials {
        return f64::from(*hits) / f64::from(*of);
    }
    let (hits, of) = (0..trials.len()).fold((0, 0), |(hits, of), _| {
        let (more_hits, more_of) = trials[random.below(trials.len())];
        (hits + more_hits, of + more_of)
    });
    f64::from(hits) / f64::from(of)
}

/// Cuts 2.5 % of the draws off each end.
fn percentile_interval(draws: &mut [f64]) -> Interval {
    draws.sort_by(f64::total_cmp);
    let cut = draws.len() / 40;
    Interval {
        low: draws[cut],
        high: draws[draws.len() - 1 - cut],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy's normal approximation of a mean of 200 shares: 0.5 ± 1.96·sd/√200.
    #[test]
    fn many_cases_give_the_normal_interval() {
        let cases: Vec<Vec<Hits>> = (0..200).map(|i| vec![(u32::from(i % 2 == 0), 1)]).collect();
        let interval = mean_of_shares(&cases);
        let half = 1.96 * 0.5 / 200_f64.sqrt();
        assert!((interval.low - (0.5 - half)).abs() < 0.006, "{interval:?}");
        assert!((interval.high - (0.5 + half)).abs() < 0.006, "{interval:?}");
        assert_eq!(interval, mean_of_shares(&cases), "a fixed seed");
    }

    #[test]
    fn equal_trials_differ_by_nothing() {
        let cases = vec![(vec![(1, 1), (1, 1)], vec![(1, 1), (1, 1)]); 8];
        let interval = mean_of_differences(&cases);
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
    }
}
