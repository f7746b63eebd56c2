//! Verdicts on whole tables, and what would decide them.

use proptest::prelude::*;

use super::*;

fn single(both: usize, only_candidate: usize, only_baseline: usize, neither: usize) -> Estimate {
    let case = |baseline, candidate| PairedCase {
        baseline: vec![baseline],
        candidate: vec![candidate],
    };
    let mut cases = vec![case(true, true); both];
    cases.extend(vec![case(false, true); only_candidate]);
    cases.extend(vec![case(true, false); only_baseline]);
    cases.extend(vec![case(false, false); neither]);
    Estimate::of(&cases).unwrap()
}

fn verdict(estimate: &Estimate) -> Verdict {
    estimate.verdict(0.05, Tested::fixed(estimate.p_value, 1)).0
}

#[test]
fn thirty_equal_cases_are_not_yet_a_tie() {
    let estimate = single(30, 0, 0, 0);
    assert_eq!(verdict(&estimate), Verdict::NotEnoughData);
    let decide = estimate.decide(0.05, 1, Some(1000.0)).unwrap();
    // By hand: the interval is ±z²/(n + z²), under 0.05 from n > 19·z² = 72.99.
    assert_eq!((decide.cases, decide.more_cases), (73, 43));
    assert!((decide.more_minutes.unwrap() - 43.0 / 60.0).abs() < 1e-12);
    assert_eq!(verdict(&single(73, 0, 0, 0)), Verdict::Tied);
    assert_eq!(verdict(&single(72, 0, 0, 0)), Verdict::NotEnoughData);
}

#[test]
fn sides_that_agree_on_few_cases_are_no_tie() {
    // Newcombe's interval is ±4.8 points, yet a true difference of 5 would stay unseen in 13 % of
    // runs of 40 cases.
    let estimate = single(20, 0, 0, 20);
    assert!(is_inside(estimate.interval, 0.05), "{estimate:?}");
    let (verdict, why) = estimate.verdict(0.05, Tested::fixed(1.0, 1));
    assert_eq!(verdict, Verdict::NotEnoughData);
    assert!(why.contains("equivalence"), "{why}");
    assert_eq!(estimate.decide(0.05, 1, None).unwrap().cases, 73);
}

#[test]
fn better_and_worse_mirror() {
    assert_eq!(verdict(&single(20, 12, 2, 16)), Verdict::Better);
    assert_eq!(verdict(&single(20, 2, 12, 16)), Verdict::Worse);
    assert_eq!(verdict(&single(20, 5, 4, 16)), Verdict::NotEnoughData);
}

#[test]
fn the_exact_test_must_reject_too() {
    let estimate = single(15, 5, 0, 0);
    assert!(estimate.interval.low > 0.0 && (estimate.p_value - 0.0625).abs() < 1e-12);
    // The interval alone would say better; the exact test keeps the level.
    let (alone, why) = estimate.verdict(0.05, Tested::fixed(0.0625, 1));
    assert_eq!(alone, Verdict::NotEnoughData);
    assert!(why.contains("exact test"), "{why}");
    let larger = single(14, 6, 0, 0);
    assert_eq!(
        larger.verdict(0.05, Tested::fixed(0.031_25, 1)).0,
        Verdict::Better
    );
    let (in_family, why) = larger.verdict(0.05, Tested::fixed(0.0625, 2));
    assert_eq!(in_family, Verdict::NotEnoughData);
    assert!(why.contains("Holm"), "{why}");
}

#[test]
fn a_real_but_small_difference_is_a_tie() {
    let (verdict, why) = single(3960, 40, 0, 0).verdict(0.05, Tested::fixed(0.0, 1));
    assert_eq!(verdict, Verdict::Tied);
    assert!(why.contains("a smaller one"), "{why}");
}

#[test]
fn few_unequal_cases_fall_back_to_newcombe() {
    let steady = PairedCase {
        baseline: vec![true; 5],
        candidate: vec![true; 5],
    };
    let mut cases = vec![steady; 30];
    cases[0].candidate[0] = false;
    let estimate = Estimate::of(&cases).unwrap();
    assert_eq!(estimate.method, DifferenceMethod::NewcombePaired);
    assert_eq!(verdict(&estimate), Verdict::NotEnoughData, "{estimate:?}");
}

#[test]
fn many_unequal_cases_are_bootstrapped_and_mirror() {
    let cases: Vec<PairedCase> = (0..40)
        .map(|case| PairedCase {
            baseline: vec![case % 2 == 0, false],
            candidate: vec![true, case % 3 == 0],
        })
        .collect();
    let mirrored: Vec<PairedCase> = cases
        .iter()
        .map(|case| PairedCase {
            baseline: case.candidate.clone(),
            candidate: case.baseline.clone(),
        })
        .collect();
    let (there, back) = (
        Estimate::of(&cases).unwrap(),
        Estimate::of(&mirrored).unwrap(),
    );
    assert_eq!(there.method, DifferenceMethod::PairedBootstrap);
    assert_eq!(there.p_method, TestMethod::SignFlip);
    assert_eq!(
        (there.interval.low, there.interval.high),
        (-back.interval.high, -back.interval.low)
    );
    assert_eq!(verdict(&there), Verdict::Better);
}

proptest! {
    #[test]
    fn a_side_compared_with_itself_shows_no_change(
        trials in proptest::collection::vec(proptest::collection::vec(any::<bool>(), 1..4), 1..80)
    ) {
        let cases: Vec<PairedCase> = trials
            .into_iter()
            .map(|side| PairedCase { baseline: side.clone(), candidate: side })
            .collect();
        let estimate = Estimate::of(&cases).unwrap();
        prop_assert!(estimate.difference.abs() < 1e-12);
        prop_assert!(estimate.p_value >= 1.0);
        prop_assert!(matches!(verdict(&estimate), Verdict::Tied | Verdict::NotEnoughData));
        prop_assert!(estimate.interval.low <= 0.0 && estimate.interval.high >= 0.0);
    }

    #[test]
    fn what_would_decide_does_decide(a in 0_usize..40, b in 0_usize..20, c in 0_usize..20, d in 0_usize..40) {
        prop_assume!(a + b + c + d > 0);
        let estimate = single(a, b, c, d);
        if verdict(&estimate) == Verdict::NotEnoughData
            && let Some(decide) = estimate.decide(0.05, 1, None)
        {
            prop_assert!(decide.cases > estimate.cases as u64);
            let factor = decide.cases as f64 / estimate.cases as f64;
            prop_assert!(estimate.decided_with(factor, 0.05, 1));
        }
    }
}
