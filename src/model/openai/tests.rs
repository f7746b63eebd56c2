//! Documented shapes over real HTTP: what is sent, and how the reply is read.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::types::endpoint::SchemaField;
use crate::types::{
    Mechanism, Message, Role, Sampling, StopReason, ToolCall, ToolChoice, ToolDefinition, Usage,
    Wire,
};

#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::disallowed_methods,
    reason = "shared with the tests of the command"
)]
#[path = "../../../tests/it/support/endpoint_server.rs"]
mod endpoint_server;

use endpoint_server::{EndpointServer, Reply};

/// The presets that shape what is sent; their own test holds that they read.
fn preset(name: &str) -> Value {
    let text = include_str!("../../../catalogue/providers.yaml");
    let all: Value = serde_saphyr::from_str(text).unwrap();
    let all = all["presets"].as_array().unwrap().clone();
    all.into_iter().find(|one| one["name"] == name).unwrap()
}

fn endpoint(name: &str, base: &str) -> Endpoint {
    let preset = preset(name);
    let read = |key: &str| preset.get(key).cloned().unwrap_or_default();
    Endpoint {
        preset: name.to_owned(),
        wires: serde_json::from_value(read("wires")).unwrap(),
        mechanisms: serde_json::from_value(read("mechanisms")).unwrap_or_default(),
        schema_field: serde_json::from_value(read("schema-field")).unwrap_or_default(),
        strict_subset: read("strict-subset") == json!(true),
        llama_pages: read("llama-pages") == json!(true),
        refuses: serde_json::from_value(read("refuses")).unwrap_or_default(),
        renames: serde_json::from_value(read("renames")).unwrap_or_default(),
        retries: 0,
        ..Endpoint::new(
            serde_json::from_value(read("protocol")).unwrap(),
            &format!("{base}/v1"),
            "m",
        )
    }
}

fn tool() -> ToolDefinition {
    ToolDefinition {
        name: "get_time".into(),
        description: "The time in a zone.".into(),
        input_schema: json!({
            "type": "object",
            "properties": {"zone": {"type": "string"}, "seconds": {"type": "boolean", "default": false}},
            "required": ["zone"],
        }),
        annotations: None,
    }
}

fn request(ask: &Value) -> GenerateRequest {
    let messages = vec![
        Message::text(Role::System, "You help with clocks."),
        Message::text(Role::User, "time?"),
    ];
    let chat = |tools| Prompt::Chat {
        messages,
        tools,
        tool_choice: ToolChoice::Auto,
    };
    GenerateRequest {
        prompt: match ask["wire"].as_str() {
            Some("text") => Prompt::Text {
                prefix: "<|user|>".into(),
                rest: "time?".into(),
            },
            Some("tools") => chat(vec![tool()]),
            _ => chat(Vec::new()),
        },
        sampling: Sampling::default(),
        seed: 7,
        max_tokens: 64,
        stop: vec!["END".into()],
        constraint: match ask["constraint"].as_str() {
            Some("strict") => Some(ConstraintText::StrictTools),
            Some("gbnf") => Some(ConstraintText::Gbnf("root ::= \"x\"".into())),
            Some("json") => Some(ConstraintText::JsonSchema(json!({"type": "object"}))),
            _ => None,
        },
        stream: ask["stream"] == json!(true),
        time_limit_ms: 20_000,
        context: None,
    }
}

async fn generate(
    endpoint: Endpoint,
    request: &GenerateRequest,
) -> Result<GenerateReply, ProviderError> {
    let provider = OpenAiProvider::new(endpoint).unwrap();
    provider.generate(request, &CancellationToken::new()).await
}

fn check_read(name: &str, reply: &GenerateReply, read: &Value) {
    assert_eq!(json!(reply.text), read["text"], "{name}");
    assert_eq!(json!(reply.calls), read["calls"], "{name}");
    assert_eq!(json!(reply.stop_reason), read["stop_reason"], "{name}");
    assert_eq!(
        reply.reasoning.as_deref(),
        read["reasoning"].as_str(),
        "{name}"
    );
    assert_eq!(
        reply.constrained,
        read["constrained"] == json!(true),
        "{name}"
    );
    if let Some(expected) = read.get("usage") {
        let usage: Usage = serde_json::from_value(expected.clone()).unwrap();
        assert_eq!(reply.usage, usage, "{name}");
    }
    for (key, value) in [
        ("prefill_ms", reply.timing.prefill_ms),
        ("decode_ms", reply.timing.decode_ms),
    ] {
        if let Some(expected) = read.get(key) {
            assert_eq!(json!(value), *expected, "{name} {key}");
        }
    }
    assert!(reply.timing.total_ms > 0.0, "{name}");
}

async fn exchange(one: &Value) {
    let name = one["name"].as_str().unwrap();
    let script = Arc::new(one["reply"].clone());
    let server = EndpointServer::start(move |_| match script.get("events") {
        Some(events) => {
            let events = events.as_array().unwrap();
            let begun = events.iter().fold(Reply::events(), |reply, event| {
                reply.event(&event.to_string())
            });
            if script["done"] == json!(false) {
                begun
            } else {
                begun.event("[DONE]")
            }
        }
        None => Reply::json(200, &script["json"]),
    });
    let endpoint = endpoint(one["preset"].as_str().unwrap(), &server.base());
    let answer = generate(endpoint, &request(&one["ask"])).await;
    let sent = &server.requests()[0];
    if let Some(path) = one["path"].as_str() {
        assert_eq!(sent.path, path, "{name}");
    }
    for (pointer, value) in one["sends"].as_object().into_iter().flatten() {
        assert_eq!(
            sent.body.pointer(pointer),
            Some(value),
            "{name} {pointer}: {}",
            sent.body
        );
    }
    for pointer in one["sends_not"].as_array().into_iter().flatten() {
        let pointer = pointer.as_str().unwrap();
        assert_eq!(sent.body.pointer(pointer), None, "{name} {pointer}");
    }
    match (answer, one["fails"].as_str()) {
        (Ok(reply), None) => check_read(name, &reply, &one["read"]),
        (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{name}: {error}"),
        (Ok(reply), Some(_)) => panic!("{name}: {reply:?}"),
        (Err(error), None) => panic!("{name}: {error}"),
    }
}

#[tokio::test]
async fn documented_shapes_are_sent_and_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/providers");
    let mut count = 0;
    for file in [
        "openai-chat",
        "openai-responses",
        "llama-server",
        "compatible",
    ] {
        let text = std::fs::read_to_string(format!("{folder}/{file}.json")).unwrap();
        let fixture: Value = serde_json::from_str(&text).unwrap();
        assert!(
            fixture["document"]
                .as_str()
                .unwrap()
                .starts_with("https://"),
            "{file}"
        );
        assert_eq!(fixture["date"].as_str().unwrap().len(), 10, "{file}");
        for one in fixture["exchanges"].as_array().unwrap() {
            exchange(one).await;
            count += 1;
        }
    }
    assert!(count >= 25, "{count} exchanges");
}

#[tokio::test]
async fn calls_and_results_go_back_with_their_ids() {
    let server = EndpointServer::start(|_| {
        Reply::json(
            200,
            &json!({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}),
        )
    });
    let made = ToolCall::new("get_time", json!({"zone": "UTC"}));
    let given = ToolCall {
        id: Some("theirs".into()),
        arguments: json!("{\"zone\":"),
        ..made.clone()
    };
    let mut asked = request(&json!({"wire": "tools"}));
    asked.prompt = Prompt::Chat {
        messages: vec![
            Message::text(Role::User, "a"),
            Message::assistant_calls("", vec![made.clone(), made.clone()]),
            Message::tool_result(&made, "one"),
            Message::tool_result(&made, "two"),
            Message::assistant_calls("I look.", vec![given.clone()]),
            Message::tool_result(&given, "mend it"),
        ],
        tools: vec![tool()],
        tool_choice: ToolChoice::Required,
    };
    generate(endpoint("mistral", &server.base()), &asked)
        .await
        .unwrap();
    let body = &server.requests()[0].body;
    assert_eq!(body["tool_choice"], "required");
    let sent = &body["messages"];
    let ids: Vec<&str> = [1, 2]
        .iter()
        .map(|n| sent[1]["tool_calls"][n - 1]["id"].as_str().unwrap())
        .collect();
    assert!(
        ids[0] != ids[1] && ids.iter().all(|id| id.len() == 9),
        "{ids:?}"
    );
    assert_eq!(sent[1]["content"], Value::Null);
    assert_eq!(
        (&sent[2]["tool_call_id"], &sent[2]["content"]),
        (&json!(ids[0]), &json!("one"))
    );
    assert_eq!(
        (&sent[3]["tool_call_id"], &sent[3]["content"]),
        (&json!(ids[1]), &json!("two"))
    );
    assert_eq!(
        sent[4]["tool_calls"][0]["function"]["arguments"],
        "{\"zone\":"
    );
    assert_eq!(sent[5]["tool_call_id"], "theirs");
}

fn llama_pages(request: &endpoint_server::Request) -> Reply {
    match request.path.as_str() {
        "/v1/models" => Reply::json(
            200,
            &json!({"object": "list", "data": [{"id": "own.gguf",
            "meta": {"n_ctx_train": 32768, "n_params": 494_032_768_u64, "size": 491_400_064_u64}}]}),
        ),
        "/props" => Reply::json(
            200,
            &json!({"default_generation_settings": {"n_ctx": 8192},
            "chat_template": "{{ messages }}", "bos_token": "<s>", "eos_token": "</s>", "build_info": "b9000"}),
        ),
        "/tokenize" => Reply::json(200, &json!({"tokens": [1]})),
        "/health" => Reply::json(200, &json!({"status": "ok"})),
        "/completion" => Reply::json(
            200,
            &json!({"content": "x", "stop": true, "stop_type": "eos"}),
        ),
        _ => Reply::json(404, &json!({"error": {"message": "File Not Found"}})),
    }
}

#[tokio::test]
async fn a_llama_server_says_what_it_is() {
    let server = EndpointServer::start(llama_pages);
    let provider = OpenAiProvider::new(endpoint("llama-server", &server.base())).unwrap();
    let facts = provider.describe().await.unwrap();
    assert_eq!(facts.reported_name, "own.gguf");
    assert_eq!(
        (facts.context_tokens, facts.trained_context_tokens),
        (8192, Some(32768))
    );
    assert_eq!(facts.engine_build, "b9000");
    assert!(facts.adds_bos && facts.wires.contains(&Wire::RawText));
    assert_eq!(facts.mechanisms, [Mechanism::Gbnf, Mechanism::JsonSchema]);
    provider.health().await.unwrap();
    let mut asked = request(&json!({"wire": "text"}));
    asked.prompt = Prompt::Text {
        prefix: "<s>a".into(),
        rest: "b".into(),
    };
    provider
        .generate(&asked, &CancellationToken::new())
        .await
        .unwrap();
    // The server adds the token itself; the model goes by the server's name for it.
    let sent = server.to("/completion")[0].body.clone();
    assert_eq!(
        (&sent["prompt"], &sent["model"]),
        (&json!("ab"), &json!("own.gguf"))
    );
    let asked_before = server.requests().len();
    provider.describe().await.unwrap();
    assert_eq!(server.requests().len(), asked_before, "described once");
}

#[tokio::test]
async fn raw_text_needs_a_template_and_names_need_a_model() {
    let server = EndpointServer::start(|request| match request.path.as_str() {
        "/v1/models" => Reply::json(
            200,
            &json!({"data": [
            {"id": "qwen/qwen-7b", "max_model_len": 2048}, {"id": "other"}]}),
        ),
        _ => Reply::json(404, &json!({})),
    });
    let of = |model: &str, wires: &[Wire]| Endpoint {
        model: model.to_owned(),
        wires: wires.to_vec(),
        ..endpoint("vllm", &server.base())
    };
    let all = [Wire::RawText, Wire::Chat];
    let facts = OpenAiProvider::new(of("qwen/qwen-7b", &all)).unwrap();
    let facts = facts.describe().await.unwrap();
    assert_eq!(
        (facts.wires.as_slice(), facts.context_tokens),
        (&[Wire::Chat][..], 2048)
    );
    let only_raw = OpenAiProvider::new(of("other", &[Wire::RawText])).unwrap();
    assert_eq!(only_raw.describe().await.unwrap().wires, [Wire::RawText]);
    // A suffix that routes is no other model; a wrong name gets the near ones.
    let routed = OpenAiProvider::new(of("qwen/qwen-7b:free", &all)).unwrap();
    assert!(routed.describe().await.is_ok());
    for (model, words) in [
        ("qwen/qwen-8b", "did you mean `qwen/qwen-7b`?"),
        ("zzz", "it serves `qwen/qwen-7b`, `other`"),
    ] {
        let error = OpenAiProvider::new(of(model, &all))
            .unwrap()
            .describe()
            .await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_refused_constraint_is_told_from_other_refusals() {
    for (constraint, status, words, grammar) in [
        (json!("gbnf"), 400, "failed to parse grammar", true),
        (
            json!("json"),
            400,
            "Invalid schema for response_format 'reply'",
            true,
        ),
        (json!(null), 400, "failed to parse grammar", false),
        (json!("json"), 400, "unknown field `seed`", false),
        (json!("json"), 422, "json_schema is not supported", true),
    ] {
        let said = words.to_owned();
        let server = EndpointServer::start(move |_| {
            Reply::json(status, &json!({"error": {"message": said}}))
        });
        let asked = request(&json!({"wire": "chat", "constraint": constraint}));
        let error = generate(endpoint("localai", &server.base()), &asked)
            .await
            .unwrap_err();
        assert_eq!(
            matches!(error, ProviderError::GrammarRejected { .. }),
            grammar,
            "{words}: {error}"
        );
    }
    // OpenAI's strict schemas have no alternatives at the root: nothing is sent at all.
    let server = EndpointServer::start(|_| Reply::json(200, &json!({})));
    let mut asked = request(&json!({"wire": "chat"}));
    asked.constraint = Some(ConstraintText::JsonSchema(
        json!({"anyOf": [{"type": "object"}]}),
    ));
    let error = generate(endpoint("openai", &server.base()), &asked)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("strict mode"), "{error}");
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn every_form_of_a_schema_has_its_field() {
    for (field, pointer) in [
        (
            SchemaField::ResponseFormat,
            "/response_format/json_schema/schema",
        ),
        (SchemaField::GuidedJson, "/guided_json"),
        (SchemaField::StructuredOutputs, "/structured_outputs/json"),
        (SchemaField::JsonSchema, "/json_schema"),
    ] {
        let endpoint = Endpoint {
            schema_field: field,
            ..endpoint("vllm", "http://127.0.0.1:1")
        };
        let body = body::chat(
            &endpoint,
            "m",
            &request(&json!({"wire": "chat", "constraint": "json"})),
        )
        .unwrap();
        assert_eq!(
            body.pointer(pointer),
            Some(&json!({"type": "object"})),
            "{body}"
        );
    }
}

#[test]
fn sampling_goes_over_where_it_is_on() {
    let mut asked = request(&json!({"wire": "chat"}));
    asked.sampling = Sampling {
        temperature: 0.7,
        top_k: 40,
        repeat_penalty: 1.1,
        ..Sampling::default()
    };
    let sent = |name: &str, asked: &GenerateRequest| {
        body::chat(&endpoint(name, "http://127.0.0.1:1"), "m", asked).unwrap()
    };
    let vllm = sent("vllm", &asked);
    assert_eq!(
        (
            &vllm["temperature"],
            &vllm["top_k"],
            &vllm["repetition_penalty"]
        ),
        (&json!(0.7), &json!(40), &json!(1.1))
    );
    assert!(vllm.get("min_p").is_none() && vllm.get("repeat_penalty").is_none());
    asked.sampling = Sampling {
        temperature: 0.7,
        ..Sampling::default()
    };
    // llama.cpp would narrow the choice by itself: off has to be said.
    let llama = sent("llama-server", &asked);
    assert_eq!(
        (&llama["top_k"], &llama["min_p"], &llama["top_p"]),
        (&json!(0), &json!(0.0), &json!(1.0))
    );
    assert!(sent("vllm", &asked).get("top_k").is_none());
    asked.seed = u64::MAX;
    assert_eq!(sent("vllm", &asked)["seed"], json!(0x7fff_ffff));
}

#[tokio::test]
async fn a_stop_text_that_a_server_does_not_know_is_cut_here() {
    let server = EndpointServer::start(|_| {
        Reply::json(
            200,
            &json!({"status": "completed", "output": [
        {"type": "message", "content": [{"type": "output_text", "text": "It is noon END and more"}]}]}),
        )
    });
    let asked = request(&json!({"wire": "chat"}));
    let reply = generate(endpoint("openai-responses", &server.base()), &asked);
    let reply = reply.await.unwrap();
    assert_eq!(
        (reply.text.as_str(), reply.stop_reason),
        ("It is noon ", StopReason::StopText)
    );
}

#[tokio::test]
async fn what_fails_in_transport_is_tried_again_and_counted() {
    let right = || {
        Reply::json(
            200,
            &json!({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}),
        )
    };
    let faults: [fn() -> Reply; 3] = [
        || Reply::json_with(429, &[("retry-after", "0.1")], &json!({})),
        || Reply::default().reset(),
        || {
            Reply::events()
                .event("{\"choices\":[{\"delta\":{\"content\":\"It\"}}]}")
                .wait_ms(50)
                .reset()
        },
    ];
    for fault in faults {
        let server = EndpointServer::start(move |request| {
            if request.number == 0 {
                fault()
            } else {
                right()
            }
        });
        let endpoint = Endpoint {
            retries: 2,
            ..endpoint("vllm", &server.base())
        };
        let reply = generate(endpoint, &request(&json!({"wire": "chat", "stream": true})))
            .await
            .unwrap();
        assert_eq!((reply.text.as_str(), reply.timing.retries), ("ok", 1));
        assert!(reply.timing.waited_ms.unwrap() >= 50.0 && reply.timing.total_ms < 5_000.0);
    }
}

#[tokio::test]
async fn too_much_at_once_is_answered_with_less() {
    let at_once = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let refused = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let (now, no) = (Arc::clone(&at_once), Arc::clone(&refused));
    let server = EndpointServer::start(move |_| {
        use std::sync::atomic::Ordering::SeqCst;
        let others = now.fetch_add(1, SeqCst);
        std::thread::sleep(std::time::Duration::from_millis(60));
        now.fetch_sub(1, SeqCst);
        if others >= 2 {
            no.fetch_add(1, SeqCst);
            return Reply::json_with(429, &[("retry-after", "0.05")], &json!({}));
        }
        Reply::json(
            200,
            &json!({"choices": [{"message": {"content": "ok"}, "finish_reason": "stop"}]}),
        )
    });
    let endpoint = Endpoint {
        retries: 30,
        ..endpoint("vllm", &server.base())
    };
    let provider = OpenAiProvider::new(endpoint).unwrap();
    let (asked, cancel) = (request(&json!({"wire": "chat"})), CancellationToken::new());
    let all = futures::future::join_all((0..24).map(|_| provider.generate(&asked, &cancel))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let refused = refused.load(std::sync::atomic::Ordering::SeqCst);
    // 24 at once, 2 taken: without a window every round would refuse nearly all that are left.
    assert!((1..80).contains(&refused), "{refused} refusals");
}

#[tokio::test]
async fn a_key_goes_to_no_other_server() {
    let other = EndpointServer::start(|_| Reply::json(200, &json!({})));
    let away = format!("{}/v1/chat/completions", other.base());
    let server = EndpointServer::start(move |_| Reply::whole(307, &[("location", &away)], b""));
    let endpoint = Endpoint {
        headers: vec![("x-api-key".into(), crate::types::secret::Secret::new("k"))],
        ..endpoint("vllm", &server.base())
    };
    let error = generate(endpoint, &request(&json!({"wire": "chat"}))).await;
    assert!(error.unwrap_err().to_string().contains("307"));
    assert!(other.requests().is_empty());
}
