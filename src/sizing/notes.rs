//! The notes of the page: what was left out, what numbers mean, what predictions rest on.
//!
//! Data in: cells, fits, published figures, wishes. Data out: sentences. Invariants: pure; nothing is
//! concluded here that the page's numbers do not say.

use super::answer::Answer;
use super::evidence::{Cell, fingerprints};
use super::matching::was_quiet;
use super::memory::measured_share;
use super::order::{price, price_note};
use super::published::PUBLISHED_MARK;
use super::roofline::{Fit, LEAST_MACHINES, Phase};
use super::{SizingRun, Wishes};
use crate::types::fingerprint::Fingerprint;
use crate::types::tier::{Device, Published, Tier};

/// Probes that are shown and not used.
pub(super) fn busy_probes(runs: &[SizingRun<'_>]) -> Vec<String> {
    let of_run = |run: &SizingRun<'_>| -> Vec<(String, Fingerprint)> {
        let mut seen: Vec<(String, Fingerprint)> = Vec::new();
        for found in fingerprints(run.header) {
            if !seen.iter().any(|(_, known)| known == found) {
                seen.push((run.header.run.clone(), found.clone()));
            }
        }
        seen
    };
    let busy = runs.iter().flat_map(of_run);
    let busy = busy.filter(|(_, found)| found.gpus.is_empty() && !was_quiet(found));
    busy.map(|(run, found)| {
        let load = found.load_average.map_or_else(String::new, |load| {
            format!(" (load {load:.1} on {})", count(found.logical_cores as usize, "processor"))
        });
        format!(
            "{}: {} was busy with something else when it was probed{load}, so its bandwidth and compute are \
             not used to predict other machines",
            run, found.tier
        )
    })
    .collect()
}

/// What numbers mean, and how good predictions are.
pub(super) fn remarks(
    cells: &[Cell],
    fits: &[Fit],
    published: &Published,
    wishes: &Wishes,
) -> Vec<String> {
    let mut notes = Vec::new();
    for fit in fits {
        let what = match fit.phase {
            Phase::Decode => "generating",
            Phase::Prefill => "reading prompts",
        };
        let overhead = if fit.overhead_assumed {
            "overhead not told apart, taken as 0".to_owned()
        } else {
            format!("{:.2} ms a token on top", fit.overhead_ms)
        };
        let range = if fit.validated {
            format!(
                "off by a factor of {:.2} at worst when a machine is left out; not validated for weights \
                 of less than half or more than twice the sizes it was fitted to ({})",
                fit.error_factor,
                sizes(fit)
            )
        } else {
            format!(
                "not validated (fewer than {LEAST_MACHINES} machines), so within a factor of {:.1} at best",
                fit.error_factor
            )
        };
        notes.push(format!(
            "predicted, {} {what}: {:.2} times the time at the peak, {overhead}; {}; {range}",
            fit.device.as_str(),
            fit.slope,
            fitted_to(fit, published),
        ));
    }
    if cells.iter().any(|cell| cell.concurrency > 1) {
        notes.push(
            "load: each suite is run by itself with so many trials in flight until none are left to begin; times \
             include waiting for a turn and for the endpoint. The linked engine decodes one request at a time, \
             so more at once makes it wait, not faster"
                .to_owned(),
        );
    }
    if cells.iter().any(|cell| cell.peak_is_without_card) {
        notes.push(
            "memory on a card is not part of the measured peak; headroom is by the prediction"
                .to_owned(),
        );
    }
    notes.extend(memory_remark(cells));
    if cells.iter().any(|cell| cell.work.waited_ms > 0.0) {
        notes.push(
            "the endpoint made trials wait: the answer, what lies within the limit, successes an hour and times \
             by load count that, the times of \"Success and time\" do not"
                .to_owned(),
        );
    }
    let noisy: usize = cells.iter().map(|cell| cell.noisy_trials).sum();
    if noisy > 0 {
        notes.push(format!(
            "{} ran while the machine was busy with something else: their times are too long, and \
             the predictor leaves them out where there are quiet ones",
            count(noisy, "trial")
        ));
    }
    if cells.iter().any(|cell| cell.device == Some(Device::Cpu)) {
        notes.push(
            "bandwidth and compute of machines are probed for 40 ms each over all cores: a plain read of \
             a buffer larger than the cache, and 32-bit multiply-adds on a block inside it; ± is half the \
             range of the middle half of the passes"
                .to_owned(),
        );
    }
    if let Some(reserve) = wishes.reserve_gib {
        notes.push(format!(
            "{reserve} GiB are set aside for other programs, of memory that is shared with them (not of cards)"
        ));
    }
    notes.push(
        "headroom and memory in GiB, peaks in MB of 1,000,000 bytes; success is carried to other tiers \
         for equal weights (SHA-256) only"
            .to_owned(),
    );
    notes
}

/// Speeds behind a fit; published ones with their documents.
fn fitted_to(fit: &Fit, published: &Published) -> String {
    let speeds = count(fit.points, "speed");
    let machines = count(fit.machines.len(), "machine");
    let name = |machine: &String| machine.strip_suffix(PUBLISHED_MARK).map(str::to_owned);
    let told: Vec<String> = fit.machines.iter().filter_map(name).collect();
    let mut sources: Vec<String> = published
        .speeds
        .iter()
        .filter(|speed| speed.calibrates && told.contains(&speed.tier))
        .map(|speed| format!("{}, {}", speed.document, speed.date))
        .collect();
    sources.dedup();
    let sources = sources.join("; ");
    match told.len() {
        0 => format!("{speeds} of {machines}"),
        all if all == fit.machines.len() => {
            format!(
                "{} of {machines} ({sources})",
                speeds.replacen(" speed", " published speed", 1)
            )
        }
        some => format!("{speeds} of {machines}, {some} of them published ({sources})"),
    }
}

/// How far measured peaks lie above the formula.
fn memory_remark(cells: &[Cell]) -> Option<String> {
    let shares = cells
        .iter()
        .filter_map(|cell| Some((measured_share(cell)?, cell)));
    let (worst, cell) = shares.reduce(|a, b| if b.0 > a.0 { b } else { a })?;
    let copies = if cells.iter().any(|cell| cell.device == Some(Device::Cpu)) {
        "; on processors it counts the pages of the file that stay beside a repacked copy, which the system can \
         have back: the lower end is without them"
    } else {
        ""
    };
    Some(format!(
        "memory: the highest measured peak was {worst:.2} times the prediction ({} on {}); the upper end \
         of a prediction reckons with the worst of its weights, and \"fits\" and headroom are said of that{copies}",
        cell.label(),
        cell.place(),
    ))
}

/// Success and p95 were asked for, and nothing can be said of them.
pub(super) fn unanswered(answer: Option<&Answer>, wishes: &Wishes) -> Option<String> {
    let asked = wishes.success.is_some() || wishes.p95_ms.is_some();
    (asked && answer.is_none()).then(|| {
        "no answer: success and p95 are judged of cells that were measured one at a time, and none was (add 1 \
         to `--load`)"
            .to_owned()
    })
}

/// Prices that do not give an order.
pub(super) fn prices(to_predict: &[&Tier], cells: &[Cell], tiers: &[Tier]) -> Vec<String> {
    let told: Vec<_> = to_predict.iter().map(|tier| tier.price.as_ref()).collect();
    let own: Vec<_> = cells
        .iter()
        .filter(|cell| cell.concurrency == 1)
        .map(|cell| price(cell.place(), tiers))
        .collect();
    let notes = [
        price_note("tiers that are predicted for", &told),
        price_note("measured cells", &own),
    ];
    notes.into_iter().flatten().collect()
}

fn sizes(fit: &Fit) -> String {
    let (low, high) = (fit.least_size / 1e9, fit.most_size / 1e9);
    match fit.phase {
        Phase::Decode => format!("{low:.1} to {high:.1} GB"),
        Phase::Prefill => format!("{low:.1} to {high:.1} billion parameters"),
    }
}

fn count(number: usize, singular: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {singular}{plural}")
}
