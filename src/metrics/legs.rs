//! The legs of a hybrid: what each was asked, what it answered, what came of it, what it cost.
//!
//! Data in: trials of a row, and the header's legs. Data out: one entry a leg, in the order in which
//! they are asked; none for any other model. Invariants: shares and success are over scored trials
//! and means over cases, as everywhere; requests, tokens and cost are over all trials of the row,
//! because every request was made; an amount exists only where the leg has a price.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency::mean_of;
use super::rates::{Cases, Rate, pair_rate, scored_success, trial_rate};
use crate::record::format::{Header, ModelHeader};
use crate::types::{AttemptRecord, FallbackCause, TrialRecord};

/// One leg of a hybrid in a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LegUse {
    /// The model's name.
    pub leg: String,
    /// Requests to it, replies or not.
    pub attempts: usize,
    /// Of these, those after which the next leg was asked instead.
    pub passed_over: PassedOver,
    /// Turns that it answered with a valid call or an answer / turns: mean over cases.
    pub turns: Rate,
    /// Scored trials whose last reply is its own / scored trials: mean over cases.
    pub ended: Rate,
    /// Successful / scored trials whose last reply is its own: mean over cases.
    pub success: Rate,
    /// Tokens of its prompts.
    pub prompt_tokens: u64,
    /// Tokens that it generated, those of replies that were passed over too.
    pub output_tokens: u64,
    /// Mean time of a request to it.
    pub request_mean_ms: Option<f64>,
    /// What its replies cost; `null` where it has no price, no reply, or a reply without tokens.
    pub cost: Option<LegCost>,
}

/// Why the next leg was asked, in requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PassedOver {
    /// Endpoint or engine failed, or spoiled the reply.
    pub infra: usize,
    /// No valid call and no answer.
    pub invalid: usize,
    /// The latency budget, or the time limit of a request, passed.
    pub latency: usize,
}

impl PassedOver {
    /// All causes together.
    pub fn total(&self) -> usize {
        self.infra + self.invalid + self.latency
    }
}

/// What the replies of a leg cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LegCost {
    /// All its replies, those that were passed over too.
    pub amount: f64,
    /// Currency.
    pub currency: String,
    /// Requests without a reply: what they cost is not known and not in the amount.
    pub requests_without_reply: usize,
}

/// The legs of a row of `model`; empty where it is no hybrid.
pub(super) fn legs(cases: &Cases<'_>, header: &Header, model: &str) -> Vec<LegUse> {
    let found = header.models.iter().find(|known| known.name == model);
    let legs = found.into_iter().flat_map(|model| &model.legs);
    legs.map(|leg| leg_use(cases, leg)).collect()
}

fn leg_use(cases: &Cases<'_>, leg: &ModelHeader) -> LegUse {
    let of_leg = |attempt: &&AttemptRecord| attempt.leg == leg.name;
    let own: Vec<&AttemptRecord> = cases
        .iter()
        .flatten()
        .flat_map(|trial| &trial.attempts)
        .filter(of_leg)
        .collect();
    let passed_over = |cause| {
        let found = own.iter().filter(|it| it.passed_over == Some(cause));
        found.count()
    };
    LegUse {
        leg: leg.name.clone(),
        attempts: own.len(),
        passed_over: PassedOver {
            infra: passed_over(FallbackCause::Infra),
            invalid: passed_over(FallbackCause::Invalid),
            latency: passed_over(FallbackCause::Latency),
        },
        turns: pair_rate(cases, |trial| turns(trial, &leg.name)),
        ended: trial_rate(cases, |trial| {
            let scored = trial.outcome.is_scored();
            scored.then(|| ended_by(trial, &leg.name))
        }),
        success: trial_rate(cases, |trial| {
            scored_success(trial).filter(|_| ended_by(trial, &leg.name))
        }),
        prompt_tokens: own.iter().map(|a| u64::from(a.usage.prompt_tokens)).sum(),
        output_tokens: own.iter().map(|a| u64::from(a.usage.output_tokens)).sum(),
        request_mean_ms: mean_of(own.iter().map(|attempt| attempt.wall_ms)),
        cost: cost(&own, leg),
    }
}

/// Turns that a leg answered, of all turns of a scored trial.
fn turns(trial: &TrialRecord, leg: &str) -> (u32, u32) {
    if !trial.outcome.is_scored() {
        return (0, 0);
    }
    let mut turns: Vec<u32> = trial.attempts.iter().map(|it| it.turn).collect();
    turns.dedup();
    let answered = trial.attempts.iter().filter(|attempt| {
        let valid = attempt.reply.is_some() && attempt.violations.is_empty();
        valid && attempt.passed_over.is_none() && attempt.leg == leg
    });
    (answered.count() as u32, turns.len() as u32)
}

fn ended_by(trial: &TrialRecord, leg: &str) -> bool {
    trial.attempts.last().is_some_and(|last| last.leg == leg)
}

fn cost(own: &[&AttemptRecord], leg: &ModelHeader) -> Option<LegCost> {
    let price = leg.price.as_ref()?;
    let replies = || own.iter().filter(|attempt| attempt.reply.is_some());
    let amount: Option<f64> = replies().map(|it| price.of_usage(&it.usage)).sum();
    Some(LegCost {
        amount: amount.filter(|_| replies().next().is_some())?,
        currency: price.currency.clone(),
        requests_without_reply: own.len() - replies().count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, hybrid, key};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    #[test]
    fn numbers_of_each_leg_by_hand() {
        let run = hybrid();
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let row = &summary.totals[0];
        let parts = |rate: &Rate| (rate.hits, rate.of);
        let (a, b) = (&row.legs[0], &row.legs[1]);
        assert_eq!((a.attempts, b.attempts), (4, 2));
        assert_eq!((a.passed_over.invalid, a.passed_over.latency), (1, 1));
        assert_eq!((a.passed_over.infra, b.passed_over.total()), (0, 0));
        assert_eq!((parts(&a.turns), parts(&b.turns)), ((2, 4), (2, 4)));
        assert_eq!((parts(&a.ended), parts(&b.ended)), ((2, 4), (2, 4)));
        assert_eq!((parts(&a.success), parts(&b.success)), ((1, 2), (2, 2)));
        assert!(a.success.low.unwrap() > 0.0 && a.success.high.unwrap() < 1.0);
        assert_eq!((a.prompt_tokens, b.output_tokens), (4_000, 200));
        // Each reply of a: 1,000 · 1 + 100 · 10 = 2,000 millionths; of b: 3,000.
        let amount = |leg: &LegUse| leg.cost.as_ref().unwrap().amount;
        assert!((amount(a) - 0.008).abs() < 1e-12);
        assert!((amount(b) - 0.006).abs() < 1e-12);
        // The row and the run cost what their legs do; three of four trials are right.
        let cost = row.cost.as_ref().unwrap();
        assert!((cost.amount - 0.014).abs() < 1e-12);
        assert!((cost.per_success.unwrap() - 0.014 / 3.0).abs() < 1e-12);
        let whole = summary.header.cost.as_ref().unwrap();
        assert!((whole.amount - 0.014).abs() < 1e-12);
        let priced: Vec<&str> = whole.prices.iter().map(|it| it.model.as_str()).collect();
        assert_eq!(priced, ["a", "b"]);
        // One reply a turn stands: nothing was corrected.
        assert_eq!(row.corrections.attempts_per_turn, Some(1.0));
        assert_eq!(row.calls.valid_call.of, 4);
    }

    #[test]
    fn a_leg_on_this_machine_costs_nothing_by_the_token_and_an_unpriced_one_hides_the_sum() {
        let mut run = hybrid();
        run.header.models[0].legs[0].price = None;
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(summary.totals[0].cost, None);
        assert_eq!(summary.totals[0].legs[0].cost, None);
        assert!(summary.totals[0].legs[1].cost.is_some());
        assert_eq!(summary.header.cost, None);
        run.header.models[0].legs[0].weights_sha256 = Some("of its own".to_owned());
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let cost = summary.totals[0].cost.as_ref().unwrap();
        assert!((cost.amount - 0.006).abs() < 1e-12);
    }

    #[test]
    fn other_models_have_no_legs() {
        let mut run = Run::new();
        run.cell(&key("one", Constraint::Off), "PF");
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert!(summary.totals[0].legs.is_empty());
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["totals"][0].get("legs"), None);
    }
}
