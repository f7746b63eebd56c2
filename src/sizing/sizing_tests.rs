//! The page on made-up runs of several machines, and by hand.

use std::path::Path;

use super::answer::Verdict;
use super::evidence::KnownWeights;
use super::matching::{device_of, tier_of, was_quiet};
use super::*;
use crate::metrics::testing::{Run, key};
use crate::store::tiers::{parse_tiers, published, tiers_with_user_file};
use crate::types::{Constraint, ModelFacts, Setting};
use crate::weights::gguf::Header as WeightsHeader;

fn shipped() -> Vec<Tier> {
    tiers_with_user_file(Path::new("/nowhere/tiers.yaml")).unwrap()
}

fn fixture(name: &str) -> (Fingerprint, Option<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/hardware/fingerprints")
        .join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let expects = parsed["expects"].as_str().map(str::to_owned);
    (
        serde_json::from_value(parsed["fingerprint"].clone()).unwrap(),
        expects,
    )
}

/// A run of one model on a fixture's machine: so many cases of a letter each (see `metrics::testing`),
/// each of 100 prompt tokens and 20 steps. A token of a prompt takes `prefill_ms`, a step `decode_ms`, the
/// rest 10 ms.
struct Made {
    machine: &'static str,
    model: &'static str,
    script: String,
    prefill_ms: f64,
    decode_ms: f64,
    gpu_layers: u32,
    concurrency: usize,
    context_tokens: u32,
    created_at: &'static str,
}

impl Default for Made {
    fn default() -> Self {
        Self {
            machine: "cpu-4c-16g-avx2",
            model: "smollm2",
            script: "P".repeat(100),
            prefill_ms: 2.0,
            decode_ms: 30.0,
            gpu_layers: 0,
            concurrency: 1,
            context_tokens: 4096,
            created_at: "2026-01-02T03:04:05Z",
        }
    }
}

impl Made {
    fn run(&self) -> Run {
        let (fingerprint, _) = fixture(self.machine);
        let mut cell = key(self.model, Constraint::Off);
        cell.tier = fingerprint.tier.clone();
        let mut run = Run::new();
        run.cell(&cell, &self.script);
        run.header.run = format!("{}-{}", self.machine, self.concurrency);
        self.created_at.clone_into(&mut run.header.created_at);
        run.header.fingerprint = fingerprint;
        run.header.variants[0].context_tokens = self.context_tokens;
        run.header.settings.push(Setting {
            name: "concurrency".to_owned(),
            value: self.concurrency.to_string(),
            origin: "test".to_owned(),
        });
        let facts = &mut run.header.models[0].facts;
        facts.parameters = Some(1_000_000_000);
        facts.file_bytes = Some(600_000_000);
        facts.quantisation = Some("Q4_K_M".to_owned());
        facts.gpu_layers = Some(self.gpu_layers);
        facts.predicted_memory_bytes = Some(700_000_000);
        facts.context_tokens = self.context_tokens;
        let (prefill, decode) = (100.0 * self.prefill_ms, 20.0 * self.decode_ms);
        for trial in &mut run.trials {
            for attempt in &mut trial.attempts {
                attempt.timing.prefill_ms = prefill;
                attempt.timing.decode_ms = decode;
                attempt.timing.total_ms = prefill + decode;
            }
            let busy = (prefill + decode) * trial.attempts.len() as f64;
            trial.time.total_ms = busy + 10.0;
            trial.time.to_valid_call_ms = trial.time.to_valid_call_ms.map(|_| busy);
        }
        run
    }
}

fn page_with(runs: &[Run], tiers: &[Tier], weights: &KnownWeights, wishes: &Wishes) -> SizingPage {
    let parts: Vec<SizingRun<'_>> = runs
        .iter()
        .map(|run| SizingRun {
            header: &run.header,
            trials: &run.trials,
        })
        .collect();
    page(&Inputs {
        runs: &parts,
        tiers,
        published: &published().unwrap(),
        weights,
        wishes,
    })
}

fn page_of(runs: &[Run], wishes: &Wishes) -> SizingPage {
    page_with(runs, &shipped(), &KnownWeights::new(), wishes)
}

fn wants(success: f64, p95_seconds: f64) -> Wishes {
    Wishes {
        success: Some(success),
        p95_ms: Some(p95_seconds * 1000.0),
        ..Wishes::default()
    }
}

#[test]
fn fingerprints_are_of_the_tiers_that_they_should_be_of() {
    let tiers = shipped();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/hardware/fingerprints");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        let (fingerprint, expects) = fixture(&name);
        let facts = ModelFacts {
            gpu_layers: Some(99),
            ..ModelFacts::default()
        };
        let device = device_of(&fingerprint, &facts).unwrap();
        let found = tier_of(&fingerprint, device, &tiers).map(|tier| tier.name.clone());
        assert_eq!(found, expects, "{name}");
        seen += 1;
    }
    assert_eq!(seen, 22);
}

#[test]
fn what_computed_is_told_and_never_guessed() {
    let (card, _) = fixture("gpu-l4-23g");
    let (bare, _) = fixture("cpu-4c-16g-avx2");
    let facts = |gpu_layers, remote| ModelFacts {
        gpu_layers,
        remote,
        ..ModelFacts::default()
    };
    assert_eq!(
        device_of(&card, &facts(Some(33), false)),
        Some(Device::Nvidia)
    );
    // A build without a backend for the card runs on the processor beside it.
    assert_eq!(device_of(&card, &facts(Some(0), false)), Some(Device::Cpu));
    assert_eq!(
        device_of(&card, &facts(None, false)),
        None,
        "a server may use either"
    );
    assert_eq!(device_of(&bare, &facts(None, false)), Some(Device::Cpu));
    assert_eq!(
        device_of(&bare, &facts(None, true)),
        None,
        "another machine's"
    );
    let (mac, _) = fixture("mac-m2-max-32g");
    assert_eq!(
        device_of(&mac, &facts(Some(33), false)),
        Some(Device::Apple)
    );
}

#[test]
fn a_busy_machines_probe_is_not_used() {
    let (mut machine, _) = fixture("cpu-4c-16g-avx2");
    assert!(was_quiet(&machine));
    machine.load_average = Some(9.0);
    assert!(!was_quiet(&machine));
    machine.load_average = Some(0.5);
    machine.compute_spread_share = Some(0.5);
    assert!(!was_quiet(&machine));
    let mut busy = Made::default().run();
    busy.header.fingerprint.load_average = Some(9.0);
    let page = page_of(&[busy], &Wishes::default());
    assert!(page.fits.iter().all(|fit| fit.device != Device::Cpu));
    assert!(
        page.notes.iter().any(|note| note.contains("was busy")),
        "{:?}",
        page.notes
    );
}

#[test]
fn a_cell_shows_what_was_measured() {
    let page = page_of(&[Made::default().run()], &wants(0.8, 4.0));
    let cell = &page.cells[0];
    assert_eq!(
        (cell.tier.as_deref(), cell.device),
        (Some("cpu-small"), Some(Device::Cpu))
    );
    assert!((cell.decode_tokens_per_second.unwrap() - 1000.0 / 30.0).abs() < 1e-9);
    assert!((cell.prefill_tokens_per_second.unwrap() - 500.0).abs() < 1e-9);
    // 200 + 600 + 10 ms, a hundred times.
    assert_eq!(
        (cell.task_ms.p50, cell.task_ms.p95),
        (Some(810.0), Some(810.0))
    );
    assert!((cell.goodput_per_hour.unwrap() - 3600.0 / 0.81).abs() < 1.0);
    assert_eq!(cell.attainment.as_ref().unwrap().hits, 100);
    // 15.6 GiB less the tier's one, less 300 MiB.
    let headroom = cell.headroom_bytes.unwrap() / crate::types::tier::GIB;
    assert!(
        (headroom - (15.6 - 1.0 - 300.0 / 1024.0)).abs() < 0.01,
        "{headroom}"
    );
    assert_eq!(cell.predicted_memory_bytes, Some(700_000_000));
    assert_eq!(cell.tokens_per_success, Some(321.0));
    let reserved = Wishes {
        reserve_gib: Some(8.0),
        ..Wishes::default()
    };
    let page = page_of(&[Made::default().run()], &reserved);
    let less = page.cells[0].headroom_bytes.unwrap() / crate::types::tier::GIB;
    assert!((headroom - less - 7.0).abs() < 1e-6, "{less}");
}

#[test]
fn of_equal_cells_the_newest_counts() {
    let old = Made {
        created_at: "2025-01-01T00:00:00Z",
        script: "F".repeat(30),
        ..Made::default()
    };
    let page = page_of(&[Made::default().run(), old.run()], &Wishes::default());
    assert_eq!(page.cells.len(), 1);
    assert_eq!(page.cells[0].cases, 100);
    assert!(
        page.notes
            .iter()
            .any(|note| note.contains("is in several runs"))
    );
}

#[test]
fn a_cell_holds_when_both_bounds_do() {
    let page = page_of(&[Made::default().run()], &wants(0.8, 4.0));
    let answer = page.answer.unwrap();
    assert_eq!(
        (answer.verdict, answer.tier.as_deref()),
        (Verdict::Holds, Some("cpu-small"))
    );
    // One cell, two bounds: 2.5 % each; scipy.stats.beta.ppf(0.025, 100, 1).
    assert!((answer.level - 0.025).abs() < 1e-12);
    assert!((answer.claims[0].success_at_least.unwrap() - 0.963_783_1).abs() < 1e-6);
    assert_eq!(answer.claims[0].p95_at_most_ms, Some(810.0));
    assert!(
        answer.sentence.contains("smallest measured tier"),
        "{}",
        answer.sentence
    );
}

#[test]
fn too_few_cases_are_told_with_the_number_that_would_do() {
    let few = Made {
        script: "P".repeat(60),
        ..Made::default()
    };
    let answer = page_of(&[few.run()], &wants(0.8, 4.0)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::NotEnoughData);
    assert_eq!(answer.claims[0].cases_needed, Some(72));
    assert_eq!(answer.claims[0].p95_at_most_ms, None);
    assert!(answer.claims[0].reasons[0].contains("from 72 cases, there are 60"));
    assert!(answer.next.contains("about 72 cases"), "{}", answer.next);
}

#[test]
fn what_is_too_slow_or_too_poor_misses() {
    let page = page_of(&[Made::default().run()], &wants(0.8, 0.5));
    let answer = page.answer.unwrap();
    assert_eq!(answer.verdict, Verdict::Misses);
    assert!(answer.claims[0].reasons[0].contains("p95 is at least 0.81 s"));
    let poor = Made {
        script: "F".repeat(100),
        ..Made::default()
    };
    let answer = page_of(&[poor.run()], &wants(0.8, 4.0)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::Misses);
    // Success is the weights': no machine helps.
    assert_eq!(answer.predicted_tier, None);
    assert!(
        answer.sentence.contains("no tier is predicted to"),
        "{}",
        answer.sentence
    );
}

/// Missing trials leave nothing to be said, whatever the others show.
#[test]
fn an_incomplete_cell_is_no_evidence() {
    let mut run = Made::default().run();
    run.trials.truncate(90);
    let answer = page_of(&[run], &wants(0.8, 4.0)).answer.unwrap();
    assert_eq!(answer.verdict, Verdict::NotEnoughData);
}

#[test]
fn the_smallest_of_several_that_hold_is_named_and_bounds_are_shared() {
    let card = Made {
        machine: "gpu-rtx-4090-24g",
        gpu_layers: 99,
        decode_ms: 3.0,
        prefill_ms: 0.2,
        ..Made::default()
    };
    let mac = Made {
        machine: "mac-m2-max-32g",
        gpu_layers: 99,
        decode_ms: 8.0,
        prefill_ms: 0.5,
        ..Made::default()
    };
    let runs = [card.run(), Made::default().run(), mac.run()];
    // 0.81 s on the processor, 0.22 s on the Mac, 0.09 s on the card.
    let answer = page_of(&runs, &wants(0.8, 0.5)).answer.unwrap();
    assert_eq!(answer.tier.as_deref(), Some("m2-max-32g"));
    let order: Vec<&str> = answer
        .claims
        .iter()
        .map(|claim| claim.tier.as_str())
        .collect();
    assert_eq!(order, ["cpu-small", "m2-max-32g", "rtx-4090"]);
    // Three cells with two bounds each.
    assert!((answer.level - 0.05 / 6.0).abs() < 1e-12);
    // With prices the cheaper one is the smaller one.
    let own = "version: 1\ntiers:\n  - {name: rtx-4090, device: nvidia, memory-gib: 24, match: {words: ['4090']}, price: {per-hour: 0.1, currency: USD}}\n  - {name: m2-max-32g, device: apple, memory-gib: 32, match: {words: [m2, max]}, price: {per-hour: 0.2, currency: USD}}\n  - {name: cpu-small, device: cpu, memory-gib: 16, match: {cores: [1, 64]}, price: {per-hour: 0.05, currency: USD}}\n";
    let tiers = parse_tiers(own, Path::new("own")).unwrap();
    let page = page_with(&runs, &tiers, &KnownWeights::new(), &wants(0.8, 0.5));
    assert_eq!(page.answer.unwrap().tier.as_deref(), Some("rtx-4090"));
    let card = page
        .cells
        .iter()
        .find(|cell| cell.tier.as_deref() == Some("rtx-4090"))
        .unwrap();
    // 0.1 an hour over 3,600,000 / 90 successes an hour.
    assert!((card.machine_cost_per_success.unwrap() - 0.1 / 40_000.0).abs() < 1e-9);
    assert_eq!(
        card.watt_hours_per_success, None,
        "this file does not say its power"
    );
    let page = page_of(&runs, &Wishes::default());
    let card = page
        .cells
        .iter()
        .find(|cell| cell.tier.as_deref() == Some("rtx-4090"))
        .unwrap();
    assert!((card.watt_hours_per_success.unwrap() - 450.0 / 40_000.0).abs() < 1e-9);
}

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
    assert!(!large.validated && large.fits == Some(true));
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
    assert_eq!((amd.p95_ms, amd.fits), (None, Some(true)));
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
    assert!(page.published[1].share_of_peak_bandwidth.unwrap() > 1.0);
    // Kinds with four machines or more are checked by leaving each out.
    for device in [Device::Apple, Device::Nvidia] {
        let own = page.fits.iter().filter(|fit| fit.device == device);
        assert!(own.clone().count() == 2 && own.clone().all(|fit| fit.validated));
    }
}

#[test]
fn nothing_wanted_is_no_answer_and_no_run_no_panic() {
    assert_eq!(
        page_of(&[Made::default().run()], &Wishes::default()).answer,
        None
    );
    let empty = page_of(&[], &wants(0.8, 1.0));
    assert_eq!((empty.answer, empty.cells.len()), (None, 0));
}

/// The page that the reports' tests print: three machines, two models, two loads, two contexts.
pub(crate) fn sample_page() -> SizingPage {
    let machine = |machine, gpu_layers, decode_ms, prefill_ms| Made {
        machine,
        gpu_layers,
        decode_ms,
        prefill_ms,
        ..Made::default()
    };
    let other = Made {
        model: "qwen2.5-coder:0.5b",
        script: format!("{}{}{}", "P".repeat(50), "F".repeat(20), "R".repeat(10)),
        ..Made::default()
    };
    let runs = [
        Made::default().run(),
        other.run(),
        machine("mac-m2-max-32g", 99, 8.0, 0.5).run(),
        machine("gpu-rtx-4090-24g", 99, 3.0, 0.2).run(),
        Made {
            concurrency: 4,
            ..Made::default()
        }
        .run(),
        Made {
            context_tokens: 8192,
            ..Made::default()
        }
        .run(),
    ];
    let wishes = Wishes {
        demand_per_hour: Some(9000.0),
        ..wants(0.8, 0.5)
    };
    page_of(&runs, &wishes)
}
