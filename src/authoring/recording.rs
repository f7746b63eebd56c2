//! What a real server answered, as a mock that answers the same.
//!
//! Data in: calls and their answers, by session (a case, or one session of all). Data out: rules
//! and a state, as the text of a suite file. Invariants: deterministic; a call gets its recorded
//! answer and no other call gets it; a call that was answered differently each time is answered in
//! the recorded order; one that was answered differently in two sessions is told apart by the case.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::draft::{EDITOR_LINE, literals, verbatim};
use super::yaml::{comment, entry, item};
use crate::types::suite::HostFault;
use crate::types::{Suite, ToolDefinition, canonical_json};

/// Where the state of a mock says which session it plays.
const SESSION_KEY: &str = "recorded";
/// Where it counts the answers to calls that were answered differently each time.
const COUNTS_KEY: &str = "answered";

/// Calls on one fresh state, in order.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedSession {
    /// The case, or a name of its own.
    pub id: String,
    /// The calls.
    pub calls: Vec<RecordedCall>,
}

/// One call and its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// The tool.
    pub tool: String,
    /// The arguments.
    pub arguments: Map<String, Value>,
    /// What came back.
    pub answer: RecordedAnswer,
}

/// What came back.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordedAnswer {
    /// A result.
    Result {
        /// Its text.
        text: String,
        /// Its structure.
        structured: Option<Value>,
        /// The tool says that it failed.
        is_error: bool,
    },
    /// The server itself failed.
    Fault {
        /// How.
        fault: HostFault,
        /// In its words.
        words: String,
    },
}

/// Everything that was recorded.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the suite that is written.
    pub name: String,
    /// Where the answers come from: `the MCP server everything 2.0`.
    pub origin: String,
    /// The tools as listed.
    pub tools: Vec<ToolDefinition>,
    /// The calls.
    pub sessions: Vec<RecordedSession>,
}

/// Rules that give the recorded answers.
struct Mock {
    /// With a note for people.
    rules: Vec<(String, Value)>,
    /// Calls whose answers are counted.
    counted: usize,
    /// Sessions that the state must name.
    told_apart: BTreeSet<String>,
}

/// All answers to one call, by session.
struct Group<'a> {
    tool: &'a str,
    arguments: &'a Map<String, Value>,
    sequences: Vec<(&'a str, Vec<&'a RecordedAnswer>)>,
}

impl Recording {
    /// The suite file. With the suite whose cases were played, its cases stay and its server goes.
    pub fn text(&self, played: Option<&Suite>) -> String {
        let mock = self.mock();
        let mut out = self.head();
        let Some(suite) = played else {
            out.push_str(&entry("suite", &json!(self.name), 0));
            let description = format!("What {} answered, recorded.", self.origin);
            out.push_str(&entry("description", &json!(description), 0));
            out.push_str(&self.tools_and_mock(&mock));
            return out;
        };
        let mut twin = suite.clone();
        twin.suite.clone_from(&self.name);
        for case in &mut twin.cases {
            if mock.told_apart.contains(&case.id) {
                let mut state = case.state.take().unwrap_or_else(|| json!({}));
                state[SESSION_KEY] = json!(case.id);
                case.state = Some(state);
            }
        }
        let fields = serde_json::to_value(&twin).unwrap_or_default();
        for (key, value) in fields.as_object().into_iter().flatten() {
            match key.as_str() {
                "tools" | "mock" => {}
                "server" => out.push_str(&self.tools_and_mock(&mock)),
                "cases" => {
                    out.push_str("\ncases:\n");
                    for case in value.as_array().into_iter().flatten() {
                        out.push_str(&item(case, 2));
                    }
                }
                _ => out.push_str(&entry(key, value, 0)),
            }
        }
        out
    }

    fn head(&self) -> String {
        EDITOR_LINE.to_owned()
            + &comment(
                &format!(
                    "Recorded by `toolbench mcp record` from {}.\n\
                     Each rule answers the very call that was made; any other call is refused. Structured results\n\
                     are kept where their text is the same JSON, else the text alone.",
                    self.origin
                ),
                0,
            )
    }

    fn tools_and_mock(&self, mock: &Mock) -> String {
        let mut out = String::from("\ntools:\n");
        for tool in &self.tools {
            let tool = serde_json::to_value(tool).unwrap_or_default();
            out.push_str(&item(&tool, 2));
        }
        let mut state = Map::new();
        if !mock.told_apart.is_empty() {
            state.insert(SESSION_KEY.to_owned(), json!(""));
        }
        if mock.counted > 0 {
            let counts: Map<String, Value> = (1..=mock.counted)
                .map(|number| (counter(number), json!(0)))
                .collect();
            state.insert(COUNTS_KEY.to_owned(), Value::Object(counts));
        }
        out.push_str("\nmock:\n");
        out.push_str(&entry("state", &Value::Object(state), 2));
        if mock.rules.is_empty() {
            out.push_str("  rules: []\n");
            return out;
        }
        out.push_str("  rules:\n");
        for (note, rule) in &mock.rules {
            out.push_str(&comment(note, 4));
            out.push_str(&item(rule, 4));
        }
        out
    }

    fn mock(&self) -> Mock {
        let mut mock = Mock {
            rules: Vec::new(),
            counted: 0,
            told_apart: BTreeSet::new(),
        };
        for group in self.groups() {
            mock.add(&group);
        }
        mock
    }

    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: Vec<(String, Group<'_>)> = Vec::new();
        for session in &self.sessions {
            for call in &session.calls {
                let arguments = Value::Object(call.arguments.clone());
                let key = format!("{} {}", call.tool, canonical_json(&arguments));
                let index = groups
                    .iter()
                    .position(|(known, _)| *known == key)
                    .unwrap_or_else(|| {
                        let group = Group {
                            tool: &call.tool,
                            arguments: &call.arguments,
                            sequences: Vec::new(),
                        };
                        groups.push((key, group));
                        groups.len() - 1
                    });
                let sequences = &mut groups[index].1.sequences;
                match sequences.last_mut() {
                    Some((id, answers)) if *id == session.id => answers.push(&call.answer),
                    _ => sequences.push((&session.id, vec![&call.answer])),
                }
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }
}

fn counter(number: usize) -> String {
    format!("call_{number}")
}

impl Mock {
    fn add(&mut self, group: &Group<'_>) {
        let first = group.sequences[0].1[0];
        let mut all = group.sequences.iter().flat_map(|(_, answers)| answers);
        if all.all(|answer| *answer == first) {
            self.rules.push(rule(group, first, &[], None));
            return;
        }
        let sequence = &group.sequences[0].1;
        if group
            .sequences
            .iter()
            .all(|(_, answers)| answers == sequence)
        {
            self.add_sequence(group, sequence, None);
            return;
        }
        for (id, answers) in &group.sequences {
            self.told_apart.insert((*id).to_owned());
            self.add_sequence(group, answers, Some(id));
        }
    }

    /// Answers one after another; the last one from then on.
    fn add_sequence(
        &mut self,
        group: &Group<'_>,
        answers: &[&RecordedAnswer],
        session: Option<&str>,
    ) {
        let of_session = session.map(|id| format!("state.{SESSION_KEY} == {}", json!(id)));
        let is_counted = answers.iter().any(|answer| *answer != answers[0]);
        if !is_counted {
            let conditions: Vec<String> = of_session.into_iter().collect();
            self.rules.push(rule(group, answers[0], &conditions, None));
            return;
        }
        self.counted += 1;
        let name = counter(self.counted);
        for (index, answer) in answers.iter().enumerate() {
            let mut conditions: Vec<String> = of_session.clone().into_iter().collect();
            let is_last = index + 1 == answers.len();
            if !is_last {
                conditions.push(format!("state.{COUNTS_KEY}.{name} == {index}"));
            }
            let next = (!is_last).then(|| {
                json!([{"op": "replace", "path": format!("/{COUNTS_KEY}/{name}"), "value": index + 1}])
            });
            self.rules.push(rule(group, answer, &conditions, next));
        }
    }
}

/// The rule that gives one answer, with a note.
fn rule(
    group: &Group<'_>,
    answer: &RecordedAnswer,
    conditions: &[String],
    patch: Option<Value>,
) -> (String, Value) {
    let mut rule = json!({"tool": group.tool});
    if !group.arguments.is_empty() {
        rule["when"] = literals(group.arguments);
    }
    // A call with further arguments is another call.
    let mut all = vec![format!("args | length == {}", group.arguments.len())];
    all.extend(conditions.iter().cloned());
    rule["if"] = json!(all.join(" and "));
    let mut note = "recorded".to_owned();
    match answer {
        RecordedAnswer::Result {
            text,
            structured,
            is_error,
        } => {
            rule["reply"] = match structured {
                Some(value) if is_text_of(value, text) => verbatim_value(value),
                _ => json!(verbatim(text)),
            };
            if *is_error {
                rule["error"] = json!(true);
            }
        }
        RecordedAnswer::Fault { fault, words } => {
            note = format!("recorded: the server failed: {words}");
            rule["reply"] = json!("");
            rule["fault"] = serde_json::to_value(fault).unwrap_or_default();
        }
    }
    if let Some(patch) = patch {
        rule["patch"] = patch;
    }
    (note, rule)
}

/// The text is the value's own JSON, which is what a mock says of a value.
fn is_text_of(value: &Value, text: &str) -> bool {
    let json = value.to_string();
    json == text
}

/// A value whose texts render to themselves.
fn verbatim_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(verbatim(text)),
        Value::Array(items) => items.iter().map(verbatim_value).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), verbatim_value(value)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[cfg(test)]
#[path = "recording_tests.rs"]
mod tests;
