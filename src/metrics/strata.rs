//! An exact test of two sides case by case, whatever number of trials each has.
//!
//! Data in: cases with successes and trials of both sides. Data out: a p-value. Invariants: pure; every
//! case weighs the same; exchanging the sides changes nothing; the p-value is exact, or an upper bound
//! of it where trial counts have no common unit.
//!
//! If nothing has changed, the trials of a case are exchangeable between the sides: given how many of
//! them succeed, the number that fall to one side is hypergeometric. Cases are independent, so the
//! distribution of the sum of their differences is the convolution of theirs. Where all trials of a case
//! are paired, pairs are exchanged instead, which holds whatever ties the trials of a pair together. The
//! distribution need not be symmetric, so the p-value is twice the smaller tail: each direction is
//! rejected in at most half of the level.

use super::lattice::{Lattice, common_multiple};

/// The finest unit of a sum.
const FINEST: usize = 2520;
/// The coarsest one that is rounded to.
const COARSEST: usize = 360;
/// Places of a sum that its cases share.
const PLACES: usize = 1_000_000;

/// One case on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stratum {
    /// All trials are paired: how many pairs only one side succeeds in.
    Pairs {
        /// Only the candidate.
        up: u32,
        /// Only the baseline.
        down: u32,
        /// All pairs.
        of: u32,
    },
    /// Successes and trials of each side, which may have different numbers of them.
    Counts {
        /// Of the baseline.
        then: (u32, u32),
        /// Of the candidate.
        now: (u32, u32),
    },
}

impl Stratum {
    /// Nothing about it is left to chance.
    fn is_settled(self) -> bool {
        match self {
            Self::Pairs { up, down, .. } => up + down == 0,
            Self::Counts { then, now } => {
                let hits = then.0 + now.0;
                hits == 0 || hits == then.1 + now.1
            }
        }
    }

    /// Numbers of trials that its shares are fractions of.
    fn units(self) -> [u32; 2] {
        match self {
            Self::Pairs { of, .. } => [of, of],
            Self::Counts { then, now } => [then.1, now.1],
        }
    }

    /// Candidate minus baseline.
    fn difference(self) -> f64 {
        match self {
            Self::Pairs { up, down, of } => (f64::from(up) - f64::from(down)) / f64::from(of),
            Self::Counts { then, now } => {
                f64::from(now.0) / f64::from(now.1) - f64::from(then.0) / f64::from(then.1)
            }
        }
    }

    /// What the difference may be if nothing has changed, with how likely that is.
    fn possible(self) -> Vec<(f64, f64)> {
        match self {
            Self::Pairs { up, down, of } => {
                let apart = up + down;
                let ratio = |hits: u32| f64::from(apart - hits) / f64::from(hits + 1);
                chances(0, apart, ratio)
                    .map(|(hits, chance)| {
                        let moved = 2.0 * f64::from(hits) - f64::from(apart);
                        (moved / f64::from(of), chance)
                    })
                    .collect()
            }
            Self::Counts { then, now } => {
                let hits = then.0 + now.0;
                let lowest = hits.saturating_sub(then.1);
                let highest = hits.min(now.1);
                let ratio = |fallen: u32| {
                    let rest = f64::from(then.1) - f64::from(hits) + f64::from(fallen) + 1.0;
                    f64::from(now.1 - fallen) * f64::from(hits - fallen)
                        / (f64::from(fallen + 1) * rest)
                };
                chances(lowest, highest, ratio)
                    .map(|(fallen, chance)| {
                        let other = Self::Counts {
                            then: (hits - fallen, then.1),
                            now: (fallen, now.1),
                        };
                        (other.difference(), chance)
                    })
                    .collect()
            }
        }
    }
}

/// Chances of the numbers from `lowest` to `highest`, each `ratio` times as likely as the one before.
fn chances(
    lowest: u32,
    highest: u32,
    ratio: impl Fn(u32) -> f64,
) -> impl Iterator<Item = (u32, f64)> {
    // By logarithms: of many trials the ends are smaller than any number that a machine holds.
    let mut logs = vec![0.0_f64];
    for number in lowest..highest {
        logs.push(logs[logs.len() - 1] + ratio(number).ln());
    }
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
    (lowest..=highest)
        .zip(logs)
        .map(move |(number, log)| (number, (log - most).exp() / sum))
}

/// Two-sided; 1 where nothing differs.
pub fn stratified(cases: &[Stratum]) -> f64 {
    let open: Vec<Stratum> = cases
        .iter()
        .copied()
        .filter(|it| !it.is_settled())
        .collect();
    if open.is_empty() {
        return 1.0;
    }
    let most = (PLACES / open.len()).clamp(COARSEST, FINEST);
    let counts = open.iter().flat_map(|case| case.units());
    let common = common_multiple(counts, u32::try_from(most).unwrap_or(u32::MAX));
    let unit = common.map_or(most as f64, f64::from);
    let place = |value: f64| (value * unit).round() as i64;
    // Rounding moves a case by half a unit at most, once in what was seen and once in what may be.
    let slack = match common {
        Some(_) => 0,
        None => i64::try_from(open.len()).unwrap_or(i64::MAX),
    };
    let seen: i64 = open.iter().map(|case| place(case.difference())).sum();
    let mut sum = Lattice::point(0);
    for case in &open {
        let parts: Vec<(f64, Lattice)> = case
            .possible()
            .into_iter()
            .map(|(value, chance)| (chance, Lattice::point(place(value))))
            .collect();
        sum = sum.plus(&Lattice::mix(&parts));
    }
    let tail = sum.at_most(seen + slack).min(sum.at_least(seen - slack));
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(then: (u32, u32), now: (u32, u32)) -> Stratum {
        Stratum::Counts { then, now }
    }

    fn near(left: f64, right: f64) {
        assert!((left - right).abs() < 1e-12, "{left} against {right}");
    }

    /// By hand: of six trials two succeed; that the one of the baseline is among them has a chance of
    /// 1/3. Seven such cases, and one in which all fail.
    #[test]
    fn one_trial_against_five() {
        let broken = counts((1, 1), (1, 5));
        near(stratified(&[broken]), 2.0 / 3.0);
        let mut cases = vec![broken; 7];
        cases.push(counts((0, 1), (0, 5)));
        near(stratified(&cases), 2.0 / 3.0_f64.powi(7));
        near(stratified(&[counts((0, 1), (0, 5))]), 1.0);
        near(stratified(&[]), 1.0);
    }

    /// `scipy.stats.hypergeom(8, 4, 3).pmf`: 1/14, 6/14, 6/14, 1/14 for 0 to 3 successes now.
    #[test]
    fn five_trials_against_three() {
        near(stratified(&[counts((4, 5), (0, 3))]), 2.0 / 14.0);
        near(stratified(&[counts((1, 5), (3, 3))]), 2.0 / 14.0);
        near(stratified(&[counts((3, 5), (1, 3))]), 1.0);
        let both = [counts((4, 5), (0, 3)), counts((4, 5), (0, 3))];
        near(stratified(&both), 2.0 / 196.0);
    }

    /// One trial against one is a pair, and pairs of one case are McNemar's.
    #[test]
    fn one_against_one_is_a_pair() {
        let pair = Stratum::Pairs {
            up: 0,
            down: 1,
            of: 1,
        };
        let cases = vec![counts((1, 1), (0, 1)); 6];
        near(stratified(&cases), stratified(&[pair; 6]));
        near(stratified(&cases), 2.0 / 64.0);
        let five = Stratum::Pairs {
            up: 0,
            down: 5,
            of: 5,
        };
        near(stratified(&[five, counts((1, 1), (0, 1))]), 2.0 / 64.0);
    }

    /// Without a common unit the p-value is at most a little larger.
    #[test]
    fn counts_without_a_common_unit_are_bounded_from_above() {
        let cases = [
            counts((10, 11), (3, 13)),
            counts((12, 17), (9, 19)),
            counts((20, 23), (20, 29)),
        ];
        let mirrored: Vec<Stratum> = cases
            .iter()
            .map(|case| match *case {
                Stratum::Counts { then, now } => counts(now, then),
                pairs @ Stratum::Pairs { .. } => pairs,
            })
            .collect();
        let mut exact = [0.0, 0.0];
        let seen: f64 = cases.iter().map(|case| case.difference()).sum();
        for (one, p1) in cases[0].possible() {
            for (two, p2) in cases[1].possible() {
                for (three, p3) in cases[2].possible() {
                    let sum = one + two + three;
                    exact[0] += if sum <= seen + 1e-12 {
                        p1 * p2 * p3
                    } else {
                        0.0
                    };
                    exact[1] += if sum >= seen - 1e-12 {
                        p1 * p2 * p3
                    } else {
                        0.0
                    };
                }
            }
        }
        let exact = (2.0 * exact[0].min(exact[1])).min(1.0);
        let found = stratified(&cases);
        assert!(
            exact <= found && found < exact * 1.1,
            "{found} against {exact}"
        );
        near(found, stratified(&mirrored));
    }

    #[test]
    fn many_trials_are_no_overflow() {
        let same = stratified(&[counts((45_000, 90_000), (50, 100))]);
        assert!(same > 0.9, "{same}");
        let worse = stratified(&[counts((89_000, 90_000), (50, 100))]);
        assert!(worse < 1e-9, "{worse}");
    }
}
