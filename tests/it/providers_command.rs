//! Backends that speak the engine protocol: both examples, the published page, environment and death.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use toolbench::model::Provider;
use toolbench::model::engine::{EngineCommand, EngineProvider};
use toolbench::types::protocol::{EngineSettings, FromEngine, ToEngine};
use toolbench::types::{GenerateReply, ModelFacts, ProviderError, StopReason, Wire};

use crate::providers::*;
use crate::support::{Context, TINY_SUITE, json_lines};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn settings() -> EngineSettings {
    serde_json::from_value(json!({"path": "", "context_tokens": 2048})).unwrap()
}

fn started(program: &Path, arguments: &[&str]) -> EngineProvider {
    let command = EngineCommand::new(program, arguments.iter().copied(), std::env::vars_os());
    EngineProvider::new(command, settings())
}

/// The Rust example as cargo builds it beside the tests.
fn rust_backend() -> PathBuf {
    let binary = Path::new(env!("CARGO_BIN_EXE_toolbench"));
    binary.parent().unwrap().join("examples/backend")
}

async fn speaks(provider: &EngineProvider) {
    let facts = provider.describe().await.unwrap();
    assert_eq!(facts.provider, "command");
    assert_eq!(facts.reported_name, "echo");
    assert_eq!(facts.context_tokens, 2048);
    assert_eq!(facts.wires, [Wire::Chat]);
    provider.health().await.unwrap();
    let reply = ask(provider, &question()).await.unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&reply.text).unwrap(),
        json!({"answer": "Weather in Oslo?"})
    );
    provider.close().await;
    assert_eq!(provider.pid(), None);
}

#[tokio::test]
async fn the_backend_in_python_speaks_the_protocol() {
    let script = root().join("examples/backend.py");
    speaks(&started(Path::new("python3"), &[script.to_str().unwrap()])).await;
}

#[tokio::test]
async fn the_backend_in_rust_speaks_the_protocol() {
    let backend = rust_backend();
    assert!(
        backend.is_file(),
        "cargo builds examples with the tests: {}",
        backend.display()
    );
    speaks(&started(&backend, &[])).await;
}

#[test]
fn the_examples_are_short() {
    for name in ["backend.py", "backend.rs"] {
        let text = std::fs::read_to_string(root().join("examples").join(name)).unwrap();
        let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
        assert!(lines <= 34, "{name} has {lines} lines");
    }
}

/// Every message and every field of the types stands on the page.
#[test]
fn the_page_of_the_protocol_holds_every_message_and_field() {
    let page = std::fs::read_to_string(root().join("PROTOCOL.md")).unwrap();
    let request = question();
    let settings = serde_json::to_value(settings()).unwrap();
    let messages = [
        serde_json::to_value(ToEngine::Health { id: 1 }).unwrap(),
        serde_json::to_value(ToEngine::Cancel { id: 1 }).unwrap(),
        serde_json::to_value(ToEngine::Generate {
            id: 1,
            request: Box::new(request.clone()),
        })
        .unwrap(),
        serde_json::to_value(FromEngine::Healthy { id: 1 }).unwrap(),
        serde_json::to_value(FromEngine::Loaded {
            id: 1,
            protocol: 1,
            facts: Box::default(),
            health: true,
        })
        .unwrap(),
    ];
    let reply = GenerateReply::of_text("", StopReason::Stop);
    let mut words: Vec<String> = ["load", "reply", "error", "context"]
        .map(str::to_owned)
        .to_vec();
    for message in &messages {
        words.extend(
            ["op", "type"]
                .iter()
                .filter_map(|key| message[*key].as_str())
                .map(str::to_owned),
        );
    }
    let objects = [
        settings,
        serde_json::to_value(&request).unwrap(),
        serde_json::to_value(&request.sampling).unwrap(),
        serde_json::to_value(&reply).unwrap(),
        serde_json::to_value(reply.usage).unwrap(),
    ];
    words.extend(
        objects
            .iter()
            .flat_map(|object| object.as_object().unwrap().keys().cloned()),
    );
    for error in [
        ProviderError::Cancelled,
        ProviderError::Network {
            detail: String::new(),
        },
        ProviderError::Crashed {
            detail: String::new(),
        },
        ProviderError::GrammarRejected {
            detail: String::new(),
        },
        ProviderError::PromptTooLong {
            detail: String::new(),
        },
        ProviderError::Unanswered { limit_ms: 1 },
    ] {
        let value = serde_json::to_value(&error).unwrap();
        words.push(value["kind"].as_str().unwrap().to_owned());
    }
    for field in [
        "wires",
        "mechanisms",
        "deterministic_when_greedy",
        "chat_template",
    ] {
        assert!(
            serde_json::to_value(ModelFacts::default())
                .unwrap()
                .get(field)
                .is_some()
        );
        words.push(field.to_owned());
    }
    for word in words {
        assert!(
            page.contains(&format!("`{word}`")) || page.contains(&format!("\"{word}\"")),
            "PROTOCOL.md lacks `{word}`"
        );
    }
}

#[test]
fn a_command_is_run_and_sees_only_what_it_may() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write(
        "spy.py",
        "import os, sys\nopen('seen.txt', 'w').write(' '.join(sorted(os.environ)))\n",
    );
    let echo = std::fs::read_to_string(root().join("examples/backend.py")).unwrap();
    context.write("backend.py", &format!("{}\n{echo}", "import spy"));
    context.write(
        "toolbench.toml",
        "[models.mine]\nsource = \"command:python3 backend.py\"\npass-env = [\"WANTED\"]\n",
    );
    let run = |wanted: Option<&str>| {
        let mut command = context.command(&[
            "run",
            "mine",
            "--suite",
            "tiny.yaml",
            "--case",
            "t-thanks",
            "--constraint",
            "off",
        ]);
        command.env("SECRET_KEY", "planted");
        if let Some(wanted) = wanted {
            command.env("WANTED", wanted);
        }
        command.output().unwrap()
    };
    let refused = run(None);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{words}");
    assert!(words.contains("WANTED"), "{words}");
    let output = run(Some("here"));
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{words}");
    let seen = std::fs::read_to_string(context.path("seen.txt")).unwrap();
    assert!(seen.contains("WANTED") && seen.contains("PATH"), "{seen}");
    assert!(!seen.contains("SECRET_KEY"), "{seen}");
    let trial = &json_lines(&context.only_run().join("trials.jsonl"))[0];
    assert_eq!(trial["outcome"]["kind"], "passed", "{trial}");
}

#[test]
fn a_command_that_dies_or_talks_is_nobodys_answer() {
    let context = Context::new();
    context.write("tiny.yaml", TINY_SUITE);
    context.write(
        "dies.py",
        "import json, sys\nm = json.loads(sys.stdin.readline())\nprint(json.dumps({'type': 'loaded', 'id': m['id'], 'protocol': 1, 'facts': {'wires': ['chat'], 'context_tokens': 4096}}), flush=True)\nsys.stdin.readline()\nprint('out of luck', file=sys.stderr)\nsys.exit(3)\n",
    );
    context.write(
        "talks.py",
        "print('Hello, I am a model', flush=True)\nimport time; time.sleep(20)\n",
    );
    let arguments = |model: &'static str| {
        [
            "run",
            model,
            "--suite",
            "tiny.yaml",
            "--case",
            "t-thanks",
            "--constraint",
            "off",
        ]
    };
    context.expect(3, &arguments("command:python3 dies.py"));
    let trial = &json_lines(&context.only_run().join("trials.jsonl"))[0];
    assert_eq!(
        trial["outcome"],
        json!({"kind": "void", "code": "oom_or_crash"}),
        "{trial}"
    );
    assert!(
        trial["violations"][0]["message"]
            .as_str()
            .unwrap()
            .contains("out of luck")
    );
    let words = context.expect_error(2, &arguments("command:python3 talks.py"));
    assert!(words.contains("broke the protocol"), "{words}");
    let words = context.expect_error(2, &arguments("command:/nowhere/backend"));
    assert!(words.contains("cannot be started"), "{words}");
}
