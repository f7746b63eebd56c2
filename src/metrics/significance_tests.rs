//! Tests against scipy 1.17.1 and statsmodels 0.15.0, and by hand.

use proptest::prelude::*;

use super::*;

fn near(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} against {right}");
}

/// `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.
#[test]
fn mcnemar_agrees_with_statsmodels() {
    for (b, c, p) in [
        (0, 0, 1.0),
        (5, 0, 0.0625),
        (6, 0, 0.031_25),
        (12, 2, 0.012_939_453_125),
        (1, 7, 0.070_312_5),
        (5, 5, 1.0),
        (30, 15, 0.035_697_803_555_194_696),
        (3, 1, 0.625),
    ] {
        near(mcnemar_exact(b, c), p, 1e-12);
        near(mcnemar_exact(c, b), p, 1e-12);
    }
}

/// The airway data (1, 1, 7, 12) of Bentur et al. 2009: Tango's interval is -0.517 to -0.026 in
/// Fagerland, Lydersen and Laake 2014, Stat Med 33:2850-2875, so the statistic is ±1.96 there.
#[test]
fn tango_agrees_with_the_published_interval() {
    near(tango(1.0, 7.0, 21.0, -0.517), 1.96, 0.003);
    near(tango(1.0, 7.0, 21.0, -0.026), -1.96, 0.003);
    let airway = PairedTable {
        both: 1.0,
        only_candidate: 1.0,
        only_baseline: 7.0,
        neither: 12.0,
    };
    let interval = tango_interval(&airway, 1.959_963_985).unwrap();
    near(interval.low, -0.517, 5e-4);
    near(interval.high, -0.026, 5e-4);
    let all = PairedTable {
        only_candidate: 7.0,
        ..PairedTable::default()
    };
    near(tango_interval(&all, 1.96).unwrap().high, 1.0, 1e-12);
    // Without a discordant case the interval is ±z²/(n + z²).
    near(tango(0.0, 0.0, 40.0, 0.087_621_601_2), -1.959_964, 1e-6);
}

/// The formula in numpy with scipy 1.17.1's normal distribution.
#[test]
fn equivalence_agrees_with_python() {
    for (b, c, n, margin, p) in [
        (0.0, 0.0, 40.0, 0.05, 0.073_396_543_654),
        (0.0, 0.0, 73.0, 0.05, 0.024_990_363_680),
        (5.0, 5.0, 400.0, 0.05, 2.547_299_2e-5),
        (3.0, 9.0, 200.0, 0.1, 0.001_265_443_705),
        (12.0, 2.0, 50.0, 0.05, 0.982_018_620_861),
        (1.0, 0.0, 54.0, 0.05, 0.144_239_560_717),
    ] {
        for (b, c) in [(b, c), (c, b)] {
            let table = PairedTable {
                both: n - b - c,
                only_candidate: b,
                only_baseline: c,
                neither: 0.0,
            };
            near(tango_equivalence(&table, margin), p, 1e-10);
        }
    }
}

/// By hand: of 8 sign patterns of {1, 1, 2}, two reach |sum| = 4; of {2, -1}, all reach 1.
#[test]
fn sign_flips_by_hand() {
    near(sign_flip(&[1, 1, 2, 0]), 0.25, 1e-12);
    near(sign_flip(&[2, -1]), 1.0, 1e-12);
    near(sign_flip(&[]), 1.0, 1e-12);
    near(sign_flip(&[0, 0]), 1.0, 1e-12);
    near(sign_flip(&[7, 7, -7, 7]), mcnemar_exact(3, 1), 1e-12);
}

/// `scipy.stats.permutation_test((d,), sum, permutation_type="samples", n_resamples=inf)`.
#[test]
fn sign_flips_agree_with_scipy() {
    near(
        sign_flip(&[3, -1, 4, 2, 2, -3, 5, 1, 0, 2]),
        0.101_562_5,
        1e-12,
    );
    near(sign_flip(&[2, 2, 1, 0, -1, 3, 1]), 0.125, 1e-12);
}

#[test]
fn drawn_sign_flips_are_near_the_exact_ones() {
    let differences = [3, -1, 4, 2, 2, -3, 5, 1, 0, 2];
    let halves: Vec<f64> = differences.iter().map(|d| f64::from(*d) / 7.0).collect();
    let exact = sign_flip(&differences.map(i64::from));
    near(sign_flip_drawn(&halves), exact, 0.007);
    near(sign_flip_drawn(&[]), 1.0, 1e-12);
}

/// `statsmodels.stats.contingency_tables.cochrans_q`: Q = 8.667 on 2 degrees of freedom.
#[test]
fn cochran_agrees_with_statsmodels() {
    let cases = [
        [1, 1, 0],
        [1, 0, 0],
        [1, 1, 1],
        [0, 1, 0],
        [1, 1, 0],
        [1, 0, 1],
        [1, 1, 0],
        [0, 0, 0],
        [1, 1, 0],
        [1, 0, 0],
        [1, 1, 1],
        [1, 1, 0],
    ];
    let cases: Vec<Vec<f64>> = cases
        .iter()
        .map(|case| case.iter().map(|value| f64::from(*value)).collect())
        .collect();
    near(cochran_q(&cases).unwrap(), 0.013_123_728_736_940_971, 1e-12);
    assert_eq!(cochran_q(&[vec![1.0, 1.0], vec![0.0, 0.0]]), Some(1.0));
    assert_eq!(cochran_q(&[vec![1.0, 0.0]]), None);
    assert_eq!(cochran_q(&[]), None);
}

#[test]
fn holm_rejects_what_its_adjusted_values_say() {
    for p_values in [
        vec![0.01, 0.04, 0.03, 0.005],
        vec![0.2, 0.001, 0.013, 0.02],
        vec![0.04],
        vec![],
    ] {
        let by_level = holm_rejects(&p_values, |left| 0.05 / left as f64);
        let by_value: Vec<bool> = holm(&p_values).iter().map(|p| *p <= 0.05).collect();
        assert_eq!(by_level, by_value, "{p_values:?}");
    }
}

/// `statsmodels.stats.multitest.multipletests(method="holm")`.
#[test]
fn holm_agrees_with_statsmodels() {
    for (given, adjusted) in [
        (vec![0.01, 0.04, 0.03, 0.005], vec![0.03, 0.06, 0.06, 0.02]),
        (
            vec![0.5, 0.01, 0.02, 0.02, 0.9],
            vec![1.0, 0.05, 0.08, 0.08, 1.0],
        ),
        (vec![0.04], vec![0.04]),
        (vec![0.6, 0.7], vec![1.0, 1.0]),
    ] {
        for (found, wanted) in holm(&given).into_iter().zip(adjusted) {
            near(found, wanted, 1e-12);
        }
    }
}

proptest! {
    #[test]
    fn holm_never_lowers_and_keeps_order(p in proptest::collection::vec(0.0_f64..=1.0, 1..12)) {
        let adjusted = holm(&p);
        for (i, given) in p.iter().enumerate() {
            prop_assert!(adjusted[i] >= *given && adjusted[i] <= 1.0);
            for (j, other) in p.iter().enumerate() {
                prop_assert!(given > other || adjusted[i] <= adjusted[j]);
            }
        }
    }
}
