//! What failed for other reasons than the model: never a regression, never a pass.

use super::*;

#[test]
fn a_broken_connection_is_neither_a_regression_nor_a_pass() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    for letters in ["iiii", "..i.", "xii."] {
        context.write("model.yaml", &script(letters));
        for further in [
            vec![],
            vec!["--on-undecided", "warn"],
            vec!["--min-success", "1", "--on-undecided", "warn"],
        ] {
            let found = verdict(&context, 3, &further);
            assert_eq!(found["outcome"], "undecided", "{letters} {further:?}");
            assert_eq!(checks(&found, "record")[0]["status"], "trouble");
            assert!(
                found["next"].as_str().unwrap().contains("gate --resume"),
                "{found}"
            );
        }
    }
    // Floors alone: the same.
    let found = verdict(&context, 3, &["--baseline", "none", "--min-success", "1"]);
    assert_eq!(checks(&found, "success").len(), 0);
}

/// One trial of a hundred is lost: the rest decides.
#[test]
fn a_few_lost_trials_stand_in_nobodys_way() {
    let context = prepared(&".".repeat(25));
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script(&format!("i{}", ".".repeat(24))));
    let found = verdict(&context, 0, &[]);
    assert_eq!(found["cells"][0]["difference"]["cases"], 24);
    context.write("model.yaml", &script(&format!("ixxx{}", ".".repeat(21))));
    let found = verdict(&context, 1, &[]);
    assert_eq!(
        names(checks(&found, "regression")[0]),
        ["clock/c-02", "clock/c-03", "clock/c-04"]
    );
}

#[test]
fn a_breach_shows_beside_trouble_in_another_cell() {
    let context = prepared("....");
    context.write("model.yaml", &script("xxxx"));
    context.write(
        "lost.yaml",
        &script("iiii").replace("name: scripted", "name: lost"),
    );
    context.run(&[
        "run",
        "scripted:model.yaml",
        "scripted:lost.yaml",
        "--suite",
        "clock.yaml",
        "--constraint",
        "off",
        "-q",
    ]);
    let found = judged(&context, 1, &["latest", "--min-success", "50"]);
    assert_eq!(found["outcome"], "fail");
    assert_eq!(checks(&found, "record")[0]["status"], "trouble");
    assert_eq!(checks(&found, "success").len(), 1);
}

#[test]
fn a_resumed_gate_goes_on_and_judges() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script("i..i"));
    let lost = run(&context, &[]);
    // The same plan only with the same file: what was lost is asked again and lost again.
    let output = context.run(&[
        "gate",
        "--resume",
        lost.to_str().unwrap(),
        "--format",
        "json",
        "-q",
    ]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let lines = crate::support::json_lines(&lost.join("trials.jsonl")).len();
    assert_eq!(lines, 6, "two of four were asked again");
}

#[test]
fn a_baseline_in_trouble_is_compared_with_nothing() {
    let context = prepared("....");
    context.write("model.yaml", &script("ii.."));
    let lost = run(&context, &[]);
    context.write("model.yaml", &script("...."));
    let found = verdict(&context, 3, &["--baseline", lost.to_str().unwrap()]);
    let reason = checks(&found, "record")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("the baseline cannot be compared with"),
        "{reason}"
    );
}

/// A template without a form for tools: the cell of the baseline cannot be run any more.
#[test]
fn a_cell_that_can_no_longer_be_run_is_no_pass() {
    let context = prepared("....");
    let hermes = include_str!("../../../fixtures/templates/hermes.jinja");
    let plain = include_str!("../../../fixtures/templates/chatml.jinja");
    let with = |template: &str| {
        let call = |case: usize| {
            format!(
                "  c-{case:02}: [\"<tool_call>\\n{{\\\"name\\\": \\\"get_time\\\", \\\"arguments\\\": {{\\\"zone\\\": \\\"Z{case:02}\\\"}}}}\\n</tool_call>\"]\n"
            )
        };
        let replies: String = (1..=4).map(call).collect();
        let text = serde_json::to_string(template).unwrap();
        format!(
            "name: native\nchat_template: {text}\notherwise: '{{\"answer\":\"no\"}}'\nreplies:\n{replies}"
        )
    };
    context.write("model.yaml", &with(hermes));
    let arguments = ["--dialect", "native,json"];
    let first = run(&context, &arguments);
    let header = std::fs::read_to_string(first.join("header.json")).unwrap();
    assert!(header.contains("\"native\""), "{header}");
    save(&context, &first, &[]);
    context.write("model.yaml", &with(plain));
    let found = verdict(&context, 3, &arguments);
    let reason = checks(&found, "record")[0]["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("native · off of the baseline can no longer be run"),
        "{reason}"
    );
}
