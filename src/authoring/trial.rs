//! A recorded trial as a case of a suite.
//!
//! Data in: a trial, the run's own copy of its suite, what was offered and answered, the suite that
//! the case is for. Data out: the case, rules for its mock, and what a person should know.
//! Invariants: the case asks what the trial was asked and offers what it was offered; a trial that
//! was right states its calls, one that was not keeps the expectation of its case; where there is
//! none, prompt and expectation are marked as unwritten.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::draft::verbatim;
use crate::suite::UNWRITTEN;
use crate::types::expectation::{CallExpectation, Expectation, Solution};
use crate::types::matcher::Matcher;
use crate::types::suite::{Case, NearMiss, Round};
use crate::types::violation::Stage;
use crate::types::{Suite, ToolCall, ToolDefinition, TrialRecord};

/// Marks a case that a person has still to look at.
const REVIEW_TAG: &str = "review";

/// A trial and what is known of it.
#[derive(Clone, Copy, Debug)]
pub struct TrialSource<'a> {
    /// Name of the run.
    pub run: &'a str,
    /// The trial.
    pub trial: &'a TrialRecord,
    /// The run's own copy of the suite, with the cases that were selected.
    pub suite: Option<&'a Suite>,
    /// System prompt of the variant, where it has its own.
    pub system: Option<&'a str>,
    /// Tools offered in the first attempt, as recorded.
    pub offered: &'a [ToolDefinition],
    /// What each of the trial's calls was answered, where that is known.
    pub results: &'a [Option<String>],
}

/// A case that was made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewCase {
    /// Its id.
    pub id: String,
    /// The case as it is written.
    pub case: Value,
    /// A comment to stand above it.
    pub notes: String,
    /// Rules that the mock needs for the case's own tools.
    pub rules: Vec<Value>,
    /// What the person should know.
    pub warnings: Vec<String>,
}

/// Makes the case for `target`, under `id` or under a free one made from the trial's own.
pub fn case_from_trial(source: &TrialSource<'_>, target: &Suite, id: Option<&str>) -> NewCase {
    let snapshot = source
        .suite
        .and_then(|suite| suite.cases.iter().find(|case| case.id == source.trial.case));
    let id = id.map_or_else(|| free_id(&source.trial.case, target), str::to_owned);
    let mut maker = Maker {
        source,
        target,
        origin: snapshot,
        warnings: Vec::new(),
    };
    let mut case = maker.case(&id);
    let rules = maker.offer(&mut case);
    let status = maker.status();
    let notes = format!(
        "From run {}, trial {}: {status}.\n{}\nThen remove the tag `{REVIEW_TAG}`.",
        source.run,
        source.trial.id,
        maker.to_review(),
    );
    NewCase {
        case: written(&case),
        warnings: maker.warnings,
        id,
        notes,
        rules,
    }
}

struct Maker<'a> {
    source: &'a TrialSource<'a>,
    target: &'a Suite,
    /// The trial's case in the run's own copy.
    origin: Option<&'a Case>,
    warnings: Vec<String>,
}

impl Maker<'_> {
    fn is_success(&self) -> bool {
        self.source.trial.outcome.is_success()
    }

    fn status(&self) -> String {
        let outcome = self.source.trial.outcome;
        match outcome.code() {
            None => "it was right".to_owned(),
            Some(code) => format!("it ended with {code}"),
        }
    }

    fn where_it_ran(&self) -> String {
        let cell = &self.source.trial.cell;
        format!(
            "{}, {}, constraint {}",
            cell.model, cell.dialect, cell.constraint
        )
    }

    fn to_review(&self) -> &'static str {
        match (self.origin, self.is_success()) {
            (_, true) => {
                "Review the expectation: it holds the calls of that trial to the letter; accept every answer\nthat a careful person would give."
            }
            (Some(_), false) => "Review the expectation: it is that of the case as it was run.",
            (None, false) => "Write prompt and expectation: the run holds no copy of its case.",
        }
    }

    /// The suite that the case goes to is the one that was run, as far as its tools can tell.
    fn is_same_suite(&self) -> bool {
        let target = self.target;
        self.source.suite.is_some_and(|suite| {
            suite.tools == target.tools
                && suite.mock == target.mock
                && suite.server == target.server
        })
    }

    fn case(&mut self, id: &str) -> Case {
        let trial = self.source.trial;
        let mut case = self.origin.cloned().unwrap_or_else(|| self.bare_case());
        id.clone_into(&mut case.id);
        let why = format!(
            "From run {}, trial {} of case `{}` ({}), where {}. {}",
            self.source.run,
            trial.id,
            trial.case,
            self.where_it_ran(),
            self.status(),
            case.why
        );
        why.trim_end().clone_into(&mut case.why);
        if !case.tags.iter().any(|tag| tag == REVIEW_TAG) {
            case.tags.push(REVIEW_TAG.to_owned());
        }
        case.bfcl = None;
        case.near_misses = Vec::new();
        self.set_system(&mut case);
        let rounds = self.rounds(&case);
        set_rounds(&mut case, rounds);
        if self.is_same_suite() {
            case.near_misses = self.near_misses(&case);
        } else {
            self.drop_state(&mut case);
        }
        case
    }

    /// A case of which the run holds no copy.
    fn bare_case(&self) -> Case {
        let trial = self.source.trial;
        Case {
            category: trial.category.clone(),
            difficulty: trial.difficulty,
            user: Some(format!(
                "{UNWRITTEN}: the run holds no copy of case `{}`; write what was asked",
                trial.case
            )),
            expect: Some(Expectation {
                no_call: trial.abstention,
                ..Expectation::default()
            }),
            ..Case::default()
        }
    }

    /// The system prompt that was in force, where the suite's own is another.
    fn set_system(&mut self, case: &mut Case) {
        let in_force = self
            .source
            .system
            .map(str::to_owned)
            .or_else(|| case.system.clone())
            .or_else(|| self.source.suite.and_then(|suite| suite.system.clone()));
        if in_force.is_none() && self.target.system.is_some() {
            self.warnings.push(
                "the trial had no system prompt, the suite has one: the case takes the suite's"
                    .to_owned(),
            );
        }
        case.system = in_force.filter(|system| Some(system) != self.target.system.as_ref());
    }

    fn rounds(&self, case: &Case) -> Vec<Round> {
        let mut rounds = case.all_rounds();
        if !self.is_success() {
            return rounds;
        }
        for (index, round) in rounds.iter_mut().enumerate() {
            let made = self.calls_of(index, &round.expect);
            if made.is_empty() {
                // Nothing was called and that was right: what makes it right is in the case.
                if self.origin.is_none() {
                    round.expect.no_call = true;
                }
                continue;
            }
            round.expect.any_call = false;
            round.expect.no_call = false;
            round.expect.solution = None;
            round.expect.alternatives = Vec::new();
            round.expect.calls = made;
        }
        if let Some(last) = rounds.last_mut() {
            self.answer_as_given(&mut last.expect);
        }
        rounds
    }

    /// What was said is one right answer, where a condition on it is stated.
    fn answer_as_given(&self, expect: &mut Expectation) {
        let is_conditioned = expect.answer.is_some() || expect.ask_back.is_some();
        if is_conditioned && expect.solution.is_none() && self.source.trial.answer.is_some() {
            expect.solution = Some(Solution {
                calls: None,
                answer: self.source.trial.answer.clone(),
            });
        }
    }

    /// The calls of a round as literal expectations: those that did something and that the case
    /// does not allow besides.
    fn calls_of(&self, round: usize, expect: &Expectation) -> Vec<CallExpectation> {
        let is_besides = |call: &ToolCall| {
            expect.free.contains(&call.name)
                || (expect
                    .allowed
                    .iter()
                    .any(|allowed| allowed.tool == call.name)
                    && !expect
                        .accepted_sets()
                        .flatten()
                        .any(|wanted| wanted.tool == call.name))
        };
        self.source
            .trial
            .calls
            .iter()
            .filter(|record| record.round as usize == round && !record.is_error)
            .filter(|record| !is_besides(&record.call))
            .map(|record| CallExpectation {
                tool: record.call.name.clone(),
                arguments: literals(&record.call.arguments),
                optional: BTreeMap::new(),
                id: None,
                after: Vec::new(),
            })
            .collect()
    }

    /// What the model did wrong, as a near miss that `suite check` plays again.
    fn near_misses(&self, case: &Case) -> Vec<NearMiss> {
        let trial = self.source.trial;
        let Some(code) = trial.outcome.code().filter(|_| !self.is_success()) else {
            return Vec::new();
        };
        let is_judged = matches!(
            code.stage(),
            Stage::Decision | Stage::Selection | Stage::Value | Stage::Plurality | Stage::Outcome
        );
        let calls: Vec<ToolCall> = trial
            .calls
            .iter()
            .map(|record| ToolCall::new(&record.call.name, record.call.arguments.clone()))
            .collect();
        let is_plain = case.rounds.is_empty() && !case.same_turn && self.origin.is_some();
        if !is_judged || !is_plain || (calls.is_empty() && trial.answer.is_none()) {
            return Vec::new();
        }
        vec![NearMiss {
            calls,
            answer: trial.answer.clone(),
            code: code.name().to_owned(),
        }]
    }

    /// A state means nothing to another mock.
    fn drop_state(&mut self, case: &mut Case) {
        let mut dropped = case.state.take().is_some();
        let mut clear = |expect: &mut Expectation| dropped |= expect.state.take().is_some();
        case.expect.iter_mut().for_each(&mut clear);
        for round in &mut case.rounds {
            clear(&mut round.expect);
        }
        if dropped {
            self.warnings.push(
                "the case's state and what was expected of it are left out: the suite's mock is another"
                    .to_owned(),
            );
        }
    }

    /// Offers the case what the trial was offered: by name where the suite has the same tools,
    /// else as tools of its own. Gives the rules that the mock then lacks.
    fn offer(&mut self, case: &mut Case) -> Vec<Value> {
        let offered = self.offered(case);
        let own: Vec<String> = offered.iter().map(|tool| tool.name.clone()).collect();
        if self.target_has(&offered) {
            let first = self.offered_first(case);
            case.own_tools = Vec::new();
            case.tools = (first.len() < self.target_names().len()).then_some(first);
            return Vec::new();
        }
        case.tools = None;
        case.own_tools = offered;
        let changes = case.rounds.iter_mut().map(|round| round.tools.take());
        if changes.flatten().count() > 0 {
            self.warnings.push(
                "the case's tools change between rounds; as tools of its own they are all offered from the start"
                    .to_owned(),
            );
        }
        self.missing_rules(&own)
    }

    /// Names of the tools offered in the first round.
    fn offered_first(&self, case: &Case) -> Vec<String> {
        let named = case.tools.clone();
        let mut first =
            named.unwrap_or_else(|| match (case.own_tools.is_empty(), self.source.suite) {
                (true, Some(suite)) if suite.server.is_none() => {
                    suite.tools.iter().map(|tool| tool.name.clone()).collect()
                }
                (true, _) => self
                    .offered(case)
                    .iter()
                    .map(|tool| tool.name.clone())
                    .collect(),
                (false, _) => Vec::new(),
            });
        first.extend(case.own_tools.iter().map(|tool| tool.name.clone()));
        first
    }

    fn target_names(&self) -> Vec<&str> {
        match &self.target.server {
            Some(server) => server.allow.iter().map(String::as_str).collect(),
            None => self
                .target
                .tools
                .iter()
                .map(|tool| tool.name.as_str())
                .collect(),
        }
    }

    /// Whether the suite has these very tools.
    fn target_has(&self, offered: &[ToolDefinition]) -> bool {
        offered.iter().all(|tool| match &self.target.server {
            Some(server) => server.allow.contains(&tool.name),
            None => self.target.tools.contains(tool),
        })
    }

    /// The tools of the trial, by their own names: those of the run's copy of the suite, or as
    /// they were recorded where the suite's tools are a server's.
    fn offered(&self, case: &Case) -> Vec<ToolDefinition> {
        let listed = self.source.suite.map(|suite| suite.tools.as_slice());
        let mut known: Vec<ToolDefinition> = listed.unwrap_or_default().to_vec();
        if known.is_empty() {
            known = self.source.offered.to_vec();
            for record in &self.source.trial.calls {
                rename(&mut known, &record.call.name);
            }
        }
        let mut wanted: Option<Vec<String>> = case.tools.clone();
        for tools in case.rounds.iter().filter_map(|round| round.tools.as_ref()) {
            wanted.get_or_insert_default().extend(tools.clone());
        }
        let is_wanted = |tool: &&ToolDefinition| match &wanted {
            Some(names) => names.contains(&tool.name),
            None => case.own_tools.is_empty(),
        };
        let mut offered: Vec<ToolDefinition> = known.iter().filter(is_wanted).cloned().collect();
        for tool in &case.own_tools {
            if !offered.iter().any(|known| known.name == tool.name) {
                offered.push(tool.clone());
            }
        }
        offered
    }

    /// Rules that answer the case's own tools as the trial's calls were answered.
    fn missing_rules(&mut self, own: &[String]) -> Vec<Value> {
        let Some(mock) = &self.target.mock else {
            self.warnings.push(
                "the case brings tools of its own, which the suite's server does not answer"
                    .to_owned(),
            );
            return Vec::new();
        };
        if mock.answer_all.is_some() {
            return Vec::new();
        }
        let mut rules: Vec<Value> = Vec::new();
        for (record, result) in self.source.trial.calls.iter().zip(self.source.results) {
            let name = &record.call.name;
            let is_answered = mock.rules.iter().any(|rule| &rule.tool == name);
            let (Some(result), false, true) = (result, is_answered, own.contains(name)) else {
                continue;
            };
            let mut rule = json!({"tool": name});
            let when: Map<String, Value> = literals(&record.call.arguments)
                .into_iter()
                .map(|(name, matcher)| (name, matcher.into()))
                .collect();
            if !when.is_empty() {
                rule["when"] = Value::Object(when);
            }
            rule["reply"] = json!(verbatim(result));
            if record.is_error {
                rule["error"] = json!(true);
            }
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
        let answered = |name: &String| {
            rules.iter().any(|rule| rule["tool"] == **name)
                || mock.rules.iter().any(|rule| &rule.tool == name)
        };
        let silent: Vec<&str> = own
            .iter()
            .filter(|name| !answered(name))
            .map(String::as_str)
            .collect();
        if !silent.is_empty() {
            self.warnings.push(format!(
                "the mock has no rule for {}: calls of them are refused until `mock.rules` has one",
                silent.join(", ")
            ));
        }
        rules
    }
}

/// Gives a recorded tool its own name back, where an API allowed only some characters in it.
fn rename(tools: &mut [ToolDefinition], own: &str) {
    if tools.iter().any(|tool| tool.name == own) {
        return;
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let wire: String = own
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    if let Some(tool) = tools.iter_mut().find(|tool| tool.name == wire) {
        own.clone_into(&mut tool.name);
    }
}

fn set_rounds(case: &mut Case, mut rounds: Vec<Round>) {
    if case.rounds.is_empty()
        && let Some(only) = rounds.pop()
    {
        case.user = Some(only.user);
        case.expect = Some(only.expect);
    } else {
        case.rounds = rounds;
    }
}

fn literals(arguments: &Value) -> BTreeMap<String, Matcher> {
    let fields = arguments.as_object().into_iter().flatten();
    fields
        .map(|(name, value)| (name.clone(), Matcher::Equals(value.clone())))
        .collect()
}

/// The case as a person would write it: nothing that says what goes without saying.
fn written(case: &Case) -> Value {
    let mut value = serde_json::to_value(case).unwrap_or_default();
    if let Value::Object(map) = &mut value {
        for (name, silent) in [("ends", json!("calls")), ("same_turn", json!(false))] {
            if map.get(name) == Some(&silent) {
                map.remove(name);
            }
        }
    }
    value
}

/// The trial's case id, or with the first number that is free.
fn free_id(id: &str, suite: &Suite) -> String {
    let is_taken = |id: &str| suite.cases.iter().any(|case| case.id == id);
    if !is_taken(id) {
        return id.to_owned();
    }
    // One more number than there are cases: one of them is free.
    (2..suite.cases.len() + 3)
        .map(|number| format!("{id}-{number}"))
        .find(|candidate| !is_taken(candidate))
        .unwrap_or_default()
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
