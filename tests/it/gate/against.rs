//! A run against its baseline: what is paired, what is named, what is refused.

use serde_json::Value;

use super::*;

#[test]
fn an_unchanged_run_passes_and_a_worse_one_fails_with_its_cases() {
    let context = prepared("......x.");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let same = verdict(&context, 0, &[]);
    assert_eq!(same["outcome"], "pass");
    assert_eq!(same["changes"], Value::Array(Vec::new()));
    assert_eq!(same["cases"]["unchanged"], 8);
    assert_eq!(same["cells"][0]["difference"]["exact"], true);
    context.write("model.yaml", &script(".x.x...."));
    let worse = verdict(&context, 1, &[]);
    let check = checks(&worse, "regression")[0];
    assert_eq!(check["status"], "breached");
    assert_eq!(names(check), ["clock/c-02", "clock/c-04"]);
    let difference = &worse["cells"][0]["difference"];
    assert!((difference["difference"].as_f64().unwrap() + 0.125).abs() < 1e-12);
    assert_eq!(difference["rose"][0]["case"], "clock/c-07");
    let next = worse["next"].as_str().unwrap();
    assert!(next.contains("toolbench explain missing_call"), "{next}");
    assert!(next.contains("toolbench baseline update"), "{next}");
    // A smaller drop than the one that counts is named, and passes.
    let mild = verdict(&context, 0, &["--min-effect", "20"]);
    let reason = checks(&mild, "regression")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("less than the 20 points that count"),
        "{reason}"
    );
    assert!(reason.contains("clock/c-02 (missing_call)"), "{reason}");
}

/// Five trials a case. One broken case of three is 5 pairs against 0, p = 0.0625; two are 10
/// against 0, p = 0.002.
#[test]
fn what_is_sampled_is_tested() {
    let context = prepared("...");
    let first = run(&context, &SAMPLED);
    save(&context, &first, &[]);
    verdict(&context, 0, &SAMPLED);
    context.write("model.yaml", &script("x.."));
    let open = verdict(&context, 3, &SAMPLED);
    let check = checks(&open, "regression")[0];
    assert_eq!(check["status"], "not_enough_data");
    let p = open["cells"][0]["difference"]["p_value"].as_f64().unwrap();
    assert!((p - 0.0625).abs() < 1e-12, "{p}");
    let mut warned = SAMPLED.to_vec();
    warned.extend(["--on-undecided", "warn"]);
    verdict(&context, 0, &warned);
    context.write("model.yaml", &script("xx."));
    let worse = verdict(&context, 1, &SAMPLED);
    let p = worse["cells"][0]["difference"]["p_value"].as_f64().unwrap();
    assert!((p - 2.0 / 1024.0).abs() < 1e-12, "{p}");
    assert_eq!(
        names(checks(&worse, "regression")[0]),
        ["clock/c-01", "clock/c-02"]
    );
}

#[test]
fn cells_are_adjusted_together() {
    let context = prepared("....");
    let both = [
        "--temperature",
        "0.7",
        "--trials",
        "3",
        "--constraint",
        "off,grammar",
    ];
    let first = run_both(&context, &both);
    save(&context, &first, &[]);
    context.write("model.yaml", &script("xx.."));
    let second = run_both(&context, &both);
    let found = judged(&context, 3, &[second.to_str().unwrap()]);
    // 6 pairs against 0: p = 0.03125 in both cells, twice that after Holm's adjustment.
    for cell in found["cells"].as_array().unwrap() {
        let difference = &cell["difference"];
        assert!((difference["p_value"].as_f64().unwrap() - 0.03125).abs() < 1e-12);
        assert!((difference["p_holm"].as_f64().unwrap() - 0.0625).abs() < 1e-12);
    }
}

fn run_both(context: &Context, further: &[&str]) -> PathBuf {
    let before = context.runs();
    let mut all = vec!["run", "scripted:model.yaml", "--suite", "clock.yaml", "-q"];
    all.extend(further);
    context.run(&all);
    let mut new = context.runs();
    new.retain(|path| !before.contains(path) && !path.ends_with("baselines"));
    new.remove(0)
}

#[test]
fn added_changed_and_removed_cases_are_named_and_the_rest_is_compared() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    // c-02 asks for something else, c-04 is gone, c-05 is new.
    let five = suite(5).replace("time in Z02?", "what time is it in Z02?");
    let four: Vec<&str> = five.split("  - {id: c-04").collect();
    let (before, after) = (four[0], four[1].split_once("  - {id: c-05").unwrap().1);
    context.write("clock.yaml", &format!("{before}  - {{id: c-05{after}"));
    context.write("model.yaml", &script("...xx"));
    let found = verdict(&context, 0, &[]);
    let cases = &found["cases"];
    assert_eq!(cases["unchanged"], 2);
    assert_eq!(cases["changed"], serde_json::json!(["clock/c-02"]));
    assert_eq!(cases["added"], serde_json::json!(["clock/c-05"]));
    assert_eq!(cases["removed"], serde_json::json!(["clock/c-04"]));
    let path = format!("reports/{}", found["run"].as_str().unwrap());
    let strict = context.run(&["gate", &path, "--strict"]);
    assert_eq!(strict.status.code(), Some(2));
    let text = stderr(&strict);
    for words in [
        "1 case changed: clock/c-02",
        "1 case added: clock/c-05",
        "1 case removed: clock/c-04",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_changed_tool_and_prompt_are_the_change_under_test() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let changed = suite(4)
        .replace("The time in a zone.", "Time.")
        .replace("You help with clocks.", "You help.")
        .replace("reply: \"noon\"", "reply: \"midnight\"");
    context.write("clock.yaml", &changed);
    let found = verdict(&context, 0, &[]);
    let words: Vec<String> = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            format!(
                "{} {}",
                it["what"].as_str().unwrap(),
                it["subject"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        words,
        [
            "system_prompt clock",
            "mock clock",
            "tool clock/get_time",
            "prompts 4 of 4 paired cases"
        ]
    );
    let path = format!("reports/{}", found["run"].as_str().unwrap());
    let text = context.expect_error(2, &["gate", &path, "--strict"]);
    assert!(text.contains("tool clock/get_time"), "{text}");
    // Another setting is one too.
    let found = verdict(&context, 0, &["--max-tokens", "64"]);
    let setting = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["what"] == "setting");
    assert_eq!(setting.unwrap()["subject"], "max_tokens");
}

#[test]
fn another_model_or_version_is_no_reason_to_refuse() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write(
        "other.yaml",
        &script("..x.").replace("name: scripted", "name: another"),
    );
    let output = context.run(&[
        "gate",
        "scripted:other.yaml",
        "--suite",
        "clock.yaml",
        "--constraint",
        "off",
        "-q",
        "--strict",
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let model = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["what"] == "model")
        .unwrap();
    assert_eq!(model["then"], "scripted:model.yaml");
    assert_eq!(model["now"], "scripted:other.yaml");
    let reported = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["what"] == "reported_name");
    assert_eq!(reported.unwrap()["now"], "another");
}

#[test]
fn another_scorer_or_weighting_is_refused() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let path = context.path("reports/baselines/main.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    for (from, to, words) in [
        (
            "\"scorer_version\":2",
            "\"scorer_version\":1",
            "scorer version 1",
        ),
        (
            "mean over cases",
            "mean over trials",
            "weighs cases otherwise",
        ),
        (
            "toolbench.baseline/1",
            "toolbench.baseline/9",
            "toolbench.baseline/9",
        ),
        (
            "\"trials\":\"P\"",
            "\"trials\":\"Q\"",
            "main.jsonl:7: `Q` is no result",
        ),
        ("{\"line\":\"tool\"", "{\"line\":\"tol\"", "main.jsonl:4"),
    ] {
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = context.expect_error(2, &["gate", "latest"]);
        assert!(error.contains(words), "{from}: {error}");
    }
}

#[test]
fn a_baseline_may_be_a_name_a_file_or_a_run() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &["--name", "other"]);
    context.write("model.yaml", &script("..xx"));
    let second = run(&context, &[]);
    let name = first.file_name().unwrap().to_str().unwrap().to_owned();
    let candidate = second.to_str().unwrap();
    for baseline in [
        "other",
        "reports/baselines/other.jsonl",
        &name,
        first.to_str().unwrap(),
    ] {
        let found = judged(&context, 1, &[candidate, "--baseline", baseline]);
        assert_eq!(
            names(checks(&found, "regression")[0]),
            ["clock/c-03", "clock/c-04"],
            "{baseline}"
        );
    }
    let text = context.expect_error(2, &["gate", candidate, "--baseline", "othr"]);
    assert!(
        text.contains("no baseline `othr`") && text.contains("did you mean `other`?"),
        "{text}"
    );
    assert!(
        text.contains("toolbench baseline save RUN --name othr"),
        "{text}"
    );
    let text = context.expect_error(2, &["gate", candidate, "--baseline", candidate]);
    assert!(text.contains("compared with itself"), "{text}");
    // Without `main`, nothing is compared with, and that is a mistake where nothing else is asked.
    let text = context.expect_error(2, &["gate", candidate]);
    assert!(text.contains("toolbench baseline save"), "{text}");
    let text = context.expect_error(2, &["gate", candidate, "--baseline", "none"]);
    assert!(text.contains("no baseline and no floor"), "{text}");
    context.write(&format!("{name}.jsonl"), "");
    context.write("other", "");
    let text = context.expect_error(2, &["gate", candidate, "--baseline", "other"]);
    assert!(
        text.contains("may be the baseline") && text.contains("or the file"),
        "{text}"
    );
}

#[test]
fn a_name_of_a_run_and_a_model_is_a_mistake() {
    let context = prepared("....");
    let first = run(&context, &[]);
    std::fs::rename(&first, context.path("reports/office")).unwrap();
    context.write(
        "toolbench.toml",
        "[models.office]\nsource = \"scripted:model.yaml\"\n",
    );
    let text = context.expect_error(2, &["gate", "office", "--min-success", "1"]);
    assert!(
        text.contains("`office` is a run (reports/office) and a model"),
        "{text}"
    );
    judged(&context, 0, &["reports/office", "--min-success", "1"]);
}

/// Of a run both records hold the texts, of a file the hashes of parts alone.
#[test]
fn a_changed_tool_and_prompt_are_shown() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let other = suite(4)
        .replace("The time in a zone.", "Time.")
        .replace(
            "{zone: {type: string}}",
            "{zone: {type: string, minLength: 1}}",
        )
        .replace("You help with clocks.", "You help.");
    context.write("clock.yaml", &other);
    let change = |verdict: &Value, what: &str| -> Value {
        let changes = verdict["changes"].as_array().unwrap();
        changes
            .iter()
            .find(|it| it["what"] == what)
            .unwrap()
            .clone()
    };
    let of_file = verdict(&context, 0, &[]);
    let tool = change(&of_file, "tool");
    assert_eq!(
        tool["parts"],
        serde_json::json!(["argument zone", "description"])
    );
    assert_eq!(tool["diff"], serde_json::json!([]));
    let baseline = ["--baseline", first.to_str().unwrap()];
    let of_run = verdict(&context, 0, &baseline);
    let prompt = change(&of_run, "system_prompt");
    assert_eq!(
        prompt["diff"],
        serde_json::json!(["- You help with clocks.", "+ You help."])
    );
    let tool = change(&of_run, "tool")["diff"].to_string();
    assert!(
        tool.contains("The time in a zone.") && tool.contains("minLength"),
        "{tool}"
    );
    let text = stdout(&gate_model(&context, &baseline));
    assert!(text.contains("(argument zone, description)"), "{text}");
    assert!(
        text.contains("\n    - You help with clocks.\n    + You help.\n"),
        "{text}"
    );
    let text = stdout(&gate_model(
        &context,
        &[&baseline[..], &["--format", "markdown"]].concat(),
    ));
    assert!(
        text.contains("\n  ~~~diff\n  - You help with clocks.\n  + You help.\n  ~~~\n"),
        "{text}"
    );
}
