//! Context servers: every shape of a call, tools by name, results that the server made itself.

use serde_json::{Value, json};
use toolbench::model::Provider;
use toolbench::model::context::ContextProvider;
use toolbench::types::endpoint::Protocol;
use toolbench::types::{GenerateRequest, Prompt, ProviderError, StopReason, ToolDefinition, Wire};

use crate::providers::*;
use crate::support::{Context, TINY_SUITE, json_lines};

const CHAT: &str = "/v1/chat/completions";

fn shapes() -> Value {
    fixture("context/shapes.json")
}

/// A server that answers chats with `reply` and `/generate` with `text`.
fn server(reply: Value, text: Value) -> Server {
    let told = shapes();
    Server::start(move |seen| match seen.path.as_str() {
        "/info" => Answer::json(&told["info"]),
        "/v1/models" => Answer::json(&told["models"]),
        "/generate" => Answer::json(&text),
        CHAT if seen.body["messages"] == json!([]) => {
            Answer::status(422, &json!({"detail": "messages must not be empty"}))
        }
        CHAT if seen.body["stream"] == true && reply.is_array() => {
            Answer::events(reply.as_array().unwrap())
        }
        CHAT => Answer::json(&reply),
        _ => Answer::status(404, &json!({"error": "no such page"})),
    })
}

fn provider(server: &Server) -> ContextProvider {
    ContextProvider::new(endpoint(Protocol::Context, &server.url, "local-7b")).unwrap()
}

#[tokio::test]
async fn a_server_says_what_it_is() {
    let server = server(Value::Null, Value::Null);
    let facts = provider(&server).describe().await.unwrap();
    assert_eq!(facts.reported_name, "local-7b");
    assert_eq!(facts.context_tokens, 8192);
    assert_eq!(facts.engine_build, "1.4.2");
    assert_eq!(
        facts.wires,
        [Wire::RawText, Wire::Chat, Wire::ChatWithTools]
    );
    let other = endpoint(Protocol::Context, &server.url, "local-8b");
    let error = ContextProvider::new(other)
        .unwrap()
        .describe()
        .await
        .unwrap_err();
    assert!(error.to_string().contains("it has: local-7b"), "{error}");
}

#[tokio::test]
async fn without_chat_only_raw_text_is_offered() {
    let told = shapes();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/info" => Answer::json(&told["info"]),
        "/generate" => Answer::json(&told["generate"][0]),
        _ => Answer::status(404, &json!({})),
    });
    let facts = provider(&server).describe().await.unwrap();
    assert_eq!(facts.wires, [Wire::RawText]);
}

#[tokio::test]
async fn every_shape_of_a_call_is_the_same_call() {
    let told = shapes();
    let mut replies: Vec<(String, Value)> = told["replies"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, reply)| (name.clone(), reply.clone()))
        .collect();
    assert_eq!(replies.len(), 5);
    replies.push(("streamed".to_owned(), told["stream"].clone()));
    for (name, reply) in replies {
        let server = server(reply, Value::Null);
        let reply = ask(&provider(&server), &question_with_tool())
            .await
            .unwrap();
        let (text, calls, _) = said(&reply);
        assert_eq!(text, "I look it up.", "{name}");
        assert_eq!(
            calls,
            [("get_weather".to_owned(), json!({"city": "Oslo"}))],
            "{name}"
        );
        assert_eq!(reply.stop_reason, StopReason::ToolCalls, "{name}");
        assert_eq!(
            (reply.usage.prompt_tokens, reply.usage.output_tokens),
            (30, 20),
            "{name}"
        );
        assert!(
            reply.payload.is_some() && reply.executed.is_empty(),
            "{name}"
        );
        assert_eq!(
            server.last(CHAT).body["tools"],
            json!(["get_weather"]),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_fence_is_left_to_the_dialect_where_no_tools_were_offered() {
    let told = shapes();
    let server = server(told["replies"]["fence"].clone(), Value::Null);
    let reply = ask(&provider(&server), &question()).await.unwrap();
    assert!(
        reply.text.contains("```tool") && reply.calls.is_empty(),
        "{}",
        reply.text
    );
    assert!(server.last(CHAT).body.get("tools").is_none());
}

#[tokio::test]
async fn calls_go_back_as_name_and_parameters_and_unknown_tools_as_definitions() {
    let told = shapes();
    let server = server(told["replies"]["fence"].clone(), Value::Null);
    let alarm = ToolDefinition {
        name: "set_alarm".to_owned(),
        ..weather_tool()
    };
    let request = chat(conversation(), vec![weather_tool(), alarm]);
    ask(&provider(&server), &request).await.unwrap();
    let body = server.last(CHAT).body;
    assert_eq!(body["tools"][0], "get_weather");
    assert_eq!(body["tools"][1]["parameters"][0]["name"], "city");
    assert_eq!(
        body["messages"][2]["tool_calls"][0],
        json!({"id": "call_1", "name": "get_weather", "parameters": {"city": "Oslo"}})
    );
    assert_eq!(body["messages"][3]["tool_call_id"], "call_1");
}

#[tokio::test]
async fn a_tool_with_other_parameters_is_not_taken_for_the_suites() {
    let told = shapes();
    let server = server(told["replies"]["fence"].clone(), Value::Null);
    let mut tool = weather_tool();
    tool.input_schema = json!({"type": "object", "properties": {"place": {"type": "string"}}});
    let request = chat(conversation(), vec![tool]);
    let error = ask(&provider(&server), &request).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Rejected { detail } if detail.contains("other parameters")),
        "{error}"
    );
}

#[tokio::test]
async fn tools_that_the_server_ran_come_with_their_results() {
    let told = shapes();
    for (name, reply) in told["executed"].as_object().unwrap() {
        let server = server(reply.clone(), Value::Null);
        let reply = ask(&provider(&server), &question_with_tool())
            .await
            .unwrap();
        assert_eq!(reply.calls.len(), 1, "{name}");
        assert_eq!(reply.calls[0].arguments, json!({"city": "Oslo"}), "{name}");
        assert_eq!(reply.executed.len(), 1, "{name}");
        assert_eq!(reply.executed[0].content, "rain", "{name}");
        assert_eq!(reply.text, "It rains in Oslo.", "{name}");
    }
}

#[tokio::test]
async fn raw_text_is_read_from_every_form_of_generate() {
    let told = shapes();
    for form in list(&told, "generate") {
        let server = server(Value::Null, form.clone());
        let request = GenerateRequest {
            prompt: Prompt::Text {
                prefix: "PRO".to_owned(),
                rest: "MPT".to_owned(),
            },
            ..question()
        };
        let reply = ask(&provider(&server), &request).await.unwrap();
        assert_eq!(reply.text, "Rain.", "{form}");
        assert_eq!(server.last("/generate").body["prompt"], "PROMPT");
    }
    // The other form of a request, once the server asks for it.
    let missing = told["missing_inputs"].clone();
    let answer = told["generate"][1].clone();
    let info = told["info"].clone();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/info" => Answer::json(&info),
        "/generate" if seen.body.get("inputs").is_none() => Answer::status(422, &missing),
        "/generate" => Answer::json(&answer),
        _ => Answer::status(404, &json!({})),
    });
    let request = GenerateRequest {
        prompt: Prompt::Text {
            prefix: String::new(),
            rest: "PROMPT".to_owned(),
        },
        ..question()
    };
    let reply = ask(&provider(&server), &request).await.unwrap();
    assert_eq!(
        (reply.text.as_str(), reply.usage.output_tokens),
        ("Rain.", 2)
    );
    let body = server.last("/generate").body;
    assert_eq!(body["inputs"], "PROMPT");
    assert_eq!(body["parameters"]["max_new_tokens"], 64);
    assert_eq!(body["parameters"]["do_sample"], false);
}

/// The whole way: the call is on record as run by the server, the mock is not asked, the answer counts.
#[test]
fn what_the_server_ran_is_recorded_so_and_not_run_again() {
    let reply = json!({"choices": [{"message": {"role": "assistant", "content": "It is noon.",
        "tool_calls": [{"name": "get_time", "parameters": {"zone": "UTC"}, "result": "12:00 by the server"}]},
        "finish_reason": "stop"}]});
    let told = shapes();
    let server = Server::start(move |seen| match seen.path.as_str() {
        "/info" => Answer::json(&json!({"model": "local-7b", "tools": ["get_time"]})),
        "/v1/models" => Answer::json(&told["models"]),
        CHAT => Answer::json(&reply),
        _ => Answer::status(404, &json!({})),
    });
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    let name = format!("context-server:local-7b@{}", server.url);
    context.expect(
        0,
        &[
            "run",
            &name,
            "--suite",
            "tiny.yaml",
            "--case",
            "t-time",
            "--dialect",
            "native",
            "--constraint",
            "off",
        ],
    );
    let run = context.only_run();
    let trial = &json_lines(&run.join("trials.jsonl"))[0];
    assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
    assert_eq!(trial["calls"][0]["by_server"], true);
    assert_eq!(trial["answer"], "It is noon.");
    let stored = std::fs::read_to_string(run.join("content.jsonl")).unwrap();
    assert!(stored.contains("12:00 by the server"));
    assert!(
        !stored.contains("It is noon in UTC"),
        "the mock was asked too"
    );
    let again = context.expect(
        0,
        &["rescore", &run.display().to_string(), "--format", "json"],
    );
    assert!(!again.is_empty());
}
