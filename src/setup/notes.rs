//! The page that goes with a setup, and comments in files that take them.
//!
//! Data in: a [`Setup`]. Data out: text. Invariants: what was measured stands beside how to use it, and
//! every caveat is said.

use super::parts::Parts;
use super::{Setup, SetupFile, SetupTarget};

/// `NOTES.md`.
pub(super) fn file(setup: &Setup, parts: &Parts<'_>) -> SetupFile {
    let mut text = format!(
        "# {}\n\nMeasured by toolbench {} in run {}: {}.\nThe requests here are those of case {}.\n",
        setup.name, parts.source.header.toolbench_version, setup.run, setup.measured, setup.case
    );
    text.push_str("\n## Files\n\n");
    for file in &setup.files {
        text.push_str(&format!("- `{}`: {}\n", file.name, file.purpose));
    }
    text.push_str("\n## Use\n\n```sh\n");
    text.push_str(&usage(setup));
    text.push_str("```\n");
    if !setup.caveats.is_empty() {
        text.push_str("\n## What does not come over\n\n");
        for caveat in &setup.caveats {
            text.push_str(&format!("- {caveat}\n"));
        }
    }
    SetupFile {
        name: "NOTES.md".to_owned(),
        purpose: "this page".to_owned(),
        content: text,
    }
}

fn usage(setup: &Setup) -> String {
    let post = |address: &str, file: &str| {
        format!("curl -s {address} -H 'Content-Type: application/json' -d @{file}\n")
    };
    let has = |name: &str| setup.files.iter().any(|file| file.name == name);
    match setup.target {
        SetupTarget::Ollama => {
            let page = if has("request.json") { "chat" } else { "generate" };
            let body = if has("request.json") {
                "request.json"
            } else {
                "completion.json"
            };
            format!(
                "ollama create toolbench-setup -f Modelfile\n{}",
                post(&format!("http://127.0.0.1:11434/api/{page}"), body)
            )
        }
        SetupTarget::LlamaServer => {
            let mut text = "sh start.sh\n".to_owned();
            if has("request.json") {
                text.push_str(&post(
                    "http://127.0.0.1:8080/v1/chat/completions",
                    "request.json",
                ));
            }
            if has("completion.json") {
                text.push_str(&post("http://127.0.0.1:8080/completion", "completion.json"));
            }
            text
        }
        SetupTarget::Openai => "curl -s https://api.openai.com/v1/chat/completions \\\n  -H \"Authorization: Bearer $OPENAI_API_KEY\" -H 'Content-Type: application/json' -d @request.json\n".to_owned(),
    }
}

/// Says at the top of a file where it comes from and what it does not hold; only in forms that take
/// comments.
pub(super) fn comment(file: &mut SetupFile, parts: &Parts<'_>, caveats: &[String]) {
    let (before, body) = match file.name.as_str() {
        "Modelfile" => ("", file.content.as_str()),
        "start.sh" => ("#!/bin/sh\n", file.content.as_str()),
        _ => return,
    };
    let mut text = format!(
        "{before}# {}\n# Measured in run {}: {}.\n",
        parts.name(),
        parts.source.header.run,
        parts.source.measured
    );
    for caveat in caveats {
        text.push_str(&format!("# - {caveat}\n"));
    }
    text.push_str(body);
    file.content = text;
}
