//! Stage files: mistakes with their places, and the starter.

use serde_json::Value;

use crate::qualify::{example, qualify, statuses};
use crate::support::stderr;

#[test]
fn mistakes_in_a_file_have_their_place() {
    let context = example();
    let text = std::fs::read_to_string(context.path("qualify.yaml")).unwrap();
    for (from, to, message, place) in [
        (
            "    floor: 70\n  - stage: dev",
            "    flor: 70\n  - stage: dev",
            "did you mean `floor`?",
            ":15:5",
        ),
        (
            "    floor: 70\n  - stage: dev",
            "    floor: 0.7\n  - stage: dev",
            "in percent: 70, not 0.7",
            ":15:12",
        ),
        (
            "    floor: 70\n  - stage: dev",
            "    floor: 170\n  - stage: dev",
            "over 0 and up to 100",
            ":15:12",
        ),
        (
            "    floor: 70\n  - stage: dev",
            "    floor: .nan\n  - stage: dev",
            "over 0 and up to 100",
            ":15:12",
        ),
        (
            "kind: simulated",
            "kind: simulatd",
            "did you mean `simulated`?",
            ":13:11",
        ),
        (
            "kind: development",
            "kind: simulated",
            "is simulated and names a real server",
            ":19:13",
        ),
        (
            "kind: complex",
            "kind: simulated",
            "comes after `development`",
            ":24:11",
        ),
        (
            "suites: [clock.yaml]\n    floor: 70\n  - stage: dev",
            "suites: []\n    floor: 70\n  - stage: dev",
            "names no suite",
            ":14:13",
        ),
        (
            "suites: [clock.yaml]\n    floor: 70\n  - stage: dev",
            "suites: [clok.yaml]\n    floor: 70\n  - stage: dev",
            "clok.yaml",
            ":14:13",
        ),
        (
            "stage: complex",
            "stage: simulated",
            "two stages `simulated`",
            ":23:12",
        ),
        (
            "stage: complex",
            "stage: Complex One",
            "is no name",
            ":23:12",
        ),
        (
            "budget: {seconds: 300, calls: 36}",
            "budget: {seconds: 300}",
            "needs `budget: {calls:",
            ":39:13",
        ),
        (
            "budget: {seconds: 300, calls: 36}",
            "budget: {seconds: 0, calls: 36}",
            "`seconds` of a budget must be more than 0",
            ":39:23",
        ),
        (
            "    point_estimate: true",
            "    point_estimate: true\n    no_network: true",
            "is for a stage with a `server`",
            ":30:17",
        ),
        (
            "  dialect: json",
            "  dialct: json",
            "did you mean `dialect`",
            ":9:11",
        ),
        (
            "  dialect: json",
            "  suite: json",
            "it is the stage's `suites`",
            ":9:10",
        ),
        ("  dialect: json", "  dialect: jsn", "jsn", ":9:12"),
        ("qualify: clock", "qualify: [", "", ":"),
    ] {
        assert!(text.contains(from), "{from}");
        context.write("qualify.yaml", &text.replacen(from, to, 1));
        let output = qualify(&context, &["--dry-run"]);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{to}: {error}");
        assert!(error.contains(message), "{to}: {error}");
        assert!(
            error.contains(&format!("qualify.yaml{place}")),
            "{to}, {place}: {error}"
        );
        assert!(!error.contains("panicked"), "{error}");
    }
    let many = text
        .replace("floor: 70", "floor: 0.7")
        .replace("kind: complex", "kind: simulated");
    context.write("qualify.yaml", &many);
    let error = stderr(&qualify(&context, &[]));
    assert_eq!(error.matches("in percent").count(), 2, "{error}");
    assert!(error.contains("comes after"), "{error}");
    // Too few calls for all trials, known once the cases are.
    context.write("qualify.yaml", &text.replace("calls: 60", "calls: 5"));
    let output = qualify(&context, &["--dry-run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("5 calls for 12 trials is less than one each"),
        "{}",
        stderr(&output)
    );
    // A kind that the suites do not keep.
    context.write(
        "qualify.yaml",
        &text.replacen("suites: [clock.yaml]", "suites: [filesystem]", 1),
    );
    let output = qualify(&context, &["--dry-run"]);
    assert!(
        matches!(output.status.code(), Some(2 | 3)),
        "{}",
        stderr(&output)
    );
    let text = context.expect_error(2, &["qualify", "none.yaml"]);
    assert!(text.contains("--init"), "{text}");
    context.expect_error(2, &["qualify"]);
}

#[test]
fn the_starter_is_a_file_that_works() {
    let context = example();
    context.expect(
        0,
        &[
            "qualify",
            "--init",
            "new.yaml",
            "--model",
            "scripted:right.yaml",
        ],
    );
    let text = context.expect_error(2, &["qualify", "--init", "new.yaml"]);
    assert!(text.contains("new.yaml"), "{text}");
    let found = context.expect(0, &["qualify", "new.yaml", "--dry-run", "--format", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(statuses(&found), ["would_run"; 2]);
    // The parts that are commented out hold together too.
    let all = std::fs::read_to_string(context.path("new.yaml")).unwrap();
    let uncommented: Vec<String> = all
        .lines()
        .map(|line| {
            let rest = line.trim_start().strip_prefix("# ");
            match rest.filter(|rest| rest.starts_with("- stage") || rest.starts_with("  ")) {
                Some(rest) => format!("  {rest}"),
                None => line.to_owned(),
            }
        })
        .collect();
    context.write(
        "mine.yaml",
        &std::fs::read_to_string(context.path("clock.yaml")).unwrap(),
    );
    context.write("all.yaml", &uncommented.join("\n"));
    let output = context.run(&["qualify", "all.yaml", "--dry-run", "--format", "json"]);
    let text = stderr(&output);
    // It is read and checked; the server of the second stage is no program of this machine.
    assert!(!text.contains("all.yaml:"), "{text}");
}
