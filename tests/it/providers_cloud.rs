//! Anthropic and Gemini over real HTTP, against documented shapes.

use serde_json::{Value, json};
use toolbench::model::Provider;
use toolbench::model::anthropic::AnthropicProvider;
use toolbench::model::gemini::GeminiProvider;
use toolbench::types::endpoint::Protocol;
use toolbench::types::{
    ConstraintText, GenerateRequest, Message, ProviderError, Role, StopReason, ToolChoice, Wire,
};

use crate::providers::*;

const MESSAGES: &str = "/v1/messages";
const WHOLE: &str = "/v1beta/models/gemini-test-1:generateContent";
const STREAM: &str = "/v1beta/models/gemini-test-1:streamGenerateContent?alt=sse";

fn anthropic(server: &Server) -> AnthropicProvider {
    let endpoint = endpoint(Protocol::Anthropic, &server.url, "claude-test-1");
    AnthropicProvider::new(&endpoint).unwrap()
}

fn gemini(server: &Server) -> GeminiProvider {
    let endpoint = endpoint(Protocol::Gemini, &server.url, "gemini-test-1");
    GeminiProvider::new(endpoint).unwrap()
}

fn anthropic_server() -> Server {
    let told = fixture("anthropic.json");
    Server::start(move |seen| {
        if seen.path.starts_with("/v1/models/") {
            return Answer::json(&told["model"]);
        }
        if seen.body["stream"] == true {
            Answer::events(list(&told, "stream"))
        } else {
            Answer::json(&told["whole"])
        }
    })
}

fn gemini_server() -> Server {
    let told = fixture("gemini.json");
    Server::start(move |seen| match seen.path.as_str() {
        STREAM => Answer::events(list(&told, "stream")),
        WHOLE => Answer::json(&told["whole"]),
        _ => Answer::json(&told["model"]),
    })
}

fn with_choice(choice: ToolChoice, constraint: Option<ConstraintText>) -> GenerateRequest {
    let mut request = question_with_tool();
    if let toolbench::types::Prompt::Chat { tool_choice, .. } = &mut request.prompt {
        *tool_choice = choice;
    }
    GenerateRequest {
        constraint,
        ..request
    }
}

fn seen_call() -> (String, Vec<(String, Value)>, Option<String>) {
    (
        "I look it up.".to_owned(),
        vec![("get_weather".to_owned(), json!({"city": "Oslo"}))],
        Some("They ask for weather.".to_owned()),
    )
}

#[tokio::test]
async fn anthropic_says_the_same_streamed_and_whole() {
    let server = anthropic_server();
    let provider = anthropic(&server);
    let facts = provider.describe().await.unwrap();
    assert_eq!(facts.context_tokens, 200_000);
    assert!(!facts.wires.contains(&Wire::RawText));
    for request in [question_with_tool(), whole(question_with_tool())] {
        let streamed = request.stream;
        let reply = ask(&provider, &request).await.unwrap();
        assert_eq!(said(&reply), seen_call());
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        assert_eq!(reply.calls[0].id.as_deref(), Some("toolu_01"));
        assert_eq!(reply.usage.prompt_tokens, 420);
        assert_eq!(reply.usage.cached_tokens, 300);
        assert_eq!(reply.usage.computed_tokens, 120);
        assert_eq!(reply.usage.output_tokens, 65);
        assert_eq!(reply.timing.first_token_ms.is_some(), streamed);
        assert!(reply.payload.unwrap().contains("toolu_01"));
    }
    // Every trial asks what it is; the service is asked once.
    provider.describe().await.unwrap();
    assert_eq!(server.seen("/v1/models/claude-test-1").len(), 1);
}

#[tokio::test]
async fn anthropic_gets_system_tools_and_results_in_its_own_form() {
    let server = anthropic_server();
    let provider = anthropic(&server);
    let request = chat(conversation(), vec![weather_tool()]);
    ask(&provider, &request).await.unwrap();
    let seen = server.last(MESSAGES);
    assert_eq!(seen.headers["anthropic-version"], "2023-06-01");
    assert_eq!(seen.headers["x-api-key"], "planted-key");
    let body = seen.body;
    assert_eq!(body["system"], "Be brief.");
    assert_eq!(body["max_tokens"], 64);
    assert_eq!(body["stop_sequences"], json!(["STOP"]));
    assert_eq!(body["tool_choice"], json!({"type": "auto"}));
    assert_eq!(
        body["tools"][0]["input_schema"]["required"],
        json!(["city"])
    );
    assert!(body["tools"][0].get("strict").is_none());
    assert_eq!(
        body["messages"][1]["content"][0],
        json!({"type": "tool_use", "id": "call_1", "name": "get_weather", "input": {"city": "Oslo"}})
    );
    assert_eq!(
        body["messages"][2],
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "rain"}]})
    );
}

#[tokio::test]
async fn anthropic_gets_signed_thoughts_back_before_their_call() {
    let server = anthropic_server();
    let provider = anthropic(&server);
    let reply = ask(&provider, &question_with_tool()).await.unwrap();
    let call = reply.calls[0].clone();
    let messages = vec![
        Message::text(Role::User, "Weather in Oslo?"),
        Message::assistant_calls("", vec![call.clone()]),
        Message::tool_result(&call, "rain"),
    ];
    ask(&provider, &chat(messages, vec![weather_tool()]))
        .await
        .unwrap();
    let content = server.last(MESSAGES).body["messages"][1]["content"].clone();
    assert_eq!(
        content[0],
        json!({"type": "thinking", "thinking": "They ask for weather.", "signature": "c2lnbmVk"})
    );
    assert_eq!(content[1]["id"], "toolu_01");
}

#[tokio::test]
async fn anthropic_is_held_by_strict_tools_and_by_a_schema() {
    let server = anthropic_server();
    let provider = anthropic(&server);
    let strict = with_choice(ToolChoice::Required, Some(ConstraintText::StrictTools));
    assert!(ask(&provider, &strict).await.unwrap().constrained);
    let body = server.last(MESSAGES).body;
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(body["tools"][0]["strict"], true);
    let schema = json!({"type": "object"});
    let held = GenerateRequest {
        constraint: Some(ConstraintText::JsonSchema(schema.clone())),
        ..question()
    };
    ask(&provider, &held).await.unwrap();
    assert_eq!(
        server.last(MESSAGES).body["output_config"]["format"],
        json!({"type": "json_schema", "schema": schema})
    );
    let grammar = GenerateRequest {
        constraint: Some(ConstraintText::Gbnf("root ::= \"a\"".to_owned())),
        ..question()
    };
    let refused = ask(&provider, &grammar).await.unwrap_err();
    assert!(
        matches!(refused, ProviderError::GrammarRejected { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn anthropics_stop_reasons_each_mean_something() {
    let told = fixture("anthropic.json");
    for pair in list(&told, "stop_reasons") {
        let mut body = told["whole"].clone();
        body["stop_reason"] = pair[0].clone();
        let server = Server::start(move |_| Answer::json(&body));
        let reply = ask(&anthropic(&server), &whole(question())).await.unwrap();
        assert_eq!(
            serde_json::to_value(reply.stop_reason).unwrap(),
            pair[1],
            "{pair}"
        );
    }
}

#[tokio::test]
async fn anthropics_failures_are_nobodys_answers() {
    let told = fixture("anthropic.json");
    let fails = |status: u16, key: &'static str| {
        let body = told[key].clone();
        Server::start(move |_| Answer::status(status, &body))
    };
    let server = fails(529, "overloaded");
    let error = ask(&anthropic(&server), &question()).await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Server { detail } if detail.contains("Overloaded")),
        "{error}"
    );
    assert_eq!(
        server.seen(MESSAGES).len(),
        2,
        "an overload is worth one more try"
    );
    let server = fails(401, "unauthorised");
    let error = anthropic(&server).describe().await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Unauthorised { detail } if detail.contains("TEST_KEY")),
        "{error}"
    );
    assert!(!format!("{error:?}").contains("planted-key"));
    let server = fails(404, "unknown_model");
    let error = anthropic(&server).describe().await.unwrap_err();
    assert!(matches!(error, ProviderError::Rejected { .. }), "{error}");
    // An overload in mid-stream, and a stream that ends before its end.
    let events = list(&told, "stream")[..4].to_vec();
    let mut overloaded = events.clone();
    overloaded.push(told["overloaded"].clone());
    let server = Server::start(move |_| Answer::events(&overloaded));
    let error = ask(&anthropic(&server), &question()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Server { .. }), "{error}");
    let server = Server::start(move |_| Answer::events(&events));
    let error = ask(&anthropic(&server), &question()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Server { .. }), "{error}");
    let cut = list(&told, "stream")[..6].to_vec();
    let server = Server::start(move |_| Answer::events(&cut).cut());
    let error = ask(&anthropic(&server), &question()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Network { .. }), "{error}");
}

#[tokio::test]
async fn a_sampling_setting_that_a_service_lacks_is_refused_not_left_out() {
    let mut request = question();
    request.sampling.temperature = 0.7;
    request.sampling.min_p = 0.1;
    let server = anthropic_server();
    let error = ask(&anthropic(&server), &request).await.unwrap_err();
    assert!(error.to_string().contains("--min-p"), "{error}");
    let server = gemini_server();
    let error = ask(&gemini(&server), &request).await.unwrap_err();
    assert!(error.to_string().contains("--min-p"), "{error}");
}

#[tokio::test]
async fn gemini_says_the_same_streamed_and_whole() {
    let server = gemini_server();
    let provider = gemini(&server);
    let facts = provider.describe().await.unwrap();
    assert_eq!(facts.context_tokens, 1_048_576);
    for request in [question_with_tool(), whole(question_with_tool())] {
        let reply = ask(&provider, &request).await.unwrap();
        assert_eq!(said(&reply), seen_call());
        assert_eq!(reply.stop_reason, StopReason::ToolCalls);
        assert_eq!(reply.usage.prompt_tokens, 120);
        assert_eq!(reply.usage.cached_tokens, 100);
        assert_eq!(reply.usage.output_tokens, 55);
        assert_eq!(reply.usage.reasoning_tokens, 40);
    }
}

#[tokio::test]
async fn gemini_gets_declarations_modes_and_signatures_in_its_own_form() {
    let server = gemini_server();
    let provider = gemini(&server);
    let strict = with_choice(ToolChoice::Auto, Some(ConstraintText::StrictTools));
    let reply = ask(&provider, &strict).await.unwrap();
    let body = server.last(STREAM).body;
    assert_eq!(
        body["toolConfig"]["functionCallingConfig"]["mode"],
        "VALIDATED"
    );
    let declared = &body["tools"][0]["functionDeclarations"][0];
    assert_eq!(
        declared["parametersJsonSchema"]["required"],
        json!(["city"])
    );
    assert_eq!(body["generationConfig"]["maxOutputTokens"], 64);
    assert_eq!(
        body["generationConfig"]["seed"],
        ((1_u64 << 40) + 7) % (1 << 31)
    );
    for (choice, mode) in [
        (ToolChoice::Required, "ANY"),
        (ToolChoice::None, "NONE"),
        (ToolChoice::Auto, "AUTO"),
    ] {
        ask(&provider, &with_choice(choice, None)).await.unwrap();
        let body = server.last(STREAM).body;
        assert_eq!(body["toolConfig"]["functionCallingConfig"]["mode"], mode);
    }
    // What came with the call goes back with it.
    let call = reply.calls[0].clone();
    let messages = vec![
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "Weather in Oslo?"),
        Message::assistant_calls("", vec![call.clone()]),
        Message::tool_result(&call, "rain"),
    ];
    ask(&provider, &chat(messages, vec![weather_tool()]))
        .await
        .unwrap();
    let body = server.last(STREAM).body;
    assert_eq!(body["systemInstruction"]["parts"][0]["text"], "Be brief.");
    assert_eq!(
        body["contents"][1]["parts"][0],
        json!({"functionCall": {"id": "fc-1", "name": "get_weather", "args": {"city": "Oslo"}}, "thoughtSignature": "c2lnbmVk"})
    );
    assert_eq!(
        body["contents"][2],
        json!({"role": "user", "parts": [{"functionResponse": {"id": "fc-1", "name": "get_weather", "response": {"result": "rain"}}}]})
    );
    let held = GenerateRequest {
        constraint: Some(ConstraintText::JsonSchema(json!({"type": "object"}))),
        ..question()
    };
    ask(&provider, &held).await.unwrap();
    let config = server.last(STREAM).body["generationConfig"].clone();
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseJsonSchema"], json!({"type": "object"}));
}

#[tokio::test]
async fn gemini_takes_written_calls_once_they_are_marked_as_such() {
    let told = fixture("gemini.json");
    let server = Server::start(move |seen| {
        let marked = seen.body["contents"][1]["parts"][0]["thoughtSignature"].is_string();
        if marked {
            Answer::json(&told["whole"])
        } else {
            Answer::status(400, &told["unsigned"])
        }
    });
    let request = whole(chat(conversation(), vec![weather_tool()]));
    ask(&gemini(&server), &request).await.unwrap();
    assert_eq!(server.seen(WHOLE).len(), 2);
}

#[tokio::test]
async fn geminis_failures_are_told_apart() {
    let told = fixture("gemini.json");
    let answers = |status: u16, key: &'static str| {
        let body = told[key].clone();
        Server::start(move |_| Answer::status(status, &body))
    };
    let server = answers(200, "malformed_call");
    let reply = ask(&gemini(&server), &whole(question_with_tool()))
        .await
        .unwrap();
    assert!(
        reply.text.contains("get_weather(city="),
        "the model's own slip stays its reply"
    );
    assert!(reply.calls.is_empty());
    for key in ["safety", "blocked"] {
        let server = answers(200, key);
        let error = ask(&gemini(&server), &whole(question())).await.unwrap_err();
        assert!(
            matches!(&error, ProviderError::Rejected { detail } if detail.contains("filter")),
            "{error}"
        );
    }
    let server = answers(400, "wrong_key");
    let error = gemini(&server).describe().await.unwrap_err();
    assert!(
        matches!(&error, ProviderError::Unauthorised { detail } if detail.contains("TEST_KEY")),
        "{error}"
    );
    let server = answers(429, "exhausted");
    let error = ask(&gemini(&server), &question()).await.unwrap_err();
    assert!(
        matches!(error, ProviderError::RateLimited { .. }),
        "{error}"
    );
    let cut = list(&told, "stream")[..3].to_vec();
    let server = Server::start(move |_| Answer::events(&cut));
    let error = ask(&gemini(&server), &question()).await.unwrap_err();
    assert!(matches!(error, ProviderError::Server { .. }), "{error}");
}

/// With a key in the environment the same questions go to the real services; this never gates.
#[tokio::test]
async fn live_services_answer_where_there_is_a_key() {
    use toolbench::types::endpoint::Endpoint;
    use toolbench::types::secret::Secret;
    let key = |name: &str| std::env::var(name).ok().filter(|key| !key.is_empty());
    let of = |protocol, url, model: String, header: &str, key: String| Endpoint {
        headers: vec![(header.to_owned(), Secret::new(key))],
        remote: true,
        ..endpoint(protocol, url, &model)
    };
    let mut providers: Vec<Box<dyn Provider>> = Vec::new();
    if let (Some(found), Some(model)) = (
        key("ANTHROPIC_API_KEY"),
        key("TOOLBENCH_TEST_ANTHROPIC_MODEL"),
    ) {
        let url = "https://api.anthropic.com";
        let endpoint = of(Protocol::Anthropic, url, model, "x-api-key", found);
        providers.push(Box::new(AnthropicProvider::new(&endpoint).unwrap()));
    }
    if let (Some(found), Some(model)) = (key("GEMINI_API_KEY"), key("TOOLBENCH_TEST_GEMINI_MODEL"))
    {
        let url = "https://generativelanguage.googleapis.com";
        let endpoint = of(Protocol::Gemini, url, model, "x-goog-api-key", found);
        providers.push(Box::new(GeminiProvider::new(endpoint).unwrap()));
    }
    for provider in &providers {
        let request = GenerateRequest {
            stop: Vec::new(),
            max_tokens: 512,
            time_limit_ms: 60_000,
            ..with_choice(ToolChoice::Required, None)
        };
        match ask(&**provider, &request).await {
            Ok(reply) => eprintln!("live: {:?}", said(&reply)),
            Err(error) => eprintln!("live: {error}"),
        }
    }
}
