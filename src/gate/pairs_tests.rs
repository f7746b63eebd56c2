//! Against counts by hand and exact tests.

use super::*;
use crate::metrics::power::detectable_discordant;

fn near(left: f64, right: f64, tolerance: f64) {
    assert!((left - right).abs() <= tolerance, "{left} against {right}");
}

fn cases(pairs: &[&str]) -> Vec<PairedTrials> {
    // One letter a pair: `=` both succeed, `-` only then, `+` only now, `.` neither.
    let pair = |letter| match letter {
        '=' => (true, true),
        '-' => (true, false),
        '+' => (false, true),
        _ => (false, false),
    };
    pairs
        .iter()
        .map(|case| {
            let pairs: Vec<(bool, bool)> = case.chars().map(pair).collect();
            let hits = |side: fn(&(bool, bool)) -> bool| {
                pairs.iter().filter(|pair| side(pair)).count() as u32
            };
            let of = pairs.len() as u32;
            PairedTrials {
                then: (hits(|pair| pair.0), of),
                now: (hits(|pair| pair.1), of),
                pairs,
            }
        })
        .collect()
}

fn line(trials: &str) -> CaseLine {
    CaseLine {
        trials: trials.to_owned(),
        ..CaseLine::default()
    }
}

fn many(counts: &[(&'static str, usize)]) -> Vec<PairedTrials> {
    let kinds = counts.iter();
    let list: Vec<&str> = kinds
        .flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count))
        .collect();
    cases(&list)
}

/// Newcombe 1998 as worked in `metrics::interval`: 59, 6, 16, 80 cases give -0.0621, -0.1186 to
/// -0.0046; `scipy.stats.binomtest(6, 22).pvalue` is 0.0525.
#[test]
fn one_trial_a_case_is_newcombe_and_mcnemar() {
    let found = Difference::of(&many(&[("=", 59), ("+", 6), ("-", 16), (".", 80)]), false).unwrap();
    near(found.difference, -0.0621, 5e-5);
    near(found.low, -0.1186, 5.1e-5);
    near(found.high, -0.0046, 5.1e-5);
    near(found.p_value.unwrap(), 0.052_478_790_283_203_125, 1e-9);
    assert_eq!((found.cases, found.pairs), (161, 161));
}

/// Two cases of five trials break: ten pairs against none, 2 · 2⁻¹⁰.
#[test]
fn trials_of_a_case_are_pairs_of_their_own() {
    let found = Difference::of(
        &cases(&["-----", "-----", "=====", "=====", "....."]),
        false,
    )
    .unwrap();
    near(found.p_value.unwrap(), 2.0 / 1024.0, 1e-12);
    near(found.difference, -0.4, 1e-12);
    near(found.baseline_rate, 0.8, 1e-12);
    near(found.effective_pairs, 25.0, 1e-9);
    assert!(found.low < -0.4 && found.high < 0.0, "{found:?}");
}

/// By hand: pairs weigh 1/2, 1/2 and 1, all down; of the eight patterns of signs two are as far out.
#[test]
fn cases_with_fewer_pairs_weigh_as_much() {
    let found = Difference::of(&cases(&["--", "-"]), false).unwrap();
    near(found.p_value.unwrap(), 0.25, 1e-12);
    near(found.difference, -1.0, 1e-12);
    let found = Difference::of(&cases(&["-=", "="]), false).unwrap();
    near(found.difference, -0.25, 1e-12);
    near(found.effective_pairs, 4.0 / 1.5, 1e-12);
}

#[test]
fn exchanging_sides_mirrors() {
    let one = Difference::of(&cases(&["-=+", "--.", "==="]), false).unwrap();
    let two = Difference::of(&cases(&["+=-", "++.", "==="]), false).unwrap();
    near(one.difference, -two.difference, 1e-12);
    near(one.low, -two.high, 1e-9);
    near(one.p_value.unwrap(), two.p_value.unwrap(), 1e-12);
}

#[test]
fn what_is_exact_has_no_interval_and_no_test() {
    let found = Difference::of(&cases(&["-", "=", "="]), true).unwrap();
    assert!(found.is_exact());
    near(found.low, -1.0 / 3.0, 1e-12);
    assert_eq!(
        (found.low, found.high),
        (found.difference, found.difference)
    );
    assert_eq!(found.detectable(0.05), None);
    assert_eq!(Difference::of(&[], false), None);
}

/// Near the exact power of McNemar's test as comparisons have it, and on the safe side of it: there a
/// difference is taken to be part of the pairs that differ already.
#[test]
fn what_would_be_found_is_near_the_exact_power() {
    for (discordant, n) in [(20, 100), (10, 100), (60, 200)] {
        let half = discordant / 2;
        let all = many(&[("=", n - discordant), ("+", half), ("-", half)]);
        let found = Difference::of(&all, false)
            .unwrap()
            .detectable(0.05)
            .unwrap();
        let share = discordant as f64 / n as f64;
        let exact = detectable_discordant(n as u64, share, 0.05).unwrap();
        assert!(
            exact - 0.01 < found && found < exact + 0.08,
            "{found} against {exact}"
        );
    }
    let few = Difference::of(&many(&[("=", 4)]), false).unwrap();
    assert_eq!(few.detectable(0.05), None, "four pairs show nothing");
    let six = Difference::of(&many(&[("=", 8)]), false).unwrap();
    assert!(six.detectable(0.05).unwrap() >= 6.0 / 8.0);
}

#[test]
fn trials_pair_by_index() {
    let of = |then: &str, now: &str| PairedTrials::of(&line(then), &line(now));
    let pairs = |then: &str, now: &str| of(then, now).map(|it| it.pairs);
    assert_eq!(
        pairs("P-F", "FPR"),
        Some(vec![(true, false), (false, true)])
    );
    assert!(of("PF", "FP").unwrap().is_complete());
    assert!(of("P-", "F-").unwrap().is_complete());
    for (then, now) in [("P", "PP"), ("P-F", "FPR"), ("P-", "-F"), ("PP-", "-PF")] {
        assert!(!of(then, now).unwrap().is_complete(), "{then} {now}");
    }
    assert_eq!(of("--", "PP"), None);
}

/// Eight cases, one trial then and five now of which only the first passes: as many successes in the
/// pairs, and a fall from 87.5 % to 17.5 % in all. By hand: 2 · (1/3)⁷.
#[test]
fn trials_without_a_partner_count() {
    let mut cases: Vec<PairedTrials> = (0..7)
        .map(|_| PairedTrials::of(&line("P"), &line("PFFFF")).unwrap())
        .collect();
    cases.push(PairedTrials::of(&line("F"), &line("FFFFF")).unwrap());
    let found = Difference::of(&cases, false).unwrap();
    assert!(found.stratified);
    assert_eq!((found.baseline_trials, found.candidate_trials), (8, 40));
    near(found.baseline_rate, 0.875, 1e-12);
    near(found.candidate_rate, 0.175, 1e-12);
    near(found.difference, -0.7, 1e-12);
    near(found.p_value.unwrap(), 2.0 / 3.0_f64.powi(7), 1e-12);
    near(found.effective_pairs, 8.0 * 2.0 / 1.2, 1e-9);
    assert!(
        found.low < -0.7 && -0.7 < found.high && found.high < 0.0,
        "{found:?}"
    );
    let exact = Difference::of(&cases, true).unwrap();
    near(exact.low, -0.7, 1e-12);
    // The other way round the same, mirrored.
    let turned: Vec<PairedTrials> = cases
        .iter()
        .map(|case| PairedTrials {
            then: case.now,
            now: case.then,
            pairs: case.pairs.iter().map(|(then, now)| (*now, *then)).collect(),
        })
        .collect();
    let turned = Difference::of(&turned, false).unwrap();
    near(turned.difference, 0.7, 1e-12);
    near(turned.low, -found.high, 1e-9);
    near(turned.p_value.unwrap(), found.p_value.unwrap(), 1e-12);
}
