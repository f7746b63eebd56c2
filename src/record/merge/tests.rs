//! Any partition merges to the whole; anything else is refused by name.

use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::super::reader::Run;
use super::*;
use crate::metrics::canonical_summary;
use crate::metrics::testing::{Run as Sample, hash, key};
use crate::record::format::{ExcludedCell, Execution};
use crate::types::fingerprint::Fingerprint;
use crate::types::shard::{WholePlan, WholeSuite};
use crate::types::{Case, Constraint, Outcome, Suite};

/// A run over two suites, models and constraints, with outcomes drawn from `letters`.
fn whole(letters: &str, sizes: (usize, usize)) -> Run {
    let mut sample = Sample::new();
    let mut letters = letters.chars().cycle();
    for model in ["alpha", "beta"] {
        for (suite, cases) in [("one", sizes.0), ("two", sizes.1)] {
            for constraint in [Constraint::Off, Constraint::Grammar] {
                let mut key = key(model, constraint);
                key.suite = suite.to_owned();
                let script: String = letters.by_ref().take(cases).collect();
                sample.cell(&key, &script);
            }
        }
    }
    let suite = |name: &str, cases: usize| Suite {
        suite: name.to_owned(),
        cases: (1..=cases)
            .map(|case| Case {
                id: format!("case-{case:02}"),
                ..Case::default()
            })
            .collect(),
        ..Suite::default()
    };
    sample.header.suites = vec![suite("one", sizes.0), suite("two", sizes.1)];
    let excluded = |suite: &str, cases| ExcludedCell {
        failed: false,
        model: "beta".to_owned(),
        labels: BTreeMap::from([
            ("dialect".to_owned(), "native".to_owned()),
            ("constraint".to_owned(), "off".to_owned()),
            ("suite".to_owned(), suite.to_owned()),
        ]),
        cases,
        reason: "its template has no place for tools".to_owned(),
    };
    sample.header.excluded = vec![
        ExcludedCell {
            failed: true,
            model: String::new(),
            labels: BTreeMap::from([("suite".to_owned(), "three".to_owned())]),
            cases: 9,
            reason: "its server is not installed".to_owned(),
        },
        excluded("one", sizes.0),
        excluded("two", sizes.1),
    ];
    Run {
        directory: PathBuf::new(),
        executions: vec![execution()],
        endings: Vec::new(),
        truncated: false,
        trials: sample.trials,
        header: sample.header,
    }
}

fn execution() -> Execution {
    Execution {
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        process: 7,
        done: 0,
        fingerprint: Fingerprint::default(),
    }
}

/// The part of a run that holds the cases to which `owner` gives this shard.
fn part_of(whole: &Run, (index, count): (u32, u32), owner: &dyn Fn(usize) -> u32) -> Run {
    let mut part = whole.clone();
    let header = &mut part.header;
    header.run = format!("shard-{index}");
    part.directory = PathBuf::from("in a folder").join(&header.run);
    header.shard = Some((index, count));
    header.whole = Some(WholePlan {
        plan_hash: whole.header.plan_hash.clone(),
        tierless_hash: hash("tierless"),
        dialects: vec!["json".parse().unwrap(), "native".parse().unwrap()],
        constraints: vec![Constraint::Off, Constraint::Grammar],
        suites: whole
            .header
            .suites
            .iter()
            .map(|suite| WholeSuite {
                suite: suite.suite.clone(),
                cases: suite.cases.iter().map(|case| case.id.clone()).collect(),
            })
            .collect(),
    });
    header.plan_hash = hash(&header.run);
    let mut position = 0;
    for suite in &mut header.suites {
        suite.cases.retain(|_| {
            position += 1;
            owner(position - 1) == index
        });
    }
    header.suites.retain(|suite| !suite.cases.is_empty());
    let held: BTreeMap<String, Vec<String>> = header
        .suites
        .iter()
        .map(|suite| {
            let ids = suite.cases.iter().map(|case| case.id.clone());
            (suite.suite.clone(), ids.collect())
        })
        .collect();
    part.trials.retain(|trial| {
        let cases = held.get(&trial.cell.suite);
        cases.is_some_and(|cases| cases.contains(&trial.case))
    });
    header
        .cells
        .retain(|cell| held.contains_key(&cell.key.suite));
    for cell in &mut header.cells {
        cell.cases = held[&cell.key.suite].len();
        cell.trials = cell.cases;
    }
    header.planned_trials = header.cells.iter().map(|cell| cell.trials).sum();
    header.excluded.retain_mut(|cell| {
        let suite = &cell.labels["suite"];
        let own = held.get(suite).map_or(0, Vec::len);
        if !cell.model.is_empty() {
            cell.cases = own;
        }
        cell.model.is_empty() || own > 0
    });
    part
}

fn canonical(header: &Header, trials: &[TrialRecord]) -> String {
    serde_json::to_string_pretty(&canonical_summary(header, trials)).unwrap()
}

proptest! {
    #[test]
    fn any_partition_in_any_order_merges_to_the_whole(
        letters in "[PRFMVITNU]{7}",
        sizes in (1_usize..9, 1_usize..7),
        owners in proptest::collection::vec(1_u32..=5, 16),
        shuffle in any::<u64>(),
        again in any::<bool>(),
    ) {
        let whole = whole(&letters, sizes);
        let owner = |position: usize| owners[position];
        let mut parts: Vec<Run> = (1..=5)
            .map(|index| part_of(&whole, (index, 5), &owner))
            .filter(|part| !part.header.suites.is_empty())
            .collect();
        if again {
            // As a resumed shard has it: an earlier line that does not count.
            let mut earlier = parts[0].trials[0].clone();
            earlier.outcome = Outcome::of_code(crate::types::Code::Network);
            parts[0].trials.insert(0, earlier);
            parts[0].executions.push(execution());
        }
        let length = parts.len();
        parts.rotate_left(shuffle as usize % length);
        let merged = merge(&parts).unwrap();
        prop_assert_eq!(
            canonical(&merged.header, &merged.trials),
            canonical(&whole.header, &whole.trials)
        );
        prop_assert_eq!(&merged.header.suites, &whole.header.suites);
        prop_assert_eq!(merged.header.merged_from.len(), length);
        prop_assert_eq!(merged.executions.len(), length + usize::from(again));
        parts.reverse();
        prop_assert_eq!(merge(&parts).unwrap(), merged);
    }
}

fn thirds() -> Vec<Run> {
    let whole = whole("PFPRN", (5, 4));
    let owner = |position: usize| position as u32 % 3 + 1;
    (1..=3)
        .map(|index| part_of(&whole, (index, 3), &owner))
        .collect()
}

#[test]
fn what_is_missing_is_named() {
    let parts = thirds();
    let error = merge(&[parts[0].clone(), parts[2].clone()]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("no run of shard 2/3"), "{text}");
    assert!(
        text.contains("3 of 9 cases are missing, one/case-02, one/case-05, two/case-03"),
        "{text}"
    );
    assert!(error.hint().contains("--shard 2/3"), "{}", error.hint());

    let mut cut = parts.clone();
    cut[1].trials.pop();
    let error = merge(&cut).unwrap_err();
    assert!(
        error.to_string().contains("1 of 12 trials have no result"),
        "{error}"
    );
    assert!(
        error.hint().contains("--resume 'in a folder/shard-2'"),
        "{}",
        error.hint()
    );

    let mut cancelled = parts.clone();
    cancelled[0].trials[0].outcome = Outcome::of_code(crate::types::Code::Cancelled);
    assert!(matches!(merge(&cancelled), Err(MergeError::Gap { .. })));

    let mut without = parts;
    without[2]
        .header
        .cells
        .retain(|cell| cell.key.model != "beta");
    let error = merge(&without).unwrap_err().to_string();
    assert!(
        error.contains("shard 3/3") && error.contains("did not run beta"),
        "{error}"
    );
    assert!(matches!(merge(&[]), Err(MergeError::Gap { .. })));
}

#[test]
fn what_is_there_twice_is_named() {
    let mut parts = thirds();
    parts.push(parts[1].clone());
    parts[3].header.run = "shard-2-again".to_owned();
    let error = merge(&parts).unwrap_err().to_string();
    assert!(
        error.contains("shard 2/3 is there more than once") && error.contains("shard-2-again"),
        "{error}"
    );
    let mut both = thirds();
    let stolen = both[0].header.suites[0].cases[0].clone();
    both[1].header.suites[0].cases.push(stolen);
    let error = merge(&both).unwrap_err().to_string();
    assert!(error.contains("both hold one/case-01"), "{error}");
}

#[test]
fn what_does_not_belong_together_is_named() {
    type Change = fn(&mut Header);
    let differ: [(Change, &str); 8] = [
        (
            |header| header.scorer_version += 1,
            "scorer version: 2 and 3",
        ),
        (
            |header| header.toolbench_version = "9.9.9".to_owned(),
            "toolbench: 0.1.0 and 9.9.9",
        ),
        (
            |header| header.shard = Some((2, 4)),
            "number of shards: 3 and 4",
        ),
        (
            |header| header.models[0].weights_sha256 = Some("other".to_owned()),
            "weights of alpha",
        ),
        (
            |header| header.models[1].facts.engine_build = "b2".to_owned(),
            "build of the engine or server of beta: test and b2",
        ),
        (
            |header| header.settings[0].value = "5".to_owned(),
            "seed: 0 and 5",
        ),
        (
            |header| {
                if let Some(whole) = &mut header.whole {
                    whole.tierless_hash = hash("changed");
                }
            },
            "plan: models' weights, what cases ask",
        ),
        (
            |header| {
                if let Some(whole) = &mut header.whole {
                    whole.suites[1].cases.pop();
                }
            },
            "suites: one (5), two (4) and one (5), two (3)",
        ),
    ];
    for (change, words) in differ {
        let mut parts = thirds();
        change(&mut parts[1].header);
        let error = merge(&parts).unwrap_err();
        assert!(
            matches!(error, MergeError::Different { .. }),
            "{words}: {error}"
        );
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let strangers: [(Change, &str); 3] = [
        (|header| header.shard = None, "is a whole run"),
        (|header| header.whole = None, "did not yet record"),
        (
            |header| {
                header.rescored_from = Some(crate::record::format::RescoredFrom {
                    run: "x".to_owned(),
                    scorer_version: 1,
                    left_out: 0,
                });
            },
            "judged again",
        ),
    ];
    for (change, words) in strangers {
        let mut parts = thirds();
        change(&mut parts[1].header);
        let error = merge(&parts).unwrap_err().to_string();
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut merged = thirds()[0].clone();
    merged.header = merge(&thirds()).unwrap().header;
    assert!(
        merge(&[merged])
            .unwrap_err()
            .to_string()
            .contains("merged already")
    );
}

#[test]
fn tiers_stay_apart() {
    let mut parts = thirds();
    let big = &mut parts[1];
    big.header.fingerprint.tier = "cpu-big".to_owned();
    for cell in &mut big.header.cells {
        cell.key.tier = "cpu-big".to_owned();
        cell.id = cell.key.id();
    }
    for trial in &mut big.trials {
        trial.cell.tier = "cpu-big".to_owned();
        trial.cell_id = trial.cell.id();
    }
    if let Some(whole) = &mut big.header.whole {
        whole.plan_hash = hash("on cpu-big");
    }
    let merged = merge(&parts).unwrap();
    let tiers: Vec<(&str, usize)> = merged
        .header
        .cells
        .iter()
        .take(2)
        .map(|cell| (cell.key.tier.as_str(), cell.cases))
        .collect();
    assert_eq!(tiers, [("cpu-big", 2), ("cpu-small", 3)]);
    assert_eq!(merged.header.cells.len(), 16);
    assert_eq!(merged.trials.len(), 36);
    let fingerprints = merged.header.merged_from.iter();
    let fingerprints: Vec<&str> = fingerprints
        .map(|it| it.fingerprint.tier.as_str())
        .collect();
    assert_eq!(fingerprints, ["cpu-small", "cpu-big", "cpu-small"]);
}

#[test]
fn settings_that_shape_nothing_may_differ_and_are_then_left_out() {
    let mut parts = thirds();
    for (index, part) in parts.iter_mut().enumerate() {
        for (name, value) in [("out", "same".to_owned()), ("budget", index.to_string())] {
            part.header.settings.push(crate::types::Setting {
                name: name.to_owned(),
                value,
                origin: "flag".to_owned(),
            });
        }
    }
    let merged = merge(&parts).unwrap();
    let names: Vec<&str> = merged
        .header
        .settings
        .iter()
        .map(|it| it.name.as_str())
        .collect();
    assert_eq!(names, ["seed", "out"]);
}
