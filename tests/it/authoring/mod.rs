//! Writing suites: listings, starters, drafts from servers, cases from trials, the guide.

mod cases;
mod drafting;
mod guide;
mod listings;
mod mistakes;

use serde_json::Value;

use crate::support::Context;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A suite file as data.
fn yaml(context: &Context, name: &str) -> Value {
    let text = std::fs::read_to_string(context.path(name)).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn read(context: &Context, name: &str) -> String {
    std::fs::read_to_string(context.path(name)).unwrap()
}
