//! What became of each tool in each cell: offered, expected, called, valid, right.
//!
//! Data in: header and trials that count; what each trial was offered, where that is on record. Data out:
//! one [`ToolUse`] per cell and tool, in plan order. Invariants: only scored trials count; what the
//! record does not hold is `None`, never 0; nothing is judged again, so a call counts as valid or wrong by
//! the findings on record.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::record::format::Header;
use crate::types::{Case, Stage, TrialRecord, Violation};

/// One tool of one cell, over its scored trials.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolUse {
    /// Id of the cell.
    pub cell: String,
    /// The tool's own name; one that nobody offered where a model made it up.
    pub tool: String,
    /// Trials in which it was offered.
    pub offered_trials: Option<usize>,
    /// Trials whose case asks for a call of it in its first accepted set of calls.
    pub expected_trials: Option<usize>,
    /// Of these, trials in which it was called.
    pub expected_called_trials: Option<usize>,
    /// Of these, successful trials.
    pub expected_successful_trials: Option<usize>,
    /// Trials in which it was called: a call of it went to the tool host.
    pub called_trials: usize,
    /// Of these, successful trials.
    pub called_successful_trials: usize,
    /// Calls that went to the tool host.
    pub calls: usize,
    /// Of these, calls that said that they failed, scripted errors aside.
    pub failed_calls: usize,
    /// Mean time of such a call in the tool host.
    pub mean_ms: Option<f64>,
    /// Calls read in first attempts that name it.
    pub read_calls: usize,
    /// Of these, calls without a finding of selection or schema.
    pub valid_calls: usize,
    /// Findings about its arguments, of attempts and of whole trials: code and JSON pointer, most
    /// frequent first.
    pub arguments: Vec<ArgumentFinding>,
}

/// How often one argument was wrong in one way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArgumentFinding {
    /// The code.
    pub code: &'static str,
    /// JSON pointer into the arguments; empty for the arguments as a whole.
    pub pointer: String,
    /// Findings.
    pub count: usize,
}

/// Counts while trials are read.
#[derive(Default)]
struct Tally {
    offered: usize,
    expected: usize,
    expected_called: usize,
    expected_successful: usize,
    called: usize,
    called_successful: usize,
    calls: usize,
    failed: usize,
    tool_ms: f64,
    timed: usize,
    read: usize,
    valid: usize,
    arguments: BTreeMap<(&'static str, String), usize>,
}

/// See [`ToolUse`]. `trials` are those that count; `offered` gives the names that a trial was offered,
/// `None` where that is not on record.
pub fn tool_use(
    header: &Header,
    trials: &[&TrialRecord],
    offered: &dyn Fn(&TrialRecord) -> Option<BTreeSet<String>>,
) -> Vec<ToolUse> {
    let mut cells: Vec<(&str, Vec<&TrialRecord>)> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for trial in trials.iter().filter(|trial| trial.outcome.is_scored()) {
        let place = *places.entry(&trial.cell_id).or_insert_with(|| {
            cells.push((&trial.cell_id, Vec::new()));
            cells.len() - 1
        });
        cells[place].1.push(trial);
    }
    let asked = asked(header);
    cells
        .into_iter()
        .flat_map(|(cell, trials)| of_cell(cell, &trials, &asked, offered))
        .collect()
}

/// Tools that a case asks for, by suite and case; nothing of suites without their cases' words.
type Asked<'a> = HashMap<(&'a str, &'a str), BTreeSet<String>>;

fn asked(header: &Header) -> Asked<'_> {
    let mut asked = Asked::new();
    for suite in &header.suites {
        for case in suite.cases.iter().filter(|case| is_whole(case)) {
            let rounds = case.all_rounds();
            let calls = rounds.iter().flat_map(|round| &round.expect.calls);
            let tools = calls.map(|call| call.tool.clone()).collect();
            asked.insert((&suite.suite, &case.id), tools);
        }
    }
    asked
}

/// A record without content keeps the names of its cases and nothing of what they ask.
fn is_whole(case: &Case) -> bool {
    case.expect.is_some() || !case.rounds.is_empty()
}

fn of_cell(
    cell: &str,
    trials: &[&TrialRecord],
    asked: &Asked<'_>,
    offered: &dyn Fn(&TrialRecord) -> Option<BTreeSet<String>>,
) -> Vec<ToolUse> {
    let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
    let mut knows_offers = true;
    let mut knows_cases = true;
    for trial in trials {
        match offered(trial) {
            Some(names) => names
                .into_iter()
                .for_each(|name| tallies.entry(name).or_default().offered += 1),
            None => knows_offers = false,
        }
        let called: BTreeSet<&str> = trial.calls.iter().map(|it| &*it.call.name).collect();
        let success = trial.outcome.is_success();
        match asked.get(&(trial.cell.suite.as_str(), trial.case.as_str())) {
            Some(names) => {
                for name in names {
                    let tally = tallies.entry(name.clone()).or_default();
                    tally.expected += 1;
                    tally.expected_called += usize::from(called.contains(name.as_str()));
                    tally.expected_successful += usize::from(success);
                }
            }
            None => knows_cases = false,
        }
        for name in called {
            let tally = tallies.entry(name.to_owned()).or_default();
            tally.called += 1;
            tally.called_successful += usize::from(success);
        }
        count_calls(trial, &mut tallies);
    }
    tallies
        .into_iter()
        .map(|(tool, tally)| finish(cell, tool, tally, knows_offers, knows_cases))
        .collect()
}

fn count_calls(trial: &TrialRecord, tallies: &mut BTreeMap<String, Tally>) {
    for call in &trial.calls {
        let tally = tallies.entry(call.call.name.clone()).or_default();
        tally.calls += 1;
        tally.failed += usize::from(call.is_error && !call.scripted_error);
        if !call.by_server && !trial.replayed {
            tally.tool_ms += call.tool_ms;
            tally.timed += 1;
        }
    }
    for attempt in &trial.attempts {
        if attempt.attempt == 1 && attempt.passed_over.is_none() {
            for (index, call) in attempt.strict.calls.iter().enumerate() {
                let wrong = |found: &Violation| {
                    matches!(found.code.stage(), Stage::Selection | Stage::Schema)
                        && found.call.is_none_or(|of| of == index)
                };
                let tally = tallies.entry(call.name.clone()).or_default();
                tally.read += 1;
                tally.valid += usize::from(!attempt.violations.iter().any(wrong));
            }
        }
        count_findings(&attempt.violations, tallies);
    }
    // What ended the trial in an attempt stands there already.
    let of_trial = trial.violations.iter().filter(|found| {
        let stage = found.code.stage();
        stage > Stage::Schema
    });
    count_findings(of_trial, tallies);
}

fn count_findings<'a>(
    found: impl IntoIterator<Item = &'a Violation>,
    tallies: &mut BTreeMap<String, Tally>,
) {
    for finding in found {
        if let Some(tool) = &finding.tool
            && matches!(finding.code.stage(), Stage::Schema | Stage::Value)
        {
            let key = (
                finding.code.name(),
                finding.pointer.clone().unwrap_or_default(),
            );
            let tally = tallies.entry(tool.clone()).or_default();
            *tally.arguments.entry(key).or_default() += 1;
        }
    }
}

fn finish(
    cell: &str,
    tool: String,
    tally: Tally,
    knows_offers: bool,
    knows_cases: bool,
) -> ToolUse {
    let mut arguments: Vec<ArgumentFinding> = tally
        .arguments
        .into_iter()
        .map(|((code, pointer), count)| ArgumentFinding {
            code,
            pointer,
            count,
        })
        .collect();
    arguments.sort_by_key(|found| std::cmp::Reverse(found.count));
    ToolUse {
        cell: cell.to_owned(),
        tool,
        offered_trials: knows_offers.then_some(tally.offered),
        expected_trials: knows_cases.then_some(tally.expected),
        expected_called_trials: knows_cases.then_some(tally.expected_called),
        expected_successful_trials: knows_cases.then_some(tally.expected_successful),
        called_trials: tally.called,
        called_successful_trials: tally.called_successful,
        calls: tally.calls,
        failed_calls: tally.failed,
        mean_ms: (tally.timed > 0).then(|| tally.tool_ms / tally.timed as f64),
        read_calls: tally.read,
        valid_calls: tally.valid,
        arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::latest_trials;
    use crate::metrics::testing::{Run, key};
    use crate::types::expectation::{CallExpectation, Expectation};
    use crate::types::{Code, Constraint, Suite};

    fn suite(cases: usize) -> Suite {
        let call = CallExpectation {
            tool: "weather.get".to_owned(),
            arguments: BTreeMap::new(),
            optional: BTreeMap::new(),
            id: None,
            after: Vec::new(),
        };
        let case = |number: usize| Case {
            id: format!("case-{number:02}"),
            expect: Some(Expectation {
                calls: vec![call.clone()],
                ..Expectation::default()
            }),
            ..Case::default()
        };
        Suite {
            suite: "quick".to_owned(),
            cases: (1..=cases).map(case).collect(),
            ..Suite::default()
        }
    }

    /// `P` and `F` call the tool, `M` only tries to, `V` is not scored.
    #[test]
    fn counts_by_hand() {
        let mut run = Run::new();
        run.cell(&key("a", Constraint::Off), "PFMV");
        run.header.suites = vec![suite(4)];
        let mut wrong = Violation::new(Code::WrongValue, "not Oslo");
        wrong.tool = Some("weather.get".to_owned());
        wrong.pointer = Some("/city".to_owned());
        run.trials[1].violations = vec![wrong];
        let trials = latest_trials(&run.trials);
        let offered = |_: &TrialRecord| Some(BTreeSet::from(["weather.get".to_owned()]));
        let found = tool_use(&run.header, &trials, &offered);
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!(
            (one.offered_trials, one.expected_trials),
            (Some(3), Some(3))
        );
        assert_eq!(one.expected_called_trials, Some(2));
        assert_eq!(one.expected_successful_trials, Some(1));
        assert_eq!((one.called_trials, one.called_successful_trials), (2, 1));
        assert_eq!((one.calls, one.failed_calls), (2, 0));
        assert_eq!((one.read_calls, one.valid_calls), (2, 2));
        assert_eq!(one.mean_ms, Some(0.5));
        assert_eq!(
            one.arguments,
            [ArgumentFinding {
                code: "wrong_value",
                pointer: "/city".to_owned(),
                count: 1
            }]
        );
    }

    #[test]
    fn what_is_not_on_record_is_not_zero() {
        let mut run = Run::new();
        run.cell(&key("a", Constraint::Off), "P");
        let trials = latest_trials(&run.trials);
        let found = tool_use(&run.header, &trials, &|_| None);
        assert_eq!(found[0].offered_trials, None);
        assert_eq!(found[0].expected_trials, None);
        assert_eq!(found[0].called_trials, 1);
    }
}
