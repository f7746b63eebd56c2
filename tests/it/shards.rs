//! Shards where suites are small, where they are judged, and where only their reports differ.

use crate::merge::{canonical, merge, only, prepared, run, shards};
use crate::support::{Context, json_lines};

/// Two suites with tools of their own, the first smaller than the number of shards: a shard that has no
/// case of it runs the other on the other's tools and mock.
#[test]
fn a_shard_without_a_case_of_the_first_suite_has_the_tools_of_the_others() {
    let context = Context::new();
    let suite = |name: &str, tool: &str, cases: usize| {
        let cases: Vec<String> = (1..=cases)
            .map(|at| {
                format!(
                    "  - {{id: {name}{at}, category: ask, why: one call, user: Call it with {at}., expect: {{calls: [{{tool: {tool}, arguments: {{value: {at}}}}}]}}}}\n"
                )
            })
            .collect();
        let cases = cases.concat();
        format!(
            "suite: {name}\ndescription: Numbers.\ntools:\n  - name: {tool}\n    description: Takes a number.\n    inputSchema: {{type: object, properties: {{value: {{type: integer}}}}, required: [value], additionalProperties: false}}\n    annotations: {{readOnlyHint: true}}\nmock:\n  rules: [{{tool: {tool}, reply: taken}}]\ncases:\n{cases}"
        )
    };
    context.write("a.yaml", &suite("a", "count", 1));
    context.write("b.yaml", &suite("b", "measure", 3));
    let reply = |case: &str, tool: &str, value: usize| {
        format!(
            "  {case}: ['{{\"tool\":\"{tool}\",\"arguments\":{{\"value\":{value}}}}}', '{{\"answer\":\"taken\"}}']\n"
        )
    };
    let mut script = format!("name: right\nreplies:\n{}", reply("a1", "count", 1));
    for at in 1..=3 {
        script.push_str(&reply(&format!("b{at}"), "measure", at));
    }
    script.push_str("otherwise: no idea\n");
    context.write("m.yaml", &script);
    let all = [
        "run",
        "scripted:m.yaml",
        "--suite",
        "a.yaml,b.yaml",
        "--dialect",
        "json",
        "-q",
    ];
    let run = |further: &[&str]| {
        let mut arguments = all.to_vec();
        arguments.extend(further);
        context.expect(0, &arguments)
    };
    run(&["--out", "whole"]);
    assert!(canonical(&context, "whole").contains("\"passed\""));
    let mut shards = Vec::new();
    for index in 1..=4 {
        let (shard, out) = (format!("{index}/4"), format!("shards/{index}"));
        run(&["--shard", &shard, "--out", &out]);
        shards.push(out);
    }
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));
    let lines = json_lines(&only(&context, "merged").join("trials.jsonl"));
    assert!(
        lines.iter().all(|line| line["outcome"]["kind"] == "passed"),
        "{lines:?}"
    );
    // A shard that is resumed too.
    let trials = only(&context, "shards/3").join("trials.jsonl");
    std::fs::write(&trials, "").unwrap();
    context.expect(0, &["run", "--resume", "latest", "--out", "shards/3", "-q"]);
    std::fs::remove_dir_all(context.path("merged")).unwrap();
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));
}

/// `quick` is made of suites of a few cases each.
#[test]
fn eight_shards_of_the_default_are_the_whole() {
    let context = prepared();
    let run = |further: &[&str]| {
        let mut all = vec!["run", "scripted:model.yaml", "-q"];
        all.extend(further);
        let code = context.run(&all).status.code();
        assert!(matches!(code, Some(0 | 3)), "{further:?}: {code:?}");
    };
    run(&["--out", "whole"]);
    let mut shards = Vec::new();
    for index in 1..=8 {
        let (shard, out) = (format!("{index}/8"), format!("shards/{index}"));
        run(&["--shard", &shard, "--out", &out]);
        shards.push(out);
    }
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));
}

#[test]
fn a_shard_alone_is_neither_judged_nor_kept_as_a_baseline() {
    let context = prepared();
    let shards = shards(&context, 2);
    let part = only(&context, "shards/1").display().to_string();
    for command in [
        &["gate", &part, "--min-success", "10"][..],
        &["gate", &part, "--baseline", "none", "--min-success", "10"],
        &["baseline", "save", &part],
    ] {
        let message = context.expect_error(2, command);
        assert!(message.contains("is shard 1/2"), "{message}");
        assert!(message.contains("toolbench merge"), "{message}");
    }
    for shard in ["1/2", "auto"] {
        let message = context.expect_error(
            2,
            &[
                "gate",
                "scripted:model.yaml",
                "--shard",
                shard,
                "--min-success",
                "10",
            ],
        );
        assert!(message.contains("makes a part"), "{message}");
    }
    merge(&context, &shards);
    let merged = only(&context, "merged").display().to_string();
    let message = context.expect_error(
        2,
        &["gate", &merged, "--baseline", &part, "--min-success", "10"],
    );
    assert!(message.contains("is shard 1/2"), "{message}");
}

/// Where a report goes and how it reads shapes no trial.
#[test]
fn shards_may_differ_in_what_their_reports_show() {
    let context = prepared();
    run(&context, &["--out", "whole"]);
    run(
        &context,
        &[
            "--shard", "1/2", "--out", "shards/1", "--write", "one.md", "--margin", "9",
        ],
    );
    run(
        &context,
        &[
            "--shard",
            "2/2",
            "--out",
            "shards/2",
            "--write",
            "two.md",
            "--objective",
            "5",
        ],
    );
    let shards = ["shards/1", "shards/2"].map(str::to_owned);
    merge(&context, &shards);
    assert_eq!(canonical(&context, "merged"), canonical(&context, "whole"));
}
