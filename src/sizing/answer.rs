//! The answer: the smallest tier for which success and time are shown to be good enough.
//!
//! Data in: measured cells, predictions, what is wanted. Data out: an [`Answer`]. Invariants: a tier holds
//! only by what was measured on it; what is predicted is called so; "not enough data" names the cases that
//! would do.
//!
//! What "P(success ≥ X and p95 ≤ Y) holds at 95 %" means here. For each measured cell two bounds are
//! computed: a lower one of its success rate over cases like these, and an upper one of the 95 % quantile
//! of its times (`bounds`; neither assumes a shape, and failures' times count, for people wait for them too). The cell
//! holds when both lie on the right side. Each bound may be wrong in a share of data sets of
//!
//! ```text
//! level = 5 % / (2 bounds × number of cells that are asked about)        (Bonferroni)
//! ```
//!
//! so that with at least 95 % confidence nothing on the whole page that is said to hold is false, although
//! the smallest of several tiers is picked after looking. The price is small: an upper bound of a 95 %
//! quantile exists from ln(level)/ln(0.95) cases, 72 for one cell, 117 for ten. A cell is shown to miss
//! when a bound of the other side, at the same level, lies beyond what is wanted.
//!
//! Smallest: by price an hour where every tier in question has one, else by memory bandwidth, then memory:
//! what one pays for when buying machines for models. Remote servers come last.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{
    cases_to_show_quantile, cases_to_show_rate, least_cases_for_quantile, quantile_bounds,
    rate_lower, rate_upper,
};
use super::evidence::Cell;
use super::predict::Prediction;
use super::{Objective, Wishes};
use crate::types::tier::Tier;

/// The chance with which nothing that is said to hold is false.
pub const CONFIDENCE: f64 = 0.95;
/// The quantile that is bound.
const TAIL: f64 = 0.95;

/// What is to be said of a cell or of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Shown to be good enough.
    Holds,
    /// Shown not to be.
    Misses,
    /// Neither is shown.
    NotEnoughData,
}

/// What is shown of one measured cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// The cell.
    pub cell: String,
    /// Context in tokens.
    pub context_tokens: u32,
    /// Its machine, by the catalogue's name where it has one.
    pub tier: String,
    /// What is shown.
    pub verdict: Verdict,
    /// Cases that the bounds rest on.
    pub cases: usize,
    /// Success is at least this.
    pub success_at_least: Option<f64>,
    /// Success is at most this.
    pub success_at_most: Option<f64>,
    /// The time's 95 % quantile is at least this; `null` when that is not shown, or for ever.
    pub p95_at_least_ms: Option<f64>,
    /// It is at most this; `null` with too few cases, or where too many never got there.
    pub p95_at_most_ms: Option<f64>,
    /// Why, in words, one for each bound that does not hold.
    pub reasons: Vec<String>,
    /// Cases that would show it, were all as was seen.
    pub cases_needed: Option<u64>,
}

/// The answer to what is wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// What was asked, in words.
    pub question: String,
    /// Whether any measured tier holds, or all are shown to miss.
    pub verdict: Verdict,
    /// The answer in one sentence.
    pub sentence: String,
    /// Each bound is wrong in at most this share of data sets.
    pub level: f64,
    /// Cells that were asked about, smallest tier first.
    pub claims: Vec<Claim>,
    /// Name of the smallest measured tier that holds.
    pub tier: Option<String>,
    /// Name of the smallest tier that is predicted to do where none measured does.
    pub predicted_tier: Option<String>,
    /// What to do next.
    pub next: String,
}

/// The answer; `None` where nothing is wanted or nothing was measured one at a time.
pub fn answer(
    cells: &[Cell],
    predictions: &[Prediction],
    tiers: &[Tier],
    wishes: &Wishes,
) -> Option<Answer> {
    let bounds = usize::from(wishes.success.is_some()) + usize::from(wishes.p95_ms.is_some());
    let mut asked: Vec<&Cell> = cells.iter().filter(|cell| cell.concurrency == 1).collect();
    if bounds == 0 || asked.is_empty() {
        return None;
    }
    let by_price = asked
        .iter()
        .all(|cell| price(cell.place(), tiers).is_some());
    asked.sort_by(|a, b| smaller(size(a, tiers), size(b, tiers), by_price));
    let level = (1.0 - CONFIDENCE) / (bounds * asked.len()) as f64;
    let claims: Vec<Claim> = asked
        .iter()
        .map(|cell| claim(cell, wishes, level))
        .collect();
    let holding = claims.iter().find(|claim| claim.verdict == Verdict::Holds);
    let predicted = smallest_predicted(&asked, predictions, tiers, wishes, level);
    let verdict = match holding {
        Some(_) => Verdict::Holds,
        None if claims.iter().all(|claim| claim.verdict == Verdict::Misses) => Verdict::Misses,
        None => Verdict::NotEnoughData,
    };
    let question = question(wishes);
    let sentence = match (holding, &predicted) {
        (Some(claim), _) => holds_sentence(claim, &question),
        (None, Ok(found)) => predicted_sentence(found, &question, wishes),
        (None, Err(why)) => format!("no measured tier does ({question}), and {why}"),
    };
    let next = next(&claims, verdict, predicted.as_ref().ok().copied());
    Some(Answer {
        question,
        verdict,
        sentence,
        level,
        tier: holding.map(|claim| claim.tier.clone()),
        predicted_tier: match holding {
            Some(_) => None,
            None => predicted.ok().map(|found| found.tier.clone()),
        },
        next,
        claims,
    })
}

fn question(wishes: &Wishes) -> String {
    let mut parts = Vec::new();
    if let Some(success) = wishes.success {
        parts.push(format!("success ≥ {}", percent(success)));
    }
    if let Some(limit) = wishes.p95_ms {
        let what = wishes.objective.in_words();
        parts.push(format!("p95 of the {what} ≤ {}", seconds(limit)));
    }
    parts.join(" and ")
}

/// `80 %`, `82.5 %`.
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{} %", text.trim_end_matches(".0"))
}

/// `4 s`, `0.35 s`.
pub fn seconds(ms: f64) -> String {
    let text = format!("{:.2}", ms / 1000.0);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn claim(cell: &Cell, wishes: &Wishes, level: f64) -> Claim {
    let shares = &cell.work.success_shares;
    let cases = shares.len() as u64;
    // The sum of shares of cases varies no more than as many yes-or-no cases would.
    let sum: f64 = shares.iter().sum();
    let (floor, ceiling) = ((sum + 1e-9).floor() as u64, (sum - 1e-9).ceil() as u64);
    let success_low = rate_lower(floor, cases, level);
    let success_high = rate_upper(ceiling.min(cases), cases, level);
    let times = quantile_bounds(&cell.work.times_ms, TAIL, level);
    let mut verdicts = Vec::new();
    let mut reasons = Vec::new();
    let mut needed: Option<u64> = None;
    let mut note = |verdict, reason: Option<String>, cases: Option<u64>| {
        verdicts.push(verdict);
        reasons.extend(reason);
        needed = needed.max(cases);
    };
    if !cell.decidable {
        let why = "trials are missing, or more than 5 % are excluded".to_owned();
        note(Verdict::NotEnoughData, Some(why), None);
    }
    if let Some(wanted) = wishes.success {
        let (verdict, reason, cases) =
            of_success(sum, cases, success_low, success_high, wanted, level);
        note(verdict, reason, cases);
    }
    if let Some(limit) = wishes.p95_ms {
        let (verdict, reason, cases) = of_time(cell, times.low, times.high, limit, level);
        note(verdict, reason, cases);
    }
    Claim {
        cell: cell.label(),
        context_tokens: cell.context_tokens,
        tier: cell.place().to_owned(),
        verdict: if !cell.decidable {
            Verdict::NotEnoughData
        } else if verdicts.contains(&Verdict::Misses) {
            Verdict::Misses
        } else if verdicts.contains(&Verdict::NotEnoughData) {
            Verdict::NotEnoughData
        } else {
            Verdict::Holds
        },
        cases: shares.len(),
        success_at_least: success_low,
        success_at_most: success_high,
        p95_at_least_ms: times.low.filter(|ms| ms.is_finite()),
        p95_at_most_ms: times.high.filter(|ms| ms.is_finite()),
        reasons,
        cases_needed: needed.filter(|_| !verdicts.contains(&Verdict::Misses)),
    }
}

type Judged = (Verdict, Option<String>, Option<u64>);

fn of_success(
    sum: f64,
    cases: u64,
    low: Option<f64>,
    high: Option<f64>,
    wanted: f64,
    level: f64,
) -> Judged {
    if low.is_some_and(|low| low >= wanted) {
        return (Verdict::Holds, None, None);
    }
    if let Some(high) = high.filter(|high| *high < wanted) {
        let reason = format!("success is at most {}", percent(high));
        return (Verdict::Misses, Some(reason), None);
    }
    let seen = if cases > 0 { sum / cases as f64 } else { 0.0 };
    let needed = cases_to_show_rate(seen, wanted, level);
    let low = low.map_or_else(|| "nothing".to_owned(), percent);
    (
        Verdict::NotEnoughData,
        Some(format!(
            "success is shown to be at least {low} over {cases} cases"
        )),
        needed,
    )
}

fn of_time(cell: &Cell, low: Option<f64>, high: Option<f64>, limit: f64, level: f64) -> Judged {
    if high.is_some_and(|high| high <= limit) {
        return (Verdict::Holds, None, None);
    }
    if let Some(low) = low.filter(|low| *low > limit) {
        let reason = if low.is_finite() {
            format!("p95 is at least {}", seconds(low))
        } else {
            "more than 5 % never get there".to_owned()
        };
        return (Verdict::Misses, Some(reason), None);
    }
    let values: Vec<f64> = cell.work.times_ms.iter().flatten().copied().collect();
    let timed = cell
        .work
        .times_ms
        .iter()
        .filter(|of| !of.is_empty())
        .count();
    if values.is_empty() {
        return (
            Verdict::NotEnoughData,
            Some("no time was measured".to_owned()),
            None,
        );
    }
    let within = values.iter().filter(|ms| **ms <= limit).count() as f64 / values.len() as f64;
    let least = least_cases_for_quantile(TAIL, level);
    let reason = match high {
        Some(high) if high.is_finite() => format!("p95 is shown to be at most {}", seconds(high)),
        Some(_) => "p95 has no bound: too many never get there".to_owned(),
        None => format!("p95 has an upper bound from {least} cases, there are {timed}"),
    };
    let needed = cases_to_show_quantile(within, TAIL, level);
    (Verdict::NotEnoughData, Some(reason), needed)
}

/// What tiers are ordered by.
#[derive(Clone, Copy)]
struct Size {
    price: f64,
    bandwidth: f64,
    memory: f64,
}

fn price(place: &str, tiers: &[Tier]) -> Option<f64> {
    let tier = tiers.iter().find(|tier| tier.name == place)?;
    Some(tier.price.as_ref()?.per_hour)
}

fn size(cell: &Cell, tiers: &[Tier]) -> Size {
    Size {
        price: price(cell.place(), tiers).unwrap_or(f64::INFINITY),
        bandwidth: cell.work.bandwidth.unwrap_or(f64::INFINITY),
        memory: cell.usable_bytes.unwrap_or(f64::INFINITY),
    }
}

fn size_of_tier(tier: &Tier) -> Size {
    let bandwidth = tier.bandwidth_bytes_per_second.as_ref();
    Size {
        price: tier
            .price
            .as_ref()
            .map_or(f64::INFINITY, |price| price.per_hour),
        bandwidth: bandwidth.map_or(f64::INFINITY, |figure| figure.value),
        memory: tier.memory_gib,
    }
}

fn smaller(a: Size, b: Size, by_price: bool) -> Ordering {
    let prices = if by_price {
        a.price.total_cmp(&b.price)
    } else {
        Ordering::Equal
    };
    prices
        .then(a.bandwidth.total_cmp(&b.bandwidth))
        .then(a.memory.total_cmp(&b.memory))
}

/// Tiers in the order of size.
pub fn by_size(tiers: &[Tier]) -> Vec<&Tier> {
    let mut sorted: Vec<&Tier> = tiers.iter().collect();
    let by_price = tiers.iter().all(|tier| tier.price.is_some());
    sorted.sort_by(|a, b| smaller(size_of_tier(a), size_of_tier(b), by_price));
    sorted
}

/// The smallest tier that is predicted to do; why there is none otherwise. Success must be shown by
/// measurement; the upper end of the range of the predicted time must lie within the limit.
fn smallest_predicted<'a>(
    cells: &[&Cell],
    predictions: &'a [Prediction],
    tiers: &[Tier],
    wishes: &Wishes,
    level: f64,
) -> Result<&'a Prediction, String> {
    let shown = |cell: &str| {
        cells.iter().any(|known| {
            known.label() == cell
                && wishes.success.is_none_or(|wanted| {
                    let shares = &known.work.success_shares;
                    let sum: f64 = shares.iter().sum();
                    let successes = (sum + 1e-9).floor() as u64;
                    rate_lower(successes, shares.len() as u64, level)
                        .is_some_and(|low| low >= wanted)
                })
        })
    };
    if let Some(wanted) = wishes.success
        && !cells.iter().any(|cell| shown(&cell.label()))
    {
        return Err(format!(
            "no tier is predicted to: success of at least {} is not shown for any cell, and it comes with \
             the weights, not with the machine",
            percent(wanted)
        ));
    }
    for tier in by_size(tiers) {
        let on_tier = predictions.iter().filter(|it| it.tier == tier.name);
        let mut fitting = on_tier.filter(|it| it.fits == Some(true) && shown(&it.cell));
        let fast = |found: &&Prediction| {
            wishes
                .p95_ms
                .is_none_or(|limit| found.p95_ms.is_some_and(|times| times.high <= limit))
        };
        if let Some(found) = fitting.find(fast) {
            return Ok(found);
        }
    }
    Err("no tier is predicted to within its range".to_owned())
}

fn holds_sentence(claim: &Claim, question: &str) -> String {
    let mut shown = Vec::new();
    if let Some(low) = claim.success_at_least {
        shown.push(format!("success at least {}", percent(low)));
    }
    if let Some(high) = claim.p95_at_most_ms {
        shown.push(format!("p95 at most {}", seconds(high)));
    }
    format!(
        "{} is the smallest measured tier for which {question} holds at 95 %: {} ({}; {} cases)",
        claim.tier,
        claim.cell,
        shown.join(", "),
        claim.cases
    )
}

fn predicted_sentence(found: &Prediction, question: &str, wishes: &Wishes) -> String {
    let time = match found.p95_ms.filter(|_| wishes.p95_ms.is_some()) {
        Some(times) => format!(
            "p95 {} [{}–{}]{}",
            seconds(times.value),
            seconds(times.low).trim_end_matches(" s"),
            seconds(times.high),
            if found.validated {
                ""
            } else {
                ", not validated"
            }
        ),
        None => "it fits into its memory".to_owned(),
    };
    format!(
        "no measured tier does ({question}); predicted: {} with {} ({time}; success as measured on {})",
        found.title, found.cell, found.success_measured_on
    )
}

fn next(claims: &[Claim], verdict: Verdict, predicted: Option<&Prediction>) -> String {
    let undecided = claims
        .iter()
        .filter(|claim| claim.verdict == Verdict::NotEnoughData);
    let cheapest = undecided
        .filter_map(|claim| Some((claim.cases_needed?, claim)))
        .min_by_key(|(needed, _)| *needed);
    match (verdict, cheapest, predicted) {
        (Verdict::Holds, ..) => {
            "run the same on a smaller tier to see whether it does too".to_owned()
        }
        (Verdict::NotEnoughData, Some((needed, claim)), _) => format!(
            "about {needed} cases would show it for {} on {} if all goes on as seen ({} so far): more suites, \
             or a larger `--sample`",
            claim.cell, claim.tier, claim.cases
        ),
        (_, _, Some(found)) => format!(
            "measure it there: `toolbench sizing {}` on {}",
            found.model, found.title
        ),
        (_, None, None) => {
            "ask for less, or try a larger model, another dialect or constraint".to_owned()
        }
        (Verdict::Misses, Some(_), None) => "try a larger model".to_owned(),
    }
}

impl Objective {
    /// For sentences.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Task => "whole task",
            Self::ValidCall => "valid call",
        }
    }
}
