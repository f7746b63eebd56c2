//! The header of the whole.

use std::collections::BTreeSet;

use super::Part;
use crate::record::format::{
    CellHeader, ExcludedCell, Header, ModelHeader, RECORD_VERSION, ToolServerHeader,
};
use crate::types::probe::ProbeSet;
use crate::types::shard::{MergedShard, WholePlan};
use crate::types::{CellKey, ContentHash, Setting, Suite};

/// Of shards that belong together, in their order.
pub(super) fn header(parts: &[Part<'_>]) -> Header {
    let first = &parts[0];
    let order = &Order::of(first);
    let of_first = &first.run.header;
    let headers: Vec<&Header> = parts.iter().map(|part| &part.run.header).collect();
    let cells = cells(&headers, order);
    let created = headers.iter().map(|header| header.created_at.as_str());
    Header {
        record_version: RECORD_VERSION,
        created_at: created.min().unwrap_or_default().to_owned(),
        plan_hash: plan_hash(parts),
        suites: suites(&headers, &order.whole),
        settings: settings(&headers),
        margin_points: margin_points(&headers),
        models: models(&headers),
        planned_trials: cells.iter().map(|cell| cell.trials).sum(),
        cells,
        excluded: excluded(&headers, order),
        probes: probes(&headers),
        tool_servers: tool_servers(&headers),
        shard: None,
        whole: None,
        merged_from: parts.iter().map(merged_shard).collect(),
        ..of_first.clone()
    }
}

/// That of the same run without `--shard`; where shards ran on several tiers there is none, and the
/// hashes on all of them together say which plan it is.
fn plan_hash(parts: &[Part<'_>]) -> ContentHash {
    let hashes: BTreeSet<&ContentHash> = parts.iter().map(|it| &it.whole.plan_hash).collect();
    let mut all = hashes.iter();
    match (all.next(), all.next()) {
        (Some(only), None) => (*only).clone(),
        _ => ContentHash::of_value(&hashes),
    }
}

fn merged_shard(part: &Part<'_>) -> MergedShard {
    let header = &part.run.header;
    MergedShard {
        run: header.run.clone(),
        shard: part.shard,
        created_at: header.created_at.clone(),
        executions: part.run.executions.len(),
        fingerprint: header.fingerprint.clone(),
    }
}

fn suites(headers: &[&Header], whole: &WholePlan) -> Vec<Suite> {
    let mut merged = Vec::new();
    for named in &whole.suites {
        let own = headers.iter().flat_map(|header| &header.suites);
        let parts: Vec<&Suite> = own.filter(|it| it.suite == named.suite).collect();
        let Some(first) = parts.first() else { continue };
        let cases = named.cases.iter().filter_map(|id| {
            let mut all = parts.iter().flat_map(|part| &part.cases);
            all.find(|case| case.id == *id).cloned()
        });
        merged.push(Suite {
            cases: cases.collect(),
            ..(*first).clone()
        });
    }
    merged
}

/// Those that all shards share; `shard` is what no whole run has.
fn settings(headers: &[&Header]) -> Vec<Setting> {
    let shared = |setting: &&Setting| {
        let is_same = |header: &&Header| {
            let own = header.settings.iter().find(|it| it.name == setting.name);
            own.is_some_and(|own| own.value == setting.value)
        };
        setting.name != "shard" && headers.iter().all(is_same)
    };
    let first = headers.iter().take(1).flat_map(|header| &header.settings);
    first.filter(shared).cloned().collect()
}

/// The narrowest: what it calls tied, the others do too.
fn margin_points(headers: &[&Header]) -> f64 {
    let margins = headers.iter().map(|header| header.margin_points);
    margins.fold(f64::INFINITY, f64::min)
}

/// As the first shard knows them that could load them; memory at its highest.
fn models(headers: &[&Header]) -> Vec<ModelHeader> {
    let first = headers.iter().take(1).flat_map(|header| &header.models);
    first
        .map(|model| {
            let all = || {
                let models = headers.iter().flat_map(|header| &header.models);
                models.filter(|it| it.name == model.name)
            };
            let known = all().find(|it| !it.facts.engine_build.is_empty());
            let mut merged = known.unwrap_or(model).clone();
            merged.facts.peak_memory_bytes =
                all().filter_map(|it| it.facts.peak_memory_bytes).max();
            merged
        })
        .collect()
}

fn cells(headers: &[&Header], order: &Order) -> Vec<CellHeader> {
    let mut merged: Vec<CellHeader> = Vec::new();
    for cell in headers.iter().flat_map(|header| &header.cells) {
        match merged.iter_mut().find(|known| known.id == cell.id) {
            Some(known) => {
                known.cases += cell.cases;
                known.trials += cell.trials;
            }
            None => merged.push(cell.clone()),
        }
    }
    merged.sort_by(|one, two| {
        let key = |cell: &CellHeader| (order.of_cell(&cell.key), cell.key.tier.clone());
        key(one).cmp(&key(two))
    });
    merged
}

/// Cells that nobody ran, with the cases of all shards. Suites that could not be run at all were no
/// part of what was split, so each shard names all their cases.
fn excluded(headers: &[&Header], order: &Order) -> Vec<ExcludedCell> {
    let mut merged: Vec<ExcludedCell> = Vec::new();
    for cell in headers.iter().flat_map(|header| &header.excluded) {
        let known = merged
            .iter_mut()
            .find(|known| (&known.model, &known.labels) == (&cell.model, &cell.labels));
        match known {
            Some(known) if !cell.model.is_empty() => {
                known.cases += cell.cases;
                known.failed |= cell.failed;
            }
            Some(_) => {}
            None => merged.push(cell.clone()),
        }
    }
    // Whole suites first and in the order found, as a run lists them.
    merged.sort_by_key(|cell| {
        let place = (!cell.model.is_empty()).then(|| order.of_excluded(cell));
        (place.is_some(), place)
    });
    merged
}

/// What any shard has seen; equal findings once.
fn probes(headers: &[&Header]) -> Vec<ProbeSet> {
    let mut merged: Vec<ProbeSet> = Vec::new();
    for set in headers.iter().flat_map(|header| &header.probes) {
        let verdicts = |set: &ProbeSet| -> Vec<_> {
            let results = set.results.iter();
            results.map(|it| (it.probe, it.verdict, it.code)).collect()
        };
        let is_known = merged.iter().any(|known| {
            (
                &known.model,
                known.context_tokens,
                known.wire,
                known.mechanism,
            ) == (&set.model, set.context_tokens, set.wire, set.mechanism)
                && verdicts(known) == verdicts(set)
        });
        if !is_known {
            merged.push(set.clone());
        }
    }
    merged
}

fn tool_servers(headers: &[&Header]) -> Vec<ToolServerHeader> {
    let mut merged: Vec<ToolServerHeader> = Vec::new();
    for server in headers.iter().flat_map(|header| &header.tool_servers) {
        match merged.iter_mut().find(|known| known.name == server.name) {
            Some(known) => {
                let new = server.drift.iter().filter(|it| !known.drift.contains(it));
                let new: Vec<String> = new.cloned().collect();
                known.drift.extend(new);
            }
            None => merged.push(server.clone()),
        }
    }
    merged
}

/// Where cells and suites stand in the whole.
struct Order {
    models: Vec<String>,
    variants: Vec<String>,
    whole: WholePlan,
}

impl Order {
    fn of(part: &Part<'_>) -> Self {
        let header = &part.run.header;
        Self {
            models: header.models.iter().map(|it| it.name.clone()).collect(),
            variants: header.variants.iter().map(|it| it.name.clone()).collect(),
            whole: part.whole.clone(),
        }
    }

    /// Model by model, suite by suite, as plans are made.
    fn place(&self, labels: [&str; 5]) -> [usize; 5] {
        let [model, suite, dialect, constraint, variant] = labels;
        let whole = &self.whole;
        let at = |found: Option<usize>| found.unwrap_or(usize::MAX);
        [
            at(self.models.iter().position(|it| it == model)),
            at(whole.suites.iter().position(|it| it.suite == suite)),
            at(whole.dialects.iter().position(|it| it.as_str() == dialect)),
            at(whole
                .constraints
                .iter()
                .position(|it| it.as_str() == constraint)),
            at(self.variants.iter().position(|it| it == variant)),
        ]
    }

    fn of_cell(&self, key: &CellKey) -> [usize; 5] {
        self.place([
            &key.model,
            &key.suite,
            key.dialect.as_str(),
            key.constraint.as_str(),
            &key.variant,
        ])
    }

    fn of_excluded(&self, cell: &ExcludedCell) -> [usize; 5] {
        let label = |name: &str| cell.labels.get(name).map_or("", String::as_str);
        let variant = match label("variant") {
            "" => "default",
            named => named,
        };
        self.place([
            &cell.model,
            label("suite"),
            label("dialect"),
            label("constraint"),
            variant,
        ])
    }
}
