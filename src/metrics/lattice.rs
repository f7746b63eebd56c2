//! Exact distributions on whole numbers: what resampling would show after endlessly many draws.
//!
//! Data in: masses on a range of whole numbers. Data out: mixtures, sums, quantiles, tail masses.
//! Invariants: pure; masses are not negative and sum to 1 up to rounding and what [`TRIMMED`] cuts
//! off; sums of n equal parts take a logarithmic number of convolutions.

/// Most mass that may be cut off either end of a sum: far below any quantile asked for.
const TRIMMED: f64 = 1e-18;

/// Lengths and ranks as places. What is this long does not fit a machine.
fn signed(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// A distribution on the whole numbers from `lowest` on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lattice {
    lowest: i64,
    mass: Vec<f64>,
}

impl Lattice {
    /// All mass on one number.
    pub(super) fn point(at: i64) -> Self {
        Self {
            lowest: at,
            mass: vec![1.0],
        }
    }

    /// `step` times a binomial number of `successes` among `trials`, each as likely as observed:
    /// what drawing a case's trials again gives. `step` may be negative.
    pub(super) fn redrawn(successes: u32, trials: u32, step: i64) -> Self {
        let chance = f64::from(successes) / f64::from(trials);
        let mut mass = vec![1.0];
        for _ in 0..trials {
            let mut next = vec![0.0; mass.len() + 1];
            for (index, value) in mass.iter().enumerate() {
                next[index] += value * (1.0 - chance);
                next[index + 1] += value * chance;
            }
            mass = next;
        }
        let width = step.unsigned_abs() as usize;
        let mut spread = vec![0.0; width * trials as usize + 1];
        for (index, value) in mass.into_iter().enumerate() {
            let place = if step < 0 {
                (trials as usize - index) * width
            } else {
                index * width
            };
            spread[place] = value;
        }
        Self {
            lowest: (step * i64::from(trials)).min(0),
            mass: spread,
        }
    }

    /// Adds `weight` times another distribution; weights sum to 1 in the end.
    pub(super) fn mix(parts: &[(f64, Self)]) -> Self {
        let lowest = parts.iter().map(|(_, part)| part.lowest).min().unwrap_or(0);
        let highest = parts.iter().map(|(_, part)| part.highest()).max();
        let mut mass = vec![0.0; (highest.unwrap_or(lowest) - lowest + 1) as usize];
        for (weight, part) in parts {
            let offset = (part.lowest - lowest) as usize;
            for (place, value) in mass[offset..].iter_mut().zip(&part.mass) {
                *place += weight * value;
            }
        }
        Self { lowest, mass }
    }

    fn highest(&self) -> i64 {
        self.lowest + signed(self.mass.len()) - 1
    }

    /// The sum of two independent numbers.
    pub(super) fn plus(&self, other: &Self) -> Self {
        let (long, short) = if self.mass.len() < other.mass.len() {
            (other, self)
        } else {
            (self, other)
        };
        let mut mass = vec![0.0; long.mass.len() + short.mass.len() - 1];
        for (offset, factor) in short.mass.iter().enumerate() {
            if *factor > 0.0 {
                for (place, value) in mass[offset..].iter_mut().zip(&long.mass) {
                    *place += factor * value;
                }
            }
        }
        let mut sum = Self {
            lowest: self.lowest + other.lowest,
            mass,
        };
        sum.trim();
        sum
    }

    fn trim(&mut self) {
        let kept_from = |values: &mut dyn Iterator<Item = &f64>| {
            let mut cut = 0.0;
            values
                .take_while(|value| {
                    cut += **value;
                    cut < TRIMMED
                })
                .count()
        };
        let back = kept_from(&mut self.mass.iter().rev());
        self.mass.truncate((self.mass.len() - back).max(1));
        let front = kept_from(&mut self.mass.iter()).min(self.mass.len() - 1);
        self.mass.drain(..front);
        self.lowest += signed(front);
    }

    /// The sum of `count` independent numbers of this distribution.
    pub(super) fn times(&self, count: usize) -> Self {
        let mut sum = Self::point(0);
        let mut power = self.clone();
        let mut left = count;
        while left > 0 {
            if left & 1 == 1 {
                sum = sum.plus(&power);
            }
            left >>= 1;
            if left > 0 {
                power = power.plus(&power);
            }
        }
        sum
    }

    /// The smallest number that more than `tail` of the mass does not exceed, and the largest that
    /// more than `tail` of the mass does not fall short of.
    pub(super) fn middle(&self, tail: f64) -> (i64, i64) {
        let beyond = |values: &mut dyn Iterator<Item = &f64>| {
            let mut mass = 0.0;
            let cut = values.take_while(|value| {
                mass += **value;
                mass <= tail
            });
            signed(cut.count())
        };
        let low = self.lowest + beyond(&mut self.mass.iter());
        let high = self.highest() - beyond(&mut self.mass.iter().rev());
        (low.min(self.highest()), high.max(self.lowest))
    }

    /// Mass on `highest` and below.
    pub(super) fn at_most(&self, highest: i64) -> f64 {
        let kept = (highest - self.lowest + 1).clamp(0, signed(self.mass.len()));
        self.mass[..kept as usize].iter().sum()
    }

    /// Mass on `lowest` and above.
    pub(super) fn at_least(&self, lowest: i64) -> f64 {
        let cut = (lowest - self.lowest).clamp(0, signed(self.mass.len()));
        self.mass[cut as usize..].iter().sum()
    }

    /// Mass at least `distance` away from 0.
    pub(super) fn at_least_from_zero(&self, distance: i64) -> f64 {
        let far = |place: usize| (self.lowest + signed(place)).abs() >= distance;
        let masses = self.mass.iter().enumerate();
        masses
            .filter(|(place, _)| far(*place))
            .map(|(_, mass)| mass)
            .sum()
    }
}

/// The smallest number that all `counts` divide, if it is at most `most`.
pub(super) fn common_multiple(counts: impl IntoIterator<Item = u32>, most: u32) -> Option<u32> {
    let mut multiple = 1_u32;
    for count in counts {
        let (mut one, mut two) = (multiple, count);
        while two > 0 {
            (one, two) = (two, one % two);
        }
        multiple = multiple.checked_mul(count / one.max(1))?;
        if multiple == 0 || multiple > most {
            return None;
        }
    }
    Some(multiple)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `scipy.stats.binom.pmf([0..6], 6, 0.5)` and by hand: two draws of three trials each.
    #[test]
    fn sums_are_binomial() {
        let three = Lattice::redrawn(1, 2, 1);
        let six = three.times(3);
        assert_eq!(six.lowest, 0);
        for (found, wanted) in six.mass.iter().zip([1.0, 6.0, 15.0, 20.0, 15.0, 6.0, 1.0]) {
            assert!((found - wanted / 64.0).abs() < 1e-15);
        }
        assert_eq!(
            six.middle(0.025),
            (1, 5),
            "1/64 lies below 2.5 %, 7/64 does not"
        );
        assert!((six.at_least_from_zero(5) - 7.0 / 64.0).abs() < 1e-15);
        for (found, wanted) in [
            (six.at_most(1), 7.0 / 64.0),
            (six.at_least(6), 1.0 / 64.0),
            (six.at_most(-1), 0.0),
            (six.at_least(-1), 1.0),
            (six.at_least(7), 0.0),
        ] {
            assert!((found - wanted).abs() < 1e-15, "{found} against {wanted}");
        }
    }

    #[test]
    fn steps_may_be_negative_and_parts_mix() {
        let down = Lattice::redrawn(1, 1, -3);
        assert_eq!(
            (down.lowest, down.mass.clone()),
            (-3, vec![1.0, 0.0, 0.0, 0.0])
        );
        let mixed = Lattice::mix(&[(0.25, down), (0.75, Lattice::point(1))]);
        assert_eq!(mixed.mass, vec![0.25, 0.0, 0.0, 0.0, 0.75]);
        let sum = mixed.plus(&mixed);
        assert_eq!(sum.lowest, -6);
        assert!((sum.mass[4] - 2.0 * 0.25 * 0.75).abs() < 1e-15);
    }

    #[test]
    fn trimming_keeps_the_mass() {
        let sum = Lattice::redrawn(1, 50, 1).times(400);
        let total: f64 = sum.mass.iter().sum();
        assert!((total - 1.0).abs() < 1e-12, "{total}");
        assert!(sum.mass.len() < 1000, "{}", sum.mass.len());
    }

    #[test]
    fn multiples() {
        assert_eq!(common_multiple([5, 4, 5], 60), Some(20));
        assert_eq!(common_multiple([1, 1], 60), Some(1));
        assert_eq!(common_multiple([7, 11], 60), None);
        assert_eq!(common_multiple([], 60), Some(1));
    }
}
