//! `suite check` finds what makes a suite worthless: cases nobody can pass, cases anybody can.

use serde_json::{Value, json};

use crate::support::{Context, TINY_SUITE};

/// The tiny suite as data, to be spoilt.
fn tiny() -> Value {
    serde_saphyr::from_str(TINY_SUITE).expect("the tiny suite")
}

fn problems(suite: &Value) -> String {
    let context = Context::new();
    context.write("tiny.json", &suite.to_string());
    context.expect_error(2, &["suite", "check", "tiny.json"])
}

#[test]
fn a_sound_suite_is_one_line() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let out = context.expect(0, &["suite", "check", "tiny.yaml"]);
    assert_eq!(out.lines().count(), 1, "{out}");
    assert!(out.contains("oracle 3/3") && out.contains("refuse 33 %") && out.contains("sound"));
    let report: Value = serde_json::from_str(
        &context.expect(0, &["suite", "check", "tiny.yaml", "--format", "json"]),
    )
    .unwrap();
    assert_eq!(report[0]["oracle"], 3);
    assert_eq!(report[0]["agents"]["refuse_all"]["passed"], 1);
}

#[test]
fn what_spoils_a_suite_is_named() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut suite = tiny();
        change(&mut suite);
        problems(&suite)
    };
    // Nobody can pass: the state asked for is not what the right call leaves.
    let said = with(&|suite| suite["cases"][1]["expect"]["state"]["subset"]["alarms"] = json!([8]));
    assert!(
        said.contains("`t-alarm`: the oracle does not pass: state_mismatch"),
        "{said}"
    );
    // Accepts what the schema refuses.
    let said = with(&|suite| {
        suite["cases"][1]["expect"]["calls"][0]["arguments"]["hour"] = json!({"any_of": [7, 31]});
    });
    assert!(
        said.contains("accepts 31 for `hour`, which the schema refuses"),
        "{said}"
    );
    // Anybody passes: the first tool with made-up arguments.
    let said = with(&|suite| {
        for case in suite["cases"].as_array_mut().unwrap() {
            case["expect"] = json!({"any_call": true});
        }
    });
    assert!(said.contains("agent `first_tool` passes 3 of 3"), "{said}");
    assert!(said.contains("agent `random_arguments` passes"), "{said}");
    assert!(said.contains("agent `call_everything` passes"), "{said}");
    // A refusal passes where something should have happened.
    let said = with(&|suite| {
        suite["cases"][0]["expect"] = json!({"answer": {"not": {"contains": "noon"}}});
        suite["cases"][0]["ends"] = json!("answer");
    });
    assert!(
        said.contains("a refusal passes, and it is no case of abstention"),
        "{said}"
    );
    assert!(said.contains("agent `refuse_all` passes 2 of 3"), "{said}");
    // A near miss that is none.
    let said = with(&|suite| {
        suite["cases"][0]["near_misses"] = json!([
            {"calls": [{"name": "get_time", "arguments": {"zone": "UTC"}}], "code": "wrong_value"},
            {"calls": [{"name": "get_time", "arguments": {"zone": "CET"}}], "code": "hallucinated_value"}]);
    });
    assert!(
        said.contains("near miss 1 should be `wrong_value` and is `passed`"),
        "{said}"
    );
    assert!(!said.contains("near miss 2"), "{said}");
    // Too long.
    let said = with(&|suite| suite["self_test"] = json!({"prompt_tokens": 50}));
    assert!(said.contains("tokens long, 50 are stated"), "{said}");
    // Four of a kind.
    let said = with(&|suite| {
        let first = suite["cases"][0].clone();
        for (index, zone) in ["CET", "EST", "PST"].iter().enumerate() {
            let mut twin = first.clone();
            twin["id"] = json!(format!("t-twin-{index}"));
            twin["user"] = json!(format!("what time is it in {zone}?"));
            twin["expect"]["calls"][0]["arguments"]["zone"] = json!(zone);
            suite["cases"].as_array_mut().unwrap().push(twin);
        }
    });
    assert!(
        said.contains("says nearly the same as t-twin-0, t-twin-1, t-twin-2"),
        "{said}"
    );
    // The oracle cannot be made, and is told how.
    let said = with(&|suite| {
        suite["cases"][0]["expect"]["calls"][0]["arguments"]["zone"] =
            json!({"schema": {"type": "string", "minLength": 3, "pattern": "^U.C$"}});
    });
    assert!(said.contains("state a `solution`"), "{said}");
}

#[test]
fn a_solution_helps_where_nothing_can_be_made() {
    let context = Context::new();
    let mut suite = tiny();
    suite["cases"][0]["expect"]["calls"][0]["arguments"]["zone"] =
        json!({"schema": {"type": "string", "pattern": "^U.C$"}});
    suite["cases"][0]["expect"]["solution"] =
        json!({"calls": [{"name": "get_time", "arguments": {"zone": "UTC"}}]});
    context.write("tiny.json", &suite.to_string());
    context.expect(0, &["suite", "check", "tiny.json"]);
}
