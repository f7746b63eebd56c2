//! The engine with real models and with stand-ins.
//!
//! Tests with models run where `TOOLBENCH_TEST_CACHE` names a cache that holds them, as
//! `scripts/test` does; a model that is not there is passed over.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use toolbench::model::Provider;
use toolbench::model::engine::{EngineCommand, EngineProvider};
use toolbench::types::generate::{
    ConstraintText, GenerateReply, GenerateRequest, Prompt, ProviderError, Sampling, StopReason,
};
use toolbench::types::protocol::{EngineSettings, ForcedTokens};

/// Names for messages, and file names in the cache.
pub const MODELS: [(&str, &str); 4] = [
    ("smollm2", "smollm2@135m.gguf"),
    ("qwen2.5-coder", "qwen2.5-coder@0.5b.gguf"),
    ("gemma3", "gemma3@270m-base.gguf"),
    ("tinyllama", "tinyllama@1.1b.gguf"),
];

pub const SYSTEM: &str = "You can call these tools. Answer with one JSON object {\"tool\": name, \"arguments\": {...}} and nothing else.\n- get_weather: current weather. arguments: city (string), unit (celsius or fahrenheit)\n- add: adds two integers. arguments: a (integer), b (integer)\n";

pub const CALLS: &str = r#"start: "{\"tool\":\"" ( "get_weather\",\"arguments\":" weather | "add\",\"arguments\":" add ) "}"
weather: %json {"type":"object","properties":{"city":{"type":"string","maxLength":20},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city","unit"],"additionalProperties":false,"x-guidance":{"whitespace_flexible":false}}
add: %json {"type":"object","properties":{"a":{"type":"integer","minimum":0,"maximum":999},"b":{"type":"integer","minimum":0,"maximum":999}},"required":["a","b"],"additionalProperties":false,"x-guidance":{"whitespace_flexible":false}}
"#;

/// The file of a model in the cache that the tests may use.
pub fn model_path(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("TOOLBENCH_TEST_CACHE")?).join("models");
    let (_, file) = MODELS.into_iter().find(|(known, _)| *known == name)?;
    Some(folder.join(file)).filter(|path| path.exists())
}

/// The models that are there.
pub fn models() -> impl Iterator<Item = (&'static str, PathBuf)> {
    MODELS
        .into_iter()
        .filter_map(|(name, _)| model_path(name).map(|path| (name, path)))
}

pub fn settings(path: &std::path::Path) -> EngineSettings {
    EngineSettings {
        path: path.display().to_string(),
        context_tokens: 1024,
        threads: 0,
        gpu_layers: None,
        flash_attention: None,
        kv_cache_type: None,
        ignore_memory_check: false,
        forced_tokens: ForcedTokens::Batch,
    }
}

pub fn provider(settings: EngineSettings) -> EngineProvider {
    // Waiting threads spin by default, and a busy machine would slow them to a crawl.
    let passive = [("OMP_WAIT_POLICY".into(), "passive".into())];
    let environment = std::env::vars_os().chain(passive);
    let command = EngineCommand::own(env!("CARGO_BIN_EXE_toolbench"), environment);
    EngineProvider::new(command, settings)
}

pub fn request(model: &str, question: &str) -> GenerateRequest {
    let (prefix, rest) = match model {
        "gemma3" => (
            format!(
                "{SYSTEM}\nQuestion: What is 1 plus 2?\nCall: {{\"tool\":\"add\",\"arguments\":{{\"a\":1,\"b\":2}}}}\n"
            ),
            format!("Question: {question}\nCall: "),
        ),
        "tinyllama" => (
            format!("<|system|>\n{SYSTEM}</s>\n"),
            format!("<|user|>\n{question}</s>\n<|assistant|>\n"),
        ),
        _ => (
            format!("<|im_start|>system\n{SYSTEM}<|im_end|>\n"),
            format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"),
        ),
    };
    GenerateRequest {
        prompt: Prompt::Text { prefix, rest },
        sampling: Sampling::default(),
        seed: 7,
        max_tokens: 16,
        stop: Vec::new(),
        constraint: None,
        stream: true,
        time_limit_ms: 300_000,
        context: None,
    }
}

pub fn held(mut request: GenerateRequest) -> GenerateRequest {
    request.constraint = Some(ConstraintText::Lark(CALLS.to_owned()));
    request.max_tokens = 100;
    request
}

pub fn sampled(mut request: GenerateRequest) -> GenerateRequest {
    request.sampling = Sampling {
        temperature: 0.9,
        top_p: 0.95,
        top_k: 50,
        min_p: 0.01,
        repeat_penalty: 1.1,
    };
    request
}

/// A prompt that is not cut: all of it is the rest.
pub fn uncut(mut request: GenerateRequest) -> GenerateRequest {
    if let Prompt::Text { prefix, rest } = &mut request.prompt {
        *rest = format!("{prefix}{rest}");
        prefix.clear();
    }
    request
}

pub async fn ask(provider: &EngineProvider, request: &GenerateRequest) -> GenerateReply {
    provider
        .generate(request, &CancellationToken::new())
        .await
        .unwrap()
}

/// What of a reply must not depend on what was asked before.
pub fn content(reply: &GenerateReply) -> (String, StopReason, u32, u32) {
    (
        reply.text.clone(),
        reply.stop_reason,
        reply.usage.output_tokens,
        reply.usage.forced_tokens,
    )
}

pub const WEATHER: &str = "What is the weather in Paris, in celsius?";
pub const SUM: &str = "Add 17 and 25.";

#[tokio::test]
async fn replies_do_not_depend_on_the_order() {
    for (name, path) in models() {
        let mut other_prefix = request(name, WEATHER);
        if let Prompt::Text { prefix, .. } = &mut other_prefix.prompt {
            prefix.insert_str(prefix.len() / 2, " Be brief. ");
        }
        let requests = [
            request(name, WEATHER),
            held(request(name, SUM)),
            sampled(request(name, SUM)),
            held(sampled(request(name, WEATHER))),
            other_prefix,
            uncut(request(name, SUM)),
        ];
        let forward = provider(settings(&path));
        let mut first = Vec::new();
        for request in &requests {
            first.push(content(&ask(&forward, request).await));
        }
        for (index, request) in requests.iter().enumerate().rev() {
            let again = ask(&forward, request).await;
            assert_eq!(content(&again), first[index], "{name} {index} again");
        }
        forward.close().await;
        let fresh = provider(settings(&path));
        for (index, request) in requests.iter().enumerate().rev() {
            let reply = ask(&fresh, request).await;
            assert_eq!(content(&reply), first[index], "{name} {index} fresh");
        }
        fresh.close().await;
    }
}

#[tokio::test]
async fn usage_tells_kept_from_computed() {
    for (name, path) in models() {
        let provider = provider(settings(&path));
        let first = ask(&provider, &request(name, WEATHER)).await.usage;
        let second = ask(&provider, &request(name, SUM)).await.usage;
        assert_eq!(first.cached_tokens, 0, "{name}");
        assert!(second.cached_tokens > 40, "{name}: {second:?}");
        for usage in [first, second] {
            assert_eq!(
                usage.prompt_tokens,
                usage.cached_tokens + usage.computed_tokens
            );
        }
        provider.close().await;
    }
}

#[tokio::test]
async fn a_batch_of_forced_tokens_reads_as_one_by_one() {
    for (name, path) in models() {
        let batch = provider(settings(&path));
        let single = provider(EngineSettings {
            forced_tokens: ForcedTokens::Single,
            ..settings(&path)
        });
        let chosen = provider(EngineSettings {
            forced_tokens: ForcedTokens::Chosen,
            ..settings(&path)
        });
        for question in [WEATHER, SUM, "Is it warm in Oslo? Use fahrenheit."] {
            let request = held(request(name, question));
            let batched = ask(&batch, &request).await;
            let stepped = ask(&single, &request).await;
            assert_eq!(content(&batched), content(&stepped), "{name}");
            assert!(batched.usage.forced_tokens > 0, "{name}");
            assert!(batched.usage.decode_steps < stepped.usage.decode_steps);
            // Which tokens spell the forced text is the model's choice here, so the text may differ.
            let free = ask(&chosen, &request).await;
            assert_eq!(free.usage.forced_tokens, 0);
            assert_eq!(free.stop_reason, StopReason::Stop);
        }
        batch.close().await;
        single.close().await;
        chosen.close().await;
    }
}

#[tokio::test]
async fn held_replies_are_calls() {
    for (name, path) in models() {
        let provider = provider(settings(&path));
        for question in [WEATHER, SUM] {
            for request in [
                held(request(name, question)),
                held(sampled(request(name, question))),
            ] {
                let reply = ask(&provider, &request).await;
                assert_eq!(reply.stop_reason, StopReason::Stop, "{name}: {reply:?}");
                assert_eq!(reply.grammar_error, None);
                assert!(reply.constrained);
                let call: serde_json::Value = serde_json::from_str(&reply.text).unwrap();
                let arguments = call["arguments"].as_object().unwrap();
                match call["tool"].as_str().unwrap() {
                    "get_weather" => assert!(arguments["city"].is_string()),
                    "add" => assert!(arguments["a"].is_u64() && arguments["b"].is_u64()),
                    other => panic!("{name} called {other}"),
                }
            }
        }
        provider.close().await;
    }
}

#[tokio::test]
async fn a_kept_prefix_reads_as_the_whole_prompt() {
    for (name, path) in models() {
        let provider = provider(settings(&path));
        // Longer than Gemma's window of 512, so that the prefix has slid out of it.
        let long = "The quick brown fox jumps over the lazy dog. ".repeat(60);
        for question in [WEATHER, SUM] {
            let mut cut = held(request(name, question));
            if let Prompt::Text { prefix, .. } = &mut cut.prompt {
                prefix.insert_str(prefix.len() / 2, &long);
            }
            let whole = ask(&provider, &uncut(cut.clone())).await;
            let built = ask(&provider, &cut).await;
            let kept = ask(&provider, &cut).await;
            assert!(kept.usage.cached_tokens > 550, "{:?}", kept.usage);
            assert_eq!(content(&built), content(&kept), "{name}");
            assert_eq!(whole.text, kept.text, "{name}");
        }
        provider.close().await;
    }
}

#[tokio::test]
async fn a_prompt_that_does_not_fit_is_refused_before_decoding() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let provider = provider(settings(&path));
    let mut long = request("smollm2", WEATHER);
    if let Prompt::Text { rest, .. } = &mut long.prompt {
        *rest = "word ".repeat(1100);
    }
    let error = provider
        .generate(&long, &CancellationToken::new())
        .await
        .unwrap_err();
    let ProviderError::ContextOverflow {
        prompt_tokens,
        context_tokens,
    } = error
    else {
        panic!("{error:?}");
    };
    assert!(prompt_tokens > 1024);
    assert_eq!(context_tokens, 1024);
    // One that just fits runs until the context is full.
    let mut tight = request("smollm2", WEATHER);
    tight.max_tokens = 4000;
    tight.constraint = Some(ConstraintText::Lark("start: /[a-z ]{5000}/".to_owned()));
    if let Prompt::Text { rest, .. } = &mut tight.prompt {
        *rest = "word ".repeat(900);
    }
    let reply = ask(&provider, &tight).await;
    assert_eq!(reply.stop_reason, StopReason::ContextFull);
    assert_eq!(reply.usage.prompt_tokens + reply.usage.output_tokens, 1024);
    provider.close().await;
}

#[tokio::test]
async fn limits_and_stop_texts_end_a_reply() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let provider = provider(settings(&path));
    let endless = GenerateRequest {
        constraint: Some(ConstraintText::Lark("start: /[a-z ]{3000}/".to_owned())),
        max_tokens: 900,
        ..request("smollm2", WEATHER)
    };
    let limited = GenerateRequest {
        time_limit_ms: 300,
        ..endless.clone()
    };
    let reply = ask(&provider, &limited).await;
    assert_eq!(reply.stop_reason, StopReason::TimeLimit);
    assert!(reply.timing.total_ms >= 300.0);
    let counted = GenerateRequest {
        max_tokens: 5,
        ..endless.clone()
    };
    let reply = ask(&provider, &counted).await;
    assert_eq!(reply.stop_reason, StopReason::MaxTokens);
    assert_eq!(reply.usage.output_tokens, 5);
    let full = ask(&provider, &request("smollm2", SUM)).await.text;
    let stop: String = full.chars().skip(10).take(6).collect();
    let stopped = GenerateRequest {
        stop: vec![stop.clone()],
        ..request("smollm2", SUM)
    };
    let reply = ask(&provider, &stopped).await;
    assert_eq!(reply.stop_reason, StopReason::StopText);
    assert_eq!(reply.text, full.split(&stop).next().unwrap());
    provider.close().await;
}

#[tokio::test]
async fn a_cancelled_request_answers_and_the_next_one_is_untouched() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let provider = provider(settings(&path));
    let before = ask(&provider, &request("smollm2", SUM)).await;
    let endless = GenerateRequest {
        constraint: Some(ConstraintText::Lark("start: /[a-z ]{3000}/".to_owned())),
        max_tokens: 900,
        ..request("smollm2", WEATHER)
    };
    let cancel = CancellationToken::new();
    let queued_cancel = CancellationToken::new();
    let queued = request("smollm2", WEATHER);
    let pid = provider.pid();
    let (running, waiting, ()) = tokio::join!(
        provider.generate(&endless, &cancel),
        provider.generate(&queued, &queued_cancel),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            queued_cancel.cancel();
            tokio::time::sleep(Duration::from_millis(100)).await;
            cancel.cancel();
        }
    );
    assert_eq!(running.unwrap().stop_reason, StopReason::Cancelled);
    assert_eq!(waiting.unwrap_err(), ProviderError::Cancelled);
    let after = ask(&provider, &request("smollm2", SUM)).await;
    assert_eq!(content(&before), content(&after));
    assert_eq!(provider.pid(), pid, "the child lived on");
    provider.close().await;
}

#[tokio::test]
async fn refusals_leave_the_model_loaded() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let provider = provider(settings(&path));
    let none = CancellationToken::new();
    let bad_grammar = GenerateRequest {
        constraint: Some(ConstraintText::Lark("start: missing_rule".to_owned())),
        ..request("smollm2", SUM)
    };
    let error = provider.generate(&bad_grammar, &none).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::GrammarRejected { detail } if detail.contains("missing_rule")),
        "{error:?}"
    );
    let chat = GenerateRequest {
        prompt: Prompt::Chat {
            messages: Vec::new(),
            tools: Vec::new(),
            tool_choice: toolbench::types::ToolChoice::Auto,
        },
        ..request("smollm2", SUM)
    };
    let error = provider.generate(&chat, &none).await.unwrap_err();
    assert!(matches!(error, ProviderError::Rejected { .. }), "{error:?}");
    assert!(
        !ask(&provider, &request("smollm2", SUM))
            .await
            .text
            .is_empty()
    );
    provider.close().await;
}

#[tokio::test]
async fn facts_say_what_was_loaded() {
    for (name, path) in models() {
        let provider = provider(settings(&path));
        let facts = provider.describe().await.unwrap();
        assert_eq!(facts.context_tokens, 1024);
        assert!(facts.parameters.unwrap() > 100_000_000);
        assert_eq!(facts.chat_template.is_none(), name == "gemma3");
        assert!(facts.engine_build.starts_with("llama.cpp "));
        assert!(facts.engine_system.contains("CPU"));
        let predicted = facts.predicted_memory_bytes.unwrap() as f64;
        let peak = facts.peak_memory_bytes.unwrap() as f64;
        assert!(
            predicted > peak * 0.9 && predicted < peak * 1.6,
            "{name}: {predicted} {peak}"
        );
        provider.close().await;
    }
}

#[tokio::test]
async fn a_model_that_cannot_be_loaded_says_why() {
    let Some(path) = model_path("smollm2") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let truncated = folder.path().join("cut.gguf");
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&truncated, &bytes[..bytes.len() - 100_000]).unwrap();
    let error = provider(settings(&truncated)).describe().await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Load { detail } if detail.contains("is truncated")),
        "{error:?}"
    );
    let missing = folder.path().join("none.gguf");
    let error = provider(settings(&missing)).describe().await.unwrap_err();
    assert!(matches!(error, ProviderError::Load { .. }), "{error:?}");
    let strange = EngineSettings {
        kv_cache_type: Some("q9_9".to_owned()),
        ..settings(&path)
    };
    let error = provider(strange).describe().await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Rejected { detail } if detail.contains("`q9_9`")),
        "{error:?}"
    );
    let huge = EngineSettings {
        context_tokens: 400_000_000,
        ..settings(&path)
    };
    let error = provider(huge).describe().await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::NotEnoughMemory { detail } if detail.contains("--context")),
        "{error:?}"
    );
}

#[tokio::test]
async fn quantised_caches_and_plain_attention_work() {
    let Some(path) = model_path("qwen2.5-coder") else {
        return;
    };
    for (cache, flash) in [("q8_0", None), ("f32", Some(false)), ("f16", Some(true))] {
        let provider = provider(EngineSettings {
            kv_cache_type: Some(cache.to_owned()),
            flash_attention: flash,
            ..settings(&path)
        });
        let first = ask(&provider, &held(request("qwen2.5-coder", SUM))).await;
        let second = ask(&provider, &held(request("qwen2.5-coder", SUM))).await;
        assert_eq!(content(&first), content(&second), "{cache}");
        assert!(first.text.contains("17"), "{}", first.text);
        provider.close().await;
    }
}
