//! REST tool servers: `GET /v1/tools`, `POST /v1/tools/execute`, and what each answer is called.

use std::time::Duration;

use serde_json::{Value, json};
use toolbench::tools::connect::HostSpec;
use toolbench::types::host::HostAddress;
use toolbench::types::{Code, ToolCall};

use super::server::{Reply, Request, Server, tools};
use super::{call_once, host_of, look, spec, within_limit};

fn rest(server: &Server) -> HostSpec {
    spec(HostAddress::Rest {
        url: server.url(""),
    })
}

/// A server that lists its tools and answers calls in one way.
fn server(call: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| match (&*request.method, &*request.path) {
        ("GET", "/v1/tools") => Reply::json(200, &json!({"tools": tools()})),
        ("POST", "/v1/tools/execute") => call(request),
        _ => Reply::empty(404),
    })
}

#[test]
fn tools_are_listed_and_called_over_one_connection() {
    within_limit(async {
        let server = server(|request| {
            let body = request.json();
            assert_eq!(body["tool"], "look");
            Reply::json(
                200,
                &json!({"result": {"seen": body["parameters"]}, "error": null}),
            )
        });
        let host = host_of(&rest(&server));
        let names: Vec<String> = host
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|tool| tool.name)
            .collect();
        assert_eq!(names, ["look"]);
        let mut session = host.open(None).await.unwrap();
        for _ in 0..20 {
            let result = session.call(&look()).await.unwrap();
            assert_eq!(result.content, r#"{"seen":{"zebra":"z","apple":1}}"#);
            assert_eq!(result.structured.unwrap()["seen"]["apple"], 1);
        }
        let erase = session
            .call(&ToolCall::new("erase", json!({})))
            .await
            .unwrap();
        assert!(erase.is_error && erase.content.contains("not allowed"));
        host.health().await.unwrap();
        assert_eq!(server.connections(), 1);
    });
}

#[test]
fn what_the_tool_refuses_is_a_result_that_keeps_its_words() {
    let error =
        json!({"message": "no such city", "type": "invalid_request", "param": "city", "code": 17});
    let cases: Vec<(&str, u16, Value)> = vec![
        ("400", 400, json!({"error": error})),
        ("400 at the top", 400, error.clone()),
        ("404", 404, json!({"error": error})),
        ("422", 422, json!({"detail": error})),
        (
            "error in a 200",
            200,
            json!({"result": null, "error": error}),
        ),
    ];
    within_limit(async move {
        for (name, status, body) in cases {
            let server = server(move |_| Reply::json(status, &body));
            let result = call_once(&rest(&server)).await.expect(name);
            assert!(result.is_error && !result.scripted_error, "{name}");
            assert_eq!(
                result.content, "no such city (type: invalid_request, param: city, code: 17)",
                "{name}"
            );
            assert_eq!(result.structured, Some(error.clone()), "{name}");
        }
        let server = server(|_| Reply::json(200, &json!({"error": "broken", "result": null})));
        assert_eq!(call_once(&rest(&server)).await.unwrap().content, "broken");
    });
}

#[test]
fn what_the_server_does_wrong_has_its_code() {
    type Call = Box<dyn Fn(&Request) -> Reply + Send + Sync>;
    let json_body =
        |status: u16, body: Value| -> Call { Box::new(move |_| Reply::json(status, &body)) };
    let error = json!({"error": {"message": "db down", "type": "server_error", "code": "E7", "param": null}});
    let cases: Vec<(&str, Call, Code, &str)> = vec![
        (
            "500",
            json_body(500, error),
            Code::ToolErrorEnv,
            "db down (type: server_error, code: E7)",
        ),
        (
            "502",
            Box::new(|_| Reply::text(502, "bad gateway")),
            Code::ToolErrorEnv,
            "502 Bad Gateway: bad gateway",
        ),
        (
            "504",
            Box::new(|_| Reply::empty(504)),
            Code::ToolTimeout,
            "504",
        ),
        (
            "401",
            Box::new(|_| Reply::empty(401)),
            Code::ToolErrorEnv,
            "--bearer-env",
        ),
        (
            "429",
            Box::new(|_| Reply::empty(429)),
            Code::ToolErrorEnv,
            "429 Too Many Requests",
        ),
        (
            "404 of nobody",
            Box::new(|_| Reply::text(404, "nginx")),
            Code::ToolErrorEnv,
            "404 Not Found: nginx",
        ),
        (
            "no json",
            Box::new(|_| Reply::text(200, "hello")),
            Code::McpProtocolError,
            "no JSON object: hello",
        ),
        (
            "a list",
            json_body(200, json!([1])),
            Code::McpProtocolError,
            "no JSON object: [1]",
        ),
        (
            "neither",
            json_body(200, json!({"ok": 1})),
            Code::McpProtocolError,
            "neither `result` nor `error`",
        ),
        (
            "reset",
            Box::new(|_| Reply::Raw(Vec::new())),
            Code::ToolErrorEnv,
            "error sending request",
        ),
        (
            "truncated",
            Box::new(|_| Reply::Raw("HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\n{".into())),
            Code::McpProtocolError,
            "breaks off",
        ),
        (
            "16 MiB",
            Box::new(|_| Reply::json(200, &json!({"result": "x".repeat(16 << 20)}))),
            Code::McpProtocolError,
            "over the limit",
        ),
        (
            "silence",
            Box::new(|_| Reply::Hang),
            Code::ToolTimeout,
            "no answer within",
        ),
    ];
    within_limit(async move {
        for (name, call, code, needle) in cases {
            let server = server(call);
            let mut spec = rest(&server);
            if name == "silence" {
                spec.call_limit = Duration::from_millis(300);
            }
            let error = call_once(&spec).await.expect_err(name);
            assert_eq!(error.code, code, "{name}: {error}");
            assert!(error.message.contains(needle), "{name}: {needle}: {error}");
        }
        for (name, reply, code) in [
            ("no list", json!({"x": 1}), Code::McpProtocolError),
            ("text", json!("x"), Code::McpProtocolError),
        ] {
            let server = Server::start(move |_| Reply::json(200, &reply));
            let error = host_of(&rest(&server)).list().await.unwrap_err();
            assert_eq!(error.code, code, "{name}: {error}");
        }
    });
}
