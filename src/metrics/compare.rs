//! Paired differences between rows: which pairs, over which cases, in which family.
//!
//! Data in: the rows of a run without split, with their trials. Data out: [`Comparison`]s.
//! Invariants: a case counts only when both sides have a scored trial of it, with equal case hash;
//! differences are candidate minus baseline; a row compared with itself shows no change.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::power::{Detectable, detectable_difference};
use super::rates::{Cases, scored_success};
use super::rows::Group;
use super::sequential::Levels;
use super::significance::{holm, holm_rejects};
use super::summary::Row;
use super::verdict::LEVEL;
use super::verdict::{Decide, DifferenceMethod, Estimate, PairedCase, TestMethod, Tested, Verdict};
use crate::types::{Constraint, ContentHash, DialectName, TrialRecord};

/// What is compared, and with what held equal. Holm's adjustment is per family and what it holds
/// equal (for models) or per family and model (for the others).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Models within equal dialect, constraint and variant.
    Model,
    /// `grammar` against `off` within a model, dialect and variant.
    Constraint,
    /// Variants within a model, dialect and constraint.
    Variant,
    /// Dialects within a model, constraint and variant.
    Dialect,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// Model.
    pub model: String,
    /// Dialect.
    pub dialect: DialectName,
    /// Constraint asked for.
    pub constraint: Constraint,
    /// Variant.
    pub variant: String,
    /// Hardware tier.
    pub tier: String,
    /// Other settings of the cell.
    pub settings: BTreeMap<String, String>,
}

impl Side {
    /// Whether this is the side of a row without split.
    pub fn is_of(&self, row: &Row) -> bool {
        row.model == self.model
            && row.dialect == self.dialect
            && row.constraint == self.constraint
            && row.variant == self.variant
            && row.tier == self.tier
            && row.settings == self.settings
    }
}

/// Cases that could not be paired.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Dropped {
    /// No scored trial on one side or on both.
    pub cases: usize,
    /// `cases` / (`cases` + cases paired); `null` without any.
    pub share: Option<f64>,
    /// Of these, without a scored trial of the baseline only.
    pub by_baseline: usize,
    /// Of these, without a scored trial of the candidate only.
    pub by_candidate: usize,
    /// Left out of a constraint difference because the grammar was refused; not part of `cases`.
    pub grammar_refused: usize,
}

/// One paired difference with its verdict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// What is compared.
    pub family: Family,
    /// Comparisons in the family, for Holm's adjustment.
    pub family_size: usize,
    /// What is compared with.
    pub baseline: Side,
    /// What the verdict is about.
    pub candidate: Side,
    /// Cases paired.
    pub cases: usize,
    /// Scored trials of the baseline in them.
    pub baseline_trials: usize,
    /// Scored trials of the candidate in them.
    pub candidate_trials: usize,
    /// Cases not paired.
    pub dropped: Dropped,
    /// Success of the baseline on the paired cases.
    pub baseline_rate: Option<f64>,
    /// Success of the candidate on the paired cases.
    pub candidate_rate: Option<f64>,
    /// Candidate minus baseline, from -1 to 1.
    pub difference: Option<f64>,
    /// Lower limit.
    pub low: Option<f64>,
    /// Upper limit.
    pub high: Option<f64>,
    /// Confidence of the interval: 0.95 in a fixed design; in a run that stops once decided what is
    /// left at its look, so that it holds however the run came to stop.
    pub confidence: f64,
    /// How the interval was found.
    pub method: DifferenceMethod,
    /// Cases that only the candidate solves (expected, with several trials).
    pub only_candidate: Option<f64>,
    /// Cases that only the baseline solves (expected, with several trials).
    pub only_baseline: Option<f64>,
    /// Two-sided p-value.
    pub p_value: Option<f64>,
    /// How it was found.
    pub p_method: TestMethod,
    /// The same after Holm's adjustment in the family.
    pub p_holm: Option<f64>,
    /// Width of `tied`, in points.
    pub margin_points: f64,
    /// Of the candidate against the baseline.
    pub verdict: Verdict,
    /// Why, in words.
    pub reason: String,
    /// What would decide it, when there is not enough data.
    pub decide: Option<Decide>,
    /// The smallest true difference that so many cases find in 80 % of runs.
    pub detectable: Option<Detectable>,
}

/// Tier of models that another machine serves.
pub const REMOTE: &str = "remote";

/// The hardware tiers of rows, in order. What another machine serves belongs to each of them; it has a
/// tier of its own only where there is no other.
pub(super) fn tiers_of<'a>(rows: impl Iterator<Item = &'a Row>) -> Vec<&'a str> {
    let mut tiers: Vec<&str> = Vec::new();
    for row in rows {
        if row.tier != REMOTE && !tiers.contains(&row.tier.as_str()) {
            tiers.push(&row.tier);
        }
    }
    if tiers.is_empty() {
        tiers.push(REMOTE);
    }
    tiers
}

/// The row is compared within this tier.
pub(super) fn is_on(row: &Row, tier: &str) -> bool {
    row.tier == tier || row.tier == REMOTE
}

/// A row of the run without split, with its trials by case.
pub(super) struct Contender<'a> {
    pub(super) row: &'a Row,
    pub(super) group: &'a Group<'a>,
}

impl Contender<'_> {
    pub(super) fn side(&self) -> Side {
        Side {
            model: self.row.model.clone(),
            dialect: self.row.dialect,
            constraint: self.row.constraint,
            variant: self.row.variant.clone(),
            tier: self.row.tier.clone(),
            settings: self.row.settings.clone(),
        }
    }

    /// Mean time of one case with all its trials.
    pub(super) fn case_ms(&self) -> Option<f64> {
        let per_case = self.row.scored_trials as f64 / self.row.cases.max(1) as f64;
        self.row.latency.task_mean_ms.map(|ms| ms * per_case)
    }
}

/// All comparisons of a run, families adjusted.
pub(super) fn comparisons(
    contenders: &[Contender<'_>],
    margin_points: f64,
    levels: &Levels<'_>,
) -> Vec<Comparison> {
    let mut families: Vec<(String, Vec<Draft>)> = Vec::new();
    for (index, baseline) in contenders.iter().enumerate() {
        for candidate in &contenders[index + 1..] {
            let Some(family) = family_of(baseline.row, candidate.row) else {
                continue;
            };
            // `off` is always what grammar is compared with, whatever the order of the plan.
            let swapped =
                family == Family::Constraint && baseline.row.constraint == Constraint::Grammar;
            let (baseline, candidate) = if swapped {
                (candidate, baseline)
            } else {
                (baseline, candidate)
            };
            let key = family_key(family, candidate.row);
            let draft = Draft::new(family, baseline, candidate, levels);
            match families.iter_mut().find(|(known, _)| *known == key) {
                Some((_, drafts)) => drafts.push(draft),
                None => families.push((key, vec![draft])),
            }
        }
    }
    let mut comparisons: Vec<Comparison> = families
        .into_iter()
        .flat_map(|(_, drafts)| finish_family(drafts, margin_points, levels))
        .collect();
    comparisons.sort_by_key(|comparison| comparison.family as u8);
    comparisons
}

/// The family of a pair; `None` when more than one thing differs.
fn family_of(one: &Row, two: &Row) -> Option<Family> {
    let same_settings = one.settings == two.settings;
    // A cloud model has no tier of its own to compare on.
    let same_tier = one.tier == two.tier
        || (one.model != two.model && (one.tier == REMOTE || two.tier == REMOTE));
    if !(same_settings && same_tier) {
        return None;
    }
    let differs = [
        (one.model != two.model, Family::Model),
        (one.constraint != two.constraint, Family::Constraint),
        (one.variant != two.variant, Family::Variant),
        (one.dialect != two.dialect, Family::Dialect),
    ];
    let mut found = differs.iter().filter(|(differs, _)| *differs);
    match (found.next(), found.next()) {
        (Some((_, family)), None) => Some(*family),
        _ => None,
    }
}

fn family_key(family: Family, row: &Row) -> String {
    match family {
        Family::Model => format!("models/{}/{}/{}", row.dialect, row.constraint, row.variant),
        within => format!("{within:?}/{}", row.model),
    }
}

/// A comparison before Holm's adjustment.
struct Draft {
    family: Family,
    sides: (Side, Side),
    pairing: Pairing,
    estimate: Option<Estimate>,
    /// Why no verdict is possible whatever the numbers say.
    objection: Option<String>,
    case_ms: Option<f64>,
}

impl Draft {
    fn new(
        family: Family,
        baseline: &Contender<'_>,
        candidate: &Contender<'_>,
        levels: &Levels<'_>,
    ) -> Self {
        let pairing = pair_cases(
            &baseline.group.cases,
            &candidate.group.cases,
            family == Family::Constraint,
        );
        let objection = [baseline, candidate]
            .iter()
            .find(|contender| !contender.row.decidable)
            .map(|contender| {
                let why = contender.row.undecidable.join("; ");
                format!("{} is undecidable: {why}", contender.row.model)
            })
            .or_else(|| pairing.objection());
        Self {
            family,
            sides: (baseline.side(), candidate.side()),
            estimate: Estimate::at(&pairing.cases, levels.limit(1)),
            objection,
            case_ms: baseline
                .case_ms()
                .zip(candidate.case_ms())
                .map(|(one, two)| one + two),
            pairing,
        }
    }
}

/// What the data say of a pair that differs in more than one thing, second against first.
pub(super) struct Across {
    pub(super) verdict: Verdict,
    /// Cases that could not be paired.
    pub(super) dropped_cases: usize,
    family_size: usize,
    /// Present where more cases could decide it.
    undecided: Option<Estimate>,
    case_ms: Option<f64>,
}

impl Across {
    /// What would decide it; found only when asked for, because it takes some computing.
    pub(super) fn decide(&self, margin_points: f64) -> Option<Decide> {
        let estimate = self.undecided.as_ref()?;
        estimate.decide(margin_points / 100.0, self.family_size, self.case_ms)
    }
}

/// Pairs that no comparison holds, as one family of their own.
pub(super) fn across(
    pairs: &[(&Contender<'_>, &Contender<'_>)],
    margin_points: f64,
    levels: &Levels<'_>,
) -> Vec<Across> {
    // As models are: whatever differs, each side counts as it ran.
    let drafts: Vec<Draft> = pairs
        .iter()
        .map(|(one, two)| Draft::new(Family::Model, one, two, levels))
        .collect();
    let p_values: Vec<f64> = drafts
        .iter()
        .map(|draft| draft.estimate.as_ref().map_or(1.0, |found| found.p_value))
        .collect();
    let family_size = drafts.len();
    let rejected = holm_rejects(&p_values, |left| levels.limit(left));
    drafts
        .into_iter()
        .zip(holm(&p_values).into_iter().zip(rejected))
        .map(|(draft, (p_holm, rejected))| {
            let tested = Tested {
                p_holm,
                family_size,
                rejected,
            };
            let estimate = draft.estimate.filter(|_| draft.objection.is_none());
            let verdict = estimate.as_ref().map_or(Verdict::NotEnoughData, |found| {
                found.verdict(margin_points / 100.0, tested).0
            });
            Across {
                undecided: estimate.filter(|_| verdict == Verdict::NotEnoughData),
                verdict,
                dropped_cases: draft.pairing.dropped.cases,
                family_size,
                case_ms: draft.case_ms,
            }
        })
        .collect()
}

fn finish_family(drafts: Vec<Draft>, margin_points: f64, levels: &Levels<'_>) -> Vec<Comparison> {
    let p_values: Vec<f64> = drafts
        .iter()
        .map(|draft| draft.estimate.as_ref().map_or(1.0, |found| found.p_value))
        .collect();
    let family_size = drafts.len();
    let rejected = holm_rejects(&p_values, |left| levels.limit(left));
    let limit = levels.limit(family_size);
    drafts
        .into_iter()
        .zip(holm(&p_values).into_iter().zip(rejected))
        .map(|(draft, (p_holm, rejected))| {
            let tested = Tested {
                p_holm,
                family_size,
                rejected,
            };
            finish(draft, tested, margin_points, limit)
        })
        .collect()
}

/// `limit` is that of a p-value while the whole family is undecided.
fn finish(draft: Draft, tested: Tested, margin_points: f64, limit: f64) -> Comparison {
    let family_size = tested.family_size;
    let estimate = draft.estimate.as_ref();
    let (verdict, reason) = match (&draft.objection, estimate) {
        (Some(objection), _) => (Verdict::NotEnoughData, objection.clone()),
        (None, None) => (Verdict::NotEnoughData, "no case in common".to_owned()),
        (None, Some(found)) => found.verdict(margin_points / 100.0, tested),
    };
    let undecided = verdict == Verdict::NotEnoughData && draft.objection.is_none();
    let decide = estimate
        .filter(|_| undecided)
        .and_then(|found| found.decide(margin_points / 100.0, family_size, draft.case_ms));
    let pairing = &draft.pairing;
    Comparison {
        family: draft.family,
        family_size,
        cases: pairing.cases.len(),
        baseline_trials: pairing.cases.iter().map(|c| c.baseline.len()).sum(),
        candidate_trials: pairing.cases.iter().map(|c| c.candidate.len()).sum(),
        dropped: pairing.dropped.clone(),
        baseline_rate: estimate.map(|found| found.baseline_rate),
        candidate_rate: estimate.map(|found| found.candidate_rate),
        difference: estimate.map(|found| found.difference),
        low: estimate.map(|found| found.interval.low),
        high: estimate.map(|found| found.interval.high),
        confidence: 1.0 - estimate.map_or(LEVEL, |found| found.alpha),
        method: estimate.map_or(DifferenceMethod::None, |found| found.method),
        only_candidate: estimate.map(|found| found.table.only_candidate),
        only_baseline: estimate.map(|found| found.table.only_baseline),
        p_value: estimate.map(|found| found.p_value),
        p_method: estimate.map_or(TestMethod::None, |found| found.p_method),
        p_holm: estimate.map(|_| tested.p_holm),
        margin_points,
        verdict,
        reason,
        decide,
        detectable: detectable_difference(&pairing.cases, limit),
        baseline: draft.sides.0,
        candidate: draft.sides.1,
    }
}

/// Cases that two sides share, and those they do not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairing {
    /// Cases with a scored trial on both sides.
    pub cases: Vec<PairedCase>,
    /// The others.
    pub dropped: Dropped,
}

/// Most cases that may be missing from a pairing, as a share.
pub const MOST_DROPPED: f64 = 0.05;

impl Pairing {
    /// Why these cases allow no verdict, if they do not: more than 5 % dropped, or dropped clearly
    /// more often by one side (exact two-sided binomial test at 5 %).
    pub fn objection(&self) -> Option<String> {
        let dropped = &self.dropped;
        if self.cases.is_empty() {
            return Some("no case has a scored trial on both sides".to_owned());
        }
        let all = self.cases.len() + dropped.cases;
        if dropped.share.is_some_and(|share| share > MOST_DROPPED) {
            return Some(format!(
                "{} of {all} cases have no scored trial on one side, which is more than 5 %",
                dropped.cases
            ));
        }
        let p = super::significance::mcnemar_exact(
            dropped.by_baseline as u64,
            dropped.by_candidate as u64,
        );
        (p < 0.05).then(|| {
            format!(
                "the sides lost clearly unequal numbers of cases ({} and {} of {all})",
                dropped.by_baseline, dropped.by_candidate
            )
        })
    }
}

/// Trials of one case on both sides while pairing.
#[derive(Default)]
struct Sides {
    baseline: Vec<bool>,
    candidate: Vec<bool>,
    refused: bool,
}

/// Pairs two sets of trials by suite, case and case hash. With `grammar_in_force`, trials that asked
/// for a grammar and ran without one are left out.
pub fn pair_cases(baseline: &Cases<'_>, candidate: &Cases<'_>, grammar_in_force: bool) -> Pairing {
    let mut cases: BTreeMap<(usize, &str, &str, &ContentHash), Sides> = BTreeMap::new();
    let mut order: BTreeMap<(&str, &str, &ContentHash), usize> = BTreeMap::new();
    for (is_baseline, trials) in [(true, baseline), (false, candidate)] {
        for trial in trials.iter().flatten().copied() {
            let name = (
                trial.cell.suite.as_str(),
                trial.case.as_str(),
                &trial.case_hash,
            );
            let next = order.len();
            let position = *order.entry(name).or_insert(next);
            let sides = cases.entry((position, name.0, name.1, name.2)).or_default();
            if grammar_in_force && is_refused(trial) {
                sides.refused = true;
            } else if let Some(success) = scored_success(trial) {
                let side = if is_baseline {
                    &mut sides.baseline
                } else {
                    &mut sides.candidate
                };
                side.push(success);
            }
        }
    }
    let mut pairing = Pairing::default();
    for sides in cases.into_values() {
        let (no_baseline, no_candidate) = (sides.baseline.is_empty(), sides.candidate.is_empty());
        if !no_baseline && !no_candidate {
            pairing.cases.push(PairedCase {
                baseline: sides.baseline,
                candidate: sides.candidate,
            });
        } else if sides.refused {
            pairing.dropped.grammar_refused += 1;
        } else {
            pairing.dropped.cases += 1;
            pairing.dropped.by_baseline += usize::from(no_baseline && !no_candidate);
            pairing.dropped.by_candidate += usize::from(no_candidate && !no_baseline);
        }
    }
    let all = pairing.cases.len() + pairing.dropped.cases;
    pairing.dropped.share = (all > 0).then(|| pairing.dropped.cases as f64 / all as f64);
    pairing
}

fn is_refused(trial: &TrialRecord) -> bool {
    trial.constraint_asked == Constraint::Grammar
        && trial.constraint_effective != Constraint::Grammar
}
