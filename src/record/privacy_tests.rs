//! Retention and redaction of single values; whole runs stand in `tests/it/privacy.rs`.

use serde_json::json;

use super::*;

fn redactor(patterns: &[&str]) -> Redactor {
    let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
    Redactor::new(&patterns).unwrap()
}

#[test]
fn every_string_of_a_value_is_redacted_but_names() {
    let redactor = redactor(&["sk-[a-z]+", "[0-9]{6,}"]);
    let mut value = json!({
        "name": "sk-tool", "key": "a sk-secret b", "sk-asakey": 1, "list": ["sk-x", {"deep": "sk-y"}],
        "account": 1_234_567, "small": 12
    });
    redactor.value(&mut value, &["name"]);
    assert_eq!(
        value,
        json!({
            "name": "sk-tool", "key": "a [redacted:1] b", "[redacted:1]": 1,
            "list": ["[redacted:1]", {"deep": "[redacted:1]"}], "account": "[redacted:2]", "small": 12
        })
    );
    assert!(is_redacted(&value));
}

#[test]
fn names_are_names_only_where_they_name() {
    let redactor = redactor(&["sk-[a-z]+"]);
    let mut value = json!({
        "suite": "sk-suite",
        "tools": [{"name": "sk-tool", "description": "sk-a", "inputSchema": {"properties": {"name": {"enum": ["sk-b"]}}}}],
        "mock": {"state": {"name": "sk-c", "tags": ["sk-d"]}},
        "cases": [{"id": "sk-case", "tools": ["sk-tool"], "user": "sk-e",
            "expect": {"calls": [{"tool": "sk-tool", "arguments": {"name": "sk-f"}}]}}]
    });
    redactor.value(&mut value, &NAMES);
    let text = value.to_string();
    for name in ["sk-suite", "sk-tool", "sk-case"] {
        assert!(text.contains(name), "{text}");
    }
    for content in ["sk-a", "sk-b", "sk-c", "sk-d", "sk-e", "sk-f"] {
        assert!(!text.contains(&format!("{content}\"")), "{content}: {text}");
    }
}

#[test]
fn a_replacement_is_never_read_as_a_template() {
    let mut text = "a $1 b".to_owned();
    redactor(&[r"\$1"]).text(&mut text);
    assert_eq!(text, "a [redacted:1] b");
}

#[test]
fn mistakes_name_the_number_and_never_the_pattern() {
    for (patterns, word) in [
        (["fine", "sk-(secret"], "pattern 2 is no regular expression"),
        (["a*", "b"], "pattern 1 matches the empty text"),
    ] {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        let error = Redactor::new(&patterns).unwrap_err();
        assert!(error.contains(word) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_header_says_how_many_and_which_without_saying_what() {
    let private = Private {
        retain: Retain::Full,
        redactor: redactor(&["sk-[a-z]+"]),
    };
    let header = serde_json::to_string(&private.header()).unwrap();
    assert!(!header.contains("sk-"), "{header}");
    assert_eq!(private.header().unwrap().patterns.len(), 1);
    assert_eq!(Private::default().header(), None);
}
