//! Whole runs with a scripted model: every outcome, in the record and on the screen.

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, stderr, stdout};

/// Runs the tiny suite with a script and gives the trials by case.
fn trials(script: &str, arguments: &[&str]) -> (Context, Vec<Value>) {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", script);
    let mut all = vec![
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    all.extend(arguments);
    let output = context.run(&all);
    assert!(!stderr(&output).contains("panicked"), "{}", stderr(&output));
    let run = context
        .runs()
        .pop()
        .unwrap_or_else(|| panic!("no run: {}", stderr(&output)));
    let lines = json_lines(&run.join("trials.jsonl"));
    (context, lines)
}

fn outcome<'a>(trials: &'a [Value], case: &str) -> &'a Value {
    &trials
        .iter()
        .find(|trial| trial["case"] == case)
        .unwrap_or_else(|| panic!("no trial of {case}"))["outcome"]
}

/// A right script with the replies of one case replaced.
fn script_with(case: &str, replies: &str) -> String {
    let lines: Vec<String> = RIGHT_SCRIPT
        .lines()
        .map(|line| {
            if line.trim_start().starts_with(&format!("{case}:")) {
                format!("  {case}: {replies}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    lines.join("\n")
}

#[test]
fn a_right_model_passes_everything() {
    let (_context, trials) = trials(RIGHT_SCRIPT, &[]);
    assert_eq!(trials.len(), 3);
    for trial in &trials {
        assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
        assert_eq!(trial["first_attempt_success"], true);
    }
}

#[test]
fn each_way_of_failing_has_its_outcome() {
    for (case, replies, kind, code) in [
        (
            "t-time",
            r#"['{"tool":"get_time","arguments":{"zone":"CET"}}']"#,
            "failed",
            "hallucinated_value",
        ),
        (
            "t-time",
            r#"['{"tool":"set_alarm","arguments":{"hour":7}}']"#,
            "failed",
            "wrong_tool",
        ),
        (
            "t-time",
            r#"['{"answer":"noon"}']"#,
            "failed",
            "missing_call",
        ),
        (
            "t-thanks",
            r#"['{"tool":"get_time","arguments":{"zone":"UTC"}}']"#,
            "failed",
            "unwanted_call",
        ),
        (
            "t-alarm",
            r#"['{"answer":"Done."}']"#,
            "failed",
            "missing_call",
        ),
        ("t-time", "[{fault: time_limit}]", "limit", "trial_timeout"),
        ("t-time", "[{fault: network}]", "infra", "network"),
        ("t-time", "[{fault: crash}]", "void", "oom_or_crash"),
    ] {
        let (_context, trials) = trials(&script_with(case, replies), &[]);
        let found = outcome(&trials, case);
        assert_eq!(found["kind"], kind, "{case} {replies}: {found}");
        assert_eq!(found["code"], code, "{case} {replies}: {found}");
    }
}

#[test]
fn corrections_recover_or_run_out() {
    let wrong = r#"'{"tool":"get_time","arguments":{"zone":5}}'"#;
    let right = r#"'{"tool":"get_time","arguments":{"zone":"UTC"}}'"#;
    let (_context, trials_once) =
        trials(&script_with("t-time", &format!("[{wrong}, {right}]")), &[]);
    assert_eq!(outcome(&trials_once, "t-time")["kind"], "recovered");
    assert_eq!(outcome(&trials_once, "t-time")["corrections"], 1);
    let trial = trials_once
        .iter()
        .find(|trial| trial["case"] == "t-time")
        .unwrap();
    assert_eq!(trial["first_attempt_success"], false);
    assert_eq!(
        trial["attempts"][0]["violations"][0]["code"],
        "type_mismatch"
    );
    assert_eq!(trial["attempts"][0]["violations"][0]["pointer"], "/zone");

    let (_context, exhausted) = trials(
        &script_with("t-time", &format!("[{wrong}, {wrong}, {wrong}]")),
        &[],
    );
    let found = outcome(&exhausted, "t-time");
    assert_eq!(found["kind"], "limit");
    assert_eq!(found["code"], "corrections_exhausted");
    assert_eq!(found["underlying"], "type_mismatch");

    let (_context, none) = trials(
        &script_with("t-time", &format!("[{wrong}, {right}]")),
        &["--max-corrections", "0"],
    );
    assert_eq!(outcome(&none, "t-time")["kind"], "failed");
}

#[test]
fn a_refused_grammar_falls_back_and_says_so() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    // The engine's refusal is met by the runner, which asks again without the grammar.
    context.write(
        "model.yaml",
        "name: refuses\notherwise: {fault: grammar_rejected}\n",
    );
    context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "grammar",
        "-q",
    ]);
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), 3);
    for trial in &trials {
        assert_eq!(trial["constraint_asked"], "grammar");
        assert_eq!(trial["constraint_effective"], "off");
        assert_eq!(trial["constraint_refused"], "as scripted");
    }
}

#[test]
fn report_prints_what_run_printed_in_every_format() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    for format in ["terminal", "json", "jsonl", "csv", "markdown"] {
        let printed = context.expect(
            0,
            &[
                "run",
                "scripted:model.yaml",
                "--suite",
                "tiny.yaml",
                "--format",
                format,
                "-q",
                "--out",
                &format!("runs-{format}"),
            ],
        );
        assert!(!printed.trim().is_empty(), "{format}");
        let again = context.expect(
            0,
            &[
                "report",
                "latest",
                "--out",
                &format!("runs-{format}"),
                "--format",
                format,
                "-q",
            ],
        );
        assert_eq!(printed, again, "{format}");
    }
}

#[test]
fn a_comparison_names_both_sides_and_a_verdict() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("right.yaml", RIGHT_SCRIPT);
    context.write("wrong.yaml", "name: wrong\notherwise: 'no idea'\n");
    let text = context.expect(
        0,
        &[
            "compare",
            "scripted:right.yaml",
            "scripted:wrong.yaml",
            "--suite",
            "tiny.yaml",
            "--constraint",
            "off",
            "-q",
        ],
    );
    assert!(
        text.contains("scripted:right.yaml") && text.contains("scripted:wrong.yaml"),
        "{text}"
    );
    assert!(
        text.contains("not enough data"),
        "three cases decide nothing:\n{text}"
    );
    assert!(text.contains("missing_call"), "{text}");
}

#[test]
fn one_model_is_compared_with_itself_by_variants() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    context.write(
        "toolbench.toml",
        "[variants.terse]\nsystem = \"Be brief.\"\n",
    );
    let text = context.expect(
        0,
        &[
            "compare",
            "scripted:model.yaml",
            "--variant",
            "default,terse",
            "--suite",
            "tiny.yaml",
            "--constraint",
            "off",
            "-q",
        ],
    );
    assert!(text.contains("terse"), "{text}");
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    let hash = |variant: &str| {
        trials
            .iter()
            .find(|trial| trial["cell"]["variant"] == variant)
            .unwrap()["offer_hash"]
            .clone()
    };
    assert_ne!(hash("default"), hash("terse"));
}

#[test]
fn every_dialect_reads_its_own_form() {
    for (dialect, reply) in [
        ("json", r#"{"tool":"get_time","arguments":{"zone":"UTC"}}"#),
        (
            "react",
            "Thought: look it up\nAction: get_time\nAction Input: {\"zone\":\"UTC\"}\n",
        ),
        (
            "fenced",
            "```tool\n{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}\n```",
        ),
    ] {
        let context = Context::new();
        context.write("tiny.yaml", TINY_SUITE);
        let script = serde_json::json!({"name": dialect, "replies": {"t-time": [reply]}});
        context.write("model.json", &script.to_string());
        context.expect(
            0,
            &[
                "run",
                "scripted:model.json",
                "--suite",
                "tiny.yaml",
                "--case",
                "t-time",
                "--dialect",
                dialect,
                "--constraint",
                "off",
                "-q",
            ],
        );
        let trials = json_lines(&context.only_run().join("trials.jsonl"));
        assert_eq!(
            trials[0]["outcome"]["kind"], "passed",
            "{dialect}: {}",
            trials[0]
        );
    }
}

#[test]
fn native_without_tools_in_the_template_is_excluded_not_failed() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "tiny.yaml",
        "--dialect",
        "native,json",
        "--constraint",
        "off",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("native"), "{}", stdout(&output));
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert!(
        trials
            .iter()
            .all(|trial| trial["cell"]["dialect"] == "json")
    );
}

#[test]
fn secrets_never_reach_the_record() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    let planted = "hf_plantedsecretplantedsecret";
    let output = context
        .command(&["run", "scripted:model.yaml", "--suite", "tiny.yaml", "-vv"])
        .env("HF_TOKEN", planted)
        .output()
        .unwrap();
    assert!(!stderr(&output).contains(planted) && !stdout(&output).contains(planted));
    for entry in std::fs::read_dir(context.only_run()).unwrap().flatten() {
        let text = std::fs::read(entry.path()).unwrap();
        assert!(
            !String::from_utf8_lossy(&text).contains(planted),
            "{:?}",
            entry.path()
        );
    }
}

/// The numbers of the tables against an independent script, from the run directory alone.
#[test]
fn an_independent_script_finds_the_same_numbers() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let wrong = r#"['{"tool":"get_time","arguments":{"zone":5}}', '{"tool":"get_time","arguments":{"zone":"UTC"}}']"#;
    context.write("a.yaml", &script_with("t-time", wrong));
    context.write("b.yaml", &script_with("t-thanks", "[{fault: crash}]"));
    let output = context.run(&[
        "compare",
        "scripted:a.yaml",
        "scripted:b.yaml",
        "--suite",
        "tiny.yaml",
        "--format",
        "json",
        "-q",
    ]);
    context.write("summary.json", &stdout(&output));
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/recompute.py");
    let checked = std::process::Command::new("python3")
        .arg(script)
        .arg(context.only_run())
        .arg("--summary")
        .arg(context.path("summary.json"))
        .output()
        .expect("python3 is needed for this test");
    assert!(
        checked.status.success(),
        "{}{}",
        stdout(&checked),
        stderr(&checked)
    );
}
