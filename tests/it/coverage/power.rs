//! Whether what is said to be found in 80 % of runs is.

use toolbench::metrics::interval::wilson;
use toolbench::metrics::power::{detectable_difference, detectable_discordant, detectable_fall};
use toolbench::metrics::verdict::{Estimate, PairedCase, Tested, Verdict};

use super::pairs::{Sides, several, single};
use super::{Random, Table, how_often, slack};

fn found(cases: &[PairedCase]) -> bool {
    let estimate = Estimate::of(cases).expect("some cases");
    // A margin of 0: no tie stands in the way of the verdict.
    let tested = Tested::fixed(estimate.p_value, 1);
    estimate.verdict(0.0, tested).0 == Verdict::Better
}

#[test]
fn detectable_differences() {
    let mut table = Table::new(
        "found when the difference is the detectable one (80 % promised)",
        "one trial a side\napart    n   difference  found",
    );
    let mut worst: f64 = 0.0;
    let mut approximate = Vec::new();
    for n in [10, 26, 100, 400] {
        for apart in [0.02, 0.1, 0.3, 0.6] {
            let Some(difference) = detectable_discordant(n, apart, 0.05) else {
                continue;
            };
            let apart_then = f64::max(apart, difference);
            let share = how_often(&mut Random::of(&format!("power {n} {apart}")), |random| {
                let case = |_| single(apart_then, difference, 0.6, random);
                found(&(0..n).map(case).collect::<Vec<_>>())
            });
            worst = worst.max((share - 80.0).abs());
            table.line(&format!(
                "{apart:5} {n:4}   {:10.1} {share:6.1}",
                100.0 * difference
            ));
        }
    }
    table.line("several trials: as found in one run, then so large in truth\nalike    n   difference  found");
    for n in [50_usize, 100] {
        for alike in [0.0, 0.3] {
            // The spread of one large run stands for the true one.
            let mut random = Random::of(&format!("power five {n} {alike}"));
            let large: Vec<PairedCase> = (0..4000)
                .map(|_| several(5, 0.5, 0.05, alike, Sides::Apart, &mut random))
                .collect();
            let of_large = detectable_difference(&large, 0.05).expect("a difference");
            let difference = of_large.difference * (4000.0 / n as f64).sqrt();
            let share = how_often(&mut random, |random| {
                let case = |_| several(5, 0.5, difference, alike, Sides::Apart, random);
                found(&(0..n).map(case).collect::<Vec<_>>())
            });
            table.line(&format!(
                "{alike:5} {n:4}   {:10.1} {share:6.1}",
                100.0 * difference
            ));
            approximate.push(share);
        }
    }
    table.line("one rate, against a fixed target\nrate    n   fall        found");
    for (present, n) in [(0.9, 26), (0.9, 100), (0.5, 100), (0.98, 400)] {
        let fall = detectable_fall(present, n).expect("a fall");
        let share = how_often(&mut Random::of(&format!("fall {present} {n}")), |random| {
            let successes = (0..n).filter(|_| random.chance(present - fall)).count();
            wilson(successes as f64, n as f64).is_some_and(|next| next.high < present)
        });
        worst = worst.max((share - 80.0).abs());
        table.line(&format!(
            "{present:4} {n:4}   {:10.1} {share:6.1}",
            100.0 * fall
        ));
    }
    table.figure(worst);
    table.line(&format!("furthest from 80: {worst:.1} points"));
    let error = slack(0.8);
    println!("{}", table.text());
    assert!(
        worst <= 1.0 + error,
        "{worst} is more than the simulation error {error:.1}"
    );
    // Several trials rest on a normal approximation.
    let near = |share: &f64| (share - 80.0).abs() <= 5.0 + error;
    assert!(approximate.iter().all(near), "{approximate:?}");
}
