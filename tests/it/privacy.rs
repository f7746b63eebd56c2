//! What is kept of a run, what is blotted out, and what is removed.

use std::path::Path;

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr, stdout};

/// Planted in a question, a system prompt, a reply, arguments, a result, a state and an answer.
const KEY: &str = "sk-live-4242424242";
const PATTERN: &str = "sk-live-[0-9]+";

fn suite() -> String {
    TINY_SUITE
        .replace(
            "system: You help with clocks.",
            &format!("system: You help with clocks. The key is {KEY}."),
        )
        .replace(
            "what time is it in UTC?",
            &format!("what time is it in {KEY}?"),
        )
        .replace("{zone: UTC}", &format!("{{zone: {KEY}}}"))
        .replace(
            "state: {alarms: []}",
            &format!("state: {{alarms: [], owner: {{name: {KEY}}}}}"),
        )
        .replace("The time in a zone.", &format!("The time for {KEY}."))
        .replace("thanks!", &format!("thanks for {KEY}!"))
}

fn script() -> String {
    RIGHT_SCRIPT
        .replace("\"UTC\"", &format!("\"{KEY}\""))
        .replace("You are welcome.", &format!("You are welcome to {KEY}."))
        .replace(
            "t-alarm: ['",
            &format!(
                "t-alarm: ['{{\"tool\":\"set_alarm\",\"arguments\":{{\"hour\":\"{KEY}\"}}}}', '"
            ),
        )
}

fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", &suite());
    context.write("model.yaml", &script());
    context
}

fn run<'a>(further: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "run",
        "scripted:model.yaml",
        "--constraint",
        "off",
        "--suite",
        "tiny.yaml",
        "-q",
    ];
    all.extend(further);
    all
}

/// Files of a run that hold a text.
fn holding(run: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(run).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap();
        if String::from_utf8_lossy(&bytes).contains(text) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.sort();
    found
}

/// Everything of the trials that no redaction and no retention may touch.
fn verdicts(run: &Path) -> Vec<Value> {
    json_lines(&run.join("trials.jsonl"))
        .into_iter()
        .map(|trial| {
            serde_json::json!([
                trial["id"],
                trial["case"],
                trial["outcome"],
                trial["first_attempt_success"],
                trial["corrections"],
                trial["call_counts"],
                trial["case_hash"],
                trial["offer_hash"],
                trial["attempts"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|attempt| {
                        serde_json::json!([
                            attempt["usage"],
                            attempt["valid_calls"],
                            attempt["stop_reason"]
                        ])
                    })
                    .collect::<Vec<_>>(),
                trial["violations"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|v| v["code"].clone())
                    .collect::<Vec<_>>(),
            ])
        })
        .collect()
}

/// The rates that reports show.
fn rates(context: &Context) -> Value {
    let output = context.run(&["report", "--format", "json"]);
    let mut report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let row = &mut report["totals"][0];
    serde_json::json!([
        row["success"],
        row["calls"],
        row["abstention"],
        row["trigger"],
        row["corrections"]["recovery"],
        row["against_expected"],
        row["tokens"],
        row["failures"]
    ])
}

#[test]
fn a_planted_key_is_nowhere_in_a_redacted_run_and_changes_no_verdict() {
    let plain = prepared();
    plain.expect(0, &run(&[]));
    let everywhere = holding(&plain.only_run(), KEY);
    assert_eq!(
        everywhere,
        ["content.jsonl", "header.json", "trials.jsonl"],
        "the key is planted"
    );

    let redacted = prepared();
    let output = redacted.run(&run(&["--redact", PATTERN, "-vv"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let directory = redacted.only_run();
    assert_eq!(holding(&directory, KEY), Vec::<String>::new());
    assert_eq!(
        holding(&directory, "sk-live"),
        Vec::<String>::new(),
        "the pattern neither"
    );
    assert!(!stderr(&output).contains(KEY) && !stdout(&output).contains(KEY));
    assert_eq!(holding(&directory, "[redacted:1]"), everywhere);
    assert_eq!(verdicts(&directory), verdicts(&plain.only_run()));
    assert_eq!(rates(&redacted), rates(&plain));

    let header: Value =
        serde_json::from_str(&std::fs::read_to_string(directory.join("header.json")).unwrap())
            .unwrap();
    assert_eq!(header["privacy"]["retain"], "full");
    assert_eq!(header["privacy"]["patterns"].as_array().unwrap().len(), 1);
    let settings = header["settings"].as_array().unwrap();
    let setting = settings.iter().find(|one| one["name"] == "redact").unwrap();
    assert_eq!(setting["value"], "1 pattern");
    // Every address is still that of what is kept.
    let content = json_lines(&directory.join("content.jsonl"));
    let addresses: Vec<&Value> = content.iter().map(|line| &line["hash"]).collect();
    for trial in json_lines(&directory.join("trials.jsonl")) {
        for attempt in trial["attempts"].as_array().unwrap() {
            assert!(
                addresses.contains(&&attempt["prompt"]),
                "{}",
                attempt["prompt"]
            );
            assert!(
                addresses.contains(&&attempt["reply"]),
                "{}",
                attempt["reply"]
            );
        }
    }
}

#[test]
fn patterns_may_hold_commas_and_come_from_variable_and_file() {
    let context = prepared();
    context.write(
        "toolbench.toml",
        "redact = [\"sk-live-[0-9]{4,20}\", \"clocks\"]\n",
    );
    context.expect(0, &run(&[]));
    let directory = context.only_run();
    assert_eq!(holding(&directory, KEY), Vec::<String>::new());
    assert_eq!(holding(&directory, "clocks"), Vec::<String>::new());
    let other = prepared();
    let mut command = other.command(&run(&[]));
    command.env("TOOLBENCH_REDACT", "sk-live-[0-9]{4,20}");
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    assert_eq!(holding(&other.only_run(), KEY), Vec::<String>::new());
}

#[test]
fn less_is_kept_and_the_numbers_stay() {
    let full = prepared();
    full.expect(0, &run(&[]));
    for retain in ["calls", "none"] {
        let context = prepared();
        context.expect(0, &run(&["--retain", retain]));
        let directory = context.only_run();
        assert_eq!(verdicts(&directory), verdicts(&full.only_run()), "{retain}");
        assert_eq!(rates(&context), rates(&full), "{retain}");
        assert_eq!(json_lines(&directory.join("content.jsonl")).len(), 0);
        let files = holding(&directory, KEY);
        match retain {
            // Arguments are calls; what was asked and answered is not.
            "calls" => assert_eq!(files, ["trials.jsonl"]),
            _ => assert_eq!(files, Vec::<String>::new()),
        }
        assert_eq!(holding(&directory, "You are welcome"), Vec::<String>::new());
        assert_eq!(holding(&directory, "wake me"), Vec::<String>::new());
        let trials = json_lines(&directory.join("trials.jsonl"));
        let time = trials
            .iter()
            .find(|trial| trial["case"] == "t-time")
            .unwrap();
        let zone = &time["calls"][0]["call"]["arguments"]["zone"];
        assert_eq!(zone.is_string(), retain == "calls");
        assert!(time["attempts"][0]["reply"].is_string(), "its hash stays");
        assert!(time["time"]["total_ms"].as_f64().is_some());
        context.expect(0, &["report"]);
        context.expect(0, &["report", "--canonical"]);
    }
}

#[test]
fn what_is_not_possible_without_content_is_said() {
    let context = prepared();
    context.expect(0, &run(&["--retain", "none"]));
    let text = context.expect_error(2, &["rescore", "latest"]);
    assert!(
        text.contains("`--retain none`: it holds no replies"),
        "{text}"
    );
    context.write("mine.yaml", TINY_SUITE);
    let text = context.expect_error(
        2,
        &[
            "suite",
            "add-case",
            "--from",
            "latest:t-time",
            "--suite",
            "./mine.yaml",
        ],
    );
    assert!(text.contains("no case can be made of it"), "{text}");
    // It resumes: cut a trial off, and go on.
    let trials = context.only_run().join("trials.jsonl");
    let lines = std::fs::read_to_string(&trials).unwrap();
    let two = lines.match_indices('\n').nth(1).unwrap().0;
    std::fs::write(&trials, &lines[..=two]).unwrap();
    let text = context.expect_error(2, &["run", "--resume", "latest", "--retain", "full"]);
    assert!(text.contains("was begun with `--retain none`"), "{text}");
    context.expect(0, &["run", "--resume", "latest", "-q"]);
    assert_eq!(std::fs::read_to_string(&trials).unwrap().lines().count(), 3);
    assert_eq!(holding(&context.only_run(), KEY), Vec::<String>::new());
    let shown = context.expect(0, &["runs", "show", "latest"]);
    assert!(shown.contains("cannot be rescored"), "{shown}");
}

#[test]
fn a_redacted_run_resumes_with_the_same_patterns_only() {
    let context = prepared();
    context.expect(3, &run(&["--redact", PATTERN, "--limit-requests", "10"]));
    for flags in [&[][..], &["--redact", "other"][..]] {
        let mut arguments = vec!["run", "--resume", "latest", "--limit-requests", "1000"];
        arguments.extend(flags);
        let text = context.expect_error(2, &arguments);
        assert!(text.contains("redaction pattern"), "{text}");
        assert!(!text.contains("sk-live"), "{text}");
    }
    context.expect(
        0,
        &[
            "run",
            "--resume",
            "latest",
            "--limit-requests",
            "1000",
            "--redact",
            PATTERN,
            "-q",
        ],
    );
    assert_eq!(
        json_lines(&context.only_run().join("trials.jsonl")).len(),
        3
    );
    assert_eq!(holding(&context.only_run(), KEY), Vec::<String>::new());
}

#[test]
fn rescoring_leaves_out_what_was_redacted_and_judges_the_rest() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    // Only the zone is blotted out: in the case t-time and its reply.
    context.expect(0, &run(&["--redact", "UTC"]));
    let output = context.run(&["rescore", "latest"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("1 trial left out") && said.contains("t-time: its case was redacted"),
        "{said}"
    );
    let text = context.expect_error(
        2,
        &[
            "rescore",
            context.runs()[0].to_str().unwrap(),
            "--suite",
            "tiny.yaml",
        ],
    );
    assert!(
        text.contains("would bring back what was blotted out"),
        "{text}"
    );
}

#[test]
fn exports_are_redacted_and_cut_too() {
    let context = prepared();
    context.expect(0, &run(&[]));
    let whole = context.expect(0, &["report", "--format", "jsonl"]);
    assert!(whole.contains(KEY));
    let blotted = context.expect(0, &["report", "--format", "jsonl", "--redact", PATTERN]);
    assert!(!blotted.contains(KEY) && blotted.contains("[redacted:1]"));
    assert_eq!(blotted.lines().count(), 3);
    let bare = context.expect(0, &["report", "--format", "jsonl", "--retain", "none"]);
    assert!(!bare.contains(KEY) && !bare.contains("You are welcome"));
    let calls = context.expect(0, &["report", "--format", "jsonl", "--retain", "calls"]);
    assert!(calls.contains(KEY) && !calls.contains("You are welcome"));
    context.expect(0, &["report", "--format", "json", "--redact", PATTERN]);
    let text = context.expect_error(2, &["report", "--retain", "some"]);
    assert!(text.contains("is not one of full, calls, none"), "{text}");
    let text = context.expect_error(2, &["report", "--redact", "sk-(live"]);
    assert!(
        text.contains("pattern 1 is no regular expression") && !text.contains("sk-("),
        "{text}"
    );
    assert!(
        context
            .expect_error(2, &run(&["--redact", "x*"]))
            .contains("matches the empty text")
    );
}

/// A run whose every stamp says that it was used long ago.
fn age(run: &Path) {
    for name in ["header.json", "executions.jsonl", "trials.jsonl"] {
        let path = run.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let year = text
            .find("_at\": \"20")
            .map(|at| at + 7)
            .or_else(|| text.find("_at\":\"20").map(|at| at + 6));
        let year = &text[year.unwrap()..][..4].to_owned();
        std::fs::write(&path, text.replace(&format!("\"{year}-"), "\"2020-")).unwrap();
    }
}

#[test]
fn runs_are_listed_shown_and_pruned() {
    let context = prepared();
    context.expect(0, &run(&[]));
    let old = context.only_run();
    age(&old);
    context.expect(0, &run(&["--seed", "2"]));
    let list = context.expect(0, &["runs", "list"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(
        list.contains("complete") && list.contains("3 of 3"),
        "{list}"
    );
    let json: Value =
        serde_json::from_str(&context.expect(0, &["runs", "list", "--format", "json"])).unwrap();
    let bytes: u64 = json["runs"]
        .as_array()
        .unwrap()
        .iter()
        .find(|run| old.ends_with(run["run"].as_str().unwrap()))
        .and_then(|run| run["bytes"].as_u64())
        .unwrap();
    assert!(bytes > 1000);
    let shown: Value = serde_json::from_str(&context.expect(
        0,
        &["runs", "show", old.to_str().unwrap(), "--format", "json"],
    ))
    .unwrap();
    assert_eq!(shown["outcomes"]["passed"], 2);
    assert_eq!(shown["outcomes"]["recovered"], 1);
    context.expect(0, &["runs", "show"]);

    // Nobody to ask: nothing goes.
    let text = context.expect_error(2, &["runs", "prune", "--older-than", "30d"]);
    assert!(text.contains("nothing was removed: 1 run"), "{text}");
    assert_eq!(context.runs().len(), 2);
    let out = context.expect(0, &["runs", "prune", "--older-than", "30d", "--yes"]);
    assert!(
        out.contains("removed ") && out.contains("1 run removed"),
        "{out}"
    );
    assert_eq!(context.runs().len(), 1);
    assert!(!old.exists());
    let out = context.expect(
        0,
        &["runs", "prune", "--older-than", "30d", "--format", "json"],
    );
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["bytes"], 0);
    let text = context.expect_error(2, &["runs", "prune", "--older-than", "3 years"]);
    assert!(text.contains("is no age"), "{text}");
}

#[test]
fn a_run_in_use_or_unreadable_is_left_alone() {
    let context = prepared();
    context.expect(0, &run(&[]));
    let held = context.only_run();
    age(&held);
    let lock = std::fs::OpenOptions::new()
        .write(true)
        .open(held.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let list = context.expect(0, &["runs", "list"]);
    assert!(list.contains("running"), "{list}");
    let output = context.run(&["runs", "prune", "--older-than", "1d", "--yes"]);
    assert!(
        stderr(&output).contains("is being written"),
        "{}",
        stderr(&output)
    );
    assert!(stdout(&output).contains("0 runs removed"));
    assert!(held.join("trials.jsonl").exists());
    drop(lock);
    std::fs::write(held.join("header.json"), "{").unwrap();
    let output = context.run(&["runs", "prune", "--older-than", "1d", "--yes"]);
    assert!(
        stderr(&output).contains("cannot be read"),
        "{}",
        stderr(&output)
    );
    assert!(held.exists());
    assert!(
        context
            .expect(0, &["runs", "list"])
            .contains("cannot be read")
    );
    assert_eq!(
        Context::new().expect(0, &["runs", "list"]),
        "no runs in reports\n"
    );
}
