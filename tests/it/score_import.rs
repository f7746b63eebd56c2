//! `import bfcl` from the command line, and imported suites in a run.

use serde_json::{Value, json};

use crate::score::{calls, imported, with_data};
use crate::support::stderr;

#[test]
fn import_reads_the_package_and_says_what_it_leaves_out() {
    let context = with_data();
    let output = context.run(&[
        "suite",
        "import",
        "bfcl",
        "--from",
        "pkg",
        "--out",
        "suite.json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = stderr(&output);
    for part in [
        "note: BFCL_v4_live_simple.json is not there",
        "not imported: multi_turn_base: judged by the state",
        "not imported: simple_java: ",
        "not imported: web_search_base: ",
        "wrote suite.json: 6 cases of 5 categories",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let suite: Value =
        serde_json::from_str(&std::fs::read_to_string(context.path("suite.json")).unwrap())
            .unwrap();
    assert_eq!(suite["source"]["categories"].as_array().unwrap().len(), 5);
    let shown = context.expect(0, &["suite", "show", "suite.json"]);
    assert!(shown.contains("bfcl: 6 cases"), "{shown}");

    let underscored = [
        "import",
        "bfcl",
        "--from",
        "pkg",
        "--category",
        "non_live",
        "--names",
        "underscored",
        "--out",
        "u.json",
    ];
    let told = context.expect_error(2, &underscored);
    assert!(
        told.contains("BFCL_v4_parallel_multiple.json"),
        "a category asked for must be there: {told}"
    );
    let underscored = [
        "import",
        "bfcl",
        "--from",
        "pkg",
        "--category",
        "simple_python,multiple",
        "--names",
        "underscored",
        "--out",
        "u.json",
    ];
    context.expect(0, &underscored);
    let text = std::fs::read_to_string(context.path("u.json")).unwrap();
    assert!(text.contains("unit_convert") && !text.contains("unit.convert"));
    context.write(
        "calls.jsonl",
        &calls("simple_python_0", &[("unit_convert", json!({"value": 5}))]),
    );
    let verdict = context.expect(
        0,
        &[
            "score",
            "--suite",
            "u.json",
            "--calls",
            "calls.jsonl",
            "--rules",
            "bfcl",
        ],
    );
    assert!(verdict.contains("\"valid\":true"), "{verdict}");

    for (arguments, code, part) in [
        (vec!["--from", "nowhere"], 2, "no data of the leaderboard"),
        (
            vec!["--from", "pkg", "--category", "simpel_python"],
            2,
            "did you mean `simple_python`",
        ),
        (
            vec!["--from", "pkg", "--category", "multi_turn"],
            5,
            "nothing was imported",
        ),
    ] {
        let mut all = vec!["import", "bfcl", "--out", "x.json"];
        all.extend(arguments);
        let told = context.expect_error(code, &all);
        assert!(told.contains(part), "{told}");
    }
    let told = context.expect_error(
        4,
        &[
            "import",
            "bfcl",
            "--from",
            "pkg",
            "--out",
            "no/folder/x.json",
        ],
    );
    assert!(told.contains("cannot write"), "{told}");
    context.write("pkg/data/BFCL_v4_multiple.json", "{}\n");
    let told = context.expect_error(2, &["import", "bfcl", "--from", "pkg", "--out", "x.json"]);
    assert!(
        told.contains("BFCL_v4_multiple.json:1: not a case"),
        "{told}"
    );
}

#[test]
fn an_imported_suite_runs_and_its_oracle_passes() {
    let context = imported();
    context.write(
        "script.yaml",
        "name: scripted
replies:
  multiple_0: ['{\"tool\": \"send\", \"arguments\": {\"to\": \"ann\"}}']
  irrelevance_0: ['{\"answer\": \"There is no tool for that.\"}']
otherwise: '{\"answer\": \"no\"}'
",
    );
    let arguments = [
        "run",
        "scripted:script.yaml",
        "--suite",
        "suite.json",
        "--dialect",
        "json",
        "--constraint",
        "off",
        "--format",
        "json",
    ];
    let summary: Value = serde_json::from_str(&context.expect(0, &arguments)).unwrap();
    let cell = &summary["cells"][0];
    assert_eq!(cell["cases"], 6, "{cell}");
    assert!(
        (cell["success"]["rate"].as_f64().unwrap() - 2.0 / 6.0).abs() < 1e-9,
        "{}",
        cell["success"]
    );
}
