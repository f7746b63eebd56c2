//! Intervals of paired differences, and of the spread over variants.

use toolbench::metrics::verdict::{DifferenceMethod, Estimate, PairedCase};

use super::{Random, Table, Urn, coverage, data_sets};

/// One case of two sides with one trial each: `apart` of the cases are solved by one side alone, the
/// candidate by `difference` more of them; of the others a share of `both` is solved by both.
pub fn single(apart: f64, difference: f64, both: f64, random: &mut Random) -> PairedCase {
    let (baseline, candidate) = if random.chance(apart) {
        let up = random.chance(f64::midpoint(1.0, difference / apart));
        (!up, up)
    } else {
        let solved = random.chance(both);
        (solved, solved)
    };
    PairedCase {
        baseline: vec![baseline],
        candidate: vec![candidate],
    }
}

/// How the sides of a case with several trials hang together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sides {
    /// Each has a difficulty of its own.
    Apart,
    /// They share it; the candidate may be helped besides.
    Shared,
}

/// One case with several trials a side, of success `mean` and `mean + difference`.
pub fn several(
    trials: usize,
    mean: f64,
    difference: f64,
    alike: f64,
    sides: Sides,
    random: &mut Random,
) -> PairedCase {
    let mut urn = Urn::new(mean, alike);
    let baseline = urn.draws(trials, random);
    let candidate = match sides {
        Sides::Apart => Urn::new(mean + difference, alike).draws(trials, random),
        Sides::Shared => {
            let help = difference / (1.0 - mean);
            let mut trial = |random: &mut Random| urn.draw(random) | random.chance(help);
            (0..trials).map(|_| trial(random)).collect()
        }
    };
    PairedCase {
        baseline,
        candidate,
    }
}

fn limits(cases: &[PairedCase]) -> Option<(f64, f64)> {
    let found = Estimate::of(cases)?.interval;
    Some((found.low, found.high))
}

#[test]
fn one_trial_a_side() {
    let mut table = Table::new(
        "paired difference, one trial a side: Newcombe's with corrected phi; under 10 cases the wider \
         of its and Tango's limits",
        "apart: share of cases that one side alone solves; both: of the others, solved by both\n\
         difference  apart  both    n   coverage  width",
    );
    for n in [5, 10, 26, 100, 400] {
        for (apart, difference) in [
            (0.02, 0.0),
            (0.1, 0.0),
            (0.1, 0.1),
            (0.3, 0.0),
            (0.3, 0.1),
            (0.6, 0.0),
            (0.6, 0.3),
            (1.0, 1.0),
        ] {
            for both in [0.0, 0.5, 0.9] {
                let mut random = Random::of(&format!("newcombe {n} {apart} {difference} {both}"));
                let found = coverage(difference, &mut random, |random| {
                    let case = |_| single(apart, difference, both, random);
                    limits(&(0..n).map(case).collect::<Vec<_>>())
                });
                table.figure(found.held);
                table.line(&format!(
                    "{difference:10} {apart:6} {both:5} {n:4}   {:8.1} {:6.1}",
                    found.held, found.width
                ));
            }
        }
    }
    table.must_cover(95.0, 91.0);
}

#[test]
fn five_trials_a_side() {
    let mut table = Table::new(
        "paired difference, five trials a side: bootstrap over cases, then trials, or Newcombe's",
        "rate: of the baseline; alike: correlation of a case's trials; boot: share with a bootstrap\n\
         rate difference alike  sides     n   coverage  width  boot",
    );
    for n in [5, 10, 26, 100, 400] {
        for (mean, difference) in [
            (0.02, 0.0),
            (0.1, 0.0),
            (0.5, 0.0),
            (0.5, 0.1),
            (0.7, 0.25),
            (0.9, 0.0),
        ] {
            for (alike, sides) in [
                (0.0, Sides::Apart),
                (0.3, Sides::Shared),
                (0.7, Sides::Apart),
                (0.7, Sides::Shared),
            ] {
                // Large samples take most of the time and differ least.
                let usual = 0.0 < alike && alike < 0.5 && [0.1, 0.5].contains(&mean);
                if n == 400 && (!usual || difference > 0.0) {
                    continue;
                }
                let label = format!("five {n} {mean} {difference} {alike} {sides:?}");
                let mut random = Random::of(&label);
                let mut resampled = 0_usize;
                let found = coverage(difference, &mut random, |random| {
                    let cases: Vec<PairedCase> = (0..n)
                        .map(|_| several(5, mean, difference, alike, sides, random))
                        .collect();
                    let found = Estimate::of(&cases)?;
                    resampled += usize::from(found.method == DifferenceMethod::PairedBootstrap);
                    Some((found.interval.low, found.interval.high))
                });
                table.figure(found.held);
                let sides = format!("{sides:?}");
                table.line(&format!(
                    "{mean:4} {difference:10} {alike:5}  {sides:6} {n:4}   {:8.1} {:6.1} {:5.0}",
                    found.held,
                    found.width,
                    100.0 * resampled as f64 / data_sets() as f64
                ));
            }
        }
    }
    table.must_cover(95.0, 92.0);
}

/// As `metrics::sensitivity` finds it: the largest limits of all pairs at 5 % over their number.
#[test]
fn spread_over_three_variants() {
    let mut table = Table::new(
        "spread of success over three variants: largest limits of all pairs, Bonferroni",
        "rates                n   coverage  width",
    );
    for n in [10, 26, 100, 400] {
        for rates in [
            [0.5, 0.5, 0.5],
            [0.5, 0.55, 0.6],
            [0.3, 0.6, 0.9],
            [0.9, 0.9, 0.9],
        ] {
            let truth = rates[2] - rates[0];
            let mut random = Random::of(&format!("spread {n} {rates:?}"));
            let found = coverage(truth, &mut random, |random| {
                let cases: Vec<[bool; 3]> = (0..n)
                    .map(|_| {
                        // One draw for all where the case is easy or hard for every variant.
                        let common = random.share();
                        let shared = random.chance(0.6);
                        rates.map(|rate| {
                            if shared {
                                common < rate
                            } else {
                                random.chance(rate)
                            }
                        })
                    })
                    .collect();
                let (mut low, mut high) = (0.0_f64, 0.0_f64);
                for (one, two) in [(0, 1), (0, 2), (1, 2)] {
                    let pairs: Vec<PairedCase> = cases
                        .iter()
                        .map(|case| PairedCase {
                            baseline: vec![case[one]],
                            candidate: vec![case[two]],
                        })
                        .collect();
                    let found = Estimate::at(&pairs, 0.05 / 3.0)?.interval;
                    low = low.max(found.low).max(-found.high);
                    high = high.max(found.high).max(-found.low);
                }
                Some((low, high))
            });
            table.figure(found.held);
            table.line(&format!(
                "{rates:?} {n:8}   {:8.1} {:6.1}",
                found.held, found.width
            ));
        }
    }
    table.must_cover(95.0, 93.5);
}
