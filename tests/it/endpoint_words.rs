//! What a server says when it does not do what was asked: keys, limits, words in place of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::endpoint_server::{configure, right, run, tiny, trials, words};
use crate::support::endpoint_server::{EndpointServer, Reply};
use crate::support::{Context, stderr, stdout};

/// In no file and on no screen.
const KEY: &str = "planted-key-4711";

#[test]
fn keys_and_headers_go_over_and_are_recorded_nowhere() {
    let server = EndpointServer::start(|request| {
        let sent = |name: &str| request.headers.get(name).cloned().unwrap_or_default();
        if sent("authorization") != format!("Bearer {KEY}") || sent("x-team") != KEY {
            return Reply::json(
                401,
                &json!({"error": {"message": format!("Incorrect API key provided: {}, {}", sent("authorization"), sent("x-team"))}}),
            );
        }
        right(request)
    });
    let context = tiny();
    configure(
        &context,
        &server.base(),
        "key-env = \"MY_KEY\"\nheaders = {X-Team = \"$MY_TEAM\"}\n",
    );
    let missing = context.run(&run("mine", &[]));
    assert_eq!(missing.status.code(), Some(2));
    assert!(stderr(&missing).contains("MY_KEY"), "{}", stderr(&missing));
    let mut wrong = context.command(&run("mine", &[]));
    let wrong = wrong
        .env("MY_KEY", "other")
        .env("MY_TEAM", KEY)
        .output()
        .unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    let said = stderr(&wrong);
    assert!(
        said.contains("not authorised") && said.contains("MY_KEY"),
        "{said}"
    );
    assert!(!said.contains(KEY), "{said}");
    let mut ran = context.command(&run("mine", &["-vv"]));
    let ran = ran.env("MY_KEY", KEY).env("MY_TEAM", KEY).output().unwrap();
    assert_eq!(ran.status.code(), Some(0), "{}", stderr(&ran));
    assert!(!stdout(&ran).contains(KEY) && !stderr(&ran).contains(KEY));
    for file in std::fs::read_dir(context.only_run()).unwrap().flatten() {
        let text = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(KEY), "{}", file.path().display());
    }
}

#[test]
fn a_key_that_stops_to_hold_is_repeated_nowhere_and_a_new_one_resumes() {
    let holds = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&holds);
    let server = EndpointServer::start(move |request| {
        let is_chat = request.path == "/v1/chat/completions";
        if is_chat && !flag.load(Ordering::SeqCst) {
            let sent = request.headers.get("authorization").cloned();
            let message = format!("{} has expired", sent.unwrap_or_default());
            return Reply::json(401, &json!({"error": {"message": message}}));
        }
        let reply = right(request);
        if is_chat {
            flag.store(false, Ordering::SeqCst);
        }
        reply
    });
    let context = tiny();
    configure(&context, &server.base(), "key-env = \"MY_KEY\"\n");
    let with_key = |arguments: &[&str]| {
        let mut command = context.command(arguments);
        command.env("MY_KEY", KEY).output().unwrap()
    };
    let first = with_key(&run(
        "mine",
        &[
            "-vv",
            "--probes",
            "off",
            "--max-infra",
            "1",
            "--case",
            "t-time,t-thanks",
        ],
    ));
    assert_eq!(first.status.code(), Some(3), "{}", stderr(&first));
    let kinds = |context: &Context| -> Vec<String> {
        let found = trials(context);
        let kind = |trial: &Value| trial["outcome"]["kind"].as_str().unwrap().to_owned();
        found.iter().map(kind).collect()
    };
    assert_eq!(kinds(&context), ["passed", "harness"], "the cell ends");
    for text in [stdout(&first), stderr(&first)] {
        assert!(!text.contains(KEY), "{text}");
    }
    for file in std::fs::read_dir(context.only_run()).unwrap().flatten() {
        let text = std::fs::read(file.path()).unwrap();
        let text = String::from_utf8_lossy(&text);
        assert!(!text.contains(KEY), "{}", file.path().display());
    }
    holds.store(true, Ordering::SeqCst);
    with_key(&["run", "--resume", "latest", "--max-infra", "1", "-q"]);
    let kinds = kinds(&context);
    assert_eq!(kinds[..3], ["passed", "harness", "passed"], "{kinds:?}");
}

#[test]
fn waiting_for_an_endpoint_is_no_time_of_the_model() {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    let server = EndpointServer::start(move |request| {
        if request.path == "/v1/chat/completions" && !flag.swap(true, Ordering::SeqCst) {
            return Reply::json_with(429, &[("retry-after", "2")], &json!({"error": "slow down"}));
        }
        right(request)
    });
    let context = tiny();
    let model = format!("openai-compatible:qwen-7b@{}", server.base());
    let output = context.run(&run(
        &model,
        &["--case", "t-time", "--probes", "off", "--trial-time", "1.5"],
    ));
    let trial = &trials(&context)[0];
    assert_eq!(trial["outcome"]["kind"], "passed", "{}", stderr(&output));
    let time = |name: &str| trial["time"][name].as_f64().unwrap();
    assert!(time("waited_ms") >= 2000.0, "{trial:#}");
    assert!(time("total_ms") < 1500.0 && time("model_ms") < 1500.0);
    assert!(time("to_valid_call_ms") < 1500.0);
}

#[test]
fn what_a_server_says_in_words_is_answered_with_the_fix() {
    for (reply, code, said) in [
        (
            Reply::json(
                500,
                &json!({"error": "model requires more system memory (9.1 GiB) than is available (2.0 GiB)"}),
            ),
            "oom_or_crash",
            "smaller quantisation",
        ),
        (
            Reply::json(
                400,
                &json!({"error": {"message": "registry.ollama.ai/library/gemma:2b does not support tools"}}),
            ),
            "request_rejected",
            "--dialect json",
        ),
        (
            Reply::json(
                404,
                &json!({"error": {"message": "model \"qwen-7b\" not found, try pulling it first"}}),
            ),
            "request_rejected",
            "pull or load it",
        ),
        (
            words("{\"name\": \"get_time\", \"arguments\": {\"zone\": \"UTC\"}}"),
            "call_in_content",
            "did not read",
        ),
    ] {
        let server = EndpointServer::start(move |request| match request.path.as_str() {
            "/v1/models" => Reply::json(404, &json!({})),
            _ => reply.clone(),
        });
        let context = tiny();
        configure(&context, &server.base(), "");
        let output = context.run(&run("mine", &["--case", "t-time"]));
        let trial = &trials(&context)[0];
        assert_eq!(
            trial["outcome"]["code"],
            code,
            "{trial}\n{}",
            stderr(&output)
        );
        let message = trial["violations"][0]["message"].as_str().unwrap();
        assert!(message.contains(said), "{message}");
    }
}

#[test]
fn a_call_that_the_server_did_not_read_is_judged_as_written_beside() {
    for (zone, code, hits) in [("UTC", None, 1), ("Mars", Some("hallucinated_value"), 0)] {
        let text = format!("{{\"name\": \"get_time\", \"arguments\": {{\"zone\": \"{zone}\"}}}}");
        let server = EndpointServer::start(move |request| match request.path.as_str() {
            "/v1/models" => Reply::json(404, &json!({})),
            _ => words(&text),
        });
        let context = tiny();
        configure(&context, &server.base(), "");
        let only = ["--case", "t-time", "--probes", "off"];
        let shown = context.expect(3, &run("mine", &only));
        let trial = &trials(&context)[0];
        assert_eq!(trial["outcome"]["kind"], "void");
        assert_eq!(trial["reread"]["code"].as_str(), code, "{trial}");
        let rate = if hits == 1 { "100 [" } else { "0 [" };
        let said = format!("as the model wrote it, by the calls in its texts, {rate}");
        let flat = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(&said), "{shown}");
        let text = context.expect(3, &["report", "--format", "json"]);
        let summary: Value = serde_json::from_str(&text).unwrap();
        let row = &summary["totals"][0];
        assert_eq!(row["as_written"]["hits"], hits, "{row:#}");
        assert_eq!(row["as_deployed"]["hits"], 0);
        assert_eq!(row["success"]["of"], 0, "the trial stays excluded");
    }
}
