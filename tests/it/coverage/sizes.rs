//! How often tests and verdicts claim what is not so.

use toolbench::metrics::significance::{cochran_q, holm, mcnemar_exact, tango_equivalence};
use toolbench::metrics::verdict::{Estimate, PairedCase, Tested, Verdict};

use super::pairs::{Sides, several, single};
use super::{Random, Table, how_often};

const MARGIN: f64 = 0.05;

fn verdict(cases: &[PairedCase]) -> Verdict {
    let found = Estimate::of(cases).expect("some cases");
    found.verdict(MARGIN, Tested::fixed(found.p_value, 1)).0
}

fn claims_a_difference(cases: &[PairedCase]) -> bool {
    matches!(verdict(cases), Verdict::Better | Verdict::Worse)
}

fn excludes_zero(cases: &[PairedCase]) -> bool {
    let found = Estimate::of(cases).expect("some cases").interval;
    found.low > 0.0 || found.high < 0.0
}

/// No difference in truth; the interval alone is shown for comparison.
#[test]
fn one_trial_a_side() {
    let mut table = Table::new(
        "better or worse without a difference, one trial a side",
        "apart: share of cases that one side alone solves\n\
         apart    n   verdict   exact McNemar   (interval alone)",
    );
    for n in [5, 10, 26, 100, 400] {
        for apart in [0.02, 0.1, 0.3, 0.6, 1.0] {
            let draw = |random: &mut Random| -> Vec<PairedCase> {
                (0..n).map(|_| single(apart, 0.0, 0.5, random)).collect()
            };
            let label = format!("size {n} {apart}");
            let claimed = how_often(&mut Random::of(&label), |random| {
                claims_a_difference(&draw(random))
            });
            let exact = how_often(&mut Random::of(&label), |random| {
                let found = Estimate::of(&draw(random)).expect("some cases").table;
                mcnemar_exact(found.only_candidate as u64, found.only_baseline as u64) <= 0.05
            });
            let alone = how_often(&mut Random::of(&label), |random| {
                excludes_zero(&draw(random))
            });
            table.figure(claimed);
            table.figure(exact);
            table.line(&format!(
                "{apart:5} {n:4}   {claimed:7.1} {exact:15.1}   {alone:16.1}"
            ));
        }
    }
    table.must_not_exceed(5.0);
}

#[test]
fn five_trials_a_side() {
    let mut table = Table::new(
        "better or worse without a difference, five trials a side",
        "rate alike  sides     n   verdict   sign flips   (interval alone)",
    );
    for n in [5, 10, 26, 100] {
        for mean in [0.1, 0.5, 0.9] {
            for (alike, sides) in [
                (0.0, Sides::Apart),
                (0.3, Sides::Shared),
                (0.7, Sides::Apart),
                (1.0, Sides::Apart),
            ] {
                let draw = |random: &mut Random| -> Vec<PairedCase> {
                    (0..n)
                        .map(|_| several(5, mean, 0.0, alike, sides, random))
                        .collect()
                };
                let label = format!("size five {n} {mean} {alike} {sides:?}");
                let (mut rejected, mut alone) = (0_usize, 0_usize);
                let claimed = how_often(&mut Random::of(&label), |random| {
                    let found = Estimate::of(&draw(random)).expect("some cases");
                    rejected += usize::from(found.p_value <= 0.05);
                    alone += usize::from(found.interval.low > 0.0 || found.interval.high < 0.0);
                    let (verdict, _) = found.verdict(MARGIN, Tested::fixed(found.p_value, 1));
                    matches!(verdict, Verdict::Better | Verdict::Worse)
                });
                let share = |count: usize| 100.0 * count as f64 / super::data_sets() as f64;
                table.figure(claimed);
                table.figure(share(rejected));
                let sides = format!("{sides:?}");
                table.line(&format!(
                    "{mean:4} {alike:5}  {sides:6} {n:4}   {claimed:7.1} {:12.1}   {:16.1}",
                    share(rejected),
                    share(alone)
                ));
            }
        }
    }
    table.must_not_exceed(5.0);
}

/// A true difference of exactly the margin, called a tie.
#[test]
fn false_ties() {
    let mut table = Table::new(
        "tied although the difference is 5 points, the margin",
        "apart  both trials    n   verdict   Tango's test   (interval alone)",
    );
    for n in [26, 40, 73, 100, 200, 400] {
        for (apart, both) in [(0.05, 0.5), (0.05, 0.9), (0.1, 0.5), (0.2, 0.5)] {
            let draw = |random: &mut Random| -> Vec<PairedCase> {
                (0..n)
                    .map(|_| single(apart, MARGIN, both, random))
                    .collect()
            };
            let label = format!("tie {n} {apart} {both}");
            let (mut tango, mut alone) = (0_usize, 0_usize);
            let claimed = how_often(&mut Random::of(&label), |random| {
                let found = Estimate::of(&draw(random)).expect("some cases");
                tango += usize::from(tango_equivalence(&found.table, MARGIN) <= 0.025);
                alone += usize::from(found.interval.low > -MARGIN && found.interval.high < MARGIN);
                found.verdict(MARGIN, Tested::fixed(found.p_value, 1)).0 == Verdict::Tied
            });
            let share = |count: usize| 100.0 * count as f64 / super::data_sets() as f64;
            table.figure(claimed);
            table.line(&format!(
                "{apart:5} {both:5}      1 {n:4}   {claimed:7.1} {:14.1}   {:16.1}",
                share(tango),
                share(alone)
            ));
        }
    }
    for n in [26, 100, 200] {
        for alike in [0.3, 0.7, 0.95] {
            let label = format!("tie five {n} {alike}");
            let claimed = how_often(&mut Random::of(&label), |random| {
                let case = |_| several(5, 0.5, MARGIN, alike, Sides::Shared, random);
                verdict(&(0..n).map(case).collect::<Vec<_>>()) == Verdict::Tied
            });
            table.figure(claimed);
            table.line(&format!("alike {alike:5}      5 {n:4}   {claimed:7.1}"));
        }
    }
    table.must_not_exceed(2.5);
}

/// Four models without any difference: six comparisons, at least one called better or worse.
#[test]
fn families() {
    let mut table = Table::new(
        "any of six comparisons of four equal models better or worse: Holm",
        "rate    n   with Holm   (without)",
    );
    for n in [26, 100] {
        for mean in [0.5, 0.9] {
            let mut without = 0_usize;
            let claimed = how_often(&mut Random::of(&format!("family {n} {mean}")), |random| {
                let models: Vec<Vec<bool>> = (0..n)
                    .map(|_| super::Urn::new(mean, 0.3).draws(4, random))
                    .collect();
                let pairs: Vec<Estimate> = (0..4)
                    .flat_map(|one| (one + 1..4).map(move |two| (one, two)))
                    .filter_map(|(one, two)| {
                        let case = |trials: &Vec<bool>| PairedCase {
                            baseline: vec![trials[one]],
                            candidate: vec![trials[two]],
                        };
                        Estimate::of(&models.iter().map(case).collect::<Vec<_>>())
                    })
                    .collect();
                let p_values: Vec<f64> = pairs.iter().map(|found| found.p_value).collect();
                without += usize::from(p_values.iter().any(|p| *p <= 0.05));
                pairs.iter().zip(holm(&p_values)).any(|(found, p_holm)| {
                    let (verdict, _) = found.verdict(MARGIN, Tested::fixed(p_holm, pairs.len()));
                    matches!(verdict, Verdict::Better | Verdict::Worse)
                })
            });
            table.figure(claimed);
            table.line(&format!(
                "{mean:4} {n:4}   {claimed:9.1}   {:9.1}",
                100.0 * without as f64 / super::data_sets() as f64
            ));
        }
    }
    table.must_not_exceed(5.0);
}

/// A large-sample test: held to 6 %.
#[test]
fn equality_of_variants() {
    let mut table = Table::new(
        "variants called unequal without a difference: Cochran's Q at 5 %",
        "rate variants    n   rejected",
    );
    for n in [10, 26, 100] {
        for (mean, variants) in [(0.5, 3), (0.5, 6), (0.9, 3), (0.9, 6)] {
            let label = format!("cochran {n} {mean} {variants}");
            let rejected = how_often(&mut Random::of(&label), |random| {
                let cases: Vec<Vec<f64>> = (0..n)
                    .map(|_| {
                        let trials = super::Urn::new(mean, 0.3).draws(variants, random);
                        trials.into_iter().map(f64::from).collect()
                    })
                    .collect();
                cochran_q(&cases).is_some_and(|p| p <= 0.05)
            });
            table.figure(rejected);
            table.line(&format!("{mean:4} {variants:8} {n:4}   {rejected:8.1}"));
        }
    }
    table.must_not_exceed(6.0);
}
