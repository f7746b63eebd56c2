//! Data of the leaderboard's shape, our own, to suites.

use serde_json::{Value, json};

use super::{Names, import, select, suite, to_json};
use crate::types::{Case, Suite};
use crate::validate::ToolSchemas;

fn question(id: &str, said: &Value, functions: &Value) -> String {
    format!(
        "{}\n",
        json!({"id": id, "question": [said], "function": functions})
    )
}

fn one(parameters: &Value, required: &Value, answer: &Value) -> (Case, Vec<String>) {
    let functions = json!([{"name": "a.b", "description": "d",
        "parameters": {"type": "dict", "properties": parameters, "required": required}}]);
    let said = json!([{"role": "user", "content": "do it"}]);
    let answers = json!({"id": "x_1", "ground_truth": [{"a.b": answer}]}).to_string();
    let questions = question("x_1", &said, &functions);
    let mut found = import("simple_python", &questions, Some(&answers), Names::Dotted).unwrap();
    (found.cases.remove(0), found.warnings)
}

fn schema(case: &Case) -> &Value {
    &case.own_tools[0].input_schema
}

#[test]
fn types_become_json_schema_and_stay_beside_it() {
    let parameters = json!({
        "s": {"type": "string", "description": "text", "default": null},
        "f": {"type": "float", "maximum": 5},
        "d": {"type": "dict", "properties": {"n": {"type": "float"}}, "required": ["n"]},
        "t": {"type": "tuple", "items": {"type": "float"}},
        "a": {"type": "any", "description": "whatever"},
        "e": {"type": "integer", "enum": ["1", "2", "dontcare"], "default": "dontcare"},
        "b": {"type": "boolean", "default": "false"},
        "l": {"type": "array", "items": {"type": "string"}, "enum": ["x", "y"]},
    });
    let answer = json!({"f": [1.0]});
    let (case, warnings) = one(&parameters, &json!(["f"]), &answer);
    assert_eq!(warnings, Vec::<String>::new());
    assert_eq!(
        *schema(&case),
        json!({"type": "object", "properties": {
            "s": {"description": "text", "default": null, "type": ["string", "null"]},
            "f": {"maximum": 5, "type": "number"},
            "d": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
            "t": {"type": "array", "items": {"type": "number"}},
            "a": {"description": "whatever"},
            "e": {"default": "dontcare", "anyOf": [{"type": "integer", "enum": [1, 2]}, {"enum": ["dontcare"]}]},
            "b": {"default": false, "type": "boolean"},
            "l": {"type": "array", "items": {"type": "string", "enum": ["x", "y"]}},
        }, "required": ["f"]})
    );
    ToolSchemas::compile(&case.own_tools).unwrap();
    let stated = case.bfcl.unwrap();
    assert_eq!(stated.mode, "simple");
    assert_eq!(
        stated.functions[0]["parameters"]["properties"]["t"],
        json!({"type": "tuple", "items": {"type": "float"}})
    );
    assert_eq!(stated.answer, json!([{"a.b": {"f": [1.0]}}]));
}

#[test]
fn answers_become_expectations() {
    let parameters = json!({
        "s": {"type": "string"}, "o": {"type": "integer"}, "d": {"type": "dict"},
        "l": {"type": "array", "items": {"type": "dict"}}, "x": {"type": "string"},
    });
    let answer = json!({
        "s": ["New York", "NYC"], "o": [5, ""], "x": [""],
        "d": [{"k": ["v"], "m": [1, ""]}],
        "l": [[{"k": ["v"]}], ""],
    });
    let (case, warnings) = one(&parameters, &json!(["s"]), &answer);
    assert_eq!(warnings, Vec::<String>::new());
    let expect = serde_json::to_value(case.expect.unwrap()).unwrap();
    assert_eq!(
        expect,
        json!({"calls": [{"tool": "a.b",
            "arguments": {
                "d": {"all_of": [{"subset": {"k": {"words": "v"}}},
                    {"schema": {"type": "object", "propertyNames": {"enum": ["k", "m"]}}},
                    {"any_of": [{"not": {"subset": {"m": {"anything": true}}}}, {"subset": {"m": 1}}]}]},
                "s": {"any_of": [{"words": "New York"}, {"words": "NYC"}]},
            },
            "optional": {"l": {"list": [{"object": {"k": {"words": "v"}}}]}, "o": 5},
        }]})
    );
}

#[test]
fn accepted_values_are_spelled_as_the_schema_lists_them() {
    let parameters = json!({
        "p": {"type": "string", "enum": ["Gluten Free", "None"]},
        "l": {"type": "array", "items": {"type": "string", "enum": ["A-b"]}},
        "i": {"type": "integer", "enum": ["1", "2"]},
    });
    let answer = json!({"p": ["gluten-free"], "l": [["a b"]], "i": [2]});
    let (case, warnings) = one(&parameters, &json!([]), &answer);
    assert_eq!(warnings, Vec::<String>::new());
    let expect = serde_json::to_value(case.expect.unwrap()).unwrap();
    let arguments =
        json!({"i": 2, "l": {"list": [{"words": "A-b"}]}, "p": {"words": "Gluten Free"}});
    assert_eq!(expect["calls"][0]["arguments"], arguments);
}

#[test]
fn defects_of_the_data_are_warned_of() {
    let string = json!({"p": {"type": "string"}});
    let warned = |parameters: &Value, required: &Value, answer: &Value| {
        let (_, warnings) = one(parameters, required, answer);
        warnings.join("\n")
    };
    let none = json!([]);
    assert!(
        warned(&string, &none, &json!({"p": []})).contains("nothing is accepted for parameter `p`")
    );
    assert!(
        warned(&string, &none, &json!({"q": ["a"]}))
            .contains("needs parameter `q`, which the schema lacks")
    );
    assert!(warned(&string, &none, &json!({"q": ["a", ""]})).contains("leaving it out passes"));
    assert!(
        warned(&string, &json!(["p"]), &json!({}))
            .contains("requires parameter `p`, which the answer lacks")
    );
    let listed = json!({"p": {"type": "string", "enum": ["a"]}});
    assert!(warned(&listed, &none, &json!({"p": ["b"]})).contains("breaks its schema"));
    assert_eq!(warned(&listed, &none, &json!({"p": ["A"]})), "");
    assert_eq!(warned(&listed, &none, &json!({"p": ["b", ""]})), "");
}

#[test]
fn conversations_keep_what_was_said_before() {
    let said = json!([
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi"}, {"role": "user", "content": "go"},
    ]);
    let found = import(
        "irrelevance",
        &question("i_1", &said, &json!([])),
        None,
        Names::Dotted,
    )
    .unwrap();
    let case = &found.cases[0];
    assert_eq!(case.system.as_deref(), Some("be brief"));
    assert_eq!(case.history.len(), 2);
    assert_eq!(case.user.as_deref(), Some("go"));
    assert!(case.is_abstention());
    let found = import(
        "live_relevance",
        &question("r_1", &said, &json!([])),
        None,
        Names::Dotted,
    )
    .unwrap();
    assert!(found.cases[0].expect.as_ref().unwrap().any_call);
}

#[test]
fn underscored_names_are_so_everywhere() {
    let functions =
        json!([{"name": "a.b", "parameters": {"type": "dict", "properties": {}, "required": []}}]);
    let said = json!([{"role": "user", "content": "go"}]);
    let answers = json!({"id": "m_1", "ground_truth": [{"a.b": {}}]}).to_string();
    let questions = question("m_1", &said, &functions);
    let found = import("multiple", &questions, Some(&answers), Names::Underscored).unwrap();
    let text = serde_json::to_string(&found.cases[0]).unwrap();
    assert!(text.contains("a_b") && !text.contains("a.b"), "{text}");
}

#[test]
fn mistakes_name_file_and_line() {
    let said = json!([{"role": "user", "content": "go"}]);
    let good = question("s_1", &said, &json!([]));
    let error = |questions: &str, answers: &str| {
        import("simple_python", questions, Some(answers), Names::Dotted)
            .unwrap_err()
            .to_string()
    };
    let missing = error(&good, "");
    assert_eq!(
        missing,
        "BFCL_v4_simple_python.json:1: there is no answer for `s_1`"
    );
    let broken = error(&format!("{good}{{"), "");
    assert!(
        broken.starts_with("BFCL_v4_simple_python.json:2: not a case"),
        "{broken}"
    );
    let broken = error(&good, "5");
    assert!(
        broken.starts_with("possible_answer/BFCL_v4_simple_python.json:1:"),
        "{broken}"
    );
    let twice = json!({"id": "s_1", "ground_truth": []}).to_string();
    let twice = error(&good, &format!("{twice}\n{twice}"));
    assert!(twice.contains("is there twice"), "{twice}");
    let silent = question(
        "s_1",
        &json!([{"role": "assistant", "content": "go"}]),
        &json!([]),
    );
    let silent = error(
        &silent,
        &json!({"id": "s_1", "ground_truth": []}).to_string(),
    );
    assert!(
        silent.contains("does not end in a message of the person"),
        "{silent}"
    );
}

#[test]
fn groups_select_what_can_be_imported_and_name_the_rest() {
    let names = |wanted: &[&str]| {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        select(&wanted).map(|found| {
            (
                found
                    .chosen
                    .iter()
                    .map(|category| category.name)
                    .collect::<Vec<_>>(),
                found
                    .refused
                    .iter()
                    .map(|(name, _)| *name)
                    .collect::<Vec<_>>(),
            )
        })
    };
    let (all, refused) = names(&[]).unwrap();
    assert_eq!((all.len(), refused.len()), (11, 12));
    assert_eq!(names(&["all"]).unwrap(), (all.clone(), refused));
    let (single, java) = names(&["single_turn"]).unwrap();
    assert_eq!(
        (single, java),
        (all, vec!["simple_java", "simple_javascript"])
    );
    assert_eq!(names(&["live"]).unwrap().0.len(), 6);
    assert_eq!(
        names(&["parallel", "multiple"]).unwrap().0,
        ["multiple", "parallel"]
    );
    assert_eq!(names(&["memory"]).unwrap().1.len(), 3);
    assert_eq!(names(&["paralel"]), Err("paralel".to_owned()));
}

#[test]
fn the_suite_reads_back_as_it_was_written() {
    let (case, _) = one(
        &json!({"p": {"type": "string"}}),
        &json!([]),
        &json!({"p": ["a"]}),
    );
    let made = suite(
        &["simple_python".to_owned()],
        vec![
            case.clone(),
            Case {
                id: "x_2".to_owned(),
                ..case
            },
        ],
    );
    let text = to_json(&made).unwrap();
    assert_eq!(serde_json::from_str::<Suite>(&text).unwrap(), made);
    assert_eq!(
        text.lines()
            .filter(|line| line.starts_with("{\"id\""))
            .count(),
        2
    );
}
