//! What the page concludes: of waits, of thin loads, of noise, of equal names, of prices, of memory.

use std::path::Path;

use super::answer::Verdict;
use super::evidence::KnownWeights;
use super::memory::Fits;
use super::tests::{Made, page_of, page_with, shipped, wants};
use super::*;
use crate::metrics::testing::Run;
use crate::store::tiers::parse_tiers;
use crate::weights::gguf::Header as WeightsHeader;

fn note<'a>(page: &'a SizingPage, words: &str) -> &'a str {
    let found = page.notes.iter().find(|note| note.contains(words));
    found.unwrap_or_else(|| panic!("no note has `{words}`: {:#?}", page.notes))
}

/// Every trial waits so long before its first request is taken.
fn made_to_wait(made: &Made, waited_ms: f64) -> Run {
    let mut run = made.run();
    for trial in &mut run.trials {
        trial.time.waited_ms = waited_ms;
        trial.attempts[0].timing.waited_ms = Some(waited_ms);
    }
    run
}

/// 0.81 s of work and 2 s of waiting: a person waits for both, another machine would not.
#[test]
fn waits_for_the_endpoint_are_waited_for() {
    let made = Made {
        concurrency: 4,
        ..Made::default()
    };
    let runs = [
        made_to_wait(&made, 2000.0),
        made_to_wait(&Made::default(), 2000.0),
    ];
    let wishes = Wishes {
        demand_per_hour: Some(1000.0),
        p95_ms: Some(2500.0),
        ..Wishes::default()
    };
    let page = page_of(&runs, &wishes);
    let answer = page.answer.as_ref().unwrap();
    assert_eq!(answer.verdict, Verdict::Misses, "{answer:?}");
    assert_eq!(answer.claims[0].p95_at_least_ms, Some(2810.0));
    for row in &page.load {
        assert_eq!((row.p50_ms, row.p95_ms), (Some(2810.0), Some(2810.0)));
        assert_eq!(row.within_limit, Some(false));
    }
    assert_eq!(page.demands, []);
    let slow = Wishes {
        p95_ms: Some(3000.0),
        ..wishes
    };
    let page = page_of(&runs, &slow);
    // 2.81 s each, one at a time and four at once.
    let hourly: Vec<f64> = page
        .load
        .iter()
        .filter_map(|row| row.goodput_per_hour)
        .collect();
    assert!((hourly[0] - 3600.0 / 2.81).abs() < 1.0, "{hourly:?}");
    assert!((hourly[1] - 4.0 * 3600.0 / 2.81).abs() < 1.0, "{hourly:?}");
    note(&page, "the endpoint made trials wait");
    let quiet = page_of(&[Made::default().run()], &Wishes::default());
    for found in &page.predictions {
        let same = quiet
            .predictions
            .iter()
            .find(|it| it.tier == found.tier)
            .unwrap();
        assert_eq!(
            found.p95_ms, same.p95_ms,
            "a wait is no work: {}",
            found.tier
        );
    }
    // What is waited for after the valid call delays the task alone.
    let mut late = Made::default().run();
    for trial in &mut late.trials {
        let mut more = trial.attempts[0].clone();
        more.timing.waited_ms = Some(500.0);
        trial.attempts.push(more);
        trial.time.waited_ms = 500.0;
    }
    let valid_call = Wishes {
        objective: Objective::ValidCall,
        p95_ms: Some(1000.0),
        ..Wishes::default()
    };
    let page = page_of(&[late], &valid_call);
    assert_eq!(page.cells[0].work.times_ms[0], [800.0]);
}

/// Trials that begin one after another, so many asked for at once.
fn spread(made: &Made, apart_seconds: u32) -> Run {
    let mut run = made.run();
    for (index, trial) in run.trials.iter_mut().enumerate() {
        let at = index as u32 * apart_seconds;
        trial.started_at = format!("2026-01-02T03:{:02}:{:02}Z", at / 60, at % 60);
        trial.time.total_ms = 1500.0;
    }
    run
}

#[test]
fn a_load_that_was_not_in_flight_counts_for_no_demand() {
    let eight = Made {
        concurrency: 8,
        ..Made::default()
    };
    let wishes = Wishes {
        demand_per_hour: Some(100.0),
        ..Wishes::default()
    };
    // One begins each second and takes 1.5 s: 1.5 are in flight.
    let page = page_of(&[spread(&eight, 1)], &wishes);
    let in_flight = page.load[0].in_flight.unwrap();
    assert!((in_flight - 1.5).abs() < 0.02, "{in_flight}");
    assert_eq!(page.demands, []);
    assert!(note(&page, "fewer trials were in flight").contains("at 8: 1.5"));
    assert!(note(&page, "demand: no machine").contains("only 1.5 were in flight"));
    // All at once: eight are.
    let page = page_of(&[spread(&eight, 0)], &wishes);
    assert!((page.load[0].in_flight.unwrap() - 8.0).abs() < 1e-9);
    assert_eq!(page.demands.len(), 1);
}

/// Nothing was measured one at a time: that is no success, and demand is told all the same.
#[test]
fn without_a_cell_one_at_a_time_there_is_no_answer_and_a_note() {
    let two = Made {
        concurrency: 2,
        ..Made::default()
    };
    let wishes = Wishes {
        demand_per_hour: Some(100.0),
        ..wants(0.8, 4.0)
    };
    let page = page_of(&[two.run()], &wishes);
    assert_eq!((&page.answer, page.demands.len()), (&None, 1));
    assert!(
        page.notes[0].contains("add 1 to `--load`"),
        "{:?}",
        page.notes
    );
}

/// A bound that no number of cases would show makes those of the other idle.
#[test]
fn no_number_is_told_where_none_would_do() {
    let poor = Made {
        script: format!("{}{}", "P".repeat(22), "F".repeat(8)),
        ..Made::default()
    };
    let answer = page_of(&[poor.run()], &wants(0.8, 4.0)).answer.unwrap();
    let claim = &answer.claims[0];
    assert_eq!(claim.verdict, Verdict::NotEnoughData);
    assert_eq!(claim.cases_needed, None, "{claim:?}");
    assert!(claim.reasons[0].contains("more cases of the kind would not show it"));
    assert!(answer.next.contains("ask for less"), "{}", answer.next);
}

#[test]
fn a_busy_machines_times_show_no_miss() {
    let mut run = Made::default().run();
    for trial in run.trials.iter_mut().take(6) {
        trial.noisy = true;
    }
    let answer = page_of(&[run.clone()], &wants(0.8, 0.5)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::NotEnoughData);
    assert!(
        answer.claims[0].reasons[0]
            .contains("6 of 100 times were taken while the machine was busy"),
        "{:?}",
        answer.claims[0]
    );
    assert!(
        answer.next.contains("again while nothing else runs"),
        "{}",
        answer.next
    );
    // That it is quick enough all the same is sound.
    let answer = page_of(&[run.clone()], &wants(0.8, 4.0)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::Holds);
    // As many as may lie beyond the quantile change nothing.
    run.trials[5].noisy = false;
    let answer = page_of(&[run], &wants(0.8, 0.5)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::Misses);
}

/// Two files of one name: the good one's success is not the other's.
#[test]
fn a_predictions_success_is_its_own_weights() {
    let good = Made {
        machine: "cpu-4c-16g-avx2",
        ..Made::default()
    };
    let poor = Made {
        machine: "mac-m2-max-32g",
        gpu_layers: 99,
        script: "F".repeat(100),
        // Quick, so that it would be the first to fit.
        decode_ms: 1.0,
        ..Made::default()
    };
    let mut poor = poor.run();
    poor.header.models[0].weights_sha256 = Some("0".repeat(64));
    let page = page_of(&[good.run(), poor], &wants(0.8, 0.4));
    let answer = page.answer.as_ref().unwrap();
    let named = answer.predicted_tier.as_ref().unwrap();
    let found = page
        .predictions
        .iter()
        .find(|it| it.tier == *named && it.weights_sha256 == answer.weights_sha256);
    assert_eq!(found.unwrap().success.rate, Some(1.0));
    assert_eq!(answer.cell.as_deref(), Some("smollm2, json, off"));
    assert!(found.unwrap().p95_ms.unwrap().high <= 400.0);
}

/// Of those that do on the smallest tier the one with the highest lower limit is named.
#[test]
fn the_best_cell_of_the_smallest_tier_is_named() {
    let some = Made {
        script: format!("{}{}", "P".repeat(95), "F".repeat(5)),
        ..Made::default()
    };
    let all = Made {
        model: "qwen2.5-coder:0.5b",
        ..Made::default()
    };
    let runs = [some.run(), all.run()];
    let holds = page_of(&runs, &wants(0.8, 4.0)).answer.unwrap();
    assert_eq!(holds.cell.as_deref(), Some("qwen2.5-coder:0.5b, json, off"));
    assert!(
        holds.sentence.contains("qwen2.5-coder:0.5b"),
        "{}",
        holds.sentence
    );
    let predicted = page_of(&runs, &wants(0.8, 0.4)).answer.unwrap();
    assert!(predicted.predicted_tier.is_some());
    assert_eq!(predicted.cell, holds.cell);
    // A bound that was not asked for is not told.
    let time = Wishes {
        p95_ms: Some(4000.0),
        ..Wishes::default()
    };
    let claim = &page_of(&runs, &time).answer.unwrap().claims[0];
    assert_eq!(
        (claim.success_at_least, claim.success_at_most),
        (None, None)
    );
    assert_eq!(claim.p95_at_most_ms, Some(810.0));
}

#[test]
fn prices_order_what_is_predicted_where_all_have_one() {
    let priced = |first: &str, second: &str| {
        let own = format!(
            "version: 1\ntiers:\n  - {{name: quick, device: nvidia, memory-gib: 24, bandwidth-gb-per-second: {{value: 900}}{first}}}\n  - {{name: slow, device: nvidia, memory-gib: 24, bandwidth-gb-per-second: {{value: 300}}{second}}}\n"
        );
        let mut tiers = parse_tiers(&own, Path::new("own")).unwrap();
        tiers.extend(shipped());
        let wishes = Wishes {
            tiers: vec!["quick".to_owned(), "slow".to_owned()],
            ..Wishes::default()
        };
        let page = page_with(
            &[Made::default().run()],
            &tiers,
            &KnownWeights::new(),
            &wishes,
        );
        let order: Vec<String> = page.predictions.iter().map(|it| it.tier.clone()).collect();
        (
            order,
            page.notes.iter().any(|note| note.contains("have a price")),
        )
    };
    let price = |amount: f64, currency: &str| {
        format!(", price: {{per-hour: {amount}, currency: {currency}}}")
    };
    let by = |names: [&str; 2]| names.map(str::to_owned).to_vec();
    let all = priced(&price(0.1, "USD"), &price(0.2, "USD"));
    assert_eq!(all, (by(["quick", "slow"]), false));
    assert_eq!(
        priced(&price(0.1, "USD"), ""),
        (by(["slow", "quick"]), true)
    );
    let two = priced(&price(0.1, "USD"), &price(0.2, "EUR"));
    assert_eq!(two, (by(["slow", "quick"]), true));
    assert_eq!(priced("", ""), (by(["slow", "quick"]), false));
}

/// Machines are for cells that do what is wanted; where none does, each one's reason is told.
#[test]
fn no_machines_are_offered_for_what_misses() {
    let valid_call = Wishes {
        objective: Objective::ValidCall,
        p95_ms: Some(2000.0),
        demand_per_hour: Some(100.0),
        ..Wishes::default()
    };
    // A tenth never comes to a valid call.
    let never = Made {
        script: format!("{}{}", "P".repeat(90), "M".repeat(10)),
        ..Made::default()
    };
    let page = page_of(&[never.run()], &valid_call);
    assert_eq!(page.demands, []);
    assert!(
        note(&page, "demand: no machine").contains("fewer than 95 % of its times lie within 2 s")
    );
    let poor = Made {
        script: format!("{}{}", "P".repeat(20), "F".repeat(80)),
        ..Made::default()
    };
    let wishes = Wishes {
        demand_per_hour: Some(100.0),
        ..wants(0.8, 4.0)
    };
    let page = page_of(&[poor.run()], &wishes);
    assert_eq!(page.demands, []);
    assert!(note(&page, "demand: no machine").contains("its success is at most"));
}

/// The peak was 1.5 times the prediction: so much is reckoned with.
#[test]
fn memory_has_a_range_by_what_was_measured() {
    let mut run = Made::default().run();
    // Measured: 300 MiB.
    let peak = f64::from(300_u32 << 20);
    run.header.models[0].facts.predicted_memory_bytes = Some((peak / 1.5) as u64);
    let tiers = |gib: f64| {
        let own =
            format!("version: 1\ntiers: [{{name: small, device: nvidia, memory-gib: {gib}}}]\n");
        parse_tiers(&own, Path::new("own")).unwrap()
    };
    let fits = |gib: f64| {
        let parts = [run.clone()];
        let page = page_with(
            &parts,
            &tiers(gib),
            &KnownWeights::new(),
            &Wishes::default(),
        );
        note(
            &page,
            "the highest measured peak was 1.50 times the prediction",
        );
        let found = page.predictions.into_iter().next().unwrap();
        let memory = found.memory_bytes.unwrap();
        assert!((memory.high / memory.value - 1.5).abs() < 1e-6);
        found.fits.unwrap()
    };
    let gib = peak / crate::types::tier::GIB;
    assert_eq!(fits(gib * 1.01), Fits::Yes);
    assert_eq!(fits(gib * 0.9), Fits::Perhaps);
    assert_eq!(fits(gib * 0.6), Fits::No);
}

/// On a processor the pages of the file stay beside what is repacked; they can be had back.
#[test]
fn what_is_repacked_is_resident_twice_on_processors_alone() {
    let header = WeightsHeader {
        block_count: 2,
        embedding_length: 64,
        split_count: 1,
        tensor_bytes: 1_000_000_000,
        repacked_bytes: 600_000_000,
        ..WeightsHeader::default()
    };
    let run = Made::default().run();
    let sha256 = run.header.models[0].weights_sha256.clone().unwrap();
    let weights = KnownWeights::from([(sha256, header)]);
    let page = page_with(&[run], &shipped(), &weights, &Wishes::default());
    // The engine's 700 MB count it once.
    assert_eq!(page.cells[0].predicted_memory_bytes, Some(1_300_000_000));
    let of = |name: &str| {
        let found = page.predictions.iter().find(|it| it.tier == name);
        found.unwrap().memory_bytes.unwrap()
    };
    let (server, card) = (of("cpu-large"), of("l4"));
    assert!((server.value - card.value - 6e8).abs() < 1.0);
    assert!((server.low - card.low).abs() < 1.0 && (card.low - card.value).abs() < 1.0);
}
