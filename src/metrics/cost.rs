//! What a run cost, where tokens and prices are known.
//!
//! Data in: trials and the prices in the header. Data out: amounts. Invariants: an amount exists only
//! where a price does and every reply it covers reported its tokens; it is never 0 for want of a fact;
//! what is not known is named beside it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rates::Cases;
use crate::record::format::{Header, ModelHeader};
use crate::types::probe::ProbeLoad;
use crate::types::{Price, TrialRecord};

/// What the trials of a row cost. A leg of a hybrid whose weights run on this machine costs nothing by
/// the token.
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
    /// Every reply on record, those of superseded trials and of probes too: they were paid for.
    pub amount: f64,
    /// Its currency.
    pub currency: String,
    /// Requests without a reply: what they cost is not known and not in the amount.
    pub requests_without_reply: usize,
    /// Models, or probes of models, that are not in the amount: no price is known, or not every reply
    /// reported its tokens.
    pub models_left_out: Vec<String>,
    /// What the probes of the models in the amount took; it is in the amount.
    pub probes: Option<ProbeCost>,
    /// The prices used.
    pub prices: Vec<ModelPrice>,
}

/// What probes cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeCost {
    /// In the currency of the run.
    pub amount: f64,
    /// What it is for.
    pub taken: ProbeLoad,
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
    let model = header.models.iter().find(|known| known.name == model)?;
    let currency = currency(model)?;
    let trials = || cases.iter().flatten().copied();
    let amount = sum(model, trials())?;
    let scored = || trials().filter(|trial| trial.outcome.is_scored());
    let successes = scored().filter(|trial| trial.outcome.is_success()).count();
    Some(Cost {
        amount,
        per_success: sum(model, scored())
            .filter(|_| successes > 0)
            .map(|amount| amount / successes as f64),
        currency: currency.to_owned(),
        requests_without_reply: without_reply(trials()),
    })
}

/// The cost of everything on record; `None` without a price, or with prices in several currencies.
pub(super) fn run_cost(header: &Header, trials: &[TrialRecord]) -> Option<RunCost> {
    let mut found: Option<RunCost> = None;
    let mut left_out = Vec::new();
    for model in &header.models {
        let own = || trials.iter().filter(|trial| trial.cell.model == model.name);
        let tried = probe_cost(header, model);
        let amount = currency(model).and_then(|currency| {
            let has_replies = own()
                .flat_map(|trial| &trial.attempts)
                .any(|attempt| attempt.reply.is_some());
            let only_tried = !has_replies && tried.is_some_and(|(_, taken)| taken.requests > 0);
            let trials = if only_tried { 0.0 } else { sum(model, own())? };
            Some((currency, trials))
        });
        let Some((currency, amount)) = amount else {
            left_out.push(model.name.clone());
            continue;
        };
        if tried.is_none() {
            left_out.push(format!("the probes of {}", model.name));
        }
        let (for_probes, taken) = tried.unwrap_or_default();
        let cost = found.get_or_insert_with(|| RunCost {
            amount: 0.0,
            currency: currency.to_owned(),
            requests_without_reply: 0,
            models_left_out: Vec::new(),
            probes: None,
            prices: Vec::new(),
        });
        if cost.currency != currency {
            return None;
        }
        cost.amount += amount + for_probes;
        cost.requests_without_reply += without_reply(own());
        if taken.requests > 0 {
            cost.requests_without_reply += usize::try_from(taken.without_reply).unwrap_or(0);
            let all = cost.probes.get_or_insert(ProbeCost {
                amount: 0.0,
                taken: ProbeLoad::default(),
            });
            all.amount += for_probes;
            all.taken.add(taken);
        }
        for (name, price) in prices(model) {
            let known = ModelPrice {
                model: name.to_owned(),
                price: price.clone(),
            };
            if !cost.prices.contains(&known) {
                cost.prices.push(known);
            }
        }
    }
    found.map(|cost| RunCost {
        models_left_out: left_out,
        ..cost
    })
}

/// What the probes of a model and its legs cost and took; `None` where a reply to one that has a price
/// did not report its tokens.
fn probe_cost(header: &Header, model: &ModelHeader) -> Option<(f64, ProbeLoad)> {
    let (mut amount, mut taken) = (0.0, ProbeLoad::default());
    let is_called = |model: &ModelHeader, name: &str| {
        let mut names = std::iter::once(model).chain(&model.legs);
        names.any(|one| one.name == name)
    };
    // What serves two models of a run is probed once, and counted for the first.
    let is_owner = |name: &str| {
        let owner = header.models.iter().find(|model| is_called(model, name));
        owner.is_some_and(|owner| owner.name == model.name)
    };
    for one in std::iter::once(model).chain(&model.legs) {
        let own = header.probes.iter().filter(|set| set.model == one.name);
        for set in own.filter(|set| is_owner(&set.model)) {
            taken.add(set.taken);
            if let Some(price) = &one.price {
                amount += price.of_probes(&set.taken)?;
            }
        }
    }
    Some((amount, taken))
}

/// The prices of a model: its own, or those of its legs.
fn prices(model: &ModelHeader) -> impl Iterator<Item = (&str, &Price)> {
    std::iter::once(model)
        .chain(&model.legs)
        .filter_map(|it| Some((it.name.as_str(), it.price.as_ref()?)))
}

/// The one currency of its prices.
fn currency(model: &ModelHeader) -> Option<&str> {
    let first = prices(model).next()?.1.currency.as_str();
    prices(model)
        .all(|(_, price)| price.currency == first)
        .then_some(first)
}

/// The cost of all replies; `None` without any, or as soon as one of them has no amount.
fn sum<'a>(model: &ModelHeader, trials: impl Iterator<Item = &'a TrialRecord>) -> Option<f64> {
    let replies = trials.flat_map(|trial| &trial.attempts);
    let mut amounts = replies
        .filter(|attempt| attempt.reply.is_some())
        .map(|attempt| {
            let leg = model.leg(&attempt.leg)?;
            match &leg.price {
                Some(price) => price.of_usage(&attempt.usage),
                None => leg.weights_sha256.as_ref().map(|_| 0.0),
            }
        })
        .peekable();
    amounts.peek()?;
    amounts.sum()
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
    use crate::types::probe::ProbeSet;
    use crate::types::{Constraint, Wire};

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

    fn probed(without_tokens: u64) -> ProbeSet {
        ProbeSet {
            model: "a".to_owned(),
            context_tokens: 4_096,
            wire: Wire::Chat,
            mechanism: None,
            results: Vec::new(),
            taken: ProbeLoad {
                requests: 8,
                without_tokens,
                prompt_tokens: 5_000,
                output_tokens: 200,
                ..ProbeLoad::default()
            },
        }
    }

    /// By hand: 5,000 · 1 + 200 · 10 = 7,000 millionths more; what told no tokens is named.
    #[test]
    fn probes_cost_too() {
        let mut run = priced("PFP");
        let amount = |run: &Run| {
            let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
            summary.header.cost.unwrap()
        };
        let before = amount(&run).amount;
        run.header.probes = vec![probed(0)];
        let cost = amount(&run);
        assert!((cost.amount - before - 0.007).abs() < 1e-12);
        assert_eq!(cost.probes.unwrap().taken.requests, 8);
        run.header.probes = vec![probed(1)];
        let cost = amount(&run);
        assert!((cost.amount - before).abs() < 1e-12);
        assert_eq!(cost.models_left_out, ["the probes of a"]);
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
