//! The verdict as JSON, text, Markdown and annotations.

use super::*;

/// A drop, an added case, a known failure that passes and one that has expired.
fn eventful() -> Context {
    let context = prepared("....x.");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("clock.yaml", &suite(7));
    context.write("model.yaml", &script("xx....x"));
    context.write(
        "known.toml",
        "[[known]]\ncase = \"c-05\"\nreason = \"issue 12\"\nuntil = 2999-12-31\n\n\
         [[known]]\ncase = \"clock/c-02\"\nreason = \"issue | 13\"\nuntil = 2020-01-31\n",
    );
    context
}

const ASKED: [&str; 6] = [
    "--min-success",
    "50",
    "--min-category",
    "odd=90",
    "--known-failures",
    "known.toml",
];

/// What differs from run to run and machine to machine.
fn settled() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"\d{8}-\d{6}-[0-9a-f]{6}(-\d+)?", "RUN");
    settings
}

#[test]
fn the_verdict_for_people() {
    let context = eventful();
    let output = gate_model(&context, &ASKED);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    settled().bind(|| insta::assert_snapshot!("terminal", stdout(&output)));
    let text = stdout(&output);
    let last: Vec<&str> = text.lines().rev().take(2).collect();
    assert!(
        last[0].starts_with("next: ") && last[1].starts_with("fail: "),
        "{text}"
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 120),
        "{text}"
    );
}

#[test]
fn the_verdict_for_pull_requests() {
    let context = eventful();
    let summary = context.write("summary.md", "before\n");
    let output = context
        .command(
            &[
                &[
                    "gate",
                    "scripted:model.yaml",
                    "--suite",
                    "clock.yaml",
                    "--constraint",
                    "off",
                    "-q",
                    "--format",
                    "markdown",
                ][..],
                &ASKED,
            ]
            .concat(),
        )
        .env("GITHUB_STEP_SUMMARY", &summary)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    settled().bind(|| insta::assert_snapshot!("markdown", stdout(&output)));
    let written = std::fs::read_to_string(&summary).unwrap();
    assert_eq!(
        written,
        format!("before\n{}\n", stdout(&output)),
        "appended, whatever the format"
    );
    assert_eq!(
        stderr(&output),
        "",
        "no annotations unless asked or in Actions"
    );
}

#[test]
fn files_hold_the_verdict_or_the_report_of_its_run() {
    let context = eventful();
    let further = [
        &ASKED[..],
        &["--write", "gate.md,gate.json,ci/results.xml,page.html"],
    ]
    .concat();
    let output = gate_model(&context, &further);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let read = |name: &str| std::fs::read_to_string(context.path(name)).unwrap();
    assert!(read("gate.md").contains("fail: "), "{}", read("gate.md"));
    let found: Value = serde_json::from_str(&read("gate.json")).unwrap();
    assert_eq!(found["schema"], "toolbench.gate/1");
    let results = read("ci/results.xml");
    assert!(
        results.contains("<testsuites") && results.contains("c-01"),
        "{results}"
    );
    assert!(read("page.html").contains("</html>"));
    // Of a stored run too; and a format that a verdict has not is said before anything runs.
    let output =
        context.run(&[&["gate", "latest"][..], &ASKED, &["--write", "stored.csv"]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(read("stored.csv").starts_with("cell,"));
    let text = context.expect_error(2, &["gate", "latest", "--format", "junit"]);
    assert!(text.contains("`--write FILE`"), "{text}");
}

#[test]
fn annotations_in_actions_or_when_asked() {
    let context = eventful();
    let mut arguments = vec![
        "gate",
        "scripted:model.yaml",
        "--suite",
        "clock.yaml",
        "--constraint",
        "off",
        "-q",
    ];
    arguments.extend(ASKED);
    let output = context
        .command(&arguments)
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    settled().bind(|| insta::assert_snapshot!("annotations", stderr(&output)));
    let mut off = arguments.clone();
    off.extend(["--annotations", "off"]);
    let quiet = context
        .command(&off)
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap();
    assert_eq!(stderr(&quiet), "");
    let mut on = arguments.clone();
    on.extend(["--annotations", "on"]);
    assert!(stderr(&context.run(&on)).contains("::error title=toolbench gate"));
}

#[test]
fn the_verdict_for_programs_has_its_published_shape() {
    let context = eventful();
    let schema: Value = serde_json::from_str(&context.expect(0, &["schema", "gate"])).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let found = verdict(&context, 1, &ASKED);
    let errors: Vec<String> = validator
        .iter_errors(&found)
        .map(|it| it.to_string())
        .collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(found["schema"], "toolbench.gate/1");
    let path = format!("reports/{}", found["run"].as_str().unwrap());
    let again = judged(&context, 1, &[&[path.as_str()], &ASKED[..]].concat());
    let without_names = |verdict: &Value| {
        let text = verdict.to_string();
        text.replace(verdict["run"].as_str().unwrap(), "RUN")
    };
    assert_eq!(
        without_names(&found),
        without_names(&again),
        "judged at once or from the record"
    );
}

#[test]
fn a_summary_that_cannot_be_written_is_no_pass() {
    let context = prepared("....");
    run(&context, &[]);
    let output = context
        .command(&["gate", "latest", "--min-success", "50", "-q"])
        .env("GITHUB_STEP_SUMMARY", "/nowhere/at/all.md")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("cannot write the summary"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn errors_are_json_where_the_verdict_is() {
    let context = prepared("....");
    let output = context.run(&["gate", "latest", "--format", "json"]);
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["code"], 2, "{error}");
    run(&context, &[]);
    let output = context.run(&["gate", "latest", "--format", "json"]);
    let error: Value = serde_json::from_str(&stderr(&output)).unwrap();
    assert_eq!(error["type"], "no_baseline", "{error}");
}
