//! Rows compared with one another in success, time and memory.
//!
//! Data in: decidable rows of one tier with their trials. Data out: who dominates whom, and what is open.
//! Invariants: each pair is looked at once and seen from the other side by mirroring; the rule is that of
//! the parent's header.

use std::collections::{BTreeMap, HashMap};

use super::super::compare::{Across, Comparison, Contender, REMOTE, across};
use super::super::interval::quantile_ranks_at;
use super::super::latency::nearest_rank;
use super::super::ranking::{Relation, largest_sets};
use super::super::rows::Group;
use super::super::sequential::Levels;
use super::super::summary::{ModelSummary, RunHeader};
use super::super::verdict::{Decide, Verdict};
use super::{
    Dimensions, Dominance, MEMORY_MARGIN, OpenPair, ParetoGroup, ParetoRow, ParetoSet, RULE,
    Standing, TimeRatio, standing_of,
};
use crate::record::format::Header;

/// Beyond this many cases, a number of cases is no advice.
const MOST_CASES: u64 = 1_000_000;

/// Peak memory of what serves a row on this machine. A process serves all rows of a model with one
/// context, and its peak only rises: the highest of these rows counts for each.
pub(super) fn memory(
    contender: &Contender<'_>,
    contenders: &[Contender<'_>],
    header: &Header,
    run: &RunHeader,
) -> Option<u64> {
    let row = contender.row;
    if row.tier == REMOTE {
        return None;
    }
    let model: &ModelSummary = run.models.iter().find(|model| model.name == row.model)?;
    if !model.legs.is_empty() {
        // Legs are in memory together.
        let peaks = model.legs.iter().map(|leg| leg.peak_memory_bytes);
        return peaks.sum();
    }
    let context = |name: &str| {
        let variants = header.variants.iter();
        let found = variants.clone().find(|variant| variant.name == name);
        found.map(|variant| variant.context_tokens)
    };
    let own = context(&row.variant);
    let same = contenders.iter().map(|it| it.row).filter(|other| {
        other.model == row.model && other.tier == row.tier && context(&other.variant) == own
    });
    let measured = same.filter_map(|other| other.peak_memory_bytes).max();
    measured.or(model.peak_memory_bytes)
}

/// Rows while they are compared.
pub(super) struct Field<'a> {
    pub(super) rows: Vec<&'a Contender<'a>>,
    pub(super) memory: Vec<Option<u64>>,
    pub(super) margin_points: f64,
}

/// A pair, second row against first.
struct Pair {
    dimensions: Dimensions,
    success: Success,
    time: Option<Vec<f64>>,
}

/// Where the verdict of a pair comes from.
enum Success {
    Compared {
        verdict: Verdict,
        decide: Option<Decide>,
        dropped_cases: usize,
    },
    Across(Across),
}

impl Success {
    fn verdict(&self) -> Verdict {
        match self {
            Self::Compared { verdict, .. } => *verdict,
            Self::Across(found) => found.verdict,
        }
    }

    fn decide(&self, margin_points: f64) -> Option<Decide> {
        match self {
            Self::Compared { decide, .. } => decide.clone(),
            Self::Across(found) => found.decide(margin_points),
        }
    }

    fn dropped_cases(&self) -> usize {
        match self {
            Self::Compared { dropped_cases, .. } => *dropped_cases,
            Self::Across(found) => found.dropped_cases,
        }
    }
}

impl Field<'_> {
    /// The set of a tier, without the rows that are undecidable.
    pub(super) fn set(
        &self,
        tier: &str,
        comparisons: &[Comparison],
        levels: &Levels<'_>,
    ) -> ParetoSet {
        let pairs = self.pairs(comparisons, levels);
        let count = self.rows.len();
        let against = |one: usize, two: usize| -> Dimensions {
            // What `one` is against `two`.
            if one > two {
                pairs[&(two, one)].dimensions.clone()
            } else {
                pairs[&(one, two)].dimensions.mirrored()
            }
        };
        let others = |row: usize| (0..count).filter(move |other| *other != row);
        let dominated_by: Vec<Vec<Dominance>> = (0..count)
            .map(|row| {
                others(row)
                    .map(|by| Dominance {
                        by,
                        dimensions: against(by, row),
                    })
                    .filter(|found| found.dimensions.dominates())
                    .collect()
            })
            .collect();
        let members: Vec<usize> = (0..count)
            .filter(|row| dominated_by[*row].is_empty())
            .collect();
        let winner = (0..count).find(|row| {
            others(*row).all(|other| {
                let found = against(*row, other);
                found.success == Standing::Better || found.dominates()
            })
        });
        let groups = largest_sets(members.len(), |one, two| {
            against(members[one], members[two]).differs()
        });
        let groups = groups
            .into_iter()
            .filter(|group| group.len() > 1)
            .map(|group| {
                let rows: Vec<usize> = group.into_iter().map(|index| members[index]).collect();
                let all_tied = rows.iter().enumerate().all(|(index, one)| {
                    rows[index + 1..]
                        .iter()
                        .all(|two| against(*one, *two).is_tied())
                });
                ParetoGroup {
                    relation: if all_tied {
                        Relation::Tied
                    } else {
                        Relation::NotDistinguishable
                    },
                    rows,
                }
            });
        ParetoSet {
            tier: tier.to_owned(),
            rule: RULE.to_owned(),
            winner,
            groups: groups.collect(),
            open: self.open(&members, &pairs, levels),
            undecidable: Vec::new(),
            rows: self
                .rows
                .iter()
                .zip(&self.memory)
                .zip(dominated_by)
                .map(|((contender, memory), dominated_by)| ParetoRow {
                    side: contender.side(),
                    success: contender.row.success.rate,
                    success_low: contender.row.success.low,
                    success_high: contender.row.success.high,
                    task_p50_ms: contender.row.latency.task_ms.p50,
                    peak_memory_bytes: *memory,
                    in_set: dominated_by.is_empty(),
                    dominated_by,
                })
                .collect(),
        }
    }

    /// Every pair of rows, the second against the first.
    fn pairs(
        &self,
        comparisons: &[Comparison],
        levels: &Levels<'_>,
    ) -> BTreeMap<(usize, usize), Pair> {
        let count = self.rows.len();
        let places: Vec<(usize, usize)> = (0..count)
            .flat_map(|one| (one + 1..count).map(move |two| (one, two)))
            .collect();
        let mut verdicts: HashMap<(usize, usize), Success> = places
            .iter()
            .filter_map(|place| Some((*place, self.compared(*place, comparisons)?)))
            .collect();
        let missing: Vec<(usize, usize)> = places
            .iter()
            .copied()
            .filter(|place| !verdicts.contains_key(place))
            .collect();
        let sides: Vec<(&Contender<'_>, &Contender<'_>)> = missing
            .iter()
            .map(|(one, two)| (self.rows[*one], self.rows[*two]))
            .collect();
        let found = across(&sides, self.margin_points, levels);
        verdicts.extend(
            missing
                .into_iter()
                .zip(found.into_iter().map(Success::Across)),
        );
        let alpha = levels.limit(places.len());
        let times: Vec<CaseTimes<'_>> = self.rows.iter().map(|it| times(it.group)).collect();
        places
            .into_iter()
            .map(|place| {
                let (one, two) = place;
                let none = Success::Compared {
                    verdict: Verdict::NotEnoughData,
                    decide: None,
                    dropped_cases: 0,
                };
                let success = verdicts.remove(&place).unwrap_or(none);
                let ratios = ratios(&times[one], &times[two]);
                let ratio = ratios.as_ref().map(|found| ratio_of(found, alpha));
                let untimed = |times: &CaseTimes<'_>| times.is_empty();
                let time = match (&ratio, untimed(&times[one]), untimed(&times[two])) {
                    (Some(found), ..) => found.standing(),
                    (None, true, true) => Standing::NeitherMeasured,
                    (None, false, false) => Standing::NotEnoughData,
                    (None, ..) => Standing::OneMeasured,
                };
                let pair = Pair {
                    dimensions: Dimensions {
                        success: success.verdict().into(),
                        time,
                        memory: memory_standing(self.memory[one], self.memory[two]),
                        time_ratio: ratio,
                    },
                    success,
                    time: ratios,
                };
                (place, pair)
            })
            .collect()
    }

    /// The comparison of a pair, second against first, where there is one.
    fn compared(&self, (one, two): (usize, usize), comparisons: &[Comparison]) -> Option<Success> {
        let (one, two) = (self.rows[one].row, self.rows[two].row);
        comparisons.iter().find_map(|found| {
            let verdict = if found.candidate.is_of(two) && found.baseline.is_of(one) {
                found.verdict
            } else if found.candidate.is_of(one) && found.baseline.is_of(two) {
                found.verdict.mirrored()
            } else {
                return None;
            };
            Some(Success::Compared {
                verdict,
                decide: found.decide.clone(),
                dropped_cases: found.dropped.cases,
            })
        })
    }

    fn open(
        &self,
        members: &[usize],
        pairs: &BTreeMap<(usize, usize), Pair>,
        levels: &Levels<'_>,
    ) -> Vec<OpenPair> {
        let alpha = levels.limit(pairs.len());
        let both = |(one, two): &(usize, usize)| members.contains(one) && members.contains(two);
        let mut open: Vec<OpenPair> = pairs
            .iter()
            .filter(|(place, _)| both(place))
            .filter(|(_, pair)| {
                let found = &pair.dimensions;
                found.might_dominate() || found.mirrored().might_dominate()
            })
            .map(|((one, two), pair)| {
                let case_ms = self.rows[*one]
                    .case_ms()
                    .zip(self.rows[*two].case_ms())
                    .map(|(one, two)| one + two);
                OpenPair {
                    one: *one,
                    two: *two,
                    dimensions: pair.dimensions.clone(),
                    dropped_cases: pair.success.dropped_cases(),
                    decide: pair.decide(alpha, self.margin_points, case_ms),
                }
            })
            .collect();
        open.sort_by(|one, two| {
            let effort = |pair: &OpenPair| {
                let found = pair.decide.as_ref();
                found.map_or(f64::INFINITY, |it| {
                    it.more_minutes.unwrap_or(it.cases as f64)
                })
            };
            effort(one).total_cmp(&effort(two))
        });
        open
    }
}

impl Pair {
    /// Cases that would decide every dimension that is open.
    fn decide(&self, alpha: f64, margin_points: f64, case_ms: Option<f64>) -> Option<Decide> {
        let of_time = match (self.dimensions.time, &self.time) {
            (Standing::NotEnoughData, Some(ratios)) => {
                let cases = cases_for_time(ratios, alpha)?;
                let more_cases = cases.saturating_sub(ratios.len() as u64);
                Some(Decide {
                    cases,
                    more_cases,
                    more_minutes: case_ms.map(|ms| ms * more_cases as f64 / 60_000.0),
                    formula:
                        "smallest n for which the limits of the median ratio, by the ranks of so \
                              many ratios like these, lie inside the margin or on one side of 1"
                            .to_owned(),
                })
            }
            // No case in common: no number of cases is known to help.
            (Standing::NotEnoughData, None) => return None,
            _ => None,
        };
        match (self.dimensions.success, of_time) {
            (Standing::NotEnoughData, of_time) => {
                let success = self.success.decide(margin_points)?;
                let time_takes_more = of_time
                    .as_ref()
                    .is_some_and(|time| time.more_cases > success.more_cases);
                if time_takes_more {
                    of_time
                } else {
                    Some(success)
                }
            }
            (_, of_time) => of_time,
        }
    }
}

/// Mean time of a task by suite, case and what the case asks.
type CaseTimes<'a> = BTreeMap<(&'a str, &'a str, &'a str), f64>;

/// Scored trials count, failures too, because people wait for them; replayed ones were not measured.
fn times<'a>(group: &Group<'a>) -> CaseTimes<'a> {
    let mut means = CaseTimes::new();
    for trials in &group.cases {
        let timed = trials
            .iter()
            .filter(|trial| trial.outcome.is_scored() && !trial.replayed);
        let values: Vec<f64> = timed.map(|trial| trial.time.total_ms).collect();
        let Some(first) = trials.first() else {
            continue;
        };
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        if mean > 0.0 {
            let key = (
                first.cell.suite.as_str(),
                first.case.as_str(),
                first.case_hash.0.as_str(),
            );
            means.insert(key, mean);
        }
    }
    means
}

/// Second over first, sorted; `None` without a case that both have timed.
fn ratios(one: &CaseTimes<'_>, two: &CaseTimes<'_>) -> Option<Vec<f64>> {
    let mut ratios: Vec<f64> = one
        .iter()
        .filter_map(|(case, first)| Some(two.get(case)? / first))
        .collect();
    ratios.sort_by(f64::total_cmp);
    (!ratios.is_empty()).then_some(ratios)
}

fn ratio_of(sorted: &[f64], alpha: f64) -> TimeRatio {
    let (low, high) = limits(sorted, sorted.len() as u64, alpha);
    TimeRatio {
        cases: sorted.len(),
        median: nearest_rank(sorted, 50).unwrap_or(1.0),
        low,
        high,
        confidence: 1.0 - alpha,
    }
}

/// Limits of the median of `cases` ratios that are distributed like these.
fn limits(sorted: &[f64], cases: u64, alpha: f64) -> (Option<f64>, Option<f64>) {
    let (low, high) = quantile_ranks_at(cases, 0.5, alpha / 2.0);
    let own = sorted.len() as u64;
    let at = |rank: u64| sorted.get(rank.max(1) as usize - 1).copied();
    // Outwards, so that too much is never promised.
    let low = low.and_then(|rank| at(rank * own / cases));
    let high = high.and_then(|rank| at((rank * own).div_ceil(cases)));
    (low, high)
}

/// The smallest number of cases, found by doubling and halving, whose ratios would decide the time.
fn cases_for_time(sorted: &[f64], alpha: f64) -> Option<u64> {
    let decided = |cases: u64| {
        let (low, high) = limits(sorted, cases, alpha);
        low.zip(high)
            .is_some_and(|(low, high)| standing_of(low, high) != Standing::NotEnoughData)
    };
    let mut too_few = sorted.len() as u64;
    let mut enough = too_few * 2;
    while !decided(enough) {
        too_few = enough;
        enough *= 2;
        if enough > MOST_CASES.min(1000 * sorted.len() as u64) {
            return None;
        }
    }
    while enough - too_few > 1 {
        let middle = u64::midpoint(enough, too_few);
        if decided(middle) {
            enough = middle;
        } else {
            too_few = middle;
        }
    }
    Some(enough)
}

/// Second against first.
fn memory_standing(one: Option<u64>, two: Option<u64>) -> Standing {
    match (one, two) {
        (None, None) => Standing::NeitherMeasured,
        (Some(one), Some(two)) => {
            let ratio = two as f64 / one.max(1) as f64;
            let margin = 1.0 + MEMORY_MARGIN;
            if ratio < margin && ratio > 1.0 / margin {
                Standing::Tied
            } else if ratio < 1.0 {
                Standing::Better
            } else {
                Standing::Worse
            }
        }
        _ => Standing::OneMeasured,
    }
}
