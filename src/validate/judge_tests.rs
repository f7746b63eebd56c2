//! Every judging code: a fixture that produces it and a near miss that does not.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::types::violation::primary;
use crate::validate::complete;

pub(super) fn schemas() -> ToolSchemas {
    let tool = |name: &str, properties: Value| {
        serde_json::from_value(json!({"name": name, "inputSchema": {"properties": properties}}))
            .unwrap()
    };
    ToolSchemas::compile(&[
        tool("weather", json!({"city": {}, "unit": {"enum": ["c", "f"], "default": "c"}, "days": {"default": 3}})),
        tool("book", json!({"room": {}, "on": {}})),
        tool("time", json!({})),
        tool("wipe", json!({})),
    ])
    .unwrap()
}

/// One executed call: turn, tool, arguments, result. A result that begins with `!` is an error
/// of the tool, with `?` a scripted one.
fn executed(row: &Value) -> ExecutedCall {
    let text = row[3].as_str().unwrap_or("fine");
    ExecutedCall {
        turn: row[0].as_u64().unwrap() as u32,
        call: ToolCall::new(row[1].as_str().unwrap(), row[2].clone()),
        result: ToolResult {
            is_error: text.starts_with(['!', '?']),
            scripted_error: text.starts_with('?'),
            ..ToolResult::ok(text)
        },
    }
}

pub(super) struct Trial {
    pub(super) expectation: Expectation,
    pub(super) calls: Vec<ExecutedCall>,
    pub(super) answer: Option<String>,
    state: Option<Value>,
    pub(super) ends: Ends,
    same_turn: bool,
}

impl Trial {
    pub(super) fn of(expectation: Value, calls: &Value) -> Self {
        Self {
            expectation: serde_json::from_value(expectation).unwrap(),
            calls: calls.as_array().unwrap().iter().map(executed).collect(),
            answer: None,
            state: None,
            ends: Ends::Calls,
            same_turn: false,
        }
    }

    fn judge(&self) -> Vec<Violation> {
        judge(&JudgeInput {
            rounds: &[JudgedRound {
                expectation: &self.expectation,
                user: "Weather in Oslo and Rome? Book Alder or Birch on 2026-11-20.",
                calls: &self.calls,
                answer: self.answer.as_deref(),
                end_state: self.state.as_ref(),
            }],
            schemas: &schemas(),
            ends: self.ends,
            same_turn: self.same_turn,
            known_texts: &["You help in Bergen."],
        })
    }

    pub(super) fn codes(&self) -> Vec<Code> {
        self.judge()
            .iter()
            .map(|violation| violation.code)
            .collect()
    }
}

fn oslo() -> Value {
    json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}]})
}

fn both() -> Value {
    json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}, {"tool": "weather", "arguments": {"city": "Rome"}}]})
}

fn strict() -> Value {
    json!({"order": "strict", "calls": both()["calls"]})
}

fn fahrenheit() -> Value {
    json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo", "unit": "f"}}]})
}

/// Every code about calls has a trial that makes it and a near miss that does not.
#[test]
fn calls_are_judged() {
    use Code::*;
    let free = json!({"free": ["time"], "calls": oslo()["calls"]});
    let unsafe_wipe = json!({"forbidden": ["wipe"], "calls": oslo()["calls"]});
    let optional = json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}, "optional": {"days": {"any_of": [5]}}}]});
    let rows: Vec<(Value, Value, Vec<Code>)> = vec![
        // Decision.
        (oslo(), json!([[0, "weather", {"city": "Oslo"}]]), vec![]),
        (oslo(), json!([]), vec![MissingCall]),
        (json!({"no_call": true}), json!([]), vec![]),
        (
            json!({"no_call": true}),
            json!([[0, "time", {}]]),
            vec![UnwantedCall],
        ),
        (
            json!({"no_call": true, "free": ["time"]}),
            json!([[0, "time", {}]]),
            vec![],
        ),
        (
            json!({"no_call": true, "forbidden": ["wipe"]}),
            json!([[0, "wipe", {}]]),
            vec![UnwantedCall, UnsafeCall],
        ),
        // Selection.
        (oslo(), json!([[0, "time", {}]]), vec![WrongTool]),
        (oslo(), json!([[0, "wipe", {}]]), vec![WrongTool]),
        (
            unsafe_wipe.clone(),
            json!([[0, "wipe", {}]]),
            vec![WrongTool, UnsafeCall],
        ),
        // Values.
        (
            oslo(),
            json!([[0, "weather", {"city": "Rome"}]]),
            vec![WrongValue],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Bergen"}]]),
            vec![WrongValue],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Lima"}]]),
            vec![HallucinatedValue],
        ),
        (
            fahrenheit(),
            json!([[0, "weather", {"city": "Oslo", "unit": "c"}]]),
            vec![WrongValue],
        ),
        (
            fahrenheit(),
            json!([[0, "weather", {"city": "Oslo"}]]),
            vec![MissingOptional],
        ),
        (
            fahrenheit(),
            json!([[0, "weather", {"city": "Oslo", "unit": "f"}]]),
            vec![],
        ),
        // Defaults equal omission, both ways; what nobody asked for is wrong.
        (
            json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo", "unit": "c", "days": 3}}]}),
            json!([[0, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo", "unit": "c", "days": 3.0}]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo", "days": 4}]]),
            vec![WrongValue],
        ),
        (
            optional.clone(),
            json!([[0, "weather", {"city": "Oslo", "days": 5}]]),
            vec![],
        ),
        (
            optional.clone(),
            json!([[0, "weather", {"city": "Oslo", "days": 3}]]),
            vec![],
        ),
        (
            optional,
            json!([[0, "weather", {"city": "Oslo", "days": 20}]]),
            vec![WrongValue],
        ),
        // Plurality.
        (
            both(),
            json!([[0, "weather", {"city": "Rome"}], [0, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            both(),
            json!([[0, "weather", {"city": "Rome"}]]),
            vec![TooFewCalls],
        ),
        (
            both(),
            json!([[0, "weather", {"city": "Rome"}], [1, "weather", {"city": "Rome"}]]),
            vec![TooFewCalls, DuplicateCall],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "time", {}]]),
            vec![TooManyCalls],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "weather", {"city": "Rome"}]]),
            vec![TooManyCalls],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "weather", {"city": "Oslo", "unit": "c"}]]),
            vec![DuplicateCall],
        ),
        (
            free.clone(),
            json!([[0, "time", {}], [1, "time", {}], [2, "time", {}], [3, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (free, json!([[0, "time", {}]]), vec![TooFewCalls]),
        (
            strict(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "weather", {"city": "Rome"}]]),
            vec![],
        ),
        (
            strict(),
            json!([[0, "weather", {"city": "Rome"}], [1, "weather", {"city": "Oslo"}]]),
            vec![WrongOrder],
        ),
        (
            strict(),
            json!([[0, "weather", {"city": "Rome"}], [1, "weather", {"city": "Oslo"}], [2, "weather", {"city": "Rome"}]]),
            vec![DuplicateCall],
        ),
        // Loops.
        (
            oslo(),
            json!([[0, "time", {}], [1, "time", {}], [2, "time", {}], [3, "weather", {"city": "Oslo"}]]),
            vec![TooManyCalls, DuplicateCall, DuplicateCall, DegenerateLoop],
        ),
        (
            oslo(),
            json!([[0, "time", {}], [1, "time", {}], [3, "weather", {"city": "Oslo"}]]),
            vec![TooManyCalls, DuplicateCall],
        ),
        (
            json!({"calls": [{"tool": "time"}, {"tool": "time"}, {"tool": "time"}]}),
            json!([[0, "time", {}], [1, "time", {}], [2, "time", {}]]),
            vec![],
        ),
        // Tool errors.
        (
            oslo(),
            json!([[0, "weather", {"city": "Lima"}, "!no such city"], [1, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Lima"}, "!no such city"]]),
            vec![HallucinatedValue, ToolErrorModel],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "time", {}, "!closed"]]),
            vec![TooManyCalls, ToolErrorModel],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}, "!no such city"]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}, "?try again"], [1, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}, "?busy"], [1, "weather", {"city": "Oslo"}, "?busy"], [2, "weather", {"city": "Oslo"}, "?busy"], [3, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Rome"}, "?no data"]]),
            vec![WrongValue],
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Rome"}, "?no data"], [1, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        // Outcome.
        (
            unsafe_wipe.clone(),
            json!([[0, "weather", {"city": "Oslo"}], [1, "wipe", {}]]),
            vec![UnsafeCall],
        ),
        (
            unsafe_wipe,
            json!([[0, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
    ];
    for (expectation, calls, expected) in rows {
        let trial = Trial::of(expectation.clone(), &calls);
        assert_eq!(
            trial.codes(),
            expected,
            "{expectation} {calls}\n{:#?}",
            trial.judge()
        );
    }
}

#[test]
fn of_several_sets_the_one_that_explains_best_is_used() {
    let either = json!({"calls": [{"tool": "time"}],
        "alternatives": [[{"tool": "weather", "arguments": {"city": "Oslo"}}, {"tool": "weather", "arguments": {"city": "Rome"}}], []]});
    for (calls, expected) in [
        (json!([]), vec![]),
        (json!([[0, "time", {}]]), vec![]),
        (
            json!([[0, "weather", {"city": "Rome"}], [0, "weather", {"city": "Oslo"}]]),
            vec![],
        ),
        (
            json!([[0, "weather", {"city": "Rome"}]]),
            vec![Code::TooFewCalls],
        ),
    ] {
        assert_eq!(
            Trial::of(either.clone(), &calls).codes(),
            expected,
            "{calls}"
        );
    }
}

#[test]
fn parallel_calls_come_in_one_turn_where_that_is_the_point() {
    let calls =
        |turn| json!([[0, "weather", {"city": "Rome"}], [turn, "weather", {"city": "Oslo"}]]);
    let codes = |turn| {
        Trial {
            same_turn: true,
            ..Trial::of(both(), &calls(turn))
        }
        .codes()
    };
    assert_eq!(codes(0), vec![]);
    assert_eq!(codes(1), vec![Code::TooFewCalls]);
}

#[test]
fn answers_and_states_are_judged() {
    let expectation = json!({"calls": [{"tool": "weather", "arguments": {"city": "Oslo"}}],
        "answer": {"contains": "59"}, "state": {"subset": {"asked": 1}}});
    let calls = json!([[0, "weather", {"city": "Oslo"}, "Oslo: 59 °F, cloudy"]]);
    let asked = |count: u32| Some(json!({"asked": count, "other": true}));
    let rows = [
        (Some("It is 59 degrees."), asked(1), vec![]),
        (
            Some("It is cloudy in Oslo."),
            asked(1),
            vec![Code::AnswerMismatch],
        ),
        (
            Some("It is sunny in Oslo."),
            asked(1),
            vec![Code::IgnoredResult],
        ),
        (None, asked(1), vec![Code::AnswerMismatch]),
        (Some("59"), asked(2), vec![Code::StateMismatch]),
        (Some("59"), None, vec![Code::CaseInvalid]),
    ];
    for (answer, state, expected) in rows {
        let trial = Trial {
            answer: answer.map(str::to_owned),
            state,
            ends: Ends::Answer,
            ..Trial::of(expectation.clone(), &calls)
        };
        assert_eq!(trial.codes(), expected, "{answer:?}");
    }
}

#[test]
fn a_round_that_states_no_calls_is_judged_by_its_end() {
    let expectation = json!({"state": {"subset": {"done": true}}});
    let calls = json!([[0, "time", {}], [1, "book", {"room": "Alder"}]]);
    let done = |flag: bool| Trial {
        state: Some(json!({"done": flag})),
        ends: Ends::Answer,
        ..Trial::of(expectation.clone(), &calls)
    };
    assert_eq!(done(true).codes(), vec![]);
    assert_eq!(done(false).codes(), vec![Code::StateMismatch]);
}

#[test]
fn results_become_known_in_the_next_turn_only() {
    let expectation =
        json!({"calls": [{"tool": "time"}, {"tool": "book", "arguments": {"room": "Elm"}}]});
    let codes = |turn| {
        let calls = json!([[0, "time", {}, "rooms: Fir, Elm"], [turn, "book", {"room": "Fir"}]]);
        Trial::of(expectation.clone(), &calls).codes()
    };
    assert_eq!(codes(0), vec![Code::HallucinatedValue]);
    assert_eq!(codes(1), vec![Code::WrongValue]);
}

#[test]
fn findings_name_call_tool_and_argument_over_all_rounds() {
    let first: Expectation = serde_json::from_value(oslo()).unwrap();
    let right = vec![executed(&json!([0, "weather", {"city": "Oslo"}]))];
    let wrong = vec![executed(&json!([1, "weather", {"city": "Oslo", "a/b": 1}]))];
    let round = |calls| JudgedRound {
        expectation: &first,
        user: "Oslo",
        calls,
        answer: None,
        end_state: None,
    };
    let found = judge(&JudgeInput {
        rounds: &[round(&right), round(&wrong)],
        schemas: &schemas(),
        ends: Ends::Calls,
        same_turn: false,
        known_texts: &[],
    });
    let violation = primary(&found).unwrap();
    assert_eq!(violation.code, Code::WrongValue);
    assert_eq!(violation.call, Some(1));
    assert_eq!(violation.tool.as_deref(), Some("weather"));
    assert_eq!(violation.pointer.as_deref(), Some("/a~1b"));
    assert!(violation.message.contains("`a/b` was not asked for"));
}

#[test]
fn rounds_are_complete_when_nothing_more_can_be_needed() {
    let wanted =
        json!({"free": ["time"], "calls": oslo()["calls"], "alternatives": [both()["calls"]]});
    let rows = [
        (oslo(), json!([]), false),
        (oslo(), json!([[0, "weather", {"city": "Oslo"}]]), true),
        (oslo(), json!([[0, "weather", {"city": "Rome"}]]), true),
        (
            oslo(),
            json!([[0, "weather", {"city": "Rome"}, "?no data"]]),
            false,
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Rome"}, "!no data"]]),
            false,
        ),
        (
            oslo(),
            json!([[0, "weather", {"city": "Oslo"}, "?no data"]]),
            true,
        ),
        (wanted.clone(), json!([[0, "time", {}]]), false),
        (
            wanted,
            json!([[0, "time", {}], [1, "weather", {"city": "Oslo"}]]),
            true,
        ),
        (both(), json!([[0, "weather", {"city": "Rome"}]]), false),
        (
            strict(),
            json!([[0, "weather", {"city": "Rome"}], [0, "weather", {"city": "Oslo"}]]),
            true,
        ),
        (json!({"no_call": true}), json!([[0, "time", {}]]), true),
        (
            json!({"state": {"anything": true}}),
            json!([[0, "time", {}]]),
            false,
        ),
    ];
    for (expectation, calls, expected) in rows {
        let trial = Trial::of(expectation.clone(), &calls);
        let is_over = complete(&trial.expectation, &trial.calls, &schemas());
        assert_eq!(is_over, expected, "{expectation} {calls}");
    }
}

/// Matchers that have an example.
fn matcher() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        "[a-z]{1,8}".prop_map(|text| json!(text)),
        (-50_i64..50).prop_map(|number| json!(number)),
        any::<bool>().prop_map(|flag| json!(flag)),
        "[a-z ]{1,12}".prop_map(|text| json!({"text": text})),
        (-9.0..9.0_f64).prop_map(|value| json!({"number": {"value": value, "tolerance": 0.5}})),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3).prop_map(|items| json!({"any_of": items})),
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|items| json!({"unordered": items})),
            prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|fields| json!({"object": fields})),
        ]
    })
}

fn expected_call() -> impl Strategy<Value = CallExpectation> {
    let tool = prop_oneof![Just("weather"), Just("book"), Just("time")];
    (tool, prop::collection::btree_map("[x-z]", matcher(), 0..3)).prop_map(|(tool, arguments)| {
        serde_json::from_value(json!({"tool": tool, "arguments": arguments})).unwrap()
    })
}

fn oracle(expectation: &Expectation) -> Vec<ExecutedCall> {
    expectation
        .calls
        .iter()
        .enumerate()
        .map(|(turn, expected)| {
            let arguments: serde_json::Map<String, Value> = expected
                .arguments
                .iter()
                .map(|(name, matcher)| (name.clone(), matcher.example().unwrap()))
                .collect();
            executed(&json!([turn, expected.tool, arguments]))
        })
        .collect()
}

proptest! {
    #[test]
    fn the_oracle_passes_in_any_order_and_nothing_fails(
        calls in prop::collection::vec(expected_call(), 1..5),
        shift in 0_usize..5,
    ) {
        let mut trial = Trial::of(json!({}), &json!([]));
        trial.expectation.calls = calls;
        prop_assert_eq!(trial.codes(), vec![Code::MissingCall]);
        trial.calls = oracle(&trial.expectation);
        prop_assert_eq!(trial.codes(), vec![]);
        prop_assert!(complete(&trial.expectation, &trial.calls, &schemas()));
        trial.expectation.order = Order::Strict;
        prop_assert_eq!(trial.codes(), vec![]);
        trial.expectation.order = Order::Any;
        let middle = shift % trial.calls.len();
        trial.calls.rotate_left(middle);
        prop_assert_eq!(trial.codes(), vec![]);
        trial.calls.reverse();
        prop_assert_eq!(trial.codes(), vec![]);
    }

    #[test]
    fn one_call_less_or_more_is_seen(
        calls in prop::collection::vec(expected_call(), 2..5),
        at in 0_usize..5,
    ) {
        let mut trial = Trial::of(json!({}), &json!([]));
        trial.expectation.calls = calls;
        trial.calls = oracle(&trial.expectation);
        let at = at % trial.calls.len();
        let extra = trial.calls[at].clone();
        trial.calls.push(extra);
        prop_assert!(trial.codes().contains(&Code::DuplicateCall));
        trial.calls.pop();
        trial.calls.remove(at);
        prop_assert_eq!(trial.codes(), vec![Code::TooFewCalls]);
        prop_assert!(!complete(&trial.expectation, &trial.calls, &schemas()));
    }

    #[test]
    fn judging_never_panics(
        calls in prop::collection::vec(expected_call(), 0..3),
        made in prop::collection::vec(("weather|book|time|wipe|none", matcher(), 0_u32..3), 0..5),
        strict in any::<bool>(),
    ) {
        let mut trial = Trial::of(json!({}), &json!([]));
        trial.expectation.calls = calls;
        trial.expectation.order = if strict { Order::Strict } else { Order::Any };
        trial.calls = made.into_iter().map(|(tool, arguments, turn)| executed(&json!([turn, tool, arguments]))).collect();
        trial.judge();
        complete(&trial.expectation, &trial.calls, &schemas());
    }
}
