//! What `suite list` and `suite show` say.

use serde_json::Value;

use super::json;
use crate::support::{Context, TINY_SUITE, stderr, stdout};

#[test]
fn listings_count_what_the_filters_leave() {
    let context = Context::new();
    let all = json(&context.expect(0, &["suite", "list", "--format", "json"]));
    let sum = |rows: &Value| -> u64 {
        let rows = rows.as_array().unwrap();
        rows.iter().map(|row| row["cases"].as_u64().unwrap()).sum()
    };
    for row in all.as_array().unwrap() {
        let levels = row["difficulties"].as_object().unwrap().values();
        let categories = row["categories"].as_object().unwrap().values();
        let total = |values: serde_json::map::Values| -> u64 {
            values.map(|value| value.as_u64().unwrap()).sum()
        };
        assert_eq!(total(levels), row["cases"].as_u64().unwrap(), "{row}");
        assert_eq!(total(categories), row["cases"].as_u64().unwrap(), "{row}");
    }
    let mut parts = 0;
    for level in ["easy", "medium", "hard"] {
        let some = context.expect(
            0,
            &["suite", "list", "--difficulty", level, "--format", "json"],
        );
        let some = json(&some);
        for row in some.as_array().unwrap() {
            assert_eq!(row["difficulties"][level], row["cases"], "{row}");
        }
        parts += sum(&some);
    }
    assert_eq!(parts, sum(&all));
    let both = [
        "suite",
        "list",
        "--category",
        "abstain,recovery",
        "--difficulty",
        "medium",
        "--format",
        "json",
    ];
    for row in json(&context.expect(0, &both)).as_array().unwrap() {
        let categories = row["categories"].as_object().unwrap();
        assert!(
            categories
                .keys()
                .all(|name| name == "abstain" || name == "recovery"),
            "{row}"
        );
        assert_eq!(row["difficulties"]["hard"], 0);
    }
    let table = context.expect(0, &["suite", "list"]);
    assert!(
        table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
    let error = context.expect_error(5, &["suite", "list", "--category", "abstian"]);
    assert!(error.contains("did you mean `abstain`"), "{error}");
}

#[test]
fn one_broken_file_hides_no_other_suite() {
    let context = Context::new();
    context.write(
        ".config/toolbench/suites/mine.yaml",
        &TINY_SUITE.replace("suite: tiny", "suite: mine"),
    );
    context.write(".config/toolbench/suites/broken.yaml", "suite: [");
    let output = context.run(&["suite", "list"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("\nmine "), "{}", stdout(&output));
    assert!(
        stderr(&output).contains("broken.yaml:1:"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_case_is_told_in_words() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let text = context.expect(0, &["suite", "show", "tiny.yaml", "t-*"]);
    for needle in [
        "t-alarm (state, medium, suite tiny)",
        "wake me at seven",
        "one call, then an answer:",
        "hour: 7",
        "the tools' state in the end is: an object with at least {alarms: [7]}",
        "t-thanks (small-talk, easy, suite tiny)",
        "nothing is called",
        "why: nothing to do",
    ] {
        assert!(text.contains(needle), "{needle}\n{text}");
    }
    let short = context.expect(0, &["suite", "show", "tiny.yaml", "--difficulty", "medium"]);
    assert!(
        short.contains("t-alarm") && !short.contains("t-time"),
        "{short}"
    );
    let picked = ["suite", "show", "tiny.yaml", "t-time", "--format", "json"];
    let picked = json(&context.expect(0, &picked));
    assert_eq!(picked[0]["cases"].as_array().unwrap().len(), 1);
    let error = context.expect_error(5, &["suite", "show", "tiny.yaml", "t-tme"]);
    assert!(error.contains("did you mean `t-time`"), "{error}");
    context.expect_error(
        5,
        &[
            "suite",
            "show",
            "tiny.yaml",
            "t-time",
            "--difficulty",
            "hard",
        ],
    );
}
