//! Floors, budgets, and settings that are wrong.

use serde_json::Value;

use super::*;

#[test]
fn a_floor_is_met_or_missed() {
    let context = prepared("..x");
    run(&context, &[]);
    let met = judged(&context, 0, &["latest", "--min-success", "60"]);
    assert_eq!(met["outcome"], "pass");
    let missed = judged(&context, 1, &["latest", "--min-success", "70"]);
    let check = checks(&missed, "success")[0];
    assert_eq!(check["status"], "breached");
    assert_eq!(names(check), ["clock/c-03"]);
    assert_eq!(check["cases"][0]["codes"][0], "missing_call");
    let observed = check["observed"].as_f64().unwrap();
    assert!((observed - 2.0 / 3.0).abs() < 1e-12, "{check}");
    assert!((check["required"].as_f64().unwrap() - 0.7).abs() < 1e-12);
    assert_eq!(missed["cells"][0]["method"], "exact", "greedy and scripted");
    assert_eq!(check["low"], check["observed"]);
    assert!(
        missed["next"]
            .as_str()
            .unwrap()
            .contains("explain missing_call")
    );
}

/// Five trials of three cases, all right: Wilson's lower limit for 15 of 15 is 79.6 %.
#[test]
fn a_sampled_rate_has_to_show_its_floor() {
    let context = prepared("...");
    run(&context, &SAMPLED);
    let shown = judged(&context, 0, &["latest", "--min-success", "79"]);
    let low = shown["cells"][0]["low"].as_f64().unwrap();
    assert!((low - 0.796_116_7).abs() < 1e-6, "{low}");
    let open = judged(&context, 3, &["latest", "--min-success", "80"]);
    assert_eq!(checks(&open, "success")[0]["status"], "not_enough_data");
    assert_eq!(open["outcome"], "undecided");
    judged(
        &context,
        0,
        &["latest", "--min-success", "80", "--point-estimate"],
    );
    let warned = judged(
        &context,
        0,
        &["latest", "--min-success", "80", "--on-undecided", "warn"],
    );
    assert_eq!(warned["outcome"], "pass");
    assert_eq!(checks(&warned, "success")[0]["status"], "not_enough_data");
}

#[test]
fn categories_and_cases_have_floors_of_their_own() {
    // odd: 1, 3, 5; even: 2, 4, of which 4 fails.
    let context = prepared("...x.");
    run(&context, &[]);
    let found = judged(&context, 1, &["latest", "--min-category", "even=60,40"]);
    let by_name = checks(&found, "category");
    assert_eq!(by_name.len(), 2);
    assert_eq!(
        (&by_name[0]["subject"], &by_name[0]["status"]),
        (&Value::from("even"), &Value::from("breached"))
    );
    assert_eq!(
        (&by_name[1]["subject"], &by_name[1]["status"]),
        (&Value::from("odd"), &Value::from("passed"))
    );
    judged(&context, 0, &["latest", "--min-category", "odd=100"]);
    let found = judged(&context, 1, &["latest", "--min-case", "50"]);
    assert_eq!(names(checks(&found, "case")[0]), ["clock/c-04"]);
    judged(
        &context,
        0,
        &[
            "latest",
            "--min-case",
            "c-01=100",
            "--min-case",
            "clock/c-04=0",
        ],
    );
    judged(&context, 0, &["latest", "--min-case", "50,c-04=0"]);
}

#[test]
fn thresholds_that_are_wrong_are_usage_errors() {
    let context = prepared("...");
    run(&context, &[]);
    for (arguments, words) in [
        (vec!["--min-success", "0.8"], "write 80 for a share of 0.8"),
        (vec!["--min-success", ""], "is blank"),
        (
            vec!["--min-success", "80", "--min-success", "90"],
            "cannot be used multiple times",
        ),
        (vec!["--min-success", "much"], "not a number"),
        (vec!["--min-category", "odd=80,odd=90"], "given twice"),
        (vec!["--min-category", "odd="], "is blank"),
        (vec!["--min-category", "od=80"], "did you mean `odd`?"),
        (vec!["--min-category", "nope=80"], "There are: even, odd"),
        (vec!["--min-case", "c-99=80"], "no case `c-99`"),
        (vec!["--on-undecided", "wran"], "did you mean `warn`?"),
        (
            vec!["--min-success", "80", "--time-budget", "10m"],
            "this one is stored",
        ),
        (
            vec!["--min-success", "80", "--suite", "clock.yaml"],
            "would shape a run",
        ),
        (
            vec!["--min-success", "80", "--format", "csv"],
            "cannot be written as `csv`",
        ),
        (vec!["--min-sucess", "80"], "--min-success"),
        (
            vec!["--known-failures", "nowhere.toml", "--min-success", "1"],
            "cannot read nowhere.toml",
        ),
    ] {
        let mut all = vec!["gate", "latest"];
        all.extend(&arguments);
        let text = context.expect_error(2, &all);
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
    let text = context.expect_error(2, &["gate", "--suite", "clock.yaml", "--min-success", "1"]);
    assert!(text.contains("needs a model"), "{text}");
    let text = context.expect_error(
        2,
        &[
            "gate",
            "latest",
            "scripted:model.yaml",
            "--min-success",
            "1",
        ],
    );
    assert!(text.contains("one run alone"), "{text}");
    let text = context.expect_error(2, &["gate", "20260101-nowhere", "--min-success", "1"]);
    assert!(text.contains("no run `20260101-nowhere`"), "{text}");
    let text = context.expect_error(2, &["gate", "smolm2", "--min-success", "1"]);
    assert!(text.contains("unknown model `smolm2`"), "{text}");
    let text = context.expect_error(
        5,
        &[
            "gate",
            "scripted:model.yaml",
            "--suite",
            "clock.yaml",
            "--tag",
            "hard",
            "--min-success",
            "1",
        ],
    );
    assert!(text.contains("selects no case"), "{text}");
}

#[test]
fn settings_of_a_file_have_their_place() {
    let context = prepared("..x");
    run(&context, &[]);
    context.write(
        "toolbench.toml",
        "seed = 1\n[gate]\nmin-success = 90\nmin-category = [\"odd=50\"]\n\n[profiles.mild.gate]\nmin-success = 10\n",
    );
    let found = judged(&context, 1, &["latest"]);
    assert_eq!(checks(&found, "success")[0]["status"], "breached");
    judged(&context, 0, &["latest", "--profile", "mild"]);
    judged(&context, 0, &["latest", "--min-success", "50"]);
    let shown = context.expect(0, &["config", "show"]);
    let line = |name: &str| -> String {
        let found = shown.lines().find(|line| line.starts_with(name));
        found
            .expect("a line")
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        line("gate.min-success"),
        "gate.min-success 90 toolbench.toml:3:1"
    );
    assert_eq!(
        line("gate.min-category"),
        "gate.min-category odd=50 toolbench.toml:4:1"
    );
    assert_eq!(line("gate.min-effect"), "gate.min-effect 5 built-in");
    let output = context
        .command(&["config", "show", "--format", "json"])
        .env("TOOLBENCH_GATE_MIN_SUCCESS", "75")
        .output()
        .unwrap();
    let settings: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let found = settings
        .iter()
        .find(|it| it["name"] == "gate.min-success")
        .unwrap();
    assert_eq!(found["origin"], "environment TOOLBENCH_GATE_MIN_SUCCESS");
    context.write("toolbench.toml", "[gate]\nmin-succes = 90\n");
    let text = context.expect_error(2, &["gate", "latest"]);
    assert!(
        text.contains("did you mean `gate.min-success`?") && text.contains("toolbench.toml:2:1"),
        "{text}"
    );
    context.write("toolbench.toml", "[gate]\nmin-success = 0.9\n");
    let text = context.expect_error(2, &["config", "show"]);
    assert!(text.contains("write 90"), "{text}");
}

#[test]
fn times_have_limits() {
    let context = prepared("...");
    run(&context, &[]);
    judged(
        &context,
        0,
        &[
            "latest",
            "--max-task-p50",
            "60",
            "--max-valid-call-p50",
            "60",
        ],
    );
    let output = context.run(&[
        "gate",
        "latest",
        "--max-task-p50",
        "0.0000001",
        "--format",
        "json",
        "-q",
    ]);
    let slow = too_slow(&output, "latency");
    let check = checks(&slow, "latency")[0];
    assert_eq!(
        (&check["unit"], &check["subject"]),
        (&Value::from("ms"), &Value::from("p50 time of a task"))
    );
    let few = judged(&context, 3, &["latest", "--max-task-p95", "60"]);
    let reason = checks(&few, "latency")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.contains("needs 20 values and has 3"), "{reason}");
}

/// Three prompts of 1,000 tokens at 1 a million, their replies at 10 a million.
#[test]
fn amounts_have_limits() {
    let context = prepared("..x");
    let unknown = verdict(&context, 3, &["--max-cost", "1"]);
    let reason = checks(&unknown, "cost")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(reason.contains("no price"), "{reason}");
    context.write(
        "toolbench.toml",
        "[prices.\"scripted:model.yaml\"]\ninput = 1.0\noutput = 10.0\ndocument = \"a test\"\ndate = \"2026-11-20\"\n",
    );
    let met = verdict(
        &context,
        0,
        &["--max-cost", "1", "--max-cost-per-success", "1"],
    );
    let of_run = checks(&met, "cost")[1]["observed"].as_f64().unwrap();
    let each = checks(&met, "cost")[0]["observed"].as_f64().unwrap();
    assert!(
        of_run > 0.003 && (each - of_run / 2.0).abs() < 1e-12,
        "{of_run} {each}"
    );
    verdict(&context, 1, &["--max-cost", "0.003"]);
    verdict(&context, 1, &["--max-cost-per-success", "0.0015"]);
}

/// Filters leave the even ones out; a category of the baseline has another name now.
#[test]
fn a_floor_that_nothing_is_held_to_is_no_pass() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let one = run(&context, &["--limit", "1"]);
    let path = one.to_str().unwrap();
    for (floor, kind) in [("even=90", "category"), ("nope=90", "category")] {
        let asked = [path, "--baseline", "none", "--min-category", floor];
        let found = judged(&context, 3, &asked);
        let check = checks(&found, kind)[0];
        assert_eq!(check["status"], "not_enough_data", "{check}");
        assert!(
            check["reason"]
                .as_str()
                .unwrap()
                .contains("no case counts, so the floor of 90 %"),
            "{check}"
        );
    }
    let asked = [path, "--baseline", "none", "--min-case", "c-01=90,c-04=80"];
    let found = judged(&context, 3, &asked);
    let by_case = checks(&found, "case");
    assert_eq!(by_case.len(), 2, "{found}");
    assert_eq!(by_case[1]["subject"], "c-04");
    assert_eq!(by_case[1]["status"], "not_enough_data");
    context.write(
        "clock.yaml",
        &suite(4).replace("category: even", "category: straight"),
    );
    let renamed = run(&context, &[]);
    let found = judged(
        &context,
        3,
        &[renamed.to_str().unwrap(), "--min-category", "even=90"],
    );
    assert_eq!(checks(&found, "category")[0]["status"], "not_enough_data");
}

#[test]
fn floors_that_the_suites_have_not_are_named_before_a_model_is_asked() {
    let context = prepared("....");
    for (flag, floor, words) in [
        ("--min-category", "nope=90", "no category `nope`"),
        ("--min-case", "c-77=90", "no case `c-77`"),
    ] {
        let output = gate_model(&context, &[flag, floor, "--limit", "2"]);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
    assert_eq!(context.runs(), Vec::<PathBuf>::new(), "nothing was run");
}
