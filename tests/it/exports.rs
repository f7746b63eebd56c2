//! Reports in files: several at once, equal to what is printed, joined and recomputed, filtered.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, stderr, stdout};

/// Right but for the alarm, which needs a correction and then goes wrong.
const MIXED_SCRIPT: &str = "name: mixed
replies:
  t-time: ['{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}']
  t-alarm: ['{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":\"seven\"}}', '{\"tool\":\"set_alarm\",\"arguments\":{\"hour\":8}}', '{\"answer\":\"Done.\"}']
  t-thanks: ['{\"answer\":\"You are welcome.\"}']
";

fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("right.yaml", RIGHT_SCRIPT);
    context.write("mixed.yaml", MIXED_SCRIPT);
    context
}

fn compare<'a>(further: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec![
        "compare",
        "scripted:right.yaml",
        "scripted:mixed.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    all.extend(further);
    all
}

fn read(context: &Context, name: &str) -> String {
    std::fs::read_to_string(context.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn table(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

#[test]
fn several_files_at_once_each_as_it_would_be_printed() {
    let context = prepared();
    let printed = context.expect(
        0,
        &compare(&[
            "--write",
            "out/report.md,out/summary.json,out/results.xml",
            "--write",
            "out/cells.csv,out/trials.csv,out/tools.csv,out/plan.canonical.json",
            "--write",
            "jsonl=out/lines,out/tables.txt",
        ]),
    );
    for (file, format) in [
        ("report.md", "markdown"),
        ("summary.json", "json"),
        ("results.xml", "junit"),
        ("cells.csv", "csv"),
        ("trials.csv", "csv:trials"),
        ("tools.csv", "csv:tools"),
        ("plan.canonical.json", "canonical"),
        ("lines", "jsonl"),
        ("tables.txt", "terminal"),
    ] {
        let again = context.expect(0, &["report", "latest", "--format", format]);
        assert_eq!(read(&context, &format!("out/{file}")), again, "{file}");
    }
    assert_eq!(printed, read(&context, "out/tables.txt"));
    let left: Vec<String> = std::fs::read_dir(context.path("out"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn report_writes_too_and_from_the_project_file() {
    let context = prepared();
    context.expect(0, &compare(&[]));
    context.expect(0, &["report", "latest", "-q", "--write", "a.json"]);
    context.write("toolbench.toml", "write = [\"b.json\"]\n");
    context.expect(0, &["report", "latest", "-q"]);
    assert_eq!(read(&context, "a.json"), read(&context, "b.json"));
    let summary: Value = serde_json::from_str(&read(&context, "a.json")).unwrap();
    assert_eq!(summary["schema"], "toolbench.summary/1");
}

#[test]
fn mistakes_are_found_before_the_run() {
    let context = prepared();
    std::fs::create_dir(context.path("folder.json")).unwrap();
    for (file, words) in [
        ("out.jsn", "names no format"),
        ("jsno=out", "did you mean `json`"),
        ("folder.json", "it is a folder"),
        ("a.json,a.json", "written twice"),
    ] {
        let error = context.expect_error(2, &compare(&["--write", file]));
        assert!(error.contains(words), "{file}: {error}");
        assert!(error.contains("hint:"), "{file}: {error}");
    }
    assert!(context.runs().is_empty(), "nothing was run");
    let error = context.expect_error(2, &compare(&["--format", "jnuit"]));
    assert!(error.contains("junit"), "{error}");
}

#[test]
fn a_report_that_cannot_be_written_ends_with_4_and_keeps_the_record() {
    let context = prepared();
    context.write("file", "x");
    let output = context.run(&compare(&["--write", "file/below.json,good.json"]));
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot write file/below.json"),
        "{}",
        stderr(&output)
    );
    assert!(
        stdout(&output).contains("Quality"),
        "the tables are printed all the same"
    );
    assert!(
        context.path("good.json").is_file(),
        "the others are written"
    );
    context.expect(0, &["report", "latest"]);
    // A file that was there before survives a report that is not written.
    let error = context.expect_error(2, &["report", "latest", "nothing", "--write", "good.json"]);
    assert!(error.contains("one run"), "{error}");
}

/// The tables join by cell, and the totals come out of the trials alone.
#[test]
fn tables_join_and_totals_follow_from_trials() {
    let context = prepared();
    context.expect(
        0,
        &compare(&["--write", "cells.csv,trials.csv,tools.csv,summary.json"]),
    );
    let cells = table(&read(&context, "cells.csv"));
    let trials = table(&read(&context, "trials.csv"));
    let tools = table(&read(&context, "tools.csv"));
    assert_eq!((cells.len(), trials.len()), (2, 6));
    let ids: Vec<&str> = cells.iter().map(|cell| cell["cell"].as_str()).collect();
    assert!(ids.iter().all(|id| id.len() == 16), "{ids:?}");
    assert_ne!(ids[0], ids[1]);
    for row in trials.iter().chain(&tools) {
        assert!(ids.contains(&row["cell"].as_str()), "{row:?}");
    }
    for cell in &cells {
        let own: Vec<_> = trials
            .iter()
            .filter(|trial| trial["cell"] == cell["cell"])
            .collect();
        let number = |row: &BTreeMap<String, String>, name: &str| -> f64 {
            row[name]
                .parse()
                .unwrap_or_else(|_| panic!("{name}: {:?}", row[name]))
        };
        let sum = |name: &str| own.iter().map(|trial| number(trial, name)).sum::<f64>();
        let scored: Vec<_> = own
            .iter()
            .filter(|trial| trial["scored"] == "true")
            .collect();
        let same = |one: f64, two: f64| (one - two).abs() < 1e-9;
        assert!(same(number(cell, "scored_trials"), scored.len() as f64));
        // One trial a case: the mean over cases is the share of trials.
        let right = scored
            .iter()
            .filter(|trial| trial["success"] == "true")
            .count();
        let rate = right as f64 / scored.len() as f64;
        assert!((number(cell, "success_rate") - rate).abs() < 1e-12);
        assert!(same(number(cell, "prompt_tokens"), sum("prompt_tokens")));
        assert!(same(number(cell, "output_tokens"), sum("output_tokens")));
        let mean = sum("task_ms") / own.len() as f64;
        assert!((number(cell, "task_mean_ms") - mean).abs() < 1e-9);
        let made: f64 = sum("made_calls");
        assert!(
            (number(cell, "corrections_mean") - sum("corrections") / own.len() as f64).abs()
                < 1e-12
        );
        let called: f64 = tools
            .iter()
            .filter(|tool| tool["cell"] == cell["cell"])
            .map(|tool| number(tool, "executed_calls"))
            .sum();
        assert!((called - sum("calls")).abs() < 1e-12 && made <= called);
    }
    let alarm = tools
        .iter()
        .find(|tool| tool["model"] == "scripted:mixed.yaml" && tool["tool"] == "set_alarm")
        .unwrap();
    assert_eq!(alarm["offered_trials"], "3");
    let counts = [
        "paired_trials",
        "unpaired_trials",
        "expected",
        "called",
        "right_tool_calls",
        "right",
    ];
    assert_eq!(
        counts.map(|name| &*alarm[name]),
        ["3", "0", "1", "1", "1", "0"]
    );
    assert!(
        alarm["findings"].contains("type_mismatch /hour"),
        "{alarm:?}"
    );
    assert!(
        alarm["findings"].contains("hallucinated_value /hour"),
        "{alarm:?}"
    );
}

#[test]
fn every_format_is_filtered_as_the_record_would_be() {
    const KEY: &str = "sk-live-4242424242";
    let planted = |text: &str| text.replace("UTC", KEY).replace("seven", KEY);
    let context = Context::new();
    context.write("tiny.yaml", &planted(TINY_SUITE));
    context.write("right.yaml", &planted(RIGHT_SCRIPT));
    context.write("mixed.yaml", &planted(MIXED_SCRIPT));
    context.expect(0, &compare(&[]));
    let formats = [
        "terminal",
        "json",
        "jsonl",
        "csv",
        "csv:trials",
        "csv:tools",
        "markdown",
        "junit",
    ];
    let all = |further: &[&str]| -> String {
        let one = |format: &&str| {
            let mut arguments = vec!["report", "latest", "--format", *format];
            arguments.extend(further);
            context.expect(0, &arguments)
        };
        formats.iter().map(one).collect()
    };
    assert!(all(&[]).contains(KEY), "the key is planted");
    assert!(!all(&["--redact", "sk-live-[0-9]+"]).contains(KEY));
    assert!(!all(&["--retain", "none"]).contains(KEY));
    // The addresses in an export are those of what is left.
    let hashes = |text: &str| -> Vec<Value> {
        text.lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["attempts"][0]["reply"].clone()
            })
            .collect()
    };
    let plain = context.expect(0, &["report", "latest", "--format", "jsonl"]);
    let filtered = context.expect(
        0,
        &[
            "report",
            "latest",
            "--format",
            "jsonl",
            "--redact",
            "sk-live-[0-9]+",
        ],
    );
    assert_ne!(hashes(&plain), hashes(&filtered));
    // Numbers stay.
    let rates = |further: &[&str]| {
        let mut arguments = vec!["report", "latest", "--format", "csv"];
        arguments.extend(further);
        context.expect(0, &arguments)
    };
    assert_eq!(
        rates(&[]),
        rates(&["--retain", "none", "--redact", "sk-live-[0-9]+"])
    );
    let error = context.expect_error(
        2,
        &[
            "report",
            "latest",
            "--write",
            "x.canonical.json",
            "--retain",
            "none",
        ],
    );
    assert!(error.contains("cannot be redacted"), "{error}");
}

#[test]
fn junit_of_a_run_holds_replies_and_reasons() {
    let context = prepared();
    context.expect(0, &compare(&["--write", "results.xml"]));
    let text = read(&context, "results.xml");
    let document = roxmltree::Document::parse(&text).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("tests"), Some("6"));
    assert_eq!(root.attribute("failures"), Some("1"));
    assert_eq!(root.attribute("errors"), Some("0"));
    let failure = document
        .descendants()
        .find(|it| it.has_tag_name("failure"))
        .unwrap();
    assert!(
        failure
            .attribute("message")
            .unwrap()
            .starts_with("hallucinated_value at /hour of set_alarm")
    );
    let case = failure.parent().unwrap();
    assert_eq!(case.attribute("name"), Some("t-alarm"));
    let reply = case
        .children()
        .find(|it| it.has_tag_name("system-out"))
        .unwrap();
    assert!(
        reply.text().unwrap().contains("Done."),
        "{:?}",
        reply.text()
    );
}

#[test]
fn a_comparison_recommends() {
    let context = prepared();
    let text = context.expect(0, &compare(&[]));
    assert!(
        text.contains("Pareto set (success, time of a task, memory)"),
        "{text}"
    );
    let summary: Value =
        serde_json::from_str(&context.expect(0, &["report", "latest", "--format", "json"]))
            .unwrap();
    let set = &summary["pareto"][0];
    assert_eq!(set["rows"].as_array().unwrap().len(), 2);
    // Three cases tell nobody apart.
    assert!(set["winner"].is_null());
    assert!(
        set["rows"]
            .as_array()
            .unwrap()
            .iter()
            .all(|row| row["in_set"] == true)
    );
    // One thing alone has nothing to choose from.
    let single = context.expect(
        0,
        &[
            "run",
            "scripted:right.yaml",
            "--suite",
            "tiny.yaml",
            "--constraint",
            "off",
            "-q",
        ],
    );
    assert!(!single.contains("Pareto"), "{single}");
}
