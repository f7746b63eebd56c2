//! Which change between two sides is named, and which refuses.

use super::*;

fn cell(model: &str, dialect: &str, tier: &str) -> CellFact {
    CellFact {
        cell: format!("{model} · {dialect} · off · {tier}"),
        model: model.to_owned(),
        dialect: dialect.to_owned(),
        constraint: "off".to_owned(),
        variant: "default".to_owned(),
        tier: tier.to_owned(),
        ..CellFact::default()
    }
}

fn side(cells: Vec<CellFact>, cases: &[(&str, &str)]) -> Snapshot {
    let first = cells.first().map(|it| it.cell.clone()).unwrap_or_default();
    Snapshot {
        cases: cases
            .iter()
            .map(|(case, asked)| CaseLine {
                case: (*case).to_owned(),
                cell: first.clone(),
                asked: (*asked).to_owned(),
                trials: "P".to_owned(),
                ..CaseLine::default()
            })
            .collect(),
        cells,
        ..Snapshot::default()
    }
}

fn labels(then: &Snapshot, now: &Snapshot) -> Vec<(String, String)> {
    cell_pairs(then, now)
        .iter()
        .map(|pair| (pair.then.cell.clone(), pair.now.cell.clone()))
        .collect()
}

#[test]
fn cells_pair_by_what_they_are_and_single_models_whatever_their_name() {
    let json = |model| cell(model, "json", "here");
    let one = side(vec![json("a"), cell("a", "react", "here")], &[]);
    let renamed = side(vec![json("b"), cell("b", "native", "here")], &[]);
    assert_eq!(labels(&one, &renamed), [(json("a").cell, json("b").cell)]);
    let two = side(vec![json("a"), json("c")], &[]);
    assert_eq!(
        labels(&two, &renamed),
        [],
        "which of the two it was is not known"
    );
    assert_eq!(labels(&two, &one), [(json("a").cell, json("a").cell)]);
}

#[test]
fn cells_keep_to_their_tier_where_there_is_a_choice() {
    let then = side(
        vec![cell("a", "json", "gpu"), cell("a", "json", "cpu")],
        &[],
    );
    let now = side(vec![cell("a", "json", "cpu")], &[]);
    let cpu = cell("a", "json", "cpu").cell;
    assert_eq!(labels(&then, &now), [(cpu.clone(), cpu)]);
    let elsewhere = side(vec![cell("a", "json", "other")], &[]);
    assert_eq!(labels(&then, &elsewhere), []);
    let only = side(vec![cell("a", "json", "gpu")], &[]);
    assert_eq!(labels(&only, &elsewhere).len(), 1);
}

#[test]
fn cases_are_unchanged_changed_added_or_gone() {
    let cells = || vec![cell("a", "json", "here")];
    let then = side(cells(), &[("s/a", "1"), ("s/b", "1"), ("s/c", "1")]);
    let now = side(cells(), &[("s/a", "1"), ("s/b", "2"), ("s/d", "1")]);
    let sets = case_sets(&then, &now);
    assert_eq!(sets.unchanged, 1);
    assert_eq!(
        (sets.changed, sets.added, sets.removed),
        (
            vec!["s/b".to_owned()],
            vec!["s/d".to_owned()],
            vec!["s/c".to_owned()]
        )
    );
    let mut drawn = now;
    drawn.about.filters = vec!["case=s/*".to_owned()];
    let sets = case_sets(&then, &drawn);
    assert_eq!(
        (sets.not_drawn, sets.removed.len()),
        (1, 0),
        "left out is not gone"
    );
    let sets = case_sets(&drawn, &then);
    assert_eq!((sets.not_in_baseline, sets.added.len()), (1, 0));
}

#[test]
fn what_a_redacted_record_keeps_is_no_change() {
    let fact = |system: &str| SuiteFact {
        suite: "s".to_owned(),
        system: Some(system.to_owned()),
        ..SuiteFact::default()
    };
    let mut then = side(vec![cell("a", "json", "here")], &[]);
    let mut now = then.clone();
    then.suites = vec![fact("1")];
    now.suites = vec![fact("2")];
    let kinds = |then: &Snapshot, now: &Snapshot| -> Vec<ChangeKind> {
        let pairs = cell_pairs(then, now);
        changes(then, now, &pairs, &[])
            .iter()
            .map(|it| it.what)
            .collect()
    };
    assert_eq!(kinds(&then, &now), [ChangeKind::SystemPrompt]);
    now.about.retain = "none".to_owned();
    assert_eq!(kinds(&then, &now), []);
}
