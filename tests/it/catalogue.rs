//! The catalogue as people see it.

use crate::support::Context;

#[test]
fn the_field_is_there_by_its_usual_names() {
    let context = Context::new();
    let text = context.expect(0, &["model", "list", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = list["catalogue"].as_array().unwrap();
    for family in [
        "smollm2",
        "qwen2.5-coder",
        "gemma3",
        "tinyllama",
        "phi3.5",
        "gemma2",
        "qwen2.5",
        "qwen3",
        "llama3",
        "llama3.1",
        "llama3.2",
        "mistral",
        "mistral-nemo",
        "mixtral",
        "functionary",
        "gorilla-openfunctions",
        "openhermes",
        "nous-hermes2",
        "codellama",
    ] {
        assert!(
            entries.iter().any(|entry| entry["family"] == family),
            "{family} is not in the catalogue"
        );
    }
    for entry in entries {
        // What nobody could check is absent and marked.
        if entry["sha256"].is_null() {
            assert_eq!(entry["unverified"], true, "{entry}");
        }
    }
}
