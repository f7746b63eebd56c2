//! Result files of promptfoo and Inspect as input to `score`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Context, TINY_SUITE, stderr, stdout};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/interop")
}

fn prepared() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context
}

/// The `.eval` archive of the fixture's members.
fn archive(context: &Context) -> PathBuf {
    let path = context.path("run.eval");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for name in [
        "_journal/start.json",
        "samples/t-time_epoch_1.json",
        "samples/t-thanks_epoch_1.json",
        "header.json",
    ] {
        zip.start_file(name, options).unwrap();
        let text = std::fs::read(fixtures().join("inspect_eval").join(name)).unwrap();
        zip.write_all(&text).unwrap();
    }
    zip.finish().unwrap();
    path
}

/// Id, valid, error.
type Verdict = (String, Option<bool>, String);

/// Scores a file; gives `(id, valid, error)` of each verdict, the whole report and what was said.
fn scored(context: &Context, calls: &str, further: &[&str]) -> (Vec<Verdict>, Value, String) {
    let mut arguments = vec![
        "score",
        "--suite",
        "tiny.yaml",
        "--calls",
        calls,
        "--format",
        "json",
    ];
    arguments.extend(further);
    let output = context.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let verdicts = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|verdict| {
            (
                verdict["id"].as_str().unwrap().to_owned(),
                verdict["valid"].as_bool(),
                verdict["error_type"].as_str().unwrap_or("").to_owned(),
            )
        })
        .collect();
    (verdicts, report, stderr(&output))
}

fn verdict(id: &str, valid: bool, error: &str) -> Verdict {
    (id.to_owned(), Some(valid), error.to_owned())
}

#[test]
fn promptfoo_results_with_openai_calls_are_read() {
    let context = prepared();
    let file = fixtures().join("promptfoo.json");
    let (verdicts, report, said) = scored(&context, file.to_str().unwrap(), &[]);
    assert_eq!(
        verdicts,
        [
            verdict("t-time", true, ""),
            verdict("t-thanks", true, ""),
            verdict("t-time", false, "hallucinated_value"),
        ]
    );
    assert_eq!(report["source"]["format"], "promptfoo results (version 3)");
    assert_eq!(
        report["source"]["left_out"]["the provider gave no output"],
        1
    );
    for words in [
        "read promptfoo results (version 3): 3 outputs of openai:chat:model-a, openai:chat:model-b",
        "1 left out: the provider gave no output",
        "`--provider NAME` takes one",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn one_provider_of_several_is_chosen_by_id_or_label() {
    let context = prepared();
    let file = fixtures().join("promptfoo.json");
    let file = file.to_str().unwrap();
    for name in ["openai:chat:model-b", "b"] {
        let (verdicts, _, said) = scored(&context, file, &["--provider", name]);
        assert_eq!(verdicts, [verdict("t-time", false, "hallucinated_value")]);
        assert!(!said.contains("takes one"), "{said}");
    }
    let wrong = [
        "score",
        "--suite",
        "tiny.yaml",
        "--calls",
        file,
        "--provider",
        "c",
    ];
    let text = context.expect_error(2, &wrong);
    assert!(
        text.contains("no output is by `c`") && text.contains("openai:chat:model-a"),
        "{text}"
    );
    context.write("own.jsonl", "{\"id\":\"t-time\",\"calls\":[]}\n");
    let own = [
        "score",
        "--suite",
        "tiny.yaml",
        "--calls",
        "own.jsonl",
        "--provider",
        "c",
    ];
    assert!(context.expect_error(2, &own).contains("is neither"));
}

#[test]
fn promptfoo_lines_with_anthropic_blocks_are_read_also_from_standard_input() {
    let context = prepared();
    let file = fixtures().join("promptfoo.jsonl");
    let expected = [
        verdict("t-time", true, ""),
        verdict("t-thanks", false, "unwanted_call"),
    ];
    let (verdicts, report, _) = scored(&context, file.to_str().unwrap(), &[]);
    assert_eq!(verdicts, expected);
    assert_eq!(
        report["source"]["providers"][0],
        "anthropic:messages:model-c"
    );
    let mut command = context.command(&["score", "--suite", "tiny.yaml", "--calls", "-"]);
    let output = command
        .stdin(std::fs::File::open(file).unwrap())
        .output()
        .unwrap();
    assert_eq!(stdout(&output).lines().count(), 2, "{}", stderr(&output));
}

#[test]
fn results_that_name_no_case_are_refused_with_the_remedy() {
    let context = prepared();
    let text = std::fs::read_to_string(fixtures().join("promptfoo.json")).unwrap();
    context.write(
        "nameless.json",
        &text.replace("\"case\": \"t-time\"", "\"other\": 1"),
    );
    let arguments = ["score", "--suite", "tiny.yaml", "--calls", "nameless.json"];
    let said = context.expect_error(2, &arguments);
    assert!(
        said.contains("2 of 4 promptfoo results do not name the case"),
        "{said}"
    );
    assert!(said.contains("metadata: {case: ID}"), "{said}");
}

#[test]
fn an_inspect_log_is_read() {
    let context = prepared();
    let file = fixtures().join("inspect.json");
    let (verdicts, report, said) = scored(&context, file.to_str().unwrap(), &[]);
    // Calls of input messages are not the model's; unreadable arguments are its fault; an error of
    // the sample is not.
    assert_eq!(verdicts[0], verdict("t-time", true, ""));
    assert_eq!(
        (verdicts[1].0.as_str(), verdicts[1].1),
        ("t-time", Some(false))
    );
    assert_eq!(verdicts[2], verdict("t-thanks", true, ""));
    assert_eq!(verdicts.len(), 3);
    assert_eq!(report["source"]["format"], "Inspect log");
    assert_eq!(report["source"]["providers"][0], "openai/model-d");
    assert_eq!(
        report["source"]["left_out"]["the sample ended with an error"],
        1
    );
    assert!(
        said.contains("read Inspect log: 3 outputs of openai/model-d"),
        "{said}"
    );
}

#[test]
fn an_eval_archive_is_read_whatever_its_name() {
    let context = prepared();
    let path = archive(&context);
    let named = context.path("outputs.bin");
    std::fs::copy(&path, &named).unwrap();
    for name in ["run.eval", "outputs.bin"] {
        let (verdicts, report, _) = scored(&context, name, &[]);
        // Samples in the order of their names; `submit` is the answer and no call.
        assert_eq!(
            verdicts,
            [
                verdict("t-thanks", false, "unwanted_call"),
                verdict("t-time", true, ""),
            ]
        );
        assert_eq!(report["source"]["format"], "Inspect log (.eval)");
    }
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(context.path("cut.eval"), &bytes[..bytes.len() / 2]).unwrap();
    let cut = ["score", "--suite", "tiny.yaml", "--calls", "cut.eval"];
    let said = context.expect_error(2, &cut);
    assert!(said.contains("cannot be read as an Inspect log"), "{said}");
}

#[test]
fn tools_alone_judge_foreign_files_too() {
    let context = prepared();
    let file = fixtures().join("promptfoo.jsonl");
    let output = context.run(&[
        "score",
        "--tools",
        "tiny.yaml",
        "--calls",
        file.to_str().unwrap(),
        "--format",
        "json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(report["source"]["outputs"], 2);
    assert_eq!(report["verdicts"].as_array().unwrap().len(), 2);
}
