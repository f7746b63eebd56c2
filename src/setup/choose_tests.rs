//! What is suggested as `--cell` names one row.

use super::*;
use crate::metrics::testing::{Run, key};
use crate::metrics::{SummaryOptions, latest_trials, summarise};
use crate::types::Constraint;

/// Rows that `--cell` would be offered, or the id of the cell that is chosen.
fn offered(run: &Run, asked: Option<&str>) -> Result<String, Vec<String>> {
    let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
    let trials = latest_trials(&run.trials);
    match choose(&run.header, &trials, &summary, asked, None) {
        Ok(cell) => Ok(cell.id.clone()),
        Err(ChooseError::Ambiguous { rows, .. } | ChooseError::Undecided { rows, .. }) => Err(rows),
        Err(error) => panic!("{error}"),
    }
}

/// Every row that is offered is one that can be chosen, and each another one.
fn assert_each_can_be_chosen(run: &Run, asked: Option<&str>) -> Vec<String> {
    let rows = offered(run, asked).expect_err("several rows");
    let mut chosen: Vec<String> = rows
        .iter()
        .map(|row| offered(run, Some(row)).unwrap_or_else(|rows| panic!("{row}: {rows:?}")))
        .collect();
    chosen.sort();
    chosen.dedup();
    assert_eq!(chosen.len(), rows.len(), "{rows:?}");
    rows
}

#[test]
fn variants_and_tiers_are_named_where_there_are_several() {
    let mut run = Run::new();
    for (variant, tier) in [
        ("default", "small"),
        ("terse", "small"),
        ("default", "large"),
    ] {
        let mut key = key("one", Constraint::Off);
        variant.clone_into(&mut key.variant);
        tier.clone_into(&mut key.tier);
        run.cell(&key, "PPPPFFFF");
    }
    for asked in [None, Some("one"), Some("json,off")] {
        let rows = assert_each_can_be_chosen(&run, asked);
        assert!(
            rows.contains(&"one,json,off,default,small".to_owned()),
            "{rows:?}"
        );
    }
}

#[test]
fn where_labels_do_not_tell_the_id_does() {
    let mut run = Run::new();
    for threads in ["2", "4"] {
        let mut key = key("one", Constraint::Off);
        key.settings
            .insert("threads".to_owned(), threads.to_owned());
        run.cell(&key, "PPPPFFFF");
    }
    // A label that is two things at once names neither.
    let mut odd = key("one", Constraint::Grammar);
    odd.variant = "off".to_owned();
    run.cell(&odd, "PPPPFFFF");
    assert_each_can_be_chosen(&run, None);
}

/// The first that is named is the one that people take.
#[test]
fn the_best_row_is_named_first() {
    let mut run = Run::new();
    let scripts = ["F".repeat(12), "PF".repeat(6), "P".repeat(8) + "FFFF"];
    for (model, script) in ["low", "middle", "high"].iter().zip(&scripts) {
        run.cell(&key(model, Constraint::Off), script);
    }
    // So near in time that none is left out for it.
    let rows = assert_each_can_be_chosen(&run, None);
    let order: Vec<&str> = rows
        .iter()
        .filter_map(|row| row.split(',').next())
        .collect();
    let wanted: Vec<&str> = ["high", "middle", "low"]
        .into_iter()
        .filter(|model| order.contains(model))
        .collect();
    assert_eq!(order, wanted);
    assert!(order.len() > 1, "{order:?}");
}

#[test]
fn without_a_decidable_row_all_are_named() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), "PPI")
        .cell(&key("two", Constraint::Off), "IIP");
    let rows = assert_each_can_be_chosen(&run, None);
    assert_eq!(rows, ["one,json,off", "two,json,off"]);
}
