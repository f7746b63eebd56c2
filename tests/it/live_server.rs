//! Real MCP servers: suite `filesystem` over stdio, and what happens where one is not installed, cannot
//! be installed, or is named wrongly.

use crate::support::{Context, json_lines, skip, stderr, stdout};

/// A model that lists its folder whatever it is asked.
const LISTS: &str = "name: lists
otherwise: '{\"tool\":\"list_allowed_directories\",\"arguments\":{}}'
";

#[test]
fn calls_reach_the_real_server() {
    let Some(context) = Context::live() else {
        skip(
            "server",
            "TOOLBENCH_TEST_CACHE is not set (scripts/test sets it)",
        );
        return;
    };
    let installed = context.run(&["suite", "install", "filesystem"]);
    if installed.status.code() == Some(3) {
        skip("server", &stderr(&installed));
        return;
    }
    assert!(installed.status.success(), "{}", stderr(&installed));
    context.write("model.yaml", LISTS);
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "filesystem",
        "--constraint",
        "off",
        "-q",
    ]);
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert!(trials.len() >= 10, "{}", stderr(&output));
    let calls: Vec<_> = trials
        .iter()
        .flat_map(|trial| {
            trial["calls"]
                .as_array()
                .into_iter()
                .flatten()
                .cloned()
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| call["is_error"] == false),
        "{calls:?}"
    );
    for trial in &trials {
        assert_ne!(trial["outcome"]["kind"], "tool", "{}", trial["outcome"]);
    }
}

#[test]
fn without_the_server_the_suite_is_skipped_with_its_count() {
    let context = Context::new();
    context.write("model.yaml", LISTS);
    let output = context.run(&[
        "run",
        "scripted:model.yaml",
        "--suite",
        "abstain,filesystem",
        "--limit",
        "2",
        "--constraint",
        "off",
    ]);
    // A named suite that could not run makes the run undecidable; the other suite is on record.
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert!(
        stdout(&output).contains("filesystem"),
        "{}",
        stdout(&output)
    );
    assert!(
        stdout(&output).contains("toolbench suite install filesystem"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        json_lines(&context.only_run().join("trials.jsonl")).len(),
        2
    );
}

#[test]
fn a_server_named_wrongly_is_told() {
    let context = Context::new();
    for (server, needle, place) in [
        (
            "  npm: a@1.0.0\n  pip: b@1.0.0\n  entry: i.js",
            "the server names both `npm` and `pip`; name one package",
            "2:1",
        ),
        ("  entry: i.js", "the server names no package", "2:1"),
        (
            "  pip: mcp-server-time\n  entry: mcp_server_time",
            "is not `name@version` with a full version",
            "2:1",
        ),
        (
            "  npm: a@1.0.0\n  entry: ../i.js",
            "entry `../i.js` must be a file inside the package",
            "4:3",
        ),
        (
            "  npm: a@1.0.0\n  entry: i.js\n  environment: {NODE_OPTIONS: --require ./x}",
            "`NODE_OPTIONS` may not be set by a suite",
            "5:17",
        ),
        (
            "  npm: a@1.0.0\n  entry: i.js\n  files: {repository/.git/config: x}",
            "must not lie inside `.git`",
            "5:11",
        ),
    ] {
        let text = format!(
            "suite: own\nserver:\n{server}\n  allow: [t]\ncases:\n  - {{id: a, category: c, why: w, user: u, expect: {{calls: [{{tool: t}}]}}}}\n"
        );
        context.write("own.yaml", &text);
        for command in ["check", "install"] {
            let error = context.expect_error(2, &["suite", command, "own.yaml"]);
            assert!(error.contains(needle), "{error}");
            assert!(error.contains(&format!("own.yaml:{place}")), "{error}");
        }
    }
}

#[test]
fn a_named_suite_whose_server_is_missing_is_not_proven() {
    let context = Context::new();
    for name in ["everything", "time", "git", "memory"] {
        let error = context.expect_error(3, &["suite", "check", name]);
        let command = format!("toolbench suite install {name}");
        assert!(error.contains(&command), "{error}");
    }
}

#[cfg(unix)]
mod without_programs {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// Installs suite `time` where the search path holds only these programs; standard error.
    fn install(programs: &[(&str, &str)]) -> (Context, String) {
        let context = Context::new();
        for (name, script) in programs {
            let path = context.write(&format!("bin/{name}"), script);
            let may_run = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(path, may_run).unwrap();
        }
        let output = context
            .command(&["suite", "install", "time"])
            .env("PATH", context.path("bin"))
            .env("TOOLBENCH_CACHE", context.path("cache"))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        (context, stderr(&output))
    }

    #[test]
    fn python_is_asked_for() {
        let (_context, error) = install(&[]);
        assert!(
            error.contains("suite `time` needs Python 3 with venv and pip")
                && error.contains("apt-get install python3 python3-venv python3-pip"),
            "{error}"
        );
    }

    #[test]
    fn venv_is_asked_for() {
        let script = "#!/bin/sh\necho 'The virtual environment was not created successfully because ensurepip is not available.'\nexit 1\n";
        let (_context, error) = install(&[("python3", script)]);
        assert!(
            error.contains("needs Python's own `venv` with pip")
                && error
                    .contains("apt-get install python3-venv, then `toolbench suite install time`"),
            "{error}"
        );
    }

    #[test]
    fn what_pip_says_is_passed_on_and_nothing_half_done_stays() {
        let pip = "#!/bin/sh\necho \"ERROR: no network for $*\" >&2\nexit 1\n";
        let script = format!(
            "#!/bin/sh\nPATH=/usr/bin:/bin\nmkdir -p \"$4/bin\"\ncat >\"$4/bin/python\" <<'END'\n{pip}END\nchmod +x \"$4/bin/python\"\n"
        );
        let (context, error) = install(&[("python3", &script)]);
        assert!(
            error.contains("pip could not install mcp-server-time@2026.10.19: ERROR: no network for -m pip install")
                && error.contains("mcp-server-time==2026.10.19")
                && error.contains("check the network and pip's own settings"),
            "{error}"
        );
        assert!(
            !context
                .path("cache/servers/python/mcp-server-time")
                .exists()
        );
    }
}
