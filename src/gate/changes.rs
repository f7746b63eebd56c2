//! What differs between the two sides: the change under test, and which cases can be compared.
//!
//! Data in: two snapshots. Data out: [`Change`]s by kind and name, cells that belong together, cases
//! that are unchanged, changed, added, removed. Invariants: pure; what only one side kept (a redacted
//! record keeps hashes of what is left) is not called a change.

use std::collections::{BTreeMap, BTreeSet};

use super::snapshot::{About, CaseLine, CellFact, ModelFact, Snapshot, SuiteFact};
use super::verdict::{CaseSets, Change, ChangeKind};

/// One of the parts of a suite.
type Part = fn(&SuiteFact) -> &Option<String>;

/// A cell of the run with the cell of the baseline that it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct CellPair<'a> {
    /// Of the run.
    pub now: &'a CellFact,
    /// Of the baseline.
    pub then: &'a CellFact,
}

/// Cells that belong together: the same model, dialect, constraint and variant; where each side has
/// one model (or one variant) only, whatever its name is.
pub fn cell_pairs<'a>(baseline: &'a Snapshot, candidate: &'a Snapshot) -> Vec<CellPair<'a>> {
    let names = |side: &'a Snapshot, name: fn(&CellFact) -> &str| {
        let all: BTreeSet<&str> = side.cells.iter().map(name).collect();
        all.len()
    };
    let model: fn(&CellFact) -> &str = |cell| &cell.model;
    let variant: fn(&CellFact) -> &str = |cell| &cell.variant;
    let any_model = names(baseline, model) == 1 && names(candidate, model) == 1;
    let any_variant = names(baseline, variant) == 1 && names(candidate, variant) == 1;
    let fits = |now: &CellFact, then: &CellFact| {
        now.dialect == then.dialect
            && now.constraint == then.constraint
            && (any_model || now.model == then.model)
            && (any_variant || now.variant == then.variant)
    };
    let mut pairs = Vec::new();
    for now in &candidate.cells {
        let mut fitting = baseline.cells.iter().filter(|then| fits(now, then));
        // Of several tiers its own, else the only one there is.
        let same_tier = baseline
            .cells
            .iter()
            .find(|then| fits(now, then) && then.tier == now.tier);
        let only = match (fitting.next(), fitting.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        };
        if let Some(then) = same_tier.or(only) {
            pairs.push(CellPair { now, then });
        }
    }
    pairs
}

/// Everything that differs.
pub fn changes(
    baseline: &Snapshot,
    candidate: &Snapshot,
    pairs: &[CellPair<'_>],
    unchanged: &[(&CaseLine, &CaseLine)],
) -> Vec<Change> {
    let mut found = Found::default();
    let same_content = keeps_alike(&baseline.about, &candidate.about);
    found.compare(
        ChangeKind::Toolbench,
        "",
        some(&baseline.about.toolbench),
        some(&candidate.about.toolbench),
    );
    found.compare(
        ChangeKind::Seed,
        "",
        some(&baseline.about.seed),
        some(&candidate.about.seed),
    );
    found.models(baseline, candidate, pairs);
    if same_content {
        found.suites(baseline, candidate);
        found.tools(baseline, candidate);
    }
    found.variants(baseline, candidate, same_content, pairs);
    found.servers(baseline, candidate);
    for pair in pairs {
        found.cell(pair);
    }
    found.prompts(unchanged);
    found.0.sort_by(|one, two| {
        let key = |it: &Change| (it.what, it.subject.clone());
        key(one).cmp(&key(two))
    });
    found.0.dedup();
    found.0
}

/// Hashes of suites hold for what a record keeps of them.
fn keeps_alike(then: &About, now: &About) -> bool {
    then.retain == now.retain && then.redactions == now.redactions
}

#[expect(clippy::unnecessary_wraps, reason = "compared with what may be absent")]
fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[derive(Default)]
struct Found(Vec<Change>);

impl Found {
    fn compare(
        &mut self,
        what: ChangeKind,
        subject: &str,
        then: Option<String>,
        now: Option<String>,
    ) {
        if then != now {
            self.0.push(Change {
                what,
                subject: subject.to_owned(),
                then,
                now,
                parts: Vec::new(),
                diff: Vec::new(),
            });
        }
    }

    fn models(&mut self, baseline: &Snapshot, candidate: &Snapshot, pairs: &[CellPair<'_>]) {
        let renamed = pairs
            .first()
            .filter(|pair| pair.now.model != pair.then.model);
        if let Some(pair) = renamed {
            self.compare(
                ChangeKind::Model,
                "",
                some(&pair.then.model),
                some(&pair.now.model),
            );
        }
        for now in &candidate.models {
            let name = match renamed {
                // The only model of each side under two names; legs keep their own.
                Some(pair) => now.model.replacen(&pair.now.model, &pair.then.model, 1),
                None => now.model.clone(),
            };
            let Some(then) = baseline.models.iter().find(|then| then.model == name) else {
                continue;
            };
            self.model(then, now);
        }
    }

    fn model(&mut self, then: &ModelFact, now: &ModelFact) {
        let name = &now.model;
        for (what, before, after) in [
            (ChangeKind::Weights, &then.weights, &now.weights),
            (
                ChangeKind::Quantisation,
                &then.quantisation,
                &now.quantisation,
            ),
            (ChangeKind::Template, &then.template, &now.template),
        ] {
            self.compare(what, name, before.clone(), after.clone());
        }
        for (what, before, after) in [
            (
                ChangeKind::ReportedName,
                then.reported_name.clone(),
                now.reported_name.clone(),
            ),
            (ChangeKind::Engine, then.engine.clone(), now.engine.clone()),
            (
                ChangeKind::Context,
                then.context_tokens.to_string(),
                now.context_tokens.to_string(),
            ),
            (
                ChangeKind::Replies,
                replies(then).to_owned(),
                replies(now).to_owned(),
            ),
        ] {
            self.compare(what, name, Some(before), Some(after));
        }
    }

    /// Suites that both sides have; those that one lacks show in their cases.
    fn suites(&mut self, baseline: &Snapshot, candidate: &Snapshot) {
        for now in &candidate.suites {
            let Some(then) = baseline.suites.iter().find(|it| it.suite == now.suite) else {
                continue;
            };
            let parts: [(ChangeKind, Part); 4] = [
                (ChangeKind::SystemPrompt, |it| &it.system),
                (ChangeKind::Examples, |it| &it.examples),
                (ChangeKind::Mock, |it| &it.mock),
                (ChangeKind::Server, |it| &it.server),
            ];
            for (what, part) in parts {
                self.compare(what, &now.suite, part(then).clone(), part(now).clone());
            }
        }
    }

    fn tools(&mut self, baseline: &Snapshot, candidate: &Snapshot) {
        let suites = |side: &Snapshot| -> BTreeSet<String> {
            side.suites.iter().map(|it| it.suite.clone()).collect()
        };
        let (before, after) = (suites(baseline), suites(candidate));
        let of_both = |tool: &str| {
            let suite = tool.split_once('/').map_or("", |(suite, _)| suite);
            before.contains(suite) && after.contains(suite)
        };
        let hashes = |side: &Snapshot| -> BTreeMap<String, String> {
            let tools = side.tools.iter().filter(|it| of_both(&it.tool));
            tools.map(|it| (it.tool.clone(), it.hash.clone())).collect()
        };
        self.maps(ChangeKind::Tool, "", &hashes(baseline), &hashes(candidate));
        for change in self.0.iter_mut().filter(|it| it.what == ChangeKind::Tool) {
            let of = |side: &Snapshot| {
                let found = side.tools.iter().find(|it| it.tool == change.subject);
                found.map(|it| it.parts.clone()).unwrap_or_default()
            };
            change.parts = differing(&of(baseline), &of(candidate));
        }
    }

    fn variants(
        &mut self,
        baseline: &Snapshot,
        candidate: &Snapshot,
        same_content: bool,
        pairs: &[CellPair<'_>],
    ) {
        let mut seen = BTreeSet::new();
        for pair in pairs {
            if !seen.insert((&pair.then.variant, &pair.now.variant)) {
                continue;
            }
            let parts = |side: &Snapshot, name: &str| {
                let found = side.variants.iter().find(|it| it.variant == name);
                let mut parts = found.map(|it| it.parts.clone()).unwrap_or_default();
                if !same_content {
                    parts.remove("system");
                }
                parts
            };
            let (then, now) = (&pair.then.variant, &pair.now.variant);
            if then != now {
                self.compare(ChangeKind::Variant, "name", some(then), some(now));
            }
            let prefix = if now == "default" {
                String::new()
            } else {
                format!("{now}: ")
            };
            self.maps(
                ChangeKind::Variant,
                &prefix,
                &parts(baseline, then),
                &parts(candidate, now),
            );
        }
    }

    fn servers(&mut self, baseline: &Snapshot, candidate: &Snapshot) {
        let lines = |side: &Snapshot| -> BTreeMap<String, String> {
            let servers = side.servers.iter();
            servers
                .map(|it| {
                    let identity = it.identity.as_deref().unwrap_or("unnamed");
                    let drift = it.drift.as_deref().map_or_else(String::new, |hash| {
                        format!(", its tools differ from the suite's ({hash})")
                    });
                    let text = format!("{} ({identity}{drift})", it.address);
                    (it.server.clone(), text)
                })
                .collect()
        };
        self.maps(ChangeKind::Server, "", &lines(baseline), &lines(candidate));
    }

    fn cell(&mut self, pair: &CellPair<'_>) {
        let CellPair { now, then } = pair;
        self.compare(ChangeKind::Tier, "", some(&then.tier), some(&now.tier));
        let routes = |cell: &CellFact| Some(cell.routes.join("; "));
        if !then.routes.is_empty() && !now.routes.is_empty() {
            self.compare(ChangeKind::Route, &now.cell, routes(then), routes(now));
        }
        self.maps(ChangeKind::Setting, "", &then.settings, &now.settings);
    }

    /// How many of the paired cases are asked in other words, or held to another grammar.
    fn prompts(&mut self, unchanged: &[(&CaseLine, &CaseLine)]) {
        let count = |differs: fn(&CaseLine, &CaseLine) -> bool| {
            let mut cases: Vec<&str> = unchanged
                .iter()
                .filter(|(then, now)| differs(then, now))
                .map(|(_, now)| now.case.as_str())
                .collect();
            cases.sort_unstable();
            cases.dedup();
            cases.len()
        };
        let mut all: Vec<&str> = unchanged.iter().map(|(_, now)| now.case.as_str()).collect();
        all.sort_unstable();
        all.dedup();
        let all = all.len();
        let offered = count(|then, now| then.offered != now.offered);
        let grammar = count(|then, now| {
            then.grammar.is_some() && now.grammar.is_some() && then.grammar != now.grammar
        });
        for (what, number) in [
            (ChangeKind::Prompts, offered),
            (ChangeKind::Grammars, grammar),
        ] {
            if number > 0 {
                self.0.push(Change {
                    what,
                    subject: format!("{number} of {all} paired cases"),
                    then: None,
                    now: Some("changed".to_owned()),
                    parts: Vec::new(),
                    diff: Vec::new(),
                });
            }
        }
    }

    fn maps(
        &mut self,
        what: ChangeKind,
        prefix: &str,
        then: &BTreeMap<String, String>,
        now: &BTreeMap<String, String>,
    ) {
        let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
        for name in names {
            let subject = format!("{prefix}{name}");
            let value = |side: &BTreeMap<String, String>| side.get(name).cloned();
            self.compare(what, &subject, value(then), value(now));
        }
    }
}

/// Names of what differs; none where a side does not tell its parts.
fn differing(then: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    if then.is_empty() || now.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<&String> = then.keys().chain(now.keys()).collect();
    names
        .into_iter()
        .filter(|name| then.get(*name) != now.get(*name))
        .cloned()
        .collect()
}

fn replies(model: &ModelFact) -> &'static str {
    if model.replayed {
        "from a cassette"
    } else {
        "from the model"
    }
}

/// Cases by what became of them, whatever the cell.
pub fn case_sets(baseline: &Snapshot, candidate: &Snapshot) -> CaseSets {
    fn hashes(side: &Snapshot) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut found: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for line in &side.cases {
            found.entry(&line.case).or_default().insert(&line.asked);
        }
        found
    }
    let (then, now) = (hashes(baseline), hashes(candidate));
    let mut sets = CaseSets::default();
    for (case, asked) in &now {
        match then.get(case) {
            Some(before) if before == asked => sets.unchanged += 1,
            Some(_) => sets.changed.push((*case).to_owned()),
            None if baseline.is_partial() => sets.not_in_baseline += 1,
            None => sets.added.push((*case).to_owned()),
        }
    }
    for case in then.keys().filter(|case| !now.contains_key(*case)) {
        if candidate.is_partial() {
            sets.not_drawn += 1;
        } else {
            sets.removed.push((*case).to_owned());
        }
    }
    sets
}

/// Lines of a pair of cells that are asked and expected alike, by case.
pub fn unchanged_lines<'a>(
    baseline: &'a Snapshot,
    candidate: &'a Snapshot,
    pair: &CellPair<'_>,
) -> Vec<(&'a CaseLine, &'a CaseLine)> {
    let of_baseline: BTreeMap<&str, &CaseLine> = baseline
        .cases
        .iter()
        .filter(|line| line.cell == pair.then.cell)
        .map(|line| (line.case.as_str(), line))
        .collect();
    candidate
        .cases
        .iter()
        .filter(|line| line.cell == pair.now.cell)
        .filter_map(|now| {
            let then = of_baseline.get(now.case.as_str())?;
            (then.asked == now.asked).then_some((*then, now))
        })
        .collect()
}

#[cfg(test)]
#[path = "changes_tests.rs"]
mod tests;
