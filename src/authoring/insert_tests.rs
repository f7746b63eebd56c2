//! Lists in every style, and what must stay as it is.

use super::*;
use serde_json::json;

fn added(text: &str) -> String {
    append(text, &["cases"], &json!({"id": "new", "x": 1}), "why\nhere")
        .unwrap_or_else(|reason| panic!("{reason}: {text}"))
}

#[test]
fn block_lists_keep_their_style_and_everything_else() {
    let text = "# top\nsuite: a # name\ncases:\n  # first\n  - id: one   # odd   spacing\n    user: |+\n      hi\n\n  - {id: two}\n    # tail of two\n\n# end\nmock: {}\n";
    assert_eq!(
        added(text),
        text.replace(
            "    # tail of two\n",
            "    # tail of two\n\n  # why\n  # here\n  - id: new\n    x: 1\n"
        )
    );
    // Dashes at the margin, no line end at the end.
    assert_eq!(
        added("cases:\n- id: one"),
        "cases:\n- id: one\n# why\n# here\n- id: new\n  x: 1\n"
    );
    // Items with an empty line between them.
    assert_eq!(
        added("cases:\n  - a: 1\n\n  - a: 2\n"),
        "cases:\n  - a: 1\n\n  - a: 2\n\n  # why\n  # here\n  - id: new\n    x: 1\n"
    );
    // A text that keeps the empty lines behind it.
    let kept = "cases:\n  - a: |+\n      x\n\n\nz: 1\n";
    assert_eq!(
        added(kept),
        kept.replace("z: 1", "  # why\n  # here\n  - id: new\n    x: 1\nz: 1")
    );
}

#[test]
fn lists_in_brackets_json_and_line_ends_too() {
    assert_eq!(
        added("suite: a\ncases: [{id: 'it''s ]', b: \"]\\\"\"} ] # x\n"),
        "suite: a\ncases: [{id: 'it''s ]', b: \"]\\\"\"}, {\"id\":\"new\",\"x\":1} ] # x\n"
    );
    assert_eq!(added("cases: []\n"), "cases: [{\"id\":\"new\",\"x\":1}]\n");
    let pretty =
        "{\n  \"suite\": \"a\",\n  \"cases\": [\n    {\n      \"id\": \"one\"\n    }\n  ]\n}\n";
    assert_eq!(
        added(pretty),
        pretty.replace(
            "    }\n  ]",
            "    },\n    {\n      \"id\": \"new\",\n      \"x\": 1\n    }\n  ]"
        )
    );
    let crlf = "suite: a\r\ncases:\r\n  - id: one\r\nmock: {}\r\n";
    assert_eq!(
        added(crlf),
        "suite: a\r\ncases:\r\n  - id: one\r\n  # why\r\n  # here\r\n  - id: new\r\n    x: 1\r\nmock: {}\r\n"
    );
}

#[test]
fn absent_and_empty_lists_are_begun() {
    assert_eq!(
        added("suite: a\n"),
        "suite: a\ncases:\n  # why\n  # here\n  - id: new\n    x: 1\n"
    );
    assert_eq!(
        added("cases:\nsuite: a\n"),
        "cases:\n  # why\n  # here\n  - id: new\n    x: 1\nsuite: a\n"
    );
    let rules = append(
        "mock:\n  rules:\n    - a: 1\ncases: []\n",
        &["mock", "rules"],
        &json!({"b": 2}),
        "",
    );
    assert_eq!(
        rules.unwrap(),
        "mock:\n  rules:\n    - a: 1\n    - b: 2\ncases: []\n"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    for (text, path) in [
        ("a: [", vec!["cases"]),
        ("cases: 3\n", vec!["cases"]),
        ("cases: {a: 1}\n", vec!["cases"]),
        ("{\"suite\": \"a\"}", vec!["cases"]),
        ("mock: {state: 1}\n", vec!["mock", "rules"]),
        ("x: &l\n  - 1\ncases: *l\n", vec!["cases"]),
    ] {
        assert!(append(text, &path, &json!(1), "").is_err(), "{text}");
    }
}

#[test]
fn every_shipped_suite_takes_a_case_and_a_rule() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("suites");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let new = added(&text);
        assert!(keeps(&new, &text), "{:?}", entry.path());
        if text.contains("\nmock:\n") {
            append(
                &new,
                &["mock", "rules"],
                &json!({"tool": "x", "reply": "y"}),
                "z",
            )
            .unwrap();
            count += 1;
        }
    }
    assert!(count >= 3);
}
