//! Commands as a person types them: help, mistakes, exit codes, listings.

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, stderr, stdout};

#[test]
fn mistakes_get_one_clear_error_and_a_next_step() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    context.write(
        "typo.yaml",
        &TINY_SUITE.replace("category: simple", "categry: simple"),
    );
    context.write(
        "schema.yaml",
        &TINY_SUITE.replace(
            "hour: {type: integer, minimum: 0",
            "hour: {type: intger, minimum: 0",
        ),
    );
    context.write("bad.toml", "sede = 1\n");
    context.write("cut.gguf", "GGUF\u{3}\u{0}\u{0}\u{0}");
    for (arguments, code, needles) in [
        (vec!["compare"], 2, vec!["at least one model", "model list"]),
        (
            vec!["compare", "smolm2"],
            2,
            vec!["smolm2", "did you mean", "smollm2"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--suite", "wether"],
            2,
            vec!["unknown suite `wether`", "weather"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--suite", "typo.yaml"],
            2,
            vec!["categry", "typo.yaml:"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--suite", "schema.yaml"],
            2,
            vec!["set_alarm", "intger"],
        ),
        (
            vec![
                "run",
                "scripted:model.yaml",
                "--suite",
                "tiny.yaml",
                "--case",
                "nope",
            ],
            5,
            vec!["nope"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--dialect", "jason"],
            2,
            vec!["jason", "json"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--trials", "3"],
            2,
            vec!["temperature 0", "--temperature"],
        ),
        (
            vec!["run", "scripted:model.yaml", "--correction", "nudge"],
            2,
            vec!["--tool-choice required"],
        ),
        (
            vec!["run", "scripted:missing.yaml"],
            2,
            vec!["missing.yaml"],
        ),
        (vec!["run", "./cut.gguf"], 2, vec!["cut.gguf"]),
        (
            vec!["--config", "bad.toml", "config", "show"],
            2,
            vec!["sede", "bad.toml:1:1", "seed"],
        ),
        (vec!["report", "nothing"], 2, vec!["no run `nothing`"]),
        (vec!["explain", "wrong_valu"], 2, vec!["wrong_value"]),
        (vec!["model", "show", "nonexistent"], 2, vec!["nonexistent"]),
    ] {
        let text = context.expect_error(code, &arguments);
        for needle in needles {
            assert!(
                text.contains(needle),
                "toolbench {arguments:?} lacks `{needle}`:\n{text}"
            );
        }
    }
}

#[test]
fn errors_are_json_where_output_is() {
    let context = Context::new();
    let text = context.expect_error(2, &["report", "nothing", "--format", "json"]);
    let error: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(error["code"], 2);
    assert!(
        error["message"]
            .as_str()
            .unwrap()
            .contains("no run `nothing`")
    );
    assert_eq!(error["type"], "record");
}

#[test]
fn precedence_is_flag_variable_profile_file() {
    let context = Context::new();
    context.write(
        "toolbench.toml",
        "seed = 1\nmax-turns = 3\n[profiles.ci]\nseed = 2\n",
    );
    let seed = |arguments: &[&str], variable: Option<&str>| {
        let mut command = context.command(arguments);
        if let Some(value) = variable {
            command.env("TOOLBENCH_SEED", value);
        }
        let text = stdout(&command.output().unwrap());
        let line = text
            .lines()
            .find(|line| line.starts_with("seed "))
            .unwrap_or("")
            .to_owned();
        line.split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(seed(&["config", "show"], None), "1 toolbench.toml:1:1");
    assert_eq!(
        seed(&["--profile", "ci", "config", "show"], None),
        "2 profile ci (toolbench.toml)"
    );
    assert_eq!(
        seed(&["--profile", "ci", "config", "show"], Some("3")),
        "3 environment TOOLBENCH_SEED"
    );
    assert_eq!(
        seed(&["config", "show", "--seed", "4"], Some("3")),
        "4 flag --seed"
    );
}

#[test]
fn help_lists_commands_settings_and_exit_codes() {
    let context = Context::new();
    let top = context.expect(0, &["--help"]);
    for needle in ["compare", "doctor", "Exit codes:", "130"] {
        assert!(top.contains(needle), "{needle}\n{top}");
    }
    let run = context.expect(0, &["compare", "--help"]);
    for key in toolbench::config::KEYS {
        assert!(
            run.contains(&format!("--{}", key.name)),
            "{}\n{run}",
            key.name
        );
    }
}

#[test]
fn completions_and_manual_are_made_from_the_same_definition() {
    let context = Context::new();
    assert!(
        context
            .expect(0, &["completions", "bash"])
            .contains("toolbench")
    );
    assert!(context.expect(0, &["man"]).contains(".TH"));
}

#[test]
fn listings_take_json() {
    let context = Context::new();
    for arguments in [
        vec!["suite", "list"],
        vec!["suite", "show", "weather"],
        vec!["model", "list"],
        vec!["explain"],
        vec!["doctor"],
    ] {
        let mut all = arguments.clone();
        all.extend(["--format", "json"]);
        let output = context.run(&all);
        let parsed = serde_json::from_str::<serde_json::Value>(&stdout(&output));
        assert!(
            parsed.is_ok(),
            "toolbench {all:?}: {}{}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn explain_knows_every_code_and_column() {
    let context = Context::new();
    for code in toolbench::types::Code::ALL {
        assert!(
            context
                .expect(0, &["explain", code.name()])
                .contains(code.meaning())
        );
    }
}

#[test]
fn init_writes_a_file_that_reads_and_does_not_overwrite() {
    let context = Context::new();
    context.expect(0, &["init"]);
    context.expect(0, &["config", "show"]);
    let text = context.expect_error(2, &["init"]);
    assert!(text.contains("--force"), "{text}");
    context.expect(0, &["init", "--force"]);
}

#[test]
fn grammars_can_be_read() {
    let context = Context::new();
    for dialect in ["json", "react", "fenced"] {
        let text = context.expect(
            0,
            &[
                "grammar",
                "show",
                "--dialect",
                dialect,
                "--suite",
                "weather",
            ],
        );
        assert!(text.contains("start:") && text.contains("%json"), "{text}");
    }
}

#[test]
fn a_dry_run_writes_nothing() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("model.yaml", RIGHT_SCRIPT);
    let text = context.expect(
        0,
        &[
            "run",
            "scripted:model.yaml",
            "--suite",
            "tiny.yaml",
            "--dry-run",
        ],
    );
    assert!(text.contains("6 trials in 2 cells"), "{text}");
    assert!(context.runs().is_empty());
}

#[test]
fn a_closed_pipe_is_a_clean_end() {
    let context = Context::new();
    let binary = env!("CARGO_BIN_EXE_toolbench");
    let output = std::process::Command::new("bash")
        .args([
            "-c",
            &format!("{binary} explain | head -1; exit ${{PIPESTATUS[0]}}"),
        ])
        .current_dir(context.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}

#[test]
fn nobody_listening_on_standard_error_stops_no_run() {
    let context = Context::new();
    context.write(
        "model.yaml",
        "name: answers\notherwise: '{\"answer\":\"no\"}'\n",
    );
    let binary = env!("CARGO_BIN_EXE_toolbench");
    let command = format!(
        "{binary} run scripted:model.yaml --suite weather --constraint off -vv 2>&1 >/dev/null | head -1; exit ${{PIPESTATUS[0]}}"
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &command])
        .current_dir(context.path(""))
        .env("HOME", context.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = crate::support::json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(lines.len(), 46);
}

#[test]
fn named_suites_add_up_and_variants_are_named_once() {
    let context = Context::new();
    context.write("model.yaml", RIGHT_SCRIPT);
    let both = context.expect(
        0,
        &[
            "run",
            "scripted:model.yaml",
            "--suite",
            "quick,weather",
            "--dry-run",
        ],
    );
    let other = context.expect(
        0,
        &[
            "run",
            "scripted:model.yaml",
            "--suite",
            "weather,quick",
            "--dry-run",
        ],
    );
    assert_eq!(both.lines().next(), other.lines().next());
    let text = context.expect_error(
        2,
        &["run", "scripted:model.yaml", "--variant", "default,default"],
    );
    assert!(text.contains("named twice"), "{text}");
}
