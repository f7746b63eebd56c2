//! `toolbench baseline`: small, stable, free of clock readings, replaced only after a look.

use std::path::Path;

use serde_json::Value;

use super::*;

fn main_text(context: &Context) -> String {
    std::fs::read_to_string(context.path("reports/baselines/main.jsonl")).unwrap()
}

#[test]
fn equal_runs_give_equal_bytes_without_any_clock() {
    let context = prepared("..x.");
    let first = run(&context, &SAMPLED);
    save(&context, &first, &[]);
    let text = main_text(&context);
    let second = run(&context, &SAMPLED);
    context.expect(
        0,
        &[
            "baseline",
            "save",
            second.to_str().unwrap(),
            "--name",
            "again",
            "-q",
        ],
    );
    let again = std::fs::read_to_string(context.path("reports/baselines/again.jsonl")).unwrap();
    assert_eq!(text, again);
    // The name of the run holds the time, and every measured field ends so.
    for word in ["_ms\":", "_at\":", "_bytes\":", "per_second"] {
        assert!(
            !text.contains(word) || word == "_ms\":" && text.contains("timeout_ms"),
            "{word}"
        );
    }
    assert!(!text.contains(first.file_name().unwrap().to_str().unwrap()));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let cases: Vec<&Value> = lines.iter().filter(|line| line["line"] == "case").collect();
    assert_eq!(cases.len(), 4, "one line for each case and cell");
    assert_eq!(cases[2]["trials"], "FFFFF");
    assert_eq!(cases[2]["codes"], serde_json::json!(["missing_call"]));
    assert!(text.len() < 4_000, "{} bytes for four cases", text.len());
}

#[test]
fn a_change_is_one_line_of_a_diff() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    let before = main_text(&context);
    context.write("model.yaml", &script(".x.."));
    let second = run(&context, &[]);
    context.expect(
        0,
        &[
            "baseline",
            "update",
            second.to_str().unwrap(),
            "--yes",
            "-q",
        ],
    );
    let after = main_text(&context);
    let differing: Vec<(&str, &str)> = before
        .lines()
        .zip(after.lines())
        .filter(|(one, two)| one != two)
        .collect();
    assert_eq!(differing.len(), 1, "{differing:?}");
    assert!(differing[0].1.contains("clock/c-02"), "{differing:?}");
}

#[test]
fn saving_does_not_overwrite_and_updating_shows_and_asks() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script(".x.."));
    let second = run(&context, &[]);
    let path = second.to_str().unwrap();
    let text = context.expect_error(2, &["baseline", "save", path]);
    assert!(
        text.contains("says something else") && text.contains("baseline update"),
        "{text}"
    );
    let before = main_text(&context);
    let text = context.expect_error(2, &["baseline", "update", path]);
    assert!(
        text.contains("nothing was written") && text.contains("--yes"),
        "{text}"
    );
    assert!(
        text.contains(
            "clock/c-02 [scripted:model.yaml · json · off]: P then, F now (missing_call)"
        ),
        "{text}"
    );
    assert_eq!(main_text(&context), before);
    let written = context.expect(
        0,
        &["baseline", "update", path, "--yes", "--format", "json"],
    );
    let written: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written["differences"].as_array().unwrap().len(), 1);
    judged(&context, 0, &[path]);
    let output = context.run(&["baseline", "update", path]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("already"), "{}", stderr(&output));
    let text = context.expect_error(2, &["baseline", "update", path, "--name", "other"]);
    assert!(text.contains("no baseline `other` to update"), "{text}");
    for name in ["a/b", "", "none", ".hidden", "x.latency"] {
        let text = context.expect_error(2, &["baseline", "save", path, "--name", name]);
        assert!(text.contains("is no name"), "{name}: {text}");
    }
}

#[test]
fn baselines_are_listed_and_shown() {
    let context = prepared("..x.");
    let text = context.expect(0, &["baseline", "show"]);
    assert!(text.contains("toolbench baseline save"), "{text}");
    let first = run(&context, &[]);
    save(&context, &first, &["--with-latency"]);
    let text = context.expect(0, &["baseline", "show"]);
    assert!(
        text.starts_with("main  1 cells, 4 lines of cases, on clock, with times"),
        "{text}"
    );
    let text = context.expect(0, &["baseline", "show", "main"]);
    for words in [
        "75.0 % exact of 4 cases",
        "clock/c-03",
        "missing_call",
        "main.latency.jsonl",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let json = context.expect(0, &["baseline", "show", "main", "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["cells"][0]["success"], 0.75);
    assert_eq!(json["cases"].as_array().unwrap().len(), 4);
    let text = context.expect_error(2, &["baseline", "show", "mian"]);
    assert!(text.contains("did you mean `main`?"), "{text}");
}

/// A run that was interrupted by a limit and gone on with is the same baseline.
#[test]
fn a_resumed_run_is_the_same_baseline() {
    let context = prepared("..x.");
    let whole = run(&context, &[]);
    save(&context, &whole, &[]);
    let part = run(&context, &["--limit-requests", "12"]);
    let path = part.to_str().unwrap().to_owned();
    let lines = crate::support::json_lines(&part.join("trials.jsonl")).len();
    assert!(lines < 4, "{lines}");
    let text = context.expect_error(3, &["baseline", "save", &path, "--name", "part"]);
    assert!(
        text.contains("cannot be a baseline") && text.contains("--resume"),
        "{text}"
    );
    judged(&context, 3, &[&path]);
    context.run(&["run", "--resume", &path, "--limit-requests", "1000", "-q"]);
    context.expect(0, &["baseline", "save", &path, "--name", "part", "-q"]);
    let resumed = std::fs::read_to_string(context.path("reports/baselines/part.jsonl")).unwrap();
    assert_eq!(resumed, main_text(&context));
}

/// Times are a file of their own, tied to the baseline's content.
#[test]
fn times_are_kept_apart_and_compared_case_by_case() {
    let context = prepared("........");
    let first = run(&context, &[]);
    took(&first, 100.0);
    save(&context, &first, &["--with-latency"]);
    let path = context.path("reports/baselines/main.latency.jsonl");
    let second = run(&context, &[]);
    let second_path = second.to_str().unwrap();
    let slowdown = |code| judged(&context, code, &[second_path, "--max-slowdown", "50"]);
    took(&second, 140.0);
    slowdown(0);
    took(&second, 200.0);
    let slow = slowdown(1);
    let found = checks(&slow, "slowdown");
    assert_eq!(found.len(), 2);
    for check in found {
        assert_eq!(check["status"], "breached");
        assert!((check["observed"].as_f64().unwrap() - 2.0).abs() < 1e-9);
    }
    // What a busy machine took says nothing.
    let text = std::fs::read_to_string(second.join("trials.jsonl")).unwrap();
    let busy = text.replace("\"noisy\":false", "\"noisy\":true");
    std::fs::write(second.join("trials.jsonl"), busy).unwrap();
    let busy = slowdown(3);
    assert_eq!(checks(&busy, "slowdown")[0]["status"], "trouble");
    // Without the flag times decide nothing.
    verdict(&context, 0, &[]);
    // Times of another version of the baseline say nothing.
    let main = main_text(&context).replacen("\"trials\":\"P\"", "\"trials\":\"F\"", 1);
    std::fs::write(context.path("reports/baselines/main.jsonl"), main).unwrap();
    let stale = verdict(&context, 3, &["--max-slowdown", "50"]);
    let check = checks(&stale, "slowdown")[0];
    assert_eq!(check["status"], "not_comparable");
    assert!(
        check["reason"]
            .as_str()
            .unwrap()
            .contains("another version"),
        "{check}"
    );
    std::fs::remove_file(&path).unwrap();
    let none = verdict(&context, 3, &["--max-slowdown", "50"]);
    assert!(
        checks(&none, "slowdown")[0]["reason"]
            .as_str()
            .unwrap()
            .contains("--with-latency")
    );
}

/// Every trial took so long, on a machine that had nothing else to do.
fn took(run: &Path, ms: f64) {
    let path = run.join("trials.jsonl");
    let mut lines = String::new();
    for line in std::fs::read_to_string(&path).unwrap().lines() {
        let mut value: Value = serde_json::from_str(line).unwrap();
        value["time"]["total_ms"] = ms.into();
        value["time"]["to_valid_call_ms"] = ms.into();
        value["noisy"] = false.into();
        lines.push_str(&format!("{value}\n"));
    }
    std::fs::write(&path, lines).unwrap();
}

/// On another tier or engine build times are not compared, and the fields that differ are named;
/// success is, by the test and not as exact.
#[test]
fn another_tier_or_engine_leaves_times_undecided() {
    let context = prepared("........");
    let first = run(&context, &[]);
    for (file, from) in [("header.json", "\"tier\""), ("trials.jsonl", "\"tier\"")] {
        let path = first.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let moved = move_tier(&text, from);
        std::fs::write(&path, moved).unwrap();
    }
    let baseline = first.to_str().unwrap();
    let found = verdict(
        &context,
        3,
        &["--baseline", baseline, "--max-slowdown", "50"],
    );
    for check in checks(&found, "slowdown") {
        assert_eq!(check["status"], "not_comparable");
        let reason = check["reason"].as_str().unwrap();
        assert!(
            reason.contains("hardware tier: gpu-elsewhere then,"),
            "{reason}"
        );
    }
    assert_eq!(found["cells"][0]["difference"]["exact"], false);
    assert_eq!(checks(&found, "regression")[0]["status"], "passed");
    let tier = found["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["what"] == "tier");
    assert_eq!(tier.unwrap()["then"], "gpu-elsewhere");
    let second = run(&context, &[]);
    let path = second.join("header.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace(
            "\"engine_build\": \"scripted\"",
            "\"engine_build\": \"older\"",
        )
        .replace(
            "\"engine_build\":\"scripted\"",
            "\"engine_build\":\"older\"",
        ),
    )
    .unwrap();
    let found = verdict(
        &context,
        3,
        &[
            "--baseline",
            second.to_str().unwrap(),
            "--max-slowdown",
            "50",
        ],
    );
    let reason = checks(&found, "slowdown")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("engine build: older then, scripted now"),
        "{reason}"
    );
}

/// Every value of a key `tier` replaced.
fn move_tier(text: &str, key: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(key) {
        let mut parts = after.splitn(3, '"');
        let gap = parts.next().unwrap();
        let _tier = parts.next().unwrap();
        out.push_str(&format!("{before}{key}{gap}\"gpu-elsewhere\""));
        rest = parts.next().unwrap();
    }
    out + rest
}

/// Neither the order of suites nor where they lie is in the file.
#[test]
fn the_order_and_place_of_suites_make_no_difference() {
    let context = prepared("..");
    let second = suite(2).replace("suite: clock", "suite: watch");
    context.write("watch.yaml", &second);
    let path = context.path("clock.yaml");
    let one = run(&context, &["--suite", "watch.yaml"]);
    save(&context, &one, &[]);
    let before = main_text(&context);
    assert!(
        before.contains("\"selection\":[\"clock\",\"watch\"]"),
        "{before}"
    );
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "watch.yaml",
        "--suite",
        path.to_str().unwrap(),
        "--constraint",
        "off",
        "-q",
        "--max-infra=0",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    context.expect(0, &["baseline", "save", "latest", "--name", "again", "-q"]);
    let again = std::fs::read_to_string(context.path("reports/baselines/again.jsonl")).unwrap();
    assert_eq!(again, before);
    // Fewer suites and a filter are said before they replace anything.
    let part = run(&context, &["--limit", "1"]);
    let text = context.expect_error(2, &["baseline", "update", part.to_str().unwrap()]);
    assert!(
        text.contains("suites: clock, watch then, clock now")
            && text.contains("filters: none then, limit=1 now"),
        "{text}"
    );
}
