//! Texts in every form, read as the leaderboard's own decoders read them.

use super::{Decoded, Format, LIST_OF_OBJECTS, native, recorded, text};
use crate::score::json;
use crate::score::value::Value;

/// Names and numbers of arguments, or the kind of failure.
fn outline(decoded: &Decoded<'_>) -> String {
    match decoded {
        Decoded::Failed(_) => "failed".to_owned(),
        Decoded::Malformed(_) => "malformed".to_owned(),
        Decoded::Calls(calls) => calls
            .iter()
            .map(|call| {
                let name = call.name.text().unwrap_or("?");
                format!("{name}/{}", call.arguments.len())
            })
            .collect::<Vec<_>>()
            .join(" "),
    }
}

fn check(format: Format, tagged: bool, table: &[(&str, &str)]) {
    for (raw, expected) in table {
        assert_eq!(outline(&text(raw, format, tagged)), *expected, "{raw}");
    }
}

#[test]
fn the_pattern_compiles() {
    assert!(LIST_OF_OBJECTS.is_match("[ {} , {} ]"));
}

#[test]
fn python_text() {
    check(
        Format::Python,
        false,
        &[
            ("[f(x=1), g()]", "f/1 g/0"),
            ("f(x=1), g()", "f/1 g/0"),
            ("```\n[f(x=1)]\n```", "f/1"),
            ("", ""),
            ("[]", ""),
            ("```python\n[f(x=1)]\n```", "failed"),
            ("Sure: [f(x=1)]", "failed"),
            ("I cannot do that.", "failed"),
            ("[f(x=1)] # done", "f/1"),
        ],
    );
}

#[test]
fn json_text() {
    check(
        Format::Json,
        false,
        &[
            (r#"[{"function": "f", "parameters": {"x": 1}}]"#, "f/1"),
            (r#"{"function": "f", "parameters": {}}"#, "f/0"),
            (
                r#"Here: [{"function": "f", "parameters": {"x": [1]}}] ok"#,
                "f/1",
            ),
            (r#"[1, "x"]"#, ""),
            ("no JSON at all", ""),
            (r#"[{"function": "f"}]"#, "failed"),
            (r#"[{"name": "f", "arguments": {}}]"#, "failed"),
            (r#"[{"function": ["f"], "parameters": {}}]"#, "failed"),
            (r#"[{"function": "f", "parameters": [1]}]"#, "malformed"),
            (r#"[{"function": 5, "parameters": {}}]"#, "?/0"),
        ],
    );
}

#[test]
fn xml_text() {
    let verbose = r#"<functions><function name="f"><params><param name="x" value="1" type="integer"/><param name="y" value="[1, 2]" type="array"/></params></function></functions>"#;
    let concise = r#"<functions><function name="f"><param name="x" type="integer"> 1 </param><param name="y">a<!-- b -->c</param></function></functions>"#;
    check(
        Format::VerboseXml,
        false,
        &[(verbose, "f/2"), ("x", "failed")],
    );
    check(Format::ConciseXml, false, &[(concise, "f/2")]);
    check(
        Format::Xml,
        false,
        &[
            (verbose, "f/2"),
            (concise, "f/2"),
            ("Sure. <functions></functions> done", ""),
            ("<functions><function/></functions>", "failed"),
            (
                "<functions><function name='f'><param>1</param></function></functions>",
                "failed",
            ),
            ("<functions><function name='f'></functions>", "failed"),
            ("<functions><:function name='f'/></functions>", "failed"),
            (
                "<functions><function name='f'><param name='x' type='integer'>five</param></function></functions>",
                "failed",
            ),
        ],
    );
    let Decoded::Calls(calls) = text(concise, Format::Xml, false) else {
        panic!("it is well formed");
    };
    assert!(matches!(calls[0].arguments.get("y"), Some(Value::Text(text)) if text == "ac"));
}

#[test]
fn numbers_in_xml_are_pythons() {
    let value = |kind: &str, raw: &str| {
        let raw = format!(
            "<functions><function name='f'><params><param name='x' value='{raw}' type='{kind}'/></params></function></functions>"
        );
        match text(&raw, Format::VerboseXml, false) {
            Decoded::Calls(calls) => calls[0]
                .arguments
                .get("x")
                .map(|value| format!("{value:?}")),
            _ => None,
        }
    };
    for (kind, raw, expected) in [
        ("integer", " +1_000 ", Some("Int(Small(1000))")),
        ("integer", "１２", Some("Int(Small(12))")),
        ("integer", "1.0", None),
        ("integer", "_1", None),
        ("float", "-inf", Some("Float(-inf)")),
        ("float", "1_0.5e1", Some("Float(105.0)")),
        ("float", "5", Some("Float(5.0)")),
        ("float", "", None),
        ("boolean", "TRUE", Some("Bool(true)")),
        ("boolean", "yes", Some("Bool(false)")),
        ("null", "anything", Some("Null")),
        ("other", " a ", Some("Text(\" a \")")),
    ] {
        assert_eq!(value(kind, raw).as_deref(), expected, "{kind} {raw}");
    }
}

#[test]
fn only_the_first_tag_counts() {
    check(
        Format::Python,
        true,
        &[
            (
                "<TOOLCALL>[f(x=1)]</TOOLCALL> <TOOLCALL>[g()]</TOOLCALL>",
                "f/1",
            ),
            ("ok <TOOLCALL> f(x=1) </TOOLCALL>", "f/1"),
            ("[f(x=1)]", "failed"),
            ("<TOOLCALL>[f(x=1)]", "failed"),
        ],
    );
}

#[test]
fn auto_chooses_by_the_look() {
    check(
        Format::Auto,
        false,
        &[
            ("[f(x=1)]", "f/1"),
            (r#"[{"function": "f", "parameters": {"x": 1}}]"#, "f/1"),
            (r#"{"name": "f", "arguments": {"x": 1}}"#, "f/1"),
            (r#"[{"name": "f", "arguments": "{\"x\": 1}"}]"#, "f/1"),
            ("<functions><function name='f'/></functions>", "f/0"),
            ("<TOOLCALL>[f(x=1)]</TOOLCALL>", "f/1"),
            ("no call here", "failed"),
        ],
    );
}

#[test]
fn a_broken_argument_text_outweighs_a_malformed_call() {
    let parsed = json::parse(r#"[5, {"name": "f", "arguments": "{"}]"#).unwrap();
    assert_eq!(outline(&recorded(parsed)), "failed");
    let parsed = json::parse(r#"[{"f": "5"}, {"g": "{"}]"#).unwrap();
    assert_eq!(outline(&native(parsed)), "failed");
    let parsed = json::parse(r#"[{"f": "5"}, {"g": "{}"}]"#).unwrap();
    assert_eq!(outline(&native(parsed)), "malformed");
    let parsed = json::parse(r#"[{"f": {"x": 1}, "ignored": 5}]"#).unwrap();
    assert_eq!(outline(&native(parsed)), "f/1");
}

proptest::proptest! {
    #[test]
    fn any_text_is_decoded_in_every_form(raw in r#"[<>/a-z=" \[\]{}(),:'\\&;!-]{0,60}"#) {
        for (format, _) in Format::ALL {
            let _ = text(&raw, format, false);
            let _ = text(&format!("<functions>{raw}</functions>"), format, false);
        }
    }
}
