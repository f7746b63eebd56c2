//! What a run may take and what of it is recorded, from settings and prices.
//!
//! Data in: settings, models, the resumed run. Data out: the runner's [`Limits`], the record's
//! [`Private`]. Invariants: a budget holds only where every model that is paid for has a price, in one
//! currency; a resumed run keeps the prices, the retention and the redaction it was started with.

use super::super::{App, CliError, Status};
use super::models::RunModel;
use super::resume::Resumed;
use crate::cli::prices;
use crate::config::{Resolved, Settings};
use crate::record::format::{Header, PrivacyHeader};
use crate::record::{Private, Redactor, Retain};
use crate::runner::{Limits, Meter, ModelPrices};
use crate::types::Price;
use crate::types::probe::ProbeSet;

/// Prices of the models in order, with those of their legs; none where a model costs nothing that a
/// table could say.
pub(super) fn prices(
    app: &App,
    resolved: &Resolved,
    models: &[RunModel],
    resumed: Option<&Resumed>,
) -> Result<Vec<ModelPrices>, CliError> {
    if let Some(resumed) = resumed {
        let of_model = |model: &RunModel| {
            let mut headers = resumed.run.header.models.iter();
            let header = headers.find(|header| header.name == model.name);
            let legs = header.into_iter().flat_map(|header| &header.legs);
            ModelPrices {
                own: header.and_then(|header| header.price.clone()),
                legs: legs
                    .map(|leg| (leg.name.clone(), leg.price.clone()))
                    .collect(),
            }
        };
        return Ok(models.iter().map(of_model).collect());
    }
    let table = prices::table(app, resolved)?;
    let of_name = |name: &str| prices::of_model(app, &table, name);
    let of_model = |model: &RunModel| match &model.hybrid {
        None => ModelPrices {
            own: of_name(&model.name),
            legs: Vec::new(),
        },
        Some(hybrid) => {
            let legs = hybrid.legs.iter();
            ModelPrices {
                own: None,
                legs: legs
                    .map(|leg| (leg.name.clone(), of_name(&leg.name)))
                    .collect(),
            }
        }
    };
    Ok(models.iter().map(of_model).collect())
}

/// The probes of a resumed run, counted as what an earlier execution took.
pub(super) fn recall_probes(header: &Header, meter: &Meter) -> Vec<ProbeSet> {
    for set in &header.probes {
        let models = header.models.iter();
        let mut all = models.flat_map(|model| std::iter::once(model).chain(&model.legs));
        let price = all.find_map(|model| model.price.as_ref().filter(|_| model.name == set.model));
        meter.probed(set, price);
    }
    header.probes.clone()
}

/// Each thing that may cost, with its price: models, or the legs of hybrids.
pub(super) fn priced<'a>(
    models: &'a [RunModel],
    prices: &'a [ModelPrices],
) -> Vec<(&'a RunModel, Option<&'a Price>)> {
    let mut found = Vec::new();
    for (model, prices) in models.iter().zip(prices) {
        match &model.hybrid {
            None => found.push((model, prices.own.as_ref())),
            Some(hybrid) => {
                let legs = hybrid.legs.iter().zip(&prices.legs);
                found.extend(legs.map(|(leg, (_, price))| (leg, price.as_ref())));
            }
        }
    }
    found
}

/// The runner's limits.
pub(super) fn limits(
    settings: &Settings,
    models: &[RunModel],
    prices: Vec<ModelPrices>,
) -> Result<Limits, CliError> {
    let wanted = &settings.limits;
    let of_money = [
        ("--budget", wanted.budget),
        ("--trial-cost", settings.rules.limits.cost),
    ];
    for (flag, _) in of_money.into_iter().filter(|(_, amount)| amount.is_some()) {
        check_prices(flag, models, &prices)?;
    }
    Ok(Limits {
        time_ms: wanted.time_ms,
        tokens: wanted.tokens,
        requests: wanted.requests,
        budget: wanted.budget,
        failures: wanted.failures,
        infra_in_a_row: wanted.infra_in_a_row,
        prices,
    })
}

/// Weights on this machine cost nothing by the token; every other model needs its price.
fn check_prices(flag: &str, models: &[RunModel], prices: &[ModelPrices]) -> Result<(), CliError> {
    let unpriced = priced(models, prices)
        .into_iter()
        .find(|(model, price)| price.is_none() && model.sha256.is_none());
    if let Some((model, _)) = unpriced {
        return Err(CliError::usage(format!(
            "`{flag}` cannot hold: no price is known for `{}`",
            model.name
        ))
        .hint(format!(
            "state it in toolbench.toml: [prices.\"{}\"] input = 1.0, output = 2.0 (for a million tokens; 0 where it costs nothing), or use `--limit-tokens`",
            model.name
        )));
    }
    let mut currencies: Vec<&str> = prices
        .iter()
        .flat_map(ModelPrices::known)
        .map(|price| price.currency.as_str())
        .collect();
    currencies.sort_unstable();
    currencies.dedup();
    if currencies.len() > 1 {
        return Err(CliError::usage(format!(
            "`{flag}` cannot hold: the prices are in {}",
            currencies.join(" and ")
        ))
        .hint("state all prices in one currency"));
    }
    Ok(())
}

/// What is recorded of the content; refused where a resumed run was begun otherwise.
pub(super) fn private(settings: &Settings, resumed: Option<&Resumed>) -> Result<Private, CliError> {
    let private = compiled(&settings.retain, &settings.redact)?;
    let Some(resumed) = resumed else {
        return Ok(private);
    };
    let everything = PrivacyHeader {
        retain: Retain::Full,
        patterns: Vec::new(),
    };
    let header = &resumed.run.header;
    let then = header.privacy.as_ref().unwrap_or(&everything);
    if then.retain != private.retain {
        return Err(CliError::usage(format!(
            "run `{}` was begun with `--retain {}` and cannot go on with `--retain {}`",
            header.run,
            then.retain.as_str(),
            private.retain.as_str()
        ))
        .hint("leave `--retain` out, or start a new run"));
    }
    if then.patterns != private.redactor.hashes() {
        return Err(CliError::usage(format!(
            "run `{}` was begun with {} redaction patterns, and these are not the same {}",
            header.run,
            then.patterns.len(),
            private.redactor.len()
        ))
        .hint("the record keeps only their hashes: give the same `--redact` in the same order"));
    }
    Ok(private)
}

/// Retention and patterns as given.
pub(in crate::cli) fn compiled(retain: &str, patterns: &[String]) -> Result<Private, CliError> {
    Ok(Private {
        retain: retain.parse().map_err(|message: String| CliError::usage(message))?,
        redactor: Redactor::new(patterns).map_err(|message| {
            CliError::usage(message).kind("config", Status::Usage).hint(
                "a pattern is a regular expression, such as `sk-[A-Za-z0-9]+`; escape `.`, `(` and the like with a backslash",
            )
        })?,
    })
}
