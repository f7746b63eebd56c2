//! What a run cost, where tokens and prices are known.
//!
//! Data in: trials and the prices in the header. Data out: amounts. Invariants: an amount exists only
//! where a price does and every reply it covers reported its tokens; it is never 0 for want of a fact;
//! what is not known is named beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::Cases;
use crate::record::format::Header;
use crate::types::{Price, TrialRecord};

/// What the trials of a row cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// All trials of the row, superseded ones not counted; replies only.
    pub amount: f64,
    /// Cost of scored trials / successful trials: failures cost too; `null` without a success.
    pub per_success: Option<f64>,
    /// Currency of both.
    pub currency: String,
    /// Requests without a reply: what they cost is not known and not in the amount.
    pub requests_without_reply: usize,
}

/// What a run cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunCost {
    /// Every reply on record, those of superseded trials too: they were paid for.
    pub amount: f64,
    /// Its currency.
    pub currency: String,
    /// Requests without a reply: what they cost is not known and not in the amount.
    pub requests_without_reply: usize,
    /// Models that are not in the amount: no price is known, or not every reply reported its tokens.
    pub models_left_out: Vec<String>,
    /// The prices used.
    pub prices: Vec<ModelPrice>,
}

/// The price of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelPrice {
    /// The model.
    pub model: String,
    /// Its price, with document and date.
    pub price: Price,
}

/// The cost of a row's trials, all of one model.
pub(super) fn cost(cases: &Cases<'_>, header: &Header, model: &str) -> Option<Cost> {
    let price = price(header, model)?;
    let trials = || cases.iter().flatten().copied();
    let amount = sum(price, trials())?;
    let scored = || trials().filter(|trial| trial.outcome.is_scored());
    let successes = scored().filter(|trial| trial.outcome.is_success()).count();
    Some(Cost {
        amount,
        per_success: sum(price, scored())
            .filter(|_| successes > 0)
            .map(|amount| amount / successes as f64),
        currency: price.currency.clone(),
        requests_without_reply: without_reply(trials()),
    })
}

/// The cost of everything on record; `None` without a price, or with prices in several currencies.
pub(super) fn run_cost(header: &Header, trials: &[TrialRecord]) -> Option<RunCost> {
    let mut found: Option<RunCost> = None;
    let mut left_out = Vec::new();
    for model in &header.models {
        let own = || trials.iter().filter(|trial| trial.cell.model == model.name);
        let amount = model
            .price
            .as_ref()
            .and_then(|price| Some((price, sum(price, own())?)));
        let Some((price, amount)) = amount else {
            left_out.push(model.name.clone());
            continue;
        };
        let cost = found.get_or_insert_with(|| RunCost {
            amount: 0.0,
            currency: price.currency.clone(),
            requests_without_reply: 0,
            models_left_out: Vec::new(),
            prices: Vec::new(),
        });
        if cost.currency != price.currency {
            return None;
        }
        cost.amount += amount;
        cost.requests_without_reply += without_reply(own());
        cost.prices.push(ModelPrice {
            model: model.name.clone(),
            price: price.clone(),
        });
    }
    found.map(|cost| RunCost {
        models_left_out: left_out,
        ..cost
    })
}

fn price<'a>(header: &'a Header, model: &str) -> Option<&'a Price> {
    let mut models = header.models.iter();
    models.find(|known| known.name == model)?.price.as_ref()
}

/// The cost of all replies; `None` without any, or as soon as one of them has no amount.
fn sum<'a>(price: &Price, trials: impl Iterator<Item = &'a TrialRecord>) -> Option<f64> {
    let mut replies = 0;
    let mut amount = 0.0;
    for trial in trials {
        replies += trial.attempts.iter().filter(|a| a.reply.is_some()).count();
        amount += price.of_trial(trial)?;
    }
    (replies > 0).then_some(amount)
}

fn without_reply<'a>(trials: impl Iterator<Item = &'a TrialRecord>) -> usize {
    trials
        .flat_map(|trial| &trial.attempts)
        .filter(|attempt| attempt.reply.is_none())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::testing::{Run, key};
    use crate::metrics::{SummaryOptions, summarise};
    use crate::types::Constraint;

    fn priced(script: &str) -> Run {
        let mut run = Run::new();
        run.cell(&key("a", Constraint::Off), script);
        run.header.models[0].price = Some(Price {
            currency: "USD".to_owned(),
            input_per_million: 1.0,
            cached_input_per_million: None,
            output_per_million: 10.0,
            most_prompt_tokens: None,
            document: "a test".to_owned(),
            date: "2026-11-20".to_owned(),
        });
        for trial in &mut run.trials {
            for attempt in &mut trial.attempts {
                attempt.usage.prompt_tokens = 1_000;
                attempt.usage.cached_tokens = 0;
                attempt.usage.output_tokens = 100;
            }
        }
        run
    }

    /// Each reply costs 1,000 · 1 + 100 · 10 = 2,000 millionths; three trials of one reply, two
    /// of them right: 6,000 in all, 3,000 a success.
    #[test]
    fn cost_by_hand() {
        let run = priced("PFP");
        let replies: usize = run.trials.iter().map(|trial| trial.attempts.len()).sum();
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        let row = summary.totals[0].cost.as_ref().unwrap();
        let expected = 0.002 * replies as f64;
        assert!((row.amount - expected).abs() < 1e-12);
        assert!((row.per_success.unwrap() - expected / 2.0).abs() < 1e-12);
        let whole = summary.header.cost.unwrap();
        assert!((whole.amount - expected).abs() < 1e-12);
        assert_eq!(whole.models_left_out, Vec::<String>::new());
    }

    #[test]
    fn no_price_or_no_tokens_is_no_cost_and_never_nothing() {
        let mut run = priced("PFP");
        run.trials[1].attempts[0].usage.prompt_tokens = 0;
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(
            (&summary.totals[0].cost, &summary.header.cost),
            (&None, &None)
        );
        let mut run = priced("PFP");
        run.header.models[0].price = None;
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(
            (&summary.totals[0].cost, &summary.header.cost),
            (&None, &None)
        );
        let run = priced("FFF");
        let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
        assert_eq!(summary.totals[0].cost.as_ref().unwrap().per_success, None);
    }
}
