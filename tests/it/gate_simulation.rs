//! False alarms and power of the gate, and coverage of its intervals, by simulation.
//!
//! 2,000 pairs of runs a figure, each judged by the gate itself. Seeded: every figure is the same on
//! every run. Two standard errors of a share of 2.5 % are 0.7 points. See the tables with
//! `cargo test --release --test it gate_simulation -- --nocapture`.

use std::collections::BTreeMap;

use toolbench::gate::baseline::{parse, to_text};
use toolbench::gate::pairs::{Difference, PairedTrials};
use toolbench::gate::rates::SuiteRate;
use toolbench::gate::snapshot::{CaseLine, CellFact, Snapshot, WEIGHTING};
use toolbench::gate::verdict::{CheckKind, GateOutcome, Verdict};
use toolbench::gate::{Against, Input, Measured, Repeated, Rules, judge};

use crate::coverage::Random;

const RUNS: usize = 2000;
/// An unchanged run may fail in this share of runs, in percent: a two-sided test at 5 % of which only
/// drops count.
const NOMINAL: f64 = 2.5;

/// Two standard errors of a share, in points.
fn error(percent: f64) -> f64 {
    let p = percent / 100.0;
    200.0 * (p * (1.0 - p) / RUNS as f64).sqrt()
}

/// A flaky model: how often each case succeeds, with how many trials.
#[derive(Clone)]
struct Model {
    rates: Vec<f64>,
    trials: usize,
    /// Share of trials that nobody could score.
    excluded: f64,
}

impl Model {
    fn of(rates: Vec<f64>, trials: usize) -> Self {
        Self {
            rates,
            trials,
            excluded: 0.0,
        }
    }

    fn line(&self, case: usize, cell: &str, random: &mut Random) -> CaseLine {
        let letter = |random: &mut Random| {
            let passed = random.chance(self.rates[case]);
            match (random.chance(self.excluded), passed) {
                (true, _) => '-',
                (false, true) => 'P',
                (false, false) => 'F',
            }
        };
        CaseLine {
            case: format!("s/c{case:03}"),
            cell: cell.to_owned(),
            category: "any".to_owned(),
            asked: "a".to_owned(),
            offered: "o".to_owned(),
            trials: (0..self.trials).map(|_| letter(random)).collect(),
            ..CaseLine::default()
        }
    }

    fn run(&self, cells: usize, random: &mut Random) -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.about.scorer_version = 2;
        WEIGHTING.clone_into(&mut snapshot.about.weighting);
        for cell in 0..cells {
            let label = format!("model · json · {cell}");
            let lines = (0..self.rates.len()).map(|case| self.line(case, &label, random));
            snapshot.cases.extend(lines);
            snapshot.cells.push(CellFact {
                cell: label,
                model: "model".to_owned(),
                dialect: "json".to_owned(),
                constraint: cell.to_string(),
                variant: "default".to_owned(),
                tier: "here".to_owned(),
                ..CellFact::default()
            });
        }
        snapshot
    }
}

fn verdict(then: &Snapshot, now: &Snapshot, min_effect: f64) -> Verdict {
    let rules = Rules {
        min_effect,
        ..Rules::default()
    };
    judge(&Input {
        run: "run",
        path: "reports/run",
        candidate: now,
        measured: &Measured::default(),
        times: None,
        baseline: Some(Against {
            name: "main",
            path: "main.jsonl",
            is_file: true,
            snapshot: then,
            times: None,
            no_times: None,
            trouble: &[],
            replace: None,
            texts: None,
        }),
        known: &[],
        today: "2026-11-20",
        rules: &rules,
        repeated: Repeated::default(),
    })
    .expect("comparable")
}

/// Shares of fail, undecided and pass, in percent.
#[derive(Clone, Copy, Debug, Default)]
struct Shares {
    fail: f64,
    undecided: f64,
    pass: f64,
}

fn shares(label: &str, then: &Model, now: &Model, cells: usize, min_effect: f64) -> Shares {
    let mut random = Random::of(&format!("gate {label} {cells} {min_effect}"));
    let mut shares = Shares::default();
    for _ in 0..RUNS {
        let (before, after) = (then.run(cells, &mut random), now.run(cells, &mut random));
        let share = match verdict(&before, &after, min_effect).outcome {
            GateOutcome::Fail => &mut shares.fail,
            GateOutcome::Undecided => &mut shares.undecided,
            GateOutcome::Pass => &mut shares.pass,
        };
        *share += 100.0 / RUNS as f64;
    }
    shares
}

/// From always to never, most cases near one end, as real suites are.
fn mixed(cases: usize) -> Vec<f64> {
    let rates = [1.0, 1.0, 0.95, 0.0, 0.8, 1.0, 0.0, 0.6, 0.3, 1.0];
    (0..cases).map(|case| rates[case % rates.len()]).collect()
}

fn flaky() -> Vec<(&'static str, Model, Model, usize)> {
    let same = |model: Model| (model.clone(), model);
    let cases = |name, (then, now): (Model, Model), cells| (name, then, now, cells);
    let lossy = Model {
        excluded: 0.02,
        ..Model::of(mixed(60), 5)
    };
    vec![
        cases(
            "26 cases × 1, each 50 %",
            same(Model::of(vec![0.5; 26], 1)),
            1,
        ),
        cases(
            "26 cases × 5, each 50 %",
            same(Model::of(vec![0.5; 26], 5)),
            1,
        ),
        cases("26 cases × 5, mixed", same(Model::of(mixed(26), 5)), 1),
        cases(
            "100 cases × 3, each 90 %",
            same(Model::of(vec![0.9; 100], 3)),
            1,
        ),
        cases(
            "200 cases × 5, each 50 %",
            same(Model::of(vec![0.5; 200], 5)),
            1,
        ),
        cases("60 cases × 5, 2 % of trials lost", same(lossy), 1),
        cases(
            "26 cases, 5 trials then, 3 now",
            (Model::of(mixed(26), 5), Model::of(mixed(26), 3)),
            1,
        ),
        cases(
            "26 cases × 5, each 50 %, 2 cells",
            same(Model::of(vec![0.5; 26], 5)),
            2,
        ),
        cases(
            "26 cases × 5, each 50 %, 8 cells",
            same(Model::of(vec![0.5; 26], 5)),
            8,
        ),
    ]
}

/// The share of undecided runs that the page states, in percent.
fn stated_undecided() -> BTreeMap<String, f64> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/gate.md")).expect("a page");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let share = cells.get(2)?.parse().ok()?;
        Some((cells.get(1)?.to_string(), share))
    });
    rows.collect()
}

#[test]
fn an_unchanged_flaky_model_fails_no_more_often_than_stated() {
    let mut table = String::from(
        "\nthe same model twice: share of runs in percent (2,000 runs a figure)\n\
         min-effect 0                       fail undecided   pass | min-effect 5: fail undecided   pass\n",
    );
    let mut highest: f64 = 0.0;
    let mut nearest: f64 = 0.0;
    let stated = stated_undecided();
    let mut misstated = Vec::new();
    for (name, then, now, cells) in flaky() {
        let any = shares(name, &then, &now, cells, 0.0);
        let five = shares(name, &then, &now, cells, 0.05);
        highest = highest.max(any.fail).max(five.fail);
        match stated.get(name) {
            // Twice the simulation error, and rounding.
            Some(share) if (share - five.undecided).abs() <= 2.0 * error(five.undecided) + 0.5 => {}
            stated => misstated.push(format!("{name}: {stated:?}, found {:.1}", five.undecided)),
        }
        if cells == 1 {
            nearest = nearest.max(any.fail);
        }
        table.push_str(&format!(
            "{name:34} {:5.1} {:9.1} {:6.1} | {:18.1} {:9.1} {:6.1}\n",
            any.fail, any.undecided, any.pass, five.fail, five.undecided, five.pass
        ));
    }
    table.push_str(&format!(
        "nominal: at most {NOMINAL} %, highest {highest:.2} %, simulation error ±{:.1} points\n",
        error(NOMINAL)
    ));
    println!("{table}");
    assert!(highest <= NOMINAL + error(NOMINAL), "{table}");
    assert!(
        misstated.is_empty(),
        "docs/gate.md states another share of undecided runs: {misstated:?}\n{table}"
    );
    // The level is used, not undercut by far: a gate that never fails would pass the line above.
    assert!(nearest >= 1.2, "{table}");
}

#[test]
fn a_real_drop_is_found_as_often_as_stated() {
    let mut table = String::from(
        "\na model that got worse: share of runs in percent (2,000 runs a figure, min-effect 5)\n\
         what changed                                  fail undecided   pass\n",
    );
    let drop = |rates: Vec<f64>, by: f64| -> Vec<f64> {
        rates.into_iter().map(|rate| (rate - by).max(0.0)).collect()
    };
    let broken = |mut rates: Vec<f64>, cases: usize| {
        let good = rates.iter_mut().filter(|rate| **rate > 0.7);
        good.take(cases).for_each(|rate| *rate = 0.0);
        rates
    };
    let mut found = Vec::new();
    for (name, then, now) in [
        (
            "26 × 1, each 80 % to 60 %",
            Model::of(vec![0.8; 26], 1),
            Model::of(vec![0.6; 26], 1),
        ),
        (
            "26 × 5, each 80 % to 70 %",
            Model::of(vec![0.8; 26], 5),
            Model::of(vec![0.7; 26], 5),
        ),
        (
            "26 × 5, each 80 % to 60 %",
            Model::of(vec![0.8; 26], 5),
            Model::of(vec![0.6; 26], 5),
        ),
        (
            "100 × 5, each 80 % to 70 %",
            Model::of(vec![0.8; 100], 5),
            Model::of(vec![0.7; 100], 5),
        ),
        (
            "26 × 5 mixed, 2 good cases break",
            Model::of(mixed(26), 5),
            Model::of(broken(mixed(26), 2), 5),
        ),
        (
            "26 × 5 mixed, 4 good cases break",
            Model::of(mixed(26), 5),
            Model::of(broken(mixed(26), 4), 5),
        ),
        (
            "26 × 1 mixed, 8 good cases break",
            Model::of(mixed(26), 1),
            Model::of(broken(mixed(26), 8), 1),
        ),
        (
            "60 × 3 mixed, each 5 points less",
            Model::of(mixed(60), 3),
            Model::of(drop(mixed(60), 0.05), 3),
        ),
    ] {
        let shares = shares(name, &then, &now, 1, 0.05);
        table.push_str(&format!(
            "{name:44} {:5.1} {:9.1} {:6.1}\n",
            shares.fail, shares.undecided, shares.pass
        ));
        found.push(shares);
    }
    println!("{table}");
    assert!(found[2].fail >= 90.0 && found[3].fail >= 85.0, "{table}");
    assert!(found[5].fail >= 95.0, "{table}");
    // What is missed is called undecided far more often than passed.
    assert!(found[6].pass <= 5.0 && found[2].pass <= 5.0, "{table}");
}

/// The drop that a verdict says it would find is found in 80 % of runs or more.
#[test]
fn what_would_be_found_is_found() {
    let mut table = String::from("\nthe drop that is said to be found in 80 % of runs\n");
    let mut worst: f64 = 100.0;
    for (rate, cases, trials) in [(0.8, 26, 5), (0.5, 60, 5), (0.9, 200, 3), (0.7, 100, 1)] {
        let model = Model::of(vec![rate; cases], trials);
        let mut random = Random::of(&format!("gate detectable {rate} {cases}"));
        let stated: f64 = (0..50)
            .map(|_| {
                let found = verdict(&model.run(1, &mut random), &model.run(1, &mut random), 0.0);
                let difference = found.cells[0].difference.as_ref().expect("a difference");
                difference.detectable.expect("some drop would be found")
            })
            .sum::<f64>()
            / 50.0;
        let declined = Model::of(vec![rate - stated; cases], trials);
        let shares = shares(&format!("detectable {rate}"), &model, &declined, 1, 0.0);
        table.push_str(&format!(
            "{cases} × {trials}, each {:.0} %: {:.1} points stated, found in {:.1} %\n",
            rate * 100.0,
            stated * 100.0,
            shares.fail
        ));
        worst = worst.min(shares.fail);
    }
    println!("{table}");
    assert!(worst >= 80.0 - 2.0 * error(80.0), "{table}");
}

/// Intervals of a fixed suite hold what other trials of its cases show.
#[test]
fn intervals_of_a_fixed_suite_hold() {
    let mut table = String::from(
        "\ncoverage in percent on a fixed suite (2,000 runs a figure)\n\
         suite                              rate  width | difference  width\n",
    );
    let mut lowest: f64 = 100.0;
    for (name, then, now, _) in flaky().into_iter().take(7) {
        let mut random = Random::of(&format!("gate coverage {name}"));
        let mean = then.rates.iter().sum::<f64>() / then.rates.len() as f64;
        let (mut held, mut width) = ([0.0; 2], [0.0; 2]);
        for _ in 0..RUNS {
            let (before, after) = (then.run(1, &mut random), now.run(1, &mut random));
            let rate = SuiteRate::of(&after.cases, false);
            let (low, high) = (rate.low.expect("a limit"), rate.high.expect("a limit"));
            let pairs = before.cases.iter().zip(&after.cases);
            let pairs: Vec<PairedTrials> = pairs
                .filter_map(|(one, two)| PairedTrials::of(one, two))
                .collect();
            let found = Difference::of(&pairs, false).expect("pairs");
            for (index, (low, high, truth)) in [(low, high, mean), (found.low, found.high, 0.0)]
                .into_iter()
                .enumerate()
            {
                let holds = low <= truth + 1e-12 && truth <= high + 1e-12;
                held[index] += 100.0 * f64::from(u8::from(holds)) / RUNS as f64;
                width[index] += 100.0 * (high - low) / RUNS as f64;
            }
        }
        lowest = lowest.min(held[0]).min(held[1]);
        table.push_str(&format!(
            "{name:34} {:5.1} {:6.1} | {:10.1} {:6.1}\n",
            held[0], width[0], held[1], width[1]
        ));
    }
    table.push_str(&format!(
        "nominal 95, lowest {lowest:.1}, simulation error ±{:.1}\n",
        error(95.0)
    ));
    println!("{table}");
    // Wilson's interval for 26 trials that all succeed half the time holds in 92 %: few values are
    // possible. Everywhere else it is near its level, or above it.
    assert!(lowest >= 91.0, "{table}");
}

#[test]
fn a_flaky_run_goes_through_its_file_unchanged() {
    let model = Model {
        excluded: 0.1,
        ..Model::of(mixed(40), 4)
    };
    let mut random = Random::of("gate file");
    let run = model.run(2, &mut random);
    let text = to_text(&run);
    assert_eq!(parse("main.jsonl", &text).expect("a baseline"), run);
    let other = model.run(2, &mut random);
    let direct = verdict(&run, &other, 0.0);
    let read = verdict(
        &parse("main.jsonl", &text).expect("a baseline"),
        &other,
        0.0,
    );
    assert_eq!(direct, read);
    assert!(
        direct
            .checks
            .iter()
            .any(|check| check.kind == CheckKind::Regression)
    );
}
