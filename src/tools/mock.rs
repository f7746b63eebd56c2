//! Mock tools: rules over a JSON state, answered in process.
//!
//! Data in: a suite's tools and mock, then calls. Data out: replies, and the state they leave.
//! Invariants: deterministic (no clock, no randomness; ids come from counters); each session has
//! its own state; every mistake that can be found before the first call is found by
//! [`MockHost::new`]; a call that no rule answers is the model's mistake, a template that fails
//! while it runs is the suite's.

mod rules;
mod template;
pub(crate) mod values;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures::future::{BoxFuture, FutureExt as _, ready};
use minijinja::value::Value as TemplateValue;
use serde_json::{Map, Value};

use self::rules::Rule;
use self::template::Templates;
use super::{ToolHost, ToolHostError, ToolSession};
use crate::types::suite::{HostFault, Mock};
use crate::types::{Code, ToolCall, ToolDefinition, ToolResult};

/// A mistake in a mock, with its place in the suite file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct MockError {
    /// Where: `mock.rules[3] (tool `x`).reply.items[0]`.
    pub location: String,
    /// What is wrong.
    pub message: String,
}

impl MockError {
    fn new(location: &str, message: impl Into<String>) -> Self {
        Self {
            location: location.to_owned(),
            message: message.into(),
        }
    }
}

/// The tools of one suite, answered by rules.
pub struct MockHost {
    name: String,
    program: Arc<Program>,
    initial_state: Value,
}

/// What all sessions share.
struct Program {
    name: String,
    tools: Vec<ToolDefinition>,
    /// Tools that are answered: those listed, and those of cases.
    names: Vec<String>,
    templates: Templates,
    rules: Vec<Rule>,
    answer_all: Option<Value>,
}

impl MockHost {
    /// Compiles a suite's mock. Finds unknown tools and names, templates that do not parse, and
    /// patch operations of the wrong shape.
    pub fn new(suite: &str, tools: Vec<ToolDefinition>, mock: Mock) -> Result<Self, MockError> {
        Self::with_case_tools(suite, tools, Vec::new(), mock)
    }

    /// Like [`Self::new`] for a suite whose cases bring tools of their own: these are answered
    /// too, and not listed.
    pub fn with_case_tools(
        suite: &str,
        tools: Vec<ToolDefinition>,
        case_tools: Vec<String>,
        mock: Mock,
    ) -> Result<Self, MockError> {
        let mut names: Vec<String> = tools.iter().map(|tool| tool.name.clone()).collect();
        names.extend(case_tools);
        let mut templates = Templates::new();
        let rules = rules::compile(&mut templates, &names, &mock)?;
        let name = format!("mock {suite}");
        let program = Arc::new(Program {
            name: name.clone(),
            tools,
            names,
            templates,
            rules,
            answer_all: mock.answer_all,
        });
        Ok(Self {
            name,
            program,
            initial_state: mock.state,
        })
    }
}

impl ToolHost for MockHost {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<ToolDefinition>, ToolHostError>> {
        ready(Ok(self.program.tools.clone())).boxed()
    }

    fn open<'a>(
        &'a self,
        state_patch: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Box<dyn ToolSession>, ToolHostError>> {
        let mut state = self.initial_state.clone();
        if let Some(patch) = state_patch {
            json_patch::merge(&mut state, patch);
        }
        let session: Box<dyn ToolSession> = Box::new(MockSession {
            program: Arc::clone(&self.program),
            view: values::to_template(&state),
            state,
            counters: Counters::default(),
        });
        ready(Ok(session)).boxed()
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// Counters of one session, each from 1.
#[derive(Clone, Default)]
struct Counters(Arc<Mutex<BTreeMap<String, u64>>>);

impl Counters {
    fn as_function(&self) -> TemplateValue {
        let counters = self.clone();
        TemplateValue::from_function(move |name: String| counters.next(name))
    }

    fn next(&self, name: String) -> u64 {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        *count += 1;
        *count
    }
}

struct MockSession {
    program: Arc<Program>,
    state: Value,
    /// `state` as templates see it; remade when the state changes.
    view: TemplateValue,
    counters: Counters,
}

impl ToolSession for MockSession {
    fn call<'a>(
        &'a mut self,
        call: &'a ToolCall,
    ) -> BoxFuture<'a, Result<ToolResult, ToolHostError>> {
        let answer = self.answer(call).map_err(|failed| match failed {
            Failed::Mistake(error) => ToolHostError {
                code: Code::ToolErrorEnv,
                message: format!("{}: {error}", self.program.name),
            },
            Failed::Fault(fault) => scripted_fault(fault, &call.name),
        });
        ready(answer).boxed()
    }

    fn state(&self) -> Option<Value> {
        Some(self.state.clone())
    }
}

impl MockSession {
    fn answer(&mut self, call: &ToolCall) -> Result<ToolResult, Failed> {
        let program = Arc::clone(&self.program);
        let answers_all = program.answer_all.is_some();
        if !answers_all && !program.names.contains(&call.name) {
            return Ok(refusal(format!("no such tool: {}", call.name)));
        }
        let Value::Object(arguments) = &call.arguments else {
            return Ok(refusal(
                "invalid request: the arguments are not an object".to_owned(),
            ));
        };
        match self.find_rule(&program, &call.name, arguments)? {
            Some(rule) => match rule.fault {
                Some(fault) => Err(Failed::Fault(fault)),
                None => Ok(self.apply(&program, rule, arguments)?),
            },
            None => Ok(match &program.answer_all {
                Some(reply) => result_of(reply.clone(), false),
                None => refusal(format!(
                    "invalid request: {} finds nothing for {}",
                    call.name, call.arguments
                )),
            }),
        }
    }

    fn find_rule<'a>(
        &self,
        program: &'a Program,
        tool: &str,
        arguments: &Map<String, Value>,
    ) -> Result<Option<&'a Rule>, MockError> {
        let context = TemplateValue::from_pairs(self.base_context(arguments));
        for rule in &program.rules {
            if rule.fits(&program.templates, tool, arguments, &context)? {
                return Ok(Some(rule));
            }
        }
        Ok(None)
    }

    fn base_context(&self, arguments: &Map<String, Value>) -> Vec<(String, TemplateValue)> {
        let arguments = arguments
            .iter()
            .map(|(name, value)| (name.as_str(), values::to_template(value)));
        vec![
            ("args".to_owned(), TemplateValue::from_pairs(arguments)),
            ("state".to_owned(), self.view.clone()),
        ]
    }

    fn apply(
        &mut self,
        program: &Program,
        rule: &Rule,
        arguments: &Map<String, Value>,
    ) -> Result<ToolResult, MockError> {
        let mut pairs = self.base_context(arguments);
        pairs.push(("counter".to_owned(), self.counters.as_function()));
        for (name, node) in &rule.bindings {
            let context = TemplateValue::from_pairs(pairs.clone());
            let value = program.templates.render(node, &context)?;
            pairs.push((name.clone(), values::to_template(&value)));
        }
        let context = TemplateValue::from_pairs(pairs);
        let reply = program.templates.render(&rule.reply, &context)?;
        self.change_state(program, rule, &context)?;
        Ok(result_of(reply, rule.error))
    }

    fn change_state(
        &mut self,
        program: &Program,
        rule: &Rule,
        context: &TemplateValue,
    ) -> Result<(), MockError> {
        if rule.patch.is_empty() {
            return Ok(());
        }
        let location = format!("{}.patch", rule.location);
        let operations = rule
            .patch
            .iter()
            .map(|operation| program.templates.render(operation, context))
            .collect::<Result<Vec<_>, _>>()?;
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(operations))
            .map_err(|error| MockError::new(&location, error.to_string()))?;
        json_patch::patch(&mut self.state, &patch)
            .map_err(|error| MockError::new(&location, error.to_string()))?;
        self.view = values::to_template(&self.state);
        Ok(())
    }
}

/// Why a call has no result.
enum Failed {
    /// The suite's mistake.
    Mistake(MockError),
    /// As the suite scripts it.
    Fault(HostFault),
}

impl From<MockError> for Failed {
    fn from(error: MockError) -> Self {
        Self::Mistake(error)
    }
}

fn scripted_fault(fault: HostFault, tool: &str) -> ToolHostError {
    let (code, what) = match fault {
        HostFault::Broken => (Code::ToolErrorEnv, "broke"),
        HostFault::Timeout => (Code::ToolTimeout, "did not answer in time"),
        HostFault::Protocol => (Code::McpProtocolError, "broke its protocol"),
    };
    ToolHostError {
        code,
        message: format!("`{tool}` {what}, as the suite scripts it"),
    }
}

fn result_of(reply: Value, error: bool) -> ToolResult {
    let (content, structured) = match reply {
        Value::String(text) => (text, None),
        other => (other.to_string(), Some(other)),
    };
    ToolResult {
        content,
        structured,
        is_error: error,
        scripted_error: error,
    }
}

/// An error that no script asked for.
fn refusal(content: String) -> ToolResult {
    ToolResult {
        content,
        structured: None,
        is_error: true,
        scripted_error: false,
    }
}

#[cfg(test)]
mod tests;
