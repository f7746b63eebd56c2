//! Mistakes in suite files, each with its place.

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE};

#[test]
fn mistakes_in_suites_have_their_place() {
    let context = Context::new();
    let place = |from: &str, to: &str, code: i32| {
        assert!(TINY_SUITE.contains(from), "{from}");
        context.write("s.yaml", &TINY_SUITE.replacen(from, to, 1));
        context.expect_error(code, &["suite", "check", "s.yaml"])
    };
    for (from, to, needles) in [
        (
            "category: simple",
            "categry: simple",
            vec![
                "unknown field `categry`",
                "did you mean `category`?",
                "s.yaml:27:18",
            ],
        ),
        (
            "difficulty: medium",
            "difficulty: midium",
            vec!["did you mean `medium`?", "s.yaml:29:48"],
        ),
        (
            "{zone: UTC}",
            "{zone: {regx: U}}",
            vec![
                "unknown matcher `regx`",
                "did you mean `regex`?",
                "s.yaml:28:58",
            ],
        ),
        (
            "{zone: UTC}",
            "{zone: {regex: (}}",
            vec!["`regex` does not compile: unclosed group", "s.yaml:28:58"],
        ),
        (
            "{zone: UTC}",
            "{zon: UTC}",
            vec!["argument `zon`", "did you mean `zone`?", "s.yaml:28:52"],
        ),
        (
            "tool: get_time, arguments",
            "tool: get_tme, arguments",
            vec!["did you mean `get_time`?", "s.yaml:28:30"],
        ),
        (
            "{type: integer, minimum",
            "{type: intger, minimum",
            vec![
                "tool `set_alarm`: inputSchema/properties/hour/type",
                "s.yaml:16:33",
            ],
        ),
        (
            "- tool: set_alarm",
            "- tool: set_alrm",
            vec!["a mock rule names unknown tool `set_alrm`", "s.yaml:23:13"],
        ),
        (
            "is noon in {{ args.zone }}",
            "is noon in {{ arg.zone }}",
            vec![
                "mock.rules[0] (tool `get_time`).reply",
                "unknown name `arg`",
                "s.yaml:22:14",
            ],
        ),
        (
            "is noon in {{ args.zone }}",
            "is noon in {{ args.zone",
            vec!["mock.rules[0]", "s.yaml:22:14"],
        ),
        (
            "expect: {no_call: true}",
            "expect: {no_call: true}, near_misses: [{code: unwanted_cal}]",
            vec!["did you mean `unwanted_call`", "s.yaml:31:123"],
        ),
        (
            "id: t-alarm",
            "id: t-time",
            vec!["case `t-time` is there twice", "s.yaml:29:10"],
        ),
        (
            "- name: set_alarm",
            "- name: get_time",
            vec!["tool `get_time` is there twice", "s.yaml:12:11"],
        ),
        (
            "user: thanks!",
            "user: \"TODO: thanks\"",
            vec![
                "prompt of case `t-thanks` is still to be written",
                "s.yaml:31:68",
            ],
        ),
        (
            "mock:",
            "mok:",
            vec!["unknown field `mok`", "did you mean `mock`?", "s.yaml:18:1"],
        ),
    ] {
        let text = place(from, to, 2);
        for needle in needles {
            assert!(text.contains(needle), "{to}: {needle}\n{text}");
        }
    }
    // A tool of a case's own spoils that case alone.
    let own = "id: t-thanks, own_tools: [{name: odd, inputSchema: {type: nothing}}]";
    let text = place("id: t-thanks", own, 2);
    assert!(
        text.contains("case `t-thanks`: tool `odd`: inputSchema/type"),
        "{text}"
    );
    assert!(text.contains("s.yaml:31:39"), "{text}");
    // The same where a suite is run.
    context.write(
        "s.yaml",
        &TINY_SUITE.replace("{{ args.zone }}", "{{ arg.zone }}"),
    );
    context.write("model.yaml", RIGHT_SCRIPT);
    let text = context.expect_error(2, &["run", "scripted:model.yaml", "--suite", "s.yaml"]);
    assert!(text.contains("s.yaml:22:14"), "{text}");
}
