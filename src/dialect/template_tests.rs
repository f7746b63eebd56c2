//! Renderings against Python's jinja2, and probing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::native_form::{Layout, NativeForm};
use super::template::Template;
use super::test_support::{FIXTURES, facts, fixture};
use crate::types::{Message, Role, ToolCall, ToolDefinition};

#[test]
fn renderings_equal_those_of_jinja2() {
    let golden = include_str!("../../fixtures/templates/golden.json");
    let sources: BTreeMap<String, String> = FIXTURES
        .iter()
        .map(|(name, source)| ((*name).to_owned(), (*source).to_owned()))
        .collect();
    compare_with_golden(golden, &sources);
}

/// Real templates: `python fixtures/templates/render.py name=path … > golden`, then
/// `TOOLBENCH_GOLDEN=golden TOOLBENCH_TEMPLATES=name=path,…`.
#[test]
#[allow(clippy::disallowed_methods)] // a developer's own check: names its files by environment
fn renderings_of_real_templates_equal_those_of_jinja2() {
    let (Ok(golden), Ok(paths)) = (
        std::env::var("TOOLBENCH_GOLDEN"),
        std::env::var("TOOLBENCH_TEMPLATES"),
    ) else {
        return;
    };
    let sources: BTreeMap<String, String> = paths
        .split(',')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, path)| (name.to_owned(), std::fs::read_to_string(path).unwrap()))
        .collect();
    compare_with_golden(&std::fs::read_to_string(golden).unwrap(), &sources);
}

fn compare_with_golden(golden: &str, sources: &BTreeMap<String, String>) {
    let golden: Value = serde_json::from_str(golden).unwrap();
    let conversations: Value =
        serde_json::from_str(include_str!("../../fixtures/templates/conversations.json")).unwrap();
    let tools: Vec<ToolDefinition> =
        serde_json::from_str(include_str!("../../fixtures/templates/tools.json")).unwrap();
    for (name, source) in sources {
        let template = Template::of(&facts(Some(source))).unwrap();
        for (key, conversation) in conversations.as_object().unwrap() {
            let messages: Vec<Message> = conversation["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(message)
                .collect();
            let offered = if conversation.get("tools").is_some() {
                &tools[..]
            } else {
                &[]
            };
            let generate = conversation.get("add_generation_prompt") != Some(&json!(false));
            let rendered = template.render(&messages, offered, generate);
            let expected = &golden[name][key];
            if let Some(text) = expected.get("text").and_then(Value::as_str) {
                assert_eq!(rendered.as_deref(), Ok(text), "{name} {key}");
            } else {
                let error = rendered.unwrap_err().to_string();
                let wanted = expected["error"].as_str().unwrap();
                assert!(error.contains(wanted), "{name} {key}: {error}");
            }
        }
    }
}

fn message(value: &Value) -> Message {
    let role: Role = serde_json::from_value(value["role"].clone()).unwrap();
    let calls = value["tool_calls"].as_array().cloned().unwrap_or_default();
    Message {
        tool_calls: calls
            .iter()
            .map(|call| {
                ToolCall::new(
                    call["function"]["name"].as_str().unwrap(),
                    call["function"]["arguments"].clone(),
                )
            })
            .collect(),
        tool_name: value["name"].as_str().map(ToOwned::to_owned),
        ..Message::text(role, value["content"].as_str().unwrap())
    }
}

#[test]
fn abilities_are_found_by_probing() {
    let traits = |name| {
        Template::of(&facts(Some(fixture(name))))
            .unwrap()
            .traits()
            .clone()
    };
    let gemma = traits("gemma2");
    assert!(!gemma.system_role && !gemma.repeated_roles && !gemma.has_tools);
    assert_eq!(gemma.family, "gemma");
    let phi = traits("phi35");
    assert!(phi.system_role && !phi.has_tools);
    assert!(phi.native_unsupported().is_some());
    let hermes = traits("hermes");
    assert!(hermes.has_tools && hermes.tool_role && hermes.replays_raw && !hermes.string_arguments);
    assert_eq!(hermes.form, Some(NativeForm::default()));
    let llama = traits("llama31");
    let form = llama.form.unwrap();
    assert!(form.is_bare() && form.gap.is_none());
    assert_eq!(
        (form.head.as_str(), form.middle.as_str()),
        ("{\"name\": \"", "\", \"parameters\": ")
    );
    assert_eq!(form.closer, "");
    let mistral = traits("mistral");
    assert!(!mistral.repeated_roles && !mistral.replays_raw && mistral.tool_role);
    let form = mistral.form.unwrap();
    assert_eq!(
        (form.opener.as_str(), form.closer.as_str()),
        ("[TOOL_CALLS] [", "]")
    );
    assert_eq!(form.gap.as_deref(), Some(", "));
    assert!(matches!(form.layout, Layout::Object { list: true, .. }));
    let tagged = traits("function_tag");
    assert!(tagged.string_arguments);
    let form = tagged.form.unwrap();
    assert_eq!(
        form.write(&[ToolCall::new("f", json!({"a":1}))]),
        "<function=f>{\"a\": 1}</function>"
    );
}
