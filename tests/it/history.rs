//! `toolbench history`: points, series, flaky cases and cases that changed, from runs as they are made.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, stderr, stdout};

const RUN: [&str; 7] = [
    "run",
    "scripted:model.yaml",
    "--suite",
    "tiny.yaml",
    "--constraint",
    "off",
    "-q",
];

fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    context
}

/// Makes one more run and gives its directory.
fn run(context: &Context) -> PathBuf {
    let before = context.runs();
    let output = context.run(&RUN);
    assert!(
        output.status.code().is_some_and(|code| code != 2),
        "{}",
        stderr(&output)
    );
    let mut new = context.runs();
    new.retain(|run| !before.contains(run));
    assert_eq!(new.len(), 1, "{new:?}");
    new.remove(0)
}

fn name(run: &Path) -> String {
    run.file_name().unwrap().to_string_lossy().into_owned()
}

fn history(context: &Context, further: &[&str]) -> Value {
    let mut all = vec!["history", "--format", "json"];
    all.extend(further);
    serde_json::from_str(&context.expect(0, &all)).unwrap()
}

/// Another outcome for a case of a run, as a model that is not always the same would leave it.
fn fails(run: &Path, case: &str) {
    let path = run.join("trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            let mut trial: Value = serde_json::from_str(line).unwrap();
            if trial["case"] == case {
                trial["outcome"] = json!({"kind": "failed", "code": "wrong_value"});
            }
            trial.to_string()
        })
        .collect();
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

#[test]
fn rates_are_those_of_the_reports_and_a_change_is_named_where_it_happened() {
    let context = prepared();
    let first = run(&context);
    let second = run(&context);
    // A prompt that breaks a case.
    context.write(
        "tiny.yaml",
        &TINY_SUITE.replace("You help with clocks.", "You help with nothing."),
    );
    context.write(
        "model.yaml",
        &RIGHT_SCRIPT.replace("\"zone\":\"UTC\"", "\"zone\":\"CET\""),
    );
    let third = run(&context);
    let found = history(&context, &[]);
    assert_eq!(found["schema"], "toolbench.history/1");
    let cell = &found["cells"][0];
    assert_eq!(found["cells"].as_array().unwrap().len(), 1);
    let points = cell["points"].as_array().unwrap();
    let runs: Vec<&str> = points
        .iter()
        .map(|it| it["run"].as_str().unwrap())
        .collect();
    assert_eq!(runs, [name(&first), name(&second), name(&third)]);
    for (point, run) in points.iter().zip([&first, &second, &third]) {
        let report = context.run(&["report", run.to_str().unwrap(), "--format", "json"]);
        let report: Value = serde_json::from_str(&stdout(&report)).unwrap();
        let row = &report["cells"][0];
        assert_eq!(point["success"], row["success"]);
        assert_eq!(point["task_ms"], row["latency"]["task_ms"]);
        assert_eq!(point["valid_call_ms"], row["latency"]["valid_call_ms"]);
        assert_eq!(point["series"], "a");
    }
    assert_eq!(points[1]["changes"], json!([]));
    assert_eq!(points[2]["changes"], json!([{"what": "offer"}]));
    assert_eq!(
        cell["newly_failing"],
        json!([{"case": "t-time", "since": name(&third), "until": name(&second), "runs": 1,
            "changed": [{"what": "offer"}]}])
    );
    assert_eq!(
        (&cell["flaky"], &cell["newly_passing"]),
        (&json!([]), &json!([]))
    );

    // Put right again.
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    let fourth = run(&context);
    let found = history(&context, &[]);
    let cell = &found["cells"][0];
    assert_eq!(cell["newly_failing"], json!([]));
    assert_eq!(cell["newly_passing"][0]["case"], "t-time");
    assert_eq!(cell["newly_passing"][0]["since"], name(&fourth));
    assert_eq!(cell["flaky"], json!([]), "each plan came out one way");
    let text = context.expect(0, &["history"]);
    assert!(
        text.contains(&format!("newly passing since {}", name(&fourth))),
        "{text}"
    );
    assert!(text.contains("prompt, tools or template"), "{text}");
}

#[test]
fn only_an_unchanged_plan_makes_a_case_flaky() {
    let context = prepared();
    let runs: Vec<PathBuf> = (0..5).map(|_| run(&context)).collect();
    fails(&runs[1], "t-time");
    fails(&runs[3], "t-time");
    fails(&runs[3], "t-alarm");
    fails(&runs[4], "t-alarm");
    let found = history(&context, &[]);
    let cell = &found["cells"][0];
    let flaky = cell["flaky"].as_array().unwrap();
    let of = |case: &str| flaky.iter().find(|it| it["case"] == case).cloned();
    assert_eq!(
        of("t-time").unwrap(),
        json!({"case": "t-time", "runs": 5, "passed_runs": 3, "mixed_runs": 0, "trials": 5, "passed_trials": 3})
    );
    assert_eq!(of("t-alarm").unwrap()["passed_runs"], 3);
    assert_eq!(flaky.len(), 2);
    // A step is told beside, with the remark that nothing else changed; a wobble is not.
    let failing = cell["newly_failing"].as_array().unwrap();
    assert_eq!(failing.len(), 1);
    assert_eq!(
        failing[0],
        json!({"case": "t-alarm", "since": name(&runs[3]), "until": name(&runs[2]), "runs": 2, "changed": []})
    );
    let text = context.expect(0, &["history"]);
    assert!(
        text.contains("flaky (2): t-alarm (3 of 5 runs passed)"),
        "{text}"
    );
    assert!(text.contains("with an unchanged plan"), "{text}");
    assert!(
        text.contains('▁') || text.contains('▆') || text.contains('█'),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    let mut plain = context.command(&["history"]);
    let plain = stdout(&plain.env("LC_ALL", "C").output().unwrap());
    assert!(plain.contains("success    96936"), "{plain}");
    assert!(!plain.contains('█'), "{plain}");
}

#[test]
fn trials_of_one_run_may_differ() {
    let context = prepared();
    let output = context.run(&[&RUN[..], &["--temperature", "0.5", "--trials", "3"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let path = context.only_run().join("trials.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.find("\"outcome\":{\"kind\":\"passed\"}").unwrap();
    let changed = text[at..].replacen(
        "{\"kind\":\"passed\"}",
        "{\"kind\":\"failed\",\"code\":\"wrong_value\"}",
        1,
    );
    std::fs::write(&path, format!("{}{changed}", &text[..at])).unwrap();
    let found = history(&context, &[]);
    let flaky = &found["cells"][0]["flaky"];
    assert_eq!(flaky[0]["mixed_runs"], 1);
    assert_eq!(
        (&flaky[0]["trials"], &flaky[0]["passed_trials"]),
        (&json!(3), &json!(2))
    );
    let text = context.expect(0, &["history"]);
    assert!(text.contains("(2 of 3 trials in 1 run passed)"), "{text}");
}

#[test]
fn what_is_not_comparable_stands_in_a_series_of_its_own() {
    let context = prepared();
    let first = run(&context);
    // Another expectation: the case is another case, and nothing is said across.
    context.write(
        "tiny.yaml",
        &TINY_SUITE.replace("arguments: {hour: 7}", "arguments: {hour: 8}"),
    );
    let second = run(&context);
    context.write("tiny.yaml", TINY_SUITE);
    let third = run(&context);
    let header = third.join("header.json");
    let text = std::fs::read_to_string(&header).unwrap();
    std::fs::write(
        &header,
        text.replace("\"scorer_version\": 2", "\"scorer_version\": 1"),
    )
    .unwrap();
    let fourth = run(&context);
    let text = std::fs::read_to_string(fourth.join("header.json")).unwrap();
    let weights = text.replacen(
        "\"facts\": {",
        "\"weights_sha256\": \"abc\", \"facts\": {",
        1,
    );
    std::fs::write(fourth.join("header.json"), weights).unwrap();
    let fifth = run(&context);
    let found = history(&context, &[]);
    let cell = &found["cells"][0];
    let series: Vec<&str> = cell["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["series"].as_str().unwrap())
        .collect();
    // The last run is comparable with the first again.
    assert_eq!(
        series,
        ["a", "b", "c", "d", "a"],
        "{first:?} {second:?} {fifth:?}"
    );
    let differs: Vec<&Value> = (0..4)
        .map(|index| &cell["series"][index]["differs"])
        .collect();
    assert_eq!(differs[0], &json!([]));
    assert_eq!(
        differs[1],
        &json!([{"what": "cases", "added": 0, "changed": 1, "removed": 0}])
    );
    assert_eq!(
        differs[2][0],
        json!({"what": "scorer", "then": 2, "now": 1})
    );
    assert_eq!(differs[3][1], json!({"what": "weights"}));
    assert_eq!(
        cell["newly_failing"],
        json!([]),
        "the only failure was of another case"
    );
    let text = context.expect(0, &["history"]);
    assert!(text.contains("series b is not comparable"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
}

#[test]
fn runs_that_do_not_count_are_left_out_and_named() {
    let context = prepared();
    let whole = run(&context);
    let out = |arguments: &[&str]| context.run(&[&RUN[..], arguments].concat());
    out(&["--shard", "1/2"]);
    out(&["--shard", "2/2"]);
    let rescored = context.run(&["rescore", &name(&whole), "-q"]);
    assert_eq!(rescored.status.code(), Some(0), "{}", stderr(&rescored));
    let broken = context.path("reports/20200101-000000-broken");
    std::fs::create_dir_all(&broken).unwrap();
    std::fs::write(broken.join("header.json"), "{\"record_version\": [1, 2], ").unwrap();
    let newer = context.path("reports/20200101-000000-newer");
    std::fs::create_dir_all(&newer).unwrap();
    std::fs::write(
        newer.join("header.json"),
        "{\"record_version\": [9, 0], \"toolbench_version\": \"7.0.0\"}",
    )
    .unwrap();
    let busy = run(&context);
    let lock = std::fs::File::options()
        .write(true)
        .open(busy.join("lock"))
        .unwrap();
    lock.lock().unwrap();
    let found = history(&context, &[]);
    let points = found["cells"][0]["points"].as_array().unwrap();
    assert_eq!(points.len(), 1);
    assert!(
        points[0]["run"].as_str().unwrap().contains("rescored"),
        "{points:?}"
    );
    let reason = |part: &str| {
        let all = found["left_out"].as_array().unwrap();
        let left = all
            .iter()
            .find(|it| it["reason"].as_str().unwrap().contains(part));
        left.unwrap_or_else(|| panic!("{part}: {all:?}"))["run"].clone()
    };
    assert_eq!(reason("cannot be read"), "20200101-000000-broken");
    assert_eq!(reason("record format"), "20200101-000000-newer");
    assert_eq!(reason("is being written"), name(&busy));
    assert_eq!(reason("judged again as"), name(&whole));
    reason("shard 1/2, not merged");
    drop(lock);

    let shards: Vec<String> = context.runs().iter().map(|run| name(run)).collect();
    let shards = shards.iter().filter(|run| {
        let text = std::fs::read_to_string(context.path("reports").join(run).join("header.json"));
        text.is_ok_and(|text| text.contains("\"shard\": ["))
    });
    let mut merge = vec!["merge", "-q"];
    merge.extend(shards.map(String::as_str));
    context.expect(0, &merge);
    let found = history(&context, &[]);
    let all = found["left_out"].as_array().unwrap();
    let parts = all
        .iter()
        .filter(|it| it["reason"].as_str().unwrap().contains("part of"));
    assert_eq!(parts.count(), 2, "{all:?}");
    assert_eq!(found["cells"][0]["points"].as_array().unwrap().len(), 3);
}

#[test]
fn filters_formats_and_exit_codes() {
    let context = prepared();
    context.write(
        "other.yaml",
        "name: other\notherwise: '{\"answer\":\"no\"}'\n",
    );
    run(&context);
    let mut two = RUN.to_vec();
    two.insert(2, "scripted:other.yaml");
    context.expect(0, &two);
    let found = history(&context, &[]);
    assert_eq!(found["cells"].as_array().unwrap().len(), 2);
    let found = history(&context, &["--model", "scripted:other.yaml"]);
    assert_eq!(
        (
            found["runs"].as_array().unwrap().len(),
            found["cells"].as_array().unwrap().len()
        ),
        (1, 1)
    );
    let found = history(&context, &["--suite", "tiny", "--last", "1"]);
    assert_eq!(found["runs"].as_array().unwrap().len(), 1);
    assert_eq!(found["cells"][0]["points"].as_array().unwrap().len(), 1);

    let csv = context.expect(0, &["history", "reports", "--format", "csv"]);
    let mut lines = csv.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("run,started_at,model,dialect"),
        "{csv}"
    );
    assert_eq!(lines.count(), 3);
    let markdown = context.expect(0, &["history", "--format", "markdown"]);
    assert!(
        markdown.contains("### scripted:model.yaml · json, off · tiny"),
        "{markdown}"
    );
    assert_eq!(markdown.matches("| a | ").count(), 3, "{markdown}");

    let text = context.expect_error(5, &["history", "--model", "scripted:othr.yaml"]);
    assert!(
        text.contains("did you mean `scripted:other.yaml`?"),
        "{text}"
    );
    let text = context.expect_error(5, &["history", "--suite", "weather"]);
    assert!(text.contains("no run has it"), "{text}");
    std::fs::create_dir(context.path("empty")).unwrap();
    let text = context.expect_error(5, &["history", "empty"]);
    assert!(text.contains("no runs in empty"), "{text}");
    let text = context.expect_error(2, &["history", "nowhere"]);
    assert!(text.contains("is no folder"), "{text}");
    context.expect_error(2, &["history", "--last", "0"]);
}

/// 400 runs of 46 trials each, unoptimised: far above what anyone waits for.
#[test]
fn hundreds_of_runs_are_read_in_seconds() {
    let context = prepared();
    let mut weather = RUN.to_vec();
    weather[3] = "weather";
    context.run(&weather);
    let source = context.only_run();
    let header = std::fs::read_to_string(source.join("header.json")).unwrap();
    let trials = std::fs::read_to_string(source.join("trials.jsonl")).unwrap();
    for index in 0..400 {
        let copy = format!("copy-{index:03}");
        let folder = context.path("reports").join(&copy);
        std::fs::create_dir(&folder).unwrap();
        let own = header.replace(&name(&source), &copy);
        std::fs::write(folder.join("header.json"), own).unwrap();
        std::fs::write(folder.join("trials.jsonl"), &trials).unwrap();
    }
    let watch = std::time::Instant::now();
    let text = context.expect(0, &["history"]);
    let seconds = watch.elapsed().as_secs_f64();
    println!(
        "401 runs, {} bytes of trials: {seconds:.1} s",
        trials.len() * 401
    );
    assert!(text.contains("401 runs"), "{text}");
    assert!(text.contains("earlier"), "{text}");
    assert!(seconds < 60.0, "{seconds}");
}
