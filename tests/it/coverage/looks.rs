//! Runs that stop once decided: false alarms over all looks, what is saved, what intervals hold.

use toolbench::metrics::significance::holm_rejects;
use toolbench::metrics::spending::limits;
use toolbench::metrics::verdict::{Estimate, PairedCase, Tested, Verdict};

use super::pairs::{Sides, several, single};
use super::{Random, Table, data_sets, slack};

const MARGIN: f64 = 0.05;
const ALPHA: f64 = 0.05;

/// The looks of `plan::looks`: five over the cases, then one for each further trial, valued as if
/// half of the variance lay between cases.
fn looks(cases: usize, most_trials: usize) -> Vec<(usize, usize, f64)> {
    let worth = |trials: usize| {
        let trials = trials as f64;
        trials / (1.0 + (trials - 1.0) * 0.5)
    };
    let whole = worth(most_trials);
    let drawn = (1..=5).map(|step| {
        let drawn = (cases * step).div_ceil(5);
        (drawn, 1, drawn as f64 / cases as f64 / whole)
    });
    let further = (2..=most_trials).map(|trials| (cases, trials, worth(trials) / whole));
    drawn
        .filter(|(drawn, _, _)| *drawn >= 6)
        .chain(further)
        .collect()
}

/// Where a run stopped, and what it then said.
struct Stop {
    verdict: Verdict,
    /// Trials on one side.
    trials: usize,
    /// The difference lay outside the interval of some look up to there.
    missed: bool,
}

fn first_trials(case: &PairedCase, trials: usize) -> PairedCase {
    PairedCase {
        baseline: case.baseline[..trials].to_vec(),
        candidate: case.candidate[..trials].to_vec(),
    }
}

fn stop(
    cases: &[PairedCase],
    looks: &[(usize, usize, f64)],
    limits: &[f64],
    difference: f64,
) -> Stop {
    let mut missed = false;
    for (index, (drawn, trials, _)) in looks.iter().enumerate() {
        let seen: Vec<PairedCase> = cases[..*drawn]
            .iter()
            .map(|case| first_trials(case, *trials))
            .collect();
        let found = Estimate::at(&seen, limits[index]).expect("some cases");
        missed |=
            difference < found.interval.low - 1e-12 || found.interval.high + 1e-12 < difference;
        let tested = Tested {
            p_holm: found.p_value,
            family_size: 1,
            rejected: found.p_value <= limits[index],
        };
        let (verdict, _) = found.verdict(MARGIN, tested);
        if verdict != Verdict::NotEnoughData || index + 1 == looks.len() {
            return Stop {
                verdict,
                trials: drawn * trials,
                missed,
            };
        }
    }
    unreachable!("the last look returns")
}

fn share(count: usize) -> f64 {
    100.0 * count as f64 / data_sets() as f64
}

/// What a design comes to over all data sets.
#[derive(Default)]
struct Outcomes {
    wrong: usize,
    found: usize,
    found_at_once: usize,
    false_ties: usize,
    missed: usize,
    trials: usize,
}

fn simulate(
    label: &str,
    looks: &[(usize, usize, f64)],
    difference: f64,
    mut case: impl FnMut(&mut Random) -> PairedCase,
) -> Outcomes {
    let information: Vec<f64> = looks
        .iter()
        .map(|(_, _, information)| *information)
        .collect();
    let limits = limits(ALPHA, &information);
    let (cases, ..) = looks[looks.len() - 1];
    let mut random = Random::of(label);
    let mut outcomes = Outcomes::default();
    for _ in 0..data_sets() {
        let drawn: Vec<PairedCase> = (0..cases).map(|_| case(&mut random)).collect();
        let stopped = stop(&drawn, looks, &limits, difference);
        let claims = |verdict| matches!(verdict, Verdict::Better | Verdict::Worse);
        outcomes.wrong += usize::from(
            claims(stopped.verdict) && (difference <= 0.0 || stopped.verdict == Verdict::Worse),
        );
        outcomes.found += usize::from(difference > 0.0 && stopped.verdict == Verdict::Better);
        let tied = stopped.verdict == Verdict::Tied;
        outcomes.false_ties += usize::from(tied && difference >= MARGIN);
        outcomes.missed += usize::from(stopped.missed);
        outcomes.trials += stopped.trials;
        if difference > 0.0 {
            let whole = Estimate::of(&drawn).expect("some cases");
            let tested = Tested::fixed(whole.p_value, 1);
            let (verdict, _) = whole.verdict(MARGIN, tested);
            outcomes.found_at_once += usize::from(verdict == Verdict::Better);
        }
    }
    outcomes
}

fn saved(outcomes: &Outcomes, looks: &[(usize, usize, f64)]) -> f64 {
    let (cases, trials, _) = looks[looks.len() - 1];
    100.0 - 100.0 * outcomes.trials as f64 / (cases * trials * data_sets()) as f64
}

#[test]
fn one_trial_a_side() {
    let mut table = Table::new(
        "until decided, one trial a side: wrong verdicts, verdicts found, trials saved",
        "all: found by a fixed run of all cases; outside: the truth left the interval at some look\n\
         difference apart    n   wrong   found   (all)   saved   false ties   outside",
    );
    for cases in [26, 40, 100, 400] {
        let looks = looks(cases, 1);
        for (difference, apart) in [
            (0.0, 0.1),
            (0.0, 0.3),
            (0.0, 0.6),
            (0.05, 0.1),
            (0.1, 0.3),
            (0.2, 0.3),
            (0.3, 0.4),
        ] {
            let label = format!("looks {cases} {difference} {apart}");
            let found = simulate(&label, &looks, difference, |random| {
                single(apart, difference, 0.5, random)
            });
            let wrong = table.figure(share(found.wrong));
            table.line(&format!(
                "{difference:10} {apart:5} {cases:4}   {wrong:5.1}   {:5.1}   {:5.1}   {:5.1}   {:10.1}   {:7.1}",
                share(found.found),
                share(found.found_at_once),
                saved(&found, &looks),
                share(found.false_ties),
                share(found.missed)
            ));
            assert!(
                share(found.false_ties) <= 2.5 + slack(0.025),
                "{label}: false ties"
            );
            assert!(
                share(found.missed) <= 6.0 + slack(0.06),
                "{label}: intervals over all looks"
            );
        }
    }
    table.must_not_exceed(5.0);
}

/// Cases first, then up to five trials of each; the information is shared out as if half of the
/// variance lay between cases, whatever the truth.
#[test]
fn cases_then_trials() {
    let mut table = Table::new(
        "until decided, then up to five trials a case: wrong verdicts, verdicts found, trials saved",
        "alike: correlation of a case's trials (0.5 is what the plan assumes)\n\
         difference alike    n   wrong   found   (all)   saved   outside",
    );
    for cases in [26, 60] {
        let looks = looks(cases, 5);
        for alike in [0.0, 0.3, 0.95] {
            for difference in [0.0, 0.15, 0.3] {
                let label = format!("looks five {cases} {alike} {difference}");
                let found = simulate(&label, &looks, difference, |random| {
                    several(5, 0.5, difference, alike, Sides::Apart, random)
                });
                let wrong = table.figure(share(found.wrong));
                table.line(&format!(
                    "{difference:10} {alike:5} {cases:4}   {wrong:5.1}   {:5.1}   {:5.1}   {:5.1}   {:7.1}",
                    share(found.found),
                    share(found.found_at_once),
                    saved(&found, &looks),
                    share(found.missed)
                ));
            }
        }
    }
    table.must_not_exceed(5.0);
}

/// Three equal models: any of three comparisons called better or worse at any look, each look at
/// what Holm's procedure and the spending leave.
#[test]
fn families() {
    let mut table = Table::new(
        "until decided, three equal models: any comparison better or worse at any look",
        "rate    n   wrong",
    );
    for cases in [40, 100] {
        let looks = looks(cases, 1);
        let information: Vec<f64> = looks
            .iter()
            .map(|(_, _, information)| *information)
            .collect();
        let limits: Vec<Vec<f64>> = (1..=3)
            .map(|parts| limits(ALPHA / f64::from(parts), &information))
            .collect();
        for mean in [0.5, 0.9] {
            let mut random = Random::of(&format!("looks family {cases} {mean}"));
            let mut wrong = 0_usize;
            for _ in 0..data_sets() {
                let models: Vec<Vec<bool>> = (0..cases)
                    .map(|_| super::Urn::new(mean, 0.3).draws(3, &mut random))
                    .collect();
                let claimed = looks.iter().enumerate().any(|(look, (drawn, _, _))| {
                    let p_values: Vec<f64> = [(0, 1), (0, 2), (1, 2)]
                        .into_iter()
                        .filter_map(|(one, two)| {
                            let case = |trials: &Vec<bool>| PairedCase {
                                baseline: vec![trials[one]],
                                candidate: vec![trials[two]],
                            };
                            let seen: Vec<PairedCase> = models[..*drawn].iter().map(case).collect();
                            Estimate::of(&seen).map(|found| found.p_value)
                        })
                        .collect();
                    holm_rejects(&p_values, |left| limits[left - 1][look]).contains(&true)
                });
                wrong += usize::from(claimed);
            }
            let wrong = table.figure(share(wrong));
            table.line(&format!("{mean:4} {cases:4}   {wrong:5.1}"));
        }
    }
    table.must_not_exceed(5.0);
}
