//! What a verdict advises: commands that can be pasted and do what they say.

use super::*;

/// The command of a hint or of `next`, run as a shell would.
fn pasted(context: &Context, command: &str) -> Output {
    let words = shlex::split(command).expect("words");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    assert_eq!(words[0], "toolbench", "{command}");
    context.run(&words[1..])
}

fn next(verdict: &Value) -> &str {
    verdict["next"].as_str().expect("a next command")
}

#[test]
fn a_baseline_named_by_its_path_is_updated_by_its_name() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &["--name", "other"]);
    context.write("model.yaml", &script("..xx"));
    let path = "reports/baselines/other.jsonl";
    let found = verdict(&context, 1, &["--baseline", path]);
    assert_eq!(found["baseline"]["name"], "other");
    let (_, update) = next(&found).split_once("if the change is meant: ").unwrap();
    let output = pasted(&context, &format!("{update} --yes"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    verdict(&context, 0, &["--baseline", "other"]);
    // One that lies elsewhere cannot be updated: it is saved where baselines lie.
    std::fs::rename(context.path(path), context.path("elsewhere.jsonl")).unwrap();
    context.write("model.yaml", &script("xxxx"));
    let found = verdict(&context, 1, &["--baseline", "elsewhere.jsonl"]);
    let (_, save) = next(&found).split_once("if the change is meant: ").unwrap();
    assert!(save.ends_with(" --name elsewhere"), "{save}");
    let output = pasted(&context, save);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(context.path("reports/baselines/elsewhere.jsonl").is_file());
}

#[test]
fn the_next_command_repeats_what_was_asked() {
    let context = prepared("...");
    run(&context, &SAMPLED);
    let asked = [
        "latest",
        "--min-success",
        "80",
        "--baseline",
        "none",
        "--out",
        "reports",
    ];
    let open = judged(&context, 3, &asked);
    let (_, command) = next(&open).split_once("to let it pass: ").unwrap();
    assert!(
        command.ends_with("--baseline none --min-success 80 --out reports --on-undecided warn"),
        "{command}"
    );
    let output = pasted(&context, command);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn only_a_run_that_lost_something_is_gone_on_with() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    // No case is as it was.
    context.write("clock.yaml", &suite(4).replace("time in", "hour in"));
    let found = verdict(&context, 3, &[]);
    assert!(!next(&found).contains("--resume"), "{}", next(&found));
    let (_, update) = next(&found).split_once("if the change is meant: ").unwrap();
    let output = pasted(&context, &format!("{update} --yes"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    verdict(&context, 0, &[]);
    // The baseline's own trouble is looked at there.
    context.write("model.yaml", &script("ii.."));
    let lost = run(&context, &[]);
    context.write("model.yaml", &script("...."));
    let found = verdict(&context, 3, &["--baseline", lost.to_str().unwrap()]);
    let expected = format!("toolbench report {}", lost.to_str().unwrap());
    assert_eq!(next(&found), expected);
}

#[test]
fn without_a_baseline_the_command_that_makes_one_is_complete() {
    let context = prepared("....");
    let model = [
        "gate",
        "scripted:model.yaml",
        "--suite",
        "clock.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    let text = context.expect_error(2, &model);
    let command = text.split('`').find(|part| part.contains(" && ")).unwrap();
    assert_eq!(
        command,
        "toolbench run scripted:model.yaml --constraint off --suite clock.yaml && toolbench baseline save latest"
    );
    for part in command.split(" && ") {
        let output = pasted(&context, part);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    }
    assert_eq!(context.run(&model).status.code(), Some(0));
    std::fs::remove_dir_all(context.path("reports/baselines")).unwrap();
    let text = context.expect_error(2, &["gate", "--resume", "latest"]);
    assert!(
        text.contains("`toolbench run --resume latest && toolbench baseline save latest`"),
        "{text}"
    );
}

#[test]
fn what_was_saved_is_gated_by_a_new_run() {
    let context = prepared("....");
    let first = run(&context, &["--temperature", "0.7"]);
    let output = context.run(&[
        "baseline",
        "save",
        first.to_str().unwrap(),
        "--name",
        "warm",
    ]);
    let text = stderr(&output);
    let (_, command) = text.split_once("after a change: ").unwrap();
    let command = command.trim();
    assert_eq!(
        command,
        "toolbench gate scripted:model.yaml --suite clock.yaml --constraint off --temperature 0.7 --max-infra 0 --baseline warm"
    );
    let output = pasted(&context, command);
    let outcome = output.status.code();
    assert!(
        outcome == Some(0) || outcome == Some(3),
        "{}",
        stderr(&output)
    );
}

#[test]
fn reports_beside_a_verdict_are_shaped_as_asked() {
    let context = prepared("..x.");
    run(&context, &[]);
    judged(
        &context,
        0,
        &[
            "latest",
            "--min-success",
            "50",
            "--by",
            "category",
            "--margin",
            "20",
            "--objective",
            "5",
            "--write",
            "cells.csv,report.html",
        ],
    );
    let page = std::fs::read_to_string(context.path("report.html")).unwrap();
    assert!(
        page.contains("scripted:model.yaml · json · off · even"),
        "by category"
    );
    let cells = std::fs::read_to_string(context.path("cells.csv")).unwrap();
    let rows: Vec<Vec<&str>> = cells.lines().map(|row| row.split(',').collect()).collect();
    let place = rows[0].iter().position(|name| *name == "objective_rate");
    assert_ne!(rows[1][place.unwrap()], "", "within the objective");
}

#[test]
fn what_compares_with_a_baseline_needs_one() {
    let context = prepared("..x.");
    run(&context, &[]);
    for (flag, value) in [("--max-slowdown", Some("20")), ("--strict", None)] {
        let mut all = vec!["gate", "latest", "--min-success", "10", flag];
        all.extend(value);
        let text = context.expect_error(2, &all);
        assert!(
            text.contains(&format!("`{flag}` compares with a baseline"))
                && text.contains("toolbench baseline save "),
            "{text}"
        );
    }
}

#[test]
fn advice_survives_a_space_in_a_path_and_keeps_servers() {
    let context = prepared("i.x.");
    let found = verdict(
        &context,
        3,
        &[
            "--out",
            "my reps",
            "--mock",
            "clock.yaml",
            "--allow-tool",
            "get_time",
            "--min-success",
            "10",
        ],
    );
    let next = found["next"].as_str().unwrap();
    assert!(
        next.contains("--resume 'my reps/")
            && next.contains("--mock clock.yaml --allow-tool get_time")
            && next.contains("--out 'my reps'"),
        "{next}"
    );
}
