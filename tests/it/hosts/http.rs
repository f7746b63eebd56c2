//! Streamable HTTP: what works, one connection for all calls, and every fault by its code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use toolbench::tools::connect::HostSpec;
use toolbench::types::host::{
    ElicitationAction, ElicitationAnswer, HostAddress, HostNoteKind, Protocol,
};
use toolbench::types::secret::Secret;
use toolbench::types::{Code, ToolCall};

use super::server::{PAUSE, Reply, Request, Server, event, mcp_answer, mcp_reply};
use super::{call_once, host_of, look, spec, within_limit};

fn http(server: &Server) -> HostSpec {
    spec(HostAddress::Http {
        url: server.url("/mcp"),
    })
}

/// How a server answers a call.
type Call = Box<dyn Fn(&Request) -> Reply + Send + Sync>;

/// A server that is faultless but for `tools/call`.
fn faulty(call: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        if request.json()["method"] == "tools/call" {
            call(request)
        } else {
            mcp_reply(request)
        }
    })
}

#[test]
fn calls_share_one_connection_and_carry_their_headers() {
    within_limit(async {
        let server = Server::start(|request| {
            if request.header("authorization") == Some("Bearer s3cret") {
                mcp_reply(request)
            } else {
                Reply::empty(401)
            }
        });
        let mut spec = http(&server);
        spec.authentication.known_headers =
            vec![("Authorization".to_owned(), Secret::new("Bearer s3cret"))];
        let host = host_of(&spec);
        let facts = host.facts().await.unwrap();
        assert_eq!(facts.identity.as_deref(), Some("small 1.0"));
        assert_eq!(facts.protocol.as_deref(), Some("2025-11-25"));
        // Key order is part of a prompt; what is destructive is listed and not offered.
        let schema = facts.tools[0].definition.input_schema.to_string();
        assert!(schema.find("zebra") < schema.find("apple"), "{schema}");
        assert!(facts.tools[1].refused.is_some());
        let mut session = host.open(None).await.unwrap();
        for _ in 0..50 {
            let result = session.call(&look()).await.unwrap();
            assert_eq!(result.content, r#"{"zebra":"z","apple":1}"#);
        }
        drop(session);
        host.close().await;
        // One for calls; a second may carry what goes on beside them (listening, notifications).
        assert!(server.connections() <= 2, "{}", server.connections());
        assert!(server.requests().len() > 50);
        assert!(!format!("{spec:?}").contains("s3cret"));
    });
}

#[test]
fn each_fault_ends_in_its_own_code() {
    let answer = |id: &Value, more: Value| {
        let mut message = json!({"jsonrpc": "2.0", "id": id});
        for (key, value) in more.as_object().unwrap() {
            message[key] = value.clone();
        }
        message
    };
    let with_id = move |more: Value| -> Call {
        Box::new(move |request| Reply::json(200, &answer(&request.json()["id"], more.clone())))
    };
    let whole = |status: u16, headers: Vec<(&'static str, String)>, body: &'static str| -> Call {
        Box::new(move |_| Reply::Whole(status, headers.clone(), body.as_bytes().to_vec()))
    };
    let raw = |bytes: &'static str| -> Call { Box::new(move |_| Reply::Raw(bytes.into())) };
    let events = |list: Vec<String>| -> Call {
        Box::new(move |_| Reply::Events(list.clone(), Duration::ZERO))
    };
    let kind = |kind: &str| vec![("content-type", kind.to_owned())];
    let ok = json!({"content": []});
    let cases: Vec<(&str, Call, Code, &str)> = vec![
        (
            "401",
            whole(401, vec![], ""),
            Code::ToolErrorEnv,
            "--bearer-env",
        ),
        (
            "403",
            whole(403, vec![], "no"),
            Code::ToolErrorEnv,
            "403 Forbidden",
        ),
        (
            "404",
            whole(404, vec![], "gone"),
            Code::ToolErrorEnv,
            "404 Not Found: gone",
        ),
        (
            "429",
            whole(429, vec![("retry-after", "7".to_owned())], ""),
            Code::ToolErrorEnv,
            "wait 7 s",
        ),
        (
            "500",
            whole(500, kind("text/plain"), "oh"),
            Code::ToolErrorEnv,
            "500 Internal Server Error: oh",
        ),
        (
            "redirect",
            whole(302, vec![("location", "http://x/?k=secret".to_owned())], ""),
            Code::ToolErrorEnv,
            "302 Found to http://x/;",
        ),
        (
            "rpc error",
            with_id(json!({"error": {"code": -32603, "message": "disk full"}})),
            Code::ToolErrorEnv,
            "disk full",
        ),
        ("reset", raw(""), Code::ToolErrorEnv, "cannot be reached"),
        (
            "truncated",
            raw("HTTP/1.1 200 X\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"),
            Code::McpProtocolError,
            "breaks off",
        ),
        (
            "garbage",
            raw("SSH-2.0-x\r\n\r\n"),
            Code::ToolErrorEnv,
            "cannot be reached",
        ),
        (
            "html",
            whole(200, kind("text/html"), "<html>login"),
            Code::McpProtocolError,
            "`text/html` (HTTP 200 OK): <html>login",
        ),
        (
            "no json",
            whole(200, kind("application/json"), "Traceback"),
            Code::McpProtocolError,
            "not a JSON object: Traceback",
        ),
        (
            "empty",
            whole(200, kind("application/json"), ""),
            Code::McpProtocolError,
            "not a JSON object",
        ),
        (
            "wrong id",
            whole(
                200,
                kind("application/json"),
                r#"{"jsonrpc":"2.0","id":999,"result":{}}"#,
            ),
            Code::McpProtocolError,
            "id that was not asked",
        ),
        (
            "no result",
            with_id(json!({})),
            Code::McpProtocolError,
            "neither result nor error",
        ),
        (
            "both",
            with_id(json!({"result": ok, "error": {"code": 1, "message": ""}})),
            Code::McpProtocolError,
            "both result and error",
        ),
        (
            "bad result",
            with_id(json!({"result": {}})),
            Code::McpProtocolError,
            "wrong shape",
        ),
        (
            "events end",
            events(vec![]),
            Code::McpProtocolError,
            "ended before the answer",
        ),
        (
            "events cut",
            Box::new(|_| {
                Reply::Raw("HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n5\r\ndata:".into())
            }),
            Code::McpProtocolError,
            "breaks off",
        ),
        (
            "event no json",
            events(vec!["data: Traceback\n\n".to_owned()]),
            Code::McpProtocolError,
            "not a JSON object: Traceback",
        ),
        (
            "huge",
            Box::new(|_| Reply::text(200, "x")),
            Code::McpProtocolError,
            "`text/plain`",
        ),
    ];
    within_limit(async move {
        for (name, call, code, needle) in cases {
            let server = faulty(call);
            let error = call_once(&http(&server)).await.expect_err(name);
            assert_eq!(error.code, code, "{name}: {error}");
            assert!(error.message.contains(needle), "{name}: {needle}: {error}");
            assert!(!error.message.contains("secret"), "{name}: {error}");
        }
    });
}

#[test]
fn answers_may_come_as_events() {
    within_limit(async {
        let server = faulty(|request| {
            let answer = mcp_answer(&request.json()).unwrap();
            let log = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}});
            Reply::Events(
                vec![": hello\n\n".to_owned(), event(&log), event(&answer)],
                Duration::ZERO,
            )
        });
        let result = call_once(&http(&server)).await.unwrap();
        assert!(result.content.contains("zebra"));
    });
}

#[test]
fn a_16_mib_answer_is_over_the_limit_and_not_kept() {
    within_limit(async {
        let server = faulty(|request| {
            let text = "x".repeat(16 << 20);
            let result = json!({"content": [{"type": "text", "text": text}]});
            Reply::json(
                200,
                &json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": result}),
            )
        });
        let error = call_once(&http(&server)).await.unwrap_err();
        assert_eq!(error.code, Code::McpProtocolError);
        assert!(error.message.contains("over the limit"), "{error}");
        assert!(error.message.len() < 2000);
        let server = faulty(|request| {
            let text = "x".repeat(16 << 20);
            let result = json!({"content": [{"type": "text", "text": text}]});
            let answer = json!({"jsonrpc": "2.0", "id": request.json()["id"], "result": result});
            Reply::Events(vec![event(&answer)], Duration::ZERO)
        });
        let error = call_once(&http(&server)).await.unwrap_err();
        assert_eq!(error.code, Code::McpProtocolError);
        assert!(error.message.contains("over the limit"), "{error}");
    });
}

#[test]
fn silence_is_a_timeout_but_progress_is_not() {
    within_limit(async {
        let server = faulty(|_| Reply::Hang);
        let mut silent = http(&server);
        silent.call_limit = Duration::from_millis(300);
        let error = call_once(&silent).await.unwrap_err();
        assert_eq!(error.code, Code::ToolTimeout);

        // Each sign of progress gives the call its limit again.
        let server = faulty(|request| {
            let message = request.json();
            let token = &message["params"]["_meta"]["progressToken"];
            let progress = json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": token, "progress": 1}});
            std::thread::sleep(Duration::from_millis(200));
            let answer = mcp_answer(&message).unwrap();
            Reply::Events(
                vec![event(&progress), PAUSE.to_owned(), event(&answer)],
                Duration::ZERO,
            )
        });
        let mut slow = http(&server);
        slow.call_limit = Duration::from_millis(400);
        call_once(&slow).await.unwrap();

        let server = Server::start(|_| Reply::Hang);
        let mut mute = http(&server);
        mute.start_limit = Duration::from_millis(300);
        let error = host_of(&mute).list().await.unwrap_err();
        assert_eq!(error.code, Code::ToolTimeout, "{error}");
    });
}

#[test]
fn a_server_of_the_old_transport_is_named_as_such() {
    within_limit(async {
        let server = Server::start(|request| match request.method.as_str() {
            "GET" => Reply::Events(
                vec!["event: endpoint\ndata: /message?sessionId=1\n\n".to_owned()],
                Duration::from_secs(20),
            ),
            _ => Reply::text(404, "Cannot POST /sse"),
        });
        let error = host_of(&http(&server)).list().await.unwrap_err();
        assert_eq!(error.code, Code::ToolErrorEnv);
        assert!(error.message.contains("speaks only HTTP+SSE"), "{error}");
        // One that is merely missing is not.
        let server = Server::start(|_| Reply::text(404, "nothing here"));
        let error = host_of(&http(&server)).list().await.unwrap_err();
        assert!(
            error.message.contains("404 Not Found: nothing here"),
            "{error}"
        );
    });
}

#[test]
fn a_server_that_comes_back_is_used_again_and_the_trial_is_marked() {
    within_limit(async {
        let is_down = Arc::new(AtomicBool::new(false));
        let down = Arc::clone(&is_down);
        let server = Server::start(move |request| {
            if down.load(Ordering::SeqCst) {
                Reply::Raw(Vec::new())
            } else {
                mcp_reply(request)
            }
        });
        let host = host_of(&http(&server));
        let mut session = host.open(None).await.unwrap();
        session.call(&look()).await.unwrap();
        is_down.store(true, Ordering::SeqCst);
        assert_eq!(
            session.call(&look()).await.unwrap_err().code,
            Code::ToolErrorEnv
        );
        is_down.store(false, Ordering::SeqCst);
        let mut session = host.open(None).await.unwrap();
        session.call(&look()).await.unwrap();
        let notes = session.take_notes();
        assert!(
            notes
                .iter()
                .any(|note| note.kind == HostNoteKind::Restarted),
            "{notes:?}"
        );
        host.close().await;
    });
}

#[test]
fn an_expired_session_is_renewed() {
    within_limit(async {
        let sessions = Arc::new(AtomicUsize::new(0));
        let expired = Arc::new(AtomicBool::new(false));
        let (count, over) = (Arc::clone(&sessions), Arc::clone(&expired));
        let server = Server::start(move |request| {
            let message = request.json();
            if message["method"] == "initialize" {
                let id = count.fetch_add(1, Ordering::SeqCst) + 1;
                over.store(false, Ordering::SeqCst);
                let headers = vec![
                    ("content-type", "application/json".to_owned()),
                    ("mcp-session-id", id.to_string()),
                ];
                let body = mcp_answer(&message).unwrap().to_string();
                return Reply::Whole(200, headers, body.into_bytes());
            }
            let current = count.load(Ordering::SeqCst).to_string();
            if over.load(Ordering::SeqCst) || request.header("mcp-session-id") != Some(&current) {
                return Reply::text(404, "session not found");
            }
            mcp_reply(request)
        });
        let host = host_of(&http(&server));
        let mut session = host.open(None).await.unwrap();
        session.call(&look()).await.unwrap();
        expired.store(true, Ordering::SeqCst);
        session.call(&look()).await.unwrap();
        assert_eq!(sessions.load(Ordering::SeqCst), 2);
        host.close().await;
        let methods: Vec<String> = server
            .requests()
            .into_iter()
            .map(|request| request.method)
            .collect();
        assert_eq!(
            methods.last().map(String::as_str),
            Some("DELETE"),
            "{methods:?}"
        );
    });
}

#[test]
fn both_versions_of_the_protocol_are_spoken() {
    within_limit(async {
        let server = Server::start(stateless);
        for (protocol, expected) in [
            (Protocol::V2026_07_28, "2026-07-28"),
            (Protocol::Auto, "2026-07-28"),
        ] {
            let mut spec = http(&server);
            spec.protocol = protocol;
            let host = host_of(&spec);
            assert_eq!(
                host.facts().await.unwrap().protocol.as_deref(),
                Some(expected)
            );
            let mut session = host.open(None).await.unwrap();
            assert!(
                session
                    .call(&look())
                    .await
                    .unwrap()
                    .content
                    .contains("zebra")
            );
            host.health().await.unwrap();
            host.close().await;
        }
        assert!(
            server
                .requests()
                .iter()
                .all(|request| request.json()["method"] != "initialize")
        );
        let call = server
            .requests()
            .into_iter()
            .find(|request| request.json()["method"] == "tools/call")
            .unwrap();
        assert_eq!(call.header("mcp-protocol-version"), Some("2026-07-28"));
        assert_eq!(call.header("mcp-method"), Some("tools/call"));

        // An older server is spoken to in its own version where that was left open.
        let old = Server::start(|request| match request.json()["method"].as_str() {
            Some("server/discover") => Reply::text(400, "bad request"),
            _ => mcp_reply(request),
        });
        let mut spec = http(&old);
        spec.protocol = Protocol::Auto;
        let facts = host_of(&spec).facts().await.unwrap();
        assert_eq!(facts.protocol.as_deref(), Some("2025-11-25"));
        spec.protocol = Protocol::V2026_07_28;
        assert!(host_of(&spec).facts().await.is_err());
    });
}

#[test]
fn a_stateless_server_that_asks_back_is_answered_in_a_second_round() {
    within_limit(async {
        let server = Server::start(|request| {
            let message = request.json();
            if message["method"] != "tools/call" {
                return stateless(request);
            }
            let parameters = &message["params"];
            let result = if parameters["inputResponses"].is_null() {
                json!({"resultType": "input_required", "requestState": "s1", "inputRequests": {"q1": {
                    "method": "elicitation/create", "params": {"mode": "form", "message": "Which colour?",
                        "requestedSchema": {"type": "object", "properties": {"colour": {"type": "string"}}}}}}})
            } else {
                let heard = json!([parameters["inputResponses"], parameters["requestState"]]);
                json!({"resultType": "complete", "content": [{"type": "text", "text": heard.to_string()}]})
            };
            Reply::json(
                200,
                &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}),
            )
        });
        let mut spec = http(&server);
        spec.protocol = Protocol::V2026_07_28;
        let host = host_of(&spec);
        let mut session = host.open(None).await.unwrap();
        let result = session.call(&look()).await.unwrap();
        assert_eq!(result.content, r#"[{"q1":{"action":"decline"}},"s1"]"#);
        session.answer_elicitations(&[ElicitationAnswer {
            asks: Some("colour".to_owned()),
            action: ElicitationAction::Accept,
            content: Some(json!({"colour": "red"})),
        }]);
        let result = session.call(&look()).await.unwrap();
        assert!(
            result.content.contains(r#""content":{"colour":"red"}"#),
            "{}",
            result.content
        );
        let kinds: Vec<_> = session
            .take_notes()
            .into_iter()
            .map(|note| note.kind)
            .collect();
        assert_eq!(
            kinds,
            [HostNoteKind::Elicitation, HostNoteKind::Elicitation]
        );
        host.close().await;
    });
}

#[test]
fn a_structured_result_is_held_to_its_own_schema() {
    within_limit(async {
        let server = Server::start(|request| {
            let message = request.json();
            let result = match message["method"].as_str() {
                Some("tools/list") => {
                    let mut tool = super::server::tools()[0].clone();
                    tool["outputSchema"] = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
                    json!({"tools": [tool]})
                }
                Some("tools/call") => json!({"content": [{"type": "text", "text": "x"}],
                    "structuredContent": {"n": message["params"]["arguments"]["apple"]}}),
                _ => return mcp_reply(request),
            };
            Reply::json(
                200,
                &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}),
            )
        });
        let host = host_of(&http(&server));
        let mut session = host.open(None).await.unwrap();
        session.call(&look()).await.unwrap();
        assert_eq!(session.take_notes(), []);
        let text = ToolCall::new("look", json!({"apple": "one"}));
        let result = session.call(&text).await.unwrap();
        // It hurts no call, and is told.
        assert_eq!(result.structured, Some(json!({"n": "one"})));
        let notes = session.take_notes();
        assert_eq!(notes[0].kind, HostNoteKind::BadStructure);
        assert!(notes[0].detail.contains("/n"), "{notes:?}");
        host.close().await;
    });
}

/// A faultless server of 2026-07-28.
fn stateless(request: &Request) -> Reply {
    let message = request.json();
    let Some(mut answer) = mcp_answer(&message) else {
        return Reply::empty(202);
    };
    if message["method"] == "server/discover" {
        answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": {
            "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "small", "version": "2.0"}}}});
    }
    let result = &mut answer["result"];
    result["resultType"] = "complete".into();
    result["ttlMs"] = 0.into();
    result["cacheScope"] = "private".into();
    Reply::json(200, &answer)
}
