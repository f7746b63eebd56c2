//! Every operator, on values it accepts and values it refuses.

use super::*;
use serde_json::json;

#[expect(
    clippy::needless_pass_by_value,
    reason = "reads better in the table below"
)]
fn check(matcher: Value, yes: &[Value], no: &[Value]) {
    let parsed = Matcher::try_from(matcher.clone()).unwrap();
    for value in yes {
        assert!(parsed.matches(value), "{matcher} should accept {value}");
    }
    for value in no {
        assert!(!parsed.matches(value), "{matcher} should refuse {value}");
    }
    assert_eq!(
        Matcher::try_from(Value::from(parsed.clone())).unwrap(),
        parsed
    );
}

#[test]
fn every_operator() {
    check(
        json!(1),
        &[json!(1), json!(1.0)],
        &[json!("1"), json!(true), json!(1.5)],
    );
    check(
        json!("Berlin"),
        &[json!("Berlin")],
        &[json!("berlin"), json!("Berlin ")],
    );
    check(json!([1, 2]), &[json!([1.0, 2])], &[json!([2, 1])]);
    check(
        json!({"equals": {"a": 1}}),
        &[json!({"a": 1.0})],
        &[json!({"a": 1, "b": 2})],
    );
    check(
        json!({"any_of": ["a", 2]}),
        &[json!("a"), json!(2)],
        &[json!("b")],
    );
    check(
        json!({"all_of": [{"contains": "x"}, {"not": "xx"}]}),
        &[json!("ax")],
        &[json!("xx"), json!("a")],
    );
    check(
        json!({"text": "New  York"}),
        &[json!("new york."), json!(" NEW YORK")],
        &[json!("newyork")],
    );
    check(
        json!({"contains": "?"}),
        &[json!("which city?")],
        &[json!("no"), json!("")],
    );
    check(
        json!({"contains": "Noon."}),
        &[json!("see you at  NOON, Ada")],
        &[json!("none")],
    );
    check(
        json!({"words": "April 1, 2024 at St. John's"}),
        &[
            json!("april 1 2024 at St John\u{2019}s"),
            json!("April-1/2024 at st_john's."),
        ],
        &[json!("April 12024 at St Johns"), json!("April 1, 2024")],
    );
    check(
        json!({"words": "-1.5 x^2"}),
        &[json!("-1.5 x ^ 2")],
        &[json!("1.5 x^2"), json!("-15 x^2"), json!("-1.5 x2")],
    );
    check(
        json!({"regex": "[a-z]+-\\d"}),
        &[json!("job-1")],
        &[json!("job-12"), json!("xjob-")],
    );
    check(
        json!({"number": {"value": 2.5, "tolerance": 0.5}}),
        &[json!(3), json!(2.0)],
        &[json!(3.01), json!("3")],
    );
    check(
        json!({"instant": "2026-01-02T03:00:00Z"}),
        &[json!("2026-01-02T04:00:00+01:00")],
        &[json!("2026-01-02T03:00:01Z"), json!("soon")],
    );
    check(
        json!({"instant": "2026-01-02"}),
        &[json!("2026-01-02")],
        &[json!("2026-01-03")],
    );
    check(
        json!({"schema": {"type": "integer"}}),
        &[json!(3)],
        &[json!("3")],
    );
    check(
        json!({"subset": {"a": 1}}),
        &[json!({"a": 1, "b": 2})],
        &[json!({"b": 2})],
    );
    check(
        json!({"object": {"a": {"anything": true}}}),
        &[json!({"a": null})],
        &[json!({"a": 1, "b": 2})],
    );
    check(
        json!({"list": [1, {"anything": true}]}),
        &[json!([1, 9])],
        &[json!([1])],
    );
    check(
        json!({"unordered": [{"any_of": [1, 2]}, 1]}),
        &[json!([1, 2]), json!([2, 1]), json!([1, 1])],
        &[json!([2, 2]), json!([1])],
    );
}

#[test]
fn matching_is_complete_where_greedy_would_lose() {
    // Row 0 fits columns 0 and 1, row 1 only column 0: greedy gives row 0 column 0 and loses.
    let table = [[true, true], [true, false]];
    assert_eq!(
        assign(2, 2, |row, column| table[row][column]),
        vec![Some(1), Some(0)]
    );
}

#[test]
fn mistakes_are_named() {
    for (matcher, needle) in [
        (json!({"regx": "a"}), "unknown matcher `regx`"),
        (json!({"regex": "("}), "does not compile"),
        (json!({"a": 1, "b": 2}), "exactly one operator"),
        (json!({"number": {"value": 1}}), "tolerance"),
        (json!([1, {"text": "a"}]), "write `list: […]`"),
    ] {
        let error = Matcher::try_from(matcher).unwrap_err();
        assert!(error.contains(needle), "{error}");
    }
}
