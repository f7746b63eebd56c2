//! What continuous integration gets: structure, counts, and text that would break a parser.

use roxmltree::{Document, Node};

use super::super::tests::{awkward, export_of, written_as};
use super::*;
use crate::metrics::testing::{Run, key, repeated, sample};
use crate::types::Constraint;

fn elements<'a>(node: Node<'a, 'a>, name: &'a str) -> Vec<Node<'a, 'a>> {
    node.children().filter(|it| it.has_tag_name(name)).collect()
}

fn count(node: Node<'_, '_>, attribute: &str) -> usize {
    node.attribute(attribute).unwrap().parse().unwrap()
}

/// The shape of the usual schema (that of Jenkins' xunit plug-in, which Surefire's extends): names of
/// elements and attributes, their order, and counts that add up.
fn check_shape(text: &str) {
    let document = Document::parse(text).unwrap();
    let root = document.root_element();
    assert!(root.has_tag_name("testsuites"));
    let mut sums = [0; 4];
    for suite in root.children().filter(Node::is_element) {
        assert!(suite.has_tag_name("testsuite"));
        assert!(suite.attribute("name").is_some_and(|name| !name.is_empty()));
        let names: Vec<&str> = suite
            .children()
            .filter(Node::is_element)
            .map(|child| child.tag_name().name())
            .collect();
        let cases = elements(suite, "testcase");
        let mut expected = vec!["testcase"; cases.len()];
        if names.first() == Some(&"properties") {
            expected.insert(0, "properties");
        }
        assert_eq!(names, expected);
        let with = |name: &str| {
            let has = |case: &&Node<'_, '_>| case.children().any(|it| it.has_tag_name(name));
            cases.iter().filter(has).count()
        };
        let found = [
            ("tests", cases.len()),
            ("failures", with("failure")),
            ("errors", with("error")),
            ("skipped", with("skipped")),
        ];
        for (index, (attribute, value)) in found.into_iter().enumerate() {
            assert_eq!(count(suite, attribute), value, "{attribute}");
            sums[index] += value;
        }
        for case in cases {
            assert!(case.attribute("name").is_some() && case.attribute("classname").is_some());
            let status = case
                .children()
                .filter(|it| ["failure", "error", "skipped"].contains(&it.tag_name().name()));
            assert!(status.count() <= 1);
            for child in case.children().filter(Node::is_element) {
                let name = child.tag_name().name();
                let known = [
                    "properties",
                    "failure",
                    "error",
                    "skipped",
                    "flakyFailure",
                    "rerunFailure",
                    "system-out",
                    "system-err",
                ];
                assert!(known.contains(&name), "{name}");
                if name.contains("ailure") || name == "error" {
                    assert!(child.attribute("type").is_some_and(|code| !code.is_empty()));
                }
            }
        }
    }
    for (attribute, sum) in ["tests", "failures", "errors", "skipped"].iter().zip(sums) {
        assert_eq!(count(root, attribute), sum, "{attribute} of all");
    }
}

#[test]
fn every_run_has_the_usual_shape() {
    for run in [sample(), repeated(), awkward(), Run::new()] {
        check_shape(&written_as("junit", &run));
    }
}

#[test]
fn golden() {
    insta::assert_snapshot!("junit_awkward", written_as("junit", &awkward()));
    insta::assert_snapshot!("junit_repeated", written_as("junit", &repeated()));
}

/// One of each outcome: only the model's own are failures.
#[test]
fn blame_is_kept_apart() {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Off), "PFMVITHN.R");
    let case = |number: usize| crate::types::Case {
        id: format!("case-{number:02}"),
        ..crate::types::Case::default()
    };
    run.header.suites = vec![crate::types::Suite {
        suite: "quick".to_owned(),
        cases: (1..=10).map(case).collect(),
        ..crate::types::Suite::default()
    }];
    let text = written_as("junit", &run);
    check_shape(&text);
    let document = Document::parse(&text).unwrap();
    let suite = elements(document.root_element(), "testsuite")[0];
    let status: Vec<&str> = elements(suite, "testcase")
        .into_iter()
        .map(|case| {
            let found = case
                .children()
                .filter(Node::is_element)
                .find(|it| ["failure", "error", "skipped"].contains(&it.tag_name().name()));
            found.map_or("passed", |it| it.tag_name().name())
        })
        .collect();
    assert_eq!(
        status,
        [
            "passed", "failure", "failure", "error", "error", "error", "skipped", "passed",
            "skipped", "passed"
        ]
    );
    let properties = elements(elements(suite, "properties")[0], "property");
    let named: Vec<&str> = properties
        .iter()
        .filter_map(|it| it.attribute("name"))
        .collect();
    for name in [
        "model",
        "dialect",
        "constraint",
        "variant",
        "tier",
        "plan_hash",
    ] {
        assert!(named.contains(&name), "{name}");
    }
}

#[test]
fn a_flaky_case_has_passed_with_each_failure_beside_it() {
    let mut run = Run::new();
    for (trial, script) in ["PF", "FF", "PF"].iter().enumerate() {
        run.trial_of_cell(&key("m", Constraint::Off), trial as u32, script);
    }
    let text = written_as("junit", &run);
    check_shape(&text);
    let document = Document::parse(&text).unwrap();
    let suite = elements(document.root_element(), "testsuite")[0];
    let cases = elements(suite, "testcase");
    assert_eq!(elements(cases[0], "flakyFailure").len(), 1);
    assert!(elements(cases[0], "failure").is_empty());
    assert_eq!(elements(cases[1], "failure").len(), 1);
    assert_eq!(elements(cases[1], "rerunFailure").len(), 2);
}

#[test]
fn code_and_pointer_stand_in_the_message() {
    let mut run = Run::new();
    run.cell(&key("m", Constraint::Off), "F");
    let found = &mut run.trials[0].violations[0];
    found.pointer = Some("/city".to_owned());
    found.tool = Some("weather.get".to_owned());
    "\"Oslo\"\nis not \"Bergen\" & <co>".clone_into(&mut found.message);
    let text = written_as("junit", &run);
    let document = Document::parse(&text).unwrap();
    let failure = document
        .descendants()
        .find(|it| it.has_tag_name("failure"))
        .unwrap();
    assert_eq!(
        failure.attribute("message"),
        Some("wrong_value at /city of weather.get: \"Oslo\" is not \"Bergen\" & <co>")
    );
    assert_eq!(failure.attribute("type"), Some("wrong_value"));
}

/// Every character that a reply may hold, and what would end a section of text.
#[test]
fn any_text_is_valid_xml_and_nothing_is_lost_unseen() {
    let mut every: String = (0..=0x2100_u32).filter_map(char::from_u32).collect();
    every.push_str("\u{fffe}\u{ffff}\u{1b}[31mred\u{1b}[0m ]]> <![CDATA[ &amp; \u{10ffff}");
    let mut run = Run::new();
    run.cell(&key("m\u{1}", Constraint::Off), "FF");
    run.trials[0].violations[0].message.clone_from(&every);
    run.trials[1].case.push_str(&every);
    let text = written_as("junit", &run);
    check_shape(&text);
    let document = Document::parse(&text).unwrap();
    let failure = document
        .descendants()
        .find(|it| it.has_tag_name("failure"))
        .unwrap();
    let shown = failure.text().unwrap();
    for part in [
        "\\u{0}",
        "\\u{1b}[31mred",
        "\\u{7f}",
        "\\u{ffff}",
        "]]> <![CDATA[ &amp;",
        "\\t",
        "\\r",
    ] {
        assert!(shown.contains(part), "{part}");
    }
}

#[test]
fn a_cell_that_could_not_run_is_there() {
    let text = written_as("junit", &sample());
    assert!(
        text.contains("24 cases not run: its chat template has no form for tools"),
        "{text}"
    );
    assert_eq!(report(&export_of(&sample())).errors, 1, "the crashed trial");
}
