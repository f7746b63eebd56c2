//! Starters, and drafts from the tools of servers.

use std::path::PathBuf;

use serde_json::Value;

use super::{json, read, yaml};
use crate::support::{Context, TINY_SUITE, json_lines, skip, stderr, stdout};

#[test]
fn a_starter_is_sound_once_its_lines_are_written() {
    let context = Context::new();
    context.expect(0, &["suite", "new", "mine", "--dir", "some/where"]);
    let text = read(&context, "some/where/mine.yaml");
    assert!(text.starts_with("# yaml-language-server: $schema=suite.schema.json\n"));
    let schema = json(&read(&context, "some/where/suite.schema.json"));
    assert_eq!(schema, json(&context.expect(0, &["schema", "suite"])));
    let error = context.expect_error(2, &["suite", "check", "some/where/mine.yaml"]);
    let marked: Vec<String> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.contains("\"TODO: "))
        .map(|(at, _)| format!("some/where/mine.yaml:{}:11", at + 1))
        .collect();
    assert_eq!(marked.len(), 4);
    for place in &marked {
        assert!(error.contains(place), "{place}\n{error}");
    }
    context.expect_error(
        2,
        &["run", "scripted:x.yaml", "--suite", "some/where/mine.yaml"],
    );
    context.write("some/where/mine.yaml", &text.replace("TODO: ", ""));
    context.expect(0, &["suite", "check", "some/where/mine.yaml"]);
}

#[test]
fn nothing_is_overwritten() {
    let context = Context::new();
    context.write("mine.yaml", "mine");
    let error = context.expect_error(2, &["suite", "new", "mine"]);
    assert!(error.contains("mine.yaml is there already"), "{error}");
    assert_eq!(read(&context, "mine.yaml"), "mine");
    assert!(!context.path("suite.schema.json").exists());
    context.write("suite.schema.json", "{\"of\": \"somebody else\"}");
    context.expect_error(2, &["suite", "new", "other"]);
    assert!(!context.path("other.yaml").exists());
    // An older schema of ours is renewed.
    context.write(
        "suite.schema.json",
        "{\"title\": \"Suite\", \"$defs\": {\"Case\": {}}}",
    );
    context.expect(0, &["suite", "new", "other"]);
    assert!(read(&context, "suite.schema.json").contains("near_misses"));
    for name in ["weather", "Mine", "", "distractors", "../x"] {
        context.expect_error(2, &["suite", "new", name]);
    }
    context.write("file", "");
    let error = context.expect_error(4, &["suite", "new", "third", "--dir", "file/below"]);
    assert!(error.contains("cannot write"), "{error}");
}

/// Puts a prompt of its own in the place of each unwritten one.
fn write_prompts(context: &Context, name: &str) {
    const WORDS: &str = "amber birch cedar delta ember fjord grove heath inlet jetty knoll larch marsh north ocean plain quarry river slate tundra";
    let words: Vec<&str> = WORDS.split(' ').collect();
    let written: Vec<String> = read(context, name)
        .lines()
        .enumerate()
        .map(|(at, line)| match line.split_once("\"TODO: ") {
            Some((before, _)) => {
                let mut lot = at as u64;
                let prompt: Vec<&str> = (0..8)
                    .map(|_| {
                        lot = (lot * 1_103_515_245 + 12_345) % (1 << 31);
                        words[(lot >> 8) as usize % words.len()]
                    })
                    .collect();
                format!("{before}{} {at}", prompt.join(" "))
            }
            None => line.to_owned(),
        })
        .collect();
    context.write(name, &(written.join("\n") + "\n"));
}

fn library_server() -> Option<String> {
    if which::which("python3").is_err() {
        skip("server", "there is no python3");
        return None;
    }
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/mcp/library_server.py");
    Some(script.display().to_string())
}

#[test]
fn a_server_is_drafted_and_only_its_safe_tools_are_called() {
    let context = Context::new();
    let Some(script) = library_server() else {
        return;
    };
    let command = format!("python3 '{script}' calls.jsonl");
    let out = context.expect(
        0,
        &["suite", "new", "lib", "--from-mcp", "--stdio", &command],
    );
    assert!(out.contains("recorded 5 calls of 6 tools"), "{out}");
    assert!(
        out.contains("placeholder answers: reserve_book, shelf_mark"),
        "{out}"
    );
    assert!(out.contains("left out broken"), "{out}");
    let called: Vec<Value> = json_lines(&context.path("calls.jsonl"));
    let names: Vec<&str> = called
        .iter()
        .map(|call| call[0].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "find_book",
            "find_book",
            "opening_hours",
            "who_am_i",
            "refuses"
        ]
    );
    assert_eq!(
        called[0][1],
        serde_json::json!({"query": "The Glass Orchard"})
    );
    let suite = yaml(&context, "lib.yaml");
    let ids: Vec<&str> = suite["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["id"].as_str().unwrap())
        .collect();
    assert_eq!(
        ids,
        [
            "find-book-call",
            "find-book-with-limit",
            "find-book-without-query",
            "find-book-no-call",
            "opening-hours-call",
            "opening-hours-no-call",
            "reserve-book-call",
            "reserve-book-with-note",
            "reserve-book-without-until",
            "reserve-book-no-call",
            "shelf-mark-call",
            "shelf-mark-without-book-id",
            "shelf-mark-no-call",
            "who-am-i-call",
            "who-am-i-no-call",
            "refuses-call",
            "refuses-without-id",
            "refuses-no-call",
        ]
    );
    let reserve = &suite["cases"][6]["expect"]["calls"][0]["arguments"];
    assert_eq!(reserve["number"], 10);
    assert_eq!(reserve["deliver_to"]["equals"]["postcode"], "00000");
    assert_valid(&context, "lib.yaml");
    let error = context.expect_error(2, &["suite", "check", "lib.yaml"]);
    assert_eq!(error.matches("still to be written").count(), ids.len());
    let shown = context.expect(0, &["suite", "show", "lib.yaml", "find-book-with-limit"]);
    assert!(shown.contains("limit: 4"), "{shown}");
    write_prompts(&context, "lib.yaml");
    let line = context.expect(0, &["suite", "check", "lib.yaml"]);
    assert!(line.contains("oracle 18/18, near misses 18"), "{line}");
}

/// The real filesystem server, where the live cache holds it.
#[test]
fn the_real_filesystem_server_is_drafted() {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE names no folder with a real MCP server",
        );
        return;
    };
    let cache = PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE").unwrap());
    let entry =
        cache.join("servers/node_modules/@modelcontextprotocol/server-filesystem/dist/index.js");
    if !entry.exists() || which::which("node").is_err() {
        skip("server", "the filesystem server or node is not there");
        return;
    }
    context.write("files/notes/a.txt", "hello\n");
    let command = format!(
        "node '{}' '{}'",
        entry.display(),
        context.path("files").display()
    );
    let given = "read_text_file={\"path\": \"notes/a.txt\"}";
    let new = [
        "suite",
        "new",
        "fs",
        "--from-mcp",
        "--stdio",
        &command,
        "--arguments",
        given,
    ];
    let out = context.expect(0, &new);
    for tool in ["write_file", "edit_file", "create_directory", "move_file"] {
        assert!(out.contains(tool), "{tool}\n{out}");
    }
    let left: Vec<_> = std::fs::read_dir(context.path("files")).unwrap().collect();
    assert_eq!(left.len(), 1, "a tool that writes was called");
    assert!(read(&context, "fs.yaml").contains("reply: |\n        hello\n"));
    assert_valid(&context, "fs.yaml");
    write_prompts(&context, "fs.yaml");
    let line = context.expect(0, &["suite", "check", "fs.yaml"]);
    assert!(line.contains(": sound"), "{line}");
}

/// A file against the schema that was written beside it.
fn assert_valid(context: &Context, name: &str) {
    let schema = json(&read(context, "suite.schema.json"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&yaml(context, name))
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert_eq!(errors, Vec::<String>::new());
}

#[test]
fn the_recorded_mock_answers_offline_as_the_server_did() {
    let context = Context::new();
    let Some(script) = library_server() else {
        return;
    };
    let command = format!("python3 '{script}' calls.jsonl");
    let new = ["suite", "new", "lib", "--from-mcp", "--stdio", &command];
    let more = [
        "--allow",
        "shelf_mark",
        "--arguments",
        "shelf_mark={\"book-id\": \"B-7\"}",
    ];
    let out = context.expect(0, &[&new[..], &more[..]].concat());
    assert!(out.contains("recorded 6 calls"), "{out}");
    let text = read(&context, "lib.yaml").replace("TODO: ", "");
    context.write("lib.yaml", &text);
    context.write(
        "model.yaml",
        "name: m\nreplies:\n  find-book-call: ['{\"tool\":\"find_book\",\"arguments\":{\"query\":\"The Glass Orchard\"}}']\n  shelf-mark-call: ['{\"tool\":\"shelf_mark\",\"arguments\":{\"book-id\":\"B-7\"}}']\notherwise: '{\"answer\":\"no\"}'\n",
    );
    let run = [
        "run",
        "scripted:model.yaml",
        "--suite",
        "lib.yaml",
        "--case",
        "find-book-call,shelf-mark-call",
        "--constraint",
        "off",
    ];
    context.expect(0, &run);
    let stored = read(
        &context,
        &format!("{}/content.jsonl", context.only_run().display()),
    );
    assert!(
        stored.contains("The Glass Orchard {{ state }} {% if %}\\n  shelf 4\\n"),
        "{stored}"
    );
    assert!(stored.contains("shelf_mark done"), "{stored}");
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert!(
        trials
            .iter()
            .all(|trial| trial["outcome"]["kind"] == "passed")
    );
}

#[test]
fn lists_of_clients_are_read_and_their_secrets_kept() {
    let context = Context::new();
    let Some(script) = library_server() else {
        return;
    };
    let list = serde_json::json!({"mcpServers": {
        "library": {"command": "python3", "args": [script, "calls.jsonl"], "cwd": "${WHERE}",
            "env": {"LIBRARY_KEY": "k3y-of-mine", "UNUSED": 1}},
        "far": {"type": "http", "url": "ftp://example.org/mcp"}}});
    context.write("mcp.json", &format!("// mine\n{list}"));
    context.write("below/file", "");
    let new = |more: &[&str]| {
        let base = [
            "suite",
            "new",
            "lib",
            "--from-mcp",
            "--mcp-config",
            "mcp.json",
        ];
        let mut command = context.command(&[&base[..], more].concat());
        command.env("WHERE", context.path("below"));
        let output = command.output().unwrap();
        (
            output.status.code().unwrap(),
            stdout(&output) + &stderr(&output),
        )
    };
    for (more, needle) in [
        (vec![], "lists several servers"),
        (vec!["--server", "libary"], "did you mean `library`"),
        (
            vec!["--server", "far"],
            "its address is neither http(s) nor ws(s)",
        ),
    ] {
        let (code, text) = new(&more);
        assert_eq!(code, 2);
        assert!(text.contains(needle), "{needle}\n{text}");
    }
    let (code, text) = new(&["--server", "library"]);
    assert_eq!(code, 0, "{text}");
    assert!(context.path("below/calls.jsonl").exists());
    let written = read(&context, "lib.yaml");
    assert!(written.contains("key ***, home"), "{written}");
    assert!(!written.contains("k3y-of-mine") && !text.contains("k3y-of-mine"));
    assert!(written.contains("from the MCP server `library 2.1`"));
}

#[test]
fn mistakes_in_drafting_are_named_and_write_nothing() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("no.json", "{\"mcpServers\": {,}}");
    for (arguments, code, needle) in [
        (
            vec!["--mock", "tiny.yaml", "--allow", "get_tme"],
            2,
            "did you mean `get_time`",
        ),
        (
            vec![
                "--mock",
                "tiny.yaml",
                "--arguments",
                "get_time={\"zone\": 4}",
            ],
            2,
            "zone",
        ),
        (
            vec!["--mock", "tiny.yaml", "--arguments", "get_time"],
            2,
            "there is no `=`",
        ),
        (
            vec!["--mock", "tiny.yaml", "--arguments", "get_time=[]"],
            2,
            "not a JSON object",
        ),
        (vec!["--mock", "filesystem"], 2, "has no mock of its own"),
        (vec!["--mock", "nothing"], 2, "unknown suite"),
        (vec!["--stdio", ""], 2, "names no command"),
        (vec!["--stdio", "a 'b"], 2, "quote is not closed"),
        (vec!["--stdio", "no-such-program-here"], 3, "cannot start"),
        (vec!["--mcp-config", "no.json"], 2, "not JSON"),
        (
            vec!["--mcp-config", "absent.json"],
            2,
            "cannot read absent.json",
        ),
        (vec![], 2, "--stdio"),
        (
            vec!["--mock", "tiny.yaml", "--stdio", "x"],
            2,
            "cannot be used with",
        ),
    ] {
        let all = [&["suite", "new", "new", "--from-mcp"][..], &arguments[..]].concat();
        let text = context.expect_error(code, &all);
        assert!(text.contains(needle), "{needle}\n{text}");
        assert!(!context.path("new.yaml").exists());
    }
    context.expect_error(2, &["suite", "new", "new", "--stdio", "x"]);
}

#[test]
fn a_mock_can_stand_in_for_a_server() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.expect(
        0,
        &["suite", "new", "new", "--from-mcp", "--mock", "tiny.yaml"],
    );
    let suite = yaml(&context, "new.yaml");
    let rules = suite["mock"]["rules"].as_array().unwrap();
    // Each call has a session of its own: the second alarm does not see the first.
    assert_eq!(rules[0]["reply"], "It is noon in UTC.");
    assert_eq!(rules.last().unwrap()["reply"], "{\"set\":3}");
    assert_valid(&context, "new.yaml");
}
