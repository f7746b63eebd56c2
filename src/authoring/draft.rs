//! A suite drafted from a server's tools and what some calls of them answered.
//!
//! Data in: tools, planned calls, replies. Data out: the text of a suite file. Invariants: for each
//! tool a call, where they exist a call with an optional argument and a request that lacks
//! something, and a case in which nothing is to be called; prompts are marked as unwritten; a
//! recorded reply is given back as it came.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::example::examples;
use super::text::words_of;
use super::yaml::{comment, entry, item};
use crate::suite::UNWRITTEN;
use crate::types::ToolDefinition;
use crate::types::matcher::Matcher;

/// Longest recorded reply, in characters: more never goes into a prompt.
const REPLY_CHARACTERS: usize = 8_000;
/// Ceiling of agents without understanding where a suite states none.
const DEFAULT_CEILING: f64 = 0.1;
/// First line of every suite file that is written: editors check the file against the schema.
pub const EDITOR_LINE: &str = "# yaml-language-server: $schema=suite.schema.json\n";

/// What a draft is made of.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The suite's name.
    pub name: String,
    /// Where the tools come from: `the MCP server files`.
    pub origin: String,
    /// The tools, each with its calls and replies.
    pub tools: Vec<DraftTool>,
    /// Tools that could not be taken in, with the reason.
    pub left_out: Vec<(String, String)>,
    /// Longest first prompt to state, in estimated tokens, where it is longer than usual.
    pub prompt_tokens: Option<u32>,
}

/// One tool of a draft.
#[derive(Clone, Debug)]
pub struct DraftTool {
    /// The tool as the server lists it.
    pub definition: ToolDefinition,
    /// Calls with made arguments; why there are none otherwise.
    pub calls: Result<Vec<DraftCall>, String>,
    /// The required argument that one prompt leaves unsaid.
    pub unsaid: Option<String>,
}

/// One call of a draft.
#[derive(Clone, Debug)]
pub struct DraftCall {
    /// The arguments.
    pub arguments: Map<String, Value>,
    /// The optional argument that is there beyond the required ones.
    pub optional: Option<String>,
    /// What the tool answered.
    pub reply: Reply,
}

/// What is known of a call's answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It was not called, for this reason.
    NotCalled(String),
    /// The tool answered.
    Recorded {
        /// The text.
        text: String,
        /// The tool says that it failed.
        is_error: bool,
    },
    /// The server failed.
    Failed(String),
}

impl DraftTool {
    /// Plans the calls of a tool, from its schema or from `given` arguments.
    pub fn plan(definition: ToolDefinition, given: Option<&Map<String, Value>>) -> Self {
        let not_yet = || Reply::NotCalled("not yet".to_owned());
        let made = examples(&definition, given);
        let unsaid = made.as_ref().ok().and_then(|made| made.left_out.clone());
        let calls = made.map(|made| {
            let plain = DraftCall {
                arguments: made.required,
                optional: None,
                reply: not_yet(),
            };
            let more = made.with_optional.map(|(name, arguments)| DraftCall {
                arguments,
                optional: Some(name),
                reply: not_yet(),
            });
            std::iter::once(plain).chain(more).collect()
        });
        Self {
            definition,
            calls,
            unsaid,
        }
    }

    fn calls(&self) -> &[DraftCall] {
        self.calls.as_deref().unwrap_or_default()
    }
}

impl Draft {
    /// The suite file.
    pub fn text(&self) -> String {
        let mut out = self.head();
        out.push_str("tools:\n");
        for tool in &self.tools {
            out.push_str(&item(&json_of(&tool.definition), 2));
        }
        out.push_str("\nmock:\n  state: {}\n");
        out.push_str(&self.rules());
        let cases: Vec<(String, Vec<Value>)> = self.cases();
        out.push_str(&self.ceilings(cases.iter().map(|(_, cases)| cases.len()).sum()));
        out.push_str("\ncases:\n");
        for (index, (notes, cases)) in cases.into_iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&comment(&notes, 2));
            for case in cases {
                out.push_str(&case_text(&case));
            }
        }
        out
    }

    fn head(&self) -> String {
        let name = &self.name;
        let mut out = EDITOR_LINE.to_owned();
        out.push_str(&comment(
            &format!(
                "Drafted by `toolbench suite new` from {}.\n\
                 1. Write each prompt that begins with {UNWRITTEN}; `toolbench suite check {name}.yaml` names\n   \
                 every one that is left, with its line. Delete the cases that you do not want.\n\
                 2. Make each expectation accept every answer that a careful person would give.\n\
                 3. Look at what the mock answers: replies marked `placeholder` were never given by the tool.",
                self.origin
            ),
            0,
        ));
        for (tool, reason) in &self.left_out {
            out.push_str(&comment(&format!("Left out: tool `{tool}`: {reason}"), 0));
        }
        out.push_str(&entry("suite", &json!(name), 0));
        let description = format!("Calls of the tools of {}.", self.origin);
        out.push_str(&entry("description", &json!(description), 0));
        out.push_str("# system: what the model is told about its task, if anything\n\n");
        out
    }

    fn rules(&self) -> String {
        let mut out = String::new();
        for tool in &self.tools {
            // A call with more arguments first: the rule without them would fit it too.
            let mut with_placeholder = tool.calls().is_empty();
            for call in tool.calls().iter().rev() {
                match rule(&tool.definition.name, call) {
                    Ok((notes, rule)) => {
                        out.push_str(&comment(&notes, 4));
                        out.push_str(&item(&rule, 4));
                    }
                    Err(reason) if !with_placeholder => {
                        out.push_str(&placeholder(&tool.definition.name, &reason));
                        with_placeholder = true;
                    }
                    Err(_) => {}
                }
            }
            if tool.calls().is_empty() {
                let reason = tool.calls.as_ref().err().map_or("", String::as_str);
                out.push_str(&placeholder(&tool.definition.name, reason));
            }
        }
        if out.is_empty() {
            return "  rules: []\n".to_owned();
        }
        format!("  rules:\n{out}")
    }

    /// Per tool a heading and its cases.
    fn cases(&self) -> Vec<(String, Vec<Value>)> {
        let mut ids = BTreeSet::new();
        self.tools
            .iter()
            .map(|tool| {
                let name = &tool.definition.name;
                let notes = match &tool.calls {
                    Ok(_) => name.clone(),
                    Err(reason) => format!("{name}: no call is drafted: {reason}"),
                };
                (notes, cases_of(tool, &mut ids))
            })
            .collect()
    }

    /// What agents without understanding may reach, where the drafted calls are so plain that they
    /// may reach more than usual.
    fn ceilings(&self, cases: usize) -> String {
        let share = |count: usize| count as f64 / cases.max(1) as f64;
        let first = self.tools.first().map_or(0, |tool| tool.calls().len());
        let guessable = self
            .tools
            .iter()
            .map(|tool| {
                let is_guessable = |call: &&DraftCall| is_guessable(&tool.definition, call);
                tool.calls().iter().filter(is_guessable).count()
            })
            .sum();
        let mut ceilings = Map::new();
        for (agent, share) in [
            ("first_tool", share(first)),
            ("random_arguments", share(guessable)),
            ("call_everything", share(first)),
        ] {
            if share > DEFAULT_CEILING {
                let rounded = (share * 100.0).ceil() / 100.0;
                ceilings.insert(agent.to_owned(), json!(rounded.min(1.0)));
            }
        }
        if let Some(tokens) = self.prompt_tokens {
            ceilings.insert("prompt_tokens".to_owned(), json!(tokens));
        }
        if ceilings.is_empty() {
            return String::new();
        }
        let notes = "What scripted agents that understand nothing may reach: lower these once the suite has\ncases that they cannot pass by luck. `prompt_tokens` bounds the first prompt.";
        format!(
            "\n{}{}",
            comment(notes, 0),
            entry("self_test", &Value::Object(ceilings), 0)
        )
    }
}

fn json_of<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// A literal condition or expectation.
fn literal(value: &Value) -> Value {
    Matcher::Equals(value.clone()).into()
}

pub(super) fn literals(arguments: &Map<String, Value>) -> Value {
    arguments
        .iter()
        .map(|(name, value)| (name.clone(), literal(value)))
        .collect::<Map<_, _>>()
        .into()
}

/// The rule that gives a recorded reply back, with a note; the reason when there is none.
fn rule(tool: &str, call: &DraftCall) -> Result<(String, Value), String> {
    let (text, is_error) = match &call.reply {
        Reply::NotCalled(reason) => return Err(reason.clone()),
        Reply::Failed(message) => return Err(format!("the server failed: {message}")),
        Reply::Recorded { text, is_error } => (text, *is_error),
    };
    let mut notes = if is_error {
        format!(
            "recorded: an error, since the arguments are made up; real ones: --arguments '{tool}={{…}}'"
        )
    } else {
        "recorded".to_owned()
    };
    let total = text.chars().count();
    let mut reply = text.clone();
    if total > REPLY_CHARACTERS {
        reply = text.chars().take(REPLY_CHARACTERS).collect();
        notes.push_str(&format!(
            "; cut after {REPLY_CHARACTERS} of {total} characters"
        ));
    }
    let mut rule = json!({"tool": tool});
    if !call.arguments.is_empty() {
        rule["when"] = literals(&call.arguments);
    }
    rule["reply"] = json!(verbatim(&reply));
    if is_error {
        rule["error"] = json!(true);
    }
    Ok((notes, rule))
}

fn placeholder(tool: &str, reason: &str) -> String {
    let notes = format!("placeholder, write what `{tool}` answers: {reason}");
    let reply = format!("(no answer of {tool} was recorded)");
    comment(&notes, 4) + &item(&json!({"tool": tool, "reply": verbatim(&reply)}), 4)
}

/// A text as a mock's template that renders to it.
pub(super) fn verbatim(text: &str) -> String {
    if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        format!("{{{{ {} }}}}", json!(text))
    } else {
        text.to_owned()
    }
}

fn cases_of(tool: &DraftTool, ids: &mut BTreeSet<String>) -> Vec<Value> {
    let name = &tool.definition.name;
    let slug = slug(name);
    let mut cases = Vec::new();
    for call in tool.calls() {
        let (id, why, difficulty) = match &call.optional {
            None => (
                format!("{slug}-call"),
                format!(
                    "Whether `{name}` is called with what was said, when it is plainly asked for."
                ),
                "easy",
            ),
            Some(optional) => (
                format!("{slug}-with-{}", self::slug(optional)),
                format!("Whether the optional `{optional}` is given when it is asked for."),
                "medium",
            ),
        };
        cases.push(json!({
            "id": unique(&id, ids), "category": "call", "difficulty": difficulty, "why": why,
            "user": format!("{UNWRITTEN}: ask for what {name} does{}; do not name the tool", stating(&call.arguments)),
            "expect": {"calls": [expected(name, &call.arguments)]},
            "near_misses": [{"answer": "I am sorry, I cannot help with that.", "code": "missing_call"}],
        }));
    }
    let first = tool.calls().first();
    let unwanted = first.map(|call| {
        json!([{"calls": [{"name": name, "arguments": call.arguments}], "code": "unwanted_call"}])
    });
    if let (Some(unsaid), Some(call)) = (&tool.unsaid, first) {
        let mut rest = call.arguments.clone();
        rest.remove(unsaid);
        cases.push(json!({
            "id": unique(&format!("{slug}-without-{}", self::slug(unsaid)), ids),
            "category": "missing-information", "difficulty": "medium",
            "why": format!("`{unsaid}` is required and nobody says it: it must be asked for, not made up."),
            "user": format!("{UNWRITTEN}: ask for what {name} does{}, and do not say {unsaid}", stating(&rest)),
            "expect": {"ask_back": asking_for(unsaid)},
            "near_misses": unwanted,
        }));
    }
    let mut none = json!({
        "id": unique(&format!("{slug}-no-call"), ids), "category": "abstain", "difficulty": "easy",
        "why": format!("Near what `{name}` is for, yet nothing is to be called."),
        "user": format!("{UNWRITTEN}: say something near what {name} is for that needs no tool, such as thanks or a question of general knowledge"),
        "expect": {"no_call": true},
    });
    if let Some(unwanted) = unwanted {
        none["near_misses"] = unwanted;
    }
    cases.push(none);
    cases
}

fn expected(tool: &str, arguments: &Map<String, Value>) -> Value {
    let mut call = json!({"tool": tool});
    if !arguments.is_empty() {
        call["arguments"] = literals(arguments);
    }
    call
}

/// `, with city = "Porto" and days = 3`, for the person who writes the prompt.
fn stating(arguments: &Map<String, Value>) -> String {
    if arguments.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = arguments
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    format!(", with {}", parts.join(" and "))
}

/// Shorter words stand inside too many others to be looked for alone.
const TELLING_WORD: usize = 4;

/// What a question for an argument must hold: its name, or a word of it.
fn asking_for(argument: &str) -> Value {
    let words = words_of(argument);
    if words.is_empty() {
        return json!({"anything": true});
    }
    let is_telling = |text: &str| text.chars().count() >= TELLING_WORD;
    let whole = words.join(" ");
    let accepted: Vec<Value> = if is_telling(&whole) {
        let single = words
            .iter()
            .filter(|word| is_telling(word) && **word != whole);
        std::iter::once(&whole)
            .chain(single)
            .map(|text| json!({"contains": text}))
            .collect()
    } else {
        ["which", "what", "the", "a", "an", "your"]
            .map(|before| json!({"contains": format!("{before} {whole}")}))
            .into()
    };
    json!({"any_of": accepted})
}

/// A call whose arguments a lucky draw could hit: all of them are chosen from a list.
fn is_guessable(tool: &ToolDefinition, call: &DraftCall) -> bool {
    call.arguments.keys().all(|name| {
        let schema = &tool.input_schema["properties"][name];
        schema.get("enum").is_some()
            || schema.get("const").is_some()
            || schema.get("type") == Some(&json!("boolean"))
    })
}

/// A name as part of a case id.
fn slug(name: &str) -> String {
    let ascii = |word: &String| -> String { word.chars().filter(char::is_ascii).collect() };
    let words: Vec<String> = words_of(name)
        .iter()
        .map(ascii)
        .filter(|word| !word.is_empty())
        .collect();
    if words.is_empty() {
        "tool".to_owned()
    } else {
        words.join("-")
    }
}

fn unique(id: &str, ids: &mut BTreeSet<String>) -> String {
    let mut candidate = id.to_owned();
    let mut number = 2;
    while !ids.insert(candidate.clone()) {
        candidate = format!("{id}-{number}");
        number += 1;
    }
    candidate
}

/// A drafted case; a note stands over the expectation that a person should widen.
fn case_text(case: &Value) -> String {
    let text = item(case, 2);
    let note = if case["expect"].get("ask_back").is_some() {
        "# a question for it may use other words: add them"
    } else if case["expect"].get("calls").is_some() {
        "# accept every value that a careful person would: `any_of`, `text`, `optional`, …"
    } else {
        return text;
    };
    text.replacen("    expect:", &format!("    {note}\n    expect:"), 1)
}

#[cfg(test)]
#[path = "draft_tests.rs"]
mod tests;
