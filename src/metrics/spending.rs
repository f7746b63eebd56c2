//! How a chance of error is spent over several looks at growing data.
//!
//! Data in: the whole chance, the information at each look. Data out: the limit of a two-sided
//! p-value at each look. Invariants: pure; limits never exceed the whole; with a single look the
//! limit is the whole.
//!
//! The spending function is Lan and DeMets' of O'Brien and Fleming's kind (Lan, DeMets 1983,
//! Biometrika 70:659-663), half of the chance on each side; limits come from the recursion of
//! Armitage, McPherson and Rowe (1969, JRSS A 132:235-244). Little is spent early, so a run that
//! goes to its end keeps nearly all of its power.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// Chance spent when `information` (0 to 1) has been seen.
pub fn spent(alpha: f64, information: f64) -> f64 {
    if information <= 0.0 {
        return 0.0;
    }
    if information >= 1.0 {
        return alpha;
    }
    let normal = Normal::standard();
    let z = -normal.inverse_cdf(alpha / 4.0);
    4.0 * normal.sf(z / information.sqrt())
}

/// Intervals of the grid over which a density is integrated (Simpson's rule, an even number).
const STEPS: usize = 400;
/// No boundary is further out.
const FURTHEST: f64 = 12.0;

/// The density of the sum on the way, where no boundary has been crossed, times the weights of the
/// integration.
struct Inside {
    places: Vec<f64>,
    weights: Vec<f64>,
    information: f64,
}

impl Inside {
    /// Chance that the sum crosses `boundary`, on either side, when `step` (a standard deviation)
    /// is added.
    fn crossing(&self, boundary: f64, step: f64) -> f64 {
        let normal = Normal::standard();
        let masses = self.places.iter().zip(&self.weights);
        masses
            .map(|(place, weight)| {
                let above = normal.sf((boundary - place) / step);
                let below = normal.sf((boundary + place) / step);
                weight * (above + below)
            })
            .sum()
    }

    fn next(&self, boundary: f64, step: f64, information: f64) -> Self {
        let normal = Normal::standard();
        let width = 2.0 * boundary / STEPS as f64;
        let places: Vec<f64> = (0..=STEPS)
            .map(|index| index as f64 * width - boundary)
            .collect();
        let weights = places
            .iter()
            .enumerate()
            .map(|(index, place)| {
                let masses = self.places.iter().zip(&self.weights);
                let density: f64 = masses
                    .map(|(from, weight)| weight * normal.pdf((place - from) / step) / step)
                    .sum();
                let simpson = match index {
                    0 | STEPS => 1.0,
                    odd if odd % 2 == 1 => 4.0,
                    _ => 2.0,
                };
                density * simpson * width / 3.0
            })
            .collect();
        Self {
            places,
            weights,
            information,
        }
    }
}

/// The limit of a two-sided p-value at each look, for rising `information`.
pub fn limits(alpha: f64, information: &[f64]) -> Vec<f64> {
    if let [_] = information {
        return vec![alpha];
    }
    let normal = Normal::standard();
    let mut inside = Inside {
        places: vec![0.0],
        weights: vec![1.0],
        information: 0.0,
    };
    let mut already = 0.0;
    let mut limits = Vec::new();
    for (look, &seen) in information.iter().enumerate() {
        let step = (seen - inside.information).max(1e-9).sqrt();
        // The last look has the rest, wherever rounding has put its information.
        let all = if look + 1 == information.len() {
            1.0
        } else {
            seen
        };
        let target = spent(alpha, all) - already;
        let (mut near, mut far) = (0.0, FURTHEST);
        for _ in 0..60 {
            let middle = f64::midpoint(near, far);
            if inside.crossing(middle, step) > target {
                near = middle;
            } else {
                far = middle;
            }
        }
        limits.push((2.0 * normal.sf(far / seen.sqrt())).min(alpha));
        already += inside.crossing(far, step);
        inside = inside.next(far, step, seen);
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;

    /// z at each look of five: Lan-DeMets bounds of O'Brien-Fleming's kind, two-sided 5 %, as in
    /// DeMets and Lan 1994, Stat Med 13:1341-1352, and printed by the program `ld98` (Reboussin et
    /// al. 2000, Control Clin Trials 21:190-207).
    #[test]
    fn limits_agree_with_the_published_bounds() {
        let found = limits(0.05, &[0.2, 0.4, 0.6, 0.8, 1.0]);
        for (limit, z) in found.iter().zip([4.8769, 3.3569, 2.6803, 2.2898, 2.0310]) {
            let found = -Normal::standard().inverse_cdf(limit / 2.0);
            assert!((found - z).abs() < 2e-4, "{found} against {z}");
        }
    }

    /// z of a one-sided 5 % plan of four looks, as printed in the README of SeqBounds.jl; a two-sided
    /// 10 % plan differs only by crossing both ways.
    #[test]
    fn limits_agree_with_another_package() {
        let found = limits(0.10, &[0.25, 0.5, 0.75, 1.0]);
        for (limit, z) in found.iter().zip([3.749_55, 2.539_93, 2.016_04, 1.720_14]) {
            let found = -Normal::standard().inverse_cdf(limit / 2.0);
            assert!((found - z).abs() < 5e-4, "{found} against {z}");
        }
    }

    /// The same recursion in numpy 2.4.6 and scipy 1.17.1, with a grid of its own.
    #[test]
    fn other_plans_agree_with_python() {
        for (alpha, information, wanted) in PYTHON {
            for (limit, wanted) in limits(alpha, information).iter().zip(wanted) {
                assert!(
                    (limit / wanted - 1.0).abs() < 1e-3,
                    "{limit} against {wanted}"
                );
            }
        }
    }
    type Plan = (f64, &'static [f64], &'static [f64]);
    const PYTHON: [Plan; 4] = [
        (
            0.05,
            &[0.25, 0.5, 0.75, 1.0],
            &[1.473_36e-5, 0.003_045_26, 0.018_322_1, 0.044_000_1],
        ),
        (
            0.025,
            &[0.2, 0.4, 0.6, 0.8, 1.0],
            &[
                4.672_95e-8,
                0.000_156_795,
                0.002_470_27,
                0.009_655_67,
                0.021_677_8,
            ],
        ),
        (
            0.05,
            &[0.12, 0.24, 0.36, 0.48, 0.6, 0.8, 0.9, 0.96, 1.0],
            &[
                1.955_23e-10,
                9.513_22e-6,
                0.000_371_049,
                0.002_308_56,
                0.006_837_72,
                0.021_935_1,
                0.028_601_4,
                0.031_992_7,
                0.034_004_6,
            ],
        ),
        (0.05, &[0.3, 1.0], &[8.545_16e-5, 0.049_969_7]),
    ];

    #[test]
    fn a_single_look_has_it_all_and_little_is_spent_early() {
        assert_eq!(limits(0.05, &[1.0]), [0.05]);
        assert!((spent(0.05, 1.0) - 0.05).abs() < 1e-15);
        assert!(spent(0.05, 0.2) < 2e-6);
        assert!(spent(0.05, 0.0).abs() < f64::EPSILON);
        let rising = limits(0.05, &[0.25, 0.5, 0.75, 1.0]);
        assert!(
            rising.windows(2).all(|pair| pair[0] < pair[1]),
            "{rising:?}"
        );
    }
}
