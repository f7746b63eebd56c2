//! Models in order, with those together that cannot be told apart.
//!
//! Data in: rows without split and their comparisons. Data out: one ranking for each hardware tier,
//! dialect, constraint and variant with several models. Invariants: an order is claimed only where a
//! verdict claims it; a model's best place is after all that are better, its last before all that are
//! worse; what another machine serves has a place in each tier, because it is compared there.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Family, REMOTE, is_on, tiers_of};
use super::summary::Row;
use super::verdict::Verdict;
use crate::types::{Constraint, DialectName};

/// Models of one setting in order of their success rates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranking {
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Variant.
    pub variant: String,
    /// Hardware tier; what another machine serves stands among the models of each.
    #[serde(default)]
    pub tier: String,
    /// Other settings of the cells.
    pub settings: BTreeMap<String, String>,
    /// Highest success rate first.
    pub models: Vec<Ranked>,
    /// The largest sets of two or more models no two of which are told apart, in order; a model may
    /// be in several.
    pub groups: Vec<TiedGroup>,
}

/// A model's place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ranked {
    /// Model as the user named it.
    pub model: String,
    /// Success rate.
    pub rate: Option<f64>,
    /// 1 and one more for each model that is better.
    pub best_place: usize,
    /// Number of models less each that is worse.
    pub last_place: usize,
}

/// Models that are not told apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TiedGroup {
    /// Their names, in order of the ranking.
    pub models: Vec<String>,
    /// What holds of every two of them.
    pub relation: Relation,
}

/// Why models are together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Every two are tied: any difference is smaller than the margin.
    Tied,
    /// For some two the data do not suffice to say which is better, or that they are tied.
    NotDistinguishable,
}

impl Relation {
    /// For people.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Tied => "tied",
            Self::NotDistinguishable => "not distinguishable",
        }
    }
}

/// See [`Ranking`].
pub(super) fn rankings(rows: &[Row], comparisons: &[Comparison]) -> Vec<Ranking> {
    let tiers = tiers_of(rows.iter()).into_iter();
    tiers
        .flat_map(|tier| of_tier(rows, tier, comparisons))
        .collect()
}

fn of_tier(rows: &[Row], tier: &str, comparisons: &[Comparison]) -> Vec<Ranking> {
    let mut settings: Vec<Vec<&Row>> = Vec::new();
    for row in rows.iter().filter(|row| is_on(row, tier)) {
        let same = |other: &&Row| {
            other.dialect == row.dialect
                && other.constraint == row.constraint
                && other.variant == row.variant
                && other.settings == row.settings
        };
        match settings.iter_mut().find(|group| same(&group[0])) {
            Some(group) => group.push(row),
            None => settings.push(vec![row]),
        }
    }
    let several = settings.into_iter().filter(|group| group.len() > 1);
    // Rows of another machine alone are told once, by the first tier.
    let first = tiers_of(rows.iter()).first() == Some(&tier);
    several
        .filter_map(|group| {
            let here = group.iter().any(|row| row.tier == tier);
            let tier = if here { tier } else { REMOTE };
            (here || first).then(|| ranking(group, tier, comparisons))
        })
        .collect()
}

fn ranking(mut rows: Vec<&Row>, tier: &str, comparisons: &[Comparison]) -> Ranking {
    rows.sort_by(|one, two| {
        let rate = |row: &Row| row.success.rate.unwrap_or(-1.0);
        rate(two).total_cmp(&rate(one))
    });
    let of_models = comparisons.iter().filter(|c| c.family == Family::Model);
    let of_models: Vec<&Comparison> = of_models.collect();
    // What the first is against the second.
    let verdict = |one: usize, two: usize| -> Verdict {
        of_models
            .iter()
            .find_map(|found| {
                if found.candidate.is_of(rows[one]) && found.baseline.is_of(rows[two]) {
                    Some(found.verdict)
                } else if found.candidate.is_of(rows[two]) && found.baseline.is_of(rows[one]) {
                    Some(found.verdict.mirrored())
                } else {
                    None
                }
            })
            .unwrap_or(Verdict::NotEnoughData)
    };
    let count = rows.len();
    let places = |model: usize, wanted: Verdict| {
        (0..count)
            .filter(|other| *other != model && verdict(model, *other) == wanted)
            .count()
    };
    let apart = |one, two| matches!(verdict(one, two), Verdict::Better | Verdict::Worse);
    let groups = largest_sets(count, apart)
        .into_iter()
        .filter(|group| group.len() > 1)
        .map(|group| {
            let pairs = group.iter().enumerate();
            let all_tied = pairs
                .flat_map(|(index, one)| group[index + 1..].iter().map(move |two| (*one, *two)))
                .all(|(one, two)| verdict(one, two) == Verdict::Tied);
            TiedGroup {
                models: group
                    .iter()
                    .map(|index| rows[*index].model.clone())
                    .collect(),
                relation: if all_tied {
                    Relation::Tied
                } else {
                    Relation::NotDistinguishable
                },
            }
        });
    Ranking {
        dialect: rows[0].dialect,
        constraint: rows[0].constraint,
        variant: rows[0].variant.clone(),
        tier: tier.to_owned(),
        settings: rows[0].settings.clone(),
        groups: groups.collect(),
        models: rows
            .iter()
            .enumerate()
            .map(|(index, row)| Ranked {
                model: row.model.clone(),
                rate: row.success.rate,
                best_place: 1 + places(index, Verdict::Worse),
                last_place: count - places(index, Verdict::Better),
            })
            .collect(),
    }
}

/// The largest sets of 0..count without a pair that is `apart`: the letters of Piepho 2004, J
/// Comput Graph Stat 13:456-466. One set of all is split at every such pair; what lies within
/// another set is dropped.
pub(super) fn largest_sets(count: usize, apart: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    let mut sets: Vec<Vec<usize>> = vec![(0..count).collect()];
    for one in 0..count {
        for two in one + 1..count {
            if !apart(one, two) {
                continue;
            }
            let mut split: Vec<Vec<usize>> = Vec::new();
            for set in sets {
                if set.contains(&one) && set.contains(&two) {
                    split.push(set.iter().copied().filter(|item| *item != two).collect());
                    split.push(set.iter().copied().filter(|item| *item != one).collect());
                } else {
                    split.push(set);
                }
            }
            sets = without_parts(split);
        }
    }
    sets.sort();
    sets
}

fn without_parts(sets: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let within = |part: &[usize], whole: &[usize]| part.iter().all(|item| whole.contains(item));
    let mut kept: Vec<Vec<usize>> = Vec::new();
    for set in sets {
        if kept.iter().any(|other| within(&set, other)) {
            continue;
        }
        kept.retain(|other| !within(other, &set));
        kept.push(set);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{SummaryOptions, summarise};

    #[test]
    fn sets_by_hand() {
        let pairs = |list: &'static [(usize, usize)]| move |one, two| list.contains(&(one, two));
        assert_eq!(largest_sets(3, pairs(&[])), [[0, 1, 2]]);
        // 0 is better than 2; 1 is told apart from neither.
        assert_eq!(largest_sets(3, pairs(&[(0, 2)])), [[0, 1], [1, 2]]);
        assert_eq!(
            largest_sets(4, pairs(&[(0, 1), (0, 2), (0, 3), (1, 3)])),
            [vec![0], vec![1, 2], vec![2, 3]]
        );
    }

    #[test]
    fn places_follow_the_verdicts() {
        let mut run = Run::new();
        let middle = format!("{}{}", "P".repeat(14), "F".repeat(26));
        run.cell(&key("weak", Constraint::Off), &"F".repeat(40))
            .cell(&key("good", Constraint::Off), &"P".repeat(40))
            .cell(&key("middle", Constraint::Off), &middle)
            .cell(&key("also", Constraint::Off), &middle.replace("PF", "FP"));
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let [ranking] = &summary.rankings[..] else {
            panic!("{:?}", summary.rankings);
        };
        let places: Vec<_> = ranking
            .models
            .iter()
            .map(|found| (found.model.as_str(), found.best_place, found.last_place))
            .collect();
        assert_eq!(
            places,
            [
                ("good", 1, 1),
                ("middle", 2, 3),
                ("also", 2, 3),
                ("weak", 4, 4)
            ]
        );
        assert_eq!(
            ranking.groups,
            [TiedGroup {
                models: vec!["middle".to_owned(), "also".to_owned()],
                relation: Relation::NotDistinguishable,
            }]
        );
    }

    /// Times of two machines are not compared, and neither are places; what another machine serves is
    /// compared with the models of each.
    #[test]
    fn each_tier_has_an_order_of_its_own() {
        let on = |model: &str, tier: &str| crate::types::CellKey {
            tier: tier.to_owned(),
            ..key(model, Constraint::Off)
        };
        let mut run = Run::new();
        for (model, tier, letter) in [
            ("good", "small", "P"),
            ("bad", "small", "F"),
            ("good", "large", "F"),
            ("bad", "large", "P"),
            ("cloud", "remote", "P"),
            ("alone", "single", "P"),
        ] {
            run.cell(&on(model, tier), &letter.repeat(40));
        }
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let places = |tier: &str| -> Vec<(&str, usize, usize)> {
            let found = summary.rankings.iter().find(|it| it.tier == tier).unwrap();
            let models = found.models.iter();
            models
                .map(|it| (it.model.as_str(), it.best_place, it.last_place))
                .collect()
        };
        let tiers: Vec<&str> = summary.rankings.iter().map(|it| &*it.tier).collect();
        assert_eq!(tiers, ["small", "large", "single"]);
        assert_eq!(
            places("small"),
            [("good", 1, 2), ("cloud", 1, 2), ("bad", 3, 3)]
        );
        assert_eq!(
            places("large"),
            [("bad", 1, 2), ("cloud", 1, 2), ("good", 3, 3)]
        );
        assert_eq!(places("single"), [("cloud", 1, 2), ("alone", 1, 2)]);
    }

    #[test]
    fn what_other_machines_serve_is_told_once_and_of_no_tier() {
        let mut run = Run::new();
        for (model, tier, constraint) in [
            ("one", "remote", Constraint::Off),
            ("two", "remote", Constraint::Off),
            ("here", "small", Constraint::Grammar),
            ("also", "small", Constraint::Grammar),
            ("there", "large", Constraint::Grammar),
        ] {
            let key = crate::types::CellKey {
                tier: tier.to_owned(),
                ..key(model, constraint)
            };
            run.cell(&key, &"P".repeat(10));
        }
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let found = summary.rankings.iter();
        let found: Vec<_> = found.map(|it| (&*it.tier, it.constraint)).collect();
        let expected = [("remote", Constraint::Off), ("small", Constraint::Grammar)];
        assert_eq!(found, expected);
    }

    #[test]
    fn twins_of_many_cases_are_tied() {
        let mut run = Run::new();
        let script = "PF".repeat(100);
        run.cell(&key("one", Constraint::Off), &script)
            .cell(&key("two", Constraint::Off), &script);
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(summary.rankings[0].groups[0].relation, Relation::Tied);
        assert_eq!(summary.rankings[0].models[1].best_place, 1);
    }
}
