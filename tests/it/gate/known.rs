//! Failures that are known until a date.

use super::*;

fn known(case: &str, until: &str) -> String {
    format!("[[known]]\ncase = \"{case}\"\nreason = \"issue 12\"\nuntil = {until}\n\n")
}

fn status<'a>(verdict: &'a Value, case: &str) -> &'a str {
    let results = verdict["known_failures"].as_array().unwrap();
    let found = results.iter().find(|it| it["case"] == case).unwrap();
    found["status"].as_str().unwrap()
}

#[test]
fn a_known_failure_breaks_nothing_until_it_expires() {
    let context = prepared("....");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script(".x.."));
    let asked = [
        "--min-success",
        "90",
        "--min-case",
        "100",
        "--known-failures",
        "known.toml",
    ];
    context.write("known.toml", &known("clock/c-02", "2999-12-31"));
    let accepted = verdict(&context, 0, &asked);
    assert_eq!(status(&accepted, "clock/c-02"), "fails");
    assert_eq!(
        accepted["cells"][0]["cases"], 3,
        "the known one is left out"
    );
    context.write("known.toml", &known("clock/c-02", "2020-01-31"));
    let counted = verdict(&context, 1, &asked);
    assert_eq!(status(&counted, "clock/c-02"), "expired");
    assert_eq!(checks(&counted, "regression")[0]["status"], "breached");
    assert_eq!(names(checks(&counted, "case")[0]), ["clock/c-02"]);
    let text = stdout(&gate_model(&context, &asked));
    assert!(
        text.contains("clock/c-02 counts again: it was known until 2020-01-31"),
        "{text}"
    );
}

#[test]
fn what_passes_now_is_said_and_gains_nothing() {
    let context = prepared("..x.");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script("...."));
    let file = known("c-03", "2999-12-31") + &known("clock/c-77", "2999-12-31");
    context.write("known.toml", &file);
    let found = verdict(&context, 0, &["--known-failures", "known.toml"]);
    assert_eq!(status(&found, "c-03"), "passes");
    assert_eq!(status(&found, "clock/c-77"), "not_here");
    assert_eq!(found["cells"][0]["cases"], 3);
    assert_eq!(found["cells"][0]["difference"]["difference"], 0.0);
    let text = stdout(&gate_model(&context, &["--known-failures", "known.toml"]));
    assert!(
        text.contains("c-03 passes now: its entry can go (known.toml:1:1)"),
        "{text}"
    );
}

#[test]
fn an_entry_may_hold_for_some_cells_only() {
    let context = prepared(".x..");
    run(&context, &[]);
    let asked = [
        "latest",
        "--min-success",
        "90",
        "--known-failures",
        "known.toml",
    ];
    context.write(
        "known.toml",
        &format!(
            "{}\nconstraint = \"grammar\"\n",
            known("c-02", "2999-12-31").trim_end()
        ),
    );
    judged(&context, 1, &asked);
    context.write(
        "known.toml",
        &format!(
            "{}\nconstraint = \"off\"\n",
            known("c-02", "2999-12-31").trim_end()
        ),
    );
    judged(&context, 0, &asked);
}

#[test]
fn a_wrong_file_says_where() {
    let context = prepared("....");
    run(&context, &[]);
    context.write(
        "known.toml",
        "[[known]]\ncase = \"c-01\"\nreson = \"x\"\nuntil = 2999-12-31\n",
    );
    let text = context.expect_error(
        2,
        &[
            "gate",
            "latest",
            "--min-success",
            "1",
            "--known-failures",
            "known.toml",
        ],
    );
    assert!(
        text.contains("known.toml:3:1") && text.contains("did you mean `reason`?"),
        "{text}"
    );
}
