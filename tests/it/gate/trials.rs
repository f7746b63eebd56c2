//! Which trials and cases a difference is over.

use super::*;

/// Five trials then of which the first passes, one now that passes: nothing differs in the pairs, and
/// everything in all. By hand: of six trials two succeed, and the one of now is among them in 1 of 3.
#[test]
fn trials_without_a_partner_count() {
    let context = prepared("........");
    let first = run(&context, &["--temperature", "0.7"]);
    save(&context, &first, &[]);
    let path = context.path("reports/baselines/main.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("\"trials\":\"P\"", "\"trials\":\"PFFFF\""),
    )
    .unwrap();
    let found = judged(&context, 0, &[first.to_str().unwrap()]);
    let difference = &found["cells"][0]["difference"];
    let number = |name: &str| difference[name].as_f64().unwrap();
    assert!((number("then") - 0.2).abs() < 1e-12 && (number("now") - 1.0).abs() < 1e-12);
    assert!((number("p_value") - 2.0 / 3.0_f64.powi(8)).abs() < 1e-12);
    assert_eq!(difference["stratified"], true);
    assert_eq!(difference["trials_then"], 40);
    assert_eq!(difference["rose"].as_array().unwrap().len(), 8);
    let reason = checks(&found, "regression")[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains("rose by 80 points, from 20.0 % to 100 %"),
        "{reason}"
    );
    let notes = found["notes"].to_string();
    assert!(notes.contains("(40 then, 8 now): all count"), "{notes}");
    // The other way round it is a regression, whatever the first trials say.
    let same = text.replace("\"trials\":\"P\"", "\"trials\":\"PPPPP\"");
    std::fs::write(&path, same).unwrap();
    context.write("model.yaml", &script("xxxxxxx."));
    let found = verdict(&context, 1, &["--temperature", "0.7"]);
    assert_eq!(names(checks(&found, "regression")[0]).len(), 7);
}

/// Three cases of one trial each, then twenty trials each that all fail: by hand a chance of 2 / 21³.
#[test]
fn many_trials_against_few_can_tell() {
    let context = prepared("...");
    let first = run(&context, &["--temperature", "0.7"]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script("xxx"));
    let found = verdict(&context, 1, &["--temperature", "0.7", "--trials", "20"]);
    let p = found["cells"][0]["difference"]["p_value"].as_f64().unwrap();
    assert!((p - 2.0 / 21.0_f64.powi(3)).abs() < 1e-12, "{p}");
}

/// Three of four old cases pass, two new ones fail: 50 % now, and no point lost where it was compared.
#[test]
fn what_before_and_points_are_over_is_said() {
    let context = prepared("..x.");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("clock.yaml", &suite(6));
    context.write("model.yaml", &script("..x.xx"));
    let found = verdict(&context, 0, &[]);
    assert_eq!(found["cells"][0]["success"], 0.5);
    let words = "before and points are over the 4 unchanged cases: 75.0 % then, 75.0 % now";
    assert!(found["notes"].to_string().contains(words), "{found}");
    for format in ["terminal", "markdown"] {
        let text = stdout(&gate_model(&context, &["--format", format]));
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{text}");
    }
    context.write("clock.yaml", &suite(4));
    context.write("model.yaml", &script("..x."));
    let same = verdict(&context, 0, &[]);
    assert!(!same["notes"].to_string().contains("before and points"));
}

#[test]
fn only_known_failures_left_is_no_trouble_and_no_pass() {
    let context = prepared("..");
    let first = run(&context, &[]);
    save(&context, &first, &[]);
    context.write("model.yaml", &script("xx"));
    let entry = |case: &str| {
        format!("[[known]]\ncase = \"{case}\"\nreason = \"issue 12\"\nuntil = 2999-12-31\n\n")
    };
    context.write("known.toml", &(entry("c-01") + &entry("c-02")));
    let found = verdict(&context, 3, &["--known-failures", "known.toml"]);
    let check = checks(&found, "regression")[0];
    assert_eq!(check["status"], "not_enough_data");
    let reason = check["reason"].as_str().unwrap();
    assert!(
        reason.ends_with("every unchanged case is a known failure"),
        "{reason}"
    );
    assert!(
        !found["next"].as_str().unwrap().contains("--resume"),
        "{found}"
    );
}
