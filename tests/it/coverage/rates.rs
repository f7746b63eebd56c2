//! Intervals of one row: rates, pass^k, F1, quantiles.

use toolbench::metrics::bootstrap::Hits;
use toolbench::metrics::interval::wilson;
use toolbench::metrics::latency::Quantiles;
use toolbench::metrics::rates::{IntervalMethod, Rate};
use toolbench::metrics::ratio::ratio;
use toolbench::metrics::repeats::{pass_at_k, pass_hat_k};
use toolbench::metrics::trigger::scores;

use super::{Random, Table, Urn, coverage, data_sets};

const RATES: [f64; 7] = [0.0, 0.02, 0.1, 0.5, 0.9, 0.98, 1.0];
const CASES: [usize; 5] = [5, 10, 26, 100, 400];

fn limits(rate: &Rate) -> Option<(f64, f64)> {
    Some((rate.low?, rate.high?))
}

fn yes_or_no(trials: Vec<bool>) -> Vec<Hits> {
    trials
        .into_iter()
        .map(|success| (u32::from(success), 1))
        .collect()
}

#[test]
fn one_trial_a_case() {
    let mut table = Table::new(
        "success rate, one trial a case: Wilson over cases",
        "rate    n   coverage  width",
    );
    for n in CASES {
        for p in RATES {
            let mut random = Random::of(&format!("wilson {n} {p}"));
            let found = coverage(p, &mut random, |random| {
                let cases = (0..n).map(|_| vec![(u32::from(random.chance(p)), 1)]);
                limits(&Rate::of_cases(cases))
            });
            table.figure(found.held);
            table.line(&format!(
                "{p:4} {n:4}   {:8.1} {:6.1}",
                found.held, found.width
            ));
        }
    }
    // What the grid of rates does not show: the worst rate of all, by the binomial distribution.
    for n in CASES {
        let (p, worst) = worst_of_wilson(n);
        table.line(&format!(
            "exact, n = {n}: lowest {:.1} % at a rate of {p:.4}, mean over all rates {:.1} %",
            100.0 * worst,
            100.0 * mean_of_wilson(n)
        ));
    }
    table.must_cover(95.0, 89.0);
}

/// Chance that the interval of `n` cases holds `p`, from the binomial distribution.
fn exact_coverage(n: usize, p: f64) -> f64 {
    let mut mass = (1.0 - p).powf(n as f64);
    let mut held = 0.0;
    for successes in 0..=n {
        let found = wilson(successes as f64, n as f64).unwrap();
        if found.low <= p && p <= found.high {
            held += mass;
        }
        mass *= (n - successes) as f64 / (successes + 1) as f64 * p / (1.0 - p);
    }
    held
}

fn grid() -> impl Iterator<Item = f64> {
    (1..2000).map(|step| f64::from(step) / 2000.0)
}

fn worst_of_wilson(n: usize) -> (f64, f64) {
    // By symmetry the lower half is enough; above it the running mass loses its digits.
    grid()
        .filter(|p| *p <= 0.5)
        .map(|p| (p, exact_coverage(n, p)))
        .min_by(|one, two| one.1.total_cmp(&two.1))
        .unwrap()
}

fn mean_of_wilson(n: usize) -> f64 {
    let values: Vec<f64> = grid()
        .filter(|p| *p <= 0.5)
        .map(|p| exact_coverage(n, p))
        .collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn five_trials_a_case() {
    let mut table = Table::new(
        "success rate, five trials a case: bootstrap over cases, then trials, or Wilson over cases",
        "alike: correlation of a case's trials; boot: share of data sets with a bootstrap\n\
         rate    n alike   coverage  width  boot",
    );
    for n in CASES {
        for p in RATES {
            for alike in [0.0, 0.3, 1.0] {
                if n == 400 && !(0.1..0.9).contains(&alike) {
                    continue;
                }
                let mut random = Random::of(&format!("five {n} {p} {alike}"));
                let mut resampled = 0_usize;
                let found = coverage(p, &mut random, |random| {
                    let rate = Rate::of_cases(
                        (0..n).map(|_| yes_or_no(Urn::new(p, alike).draws(5, random))),
                    );
                    resampled += usize::from(rate.method == IntervalMethod::Bootstrap);
                    limits(&rate)
                });
                table.figure(found.held);
                table.line(&format!(
                    "{p:4} {n:4}  {alike:4}   {:8.1} {:6.1} {:5.0}",
                    found.held,
                    found.width,
                    100.0 * resampled as f64 / data_sets() as f64
                ));
            }
        }
    }
    table.must_cover(95.0, 89.0);
}

/// Trials with one to three calls each: the bootstrap is drawn, not computed.
#[test]
fn rates_of_calls() {
    let mut table = Table::new(
        "share of calls, two trials a case of one to three calls: bootstrap, 4,000 draws",
        "rate    n   coverage  width",
    );
    for (n, p) in [(26, 0.5), (26, 0.9), (60, 0.9)] {
        let mut random = Random::of(&format!("calls {n} {p}"));
        let found = coverage(p, &mut random, |random| {
            let cases: Vec<Vec<Hits>> = (0..n)
                .map(|_| {
                    let mut urn = Urn::new(p, 0.3);
                    let calls = 1 + (random.share() * 3.0) as u32;
                    let trial = |random: &mut Random, urn: &mut Urn| {
                        let hits = urn.draws(calls as usize, random);
                        (hits.into_iter().map(u32::from).sum(), calls)
                    };
                    vec![trial(random, &mut urn), trial(random, &mut urn)]
                })
                .collect();
            limits(&Rate::of_cases(cases))
        });
        table.figure(found.held);
        table.line(&format!(
            "{p:4} {n:4}   {:8.1} {:6.1}",
            found.held, found.width
        ));
    }
    table.must_cover(93.5, 92.0);
}

#[test]
fn trials_of_the_only_case() {
    let mut table = Table::new(
        "one case, n trials: Wilson over trials, for this case alone",
        "rate    n   coverage  width",
    );
    for n in [5, 10, 26, 100] {
        for p in RATES {
            let mut random = Random::of(&format!("only {n} {p}"));
            let found = coverage(p, &mut random, |random| {
                let trials = (0..n).map(|_| random.chance(p)).collect();
                limits(&Rate::of_cases([yes_or_no(trials)]))
            });
            table.figure(found.held);
            table.line(&format!(
                "{p:4} {n:4}   {:8.1} {:6.1}",
                found.held, found.width
            ));
        }
    }
    table.must_cover(95.0, 89.0);
}

/// The chance that the first `k` of a case's trials all succeed, beta-binomial.
fn all_succeed(mean: f64, alike: f64, k: u32) -> f64 {
    if alike <= 0.0 {
        return mean.powf(f64::from(k));
    }
    let total = 1.0 / alike - 1.0;
    (0..k)
        .map(|i| (mean * total + f64::from(i)) / (total + f64::from(i)))
        .product()
}

#[test]
fn repetition() {
    let mut table = Table::new(
        "pass@3, pass^3, their gap and the share of flaky cases from five trials: Wilson over cases",
        "rate    n alike    pass@3  pass^3     gap   flaky",
    );
    for n in [5, 10, 26, 100] {
        for p in [0.02, 0.1, 0.5, 0.9] {
            for alike in [0.0, 0.3] {
                let none = |k| all_succeed(1.0 - p, alike, k);
                let all = |k| all_succeed(p, alike, k);
                let truths = [
                    1.0 - none(3),
                    all(3),
                    1.0 - none(3) - all(3),
                    1.0 - none(5) - all(5),
                ];
                let estimates: [fn(u32) -> f64; 4] = [
                    |c| pass_at_k(5, c, 3),
                    |c| pass_hat_k(5, c, 3),
                    |c| pass_at_k(5, c, 3) - pass_hat_k(5, c, 3),
                    |c| f64::from(0 < c && c < 5),
                ];
                let mut line = format!("{p:4} {n:4}  {alike:4}  ");
                for (index, (truth, estimate)) in truths.into_iter().zip(estimates).enumerate() {
                    let mut random = Random::of(&format!("repeats {index} {n} {p} {alike}"));
                    let found = coverage(truth, &mut random, |random| {
                        let values: Vec<f64> = (0..n)
                            .map(|_| {
                                let trials = Urn::new(p, alike).draws(5, random);
                                estimate(trials.into_iter().map(u32::from).sum())
                            })
                            .collect();
                        let (_, found) = Rate::of_values(&values)?;
                        Some((found.low, found.high))
                    });
                    line.push_str(&format!("  {:6.1}", table.figure(found.held)));
                }
                table.line(&line);
            }
        }
    }
    table.must_cover(95.0, 89.0);
}

#[test]
fn trigger_scores() {
    let mut table = Table::new(
        "trigger precision, recall and F1; 70 % of cases need a call: Wilson, F1 by way of J",
        "recall  false calls    n   precision  recall      F1",
    );
    for n in [10_usize, 26, 100] {
        let needed = n * 7 / 10;
        let idle = n - needed;
        for (recall, false_calls) in [(0.5, 0.5), (0.9, 0.1), (0.98, 0.5), (0.98, 0.02)] {
            let right = needed as f64 * recall;
            let wrong = idle as f64 * false_calls;
            let truths = [
                right / (right + wrong),
                recall,
                2.0 * right / (right + wrong + needed as f64),
            ];
            let mut line = format!("{recall:6} {false_calls:12} {n:4}  ");
            for (index, truth) in truths.into_iter().enumerate() {
                let mut random = Random::of(&format!("trigger {index} {n} {recall} {false_calls}"));
                let found = coverage(truth, &mut random, |random| {
                    let count = |of: usize, p: f64, random: &mut Random| {
                        (0..of).filter(|_| random.chance(p)).count() as f64
                    };
                    let right = count(needed, recall, random);
                    let wrong = count(idle, false_calls, random);
                    let found = scores(right, wrong, needed, idle);
                    match index {
                        0 => found.precision_low.zip(found.precision_high),
                        1 => found.recall_low.zip(found.recall_high),
                        _ => found.f1_low.zip(found.f1_high),
                    }
                });
                line.push_str(&format!("  {:8.1}", table.figure(found.held)));
            }
            table.line(&line);
        }
    }
    table.must_cover(93.5, 83.0);
}

/// Tokens per success and the like: log-normal costs over successes, or over trials.
#[test]
fn ratios() {
    let mut table = Table::new(
        "ratio of sums over cases (tokens per success; rate 1: a mean): log ratio, Student's t",
        "rate    n   coverage  width in % of the ratio",
    );
    for n in [5, 10, 26, 100, 400] {
        for p in [0.2, 0.5, 0.9, 1.0] {
            if n == 5 && p < 0.5 {
                continue; // Too often without any success.
            }
            let mut random = Random::of(&format!("ratio {n} {p}"));
            let truth = (5.0_f64 + 0.18).exp() / p;
            let found = coverage(truth, &mut random, |random| {
                let cases: Vec<(f64, f64)> = (0..n)
                    .map(|_| {
                        let cost = (5.0 + 0.6 * random.normal()).exp();
                        (cost, f64::from(random.chance(p)))
                    })
                    .collect();
                let found = ratio(&cases)?;
                found.low.zip(found.high)
            });
            table.figure(found.held);
            table.line(&format!(
                "{p:4} {n:4}   {:8.1} {:6.0}",
                found.held,
                found.width / truth
            ));
        }
    }
    table.must_cover(93.5, 91.5);
}

/// Log-normal times; with several values a case, half of the variance lies between cases.
#[test]
fn quantile_limits() {
    let mut table = Table::new(
        "median and 95th percentile of times: order statistics",
        "values a case    n   median    p95",
    );
    for values in [1, 5] {
        for n in [10, 26, 100, 400] {
            let mut line = format!("{values:13} {n:4} ");
            for (index, z) in [0.0, 1.644_853_626_951].into_iter().enumerate() {
                if index == 1 && n < 100 {
                    line.push_str("       –");
                    continue;
                }
                let mut random = Random::of(&format!("quantile {values} {n} {index}"));
                let truth = (z * 2.0_f64.sqrt()).exp();
                let found = coverage(truth, &mut random, |random| {
                    let cases = (0..n)
                        .map(|_| {
                            let case = random.normal();
                            let time = |random: &mut Random| (case + random.normal()).exp();
                            (0..values).map(|_| time(random)).collect()
                        })
                        .collect();
                    let found = Quantiles::of(cases);
                    match index {
                        0 => found.p50_low.zip(found.p50_high),
                        _ => found.p95_low.zip(found.p95_high),
                    }
                });
                line.push_str(&format!(" {:7.1}", table.figure(found.held)));
            }
            table.line(&line);
        }
    }
    table.must_cover(95.0, 94.0);
}
