//! One suite's self-test: scores against limits, near misses, lengths, problems.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::agents::{Agent, LOTS, Lines, Tools, near_miss, replies};
use super::likeness::{MOST_ALIKE, too_alike};
use super::play::{Played, play};
use crate::suite::sample::{Plainest, sample};
use crate::tools::ToolHost;
use crate::types::{Case, Outcome, Suite, ToolCall, ToolDefinition};
use crate::validate::ToolSchemas;

/// What agents without understanding may reach where the suite states nothing else.
const CEILING: f64 = 0.1;
/// Longest first prompt where the suite states nothing else, in estimated tokens.
const PROMPT_TOKENS: u32 = 2_500;

/// How one agent scored.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AgentScore {
    /// Trials passed.
    pub passed: usize,
    /// Trials played.
    pub trials: usize,
    /// Largest share that may pass.
    pub ceiling: f64,
}

impl AgentScore {
    /// Share passed; 0 without trials.
    pub fn rate(&self) -> f64 {
        self.passed as f64 / self.trials.max(1) as f64
    }
}

/// What a suite must keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Limits {
    /// Longest first prompt, in estimated tokens.
    pub prompt_tokens: u32,
}

/// The self-test of one suite.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The suite.
    pub suite: String,
    /// Cases.
    pub cases: usize,
    /// Cases that the oracle passes.
    pub oracle: usize,
    /// Agents without understanding, by name.
    pub agents: BTreeMap<String, AgentScore>,
    /// Near misses that got their code.
    pub near_misses: usize,
    /// Longest first prompt, in estimated tokens.
    pub longest_prompt_tokens: u32,
    /// What is held.
    pub limits: Limits,
    /// Everything that is wrong, each a sentence that names the case.
    pub problems: Vec<String>,
}

/// Plays a suite with every agent and every near miss.
///
/// `progress` is told what is played next.
pub async fn check_suite(
    suite: &Suite,
    host: &Arc<dyn ToolHost>,
    progress: &dyn Fn(&str),
) -> Report {
    let limits = Limits {
        prompt_tokens: suite.self_test.prompt_tokens.unwrap_or(PROMPT_TOKENS),
    };
    let mut report = Report {
        suite: suite.suite.clone(),
        cases: suite.cases.len(),
        oracle: 0,
        agents: BTreeMap::new(),
        near_misses: 0,
        longest_prompt_tokens: 0,
        limits,
        problems: Vec::new(),
    };
    let listed = match host.list().await {
        Ok(listed) => listed,
        Err(error) => {
            report.problems.push(error.to_string());
            return report;
        }
    };
    let mut checker = Checker {
        suite,
        host,
        tools: Tools { listed: &listed },
        report: &mut report,
        progress,
    };
    checker.schemas(&listed);
    if checker.report.problems.is_empty() {
        checker.alike();
        let refused = checker.agents().await;
        progress("oracle");
        let solved = checker.oracle().await;
        checker.free_passes(&refused, &solved);
        progress("near misses");
        checker.near_misses().await;
    }
    report
}

struct Checker<'a> {
    suite: &'a Suite,
    host: &'a Arc<dyn ToolHost>,
    tools: Tools<'a>,
    report: &'a mut Report,
    progress: &'a dyn Fn(&str),
}

impl Checker<'_> {
    fn problem(&mut self, case: &str, what: impl std::fmt::Display) {
        let suite = &self.suite.suite;
        self.report
            .problems
            .push(format!("suite `{suite}`: case `{case}`: {what}"));
    }

    /// Schemas compile, every tool can be called, examples and literal expectations are valid.
    fn schemas(&mut self, listed: &[ToolDefinition]) {
        let suite = self.suite;
        let schemas = match ToolSchemas::compile(listed) {
            Ok(schemas) => schemas,
            Err(error) => {
                self.report
                    .problems
                    .push(format!("suite `{}`: {error}", suite.suite));
                return;
            }
        };
        for example in &suite.examples {
            for violation in schemas.check_calls(&example.calls) {
                self.report.problems.push(format!(
                    "suite `{}`: example `{}`: {}",
                    suite.suite, example.user, violation.message
                ));
            }
        }
        for case in &suite.cases {
            let all: Vec<ToolDefinition> = listed.iter().chain(&case.own_tools).cloned().collect();
            let own = if case.own_tools.is_empty() {
                None
            } else {
                match ToolSchemas::compile(&all) {
                    Ok(schemas) => Some(schemas),
                    Err(error) => {
                        self.problem(&case.id, error);
                        continue;
                    }
                }
            };
            self.accepted_values(case, own.as_ref().unwrap_or(&schemas), &all);
        }
    }

    /// Every accepted value that is stated outright satisfies the tool's schema.
    fn accepted_values(&mut self, case: &Case, schemas: &ToolSchemas, tools: &[ToolDefinition]) {
        for round in case.all_rounds() {
            let expected = round
                .expect
                .calls
                .iter()
                .chain(round.expect.alternatives.iter().flatten())
                .chain(&round.expect.allowed);
            for call in expected {
                let Some(tool) = tools.iter().find(|tool| tool.name == call.tool) else {
                    continue;
                };
                let plain = sample(&tool.input_schema, &mut Plainest).unwrap_or_default();
                let mut base = plain.as_object().cloned().unwrap_or_default();
                for (name, matcher) in &call.arguments {
                    if let Some(value) = matcher.example() {
                        base.insert(name.clone(), value);
                    }
                }
                for (name, matcher) in call.arguments.iter().chain(&call.optional) {
                    for value in matcher.literals() {
                        let mut arguments = base.clone();
                        arguments.insert(name.clone(), value.clone());
                        let tried = ToolCall::new(&call.tool, arguments.into());
                        let pointer = format!("/{name}");
                        for violation in schemas.check_calls(&[tried]) {
                            let about = violation
                                .pointer
                                .as_deref()
                                .is_some_and(|at| at.starts_with(&pointer));
                            if about {
                                self.problem(
                                    &case.id,
                                    format!("accepts {value} for `{name}`, which the schema refuses: {}", violation.message),
                                );
                            }
                        }
                    }
                }
            }
        }
    }

    fn alike(&mut self) {
        for group in too_alike(&self.suite.cases) {
            let message = format!(
                "says nearly the same as {}; at most {MOST_ALIKE} such cases are allowed",
                group[1..].join(", ")
            );
            self.problem(&group[0], message);
        }
    }

    /// Plays the suite's cases with what `lines` gives for each.
    async fn play(
        &mut self,
        lines: impl Fn(&Case, &Tools<'_>) -> Result<Lines, String>,
    ) -> Vec<Played> {
        let mut cases = Vec::new();
        for case in &self.suite.cases {
            match lines(case, &self.tools) {
                Ok(replies) => cases.push((case.clone(), replies)),
                Err(message) => self.problem(&case.id, message),
            }
        }
        match play(self.suite, self.host, cases).await {
            Ok(played) => played,
            Err(message) => {
                self.report
                    .problems
                    .push(format!("suite `{}`: {message}", self.suite.suite));
                Vec::new()
            }
        }
    }

    /// The oracle passes every case; gives the cases it passes.
    async fn oracle(&mut self) -> Vec<String> {
        let suite = self.suite;
        let played = self
            .play(|case, tools| replies(Agent::Oracle, suite, case, tools))
            .await;
        let mut solved = Vec::new();
        for one in &played {
            let tokens = estimated_tokens(&one.prompt);
            self.report.longest_prompt_tokens = self.report.longest_prompt_tokens.max(tokens);
            if tokens > self.report.limits.prompt_tokens {
                let limit = self.report.limits.prompt_tokens;
                self.problem(
                    &one.record.case,
                    format!("the first prompt is about {tokens} tokens long, {limit} are stated (`self_test: {{prompt_tokens: N}}`)"),
                );
            }
            if one.record.outcome == Outcome::Passed {
                self.report.oracle += 1;
                solved.push(one.record.case.clone());
            } else {
                let said = spoken(one);
                self.problem(
                    &one.record.case,
                    format!("the oracle does not pass: {said}"),
                );
            }
        }
        solved
    }

    /// Agents without understanding stay below their ceilings; gives the cases that a refusal passes.
    async fn agents(&mut self) -> Vec<String> {
        let suite = self.suite;
        let stated = &suite.self_test;
        let silent = silent_share(&suite.cases);
        let mut refused = Vec::new();
        for (name, ceiling, agents) in [
            ("empty", stated.empty.unwrap_or(silent), vec![Agent::Empty]),
            (
                "refuse_all",
                stated.refuse_all.unwrap_or(silent),
                vec![Agent::RefuseAll],
            ),
            (
                "first_tool",
                stated.first_tool.unwrap_or(CEILING),
                vec![Agent::FirstTool],
            ),
            (
                "random_arguments",
                stated.random_arguments.unwrap_or(CEILING),
                (0..LOTS).map(Agent::RandomArguments).collect(),
            ),
            (
                "call_everything",
                stated.call_everything.unwrap_or(CEILING),
                vec![Agent::CallEverything],
            ),
        ] {
            (self.progress)(&format!("agent {name}"));
            let mut score = AgentScore {
                passed: 0,
                trials: 0,
                ceiling,
            };
            let mut passed = Vec::new();
            for agent in agents {
                let played = self
                    .play(|case, tools| replies(agent, suite, case, tools))
                    .await;
                score.trials += played.len();
                passed.extend(
                    played
                        .into_iter()
                        .filter(|one| one.record.outcome.is_success())
                        .map(|one| one.record.case),
                );
            }
            score.passed = passed.len();
            if score.rate() > ceiling + 1e-9 {
                passed.sort();
                passed.dedup();
                self.report.problems.push(format!(
                    "suite `{}`: the agent `{name}` passes {} of {} ({:.1} %, stated ceiling {:.1} %): {}",
                    suite.suite,
                    score.passed,
                    score.trials,
                    100.0 * score.rate(),
                    100.0 * ceiling,
                    passed.join(", ")
                ));
            }
            if name == "refuse_all" {
                refused = passed;
            }
            self.report.agents.insert(name.to_owned(), score);
        }
        refused
    }

    /// Nothing but an abstention may pass for an oracle and for a refusal.
    fn free_passes(&mut self, refused: &[String], solved: &[String]) {
        for case in &self.suite.cases {
            let both = refused.contains(&case.id) && solved.contains(&case.id);
            if both && !case.is_abstention() {
                self.problem(
                    &case.id,
                    "a refusal passes, and it is no case of abstention",
                );
            }
        }
    }

    /// Every near miss fails with its code.
    async fn near_misses(&mut self) {
        let mut cases = Vec::new();
        let mut wanted = Vec::new();
        for case in &self.suite.cases {
            for (index, miss) in case.near_misses.iter().enumerate() {
                match near_miss(case, miss, &self.tools) {
                    Ok(lines) => {
                        let twin = Case {
                            id: format!("{}--miss-{}", case.id, index + 1),
                            ..case.clone()
                        };
                        cases.push((twin, lines));
                        wanted.push((case.id.clone(), index + 1, miss.code.clone()));
                    }
                    Err(message) => self.problem(&case.id, message),
                }
            }
        }
        match play(self.suite, self.host, cases).await {
            Err(message) => self.report.problems.push(message),
            Ok(played) => {
                for (one, (case, number, code)) in played.iter().zip(wanted) {
                    let found = one
                        .record
                        .outcome
                        .code()
                        .map_or("passed", |code| code.name());
                    if found == code {
                        self.report.near_misses += 1;
                    } else {
                        let said = spoken(one);
                        self.problem(
                            &case,
                            format!(
                                "near miss {number} should be `{code}` and is `{found}`: {said}"
                            ),
                        );
                    }
                }
            }
        }
    }
}

/// Share of cases in which nothing is to be called and nobody is to be asked.
fn silent_share(cases: &[Case]) -> f64 {
    let silent = cases.iter().filter(|case| {
        case.all_rounds()
            .iter()
            .all(|round| round.expect.no_call && round.expect.ask_back.is_none())
    });
    silent.count() as f64 / cases.len().max(1) as f64
}

/// Outcome and findings of a trial in one line.
fn spoken(played: &Played) -> String {
    let record = &played.record;
    let outcome = record.outcome.code().map_or("passed", |code| code.name());
    let findings: Vec<&str> = record
        .violations
        .iter()
        .map(|violation| violation.message.as_str())
        .collect();
    format!("{outcome}: {}", findings.join("; "))
}

/// Tokens of a text, estimated without any model's vocabulary: per run of ASCII letters one token
/// for each four letters begun, one for each digit, punctuation mark and line break, one for each
/// other character. Tokenizers of the models shipped here stay below it on the shipped suites.
pub fn estimated_tokens(text: &str) -> u32 {
    let mut tokens = 0_u32;
    let mut letters = 0_u32;
    for character in text.chars() {
        if character.is_ascii_alphabetic() {
            letters += 1;
            continue;
        }
        tokens += letters.div_ceil(4);
        letters = 0;
        if character != ' ' {
            tokens += 1;
        }
    }
    tokens + letters.div_ceil(4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_estimated_from_runs() {
        assert_eq!(
            estimated_tokens("weather in Oslo: 12\n"),
            2 + 1 + 1 + 1 + 2 + 1
        );
        assert_eq!(estimated_tokens("東京"), 2);
        assert_eq!(estimated_tokens(""), 0);
    }
}
