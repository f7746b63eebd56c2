//! A pattern that stands in every free text of a record, and every format without it.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use serde_json::json;

use super::{Export, Format, Terminal};
use crate::metrics::SummaryOptions;
use crate::metrics::testing::{Run, hash, key};
use crate::record::format::{ContentLine, EndingLine, Setting};
use crate::record::{Private, Redactor, Retain};
use crate::types::facts::CassetteFacts;
use crate::types::host::{HostNote, HostNoteKind};
use crate::types::probe::{ProbeLoad, ProbeName, ProbeResult, ProbeSet, ProbeVerdict};
use crate::types::tool_server::{ToolPolicy, ToolServerHeader};
use crate::types::{Constraint, EarlyEnd, EndedBy, Wire};

const KEY: &str = "sk-live-4242424242";
/// What stands in messages alone.
const SAID: &str = "the-words-of-the-server";

/// The key in every free text of header, trials and content.
fn planted() -> crate::record::Run {
    let mut run = Run::new();
    run.cell(&key("good", Constraint::Off), "PRFMNPITPPPPPPPPPPPP")
        .cell(&key("gone", Constraint::Off), "IIII")
        .unsupported("other", &format!("no key {KEY}"));
    let header = &mut run.header;
    header.settings.push(Setting {
        name: "mcp".to_owned(),
        value: format!("server --key {KEY}"),
        origin: "flag".to_owned(),
    });
    header.tool_servers.push(ToolServerHeader {
        name: format!("server-{KEY}"),
        address: format!("http://127.0.0.1/{KEY}"),
        identity: Some(format!("server {KEY}")),
        protocol: None,
        drift: vec![format!("tool of {KEY}")],
    });
    header.tool_policy = Some(ToolPolicy {
        paths_under: vec![format!("/home/{KEY}")],
        ..ToolPolicy::usual()
    });
    header.variants[0].system = Some(format!("You are {KEY}."));
    for model in &mut header.models {
        model.resolution = format!("resolved with {KEY}");
        model.facts.cassette = Some(CassetteFacts {
            file: format!("replies-{KEY}.jsonl"),
            partly_live: true,
        });
    }
    header.probes.push(ProbeSet {
        model: "good".to_owned(),
        context_tokens: 4096,
        wire: Wire::Chat,
        mechanism: None,
        results: vec![
            ProbeResult {
                probe: ProbeName::Streaming,
                verdict: ProbeVerdict::Violated,
                code: None,
                detail: format!("said {KEY}"),
                value: None,
                cap: None,
            },
            ProbeResult {
                probe: ProbeName::Parser,
                verdict: ProbeVerdict::Unproven,
                code: None,
                detail: format!("refused {KEY}"),
                value: None,
                cap: None,
            },
        ],
        taken: ProbeLoad::default(),
    });
    let mut content = 0;
    for trial in &mut run.trials {
        // So long that a report shortens it, and so placed that the cut goes through the key.
        let padding = "x".repeat(144);
        for found in &mut trial.violations {
            found.message = format!("{SAID} {padding} {KEY} {padding}");
            found.pointer = Some(format!("/{KEY}"));
        }
        if let Some(answer) = &mut trial.answer {
            answer.push_str(KEY);
        }
        trial.constraint_refused = Some(format!("refused {KEY}"));
        trial.host_notes.push(HostNote {
            kind: HostNoteKind::Refused,
            detail: format!("path {KEY}"),
        });
        for call in &mut trial.calls {
            call.call.arguments = json!({"city": KEY});
        }
        for attempt in &mut trial.attempts {
            content += 1;
            attempt.reply = Some(hash(&content.to_string()));
            for call in &mut attempt.strict.calls {
                call.arguments = json!({"city": KEY});
            }
            for found in &mut attempt.violations {
                found.message = format!("{SAID} {KEY}");
            }
        }
    }
    crate::record::Run {
        directory: PathBuf::from("planted"),
        header: run.header,
        trials: run.trials,
        executions: Vec::new(),
        endings: vec![EndingLine {
            execution: 0,
            end: EarlyEnd {
                by: EndedBy::MaxInfra,
                cell: None,
                trials_left: 3,
                reason: format!("the server said {KEY}"),
            },
        }],
        truncated: false,
    }
}

/// The replies of the run, each with the key.
fn content(run: &crate::record::Run) -> crate::record::Content {
    let attempts = run.trials.iter().flat_map(|trial| &trial.attempts);
    let lines = attempts.filter_map(|attempt| {
        let line = ContentLine {
            hash: attempt.reply.clone()?,
            kind: "reply".to_owned(),
            value: json!(format!("{SAID} {KEY} {}", attempt.wall_ms)),
        };
        Some((line.hash.clone(), line))
    });
    lines.collect::<HashMap<_, _>>()
}

/// A format's text; of a page also what its data hold.
fn written(format: &str, private: &Private) -> String {
    let run = planted();
    let export = Export::of(&run, content(&run), &SummaryOptions::default(), private);
    let mut out = Vec::new();
    format
        .parse::<Format>()
        .unwrap()
        .write(&export, Terminal::default(), &mut out)
        .unwrap();
    let mut text = String::from_utf8(out).unwrap();
    let packed: Vec<String> = text
        .split("<script type=\"text/plain\"")
        .skip(1)
        .map(|part| part[part.find('>').unwrap() + 1..part.find('<').unwrap()].to_owned())
        .collect();
    for packed in packed {
        let bytes = STANDARD.decode(packed).unwrap();
        GzDecoder::new(&bytes[..])
            .read_to_string(&mut text)
            .unwrap();
    }
    // Tables and lines may break a word.
    text.retain(|letter| !letter.is_whitespace());
    text
}

#[test]
fn no_format_says_what_is_redacted() {
    let private = Private {
        retain: Retain::Full,
        redactor: Redactor::new(&["sk-live-[0-9]+".to_owned()]).unwrap(),
    };
    for format in Format::names() {
        let text = written(format, &private);
        let at = text.find("sk-live");
        let shown = at.map(|at| &text[at.saturating_sub(200)..(at + 40).min(text.len())]);
        assert_eq!(shown, None, "{format}");
    }
    // It is planted where it can be seen.
    for format in [
        "terminal",
        "json",
        "jsonl",
        "csv:trials",
        "markdown",
        "html",
        "junit",
    ] {
        assert!(
            written(format, &Private::default()).contains("sk-live"),
            "{format}"
        );
    }
}

#[test]
fn no_format_quotes_what_is_not_kept() {
    let retaining = |retain| Private {
        retain,
        redactor: Redactor::default(),
    };
    for format in Format::names() {
        let text = written(format, &retaining(Retain::None));
        assert!(!text.contains(SAID), "{format}");
    }
    // Of calls the findings are kept; a server's words are no call.
    for format in ["terminal", "csv:cells", "markdown"] {
        let text = written(format, &retaining(Retain::Calls));
        assert!(!text.contains(SAID), "{format}");
    }
    assert!(written("terminal", &Private::default()).contains(SAID));
}
