//! What types alone cannot hold: ids, references, expectations that make sense.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use serde_json::Value;

use super::positions::{At, Positions, Step};
use crate::types::expectation::{CallExpectation, Expectation};
use crate::types::suite::{Case, Ends, Server};
use crate::types::{Code, Suite, ToolDefinition, did_you_mean};
use crate::validate::ToolSchemas;

/// How a text that is still to be written begins, as drafts have it.
pub const UNWRITTEN: &str = "TODO";

/// One thing wrong with a suite file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// Line and column from 1, where known.
    pub at: Option<At>,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Nothing is wrong, something is still to be written.
    pub unwritten: bool,
}

impl Problem {
    pub(super) fn new(file: &str, at: Option<At>, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            at,
            message: message.into(),
            unwritten: false,
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.at {
            Some((line, column)) => {
                write!(
                    formatter,
                    "{}\n  {}:{line}:{column}",
                    self.message, self.file
                )
            }
            None => write!(formatter, "{}\n  {}", self.message, self.file),
        }
    }
}

/// Every problem of a suite; `text` is only used to find lines.
pub fn check(file: &str, text: &str, suite: &Suite) -> Vec<Problem> {
    let mut checker = Checker {
        file,
        text,
        positions: OnceCell::new(),
        suite,
        problems: Vec::new(),
    };
    checker.run();
    checker.problems
}

struct Checker<'a> {
    file: &'a str,
    text: &'a str,
    /// Read from the text when there is something to report.
    positions: OnceCell<Positions>,
    suite: &'a Suite,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn positions(&self) -> &Positions {
        self.positions.get_or_init(|| Positions::of(self.text))
    }

    /// Reports a problem at the last of some names (see [`Positions::find`]).
    fn report(&mut self, names: &[&str], message: String) {
        let at = self.positions().find(names);
        self.problems.push(Problem::new(self.file, at, message));
    }

    /// Reports a problem at a path.
    fn report_at(&mut self, path: &[Step], message: String) {
        let at = self.positions().at(path);
        self.problems.push(Problem::new(self.file, at, message));
    }

    fn run(&mut self) {
        let suite = self.suite;
        if !is_name(&suite.suite) {
            self.report(
                &["suite:"],
                format!(
                    "suite name `{}` must be lower case letters, digits and `-`",
                    suite.suite
                ),
            );
        }
        let own = !suite.cases.is_empty() || !suite.tools.is_empty() || suite.server.is_some();
        if !suite.include.is_empty() {
            if own {
                self.report(
                    &["include:"],
                    "a suite with `include` has no tools and cases of its own".to_owned(),
                );
            }
            return;
        }
        // Those of a case's own tools spoil the case alone: `suite check` and the run say so.
        self.check_schemas(&suite.tools);
        if suite.suite == "distractors" {
            return;
        }
        if suite.cases.is_empty() {
            self.report(&["suite:"], format!("suite `{}` has no cases", suite.suite));
            // Its tools and mock are whole: they can be served and called.
            if let Some(problem) = self.problems.last_mut() {
                problem.unwritten = true;
            }
        }
        if suite.server.is_none() && suite.mock.is_none() {
            self.report(
                &["suite:"],
                format!("suite `{}` has neither `mock` nor `server`", suite.suite),
            );
        }
        for (anchor, message) in suite.server.iter().flat_map(Server::problems) {
            self.report(&["server:", &anchor], message);
        }
        let tools = suite.tools.iter().map(|tool| tool.name.as_str());
        self.check_unique("tool", &["tools", "name"], tools);
        let ids = suite.cases.iter().map(|case| case.id.as_str());
        self.check_unique("case", &["cases", "id"], ids);
        if let Some(mock) = &suite.mock {
            let own = suite.cases.iter().flat_map(|case| &case.own_tools);
            for rule in &mock.rules {
                if own.clone().any(|tool| tool.name == rule.tool) {
                    continue;
                }
                self.check_tool(&["mock:", &rule.tool], "a mock rule", &rule.tool);
            }
        }
        for example in &suite.examples {
            for call in &example.calls {
                self.check_tool(&["examples:", &call.name], "an example", &call.name);
            }
            if example.results.len() != example.calls.len() {
                self.report(
                    &["examples:", &example.user],
                    format!("the example `{}` needs one result per call", example.user),
                );
            }
        }
        for (index, case) in suite.cases.iter().enumerate() {
            self.check_case(case);
            self.check_written(index, case);
        }
    }

    /// No prompt is still to be written.
    fn check_written(&mut self, index: usize, case: &Case) {
        let prompts = case.user.iter().map(|user| (user, None));
        let rounds = case.rounds.iter().enumerate();
        let prompts = prompts.chain(rounds.map(|(at, round)| (&round.user, Some(at))));
        for (prompt, round) in prompts {
            if !prompt.trim_start().starts_with(UNWRITTEN) {
                continue;
            }
            let mut path = vec!["cases".into(), index.into()];
            path.extend(
                round
                    .into_iter()
                    .flat_map(|at| ["rounds".into(), at.into()]),
            );
            path.push("user".into());
            let message = format!(
                "the prompt of case `{}` is still to be written (it begins with `{UNWRITTEN}`)",
                case.id
            );
            let at = self.positions().at(&path);
            self.problems.push(Problem {
                unwritten: true,
                ..Problem::new(self.file, at, message)
            });
        }
    }

    /// Reports the second of two equal names in a list at `[list, key]`.
    fn check_unique<'n>(
        &mut self,
        what: &str,
        [list, key]: &[&str; 2],
        names: impl Iterator<Item = &'n str>,
    ) {
        let mut seen = BTreeSet::new();
        for (index, name) in names.enumerate() {
            if !seen.insert(name) {
                self.report_at(
                    &[(*list).into(), index.into(), (*key).into()],
                    format!("{what} `{name}` is there twice"),
                );
            }
        }
    }

    /// Every tool's schema compiles.
    fn check_schemas(&mut self, tools: &[ToolDefinition]) {
        for (index, tool) in tools.iter().enumerate() {
            let Err(error) = ToolSchemas::compile(std::slice::from_ref(tool)) else {
                continue;
            };
            let mut path: Vec<Step> = vec!["tools".into(), index.into(), "inputSchema".into()];
            if self.positions().node(&path).is_none() {
                path.pop();
                path.push("input_schema".into());
            }
            let at = self.positions().at_pointer(&path, &error.pointer);
            let problem = Problem::new(self.file, at, error.to_string());
            self.problems.push(problem);
        }
    }

    fn check_case(&mut self, case: &Case) {
        let id = case.id.as_str();
        // Imported cases keep the ids of their origin, by which recorded outputs name them.
        if !is_name(id) && self.suite.source.is_none() {
            self.report(
                &[id],
                format!("case id `{id}` must be lower case letters, digits and `-`"),
            );
        }
        if case.category.is_empty() || case.why.is_empty() {
            self.report(&[id], format!("case `{id}` needs `category` and `why`"));
        }
        let short = case.user.is_some() || case.expect.is_some();
        if short != case.rounds.is_empty() {
            self.report(
                &[id],
                format!("case `{id}` needs either `user` and `expect`, or `rounds`"),
            );
        }
        for tool in case.tools.iter().flatten() {
            self.check_case_tool(case, tool);
        }
        for miss in &case.near_misses {
            if let Err(unknown) = miss.code.parse::<Code>() {
                let names = Code::ALL.iter().map(|code| code.name());
                let hint = did_you_mean(&miss.code, names)
                    .unwrap_or_else(|| "`toolbench explain` lists the codes".to_owned());
                self.report(
                    &[id, "near_misses:", &miss.code],
                    format!("case `{id}` has a near miss with {unknown}; {hint}"),
                );
            }
            // A near miss may well name a tool that is not there.
            if miss.code != Code::UnknownTool.name() {
                for call in &miss.calls {
                    self.check_case_tool(case, &call.name);
                }
            }
        }
        for round in case.all_rounds() {
            if round.user.trim().is_empty() {
                self.report(
                    &[id],
                    format!("case `{id}` has a round in which nobody says anything"),
                );
            }
            for tool in round.tools.iter().flatten() {
                self.check_case_tool(case, tool);
            }
            self.check_expectation(case, &round.expect);
        }
    }

    fn check_expectation(&mut self, case: &Case, expect: &Expectation) {
        let id = case.id.as_str();
        if expect.abstains() && expect.wants_calls() {
            self.report(
                &[id],
                format!("case `{id}` expects calls and none at once (`no_call` or `ask_back`)"),
            );
        }
        if *expect == Expectation::default() {
            self.report(
                &[id],
                format!("case `{id}` expects nothing, so every reply would pass"),
            );
        }
        if expect.answer.is_some() && case.ends == Ends::Calls && !expect.abstains() {
            self.report(&[id], format!("case `{id}` expects an answer but `ends: calls` stops before it; add `ends: answer`"));
        }
        for call in expect
            .calls
            .iter()
            .chain(expect.alternatives.iter().flatten())
        {
            self.check_call(case, call);
        }
        for call in &expect.allowed {
            self.check_call(case, call);
        }
        for set in expect.accepted_sets() {
            self.check_after(id, set);
        }
        let forbidden = expect.forbidden.iter().map(|call| &call.tool);
        for tool in expect.free.iter().chain(forbidden) {
            self.check_case_tool(case, tool);
        }
    }

    /// Every `after` names another call of the set, and none waits for itself.
    fn check_after(&mut self, id: &str, set: &[CallExpectation]) {
        for call in set {
            for name in &call.after {
                let known = set.iter().filter(|other| other.id.as_ref() == Some(name));
                if known.count() != 1 || call.id.as_ref() == Some(name) {
                    self.report(
                        &[id, name],
                        format!("case `{id}` wants `{}` after `{name}`, which is not the `id` of exactly one other call of the set", call.tool),
                    );
                }
            }
        }
    }

    fn check_case_tool(&mut self, case: &Case, tool: &str) -> bool {
        let id = case.id.as_str();
        case.own_tools.iter().any(|own| own.name == tool)
            || self.check_tool(&[id, tool], &format!("case `{id}`"), tool)
    }

    fn check_call(&mut self, case: &Case, call: &CallExpectation) {
        let id = case.id.as_str();
        if !self.check_case_tool(case, &call.tool) {
            return;
        }
        let mut tools = case.own_tools.iter().chain(&self.suite.tools);
        let Some(tool) = tools.find(|tool| tool.name == call.tool) else {
            return; // A real server's tools are known only when it runs.
        };
        let declared = declared_arguments(tool);
        let open = tool.input_schema.get("additionalProperties") == Some(&Value::Bool(true));
        for name in call.arguments.keys().chain(call.optional.keys()) {
            if !open && !declared.contains(&name.as_str()) {
                let hint = did_you_mean(name, declared.iter().copied())
                    .unwrap_or_else(|| format!("it has {}", declared.join(", ")));
                self.report(
                    &[id, name],
                    format!("case `{id}` expects argument `{name}`, which tool `{}` does not have; {hint}", call.tool),
                );
            }
        }
    }

    /// Whether the tool may be looked up; reports when it cannot exist.
    fn check_tool(&mut self, anchors: &[&str], who: &str, tool: &str) -> bool {
        let suite = self.suite;
        let names: Vec<&str> = match &suite.server {
            Some(server) => server.allow.iter().map(String::as_str).collect(),
            None => suite.tools.iter().map(|tool| tool.name.as_str()).collect(),
        };
        if names.contains(&tool) {
            return true;
        }
        let hint = did_you_mean(tool, names.iter().copied()).unwrap_or_else(|| {
            if names.is_empty() {
                return "this suite offers none; a server's are named under `allow`".to_owned();
            }
            format!("this suite offers {}", names.join(", "))
        });
        self.report(
            anchors,
            format!("{who} names unknown tool `{tool}`; {hint}"),
        );
        false
    }
}

/// Names of the arguments a tool's schema declares.
fn declared_arguments(tool: &ToolDefinition) -> Vec<&str> {
    tool.input_schema
        .get("properties")
        .and_then(Value::as_object)
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::super::load::parse;

    const GOOD: &str = "suite: tiny
description: a test
tools:
  - name: get_time
    inputSchema: {type: object, properties: {zone: {type: string}}, required: [zone]}
mock: {state: {}, rules: [{tool: get_time, reply: noon}]}
cases:
  - id: t-1
    category: simple
    why: one call
    user: what time is it in UTC?
    expect: {calls: [{tool: get_time, arguments: {zone: UTC}}]}
";

    fn error_of(text: &str) -> String {
        parse("tiny.yaml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_sound_suite_passes() {
        assert_eq!(parse("tiny.yaml", GOOD).unwrap().cases.len(), 1);
    }

    #[test]
    fn mistakes_are_located_and_named() {
        let typo = GOOD.replace("calls: [{tool: get_time,", "calls: [{tool: get_tme,");
        let message = error_of(&typo);
        assert!(
            message.contains("unknown tool `get_tme`; did you mean `get_time`?"),
            "{message}"
        );
        assert!(message.contains("tiny.yaml:12:29"), "{message}");

        let message = error_of(&GOOD.replace("{zone: UTC}", "{zon: UTC}"));
        assert!(message.contains("argument `zon`"), "{message}");

        let message = error_of(&GOOD.replace("    why: one call\n", "    wyh: one call\n"));
        assert!(
            message.contains("wyh") && message.contains("tiny.yaml:10"),
            "{message}"
        );

        let message = error_of(&GOOD.replace(
            "expect: {calls: [{tool: get_time, arguments: {zone: UTC}}]}",
            "expect: {}",
        ));
        assert!(message.contains("every reply would pass"), "{message}");
    }
}
