//! The leaderboard's data folder to a suite of ours.
//!
//! Data in: the text of its files. Data out: cases that a run can play and both sets of rules can
//! judge, with warnings. Invariants: nothing of the data is kept in the program; ids and the order
//! of cases stay; a case that no output can satisfy is imported with a warning, never dropped
//! silently.

mod accepted;
mod categories;
mod schema;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::bfcl::{Case as Prepared, Mode};
use super::value::Value as Held;
use crate::types::conversation::{Message, Role};
use crate::types::suite::{BfclCase, Difficulty, Mock, SelfTest, Source};
use crate::types::{Case, Suite, ToolDefinition};

pub use categories::{
    CATEGORIES, Category, GROUPS, NOT_IMPORTABLE, Selection, category_names, importable, select,
};

/// Version of the data that this reads.
pub const VERSION: &str = "v4";

/// What the suite states as its longest first prompt, in estimated tokens.
const LONGEST_PROMPT: u32 = 12_000;

/// How function names are offered and expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// As they are: `math.gcd`.
    #[default]
    Dotted,
    /// With `_` for `.`, for interfaces that forbid dots.
    Underscored,
}

impl Names {
    fn apply(self, name: &str) -> String {
        match self {
            Self::Dotted => name.to_owned(),
            Self::Underscored => name.replace('.', "_"),
        }
    }
}

/// A line of a data file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {reason}")]
pub struct ImportError {
    /// The file's name.
    pub file: String,
    /// Its line, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

/// Cases of one category.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The cases, in the order of the file.
    pub cases: Vec<Case>,
    /// What people should know.
    pub warnings: Vec<String>,
}

/// One line of a question file.
#[derive(Deserialize)]
struct Question {
    id: String,
    #[serde(rename = "question")]
    turns: Vec<Vec<Said>>,
    #[serde(default)]
    function: Vec<Value>,
}

#[derive(Deserialize)]
struct Said {
    role: Role,
    #[serde(default)]
    content: String,
}

/// One line of an answer file.
#[derive(Deserialize)]
struct Answer {
    id: String,
    ground_truth: Value,
}

/// Name of a category's question file.
pub fn question_file(category: &str) -> String {
    format!("BFCL_{VERSION}_{category}.json")
}

/// Reads a category. `answers` is the text of its answer file, where it has one.
pub fn import(
    category: &str,
    questions: &str,
    answers: Option<&str>,
    names: Names,
) -> Result<Imported, ImportError> {
    let mode = Mode::of_category(category);
    let file = question_file(category);
    let wants_answer = !matches!(mode, Mode::Relevance | Mode::Irrelevance);
    let mut truths = BTreeMap::new();
    if wants_answer {
        let file = format!("possible_answer/{file}");
        for (line, answer) in rows::<Answer>(&file, answers.unwrap_or_default())? {
            if truths
                .insert(answer.id.clone(), answer.ground_truth)
                .is_some()
            {
                return Err(ImportError {
                    file,
                    line,
                    reason: format!("the answer of `{}` is there twice", answer.id),
                });
            }
        }
    }
    let mut imported = Imported::default();
    for (line, question) in rows::<Question>(&file, questions)? {
        let fault = |reason: String| ImportError {
            file: file.clone(),
            line,
            reason,
        };
        let answer = if wants_answer {
            let answer = truths.remove(&question.id);
            answer.ok_or_else(|| fault(format!("there is no answer for `{}`", question.id)))?
        } else {
            Value::Null
        };
        let builder = Builder {
            category,
            mode,
            names,
        };
        match builder.case(&question, &answer) {
            Ok((case, warnings)) => {
                imported.cases.push(case);
                imported.warnings.extend(warnings);
            }
            Err(reason) => return Err(fault(format!("case `{}` {reason}", question.id))),
        }
    }
    Ok(imported)
}

fn rows<'t, T: Deserialize<'t>>(file: &str, text: &'t str) -> Result<Vec<(usize, T)>, ImportError> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            serde_json::from_str(line)
                .map(|row| (index + 1, row))
                .map_err(|error| ImportError {
                    file: file.to_owned(),
                    line: index + 1,
                    reason: format!("not a case of this benchmark: {error}"),
                })
        })
        .collect()
}

struct Builder<'a> {
    category: &'a str,
    mode: Mode,
    names: Names,
}

impl Builder<'_> {
    fn case(&self, question: &Question, answer: &Value) -> Result<(Case, Vec<String>), String> {
        let turns = question.turns.as_slice();
        let [said] = turns else {
            return Err(format!("has {} turns, one is read", turns.len()));
        };
        let (system, history, user) = conversation(said)?;
        let functions: Vec<Value> = question
            .function
            .iter()
            .map(|function| self.renamed(function))
            .collect();
        let answer = self.answer_renamed(answer);
        let own_tools = functions
            .iter()
            .map(tool)
            .collect::<Result<Vec<_>, String>>()?;
        let (expect, faults) = accepted::expectation(self.mode, &own_tools, &answer);
        let mut warnings: Vec<String> = faults
            .iter()
            .map(|fault| format!("case `{}`: {fault}", question.id))
            .collect();
        let brief: Vec<Value> = needed(self.mode, &functions, &answer)
            .into_iter()
            .map(schema::in_brief)
            .collect();
        let brief = Value::Array(brief);
        let prepared = Prepared::new(self.mode, &Held::from(&brief), &Held::from(&answer));
        if prepared.always_raises() {
            warnings.push(format!(
                "case `{}`: BFCL's own checker stops with an exception on it, whatever the output",
                question.id
            ));
        }
        let case = Case {
            id: question.id.clone(),
            category: self.category.to_owned(),
            difficulty: match self.mode {
                Mode::Simple => Difficulty::Easy,
                Mode::Parallel => Difficulty::Hard,
                _ => Difficulty::Medium,
            },
            why: format!("BFCL {VERSION}, {}", self.category),
            system,
            history,
            user: Some(user),
            expect: Some(expect),
            own_tools,
            same_turn: self.mode == Mode::Parallel,
            bfcl: Some(BfclCase {
                mode: self.mode.name().to_owned(),
                functions: brief,
                answer,
            }),
            ..Case::default()
        };
        Ok((case, warnings))
    }

    fn renamed(&self, function: &Value) -> Value {
        let mut function = function.clone();
        if let Some(name) = function.get("name").and_then(Value::as_str) {
            function["name"] = Value::String(self.names.apply(name));
        }
        function
    }

    fn answer_renamed(&self, answer: &Value) -> Value {
        let Value::Array(calls) = answer else {
            return answer.clone();
        };
        let renamed = |call: &Value| match call {
            Value::Object(call) => call
                .iter()
                .map(|(name, parameters)| (self.names.apply(name), parameters.clone()))
                .collect(),
            other => other.clone(),
        };
        Value::Array(calls.iter().map(renamed).collect())
    }
}

/// The functions that the leaderboard's rules look at: the first of a single call, else those that
/// the answer names.
fn needed<'f>(mode: Mode, functions: &'f [Value], answer: &Value) -> Vec<&'f Value> {
    let called = |name: &Value| {
        let calls = answer.as_array().into_iter().flatten();
        let names = calls.filter_map(|call| call.as_object()?.keys().next());
        names.into_iter().any(|one| name == one)
    };
    let mut needed: Vec<&Value> = Vec::new();
    for function in functions {
        let name = function.get("name").unwrap_or(&Value::Null);
        let is_needed = match mode {
            Mode::Relevance | Mode::Irrelevance => false,
            Mode::Simple => needed.is_empty(),
            _ => called(name) && needed.iter().all(|known| known.get("name") != Some(name)),
        };
        if is_needed {
            needed.push(function);
        }
    }
    needed
}

/// System prompt, what was said before, and the last message, which must be the person's.
fn conversation(said: &[Said]) -> Result<(Option<String>, Vec<Message>, String), String> {
    let (system, rest) = match said {
        [first, rest @ ..] if first.role == Role::System => (Some(first.content.clone()), rest),
        all => (None, all),
    };
    let Some((last, earlier)) = rest.split_last() else {
        return Err("says nothing".to_owned());
    };
    if last.role != Role::User || last.content.trim().is_empty() {
        return Err("does not end in a message of the person".to_owned());
    }
    let history = earlier
        .iter()
        .map(|message| Message::text(message.role, message.content.clone()))
        .collect();
    Ok((system, history, last.content.clone()))
}

fn tool(function: &Value) -> Result<ToolDefinition, String> {
    let text = |key: &str| function.get(key).and_then(Value::as_str);
    let name = text("name").ok_or("has a function without a name")?;
    let parameters = function
        .get("parameters")
        .ok_or_else(|| format!("has function `{name}` without parameters"))?;
    Ok(ToolDefinition {
        name: name.to_owned(),
        description: text("description").unwrap_or_default().to_owned(),
        input_schema: schema::parameters(parameters),
        annotations: None,
    })
}

/// The suite that holds what was imported.
pub fn suite(categories: &[String], cases: Vec<Case>) -> Suite {
    Suite {
        suite: "bfcl".to_owned(),
        description: format!(
            "Imported from the Berkeley Function Calling Leaderboard {VERSION}: {}.",
            categories.join(", ")
        ),
        mock: Some(Mock {
            answer_all: Some(json!({"status": "ok"})),
            ..Mock::default()
        }),
        cases,
        // Its longest prompts offer 37 functions.
        self_test: SelfTest {
            prompt_tokens: Some(LONGEST_PROMPT),
            ..SelfTest::default()
        },
        source: Some(Source {
            kind: "bfcl".to_owned(),
            version: VERSION.to_owned(),
            licence: "Apache-2.0".to_owned(),
            categories: categories.to_vec(),
        }),
        ..Suite::default()
    }
}

/// A suite as JSON with one line per case, so that a difference can be read.
pub fn to_json(suite: &Suite) -> Result<String, serde_json::Error> {
    let head = Suite {
        cases: Vec::new(),
        ..suite.clone()
    };
    let mut out = String::from("{");
    if let Value::Object(fields) = serde_json::to_value(&head)? {
        for (key, value) in &fields {
            out.push_str(&format!("{}:{},\n", Value::from(key.as_str()), value));
        }
    }
    out.push_str("\"cases\":[\n");
    for (index, case) in suite.cases.iter().enumerate() {
        if index > 0 {
            out.push_str(",\n");
        }
        out.push_str(&serde_json::to_string(case)?);
    }
    out.push_str("\n]}\n");
    Ok(out)
}

#[cfg(test)]
#[path = "../import_tests.rs"]
mod tests;
