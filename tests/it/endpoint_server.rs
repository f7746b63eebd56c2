//! Models on a server, through the command: names, keys, whole runs, and the situations people meet.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::endpoint_server::{EndpointServer, Reply, Request};
use crate::support::{Context, TINY_SUITE, json_lines, stderr, stdout};

/// The last message of a chat request, as role and text.
fn last(request: &Request) -> (String, String) {
    let messages = request.body["messages"].as_array().cloned();
    let message = messages.unwrap_or_default().pop().unwrap_or_default();
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    (text("role"), text("content"))
}

/// A streamed reply with one call.
pub fn call(name: &str, arguments: &str) -> Reply {
    let (start, end) = arguments.split_at(arguments.len() / 2);
    Reply::stream(&[
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [
            {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": start}}]}}]}),
        json!({"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": end}}]}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 9}}),
    ])
}

/// A streamed reply of words.
pub fn words(text: &str) -> Reply {
    Reply::stream(&[
        json!({"choices": [{"index": 0, "delta": {"content": text}}]}),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
        json!({"choices": [], "usage": {"prompt_tokens": 50, "completion_tokens": 3}}),
    ])
}

fn models(names: &[&str]) -> Reply {
    let list: Vec<Value> = names
        .iter()
        .map(|name| json!({"id": name, "object": "model"}))
        .collect();
    Reply::json(200, &json!({"object": "list", "data": list}))
}

/// A model that does everything in [`TINY_SUITE`] right, over chat with tools.
pub fn right(request: &Request) -> Reply {
    if request.path == "/v1/models" {
        return models(&["qwen-7b", "qwen-14b"]);
    }
    match last(request) {
        (role, _) if role == "tool" => words("Done."),
        (_, text) if text.contains("what time") => call("get_time", "{\"zone\":\"UTC\"}"),
        (_, text) if text.contains("wake me") => call("set_alarm", "{\"hour\":7}"),
        _ => words("You are welcome."),
    }
}

fn name(server: &EndpointServer) -> String {
    format!("openai-compatible:qwen-7b@{}", server.base())
}

/// A configuration with a model called `mine`, asked once and no more where it fails.
pub fn configure(context: &Context, server: &str, more: &str) {
    let text = format!(
        "[models.mine]\nsource = \"openai-compatible:qwen-7b\"\nbase-url = \"{server}\"\nretries = 0\n{more}"
    );
    context.write("toolbench.toml", &text);
}

const NATIVE: [&str; 7] = [
    "--suite",
    "tiny.yaml",
    "--dialect",
    "native",
    "--constraint",
    "off",
    "-q",
];

pub fn run<'a>(model: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut all = vec!["run", model];
    all.extend(NATIVE);
    all.extend(more);
    all
}

pub fn tiny() -> Context {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context
}

pub fn trials(context: &Context) -> Vec<Value> {
    json_lines(&context.only_run().join("trials.jsonl"))
}

#[test]
fn a_served_model_runs_a_suite_with_its_own_tool_calls() {
    let server = EndpointServer::start(right);
    let context = tiny();
    context.expect(0, &run(&name(&server), &[]));
    let trials = trials(&context);
    assert_eq!(trials.len(), 3);
    for trial in &trials {
        assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
        assert_eq!(trial["attempts"][0]["usage"]["prompt_tokens"], 50);
    }
    let header = std::fs::read_to_string(context.only_run().join("header.json")).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    let facts = &header["models"][0]["facts"];
    assert_eq!(facts["endpoint"], format!("{}/v1", server.base()));
    assert_eq!(facts["reported_name"], "qwen-7b");
    assert_ne!(trials[0]["cell"]["tier"], "remote");
}

#[test]
fn a_correction_comes_back_as_the_result_of_the_call() {
    let server = EndpointServer::start(|request| match last(request) {
        (role, text) if role == "tool" && text.contains("zone") => {
            call("get_time", "{\"zone\":\"UTC\"}")
        }
        (_, text) if text.contains("what time") => call("get_time", "{\"zone\": \"UTC\","),
        _ => right(request),
    });
    let context = tiny();
    context.expect(0, &run(&name(&server), &["--case", "t-time"]));
    let trial = &trials(&context)[0];
    // Malformed arguments are the model's, and corrected like any other slip.
    assert_eq!(
        trial["attempts"][0]["violations"][0]["code"], "malformed_json",
        "{trial}"
    );
    let chats = server.to("/v1/chat/completions");
    let sent = chats.last().unwrap().body["messages"]
        .as_array()
        .unwrap()
        .clone();
    let (asked, answered) = (&sent[sent.len() - 2], &sent[sent.len() - 1]);
    assert_eq!(
        asked["tool_calls"][0]["function"]["arguments"],
        "{\"zone\": \"UTC\","
    );
    assert_eq!(answered["role"], "tool");
    assert_eq!(answered["tool_call_id"], asked["tool_calls"][0]["id"]);
}

#[test]
fn the_situations_people_meet_are_answered_with_the_fix() {
    let context = tiny();
    let server = EndpointServer::start(right);
    let nobody = "http://127.0.0.1:1";
    for (model, said, fix) in [
        (
            format!("llama-server:m@{nobody}"),
            "nothing answers at",
            "llama-server -m",
        ),
        (
            format!("ollama-openai:m@{nobody}"),
            "nothing answers at",
            "ollama serve",
        ),
        (
            format!("openai-compatible:qwen-8b@{}", server.base()),
            "has no model `qwen-8b`",
            "did you mean `qwen-7b`",
        ),
        ("vlm:qwen".to_owned(), "unknown model", "vllm:qwen"),
        (
            "openai-compatible:m".to_owned(),
            "no address",
            "openai-compatible:m@http",
        ),
        (
            "openai-compatible:m@http://me:secret@host/v1".to_owned(),
            "password",
            "headers",
        ),
    ] {
        // Servers that are not there are tried more than once.
        let text = context.expect_error(2, &run(&model, &[]));
        assert!(text.contains(said) && text.contains(fix), "{model}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
    // Of two models, the one that cannot be used is named.
    let text = context.expect_error(2, &run("scripted:none.yaml", &[]));
    assert!(text.contains("does not exist"), "{text}");
}

#[test]
fn a_server_that_comes_back_loses_no_trial() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let hit = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&hit);
    let first = EndpointServer::on(listener, move |request| {
        if request.path == "/v1/chat/completions" {
            flag.store(true, Ordering::SeqCst);
            return Reply::events()
                .event("{\"choices\":[{\"delta\":{\"content\":\"It\"}}]}")
                .wait_ms(100)
                .reset();
        }
        right(request)
    });
    let context = tiny();
    let mut child = context
        .command(&run(&name(&first), &["--probes", "off"]))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..1000 {
        if hit.load(Ordering::SeqCst) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(first);
    std::thread::sleep(Duration::from_millis(400));
    let listener = (0..100)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            TcpListener::bind(address).ok()
        })
        .expect("its address again");
    let _second = EndpointServer::on(listener, right);
    assert!(child.wait().unwrap().success());
    let trials = trials(&context);
    assert_eq!(trials.len(), 3);
    let repeated: u64 = trials
        .iter()
        .flat_map(|trial| trial["attempts"].as_array().unwrap())
        .filter_map(|attempt| attempt["timing"]["retries"].as_u64())
        .sum();
    assert!(repeated >= 1);
    assert!(
        trials
            .iter()
            .all(|trial| trial["outcome"]["kind"] == "passed")
    );
}

#[test]
fn a_cell_starts_only_when_its_model_answers() {
    let questions = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&questions);
    // The name, the preparation, the first cell; then it is gone.
    let server = EndpointServer::start(move |request| {
        if request.path == "/v1/models" && asked.fetch_add(1, Ordering::SeqCst) >= 3 {
            return Reply::json(500, &json!({"error": {"message": "gone"}}));
        }
        right(request)
    });
    let context = tiny();
    configure(&context, &server.base(), "");
    let both = [
        "run",
        "mine",
        "--suite",
        "tiny.yaml",
        "--dialect",
        "native,json",
        "--constraint",
        "off",
    ];
    let output = context.run(&both);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let said = stderr(&output);
    assert!(
        said.contains("does not answer before the first trial") && said.contains("--resume"),
        "{said}"
    );
    let done = trials(&context);
    assert_eq!(done.len(), 3, "only the first cell");
    let later = context.expect(3, &["report"]);
    assert!(later.contains("does not answer before"), "{later}");
    questions.store(0, Ordering::SeqCst);
    context.run(&["run", "--resume", "latest", "-q"]);
    assert_eq!(trials(&context).len(), 6, "the rest is made up for");
}

#[test]
fn what_a_server_refuses_is_an_unsupported_cell() {
    let server = EndpointServer::start(right);
    let context = tiny();
    configure(&context, &server.base(), "refuses = [\"top_k\"]\n");
    let text = context.expect_error(3, &run("mine", &["--temperature", "0.5", "--top-k", "40"]));
    assert!(text.contains("does not take `top_k`"), "{text}");
    let text = context.expect_error(
        3,
        &[
            "run",
            "mine",
            "--suite",
            "tiny.yaml",
            "--dialect",
            "react",
            "--constraint",
            "grammar",
            "-q",
        ],
    );
    assert!(text.contains("cannot hold `react`"), "{text}");
}

#[test]
fn presets_are_listed_and_a_file_adds_to_them() {
    let context = Context::new();
    let own = "version: 1\npresets:\n  - {name: office, title: ours, base-url: 'http://10.1.2.3:8000/v1', protocol: chat_completions, wires: [chat], document: d, date: 2026-11-20}\n";
    context.write(".config/toolbench/providers.yaml", own);
    let list: Value =
        serde_json::from_str(&context.expect(0, &["model", "list", "--format", "json"])).unwrap();
    let presets = list["presets"].as_array().unwrap();
    for name in ["openai", "llama-server", "vllm", "office"] {
        assert!(
            presets.iter().any(|preset| preset["name"] == name),
            "{name}"
        );
    }
    assert!(context.expect(0, &["model", "list"]).contains("office"));
    context.write(
        ".config/toolbench/providers.yaml",
        &own.replace("wires", "wirse"),
    );
    let text = context.expect_error(2, &["model", "list"]);
    assert!(
        text.contains("providers.yaml") && text.contains("wirse"),
        "{text}"
    );
}

#[test]
fn a_list_of_quantisations_is_a_list_of_models() {
    let context = tiny();
    let text = context.expect_error(
        2,
        &[
            "run",
            "smollm2:135m",
            "--quant",
            "q9_9,q8_0",
            "--suite",
            "tiny.yaml",
        ],
    );
    assert!(text.contains("135m-q9_9"), "{text}");
    let text = context.expect_error(
        2,
        &["run", "vllm:a/b", "--quant", "q8_0", "--suite", "tiny.yaml"],
    );
    assert!(text.contains("one served model"), "{text}");
}

#[test]
fn a_model_that_does_not_fit_is_a_result_and_the_others_go_on() {
    let context = tiny();
    context.write("small.yaml", crate::support::RIGHT_SCRIPT);
    context.write(
        "large.yaml",
        "name: large\ndoes_not_fit: needs 9.1 GB and 2.0 GB are free\n",
    );
    let both = [
        "run",
        "scripted:large.yaml",
        "scripted:small.yaml",
        "--suite",
        "tiny.yaml",
        "--constraint",
        "off",
    ];
    let output = context.run(&both);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("needs 9.1 GB"));
    assert!(
        trials(&context)
            .iter()
            .all(|trial| trial["outcome"]["kind"] == "passed")
    );
    let header = std::fs::read_to_string(context.only_run().join("header.json")).unwrap();
    let header: Value = serde_json::from_str(&header).unwrap();
    let left_out = &header["excluded"][0];
    assert_eq!(left_out["model"], "scripted:large.yaml");
    assert!(
        left_out["reason"]
            .as_str()
            .unwrap()
            .contains("needs 9.1 GB")
    );
    let text = context.expect_error(3, &run("scripted:large.yaml", &[]));
    assert!(
        text.contains("does not fit") && text.contains("--quant"),
        "{text}"
    );
}

/// With keys in the environment the same suite runs against the service; it never gates.
#[test]
fn live_services_answer_a_call() {
    for (preset, variable, model) in [
        ("openai", "OPENAI_API_KEY", "gpt-4.1-mini"),
        ("groq", "GROQ_API_KEY", "llama-3.3-70b-versatile"),
        ("mistral", "MISTRAL_API_KEY", "mistral-small-latest"),
        ("deepseek", "DEEPSEEK_API_KEY", "deepseek-chat"),
        ("xai", "XAI_API_KEY", "grok-3-mini"),
        ("openrouter", "OPENROUTER_API_KEY", "openai/gpt-4.1-mini"),
        (
            "huggingface",
            "HF_TOKEN",
            "meta-llama/Llama-3.3-70B-Instruct",
        ),
    ] {
        let Ok(key) = std::env::var(variable) else {
            eprintln!("skipped: {preset}: {variable} is not set");
            continue;
        };
        let context = tiny();
        let model = format!("{preset}:{model}");
        let output = context
            .command(&run(&model, &[]))
            .env(variable, key)
            .output()
            .unwrap();
        eprintln!(
            "{preset}: exit {:?}\n{}",
            output.status.code(),
            stdout(&output)
        );
    }
}
