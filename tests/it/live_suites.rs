//! Every suite of a real server against that server: every single value that a case accepts is
//! right there, and the facts that answers must hold are in the server's results.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use toolbench::suite::Library;
use toolbench::tools::sandbox::with_sandbox_path;
use toolbench::types::expectation::{CallExpectation, Expectation};
use toolbench::types::matcher::Matcher;
use toolbench::types::suite::Ends;
use toolbench::types::{Case, Suite};

use crate::support::{Context, json_lines, skip, stderr};

/// Cases whose answer follows from results without standing in them.
const CONCLUSIONS: [&str; 5] = [
    "everything-two-cities",
    "fs-answer-total",
    "memory-answer-unknown",
    "time-difference",
    "time-end-of-call",
];

const REFUSAL: &str = "I am sorry, I cannot help with that.";

#[test]
fn filesystem_accepts_what_its_server_does() {
    suite_holds("filesystem");
}

#[test]
fn everything_accepts_what_its_server_does() {
    suite_holds("everything");
}

#[test]
fn time_accepts_what_its_server_does() {
    suite_holds("time");
}

#[test]
fn git_accepts_what_its_server_does() {
    suite_holds("git");
}

#[test]
fn memory_accepts_what_its_server_does() {
    suite_holds("memory");
}

fn suite_holds(name: &str) {
    let Some(context) = installed(name) else {
        return;
    };
    let suite = Library::default().load(name).unwrap().remove(0);
    assert!(suite.cases.len() >= 10, "{} cases", suite.cases.len());
    assert!(
        suite
            .cases
            .iter()
            .all(|case| case.rounds.is_empty() && !case.same_turn),
        "the agents below play single rounds, one call a reply"
    );
    // Schemas, near misses and agents without understanding, on the running server.
    let line = context.expect(0, &["suite", "check", name]);
    assert!(line.trim_end().ends_with("sound"), "{line}");
    let mut wrong = Vec::new();
    let mut tried = BTreeSet::new();
    let oracle = Played::new(&context, &suite, |case| oracle_plays(case, &mut tried));
    for case in &suite.cases {
        assert!(!oracle.of(case).is_empty(), "{} has no oracle", case.id);
        for trial in oracle.of(case) {
            let passed = trial["outcome"]["kind"] == "passed";
            // An accepted call that the server refuses is no right answer.
            let refused = calls(trial).any(|call| call["is_error"] == true);
            if !passed || (refused && case.category != "recovery") {
                wrong.push(oracle.told("a right answer fails", trial));
            } else if !CONCLUSIONS.contains(&case.id.as_str()) && !oracle.holds_fact(case, trial) {
                wrong.push(oracle.told("the results do not hold the fact", trial));
            }
        }
    }
    let refusing = Played::new(&context, &suite, |_| vec![vec![say(REFUSAL)]]);
    for case in &suite.cases {
        let expectation = case.expect.as_ref().unwrap();
        let words = Value::from(REFUSAL);
        let may_refuse = expectation.no_call
            && expectation
                .answer
                .as_ref()
                .is_none_or(|matcher| matcher.matches(&words));
        for trial in refusing.of(case) {
            if (trial["outcome"]["kind"] == "passed") != may_refuse {
                wrong.push(refusing.told("refusing is judged wrongly", trial));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn installed(name: &str) -> Option<Context> {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return None;
    };
    let installed = context.run(&["suite", "install", name]);
    if installed.status.code() == Some(3) {
        skip("server", &stderr(&installed));
        return None;
    }
    assert!(installed.status.success(), "{}", stderr(&installed));
    Some(context)
}

/// What a scripted agent says in one trial.
type Play = Vec<String>;

/// A suite with one case for each play, and what came of it.
struct Played {
    trials: BTreeMap<String, Vec<Value>>,
    contents: BTreeMap<String, Value>,
}

impl Played {
    fn new(context: &Context, suite: &Suite, mut plays: impl FnMut(&Case) -> Vec<Play>) -> Self {
        let sandbox = context.path("sandbox").join("sandbox").join(&suite.suite);
        let resolved = with_sandbox_path(suite, &sandbox).unwrap();
        let mut cases = Vec::new();
        let mut replies = serde_json::Map::new();
        for (case, resolved) in suite.cases.iter().zip(&resolved.cases) {
            for (index, play) in plays(resolved).into_iter().enumerate() {
                let id = format!("{}-{index}", case.id);
                replies.insert(id.clone(), json!(play));
                cases.push(Case { id, ..case.clone() });
            }
        }
        let played = Suite {
            cases,
            ..suite.clone()
        };
        if played.cases.is_empty() {
            return Self {
                trials: BTreeMap::new(),
                contents: BTreeMap::new(),
            };
        }
        let runs = context.runs().len();
        context.write("played.json", &serde_json::to_string(&played).unwrap());
        let script = json!({"name": "agent", "replies": replies});
        context.write("agent.yaml", &script.to_string());
        let output = context.run(&[
            "run",
            "scripted:agent.yaml",
            "--suite",
            "played.json",
            "--constraint",
            "off",
            "-q",
        ]);
        let all = context.runs();
        assert_eq!(all.len(), runs + 1, "{}", stderr(&output));
        // Names of runs begin with the second; the newest is the one that has these trials.
        let folder = all
            .iter()
            .max_by_key(|folder| folder.metadata().and_then(|of| of.modified()).unwrap())
            .unwrap();
        let mut trials: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for trial in json_lines(&folder.join("trials.jsonl")) {
            let id = trial["case"].as_str().unwrap();
            let (case, _) = id.rsplit_once('-').unwrap();
            trials.entry(case.to_owned()).or_default().push(trial);
        }
        let contents = json_lines(&folder.join("content.jsonl"))
            .into_iter()
            .map(|line| {
                (
                    line["hash"].as_str().unwrap().to_owned(),
                    line["value"].clone(),
                )
            })
            .collect();
        Self { trials, contents }
    }

    fn of(&self, case: &Case) -> &[Value] {
        self.trials.get(&case.id).map_or(&[], Vec::as_slice)
    }

    /// What the tools returned in a trial.
    fn results(&self, trial: &Value) -> String {
        let results: Vec<&str> = calls(trial)
            .map(|call| &self.contents[call["result"].as_str().unwrap()])
            .map(|result| result["content"].as_str().unwrap())
            .collect();
        results.join("\n")
    }

    /// The answer's condition holds of the plain results, so a model can know what it must say.
    fn holds_fact(&self, case: &Case, trial: &Value) -> bool {
        let expectation = case.expect.as_ref().unwrap();
        expectation.no_call
            || expectation
                .answer
                .as_ref()
                .is_none_or(|matcher| matcher.matches(&Value::String(self.results(trial))))
    }

    fn told(&self, what: &str, trial: &Value) -> String {
        let calls: Vec<String> = calls(trial)
            .map(|call| call["call"]["arguments"].to_string())
            .collect();
        format!(
            "{}: {what}\n  calls {}\n  answer {}\n  outcome {}, {}\n  results {}",
            trial["case"],
            calls.join(" "),
            trial["answer"],
            trial["outcome"],
            trial["violations"],
            self.results(trial).replace('\n', " | ")
        )
    }
}

fn calls(trial: &Value) -> impl Iterator<Item = &Value> {
    trial["calls"].as_array().into_iter().flatten()
}

fn say(answer: &str) -> String {
    json!({"answer": answer}).to_string()
}

/// Every accepted set of calls, with every accepted value in turn, and a right answer. A value that
/// was tried in another case for the same argument of the same tool is not tried again.
fn oracle_plays(case: &Case, tried: &mut BTreeSet<String>) -> Vec<Play> {
    let expectation = case.expect.clone().unwrap();
    let answer = right_answer(&expectation);
    if !expectation.wants_calls() {
        return vec![vec![say(&answer)]];
    }
    let mut plays = Vec::new();
    for set in expectation.accepted_sets() {
        let options: Vec<Vec<Value>> = set.iter().map(calls_of).collect();
        let most = options.iter().map(Vec::len).max().unwrap_or_default();
        for turn in 0..most {
            let calls: Vec<&Value> = options
                .iter()
                .map(|options| &options[turn % options.len()])
                .collect();
            let is_new = calls.iter().fold(false, |is_new, call| {
                arguments(call).fold(is_new, |is_new, one| tried.insert(one) || is_new)
            });
            if turn > 0 && !is_new {
                continue;
            }
            let mut play: Play = calls.iter().map(ToString::to_string).collect();
            if case.ends == Ends::Answer {
                play.push(say(&answer));
            }
            plays.push(play);
        }
    }
    plays
}

/// Each argument of a call with its tool.
fn arguments(call: &Value) -> impl Iterator<Item = String> {
    let tool = call["tool"].clone();
    call["arguments"]
        .as_object()
        .into_iter()
        .flatten()
        .map(move |(name, value)| format!("{tool} {name} {value}"))
}

fn right_answer(expectation: &Expectation) -> String {
    if expectation.ask_back.is_some() {
        return "Which name, person, message, number, city, time or fact do you mean?".to_owned();
    }
    let matcher = expectation.answer.as_ref();
    let example = matcher.map(|matcher| {
        matcher
            .example()
            .unwrap_or_else(|| panic!("no example of {matcher:?}"))
    });
    example.map_or_else(
        || "Done.".to_owned(),
        |value| value.as_str().unwrap().to_owned(),
    )
}

/// The call with each accepted value in turn, last with all optional arguments.
fn calls_of(expected: &CallExpectation) -> Vec<Value> {
    let required = fields(&expected.arguments);
    let mut calls = required.clone();
    if let Some(optional) = fields(&expected.optional).last() {
        let mut full = required[0].clone();
        full.as_object_mut()
            .unwrap()
            .extend(optional.as_object().unwrap().clone());
        calls.push(full);
    }
    calls
        .into_iter()
        .map(|arguments| json!({"tool": expected.tool, "arguments": arguments}))
        .collect()
}

/// Objects that give each field each of its values at least once.
fn fields(matchers: &BTreeMap<String, Matcher>) -> Vec<Value> {
    let options: BTreeMap<&String, Vec<Value>> = matchers
        .iter()
        .map(|(name, matcher)| (name, values_of(matcher)))
        .filter(|(_, values)| !values.is_empty())
        .collect();
    let most = options.values().map(Vec::len).max().unwrap_or(1);
    (0..most)
        .map(|turn| {
            options
                .iter()
                .map(|(name, values)| ((*name).clone(), values[turn % values.len()].clone()))
                .collect::<serde_json::Map<_, _>>()
                .into()
        })
        .collect()
}

/// Every value that a matcher states outright.
fn values_of(matcher: &Matcher) -> Vec<Value> {
    match matcher {
        Matcher::AnyOf(options) => options.iter().flat_map(values_of).collect(),
        Matcher::Object(map) | Matcher::Subset(map) => fields(map),
        Matcher::List(items) | Matcher::Unordered(items) => {
            let options: Vec<Vec<Value>> = items.iter().map(values_of).collect();
            let most = options.iter().map(Vec::len).max().unwrap_or(1);
            let mut lists: Vec<Value> = (0..most)
                .map(|turn| {
                    options
                        .iter()
                        .map(|values| values[turn % values.len()].clone())
                        .collect()
                })
                .collect();
            if matches!(matcher, Matcher::Unordered(_)) {
                let mut reversed = lists[0].clone();
                reversed.as_array_mut().unwrap().reverse();
                lists.push(reversed);
            }
            lists
        }
        other => other.example().into_iter().collect(),
    }
}

/// A suite may name a tool that reads the environment; what it finds there is no secret of ours.
#[test]
fn a_server_sees_no_variable_of_ours() {
    let Some(context) = installed("everything") else {
        return;
    };
    let shipped = Library::default().load("everything").unwrap().remove(0);
    let mut server = shipped.server.unwrap();
    assert!(!server.allow.iter().any(|tool| tool == "get-env"));
    server.allow = vec!["get-env".to_owned()];
    let suite: Suite = serde_json::from_value(json!({"suite": "leak", "description": "d",
        "server": server, "cases": [{"id": "leak", "category": "c", "why": "w", "user": "u",
            "expect": {"calls": [{"tool": "get-env"}]}}]}))
    .unwrap();
    context.write("leak.json", &serde_json::to_string(&suite).unwrap());
    context.write(
        "agent.yaml",
        r#"{"name": "a", "otherwise": "{\"tool\":\"get-env\",\"arguments\":{}}"}"#,
    );
    let output = context
        .command(&[
            "run",
            "scripted:agent.yaml",
            "--suite",
            "leak.json",
            "--constraint",
            "off",
            "-q",
        ])
        .env("OPENAI_API_KEY", "planted-4711")
        .output()
        .unwrap();
    let record = std::fs::read_to_string(context.only_run().join("content.jsonl")).unwrap();
    assert!(record.contains("C.UTF-8"), "{}", stderr(&output));
    assert!(!record.contains("planted-4711") && !record.contains("OPENAI_API_KEY"));
}
