//! Expectations in words, for people.
//!
//! Data in: matchers, expectations, near misses. Data out: lines of text. Invariants: everything
//! that is accepted or refused is named; nothing is shortened.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::types::expectation::{CallExpectation, Expectation, ForbiddenCall, Order};
use crate::types::matcher::Matcher;
use crate::types::suite::{Case, NearMiss};
use crate::types::{ToolCall, suite::Ends};

/// What a matcher accepts: `"Berlin" or text matching /berlin.*/`.
pub fn matcher_in_words(matcher: &Matcher) -> String {
    in_words(&Value::from(matcher.clone()))
}

/// Works on the written form, so that an operator that is new here is still shown as written.
fn in_words(written: &Value) -> String {
    let Value::Object(map) = written else {
        return written.to_string();
    };
    let Some((operator, argument)) = map.iter().next() else {
        return written.to_string();
    };
    let many = |argument: &Value, glue: &str| {
        let items = argument.as_array().map(Vec::as_slice).unwrap_or_default();
        let parts: Vec<String> = items.iter().map(in_words).collect();
        if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join(glue)
        }
    };
    let fields = |argument: &Value| {
        let fields = argument.as_object().into_iter().flatten();
        let parts: Vec<String> = fields
            .map(|(name, field)| format!("{name}: {}", in_words(field)))
            .collect();
        parts.join("; ")
    };
    match operator.as_str() {
        "equals" => argument.to_string(),
        "any_of" => many(argument, " or "),
        "all_of" => many(argument, " and "),
        "not" => format!("anything but {}", in_words(argument)),
        "anything" => "any value".to_owned(),
        "text" => format!("{argument} in any case and spacing"),
        "words" => format!("the words of {argument}, however set"),
        "contains" => format!("text containing {argument}"),
        "regex" => format!("text matching /{}/", argument.as_str().unwrap_or_default()),
        "number" => format!("{} ± {}", argument["value"], argument["tolerance"]),
        "instant" => format!("the moment {argument}"),
        "schema" => format!("a value valid against {argument}"),
        "subset" => format!("an object with at least {{{}}}", fields(argument)),
        "object" => format!("an object with exactly {{{}}}", fields(argument)),
        "list" => format!("a list of [{}]", many(argument, ", ")),
        "unordered" => format!("a list, in any order, of [{}]", many(argument, ", ")),
        _ => written.to_string(),
    }
}

/// What one round of a case expects, one line each; deeper lines are indented by two spaces.
pub fn expectation_in_words(expect: &Expectation, case: &Case) -> Vec<String> {
    let mut lines = Vec::new();
    if expect.no_call {
        lines.push("nothing is called".to_owned());
    }
    if let Some(matcher) = &expect.ask_back {
        lines.push(format!(
            "nothing is called, and the answer asks for what is missing: {}",
            matcher_in_words(matcher)
        ));
    }
    if expect.any_call {
        lines.push("some call is made, whichever".to_owned());
    }
    for (index, set) in expect.accepted_sets().enumerate() {
        if set.is_empty() && index == 0 && expect.alternatives.is_empty() {
            continue;
        }
        lines.push(heading(index, set.len(), expect.order, case));
        for call in set {
            lines.extend(call_in_words(call));
        }
    }
    if !expect.free.is_empty() {
        lines.push(format!(
            "may be called besides, any number of times: {}",
            expect.free.join(", ")
        ));
    }
    if !expect.allowed.is_empty() {
        lines.push("may be called besides, each once:".to_owned());
        for call in &expect.allowed {
            lines.extend(call_in_words(call));
        }
    }
    for call in &expect.forbidden {
        lines.push(format!("must not be called: {}", forbidden_in_words(call)));
    }
    if let Some(matcher) = &expect.answer {
        lines.push(format!("the answer is: {}", matcher_in_words(matcher)));
    }
    if let Some(matcher) = &expect.state {
        lines.push(format!(
            "the tools' state in the end is: {}",
            matcher_in_words(matcher)
        ));
    }
    lines
}

fn heading(index: usize, calls: usize, order: Order, case: &Case) -> String {
    let instead = if index == 0 { "" } else { "or instead: " };
    let how = match (calls, case.same_turn, order) {
        (0, ..) => return format!("{instead}no call"),
        (1, ..) => "one call",
        (_, true, _) => "these calls, all in one reply",
        (_, false, Order::Strict) => "these calls, in this order",
        (_, false, Order::Any) => "these calls, in any order",
    };
    let then = match (index, case.ends) {
        (0, Ends::Answer) => ", then an answer",
        _ => "",
    };
    format!("{instead}{how}{then}:")
}

fn call_in_words(call: &CallExpectation) -> Vec<String> {
    let mut first = format!("  {}", call.tool);
    if let Some(id) = &call.id {
        first.push_str(&format!(" (`{id}`)"));
    }
    if !call.after.is_empty() {
        let names: Vec<String> = call.after.iter().map(|name| format!("`{name}`")).collect();
        first.push_str(&format!(", after {}", names.join(" and ")));
    }
    let mut lines = vec![first];
    let arguments = |lines: &mut Vec<String>, map: &BTreeMap<String, Matcher>, note: &str| {
        for (name, matcher) in map {
            lines.push(format!("    {name}{note}: {}", matcher_in_words(matcher)));
        }
    };
    arguments(&mut lines, &call.arguments, "");
    arguments(&mut lines, &call.optional, " (may be left out)");
    if lines.len() == 1 {
        lines[0].push_str(", without arguments");
    }
    lines
}

fn forbidden_in_words(call: &ForbiddenCall) -> String {
    if call.arguments.is_empty() {
        return call.tool.clone();
    }
    let conditions: Vec<String> = call
        .arguments
        .iter()
        .map(|(name, matcher)| format!("{name}: {}", matcher_in_words(matcher)))
        .collect();
    format!("{} with {}", call.tool, conditions.join(" and "))
}

/// What a near miss does and what it must be called: `wrong_value: get_time {"zone":"CET"}`.
pub fn near_miss_in_words(miss: &NearMiss) -> String {
    let mut parts: Vec<String> = miss.calls.iter().map(tool_call_in_words).collect();
    if let Some(answer) = &miss.answer {
        parts.push(format!("answers {}", Value::from(answer.as_str())));
    }
    if parts.is_empty() {
        parts.push("says nothing of use".to_owned());
    }
    format!("{}: {}", miss.code, parts.join(", then "))
}

fn tool_call_in_words(call: &ToolCall) -> String {
    format!("{} {}", call.name, call.arguments)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expectation(value: Value) -> Expectation {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn every_operator_has_words() {
        for (written, words) in [
            (json!("Berlin"), "\"Berlin\""),
            (json!({"equals": {"a": 1}}), "{\"a\":1}"),
            (
                json!({"any_of": ["a", {"regex": "b+"}]}),
                "\"a\" or text matching /b+/",
            ),
            (
                json!({"all_of": [{"contains": "x"}, {"not": "xx"}]}),
                "text containing \"x\" and anything but \"xx\"",
            ),
            (json!({"anything": true}), "any value"),
            (
                json!({"text": "New York"}),
                "\"New York\" in any case and spacing",
            ),
            (
                json!({"words": "May 1, 2026"}),
                "the words of \"May 1, 2026\", however set",
            ),
            (
                json!({"number": {"value": 2.5, "tolerance": 0.5}}),
                "2.5 ± 0.5",
            ),
            (
                json!({"instant": "2026-01-02"}),
                "the moment \"2026-01-02\"",
            ),
            (
                json!({"schema": {"type": "integer"}}),
                "a value valid against {\"type\":\"integer\"}",
            ),
            (
                json!({"subset": {"a": 1, "b": {"anything": true}}}),
                "an object with at least {a: 1; b: any value}",
            ),
            (json!({"object": {"a": 1}}), "an object with exactly {a: 1}"),
            (json!({"list": [1, 2]}), "a list of [1, 2]"),
            (
                json!({"unordered": [1, "x"]}),
                "a list, in any order, of [1, \"x\"]",
            ),
        ] {
            let matcher = Matcher::try_from(written).unwrap();
            assert_eq!(matcher_in_words(&matcher), words);
        }
        for operator in crate::types::matcher::OPERATORS {
            let written = json!({operator: {}});
            assert_ne!(in_words(&written), written.to_string(), "{operator}");
        }
    }

    #[test]
    fn an_expectation_is_told_whole() {
        let case = Case {
            ends: Ends::Answer,
            ..Case::default()
        };
        let lines = expectation_in_words(
            &expectation(json!({
                "calls": [{"tool": "look", "id": "l"},
                    {"tool": "book", "arguments": {"day": "2026-01-02"}, "optional": {"note": {"anything": true}}, "after": ["l"]}],
                "alternatives": [[{"tool": "rebook", "arguments": {"n": 1}}], []],
                "free": ["help"], "allowed": [{"tool": "list"}],
                "forbidden": ["erase", {"tool": "run", "arguments": {"path": {"contains": ".."}}}],
                "answer": {"contains": "done"}, "state": {"subset": {"n": 1}}})),
            &case,
        );
        assert_eq!(
            lines,
            [
                "these calls, in any order, then an answer:",
                "  look (`l`), without arguments",
                "  book, after `l`",
                "    day: \"2026-01-02\"",
                "    note (may be left out): any value",
                "or instead: one call:",
                "  rebook",
                "    n: 1",
                "or instead: no call",
                "may be called besides, any number of times: help",
                "may be called besides, each once:",
                "  list, without arguments",
                "must not be called: erase",
                "must not be called: run with path: text containing \"..\"",
                "the answer is: text containing \"done\"",
                "the tools' state in the end is: an object with at least {n: 1}",
            ]
        );
        let none = expectation(json!({"no_call": true}));
        assert_eq!(expectation_in_words(&none, &case), ["nothing is called"]);
        let back = expectation(json!({"ask_back": {"contains": "city"}}));
        assert_eq!(
            expectation_in_words(&back, &case),
            [
                "nothing is called, and the answer asks for what is missing: text containing \"city\""
            ]
        );
    }

    #[test]
    fn near_misses_say_what_is_done() {
        let miss: NearMiss = serde_json::from_value(json!({
            "calls": [{"name": "look", "arguments": {"a": 1}}], "answer": "no", "code": "wrong_value"}))
        .unwrap();
        assert_eq!(
            near_miss_in_words(&miss),
            "wrong_value: look {\"a\":1}, then answers \"no\""
        );
        let silent = NearMiss {
            code: "missing_call".to_owned(),
            ..NearMiss::default()
        };
        assert_eq!(
            near_miss_in_words(&silent),
            "missing_call: says nothing of use"
        );
    }
}
