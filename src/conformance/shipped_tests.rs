//! The tools of every shipped suite under their grammars.

use serde_json::json;

use super::walk::{Walk, walk};
use super::{ByteTable, SchemaCheck};
use crate::dialect::closed_schema::Root;
use crate::suite::Library;

#[test]
fn tools_of_shipped_suites_are_held_but_for_bounds() {
    let table = ByteTable::new().unwrap();
    let library = Library::default();
    let mut tools = 0;
    for name in library.names().keys() {
        for suite in library.load(name).unwrap() {
            for tool in &suite.tools {
                tools += 1;
                let place = format!("{name}: {}", tool.name);
                let check = SchemaCheck::new(&table, &tool.input_schema, Root::Arguments);
                let grammar = check
                    .grammar
                    .as_ref()
                    .unwrap_or_else(|reason| panic!("{place}: {reason}"));
                assert!(
                    check
                        .loosened()
                        .iter()
                        .all(crate::dialect::closed_schema::Loosened::is_bound),
                    "{place}: {:?}",
                    check.loosened()
                );
                let validator = check.validator.as_ref().unwrap();
                for seed in 0..4 {
                    let Walk::Text(text) = walk(grammar, seed) else {
                        continue;
                    };
                    let value = serde_json::from_str(&text).unwrap_or(json!({}));
                    let inexact = text.contains(['e', 'E']) || text.len() > 400;
                    assert!(
                        validator.is_valid(&value) || inexact || !check.loosened().is_empty(),
                        "{place}: {text}"
                    );
                }
            }
        }
    }
    assert!(tools > 10, "{tools}");
}
