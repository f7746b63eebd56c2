//! What each agent says: one list of replies per case, in the `json` dialect's form.
//!
//! Data in: a case and the tools it is offered. Data out: replies. Invariants: an agent without
//! understanding looks at nothing but the tools' schemas.

use serde_json::{Value, json};

use crate::suite::sample::{ByLot, Choose, Plainest, sample};
use crate::types::expectation::{CallExpectation, Expectation};
use crate::types::matcher::Matcher;
use crate::types::suite::{Ends, NearMiss, Round};
use crate::types::{Case, Suite, ToolCall, ToolDefinition};

/// How often the agent that draws by lot plays each case.
pub(super) const LOTS: u64 = 5;

const REFUSAL: &str = "I'm sorry, but I can't help with that.";
const DONE: &str = "Done.";

/// Who plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agent {
    /// Does what the case asks for.
    Oracle,
    /// Answers with nothing.
    Empty,
    /// Answers that it cannot help.
    RefuseAll,
    /// Calls the first tool offered, with the plainest valid arguments.
    FirstTool,
    /// Calls a tool drawn by lot with valid arguments drawn by lot.
    RandomArguments(u64),
    /// Calls every tool offered once.
    CallEverything,
}

/// The tools of a suite, as its host lists them.
pub(super) struct Tools<'a> {
    pub(super) listed: &'a [ToolDefinition],
}

impl Tools<'_> {
    /// What is offered in a round of the case, in the order offered.
    fn offered<'b>(&'b self, case: &'b Case, round: usize) -> Vec<&'b ToolDefinition> {
        let rounds = if case.rounds.is_empty() {
            &[]
        } else {
            &case.rounds[..=round.min(case.rounds.len() - 1)]
        };
        let names = rounds
            .iter()
            .rev()
            .find_map(|round| round.tools.as_ref())
            .or(case.tools.as_ref());
        self.listed
            .iter()
            .filter(|tool| {
                names.map_or(case.own_tools.is_empty(), |names| {
                    names.contains(&tool.name)
                })
            })
            .chain(&case.own_tools)
            .collect()
    }

    fn find<'b>(&'b self, case: &'b Case, name: &str) -> Option<&'b ToolDefinition> {
        case.own_tools
            .iter()
            .chain(self.listed)
            .find(|tool| tool.name == name)
    }
}

/// Replies of a trial by round and turn of the round. After the last one of a round the agent
/// says that it is done.
pub(super) type Lines = Vec<Vec<String>>;

/// What is said when nothing else is left to say.
pub(super) fn closing() -> String {
    answer(DONE)
}

/// The replies of an agent in a case; an error says why the oracle cannot be made.
pub(super) fn replies(
    agent: Agent,
    suite: &Suite,
    case: &Case,
    tools: &Tools<'_>,
) -> Result<Lines, String> {
    let rounds = case.all_rounds();
    rounds
        .iter()
        .enumerate()
        .map(|(index, round)| {
            let offered = tools.offered(case, index);
            let calls = match agent {
                Agent::Oracle => return oracle_round(case, round, tools),
                Agent::Empty => return Ok(vec![String::new()]),
                Agent::RefuseAll => return Ok(vec![answer(REFUSAL)]),
                Agent::FirstTool => offered
                    .iter()
                    .take(1)
                    .filter_map(|tool| made_call(tool, &mut Plainest))
                    .collect(),
                Agent::RandomArguments(seed) => {
                    let mut lot = ByLot(seed_of(suite, case, index, seed));
                    (!offered.is_empty())
                        .then(|| offered[lot.choose(offered.len())])
                        .and_then(|tool| made_call(tool, &mut lot))
                        .into_iter()
                        .collect()
                }
                Agent::CallEverything => offered
                    .iter()
                    .filter_map(|tool| made_call(tool, &mut Plainest))
                    .collect::<Vec<_>>(),
            };
            Ok(if calls.is_empty() {
                Vec::new()
            } else {
                vec![calls_text(&calls)]
            })
        })
        .collect()
}

/// The replies that play a near miss: the oracle's until the last round, then the miss.
pub(super) fn near_miss(case: &Case, miss: &NearMiss, tools: &Tools<'_>) -> Result<Lines, String> {
    let rounds = case.all_rounds();
    let mut lines = rounds[..rounds.len().saturating_sub(1)]
        .iter()
        .map(|round| oracle_round(case, round, tools))
        .collect::<Result<Lines, String>>()?;
    let mut last = turns_of(case, &miss.calls);
    last.push(answer(miss.answer.as_deref().unwrap_or(DONE)));
    lines.push(last);
    Ok(lines)
}

/// One reply per call, or one for all where the case wants them so.
fn turns_of(case: &Case, calls: &[ToolCall]) -> Vec<String> {
    if case.same_turn && calls.len() > 1 {
        return vec![calls_text(calls)];
    }
    calls
        .iter()
        .map(|call| calls_text(std::slice::from_ref(call)))
        .collect()
}

/// The calls that an oracle makes in a case, in order; why they cannot be made otherwise.
pub fn oracle_calls(case: &Case, tools: &[ToolDefinition]) -> Result<Vec<ToolCall>, String> {
    let tools = Tools { listed: tools };
    let rounds = case.all_rounds();
    let calls = rounds
        .iter()
        .map(|round| calls_of_round(case, round, &tools))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(calls.concat())
}

fn calls_of_round(case: &Case, round: &Round, tools: &Tools<'_>) -> Result<Vec<ToolCall>, String> {
    let expect = &round.expect;
    let calls = match expect.solution.clone().unwrap_or_default().calls {
        Some(calls) => calls,
        None => first_set(expect)
            .iter()
            .map(|call| oracle_call(case, call, tools))
            .collect::<Result<_, _>>()?,
    };
    Ok(
        match (
            calls.is_empty() && expect.any_call,
            tools.offered(case, 0).first(),
        ) {
            (true, Some(tool)) => made_call(tool, &mut Plainest).into_iter().collect(),
            _ => calls,
        },
    )
}

fn oracle_round(case: &Case, round: &Round, tools: &Tools<'_>) -> Result<Vec<String>, String> {
    let expect = &round.expect;
    let solution = expect.solution.clone().unwrap_or_default();
    let calls = calls_of_round(case, round, tools)?;
    let mut replies = turns_of(case, &calls);
    let ends_with_calls = case.ends == Ends::Calls && !calls.is_empty();
    if !ends_with_calls {
        let text = match solution.answer {
            Some(text) => text,
            None => oracle_answer(expect)?,
        };
        replies.push(answer(&text));
    }
    Ok(replies)
}

fn first_set(expect: &Expectation) -> &[CallExpectation] {
    expect.accepted_sets().next().unwrap_or(&[])
}

fn oracle_call(
    case: &Case,
    expected: &CallExpectation,
    tools: &Tools<'_>,
) -> Result<ToolCall, String> {
    let schema = tools
        .find(case, &expected.tool)
        .map(|tool| &tool.input_schema);
    let mut arguments = serde_json::Map::new();
    for (name, matcher) in &expected.arguments {
        let property = schema.and_then(|schema| schema.pointer(&format!("/properties/{name}")));
        let value = matcher
            .example()
            .or_else(|| sample(property?, &mut Plainest).filter(|value| matcher.matches(value)))
            .ok_or_else(|| {
                format!(
                    "no accepted value of `{name}` can be made for the oracle; state a `solution`"
                )
            })?;
        arguments.insert(name.clone(), value);
    }
    Ok(ToolCall::new(&expected.tool, Value::Object(arguments)))
}

fn oracle_answer(expect: &Expectation) -> Result<String, String> {
    let conditions: Vec<&Matcher> = expect.answer.iter().chain(&expect.ask_back).collect();
    if conditions.is_empty() {
        return Ok(if expect.abstains() {
            "There is nothing to call for that.".to_owned()
        } else {
            DONE.to_owned()
        });
    }
    let all = Matcher::AllOf(conditions.iter().map(|one| (*one).clone()).collect());
    let text = all
        .example()
        .and_then(|value| value.as_str().map(str::to_owned))
        .ok_or("no accepted answer can be made for the oracle; state a `solution`")?;
    if expect.ask_back.is_none() {
        return Ok(text);
    }
    let question = format!("Could you tell me this: {text}?");
    if all.matches(&Value::String(question.clone())) {
        Ok(question)
    } else {
        Err("no question that asks for what is missing can be made; state a `solution`".to_owned())
    }
}

/// Arguments from the schema alone; `None` where none are easily made.
fn made_call(tool: &ToolDefinition, choose: &mut dyn Choose) -> Option<ToolCall> {
    let arguments = sample(&tool.input_schema, choose)?;
    arguments
        .is_object()
        .then(|| ToolCall::new(&tool.name, arguments))
}

fn calls_text(calls: &[ToolCall]) -> String {
    let objects: Vec<Value> = calls
        .iter()
        .map(|call| json!({"tool": call.name, "arguments": call.arguments}))
        .collect();
    match objects.as_slice() {
        [one] => one.to_string(),
        _ => Value::Array(objects).to_string(),
    }
}

fn answer(text: &str) -> String {
    json!({"answer": text}).to_string()
}

fn seed_of(suite: &Suite, case: &Case, round: usize, seed: u64) -> u64 {
    let hash = crate::types::ContentHash::of_value(&(&suite.suite, &case.id, round, seed));
    u64::from_str_radix(&hash.0[..16], 16).unwrap_or(seed)
}
