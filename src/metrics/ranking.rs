//! Models in order, with those together that cannot be told apart.
//!
//! Data in: rows without split and their comparisons. Data out: one ranking for each dialect,
//! constraint and variant with several models. Invariants: an order is claimed only where a verdict
//! claims it; a model's best place is after all that are better, its last before all that are worse.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::compare::{Comparison, Family};
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
    let mut settings: Vec<Vec<&Row>> = Vec::new();
    for row in rows {
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
    several.map(|group| ranking(group, comparisons)).collect()
}

fn ranking(mut rows: Vec<&Row>, comparisons: &[Comparison]) -> Ranking {
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
