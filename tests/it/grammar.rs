//! `toolbench grammar check` and `conformance`: one schema on instances, hostile schemas, the public
//! JSON Schema test suite.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Context, skip, stderr, stdout};

/// Longest check of one hostile schema, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/grammar")
}

/// Lines of standard output of a check, and standard error.
fn check(schema: &str, instances: &str, more: &[&str]) -> (Vec<Value>, String) {
    let context = Context::new();
    context.write("schema.json", schema);
    context.write("instances.jsonl", instances);
    let mut arguments = vec![
        "grammar",
        "check",
        "--schema",
        "schema.json",
        "--instances",
        "instances.jsonl",
    ];
    arguments.extend(more);
    let output = context.run(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let lines = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON line"))
        .collect();
    (lines, stderr(&output))
}

#[test]
fn each_instance_gets_one_line_with_both_verdicts() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer", "maximum": 9}}, "required": ["city"]});
    let instances = "{\"days\": 3, \"city\": \"Oslo\"}\n{\"city\": 3}\n\n{\"city\": \"Oslo\", \"x\": 1}\nnot json\n{\"city\": \"Oslo\", \"days\": 1e1}\n[1,2\n\"text\"\n";
    let (lines, summary) = check(&schema.to_string(), instances, &[]);
    assert_eq!(
        lines[0],
        json!({"line": 1, "schema_valid": true, "grammar_accepts": true}),
        "keys come in the order of the schema"
    );
    assert_eq!(
        lines[1],
        json!({"line": 2, "schema_valid": false, "grammar_accepts": false})
    );
    assert_eq!(
        lines[2],
        json!({"line": 4, "schema_valid": true, "grammar_accepts": false, "closed": true})
    );
    assert_eq!(lines[3]["line"], 5);
    assert!(
        lines[3]["error"]
            .as_str()
            .unwrap()
            .contains("not a JSON value"),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines[4],
        json!({"line": 6, "schema_valid": false, "grammar_accepts": false})
    );
    assert!(lines[5]["error"].is_string());
    assert_eq!(
        lines[6],
        json!({"line": 8, "schema_valid": false, "grammar_accepts": false})
    );
    assert_eq!(lines.len(), 7);
    assert!(summary.contains("close objects"), "{summary}");
    assert!(summary.contains("2 lines without a verdict"), "{summary}");
}

#[test]
fn a_refused_schema_gets_one_line_with_the_reason() {
    for (schema, by, needle) in [
        ("{\"type\": \"strin\"}", "validator", "strin"),
        (
            "{\"$ref\": \"https://example.com/a.json\"}",
            "validator",
            "only references within the schema",
        ),
        (
            "{\"$schema\": \"http://json-schema.org/draft-03/schema#\"}",
            "validator",
            "4, 6, 7, 2019-09 and 2020-12",
        ),
        ("{\"pattern\": \"^(?=a)\"}", "validator", "look-around"),
        (
            "{\"pattern\": \"^([a-z]{1,90}[0-9]{1,90}){90}$\"}",
            "validator",
            "bytes",
        ),
        ("false", "grammar", "no value satisfies"),
        ("[]", "validator", ""),
    ] {
        let (lines, _) = check(schema, "1\n{}\n", &[]);
        assert_eq!(lines.len(), 1, "{schema}: {lines:?}");
        assert_eq!(lines[0]["line"], Value::Null, "{schema}");
        assert_eq!(lines[0]["by"], by, "{schema}");
        assert!(
            lines[0]["refused"].as_str().unwrap().contains(needle),
            "{}",
            lines[0]
        );
    }
    let context = Context::new();
    context.write("broken.json", "{");
    context.write("i.jsonl", "1\n");
    for (schema, needle) in [
        ("broken.json", "not a JSON value"),
        ("none.json", "cannot read"),
    ] {
        let text = context.expect_error(
            2,
            &[
                "grammar",
                "check",
                "--schema",
                schema,
                "--instances",
                "i.jsonl",
            ],
        );
        assert!(text.contains(schema) && text.contains(needle), "{text}");
    }
}

#[test]
fn roots_of_any_type_work_and_arguments_are_a_root_of_their_own() {
    let (lines, _) = check(
        "{\"type\": \"array\", \"items\": {\"type\": \"integer\"}}",
        "[1,2]\n[\"a\"]\n3\n",
        &[],
    );
    let verdicts: Vec<(&Value, &Value)> = lines
        .iter()
        .map(|line| (&line["schema_valid"], &line["grammar_accepts"]))
        .collect();
    assert_eq!(
        verdicts,
        [
            (&json!(true), &json!(true)),
            (&json!(false), &json!(false)),
            (&json!(false), &json!(false))
        ]
    );
    let free = "{\"type\": \"object\"}";
    let (as_value, _) = check(free, "{\"a\":1}\n", &[]);
    assert_eq!(as_value[0]["grammar_accepts"], true);
    let (as_arguments, _) = check(free, "{\"a\":1}\n{}\n", &["--root", "arguments"]);
    assert_eq!(as_arguments[0]["grammar_accepts"], false);
    assert_eq!(as_arguments[1]["grammar_accepts"], true);
}

#[test]
fn all_formats_say_the_same() {
    let context = Context::new();
    context.write(
        "s.json",
        "{\"items\": {\"type\": \"integer\"}, \"uniqueItems\": true, \"type\": \"array\"}",
    );
    context.write("i.jsonl", "[1,2]\n[1,1]\n");
    let arguments = |format: &'static str| {
        [
            "grammar",
            "check",
            "--schema",
            "s.json",
            "--instances",
            "i.jsonl",
            "--format",
            format,
        ]
    };
    let whole: Value = serde_json::from_str(&context.expect(0, &arguments("json"))).unwrap();
    assert_eq!(whole["loosened"], json!(["`uniqueItems` at the root"]));
    assert_eq!(
        whole["instances"][1],
        json!({"line": 2, "schema_valid": false, "grammar_accepts": true})
    );
    let text = context.expect(0, &arguments("text"));
    assert!(text.contains("invalid  takes it"), "{text}");
}

/// A hostile schema gets verdicts or one reason, in bounded time, and never ends the process.
#[test]
fn hostile_schemas_neither_hang_nor_crash() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
    let doubled = |count: usize, keyword: &str| {
        let mut definitions: serde_json::Map<String, Value> = (0..count)
            .map(|level| {
                let next = json!({"$ref": format!("#/$defs/a{}", level + 1)});
                (format!("a{level}"), json!({keyword: [next, next]}))
            })
            .collect();
        definitions.insert(format!("a{count}"), json!({"type": "string"}));
        json!({"$defs": definitions, "$ref": "#/$defs/a0"})
    };
    let chain: serde_json::Map<String, Value> = (0..190)
        .map(|link| {
            let next = json!({"$ref": format!("#/$defs/c{}", link + 1)});
            (
                format!("c{link}"),
                (0..40).fold(next, |inner, _| json!({"items": inner})),
            )
        })
        .collect();
    let wide: serde_json::Map<String, Value> = (0..3_000)
        .map(|n| (format!("p{n}"), json!({"type": "integer"})))
        .collect();
    let conditions: Vec<Value> = (0..40)
        .map(|n| json!({"if": {"properties": {"k": {"const": n}}, "required": ["k"]}, "then": {"required": [format!("p{n}")]}}))
        .collect();
    let recursive = json!({"properties": {"a": {"$ref": "#"}}, "required": ["z"]});
    for (schema, instance) in [
        (json!({"enum": (0..40_000).collect::<Vec<_>>()}), json!(7)),
        (json!({"enum": vec!["x".repeat(100); 6_000]}), json!(7)),
        (doubled(60, "allOf"), json!("x")),
        (doubled(60, "anyOf"), json!("x")),
        (doubled(16, "oneOf"), json!("x")),
        (json!({"$defs": chain, "$ref": "#/$defs/c0"}), json!([[1]])),
        (json!({"anyOf": [recursive, recursive]}), nested(100)),
        (
            json!({"oneOf": [recursive, {"properties": {"a": {"$ref": "#"}}}]}),
            nested(60),
        ),
        (
            json!({"not": {"properties": {"a": {"$ref": "#"}}, "not": {"properties": {"a": {"$ref": "#"}}}}}),
            nested(60),
        ),
        (
            json!({"allOf": [{"properties": {"x": {"$ref": "#/allOf/0/properties/x"}}}]}),
            json!({"x": 1}),
        ),
        (
            json!({"$defs": {"x": {"$anchor": "a", "$ref": "#a"}}, "$ref": "#a"}),
            json!(1),
        ),
        (
            json!({"dependentSchemas": {"a": {"$ref": "#"}}}),
            json!({"a": 1}),
        ),
        (
            json!({"$dynamicAnchor": "n", "anyOf": [{"$dynamicRef": "#n"}, {"type": "string"}]}),
            json!(1),
        ),
        (json!({"properties": wide}), json!({"p1": 1})),
        (
            json!({"properties": wide, "minProperties": 7}),
            json!({"p1": 1}),
        ),
        (json!({"allOf": conditions}), json!({"k": 1})),
        (
            json!({"pattern": "^(a+)+$"}),
            json!(format!("{}!", "a".repeat(50_000))),
        ),
        (
            json!({"pattern": "^(a|b)*a(a|b){18}$", "minLength": 30}),
            json!("ab"),
        ),
        (
            json!({"properties": (0..500).map(|n| (format!("p{n}"), json!({"pattern": format!("^\\p{{L}}{{1,40}}{n}$")}))).collect::<serde_json::Map<_, _>>()}),
            json!({}),
        ),
        (
            json!({"type": "integer", "multipleOf": 999_999_937}),
            json!(1),
        ),
        (json!({"type": "number", "multipleOf": 1e-300}), json!(1)),
        (
            json!({"minLength": 1_000_000_000, "minItems": 1_000_000_000, "minProperties": 1_000_000_000}),
            json!("a"),
        ),
        (
            json!({"type": "array", "items": {"type": "integer"}, "maxItems": u64::MAX}),
            json!([1]),
        ),
        (
            json!({"type": "integer", "minimum": i64::MIN, "maximum": u64::MAX}),
            json!(-3),
        ),
        (
            json!({"type": "number", "minimum": -1e300, "exclusiveMaximum": 1e300}),
            json!(1.5e-300),
        ),
        (
            json!({"properties": {"": {}, "a\u{0}b": {}, "\u{1f600}\"\\/\n": {}}}),
            json!({"\u{1f600}\"\\/\n": 1, "": 2}),
        ),
        (
            json!({"uniqueItems": true}),
            json!((0..20_000).collect::<Vec<_>>()),
        ),
    ] {
        let context = Context::new();
        context.write("s.json", &schema.to_string());
        context.write("i.jsonl", &format!("{instance}\n"));
        let begun = Instant::now();
        let mut child = context
            .command(&[
                "grammar",
                "check",
                "--schema",
                "s.json",
                "--instances",
                "i.jsonl",
            ])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let given: String = schema.to_string().chars().take(120).collect();
        while child.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill().unwrap();
                panic!("no end of {given}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{given}: {}",
            stderr(&output)
        );
        let text = stdout(&output);
        let line: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{given}: {text}"));
        let judged = line["schema_valid"].is_boolean() && line["grammar_accepts"].is_boolean();
        let refused = line["refused"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty() && reason.len() < 600);
        assert!(judged || refused, "{given}: {line}");
        // What is valid is never left out.
        assert!(
            line["schema_valid"] != true || line["grammar_accepts"] == true,
            "{given}: {line}"
        );
    }
}

/// The counts of a suite's folder must be those on file.
fn assert_counts(folder: &Path, golden: &Path) {
    let context = Context::new();
    let folder = folder.display().to_string();
    let current = context.expect(
        0,
        &[
            "-q",
            "grammar",
            "conformance",
            "--suite",
            &folder,
            "--format",
            "counts",
        ],
    );
    let stored = std::fs::read_to_string(golden).unwrap_or_default();
    let (now, then): (Value, Value) = (
        serde_json::from_str(&current).unwrap(),
        serde_json::from_str(&stored).unwrap_or_default(),
    );
    let mut changed = Vec::new();
    for (draft, keywords) in now.as_object().unwrap() {
        for (keyword, counts) in keywords.as_object().unwrap() {
            if then[draft][keyword] != *counts {
                changed.push(format!(
                    "{draft} {keyword}: {} was {}",
                    counts, then[draft][keyword]
                ));
            }
        }
    }
    assert!(
        changed.is_empty(),
        "{} is out of date: write the output of `toolbench grammar conformance --suite DIR --format counts` to it\n{}",
        golden.display(),
        changed.join("\n")
    );
    assert_eq!(now, then, "{} has more than is measured", golden.display());
}

#[test]
fn our_own_schemas_are_measured_as_on_file() {
    assert_counts(&fixtures(), &fixtures().join("own.counts.json"));
    let context = Context::new();
    let folder = fixtures().display().to_string();
    let table = context.expect(0, &["grammar", "conformance", "--suite", &folder]);
    assert!(
        table.contains("in all") && table.lines().all(|line| line.chars().count() <= 100),
        "{table}"
    );
}

#[test]
fn the_public_suite_is_measured_as_on_file() {
    let Some(cache) = std::env::var_os("TOOLBENCH_TEST_CACHE") else {
        skip(
            "schemas",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return;
    };
    let folder = PathBuf::from(cache).join("schema-suite/json");
    if !folder.is_dir() {
        skip(
            "schemas",
            &format!(
                "no JSON Schema test suite in {} (scripts/test fetches it)",
                folder.display()
            ),
        );
        return;
    }
    assert_counts(&folder, &fixtures().join("suite.counts.json"));
}

#[test]
fn mistakes_in_what_to_measure_are_named() {
    let context = Context::new();
    let folder = fixtures().display().to_string();
    for (arguments, needle) in [
        (
            vec!["--suite", "nowhere"],
            "holds no JSON Schema test suite",
        ),
        (
            vec!["--suite", &folder, "--draft", "draft5"],
            "unknown draft `draft5`",
        ),
        (
            vec!["--suite", &folder, "--keyword", "tool"],
            "did you mean `tools`",
        ),
    ] {
        let mut all = vec!["grammar", "conformance"];
        all.extend(arguments);
        let text = context.expect_error(2, &all);
        assert!(text.contains(needle), "{text}");
    }
}
