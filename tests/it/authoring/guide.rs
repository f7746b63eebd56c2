//! The ten-minute guide, followed to the letter.

use std::path::PathBuf;

use crate::support::{Context, stderr, stdout};

/// A fenced block of a page.
struct Block {
    kind: String,
    file: Option<String>,
    text: String,
    line: usize,
}

fn blocks(page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let (kind, rest) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block {
                    kind: kind.to_owned(),
                    file: (!rest.is_empty()).then(|| rest.to_owned()),
                    text: String::new(),
                    line: index + 1,
                });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// Whether an output has a line; `…` stands for anything.
fn has_line(output: &str, wanted: &str) -> bool {
    output.lines().any(|line| {
        let mut rest = line;
        wanted.split('…').enumerate().all(|(index, part)| {
            let part = if index == 0 { part } else { part.trim_end() };
            match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            }
        })
    })
}

/// The ten-minute guide, followed to the letter.
#[test]
fn the_guide_can_be_followed() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("suites/AUTHORING.md");
    let page = std::fs::read_to_string(path).unwrap();
    let context = Context::new();
    let mut output = String::new();
    let mut ran = 0;
    for block in blocks(&page) {
        let place = format!("AUTHORING.md:{}", block.line);
        match (block.kind.as_str(), &block.file) {
            ("yaml", Some(file)) => {
                context.write(file, &block.text);
            }
            ("sh", None) => {
                for line in block.text.lines() {
                    let (command, code) = match line.split_once("  # exit ") {
                        Some((command, code)) => (command, code.parse().unwrap()),
                        None => (line, 0),
                    };
                    let words = shlex::split(command).unwrap();
                    assert_eq!(words[0], "toolbench", "{place}");
                    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
                    let done = context.run(&arguments);
                    output = stdout(&done) + &stderr(&done);
                    assert_eq!(done.status.code(), Some(code), "{place}: {line}\n{output}");
                    ran += 1;
                }
            }
            ("sh", Some(note)) if note == "not-run" => {
                for line in block.text.lines() {
                    let words = shlex::split(line).unwrap();
                    let parsed = toolbench::cli::command().try_get_matches_from(words);
                    assert!(parsed.is_ok(), "{place}: {line}");
                }
            }
            ("text", None) => {
                for line in block.text.lines() {
                    assert!(
                        has_line(&output, line),
                        "{place}: no line `{line}` in\n{output}"
                    );
                }
            }
            (kind, file) => panic!("{place}: a block `{kind}` {file:?} that nothing checks"),
        }
    }
    assert!(ran >= 10, "{ran}");
}
