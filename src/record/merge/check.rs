//! Whether shards belong together, and whether they are all there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{MergeError, Part};
use crate::record::format::{Header, ModelHeader};
use crate::record::reader::Run;
use crate::types::outcome::Outcome;
use crate::types::shard::{WholePlan, without_tier};
use crate::types::{CellKey, Code};

/// Settings that may differ between shards: they say where things are, what is shown, or what a
/// shard may take, and shape no trial. Where they do differ the whole has none.
const FREE: [&str; 19] = [
    "out",
    "format",
    "by",
    "write",
    "margin",
    "objective",
    "pull",
    "cache",
    "data",
    "redact",
    "shard",
    "limit-time",
    "limit-tokens",
    "limit-requests",
    "budget",
    "fail-fast",
    "max-fail",
    "max-infra",
    "ignore-memory-check",
];

/// Cases, runs or differences that a message names at most.
const SHOWN: usize = 5;

pub(super) fn check_same(one: &Part<'_>, other: &Part<'_>) -> Result<(), MergeError> {
    let mut differences = differences(one, other);
    if differences.is_empty() && one.whole.tierless_hash != other.whole.tierless_hash {
        differences.push(
            "plan: models' weights, what cases ask or expect, tools, prompts, grammars, corrections or the engine differ".to_owned(),
        );
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(SHOWN);
    differences.truncate(SHOWN);
    if more > 0 {
        differences.push(format!("and {more} more"));
    }
    Err(MergeError::Different {
        one: one.run.header.run.clone(),
        other: other.run.header.run.clone(),
        differences,
    })
}

/// What can be named of two shards' differences.
fn differences(one: &Part<'_>, other: &Part<'_>) -> Vec<String> {
    let (a, b) = (&one.run.header, &other.run.header);
    let mut found = Vec::new();
    let mut differ = |what: &str, a: String, b: String| {
        if a != b {
            found.push(format!("{what}: {a} and {b}"));
        }
    };
    differ(
        "number of shards",
        one.shard.1.to_string(),
        other.shard.1.to_string(),
    );
    differ(
        "toolbench",
        a.toolbench_version.clone(),
        b.toolbench_version.clone(),
    );
    differ(
        "scorer version",
        a.scorer_version.to_string(),
        b.scorer_version.to_string(),
    );
    differ(
        "version of the failure codes",
        a.taxonomy_version.to_string(),
        b.taxonomy_version.to_string(),
    );
    differ(
        "suites",
        suites_in_words(one.whole),
        suites_in_words(other.whole),
    );
    differ("models", names(&a.models), names(&b.models));
    for model in &a.models {
        let Some(same) = b.models.iter().find(|it| it.name == model.name) else {
            continue;
        };
        for (what, value) in known_by(model) {
            let theirs = known_by(same).into_iter().find(|(name, _)| *name == what);
            let theirs = theirs.map(|(_, value)| value).unwrap_or_default();
            // A model that could not be loaded says nothing of itself.
            if !value.is_empty() && !theirs.is_empty() {
                differ(&format!("{what} of {}", model.name), value, theirs);
            }
        }
    }
    for cell in &a.cells {
        let same = b.cells.iter().find(|it| it.id == cell.id);
        if same.is_some_and(|same| same.routes != cell.routes) {
            let key = &cell.key;
            found.push(format!(
                "route of {} ({}, {}): wire, template or mechanism differ",
                key.model, key.dialect, key.constraint
            ));
        }
    }
    found.extend(settings_differences(a, b));
    if a.variants != b.variants {
        found.push("variants: sampling, context, few-shot or prompts differ".to_owned());
    }
    if a.privacy != b.privacy {
        found.push("privacy: what is kept, or the redaction patterns, differ".to_owned());
    }
    if one.whole.suites != other.whole.suites
        && suites_in_words(one.whole) == suites_in_words(other.whole)
    {
        found.push("cases: other ids, or another order".to_owned());
    }
    found
}

fn suites_in_words(whole: &WholePlan) -> String {
    let names: Vec<String> = whole
        .suites
        .iter()
        .map(|it| format!("{} ({})", it.suite, it.cases.len()))
        .collect();
    names.join(", ")
}

fn names(models: &[ModelHeader]) -> String {
    let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
    names.join(", ")
}

/// What a model and its legs are known by.
fn known_by(model: &ModelHeader) -> Vec<(String, String)> {
    let mut found = vec![
        (
            "weights".to_owned(),
            model.weights_sha256.clone().unwrap_or_default(),
        ),
        (
            "build of the engine or server".to_owned(),
            model.facts.engine_build.clone(),
        ),
    ];
    for leg in &model.legs {
        let own = known_by(leg).into_iter();
        found.extend(own.map(|(what, value)| (format!("{what} of leg {}", leg.name), value)));
    }
    found
}

fn settings_differences(a: &Header, b: &Header) -> Vec<String> {
    let value_in = |header: &Header, name: &str| {
        let setting = header.settings.iter().find(|it| it.name == name);
        setting.map_or_else(|| "not set".to_owned(), |it| it.value.clone())
    };
    let names: BTreeSet<&str> = a
        .settings
        .iter()
        .chain(&b.settings)
        .map(|setting| setting.name.as_str())
        .filter(|name| !FREE.contains(name))
        .collect();
    names
        .into_iter()
        .filter_map(|name| {
            let (one, two) = (value_in(a, name), value_in(b, name));
            (one != two).then(|| format!("{name}: {one} and {two}"))
        })
        .collect()
}

/// Suite and case of every case of a shard.
fn cases_of(part: &Part<'_>) -> impl Iterator<Item = (String, String)> {
    part.run.header.suites.iter().flat_map(|suite| {
        let cases = suite.cases.iter();
        cases.map(|case| (suite.suite.clone(), case.id.clone()))
    })
}

/// The first few, and how many more there are.
fn some_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(SHOWN);
    let shown = names[..names.len() - more].join(", ");
    if more > 0 {
        format!("{shown} and {more} more")
    } else {
        shown
    }
}

fn in_words((index, count): (u32, u32)) -> String {
    format!("{index}/{count}")
}

pub(super) fn check_overlaps(parts: &[Part<'_>]) -> Result<(), MergeError> {
    let mut found = Vec::new();
    let mut by_shard: BTreeMap<(u32, u32), Vec<String>> = BTreeMap::new();
    for part in parts {
        let runs = by_shard.entry(part.shard).or_default();
        let trials: HashSet<&str> = part.run.trials.iter().map(|it| it.id.as_str()).collect();
        runs.push(format!(
            "`{}` ({} of {} trials)",
            part.run.header.run,
            trials.len(),
            part.run.header.planned_trials
        ));
    }
    for (shard, runs) in &by_shard {
        if runs.len() > 1 {
            let runs = runs.join(" and ");
            found.push(format!(
                "shard {} is there more than once: {runs}",
                in_words(*shard)
            ));
        }
    }
    if !found.is_empty() {
        return Err(MergeError::Overlap { parts: found });
    }
    let mut owners: HashMap<(String, String), &str> = HashMap::new();
    let mut twice: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for part in parts {
        let run = part.run.header.run.as_str();
        for case in cases_of(part) {
            let name = format!("{}/{}", case.0, case.1);
            if let Some(owner) = owners.insert(case, run) {
                twice.entry((owner, run)).or_default().push(name);
            }
        }
    }
    let found: Vec<String> = twice
        .into_iter()
        .map(|((one, two), cases)| {
            format!("runs `{one}` and `{two}` both hold {}", some_of(&cases))
        })
        .collect();
    if found.is_empty() {
        Ok(())
    } else {
        Err(MergeError::Overlap { parts: found })
    }
}

pub(super) fn check_gaps(parts: &[Part<'_>]) -> Result<(), MergeError> {
    let Some(first) = parts.first() else {
        return Ok(());
    };
    let mut lines = Vec::new();
    let mut unfinished: Vec<String> = Vec::new();
    let held: HashSet<(String, String)> = parts.iter().flat_map(cases_of).collect();
    let absent: Vec<String> = first
        .whole
        .suites
        .iter()
        .flat_map(|suite| suite.cases.iter().map(move |case| (&suite.suite, case)))
        .filter(|(suite, case)| !held.contains(&((*suite).clone(), (*case).clone())))
        .map(|(suite, case)| format!("{suite}/{case}"))
        .collect();
    let missing = missing_shards(parts, &absent);
    if !absent.is_empty() {
        let shards: Vec<String> = missing.iter().map(|it| in_words(*it)).collect();
        let who = if shards.is_empty() {
            String::new()
        } else {
            format!("no run of shard {}: ", some_of(&shards))
        };
        lines.push(format!(
            "{who}{} of {} cases are missing, {}",
            absent.len(),
            first.whole.case_count(),
            some_of(&absent)
        ));
    }
    for part in parts {
        let without = trials_without_result(part.run);
        if !without.is_empty() {
            let run = &part.run.header.run;
            lines.push(format!(
                "shard {}, run `{run}`: {} of {} trials have no result, {}",
                in_words(part.shard),
                without.len(),
                part.run.header.planned_trials,
                some_of(&without)
            ));
            unfinished.push(part.run.directory.display().to_string());
        }
    }
    lines.extend(cells_of_some(parts));
    if lines.is_empty() {
        return Ok(());
    }
    Err(MergeError::Gap {
        parts: lines,
        unfinished,
        missing,
    })
}

/// Shards that have cases and no run.
fn missing_shards(parts: &[Part<'_>], absent: &[String]) -> Vec<(u32, u32)> {
    let Some(first) = parts.first().filter(|_| !absent.is_empty()) else {
        return Vec::new();
    };
    let with_cases = first.shard.1.min(first.whole.case_count() as u32);
    (1..=with_cases)
        .filter(|index| parts.iter().all(|part| part.shard.0 != *index))
        .map(|index| (index, first.shard.1))
        .collect()
}

/// Suite and case of every planned trial that has no result: not run, or cancelled.
fn trials_without_result(run: &Run) -> Vec<String> {
    let cancelled = Outcome::Harness {
        code: Code::Cancelled,
    };
    let mut last: HashMap<(&str, &str, u32), bool> = HashMap::new();
    for trial in &run.trials {
        let key = (trial.cell_id.as_str(), trial.case.as_str(), trial.trial);
        last.insert(key, trial.outcome != cancelled);
    }
    let mut without = Vec::new();
    for cell in &run.header.cells {
        let suite = run
            .header
            .suites
            .iter()
            .find(|suite| suite.suite == cell.key.suite);
        let each = cell.trials.checked_div(cell.cases).unwrap_or_default() as u32;
        for case in suite.into_iter().flat_map(|suite| &suite.cases) {
            for trial in 0..each {
                let key = (cell.id.as_str(), case.id.as_str(), trial);
                if last.get(&key) != Some(&true) {
                    without.push(format!("{}/{}", cell.key.suite, case.id));
                }
            }
        }
    }
    without
}

/// Cells that some shards ran and others, which hold cases of their suite, could not.
fn cells_of_some(parts: &[Part<'_>]) -> Vec<String> {
    let routed: Vec<HashSet<CellKey>> = parts
        .iter()
        .map(|part| {
            let cells = part.run.header.cells.iter();
            cells.map(|cell| without_tier(&cell.key)).collect()
        })
        .collect();
    let all: BTreeSet<&CellKey> = routed.iter().flatten().collect();
    let mut lines = Vec::new();
    for (part, own) in parts.iter().zip(&routed) {
        let header = &part.run.header;
        let suites: HashSet<&str> = header.suites.iter().map(|it| it.suite.as_str()).collect();
        for key in &all {
            if own.contains(*key) || !suites.contains(key.suite.as_str()) {
                continue;
            }
            let reason = header.excluded.iter().find(|it| {
                it.model == key.model
                    && it
                        .labels
                        .get("suite")
                        .is_none_or(|suite| *suite == key.suite)
            });
            lines.push(format!(
                "shard {}, run `{}`, did not run {} ({}, {}, {}), which others did: {}",
                in_words(part.shard),
                header.run,
                key.model,
                key.dialect,
                key.constraint,
                key.suite,
                reason.map_or("no reason on record", |it| it.reason.as_str())
            ));
        }
    }
    lines
}
