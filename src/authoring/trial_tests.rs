//! Trials, right and wrong, as cases of their own and of other suites.

use super::*;
use crate::suite::read_text;
use crate::types::trial::CallRecord;
use crate::types::{Code, Outcome};

const SUITE: &str = "suite: tiny
description: a suite for tests
system: You help with clocks.
tools:
  - {name: get_time, inputSchema: {type: object, properties: {zone: {type: string}}, required: [zone]}}
  - {name: set_alarm, inputSchema: {type: object, properties: {hour: {type: integer}}, required: [hour]}}
mock:
  state: {alarms: []}
  rules:
    - {tool: get_time, reply: noon}
    - {tool: set_alarm, reply: set, patch: [{op: add, path: /alarms/-, value: 7}]}
cases:
  - {id: t-time, category: simple, why: one call, user: what time is it in UTC?,
     expect: {calls: [{tool: get_time, arguments: {zone: {any_of: [UTC, utc]}}}]}}
  - {id: t-alarm, category: state, why: state, ends: answer, user: wake me at seven, state: {alarms: [6]},
     tools: [set_alarm], expect: {calls: [{tool: set_alarm, arguments: {hour: 7}}], free: [get_time], state: {subset: {alarms: [6, 7]}}}}
  - {id: t-where, category: ask, why: no zone is said, user: what time is it?, expect: {ask_back: {contains: zone}}}
";

fn suite(text: &str) -> Suite {
    let (suite, problems) = read_text("s.yaml", text).unwrap();
    assert_eq!(problems, vec![]);
    suite
}

fn other() -> Suite {
    suite(
        "suite: other\ntools: [{name: noop}]\nmock: {rules: [{tool: noop, reply: ok}]}\ncases:\n  - {id: o-1, category: c, why: w, user: hi, expect: {no_call: true}}\n",
    )
}

fn trial(case: &str, outcome: Outcome, calls: &[(&str, Value)]) -> TrialRecord {
    let lines = include_str!("../../fixtures/records/sample/trials.jsonl");
    let mut record: TrialRecord = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    record.case = case.to_owned();
    record.outcome = outcome;
    let sample = record.calls[0].clone();
    record.calls = calls
        .iter()
        .map(|(name, arguments)| CallRecord {
            call: ToolCall::new(*name, arguments.clone()),
            ..sample.clone()
        })
        .collect();
    record
}

fn made(trial: &TrialRecord, from: Option<&Suite>, target: &Suite) -> NewCase {
    let results = vec![Some("{{ noon }}".to_owned()); trial.calls.len()];
    let source = TrialSource {
        run: "run-1",
        trial,
        suite: from,
        system: None,
        offered: &[],
        results: &results,
    };
    case_from_trial(&source, target, None)
}

/// The target's own text with the case in it, read and checked again.
fn checked(target: &Suite, new: &NewCase) -> Vec<String> {
    let mut value = serde_json::to_value(target).unwrap();
    value["cases"]
        .as_array_mut()
        .unwrap()
        .push(new.case.clone());
    for rule in &new.rules {
        value["mock"]["rules"]
            .as_array_mut()
            .unwrap()
            .push(rule.clone());
    }
    let (_, problems) = read_text("new.json", &value.to_string()).unwrap();
    problems
        .into_iter()
        .map(|problem| problem.message)
        .collect()
}

#[test]
fn a_right_trial_states_its_calls_to_the_letter() {
    let tiny = suite(SUITE);
    let record = trial(
        "t-time",
        Outcome::Passed,
        &[("get_time", json!({"zone": "utc"}))],
    );
    let new = made(&record, Some(&tiny), &tiny);
    assert_eq!(new.id, "t-time-2");
    assert_eq!(new.case["user"], "what time is it in UTC?");
    assert_eq!(
        new.case["expect"],
        json!({"calls": [{"tool": "get_time", "arguments": {"zone": "utc"}}]})
    );
    assert_eq!(new.case["tags"], json!(["review"]));
    let why = new.case["why"].as_str().unwrap();
    assert!(
        why.contains("run run-1, trial 743c365b566b of case `t-time`"),
        "{why}"
    );
    assert!(why.ends_with("it was right. one call"), "{why}");
    for absent in [
        "tools",
        "own_tools",
        "ends",
        "same_turn",
        "system",
        "near_misses",
        "history",
    ] {
        assert!(new.case.get(absent).is_none(), "{absent}");
    }
    assert!(new.notes.contains("Review"));
    assert_eq!((new.rules.len(), new.warnings.len()), (0, 0));
    assert_eq!(checked(&tiny, &new), Vec::<String>::new());
}

#[test]
fn a_wrong_trial_keeps_its_expectation_and_becomes_a_near_miss() {
    let tiny = suite(SUITE);
    let outcome = Outcome::Failed {
        code: Code::HallucinatedValue,
    };
    let record = trial("t-time", outcome, &[("get_time", json!({"zone": "CET"}))]);
    let new = made(&record, Some(&tiny), &tiny);
    assert_eq!(
        new.case["expect"]["calls"][0]["arguments"]["zone"],
        json!({"any_of": ["UTC", "utc"]})
    );
    assert_eq!(
        new.case["near_misses"],
        json!([{"calls": [{"name": "get_time", "arguments": {"zone": "CET"}}], "code": "hallucinated_value"}])
    );
    assert!(
        new.notes.contains("it ended with hallucinated_value"),
        "{}",
        new.notes
    );
    assert_eq!(checked(&tiny, &new), Vec::<String>::new());
}

#[test]
fn states_tools_and_free_calls_are_kept_in_the_same_suite() {
    let tiny = suite(SUITE);
    let calls = [
        ("get_time", json!({"zone": "UTC"})),
        ("set_alarm", json!({"hour": 7})),
    ];
    let new = made(
        &trial("t-alarm", Outcome::Passed, &calls),
        Some(&tiny),
        &tiny,
    );
    assert_eq!(new.case["tools"], json!(["set_alarm"]));
    assert_eq!(new.case["state"], json!({"alarms": [6]}));
    assert_eq!(new.case["ends"], "answer");
    assert_eq!(
        new.case["expect"],
        json!({"calls": [{"tool": "set_alarm", "arguments": {"hour": 7}}], "free": ["get_time"], "state": {"subset": {"alarms": [6, 7]}}})
    );
}

#[test]
fn another_suite_gets_tools_rules_and_system_prompt() {
    let tiny = suite(SUITE);
    let target = other();
    let record = trial(
        "t-time",
        Outcome::Passed,
        &[("get_time", json!({"zone": "UTC"}))],
    );
    let new = made(&record, Some(&tiny), &target);
    assert_eq!(new.id, "t-time");
    assert_eq!(new.case["own_tools"].as_array().unwrap().len(), 2);
    assert_eq!(new.case["system"], "You help with clocks.");
    assert_eq!(
        new.rules,
        [json!({"tool": "get_time", "when": {"zone": "UTC"}, "reply": "{{ \"{{ noon }}\" }}"})]
    );
    assert!(
        new.warnings
            .iter()
            .any(|warning| warning.contains("no rule for set_alarm"))
    );
    assert_eq!(checked(&target, &new), Vec::<String>::new());
    let calls = [("set_alarm", json!({"hour": 7}))];
    let stateful = made(
        &trial("t-alarm", Outcome::Passed, &calls),
        Some(&tiny),
        &target,
    );
    assert!(stateful.case.get("state").is_none() && stateful.case["expect"].get("state").is_none());
    assert!(
        stateful
            .warnings
            .iter()
            .any(|warning| warning.contains("state"))
    );
    assert_eq!(stateful.case["own_tools"].as_array().unwrap().len(), 1);
}

#[test]
fn rightly_nothing_stays_what_made_it_right() {
    let tiny = suite(SUITE);
    let mut record = trial("t-where", Outcome::Passed, &[]);
    let new = made(&record, Some(&tiny), &tiny);
    assert_eq!(
        new.case["expect"],
        json!({"ask_back": {"contains": "zone"}})
    );
    record.answer = Some("In which zone?".to_owned());
    let new = made(&record, Some(&tiny), &tiny);
    assert_eq!(
        new.case["expect"]["solution"],
        json!({"answer": "In which zone?"})
    );
}

#[test]
fn without_a_copy_of_its_case_everything_is_still_to_be_written() {
    let target = other();
    let outcome = Outcome::Failed {
        code: Code::MissingCall,
    };
    let new = made(&trial("lost", outcome, &[]), None, &target);
    let problems = checked(&target, &new);
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("still to be written")),
        "{problems:?}"
    );
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("expects nothing")),
        "{problems:?}"
    );
    let right = made(
        &trial("lost", Outcome::Passed, &[("noop", json!({}))]),
        None,
        &target,
    );
    assert_eq!(right.case["expect"], json!({"calls": [{"tool": "noop"}]}));
}

#[test]
fn rounds_keep_their_messages() {
    let text = SUITE.replace(
        "user: what time is it in UTC?,\n     expect: {calls: [{tool: get_time, arguments: {zone: {any_of: [UTC, utc]}}}]}",
        "rounds: [{user: in UTC?, expect: {calls: [{tool: get_time, arguments: {zone: UTC}}]}}, {user: thanks, expect: {no_call: true}}]",
    );
    let tiny = suite(&text);
    let record = trial(
        "t-time",
        Outcome::Passed,
        &[("get_time", json!({"zone": "UTC"}))],
    );
    let new = made(&record, Some(&tiny), &tiny);
    assert_eq!(
        new.case["rounds"][0]["expect"]["calls"][0]["arguments"]["zone"],
        "UTC"
    );
    assert_eq!(
        new.case["rounds"][1],
        json!({"user": "thanks", "expect": {"no_call": true}})
    );
    assert!(new.case.get("user").is_none());
}
