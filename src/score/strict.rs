//! Recorded outputs judged by our own rules, those of every run.
//!
//! Data in: a case of any suite and a decoded output. Data out: violations, none when it is right.
//! Invariants: calls pass the same schemas and the same judge as in a run, taken as made in one
//! reply to a tool that answers; what recorded calls cannot decide is said, not guessed.

use std::sync::{Arc, OnceLock};

use serde_json::Value as Json;

use super::calls::Record;
use super::cases::{CaseError, Cases};
use super::decode::{Call, Decoded};
use super::lines::reason_of;
use super::value::{Integer, Key, Object, Value};
use crate::types::suite::Round;
use crate::types::{Case, Code, Suite, ToolCall, ToolDefinition, ToolResult, Violation};
use crate::validate::{ExecutedCall, JudgeInput, JudgedRound, ToolSchemas, judge};

/// A case, with its tools compiled when it is first met.
#[derive(Debug)]
pub struct StrictCase {
    case: Case,
    system: Option<Arc<str>>,
    tools: Vec<ToolDefinition>,
    schemas: OnceLock<Result<ToolSchemas, String>>,
}

impl Cases<StrictCase> {
    /// From suites that were read in full.
    pub fn of_suites(suites: &[Suite]) -> Result<Self, CaseError> {
        let mut cases = Self::default();
        for suite in suites {
            let system: Option<Arc<str>> = suite.system.as_deref().map(Arc::from);
            for case in &suite.cases {
                let prepared = StrictCase {
                    case: case.clone(),
                    system: case
                        .system
                        .as_deref()
                        .map(Arc::from)
                        .or_else(|| system.clone()),
                    tools: offered(suite, case),
                    schemas: OnceLock::new(),
                };
                cases.insert(&case.id, &case.category, prepared)?;
            }
        }
        Ok(cases)
    }
}

/// The tools of a case: its own, and of the suite's those it names, or all when it has none.
fn offered(suite: &Suite, case: &Case) -> Vec<ToolDefinition> {
    let mut tools: Vec<ToolDefinition> = match &case.tools {
        Some(names) => suite
            .tools
            .iter()
            .filter(|tool| names.contains(&tool.name))
            .cloned()
            .collect(),
        None if case.own_tools.is_empty() => suite.tools.clone(),
        None => Vec::new(),
    };
    tools.extend(case.own_tools.iter().cloned());
    tools
}

impl StrictCase {
    fn schemas(&self) -> Result<&ToolSchemas, String> {
        self.schemas
            .get_or_init(|| ToolSchemas::compile(&self.tools).map_err(|error| error.to_string()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// Whether words that could not be read as calls were meant as one.
    fn attempts_a_call(&self, words: &str) -> bool {
        words.contains('{')
            || words.trim_start().starts_with('[')
            || self.tools.iter().any(|tool| words.contains(&tool.name))
    }

    /// Why recorded calls cannot decide the case, if they cannot.
    fn undecidable(&self, rounds: &[Round]) -> Option<&'static str> {
        if rounds.len() > 1 {
            return Some("the case has several rounds, which only a run can play");
        }
        if rounds.iter().any(|round| round.expect.state.is_some()) {
            return Some("the case asks for an end state, which only a run has");
        }
        if self.tools.is_empty() && rounds.iter().any(|round| round.expect.wants_calls()) {
            return Some("the case's tools are known only when its server runs");
        }
        None
    }
}

/// Judges one output; the error says why it cannot be.
pub fn judge_record(case: &StrictCase, record: &Record<'_>) -> Result<Vec<Violation>, String> {
    let rounds = case.case.all_rounds();
    if let Some(reason) = case.undecidable(&rounds) {
        return Err(reason.to_owned());
    }
    let expects_call = rounds.iter().any(|round| round.expect.wants_calls());
    let calls = match &record.output {
        Decoded::Calls(calls) => match tool_calls(calls) {
            Ok(calls) => calls,
            Err(reason) => return Ok(vec![Violation::new(Code::MalformedJson, reason)]),
        },
        // Words are an answer: right where nothing should be called, else a call that is missing.
        Decoded::Failed(_)
            if record
                .answer
                .as_ref()
                .is_some_and(|words| !expects_call || !case.attempts_a_call(words)) =>
        {
            Vec::new()
        }
        Decoded::Failed(_) => {
            let reason = reason_of(&record.output).to_owned();
            return Ok(vec![Violation::new(Code::MalformedJson, reason)]);
        }
        Decoded::Malformed(reason) => {
            return Ok(vec![Violation::new(Code::WrongEnvelope, reason.clone())]);
        }
    };
    let schemas = case.schemas()?;
    let mut violations = schemas.check_calls(&calls);
    let executed: Vec<ExecutedCall> = calls
        .into_iter()
        .map(|call| ExecutedCall {
            turn: 0,
            call,
            result: ToolResult::ok(""),
        })
        .collect();
    let mut known_texts: Vec<&str> = case.system.as_deref().into_iter().collect();
    known_texts.extend(
        case.case
            .history
            .iter()
            .map(|message| message.content.as_str()),
    );
    if violations.is_empty() {
        let judged: Vec<JudgedRound<'_>> = rounds
            .iter()
            .map(|round| JudgedRound {
                expectation: &round.expect,
                user: &round.user,
                calls: &executed,
                answer: record.answer.as_deref(),
                end_state: None,
            })
            .collect();
        violations = judge(&JudgeInput {
            rounds: &judged,
            schemas,
            ends: case.case.ends,
            same_turn: case.case.same_turn,
            known_texts: &known_texts,
        });
    }
    Ok(violations)
}

/// The top-level parameter that a JSON pointer leads into.
pub(super) fn parameter_of(pointer: &str) -> Option<String> {
    let first = pointer.strip_prefix('/')?.split('/').next()?;
    Some(first.replace("~1", "/").replace("~0", "~"))
}

/// Calls as a run has them. What JSON cannot hold is refused.
pub(super) fn tool_calls(calls: &[Call<'_>]) -> Result<Vec<ToolCall>, String> {
    calls
        .iter()
        .map(|call| {
            let name = call.name.text().ok_or("a call's name is not a string")?;
            Ok(ToolCall::new(name, object_to_json(&call.arguments)?))
        })
        .collect()
}

fn object_to_json(object: &Object<'_>) -> Result<Json, String> {
    object
        .iter()
        .map(|(key, value)| match key {
            Key::Text(text) => Ok((text.clone().into_owned(), to_json(value)?)),
            Key::Other(_) => Err("a key is not a string".to_owned()),
        })
        .collect::<Result<serde_json::Map<_, _>, String>>()
        .map(Json::Object)
}

fn to_json(value: &Value<'_>) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(truth) => Json::Bool(*truth),
        Value::Int(Integer::Small(small)) => Json::from(*small),
        Value::Int(big) => match big.to_float() {
            Some(float) => Json::from(float),
            None => return Err("a number beyond all bounds".to_owned()),
        },
        Value::Float(float) => match serde_json::Number::from_f64(*float) {
            Some(number) => Json::Number(number),
            None => return Err("a number that JSON does not have (NaN or infinity)".to_owned()),
        },
        Value::Text(text) => Json::String(text.clone().into_owned()),
        Value::List(items) | Value::Tuple(items) => {
            Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?)
        }
        Value::Object(object) => object_to_json(object)?,
        Value::Exotic(_) => return Err("a value that JSON does not have".to_owned()),
    })
}
