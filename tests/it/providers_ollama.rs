//! Ollama's own protocol over real HTTP, against documented shapes.

use std::sync::Mutex;

use serde_json::{Value, json};
use toolbench::model::Provider;
use toolbench::model::ollama::{OllamaOptions, OllamaProvider, WeightsTemplate};
use toolbench::types::endpoint::{Endpoint, Protocol};
use toolbench::types::{
    ConstraintText, GenerateRequest, Mechanism, Prompt, ProviderError, StopReason, Wire,
};

use crate::providers::*;
use crate::support::{Context, TINY_SUITE};

const MODEL: &str = "qwen2.5:0.5b";

/// An Ollama whose model is in memory once it was asked for, as `/api/ps` tells.
fn server() -> Server {
    let told = fixture("ollama.json");
    let loaded = Mutex::new(false);
    Server::start(move |seen| match seen.path.as_str() {
        "/api/version" => Answer::json(&told["version"]),
        "/api/tags" => Answer::json(&told["tags"]),
        "/api/show" => Answer::json(&told["show"]),
        "/api/ps" if *loaded.lock().unwrap() => Answer::json(&told["ps"]),
        "/api/ps" => Answer::json(&json!({"models": []})),
        "/api/pull" if seen.body["model"] == "nothing" => {
            Answer::lines(list(&told, "pull_unknown"))
        }
        "/api/pull" => Answer::lines(list(&told, "pull")),
        "/api/generate" if seen.body.get("prompt").is_none() => {
            *loaded.lock().unwrap() = seen.body["keep_alive"] != 0;
            Answer::json(&told["load"])
        }
        "/api/generate" => Answer::lines(list(&told, "generate_stream")),
        "/api/chat" if seen.body["stream"] == true => Answer::lines(list(&told, "chat_stream")),
        "/api/chat" => Answer::json(&told["chat_whole"]),
        _ => Answer::status(404, &json!({"error": "no such page"})),
    })
}

fn provider(server: &Server, options: OllamaOptions) -> OllamaProvider {
    let endpoint = Endpoint {
        context_tokens: 2048,
        ..endpoint(Protocol::Ollama, &server.url, MODEL)
    };
    OllamaProvider::new(endpoint, options).unwrap()
}

fn raw() -> GenerateRequest {
    GenerateRequest {
        prompt: Prompt::Text {
            prefix: "<s>".to_owned(),
            rest: "Weather?".to_owned(),
        },
        ..question()
    }
}

#[tokio::test]
async fn a_model_is_described_loaded_and_unloaded() {
    let server = server();
    let provider = provider(&server, OllamaOptions::default());
    let facts = provider.describe().await.unwrap();
    assert_eq!(facts.engine_build, "ollama 0.40.12");
    assert_eq!(facts.architecture.as_deref(), Some("qwen2"));
    assert_eq!(facts.quantisation.as_deref(), Some("Q4_K_M"));
    assert_eq!(facts.trained_context_tokens, Some(32_768));
    assert_eq!(facts.context_tokens, 2048);
    assert_eq!(facts.peak_memory_bytes, Some(712_345_678));
    assert!(facts.load_ms.is_some());
    assert_eq!(facts.mechanisms, [Mechanism::JsonSchema]);
    // The server does not tell the template of the weights: raw text is not offered.
    assert_eq!(facts.wires, [Wire::Chat, Wire::ChatWithTools]);
    let load = &server.seen("/api/generate")[0].body;
    assert_eq!(load["options"]["num_ctx"], 2048);
    provider.describe().await.unwrap();
    assert_eq!(server.seen("/api/generate").len(), 1, "loaded once");
    provider.close().await;
    let last = server.last("/api/generate").body;
    assert_eq!(
        last["keep_alive"], 0,
        "what was loaded here is unloaded here"
    );
}

#[tokio::test]
async fn a_model_that_was_there_before_stays() {
    let server = server();
    let first = provider(&server, OllamaOptions::default());
    first.describe().await.unwrap();
    let second = provider(&server, OllamaOptions::default());
    let facts = second.describe().await.unwrap();
    assert_eq!(
        facts.load_ms, None,
        "nothing was loaded, so nothing is said of loading"
    );
    second.close().await;
    assert_ne!(server.last("/api/generate").body["keep_alive"], 0);
}

#[tokio::test]
async fn streamed_and_whole_say_the_same_with_the_servers_own_counts() {
    let server = server();
    let provider = provider(&server, OllamaOptions::default());
    for request in [question_with_tool(), whole(question_with_tool())] {
        let reply = ask(&provider, &request).await.unwrap();
        assert_eq!(
            said(&reply),
            (
                String::new(),
                vec![("get_weather".to_owned(), json!({"city": "Oslo"}))],
                Some("They ask for weather.".to_owned())
            )
        );
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        assert_eq!(reply.usage.prompt_tokens, 122);
        assert_eq!(reply.usage.output_tokens, 31);
        assert!((reply.timing.prefill_ms - 120.0).abs() < 1e-9);
        assert!((reply.timing.decode_ms - 150.0).abs() < 1e-9);
        assert_eq!(reply.timing.load_ms, Some(0.0));
        assert_eq!(reply.peak_memory_bytes, Some(712_345_678));
    }
}

#[tokio::test]
async fn every_setting_is_named_in_every_request() {
    let server = server();
    let options = OllamaOptions {
        keep_alive: Some(json!("1h")),
        ..OllamaOptions::default()
    };
    let provider = provider(&server, options);
    let request = GenerateRequest {
        constraint: Some(ConstraintText::JsonSchema(json!({"type": "object"}))),
        ..chat(conversation(), Vec::new())
    };
    ask(&provider, &request).await.unwrap();
    let body = server.last("/api/chat").body;
    let options = &body["options"];
    assert_eq!(options["num_ctx"], 2048);
    assert_eq!(options["num_predict"], 64);
    assert_eq!(options["seed"], ((1_u64 << 40) + 7) % (1 << 31));
    assert_eq!(options["temperature"], 0.0);
    assert_eq!(options["repeat_penalty"], 1.0);
    assert_eq!(options["top_k"], 0);
    assert_eq!(options["stop"], json!(["STOP"]));
    assert_eq!(body["format"], json!({"type": "object"}));
    assert_eq!(body["keep_alive"], "1h");
    assert_eq!(
        body["think"], false,
        "a bound on tokens leaves no room to think"
    );
    assert_eq!(
        body["messages"][2]["tool_calls"][0]["function"],
        json!({"name": "get_weather", "arguments": {"city": "Oslo"}})
    );
    assert_eq!(body["messages"][3]["tool_name"], "get_weather");
    let grammar = GenerateRequest {
        constraint: Some(ConstraintText::Gbnf("root ::= \"a\"".to_owned())),
        ..question()
    };
    let error = ask(&provider, &grammar).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::GrammarRejected { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn raw_text_goes_where_the_template_is_known() {
    let server = server();
    let weights = WeightsTemplate {
        chat_template: Some("{{ messages[0].content }}".to_owned()),
        bos_token: "<s>".to_owned(),
        eos_token: "</s>".to_owned(),
    };
    let options = OllamaOptions {
        weights: Some(weights),
        ..OllamaOptions::default()
    };
    let provider = provider(&server, options);
    let facts = provider.describe().await.unwrap();
    assert!(facts.wires.contains(&Wire::RawText));
    assert_eq!(facts.bos_token, "<s>");
    let reply = ask(&provider, &raw()).await.unwrap();
    assert_eq!(reply.text, "Rain.");
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(reply.usage.prompt_tokens, 9);
    let body = server.last("/api/generate").body;
    assert_eq!(body["raw"], true);
    assert_eq!(body["prompt"], "<s>Weather?");
}

#[tokio::test]
async fn failures_are_told_with_what_to_do() {
    let told = fixture("ollama.json");
    let missing = told["not_found"].clone();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/api/version" => Answer::json(&json!({"version": "0"})),
        _ => Answer::status(404, &missing),
    });
    let error = provider(&server, OllamaOptions::default())
        .describe()
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("ollama pull qwen2.5:0.5b"),
        "{error}"
    );
    drop(server);
    let broken = told["broken"].clone();
    let inner = fixture("ollama.json");
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/api/version" => Answer::json(&inner["version"]),
        "/api/show" => Answer::json(&inner["show"]),
        "/api/ps" => Answer::json(&json!({"models": []})),
        "/api/generate" => Answer::json(&inner["load"]),
        _ => Answer::lines(&[list(&inner, "chat_stream")[0].clone(), broken.clone()]),
    });
    let error = ask(&provider(&server, OllamaOptions::default()), &question())
        .await
        .unwrap_err();
    assert!(matches!(error, ProviderError::Crashed { .. }), "{error}");
    let url = server.url.clone();
    drop(server);
    let endpoint = Endpoint {
        retries: 0,
        ..endpoint(Protocol::Ollama, &url, MODEL)
    };
    let gone = OllamaProvider::new(endpoint, OllamaOptions::default()).unwrap();
    let error = gone.describe().await.unwrap_err();
    assert!(matches!(error, ProviderError::Network { .. }), "{error}");
}

#[test]
fn a_tag_is_pulled_through_the_ollama() {
    let server = server();
    let context = Context::new();
    let run = |name: &str| {
        let mut command = context.command(&["model", "pull", name]);
        command.env("OLLAMA_HOST", &server.url).output().unwrap()
    };
    let pulled = run("ollama:qwen2.5:0.5b");
    let words = String::from_utf8_lossy(&pulled.stderr).into_owned();
    assert_eq!(pulled.status.code(), Some(0), "{words}");
    assert!(words.contains("has pulled qwen2.5:0.5b"), "{words}");
    assert_eq!(server.last("/api/pull").body["model"], "qwen2.5:0.5b");
    let unknown = run("ollama:nothing");
    let words = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2), "{words}");
    assert!(words.contains("`nothing` in Ollama's library"), "{words}");
}

#[test]
fn a_run_goes_through_the_ollama_that_was_named() {
    let server = server();
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let mut command = context.command(&[
        "run",
        "ollama:qwen2.5:0.5b",
        "--suite",
        "tiny.yaml",
        "--case",
        "t-time",
        "--dialect",
        "native",
        "--constraint",
        "off",
        "--format",
        "json",
    ]);
    let output = command.env("OLLAMA_HOST", &server.url).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        summary["header"]["models"][0]["engine_build"],
        "ollama 0.40.12"
    );
    let chat = server.last("/api/chat").body;
    assert_eq!(chat["tools"][0]["function"]["name"], "get_time");
    assert_eq!(chat["options"]["num_ctx"], 4096);
}

/// What a run of an Ollama's model says, with its exit code.
fn ended(server: &Server, config: &str, further: &[&str]) -> (Option<i32>, String) {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write("toolbench.toml", config);
    let mut all = vec!["run", "ollama:qwen2.5:0.5b", "--suite", "tiny.yaml"];
    all.extend(further);
    let mut command = context.command(&all);
    let output = command.env("OLLAMA_HOST", &server.url).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), words)
}

const NATIVE: [&str; 2] = ["--dialect", "native"];

#[test]
fn a_choice_that_the_protocol_has_not_is_unsupported_and_said_so() {
    for config in [
        "",
        "[models.\"ollama:qwen2.5:0.5b\"]\nsource = \"ollama:qwen2.5:0.5b\"\nrefuses = []\n",
    ] {
        let server = server();
        let further = [
            &NATIVE[..],
            &["--constraint", "off", "--tool-choice", "required"],
        ]
        .concat();
        let (code, words) = ended(&server, config, &further);
        assert_eq!(code, Some(3), "{words}");
        assert!(words.contains("does not take `tool_choice`"), "{words}");
        assert_eq!(
            server.seen("/api/chat").len(),
            0,
            "nothing is asked otherwise"
        );
    }
}

#[test]
fn the_reason_for_no_route_is_the_true_one() {
    let mut told = fixture("ollama.json");
    told["show"]["capabilities"] = json!(["completion"]);
    let plain = Server::start(move |seen| match seen.path.as_str() {
        "/api/version" => Answer::json(&told["version"]),
        "/api/tags" => Answer::json(&told["tags"]),
        "/api/show" => Answer::json(&told["show"]),
        "/api/ps" => Answer::json(&json!({"models": []})),
        _ => Answer::json(&told["load"]),
    });
    let off = [&NATIVE[..], &["--constraint", "off"]].concat();
    let (code, words) = ended(&plain, "", &off);
    assert_eq!(code, Some(3), "{words}");
    assert!(words.contains("offers no chat with tools"), "{words}");
    let grammar = [&NATIVE[..], &["--constraint", "grammar"]].concat();
    let (code, words) = ended(&server(), "", &grammar);
    assert_eq!(code, Some(3), "{words}");
    assert!(words.contains("cannot hold `native`"), "{words}");
    assert!(!words.contains("no chat template"), "{words}");
}
