//! Bootstrap over cases, then trials: equal input, equal interval.
//!
//! Data in: per case the (hits, of) pairs of its trials. Data out: percentile intervals.
//! Invariants: pure; no case and no pair is empty; exchanging sides mirrors a paired interval.
//!
//! Where all trials are yes or no, the distribution that resampling approaches is computed exactly
//! (`lattice`): no draws, no seed, and levels far out in the tail have a meaning. Pairs of
//! another kind (calls, attempts) and uncommon mixes of trial counts are drawn with a fixed seed.

use super::interval::Interval;
use super::lattice::{Lattice, common_multiple};

/// Draws per interval where the distribution is not computed.
pub const DRAWS: usize = 4000;
const SEED: u64 = 0x0070_6f6f_6c62_6368;
/// Most lattice points per unit of a case's share; covers any mix of 1 to 6 trials a case.
const FINEST: u32 = 60;
/// Fewest draws beyond a limit for it to be trusted.
const DRAWS_BEYOND: usize = 25;

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
    const TAIL: f64 = 0.025;
    if let Some(counts) = yes_or_no(cases.iter()) {
        let points = common_multiple(counts.iter().map(|(_, trials)| *trials), FINEST);
        if let Some(points) = points {
            let redrawn = |(hits, trials): &Hits| {
                Lattice::redrawn(*hits, *trials, i64::from(points / trials))
            };
            return resampled(&counts, redrawn, points, TAIL);
        }
    }
    let mut random = Random::new(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let total: f64 = (0..cases.len())
                .map(|_| redrawn_share(&cases[random.below(cases.len())], &mut random))
                .sum();
            total / cases.len() as f64
        })
        .collect();
    percentile_interval(&mut means, DRAWS / 40)
}

/// Percentile interval of the mean over cases of candidate share minus baseline share, with
/// `alpha` outside of it; both sides of a case are drawn together, their trials apart. `None` when
/// it would have to be drawn and `alpha` is too small for that.
pub fn mean_of_differences(cases: &[(Vec<Hits>, Vec<Hits>)], alpha: f64) -> Option<Interval> {
    let sides = yes_or_no(cases.iter().map(|(one, _)| one))
        .zip(yes_or_no(cases.iter().map(|(_, two)| two)));
    if let Some((ones, twos)) = sides {
        let all = ones.iter().chain(&twos).map(|(_, trials)| *trials);
        if let Some(points) = common_multiple(all, FINEST) {
            let pairs: Vec<(Hits, Hits)> = ones.into_iter().zip(twos).collect();
            let redrawn = |(one, two): &(Hits, Hits)| {
                let step = |trials: u32| i64::from(points / trials);
                Lattice::redrawn(one.0, one.1, step(one.1)).plus(&Lattice::redrawn(
                    two.0,
                    two.1,
                    -step(two.1),
                ))
            };
            return Some(resampled(&pairs, redrawn, points, alpha / 2.0));
        }
    }
    let cut = (DRAWS as f64 * alpha / 2.0) as usize;
    if cut < DRAWS_BEYOND {
        return None;
    }
    let mut random = Random::new(SEED);
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let total: f64 = (0..cases.len())
                .map(|_| {
                    let (one, two) = &cases[random.below(cases.len())];
                    redrawn_share(one, &mut random) - redrawn_share(two, &mut random)
                })
                .sum();
            total / cases.len() as f64
        })
        .collect();
    Some(percentile_interval(&mut means, cut))
}

/// Hits and trials of each case, when every trial is one yes or no.
fn yes_or_no<'a>(cases: impl Iterator<Item = &'a Vec<Hits>>) -> Option<Vec<Hits>> {
    cases
        .map(|trials| {
            let single = trials.iter().all(|(_, of)| *of == 1);
            let hits = trials.iter().map(|(hits, _)| hits).sum();
            single.then_some((hits, trials.len() as u32))
        })
        .collect()
}

/// The exact percentile interval of the mean of as many cases as given, each drawn from them all.
/// Equal cases have equal parts, so each kind is computed once.
fn resampled<C: Ord + Clone>(
    cases: &[C],
    redrawn: impl Fn(&C) -> Lattice,
    points: u32,
    tail: f64,
) -> Interval {
    let mut sorted = cases.to_vec();
    sorted.sort_unstable();
    let parts: Vec<(f64, Lattice)> = sorted
        .chunk_by(|one, two| one == two)
        .map(|equal| (equal.len() as f64 / cases.len() as f64, redrawn(&equal[0])))
        .collect();
    let (low, high) = Lattice::mix(&parts).times(cases.len()).middle(tail);
    let unit = f64::from(points) * cases.len() as f64;
    Interval {
        low: low as f64 / unit,
        high: high as f64 / unit,
    }
}

fn redrawn_share(trials: &[Hits], random: &mut Random) -> f64 {
    if let [(hits, of)] = trials {
        return f64::from(*hits) / f64::from(*of);
    }
    let (hits, of) = (0..trials.len()).fold((0, 0), |(hits, of), _| {
        let (more_hits, more_of) = trials[random.below(trials.len())];
        (hits + more_hits, of + more_of)
    });
    f64::from(hits) / f64::from(of)
}

/// Cuts `cut` draws off each end.
fn percentile_interval(draws: &mut [f64], cut: usize) -> Interval {
    draws.sort_by(f64::total_cmp);
    Interval {
        low: draws[cut],
        high: draws[draws.len() - 1 - cut],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cases(counts: &[Hits]) -> Vec<Vec<Hits>> {
        let trials = |(hits, of): &Hits| (0..*of).map(|i| (u32::from(i < *hits), 1)).collect();
        counts.iter().map(trials).collect()
    }

    /// The normal approximation of a mean of 200 shares: 0.5 ± 1.96·sd/√200.
    #[test]
    fn many_cases_give_the_normal_interval() {
        let interval = mean_of_shares(&cases(&[(0, 1), (1, 1)].repeat(100)));
        let half = 1.96 * 0.5 / 200_f64.sqrt();
        assert!((interval.low - (0.5 - half)).abs() < 0.006, "{interval:?}");
        assert!((interval.high - (0.5 + half)).abs() < 0.006, "{interval:?}");
    }

    /// numpy 2.4.6, `default_rng(1)`, 2,000,000 draws: cases with replacement, then
    /// `binomial(5, hits / 5)` of each; 2.5 % and 97.5 % `inverted_cdf` quantiles.
    #[test]
    fn the_exact_interval_is_what_many_draws_give() {
        let counts = [
            (5, 5),
            (4, 5),
            (4, 5),
            (2, 5),
            (0, 5),
            (1, 5),
            (5, 5),
            (3, 5),
        ];
        let interval = mean_of_shares(&cases(&counts));
        assert!((interval.low - NUMPY_SHARES.0).abs() < 1e-9, "{interval:?}");
        assert!(
            (interval.high - NUMPY_SHARES.1).abs() < 1e-9,
            "{interval:?}"
        );
        let other = [
            (3, 4),
            (4, 4),
            (0, 4),
            (1, 4),
            (0, 4),
            (1, 4),
            (2, 4),
            (4, 4),
        ];
        let pairs: Vec<_> = cases(&counts).into_iter().zip(cases(&other)).collect();
        let interval = mean_of_differences(&pairs, 0.05).unwrap();
        assert!(
            (interval.low - NUMPY_DIFFERENCES.0).abs() < 1e-9,
            "{interval:?}"
        );
        assert!(
            (interval.high - NUMPY_DIFFERENCES.1).abs() < 1e-9,
            "{interval:?}"
        );
    }
    const NUMPY_SHARES: (f64, f64) = (0.325, 0.85);
    const NUMPY_DIFFERENCES: (f64, f64) = (-0.156_25, 0.431_25);

    /// Trials of calls rather than yes or no are drawn; the limits are near the exact ones of the
    /// same shares.
    #[test]
    fn what_is_drawn_is_near_what_is_computed() {
        let counts = [(5, 5), (4, 5), (2, 5), (0, 5), (1, 5), (3, 5)].repeat(5);
        let exact = mean_of_shares(&cases(&counts));
        let doubled: Vec<Vec<Hits>> = cases(&counts)
            .into_iter()
            .map(|trials| {
                trials
                    .into_iter()
                    .map(|(hits, of)| (2 * hits, 2 * of))
                    .collect()
            })
            .collect();
        let drawn = mean_of_shares(&doubled);
        assert!((exact.low - drawn.low).abs() < 0.015, "{exact:?} {drawn:?}");
        assert!(
            (exact.high - drawn.high).abs() < 0.015,
            "{exact:?} {drawn:?}"
        );
        assert_eq!(drawn, mean_of_shares(&doubled), "a fixed seed");
        let pairs: Vec<_> = doubled.iter().cloned().zip(doubled.clone()).collect();
        assert!(mean_of_differences(&pairs, 0.05).is_some());
        assert_eq!(
            mean_of_differences(&pairs, 0.001),
            None,
            "too far out to be drawn"
        );
    }

    #[test]
    fn equal_trials_differ_by_nothing() {
        let pairs = vec![(vec![(1, 1), (1, 1)], vec![(1, 1), (1, 1)]); 8];
        let interval = mean_of_differences(&pairs, 0.05).unwrap();
        assert_eq!((interval.low, interval.high), (0.0, 0.0));
    }
}
