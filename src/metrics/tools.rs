//! Tools: how often each was offered, expected, called and called rightly, what was wrong with its
//! arguments, and which tool was called in place of which.
//!
//! Data in: header, the latest line of each trial, and what the record holds of offered tools. Data
//! out: counts by row or cell, suite and tool. Invariants: only scored trials count; calls are paired with
//! what their case expects by the judge's own rules, and a trial whose pairs do not add up to the
//! counts that the judge left on it is left out and counted, because what they rest on was not kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::record::format::Header;
use crate::types::suite::{Ends, Round, Suite};
use crate::types::trial::CallCounts;
use crate::types::{
    Case, CellKey, Code, ContentHash, Stage, ToolCall, ToolDefinition, ToolResult, TrialRecord,
};
use crate::validate::{
    CallPair, ExecutedCall, JudgeInput, JudgedRound, ToolSchemas, counts_and_pairs,
};

/// A tool of a suite; equal names in two suites are two tools.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ToolKey {
    /// The suite.
    pub suite: String,
    /// The tool's own name.
    pub tool: String,
}

/// What became of a tool in one row.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ToolCounts {
    /// Scored trials in which it was offered; 0 where the record does not hold what was offered.
    pub offered: usize,
    /// Calls of it that cases expect.
    pub expected: usize,
    /// Calls of it that count, as [`CallCounts::made`] counts them, less those allowed besides. A call to
    /// a free tool, or one that ended in a scripted error or was put right later, counts only where it
    /// answers an expected one.
    pub called: usize,
    /// Of the expected calls, those in whose place the same tool was called.
    pub right_tool: usize,
    /// Of these, those with accepted arguments.
    pub right: usize,
    /// Calls of it that went to the tool host, of every scored trial.
    pub executed: usize,
    /// Of these, calls whose result said that they failed, scripted errors aside.
    pub failed: usize,
    /// Time in the tool host of those that were timed: not replayed, not run by the model's server.
    pub host_ms: f64,
    /// Calls behind `host_ms`.
    pub timed: usize,
}

/// What was wrong with an argument.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArgumentFault {
    /// The tool.
    pub key: ToolKey,
    /// JSON pointer into the arguments.
    pub pointer: String,
    /// The code.
    pub code: Code,
}

/// An expected tool and the one called in its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Confusion {
    /// The suite.
    pub suite: String,
    /// The tool expected; absent where nothing was.
    pub expected: Option<String>,
    /// The tool called; absent where nothing was.
    pub called: Option<String>,
}

/// Tools of one row without split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowTools {
    /// Counts of each tool.
    pub tools: BTreeMap<ToolKey, ToolCounts>,
    /// Findings about arguments: those of the schema on every attempt, those of the value at the
    /// end of a trial.
    pub faults: BTreeMap<ArgumentFault, usize>,
    /// Expected × called; sums to the counts above.
    pub confusions: BTreeMap<Confusion, usize>,
    /// Scored trials whose calls were paired.
    pub trials: usize,
    /// Their suites: of the tools of others nothing is known but calls and offers.
    pub paired_suites: BTreeSet<String>,
    /// Scored trials that are left out, because what their verdict rests on is not in the record.
    pub left_out: usize,
    /// Scored trials of which the record does not hold what was offered.
    pub unknown_offers: usize,
}

impl RowTools {
    /// What was wrong with the arguments of one tool: most frequent first.
    pub fn faults_of(&self, key: &ToolKey) -> Vec<(&ArgumentFault, usize)> {
        let own = self.faults.iter().filter(|(fault, _)| fault.key == *key);
        let mut found: Vec<_> = own.map(|(fault, count)| (fault, *count)).collect();
        found.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        found
    }
}

/// Tools of one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct CellTools {
    /// The cell's id.
    pub id: String,
    /// The cell.
    pub cell: CellKey,
    /// Its tools.
    pub tools: RowTools,
}

/// The tools of each cell, in the order in which `trials` meet them; `trials` are those that count.
pub fn by_cell<'a>(
    header: &'a Header,
    trials: &[&'a TrialRecord],
    offered: &'a OfferedTools<'a>,
) -> Vec<CellTools> {
    let mut cells: Vec<(&CellKey, &str, Vec<&TrialRecord>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for trial in trials.iter().filter(|trial| trial.outcome.is_scored()) {
        let place = *places.entry(&trial.cell_id).or_insert_with(|| {
            cells.push((&trial.cell, &trial.cell_id, Vec::new()));
            cells.len() - 1
        });
        cells[place].2.push(trial);
    }
    let mut counter = ToolCounter::new(header, offered);
    cells
        .into_iter()
        .map(|(cell, id, trials)| CellTools {
            id: id.to_owned(),
            cell: cell.clone(),
            tools: counter.row(trials.into_iter()),
        })
        .collect()
}

/// What the record holds of a list of offered tools, by its address.
pub type OfferedTools<'a> = dyn Fn(&ContentHash) -> Option<Vec<ToolDefinition>> + 'a;

/// Pairs calls with expectations; schemas are compiled once for each list of tools.
pub(super) struct ToolCounter<'a> {
    suites: HashMap<&'a str, (&'a Suite, HashMap<&'a str, &'a Case>)>,
    offered: &'a OfferedTools<'a>,
    offers: HashMap<Vec<&'a ContentHash>, Offer>,
}

/// What was offered in a trial; names and schemas are absent where the record does not hold them.
struct Offer {
    names: BTreeSet<String>,
    schemas: Option<ToolSchemas>,
}

impl<'a> ToolCounter<'a> {
    pub(super) fn new(header: &'a Header, offered: &'a OfferedTools<'a>) -> Self {
        let suites = header.suites.iter().map(|suite| {
            let cases = suite.cases.iter().map(|case| (case.id.as_str(), case));
            (suite.suite.as_str(), (suite, cases.collect()))
        });
        Self {
            suites: suites.collect(),
            offered,
            offers: HashMap::new(),
        }
    }

    /// The tools of a row's trials.
    pub(super) fn row(&mut self, trials: impl Iterator<Item = &'a TrialRecord>) -> RowTools {
        let mut row = RowTools::default();
        for trial in trials.filter(|trial| trial.outcome.is_scored()) {
            self.add(trial, &mut row);
        }
        row
    }

    fn add(&mut self, trial: &'a TrialRecord, row: &mut RowTools) {
        let key = |tool: &str| ToolKey {
            suite: trial.cell.suite.clone(),
            tool: tool.to_owned(),
        };
        let case = self
            .suites
            .get(trial.cell.suite.as_str())
            .and_then(|(suite, cases)| Some((*suite, *cases.get(trial.case.as_str())?)));
        let mut lists: Vec<&ContentHash> = Vec::new();
        for attempt in &trial.attempts {
            if !lists.contains(&&attempt.tools) {
                lists.push(&attempt.tools);
            }
        }
        let offered = self.offered;
        let offer = self
            .offers
            .entry(lists.clone())
            .or_insert_with(|| offer(&lists, offered));
        row.unknown_offers += usize::from(offer.names.is_empty());
        for name in &offer.names {
            row.tools.entry(key(name)).or_default().offered += 1;
        }
        for call in &trial.calls {
            let counts = row.tools.entry(key(&call.call.name)).or_default();
            counts.executed += 1;
            counts.failed += usize::from(call.is_error && !call.scripted_error);
            if !call.by_server && !trial.replayed {
                counts.host_ms += call.tool_ms;
                counts.timed += 1;
            }
        }
        for (violation, tool, pointer) in argument_findings(trial) {
            let fault = ArgumentFault {
                key: key(tool),
                pointer: pointer.to_owned(),
                code: violation,
            };
            *row.faults.entry(fault).or_default() += 1;
        }
        let own = case.and_then(|(suite, case)| own_schemas(suite, case, offer));
        let schemas = offer.schemas.as_ref().or(own.as_ref());
        let pairs = case
            .zip(schemas)
            .and_then(|((_, case), schemas)| pairs_of(trial, case, schemas));
        let Some(pairs) = pairs else {
            row.left_out += 1;
            return;
        };
        row.trials += 1;
        if !row.paired_suites.contains(&trial.cell.suite) {
            row.paired_suites.insert(trial.cell.suite.clone());
        }
        for pair in pairs {
            if let Some(expected) = &pair.expected {
                let counts = row.tools.entry(key(expected)).or_default();
                counts.expected += 1;
                counts.right_tool += usize::from(pair.called.as_ref() == Some(expected));
                counts.right += usize::from(pair.right);
            }
            if let Some(called) = &pair.called {
                row.tools.entry(key(called)).or_default().called += 1;
            }
            let confusion = Confusion {
                suite: trial.cell.suite.clone(),
                expected: pair.expected,
                called: pair.called,
            };
            *row.confusions.entry(confusion).or_default() += 1;
        }
    }
}

fn offer(lists: &[&ContentHash], offered: &OfferedTools<'_>) -> Offer {
    let known: Option<Vec<Vec<ToolDefinition>>> = lists.iter().map(|hash| offered(hash)).collect();
    let Some(known) = known.filter(|lists| !lists.is_empty()) else {
        return Offer {
            names: BTreeSet::new(),
            schemas: None,
        };
    };
    let mut tools: Vec<ToolDefinition> = Vec::new();
    for tool in known.into_iter().flatten() {
        if !tools.iter().any(|seen| seen.name == tool.name) {
            tools.push(tool);
        }
    }
    Offer {
        names: tools.iter().map(|tool| tool.name.clone()).collect(),
        schemas: ToolSchemas::compile(&tools).ok(),
    }
}

/// The schemas that the suite itself states, where the record does not hold what was offered.
fn own_schemas(suite: &Suite, case: &Case, offer: &Offer) -> Option<ToolSchemas> {
    if offer.schemas.is_some() {
        return None;
    }
    let tools = suite.tools.iter().chain(&case.own_tools);
    let tools: Vec<ToolDefinition> = tools.cloned().collect();
    ToolSchemas::compile(&tools)
        .ok()
        .filter(|_| !tools.is_empty())
}

/// Code, tool and pointer of every finding about an argument.
fn argument_findings(trial: &TrialRecord) -> impl Iterator<Item = (Code, &str, &str)> {
    let of_attempts = trial
        .attempts
        .iter()
        .filter(|attempt| attempt.passed_over.is_none())
        .flat_map(|attempt| &attempt.violations)
        .filter(|found| found.code.stage() == Stage::Schema);
    let of_trial = trial
        .violations
        .iter()
        .filter(|found| found.code.stage() == Stage::Value);
    of_attempts.chain(of_trial).filter_map(|found| {
        Some((
            found.code,
            found.tool.as_deref()?,
            found.pointer.as_deref()?,
        ))
    })
}

/// The pairs of a trial; `None` where they do not add up to what the judge counted.
fn pairs_of(trial: &TrialRecord, case: &Case, schemas: &ToolSchemas) -> Option<Vec<CallPair>> {
    let judged = trial.call_counts?;
    let rounds = case.all_rounds();
    let begun = trial.attempts.last()?.round as usize + 1;
    let executed: Vec<Vec<ExecutedCall>> = (0..rounds.len())
        .map(|round| executed_in(trial, round as u32))
        .collect();
    let played: Vec<JudgedRound<'_>> = rounds
        .iter()
        .zip(&executed)
        .take(begun)
        .map(|(round, calls): (&Round, _)| JudgedRound {
            expectation: &round.expect,
            user: &round.user,
            calls,
            answer: None,
            end_state: None,
        })
        .collect();
    let unbegun: Vec<_> = rounds.iter().skip(begun).map(|it| &it.expect).collect();
    let input = JudgeInput {
        rounds: &played,
        schemas,
        ends: Ends::default(),
        same_turn: false,
        known_texts: &[],
    };
    let (counts, pairs) = counts_and_pairs(&input, &unbegun);
    let calls = |counts: &CallCounts| {
        let CallCounts {
            expected,
            made,
            right_tool,
            matched,
            extra,
            ..
        } = *counts;
        (expected, made, right_tool, matched, extra)
    };
    (calls(&counts) == calls(&judged)).then_some(pairs)
}

/// The calls of a round as the judge saw them; what a failing host never answered it did not see.
fn executed_in(trial: &TrialRecord, round: u32) -> Vec<ExecutedCall> {
    trial
        .calls
        .iter()
        .filter(|record| record.round == round && record.result.is_some())
        .map(|record| ExecutedCall {
            turn: record.turn,
            call: ToolCall::new(record.call.name.clone(), record.call.arguments.clone()),
            result: ToolResult {
                is_error: record.is_error,
                scripted_error: record.scripted_error,
                ..ToolResult::ok("")
            },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::metrics::detail::detail;
    use crate::metrics::testing::{Run, key};
    use crate::types::Constraint;

    /// Seven cases: right, wrong value, rightly no call, wrongly a call, unreadable, not scored, and
    /// another tool.
    fn run() -> Run {
        let mut run = Run::new();
        run.cell(&key("one", Constraint::Off), "PFNUMVP");
        let call = |tool: &str, city: &str| json!({"calls": [{"tool": tool, "arguments": {"city": city}}]});
        let expected = [
            call("weather.get", "Oslo"),
            call("weather.get", "Bergen"),
            json!({"no_call": true}),
            json!({"no_call": true}),
            call("weather.get", "Oslo"),
            call("weather.get", "Oslo"),
            call("weather.list", "Oslo"),
        ];
        let cases: Vec<Value> = expected
            .into_iter()
            .enumerate()
            .map(|(index, expect)| {
                json!({"id": format!("case-{:02}", index + 1), "user": "?", "expect": expect})
            })
            .collect();
        let suite = json!({"suite": "quick", "cases": cases});
        run.header.suites = vec![serde_json::from_value(suite).unwrap()];
        let counts = run.trials[6].call_counts.as_mut().unwrap();
        (counts.right_tool, counts.matched, counts.extra) = (0, 0, 1);
        run
    }

    fn tools(run: &Run, offered: &OfferedTools<'_>) -> RowTools {
        detail(&run.header, &run.trials, None, offered)
            .tools
            .remove(0)
            .1
    }

    #[allow(clippy::unnecessary_wraps)] // The shape of `OfferedTools`.
    fn weather(_: &ContentHash) -> Option<Vec<ToolDefinition>> {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let tool = |name: &str| json!({"name": name, "inputSchema": schema});
        Some(vec![
            serde_json::from_value(tool("weather.get")).unwrap(),
            serde_json::from_value(tool("weather.list")).unwrap(),
        ])
    }

    #[test]
    fn calls_by_hand() {
        let found = tools(&run(), &weather);
        assert_eq!((found.trials, found.left_out), (6, 0));
        let counts = |tool: &str| {
            let found = found.tools[&ToolKey {
                suite: "quick".to_owned(),
                tool: tool.to_owned(),
            }];
            [
                found.offered,
                found.expected,
                found.called,
                found.right_tool,
                found.right,
            ]
        };
        assert_eq!(counts("weather.get"), [6, 3, 4, 2, 1]);
        assert_eq!(counts("weather.list"), [6, 1, 0, 0, 0]);
        let pair = |expected: Option<&str>, called: Option<&str>| Confusion {
            suite: "quick".to_owned(),
            expected: expected.map(str::to_owned),
            called: called.map(str::to_owned),
        };
        let confusions: Vec<(Confusion, usize)> = found.confusions.into_iter().collect();
        let (get, list) = (Some("weather.get"), Some("weather.list"));
        assert_eq!(
            confusions,
            [
                (pair(None, get), 1),
                (pair(get, None), 1),
                (pair(get, get), 2),
                (pair(list, get), 1),
            ]
        );
    }

    #[test]
    fn what_the_record_cannot_show_again_is_left_out() {
        let mut altered = run();
        // Redacted, say: the call no longer answers what was expected.
        altered.trials[0].calls[0].call.arguments = json!({"city": "[redacted:1]"});
        let found = tools(&altered, &weather);
        assert_eq!((found.trials, found.left_out), (5, 1));
        // Neither tools nor expectations.
        let mut bare = run();
        bare.header.suites[0].cases.clear();
        let found = tools(&bare, &|_| None);
        assert_eq!((found.trials, found.left_out), (0, 6));
        let of = |counts: &ToolCounts| (counts.offered, counts.expected, counts.called);
        assert!(found.tools.values().all(|counts| of(counts) == (0, 0, 0)));
        assert!(found.confusions.is_empty());
        assert_eq!(found.unknown_offers, 6);
    }
}
