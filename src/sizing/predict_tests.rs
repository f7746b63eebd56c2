//! What the page says of machines that nobody has run, by hand.

use super::answer::Verdict;
use super::evidence::KnownWeights;
use super::memory::Fits;
use super::tests::{Made, page_of, page_with, shipped, wants};
use super::*;
use crate::types::tier::Device;
use crate::weights::gguf::Header as WeightsHeader;

#[test]
fn a_card_that_was_not_used_says_nothing_of_the_card() {
    let beside = Made {
        machine: "gpu-l4-23g",
        gpu_layers: 0,
        ..Made::default()
    };
    let page = page_of(&[beside.run()], &Wishes::default());
    assert_eq!(page.cells[0].device, Some(Device::Cpu));
    assert_ne!(page.cells[0].tier.as_deref(), Some("l4"));
    assert!(page.predictions.iter().any(|found| found.tier == "l4"));
}

/// One machine of its kind: 30 ms a step for 600 MB at 31 GB/s is 1.55 times the time at the peak. A tier of
/// 51.2 GB/s, of which a probe would see 80 %, then takes 22.7 ms.
#[test]
fn a_tier_is_predicted_from_the_tokens_of_the_trials() {
    let page = page_of(&[Made::default().run()], &wants(0.8, 4.0));
    let fit = page
        .fits
        .iter()
        .find(|fit| fit.device == Device::Cpu)
        .unwrap();
    assert!(!fit.validated && fit.overhead_assumed);
    let at_peak = 0.6 / 31.0;
    assert!((fit.slope - 0.030 / at_peak).abs() < 1e-6, "{fit:?}");
    let large = page
        .predictions
        .iter()
        .find(|found| found.tier == "cpu-large")
        .unwrap();
    let step_ms = 30.0 * 31.0 / (460.8 * 0.8);
    let decode = large.decode_tokens_per_second.unwrap();
    assert!((decode.value - 1000.0 / step_ms).abs() < 1e-6, "{decode:?}");
    assert!((decode.value / decode.low - roofline::UNVALIDATED_FACTOR).abs() < 1e-9);
    let token_ms = 2.0 * 0.25 / (5.7 * 0.8);
    let expected = 100.0 * token_ms + 20.0 * step_ms + 10.0;
    assert!((large.p95_ms.unwrap().value - expected).abs() < 1e-6);
    assert!(!large.validated && large.fits == Some(Fits::Yes));
    assert_eq!(large.success.rate, Some(1.0));
    // What was measured there is not predicted.
    assert!(
        page.predictions
            .iter()
            .all(|found| found.tier != "cpu-small")
    );
    // Nobody has published enough of AMD's cards.
    let amd = page
        .predictions
        .iter()
        .find(|found| found.tier == "mi300x")
        .unwrap();
    assert_eq!((amd.p95_ms, amd.fits), (None, Some(Fits::Yes)));
    assert!(!amd.validated, "nothing is predicted");
    assert!(amd.no_time.as_ref().unwrap().contains("AMD"));
}

#[test]
fn where_no_measured_tier_does_the_smallest_predicted_one_is_named_as_such() {
    let answer = page_of(&[Made::default().run()], &wants(0.8, 0.4))
        .answer
        .unwrap();
    assert_eq!((answer.verdict, answer.tier), (Verdict::Misses, None));
    let named = answer.predicted_tier.unwrap();
    assert!(
        answer.sentence.contains("no measured tier does"),
        "{}",
        answer.sentence
    );
    assert!(
        answer.sentence.contains("predicted: "),
        "{}",
        answer.sentence
    );
    // The upper end of its range lies within the limit, and no smaller one's does.
    let page = page_of(&[Made::default().run()], &wants(0.8, 0.4));
    let high = |name: &str| {
        let found = page.predictions.iter().find(|it| it.tier == name).unwrap();
        found.p95_ms.map(|times| times.high)
    };
    assert!(high(&named).unwrap() <= 400.0);
    for found in page.predictions.iter().take_while(|it| it.tier != named) {
        assert!(
            found.p95_ms.is_none_or(|times| times.high > 400.0),
            "{}",
            found.tier
        );
    }
}

/// Success of one model is never another's.
#[test]
fn success_is_carried_for_equal_weights_only() {
    let poor = Made {
        model: "qwen2.5-coder:1.5b",
        script: "F".repeat(100),
        machine: "mac-m2-max-32g",
        gpu_layers: 99,
        ..Made::default()
    };
    let page = page_of(&[Made::default().run(), poor.run()], &Wishes::default());
    for found in &page.predictions {
        let rate = if found.model == "smollm2" { 1.0 } else { 0.0 };
        assert_eq!(found.success.rate, Some(rate), "{found:?}");
        let on = if found.model == "smollm2" {
            "cpu-small"
        } else {
            "m2-max-32g"
        };
        assert_eq!(found.success_measured_on, on);
    }
    // Weights that nobody knows by hash are carried nowhere.
    let mut unknown = Made::default().run();
    unknown.header.models[0].weights_sha256 = None;
    assert_eq!(page_of(&[unknown], &Wishes::default()).predictions, []);
}

#[test]
fn a_call_that_never_comes_is_later_than_any_limit() {
    let script = format!("{}{}", "P".repeat(90), "M".repeat(10));
    let some_never = Made {
        script,
        ..Made::default()
    };
    let wishes = Wishes {
        objective: Objective::ValidCall,
        p95_ms: Some(60_000.0),
        ..Wishes::default()
    };
    let answer = page_of(&[some_never.run()], &wishes).answer.unwrap();
    assert_ne!(answer.verdict, Verdict::Holds);
    assert_eq!(answer.claims[0].p95_at_most_ms, None);
    // No-call cases have no such time, and are no miss.
    let script = format!("{}{}", "P".repeat(90), "N".repeat(10));
    let none_due = Made {
        script,
        ..Made::default()
    };
    let page = page_of(&[none_due.run()], &wishes);
    assert_eq!(page.answer.unwrap().verdict, Verdict::Holds);
    assert_eq!(page.cells[0].attainment.as_ref().unwrap().hits, 100);
}

/// Two at once take as long each as the engine takes for both: nothing is gained.
#[test]
fn load_shows_goodput_and_machines() {
    let two = Made {
        concurrency: 2,
        ..Made::default()
    };
    let mut two = two.run();
    for trial in &mut two.trials {
        trial.time.total_ms *= 2.0;
    }
    let wishes = Wishes {
        demand_per_hour: Some(10_000.0),
        p95_ms: Some(2000.0),
        ..Wishes::default()
    };
    let page = page_of(&[two, Made::default().run()], &wishes);
    let shown: Vec<_> = page
        .load
        .iter()
        .map(|row| {
            (
                row.concurrency,
                row.p95_ms,
                row.goodput_per_hour.map(f64::round),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (1, Some(810.0), Some(4444.0)),
            (2, Some(1620.0), Some(4444.0))
        ]
    );
    // 10,000 / 4,444; at the lower limit of 100 of 100 (Wilson: 96.3 %) 4,280 an hour.
    assert_eq!(page.demands.len(), 1);
    assert_eq!(
        (page.demands[0].machines, page.demands[0].machines_at_low),
        (3, Some(3))
    );
    // Loads other than one at a time make no claim and no prediction.
    assert_eq!(page.answer.unwrap().claims.len(), 1);
    // What is too slow serves nobody.
    let tight = Wishes {
        p95_ms: Some(100.0),
        ..wishes
    };
    assert_eq!(page_of(&[Made::default().run()], &tight).demands, []);
}

#[test]
fn contexts_that_were_not_run_are_predicted_where_the_weights_are_known() {
    let header = WeightsHeader {
        block_count: 24,
        embedding_length: 896,
        feed_forward_length: 4864,
        head_count: 14,
        kv_head_counts: vec![2; 24],
        key_length: 64,
        value_length: 64,
        sliding_layers: vec![false; 24],
        vocabulary_size: 151_936,
        split_count: 1,
        tensor_bytes: 490_000_000,
        context_length_tokens: Some(32_768),
        ..WeightsHeader::default()
    };
    let run = Made::default().run();
    let sha256 = run.header.models[0].weights_sha256.clone().unwrap();
    let weights = KnownWeights::from([(sha256, header)]);
    let wishes = Wishes {
        contexts: vec![2048, 4096, 8192],
        ..Wishes::default()
    };
    let page = page_with(&[run], &shipped(), &weights, &wishes);
    let shown: Vec<_> = page
        .contexts
        .iter()
        .map(|row| (row.context_tokens, row.cases, row.success.is_some()))
        .collect();
    assert_eq!(
        shown,
        [(2048, 0, false), (4096, 100, true), (8192, 0, false)]
    );
    let predicted: Vec<f64> = page
        .contexts
        .iter()
        .filter_map(|row| row.predicted_memory_bytes)
        .collect();
    assert!(predicted.len() == 3 && predicted[0] < predicted[2]);
    let largest: Vec<_> = page
        .mac_contexts
        .iter()
        .map(|row| (row.memory_gib, row.advised_tokens, row.largest[0].1))
        .collect();
    // 8 GB leave 4 GiB: 32k fit. Ollama's advice goes by the memory for models.
    assert_eq!(largest[0], (8.0, Some(4096), Some(32_768)));
    assert!(largest.contains(&(36.0, Some(32_768), Some(32_768))));
    assert!(largest.contains(&(64.0, Some(262_144), Some(32_768))));
}

#[test]
fn quantisations_of_one_model_stand_together() {
    let small = Made {
        model: "m:q4",
        ..Made::default()
    };
    let mut large = Made {
        model: "m:q8",
        ..Made::default()
    }
    .run();
    let one = page_of(&[small.run()], &Wishes::default());
    assert_eq!(one.contexts, []);
    large.header.models[0].facts.quantisation = Some("Q8_0".to_owned());
    let both = page_of(&[small.run(), large], &Wishes::default());
    let shown: Vec<_> = both
        .contexts
        .iter()
        .map(|row| row.quantisation.clone())
        .collect();
    assert_eq!(shown, [Some("Q4_K_M".to_owned()), Some("Q8_0".to_owned())]);
}

#[test]
fn published_figures_stand_beside_the_prediction_with_its_error() {
    let page = page_of(&[Made::default().run()], &Wishes::default());
    let shown: Vec<_> = page
        .published
        .iter()
        .filter(|row| !row.calibrates)
        .map(|row| {
            (
                row.low_tokens_per_second,
                row.high_tokens_per_second,
                row.verified,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (25.0, 30.0, false),
            (120.0, 150.0, false),
            (200.0, 250.0, false)
        ]
    );
    for row in &page.published {
        let middle = f64::midpoint(row.low_tokens_per_second, row.high_tokens_per_second);
        let error = row.predicted.unwrap().value / middle - 1.0;
        assert!((row.error_share.unwrap() - error).abs() < 1e-12);
    }
    // 135 tokens/s of 2.39 GB are more than an L4's 300 GB/s: no one reply at a time from such weights.
    let compared: Vec<_> = page
        .published
        .iter()
        .filter(|row| !row.calibrates)
        .collect();
    assert!(compared[1].share_of_peak_bandwidth.unwrap() > 1.0);
    // What calibrates stands there too, beside a fit that does not know its machine: one of them is the worst
    // that the range is made of.
    for device in [("NVIDIA", Device::Nvidia), ("Apple", Device::Apple)] {
        for phase in [roofline::Phase::Decode, roofline::Phase::Prefill] {
            let fit = page.fits.iter();
            let mut fit = fit.filter(|fit| (fit.device, fit.phase) == (device.1, phase));
            let rows = page.published.iter().filter(|row| {
                row.calibrates && row.phase == phase && row.tier.starts_with(device.0)
            });
            let worst = rows.map(|row| (1.0 + row.error_share.unwrap()).ln().abs().exp());
            let worst = worst.reduce(f64::max).unwrap();
            assert!(
                (fit.next().unwrap().error_factor - worst).abs() < 1e-9,
                "{device:?} {phase:?}"
            );
        }
    }
    let notes = page.notes.join("\n");
    assert!(
        notes.contains("18 published speeds of 9 machines (github.com/XiongjieDai"),
        "{notes}"
    );
    // Kinds with four machines or more are checked by leaving each out.
    for device in [Device::Apple, Device::Nvidia] {
        let own = page.fits.iter().filter(|fit| fit.device == device);
        assert!(own.clone().count() == 2 && own.clone().all(|fit| fit.validated));
    }
}
