//! Faults of a model's server, over two wires: each ends in its own code, and none is ever the model's.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::endpoint_server::call;
use crate::support::endpoint_server::{EndpointServer, Reply, Request, head};
use crate::support::{Context, TINY_SUITE, json_lines, stderr};

/// Limit of an attempt in the matrix, in seconds.
pub const LIMIT_S: u64 = 4;

/// Which page is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wire {
    Tools,
    Raw,
}

/// A fault and the code that it must end in (or `passed`).
const FAULTS: [(&str, &str); 29] = [
    ("unauthorised", "request_rejected"),
    ("forbidden", "request_rejected"),
    ("unknown-model", "request_rejected"),
    ("bad-request", "request_rejected"),
    ("redirect-loop", "network"),
    ("rate-limited", "rate_limited"),
    ("rate-limited-for-an-hour", "rate_limited"),
    ("rate-limited-once", "passed"),
    ("server-error", "server_5xx"),
    ("unavailable-once", "passed"),
    ("out-of-memory", "oom_or_crash"),
    ("prompt-too-long", "prompt_truncated"),
    ("reset-at-once", "network"),
    ("reset-once", "passed"),
    ("closed-without-a-word", "network"),
    ("reset-in-the-middle", "network"),
    ("ended-in-the-middle", "server_5xx"),
    ("ended-once", "passed"),
    ("slow-first-byte", "request_timeout"),
    ("stalled", "network"),
    ("slow-but-steady", "trial_timeout"),
    ("malformed-event", "server_5xx"),
    ("wrong-content-type", "server_5xx"),
    ("wrong-shape", "server_5xx"),
    ("error-in-the-stream", "server_5xx"),
    ("not-utf8", "server_5xx"),
    ("gzip", "passed"),
    ("broken-gzip", "server_5xx"),
    ("huge", "server_5xx"),
];

/// What the model itself says where nothing is wrong.
fn right(wire: Wire) -> Reply {
    match wire {
        Wire::Tools => call("get_time", "{\"zone\":\"UTC\"}"),
        Wire::Raw => Reply::stream(&[
            json!({"content": "{\"tool\":\"get_time\",", "stop": false}),
            json!({"content": "\"arguments\":{\"zone\":\"UTC\"}}", "stop": true, "stop_type": "eos",
                "tokens_predicted": 12, "tokens_evaluated": 40}),
        ]),
    }
}

/// One piece of words, without an end.
fn piece(wire: Wire, text: &str) -> String {
    match wire {
        Wire::Tools => json!({"choices": [{"index": 0, "delta": {"content": text}}]}).to_string(),
        Wire::Raw => json!({"content": text, "stop": false}).to_string(),
    }
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// A whole reply as text, for what is packed or padded.
fn whole(wire: Wire) -> String {
    match wire {
        Wire::Tools => json!({"choices": [{"message": {"content": null, "tool_calls": [
            {"id": "c", "type": "function", "function": {"name": "get_time", "arguments": "{\"zone\":\"UTC\"}"}}]},
            "finish_reason": "tool_calls"}]}),
        Wire::Raw => json!({"content": "{\"tool\":\"get_time\",\"arguments\":{\"zone\":\"UTC\"}}", "stop": true, "stop_type": "eos"}),
    }
    .to_string()
}

fn fault(name: &str, wire: Wire, before: usize) -> Reply {
    let error =
        |status: u16, words: &str| Reply::json(status, &json!({"error": {"message": words}}));
    let packed = [
        ("content-type", "application/json"),
        ("content-encoding", "gzip"),
    ];
    match name {
        "unauthorised" => error(401, "Incorrect API key provided"),
        "forbidden" => error(403, "this key may not do this"),
        "unknown-model" => error(404, "The model `m` does not exist"),
        "bad-request" => error(400, "unknown field `seed`"),
        "redirect-loop" => Reply::whole(307, &[("location", "/completion")], b""),
        "rate-limited" => error(429, "slow down"),
        "rate-limited-for-an-hour" => {
            Reply::json_with(429, &[("retry-after", "3600")], &json!({"error": "quota"}))
        }
        "rate-limited-once" if before == 0 => {
            Reply::json_with(429, &[("retry-after", "1")], &json!({"error": "slow down"}))
        }
        "server-error" => error(500, "internal"),
        "unavailable-once" if before == 0 => error(503, "loading model"),
        "out-of-memory" => error(500, "CUDA out of memory"),
        "prompt-too-long" => error(400, "the request exceeds the available context size"),
        "reset-at-once" => Reply::default().reset(),
        "reset-once" if before == 0 => Reply::default().reset(),
        "closed-without-a-word" => Reply::default(),
        "reset-in-the-middle" => Reply::events()
            .event(&piece(wire, "It"))
            .wait_ms(100)
            .reset(),
        "ended-once" if before == 0 => Reply::events().event(&piece(wire, "It")),
        "ended-in-the-middle" => Reply::events().event(&piece(wire, "It")),
        "slow-first-byte" => Reply::default().wait_ms(LIMIT_S * 2000),
        "stalled" => Reply::events()
            .event(&piece(wire, "It"))
            .wait_ms(LIMIT_S * 2000),
        "slow-but-steady" => (0..LIMIT_S * 10).fold(Reply::events(), |reply, _| {
            reply.event(&piece(wire, "word ")).wait_ms(200)
        }),
        "malformed-event" => Reply::events()
            .event(&piece(wire, "It"))
            .event("{\"choices\": [oops"),
        "wrong-content-type" => Reply::whole(
            200,
            &[("content-type", "text/html")],
            b"<html>sign in</html>",
        ),
        "wrong-shape" => Reply::json(200, &json!({"result": "fine", "items": [1, 2]})),
        "error-in-the-stream" => Reply::events()
            .event(&piece(wire, "It"))
            .event("{\"error\": {\"message\": \"the worker died\", \"code\": 500}}"),
        "not-utf8" => Reply::whole(
            200,
            &[("content-type", "application/json")],
            b"{\"content\": \"\xff\xfe\"}",
        ),
        "gzip" => Reply::whole(200, &packed, &zipped(&whole(wire))),
        "broken-gzip" => {
            let mut bytes = zipped(&whole(wire));
            let middle = bytes.len() / 2;
            bytes[middle..].fill(0);
            Reply::whole(200, &packed, &bytes)
        }
        "huge" => {
            let mut body = whole(wire);
            body.push_str(&" ".repeat(17 << 20));
            Reply::whole(
                200,
                &[("content-type", "application/json")],
                body.as_bytes(),
            )
        }
        _ => right(wire),
    }
}

/// The fault that a prompt names.
fn named(request: &Request) -> Option<&'static str> {
    let text = request.body.to_string();
    let of = |name: &&str| text.contains(&format!("fault {name}!"));
    FAULTS.iter().map(|(name, _)| *name).find(of)
}

pub fn serve(wire: Wire) -> EndpointServer {
    let counts: std::sync::Mutex<BTreeMap<&str, usize>> = std::sync::Mutex::default();
    EndpointServer::start(move |request| match request.path.as_str() {
        "/v1/models" => Reply::json(200, &json!({"data": [{"id": "m"}]})),
        "/props" => Reply::json(
            200,
            &json!({"default_generation_settings": {"n_ctx": 4096}, "bos_token": "", "eos_token": "</s>",
            "chat_template": "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}<|assistant|>"}),
        ),
        "/tokenize" => Reply::json(200, &json!({"tokens": []})),
        "/health" => Reply::json(200, &json!({"status": "ok"})),
        _ => match named(request) {
            None => Reply::raw(head(418, &[], Some(0))),
            Some(name) => {
                let before = {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry(name).or_default();
                    *count += 1;
                    *count - 1
                };
                fault(name, wire, before)
            }
        },
    })
}

/// The tiny suite's tools with a case for each of these faults.
pub fn suite(names: &[&str]) -> String {
    let (tools, _) = TINY_SUITE.split_once("cases:").unwrap();
    let cases: Vec<String> = names
        .iter()
        .map(|name| {
            format!("  - {{id: {name}, category: fault, why: one fault, user: 'fault {name}! what time is it in UTC?',\n     expect: {{calls: [{{tool: get_time, arguments: {{zone: UTC}}}}]}}}}\n")
        })
        .collect();
    format!("{tools}cases:\n{}", cases.concat())
}

/// Code or kind of each case's outcome.
fn column(wire: Wire) -> BTreeMap<String, Value> {
    let server = serve(wire);
    let context = Context::new();
    let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
    context.write("faults.yaml", &suite(&names));
    let (preset, dialect) = match wire {
        Wire::Tools => ("vllm", "native"),
        Wire::Raw => ("llama-server", "json"),
    };
    context.write(
        "toolbench.toml",
        &format!(
            "[models.m]\nsource = \"{preset}:m\"\nbase-url = \"{}\"\nretries = 1\n",
            server.base()
        ),
    );
    let limit = LIMIT_S.to_string();
    let started = Instant::now();
    let output = context.run(&[
        "run",
        "m",
        "--suite",
        "faults.yaml",
        "--dialect",
        dialect,
        "--constraint",
        "off",
        "--max-corrections",
        "0",
        "--concurrency",
        "4",
        "--timeout",
        &limit,
        "-q",
    ]);
    let text = stderr(&output);
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(
        output.status.code(),
        Some(3),
        "too much is excluded for a verdict\n{text}"
    );
    assert!(
        started.elapsed() < Duration::from_mins(4),
        "something hangs"
    );
    let trials = json_lines(&context.only_run().join("trials.jsonl"));
    assert_eq!(trials.len(), FAULTS.len(), "no trial is lost");
    trials
        .into_iter()
        .map(|trial| {
            let outcome = &trial["outcome"];
            let code = outcome.get("code").unwrap_or(&outcome["kind"]).clone();
            let said = trial["violations"][0]["message"].clone();
            (
                trial["case"].as_str().unwrap().to_owned(),
                json!({"code": code, "kind": outcome["kind"], "said": said}),
            )
        })
        .collect()
}

#[test]
fn provider_faults_end_in_their_own_codes() {
    let columns = [
        (Wire::Tools, column(Wire::Tools)),
        (Wire::Raw, column(Wire::Raw)),
    ];
    let mut wrong = Vec::new();
    println!("| fault of the server | chat with tools | raw text | outcome |\n|---|---|---|---|");
    for (name, expected) in FAULTS {
        let cells: Vec<&str> = columns
            .iter()
            .map(|(_, cells)| cells[name]["code"].as_str().unwrap())
            .collect();
        let kind = columns[0].1[name]["kind"].as_str().unwrap();
        println!("| {name} | {} | {} | {kind} |", cells[0], cells[1]);
        for (wire, cells) in &columns {
            let cell = &cells[name];
            // Slowness of an accepted request is a result; nothing else may count.
            let counted = ["passed", "recovered", "failed", "limit"]
                .contains(&cell["kind"].as_str().unwrap());
            let may_count = expected == "passed" || expected == "trial_timeout";
            if cell["code"] != expected || counted != may_count {
                wrong.push(format!("{name} over {wire:?}: {cell}, not {expected}"));
            }
        }
    }
    println!("{} cells", 2 * FAULTS.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
