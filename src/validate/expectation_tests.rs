//! What an expectation can state besides calls: asking back, any call, extras, a partial order.

use serde_json::json;

use super::tests::{Trial, schemas};
use super::*;
use crate::validate::complete;

fn asked(answer: &str, calls: &Value) -> Vec<Code> {
    let mut trial = Trial::of(
        json!({"ask_back": {"any_of": [{"contains": "city"}, {"contains": "where"}]}}),
        calls,
    );
    trial.answer = Some(answer.to_owned());
    trial.codes()
}

#[test]
fn asking_back_names_what_is_missing_and_calls_nothing() {
    let none = json!([]);
    assert_eq!(asked("Which city do you mean?", &none), []);
    assert_eq!(asked("Please tell me the city.", &none), []);
    assert_eq!(asked("在哪里 where？", &none), []);
    assert_eq!(
        asked("Which day do you mean?", &none),
        [Code::AnswerMismatch]
    );
    assert_eq!(
        asked("I cannot help with any city.", &none),
        [Code::AnswerMismatch]
    );
    let guessed = json!([[0, "weather", {"city": "Oslo"}]]);
    assert_eq!(asked("Which city?", &guessed), [Code::UnwantedCall]);
}

#[test]
fn a_free_call_does_not_spare_the_question() {
    let expectation = json!({"ask_back": {"contains": "city"}, "free": ["time"]});
    let mut trial = Trial::of(expectation, &json!([[0, "time", {}]]));
    trial.answer = Some("Done.".to_owned());
    assert_eq!(trial.codes(), [Code::AnswerMismatch]);
    trial.answer = Some("Which city?".to_owned());
    assert_eq!(trial.codes(), []);
}

#[test]
fn any_call_will_do_where_that_is_stated() {
    let any = json!({"any_call": true});
    let made = Trial::of(any.clone(), &json!([[0, "time", {}]]));
    assert_eq!(made.codes(), []);
    assert!(complete(&made.expectation, &made.calls, &schemas()));
    let none = Trial::of(any, &json!([]));
    assert_eq!(none.codes(), [Code::MissingCall]);
    assert!(!complete(&none.expectation, &none.calls, &schemas()));
}

#[test]
fn allowed_calls_count_once_and_forbidden_ones_by_their_arguments() {
    let expectation = json!({
        "calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}],
        "allowed": [{"tool": "time"}, {"tool": "weather", "arguments": {"city": "Rome"}}],
        "forbidden": ["wipe", {"tool": "book", "arguments": {"room": {"text": "Alder"}}}],
    });
    let oslo = json!([0, "weather", {"city": "Oslo"}]);
    for (more, codes) in [
        (json!([]), vec![]),
        (json!([[1, "time", {}]]), vec![]),
        (
            json!([[1, "time", {}], [2, "weather", {"city": "Rome"}]]),
            vec![],
        ),
        (
            json!([[1, "time", {}], [2, "time", {}]]),
            vec![Code::DuplicateCall],
        ),
        (
            json!([[1, "weather", {"city": "Bergen"}]]),
            vec![Code::TooManyCalls],
        ),
        (
            json!([[1, "book", {"room": "alder", "on": "2026-11-20"}]]),
            vec![Code::UnsafeCall],
        ),
        (
            json!([[1, "book", {"room": "Birch"}]]),
            vec![Code::TooManyCalls],
        ),
        (json!([[1, "wipe", {}]]), vec![Code::UnsafeCall]),
    ] {
        let mut calls = vec![oslo.clone()];
        calls.extend(more.as_array().unwrap().clone());
        let trial = Trial::of(expectation.clone(), &Value::Array(calls));
        assert_eq!(trial.codes(), codes, "{more}");
    }
    // An allowed call before the expected one does not end the round.
    let early = Trial::of(expectation, &json!([[0, "time", {}]]));
    assert!(!complete(&early.expectation, &early.calls, &schemas()));
}

#[test]
fn a_partial_order_leaves_free_what_it_does_not_state() {
    // Weather of both cities in any order, then the booking; the time whenever.
    let expectation = json!({"calls": [
        {"tool": "book", "arguments": {"room": "Alder"}, "after": ["oslo", "rome"]},
        {"id": "oslo", "tool": "weather", "arguments": {"city": "Oslo"}},
        {"id": "rome", "tool": "weather", "arguments": {"city": "Rome"}},
        {"tool": "time"},
    ]});
    let call = |letter: char| match letter {
        'O' => json!([0, "weather", {"city": "Oslo"}]),
        'R' => json!([0, "weather", {"city": "Rome"}]),
        'B' => json!([0, "book", {"room": "Alder"}]),
        _ => json!([0, "time", {}]),
    };
    for (order, right) in [
        ("ORBT", true),
        ("ROTB", true),
        ("TORB", true),
        ("OBRT", false),
        ("BORT", false),
        ("TBOR", false),
    ] {
        let calls: Vec<Value> = order.chars().map(call).collect();
        let trial = Trial::of(expectation.clone(), &Value::Array(calls));
        let codes = if right {
            vec![]
        } else {
            vec![Code::WrongOrder]
        };
        assert_eq!(trial.codes(), codes, "{order}");
    }
}

#[test]
fn of_equal_calls_the_one_that_keeps_the_order_answers() {
    // The first `time` stands before the booking, the second after it: one of each is wanted.
    let expectation = json!({"calls": [
        {"tool": "time", "after": ["book"]},
        {"id": "book", "tool": "book", "arguments": {"room": "Alder"}},
        {"tool": "time"},
    ]});
    let calls = json!([[0, "time", {}], [1, "book", {"room": "Alder"}], [2, "time", {}]]);
    assert_eq!(Trial::of(expectation.clone(), &calls).codes(), []);
    let both_before = json!([[0, "time", {}], [1, "time", {}], [2, "book", {"room": "Alder"}]]);
    assert_eq!(
        Trial::of(expectation, &both_before).codes(),
        [Code::WrongOrder]
    );
}

#[test]
fn calls_are_counted_against_those_expected() {
    let schemas = schemas();
    let of = |expectation: Value, calls: Value| {
        let trial = Trial::of(expectation, &calls);
        let found = crate::validate::counts(
            &JudgeInput {
                rounds: &[JudgedRound {
                    expectation: &trial.expectation,
                    user: "",
                    calls: &trial.calls,
                    answer: None,
                    end_state: None,
                }],
                schemas: &schemas,
                ends: Ends::Calls,
                same_turn: false,
                known_texts: &[],
            },
            &[],
        );
        [
            found.expected,
            found.made,
            found.right_tool,
            found.matched,
            found.extra,
        ]
    };
    let two = json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}},
        {"tool": "weather", "arguments": {"city": "Rome"}}], "free": ["time"],
        "allowed": [{"tool": "book", "arguments": {"room": "Alder"}}]});
    let oslo = json!([0, "weather", {"city": "Oslo"}]);
    // Expected, made, of the right tool, matched, extra.
    assert_eq!(of(two.clone(), json!([])), [2, 0, 0, 0, 0]);
    assert_eq!(of(two.clone(), json!([oslo])), [2, 1, 1, 1, 0]);
    assert_eq!(
        of(
            two.clone(),
            json!([oslo, [1, "weather", {"city": "Lima"}], [2, "time", {}]])
        ),
        [2, 2, 2, 1, 0]
    );
    assert_eq!(
        of(
            two.clone(),
            json!([oslo, [1, "book", {"room": "Alder"}], [2, "wipe", {}]])
        ),
        [2, 3, 1, 1, 1]
    );
    // A scripted error is made good by the call after it.
    assert_eq!(
        of(
            two,
            json!([[0, "weather", {"city": "Nowhere"}, "?no"], [1, "weather", {"city": "Oslo"}]])
        ),
        [2, 1, 1, 1, 0]
    );
    assert_eq!(
        of(
            json!({"no_call": true, "free": ["time"]}),
            json!([oslo, [1, "time", {}]])
        ),
        [0, 1, 0, 0, 1]
    );
    let either = json!({"calls": [{"tool": "book"}, {"tool": "time"}],
        "alternatives": [[{"tool": "weather", "arguments": {"city": "Oslo"}}]]});
    assert_eq!(of(either, json!([oslo])), [1, 1, 1, 1, 0]);
}
