//! Detectable differences against scipy 1.17.1 (`binom`, `brentq`) and published sample sizes.

use super::*;

fn near(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} against {right}");
}

/// Sums over `scipy.stats.binom`, solved with `scipy.optimize.brentq`.
#[test]
fn differences_agree_with_scipy() {
    for (n, discordance, alpha, wanted) in [
        (26, 0.0, 0.05, 0.287_043_576),
        (26, 0.3, 0.05, 0.293_236_057),
        (100, 0.1, 0.05, 0.088_417_283),
        (100, 0.3, 0.05, 0.158_531_639),
        (400, 0.3, 0.05, 0.078_571_324),
        (400, 0.3, 0.025, 0.085_958_437),
        (6, 0.5, 0.05, 0.963_492_484),
    ] {
        near(
            detectable_discordant(n, discordance, alpha).unwrap(),
            wanted,
            1e-6,
        );
    }
    assert_eq!(
        detectable_discordant(5, 0.5, 0.05),
        None,
        "five cases cannot reject"
    );
    near(
        Rejections::new(50, 0.05).power(0.3, 0.2),
        0.699_305_286_682,
        1e-9,
    );
}

/// Connor 1987, Biometrics 43:207-211, normal approximation: n = (z √ψ + z' √(ψ - δ²))² / δ². The
/// exact test needs a little more, so at that n it finds a little more than δ.
#[test]
fn differences_are_near_the_published_formula() {
    for (discordance, difference) in [(0.3_f64, 0.1_f64), (0.4, 0.15), (0.2, 0.1)] {
        let root = z_95() * discordance.sqrt()
            + z_power() * (discordance - difference * difference).sqrt();
        let n = (root / difference).powi(2).ceil() as u64;
        let exact = detectable_discordant(n, discordance, 0.05).unwrap();
        assert!(
            difference <= exact && exact < 1.06 * difference,
            "{difference}: {exact} with {n}"
        );
    }
}

/// `statsmodels.stats.proportion.proportion_confint(method="wilson")` and `scipy.stats.binom`.
#[test]
fn falls_agree_with_statsmodels() {
    for (present, n, wanted) in [
        (0.9, 26, Some(0.187_043_576)),
        (0.9, 100, Some(0.088_181_823)),
        (0.5, 100, Some(0.135_381_589)),
        (0.9, 400, Some(0.043_588_987)),
        (1.0, 26, Some(0.060_024_491)),
        (0.1, 10, None),
    ] {
        match (detectable_fall(present, n), wanted) {
            (Some(found), Some(wanted)) => near(found, wanted, 1e-7),
            (found, wanted) => assert_eq!(found, wanted, "{present} {n}"),
        }
    }
}

#[test]
fn several_trials_use_the_spread_of_the_differences() {
    let cases: Vec<PairedCase> = (0..30)
        .map(|case| PairedCase {
            baseline: vec![case % 2 == 0, case % 3 == 0],
            candidate: vec![case % 2 == 1, case % 5 == 0],
        })
        .collect();
    let found = detectable_difference(&cases, 0.05).unwrap();
    let spread = found.spread.unwrap();
    // By hand: half of the interval's width and 0.84162 standard errors.
    let interval = Estimate::of(&cases).unwrap().interval;
    let half = (interval.high - interval.low) / 2.0;
    near(
        found.difference,
        half + 0.841_621_2 * spread / 30_f64.sqrt(),
        1e-6,
    );
    assert_eq!(found.discordance, None);
    let single = vec![
        PairedCase {
            baseline: vec![true],
            candidate: vec![true],
        };
        26
    ];
    let found = detectable_difference(&single, 0.05).unwrap();
    near(found.difference, 0.287_043_576, 1e-6);
    assert_eq!(found.discordance, Some(found.difference));
    assert_eq!(detectable_difference(&single[..5], 0.05), None);
    assert_eq!(detectable_difference(&[], 0.05), None);
}
