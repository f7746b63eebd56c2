//! The page of a run in headless Chromium: what it shows, how it is used, how fast it opens.
//!
//! `scripts/browser` installs one; `tests/browser/check.mjs` drives it. Screenshots go to the folder
//! that `TOOLBENCH_TEST_SCREENSHOTS` names, else to `screenshots` below the build output.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines, skip, stderr, stdout};

/// Markup, closing tags, links and keys that scripts trip over, in a reply and in arguments.
const HOSTILE_SCRIPT: &str = r#"name: hostile
replies:
  t-time:
    - 'Sure! <img src=x onerror="window.pwned=1"> {"tool":"get_time","arguments":{"zone":"UTC"'
    - '{"tool":"get_time","arguments":{"zone":"UTC"}}'
  t-alarm:
    - '{"tool":"set_alarm","arguments":{"hour":9,"__proto__":{"polluted":true}}}'
    - '{"answer":"</script><script>window.pwned=1</script> javascript:alert(1) &lt;b&gt; drop table clocks"}'
  t-thanks:
    - '{"tool":"set_alarm","arguments":{"hour":7}}'
    - '{"answer":"Gern geschehen – 你好 😀"}'
"#;

/// Chromium, where `scripts/browser` has put one, and node, which drives it.
fn program() -> Option<PathBuf> {
    let Some(cache) = std::env::var_os("TOOLBENCH_TEST_CACHE") else {
        skip("browser", "TOOLBENCH_TEST_CACHE is not set");
        return None;
    };
    let versions = std::fs::read_dir(Path::new(&cache).join("browser"));
    let found = versions.ok().and_then(|versions| {
        versions
            .filter_map(|version| Some(version.ok()?.path().join("chromium")))
            .find(|path| path.is_file())
    });
    if found.is_none() {
        skip("browser", "scripts/browser has not installed one");
    } else if Command::new("node").arg("--version").output().is_err() {
        skip("browser", "node is not installed");
        return None;
    }
    found
}

fn screenshots() -> PathBuf {
    std::env::var_os("TOOLBENCH_TEST_SCREENSHOTS").map_or_else(
        || {
            let binary = Path::new(env!("CARGO_BIN_EXE_toolbench"));
            let output = binary.parent().and_then(Path::parent).expect("a folder");
            output.join("screenshots")
        },
        PathBuf::from,
    )
}

/// Two scripted models, both constraints, all that a hostile reply could try.
fn record(context: &Context) -> PathBuf {
    let suite = TINY_SUITE
        .replace(
            "system: You help with clocks.",
            "system: \"You help with clocks. </script><script>window.pwned=1</script>\"",
        )
        .replace("why: one call", "why: \"<b>one</b> call\"");
    context.write("tiny.yaml", &suite);
    context.write("right.yaml", RIGHT_SCRIPT);
    context.write("hostile.yaml", HOSTILE_SCRIPT);
    let output = context.run(&[
        "run",
        "scripted:right.yaml",
        "scripted:hostile.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off,grammar",
        "--max-corrections",
        "1",
        "-q",
    ]);
    assert!(
        output
            .status
            .code()
            .is_some_and(|code| code == 0 || code == 3),
        "{}",
        stderr(&output)
    );
    context.only_run()
}

/// The same record with its trials told over and over: 10,000 of them, each with a reply of its own.
fn enlarge(record: &Path, large: &Path) {
    const TRIALS: usize = 10_000;
    std::fs::create_dir_all(large).unwrap();
    let copy = |name: &str| std::fs::copy(record.join(name), large.join(name)).unwrap();
    copy("header.json");
    copy("executions.jsonl");
    let lines = json_lines(&record.join("trials.jsonl"));
    let mut content = std::fs::read_to_string(record.join("content.jsonl")).unwrap();
    let texts = json_lines(&record.join("content.jsonl"));
    let text_of = |hash: &Value| {
        texts
            .iter()
            .find(|line| line["hash"] == *hash)
            .map(|line| line["value"].clone())
    };
    let mut trials = String::new();
    for number in 0..TRIALS {
        let mut trial = lines[number % lines.len()].clone();
        trial["id"] = format!("{number:016x}").into();
        trial["position"] = number.into();
        trial["trial"] = (number / lines.len()).into();
        trial["time"]["total_ms"] = (50.0 + (number * 7919 % 10_000) as f64 / 3.0).into();
        for (place, attempt) in trial["attempts"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .enumerate()
        {
            for key in ["prompt", "reply"] {
                let Some(Value::String(text)) = text_of(&attempt[key]) else {
                    continue;
                };
                let hash = format!("{key}-{number}-{place}");
                let value = format!("{text}\nnumber {number}");
                let line = serde_json::json!({"hash": hash, "kind": key, "value": value});
                content.push_str(&format!("{line}\n"));
                attempt[key] = hash.into();
            }
        }
        trials.push_str(&format!("{trial}\n"));
    }
    std::fs::write(large.join("trials.jsonl"), trials).unwrap();
    std::fs::write(large.join("content.jsonl"), content).unwrap();
}

#[test]
fn the_page_works_in_a_browser() {
    let Some(program) = program() else { return };
    let context = Context::new();
    let run = record(&context);
    let run = run.to_str().unwrap();
    let print = |name: &str, arguments: &[&str]| {
        let output = context.run(&[&["report"][..], arguments].concat());
        assert!(!output.stdout.is_empty(), "{}", stderr(&output));
        context.write(name, &stdout(&output));
    };
    print("page.html", &[run, "--format", "html"]);
    print("summary.json", &[run, "--format", "json"]);
    print(
        "categories.json",
        &[run, "--format", "json", "--by", "category"],
    );
    print("trials.jsonl", &[run, "--format", "jsonl"]);
    let large = context.path("large");
    enlarge(Path::new(run), &large);
    print("large.html", &[large.to_str().unwrap(), "--format", "html"]);
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/check.mjs");
    let output = Command::new("node")
        .arg(driver)
        .arg(program)
        .arg(context.path(""))
        .arg(screenshots())
        .output()
        .expect("node starts");
    eprintln!("{}", stdout(&output));
    assert!(
        output.status.success(),
        "{}{}",
        stdout(&output),
        stderr(&output)
    );
}

/// Without a browser: the same command, and what is cut does not come back by another way.
#[test]
fn pages_hold_what_may_be_shown() {
    let context = Context::new();
    let run = record(&context);
    let run = run.to_str().unwrap();
    let page = context.run(&["report", run, "--format", "html"]);
    let page = stdout(&page);
    assert!(
        page.trim_start().starts_with("<!doctype html>") && page.trim_end().ends_with("</html>")
    );
    let text = unpacked(&page);
    assert!(text.contains("drop table clocks") && text.contains("It is noon in UTC."));
    for (arguments, kept, cut) in [
        (
            &["--retain", "calls"][..],
            "\\\"zone\\\"",
            "drop table clocks",
        ),
        (&["--retain", "none"][..], "t-alarm", "\\\"zone\\\""),
        (
            &["--redact", "drop [a-z]+"][..],
            "[redacted:1] clocks",
            "drop table",
        ),
    ] {
        let all = [&["report", run, "--format", "html"][..], arguments].concat();
        let page = stdout(&context.run(&all));
        let text = unpacked(&page);
        assert!(text.contains(kept), "{arguments:?} keeps {kept}");
        assert!(
            !text.contains(cut) && !page.contains(cut),
            "{arguments:?} cuts {cut}"
        );
        assert!(page.contains("What is kept"), "{arguments:?} is said");
    }
    let error = context.expect_error(2, &["report", run, run, "--format", "html"]);
    assert!(error.contains("one run"), "{error}");
    let error = context.expect_error(2, &["report", run, "--format", "htlm"]);
    assert!(error.contains("html"), "{error}");
}

/// The data of a page as one text.
fn unpacked(page: &str) -> String {
    use base64::Engine as _;
    use std::io::Read as _;
    let mut text = String::new();
    for part in page.split(r#"<script type="text/plain""#).skip(1) {
        let packed = part.split_once('>').unwrap().1.split('<').next().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(packed)
            .unwrap();
        flate2::read::GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    }
    text
}
