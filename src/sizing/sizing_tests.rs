//! The page on made-up runs of several machines, and by hand.

use std::path::Path;

use super::answer::Verdict;
use super::evidence::KnownWeights;
use super::matching::{device_of, tier_of, was_quiet};
use super::*;
use crate::metrics::testing::{Run, key};
use crate::store::tiers::{parse_tiers, published, tiers_with_user_file};
use crate::types::shard::MergedShard;
use crate::types::tier::Device;
use crate::types::{Constraint, ModelFacts, Setting};

pub(super) fn shipped() -> Vec<Tier> {
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
pub(super) struct Made {
    pub(super) machine: &'static str,
    pub(super) model: &'static str,
    pub(super) script: String,
    pub(super) prefill_ms: f64,
    pub(super) decode_ms: f64,
    pub(super) gpu_layers: u32,
    pub(super) concurrency: usize,
    pub(super) context_tokens: u32,
    pub(super) created_at: &'static str,
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
    pub(super) fn run(&self) -> Run {
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

pub(super) fn page_with(
    runs: &[Run],
    tiers: &[Tier],
    weights: &KnownWeights,
    wishes: &Wishes,
) -> SizingPage {
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

pub(super) fn page_of(runs: &[Run], wishes: &Wishes) -> SizingPage {
    page_with(runs, &shipped(), &KnownWeights::new(), wishes)
}

pub(super) fn wants(success: f64, p95_seconds: f64) -> Wishes {
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
    assert_eq!(seen, 27);
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
        script: "F".repeat(100),
        ..Made::default()
    };
    let page = page_of(&[Made::default().run(), old.run()], &Wishes::default());
    assert_eq!(page.cells.len(), 1);
    assert_eq!(page.cells[0].success.rate, Some(1.0));
    assert!(
        page.notes
            .iter()
            .any(|note| note.contains("is in several runs"))
    );
}

/// A later smoke run of a few cases says nothing of the many.
#[test]
fn cells_of_other_cases_stay_apart() {
    let few = Made {
        created_at: "2027-01-01T00:00:00Z",
        script: "F".repeat(4),
        ..Made::default()
    };
    let page = page_of(&[Made::default().run(), few.run()], &wants(0.8, 4.0));
    assert_eq!(page.cells.len(), 2);
    let answer = page.answer.unwrap();
    assert_eq!(answer.tier.as_deref(), Some("cpu-small"));
    assert!(answer.sentence.contains("asked different cases"));
    let names: Vec<&str> = answer.claims.iter().map(|it| &*it.cell).collect();
    assert!(names[0] != names[1], "{names:?}");
}

/// Each machine of a merged run is its own.
#[test]
fn merged_runs_have_the_machine_of_each_cell() {
    let mut run = Made::default().run();
    let (other, _) = fixture("cpu-64c-256g-avx512");
    run.header.merged_from.push(MergedShard {
        run: "second".to_owned(),
        shard: (2, 2),
        created_at: "2026-01-02T03:04:05Z".to_owned(),
        executions: 1,
        fingerprint: other.clone(),
    });
    for trial in &mut run.trials {
        trial.cell.tier.clone_from(&other.tier);
    }
    run.header.cells[0].key.tier.clone_from(&other.tier);
    let page = page_of(&[run], &Wishes::default());
    assert_eq!(page.cells[0].tier.as_deref(), Some("cpu-large"));
    assert_eq!(page.machines.len(), 2);
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
        prefill_ms,
        decode_ms,
        gpu_layers,
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
