//! What a snapshot keeps of a run.

use super::*;
use crate::metrics::testing::{Run, key};
use crate::record::format::ToolServerHeader;
use crate::types::Constraint;

#[test]
fn a_trial_is_a_letter() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "PRFMVITHNU.");
    let found = Snapshot::of_run(&run.header, &run.trials);
    let letters: String = found.cases.iter().map(|it| it.trials.as_str()).collect();
    assert_eq!(letters, "PRFF----PF");
    assert_eq!(found.cases[3].codes, ["malformed_json"]);
    assert_eq!(
        found.cases[4].codes,
        [] as [&str; 0],
        "what was not scored has no code"
    );
    assert_eq!(found.cases[0].case, "quick/case-01");
    assert_eq!(found.cases[0].cell, "a · json · off");
    assert_eq!(found.cases[0].suite(), "quick");
}

#[test]
fn trials_stand_at_their_index_and_the_last_line_counts() {
    let mut run = Run::new();
    let cell = key("a", Constraint::Off);
    run.trial_of_cell(&cell, 0, "PF");
    run.trial_of_cell(&cell, 1, ".P");
    run.trial_of_cell(&cell, 2, "FP");
    run.superseded(
        0,
        crate::types::Outcome::of_code(crate::types::Code::WrongValue),
    );
    let found = Snapshot::of_run(&run.header, &run.trials);
    let letters: Vec<&str> = found.cases.iter().map(|it| it.trials.as_str()).collect();
    assert_eq!(letters, ["P-F", "FPP"]);
    assert_eq!(found.cases[0].counts(), (1, 2));
    assert_eq!(found.cases[1].share(), Some(2.0 / 3.0));
}

#[test]
fn the_order_of_lines_and_cells_is_no_difference() {
    let build = |flipped: bool| {
        let mut run = Run::new();
        let mut cells = [key("a", Constraint::Off), key("b", Constraint::Grammar)];
        if flipped {
            cells.reverse();
        }
        for cell in &cells {
            run.cell(cell, "PF");
        }
        if flipped {
            run.trials.reverse();
        }
        Snapshot::of_run(&run.header, &run.trials)
    };
    assert_eq!(build(false), build(true));
}

#[test]
fn tiers_are_named_where_there_are_several() {
    let mut run = Run::new();
    let mut other = key("a", Constraint::Off);
    other.tier = "gpu".to_owned();
    run.cell(&key("a", Constraint::Off), "P");
    run.cell(&other, "F");
    let found = Snapshot::of_run(&run.header, &run.trials);
    let labels: Vec<&str> = found.cells.iter().map(|it| it.cell.as_str()).collect();
    assert_eq!(
        labels,
        ["a · json · off · cpu-small", "a · json · off · gpu"]
    );
}

#[test]
fn only_greedy_routes_that_repeat_themselves_are_exact() {
    let mut run = Run::new();
    run.cell(&key("a", Constraint::Off), "P");
    let exact = |run: &Run| Snapshot::of_run(&run.header, &run.trials).cells[0].deterministic;
    assert!(!exact(&run), "nobody said that it repeats itself");
    run.header.models[0].facts.deterministic_when_greedy = true;
    assert!(exact(&run));
    run.header.variants[0].sampling.temperature = 0.7;
    assert!(!exact(&run));
}

#[test]
fn a_live_tool_server_leaves_nothing_exact() {
    let exact = |run: &Run| Snapshot::of_run(&run.header, &run.trials).cells[0].deterministic;
    let greedy = || {
        let mut run = Run::new();
        run.cell(&key("a", Constraint::Off), "P");
        run.header.models[0].facts.deterministic_when_greedy = true;
        run
    };
    assert!(exact(&greedy()));
    let mut given = greedy();
    given.header.tool_servers = vec![ToolServerHeader {
        name: "clock".to_owned(),
        address: "stdio clock-server".to_owned(),
        identity: None,
        protocol: None,
        drift: Vec::new(),
    }];
    assert!(!exact(&given), "a server of the command line");
    let live = || Suite {
        suite: "live".to_owned(),
        server: Some(crate::types::server::Server::default()),
        ..Suite::default()
    };
    let mut other = greedy();
    other.header.suites = vec![live()];
    assert!(exact(&other), "another suite's server");
    // The row of both suites, whichever comes first.
    for live_first in [false, true] {
        let mut both = greedy();
        both.header.suites = vec![live()];
        let mut cell = key("a", Constraint::Off);
        cell.suite = "live".to_owned();
        both.cell(&cell, "P");
        if live_first {
            both.header.cells.reverse();
        }
        assert_eq!(Snapshot::of_run(&both.header, &both.trials).cells.len(), 1);
        assert!(!exact(&both), "{live_first}");
    }
}

#[test]
fn a_tool_has_hashes_of_its_parts() {
    let tool = |description: &str, argument: &str| -> ToolFact {
        let mut run = Run::new();
        run.header.suites = vec![Suite {
            suite: "s".to_owned(),
            tools: vec![
                serde_json::from_value(serde_json::json!({
                    "name": "t", "description": description,
                    "inputSchema": {"type": "object", "properties": {"zone": {"type": argument}}},
                }))
                .unwrap(),
            ],
            ..Suite::default()
        }];
        Snapshot::of_run(&run.header, &run.trials).tools.remove(0)
    };
    let (one, two) = (tool("a", "string"), tool("a", "number"));
    let names: Vec<&str> = one.parts.keys().map(String::as_str).collect();
    assert_eq!(names, ["argument zone", "description", "inputSchema"]);
    let same = |part: &str| one.parts[part] == two.parts[part];
    assert!(same("description") && same("inputSchema") && !same("argument zone"));
}
