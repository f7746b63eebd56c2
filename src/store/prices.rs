//! The price table: names of models behind a network → what their tokens cost.
//!
//! Data in: the embedded `catalogue/prices.yaml`, then a user's file of the same name. Data out:
//! [`Price`]. Invariants: a price is found by a model's name as it was written, never by likeness;
//! each has a document and a date; names are unique in a file, and a user's row wins.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use super::catalogue::CatalogueError;
use crate::types::Price;

const BUILT_IN: &str = include_str!("../../catalogue/prices.yaml");
const FORMAT_VERSION: u32 = 1;
/// Name of the file in a catalogue folder.
pub(super) const FILE: &str = "prices.yaml";

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceFile {
    version: u32,
    currency: String,
    documents: BTreeMap<String, Document>,
    prices: Vec<Row>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    document: String,
    date: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    model: String,
    #[serde(default)]
    also: Vec<String>,
    input: f64,
    #[serde(default)]
    cached_input: Option<f64>,
    output: f64,
    #[serde(default)]
    most_prompt_tokens: Option<u32>,
    source: String,
}

/// Prices by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceTable {
    prices: BTreeMap<String, Price>,
}

impl PriceTable {
    /// The embedded table, extended by `prices.yaml` of a user's catalogue folder, where it is.
    pub fn with_user_folder(folder: &Path) -> Result<Self, CatalogueError> {
        let mut table = Self::parse(BUILT_IN, Path::new("(built in)"))?;
        let file = folder.join(FILE);
        match std::fs::read_to_string(&file) {
            Ok(text) => table.prices.extend(Self::parse(&text, &file)?.prices),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(CatalogueError {
                    file,
                    reason: error.to_string(),
                });
            }
        }
        Ok(table)
    }

    /// Reads one file.
    pub fn parse(text: &str, file: &Path) -> Result<Self, CatalogueError> {
        let wrong = |reason: String| CatalogueError {
            file: file.to_owned(),
            reason,
        };
        let parsed: PriceFile =
            serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if parsed.version != FORMAT_VERSION {
            return Err(wrong(format!(
                "version {} is not known; this toolbench reads version {FORMAT_VERSION}",
                parsed.version
            )));
        }
        let mut prices = BTreeMap::new();
        for row in parsed.prices {
            let source = parsed.documents.get(&row.source).ok_or_else(|| {
                wrong(format!(
                    "`{}` names no document: `{}`",
                    row.model, row.source
                ))
            })?;
            let amounts = [Some(row.input), row.cached_input, Some(row.output)];
            if !amounts
                .into_iter()
                .flatten()
                .all(|amount| amount.is_finite() && amount >= 0.0)
            {
                return Err(wrong(format!("the price of `{}` is no price", row.model)));
            }
            let price = Price {
                currency: parsed.currency.clone(),
                input_per_million: row.input,
                cached_input_per_million: row.cached_input,
                output_per_million: row.output,
                most_prompt_tokens: row.most_prompt_tokens,
                document: source.document.clone(),
                date: source.date.clone(),
            };
            for name in std::iter::once(row.model).chain(row.also) {
                if prices.insert(name.clone(), price.clone()).is_some() {
                    return Err(wrong(format!("`{name}` is named twice")));
                }
            }
        }
        Ok(Self { prices })
    }

    /// The price of a model, by its name as written.
    pub fn price(&self, name: &str) -> Option<&Price> {
        self.prices.get(name)
    }

    /// Adds a price of the user's own, which wins.
    pub fn insert(&mut self, name: &str, price: Price) {
        self.prices.insert(name.to_owned(), price);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_table_reads_and_says_where_each_price_stands() {
        let table = PriceTable::with_user_folder(Path::new("/nowhere")).unwrap();
        assert!(table.prices.len() >= 10);
        for (name, price) in &table.prices {
            assert!(
                name.contains(':'),
                "{name}: prices are of a provider's model"
            );
            assert!(
                !price.document.is_empty() && price.date.len() == 10,
                "{name}"
            );
            assert!(
                price.output_per_million >= price.input_per_million,
                "{name}"
            );
        }
        assert!(table.price("openai:gpt-5.4").is_some());
        assert_eq!(table.price("gpt-5.4"), None, "never by likeness");
    }

    #[test]
    fn mistakes_are_named() {
        let head = "version: 1\ncurrency: USD\ndocuments: {d: {document: a page, date: '2026-01-01'}}\nprices:\n";
        for (row, word) in [
            (
                "  - {model: a, input: 1, output: 2, source: e}",
                "names no document",
            ),
            (
                "  - {model: a, input: -1, output: 2, source: d}",
                "is no price",
            ),
            (
                "  - {model: a, also: [a], input: 1, output: 2, source: d}",
                "named twice",
            ),
            ("  - {model: a, input: 1, source: d}", "output"),
        ] {
            let error = PriceTable::parse(&format!("{head}{row}\n"), Path::new("p")).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
