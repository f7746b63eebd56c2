//! The answer: the smallest tier for which success and time are shown to be good enough.
//!
//! Data in: measured cells, predictions, what is wanted. Data out: an [`Answer`]. Invariants: a tier holds
//! only by what was measured on it; what is predicted is called so; "not enough data" names the cases that
//! would do, where any number would.
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
//! so that with at least 95 % confidence no verdict of the whole page is false, although the smallest of several
//! tiers is picked after looking. That counts those that miss too: a rate either reaches what is wanted or
//! does not, so that of each bound's two possible verdicts one alone can be false. (The numbers of
//! both sides at once are another matter: as intervals they are wrong twice as often.) The price is small:
//! an upper bound of a 95 % quantile exists from ln(level)/ln(0.95) cases, 72 for one cell, 117 for ten. A
//! cell is shown to miss when a bound of the other side, at the same level, lies beyond what is wanted; on
//! times of a busy machine that is not said, for they are too long.
//!
//! Smallest: by price an hour where every tier in question has one in one currency, else by memory bandwidth,
//! then memory: what one pays for when buying machines for models. Remote servers come last. Of several
//! cells that do on the smallest tier, the one with the highest lower limit of success is named.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bounds::{
    cases_to_show_quantile, cases_to_show_rate, least_cases_for_quantile, quantile_bounds,
    rate_lower, rate_upper,
};
use super::evidence::Cell;
use super::memory::Fits;
use super::order::{comparable, price, size, smaller};
use super::predict::Prediction;
use super::{Objective, Wishes};
use crate::types::tier::Tier;

/// The chance with which no verdict is false.
pub const CONFIDENCE: f64 = 0.95;
/// The quantile that is bound.
const TAIL: f64 = 0.95;
/// One in so many times may be of a busy machine: as many as may lie beyond the quantile.
const MOST_NOISY: usize = 20;

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
    /// Success is at least this; `null` where no success was asked for.
    pub success_at_least: Option<f64>,
    /// Success is at most this; `null` where no success was asked for.
    pub success_at_most: Option<f64>,
    /// The time's 95 % quantile is at least this; `null` when that is not shown or asked for, or for ever.
    pub p95_at_least_ms: Option<f64>,
    /// It is at most this; `null` with too few cases, where too many never got there, or not asked for.
    pub p95_at_most_ms: Option<f64>,
    /// Why, in words, one for each bound that does not hold.
    pub reasons: Vec<String>,
    /// Cases that would show it, were all as was seen; `null` where no number would.
    pub cases_needed: Option<u64>,
    /// What helps where more cases do not.
    #[serde(skip)]
    pub remedy: Option<String>,
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
    /// The cell that the answer names: of the tier that holds, else of the one that is predicted to.
    pub cell: Option<String>,
    /// Its context in tokens.
    pub context_tokens: Option<u32>,
    /// SHA-256 of its weights.
    pub weights_sha256: Option<String>,
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
    let by_price = comparable(asked.iter().map(|cell| price(cell.place(), tiers)));
    asked.sort_by(|a, b| smaller(size(a, tiers), size(b, tiers), by_price));
    let level = (1.0 - CONFIDENCE) / (bounds * asked.len()) as f64;
    let claims: Vec<Claim> = asked
        .iter()
        .map(|cell| Claim {
            cell: cell.name_among(asked.iter().copied()),
            ..claim(cell, wishes, level)
        })
        .collect();
    let holding = smallest_that_holds(&asked, &claims);
    let predicted = smallest_predicted(&asked, predictions, wishes, level);
    let verdict = match holding {
        Some(_) => Verdict::Holds,
        None if claims.iter().all(|claim| claim.verdict == Verdict::Misses) => Verdict::Misses,
        None => Verdict::NotEnoughData,
    };
    let question = question(wishes);
    let sentence = match (holding, &predicted) {
        (Some((_, claim)), _) => holds_sentence(claim, &question),
        (None, Ok(found)) => predicted_sentence(found, verdict, &question, wishes),
        (None, Err(why)) => format!("{} ({question}), and {why}", none_does(verdict)),
    };
    let are_alike = asked.iter().all(|it| it.cases_hash == asked[0].cases_hash);
    let sentence = if are_alike {
        sentence
    } else {
        format!("{sentence}. {DIFFERENT_CASES}")
    };
    let next = next(&claims, verdict, predicted.as_ref().ok().copied());
    let predicted = predicted.ok().filter(|_| holding.is_none());
    let (cell, context_tokens, weights_sha256) = match (holding, predicted) {
        (Some((cell, _)), _) => (
            Some(cell.label()),
            Some(cell.context_tokens),
            cell.weights_sha256.clone(),
        ),
        (None, Some(found)) => (
            Some(found.cell.clone()),
            Some(found.context_tokens),
            found.weights_sha256.clone(),
        ),
        (None, None) => (None, None, None),
    };
    Some(Answer {
        question,
        verdict,
        sentence,
        level,
        tier: holding.map(|(_, claim)| claim.tier.clone()),
        predicted_tier: predicted.map(|found| found.tier.clone()),
        cell,
        context_tokens,
        weights_sha256,
        next,
        claims,
    })
}

/// Of the cells that hold on the smallest such tier the best one. Cells and claims are in one order.
fn smallest_that_holds<'a>(
    asked: &[&'a Cell],
    claims: &'a [Claim],
) -> Option<(&'a Cell, &'a Claim)> {
    let all = asked.iter().copied().zip(claims);
    let mut holding = all.filter(|(_, claim)| claim.verdict == Verdict::Holds);
    let first = holding.next()?;
    let others = holding.filter(|(_, claim)| claim.tier == first.1.tier);
    let low = |cell: &Cell| cell.success.low.unwrap_or(0.0);
    // The first of equals: later ones only win by more.
    Some(others.fold(
        first,
        |best, it| if low(it.0) > low(best.0) { it } else { best },
    ))
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
    let mut judged: Vec<Judged> = Vec::new();
    if !cell.decidable {
        judged.push(Judged {
            reason: Some("trials are missing, or more than 5 % are excluded".to_owned()),
            remedy: Some(format!(
                "measure {} on {} again until no trials are missing and at most 5 % are excluded",
                cell.label(),
                cell.place()
            )),
            ..Judged::of(Verdict::NotEnoughData)
        });
    }
    if let Some(wanted) = wishes.success {
        judged.push(of_success(
            sum,
            cases,
            success_low,
            success_high,
            wanted,
            level,
        ));
    }
    if let Some(limit) = wishes.p95_ms {
        judged.push(of_time(cell, times.low, times.high, limit, level));
    }
    let any = |verdict| judged.iter().any(|it| it.verdict == verdict);
    let verdict = if !cell.decidable {
        Verdict::NotEnoughData
    } else if any(Verdict::Misses) {
        Verdict::Misses
    } else if any(Verdict::NotEnoughData) {
        Verdict::NotEnoughData
    } else {
        Verdict::Holds
    };
    // A bound that no number of cases would show makes those that others need idle.
    let open = || {
        judged
            .iter()
            .filter(|it| it.verdict == Verdict::NotEnoughData)
    };
    let is_open = verdict == Verdict::NotEnoughData && !any(Verdict::Misses);
    let needed = open().map(|it| it.needed).collect::<Option<Vec<u64>>>();
    let success = wishes.success.is_some();
    let time = |bound: Option<f64>| bound.filter(|ms| ms.is_finite() && wishes.p95_ms.is_some());
    Claim {
        cell: cell.label(),
        context_tokens: cell.context_tokens,
        tier: cell.place().to_owned(),
        verdict,
        cases: shares.len(),
        success_at_least: success_low.filter(|_| success),
        success_at_most: success_high.filter(|_| success),
        p95_at_least_ms: time(times.low),
        p95_at_most_ms: time(times.high),
        cases_needed: needed
            .filter(|_| is_open)
            .and_then(|needed| needed.into_iter().max()),
        remedy: open()
            .find_map(|it| it.remedy.clone())
            .filter(|_| verdict == Verdict::NotEnoughData),
        reasons: judged.into_iter().filter_map(|it| it.reason).collect(),
    }
}

/// What is to be said of one bound.
struct Judged {
    verdict: Verdict,
    reason: Option<String>,
    needed: Option<u64>,
    remedy: Option<String>,
}

impl Judged {
    fn of(verdict: Verdict) -> Self {
        Self {
            verdict,
            reason: None,
            needed: None,
            remedy: None,
        }
    }
}

fn of_success(
    sum: f64,
    cases: u64,
    low: Option<f64>,
    high: Option<f64>,
    wanted: f64,
    level: f64,
) -> Judged {
    if low.is_some_and(|low| low >= wanted) {
        return Judged::of(Verdict::Holds);
    }
    if let Some(high) = high.filter(|high| *high < wanted) {
        return Judged {
            reason: Some(format!("success is at most {}", percent(high))),
            ..Judged::of(Verdict::Misses)
        };
    }
    let seen = if cases > 0 { sum / cases as f64 } else { 0.0 };
    let needed = cases_to_show_rate(seen, wanted, level);
    let low = low.map_or_else(|| "nothing".to_owned(), percent);
    let never = match needed {
        None if cases > 0 => format!(" and {} as seen: {MORE_DO_NOT_HELP}", percent(seen)),
        _ => String::new(),
    };
    Judged {
        reason: Some(format!(
            "success is shown to be at least {low} over {cases} cases{never}"
        )),
        needed,
        ..Judged::of(Verdict::NotEnoughData)
    }
}

/// Why no number of cases is told.
const MORE_DO_NOT_HELP: &str = "more cases of the kind would not show it";

fn of_time(cell: &Cell, low: Option<f64>, high: Option<f64>, limit: f64, level: f64) -> Judged {
    if high.is_some_and(|high| high <= limit) {
        return Judged::of(Verdict::Holds);
    }
    // Times of a busy machine are too long: they can show that it holds, and not that it misses.
    let was_busy = cell.noisy_trials * MOST_NOISY > cell.trials;
    let busy = || Judged {
        reason: Some(format!(
            "{} of {} times were taken while the machine was busy",
            cell.noisy_trials, cell.trials
        )),
        remedy: Some(format!(
            "measure {} again while nothing else runs on {}",
            cell.label(),
            cell.place()
        )),
        ..Judged::of(Verdict::NotEnoughData)
    };
    if let Some(low) = low.filter(|low| *low > limit) {
        if was_busy && low.is_finite() {
            return busy();
        }
        let reason = if low.is_finite() {
            format!("p95 is at least {}", seconds(low))
        } else {
            "more than 5 % never get there".to_owned()
        };
        return Judged {
            reason: Some(reason),
            ..Judged::of(Verdict::Misses)
        };
    }
    let values: Vec<f64> = cell.work.times_ms.iter().flatten().copied().collect();
    let timed = cell.work.times_ms.iter().filter(|of| !of.is_empty());
    let timed = timed.count();
    if values.is_empty() {
        return Judged {
            reason: Some("no time was measured".to_owned()),
            ..Judged::of(Verdict::NotEnoughData)
        };
    }
    let share = |is: &dyn Fn(&f64) -> bool| {
        values.iter().filter(|ms| is(ms)).count() as f64 / values.len() as f64
    };
    let within = share(&|ms| *ms <= limit);
    if was_busy && within <= TAIL && share(&|ms| ms.is_finite()) > TAIL {
        return busy();
    }
    let least = least_cases_for_quantile(TAIL, level);
    let needed = cases_to_show_quantile(within, TAIL, level);
    let reason = match high {
        Some(high) if high.is_finite() => format!("p95 is shown to be at most {}", seconds(high)),
        Some(_) => "p95 has no bound: too many never get there".to_owned(),
        None => format!("p95 has an upper bound from {least} cases, there are {timed}"),
    };
    let never = if needed.is_none() {
        format!(
            " and {} of times lie within as seen: {MORE_DO_NOT_HELP}",
            percent(within)
        )
    } else {
        String::new()
    };
    Judged {
        reason: Some(format!("{reason}{never}")),
        needed,
        ..Judged::of(Verdict::NotEnoughData)
    }
}

/// The smallest tier that is predicted to do, with its best cell; why there is none otherwise. Success
/// must be shown by measurement of that very cell; the upper ends of the ranges of memory and of the
/// predicted time must lie within the limits. Predictions come smallest tier first.
fn smallest_predicted<'a>(
    cells: &[&Cell],
    predictions: &'a [Prediction],
    wishes: &Wishes,
    level: f64,
) -> Result<&'a Prediction, String> {
    let shown = |known: &Cell| {
        wishes.success.is_none_or(|wanted| {
            let shares = &known.work.success_shares;
            let sum: f64 = shares.iter().sum();
            let successes = (sum + 1e-9).floor() as u64;
            rate_lower(successes, shares.len() as u64, level).is_some_and(|low| low >= wanted)
        })
    };
    if let Some(wanted) = wishes.success
        && !cells.iter().any(|cell| shown(cell))
    {
        return Err(format!(
            "no tier is predicted to: success of at least {} is not shown for any cell, and it comes with \
             the weights, not with the machine",
            percent(wanted)
        ));
    }
    let fast = |found: &Prediction| {
        wishes
            .p95_ms
            .is_none_or(|limit| found.p95_ms.is_some_and(|times| times.high <= limit))
    };
    let does = |found: &&Prediction| {
        let mut own = cells.iter().filter(|cell| found.is_of(cell));
        found.fits == Some(Fits::Yes) && own.any(|cell| shown(cell)) && fast(found)
    };
    let low = |found: &Prediction| found.success.low.unwrap_or(0.0);
    let mut doing = predictions.iter().filter(does);
    let first = doing.next();
    let first = first.ok_or_else(|| "no tier is predicted to within its range".to_owned())?;
    let others = doing.filter(|it| it.tier == first.tier);
    Ok(others.fold(
        first,
        |best, it| if low(it) > low(best) { it } else { best },
    ))
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

fn predicted_sentence(
    found: &Prediction,
    verdict: Verdict,
    question: &str,
    wishes: &Wishes,
) -> String {
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
        "{} ({question}); predicted: {} with {} ({time}; success as measured on {})",
        none_does(verdict),
        found.title,
        found.cell,
        found.success_measured_on
    )
}

/// Said where the cells of a page were not asked the same.
const DIFFERENT_CASES: &str = "Cells of this page were asked different cases: one that holds does so on \
    its own, and success of one cannot be compared with that of another";

/// Too few cases are no miss.
fn none_does(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotEnoughData => "no measured tier is shown to do so yet",
        _ => "no measured tier does",
    }
}

fn next(claims: &[Claim], verdict: Verdict, predicted: Option<&Prediction>) -> String {
    let undecided = claims
        .iter()
        .filter(|claim| claim.verdict == Verdict::NotEnoughData);
    let cheapest = undecided
        .filter_map(|claim| Some((claim.cases_needed?, claim)))
        .min_by_key(|(needed, _)| *needed);
    let remedy = claims.iter().find_map(|claim| claim.remedy.clone());
    match (verdict, cheapest, remedy, predicted) {
        (Verdict::Holds, ..) => {
            "run the same on a smaller tier to see whether it does too".to_owned()
        }
        (_, Some((needed, claim)), ..) => format!(
            "about {needed} cases would show it for {} on {} if all goes on as seen ({} so far): more suites, \
             or a larger `--sample`",
            claim.cell, claim.tier, claim.cases
        ),
        (_, None, Some(remedy), _) => remedy,
        (_, None, None, Some(found)) => format!(
            "measure it there: `toolbench sizing {}` on {}",
            found.model, found.title
        ),
        (_, None, None, None) => {
            "ask for less, or try a larger model, another dialect or constraint".to_owned()
        }
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
