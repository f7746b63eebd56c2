//! Prices of a run's models: the catalogue's table, and what the configuration files say.

use super::context::App;
use super::error::CliError;
use super::exit_code::Status;
use crate::config::{ConfigFile, PriceRow, Resolved};
use crate::store::PriceTable;
use crate::types::Price;

/// All prices known here: built in, then the user's folder, the user's file, the project's file.
pub(super) fn table(app: &App, resolved: &Resolved) -> Result<PriceTable, CliError> {
    let folder = app.data_folder(resolved).join("catalogue");
    let mut table = PriceTable::with_user_folder(&folder).map_err(|error| {
        CliError::usage(error.to_string())
            .kind("config", Status::Usage)
            .hint("compare it with the built-in catalogue/prices.yaml")
    })?;
    for file in [&app.user, &app.project] {
        for (name, row) in &file.prices {
            table.insert(name, own_price(row));
        }
    }
    Ok(table)
}

fn own_price(row: &PriceRow) -> Price {
    let text = |value: &Option<String>, other: &str| value.clone().unwrap_or(other.to_owned());
    Price {
        currency: text(&row.currency, "USD"),
        input_per_million: row.input,
        cached_input_per_million: row.cached_input,
        output_per_million: row.output,
        most_prompt_tokens: row.most_prompt_tokens,
        document: text(&row.document, "the configuration file"),
        date: text(&row.date, "undated"),
    }
}

/// The price of a model by the name it was given, or by what that name stands for.
pub(super) fn of_model(app: &App, table: &PriceTable, name: &str) -> Option<Price> {
    let source = |file: &ConfigFile| file.models.get(name).map(|alias| alias.source.clone());
    let source = source(&app.project).or_else(|| source(&app.user));
    table
        .price(name)
        .or_else(|| table.price(source.as_deref()?))
        .cloned()
}
