//! Cassettes: recorded once, replayed without the model, refused where they do not fit.

use std::sync::Arc;

use toolbench::model::Provider;
use toolbench::model::cassette::{Cassette, CassetteMode, CassetteModel, CassetteProvider};
use toolbench::model::scripted::{Line, Script, ScriptedProvider};
use toolbench::types::generate::RequestContext;
use toolbench::types::{GenerateRequest, ProviderError, Timing};

use crate::providers::*;
use crate::support::{Context, RIGHT_SCRIPT, TINY_SUITE, json_lines};

/// The run that was begun last.
fn newest(context: &Context) -> std::path::PathBuf {
    let begun = |run: &std::path::PathBuf| {
        let header = std::fs::read_to_string(run.join("header.json")).unwrap();
        let header: serde_json::Value = serde_json::from_str(&header).unwrap();
        header["created_at"].as_str().unwrap().to_owned()
    };
    context.runs().into_iter().max_by_key(begun).unwrap()
}

fn model() -> CassetteModel {
    CassetteModel {
        name: "mine".to_owned(),
        identity: "weights-1".to_owned(),
        context_tokens: 4096,
    }
}

fn scripted(text: &str) -> Arc<dyn Provider> {
    Arc::new(ScriptedProvider::new(Script {
        otherwise: Some(Line::Text(text.to_owned())),
        ..Script::default()
    }))
}

fn request() -> GenerateRequest {
    GenerateRequest {
        context: Some(RequestContext {
            suite: "s".to_owned(),
            case: "c".to_owned(),
            trial: 0,
            round: 0,
            turn: 0,
            attempt: 1,
            request: 0,
        }),
        ..question()
    }
}

fn open(path: &std::path::Path, mode: CassetteMode) -> Arc<Cassette> {
    Cassette::open(path, "c.jsonl", mode).unwrap()
}

async fn record(path: &std::path::Path, requests: &[GenerateRequest], says: &str) {
    let provider = CassetteProvider::new(
        open(path, CassetteMode::Record),
        model(),
        Some(scripted(says)),
    );
    provider.describe().await.unwrap();
    for request in requests {
        ask(&provider, request).await.unwrap();
    }
    provider.close().await;
}

fn player(path: &std::path::Path) -> CassetteProvider {
    CassetteProvider::new(open(path, CassetteMode::Replay), model(), None)
}

#[tokio::test]
async fn what_was_recorded_is_replayed_without_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    record(&path, &[request()], "noon").await;
    let provider = player(&path);
    let facts = provider.describe().await.unwrap();
    let limits = facts.cassette.unwrap().limits();
    assert!(
        limits.contains("prompts, templates, grammars") && limits.contains("not"),
        "{limits}"
    );
    let reply = ask(&provider, &request()).await.unwrap();
    assert_eq!(reply.text, "noon");
    assert_eq!(reply.timing, Timing::default());
}

#[tokio::test]
async fn everything_that_shapes_a_reply_is_part_of_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    record(&path, &[request()], "noon").await;
    let provider = player(&path);
    let base = request();
    let changes: Vec<(&str, GenerateRequest)> = vec![
        (
            "prompt",
            GenerateRequest {
                prompt: question_with_tool().prompt,
                ..base.clone()
            },
        ),
        (
            "seed",
            GenerateRequest {
                seed: 1,
                ..base.clone()
            },
        ),
        (
            "max-tokens",
            GenerateRequest {
                max_tokens: 9,
                ..base.clone()
            },
        ),
        (
            "stop",
            GenerateRequest {
                stop: Vec::new(),
                ..base.clone()
            },
        ),
        (
            "streaming",
            GenerateRequest {
                stream: false,
                ..base.clone()
            },
        ),
        (
            "timeout",
            GenerateRequest {
                time_limit_ms: 9,
                ..base.clone()
            },
        ),
        ("sampling", {
            let mut other = base.clone();
            other.sampling.temperature = 0.5;
            other
        }),
        (
            "constraint",
            GenerateRequest {
                constraint: Some(toolbench::types::ConstraintText::StrictTools),
                ..base.clone()
            },
        ),
    ];
    for (name, changed) in changes {
        let error = ask(&provider, &changed).await.unwrap_err();
        let words = error.to_string();
        assert!(
            matches!(error, ProviderError::Rejected { .. }) && words.contains(name),
            "{name}: {words}"
        );
        assert!(words.contains("s/c, trial 0"), "{words}");
    }
}

#[tokio::test]
async fn the_file_does_not_depend_on_the_order_of_recording() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("1"), folder.path().join("2"));
    let first = request();
    let mut second = request();
    second.context.as_mut().unwrap().case = "b".to_owned();
    record(&one, &[first.clone(), second.clone()], "noon").await;
    record(&two, &[second, first], "noon").await;
    let text = std::fs::read_to_string(&one).unwrap();
    assert_eq!(text, std::fs::read_to_string(&two).unwrap());
    assert_eq!(text.lines().count(), 4);
    assert!(text.lines().nth(2).unwrap().contains("\"case\":\"b\""));
    // Recording again replaces, and says the same.
    record(&one, &[request()], "noon").await;
    assert_eq!(std::fs::read_to_string(&one).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn auto_asks_only_for_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    record(&path, &[request()], "noon").await;
    let provider = CassetteProvider::new(
        open(&path, CassetteMode::Auto),
        model(),
        Some(scripted("midnight")),
    );
    assert!(
        provider
            .describe()
            .await
            .unwrap()
            .cassette
            .unwrap()
            .partly_live
    );
    assert_eq!(ask(&provider, &request()).await.unwrap().text, "noon");
    let mut other = request();
    other.context.as_mut().unwrap().trial = 1;
    assert_eq!(ask(&provider, &other).await.unwrap().text, "midnight");
    provider.close().await;
    assert_eq!(ask(&player(&path), &other).await.unwrap().text, "midnight");
    // Another model under the same name is not mixed in.
    let changed = CassetteModel {
        identity: "weights-2".to_owned(),
        ..model()
    };
    let provider = CassetteProvider::new(
        open(&path, CassetteMode::Auto),
        changed,
        Some(scripted("dusk")),
    );
    let error = provider.describe().await.unwrap_err();
    assert!(
        error.to_string().contains("recorded from another model"),
        "{error}"
    );
}

#[tokio::test]
async fn one_key_never_holds_two_replies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let cassette = open(&path, CassetteMode::Record);
    let of =
        |says: &str| CassetteProvider::new(Arc::clone(&cassette), model(), Some(scripted(says)));
    ask(&of("noon"), &request()).await.unwrap();
    ask(&of("noon"), &request()).await.unwrap();
    let error = ask(&of("dusk"), &request()).await.unwrap_err();
    assert!(error.to_string().contains("cannot hold both"), "{error}");
    // By hand: a reply under a key that is another request's, and two replies to one key.
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(
        &path,
        text.replace("\"max_tokens\":64", "\"max_tokens\":65"),
    )
    .unwrap();
    let error = Cassette::open(&path, "c", CassetteMode::Replay)
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("is not that of its request"),
        "{error}"
    );
    let reply = text.lines().last().unwrap().to_owned();
    std::fs::write(&path, format!("{text}{}\n", reply.replace("noon", "dusk"))).unwrap();
    let error = Cassette::open(&path, "c", CassetteMode::Replay)
        .err()
        .unwrap();
    assert!(error.to_string().contains("collides"), "{error}");
    std::fs::write(&path, text.replacen("\"version\":1", "\"version\":9", 1)).unwrap();
    let error = Cassette::open(&path, "c", CassetteMode::Replay)
        .err()
        .unwrap();
    assert!(error.to_string().contains("version 9"), "{error}");
    // A torn last line, as a kill leaves it, costs that line alone.
    std::fs::write(&path, &text[..text.len() - 9]).unwrap();
    assert!(Cassette::open(&path, "c", CassetteMode::Auto).is_ok());
}

/// The whole way: a run is recorded, replayed with the model gone, marked, and without times.
#[test]
fn a_run_is_replayed_with_its_model_gone() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let script = context.write("right.yaml", RIGHT_SCRIPT);
    let arguments = |mode: &'static str| {
        [
            "run",
            "scripted:right.yaml",
            "--suite",
            "tiny.yaml",
            "--constraint",
            "off",
            "--cassette",
            "replies.jsonl",
            "--cassette-mode",
            mode,
            "--format",
            "json",
        ]
    };
    context.expect_error(2, &arguments("replay"));
    let nowhere = ["run", "scripted:right.yaml", "--cassette-mode", "replay"];
    let text = context.expect_error(2, &nowhere);
    assert!(text.contains("add `--cassette FILE`"), "{text}");
    let live = context.expect(0, &arguments("record"));
    std::fs::remove_file(&script).unwrap();
    let replayed = context.expect(0, &arguments("replay"));
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let (live, replayed) = (parsed(&live), parsed(&replayed));
    assert_eq!(live["cells"][0]["success"], replayed["cells"][0]["success"]);
    assert_eq!(replayed["cells"][0]["success"]["rate"], 1.0);
    assert!(live["cells"][0]["latency"]["task_mean_ms"].is_number());
    assert!(
        replayed["cells"][0]["latency"]["task_mean_ms"].is_null(),
        "a replay measures no time"
    );
    let marked = replayed["header"]["models"][0]["replayed"]
        .as_str()
        .unwrap();
    assert!(
        marked.contains("replies.jsonl") && marked.contains("not of the model"),
        "{marked}"
    );
    let run = newest(&context);
    assert_eq!(json_lines(&run.join("trials.jsonl"))[0]["replayed"], true);
    let page = context.expect(0, &["report", &run.display().to_string()]);
    assert!(page.contains("replies from a cassette"), "{page}");
    // A changed prompt is noticed, named, and nobody's fault.
    context.write(
        "tiny.yaml",
        &TINY_SUITE.replace("You help with clocks.", "You know clocks."),
    );
    context.expect(3, &arguments("replay"));
    let run = newest(&context);
    let trial = &json_lines(&run.join("trials.jsonl"))[0];
    assert_eq!(trial["outcome"]["code"], "request_rejected", "{trial}");
    let words = trial["violations"][0]["message"].as_str().unwrap();
    assert!(words.contains("changed: prompt"), "{words}");
}

/// What a cloud service said is kept, what it was told to let us in is not.
#[tokio::test]
async fn no_key_is_ever_in_the_file() {
    use toolbench::model::anthropic::AnthropicProvider;
    use toolbench::types::endpoint::Protocol;
    let told = fixture("anthropic.json");
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/v1/messages" => Answer::events(list(&told, "stream")),
        _ => Answer::json(&told["model"]),
    });
    let endpoint = endpoint(Protocol::Anthropic, &server.url, "claude-test-1");
    let inner: Arc<dyn Provider> = Arc::new(AnthropicProvider::new(&endpoint).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.jsonl");
    let provider = CassetteProvider::new(open(&path, CassetteMode::Record), model(), Some(inner));
    provider.describe().await.unwrap();
    let asked = GenerateRequest {
        prompt: question_with_tool().prompt,
        ..request()
    };
    let live = ask(&provider, &asked).await.unwrap();
    provider.close().await;
    assert_eq!(
        server.last("/v1/messages").headers["x-api-key"],
        "planted-key"
    );
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("planted-key"), "{text}");
    let replayed = ask(&player(&path), &asked).await.unwrap();
    assert_eq!(said(&replayed), said(&live));
    assert_eq!(replayed.usage, live.usage);
}
