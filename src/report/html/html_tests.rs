//! The page without a browser: what stands in it, what must not, and that its data are the record's.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::json;

use super::*;
use crate::metrics::testing::{Run, hash, hybrid, key, repeated, sample};
use crate::metrics::{SplitBy, SummaryOptions, summarise};
use crate::record::Retain;
use crate::record::format::PrivacyHeader;
use crate::types::{Code, Constraint, Outcome};

fn page_by(
    run: &Run,
    content: &HashMap<ContentHash, serde_json::Value>,
    by: Option<SplitBy>,
) -> String {
    let options = SummaryOptions {
        by,
        ..SummaryOptions::default()
    };
    let summary = summarise(&run.header, &run.trials, &options);
    let find = |hash: &ContentHash| content.get(hash);
    let shown = Shown {
        header: &run.header,
        trials: &run.trials,
        content: &find,
        truncated: false,
    };
    let mut out = Vec::new();
    write_html(&summary, &shown, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn page(run: &Run) -> String {
    page_by(run, &HashMap::new(), None)
}

/// What stands in the data element of an id, or in the block of a number.
fn data(page: &str, start: &str) -> serde_json::Value {
    let from = page.find(start).expect(start) + start.len();
    let packed = page[from..].split('<').next().unwrap();
    let bytes = STANDARD.decode(packed).unwrap();
    let mut text = String::new();
    GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

fn index(page: &str) -> serde_json::Value {
    data(page, r#"id="data-index">"#)
}

fn block(page: &str) -> serde_json::Value {
    data(page, r#"class="data-block">"#)
}

/// Everything but style, script and data.
fn still(page: &str) -> String {
    let mut rest = page;
    let mut found = String::new();
    while let Some(at) = ["<style>", "<script"]
        .iter()
        .filter_map(|tag| rest.find(tag))
        .min()
    {
        let end = if rest[at..].starts_with("<style>") {
            "</style>"
        } else {
            "</script>"
        };
        found.push_str(&rest[..at]);
        rest = &rest[at + rest[at..].find(end).expect("a closing tag") + end.len()..];
    }
    found + rest
}

/// A run with all that can be odd: refused grammar, no success, cancelled and void trials.
fn awkward() -> Run {
    let mut run = Run::new();
    run.cell(&key("tiny", Constraint::Off), "MMMM")
        .cell(&key("tiny", Constraint::Grammar), "PPFM")
        .cell(&key("phi|3*5", Constraint::Off), "PPHI")
        .cell(&key("gone", Constraint::Off), "IVTH")
        .cell(&key("empty", Constraint::Off), "....");
    run.trials[4].constraint_effective = Constraint::Off;
    run.trials[5].replayed = true;
    run.superseded(0, Outcome::of_code(Code::Network));
    run
}

#[test]
fn the_static_part() {
    let mut run = Run::new();
    run.cell(&key("smollm2", Constraint::Off), "PRFNUM")
        .cell(&key("qwen2.5-coder:1.5b", Constraint::Grammar), "PPPNNV");
    let page = still(&page(&run));
    let definitions = page.find("What every column means").unwrap();
    let rest = page[definitions..].find("<dialog").unwrap();
    let page = format!(
        "{}\n…\n{}",
        &page[..definitions],
        &page[definitions + rest..]
    );
    insta::with_settings!({filters => vec![(r"sha256-(?:[A-Za-z0-9+/=]|&#x2f;)+", "sha256-HASH")]}, {
        insta::assert_snapshot!(page);
    });
}

#[test]
fn every_kind_of_run_has_a_page() {
    let mut runs = vec![sample(), repeated(), awkward(), hybrid(), Run::new()];
    let mut single = Run::new();
    single.cell(&key("one", Constraint::Off), "P");
    runs.push(single);
    for run in &runs {
        for by in [None, Some(SplitBy::Suite), Some(SplitBy::Category)] {
            let page = page_by(run, &HashMap::new(), by);
            assert!(page.contains("</html>"));
            let words = still(&page);
            assert!(!words.contains("NaN") && !words.contains(">inf"), "{words}");
            let trials = index(&page)["trials"]["id"].as_array().unwrap().len();
            assert_eq!(trials, crate::metrics::latest_trials(&run.trials).len());
        }
    }
    assert!(page(&Run::new()).contains("No trial is on record"));
}

/// Nothing is fetched, framed or run but what the policy names, and the policy names what is there.
#[test]
fn the_page_needs_nothing_and_allows_nothing() {
    let page = page(&sample());
    assert!(page.contains(&format!(
        r#"http-equiv="Content-Security-Policy" content="{}""#,
        HtmlEscape(&policy())
    )));
    let still = still(&page);
    for word in [
        "src=",
        "http://",
        "https://",
        "url(",
        "@import",
        " style=",
        "javascript:",
    ] {
        let found = still
            .find(word)
            .map(|at| still[at..].chars().take(80).collect::<String>());
        assert_eq!(found, None, "{word}");
    }
    let handlers = regex::Regex::new(r"\son[a-z]+\s*=").unwrap();
    assert!(!handlers.is_match(&still));
    for word in [
        "innerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!SCRIPT.contains(word), "{word}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    assert!(!STYLE.contains("</") && !SCRIPT.contains("</"));
}

/// What a model, a suite or a file is called can be anything.
#[test]
fn hostile_names_are_text() {
    let evil = r#"</script><script>alert(1)</script><img src=x onerror=alert(1)>"'`{{ 7 * 7 }}"#;
    let mut run = Run::new();
    run.cell(&key(evil, Constraint::Off), "PFRUM");
    run.header.run = evil.to_owned();
    run.header.selection = vec![evil.to_owned()];
    run.header.models[0].resolution = evil.to_owned();
    run.header.fingerprint.cpu = evil.to_owned();
    run.unsupported(evil, evil);
    for trial in &mut run.trials {
        trial.case = format!("{evil}{}", trial.case);
        trial.category = evil.to_owned();
        trial.answer = Some(evil.to_owned());
    }
    let content = HashMap::from([
        (hash("prompt"), json!(evil)),
        (
            hash("P"),
            json!({"content": evil, "__proto__": {"polluted": true}}),
        ),
    ]);
    let page = page_by(&run, &content, None);
    let data_elements = page.matches(r#"<script type="text/plain""#).count();
    assert_eq!(page.matches("<script").count(), data_elements + 1);
    assert_eq!(page.matches("</script").count(), data_elements + 1);
    assert!(!page.contains("<img") && still(&page).contains("{{ 7 * 7 }}"));
    assert_eq!(index(&page)["names"]["model"][0], evil);
}

/// The summary inside is the summary, number by number.
#[test]
fn the_summary_inside_is_the_summary() {
    let run = sample();
    let summary = summarise(&run.header, &run.trials, &SummaryOptions::default());
    let inside = data(&page(&run), r#"id="data-summary">"#);
    assert_eq!(inside, serde_json::to_value(&summary).unwrap());
}

#[test]
fn content_is_there_once_and_what_is_missing_is_said() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), "PPFM");
    run.trials[0].seed = u64::MAX;
    run.trials[0].calls[0].call.arguments = json!({"id": 12_345_678_901_234_567_u64, "x": 1.0});
    let content = HashMap::from([
        (hash("prompt"), json!("What is the weather?")),
        (hash("P"), json!("a reply")),
        (
            hash("result"),
            json!({"content": "It rains.", "is_error": false}),
        ),
    ]);
    let page = page_by(&run, &content, None);
    let found = block(&page);
    assert_eq!(
        found["content"],
        json!(["What is the weather?", "a reply", "It rains."])
    );
    let trials = &found["trials"];
    assert_eq!(trials[1]["attempts"][0]["prompt"], 0);
    assert_eq!(trials[1]["attempts"][0]["reply"], 1);
    assert_eq!(trials[1]["attempts"][0]["tools"], -1, "not in the record");
    assert_eq!(trials[0]["seed"], u64::MAX.to_string());
    let arguments = trials[0]["calls"][0]["call"]["arguments"].as_str().unwrap();
    assert!(
        arguments.contains("12345678901234567") && arguments.contains("1.0"),
        "{arguments}"
    );
    assert_eq!(index(&page)["starts"], json!([0, 3]));
}

#[test]
fn earlier_results_of_a_trial_stay_with_it() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), "PP");
    run.superseded(0, Outcome::of_code(Code::Network));
    let found = block(&page(&run));
    assert_eq!(found["trials"].as_array().unwrap().len(), 2);
    assert_eq!(
        found["trials"][0]["earlier"][0]["outcome"]["code"],
        "network"
    );
}

#[test]
fn what_was_not_kept_is_said() {
    let mut run = sample();
    for (retain, words) in [
        (Retain::None, "no content is kept"),
        (Retain::Calls, "only calls with their arguments are kept"),
    ] {
        run.header.privacy = Some(PrivacyHeader {
            retain,
            patterns: vec![hash("a pattern")],
        });
        let page = page(&run);
        assert!(
            page.contains(words) && page.contains("matches of 1 pattern"),
            "{words}"
        );
        assert_eq!(index(&page)["retain"], retain.as_str());
    }
}

/// Packed data grow far slower than the record does.
#[test]
fn pages_stay_small() {
    let empty = page(&Run::new()).len();
    assert!(empty < 170_000, "{empty} bytes without a trial");
    let mut run = Run::new();
    let letters = "PFRMUN".repeat(200);
    run.cell(&key("one", Constraint::Off), &letters);
    let page = page(&run);
    let line: usize = run
        .trials
        .iter()
        .map(|it| serde_json::to_string(it).unwrap().len())
        .sum();
    assert!(
        page.len() - empty < line / 6,
        "{} of {line} bytes",
        page.len()
    );
    assert!(page.matches(r#"class="data-block""#).count() > 2);
}

#[test]
fn ticks_are_code_and_nothing_else_is_markup() {
    let html = |text: &str| ticks(text).to_string();
    assert_eq!(html("use `a<b` & c"), "use <code>a&lt;b</code> &amp; c");
    assert_eq!(html("one ` alone"), "one ` alone");
    assert_eq!(html("`a` and ` alone"), "<code>a</code> and ` alone");
}

/// What nobody knows is no 0, and what a rate is of is what was scored.
#[test]
fn unknown_counts_are_null_and_rates_say_what_they_are_of() {
    let mut run = Run::new();
    run.cell(&key("one", Constraint::Off), "PPPPPPPPPPPPPPPPPPPPPPPFFPI");
    let page = page(&run);
    // Without the suite nothing can be paired: offered, executed, then what pairing tells.
    let tool = &index(&page)["tools"][0]["tools"][0];
    assert_eq!(tool[1], "weather.get");
    assert_eq!(tool[3], 26, "executed");
    assert_eq!(tool.as_array().unwrap()[4..], [(); 4].map(|()| json!(null)));
    let words = still(&page);
    assert!(words.contains(" of 26 cases, task p50"), "{words}");
    assert!(!words.contains("27 cases"), "{words}");
    let mut single = Run::new();
    single.cell(&key("one", Constraint::Off), "P");
    assert!(!still(&self::page(&single)).contains("1 cases"));
}

#[test]
fn a_place_is_one_among_the_models_of_a_machine() {
    let mut run = Run::new();
    for (model, tier, letter) in [
        ("good", "small", "P"),
        ("bad", "small", "F"),
        ("good", "large", "P"),
        ("bad", "large", "F"),
        ("cloud", "remote", "P"),
    ] {
        let mut key = key(model, Constraint::Off);
        tier.clone_into(&mut key.tier);
        run.cell(&key, &letter.repeat(20));
    }
    let words = still(&page(&run));
    for said in [
        "<td>1–2 of 3</td>",
        "<td>3 of 3</td>",
        "<td>1–2 of 3 on small; 1–2 of 3 on large</td>",
        "variant on the same machine, and claimed",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    assert!(words.contains("bad · json · off · large"));
}
