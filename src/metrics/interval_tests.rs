//! Intervals against published tables and against scipy 1.17.1 / statsmodels 0.15.0.

use proptest::prelude::*;

use super::*;

fn near(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} against {right}");
}

fn table(both: f64, only_candidate: f64, only_baseline: f64, neither: f64) -> PairedTable {
    PairedTable {
        both,
        only_candidate,
        only_baseline,
        neither,
    }
}

/// Newcombe 1998, Stat Med 17:857-872, Table I, method 3 (four decimals).
#[test]
fn wilson_agrees_with_newcombe_1998_table_one() {
    for (successes, n, low, high) in [
        (81.0, 263.0, 0.2553, 0.3662),
        (15.0, 148.0, 0.0624, 0.1605),
        (0.0, 20.0, 0.0, 0.1611),
        (1.0, 29.0, 0.0061, 0.1718),
    ] {
        let interval = wilson(successes, n).unwrap();
        near(interval.low, low, 5e-5);
        near(interval.high, high, 5e-5);
    }
}

/// `statsmodels.stats.proportion.proportion_confint(x, n, method="wilson")`.
#[test]
fn wilson_agrees_with_statsmodels() {
    for (successes, n, low, high) in [
        (81.0, 263.0, 0.255_288_519_878, 0.366_209_576_983),
        (25.0, 30.0, 0.664_356_494_936, 0.926_634_576_282),
        (30.0, 30.0, 0.886_486_606_826, 1.0),
        (7.0, 7.0, 0.645_669_564_933, 1.0),
        (1.0, 1.0, 0.206_549_314_377, 1.0),
        (5.0, 10.0, 0.236_593_090_513, 0.763_406_909_487),
    ] {
        let interval = wilson(successes, n).unwrap();
        near(interval.low, low, 1e-11);
        near(interval.high, high, 1e-11);
    }
    assert_eq!(wilson(0.0, 0.0), None);
    near(z_95(), 1.959_963_984_540_054, 1e-14);
}

/// (36,12,2,0) and (20,12,2,16) are examples of Newcombe 1998, Stat Med 17:2635-2650. The airway
/// data (1,1,7,12) are Bentur et al. 2009 as worked by Fagerland, Lydersen and Laake 2014, Stat Med
/// 33:2850-2875: -0.507 to -0.026. The rest from the formula in Python on statsmodels' Wilson.
#[test]
fn paired_interval_agrees_with_worked_examples() {
    for (cells, estimate, low, high) in [
        (table(36.0, 12.0, 2.0, 0.0), 0.2, 0.0569, 0.3404),
        (table(20.0, 12.0, 2.0, 16.0), 0.2, 0.0562, 0.3292),
        (table(1.0, 1.0, 7.0, 12.0), -0.2857, -0.5069, -0.0256),
        (table(59.0, 6.0, 16.0, 80.0), -0.0621, -0.1186, -0.0046),
        (table(14.0, 5.0, 0.0, 22.0), 0.122, 0.0115, 0.2265),
        (table(54.0, 0.0, 0.0, 0.0), 0.0, -0.0664, 0.0664),
        (table(16.0, 0.0, 1.0, 37.0), -0.0185, -0.0748, 0.0366),
        (table(0.0, 29.0, 0.0, 0.0), 1.0, 0.8346, 1.0),
    ] {
        let (difference, interval) = newcombe_paired(&cells).unwrap();
        near(difference, estimate, 5e-5);
        near(interval.low, low, 5.1e-5);
        near(interval.high, high, 5.1e-5);
    }
    assert_eq!(newcombe_paired(&PairedTable::default()), None);
}

/// `scipy.stats.binom`, version 1.17.1: largest and smallest rank whose tail holds at most 2.5 %.
#[test]
fn quantile_ranks_agree_with_scipy() {
    for (n, share, low, high) in [
        (5, 0.5, None, None),
        (6, 0.5, Some(1), Some(6)),
        (10, 0.5, Some(2), Some(9)),
        (26, 0.5, Some(8), Some(19)),
        (100, 0.5, Some(40), Some(61)),
        (100, 0.95, Some(90), Some(100)),
        (20, 0.95, Some(17), None),
        (400, 0.95, Some(371), Some(389)),
    ] {
        assert_eq!(quantile_ranks(n, share), (low, high), "{n} {share}");
    }
}

/// `statsmodels.stats.proportion.proportion_confint(x, n, alpha, method="wilson")`.
const LEVELS: [(f64, f64, f64, f64, f64); 4] = [
    (81.0, 263.0, 0.01, 0.240_136_902_688, 0.385_282_502_318),
    (25.0, 30.0, 0.001, 0.533_630_975_136, 0.956_234_130_132),
    (0.0, 20.0, 0.1, 0.0, 0.119_157_837_361),
    (10.0, 10.0, 0.0158, 0.631_911_672_637, 1.0),
];

#[test]
fn other_levels_agree_with_statsmodels() {
    for (successes, n, alpha, low, high) in LEVELS {
        let interval = wilson_at(successes, n, z_of(alpha)).unwrap();
        near(interval.low, low, 1e-11);
        near(interval.high, high, 1e-11);
    }
}

proptest! {
    #[test]
    fn wilson_stays_inside_and_holds_the_estimate(n in 1_u32..2000, part in 0.0_f64..=1.0) {
        let successes = f64::from(n) * part;
        let interval = wilson(successes, f64::from(n)).unwrap();
        prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        prop_assert!(interval.low <= part + 1e-12 && part <= interval.high + 1e-12);
        prop_assert!(interval.high - interval.low > 0.0);
    }

    #[test]
    fn paired_interval_is_antisymmetric(a in 0_u32..60, b in 0_u32..60, c in 0_u32..60, d in 0_u32..60) {
        prop_assume!(a + b + c + d > 0);
        let (a, b, c, d) = (f64::from(a), f64::from(b), f64::from(c), f64::from(d));
        let (difference, there) = newcombe_paired(&table(a, b, c, d)).unwrap();
        let (mirrored, back) = newcombe_paired(&table(a, c, b, d)).unwrap();
        prop_assert!((difference + mirrored).abs() < 1e-12);
        prop_assert!((there.low + back.high).abs() < 1e-9 && (there.high + back.low).abs() < 1e-9);
        prop_assert!(there.low <= difference && difference <= there.high);
    }
}
